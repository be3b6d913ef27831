/* SPDX-License-Identifier: Apache-2.0 */
/* A damaged file gets back exactly the blocks that have changed, and nothing from a server that has another file. */
#include <glib/gstdio.h>
#include <libsoup/soup.h>
#include <string.h>

#include "app-test.h"
#include "ing-download-run.h"
#include "ing-repair.h"

#define BLOCK ((gsize) ING_HASHER_BLOCK_BYTES)
#define SIZE (2 * BLOCK + 12345)

static GBytes *served;
static guint64 n_sent;

static void
on_wrote (SoupServerMessage *message, guint n, gpointer data)
{
  n_sent += n;
}

static void
on_request (SoupServer *server, SoupServerMessage *message, const char *path, GHashTable *query, gpointer data)
{
  g_signal_connect (message, "wrote-body-data", G_CALLBACK (on_wrote), NULL);
  soup_message_body_append_bytes (soup_server_message_get_response_body (message), served);
  soup_server_message_set_status (message, 200, NULL);
}

/* The same bytes for the same @key. */
static GBytes *
make_bytes (guint32 key)
{
  guint8 *bytes = g_malloc (SIZE);
  for (gsize i = 0; i < SIZE; i++)
    {
      key = key * 1664525 + 1013904223;
      bytes[i] = (guint8) (key >> 24);
    }
  return g_bytes_new_take (bytes, SIZE);
}

typedef struct
{
  IngRepair repair;
  guint n_fetched;
  gboolean ok, done;
  GError *error;
} Run;

static void
run_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  Run *run = task_data;
  run->ok = ing_repair_run (&run->repair, &run->n_fetched, cancellable, &run->error);
  g_task_return_boolean (task, TRUE);
}

static void
on_run (GObject *source, GAsyncResult *result, gpointer data)
{
  ((Run *) data)->done = TRUE;
}

static void
repair (Run *run)
{
  g_autoptr (GTask) task = g_task_new (NULL, NULL, on_run, run);
  run->done = FALSE;
  g_clear_error (&run->error);
  g_task_set_task_data (task, run, NULL);
  g_task_run_in_thread (task, run_thread);
  app_test_wait (run->done);
}

static void
damage (const char *path, gsize at, goffset length)
{
  FILE *file = fopen (path, "r+b");
  g_assert_nonnull (file);
  g_assert_cmpint (fseek (file, (long) at, SEEK_SET), ==, 0);
  g_assert_cmpuint (fwrite ("rotten", 1, 6, file), ==, 6);
  g_assert_cmpint (fclose (file), ==, 0);
  if (length > 0)
    g_assert_cmpint (truncate (path, length), ==, 0);
}

static gboolean
is_served (const char *path)
{
  g_autofree char *bytes = NULL;
  gsize n;
  g_assert_true (g_file_get_contents (path, &bytes, &n, NULL));
  return n == g_bytes_get_size (served) && memcmp (bytes, g_bytes_get_data (served, NULL), n) == 0;
}

static void
test_repair (void)
{
  g_autofree char *folder = app_test_make_folder ();
  g_autofree char *path = g_build_filename (folder, "model.gguf", NULL);
  g_autoptr (GBytes) good = make_bytes (1), other = make_bytes (2);
  g_autoptr (GArray) blocks = NULL;
  g_autoptr (SoupServer) server = soup_server_new (NULL, NULL);
  guint64 size;
  served = good;
  soup_server_add_handler (server, "/", on_request, NULL, NULL);
  g_assert_true (soup_server_listen_local (server, 0, SOUP_SERVER_LISTEN_IPV4_ONLY, NULL));
  GSList *uris = soup_server_get_uris (server);
  g_autofree char *uri = g_strdup_printf ("http://127.0.0.1:%d/model.gguf", g_uri_get_port (uris->data));
  g_slist_free_full (uris, (GDestroyNotify) g_uri_unref);
  g_assert_true (g_file_set_contents (path, g_bytes_get_data (good, NULL), SIZE, NULL));
  g_autofree char *sha256 = ing_download_hash_file (path, &size, &blocks, NULL);
  g_autofree char *sums = ing_hasher_blocks_to_text (blocks);
  Run run = { .repair = { .path = path, .uri = uri, .sha256 = sha256, .blocks = sums, .bytes = SIZE, .proxy = "" } };

  /* One block in the middle rotten, the last one cut. */
  damage (path, BLOCK + 100, SIZE - 5);
  g_assert_false (is_served (path));
  repair (&run);
  g_assert_no_error (run.error);
  g_assert_true (run.ok);
  g_assert_cmpuint (run.n_fetched, ==, 2);
  g_assert_true (is_served (path));
  g_assert_cmpuint (n_sent, <, SIZE * 2 / 3);

  /* Nothing to do asks for nothing. */
  n_sent = 0;
  repair (&run);
  g_assert_true (run.ok);
  g_assert_cmpuint (run.n_fetched, ==, 0);
  g_assert_cmpuint (n_sent, ==, 0);

  /* Another file of the same length under the address: none of it is taken. */
  damage (path, 7, 0);
  served = other;
  repair (&run);
  g_assert_false (run.ok);
  g_assert_error (run.error, ING_ERROR, ING_ERROR_HASH);
  damage (path, 7, 0);
  served = good;
  repair (&run);
  g_assert_true (run.ok);
  g_assert_cmpuint (run.n_fetched, ==, 1);
  g_assert_true (is_served (path));

  /* Sums that cannot be of such a file. */
  run.repair.blocks = "0123456789abcdef";
  repair (&run);
  g_assert_error (run.error, ING_ERROR, ING_ERROR_HASH);
  g_clear_error (&run.error);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/repair", test_repair);
  return g_test_run ();
}
