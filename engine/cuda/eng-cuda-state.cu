// SPDX-License-Identifier: Apache-2.0
// A state: KV blocks, activations and scratch in one device allocation, sized before the first token.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eng-cuda-private.h"

#define ALIGN 256
// Hands out parts of an arena; with base == NULL it only counts.
typedef struct
{
  uint8_t *base;
  uint64_t at;
} Carver;

template <typename T>
static T *
carve (Carver *c, uint64_t n)
{
  T *p = (T *) (c->base + c->at);
  c->at += (n * sizeof (T) + ALIGN - 1) / ALIGN * ALIGN;
  return p;
}

typedef struct
{
  uint64_t x16, scores, heads, head_width, merges;
  uint64_t slots; // experts: choices a row
  uint64_t pooled;
} Widths;

static Widths
widest (const EngProgram *p)
{
  Widths w = {};
  auto grow = [] (uint64_t *a, uint64_t b) { *a = b > *a ? b : *a; };
  for (uint32_t i = 0; i < p->n_steps; i++)
    {
      const EngStep *s = &p->steps[i];
      if (s->kind == ENG_STEP_ATTENTION)
        {
          grow (&w.heads, s->u.attention.n_head);
          // a row's blocks that merge: at most one for each key head and CU_TOKEN_HEADS of its queries' heads
          grow (&w.merges, s->u.attention.n_head_kv * ((s->u.attention.n_head / s->u.attention.n_head_kv + CU_TOKEN_HEADS - 1) / CU_TOKEN_HEADS));
          grow (&w.head_width, s->u.attention.v_width);
        }
      if (s->kind == ENG_STEP_POOL)
        {
          grow (&w.pooled, p->buffers[s->src].width);
          for (int k = 0; k < 4; k += 2)
            if (s->w[k] != ENG_WEIGHT_NONE)
              grow (&w.pooled, p->weights[s->w[k]].n_rows);
        }
      if (s->kind == ENG_STEP_ROUTE)
        grow (&w.scores, s->u.route.n_expert);
      if (s->kind == ENG_STEP_EXPERTS)
        grow (&w.slots, s->u.experts.n_used);
    }
  for (uint32_t i = 0; i < p->n_buffers; i++)
    grow (&w.x16, p->buffers[i].width);
  return w;
}

// Tiles of 64 rows that @slots rows sorted by expert take at most, or smaller ones where there are few.
static uint64_t
most_tiles (uint64_t slots, uint64_t n_expert)
{
  return slots / 64 + cu_few_slots (slots, n_expert) / 8 + n_expert;
}

static uint64_t
layer_halves (const EngGroupDesc *g, uint32_t n_blocks, uint32_t width)
{
  return (uint64_t) n_blocks * g->n_kv_head * ENG_KV_BLOCK * width;
}

// Which layers of each group are bound here: one run of them.
static void
find_layers (const EngBound *b, EngState *s)
{
  uint32_t end[ENG_CUDA_MAX_GROUPS] = {};
  for (uint32_t i = b->first_step; i < b->first_step + b->n_steps; i++)
    {
      uint32_t g, l;
      if (!cu_is_here (b, i) || !cu_state_of (&b->program->steps[i], &g, &l))
        continue;
      if (end[g] == 0 || l < s->first_layer[g])
        s->first_layer[g] = l;
      end[g] = l + 1 > end[g] ? l + 1 : end[g];
    }
  for (uint32_t g = 0; g < ENG_CUDA_MAX_GROUPS; g++)
    s->n_layers[g] = end[g] - s->first_layer[g];
}

// State of a streamed layer: halves of all its blocks, and bytes of its part of one.
typedef struct
{
  uint64_t k, v, block_bytes;
} GuestLayer;

