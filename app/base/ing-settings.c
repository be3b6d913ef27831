/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-settings.h"

#include <math.h>
#include <string.h>

#include "ing-error-private.h"

#define SAVE_DELAY_MS 500

struct _IngSettings
{
  GObject parent_instance;
  char *path;
  GKeyFile *file;
  guint save_id;        /* timeout that starts a save */
  gboolean saving;      /* a save is under way … */
  gboolean save_again;  /* … and is out of date already */
  gboolean told;        /* ::problem was raised since the last good save */
};

G_DEFINE_FINAL_TYPE (IngSettings, ing_settings, G_TYPE_OBJECT)

enum
{
  CHANGED,
  PROBLEM,
  N_SIGNALS
};
static guint signals[N_SIGNALS];

static void
ing_settings_finalize (GObject *object)
{
  IngSettings *self = ING_SETTINGS (object);
  if (self->save_id != 0)
    ing_settings_flush (self, NULL);
  g_clear_pointer (&self->file, g_key_file_unref);
  g_clear_pointer (&self->path, g_free);
  G_OBJECT_CLASS (ing_settings_parent_class)->finalize (object);
}

static void
ing_settings_class_init (IngSettingsClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = ing_settings_finalize;
  signals[CHANGED] = g_signal_new ("changed", G_TYPE_FROM_CLASS (klass),
                                   G_SIGNAL_RUN_LAST | G_SIGNAL_DETAILED, 0, NULL, NULL, NULL,
                                   G_TYPE_NONE, 1, G_TYPE_STRING);
  signals[PROBLEM] = g_signal_new ("problem", G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST, 0, NULL,
                                   NULL, NULL, G_TYPE_NONE, 1, G_TYPE_ERROR);
}

static void
ing_settings_init (IngSettings *self)
{
  self->file = g_key_file_new ();
}

IngSettings *
ing_settings_new (const char *path)
{
  IngSettings *self = g_object_new (ING_TYPE_SETTINGS, NULL);
  self->path = path != NULL ? g_strdup (path)
                            : g_build_filename (ing_paths_get_config (), "settings.ini", NULL);
  /* A file that does not parse is kept beside, so that the next save does not erase it. */
  g_autoptr (GError) error = NULL;
  if (!g_key_file_load_from_file (self->file, self->path, G_KEY_FILE_KEEP_COMMENTS, &error)
      && error->domain == G_KEY_FILE_ERROR)
    {
      g_autofree char *aside = g_strconcat (self->path, ".damaged", NULL);
      g_autoptr (GFile) from = g_file_new_for_path (self->path);
      g_autoptr (GFile) to = g_file_new_for_path (aside);
      g_file_copy (from, to, G_FILE_COPY_OVERWRITE, NULL, NULL, NULL, NULL);
      g_clear_pointer (&self->file, g_key_file_unref);
      self->file = g_key_file_new ();
    }
  return self;
}

static const char *
split (const char *key, char **group)
{
  const char *dot = strchr (key, '.');
  *group = dot != NULL ? g_strndup (key, (gsize) (dot - key)) : g_strdup ("general");
  return dot != NULL ? dot + 1 : key;
}

static char *
get_raw (IngSettings *self, const char *key)
{
  g_autofree char *group = NULL;
  const char *name = split (key, &group);
  return g_key_file_get_string (self->file, group, name, NULL);
}

char *
ing_settings_dup_string (IngSettings *self, const char *key, const char *fallback)
{
  char *value = get_raw (self, key);
  return value != NULL ? value : g_strdup (fallback);
}

int
ing_settings_get_int (IngSettings *self, const char *key, int fallback)
{
  g_autofree char *text = get_raw (self, key);
  gint64 value;
  return text != NULL && g_ascii_string_to_signed (text, 10, G_MININT, G_MAXINT, &value, NULL)
             ? (int) value
             : fallback;
}

double
ing_settings_get_double (IngSettings *self, const char *key, double fallback)
{
  g_autofree char *text = get_raw (self, key);
  if (text == NULL || *text == '\0')
    return fallback;
  char *end = NULL;
  double value = g_ascii_strtod (text, &end);
  return *end == '\0' && isfinite (value) ? value : fallback;
}

