/* SPDX-License-Identifier: Apache-2.0 */
/* Invariants:
 *  1. At most one GENERATE is with the engine (@running); the others wait in @waiting, oldest first.
 *  2. @load is the load that counts; an answer to an older one is ignored.
 *  3. @model_path is set exactly when a model is loaded, or was when the engine was lost or the model laid to rest (@reload).
 *  4. A question that wants a model is answered by that model or fails with the reason why it cannot be loaded. */
#include "ing-generation-service-state.h"

#include "ing-error-engine.h"
#include "ing-log.h"

G_DEFINE_FINAL_TYPE (IngGenerationService, ing_generation_service, G_TYPE_OBJECT)

#define MAX_LOAD_TRIES 3 /* of the model that a question wants */

static GParamSpec *props[N_PROPS];

void
ing_service_notify (IngGenerationService *self, int prop)
{
  g_object_notify_by_pspec (G_OBJECT (self), props[prop]);
}

static void
update_awaited (IngGenerationService *self)
{
  gboolean next = self->running == NULL && self->load_id == 0 && !g_queue_is_empty (&self->waiting);
  g_atomic_int_set (&self->awaited, self->n_held > 0 || self->silent || next);
}

void
ing_service_update_state (IngGenerationService *self)
{
  update_awaited (self);
  IngServiceState state = ING_SERVICE_NO_MODEL;
  if (self->load_id != 0)
    state = ING_SERVICE_LOADING;
  else if (self->running != NULL)
    state = ING_SERVICE_GENERATING;
  else if (self->model_path != NULL)
    state = ING_SERVICE_READY;
  if (state != self->state)
    {
      self->state = state;
      ing_service_notify (self, PROP_STATE);
    }
  ing_service_touch_idle (self);
}

/* ------------------------------------------------------------------ answers of the engine */

GError *
ing_service_make_error (JsonObject *failed)
{
  gint64 offset = ing_json_get_int (failed, "offset", -1);
  return ing_error_from_engine (
      ing_json_get_int (failed, "code", 0), ing_json_get_string (failed, "text", NULL),
      ing_json_get_string (failed, "field", NULL), offset >= 0 ? (guint64) offset : ENG_OFFSET_NONE,
      (guint) CLAMP (ing_json_get_int (failed, "line", 0), 0, G_MAXINT),
      (guint64) MAX (0, ing_json_get_int (failed, "needed", 0)),
      (guint64) MAX (0, ing_json_get_int (failed, "available", 0)));
}

static void
set_silent (IngGenerationService *self, gboolean silent)
{
  self->silent = silent;
  update_awaited (self);
}

void
ing_generation_service_hold (IngGenerationService *self)
{
  self->n_held++;
  update_awaited (self);
}

void
ing_generation_service_let_go (IngGenerationService *self)
{
  g_return_if_fail (self->n_held > 0);
  self->n_held--;
  update_awaited (self);
}

static void
set_context_used (IngGenerationService *self, guint used)
{
  if (self->context_used == used)
    return;
  self->context_used = used;
  ing_service_notify (self, PROP_CONTEXT_USED);
}

/* The running one ended: let go of it before its listeners hear, who may ask again. */
static IngGeneration *
release_running (IngGenerationService *self)
{
  IngGeneration *generation = g_steal_pointer (&self->running);
  set_silent (self, FALSE);
  ing_service_update_state (self);
  ing_service_schedule_pump (self);
  return generation;
}

