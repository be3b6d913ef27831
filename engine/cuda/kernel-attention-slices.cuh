// SPDX-License-Identifier: Apache-2.0
// Positions cut in slices, each walked by a block of its own: which block comes last, and the sum of what all of them left.
// A slice leaves [D] weighted values, the largest score (in base 2) and the sum of the weights.
#pragma once

#include "kernel-launch.cuh"

#define LOG2_E 1.4426950408889634f

// Called by the whole block once its slice is written; true in the last of @n blocks, which resets the counter.
CU_DEV bool
last_slice (int *counter, int n)
{
  __shared__ int arrived;
  __syncthreads ();
  if (threadIdx.x == 0)
    {
      // what all threads wrote before the barrier is there for who comes later
      asm volatile ("atom.acq_rel.gpu.global.add.s32 %0, [%1], 1;" : "=r"(arrived) : "l"(counter) : "memory");
      if (arrived == n - 1)
        *counter = 0;
    }
  __syncthreads ();
  return arrived == n - 1;
}

// Columns @i and @i + 1 of the attention that @n slices at @from make. @sink: the score of a key without a value, in base 2, or -infinity.
// @AT_ONCE slices are asked for at once: one trip to the L2.
template <int D, int AT_ONCE = 16>
CU_DEV float2
sum_of_slices (const float *from, int n, int i, float sink)
{
  float2 v = make_float2 (0.f, 0.f);
  float most = -INFINITY, sum = 0.f;
  for (int l0 = 0; l0 < n; l0 += AT_ONCE, from += AT_ONCE * (D + 2))
    {
      float2 part[AT_ONCE], u[AT_ONCE]; // maximum and sum; values
#pragma unroll
      for (int l = 0; l < AT_ONCE; l++)
        {
          const bool in = l0 + l < n;
          part[l] = in ? __ldcg ((const float2 *) (from + l * (D + 2) + D)) : make_float2 (-INFINITY, 0.f);
          u[l] = in ? __ldcg ((const float2 *) (from + l * (D + 2) + i)) : make_float2 (0.f, 0.f);
        }
      const float before = most;
#pragma unroll
      for (int l = 0; l < AT_ONCE; l++)
        most = fmaxf (most, part[l].x);
      const float keep = exp2f (before - most);
      sum *= keep, v.x *= keep, v.y *= keep;
#pragma unroll
      for (int l = 0; l < AT_ONCE; l++)
        {
          const float w = exp2f (part[l].x - most);
          sum += part[l].y * w, v.x += u[l].x * w, v.y += u[l].y * w;
        }
    }
  sum += exp2f (sink - most);
  return make_float2 (v.x / sum, v.y / sum);
}
