/* SPDX-License-Identifier: Apache-2.0 */
/* Products of BF16 weights where the processor multiplies pairs of such numbers (twice as many a cycle as
 * float32). The activations are rounded to BF16 for that, however many rows there are, so that a row's
 * result does not depend on its neighbours. The weights are read as the file has them. */
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "eng-kernels.h"
#include "eng-tiers.h"

#define INLINE static inline __attribute__ ((always_inline))

/* Columns handled in one go: what a tile reads of the activations stays in the first-level cache. */
#define BLOCK_COLS ((size_t) 2048)
#define TILE_ROWS 6
#define TILE_WEIGHTS 4
#define MOST_ROWS ((size_t) 30)

/* Pairs of a row, 32 columns a register. */
INLINE __m512bh
load_pairs (const uint16_t *p, __mmask32 mask)
{
  return (__m512bh) _mm512_maskz_loadu_epi16 (mask, p);
}

/* @n_cols numbers, then zeros up to whole registers. */
static void
round_row (const float *x, size_t n_cols, uint16_t *out)
{
  for (size_t c = 0; c < n_cols; c += 16)
    {
      __mmask16 mask = n_cols - c < 16 ? (__mmask16) ((1u << (n_cols - c)) - 1u) : 0xffff;
      _mm256_storeu_si256 ((__m256i *) (out + c), (__m256i) _mm512_cvtneps_pbh (_mm512_maskz_loadu_ps (mask, x + c)));
    }
  if (n_cols % 32 != 0 && n_cols % 32 <= 16)
    _mm256_storeu_si256 ((__m256i *) (out + n_cols / 32 * 32 + 16), _mm256_setzero_si256 ());
}

/* The sums over the lanes of four registers. */
INLINE __m128
sum_four (__m512 a, __m512 b, __m512 c, __m512 d)
{
  __m512 ab = _mm512_add_ps (_mm512_unpacklo_ps (a, b), _mm512_unpackhi_ps (a, b));
  __m512 cd = _mm512_add_ps (_mm512_unpacklo_ps (c, d), _mm512_unpackhi_ps (c, d));
  __m512d p = _mm512_castps_pd (ab), q = _mm512_castps_pd (cd);
  __m512 all = _mm512_add_ps (_mm512_castpd_ps (_mm512_unpacklo_pd (p, q)),
                              _mm512_castpd_ps (_mm512_unpackhi_pd (p, q)));
  __m256 half = _mm256_add_ps (_mm512_castps512_ps256 (all), _mm512_extractf32x8_ps (all, 1));
  return _mm_add_ps (_mm256_castps256_ps128 (half), _mm256_extractf128_ps (half, 1));
}

/* What of a product a tile takes: @x rows of rounded activations, @x_stride apart. @adds: to what @y holds. */
typedef struct
{
  const uint16_t *w, *x;
  size_t w_stride, x_stride, n_cols, y_stride;
  float *y;
  bool adds;
} Tile;

/* Four rows of weights and @n rows of activations. */
INLINE void
tile_of_four (const Tile *t, size_t j, size_t r, int n)
{
  const uint16_t *w = t->w + j * t->w_stride, *x = t->x + r * t->x_stride;
  __m512 s[TILE_ROWS][TILE_WEIGHTS];
  for (int i = 0; i < n; i++)
    for (int k = 0; k < TILE_WEIGHTS; k++)
      s[i][k] = _mm512_setzero_ps ();
  for (size_t c = 0; c < t->n_cols; c += 32)
    {
      __mmask32 mask = t->n_cols - c < 32 ? (1u << (t->n_cols - c)) - 1u : ~0u;
      __m512bh a[TILE_WEIGHTS];
      for (int k = 0; k < TILE_WEIGHTS; k++)
        a[k] = load_pairs (w + (size_t) k * t->w_stride + c, mask);
      for (int i = 0; i < n; i++)
        {
          __m512bh b = load_pairs (x + (size_t) i * t->x_stride + c, ~0u);
          for (int k = 0; k < TILE_WEIGHTS; k++)
            s[i][k] = _mm512_dpbf16_ps (s[i][k], a[k], b);
        }
    }
  for (int i = 0; i < n; i++)
    {
      float *y = t->y + (r + (size_t) i) * t->y_stride + j;
      __m128 sums = sum_four (s[i][0], s[i][1], s[i][2], s[i][3]);
      _mm_storeu_ps (y, t->adds ? _mm_add_ps (_mm_loadu_ps (y), sums) : sums);
    }
}

