/* SPDX-License-Identifier: Apache-2.0 */
/* Integer products of packed panels (eng-pack.h) for arm64. Included once by the file of each tier:
 *   base      widening multiplications: two products of |code| <= 128 and |x| <= 127 fit 16 bits, so
 *             they are summed in pairs before they are widened
 *   ENG_DOT   four products into 32 bits an instruction (FEAT_DotProd)
 *   ENG_MMLA  for two or more rows of activations, two rows of weights by two of activations over eight
 *             columns an instruction (FEAT_I8MM); one row alone takes the dot product
 * All multiply signed bytes, so codes of eight bits stay as they are; sums are exact integers. */

#include "eng-block.h"
#include "eng-format.h"
#include "eng-kernels.h"
#include "eng-simd-neon.h"
#include "eng-tiers.h"

/* The codes of a sub-block: [v][h] holds columns 4v … 4v + 3 of rows 4h … 4h + 3. */
typedef struct
{
  int8x16_t v[8][2];
} Codes;

INLINE int
has_table (EngPack pack)
{
  return pack == ENG_PACK_IQ4_NL || pack == ENG_PACK_IQ4_XS || pack == ENG_PACK_MXFP4;
}

/* Move a bit of @a from place @from to place @to of its byte; neighbours come along. */
INLINE uint8x16_t
shift_to (uint8x16_t a, int from, int to)
{
  return vshlq_u8 (a, vdupq_n_s8 ((int8_t) (to - from)));
}

INLINE void
load_codes (EngPack pack, const uint8_t *p, Codes *w)
{
  static const int8_t iq4[16] = ENG_IQ4_VALUES, mxfp4[16] = ENG_MXFP4_VALUES;
  const int8x16_t table = vld1q_s8 (pack == ENG_PACK_MXFP4 ? mxfp4 : iq4);
  const size_t plane = 4 * ENG_P;
  for (int h = 0; h < 2; h++, p += 16)
    for (int v = 0; v < 8; v++)
      {
        uint8x16_t c;
        if (pack == ENG_PACK_Q8_0)
          c = vld1q_u8 (p + (size_t) v * plane);
        else if (pack == ENG_PACK_Q2_K || pack == ENG_PACK_Q3_K)
          {
            const uint8_t *two = p + (pack == ENG_PACK_Q3_K ? plane : 0);
            c = vandq_u8 (shift_to (vld1q_u8 (two + (size_t) (v / 4) * plane), 2 * (v % 4), 0),
                          vdupq_n_u8 (3));
            if (pack == ENG_PACK_Q3_K)
              c = vorrq_u8 (c, vandq_u8 (shift_to (vld1q_u8 (p), v, 2), vdupq_n_u8 (4)));
          }
        else
          {
            c = vld1q_u8 (p + (size_t) (v % 4) * plane);
            c = v < 4 ? vandq_u8 (c, vdupq_n_u8 (15)) : vshrq_n_u8 (c, 4);
            if (pack == ENG_PACK_Q5_0 || pack == ENG_PACK_Q5_1 || pack == ENG_PACK_Q5_K)
              c = vorrq_u8 (c, vandq_u8 (shift_to (vld1q_u8 (p + 4 * plane), v, 4), vdupq_n_u8 (16)));
            if (pack == ENG_PACK_Q6_K)
              c = vorrq_u8 (c, vandq_u8 (shift_to (vld1q_u8 (p + (size_t) (4 + v / 4) * plane),
                                                   2 * (v % 4), 4),
                                         vdupq_n_u8 (48)));
          }
        w->v[v][h] = has_table (pack) ? vqtbl1q_s8 (table, c) : vreinterpretq_s8_u8 (c);
      }
}

/* w = d[g] * code + m[g], g = 0, 1 where groups have 16 columns. */
typedef struct
{
  PanelF d[2], m[2];
} Scales;

