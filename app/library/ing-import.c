/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-import.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ing-download-run.h"
#include "ing-error-private.h"
#include "ing-hub.h"
#include "ing-library-private.h"

#define COPY_BYTES (1u << 20)
#define MAX_NAMES 100
#define BLOB "sha256-"

typedef struct
{
  IngJob *job; /* NULL = nobody is told */
  guint64 done, total;
} Copy;

static void
tell (Copy *copy, guint64 more)
{
  copy->done += more;
  if (copy->job != NULL)
    ing_job_set_progress (copy->job, MIN (copy->done, copy->total), copy->total);
}

static gboolean
copy_bytes (Copy *copy, int from, int to, const char *to_path, GCancellable *cancellable, GError **error)
{
  g_autofree guint8 *buffer = g_malloc (COPY_BYTES);
  gssize n;
  if (ioctl (to, FICLONE, from) == 0)
    return TRUE; /* at once, whatever its size */
  while ((n = read (from, buffer, COPY_BYTES)) != 0)
    {
      if (g_cancellable_set_error_if_cancelled (cancellable, error))
        return FALSE;
      for (gssize done = 0; n > 0 && done < n;)
        {
          gssize wrote = write (to, buffer + done, (gsize) (n - done));
          if (wrote < 0 && errno != EINTR)
            {
              g_propagate_error (error, ing_error_from_system (errno, to_path, "write"));
              return FALSE;
            }
          done += MAX (wrote, 0);
        }
      tell (copy, (guint64) MAX (n, 0));
      if (n < 0 && errno != EINTR)
        {
          g_propagate_error (error, ing_error_from_system (errno, to_path, "read"));
          return FALSE;
        }
    }
  return TRUE;
}

/* Into "NAME.import.part", synced. Returns its path. */
static char *
copy_file (Copy *copy, const char *path, const char *name, GCancellable *cancellable, GError **error)
{
  char magic[4] = "";
  struct stat st;
  int from = open (path, O_RDONLY | O_CLOEXEC);
  if (from < 0 || fstat (from, &st) != 0)
    {
      g_propagate_error (error, ing_error_from_system (errno, path, "open"));
      if (from >= 0)
        close (from);
      return NULL;
    }
  g_autofree char *part_name = g_strconcat (name, ".import.part", NULL);
  g_autofree char *part = g_build_filename (ing_paths_get_models (), part_name, NULL);
  guint64 room = ing_paths_get_free_bytes (part);
  int to = -1;
  gboolean ok = FALSE;
  if (!S_ISREG (st.st_mode) || pread (from, magic, 4, 0) != 4 || memcmp (magic, "GGUF", 4) != 0)
    g_propagate_error (error, ing_error_new (ING_ERROR_FORMAT, "magic", 0, 0, "%s is not a GGUF file", path));
  else if ((to = open (part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644)) < 0)
    g_propagate_error (error, ing_error_from_system (errno, part, "create"));
  else if (ioctl (to, FICLONE, from) != 0 && (guint64) st.st_size > room)
    g_propagate_error (error, ing_error_new (ING_ERROR_DISK_FULL, ing_paths_get_models (), (guint64) st.st_size, room,
                                             "no room for a copy"));
  else
    ok = copy_bytes (copy, from, to, part, cancellable, error) && fsync (to) == 0;
  close (from);
  if (to >= 0)
    close (to);
  if (ok)
    return g_steal_pointer (&part);
  if (to >= 0)
    g_unlink (part);
  if (error != NULL && *error == NULL)
    *error = ing_error_from_system (errno, part, "sync");
  return NULL;
}

GPtrArray *
ing_import_copy (const char *path, IngJob *job, GCancellable *cancellable, GError **error)
{
  g_autoptr (GPtrArray) paths = ing_library_list_set (path);
  g_autoptr (GPtrArray) made = g_ptr_array_new_with_free_func (g_free);
  Copy copy = { .job = job };
  gboolean ok = ing_paths_ensure_folder (ing_paths_get_models (), error);
  for (guint i = 0; i < paths->len; i++)
    {
      struct stat st;
      copy.total += stat (g_ptr_array_index (paths, i), &st) == 0 ? (guint64) st.st_size : 0;
    }
  for (guint i = 0; ok && i < paths->len; i++)
    {
      g_autofree char *base = g_path_get_basename (g_ptr_array_index (paths, i));
      g_autofree char *name = ing_hub_dup_file_name (base);
      g_autofree char *part = copy_file (&copy, g_ptr_array_index (paths, i), name, cancellable, error);
      char *made_path = part != NULL ? ing_download_publish (part, ing_paths_get_models (), name, error) : NULL;
      ok = made_path != NULL;
      if (ok)
        g_ptr_array_add (made, made_path);
    }
  if (ok)
    return g_steal_pointer (&made);
  for (guint i = 0; i < made->len; i++)
    g_unlink (g_ptr_array_index (made, i)); /* half a set is of no use */
  return NULL;
}

char *
ing_import_link (const char *path, const char *name, GError **error)
{
  g_autofree char *safe = ing_hub_dup_file_name (name);
  gsize stem = strlen (safe) - (g_str_has_suffix (safe, ".gguf") ? strlen (".gguf") : 0);
  if (!ing_paths_ensure_folder (ing_paths_get_models (), error))
    return NULL;
  for (int i = 1; i < MAX_NAMES; i++)
    {
      g_autofree char *own = i == 1 ? g_strdup_printf ("%.*s.gguf", (int) stem, safe)
                                    : g_strdup_printf ("%.*s (%d).gguf", (int) stem, safe, i);
      g_autofree char *link = g_build_filename (ing_paths_get_models (), own, NULL);
      g_autofree char *there = g_file_read_link (link, NULL);
      if (g_strcmp0 (there, path) == 0 || symlink (path, link) == 0)
        return g_steal_pointer (&link);
      if (errno == EEXIST)
        continue;
      g_propagate_error (error, ing_error_from_system (errno, link, "link"));
      return NULL;
    }
  g_propagate_error (error, ing_error_new (ING_ERROR_LIMIT, safe, 0, 0, "too many files of the name %s", safe));
  return NULL;
}

const char *
ing_import_get_blob_hash (const char *path)
{
  const char *slash = strrchr (path, '/'), *base = slash != NULL ? slash + 1 : path;
  return g_str_has_prefix (base, BLOB) && ing_hub_is_sha256 (base + strlen (BLOB)) ? base + strlen (BLOB) : NULL;
}

gboolean
ing_library_looks_like_model (const char *path)
{
  char magic[4] = "";
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat st;
  gboolean model = FALSE;
  if (fd >= 0 && fstat (fd, &st) == 0 && S_ISREG (st.st_mode))
    model = (pread (fd, magic, 4, 0) == 4 && memcmp (magic, "GGUF", 4) == 0) || g_str_has_suffix (path, ".gguf");
  else if (fd >= 0 && S_ISDIR (st.st_mode))
    {
      g_autofree char *config = g_build_filename (path, "config.json", NULL);
      g_autoptr (GPtrArray) files = ing_library_scan (path);
      model = g_file_test (config, G_FILE_TEST_IS_REGULAR) || files->len > 0;
    }
  if (fd >= 0)
    close (fd);
  return model;
}
