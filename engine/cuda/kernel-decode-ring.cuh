// SPDX-License-Identifier: Apache-2.0
// Matrix-vector products for one row on cards with 200 KB and more of shared memory a multiprocessor (Hopper, data
// centre Blackwell). What kernel-decode.cuh does with registers, this does with rings in shared memory:
//
//   - a warp owns its part of the ring, filled by cp.async in whole lines: no barrier of the block stands in the
//     stream, and one warp may be at weights of the second type while its neighbour is at the first;
//   - part of a ring is filled before the kernel in front has ended, since weights do not depend on it (programmatic dependent
//     launch), the rest once the input has been asked for;
//   - rows that are short are given to half or a quarter of a warp.
//
// Invariant: every warp commits one group a turn, used or not, so that "all but the last STAGES - 1 groups have
// landed" always means its oldest item.
#pragma once

#include "kernel-decode.cuh"

// One block of 16 warps a multiprocessor: two of one kernel would meet on one multiprocessor while another idles
// (measured on an H100, products of an 8B layer in Q4_K: 58.6 us with two blocks of 8 warps possible, 53.5 us so; on an
// H200 with 64 registers, so that the next kernel's block is there early, a token of an 8B takes 2,176 us instead of 1,802).
// 80 registers and 120 KB leave room for a block of token_kernel, so that attention's keys and values are fetched
// while the product before it ends, and the next product's weights while attention runs.
#define RING_WARPS 16
#define RING_THREADS (RING_WARPS * 32)
#ifndef RING_REGISTERS
#define RING_REGISTERS 80
#define RING_BYTES (120 << 10)
#endif
// Of them before the input: what is asked for earlier comes earlier, so a row behind a full ring is there three microseconds late, and
// with it whatever attention reads beside it. Gate and up of long rows stream for longer and gain by more.
#define RING_BYTES_AT_FIRST (48 << 10)
#define RING_GLU_BYTES_AT_FIRST (80 << 10)

template <int BYTES>
CU_DEV void
copy_ahead (void *dst, const void *src)
{
#if __CUDA_ARCH__ >= 800
  const uint32_t to = (uint32_t) __cvta_generic_to_shared (dst);
  if constexpr (BYTES == 16)
    asm volatile ("cp.async.cg.shared.global.L2::256B [%0], [%1], 16;" ::"r"(to), "l"(src) : "memory");
  else
    asm volatile ("cp.async.ca.shared.global [%0], [%1], %2;" ::"r"(to), "l"(src), "n"(BYTES) : "memory");
#endif
}
CU_DEV void
copy_commit (void)
{
#if __CUDA_ARCH__ >= 800
  asm volatile ("cp.async.commit_group;" ::: "memory");
#endif
}
template <int N>
CU_DEV void
copy_wait (void)
{
#if __CUDA_ARCH__ >= 800
  asm volatile ("cp.async.wait_group %0;" ::"n"(N) : "memory");
#endif
}

template <int N> struct Constant
{
  static constexpr int value = N;
};

