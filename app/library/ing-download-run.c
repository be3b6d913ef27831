/* SPDX-License-Identifier: Apache-2.0 */
/* Order at the end, each step surviving a death behind it: bytes synced → "verified" in the checkpoint → renamed →
 * folder synced → result. A start that finds "verified" but no part looks for the file under its name. */
#include "ing-download-run.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ing-hub.h"

#define MAX_NAMES 1000

IngDownloadRun *
ing_download_run_new (IngJob *job, GError **error)
{
  g_autoptr (JsonObject) object = ing_json_parse_object (ing_job_get_payload (job), -1, error);
  if (object == NULL)
    return NULL;
  const char *uri = ing_json_get_string (object, "uri", NULL);
  const char *folder = ing_json_get_string (object, "folder", NULL);
  const char *name = ing_json_get_string (object, "name", NULL);
  const char *sha256 = ing_json_get_string (object, "sha256", NULL);
  gint64 size = ing_json_get_int (object, "size", 0);
  if (uri == NULL || folder == NULL || !g_path_is_absolute (folder) || name == NULL
      || (sha256 != NULL && !ing_hub_is_sha256 (sha256)))
    {
      g_propagate_error (error, ing_error_new (ING_ERROR_FORMAT, "payload", 0, 0, "a download without address or folder"));
      return NULL;
    }
  IngDownloadRun *run = g_new0 (IngDownloadRun, 1);
  run->job = g_object_ref (job);
  run->uri = g_strdup (uri);
  run->page = g_strdup (ing_json_get_string (object, "page", uri));
  run->folder = g_strdup (folder);
  run->name = ing_hub_dup_file_name (name); /* whoever wrote the payload */
  run->sha256 = sha256 != NULL ? g_ascii_strdown (sha256, -1) : NULL;
  run->size = size > 0 ? (guint64) size : ING_PART_UNKNOWN;
  run->n_connections = 1;
  return run;
}

void
ing_download_run_free (IngDownloadRun *run)
{
  if (run == NULL)
    return;
  g_object_unref (run->job);
  g_free (run->uri);
  g_free (run->page);
  g_free (run->folder);
  g_free (run->name);
  g_free (run->sha256);
  g_free (run->proxy);
  g_free (run);
}

char *
ing_download_run_dup_part_path (IngDownloadRun *run)
{
  g_autofree char *name = g_strdup_printf ("%s.%" G_GINT64_FORMAT ".part", run->name, ing_job_get_id (run->job));
  return g_build_filename (run->folder, name, NULL);
}

/* ------------------------------------------------------------------ the final name */

