/* SPDX-License-Identifier: Apache-2.0 */
/* Mixture of experts: the router and the chosen experts' products. */
#include "eng-cpu-private.h"

#include <math.h>
#include <string.h>

enum
{
  GATING_SOFTMAX = 0,
  GATING_SIGMOID = 1,
  GATING_SOFTMAX_CHOSEN = 2,
};

/* Keep the best @n_keep of @n_groups groups of experts: a group's score is that of its best, or with @two the sum of
 * its two best (DeepSeek-V3 technical report, arXiv 2412.19437, section 2.1.2). The rest becomes -infinity. */
static void
keep_groups (float *selection, uint32_t n, uint32_t n_groups, uint32_t n_keep, bool two)
{
  uint32_t size = n / n_groups;
  float score[ENG_CPU_MAX_EXPERTS];
  for (uint32_t g = 0; g < n_groups; g++)
    {
      float a = -INFINITY, b = -INFINITY;
      for (uint32_t i = g * size; i < (g + 1) * size; i++)
        if (selection[i] > a)
          b = a, a = selection[i];
        else if (selection[i] > b)
          b = selection[i];
      score[g] = size > 1 && two ? a + b : a;
    }
  for (uint32_t drop = n_groups - n_keep; drop > 0; drop--)
    {
      uint32_t worst = UINT32_MAX;
      for (uint32_t g = 0; g < n_groups; g++)
        if (!isnan (score[g]) && (worst == UINT32_MAX || score[g] <= score[worst]))
          worst = g;
      if (worst == UINT32_MAX)
        return;
      score[worst] = NAN;
      for (uint32_t i = worst * size; i < (worst + 1) * size; i++)
        selection[i] = -INFINITY;
    }
}

static void
softmax (const EngKernels *k, float *x, uint32_t n)
{
  float max = x[0];
  for (uint32_t i = 1; i < n; i++)
    max = fmaxf (max, x[i]);
  float sum = k->exp_sum (x, max, n);
  for (uint32_t i = 0; i < n; i++)
    x[i] /= sum;
}

static void
choose (const EngCpuRun *run, float *scores, float *out)
{
  const EngStep *s = run->step;
  uint32_t n = s->u.route.n_expert, n_used = s->u.route.n_used;
  const float *bias = eng_cpu_vector (run, s->w[1]);
  float selection[ENG_CPU_MAX_EXPERTS], sum = 0;
  if (s->u.route.gating == GATING_SOFTMAX)
    softmax (run->k, scores, n);
  else if (s->u.route.gating == GATING_SIGMOID)
    for (uint32_t i = 0; i < n; i++)
      scores[i] = 1.0f / (1.0f + expf (-scores[i]));
  for (uint32_t i = 0; i < n; i++)
    selection[i] = scores[i] + (bias != NULL ? bias[i] : 0);
  uint32_t n_groups = s->u.route.n_groups, n_keep = s->u.route.n_groups_used;
  if (n_groups > 1 && n_keep < n_groups && n % n_groups == 0)
    keep_groups (selection, n, n_groups, n_keep, s->u.route.n_group_best == 2);
  float *weights = out + n_used;
  for (uint32_t j = 0; j < n_used; j++)
    {
      uint32_t best = 0;
      for (uint32_t i = 1; i < n; i++)
        if (isnan (selection[best]) || selection[i] > selection[best])
          best = i;
      out[j] = (float) best;
      weights[j] = scores[best];
      selection[best] = NAN; /* taken: never compares as greater */
    }
  if (s->u.route.gating == GATING_SOFTMAX_CHOSEN)
    softmax (run->k, weights, n_used);
  for (uint32_t j = 0; j < n_used; j++)
    sum += weights[j];
  /* 6.1e-5, the smallest normal half, is what the published routers divide by at least. */
  float scale = s->u.route.scale != 0 ? s->u.route.scale : 1.0f;
  if (s->u.route.normalize)
    scale /= fmaxf (sum, 6.103515625e-5f);
  const float *own = eng_cpu_vector (run, s->w[3]);
  for (uint32_t j = 0; j < n_used; j++)
    weights[j] *= own ? scale * own[(uint32_t) out[j]] : scale;
}

