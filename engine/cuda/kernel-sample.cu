// SPDX-License-Identifier: Apache-2.0
// From logits to a token, in two launches.
//
// A key orders candidates as the sampler does: larger logit first, then lower id; no two are equal. The k first are
// found without sorting the vocabulary. The k-th largest of the maxima of groups of 32 is a lower bound of the
// k-th largest of all, so only the k groups with the largest maxima can hold any of them; and which those are is
// found in the same way among the maxima of 32 groups. Whatever the logits are, never more than 32 k candidates are
// ranked, and mostly little more than k. The cuts and the draw then follow eng-sampler.c, operation by operation in
// double precision, so that equal logits and numbers give equal tokens.
#include "eng-cuda-sample.h"
#include "kernel-launch.cuh"

#define THREADS 1024
#define MOST_CANDIDATES (ENG_DEVICE_TOP_K * CU_SAMPLE_GROUP)
typedef unsigned long long Key;

CU_DEV Key
make_key (float v, uint32_t id)
{
  v = v != v ? -INFINITY : v + 0.f; // not-a-number never wins; both zeros are one
  const uint32_t b = __float_as_uint (v);
  return (Key) (b & 0x80000000u ? ~b : b | 0x80000000u) << 32 | ~id;
}
CU_DEV float
key_logit (Key k)
{
  const uint32_t b = (uint32_t) (k >> 32);
  return __uint_as_float (b & 0x80000000u ? b ^ 0x80000000u : ~b);
}
CU_DEV uint32_t
key_id (Key k)
{
  return ~(uint32_t) k;
}

CU_DEV Key
warp_largest (Key k)
{
#pragma unroll
  for (int o = 16; o; o >>= 1)
    {
      const Key other = __shfl_xor_sync (~0u, k, o);
      k = other > k ? other : k;
    }
  return k;
}

__global__ void __launch_bounds__ (THREADS)
sample_groups_kernel (const CuSampling *p, float *logits, int n_vocab, Key *groups)
{
  __shared__ uint32_t marked[THREADS / 32];
  const int t = threadIdx.x, base = blockIdx.x * THREADS, id = base + t;
  if (t < THREADS / 32)
    marked[t] = 0;
  wait_for_input ();
  __syncthreads ();
  float v = id < n_vocab ? __ldcg (logits + id) : 0.f;
  const int n_seen = p->penalty == 1.f ? 0 : p->n_seen;
  for (int i = t; i < n_seen; i += THREADS)
    {
      const int at = p->seen[i] - base;
      if (at >= 0 && at < THREADS)
        atomicOr (&marked[at / 32], 1u << at % 32);
    }
  if (n_seen)
    __syncthreads ();
  if (n_seen && id < n_vocab && marked[t / 32] >> t % 32 & 1)
    logits[id] = v = v > 0.f ? v / p->penalty : v * p->penalty;
  const Key largest = warp_largest (id < n_vocab ? make_key (v, id) : 0);
  if (t % 32 == 0 && id < n_vocab)
    groups[id / 32] = largest;
}

// @to[i] = the key with i larger ones among @keys, for i < k.
CU_DEV void
rank (const Key *keys, int n, int k, Key *to)
{
  const int part = threadIdx.x % 4;
  for (int first = 0; first < n; first += THREADS / 4)
    {
      const int i = first + threadIdx.x / 4;
      const Key key = i < n ? keys[i] : 0;
      int larger = 0;
      for (int j = part; j < n; j += 4)
        larger += keys[j] > key;
      larger += __shfl_xor_sync (~0u, larger, 1);
      larger += __shfl_xor_sync (~0u, larger, 2);
      if (part == 0 && i < n && larger < k)
        to[larger] = key;
    }
  __syncthreads ();
}

// The cuts and the draw over the @n candidates in order.
CU_DEV int
draw (const CuSampling &p, const Key *sorted, const double *at_one, const double *warmed, int n, double number)
{
  const double largest = key_logit (sorted[0]);
  int kept = n;
  if (p.top_p < 1.f)
    {
      double sum = 0., reached = 0.;
      for (int i = 0; i < n; i++)
        sum += at_one[i];
      for (kept = 0; kept < n && reached < p.top_p * sum; kept++)
        reached += at_one[kept];
    }
  const double least = largest + p.min_offset;
  while (kept > 1 && key_logit (sorted[kept - 1]) < least)
    kept--;
  double sum = 0.;
  for (int i = 0; i < kept; i++)
    sum += warmed[i];
  double wanted = number * sum;
  for (int i = 0; i < kept; i++)
    if ((wanted -= warmed[i]) < 0.)
      return i;
  return kept - 1;
}

