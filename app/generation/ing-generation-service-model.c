/* SPDX-License-Identifier: Apache-2.0 */
/* Loading, replacing and closing the model. */
#include "ing-generation-service-state.h"

#include "ing-error-engine.h"

static void
set_load_error (IngGenerationService *self, const GError *error)
{
  if (error == NULL && self->load_error == NULL)
    return;
  g_clear_error (&self->load_error);
  self->load_error = error != NULL ? g_error_copy (error) : NULL;
  ing_service_notify (self, PROP_LOAD_ERROR);
}

/* ------------------------------------------------------------------ rest */

static void
set_resting (IngGenerationService *self, gboolean resting)
{
  if (self->resting == resting)
    return;
  self->resting = resting;
  ing_service_notify (self, PROP_RESTING);
}

static gboolean
on_idle (gpointer data)
{
  IngGenerationService *self = data;
  self->idle_id = 0;
  if (self->link == NULL || self->state != ING_SERVICE_READY || self->reload || !g_queue_is_empty (&self->waiting))
    return G_SOURCE_REMOVE;
  ing_engine_link_send (self->link, ENG_WIRE_UNLOAD, NULL);
  self->reload = TRUE;
  set_resting (self, TRUE);
  return G_SOURCE_REMOVE;
}

void
ing_service_touch_idle (IngGenerationService *self)
{
  g_clear_handle_id (&self->idle_id, g_source_remove);
  if (self->idle_s > 0 && self->state == ING_SERVICE_READY && !self->reload)
    self->idle_id = g_timeout_add_seconds (self->idle_s, on_idle, self);
}

void
ing_generation_service_set_idle_unload (IngGenerationService *self, guint seconds)
{
  self->idle_s = seconds;
  ing_service_touch_idle (self);
}

const char *
ing_generation_service_get_loading_path (IngGenerationService *self)
{
  return self->load_id != 0 ? ing_json_get_string (self->model_request, "path", NULL) : NULL;
}

gboolean
ing_generation_service_get_resting (IngGenerationService *self)
{
  return self->resting;
}

/* ------------------------------------------------------------------ the model */

void
ing_service_set_model (IngGenerationService *self, const char *path, JsonObject *info)
{
  g_free (self->model_path);
  g_free (self->model_name);
  g_free (self->device);
  g_free (self->info);
  g_autofree char *base = path != NULL ? g_path_get_basename (path) : NULL;
  const char *name = ing_json_get_string (info, "name", NULL);
  self->model_path = g_strdup (path);
  self->model_name = g_strdup (name != NULL && *name != '\0' ? name : base);
  self->device = g_strdup (ing_json_get_string (info, "device", NULL));
  self->info = info != NULL ? ing_json_print_object (info) : NULL;
  self->has_template = ing_json_get_boolean (info, "has_template", FALSE);
  self->context_size = (guint) CLAMP (ing_json_get_int (info, "context", 0), 0, G_MAXINT);
  self->parameters = (guint64) MAX (0, ing_json_get_int (info, "parameters", 0));
  self->context_used = 0;
  self->reload = FALSE;
  set_resting (self, FALSE);
  GObject *object = G_OBJECT (self);
  g_object_freeze_notify (object);
  ing_service_notify (self, PROP_MODEL_PATH);
  ing_service_notify (self, PROP_MODEL_NAME);
  ing_service_notify (self, PROP_DEVICE);
  ing_service_notify (self, PROP_HAS_TEMPLATE);
  ing_service_notify (self, PROP_CONTEXT_SIZE);
  ing_service_notify (self, PROP_CONTEXT_USED);
  g_object_thaw_notify (object);
}

static void
set_load_progress (IngGenerationService *self, double fraction)
{
  self->load_progress = CLAMP (fraction, 0, 1);
  ing_service_notify (self, PROP_LOAD_PROGRESS);
}

static GTask *
steal_load_task (IngGenerationService *self)
{
  if (self->load_handler != 0)
    g_cancellable_disconnect (g_task_get_cancellable (self->load), self->load_handler);
  self->load_handler = 0;
  return g_steal_pointer (&self->load);
}

void
ing_service_finish_load (IngGenerationService *self, JsonObject *info, const GError *error)
{
  g_autoptr (GTask) task = steal_load_task (self);
  self->load_id = 0;
  if (error == NULL)
    {
      ing_service_set_model (self, ing_json_get_string (self->model_request, "path", ""), info);
      set_load_error (self, NULL);
      set_load_progress (self, 1);
    }
  else
    {
      ing_service_set_model (self, NULL, NULL);
      if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        set_load_error (self, error);
    }
  ing_service_update_state (self);
  ing_service_schedule_pump (self);
  if (task == NULL)
    return;
  if (error == NULL)
    g_task_return_boolean (task, TRUE);
  else
    g_task_return_error (task, g_error_copy (error));
}

