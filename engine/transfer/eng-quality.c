/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-quality.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define PREFIX "inglenook.quality."

enum
{
  PERPLEXITY,
  PERPLEXITY_ERROR,
  SOURCE_PERPLEXITY,
  MEAN_KL,
  KL_99,
  SAME_TOP,
  N_FLOATS
};
static const char *const float_names[N_FLOATS] = { "perplexity", "perplexity_error", "source_perplexity",
                                                   "mean_kl",    "kl_99",            "same_top" };

static void
get_floats (const EngQuality *q, double values[N_FLOATS])
{
  values[PERPLEXITY] = q->perplexity;
  values[PERPLEXITY_ERROR] = q->perplexity_error;
  values[SOURCE_PERPLEXITY] = q->reference_perplexity;
  values[MEAN_KL] = q->mean_kl;
  values[KL_99] = q->kl_99;
  values[SAME_TOP] = q->same_top;
}

EngStatus
eng_quality_store (EngGgufWriter *writer, const EngQualityRecord *record, EngError *error)
{
  const EngQuality *q = &record->quality;
  double values[N_FLOATS];
  char key[64];
  get_floats (q, values);
  EngStatus status = eng_gguf_writer_set_u32 (writer, PREFIX "positions", (uint32_t) q->n_positions, error);
  if (status == ENG_OK)
    status = eng_gguf_writer_set_u32 (writer, PREFIX "chunk", q->chunk, error);
  for (int i = 0; i < N_FLOATS && status == ENG_OK; i++)
    {
      snprintf (key, sizeof key, PREFIX "%s", float_names[i]);
      status = eng_gguf_writer_set_f32 (writer, key, (float) values[i], error);
    }
  if (status == ENG_OK)
    status = eng_gguf_writer_set_string (writer, PREFIX "text", record->text, error);
  return status == ENG_OK ? eng_gguf_writer_set_string (writer, PREFIX "source", record->source, error) : status;
}

static bool
read_name (const EngGguf *gguf, const char *key, char name[ENG_QUALITY_NAME_BYTES])
{
  EngGgufString s;
  if (eng_gguf_get_string (gguf, key, &s, NULL) != ENG_OK)
    return false;
  snprintf (name, ENG_QUALITY_NAME_BYTES, "%.*s", (int) (s.n_bytes < ENG_QUALITY_NAME_BYTES ? s.n_bytes : 0), s.data);
  return true;
}

bool
eng_quality_read (const EngGguf *gguf, EngQualityRecord *record)
{
  double values[N_FLOATS];
  char key[64];
  uint32_t positions = 0, chunk = 0;
  if (eng_gguf_get_u32 (gguf, PREFIX "positions", &positions, NULL) != ENG_OK || positions == 0
      || eng_gguf_get_u32 (gguf, PREFIX "chunk", &chunk, NULL) != ENG_OK
      || !read_name (gguf, PREFIX "text", record->text) || !read_name (gguf, PREFIX "source", record->source))
    return false;
  for (int i = 0; i < N_FLOATS; i++)
    {
      float value;
      snprintf (key, sizeof key, PREFIX "%s", float_names[i]);
      if (eng_gguf_get_f32 (gguf, key, &value, NULL) != ENG_OK || !isfinite (value) || value < 0.0f)
        return false;
      values[i] = value;
    }
  record->quality = (EngQuality) { .n_positions = positions,
                                   .chunk = chunk,
                                   .perplexity = values[PERPLEXITY],
                                   .perplexity_error = values[PERPLEXITY_ERROR],
                                   .reference_perplexity = values[SOURCE_PERPLEXITY],
                                   .mean_kl = values[MEAN_KL],
                                   .kl_99 = values[KL_99],
                                   .same_top = values[SAME_TOP] };
  return true;
}

bool
eng_quality_is_key (EngGgufString key)
{
  return key.n_bytes >= strlen (PREFIX) && memcmp (key.data, PREFIX, strlen (PREFIX)) == 0;
}

void
eng_quality_write_json (EngJsonWriter *w, const EngQualityRecord *record)
{
  double values[N_FLOATS];
  get_floats (&record->quality, values);
  eng_json_write_begin_object (w);
  for (int i = 0; i < N_FLOATS; i++)
    eng_json_write_member_double (w, float_names[i], values[i]);
  eng_json_write_member_int64 (w, "positions", (int64_t) record->quality.n_positions);
  eng_json_write_member_int64 (w, "chunk", record->quality.chunk);
  eng_json_write_member_string (w, "text", record->text);
  eng_json_write_member_string (w, "source", record->source);
  eng_json_write_end_object (w);
}

void
eng_quality_write_member (EngJsonWriter *w, const EngGguf *gguf)
{
  EngQualityRecord record;
  if (!eng_quality_read (gguf, &record))
    return;
  eng_json_write_key (w, "quality");
  eng_quality_write_json (w, &record);
}
