// SPDX-License-Identifier: Apache-2.0
// Attention over the blocked KV cache (ENG_KV_BLOCK positions of one KV head lie together).
//
// Decode: a block takes one KV head of one row and a slice of its positions; all query heads that share
// the KV head are done from one read of keys and values. Eight lanes share a position, four positions
// go through a warp at a time, and every group of eight keeps its own running softmax; groups, warps and
// slices are merged at the end, slices by the last block to arrive.
//
// Prefill: 64 query rows of one head a block, four warps of 16 rows, keys and values in tiles of one KV
// block through shared memory, tensor cores (mma.sync f16 -> f32), running softmax in base 2. (The scheme
// is FlashAttention-2's, arXiv 2307.08691.) Hopper has a kernel of its own, kernel-attention-hopper.cu.
#include "kernel-launch.cuh"
#include "kernel-mma.cuh"

#define DECODE_WARPS 8

// N consecutive halves as floats; N is a multiple of 4, or of 2.
template <int N>
CU_DEV void
load_halves (const __half *p, float v[N])
{
  if constexpr (N % 8 == 0)
    {
#pragma unroll
      for (int i = 0; i < N; i += 8)
        {
          const uint4 u = *(const uint4 *) (p + i);
          const uint32_t w[4] = { u.x, u.y, u.z, u.w };
#pragma unroll
          for (int k = 0; k < 4; k++)
            {
              const float2 f = __half22float2 (*(const __half2 *) &w[k]);
              v[i + 2 * k] = f.x;
              v[i + 2 * k + 1] = f.y;
            }
        }
    }
  else
    {
#pragma unroll
      for (int i = 0; i < N; i += 2)
        {
          const float2 f = __half22float2 (*(const __half2 *) (p + i));
          v[i] = f.x;
          v[i + 1] = f.y;
        }
    }
}

