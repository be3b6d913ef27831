// SPDX-License-Identifier: Apache-2.0
// A mixture's choices sorted by expert, and the tiles of rows that its products work on. One block does all of it: 16,384 choices
// are 16 a thread, and no one on the host has to know how many rows an expert has.
#include "kernel-launch.cuh"

#define SORT_THREADS CU_MAX_EXPERTS // a thread an expert
#define SORT_AT_ONCE 8 // choices of a thread that are asked for together

// Sum of @v over this thread and those before it; *@total: over all.
CU_DEV int
running_sum (int v, int *total)
{
  __shared__ int sums[SORT_THREADS / 32];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
#pragma unroll
  for (int o = 1; o < 32; o <<= 1)
    {
      const int before = __shfl_up_sync (~0u, v, o);
      v += lane >= o ? before : 0;
    }
  if (lane == 31)
    sums[warp] = v;
  __syncthreads ();
  int behind = lane < warp ? sums[lane] : 0, all = sums[lane];
#pragma unroll
  for (int o = 16; o; o >>= 1)
    {
      behind += __shfl_xor_sync (~0u, behind, o);
      all += __shfl_xor_sync (~0u, all, o);
    }
  __syncthreads ();
  *total = all;
  return v + behind;
}

// Rows of one expert stand in the order in which the threads came: no result depends on it, a row's products know no other row.
__global__ void __launch_bounds__ (SORT_THREADS)
sort_kernel (const float *route, const __grid_constant__ CuSorted o)
{
  __shared__ int place_of[SORT_THREADS]; // how many choices an expert has, then where its first goes
  const int t = threadIdx.x, n = o.n_rows * o.n_used;
  auto expert_of = [&] (int k) { // NaN and the like would leave the arrays
    const int e = (int) route[(size_t) (k / o.n_used) * 2 * o.n_used + k % o.n_used];
    return e < 0 ? 0 : e < o.n_expert ? e : o.n_expert - 1;
  };
  wait_for_input ();
  place_of[t] = 0;
  __syncthreads ();
  for (int base = t; base < n; base += SORT_THREADS * SORT_AT_ONCE)
    {
      int e[SORT_AT_ONCE];
#pragma unroll
      for (int i = 0; i < SORT_AT_ONCE; i++)
        e[i] = base + i * SORT_THREADS < n ? expert_of (base + i * SORT_THREADS) : 0;
#pragma unroll
      for (int i = 0; i < SORT_AT_ONCE; i++)
        if (base + i * SORT_THREADS < n)
          o.place[base + i * SORT_THREADS] = atomicAdd (place_of + e[i], 1);
    }
  __syncthreads ();
  const int mine = place_of[t], n_tiles = (mine + o.tile_rows - 1) / o.tile_rows;
  int all, all_tiles;
  const int first = running_sum (mine, &all) - mine, first_tile = running_sum (n_tiles, &all_tiles) - n_tiles;
  place_of[t] = first;
  if (t < o.n_expert)
    o.first[t] = first;
  if (t == 0)
    o.first[o.n_expert] = all;
  for (int i = 0, at = 0; i < n_tiles; i++, at += o.tile_rows)
    o.tiles[first_tile + i] = { first + at, mine - at < o.tile_rows ? mine - at : o.tile_rows, t, 0 };
  for (int i = all_tiles + t; i < o.n_tiles; i += SORT_THREADS)
    o.tiles[i] = { 0, 0, 0, 0 };
  __syncthreads ();
  for (int base = t; base < n; base += SORT_THREADS * SORT_AT_ONCE)
    {
      int e[SORT_AT_ONCE], place[SORT_AT_ONCE];
#pragma unroll
      for (int i = 0; i < SORT_AT_ONCE; i++)
        if (base + i * SORT_THREADS < n)
          {
            e[i] = expert_of (base + i * SORT_THREADS);
            place[i] = o.place[base + i * SORT_THREADS];
          }
#pragma unroll
      for (int i = 0; i < SORT_AT_ONCE; i++)
        if (const int k = base + i * SORT_THREADS; k < n)
          {
            place[i] += place_of[e[i]];
            o.place[k] = place[i];
            o.row[place[i]] = k / o.n_used;
            o.expert[place[i]] = e[i];
          }
    }
}

int
cu_most_tiles (int n, int n_expert, int tile_rows)
{
  const int asked = n < n_expert ? n : n_expert;
  return (n + asked * (tile_rows - 1)) / tile_rows;
}

cudaError_t
cu_sort_by_expert (CuStream s, const float *route, const CuSorted *o, int pdl)
{
  if (o->n_expert > CU_MAX_EXPERTS)
    return cudaErrorInvalidConfiguration;
  return launch_kernel (sort_kernel, 1, SORT_THREADS, 0, s, pdl, route, *o);
}
