// SPDX-License-Identifier: Apache-2.0
// What attention of single tokens does in short contexts (kernel-attention-token.cu) and in deep ones (kernel-attention-deep.cu): head norms and
// RoPE in front, and a tile of positions.
//
// A block takes one KV head of one row and a slice of its positions; the query heads that share the KV head, or some of
// them, are the rows of one tensor-core tile (at most 16). Each of its warps walks tiles of 16 positions with a softmax of its own
// (running maximum and sum in base 2, as FlashAttention-2 does, arXiv 2307.08691); warps and slices are merged at the
// end, slices by the last block to arrive.
#pragma once

#include "kernel-attention-slices.cuh"
#include "kernel-bulk.cuh"

#define TOKEN_WARPS 8
#define TOKEN_THREADS (TOKEN_WARPS * 32)
#define TILE 16

// One head's vector, of which a lane has numbers lane, lane + 32, ..., through clamp, norm and RoPE, by one warp; @head: D floats of shared
// memory. @norm_kind: without weights where @has_weights is not set. @angle (n, i): cosine and sine by which pair i is turned, to which the lane's
// number n belongs, or any where n is negative.
template <int D, typename Angle>
CU_DEV void
finish_head (const CuQkv &f, int norm_kind, bool has_weights, const float *weights, bool turn, const Angle &angle, float *v,
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
            {
              const float2 a = angle (n, i / 2);
              v[n] = (i & 1 ? other * a.y + v[n] * a.x : v[n] * a.x - other * a.y) * f.rope_scale;
            }
        }
      return;
    }
  if (D % 64 == 0 && f.n_rot == D) // both halves are this lane's
    {
#pragma unroll
      for (int n = 0; n < N / 2; n++)
        {
          const float x0 = v[n], x1 = v[n + N / 2];
          const float2 a = angle (n, n * 32 + lane);
          v[n] = (x0 * a.x - x1 * a.y) * f.rope_scale;
          v[n + N / 2] = (x0 * a.y + x1 * a.x) * f.rope_scale;
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
      const float2 a = angle (-1, i);
      head[i] = (x0 * a.x - x1 * a.y) * f.rope_scale;
      head[i + f.n_rot / 2] = (x0 * a.y + x1 * a.x) * f.rope_scale;
    }
  __syncwarp ();
#pragma unroll
  for (int n = 0; n < N; n++)
    if (n * 32 + lane < D)
      v[n] = head[n * 32 + lane];
}

// Where the vectors of a block are: the query heads of its group, then the new key, then the new value.
struct TokenVectors
{
  const CuQkv &f;
  const float *q, *k, *v; // of the row
  int n_group;

  // Of the block of (@row, @kv) whose first query head is @head0.
  template <int D>
  CU_DEV static TokenVectors
  of (const CuAttention &a, const CuQkv &f, int row, int kv, int head0, int n_group)
  {
    const size_t at = ((size_t) row * a.n_head_kv + kv) * D;
    return { f, f.q + ((size_t) row * a.n_head + head0) * D, f.k + at, f.v + at, n_group };
  }
  CU_DEV const float *
  at (int i, int width) const
  {
    return i < n_group ? q + (size_t) i * width : i == n_group ? k : v;
  }
  CU_DEV const float *
  norm (int i) const
  {
    return i < n_group ? f.q_norm : i == n_group ? f.k_norm : NULL;
  }
  CU_DEV int
  norm_kind (int i) const
  {
    return norm (i) ? f.norm_kind : i > n_group && f.value_norm ? ENG_NORM_RMS : ENG_NORM_NONE;
  }
};
// The numbers lane, lane + 32, ... of a vector.
template <int D>
CU_DEV void
load_lanes (const float *from, bool in, int lane, float *to)
{
#pragma unroll
  for (int n = 0; n < (D + 31) / 32; n++)
    to[n] = in && n * 32 + lane < D ? __ldcg (from + n * 32 + lane) : 0.f;
}
template <int D>
CU_DEV void
load_norm (const float *norm, int lane, float *to)
{
#pragma unroll
  for (int n = 0; n < (D + 31) / 32; n++)
    if (norm && n * 32 + lane < D)
      to[n] = __ldg (norm + n * 32 + lane);
}

