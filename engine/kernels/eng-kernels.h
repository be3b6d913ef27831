/* SPDX-License-Identifier: Apache-2.0 */
/* The CPU kernels: one typedef per signature, one table of pointers. Plain C references stand in ref/
 * and are always there; x86/ and arm64/ replace entries by faster ones, tier after tier. Every entry
 * of every tier is held against the reference by tests/kernels.
 *
 * Rules for all kernels: they allocate nothing, keep no state, may run on any number of threads, and
 * touch nothing but the elements named. Pointers need only the alignment of their element type
 * unless said otherwise; n may be 0. Float results may differ between tiers by the rounding of another
 * order of summation, never by more than the bound kernel check states beside each. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* sum a[i] * b[i] */
typedef float (*EngDotFunc) (const float *a, const float *b, size_t n);

/* y[i] += s * x[i] */
typedef void (*EngAxpyFunc) (float s, const float *x, float *y, size_t n);

/* y = x * w / sqrt (mean (x^2) + eps). w may be NULL (all ones); y may be x.
 * The mean is accumulated so that its relative error stays below n * 2^-26. */
typedef void (*EngRmsNormFunc) (const float *x, const float *w, float eps, float *y, size_t n);

/* y = (x - mean) / sqrt (var + eps) * w + b. w and b may be NULL; y may be x. */
typedef void (*EngLayerNormFunc) (const float *x, const float *w, const float *b, float eps, float *y,
                                  size_t n);

/* y = f (x); y may be x. */
typedef void (*EngUnaryFunc) (const float *x, float *y, size_t n);

/* y = f (gate) * up; y may be gate or up. */
typedef void (*EngGluFunc) (const float *gate, const float *up, float *y, size_t n);

/* x[i] = exp (x[i] - max); returns the sum. max is finite and >= every x; x may hold -infinity. */
typedef float (*EngExpSumFunc) (float *x, float max, size_t n);

/* Half precision to and from float32, round to nearest even; NaN stays NaN. */
typedef void (*EngHalfToFloatFunc) (const uint16_t *x, float *y, size_t n);
typedef void (*EngFloatToHalfFunc) (const float *x, uint16_t *y, size_t n);

typedef struct
{
  EngDotFunc dot;
  EngAxpyFunc axpy;
  EngRmsNormFunc rms_norm;
  EngLayerNormFunc layer_norm;
  EngUnaryFunc silu, gelu_tanh, gelu_erf;
  EngGluFunc silu_mul, gelu_tanh_mul, gelu_erf_mul;
  EngExpSumFunc exp_sum;
  EngHalfToFloatFunc half_to_float;
  EngFloatToHalfFunc float_to_half;
} EngKernels;

/* Fill @kernels with the plain C references. */
void eng_kernels_init_ref (EngKernels *kernels);
