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

/* --- from the file's blocks to codes and scales of one row --- */

typedef struct
{
  uint8_t codes[256];
  uint8_t groups[16]; /* scale bytes, in the order of the packed form, per 16 or per 32 */
  uint8_t minima[8];  /* SM32 only */
  uint16_t d, m;      /* bits of f16, or of bf16 */
} Decoded;

static void
nibbles (const uint8_t *qs, uint8_t *codes)
{
  for (int j = 0; j < 16; j++)
    {
      codes[j] = qs[j] & 15;
      codes[j + 16] = qs[j] >> 4;
    }
}

static void
fifth_bits (const uint8_t qh[4], uint8_t *codes)
{
  for (int j = 0; j < 32; j++)
    codes[j] |= (uint8_t) ((qh[j / 8] >> (j % 8) & 1) << 4);
}

static void
decode_q2k (const EngBlockQ2K *b, Decoded *out)
{
  out->d = b->d;
  out->m = b->dmin;
  memcpy (out->groups, b->scales, 16);
  for (int h = 0; h < 2; h++)
    for (int s = 0; s < 4; s++)
      for (int l = 0; l < 32; l++)
        out->codes[128 * h + 32 * s + l] = b->qs[32 * h + l] >> (2 * s) & 3;
}

static void
decode_q3k (const EngBlockQ3K *b, Decoded *out)
{
  out->d = b->d;
  for (int g = 0; g < 16; g++)
    {
      int low = g < 8 ? b->scales[g] & 15 : b->scales[g - 8] >> 4;
      int high = b->scales[8 + g % 4] >> (2 * (g / 4)) & 3;
      out->groups[g] = (uint8_t) ((low | high << 4) - 32);
    }
  for (int h = 0; h < 2; h++)
    for (int s = 0; s < 4; s++)
      for (int l = 0; l < 32; l++)
        out->codes[128 * h + 32 * s + l] = (uint8_t) ((b->qs[32 * h + l] >> (2 * s) & 3)
                                                      | (b->hmask[l] >> (4 * h + s) & 1) << 2);
}

static void
decode_q4k (const uint8_t *scales, const uint8_t *qs, Decoded *out)
{
  for (unsigned g = 0; g < 8; g++)
    eng_scale_min_get (scales, g, &out->groups[g], &out->minima[g]);
  for (int p = 0; p < 4; p++)
    for (int l = 0; l < 32; l++)
      {
        out->codes[64 * p + l] = qs[32 * p + l] & 15;
        out->codes[64 * p + 32 + l] = qs[32 * p + l] >> 4;
      }
}

static void
decode_q6k (const EngBlockQ6K *b, Decoded *out)
{
  out->d = b->d;
  memcpy (out->groups, b->scales, 16);
  for (int h = 0; h < 2; h++)
    for (int k = 0; k < 4; k++)
      for (int l = 0; l < 32; l++)
        {
          int low = b->ql[64 * h + 32 * (k % 2) + l] >> (k < 2 ? 0 : 4) & 15;
          int high = b->qh[32 * h + l] >> (2 * k) & 3;
          out->codes[128 * h + 32 * k + l] = (uint8_t) (low | high << 4);
        }
}

static void
decode_iq4xs (const EngBlockIq4Xs *b, Decoded *out)
{
  out->d = b->d;
  for (int g = 0; g < 8; g++)
    {
      int low = b->scales_l[g / 2] >> (4 * (g % 2)) & 15, high = b->scales_h >> (2 * g) & 3;
      out->groups[g] = (uint8_t) ((low | high << 4) - 32);
      nibbles (b->qs + 16 * g, out->codes + 32 * g);
    }
}

/* 2^(e - 128) as bf16: a normal number has exponent field e - 1, the two smallest are subnormal. */
static uint16_t
e8m0_to_bf16 (uint8_t e)
{
  return e >= 2 ? (uint16_t) ((e - 1u) << 7) : (uint16_t) (0x20u << e);
}

