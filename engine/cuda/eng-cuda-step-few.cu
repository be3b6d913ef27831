// SPDX-License-Identifier: Apache-2.0
// Steps of few rows, through the fused matrix-vector kernels.
#include "eng-cuda-run.h"

// Products: what they read, with a folded norm in front of it when there is one.
static void
set_input (const CuRun *r, uint32_t i, CuGemv *g)
{
  const EngStep *s = &r->p->steps[i];
  const int n = r->b->plans[i].norm_of_src;
  EngBufferId src = s->src;
  if (n >= 0)
    {
      const EngStep *norm = &r->p->steps[n];
      src = norm->src;
      g->has_norm = 1;
      g->norm = cu_vector_of (r, norm->w[0]);
      g->eps = norm->u.norm.eps;
    }
  g->x = r->s->buffers[src];
  g->x_stride = r->p->buffers[src].width;
  g->n_cols = r->b->weights[s->w[0]].n_cols;
  g->scale = 1.f;
}

static cudaError_t
gemv (const CuRun *r, const CuGemv *g, int n_rows)
{
  if (g->segment[0].w.q_bytes == 0 && g->n_cols % 8)
    return cu_gemv_plain (r->stream, g, n_rows, r->pdl);
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
segment (const CuRun *r, EngWeightId w, EngWeightId bias, float *y, uint32_t stride)
{
  CuSegment s = {};
  s.w = r->b->weights[w];
  s.bias = cu_vector_of (r, bias);
  s.y = y;
  s.y_stride = stride;
  return s;
}

// Whether the attention behind QKV step @i does that step's finish as well.
static bool
attention_finishes (const CuRun *r, uint32_t i)
{
  if (i + 1 >= r->end || r->max_rows_of_sequence != 1)
    return false;
  const EngStep *s = &r->p->steps[i], *next = s + 1;
  // another layer's keys were written by this run: only behind the wait for them can they be read
  if (s->kind != ENG_STEP_QKV || next->kind != ENG_STEP_ATTENTION || next->src != s->dst || cu_shares_keys (s))
    return false;
  const CuAttention a = cu_attention_arguments (r, next);
  return cu_attention_token_fits (&a);
}

// Whether that attention goes to the kernel for many positions.
static bool
attention_is_deep (const CuRun *r, uint32_t i)
{
  if (r->depth == 0 || !attention_finishes (r, i))
    return false;
  const CuAttention a = cu_attention_arguments (r, &r->p->steps[i + 1]);
  return cu_attention_is_deep (&a, r->depth);
}

bool
cu_wants_angles (const CuRun *r, uint32_t first, uint32_t n)
{
  for (uint32_t i = first; i < first + n && r->p->n_rope_tables; i++)
    if (attention_is_deep (r, i))
      return true;
  return false;
}

static cudaError_t
experts_few (const CuRun *r, uint32_t i)
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
  g.segment[0].bias = cu_vector_of (r, s->w[3]);
  g.segment[0].bias2 = cu_vector_of (r, s->w[4]);
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
  TRY (gemv (r, &d, r->n_rows));
  if (s->w[5] == ENG_WEIGHT_NONE)
    return cudaSuccess;
  return cu_expert_bias (r->stream, cu_vector_of (r, s->w[5]), g.route, (int) n_used, r->n_rows,
                         (int) r->b->weights[s->w[2]].n_rows, r->p->buffers[s->dst].width, r->s->buffers[s->dst], r->pdl);
}

// A product of every pooled vector.
static cudaError_t
pooled_product (const CuRun *r, EngWeightId w, EngWeightId bias, int act, const float *x, float *y)
{
  CuGemv g = {};
  g.x = x;
  g.x_stride = g.n_cols = r->b->weights[w].n_cols;
  g.scale = 1.f;
  g.act = act;
  g.n_segments = 1;
  g.segment[0] = segment (r, w, bias, y, r->b->weights[w].n_rows);
  return gemv (r, &g, r->n_sequences);
}

cudaError_t
cu_run_pool (const CuRun *r, const EngStep *s)
{
  const EngWeightId none = ENG_WEIGHT_NONE;
  int width = (int) r->p->buffers[s->src].width, at = 0;
  float *const *x = r->s->pooled;
  TRY (cu_pool (r->stream, s->u.pool.kind, r->s->buffers[s->src], &r->s->view, r->n_sequences, width, x[0], r->pdl));
  for (int k = 0; k < 4; k += 2)
    if (s->w[k] != none)
      {
        TRY (pooled_product (r, s->w[k], s->w[k + 1], k == 0 ? s->u.pool.head_act : ENG_ACT_NONE, x[at], x[at ^ 1]));
        at ^= 1;
        width = (int) r->b->weights[s->w[k]].n_rows;
      }
  return cu_unit (r->stream, x[at], width, r->n_sequences, (int) r->p->n_output, s->u.pool.normalize, r->s->logits, r->pdl);
}

