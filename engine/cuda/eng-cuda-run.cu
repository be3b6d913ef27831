// SPDX-License-Identifier: Apache-2.0
// Running steps: few rows through the fused matrix-vector kernels (one row inside a CUDA graph), many
// through large products on expanded weights.
#include <stdlib.h>
#include <string.h>

#include "eng-cuda-run.h"

// Describe the rows for the device, in the order of set_views ().
void
cu_fill_meta (CuRun *r)
{
  EngState *s = r->s;
  const EngBatch *batch = r->batch;
  const EngProgram *p = r->p;
  const EngStateOptions *o = &s->options;
  int32_t *w = (int32_t *) s->meta_host;
  int32_t *token = w, *position = w += o->max_rows, *sequence = w += o->max_rows;
  int32_t *output = w += o->max_rows, *length = w += o->max_outputs, *first = w += o->max_sequences;
  w += o->max_sequences + 1;
  r->n_rows = (int) batch->n_rows;
  r->n_sequences = (int) batch->n_sequences;
  for (uint32_t i = 0; i < batch->n_rows; i++)
    {
      token[i] = batch->rows[i].token;
      position[i] = (int32_t) batch->rows[i].position[0];
      sequence[i] = (int32_t) batch->rows[i].i_sequence;
      const int depth = cu_depth (position[i]);
      r->depth = depth > r->depth ? depth : r->depth;
      if (batch->rows[i].wants_output && (uint32_t) r->n_outputs < o->max_outputs)
        output[r->n_outputs++] = (int32_t) i;
    }
  uint32_t row = 0;
  for (uint32_t q = 0; q < batch->n_sequences; q++)
    {
      length[q] = (int32_t) batch->sequences[q].n_positions;
      first[q] = (int32_t) row;
      while (row < batch->n_rows && batch->rows[row].i_sequence == q)
        row++;
      const int n = (int) row - first[q];
      r->max_rows_of_sequence = n > r->max_rows_of_sequence ? n : r->max_rows_of_sequence;
      const uint32_t n_blocks = (batch->sequences[q].n_positions + r->n_ahead + ENG_KV_BLOCK - 1) / ENG_KV_BLOCK;
      uint64_t table = 0;
      for (uint32_t g = 0; g < p->n_groups; g++)
        {
          // no kernel looks at keys that were dropped, but one loads them; a state that is not kept is not written
          const int32_t none = p->groups[g].kind == ENG_STATE_RECURRENT ? -1 : 0;
          const uint32_t n_entries = cu_table_entries (o, g);
          for (uint32_t k = 0; k < n_blocks && k < n_entries; k++)
            {
              const uint32_t block = batch->sequences[q].tables[g][k];
              w[table + (uint64_t) q * n_entries + k] = block < o->n_blocks[g] ? (int32_t) block : none;
            }
          table += (uint64_t) o->max_sequences * n_entries;
        }
    }
  first[batch->n_sequences] = (int32_t) row;
  if (r->b->pools)
    r->n_outputs = r->n_sequences;
}

EngStatus
cu_check_batch (const EngState *s, const EngBatch *batch, EngError *error)
{
  const EngProgram *p = s->bound->program;
  const EngStateOptions *o = &s->options;
  if (batch->n_rows == 0 || batch->n_rows > o->max_rows || batch->n_sequences > o->max_sequences)
    return cu_error (error, ENG_ERR_ARGUMENT, "rows", o->max_rows, batch->n_rows,
                     "a batch of %u rows does not fit a state of %u", batch->n_rows, o->max_rows);
  uint32_t n_outputs = 0;
  for (uint32_t i = 0; i < batch->n_rows; i++)
    {
      const EngRow *r = &batch->rows[i];
      n_outputs += r->wants_output;
      if (r->i_sequence >= batch->n_sequences || (r->token < 0 && !r->embedding)
          || (r->token >= 0 && (uint32_t) r->token >= p->n_vocab)
          || (i > 0 && r->i_sequence < batch->rows[i - 1].i_sequence)
          || r->position[0] >= batch->sequences[r->i_sequence].n_positions)
        return cu_error (error, ENG_ERR_ARGUMENT, "row", 0, i, "row %u of the batch is out of range", i);
      if (r->adapter != ENG_ADAPTER_NONE && r->adapter != 0)
        return cu_error (error, ENG_ERR_UNSUPPORTED, "adapter", 0, 0,
                         "the GPU module does not run adapters");
    }
  if (n_outputs > o->max_outputs && !s->bound->pools)
    return cu_error (error, ENG_ERR_ARGUMENT, "outputs", o->max_outputs, n_outputs,
                     "too many rows want outputs");
  for (uint32_t q = 0; q < batch->n_sequences; q++)
    for (uint32_t g = 0; g < p->n_groups; g++)
      if (o->n_blocks[g] && batch->sequences[q].n_positions > o->max_positions)
        return cu_error (error, ENG_ERR_ARGUMENT, "blocks", 0, 0, "a sequence is longer than its state");
  return ENG_OK;
}

