/* SPDX-License-Identifier: Apache-2.0 */
/* The gated delta rule against the same in double. Keys of length 1 and rates below 1, as the step gives them: so the
 * matrix does not grow and each row adds the rounding of a few sums of n_k numbers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

#define EPS 0x1p-24

static void
in_double (const EngDelta *d, double *s, double *out)
{
  for (size_t r = 0; r < d->n_rows; r++)
    for (size_t j = 0; j < d->n_v; j++)
      {
        double seen = 0, sum = 0, decay = d->decay[r * d->rate_stride];
        for (size_t i = 0; i < d->n_k; i++)
          seen += (s[i * d->n_v + j] *= decay) * d->k[r * d->stride + i];
        double change = d->rate[r * d->rate_stride] * (d->v[r * d->stride + j] - seen);
        for (size_t i = 0; i < d->n_k; i++)
          sum += (s[i * d->n_v + j] += d->k[r * d->stride + i] * change) * d->q[r * d->stride + i];
        out[r * d->n_v + j] = sum;
      }
}

static void
make_unit (float *x, size_t n)
{
  double sum = 0;
  for (size_t i = 0; i < n; i++)
    sum += (double) x[i] * x[i];
  for (size_t i = 0; i < n; i++)
    x[i] = (float) (x[i] / sqrt (sum + 1e-12));
}

static void
check_delta (const EngKernels *k, size_t n_k, size_t n_v, size_t n_rows)
{
  size_t stride = 2 * n_k + n_v + 3, rate_stride = 5, out_stride = n_v + 1;
  float *rows = check_guarded ((n_rows - 1) * stride * 4 + (2 * n_k + n_v) * 4);
  float *rates = check_guarded (((n_rows - 1) * rate_stride + 2) * 4);
  float *s = check_output (n_k * n_v * 4, 0), *out = check_output (((n_rows - 1) * out_stride + n_v) * 4, 4);
  double *truth = malloc (n_k * n_v * sizeof *truth), *want = malloc (n_rows * n_v * sizeof *want), bound;
  check_fill (rows, (n_rows - 1) * stride + 2 * n_k + n_v, VALUES_RANDOM);
  check_fill (s, n_k * n_v, VALUES_RANDOM);
  for (size_t r = 0; r < n_rows; r++)
    {
      make_unit (rows + r * stride, n_k);
      make_unit (rows + r * stride + n_k, n_k);
      rates[r * rate_stride] = r % 7 == 3 ? 0.0f : 1.0f - fabsf (check_uniform ()) * 0.1f;
      rates[r * rate_stride + 1] = r % 5 == 2 ? 1.0f : fabsf (check_uniform ());
    }
  for (size_t i = 0; i < n_k * n_v; i++)
    truth[i] = s[i];
  const EngDelta d = { .s = s, .n_k = n_k, .n_v = n_v, .n_rows = n_rows, .q = rows, .k = rows + n_k,
                       .v = rows + 2 * n_k, .stride = stride, .decay = rates, .rate = rates + 1,
                       .rate_stride = rate_stride, .out = out, .out_stride = out_stride };
  in_double (&d, truth, want);
  k->delta (&d);
  bound = EPS * 16 * sqrt ((double) n_k) * ((double) n_k + 8) * (1 + sqrt ((double) n_rows));
  for (size_t r = 0; r < n_rows; r++)
    for (size_t j = 0; j < n_v; j++)
      if (!check_near (out[r * out_stride + j], want[r * n_v + j], bound))
        CHECK_FAILED ("delta %zu x %zu, row %zu of %zu at %zu: %g, expected %g", n_k, n_v, r, n_rows, j,
                      out[r * out_stride + j], want[r * n_v + j]);
  for (size_t i = 0; i < n_k * n_v; i++)
    if (!check_near (s[i], truth[i], bound))
      CHECK_FAILED ("delta %zu x %zu, %zu rows: state %zu is %g, expected %g", n_k, n_v, n_rows, i, s[i], truth[i]);
  free (truth);
  free (want);
  if (!check_free_all ())
    CHECK_FAILED ("delta %zu x %zu, %zu rows, wrote outside its output", n_k, n_v, n_rows);
}

void
check_delta_kernel (const EngKernels *k)
{
  static const size_t widths[] = { 1, 2, 7, 16, 31, 64, 128, 256 };
  static const size_t columns[] = { 1, 5, 16, 31, 32 };
  static const size_t rows[] = { 1, 2, 3, 64, 130 };
  for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
    for (size_t j = 0; j < sizeof columns / sizeof *columns; j++)
      for (size_t n = 0; n < sizeof rows / sizeof *rows; n++)
        check_delta (k, widths[i], columns[j], rows[n]);
}
