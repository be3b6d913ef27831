/* SPDX-License-Identifier: Apache-2.0 */
/* One answer being made: what is asked, where it stands, what came. Made by a conversation, run by the
 * service. Main thread only. */
#pragma once

#include <json-glib/json-glib.h>

#include "ing-message.h"

#define ING_TYPE_GENERATION (ing_generation_get_type ())
G_DECLARE_FINAL_TYPE (IngGeneration, ing_generation, ING, GENERATION, GObject)

/* Signals:
 *   "changed"  status or progress
 *   "text" (const char *): whole characters, at most once a frame
 *   "finished" (): once; see error and stop_reason */

struct _IngGeneration
{
  GObject parent_instance;

  /* Set before it is submitted. */
  JsonObject *request; /* the payload of GENERATE, without sampling and max_tokens */
  gboolean sampling_chosen; /* else the service puts in what suits the model */
  IngSampling sampling;
  gboolean default_prompt; /* the model's own instructions go first, where it has some */
  char *wanted_model;      /* path; NULL = whichever is loaded */

  /* Set by the service. */
  IngMessageStatus status; /* MODEL_LOADING, QUEUED, READING, WRITING */
  guint64 progress_done, progress_total;
  double seconds_left; /* < 0 = unknown */
  gint64 submitted_us, started_us; /* monotonic; 0 = not yet */
  guint32 wire_id;     /* 0 = not sent */
  gboolean cancelled;
  guint n_tries; /* to load its model */
  gboolean finished;
  GError *error; /* NULL = fine */
  IngStopReason stop_reason;
  guint n_tokens, n_prompt, n_cached, n_context, context;
  gint64 text_us; /* since the first token */
  gint64 first_token_us, prefill_us, decode_us, seed;
  double tokens_per_second;
  char *model_name, *model_path, *device; /* that answered; NULL until it began */
};

/* @request is taken. */
IngGeneration *ing_generation_new (JsonObject *request);

/* For the service. */
void ing_generation_set_status (IngGeneration *self, IngMessageStatus status);
void ing_generation_set_progress (IngGeneration *self, guint64 done, guint64 total);
void ing_generation_take_tokens (IngGeneration *self, const char *text, JsonObject *counts);
void ing_generation_finish (IngGeneration *self, JsonObject *done);
void ing_generation_fail (IngGeneration *self, const GError *error);
