/* SPDX-License-Identifier: Apache-2.0 */
/* Products of weights of F32, F16 and BF16 as the file stores them, with registers of 16 floats.
 *
 * A few rows of activations: memory is the limit. One row of activations goes through four places of the weights side by
 * side, each a quarter of the rows and so one long stream; four neighbouring rows would be streams as short as a row, and
 * brought 21 of 35 GB/s (Zen 4, two threads, F16, 576 and 1,536 columns; one row: 34).
 *
 * More rows: panels of 16 rows of weights as float32 [n_cols][16], shared by all rows of activations. */
#include <stddef.h>
#include <stdint.h>

#include "eng-block-avx512.h"
#include "eng-product-float.h"
#include "eng-tiers.h"

/* Elements [i, i + 16) under @mask; the rest is zero. */
INLINE __m512
load_weights (EngFloatFormat format, const void *w, size_t i, __mmask16 mask)
{
  if (format == ENG_FLOAT_F32)
    return _mm512_maskz_loadu_ps (mask, (const float *) w + i);
  __m256i h = _mm256_maskz_loadu_epi16 (mask, (const uint16_t *) w + i);
  if (format == ENG_FLOAT_F16)
    return _mm512_cvtph_ps (h);
  return _mm512_castsi512_ps (_mm512_slli_epi32 (_mm512_cvtepu16_epi32 (h), 16));
}

/* How far ahead weights are asked for. Emerald Rapids, two threads, F16, 576 columns, of what a plain read brings: 61 % without,
 * 91 % with 6 or 16 KB, 83 % with 2 KB. */
#define ROWS_AHEAD 6144

/* @n_w rows of weights, @w_apart bytes from each other, against @n rows of activations: either number is 1, the other at most
 * SIDE. Two sums each: four or eight for one row, so that none waits for its last addition, read 5 to 15 % less in a second. */
INLINE void
dots (EngFloatFormat format, const char *w, size_t w_apart, size_t n_w, size_t n_cols, const float *x, size_t x_stride, size_t n,
      float *y, size_t y_stride)
{
  __m512 s[SIDE][2];
  const size_t element = format == ENG_FLOAT_F32 ? 4 : 2;
  size_t c = 0;
  for (size_t i = 0; i < n_w * n; i++)
    s[i][0] = s[i][1] = _mm512_setzero_ps ();
  for (; c + 32 <= n_cols; c += 32)
    for (size_t j = 0; j < n_w; j++)
      {
        FETCH_AHEAD (w + j * w_apart + c * element, ROWS_AHEAD / n_w, 32 * element);
        for (size_t k = 0; k < 2; k++)
          {
            __m512 a = load_weights (format, w + j * w_apart, c + 16 * k, 0xffff);
            for (size_t i = 0; i < n; i++)
              s[j + i][k] = _mm512_fmadd_ps (a, _mm512_loadu_ps (x + i * x_stride + c + 16 * k), s[j + i][k]);
          }
      }
  for (; c < n_cols; c += 16)
    for (size_t j = 0; j < n_w; j++)
      {
        __mmask16 mask = first_of (n_cols - c);
        __m512 a = load_weights (format, w + j * w_apart, c, mask);
        for (size_t i = 0; i < n; i++)
          s[j + i][0] = _mm512_fmadd_ps (a, _mm512_maskz_loadu_ps (mask, x + i * x_stride + c), s[j + i][0]);
      }
  for (size_t i = 0; i < n_w * n; i++)
    y[i * y_stride] = _mm512_reduce_add_ps (_mm512_add_ps (s[i][0], s[i][1]));
}

/* @n_j rows, 16 or fewer, as float32 [n_cols][16]; missing rows are zero. */
INLINE void
pack_rows (EngFloatFormat format, const void *w, size_t w_stride, size_t n_j, size_t n_cols, float *out)
{
  for (size_t c = 0; c < n_cols; c += 16)
    {
      __mmask16 mask = first_of (n_cols - c);
      __m512 r[16];
      UNROLLED (16) for (size_t j = 0; j < 16; j++)
        r[j] = j < n_j ? load_weights (format, w, j * w_stride + c, mask) : _mm512_setzero_ps ();
      transpose (r);
      for (size_t k = 0; k < 16 && c + k < n_cols; k++)
        _mm512_store_ps (out + (c + k) * ENG_FLOAT_PANEL, r[k]);
    }
}

