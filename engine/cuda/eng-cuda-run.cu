// SPDX-License-Identifier: Apache-2.0
// Running steps: few rows through the fused matrix-vector kernels (one row inside a CUDA graph), many
// through large products on expanded weights.
#include <stdlib.h>
#include <string.h>

#include "eng-cuda-private.h"

// What a run carries along.
typedef struct
{
  EngBound *b;
  EngState *s;
  const EngProgram *p;
  CuStream stream;
  int n_rows, n_outputs, n_sequences, max_rows_of_sequence;
  int pdl;
  uint32_t first, end; // steps of the run: end is behind the last
  EngBufferId in_x16; // buffer whose bf16 form x16 holds now, or ENG_BUFFER_NONE
  int blas_error;
} Run;

#define TRY(call)                                                                                  \
  do                                                                                               \
    {                                                                                              \
      const cudaError_t e_ = (call);                                                               \
      if (e_ != cudaSuccess)                                                                       \
        return e_;                                                                                 \
    }                                                                                              \
  while (0)

static const float *
vector_of (const Run *r, EngWeightId w)
{
  return w == ENG_WEIGHT_NONE ? NULL : r->b->vectors[w];
}

// Products: what they read, with a folded norm in front of it when there is one.
static void
set_input (const Run *r, uint32_t i, CuGemv *g)
{
  const EngStep *s = &r->p->steps[i];
  const int n = r->b->plans[i].norm_of_src;
  EngBufferId src = s->src;
  if (n >= 0)
    {
      const EngStep *norm = &r->p->steps[n];
      src = norm->src;
      g->has_norm = 1;
      g->norm = vector_of (r, norm->w[0]);
      g->eps = norm->u.norm.eps;
    }
  g->x = r->s->buffers[src];
  g->x_stride = r->p->buffers[src].width;
  g->n_cols = r->b->weights[s->w[0]].n_cols;
  g->scale = 1.f;
}

static cudaError_t
gemv (const Run *r, const CuGemv *g, int n_rows)
{
  // segments of one launch are all planes or all floats
  CuGemv part = *g;
  for (int first = 0; first < g->n_segments;)
    {
      int n = 1;
      const bool floats = g->segment[first].w.q_bytes == 0;
      while (first + n < g->n_segments && (g->segment[first + n].w.q_bytes == 0) == floats)
        n++;
      for (int k = 0; k < n; k++)
        part.segment[k] = g->segment[first + k];
      part.n_segments = n;
      TRY (cu_gemv (r->stream, &part, n_rows, r->b->device->n_units, r->pdl));
      first += n;
    }
  return cudaSuccess;
}

static CuSegment
segment (const Run *r, EngWeightId w, EngWeightId bias, float *y, uint32_t stride)
{
  CuSegment s = {};
  s.w = r->b->weights[w];
  s.bias = vector_of (r, bias);
  s.y = y;
  s.y_stride = stride;
  return s;
}

static CuQkv
qkv_arguments (const Run *r, const EngStep *s)
{
  const EngGroupDesc *g = &r->p->groups[s->u.qkv.group];
  const uint64_t block = (uint64_t) g->n_kv_head * ENG_KV_BLOCK, n = r->s->options.n_blocks[s->u.qkv.group];
  CuQkv a = {};
  a.q = r->s->buffers[s->dst];
  a.k = r->s->kv_rows;
  a.v = r->s->kv_rows + (uint64_t) r->s->options.max_rows * s->u.qkv.n_head_kv * s->u.qkv.k_width;
  a.kc = r->s->k[s->u.qkv.group] + s->u.qkv.i_layer_in_group * n * block * g->k_width;
  a.vc = r->s->v[s->u.qkv.group] + s->u.qkv.i_layer_in_group * n * block * g->v_width;
  a.q_norm = vector_of (r, s->w[6]);
  a.k_norm = vector_of (r, s->w[7]);
  a.norm_kind = s->u.qkv.head_norm;
  a.eps = s->u.qkv.head_eps;
  a.clamp = s->u.qkv.clamp;
  a.n_head = s->u.qkv.n_head;
  a.n_head_kv = s->u.qkv.n_head_kv;
  a.k_width = s->u.qkv.k_width;
  a.v_width = s->u.qkv.v_width;
  a.rope_kind = s->u.qkv.rope.kind;
  a.n_rot = s->u.qkv.rope.n_rot;
  a.rope_scale = s->u.qkv.rope.scale;
  a.inv_freq = a.rope_kind == ENG_ROPE_NONE ? NULL : r->b->rope[s->u.qkv.rope.i_table];
  a.group = s->u.qkv.group;
  return a;
}

