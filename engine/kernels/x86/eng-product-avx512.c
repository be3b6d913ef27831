/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "eng-simd-avx512.h"

#include "eng-product-tmpl.h"

void
eng_product_init_avx512 (EngKernels *kernels)
{
  init_products (kernels);
  /* Of these processors (Skylake-X) two ports take vpmaddwd and vpaddd as well as vfmadd: a cycle is 32 products either
   * way, and floats need no turning into integers. */
  memset (kernels->words_from, 0, sizeof kernels->words_from);
}