__global__ void __launch_bounds__ (THREADS)
sample_pick_kernel (CuSampling *p, const float *logits, int n_vocab, const Key *groups, int32_t *token,
                    int32_t *position, int32_t *length)
{
  __shared__ Key keys[MOST_CANDIDATES], order[ENG_DEVICE_TOP_K];
  __shared__ double at_one[ENG_DEVICE_TOP_K], warmed[ENG_DEVICE_TOP_K];
  __shared__ int n_keys;
  const int t = threadIdx.x, lane = t % 32, n_groups = (n_vocab + 31) / 32, n_tops = (n_groups + 31) / 32;
  if (t == 0)
    n_keys = 0;
  wait_for_input ();
  const int k = p->top_k;

  // maxima of 32 groups; @keys has room for CU_SAMPLE_VOCAB / 1024 of them
  for (int i = t / 32; i < n_tops; i += THREADS / 32)
    {
      const int g = i * 32 + lane;
      const Key largest = warp_largest (g < n_groups ? __ldcg (groups + g) : 0);
      if (lane == 0)
        keys[i] = largest;
    }
  __syncthreads ();
  int n_order = n_tops < k ? n_tops : k;
  rank (keys, n_tops, k, order);

  // two rounds: groups of the largest tops, then elements of the largest groups
  for (int round = 0; round < 2; round++)
    {
      const Key least = n_order == k ? order[k - 1] : 0;
      for (int i = t; i < n_order * 32; i += THREADS)
        {
          const uint32_t inside = key_id (order[i / 32]) / (round ? 32 : 1024) * 32 + lane;
          Key key = 0;
          if (round == 0 && inside < (uint32_t) n_groups)
            key = __ldcg (groups + inside);
          if (round == 1 && inside < (uint32_t) n_vocab)
            key = make_key (__ldcg (logits + inside), inside);
          if (key && key >= least)
            keys[atomicAdd (&n_keys, 1)] = key;
        }
      __syncthreads ();
      const int n = n_keys;
      n_order = n < k ? n : k;
      rank (keys, n, k, order);
      if (t == 0)
        n_keys = 0;
      __syncthreads ();
    }

  const double largest = key_logit (order[0]);
  const bool draws = !p->greedy && isfinite (largest);
  if (draws && t < n_order)
    {
      const double below = key_logit (order[t]) - largest;
      at_one[t] = exp (below);
      warmed[t] = exp (below / p->temperature);
    }
  __syncthreads ();
  if (t)
    return;
  const int i = p->i_sample;
  const int chosen = draws ? draw (*p, order, at_one, warmed, n_order, p->draws[i]) : 0;
  const int id = (int) key_id (order[chosen]);
  p->samples[i].token = id;
  p->samples[i].drew = draws;
  p->i_sample = i + 1;
  *token = id;
  *position += 1;
  *length += 1;
  if (p->window > 0)
    {
      p->seen[p->i_seen] = id;
      p->n_seen += p->n_seen < p->window;
      p->i_seen = (p->i_seen + 1) % p->window;
    }
}

cudaError_t
cu_sample_launch (CuStream s, CuSampling *p, float *logits, int n_vocab, unsigned long long *groups, const CuMeta *m,
                  int pdl)
{
  const dim3 grid ((n_vocab + THREADS - 1) / THREADS);
  const cudaError_t e = launch_kernel (sample_groups_kernel, grid, THREADS, 0, s, pdl, p, logits, n_vocab, groups);
  if (e != cudaSuccess)
    return e;
  return launch_kernel (sample_pick_kernel, dim3 (1), THREADS, 0, s, pdl, p, (const float *) logits, n_vocab,
                        (const Key *) groups, (int32_t *) m->token, (int32_t *) m->position, (int32_t *) m->length);
}
