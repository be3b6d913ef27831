/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-pack.h"

#include <string.h>

#include "eng-block.h"
#include "eng-half.h"

static const int8_t iq4_values[16] = ENG_IQ4_VALUES;
static const int8_t mxfp4_values[16] = ENG_MXFP4_VALUES;

static const EngPackInfo infos[ENG_PACK_N] = {
  [ENG_PACK_Q4_0] = { ENG_TYPE_Q4_0, 1, .has4 = true, .scales = ENG_PACK_SCALES_D, .offset = -8 },
  [ENG_PACK_Q4_1] = { ENG_TYPE_Q4_1, 1, .has4 = true, .scales = ENG_PACK_SCALES_DM },
  [ENG_PACK_Q5_0] = { ENG_TYPE_Q5_0, 1, .has4 = true, .has1 = true, .shift1 = 4,
                      .scales = ENG_PACK_SCALES_D, .offset = -16 },
  [ENG_PACK_Q5_1] = { ENG_TYPE_Q5_1, 1, .has4 = true, .has1 = true, .shift1 = 4,
                      .scales = ENG_PACK_SCALES_DM },
  [ENG_PACK_Q8_0] = { ENG_TYPE_Q8_0, 1, .has8 = true, .scales = ENG_PACK_SCALES_D },
  [ENG_PACK_Q2_K] = { ENG_TYPE_Q2_K, 8, .has2 = true, .scales = ENG_PACK_SCALES_SM16 },
  [ENG_PACK_Q3_K] = { ENG_TYPE_Q3_K, 8, .has1 = true, .has2 = true, .shift1 = 2,
                      .scales = ENG_PACK_SCALES_S16, .offset = -4 },
  [ENG_PACK_Q4_K] = { ENG_TYPE_Q4_K, 8, .has4 = true, .scales = ENG_PACK_SCALES_SM32 },
  [ENG_PACK_Q5_K] = { ENG_TYPE_Q5_K, 8, .has4 = true, .has1 = true, .shift1 = 4,
                      .scales = ENG_PACK_SCALES_SM32 },
  [ENG_PACK_Q6_K] = { ENG_TYPE_Q6_K, 8, .has4 = true, .has2 = true, .shift2 = 4,
                      .scales = ENG_PACK_SCALES_S16, .offset = -32 },
  [ENG_PACK_IQ4_NL] = { ENG_TYPE_IQ4_NL, 1, .has4 = true, .scales = ENG_PACK_SCALES_D,
                        .table = iq4_values },
  [ENG_PACK_IQ4_XS] = { ENG_TYPE_IQ4_XS, 8, .has4 = true, .scales = ENG_PACK_SCALES_S32,
                        .table = iq4_values },
  [ENG_PACK_MXFP4] = { ENG_TYPE_MXFP4, 1, .has4 = true, .scales = ENG_PACK_SCALES_BF,
                       .table = mxfp4_values },
};

const EngPackInfo *
eng_pack_get_info (EngPack pack)
{
  return (unsigned) pack < ENG_PACK_N ? &infos[pack] : NULL;
}

EngPack
eng_pack_from_type (EngType type)
{
  for (int i = 0; i < ENG_PACK_N; i++)
    if (infos[i].type == type)
      return (EngPack) i;
  return ENG_PACK_NONE;
}

size_t
eng_pack_sub_bytes (const EngPackInfo *info, uint32_t p)
{
  return (size_t) p * (16 * info->has4 + 4 * info->has1 + 8 * info->has2 + 32 * info->has8);
}

static size_t
scale_bytes (EngPackScales scales)
{
  switch (scales)
    {
    case ENG_PACK_SCALES_D:
    case ENG_PACK_SCALES_BF:
      return 2;
    case ENG_PACK_SCALES_DM:
      return 4;
    case ENG_PACK_SCALES_SM32:
    case ENG_PACK_SCALES_SM16:
      return 20;
    case ENG_PACK_SCALES_S16:
      return 18;
    case ENG_PACK_SCALES_S32:
      return 10;
    }
  return 0;
}

size_t
eng_pack_block_bytes (const EngPackInfo *info, uint32_t p)
{
  return info->n_sub * eng_pack_sub_bytes (info, p) + p * scale_bytes (info->scales);
}

