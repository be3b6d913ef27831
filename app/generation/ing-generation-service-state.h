/* SPDX-License-Identifier: Apache-2.0 */
/* Insides of the generation service, shared by its files: the queue and the object
 * (ing-generation-service.c), loading (-model.c) and single requests (-requests.c). Main thread
 * only. */
#pragma once

#include "ing-engine-link.h"
#include "ing-generation-service-private.h"

struct _IngGenerationService
{
  GObject parent_instance;
  IngEngineLaunch launch;
  IngEngineLink *link; /* NULL = not started, or lost */
  guint32 hello_id;
  char *devices;

  IngServiceState state;
  GTask *load;         /* who asked for the load under way; NULL = nobody */
  gulong load_handler; /* of its cancellable */
  guint32 load_id;     /* 0 = no load under way */
  double load_progress;
  GError *load_error;

  char *model_path, *model_name, *device, *info;
  JsonObject *model_request; /* LOAD payload of the loaded model, to load it again */
  gboolean reload;           /* the engine was lost, or the model rests: load again before the next question */
  gboolean resting;          /* its memory was given back for want of questions */
  guint idle_s, idle_id;
  IngServiceLoader loader;
  gpointer loader_data;
  gboolean has_template;
  guint64 parameters;
  gboolean has_sampling; /* a default of the model's own */
  IngSampling sampling;
  char *system_prompt;
  guint context_size, context_used;

  GQueue waiting; /* of IngGeneration */
  IngGeneration *running;
  gboolean silent; /* @running has no word yet */
  guint n_held;
  gint awaited; /* atomic: is_answer_awaited() */
  char *vector_device;
  guint vector_threads;
  GHashTable *requests; /* wire id → Request, owned by who takes it out */
  guint pump_id;
};

enum
{
  PROP_0,
  PROP_STATE,
  PROP_MODEL_PATH,
  PROP_MODEL_NAME,
  PROP_LOAD_PROGRESS,
  PROP_LOAD_ERROR,
  PROP_CONTEXT_SIZE,
  PROP_CONTEXT_USED,
  PROP_DEVICE,
  PROP_HAS_TEMPLATE,
  PROP_N_WAITING,
  PROP_TOKENS_PER_SECOND,
  PROP_RESTING,
  N_PROPS
};

void ing_service_notify (IngGenerationService *self, int prop);
/* Say what state follows from @load_id, @running and @model_path. */
void ing_service_update_state (IngGenerationService *self);
/* Start the engine if it does not run. */
gboolean ing_service_ensure_link (IngGenerationService *self, GError **error);
/* Look at the queue at the main loop's next turn. */
void ing_service_schedule_pump (IngGenerationService *self);
/* The error that FAILED's object describes; the caller's. */
GError *ing_service_make_error (JsonObject *failed);

/* Somebody works with the model: the time without questions begins anew. */
void ing_service_touch_idle (IngGenerationService *self);

/* @path NULL = no model. @info: DONE's object of a load, or NULL. */
void ing_service_set_model (IngGenerationService *self, const char *path, JsonObject *info);
/* Send LOAD; @request is taken and kept for loading again. */
gboolean ing_service_start_load (IngGenerationService *self, JsonObject *request, GError **error);
/* End the load under way with DONE's @info or @error. */
void ing_service_finish_load (IngGenerationService *self, JsonObject *info, const GError *error);
void ing_service_on_load_event (IngGenerationService *self, const IngEngineEvent *event);

/* Answer the request that @event ends, if it is of one. */
void ing_service_end_request (IngGenerationService *self, const IngEngineEvent *event);
void ing_service_fail_requests (IngGenerationService *self, const GError *reason);
