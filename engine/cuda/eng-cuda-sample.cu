// SPDX-License-Identifier: Apache-2.0
// One row after another without the host in between: the graph of a row ends with the sampling of its token, which
// is the next row's input where the embedding looks for it. The host learns each token while the next row runs.
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "eng-cuda-run.h"

static EngStatus
unsupported (EngError *error, const char *what)
{
  return cu_error (error, ENG_ERR_UNSUPPORTED, "sampling", 0, 0, "the GPU module does not sample %s", what);
}

static EngStatus
check (const EngBound *b, const EngState *s, const EngBatch *batch, const EngSampling *g, EngError *error)
{
  const EngProgram *p = b->program;
  if (!s->sampling || p->n_output != p->n_vocab)
    return unsupported (error, "from this model's outputs");
  if (b->first_step != 0 || b->n_steps != p->n_steps)
    return unsupported (error, "for a part of a model");
  for (uint32_t i = 0; i < p->n_steps; i++)
    if (!cu_is_here (b, i))
      return unsupported (error, "for a model that is split");
  if (batch->n_rows != 1 || batch->n_sequences != 1 || batch->rows[0].token < 0 || !batch->rows[0].wants_output)
    return unsupported (error, "from several rows");
  if (!g->greedy && (g->top_k == 0 || g->top_k > ENG_DEVICE_TOP_K || !g->draws || !(g->temperature > 0.f)))
    return unsupported (error, "from so many candidates");
  if (g->penalty_window > CU_SAMPLE_WINDOW || g->n_seen > g->penalty_window)
    return unsupported (error, "with so long a memory");
  if (g->n_samples == 0 || g->n_samples > ENG_DEVICE_SAMPLES)
    return cu_error (error, ENG_ERR_ARGUMENT, "samples", ENG_DEVICE_SAMPLES, g->n_samples, "too many tokens at once");
  EngStatus status = cu_check_batch (s, batch, error);
  const uint64_t end = (uint64_t) batch->sequences[0].n_positions + g->n_samples - 1;
  for (uint32_t i = 0; i < p->n_groups && status == ENG_OK; i++)
    if (s->options.n_blocks[i] && end > s->options.max_positions)
      status = cu_error (error, ENG_ERR_ARGUMENT, "blocks", 0, 0, "a sequence is longer than its state");
  return status;
}

static bool
has_recurrent (const EngProgram *p)
{
  for (uint32_t i = 0; i < p->n_groups; i++)
    if (p->groups[i].kind == ENG_STATE_RECURRENT)
      return true;
  return false;
}

// The device's form of @g, as many bytes of it as matter.
static size_t
fill (CuSampling *c, const EngSampling *g)
{
  memset (c, 0, offsetof (CuSampling, seen));
  c->greedy = g->greedy;
  c->top_k = g->greedy ? 1 : (int32_t) g->top_k;
  c->temperature = g->temperature;
  c->top_p = g->top_p;
  c->min_offset = g->min_p > 0.f ? log ((double) g->min_p) : -INFINITY;
  c->penalty = g->penalty_window ? g->repetition_penalty : 1.f;
  c->window = (int32_t) g->penalty_window;
  c->n_seen = (int32_t) g->n_seen;
  c->i_seen = g->penalty_window ? (int32_t) (g->n_seen % g->penalty_window) : 0;
  if (!g->greedy)
    memcpy (c->draws, g->draws, g->n_samples * sizeof *c->draws);
  memcpy (c->seen, g->seen, g->n_seen * sizeof *c->seen);
  return offsetof (CuSampling, seen) + g->n_seen * sizeof *c->seen;
}

// Row @i of the call and its sample, and the sample on its way here.
static cudaError_t
launch (CuRun *r, uint32_t i)
{
  EngState *s = r->s;
  r->depth = cu_depth ((int) (r->batch->rows[0].position[0] + i));
  TRY (cu_run_graph (r, 0, r->p->n_steps));
  TRY (cudaMemcpyAsync (&s->sampling_host->samples[i], &s->sampling->samples[i], sizeof (CuSampled),
                        cudaMemcpyDeviceToHost, r->stream));
  return cudaEventRecord (s->sampled[i % 2], r->stream);
}

static cudaError_t
sample_all (CuRun *r, const EngSampling *g, int *cancel, bool *cancelled)
{
  EngState *s = r->s;
  cu_use_layout (s, CU_LAYOUT_SMALL);
  TRY (cudaMemcpyAsync (s->meta, s->meta_host, s->meta_bytes, cudaMemcpyHostToDevice, r->stream));
  TRY (cudaMemcpyAsync (s->sampling, s->sampling_host, fill (s->sampling_host, g), cudaMemcpyHostToDevice, r->stream));
  // what was sampled arrives where the draws were sent from
  TRY (cudaStreamSynchronize (r->stream));
  // a row that nobody wanted leaves keys that nobody looks at; a recurrent state it would spoil
  const bool ahead = !has_recurrent (r->p);
  TRY (launch (r, 0));
  for (uint32_t i = 0; i < g->n_samples; i++)
    {
      if (ahead && i + 1 < g->n_samples)
        TRY (launch (r, i + 1));
      TRY (cudaEventSynchronize (s->sampled[i % 2]));
      const CuSampled sample = s->sampling_host->samples[i];
      if (!g->take (g->data, sample.token, sample.drew))
        break;
      if (cancel && i + 1 < g->n_samples && __atomic_load_n (cancel, __ATOMIC_ACQUIRE))
        {
          *cancelled = true;
          break;
        }
      if (!ahead && i + 1 < g->n_samples)
        TRY (launch (r, i + 1));
    }
  return cudaStreamSynchronize (r->stream);
}

EngStatus
cu_sample (EngBound *b, EngState *s, const EngBatch *batch, const EngSampling *g, int *cancel, EngError *error)
{
  EngDevice *d = b->device;
  if (d->lost)
    return cu_error (error, ENG_ERR_DEVICE, "device", 0, 0, "the GPU was lost");
  const EngStatus status = check (b, s, batch, g, error);
  if (status != ENG_OK)
    return status;
  if (cancel && __atomic_load_n (cancel, __ATOMIC_ACQUIRE))
    return cu_error (error, ENG_ERR_CANCELLED, "run", 0, 0, "cancelled");
  cudaSetDevice (d->ordinal);
  CuRun r;
  cu_run_init (&r, b, s, batch);
  r.error = error;
  r.samples = true;
  r.n_ahead = g->n_samples - 1;
  cu_fill_meta (&r);
  bool cancelled = false;
  const cudaError_t e = sample_all (&r, g, cancel, &cancelled);
  if (e != cudaSuccess)
    return cu_fail (d, e, "running the model on the GPU", error);
  return cancelled ? cu_error (error, ENG_ERR_CANCELLED, "run", 0, 0, "cancelled") : ENG_OK;
}
