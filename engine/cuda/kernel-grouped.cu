// SPDX-License-Identifier: Apache-2.0
// Products of a mixture's experts in one launch: rows sorted by expert times each expert's matrix, bf16 in, float32
// out. One product an expert would leave most of the card idle: an expert has tens of rows, a few tiles of work.
// A block makes a tile of BM rows by 128 columns on the tensor cores, K in steps of 64 through a ring in shared memory.
#include "kernel-launch.cuh"
#include "kernel-mma.cuh"

#define BN 128
#define BK 64 // 128 bytes of a row: eight chunks of 16 bytes, swizzled by the row
#define STAGES 3
#define GROUPED_THREADS 256

#if __CUDA_ARCH__ >= 800
CU_DEV void
mma_bf16 (float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1)
{
  asm volatile ("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
                "{%8,%9}, {%0,%1,%2,%3};"
                : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
#endif

// Chunk @c of row @r of a part of a stage.
CU_DEV uint8_t *
chunk_of (uint8_t *part, int r, int c)
{
  return part + r * (BK * 2) + ((c ^ (r & 7)) << 4);
}

template <int BM>
__global__ void __launch_bounds__ (GROUPED_THREADS)
grouped_kernel (const __nv_bfloat16 *x, const __nv_bfloat16 *w, float *y, const CuTile *tiles, int first, int n_matrices, int n, int k)
{
#if __CUDA_ARCH__ >= 800
  extern __shared__ __align__ (128) uint8_t shared[];
  constexpr int stage_bytes = (BM + BN) * BK * 2, MI = BM / 32;
  const CuTile tile = tiles[blockIdx.y];
  if (tile.n_rows == 0 || (unsigned) (tile.matrix - first) >= (unsigned) n_matrices)
    return;
  const int t = threadIdx.x, lane = t % 32, warp = t / 32, col0 = blockIdx.x * BN;
  // a warp's fragments of 16 rows are every other one, so that both halves of the warps have part of the rows of a short tile
  const int warp_m = warp / 4 * 16, warp_n = warp % 4 * 32;
  const __nv_bfloat16 *rows = x + (size_t) tile.row * k;
  const __nv_bfloat16 *matrix = w + (size_t) (tile.matrix - first) * n * k;

  auto fetch = [&] (int stage, int at) {
    uint8_t *a = shared + stage * stage_bytes, *b = a + BM * BK * 2;
    if (at < k)
      {
        // rows past the end are what was there before, columns repeat the last one, and neither is stored
#pragma unroll
        for (int i = 0; i < BM * 8 / GROUPED_THREADS; i++)
          {
            const int c = i * GROUPED_THREADS + t, r = c >> 3;
            if (r < tile.n_rows)
              copy_async (chunk_of (a, r, c & 7), rows + (size_t) r * k + at + (c & 7) * 8);
          }
#pragma unroll
        for (int i = 0; i < BN * 8 / GROUPED_THREADS; i++)
          {
            const int c = i * GROUPED_THREADS + t, r = c >> 3, from = col0 + r < n ? col0 + r : n - 1;
            copy_async (chunk_of (b, r, c & 7), matrix + (size_t) from * k + at + (c & 7) * 8);
          }
      }
    asm volatile ("cp.async.commit_group;" ::: "memory");
  };

  float acc[MI][4][4] = {};
  auto multiply = [&] (uint8_t *a, uint8_t *b, auto has_rows) {
#pragma unroll
    for (int kk = 0; kk < BK / 16; kk++)
      {
        uint32_t fa[MI][4], fb[2][4];
#pragma unroll
        for (int i = 0; i < MI; i++)
          if (has_rows (i))
            ldmatrix4 (fa[i], chunk_of (a, i * 32 + warp_m + lane % 16, 2 * kk + lane / 16));
#pragma unroll
        for (int j = 0; j < 2; j++)
          ldmatrix4 (fb[j], chunk_of (b, warp_n + j * 16 + lane % 8 + lane / 16 * 8, 2 * kk + lane / 8 % 2));
#pragma unroll
        for (int i = 0; i < MI; i++)
          if (has_rows (i))
#pragma unroll
            for (int j = 0; j < 4; j++)
              mma_bf16 (acc[i][j], fa[i], fb[j / 2][j % 2 * 2], fb[j / 2][j % 2 * 2 + 1]);
      }
  };
  const bool whole = tile.n_rows > BM - 32;
#pragma unroll
  for (int i = 0; i < STAGES - 1; i++)
    fetch (i, i * BK);
  int stage = 0;
  for (int at = 0; at < k; at += BK)
    {
      asm volatile ("cp.async.wait_group %0;" ::"n"(STAGES - 2) : "memory");
      __syncthreads (); // this stage is there for all, and the one before it is read by all
      fetch (stage == 0 ? STAGES - 1 : stage - 1, at + (STAGES - 1) * BK);
      uint8_t *a = shared + stage * stage_bytes, *b = a + BM * BK * 2;
      if (whole)
        multiply (a, b, [] (int) { return true; });
      else
        multiply (a, b, [&] (int i) { return i * 32 + warp_m < tile.n_rows; });
      stage = stage + 1 == STAGES ? 0 : stage + 1;
    }
#pragma unroll
  for (int i = 0; i < MI; i++)
#pragma unroll
    for (int half = 0; half < 2; half++)
      {
        const int r = i * 32 + warp_m + half * 8 + lane / 4;
        if (r >= tile.n_rows)
          continue;
        float *to = y + (size_t) (tile.row + r) * n;
#pragma unroll
        for (int j = 0; j < 4; j++)
          {
            const int c = col0 + warp_n + j * 8 + lane % 4 * 2;
            if (c < n)
              *(float2 *) (to + c) = make_float2 (acc[i][j][2 * half], acc[i][j][2 * half + 1]);
          }
      }
#endif
}

bool
cu_grouped_fits (int code_arch, int n, int k)
{
  return code_arch >= 80 && n % 2 == 0 && k % BK == 0;
}

template <int BM>
static cudaError_t
launch_grouped (CuStream s, const CuSorted *o, const __nv_bfloat16 *x, const __nv_bfloat16 *w, int first, int n_matrices,
                float *y, int n, int k)
{
  for (int at = 0; at < o->n_tiles; at += 65535)
    {
      const int part = o->n_tiles - at < 65535 ? o->n_tiles - at : 65535;
      const cudaError_t e
          = launch_kernel (grouped_kernel<BM>, dim3 ((n + BN - 1) / BN, part), GROUPED_THREADS,
                           (size_t) STAGES * (BM + BN) * BK * 2, s, 0, x, w, y, o->tiles + at, first, n_matrices, n, k);
      if (e != cudaSuccess)
        return e;
    }
  return cudaSuccess;
}

cudaError_t
cu_grouped_product (CuStream s, const CuSorted *o, const __nv_bfloat16 *x, const __nv_bfloat16 *w, int first,
                    int n_matrices, float *y, int n, int k)
{
  return o->tile_rows == 64 ? launch_grouped<64> (s, o, x, w, first, n_matrices, y, n, k)
                            : launch_grouped<128> (s, o, x, w, first, n_matrices, y, n, k);
}
