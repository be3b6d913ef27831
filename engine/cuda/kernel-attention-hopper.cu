// SPDX-License-Identifier: Apache-2.0
// Attention of prompts on Hopper: a block takes 128 query rows of one head. One thread asks the tensor copy
// engine for tiles of 128 keys and 128 values (two KV blocks each); two warpgroups of 64 rows each multiply. While the
// tensor cores do one tile's scores and the values of the tile before, the softmax of the other warpgroup's tile runs:
// the two take turns at starting products. (The scheme is FlashAttention-3's, arXiv 2407.08608.)
#include "kernel-launch.cuh"
#include "kernel-wgmma.cuh"

#define ROWS 64 // of a warpgroup
#define GROUPS 2
#define KEYS 128
#define STAGES 2
#define LEAST_ROWS 64 // of a sequence; measured on an H100 behind 4,096 positions: 58 us, mma.sync 114 us; behind none: 11, 10
#define THREADS ((GROUPS + 1) * 128)
#define LOG2_E 1.4426950408889634f

// Dynamic shared memory: queries [GROUPS], then keys and values [STAGES], each as boxes of 64 columns, and what it
// takes to start at a multiple of 1,024.
static constexpr int
tile_bytes (int d)
{
  return KEYS * d * 2;
}
static constexpr int
shared_bytes (int d)
{
  return GROUPS * ROWS * d * 2 + 2 * STAGES * tile_bytes (d) + 1024;
}

