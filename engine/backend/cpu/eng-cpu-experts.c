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

/* Keep the best @n_keep of @n_groups groups of experts: a group's score is the sum of its two best
 * (DeepSeek-V3 technical report, arXiv 2412.19437, section 2.1.2). The rest becomes -infinity. */
static void
keep_groups (float *selection, uint32_t n, uint32_t n_groups, uint32_t n_keep)
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
      score[g] = size > 1 ? a + b : a;
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
    keep_groups (selection, n, n_groups, n_keep);
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
  for (uint32_t j = 0; j < n_used; j++)
    weights[j] *= scale;
}

static void
route_chunk (void *data, uint32_t r, uint32_t i_thread)
{
  EngCpuRun *run = data;
  const EngStep *s = run->step;
  float *scratch = (float *) (void *) run->state->scratch[i_thread].data;
  float *scores = scratch, *row = scratch + (size_t) 3 * ENG_CPU_ROW_TILE * ENG_CPU_MAX_CHUNK;
  const float *bias = eng_cpu_vector (run, s->w[2]);
  eng_cpu_product (run->bound, &run->bound->weights[s->w[0]], 0, 0, s->u.route.n_expert,
                   eng_cpu_row (run, s->src, r), 0, 1, scores, s->u.route.n_expert, row);
  for (uint32_t i = 0; bias != NULL && i < s->u.route.n_expert; i++)
    scores[i] += bias[i];
  choose (run, scores, eng_cpu_row (run, s->dst, r));
}

void
eng_cpu_step_route (EngCpuRun *run)
{
  eng_cpu_for (run, run->n_rows, route_chunk, run);
}

/* The experts run in two loops: hidden values of every (row, chosen expert), then the sums of the down
 * products. Chunks are slices of a product, so that a single row still feeds all threads. */
typedef struct
{
  EngCpuRun *run;
  uint32_t width, n_slices, n_ff;
} ExpertJob;

static uint32_t
chosen_expert (const EngCpuRun *run, uint32_t r, uint32_t j)
{
  return (uint32_t) eng_cpu_row (run, run->step->aux, r)[j];
}

static float *
hidden_row (const ExpertJob *job, uint32_t r, uint32_t j)
{
  return job->run->state->hidden
         + ((size_t) r * job->run->step->u.experts.n_used + j) * job->n_ff;
}

static void
hidden_chunk (void *data, uint32_t i_chunk, uint32_t i_thread)
{
  ExpertJob *job = data;
  EngCpuRun *run = job->run;
  const EngStep *s = run->step;
  uint32_t n_used = s->u.experts.n_used;
  uint32_t slice = i_chunk % job->n_slices, i = i_chunk / job->n_slices, r = i / n_used, j = i % n_used;
  uint32_t expert = chosen_expert (run, r, j), j0 = slice * job->width;
  uint32_t n = eng_cpu_min (job->width, job->n_ff - j0);
  float *scratch = (float *) (void *) run->state->scratch[i_thread].data;
  float *up = scratch, *row = scratch + (size_t) 3 * ENG_CPU_ROW_TILE * ENG_CPU_MAX_CHUNK;
  float *gate = hidden_row (job, r, j) + j0;
  const float *src = eng_cpu_row (run, s->src, r);
  const float *gate_bias = eng_cpu_vector (run, s->w[3]), *up_bias = eng_cpu_vector (run, s->w[4]);
  size_t at = (size_t) expert * job->n_ff + j0;
  eng_cpu_product (run->bound, &run->bound->weights[s->w[0]], expert, j0, j0 + n, src, 0, 1, gate, n,
                   row);
  eng_cpu_product (run->bound, &run->bound->weights[s->w[1]], expert, j0, j0 + n, src, 0, 1, up, n,
                   row);
  for (uint32_t c = 0; gate_bias != NULL && c < n; c++)
    gate[c] += gate_bias[at + c];
  for (uint32_t c = 0; up_bias != NULL && c < n; c++)
    up[c] += up_bias[at + c];
  eng_cpu_glu (run->k, s->u.experts.act, gate, up, n);
}

static void
down_chunk (void *data, uint32_t i_chunk, uint32_t i_thread)
{
  ExpertJob *job = data;
  EngCpuRun *run = job->run;
  const EngStep *s = run->step;
  uint32_t n_used = s->u.experts.n_used, r = i_chunk / job->n_slices;
  uint32_t n_out = run->bound->program->buffers[s->dst].width;
  uint32_t j0 = i_chunk % job->n_slices * job->width, n = eng_cpu_min (job->width, n_out - j0);
  float *scratch = (float *) (void *) run->state->scratch[i_thread].data;
  float *y = scratch, *row = scratch + (size_t) 3 * ENG_CPU_ROW_TILE * ENG_CPU_MAX_CHUNK;
  const float *weights = eng_cpu_row (run, s->aux, r) + n_used, *bias = eng_cpu_vector (run, s->w[5]);
  float *out = eng_cpu_row (run, s->dst, r) + j0;
  if ((s->flags & ENG_STEP_ADD_AFTER) == 0)
    memset (out, 0, n * sizeof (float));
  for (uint32_t j = 0; j < n_used; j++)
    {
      uint32_t expert = chosen_expert (run, r, j);
      eng_cpu_product (run->bound, &run->bound->weights[s->w[2]], expert, j0, j0 + n,
                       hidden_row (job, r, j), 0, 1, y, n, row);
      for (uint32_t c = 0; bias != NULL && c < n; c++)
        y[c] += bias[(size_t) expert * n_out + j0 + c];
      run->k->axpy (weights[j], y, out, n);
    }
}

static uint32_t
slice_width (const EngCpuRun *run, uint32_t n)
{
  uint32_t per_thread = n / (2 * eng_thread_pool_get_n_threads (run->bound->device->pool));
  uint32_t width = (per_thread + 31) / 32 * 32;
  return width < 32 ? 32 : eng_cpu_min (width, ENG_CPU_MAX_CHUNK);
}

void
eng_cpu_step_experts (EngCpuRun *run)
{
  const EngStep *s = run->step;
  ExpertJob job = { .run = run, .n_ff = (uint32_t) run->bound->weights[s->w[0]].n_rows };
  job.width = slice_width (run, job.n_ff);
  job.n_slices = (job.n_ff + job.width - 1) / job.width;
  eng_cpu_for (run, run->n_rows * s->u.experts.n_used * job.n_slices, hidden_chunk, &job);
  uint32_t n_out = run->bound->program->buffers[s->dst].width;
  job.width = slice_width (run, n_out);
  job.n_slices = (n_out + job.width - 1) / job.width;
  eng_cpu_for (run, run->n_rows * job.n_slices, down_chunk, &job);
}
