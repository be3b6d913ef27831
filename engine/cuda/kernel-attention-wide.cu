// SPDX-License-Identifier: Apache-2.0
// Attention of heads too wide for one warp's registers: Gemma 4's of 512 numbers, and latents, of whose keys of 576 the
// first 512 are the values, so that a tile is read once for both.
//
// Queries of a KV head are counted through the rows and the heads that share it. A block takes 16 or 32 of them and walks
// tiles of KEYS positions: four warps for each 16 queries score 8 positions each, the softmax goes through shared memory, and
// each of the eight warps gathers 64 columns of the values. Few rows: a row's queries alone, positions in slices, merged by the
// last block to arrive. (Running softmax in base 2 as FlashAttention-2's, arXiv 2307.08691.)
#include "kernel-attention-slices.cuh"
#include "kernel-mma.cuh"

#define WARPS 8
#define THREADS (WARPS * 32)
#define KEYS 32 // half a block of the cache
#define PARTS 4 // warps that share 16 queries' scores
#define STAGES 2
#define LEAST_SLICE 64

// Dynamic shared memory: queries, then tiles of keys and, unless those hold them, of values.
static constexpr int
wide_bytes (int dk, int dv, bool latents, int mt)
{
  return (16 * mt * (dk + 8) + STAGES * KEYS * (dk + 8 + (latents ? 0 : dv + 8))) * 2;
}

// Where a block's queries stand. @by_row: of row @unit alone, else of all rows of sequence @unit.
struct Queries
{
  int row_first, n, sequence;
};
CU_DEV Queries
queries_of (const CuMeta &m, int n_group, int unit, bool by_row)
{
  const int first = by_row ? unit : m.first_row[unit];
  return { first, (by_row ? 1 : m.first_row[unit + 1] - first) * n_group, by_row ? m.sequence[unit] : unit };
}

