// SPDX-License-Identifier: Apache-2.0
// Matrix-vector products for one row (decode), compiled for each weight format: what kernel-gemv.cuh does
// for any mixture, with nothing decided at run time that the shapes do not force.
//
// The activation is read once into registers, normalized, and laid in shared memory as 8-bit values. A warp
// owns two weight rows at a time (or a row of gate and one of up) and keeps two items of both in flight in
// registers; the first two are asked for before the wait for the kernel that makes the input.
#pragma once

#include "kernel-gemv.cuh"

#ifndef DECODE_GEMV_WARPS
#define DECODE_GEMV_WARPS 16
#endif
#ifndef DECODE_GEMV_BLOCKS
#define DECODE_GEMV_BLOCKS 1 // a multiprocessor
#endif
#define DECODE_GEMV_THREADS (DECODE_GEMV_WARPS * 32)
#define DECODE_GEMV_DEPTH 2

// Cards with 228 KB of shared memory run kernel-decode-ring.cuh instead; each card's code has one of the two.
#if defined __CUDA_ARCH__ && __CUDA_ARCH__ >= 900 && __CUDA_ARCH__ < 1100
#define CU_RING_CODE 1
#else
#define CU_RING_CODE 0
#endif

enum
{
  CU_MODE_ROWS,
  CU_MODE_GLU,
  CU_MODE_EXPERT_UP,   // GLU rows of the experts of a token, one after the other
  CU_MODE_EXPERT_DOWN, // the experts of a token as one long row
};

// Segments [0, n_a) are of the kernel's first type, the others of its second.
struct CuDecode
{
  int n_a;
  int units[CU_MAX_SEGMENTS];
  int units_a, units_b;
  int n_pieces; // pairs of sub-blocks of the (long) row
  int warp_stride, block_stride; // units from a warp's first to the next warp's, and to the next block's; kernel-decode-ring.cuh
};

