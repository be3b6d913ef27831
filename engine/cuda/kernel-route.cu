// SPDX-License-Identifier: Apache-2.0
// Routing of mixtures: a row's best experts by their scores, alone or with the scores' product in front.
#include "kernel-launch.cuh"

// Drop all but the best groups of experts from a lane's picks (keep_groups () of the CPU's router): of equal ones the
// first stay.
template <int N>
CU_DEV void
keep_groups (const CuChoice &c, float pick[N])
{
  const int lane = threadIdx.x % 32, size = c.n_expert / c.n_groups;
  float score = INFINITY; // lane g has group g's
  for (int g = 0; g < c.n_groups; g++)
    {
      float a = -INFINITY, b = -INFINITY; // the two best
#pragma unroll
      for (int i = 0; i < N; i++)
        if ((i * 32 + lane) / size == g && i * 32 + lane < c.n_expert)
          {
            b = fmaxf (b, fminf (a, pick[i]));
            a = fmaxf (a, pick[i]);
          }
      for (int w = 16; w; w >>= 1)
        {
          const float a2 = __shfl_xor_sync (~0u, a, w), b2 = __shfl_xor_sync (~0u, b, w);
          b = fmaxf (fminf (a, a2), fmaxf (b, b2));
          a = fmaxf (a, a2);
        }
      if (lane == g)
        score = size > 1 && c.n_group_best == 2 ? a + b : a;
    }
  for (int drop = c.n_groups - c.n_groups_used; drop > 0; drop--)
    {
      float worst = score;
      int at = lane;
      for (int w = 16; w; w >>= 1)
        {
          const float s = __shfl_xor_sync (~0u, worst, w);
          const int l = __shfl_xor_sync (~0u, at, w);
          if (s < worst || (s == worst && l > at))
            {
              worst = s;
              at = l;
            }
        }
      if (lane == at)
        score = INFINITY;
#pragma unroll
      for (int i = 0; i < N; i++)
        if ((i * 32 + lane) / size == at)
          pick[i] = -INFINITY;
    }
}

CU_DEV int
warp_least (int v)
{
#if __CUDA_ARCH__ >= 800
  return __reduce_min_sync (~0u, v);
#else
  for (int w = 16; w; w >>= 1)
    v = min (v, __shfl_xor_sync (~0u, v, w));
  return v;
#endif
}
// Of floats, as whole numbers in the same order.
CU_DEV float
warp_most (float v)
{
#if __CUDA_ARCH__ >= 800
  const int b = __float_as_int (v), most = __reduce_max_sync (~0u, b < 0 ? b ^ 0x7fffffff : b);
  return __int_as_float (most < 0 ? most ^ 0x7fffffff : most);
#else
  for (int w = 16; w; w >>= 1)
    v = fmaxf (v, __shfl_xor_sync (~0u, v, w));
  return v;
#endif
}

