/* SPDX-License-Identifier: Apache-2.0 */
/* Integer products with the byte matrix products of ARMv8.6 (FEAT_I8MM). */
#define ENG_DOT
#define ENG_MMLA
#include "eng-product-neon-tmpl.h"

void
eng_product_init_neon_i8mm (EngKernels *k)
{
  init_products (k);
}
