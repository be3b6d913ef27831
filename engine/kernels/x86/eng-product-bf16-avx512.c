/* SPDX-License-Identifier: Apache-2.0 */
/* Products of BF16 weights where the processor multiplies pairs of such numbers (twice as many a cycle as
 * float32). The activations are rounded to BF16 for that, however many rows there are. From 32 rows on integers of
 * 16 bits, which round less, are as fast (eng-words-tmpl.h), and the device takes those.
 *
 * Many rows: panels of 16 rows of weights as pairs [cols / 2][16], so that a sum needs no additions across a
 * register, and against them tiles of 12 rows of activations, a pair of which is one broadcast. A block of
 * columns keeps the tile in the first-level cache; the panels share its rounding. */
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "eng-block-avx512.h"
#include "eng-kernels.h"
#include "eng-tiers.h"

#define BLOCK_COLS ((size_t) 768)
#define X_STRIDE (BLOCK_COLS + 32) /* not a power of two: rows would share the cache's sets */
#define TILE_ROWS 12
#define PANELS ((size_t) 6)
/* Up to this many rows of activations, packing a panel would cost more than it saves. */
#define FEW_ROWS 5

/* Pairs of a row, 32 columns a register. */
INLINE __m512bh
load_pairs (const uint16_t *p, __mmask32 mask)
{
  return (__m512bh) _mm512_maskz_loadu_epi16 (mask, p);
}

/* The first @n columns of a register, at most 32. */
INLINE __mmask32
pairs_of (size_t n)
{
  return n < 32 ? (1u << n) - 1u : ~0u;
}

/* @n_cols numbers, then zeros up to whole registers. */
static void
round_row (const float *x, size_t n_cols, uint16_t *out)
{
  for (size_t c = 0; c < n_cols; c += 16)
    {
      __m512 numbers = _mm512_maskz_loadu_ps (first_of (n_cols - c), x + c);
      _mm256_storeu_si256 ((__m256i *) (out + c), (__m256i) _mm512_cvtneps_pbh (numbers));
    }
  if (n_cols % 32 != 0 && n_cols % 32 <= 16)
    _mm256_storeu_si256 ((__m256i *) (out + n_cols / 32 * 32 + 16), _mm256_setzero_si256 ());
}

/* --- a few rows: memory is the limit; one row reads four places side by side (eng-product-float-avx512.c) --- */

#define ROWS_AHEAD 6144 /* as there */

/* @n_w rows of weights, @w_apart numbers from each other, and @n rows of rounded activations, @x_stride apart; as there. */
INLINE void
dots (const uint16_t *w, size_t w_apart, size_t n_w, size_t n_cols, const uint16_t *x, size_t x_stride, size_t n, float *y,
      size_t y_stride)
{
  __m512 s[SIDE][2];
  size_t c = 0;
  for (size_t i = 0; i < n_w * n; i++)
    s[i][0] = s[i][1] = _mm512_setzero_ps ();
  for (; c + 64 <= n_cols; c += 64)
    for (size_t j = 0; j < n_w; j++)
      {
        FETCH_AHEAD (w + j * w_apart + c, ROWS_AHEAD / n_w, 128);
        for (size_t k = 0; k < 2; k++)
          {
            __m512bh a = load_pairs (w + j * w_apart + c + 32 * k, ~0u);
            for (size_t i = 0; i < n; i++)
              s[j + i][k] = _mm512_dpbf16_ps (s[j + i][k], a, load_pairs (x + i * x_stride + c + 32 * k, ~0u));
          }
      }
  for (; c < n_cols; c += 32)
    for (size_t j = 0; j < n_w; j++)
      {
        __m512bh a = load_pairs (w + j * w_apart + c, pairs_of (n_cols - c));
        for (size_t i = 0; i < n; i++)
          s[j + i][0] = _mm512_dpbf16_ps (s[j + i][0], a, load_pairs (x + i * x_stride + c, ~0u));
      }
  for (size_t i = 0; i < n_w * n; i++)
    y[i * y_stride] = _mm512_reduce_add_ps (_mm512_add_ps (s[i][0], s[i][1]));
}

static void
few_rows (const uint16_t *w, size_t w_stride, size_t n_j, size_t n_cols, const float *x, size_t x_stride,
          size_t n_r, float *y, size_t y_stride, uint16_t *rounded)
{
  size_t whole = (n_cols + 31) / 32 * 32, r = 0;
  for (size_t i = 0; i < n_r; i++)
    round_row (x + i * x_stride, n_cols, rounded + i * whole);
  const size_t n_side = n_r == 1 ? n_j / SIDE : 0;
  for (size_t j = 0; j < n_side; j++)
    dots (w + j * w_stride, n_side * w_stride, SIDE, n_cols, rounded, 0, 1, y + j, n_side);
  w += SIDE * n_side * w_stride;
  for (size_t j = SIDE * n_side; j < n_j; j++, w += w_stride)
    {
      for (r = 0; r + 4 <= n_r; r += 4)
        dots (w, 0, 1, n_cols, rounded + r * whole, whole, 4, y + r * y_stride + j, y_stride);
      for (; r + 2 <= n_r; r += 2)
        dots (w, 0, 1, n_cols, rounded + r * whole, whole, 2, y + r * y_stride + j, y_stride);
      if (r < n_r)
        dots (w, 0, 1, n_cols, rounded + r * whole, whole, 1, y + r * y_stride + j, y_stride);
    }
}

/* --- many rows --- */

