/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-move.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ing-download-run.h"
#include "ing-error-private.h"
#include "ing-json.h"
#include "ing-library-private.h"

#define COPY_BYTES (1u << 20)
#define SUFFIX ".move.part"

typedef struct
{
  IngJob *job; /* NULL = nobody is told */
  GCancellable *cancellable;
  guint64 done, total; /* each byte is copied once and compared once */
} Move;

static void
tell (Move *move, guint64 more)
{
  move->done += more;
  if (move->job != NULL)
    ing_job_set_progress (move->job, MIN (move->done, move->total), move->total);
}

static char *
dup_target (const char *path, const char *folder, const char *suffix)
{
  g_autofree char *name = g_path_get_basename (path);
  g_autofree char *own = g_strconcat (name, suffix, NULL);
  return g_build_filename (folder, own, NULL);
}

static gboolean
fail_system (int number, const char *path, const char *what, GError **error)
{
  g_propagate_error (error, ing_error_from_system (number, path, what));
  return FALSE;
}

/* ------------------------------------------------------------------ one file */

static gboolean
write_all (int fd, const guint8 *bytes, gsize n, const char *path, GError **error)
{
  for (gsize done = 0; done < n;)
    {
      gssize wrote = write (fd, bytes + done, n - done);
      if (wrote < 0 && errno != EINTR)
        return fail_system (errno, path, "write", error);
      done += (gsize) MAX (wrote, 0);
    }
  return TRUE;
}

/* From where the part ends on: what is there already is compared later, as all of it is. */
static gboolean
append_rest (Move *move, int from, int to, const char *path, const char *part, GError **error)
{
  g_autofree guint8 *buffer = g_malloc (COPY_BYTES);
  struct stat source, target;
  if (fstat (from, &source) != 0 || fstat (to, &target) != 0)
    return fail_system (errno, path, "look at", error);
  off_t at = MIN (target.st_size, source.st_size);
  guint64 needed = (guint64) (source.st_size - at), room = ing_paths_get_free_bytes (part);
  if (needed > room)
    {
      g_autofree char *folder = g_path_get_dirname (part);
      g_propagate_error (error, ing_error_new (ING_ERROR_DISK_FULL, folder, needed, room, "no room for a copy"));
      return FALSE;
    }
  if (ftruncate (to, at) != 0 || lseek (to, at, SEEK_SET) != at || lseek (from, at, SEEK_SET) != at)
    return fail_system (errno, part, "go on in", error);
  tell (move, (guint64) at);
  for (;;)
    {
      gssize n = read (from, buffer, COPY_BYTES);
      if (n == 0)
        break;
      if (n < 0 && errno != EINTR)
        return fail_system (errno, path, "read", error);
      if (g_cancellable_set_error_if_cancelled (move->cancellable, error)
          || (n > 0 && !write_all (to, buffer, (gsize) n, part, error)))
        return FALSE;
      tell (move, (guint64) MAX (n, 0));
    }
  if (fsync (to) != 0)
    return fail_system (errno, part, "sync", error);
  posix_fadvise (to, 0, 0, POSIX_FADV_DONTNEED); /* what is compared comes from the disk */
  return TRUE;
}

