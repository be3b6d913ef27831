/* SPDX-License-Identifier: Apache-2.0 */
/* Products of floats: attention over half-precision keys and values, and weights of F32, F16 and BF16. */
#include <immintrin.h>
#include <string.h>

#include "eng-block-avx2.h"
#include "eng-product-float.h"
#include "eng-tiers.h"

#include "eng-attention-tmpl.h"

INLINE __m256
load_half (const uint16_t *p)
{
  return _mm256_cvtph_ps (_mm_loadu_si128 ((const __m128i *) p));
}

/* --- attention --- */

/* Eight of them from @at on, @scale being that of codes. */
INLINE __m256
load_numbers (Numbers x, size_t at, __m256 scale)
{
  if (!x.is_codes)
    return load_half (x.halves + at);
  __m256i codes = _mm256_cvtepi8_epi32 (_mm_loadl_epi64 ((const __m128i *) (x.codes + at)));
  return _mm256_mul_ps (_mm256_cvtepi32_ps (codes), scale);
}

/* Scores of @n <= 6 queries: twelve sums keep both multipliers busy over their latency. */
INLINE void
score_tile (Numbers keys, size_t width, const float *q, size_t q_stride, int n, float *scores, size_t s_stride)
{
  __m256 s[6][2], scale[2] = { _mm256_setzero_ps (), _mm256_setzero_ps () };
  for (int i = 0; i < n; i++)
    s[i][0] = s[i][1] = _mm256_setzero_ps ();
  for (size_t c = 0; c < width; c++)
    {
      for (int j = 0; keys.is_codes && c % 32 == 0 && j < 2; j++)
        scale[j] = load_half (keys.scales + c / 32 * ENG_KEY_GROUP + 8 * (size_t) j);
      __m256 a = load_numbers (keys, c * ENG_KEY_GROUP, scale[0]);
      __m256 b = load_numbers (keys, c * ENG_KEY_GROUP + 8, scale[1]);
      for (int i = 0; i < n; i++)
        {
          __m256 x = _mm256_broadcast_ss (q + (size_t) i * q_stride + c);
          s[i][0] = _mm256_fmadd_ps (a, x, s[i][0]);
          s[i][1] = _mm256_fmadd_ps (b, x, s[i][1]);
        }
    }
  for (int i = 0; i < n; i++)
    {
      _mm256_storeu_ps (scores + (size_t) i * s_stride, s[i][0]);
      _mm256_storeu_ps (scores + (size_t) i * s_stride + 8, s[i][1]);
    }
}

INLINE void
score_numbers (Numbers keys, size_t width, const float *q, size_t q_stride, size_t n_q, float *scores, size_t s_stride)
{
  for (; n_q >= 6; n_q -= 6, q += 6 * q_stride, scores += 6 * s_stride)
    score_tile (keys, width, q, q_stride, 6, scores, s_stride);
  switch (n_q)
    {
    case 1:
      score_tile (keys, width, q, q_stride, 1, scores, s_stride);
      break;
    case 2:
      score_tile (keys, width, q, q_stride, 2, scores, s_stride);
      break;
    case 3:
      score_tile (keys, width, q, q_stride, 3, scores, s_stride);
      break;
    case 4:
      score_tile (keys, width, q, q_stride, 4, scores, s_stride);
      break;
    case 5:
      score_tile (keys, width, q, q_stride, 5, scores, s_stride);
      break;
    default:
      break;
    }
}

INLINE float
value_scale (Numbers values, size_t p, size_t width, size_t c)
{
  return values.is_codes ? _cvtsh_ss (values.scales[p * ENG_KV_SCALES (width) + c / 32]) : 1;
}

/* @n queries and 8 @m columns from @c on. */
INLINE void
mix_tile (Numbers values, size_t c, size_t width, size_t n_positions, const float *weights, size_t w_stride, int n, int m,
          float *out, size_t o_stride)
{
  __m256 s[6][4];
  for (int i = 0; i < n; i++)
    for (int j = 0; j < m; j++)
      s[i][j] = _mm256_loadu_ps (out + (size_t) i * o_stride + 8 * j);
  for (size_t p = 0; p < n_positions; p++)
    {
      __m256 v[4];
      for (int j = 0; j < m; j++)
        {
          size_t at = c + 8 * (size_t) j;
          v[j] = load_numbers (values, p * width + at, _mm256_set1_ps (value_scale (values, p, width, at)));
        }
      for (int i = 0; i < n; i++)
        {
          __m256 x = _mm256_broadcast_ss (weights + (size_t) i * w_stride + p);
          for (int j = 0; j < m; j++)
            s[i][j] = _mm256_fmadd_ps (v[j], x, s[i][j]);
        }
    }
  for (int i = 0; i < n; i++)
    for (int j = 0; j < m; j++)
      _mm256_storeu_ps (out + (size_t) i * o_stride + 8 * j, s[i][j]);
}

