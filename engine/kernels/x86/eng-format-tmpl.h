/* SPDX-License-Identifier: Apache-2.0 */
/* Codes and scales of packed panels (eng-pack.h) as registers, for any register width. Included by the
 * products of a tier after a header of vector operations. ENG_VNNI: byte dot products that do not
 * saturate; codes are then unsigned throughout. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "eng-format.h"
#include "eng-kernels.h"

/* Properties of a format as constants, besides eng-format.h's. */
INLINE int
code_bits (EngPack pack)
{
  switch (pack)
    {
    case ENG_PACK_Q5_0:
    case ENG_PACK_Q5_1:
    case ENG_PACK_Q5_K:
    case ENG_PACK_MXFP4:
      return 5;
    case ENG_PACK_Q6_K:
      return 6;
    case ENG_PACK_Q8_0:
    case ENG_PACK_IQ4_NL:
    case ENG_PACK_IQ4_XS:
      return 8;
    default:
      return 4;
    }
}

INLINE int
code_offset (EngPack pack)
{
  switch (pack)
    {
    case ENG_PACK_MXFP4: /* the table below is raised by this to be unsigned */
      return -12;
#ifdef ENG_VNNI
    case ENG_PACK_Q8_0:
    case ENG_PACK_IQ4_NL:
    case ENG_PACK_IQ4_XS:
      return -128;
#endif
    default:
      return format_offset (pack);
    }
}

INLINE int
sub_blocks (EngPack pack)
{
  EngPackScales s = scales_of (pack);
  return s == ENG_PACK_SCALES_D || s == ENG_PACK_SCALES_DM || s == ENG_PACK_SCALES_BF ? 1 : 8;
}

INLINE size_t
planes_bytes (EngPack pack)
{
  switch (pack)
    {
    case ENG_PACK_Q8_0:
      return 32 * ENG_P;
    case ENG_PACK_Q5_0:
    case ENG_PACK_Q5_1:
    case ENG_PACK_Q5_K:
      return 20 * ENG_P;
    case ENG_PACK_Q6_K:
      return 24 * ENG_P;
    case ENG_PACK_Q2_K:
      return 8 * ENG_P;
    case ENG_PACK_Q3_K:
      return 12 * ENG_P;
    default:
      return 16 * ENG_P;
    }
}

INLINE size_t
scales_bytes (EngPack pack)
{
  switch (scales_of (pack))
    {
    case ENG_PACK_SCALES_DM:
      return 4 * ENG_P;
    case ENG_PACK_SCALES_SM32:
    case ENG_PACK_SCALES_SM16:
      return 20 * ENG_P;
    case ENG_PACK_SCALES_S16:
      return 18 * ENG_P;
    case ENG_PACK_SCALES_S32:
      return 10 * ENG_P;
    default:
      return 2 * ENG_P;
    }
}

/* Of a super-block, and of a whole panel. */
INLINE size_t
block_bytes (EngPack pack)
{
  return (size_t) sub_blocks (pack) * planes_bytes (pack) + scales_bytes (pack);
}

INLINE size_t
panel_bytes (EngPack pack, size_t n_cols)
{
  return n_cols / 32 / (size_t) sub_blocks (pack) * block_bytes (pack);
}

INLINE VI
shift_to (VI a, int from, int to)
{
  return from > to ? vi_shr (a, from - to) : from < to ? vi_shl (a, to - from) : a;
}

/* Code values of IQ4 and MXFP4 by nibble, unsigned where the multiplication wants that. */
INLINE VI
code_table (EngPack pack)
{
#ifdef ENG_VNNI
  static const int8_t iq4[16] = { 1,   24,  45,  63,  79,  93,  106, 118,
                                  -127, -115, -103, -90, -75, -59, -39, -15 };
#else
  static const int8_t iq4[16] = { -127, -104, -83, -65, -49, -35, -22, -10,
                                  1,    13,   25,  38,  53,  69,  89,  113 };
#endif
  static const int8_t mxfp4[16] = { 12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0 };
  return vi_table (pack == ENG_PACK_MXFP4 ? mxfp4 : iq4);
}

