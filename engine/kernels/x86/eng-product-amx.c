/* SPDX-License-Identifier: Apache-2.0 */
/* Products with many rows of activations by AMX's tiles (Intel SDM volume 1, chapter 18): one instruction multiplies 16 rows
 * of 32 BF16 numbers with 16 columns of as many. Weights of 32 rows and BLOCK_COLS columns are made BF16 in the thread's
 * scratch, in the order that a tile wants, and meet all rows of activations there: two tiles of rows by two of weights, whose
 * sums stay in four tile registers. Loading the other four costs more than multiplying (Emerald Rapids: 84 and 64 cycles
 * a step), so nothing is gained by fewer multiplications with more loads, as products of bytes with sums a block would be.
 *
 * F16 weights are two BF16 numbers each, exactly, and activations two nearly: three products. BF16 weights take two. */
#include <assert.h>
#include <string.h>

#define ENG_VNNI
#include "eng-block-avx512.h"
#include "eng-simd-avx512.h"

#include "eng-format-tmpl.h"
#include "eng-tiers.h"

#define TILE_ROWS ENG_TILE_ROWS
#define TILE_COLS ENG_TILE_COLS
#define TILE (TILE_ROWS * TILE_COLS) /* BF16 numbers of a register */
#define PAIR 32                      /* rows of weights, and of activations, that are multiplied together */
#define BLOCK_COLS 1024
/* Rows of activations from which on these products are faster than the others. */
#define TILES_FROM 32

/* B of one call: [column blocks][2 panels][16 pairs of columns][16 rows][2], twice where weights have low parts. */
typedef struct
{
  uint16_t weights[2][BLOCK_COLS / TILE_COLS][2][TILE];
  float sums[PAIR * PAIR];
} Scratch;

static_assert (sizeof (Scratch) <= ENG_FLOAT_SCRATCH (0) * sizeof (float), "what a product needs fits into the scratch");

/* --- tile registers: 0 to 3 sums, 4 and 5 activations, 6 and 7 weights --- */

static void
start_tiles (void)
{
  static const struct
  {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
  } config __attribute__ ((aligned (64))) = {
    1, 0, { 0 }, { 64, 64, 64, 64, 64, 64, 64, 64 }, { 16, 16, 16, 16, 16, 16, 16, 16 },
  };
  _tile_loadconfig (&config);
}

/* @n_a tiles of activations, @a_stride numbers apart, times @n_b of weights, all of @n_blocks column blocks, added to the sums. */
INLINE void
multiply_blocks (const uint16_t *a, size_t a_stride, const uint16_t *b, size_t n_blocks, int n_a, int n_b)
{
  for (size_t k = 0; k < n_blocks; k++, a += TILE, b += 2 * TILE)
    {
      _tile_loadd (4, a, 64);
      _tile_loadd (6, b, 64);
      if (n_b > 1)
        _tile_loadd (7, b + TILE, 64);
      _tile_dpbf16ps (0, 4, 6);
      if (n_b > 1)
        _tile_dpbf16ps (1, 4, 7);
      if (n_a > 1)
        {
          _tile_loadd (5, a + a_stride, 64);
          _tile_dpbf16ps (2, 5, 6);
          if (n_b > 1)
            _tile_dpbf16ps (3, 5, 7);
        }
    }
}

INLINE void
load_sums (const float *y, size_t y_stride, int n_a, int n_b)
{
  size_t bytes = y_stride * sizeof *y;
  _tile_loadd (0, y, bytes);
  if (n_b > 1)
    _tile_loadd (1, y + TILE_ROWS, bytes);
  if (n_a > 1)
    _tile_loadd (2, y + TILE_ROWS * y_stride, bytes);
  if (n_a > 1 && n_b > 1)
    _tile_loadd (3, y + TILE_ROWS * y_stride + TILE_ROWS, bytes);
}

