/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-pack.h"

#include <stddef.h>
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

/* --- from the file's blocks to codes, four in a word, each in its own byte; words of four rows side by side --- */

#define INLINE static inline __attribute__ ((always_inline))
#define N_TOGETHER 4

typedef uint32_t Words __attribute__ ((vector_size (4 * N_TOGETHER)));
typedef uint8_t Bytes __attribute__ ((vector_size (4 * N_TOGETHER)));

INLINE uint32_t
load32 (const uint8_t *p)
{
  uint32_t v;
  memcpy (&v, p, 4);
  return v;
}

/* Words at .. at + 3 of four rows, each word's four rows in one of @w. */
INLINE void
load_words (const uint8_t *const rows[N_TOGETHER], size_t at, Words w[4])
{
  Words r[N_TOGETHER];
  for (int i = 0; i < N_TOGETHER; i++)
    memcpy (&r[i], rows[i] + at, sizeof *r);
  Words a = __builtin_shufflevector (r[0], r[1], 0, 4, 1, 5), b = __builtin_shufflevector (r[2], r[3], 0, 4, 1, 5),
        c = __builtin_shufflevector (r[0], r[1], 2, 6, 3, 7), d = __builtin_shufflevector (r[2], r[3], 2, 6, 3, 7);
  w[0] = __builtin_shufflevector (a, b, 0, 1, 4, 5);
  w[1] = __builtin_shufflevector (a, b, 2, 3, 6, 7);
  w[2] = __builtin_shufflevector (c, d, 0, 1, 4, 5);
  w[3] = __builtin_shufflevector (c, d, 2, 3, 6, 7);
}

INLINE Words
load_word (const uint8_t *const rows[N_TOGETHER], size_t at)
{
  return (Words) { load32 (rows[0] + at), load32 (rows[1] + at), load32 (rows[2] + at), load32 (rows[3] + at) };
}

#define EACH_BYTE(x) ((x) * 0x01010101u)

/* Bits 0 … 3 of each word to the lowest bits of its four bytes. */
INLINE Words
spread_bits (Words bits)
{
  return (bits | bits << 7 | bits << 14 | bits << 21) & EACH_BYTE (1u);
}

/* Byte j of 16: code j | code 16 + j << 4. */
INLINE void
nibbles (const uint8_t *const rows[N_TOGETHER], size_t at, Words w[8])
{
  load_words (rows, at, w);
  for (int u = 0; u < 4; u++)
    {
      w[u + 4] = w[u] >> 4 & EACH_BYTE (15u);
      w[u] &= EACH_BYTE (15u);
    }
}

/* Bit j of the word at @at: the fifth bit of code j. */
INLINE void
fifth_bits (const uint8_t *const rows[N_TOGETHER], size_t at, Words w[8])
{
  Words bits = load_word (rows, at);
  for (int v = 0; v < 8; v++)
    w[v] |= spread_bits (bits >> (4 * v) & 15) << 4;
}

/* Code l: the bits of @mask, @shift up in byte l of 32. */
INLINE void
bytes_of (const uint8_t *const rows[N_TOGETHER], size_t at, unsigned shift, uint32_t mask, Words w[8])
{
  load_words (rows, at, w);
  load_words (rows, at + 16, w + 4);
  for (int v = 0; v < 8; v++)
    w[v] = w[v] >> shift & EACH_BYTE (mask);
}

INLINE void
or_bytes_of (const uint8_t *const rows[N_TOGETHER], size_t at, unsigned shift, uint32_t mask, unsigned place, Words w[8])
{
  Words more[8];
  bytes_of (rows, at, shift, mask, more);
  for (int v = 0; v < 8; v++)
    w[v] |= more[v] << place;
}

