/* SPDX-License-Identifier: Apache-2.0 */
/* Products of 16-bit float weights by integers of 16 bits, against double arithmetic. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "eng-half.h"

#define EPS 0x1p-24

static float
weight_at (EngFloatFormat format, uint16_t h)
{
  return format == ENG_FLOAT_F16 ? eng_f16_to_f32 (h) : eng_bf16_to_f32 (h);
}

static EngWordTile
make_tile (size_t n_cols, uint32_t t)
{
  size_t blocks = (n_cols + ENG_WORD_BLOCK - 1) / ENG_WORD_BLOCK;
  return (EngWordTile){ check_output (blocks * t * ENG_WORD_BLOCK * 2, 0),
                        check_output (blocks * t * 4, 4), t };
}

/* What the tile promises of row @r. */
static void
check_words (const EngWordTile *tile, const float *x, size_t n_cols, uint32_t r)
{
  for (size_t c = 0, at = r; c < n_cols; c += ENG_WORD_BLOCK, at += tile->n_rows)
    {
      double sum = 0, max = 0, d = tile->scale[at];
      const int16_t *q = tile->q + at * ENG_WORD_BLOCK;
      long total = 0;
      for (size_t i = 0; i < ENG_WORD_BLOCK; i++)
        {
          double number = c + i < n_cols ? x[c + i] : 0;
          sum += fabs (number);
          max = fmax (max, fabs (number));
          total += labs (q[i]);
          if (!check_near (d * q[i], number, d * 0.5001 + fabs (number) * 4 * EPS))
            CHECK_FAILED ("words of K %zu: %g at %zu is %d x %g", n_cols, number, c + i, q[i], d);
        }
      double least = fmax (fmax (sum / ENG_WORD_SUM, max / 32767), ENG_WORD_SMALLEST);
      if (!check_near (d, least, least * 64 * EPS))
        CHECK_FAILED ("words of K %zu: scale %g, expected %g", n_cols, d, least);
      if (total * (long) ENG_WORD_WEIGHT > INT32_MAX)
        CHECK_FAILED ("words of K %zu: a sum of %ld overflows", n_cols, total);
    }
}

/* What rounding both sides may cost, and float sums of what is left. */
static double
bound_of (const float *w, const float *x, size_t n_cols)
{
  double all = 0, size = 0;
  for (size_t c = 0; c < n_cols; c += ENG_WORD_BLOCK)
    {
      double w_sum = 0, x_sum = 0, w_max = 0, x_max = 0;
      size_t end = c + ENG_WORD_BLOCK < n_cols ? c + ENG_WORD_BLOCK : n_cols;
      for (size_t i = c; i < end; i++)
        {
          w_sum += fabs (w[i]);
          x_sum += fabs (x[i]);
          w_max = fmax (w_max, fabs (w[i]));
          x_max = fmax (x_max, fabs (x[i]));
          size += fabs ((double) w[i] * x[i]);
        }
      double w_unit = fmax (w_max / ENG_WORD_WEIGHT, ENG_WORD_SMALLEST);
      double x_unit = fmax (fmax (x_sum / ENG_WORD_SUM, x_max / 32767), ENG_WORD_SMALLEST);
      all += 0.501 * (w_unit * x_sum + x_unit * w_sum) + ENG_WORD_BLOCK * 0.26 * w_unit * x_unit;
    }
  return all * (1 + 1e-4) + size * EPS * ((double) n_cols / ENG_WORD_BLOCK + 8) + 1e-37;
}

