/* SPDX-License-Identifier: Apache-2.0 */
/* Plain C references of the products by integers of 16 bits: what they round, and nothing else. */
#include "eng-ref.h"

#include <math.h>

#include "eng-half.h"

/* @n <= ENG_WORD_BLOCK numbers to the nearest multiples of the scale, which is returned. */
static float
to_words (const float *x, size_t n, float most, float most_of_all, int16_t *q)
{
  double sum = 0, max = 0;
  for (size_t i = 0; i < n; i++)
    {
      sum += fabs (x[i]);
      max = fmax (max, fabs (x[i]));
    }
  float scale = isfinite (sum)
                    ? fmaxf ((float) fmax (sum / most_of_all, max / most), ENG_WORD_SMALLEST)
                    : NAN;
  for (size_t i = 0; i < ENG_WORD_BLOCK; i++)
    q[i] = i < n && isfinite (scale) ? (int16_t) rintf (x[i] / scale) : 0;
  return scale;
}

static void
ref_quantize_words (const float *x, size_t n_cols, const EngWordTile *tile, uint32_t i_row)
{
  for (size_t c = 0, at = i_row; c < n_cols; c += ENG_WORD_BLOCK, at += tile->n_rows)
    {
      size_t n = n_cols - c < ENG_WORD_BLOCK ? n_cols - c : ENG_WORD_BLOCK;
      tile->scale[at] = to_words (x + c, n, INT16_MAX, ENG_WORD_SUM, tile->q + at * ENG_WORD_BLOCK);
    }
}

static void
ref_product_words (float (*to_float) (uint16_t h), const uint16_t *w, size_t w_stride, size_t n_j,
                   size_t n_cols, const EngWordTile *x, size_t n_r, float *y, size_t y_stride)
{
  for (size_t j = 0; j < n_j; j++)
    {
      for (size_t r = 0; r < n_r; r++)
        y[r * y_stride + j] = 0;
      for (size_t c = 0, b = 0; c < n_cols; c += ENG_WORD_BLOCK, b++)
        {
          float weights[ENG_WORD_BLOCK];
          int16_t words[ENG_WORD_BLOCK];
          size_t n = n_cols - c < ENG_WORD_BLOCK ? n_cols - c : ENG_WORD_BLOCK;
          for (size_t i = 0; i < n; i++)
            weights[i] = to_float (w[j * w_stride + c + i]);
          float scale = to_words (weights, n, ENG_WORD_WEIGHT, INFINITY, words);
          for (size_t r = 0; r < n_r; r++)
            {
              const int16_t *q = x->q + (b * x->n_rows + r) * ENG_WORD_BLOCK;
              int32_t sum = 0;
              for (size_t i = 0; i < ENG_WORD_BLOCK; i++)
                sum += words[i] * q[i];
              y[r * y_stride + j] += scale * x->scale[b * x->n_rows + r] * (float) sum;
            }
        }
    }
}

#define ENG_REF_PRODUCT_WORDS(name, to_float)                                                      \
  static void ref_product_words_##name (const void *w, size_t w_stride, size_t n_j, size_t n_cols, \
                                        const EngWordTile *x, size_t n_r, float *y,                \
                                        size_t y_stride, float *scratch)                           \
  {                                                                                                \
    (void) scratch;                                                                                \
    ref_product_words (to_float, w, w_stride, n_j, n_cols, x, n_r, y, y_stride);                   \
  }
ENG_REF_PRODUCT_WORDS (F16, eng_f16_to_f32)
ENG_REF_PRODUCT_WORDS (BF16, eng_bf16_to_f32)

void
eng_ref_init_words (EngKernels *k)
{
  k->quantize_words = ref_quantize_words;
  k->product_words[ENG_FLOAT_F32] = NULL;
  k->product_words[ENG_FLOAT_F16] = ref_product_words_F16;
  k->product_words[ENG_FLOAT_BF16] = ref_product_words_BF16;
  for (int i = 0; i < ENG_FLOAT_N; i++)
    k->words_from[i] = 0;
}
