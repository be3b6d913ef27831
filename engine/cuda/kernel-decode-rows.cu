// SPDX-License-Identifier: Apache-2.0
// One row of activations: rows of one to three matrices; two formats where files mix them (V of K-quants).
#include "kernel-decode-ring.cuh"

template <int TYPE>
static cudaError_t
one (CuStream s, const CuGemv *g, const CuDecode *d, int n_units, int width, int pdl)
{
  return decode_launch<TYPE, TYPE, CU_MODE_ROWS> (s, g, d, n_units, 1, width, pdl);
}

cudaError_t
cu_decode_rows (CuStream s, const CuGemv *g, const CuDecode *d, int n_units, int width, int pdl)
{
  const int a = g->segment[0].w.type, b = g->segment[g->n_segments - 1].w.type;
#define TWO(A, B)                                                                                  \
  if (a == A && b == B)                                                                            \
    return decode_launch<A, B, CU_MODE_ROWS> (s, g, d, n_units, 1, width, pdl);
  TWO (ENG_TYPE_Q4_K, ENG_TYPE_Q6_K)
  TWO (ENG_TYPE_Q5_K, ENG_TYPE_Q6_K)
  TWO (ENG_TYPE_Q5_0, ENG_TYPE_Q8_0)
#undef TWO
  if (a != b)
    return cudaErrorNotSupported;
  CU_SWITCH_TYPE (a, return one<TYPE> (s, g, d, n_units, width, pdl))
  return cudaErrorNotSupported;
}