static cudaError_t
qkv_finish (const Run *r, const EngStep *s)
{
  const CuQkv a = qkv_arguments (r, s);
  return cu_qkv_finish (r->stream, &a, &r->s->view, r->n_rows, r->pdl);
}

static CuAttention
attention (const Run *r, const EngStep *s)
{
  const uint32_t group = s->u.attention.group;
  const EngGroupDesc *g = &r->p->groups[group];
  const uint64_t block = (uint64_t) g->n_kv_head * ENG_KV_BLOCK, n = r->s->options.n_blocks[group];
  CuAttention a = {};
  a.k = r->s->k[group] + s->u.attention.i_layer_in_group * n * block * g->k_width;
  a.v = r->s->v[group] + s->u.attention.i_layer_in_group * n * block * g->v_width;
  a.n_head = s->u.attention.n_head;
  a.n_head_kv = s->u.attention.n_head_kv;
  a.k_width = s->u.attention.k_width;
  a.v_width = s->u.attention.v_width;
  a.scale = s->u.attention.scale;
  a.soft_cap = s->u.attention.soft_cap;
  a.window = s->u.attention.window;
  a.causal = s->u.attention.causal;
  a.sinks = vector_of (r, s->w[0]);
  return a;
}

// Whether the attention behind QKV step @i does that step's finish as well.
static bool
attention_finishes (const Run *r, uint32_t i)
{
  if (i + 1 >= r->end || r->max_rows_of_sequence != 1)
    return false;
  const EngStep *s = &r->p->steps[i], *next = s + 1;
  if (s->kind != ENG_STEP_QKV || next->kind != ENG_STEP_ATTENTION || next->src != s->dst)
    return false;
  const CuAttention a = attention (r, next);
  return cu_attention_token_fits (&a);
}

static cudaError_t
norm (const Run *r, const EngStep *s, float *y, __nv_bfloat16 *y16)
{
  float *const *buf = r->s->buffers;
  return cu_norm (r->stream, s->u.norm.kind, buf[s->src],
                  s->flags & ENG_STEP_ADD_BEFORE ? buf[s->aux] : NULL,
                  s->flags & ENG_STEP_ADD_AFTER ? buf[s->aux] : NULL, vector_of (r, s->w[0]),
                  vector_of (r, s->w[1]), s->u.norm.eps, s->u.norm.scale, y, y16, r->n_rows,
                  r->p->buffers[s->src].width, r->pdl);
}

static cudaError_t
embed (const Run *r, const EngStep *s)
{
  return cu_embed (r->stream, &r->b->weights[s->w[0]], vector_of (r, s->w[1]), vector_of (r, s->w[2]),
                   &r->s->view, s->u.embed.scale, s->u.embed.position_offset, r->n_rows,
                   r->s->buffers[s->dst], r->p->buffers[s->dst].width, r->pdl);
}

// The sigmoid that a shared expert is weighed with.
static cudaError_t
gate_rows (const Run *r, const EngStep *s, float *y, __nv_bfloat16 *y16)
{
  if (s->w[4] == ENG_WEIGHT_NONE)
    return cudaSuccess;
  return cu_gate_rows (r->stream, r->s->buffers[s->src], (int) r->p->buffers[s->src].width, vector_of (r, s->w[4]),
                       r->n_rows, (int) r->b->weights[s->w[0]].n_rows, y, y16);
}

// ---- few rows ----

