/* SPDX-License-Identifier: Apache-2.0 */
/* Single requests to the engine beside answers and loads. */
#include "ing-generation-service-state.h"

#include "ing-json.h"

typedef struct
{
  IngGenerationService *service; /* not owned */
  guint32 id;
  GTask *task;
  gulong handler; /* of its cancellable */
} Request;

/* Returns the task, the caller's; frees the rest. */
static GTask *
request_end (Request *request)
{
  GTask *task = request->task;
  if (request->handler != 0)
    g_cancellable_disconnect (g_task_get_cancellable (task), request->handler);
  g_free (request);
  return task;
}

void
ing_engine_reply_free (IngEngineReply *reply)
{
  if (reply == NULL)
    return;
  g_clear_pointer (&reply->object, json_object_unref);
  g_clear_pointer (&reply->binary, g_bytes_unref);
  g_free (reply);
}

void
ing_service_end_request (IngGenerationService *self, const IngEngineEvent *event)
{
  Request *request = NULL;
  if (!g_hash_table_steal_extended (self->requests, GUINT_TO_POINTER (event->id), NULL,
                                    (gpointer *) &request))
    return;
  g_autoptr (GTask) task = request_end (request);
  if (event->type == ENG_WIRE_FAILED)
    {
      g_task_return_error (task, ing_service_make_error (event->object));
      return;
    }
  IngEngineReply *reply = g_new0 (IngEngineReply, 1);
  reply->object = event->object != NULL ? json_object_ref (event->object) : NULL;
  reply->binary = event->binary != NULL ? g_bytes_ref (event->binary) : NULL;
  g_task_return_pointer (task, reply, (GDestroyNotify) ing_engine_reply_free);
}

void
ing_service_fail_requests (IngGenerationService *self, const GError *reason)
{
  g_autoptr (GHashTable) requests = g_steal_pointer (&self->requests);
  self->requests = g_hash_table_new (NULL, NULL);
  GHashTableIter iter;
  gpointer request;
  g_hash_table_iter_init (&iter, requests);
  while (g_hash_table_iter_next (&iter, NULL, &request))
    {
      g_autoptr (GTask) task = request_end (request);
      g_task_return_error (task, g_error_copy (reason));
    }
}

static void
on_request_cancelled (GCancellable *cancellable, gpointer data)
{
  Request *request = data;
  if (request->service->link != NULL)
    ing_engine_link_cancel (request->service->link, request->id);
}

void
ing_generation_service_request_async (IngGenerationService *self, EngWireType type,
                                      JsonObject *payload, GCancellable *cancellable,
                                      GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (self, cancellable, callback, user_data);
  g_autoptr (JsonObject) owned = payload;
  GError *error = NULL;
  g_task_set_source_tag (task, ing_generation_service_request_async);
  if (g_task_return_error_if_cancelled (task))
    return;
  if (!ing_service_ensure_link (self, &error))
    {
      g_task_return_error (task, error);
      return;
    }
  if (type == ENG_WIRE_EMBED && self->vector_device != NULL)
    {
      json_object_set_string_member (owned, "device", self->vector_device);
      json_object_set_int_member (owned, "threads", self->vector_threads);
    }
  if (type == ENG_WIRE_COUNT) /* somebody writes a question */
    ing_service_touch_idle (self);
  Request *request = g_new0 (Request, 1);
  request->service = self;
  request->id = ing_engine_link_send (self->link, type, g_steal_pointer (&owned));
  request->task = g_steal_pointer (&task);
  g_hash_table_insert (self->requests, GUINT_TO_POINTER (request->id), request);
  if (cancellable != NULL)
    request->handler
        = g_cancellable_connect (cancellable, G_CALLBACK (on_request_cancelled), request, NULL);
}

void
ing_generation_service_set_vector_device (IngGenerationService *self, const char *device, guint threads)
{
  g_free (self->vector_device);
  self->vector_device = g_strdup (device);
  self->vector_threads = threads;
}

IngEngineReply *
ing_generation_service_request_finish (IngGenerationService *self, GAsyncResult *result,
                                       GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

static void
on_inspected (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  GError *error = NULL;
  g_autoptr (IngEngineReply) reply
      = ing_generation_service_request_finish (ING_GENERATION_SERVICE (source), result, &error);
  if (reply == NULL)
    g_task_return_error (task, error);
  else
    g_task_return_pointer (task, ing_json_print_object (reply->object), g_free);
}

void
ing_generation_service_inspect_async (IngGenerationService *self, const char *path,
                                      GCancellable *cancellable, GAsyncReadyCallback callback,
                                      gpointer user_data)
{
  JsonObject *payload = json_object_new ();
  g_autofree char *valid = g_utf8_make_valid (path, -1);
  json_object_set_string_member (payload, "path", valid);
  ing_generation_service_request_async (self, ENG_WIRE_INSPECT, payload, cancellable, on_inspected,
                                        g_task_new (self, cancellable, callback, user_data));
}

char *
ing_generation_service_inspect_finish (IngGenerationService *self, GAsyncResult *result,
                                       GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}
