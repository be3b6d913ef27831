/* SPDX-License-Identifier: Apache-2.0 */
#define ENG_VNNI
#include "eng-simd-avx512.h"

INLINE VI vi_dpbusd (VI sum, VI u, VI s) { return _mm512_dpbusd_epi32 (sum, u, s); }

#include "eng-product-tmpl.h"

void
eng_product_init_avx512_vnni (EngKernels *kernels)
{
  init_products (kernels);
}