/* One row of weights and @n <= 4 rows of activations: for a few rows, of which memory is the limit and one
 * stream is read fastest (eng-product-float-avx512.c), and what four rows of weights leave. */
INLINE void
tile_of_one (const Tile *t, size_t j, size_t r, int n)
{
  const uint16_t *w = t->w + j * t->w_stride, *x = t->x + r * t->x_stride;
  __m512 s[4][2];
  size_t c = 0;
  for (int i = 0; i < n; i++)
    s[i][0] = s[i][1] = _mm512_setzero_ps ();
  for (; c + 64 <= t->n_cols; c += 64)
    for (int k = 0; k < 2; k++)
      {
        __m512bh a = load_pairs (w + c + 32 * k, ~0u);
        for (int i = 0; i < n; i++)
          s[i][k] = _mm512_dpbf16_ps (s[i][k], a, load_pairs (x + (size_t) i * t->x_stride + c + 32 * k, ~0u));
      }
  for (; c < t->n_cols; c += 32)
    {
      __m512bh a = load_pairs (w + c, t->n_cols - c < 32 ? (1u << (t->n_cols - c)) - 1u : ~0u);
      for (int i = 0; i < n; i++)
        s[i][0] = _mm512_dpbf16_ps (s[i][0], a, load_pairs (x + (size_t) i * t->x_stride + c, ~0u));
    }
  for (int i = 0; i < n; i++)
    {
      float *y = t->y + (r + (size_t) i) * t->y_stride + j;
      float sum = _mm512_reduce_add_ps (_mm512_add_ps (s[i][0], s[i][1]));
      *y = t->adds ? *y + sum : sum;
    }
}

static void
one_weight (const Tile *t, size_t j, size_t n_r)
{
  size_t r = 0;
  for (; r + 4 <= n_r; r += 4)
    tile_of_one (t, j, r, 4);
  for (; r + 2 <= n_r; r += 2)
    tile_of_one (t, j, r, 2);
  if (r < n_r)
    tile_of_one (t, j, r, 1);
}

static void
product_rows (const Tile *t, size_t n_j, size_t n_r)
{
  size_t j = 0;
  for (; n_r >= TILE_ROWS && j + TILE_WEIGHTS <= n_j; j += TILE_WEIGHTS)
    {
      size_t r = 0;
      for (; r + TILE_ROWS <= n_r; r += TILE_ROWS)
        tile_of_four (t, j, r, TILE_ROWS);
      for (; r + 2 <= n_r; r += 2)
        tile_of_four (t, j, r, 2);
      if (r < n_r)
        tile_of_four (t, j, r, 1);
    }
  for (; j < n_j; j++)
    one_weight (t, j, n_r);
}

static void
product_BF16 (const void *w, size_t w_stride, size_t n_j, size_t n_cols, const float *x, size_t x_stride,
              size_t n_r, float *y, size_t y_stride, float *scratch)
{
  uint16_t *rounded = (uint16_t *) (void *) scratch;
  if (n_cols == 0)
    for (size_t r = 0; r < n_r; r++)
      for (size_t j = 0; j < n_j; j++)
        y[r * y_stride + j] = 0;
  for (size_t c = 0; c < n_cols; c += BLOCK_COLS)
    {
      size_t cols = n_cols - c < BLOCK_COLS ? n_cols - c : BLOCK_COLS, whole = (cols + 31) / 32 * 32;
      /* 32 rows of n_cols fit into the scratch; rows whole registers long, at least one. */
      size_t most = 2 * ENG_FLOAT_PANEL * n_cols / whole;
      most = most < MOST_ROWS ? most : MOST_ROWS;
      for (size_t r0 = 0, n; r0 < n_r; r0 += n)
        {
          n = n_r - r0 < most ? n_r - r0 : most;
          for (size_t r = 0; r < n; r++)
            round_row (x + (r0 + r) * x_stride + c, cols, rounded + r * whole);
          Tile tile = { (const uint16_t *) w + c, rounded, w_stride, whole, cols, y_stride,
                        y + r0 * y_stride, c != 0 };
          product_rows (&tile, n_j, n);
        }
    }
}

void
eng_product_float_init_avx512_bf16 (EngKernels *k)
{
  k->product_float[ENG_FLOAT_BF16] = product_BF16;
  k->rounds_to_bf16 = true;
}
