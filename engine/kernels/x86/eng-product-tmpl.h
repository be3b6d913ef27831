/* SPDX-License-Identifier: Apache-2.0 */
/* Integer products of packed panels (eng-pack.h), for any register width. Included once by the file of
 * each tier, after a header of vector operations. ENG_VNNI: byte dot products that do not saturate.
 *
 * One block of 32 columns of a panel becomes eight registers of codes; each row of activations then
 * costs eight multiplications by four of its values repeated over the register, whose sums stay in the
 * lane of their weight row. Without ENG_VNNI the 16-bit sums of vpmaddubsw are kept as long as they
 * cannot overflow: |x| <= 127, so a pair of products is at most 254 c, and 8 sums of codes up to 15,
 * 4 up to 31, 2 up to 63 stay below 2^15. Signed 8-bit values would saturate in one: they are widened
 * and multiplied as 16 bits, four rows of activations at a time to share the loads. */

#include <stddef.h>

#include "eng-kernels.h"
#include "eng-tiers.h"

#include "eng-format-tmpl.h"

/* Keep the compiler from starting later multiplications before @a is known: it would run out of
 * registers and reload the codes for every row, and loads are what limits the loop (Zen 3, Q4_1, 64
 * rows: 16 loads a row and block instead of 11, 27 instead of 42 products a cycle). */
#define ENG_IN_ORDER(a) __asm__ ("" : "+x"(a))
#ifdef __AVX512F__
#undef ENG_IN_ORDER
#define ENG_IN_ORDER(a) ((void) 0) /* 32 registers */
#endif

#ifndef ENG_VNNI
/* Registers of a sub-block, or of a group of 16, whose 16-bit sums are exact. */
INLINE int
exact_steps (EngPack pack)
{
  if (code_bits (pack) == 6)
    return 2;
  return code_bits (pack) == 5 || groups_of_16 (pack) ? 4 : 8;
}
#endif

/* Rows of activations that are multiplied side by side. */
#define ROWS 4

/* Sums of codes times activations of @n rows over registers [from, to), a step of each row in turn:
 * a sum is several cycles away from its next step, and the processor's window is too small to find
 * as much to do in the rows that follow. */
INLINE void
dot_rows (EngPack pack, const VI w[8], const int8_t *x, int n, int from, int to, VI *sum)
{
#ifdef ENG_VNNI
  (void) pack;
  for (int r = 0; r < n; r++)
    sum[r] = vi_zero ();
  for (int v = from; v < to; v++)
    for (int r = 0; r < n; r++)
      sum[r] = vi_dpbusd (sum[r], w[v], vi_repeat4 (x + 32 * r + 4 * v));
#else
  VI s16[ROWS];
  const int step = exact_steps (pack);
  for (int v0 = from; v0 < to; v0 += step)
    {
      for (int v = v0; v < v0 + step; v++)
        for (int r = 0; r < n; r++)
          {
            VI pairs = vi_maddubs (w[v], vi_repeat4 (x + 32 * r + 4 * v));
            s16[r] = v == v0 ? pairs : vi_add16 (s16[r], pairs);
            ENG_IN_ORDER (s16[r]);
          }
      for (int r = 0; r < n; r++)
        {
          VI s32 = vi_madd (s16[r], vi_set16 (1));
          sum[r] = v0 == from ? s32 : vi_add32 (sum[r], s32);
        }
    }
#endif
}

/* Scale the integer sums of one row and add them. @meta: what EngQuantTile says. */
INLINE VF
add_scaled (EngPack pack, VI sum0, VI sum1, const Scales *s, const float *meta, size_t t, VF acc)
{
  VF dx = vf_repeat (meta);
  if (groups_of_16 (pack))
    {
      /* What does not wait for the integer sums comes first (Zen 3, 64 rows: Q6_K 12.8 to 12.0
       * cycles, Q3_K 10.9 to 9.8). */
      VF sum
          = vf_fma (s->m[1], vf_repeat (meta + 3 * t), vf_mul (s->m[0], vf_repeat (meta + 2 * t)));
      sum = vf_fma (s->d[0], vf_from_i32 (sum0), sum);
      sum = vf_fma (s->d[1], vf_from_i32 (sum1), sum);
      return vf_fma (sum, dx, acc);
    }
  acc = vf_fma (vf_mul (s->d[0], dx), vf_from_i32 (sum0), acc);
  if (has_minimum (pack) || code_offset (pack) != 0)
    acc = vf_fma (s->m[0], vf_repeat (meta + t), acc);
  return acc;
}

