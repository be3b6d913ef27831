// SPDX-License-Identifier: Apache-2.0
// Launching the products of kernel-dozens.cuh, and the 8-bit activations that they read.
#include "kernel-dozens.cuh"

#define QUANTIZE_THREADS 256

// Eight neighbouring threads make a block of 32 of one row; rows that fill up the last eight, or a tile of an expert, are zero.
__global__ void
dozens_quantize_kernel (const float *x, uint32_t stride, const int *row_map, int n_x, int n_cols, CuDozens out, const CuTile *tiles, int tile_rows)
{
  wait_for_input ();
  const int n_blocks = n_cols / 32;
  const int at = (blockIdx.x * QUANTIZE_THREADS + threadIdx.x) / 8, word = threadIdx.x % 8;
  const int row = at / n_blocks, block = at % n_blocks;
  bool in = row < out.n_tiles * 8;
  float v[4] = {};
  int from = row, last = n_x;
  if (tiles && in)
    {
      const CuTile tile = tiles[row / tile_rows];
      in = tile.n_rows > 0;
      from = tile.row + row % tile_rows, last = tile.row + tile.n_rows;
    }
  if (in && from < last)
    {
      const float4 u = *(const float4 *) (x + (size_t) (row_map ? row_map[from] : from) * stride + block * 32 + word * 4);
      v[0] = u.x, v[1] = u.y, v[2] = u.z, v[3] = u.w;
    }
  float m = fmaxf (fmaxf (fabsf (v[0]), fabsf (v[1])), fmaxf (fabsf (v[2]), fabsf (v[3])));
#pragma unroll
  for (int o = 4; o; o >>= 1)
    m = fmaxf (m, __shfl_xor_sync (~0u, m, o));
  const float inv = m > 0.f ? 127.f / m : 0.f;
  uint32_t packed = 0;
  int sum = 0;
#pragma unroll
  for (int k = 0; k < 4; k++)
    {
      const int q = __float2int_rn (v[k] * inv);
      packed |= (uint32_t) (q & 255) << (8 * k);
      sum += q;
    }
#pragma unroll
  for (int o = 2; o; o >>= 1)
    sum += __shfl_xor_sync (~0u, sum, o);
  const int other = __shfl_xor_sync (~0u, sum, 4);
  if (!in)
    return;
  const size_t tile = (size_t) block * out.n_tiles + row / 8;
  out.q[(tile * 32 + row % 8 * 4 + word % 4) * 2 + word / 4] = packed;
  if (word == 0)
    {
      out.ds[tile * 8 + row % 8] = make_float2 (m / 127.f, (float) (sum + other));
      out.halves[tile * 8 + row % 8] = (sum & 0xffff) | other << 16;
    }
}

// As many as the kernels for so many rows read.
static uint64_t
whole_tiles (uint64_t n_rows)
{
  return n_rows <= 8 ? 1 : n_rows <= 16 ? 2 : (n_rows + 31) / 32 * 4;
}

static CuDozens
place (void *scratch, int n_tiles, uint32_t n_cols)
{
  CuDozens d;
  d.n_tiles = n_tiles;
  const size_t blocks = (size_t) d.n_tiles * 8 * (n_cols / 32);
  d.q = (uint32_t *) scratch;
  d.ds = (float2 *) (d.q + blocks * 8);
  d.halves = (int *) (d.ds + blocks);
  return d;
}

CuDozens
cu_dozens_place (void *scratch, int n_rows, uint32_t n_cols)
{
  return place (scratch, (int) whole_tiles (n_rows), n_cols);
}

CuDozens
cu_dozens_place_tiles (void *scratch, int n_tiles, int tile_rows, uint32_t n_cols)
{
  return place (scratch, n_tiles * (tile_rows / 8), n_cols);
}

uint64_t
cu_dozens_bytes (uint64_t n_rows, uint64_t n_cols)
{
  return whole_tiles (n_rows) * 8 * ((n_cols + 31) / 32) * (32 + 8 + 4);
}

