// SPDX-License-Identifier: Apache-2.0
// Attention of single tokens deep in a context, where reading keys and values is what takes the time; what comes before and behind that is
// kept short. Nothing fits beside a block, so it starts when the QKV product leaves its multiprocessor.
//
// Where there are box copies, one thread a warp asks for whole tiles: 16-byte copies of 128 KB a multiprocessor hold back the threads that have
// the queries to prepare. What is asked for behind keys and values comes behind them: two of three tiles go before the row. Tiles go
// round the slices, so that all have as many, and blocks that start together read neighbours in memory. Angles are made once a token.
#include "kernel-attention-token.cuh"

__host__ __device__ constexpr int
deep_stages (bool boxes)
{
  return boxes ? 3 : 2;
}

// What slices leave: values [row][head][slice][D], then the largest scores and the sums of weights [row][head][slice][2].
struct Slices
{
  float *values;
  int n_heads, n_slices; // of all rows; a head

  template <int D>
  CU_DEV float *
  row (int head, int slice) const
  {
    return values + ((size_t) head * n_slices + slice) * D;
  }
  template <int D>
  CU_DEV float2 *
  sum (int head, int slice) const
  {
    return (float2 *) (values + (size_t) n_heads * n_slices * D) + (size_t) head * n_slices + slice;
  }
};

// Four columns of a head are an item of two lanes, 16 apart, each of which sums half of the parts and keeps two columns of the result.
CU_DEV float2
halves_summed (float4 v, bool high)
{
  v.x += __shfl_xor_sync (~0u, v.x, 16);
  v.y += __shfl_xor_sync (~0u, v.y, 16);
  v.z += __shfl_xor_sync (~0u, v.z, 16);
  v.w += __shfl_xor_sync (~0u, v.w, 16);
  return high ? make_float2 (v.z, v.w) : make_float2 (v.x, v.y);
}
CU_DEV void
add_times (float4 &v, float w, const float4 &u)
{
  v.x += w * u.x, v.y += w * u.y, v.z += w * u.z, v.w += w * u.w;
}

// The sum of the block's warps: the attention where there is @only one slice, else what the slice leaves. @values, @tops and @sums as
// deep_token_kernel () has them; @sinks: scores of keys without a value, or NULL; @head: the block's first, of all rows' heads.
template <int D, int PITCH>
CU_DEV void
merge_warps (const float *values, const float *tops, const float *sums, int n_group, bool only, const float *sinks, const Slices &all, int head,
             int slice, float *y)
{
  constexpr int PER_HEAD = D / 4, HALF = TOKEN_WARPS / 2;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, high = lane / 16;
  for (int base = warp * 16; base < n_group * PER_HEAD; base += TOKEN_WARPS * 16)
    {
      const int item = base + lane % 16, h = item / PER_HEAD < n_group ? item / PER_HEAD : n_group - 1, c = item % PER_HEAD * 4;
      const float4 t = ((const float4 *) (tops + h * TOKEN_WARPS))[high], s = ((const float4 *) (sums + h * TOKEN_WARPS))[high];
      float most = fmaxf (fmaxf (t.x, t.y), fmaxf (t.z, t.w));
      most = fmaxf (most, __shfl_xor_sync (~0u, most, 16));
      const float w[HALF] = { exp2_fast (t.x - most), exp2_fast (t.y - most), exp2_fast (t.z - most), exp2_fast (t.w - most) };
      float sum = w[0] * s.x + w[1] * s.y + w[2] * s.z + w[3] * s.w;
      const float *from = values + (high * HALF * n_group + h) * PITCH + c;
      float4 v = make_float4 (0.f, 0.f, 0.f, 0.f);
#pragma unroll
      for (int l = 0; l < HALF; l++)
        add_times (v, w[l], *(const float4 *) (from + l * n_group * PITCH));
      float2 u = halves_summed (v, high);
      sum += __shfl_xor_sync (~0u, sum, 16);
      if (only)
        {
          const float share = __fdividef (1.f, sum + (sinks ? exp2_fast (sinks[h] * LOG2_E - most) : 0.f));
          u.x *= share, u.y *= share;
        }
      if (item >= n_group * PER_HEAD)
        continue;
      if (only)
        *(float2 *) (y + (size_t) (head + h) * D + c + 2 * high) = u;
      else
        *(float2 *) (all.row<D> (head + h, slice) + c + 2 * high) = u;
      if (!only && item % PER_HEAD == 0 && !high)
        *all.sum<D> (head + h, slice) = make_float2 (most, sum);
    }
}