static GuestLayer
guest_layer (const EngBound *b, const EngStateOptions *o)
{
  GuestLayer most = {};
  for (uint32_t i = 0; i < b->program->n_steps; i++)
    {
      uint32_t group, layer;
      if (!cu_is_streamed (b, i) || !cu_state_of (&b->program->steps[i], &group, &layer))
        continue;
      const EngGroupDesc *g = &b->program->groups[group];
      const bool recurrent = g->kind == ENG_STATE_RECURRENT;
      const uint64_t k = recurrent ? 2 * o->n_blocks[group] * cu_recurrent_floats (g)
                                   : layer_halves (g, o->n_blocks[group], g->k_width);
      const uint64_t v = recurrent ? 0 : layer_halves (g, o->n_blocks[group], g->v_width);
      const uint64_t bytes = recurrent ? 4 * cu_recurrent_floats (g) : 2 * layer_halves (g, 1, g->k_width + g->v_width);
      most.k = k > most.k ? k : most.k;
      most.v = v > most.v ? v : most.v;
      most.block_bytes = bytes > most.block_bytes ? bytes : most.block_bytes;
    }
  return most;
}

// Lay everything out; called twice, first to count. False: out of memory.
static bool
lay_out (const EngBound *b, const EngStateOptions *o, EngState *s, Carver *c, EngMemoryPlan *plan)
{
  const EngProgram *p = b->program;
  find_layers (b, s);
  const Widths w = widest (p);
  for (uint32_t g = 0; g < p->n_groups; g++)
    {
      if (p->groups[g].kind == ENG_STATE_RECURRENT)
        {
          const uint64_t floats = o->n_blocks[g] * cu_recurrent_floats (&p->groups[g]);
          s->recurrent[g] = carve<float> (c, s->n_layers[g] * floats) - s->first_layer[g] * floats;
          continue;
        }
      const uint64_t k = layer_halves (&p->groups[g], o->n_blocks[g], p->groups[g].k_width);
      const uint64_t v = layer_halves (&p->groups[g], o->n_blocks[g], p->groups[g].v_width);
      s->k[g] = carve<__half> (c, s->n_layers[g] * k) - s->first_layer[g] * k;
      s->v[g] = carve<__half> (c, s->n_layers[g] * v) - s->first_layer[g] * v;
    }
  plan->state_bytes = c->at;
  if (b->streamed)
    {
      const GuestLayer guest = guest_layer (b, o);
      for (int k = 0; k < 2; k++)
        {
          s->guest_k[k] = carve<__half> (c, guest.k);
          s->guest_v[k] = carve<__half> (c, guest.v);
        }
    }
  const uint64_t rows = o->max_rows;
  // meta: token, position, sequence of each row; rows of outputs; lengths, first rows; tables
  uint64_t words = 3 * rows + o->max_outputs + 2 * (uint64_t) o->max_sequences + 1;
  for (uint32_t g = 0; g < p->n_groups; g++)
    words += (uint64_t) o->max_sequences * cu_table_entries (o, g);
  s->meta = carve<uint8_t> (c, words * 4);
  s->meta_bytes = words * 4;
  s->logits = carve<float> (c, cu_max_outputs (b, o) * p->n_output);
  for (int k = 0; k < 2 && b->pools; k++)
    s->pooled[k] = carve<float> (c, o->max_sequences * w.pooled);
  s->partial = carve<float> (
      c, cu_attention_scratch ((int) rows, (int) w.heads, (int) w.head_width) / 4 + 1);
  s->angles = carve<float2> (c, (rows < ENG_CUDA_MAX_SEQUENCES ? rows : ENG_CUDA_MAX_SEQUENCES) * b->n_rope);
  s->counters = carve<int> (c, ENG_CUDA_GEMV_ROWS * (w.merges + 1));
  s->route_scores = carve<float> (c, ENG_CUDA_GEMV_ROWS * w.scores);
  if (p->causal && p->n_vocab <= CU_SAMPLE_VOCAB)
    {
      s->sampling = carve<CuSampling> (c, 1);
      s->sample_groups = carve<unsigned long long> (c, cu_sample_groups (p->n_vocab));
    }
  if (rows > ENG_CUDA_GEMV_ROWS)
    {
      s->x8 = carve<uint8_t> (c, cu_dozens_bytes (rows < CU_DOZENS ? rows : CU_DOZENS, w.x16));
      s->slot_row = carve<int> (c, rows * w.slots);
      s->slot_place = carve<int> (c, rows * w.slots);
      s->slot_expert = carve<int> (c, rows * w.slots);
      s->slot_first = carve<int> (c, w.slots ? w.scores + 1 : 0);
      s->tiles = carve<CuTile> (c, w.slots ? most_tiles (rows * w.slots, w.scores) : 0);
    }
  uint64_t most = 0;
  for (int k = 0; k < CU_N_LAYOUTS; k++)
    {
      const uint64_t bytes = cu_scratch_place (b, o, (CuLayout) k, c->base + c->at, &s->layouts[k]);
      if (bytes == UINT64_MAX)
        return false;
      most = bytes > most ? bytes : most;
    }
  c->at += most;
  plan->scratch_bytes = c->at - plan->state_bytes;
  return true;
}

