// SPDX-License-Identifier: Apache-2.0
// How quantized weights lie in device memory, and their products with 8-bit activations.
//
// A row of K weights (a multiple of 64) is cut into pairs of 32-weight sub-blocks. A lane of a warp
// owns a pair at a time, so every plane is read in whole, aligned, coalesced words:
//
//   plane  per pair of sub-blocks                                                 types
//   q      32 bytes of nibbles, 16 of 2-bit fields (Q2_K, Q3_K), or 64 of int8 (Q8_0)
//   h      the bits above: 2 x 4 bytes (one bit), or 2 x 8 bytes (two bits, Q6_K)
//   s      scales of the sub-blocks
//   d      scale(s) of the 256-weight super-block (K-quants, IQ4_XS)
//
// Nibbles: "split" = byte i holds weights i and i + 16 of one sub-block (as Q4_0 has it in the file);
// "pair" = byte i holds weight i of the even and of the odd sub-block (as Q4_K has it).
// One-bit plane: byte b, bit k of a sub-block's word = weight 4 k + b. Two-bit plane: word w (of 2),
// byte b, bits 2 k = weight 16 w + 4 k + b. Both so that a mask and a shift give four weights in place.
//
// Every format becomes w = d * q + m with q an 8-bit integer: products are integer over a sub-block
// (or half of one), m meets the sum of the activations.
#pragma once

#include "eng-cuda.h"

#define CU_DEV __device__ __forceinline__

CU_DEV uint4
load16 (const void *p)
{
  uint4 v;
  asm volatile ("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];"
                : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                : "l"(p));
  return v;
}
CU_DEV uint2
load8 (const void *p)
{
  uint2 v;
  asm volatile ("ld.global.nc.v2.u32 {%0,%1}, [%2];" : "=r"(v.x), "=r"(v.y) : "l"(p));
  return v;
}
CU_DEV uint32_t
load4 (const void *p)
{
  uint32_t v;
  asm volatile ("ld.global.nc.u32 %0, [%1];" : "=r"(v) : "l"(p));
  return v;
}
CU_DEV uint32_t
load2 (const void *p)
{
  uint16_t v;
  asm volatile ("ld.global.nc.u16 %0, [%1];" : "=h"(v) : "l"(p));
  return v;
}

CU_DEV float
half_bits (uint32_t bits)
{
  return __half2float (__ushort_as_half ((unsigned short) bits));
}

// Plane bytes of one sub-block, and of a super-block (d).
struct Format
{
  int q, h, s, d;
  int file;   // bytes of a block in the file
  int weights; // weights of a block in the file
};

__host__ __device__ constexpr Format
format_of (int type)
{
  return type == ENG_TYPE_Q4_0     ? Format{ 16, 0, 2, 0, 18, 32 }
         : type == ENG_TYPE_Q4_1   ? Format{ 16, 0, 4, 0, 20, 32 }
         : type == ENG_TYPE_Q5_0   ? Format{ 16, 4, 2, 0, 22, 32 }
         : type == ENG_TYPE_Q5_1   ? Format{ 16, 4, 4, 0, 24, 32 }
         : type == ENG_TYPE_Q8_0   ? Format{ 32, 0, 2, 0, 34, 32 }
         : type == ENG_TYPE_Q2_K   ? Format{ 8, 0, 2, 4, 84, 256 }
         : type == ENG_TYPE_Q3_K   ? Format{ 8, 4, 2, 2, 110, 256 }
         : type == ENG_TYPE_Q4_K   ? Format{ 16, 0, 2, 4, 144, 256 }
         : type == ENG_TYPE_Q5_K   ? Format{ 16, 4, 2, 4, 176, 256 }
         : type == ENG_TYPE_Q6_K   ? Format{ 16, 8, 2, 2, 210, 256 }
         : type == ENG_TYPE_IQ4_NL ? Format{ 16, 0, 2, 0, 18, 32 }
         : type == ENG_TYPE_IQ4_XS ? Format{ 16, 0, 1, 2, 136, 256 }
         : type == ENG_TYPE_MXFP4  ? Format{ 16, 0, 1, 0, 17, 32 }
                                   : Format{ 0, 0, 0, 0, 0, 0 };
}

