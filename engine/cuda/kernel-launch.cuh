// SPDX-License-Identifier: Apache-2.0
// What every kernel of a token does the same way: waiting for the kernel before it, and being launched so that it
// may start before that one ends (programmatic dependent launch).
#pragma once

#include "format.cuh"

// The next kernel may start.
CU_DEV void
start_next (void)
{
#if __CUDA_ARCH__ >= 900
  cudaTriggerProgrammaticLaunchCompletion ();
#endif
}
// What the kernel before wrote is there. Weights and the cache of earlier runs need no wait. @next: the next one may start.
CU_DEV void
wait_for_input (bool next = true)
{
#if __CUDA_ARCH__ >= 900
  if (next)
    start_next ();
  cudaGridDependencySynchronize ();
#endif
}

CU_DEV float
warp_sum (float v)
{
#pragma unroll
  for (int o = 16; o; o >>= 1)
    v += __shfl_xor_sync (~0u, v, o);
  return v;
}

CU_DEV void
prefetch_l2 (const void *p)
{
  asm volatile ("prefetch.global.L2 [%0];" ::"l"(p));
}

// Shared memory a block may ask for on the current device.
static inline cudaError_t
shared_limit (int *bytes)
{
  int device;
  const cudaError_t e = cudaGetDevice (&device);
  return e == cudaSuccess ? cudaDeviceGetAttribute (bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device) : e;
}

// @bytes of dynamic shared memory. All kernels ask for one split of L1 and shared memory: changing it would empty the
// multiprocessor first (measured on an H100: 64.6 us for the products of an 8B layer, 58.6 us so).
template <typename K, typename... A>
static cudaError_t
launch_kernel (K kernel, dim3 grid, int threads, size_t bytes, CuStream s, int pdl, const A &...args)
{
  cudaError_t e = cudaFuncSetAttribute (kernel, cudaFuncAttributePreferredSharedMemoryCarveout,
                                        cudaSharedmemCarveoutMaxShared);
  if (e == cudaSuccess && bytes)
    e = cudaFuncSetAttribute (kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int) bytes);
  if (e != cudaSuccess)
    return e;
  cudaLaunchConfig_t c = {};
  c.gridDim = grid;
  c.blockDim = dim3 (threads);
  c.dynamicSmemBytes = bytes;
  c.stream = s;
  cudaLaunchAttribute at = {};
  at.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  at.val.programmaticStreamSerializationAllowed = 1;
  c.attrs = &at;
  c.numAttrs = pdl ? 1 : 0;
  return cudaLaunchKernelEx (&c, kernel, args...);
}