/* Rows of a tile: scores go to the thread's scratch in slices, then are gathered row by row. */
static void
route_chunk (void *data, uint32_t i_chunk, uint32_t i_thread)
{
  EngCpuRun *run = data;
  const EngStep *s = run->step;
  const EngCpuWeight *w = &run->bound->weights[s->w[0]];
  const float *bias = eng_cpu_vector (run, s->w[2]);
  uint32_t r0 = i_chunk * ENG_CPU_ROW_TILE, n = s->u.route.n_expert;
  uint32_t n_rows = eng_cpu_min (ENG_CPU_ROW_TILE, run->n_rows - r0);
  EngCpuInput input = eng_cpu_input (run, s->src, r0, n_rows);
  float *scores = eng_cpu_scratch (run, i_thread, 1); /* two parts: 64 x 1024 */
  for (uint32_t j0 = 0; j0 < n; j0 += ENG_CPU_MAX_CHUNK)
    {
      uint32_t m = eng_cpu_min (ENG_CPU_MAX_CHUNK, n - j0);
      size_t stride;
      const float *y = eng_cpu_product (run, i_thread, 0, w, 0, j0, j0 + m, &input, &stride);
      for (uint32_t r = 0; r < n_rows; r++)
        for (uint32_t i = 0; i < m; i++)
          scores[(size_t) r * n + j0 + i] = y[r * stride + i] + (bias != NULL ? bias[j0 + i] : 0);
    }
  for (uint32_t r = 0; r < n_rows; r++)
    choose (run, scores + (size_t) r * n, eng_cpu_row (run, s->dst, r0 + r));
}

void
eng_cpu_step_route (EngCpuRun *run)
{
  eng_cpu_quantize (run, run->step->src);
  eng_cpu_for (run, (run->n_rows + ENG_CPU_ROW_TILE - 1) / ENG_CPU_ROW_TILE, route_chunk, run);
}

/* Slots are the chosen experts of all rows, ordered by expert, so that an expert's weights meet all of
 * its rows at once; a tile is a run of at most ENG_CPU_ROW_TILE slots of one expert. The experts run
 * as loops over (tile, slice of a product), so that a single row still feeds all threads. */
typedef struct
{
  EngCpuRun *run;
  uint32_t n_used, n_slots, n_tiles, n_ff, n_out;
  uint32_t width, n_slices; /* of the product at work */
} ExpertJob;

static void
order_slots (ExpertJob *job)
{
  EngCpuRun *run = job->run;
  EngState *state = run->state;
  uint32_t n_expert = run->step->u.experts.n_expert, counts[ENG_CPU_MAX_EXPERTS + 1] = { 0 };
  for (uint32_t r = 0; r < run->n_rows; r++)
    for (uint32_t j = 0; j < job->n_used; j++)
      counts[eng_cpu_min ((uint32_t) eng_cpu_row (run, run->step->aux, r)[j], n_expert - 1) + 1]++;
  for (uint32_t e = 0; e < n_expert; e++)
    {
      for (uint32_t at = 0; at < counts[e + 1]; at += ENG_CPU_ROW_TILE)
        {
          state->experts.tile_experts[job->n_tiles] = e;
          state->experts.tiles[job->n_tiles++] = (EngCpuRowGroup){
            counts[e] + at, eng_cpu_min (ENG_CPU_ROW_TILE, counts[e + 1] - at)
          };
        }
      counts[e + 1] += counts[e];
    }
  for (uint32_t r = 0; r < run->n_rows; r++)
    for (uint32_t j = 0; j < job->n_used; j++)
      {
        uint32_t e = eng_cpu_min ((uint32_t) eng_cpu_row (run, run->step->aux, r)[j], n_expert - 1);
        uint32_t slot = counts[e]++;
        state->experts.slots[slot] = r * job->n_used + j;
        state->experts.slot_of[r * job->n_used + j] = slot;
      }
}