// A lane's part of an item: a pair of sub-blocks of two rows; @slot is where the warp's items of a stage lie. Planes of
// 2-byte entries are copied as the aligned word that holds the entry.
template <int TYPE> struct Slot
{
  static constexpr Format f = format_of (TYPE);
  static constexpr int nq = 2 * f.q / 16, h = 2 * f.h, s = f.s == 1 ? 4 : 2 * f.s, d = f.d ? 4 : 0;
  static constexpr int at_h = 2 * nq * 16, at_s = at_h + 2 * h, at_d = at_s + 2 * s, bytes = at_d + 2 * d;

  // Where 16-byte chunk @c of a group's row of nibbles lies: neighbours in memory go to neighbours here, and the
  // lanes that read their own chunks back meet no bank twice.
  template <int LANES>
  CU_DEV static uint8_t *
  chunk (uint8_t *slot, int lane, int row, int c)
  {
    return slot + ((lane / LANES * 2 + row) * LANES * nq + (c ^ (c >> 3 & (nq - 1)))) * 16;
  }

  // Pairs of sub-blocks [@piece, @piece + @n) of a row at whose beginning @w stands for this lane, as begin_row () makes it: addresses
  // are on the way of every item, and as sums of many terms they took a quarter of all instructions.
  template <int LANES>
  CU_DEV static void
  put_row (uint8_t *slot, int lane, const CuWeight &w, int row, int n, uint32_t piece)
  {
    const int k = lane % LANES;
    uint8_t *to = chunk<LANES> (slot, lane, row, k);
#pragma unroll
    for (int i = 0; i < nq; i++)
      if (i * LANES + k < n * nq)
        copy_ahead<16> (nq <= 2 ? to + i * LANES * 16 : chunk<LANES> (slot, lane, row, i * LANES + k),
                        w.q + (uint64_t) piece * (2 * f.q) + i * LANES * 16);
    if (k >= n)
      return;
    if constexpr (h != 0)
      copy_ahead<h> (slot + at_h * 32 + (row * 32 + lane) * h, w.h + (uint64_t) piece * h);
    copy_ahead<s> (slot + at_s * 32 + (row * 32 + lane) * s, word_of (w.s + (uint64_t) piece * (2 * f.s)));
    if constexpr (d != 0)
      copy_ahead<4> (slot + at_d * 32 + (row * 32 + lane) * 4, word_of (w.d + (piece >> 2) * f.d));
  }
  CU_DEV static const uint8_t *
  word_of (const uint8_t *p)
  {
    return f.s >= 2 && f.d != 2 ? p : (const uint8_t *) ((uint64_t) p & ~(uint64_t) 3);
  }
  // @at: the first pair of the row; planes then stand where lane @k of a group has its part of the first item. Rows of types with
  // super-blocks begin with one.
  CU_DEV static void
  begin_row (CuWeight &w, uint32_t at, int k)
  {
    w.q += (uint64_t) at * (2 * f.q) + k * 16;
    if (h != 0)
      w.h += ((uint64_t) at + k) * h;
    w.s += ((uint64_t) at + k) * (2 * f.s);
    if (d != 0)
      w.d += (at + k) / 4 * f.d;
  }

  // @index (k): which pair of sub-blocks of all rows the group's lane k takes; @n: lanes that have one.
  template <int LANES, typename Index>
  CU_DEV static void
  put (uint8_t *slot, int lane, const CuWeight &w, int row, int n, Index index)
  {
    const int k = lane % LANES;
#pragma unroll
    for (int i = 0; i < nq; i++)
      {
        const int c = i * LANES + k;
        if (c < n * nq)
          copy_ahead<16> (chunk<LANES> (slot, lane, row, c), w.q + (uint64_t) index (c / nq) * (2 * f.q) + c % nq * 16);
      }
    if (k >= n)
      return;
    const uint32_t at = index (k);
    if constexpr (h != 0)
      copy_ahead<h> (slot + at_h * 32 + (row * 32 + lane) * h, w.h + (uint64_t) at * h);
    copy_ahead<s> (slot + at_s * 32 + (row * 32 + lane) * s,
                   w.s + ((uint64_t) at * (2 * f.s) & ~(uint64_t) 3));
    if constexpr (d != 0)
      copy_ahead<4> (slot + at_d * 32 + (row * 32 + lane) * 4,
                     w.d + ((uint64_t) (at >> 2) * f.d & ~(uint64_t) 3));
  }

  template <int LANES>
  CU_DEV static void
  get (uint8_t *slot, int lane, uint32_t at, int row, Pair<TYPE> &p)
  {
#pragma unroll
    for (int i = 0; i < nq; i++)
      p.q[i] = *(const uint4 *) chunk<LANES> (slot, lane, row, lane % LANES * nq + i);
    const uint8_t *ph = slot + at_h * 32 + (row * 32 + lane) * h;
    if constexpr (h == 8)
      {
        const uint2 v = *(const uint2 *) ph;
        p.h[0] = v.x, p.h[1] = v.y;
      }
    if constexpr (h == 16)
      {
        const uint4 v = *(const uint4 *) ph;
        p.h[0] = v.x, p.h[1] = v.y, p.h[2] = v.z, p.h[3] = v.w;
      }
    const uint8_t *ps = slot + at_s * 32 + (row * 32 + lane) * s;
    if constexpr (f.s == 4)
      {
        const uint2 v = *(const uint2 *) ps;
        p.s[0] = v.x, p.s[1] = v.y;
      }
    else
      p.s[0] = *(const uint32_t *) ps >> (f.s == 1 ? (at & 1) * 16 : 0);
    if constexpr (d != 0)
      p.d = *(const uint32_t *) (slot + at_d * 32 + (row * 32 + lane) * 4)
            >> (f.d == 2 ? (at >> 2 & 1) * 16 : 0);
    if constexpr (f.d == 2)
      p.d &= 0xffff;
  }
};

