/* SPDX-License-Identifier: Apache-2.0 */
/* The CPU kernels: one typedef per signature, one table of pointers. Plain C references stand in ref/
 * and are always there; x86/ and arm64/ replace entries by faster ones, tier after tier. Every entry
 * of every tier is held against the reference by tests/kernels.
 *
 * Rules for all kernels: they allocate nothing, keep no state, may run on any number of threads, and
 * touch nothing but the elements named. Pointers need only the alignment of their element type
 * unless said otherwise; n may be 0. Float results may differ between tiers by the rounding of another
 * order of summation, never by more than the bound kernel check states beside each. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "eng-pack.h"

/* sum a[i] * b[i] */
typedef float (*EngDotFunc) (const float *a, const float *b, size_t n);

/* y[i] += s * x[i] */
typedef void (*EngAxpyFunc) (float s, const float *x, float *y, size_t n);

/* y = x * w / sqrt (mean (x^2) + eps). w may be NULL (all ones); y may be x.
 * The mean is accumulated so that its relative error stays below n * 2^-26. */
typedef void (*EngRmsNormFunc) (const float *x, const float *w, float eps, float *y, size_t n);

/* y = (x - mean) / sqrt (var + eps) * w + b. w and b may be NULL; y may be x. */
typedef void (*EngLayerNormFunc) (const float *x, const float *w, const float *b, float eps, float *y,
                                  size_t n);

/* y = f (x); y may be x. */
typedef void (*EngUnaryFunc) (const float *x, float *y, size_t n);

/* y = f (gate) * up; y may be gate or up. */
typedef void (*EngGluFunc) (const float *gate, const float *up, float *y, size_t n);

/* x[i] = exp (x[i] - max); returns the sum. max is finite and >= every x; x may hold -infinity. */
typedef float (*EngExpSumFunc) (float *x, float max, size_t n);

/* The largest of x; -infinity for n = 0. x holds no NaN. */
typedef float (*EngMaxFunc) (const float *x, size_t n);

/* Half precision to and from float32, round to nearest even; NaN stays NaN. */
typedef void (*EngHalfToFloatFunc) (const uint16_t *x, float *y, size_t n);
typedef void (*EngFloatToHalfFunc) (const float *x, uint16_t *y, size_t n);

/* --- integer products --- */

/* Activations of T rows as signed bytes in blocks of 32 along the columns:
 *   q    [n_cols / 32][T][32]   x is about d * q, |q| <= 127
 *   q16  finer ones, x is about d / 16 * q16, |q16| <= 2032; only if EngKernels.wants_q16. Tiers that
 *        must widen 8-bit weights to 16 bits anyway get the better activations for nothing. Of every four
 *        columns in the order 0, 2, 1, 3: as the bytes of even and of odd place come out of a register.
 *   meta [n_cols / 32][4][T]    d; d * sum of the block's q; the sums of its first and last 16 q
 * so that what a product reads for one block of columns lies together. */
typedef struct
{
  int8_t *q;
  int16_t *q16;
  float *meta;
  uint32_t n_rows; /* T, >= 1 */
} EngQuantTile;
#define ENG_QUANT_META 4
#define ENG_QUANT_FINE 16

/* Fill row @i_row of @tile with @x, n_cols a multiple of 32 and finite values: d = max |x| / 127 of the
 * block, q = x / d and q16 = 16 x / d to the nearest integer. The same in all tiers. */
typedef void (*EngQuantizeFunc) (const float *x, size_t n_cols, const EngQuantTile *tile,
                                 uint32_t i_row);

/* y[r * y_stride + j] = sum over columns of w[j] * x[r], for all rows r of the tile and the
 * panel_rows rows j of each of @n_panels panels (eng-pack.h) that follow each other, the next panel's behind
 * the last's. Writes all of these values of each row; writes, never adds. Sums of each block of 32 (16)
 * columns are exact integers, and what a panel gives is the same whatever stands beside it. */
typedef void (*EngProductFunc) (const uint8_t *panels, size_t n_panels, size_t n_cols, const EngQuantTile *x,
                                float *y, size_t y_stride);

/* --- products of 16-bit and 32-bit floats as the file stores them --- */

/* y[r * y_stride + j] = sum of w[j] * x[r] for j < n_j rows of weights, @w_stride elements apart, and
 * r < n_r rows of float32 activations. @scratch: ENG_FLOAT_SCRATCH (n_cols) floats, aligned to 64 bytes.
 * Where EngKernels.rounds_to_bf16, the product with BF16 weights rounds the activations to BF16 (to the
 * nearest, each by at most 2^-8 of itself), whatever n_r is. */