cudaError_t
cu_step_few (const CuRun *r, uint32_t i)
{
  const EngStep *s = &r->p->steps[i];
  float *const *buf = r->s->buffers;
  CuGemv g = {};
  switch (s->kind)
    {
    case ENG_STEP_EMBED:
      return cu_run_embed (r, s);
    case ENG_STEP_NORM:
      return r->b->plans[i].folded ? cudaSuccess : cu_run_norm (r, s, buf[s->dst], NULL);
    case ENG_STEP_QKV:
      {
        const uint32_t nk = s->u.qkv.n_head_kv * s->u.qkv.k_width;
        const uint32_t nv = s->u.qkv.n_head_kv * s->u.qkv.v_width;
        set_input (r, i, &g);
        g.n_segments = cu_shares_keys (s) ? 1 : s->w[2] == s->w[1] ? 2 : 3;
        const bool gated = s->u.qkv.gate != 0;
        g.segment[0] = gated ? segment (r, s->w[0], s->w[3], r->s->glu_rows, 2 * s->u.qkv.n_head * s->u.qkv.k_width)
                             : segment (r, s->w[0], s->w[3], buf[s->dst], r->p->buffers[s->dst].width);
        if (g.n_segments > 1)
          g.segment[1] = segment (r, s->w[1], s->w[4], r->s->kv_rows, nk);
        if (g.n_segments > 2)
          g.segment[2] = segment (r, s->w[2], s->w[5],
                                  r->s->kv_rows + (uint64_t) r->s->rows * nk, nv);
        g.by_block = attention_is_deep (r, i); // its blocks want a multiprocessor each
        TRY (gemv (r, &g, r->n_rows));
        if (gated)
          TRY (cu_run_split_gate (r, s));
        return attention_finishes (r, i) ? cudaSuccess : cu_run_qkv_finish (r, s);
      }
    case ENG_STEP_ATTENTION:
      {
        const CuAttention a = cu_attention_arguments (r, s);
        if (i > r->first && attention_finishes (r, i - 1))
          {
            const CuQkv f = cu_qkv_arguments (r, s - 1);
            return cu_attention_token (r->stream, &a, &f, &r->s->view, buf[s->dst], r->n_rows, r->s->partial,
                                       r->s->counters, r->b->device->n_units, cu_attention_is_deep (&a, r->depth), r->pdl);
          }
        if (!a.causal && a.window)
          return cu_attention_window (r->stream, &a, &r->s->view, s->u.attention.group, buf[s->src], buf[s->dst], NULL,
                                      r->max_rows_of_sequence, r->n_sequences, r->pdl);
        return cu_run_attention_rows (r, s, &a);
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
          TRY (cu_glu (r->stream, r->s->glu_rows, r->s->glu_rows + n, cu_vector_of (r, s->w[2]), cu_vector_of (r, s->w[3]),
                       s->u.glu.act, r->n_rows, (int) n, 2 * n, buf[s->dst], NULL, n, r->pdl));
          return cu_run_gate_rows (r, s, buf[s->dst], NULL);
        }
      g.tail = CU_TAIL_GLU;
      g.act = s->u.glu.act;
      g.n_segments = 1;
      g.segment[0] = segment (r, s->w[0], s->w[2], buf[s->dst], r->p->buffers[s->dst].width);
      g.segment[0].w2 = r->b->weights[s->w[1]];
      g.segment[0].bias2 = cu_vector_of (r, s->w[3]);
      TRY (gemv (r, &g, r->n_rows));
      return cu_run_gate_rows (r, s, buf[s->dst], NULL);
    case ENG_STEP_ROUTE:
      set_input (r, i, &g);
      if (cu_router_fits (r, s))
        return cu_run_router (r, s, &g);
      g.n_segments = 1;
      g.segment[0] = segment (r, s->w[0], s->w[2], r->s->scores, s->u.route.n_expert);
      TRY (gemv (r, &g, r->n_rows));
      {
        const CuChoice choice = cu_choice_of (r, s);
        return cu_route (r->stream, r->s->scores, &choice, r->n_rows, buf[s->dst], r->pdl);
      }
    case ENG_STEP_EXPERTS:
      return experts_few (r, i);
    case ENG_STEP_DELTA:
      return cu_run_delta (r, s);
    case ENG_STEP_CONV:
      return cu_run_conv (r, s);
    case ENG_STEP_GATE:
      return cu_run_gate (r, s, NULL);
    case ENG_STEP_LATENT:
    case ENG_STEP_HEADS:
      {
        CuHeads h = cu_heads_arguments (r, s);
        h.w = r->b->weights[s->w[s->kind == ENG_STEP_LATENT ? 1 : 0]];
        TRY (cu_heads (r->stream, &h, r->n_rows, r->pdl));
        return s->kind == ENG_STEP_LATENT ? cu_run_latent (r, s) : cudaSuccess;
      }
    case ENG_STEP_POOL:
      return cu_run_pool (r, s);
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
