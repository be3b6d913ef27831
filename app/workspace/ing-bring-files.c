/* SPDX-License-Identifier: Apache-2.0 */
/* Files of the other installation: noted, copied, compared. */
#include "ing-bring-private.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "ing-download-run.h"
#include "ing-error-private.h"
#include "ing-hasher.h"
#include "ing-hub.h"
#include "ing-model-file-table.h"

#define COPY_BYTES (1u << 20)
#define MAX_MODELS 10000
#define MAX_NAMESAKES 100

gboolean
ing_bring_is_regular (const char *path, struct stat *st)
{
  return lstat (path, st) == 0 && S_ISREG (st->st_mode);
}

gboolean
ing_bring_is_as_seen (const IngBringSeen *seen)
{
  struct stat st;
  return ing_bring_is_regular (seen->path, &st) && st.st_size == seen->st.st_size
         && st.st_mtim.tv_sec == seen->st.st_mtim.tv_sec
         && st.st_mtim.tv_nsec == seen->st.st_mtim.tv_nsec;
}

gboolean
ing_bring_note_seen (IngBring *self, const char *path, gboolean of_database)
{
  IngBringSeen seen = { .of_database = of_database };
  if (!ing_bring_is_regular (path, &seen.st))
    return FALSE;
  seen.path = g_strdup (path);
  g_array_append_val (self->seen, seen);
  return TRUE;
}

gboolean
ing_bring_copy_file (IngBring *self, const char *from, const char *to, IngHasher *hasher,
                     guint64 *n_done, guint64 n_all, GCancellable *cancellable, GError **error)
{
  g_autofree guint8 *buffer = g_malloc (COPY_BYTES);
  int in = open (from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  int out = in >= 0 ? open (to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
  const char *where = in < 0 ? from : to;
  gboolean ok = out >= 0;
  gssize n = 0;
  while (ok && (n = read (in, buffer, COPY_BYTES)) != 0)
    {
      if (g_cancellable_set_error_if_cancelled (cancellable, error))
        break;
      if (n < 0)
        where = from;
      ok = n > 0 || errno == EINTR;
      for (gssize done = 0; ok && n > 0 && done < n;)
        {
          gssize wrote = write (out, buffer + done, (gsize) (n - done));
          ok = wrote >= 0 || errno == EINTR;
          done += MAX (wrote, 0);
        }
      if (!ok || n < 0)
        continue;
      if (hasher != NULL)
        ing_hasher_update (hasher, buffer, (gsize) n);
      *n_done += (guint64) n;
      if (n_all > 0)
        ing_bring_tell (self, ING_BRING_CONVERSATIONS_SHARE
                                  + (1 - ING_BRING_CONVERSATIONS_SHARE) * (double) *n_done
                                        / (double) n_all);
    }
  ok = ok && !g_cancellable_is_cancelled (cancellable) && fsync (out) == 0;
  if (!ok && error != NULL && *error == NULL
      && !g_cancellable_set_error_if_cancelled (cancellable, error))
    *error = ing_error_from_system (errno, where, "copy");
  if (in >= 0)
    close (in);
  if (out >= 0)
    close (out);
  if (!ok && out >= 0)
    g_unlink (to);
  return ok;
}

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(char *const *) a, *(char *const *) b);
}

static guint64
count_model_bytes (const char *folder, GPtrArray *names)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;
  guint64 n = 0;
  struct stat st;
  while (dir != NULL && names->len < MAX_MODELS && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (folder, name, NULL);
      if (!g_str_has_suffix (name, ".gguf") || !ing_bring_is_regular (path, &st))
        continue;
      g_ptr_array_add (names, g_strdup (name));
      n += (guint64) st.st_size;
    }
  g_ptr_array_sort (names, compare_names);
  return n;
}

/* ------------------------------------------------------------------ what their databases say of
 * models */

static gpointer
read_rows_func (IngDatabase *db, gpointer data, GError **error)
{
  return ing_model_file_table_read (db, error);
}