template <int DK, int DV, bool LATENTS, int MT>
__global__ void __launch_bounds__ (THREADS, 1)
wide_kernel (const __grid_constant__ CuAttention a, const __grid_constant__ CuMeta m, int group, const float *q, float *y,
             __nv_bfloat16 *y16, float *partial, int *counters, int n_slices, bool by_row)
{
#if __CUDA_ARCH__ >= 800
  constexpr int QUERIES = 16 * MT, K_PITCH = DK + 8, V_PITCH = LATENTS ? K_PITCH : DV + 8; // rows fall on different banks
  constexpr int STAGE = KEYS * (K_PITCH + (LATENTS ? 0 : V_PITCH)), COLUMNS = DV / WARPS;
  wait_for_input ();
  extern __shared__ __align__ (16) __half qs[]; // [QUERIES][K_PITCH], then tiles
  __half *tiles = qs + QUERIES * K_PITCH;
  __shared__ float red[PARTS][QUERIES];
  __shared__ __align__ (16) __half weights[QUERIES][KEYS + 8];
  const int kv = blockIdx.y, n_group = a.n_head / a.n_head_kv;
  const int tile = ((int) gridDim.x - 1 - (int) blockIdx.x) / n_slices, slice = blockIdx.x % n_slices; // late rows first
  const Queries all = queries_of (m, n_group, blockIdx.z, by_row);
  const int q0 = tile * QUERIES, n_here = all.n - q0 < QUERIES ? all.n - q0 : QUERIES;
  if (n_here <= 0)
    return;
  const int end = m.position[all.row_first + (q0 + n_here - 1) / n_group] + 1;
  int chunk = (end + n_slices - 1) / n_slices;
  chunk = (chunk + LEAST_SLICE - 1) / LEAST_SLICE * LEAST_SLICE;
  const int n_active = (end + chunk - 1) / chunk;
  if (slice >= n_active)
    return;
  const int first = slice * chunk, last = first + chunk < end ? first + chunk : end;
  const int t_end = (last + KEYS - 1) / KEYS;
  const int32_t *table = m.table[group] + (size_t) all.sequence * m.table_stride[group];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, c2 = lane % 4 * 2;
  // query @i of the block among [rows, n_head]; behind the last one it is repeated
  auto place = [&] (int i) {
    const int at = q0 + (i < n_here ? i : n_here - 1);
    return (size_t) (all.row_first + at / n_group) * a.n_head + kv * n_group + at % n_group;
  };

  auto fetch = [&] (int t, int stage) {
    if (t < t_end)
      {
        __half *k = tiles + stage * STAGE, *v = k + KEYS * K_PITCH;
        const size_t row = ((size_t) table[t * KEYS / ENG_KV_BLOCK] * a.n_head_kv + kv) * ENG_KV_BLOCK + t * KEYS % ENG_KV_BLOCK;
        for (int i = threadIdx.x; i < KEYS * DK / 8; i += THREADS)
          copy_async (k + i / (DK / 8) * K_PITCH + i % (DK / 8) * 8, a.k + row * DK + i * 8);
        if (!LATENTS)
          for (int i = threadIdx.x; i < KEYS * DV / 8; i += THREADS)
            copy_async (v + i / (DV / 8) * V_PITCH + i % (DV / 8) * 8, a.v + row * DV + i * 8);
      }
    asm volatile ("cp.async.commit_group;" ::: "memory");
  };
  fetch (first / KEYS, 0);
  const float fold = a.scale * LOG2_E;
  for (int i = threadIdx.x; i < QUERIES * DK / 4; i += THREADS)
    {
      const int r = i / (DK / 4), c = i % (DK / 4) * 4;
      const float4 u = *(const float4 *) (q + place (r) * DK + c);
      *(uint2 *) (qs + r * K_PITCH + c) = make_uint2 (two_halves (u.x * fold, u.y * fold), two_halves (u.z * fold, u.w * fold));
    }
  // this warp scores 8 positions for 16 queries (a single tile of queries leaves half of the warps without)
  const int mine = warp / PARTS, part = warp % PARTS;
  const bool scores = mine < MT;
  int stop[2];
#pragma unroll
  for (int i = 0; i < 2; i++)
    {
      const int position = m.position[place (mine * 16 + i * 8 + g) / a.n_head] + 1;
      stop[i] = position < last ? position : last;
    }
  float o[MT][COLUMNS / 8][4] = {}, top[MT][2], sum[2] = { 0.f, 0.f };
#pragma unroll
  for (int mt = 0; mt < MT; mt++)
    top[mt][0] = top[mt][1] = -INFINITY;

  for (int t = first / KEYS; t < t_end; t++)
    {
      const int stage = (t - first / KEYS) % STAGES;
      asm volatile ("cp.async.wait_group 0;" ::: "memory");
      __syncthreads (); // this tile is there for all, and the one before it is read by all
      fetch (t + 1, stage ^ 1);
      const __half *k = tiles + stage * STAGE, *v = LATENTS ? k : k + KEYS * K_PITCH;
      float s[2][4] = {};
      if (scores)
        {
#pragma unroll 6
          for (int kk = 0; kk < DK / 16; kk += 2)
            {
              uint32_t b[4], f[2][4];
              ldmatrix4 (b, k + (part * 8 + (lane & 7)) * K_PITCH + kk * 16 + (lane >> 3) * 8);
#pragma unroll
              for (int i = 0; i < 2; i++)
                {
                  ldmatrix4 (f[i], qs + (mine * 16 + (lane & 15)) * K_PITCH + (kk + i) * 16 + (lane >> 4) * 8);
                  mma (s[i], f[i], b[2 * i], b[2 * i + 1]);
                }
            }
#pragma unroll
          for (int i = 0; i < 4; i++)
            {
              const int p = t * KEYS + part * 8 + c2 + (i & 1);
              s[0][i] = p < stop[i / 2] ? s[0][i] + s[1][i] : -INFINITY;
            }
#pragma unroll
          for (int i = 0; i < 2; i++)
            {
              float most = fmaxf (s[0][2 * i], s[0][2 * i + 1]);
              most = fmaxf (most, __shfl_xor_sync (~0u, most, 1));
              most = fmaxf (most, __shfl_xor_sync (~0u, most, 2));
              if (lane % 4 == 0)
                red[part][mine * 16 + i * 8 + g] = most;
            }
        }
      __syncthreads ();
#pragma unroll
      for (int mt = 0; mt < MT; mt++)
#pragma unroll
        for (int i = 0; i < 2; i++)
          {
            const int r = mt * 16 + i * 8 + g;
            float most = top[mt][i];
#pragma unroll
            for (int n = 0; n < PARTS; n++)
              most = fmaxf (most, red[n][r]);
            const float base = most == -INFINITY ? 0.f : most, keep = exp2f (top[mt][i] - base);
            top[mt][i] = most;
#pragma unroll
            for (int n = 0; n < COLUMNS / 8; n++)
              {
                o[mt][n][2 * i] *= keep;
                o[mt][n][2 * i + 1] *= keep;
              }
            if (mt == mine)
              {
                const float u = exp2f (s[0][2 * i] - base), w = exp2f (s[0][2 * i + 1] - base);
                sum[i] = sum[i] * keep + u + w;
                *(uint32_t *) &weights[r][part * 8 + c2] = two_halves (u, w);
              }
          }
      __syncthreads ();
#pragma unroll
      for (int kk = 0; kk < KEYS / 16; kk++)
        {
          uint32_t w[MT][4];
#pragma unroll
          for (int mt = 0; mt < MT; mt++)
            ldmatrix4 (w[mt], &weights[mt * 16 + (lane & 15)][kk * 16 + (lane >> 4) * 8]);
#pragma unroll
          for (int n = 0; n < COLUMNS / 8; n += 2)
            {
              uint32_t b[4];
              ldmatrix4_trans (b, v + (kk * 16 + (lane & 15)) * V_PITCH + warp * COLUMNS + n * 8 + (lane >> 4) * 8);
#pragma unroll
              for (int mt = 0; mt < MT; mt++)
                {
                  mma (o[mt][n], w[mt], b[0], b[1]);
                  mma (o[mt][n + 1], w[mt], b[2], b[3]);
                }
            }
        }
    }

#pragma unroll
  for (int i = 0; i < 2; i++)
    {
      sum[i] += __shfl_xor_sync (~0u, sum[i], 1);
      sum[i] += __shfl_xor_sync (~0u, sum[i], 2);
      if (scores && lane % 4 == 0)
        red[part][mine * 16 + i * 8 + g] = sum[i];
    }
  __syncthreads ();
#pragma unroll
  for (int mt = 0; mt < MT; mt++)
#pragma unroll
    for (int i = 0; i < 2; i++)
      {
        const int r = mt * 16 + i * 8 + g;
        if (r >= n_here)
          continue;
        float total = 0.f;
#pragma unroll
        for (int n = 0; n < PARTS; n++)
          total += red[n][r];
        const float share = n_active == 1 ? 1.f / total : 1.f;
        float *slot = n_active == 1 ? NULL : partial + (place (r) * n_slices + slice) * (DV + 2);
#pragma unroll
        for (int n = 0; n < COLUMNS / 8; n++)
          {
            const int c = warp * COLUMNS + n * 8 + c2;
            const float u = o[mt][n][2 * i] * share, w = o[mt][n][2 * i + 1] * share;
            *(float2 *) (slot ? slot + c : y + place (r) * DV + c) = make_float2 (u, w);
            if (y16 && !slot)
              *(__nv_bfloat162 *) (y16 + place (r) * DV + c) = __floats2bfloat162_rn (u, w);
          }
        if (slot && warp == 0 && lane % 4 == 0)
          *(float2 *) (slot + DV) = make_float2 (top[mt][i], total);
      }
  if (n_active == 1)
    return;
  if (!last_slice (counters + ((size_t) blockIdx.z * a.n_head_kv + kv) * (gridDim.x / n_slices) + tile, n_active))
    return;
  for (int i = threadIdx.x; i < n_here * DV / 2; i += THREADS)
    {
      const size_t at = place (i / (DV / 2));
      const int c = i % (DV / 2) * 2;
      *(float2 *) (y + at * DV + c) = sum_of_slices<DV> (partial + at * n_slices * (DV + 2), n_active, c, -INFINITY);
    }
#endif
}

