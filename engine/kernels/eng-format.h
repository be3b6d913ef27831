/* SPDX-License-Identifier: Apache-2.0 */
/* Private to kernels/: properties of packed formats (eng-pack.h) as constants, so that each instance of a
 * product is straight code. */
#pragma once

#include "eng-pack.h"

#define ENG_CONST static inline __attribute__ ((always_inline))

/* What is added to a code that is not a table's place, before scaling. */
ENG_CONST int
format_offset (EngPack pack)
{
  switch (pack)
    {
    case ENG_PACK_Q4_0:
      return -8;
    case ENG_PACK_Q5_0:
      return -16;
    case ENG_PACK_Q3_K:
      return -4;
    case ENG_PACK_Q6_K:
      return -32;
    default:
      return 0;
    }
}

ENG_CONST EngPackScales
scales_of (EngPack pack)
{
  switch (pack)
    {
    case ENG_PACK_Q4_1:
    case ENG_PACK_Q5_1:
      return ENG_PACK_SCALES_DM;
    case ENG_PACK_MXFP4:
      return ENG_PACK_SCALES_BF;
    case ENG_PACK_Q4_K:
    case ENG_PACK_Q5_K:
      return ENG_PACK_SCALES_SM32;
    case ENG_PACK_Q3_K:
    case ENG_PACK_Q6_K:
      return ENG_PACK_SCALES_S16;
    case ENG_PACK_Q2_K:
      return ENG_PACK_SCALES_SM16;
    case ENG_PACK_IQ4_XS:
      return ENG_PACK_SCALES_S32;
    default:
      return ENG_PACK_SCALES_D;
    }
}

ENG_CONST int
groups_of_16 (EngPack pack)
{
  return scales_of (pack) == ENG_PACK_SCALES_S16 || scales_of (pack) == ENG_PACK_SCALES_SM16;
}

ENG_CONST int
has_minimum (EngPack pack)
{
  EngPackScales s = scales_of (pack);
  return s == ENG_PACK_SCALES_DM || s == ENG_PACK_SCALES_SM32 || s == ENG_PACK_SCALES_SM16;
}

#undef ENG_CONST