/* The 32 codes of sub-block @i of the blocks @b. Inlined with @pack a constant. */
INLINE void
sub_codes (EngPack pack, const uint8_t *const b[N_TOGETHER], unsigned i, Words w[8])
{
  unsigned half = i / 4, quarter = i % 4;
  switch (pack)
    {
    case ENG_PACK_Q4_0:
    case ENG_PACK_IQ4_NL:
      nibbles (b, offsetof (EngBlockQ4_0, qs), w);
      break;
    case ENG_PACK_Q4_1:
      nibbles (b, offsetof (EngBlockQ4_1, qs), w);
      break;
    case ENG_PACK_MXFP4:
      nibbles (b, offsetof (EngBlockMxfp4, qs), w);
      break;
    case ENG_PACK_IQ4_XS:
      nibbles (b, offsetof (EngBlockIq4Xs, qs) + 16 * i, w);
      break;
    case ENG_PACK_Q5_0:
      nibbles (b, offsetof (EngBlockQ5_0, qs), w);
      fifth_bits (b, offsetof (EngBlockQ5_0, qh), w);
      break;
    case ENG_PACK_Q5_1:
      nibbles (b, offsetof (EngBlockQ5_1, qs), w);
      fifth_bits (b, offsetof (EngBlockQ5_1, qh), w);
      break;
    case ENG_PACK_Q8_0:
      load_words (b, offsetof (EngBlockQ8_0, qs), w);
      load_words (b, offsetof (EngBlockQ8_0, qs) + 16, w + 4);
      break;
    case ENG_PACK_Q2_K:
      bytes_of (b, offsetof (EngBlockQ2K, qs) + 32 * half, 2 * quarter, 3, w);
      break;
    case ENG_PACK_Q3_K:
      bytes_of (b, offsetof (EngBlockQ3K, qs) + 32 * half, 2 * quarter, 3, w);
      or_bytes_of (b, offsetof (EngBlockQ3K, hmask), i, 1, 2, w);
      break;
    case ENG_PACK_Q4_K:
      bytes_of (b, offsetof (EngBlockQ4K, qs) + 32 * (i / 2), 4 * (i % 2), 15, w);
      break;
    case ENG_PACK_Q5_K:
      bytes_of (b, offsetof (EngBlockQ5K, qs) + 32 * (i / 2), 4 * (i % 2), 15, w);
      or_bytes_of (b, offsetof (EngBlockQ5K, qh), i, 1, 4, w);
      break;
    case ENG_PACK_Q6_K:
      bytes_of (b, offsetof (EngBlockQ6K, ql) + 64 * half + 32 * (quarter % 2), quarter < 2 ? 0 : 4, 15, w);
      or_bytes_of (b, offsetof (EngBlockQ6K, qh) + 32 * half, 2 * quarter, 3, 4, w);
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
  uint32_t a = load32 (scales), b = load32 (scales + 4), c = load32 (scales + 8);
  const uint32_t words[4] = { a & EACH_BYTE (63u), (c & EACH_BYTE (15u)) | (a >> 2 & EACH_BYTE (48u)),
                              b & EACH_BYTE (63u), (c >> 4 & EACH_BYTE (15u)) | (b >> 2 & EACH_BYTE (48u)) };
  memcpy (out->groups, words, 8);
  memcpy (out->minima, words + 2, 8);
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

INLINE void
store_words (uint8_t *dst, Words w)
{
  memcpy (dst, &w, sizeof w);
}

/* Rows @row .. @row + 3 of the planes at @dst. */
INLINE void
pack_planes (const EngPackInfo *info, uint32_t p, uint32_t row, const Words w[8], uint8_t *dst)
{
  dst += 4 * row;
  if (info->has4)
    {
      for (uint32_t u = 0; u < 4; u++)
        store_words (dst + u * p * 4, (w[u] & EACH_BYTE (15u)) | (w[u + 4] & EACH_BYTE (15u)) << 4);
      dst += 16 * p;
    }
  if (info->has1)
    {
      Words bits = { 0 };
      for (int v = 0; v < 8; v++)
        bits |= (w[v] >> info->shift1 & EACH_BYTE (1u)) << v;
      store_words (dst, bits);
      dst += 4 * p;
    }
  if (info->has2)
    {
      for (uint32_t u = 0; u < 2; u++)
        {
          Words bits = { 0 };
          for (int v = 0; v < 4; v++)
            bits |= (w[4 * u + v] >> info->shift2 & EACH_BYTE (3u)) << (2 * v);
          store_words (dst + u * p * 4, bits);
        }
      dst += 8 * p;
    }
  if (info->has8)
    for (uint32_t v = 0; v < 8; v++)
      store_words (dst + v * p * 4, w[v]);
}

/* @n bytes of each of four rows: byte g of all four behind one another at @dst + g p. */
INLINE void
pack_bytes (const uint8_t *const rows[N_TOGETHER], uint32_t n, uint32_t p, uint8_t *dst)
{
  for (uint32_t g = 0; g < n; g += 4)
    {
      Bytes b = (Bytes) load_word (rows, g);
      for (int step = 0; step < 2; step++)
        b = __builtin_shufflevector (b, b, 0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15);
      for (uint32_t i = 0; i < 4; i++)
        memcpy (dst + (g + i) * p, (const uint8_t *) &b + 4 * i, 4);
    }
}

INLINE void
pack_scales (const EngPackInfo *info, uint32_t p, uint32_t row, const Scales in[N_TOGETHER], uint8_t *dst)
{
  bool by16 = info->scales == ENG_PACK_SCALES_S16 || info->scales == ENG_PACK_SCALES_SM16;
  if (info->n_sub == 8)
    {
      uint32_t n = by16 ? 16 : 8;
      pack_bytes ((const uint8_t *[]) { in[0].groups, in[1].groups, in[2].groups, in[3].groups }, n, p, dst + row);
      dst += n * p;
    }
  if (info->scales == ENG_PACK_SCALES_SM32)
    {
      pack_bytes ((const uint8_t *[]) { in[0].minima, in[1].minima, in[2].minima, in[3].minima }, 8, p, dst + row);
      dst += 8 * p;
    }
  memcpy (dst + 2 * row, (uint16_t[]) { in[0].d, in[1].d, in[2].d, in[3].d }, 8);
  if (info->scales == ENG_PACK_SCALES_DM || info->scales == ENG_PACK_SCALES_SM32
      || info->scales == ENG_PACK_SCALES_SM16)
    memcpy (dst + 2 * p + 2 * row, (uint16_t[]) { in[0].m, in[1].m, in[2].m, in[3].m }, 8);
}

/* What a row that a matrix does not have is packed from. A block of zero bytes stands for zeros in every format: its scale is zero, or, in
 * MXFP4, its codes are. */
static const uint8_t no_row[sizeof (EngBlockQ6K)]; /* the largest */

/* A model's load waits for this, so each format has a copy of its own in which nothing of it is decided at run time. What sub-blocks
 * share is read and turned once: nothing of @src is written (restrict). */
INLINE void
pack_panel (EngPack pack, uint32_t p, const uint8_t *src, uint64_t row_bytes, uint32_t n_rows, uint64_t n_cols,
            uint8_t *restrict dst)
{
  const EngPackInfo *info = &infos[pack];
  size_t sub = eng_pack_sub_bytes (info, p), block = eng_pack_block_bytes (info, p);
  uint64_t n_blocks = n_cols / (32u * info->n_sub), source_bytes = n_blocks ? row_bytes / n_blocks : 0;
  for (uint64_t b = 0; b < n_blocks; b++, dst += block)
    for (uint32_t row = 0; row < p; row += N_TOGETHER)
      {
        const uint8_t *from[N_TOGETHER];
        Scales scales[N_TOGETHER];
        for (uint32_t i = 0; i < N_TOGETHER; i++)
          {
            from[i] = row + i < n_rows ? src + (row + i) * row_bytes + b * source_bytes : no_row;
            read_scales (pack, from[i], &scales[i]);
          }
#pragma GCC unroll 8
        for (uint32_t i = 0; i < info->n_sub; i++)
          {
            Words w[8];
            sub_codes (pack, from, i, w);
            pack_planes (info, p, row, w, dst + i * sub);
          }
        pack_scales (info, p, row, scales, dst + info->n_sub * sub);
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