INLINE void
store_sums (float *y, size_t y_stride, int n_a, int n_b)
{
  size_t bytes = y_stride * sizeof *y;
  _tile_stored (0, y, bytes);
  if (n_b > 1)
    _tile_stored (1, y + TILE_ROWS, bytes);
  if (n_a > 1)
    _tile_stored (2, y + TILE_ROWS * y_stride, bytes);
  if (n_a > 1 && n_b > 1)
    _tile_stored (3, y + TILE_ROWS * y_stride + TILE_ROWS, bytes);
}

/* Which parts of both sides there are. */
typedef enum
{
  PARTS_HIGH,
  PARTS_LOW_X,
  PARTS_LOW_BOTH,
} Parts;

typedef struct
{
  const Scratch *s;
  const uint16_t *high, *low; /* activations of the rows and columns at work */
  size_t a_stride, n_blocks;
  bool adds; /* to what y holds */
} Block;

INLINE void
multiply (const Block *p, Parts parts, float *y, size_t y_stride, int n_a, int n_b)
{
  const uint16_t *b = p->s->weights[0][0][0];
  __asm__ volatile ("" ::: "memory"); /* GCC 12's loads of tiles do not say that they read memory */
  if (p->adds)
    load_sums (y, y_stride, n_a, n_b);
  else
    {
      _tile_zero (0);
      _tile_zero (1);
      _tile_zero (2);
      _tile_zero (3);
    }
  if (parts == PARTS_LOW_BOTH)
    multiply_blocks (p->high, p->a_stride, p->s->weights[1][0][0], p->n_blocks, n_a, n_b);
  if (parts != PARTS_HIGH)
    multiply_blocks (p->low, p->a_stride, b, p->n_blocks, n_a, n_b);
  multiply_blocks (p->high, p->a_stride, b, p->n_blocks, n_a, n_b);
  store_sums (y, y_stride, n_a, n_b);
}

static void
copy_rows (const float *from, size_t from_stride, size_t n_r, size_t n_j, float *to, size_t to_stride)
{
  for (size_t r = 0; r < n_r; r++)
    memcpy (to + r * to_stride, from + r * from_stride, n_j * sizeof *to);
}

/* @n_r rows of activations by @n_j of weights, at most PAIR each; whole tiles go to @y by themselves. */
INLINE void
multiply_pair (Block *p, Parts parts, size_t n_r, size_t n_j, float *sums, float *y, size_t y_stride)
{
  bool whole = n_r % TILE_ROWS == 0 && n_j % TILE_ROWS == 0;
  float *to = whole ? y : sums;
  size_t stride = whole ? y_stride : PAIR;
  if (!whole && p->adds)
    copy_rows (y, y_stride, n_r, n_j, sums, PAIR);
  if (n_r > TILE_ROWS && n_j > TILE_ROWS)
    multiply (p, parts, to, stride, 2, 2);
  else if (n_r > TILE_ROWS)
    multiply (p, parts, to, stride, 2, 1);
  else if (n_j > TILE_ROWS)
    multiply (p, parts, to, stride, 1, 2);
  else
    multiply (p, parts, to, stride, 1, 1);
  if (!whole)
    copy_rows (sums, PAIR, n_r, n_j, y, y_stride);
}

/* All rows of activations times the weights in the scratch, which are those from column @c on; @adds: to what y holds. */
INLINE void
multiply_rows (Scratch *s, Parts parts, const EngTileRows *x, size_t n_cols, size_t c, size_t n_blocks, size_t n_r, size_t n_j,
               bool adds, float *y, size_t y_stride)
{
  size_t stride = ENG_TILE_STRIDE (n_cols), at = c / TILE_COLS * TILE;
  for (size_t r = 0; r < n_r; r += PAIR, at += 2 * stride)
    {
      Block p = { s, x->high + at, parts != PARTS_HIGH ? x->low + at : NULL, stride, n_blocks, adds };
      multiply_pair (&p, parts, n_r - r < PAIR ? n_r - r : PAIR, n_j, s->sums, y + r * y_stride, y_stride);
    }
}

/* --- packed weights as BF16 --- */

