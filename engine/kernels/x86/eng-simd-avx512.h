/* SPDX-License-Identifier: Apache-2.0 */
/* The operations of eng-simd-avx2.h, 512 bits wide. */
#pragma once

#include <immintrin.h>
#include <stdint.h>

#include "eng-inline.h"

#define ENG_P 16
typedef __m512i VI;
typedef __m512 VF;

INLINE VI vi_load (const void *p) { return _mm512_loadu_si512 (p); }
INLINE void vi_store (void *p, VI a) { _mm512_storeu_si512 (p, a); }
INLINE VI vi_zero (void) { return _mm512_setzero_si512 (); }
INLINE VI vi_set8 (int8_t a) { return _mm512_set1_epi8 (a); }
INLINE VI vi_set16 (int16_t a) { return _mm512_set1_epi16 (a); }
INLINE VI vi_and (VI a, VI b) { return _mm512_and_si512 (a, b); }
INLINE VI vi_or (VI a, VI b) { return _mm512_or_si512 (a, b); }
INLINE VI vi_xor (VI a, VI b) { return _mm512_xor_si512 (a, b); }
INLINE VI vi_shr (VI a, int n) { return _mm512_srli_epi16 (a, (unsigned) n); }
INLINE VI vi_shl (VI a, int n) { return _mm512_slli_epi16 (a, (unsigned) n); }
INLINE VI vi_add16 (VI a, VI b) { return _mm512_add_epi16 (a, b); }
INLINE VI vi_add32 (VI a, VI b) { return _mm512_add_epi32 (a, b); }
INLINE VI vi_shr32 (VI a, int n) { return _mm512_srai_epi32 (a, (unsigned) n); } /* signed */
INLINE VI vi_maddubs (VI u, VI s) { return _mm512_maddubs_epi16 (u, s); }
INLINE VI vi_madd (VI a, VI b) { return _mm512_madd_epi16 (a, b); }
INLINE VI vi_lookup (VI table, VI i) { return _mm512_shuffle_epi8 (table, i); }
INLINE VI vi_table (const int8_t *p)
{
  return _mm512_broadcast_i32x4 (_mm_loadu_si128 ((const __m128i *) p));
}
INLINE VI vi_repeat4 (const void *p) { return _mm512_set1_epi32 (*(const int *) p); }
INLINE VI vi_pack (VI a, VI b)
{
  return _mm512_inserti64x4 (_mm512_castsi256_si512 (_mm512_cvtsepi32_epi16 (a)), _mm512_cvtsepi32_epi16 (b), 1);
}
INLINE VI vi_max16 (VI a, VI b) { return _mm512_max_epi16 (a, b); }
INLINE int vi_max16_lanes (VI a)
{
  __m256i h = _mm256_max_epi16 (_mm512_castsi512_si256 (a), _mm512_extracti64x4_epi64 (a, 1));
  __m128i m = _mm_max_epi16 (_mm256_castsi256_si128 (h), _mm256_extracti128_si256 (h, 1));
  return 0xffff ^ _mm_extract_epi16 (_mm_minpos_epu16 (_mm_xor_si128 (m, _mm_set1_epi16 (-1))), 0);
}

INLINE VF vf_zero (void) { return _mm512_setzero_ps (); }
INLINE VF vf_load (const float *p) { return _mm512_loadu_ps (p); }
INLINE void vf_store (float *p, VF a) { _mm512_storeu_ps (p, a); }
INLINE VF vf_repeat (const float *p) { return _mm512_set1_ps (*p); }
INLINE VF vf_set (float a) { return _mm512_set1_ps (a); }
INLINE VF vf_mul (VF a, VF b) { return _mm512_mul_ps (a, b); }
INLINE VF vf_add (VF a, VF b) { return _mm512_add_ps (a, b); }
INLINE VF vf_fma (VF a, VF b, VF c) { return _mm512_fmadd_ps (a, b, c); }
INLINE VF vf_sub (VF a, VF b) { return _mm512_sub_ps (a, b); }
INLINE VF vf_div (VF a, VF b) { return _mm512_div_ps (a, b); }
INLINE VF vf_negative (VF a) { return _mm512_xor_ps (a, _mm512_set1_ps (-0.0f)); }
INLINE VF vf_with_sign (VF a, VF sign) { return _mm512_or_ps (a, _mm512_and_ps (sign, _mm512_set1_ps (-0.0f))); } /* a >= 0 */
INLINE VF vf_fnma (VF a, VF b, VF c) { return _mm512_fnmadd_ps (a, b, c); }
INLINE VF vf_max (VF a, VF b) { return _mm512_max_ps (a, b); }
INLINE VF vf_abs (VF a) { return _mm512_abs_ps (a); }
INLINE VI vi_from_f32 (VF a) { return _mm512_cvtps_epi32 (a); }
INLINE float vf_max_lanes (VF a) { return _mm512_reduce_max_ps (a); }
INLINE float vf_sum_lanes (VF a) { return _mm512_reduce_add_ps (a); }
INLINE VF vf_from_i32 (VI a) { return _mm512_cvtepi32_ps (a); }
INLINE VF vf_from_u8 (const uint8_t *p)
{
  return _mm512_cvtepi32_ps (_mm512_cvtepu8_epi32 (_mm_loadu_si128 ((const __m128i *) p)));
}
INLINE VF vf_from_i8 (const uint8_t *p)
{
  return _mm512_cvtepi32_ps (_mm512_cvtepi8_epi32 (_mm_loadu_si128 ((const __m128i *) p)));
}
INLINE VF vf_from_nibbles (const uint8_t *p, int high)
{
  VI a = _mm512_cvtepu8_epi32 (_mm_loadu_si128 ((const __m128i *) p));
  a = high ? _mm512_srli_epi32 (a, 4) : _mm512_and_si512 (a, _mm512_set1_epi32 (15));
  return _mm512_cvtepi32_ps (a);
}
INLINE VF vf_from_f16 (const uint8_t *p)
{
  return _mm512_cvtph_ps (_mm256_loadu_si256 ((const __m256i *) p));
}
INLINE VF vf_from_bf16 (const uint8_t *p)
{
  VI a = _mm512_cvtepu16_epi32 (_mm256_loadu_si256 ((const __m256i *) p));
  return _mm512_castsi512_ps (_mm512_slli_epi32 (a, 16));
}