static void
on_generation_event (IngGenerationService *self, const IngEngineEvent *event)
{
  IngGeneration *running = self->running;
  switch (event->type)
    {
    case ENG_WIRE_PROGRESS:
      ing_generation_set_progress (running,
                                   (guint64) MAX (0, ing_json_get_int (event->object, "done", 0)),
                                   (guint64) MAX (0, ing_json_get_int (event->object, "total", 0)));
      break;
    case ENG_WIRE_TOKENS:
      set_silent (self, FALSE);
      ing_generation_take_tokens (running, event->text->str, event->object);
      set_context_used (self, running->n_context);
      ing_service_notify (self, PROP_TOKENS_PER_SECOND);
      break;
    case ENG_WIRE_DONE:
      {
        g_autoptr (IngGeneration) generation = release_running (self);
        ing_generation_finish (generation, event->object);
        set_context_used (self, generation->n_context);
        break;
      }
    case ENG_WIRE_FAILED:
      {
        g_autoptr (IngGeneration) generation = release_running (self);
        g_autoptr (GError) error = ing_service_make_error (event->object);
        ing_generation_fail (generation, error);
        break;
      }
    default:
      break;
    }
}

static void
on_hello (IngGenerationService *self, JsonObject *object)
{
  JsonArray *devices = ing_json_get_array (object, "devices");
  if (devices == NULL)
    return;
  g_autoptr (JsonNode) node = json_node_new (JSON_NODE_ARRAY);
  json_node_set_array (node, devices);
  g_free (self->devices);
  self->devices = ing_json_print (node, FALSE);
}

static void
on_event (IngEngineLink *link, const IngEngineEvent *event, gpointer data)
{
  g_autoptr (IngGenerationService) self = g_object_ref (data);
  if (event->id == self->load_id)
    ing_service_on_load_event (self, event);
  else if (self->running != NULL && event->id == self->running->wire_id)
    on_generation_event (self, event);
  else if (event->id == self->hello_id && event->type == ENG_WIRE_DONE)
    on_hello (self, event->object);
  else if (event->type == ENG_WIRE_DONE || event->type == ENG_WIRE_EMBEDDINGS
           || event->type == ENG_WIRE_FAILED)
    ing_service_end_request (self, event);
}

static void
drop_link (IngGenerationService *self)
{
  if (self->link == NULL)
    return;
  ing_engine_link_close (self->link);
  g_clear_object (&self->link);
}

