// SPDX-License-Identifier: Apache-2.0
// Attention of single tokens, with what stands between the QKV product and it: head norms, RoPE and the write of
// the new key and value to the cache.
//
// A block takes one KV head of one row and a slice of its positions; the query heads that share the KV head, or four of
// them, are the rows of one tensor-core tile (at most 16). Each of its warps walks tiles of 16 positions with a softmax of its own
// (running maximum and sum in base 2, as FlashAttention-2 does, arXiv 2307.08691); warps and slices are merged at the
// end, slices by the last block to arrive.
//
// Deep in a context, where there are box copies, one thread a warp asks for whole tiles: 16-byte copies of 128 KB a
// multiprocessor hold back the threads that have the queries to prepare (an H100 behind 8,192 positions, 8B: 5.6 us of 23.6).
//
// Keys and values of earlier positions were written by earlier runs: they are asked for before the wait for the QKV
// product. The row's own are patched into their tile from shared memory. So every sequence of the batch has one
// row here; several rows of one sequence go through cu_qkv_finish () and cu_attention_decode ().
#include "kernel-attention-slices.cuh"
#include "kernel-bulk.cuh"

// Of a short context each warp has one tile of a slice: what takes the time there is how long one chain of instructions is. 96 registers leave
// room for a block of kernel-decode-ring.cuh beside them. Deep in a context nothing fits beside it.
#define TOKEN_WARPS 8
#define TOKEN_THREADS (TOKEN_WARPS * 32)
#define TILE 16
#define LEAST_SLICE 128 // positions: merging slices costs more than walking these
#define MAX_SLICES 32

__host__ __device__ constexpr int
token_stages (int d, bool deep, bool boxes)
{
  if (deep)
    return boxes && d <= 128 ? 3 : 2;
  return d == 64 || d > 80 ? 1 : 2; // small heads of other widths have no deep kernel, and room for two
}

// One head's vector, of which a lane has numbers lane, lane + 32, ..., through clamp, norm and RoPE, by one warp; @head: D floats of shared
// memory. @norm_kind: without weights where @has_weights is not set.
template <int D>
CU_DEV void
finish_head (const CuQkv &f, int norm_kind, bool has_weights, const float *weights, bool turn, const float *cs, const float *sn, float *v,
             float *head, int lane)
{
  constexpr int N = (D + 31) / 32;
  float sum = 0.f, mean = 0.f;
#pragma unroll
  for (int n = 0; n < N; n++)
    {
      if (f.clamp > 0.f)
        v[n] = fminf (fmaxf (v[n], -f.clamp), f.clamp);
      mean += v[n];
      sum += v[n] * v[n];
    }
  if (norm_kind != ENG_NORM_NONE)
    {
      if (norm_kind == ENG_NORM_LAYER)
        {
          for (int o = 16; o; o >>= 1)
            mean += __shfl_xor_sync (~0u, mean, o);
          mean /= D;
          sum = 0.f;
#pragma unroll
          for (int n = 0; n < N; n++)
            if (n * 32 + lane < D)
              sum += (v[n] - mean) * (v[n] - mean);
        }
      else
        mean = 0.f;
#pragma unroll
      for (int o = 16; o; o >>= 1)
        sum += __shfl_xor_sync (~0u, sum, o);
      const float inv = rsqrtf (sum / D + f.eps);
#pragma unroll
      for (int n = 0; n < N; n++)
        v[n] = (v[n] - mean) * inv * (has_weights ? weights[n] : 1.f);
    }
  if (!turn)
    return;
  if (f.rope_kind != ENG_ROPE_NEOX) // neighbours
    {
#pragma unroll
      for (int n = 0; n < N; n++)
        {
          const int i = n * 32 + lane;
          const float other = __shfl_xor_sync (~0u, v[n], 1);
          if (i < f.n_rot)
            v[n] = (i & 1 ? other * sn[i / 2] + v[n] * cs[i / 2] : v[n] * cs[i / 2] - other * sn[i / 2]) * f.rope_scale;
        }
      return;
    }
  if (D % 64 == 0 && f.n_rot == D) // both halves are this lane's
    {
#pragma unroll
      for (int n = 0; n < N / 2; n++)
        {
          const float x0 = v[n], x1 = v[n + N / 2], c = cs[n * 32 + lane], d = sn[n * 32 + lane];
          v[n] = (x0 * c - x1 * d) * f.rope_scale;
          v[n + N / 2] = (x0 * d + x1 * c) * f.rope_scale;
        }
      return;
    }
  __syncwarp ();
#pragma unroll
  for (int n = 0; n < N; n++)
    if (n * 32 + lane < D)
      head[n * 32 + lane] = v[n];
  __syncwarp ();
  for (int i = lane; i < f.n_rot / 2; i += 32)
    {
      const float x0 = head[i], x1 = head[i + f.n_rot / 2];
      head[i] = (x0 * cs[i] - x1 * sn[i]) * f.rope_scale;
      head[i + f.n_rot / 2] = (x0 * sn[i] + x1 * cs[i]) * f.rope_scale;
    }
  __syncwarp ();
#pragma unroll
  for (int n = 0; n < N; n++)
    if (n * 32 + lane < D)
      v[n] = head[n * 32 + lane];
}