// H query heads a warp (fewer where heads are wide: registers), D = head width, N = D / 8 values a lane.
template <int D, int H>
__global__ void __launch_bounds__ (DECODE_WARPS * 32)
decode_kernel (CuAttention a, CuMeta m, int group, const float *q, float *y, float *partial,
               int *counters, int n_splits)
{
  constexpr int N = D / 8;
  wait_for_input ();
  const int row = blockIdx.y, kv = blockIdx.x % a.n_head_kv, split = blockIdx.x / a.n_head_kv;
  const int seq = m.sequence[row], position = m.position[row];
  const int end = a.causal ? position + 1 : m.length[seq];
  const int start = a.window > 0 && end > a.window ? end - a.window : 0;
  int chunk = ((end - start) + n_splits - 1) / n_splits;
  chunk = (chunk + ENG_KV_BLOCK - 1) / ENG_KV_BLOCK * ENG_KV_BLOCK;
  const int n_active = (end - start + chunk - 1) / chunk;
  if (split >= n_active)
    return;
  const int first = start + split * chunk, last = first + chunk < end ? first + chunk : end;

  const int n_group = a.n_head / a.n_head_kv, n_parts = (n_group + H - 1) / H;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, lane8 = lane % 8;
  const int part = warp % n_parts, lead = warp / n_parts, n_lead = DECODE_WARPS / n_parts;
  const int head0 = kv * n_group + part * H;
  const int n_heads = n_group - part * H < H ? n_group - part * H : H;

  float qv[H][N], acc[H][N], top[H], sum[H];
#pragma unroll
  for (int h = 0; h < H; h++)
    {
      top[h] = -INFINITY;
      sum[h] = 0.f;
#pragma unroll
      for (int i = 0; i < N; i++)
        {
          acc[h][i] = 0.f;
          qv[h][i] = h < n_heads ? q[((size_t) row * a.n_head + head0 + h) * D + lane8 * N + i] * a.scale
                                 : 0.f;
        }
    }
  const int32_t *table = m.table[group] + (size_t) seq * m.table_stride[group];
  const int step = n_lead * 4;
  if (lead < n_lead)
#pragma unroll 2
    for (int base = first + lead * 4; base < last; base += step)
      {
        const int p = base + lane / 8;
        const bool in = p < last;
        const int pc = in ? p : last - 1;
        const size_t at = (((size_t) table[pc / ENG_KV_BLOCK] * a.n_head_kv + kv) * ENG_KV_BLOCK
                           + pc % ENG_KV_BLOCK) * D + lane8 * N;
        float kf[N], vf[N];
        load_halves<N> (a.k + at, kf);
        load_halves<N> (a.v + at, vf);
#pragma unroll
        for (int h = 0; h < H; h++)
          {
            float s = 0.f;
#pragma unroll
            for (int i = 0; i < N; i++)
              s += qv[h][i] * kf[i];
            s += __shfl_xor_sync (~0u, s, 4);
            s += __shfl_xor_sync (~0u, s, 2);
            s += __shfl_xor_sync (~0u, s, 1);
            if (a.soft_cap > 0.f)
              s = a.soft_cap * tanhf (s / a.soft_cap);
            if (!in)
              s = -INFINITY;
            const float t = fmaxf (top[h], s), base_t = t == -INFINITY ? 0.f : t;
            const float keep = __expf (top[h] - base_t), w = __expf (s - base_t);
            top[h] = t;
            sum[h] = sum[h] * keep + w;
#pragma unroll
            for (int i = 0; i < N; i++)
              acc[h][i] = acc[h][i] * keep + w * vf[i];
          }
      }

  // four groups of a warp
#pragma unroll
  for (int h = 0; h < H; h++)
#pragma unroll
    for (int o = 8; o <= 16; o *= 2)
      {
        const float t2 = __shfl_xor_sync (~0u, top[h], o), s2 = __shfl_xor_sync (~0u, sum[h], o);
        const float t = fmaxf (top[h], t2);
        const float f1 = top[h] == -INFINITY ? 0.f : __expf (top[h] - t);
        const float f2 = t2 == -INFINITY ? 0.f : __expf (t2 - t);
        sum[h] = sum[h] * f1 + s2 * f2;
        top[h] = t;
#pragma unroll
        for (int i = 0; i < N; i++)
          acc[h][i] = acc[h][i] * f1 + __shfl_xor_sync (~0u, acc[h][i], o) * f2;
      }

  // warps of the block: [warp][h][D + 2]
  __shared__ float merge[DECODE_WARPS][H][D + 2];
  if (lane < 8)
#pragma unroll
    for (int h = 0; h < H; h++)
      {
#pragma unroll
        for (int i = 0; i < N; i++)
          merge[warp][h][lane8 * N + i] = acc[h][i];
        if (lane8 == 0)
          {
            merge[warp][h][D] = top[h];
            merge[warp][h][D + 1] = sum[h];
          }
      }
  __syncthreads ();
  // Thread t: value t % D of head t / D … over all heads of the group
  for (int t = threadIdx.x; t < n_group * D; t += blockDim.x)
    {
      const int h = t / D, i = t % D, pt = h / H, hh = h % H;
      float mx = -INFINITY, s = 0.f, v = 0.f;
      for (int l = 0; l < n_lead; l++)
        mx = fmaxf (mx, merge[l * n_parts + pt][hh][D]);
      for (int l = 0; l < n_lead; l++)
        {
          const float *w = merge[l * n_parts + pt][hh];
          const float f = w[D] == -INFINITY ? 0.f : __expf (w[D] - mx);
          s += w[D + 1] * f;
          v += w[i] * f;
        }
      const int head = kv * n_group + h;
      if (n_active == 1)
        {
          if (a.sinks)
            s += __expf (a.sinks[head] - mx);
          y[((size_t) row * a.n_head + head) * D + i] = v / s;
        }
      else
        {
          float *o = partial + (((size_t) row * a.n_head + head) * n_splits + split) * (D + 2);
          o[i] = v;
          if (i == 0)
            {
              o[D] = mx;
              o[D + 1] = s;
            }
        }
    }
  if (n_active == 1)
    return;
  __shared__ int arrived;
  __threadfence ();
  __syncthreads ();
  int *counter = counters + row * a.n_head_kv + kv;
  if (threadIdx.x == 0)
    arrived = atomicAdd (counter, 1);
  __syncthreads ();
  if (arrived != n_active - 1)
    return;
  __threadfence ();
  for (int t = threadIdx.x; t < n_group * D; t += blockDim.x)
    {
      const int head = kv * n_group + t / D, i = t % D;
      const float *o = partial + ((size_t) row * a.n_head + head) * n_splits * (D + 2);
      float mx = -INFINITY, s = 0.f, v = 0.f;
      for (int l = 0; l < n_active; l++)
        mx = fmaxf (mx, __ldcg (o + l * (D + 2) + D));
      for (int l = 0; l < n_active; l++)
        {
          const float f = __expf (__ldcg (o + l * (D + 2) + D) - mx);
          s += __ldcg (o + l * (D + 2) + D + 1) * f;
          v += __ldcg (o + l * (D + 2) + i) * f;
        }
      if (a.sinks)
        s += __expf (a.sinks[head] - mx);
      y[((size_t) row * a.n_head + head) * D + i] = v / s;
    }
  if (threadIdx.x == 0)
    *counter = 0;
}

