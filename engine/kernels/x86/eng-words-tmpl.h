/* SPDX-License-Identifier: Apache-2.0 */
/* Products of F16 and BF16 weights with many rows of activations by integers of 16 bits
 * (EngWordTile), for any register width: a pair of them is one multiplication with its sum where
 * floats have one number, so these are twice as fast. Included once by the file of each tier, after
 * headers of vector operations and transpose (), with ENG_VNNI vi_dpwssd () too.
 *
 * Two registers' worth of rows of weights become a panel, [blocks] of 32 pairs and the scales, each
 * [2][ENG_P]; against it tiles of as many rows of activations as there are registers for sums, a
 * pair of which is repeated over a register. The panel is made anew for every call: a block costs
 * as much as some 15 rows of activations save. */
#include <stddef.h>
#include <string.h>

#include "eng-kernels.h"
#include "eng-tiers.h"

#define WORD_PAIRS (ENG_WORD_BLOCK / 2)
#define WORD_PANEL (2u * ENG_P) /* rows of weights */
#define WORD_BLOCK_LANES ((WORD_PAIRS + 1) * WORD_PANEL)
#if ENG_P == 16
#define WORD_ROWS 12 /* of 32 registers 24 are sums */
#else
#define WORD_ROWS 6 /* of 16 registers 12 are sums */
#endif
/* Sums stay in their registers, and the multiplications come in the order of the source: all of a
 * step's at once, as the compiler would have them, do not fit. */
#define WORDS_IN_ORDER(a) __asm__ ("" : "+v"(a))
/* Rows of activations from which on making panels pays. */
#define WORDS_FROM 32

#ifndef ENG_VNNI
/* @sum + the products of two pairs. The addition goes into its own register: the compiler takes
 * another one and moves it back, one instruction in five (Zen 5, 256 rows: 165 and 200 GFLOP/s). */
INLINE VI
vi_dpwssd (VI sum, VI a, VI b)
{
  VI pairs = vi_madd (a, b);
  __asm__ ("vpaddd %1, %0, %0" : "+v"(sum) : "v"(pairs));
  return sum;
}
#endif

INLINE VF
word_weights (EngFloatFormat format, const uint16_t *w)
{
  const uint8_t *p = (const uint8_t *) w;
  return format == ENG_FLOAT_F16 ? vf_from_f16 (p) : vf_from_bf16 (p);
}

/* A block of a row of weights. Their sizes compare as their bits without the sign do. */
INLINE void
convert_weights (EngFloatFormat format, const uint16_t *w, int16_t *out, float *scale)
{
  VI most = vi_zero ();
  for (size_t c = 0; c < ENG_WORD_BLOCK; c += 2 * ENG_P)
    most = vi_max16 (most, vi_and (vi_load (w + c), vi_set16 (0x7fff)));
  int bits = vi_max16_lanes (most);
  uint32_t wide = (uint32_t) bits << 16;
  float max = 0, inverse = 0;
  if (format == ENG_FLOAT_F16)
    max = _cvtsh_ss ((uint16_t) bits);
  else
    memcpy (&max, &wide, sizeof max);
  if (bits < (format == ENG_FLOAT_F16 ? 0x7c00 : 0x7f80))
    {
      *scale = max * (1.0f / ENG_WORD_WEIGHT) > ENG_WORD_SMALLEST ? max * (1.0f / ENG_WORD_WEIGHT)
                                                                  : ENG_WORD_SMALLEST;
      inverse = 1.0f / *scale;
    }
  else
    *scale = __builtin_nanf ("");
  for (size_t c = 0; c < ENG_WORD_BLOCK; c += 2 * ENG_P)
    {
      VI a = vi_from_f32 (vf_mul (word_weights (format, w + c), vf_set (inverse)));
      VI b = vi_from_f32 (vf_mul (word_weights (format, w + c + ENG_P), vf_set (inverse)));
      vi_store (out + c, vi_pack (a, b));
    }
}