/* Numbers are made BF16 by leaving their lower halves out, so they are raised before by what that loses in the mean:
 * of numbers at random 2^-8 / 1.44 of themselves. What BF16 holds exactly stays so, as 2^-8 would still be less than its next
 * number; of others the error is up to 1.4 times, in the mean 1.05 times that of rounding to the nearest. It takes the
 * place of two additions. */
#define RAISE (1.0f + 0x1p-8f / 1.44f)

INLINE int
is_nibbles (EngPack pack)
{
  return code_bits (pack) == 4 || pack == ENG_PACK_IQ4_NL || pack == ENG_PACK_IQ4_XS || pack == ENG_PACK_MXFP4;
}

typedef struct
{
  VF low, high; /* values of codes 0 … 15 and 16 … 31 */
} Values;

INLINE Values
values_of (EngPack pack)
{
  static const float iq4[16] = { -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 };
  static const float mxfp4[16] = { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 };
  static const float counts[16] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
  Values v;
  if (pack == ENG_PACK_IQ4_NL || pack == ENG_PACK_IQ4_XS)
    v.low = vf_load (iq4);
  else if (pack == ENG_PACK_MXFP4)
    v.low = vf_load (mxfp4);
  else
    v.low = vf_add (vf_load (counts), vf_set ((float) code_offset (pack)));
  v.high = vf_add (v.low, vf_set (16));
  return v;
}

/* The numbers that the codes of @bits bits from bit @at of each lane on stand for. */
INLINE VF
column (int bits, VI codes, int at, Values values)
{
  VI c = at != 0 ? _mm512_srli_epi32 (codes, (unsigned) at) : codes;
  if (bits <= 4)
    return _mm512_permutexvar_ps (c, values.low);
  if (bits == 5)
    return _mm512_permutex2var_ps (values.low, c, values.high);
  return _mm512_cvtepi32_ps (at == 24 ? c : vi_and (c, _mm512_set1_epi32 (255)));
}

/* The upper halves of @even and @odd side by side. */
INLINE VI
pair_up (VF even, VF odd)
{
  VI upper = _mm512_srli_epi32 (_mm512_castps_si512 (even), 16);
  return _mm512_mask_blend_epi16 (0xaaaaaaaau, upper, _mm512_castps_si512 (odd));
}

/* Sub-block @i to a tile. @planes: of the sub-block. */
INLINE void
unpack_block (EngPack pack, const uint8_t *planes, const uint8_t *scales, int i, SuperScales super, Values values, uint16_t *tile)
{
  const bool nibbles = is_nibbles (pack), has_m = has_minimum (pack) || (!nibbles && code_bits (pack) > 5);
  const int bits = nibbles ? 4 : code_bits (pack);
  Scales s = load_scales (pack, scales, i, super);
  VI w[8];
  VF d[2], m[2];
  for (int g = 0; g < 1 + groups_of_16 (pack); g++)
    {
      d[g] = vf_mul (s.d[g], vf_set (RAISE));
      m[g] = has_m ? vf_mul (s.m[g], vf_set (RAISE)) : vf_zero ();
    }
  if (nibbles && planes_bytes (pack) == 16 * ENG_P)
    for (int u = 0; u < 4; u++)
      w[u] = w[u + 4] = vi_load (planes + u * 4 * ENG_P);
  else
    load_codes (pack, planes, w);
  for (int v = 0; v < 8; v++)
    {
      const int g = groups_of_16 (pack) ? v / 4 : 0, shift = nibbles && planes_bytes (pack) == 16 * ENG_P && v >= 4 ? 4 : 0;
      for (int half = 0; half < 2; half++)
        {
          VF even = column (bits, w[v], 16 * half + shift, values), odd = column (bits, w[v], 16 * half + 8 + shift, values);
          even = has_m ? vf_fma (even, d[g], m[g]) : vf_mul (even, d[g]);
          odd = has_m ? vf_fma (odd, d[g], m[g]) : vf_mul (odd, d[g]);
          _mm512_store_si512 (tile + (2 * v + half) * 2 * ENG_P, pair_up (even, odd));
        }
    }
}

