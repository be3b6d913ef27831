// SPDX-License-Identifier: Apache-2.0
// Planes of weights on their way to one warp's tensor cores: a ring of its own in shared memory, filled by asynchronous copies, so that
// no barrier of the block is needed.
#pragma once

#include "kernel-launch.cuh"
#include "kernel-mma.cuh"

#define RING_PAIRS 4 // of a row in a stage: one super-block
#define RING_STAGES 2

// A warp's stage: 16 MT rows of plane q, then of plane h. Chunks of 16 bytes change places by the row, so that the same chunk of eight
// rows lies in eight places.
template <int TYPE> struct Stage
{
  static constexpr Format f = format_of (TYPE);
  static constexpr int q_row = RING_PAIRS * 2 * f.q, h_row = RING_PAIRS * 2 * f.h, row_bytes = q_row + h_row;
  static constexpr int scales = has_half_scales (TYPE) ? 4 : 2; // of a pair

  __host__ __device__ static constexpr int
  warp_bytes (int rows) // the ring, then the scales of one stage
  {
    return rows * (RING_STAGES * row_bytes + RING_PAIRS * scales * 8);
  }

  CU_DEV static int
  place (int row, int chunk, int row_bytes)
  {
    return row * row_bytes + ((row_bytes >= 128 ? chunk ^ (row & 7) : chunk ^ (row >> 1 & 3)) << 4);
  }
};

// What a lane has of a pair of sub-blocks of one weight row.
template <int TYPE> struct Lane
{
  static constexpr Format f = format_of (TYPE);
  static constexpr bool paired = TYPE == ENG_TYPE_Q4_K || TYPE == ENG_TYPE_Q5_K || TYPE == ENG_TYPE_Q6_K;
  static constexpr bool wide = TYPE == ENG_TYPE_Q8_0 || TYPE == ENG_TYPE_Q2_K || TYPE == ENG_TYPE_Q3_K; // a word each
  uint32_t q[wide ? 4 : 2];
  uint32_t h[f.h == 8 ? 4 : 2];

  // Pair @pair of the stage at @base, whose plane h begins at @h_base.
  CU_DEV void
  load (const uint8_t *base, const uint8_t *h_base, int row, int pair, int t)
  {
    using S = Stage<TYPE>;
    if (f.q == 8) // 2-bit fields: all four lanes read the same words
      {
        const uint4 v = *(const uint4 *) (base + S::place (row, pair, S::q_row));
        q[0] = v.x, q[1] = v.y, q[wide ? 2 : 0] = v.z, q[wide ? 3 : 0] = v.w;
      }
    else
#pragma unroll
      for (int i = 0; i < (wide ? 4 : 2); i++)
        q[i] = *(const uint32_t *) (base + S::place (row, pair * (f.q / 8) + i, S::q_row) + 4 * t);
    if (f.h == 4)
      {
        const uint2 v = *(const uint2 *) (h_base + row * S::h_row + pair * 8);
        h[0] = v.x, h[1] = v.y;
      }
    if (f.h == 8)
      {
        const uint4 v = *(const uint4 *) (h_base + S::place (row, pair, S::h_row));
        h[0] = v.x, h[1] = v.y, h[f.h == 8 ? 2 : 0] = v.z, h[f.h == 8 ? 3 : 0] = v.w;
      }
  }

  // Word t + 4 @half of sub-block @i, as pair_word () has it.
  CU_DEV uint32_t
  word (int i, int half, int t) const
  {
    if (TYPE == ENG_TYPE_Q8_0)
      return q[wide ? 2 * i + half : 0];
    uint32_t v, above = 0;
    if (f.q == 8)
      v = q[wide ? 2 * i + half : 0] >> (2 * t) & 0x03030303u;
    else
      v = (paired ? q[half] >> (4 * i) : q[i] >> (4 * half)) & 0x0f0f0f0fu;
    if (f.h == 4)
      above = h[i] >> (t + 4 * half) & 0x01010101u;
    if (f.h == 8)
      above = h[f.h == 8 ? 2 * i + half : 0] >> (2 * t) & 0x03030303u;
    return whole_codes<TYPE> (v, above);
  }
};

