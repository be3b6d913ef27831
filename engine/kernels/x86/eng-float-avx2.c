/* SPDX-License-Identifier: Apache-2.0 */
/* Float32 vectors, activations' quantization, AVX2 with FMA and F16C. */
#include <immintrin.h>
#include <math.h>
#include <stddef.h>

#include "eng-simd-avx2.h"

#include "eng-kernels.h"
#include "eng-tiers.h"

/* First n < 8 elements. */
INLINE __m256i
tail_mask (size_t n)
{
  static const int32_t ones[16] = { -1, -1, -1, -1, -1, -1, -1, -1 };
  return _mm256_loadu_si256 ((const __m256i *) (ones + 8 - n));
}

INLINE __m256
vf_load_part (const float *p, size_t n)
{
  return _mm256_maskload_ps (p, tail_mask (n));
}

INLINE void
vf_store_part (float *p, size_t n, __m256 a)
{
  _mm256_maskstore_ps (p, tail_mask (n), a);
}

INLINE __m256
vf_keep (__m256 a, size_t n)
{
  return _mm256_and_ps (a, _mm256_castsi256_ps (tail_mask (n)));
}

/* exp by 2^n * p (r), r = x - n ln 2 in [-ln 2 / 2, ln 2 / 2], p the Taylor polynomial of degree 6 (its
 * first omitted term is 1.3e-7 of the result at the ends of the interval... measured relative error
 * below 3e-7). Results below 2^-126 become 0, above the largest float infinity. */