/* Columns [@c, @c + @n) of a panel to tiles, every second of @tiles. */
INLINE void
unpack_columns (EngPack pack, const uint8_t *panel, size_t c, size_t n, uint16_t *tiles)
{
  const int n_sub = sub_blocks (pack);
  const size_t sub = planes_bytes (pack), block = block_bytes (pack);
  const Values values = values_of (pack);
  panel += c / TILE_COLS / (size_t) n_sub * block;
  for (size_t b = 0; b < n / TILE_COLS; panel += block)
    {
      const uint8_t *scales = panel + n_sub * sub;
      SuperScales super = load_super_scales (pack, scales);
      for (int i = 0; i < n_sub; i++, b++)
        unpack_block (pack, panel + i * sub, scales, i, super, values, tiles + b * 2 * TILE);
    }
}

INLINE void
product (EngPack pack, const uint8_t *panels, size_t n_panels, size_t n_cols, const EngTileRows *x, size_t n_r, float *y,
         size_t y_stride, Scratch *s)
{
  const size_t each = panel_bytes (pack, n_cols);
  start_tiles ();
  for (size_t j = 0; j < n_panels; j += 2)
    for (size_t c = 0; c < n_cols; c += BLOCK_COLS)
      {
        size_t n = n_cols - c < BLOCK_COLS ? n_cols - c : BLOCK_COLS, m = n_panels - j < 2 ? 1 : 2;
        for (size_t i = 0; i < m; i++)
          unpack_columns (pack, panels + (j + i) * each, c, n, s->weights[0][0][i]);
        multiply_rows (s, PARTS_HIGH, x, n_cols, c, n / TILE_COLS, n_r, m * ENG_P, c != 0, y + j * ENG_P, y_stride);
      }
  _tile_release ();
}

