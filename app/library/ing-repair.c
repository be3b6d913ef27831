/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-repair.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ing-download-run.h"
#include "ing-http.h"
#include "ing-token.h"

static guint64
sum_of (const guint8 *bytes, gsize n)
{
  IngHasher hasher;
  ing_hasher_init (&hasher);
  ing_hasher_update (&hasher, bytes, n);
  g_autofree char *hex = ing_hasher_finish (&hasher);
  guint64 sum = hasher.blocks->len > 0 ? g_array_index (hasher.blocks, guint64, 0) : 0;
  ing_hasher_clear (&hasher);
  return sum;
}

static gboolean
fetch (const IngRepair *repair, IngHttp *http, const char *token, guint64 at, guint8 *bytes, gsize n,
       GCancellable *cancellable, GError **error)
{
  IngHttpRequest request = { .uri = repair->uri, .ranged = TRUE, .start = at, .end = at + n, .token = token };
  g_autoptr (IngHttpReply) reply = ing_http_send (http, &request, cancellable, error);
  gsize got = 0;
  if (reply == NULL)
    return FALSE;
  if (reply->status == 206 && reply->start == at && (reply->total == ING_HTTP_UNKNOWN || reply->total == repair->bytes))
    {
      if (!g_input_stream_read_all (reply->body, bytes, n, &got, cancellable, error))
        return FALSE;
      if (got == n)
        return TRUE;
      g_propagate_error (error, ing_error_new (ING_ERROR_NETWORK, NULL, 0, 0, "the body ended early"));
    }
  else if (reply->status == 206)
    g_propagate_error (error, ing_error_new (ING_ERROR_HASH, repair->uri, repair->bytes, reply->total,
                                             "the server has a file of another length now"));
  else if (reply->status == 200)
    g_propagate_error (error, ing_error_new (ING_ERROR_UNSUPPORTED, repair->uri, 0, 0, "the server does no ranges"));
  else
    g_propagate_error (error, ing_http_reply_error (reply, repair->uri, NULL));
  return FALSE;
}

static gboolean
write_block (const IngRepair *repair, int fd, const guint8 *bytes, gsize n, guint64 at, GError **error)
{
  for (gsize done = 0; done < n;)
    {
      gssize wrote = pwrite (fd, bytes + done, n - done, (off_t) (at + done));
      if (wrote < 0 && errno != EINTR)
        {
          g_propagate_error (error, ing_error_from_system (errno, repair->path, "write"));
          return FALSE;
        }
      done += (gsize) MAX (wrote, 0);
    }
  return TRUE;
}

static gboolean
mend (const IngRepair *repair, const GArray *then, const GArray *now, int fd, guint *n_fetched, GCancellable *cancellable,
      GError **error)
{
  g_autoptr (IngHttp) http = ing_http_new (repair->proxy);
  g_autoptr (GUri) uri = g_uri_parse (repair->uri, G_URI_FLAGS_ENCODED, NULL);
  char *token = uri != NULL && g_uri_get_host (uri) != NULL ? ing_token_lookup (g_uri_get_host (uri), cancellable) : NULL;
  g_autofree guint8 *bytes = g_malloc (ING_HASHER_BLOCK_BYTES);
  gboolean ok = TRUE;
  for (guint i = 0; ok && i < then->len; i++)
    {
      guint64 at = (guint64) i * ING_HASHER_BLOCK_BYTES;
      gsize n = (gsize) MIN (ING_HASHER_BLOCK_BYTES, repair->bytes - at);
      guint64 wanted = g_array_index (then, guint64, i);
      if (i < now->len && g_array_index (now, guint64, i) == wanted)
        continue;
      ok = fetch (repair, http, token, at, bytes, n, cancellable, error);
      if (ok && sum_of (bytes, n) != wanted)
        {
          g_propagate_error (error, ing_error_new (ING_ERROR_HASH, repair->uri, 0, 0, "the server has another file now"));
          ok = FALSE;
        }
      ok = ok && write_block (repair, fd, bytes, n, at, error);
      *n_fetched += ok;
    }
  ing_token_free (token);
  return ok;
}

gboolean
ing_repair_run (const IngRepair *repair, guint *n_fetched, GCancellable *cancellable, GError **error)
{
  g_autoptr (GArray) then = repair->blocks != NULL ? ing_hasher_blocks_from_text (repair->blocks) : NULL;
  g_autoptr (GArray) now = NULL, after = NULL;
  guint64 bytes = 0;
  *n_fetched = 0;
  if (then == NULL || repair->bytes == 0
      || then->len != (repair->bytes + ING_HASHER_BLOCK_BYTES - 1) / ING_HASHER_BLOCK_BYTES)
    {
      g_propagate_error (error, ing_error_new (ING_ERROR_HASH, repair->path, 0, 0, "its blocks are not known"));
      return FALSE;
    }
  g_autofree char *before = ing_download_hash_file (repair->path, &bytes, &now, cancellable);
  int fd = before != NULL ? open (repair->path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
  if (fd < 0)
    {
      if (!g_cancellable_set_error_if_cancelled (cancellable, error))
        g_propagate_error (error, ing_error_from_system (before != NULL ? errno : EIO, repair->path, "open"));
      return FALSE;
    }
  gboolean ok = mend (repair, then, now, fd, n_fetched, cancellable, error);
  if (ok && (ftruncate (fd, (off_t) repair->bytes) != 0 || fsync (fd) != 0))
    {
      g_propagate_error (error, ing_error_from_system (errno, repair->path, "write"));
      ok = FALSE;
    }
  close (fd);
  if (!ok)
    return FALSE;
  g_autofree char *hash = ing_download_hash_file (repair->path, &bytes, &after, cancellable);
  if (g_strcmp0 (hash, repair->sha256) == 0)
    return TRUE;
  if (!g_cancellable_set_error_if_cancelled (cancellable, error))
    g_propagate_error (error, ing_error_new (ING_ERROR_HASH, repair->path, 0, 0, "its hash is not the one it had"));
  return FALSE;
}