// Items in flight, of @bytes a thread.
__host__ __device__ constexpr int
ring_stages (int bytes)
{
  return RING_BYTES / (bytes * RING_THREADS) < 2 ? 2 : RING_BYTES / (bytes * RING_THREADS);
}
// How many of them are asked for before the input, of @bytes a block.
__host__ __device__ constexpr int
ring_at_first (bool long_glu, int bytes, int n_stages)
{
  const int n = (long_glu ? RING_GLU_BYTES_AT_FIRST : RING_BYTES_AT_FIRST) / bytes;
  return n < 1 ? 1 : n > n_stages ? n_stages : n;
}
__host__ __device__ constexpr int
larger (int a, int b)
{
  return a > b ? a : b;
}

// (float) of byte @k of @v, less @bias: placed below 2^23, which is taken off again; the conversion's own unit takes four times as long.
CU_DEV float
byte_as_float (uint32_t v, int k, float bias = 0.f)
{
  return __uint_as_float (__byte_perm (v, 0x4b000000, 0x7540 | k)) - (8388608.f + bias);
}

// As pair_scale (); Q4_K's odd sub-block: by a sixteenth, since its weights stand four bits higher.
template <int TYPE>
CU_DEV float2
ring_scale (const Pair<TYPE> &p, int i, int half)
{
  if (TYPE == ENG_TYPE_Q4_K || TYPE == ENG_TYPE_Q5_K)
    {
      const float f = half_bits (p.d & 0xffff);
      return make_float2 ((TYPE == ENG_TYPE_Q4_K && i ? f * 0.0625f : f) * byte_as_float (p.s[0], 2 * i),
                          -half_bits (p.d >> 16) * byte_as_float (p.s[0], 2 * i + 1));
    }
  if (TYPE == ENG_TYPE_Q6_K || TYPE == ENG_TYPE_Q3_K)
    {
      const float d = half_bits (p.d) * byte_as_float (p.s[0] ^ 0x80808080u, 2 * i + half, 128.f);
      return make_float2 (d, (TYPE == ENG_TYPE_Q6_K ? -32.f : -4.f) * d);
    }
  return pair_scale (p, i, half);
}

CU_DEV int
dot_unsigned (uint32_t a, int b, int sum) // bytes of @a without sign
{
#if __CUDA_ARCH__ >= 610
  asm ("dp4a.u32.s32 %0, %1, %2, %3;" : "=r"(sum) : "r"(a), "r"(b), "r"(sum));
#endif
  return sum;
}

// As consume () for one row, of all types but Q2_K. @WHOLE: ds has the sums of whole sub-blocks, as floats.
template <int TYPE, bool WHOLE>
CU_DEV void
ring_consume (const Pair<TYPE> &w0, const Pair<TYPE> &w1, const Act &x, int j, float acc[2][1])
{
#pragma unroll
  for (int i = 0; i < 2; i++)
    {
      const uint4 lo = x.a[2 * i * x.n + j], hi = x.a[(2 * i + 1) * x.n + j];
      const float2 ds = x.ds[i * x.n + j];
      const int v[8] = { (int) lo.x, (int) lo.y, (int) lo.z, (int) lo.w, (int) hi.x, (int) hi.y, (int) hi.z, (int) hi.w };
      int pa = 0, pb = 0, qa = 0, qb = 0;
#pragma unroll
      for (int k = 0; k < 8; k++)
        {
          int &a = has_half_scales (TYPE) && k >= 4 ? qa : pa, &b = has_half_scales (TYPE) && k >= 4 ? qb : pb;
          if (TYPE == ENG_TYPE_Q4_K)
            {
              const uint32_t mask = i ? 0xf0f0f0f0u : 0x0f0f0f0fu;
              a = dot_unsigned ((&w0.q[0].x)[k] & mask, v[k], a);
              b = dot_unsigned ((&w1.q[0].x)[k] & mask, v[k], b);
            }
          else
            {
              a = __dp4a ((int) pair_word (w0, i, k), v[k], a);
              b = __dp4a ((int) pair_word (w1, i, k), v[k], b);
            }
        }
      const float2 a0 = ring_scale (w0, i, 0), b0 = ring_scale (w1, i, 0);
      const int sums = __float_as_int (ds.y);
      if (has_half_scales (TYPE))
        {
          const float2 a1 = ring_scale (w0, i, 1), b1 = ring_scale (w1, i, 1);
          const float s0 = (float) (short) (sums & 0xffff), s1 = (float) (sums >> 16);
          acc[0][0] += ds.x * (a0.x * (float) pa + a0.y * s0 + a1.x * (float) qa + a1.y * s1);
          acc[1][0] += ds.x * (b0.x * (float) pb + b0.y * s0 + b1.x * (float) qb + b1.y * s1);
        }
      else
        {
          const float s = WHOLE ? ds.y : (float) ((short) (sums & 0xffff) + (sums >> 16));
          acc[0][0] += ds.x * (a0.x * (float) pa + a0.y * s);
          acc[1][0] += ds.x * (b0.x * (float) pb + b0.y * s);
        }
    }
}

