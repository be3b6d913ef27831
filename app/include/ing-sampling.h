/* SPDX-License-Identifier: Apache-2.0 */
/* How an answer's next token is chosen. Plain values; copy freely. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct
{
  gboolean greedy;           /* always the likeliest token; the rest is ignored */
  double temperature;        /* 0 … 2 */
  int top_k;                 /* 0 = off */
  double top_p;              /* 0 … 1, 1 = off */
  double min_p;              /* 0 … 1, 0 = off */
  double repetition_penalty; /* 1 = off */
  gint64 seed;               /* -1 = another one each time */
  int max_tokens;            /* of one answer; 0 = until the context is full */
} IngSampling;

/* 0.8, 40, 0.95, 0.05, 1.0, random, no limit. */
void ing_sampling_init (IngSampling *sampling);
/* The same, but for a small model (under 0.5 G parameters) cooler and with a light penalty: at the usual
 * values such models often fall into a loop that ends with the context only (seen with SmolLM2-135M).
 * @parameters 0 = unknown. */
void ing_sampling_init_for_model (IngSampling *sampling, guint64 parameters);
/* Bring every value into its range; NaN becomes the default. */
void ing_sampling_clamp (IngSampling *sampling);
/* One JSON object and back; members that are absent or of another type keep their default. */
char *ing_sampling_to_json (const IngSampling *sampling);
void ing_sampling_from_json (IngSampling *sampling, const char *json);

G_END_DECLS