// Heads of any width, keys and values apart: a block a head and row, a warp a position at a time. For models whose
// widths have no kernel above.
#define ANY_WARPS 4
#define ANY_VALUES (ENG_CUDA_HEAD_MAX / 32)

__global__ void __launch_bounds__ (ANY_WARPS * 32)
any_kernel (CuAttention a, CuMeta m, int group, const float *q, float *y)
{
  wait_for_input ();
  __shared__ float merge[ANY_WARPS][ENG_CUDA_HEAD_MAX + 2];
  const int head = blockIdx.x, row = blockIdx.y, kv = head / (a.n_head / a.n_head_kv);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, seq = m.sequence[row];
  const int end = a.causal ? m.position[row] + 1 : m.length[seq];
  const int start = a.window > 0 && end > a.window ? end - a.window : 0;
  const int32_t *table = m.table[group] + (size_t) seq * m.table_stride[group];
  const float *mine = q + ((size_t) row * a.n_head + head) * a.k_width;
  float acc[ANY_VALUES] = {}, top = -INFINITY, sum = 0.f;
  for (int p = start + warp; p < end; p += ANY_WARPS)
    {
      const size_t at = ((size_t) table[p / ENG_KV_BLOCK] * a.n_head_kv + kv) * ENG_KV_BLOCK + p % ENG_KV_BLOCK;
      float s = 0.f;
      for (int i = lane; i < a.k_width; i += 32)
        s += mine[i] * __half2float (a.k[at * a.k_width + i]);
      for (int o = 16; o; o >>= 1)
        s += __shfl_xor_sync (~0u, s, o);
      s *= a.scale;
      if (a.soft_cap > 0.f)
        s = a.soft_cap * tanhf (s / a.soft_cap);
      const float t = fmaxf (top, s), keep = __expf (top - t), w = __expf (s - t);
      top = t;
      sum = sum * keep + w;
#pragma unroll
      for (int n = 0; n < ANY_VALUES; n++)
        if (n * 32 + lane < a.v_width)
          acc[n] = acc[n] * keep + w * __half2float (a.v[at * a.v_pitch + n * 32 + lane]);
    }
#pragma unroll
  for (int n = 0; n < ANY_VALUES; n++)
    merge[warp][n * 32 + lane] = acc[n];
  if (lane == 0)
    {
      merge[warp][ENG_CUDA_HEAD_MAX] = top;
      merge[warp][ENG_CUDA_HEAD_MAX + 1] = sum;
    }
  __syncthreads ();
  for (int i = threadIdx.x; i < a.v_width; i += blockDim.x)
    {
      float mx = -INFINITY, s = 0.f, v = 0.f;
      for (int l = 0; l < ANY_WARPS; l++)
        mx = fmaxf (mx, merge[l][ENG_CUDA_HEAD_MAX]);
      for (int l = 0; l < ANY_WARPS; l++)
        {
          const float f = __expf (merge[l][ENG_CUDA_HEAD_MAX] - mx);
          s += merge[l][ENG_CUDA_HEAD_MAX + 1] * f;
          v += merge[l][i] * f;
        }
      if (a.sinks)
        s += __expf (a.sinks[head] - mx);
      y[((size_t) row * a.n_head + head) * a.v_width + i] = v / s;
    }
}

static cudaError_t
any_width (CuStream s, const CuAttention *a, const CuMeta *m, int group, const float *q, float *y, int n_rows, int pdl)
{
  if (a->v_width > ENG_CUDA_HEAD_MAX)
    return cudaErrorInvalidConfiguration;
  return launch_kernel (any_kernel, dim3 (a->n_head, n_rows), ANY_WARPS * 32, 0, s, pdl, *a, *m, group, q, y);
}