// What a group of lanes fetches next.
struct Ahead
{
  CuWeight w0, w1;
  int unit = 0, piece = 0, left = 0; // turns left of the whole warp
};

// The stream of one group of lanes over the segments of one type. @FULL: rows are whole numbers of items.
template <int TYPE, int MODE, int LANES, bool FULL> struct Stream
{
  static constexpr bool glu_rows = MODE == CU_MODE_GLU || MODE == CU_MODE_EXPERT_UP;

  CU_DEV static int
  segment_of (const CuDecode &d, int s, int end, int &u)
  {
    while (s + 1 < end && u >= d.units[s])
      u -= d.units[s++];
    return s;
  }

  CU_DEV static void
  rows_of (const CuGemv &g, const CuDecode &d, int s0, int end, const int *ids, int unit, CuWeight &w0, CuWeight &w1,
           uint32_t &at0, uint32_t &at1)
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
    at0 = glu_rows ? (uint32_t) u * d.n_pieces : 2u * u * d.n_pieces;
    at1 = glu_rows ? at0 : 2u * u + 1 < w0.n_rows ? at0 + d.n_pieces : at0;
  }

  // Where piece @p of the unit lies.
  CU_DEV static void
  place (const CuDecode &d, const int *ids, int unit, int p, const CuWeight &w0, uint32_t at0, uint32_t at1, uint32_t &a,
         uint32_t &b)
  {
    if (MODE == CU_MODE_EXPERT_DOWN)
      {
        const uint32_t per_row = w0.n_cols / 64, slot = p / per_row, rest = p % per_row;
        a = (ids[slot] * w0.n_rows + 2 * unit) * per_row + rest;
        b = 2u * unit + 1 < w0.n_rows ? a + per_row : a;
        return;
      }
    a = at0 + p;
    b = at1 + p;
  }

  CU_DEV static void
  start (Ahead &o, const CuGemv &g, const CuDecode &d, int s0, int end, int n_units, int first, int first_of_warp, int step,
         const int *ids)
  {
    o.unit = first;
    o.piece = 0;
    const int turns = (d.n_pieces + LANES - 1) / LANES;
    o.left = first_of_warp < n_units ? ((n_units - 1 - first_of_warp) / step + 1) * turns : 0;
    enter (o, g, d, s0, end, n_units, ids);
  }

  CU_DEV static void
  enter (Ahead &o, const CuGemv &g, const CuDecode &d, int s0, int end, int n_units, const int *ids)
  {
    if (o.unit >= n_units)
      return;
    uint32_t at0, at1;
    rows_of (g, d, s0, end, ids, o.unit, o.w0, o.w1, at0, at1);
    if (MODE == CU_MODE_EXPERT_DOWN)
      return;
    Slot<TYPE>::begin_row (o.w0, at0, threadIdx.x % LANES);
    Slot<TYPE>::begin_row (o.w1, at1, threadIdx.x % LANES);
  }

  CU_DEV static void
  fetch (Ahead &o, uint8_t *slot, const CuGemv &g, const CuDecode &d, int s0, int end, int n_units, int step, int lane, const int *ids)
  {
    if (LANES == 32 || o.unit < n_units) // a whole warp has turns only while it has units
      {
        const int n = FULL || d.n_pieces - o.piece >= LANES ? LANES : d.n_pieces - o.piece;
        if constexpr (MODE == CU_MODE_EXPERT_DOWN)
          {
            uint32_t a, b;
            Slot<TYPE>::template put<LANES> (slot, lane, o.w0, 0, n, [&] (int k) {
              place (d, ids, o.unit, o.piece + k, o.w0, 0, 0, a, b);
              return a;
            });
            Slot<TYPE>::template put<LANES> (slot, lane, o.w1, 1, n, [&] (int k) {
              place (d, ids, o.unit, o.piece + k, o.w0, 0, 0, a, b);
              return b;
            });
          }
        else
          {
            Slot<TYPE>::template put_row<LANES> (slot, lane, o.w0, 0, n, o.piece);
            Slot<TYPE>::template put_row<LANES> (slot, lane, o.w1, 1, n, o.piece);
          }
      }
    o.left--;
    o.piece += LANES;
    if (o.piece >= d.n_pieces)
      {
        o.piece = 0;
        o.unit += step;
        enter (o, g, d, s0, end, n_units, ids);
      }
  }
};

