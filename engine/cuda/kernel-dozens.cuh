// SPDX-License-Identifier: Apache-2.0
// Products of a few dozen rows: too many for the matrix-vector kernels, too few to pay for weights expanded to bf16 (which moves
// seven times the bytes of 4-bit weights). Planes go straight to the tensor cores as bytes, activations as 8-bit integers in
// blocks of 32, as in decode; every weight is read once for up to 32 rows.
//
// mma.m16n8k32 (s8): 16 rows of weights times 8 rows of activations. Lane (g = lane / 4, t = lane % 4) has of weight rows g and
// g + 8 the words t and t + 4 of a sub-block, of activation row g the same, and gets the sums of rows g, g + 8 with activation
// rows 2 t and 2 t + 1 (NVIDIA, "PTX ISA", matrix fragments for mma.m16n8k32). The warps of a block share the columns of the same
// rows, each with a ring of its own in shared memory: no barrier until their sums meet. Straight from global memory the words of eight
// rows would be eight cache lines an instruction (measured on an H100: L1's tags were what was busy).
#pragma once

#include "kernel-ring.cuh"

#define DOZENS_WARPS 8
#define DOZENS_THREADS (DOZENS_WARPS * 32)

// What a format's codes lack to be its weights divided by d: then m = -offset * d, and whole numbers carry it.
__host__ __device__ constexpr int
code_offset (int type)
{
  return type == ENG_TYPE_Q4_0 ? 8 : type == ENG_TYPE_Q5_0 ? 16 : type == ENG_TYPE_Q6_K ? 32 : type == ENG_TYPE_Q3_K ? 4 : 0;
}
__host__ __device__ constexpr bool
has_minimum (int type)
{
  return type == ENG_TYPE_Q4_1 || type == ENG_TYPE_Q5_1 || type == ENG_TYPE_Q4_K || type == ENG_TYPE_Q5_K || type == ENG_TYPE_Q2_K;
}

#if __CUDA_ARCH__ >= 800
CU_DEV void
mma_s8_32 (int d[4], const uint32_t a[4], uint32_t b0, uint32_t b1, const int c[2])
{
  asm volatile ("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%10,%11,%10,%11};"
                : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
                : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1), "r"(c[0]), "r"(c[1]));
}
CU_DEV void
mma_s8_16 (int d[4], uint32_t a0, uint32_t a1, uint32_t b, const int c[2])
{
  asm volatile ("mma.sync.aligned.m16n8k16.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%7,%8,%7,%8};"
                : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
                : "r"(a0), "r"(a1), "r"(b), "r"(c[0]), "r"(c[1]));
}
#endif