INLINE __m256
vf_exp (__m256 x)
{
  const __m256 log2e = _mm256_set1_ps (1.44269504088896341f);
  const __m256 ln2_high = _mm256_set1_ps (0.693359375f), ln2_low = _mm256_set1_ps (-2.12194440e-4f);
  __m256 zero = _mm256_cmp_ps (x, _mm256_set1_ps (-87.33654f), _CMP_LT_OQ);
  __m256 over = _mm256_cmp_ps (x, _mm256_set1_ps (88.72283f), _CMP_GT_OQ);
  __m256 c = _mm256_min_ps (_mm256_max_ps (x, _mm256_set1_ps (-87.33654f)), _mm256_set1_ps (88.72283f));
  __m256 n = _mm256_round_ps (_mm256_mul_ps (c, log2e), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m256 r = _mm256_fnmadd_ps (n, ln2_low, _mm256_fnmadd_ps (n, ln2_high, c));
  __m256 p = _mm256_set1_ps (1.0f / 720);
  p = _mm256_fmadd_ps (p, r, _mm256_set1_ps (1.0f / 120));
  p = _mm256_fmadd_ps (p, r, _mm256_set1_ps (1.0f / 24));
  p = _mm256_fmadd_ps (p, r, _mm256_set1_ps (1.0f / 6));
  p = _mm256_fmadd_ps (p, r, _mm256_set1_ps (0.5f));
  p = _mm256_fmadd_ps (p, r, _mm256_set1_ps (1.0f));
  p = _mm256_fmadd_ps (p, r, _mm256_set1_ps (1.0f));
  /* n may be 128: scale in two steps, each a normal power of two. */
  __m256i i = _mm256_cvtps_epi32 (n), h = _mm256_srai_epi32 (i, 1);
  __m256i bias = _mm256_set1_epi32 (127);
  __m256 a = _mm256_castsi256_ps (_mm256_slli_epi32 (_mm256_add_epi32 (h, bias), 23));
  __m256 b = _mm256_castsi256_ps (
      _mm256_slli_epi32 (_mm256_add_epi32 (_mm256_sub_epi32 (i, h), bias), 23));
  __m256 y = _mm256_mul_ps (_mm256_mul_ps (p, a), b);
  y = _mm256_andnot_ps (zero, y);
  y = _mm256_blendv_ps (y, _mm256_set1_ps (INFINITY), over);
  /* The comparisons are false for NaN; min and max above drop it. */
  return _mm256_blendv_ps (y, x, _mm256_cmp_ps (x, x, _CMP_UNORD_Q));
}

#include "eng-float-tmpl.h"

static void
axpy (float s, const float *x, float *y, size_t n)
{
  __m256 a = _mm256_set1_ps (s);
  size_t i = 0;
  for (; i + 8 <= n; i += 8)
    _mm256_storeu_ps (y + i, _mm256_fmadd_ps (a, _mm256_loadu_ps (x + i), _mm256_loadu_ps (y + i)));
  if (i < n)
    vf_store_part (y + i, n - i, _mm256_fmadd_ps (a, vf_load_part (x + i, n - i), vf_load_part (y + i, n - i)));
}

static void
layer_norm (const float *x, const float *w, const float *b, float eps, float *y, size_t n)
{
  __m256 sum = _mm256_setzero_ps ();
  size_t i = 0, whole = n / 8 * 8;
  for (i = 0; i < whole; i += 8)
    sum = _mm256_add_ps (sum, _mm256_loadu_ps (x + i));
  if (whole < n)
    sum = _mm256_add_ps (sum, vf_load_part (x + whole, n - whole));
  float count = (float) (n ? n : 1), mean = vf_sum_lanes (sum) / count;
  __m256 m = _mm256_set1_ps (mean);
  sum = _mm256_setzero_ps ();
  for (i = 0; i < whole; i += 8)
    {
      __m256 a = _mm256_sub_ps (_mm256_loadu_ps (x + i), m);
      sum = _mm256_fmadd_ps (a, a, sum);
    }
  if (whole < n)
    {
      __m256 a = _mm256_sub_ps (vf_load_part (x + whole, n - whole), m);
      a = vf_keep (a, n - whole);
      sum = _mm256_fmadd_ps (a, a, sum);
    }
  float r = 1.0f / sqrtf (vf_sum_lanes (sum) / count + eps);
  for (i = 0; i < n; i++)
    y[i] = (x[i] - mean) * r * (w != NULL ? w[i] : 1.0f) + (b != NULL ? b[i] : 0.0f);
}

static void
half_to_float (const uint16_t *x, float *y, size_t n)
{
  size_t i = 0;
  for (; i + 8 <= n; i += 8)
    _mm256_storeu_ps (y + i, _mm256_cvtph_ps (_mm_loadu_si128 ((const __m128i *) (x + i))));
  for (; i < n; i++)
    y[i] = _cvtsh_ss (x[i]);
}

static void
float_to_half (const float *x, uint16_t *y, size_t n)
{
  size_t i = 0;
  for (; i + 8 <= n; i += 8)
    _mm_storeu_si128 ((__m128i *) (y + i),
                      _mm256_cvtps_ph (_mm256_loadu_ps (x + i), _MM_FROUND_TO_NEAREST_INT));
  for (; i < n; i++)
    y[i] = _cvtss_sh (x[i], _MM_FROUND_TO_NEAREST_INT);
}

static void
quantize (const float *x, size_t n_cols, const EngQuantTile *tile, uint32_t i_row)
{
  const __m256 sign = _mm256_set1_ps (-0.0f);
  size_t t = tile->n_rows;
  for (size_t b = 0; b < n_cols / 32; b++, x += 32)
    {
      __m256 v[4], max;
      for (int j = 0; j < 4; j++)
        v[j] = _mm256_loadu_ps (x + 8 * j);
      max = _mm256_max_ps (_mm256_max_ps (_mm256_andnot_ps (sign, v[0]), _mm256_andnot_ps (sign, v[1])),
                           _mm256_max_ps (_mm256_andnot_ps (sign, v[2]), _mm256_andnot_ps (sign, v[3])));
      float most = vf_max_lanes (max), d = most / 127.0f, scale = most > 0 ? 127.0f / most : 0;
      if (!(scale <= 1.0e37f))
        d = scale = 0;
      __m256i i[4];
      for (int j = 0; j < 4; j++)
        i[j] = _mm256_cvtps_epi32 (_mm256_mul_ps (v[j], _mm256_set1_ps (scale)));
      /* packs interleaves the halves: restore the order of 8-byte parts. */
      __m256i low = _mm256_permute4x64_epi64 (_mm256_packs_epi32 (i[0], i[1]), 0xd8);
      __m256i high = _mm256_permute4x64_epi64 (_mm256_packs_epi32 (i[2], i[3]), 0xd8);
      const __m256i limit = _mm256_set1_epi16 (127), least = _mm256_set1_epi16 (-127);
      low = _mm256_max_epi16 (_mm256_min_epi16 (low, limit), least);
      high = _mm256_max_epi16 (_mm256_min_epi16 (high, limit), least);
      size_t at = (b * t + i_row) * 32;
      if (tile->q16 != NULL)
        for (int j = 0; j < 2; j++)
          {
            const __m256 fine = _mm256_set1_ps (scale * ENG_QUANT_FINE);
            __m256i a = _mm256_packs_epi32 (_mm256_cvtps_epi32 (_mm256_mul_ps (v[2 * j], fine)),
                                            _mm256_cvtps_epi32 (_mm256_mul_ps (v[2 * j + 1], fine)));
            a = _mm256_max_epi16 (_mm256_min_epi16 (a, _mm256_set1_epi16 (2032)),
                                  _mm256_set1_epi16 (-2032));
            a = _mm256_shufflehi_epi16 (
                _mm256_shufflelo_epi16 (_mm256_permute4x64_epi64 (a, 0xd8), 0xd8), 0xd8);
            _mm256_storeu_si256 ((__m256i *) (tile->q16 + at + 16 * j), a);
          }
      _mm256_storeu_si256 ((__m256i *) (tile->q + at),
                           _mm256_permute4x64_epi64 (_mm256_packs_epi16 (low, high), 0xd8));
      __m256i pairs = _mm256_hadd_epi32 (_mm256_madd_epi16 (low, _mm256_set1_epi16 (1)),
                                         _mm256_madd_epi16 (high, _mm256_set1_epi16 (1)));
      pairs = _mm256_hadd_epi32 (pairs, pairs); /* lanes 0 and 4: low; 1 and 5: high */
      __m128i sums = _mm_add_epi32 (_mm256_castsi256_si128 (pairs), _mm256_extracti128_si256 (pairs, 1));
      int first = _mm_cvtsi128_si32 (sums), second = _mm_extract_epi32 (sums, 1);
      float *meta = tile->meta + b * ENG_QUANT_META * t + i_row;
      meta[0] = d;
      meta[t] = d * (float) (first + second);
      meta[2 * t] = (float) first;
      meta[3 * t] = (float) second;
    }
}

void
eng_float_init_avx2 (EngKernels *k)
{
  init_vectors (k);
  k->axpy = axpy;
  k->layer_norm = layer_norm;
  k->half_to_float = half_to_float;
  k->float_to_half = float_to_half;
  k->quantize = quantize;
}