/* Rows of activations whose sums are kept together, ENG_P each: the rows of y may lie a multiple of
 * a cache's way apart. */
#define TILE_ROWS 64

/* @n rows of a tile of @t times a sub-block, added to @y. */
INLINE void
block_rows (EngPack pack, const VI w[8], const Scales *s, const int8_t *x, const float *meta,
            size_t t, int n, float *y)
{
  VI sum0[ROWS], sum1[ROWS];
  dot_rows (pack, w, x, n, 0, groups_of_16 (pack) ? 4 : 8, sum0);
  if (groups_of_16 (pack))
    dot_rows (pack, w, x, n, 4, 8, sum1);
  for (int r = 0; r < n; r++, y += ENG_P)
    vf_store (y, add_scaled (pack, sum0[r], sum1[r], s, meta + r, t, vf_load (y)));
}

#ifndef ENG_VNNI
/* Signed 8-bit weights of a sub-block as 16 bits, 256 times as large: those of even place in their
 * lane, shifted up, at 2v, those of odd place, with the others cleared, at 2v + 1. Every lane of 32
 * bits is still one row. */
typedef struct
{
  VI w[16];
} Wide;

INLINE VI
even_bytes (VI a)
{
  return vi_shl (a, 8);
}

INLINE VI
odd_bytes (VI a)
{
  return vi_and (a, vi_set16 ((int16_t) 0xff00));
}

INLINE void
widen (const VI w[8], Wide *wide)
{
  for (int v = 0; v < 8; v++)
    {
      vi_store (&wide->w[2 * v], even_bytes (w[v]));
      vi_store (&wide->w[2 * v + 1], odd_bytes (w[v]));
    }
}

/* @n rows of fine activations times them: |sum| <= 32 * 256 * 128 * 2032 < 2^31, and a multiple of
 * 256 below 256 * 2^23: a float holds it. */
INLINE void
wide_rows (EngPack pack, const Wide *wide, const Scales *s, const int16_t *x, const float *meta,
           size_t t, int n, float *y)
{
  VI sum[ROWS];
#pragma GCC unroll 16
  for (int v = 0; v < 16; v++)
    {
      VI weights = vi_load (&wide->w[v]);
      ENG_IN_ORDER (weights);
      for (int r = 0; r < n; r++)
        {
          VI pairs = vi_madd (weights, vi_repeat4 (x + 32 * r + 2 * v));
          sum[r] = v == 0 ? pairs : vi_add32 (sum[r], pairs);
          ENG_IN_ORDER (sum[r]);
        }
    }
  for (int r = 0; r < n; r++, y += ENG_P)
    vf_store (y, add_scaled (pack, sum[r], vi_zero (), s, meta + r, t, vf_load (y)));
}

INLINE void
wide_block (EngPack pack, const VI w[8], const Scales *s, const int16_t *x, const float *meta,
            size_t t, uint32_t n, float *y)
{
  Wide wide;
  uint32_t r = 0;
  widen (w, &wide);
  for (; r + ROWS <= n; r += ROWS, x += 32 * ROWS, y += ROWS * ENG_P)
    wide_rows (pack, &wide, s, x, meta + r, t, ROWS, y);
  for (; r < n; r++, x += 32, y += ENG_P)
    wide_rows (pack, &wide, s, x, meta + r, t, 1, y);
}

/* One row of fine activations, straight from the codes. */
INLINE VI
wide_single (const VI w[8], const int16_t *x)
{
  VI even = vi_zero (), odd = vi_zero ();
  for (int v = 0; v < 8; v++)
    {
      even = vi_add32 (even, vi_madd (even_bytes (w[v]), vi_repeat4 (x + 4 * v)));
      odd = vi_add32 (odd, vi_madd (odd_bytes (w[v]), vi_repeat4 (x + 4 * v + 2)));
      ENG_IN_ORDER (odd);
    }
  return vi_add32 (even, odd);
}
#endif

#ifdef ENG_VNNI
/* Sums of two groups of 16, with their offsets. */
INLINE VF
add_groups (VF first, VF last, const Scales *s, VF dx, VF acc)
{
  return vf_fma (vf_fma (last, s->d[1], vf_mul (first, s->d[0])), dx, acc);
}

/* The codes of one row's product: where they are plain nibbles the upper ones stay where they are, 16 times as
 * large, and their sum is shifted instead. */