static void
state_clear (EngState *s)
{
  for (uint32_t i = 0; i < s->n_graphs; i++)
    cudaGraphExecDestroy (s->graphs[i].exec);
  if (s->arena)
    {
      cudaFree (s->arena);
      s->bound->device->used_bytes -= s->arena_bytes;
    }
  for (int k = 0; k < 2; k++)
    {
      cudaFreeHost (s->guest_host[k]);
      if (s->guest_moved[k])
        cudaEventDestroy (s->guest_moved[k]);
    }
  for (int k = 0; k < 2; k++)
    if (s->sampled[k])
      cudaEventDestroy (s->sampled[k]);
  cudaFreeHost (s->sampling_host);
  cudaFreeHost (s->meta_host);
  cudaFreeHost (s->logits_host);
  cudaFreeHost (s->io_host);
  cudaFreeHost (s->first_host);
  for (int k = 0; k < CU_N_LAYOUTS; k++)
    free (s->layouts[k].buffers);
  free (s->k);
  free (s->v);
  free (s->recurrent);
  free (s);
}

static EngState *
state_alloc (const EngProgram *p)
{
  EngState *s = (EngState *) calloc (1, sizeof *s);
  if (!s)
    return NULL;
  bool ok = true;
  for (int k = 0; k < CU_N_LAYOUTS; k++)
    ok = (s->layouts[k].buffers = (float **) calloc (p->n_buffers + 1, sizeof *s->buffers)) && ok;
  s->k = (__half **) calloc (p->n_groups + 1, sizeof *s->k);
  s->v = (__half **) calloc (p->n_groups + 1, sizeof *s->v);
  s->recurrent = (float **) calloc (p->n_groups + 1, sizeof *s->recurrent);
  if (ok && s->k && s->v && s->recurrent)
    return s;
  state_clear (s);
  return NULL;
}

static EngStatus
check_options (const EngProgram *p, const EngStateOptions *o, EngError *error)
{
  if (o->k_type != ENG_TYPE_F16 || o->v_type != ENG_TYPE_F16)
    return cu_error (error, ENG_ERR_UNSUPPORTED, "kv", 0, 0,
                     "the GPU module keeps keys and values as F16 only");
  if (o->max_sequences > ENG_CUDA_MAX_SEQUENCES || o->max_rows > 65535 || o->max_rows == 0)
    return cu_error (error, ENG_ERR_ARGUMENT, "max_rows", 65535, o->max_rows,
                     "too many rows or sequences at once");
  return ENG_OK;
}

EngStatus
cu_state_bytes (const EngBound *b, const EngStateOptions *o, EngMemoryPlan *plan, EngError *error)
{
  const EngProgram *p = b->program;
  EngStatus status = check_options (p, o, error);
  if (status != ENG_OK)
    return status;
  EngState *s = state_alloc (p);
  if (!s)
    return cu_error (error, ENG_ERR_NO_MEMORY, "plan", 0, 0, "out of memory");
  Carver c = {};
  const bool ok = lay_out (b, o, s, &c, plan);
  state_clear (s);
  return ok ? ENG_OK : cu_error (error, ENG_ERR_NO_MEMORY, "plan", 0, 0, "out of memory");
}

// Device views of the meta block, in lay_out's order.
static void
set_views (EngState *s)
{
  const EngProgram *p = s->bound->program;
  const EngStateOptions *o = &s->options;
  const int32_t *w = (const int32_t *) s->meta;
  s->view.token = w;
  s->view.position = w += o->max_rows;
  s->view.sequence = w += o->max_rows;
  s->view.output = w += o->max_rows;
  s->view.length = w += o->max_outputs;
  s->view.first_row = w += o->max_sequences;
  w += o->max_sequences + 1;
  for (uint32_t g = 0; g < p->n_groups; g++)
    {
      s->view.table[g] = w;
      s->view.table_stride[g] = (int32_t) cu_table_entries (o, g);
      w += (uint64_t) o->max_sequences * cu_table_entries (o, g);
    }
}