void
ing_service_on_load_event (IngGenerationService *self, const IngEngineEvent *event)
{
  if (event->type == ENG_WIRE_PROGRESS)
    {
      double total = ing_json_get_double (event->object, "total", 0);
      double done = ing_json_get_double (event->object, "done", 0);
      set_load_progress (self, total > 0 ? done / total : 0);
      for (GList *l = self->waiting.head; l != NULL; l = l->next)
        ing_generation_set_progress (l->data, (guint64) MAX (done, 0), (guint64) MAX (total, 0));
    }
  else if (event->type == ENG_WIRE_DONE)
    ing_service_finish_load (self, event->object, NULL);
  else if (event->type == ENG_WIRE_FAILED)
    {
      g_autoptr (GError) error = ing_service_make_error (event->object);
      const char *path = ing_json_get_string (self->model_request, "path", NULL);
      if ((error->code == ING_ERROR_NOT_FOUND || error->code == ING_ERROR_PERMISSION)
          && error->domain == ING_ERROR && ing_error_get_field (error) == NULL)
        ing_error_set_details (error, path, 0, 0, ING_ERROR_OFFSET_NONE, 0);
      ing_service_finish_load (self, NULL, error);
    }
}

static JsonObject *
make_load_request (const char *path, const IngLoadOptions *options)
{
  const IngLoadOptions defaults = ING_LOAD_OPTIONS_INIT;
  const IngLoadOptions *o = options != NULL ? options : &defaults;
  JsonObject *r = json_object_new ();
  json_object_set_string_member (r, "path", path);
  json_object_set_int_member (r, "context", o->context);
  json_object_set_string_member (r, "device", o->device != NULL && *o->device ? o->device : "auto");
  json_object_set_int_member (r, "threads", MAX (o->threads, 0));
  json_object_set_int_member (r, "gpu_layers", o->gpu_layers);
  json_object_set_int_member (r, "cpu_experts", MAX (o->cpu_experts, 0));
  json_object_set_int_member (r, "gpu_memory", (gint64) MIN (o->gpu_memory, (guint64) 1 << 52));
  if (o->kv != NULL)
    json_object_set_string_member (r, "kv", o->kv);
  if (o->load_as != NULL)
    json_object_set_string_member (r, "load_as", o->load_as);
  json_object_set_boolean_member (r, "force", o->force);
  return r;
}

gboolean
ing_service_start_load (IngGenerationService *self, JsonObject *request, GError **error)
{
  g_clear_pointer (&self->model_request, json_object_unref);
  self->model_request = request;
  if (!ing_service_ensure_link (self, error))
    return FALSE;
  self->load_id = ing_engine_link_send (self->link, ENG_WIRE_LOAD, json_object_ref (request));
  set_load_progress (self, 0);
  ing_service_update_state (self);
  return TRUE;
}

static void
on_load_cancelled (GCancellable *cancellable, gpointer data)
{
  IngGenerationService *self = data;
  if (self->load_id != 0 && self->link != NULL)
    ing_engine_link_cancel (self->link, self->load_id);
}

void
ing_generation_service_load_async (IngGenerationService *self, const char *path,
                                   const IngLoadOptions *options, GCancellable *cancellable,
                                   GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (self, cancellable, callback, user_data);
  g_task_set_check_cancellable (task, FALSE);
  g_task_set_source_tag (task, ing_generation_service_load_async);
  if (!g_utf8_validate (path, -1, NULL))
    {
      g_task_return_error (
          task, ing_error_new (ING_ERROR_NOT_FOUND, NULL, 0, 0, "the file's name is not UTF-8"));
      return;
    }
  if (self->load_id != 0) /* given up for this one */
    {
      ing_engine_link_cancel (self->link, self->load_id);
      g_autoptr (GTask) old = steal_load_task (self);
      self->load_id = 0;
      if (old != NULL)
        g_task_return_new_error (old, G_IO_ERROR, G_IO_ERROR_CANCELLED, "another model was opened");
    }
  if (self->running != NULL)
    ing_generation_service_cancel (self, self->running);
  set_load_error (self, NULL);
  ing_service_set_model (self, NULL, NULL);
  GError *error = NULL;
  if (!ing_service_start_load (self, make_load_request (path, options), &error))
    {
      set_load_error (self, error);
      ing_service_update_state (self);
      ing_service_schedule_pump (self);
      g_task_return_error (task, error);
      return;
    }
  ing_service_schedule_pump (self);
  self->load = g_steal_pointer (&task);
  if (cancellable != NULL)
    self->load_handler
        = g_cancellable_connect (cancellable, G_CALLBACK (on_load_cancelled), self, NULL);
}

gboolean
ing_generation_service_load_finish (IngGenerationService *self, GAsyncResult *result,
                                    GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}

void
ing_generation_service_unload (IngGenerationService *self)
{
  if (self->running != NULL)
    ing_generation_service_cancel (self, self->running);
  if (self->load_id != 0)
    {
      g_autoptr (GError) error
          = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_CANCELLED, "the model was closed");
      ing_engine_link_cancel (self->link, self->load_id);
      ing_service_finish_load (self, NULL, error);
    }
  if (self->link != NULL)
    ing_engine_link_send (self->link, ENG_WIRE_UNLOAD, NULL);
  ing_service_set_model (self, NULL, NULL);
  set_load_error (self, NULL);
  ing_service_update_state (self);
}