size_t
eng_pack_panel_bytes (const EngPackInfo *info, uint32_t p, uint64_t n_cols)
{
  return n_cols / (32u * info->n_sub) * eng_pack_block_bytes (info, p);
}

/* --- from the file's blocks to codes, four in a word, each in its own byte --- */

#define INLINE static inline __attribute__ ((always_inline))

INLINE uint32_t
load32 (const uint8_t *p)
{
  uint32_t v;
  memcpy (&v, p, 4);
  return v;
}

INLINE void
store32 (uint8_t *p, uint32_t v)
{
  memcpy (p, &v, 4);
}

#define EACH_BYTE(x) ((x) * 0x01010101u)

/* Bits 0 … 3 to the lowest bits of four bytes. */
INLINE uint32_t
spread_bits (uint32_t bits)
{
  return bits * 0x00204081u & EACH_BYTE (1u);
}

/* Byte j: code j | code 16 + j << 4. */
INLINE void
nibbles (const uint8_t qs[16], uint32_t w[8])
{
  for (int u = 0; u < 4; u++)
    {
      uint32_t q = load32 (qs + 4 * u);
      w[u] = q & EACH_BYTE (15u);
      w[u + 4] = q >> 4 & EACH_BYTE (15u);
    }
}

/* Bit j of @qh: the fifth bit of code j. */
INLINE void
fifth_bits (const uint8_t qh[4], uint32_t w[8])
{
  uint32_t bits = load32 (qh);
  for (int v = 0; v < 8; v++)
    w[v] |= spread_bits (bits >> (4 * v) & 15) << 4;
}

/* Code l: the bits of @mask, @shift up in byte l of @from. */
INLINE void
bytes_of (const uint8_t from[32], unsigned shift, uint32_t mask, uint32_t w[8])
{
  for (int v = 0; v < 8; v++)
    w[v] = load32 (from + 4 * v) >> shift & EACH_BYTE (mask);
}

INLINE void
or_bytes_of (const uint8_t from[32], unsigned shift, uint32_t mask, unsigned place, uint32_t w[8])
{
  for (int v = 0; v < 8; v++)
    w[v] |= (load32 (from + 4 * v) >> shift & EACH_BYTE (mask)) << place;
}

/* The 32 codes of sub-block @i of the block @b. Inlined with @pack a constant. */
INLINE void
sub_codes (EngPack pack, const void *b, unsigned i, uint32_t w[8])
{
  unsigned half = i / 4, quarter = i % 4;
  switch (pack)
    {
    case ENG_PACK_Q4_0:
    case ENG_PACK_IQ4_NL:
      nibbles (((const EngBlockQ4_0 *) b)->qs, w);
      break;
    case ENG_PACK_Q4_1:
      nibbles (((const EngBlockQ4_1 *) b)->qs, w);
      break;
    case ENG_PACK_MXFP4:
      nibbles (((const EngBlockMxfp4 *) b)->qs, w);
      break;
    case ENG_PACK_IQ4_XS:
      nibbles (((const EngBlockIq4Xs *) b)->qs + 16 * i, w);
      break;
    case ENG_PACK_Q5_0:
      nibbles (((const EngBlockQ5_0 *) b)->qs, w);
      fifth_bits (((const EngBlockQ5_0 *) b)->qh, w);
      break;
    case ENG_PACK_Q5_1:
      nibbles (((const EngBlockQ5_1 *) b)->qs, w);
      fifth_bits (((const EngBlockQ5_1 *) b)->qh, w);
      break;
    case ENG_PACK_Q8_0:
      for (int v = 0; v < 8; v++)
        w[v] = load32 ((const uint8_t *) ((const EngBlockQ8_0 *) b)->qs + 4 * v);
      break;
    case ENG_PACK_Q2_K:
      bytes_of (((const EngBlockQ2K *) b)->qs + 32 * half, 2 * quarter, 3, w);
      break;
    case ENG_PACK_Q3_K:
      bytes_of (((const EngBlockQ3K *) b)->qs + 32 * half, 2 * quarter, 3, w);
      or_bytes_of (((const EngBlockQ3K *) b)->hmask, i, 1, 2, w);
      break;
    case ENG_PACK_Q4_K:
      bytes_of (((const EngBlockQ4K *) b)->qs + 32 * (i / 2), 4 * (i % 2), 15, w);
      break;
    case ENG_PACK_Q5_K:
      bytes_of (((const EngBlockQ5K *) b)->qs + 32 * (i / 2), 4 * (i % 2), 15, w);
      or_bytes_of (((const EngBlockQ5K *) b)->qh, i, 1, 4, w);
      break;
    case ENG_PACK_Q6_K:
      bytes_of (((const EngBlockQ6K *) b)->ql + 64 * half + 32 * (quarter % 2), quarter < 2 ? 0 : 4, 15, w);
      or_bytes_of (((const EngBlockQ6K *) b)->qh + 32 * half, 2 * quarter, 3, 4, w);
      break;
    case ENG_PACK_N:
      break;
    }
}