static void
decode (EngPack pack, const uint8_t *src, Decoded *out)
{
  const void *b = src;
  switch (pack)
    {
    case ENG_PACK_Q4_0:
    case ENG_PACK_IQ4_NL:
      out->d = ((const EngBlockQ4_0 *) b)->d;
      nibbles (((const EngBlockQ4_0 *) b)->qs, out->codes);
      break;
    case ENG_PACK_Q4_1:
      out->d = ((const EngBlockQ4_1 *) b)->d;
      out->m = ((const EngBlockQ4_1 *) b)->m;
      nibbles (((const EngBlockQ4_1 *) b)->qs, out->codes);
      break;
    case ENG_PACK_Q5_0:
      out->d = ((const EngBlockQ5_0 *) b)->d;
      nibbles (((const EngBlockQ5_0 *) b)->qs, out->codes);
      fifth_bits (((const EngBlockQ5_0 *) b)->qh, out->codes);
      break;
    case ENG_PACK_Q5_1:
      out->d = ((const EngBlockQ5_1 *) b)->d;
      out->m = ((const EngBlockQ5_1 *) b)->m;
      nibbles (((const EngBlockQ5_1 *) b)->qs, out->codes);
      fifth_bits (((const EngBlockQ5_1 *) b)->qh, out->codes);
      break;
    case ENG_PACK_Q8_0:
      out->d = ((const EngBlockQ8_0 *) b)->d;
      memcpy (out->codes, ((const EngBlockQ8_0 *) b)->qs, 32);
      break;
    case ENG_PACK_MXFP4:
      out->d = e8m0_to_bf16 (((const EngBlockMxfp4 *) b)->e);
      nibbles (((const EngBlockMxfp4 *) b)->qs, out->codes);
      break;
    case ENG_PACK_Q2_K:
      decode_q2k (b, out);
      break;
    case ENG_PACK_Q3_K:
      decode_q3k (b, out);
      break;
    case ENG_PACK_Q4_K:
      out->d = ((const EngBlockQ4K *) b)->d;
      out->m = ((const EngBlockQ4K *) b)->dmin;
      decode_q4k (((const EngBlockQ4K *) b)->scales, ((const EngBlockQ4K *) b)->qs, out);
      break;
    case ENG_PACK_Q5_K:
      out->d = ((const EngBlockQ5K *) b)->d;
      out->m = ((const EngBlockQ5K *) b)->dmin;
      decode_q4k (((const EngBlockQ5K *) b)->scales, ((const EngBlockQ5K *) b)->qs, out);
      for (int g = 0; g < 8; g++)
        for (int l = 0; l < 32; l++)
          out->codes[32 * g + l]
              |= (uint8_t) ((((const EngBlockQ5K *) b)->qh[l] >> g & 1) << 4);
      break;
    case ENG_PACK_Q6_K:
      decode_q6k (b, out);
      break;
    case ENG_PACK_IQ4_XS:
      decode_iq4xs (b, out);
      break;
    case ENG_PACK_N:
      break;
    }
}

/* --- from codes to planes --- */

static inline uint32_t
load32 (const uint8_t *p)
{
  uint32_t v;
  memcpy (&v, p, 4);
  return v;
}

static inline void
store32 (uint8_t *p, uint32_t v)
{
  memcpy (p, &v, 4);
}

/* Row @row of the planes at @dst; four codes at a time, each in its own byte of a word. */
static void
pack_planes (const EngPackInfo *info, uint32_t p, uint32_t row, const uint8_t *codes, uint8_t *dst)
{
  uint32_t w[8];
  for (int v = 0; v < 8; v++)
    w[v] = load32 (codes + 4 * v);
  if (info->has4)
    {
      for (uint32_t u = 0; u < 4; u++)
        store32 (dst + (u * p + row) * 4,
                 (w[u] & 0x0f0f0f0fu) | (w[u + 4] & 0x0f0f0f0fu) << 4);
      dst += 16 * p;
    }
  if (info->has1)
    {
      uint32_t bits = 0;
      for (int v = 0; v < 8; v++)
        bits |= (w[v] >> info->shift1 & 0x01010101u) << v;
      store32 (dst + row * 4, bits);
      dst += 4 * p;
    }
  if (info->has2)
    {
      for (uint32_t u = 0; u < 2; u++)
        {
          uint32_t bits = 0;
          for (int v = 0; v < 4; v++)
            bits |= (w[4 * u + v] >> info->shift2 & 0x03030303u) << (2 * v);
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

static void
pack_scales (const EngPackInfo *info, uint32_t p, uint32_t row, const Decoded *in, uint8_t *dst)
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

void
eng_pack_panel (EngPack pack, uint32_t p, const uint8_t *src, uint64_t row_bytes, uint32_t n_rows,
                uint64_t n_cols, uint8_t *dst)
{
  const EngPackInfo *info = &infos[pack];
  size_t sub = eng_pack_sub_bytes (info, p), block = eng_pack_block_bytes (info, p);
  uint64_t n_blocks = n_cols / (32u * info->n_sub), source_bytes = n_blocks ? row_bytes / n_blocks : 0;
  Decoded decoded = { 0 };
  if (n_rows < p)
    memset (dst, 0, n_blocks * block);
  for (uint64_t b = 0; b < n_blocks; b++, dst += block)
    for (uint32_t row = 0; row < n_rows; row++)
      {
        decode (pack, src + row * row_bytes + b * source_bytes, &decoded);
        for (uint32_t i = 0; i < info->n_sub; i++)
          pack_planes (info, p, row, decoded.codes + 32 * i, dst + i * sub);
        pack_scales (info, p, row, &decoded, dst + info->n_sub * sub);
      }
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
