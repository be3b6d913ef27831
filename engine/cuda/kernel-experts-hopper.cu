// SPDX-License-Identifier: Apache-2.0
// Launching the products of kernel-experts-hopper.cuh, and the activations that they read.
#include "kernel-experts-hopper.cuh"

// A block reads part of a row once and writes it for every expert that the row chose.
__global__ void
experts_gather_kernel (const float *x, const int *place, int n_used, int n_cols, __nv_bfloat16 *y)
{
  wait_for_input ();
  // two threads read 16 columns, and each writes the 8 that stand together
  const int c = (blockIdx.y * blockDim.x + threadIdx.x) * 8, half = threadIdx.x % 2;
  if (c >= n_cols)
    return;
  const float4 *from = (const float4 *) (x + (size_t) blockIdx.x * n_cols + (c & ~15));
  uint32_t v[4];
#pragma unroll
  for (int t = 0; t < 4; t++)
    {
      const float4 u = from[t];
      const __nv_bfloat162 two = half ? __floats2bfloat162_rn (u.y, u.w) : __floats2bfloat162_rn (u.x, u.z);
      v[t] = *(const uint32_t *) &two;
    }
  for (int u = 0; u < n_used; u++)
    *(uint4 *) (y + (size_t) place[blockIdx.x * n_used + u] * n_cols + c) = make_uint4 (v[0], v[1], v[2], v[3]);
}

cudaError_t
cu_experts_gather (CuStream s, const float *x, const CuSorted *o, int n_cols, __nv_bfloat16 *y, int pdl)
{
  return launch_kernel (experts_gather_kernel, dim3 (o->n_rows, (n_cols + 2047) / 2048), 256, 0, s, pdl, x, o->place, o->n_used, n_cols, y);
}

#undef EXPERTS_OF
#define EXPERTS_OF(TYPE)                                                                                                                   \
  extern template cudaError_t cu_experts_of<TYPE> (CuStream, const CUtensorMap *, const CuExperts *, bool, const CuSorted *, int);
EXPERTS_OF (ENG_TYPE_Q4_0)
EXPERTS_OF (ENG_TYPE_Q4_1)
EXPERTS_OF (ENG_TYPE_Q5_0)
EXPERTS_OF (ENG_TYPE_Q5_1)
EXPERTS_OF (ENG_TYPE_Q8_0)
EXPERTS_OF (ENG_TYPE_Q2_K)
EXPERTS_OF (ENG_TYPE_Q3_K)
EXPERTS_OF (ENG_TYPE_Q4_K)
EXPERTS_OF (ENG_TYPE_Q5_K)
EXPERTS_OF (ENG_TYPE_Q6_K)
EXPERTS_OF (ENG_TYPE_IQ4_NL)
EXPERTS_OF (ENG_TYPE_IQ4_XS)
EXPERTS_OF (ENG_TYPE_MXFP4)

// In code for sm_90a alone it has something in shared memory.
__global__ void
hopper_only (void)
{
#if HOPPER_CODE
  __shared__ volatile int there;
  there = 0;
#endif
}

bool
cu_experts_fit (int code_arch, const CuWeight *gate, const CuWeight *up, const CuWeight *down, int act)
{
  cudaFuncAttributes code;
  if (code_arch != 90 || cudaFuncGetAttributes (&code, hopper_only) != cudaSuccess || code.sharedSizeBytes == 0)
    return false;
  return gate->type == up->type && gate->q_bytes != 0 && down->q_bytes != 0 && gate->n_cols % 64 == 0 && down->n_cols % 64 == 0
         && down->n_rows % 4 == 0 && gates_by_sigmoid (act);
}

static cudaError_t
launch (CuStream s, const CuSorted *o, const CuExperts *e, bool is_gated, const __nv_bfloat16 *x, int pdl)
{
  CUtensorMap map;
  if (!cu_map_rows (x, (uint64_t) o->n_rows * o->n_used, e->w[0].n_cols, BOX_ROWS, 0, &map))
    return cudaErrorNotSupported;
  CU_SWITCH_TYPE (e->w[0].type, return cu_experts_of<TYPE> (s, &map, e, is_gated, o, pdl))
  return cudaErrorNotSupported;
}

cudaError_t
cu_experts_gate_up (CuStream s, const CuSorted *o, const CuWeight *gate, const CuWeight *up, const float *b_gate, const float *b_up, int act,
                    const __nv_bfloat16 *x, __nv_bfloat16 *h, int pdl)
{
  CuExperts e = {};
  e.w[0] = *gate;
  e.w[1] = *up;
  e.bias[0] = b_gate;
  e.bias[1] = b_up;
  e.act = act;
  e.h = h;
  return launch (s, o, &e, true, x, pdl);
}

cudaError_t
cu_experts_down (CuStream s, const CuSorted *o, const CuWeight *down, const __nv_bfloat16 *h, float *y, int pdl)
{
  CuExperts e = {};
  e.w[0] = e.w[1] = *down;
  e.y = y;
  return launch (s, o, &e, false, h, pdl);
}