/* --- scales of one row --- */

typedef struct
{
  uint8_t groups[16]; /* scale bytes, in the order of the packed form, per 16 or per 32 */
  uint8_t minima[8];  /* SM32 only */
  uint16_t d, m;      /* bits of f16, or of bf16 */
} Scales;

static void
scales_q3k (const EngBlockQ3K *b, uint8_t groups[16])
{
  for (int g = 0; g < 16; g++)
    {
      int low = g < 8 ? b->scales[g] & 15 : b->scales[g - 8] >> 4;
      int high = b->scales[8 + g % 4] >> (2 * (g / 4)) & 3;
      groups[g] = (uint8_t) ((low | high << 4) - 32);
    }
}

static void
scales_iq4xs (const EngBlockIq4Xs *b, uint8_t groups[16])
{
  for (int g = 0; g < 8; g++)
    {
      int low = b->scales_l[g / 2] >> (4 * (g % 2)) & 15, high = b->scales_h >> (2 * g) & 3;
      groups[g] = (uint8_t) ((low | high << 4) - 32);
    }
}

static void
scales_q4k (const uint8_t *scales, Scales *out)
{
  for (unsigned g = 0; g < 8; g++)
    eng_scale_min_get (scales, g, &out->groups[g], &out->minima[g]);
}

/* 2^(e - 128) as bf16: a normal number has exponent field e - 1, the two smallest are subnormal. */
static uint16_t
e8m0_to_bf16 (uint8_t e)
{
  return e >= 2 ? (uint16_t) ((e - 1u) << 7) : (uint16_t) (0x20u << e);
}

INLINE void
read_scales (EngPack pack, const void *b, Scales *out)
{
  switch (pack)
    {
    case ENG_PACK_Q4_0:
    case ENG_PACK_IQ4_NL:
      out->d = ((const EngBlockQ4_0 *) b)->d;
      break;
    case ENG_PACK_Q4_1:
      out->d = ((const EngBlockQ4_1 *) b)->d;
      out->m = ((const EngBlockQ4_1 *) b)->m;
      break;
    case ENG_PACK_Q5_0:
      out->d = ((const EngBlockQ5_0 *) b)->d;
      break;
    case ENG_PACK_Q5_1:
      out->d = ((const EngBlockQ5_1 *) b)->d;
      out->m = ((const EngBlockQ5_1 *) b)->m;
      break;
    case ENG_PACK_Q8_0:
      out->d = ((const EngBlockQ8_0 *) b)->d;
      break;
    case ENG_PACK_MXFP4:
      out->d = e8m0_to_bf16 (((const EngBlockMxfp4 *) b)->e);
      break;
    case ENG_PACK_Q2_K:
      out->d = ((const EngBlockQ2K *) b)->d;
      out->m = ((const EngBlockQ2K *) b)->dmin;
      memcpy (out->groups, ((const EngBlockQ2K *) b)->scales, 16);
      break;
    case ENG_PACK_Q3_K:
      out->d = ((const EngBlockQ3K *) b)->d;
      scales_q3k (b, out->groups);
      break;
    case ENG_PACK_Q4_K:
      out->d = ((const EngBlockQ4K *) b)->d;
      out->m = ((const EngBlockQ4K *) b)->dmin;
      scales_q4k (((const EngBlockQ4K *) b)->scales, out);
      break;
    case ENG_PACK_Q5_K:
      out->d = ((const EngBlockQ5K *) b)->d;
      out->m = ((const EngBlockQ5K *) b)->dmin;
      scales_q4k (((const EngBlockQ5K *) b)->scales, out);
      break;
    case ENG_PACK_Q6_K:
      out->d = ((const EngBlockQ6K *) b)->d;
      memcpy (out->groups, ((const EngBlockQ6K *) b)->scales, 16);
      break;
    case ENG_PACK_IQ4_XS:
      out->d = ((const EngBlockIq4Xs *) b)->d;
      scales_iq4xs (b, out->groups);
      break;
    case ENG_PACK_N:
      break;
    }
}

