/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-generation.h"

#include "ing-error-private.h"

G_DEFINE_FINAL_TYPE (IngGeneration, ing_generation, G_TYPE_OBJECT)

enum
{
  CHANGED,
  TEXT,
  FINISHED,
  N_SIGNALS
};
static guint signals[N_SIGNALS];

static void
ing_generation_finalize (GObject *object)
{
  IngGeneration *self = ING_GENERATION (object);
  g_clear_pointer (&self->request, json_object_unref);
  g_clear_error (&self->error);
  g_free (self->wanted_model);
  g_free (self->model_name);
  g_free (self->model_path);
  g_free (self->device);
  G_OBJECT_CLASS (ing_generation_parent_class)->finalize (object);
}

static void
ing_generation_class_init (IngGenerationClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = ing_generation_finalize;
  GType type = G_TYPE_FROM_CLASS (klass);
  signals[CHANGED] = g_signal_new ("changed", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                   G_TYPE_NONE, 0);
  signals[TEXT] = g_signal_new ("text", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE,
                                1, G_TYPE_STRING);
  signals[FINISHED] = g_signal_new ("finished", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                    G_TYPE_NONE, 0);
}

static void
ing_generation_init (IngGeneration *self)
{
  ing_sampling_init (&self->sampling);
  self->seconds_left = -1;
  self->seed = -1;
  self->status = ING_STATUS_QUEUED;
}

IngGeneration *
ing_generation_new (JsonObject *request)
{
  IngGeneration *self = g_object_new (ING_TYPE_GENERATION, NULL);
  self->request = request;
  return self;
}

void
ing_generation_set_status (IngGeneration *self, IngMessageStatus status)
{
  if (self->status == status)
    return;
  self->status = status;
  self->progress_done = self->progress_total = 0;
  self->seconds_left = -1;
  if (status == ING_STATUS_READING)
    self->started_us = g_get_monotonic_time ();
  g_signal_emit (self, signals[CHANGED], 0);
}

void
ing_generation_set_progress (IngGeneration *self, guint64 done, guint64 total)
{
  gint64 now = g_get_monotonic_time ();
  self->progress_done = done;
  self->progress_total = total;
  /* Cached tokens make the first report jump: the rate is trusted from 0.3 s on. */
  if (self->status == ING_STATUS_READING && done > 0 && total >= done
      && now - self->started_us > 300000)
    self->seconds_left
        = (double) (now - self->started_us) / G_USEC_PER_SEC / (double) done * (total - done);
  g_signal_emit (self, signals[CHANGED], 0);
}

void
ing_generation_take_tokens (IngGeneration *self, const char *text, JsonObject *counts)
{
  self->n_tokens = (guint) CLAMP (ing_json_get_int (counts, "n_tokens", self->n_tokens), 0,
                                  G_MAXINT);
  self->n_context = (guint) CLAMP (ing_json_get_int (counts, "n_context", self->n_context), 0,
                                   G_MAXINT);
  self->text_us = MAX (0, ing_json_get_int (counts, "us", 0));
  if (self->n_tokens > 1 && self->text_us > 0)
    self->tokens_per_second = (self->n_tokens - 1) * (double) G_USEC_PER_SEC / self->text_us;
  if (self->first_token_us == 0)
    self->first_token_us = g_get_monotonic_time () - self->submitted_us;
  ing_generation_set_status (self, ING_STATUS_WRITING);
  if (*text != '\0')
    g_signal_emit (self, signals[TEXT], 0, text);
  g_signal_emit (self, signals[CHANGED], 0);
}

static IngStopReason
parse_stop_reason (const char *name)
{
  if (g_strcmp0 (name, "length") == 0)
    return ING_STOP_LENGTH;
  if (g_strcmp0 (name, "context") == 0)
    return ING_STOP_CONTEXT;
  if (g_strcmp0 (name, "cancel") == 0)
    return ING_STOP_PERSON;
  return ING_STOP_END;
}

static guint
get_count (JsonObject *object, const char *name, guint fallback)
{
  return (guint) CLAMP (ing_json_get_int (object, name, fallback), 0, G_MAXINT);
}

void
ing_generation_finish (IngGeneration *self, JsonObject *done)
{
  if (self->finished)
    return;
  self->finished = TRUE;
  self->stop_reason = parse_stop_reason (ing_json_get_string (done, "stop_reason", "eog"));
  self->n_prompt = get_count (done, "n_prompt", 0);
  self->n_cached = get_count (done, "n_cached", 0);
  self->n_tokens = get_count (done, "n_generated", self->n_tokens);
  self->n_context = get_count (done, "n_context", self->n_context);
  self->context = get_count (done, "context", 0);
  self->prefill_us = ing_json_get_int (done, "prefill_us", 0);
  self->decode_us = ing_json_get_int (done, "decode_us", self->text_us);
  self->seed = ing_json_get_int (done, "seed", -1);
  /* The first token belongs to the prefill. */
  if (self->decode_us > 0 && self->n_tokens > 1)
    self->tokens_per_second = (self->n_tokens - 1) * (double) G_USEC_PER_SEC / self->decode_us;
  self->status = ING_STATUS_NONE;
  g_signal_emit (self, signals[FINISHED], 0);
}

void
ing_generation_fail (IngGeneration *self, const GError *error)
{
  if (self->finished)
    return;
  self->finished = TRUE;
  self->status = ING_STATUS_NONE;
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    self->stop_reason = ING_STOP_PERSON;
  else
    self->error = g_error_copy (error);
  g_signal_emit (self, signals[FINISHED], 0);
}