static void
on_lost (IngEngineLink *link, const GError *error, gpointer data)
{
  g_autoptr (IngGenerationService) self = g_object_ref (data);
  g_autoptr (GError) reason = g_error_copy (error);
  if (!g_error_matches (reason, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    ing_info ("engine lost: %s", reason->message);
  drop_link (self);
  ing_service_fail_requests (self, reason);
  if (self->load_id != 0)
    ing_service_finish_load (self, NULL, reason);
  else
    self->reload = self->model_path != NULL;
  if (self->running != NULL)
    {
      g_autoptr (IngGeneration) generation = release_running (self);
      ing_generation_fail (generation, reason);
    }
}

gboolean
ing_service_ensure_link (IngGenerationService *self, GError **error)
{
  static const IngEngineLinkHandler handler = { on_event, on_lost };
  if (self->link != NULL)
    return TRUE;
  self->link = ing_engine_link_new (&self->launch, &handler, self, error);
  if (self->link == NULL)
    return FALSE;
  JsonObject *hello = json_object_new ();
  json_object_set_int_member (hello, "version", ENG_WIRE_VERSION);
  self->hello_id = ing_engine_link_send (self->link, ENG_WIRE_HELLO, hello);
  return TRUE;
}

/* ------------------------------------------------------------------ the queue */

static void
fail_waiting (IngGenerationService *self, const GError *error)
{
  g_autoptr (GQueue) waiting = g_queue_new ();
  while (!g_queue_is_empty (&self->waiting))
    g_queue_push_tail (waiting, g_queue_pop_head (&self->waiting));
  update_awaited (self);
  ing_service_notify (self, PROP_N_WAITING);
  IngGeneration *generation;
  while ((generation = g_queue_pop_head (waiting)) != NULL)
    {
      ing_generation_fail (generation, error);
      g_object_unref (generation);
    }
}

static void
fail_head (IngGenerationService *self, const GError *error)
{
  g_autoptr (IngGeneration) head = g_queue_pop_head (&self->waiting);
  update_awaited (self);
  ing_service_notify (self, PROP_N_WAITING);
  ing_service_schedule_pump (self);
  ing_generation_fail (head, error);
}

/* The model's own instructions, before everything else. */
static void
put_default_prompt (IngGenerationService *self, JsonObject *request)
{
  JsonArray *messages = ing_json_get_array (request, "messages");
  if (messages == NULL || self->system_prompt == NULL || *self->system_prompt == '\0')
    return;
  JsonArray *all = json_array_new ();
  JsonObject *first = json_object_new ();
  json_object_set_string_member (first, "role", "system");
  json_object_set_string_member (first, "content", self->system_prompt);
  json_array_add_object_element (all, first);
  for (guint i = 0; i < json_array_get_length (messages); i++)
    json_array_add_element (all, json_array_dup_element (messages, i));
  json_object_set_array_member (request, "messages", all);
}

static JsonObject *
make_sampling (const IngSampling *s)
{
  JsonObject *o = json_object_new ();
  json_object_set_boolean_member (o, "greedy", s->greedy);
  json_object_set_double_member (o, "temperature", s->temperature);
  json_object_set_int_member (o, "top_k", s->top_k);
  json_object_set_double_member (o, "top_p", s->top_p);
  json_object_set_double_member (o, "min_p", s->min_p);
  json_object_set_double_member (o, "repetition_penalty", s->repetition_penalty);
  json_object_set_int_member (o, "seed", s->seed);
  return o;
}

static void
start_next (IngGenerationService *self)
{
  IngGeneration *generation = g_queue_pop_head (&self->waiting);
  IngSampling *sampling = &generation->sampling;
  if (!generation->sampling_chosen)
    ing_generation_service_get_default_sampling (self, sampling);
  if (generation->default_prompt)
    put_default_prompt (self, generation->request);
  json_object_set_object_member (generation->request, "sampling", make_sampling (sampling));
  json_object_set_int_member (generation->request, "max_tokens", sampling->max_tokens);
  self->running = generation;
  set_silent (self, TRUE);
  generation->model_name = g_strdup (self->model_name);
  generation->model_path = g_strdup (self->model_path);
  generation->device = g_strdup (self->device);
  generation->context = self->context_size;
  generation->wire_id
      = ing_engine_link_send (self->link, ENG_WIRE_GENERATE, json_object_ref (generation->request));
  ing_service_notify (self, PROP_N_WAITING);
  ing_service_update_state (self);
  ing_generation_set_status (generation, ING_STATUS_READING);
  for (GList *l = self->waiting.head; l != NULL; l = l->next)
    ing_generation_set_status (l->data, ING_STATUS_QUEUED);
}

/* All that wait hear that a model is being loaded; those that want it need not ask for it. */
static void
tell_loading (IngGenerationService *self)
{
  const char *path = ing_json_get_string (self->model_request, "path", "");
  for (GList *l = self->waiting.head; l != NULL; l = l->next)
    {
      IngGeneration *waiting = l->data;
      if (g_strcmp0 (waiting->wanted_model, path) == 0)
        waiting->n_tries = MAX (waiting->n_tries, 1);
      ing_generation_set_status (waiting, ING_STATUS_MODEL_LOADING);
    }
}

static gboolean
wants_other (IngGenerationService *self)
{
  IngGeneration *head = g_queue_peek_head (&self->waiting);
  return self->loader != NULL && head->wanted_model != NULL && g_strcmp0 (head->wanted_model, self->model_path) != 0;
}

/* Invariant 4. A load can be given up for another that the person asked for meanwhile: then it is tried again. */
static void
load_wanted (IngGenerationService *self)
{
  IngGeneration *head = g_queue_peek_head (&self->waiting);
  if (head->n_tries > 0 && (self->load_error != NULL || head->n_tries >= MAX_LOAD_TRIES))
    {
      g_autoptr (GError) error = self->load_error != NULL
                                     ? g_error_copy (self->load_error)
                                     : g_error_new_literal (ING_ERROR, ING_ERROR_NO_MODEL, "its model is not loaded");
      fail_head (self, error);
      return;
    }
  g_autofree char *path = g_strdup (head->wanted_model);
  head->n_tries++;
  ing_generation_set_status (head, ING_STATUS_MODEL_LOADING);
  self->loader (path, self->loader_data);
  ing_service_schedule_pump (self);
}

static gboolean
pump (gpointer data)
{
  g_autoptr (IngGenerationService) self = g_object_ref (data);
  self->pump_id = 0;
  if (self->running != NULL || g_queue_is_empty (&self->waiting))
    return G_SOURCE_REMOVE;
  g_autoptr (GError) error = NULL;
  if (self->load_id != 0)
    {
      tell_loading (self);
      return G_SOURCE_REMOVE;
    }
  if (wants_other (self))
    {
      load_wanted (self);
      return G_SOURCE_REMOVE;
    }
  if (self->model_path == NULL)
    {
      if (self->load_error != NULL)
        error = g_error_copy (self->load_error);
      else
        g_set_error_literal (&error, ING_ERROR, ING_ERROR_NO_MODEL, "no model is loaded");
      fail_head (self, error);
      return G_SOURCE_REMOVE;
    }
  if (self->reload)
    {
      ing_info ("loading the model again");
      if (!ing_service_start_load (self, json_object_ref (self->model_request), &error))
        fail_waiting (self, error);
      else
        ing_service_schedule_pump (self); /* says that they wait for the model */
      return G_SOURCE_REMOVE;
    }
  if (!ing_service_ensure_link (self, &error))
    fail_waiting (self, error);
  else
    start_next (self);
  return G_SOURCE_REMOVE;
}

void
ing_service_schedule_pump (IngGenerationService *self)
{
  if (self->pump_id != 0 || g_queue_is_empty (&self->waiting))
    return;
  GSource *source = g_idle_source_new ();
  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, pump, self, NULL);
  self->pump_id = g_source_attach (source, g_main_context_get_thread_default ());
  g_source_unref (source);
}

void
ing_generation_service_submit (IngGenerationService *self, IngGeneration *generation)
{
  g_return_if_fail (ING_IS_GENERATION (generation) && !generation->finished);
  generation->submitted_us = g_get_monotonic_time ();
  g_queue_push_tail (&self->waiting, g_object_ref (generation));
  update_awaited (self);
  ing_service_notify (self, PROP_N_WAITING);
  if (self->running != NULL)
    ing_generation_set_status (generation, ING_STATUS_QUEUED);
  ing_service_schedule_pump (self);
}

void
ing_generation_service_cancel (IngGenerationService *self, IngGeneration *generation)
{
  if (generation->finished || generation->cancelled)
    return;
  generation->cancelled = TRUE;
  if (generation == self->running)
    {
      if (self->link != NULL)
        ing_engine_link_cancel (self->link, generation->wire_id);
      return; /* it finishes with the engine's answer */
    }
  if (g_queue_remove (&self->waiting, generation))
    {
      g_autoptr (GError) error = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_CANCELLED, "stopped");
      update_awaited (self);
      ing_service_notify (self, PROP_N_WAITING);
      ing_generation_fail (generation, error);
      g_object_unref (generation);
    }
}