// One warp a row: the n_used best of up to CU_MAX_EXPERTS experts, best first. @p: scores of this lane's experts: lane, lane + 32, ...
template <int N> // experts a lane
CU_DEV void
choose_experts (float p[N], const CuChoice &c, float *o)
{
  const int lane = threadIdx.x % 32, n_expert = c.n_expert, n_used = c.n_used, gating = c.gating;
  float pick[N], top = -INFINITY;
#pragma unroll
  for (int i = 0; i < N; i++)
    top = fmaxf (top, p[i]);
  for (int o = 16; o; o >>= 1)
    top = fmaxf (top, __shfl_xor_sync (~0u, top, o));
  float sum = 0.f;
#pragma unroll
  for (int i = 0; i < N; i++)
    {
      if (gating == 0)
        p[i] = i * 32 + lane < n_expert ? expf (p[i] - top) : 0.f;
      else if (gating == 1)
        p[i] = i * 32 + lane < n_expert ? 1.f / (1.f + expf (-p[i])) : 0.f;
      sum += gating == 0 ? p[i] : 0.f;
    }
  for (int o = 16; o; o >>= 1)
    sum += __shfl_xor_sync (~0u, sum, o);
#pragma unroll
  for (int i = 0; i < N; i++)
    {
      const int e = i * 32 + lane;
      if (gating == 0)
        p[i] /= sum;
      pick[i] = e < n_expert ? p[i] + (c.selection ? c.selection[e] : 0.f) : -INFINITY;
    }
  if (c.n_groups > 1 && c.n_groups_used < c.n_groups && n_expert % c.n_groups == 0)
    keep_groups<N> (c, pick);
  float chosen = 0.f, mine = 0.f, factor = 1.f; // lane u keeps the weight of choice u (n_used <= CU_MAX_CHOICES)
  for (int u = 0; u < n_used; u++)
    {
      float best = -INFINITY;
#pragma unroll
      for (int i = 0; i < N; i++)
        best = fmaxf (best, pick[i]);
      best = warp_most (best);
      int at = 0x7fffffff;
#pragma unroll
      for (int i = N; i-- > 0;)
        if (pick[i] == best)
          at = i * 32 + lane;
      at = min (warp_least (at), n_expert - 1); // of equal ones the first; numbers that are none choose the last
      float value = 0.f;
#pragma unroll
      for (int i = 0; i < N; i++)
        if (i * 32 + lane == at)
          {
            pick[i] = -INFINITY;
            value = p[i];
          }
      value = __shfl_sync (~0u, value, at % 32);
      if (lane == u)
        {
          mine = value;
          factor = c.factor && at < n_expert ? c.factor[at] : 1.f;
          o[u] = (float) at;
        }
    }
  if (gating == 2) // softmax over the chosen scores
    {
      float m = lane < n_used ? mine : -INFINITY;
      for (int w = 16; w; w >>= 1)
        m = fmaxf (m, __shfl_xor_sync (~0u, m, w));
      mine = lane < n_used ? expf (mine - m) : 0.f;
    }
  chosen = lane < n_used ? mine : 0.f;
  for (int w = 16; w; w >>= 1)
    chosen += __shfl_xor_sync (~0u, chosen, w);
  if (lane < n_used)
    o[n_used + lane] = (gating == 2 || c.normalize ? mine / fmaxf (chosen, 6.103515625e-5f) : mine)
                       * c.scale * factor;
}

template <int N>
__global__ void
route_kernel (const float *scores, const CuChoice c, float *y)
{
  wait_for_input ();
  float p[N];
#pragma unroll
  for (int i = 0; i < N; i++)
    p[i] = i * 32 + (int) threadIdx.x < c.n_expert ? __ldcg (scores + (size_t) blockIdx.x * c.n_expert + i * 32 + threadIdx.x) : -INFINITY;
  choose_experts<N> (p, c, y + (size_t) blockIdx.x * 2 * c.n_used);
}

// A float32 router of few rows, all of it: a warp a score, the norm in front folded in, and the first block looks until all scores are
// there, and chooses. (The last block to arrive would wait for its writes, for a counter, and for the scores: three trips to the L2 more.)
// The weights are asked for before the wait.
#define ROUTER_WARPS 4
#define ROUTER_LOADS 16