// IQ4_NL's sixteen levels and MXFP4's (doubled) as bytes, four a word.
CU_DEV uint32_t
lookup4 (uint32_t nibbles, uint32_t t0, uint32_t t1, uint32_t t2, uint32_t t3)
{
  // nibbles: four values 0..15, one a byte. __byte_perm picks by 3-bit selectors from two words.
  const uint32_t sel = (nibbles & 7) | (nibbles >> 4 & 0x70) | (nibbles >> 8 & 0x700)
                       | (nibbles >> 12 & 0x7000);
  const uint32_t lo = __byte_perm (t0, t1, sel), hi = __byte_perm (t2, t3, sel);
  const uint32_t m = (nibbles >> 3 & 0x01010101) * 0xff;
  return (lo & ~m) | (hi & m);
}

// Levels of IQ4_NL (as the format defines them): -127 -104 -83 -65 -49 -35 -22 -10 1 13 25 38 53 69 89 113.
CU_DEV uint32_t
levels_iq4 (uint32_t n)
{
  return lookup4 (n, 0xbfad9881u, 0xf6eaddcfu, 0x26190d01u, 0x71594535u);
}
// E2M1 doubled: 0 1 2 3 4 6 8 12 and the negatives.
CU_DEV uint32_t
levels_mxfp4 (uint32_t n)
{
  return lookup4 (n, 0x03020100u, 0x0c080604u, 0xfdfeff00u, 0xf4f8fafcu);
}
// 2^(e - 128): half of E8M0's 2^(e - 127), since the levels are doubled.
CU_DEV float
scale_mxfp4 (uint32_t e)
{
  return e < 2 ? __uint_as_float (0x00200000u << e) : __uint_as_float ((e - 1) << 23);
}

// A pair of sub-blocks of one row as words in registers.
template <int TYPE> struct Pair
{
  uint4 q[TYPE == ENG_TYPE_Q8_0 ? 4 : (TYPE == ENG_TYPE_Q2_K || TYPE == ENG_TYPE_Q3_K) ? 1 : 2];
  uint32_t h[TYPE == ENG_TYPE_Q6_K ? 4 : 2];
  uint32_t s[2];
  uint32_t d;
};

// @at: which pair, counted over all rows.
template <int TYPE, typename I>
CU_DEV void
pair_load_scales (Pair<TYPE> &p, const CuWeight &w, I at)
{
  constexpr Format f = format_of (TYPE);
  if (f.s == 1)
    p.s[0] = load2 (w.s + (uint64_t) at * 2);
  if (f.s == 2)
    p.s[0] = load4 (w.s + (uint64_t) at * 4);
  if (f.s == 4)
    {
      const uint2 v = load8 (w.s + (uint64_t) at * 8);
      p.s[0] = v.x;
      p.s[1] = v.y;
    }
  const I super = at >> 2; // rows of types with super-blocks are whole numbers of them
  if (f.d == 2)
    p.d = load2 (w.d + (uint64_t) super * 2);
  if (f.d == 4)
    p.d = load4 (w.d + (uint64_t) super * 4);
}

template <int TYPE>
CU_DEV void
pair_load (Pair<TYPE> &p, const CuWeight &w, uint64_t at)
{
  constexpr Format f = format_of (TYPE);
  const uint8_t *q = w.q + at * (2 * f.q);
  constexpr int n = f.q * 2 / 16;
#pragma unroll
  for (int i = 0; i < n; i++)
    p.q[i] = load16 (q + 16 * i);
  if (f.h == 4)
    {
      const uint2 v = load8 (w.h + at * 8);
      p.h[0] = v.x;
      p.h[1] = v.y;
    }
  if (f.h == 8)
    {
      const uint4 v = load16 (w.h + at * 16);
      p.h[0] = v.x;
      p.h[1] = v.y;
      p.h[TYPE == ENG_TYPE_Q6_K ? 2 : 0] = v.z;
      p.h[TYPE == ENG_TYPE_Q6_K ? 3 : 1] = v.w;
    }
  pair_load_scales (p, w, at);
}