// The sum of @n_active slices of the block's heads. @weights: room for [n_group][CU_ATTENTION_SLICES] of shared memory.
template <int D>
CU_DEV void
merge_slices (const Slices &all, int head, int n_group, int n_active, const float *sinks, float *weights, float *y)
{
  constexpr int PER_HEAD = D / 4, AT_ONCE = 8;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, high = lane / 16;
  auto head_of = [&] (int item) { return item / PER_HEAD < n_group ? item / PER_HEAD : n_group - 1; };
  float4 ahead[AT_ONCE];
  auto load = [&] (int item, int first) {
    const float *from = all.row<D> (head + head_of (item), first) + item % PER_HEAD * 4;
#pragma unroll
    for (int l = 0; l < AT_ONCE; l++)
      ahead[l] = first + 2 * l < n_active ? __ldcg ((const float4 *) (from + 2 * l * D)) : make_float4 (0.f, 0.f, 0.f, 0.f);
  };
  load (warp * 16 + lane % 16, high); // on their way while the weights are made
  for (int h = warp; h < n_group; h += TOKEN_WARPS)
    {
      const float2 part = lane < n_active ? __ldcg (all.sum<D> (head + h, lane)) : make_float2 (-INFINITY, 0.f);
      float most = part.x;
#pragma unroll
      for (int o = 16; o; o >>= 1)
        most = fmaxf (most, __shfl_xor_sync (~0u, most, o));
      const float w = exp2_fast (part.x - most);
      float sum = warp_sum (w * part.y);
      if (sinks)
        sum += exp2_fast (sinks[h] * LOG2_E - most);
      weights[h * CU_ATTENTION_SLICES + lane] = w * __fdividef (1.f, sum);
    }
  __syncthreads ();
  for (int base = warp * 16; base < n_group * PER_HEAD; base += TOKEN_WARPS * 16)
    {
      const int item = base + lane % 16;
      const float *w = weights + head_of (item) * CU_ATTENTION_SLICES;
      float4 v = make_float4 (0.f, 0.f, 0.f, 0.f);
#pragma unroll 1
      for (int first = high; first < n_active; first += 2 * AT_ONCE)
        {
          if (base != warp * 16 || first != high)
            load (item, first);
#pragma unroll
          for (int l = 0; l < AT_ONCE; l++)
            add_times (v, w[(first + 2 * l) % CU_ATTENTION_SLICES], ahead[l]);
        }
      const float2 u = halves_summed (v, high);
      if (item < n_group * PER_HEAD)
        *(float2 *) (y + (size_t) (head + head_of (item)) * D + item % PER_HEAD * 4 + 2 * high) = u;
    }
}

struct Maps
{
  CUtensorMap map[2]; // keys', values'
};

