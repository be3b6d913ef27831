// SPDX-License-Identifier: Apache-2.0
// One row of activations: the chosen experts of a token.
#include "kernel-decode-ring.cuh"

cudaError_t
cu_decode_expert (CuStream s, const CuGemv *g, const CuDecode *d, int n_units, int n_rows, int width,
                  int pdl)
{
  const bool up = g->tail == CU_TAIL_GLU;
  switch (g->segment[0].w.type)
    {
#define CASE(TYPE)                                                                                 \
  case TYPE:                                                                                       \
    return up ? decode_launch<TYPE, TYPE, CU_MODE_EXPERT_UP> (s, g, d, n_units, n_rows, width, \
                                                                   pdl)                            \
              : decode_launch<TYPE, TYPE, CU_MODE_EXPERT_DOWN> (s, g, d, n_units, n_rows,     \
                                                                     width, pdl);
      CASE (ENG_TYPE_Q4_0)
      CASE (ENG_TYPE_Q4_K)
      CASE (ENG_TYPE_Q5_K)
      CASE (ENG_TYPE_Q6_K)
      CASE (ENG_TYPE_Q8_0)
      CASE (ENG_TYPE_MXFP4)
#undef CASE
    default:
      return cudaErrorNotSupported;
    }
}