static int
splits_for (int n_head_kv, int n_rows, int n_units)
{
  int n = 2 * n_units / (n_head_kv * n_rows);
  return n < 1 ? 1 : n > CU_ATTENTION_SLICES ? CU_ATTENTION_SLICES : n;
}

uint64_t
cu_attention_scratch (int n_rows, int n_head, int v_width)
{
  return (uint64_t) (n_rows < ENG_CUDA_GEMV_ROWS ? n_rows : ENG_CUDA_GEMV_ROWS) * n_head * CU_ATTENTION_SLICES
         * (v_width + 2) * 4;
}

template <int D, int H>
static cudaError_t
decode (CuStream s, const CuAttention *a, const CuMeta *m, int group, const float *q, float *y,
        int n_rows, float *partial, int *counters, int n_units, int pdl)
{
  if (a->n_head / a->n_head_kv > H * DECODE_WARPS)
    return any_width (s, a, m, group, q, y, n_rows, pdl);
  // many rows: one slice each, no partials
  const int n = n_rows > ENG_CUDA_GEMV_ROWS ? 1 : splits_for (a->n_head_kv, n_rows, n_units);
  return launch_kernel (decode_kernel<D, H>, dim3 (a->n_head_kv * n, n_rows), DECODE_WARPS * 32, 0, s, pdl, *a, *m, group, q, y, partial, counters, n);
}

cudaError_t
cu_attention_decode (CuStream s, const CuAttention *a, const CuMeta *m, int group, const float *q,
                     float *y, int n_rows, float *partial, int *counters, int n_units, int pdl)
{
  const cudaError_t e = cu_attention_wide (s, a, m, group, q, y, NULL, n_rows, 0, 0, partial, counters, n_units, pdl);
  if (e != cudaErrorNotSupported)
    return e;
  if (a->k_width != a->v_width)
    return any_width (s, a, m, group, q, y, n_rows, pdl);
  switch (a->k_width)
    {
#define CASE(D, H)                                                                                 \
  case D:                                                                                          \
    return decode<D, H> (s, a, m, group, q, y, n_rows, partial, counters, n_units, pdl);
      CASE (16, 4)
      CASE (32, 4)
      CASE (48, 4)
      CASE (64, 4)
      CASE (80, 4)
      CASE (96, 4)
      CASE (112, 4)
      CASE (128, 4)
      CASE (192, 2)
      CASE (256, 2)
#undef CASE
    default:
      return any_width (s, a, m, group, q, y, n_rows, pdl);
    }
}

// ---- prefill ----

// Query rows of a warp are MT tiles of 16. Two read each key and value from shared memory half as often, which is
// what bounds one; their registers and the queries' 128 rows in shared memory fit data centre cards.
#define PREFILL_THREADS 128
#define PREFILL_ROWS(MT) (64 * (MT))