template <int LANES>
CU_DEV float
ring_sums (float x, float y, int lane)
{
  const bool low = lane < LANES / 2;
  float v = low ? x : y;
  v += __shfl_xor_sync (~0u, low ? y : x, LANES / 2);
#pragma unroll
  for (int o = LANES / 4; o; o >>= 1)
    v += __shfl_xor_sync (~0u, v, o);
  return v;
}

// The value a result is added to, asked for while the row's weights are still on their way.
template <int MODE, int LANES>
CU_DEV float
ring_aux (const CuGemv &g, const CuSegment &seg, int u, int lane, int row)
{
  const uint32_t r = 2 * u + (lane >= LANES / 2);
  if (MODE == CU_MODE_GLU || MODE == CU_MODE_EXPERT_UP || g.tail != CU_TAIL_ADD || lane % (LANES / 2)
      || r >= seg.w.n_rows)
    return 0.f;
  return __ldcg (g.aux + (MODE >= CU_MODE_EXPERT_UP ? (size_t) row * seg.y_stride : 0) + r);
}

template <int MODE, int LANES>
CU_DEV void
ring_finish (const CuGemv &g, const CuSegment &seg, int u, float v, float aux, int lane, const int *ids, int row, bool in)
{
  float *y = seg.y + (MODE >= CU_MODE_EXPERT_UP ? (size_t) row * seg.y_stride : 0);
  if (MODE == CU_MODE_GLU || MODE == CU_MODE_EXPERT_UP)
    {
      const float *bias = lane < LANES / 2 ? seg.bias : seg.bias2;
      if (bias && in)
        {
          const uint32_t n = seg.w.n_rows;
          v += bias[MODE == CU_MODE_EXPERT_UP ? ids[u / n] * n + u % n : u];
        }
      const float up = __shfl_xor_sync (~0u, v, LANES / 2);
      if (lane == 0 && in)
        y[u] = gated<false> (g.act, v, up);
      return;
    }
  const uint32_t r = 2 * u + (lane >= LANES / 2);
  if (!in || lane % (LANES / 2) || r >= seg.w.n_rows)
    return;
  if (seg.bias && MODE == CU_MODE_ROWS)
    v += seg.bias[r];
  if (g.act != ENG_ACT_NONE)
    v = activate<false> (g.act, v);
  v *= g.scale;
  if (g.soft_cap > 0.f)
    v = g.soft_cap * tanhf (v / g.soft_cap);
  y[r] = v + aux;
}

// Eight values of a thread to shared memory; four neighbouring threads hold one sub-block. @WHOLE: as ring_consume () has it.
template <bool WHOLE>
CU_DEV void
put_eight (const float4 &u, const float4 &v, int i, bool in, const Act &act, float f)
{
  float m = fmaxf (fmaxf (fmaxf (fabsf (u.x), fabsf (u.y)), fmaxf (fabsf (u.z), fabsf (u.w))),
                   fmaxf (fmaxf (fabsf (v.x), fabsf (v.y)), fmaxf (fabsf (v.z), fabsf (v.w))));
  m = fmaxf (m, __shfl_xor_sync (~0u, m, 1));
  m = fmaxf (m, __shfl_xor_sync (~0u, m, 2));
  const float inv = m > 0.f ? __fdividef (127.f, m) : 0.f;
  // the nearest integer is the low byte of 3 * 2^22 and more: the conversion's own unit is slower
  auto whole = [inv] (float x) { return __float_as_int (__fadd_rn (__fmul_rn (x, inv), 12582912.f)); };
  auto pack = [&] (const float4 &x) {
    return __byte_perm (__byte_perm (whole (x.x), whole (x.y), 0x0040), __byte_perm (whole (x.z), whole (x.w), 0x0040), 0x5410);
  };
  const uint2 p = make_uint2 (pack (u), pack (v));
  const float scale = m * (1.f / 127.f);
  int sum = __dp4a ((int) p.y, 0x01010101, __dp4a ((int) p.x, 0x01010101, 0));
  sum += __shfl_xor_sync (~0u, sum, 1);
  const int other = __shfl_xor_sync (~0u, sum, 2);
  if (!in)
    return;
  const int sub = i / 32, j = sub / 2, odd = sub & 1, word = i % 32 / 4;
  ((uint2 *) &act.a[(2 * odd + (word >> 2)) * act.n + j])[word >> 1 & 1] = p;
  if (word == 0)
    act.ds[odd * act.n + j]
        = make_float2 (scale * f, WHOLE ? (float) (sum + other) : __int_as_float ((sum & 0xffff) | other << 16));
}

