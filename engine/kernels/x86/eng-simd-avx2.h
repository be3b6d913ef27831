/* SPDX-License-Identifier: Apache-2.0 */
/* The few vector operations that the product template is written in, 256 bits wide. Static and always
 * inlined: no symbol of a tier's file may leave it. */
#pragma once

#include <immintrin.h>
#include <stdint.h>

#include "eng-inline.h"

#define ENG_P 8 /* rows of a panel: 32-bit lanes of a register */
typedef __m256i VI;
typedef __m256 VF;

INLINE VI vi_load (const void *p) { return _mm256_loadu_si256 ((const __m256i *) p); }
INLINE void vi_store (void *p, VI a) { _mm256_storeu_si256 ((__m256i *) p, a); }
INLINE VI vi_zero (void) { return _mm256_setzero_si256 (); }
INLINE VI vi_set8 (int8_t a) { return _mm256_set1_epi8 (a); }
INLINE VI vi_set16 (int16_t a) { return _mm256_set1_epi16 (a); }
INLINE VI vi_and (VI a, VI b) { return _mm256_and_si256 (a, b); }
INLINE VI vi_or (VI a, VI b) { return _mm256_or_si256 (a, b); }
INLINE VI vi_xor (VI a, VI b) { return _mm256_xor_si256 (a, b); }
INLINE VI vi_shr (VI a, int n) { return _mm256_srli_epi16 (a, n); }
INLINE VI vi_shl (VI a, int n) { return _mm256_slli_epi16 (a, n); }
INLINE VI vi_add16 (VI a, VI b) { return _mm256_add_epi16 (a, b); }
INLINE VI vi_add32 (VI a, VI b) { return _mm256_add_epi32 (a, b); }
INLINE VI vi_shr32 (VI a, int n) { return _mm256_srai_epi32 (a, n); } /* signed */
INLINE VI vi_maddubs (VI u, VI s) { return _mm256_maddubs_epi16 (u, s); }
INLINE VI vi_madd (VI a, VI b) { return _mm256_madd_epi16 (a, b); }
INLINE VI vi_lookup (VI table, VI i) { return _mm256_shuffle_epi8 (table, i); }
INLINE VI vi_table (const int8_t *p)
{
  return _mm256_broadcastsi128_si256 (_mm_loadu_si128 ((const __m128i *) p));
}
INLINE VI vi_repeat4 (const void *p) { return _mm256_set1_epi32 (*(const int *) p); }
INLINE VI vi_pack (VI a, VI b) /* 32 to 16 bits, a's before b's */
{
  return _mm256_permute4x64_epi64 (_mm256_packs_epi32 (a, b), 0xd8);
}
INLINE VI vi_max16 (VI a, VI b) { return _mm256_max_epi16 (a, b); }
INLINE int vi_max16_lanes (VI a) /* of numbers that are not negative */
{
  __m128i m = _mm_max_epi16 (_mm256_castsi256_si128 (a), _mm256_extracti128_si256 (a, 1));
  return 0xffff ^ _mm_extract_epi16 (_mm_minpos_epu16 (_mm_xor_si128 (m, _mm_set1_epi16 (-1))), 0);
}

INLINE VF vf_zero (void) { return _mm256_setzero_ps (); }
INLINE VF vf_load (const float *p) { return _mm256_loadu_ps (p); }
INLINE void vf_store (float *p, VF a) { _mm256_storeu_ps (p, a); }
INLINE VF vf_repeat (const float *p) { return _mm256_broadcast_ss (p); }
INLINE VF vf_set (float a) { return _mm256_set1_ps (a); }
INLINE VF vf_mul (VF a, VF b) { return _mm256_mul_ps (a, b); }
INLINE VF vf_add (VF a, VF b) { return _mm256_add_ps (a, b); }
INLINE VF vf_fma (VF a, VF b, VF c) { return _mm256_fmadd_ps (a, b, c); }
INLINE VF vf_fnma (VF a, VF b, VF c) { return _mm256_fnmadd_ps (a, b, c); }
INLINE VF vf_sub (VF a, VF b) { return _mm256_sub_ps (a, b); }
INLINE VF vf_div (VF a, VF b) { return _mm256_div_ps (a, b); }
INLINE VF vf_negative (VF a) { return _mm256_xor_ps (a, _mm256_set1_ps (-0.0f)); }
INLINE VF vf_with_sign (VF a, VF sign) { return _mm256_or_ps (a, _mm256_and_ps (sign, _mm256_set1_ps (-0.0f))); } /* a >= 0 */
INLINE VF vf_max (VF a, VF b) { return _mm256_max_ps (a, b); }
INLINE VF vf_abs (VF a) { return _mm256_andnot_ps (_mm256_set1_ps (-0.0f), a); }
INLINE VI vi_from_f32 (VF a) { return _mm256_cvtps_epi32 (a); } /* to the nearest */
INLINE float vf_max_lanes (VF a)
{
  __m128 m = _mm_max_ps (_mm256_castps256_ps128 (a), _mm256_extractf128_ps (a, 1));
  m = _mm_max_ps (m, _mm_movehl_ps (m, m));
  return _mm_cvtss_f32 (_mm_max_ss (m, _mm_movehdup_ps (m)));
}
INLINE float vf_sum_lanes (VF a)
{
  __m128 s = _mm_add_ps (_mm256_castps256_ps128 (a), _mm256_extractf128_ps (a, 1));
  s = _mm_add_ps (s, _mm_movehl_ps (s, s));
  return _mm_cvtss_f32 (_mm_add_ss (s, _mm_movehdup_ps (s)));
}
INLINE VF vf_from_i32 (VI a) { return _mm256_cvtepi32_ps (a); }
INLINE VF vf_from_u8 (const uint8_t *p)
{
  return _mm256_cvtepi32_ps (_mm256_cvtepu8_epi32 (_mm_loadl_epi64 ((const __m128i *) p)));
}
INLINE VF vf_from_i8 (const uint8_t *p)
{
  return _mm256_cvtepi32_ps (_mm256_cvtepi8_epi32 (_mm_loadl_epi64 ((const __m128i *) p)));
}
/* Low and high nibble of P bytes. */
INLINE VF vf_from_nibbles (const uint8_t *p, int high)
{
  VI a = _mm256_cvtepu8_epi32 (_mm_loadl_epi64 ((const __m128i *) p));
  a = high ? _mm256_srli_epi32 (a, 4) : _mm256_and_si256 (a, _mm256_set1_epi32 (15));
  return _mm256_cvtepi32_ps (a);
}
INLINE VF vf_from_f16 (const uint8_t *p)
{
  return _mm256_cvtph_ps (_mm_loadu_si128 ((const __m128i *) p));
}
INLINE VF vf_from_bf16 (const uint8_t *p)
{
  VI a = _mm256_cvtepu16_epi32 (_mm_loadu_si128 ((const __m128i *) p));
  return _mm256_castsi256_ps (_mm256_slli_epi32 (a, 16));
}