gboolean
ing_settings_get_boolean (IngSettings *self, const char *key, gboolean fallback)
{
  g_autofree char *text = get_raw (self, key);
  if (g_strcmp0 (text, "true") == 0)
    return TRUE;
  return g_strcmp0 (text, "false") == 0 ? FALSE : fallback;
}

/* ------------------------------------------------------------------ writing */

static void start_save (IngSettings *self);

static void
on_saved (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (IngSettings) self = user_data;
  g_autoptr (GError) error = NULL;
  self->saving = FALSE;
  if (!g_file_replace_contents_finish (G_FILE (source), result, NULL, &error))
    {
      if (!self->told)
        g_signal_emit (self, signals[PROBLEM], 0, error);
      self->told = TRUE;
    }
  else
    self->told = FALSE;
  if (self->save_again)
    start_save (self);
}

static void
start_save (IngSettings *self)
{
  if (self->saving)
    {
      self->save_again = TRUE;
      return;
    }
  self->save_again = FALSE;
  self->saving = TRUE;
  gsize length = 0;
  char *text = g_key_file_to_data (self->file, &length, NULL);
  g_autoptr (GBytes) bytes = g_bytes_new_take (text, length);
  g_autofree char *folder = g_path_get_dirname (self->path);
  ing_paths_ensure_folder (folder, NULL); /* the write below reports what is wrong */
  g_autoptr (GFile) file = g_file_new_for_path (self->path);
  g_file_replace_contents_bytes_async (file, bytes, NULL, FALSE, G_FILE_CREATE_PRIVATE, NULL,
                                       on_saved, g_object_ref (self));
}

static gboolean
on_save_timeout (gpointer user_data)
{
  IngSettings *self = user_data;
  self->save_id = 0;
  start_save (self);
  return G_SOURCE_REMOVE;
}

gboolean
ing_settings_flush (IngSettings *self, GError **error)
{
  g_clear_handle_id (&self->save_id, g_source_remove);
  g_autofree char *folder = g_path_get_dirname (self->path);
  return ing_paths_ensure_folder (folder, error)
         && g_key_file_save_to_file (self->file, self->path, error);
}

void
ing_settings_save_copy (IngSettings *self, const char *path)
{
  g_autoptr (GError) error = NULL;
  if (!g_key_file_save_to_file (self->file, path, &error))
    g_debug ("settings: %s", error->message);
}

static void
set_raw (IngSettings *self, const char *key, const char *value)
{
  g_autofree char *old = get_raw (self, key);
  if (g_strcmp0 (old, value) == 0)
    return;
  g_autofree char *group = NULL;
  const char *name = split (key, &group);
  if (value != NULL)
    g_key_file_set_string (self->file, group, name, value);
  else
    g_key_file_remove_key (self->file, group, name, NULL);
  if (self->save_id == 0)
    self->save_id = g_timeout_add (SAVE_DELAY_MS, on_save_timeout, self);
  g_autofree char *detail = g_strdelimit (g_strdup (key), ".", '-');
  g_signal_emit (self, signals[CHANGED], g_quark_from_string (detail), key);
}

void
ing_settings_set_string (IngSettings *self, const char *key, const char *value)
{
  set_raw (self, key, value);
}

void
ing_settings_set_int (IngSettings *self, const char *key, int value)
{
  g_autofree char *text = g_strdup_printf ("%d", value);
  set_raw (self, key, text);
}

void
ing_settings_set_double (IngSettings *self, const char *key, double value)
{
  char text[G_ASCII_DTOSTR_BUF_SIZE];
  set_raw (self, key, g_ascii_dtostr (text, sizeof text, value));
}

void
ing_settings_set_boolean (IngSettings *self, const char *key, gboolean value)
{
  set_raw (self, key, value ? "true" : "false");
}

void
ing_settings_reset (IngSettings *self, const char *key)
{
  set_raw (self, key, NULL);
}