#if __CUDA_ARCH__ >= 800
// A warp's sums over the tiles it has seen, as fragments of m16n8: rows are query heads.
template <int D> struct TokenSums
{
  float o[D / 8][4] = {};
  float top[2] = { -INFINITY, -INFINITY }, sum[2] = { 0.f, 0.f };

  // Positions from @p0 on, of which those in [@first, @last) count. @query (kk, q): fragment of the queries; @place (r, c): where piece c of
  // eight numbers of row r lies in @k and @v.
  template <typename Query, typename Place>
  CU_DEV void
  add (const __half *k, const __half *v, int p0, int first, int last, float soft_cap, const Query &query, const Place &place)
  {
    const int lane = threadIdx.x % 32, c2 = lane % 4 * 2;
    float s[2][4] = {};
#pragma unroll
    for (int kk = 0; kk < D / 16; kk++)
      {
        uint32_t b[4], q[4];
        query (kk, q);
        ldmatrix4 (b, k + place ((lane & 7) + (lane & 16 ? 8 : 0), kk * 2 + (lane & 8 ? 1 : 0)));
        mma (s[0], q, b[0], b[1]);
        mma (s[1], q, b[2], b[3]);
      }
    if (soft_cap > 0.f)
#pragma unroll
      for (int n = 0; n < 8; n++)
        s[n / 4][n % 4] = soft_cap * tanhf (s[n / 4][n % 4] / soft_cap) * LOG2_E;
    const bool edge = p0 < first || p0 + TILE > last;
    float mx[2] = { top[0], top[1] };
#pragma unroll
    for (int n = 0; n < 2; n++)
#pragma unroll
      for (int i = 0; i < 4; i++)
        {
          const int p = p0 + n * 8 + c2 + (i & 1);
          if (edge && (p < first || p >= last))
            s[n][i] = -INFINITY;
          mx[i / 2] = fmaxf (mx[i / 2], s[n][i]);
        }
#pragma unroll
    for (int i = 0; i < 2; i++)
      {
        mx[i] = fmaxf (mx[i], __shfl_xor_sync (~0u, mx[i], 1));
        mx[i] = fmaxf (mx[i], __shfl_xor_sync (~0u, mx[i], 2));
        const float base = mx[i] == -INFINITY ? 0.f : mx[i], keep = exp2_fast (top[i] - base);
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
          s[n][i] = exp2_fast (s[n][i] - mx[i / 2]);
          sum[i / 2] += s[n][i];
        }
    const uint32_t w[4] = { two_halves (s[0][0], s[0][1]), two_halves (s[0][2], s[0][3]), two_halves (s[1][0], s[1][1]), two_halves (s[1][2], s[1][3]) };
#pragma unroll
    for (int n = 0; n < D / 8; n += 2)
      {
        uint32_t b[4];
        ldmatrix4_trans (b, v + place (lane & 15, n + (lane & 16 ? 1 : 0)));
        mma (o[n], w, b[0], b[1]);
        mma (o[n + 1], w, b[2], b[3]);
      }
  }

  // Values of the first @n_group heads to @values [head][@pitch]; @ends (head, largest score, sum of weights), by one lane of a head.
  template <typename Ends>
  CU_DEV void
  put (float *values, int pitch, int n_group, const Ends &ends)
  {
    const int lane = threadIdx.x % 32, c2 = lane % 4 * 2;
#pragma unroll
    for (int i = 0; i < 2; i++)
      {
        sum[i] += __shfl_xor_sync (~0u, sum[i], 1);
        sum[i] += __shfl_xor_sync (~0u, sum[i], 2);
        const int h = lane / 4 + 8 * i;
        if (h >= n_group)
          continue;
        float *to = values + h * pitch + c2;
#pragma unroll
        for (int n = 0; n < D / 8; n++)
          *(float2 *) (to + n * 8) = make_float2 (o[n][2 * i], o[n][2 * i + 1]);
        if (c2 == 0)
          ends (h, top[i], sum[i]);
      }
  }
};
#endif

// Slices of a row's positions: as many as give every multiprocessor one, of @n_units; counters and scratch are for ENG_CUDA_GEMV_ROWS rows.
static inline int
slices_for (const CuAttention *a, int n_rows, int n_units, int n_parts)
{
  const int n = n_rows > ENG_CUDA_GEMV_ROWS ? 1 : n_units / (a->n_head_kv * n_parts * n_rows);
  return n < 1 ? 1 : n > CU_ATTENTION_SLICES ? CU_ATTENTION_SLICES : n;
}

// kernel-attention-deep.cu, of heads of 64 and of 128; cudaErrorNotSupported: not on this card, or no maps.
cudaError_t cu_attention_deep (CuStream s, const CuAttention *a, const CuQkv *f, const CuMeta *m, float *y, int n_rows, float *partial,
                               int *counters, int n_units, int pdl);