static cudaError_t
experts_few (const Run *r, uint32_t i)
{
  const EngStep *s = &r->p->steps[i];
  const uint32_t n_ff = r->b->weights[s->w[0]].n_rows, n_used = s->u.experts.n_used;
  CuGemv g = {};
  set_input (r, i, &g);
  g.tail = CU_TAIL_GLU;
  g.act = s->u.experts.act;
  g.route = r->s->buffers[s->aux];
  g.route_stride = r->p->buffers[s->aux].width;
  g.n_used = n_used;
  g.n_segments = 1;
  g.segment[0] = segment (r, s->w[0], ENG_WEIGHT_NONE, r->s->glu_rows, n_used * n_ff);
  g.segment[0].w2 = r->b->weights[s->w[1]];
  TRY (gemv (r, &g, r->n_rows));
  CuGemv d = {};
  d.x = r->s->glu_rows;
  d.x_stride = n_used * n_ff;
  d.n_cols = n_ff;
  d.scale = 1.f;
  d.route = g.route;
  d.route_stride = g.route_stride;
  d.n_used = n_used;
  d.tail = s->flags & ENG_STEP_ADD_AFTER ? CU_TAIL_ADD : CU_TAIL_STORE;
  d.aux = r->s->buffers[s->dst];
  d.n_segments = 1;
  d.segment[0] = segment (r, s->w[2], ENG_WEIGHT_NONE, r->s->buffers[s->dst],
                          r->p->buffers[s->dst].width);
  return gemv (r, &d, r->n_rows);
}

static cudaError_t
step_few (const Run *r, uint32_t i)
{
  const EngStep *s = &r->p->steps[i];
  float *const *buf = r->s->buffers;
  CuGemv g = {};
  switch (s->kind)
    {
    case ENG_STEP_EMBED:
      return embed (r, s);
    case ENG_STEP_NORM:
      return r->b->plans[i].folded ? cudaSuccess : norm (r, s, buf[s->dst], NULL);
    case ENG_STEP_QKV:
      {
        const uint32_t nk = s->u.qkv.n_head_kv * s->u.qkv.k_width;
        const uint32_t nv = s->u.qkv.n_head_kv * s->u.qkv.v_width;
        set_input (r, i, &g);
        g.n_segments = 3;
        g.segment[0] = segment (r, s->w[0], s->w[3], buf[s->dst], r->p->buffers[s->dst].width);
        g.segment[1] = segment (r, s->w[1], s->w[4], r->s->kv_rows, nk);
        g.segment[2] = segment (r, s->w[2], s->w[5],
                                r->s->kv_rows + (uint64_t) r->s->options.max_rows * nk, nv);
        TRY (gemv (r, &g, r->n_rows));
        return attention_finishes (r, i) ? cudaSuccess : qkv_finish (r, s);
      }
    case ENG_STEP_ATTENTION:
      {
        const CuAttention a = attention (r, s);
        if (i > r->first && attention_finishes (r, i - 1))
          {
            const CuQkv f = qkv_arguments (r, s - 1);
            return cu_attention_token (r->stream, &a, &f, &r->s->view, buf[s->dst], r->n_rows, r->s->partial,
                                       r->s->counters, r->b->device->n_units, r->pdl);
          }
        return cu_attention_decode (r->stream, &a, &r->s->view, s->u.attention.group, buf[s->src],
                                    buf[s->dst], r->n_rows, r->s->partial, r->s->counters,
                                    r->b->device->n_units, r->pdl);
      }
    case ENG_STEP_PRODUCT:
      set_input (r, i, &g);
      g.n_segments = 1;
      g.segment[0] = segment (r, s->w[0], s->w[1], buf[s->dst], r->p->buffers[s->dst].width);
      g.act = s->u.product.act;
      g.scale = s->u.product.scale;
      if (s->flags & ENG_STEP_ADD_AFTER)
        {
          g.tail = CU_TAIL_ADD;
          g.aux = buf[s->aux];
        }
      return gemv (r, &g, r->n_rows);
    case ENG_STEP_GATE_UP:
      set_input (r, i, &g);
      if (r->b->weights[s->w[0]].type != r->b->weights[s->w[1]].type)
        {
          const uint32_t n = r->b->weights[s->w[0]].n_rows;
          g.n_segments = 2;
          g.segment[0] = segment (r, s->w[0], ENG_WEIGHT_NONE, r->s->glu_rows, 2 * n);
          g.segment[1] = segment (r, s->w[1], ENG_WEIGHT_NONE, r->s->glu_rows + n, 2 * n);
          TRY (gemv (r, &g, r->n_rows));
          TRY (cu_glu (r->stream, r->s->glu_rows, r->s->glu_rows + n, vector_of (r, s->w[2]), vector_of (r, s->w[3]),
                       s->u.glu.act, r->n_rows, (int) n, 2 * n, buf[s->dst], NULL));
          return gate_rows (r, s, buf[s->dst], NULL);
        }
      g.tail = CU_TAIL_GLU;
      g.act = s->u.glu.act;
      g.n_segments = 1;
      g.segment[0] = segment (r, s->w[0], s->w[2], buf[s->dst], r->p->buffers[s->dst].width);
      g.segment[0].w2 = r->b->weights[s->w[1]];
      g.segment[0].bias2 = vector_of (r, s->w[3]);
      TRY (gemv (r, &g, r->n_rows));
      return gate_rows (r, s, buf[s->dst], NULL);
    case ENG_STEP_ROUTE:
      set_input (r, i, &g);
      if (r->b->weights[s->w[0]].type == ENG_TYPE_F32 && r->n_rows <= ENG_CUDA_GEMV_ROWS)
        {
          CuRouter a = {};
          a.x = g.x;
          a.w = (const float *) r->b->weights[s->w[0]].q;
          a.has_norm = g.has_norm;
          a.norm = g.norm;
          a.eps = g.eps;
          a.selection = vector_of (r, s->w[1]);
          a.n_cols = (int) g.n_cols;
          a.n_expert = (int) s->u.route.n_expert;
          a.n_used = (int) s->u.route.n_used;
          a.gating = s->u.route.gating;
          a.normalize = s->u.route.normalize;
          a.scale = s->u.route.scale;
          a.scores = r->s->scores;
          a.y = buf[s->dst];
          a.counters = r->s->route_counters;
          return cu_router (r->stream, &a, r->n_rows, r->pdl);
        }
      g.n_segments = 1;
      g.segment[0] = segment (r, s->w[0], ENG_WEIGHT_NONE, r->s->scores, s->u.route.n_expert);
      TRY (gemv (r, &g, r->n_rows));
      return cu_route (r->stream, r->s->scores, vector_of (r, s->w[1]), r->n_rows,
                       s->u.route.n_expert, s->u.route.n_used, s->u.route.gating,
                       s->u.route.normalize, s->u.route.scale, buf[s->dst], r->pdl);
    case ENG_STEP_EXPERTS:
      return experts_few (r, i);
    case ENG_STEP_OUTPUT:
      if (r->n_outputs == 0)
        return cudaSuccess;
      set_input (r, i, &g);
      g.row_map = r->s->view.output;
      g.n_segments = 1;
      g.segment[0] = segment (r, s->w[0], s->w[1], r->s->logits, r->p->n_output);
      g.scale = s->u.output.scale;
      g.soft_cap = s->u.output.soft_cap;
      return gemv (r, &g, r->n_outputs);
    default:
      return cudaErrorNotSupported;
    }
}