template <int D>
__global__ void __launch_bounds__ (TOKEN_THREADS)
deep_token_kernel (const __grid_constant__ Maps maps, CuAttention a, CuQkv f, CuMeta m, float *y, float *partial, int *counters, int n_group)
{
#if __CUDA_ARCH__ >= 800
  constexpr bool BOXES = __CUDA_ARCH__ >= 900;
  constexpr int PITCH = D + 8, STAGES = deep_stages (BOXES); // halves a row: rows fall on different banks
  constexpr int STAGE = 2 * TILE * (BOXES ? D : PITCH);
  extern __shared__ __align__ (16) __half unaligned[]; // [warp][stage][k, v][TILE][PITCH], or boxes [TILE][64]
  __half *tiles = unaligned + (BOXES ? (-shared_address (unaligned) & 1023) / 2 : 0);
  __shared__ __align__ (16) __half qs[16][PITCH], own[2][D];
  __shared__ __align__ (16) float heads[TOKEN_WARPS * D];
  // blocks [key heads][rows][slices]
  const int kv = blockIdx.x, row = blockIdx.y, slice = blockIdx.z, n_slices = gridDim.z;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, head0 = kv * n_group;
  const int seq = m.sequence[row], position = m.position[row], end = position + 1;
#if __CUDA_ARCH__ >= 900
  __shared__ uint64_t landed[TOKEN_WARPS][STAGES];
  if (lane == 0)
    {
      for (int i = 0; i < 2 && warp == 0; i++)
        asm volatile ("prefetch.tensormap [%0];" ::"l"(maps.map + i) : "memory");
      for (int i = 0; i < STAGES; i++)
        barrier_init (&landed[warp][i], 1);
      asm volatile ("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
  __syncwarp ();
#endif
  const int start = a.window > 0 && end > a.window ? end - a.window : 0;
  const int t_first = start / TILE, t_end = (end + TILE - 1) / TILE, n_turns = (t_end - t_first + TOKEN_WARPS - 1) / TOKEN_WARPS;
  const int n_active = n_turns < n_slices ? n_turns : n_slices, t_step = n_active * TOKEN_WARPS, t_mine = t_first + slice * TOKEN_WARPS + warp;
  if (slice >= n_active)
    return;
  const int32_t *table = m.table[f.group] + (size_t) seq * m.table_stride[f.group];
  __half *mine = tiles + (size_t) warp * STAGES * STAGE;
  constexpr int N = (D + 31) / 32;
  float weights[N] = {};
  const TokenVectors vectors = TokenVectors::of<D> (a, f, row, kv, head0, n_group);
  load_norm<D> (vectors.norm (warp), lane, weights);
  const float2 *angles = f.rope_kind == ENG_ROPE_NONE ? NULL : f.angles + (size_t) row * f.angles_stride;
  float2 angle_of[N]; // of the lane's numbers
#pragma unroll
  for (int n = 0; n < N; n++)
    {
      const int i = f.rope_kind == ENG_ROPE_NEOX ? n * 32 + lane : (n * 32 + lane) / 2;
      angle_of[n] = angles && i < f.n_rot / 2 ? __ldcg (angles + i) : make_float2 (1.f, 0.f);
    }

  // where piece c of eight values of a tile's row r lies
  auto place = [] (int r, int c) { return BOXES ? c / 8 * TILE * 64 + r * 64 + (c % 8 ^ r % 8) * 8 : r * PITCH + c * 8; };
  // @block: that of the tile
  auto fetch = [&] (int t, int block, int stage) {
    __half *k = mine + stage * STAGE, *v = k + STAGE / 2;
    const size_t row_at = ((size_t) block * a.n_head_kv + kv) * ENG_KV_BLOCK + t * TILE % ENG_KV_BLOCK;
#if __CUDA_ARCH__ >= 900
    if (t < t_end && lane == 0)
      {
        barrier_expect (&landed[warp][stage], STAGE * 2);
        copy_boxes (k, maps.map, (int) row_at, &landed[warp][stage]);
        copy_boxes (v, maps.map + 1, (int) row_at, &landed[warp][stage]);
      }
#else
    if (t < t_end)
      {
        const size_t at = row_at * D;
#pragma unroll
        for (int i = lane; i < TILE * D / 8; i += 32)
          {
            const int r = i / (D / 8), c = i % (D / 8) * 8;
            copy_async (k + r * PITCH + c, a.k + at + i * 8);
            copy_async (v + r * PITCH + c, a.v + at + i * 8);
          }
      }
    asm volatile ("cp.async.commit_group;" ::: "memory");
#endif
  };
  auto block_of = [&] (int t) { return t < t_end ? __ldg (table + t * TILE / ENG_KV_BLOCK) : 0; };
  int blocks[STAGES + 1]; // of the tiles to fetch next: known a turn ahead
#pragma unroll
  for (int i = 0; i <= STAGES; i++)
    blocks[i] = block_of (t_mine + i * t_step);
  const int own_block = __ldg (table + position / ENG_KV_BLOCK);
  constexpr int AT_FIRST = 2;
#pragma unroll
  for (int i = 0; i < AT_FIRST; i++)
    fetch (t_mine + i * t_step, blocks[i], i);
  int block = blocks[STAGES];
  for (int i = threadIdx.x; i < (16 - n_group) * PITCH / 8; i += TOKEN_THREADS)
    ((uint4 *) qs[n_group])[i] = make_uint4 (0, 0, 0, 0);
  wait_for_input (false);
  const int n_vectors = n_group + 2;
  float raw[N], next[N]; // one vector ahead: a trip to the L2 costs more than the work on it
  load_lanes<D> (vectors.at (warp, D), warp < n_vectors, lane, next);
#pragma unroll
  for (int i = AT_FIRST; i < STAGES; i++)
    fetch (t_mine + i * t_step, blocks[i], i);
  const float fold = a.soft_cap > 0.f ? a.scale : a.scale * LOG2_E;
  for (int i = warp; i < n_vectors; i += TOKEN_WARPS)
    {
#pragma unroll
      for (int n = 0; n < N; n++)
        raw[n] = next[n];
      load_lanes<D> (vectors.at (i + TOKEN_WARPS, D), i + TOKEN_WARPS < n_vectors, lane, next);
      if (i != warp)
        load_norm<D> (vectors.norm (i), lane, weights);
      finish_head<D> (f, vectors.norm_kind (i), vectors.norm (i) != NULL, weights, angles && i <= n_group,
                      [&] (int n, int pair) { return n < 0 ? __ldcg (angles + pair) : angle_of[n]; }, raw, heads + warp * D, lane);
      // every block has the new key and value, one writes them
      const bool keeps = i >= n_group && slice == 0;
      __half *cache = (i == n_group ? f.kc : f.vc) + (((size_t) own_block * a.n_head_kv + kv) * ENG_KV_BLOCK + position % ENG_KV_BLOCK) * D;
#pragma unroll
      for (int n = 0; n < N; n++)
        if (n * 32 + lane < D)
          {
            const __half x = __float2half (i < n_group ? raw[n] * fold : raw[n]);
            (i < n_group ? qs[i] : own[i - n_group])[n * 32 + lane] = x;
            if (keeps)
              cache[n * 32 + lane] = x;
          }
    }
  __syncthreads ();
  start_next (); // its weights would have been in front of what was read here
  uint32_t qf[D / 16][4];
#pragma unroll
  for (int k = 0; k < D / 16; k++)
    ldmatrix4 (qf[k], &qs[lane & 15][k * 16 + (lane >> 4) * 8]);

  TokenSums<D> seen;
  int stage = 0, parity = 0;
  for (int t = t_mine; t < t_end; t += t_step)
    {
#if __CUDA_ARCH__ >= 900
      barrier_wait (&landed[warp][stage], parity);
#else
      asm volatile ("cp.async.wait_group %0;" ::"n"(STAGES - 1) : "memory");
#endif
      __syncwarp ();
      __half *k = mine + stage * STAGE, *v = k + STAGE / 2;
      if (position / TILE == t)
        {
          for (int i = lane; i < D; i += 32)
            {
              const int to = place (position % TILE, i / 8) + i % 8;
              k[to] = own[0][i];
              v[to] = own[1][i];
            }
          __syncwarp ();
        }
      seen.add (k, v, t * TILE, start, end, a.soft_cap,
                [&] (int kk, uint32_t q[4]) {
#pragma unroll
                  for (int i = 0; i < 4; i++)
                    q[i] = qf[kk][i];
                },
                place);
      __syncwarp ();
      fetch (t + STAGES * t_step, block, stage);
      block = block_of (t + (STAGES + 1) * t_step);
      stage = stage + 1 == STAGES ? 0 : stage + 1;
      parity ^= stage == 0;
    }

  // What each warp has, over the tiles: values [warp][head][PITCH], largest scores and sums of weights [head][warp].
  asm volatile ("cp.async.wait_group 0;" ::: "memory");
  __syncthreads ();
  float *values = (float *) tiles, *tops = heads, *sums = heads + 16 * TOKEN_WARPS;
  seen.put (values + warp * n_group * PITCH, PITCH, n_group, [&] (int h, float top, float sum) {
    tops[h * TOKEN_WARPS + warp] = top;
    sums[h * TOKEN_WARPS + warp] = sum;
  });
  __syncthreads ();
  const Slices all = { partial, (int) gridDim.y * a.n_head, n_slices };
  const float *sinks = a.sinks ? a.sinks + head0 : NULL;
  merge_warps<D, PITCH> (values, tops, sums, n_group, n_active == 1, sinks, all, row * a.n_head + head0, slice, y);
  if (n_active > 1 && last_slice (counters + row * gridDim.x + kv, n_active))
    merge_slices<D> (all, row * a.n_head + head0, n_group, n_active, sinks, values, y);
#endif
}

// Dynamic shared memory, with what stands beside it. Boxes: no gaps, but room to start at a multiple of 1,024.
static constexpr int
deep_bytes (int d, bool boxes)
{
  return TOKEN_WARPS * deep_stages (boxes) * 2 * TILE * (d + (boxes ? 0 : 8)) * 2 + (boxes ? 1024 : 0);
}
static constexpr int
deep_fixed_bytes (int d)
{
  return (16 * (d + 8) + 2 * d) * 2 + TOKEN_WARPS * d * 4 + TOKEN_WARPS * 3 * 8 + 64;
}

template <int D>
static cudaError_t
deep_token (CuStream s, const CuAttention *a, const CuQkv *f, const CuMeta *m, float *y, int n_rows, float *partial,
            int *counters, int n_units, int pdl)
{
  const bool boxes = cu_code_arch () >= 90;
  int limit;
  const cudaError_t e = shared_limit (&limit);
  if (e != cudaSuccess)
    return e;
  Maps maps = {};
  if (deep_bytes (D, boxes) + deep_fixed_bytes (D) > limit
      || (boxes && (!cu_map_cache (a->k, a, TILE, D / 64, &maps.map[0]) || !cu_map_cache (a->v, a, TILE, D / 64, &maps.map[1]))))
    return cudaErrorNotSupported;
  return launch_kernel (deep_token_kernel<D>, dim3 (a->n_head_kv, n_rows, slices_for (a, n_rows, n_units, 1)), TOKEN_THREADS, deep_bytes (D, boxes), s, pdl,
                        maps, *a, *f, *m, y, partial, counters, a->n_head / a->n_head_kv);
}

cudaError_t
cu_attention_deep (CuStream s, const CuAttention *a, const CuQkv *f, const CuMeta *m, float *y, int n_rows, float *partial,
                   int *counters, int n_units, int pdl)
{
  switch (a->k_width)
    {
    case 64:
      return deep_token<64> (s, a, f, m, y, n_rows, partial, counters, n_units, pdl);
    case 128:
      return deep_token<128> (s, a, f, m, y, n_rows, partial, counters, n_units, pdl);
    default:
      return cudaErrorNotSupported;
    }
}

__global__ void
angles_kernel (const float *inv_freq, const int32_t *position, int n, float2 *angles)
{
  wait_for_input (false); // nothing starts before this ends: attention looks for angles before its own wait
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  float2 a;
  if (i < n)
    {
      sincosf ((float) position[blockIdx.y] * inv_freq[i], &a.y, &a.x);
      angles[(size_t) blockIdx.y * n + i] = a;
    }
}

cudaError_t
cu_angles (CuStream s, const float *inv_freq, const CuMeta *m, int n, int n_rows, float2 *angles, int pdl)
{
  return launch_kernel (angles_kernel, dim3 ((n + 127) / 128, n_rows), 128, 0, s, pdl, inv_freq, m->position, n, angles);
}