// The stream of one warp's items over the segments of one type.
template <int TYPE, int MODE> struct Feed
{
  static constexpr bool glu_rows = MODE == CU_MODE_GLU || MODE == CU_MODE_EXPERT_UP;
  Pair<TYPE> a[DECODE_GEMV_DEPTH], b[DECODE_GEMV_DEPTH];
  CuWeight w0, w1;
  int unit, piece; // to fetch next
  uint32_t at0, at1;

  // The segment of a unit; @u becomes the unit within it.
  CU_DEV static int
  segment_of (const CuDecode &d, int s, int end, int &u)
  {
    while (s + 1 < end && u >= d.units[s])
      u -= d.units[s++];
    return s;
  }

  CU_DEV void
  set_rows (const CuGemv &g, const CuDecode &d, int s0, int end, const int *ids)
  {
    int u = unit;
    const int s = MODE == CU_MODE_ROWS ? segment_of (d, s0, end, u) : 0;
    w0 = g.segment[s].w;
    w1 = glu_rows ? g.segment[s].w2 : w0;
    if (MODE == CU_MODE_EXPERT_UP)
      {
        const uint32_t n = g.segment[0].w.n_rows;
        u = ids[u / n] * n + u % n;
      }
    if (glu_rows)
      at0 = at1 = (uint32_t) u * d.n_pieces;
    else if (MODE == CU_MODE_ROWS)
      {
        at0 = 2u * u * d.n_pieces;
        at1 = 2u * u + 1 < w0.n_rows ? at0 + d.n_pieces : at0;
      }
  }

  CU_DEV void
  fetch (int i, const CuGemv &g, const CuDecode &d, int s0, int end, int n_units, int step, int lane,
         const int *ids)
  {
    if (unit >= n_units)
      return;
    const int p = piece + lane;
    if (p < d.n_pieces)
      {
        if (MODE == CU_MODE_EXPERT_DOWN)
          {
            const uint32_t per_row = w0.n_cols / 64, slot = p / per_row, rest = p % per_row;
            const uint32_t row = ids[slot] * w0.n_rows + 2 * unit;
            at0 = row * per_row + rest;
            at1 = 2u * unit + 1 < w0.n_rows ? at0 + per_row : at0;
            pair_load (a[i], w0, at0);
            pair_load (b[i], w1, at1);
          }
        else
          {
            pair_load (a[i], w0, at0 + p);
            pair_load (b[i], w1, at1 + p);
          }
      }
    piece += 32;
    if (piece >= d.n_pieces)
      {
        piece = 0;
        unit += step;
        if (unit < n_units)
          set_rows (g, d, s0, end, ids);
      }
  }

  CU_DEV void
  start (const CuGemv &g, const CuDecode &d, int s0, int end, int n_units, int first, int step, int lane,
         const int *ids)
  {
    unit = first;
    piece = 0;
    if (unit >= n_units)
      return;
    set_rows (g, d, s0, end, ids);
#pragma unroll
    for (int i = 0; i < DECODE_GEMV_DEPTH; i++)
      fetch (i, g, d, s0, end, n_units, step, lane, ids);
  }

  // Sums of both rows: lane 0 gets the first, lane 16 the second.
  CU_DEV static float
  both_sums (float x, float y, int lane)
  {
    float v = lane < 16 ? x : y;
    v += __shfl_xor_sync (~0u, lane < 16 ? y : x, 16);
#pragma unroll
    for (int o = 8; o; o >>= 1)
      v += __shfl_xor_sync (~0u, v, o);
    return v;
  }

  CU_DEV void
  run (const CuGemv &g, const CuDecode &d, int s0, int end, int n_units, int first, int step, int lane,
       const int *ids, const Act &x, int row)
  {
    float acc[2][1] = {};
    int at = 0;
    for (int done = first; done < n_units;)
      {
#pragma unroll
        for (int i = 0; i < DECODE_GEMV_DEPTH; i++)
          {
            if (at + lane < d.n_pieces)
              consume<TYPE, 1> (a[i], b[i], x, at + lane, acc);
            fetch (i, g, d, s0, end, n_units, step, lane, ids);
            at += 32;
            if (at < d.n_pieces)
              continue;
            finish_unit (g, d, s0, end, done, acc, lane, ids, row);
            acc[0][0] = acc[1][0] = 0.f;
            at = 0;
            done += step;
            if (done >= n_units)
              break;
          }
      }
  }

  CU_DEV static void
  finish_unit (const CuGemv &g, const CuDecode &d, int s0, int end, int unit, float acc[2][1], int lane,
               const int *ids, int row)
  {
    float v = both_sums (acc[0][0], acc[1][0], lane);
    int u = unit;
    const int s = MODE == CU_MODE_ROWS ? segment_of (d, s0, end, u) : 0;
    const CuSegment &seg = g.segment[s];
    float *y = seg.y + (MODE >= CU_MODE_EXPERT_UP ? (size_t) row * seg.y_stride : 0);
    if (glu_rows)
      {
        const float *bias = lane < 16 ? seg.bias : seg.bias2;
        if (bias)
          {
            const uint32_t n = seg.w.n_rows;
            v += bias[MODE == CU_MODE_EXPERT_UP ? ids[u / n] * n + u % n : u];
          }
        const float up = __shfl_xor_sync (~0u, v, 16);
        if (lane == 0)
          y[u] = gated<false> (g.act, v, up);
        return;
      }
    const uint32_t r = 2 * u + (lane >> 4);
    if ((lane & 15) || r >= seg.w.n_rows)
      return;
    if (seg.bias && MODE == CU_MODE_ROWS)
      v += seg.bias[r];
    if (g.act != ENG_ACT_NONE)
      v = activate<false> (g.act, v);
    v *= g.scale;
    if (g.soft_cap > 0.f)
      v = g.soft_cap * tanhf (v / g.soft_cap);
    if (g.tail == CU_TAIL_ADD)
      v += g.aux[(MODE >= CU_MODE_EXPERT_UP ? (size_t) row * seg.y_stride : 0) + r];
    y[r] = v;
  }
};

