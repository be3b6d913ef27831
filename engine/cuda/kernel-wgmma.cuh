// SPDX-License-Identifier: Apache-2.0
// Hopper's warpgroup products (wgmma, f16 -> f32) and what feeds them. They exist for compute capability 9.0 alone and
// only in code compiled for sm_90a: HOPPER_CODE says so on the device's side.
// Sources: NVIDIA, "PTX ISA", asynchronous warpgroup level matrix instructions (fragments, matrix descriptors,
// swizzling modes), setmaxnreg.
#pragma once

#include "kernel-bulk.cuh"

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#define HOPPER_CODE 1

// Barriers between some of a block's threads: all of @n come, or some wait for those that only arrive.
CU_DEV void
named_sync (int id, int n)
{
  asm volatile ("bar.sync %0, %1;" ::"r"(id), "r"(n) : "memory");
}
CU_DEV void
named_arrive (int id, int n)
{
  asm volatile ("bar.arrive %0, %1;" ::"r"(id), "r"(n) : "memory");
}

// ---- products ----

// A matrix of halves in shared memory as boxes of 64 columns, 128 bytes a row, 16-byte pieces of a row swizzled
// among the 8 of 128 bytes by row % 8. @box_bytes: from one box to the next, where the product goes over several.
CU_DEV uint64_t
matrix (const void *p, int box_bytes)
{
  return (uint64_t) (shared_address (p) >> 4 & 0x3fff) | (uint64_t) (box_bytes >> 4) << 16 | (uint64_t) (1024 >> 4) << 32
         | (uint64_t) 1 << 62;
}
// What was written to shared memory by stores is there for products.
CU_DEV void
publish_stores (void)
{
  asm volatile ("fence.proxy.async.shared::cta;" ::: "memory");
}
CU_DEV void
products_begin (void)
{
  asm volatile ("wgmma.fence.sync.aligned;" ::: "memory");
}
CU_DEV void
products_commit (void)
{
  asm volatile ("wgmma.commit_group.sync.aligned;" ::: "memory");
}
// All but the last N groups are done, and @c may be read.
template <int N, int COUNT>
CU_DEV void
products_wait (float (&c)[COUNT])
{
  asm volatile ("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
#pragma unroll
  for (int i = 0; i < COUNT; i++)
    asm volatile ("" : "+f"(c[i])::"memory");
}

#define C8(i)                                                                                                          \
  "+f"(c[i]), "+f"(c[i + 1]), "+f"(c[i + 2]), "+f"(c[i + 3]), "+f"(c[i + 4]), "+f"(c[i + 5]), "+f"(c[i + 6]),          \
      "+f"(c[i + 7])
#define C16(i) C8 (i), C8 (i + 8)
#define C32(i) C8 (i), C8 (i + 8), C8 (i + 16), C8 (i + 24)
#define NAMES16 "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15"
#define NAMES32                                                                                                        \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "                                             \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define NAMES64                                                                                                        \
  NAMES32 ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "                         \
          "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"

// c [64, 128] = [c +] a [64, 16] b [128, 16]^T, both in shared memory, values of a row together.
CU_DEV void
product_rows (float (&c)[64], uint64_t a, uint64_t b, int add)
{
  asm volatile ("{\n.reg .pred p;\nsetp.ne.b32 p, %66, 0;\n"
                "wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 {" NAMES64 "}, %64, %65, p, 1, 1, 0, 0;\n}"
                : C32 (0), C32 (32)
                : "l"(a), "l"(b), "r"(add));
}
// c [64, 4 * COUNT / 2] += a [64, 16] b [16, …]: a in registers, b in shared memory, values of a row together.
CU_DEV void
product_weights (float (&c)[64], const uint32_t (&a)[4], uint64_t b)
{
  asm volatile ("wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 {" NAMES64
                "}, {%64, %65, %66, %67}, %68, 1, 1, 1, 1;"
                : C32 (0), C32 (32)
                : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}
CU_DEV void
product_weights (float (&c)[32], const uint32_t (&a)[4], uint64_t b)
{
  asm volatile ("wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 {" NAMES32
                "}, {%32, %33, %34, %35}, %36, 1, 1, 1, 1;"
                : C32 (0)
                : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}

// c [64, 2 * COUNT] = [c +] a [64, 16] b [2 * COUNT, 16]^T, bf16: a in registers, b in shared memory, values of a row together.
#define PRODUCT_BF16(COUNT, N, NAMES, C, A0, A1, A2, A3, B, ADD)                                                       \
  CU_DEV void product_bf16 (float (&c)[COUNT], const uint32_t (&a)[4], uint64_t b, int add)                            \
  {                                                                                                                    \
    asm volatile ("{\n.reg .pred p;\nsetp.ne.b32 p, %" ADD ", 0;\n"                                                    \
                  "wgmma.mma_async.sync.aligned.m64n" N "k16.f32.bf16.bf16 {" NAMES "}, {%" A0 ", %" A1 ", %" A2       \
                  ", %" A3 "}, %" B ", p, 1, 1, 0;\n}"                                                                 \
                  : C (0)                                                                                              \
                  : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add));                                     \
  }
#define C64(i) C32 (i), C32 (i + 32)
PRODUCT_BF16 (16, "32", NAMES16, C16, "16", "17", "18", "19", "20", "21")
PRODUCT_BF16 (32, "64", NAMES32, C32, "32", "33", "34", "35", "36", "37")
PRODUCT_BF16 (64, "128", NAMES64, C64, "64", "65", "66", "67", "68", "69")
#endif
