/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-simd-avx2.h"

#include "eng-delta-tmpl.h"
#include "eng-tiers.h"

void
eng_delta_init_avx2 (EngKernels *k)
{
  k->delta = delta;
}