INLINE Scales
load_scales (EngPack pack, const uint8_t *s, int i, PanelF D, PanelF M)
{
  Scales out;
  out.d[0] = out.d[1] = out.m[0] = out.m[1] = panel_set (0);
  switch (scales_of (pack))
    {
    case ENG_PACK_SCALES_D:
      out.d[0] = panel_from_half (s);
      break;
    case ENG_PACK_SCALES_BF:
      out.d[0] = panel_from_bf (s);
      break;
    case ENG_PACK_SCALES_DM:
      out.d[0] = panel_from_half (s);
      out.m[0] = panel_from_half (s + 2 * ENG_P);
      return out;
    case ENG_PACK_SCALES_SM32:
      out.d[0] = panel_mul (D, panel_from_u8 (vld1_u8 (s + i * ENG_P)));
      out.m[0] = panel_mul (M, panel_from_u8 (vld1_u8 (s + (8 + i) * ENG_P)));
      return out;
    case ENG_PACK_SCALES_SM16:
      for (int g = 0; g < 2; g++)
        {
          uint8x8_t both = vld1_u8 (s + (2 * i + g) * ENG_P);
          out.d[g] = panel_mul (D, panel_from_u8 (vand_u8 (both, vdup_n_u8 (15))));
          out.m[g] = panel_mul (M, panel_from_u8 (vshr_n_u8 (both, 4)));
        }
      return out;
    case ENG_PACK_SCALES_S16:
      for (int g = 0; g < 2; g++)
        out.d[g] = panel_mul (D, panel_from_i8 (s + (2 * i + g) * ENG_P));
      break;
    case ENG_PACK_SCALES_S32:
      out.d[0] = panel_mul (D, panel_from_i8 (s + i * ENG_P));
      break;
    }
  for (int g = 0; g < 2; g++)
    out.m[g] = panel_mul (out.d[g], panel_set ((float) format_offset (pack)));
  return out;
}

/* Codes times one row of activations over columns [4 from, 4 to), rows 4h … 4h + 3. */
INLINE int32x4_t
dot_codes (const Codes *w, const int8_t *x, int from, int to, int h)
{
#ifdef ENG_DOT
  int32x4_t sum = vdupq_n_s32 (0);
  for (int v = from; v < to; v++)
    sum = vdotq_s32 (sum, w->v[v][h],
                     vreinterpretq_s8_s32 (vld1q_dup_s32 ((const int32_t *) (const void *) (x + 4 * v))));
  return sum;
#else
  int32x4_t low = vdupq_n_s32 (0), high = vdupq_n_s32 (0);
  for (int v = from; v < to; v += 2)
    {
      int8x8_t a = vreinterpret_s8_s32 (vld1_dup_s32 ((const int32_t *) (const void *) (x + 4 * v)));
      int8x8_t b = vreinterpret_s8_s32 (vld1_dup_s32 ((const int32_t *) (const void *) (x + 4 * v + 4)));
      int8x16_t c = w->v[v][h], d = w->v[v + 1][h];
      low = vpadalq_s16 (low, vmlal_s8 (vmull_s8 (vget_low_s8 (c), a), vget_low_s8 (d), b));
      high = vpadalq_s16 (high, vmlal_s8 (vmull_s8 (vget_high_s8 (c), a), vget_high_s8 (d), b));
    }
  return vpaddq_s32 (low, high);
#endif
}

/* Scale the integer sums of one row and add them. @meta: what EngQuantTile says, @t apart. */
INLINE PanelF
add_scaled (EngPack pack, const int32x4_t sums[2][2], const Scales *s, const float *meta, size_t t,
            PanelF acc)
{
  for (int g = 0; g < 1 + groups_of_16 (pack); g++)
    {
      PanelF sum = { { vcvtq_f32_s32 (sums[g][0]), vcvtq_f32_s32 (sums[g][1]) } };
      acc = panel_fma (acc, panel_mul (s->d[g], sum), meta[0]);
      if (groups_of_16 (pack))
        acc = panel_fma (acc, s->m[g], meta[0] * meta[(2 + (size_t) g) * t]);
      else if (has_minimum (pack) || format_offset (pack) != 0)
        acc = panel_fma (acc, s->m[g], meta[t]);
    }
  return acc;
}

INLINE PanelF
row_block (EngPack pack, const Codes *w, const Scales *s, const int8_t *x, const float *meta, size_t t,
           PanelF acc)
{
  int32x4_t sums[2][2];
  for (int h = 0; h < 2; h++)
    {
      sums[0][h] = dot_codes (w, x, 0, groups_of_16 (pack) ? 4 : 8, h);
      sums[1][h] = groups_of_16 (pack) ? dot_codes (w, x, 4, 8, h) : sums[0][h];
    }
  return add_scaled (pack, (const int32x4_t (*)[2]) sums, s, meta, t, acc);
}

#ifdef ENG_MMLA
/* The codes again, [i][h][k]: columns 8i … 8i + 7 of rows 4h + 2k and 4h + 2k + 1. */
typedef struct
{
  int8x16_t v[4][2][2];
} Pairs;

INLINE void
pair_codes (const Codes *w, Pairs *pairs)
{
  for (int i = 0; i < 4; i++)
    for (int h = 0; h < 2; h++)
      {
        int32x4_t a = vreinterpretq_s32_s8 (w->v[2 * i][h]);
        int32x4_t b = vreinterpretq_s32_s8 (w->v[2 * i + 1][h]);
        pairs->v[i][h][0] = vreinterpretq_s8_s32 (vzip1q_s32 (a, b));
        pairs->v[i][h][1] = vreinterpretq_s8_s32 (vzip2q_s32 (a, b));
      }
}

