// SPDX-License-Identifier: Apache-2.0
// Steps of many rows, through large products on expanded weights.
#include <math.h>

#include "eng-cuda-run.h"

// Of @n columns of a product of @m rows as many as @most at a time: whole waves of tiles where that is possible.
static uint64_t
slab (const CuRun *r, int m, uint64_t n, uint64_t most)
{
  if (n <= most)
    return n;
  const int tiles = (m + 127) / 128, wave = r->b->device->n_units / tiles;
  const uint64_t unit = 256 * (uint64_t) (wave > 1 ? wave : 1);
  return most >= unit ? most - most % unit : most >= 64 ? most - most % 64 : most;
}

// y [m, ldy] = beta y + x16 [m, k] * w^T, of rows [first, first + n) of w.
static cudaError_t
large_product (CuRun *r, const CuWeight *w, uint64_t first, uint64_t n, const __nv_bfloat16 *x16, int m, float *y, int ldy, float beta)
{
  const uint64_t at_once = slab (r, m, n, r->s->w16_elements / w->n_cols);
  if (at_once == 0)
    return cudaErrorInvalidConfiguration;
  r->products->library = CU_LIBRARY;
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

// Whether a product of @m rows goes by the next function instead.
static bool
is_small (const CuRun *r, const CuWeight *w, int m)
{
  return m <= CU_DOZENS && cu_dozens_fit (r->b->device->code_arch, w);
}

// Whether a kernel of step @i may start before the one in front of it ends: not where it reads weights that are only just sent.
static int
early (const CuRun *r, uint32_t i)
{
  return cu_is_streamed (r->b, i) ? 0 : r->pdl;
}

// The same for a few dozen rows of buffer @id, by 8-bit activations; @row_map as in cu_dozens_quantize ().
static cudaError_t
small_product (CuRun *r, uint32_t i, const CuWeight *w, EngBufferId id, const int *row_map, int m, float *y, int ldy, float beta)
{
  const CuDozens x = cu_dozens_place (r->s->x8, m, w->n_cols);
  r->products->own = true;
  if (!r->in_x8)
    TRY (cu_dozens_quantize (r->stream, r->s->buffers[id], r->p->buffers[id].width, row_map, m, (int) w->n_cols, &x, early (r, i)));
  r->in_x8 = true;
  return cu_dozens_product (r->stream, w, &x, m, y, ldy, beta, early (r, i));
}

// The bf16 form of a buffer, made if x16 does not hold it already.
static cudaError_t
need_x16 (CuRun *r, EngBufferId id)
{
  if (r->in_x16 == id)
    return cudaSuccess;
  r->in_x16 = id;
  r->x16 = r->s->x16;
  return cu_to_bf16 (r->stream, r->s->buffers[id], (uint64_t) r->n_rows * r->p->buffers[id].width,
                     r->s->x16);
}

// Where the matrix of step @i is: bound here, or sent for this run. Each is given back before the next is taken.
static cudaError_t
take (CuRun *r, uint32_t i, EngWeightId id, CuWeight *w)
{
  if (cu_is_streamed (r->b, i))
    return cu_streamer_take (r->b->streamer, id, r->stream, w);
  *w = r->b->weights[id];
  return cudaSuccess;
}

static cudaError_t
give_back (CuRun *r, uint32_t i)
{
  return cu_is_streamed (r->b, i) ? cu_streamer_release (r->b->streamer, r->stream) : cudaSuccess;
}

// The whole weight of step @i on its source: float32 weights as they are, others in bf16.
static cudaError_t
product_of (CuRun *r, uint32_t i, EngWeightId id, float *y, int ldy, float beta)
{
  const EngBufferId src = r->p->steps[i].src;
  CuWeight w;
  TRY (take (r, i, id, &w));
  if (is_small (r, &w, r->n_rows))
    TRY (small_product (r, i, &w, src, NULL, r->n_rows, y, ldy, beta));
  else if (w.type != ENG_TYPE_F32)
    {
      TRY (need_x16 (r, src));
      TRY (large_product (r, &w, 0, w.n_rows, r->x16, r->n_rows, y, ldy, beta));
    }
  else
    r->blas_error = cu_blas_product_f32 (r->b->device->blas, r->stream, r->n_rows, (int) w.n_rows, (int) w.n_cols,
                                         r->s->buffers[src], (const float *) w.q, y, ldy, beta, r->s->workspace,
                                         CU_BLAS_WORKSPACE_BYTES);
  TRY (give_back (r, i));
  return r->blas_error ? cudaErrorUnknown : cudaSuccess;
}

// How many experts @n_rows rows ask for where they choose evenly.
static double
experts_asked (const EngStep *s, int n_rows)
{
  const double n = s->u.experts.n_expert;
  return n * (1. - pow (1. - s->u.experts.n_used / n, n_rows));
}

// Where the step's choices go, sorted.
static CuSorted
sorted_of (const CuRun *r, const EngStep *s)
{
  CuSorted o = {};
  o.n_rows = r->n_rows;
  o.n_used = (int) s->u.experts.n_used;
  o.n_expert = (int) s->u.experts.n_expert;
  o.place = r->s->slot_place;
  o.row = r->s->slot_row;
  o.expert = r->s->slot_expert;
  o.first = r->s->slot_first;
  o.tiles = r->s->tiles;
  return o;
}

static cudaError_t
sort (CuRun *r, const EngStep *s, CuSorted *o, int tile_rows)
{
  o->tile_rows = tile_rows;
  o->n_tiles = cu_most_tiles (o->n_rows * o->n_used, o->n_expert, tile_rows);
  return cu_sort_by_expert (r->stream, r->s->buffers[s->aux], o, r->pdl);
}

// Rows of a tile. *@small: by the kernels of few rows, in tiles of 8, 16 or 32; experts with few rows do not fill large ones.
static int
tile_rows_of (const CuRun *r, const EngStep *s, bool *small)
{
  const int n_expert = (int) s->u.experts.n_expert, n = r->n_rows * (int) s->u.experts.n_used;
  *small = n <= CU_DOZENS_OF_EXPERT * n_expert;
  for (int m = 0; m < 3; m++)
    *small = *small && cu_dozens_fit (r->b->device->code_arch, &r->b->weights[s->w[m]]);
  if (!*small)
    return n <= 64 * n_expert ? 64 : 128;
  const double asked = experts_asked (s, r->n_rows);
  return n <= 6 * asked ? 8 : n <= 12 * asked ? 16 : 32;
}

// How the matrices of a mixture are multiplied.
typedef enum
{
  BY_DOZENS,
  BY_GROUPS,  // of bf16
  BY_LIBRARY, // the same, an expert at a time: the host has to know which rows are whose
  BY_FLOATS,  // also; float32 matrices are not rounded to bf16: the next layer's router would choose others
} ExpertWay;

static ExpertWay
way_of (const CuRun *r, const CuWeight *w, bool small)
{
  if (small)
    return BY_DOZENS;
  if (w->type == ENG_TYPE_F32)
    return BY_FLOATS;
  return cu_grouped_fits (r->b->device->code_arch, (int) w->n_rows, (int) w->n_cols) ? BY_GROUPS : BY_LIBRARY;
}

// One product an expert that has rows, of the @n_experts from @e0 on; their matrices begin at @w.
static cudaError_t
library_experts (CuRun *r, const CuWeight *shape, const void *w, int e0, int n_experts, const void *x, float *y)
{
  const size_t n = shape->n_rows, k = shape->n_cols;
  const int *first = r->s->first_host;
  r->products->library = CU_LIBRARY;
  for (int e = e0; e < e0 + n_experts; e++)
    {
      const size_t at = (size_t) first[e], matrix = (size_t) (e - e0) * n * k;
      const int rows = first[e + 1] - first[e];
      if (rows == 0)
        continue;
      CuBlas *blas = r->b->device->blas;
      r->blas_error
          = shape->type == ENG_TYPE_F32
                ? cu_blas_product_f32 (blas, r->stream, rows, (int) n, (int) k, (const float *) x + at * k, (const float *) w + matrix,
                                       y + at * n, (int) n, 0.f, r->s->workspace, CU_BLAS_WORKSPACE_BYTES)
                : cu_blas_product (blas, r->stream, rows, (int) n, (int) k, (const __nv_bfloat16 *) x + at * k,
                                   (const __nv_bfloat16 *) w + matrix, y + at * n, (int) n, 0.f, r->s->workspace, CU_BLAS_WORKSPACE_BYTES);
      if (r->blas_error)
        return cudaErrorUnknown;
    }
  return cudaSuccess;
}

// y [slots, n_rows of w] = the sorted rows @x times the matrix of each one's expert, as many experts at a time as fit the room for
// expanded weights.
static cudaError_t
expert_products (CuRun *r, const CuSorted *o, const CuWeight *w, ExpertWay way, const __nv_bfloat16 *x, float *y)
{
  EngState *st = r->s;
  const int n = (int) w->n_rows, k = (int) w->n_cols;
  const int at_once = (int) (st->w16_elements / ((uint64_t) n * k));
  if (at_once == 0)
    return cudaErrorInvalidConfiguration;
  for (int e0 = 0; e0 < o->n_expert; e0 += at_once)
    {
      const int part = o->n_expert - e0 < at_once ? o->n_expert - e0 : at_once;
      TRY (cu_expand_bf16 (r->stream, w, (uint64_t) e0 * n, (uint64_t) part * n, st->w16));
      if (way == BY_GROUPS)
        TRY (cu_grouped_product (r->stream, o, x, st->w16, e0, part, y, n, k));
      else
        TRY (library_experts (r, w, st->w16, e0, part, x, y));
      r->products->own = r->products->own || way == BY_GROUPS;
    }
  return cudaSuccess;
}

// The same by the kernels of few rows; the sorted rows are those of @x at @row_map, or @x's own.
static cudaError_t
expert_products_small (CuRun *r, uint32_t i, const CuSorted *o, const CuWeight *w, bool quantized, const float *x, uint32_t stride,
                       const int *row_map, float *y)
{
  const CuDozens d = cu_dozens_place_tiles (r->s->slot_x8, o->n_tiles, o->tile_rows, w->n_cols);
  r->products->own = true;
  if (!quantized)
    TRY (cu_dozens_quantize_tiles (r->stream, x, stride, row_map, o->tiles, o->tile_rows, (int) w->n_cols, &d, early (r, i)));
  return cu_dozens_experts (r->stream, w, &d, o->tiles, o->n_tiles, o->tile_rows, y, early (r, i));
}

// The experts' outputs, weighed, to the rows that asked for them.
static cudaError_t
combine (CuRun *r, uint32_t i, const CuSorted *o)
{
  const EngStep *s = &r->p->steps[i];
  const float *route = r->s->buffers[s->aux];
  float *y = r->s->buffers[s->dst];
  const int n_out = (int) r->b->weights[s->w[2]].n_rows;
  TRY (cu_combine (r->stream, r->s->slot_y, o->place, route, o->n_used, o->n_rows, n_out, s->flags & ENG_STEP_ADD_AFTER, y, early (r, i)));
  if (s->w[5] == ENG_WEIGHT_NONE)
    return cudaSuccess;
  return cu_expert_bias (r->stream, cu_vector_of (r, s->w[5]), route, o->n_used, o->n_rows, n_out, n_out, y, r->pdl);
}

// Hopper's own kernel, for any number of rows.
static cudaError_t
experts_hopper (CuRun *r, uint32_t i)
{
  const EngStep *s = &r->p->steps[i];
  EngState *st = r->s;
  const CuWeight *w[3] = { &r->b->weights[s->w[0]], &r->b->weights[s->w[1]], &r->b->weights[s->w[2]] };
  CuSorted o = sorted_of (r, s);
  r->products->own = true;
  TRY (sort (r, s, &o, CU_HOPPER_TILE));
  TRY (cu_experts_gather (r->stream, st->buffers[s->src], &o, (int) w[0]->n_cols, st->slot_x16, r->pdl));
  TRY (cu_experts_gate_up (r->stream, &o, w[0], w[1], cu_vector_of (r, s->w[3]), cu_vector_of (r, s->w[4]), s->u.experts.act,
                           st->slot_x16, st->slot_h16, r->pdl));
  TRY (cu_experts_down (r->stream, &o, w[2], st->slot_h16, st->slot_y, r->pdl));
  return combine (r, i, &o);
}

static cudaError_t
experts_many (CuRun *r, uint32_t i)
{
  const EngStep *s = &r->p->steps[i];
  EngState *st = r->s;
  const CuWeight *gate = &r->b->weights[s->w[0]], *down = &r->b->weights[s->w[2]];
  const float *src = st->buffers[s->src];
  if (!cu_is_streamed (r->b, i) && cu_experts_fit (r->b->device->code_arch, gate, &r->b->weights[s->w[1]], down, s->u.experts.act))
    return experts_hopper (r, i);
  bool small, any[4] = {}; // of the ways
  CuSorted o = sorted_of (r, s);
  TRY (sort (r, s, &o, tile_rows_of (r, s, &small)));
  const int n = o.n_rows * o.n_used, n_in = (int) gate->n_cols, n_ff = (int) gate->n_rows;
  ExpertWay way[3];
  for (int m = 0; m < 3; m++)
    any[way[m] = way_of (r, &r->b->weights[s->w[m]], small)] = true;
  if (any[BY_LIBRARY] || any[BY_FLOATS])
    {
      TRY (cudaMemcpyAsync (st->first_host, o.first, (size_t) (o.n_expert + 1) * sizeof *o.first, cudaMemcpyDeviceToHost, r->stream));
      TRY (cudaStreamSynchronize (r->stream));
    }
  const bool f32_in = way[0] == BY_FLOATS || way[1] == BY_FLOATS;
  if (!small && (way[0] != BY_FLOATS || way[1] != BY_FLOATS))
    TRY (cu_gather_bf16 (r->stream, src, o.row, n, n_in, st->slot_x16));
  if (f32_in) // where the outputs will be: they come last
    TRY (cu_gather (r->stream, src, o.row, n, n_in, st->slot_y));
  float *const out[3] = { st->slot_gate, st->slot_up, st->slot_y };
  for (int m = 0; m < 3; m++)
    {
      CuWeight w;
      if (m == 2)
        TRY (cu_glu (r->stream, st->slot_gate, st->slot_up, NULL, NULL, s->u.experts.act, n, n_ff, n_ff,
                     way[2] == BY_FLOATS || small ? st->slot_gate : NULL, small ? NULL : st->slot_h16, (uint32_t) n_ff, early (r, i)));
      TRY (take (r, i, s->w[m], &w));
      if (small)
        TRY (m < 2 ? expert_products_small (r, i, &o, &w, m == 1, src, r->p->buffers[s->src].width, o.row, out[m])
                   : expert_products_small (r, i, &o, &w, false, st->slot_gate, n_ff, NULL, out[m]));
      else if (way[m] == BY_FLOATS)
        TRY (library_experts (r, &w, w.q, 0, o.n_expert, m < 2 ? st->slot_y : st->slot_gate, out[m]));
      else
        TRY (expert_products (r, &o, &w, way[m], m < 2 ? st->slot_x16 : st->slot_h16, out[m]));
      TRY (give_back (r, i));
      if (m < 2 && s->w[3 + m] != ENG_WEIGHT_NONE)
        TRY (cu_slot_bias (r->stream, cu_vector_of (r, s->w[3 + m]), o.expert, n, n_ff, out[m]));
    }
  return combine (r, i, &o);
}

// The products a head of step @i with its weight @id, as many heads at a time as fit the room for expanded weights.
static cudaError_t
heads_many (CuRun *r, uint32_t i, EngWeightId id)
{
  const EngStep *s = &r->p->steps[i];
  const CuHeads h = cu_heads_arguments (r, s);
  CuWeight w;
  TRY (take (r, i, id, &w));
  const bool f32 = w.type == ENG_TYPE_F32;
  const int n_heads = (int) w.n_slices;
  const uint64_t matrix = (uint64_t) w.n_rows * w.n_cols;
  const int at_once = f32 ? n_heads : (int) (r->s->w16_elements / matrix);
  if (at_once == 0)
    return cudaErrorInvalidConfiguration;
  if (!f32)
    TRY (need_x16 (r, s->src));
  r->products->library = CU_LIBRARY;
  for (int first = 0; first < n_heads; first += at_once)
    {
      const int n = n_heads - first < at_once ? n_heads - first : at_once;
      CuHeadProducts p = {};
      p.n_heads = n;
      p.m = r->n_rows;
      p.n = (int) (h.turned ? w.n_cols : w.n_rows);
      p.k = (int) (h.turned ? w.n_rows : w.n_cols);
      p.turned = h.turned;
      p.ldx = (int) h.x_stride;
      p.x_head = (int) h.x_head;
      p.ldy = (int) h.y_stride;
      p.y_head = (int) h.y_head;
      p.y = h.y + (size_t) first * h.y_head;
      p.type = f32 ? CUDA_R_32F : CUDA_R_16BF;
      if (f32)
        {
          p.x = h.x + (size_t) first * h.x_head;
          p.w = (const float *) w.q + first * matrix;
        }
      else
        {
          p.x = r->x16 + (size_t) first * h.x_head;
          p.w = r->s->w16;
          TRY (cu_expand_bf16 (r->stream, &w, (uint64_t) first * w.n_rows, (uint64_t) n * w.n_rows, r->s->w16));
        }
      r->blas_error = cu_blas_heads (r->b->device->blas, r->stream, &p, r->s->workspace, CU_BLAS_WORKSPACE_BYTES);
      if (r->blas_error)
        return cudaErrorUnknown;
    }
  if (r->in_x16 == s->dst)
    r->in_x16 = ENG_BUFFER_NONE;
  return give_back (r, i);
}

static cudaError_t
latent_many (CuRun *r, uint32_t i)
{
  const EngStep *s = &r->p->steps[i];
  const bool guest = cu_is_streamed (r->b, i);
  if (guest)
    TRY (cu_guest_enter (r, i));
  TRY (heads_many (r, i, s->w[1]));
  TRY (cu_run_latent (r, s));
  return guest ? cu_guest_leave (r, i) : cudaSuccess;
}

static cudaError_t
qkv_many (CuRun *r, uint32_t i)
{
  const EngStep *s = &r->p->steps[i];
  const bool gated = s->u.qkv.gate != 0;
  const int n_products = cu_shares_keys (s) ? 1 : s->w[2] == s->w[1] ? 2 : 3;
  const uint32_t nq = gated ? 2 * s->u.qkv.n_head * s->u.qkv.k_width : r->p->buffers[s->dst].width;
  const uint32_t nk = s->u.qkv.n_head_kv * s->u.qkv.k_width;
  const uint32_t nv = s->u.qkv.n_head_kv * s->u.qkv.v_width;
  float *y[3] = { gated ? r->s->glu_rows : r->s->buffers[s->dst], r->s->kv_rows,
                  r->s->kv_rows + (uint64_t) r->s->rows * nk };
  const uint32_t n[3] = { nq, nk, nv };
  if (cu_is_streamed (r->b, i))
    TRY (cu_guest_enter (r, i));
  for (int k = 0; k < n_products; k++)
    {
      TRY (product_of (r, i, s->w[k], y[k], (int) n[k], 0.f));
      if (s->w[3 + k] != ENG_WEIGHT_NONE)
        TRY (cu_epilogue (r->stream, y[k], cu_vector_of (r, s->w[3 + k]), NULL, ENG_ACT_NONE, 1.f, 0.f,
                          r->n_rows, (int) n[k]));
    }
  if (gated)
    TRY (cu_run_split_gate (r, s));
  TRY (cu_run_qkv_finish (r, s));
  return cu_is_streamed (r->b, i) ? cu_guest_leave (r, i) : cudaSuccess;
}

// DELTA and CONV: a streamed layer's state comes and goes.
static cudaError_t
recurrent_many (CuRun *r, uint32_t i)
{
  const EngStep *s = &r->p->steps[i];
  const bool guest = cu_is_streamed (r->b, i);
  if (guest)
    TRY (cu_guest_enter (r, i));
  if (r->in_x16 == s->dst)
    r->in_x16 = ENG_BUFFER_NONE;
  TRY (s->kind == ENG_STEP_DELTA ? cu_run_delta (r, s) : cu_run_conv (r, s));
  return guest ? cu_guest_leave (r, i) : cudaSuccess;
}

// Gate and up of some columns at a time, and their product.
static cudaError_t
gate_up_many (CuRun *r, uint32_t i, float *y)
{
  const EngStep *s = &r->p->steps[i];
  EngState *st = r->s;
  const CuWeight *gate = &r->b->weights[s->w[0]], *up = &r->b->weights[s->w[1]];
  const uint32_t n = gate->n_rows;
  const float *b_gate = cu_vector_of (r, s->w[2]), *b_up = cu_vector_of (r, s->w[3]);
  float *glu = st->glu_rows;
  if (2 * (uint64_t) n * r->n_rows <= st->glu_floats)
    {
      TRY (product_of (r, i, s->w[0], glu, 2 * n, 0.f));
      TRY (product_of (r, i, s->w[1], glu + n, 2 * n, 0.f));
      TRY (cu_glu (r->stream, glu, glu + n, b_gate, b_up, s->u.glu.act, r->n_rows, n, 2 * n, y, st->h16, n, early (r, i)));
    }
  else
    {
      TRY (need_x16 (r, s->src));
      const uint32_t at_once = (uint32_t) slab (r, r->n_rows, n, st->glu_floats / (2 * (uint64_t) r->n_rows));
      if (at_once == 0)
        return cudaErrorInvalidConfiguration;
      for (uint32_t at = 0; at < n; at += at_once)
        {
          const uint32_t part = n - at < at_once ? n - at : at_once;
          TRY (large_product (r, gate, at, part, r->x16, r->n_rows, glu, 2 * part, 0.f));
          TRY (large_product (r, up, at, part, r->x16, r->n_rows, glu + part, 2 * part, 0.f));
          TRY (cu_glu (r->stream, glu, glu + part, b_gate ? b_gate + at : NULL, b_up ? b_up + at : NULL, s->u.glu.act, r->n_rows, part,
                       2 * part, y ? y + at : NULL, st->h16 + at, n, early (r, i)));
        }
    }
  r->in_x16 = s->dst;
  r->x16 = st->h16;
  return cu_run_gate_rows (r, s, y, st->h16);
}

cudaError_t
cu_step_many (CuRun *r, uint32_t i)
{
  const EngStep *s = &r->p->steps[i];
  EngState *st = r->s;
  float *const *buf = st->buffers;
  float *const floats = s->dst == ENG_BUFFER_NONE || (r->b->plans[i].only_x16 && r->n_rows > CU_DOZENS) ? NULL : buf[s->dst];
  r->in_x8 = false;
  switch (s->kind)
    {
    case ENG_STEP_EMBED:
      r->in_x16 = ENG_BUFFER_NONE;
      return cu_run_embed (r, s);
    case ENG_STEP_NORM:
      r->in_x16 = s->dst;
      r->x16 = st->x16;
      return cu_run_norm (r, s, floats, st->x16);
    case ENG_STEP_QKV:
      return qkv_many (r, i);
    case ENG_STEP_ATTENTION:
      {
        const CuAttention a = cu_attention_arguments (r, s);
        if (r->n_rows <= ENG_CUDA_GEMV_ROWS && (a.causal || !a.window)) // positions in slices
          {
            r->in_x16 = ENG_BUFFER_NONE;
            return cu_run_attention_rows (r, s, &a);
          }
        r->in_x16 = s->dst;
        r->x16 = st->x16;
        if (!a.causal && a.window)
          return cu_attention_window (r->stream, &a, &st->view, s->u.attention.group, buf[s->src], buf[s->dst], st->x16,
                                      r->max_rows_of_sequence, r->n_sequences, r->pdl);
        return cu_attention_prefill (r->stream, &a, &st->view, s->u.attention.group, buf[s->src],
                                     floats, st->x16, r->n_rows, r->max_rows_of_sequence,
                                     r->n_sequences);
      }
    case ENG_STEP_PRODUCT:
      {
        const int width = (int) r->p->buffers[s->dst].width;
        const bool add = s->flags & ENG_STEP_ADD_AFTER;
        const bool plain = s->w[1] == ENG_WEIGHT_NONE && s->u.product.act == ENG_ACT_NONE
                           && s->u.product.scale == 1.f;
        if (r->in_x16 == s->dst)
          r->in_x16 = ENG_BUFFER_NONE;
        if (plain && add && s->aux == s->dst)
          return product_of (r, i, s->w[0], buf[s->dst], width, 1.f);
        float *y = add && s->aux == s->dst ? st->glu_rows : buf[s->dst];
        TRY (product_of (r, i, s->w[0], y, width, 0.f));
        if (plain && !add)
          return cudaSuccess;
        TRY (cu_epilogue (r->stream, y, cu_vector_of (r, s->w[1]), add ? buf[s->aux] : NULL,
                          s->u.product.act, s->u.product.scale, 0.f, r->n_rows, width));
        return y == buf[s->dst] ? cudaSuccess
                                : cudaMemcpyAsync (buf[s->dst], y, (size_t) r->n_rows * width * 4,
                                                   cudaMemcpyDeviceToDevice, r->stream);
      }
    case ENG_STEP_GATE_UP:
      return gate_up_many (r, i, floats);
    case ENG_STEP_ROUTE:
      {
        const CuWeight *w = &r->b->weights[s->w[0]];
        if (!cu_is_streamed (r->b, i) && cu_router_fits (r, s))
          {
            CuGemv g = {};
            g.x = buf[s->src];
            g.n_cols = w->n_cols;
            return cu_run_router (r, s, &g);
          }
        TRY (product_of (r, i, s->w[0], st->scores, (int) w->n_rows, 0.f));
        if (s->w[2] != ENG_WEIGHT_NONE)
          TRY (cu_epilogue (r->stream, st->scores, cu_vector_of (r, s->w[2]), NULL, ENG_ACT_NONE, 1.f, 0.f, r->n_rows,
                            (int) w->n_rows));
        const CuChoice choice = cu_choice_of (r, s);
        return cu_route (r->stream, st->scores, &choice, r->n_rows, buf[s->dst], r->pdl);
      }
    case ENG_STEP_DELTA:
    case ENG_STEP_CONV:
      return recurrent_many (r, i);
    case ENG_STEP_GATE:
      r->in_x16 = s->dst;
      r->x16 = st->x16;
      return cu_run_gate (r, s, st->x16);
    case ENG_STEP_LATENT:
      return latent_many (r, i);
    case ENG_STEP_HEADS:
      return heads_many (r, i, s->w[0]);
    case ENG_STEP_POOL:
      return cu_run_pool (r, s);
    case ENG_STEP_EXPERTS:
      if (r->in_x16 == s->dst)
        r->in_x16 = ENG_BUFFER_NONE;
      return experts_many (r, i);
    case ENG_STEP_OUTPUT:
      {
        if (r->n_outputs == 0)
          return cudaSuccess;
        const CuWeight *w = &r->b->weights[s->w[0]];
        const int n = (int) r->p->n_output;
        if (is_small (r, w, r->n_outputs))
          TRY (small_product (r, i, w, s->src, st->view.output, r->n_outputs, st->logits, n, 0.f));
        else
          {
            r->in_x16 = ENG_BUFFER_NONE;
            TRY (cu_gather_bf16 (r->stream, buf[s->src], st->view.output, r->n_outputs, (int) w->n_cols, st->x16));
            TRY (large_product (r, w, 0, w->n_rows, st->x16, r->n_outputs, st->logits, n, 0.f));
          }
        if (s->w[1] == ENG_WEIGHT_NONE && s->u.output.scale == 1.f && s->u.output.soft_cap == 0.f)
          return cudaSuccess;
        return cu_epilogue (r->stream, st->logits, cu_vector_of (r, s->w[1]), NULL, ENG_ACT_NONE,
                            s->u.output.scale, s->u.output.soft_cap, r->n_outputs, n);
      }
    default:
      return cudaErrorNotSupported;
    }
}