static cudaError_t
run_few (CuRun *r, uint32_t first, uint32_t n)
{
  if (cu_wants_angles (r, first, n))
    TRY (cu_angles (r->stream, r->b->rope[0], &r->s->view, (int) r->b->n_rope, r->n_rows, r->s->angles, r->pdl));
  for (uint32_t i = first; i < first + n; i++)
    TRY (cu_step_few (r, i));
  if (!r->samples)
    return cudaSuccess;
  EngState *s = r->s;
  return cu_sample_launch (r->stream, s->sampling, s->logits, (int) r->p->n_vocab, s->sample_groups, &s->view, r->pdl);
}

// Runs of one row repeat: captured once, launched as a graph after that.
cudaError_t
cu_run_graph (CuRun *r, uint32_t first, uint32_t n)
{
  EngState *s = r->s;
  for (uint32_t i = 0; i < s->n_graphs; i++)
    {
      const CuGraph *g = &s->graphs[i];
      if (g->first_step == first && g->n_steps == n && g->n_rows == (uint32_t) r->n_rows
          && g->n_outputs == (uint32_t) r->n_outputs && g->n_sequences == (uint32_t) r->n_sequences && g->depth == r->depth
          && g->samples == r->samples)
        return cudaGraphLaunch (g->exec, r->stream);
    }
  if (s->n_graphs == CU_MAX_GRAPHS)
    return run_few (r, first, n);
  cudaGraph_t graph;
  TRY (cudaStreamBeginCapture (r->stream, cudaStreamCaptureModeThreadLocal));
  const cudaError_t inside = run_few (r, first, n);
  const cudaError_t e = cudaStreamEndCapture (r->stream, &graph);
  if (inside != cudaSuccess || e != cudaSuccess)
    return inside != cudaSuccess ? inside : e;
  CuGraph *g = &s->graphs[s->n_graphs];
  const cudaError_t made = cudaGraphInstantiate (&g->exec, graph, 0);
  cudaGraphDestroy (graph);
  TRY (made);
  g->first_step = first;
  g->n_steps = n;
  g->n_rows = r->n_rows;
  g->n_outputs = r->n_outputs;
  g->n_sequences = r->n_sequences;
  g->depth = r->depth;
  g->samples = r->samples;
  s->n_graphs++;
  return cudaGraphLaunch (g->exec, r->stream);
}

static cudaError_t
run_many (CuRun *r, uint32_t first, uint32_t n, int *cancel, bool *cancelled)
{
  for (uint32_t i = first; i < first + n; i++)
    {
      if (cancel && r->p->steps[i].flags & ENG_STEP_LAYER_BEGIN && __atomic_load_n (cancel, __ATOMIC_ACQUIRE))
        {
          *cancelled = true;
          return cudaSuccess;
        }
      TRY (cu_step_many (r, i));
    }
  return cudaSuccess;
}

// Rows that bring their own vector instead of a token.
static cudaError_t
place_vectors (CuRun *r, const EngBatch *batch, const EngStep *embed_step)
{
  if (embed_step->kind != ENG_STEP_EMBED)
    return cudaSuccess;
  const uint32_t width = r->p->buffers[embed_step->dst].width;
  for (uint32_t i = 0; i < batch->n_rows; i++)
    if (batch->rows[i].token < 0)
      {
        for (uint32_t k = 0; k < width; k++)
          r->s->io_host[k] = batch->rows[i].embedding[k] * embed_step->u.embed.scale;
        TRY (cudaMemcpyAsync (r->s->buffers[embed_step->dst] + (size_t) i * width, r->s->io_host,
                              width * 4, cudaMemcpyHostToDevice, r->stream));
        TRY (cudaStreamSynchronize (r->stream));
      }
  return cudaSuccess;
}