typedef void (*EngProductFloatFunc) (const void *w, size_t w_stride, size_t n_j, size_t n_cols,
                                     const float *x, size_t x_stride, size_t n_r, float *y,
                                     size_t y_stride, float *scratch);
#define ENG_FLOAT_PANEL 16u
#define ENG_FLOAT_SCRATCH(n_cols) ((n_cols) * (ENG_FLOAT_PANEL + 1) + 43008u)
typedef enum
{
  ENG_FLOAT_F32,
  ENG_FLOAT_F16,
  ENG_FLOAT_BF16,
  ENG_FLOAT_N,
} EngFloatFormat;

/* --- the same products with many rows of activations, by integers of 16 bits --- */

/* Activations of T rows in blocks of 64 columns:
 *   q     [blocks][T][64]  x is about scale * q; a row's last block is filled up with zeros
 *   scale [blocks][T]      of a block the smallest with which |x| / scale is at most 32,767 and their sum at most 262,000
 *                          (but not below 1e-30); NaN where a number is not finite
 * A row's weights of a block become integers up to 8,191 in the same way, so that the sum of a block's products stays
 * below 2^31. Of normally distributed numbers each side is rounded by about 1e-4 of its length: half of what rounding the
 * activations to half precision costs. */
typedef struct
{
  int16_t *q;
  float *scale;
  uint32_t n_rows; /* T, >= 1 */
} EngWordTile;
#define ENG_WORD_BLOCK 64u
#define ENG_WORD_SUM 262000.0f
#define ENG_WORD_WEIGHT 8191.0f
#define ENG_WORD_SMALLEST 1e-30f

/* Row @i_row of @tile from @x. */
typedef void (*EngQuantizeWordsFunc) (const float *x, size_t n_cols, const EngWordTile *tile, uint32_t i_row);

/* As EngProductFloatFunc, of the tile's first @n_r rows. A weight that is not finite makes its row's results NaN. */
typedef void (*EngProductWordsFunc) (const void *w, size_t w_stride, size_t n_j, size_t n_cols,
                                     const EngWordTile *x, size_t n_r, float *y, size_t y_stride, float *scratch);

/* --- both with many rows of activations, by tiles of BF16 numbers --- */

/* Activations of T rows: high [T / 16][n_cols / 32][16][32], both rounded up; each number rounded to the nearest BF16, and zeros
 * up to a whole block of columns; low: what high is short of, rounded in the same way, or NULL. Both aligned to 64 bytes; what
 * stands in rows of the last 16 that there are not does not matter. */
typedef struct
{
  uint16_t *high, *low;
} EngTileRows;
#define ENG_TILE_ROWS 16u
#define ENG_TILE_COLS 32u
/* Numbers of 16 rows. */
#define ENG_TILE_STRIDE(n_cols) (((size_t) (n_cols) + 31) / 32 * 512)

/* Row @i_row from @x. */
typedef void (*EngRoundRowFunc) (const float *x, size_t n_cols, const EngTileRows *rows, uint32_t i_row);

/* y[r * y_stride + j] = sum of w[j] * x[r] for all rows j of @n_panels panels of 16 rows (eng-pack.h), whatever the table's
 * panel_rows is, that follow each other, and r < @n_r: of the rows' high parts and of the weights rounded to BF16, each by at
 * most 1.4 * 2^-8 of itself. @scratch as for EngProductFloatFunc. */
typedef void (*EngProductTilesFunc) (EngPack pack, const uint8_t *panels, size_t n_panels, size_t n_cols,
                                     const EngTileRows *x, size_t n_r, float *y, size_t y_stride, float *scratch);
/* As EngProductFloatFunc with weights of F16 or BF16, of rows that have low parts: rounded by about 2^-16 of each product. */
typedef void (*EngProductTilesFloatFunc) (EngFloatFormat format, const void *w, size_t w_stride, size_t n_j, size_t n_cols,
                                          const EngTileRows *x, size_t n_r, float *y, size_t y_stride, float *scratch);

/* y[r * y_stride + j] = sum over k < @n_k of x[r][k] * h[j / 16 * panel_stride + k * k_stride + j % 16], or with @adds so much more, for
 * j < @n_j and r < @n_r rows that have low parts; h is half precision. For the keys and values of attention, which are read so:
 * keys are 16 positions wide, values rows. Rounded as EngProductTilesFloatFunc. */
typedef void (*EngProductHalvesFunc) (const uint16_t *h, size_t k_stride, size_t panel_stride, size_t n_k, size_t n_j,
                                      const EngTileRows *x, size_t n_r, bool adds, float *y, size_t y_stride, float *scratch);