// Four weights as bytes, of their low bits and the bits above in the low places of each byte.
template <int TYPE>
CU_DEV uint32_t
whole_codes (uint32_t low, uint32_t above)
{
  if (TYPE == ENG_TYPE_Q3_K)
    low |= above << 2;
  if (format_of (TYPE).h && TYPE != ENG_TYPE_Q3_K)
    low |= above << 4;
  if (TYPE == ENG_TYPE_IQ4_NL || TYPE == ENG_TYPE_IQ4_XS)
    low = levels_iq4 (low);
  if (TYPE == ENG_TYPE_MXFP4)
    low = levels_mxfp4 (low);
  return low;
}

// Four weights as bytes: word @k (0..7) of sub-block @i (0, 1).
template <int TYPE>
CU_DEV uint32_t
pair_word (const Pair<TYPE> &p, int i, int k)
{
  constexpr Format f = format_of (TYPE);
  const uint32_t *q = &p.q[0].x;
  if (TYPE == ENG_TYPE_Q8_0)
    return q[8 * i + k];
  uint32_t v, above = 0;
  if (TYPE == ENG_TYPE_Q2_K || TYPE == ENG_TYPE_Q3_K)
    v = q[2 * i + (k >> 2)] >> (2 * (k & 3)) & 0x03030303u;
  else if (TYPE == ENG_TYPE_Q4_K || TYPE == ENG_TYPE_Q5_K || TYPE == ENG_TYPE_Q6_K)
    v = q[k] >> (4 * i) & 0x0f0f0f0fu; // "pair"
  else
    v = q[4 * i + (k & 3)] >> (4 * (k >> 2)) & 0x0f0f0f0fu; // "split"
  if (f.h == 4)
    above = p.h[i] >> k & 0x01010101u;
  if (f.h == 8)
    above = p.h[2 * i + (k >> 2)] >> (2 * (k & 3)) & 0x03030303u;
  return whole_codes<TYPE> (v, above);
}

// Scale and offset of half @half (0: weights 0..15, 1: 16..31) of sub-block @i: w = d * q + m, q being
// pair_word's byte (signed for Q8_0, IQ4_*, MXFP4).
template <int TYPE>
CU_DEV float2
pair_scale (const Pair<TYPE> &p, int i, int half)
{
  const uint32_t s = p.s[0];
  if (TYPE == ENG_TYPE_Q4_0)
    {
      const float d = half_bits (s >> (16 * i) & 0xffff);
      return make_float2 (d, -8.f * d);
    }
  if (TYPE == ENG_TYPE_Q5_0)
    {
      const float d = half_bits (s >> (16 * i) & 0xffff);
      return make_float2 (d, -16.f * d);
    }
  if (TYPE == ENG_TYPE_Q8_0 || TYPE == ENG_TYPE_IQ4_NL)
    return make_float2 (half_bits (s >> (16 * i) & 0xffff), 0.f);
  if (TYPE == ENG_TYPE_Q4_1 || TYPE == ENG_TYPE_Q5_1)
    {
      const uint32_t v = p.s[i];
      return make_float2 (half_bits (v & 0xffff), half_bits (v >> 16));
    }
  if (TYPE == ENG_TYPE_Q4_K || TYPE == ENG_TYPE_Q5_K)
    {
      const uint32_t v = s >> (16 * i);
      return make_float2 (half_bits (p.d & 0xffff) * (float) (v & 255),
                          -half_bits (p.d >> 16) * (float) (v >> 8 & 255));
    }
  if (TYPE == ENG_TYPE_Q6_K)
    {
      const float d = half_bits (p.d) * (float) (int8_t) (s >> (16 * i + 8 * half) & 255);
      return make_float2 (d, -32.f * d);
    }
  if (TYPE == ENG_TYPE_Q3_K)
    {
      const float d = half_bits (p.d) * (float) (int8_t) (s >> (16 * i + 8 * half) & 255);
      return make_float2 (d, -4.f * d);
    }
  if (TYPE == ENG_TYPE_Q2_K)
    {
      const uint32_t v = s >> (16 * i + 8 * half) & 255;
      return make_float2 (half_bits (p.d & 0xffff) * (float) (v & 15),
                          -half_bits (p.d >> 16) * (float) (v >> 4));
    }
  if (TYPE == ENG_TYPE_IQ4_XS)
    return make_float2 (half_bits (p.d) * (float) (int8_t) (s >> (8 * i) & 255), 0.f);
  return make_float2 (scale_mxfp4 (s >> (8 * i) & 255), 0.f); // MXFP4
}

