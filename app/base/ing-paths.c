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
  char *data, *models, *config, *cache, *engine;
} Paths;

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
      const char *named = g_getenv ("INGLENOOK_ENGINE");
      g_autofree char *self = g_file_read_link ("/proc/self/exe", NULL);
      g_autofree char *folder = self != NULL ? g_path_get_dirname (self) : NULL;
      g_autofree char *beside
          = folder != NULL ? g_build_filename (folder, "inglenook-engine", NULL) : NULL;
      g_autofree char *built /* build/ui/inglenook and build/engine/tools/inglenook-engine */
          = folder != NULL
                ? g_build_filename (folder, "..", "engine", "tools", "inglenook-engine", NULL)
                : NULL;
      const char *candidates[] = { beside, built, ING_BINDIR "/inglenook-engine" };
      if (named != NULL && *named != '\0')
        paths.engine = g_strdup (named);
      for (guint i = 0; paths.engine == NULL && i < G_N_ELEMENTS (candidates); i++)
        if (candidates[i] != NULL && g_file_test (candidates[i], G_FILE_TEST_IS_EXECUTABLE))
          paths.engine = g_strdup (candidates[i]);
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