static void
quantize_tile (const ExpertJob *job, EngCpuQuant *quant, const EngCpuRowGroup *tile, bool hidden)
{
  EngCpuRun *run = job->run;
  EngQuantTile to = eng_cpu_tile (quant, tile->first, tile->n);
  for (uint32_t i = 0; i < tile->n; i++)
    {
      uint32_t slot = tile->first + i;
      const float *from
          = hidden ? run->state->experts.hidden + (size_t) slot * job->n_ff
                   : eng_cpu_row (run, run->step->src, run->state->experts.slots[slot] / job->n_used);
      run->k->quantize (from, hidden ? job->n_ff : run->bound->program->buffers[run->step->src].width,
                        &to, i);
    }
}

static void
quantize_src_chunk (void *data, uint32_t i, uint32_t i_thread)
{
  ExpertJob *job = data;
  (void) i_thread;
  quantize_tile (job, &job->run->state->experts.src, &job->run->state->experts.tiles[i], false);
}

static void
quantize_hidden_chunk (void *data, uint32_t i, uint32_t i_thread)
{
  ExpertJob *job = data;
  (void) i_thread;
  quantize_tile (job, &job->run->state->experts.hidden_quant, &job->run->state->experts.tiles[i], true);
}

/* Slots [first, first + n) as input of a product of @w. Rows of float weights' inputs are not
 * neighbours: those take one slot at a time. */
static EngCpuInput
slot_input (const ExpertJob *job, const EngCpuWeight *w, bool hidden, uint32_t first, uint32_t n)
{
  EngCpuRun *run = job->run;
  EngCpuInput input = { .n_rows = n };
  input.x = hidden ? run->state->experts.hidden + (size_t) first * job->n_ff
                   : eng_cpu_row (run, run->step->src, run->state->experts.slots[first] / job->n_used);
  input.stride = job->n_ff;
  if (w->pack != ENG_PACK_NONE)
    input.tile = eng_cpu_tile (hidden ? &run->state->experts.hidden_quant : &run->state->experts.src,
                               first, n);
  return input;
}

static void
hidden_chunk (void *data, uint32_t i_chunk, uint32_t i_thread)
{
  ExpertJob *job = data;
  EngCpuRun *run = job->run;
  const EngStep *s = run->step;
  const EngCpuRowGroup *tile = &run->state->experts.tiles[i_chunk / job->n_slices];
  uint32_t expert = run->state->experts.tile_experts[i_chunk / job->n_slices];
  uint32_t j0 = i_chunk % job->n_slices * job->width, n = eng_cpu_min (job->width, job->n_ff - j0);
  const EngCpuWeight *gate_w = &run->bound->weights[s->w[0]], *up_w = &run->bound->weights[s->w[1]];
  const float *gate_bias = eng_cpu_vector (run, s->w[3]), *up_bias = eng_cpu_vector (run, s->w[4]);
  size_t at = (size_t) expert * job->n_ff + j0, gate_stride, up_stride;
  bool packed = gate_w->pack != ENG_PACK_NONE && up_w->pack != ENG_PACK_NONE;
  uint32_t step = packed ? tile->n : 1;
  for (uint32_t i = 0; i < tile->n; i += step)
    {
      uint32_t first = tile->first + i;
      EngCpuInput gate_in = slot_input (job, gate_w, false, first, step);
      EngCpuInput up_in = slot_input (job, up_w, false, first, step);
      float *gate = eng_cpu_product (run, i_thread, 0, gate_w, expert, j0, j0 + n, &gate_in, &gate_stride);
      float *up = eng_cpu_product (run, i_thread, 1, up_w, expert, j0, j0 + n, &up_in, &up_stride);
      for (uint32_t r = 0; r < step; r++, gate += gate_stride, up += up_stride)
        {
          for (uint32_t c = 0; gate_bias != NULL && c < n; c++)
            gate[c] += gate_bias[at + c];
          for (uint32_t c = 0; up_bias != NULL && c < n; c++)
            up[c] += up_bias[at + c];
          eng_cpu_glu (run->k, s->u.experts.act, gate, up,
                       run->state->experts.hidden + (size_t) (first + r) * job->n_ff + j0, n);
        }
    }
}