static cudaError_t
quantize (CuStream s, const float *x, uint32_t stride, const int *row_map, int n_rows, int n_cols, const CuDozens *out, const CuTile *tiles,
          int tile_rows, int pdl)
{
  const int64_t threads = (int64_t) out->n_tiles * 8 * (n_cols / 32) * 8;
  return launch_kernel (dozens_quantize_kernel, dim3 ((uint32_t) ((threads + QUANTIZE_THREADS - 1) / QUANTIZE_THREADS)), QUANTIZE_THREADS, 0,
                        s, pdl, x, stride, row_map, n_rows, n_cols, *out, tiles, tile_rows);
}

cudaError_t
cu_dozens_quantize (CuStream s, const float *x, uint32_t stride, const int *row_map, int n_rows, int n_cols, const CuDozens *out, int pdl)
{
  return quantize (s, x, stride, row_map, n_rows, n_cols, out, NULL, 0, pdl);
}

cudaError_t
cu_dozens_quantize_tiles (CuStream s, const float *x, uint32_t stride, const int *row_map, const CuTile *tiles, int tile_rows, int n_cols,
                          const CuDozens *out, int pdl)
{
  return quantize (s, x, stride, row_map, 0, n_cols, out, tiles, tile_rows, pdl);
}

#undef DOZENS_OF
#define DOZENS_OF(TYPE)                                                                                                                    \
  extern template cudaError_t cu_dozens_of<TYPE> (CuStream, const CuWeight *, const CuDozens *, int, float *, int, float, const CuTile *,   \
                                                  int, int, int);
DOZENS_OF (ENG_TYPE_Q4_0)
DOZENS_OF (ENG_TYPE_Q4_1)
DOZENS_OF (ENG_TYPE_Q5_0)
DOZENS_OF (ENG_TYPE_Q5_1)
DOZENS_OF (ENG_TYPE_Q8_0)
DOZENS_OF (ENG_TYPE_Q2_K)
DOZENS_OF (ENG_TYPE_Q3_K)
DOZENS_OF (ENG_TYPE_Q4_K)
DOZENS_OF (ENG_TYPE_Q5_K)
DOZENS_OF (ENG_TYPE_Q6_K)
DOZENS_OF (ENG_TYPE_IQ4_NL)
DOZENS_OF (ENG_TYPE_IQ4_XS)
DOZENS_OF (ENG_TYPE_MXFP4)

bool
cu_dozens_fit (int code_arch, const CuWeight *w)
{
  return code_arch >= 80 && w->q_bytes != 0 && w->n_cols % 64 == 0;
}

cudaError_t
cu_dozens_product (CuStream s, const CuWeight *w, const CuDozens *x, int n_rows, float *y, int ldy, float beta, int pdl)
{
  CU_SWITCH_TYPE (w->type, return cu_dozens_of<TYPE> (s, w, x, n_rows, y, ldy, beta, NULL, 0, n_rows, pdl))
  return cudaErrorNotSupported;
}

cudaError_t
cu_dozens_experts (CuStream s, const CuWeight *w, const CuDozens *x, const CuTile *tiles, int n_tiles, int tile_rows, float *y,
                   int pdl)
{
  for (int at = 0; at < n_tiles; at += 65535)
    {
      const int part = n_tiles - at < 65535 ? n_tiles - at : 65535;
      CuDozens from = *x;
      const size_t first = (size_t) at * (tile_rows / 8);
      from.q += first * 64, from.ds += first * 8, from.halves += first * 8;
      cudaError_t e = cudaErrorNotSupported;
      CU_SWITCH_TYPE (w->type, e = cu_dozens_of<TYPE> (s, w, &from, 0, y, (int) w->n_rows, 0.f, tiles + at, part, tile_rows, pdl))
      if (e != cudaSuccess)
        return e;
    }
  return cudaSuccess;
}