/* @n_j rows, 16 or fewer, as pairs [n_cols / 2][16]; missing rows and columns up to a whole register are zero. */
INLINE void
pack_rows (const uint16_t *w, size_t w_stride, size_t n_j, size_t n_cols, uint32_t *panel)
{
  for (size_t c = 0; c < n_cols; c += 32)
    {
      __mmask32 mask = pairs_of (n_cols - c);
      __m512 r[16];
      UNROLLED (16) for (size_t j = 0; j < 16; j++)
        r[j] = j < n_j ? (__m512) load_pairs (w + j * w_stride + c, mask) : _mm512_setzero_ps ();
      transpose (r);
      UNROLLED (16) for (size_t k = 0; k < 16; k++)
        _mm512_store_ps (panel + (c / 2 + k) * 16, r[k]);
    }
}

/* The usual number of rows as a constant: the block stays in registers. */
static void
pack_pairs (const uint16_t *w, size_t w_stride, size_t n_j, size_t n_cols, uint32_t *panel)
{
  if (n_j == 16)
    pack_rows (w, w_stride, 16, n_cols, panel);
  else
    pack_rows (w, w_stride, n_j, n_cols, panel);
}

/* @n rows of @x, X_STRIDE apart, against a panel. @adds: to what @y holds. */
INLINE void
panel_tile (const uint32_t *panel, size_t n_pairs, const uint16_t *x, int n, float *y, size_t y_stride,
            __mmask16 mask, bool adds)
{
  __m512 s[TILE_ROWS];
  for (int i = 0; i < n; i++)
    s[i] = adds ? _mm512_maskz_loadu_ps (mask, y + (size_t) i * y_stride) : _mm512_setzero_ps ();
  for (size_t c = 0; c < n_pairs; c++)
    {
      __m512bh a = (__m512bh) _mm512_load_ps (panel + c * 16);
      for (int i = 0; i < n; i++)
        {
          int pair;
          memcpy (&pair, x + (size_t) i * X_STRIDE + 2 * c, sizeof pair);
          s[i] = _mm512_dpbf16_ps (s[i], a, (__m512bh) _mm512_set1_epi32 (pair));
        }
    }
  for (int i = 0; i < n; i++)
    _mm512_mask_storeu_ps (y + (size_t) i * y_stride, mask, s[i]);
}

static void
panel_rows (const uint32_t *panel, size_t n_pairs, const uint16_t *x, size_t n, float *y, size_t y_stride,
            __mmask16 mask, bool adds)
{
  size_t r = 0;
  if (n == TILE_ROWS)
    {
      panel_tile (panel, n_pairs, x, TILE_ROWS, y, y_stride, mask, adds);
      return;
    }
  for (; r + 4 <= n; r += 4)
    panel_tile (panel, n_pairs, x + r * X_STRIDE, 4, y + r * y_stride, y_stride, mask, adds);
  for (; r < n; r++)
    panel_tile (panel, n_pairs, x + r * X_STRIDE, 1, y + r * y_stride, y_stride, mask, adds);
}

/* Up to PANELS panels of weights, BLOCK_COLS columns. */
static void
product_block (const uint16_t *w, size_t w_stride, size_t n_j, size_t n_cols, const float *x, size_t x_stride,
               size_t n_r, float *y, size_t y_stride, bool adds, void *scratch)
{
  size_t n_pairs = (n_cols + 31) / 32 * 16;
  uint32_t *panels = scratch;
  uint16_t *rounded = (uint16_t *) (panels + PANELS * BLOCK_COLS / 2 * 16);
  for (size_t j = 0; j < n_j; j += 16)
    pack_pairs (w + j * w_stride, w_stride, n_j - j < 16 ? n_j - j : 16, n_cols, panels + j * n_pairs);
  for (size_t r = 0, n; r < n_r; r += n)
    {
      n = n_r - r < TILE_ROWS ? n_r - r : TILE_ROWS;
      for (size_t i = 0; i < n; i++)
        round_row (x + (r + i) * x_stride, n_cols, rounded + i * X_STRIDE);
      for (size_t j = 0; j < n_j; j += 16)
        panel_rows (panels + j * n_pairs, n_pairs, rounded, n, y + r * y_stride + j, y_stride, first_of (n_j - j),
                    adds);
    }
}

static_assert (PANELS * BLOCK_COLS / 2 * 16 * 4 + TILE_ROWS * X_STRIDE * 2 <= ENG_FLOAT_SCRATCH (0) * 4,
               "the panels and a tile fit into the scratch");
static_assert (FEW_ROWS * 2 <= ENG_FLOAT_PANEL * 4, "few rows, rounded, fit into the scratch");

static void
product_BF16 (const void *weights, size_t w_stride, size_t n_j, size_t n_cols, const float *x, size_t x_stride,
              size_t n_r, float *y, size_t y_stride, float *scratch)
{
  const uint16_t *w = weights;
  if (n_r <= FEW_ROWS)
    {
      few_rows (w, w_stride, n_j, n_cols, x, x_stride, n_r, y, y_stride, (uint16_t *) (void *) scratch);
      return;
    }
  /* Also once where there are no columns: the sums are zeros then. */
  size_t c = 0;
  do
    {
      size_t cols = n_cols - c < BLOCK_COLS ? n_cols - c : BLOCK_COLS;
      for (size_t j = 0; j < n_j; j += 16 * PANELS)
        product_block (w + j * w_stride + c, w_stride, n_j - j < 16 * PANELS ? n_j - j : 16 * PANELS, cols, x + c,
                       x_stride, n_r, y + j, y_stride, c != 0, scratch);
      c += cols;
    }
  while (c < n_cols);
}

void
eng_product_float_init_avx512_bf16 (EngKernels *k)
{
  k->product_float[ENG_FLOAT_BF16] = product_BF16;
  k->rounds_to_bf16 = true;
}
