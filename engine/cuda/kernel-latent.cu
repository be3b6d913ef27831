// SPDX-License-Identifier: Apache-2.0
// Multi-head latent attention: the products of each head with a matrix of its own for few rows, and what makes keys of
// latents and turns the queries' last numbers.
#include "kernel-launch.cuh"

#define WARPS 8

// How many neighbouring columns a lane reads at a time: a pair of sub-blocks, or four numbers.
__host__ __device__ constexpr int
piece_of (int type)
{
  return format_of (type).q ? 64 : 4;
}

// Piece @at, counted over all rows.
template <int TYPE>
CU_DEV void
load_piece (const CuWeight &w, uint64_t at, float v[piece_of (TYPE)])
{
  if constexpr (piece_of (TYPE) == 64)
    {
      Pair<TYPE> p;
      pair_load (p, w, at);
      pair_expand (p, v);
    }
  else if constexpr (TYPE == ENG_TYPE_F32)
    {
      const float4 u = __ldg ((const float4 *) w.q + at);
      v[0] = u.x, v[1] = u.y, v[2] = u.z, v[3] = u.w;
    }
  else
    {
      const uint2 u = load8 (w.q + at * 8);
      const uint32_t bits[4] = { u.x & 0xffff, u.x >> 16, u.y & 0xffff, u.y >> 16 };
#pragma unroll
      for (int i = 0; i < 4; i++)
        v[i] = TYPE == ENG_TYPE_F16 ? half_bits (bits[i]) : __uint_as_float (bits[i] << 16);
    }
}

// A row's output of a head: @lanes lanes (a power of two) take its pieces in turn.
template <int TYPE>
static __global__ void __launch_bounds__ (WARPS * 32)
heads_kernel (const __grid_constant__ CuHeads h, int lanes)
{
  wait_for_input ();
  constexpr int N = piece_of (TYPE);
  const int lane = threadIdx.x % 32, head = blockIdx.y, row = blockIdx.z, n_pieces = h.w.n_cols / N;
  const uint32_t out = (blockIdx.x * WARPS + threadIdx.x / 32) * (32 / lanes) + lane / lanes;
  const float *x = h.x + (size_t) row * h.x_stride + (size_t) head * h.x_head;
  float sum = 0.f;
  if (out < h.w.n_rows)
    for (int p = lane % lanes; p < n_pieces; p += lanes)
      {
        float v[N];
        load_piece<TYPE> (h.w, ((uint64_t) head * h.w.n_rows + out) * n_pieces + p, v);
#pragma unroll
        for (int i = 0; i < N; i += 4)
          {
            const float4 u = *(const float4 *) (x + p * N + i);
            sum += v[i] * u.x + v[i + 1] * u.y + v[i + 2] * u.z + v[i + 3] * u.w;
          }
      }
  for (int o = lanes / 2; o; o >>= 1)
    sum += __shfl_xor_sync (~0u, sum, o);
  if (lane % lanes == 0 && out < h.w.n_rows)
    h.y[(size_t) row * h.y_stride + (size_t) head * h.y_head + out] = sum;
}

// The transposed matrix: a warp has a piece of the columns, its lanes take the rows in turn.
template <int TYPE>
static __global__ void __launch_bounds__ (WARPS * 32)
turned_kernel (const __grid_constant__ CuHeads h)
{
  wait_for_input ();
  constexpr int N = piece_of (TYPE);
  const int lane = threadIdx.x % 32, head = blockIdx.y, row = blockIdx.z, n_pieces = h.w.n_cols / N;
  const int piece = blockIdx.x * WARPS + threadIdx.x / 32;
  if (piece >= n_pieces)
    return;
  const float *x = h.x + (size_t) row * h.x_stride + (size_t) head * h.x_head;
  float sum[N] = {};
  for (uint32_t r = lane; r < h.w.n_rows; r += 32)
    {
      float v[N];
      load_piece<TYPE> (h.w, ((uint64_t) head * h.w.n_rows + r) * n_pieces + piece, v);
#pragma unroll
      for (int i = 0; i < N; i++)
        sum[i] += v[i] * x[r];
    }
  float *y = h.y + (size_t) row * h.y_stride + (size_t) head * h.y_head + piece * N;
#pragma unroll
  for (int i = 0; i < N; i++)
    {
      const float all = warp_sum (sum[i]);
      if (lane == i % 32)
        y[i] = all;
    }
}

