/* SPDX-License-Identifier: Apache-2.0 */
/* Integer products of any arm64 processor. */
#include "eng-product-neon-tmpl.h"

void
eng_product_init_neon (EngKernels *k)
{
  init_products (k);
}