template <int D, int MT>
__global__ void __launch_bounds__ (PREFILL_THREADS, MT == 2 ? 2 : 1)
prefill_kernel (CuAttention a, CuMeta m, int group, const float *q, float *y, __nv_bfloat16 *y16)
{
#if __CUDA_ARCH__ >= 800
  constexpr int PITCH = D + 8; // halves a row in shared memory: rows fall on different banks
  constexpr int ROWS = PREFILL_ROWS (MT);
  extern __shared__ __align__ (16) __half tiles[]; // [stage][k, v][64][PITCH], then with MT == 2 q [ROWS][PITCH]
  const int seq = blockIdx.z, head = blockIdx.y, kv = head / (a.n_head / a.n_head_kv);
  const int row_first = m.first_row[seq], row_end = m.first_row[seq + 1];
  // late rows see most positions: start them first
  const int tile = (int) gridDim.x - 1 - blockIdx.x;
  const int r0 = row_first + tile * ROWS;
  if (r0 >= row_end)
    return;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int n_here = row_end - r0 < ROWS ? row_end - r0 : ROWS;
  const int p_first = m.position[r0], p_last = m.position[r0 + n_here - 1];
  const int end = a.causal ? p_last + 1 : m.length[seq];
  const int start = a.window > 0 && p_first + 1 > a.window ? p_first + 1 - a.window : 0;
  const int t_first = start / ENG_KV_BLOCK, t_end = (end + ENG_KV_BLOCK - 1) / ENG_KV_BLOCK;
  const int32_t *table = m.table[group] + (size_t) seq * m.table_stride[group];

  auto fetch = [&] (int t, int stage) {
    const size_t at = ((size_t) table[t] * a.n_head_kv + kv) * ENG_KV_BLOCK * D;
    __half *k = tiles + (size_t) stage * 2 * ENG_KV_BLOCK * PITCH, *v = k + ENG_KV_BLOCK * PITCH;
    for (int i = threadIdx.x; i < ENG_KV_BLOCK * D / 8; i += PREFILL_THREADS)
      {
        const int r = i / (D / 8), c = i % (D / 8) * 8;
        copy_async (k + r * PITCH + c, a.k + at + r * D + c);
        copy_async (v + r * PITCH + c, a.v + at + r * D + c);
      }
    asm volatile ("cp.async.commit_group;");
  };
  fetch (t_first, 0);

  // this warp's query rows as fragments (MT == 1) or halves in shared memory; scale and log2 (e) folded in unless
  // scores are capped
  const float fold = a.soft_cap > 0.f ? a.scale : a.scale * 1.4426950408889634f;
  const int g = lane / 4, c2 = lane % 4 * 2;
  __half *qs = tiles + (size_t) 4 * ENG_KV_BLOCK * PITCH;
  uint32_t qf[MT == 1 ? D / 16 : 1][4];
  auto query = [&] (int r) { return q + ((size_t) (r0 + (r < n_here ? r : n_here - 1)) * a.n_head + head) * D; };
  if constexpr (MT == 1)
    {
      const float *qa = query (warp * 16 + g), *qb = query (warp * 16 + g + 8);
#pragma unroll
      for (int k = 0; k < D / 16; k++)
        {
          const float2 u0 = *(const float2 *) (qa + k * 16 + c2), u1 = *(const float2 *) (qb + k * 16 + c2);
          const float2 u2 = *(const float2 *) (qa + k * 16 + 8 + c2);
          const float2 u3 = *(const float2 *) (qb + k * 16 + 8 + c2);
          qf[k][0] = two_halves (u0.x * fold, u0.y * fold);
          qf[k][1] = two_halves (u1.x * fold, u1.y * fold);
          qf[k][2] = two_halves (u2.x * fold, u2.y * fold);
          qf[k][3] = two_halves (u3.x * fold, u3.y * fold);
        }
    }
  else // each warp its own rows: the barrier in the loop stands before the first use all the same
    for (int i = lane; i < 16 * MT * D / 4; i += 32)
      {
        const int r = warp * 16 * MT + i / (D / 4), c = i % (D / 4) * 4;
        const float4 u = *(const float4 *) (query (r) + c);
        *(uint2 *) (qs + r * PITCH + c)
            = make_uint2 (two_halves (u.x * fold, u.y * fold), two_halves (u.z * fold, u.w * fold));
      }
  int at[MT][2], position[MT][2]; // the thread's rows: within the block, and where they stand
  float o[MT][D / 8][4] = {};
  float top[MT][2], sum[MT][2] = {};
#pragma unroll
  for (int mt = 0; mt < MT; mt++)
#pragma unroll
    for (int i = 0; i < 2; i++)
      {
        at[mt][i] = (warp * MT + mt) * 16 + i * 8 + g;
        position[mt][i] = m.position[r0 + (at[mt][i] < n_here ? at[mt][i] : n_here - 1)];
        top[mt][i] = -INFINITY;
      }

  for (int t = t_first; t < t_end; t++)
    {
      const int stage = (t - t_first) & 1;
      if (t + 1 < t_end)
        {
          fetch (t + 1, stage ^ 1);
          asm volatile ("cp.async.wait_group 1;");
        }
      else
        asm volatile ("cp.async.wait_group 0;");
      __syncthreads ();
      const __half *k = tiles + (size_t) stage * 2 * ENG_KV_BLOCK * PITCH;
      const __half *v = k + ENG_KV_BLOCK * PITCH;
      float s[MT][8][4] = {};
#pragma unroll
      for (int kk = 0; kk < D / 16; kk++)
        {
          uint32_t qa[MT][4];
#pragma unroll
          for (int mt = 0; mt < MT; mt++)
            if constexpr (MT == 1)
              for (int i = 0; i < 4; i++)
                qa[mt][i] = qf[kk][i];
            else
              ldmatrix4 (qa[mt], qs + ((warp * MT + mt) * 16 + (lane & 15)) * PITCH + kk * 16 + (lane & 16 ? 8 : 0));
#pragma unroll
          for (int n = 0; n < 8; n += 2)
            {
              uint32_t b[4]; // keys n*8 .. n*8+15, values kk*16 .. +15
              ldmatrix4 (b, k + (n * 8 + (lane & 7) + (lane & 16 ? 8 : 0)) * PITCH + kk * 16 + (lane & 8 ? 8 : 0));
#pragma unroll
              for (int mt = 0; mt < MT; mt++)
                {
                  mma (s[mt][n], qa[mt], b[0], b[1]);
                  mma (s[mt][n + 1], qa[mt], b[2], b[3]);
                }
            }
        }
      const int p0 = t * ENG_KV_BLOCK;
      const bool edge = p0 + ENG_KV_BLOCK > p_first + 1 || p0 + ENG_KV_BLOCK > end
                        || (a.window > 0 && p0 <= p_last - a.window);
#pragma unroll
      for (int mt = 0; mt < MT; mt++)
        {
          float mx[2] = { top[mt][0], top[mt][1] };
#pragma unroll
          for (int n = 0; n < 8; n++)
#pragma unroll
            for (int i = 0; i < 4; i++)
              {
                float x = s[mt][n][i];
                if (a.soft_cap > 0.f)
                  x = a.soft_cap * tanhf (x / a.soft_cap) * 1.4426950408889634f;
                if (edge)
                  {
                    const int p = p0 + n * 8 + c2 + (i & 1), mine = position[mt][i / 2];
                    const int stop = a.causal ? mine + 1 : end;
                    if (p >= stop || (a.window > 0 && p <= mine - a.window))
                      x = -INFINITY;
                  }
                s[mt][n][i] = x;
                mx[i / 2] = fmaxf (mx[i / 2], x);
              }
          float keep[2];
#pragma unroll
          for (int i = 0; i < 2; i++)
            {
              mx[i] = fmaxf (mx[i], __shfl_xor_sync (~0u, mx[i], 1));
              mx[i] = fmaxf (mx[i], __shfl_xor_sync (~0u, mx[i], 2));
              const float base = mx[i] == -INFINITY ? 0.f : mx[i];
              keep[i] = exp2f (top[mt][i] - base);
              top[mt][i] = mx[i];
              mx[i] = base;
              sum[mt][i] *= keep[i];
            }
#pragma unroll
          for (int n = 0; n < D / 8; n++)
            {
              o[mt][n][0] *= keep[0];
              o[mt][n][1] *= keep[0];
              o[mt][n][2] *= keep[1];
              o[mt][n][3] *= keep[1];
            }
#pragma unroll
          for (int n = 0; n < 8; n++)
#pragma unroll
            for (int i = 0; i < 4; i++)
              {
                s[mt][n][i] = exp2f (s[mt][n][i] - mx[i / 2]);
                sum[mt][i / 2] += s[mt][n][i];
              }
        }
#pragma unroll
      for (int kk = 0; kk < 4; kk++)
        {
          uint32_t p[MT][4];
#pragma unroll
          for (int mt = 0; mt < MT; mt++)
#pragma unroll
            for (int i = 0; i < 4; i++)
              p[mt][i] = two_halves (s[mt][2 * kk + i / 2][i % 2 * 2], s[mt][2 * kk + i / 2][i % 2 * 2 + 1]);
#pragma unroll
          for (int n = 0; n < D / 8; n += 2)
            {
              uint32_t b[4]; // positions kk*16 .. +15, values n*8 .. n*8+15
              ldmatrix4_trans (b, v + (kk * 16 + (lane & 15)) * PITCH + n * 8 + (lane & 16 ? 8 : 0));
#pragma unroll
              for (int mt = 0; mt < MT; mt++)
                {
                  mma (o[mt][n], p[mt], b[0], b[1]);
                  mma (o[mt][n + 1], p[mt], b[2], b[3]);
                }
            }
        }
      __syncthreads ();
    }
#pragma unroll
  for (int mt = 0; mt < MT; mt++)
#pragma unroll
    for (int i = 0; i < 2; i++)
      {
        float all = sum[mt][i];
        all += __shfl_xor_sync (~0u, all, 1);
        all += __shfl_xor_sync (~0u, all, 2);
        if (a.sinks)
          all += exp2f (a.sinks[head] * 1.4426950408889634f - top[mt][i]);
        const float share = 1.f / all;
        const int r = at[mt][i];
        if (r >= n_here)
          continue;
#pragma unroll
        for (int n = 0; n < D / 8; n++)
          {
            const size_t to = ((size_t) (r0 + r) * a.n_head + head) * D + n * 8 + c2;
            const float u = o[mt][n][2 * i] * share, w = o[mt][n][2 * i + 1] * share;
            if (y)
              *(float2 *) (y + to) = make_float2 (u, w);
            if (y16)
              *(__nv_bfloat162 *) (y16 + to) = __floats2bfloat162_rn (u, w);
          }
      }
#endif
}