template <int TYPE>
static cudaError_t
heads (CuStream s, const CuHeads *h, int n_rows, int pdl)
{
  const int n_pieces = h->w.n_cols / piece_of (TYPE), n_heads = h->w.n_slices;
  if (h->turned)
    return launch_kernel (turned_kernel<TYPE>, dim3 ((n_pieces + WARPS - 1) / WARPS, n_heads, n_rows), WARPS * 32, 0, s, pdl, *h);
  int lanes = 1;
  while (lanes < 32 && lanes < n_pieces)
    lanes *= 2;
  const int at_once = WARPS * (32 / lanes);
  return launch_kernel (heads_kernel<TYPE>, dim3 ((h->w.n_rows + at_once - 1) / at_once, n_heads, n_rows), WARPS * 32, 0, s, pdl, *h,
                        lanes);
}

cudaError_t
cu_heads (CuStream s, const CuHeads *h, int n_rows, int pdl)
{
  if (h->w.q_bytes)
    CU_SWITCH_TYPE (h->w.type, return heads<TYPE> (s, h, n_rows, pdl))
  else if (h->w.type == ENG_TYPE_F32)
    return heads<ENG_TYPE_F32> (s, h, n_rows, pdl);
  else if (h->w.type == ENG_TYPE_F16)
    return heads<ENG_TYPE_F16> (s, h, n_rows, pdl);
  else if (h->w.type == ENG_TYPE_BF16)
    return heads<ENG_TYPE_BF16> (s, h, n_rows, pdl);
  return cudaErrorInvalidConfiguration;
}

// ---- RoPE and the keys ----

CU_DEV void
turn_pair (const CuLatent &l, const float2 *turn, int i, const float *from, float *to)
{
  const int i0 = l.rope_kind == ENG_ROPE_NEOX ? i : 2 * i, i1 = l.rope_kind == ENG_ROPE_NEOX ? i + l.n_rot / 2 : 2 * i + 1;
  const float x0 = from[i0], x1 = from[i1];
  to[i0] = x0 * turn[i].x - x1 * turn[i].y;
  to[i1] = x0 * turn[i].y + x1 * turn[i].x;
}

// A block has a row. Its last warp makes the key, the others turn the heads' queries.
static __global__ void __launch_bounds__ (WARPS * 32)
latent_kernel (const __grid_constant__ CuLatent l, CuMeta m)
{
  wait_for_input ();
  extern __shared__ float2 turn[]; // [n_rot / 2], then the key's turned numbers
  float *turned = (float *) (turn + l.n_rot / 2);
  const int row = blockIdx.x, warp = threadIdx.x / 32, lane = threadIdx.x % 32, n_pairs = l.n_rot / 2;
  const int position = m.position[row];
  for (int i = threadIdx.x; i < n_pairs; i += blockDim.x)
    {
      float sn, cs;
      sincosf ((float) position * l.inv_freq[i], &sn, &cs);
      turn[i] = make_float2 (cs * l.rope_scale, sn * l.rope_scale);
    }
  __syncthreads ();
  if (warp < WARPS - 1)
    {
      for (int t = threadIdx.x; t < l.n_head * n_pairs; t += (WARPS - 1) * 32)
        {
          const size_t head = (size_t) row * l.n_head + t / n_pairs;
          turn_pair (l, turn, t % n_pairs, l.query + head * (l.n_plain + l.n_rot) + l.n_plain,
                     l.q + head * (l.n_latent + l.n_rot) + l.n_latent);
        }
      return;
    }
  const int width = l.n_latent + l.n_rot;
  const float *x = l.latent + (size_t) row * width;
  const int block = m.table[l.group][(size_t) m.sequence[row] * m.table_stride[l.group] + position / ENG_KV_BLOCK];
  __half *key = l.kc + ((size_t) block * ENG_KV_BLOCK + position % ENG_KV_BLOCK) * width;
  float square = 0.f;
  for (int i = lane; i < l.n_latent; i += 32)
    square += x[i] * x[i];
  const float inv = rsqrtf (warp_sum (square) / l.n_latent + l.eps);
  for (int i = lane; i < l.n_latent; i += 32)
    key[i] = __float2half (x[i] * inv * l.norm[i]);
  for (int i = lane; i < n_pairs; i += 32)
    turn_pair (l, turn, i, x + l.n_latent, turned);
  __syncwarp ();
  for (int i = lane; i < l.n_rot; i += 32)
    key[l.n_latent + i] = __float2half (turned[i]);
}

cudaError_t
cu_latent (CuStream s, const CuLatent *l, const CuMeta *m, int n_rows, int pdl)
{
  return launch_kernel (latent_kernel, n_rows, WARPS * 32, l->n_rot * 8, s, pdl, *l, *m);
}
