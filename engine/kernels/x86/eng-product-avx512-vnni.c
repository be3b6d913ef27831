/* SPDX-License-Identifier: Apache-2.0 */
#define ENG_VNNI
#include "eng-block-avx512.h"
#include "eng-simd-avx512.h"

INLINE VI vi_dpbusd (VI sum, VI u, VI s) { return _mm512_dpbusd_epi32 (sum, u, s); }
INLINE VI vi_dpwssd (VI sum, VI a, VI b) { return _mm512_dpwssd_epi32 (sum, a, b); }

#include "eng-product-tmpl.h"
#include "eng-words-tmpl.h"

void
eng_product_init_avx512_vnni (EngKernels *kernels)
{
  init_products (kernels);
  init_words (kernels);
}