/* The eight registers of a sub-block: register v holds columns 4v … 4v + 3. */
INLINE void
load_codes (EngPack pack, const uint8_t *p, VI w[8])
{
  const size_t bytes = 4 * ENG_P;
  if (pack == ENG_PACK_Q8_0)
    {
      for (int v = 0; v < 8; v++)
        {
          w[v] = vi_load (p + v * bytes);
#ifdef ENG_VNNI
          w[v] = vi_xor (w[v], vi_set8 (-128));
#endif
        }
      return;
    }
  if (pack == ENG_PACK_Q2_K || pack == ENG_PACK_Q3_K)
    {
      const uint8_t *two = pack == ENG_PACK_Q3_K ? p + bytes : p;
      VI top[2] = { vi_load (two), vi_load (two + bytes) };
      for (int v = 0; v < 8; v++)
        w[v] = vi_and (shift_to (top[v / 4], 2 * (v % 4), 0), vi_set8 (3));
      if (pack == ENG_PACK_Q3_K)
        {
          VI b = vi_load (p);
          for (int v = 0; v < 8; v++)
            w[v] = vi_or (w[v], vi_and (shift_to (b, v, 2), vi_set8 (4)));
        }
      return;
    }
  const VI low = vi_set8 (15);
  for (int u = 0; u < 4; u++)
    {
      VI a = vi_load (p + u * bytes);
      w[u] = vi_and (a, low);
      w[u + 4] = vi_and (vi_shr (a, 4), low);
    }
  if (pack == ENG_PACK_IQ4_NL || pack == ENG_PACK_IQ4_XS || pack == ENG_PACK_MXFP4)
    {
      VI table = code_table (pack);
      for (int v = 0; v < 8; v++)
        w[v] = vi_lookup (table, w[v]);
    }
  else if (code_bits (pack) == 5)
    {
      VI b = vi_load (p + 4 * bytes);
      for (int v = 0; v < 8; v++)
        w[v] = vi_or (w[v], vi_and (shift_to (b, v, 4), vi_set8 (16)));
    }
  else if (pack == ENG_PACK_Q6_K)
    {
      VI top[2] = { vi_load (p + 4 * bytes), vi_load (p + 5 * bytes) };
      for (int v = 0; v < 8; v++)
        w[v] = vi_or (w[v], vi_and (shift_to (top[v / 4], 2 * (v % 4), 4), vi_set8 (48)));
    }
}

/* Scales of a sub-block's groups: w = d[g] * code + m[g], g = 0, 1 for groups of 16. */
typedef struct
{
  VF d[2], m[2];
} Scales;

/* Of a super-block. */
typedef struct
{
  VF d, m;
} SuperScales;

INLINE SuperScales
load_super_scales (EngPack pack, const uint8_t *s)
{
  SuperScales out = { vf_zero (), vf_zero () };
  const uint8_t *tail = s + scales_bytes (pack) - 2 * ENG_P;
  if (sub_blocks (pack) == 1)
    return out;
  if (has_minimum (pack))
    {
      out.m = vf_mul (vf_from_f16 (tail), vf_set (-1.0f));
      tail -= 2 * ENG_P;
    }
  out.d = vf_from_f16 (tail);
  return out;
}

/* Of sub-block @i. */
INLINE Scales
load_scales (EngPack pack, const uint8_t *s, int i, SuperScales super)
{
  Scales out;
  switch (scales_of (pack))
    {
    case ENG_PACK_SCALES_D:
      out.d[0] = vf_from_f16 (s);
      break;
    case ENG_PACK_SCALES_BF:
      out.d[0] = vf_from_bf16 (s);
      break;
    case ENG_PACK_SCALES_DM:
      out.d[0] = vf_from_f16 (s);
      out.m[0] = vf_from_f16 (s + 2 * ENG_P);
      return out;
    case ENG_PACK_SCALES_SM32:
      out.d[0] = vf_mul (super.d, vf_from_u8 (s + i * ENG_P));
      out.m[0] = vf_mul (super.m, vf_from_u8 (s + (8 + i) * ENG_P));
      return out;
    case ENG_PACK_SCALES_SM16:
      for (int g = 0; g < 2; g++)
        {
          out.d[g] = vf_mul (super.d, vf_from_nibbles (s + (2 * i + g) * ENG_P, 0));
          out.m[g] = vf_mul (super.m, vf_from_nibbles (s + (2 * i + g) * ENG_P, 1));
        }
      return out;
    case ENG_PACK_SCALES_S16:
      for (int g = 0; g < 2; g++)
        out.d[g] = vf_mul (super.d, vf_from_i8 (s + (2 * i + g) * ENG_P));
      break;
    case ENG_PACK_SCALES_S32:
      out.d[0] = vf_mul (super.d, vf_from_i8 (s + i * ENG_P));
      break;
    }
#ifndef ENG_VNNI
  if (code_bits (pack) == 8) /* multiplied with q16, and see Wide */
    out.d[0] = vf_mul (out.d[0], vf_set (1.0f / (ENG_QUANT_FINE * 256)));
#endif
  if (code_offset (pack) != 0)
    for (int g = 0; g < 1 + groups_of_16 (pack); g++)
      out.m[g] = vf_mul (out.d[g], vf_set ((float) code_offset (pack)));
  return out;
}
