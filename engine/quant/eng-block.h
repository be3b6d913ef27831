/* SPDX-License-Identifier: Apache-2.0 */
/* How each block format lays out its bits, as files store it. Plain C: cuda/ includes it.
 *
 * Source: the GGUF specification (ggml-org/ggml, docs/gguf.md) names the types; the bits are those
 * of the `gguf` Python package's dequantizers (gguf/quants.py), against which the decoder is tested
 * bit for bit (tests/golden/quant). All numbers little-endian; f16 is IEEE binary16 in a uint16_t.
 * A block starts at an even address (the odd-sized MXFP4 at any). x[i] is element i of the block. */
#pragma once

#include <stdint.h>

#ifdef __cplusplus
#define ENG_BLOCK_ASSERT(type, n) static_assert (sizeof (type) == (n), #type)
#else
#define ENG_BLOCK_ASSERT(type, n) _Static_assert (sizeof (type) == (n), #type)
#endif

/* ---- Blocks of 32: nibble j of qs is x[j] in its low half and x[j + 16] in its high half --------- */

/* x = d * (q - 8), q 0 … 15 */
typedef struct
{
  uint16_t d; /* f16 */
  uint8_t qs[16];
} EngBlockQ4_0;
ENG_BLOCK_ASSERT (EngBlockQ4_0, 18);

/* x = d * q + m, q 0 … 15 */
typedef struct
{
  uint16_t d, m; /* f16 */
  uint8_t qs[16];
} EngBlockQ4_1;
ENG_BLOCK_ASSERT (EngBlockQ4_1, 20);

/* x = d * (q - 16), q 0 … 31: low four bits in qs, the fifth of x[i] is bit i of qh (little-endian
 * 32 bits) */
typedef struct
{
  uint16_t d; /* f16 */
  uint8_t qh[4];
  uint8_t qs[16];
} EngBlockQ5_0;
ENG_BLOCK_ASSERT (EngBlockQ5_0, 22);

/* x = d * q + m, q 0 … 31, bits as in Q5_0 */
typedef struct
{
  uint16_t d, m; /* f16 */
  uint8_t qh[4];
  uint8_t qs[16];
} EngBlockQ5_1;
ENG_BLOCK_ASSERT (EngBlockQ5_1, 24);

/* x[i] = d * qs[i] */
typedef struct
{
  uint16_t d; /* f16 */
  int8_t qs[32];
} EngBlockQ8_0;
ENG_BLOCK_ASSERT (EngBlockQ8_0, 34);

/* x = d * ENG_IQ4_VALUES[q] */
typedef struct
{
  uint16_t d; /* f16 */
  uint8_t qs[16];
} EngBlockIq4Nl;
ENG_BLOCK_ASSERT (EngBlockIq4Nl, 18);

/* x = 2^(e - 128) * ENG_MXFP4_VALUES[q]: the OCP microscaling format's E2M1 elements, doubled to be
 * integers, under a shared E8M0 scale. */
typedef struct
{
  uint8_t e;
  uint8_t qs[16];
} EngBlockMxfp4;
ENG_BLOCK_ASSERT (EngBlockMxfp4, 17);

/* ---- Superblocks of 256 -------------------------------------------------------------------------- */

/* 16 groups of 16: x = d * (scales[g] & 15) * q - dmin * (scales[g] >> 4), q 0 … 3.
 * Within each half h (128 elements), x[128 h + 32 s + l] is bits 2 s, 2 s + 1 of qs[32 h + l]. */
typedef struct
{
  uint8_t scales[16];
  uint8_t qs[64];
  uint16_t d, dmin; /* f16 */
} EngBlockQ2K;
ENG_BLOCK_ASSERT (EngBlockQ2K, 84);

/* 16 groups of 16: x = d * (s - 32) * (q - 4), q 0 … 7. Two low bits as in Q2_K; the high bit of
 * x[128 h + 32 s + l] is bit 4 h + s of hmask[l]. The 6-bit s of group g: low four bits are a nibble
 * of scales[g % 8] (low for g < 8, high above), high two are bits 2 (g / 4) … of scales[8 + g % 4]. */
typedef struct
{
  uint8_t hmask[32];
  uint8_t qs[64];
  uint8_t scales[12];
  uint16_t d; /* f16 */
} EngBlockQ3K;
ENG_BLOCK_ASSERT (EngBlockQ3K, 110);

/* 8 groups of 32: x = d * s * q - dmin * m, q 0 … 15, 6-bit s and m (eng_scale_min_get).
 * Nibbles: x[64 p + l] is the low, x[64 p + 32 + l] the high half of qs[32 p + l]. */
typedef struct
{
  uint16_t d, dmin; /* f16 */
  uint8_t scales[12];
  uint8_t qs[128];
} EngBlockQ4K;
ENG_BLOCK_ASSERT (EngBlockQ4K, 144);

/* As Q4_K with q 0 … 31: the fifth bit of x[32 g + l] is bit g of qh[l]. */
typedef struct
{
  uint16_t d, dmin; /* f16 */
  uint8_t scales[12];
  uint8_t qh[32];
  uint8_t qs[128];
} EngBlockQ5K;
ENG_BLOCK_ASSERT (EngBlockQ5K, 176);

/* 16 groups of 16: x = d * scales[g] * (q - 32), q 0 … 63. In half h, x[128 h + 32 k + l] has its
 * low four bits in ql[64 h + 32 (k % 2) + l] (low nibble for k < 2, high above) and its high two in
 * bits 2 k, 2 k + 1 of qh[32 h + l]. */
typedef struct
{
  uint8_t ql[128];
  uint8_t qh[64];
  int8_t scales[16];
  uint16_t d; /* f16 */
} EngBlockQ6K;
ENG_BLOCK_ASSERT (EngBlockQ6K, 210);

/* 8 groups of 32: x = d * (s - 32) * ENG_IQ4_VALUES[q]. Low four bits of s of group g: a nibble of
 * scales_l[g / 2] (low for even g); high two: bits 2 g, 2 g + 1 of scales_h. Nibbles within a group
 * as in the blocks of 32: x[32 g + j] low, x[32 g + 16 + j] high half of qs[16 g + j]. */
typedef struct
{
  uint16_t d; /* f16 */
  uint16_t scales_h;
  uint8_t scales_l[4];
  uint8_t qs[128];
} EngBlockIq4Xs;
ENG_BLOCK_ASSERT (EngBlockIq4Xs, 136);

/* Scale and minimum of group @g (0 … 7) of Q4_K and Q5_K: twelve bytes hold eight pairs of 6 bits.
 * The first four pairs lie in the low 6 bits of bytes 0-3 (scales) and 4-7 (minima); of the last
 * four, low nibbles are in bytes 8-11 and the top two bits in the top bits of bytes 0-7. */
static inline void
eng_scale_min_get (const uint8_t scales[12], unsigned g, uint8_t *scale, uint8_t *min)
{
  if (g < 4)
    {
      *scale = scales[g] & 63;
      *min = scales[g + 4] & 63;
    }
  else
    {
      *scale = (uint8_t) ((scales[g + 4] & 15) | (scales[g - 4] >> 6) << 4);
      *min = (uint8_t) ((scales[g + 4] >> 4) | (scales[g] >> 6) << 4);
    }
}

/* What the 4-bit codes of IQ4_NL and IQ4_XS, and of MXFP4, stand for. */
#define ENG_IQ4_VALUES                                                                             \
  { -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 }
#define ENG_MXFP4_VALUES { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 }
