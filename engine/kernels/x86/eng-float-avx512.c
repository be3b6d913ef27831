/* SPDX-License-Identifier: Apache-2.0 */
/* Float32 vectors 16 numbers wide. Where AMX multiplies, a third of a small model's prompt went to those 8 wide. */
#include <math.h>

#include "eng-block-avx512.h"
#include "eng-simd-avx512.h"

#include "eng-kernels.h"
#include "eng-tiers.h"

INLINE VF
vf_load_part (const float *p, size_t n)
{
  return _mm512_maskz_loadu_ps (first_of (n), p);
}

INLINE void
vf_store_part (float *p, size_t n, VF a)
{
  _mm512_mask_storeu_ps (p, first_of (n), a);
}

INLINE VF
vf_keep (VF a, size_t n)
{
  return _mm512_maskz_mov_ps (first_of (n), a);
}

/* As in eng-float-avx2.c; one instruction scales by 2^n, whatever n is, and leaves NaN alone. */
INLINE VF
vf_exp (VF x)
{
  VF n = _mm512_roundscale_ps (vf_mul (x, vf_set (1.44269504088896341f)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  n = _mm512_max_ps (vf_set (-200), _mm512_min_ps (vf_set (200), n)); /* infinity less infinity would be NaN below */
  VF r = _mm512_fnmadd_ps (n, vf_set (-2.12194440e-4f), _mm512_fnmadd_ps (n, vf_set (0.693359375f), x));
  VF p = vf_set (1.0f / 720);
  p = vf_fma (p, r, vf_set (1.0f / 120));
  p = vf_fma (p, r, vf_set (1.0f / 24));
  p = vf_fma (p, r, vf_set (1.0f / 6));
  p = vf_fma (p, r, vf_set (0.5f));
  p = vf_fma (p, r, vf_set (1.0f));
  p = vf_fma (p, r, vf_set (1.0f));
  VF y = _mm512_scalef_ps (p, n);
  y = _mm512_mask_mov_ps (y, _mm512_cmp_ps_mask (x, vf_set (-87.33654f), _CMP_LT_OQ), vf_zero ());
  return _mm512_mask_mov_ps (y, _mm512_cmp_ps_mask (x, vf_set (88.72283f), _CMP_GT_OQ), vf_set (INFINITY));
}

#include "eng-float-tmpl.h"

void
eng_float_init_avx512 (EngKernels *k)
{
  init_vectors (k);
}
