// SPDX-License-Identifier: Apache-2.0
// Matrix-vector products for few rows (decode), with what comes before and after them fused:
// [RMS norm] -> 8-bit activations -> products of one to three matrices -> bias, activation, gate * up,
// residual add, soft cap, weighted sum over experts.
//
// A block prepares the whole activation in shared memory (1.25 bytes a value a row; 4 for float
// weights); a warp then owns two rows of weights at a time and streams them with two items (a pair
// of sub-blocks of both rows a lane) in flight in registers. Before it waits for the kernel that makes its
// input, it asks the L2 for its first weights: they never change, so the memory is busy during the
// hand-over (programmatic dependent launch; measured on an H200 with this layout's prototype: 617 -> 696
// tokens/s on 8B shapes).
#pragma once

#include "kernel-activate.cuh"
#include "kernel-launch.cuh"

#define WARPS 16
#define THREADS (WARPS * 32)

// Activations of R rows in shared memory, n = pairs of sub-blocks a row:
//   a[r][part 0..3][n] 16 bytes: words 0..3, 4..7 of the even sub-block, then of the odd
//   ds[r][i 0..1][n] scale and the two half sums (int16 each) of sub-block i
struct Act
{
  uint4 *a;
  float2 *ds;
  int n;
};

template <int TYPE, int R>
CU_DEV void
consume (const Pair<TYPE> &w0, const Pair<TYPE> &w1, const Act &x, int j, float acc[2][R])
{
#pragma unroll
  for (int i = 0; i < 2; i++)
    {
      uint32_t a[8], b[8];
#pragma unroll
      for (int k = 0; k < 8; k++)
        {
          a[k] = pair_word (w0, i, k);
          b[k] = pair_word (w1, i, k);
        }
      const float2 a0 = pair_scale (w0, i, 0), b0 = pair_scale (w1, i, 0);
      const float2 a1 = has_half_scales (TYPE) ? pair_scale (w0, i, 1) : a0;
      const float2 b1 = has_half_scales (TYPE) ? pair_scale (w1, i, 1) : b0;
#pragma unroll
      for (int r = 0; r < R; r++)
        {
          const uint4 lo = x.a[(r * 4 + 2 * i) * x.n + j], hi = x.a[(r * 4 + 2 * i + 1) * x.n + j];
          const float2 ds = x.ds[(r * 2 + i) * x.n + j];
          const int sums = __float_as_int (ds.y);
          const float s0 = (float) (short) (sums & 0xffff), s1 = (float) (sums >> 16);
          const int v[8] = { (int) lo.x, (int) lo.y, (int) lo.z, (int) lo.w,
                             (int) hi.x, (int) hi.y, (int) hi.z, (int) hi.w };
          int pa = 0, pb = 0, qa = 0, qb = 0;
#pragma unroll
          for (int k = 0; k < 4; k++)
            {
              pa = __dp4a ((int) a[k], v[k], pa);
              pb = __dp4a ((int) b[k], v[k], pb);
            }
          if (!has_half_scales (TYPE))
            {
              qa = pa;
              qb = pb;
            }
#pragma unroll
          for (int k = 4; k < 8; k++)
            {
              qa = __dp4a ((int) a[k], v[k], qa);
              qb = __dp4a ((int) b[k], v[k], qb);
            }
          if (has_half_scales (TYPE))
            {
              acc[0][r] += ds.x * (a0.x * (float) pa + a0.y * s0 + a1.x * (float) qa + a1.y * s1);
              acc[1][r] += ds.x * (b0.x * (float) pb + b0.y * s0 + b1.x * (float) qb + b1.y * s1);
            }
          else
            {
              acc[0][r] += ds.x * (a0.x * (float) qa + a0.y * (s0 + s1));
              acc[1][r] += ds.x * (b0.x * (float) qb + b0.y * (s0 + s1));
            }
        }
    }
}

// Where an item of a warp's work lies.
struct Place
{
  uint64_t row0, row1;
  int j;    // pair of sub-blocks (or 8-value piece) within the weight row
  int slot; // expert slot: offset into the activations
  bool valid;
};

struct Work
{
  const CuSegment *seg;
  int first, step; // units of this warp: first, first + step, …
  int n_units;     // units there are
  int n_mine;
  int iters, slots;
  bool glu_rows, expert_up;
  const int *ids; // experts of this row, in shared memory
  int n_rows;     // rows of activations that are real: r below it
};

