// SPDX-License-Identifier: Apache-2.0
// Copies of boxes of a tensor to shared memory and the barriers that say when they have arrived; compute capability 9.0
// and later. Source: NVIDIA, "PTX ISA", cp.async.bulk.tensor and mbarrier.
#pragma once

#include <cuda.h>

#include "kernel-mma.cuh"

#if __CUDA_ARCH__ >= 900
CU_DEV void
barrier_init (uint64_t *b, int n_arrivals)
{
  asm volatile ("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address (b)), "r"(n_arrivals) : "memory");
}
CU_DEV void
barrier_arrive (uint64_t *b)
{
  asm volatile ("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address (b)) : "memory");
}
// The one arrival of a barrier that waits for @bytes of bulk copies as well.
CU_DEV void
barrier_expect (uint64_t *b, int bytes)
{
  asm volatile ("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address (b)), "r"(bytes)
                : "memory");
}
// Until the phase of that parity is over; a fresh barrier counts as past its odd phase.
CU_DEV void
barrier_wait (uint64_t *b, int parity)
{
  asm volatile ("{\n"
                ".reg .pred done;\n"
                "again:\n"
                "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
                "@!done bra again;\n"
                "}" ::"r"(shared_address (b)),
                "r"(parity)
                : "memory");
}
// @bytes, a multiple of 16, between places that are multiples of 16; @b waits for them.
CU_DEV void
copy_bytes (void *dst, const void *src, int bytes, uint64_t *b)
{
  asm volatile ("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(shared_address (dst)), "l"(src),
                "r"(bytes), "r"(shared_address (b))
                : "memory");
}
// The box of @map at (column, row) of a tensor of two dimensions; @b waits for its bytes.
CU_DEV void
copy_box (void *dst, const CUtensorMap *map, int column, int row, uint64_t *b)
{
  asm volatile ("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];"
                ::"r"(shared_address (dst)), "l"(map), "r"(column), "r"(row), "r"(shared_address (b))
                : "memory");
}
// Boxes that lie side by side, all that the map takes at once, from row @row on.
CU_DEV void
copy_boxes (void *dst, const CUtensorMap *map, int row, uint64_t *b)
{
  asm volatile ("cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {0, %2, 0}], [%3];"
                ::"r"(shared_address (dst)), "l"(map), "r"(row), "r"(shared_address (b))
                : "memory");
}
#endif

// A matrix of halves or bf16 in boxes of 64 columns and @rows rows, which lie in shared memory as 128 bytes a row, 16-byte pieces
// swizzled by row % 8. @n_boxes: 0 for copy_box (), or as many as copy_boxes () takes. False: the driver makes none.
bool cu_map_rows (const void *matrix, uint64_t n_rows, uint64_t n_cols, int rows, int n_boxes, CUtensorMap *map);
// Keys or values of a layer so, as rows of one head and position each.
bool cu_map_cache (const __half *cache, const CuAttention *a, int rows, int n_boxes, CUtensorMap *map);
