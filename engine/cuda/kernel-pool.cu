// SPDX-License-Identifier: Apache-2.0
// Embeddings: rows of a sequence become one vector.
#include "kernel-launch.cuh"

#define THREADS 256

// A block has THREADS columns of one sequence.
static __global__ void __launch_bounds__ (THREADS)
pool_kernel (int kind, const float *x, const int32_t *first_row, int width, float *y)
{
  wait_for_input ();
  const int c = blockIdx.x * THREADS + threadIdx.x, first = first_row[blockIdx.y], n = first_row[blockIdx.y + 1] - first;
  if (c >= width)
    return;
  const float *column = x + (size_t) first * width + c;
  float v = 0.f;
  if (n > 0 && kind != ENG_POOL_MEAN)
    v = column[(size_t) (kind == ENG_POOL_LAST ? n - 1 : 0) * width];
  else if (n > 0)
    {
      for (int r = 0; r < n; r++)
        v += column[(size_t) r * width];
      v /= (float) n;
    }
  y[(size_t) blockIdx.y * width + c] = v;
}

cudaError_t
cu_pool (CuStream s, int kind, const float *x, const CuMeta *m, int n_sequences, int width, float *y, int pdl)
{
  return launch_kernel (pool_kernel, dim3 ((width + THREADS - 1) / THREADS, n_sequences), THREADS, 0, s, pdl, kind, x,
                        m->first_row, width, y);
}

static __global__ void __launch_bounds__ (THREADS)
unit_kernel (const float *x, int x_width, int width, bool normalize, float *y)
{
  wait_for_input ();
  __shared__ float warps[THREADS / 32];
  const float *from = x + (size_t) blockIdx.x * x_width;
  float *to = y + (size_t) blockIdx.x * width, sum = 0.f;
  const int n = x_width < width ? x_width : width;
  for (int i = threadIdx.x; i < n; i += THREADS)
    sum += from[i] * from[i];
  for (int o = 16; o; o >>= 1)
    sum += __shfl_xor_sync (~0u, sum, o);
  if (threadIdx.x % 32 == 0)
    warps[threadIdx.x / 32] = sum;
  __syncthreads ();
  sum = 0.f;
  for (int i = 0; i < THREADS / 32; i++)
    sum += warps[i];
  const float scale = normalize ? 1.f / fmaxf (sqrtf (sum), 1e-12f) : 1.f;
  for (int i = threadIdx.x; i < width; i += THREADS)
    to[i] = i < n ? from[i] * scale : 0.f;
}

cudaError_t
cu_unit (CuStream s, const float *x, int x_width, int n_rows, int width, bool normalize, float *y, int pdl)
{
  return launch_kernel (unit_kernel, n_rows, THREADS, 0, s, pdl, x, x_width, width, normalize, y);
}