/* ------------------------------------------------------------------ object */

void
ing_generation_service_close (IngGenerationService *self)
{
  g_autoptr (GError) error
      = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_CANCELLED, "the program ends");
  g_clear_handle_id (&self->pump_id, g_source_remove);
  self->idle_s = 0;
  if (self->link != NULL)
    {
      if (self->running != NULL)
        ing_engine_link_cancel (self->link, self->running->wire_id);
      on_lost (self->link, error, self);
    }
  fail_waiting (self, error);
  g_clear_handle_id (&self->pump_id, g_source_remove);
  self->reload = FALSE;
  ing_service_set_model (self, NULL, NULL);
  ing_service_update_state (self);
}

int
ing_generation_service_get_engine_pid (IngGenerationService *self)
{
  return self->link != NULL ? ing_engine_link_get_pid (self->link) : 0;
}

static void
ing_generation_service_dispose (GObject *object)
{
  ing_generation_service_close (ING_GENERATION_SERVICE (object));
  G_OBJECT_CLASS (ing_generation_service_parent_class)->dispose (object);
}

static void
ing_generation_service_finalize (GObject *object)
{
  IngGenerationService *self = ING_GENERATION_SERVICE (object);
  g_clear_pointer (&self->requests, g_hash_table_unref);
  g_clear_pointer (&self->model_request, json_object_unref);
  g_clear_error (&self->load_error);
  g_free (self->devices);
  g_free (self->model_path);
  g_free (self->model_name);
  g_free (self->device);
  g_free (self->info);
  g_free (self->system_prompt);
  g_free (self->vector_device);
  g_free ((char *) self->launch.program);
  G_OBJECT_CLASS (ing_generation_service_parent_class)->finalize (object);
}

