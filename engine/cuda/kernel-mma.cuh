// SPDX-License-Identifier: Apache-2.0
// Tensor cores on halves (mma.sync m16n8k16, f16 -> f32) and what feeds them; compute capability 8.0 and later.
// Source of fragment layouts: NVIDIA, "PTX ISA", matrix fragments for mma.m16n8k16, and ldmatrix.
#pragma once

#include "format.cuh"

// 2^x; the smallest results are zero
CU_DEV float
exp2_fast (float x)
{
  float y;
  asm ("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

#if __CUDA_ARCH__ >= 800
CU_DEV uint32_t
shared_address (const void *p)
{
  return (uint32_t) __cvta_generic_to_shared (p);
}
CU_DEV void
ldmatrix4 (uint32_t r[4], const void *p)
{
  asm volatile ("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                : "r"(shared_address (p))
                : "memory");
}
CU_DEV void
ldmatrix4_trans (uint32_t r[4], const void *p)
{
  asm volatile ("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                : "r"(shared_address (p))
                : "memory");
}
CU_DEV void
mma (float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1)
{
  asm volatile ("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
                "{%8,%9}, {%0,%1,%2,%3};"
                : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
CU_DEV void
copy_async (void *dst, const void *src)
{
  asm volatile ("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address (dst)), "l"(src) : "memory");
}
#endif

CU_DEV uint32_t
two_halves (float a, float b)
{
  const __half2 h = __floats2half2_rn (a, b);
  return *(const uint32_t *) &h;
}
