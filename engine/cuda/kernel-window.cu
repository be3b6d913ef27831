// SPDX-License-Identifier: Apache-2.0
// Attention with a window to both sides of a row (EmbeddingGemma's local layers): a block has ROWS rows of one head, a
// warp each, and goes through the positions that any of them sees, KEYS at a time through shared memory. A lane scores a
// position; then it gathers its part of the values.
#include "kernel-launch.cuh"

#define ROWS 8
#define KEYS 32
#define VALUES (CU_WINDOW_HEAD_MAX / 32)

static __global__ void __launch_bounds__ (ROWS * 32)
window_kernel (CuAttention a, CuMeta m, int group, const float *q, float *y, __nv_bfloat16 *y16)
{
  wait_for_input ();
  extern __shared__ float queries[]; // [ROWS][k_width], then keys [KEYS][k_width + 2] and values [KEYS][v_width + 2]
  __half *keys = (__half *) (queries + ROWS * a.k_width), *values = keys + KEYS * (a.k_width + 2);
  const int seq = blockIdx.z, head = blockIdx.y, kv = head / (a.n_head / a.n_head_kv);
  const int r0 = m.first_row[seq] + blockIdx.x * ROWS, row_end = m.first_row[seq + 1];
  if (r0 >= row_end)
    return;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, side = a.window / 2, length = m.length[seq];
  const int last = r0 + ROWS < row_end ? r0 + ROWS - 1 : row_end - 1, row = r0 + warp < last ? r0 + warp : last;
  const int mine = m.position[row], first = m.position[r0] > side ? m.position[r0] - side : 0;
  const int end = m.position[last] + side + 1 < length ? m.position[last] + side + 1 : length;
  const int32_t *table = m.table[group] + (size_t) seq * m.table_stride[group];
  for (int c = lane; c < a.k_width; c += 32)
    queries[warp * a.k_width + c] = q[((size_t) row * a.n_head + head) * a.k_width + c] * a.scale;
  float sums[VALUES] = {}, top = -INFINITY, sum = 0.f;
  for (int base = first; base < end; base += KEYS)
    {
      __syncthreads ();
      // a warp has every ROWS-th position
      for (int k = warp; k < KEYS && base + k < end; k += ROWS)
        {
          const int p = base + k;
          const size_t at = ((size_t) table[p / ENG_KV_BLOCK] * a.n_head_kv + kv) * ENG_KV_BLOCK + p % ENG_KV_BLOCK;
          for (int c = lane; c < a.k_width; c += 32)
            keys[k * (a.k_width + 2) + c] = a.k[at * a.k_width + c];
          for (int c = lane; c < a.v_width; c += 32)
            values[k * (a.v_width + 2) + c] = a.v[at * a.v_width + c];
        }
      __syncthreads ();
      const int p = base + lane, n = end - base < KEYS ? end - base : KEYS;
      float score = -INFINITY;
      if (lane < n && p >= mine - side && p <= mine + side)
        {
          score = 0.f;
          for (int c = 0; c < a.k_width; c++)
            score += queries[warp * a.k_width + c] * __half2float (keys[lane * (a.k_width + 2) + c]);
          if (a.soft_cap > 0.f)
            score = a.soft_cap * tanhf (score / a.soft_cap);
        }
      float most = score;
      for (int o = 16; o; o >>= 1)
        most = fmaxf (most, __shfl_xor_sync (~0u, most, o));
      most = fmaxf (most, top);
      if (most == -INFINITY)
        continue;
      const float weight = expf (score - most), keep = expf (top - most);
      float more = weight;
      for (int o = 16; o; o >>= 1)
        more += __shfl_xor_sync (~0u, more, o);
      sum = sum * keep + more;
      top = most;
#pragma unroll
      for (int i = 0; i < VALUES; i++)
        sums[i] *= keep;
      for (int k = 0; k < n; k++)
        {
          const float w = __shfl_sync (~0u, weight, k);
#pragma unroll
          for (int i = 0; i < VALUES; i++)
            if (i * 32 + lane < a.v_width)
              sums[i] += w * __half2float (values[k * (a.v_width + 2) + i * 32 + lane]);
        }
    }
  if (a.sinks)
    sum += expf (a.sinks[head] - top);
  if (r0 + warp > last)
    return;
#pragma unroll
  for (int i = 0; i < VALUES; i++)
    if (i * 32 + lane < a.v_width)
      {
        const size_t at = ((size_t) row * a.n_head + head) * a.v_width + i * 32 + lane;
        y[at] = sums[i] / sum;
        if (y16)
          y16[at] = __float2bfloat16 (sums[i] / sum);
      }
}

cudaError_t
cu_attention_window (CuStream s, const CuAttention *a, const CuMeta *m, int group, const float *q, float *y,
                     __nv_bfloat16 *y16, int max_rows_of_sequence, int n_sequences, int pdl)
{
  if (a->k_width > CU_WINDOW_HEAD_MAX || a->v_width > CU_WINDOW_HEAD_MAX)
    return cudaErrorInvalidConfiguration;
  const size_t bytes = ROWS * a->k_width * sizeof (float) + KEYS * (a->k_width + a->v_width + 4) * sizeof (__half);
  return launch_kernel (window_kernel, dim3 ((max_rows_of_sequence + ROWS - 1) / ROWS, a->n_head, n_sequences), ROWS * 32,
                        bytes, s, pdl, *a, *m, group, q, y, y16);
}