// All 64 weights of a pair.
template <int TYPE>
CU_DEV void
pair_expand (const Pair<TYPE> &p, float v[64])
{
  constexpr bool is_signed = TYPE == ENG_TYPE_Q8_0 || TYPE == ENG_TYPE_IQ4_NL
                             || TYPE == ENG_TYPE_IQ4_XS || TYPE == ENG_TYPE_MXFP4;
#pragma unroll
  for (int i = 0; i < 2; i++)
#pragma unroll
    for (int k = 0; k < 8; k++)
      {
        const uint32_t q = pair_word (p, i, k);
        const float2 dm = pair_scale (p, i, k / 4);
#pragma unroll
        for (int b = 0; b < 4; b++)
          {
            const int c = is_signed ? (int) (int8_t) (q >> (8 * b)) : (int) (q >> (8 * b) & 255);
            v[i * 32 + k * 4 + b] = dm.x * (float) c + dm.y;
          }
      }
}

__host__ __device__ constexpr bool
has_half_scales (int type)
{
  return type == ENG_TYPE_Q6_K || type == ENG_TYPE_Q3_K || type == ENG_TYPE_Q2_K;
}

// Run BODY with the constant TYPE for a run-time plane type; others are left out.
#define CU_SWITCH_TYPE(type, BODY)                                                                 \
  switch (type)                                                                                    \
    {                                                                                              \
      CU_CASE_ (ENG_TYPE_Q4_0, BODY)                                                               \
      CU_CASE_ (ENG_TYPE_Q4_1, BODY)                                                               \
      CU_CASE_ (ENG_TYPE_Q5_0, BODY)                                                               \
      CU_CASE_ (ENG_TYPE_Q5_1, BODY)                                                               \
      CU_CASE_ (ENG_TYPE_Q8_0, BODY)                                                               \
      CU_CASE_ (ENG_TYPE_Q2_K, BODY)                                                               \
      CU_CASE_ (ENG_TYPE_Q3_K, BODY)                                                               \
      CU_CASE_ (ENG_TYPE_Q4_K, BODY)                                                               \
      CU_CASE_ (ENG_TYPE_Q5_K, BODY)                                                               \
      CU_CASE_ (ENG_TYPE_Q6_K, BODY)                                                               \
      CU_CASE_ (ENG_TYPE_IQ4_NL, BODY)                                                             \
      CU_CASE_ (ENG_TYPE_IQ4_XS, BODY)                                                             \
      CU_CASE_ (ENG_TYPE_MXFP4, BODY)                                                              \
    default:                                                                                       \
      break;                                                                                       \
    }
#define CU_CASE_(t, BODY)                                                                          \
  case t:                                                                                          \
    {                                                                                              \
      constexpr int TYPE = t;                                                                      \
      BODY;                                                                                        \
      break;                                                                                       \
    }
