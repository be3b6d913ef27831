// SPDX-License-Identifier: Apache-2.0
// Quantized weights, 2 rows of activations.
#include "kernel-gemv.cuh"

template cudaError_t cu_gemv_launch<2, false> (CuStream, const CuGemv *, int, int, int, int, int);