// Four values of a thread to shared memory; eight neighbouring threads hold one sub-block, four a half.
CU_DEV void
put_four (float4 v, int i, bool in, const Act &act, float f)
{
  float m = fmaxf (fmaxf (fabsf (v.x), fabsf (v.y)), fmaxf (fabsf (v.z), fabsf (v.w)));
#pragma unroll
  for (int o = 4; o; o >>= 1)
    m = fmaxf (m, __shfl_xor_sync (~0u, m, o));
  const float inv = m > 0.f ? __fdividef (127.f, m) : 0.f;
  const int q0 = __float2int_rn (v.x * inv), q1 = __float2int_rn (v.y * inv);
  const int q2 = __float2int_rn (v.z * inv), q3 = __float2int_rn (v.w * inv);
  const uint32_t p = (q0 & 255) | (q1 & 255) << 8 | (q2 & 255) << 16 | (uint32_t) q3 << 24;
  int sum = __dp4a ((int) p, 0x01010101, 0);
#pragma unroll
  for (int o = 2; o; o >>= 1)
    sum += __shfl_xor_sync (~0u, sum, o);
  const int other = __shfl_xor_sync (~0u, sum, 4);
  if (!in)
    return;
  const int sub = i / 32, j = sub / 2, odd = sub & 1, word = i % 32 / 4;
  ((uint32_t *) &act.a[(2 * odd + (word >> 2)) * act.n + j])[word & 3] = p;
  if (word == 0)
    act.ds[odd * act.n + j]
        = make_float2 (m * (1.f / 127.f) * f, __int_as_float ((sum & 0xffff) | other << 16));
}

#define NORM_LOADS (8192 / (DECODE_GEMV_THREADS * 4)) // widest row that is normalized here
#define PLAIN_LOADS 4