// The weight rows of a unit (and expert slot).
CU_DEV Place
rows_of (const Work &w, int unit, int slot)
{
  Place p;
  const uint32_t n_rows = w.seg->w.n_rows;
  if (w.glu_rows)
    {
      uint64_t row = unit;
      if (w.expert_up)
        row = (uint64_t) w.ids[unit / n_rows] * n_rows + unit % n_rows;
      p.row0 = p.row1 = row;
    }
  else
    {
      const uint64_t base = w.ids ? (uint64_t) w.ids[slot] * n_rows : 0;
      p.row0 = base + 2 * unit;
      p.row1 = base + (2 * unit + 1 < (int) n_rows ? 2 * unit + 1 : 2 * unit);
    }
  return p;
}

// Item @k of this warp: unit k / (slots * iters), then slot, then lane iteration.
CU_DEV Place
place_of (const Work &w, int k, int lane, int n_pieces)
{
  const int per_unit = w.slots * w.iters, rest = k % per_unit;
  const int slot = w.iters == 1 ? rest : rest / w.iters;
  Place p = rows_of (w, w.first + k / per_unit * w.step, slot);
  p.slot = slot;
  p.j = (w.iters == 1 ? 0 : rest % w.iters) * 32 + lane;
  p.valid = p.j < n_pieces;
  return p;
}

template <int R>
CU_DEV void
finish (const CuGemv &g, const Work &w, int unit, float acc[2][R], int lane, int row_base)
{
#pragma unroll
  for (int r = 0; r < R; r++)
    for (int o = 16; o; o >>= 1)
      {
        acc[0][r] += __shfl_xor_sync (~0u, acc[0][r], o);
        acc[1][r] += __shfl_xor_sync (~0u, acc[1][r], o);
      }
  if (lane != 0)
    return;
  const CuSegment &s = *w.seg;
#pragma unroll
  for (int r = 0; r < R; r++)
    {
      if (r >= w.n_rows)
        break;
      float *y = s.y + (size_t) (row_base + r) * s.y_stride;
      if (g.tail == CU_TAIL_GLU)
        {
          const uint32_t n_rows = s.w.n_rows;
          const uint64_t b = w.expert_up ? (uint64_t) w.ids[unit / n_rows] * n_rows + unit % n_rows
                                         : unit;
          y[unit] = gated<false> (g.act, acc[0][r] + (s.bias ? s.bias[b] : 0.f),
                                  acc[1][r] + (s.bias2 ? s.bias2[b] : 0.f));
          continue;
        }
#pragma unroll
      for (int i = 0; i < 2; i++)
        {
          const uint32_t row = 2 * unit + i;
          if (row >= s.w.n_rows)
            break;
          float v = acc[i][r] + (s.bias && !w.ids ? s.bias[row] : 0.f);
          v = activate<false> (g.act, v) * g.scale;
          if (g.soft_cap > 0.f)
            v = g.soft_cap * tanhf (v / g.soft_cap);
          if (g.tail == CU_TAIL_ADD)
            v += g.aux[(size_t) (row_base + r) * s.y_stride + row];
          y[row] = v;
        }
    }
}

// Not inlined: each format gets its own registers (inlined together they spill 2 KB).
template <int TYPE, int R>
__device__ __noinline__ void
stream_planes (const CuGemv &g, const Work &work, Act x, int lane, int row_base)
{
  const Work w = work;
  const int n_pieces = w.seg->w.n_cols / 64, n_items = w.n_mine * w.slots * w.iters;
  const CuWeight w0 = w.seg->w, w1 = w.glu_rows ? w.seg->w2 : w.seg->w;
  // two items in flight: the one being consumed and the next
  Pair<TYPE> a, b, a2, b2;
  int j = 0, j2 = 0; // pair within the activations, or -1 where this lane has none
  // the next item: its unit, expert slot and lane iteration, stepped without divisions
  int unit = w.first, slot = 0, it = 0;
  uint64_t at0, at1;
  auto set_rows = [&] () {
    const Place p = rows_of (w, unit, slot);
    at0 = p.row0 * n_pieces + lane;
    at1 = p.row1 * n_pieces + lane;
  };
  set_rows ();
  auto load = [&] () {
    const int piece = it * 32 + lane;
    j2 = piece < n_pieces ? slot * n_pieces + piece : -1;
    if (j2 >= 0)
      {
        pair_load (a2, w0, at0 + it * 32);
        pair_load (b2, w1, at1 + it * 32);
      }
    if (++it == w.iters)
      {
        it = 0;
        if (++slot == w.slots)
          {
            slot = 0;
            unit += w.step;
          }
        if (unit < w.n_units)
          set_rows ();
      }
  };
  load ();
  float acc[2][R] = {};
  const int per_unit = w.slots * w.iters;
  int left = per_unit, done = w.first;
#pragma unroll 1
  for (int k = 0; k < n_items; k++)
    {
      a = a2;
      b = b2;
      j = j2;
      if (k + 1 < n_items)
        load ();
      if (j >= 0)
        consume<TYPE, R> (a, b, x, j, acc);
      if (--left == 0)
        {
          finish<R> (g, w, done, acc, lane, row_base);
#pragma unroll
          for (int r = 0; r < R; r++)
            acc[0][r] = acc[1][r] = 0.f;
          left = per_unit;
          done += w.step;
        }
    }
}