// ---- many rows ----

// y [m, ldy] = beta y + x16 [m, k] * w^T, rows [first, first + n) of the weight.
static cudaError_t
large_product (Run *r, const CuWeight *w, uint64_t first, uint64_t n, const __nv_bfloat16 *x16, int m,
               float *y, int ldy, float beta)
{
  const uint64_t at_once = r->s->w16_elements / w->n_cols;
  for (uint64_t at = 0; at < n; at += at_once)
    {
      const uint64_t part = n - at < at_once ? n - at : at_once;
      const __nv_bfloat16 *w16 = r->s->w16;
      if (w->type == ENG_TYPE_BF16)
        w16 = (const __nv_bfloat16 *) w->q + (first + at) * w->n_cols;
      else
        TRY (cu_expand_bf16 (r->stream, w, first + at, part, r->s->w16));
      r->blas_error = cu_blas_product (r->b->device->blas, r->stream, m, (int) part, (int) w->n_cols,
                                       x16, w16, y + at, ldy, beta, r->s->workspace,
                                       CU_BLAS_WORKSPACE_BYTES);
      if (r->blas_error)
        return cudaErrorUnknown;
    }
  return cudaSuccess;
}

// The bf16 form of a buffer, made if x16 does not hold it already.
static cudaError_t
need_x16 (Run *r, EngBufferId id)
{
  if (r->in_x16 == id)
    return cudaSuccess;
  r->in_x16 = id;
  return cu_to_bf16 (r->stream, r->s->buffers[id], (uint64_t) r->n_rows * r->p->buffers[id].width,
                     r->s->x16);
}

