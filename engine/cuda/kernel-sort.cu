// SPDX-License-Identifier: Apache-2.0
// A mixture's choices sorted by expert, and the tiles of rows that its products work on: no one on the host has to know how many rows an
// expert has. One block counts; who goes where is then known to all (of 16,384 choices one block alone would write for 30 us).
#include "kernel-launch.cuh"

#define SORT_THREADS CU_MAX_EXPERTS // a thread an expert
#define SORT_AT_ONCE 8 // choices of a thread that are asked for together
#define PLACE_THREADS 256

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

// Choice @u of row @row; NaN and the like would leave the arrays.
CU_DEV int
expert_of (const float *route, const CuSorted &o, int row, int u)
{
  const int e = (int) route[(size_t) row * 2 * o.n_used + u];
  return e < 0 ? 0 : e < o.n_expert ? e : o.n_expert - 1;
}

// How many rows each expert has, where its first goes, and at o.place the how-manieth of its expert's a choice is. Which one that is,
// the threads' coming decides: no result depends on it, a row's products know no other row.
__global__ void __launch_bounds__ (SORT_THREADS)
sort_kernel (const float *route, const __grid_constant__ CuSorted o)
{
  __shared__ int count[SORT_THREADS];
  const int t = threadIdx.x;
  wait_for_input ();
  count[t] = 0;
  __syncthreads ();
  // neighbouring threads take neighbouring choices, whole rows in each turn
  const int u = t % o.n_used, step = SORT_THREADS / o.n_used;
  for (int first = t / o.n_used; first < o.n_rows && t < step * o.n_used; first += step * SORT_AT_ONCE)
    {
      int e[SORT_AT_ONCE];
#pragma unroll
      for (int i = 0; i < SORT_AT_ONCE; i++)
        if (first + i * step < o.n_rows)
          e[i] = expert_of (route, o, first + i * step, u);
#pragma unroll
      for (int i = 0; i < SORT_AT_ONCE; i++)
        if (first + i * step < o.n_rows)
          o.place[(first + i * step) * o.n_used + u] = atomicAdd (count + e[i], 1);
    }
  __syncthreads ();
  const int mine = count[t], n_tiles = (mine + o.tile_rows - 1) / o.tile_rows;
  int all, all_tiles;
  const int first = running_sum (mine, &all) - mine, first_tile = running_sum (n_tiles, &all_tiles) - n_tiles;
  if (t < o.n_expert)
    o.first[t] = first;
  if (t == 0)
    o.first[o.n_expert] = all;
  for (int i = 0, at = 0; i < n_tiles; i++, at += o.tile_rows)
    o.tiles[first_tile + i] = { first + at, mine - at < o.tile_rows ? mine - at : o.tile_rows, t, 0 };
  for (int i = all_tiles + t; i < o.n_tiles; i += SORT_THREADS)
    o.tiles[i] = { 0, 0, 0, 0 };
}

__global__ void
place_kernel (const float *route, const __grid_constant__ CuSorted o)
{
  wait_for_input ();
  const int k = blockIdx.x * PLACE_THREADS + threadIdx.x, row = k / o.n_used;
  if (row >= o.n_rows)
    return;
  const int e = expert_of (route, o, row, k - row * o.n_used), place = o.first[e] + o.place[k];
  o.place[k] = place;
  o.row[place] = row;
  o.expert[place] = e;
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
  const cudaError_t e = launch_kernel (sort_kernel, 1, SORT_THREADS, 0, s, pdl, route, *o);
  if (e != cudaSuccess)
    return e;
  return launch_kernel (place_kernel, (o->n_rows * o->n_used + PLACE_THREADS - 1) / PLACE_THREADS, PLACE_THREADS, 0, s, pdl, route, *o);
}
