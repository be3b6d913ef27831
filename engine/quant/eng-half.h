/* SPDX-License-Identifier: Apache-2.0 */
/* 16-bit floats by integer arithmetic: exact on every machine, no special instructions. Rows are
 * converted by eng_dequantize_row () and eng_quantize_rows (); kernels/ has the fast ones. */
#pragma once

#include <stdint.h>
#include <string.h>

static inline float
eng_float_from_bits (uint32_t bits)
{
  float f;
  memcpy (&f, &bits, sizeof f);
  return f;
}

static inline uint32_t
eng_float_to_bits (float f)
{
  uint32_t bits;
  memcpy (&bits, &f, sizeof bits);
  return bits;
}

/* IEEE binary16, subnormals, infinities and NaN payloads included. */
static inline float
eng_f16_to_f32 (uint16_t h)
{
  uint32_t sign = (uint32_t) (h & 0x8000) << 16, rest = h & 0x7fff;
  if (rest >= 0x7c00) /* infinity, NaN */
    return eng_float_from_bits (sign | 0x7f800000 | (rest & 0x3ff) << 13);
  if (rest < 0x0400) /* subnormal: the mantissa counts units of 2^-24; exact */
    return eng_float_from_bits (sign | eng_float_to_bits ((float) rest * 0x1p-24f));
  return eng_float_from_bits (sign | ((rest << 13) + ((127u - 15u) << 23)));
}

/* Round to nearest, ties to even; too large becomes infinite, NaN stays NaN. */
static inline uint16_t
eng_f32_to_f16 (float f)
{
  uint32_t bits = eng_float_to_bits (f);
  uint16_t sign = (uint16_t) (bits >> 16 & 0x8000);
  bits &= 0x7fffffff;
  if (bits > 0x7f800000)
    return sign | 0x7e00 | (uint16_t) (bits >> 13 & 0x3ff);
  if (bits >= 0x477ff000) /* 65520 and up round to infinity */
    return sign | 0x7c00;
  if (bits < 0x38800000) /* below 2^-14: adding 0.5 leaves units of 2^-24 in the low bits */
    return sign | (uint16_t) (eng_float_to_bits (eng_float_from_bits (bits) + 0.5f) - 0x3f000000);
  bits += 0xfff + (bits >> 13 & 1);
  return sign | (uint16_t) ((bits - ((127u - 15u) << 23)) >> 13);
}

static inline float
eng_bf16_to_f32 (uint16_t h)
{
  return eng_float_from_bits ((uint32_t) h << 16);
}

/* Round to nearest, ties to even; NaN stays a (quiet) NaN. */
static inline uint16_t
eng_f32_to_bf16 (float f)
{
  uint32_t bits = eng_float_to_bits (f);
  if ((bits & 0x7fffffff) > 0x7f800000)
    return (uint16_t) (bits >> 16 | 0x40);
  return (uint16_t) ((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
