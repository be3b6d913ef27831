/* SPDX-License-Identifier: Apache-2.0 */
/* Float32 vectors for any register width: those that take part in a prompt's time. Included by the file of a tier after a header
 * of vector operations and
 *   vf_load_part (p, n), vf_store_part (p, n, a)  the first n < ENG_P numbers; others are read as 0
 *   vf_keep (a, n)                                zero behind the first n < ENG_P
 *   vf_exp (a)                                    relative error below 3e-7; 0 below 2^-126, infinity above the largest float
 */
#pragma once

#include <math.h>

#include "eng-kernels.h"

INLINE VF
vf_silu (VF x)
{
  return vf_div (x, vf_add (vf_set (1.0f), vf_exp (vf_negative (x))));
}

/* 0.5 (1 + tanh z) = sigmoid (2 z) */
INLINE VF
vf_gelu_tanh (VF x)
{
  VF z = vf_fma (vf_mul (vf_mul (x, x), x), vf_set (0.044715f), x);
  VF e = vf_exp (vf_mul (z, vf_set (-1.59576912160573071176f)));
  return vf_mul (x, vf_div (vf_set (1.0f), vf_add (vf_set (1.0f), e)));
}

/* erf by Abramowitz and Stegun 7.1.26: absolute error below 1.5e-7. */
INLINE VF
vf_gelu_erf (VF x)
{
  VF z = vf_mul (x, vf_set (0.70710678118654752440f)), a = vf_abs (z);
  VF t = vf_div (vf_set (1.0f), vf_fma (a, vf_set (0.3275911f), vf_set (1.0f)));
  VF p = vf_set (1.061405429f);
  p = vf_fma (p, t, vf_set (-1.453152027f));
  p = vf_fma (p, t, vf_set (1.421413741f));
  p = vf_fma (p, t, vf_set (-0.284496736f));
  p = vf_mul (vf_fma (p, t, vf_set (0.254829592f)), t);
  VF erf = vf_fnma (p, vf_exp (vf_negative (vf_mul (a, a))), vf_set (1.0f));
  erf = vf_with_sign (erf, z);
  return vf_mul (vf_mul (x, vf_set (0.5f)), vf_add (vf_set (1.0f), erf));
}

#define ENG_UNARY(name)                                                                            \
  static void name (const float *x, float *y, size_t n)                                            \
  {                                                                                                \
    size_t i = 0;                                                                                  \
    for (; i + ENG_P <= n; i += ENG_P)                                                             \
      vf_store (y + i, vf_##name (vf_load (x + i)));                                               \
    if (i < n)                                                                                     \
      vf_store_part (y + i, n - i, vf_##name (vf_load_part (x + i, n - i)));                       \
  }                                                                                                \
  static void name##_mul (const float *g, const float *u, float *y, size_t n)                      \
  {                                                                                                \
    size_t i = 0;                                                                                  \
    for (; i + ENG_P <= n; i += ENG_P)                                                             \
      vf_store (y + i, vf_mul (vf_##name (vf_load (g + i)), vf_load (u + i)));                     \
    if (i < n)                                                                                     \
      vf_store_part (y + i, n - i,                                                                 \
                     vf_mul (vf_##name (vf_load_part (g + i, n - i)), vf_load_part (u + i, n - i))); \
  }
ENG_UNARY (silu)
ENG_UNARY (gelu_tanh)
ENG_UNARY (gelu_erf)
#undef ENG_UNARY

static float
exp_sum (float *x, float max, size_t n)
{
  VF m = vf_set (max), sum = vf_zero ();
  size_t i = 0;
  for (; i + ENG_P <= n; i += ENG_P)
    {
      VF e = vf_exp (vf_sub (vf_load (x + i), m));
      vf_store (x + i, e);
      sum = vf_add (sum, e);
    }
  if (i < n)
    {
      VF e = vf_keep (vf_exp (vf_sub (vf_load_part (x + i, n - i), m)), n - i);
      vf_store_part (x + i, n - i, e);
      sum = vf_add (sum, e);
    }
  return vf_sum_lanes (sum);
}

static float
max_of (const float *x, size_t n)
{
  VF m = vf_set (-INFINITY);
  size_t i = 0;
  for (; i + ENG_P <= n; i += ENG_P)
    m = vf_max (m, vf_load (x + i));
  float max = vf_max_lanes (m);
  for (; i < n; i++)
    max = x[i] > max ? x[i] : max;
  return max;
}

static float
dot (const float *a, const float *b, size_t n)
{
  VF s[4] = { vf_zero (), vf_zero (), vf_zero (), vf_zero () };
  size_t i = 0;
  for (; i + 4 * ENG_P <= n; i += 4 * ENG_P)
    for (size_t j = 0; j < 4; j++)
      s[j] = vf_fma (vf_load (a + i + ENG_P * j), vf_load (b + i + ENG_P * j), s[j]);
  for (; i + ENG_P <= n; i += ENG_P)
    s[0] = vf_fma (vf_load (a + i), vf_load (b + i), s[0]);
  if (i < n)
    s[1] = vf_fma (vf_load_part (a + i, n - i), vf_load_part (b + i, n - i), s[1]);
  return vf_sum_lanes (vf_add (vf_add (s[0], s[1]), vf_add (s[2], s[3])));
}

static void
rms_norm (const float *x, const float *w, float eps, float *y, size_t n)
{
  VF s = vf_set (1.0f / sqrtf (dot (x, x, n) / (float) (n ? n : 1) + eps));
  size_t i = 0;
  for (; i + ENG_P <= n; i += ENG_P)
    {
      VF a = vf_mul (vf_load (x + i), s);
      vf_store (y + i, w != NULL ? vf_mul (a, vf_load (w + i)) : a);
    }
  if (i < n)
    {
      VF a = vf_mul (vf_load_part (x + i, n - i), s);
      vf_store_part (y + i, n - i, w != NULL ? vf_mul (a, vf_load_part (w + i, n - i)) : a);
    }
}

static void
init_vectors (EngKernels *k)
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
