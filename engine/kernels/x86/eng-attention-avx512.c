/* SPDX-License-Identifier: Apache-2.0 */
/* Attention of eng-attention-avx2.c with registers of 16 floats: one holds the keys of a group. */
#include <immintrin.h>

#include "eng-inline.h"
#include "eng-tiers.h"

#include "eng-attention-tmpl.h"

INLINE __m512
load_half (const uint16_t *p)
{
  return _mm512_cvtph_ps (_mm256_loadu_si256 ((const __m256i *) p));
}

/* 16 of them from @at on, @scale being that of codes. */
INLINE __m512
load (Numbers x, size_t at, __mmask16 mask, __m512 scale)
{
  if (!x.is_codes)
    return _mm512_cvtph_ps (_mm256_maskz_loadu_epi16 (mask, x.halves + at));
  __m512i codes = _mm512_cvtepi8_epi32 (_mm_maskz_loadu_epi8 (mask, x.codes + at));
  return _mm512_mul_ps (_mm512_cvtepi32_ps (codes), scale);
}

INLINE void
score_tile (Numbers keys, size_t width, const float *q, size_t q_stride, int n, float *scores, size_t s_stride)
{
  __m512 s[12], scale = _mm512_setzero_ps ();
  for (int i = 0; i < n; i++)
    s[i] = _mm512_setzero_ps ();
  for (size_t c = 0; c < width; c++)
    {
      if (keys.is_codes && c % 32 == 0)
        scale = load_half (keys.scales + c / 32 * ENG_KEY_GROUP);
      __m512 a = load (keys, c * ENG_KEY_GROUP, 0xffff, scale);
      for (int i = 0; i < n; i++)
        s[i] = _mm512_fmadd_ps (a, _mm512_set1_ps (q[(size_t) i * q_stride + c]), s[i]);
    }
  for (int i = 0; i < n; i++)
    _mm512_storeu_ps (scores + (size_t) i * s_stride, s[i]);
}

INLINE void
score_numbers (Numbers keys, size_t width, const float *q, size_t q_stride, size_t n_q, float *scores, size_t s_stride)
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

/* @n queries and 16 @m columns from @c on, the last of them cut to @mask. */
INLINE void
mix_tile (Numbers values, size_t c, size_t width, size_t n_positions, const float *weights, size_t w_stride, int n, int m,
          __mmask16 mask, float *out, size_t o_stride)
{
  __m512 s[6][4];
  for (int i = 0; i < n; i++)
    for (int j = 0; j < m; j++)
      s[i][j] = _mm512_maskz_loadu_ps (mask, out + (size_t) i * o_stride + c + 16 * (size_t) j);
  for (size_t p = 0; p < n_positions; p++)
    {
      __m512 v[4];
      for (int j = 0; j < m; j++)
        {
          size_t at = c + 16 * (size_t) j;
          __m512 scale = values.is_codes
                             ? _mm512_set1_ps (_cvtsh_ss (values.scales[p * ENG_KV_SCALES (width) + at / 32]))
                             : _mm512_setzero_ps ();
          v[j] = load (values, p * width + at, mask, scale);
        }
      for (int i = 0; i < n; i++)
        {
          __m512 x = _mm512_set1_ps (weights[(size_t) i * w_stride + p]);
          for (int j = 0; j < m; j++)
            s[i][j] = _mm512_fmadd_ps (v[j], x, s[i][j]);
        }
    }
  for (int i = 0; i < n; i++)
    for (int j = 0; j < m; j++)
      _mm512_mask_storeu_ps (out + (size_t) i * o_stride + c + 16 * (size_t) j, mask, s[i][j]);
}

INLINE void
mix_rows (Numbers values, size_t width, size_t n_positions, const float *weights, size_t w_stride, int n, float *out,
          size_t o_stride)
{
  const __mmask16 all = 0xffff;
  size_t c = 0;
  for (; c + 64 <= width; c += 64)
    mix_tile (values, c, width, n_positions, weights, w_stride, n, 4, all, out, o_stride);
  for (; c + 16 <= width; c += 16)
    mix_tile (values, c, width, n_positions, weights, w_stride, n, 1, all, out, o_stride);
  if (c < width)
    mix_tile (values, c, width, n_positions, weights, w_stride, n, 1, (__mmask16) ((1u << (width - c)) - 1u), out, o_stride);
}

INLINE void
mix_numbers (Numbers values, size_t width, size_t n_positions, const float *weights, size_t w_stride, size_t n_q, float *out,
             size_t o_stride)
{
  for (; n_q >= 6; n_q -= 6, weights += 6 * w_stride, out += 6 * o_stride)
    mix_rows (values, width, n_positions, weights, w_stride, 6, out, o_stride);
  for (; n_q >= 3; n_q -= 3, weights += 3 * w_stride, out += 3 * o_stride)
    mix_rows (values, width, n_positions, weights, w_stride, 3, out, o_stride);
  for (; n_q > 0; n_q--, weights += w_stride, out += o_stride)
    mix_rows (values, width, n_positions, weights, w_stride, 1, out, o_stride);
}

void
eng_attention_init_avx512 (EngKernels *k)
{
  init_attention (k);
}
