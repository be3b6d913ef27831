// SPDX-License-Identifier: Apache-2.0
// Attention of single tokens, with what stands between the QKV product and it: head norms, RoPE and the write of
// the new key and value to the cache. In short contexts each warp has one tile: what takes the time is how long one chain of instructions is.
// 96 registers leave room for a block beside one of kernel-decode-ring.cuh; it is there before that ends, and what does not depend on
// it is over by then.
//
// Keys and values of earlier positions were written by earlier runs: they are asked for before the wait for the QKV
// product. The row's own are patched into their tile from shared memory. So every sequence of the batch has one
// row here; several rows of one sequence go through cu_qkv_finish () and cu_attention_decode ().
#include "kernel-attention-token.cuh"

#define LEAST_SLICE 128 // positions: merging slices costs more than walking these

__host__ __device__ constexpr int
token_stages (int d)
{
  return d == 64 || d > 80 ? 1 : 2; // small heads of other widths have no deep kernel, and room for two
}

// The query heads of a KV head, @n_all, in @n_parts blocks of @of_part, the last of which may have fewer.
template <int D>
__global__ void __maxnreg__ (D > 128 ? 255 : 96)
token_kernel (CuAttention a, CuQkv f, CuMeta m, float *y, float *partial, int *counters, int n_all, int of_part, int n_parts)
{
#if __CUDA_ARCH__ >= 800
  constexpr int PITCH = D + 8, STAGES = token_stages (D), STAGE = 2 * TILE * PITCH; // halves a row: rows fall on different banks
  extern __shared__ __align__ (16) __half tiles[]; // [warp][stage][k, v][TILE][PITCH]
  __shared__ __align__ (16) __half qs[16][PITCH], own[2][D];
  __shared__ float heads[TOKEN_WARPS][D], cs[D / 2], sn[D / 2];
  // blocks [key heads and parts of their groups][rows][slices]
  const int merge_at = blockIdx.x, row = blockIdx.y, slice = blockIdx.z, n_slices = gridDim.z;
  const int kv = n_parts == 1 ? merge_at : merge_at / n_parts, part = merge_at - kv * n_parts;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int left = n_all - part * of_part, n_group = left < of_part ? left : of_part, head0 = kv * n_all + part * of_part; // of this block's query heads
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
  const TokenVectors vectors = TokenVectors::of<D> (a, f, row, kv, head0, n_group);
  load_norm<D> (vectors.norm (warp), lane, weights);

  auto place = [] (int r, int c) { return r * PITCH + c * 8; };
  // @block: that of the tile
  auto fetch = [&] (int t, int block, int stage) {
    __half *k = mine + stage * STAGE, *v = k + STAGE / 2;
    if (t < t_end)
      {
        const size_t at = (((size_t) block * a.n_head_kv + kv) * ENG_KV_BLOCK + t * TILE % ENG_KV_BLOCK) * D;
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
#pragma unroll
  for (int i = 0; i < STAGES; i++)
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
  load_lanes<D> (vectors.at (warp, D), warp < n_vectors, lane, next);
  for (int i = warp; i < n_vectors; i += TOKEN_WARPS)
    {
#pragma unroll
      for (int n = 0; n < N; n++)
        raw[n] = next[n];
      load_lanes<D> (vectors.at (i + TOKEN_WARPS, D), i + TOKEN_WARPS < n_vectors, lane, next);
      if (i != warp)
        load_norm<D> (vectors.norm (i), lane, weights);
      finish_head<D> (f, vectors.norm_kind (i), vectors.norm (i) != NULL, weights, turn && i <= n_group,
                      [&] (int, int pair) { return make_float2 (cs[pair], sn[pair]); }, raw, heads[warp], lane);
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
  __syncthreads ();
  start_next (); // its weights would have been in front of what was read here

  TokenSums<D> sums;
  int stage = 0;
  for (int t = t_first + warp; t < t_end; t += TOKEN_WARPS)
    {
      asm volatile ("cp.async.wait_group %0;" ::"n"(STAGES - 1) : "memory");
      __syncwarp ();
      __half *k = mine + stage * STAGE, *v = k + STAGE / 2;
      if (position / TILE == t)
        {
          for (int i = lane; i < D; i += 32)
            {
              k[position % TILE * PITCH + i] = own[0][i];
              v[position % TILE * PITCH + i] = own[1][i];
            }
          __syncwarp ();
        }
      sums.add (k, v, t * TILE, first, last, a.soft_cap, [&] (int kk, uint32_t q[4]) { ldmatrix4 (q, &qs[lane & 15][kk * 16 + (lane >> 4) * 8]); }, place);
      __syncwarp ();
      fetch (t + STAGES * TOKEN_WARPS, block, stage);
      block = block_of (t + (STAGES + 1) * TOKEN_WARPS);
      stage = stage + 1 == STAGES ? 0 : stage + 1;
    }

  // warps of the block, [warp][head][PITCH] over the tiles: values, largest score, sum of weights
  asm volatile ("cp.async.wait_group 0;" ::: "memory");
  __syncthreads ();
  float *merge = (float *) tiles;
  sums.put (merge + warp * n_group * PITCH, PITCH, n_group, [&] (int h, float top, float sum) {
    *(float2 *) (merge + (warp * n_group + h) * PITCH + D) = make_float2 (top, sum);
  });
  __syncthreads ();
  for (int t = threadIdx.x; t < n_group * D / 2; t += TOKEN_THREADS)
    {
      const int h = t / (D / 2), i = t % (D / 2) * 2, head = head0 + h;
      const float *from = merge + h * PITCH;
      float2 part[TOKEN_WARPS]; // maximum and sum
      float mx = -INFINITY, s = 0.f;
      float2 v = make_float2 (0.f, 0.f);
#pragma unroll
      for (int l = 0; l < TOKEN_WARPS; l++)
        {
          part[l] = *(const float2 *) (from + l * n_group * PITCH + D);
          mx = fmaxf (mx, part[l].x);
        }
#pragma unroll
      for (int l = 0; l < TOKEN_WARPS; l++)
        {
          const float w = exp2f (part[l].x - mx);
          const float2 u = *(const float2 *) (from + l * n_group * PITCH + i);
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
          = sum_of_slices<D, 8> (partial + at * n_slices * (D + 2), n_active, i, a.sinks ? a.sinks[head] * LOG2_E : -INFINITY);
    }
#endif
}

// Dynamic shared memory, and what stands beside it.
static constexpr int
token_bytes (int d)
{
  return TOKEN_WARPS * token_stages (d) * 2 * TILE * (d + 8) * 2;
}
static constexpr int
token_fixed_bytes (int d)
{
  return (16 * (d + 8) + 2 * d) * 2 + (TOKEN_WARPS + 1) * d * 4 + 64;
}

template <int D>
static cudaError_t
token (CuStream s, const CuAttention *a, const CuQkv *f, const CuMeta *m, float *y, int n_rows, float *partial,
       int *counters, int n_units, int pdl)
{
  // with the new key and value no more vectors than warps
  const int n_group = a->n_head / a->n_head_kv, n_parts = n_group + 2 > TOKEN_WARPS ? (n_group + CU_TOKEN_HEADS - 1) / CU_TOKEN_HEADS : 1;
  const int n = slices_for (a, n_rows, n_units, n_parts);
  return launch_kernel (token_kernel<D>, dim3 (a->n_head_kv * n_parts, n_rows, n), TOKEN_THREADS, token_bytes (D), s, pdl, *a, *f, *m, y, partial, counters,
                        n_group, (n_group + n_parts - 1) / n_parts, n_parts);
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
         && a->n_head / a->n_head_kv <= 16 && token_bytes (d) + token_fixed_bytes (d) <= limit;
}

bool
cu_attention_is_deep (const CuAttention *a, int depth)
{
  // early where a warp has a vector, and a slice enough to read
  return depth == 2 || (depth == 1 && a->k_width == 128 && a->n_head / a->n_head_kv + 2 <= TOKEN_WARPS);
}

cudaError_t
cu_attention_token (CuStream s, const CuAttention *a, const CuQkv *f, const CuMeta *m, float *y, int n_rows,
                    float *partial, int *counters, int n_units, bool deep, int pdl)
{
  if (deep)
    {
      const cudaError_t e = cu_attention_deep (s, a, f, m, y, n_rows, partial, counters, n_units, pdl);
      if (e != cudaErrorNotSupported)
        return e;
    }
  switch (a->k_width)
    {
#define CASE(D)                                                                                    \
  case D:                                                                                          \
    return token<D> (s, a, f, m, y, n_rows, partial, counters, n_units, pdl);
      CASE (16)
      CASE (32)
      CASE (64)
      CASE (80)
      CASE (96)
      CASE (128)
      CASE (256)
#undef CASE
    default:
      return cudaErrorInvalidConfiguration;
    }
}