// @ask: called once the row is asked for and before it is used.
template <bool WHOLE, int N, typename Ask>
CU_DEV void
ring_normed (const CuGemv &g, int row, int width, const Act &act, float *red, const Ask &ask)
{
  const int t = threadIdx.x, lane = t % 32;
  const float4 zero = make_float4 (0.f, 0.f, 0.f, 0.f);
  float4 w[N][2], v[N][2];
#pragma unroll
  for (int n = 0; n < N; n++)
    {
      const int i = (n * RING_THREADS + t) * 8;
#pragma unroll
      for (int k = 0; k < 2; k++)
        w[n][k] = g.norm && i < width ? __ldg ((const float4 *) (g.norm + i) + k) : make_float4 (1, 1, 1, 1);
    }
  wait_for_input ();
  const float *x = g.x + (size_t) (g.row_map ? g.row_map[row] : row) * g.x_stride;
#pragma unroll
  for (int n = 0; n < N; n++)
    {
      const int i = (n * RING_THREADS + t) * 8;
#pragma unroll
      for (int k = 0; k < 2; k++)
        v[n][k] = i < width ? __ldcg ((const float4 *) (x + i) + k) : zero;
    }
  ask ();
  float ss = 0.f;
#pragma unroll
  for (int n = 0; n < N; n++)
#pragma unroll
    for (int k = 0; k < 2; k++)
      {
        float4 &a = v[n][k], &b = w[n][k];
        ss += a.x * a.x + a.y * a.y + a.z * a.z + a.w * a.w;
        a.x *= b.x, a.y *= b.y, a.z *= b.z, a.w *= b.w;
      }
#pragma unroll
  for (int o = 16; o; o >>= 1)
    ss += __shfl_xor_sync (~0u, ss, o);
  if (lane == 0)
    red[t / 32] = ss;
  __syncthreads ();
  ss = red[t % RING_WARPS];
#pragma unroll
  for (int o = RING_WARPS / 2; o; o >>= 1)
    ss += __shfl_xor_sync (~0u, ss, o);
  const float inv_rms = rsqrtf (ss / width + g.eps);
#pragma unroll
  for (int n = 0; n < N; n++)
    if (n * RING_THREADS * 8 < width)
      {
        const int i = (n * RING_THREADS + t) * 8;
#pragma unroll
        for (int k = 0; k < 2; k++)
          v[n][k].x *= inv_rms, v[n][k].y *= inv_rms, v[n][k].z *= inv_rms, v[n][k].w *= inv_rms;
        put_eight<WHOLE> (v[n][0], v[n][1], i, i < width, act, 1.f);
      }
}

// The input row, normalized or not, as 8-bit values in shared memory. Widths are multiples of 64: four threads
// always have or lack a sub-block together.
template <int MODE, bool WHOLE, typename Ask>
CU_DEV void
ring_input (const CuGemv &g, int row, int width, const Act &act, float *red, float *slot_weight, const Ask &ask)
{
  if (g.has_norm && width <= RING_THREADS * 8) // registers for what most models have
    return ring_normed<WHOLE, 1> (g, row, width, act, red, ask);
  if (g.has_norm)
    return ring_normed<WHOLE, 8192 / (RING_THREADS * 8)> (g, row, width, act, red, ask);
  wait_for_input ();
  const int t = threadIdx.x;
  const float4 zero = make_float4 (0.f, 0.f, 0.f, 0.f);
  const float *x = g.x + (size_t) (g.row_map ? g.row_map[row] : row) * g.x_stride;
  constexpr int N = 4;
#pragma unroll 1
  for (int base = 0; base < width; base += RING_THREADS * 8 * N)
    {
      float4 v[N][2];
#pragma unroll
      for (int n = 0; n < N; n++)
        {
          const int i = base + (n * RING_THREADS + t) * 8;
#pragma unroll
          for (int k = 0; k < 2; k++)
            v[n][k] = i < width ? __ldcg ((const float4 *) (x + i) + k) : zero;
        }
      if (base == 0)
        ask ();
#pragma unroll
      for (int n = 0; n < N; n++)
        if (base + n * RING_THREADS * 8 < width)
          {
            const int i = base + (n * RING_THREADS + t) * 8;
            put_eight<WHOLE> (v[n][0], v[n][1], i, i < width, act,
                              MODE == CU_MODE_EXPERT_DOWN && i < width ? slot_weight[i / g.n_cols] : 1.f);
          }
    }
}