template <int D>
__global__ void __launch_bounds__ (THREADS, 1)
hopper_kernel (const __grid_constant__ CUtensorMap k_map, const __grid_constant__ CUtensorMap v_map, CuAttention a,
               CuMeta m, int group, const float *q, float *y, __nv_bfloat16 *y16)
{
#if HOPPER_CODE
  constexpr int TILE = KEYS * D * 2, BOX = KEYS * 128, Q_BOX = ROWS * 128;
  __shared__ uint64_t full[2][STAGES], empty[2][STAGES]; // [keys, values]
  extern __shared__ uint8_t memory[];
  const int seq = blockIdx.z, head = blockIdx.y, kv = head / (a.n_head / a.n_head_kv);
  const int row_first = m.first_row[seq], row_end = m.first_row[seq + 1];
  // late rows see most positions: start them first
  const int r0 = row_first + ((int) gridDim.x - 1 - (int) blockIdx.x) * GROUPS * ROWS;
  if (r0 >= row_end)
    return;
  uint8_t *qs = memory + (-shared_address (memory) & 1023);
  uint8_t *ks = qs + GROUPS * ROWS * D * 2, *vs = ks + STAGES * TILE;
  const int n_here = row_end - r0 < GROUPS * ROWS ? row_end - r0 : GROUPS * ROWS;
  const int p_first = m.position[r0], p_last = m.position[r0 + n_here - 1];
  const int end = a.causal ? p_last + 1 : m.length[seq];
  const int start = a.window > 0 && p_first + 1 > a.window ? p_first + 1 - a.window : 0;
  const int t_first = start / ENG_KV_BLOCK, t_end = (end + ENG_KV_BLOCK - 1) / ENG_KV_BLOCK;
  const int n_tiles = (t_end - t_first + KEYS / ENG_KV_BLOCK - 1) / (KEYS / ENG_KV_BLOCK);
  const int32_t *table = m.table[group] + (size_t) seq * m.table_stride[group];
  if (threadIdx.x == 0)
    {
      for (int i = 0; i < STAGES; i++)
        for (int k = 0; k < 2; k++)
          {
            barrier_init (&full[k][i], 1);
            barrier_init (&empty[k][i], GROUPS * 4);
          }
      asm volatile ("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
  __syncthreads ();

  if (threadIdx.x < 128)
    {
      asm volatile ("setmaxnreg.dec.sync.aligned.u32 24;");
      if (threadIdx.x > 0)
        return;
      auto fetch = [&] (int which, int i) {
        const int stage = i % STAGES;
        uint8_t *to = (which ? vs : ks) + stage * TILE;
        barrier_wait (&empty[which][stage], i / STAGES % 2 ^ 1);
        barrier_expect (&full[which][stage], TILE);
        for (int half = 0; half < KEYS / ENG_KV_BLOCK; half++)
          {
            const int t = t_first + i * (KEYS / ENG_KV_BLOCK) + half;
            // a last tile without a second block repeats the first: finite, and no row looks at it
            const int row = (table[t < t_end ? t : t_end - 1] * a.n_head_kv + kv) * ENG_KV_BLOCK;
            for (int c = 0; c < D / 64; c++)
              copy_box (to + c * BOX + half * ENG_KV_BLOCK * 128, which ? &v_map : &k_map, c * 64, row,
                        &full[which][stage]);
          }
      };
      fetch (0, 0);
      for (int i = 0; i < n_tiles; i++)
        {
          if (i + 1 < n_tiles)
            fetch (0, i + 1);
          fetch (1, i);
        }
      return;
    }

  asm volatile ("setmaxnreg.inc.sync.aligned.u32 240;");
  const int w = threadIdx.x / 128 - 1, thread = threadIdx.x % 128, lane = thread % 32;
  const int g = lane / 4, c2 = lane % 4 * 2;
  // queries as halves, scale and log2 (e) folded in
  const float fold = a.scale * LOG2_E;
  qs += w * ROWS * D * 2;
  for (int i = thread; i < ROWS * D / 8; i += 128)
    {
      const int r = i / (D / 8), c = i % (D / 8), mine = w * ROWS + r;
      const float4 *from
          = (const float4 *) (q + ((size_t) (r0 + (mine < n_here ? mine : n_here - 1)) * a.n_head + head) * D + c * 8);
      const float4 u = from[0], v = from[1];
      *(uint4 *) (qs + c / 8 * Q_BOX + r * 128 + (c % 8 ^ r % 8) * 16)
          = make_uint4 (two_halves (u.x * fold, u.y * fold), two_halves (u.z * fold, u.w * fold),
                        two_halves (v.x * fold, v.y * fold), two_halves (v.z * fold, v.w * fold));
    }
  int at[2], position[2]; // the thread's rows: within the block, and where they stand
#pragma unroll
  for (int i = 0; i < 2; i++)
    {
      at[i] = w * ROWS + thread / 32 * 16 + i * 8 + g;
      position[i] = m.position[r0 + (at[i] < n_here ? at[i] : n_here - 1)];
    }
  publish_stores ();
  named_sync (1 + GROUPS + w, 128);

  float o[D / 2] = {}, s[KEYS / 2], top[2] = { -INFINITY, -INFINITY }, sum[2] = { 0.f, 0.f }, keep[2];
  uint32_t p[KEYS / 16][4];
  auto scores = [&] (int i) {
    const uint8_t *k = ks + i % STAGES * TILE;
    products_begin ();
#pragma unroll
    for (int kk = 0; kk < D / 16; kk++)
      product_rows (s, matrix (qs + kk / 4 * Q_BOX + kk % 4 * 32, 0), matrix (k + kk / 4 * BOX + kk % 4 * 32, 0), kk > 0);
    products_commit ();
  };
  auto values = [&] (int i) {
    const uint8_t *v = vs + i % STAGES * TILE;
    products_begin ();
#pragma unroll
    for (int kk = 0; kk < KEYS / 16; kk++)
      product_weights (o, p[kk], matrix (v + kk * 16 * 128, BOX));
    products_commit ();
  };
  auto release = [&] (int which, int i) {
    if (lane == 0)
      barrier_arrive (&empty[which][i % STAGES]);
  };
  // scores to weights: maximum and sum of the rows so far, and what earlier sums and values are to be multiplied by
  auto softmax = [&] (int i) {
    const int p0 = (t_first + i * (KEYS / ENG_KV_BLOCK)) * ENG_KV_BLOCK;
    if (p0 + KEYS > p_first + 1 || p0 + KEYS > end || (a.window > 0 && p0 <= p_last - a.window))
#pragma unroll
      for (int n = 0; n < KEYS / 2; n++)
        {
          const int at = p0 + n / 4 * 8 + c2 + n % 2, mine = position[n / 2 % 2];
          if (at >= (a.causal ? mine + 1 : end) || (a.window > 0 && at <= mine - a.window))
            s[n] = -INFINITY;
        }
#pragma unroll
    for (int r = 0; r < 2; r++)
      {
        float most = top[r];
#pragma unroll
        for (int n = 0; n < KEYS / 2; n += 4)
          most = fmaxf (most, fmaxf (s[n + 2 * r], s[n + 2 * r + 1]));
        most = fmaxf (most, __shfl_xor_sync (~0u, most, 1));
        most = fmaxf (most, __shfl_xor_sync (~0u, most, 2));
        const float base = most == -INFINITY ? 0.f : most;
        keep[r] = exp2_fast (top[r] - base);
        top[r] = most;
        float part = 0.f;
#pragma unroll
        for (int n = 0; n < KEYS / 2; n += 4)
#pragma unroll
          for (int c = 0; c < 2; c++)
            part += s[n + 2 * r + c] = exp2_fast (s[n + 2 * r + c] - base);
        sum[r] = sum[r] * keep[r] + part;
      }
  };
  auto pack = [&] () {
#pragma unroll
    for (int kk = 0; kk < KEYS / 16; kk++)
#pragma unroll
      for (int i = 0; i < 4; i++)
        p[kk][i] = two_halves (s[8 * kk + 2 * i], s[8 * kk + 2 * i + 1]);
  };

  if (w == 1 && n_tiles > 1)
    named_arrive (1, GROUPS * 128); // the first turn is the other's
  barrier_wait (&full[0][0], 0);
  scores (0);
  products_wait<0> (s);
  release (0, 0);
  softmax (0);
  pack ();
  for (int i = 1; i < n_tiles; i++)
    {
      barrier_wait (&full[0][i % STAGES], i / STAGES % 2);
      named_sync (1 + w, GROUPS * 128);
      scores (i);
      barrier_wait (&full[1][(i - 1) % STAGES], (i - 1) / STAGES % 2);
      values (i - 1);
      if (w == 0 || i + 1 < n_tiles)
        named_arrive (1 + (w ^ 1), GROUPS * 128);
      products_wait<1> (s);
      release (0, i);
      softmax (i);
      products_wait<0> (o);
      release (1, i - 1);
#pragma unroll
      for (int n = 0; n < D / 2; n++)
        o[n] *= keep[n / 2 % 2];
      pack ();
    }
  barrier_wait (&full[1][(n_tiles - 1) % STAGES], (n_tiles - 1) / STAGES % 2);
  values (n_tiles - 1);
  products_wait<0> (o);
#pragma unroll
  for (int i = 0; i < 2; i++)
    {
      float all = sum[i];
      all += __shfl_xor_sync (~0u, all, 1);
      all += __shfl_xor_sync (~0u, all, 2);
      if (a.sinks)
        all += exp2f (a.sinks[head] * LOG2_E - top[i]);
      const float share = 1.f / all;
      if (at[i] >= n_here)
        continue;
#pragma unroll
      for (int n = 0; n < D / 8; n++)
        {
          const size_t to = ((size_t) (r0 + at[i]) * a.n_head + head) * D + n * 8 + c2;
          const float u = o[n * 4 + 2 * i] * share, v = o[n * 4 + 2 * i + 1] * share;
          if (y)
            *(float2 *) (y + to) = make_float2 (u, v);
          if (y16)
            *(__nv_bfloat162 *) (y16 + to) = __floats2bfloat162_rn (u, v);
        }
    }
#endif
}

bool
cu_map_rows (const void *matrix, uint64_t n_rows, uint64_t n_cols, int rows, int n_boxes, CUtensorMap *map)
{
  typedef CUresult (*Encode) (CUtensorMap *, CUtensorMapDataType, cuuint32_t, void *, const cuuint64_t *,
                              const cuuint64_t *, const cuuint32_t *, const cuuint32_t *, CUtensorMapInterleave,
                              CUtensorMapSwizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill);
  void *encode = NULL;
  cudaDriverEntryPointQueryResult found;
#if CUDART_VERSION >= 12050
  const cudaError_t e = cudaGetDriverEntryPointByVersion ("cuTensorMapEncodeTiled", &encode, 12000, cudaEnableDefault, &found);
#else
  const cudaError_t e = cudaGetDriverEntryPoint ("cuTensorMapEncodeTiled", &encode, cudaEnableDefault, &found);
#endif
  if (e != cudaSuccess || found != cudaDriverEntryPointSuccess)
    return false;
  const cuuint64_t size[3] = { n_boxes ? 64 : n_cols, n_rows, n_cols / 64 }, pitch[2] = { n_cols * 2, 128 };
  const cuuint32_t box[3] = { 64, (cuuint32_t) rows, (cuuint32_t) n_boxes }, stride[3] = { 1, 1, 1 };
  return ((Encode) encode) (map, CU_TENSOR_MAP_DATA_TYPE_FLOAT16, n_boxes ? 3 : 2, (void *) matrix, size, pitch, box, stride,
                            CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                            CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE)
         == CUDA_SUCCESS;
}

bool
cu_map_cache (const __half *cache, const CuAttention *a, int rows, int n_boxes, CUtensorMap *map)
{
  return cu_map_rows (cache, (uint64_t) a->n_blocks * a->n_head_kv * ENG_KV_BLOCK, a->k_width, rows, n_boxes, map);
}

template <int D>
static cudaError_t
launch (CuStream s, const CUtensorMap *k, const CUtensorMap *v, const CuAttention *a, const CuMeta *m, int group,
        const float *q, float *y, __nv_bfloat16 *y16, int max_rows, int n_sequences)
{
  const dim3 grid ((max_rows + GROUPS * ROWS - 1) / (GROUPS * ROWS), a->n_head, n_sequences);
  return launch_kernel (hopper_kernel<D>, grid, THREADS, shared_bytes (D), s, 0, *k, *v, *a, *m, group, q, y, y16);
}

cudaError_t
cu_attention_hopper (CuStream s, const CuAttention *a, const CuMeta *m, int group, const float *q, float *y,
                     __nv_bfloat16 *y16, int max_rows, int n_sequences)
{
  if (max_rows < LEAST_ROWS || a->k_width != a->v_width || (a->k_width != 64 && a->k_width != 128) || a->soft_cap > 0.f)
    return cudaErrorNotSupported;
  cudaFuncAttributes code;
  const cudaError_t e = cudaFuncGetAttributes (&code, hopper_kernel<128>);
  if (e != cudaSuccess)
    return e;
  CUtensorMap k, v;
  // the barriers stand only in code for sm_90a
  if (code.sharedSizeBytes == 0 || !cu_map_cache (a->k, a, ENG_KV_BLOCK, 0, &k) || !cu_map_cache (a->v, a, ENG_KV_BLOCK, 0, &v))
    return cudaErrorNotSupported;
  return a->k_width == 64 ? launch<64> (s, &k, &v, a, m, group, q, y, y16, max_rows, n_sequences)
                          : launch<128> (s, &k, &v, a, m, group, q, y, y16, max_rows, n_sequences);
}