INLINE void
mix_tail (Numbers values, size_t width, size_t n_positions, const float *weights, size_t w_stride, size_t n_q, float *out,
          size_t o_stride, size_t c)
{
  for (size_t i = 0; i < n_q; i++)
    {
      float s = out[i * o_stride + c];
      for (size_t p = 0; p < n_positions; p++)
        {
          size_t at = p * width + c;
          s += weights[i * w_stride + p] * value_scale (values, p, width, c)
               * (values.is_codes ? (float) values.codes[at] : _cvtsh_ss (values.halves[at]));
        }
      out[i * o_stride + c] = s;
    }
}

INLINE void
mix_numbers (Numbers values, size_t width, size_t n_positions, const float *weights, size_t w_stride, size_t n_q, float *out,
             size_t o_stride)
{
  size_t c;
  for (c = width / 8 * 8; c < width; c++)
    mix_tail (values, width, n_positions, weights, w_stride, n_q, out, o_stride, c);
  for (; n_q > 0;)
    {
      int n = n_q >= 6 ? 6 : n_q >= 3 ? 3 : 1;
      c = 0;
      if (n == 6)
        for (; c + 16 <= width; c += 16)
          mix_tile (values, c, width, n_positions, weights, w_stride, 6, 2, out + c, o_stride);
      else if (n == 3)
        for (; c + 32 <= width; c += 32)
          mix_tile (values, c, width, n_positions, weights, w_stride, 3, 4, out + c, o_stride);
      else
        for (; c + 32 <= width; c += 32)
          mix_tile (values, c, width, n_positions, weights, w_stride, 1, 4, out + c, o_stride);
      for (; c + 8 <= width; c += 8)
        for (int i = 0; i < n; i++)
          mix_tile (values, c, width, n_positions, weights + (size_t) i * w_stride, w_stride, 1, 1,
                    out + (size_t) i * o_stride + c, o_stride);
      n_q -= (size_t) n;
      weights += (size_t) n * w_stride;
      out += (size_t) n * o_stride;
    }
}

/* Eight numbers of eight positions: rows of @from become columns of @to. */
INLINE void
turn_tile (const uint16_t *from, uint16_t *to, size_t stride)
{
  __m128i x[8], y[8];
  for (int i = 0; i < 8; i++)
    x[i] = _mm_loadu_si128 ((const __m128i *) (from + i * ENG_KEY_GROUP));
  for (int i = 0; i < 4; i++)
    {
      y[i] = _mm_unpacklo_epi16 (x[2 * i], x[2 * i + 1]);
      y[4 + i] = _mm_unpackhi_epi16 (x[2 * i], x[2 * i + 1]);
    }
  for (int i = 0; i < 4; i++)
    {
      x[2 * i] = _mm_unpacklo_epi32 (y[2 * i], y[2 * i + 1]);
      x[2 * i + 1] = _mm_unpackhi_epi32 (y[2 * i], y[2 * i + 1]);
    }
  /* x: positions 0, 1 of the first four numbers; 2, 3 of them; 0, 1 of the last four; 2, 3; then positions 4 to 7 so. */
  for (int h = 0; h < 2; h++)
    for (int i = 0; i < 2; i++)
      {
        __m128i a = x[4 * h + i], b = x[4 * h + 2 + i];
        uint16_t *row = to + (size_t) (4 * h + 2 * i) * stride;
        _mm_storeu_si128 ((__m128i *) row, _mm_unpacklo_epi64 (a, b));
        _mm_storeu_si128 ((__m128i *) (row + stride), _mm_unpackhi_epi64 (a, b));
      }
}