// Eight weights of a float row as floats.
template <int TYPE>
CU_DEV void
load_eight (const CuWeight &w, uint64_t row, int j, float v[8])
{
  const uint8_t *p = w.q + (row * w.n_cols + (uint64_t) j * 8) * (TYPE == ENG_TYPE_F32 ? 4 : 2);
  if (TYPE == ENG_TYPE_F32)
    {
      const uint4 a = load16 (p), b = load16 (p + 16);
      v[0] = __uint_as_float (a.x), v[1] = __uint_as_float (a.y), v[2] = __uint_as_float (a.z);
      v[3] = __uint_as_float (a.w), v[4] = __uint_as_float (b.x), v[5] = __uint_as_float (b.y);
      v[6] = __uint_as_float (b.z), v[7] = __uint_as_float (b.w);
      return;
    }
  const uint4 a = load16 (p);
  const uint32_t u[4] = { a.x, a.y, a.z, a.w };
#pragma unroll
  for (int i = 0; i < 4; i++)
    if (TYPE == ENG_TYPE_BF16)
      {
        v[2 * i] = __uint_as_float (u[i] << 16);
        v[2 * i + 1] = __uint_as_float (u[i] & 0xffff0000u);
      }
    else
      {
        v[2 * i] = half_bits (u[i] & 0xffff);
        v[2 * i + 1] = half_bits (u[i] >> 16);
      }
}

template <int TYPE, int R>
CU_DEV void
stream_floats (const CuGemv &g, const Work &w, const float *x, int x_width, int lane, int row_base)
{
  const int n_pieces = w.seg->w.n_cols / 8, n_items = w.n_mine * w.slots * w.iters;
  const CuWeight &w0 = w.seg->w, &w1 = w.glu_rows ? w.seg->w2 : w.seg->w;
  const int per_unit = w.slots * w.iters;
  float acc[2][R] = {};
#pragma unroll 4
  for (int k = 0; k < n_items; k++)
    {
      const Place at = place_of (w, k, lane, n_pieces);
      if (at.valid)
        {
          float a[8], b[8];
          load_eight<TYPE> (w0, at.row0, at.j, a);
          load_eight<TYPE> (w1, at.row1, at.j, b);
#pragma unroll
          for (int r = 0; r < R; r++)
            {
              const float4 *p
                  = (const float4 *) (x + (size_t) r * x_width + (at.slot * n_pieces + at.j) * 8);
              const float4 u = p[0], v = p[1];
              acc[0][r] += a[0] * u.x + a[1] * u.y + a[2] * u.z + a[3] * u.w + a[4] * v.x
                           + a[5] * v.y + a[6] * v.z + a[7] * v.w;
              acc[1][r] += b[0] * u.x + b[1] * u.y + b[2] * u.z + b[3] * u.w + b[4] * v.x
                           + b[5] * v.y + b[6] * v.z + b[7] * v.w;
            }
        }
      if ((k + 1) % per_unit == 0)
        {
          finish<R> (g, w, w.first + k / per_unit * w.step, acc, lane, row_base);
#pragma unroll
          for (int r = 0; r < R; r++)
            acc[0][r] = acc[1][r] = 0.f;
        }
    }
}

CU_DEV float
block_sum (float v, float *red)
{
  for (int o = 16; o; o >>= 1)
    v += __shfl_xor_sync (~0u, v, o);
  __syncthreads ();
  if (threadIdx.x % 32 == 0)
    red[threadIdx.x / 32] = v;
  __syncthreads ();
  v = red[threadIdx.x % WARPS];
  for (int o = WARPS / 2; o; o >>= 1)
    v += __shfl_xor_sync (~0u, v, o);
  return v;
}

