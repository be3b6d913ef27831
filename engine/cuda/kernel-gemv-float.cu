// SPDX-License-Identifier: Apache-2.0
// Float weights (F32, F16, BF16), 1, 2 and 4 rows of activations.
#include "kernel-gemv.cuh"

template cudaError_t cu_gemv_launch<1, true> (CuStream, const CuGemv *, int, int, int, int, int);
template cudaError_t cu_gemv_launch<2, true> (CuStream, const CuGemv *, int, int, int, int, int);
template cudaError_t cu_gemv_launch<4, true> (CuStream, const CuGemv *, int, int, int, int, int);