template <int N>
__global__ void __launch_bounds__ (ROUTER_WARPS * 32)
router_kernel (const __grid_constant__ CuRouter r)
{
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, row = blockIdx.y;
  const int e = blockIdx.x * ROUTER_WARPS + warp;
  const float *w = r.w + (size_t) (e < r.choice.n_expert ? e : 0) * r.n_cols, *x = r.x + (size_t) row * r.n_cols;
  float4 v[ROUTER_LOADS];
  float dot = 0.f, square = 0.f;
  auto load = [&] (int base) {
#pragma unroll
    for (int k = 0; k < ROUTER_LOADS; k++)
      {
        const int i = base + (k * 32 + lane) * 4;
        v[k] = i < r.n_cols ? __ldg ((const float4 *) (w + i)) : make_float4 (0.f, 0.f, 0.f, 0.f);
        if (r.norm && i < r.n_cols)
          {
            const float4 n = __ldg ((const float4 *) (r.norm + i));
            v[k].x *= n.x, v[k].y *= n.y, v[k].z *= n.z, v[k].w *= n.w;
          }
      }
  };
  load (0);
  wait_for_input ();
  for (int base = 0; base < r.n_cols; base += ROUTER_LOADS * 128)
    {
      if (base > 0)
        load (base);
#pragma unroll
      for (int k = 0; k < ROUTER_LOADS; k++)
        {
          const int i = base + (k * 32 + lane) * 4;
          if (i >= r.n_cols)
            continue;
          const float4 u = __ldcg ((const float4 *) (x + i));
          dot += u.x * v[k].x + u.y * v[k].y + u.z * v[k].z + u.w * v[k].w;
          square += u.x * u.x + u.y * u.y + u.z * u.z + u.w * u.w;
        }
    }
  for (int o = 16; o; o >>= 1)
    {
      dot += __shfl_xor_sync (~0u, dot, o);
      square += __shfl_xor_sync (~0u, square, o);
    }
  // Scores say themselves that they are there: 0 means not yet, and what is 0 is written as -0.
  volatile float *scores = r.scores + (size_t) row * r.choice.n_expert;
  if (lane == 0 && e < r.choice.n_expert)
    {
      const float v = (r.has_norm ? dot * rsqrtf (square / r.n_cols + r.eps) : dot) + (r.bias ? r.bias[e] : 0.f);
      scores[e] = v == 0.f ? -0.f : v;
    }
  if (blockIdx.x != 0 || warp != 0)
    return;
  float p[N];
#pragma unroll
  for (int i = 0; i < N; i++)
    p[i] = i * 32 + lane < r.choice.n_expert ? 0.f : -INFINITY;
  bool missing;
  do
    {
      missing = false;
#pragma unroll
      for (int i = 0; i < N; i++)
        {
          if (__float_as_uint (p[i]) == 0)
            p[i] = scores[i * 32 + lane];
          missing |= __float_as_uint (p[i]) == 0;
        }
    }
  while (__any_sync (~0u, missing));
#pragma unroll
  for (int i = 0; i < N; i++)
    if (i * 32 + lane < r.choice.n_expert)
      scores[i * 32 + lane] = 0.f;
  choose_experts<N> (p, r.choice, r.y + (size_t) row * 2 * r.choice.n_used);
}

static bool
can_choose (const CuChoice *c)
{
  return c->n_expert <= CU_MAX_EXPERTS && c->n_used <= CU_MAX_CHOICES && c->n_groups <= CU_MAX_EXPERT_GROUPS;
}

cudaError_t
cu_router (CuStream s, const CuRouter *r, int n_rows, int pdl)
{
  if (!can_choose (&r->choice) || r->n_cols % 4)
    return cudaErrorInvalidConfiguration;
  const int n = r->choice.n_expert;
  auto kernel = n <= 128 ? router_kernel<4> : n <= 256 ? router_kernel<8> : router_kernel<32>;
  return launch_kernel (kernel, dim3 ((n + ROUTER_WARPS - 1) / ROUTER_WARPS, n_rows), ROUTER_WARPS * 32, 0, s, pdl, *r);
}

cudaError_t
cu_route (CuStream s, const float *scores, const CuChoice *c, int n_rows, float *y, int pdl)
{
  if (!can_choose (c))
    return cudaErrorInvalidConfiguration;
  auto kernel = c->n_expert <= 128 ? route_kernel<4> : c->n_expert <= 256 ? route_kernel<8> : route_kernel<32>;
  return launch_kernel (kernel, n_rows, 32, 0, s, pdl, scores, *c, y);
}