/* Rows r and r + 1 of the tile, whose bytes are 32 apart. */
INLINE void
two_rows (EngPack pack, const Pairs *pairs, const Scales *s, const int8_t *x, const float *meta,
          size_t t, float *y, size_t ys)
{
  const int n_groups = 1 + groups_of_16 (pack), n = 4 / n_groups;
  int32x4_t sums[2][2][2]; /* [row][group][h] */
  for (int g = 0; g < n_groups; g++)
    for (int h = 0; h < 2; h++)
      {
        int32x4_t c[2] = { vdupq_n_s32 (0), vdupq_n_s32 (0) };
        for (int i = g * n; i < (g + 1) * n; i++)
          {
            int8x16_t a = vcombine_s8 (vld1_s8 (x + 8 * i), vld1_s8 (x + 32 + 8 * i));
            c[0] = vmmlaq_s32 (c[0], pairs->v[i][h][0], a);
            c[1] = vmmlaq_s32 (c[1], pairs->v[i][h][1], a);
          }
        sums[0][g][h] = vuzp1q_s32 (c[0], c[1]);
        sums[1][g][h] = vuzp2q_s32 (c[0], c[1]);
      }
  for (int r = 0; r < 2; r++)
    panel_store (y + (size_t) r * ys,
                 add_scaled (pack, (const int32x4_t (*)[2]) sums[r], s, meta + r, t,
                             panel_load (y + (size_t) r * ys)));
}
#endif

INLINE void
tile_block (EngPack pack, const Codes *w, const Scales *s, const EngQuantTile *x, size_t b, float *y,
            size_t ys)
{
  size_t t = x->n_rows, r = 0;
  const int8_t *q = x->q + b * t * 32;
  const float *meta = x->meta + b * ENG_QUANT_META * t;
#ifdef ENG_MMLA
  Pairs pairs;
  pair_codes (w, &pairs);
  for (; r + 2 <= t; r += 2)
    two_rows (pack, &pairs, s, q + 32 * r, meta + r, t, y + r * ys, ys);
#endif
  for (; r < t; r++)
    panel_store (y + r * ys,
                 row_block (pack, w, s, q + 32 * r, meta + r, t, panel_load (y + r * ys)));
}

INLINE void
product (EngPack pack, const uint8_t *panel, size_t n_cols, const EngQuantTile *x, float *y, size_t ys)
{
  const EngPackInfo *info = eng_pack_get_info (pack);
  const int n_sub = info->n_sub;
  const size_t sub = eng_pack_sub_bytes (info, ENG_P), block = eng_pack_block_bytes (info, ENG_P);
  const size_t t = x->n_rows;
  PanelF single = panel_set (0), D = panel_set (0), M = panel_set (0);
  for (size_t r = 0; t > 1 && r < t; r++)
    panel_store (y + r * ys, panel_set (0));
  for (size_t b = 0; b < n_cols / 32; panel += block)
    {
      const uint8_t *scales = panel + (size_t) n_sub * sub;
      if (n_sub == 8)
        {
          const uint8_t *tail = panel + block - 2 * ENG_P;
          if (has_minimum (pack))
            {
              M = panel_mul (panel_from_half (tail), panel_set (-1.0f));
              tail -= 2 * ENG_P;
            }
          D = panel_from_half (tail);
        }
      for (int i = 0; i < n_sub; i++, b++)
        {
          Codes w;
          load_codes (pack, panel + (size_t) i * sub, &w);
          Scales s = load_scales (pack, scales, i, D, M);
          if (t > 1)
            tile_block (pack, &w, &s, x, b, y, ys);
          else
            single = row_block (pack, &w, &s, x->q + b * 32, x->meta + b * ENG_QUANT_META, 1, single);
        }
    }
  if (t == 1)
    panel_store (y, single);
}

#define ENG_PRODUCT(name)                                                                          \
  static void product_##name (const uint8_t *panels, size_t n_panels, size_t n_cols,               \
                              const EngQuantTile *x, float *y, size_t ys)                          \
  {                                                                                                \
    const EngPackInfo *info = eng_pack_get_info (ENG_PACK_##name);                                 \
    size_t bytes = eng_pack_panel_bytes (info, ENG_P, n_cols);                                     \
    for (size_t i = 0; i < n_panels; i++)                                                          \
      product (ENG_PACK_##name, panels + i * bytes, n_cols, x, y + i * ENG_P, ys);                 \
  }
ENG_PACK_EACH (ENG_PRODUCT)

static void
init_products (EngKernels *k)
{
  k->panel_rows = ENG_P;
  k->wants_q16 = false;
#define SET(name) k->product[ENG_PACK_##name] = product_##name;
  ENG_PACK_EACH (SET)
#undef SET
}