template <int TYPE, int TYPE2, int MODE, int LANES, bool FULL>
__global__ void __maxnreg__ (RING_REGISTERS)
ring_gemv_kernel (const __grid_constant__ CuGemv g, const __grid_constant__ CuDecode d, int width)
{
#if CU_RING_CODE
  constexpr int slot_bytes = larger (Slot<TYPE>::bytes, Slot<TYPE2>::bytes) * RING_THREADS;
  constexpr int STAGES = ring_stages (slot_bytes / RING_THREADS), GROUPS = 32 / LANES;
  constexpr bool experts = MODE >= CU_MODE_EXPERT_UP, WHOLE = !has_half_scales (TYPE) && !has_half_scales (TYPE2);
  extern __shared__ __align__ (16) uint8_t shared[];
  __shared__ float red[RING_WARPS];
  __shared__ int ids[32];
  __shared__ float slot_weight[32];
  const int t = threadIdx.x, lane = t % LANES, step = gridDim.x * RING_WARPS * GROUPS;
  const int warp_first = (t / 32 * d.warp_stride + blockIdx.x * d.block_stride) * GROUPS, group = t % 32 / LANES;
  const int row = experts ? blockIdx.y : 0;
  // units of the second type begin with the warps that have one unit less of the first
  const int turned = warp_first - d.units_a % step;
  const int warp_first_b = turned < 0 ? turned + step : turned;
  uint8_t *mine = shared + t / 32 * (slot_bytes / RING_WARPS); // this warp's part of the first stage
  Act act;
  act.n = width / 64;
  act.a = (uint4 *) (shared + STAGES * slot_bytes);
  act.ds = (float2 *) (shared + STAGES * slot_bytes + width);

  Stream<TYPE, MODE, LANES, FULL> a;
  Stream<TYPE2, MODE, LANES, FULL> b;
  Ahead ahead; // of the second type once the first is through: one state in registers
  bool second = false;
  auto fetch_next = [&] (int stage) {
    uint8_t *slot = mine + stage * slot_bytes;
    if (TYPE2 != TYPE)
      if (ahead.left == 0 && !second)
        {
          second = true;
          b.start (ahead, g, d, d.n_a, g.n_segments, d.units_b, warp_first_b + group, warp_first_b, step, ids);
        }
    if (ahead.left > 0)
      {
        if (TYPE2 == TYPE || !second)
          a.fetch (ahead, slot, g, d, 0, experts ? 1 : d.n_a, d.units_a, step, t % 32, ids);
        else
          b.fetch (ahead, slot, g, d, d.n_a, g.n_segments, d.units_b, step, t % 32, ids);
      }
    copy_commit ();
  };
  auto start = [&] () { a.start (ahead, g, d, 0, experts ? 1 : d.n_a, d.units_a, warp_first + group, warp_first, step, ids); };
  constexpr int AT_FIRST = experts ? 0 : ring_at_first (MODE == CU_MODE_GLU && LANES == 32, slot_bytes, STAGES);
  if (!experts)
    {
      start ();
#pragma unroll 1
      for (int i = 0; i < AT_FIRST; i++)
        fetch_next (i);
    }
  ring_input<MODE, WHOLE> (g, row, width, act, red, slot_weight, [&] () {
    if (experts) // which are chosen, the kernel in front has said
      {
        if (t < (int) g.n_used)
          {
            ids[t] = (int) g.route[(size_t) row * g.route_stride + t];
            slot_weight[t] = g.route[(size_t) row * g.route_stride + g.n_used + t];
          }
        __syncthreads ();
        start ();
      }
#pragma unroll 1
    for (int i = AT_FIRST; i < STAGES; i++)
      fetch_next (i);
  });
  __syncthreads ();

  int stage = 0;
  auto run = [&] (auto &stream, auto type, int s0, int end, int n_units, int first, int first_of_warp) {
    constexpr int T = decltype (type)::value;
    CuWeight w0 = {}, w1 = {};
    uint32_t at0 = 0, at1 = 0;
#pragma unroll 1
    for (int of_warp = first_of_warp, unit = first; of_warp < n_units; of_warp += step, unit += step)
      {
        const bool in = LANES == 32 || unit < n_units;
        int u = unit;
        const int s = MODE == CU_MODE_ROWS ? stream.segment_of (d, s0, end, u) : 0;
        const CuSegment &seg = g.segment[s];
        if (in)
          stream.rows_of (g, d, s0, end, ids, unit, w0, w1, at0, at1);
        const float aux = in ? ring_aux<MODE, LANES> (g, seg, u, lane, row) : 0.f;
        float acc[2][1] = {};
#pragma unroll 1
        for (int p = 0; p < d.n_pieces; p += LANES)
          {
            copy_wait<STAGES - 1> ();
            __syncwarp ();
            if (in && (FULL || p + lane < d.n_pieces))
              {
                Pair<T> x, y;
                uint32_t i, k;
                stream.place (d, ids, unit, p + lane, w0, at0, at1, i, k);
                Slot<T>::template get<LANES> (mine + stage * slot_bytes, t % 32, i, 0, x);
                Slot<T>::template get<LANES> (mine + stage * slot_bytes, t % 32, k, 1, y);
                if constexpr (T == ENG_TYPE_Q2_K)
                  consume<T, 1> (x, y, act, p + lane, acc);
                else
                  ring_consume<T, WHOLE> (x, y, act, p + lane, acc);
              }
            __syncwarp ();
            fetch_next (stage);
            stage = stage + 1 == STAGES ? 0 : stage + 1;
          }
        const float v = ring_sums<LANES> (acc[0][0], acc[1][0], lane);
        ring_finish<MODE, LANES> (g, seg, u, v, aux, lane, ids, row, in);
      }
  };
  run (a, Constant<TYPE>{}, 0, experts ? 1 : d.n_a, d.units_a, warp_first + group, warp_first);
  if constexpr (TYPE2 != TYPE)
    run (b, Constant<TYPE2>{}, d.n_a, g.n_segments, d.units_b, warp_first_b + group, warp_first_b);
#endif
}