// One input row to shared memory: floats as they are (float weights) or 8-bit with scales. @slot_scale:
// weights of the experts the pieces belong to, or NULL.
template <bool FLOATS>
CU_DEV void
prepare_row (const CuGemv &g, const float *x, int width, const Act &act, int r, float *floats,
             float *red, const float *slot_scale)
{
  const int t = threadIdx.x;
  constexpr int AT_ONCE = 4; // loads of a thread in flight: a trip to the L2 costs most of this function
  float inv_rms = 1.f;
  if (g.has_norm)
    {
      float ss = 0.f;
      for (int base = 0; base < width; base += THREADS * 4 * AT_ONCE)
        {
          float4 v[AT_ONCE];
#pragma unroll
          for (int n = 0; n < AT_ONCE; n++)
            {
              const int i = base + (n * THREADS + t) * 4;
              v[n] = i < width ? __ldcg ((const float4 *) (x + i)) : make_float4 (0, 0, 0, 0);
            }
#pragma unroll
          for (int n = 0; n < AT_ONCE; n++)
            {
              const int i = base + (n * THREADS + t) * 4;
              ss += v[n].x * v[n].x + v[n].y * v[n].y + v[n].z * v[n].z + v[n].w * v[n].w;
              if (i < width)
                *(float4 *) (floats + i) = v[n];
            }
        }
      inv_rms = rsqrtf (block_sum (ss, red) / width + g.eps);
    }
  float4 ahead[AT_ONCE];
  for (int base = 0, turn = 0; base < width; base += THREADS * 4, turn = (turn + 1) % AT_ONCE)
    {
      const int i = base + t * 4;
      const bool in = i < width;
      if (turn == 0 && !g.has_norm)
#pragma unroll
        for (int n = 0; n < AT_ONCE; n++)
          {
            const int k = i + n * THREADS * 4;
            ahead[n] = k < width ? __ldcg ((const float4 *) (x + k)) : make_float4 (0, 0, 0, 0);
          }
      float4 v = turn == 0 ? ahead[0] : turn == 1 ? ahead[1] : turn == 2 ? ahead[2] : ahead[3];
      if (g.has_norm)
        v = in ? *(const float4 *) (floats + i) : make_float4 (0, 0, 0, 0);
      if (g.has_norm && in)
        {
          const float4 n = g.norm ? __ldg ((const float4 *) (g.norm + i)) : make_float4 (1, 1, 1, 1);
          v.x *= inv_rms * n.x, v.y *= inv_rms * n.y, v.z *= inv_rms * n.z, v.w *= inv_rms * n.w;
        }
      if (FLOATS)
        {
          if (slot_scale && in)
            {
              const float f = slot_scale[i / g.n_cols];
              v.x *= f, v.y *= f, v.z *= f, v.w *= f;
            }
          if (in)
            *(float4 *) (floats + i) = v;
          continue;
        }
      // eight neighbouring threads hold one sub-block, four of them a half
      float m = fmaxf (fmaxf (fabsf (v.x), fabsf (v.y)), fmaxf (fabsf (v.z), fabsf (v.w)));
      for (int o = 4; o; o >>= 1)
        m = fmaxf (m, __shfl_xor_sync (~0u, m, o));
      const float inv = m > 0.f ? 127.f / m : 0.f;
      const int q0 = __float2int_rn (v.x * inv), q1 = __float2int_rn (v.y * inv);
      const int q2 = __float2int_rn (v.z * inv), q3 = __float2int_rn (v.w * inv);
      int sum = q0 + q1 + q2 + q3;
      for (int o = 2; o; o >>= 1)
        sum += __shfl_xor_sync (~0u, sum, o);
      const int other = __shfl_xor_sync (~0u, sum, 4);
      if (in)
        {
          const int sub = i / 32, j = sub / 2, odd = sub & 1, word = i % 32 / 4;
          const uint32_t p = (q0 & 255) | (q1 & 255) << 8 | (q2 & 255) << 16 | (uint32_t) q3 << 24;
          ((uint32_t *) &act.a[(r * 4 + 2 * odd + (word >> 2)) * act.n + j])[word & 3] = p;
          if (word == 0)
            {
              const float f = slot_scale ? slot_scale[i / g.n_cols] : 1.f;
              act.ds[(r * 2 + odd) * act.n + j]
                  = make_float2 (m / 127.f * f, __int_as_float ((sum & 0xffff) | other << 16));
            }
        }
    }
}