static void
check_product (const EngKernels *k, EngFloatFormat format, size_t n_cols, size_t n_j, uint32_t t,
               CheckValues values)
{
  size_t w_stride = n_cols + 3, y_stride = n_j + 2, n_r = t > 2 ? t - 1 : t;
  uint16_t *w = check_guarded ((w_stride * (n_j - 1) + n_cols) * 2);
  float *x = check_guarded (t * n_cols * 4), *wide = malloc (n_j * n_cols * 4 + 4);
  float *y = check_output ((y_stride * (n_r - 1) + n_j) * 4, 4),
        *scratch = check_output (ENG_FLOAT_SCRATCH (n_cols) * 4, 0);
  EngWordTile tile = make_tile (n_cols, t);
  for (size_t j = 0; j < n_j; j++)
    {
      float *row = wide + j * n_cols;
      check_fill (row, n_cols, j == 1 ? VALUES_ZERO : j % 3 == 2 ? VALUES_OUTLIER : VALUES_RANDOM);
      for (size_t c = 0; c < n_cols; c++)
        {
          w[j * w_stride + c]
              = format == ENG_FLOAT_F16 ? eng_f32_to_f16 (row[c]) : eng_f32_to_bf16 (row[c]);
          row[c] = weight_at (format, w[j * w_stride + c]);
        }
    }
  for (uint32_t r = 0; r < t; r++)
    {
      check_fill (x + r * n_cols, n_cols, r == 2 ? VALUES_ZERO : values);
      k->quantize_words (x + r * n_cols, n_cols, &tile, r);
    }
  for (uint32_t r = 0; r < t; r++)
    check_words (&tile, x + r * n_cols, n_cols, r);
  k->product_words[format](w, w_stride, n_j, n_cols, &tile, n_r, y, y_stride, scratch);
  for (size_t r = 0; r < n_r; r++)
    {
      for (size_t j = 0; j < n_j; j++)
        {
          double want = 0, got = y[r * y_stride + j];
          for (size_t c = 0; c < n_cols; c++)
            want += (double) wide[j * n_cols + c] * x[r * n_cols + c];
          if (!check_near (got, want, bound_of (wide + j * n_cols, x + r * n_cols, n_cols)))
            CHECK_FAILED ("words, format %d K %zu of %zu x %zu (%s) at %zu, %zu: %g, expected %g",
                          format, n_cols, n_r, n_j, check_values_name (values), r, j, got, want);
        }
      for (size_t j = n_j; j < y_stride && r + 1 < n_r; j++)
        if (memcmp (&y[r * y_stride + j], "\xff\xff\xff\xff", 4) != 0)
          CHECK_FAILED ("words, format %d wrote between its rows", format);
    }
  free (wide);
  if (!check_free_all ())
    CHECK_FAILED ("words, format %d K %zu wrote outside its output", format, n_cols);
}

/* All numbers of a block at the limits of what the integers' sum takes, all of one sign; and what
 * is not finite. */
static void
check_extremes (const EngKernels *k, EngFloatFormat format)
{
  enum
  {
    T = 13,
    N = 128,
    J = 33
  };
  static const float odd[] = { INFINITY, -INFINITY, NAN };
  uint16_t w[J * N];
  float x[T * N], y[T * J], *scratch = check_output (ENG_FLOAT_SCRATCH (N) * 4, 0);
  EngWordTile tile = make_tile (N, T);
  float most = format == ENG_FLOAT_F16 ? 65504.0f : 1e18f;
  for (size_t i = 0; i < J * N; i++)
    w[i] = format == ENG_FLOAT_F16 ? eng_f32_to_f16 (-most) : eng_f32_to_bf16 (-most);
  for (size_t i = 0; i < T * N; i++)
    x[i] = 1e18f;
  for (uint32_t r = 0; r < T; r++)
    k->quantize_words (x + r * N, N, &tile, r);
  k->product_words[format](w, N, J, N, &tile, T, y, J, scratch);
  for (size_t i = 0; i < T * J; i++)
    if (!check_near (y[i], -N * 1e18 * (double) weight_at (format, w[0] & 0x7fff),
                     1e-3 * N * 1e18 * most))
      CHECK_FAILED ("words, format %d: %g of the largest numbers", format, y[i]);

  for (size_t o = 0; o < sizeof odd / sizeof *odd; o++)
    {
      memset (w, 0, sizeof w);
      for (size_t i = 0; i < T * N; i++)
        x[i] = 1;
      uint16_t bad = format == ENG_FLOAT_F16 ? eng_f32_to_f16 (odd[o]) : eng_f32_to_bf16 (odd[o]);
      w[7 * N + 70] = bad;       /* row 7 of the weights */
      x[5 * N + 3 + o] = odd[o]; /* row 5 of the activations */
      for (uint32_t r = 0; r < T; r++)
        k->quantize_words (x + r * N, N, &tile, r);
      k->product_words[format](w, N, J, N, &tile, T, y, J, scratch);
      for (size_t r = 0; r < T; r++)
        for (size_t j = 0; j < J; j++)
          if ((r == 5 || j == 7) ? !isnan (y[r * J + j]) : y[r * J + j] != 0)
            CHECK_FAILED ("words, format %d: %g at %zu, %zu beside %g", format, y[r * J + j], r, j,
                          odd[o]);
    }
  if (!check_free_all ())
    CHECK_FAILED ("words, format %d wrote outside its output", format);
}

void
check_word_kernels (const EngKernels *k)
{
  static const size_t counts[] = { 1, 2, 5, 8, 16, 17, 33 },
                      columns[] = { 0, 1, 2, 33, 63, 64, 65, 130 };
  static const uint32_t rows[] = { 1, 2, 5, 7, 14, 33 };
  for (EngFloatFormat format = ENG_FLOAT_F16; format <= ENG_FLOAT_BF16; format++)
    {
      for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
          for (size_t c = 0; c < sizeof columns / sizeof *columns; c++)
            check_product (k, format, columns[c], counts[i], rows[r], VALUES_RANDOM);
      for (int v = 0; v < VALUES_N; v++)
        check_product (k, format, 576, 33, 27, (CheckValues) v);
      check_extremes (k, format);
    }
}
