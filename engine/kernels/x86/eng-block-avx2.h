/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of 8 rows of 8 numbers of 32 bits in registers of 256: for the products of float weights.
 */
#pragma once

#include <immintrin.h>

#include "eng-inline.h"

/* r[j] = (row j, columns 0 … 7) to r[c] = (column c, rows 0 … 7). */
INLINE void
transpose (__m256 r[8])
{
  __m256 t[8], u[8];
  for (int i = 0; i < 8; i += 2)
    {
      t[i] = _mm256_unpacklo_ps (r[i], r[i + 1]);
      t[i + 1] = _mm256_unpackhi_ps (r[i], r[i + 1]);
    }
  for (int i = 0; i < 8; i += 4)
    {
      u[i] = _mm256_shuffle_ps (t[i], t[i + 2], 0x44);
      u[i + 1] = _mm256_shuffle_ps (t[i], t[i + 2], 0xee);
      u[i + 2] = _mm256_shuffle_ps (t[i + 1], t[i + 3], 0x44);
      u[i + 3] = _mm256_shuffle_ps (t[i + 1], t[i + 3], 0xee);
    }
  for (int i = 0; i < 4; i++)
    {
      r[i] = _mm256_permute2f128_ps (u[i], u[i + 4], 0x20);
      r[i + 4] = _mm256_permute2f128_ps (u[i], u[i + 4], 0x31);
    }
}
