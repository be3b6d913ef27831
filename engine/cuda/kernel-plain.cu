// SPDX-License-Identifier: Apache-2.0
// Products of few rows with float weights whose rows are no multiple of eight numbers: a warp an output, a number a lane.
// Such widths are rare and small; kernel-gemv.cuh has all others.
#include "kernel-gemv.cuh"

#define PLAIN_WARPS 8

CU_DEV float
number_of (const CuWeight &w, uint64_t at)
{
  return w.type == ENG_TYPE_F32   ? ((const float *) w.q)[at]
         : w.type == ENG_TYPE_F16 ? __half2float (((const __half *) w.q)[at])
                                  : __bfloat162float (((const __nv_bfloat16 *) w.q)[at]);
}

static __global__ void __launch_bounds__ (PLAIN_WARPS * 32)
plain_kernel (const __grid_constant__ CuGemv g, int i_segment)
{
  wait_for_input ();
  const CuSegment &s = g.segment[i_segment];
  const int lane = threadIdx.x % 32, row = blockIdx.y;
  const uint32_t out = blockIdx.x * PLAIN_WARPS + threadIdx.x / 32;
  if (out >= s.w.n_rows)
    return;
  const bool pair = g.tail == CU_TAIL_GLU;
  const float *x = g.x + (size_t) (g.row_map ? g.row_map[row] : row) * g.x_stride;
  float dot = 0.f, second = 0.f, square = 0.f;
  for (uint32_t i = lane; i < g.n_cols; i += 32)
    {
      const float v = x[i] * (g.norm ? g.norm[i] : 1.f);
      dot += v * number_of (s.w, (uint64_t) out * g.n_cols + i);
      second += pair ? v * number_of (s.w2, (uint64_t) out * g.n_cols + i) : 0.f;
      square += x[i] * x[i];
    }
  const float inv = g.has_norm ? rsqrtf (warp_sum (square) / g.n_cols + g.eps) : 1.f;
  const float sum = warp_sum (dot) * inv + (s.bias ? s.bias[out] : 0.f);
  const float sum2 = warp_sum (second) * inv + (s.bias2 ? s.bias2[out] : 0.f);
  if (lane > 0)
    return;
  const size_t to = (size_t) row * s.y_stride + out;
  float v = pair ? gated<false> (g.act, sum, sum2) : activate<false> (g.act, sum) * g.scale;
  if (g.soft_cap > 0.f)
    v = g.soft_cap * tanhf (v / g.soft_cap);
  s.y[to] = g.tail == CU_TAIL_ADD ? g.aux[to] + v : v;
}

cudaError_t
cu_gemv_plain (CuStream s, const CuGemv *g, int n_rows, int pdl)
{
  cudaError_t e = g->route ? cudaErrorInvalidConfiguration : cudaSuccess;
  for (int i = 0; i < g->n_segments && e == cudaSuccess; i++)
    e = launch_kernel (plain_kernel, dim3 ((g->segment[i].w.n_rows + PLAIN_WARPS - 1) / PLAIN_WARPS, n_rows),
                       PLAIN_WARPS * 32, 0, s, pdl, *g, i);
  return e;
}
