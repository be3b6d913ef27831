/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-sampling.h"

#include <math.h>

#include "ing-json.h"

void
ing_sampling_init (IngSampling *s)
{
  *s = (IngSampling){ .temperature = 0.8,
                      .top_k = 40,
                      .top_p = 0.95,
                      .min_p = 0.05,
                      .repetition_penalty = 1.0,
                      .seed = -1 };
}

void
ing_sampling_init_for_model (IngSampling *s, guint64 parameters)
{
  ing_sampling_init (s);
  if (parameters == 0 || parameters >= 500000000)
    return;
  s->temperature = 0.3;
  s->top_p = 0.9;
  s->repetition_penalty = 1.1;
}

static double
clamp (double value, double low, double high, double fallback)
{
  return isfinite (value) ? CLAMP (value, low, high) : fallback;
}

void
ing_sampling_clamp (IngSampling *s)
{
  s->greedy = !!s->greedy;
  s->temperature = clamp (s->temperature, 0, 2, 0.8);
  s->top_k = CLAMP (s->top_k, 0, 1000000);
  s->top_p = clamp (s->top_p, 0, 1, 0.95);
  s->min_p = clamp (s->min_p, 0, 1, 0.05);
  s->repetition_penalty = clamp (s->repetition_penalty, 0.5, 2, 1);
  /* Numbers on the wire stay below 2^53. */
  s->seed = s->seed < 0 ? -1 : s->seed & ((G_GINT64_CONSTANT (1) << 53) - 1);
  s->max_tokens = MAX (s->max_tokens, 0);
}

char *
ing_sampling_to_json (const IngSampling *s)
{
  g_autoptr (JsonObject) o = json_object_new ();
  json_object_set_boolean_member (o, "greedy", s->greedy);
  json_object_set_double_member (o, "temperature", s->temperature);
  json_object_set_int_member (o, "top_k", s->top_k);
  json_object_set_double_member (o, "top_p", s->top_p);
  json_object_set_double_member (o, "min_p", s->min_p);
  json_object_set_double_member (o, "repetition_penalty", s->repetition_penalty);
  json_object_set_int_member (o, "seed", s->seed);
  json_object_set_int_member (o, "max_tokens", s->max_tokens);
  return ing_json_print_object (o);
}

void
ing_sampling_from_json (IngSampling *s, const char *json)
{
  ing_sampling_init (s);
  g_autoptr (JsonObject) o = ing_json_parse_object (json, -1, NULL);
  if (o == NULL)
    return;
  s->greedy = ing_json_get_boolean (o, "greedy", s->greedy);
  s->temperature = ing_json_get_double (o, "temperature", s->temperature);
  s->top_k = (int) CLAMP (ing_json_get_int (o, "top_k", s->top_k), 0, G_MAXINT);
  s->top_p = ing_json_get_double (o, "top_p", s->top_p);
  s->min_p = ing_json_get_double (o, "min_p", s->min_p);
  s->repetition_penalty = ing_json_get_double (o, "repetition_penalty", s->repetition_penalty);
  s->seed = ing_json_get_int (o, "seed", s->seed);
  s->max_tokens = (int) CLAMP (ing_json_get_int (o, "max_tokens", 0), 0, G_MAXINT);
  ing_sampling_clamp (s);
}