// @n_group: query heads of this block, one of @n_parts of their group. @maps: keys' and values', for deep contexts
template <int D, bool DEEP>
CU_DEV void
attend (const CuAttention &a, const CuQkv &f, const CuMeta &m, float *y, float *partial, int *counters, int n_group, int n_parts,
        const CUtensorMap *maps)
{
#if __CUDA_ARCH__ >= 800
  constexpr bool BOXES = DEEP && __CUDA_ARCH__ >= 900;
  constexpr int PITCH = D + 8, STAGES = token_stages (D, DEEP, BOXES); // halves a row: rows fall on different banks
  constexpr int STAGE = 2 * TILE * (BOXES ? D : PITCH);
  extern __shared__ __align__ (16) __half unaligned[]; // [warp][stage][k, v][TILE][PITCH], or boxes [TILE][64]
  __half *tiles = unaligned + (BOXES ? (-shared_address (unaligned) & 1023) / 2 : 0);
  __shared__ __align__ (16) __half qs[16][PITCH], own[2][D];
  __shared__ float heads[TOKEN_WARPS][D], cs[D / 2], sn[D / 2];
  // blocks [key heads and parts of their groups][rows][slices]
  const int merge_at = blockIdx.x, row = blockIdx.y, slice = blockIdx.z, n_slices = gridDim.z;
  const int kv = n_parts == 1 ? merge_at : merge_at / n_parts, part = merge_at - kv * n_parts;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int head0 = merge_at * n_group; // of this block's query heads
  const int seq = m.sequence[row], position = m.position[row], end = position + 1;
  const int start = a.window > 0 && end > a.window ? end - a.window : 0;
  int chunk = LEAST_SLICE; // divisions take long, and a short context has nothing else to do
  if (end - start > n_slices * LEAST_SLICE)
    chunk = ((end - start + n_slices - 1) / n_slices + LEAST_SLICE - 1) / LEAST_SLICE * LEAST_SLICE;
  const int n_active = chunk == LEAST_SLICE ? (end - start + LEAST_SLICE - 1) / LEAST_SLICE : (end - start + chunk - 1) / chunk;
  if (slice >= n_active)
    return;
  const int first = start + slice * chunk, last = first + chunk < end ? first + chunk : end;
  const int t_first = first / TILE, t_end = (last + TILE - 1) / TILE;
  const bool owner = last == end;
  const int32_t *table = m.table[f.group] + (size_t) seq * m.table_stride[f.group];
  __half *mine = tiles + (size_t) warp * STAGES * STAGE;
  const bool turn = f.rope_kind != ENG_ROPE_NONE;
  // asked for before the keys are: behind them they would come late
  const float turns = turn && (int) threadIdx.x < f.n_rot / 2 ? __ldg (f.inv_freq + threadIdx.x) : 0.f;
  constexpr int N = (D + 31) / 32;
  float weights[N] = {};
  auto norm_of = [&] (int i) { return i < n_group ? f.q_norm : i == n_group ? f.k_norm : NULL; };
  auto load_norm = [&] (int i) { // of vector @i: the query heads of the group, then the new key, then the new value
    const float *norm = norm_of (i);
#pragma unroll
    for (int n = 0; n < N; n++)
      if (norm && n * 32 + lane < D)
        weights[n] = __ldg (norm + n * 32 + lane);
  };
  load_norm (warp);
#if __CUDA_ARCH__ >= 900
  __shared__ uint64_t landed[TOKEN_WARPS][STAGES];
  if (BOXES && lane == 0)
    {
      for (int i = 0; i < STAGES; i++)
        barrier_init (&landed[warp][i], 1);
      asm volatile ("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
  __syncwarp ();
#endif

  // where piece c of eight values of a tile's row r lies
  auto place = [] (int r, int c) { return BOXES ? c / 8 * TILE * 64 + r * 64 + (c % 8 ^ r % 8) * 8 : r * PITCH + c * 8; };
  // @block: that of the tile
  auto fetch = [&] (int t, int block, int stage) {
    __half *k = mine + stage * STAGE, *v = k + STAGE / 2;
    const size_t row_at = ((size_t) block * a.n_head_kv + kv) * ENG_KV_BLOCK + t * TILE % ENG_KV_BLOCK;
#if __CUDA_ARCH__ >= 900
    if constexpr (BOXES)
      {
        if (t < t_end && lane == 0)
          {
            barrier_expect (&landed[warp][stage], STAGE * 2);
#pragma unroll
            for (int c = 0; c < D; c += 64)
              {
                copy_box (k + c * TILE, maps, c, (int) row_at, &landed[warp][stage]);
                copy_box (v + c * TILE, maps + 1, c, (int) row_at, &landed[warp][stage]);
              }
          }
        return;
      }
#endif
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
  };
  auto block_of = [&] (int t) { return t < t_end ? __ldg (table + t * TILE / ENG_KV_BLOCK) : 0; };
  int blocks[STAGES + 1]; // of the tiles to fetch next: known a turn ahead
#pragma unroll
  for (int i = 0; i <= STAGES; i++)
    blocks[i] = block_of (t_first + warp + i * TOKEN_WARPS);
  constexpr int AT_FIRST = BOXES ? 1 : STAGES; // what comes before the queries makes them wait
#pragma unroll
  for (int i = 0; i < AT_FIRST; i++)
    fetch (t_first + warp + i * TOKEN_WARPS, blocks[i], i);
  int block = blocks[STAGES];
  if (turn && (int) threadIdx.x < f.n_rot / 2)
    sincosf ((float) position * turns, &sn[threadIdx.x], &cs[threadIdx.x]);
  for (int i = threadIdx.x; i < (16 - n_group) * D; i += TOKEN_THREADS)
    qs[n_group + i / D][i % D] = __float2half (0.f);
  wait_for_input (false);
  __syncthreads ();

  // query heads of the group, then the new key and value where this block owns the last position
  const float fold = a.soft_cap > 0.f ? a.scale : a.scale * LOG2_E;
  const int n_vectors = n_group + (owner ? 2 : 0);
  float raw[N], next[N]; // one vector ahead: a trip to the L2 costs more than the work on it
  auto load = [&] (int i, float *to) {
    const float *src = i < n_group    ? f.q + ((size_t) row * a.n_head + head0 + i) * D
                       : i == n_group ? f.k + ((size_t) row * a.n_head_kv + kv) * D
                                      : f.v + ((size_t) row * a.n_head_kv + kv) * D;
#pragma unroll
    for (int n = 0; n < N; n++)
      to[n] = i < n_vectors && n * 32 + lane < D ? __ldcg (src + n * 32 + lane) : 0.f;
  };
  load (warp, next);
  for (int i = warp; i < n_vectors; i += TOKEN_WARPS)
    {
#pragma unroll
      for (int n = 0; n < N; n++)
        raw[n] = next[n];
      load (i + TOKEN_WARPS, next);
      if (i != warp)
        load_norm (i);
      const bool has_weights = norm_of (i) != NULL;
      const int norm_kind = has_weights ? f.norm_kind : i > n_group && f.value_norm ? ENG_NORM_RMS : ENG_NORM_NONE;
      finish_head<D> (f, norm_kind, has_weights, weights, turn && i <= n_group, cs, sn, raw, heads[warp], lane);
      const size_t at = (((size_t) table[position / ENG_KV_BLOCK] * a.n_head_kv + kv) * ENG_KV_BLOCK + position % ENG_KV_BLOCK) * D;
      __half *cache = (i == n_group ? f.kc : f.vc) + at;
#pragma unroll
      for (int n = 0; n < N; n++)
        if (n * 32 + lane < D)
          {
            if (i < n_group)
              qs[i][n * 32 + lane] = __float2half (raw[n] * fold);
            else
              {
                const __half x = own[i - n_group][n * 32 + lane] = __float2half (raw[n]);
                if (part == 0)
                  cache[n * 32 + lane] = x;
              }
          }
    }
#pragma unroll
  for (int i = AT_FIRST; i < STAGES; i++)
    fetch (t_first + warp + i * TOKEN_WARPS, blocks[i], i);
  __syncthreads ();
  start_next (); // its weights would have been in front of what was read here
  uint32_t qf[DEEP ? D / 16 : 1][4]; // kept where there are many tiles
#pragma unroll
  for (int k = 0; k < D / 16 && DEEP; k++)
    ldmatrix4 (qf[k], &qs[lane & 15][k * 16 + (lane >> 4) * 8]);

  const int c2 = lane % 4 * 2;
  float o[D / 8][4] = {};
  float top[2] = { -INFINITY, -INFINITY }, sum[2] = { 0.f, 0.f };
  int stage = 0, parity = 0;
  for (int t = t_first + warp; t < t_end; t += TOKEN_WARPS)
    {
#if __CUDA_ARCH__ >= 900
      if (BOXES)
        barrier_wait (&landed[warp][stage], parity);
      else
#endif
        asm volatile ("cp.async.wait_group %0;" ::"n"(STAGES - 1) : "memory");
      __syncwarp ();
      __half *k = mine + stage * STAGE, *v = k + STAGE / 2;
      const int p0 = t * TILE;
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
      float s[2][4] = {};
#pragma unroll
      for (int kk = 0; kk < D / 16; kk++)
        {
          uint32_t b[4], (&q)[4] = qf[DEEP ? kk : 0];
          if (!DEEP)
            ldmatrix4 (q, &qs[lane & 15][kk * 16 + (lane >> 4) * 8]);
          ldmatrix4 (b, k + place ((lane & 7) + (lane & 16 ? 8 : 0), kk * 2 + (lane & 8 ? 1 : 0)));
          mma (s[0], q, b[0], b[1]);
          mma (s[1], q, b[2], b[3]);
        }
      const bool edge = p0 < first || p0 + TILE > last;
      float mx[2] = { top[0], top[1] };
#pragma unroll
      for (int n = 0; n < 2; n++)
#pragma unroll
        for (int i = 0; i < 4; i++)
          {
            float x = s[n][i];
            if (a.soft_cap > 0.f)
              x = a.soft_cap * tanhf (x / a.soft_cap) * LOG2_E;
            const int p = p0 + n * 8 + c2 + (i & 1);
            if (edge && (p < first || p >= last))
              x = -INFINITY;
            s[n][i] = x;
            mx[i / 2] = fmaxf (mx[i / 2], x);
          }
#pragma unroll
      for (int i = 0; i < 2; i++)
        {
          mx[i] = fmaxf (mx[i], __shfl_xor_sync (~0u, mx[i], 1));
          mx[i] = fmaxf (mx[i], __shfl_xor_sync (~0u, mx[i], 2));
          const float base = mx[i] == -INFINITY ? 0.f : mx[i], keep = exp2f (top[i] - base);
          top[i] = mx[i];
          mx[i] = base;
          sum[i] *= keep;
#pragma unroll
          for (int n = 0; n < D / 8; n++)
            {
              o[n][2 * i] *= keep;
              o[n][2 * i + 1] *= keep;
            }
        }
#pragma unroll
      for (int n = 0; n < 2; n++)
#pragma unroll
        for (int i = 0; i < 4; i++)
          {
            s[n][i] = exp2f (s[n][i] - mx[i / 2]);
            sum[i / 2] += s[n][i];
          }
      const uint32_t w[4] = { two_halves (s[0][0], s[0][1]), two_halves (s[0][2], s[0][3]),
                              two_halves (s[1][0], s[1][1]), two_halves (s[1][2], s[1][3]) };
#pragma unroll
      for (int n = 0; n < D / 8; n += 2)
        {
          uint32_t b[4];
          ldmatrix4_trans (b, v + place (lane & 15, n + (lane & 16 ? 1 : 0)));
          mma (o[n], w, b[0], b[1]);
          mma (o[n + 1], w, b[2], b[3]);
        }
      __syncwarp ();
      fetch (t + STAGES * TOKEN_WARPS, block, stage);
      block = block_of (t + (STAGES + 1) * TOKEN_WARPS);
      stage = stage + 1 == STAGES ? 0 : stage + 1;
      parity ^= stage == 0;
    }

  // warps of the block, [warp][head][D + 2] over the tiles
  asm volatile ("cp.async.wait_group 0;" ::: "memory");
  __syncthreads ();
  float *merge = (float *) tiles;
#pragma unroll
  for (int i = 0; i < 2; i++)
    {
      sum[i] += __shfl_xor_sync (~0u, sum[i], 1);
      sum[i] += __shfl_xor_sync (~0u, sum[i], 2);
      const int h = lane / 4 + 8 * i;
      if (h >= n_group)
        continue;
      float *to = merge + (warp * n_group + h) * (D + 2);
#pragma unroll
      for (int n = 0; n < D / 8; n++)
        {
          to[n * 8 + c2] = o[n][2 * i];
          to[n * 8 + c2 + 1] = o[n][2 * i + 1];
        }
      if (lane % 4 == 0)
        {
          to[D] = top[i];
          to[D + 1] = sum[i];
        }
    }
  __syncthreads ();
  for (int t = threadIdx.x; t < n_group * D / 2; t += TOKEN_THREADS)
    {
      const int h = t / (D / 2), i = t % (D / 2) * 2, head = head0 + h;
      const float *from = merge + h * (D + 2);
      float2 part[TOKEN_WARPS]; // maximum and sum
      float mx = -INFINITY, s = 0.f;
      float2 v = make_float2 (0.f, 0.f);
#pragma unroll
      for (int l = 0; l < TOKEN_WARPS; l++)
        {
          part[l] = *(const float2 *) (from + l * n_group * (D + 2) + D);
          mx = fmaxf (mx, part[l].x);
        }
#pragma unroll
      for (int l = 0; l < TOKEN_WARPS; l++)
        {
          const float w = exp2f (part[l].x - mx);
          const float2 u = *(const float2 *) (from + l * n_group * (D + 2) + i);
          s += part[l].y * w, v.x += u.x * w, v.y += u.y * w;
        }
      if (n_active == 1)
        {
          if (a.sinks)
            s += exp2f (a.sinks[head] * LOG2_E - mx);
          *(float2 *) (y + ((size_t) row * a.n_head + head) * D + i) = make_float2 (v.x / s, v.y / s);
          continue;
        }
      float *to = partial + (((size_t) row * a.n_head + head) * n_slices + slice) * (D + 2);
      *(float2 *) (to + i) = v;
      if (i == 0)
        *(float2 *) (to + D) = make_float2 (mx, s);
    }
  if (n_active == 1)
    return;
  if (!last_slice (counters + row * gridDim.x + merge_at, n_active))
    return;
  for (int t = threadIdx.x; t < n_group * D / 2; t += TOKEN_THREADS)
    {
      const int head = head0 + t / (D / 2), i = t % (D / 2) * 2;
      const size_t at = (size_t) row * a.n_head + head;
      *(float2 *) (y + at * D + i)
          = sum_of_slices<D, DEEP ? 16 : 8> (partial + at * n_slices * (D + 2), n_active, i, a.sinks ? a.sinks[head] * LOG2_E : -INFINITY);
    }
#endif
}

template <int D>
__global__ void __maxnreg__ (D > 128 ? 255 : 96)
token_kernel (CuAttention a, CuQkv f, CuMeta m, float *y, float *partial, int *counters, int n_group, int n_parts)
{
  attend<D, false> (a, f, m, y, partial, counters, n_group, n_parts, NULL);
}

struct Maps
{
  CUtensorMap map[2];
};

template <int D>
__global__ void __launch_bounds__ (TOKEN_THREADS)
deep_token_kernel (const __grid_constant__ Maps maps, CuAttention a, CuQkv f, CuMeta m, float *y, float *partial,
                   int *counters, int n_group)
{
  attend<D, true> (a, f, m, y, partial, counters, n_group, 1, maps.map);
}

// Dynamic shared memory, and what stands beside it. Boxes: no gaps, but room to start at a multiple of 1,024.
static constexpr int
token_bytes (int d, bool deep, bool boxes)
{
  return TOKEN_WARPS * token_stages (d, deep, boxes) * 2 * TILE * (d + (boxes ? 0 : 8)) * 2 + (boxes ? 1024 : 0);
}
static constexpr int
token_fixed_bytes (int d)
{
  return (16 * (d + 8) + 2 * d) * 2 + (TOKEN_WARPS + 1) * d * 4 + TOKEN_WARPS * 3 * 8 + 64;
}

static int
slices_for (const CuAttention *a, int n_rows, int n_units, int n_parts)
{
  const int n = n_units / (a->n_head_kv * n_parts * n_rows);
  return n < 1 ? 1 : n > MAX_SLICES ? MAX_SLICES : n;
}

template <int D>
static cudaError_t
token (CuStream s, const CuAttention *a, const CuQkv *f, const CuMeta *m, float *y, int n_rows, float *partial,
       int *counters, int n_units, int pdl)
{
  // groups of four query heads: with their key and value a vector a warp
  const int n_group = a->n_head / a->n_head_kv, n_parts = n_group % CU_TOKEN_HEADS == 0 ? n_group / CU_TOKEN_HEADS : 1;
  const int n = slices_for (a, n_rows, n_units, n_parts);
  return launch_kernel (token_kernel<D>, dim3 (a->n_head_kv * n_parts, n_rows, n), TOKEN_THREADS, token_bytes (D, false, false), s, pdl, *a, *f, *m, y, partial, counters,
                        n_group / n_parts, n_parts);
}

template <int D>
static cudaError_t
deep_token (CuStream s, const CuAttention *a, const CuQkv *f, const CuMeta *m, float *y, int n_rows, float *partial,
            int *counters, int n_units, int pdl)
{
  const int n = slices_for (a, n_rows, n_units, 1);
  const bool boxes = cu_code_arch () >= 90;
  Maps maps = {};
  if (boxes && (!cu_map_cache (a->k, a, TILE, &maps.map[0]) || !cu_map_cache (a->v, a, TILE, &maps.map[1])))
    return token<D> (s, a, f, m, y, n_rows, partial, counters, n_units, pdl);
  return launch_kernel (deep_token_kernel<D>, dim3 (a->n_head_kv, n_rows, n), TOKEN_THREADS, token_bytes (D, true, boxes), s, pdl, maps, *a, *f, *m, y, partial, counters,
                        a->n_head / a->n_head_kv);
}

bool
cu_attention_token_fits (const CuAttention *a)
{
  int limit;
  if (shared_limit (&limit) != cudaSuccess)
    return false;
  const int d = a->k_width;
  const bool width = d == 16 || d == 32 || d == 64 || d == 80 || d == 96 || d == 128 || d == 256;
  return cu_code_arch () >= 80 && width && d == a->v_width && a->causal && a->n_head % a->n_head_kv == 0
         && a->n_head / a->n_head_kv <= 16 && token_bytes (d, false, false) + token_fixed_bytes (d) <= limit;
}

cudaError_t
cu_attention_token (CuStream s, const CuAttention *a, const CuQkv *f, const CuMeta *m, float *y, int n_rows,
                    float *partial, int *counters, int n_units, bool deep, int pdl)
{
  int limit;
  const cudaError_t e = shared_limit (&limit);
  if (e != cudaSuccess)
    return e;
  deep = deep && token_bytes (a->k_width, true, cu_code_arch () >= 90) + token_fixed_bytes (a->k_width) <= limit;
  switch (a->k_width)
    {
#define CASE(D)                                                                                    \
  case D:                                                                                          \
    return deep ? deep_token<D> (s, a, f, m, y, n_rows, partial, counters, n_units, pdl)           \
                : token<D> (s, a, f, m, y, n_rows, partial, counters, n_units, pdl);
      CASE (64)
      CASE (128)
#undef CASE
#define CASE(D)                                                                                    \
  case D:                                                                                          \
    return token<D> (s, a, f, m, y, n_rows, partial, counters, n_units, pdl);
      CASE (16)
      CASE (32)
      CASE (80)
      CASE (96)
      CASE (256)
#undef CASE
    default:
      return cudaErrorInvalidConfiguration;
    }
}