template <int TYPE, int TYPE2, int MODE>
__global__ void __launch_bounds__ (DECODE_GEMV_THREADS, DECODE_GEMV_BLOCKS)
decode_gemv_kernel (const __grid_constant__ CuGemv g, const __grid_constant__ CuDecode d, int width)
{
#if !CU_RING_CODE
  extern __shared__ __align__ (16) uint8_t shared[];
  __shared__ float red[DECODE_GEMV_WARPS];
  __shared__ int ids[32];
  __shared__ float slot_weight[32];
  constexpr bool experts = MODE >= CU_MODE_EXPERT_UP;
  const int t = threadIdx.x, lane = t % 32, step = gridDim.x * DECODE_GEMV_WARPS;
  // neighbouring units go to different multiprocessors: what is left over spreads evenly
  const int warp = t / 32 * gridDim.x + blockIdx.x, row = experts ? blockIdx.y : 0;
  const int turned = warp - d.units_a % step, warp_b = turned < 0 ? turned + step : turned;

  Feed<TYPE, MODE> feed;
  if (!experts)
    feed.start (g, d, 0, d.n_a, d.units_a, warp, step, lane, ids);
  Act act;
  act.n = width / 64;
  act.a = (uint4 *) shared;
  act.ds = (float2 *) (shared + width);
  if (g.has_norm)
    {
      float4 w[NORM_LOADS], v[NORM_LOADS];
#pragma unroll
      for (int n = 0; n < NORM_LOADS; n++)
        {
          const int i = (n * DECODE_GEMV_THREADS + t) * 4;
          w[n] = g.norm && i < width ? __ldg ((const float4 *) (g.norm + i)) : make_float4 (1, 1, 1, 1);
        }
      wait_for_input ();
      const float *x = g.x + (size_t) (g.row_map ? g.row_map[row] : row) * g.x_stride;
      float ss = 0.f;
#pragma unroll
      for (int n = 0; n < NORM_LOADS; n++)
        {
          const int i = (n * DECODE_GEMV_THREADS + t) * 4;
          v[n] = i < width ? __ldcg ((const float4 *) (x + i)) : make_float4 (0, 0, 0, 0);
        }
#pragma unroll
      for (int n = 0; n < NORM_LOADS; n++)
        {
          ss += v[n].x * v[n].x + v[n].y * v[n].y + v[n].z * v[n].z + v[n].w * v[n].w;
          v[n].x *= w[n].x, v[n].y *= w[n].y, v[n].z *= w[n].z, v[n].w *= w[n].w;
        }
#pragma unroll
      for (int o = 16; o; o >>= 1)
        ss += __shfl_xor_sync (~0u, ss, o);
      if (lane == 0)
        red[t / 32] = ss;
      __syncthreads ();
      ss = red[t % DECODE_GEMV_WARPS];
#pragma unroll
      for (int o = DECODE_GEMV_WARPS / 2; o; o >>= 1)
        ss += __shfl_xor_sync (~0u, ss, o);
      const float inv_rms = rsqrtf (ss / width + g.eps);
#pragma unroll
      for (int n = 0; n < NORM_LOADS; n++)
        if (n * DECODE_GEMV_THREADS * 4 < width)
          {
            const int i = (n * DECODE_GEMV_THREADS + t) * 4;
            v[n].x *= inv_rms, v[n].y *= inv_rms, v[n].z *= inv_rms, v[n].w *= inv_rms;
            put_four (v[n], i, i < width, act, 1.f);
          }
    }
  else
    {
      wait_for_input ();
      const float *x = g.x + (size_t) (g.row_map ? g.row_map[row] : row) * g.x_stride;
      if (MODE == CU_MODE_EXPERT_DOWN)
        {
          if (t < (int) g.n_used)
            slot_weight[t] = g.route[(size_t) row * g.route_stride + g.n_used + t];
          __syncthreads ();
        }
#pragma unroll 1
      for (int base = 0; base < width; base += DECODE_GEMV_THREADS * 4 * PLAIN_LOADS)
        {
          float4 v[PLAIN_LOADS];
#pragma unroll
          for (int n = 0; n < PLAIN_LOADS; n++)
            {
              const int i = base + (n * DECODE_GEMV_THREADS + t) * 4;
              v[n] = i < width ? __ldcg ((const float4 *) (x + i)) : make_float4 (0, 0, 0, 0);
            }
#pragma unroll
          for (int n = 0; n < PLAIN_LOADS; n++)
            if (base + n * DECODE_GEMV_THREADS * 4 < width)
              {
                const int i = base + (n * DECODE_GEMV_THREADS + t) * 4;
                const bool in = i < width;
                put_four (v[n], i, in, act,
                          MODE == CU_MODE_EXPERT_DOWN && in ? slot_weight[i / g.n_cols] : 1.f);
              }
        }
    }
  if (experts)
    {
      if (t < (int) g.n_used)
        ids[t] = (int) g.route[(size_t) row * g.route_stride + t];
      __syncthreads ();
      feed.start (g, d, 0, 1, d.units_a, warp, step, lane, ids);
    }
  else
    __syncthreads ();
  feed.run (g, d, 0, d.n_a, d.units_a, warp, step, lane, ids, act, row);
  if constexpr (TYPE2 != TYPE)
    {
      Feed<TYPE2, MODE> other;
      other.start (g, d, d.n_a, g.n_segments, d.units_b, warp_b, step, lane, ids);
      other.run (g, d, d.n_a, g.n_segments, d.units_b, warp_b, step, lane, ids, act, row);
    }
#endif
}

template <int TYPE, int TYPE2, int MODE>
static cudaError_t
decode_gemv_launch (CuStream s, const CuGemv *g, const CuDecode *d, int n_units, int n_rows, int width,
                    int pdl)
{
  auto kernel = decode_gemv_kernel<TYPE, TYPE2, MODE>;
  const size_t bytes = (size_t) width * 5 / 4;
  return launch_kernel (kernel, dim3 (n_units * DECODE_GEMV_BLOCKS, n_rows), DECODE_GEMV_THREADS, bytes, s, pdl, *g, *d, width);
}