/* Block @b of ENG_P rows, of which there are @n_j: pairs and scales for one half of a panel. */
INLINE void
pack_words_block (EngFloatFormat format, const uint16_t *w, size_t w_stride, size_t n_j,
                  size_t n_cols, int32_t *pairs, float *scales)
{
  int16_t rows[ENG_P][ENG_WORD_BLOCK] __attribute__ ((aligned (64)));
  for (size_t j = 0; j < ENG_P; j++)
    if (j >= n_j)
      {
        memset (rows[j], 0, sizeof rows[j]);
        scales[j] = 0;
      }
    else if (n_cols >= ENG_WORD_BLOCK)
      convert_weights (format, w + j * w_stride, rows[j], &scales[j]);
    else
      {
        uint16_t whole[ENG_WORD_BLOCK] = { 0 };
        memcpy (whole, w + j * w_stride, n_cols * sizeof *w);
        convert_weights (format, whole, rows[j], &scales[j]);
      }
  for (size_t at = 0; at < WORD_PAIRS; at += ENG_P)
    {
      VF r[ENG_P];
      UNROLLED (ENG_P)
      for (size_t j = 0; j < ENG_P; j++) r[j]
          = vf_load ((const float *) (const void *) &rows[j][2 * at]);
      transpose (r);
      UNROLLED (ENG_P)
      for (size_t k = 0; k < ENG_P; k++)
          vf_store ((float *) (void *) (pairs + (at + k) * WORD_PANEL), r[k]);
    }
}

INLINE void
pack_words (EngFloatFormat format, const uint16_t *w, size_t w_stride, size_t n_j, size_t n_cols,
            int32_t *panel)
{
  for (size_t c = 0; c < n_cols; c += ENG_WORD_BLOCK, panel += WORD_BLOCK_LANES)
    for (size_t half = 0; half < WORD_PANEL; half += ENG_P)
      pack_words_block (format, w + half * w_stride + c, w_stride, n_j > half ? n_j - half : 0,
                        n_cols - c, panel + half,
                        (float *) (void *) (panel + WORD_PAIRS * WORD_PANEL + half));
}

/* @n rows of activations from @q and @scale on, of tiles of @t. */
INLINE void
words_tile (const int32_t *panel, size_t n_cols, const int16_t *q, const float *scale, size_t t,
            int n, float *y, size_t y_stride, size_t n_j)
{
  float sums[WORD_ROWS * WORD_PANEL] __attribute__ ((aligned (64)));
  for (int i = 0; i < n * 2; i++)
    vf_store (sums + i * ENG_P, vf_zero ());
  for (size_t c = 0; c < n_cols; c += ENG_WORD_BLOCK, q += t * ENG_WORD_BLOCK, scale += t)
    {
      VI s[WORD_ROWS][2];
      UNROLLED (WORD_ROWS) for (int i = 0; i < n; i++) s[i][0] = s[i][1] = vi_zero ();
      for (size_t k = 0; k < WORD_PAIRS; k++, panel += WORD_PANEL)
        {
          VI a = vi_load (panel), b = vi_load (panel + ENG_P);
          UNROLLED (WORD_ROWS) for (int i = 0; i < n; i++)
          {
            VI pair = vi_repeat4 (q + (size_t) i * ENG_WORD_BLOCK + 2 * k);
            s[i][0] = vi_dpwssd (s[i][0], a, pair);
            s[i][1] = vi_dpwssd (s[i][1], b, pair);
            WORDS_IN_ORDER (s[i][0]);
            WORDS_IN_ORDER (s[i][1]);
          }
        }
      VF a = vf_load ((const float *) (const void *) panel),
         b = vf_load ((const float *) (const void *) (panel + ENG_P));
      panel += WORD_PANEL;
      UNROLLED (WORD_ROWS) for (int i = 0; i < n; i++)
      {
        VF d = vf_repeat (scale + i);
        float *sum = sums + (size_t) i * WORD_PANEL;
        vf_store (sum, vf_fma (vf_mul (a, d), vf_from_i32 (s[i][0]), vf_load (sum)));
        vf_store (sum + ENG_P,
                  vf_fma (vf_mul (b, d), vf_from_i32 (s[i][1]), vf_load (sum + ENG_P)));
      }
    }
  for (int i = 0; i < n; i++)
    if (n_j == WORD_PANEL)
      memcpy (y + (size_t) i * y_stride, sums + (size_t) i * WORD_PANEL,
              WORD_PANEL * sizeof (float));
    else
      memcpy (y + (size_t) i * y_stride, sums + (size_t) i * WORD_PANEL, n_j * sizeof (float));
}