#if __CUDA_ARCH__ >= 800
CU_DEV void
copy_async_8 (void *dst, const void *src)
{
  asm volatile ("cp.async.ca.shared.global [%0], [%1], 8;" ::"r"(shared_address (dst)), "l"(src) : "memory");
}

// ROWS rows of one matrix, a stage of RING_PAIRS pairs of columns at a time, and the scales of the stage at hand as floats.
template <int TYPE, int ROWS> struct Ring
{
  using S = Stage<TYPE>;
  static constexpr Format f = format_of (TYPE);
  static constexpr int stage_bytes = ROWS * S::row_bytes;
  // what a lane copies of every stage, and whose scales it prepares
  static constexpr int per_row = S::q_row / 16, q_copies = ROWS * per_row / 32, h_copies = f.h ? ROWS * RING_PAIRS / 32 : 0;
  static constexpr int s_loads = ROWS * RING_PAIRS / 32;
  const CuWeight &w;
  uint8_t *bytes;
  float2 *scales; // [pair][sub-block, or half of one][ROWS]
  int lane, n_pairs, row0, before; // the latter: rows of the matrices in front
  Pair<TYPE> ahead[s_loads];

  // Rows from @row0 of matrix @matrix on; those past the end repeat the last one.
  CU_DEV
  Ring (const CuWeight &weight, uint8_t *shared, int matrix, int row)
      : w (weight), bytes (shared), scales ((float2 *) (shared + RING_STAGES * stage_bytes)), lane (threadIdx.x % 32), n_pairs (weight.n_cols / 64),
        row0 (row), before (matrix * weight.n_rows)
  {
  }

  CU_DEV uint32_t
  first_pair (int r) const
  {
    return (before + (row0 + r < (int) w.n_rows ? row0 + r : (int) w.n_rows - 1)) * n_pairs;
  }

  CU_DEV const uint8_t *
  stage (int slot) const
  {
    return bytes + slot * stage_bytes;
  }

  // Stage @at to place @slot; one group of copies, an empty one past the end.
  CU_DEV void
  fetch (int slot, int at)
  {
    const int left = n_pairs - at * RING_PAIRS;
    if (left > 0)
      {
        uint8_t *base = bytes + slot * stage_bytes;
        const int c = lane % per_row;
        if (c * 16 < left * 2 * f.q)
#pragma unroll
          for (int i = 0; i < q_copies; i++)
            copy_async (base + S::place ((i * 32 + lane) / per_row, c, S::q_row),
                        w.q + (uint64_t) (first_pair ((i * 32 + lane) / per_row) + at * RING_PAIRS) * (2 * f.q) + c * 16);
        base += ROWS * S::q_row;
        const int pair = lane % RING_PAIRS;
        if (pair < left)
#pragma unroll
          for (int i = 0; i < h_copies; i++)
            {
              const int r = (i * 32 + lane) / RING_PAIRS;
              const uint8_t *from = w.h + (uint64_t) (first_pair (r) + at * RING_PAIRS + pair) * (2 * f.h);
              if (f.h == 8)
                copy_async (base + S::place (r, pair, S::h_row), from);
              if (f.h == 4)
                copy_async_8 (base + r * S::h_row + pair * 8, from);
            }
      }
    asm volatile ("cp.async.commit_group;" ::: "memory");
  }

  // Scales: each lane asks for those of some pairs a stage ahead, and makes them floats for all.
  CU_DEV void
  ask_scales (int at)
  {
    const int j = at * RING_PAIRS + lane % RING_PAIRS;
    if (j < n_pairs)
#pragma unroll
      for (int i = 0; i < s_loads; i++)
        pair_load_scales (ahead[i], w, first_pair ((i * 32 + lane) / RING_PAIRS) + j);
  }
  CU_DEV void
  place_scales ()
  {
#pragma unroll
    for (int i = 0; i < s_loads; i++)
#pragma unroll
      for (int n = 0; n < S::scales; n++)
        {
          const int r = (i * 32 + lane) / RING_PAIRS, pair = lane % RING_PAIRS;
          scales[(pair * S::scales + n) * ROWS + r]
              = has_half_scales (TYPE) ? pair_scale (ahead[i], n / 2, n % 2) : pair_scale (ahead[i], n, 0);
        }
  }
};
#endif