// The whole weight on buffer @src: float32 weights as they are, others in bf16.
static cudaError_t
product_of (Run *r, const CuWeight *w, EngBufferId src, float *y, int ldy, float beta)
{
  if (w->type != ENG_TYPE_F32)
    {
      TRY (need_x16 (r, src));
      return large_product (r, w, 0, w->n_rows, r->s->x16, r->n_rows, y, ldy, beta);
    }
  r->blas_error = cu_blas_product_f32 (r->b->device->blas, r->stream, r->n_rows, (int) w->n_rows, (int) w->n_cols,
                                       r->s->buffers[src], (const float *) w->q, y, ldy, beta, r->s->workspace,
                                       CU_BLAS_WORKSPACE_BYTES);
  return r->blas_error ? cudaErrorUnknown : cudaSuccess;
}

static cudaError_t
experts_many (Run *r, const EngStep *s)
{
  EngState *st = r->s;
  const CuWeight *gate = &r->b->weights[s->w[0]], *up = &r->b->weights[s->w[1]];
  const CuWeight *down = &r->b->weights[s->w[2]];
  const int n_used = s->u.experts.n_used, n_expert = s->u.experts.n_expert, n = r->n_rows * n_used;
  const float *route = st->buffers[s->aux];
  TRY (cudaMemcpyAsync (st->route_host, route, (size_t) n * 2 * 4, cudaMemcpyDeviceToHost, r->stream));
  TRY (cudaStreamSynchronize (r->stream));
  // counting sort of the choices by expert
  int first[1025] = { 0 };
  for (int k = 0; k < n; k++)
    {
      const int e = (int) st->route_host[(size_t) (k / n_used) * 2 * n_used + k % n_used];
      if (e < 0 || e >= n_expert || e >= 1024)
        return cudaErrorInvalidValue;
      first[e + 1]++;
    }
  for (int e = 0; e < n_expert; e++)
    first[e + 1] += first[e];
  int fill[1024];
  memcpy (fill, first, sizeof fill);
  int *rows = st->expert_host, *place = st->expert_host + n;
  for (int k = 0; k < n; k++)
    {
      const int e = (int) st->route_host[(size_t) (k / n_used) * 2 * n_used + k % n_used];
      place[k] = fill[e]++;
      rows[place[k]] = k / n_used;
    }
  TRY (cudaMemcpyAsync (st->slot_row, rows, (size_t) n * 4, cudaMemcpyHostToDevice, r->stream));
  TRY (cudaMemcpyAsync (st->slot_place, place, (size_t) n * 4, cudaMemcpyHostToDevice, r->stream));
  const int n_in = (int) gate->n_cols, n_ff = (int) gate->n_rows, n_out = (int) down->n_rows;
  TRY (cu_gather_bf16 (r->stream, st->buffers[s->src], st->slot_row, n, n_in, st->slot_x16));
  const CuWeight *in[2] = { gate, up };
  float *out[2] = { st->slot_gate, st->slot_up };
  for (int m = 0; m < 3; m++)
    {
      const CuWeight *w = m < 2 ? in[m] : down;
      const int at_once = (int) (st->w16_elements / ((uint64_t) w->n_rows * w->n_cols));
      if (m == 2)
        TRY (cu_glu (r->stream, st->slot_gate, st->slot_up, NULL, NULL, s->u.experts.act, n, n_ff, n_ff,
                     NULL, st->slot_h16));
      for (int e0 = 0; e0 < n_expert; e0 += at_once)
        {
          const int e1 = e0 + at_once < n_expert ? e0 + at_once : n_expert;
          if (first[e1] == first[e0])
            continue;
          TRY (cu_expand_bf16 (r->stream, w, (uint64_t) e0 * w->n_rows, (uint64_t) (e1 - e0) * w->n_rows,
                               st->w16));
          for (int e = e0; e < e1; e++)
            {
              const int rows_here = first[e + 1] - first[e];
              if (rows_here == 0)
                continue;
              const __nv_bfloat16 *x = m < 2 ? st->slot_x16 + (size_t) first[e] * n_in
                                             : st->slot_h16 + (size_t) first[e] * n_ff;
              float *y = m < 2 ? out[m] + (size_t) first[e] * n_ff
                               : st->slot_y + (size_t) first[e] * n_out;
              r->blas_error = cu_blas_product (
                  r->b->device->blas, r->stream, rows_here, (int) w->n_rows, (int) w->n_cols, x,
                  st->w16 + (size_t) (e - e0) * w->n_rows * w->n_cols, y, (int) w->n_rows, 0.f,
                  st->workspace, CU_BLAS_WORKSPACE_BYTES);
              if (r->blas_error)
                return cudaErrorUnknown;
            }
        }
    }
  return cu_combine (r->stream, st->slot_y, st->slot_place, route, n_used, r->n_rows, n_out,
                     s->flags & ENG_STEP_ADD_AFTER, st->buffers[s->dst]);
}

