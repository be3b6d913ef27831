/* SPDX-License-Identifier: Apache-2.0 */
/* Pooling: rows of a sequence become one embedding or one score. */
#include "eng-cpu-private.h"

#include <math.h>
#include <string.h>

/* Rows of sequence @i in the batch: they stand together. */
static uint32_t
sequence_rows (const EngCpuRun *run, uint32_t i, uint32_t *first)
{
  uint32_t n = 0;
  *first = 0;
  for (uint32_t r = 0; r < run->n_rows; r++)
    if (run->batch->rows[r].i_sequence == i)
      {
        if (n == 0)
          *first = r;
        n++;
      }
  return n;
}

static void
head_product (const EngCpuRun *run, EngWeightId w, EngWeightId b, const float *x, float *y, float *row)
{
  const EngCpuWeight *weight = &run->bound->weights[w];
  const float *bias = eng_cpu_vector (run, b);
  eng_cpu_product (run->bound, weight, 0, 0, weight->n_rows, x, 0, 1, y, weight->n_rows, row);
  for (uint64_t i = 0; bias != NULL && i < weight->n_rows; i++)
    y[i] += bias[i];
}

static void
pool_chunk (void *data, uint32_t i, uint32_t i_thread)
{
  EngCpuRun *run = data;
  const EngStep *s = run->step;
  const EngProgram *program = run->bound->program;
  uint32_t width = program->buffers[s->src].width, first, n = sequence_rows (run, i, &first);
  float *x = (float *) (void *) run->state->scratch[i_thread].data;
  float *y = x + (size_t) ENG_CPU_ROW_TILE * ENG_CPU_MAX_CHUNK;
  float *row = x + (size_t) 3 * ENG_CPU_ROW_TILE * ENG_CPU_MAX_CHUNK;
  float *out = run->run->output + (size_t) i * program->n_output;
  memset (out, 0, program->n_output * sizeof (float));
  if (n == 0)
    return;
  if (s->u.pool.kind == ENG_POOL_MEAN)
    {
      memset (x, 0, width * sizeof (float));
      for (uint32_t r = 0; r < n; r++)
        run->k->axpy (1.0f / (float) n, eng_cpu_row (run, s->src, first + r), x, width);
    }
  else
    memcpy (x, eng_cpu_row (run, s->src, s->u.pool.kind == ENG_POOL_LAST ? first + n - 1 : first),
            width * sizeof (float));
  uint64_t n_out = width;
  if (s->w[0] != ENG_WEIGHT_NONE)
    {
      head_product (run, s->w[0], s->w[1], x, y, row);
      n_out = run->bound->weights[s->w[0]].n_rows;
      eng_cpu_act (run->k, s->u.pool.head_act, y, n_out);
      memcpy (x, y, n_out * sizeof (float));
    }
  if (s->w[2] != ENG_WEIGHT_NONE)
    {
      head_product (run, s->w[2], s->w[3], x, y, row);
      n_out = run->bound->weights[s->w[2]].n_rows;
      memcpy (x, y, n_out * sizeof (float));
    }
  if (n_out > program->n_output)
    n_out = program->n_output;
  float scale = 1.0f;
  if (s->u.pool.normalize)
    scale = 1.0f / fmaxf (sqrtf (run->k->dot (x, x, n_out)), 1e-12f);
  for (uint64_t c = 0; c < n_out; c++)
    out[c] = x[c] * scale;
}

void
eng_cpu_step_pool (EngCpuRun *run)
{
  eng_cpu_for (run, run->batch->n_sequences, pool_chunk, run);
}