/* The usual number of rows as a constant: the block stays in registers. */
INLINE void
pack_floats (EngFloatFormat format, const void *w, size_t w_stride, size_t n_j, size_t n_cols, float *out)
{
  if (n_j == 16)
    pack_rows (format, w, w_stride, 16, n_cols, out);
  else
    pack_rows (format, w, w_stride, n_j, n_cols, out);
}

INLINE void
panel_tile (const float *panel, size_t n_cols, const float *x, size_t x_stride, int n, float *y,
            size_t y_stride, __mmask16 mask)
{
  __m512 s[12];
  for (int i = 0; i < n; i++)
    s[i] = _mm512_setzero_ps ();
  for (size_t c = 0; c < n_cols; c++)
    {
      __m512 a = _mm512_load_ps (panel + c * ENG_FLOAT_PANEL);
      for (int i = 0; i < n; i++)
        s[i] = _mm512_fmadd_ps (a, _mm512_set1_ps (x[(size_t) i * x_stride + c]), s[i]);
    }
  for (int i = 0; i < n; i++)
    _mm512_mask_storeu_ps (y + (size_t) i * y_stride, mask, s[i]);
}

/* Up to this many rows of activations unpacking a panel would cost more than it saves. */
#define FEW_ROWS 5

INLINE void
few_rows (EngFloatFormat format, const void *w, size_t w_stride, size_t n_j, size_t n_cols, const float *x,
          size_t x_stride, size_t n_r, float *y, size_t y_stride)
{
  size_t row_bytes = w_stride * (format == ENG_FLOAT_F32 ? 4 : 2), n_side = n_r == 1 ? n_j / SIDE : 0;
  for (size_t j = 0; j < n_side; j++)
    dots (format, (const char *) w + j * row_bytes, n_side * row_bytes, SIDE, n_cols, x, 0, 1, y + j, n_side);
  for (size_t j = SIDE * n_side; j < n_j; j++)
    {
      const char *row = (const char *) w + j * row_bytes;
      size_t r = 0;
      for (; r + 4 <= n_r; r += 4)
        dots (format, row, 0, 1, n_cols, x + r * x_stride, x_stride, 4, y + r * y_stride + j, y_stride);
      for (; r + 2 <= n_r; r += 2)
        dots (format, row, 0, 1, n_cols, x + r * x_stride, x_stride, 2, y + r * y_stride + j, y_stride);
      if (r < n_r)
        dots (format, row, 0, 1, n_cols, x + r * x_stride, x_stride, 1, y + r * y_stride + j, y_stride);
    }
}

INLINE void
product_float (EngFloatFormat format, const void *w, size_t w_stride, size_t n_j, size_t n_cols,
               const float *x, size_t x_stride, size_t n_r, float *y, size_t y_stride, float *scratch)
{
  if (n_r <= FEW_ROWS)
    {
      few_rows (format, w, w_stride, n_j, n_cols, x, x_stride, n_r, y, y_stride);
      return;
    }
  size_t row_bytes = w_stride * (format == ENG_FLOAT_F32 ? 4 : 2);
  for (size_t j = 0; j < n_j; j += ENG_FLOAT_PANEL)
    {
      size_t m = n_j - j < ENG_FLOAT_PANEL ? n_j - j : ENG_FLOAT_PANEL, r = 0;
      __mmask16 mask = first_of (m);
      pack_floats (format, (const char *) w + j * row_bytes, w_stride, m, n_cols, scratch);
      for (; r + 12 <= n_r; r += 12)
        panel_tile (scratch, n_cols, x + r * x_stride, x_stride, 12, y + r * y_stride + j, y_stride, mask);
      for (; r + 4 <= n_r; r += 4)
        panel_tile (scratch, n_cols, x + r * x_stride, x_stride, 4, y + r * y_stride + j, y_stride, mask);
      for (; r < n_r; r++)
        panel_tile (scratch, n_cols, x + r * x_stride, x_stride, 1, y + r * y_stride + j, y_stride, mask);
    }
}

ENG_PRODUCT_FLOAT_FORMS

void
eng_product_float_init_avx512 (EngKernels *k)
{
  product_float_init (k);
}
