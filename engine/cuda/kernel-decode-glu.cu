// SPDX-License-Identifier: Apache-2.0
// One row of activations: gate * up.
#include "kernel-decode-ring.cuh"

template <int TYPE>
static cudaError_t
one (CuStream s, const CuGemv *g, const CuDecode *d, int n_units, int width, int pdl)
{
  return decode_launch<TYPE, TYPE, CU_MODE_GLU> (s, g, d, n_units, 1, width, pdl);
}

cudaError_t
cu_decode_glu (CuStream s, const CuGemv *g, const CuDecode *d, int n_units, int width, int pdl)
{
  CU_SWITCH_TYPE (g->segment[0].w.type, return one<TYPE> (s, g, d, n_units, width, pdl))
  return cudaErrorNotSupported;
}
