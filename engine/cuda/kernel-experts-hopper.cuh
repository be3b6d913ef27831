// SPDX-License-Identifier: Apache-2.0
// Products of a mixture's experts on Hopper: planes of weights become bf16 in the registers that wgmma reads them from, and activations
// are its other side, so that a tile may have any number of rows and no weight is written anywhere. A block makes 256 rows of weights (or
// 128 of gate and the same 128 of up) times a tile of up to 128 rows of activations. Each of its eight warps has a ring of its own for the
// planes of 32 rows (kernel-ring.cuh); activations come as boxes of 32 rows and 64 columns by the tensor copy engine, asked for by a thread
// that does nothing else.
//
// Weights that are one word of a plane (columns 4 w to 4 w + 3 of a sub-block of 32, w = t + 4 half) are columns 2 t, 2 t + 8, 2 t + 1 and
// 2 t + 9 of the half's product of 16 columns: what lane t holds of it. Activations stand in that order.
#pragma once

#include "kernel-activate.cuh"
#include "kernel-ring.cuh"
#include "kernel-wgmma.cuh"

#define EXPERTS_WARPS 8
#define EXPERTS_THREADS (EXPERTS_WARPS * 32 + 128)
#define EXPERTS_ROWS 256 // of weights a block
#define EXPERTS_STAGES 4
#define BOX_ROWS 32
#define BOX_BYTES (BOX_ROWS * 128)

struct CuExperts
{
  CuWeight w[2]; // gate and up, or one matrix twice
  const float *bias[2];
  int act;
  float *y;
  __nv_bfloat16 *h;
};

#if HOPPER_CODE
// Four codes of a word as bf16 weights d * code + m: @lo is of its columns 2 t and 2 t + 1.
template <int TYPE>
CU_DEV void
weights_of (uint32_t word, float2 dm, uint32_t *lo, uint32_t *hi)
{
  // a byte in the middle of the float 2^15 counts ones
  constexpr bool is_signed = TYPE == ENG_TYPE_Q8_0 || TYPE == ENG_TYPE_IQ4_NL || TYPE == ENG_TYPE_IQ4_XS || TYPE == ENG_TYPE_MXFP4;
  if (is_signed)
    word ^= 0x80808080u;
  const float m = dm.y - (is_signed ? 32896.f : 32768.f) * dm.x;
  float v[4];
#pragma unroll
  for (int b = 0; b < 4; b++)
    v[b] = __uint_as_float (__byte_perm (word, 0x47000000u, 0x7404 | b << 4)) * dm.x + m;
  const __nv_bfloat162 first = __floats2bfloat162_rn (v[0], v[2]), second = __floats2bfloat162_rn (v[1], v[3]);
  *lo = *(const uint32_t *) &first;
  *hi = *(const uint32_t *) &second;
}

// The tile's sums, N columns of activations, of this warp's 2 x 16 rows of weights.
template <int TYPE, int N>
CU_DEV void
multiply (Ring<TYPE, 16> (&ring)[2], const uint8_t *boxes, uint64_t *full, uint64_t *empty, float (&sums)[2][N / 2])
{
  using S = Stage<TYPE>;
  constexpr bool halves = has_half_scales (TYPE);
  const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, n_pairs = ring[0].n_pairs;
#pragma unroll
  for (int m = 0; m < 2; m++)
    {
      ring[m].fetch (0, 0);
      ring[m].ask_scales (0);
    }
#pragma unroll 1
  for (int at = 0; at * RING_PAIRS < n_pairs; at++)
    {
      __syncwarp (); // the stage before this one and its scales are read by all lanes
#pragma unroll
      for (int m = 0; m < 2; m++)
        {
          ring[m].place_scales ();
          ring[m].ask_scales (at + 1);
          ring[m].fetch (at + 1 & 1, at + 1);
        }
      asm volatile ("cp.async.wait_group 2;" ::: "memory");
      __syncwarp (); // this stage is there for all
      const int n_here = n_pairs - at * RING_PAIRS < RING_PAIRS ? n_pairs - at * RING_PAIRS : RING_PAIRS;
#pragma unroll 1
      for (int j = 0; j < n_here; j++)
        {
          const int p = at * RING_PAIRS + j, stage = p % EXPERTS_STAGES;
          // a warpgroup's products have ended before it makes weights for the next; meanwhile the tensor cores have the other's
          products_wait<0> (sums[0]);
          products_wait<0> (sums[1]);
          if (p > 0 && lane == 0)
            barrier_arrive (empty + (p - 1) % EXPERTS_STAGES);
          uint32_t a[2][4][4];
#pragma unroll
          for (int m = 0; m < 2; m++)
#pragma unroll
            for (int k = 0; k < 2; k++)
              {
                Lane<TYPE> now;
                now.load (ring[m].stage (at & 1), ring[m].stage (at & 1) + 16 * S::q_row, k * 8 + g, j, t);
#pragma unroll
                for (int kk = 0; kk < 4; kk++)
                  weights_of<TYPE> (now.word (kk / 2, kk % 2, t), ring[m].scales[(j * S::scales + (halves ? kk : kk / 2)) * 16 + k * 8 + g],
                                    &a[m][kk][k], &a[m][kk][2 + k]);
              }
#pragma unroll
          for (int i = 0; i < 32; i++) // made before the products begin
            asm volatile ("" : "+r"(a[i / 16][i / 4 % 4][i % 4])::"memory");
          barrier_wait (full + stage, p / EXPERTS_STAGES & 1);
          products_begin ();
#pragma unroll
          for (int kk = 0; kk < 4; kk++)
#pragma unroll
            for (int m = 0; m < 2; m++)
              product_bf16 (sums[m], a[m][kk], matrix (boxes + stage * (CU_HOPPER_TILE / BOX_ROWS) * BOX_BYTES + kk * 32, 0), p > 0 || kk > 0);
          products_commit ();
        }
    }
#pragma unroll
  for (int m = 0; m < 2; m++)
    products_wait<0> (sums[m]);
}
#endif

