/* SPDX-License-Identifier: Apache-2.0 */
/* eng-attention-avx2.c with registers of 16 floats: one holds the keys of a group. Products of float
 * weights keep their panels of 16 rows, now one register wide. */
#include <immintrin.h>
#include <stddef.h>
#include <string.h>

#include "eng-kernels.h"
#include "eng-tiers.h"

#define INLINE static inline __attribute__ ((always_inline))

INLINE __m512
load_half (const uint16_t *p)
{
  return _mm512_cvtph_ps (_mm256_loadu_si256 ((const __m256i *) p));
}

/* --- attention --- */

INLINE void
score_tile (const uint16_t *keys, size_t width, const float *q, size_t q_stride, int n, float *scores,
            size_t s_stride)
{
  __m512 s[12];
  for (int i = 0; i < n; i++)
    s[i] = _mm512_setzero_ps ();
  for (size_t c = 0; c < width; c++)
    {
      __m512 a = load_half (keys + c * ENG_KEY_GROUP);
      for (int i = 0; i < n; i++)
        s[i] = _mm512_fmadd_ps (a, _mm512_set1_ps (q[(size_t) i * q_stride + c]), s[i]);
    }
  for (int i = 0; i < n; i++)
    _mm512_storeu_ps (scores + (size_t) i * s_stride, s[i]);
}

static void
score (const uint16_t *keys, size_t width, const float *q, size_t q_stride, size_t n_q, float *scores,
       size_t s_stride)
{
  for (; n_q >= 12; n_q -= 12, q += 12 * q_stride, scores += 12 * s_stride)
    score_tile (keys, width, q, q_stride, 12, scores, s_stride);
  for (; n_q >= 6; n_q -= 6, q += 6 * q_stride, scores += 6 * s_stride)
    score_tile (keys, width, q, q_stride, 6, scores, s_stride);
  for (; n_q >= 3; n_q -= 3, q += 3 * q_stride, scores += 3 * s_stride)
    score_tile (keys, width, q, q_stride, 3, scores, s_stride);
  for (; n_q > 0; n_q--, q += q_stride, scores += s_stride)
    score_tile (keys, width, q, q_stride, 1, scores, s_stride);
}

/* @n queries and 16 @m columns, the last of them cut to @mask. */
INLINE void
mix_tile (const uint16_t *values, size_t width, size_t n_positions, const float *weights,
          size_t w_stride, int n, int m, __mmask16 mask, float *out, size_t o_stride)
{
  __m512 s[6][4];
  for (int i = 0; i < n; i++)
    for (int j = 0; j < m; j++)
      s[i][j] = _mm512_maskz_loadu_ps (mask, out + (size_t) i * o_stride + 16 * j);
  for (size_t p = 0; p < n_positions; p++)
    {
      __m512 v[4];
      for (int j = 0; j < m; j++)
        v[j] = _mm512_cvtph_ps (_mm256_maskz_loadu_epi16 (mask, values + p * width + 16 * j));
      for (int i = 0; i < n; i++)
        {
          __m512 x = _mm512_set1_ps (weights[(size_t) i * w_stride + p]);
          for (int j = 0; j < m; j++)
            s[i][j] = _mm512_fmadd_ps (v[j], x, s[i][j]);
        }
    }
  for (int i = 0; i < n; i++)
    for (int j = 0; j < m; j++)
      _mm512_mask_storeu_ps (out + (size_t) i * o_stride + 16 * j, mask, s[i][j]);
}

INLINE void
mix_rows (const uint16_t *values, size_t width, size_t n_positions, const float *weights,
          size_t w_stride, int n, float *out, size_t o_stride)
{
  const __mmask16 all = 0xffff;
  size_t c = 0;
  for (; c + 64 <= width; c += 64)
    mix_tile (values + c, width, n_positions, weights, w_stride, n, 4, all, out + c, o_stride);
  for (; c + 16 <= width; c += 16)
    mix_tile (values + c, width, n_positions, weights, w_stride, n, 1, all, out + c, o_stride);
  if (c < width)
    mix_tile (values + c, width, n_positions, weights, w_stride, n, 1,
              (__mmask16) ((1u << (width - c)) - 1u), out + c, o_stride);
}

static void
mix (const uint16_t *values, size_t width, size_t n_positions, const float *weights, size_t w_stride,
     size_t n_q, float *out, size_t o_stride)
{
  for (; n_q >= 6; n_q -= 6, weights += 6 * w_stride, out += 6 * o_stride)
    mix_rows (values, width, n_positions, weights, w_stride, 6, out, o_stride);
  for (; n_q >= 3; n_q -= 3, weights += 3 * w_stride, out += 3 * o_stride)
    mix_rows (values, width, n_positions, weights, w_stride, 3, out, o_stride);
  for (; n_q > 0; n_q--, weights += w_stride, out += o_stride)
    mix_rows (values, width, n_positions, weights, w_stride, 1, out, o_stride);
}

/* --- float weights --- */

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