EngStatus
cu_state_new (EngBound *b, const EngStateOptions *o, EngState **out, EngError *error)
{
  const EngProgram *p = b->program;
  EngDevice *d = b->device;
  EngStatus status = check_options (p, o, error);
  if (status != ENG_OK)
    return status;
  if (d->lost)
    return cu_error (error, ENG_ERR_DEVICE, "device", 0, 0, "the GPU was lost");
  EngState *s = state_alloc (p);
  if (!s)
    return cu_error (error, ENG_ERR_NO_MEMORY, "state", 0, 0, "out of memory");
  s->bound = b;
  s->options = *o;
  cudaSetDevice (d->ordinal);
  EngMemoryPlan plan = {};
  Carver c = {};
  if (!lay_out (b, o, s, &c, &plan))
    {
      state_clear (s);
      return cu_error (error, ENG_ERR_NO_MEMORY, "state", 0, 0, "out of memory");
    }
  size_t free_bytes = 0, total = 0;
  cudaMemGetInfo (&free_bytes, &total);
  uint64_t room = free_bytes;
  if (d->limit_bytes && d->limit_bytes - d->used_bytes < room)
    room = d->limit_bytes > d->used_bytes ? d->limit_bytes - d->used_bytes : 0;
  cudaError_t e = cudaSuccess;
  if (c.at > room)
    status = cu_error (error, ENG_ERR_DEVICE_MEMORY, "conversation memory", c.at, room,
                       "conversation memory needs %.1f GB of GPU memory, %.1f GB are free",
                       (double) c.at / 1e9, (double) room / 1e9);
  else
    {
      e = cudaMalloc ((void **) &s->arena, c.at);
      if (e == cudaSuccess)
        {
          s->arena_bytes = c.at;
          d->used_bytes += c.at;
          // a masked position may be read (and multiplied by zero) before it is first written
          e = cudaMemsetAsync (s->arena, 0, c.at, d->stream);
        }
      const uint64_t outputs = cu_max_outputs (b, o) * p->n_output * 4;
      uint64_t io = 0;
      for (uint32_t i = 0; i < p->n_buffers; i++)
        io = p->buffers[i].width > io ? p->buffers[i].width : io;
      io *= (uint64_t) o->max_rows * 4;
      if (e == cudaSuccess)
        e = cudaHostAlloc ((void **) &s->meta_host, s->meta_bytes, cudaHostAllocDefault);
      if (e == cudaSuccess)
        e = cudaHostAlloc ((void **) &s->logits_host, outputs, cudaHostAllocDefault);
      if (e == cudaSuccess)
        e = cudaHostAlloc ((void **) &s->io_host, io, cudaHostAllocDefault);
      const uint64_t guest = guest_layer (b, o).block_bytes * CU_GUEST_BLOCKS;
      for (int k = 0; k < 2 && guest && e == cudaSuccess; k++)
        {
          e = cudaHostAlloc ((void **) &s->guest_host[k], guest, cudaHostAllocDefault);
          if (e == cudaSuccess)
            e = cudaEventCreateWithFlags (&s->guest_moved[k], cudaEventDisableTiming);
        }
      const uint64_t n_expert = widest (p).scores;
      if (e == cudaSuccess && n_expert)
        e = cudaHostAlloc ((void **) &s->first_host, (n_expert + 1) * sizeof *s->first_host, cudaHostAllocDefault);
      if (e == cudaSuccess && s->sampling)
        e = cudaHostAlloc ((void **) &s->sampling_host, sizeof *s->sampling_host, cudaHostAllocDefault);
      for (int k = 0; k < 2 && s->sampling && e == cudaSuccess; k++)
        e = cudaEventCreateWithFlags (&s->sampled[k], cudaEventDisableTiming);
      if (e != cudaSuccess)
        status = cu_fail (d, e, "conversation memory", error);
    }
  if (status != ENG_OK)
    {
      state_clear (s);
      return status;
    }
  Carver real = { s->arena, 0 };
  if (!lay_out (b, o, s, &real, &plan))
    {
      state_clear (s);
      return cu_error (error, ENG_ERR_NO_MEMORY, "state", 0, 0, "out of memory");
    }
  set_views (s);
  cu_use_layout (s, CU_LAYOUT_SMALL);
  memset (s->meta_host, 0, s->meta_bytes);
  *out = s;
  return ENG_OK;
}