/* --- attention over half-precision keys and values --- */

/* Scores of n_q queries against 16 neighbouring positions: scores[i * s_stride + p] = sum over c of
 * q[i * q_stride + c] * keys[c * 16 + p]. */
typedef void (*EngScoreFunc) (const uint16_t *keys, size_t width, const float *q, size_t q_stride,
                              size_t n_q, float *scores, size_t s_stride);
#define ENG_KEY_GROUP 16u
/* out[i * o_stride + c] += sum over p of weights[i * w_stride + p] * values[p * width + c]. */
typedef void (*EngMixFunc) (const uint16_t *values, size_t width, size_t n_positions,
                            const float *weights, size_t w_stride, size_t n_q, float *out,
                            size_t o_stride);

/* The same over keys and values of 8 bits: as score with keys[c * 16 + p] = codes[c * 16 + p] * scales[c / 32 * 16 + p], and as
 * mix with values[p * width + c] = codes[p * width + c] * scales[p * ENG_KV_SCALES (width) + c / 32]. Scales are halves. */
#define ENG_KV_SCALES(width) (((width) + 31u) / 32u)
typedef void (*EngScoreCodesFunc) (const int8_t *codes, const uint16_t *scales, size_t width, const float *q, size_t q_stride,
                                   size_t n_q, float *scores, size_t s_stride);
typedef void (*EngMixCodesFunc) (const int8_t *codes, const uint16_t *scales, size_t width, size_t n_positions,
                                 const float *weights, size_t w_stride, size_t n_q, float *out, size_t o_stride);

/* 16 neighbouring keys, number by number, as rows of values: rows[p * stride + c] = keys[c * 16 + p], c < n. */
typedef void (*EngTurnKeysFunc) (const uint16_t *keys, size_t n, uint16_t *rows, size_t stride);

/* --- gated delta rule --- */

/* ENG_DELTA_COLUMNS or fewer columns of a matrix S [n_k][n_v], through n_rows rows one after the other:
 *   S = decay * S;  S += k (rate * (v - S^T k))^T;  out = S^T q
 * Row r's q, k [n_k] and v [n_v] stand r * stride floats behind the first's, and so on. Nothing overlaps. */
#define ENG_DELTA_COLUMNS 32u
typedef struct
{
  float *s;
  size_t n_k, n_v, n_rows;
  const float *q, *k, *v;
  size_t stride;
  const float *decay, *rate;
  size_t rate_stride;
  float *out;
  size_t out_stride;
} EngDelta;
typedef void (*EngDeltaFunc) (const EngDelta *delta);

typedef struct
{
  EngDotFunc dot;
  EngAxpyFunc axpy;
  EngRmsNormFunc rms_norm;
  EngLayerNormFunc layer_norm;
  EngUnaryFunc silu, gelu_tanh, gelu_erf;
  EngGluFunc silu_mul, gelu_tanh_mul, gelu_erf_mul;
  EngExpSumFunc exp_sum;
  EngMaxFunc max;
  EngHalfToFloatFunc half_to_float;
  EngFloatToHalfFunc float_to_half;

  uint32_t panel_rows; /* P of the products: 8 or 16 */
  bool wants_q16;
  EngQuantizeFunc quantize;
  EngProductFunc product[ENG_PACK_N];
  EngProductFloatFunc product_float[ENG_FLOAT_N];
  bool rounds_to_bf16;
  EngQuantizeWordsFunc quantize_words;
  EngProductWordsFunc product_words[ENG_FLOAT_N]; /* NULL for F32, whose numbers are finer than such integers */
  uint32_t words_from[ENG_FLOAT_N]; /* rows of activations from which on they are faster than product_float; 0: never */

  EngRoundRowFunc round_row;
  EngProductTilesFunc product_tiles;
  EngProductTilesFloatFunc product_tiles_float;
  EngProductHalvesFunc product_halves;
  uint32_t tiles_from; /* rows of activations from which on both are faster than the others; 0: never, as where panel_rows is not 16 */

  EngScoreFunc score;
  EngMixFunc mix;
  EngScoreCodesFunc score_codes;
  EngMixCodesFunc mix_codes;
  EngTurnKeysFunc turn_keys;
  EngDeltaFunc delta;
} EngKernels;

/* Fill @kernels with the plain C references. */
void eng_kernels_init_ref (EngKernels *kernels);

/* The references, then in rising order the tiers of @tiers (EngCpuTier bits, eng-cpu-features.h) that
 * this build has. The caller passes only tiers that the processor can run. Returns those applied. */
uint32_t eng_kernels_init (EngKernels *kernels, uint32_t tiers);