static void
turn_keys (const uint16_t *keys, size_t n, uint16_t *rows, size_t stride)
{
  size_t c = 0;
  for (; c + 8 <= n; c += 8)
    for (size_t p = 0; p < ENG_KEY_GROUP; p += 8)
      turn_tile (keys + c * ENG_KEY_GROUP + p, rows + p * stride + c, stride);
  for (; c < n; c++)
    for (size_t p = 0; p < ENG_KEY_GROUP; p++)
      rows[p * stride + c] = keys[c * ENG_KEY_GROUP + p];
}

/* --- float weights --- */

INLINE __m256
load_weights (EngFloatFormat format, const void *w, size_t i)
{
  if (format == ENG_FLOAT_F16)
    return load_half ((const uint16_t *) w + i);
  if (format == ENG_FLOAT_BF16)
    {
      __m128i h = _mm_loadu_si128 ((const __m128i *) ((const uint16_t *) w + i));
      return _mm256_castsi256_ps (_mm256_slli_epi32 (_mm256_cvtepu16_epi32 (h), 16));
    }
  return _mm256_loadu_ps ((const float *) w + i);
}

INLINE float
weight_at (EngFloatFormat format, const void *w, size_t i)
{
  if (format == ENG_FLOAT_F16)
    return _cvtsh_ss (((const uint16_t *) w)[i]);
  if (format == ENG_FLOAT_BF16)
    {
      uint32_t bits = (uint32_t) ((const uint16_t *) w)[i] << 16;
      float f;
      memcpy (&f, &bits, 4);
      return f;
    }
  return ((const float *) w)[i];
}

INLINE float
sum8 (__m256 a)
{
  __m128 s = _mm_add_ps (_mm256_castps256_ps128 (a), _mm256_extractf128_ps (a, 1));
  s = _mm_add_ps (s, _mm_movehl_ps (s, s));
  return _mm_cvtss_f32 (_mm_add_ss (s, _mm_movehdup_ps (s)));
}

/* One row of weights against @n <= 4 rows of activations, @m sums each. For a few rows memory is the limit: what comes
 * next is asked for some way ahead (Zen 3, two threads, F16, of what a plain read brings: 576 columns 92 % without and 103 %
 * with, 1,536 columns 88 and 93). */
#define ROWS_AHEAD 2048
INLINE void
dots (EngFloatFormat format, const void *w, size_t n_cols, const float *x, size_t x_stride, int n, int m,
      float *y, size_t y_stride)
{
  __m256 s[4][4];
  const size_t element = format == ENG_FLOAT_F32 ? 4 : 2;
  size_t c = 0, step = 8 * (size_t) m;
  for (int i = 0; i < n; i++)
    for (int k = 0; k < m; k++)
      s[i][k] = _mm256_setzero_ps ();
  for (; c + step <= n_cols; c += step)
    {
      FETCH_AHEAD ((const char *) w + c * element, ROWS_AHEAD, step * element);
      for (int k = 0; k < m; k++)
        {
          __m256 a = load_weights (format, w, c + 8 * (size_t) k);
          for (int i = 0; i < n; i++)
            s[i][k] = _mm256_fmadd_ps (a, _mm256_loadu_ps (x + (size_t) i * x_stride + c + 8 * k),
                                       s[i][k]);
        }
    }
  for (int i = 0; i < n; i++)
    {
      for (int k = 1; k < m; k++)
        s[i][0] = _mm256_add_ps (s[i][0], s[i][k]);
      float sum = sum8 (s[i][0]);
      for (size_t k = c; k < n_cols; k++)
        sum += weight_at (format, w, k) * x[(size_t) i * x_stride + k];
      y[(size_t) i * y_stride] = sum;
    }
}

/* Sixteen rows, columns [0, n_cols), as float32 [n_cols][16]; missing rows are zero. */
INLINE void
pack_floats (EngFloatFormat format, const void *w, size_t w_stride, size_t n_j, size_t n_cols, float *out)
{
  size_t c = 0;
  for (; c + 8 <= n_cols; c += 8)
    for (size_t half = 0; half < 2; half++)
      {
        __m256 r[8];
        for (size_t j = 0; j < 8; j++)
          r[j] = half * 8 + j < n_j ? load_weights (format, w, (half * 8 + j) * w_stride + c)
                                    : _mm256_setzero_ps ();
        transpose (r);
        for (size_t k = 0; k < 8; k++)
          _mm256_store_ps (out + (c + k) * ENG_FLOAT_PANEL + half * 8, r[k]);
      }
  for (; c < n_cols; c++)
    for (size_t j = 0; j < ENG_FLOAT_PANEL; j++)
      out[c * ENG_FLOAT_PANEL + j] = j < n_j ? weight_at (format, w, j * w_stride + c) : 0;
}