static cudaError_t
qkv_many (Run *r, const EngStep *s)
{
  const uint32_t nq = r->p->buffers[s->dst].width, nk = s->u.qkv.n_head_kv * s->u.qkv.k_width;
  const uint32_t nv = s->u.qkv.n_head_kv * s->u.qkv.v_width;
  float *y[3] = { r->s->buffers[s->dst], r->s->kv_rows,
                  r->s->kv_rows + (uint64_t) r->s->options.max_rows * nk };
  const uint32_t n[3] = { nq, nk, nv };
  for (int k = 0; k < 3; k++)
    {
      TRY (product_of (r, &r->b->weights[s->w[k]], s->src, y[k], (int) n[k], 0.f));
      if (s->w[3 + k] != ENG_WEIGHT_NONE)
        TRY (cu_epilogue (r->stream, y[k], vector_of (r, s->w[3 + k]), NULL, ENG_ACT_NONE, 1.f, 0.f,
                          r->n_rows, (int) n[k]));
    }
  return qkv_finish (r, s);
}

static cudaError_t
step_many (Run *r, uint32_t i)
{
  const EngStep *s = &r->p->steps[i];
  EngState *st = r->s;
  float *const *buf = st->buffers;
  const bool f32 = r->b->plans[i].f32_needed;
  switch (s->kind)
    {
    case ENG_STEP_EMBED:
      r->in_x16 = ENG_BUFFER_NONE;
      return embed (r, s);
    case ENG_STEP_NORM:
      r->in_x16 = s->dst;
      return norm (r, s, buf[s->dst], st->x16);
    case ENG_STEP_QKV:
      return qkv_many (r, s);
    case ENG_STEP_ATTENTION:
      {
        const CuAttention a = attention (r, s);
        r->in_x16 = s->dst;
        return cu_attention_prefill (r->stream, &a, &st->view, s->u.attention.group, buf[s->src],
                                     buf[s->dst], st->x16, r->n_rows, r->max_rows_of_sequence,
                                     r->n_sequences);
      }
    case ENG_STEP_PRODUCT:
      {
        const CuWeight *w = &r->b->weights[s->w[0]];
        const int width = (int) r->p->buffers[s->dst].width;
        const bool add = s->flags & ENG_STEP_ADD_AFTER;
        const bool plain = s->w[1] == ENG_WEIGHT_NONE && s->u.product.act == ENG_ACT_NONE
                           && s->u.product.scale == 1.f;
        if (r->in_x16 == s->dst)
          r->in_x16 = ENG_BUFFER_NONE;
        if (plain && add && s->aux == s->dst)
          return product_of (r, w, s->src, buf[s->dst], width, 1.f);
        float *y = add && s->aux == s->dst ? st->glu_rows : buf[s->dst];
        TRY (product_of (r, w, s->src, y, width, 0.f));
        if (plain && !add)
          return cudaSuccess;
        TRY (cu_epilogue (r->stream, y, vector_of (r, s->w[1]), add ? buf[s->aux] : NULL,
                          s->u.product.act, s->u.product.scale, 0.f, r->n_rows, width));
        return y == buf[s->dst] ? cudaSuccess
                                : cudaMemcpyAsync (buf[s->dst], y, (size_t) r->n_rows * width * 4,
                                                   cudaMemcpyDeviceToDevice, r->stream);
      }
    case ENG_STEP_GATE_UP:
      {
        const CuWeight *gate = &r->b->weights[s->w[0]], *up = &r->b->weights[s->w[1]];
        const int n = (int) gate->n_rows;
        TRY (product_of (r, gate, s->src, st->glu_rows, 2 * n, 0.f));
        TRY (product_of (r, up, s->src, st->glu_rows + n, 2 * n, 0.f));
        r->in_x16 = s->dst;
        TRY (cu_glu (r->stream, st->glu_rows, st->glu_rows + n, vector_of (r, s->w[2]),
                       vector_of (r, s->w[3]), s->u.glu.act, r->n_rows, n, 2 * n,
                       f32 ? buf[s->dst] : NULL, st->x16));
        return gate_rows (r, s, f32 ? buf[s->dst] : NULL, st->x16);
      }
    case ENG_STEP_ROUTE:
      {
        const CuWeight *w = &r->b->weights[s->w[0]];
        TRY (product_of (r, w, s->src, st->scores, (int) w->n_rows, 0.f));
        return cu_route (r->stream, st->scores, vector_of (r, s->w[1]), r->n_rows, s->u.route.n_expert,
                         s->u.route.n_used, s->u.route.gating, s->u.route.normalize, s->u.route.scale,
                         buf[s->dst], 0);
      }
    case ENG_STEP_EXPERTS:
      if (r->in_x16 == s->dst)
        r->in_x16 = ENG_BUFFER_NONE;
      // float32 experts are not rounded to bf16: the next layer's router would choose others
      return r->b->weights[s->w[0]].type == ENG_TYPE_F32 ? experts_few (r, i) : experts_many (r, s);
    case ENG_STEP_OUTPUT:
      {
        if (r->n_outputs == 0)
          return cudaSuccess;
        const CuWeight *w = &r->b->weights[s->w[0]];
        const int n = (int) r->p->n_output;
        r->in_x16 = ENG_BUFFER_NONE;
        TRY (cu_gather_bf16 (r->stream, buf[s->src], st->view.output, r->n_outputs,
                             (int) w->n_cols, st->x16));
        TRY (large_product (r, w, 0, w->n_rows, st->x16, r->n_outputs, st->logits, n, 0.f));
        if (s->w[1] == ENG_WEIGHT_NONE && s->u.output.scale == 1.f && s->u.output.soft_cap == 0.f)
          return cudaSuccess;
        return cu_epilogue (r->stream, st->logits, vector_of (r, s->w[1]), NULL, ENG_ACT_NONE,
                            s->u.output.scale, s->u.output.soft_cap, r->n_outputs, n);
      }
    default:
      return cudaErrorNotSupported;
    }
}