static void
down_chunk (void *data, uint32_t i_chunk, uint32_t i_thread)
{
  ExpertJob *job = data;
  EngCpuRun *run = job->run;
  const EngStep *s = run->step;
  const EngCpuRowGroup *tile = &run->state->experts.tiles[i_chunk / job->n_slices];
  uint32_t expert = run->state->experts.tile_experts[i_chunk / job->n_slices];
  uint32_t j0 = i_chunk % job->n_slices * job->width, n = eng_cpu_min (job->width, job->n_out - j0);
  const EngCpuWeight *w = &run->bound->weights[s->w[2]];
  const float *bias = eng_cpu_vector (run, s->w[5]);
  size_t stride;
  uint32_t step = w->pack != ENG_PACK_NONE ? tile->n : 1;
  for (uint32_t i = 0; i < tile->n; i += step)
    {
      uint32_t first = tile->first + i;
      EngCpuInput input = slot_input (job, w, true, first, step);
      float *y = eng_cpu_product (run, i_thread, 0, w, expert, j0, j0 + n, &input, &stride);
      for (uint32_t r = 0; r < step; r++, y += stride)
        {
          float *out = run->state->experts.out + (size_t) (first + r) * job->n_out + j0;
          for (uint32_t c = 0; c < n; c++)
            out[c] = y[c] + (bias != NULL ? bias[(size_t) expert * job->n_out + j0 + c] : 0);
        }
    }
}

/* A row's experts are summed in the order of its choice, whatever its neighbours chose. */
static void
sum_chunk (void *data, uint32_t r, uint32_t i_thread)
{
  ExpertJob *job = data;
  EngCpuRun *run = job->run;
  const float *weights = eng_cpu_row (run, run->step->aux, r) + job->n_used;
  float *out = eng_cpu_row (run, run->step->dst, r);
  (void) i_thread;
  if ((run->step->flags & ENG_STEP_ADD_AFTER) == 0)
    memset (out, 0, job->n_out * sizeof (float));
  for (uint32_t j = 0; j < job->n_used; j++)
    {
      size_t slot = run->state->experts.slot_of[r * job->n_used + j];
      run->k->axpy (weights[j], run->state->experts.out + slot * job->n_out, out, job->n_out);
    }
}

static void
cut_slices (ExpertJob *job, uint32_t n)
{
  uint32_t parts = 4 * eng_thread_pool_get_n_threads (job->run->bound->device->pool);
  parts = parts > job->n_tiles ? (parts + job->n_tiles - 1) / job->n_tiles : 1;
  job->width = eng_cpu_min (((n + parts - 1) / parts + 31) / 32 * 32, ENG_CPU_MAX_CHUNK);
  job->n_slices = (n + job->width - 1) / job->width;
}

void
eng_cpu_step_experts (EngCpuRun *run)
{
  const EngStep *s = run->step;
  const EngCpuWeight *w = run->bound->weights;
  ExpertJob job = { .run = run, .n_used = s->u.experts.n_used, .n_ff = (uint32_t) w[s->w[0]].n_rows };
  job.n_out = run->bound->program->buffers[s->dst].width;
  job.n_slots = run->n_rows * job.n_used;
  order_slots (&job);
  if (w[s->w[0]].pack != ENG_PACK_NONE || w[s->w[1]].pack != ENG_PACK_NONE)
    eng_cpu_for (run, job.n_tiles, quantize_src_chunk, &job);
  cut_slices (&job, job.n_ff);
  eng_cpu_for (run, job.n_tiles * job.n_slices, hidden_chunk, &job);
  if (w[s->w[2]].pack != ENG_PACK_NONE)
    eng_cpu_for (run, job.n_tiles, quantize_hidden_chunk, &job);
  cut_slices (&job, job.n_out);
  eng_cpu_for (run, job.n_tiles * job.n_slices, down_chunk, &job);
  eng_cpu_for (run, run->n_rows, sum_chunk, &job);
}