// Outputs go through shared memory, 32 columns at a time, so that lanes write whole sectors and the code of an activation stands once
// (unrolled over all sums of a thread it was 13,000 instructions, and fetching them took longer than the products).
#define SUMS_PITCH 42 // of a row
#if HOPPER_CODE
template <int COUNT>
CU_DEV void
stage_sums (const float (&a)[COUNT], const float (&b)[COUNT], int i, float *to)
{
  const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  __syncwarp (); // those before are read
#pragma unroll
  for (int n = 0; n < 4; n++)
#pragma unroll
    for (int k = 0; k < 2; k++)
      {
        const int at = i * 16 + n * 4 + k * 2;
        float *place = to + (k * 8 + g) * SUMS_PITCH + n * 8 + t * 2;
        *(float2 *) place = make_float2 (a[at], a[at + 1]);
        *(float2 *) (place + 16 * SUMS_PITCH) = make_float2 (b[at], b[at + 1]);
      }
  __syncwarp ();
}

// Rows of the tile from @c on: what a warp has staged of them, 16 rows of weights from @row0 and 16 from @row1 on.
template <bool GATED>
CU_DEV void
write_sums (const CuExperts &e, const CuTile &tile, int row0, int row1, int c, const float *from)
{
  const int n = (int) e.w[0].n_rows, lane = threadIdx.x % 32;
  if constexpr (GATED)
    {
      // two lanes a row, each the 8 of 16 columns that stand together
      const size_t first = (size_t) tile.matrix * n + row0;
      const float *bias[2] = { e.bias[0] ? e.bias[0] + first : NULL, e.bias[1] ? e.bias[1] + first : NULL };
      const int half = lane % 2;
#pragma unroll 1
      for (int at = lane / 2; at < 32 && row0 < n; at += 16)
        {
          uint32_t h[4];
#pragma unroll
          for (int i = 0; i < 4; i++)
            {
              float v[2];
#pragma unroll
              for (int b = 0; b < 2; b++)
                {
                  const int r = i * 4 + b * 2 + half; // stands at place 8 half + 2 i + b
                  v[b] = gated_by_sigmoid (e.act, from[r * SUMS_PITCH + at] + (bias[0] ? bias[0][r] : 0.f),
                                           from[(16 + r) * SUMS_PITCH + at] + (bias[1] ? bias[1][r] : 0.f));
                }
              const __nv_bfloat162 two = __floats2bfloat162_rn (v[0], v[1]);
              h[i] = *(const uint32_t *) &two;
            }
          if (c + at < tile.n_rows)
            *(uint4 *) (e.h + (size_t) (tile.row + c + at) * n + row0 + half * 8) = make_uint4 (h[0], h[1], h[2], h[3]);
        }
    }
  else
    {
      // four lanes a row, 16 of its columns
      const int r = lane % 4 * 4;
#pragma unroll 1
      for (int at = lane / 4; at < 32 && c + at < tile.n_rows; at += 8)
#pragma unroll
        for (int m = 0; m < 2; m++)
          {
            const int row = (m ? row1 : row0) + r;
            const float *v = from + (m * 16 + r) * SUMS_PITCH + at;
            if (row < n)
              *(float4 *) (e.y + (size_t) (tile.row + c + at) * n + row) = make_float4 (v[0], v[SUMS_PITCH], v[2 * SUMS_PITCH], v[3 * SUMS_PITCH]);
          }
    }
}
#endif

