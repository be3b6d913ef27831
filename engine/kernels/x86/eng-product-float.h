/* SPDX-License-Identifier: Apache-2.0 */
/* For tiers whose product of float weights is one inlined function of the format, product_float (format, …): its three
 * forms, and product_float_init () to put them in. */
#pragma once

#include "eng-kernels.h"

#define ENG_PRODUCT_FLOAT_(name)                                                                   \
  static void product_##name (const void *w, size_t w_stride, size_t n_j, size_t n_cols,           \
                              const float *x, size_t x_stride, size_t n_r, float *y,               \
                              size_t y_stride, float *scratch)                                     \
  {                                                                                                \
    product_float (ENG_FLOAT_##name, w, w_stride, n_j, n_cols, x, x_stride, n_r, y, y_stride,      \
                   scratch);                                                                       \
  }

#define ENG_PRODUCT_FLOAT_FORMS                                                                    \
  ENG_PRODUCT_FLOAT_ (F32)                                                                         \
  ENG_PRODUCT_FLOAT_ (F16)                                                                         \
  ENG_PRODUCT_FLOAT_ (BF16)                                                                        \
  static void product_float_init (EngKernels *k)                                                   \
  {                                                                                                \
    k->product_float[ENG_FLOAT_F32] = product_F32;                                                 \
    k->product_float[ENG_FLOAT_F16] = product_F16;                                                 \
    k->product_float[ENG_FLOAT_BF16] = product_BF16;                                               \
  }
