/* SPDX-License-Identifier: Apache-2.0 */
/* Vector kernels against double arithmetic. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

#define EPS 0x1p-24

static const size_t lengths[]
    = { 0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19,  20,
        21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 47, 48, 49, 64, 65, 95, 576, 1537 };
#define N_LENGTHS (sizeof lengths / sizeof *lengths)

static void
check_sums (const EngKernels *k, size_t n, CheckValues values)
{
  float *a = check_guarded (n * 4), *b = check_guarded (n * 4), *y = check_output (n * 4, 4);
  double dot = 0, bound = 0, max = -INFINITY;
  check_fill (a, n, values);
  check_fill (b, n, VALUES_RANDOM);
  for (size_t i = 0; i < n; i++)
    {
      dot += (double) a[i] * b[i];
      bound += fabs ((double) a[i] * b[i]);
      max = a[i] > max ? a[i] : max;
      y[i] = b[i];
    }
  /* Each product and each of at most n sums rounds once. */
  bound = bound * EPS * ((double) n + 2) + n * 0x1p-149;
  double got = k->dot (a, b, n);
  if (!check_near (got, dot, bound))
    CHECK_FAILED ("dot n %zu %s: %g, expected %g +- %g", n, check_values_name (values), got, dot, bound);
  if (k->max (a, n) != max)
    CHECK_FAILED ("max n %zu %s", n, check_values_name (values));
  k->axpy (0.75f, a, y, n);
  for (size_t i = 0; i < n; i++)
    if (!check_near (y[i], b[i] + 0.75 * a[i], 3 * EPS * (fabs (b[i]) + fabs (a[i])) + 0x1p-148))
      CHECK_FAILED ("axpy n %zu %s at %zu", n, check_values_name (values), i);
  if (!check_free_all ())
    CHECK_FAILED ("axpy n %zu wrote outside its output", n);
}

static void
check_norms (const EngKernels *k, size_t n, CheckValues values, bool with_weights)
{
  float *x = check_guarded (n * 4), *w = check_guarded (n * 4), *b = check_guarded (n * 4);
  float *y = check_output (n * 4, 8), *z = check_output (n * 4, 12);
  double sum2 = 0, mean = 0, var = 0, most = 0;
  check_fill (x, n, values);
  check_fill (w, n, VALUES_RANDOM);
  check_fill (b, n, VALUES_RANDOM);
  for (size_t i = 0; i < n; i++)
    {
      sum2 += (double) x[i] * x[i];
      mean += (double) x[i] / (double) n;
      most = fmax (most, fabs (x[i]));
    }
  for (size_t i = 0; i < n; i++)
    var += (x[i] - mean) * (x[i] - mean) / (double) n;
  k->rms_norm (x, with_weights ? w : NULL, 1e-5f, y, n);
  k->layer_norm (x, with_weights ? w : NULL, with_weights ? b : NULL, 1e-5f, z, n);
  for (size_t i = 0; i < n; i++)
    {
      double wi = with_weights ? w[i] : 1, bi = with_weights ? b[i] : 0;
      double rms = x[i] / sqrt (sum2 / (double) n + 1e-5f) * wi;
      double ln = (x[i] - mean) / sqrt (var + 1e-5f) * wi + bi;
      /* The sum's relative error is at most n eps; its root halves that. */
      if (!check_near (y[i], rms, fabs (rms) * EPS * ((double) n + 8) + 0x1p-148))
        CHECK_FAILED ("rms_norm n %zu %s at %zu: %g, expected %g", n, check_values_name (values), i,
                      y[i], rms);
      double bound = EPS * ((double) n + 8)
                     * (fabs (ln) + fabs (bi) + 2 * most / sqrt (var + 1e-5) * fabs (wi));
      /* Among denormal numbers the mean is off by half a unit, whatever its size. */
      bound += 0x1p-149 / sqrt (var + 1e-5) * fabs (wi) + 0x1p-148;
      if (!check_near (z[i], ln, bound))
        CHECK_FAILED ("layer_norm n %zu %s at %zu: %g, expected %g", n, check_values_name (values), i,
                      z[i], ln);
    }
  if (!check_free_all ())
    CHECK_FAILED ("a norm of %zu wrote outside its output", n);
}

static double
silu (double x)
{
  return x / (1 + exp (-x));
}
static double
gelu_tanh (double x)
{
  return 0.5 * x * (1 + tanh (0.79788456080286535588 * (x + 0.044715 * x * x * x)));
}
static double
gelu_erf (double x)
{
  return 0.5 * x * (1 + erf (x * 0.70710678118654752440));
}

static void
check_unary (const char *name, EngUnaryFunc func, EngGluFunc glu, double (*want) (double), size_t n)
{
  float *x = check_guarded (n * 4), *u = check_guarded (n * 4), *y = check_output (n * 4, 4);
  float *z = check_output (n * 4, 0);
  for (size_t i = 0; i < n; i++)
    {
      x[i] = check_uniform () * (i % 4 == 0 ? 120.0f : i % 4 == 1 ? 12.0f : 2.0f);
      u[i] = check_uniform () * 3;
    }
  func (x, y, n);
  glu (x, u, z, n);
  for (size_t i = 0; i < n; i++)
    {
      double f = want (x[i]), bound = 6e-7 * (fabs (f) + fabs (x[i]) * 0.5);
      if (!check_near (y[i], f, bound))
        CHECK_FAILED ("%s n %zu (%g) = %g, expected %g", name, n, x[i], y[i], f);
      if (!check_near (z[i], f * u[i], (bound + 1e-7 * fabs (f)) * fabs (u[i])))
        CHECK_FAILED ("%s_mul n %zu (%g, %g) = %g, expected %g", name, n, x[i], u[i], z[i], f * u[i]);
    }
  if (!check_free_all ())
    CHECK_FAILED ("%s n %zu wrote outside its output", name, n);
}