INLINE int
keeps_upper (EngPack pack)
{
  return code_bits (pack) == 4 && planes_bytes (pack) == 16 * ENG_P;
}

INLINE void
load_codes_of_single (EngPack pack, const uint8_t *planes, VI w[8])
{
  if (!keeps_upper (pack))
    {
      load_codes (pack, planes, w);
      return;
    }
  for (int u = 0; u < 4; u++)
    {
      VI a = vi_load (planes + (size_t) u * 4 * ENG_P);
      w[u] = vi_and (a, vi_set8 (15));
      w[u + 4] = vi_and (a, vi_set8 ((int8_t) 0xf0));
    }
}

/* One row alone times sub-block @b. An offset is added to the integer sums, as in block_with_offsets. */
INLINE VF
single_block (EngPack pack, const uint8_t *planes, const Scales *s, const EngQuantTile *tile, size_t b, VF acc)
{
  const float *meta = tile->meta + b * ENG_QUANT_META;
  const int8_t *x = tile->q + b * 32;
  const VF dx = vf_repeat (meta), offset = vf_set ((float) code_offset (pack));
  VI w[8], sum[2] = { vi_zero (), vi_zero () };
  load_codes_of_single (pack, planes, w);
  for (int v = 0; v < 4; v++)
    for (int half = 0; half < 2; half++) /* two sums: each waits for its last step */
      {
        sum[half] = vi_dpbusd (sum[half], w[v + 4 * half], vi_repeat4 (x + 4 * v + 16 * half));
        ENG_IN_ORDER (sum[half]);
      }
  if (keeps_upper (pack))
    sum[1] = vi_shr32 (sum[1], 4);
  if (groups_of_16 (pack) && code_offset (pack) != 0)
    {
      VF first = vf_add (vf_from_i32 (sum[0]), vf_mul (vf_repeat (meta + 2), offset));
      VF last = vf_add (vf_from_i32 (sum[1]), vf_mul (vf_repeat (meta + 3), offset));
      return add_groups (first, last, s, dx, acc);
    }
  if (groups_of_16 (pack))
    return add_scaled (pack, sum[0], sum[1], s, meta, 1, acc);
  sum[0] = vi_add32 (sum[0], sum[1]);
  if (code_offset (pack) != 0)
    return vf_fma (s->d[0], vf_fma (vf_from_i32 (sum[0]), dx, vf_mul (vf_repeat (meta + 1), offset)), acc);
  return add_scaled (pack, sum[0], sum[1], s, meta, 1, acc);
}
#else
/* One row alone times sub-block @b. */
INLINE VF
single_block (EngPack pack, const uint8_t *planes, const Scales *s, const EngQuantTile *tile, size_t b, VF acc)
{
  const float *meta = tile->meta + b * ENG_QUANT_META;
  const int8_t *x = tile->q + b * 32;
  VI w[8], sum[2] = { vi_zero (), vi_zero () };
  load_codes (pack, planes, w);
  if (code_bits (pack) == 8)
    return add_scaled (pack, wide_single (w, tile->q16 + b * 32), vi_zero (), s, meta, 1, acc);
  const int step = exact_steps (pack);
  for (int v0 = 0; v0 < 8; v0 += step)
    {
      int group = groups_of_16 (pack) ? v0 / 4 : 0;
      VI s16 = vi_maddubs (w[v0], vi_repeat4 (x + 4 * v0));
      for (int v = v0 + 1; v < v0 + step; v++)
        {
          s16 = vi_add16 (s16, vi_maddubs (w[v], vi_repeat4 (x + 4 * v)));
          ENG_IN_ORDER (s16);
        }
      sum[group] = vi_add32 (sum[group], vi_madd (s16, vi_set16 (1)));
    }
  return add_scaled (pack, sum[0], sum[1], s, meta, 1, acc);
}
#endif

#ifdef ENG_VNNI
/* Codes with an offset and many rows. Eight byte products a row leave the multipliers as the limit (Zen 4:
 * one 512-bit product a cycle, and every float multiplication takes its place), additions go elsewhere: so
 * the offset is added to the integer sum, offset * sum of x, rather than multiplied by the scale. */
