/* SPDX-License-Identifier: Apache-2.0 */
/* Integer products with the byte dot products of ARMv8.2 (FEAT_DotProd). */
#define ENG_DOT
#include "eng-product-neon-tmpl.h"

void
eng_product_init_neon_dotprod (EngKernels *k)
{
  init_products (k);
}