void
cu_state_free (EngState **state)
{
  if (!state || !*state)
    return;
  cudaSetDevice ((*state)->bound->device->ordinal);
  cudaStreamSynchronize ((*state)->bound->device->stream);
  state_clear (*state);
  *state = NULL;
}

// A block's halves within one layer; layers lie n_blocks * that apart.
static uint64_t
block_halves (const EngGroupDesc *g, uint32_t width)
{
  return (uint64_t) g->n_kv_head * ENG_KV_BLOCK * width;
}

uint64_t
cu_block_bytes (EngBound *b, EngState *s, uint32_t group)
{
  const EngGroupDesc *g = &b->program->groups[group];
  if (g->kind == ENG_STATE_RECURRENT)
    return 4 * s->n_layers[group] * cu_recurrent_floats (g);
  return 2 * (uint64_t) s->n_layers[group] * (block_halves (g, g->k_width) + block_halves (g, g->v_width));
}

// Every layer's part of a block: @visit (device pointer, bytes, offset within the saved block).
template <typename F>
static cudaError_t
each_part (EngBound *b, EngState *s, uint32_t group, uint32_t block, F visit)
{
  const EngGroupDesc *g = &b->program->groups[group];
  const bool recurrent = g->kind == ENG_STATE_RECURRENT;
  const uint64_t n = s->options.n_blocks[group];
  uint64_t at = 0;
  for (uint32_t l = s->first_layer[group]; l < s->first_layer[group] + s->n_layers[group]; l++)
    for (int v = 0; v < (recurrent ? 1 : 2); v++)
      {
        const uint64_t halves = recurrent ? 2 * cu_recurrent_floats (g) : block_halves (g, v ? g->v_width : g->k_width);
        __half *base = recurrent ? (__half *) s->recurrent[group] : (v ? s->v : s->k)[group];
        const cudaError_t e = visit (base + (l * n + block) * halves, 2 * halves, at);
        if (e != cudaSuccess)
          return e;
        at += 2 * halves;
      }
  return cudaSuccess;
}

static EngStatus
finish_copy (EngBound *b, cudaError_t e, EngError *error)
{
  if (e == cudaSuccess)
    e = cudaStreamSynchronize (b->device->stream);
  return e == cudaSuccess ? ENG_OK : cu_fail (b->device, e, "copying conversation memory", error);
}

EngStatus
cu_copy_block (EngBound *b, EngState *s, uint32_t group, uint32_t from, uint32_t to, EngError *error)
{
  cudaSetDevice (b->device->ordinal);
  const cudaError_t e = each_part (b, s, group, from, [&] (__half *p, uint64_t bytes, uint64_t at) {
    return cudaMemcpyAsync (p + ((int64_t) to - from) * (int64_t) (bytes / 2), p, bytes,
                            cudaMemcpyDeviceToDevice, b->device->stream);
  });
  return finish_copy (b, e, error);
}

EngStatus
cu_read_block (EngBound *b, EngState *s, uint32_t group, uint32_t block, void *data, EngError *error)
{
  cudaSetDevice (b->device->ordinal);
  return finish_copy (b, each_part (b, s, group, block, [&] (__half *p, uint64_t bytes, uint64_t at) {
                        return cudaMemcpyAsync ((uint8_t *) data + at, p, bytes,
                                                cudaMemcpyDeviceToHost, b->device->stream);
                      }),
                      error);
}

EngStatus
cu_write_block (EngBound *b, EngState *s, uint32_t group, uint32_t block, const void *data,
                EngError *error)
{
  cudaSetDevice (b->device->ordinal);
  return finish_copy (b, each_part (b, s, group, block, [&] (__half *p, uint64_t bytes, uint64_t at) {
                        return cudaMemcpyAsync (p, (const uint8_t *) data + at, bytes,
                                                cudaMemcpyHostToDevice, b->device->stream);
                      }),
                      error);
}