template <int D, int MT>
static cudaError_t
prefill_tiles (CuStream s, const CuAttention *a, const CuMeta *m, int group, const float *q, float *y,
               __nv_bfloat16 *y16, int max_rows, int n_sequences)
{
  const size_t bytes = (size_t) (4 * ENG_KV_BLOCK + (MT == 2 ? PREFILL_ROWS (MT) : 0)) * (D + 8) * sizeof (__half);
  cudaError_t e = cudaFuncSetAttribute (prefill_kernel<D, MT>,
                                        cudaFuncAttributeMaxDynamicSharedMemorySize, (int) bytes);
  if (e != cudaSuccess)
    return e;
  const dim3 grid ((max_rows + PREFILL_ROWS (MT) - 1) / PREFILL_ROWS (MT), a->n_head, n_sequences);
  prefill_kernel<D, MT><<<grid, PREFILL_THREADS, bytes, s>>> (*a, *m, group, q, y, y16);
  return cudaGetLastError ();
}

template <int D>
static cudaError_t
prefill (CuStream s, const CuAttention *a, const CuMeta *m, int group, const float *q, float *y,
         __nv_bfloat16 *y16, int max_rows, int n_sequences, int limit)
{
  // two blocks a multiprocessor of the larger tile, and rows enough that every multiprocessor has some
  if constexpr (D == 64 || D == 128)
    if (limit >= 160 << 10 && max_rows >= 512)
      return prefill_tiles<D, 2> (s, a, m, group, q, y, y16, max_rows, n_sequences);
  return prefill_tiles<D, 1> (s, a, m, group, q, y, y16, max_rows, n_sequences);
}