// y [n_x, ldy] = beta y + x * w^T, MT * 16 rows of weights and NT * 8 of activations a block. @tiles: rows of one expert each, NT tiles of
// @x apiece; NULL: one matrix, all rows.
template <int TYPE, int MT, int NT>
__global__ void __launch_bounds__ (DOZENS_THREADS)
dozens_kernel (const __grid_constant__ CuWeight w, const __grid_constant__ CuDozens x, int n_x, float *y, int ldy, float beta,
               const CuTile *tiles)
{
#if __CUDA_ARCH__ >= 800
  using S = Stage<TYPE>;
  constexpr bool halves = has_half_scales (TYPE), minimum = has_minimum (TYPE);
  constexpr int ROWS = MT * 16;
  extern __shared__ __align__ (128) uint8_t shared[]; // a warp's ring and scales; at the end [warps][MT][NT][4][32] sums
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, t = lane % 4;
  const int n_pairs = w.n_cols / 64, row0 = blockIdx.x * ROWS, tile0 = blockIdx.y * NT;
  const int n_stages = (n_pairs + RING_PAIRS - 1) / RING_PAIRS;
  float acc[MT][NT][4] = {};
  if (tiles) // which weights, this run has found out; otherwise they can be asked for before the wait
    wait_for_input ();
  const CuTile tile = tiles ? tiles[blockIdx.y] : CuTile{ tile0 * 8, n_x - tile0 * 8, 0, 0 };
  if (tile.n_rows == 0)
    return;
  Ring<TYPE, ROWS> ring (w, shared + warp * S::warp_bytes (ROWS), tile.matrix, row0);
#pragma unroll
  for (int i = 0; i < RING_STAGES - 1; i++)
    ring.fetch (i, warp + i * DOZENS_WARPS);
  ring.ask_scales (warp);
  if (!tiles)
    wait_for_input ();
  int slot = 0;
#pragma unroll 1
  for (int at = warp; at < n_stages; at += DOZENS_WARPS)
    {
      __syncwarp (); // the stage before this one and its scales are read by all lanes
      ring.place_scales ();
      ring.ask_scales (at + DOZENS_WARPS);
      ring.fetch (slot == 0 ? RING_STAGES - 1 : slot - 1, at + (RING_STAGES - 1) * DOZENS_WARPS);
      // activations, with few of them a sub-block ahead: the L2 is far
      constexpr bool early = NT <= 2;
      uint2 b_next[early ? NT : 1];
      float4 ds_next[early ? NT : 1];
      const uint32_t *xq = x.q + ((size_t) (2 * at * RING_PAIRS) * x.n_tiles + tile0) * 64 + lane * 2;
      const float2 *xd = x.ds + ((size_t) (2 * at * RING_PAIRS) * x.n_tiles + tile0) * 8 + 2 * t;
      const int *xh = x.halves + ((size_t) (2 * at * RING_PAIRS) * x.n_tiles + tile0) * 8 + 2 * t;
      auto load_x = [&] () {
#pragma unroll
        for (int n = 0; n < NT && early; n++)
          {
            b_next[early ? n : 0] = *(const uint2 *) (xq + n * 64);
            ds_next[early ? n : 0] = *(const float4 *) (xd + n * 8);
          }
      };
      load_x ();
      asm volatile ("cp.async.wait_group %0;" ::"n"(RING_STAGES - 1) : "memory");
      __syncwarp (); // this stage is there for all
      const uint8_t *base = ring.stage (slot);
      slot = slot + 1 == RING_STAGES ? 0 : slot + 1;
      const int n_here = n_pairs - at * RING_PAIRS < RING_PAIRS ? n_pairs - at * RING_PAIRS : RING_PAIRS;
#pragma unroll 1
      for (int j = 0; j < n_here; j++)
        {
          Lane<TYPE> now[MT][2];
#pragma unroll
          for (int m = 0; m < MT; m++)
#pragma unroll
            for (int k = 0; k < 2; k++)
              now[m][k].load (base, base + ROWS * S::q_row, m * 16 + k * 8 + g, j, t);
#pragma unroll
          for (int i = 0; i < 2; i++)
            {
              const uint32_t *q_now = xq;
              const float2 *d_now = xd;
              const int *h_now = xh;
              uint2 b_now[early ? NT : 1];
              float4 ds_now[early ? NT : 1];
#pragma unroll
              for (int n = 0; n < NT && early; n++)
                b_now[early ? n : 0] = b_next[early ? n : 0], ds_now[early ? n : 0] = ds_next[early ? n : 0];
              xq += x.n_tiles * 64, xd += x.n_tiles * 8, xh += x.n_tiles * 8;
              if (early && 2 * j + i + 1 < 2 * n_here)
                load_x ();
              uint32_t a[MT][4];
              float2 dm[MT][2][halves ? 2 : 1];
#pragma unroll
              for (int m = 0; m < MT; m++)
#pragma unroll
                for (int k = 0; k < 2; k++)
                  {
                    a[m][k] = now[m][k].word (i, 0, t);
                    a[m][2 + k] = now[m][k].word (i, 1, t);
#pragma unroll
                    for (int n = 0; n < (halves ? 2 : 1); n++)
                      dm[m][k][n] = ring.scales[(j * S::scales + (halves ? 2 * i + n : i)) * ROWS + m * 16 + k * 8 + g];
                  }
#pragma unroll
              for (int n = 0; n < NT; n++)
                {
                  const uint2 b = early ? b_now[early ? n : 0] : *(const uint2 *) (q_now + n * 64);
                  const float4 ds = early ? ds_now[early ? n : 0] : *(const float4 *) (d_now + n * 8); // d and sum of rows 2 t, 2 t + 1
                  int start[2][2] = {}; // [half][row]
                  float s[2][2] = {};   // Q2_K: [half][row]
                  if (code_offset (TYPE) || (minimum && halves))
                    {
                      const int2 packed = *(const int2 *) (h_now + n * 8);
                      const int lo[2] = { (short) (packed.x & 0xffff), (short) (packed.y & 0xffff) };
                      const int hi[2] = { packed.x >> 16, packed.y >> 16 };
#pragma unroll
                      for (int r = 0; r < 2; r++)
                        if (minimum)
                          s[0][r] = (float) lo[r], s[1][r] = (float) hi[r];
                        else if (halves)
                          start[0][r] = -code_offset (TYPE) * lo[r], start[1][r] = -code_offset (TYPE) * hi[r];
                        else
                          start[0][r] = -code_offset (TYPE) * (lo[r] + hi[r]);
                    }
#pragma unroll
                  for (int m = 0; m < MT; m++)
                    {
                      int c[4], e[4] = {};
                      if (halves)
                        {
                          mma_s8_16 (c, a[m][0], a[m][1], b.x, start[0]);
                          mma_s8_16 (e, a[m][2], a[m][3], b.y, start[1]);
                        }
                      else
                        mma_s8_32 (c, a[m], b.x, b.y, start[0]);
#pragma unroll
                      for (int k = 0; k < 4; k++)
                        {
                          const float2 *o = dm[m][k / 2];
                          const float d = k & 1 ? ds.z : ds.x, sum = k & 1 ? ds.w : ds.y;
                          float v = 0.f;
                          if (minimum)
                            v = halves ? o[0].y * s[0][k & 1] + o[halves ? 1 : 0].y * s[1][k & 1] : o[0].y * sum;
                          v += (float) c[k] * o[0].x;
                          if (halves)
                            v += (float) e[k] * o[halves ? 1 : 0].x;
                          acc[m][n][k] += v * d;
                        }
                    }
                }
            }
        }
    }
  asm volatile ("cp.async.wait_group 0;" ::: "memory");
  __syncthreads ();
  float *sums = (float *) shared;
#pragma unroll
  for (int m = 0; m < MT; m++)
#pragma unroll
    for (int n = 0; n < NT; n++)
#pragma unroll
      for (int k = 0; k < 4; k++)
        sums[(((warp * MT + m) * NT + n) * 4 + k) * 32 + lane] = acc[m][n][k];
  __syncthreads ();
  // neighbouring threads take neighbouring rows of weights
  constexpr int all = MT * NT * 128;
  for (int o = threadIdx.x; o < all; o += DOZENS_THREADS)
    {
      const int r = o % ROWS, c = o / ROWS, row = row0 + r;
      if (row >= (int) w.n_rows || c >= tile.n_rows)
        continue;
      const int place = (((r / 16) * NT + c / 8) * 4 + r % 16 / 8 * 2 + c % 2) * 32 + r % 8 * 4 + c % 8 / 2;
      float v = 0.f;
#pragma unroll
      for (int l = 0; l < DOZENS_WARPS; l++)
        v += sums[l * all + place];
      float *to = y + (size_t) (tile.row + c) * ldy + row;
      *to = beta == 0.f ? v : v + beta * *to;
    }
#endif
}