// ---- a run ----

// Describe the rows for the device, in the order of set_views ().
static void
fill_meta (EngState *s, const EngBatch *batch, Run *r)
{
  const EngProgram *p = s->bound->program;
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
      const uint32_t n_blocks = (batch->sequences[q].n_positions + ENG_KV_BLOCK - 1) / ENG_KV_BLOCK;
      uint64_t table = 0;
      for (uint32_t g = 0; g < p->n_groups; g++)
        {
          for (uint32_t k = 0; k < n_blocks && k < o->n_blocks[g]; k++)
            {
              const uint32_t block = batch->sequences[q].tables[g][k];
              w[table + (uint64_t) q * o->n_blocks[g] + k] = block == UINT32_MAX ? 0 : (int32_t) block;
            }
          table += (uint64_t) o->max_sequences * o->n_blocks[g];
        }
    }
  first[batch->n_sequences] = (int32_t) row;
}

static EngStatus
check_batch (const EngState *s, const EngBatch *batch, EngError *error)
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
  if (n_outputs > o->max_outputs)
    return cu_error (error, ENG_ERR_ARGUMENT, "outputs", o->max_outputs, n_outputs,
                     "too many rows want outputs");
  for (uint32_t q = 0; q < batch->n_sequences; q++)
    for (uint32_t g = 0; g < p->n_groups; g++)
      if (o->n_blocks[g]
          && (batch->sequences[q].n_positions + ENG_KV_BLOCK - 1) / ENG_KV_BLOCK > o->n_blocks[g])
        return cu_error (error, ENG_ERR_ARGUMENT, "blocks", 0, 0, "a sequence is longer than its state");
  return ENG_OK;
}