static cudaError_t
run_all (CuRun *r, const EngBatch *batch, const EngRun *run, bool *cancelled)
{
  EngState *s = r->s;
  // a part of the steps, where they do not leave what the next part needs
  const bool part = r->b->drops_floats && run->n_steps < r->b->n_here && r->n_rows > CU_DOZENS;
  bool slow = !r->b->device->blas || r->b->own_only || part;
  cu_use_layout (s, r->n_rows <= CU_DOZENS ? CU_LAYOUT_SMALL : slow && !run->streamed ? CU_LAYOUT_SLOW : CU_LAYOUT_LARGE);
  slow = slow || !s->x16;
  r->x16 = s->x16;
  TRY (cudaMemcpyAsync (s->meta, s->meta_host, s->meta_bytes, cudaMemcpyHostToDevice, r->stream));
  TRY (place_vectors (r, batch, &r->p->steps[run->first_step]));
  for (uint32_t i = 0; i < run->n_imports; i++)
    {
      const EngBufferId id = run->imports[i].buffer;
      const size_t bytes = (size_t) r->n_rows * r->p->buffers[id].width * 4;
      const bool direct = cu_is_host (r->b->device, run->imports[i].data, bytes);
      if (!direct)
        memcpy (s->io_host, run->imports[i].data, bytes);
      TRY (cudaMemcpyAsync (s->buffers[id], direct ? run->imports[i].data : s->io_host, bytes, cudaMemcpyHostToDevice,
                            r->stream));
      if (!direct && run->n_imports > 1)
        TRY (cudaStreamSynchronize (r->stream));
    }
  if (run->streamed)
    {
      cu_streamer_begin (r->b->streamer);
      cudaError_t e = run_many (r, run->first_step, run->n_steps, run->cancel, cancelled);
      if (e == cudaSuccess && !*cancelled)
        e = cu_guest_finish (r);
      cu_streamer_end (r->b->streamer);
      TRY (e);
    }
  else if (r->n_rows <= (int) r->b->few_rows || slow)
    {
      r->products->own = true;
      TRY (r->n_rows == 1 ? cu_run_graph (r, run->first_step, run->n_steps)
                          : run_few (r, run->first_step, run->n_steps));
    }
  else
    TRY (run_many (r, run->first_step, run->n_steps, run->cancel, cancelled));
  for (uint32_t i = 0; i < run->n_exports; i++)
    {
      const EngBufferId id = run->exports[i].buffer;
      const size_t bytes = (size_t) r->n_rows * r->p->buffers[id].width * 4;
      const bool direct = cu_is_host (r->b->device, run->exports[i].data, bytes);
      TRY (cudaMemcpyAsync (direct ? run->exports[i].data : s->io_host, s->buffers[id], bytes, cudaMemcpyDeviceToHost,
                            r->stream));
      if (direct)
        continue;
      TRY (cudaStreamSynchronize (r->stream));
      memcpy (run->exports[i].data, s->io_host, bytes);
    }
  const size_t out = (size_t) r->n_outputs * r->p->n_output * 4;
  const bool direct = run->output && cu_is_host (r->b->device, run->output, out);
  if (run->output && out && !*cancelled)
    TRY (cudaMemcpyAsync (direct ? run->output : s->logits_host, s->logits, out, cudaMemcpyDeviceToHost, r->stream));
  TRY (cudaStreamSynchronize (r->stream));
  if (run->output && out && !*cancelled && !direct)
    memcpy (run->output, s->logits_host, out);
  return cudaSuccess;
}

void
cu_run_init (CuRun *r, EngBound *b, EngState *s, const EngBatch *batch)
{
  *r = CuRun{};
  r->b = b;
  r->s = s;
  r->p = b->program;
  r->batch = batch;
  r->stream = b->device->stream;
  r->pdl = b->device->pdl;
  r->end = b->program->n_steps;
  r->in_x16 = ENG_BUFFER_NONE;
  r->products = &r->unasked;
}

EngStatus
cu_run (EngBound *b, EngState *s, const EngBatch *batch, const EngRun *run, EngError *error)
{
  EngDevice *d = b->device;
  if (d->lost)
    return cu_error (error, ENG_ERR_DEVICE, "device", 0, 0, "the GPU was lost");
  EngStatus status = cu_check_batch (s, batch, error);
  if (status != ENG_OK)
    return status;
  if (run->first_step < b->first_step || run->n_steps > b->first_step + b->n_steps - run->first_step)
    return cu_error (error, ENG_ERR_ARGUMENT, "steps", 0, 0, "steps that are not bound here");
  if (run->cancel && __atomic_load_n (run->cancel, __ATOMIC_ACQUIRE))
    return cu_error (error, ENG_ERR_CANCELLED, "run", 0, 0, "cancelled");
  cudaSetDevice (d->ordinal);
  if ((batch->n_rows > b->few_rows || run->streamed) && !d->blas_tried)
    {
      d->blas_tried = true;
      d->blas = cu_blas_open ();
    }
  if (run->streamed && (!b->streamer || !d->blas || b->own_only))
    return cu_error (error, ENG_ERR_UNSUPPORTED, "streamed", 0, 0, "this GPU cannot be sent layers");
  CuRun r;
  cu_run_init (&r, b, s, batch);
  r.run = run;
  r.error = error;
  if (run->products)
    r.products = run->products;
  r.first = run->first_step;
  r.end = run->first_step + run->n_steps;
  cu_fill_meta (&r);
  bool cancelled = false;
  const cudaError_t e = run_all (&r, batch, run, &cancelled);
  if (r.blas_error)
    return cu_error (error, ENG_ERR_DEVICE, "cublas", 0, 0, "a product failed in cuBLAS (status %d)",
                     r.blas_error);
  if (r.key_status != ENG_OK)
    return r.key_status;
  if (e != cudaSuccess)
    return cu_fail (d, e, "running the model on the GPU", error);
  if (cancelled)
    return cu_error (error, ENG_ERR_CANCELLED, "run", 0, 0, "cancelled");
  return ENG_OK;
}
