/* SPDX-License-Identifier: Apache-2.0 */
/* Float32 vectors of eng-float-avx2.c, 16 numbers wide: those that take part in a prompt's time. Where AMX multiplies, a third
 * of a small model's prompt went to them. */
#include <math.h>

#include "eng-block-avx512.h"
#include "eng-simd-avx512.h"

#include "eng-kernels.h"
#include "eng-tiers.h"

INLINE VF
load_part (const float *p, size_t n)
{
  return _mm512_maskz_loadu_ps (first_of (n), p);
}

INLINE void
store_part (float *p, size_t n, VF a)
{
  _mm512_mask_storeu_ps (p, first_of (n), a);
}

/* As exp8 () there; one instruction scales by 2^n, whatever n is, and leaves NaN alone. */
INLINE VF
exp16 (VF x)
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

INLINE VF
negative (VF x)
{
  return _mm512_xor_ps (x, vf_set (-0.0f));
}

INLINE VF
silu16 (VF x)
{
  return _mm512_div_ps (x, vf_add (vf_set (1.0f), exp16 (negative (x))));
}

/* 0.5 (1 + tanh z) = sigmoid (2 z) */
INLINE VF
gelu_tanh16 (VF x)
{
  VF z = vf_fma (vf_mul (vf_mul (x, x), x), vf_set (0.044715f), x);
  VF e = exp16 (vf_mul (z, vf_set (-1.59576912160573071176f)));
  return vf_mul (x, _mm512_div_ps (vf_set (1.0f), vf_add (vf_set (1.0f), e)));
}

/* erf by Abramowitz and Stegun 7.1.26: absolute error below 1.5e-7. */
INLINE VF
gelu_erf16 (VF x)
{
  VF z = vf_mul (x, vf_set (0.70710678118654752440f)), a = vf_abs (z);
  VF t = _mm512_div_ps (vf_set (1.0f), vf_fma (a, vf_set (0.3275911f), vf_set (1.0f)));
  VF p = vf_set (1.061405429f);
  p = vf_fma (p, t, vf_set (-1.453152027f));
  p = vf_fma (p, t, vf_set (1.421413741f));
  p = vf_fma (p, t, vf_set (-0.284496736f));
  p = vf_mul (vf_fma (p, t, vf_set (0.254829592f)), t);
  VF erf = _mm512_fnmadd_ps (p, exp16 (negative (vf_mul (a, a))), vf_set (1.0f));
  erf = _mm512_or_ps (erf, _mm512_and_ps (z, vf_set (-0.0f)));
  return vf_mul (vf_mul (x, vf_set (0.5f)), vf_add (vf_set (1.0f), erf));
}

#define ENG_UNARY(name)                                                                            \
  static void name (const float *x, float *y, size_t n)                                            \
  {                                                                                                \
    for (size_t i = 0; i < n; i += ENG_P)                                                          \
      store_part (y + i, n - i, name##16 (load_part (x + i, n - i)));                              \
  }                                                                                                \
  static void name##_mul (const float *g, const float *u, float *y, size_t n)                      \
  {                                                                                                \
    for (size_t i = 0; i < n; i += ENG_P)                                                          \
      store_part (y + i, n - i, vf_mul (name##16 (load_part (g + i, n - i)), load_part (u + i, n - i))); \
  }
ENG_UNARY (silu)
ENG_UNARY (gelu_tanh)
ENG_UNARY (gelu_erf)

static float
exp_sum (float *x, float max, size_t n)
{
  VF m = vf_set (max), sum = vf_zero ();
  for (size_t i = 0; i < n; i += ENG_P)
    {
      __mmask16 mask = first_of (n - i);
      VF e = _mm512_maskz_mov_ps (mask, exp16 (_mm512_sub_ps (_mm512_maskz_loadu_ps (mask, x + i), m)));
      _mm512_mask_storeu_ps (x + i, mask, e);
      sum = vf_add (sum, e);
    }
  return vf_sum_lanes (sum);
}

static float
max_of (const float *x, size_t n)
{
  VF m = vf_set (-INFINITY);
  for (size_t i = 0; i < n; i += ENG_P)
    m = vf_max (m, _mm512_mask_loadu_ps (m, first_of (n - i), x + i));
  return vf_max_lanes (m);
}

static float
dot (const float *a, const float *b, size_t n)
{
  VF s[4] = { vf_zero (), vf_zero (), vf_zero (), vf_zero () };
  size_t i = 0;
  for (; i + 4 * ENG_P <= n; i += 4 * ENG_P)
    for (size_t j = 0; j < 4; j++)
      s[j] = vf_fma (vf_load (a + i + ENG_P * j), vf_load (b + i + ENG_P * j), s[j]);
  for (; i < n; i += ENG_P)
    s[0] = vf_fma (load_part (a + i, n - i), load_part (b + i, n - i), s[0]);
  return vf_sum_lanes (vf_add (vf_add (s[0], s[1]), vf_add (s[2], s[3])));
}

static void
rms_norm (const float *x, const float *w, float eps, float *y, size_t n)
{
  VF s = vf_set (1.0f / sqrtf (dot (x, x, n) / (float) (n ? n : 1) + eps));
  for (size_t i = 0; i < n; i += ENG_P)
    {
      VF a = vf_mul (load_part (x + i, n - i), s);
      store_part (y + i, n - i, w != NULL ? vf_mul (a, load_part (w + i, n - i)) : a);
    }
}

void
eng_float_init_avx512 (EngKernels *k)
{
  k->dot = dot;
  k->rms_norm = rms_norm;
  k->silu = silu;
  k->silu_mul = silu_mul;
  k->gelu_tanh = gelu_tanh;
  k->gelu_tanh_mul = gelu_tanh_mul;
  k->gelu_erf = gelu_erf;
  k->gelu_erf_mul = gelu_erf_mul;
  k->exp_sum = exp_sum;
  k->max = max_of;
}