static void
product_tiles (EngPack pack, const uint8_t *panels, size_t n_panels, size_t n_cols, const EngTileRows *x, size_t n_r, float *y,
               size_t y_stride, float *scratch)
{
#define CASE(name)                                                                                             \
  case ENG_PACK_##name:                                                                                        \
    product (ENG_PACK_##name, panels, n_panels, n_cols, x, n_r, y, y_stride, (Scratch *) (void *) scratch);    \
    break;
  switch (pack)
    {
      ENG_PACK_EACH (CASE)
    case ENG_PACK_N:
      break;
    }
#undef CASE
}

/* --- 16-bit floats as the file stores them --- */

/* The first @n columns of a register of halves, at most 32. */
INLINE __mmask32
halves_of (size_t n)
{
  return n < 32 ? (1u << n) - 1u : ~0u;
}

/* 32 numbers rounded to the nearest BF16 … */
INLINE VI
round_pair (VF a, VF b)
{
  return (VI) _mm512_cvtne2ps_pbh (b, a);
}

/* … and what is missing of them. */
INLINE VI
round_rest (VF a, VF b, VI high)
{
  VF ha = _mm512_castsi512_ps (_mm512_slli_epi32 (_mm512_cvtepu16_epi32 (_mm512_castsi512_si256 (high)), 16));
  VF hb = _mm512_castsi512_ps (_mm512_slli_epi32 (_mm512_cvtepu16_epi32 (_mm512_extracti64x4_epi64 (high, 1)), 16));
  return round_pair (_mm512_sub_ps (a, ha), _mm512_sub_ps (b, hb));
}

/* A float's upper half, and what it is short of: of half precision both are BF16 numbers as they are. */
INLINE VI
split_halves (VI halves, VI *rest)
{
  const VI upper = _mm512_set1_epi32 ((int) 0xffff0000);
  VF a = _mm512_cvtph_ps (_mm512_castsi512_si256 (halves)), b = _mm512_cvtph_ps (_mm512_extracti64x4_epi64 (halves, 1));
  VF ha = _mm512_castsi512_ps (vi_and (_mm512_castps_si512 (a), upper));
  VF hb = _mm512_castsi512_ps (vi_and (_mm512_castps_si512 (b), upper));
  *rest = round_pair (_mm512_sub_ps (a, ha), _mm512_sub_ps (b, hb));
  return round_pair (ha, hb);
}

INLINE void
store_pairs (__m512 rows[16], uint16_t *tile)
{
  transpose (rows);
  UNROLLED (16) for (size_t k = 0; k < 16; k++)
    _mm512_store_ps (tile + k * 2 * ENG_P, rows[k]);
}

/* 32 columns of @n_j rows, 16 or fewer, as pairs; missing rows and columns are zero. */
INLINE void
pack_float_tile (EngFloatFormat format, const uint16_t *w, size_t w_stride, size_t n_j, __mmask32 mask, uint16_t *high, uint16_t *low)
{
  __m512 r[16];
  VI rest[16];
  UNROLLED (16) for (size_t j = 0; j < 16; j++)
    {
      VI row = j < n_j ? _mm512_maskz_loadu_epi16 (mask, w + j * w_stride) : vi_zero ();
      r[j] = _mm512_castsi512_ps (format == ENG_FLOAT_F16 ? split_halves (row, &rest[j]) : row);
    }
  store_pairs (r, high);
  if (format != ENG_FLOAT_F16)
    return;
  UNROLLED (16) for (size_t j = 0; j < 16; j++)
    r[j] = _mm512_castsi512_ps (rest[j]);
  store_pairs (r, low);
}

INLINE void
pack_float_columns (EngFloatFormat format, const uint16_t *w, size_t w_stride, size_t n_j, size_t n, Scratch *s, size_t i)
{
  for (size_t c = 0, b = 0; c < n; c += TILE_COLS, b++)
    if (n_j >= 16 && n - c >= TILE_COLS) /* constants: the block stays in registers */
      pack_float_tile (format, w + c, w_stride, 16, ~0u, s->weights[0][b][i], s->weights[1][b][i]);
    else
      pack_float_tile (format, w + c, w_stride, n_j, halves_of (n - c), s->weights[0][b][i], s->weights[1][b][i]);
}

INLINE void
product_float (EngFloatFormat format, const uint16_t *w, size_t w_stride, size_t n_j, size_t n_cols, const EngTileRows *x,
               size_t n_r, float *y, size_t y_stride, Scratch *s)
{
  start_tiles ();
  for (size_t j = 0; j < n_j; j += PAIR)
    {
      size_t m = n_j - j < PAIR ? n_j - j : PAIR, c = 0;
      do /* once where there are no columns: the sums are zeros then */
        {
          size_t n = n_cols - c < BLOCK_COLS ? n_cols - c : BLOCK_COLS;
          for (size_t i = 0; i < m; i += TILE_ROWS)
            pack_float_columns (format, w + (j + i) * w_stride + c, w_stride, m - i, n, s, i / TILE_ROWS);
          multiply_rows (s, format == ENG_FLOAT_F16 ? PARTS_LOW_BOTH : PARTS_LOW_X, x, n_cols, c, (n + TILE_COLS - 1) / TILE_COLS,
                         n_r, m, c != 0, y + j, y_stride);
          c += n;
        }
      while (c < n_cols);
    }
  _tile_release ();
}

static void
product_tiles_float (EngFloatFormat format, const void *w, size_t w_stride, size_t n_j, size_t n_cols, const EngTileRows *x,
                     size_t n_r, float *y, size_t y_stride, float *scratch)
{
  if (format == ENG_FLOAT_F16)
    product_float (ENG_FLOAT_F16, w, w_stride, n_j, n_cols, x, n_r, y, y_stride, (Scratch *) (void *) scratch);
  else
    product_float (ENG_FLOAT_BF16, w, w_stride, n_j, n_cols, x, n_r, y, y_stride, (Scratch *) (void *) scratch);
}

/* --- keys and values --- */

/* 16 columns or fewer (@mask) of rows k … k + 31, of which there are @n, as pairs of rows. */
INLINE void
pack_halves (const uint16_t *h, size_t k_stride, size_t n, __mmask16 mask, uint16_t *high, uint16_t *low)
{
  const VI upper = _mm512_set1_epi32 ((int) 0xffff0000);
  for (size_t k = 0; k < TILE_COLS; k += 2, h += 2 * k_stride)
    {
      VF a = vf_zero (), b = vf_zero ();
      if (k < n)
        a = _mm512_cvtph_ps (_mm256_maskz_loadu_epi16 (mask, h));
      if (k + 1 < n)
        b = _mm512_cvtph_ps (_mm256_maskz_loadu_epi16 (mask, h + k_stride));
      VF ha = _mm512_castsi512_ps (vi_and (_mm512_castps_si512 (a), upper));
      VF hb = _mm512_castsi512_ps (vi_and (_mm512_castps_si512 (b), upper));
      _mm512_store_si512 (high + k * ENG_P, pair_up (ha, hb));
      _mm512_store_si512 (low + k * ENG_P, pair_up (_mm512_sub_ps (a, ha), _mm512_sub_ps (b, hb)));
    }
}

INLINE void
pack_halves_columns (const uint16_t *h, size_t k_stride, size_t n_k, size_t n_j, Scratch *s, size_t i)
{
  for (size_t k = 0, b = 0; k < n_k; k += TILE_COLS, b++, h += TILE_COLS * k_stride)
    if (n_k - k >= TILE_COLS)
      pack_halves (h, k_stride, TILE_COLS, first_of (n_j), s->weights[0][b][i], s->weights[1][b][i]);
    else
      pack_halves (h, k_stride, n_k - k, first_of (n_j), s->weights[0][b][i], s->weights[1][b][i]);
}

static void
product_halves (const uint16_t *h, size_t k_stride, size_t panel_stride, size_t n_k, size_t n_j, const EngTileRows *x, size_t n_r,
                bool adds, float *y, size_t y_stride, float *scratch)
{
  Scratch *s = (Scratch *) (void *) scratch;
  start_tiles ();
  for (size_t j = 0; j < n_j; j += PAIR, h += 2 * panel_stride)
    {
      size_t m = n_j - j < PAIR ? n_j - j : PAIR, k = 0;
      do /* once where there is nothing to add up */
        {
          size_t n = n_k - k < BLOCK_COLS ? n_k - k : BLOCK_COLS;
          for (size_t i = 0; i < m; i += TILE_ROWS)
            pack_halves_columns (h + i / TILE_ROWS * panel_stride + k * k_stride, k_stride, n, m - i, s, i / TILE_ROWS);
          multiply_rows (s, PARTS_LOW_BOTH, x, n_k, k, (n + TILE_COLS - 1) / TILE_COLS, n_r, m, adds || k != 0, y + j, y_stride);
          k += n;
        }
      while (k < n_k);
    }
  _tile_release ();
}

/* --- activations --- */

static void
round_row (const float *x, size_t n_cols, const EngTileRows *rows, uint32_t i_row)
{
  size_t at = i_row / TILE_ROWS * ENG_TILE_STRIDE (n_cols) + i_row % TILE_ROWS * TILE_COLS;
  for (size_t c = 0; c < n_cols; c += TILE_COLS, at += TILE)
    {
      size_t n = n_cols - c;
      VF a = _mm512_maskz_loadu_ps (first_of (n), x + c), b = vf_zero ();
      if (n > 16)
        b = _mm512_maskz_loadu_ps (first_of (n - 16), x + c + 16);
      VI high = round_pair (a, b);
      _mm512_store_si512 (rows->high + at, high);
      if (rows->low != NULL)
        _mm512_store_si512 (rows->low + at, round_rest (a, b, high));
    }
}

void
eng_product_init_amx (EngKernels *k)
{
  k->round_row = round_row;
  k->product_tiles = product_tiles;
  k->product_tiles_float = product_tiles_float;
  k->product_halves = product_halves;
  k->tiles_from = TILES_FROM;
}