static gpointer
write_row_func (IngDatabase *db, gpointer data, GError **error)
{
  return ing_model_file_table_write (db, data, error) ? db : NULL;
}

static gboolean
has_row (GPtrArray *rows, const char *path)
{
  for (guint i = 0; i < rows->len; i++)
    if (strcmp (((const IngModelFileRow *) rows->pdata[i])->path, path) == 0)
      return TRUE;
  return FALSE;
}

/* @row says what the file is, unless something is known of it here. */
static gboolean
write_row (IngBring *self, IngModelFileRow *row, GError **error)
{
  g_autoptr (GPtrArray) here = ing_database_run_sync (self->merge.to, read_rows_func, NULL, error);
  return here != NULL
         && (has_row (here, row->path)
             || ing_database_run_sync (self->merge.to, write_row_func, row, error) != NULL);
}

/* Where a file of this content came from. The other program may see its folder at another path, so
 * paths say nothing. */
static const char *
find_uri (GPtrArray *rows, const char *sha256)
{
  for (guint i = 0; i < rows->len; i++)
    {
      const IngModelFileRow *row = rows->pdata[i];
      if (row->uri != NULL && g_strcmp0 (row->sha256, sha256) == 0)
        return row->uri;
    }
  return NULL;
}

/* Files that are not in its own folder stay where they are; what is known of them comes. */
static gboolean
bring_rows (IngBring *self, const char *folder, GPtrArray *rows, GError **error)
{
  for (guint i = 0; i < rows->len; i++)
    {
      IngModelFileRow *row = rows->pdata[i];
      g_autofree char *base = g_path_get_basename (row->path);
      g_autofree char *own = g_build_filename (folder, base, NULL);
      if (!g_path_is_absolute (row->path) || g_file_test (own, G_FILE_TEST_EXISTS))
        continue;
      if (!write_row (self, row, error))
        return FALSE;
      self->moved.n_models_elsewhere++;
    }
  return TRUE;
}

/* ------------------------------------------------------------------ models */

static gpointer
note_func (IngDatabase *db, gpointer data, GError **error)
{
  return ing_model_file_table_note_download (db, data, error) ? db : NULL;
}

static gboolean
has_magic (const char *path)
{
  char magic[4] = "";
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  gboolean is = fd >= 0 && pread (fd, magic, 4, 0) == 4 && memcmp (magic, "GGUF", 4) == 0;
  if (fd >= 0)
    close (fd);
  return is;
}

/* Is the file at @ours the one at @theirs? */
static gboolean
is_same_file (const char *theirs, const char *ours, GCancellable *cancellable)
{
  struct stat a, b;
  if (stat (ours, &b) != 0 || !ing_bring_is_regular (theirs, &a) || a.st_size != b.st_size)
    return FALSE;
  g_autoptr (GArray) one = NULL, two = NULL;
  guint64 size;
  g_autofree char *x = ing_download_hash_file (theirs, &size, &one, cancellable);
  g_autofree char *y = x != NULL ? ing_download_hash_file (ours, &size, &two, cancellable) : NULL;
  return y != NULL && strcmp (x, y) == 0;
}

/* The place of @name here, or of its @number-th namesake (ing_download_publish()). */
static char *
dup_path (const char *name, guint number)
{
  g_autofree char *safe = ing_hub_dup_file_name (name);
  g_autofree char *stem
      = g_strndup (safe, strlen (safe) - (g_str_has_suffix (safe, ".gguf") ? strlen (".gguf") : 0));
  g_autofree char *numbered
      = number > 1 ? g_strdup_printf ("%s (%u)%s", stem, number, safe + strlen (stem))
                   : g_strdup (safe);
  return g_build_filename (ing_paths_get_models (), numbered, NULL);
}

/* Where the file at @theirs is here already; NULL = nowhere. */
static char *
find_same (const char *theirs, const char *name, GCancellable *cancellable)
{
  for (guint number = 1; number < MAX_NAMESAKES; number++)
    {
      g_autofree char *ours = dup_path (name, number);
      if (!g_file_test (ours, G_FILE_TEST_EXISTS))
        return NULL;
      if (is_same_file (theirs, ours, cancellable))
        return g_steal_pointer (&ours);
    }
  return NULL;
}

