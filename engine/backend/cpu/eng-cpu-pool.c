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

/* y = W x + b. A quantized head's input is made into a tile of its own. */
static void
head_product (const EngCpuRun *run, uint32_t i_thread, EngWeightId w, EngWeightId b, const float *x,
              float *y)
{
  const EngCpuWeight *weight = &run->bound->weights[w];
  const float *bias = eng_cpu_vector (run, b);
  EngCpuInput input = { x, weight->n_cols, .n_rows = 1 };
  if (weight->pack != ENG_PACK_NONE)
    {
      /* Behind the weights' part: see scratch_bytes, 16 floats a column. */
      float *memory = eng_cpu_scratch (run, i_thread, ENG_CPU_PARTS);
      input.tile = (EngQuantTile){ (int8_t *) memory, (int16_t *) (void *) (memory + weight->n_cols),
                                   memory + 2 * weight->n_cols, 1 };
      run->k->quantize (x, weight->n_cols, &input.tile, 0);
    }
  for (uint64_t j = 0; j < weight->n_rows; j += ENG_CPU_MAX_CHUNK)
    {
      uint64_t end = j + ENG_CPU_MAX_CHUNK < weight->n_rows ? j + ENG_CPU_MAX_CHUNK : weight->n_rows;
      size_t stride;
      const float *part = eng_cpu_product (run, i_thread, 2, weight, 0, j, end, &input, &stride);
      for (uint64_t i = j; i < end; i++)
        y[i] = part[i - j] + (bias != NULL ? bias[i] : 0);
    }
}

static void
pool_chunk (void *data, uint32_t i, uint32_t i_thread)
{
  EngCpuRun *run = data;
  const EngStep *s = run->step;
  const EngProgram *program = run->bound->program;
  uint32_t width = program->buffers[s->src].width, first, n = sequence_rows (run, i, &first);
  float *x = eng_cpu_scratch (run, i_thread, 0), *y = eng_cpu_scratch (run, i_thread, 1);
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
      head_product (run, i_thread, s->w[0], s->w[1], x, y);
      n_out = run->bound->weights[s->w[0]].n_rows;
      eng_cpu_act (run->k, s->u.pool.head_act, y, n_out);
      memcpy (x, y, n_out * sizeof (float));
    }
  if (s->w[2] != ENG_WEIGHT_NONE)
    {
      head_product (run, i_thread, s->w[2], s->w[3], x, y);
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
