/* SPDX-License-Identifier: Apache-2.0 */
/* Multi-head latent attention: the products of each head with a matrix of its own before and behind attention, and the
 * latents that go to the state. */
#include "eng-cpu-private.h"

#include <string.h>

typedef struct
{
  EngCpuRun *run;
  uint32_t tile_rows;
} HeadJob;

/* Columns [@at, @at + w->n_cols) of rows of @id. One chunk alone reads them: for packed weights they are quantized here, in
 * the thread's scratch (a head's part need not begin at a block of the whole row). */
static EngCpuInput
head_input (const EngCpuRun *run, uint32_t i_thread, EngBufferId id, uint32_t r0, uint32_t n_rows, uint32_t at,
            const EngCpuWeight *w)
{
  EngCpuInput input = { eng_cpu_row (run, id, r0) + at, run->bound->program->buffers[id].width, .n_rows = n_rows };
  if (w->pack == ENG_PACK_NONE)
    return input;
  uint8_t *memory = (uint8_t *) eng_cpu_scratch (run, i_thread, 1);
  size_t n = (size_t) n_rows * w->n_cols;
  input.tile = (EngQuantTile) { .meta = (float *) (void *) memory, .n_rows = n_rows };
  memory += n / 32 * ENG_QUANT_META * sizeof (float);
  if (run->k->wants_q16)
    {
      input.tile.q16 = (int16_t *) (void *) memory;
      memory += n * sizeof (int16_t);
    }
  input.tile.q = (int8_t *) memory;
  for (uint32_t r = 0; r < n_rows; r++)
    run->k->quantize (input.x + r * input.stride, w->n_cols, &input.tile, r);
  return input;
}

/* Head @head of the rows from @r0: dst[r][to ..) = W[head] * src[r][from ..). */
static void
multiply_head (const EngCpuRun *run, uint32_t i_thread, const EngCpuWeight *w, uint32_t head, uint32_t r0, uint32_t n_rows,
               uint32_t from, uint32_t to)
{
  const EngStep *s = run->step;
  EngCpuInput input = head_input (run, i_thread, s->src, r0, n_rows, from, w);
  for (uint64_t j0 = 0; j0 < w->n_rows; j0 += ENG_CPU_MAX_CHUNK)
    {
      uint64_t j1 = j0 + ENG_CPU_MAX_CHUNK < w->n_rows ? j0 + ENG_CPU_MAX_CHUNK : w->n_rows;
      size_t stride;
      const float *y = eng_cpu_product (run, i_thread, 0, w, head, j0, j1, &input, &stride);
      for (uint32_t r = 0; r < n_rows; r++)
        memcpy (eng_cpu_row (run, s->dst, r0 + r) + to + j0, y + r * stride, (j1 - j0) * sizeof (float));
    }
}

static HeadJob
head_job (EngCpuRun *run, const EngCpuWeight *w)
{
  uint32_t width = w->n_rows < ENG_CPU_MAX_CHUNK ? (uint32_t) w->n_rows : ENG_CPU_MAX_CHUNK;
  return (HeadJob) { run, eng_cpu_tile_rows (w, NULL, NULL, width, false) };
}

static void
store_latent (const EngCpuRun *run, uint32_t r)
{
  const EngStep *s = run->step;
  float key[ENG_CPU_MAX_KEY];
  const float *x = eng_cpu_row (run, s->aux, r);
  run->k->rms_norm (x, eng_cpu_vector (run, s->w[0]), s->u.latent.eps, key, s->u.latent.n_latent);
  memcpy (key + s->u.latent.n_latent, x + s->u.latent.n_latent, s->u.latent.n_rot * sizeof (float));
  eng_cpu_rotate (run, &s->u.latent.rope, r, key + s->u.latent.n_latent);
  eng_cpu_store_key (run, s->u.latent.group, s->u.latent.i_layer_in_group, r, 0, key);
}

/* One head's queries of a tile of rows, or behind the last head their keys. */
static void
latent_chunk (void *data, uint32_t i_chunk, uint32_t i_thread)
{
  HeadJob *job = data;
  const EngCpuRun *run = job->run;
  const EngStep *s = run->step;
  uint32_t n_head = s->u.latent.n_head, head = i_chunk % (n_head + 1), r0 = i_chunk / (n_head + 1) * job->tile_rows;
  uint32_t n_rows = eng_cpu_min (job->tile_rows, run->n_rows - r0), n_rot = s->u.latent.n_rot;
  if (head == n_head)
    {
      for (uint32_t r = 0; r < n_rows; r++)
        store_latent (run, r0 + r);
      return;
    }
  uint32_t from = head * (s->u.latent.n_plain + n_rot), to = head * (s->u.latent.n_latent + n_rot);
  multiply_head (run, i_thread, &run->bound->weights[s->w[1]], head, r0, n_rows, from, to);
  for (uint32_t r = 0; r < n_rows; r++)
    {
      float *rotated = eng_cpu_row (run, s->dst, r0 + r) + to + s->u.latent.n_latent;
      memcpy (rotated, eng_cpu_row (run, s->src, r0 + r) + from + s->u.latent.n_plain, n_rot * sizeof (float));
      eng_cpu_rotate (run, &s->u.latent.rope, r0 + r, rotated);
    }
}

void
eng_cpu_step_latent (EngCpuRun *run)
{
  const EngStep *s = run->step;
  HeadJob job = head_job (run, &run->bound->weights[s->w[1]]);
  uint32_t n_tiles = (run->n_rows + job.tile_rows - 1) / job.tile_rows;
  eng_cpu_for (run, n_tiles * (s->u.latent.n_head + 1), latent_chunk, &job);
}

static void
heads_chunk (void *data, uint32_t i_chunk, uint32_t i_thread)
{
  HeadJob *job = data;
  const EngCpuRun *run = job->run;
  const EngStep *s = run->step;
  const EngCpuWeight *w = &run->bound->weights[s->w[0]];
  uint32_t head = i_chunk % s->u.heads.n_head, r0 = i_chunk / s->u.heads.n_head * job->tile_rows;
  multiply_head (run, i_thread, w, head, r0, eng_cpu_min (job->tile_rows, run->n_rows - r0),
                 head * (uint32_t) w->n_cols, head * (uint32_t) w->n_rows);
}

void
eng_cpu_step_heads (EngCpuRun *run)
{
  const EngStep *s = run->step;
  HeadJob job = head_job (run, &run->bound->weights[s->w[0]]);
  eng_cpu_for (run, (run->n_rows + job.tile_rows - 1) / job.tile_rows * s->u.heads.n_head, heads_chunk, &job);
}