template <int R, bool FLOATS>
__global__ void __launch_bounds__ (THREADS, 1)
gemv_kernel (const __grid_constant__ CuGemv g, int n_rows, int width)
{
  extern __shared__ __align__ (16) uint8_t shared[];
  __shared__ float red[WARPS];
  __shared__ int ids[32];
  __shared__ float slot_weight[32];
  const int lane = threadIdx.x % 32, warp = blockIdx.x * WARPS + threadIdx.x / 32;
  const int n_warps = gridDim.x * WARPS;
  const bool experts = g.route != NULL;
  const int row_base = experts ? blockIdx.y : 0;

  // how the units of each segment fall to this warp
  Work work[CU_MAX_SEGMENTS];
  int offset = 0;
  for (int s = 0; s < g.n_segments; s++)
    {
      const CuSegment &seg = g.segment[s];
      Work &w = work[s];
      w.seg = &seg;
      w.glu_rows = g.tail == CU_TAIL_GLU;
      w.expert_up = experts && w.glu_rows;
      w.slots = experts && !w.glu_rows ? g.n_used : 1;
      const int n = w.glu_rows ? seg.w.n_rows : (seg.w.n_rows + 1) / 2;
      w.n_units = w.expert_up ? n * g.n_used : n;
      w.iters = (int) (seg.w.n_cols / (FLOATS ? 8 : 64) + 31) / 32;
      w.first = ((warp - offset) % n_warps + n_warps) % n_warps;
      w.step = n_warps;
      w.n_mine = w.first < w.n_units ? (w.n_units - 1 - w.first) / n_warps + 1 : 0;
      w.ids = experts ? ids : NULL;
      w.n_rows = n_rows;
      offset += w.n_units;
      if (!experts && w.n_mine)
        {
          const Place p = place_of (w, 0, lane, seg.w.n_cols / (FLOATS ? 8 : 64));
          const CuWeight &w1 = w.glu_rows ? seg.w2 : seg.w;
          const uint64_t q_row = FLOATS ? seg.w.n_cols * (seg.w.type == ENG_TYPE_F32 ? 4 : 2)
                                        : seg.w.n_cols / 32 * (uint64_t) seg.w.q_bytes;
          for (uint64_t b = lane * 128; b < q_row && b < 4096; b += 4096)
            {
              prefetch_l2 (seg.w.q + p.row0 * q_row + b);
              prefetch_l2 (w1.q + p.row1 * q_row + b);
            }
        }
    }
  wait_for_input ();

  float *floats = (float *) shared;
  Act act;
  act.n = width / 64;
  act.a = (uint4 *) (shared + (FLOATS || !g.has_norm ? 0 : (size_t) width * 4));
  act.ds = (float2 *) ((uint8_t *) act.a + (size_t) R * width);
  if (experts)
    {
      const float *route = g.route + (size_t) row_base * g.route_stride;
      if (threadIdx.x < g.n_used)
        {
          ids[threadIdx.x] = (int) route[threadIdx.x];
          slot_weight[threadIdx.x] = route[g.n_used + threadIdx.x];
        }
      __syncthreads ();
    }
  for (int r = 0; r < R; r++)
    {
      const int row = row_base + (r < n_rows ? r : n_rows - 1);
      const float *x = g.x + (size_t) (g.row_map ? g.row_map[row] : row) * g.x_stride;
      prepare_row<FLOATS> (g, x, width, act, r, FLOATS ? floats + (size_t) r * width : floats, red,
                           experts && !work[0].glu_rows ? slot_weight : NULL);
    }
  __syncthreads ();

  for (int s = 0; s < g.n_segments; s++)
    {
      const Work &w = work[s];
      if (!w.n_mine)
        continue;
      if (FLOATS)
        switch (w.seg->w.type)
          {
          case ENG_TYPE_F32:
            stream_floats<ENG_TYPE_F32, R> (g, w, floats, width, lane, row_base);
            break;
          case ENG_TYPE_F16:
            stream_floats<ENG_TYPE_F16, R> (g, w, floats, width, lane, row_base);
            break;
          default:
            stream_floats<ENG_TYPE_BF16, R> (g, w, floats, width, lane, row_base);
          }
      else
        CU_SWITCH_TYPE (w.seg->w.type, (stream_planes<TYPE, R> (g, w, act, lane, row_base)))
    }
}

template <int R, bool FLOATS>
cudaError_t
cu_gemv_launch (CuStream s, const CuGemv *g, int n_rows, int grid_x, int grid_y, int width, int pdl)
{
  const size_t bytes = FLOATS ? (size_t) R * width * 4
                              : (size_t) R * width * 5 / 4 + (g->has_norm ? (size_t) width * 4 : 0);
  auto kernel = gemv_kernel<R, FLOATS>;
  return launch_kernel (kernel, dim3 (grid_x, grid_y), THREADS, bytes, s, pdl, *g, n_rows, width);
}