static void
check_exp (const EngKernels *k, size_t n)
{
  float *x = check_output (n * 4, 4), *before = check_guarded (n * 4);
  double sum = 0;
  float max = 3.5f;
  for (size_t i = 0; i < n; i++)
    {
      before[i] = i % 7 == 3 ? -INFINITY : max - fabsf (check_uniform ()) * (i % 3 ? 20.0f : 110.0f);
      x[i] = before[i];
      sum += exp ((double) before[i] - max);
    }
  float got = k->exp_sum (x, max, n);
  for (size_t i = 0; i < n; i++)
    {
      double want = exp ((double) before[i] - max);
      /* The difference itself rounds: up to 110 * 2^-24 in the exponent. */
      if (!check_near (x[i], want, want * 8e-6 + 1.2e-38))
        CHECK_FAILED ("exp n %zu (%g) = %g, expected %g", n, before[i] - max, x[i], want);
    }
  if (!check_near (got, sum, sum * (8e-6 + (double) n * EPS) + 1e-37))
    CHECK_FAILED ("exp_sum n %zu = %g, expected %g", n, got, sum);
  if (!check_free_all ())
    CHECK_FAILED ("exp_sum n %zu wrote outside its output", n);
}

static void
check_halves (const EngKernels *k, const EngKernels *ref, size_t n)
{
  uint16_t *h = check_guarded (n * 2), *back = check_output (n * 2, 2), *want = check_output (n * 2, 0);
  float *f = check_output (n * 4, 4), *g = check_output (n * 4, 0);
  for (size_t i = 0; i < n; i++)
    do
      h[i] = (uint16_t) check_random ();
    while ((h[i] & 0x7c00) == 0x7c00 && (h[i] & 0x3ff) != 0);
  k->half_to_float (h, f, n);
  ref->half_to_float (h, g, n);
  if (memcmp (f, g, n * 4) != 0)
    CHECK_FAILED ("half_to_float n %zu", n);
  for (size_t i = 0; i < n; i++)
    f[i] = check_uniform () * (i % 5 == 0 ? 7e4f : i % 5 == 1 ? 1e-5f : i % 5 == 2 ? 1e-7f : 1.0f);
  k->float_to_half (f, back, n);
  ref->float_to_half (f, want, n);
  if (memcmp (back, want, n * 2) != 0)
    CHECK_FAILED ("float_to_half n %zu", n);
  if (!check_free_all ())
    CHECK_FAILED ("half conversion of %zu wrote outside its output", n);
}

static void
check_quantize (const EngKernels *k, const EngKernels *ref, size_t n, CheckValues values)
{
  enum
  {
    T = 3
  };
  float *x = check_guarded (n * 4);
  size_t meta_bytes = n / 32 * ENG_QUANT_META * T * 4;
  EngQuantTile got = { check_output (n * T, 0), check_output (n * T * 2, 0),
                       check_output (meta_bytes, 0), T };
  EngQuantTile want = { check_output (n * T, 0), check_output (n * T * 2, 0),
                        check_output (meta_bytes, 0), T };
  check_fill (x, n, values);
  k->quantize (x, n, &got, 1);
  ref->quantize (x, n, &want, 1);
  if (memcmp (got.q, want.q, n * T) != 0 || memcmp (got.q16, want.q16, n * T * 2) != 0
      || memcmp (got.meta, want.meta, meta_bytes) != 0)
    CHECK_FAILED ("quantize n %zu %s differs from the reference", n, check_values_name (values));
  for (size_t i = 0; i < n; i++)
    {
      size_t b = i / 32, at = (b * T + 1) * 32 + i % 32;
      double d = want.meta[b * ENG_QUANT_META * T + 1];
      if (!check_near (d * want.q[at], x[i], d * 0.5001 + 1e-35))
        CHECK_FAILED ("quantize n %zu %s at %zu: %g became %g", n, check_values_name (values), i, x[i],
                      d * want.q[at]);
    }
  if (!check_free_all ())
    CHECK_FAILED ("quantize n %zu wrote outside its output", n);
}

void
check_float_kernels (const EngKernels *k)
{
  EngKernels ref;
  eng_kernels_init_ref (&ref);
  for (size_t i = 0; i < N_LENGTHS; i++)
    {
      size_t n = lengths[i];
      for (int v = 0; v < VALUES_N; v++)
        {
          check_sums (k, n, (CheckValues) v);
          if (n > 0)
            {
              check_norms (k, n, (CheckValues) v, true);
              check_norms (k, n, (CheckValues) v, false);
            }
        }
      check_unary ("silu", k->silu, k->silu_mul, silu, n);
      check_unary ("gelu_tanh", k->gelu_tanh, k->gelu_tanh_mul, gelu_tanh, n);
      check_unary ("gelu_erf", k->gelu_erf, k->gelu_erf_mul, gelu_erf, n);
      check_exp (k, n);
      check_halves (k, &ref, n);
    }
  for (size_t n = 0; n <= 192; n += 32)
    for (int v = 0; v < VALUES_N; v++)
      check_quantize (k, &ref, n, (CheckValues) v);
}