static gboolean
bring_model (IngBring *self, const char *theirs, const char *name, GPtrArray *rows, guint64 *n_done,
             guint64 n_all, GCancellable *cancellable, GError **error)
{
  g_autofree char *safe = ing_hub_dup_file_name (name);
  g_autofree char *ours = dup_path (name, 1);
  g_autofree char *part = g_strconcat (ours, ".move.part", NULL);
  g_autofree char *same = find_same (theirs, name, cancellable);
  guint64 size = 0, before = *n_done;
  struct stat st;
  if (g_cancellable_set_error_if_cancelled (cancellable, error))
    return FALSE;
  if (same != NULL)
    {
      *n_done += stat (same, &st) == 0 ? (guint64) st.st_size : 0;
      self->moved.n_known_models++;
      return TRUE;
    }
  g_unlink (part); /* of a try that was killed */
  IngHasher hasher;
  ing_hasher_init (&hasher);
  gboolean ok
      = ing_bring_copy_file (self, theirs, part, &hasher, n_done, n_all, cancellable, error);
  g_autofree char *sent = ok ? ing_hasher_finish (&hasher) : NULL;
  ing_hasher_clear (&hasher);
  g_autoptr (GArray) blocks = NULL;
  g_autofree char *came = ok ? ing_download_hash_file (part, &size, &blocks, cancellable) : NULL;
  if (ok && g_strcmp0 (sent, came) != 0)
    {
      ok = FALSE;
      if (!g_cancellable_set_error_if_cancelled (cancellable, error))
        g_propagate_error (
            error, ing_error_new (ING_ERROR_HASH, safe, 0, 0, "the copy differs from the file"));
    }
  g_autofree char *published
      = ok ? ing_download_publish (part, ing_paths_get_models (), safe, error) : NULL;
  if (published == NULL)
    {
      g_unlink (part);
      return FALSE;
    }
  g_autofree char *result
      = ing_download_make_result (published, came, size, blocks, find_uri (rows, came));
  ing_database_run_sync (self->merge.to, note_func, result,
                         NULL); /* a file is a model without it too */
  self->moved.n_models++;
  self->moved.bytes += *n_done - before;
  return TRUE;
}

static gboolean
bring_files (IngBring *self, const char *folder, GPtrArray *rows, GCancellable *cancellable,
             GError **error)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  guint64 n_all = count_model_bytes (folder, names), n_done = 0;
  struct stat theirs, ours;
  /* $INGLENOOK_MODELS may be one folder for both. */
  if (names->len == 0 || !ing_paths_ensure_folder (ing_paths_get_models (), error))
    return names->len == 0;
  if (stat (folder, &theirs) == 0 && stat (ing_paths_get_models (), &ours) == 0
      && theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino)
    return TRUE;
  for (guint i = 0; i < names->len; i++)
    {
      g_autofree char *path = g_build_filename (folder, g_ptr_array_index (names, i), NULL);
      if (g_cancellable_set_error_if_cancelled (cancellable, error))
        return FALSE;
      if (!has_magic (path) || !ing_bring_note_seen (self, path, FALSE))
        continue;
      if (!bring_model (self, path, g_ptr_array_index (names, i), rows, &n_done, n_all, cancellable,
                        error))
        {
          g_array_set_size (self->seen, self->seen->len - 1);
          return FALSE;
        }
    }
  return TRUE;
}

gboolean
ing_bring_models (IngBring *self, GCancellable *cancellable, GError **error)
{
  g_autofree char *folder = g_build_filename (self->folder, "models", NULL);
  g_autoptr (GPtrArray) rows
      = ing_database_run_sync (self->merge.from, read_rows_func, NULL, error);
  return rows != NULL && bring_rows (self, folder, rows, error)
         && bring_files (self, folder, rows, cancellable, error);
}
