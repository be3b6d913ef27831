/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-trash.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ing-error-private.h"

#define INFO ".trashinfo"

typedef struct
{
  const char *path; /* wanted */
  char *file, *info; /* the newest found */
  gint64 newest;
} Search;

/* Folder at the top of the drive that @path is on; the folder of @path need not be there any more. */
static char *
find_top (const char *path)
{
  char *at = g_path_get_dirname (path);
  struct stat here, above;
  while (strcmp (at, "/") != 0 && stat (at, &here) != 0)
    {
      char *up = g_path_get_dirname (at);
      g_free (at);
      at = up;
    }
  for (;;)
    {
      g_autofree char *up = g_path_get_dirname (at);
      if (strcmp (at, "/") == 0 || stat (at, &here) != 0 || stat (up, &above) != 0 || here.st_dev != above.st_dev)
        return at;
      g_free (at);
      at = g_steal_pointer (&up);
    }
}

static char *
read_original_path (const char *info, const char *top)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autofree char *raw = g_key_file_load_from_file (file, info, G_KEY_FILE_NONE, NULL)
                             ? g_key_file_get_value (file, "Trash Info", "Path", NULL)
                             : NULL;
  g_autofree char *path = raw != NULL ? g_uri_unescape_string (raw, NULL) : NULL;
  if (path == NULL || g_path_is_absolute (path))
    return g_steal_pointer (&path);
  return top != NULL ? g_build_filename (top, path, NULL) : NULL;
}

static void
search_trash (Search *search, const char *trash, const char *top)
{
  g_autofree char *infos = g_build_filename (trash, "info", NULL);
  g_autoptr (GDir) dir = g_dir_open (infos, 0, NULL);
  const char *name;
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *info = g_build_filename (infos, name, NULL);
      struct stat st;
      if (!g_str_has_suffix (name, INFO) || lstat (info, &st) != 0 || !S_ISREG (st.st_mode))
        continue;
      g_autofree char *path = read_original_path (info, top);
      g_autofree char *plain = g_strndup (name, strlen (name) - strlen (INFO));
      g_autofree char *file = g_build_filename (trash, "files", plain, NULL);
      gint64 when = (gint64) st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
      if (g_strcmp0 (path, search->path) != 0 || when < search->newest || lstat (file, &st) != 0)
        continue;
      g_free (search->file);
      g_free (search->info);
      search->file = g_steal_pointer (&file);
      search->info = g_steal_pointer (&info);
      search->newest = when;
    }
}

gboolean
ing_trash_restore (const char *path, GError **error)
{
  Search search = { .path = path };
  g_autofree char *top = find_top (path);
  g_autofree char *home = g_build_filename (g_get_user_data_dir (), "Trash", NULL);
  g_autofree char *own = g_strdup_printf ("%s/.Trash/%u", top, (guint) getuid ());
  g_autofree char *usual = g_strdup_printf ("%s/.Trash-%u", top, (guint) getuid ());
  search_trash (&search, home, NULL);
  search_trash (&search, own, top);
  search_trash (&search, usual, top);
  g_autofree char *file = search.file;
  g_autofree char *info = search.info;
  if (file == NULL)
    g_propagate_error (error, ing_error_new (ING_ERROR_NOT_FOUND, path, 0, 0, "the trash does not have it"));
  else if (renameat2 (AT_FDCWD, file, AT_FDCWD, path, RENAME_NOREPLACE) != 0)
    g_propagate_error (error, ing_error_from_system (errno, path, "restore"));
  else
    {
      g_unlink (info);
      return TRUE;
    }
  return FALSE;
}