cudaError_t
cu_attention_prefill (CuStream s, const CuAttention *a, const CuMeta *m, int group, const float *q,
                      float *y, __nv_bfloat16 *y16, int n_rows, int max_rows_of_sequence,
                      int n_sequences)
{
  cudaError_t e = cu_attention_hopper (s, a, m, group, q, y, y16, max_rows_of_sequence, n_sequences);
  if (e == cudaErrorNotSupported)
    e = cu_attention_wide (s, a, m, group, q, y, y16, n_rows, max_rows_of_sequence, n_sequences, NULL, NULL, 0, 0);
  if (e != cudaErrorNotSupported)
    return e;
  int limit;
  e = shared_limit (&limit);
  if (e != cudaSuccess)
    return e;
  const bool tensor_cores = cu_code_arch () >= 80 && a->k_width == a->v_width
                            && 4 * ENG_KV_BLOCK * (a->k_width + 8) * 2 <= limit;
  if (tensor_cores)
    switch (a->k_width)
      {
#define CASE(D)                                                                                    \
  case D:                                                                                          \
    return prefill<D> (s, a, m, group, q, y, y16, max_rows_of_sequence, n_sequences, limit);
        CASE (32)
        CASE (64)
        CASE (80)
        CASE (96)
        CASE (128)
        CASE (256)
#undef CASE
      default:
        break;
      }
  // older cards and unusual widths: the decode kernel, one slice a row
  e = cu_attention_decode (s, a, m, group, q, y, n_rows, NULL, NULL, 1, 0);
  if (e == cudaSuccess && y16)
    e = cu_to_bf16 (s, y, (uint64_t) n_rows * a->n_head * a->v_width, y16);
  return e;
}
