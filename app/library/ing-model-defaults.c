/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-model-defaults.h"

#include <string.h>

#include "ing-json.h"
#include "ing-model-memory.h"

#define MAX_CONTEXT (1 << 24)
#define MAX_MODELS 1000 /* remembered; more than anybody has, and a bound for the file */

/* The object of all models; never NULL. Caller unrefs. */
static JsonObject *
read_all (IngSettings *settings, const char *key)
{
  g_autofree char *text = ing_settings_dup_string (settings, key, NULL);
  JsonObject *all = text != NULL ? ing_json_parse_object (text, -1, NULL) : NULL;
  return all != NULL ? all : json_object_new ();
}

/* @own is taken; NULL = forget it. */
static void
write_one (IngSettings *settings, const char *key, const char *path, JsonObject *own)
{
  g_autoptr (JsonObject) all = read_all (settings, key);
  g_autofree char *valid = g_utf8_make_valid (path, -1);
  if (json_object_has_member (all, valid))
    json_object_remove_member (all, valid);
  if (own != NULL && json_object_get_size (all) < MAX_MODELS)
    json_object_set_object_member (all, valid, own);
  else if (own != NULL)
    json_object_unref (own);
  if (json_object_get_size (all) == 0)
    ing_settings_reset (settings, key);
  else
    {
      g_autofree char *text = ing_json_print_object (all);
      ing_settings_set_string (settings, key, text);
    }
}

static JsonObject *
find_one (JsonObject *all, const char *path)
{
  g_autofree char *valid = g_utf8_make_valid (path, -1);
  return ing_json_get_object (all, valid);
}

/* ------------------------------------------------------------------ defaults */

void
ing_model_defaults_read (IngModelDefaults *defaults, IngSettings *settings, const char *path)
{
  g_autoptr (JsonObject) all = read_all (settings, ING_SETTING_MODEL_DEFAULTS);
  JsonObject *own = find_one (all, path);
  memset (defaults, 0, sizeof *defaults);
  defaults->gpu_layers = -1;
  ing_sampling_init (&defaults->sampling);
  if (own == NULL)
    return;
  JsonObject *sampling = ing_json_get_object (own, "sampling");
  defaults->context = (guint) CLAMP (ing_json_get_int (own, "context", 0), 0, MAX_CONTEXT);
  defaults->gpu_layers = (int) CLAMP (ing_json_get_int (own, "gpu_layers", -1), -1, 1 << 16);
  defaults->device = g_strdup (ing_json_get_string (own, "device", NULL));
  defaults->kv = g_strdup (ing_json_get_string (own, "kv", NULL));
  defaults->system_prompt = g_strdup (ing_json_get_string (own, "system_prompt", NULL));
  defaults->has_sampling = sampling != NULL;
  if (sampling != NULL)
    {
      g_autofree char *json = ing_json_print_object (sampling);
      ing_sampling_from_json (&defaults->sampling, json);
      ing_sampling_clamp (&defaults->sampling);
    }
}

void
ing_model_defaults_clear (IngModelDefaults *defaults)
{
  g_clear_pointer (&defaults->device, g_free);
  g_clear_pointer (&defaults->kv, g_free);
  g_clear_pointer (&defaults->system_prompt, g_free);
}

static gboolean
says_something (const char *text)
{
  return text != NULL && *text != '\0';
}

void
ing_model_defaults_write (const IngModelDefaults *defaults, IngSettings *settings, const char *path)
{
  JsonObject *own = json_object_new ();
  if (defaults->context > 0)
    json_object_set_int_member (own, "context", defaults->context);
  if (defaults->gpu_layers >= 0)
    json_object_set_int_member (own, "gpu_layers", defaults->gpu_layers);
  if (says_something (defaults->device))
    json_object_set_string_member (own, "device", defaults->device);
  if (says_something (defaults->kv))
    json_object_set_string_member (own, "kv", defaults->kv);
  if (says_something (defaults->system_prompt))
    json_object_set_string_member (own, "system_prompt", defaults->system_prompt);
  if (defaults->has_sampling)
    {
      g_autofree char *json = ing_sampling_to_json (&defaults->sampling);
      json_object_set_object_member (own, "sampling", ing_json_parse_object (json, -1, NULL));
    }
  if (json_object_get_size (own) == 0)
    g_clear_pointer (&own, json_object_unref);
  write_one (settings, ING_SETTING_MODEL_DEFAULTS, path, own);
}

void
ing_model_defaults_get_load_options (const IngModelDefaults *defaults, IngSettings *settings, IngLoadOptions *options,
                                     char **device)
{
  *options = (IngLoadOptions) ING_LOAD_OPTIONS_INIT;
  *device = says_something (defaults->device) ? g_strdup (defaults->device)
                                              : ing_settings_dup_string (settings, ING_SETTING_DEVICE, "auto");
  options->device = *device;
  options->context = defaults->context > 0 ? defaults->context
                                           : (guint) MAX (0, ing_settings_get_int (settings, ING_SETTING_CONTEXT, 0));
  options->threads = ing_settings_get_int (settings, ING_SETTING_THREADS, 0);
  options->gpu_layers = defaults->gpu_layers;
  options->kv = defaults->kv;
}

static void
rename_one (IngSettings *settings, const char *key, const char *path, const char *new_path)
{
  g_autoptr (JsonObject) all = read_all (settings, key);
  JsonObject *own = find_one (all, path);
  if (own == NULL)
    return;
  json_object_ref (own);
  write_one (settings, key, path, NULL);
  write_one (settings, key, new_path, own);
}

void
ing_model_defaults_rename (IngSettings *settings, const char *path, const char *new_path)
{
  rename_one (settings, ING_SETTING_MODEL_DEFAULTS, path, new_path);
  rename_one (settings, ING_SETTING_MODEL_MEMORY, path, new_path);
}

/* ------------------------------------------------------------------ memory */

gboolean
ing_model_memory_read (IngModelMemory *memory, IngSettings *settings, const char *path)
{
  g_autoptr (JsonObject) all = read_all (settings, ING_SETTING_MODEL_MEMORY);
  JsonObject *own = find_one (all, path);
  memset (memory, 0, sizeof *memory);
  if (own == NULL)
    return FALSE;
  memory->planned = (guint64) MAX (0, ing_json_get_int (own, "planned", 0));
  memory->measured = (guint64) MAX (0, ing_json_get_int (own, "measured", 0));
  memory->context = (guint) CLAMP (ing_json_get_int (own, "context", 0), 0, G_MAXINT);
  return TRUE;
}

void
ing_model_memory_write (const IngModelMemory *memory, IngSettings *settings, const char *path)
{
  JsonObject *own = json_object_new ();
  json_object_set_int_member (own, "planned", (gint64) memory->planned);
  json_object_set_int_member (own, "measured", (gint64) memory->measured);
  json_object_set_int_member (own, "context", memory->context);
  write_one (settings, ING_SETTING_MODEL_MEMORY, path, own);
}
