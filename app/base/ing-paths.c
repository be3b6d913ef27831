/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-paths-private.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "config-app.h"
#include "ing-error-private.h"

typedef struct
{
  char *data, *models, *config, *cache, *engine, *reader;
} Paths;

/* A program of ours: as the environment names it, beside this one, in the build, in @moved from here (an installation that
 * may have been moved as a whole), or where it was configured to be installed. */
static char *
find_program (const char *variable, const char *name, const char *built, const char *moved, const char *installed)
{
  const char *named = g_getenv (variable);
  if (named != NULL && *named != '\0')
    return g_strdup (named);
  g_autofree char *self = g_file_read_link ("/proc/self/exe", NULL);
  g_autofree char *folder = self != NULL ? g_path_get_dirname (self) : g_strdup ("/");
  char *candidates[] = { g_build_filename (folder, name, NULL), g_build_filename (folder, built, name, NULL),
                         g_path_is_absolute (moved) ? g_build_filename (moved, name, NULL) : g_build_filename (folder, moved, name, NULL),
                         g_build_filename (installed, name, NULL) };
  char *found = NULL;
  for (guint i = 0; i < G_N_ELEMENTS (candidates); i++)
    if (found == NULL && g_file_test (candidates[i], G_FILE_TEST_IS_EXECUTABLE))
      found = candidates[i];
    else
      g_free (candidates[i]);
  return found;
}

static const Paths *
get_paths (void)
{
  static Paths paths;
  static gsize once = 0;
  if (g_once_init_enter (&once))
    {
      paths.data = g_build_filename (g_get_user_data_dir (), "inglenook", NULL);
      paths.config = g_build_filename (g_get_user_config_dir (), "inglenook", NULL);
      paths.cache = g_build_filename (g_get_user_cache_dir (), "inglenook", NULL);
      const char *models = g_getenv ("INGLENOOK_MODELS");
      paths.models = models != NULL && *models != '\0'
                         ? g_canonicalize_filename (models, NULL)
                         : g_build_filename (paths.data, "models", NULL);
      /* build/ui/inglenook, build/engine/tools/inglenook-engine and build/reader/inglenook-reader */
      paths.engine = find_program ("INGLENOOK_ENGINE", "inglenook-engine", "../engine/tools", ".", ING_BINDIR);
      paths.reader = find_program ("INGLENOOK_READER", "inglenook-reader", "../reader", ING_LIBEXECDIR_BESIDE, ING_LIBEXECDIR);
      g_once_init_leave (&once, 1);
    }
  return &paths;
}

const char *
ing_paths_get_data (void)
{
  return get_paths ()->data;
}

const char *
ing_paths_get_models (void)
{
  return get_paths ()->models;
}

const char *
ing_paths_get_config (void)
{
  return get_paths ()->config;
}

const char *
ing_paths_get_cache (void)
{
  return get_paths ()->cache;
}

const char *
ing_paths_get_engine (void)
{
  return get_paths ()->engine;
}

const char *
ing_paths_get_reader (void)
{
  return get_paths ()->reader;
}

/* Marks, overrides and isolates of the Unicode Bidirectional Algorithm (UAX 9, table 4). */
static gboolean
turns_around (gunichar c)
{
  return c == 0x61c || c == 0x200e || c == 0x200f || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

char *
ing_paths_make_display (const char *path)
{
  g_autofree char *valid = g_filename_display_name (path);
  g_autoptr (GString) out = g_string_new (NULL);
  for (const char *p = valid; *p != '\0'; p = g_utf8_next_char (p))
    {
      gunichar c = g_utf8_get_char (p);
      g_string_append_unichar (out, g_unichar_iscntrl (c) || turns_around (c) ? ' ' : c);
    }
  return g_string_free (g_steal_pointer (&out), FALSE);
}

char *
ing_paths_find_default_model (const char *last_model)
{
  if (last_model != NULL && g_file_test (last_model, G_FILE_TEST_IS_REGULAR))
    return g_strdup (last_model);
  const char *folder = ing_paths_get_models ();
  g_autofree char *starter = g_build_filename (folder, ING_STARTER_MODEL, NULL);
  if (g_file_test (starter, G_FILE_TEST_IS_REGULAR))
    return g_steal_pointer (&starter);

  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  g_autofree char *first = NULL;
  const char *name;
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    if (g_str_has_suffix (name, ".gguf") && (first == NULL || strcmp (name, first) < 0))
      {
        g_free (first);
        first = g_strdup (name);
      }
  return first != NULL ? g_build_filename (folder, first, NULL) : NULL;
}

gboolean
ing_paths_is_sandboxed (void)
{
  return g_file_test ("/.flatpak-info", G_FILE_TEST_EXISTS);
}

gboolean
ing_paths_ensure_folder (const char *path, GError **error)
{
  if (g_mkdir_with_parents (path, 0700) == 0)
    return TRUE;
  g_propagate_error (error, ing_error_from_system (errno, path, "make folder"));
  return FALSE;
}

guint64
ing_paths_get_free_bytes (const char *path)
{
  g_autofree char *at = g_strdup (path != NULL ? path : "/");
  struct statvfs fs;
  while (statvfs (at, &fs) != 0)
    {
      if (strcmp (at, "/") == 0 || strcmp (at, ".") == 0)
        return 0;
      char *parent = g_path_get_dirname (at);
      g_free (at);
      at = parent;
    }
  return (guint64) fs.f_bavail * fs.f_frsize;
}

gboolean
ing_paths_sync_folder (const char *path, GError **error)
{
  int fd = open (path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  gboolean ok = fd >= 0 && fsync (fd) == 0;
  if (!ok)
    g_propagate_error (error, ing_error_from_system (errno, path, "sync folder"));
  if (fd >= 0)
    close (fd);
  return ok;
}