INLINE void
product_words (EngFloatFormat format, const uint16_t *w, size_t w_stride, size_t n_j, size_t n_cols,
               const EngWordTile *x, size_t n_r, float *y, size_t y_stride, int32_t *panel)
{
  const size_t t = x->n_rows;
  for (size_t j = 0; j < n_j; j += WORD_PANEL, w += WORD_PANEL * w_stride)
    {
      size_t m = n_j - j < WORD_PANEL ? n_j - j : WORD_PANEL, r = 0;
      pack_words (format, w, w_stride, m, n_cols, panel);
      for (; r + WORD_ROWS <= n_r; r += WORD_ROWS)
        words_tile (panel, n_cols, x->q + r * ENG_WORD_BLOCK, x->scale + r, t, WORD_ROWS,
                    y + r * y_stride + j, y_stride, m);
      for (; r + 4 <= n_r; r += 4)
        words_tile (panel, n_cols, x->q + r * ENG_WORD_BLOCK, x->scale + r, t, 4,
                    y + r * y_stride + j, y_stride, m);
      for (; r < n_r; r++)
        words_tile (panel, n_cols, x->q + r * ENG_WORD_BLOCK, x->scale + r, t, 1,
                    y + r * y_stride + j, y_stride, m);
    }
}

/* A block of a row of activations. */
INLINE void
quantize_words_block (const float *x, int16_t *q, float *scale)
{
  VF sum = vf_zero (), max = vf_zero ();
  for (size_t c = 0; c < ENG_WORD_BLOCK; c += ENG_P)
    {
      VF size = vf_abs (vf_load (x + c));
      sum = vf_fma (size, vf_set (1.0f / ENG_WORD_BLOCK), sum); /* the mean: a float holds it */
      max = vf_max (max, size);
    }
  float mean = vf_sum_lanes (sum), inverse = 0;
  if (mean < __builtin_inff ()) /* false for NaN, too */
    {
      float a = mean * (ENG_WORD_BLOCK / ENG_WORD_SUM), b = vf_max_lanes (max) * (1.0f / 32767.0f);
      float d = a > b ? a : b;
      *scale = d > ENG_WORD_SMALLEST ? d : ENG_WORD_SMALLEST;
      inverse = 1.0f / *scale;
    }
  else
    *scale = __builtin_nanf ("");
  for (size_t c = 0; c < ENG_WORD_BLOCK; c += 2 * ENG_P)
    {
      VI a = vi_from_f32 (vf_mul (vf_load (x + c), vf_set (inverse)));
      VI b = vi_from_f32 (vf_mul (vf_load (x + c + ENG_P), vf_set (inverse)));
      vi_store (q + c, vi_pack (a, b));
    }
}

static void
quantize_words (const float *x, size_t n_cols, const EngWordTile *tile, uint32_t i_row)
{
  int16_t *q = tile->q + (size_t) i_row * ENG_WORD_BLOCK;
  float *scale = tile->scale + i_row;
  for (; n_cols >= ENG_WORD_BLOCK; n_cols -= ENG_WORD_BLOCK, x += ENG_WORD_BLOCK)
    {
      quantize_words_block (x, q, scale);
      q += (size_t) tile->n_rows * ENG_WORD_BLOCK;
      scale += tile->n_rows;
    }
  if (n_cols > 0)
    {
      float whole[ENG_WORD_BLOCK] = { 0 };
      memcpy (whole, x, n_cols * sizeof *x);
      quantize_words_block (whole, q, scale);
    }
}

#define ENG_PRODUCT_WORDS(name)                                                                    \
  static void product_words_##name (const void *w, size_t w_stride, size_t n_j, size_t n_cols,     \
                                    const EngWordTile *x, size_t n_r, float *y, size_t y_stride,   \
                                    float *scratch)                                                \
  {                                                                                                \
    product_words (ENG_FLOAT_##name, w, w_stride, n_j, n_cols, x, n_r, y, y_stride,                \
                   (int32_t *) (void *) scratch);                                                  \
  }
ENG_PRODUCT_WORDS (F16)
ENG_PRODUCT_WORDS (BF16)

static void
init_words (EngKernels *k)
{
  k->quantize_words = quantize_words;
  k->product_words[ENG_FLOAT_F16] = product_words_F16;
  k->product_words[ENG_FLOAT_BF16] = product_words_BF16;
  k->words_from[ENG_FLOAT_F16] = k->words_from[ENG_FLOAT_BF16] = WORDS_FROM;
}
