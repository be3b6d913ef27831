/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-simd-avx2.h"

#include "eng-product-tmpl.h"

void
eng_product_init_avx2 (EngKernels *kernels)
{
  init_products (kernels);
}