int
ing_download_rename_to_new (const char *from, const char *to)
{
  if (renameat2 (AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
    return 0;
  if (errno != EINVAL && errno != ENOSYS)
    return errno;
  /* A file system without it (FAT, some network ones): hold the name first. */
  int fd = open (to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0)
    return errno;
  close (fd);
  return rename (from, to) == 0 ? 0 : errno;
}

char *
ing_download_publish (const char *part, const char *folder, const char *name, GError **error)
{
  const char *dot = strrchr (name, '.');
  int stem = dot != NULL ? (int) (dot - name) : (int) strlen (name);
  for (int i = 1; i < MAX_NAMES; i++)
    {
      g_autofree char *own = i == 1 ? g_strdup (name)
                                    : g_strdup_printf ("%.*s (%d)%s", stem, name, i, dot != NULL ? dot : "");
      g_autofree char *path = g_build_filename (folder, own, NULL);
      int number = ing_download_rename_to_new (part, path);
      if (number == EEXIST)
        continue;
      if (number == 0 && ing_paths_sync_folder (folder, error))
        return g_steal_pointer (&path);
      if (number != 0)
        g_propagate_error (error, ing_error_from_system (number, part, "rename"));
      return NULL;
    }
  g_propagate_error (error, ing_error_new (ING_ERROR_LIMIT, name, 0, 0, "too many files of the name %s", name));
  return NULL;
}

/* ------------------------------------------------------------------ callbacks of the fetch */

static gboolean
on_checkpoint (const char *text, gpointer data, GError **error)
{
  IngDownloadRun *run = data;
  return ing_job_checkpoint (run->job, text, error);
}

static void
on_progress (guint64 done, guint64 size, gpointer data)
{
  IngDownloadRun *run = data;
  ing_job_set_progress (run->job, done, size != ING_PART_UNKNOWN ? size : run->size != ING_PART_UNKNOWN ? run->size : 0);
}

static void
on_notice (const char *text, gpointer data)
{
  IngDownloadRun *run = data;
  ing_job_set_status_text (run->job, text);
}

/* ------------------------------------------------------------------ running */

char *
ing_download_make_result (const char *path, const char *sha256, guint64 size, const GArray *blocks, const char *uri)
{
  g_autoptr (JsonBuilder) b = json_builder_new ();
  g_autofree char *sums = blocks != NULL ? ing_hasher_blocks_to_text (blocks) : g_strdup ("");
  json_builder_begin_object (b);
  json_builder_set_member_name (b, "path");
  json_builder_add_string_value (b, path);
  json_builder_set_member_name (b, "sha256");
  json_builder_add_string_value (b, sha256);
  json_builder_set_member_name (b, "size");
  json_builder_add_int_value (b, (gint64) size);
  json_builder_set_member_name (b, "blocks");
  json_builder_add_string_value (b, sums);
  if (uri != NULL)
    {
      json_builder_set_member_name (b, "uri");
      json_builder_add_string_value (b, uri);
    }
  json_builder_end_object (b);
  return ing_json_build (b);
}

static gboolean
set_result (IngDownloadRun *run, const char *path, const char *sha256, guint64 size, const GArray *blocks)
{
  g_autofree char *json = ing_download_make_result (path, sha256, size, blocks, run->uri);
  ing_job_set_result (run->job, json);
  return TRUE;
}

char *
ing_download_hash_file (const char *path, guint64 *size, GArray **blocks, GCancellable *cancellable)
{
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  struct stat st;
  if (fd < 0 || fstat (fd, &st) != 0 || !S_ISREG (st.st_mode))
    {
      if (fd >= 0)
        close (fd);
      return NULL;
    }
  IngHasher hasher;
  g_autofree guint8 *buffer = g_malloc (1u << 20);
  gssize n;
  ing_hasher_init (&hasher);
  while ((n = read (fd, buffer, 1u << 20)) > 0 && !g_cancellable_is_cancelled (cancellable))
    ing_hasher_update (&hasher, buffer, (gsize) n);
  close (fd);
  *size = hasher.n_bytes;
  char *hex = ing_hasher_finish (&hasher);
  *blocks = g_array_ref (hasher.blocks);
  ing_hasher_clear (&hasher);
  if (n == 0)
    return hex;
  g_free (hex);
  return NULL;
}

/* Died between the new name and the result: is that file ours? */
static gboolean
find_published (IngDownloadRun *run, const char *part_path, const char *checkpoint, GCancellable *cancellable)
{
  g_autoptr (JsonObject) object = checkpoint != NULL ? ing_json_parse_object (checkpoint, -1, NULL) : NULL;
  const char *verified = object != NULL ? ing_json_get_string (object, "verified", NULL) : NULL;
  if (verified == NULL || g_file_test (part_path, G_FILE_TEST_EXISTS))
    return FALSE;
  guint64 size = 0;
  g_autoptr (GArray) blocks = NULL;
  g_autofree char *path = g_build_filename (run->folder, run->name, NULL);
  g_autofree char *found = ing_download_hash_file (path, &size, &blocks, cancellable);
  return g_strcmp0 (found, verified) == 0 && set_result (run, path, verified, size, blocks);
}

/* The folder of models is ours to make; any other that is not there may be on a drive that is not. */
static gboolean
ensure_folder (IngDownloadRun *run, GError **error)
{
  if (g_file_test (run->folder, G_FILE_TEST_IS_DIR))
    return TRUE;
  if (strcmp (run->folder, ing_paths_get_models ()) == 0)
    return ing_paths_ensure_folder (run->folder, error);
  g_propagate_error (error, ing_error_new (ING_ERROR_NOT_CONNECTED, run->folder, 0, 0, "%s is not there", run->folder));
  return FALSE;
}

static gboolean
store_verified (IngDownloadRun *run, const char *sha256, GError **error)
{
  g_autofree char *text = g_strdup_printf ("{\"verified\":\"%s\"}", sha256);
  return ing_job_checkpoint (run->job, text, error);
}

static gboolean
finish (IngDownloadRun *run, IngPart *part, const char *part_path, const char *sha256, const GArray *blocks,
        GCancellable *cancellable, GError **error)
{
  g_autoptr (GError) local = NULL;
  if (!ing_part_settle (part, error))
    return FALSE;
  /* A file that was promised by its hash is right whatever the engine thinks of it. */
  if (run->sha256 == NULL && run->look != NULL && !run->look (part_path, run->look_data, cancellable, &local))
    {
      if (!g_error_matches (local, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        ing_part_reset (part, NULL);
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  if (!store_verified (run, sha256, error))
    return FALSE;
  g_autofree char *path = ing_download_publish (part_path, run->folder, run->name, error);
  return path != NULL && set_result (run, path, sha256, ing_part_get_size (part), blocks);
}

gboolean
ing_download_run (IngDownloadRun *run, GCancellable *cancellable, GError **error)
{
  g_autofree char *part_path = ing_download_run_dup_part_path (run);
  g_autofree char *checkpoint = ing_job_dup_checkpoint (run->job);
  g_autofree char *sha256 = NULL;
  g_autoptr (GArray) blocks = NULL;
  if (find_published (run, part_path, checkpoint, cancellable))
    return TRUE;
  if (!ensure_folder (run, error))
    return FALSE;
  IngPart *part = ing_part_open (part_path, checkpoint, error);
  if (part == NULL)
    return FALSE;
  IngFetchRequest request = {
    .uri = run->uri,
    .page = run->page,
    .proxy = run->proxy,
    .size = run->size,
    .sha256 = run->sha256,
    .max_bytes = run->size != ING_PART_UNKNOWN ? run->size : 0,
    .gguf = g_str_has_suffix (run->name, ".gguf"),
    .n_connections = CLAMP (run->n_connections, 1, 16),
    .checkpoint = on_checkpoint,
    .progress = on_progress,
    .notice = on_notice,
    .data = run,
  };
  gboolean ok = ing_fetch_run (&request, part, &sha256, &blocks, cancellable, error)
                && finish (run, part, part_path, sha256, blocks, cancellable, error);
  gboolean empty = !ok && ing_part_get_done (part) == 0;
  ing_part_free (part);
  if (empty)
    g_unlink (part_path);
  return ok;
}