/* @n <= 6 rows of activations times a packed panel. */
INLINE void
panel_tile (const float *panel, size_t n_cols, const float *x, size_t x_stride, int n, float *y,
            size_t y_stride, size_t n_j)
{
  __m256 s[6][2];
  for (int i = 0; i < n; i++)
    s[i][0] = s[i][1] = _mm256_setzero_ps ();
  for (size_t c = 0; c < n_cols; c++)
    {
      __m256 a = _mm256_load_ps (panel + c * ENG_FLOAT_PANEL);
      __m256 b = _mm256_load_ps (panel + c * ENG_FLOAT_PANEL + 8);
      for (int i = 0; i < n; i++)
        {
          __m256 v = _mm256_broadcast_ss (x + (size_t) i * x_stride + c);
          s[i][0] = _mm256_fmadd_ps (a, v, s[i][0]);
          s[i][1] = _mm256_fmadd_ps (b, v, s[i][1]);
        }
    }
  for (int i = 0; i < n; i++)
    {
      float all[ENG_FLOAT_PANEL], *to = y + (size_t) i * y_stride;
      float *at = n_j == ENG_FLOAT_PANEL ? to : all;
      _mm256_storeu_ps (at, s[i][0]);
      _mm256_storeu_ps (at + 8, s[i][1]);
      if (n_j != ENG_FLOAT_PANEL)
        memcpy (to, all, n_j * sizeof (float));
    }
}

/* The row to read as number @i of @n: one row of activations goes through four places of the weights in turn, a row of
 * each. The memory has more under way for several streams than for one (two cores of Emerald Rapids held to AVX2, F16, 576
 * and 640 columns: 1.2 to 1.5 times; with 512 bits it has to be a register of each, see eng-product-float-avx512.c). */
INLINE size_t
in_turn (size_t i, size_t n)
{
  size_t each = n / SIDE;
  return i < SIDE * each ? i % SIDE * each + i / SIDE : i;
}

INLINE void
product_float (EngFloatFormat format, const void *w, size_t w_stride, size_t n_j, size_t n_cols,
               const float *x, size_t x_stride, size_t n_r, float *y, size_t y_stride, float *scratch)
{
  size_t row_bytes = w_stride * (format == ENG_FLOAT_F32 ? 4 : 2);
  if (n_r < 6)
    {
      for (size_t i = 0; i < n_j; i++)
        {
          size_t j = n_r == 1 ? in_turn (i, n_j) : i;
          const char *row = (const char *) w + j * row_bytes;
          size_t r = 0;
          for (; r + 4 <= n_r; r += 4)
            dots (format, row, n_cols, x + r * x_stride, x_stride, 4, 2, y + r * y_stride + j, y_stride);
          for (; r < n_r; r++)
            dots (format, row, n_cols, x + r * x_stride, x_stride, 1, 4, y + r * y_stride + j, y_stride);
        }
      return;
    }
  for (size_t j = 0; j < n_j; j += ENG_FLOAT_PANEL)
    {
      size_t m = n_j - j < ENG_FLOAT_PANEL ? n_j - j : ENG_FLOAT_PANEL, r = 0;
      pack_floats (format, (const char *) w + j * row_bytes, w_stride, m, n_cols, scratch);
      for (; r + 6 <= n_r; r += 6)
        panel_tile (scratch, n_cols, x + r * x_stride, x_stride, 6, y + r * y_stride + j, y_stride, m);
      for (; r + 2 <= n_r; r += 2)
        panel_tile (scratch, n_cols, x + r * x_stride, x_stride, 2, y + r * y_stride + j, y_stride, m);
      if (r < n_r)
        panel_tile (scratch, n_cols, x + r * x_stride, x_stride, 1, y + r * y_stride + j, y_stride, m);
    }
}

ENG_PRODUCT_FLOAT_FORMS

void
eng_attention_init_avx2 (EngKernels *k)
{
  init_attention (k);
  k->turn_keys = turn_keys;
  product_float_init (k);
}