template <int TYPE, bool GATED>
__global__ void __launch_bounds__ (EXPERTS_THREADS, 1)
experts_kernel (const __grid_constant__ CUtensorMap x, const __grid_constant__ CuExperts e, const CuTile *tiles)
{
#if HOPPER_CODE
  using S = Stage<TYPE>;
  static_assert (2 * S::warp_bytes (16) >= 32 * SUMS_PITCH * 4, "sums stand where the rings were");
  __shared__ uint64_t full[EXPERTS_STAGES], empty[EXPERTS_STAGES];
  extern __shared__ uint8_t memory[];
  wait_for_input ();
  const CuTile tile = tiles[blockIdx.y];
  if (tile.n_rows == 0)
    return;
  const int warp = threadIdx.x / 32, n_pairs = e.w[0].n_cols / 64, n_boxes = (tile.n_rows + BOX_ROWS - 1) / BOX_ROWS;
  uint8_t *boxes = memory + (-shared_address (memory) & 1023);
  uint8_t *rings = boxes + EXPERTS_STAGES * (CU_HOPPER_TILE / BOX_ROWS) * BOX_BYTES;
  if (threadIdx.x == 0)
    {
      for (int i = 0; i < EXPERTS_STAGES; i++)
        {
          barrier_init (full + i, 1);
          barrier_init (empty + i, EXPERTS_WARPS);
        }
      asm volatile ("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
  __syncthreads ();
  if (warp >= EXPERTS_WARPS)
    {
      asm volatile ("setmaxnreg.dec.sync.aligned.u32 24;");
      for (int p = 0; p < n_pairs && threadIdx.x == EXPERTS_WARPS * 32; p++)
        {
          const int stage = p % EXPERTS_STAGES;
          barrier_wait (empty + stage, p / EXPERTS_STAGES & 1 ^ 1);
          barrier_expect (full + stage, n_boxes * BOX_BYTES);
          for (int b = 0; b < n_boxes; b++)
            copy_box (boxes + (stage * (CU_HOPPER_TILE / BOX_ROWS) + b) * BOX_BYTES, &x, p * 64, tile.row + b * BOX_ROWS, full + stage);
        }
      return;
    }
  asm volatile ("setmaxnreg.inc.sync.aligned.u32 240;");
  // of each matrix of a gated pair the same 128 rows; of a single one the second 64 of each warpgroup's 128
  const int group = warp / 4, first = GATED ? blockIdx.x * 128 + group * 64 : blockIdx.x * 256 + group * 128;
  const int row0 = first + warp % 4 * 16, row1 = GATED ? row0 : row0 + 64;
  uint8_t *mine = rings + warp * 2 * S::warp_bytes (16);
  Ring<TYPE, 16> ring[2] = { { e.w[0], mine, tile.matrix, row0 }, { e.w[GATED], mine + S::warp_bytes (16), tile.matrix, row1 } };
  auto finish = [&] (auto columns) {
    constexpr int N = decltype (columns)::value;
    float sums[2][N / 2];
    multiply<TYPE, N> (ring, boxes, full, empty, sums);
    __syncwarp (); // the ring is free
#pragma unroll
    for (int i = 0; i < N / 32; i++)
      if (i * 32 < tile.n_rows)
        {
          stage_sums (sums[0], sums[1], i, (float *) mine);
          write_sums<GATED> (e, tile, row0, row1, i * 32, (const float *) mine);
        }
  };
  if (n_boxes <= 1)
    finish (std::integral_constant<int, 32>{});
  else if (n_boxes == 2)
    finish (std::integral_constant<int, 64>{});
  else
    finish (std::integral_constant<int, 128>{});
#endif
}

// The kernels are compiled a few formats a file (kernel-experts-hopper-N.cu).
template <int TYPE>
cudaError_t
cu_experts_of (CuStream s, const CUtensorMap *x, const CuExperts *e, bool is_gated, const CuSorted *o, int pdl)
{
  constexpr size_t bytes = (size_t) EXPERTS_STAGES * (CU_HOPPER_TILE / BOX_ROWS) * BOX_BYTES + EXPERTS_WARPS * 2 * Stage<TYPE>::warp_bytes (16) + 1024;
  const int rows = is_gated ? EXPERTS_ROWS / 2 : EXPERTS_ROWS;
  for (int at = 0; at < o->n_tiles; at += 65535)
    {
      const int part = o->n_tiles - at < 65535 ? o->n_tiles - at : 65535;
      const dim3 grid ((e->w[0].n_rows + rows - 1) / rows, part);
      const cudaError_t error = is_gated ? launch_kernel (experts_kernel<TYPE, true>, grid, EXPERTS_THREADS, bytes, s, pdl, *x, *e, o->tiles + at)
                                         : launch_kernel (experts_kernel<TYPE, false>, grid, EXPERTS_THREADS, bytes, s, pdl, *x, *e, o->tiles + at);
      if (error != cudaSuccess)
        return error;
    }
  return cudaSuccess;
}
#define EXPERTS_OF(TYPE) template cudaError_t cu_experts_of<TYPE> (CuStream, const CUtensorMap *, const CuExperts *, bool, const CuSorted *, int);