INLINE void
fill_offsets (EngPack pack, const float *meta, size_t t, uint32_t n, float offsets[2][TILE_ROWS])
{
  const float offset = (float) code_offset (pack);
  const float *first = meta + 2 * t, *last = meta + 3 * t;
  uint32_t r = 0;
  for (; r + ENG_P <= n; r += ENG_P)
    {
      VF a = vf_load (first + r), b = vf_load (last + r);
      if (!groups_of_16 (pack))
        a = vf_add (a, b);
      vf_store (offsets[0] + r, vf_mul (a, vf_set (offset)));
      vf_store (offsets[1] + r, vf_mul (b, vf_set (offset)));
    }
  for (; r < n; r++)
    {
      offsets[0][r] = offset * (groups_of_16 (pack) ? first[r] : first[r] + last[r]);
      offsets[1][r] = offset * last[r];
    }
}

INLINE void
rows_with_offsets (EngPack pack, const VI w[8], const Scales *s, const int8_t *x, const float *meta,
                   int n, const float *offset0, const float *offset1, float *y)
{
  VI sum0[ROWS], sum1[ROWS];
  dot_rows (pack, w, x, n, 0, groups_of_16 (pack) ? 4 : 8, sum0);
  if (groups_of_16 (pack))
    dot_rows (pack, w, x, n, 4, 8, sum1);
  for (int r = 0; r < n; r++, y += ENG_P)
    {
      VF sum = vf_add (vf_from_i32 (sum0[r]), vf_repeat (offset0 + r)), acc = vf_load (y);
      if (groups_of_16 (pack))
        acc = add_groups (sum, vf_add (vf_from_i32 (sum1[r]), vf_repeat (offset1 + r)), s, vf_repeat (meta + r), acc);
      else
        acc = vf_fma (vf_mul (sum, vf_repeat (meta + r)), s->d[0], acc);
      vf_store (y, acc);
    }
}

INLINE void
block_with_offsets (EngPack pack, const VI w[8], const Scales *s, const int8_t *x,
                    const float *meta, size_t t, uint32_t n, float *y)
{
  float offsets[2][TILE_ROWS];
  uint32_t r = 0;
  fill_offsets (pack, meta, t, n, offsets);
  for (; r + ROWS <= n; r += ROWS, x += 32 * ROWS, y += ROWS * ENG_P)
    rows_with_offsets (pack, w, s, x, meta + r, ROWS, &offsets[0][r], &offsets[1][r], y);
  for (; r < n; r++, x += 32, y += ENG_P)
    rows_with_offsets (pack, w, s, x, meta + r, 1, &offsets[0][r], &offsets[1][r], y);
}
#endif

/* Rows [r0, r0 + n) of the tile, at most TILE_ROWS, times sub-block @b, added to @y [n][ENG_P]. */
INLINE void
tile_block (EngPack pack, const VI w[8], const Scales *s, const EngQuantTile *tile, size_t b,
            uint32_t r0, uint32_t n, float *y)
{
  const size_t t = tile->n_rows;
  const int8_t *x = tile->q + (b * t + r0) * 32;
  const float *meta = tile->meta + b * ENG_QUANT_META * t + r0;
  uint32_t r = 0;
#ifndef ENG_VNNI
  if (code_bits (pack) == 8)
    {
      wide_block (pack, w, s, tile->q16 + (b * t + r0) * 32, meta, t, n, y);
      return;
    }
#else
  if (code_offset (pack) != 0 && n >= 2 * ROWS)
    {
      block_with_offsets (pack, w, s, x, meta, t, n, y);
      return;
    }
#endif
  for (; r + ROWS <= n; r += ROWS, x += 32 * ROWS, y += ROWS * ENG_P)
    block_rows (pack, w, s, x, meta + r, t, ROWS, y);
  for (; r < n; r++, x += 32, y += ENG_P)
    block_rows (pack, w, s, x, meta + r, t, 1, y);
}

/* The scales of a super-block are read before its planes but stand behind them: the processor's own
 * prefetching loses its way at each. Asked for this far ahead, by all panels together, into the second-level
 * cache (Zen 4, two threads, of what a plain read brings: Q6_K 57 % and 90 %, Q4_K 85 and 90, Q5_K 82 and 90,
 * IQ4_XS 80 and 94; into the first-level cache, or a sub-block at a time, it costs more than it
 * brings: Q4_K 52 to 67 %). Formats without super-blocks gain as much (Zen 3: Q8_0 88 and 101 %,
 * Q4_1 85 and 102, Q5_0 78 and 104; 2 to 12 KB ahead are the same). */
#define PLANES_AHEAD 6144