static cudaError_t
run_few (Run *r, uint32_t first, uint32_t n)
{
  for (uint32_t i = first; i < first + n; i++)
    TRY (step_few (r, i));
  return cudaSuccess;
}

// Runs of one row repeat: captured once, launched as a graph after that.
static cudaError_t
run_graph (Run *r, uint32_t first, uint32_t n)
{
  EngState *s = r->s;
  for (uint32_t i = 0; i < s->n_graphs; i++)
    {
      const CuGraph *g = &s->graphs[i];
      if (g->first_step == first && g->n_steps == n && g->n_rows == (uint32_t) r->n_rows
          && g->n_outputs == (uint32_t) r->n_outputs)
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
  s->n_graphs++;
  return cudaGraphLaunch (g->exec, r->stream);
}

static cudaError_t
run_many (Run *r, uint32_t first, uint32_t n, int *cancel, bool *cancelled)
{
  for (uint32_t i = first; i < first + n; i++)
    {
      if (cancel && r->p->steps[i].flags & ENG_STEP_LAYER_BEGIN && __atomic_load_n (cancel, __ATOMIC_ACQUIRE))
        {
          *cancelled = true;
          return cudaSuccess;
        }
      TRY (step_many (r, i));
    }
  return cudaSuccess;
}

// Rows that bring their own vector instead of a token.
static cudaError_t
place_vectors (Run *r, const EngBatch *batch, const EngStep *embed_step)
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
run_all (Run *r, const EngBatch *batch, const EngRun *run, bool *cancelled)
{
  EngState *s = r->s;
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
  if (r->n_rows <= ENG_CUDA_GEMV_ROWS || !r->b->device->blas)
    TRY (r->n_rows == 1 ? run_graph (r, run->first_step, run->n_steps)
                        : run_few (r, run->first_step, run->n_steps));
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

EngStatus
cu_run (EngBound *b, EngState *s, const EngBatch *batch, const EngRun *run, EngError *error)
{
  EngDevice *d = b->device;
  if (d->lost)
    return cu_error (error, ENG_ERR_DEVICE, "device", 0, 0, "the GPU was lost");
  EngStatus status = check_batch (s, batch, error);
  if (status != ENG_OK)
    return status;
  if (run->first_step < b->first_step || run->n_steps > b->first_step + b->n_steps - run->first_step)
    return cu_error (error, ENG_ERR_ARGUMENT, "steps", 0, 0, "steps that are not bound here");
  if (run->cancel && __atomic_load_n (run->cancel, __ATOMIC_ACQUIRE))
    return cu_error (error, ENG_ERR_CANCELLED, "run", 0, 0, "cancelled");
  cudaSetDevice (d->ordinal);
  if (batch->n_rows > ENG_CUDA_GEMV_ROWS && !d->blas_tried)
    {
      d->blas_tried = true;
      d->blas = cu_blas_open ();
    }
  Run r = {};
  r.b = b;
  r.s = s;
  r.p = b->program;
  r.stream = d->stream;
  r.pdl = d->pdl;
  r.first = run->first_step;
  r.end = run->first_step + run->n_steps;
  r.in_x16 = ENG_BUFFER_NONE;
  fill_meta (s, batch, &r);
  bool cancelled = false;
  const cudaError_t e = run_all (&r, batch, run, &cancelled);
  if (r.blas_error)
    return cu_error (error, ENG_ERR_DEVICE, "cublas", 0, 0, "a product failed in cuBLAS (status %d)",
                     r.blas_error);
  if (e != cudaSuccess)
    return cu_fail (d, e, "running the model on the GPU", error);
  if (cancelled)
    return cu_error (error, ENG_ERR_CANCELLED, "run", 0, 0, "cancelled");
  return ENG_OK;
}
