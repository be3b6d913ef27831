/* SPDX-License-Identifier: Apache-2.0 */
/* Which model a workspace loads, and what the next start remembers of it. */
#include "ing-workspace-state.h"

#include "ing-paths-private.h"

static void
on_model_loaded (GObject *source, GAsyncResult *result, gpointer user_data)
{
  ing_generation_service_load_finish (ING_GENERATION_SERVICE (source), result, NULL);
}

static void
on_model_loaded_to_remember (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (IngWorkspace) self = user_data;
  IngGenerationService *service = ING_GENERATION_SERVICE (source);
  /* The reason stays in the service's load-error. */
  if (ing_generation_service_load_finish (service, result, NULL))
    ing_settings_set_string (self->settings, ING_SETTING_LAST_MODEL,
                             ing_generation_service_get_model_path (service));
}

void
ing_workspace_open_model (IngWorkspace *self, const char *path, gboolean force)
{
  ing_workspace_load_model (self, path, force, TRUE);
}

void
ing_workspace_load_model (IngWorkspace *self, const char *path, gboolean force, gboolean remember)
{
  g_auto (IngModelDefaults) defaults;
  g_autofree char *device = NULL;
  IngLoadOptions options;
  char *wanted = g_strdup (path);
  g_free (self->wanted_model);
  self->wanted_model = wanted;
  path = wanted;
  ing_model_defaults_read (&defaults, self->settings, path);
  ing_model_defaults_get_load_options (&defaults, self->settings, &options, &device);
  options.force = force;
  if (remember)
    ing_generation_service_load_async (self->generation, path, &options, NULL,
                                       on_model_loaded_to_remember, g_object_ref (self));
  else
    ing_generation_service_load_async (self->generation, path, &options, NULL, on_model_loaded,
                                       NULL);
}

void
ing_workspace_load_anyway (IngWorkspace *self)
{
  if (self->wanted_model != NULL)
    ing_workspace_open_model (self, self->wanted_model, TRUE);
}

void
ing_workspace_load_default_model (IngWorkspace *self)
{
  g_autofree char *last = ing_settings_dup_string (self->settings, ING_SETTING_LAST_MODEL, NULL);
  g_autofree char *path = ing_paths_find_default_model (last);
  if (path != NULL)
    ing_workspace_load_model (self, path, FALSE, FALSE);
}

void
ing_workspace_load_model_of (IngWorkspace *self, IngConversation *conversation)
{
  const char *path = ing_conversation_get_model_path (conversation);
  if (path != NULL && g_file_test (path, G_FILE_TEST_IS_REGULAR))
    ing_workspace_load_model (self, path, FALSE, FALSE);
  else
    ing_workspace_load_default_model (self);
}

void
ing_workspace_choose_model (IngWorkspace *self, IngConversation *conversation, const char *path)
{
  g_autofree char *chosen = g_strdup (path);
  if (conversation != NULL)
    ing_conversation_set_model_path (conversation, chosen);
  if (ing_generation_service_get_state (self->generation) == ING_SERVICE_GENERATING)
    ing_settings_set_string (self->settings, ING_SETTING_LAST_MODEL, chosen);
  else if (g_strcmp0 (chosen, ing_generation_service_get_model_path (self->generation)) != 0)
    ing_workspace_open_model (self, chosen, FALSE);
  else /* loaded, or at rest */
    ing_settings_set_string (self->settings, ING_SETTING_LAST_MODEL, chosen);
}