template <int TYPE, int MT, int NT>
static cudaError_t
launch_dozens (CuStream s, const CuWeight *w, const CuDozens *x, int n_x, float *y, int ldy, float beta, const CuTile *tiles, int n_tiles,
               int pdl)
{
  constexpr size_t rings = (size_t) DOZENS_WARPS * Stage<TYPE>::warp_bytes (MT * 16);
  constexpr size_t sums = (size_t) DOZENS_WARPS * MT * NT * 512;
  const dim3 grid ((w->n_rows + MT * 16 - 1) / (MT * 16), tiles ? n_tiles : (n_x + NT * 8 - 1) / (NT * 8));
  return launch_kernel (dozens_kernel<TYPE, MT, NT>, grid, DOZENS_THREADS, rings > sums ? rings : sums, s, pdl, *w, *x, n_x, y, ldy, beta,
                        tiles);
}

// The kernels are compiled a few formats a file (kernel-dozens-N.cu): together they take a compiler minutes. @at_once: the most rows of a
// tile.
template <int TYPE>
cudaError_t
cu_dozens_of (CuStream s, const CuWeight *w, const CuDozens *x, int n_x, float *y, int ldy, float beta, const CuTile *tiles, int n_tiles,
              int at_once, int pdl)
{
  return at_once <= 8    ? launch_dozens<TYPE, 1, 1> (s, w, x, n_x, y, ldy, beta, tiles, n_tiles, pdl)
         : at_once <= 16 ? launch_dozens<TYPE, 2, 2> (s, w, x, n_x, y, ldy, beta, tiles, n_tiles, pdl)
                         : launch_dozens<TYPE, 2, 4> (s, w, x, n_x, y, ldy, beta, tiles, n_tiles, pdl);
}
#define DOZENS_OF(TYPE)                                                                                                                    \
  template cudaError_t cu_dozens_of<TYPE> (CuStream, const CuWeight *, const CuDozens *, int, float *, int, float, const CuTile *, int, int, int);