/* --- from codes to planes --- */

/* Row @row of the planes at @dst. */
INLINE void
pack_planes (const EngPackInfo *info, uint32_t p, uint32_t row, const uint32_t w[8], uint8_t *dst)
{
  if (info->has4)
    {
      for (uint32_t u = 0; u < 4; u++)
        store32 (dst + (u * p + row) * 4,
                 (w[u] & EACH_BYTE (15u)) | (w[u + 4] & EACH_BYTE (15u)) << 4);
      dst += 16 * p;
    }
  if (info->has1)
    {
      uint32_t bits = 0;
      for (int v = 0; v < 8; v++)
        bits |= (w[v] >> info->shift1 & EACH_BYTE (1u)) << v;
      store32 (dst + row * 4, bits);
      dst += 4 * p;
    }
  if (info->has2)
    {
      for (uint32_t u = 0; u < 2; u++)
        {
          uint32_t bits = 0;
          for (int v = 0; v < 4; v++)
            bits |= (w[4 * u + v] >> info->shift2 & EACH_BYTE (3u)) << (2 * v);
          store32 (dst + (u * p + row) * 4, bits);
        }
      dst += 8 * p;
    }
  if (info->has8)
    for (uint32_t v = 0; v < 8; v++)
      store32 (dst + (v * p + row) * 4, w[v]);
}

static void
put16 (uint8_t *dst, uint32_t row, uint16_t value)
{
  memcpy (dst + 2 * (size_t) row, &value, 2);
}

INLINE void
pack_scales (const EngPackInfo *info, uint32_t p, uint32_t row, const Scales *in, uint8_t *dst)
{
  bool by16 = info->scales == ENG_PACK_SCALES_S16 || info->scales == ENG_PACK_SCALES_SM16;
  if (info->n_sub == 8)
    {
      for (uint32_t g = 0; g < (by16 ? 16u : 8u); g++, dst += p)
        dst[row] = in->groups[g];
      for (uint32_t g = 0; info->scales == ENG_PACK_SCALES_SM32 && g < 8; g++, dst += p)
        dst[row] = in->minima[g];
    }
  put16 (dst, row, in->d);
  if (info->scales == ENG_PACK_SCALES_DM || info->scales == ENG_PACK_SCALES_SM32
      || info->scales == ENG_PACK_SCALES_SM16)
    put16 (dst + 2 * p, row, in->m);
}

/* A model's load waits for this, so each format has a copy of its own in which nothing of it is decided at run time. */
INLINE void
pack_panel (EngPack pack, uint32_t p, const uint8_t *src, uint64_t row_bytes, uint32_t n_rows, uint64_t n_cols,
            uint8_t *dst)
{
  const EngPackInfo *info = &infos[pack];
  size_t sub = eng_pack_sub_bytes (info, p), block = eng_pack_block_bytes (info, p);
  uint64_t n_blocks = n_cols / (32u * info->n_sub), source_bytes = n_blocks ? row_bytes / n_blocks : 0;
  if (n_rows < p)
    memset (dst, 0, n_blocks * block);
  for (uint64_t b = 0; b < n_blocks; b++, dst += block)
    for (uint32_t row = 0; row < n_rows; row++)
      {
        const uint8_t *from = src + row * row_bytes + b * source_bytes;
        Scales scales;
#pragma GCC unroll 8
        for (uint32_t i = 0; i < info->n_sub; i++)
          {
            uint32_t w[8];
            sub_codes (pack, from, i, w);
            pack_planes (info, p, row, w, dst + i * sub);
          }
        read_scales (pack, from, &scales);
        pack_scales (info, p, row, &scales, dst + info->n_sub * sub);
      }
}