INLINE void
dots (EngFloatFormat format, const void *w, size_t w_stride, int n, size_t n_cols, const float *x,
      float *y)
{
  __m512 s[4][2];
  for (int j = 0; j < n; j++)
    s[j][0] = s[j][1] = _mm512_setzero_ps ();
  size_t c = 0;
  for (; c + 32 <= n_cols; c += 32)
    for (int j = 0; j < n; j++)
      for (int h = 0; h < 2; h++)
        s[j][h] = _mm512_fmadd_ps (
            load_weights (format, w, (size_t) j * w_stride + c + 16 * (size_t) h, 0xffff),
            _mm512_loadu_ps (x + c + 16 * h), s[j][h]);
  for (; c < n_cols; c += 16)
    {
      __mmask16 mask = n_cols - c < 16 ? (__mmask16) ((1u << (n_cols - c)) - 1u) : 0xffff;
      for (int j = 0; j < n; j++)
        s[j][0] = _mm512_fmadd_ps (load_weights (format, w, (size_t) j * w_stride + c, mask),
                                   _mm512_maskz_loadu_ps (mask, x + c), s[j][0]);
    }
  for (int j = 0; j < n; j++)
    y[j] = _mm512_reduce_add_ps (_mm512_add_ps (s[j][0], s[j][1]));
}

/* Sixteen rows as float32 [n_cols][16]. The scatter of a row is what limits this; it is shared by all
 * rows of activations. */
INLINE void
pack_floats (EngFloatFormat format, const void *w, size_t w_stride, size_t n_j, size_t n_cols, float *out)
{
  const __m512i places = _mm512_mullo_epi32 (
      _mm512_setr_epi32 (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), _mm512_set1_epi32 (16));
  for (size_t c = 0; c < n_cols; c += 16)
    {
      __mmask16 mask = n_cols - c < 16 ? (__mmask16) ((1u << (n_cols - c)) - 1u) : 0xffff;
      for (size_t j = 0; j < ENG_FLOAT_PANEL; j++)
        {
          __m512 a = j < n_j ? load_weights (format, w, j * w_stride + c, mask) : _mm512_setzero_ps ();
          _mm512_mask_i32scatter_ps (out + c * ENG_FLOAT_PANEL + j, mask, places, a, 4);
        }
    }
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

INLINE void
product_float (EngFloatFormat format, const void *w, size_t w_stride, size_t n_j, size_t n_cols,
               const float *x, size_t x_stride, size_t n_r, float *y, size_t y_stride, float *scratch)
{
  size_t bytes = format == ENG_FLOAT_F32 ? 4 : 2, j = 0;
  if (n_r < 6)
    {
      for (; j + 4 <= n_j; j += 4)
        for (size_t r = 0; r < n_r; r++)
          dots (format, (const char *) w + j * w_stride * bytes, w_stride, 4, n_cols, x + r * x_stride,
                y + r * y_stride + j);
      for (; j < n_j; j++)
        for (size_t r = 0; r < n_r; r++)
          dots (format, (const char *) w + j * w_stride * bytes, w_stride, 1, n_cols, x + r * x_stride,
                y + r * y_stride + j);
      return;
    }
  for (; j < n_j; j += ENG_FLOAT_PANEL)
    {
      size_t m = n_j - j < ENG_FLOAT_PANEL ? n_j - j : ENG_FLOAT_PANEL, r = 0;
      __mmask16 mask = (__mmask16) ((1u << m) - 1u);
      pack_floats (format, (const char *) w + j * w_stride * bytes, w_stride, m, n_cols, scratch);
      for (; r + 12 <= n_r; r += 12)
        panel_tile (scratch, n_cols, x + r * x_stride, x_stride, 12, y + r * y_stride + j, y_stride,
                    mask);
      for (; r + 4 <= n_r; r += 4)
        panel_tile (scratch, n_cols, x + r * x_stride, x_stride, 4, y + r * y_stride + j, y_stride, mask);
      for (; r < n_r; r++)
        panel_tile (scratch, n_cols, x + r * x_stride, x_stride, 1, y + r * y_stride + j, y_stride, mask);
    }
}

#define ENG_PRODUCT_FLOAT(name)                                                                    \
  static void product_##name (const void *w, size_t w_stride, size_t n_j, size_t n_cols,           \
                              const float *x, size_t x_stride, size_t n_r, float *y,               \
                              size_t y_stride, float *scratch)                                     \
  {                                                                                                \
    product_float (ENG_FLOAT_##name, w, w_stride, n_j, n_cols, x, x_stride, n_r, y, y_stride,      \
                   scratch);                                                                       \
  }
ENG_PRODUCT_FLOAT (F32)
ENG_PRODUCT_FLOAT (F16)
ENG_PRODUCT_FLOAT (BF16)

void
eng_attention_init_avx512 (EngKernels *k)
{
  k->score = score;
  k->mix = mix;
  k->product_float[ENG_FLOAT_F32] = product_F32;
  k->product_float[ENG_FLOAT_F16] = product_F16;
  k->product_float[ENG_FLOAT_BF16] = product_BF16;
}