static gboolean
copy_file (Move *move, const char *path, const char *part, GError **error)
{
  int from = open (path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (from < 0)
    return fail_system (errno, path, "open", error);
  int to = open (part, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  gboolean ok = to >= 0 ? append_rest (move, from, to, path, part, error) : fail_system (errno, part, "create", error);
  close (from);
  if (to >= 0)
    close (to);
  return ok;
}

static gboolean
compare_file (Move *move, const char *path, const char *part, GError **error)
{
  guint64 size = 0, part_size = 0;
  g_autoptr (GArray) blocks = NULL;
  g_autoptr (GArray) part_blocks = NULL;
  g_autofree char *source = ing_download_hash_file (path, &size, &blocks, move->cancellable);
  g_autofree char *copy = source != NULL ? ing_download_hash_file (part, &part_size, &part_blocks, move->cancellable) : NULL;
  if (g_cancellable_set_error_if_cancelled (move->cancellable, error))
    return FALSE;
  if (source == NULL || copy == NULL)
    {
      g_propagate_error (error, ing_error_new (ING_ERROR_IO, source == NULL ? path : part, 0, 0, "it cannot be read to its end"));
      return FALSE;
    }
  if (size != part_size || strcmp (source, copy) != 0)
    {
      g_unlink (part);
      g_propagate_error (error, ing_error_new (ING_ERROR_HASH, path, 0, 0, "the copy is not as the file: %s, %s", source, copy));
      return FALSE;
    }
  tell (move, size);
  return TRUE;
}

/* ------------------------------------------------------------------ the set */

static gboolean
is_verified (IngJob *job)
{
  g_autofree char *text = job != NULL ? ing_job_dup_checkpoint (job) : NULL;
  g_autoptr (JsonObject) object = text != NULL ? ing_json_parse_object (text, -1, NULL) : NULL;
  return object != NULL && ing_json_get_boolean (object, "verified", FALSE);
}

/* By a run before this one, which was ended on its short way. */
static gboolean
is_moved (const char *path, const char *target)
{
  return !g_file_test (path, G_FILE_TEST_IS_REGULAR) && g_file_test (target, G_FILE_TEST_IS_REGULAR);
}

static gboolean
check_names (const GPtrArray *paths, const char *folder, GError **error)
{
  if (!g_file_test (folder, G_FILE_TEST_IS_DIR))
    {
      g_propagate_error (error, ing_error_new (ING_ERROR_NOT_CONNECTED, folder, 0, 0, "the folder is not there"));
      return FALSE;
    }
  for (guint i = 0; i < paths->len; i++)
    {
      const char *path = g_ptr_array_index (paths, i);
      g_autofree char *target = dup_target (path, folder, "");
      g_autofree char *from = g_path_get_dirname (path);
      if (!g_file_test (from, G_FILE_TEST_IS_DIR))
        g_propagate_error (error, ing_error_new (ING_ERROR_NOT_CONNECTED, from, 0, 0, "the folder is not there"));
      else if (is_moved (path, target))
        continue;
      else if (!g_file_test (path, G_FILE_TEST_IS_REGULAR))
        g_propagate_error (error, ing_error_new (ING_ERROR_NOT_FOUND, path, 0, 0, "the file is not there"));
      else if (g_file_test (target, G_FILE_TEST_EXISTS) || g_file_test (target, G_FILE_TEST_IS_SYMLINK))
        g_propagate_error (error, ing_error_new (ING_ERROR_EXISTS, target, 0, 0, "a file of this name is there"));
      else
        continue;
      return FALSE;
    }
  return TRUE;
}

/* A link stays one; a file of the same file system needs no copy. *@done says if it is at its new place. */
static gboolean
take_short_way (const GPtrArray *paths, const char *folder, gboolean *done, GError **error)
{
  *done = FALSE;
  for (guint i = 0; i < paths->len; i++)
    {
      const char *path = g_ptr_array_index (paths, i);
      g_autofree char *target = dup_target (path, folder, "");
      if (is_moved (path, target))
        continue;
      int number = ing_download_rename_to_new (path, target);
      if (number == EXDEV && i == 0 && !g_file_test (path, G_FILE_TEST_IS_SYMLINK))
        return TRUE;
      if (number == EXDEV && g_file_test (path, G_FILE_TEST_IS_SYMLINK))
        {
          g_autofree char *there = g_file_read_link (path, NULL);
          number = there != NULL && symlink (there, target) == 0 ? 0 : errno;
        }
      if (number != 0)
        return fail_system (number, path, "move", error);
    }
  *done = TRUE;
  return ing_paths_sync_folder (folder, error);
}

static gboolean
copy_all (Move *move, const GPtrArray *paths, const char *folder, GError **error)
{
  for (guint i = 0; i < paths->len; i++)
    {
      struct stat st;
      move->total += stat (g_ptr_array_index (paths, i), &st) == 0 ? 2 * (guint64) st.st_size : 0;
    }
  for (guint i = 0; i < paths->len; i++)
    {
      g_autofree char *part = dup_target (g_ptr_array_index (paths, i), folder, SUFFIX);
      if (!copy_file (move, g_ptr_array_index (paths, i), part, error))
        return FALSE;
    }
  for (guint i = 0; i < paths->len; i++)
    {
      g_autofree char *part = dup_target (g_ptr_array_index (paths, i), folder, SUFFIX);
      if (!compare_file (move, g_ptr_array_index (paths, i), part, error))
        return FALSE;
    }
  return move->job == NULL || ing_job_checkpoint (move->job, "{\"verified\": true}", error);
}

/* Those that have their names already were named before the run was ended. */
static GPtrArray *
name_all (const GPtrArray *paths, const char *folder, GError **error)
{
  g_autoptr (GPtrArray) made = g_ptr_array_new_with_free_func (g_free);
  for (guint i = 0; i < paths->len; i++)
    {
      g_autofree char *part = dup_target (g_ptr_array_index (paths, i), folder, SUFFIX);
      char *target = dup_target (g_ptr_array_index (paths, i), folder, "");
      g_ptr_array_add (made, target);
      int number = ing_download_rename_to_new (part, target);
      if (number != 0 && !(number == ENOENT && g_file_test (target, G_FILE_TEST_IS_REGULAR)))
        {
          fail_system (number, target, "name", error);
          return NULL;
        }
    }
  return ing_paths_sync_folder (folder, error) ? g_steal_pointer (&made) : NULL;
}

GPtrArray *
ing_move_copy (const char *path, const char *folder, IngJob *job, GCancellable *cancellable, GError **error)
{
  g_autoptr (GPtrArray) paths = ing_library_list_set (path);
  Move move = { .job = job, .cancellable = cancellable };
  gboolean done = FALSE;
  if (is_verified (job))
    return name_all (paths, folder, error);
  if (!check_names (paths, folder, error) || !take_short_way (paths, folder, &done, error)
      || (!done && !copy_all (&move, paths, folder, error)))
    return NULL;
  return name_all (paths, folder, error);
}

gboolean
ing_move_remove_sources (const char *path, const GPtrArray *made, GError **error)
{
  g_autoptr (GPtrArray) paths = ing_library_list_set (path);
  for (guint i = 0; i < paths->len; i++)
    {
      const char *source = g_ptr_array_index (paths, i);
      if (i < made->len && g_file_test (g_ptr_array_index (made, i), G_FILE_TEST_EXISTS) && g_unlink (source) != 0
          && errno != ENOENT)
        return fail_system (errno, source, "remove", error);
    }
  return TRUE;
}

void
ing_move_remove_parts (const char *path, const char *folder)
{
  g_autoptr (GPtrArray) paths = ing_library_list_set (path);
  for (guint i = 0; i < paths->len; i++)
    {
      g_autofree char *part = dup_target (g_ptr_array_index (paths, i), folder, SUFFIX);
      g_unlink (part);
    }
}
