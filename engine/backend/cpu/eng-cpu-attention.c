/* SPDX-License-Identifier: Apache-2.0 */
/* Attention over blocks of keys and values. */
#include "eng-cpu-private.h"

#include <math.h>
#include <string.h>

/* One query head of one row, block by block with a running maximum (Milakov and Gimelshein, "Online
 * normalizer calculation for softmax", arXiv 1805.02867): what was summed so far is scaled down when
 * a block raises the maximum. */
typedef struct
{
  const EngCpuRun *run;
  const float *q;
  float *out; /* [v_width] */
  float max, sum;
} Head;

static void
read_keys (const EngCpuRun *run, const uint8_t *keys, uint32_t p, float *k)
{
  uint32_t width = run->step->u.attention.k_width;
  size_t at = (size_t) (p / ENG_CPU_KEY_GROUP) * width * ENG_CPU_KEY_GROUP + p % ENG_CPU_KEY_GROUP;
  if (run->state->options.k_type == ENG_TYPE_F32)
    for (uint32_t i = 0; i < width; i++)
      k[i] = ((const float *) (const void *) keys)[at + (size_t) i * ENG_CPU_KEY_GROUP];
  else
    for (uint32_t i = 0; i < width; i++)
      run->k->half_to_float ((const uint16_t *) (const void *) keys + at
                                 + (size_t) i * ENG_CPU_KEY_GROUP,
                             k + i, 1);
}

static void
attend_block (Head *head, const uint8_t *keys, const uint8_t *values, uint32_t p0, uint32_t p1)
{
  const EngCpuRun *run = head->run;
  const EngStep *s = run->step;
  float scores[ENG_KV_BLOCK], row[ENG_CPU_MAX_CHUNK], max = head->max;
  for (uint32_t p = p0; p < p1; p++)
    {
      read_keys (run, keys, p, row);
      float score = run->k->dot (head->q, row, s->u.attention.k_width) * s->u.attention.scale;
      if (s->u.attention.soft_cap > 0)
        score = s->u.attention.soft_cap * tanhf (score / s->u.attention.soft_cap);
      scores[p] = score;
      max = fmaxf (max, score);
    }
  uint32_t width = s->u.attention.v_width;
  if (max > head->max)
    {
      float scale = expf (head->max - max);
      for (uint32_t i = 0; i < width; i++)
        head->out[i] *= scale;
      head->sum *= scale;
      head->max = max;
    }
  head->sum += run->k->exp_sum (scores + p0, max, p1 - p0);
  for (uint32_t p = p0; p < p1; p++)
    {
      const float *v = (const float *) (const void *) values + (size_t) p * width;
      if (run->state->options.v_type != ENG_TYPE_F32)
        {
          run->k->half_to_float ((const uint16_t *) (const void *) values + (size_t) p * width, row,
                                 width);
          v = row;
        }
      run->k->axpy (scores[p], v, head->out, width);
    }
}

/* Positions that a row sees: [*first, *end). */
static void
row_span (const EngCpuRun *run, uint32_t r, uint32_t *first, uint32_t *end)
{
  const EngStep *s = run->step;
  const EngRow *row = &run->batch->rows[r];
  uint32_t window = s->u.attention.window;
  *first = 0;
  *end = row->position[0] + 1;
  if (!s->u.attention.causal)
    *end = run->batch->sequences[row->i_sequence].n_positions;
  else if (window != 0 && *end > window)
    *first = *end - window;
}

static void
attention_chunk (void *data, uint32_t i_chunk, uint32_t i_thread)
{
  EngCpuRun *run = data;
  const EngStep *s = run->step;
  (void) i_thread;
  uint32_t n_head = s->u.attention.n_head, h = i_chunk % n_head, r = i_chunk / n_head;
  uint32_t kv_head = h / (n_head / s->u.attention.n_head_kv), width = s->u.attention.v_width;
  const EngRow *row = &run->batch->rows[r];
  const EngCpuGroup *g = &run->state->groups[s->u.attention.group];
  const uint32_t *table = run->batch->sequences[row->i_sequence].tables[s->u.attention.group];
  const float *sinks = eng_cpu_vector (run, s->w[0]);
  Head head = { run, eng_cpu_row (run, s->src, r) + (size_t) h * s->u.attention.k_width,
                eng_cpu_row (run, s->dst, r) + (size_t) h * width, -INFINITY, 0 };
  memset (head.out, 0, width * sizeof (float));
  if (sinks != NULL)
    head.max = sinks[h], head.sum = 1;
  uint32_t first, end;
  row_span (run, r, &first, &end);
  for (uint32_t b = first / ENG_KV_BLOCK; b * ENG_KV_BLOCK < end; b++)
    {
      const uint8_t *keys = g->data + table[b] * g->block_bytes
                            + s->u.attention.i_layer_in_group * g->layer_bytes
                            + kv_head * g->k_head_bytes;
      const uint8_t *values = keys - kv_head * g->k_head_bytes
                              + s->u.attention.n_head_kv * g->k_head_bytes
                              + kv_head * g->v_head_bytes;
      uint32_t base = b * ENG_KV_BLOCK, p0 = first > base ? first - base : 0;
      attend_block (&head, keys, values, p0, eng_cpu_min (ENG_KV_BLOCK, end - base));
    }
  float scale = head.sum > 0 ? 1.0f / head.sum : 0;
  for (uint32_t i = 0; i < width; i++)
    head.out[i] *= scale;
}

void
eng_cpu_step_attention (EngCpuRun *run)
{
  eng_cpu_for (run, run->n_rows * run->step->u.attention.n_head, attention_chunk, run);
}