/* One row of activations times @n panels side by side, at most SIDE. */
INLINE void
single_row (EngPack pack, const uint8_t *panels, size_t n, size_t n_cols, const EngQuantTile *x, float *y)
{
  const int n_sub = sub_blocks (pack);
  const size_t sub = planes_bytes (pack), block = block_bytes (pack), each = panel_bytes (pack, n_cols);
  const size_t ahead = PLANES_AHEAD / n > block ? PLANES_AHEAD / n : block;
  VF acc[SIDE];
  for (size_t i = 0; i < n; i++)
    acc[i] = vf_zero ();
  for (size_t at = 0, b = 0; at < each; at += block, b += (size_t) n_sub)
    {
      /* Behind the end of each panel stand those beside it; what comes next stands behind all of them. */
      size_t next = ahead + (at + ahead < each ? 0 : (n - 1) * each);
      for (size_t i = 0; i < n; i++)
        {
          const uint8_t *planes = panels + i * each + at, *scales = planes + n_sub * sub;
          FETCH_AHEAD (planes, next, block);
          SuperScales super = load_super_scales (pack, scales);
          for (int j = 0; j < n_sub; j++)
            {
              Scales s = load_scales (pack, scales, j, super);
              acc[i] = single_block (pack, planes + j * sub, &s, x, b + (size_t) j, acc[i]);
            }
        }
    }
  for (size_t i = 0; i < n; i++)
    vf_store (y + i * ENG_P, acc[i]);
}

INLINE void
single_rows (EngPack pack, const uint8_t *panels, size_t n_panels, size_t n_cols, const EngQuantTile *x,
             float *y)
{
  const size_t each = panel_bytes (pack, n_cols);
  for (; n_panels >= SIDE; n_panels -= SIDE, panels += SIDE * each, y += SIDE * ENG_P)
    single_row (pack, panels, SIDE, n_cols, x, y);
  for (; n_panels > 0; n_panels--, panels += each, y += ENG_P)
    single_row (pack, panels, 1, n_cols, x, y);
}

/* Rows [r0, r0 + n) of the tile, at most TILE_ROWS. */
INLINE void
rows_of_tile (EngPack pack, const uint8_t *panel, size_t n_cols, const EngQuantTile *x, uint32_t r0,
              uint32_t n, float *y, size_t ys)
{
  const int n_sub = sub_blocks (pack);
  const size_t sub = planes_bytes (pack);
  float sums[TILE_ROWS * ENG_P] __attribute__ ((aligned (64)));
  for (uint32_t r = 0; r < n; r++)
    vf_store (sums + r * ENG_P, vf_zero ());
  for (size_t b = 0; b < n_cols / 32; panel += block_bytes (pack))
    {
      const uint8_t *scales = panel + n_sub * sub;
      SuperScales super = load_super_scales (pack, scales);
      for (int i = 0; i < n_sub; i++, b++)
        {
          VI w[8];
          load_codes (pack, panel + i * sub, w);
          Scales s = load_scales (pack, scales, i, super);
          tile_block (pack, w, &s, x, b, r0, n, sums);
        }
    }
  for (uint32_t r = 0; r < n; r++)
    vf_store (y + (r0 + r) * ys, vf_load (sums + r * ENG_P));
}

INLINE void
product (EngPack pack, const uint8_t *panels, size_t n_panels, size_t n_cols, const EngQuantTile *x,
         float *y, size_t ys)
{
  if (x->n_rows == 1)
    single_rows (pack, panels, n_panels, n_cols, x, y);
  else
    for (size_t i = 0; i < n_panels; i++)
      for (uint32_t r0 = 0; r0 < x->n_rows; r0 += TILE_ROWS)
        rows_of_tile (pack, panels + i * panel_bytes (pack, n_cols), n_cols, x, r0,
                      x->n_rows - r0 < TILE_ROWS ? x->n_rows - r0 : TILE_ROWS, y + i * ENG_P, ys);
}

#define ENG_PRODUCT(name)                                                                          \
  static void product_##name (const uint8_t *panels, size_t n_panels, size_t n_cols,               \
                              const EngQuantTile *x, float *y, size_t ys)                          \
  {                                                                                                \
    product (ENG_PACK_##name, panels, n_panels, n_cols, x, y, ys);                                 \
  }
ENG_PACK_EACH (ENG_PRODUCT)

static void
init_products (EngKernels *k)
{
  k->panel_rows = ENG_P;
#ifdef ENG_VNNI
  k->wants_q16 = false;
#else
  k->wants_q16 = true;
#endif
#define SET(name) k->product[ENG_PACK_##name] = product_##name;
  ENG_PACK_EACH (SET)
#undef SET
}
