/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of 16 rows of 16 numbers of 32 bits in registers of 512: for the products of float weights. */
#pragma once

#include <immintrin.h>
#include <stddef.h>

#include "eng-inline.h"

/* The first @n lanes, at most 16. */
INLINE __mmask16
first_of (size_t n)
{
  return n < 16 ? (__mmask16) ((1u << n) - 1u) : 0xffff;
}

/* r[j] = (row j, columns 0 … 15) to r[c] = (column c, rows 0 … 15). */
INLINE void
transpose (__m512 r[16])
{
  __m512 t[16], u[16];
  UNROLLED (8) for (int i = 0; i < 16; i += 2)
    {
      t[i] = _mm512_unpacklo_ps (r[i], r[i + 1]);
      t[i + 1] = _mm512_unpackhi_ps (r[i], r[i + 1]);
    }
  /* u[4 g + c], 128 bits number l: rows 4 g … 4 g + 3 of column 4 l + c. */
  UNROLLED (4) for (int i = 0; i < 16; i += 4)
    UNROLLED (4) for (int c = 0; c < 4; c++)
      {
        __m512d a = _mm512_castps_pd (t[i + c / 2]), b = _mm512_castps_pd (t[i + 2 + c / 2]);
        u[i + c] = _mm512_castpd_ps (c % 2 ? _mm512_unpackhi_pd (a, b) : _mm512_unpacklo_pd (a, b));
      }
  UNROLLED (4) for (int c = 0; c < 4; c++)
    {
      __m512 even0 = _mm512_shuffle_f32x4 (u[c], u[4 + c], 0x88);
      __m512 even1 = _mm512_shuffle_f32x4 (u[8 + c], u[12 + c], 0x88);
      __m512 odd0 = _mm512_shuffle_f32x4 (u[c], u[4 + c], 0xdd);
      __m512 odd1 = _mm512_shuffle_f32x4 (u[8 + c], u[12 + c], 0xdd);
      r[c] = _mm512_shuffle_f32x4 (even0, even1, 0x88);
      r[4 + c] = _mm512_shuffle_f32x4 (odd0, odd1, 0x88);
      r[8 + c] = _mm512_shuffle_f32x4 (even0, even1, 0xdd);
      r[12 + c] = _mm512_shuffle_f32x4 (odd0, odd1, 0xdd);
    }
}