template <int TYPE, int TYPE2, int MODE, int LANES, bool FULL>
static cudaError_t
ring_gemv_launch (CuStream s, const CuGemv *g, const CuDecode *d, int n_units, int n_rows, int width, int pdl)
{
  auto kernel = ring_gemv_kernel<TYPE, TYPE2, MODE, LANES, FULL>;
  constexpr int slot = larger (Slot<TYPE>::bytes, Slot<TYPE2>::bytes);
  const size_t bytes = (size_t) slot * RING_THREADS * ring_stages (slot) + (size_t) width * 5 / 4;
  // Neighbouring units go to different multiprocessors: what is left over for some warps spreads evenly. Or they go to one, and the last
  // blocks, which start last, have less to do; of many units for a warp that is little.
  CuDecode placed = *d;
  const bool by_block = g->by_block || (MODE == CU_MODE_GLU && d->units_a >= 2 * n_units * RING_WARPS * 32 / LANES);
  placed.warp_stride = by_block ? 1 : n_units;
  placed.block_stride = by_block ? RING_WARPS : 1;
  return launch_kernel (kernel, dim3 (n_units, n_rows), RING_THREADS, bytes, s, pdl, *g, placed, width);
}

// The ring where the card has room for it (and the code was made for it: @pdl), else the kernel that keeps weights in registers.
template <int TYPE, int TYPE2, int MODE>
static cudaError_t
decode_launch (CuStream s, const CuGemv *g, const CuDecode *d, int n_units, int n_rows, int width, int pdl)
{
  int device, room;
  cudaError_t e = cudaGetDevice (&device);
  if (e == cudaSuccess)
    e = cudaDeviceGetAttribute (&room, cudaDevAttrMaxSharedMemoryPerMultiprocessor, device);
  if (e != cudaSuccess)
    return e;
  if (!pdl || room < 200 << 10)
    return decode_gemv_launch<TYPE, TYPE2, MODE> (s, g, d, n_units, n_rows, width, pdl);
  if (MODE != CU_MODE_EXPERT_DOWN && d->n_pieces <= 16)
    return ring_gemv_launch<TYPE, TYPE2, MODE, 16, false> (s, g, d, n_units, n_rows, width, pdl);
  return d->n_pieces % 32 == 0 ? ring_gemv_launch<TYPE, TYPE2, MODE, 32, true> (s, g, d, n_units, n_rows, width, pdl)
                               : ring_gemv_launch<TYPE, TYPE2, MODE, 32, false> (s, g, d, n_units, n_rows, width, pdl);
}