static void
ing_generation_service_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  IngGenerationService *self = ING_GENERATION_SERVICE (object);
  switch (id)
    {
    case PROP_STATE:
      g_value_set_int (value, self->state);
      break;
    case PROP_MODEL_PATH:
      g_value_set_string (value, self->model_path);
      break;
    case PROP_MODEL_NAME:
      g_value_set_string (value, self->model_name);
      break;
    case PROP_LOAD_PROGRESS:
      g_value_set_double (value, self->load_progress);
      break;
    case PROP_LOAD_ERROR:
      g_value_set_boxed (value, self->load_error);
      break;
    case PROP_CONTEXT_SIZE:
      g_value_set_uint (value, self->context_size);
      break;
    case PROP_CONTEXT_USED:
      g_value_set_uint (value, self->context_used);
      break;
    case PROP_DEVICE:
      g_value_set_string (value, self->device);
      break;
    case PROP_HAS_TEMPLATE:
      g_value_set_boolean (value, self->has_template);
      break;
    case PROP_N_WAITING:
      g_value_set_uint (value, self->waiting.length);
      break;
    case PROP_TOKENS_PER_SECOND:
      g_value_set_double (value, self->running != NULL ? self->running->tokens_per_second : 0);
      break;
    case PROP_RESTING:
      g_value_set_boolean (value, self->resting);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
ing_generation_service_class_init (IngGenerationServiceClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  const GParamFlags flags = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY;
  object_class->dispose = ing_generation_service_dispose;
  object_class->finalize = ing_generation_service_finalize;
  object_class->get_property = ing_generation_service_get_property;
  props[PROP_STATE] = g_param_spec_int ("state", NULL, NULL, ING_SERVICE_NO_MODEL,
                                        ING_SERVICE_GENERATING, ING_SERVICE_NO_MODEL, flags);
  props[PROP_MODEL_PATH] = g_param_spec_string ("model-path", NULL, NULL, NULL, flags);
  props[PROP_MODEL_NAME] = g_param_spec_string ("model-name", NULL, NULL, NULL, flags);
  props[PROP_LOAD_PROGRESS] = g_param_spec_double ("load-progress", NULL, NULL, 0, 1, 0, flags);
  props[PROP_LOAD_ERROR] = g_param_spec_boxed ("load-error", NULL, NULL, G_TYPE_ERROR, flags);
  props[PROP_CONTEXT_SIZE] = g_param_spec_uint ("context-size", NULL, NULL, 0, G_MAXUINT, 0, flags);
  props[PROP_CONTEXT_USED] = g_param_spec_uint ("context-used", NULL, NULL, 0, G_MAXUINT, 0, flags);
  props[PROP_DEVICE] = g_param_spec_string ("device", NULL, NULL, NULL, flags);
  props[PROP_HAS_TEMPLATE] = g_param_spec_boolean ("has-template", NULL, NULL, FALSE, flags);
  props[PROP_N_WAITING] = g_param_spec_uint ("n-waiting", NULL, NULL, 0, G_MAXUINT, 0, flags);
  props[PROP_TOKENS_PER_SECOND]
      = g_param_spec_double ("tokens-per-second", NULL, NULL, 0, G_MAXDOUBLE, 0, flags);
  props[PROP_RESTING] = g_param_spec_boolean ("resting", NULL, NULL, FALSE, flags);
  g_object_class_install_properties (object_class, N_PROPS, props);
}

static void
ing_generation_service_init (IngGenerationService *self)
{
  self->requests = g_hash_table_new (NULL, NULL);
}

gboolean
ing_generation_service_is_answer_awaited (IngGenerationService *self)
{
  return g_atomic_int_get (&self->awaited);
}

IngGenerationService *
ing_generation_service_new (const IngEngineLaunch *launch)
{
  IngGenerationService *self = g_object_new (ING_TYPE_GENERATION_SERVICE, NULL);
  if (launch != NULL)
    ing_generation_service_set_launch (self, launch);
  return self;
}

void
ing_generation_service_set_launch (IngGenerationService *self, const IngEngineLaunch *launch)
{
  g_free ((char *) self->launch.program);
  self->launch = *launch;
  self->launch.program = g_strdup (launch->program);
}

void
ing_generation_service_set_loader (IngGenerationService *self, IngServiceLoader loader, gpointer data)
{
  self->loader = loader;
  self->loader_data = data;
}

IngServiceState
ing_generation_service_get_state (IngGenerationService *self)
{
  return self->state;
}

const char *
ing_generation_service_get_model_path (IngGenerationService *self)
{
  return self->model_path;
}

const char *
ing_generation_service_get_model_name (IngGenerationService *self)
{
  return self->model_name;
}

double
ing_generation_service_get_load_progress (IngGenerationService *self)
{
  return self->load_progress;
}

const GError *
ing_generation_service_get_load_error (IngGenerationService *self)
{
  return self->load_error;
}

guint
ing_generation_service_get_context_size (IngGenerationService *self)
{
  return self->context_size;
}

guint
ing_generation_service_get_context_used (IngGenerationService *self)
{
  return self->context_used;
}

const char *
ing_generation_service_get_device (IngGenerationService *self)
{
  return self->device;
}

gboolean
ing_generation_service_get_has_template (IngGenerationService *self)
{
  return self->has_template;
}

void
ing_generation_service_set_defaults (IngGenerationService *self, const IngSampling *sampling, const char *system_prompt)
{
  self->has_sampling = sampling != NULL;
  if (sampling != NULL)
    self->sampling = *sampling;
  g_free (self->system_prompt);
  self->system_prompt = g_strdup (system_prompt);
}

void
ing_generation_service_get_default_sampling (IngGenerationService *self, IngSampling *out)
{
  if (self->has_sampling)
    *out = self->sampling;
  else
    ing_sampling_init_for_model (out, self->parameters);
}

const char *
ing_generation_service_get_default_prompt (IngGenerationService *self)
{
  return self->system_prompt != NULL ? self->system_prompt : "";
}

guint64
ing_generation_service_get_parameters (IngGenerationService *self)
{
  return self->parameters;
}

guint
ing_generation_service_get_n_waiting (IngGenerationService *self)
{
  return self->waiting.length;
}

const char *
ing_generation_service_get_model_info (IngGenerationService *self)
{
  return self->info;
}

const char *
ing_generation_service_get_devices (IngGenerationService *self)
{
  return self->devices;
}