// By the two widths and the number of queries; @found:
template <typename F>
static cudaError_t
with_widths (const CuAttention *a, int n_queries, int limit, F found)
{
  const bool latents = a->k == a->v;
#define CASE(DK, DV, LATENTS)                                                                      \
  if (a->k_width == DK && a->v_width == DV && latents == LATENTS)                                  \
    {                                                                                              \
      if (wide_bytes (DK, DV, LATENTS, 2) + 8192 <= limit && n_queries > 16)                       \
        return found (wide_kernel<DK, DV, LATENTS, 2>, wide_bytes (DK, DV, LATENTS, 2), 32);       \
      if (wide_bytes (DK, DV, LATENTS, 1) + 8192 <= limit)                                         \
        return found (wide_kernel<DK, DV, LATENTS, 1>, wide_bytes (DK, DV, LATENTS, 1), 16);       \
    }
  CASE (576, 512, true)
  CASE (512, 512, false)
#undef CASE
  return cudaErrorNotSupported;
}

cudaError_t
cu_attention_wide (CuStream s, const CuAttention *a, const CuMeta *m, int group, const float *q, float *y,
                   __nv_bfloat16 *y16, int n_rows, int max_rows_of_sequence, int n_sequences, float *partial, int *counters,
                   int n_units, int pdl)
{
  int limit;
  const cudaError_t e = shared_limit (&limit);
  if (e != cudaSuccess)
    return e;
  if (cu_code_arch () < 80 || !a->causal || a->window || a->soft_cap > 0.f || a->sinks)
    return cudaErrorNotSupported;
  const bool by_row = max_rows_of_sequence == 0;
  const int n_queries = (by_row ? 1 : max_rows_of_sequence) * (a->n_head / a->n_head_kv);
  return with_widths (a, n_queries, limit, [&] (auto kernel, int bytes, int at_once) {
    const int tiles = (n_queries + at_once - 1) / at_once;
    int slices = partial && by_row && n_rows <= ENG_CUDA_GEMV_ROWS ? n_units / (tiles * a->n_head_kv * n_rows) : 1;
    slices = slices < 1 ? 1 : slices > CU_ATTENTION_SLICES ? CU_ATTENTION_SLICES : slices;
    return launch_kernel (kernel, dim3 (tiles * slices, a->n_head_kv, by_row ? n_rows : n_sequences), THREADS, bytes, s, pdl, *a, *m,
                          group, q, y, y16, partial, counters, slices, by_row);
  });
}