void
eng_pack_panel (EngPack pack, uint32_t p, const uint8_t *src, uint64_t row_bytes, uint32_t n_rows,
                uint64_t n_cols, uint8_t *dst)
{
#define CASE(name)                                                                                 \
  case ENG_PACK_##name:                                                                            \
    pack_panel (ENG_PACK_##name, p, src, row_bytes, n_rows, n_cols, dst);                          \
    break;
  switch (pack)
    {
      ENG_PACK_EACH (CASE)
    case ENG_PACK_N:
      break;
    }
#undef CASE
}

/* --- back --- */

static uint16_t
get16 (const uint8_t *src, uint32_t row)
{
  uint16_t value;
  memcpy (&value, src + 2 * (size_t) row, 2);
  return value;
}

/* d and m of group of 16 @g of a super-block whose scales stand at @s. */
static void
group_scale (const EngPackInfo *info, uint32_t p, uint32_t row, const uint8_t *s, uint32_t g, float *d,
             float *m)
{
  *m = 0;
  switch ((EngPackScales) info->scales)
    {
    case ENG_PACK_SCALES_D:
      *d = eng_f16_to_f32 (get16 (s, row));
      break;
    case ENG_PACK_SCALES_DM:
      *d = eng_f16_to_f32 (get16 (s, row));
      *m = eng_f16_to_f32 (get16 (s + 2 * p, row));
      break;
    case ENG_PACK_SCALES_BF:
      *d = eng_bf16_to_f32 (get16 (s, row));
      break;
    case ENG_PACK_SCALES_SM32:
      *d = eng_f16_to_f32 (get16 (s + 16 * p, row)) * s[g / 2 * p + row];
      *m = -eng_f16_to_f32 (get16 (s + 18 * p, row)) * s[(8 + g / 2) * p + row];
      break;
    case ENG_PACK_SCALES_S16:
      *d = eng_f16_to_f32 (get16 (s + 16 * p, row)) * (int8_t) s[g * p + row];
      break;
    case ENG_PACK_SCALES_SM16:
      *d = eng_f16_to_f32 (get16 (s + 16 * p, row)) * (s[g * p + row] & 15);
      *m = -eng_f16_to_f32 (get16 (s + 18 * p, row)) * (s[g * p + row] >> 4);
      break;
    case ENG_PACK_SCALES_S32:
      *d = eng_f16_to_f32 (get16 (s + 8 * p, row)) * (int8_t) s[g / 2 * p + row];
      break;
    }
}

static int
get_value (const EngPackInfo *info, uint32_t p, uint32_t row, const uint8_t *planes, uint32_t c)
{
  uint32_t k = c % 4, v = c / 4, code = 0;
  if (info->has4)
    {
      uint8_t byte = planes[((v % 4) * p + row) * 4 + k];
      code = v < 4 ? byte & 15 : byte >> 4;
      planes += 16 * p;
    }
  if (info->has1)
    {
      code |= (uint32_t) (planes[row * 4 + k] >> v & 1) << info->shift1;
      planes += 4 * p;
    }
  if (info->has2)
    {
      code |= (uint32_t) (planes[((v / 4) * p + row) * 4 + k] >> (2 * (v % 4)) & 3) << info->shift2;
      planes += 8 * p;
    }
  if (info->has8)
    return (int8_t) planes[(v * p + row) * 4 + k];
  return info->table != NULL ? info->table[code] : (int) code + info->offset;
}

void
eng_pack_unpack_sub (EngPack pack, uint32_t p, const uint8_t *block, uint32_t i_row, uint32_t i_sub,
                     float dst[32])
{
  const EngPackInfo *info = &infos[pack];
  size_t sub = eng_pack_sub_bytes (info, p);
  float d[2], m[2];
  for (uint32_t h = 0; h < 2; h++)
    group_scale (info, p, i_row, block + info->n_sub * sub, i_sub * 2 + h, &d[h], &m[h]);
  for (uint32_t c = 0; c < 32; c++)
    dst[c] = d[c / 16] * (float) get_value (info, p, i_row, block + i_sub * sub, c) + m[c / 16];
}

void
eng_pack_unpack_row (EngPack pack, uint32_t p, const uint8_t *panel, uint32_t i_row, uint64_t n_cols,
                     float *dst)
{
  const EngPackInfo *info = &infos[pack];
  size_t block = eng_pack_block_bytes (info, p);
  for (uint64_t b = 0; b < n_cols / 32; b++)
    eng_pack_unpack_sub (pack, p, panel + b / info->n_sub * block, i_row,
                         (uint32_t) (b % info->n_sub), dst + 32 * b);
}
