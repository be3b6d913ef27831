/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-block-avx2.h"
#include "eng-simd-avx2.h"

#include "eng-product-tmpl.h"
#include "eng-words-tmpl.h"

void
eng_product_init_avx2 (EngKernels *kernels)
{
  init_products (kernels);
  init_words (kernels);
}
