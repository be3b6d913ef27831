/* SPDX-License-Identifier: Apache-2.0 */
/* Products of many rows by tiles of BF16 numbers, against double arithmetic. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "eng-half.h"
#include "eng-quant.h"

#define EPS 0x1p-24
#define P ENG_TILE_ROWS

static EngTileRows
make_rows (const EngKernels *k, const float *x, size_t n_cols, uint32_t t, bool low)
{
  size_t bytes = (t + P - 1) / P * ENG_TILE_STRIDE (n_cols) * sizeof (uint16_t);
  EngTileRows rows = { check_output (bytes, 0), low ? check_output (bytes, 0) : NULL };
  for (uint32_t r = 0; r < t; r++)
    k->round_row (x + r * n_cols, n_cols, &rows, r);
  return rows;
}

/* What the rows promise of row @r. */
static void
check_row (const EngTileRows *rows, const float *x, size_t n_cols, uint32_t r)
{
  for (size_t c = 0; c < ENG_TILE_STRIDE (n_cols) / P; c++)
    {
      size_t at = r / P * ENG_TILE_STRIDE (n_cols) + c / ENG_TILE_COLS * P * ENG_TILE_COLS + r % P * ENG_TILE_COLS
                  + c % ENG_TILE_COLS;
      double number = c < n_cols ? x[c] : 0, high = eng_bf16_to_f32 (rows->high[at]);
      if (!check_near (high, number, fabs (number) * 0x1p-8 + 1.2e-38))
        CHECK_FAILED ("rows of K %zu: %g at %zu is %g", n_cols, number, c, high);
      if (rows->low != NULL && !check_near (high + eng_bf16_to_f32 (rows->low[at]), number, fabs (number) * 0x1p-16 + 1.2e-38))
        CHECK_FAILED ("rows of K %zu: %g at %zu is %g + %g", n_cols, number, c, high, eng_bf16_to_f32 (rows->low[at]));
    }
}

/* Row @r of @y is what @w and @x make, each product off by at most @loss of itself. */
static void
check_sums (const char *what, const float *w, const float *x, size_t n_cols, size_t n_j, size_t r, const float *y, double loss)
{
  for (size_t j = 0; j < n_j; j++)
    {
      double want = 0, size = 0, tiny = 0;
      for (size_t c = 0; c < n_cols; c++)
        {
          want += (double) w[j * n_cols + c] * x[c];
          size += fabs ((double) w[j * n_cols + c] * x[c]);
          tiny += 1.2e-38 * (fabs (w[j * n_cols + c]) + fabs (x[c]) + 1); /* below it, numbers count as zero */
        }
      if (!check_near (y[j], want, size * (loss + (double) n_cols * EPS) + tiny))
        CHECK_FAILED ("tiles, %s K %zu row %zu weight %zu: %g, expected %g +- %g", what, n_cols, r, j, y[j], want,
                      size * loss);
    }
}

static void
check_gaps (const char *what, const float *y, size_t y_stride, size_t n_j, size_t n_r)
{
  for (size_t r = 0; r + 1 < n_r; r++)
    for (size_t j = n_j; j < y_stride; j++)
      if (memcmp (&y[r * y_stride + j], "\xff\xff\xff\xff", 4) != 0)
        CHECK_FAILED ("tiles, %s wrote between its rows", what);
}

/* Weights of @type's blocks, rows of several kinds. */
static void
fill_weights (float *w, size_t n_rows, size_t n_cols)
{
  for (size_t j = 0; j < n_rows; j++)
    check_fill (w + j * n_cols, n_cols, j == 1 ? VALUES_ZERO : j % 3 == 2 ? VALUES_OUTLIER : VALUES_RANDOM);
}

static void
check_packed (const EngKernels *k, EngPack pack, size_t n_panels, size_t n_cols, uint32_t t, CheckValues values)
{
  const EngPackInfo *info = eng_pack_get_info (pack);
  size_t n_rows = n_panels * P - 1, panel_bytes = eng_pack_panel_bytes (info, P, n_cols), y_stride = n_panels * P + 3;
  uint64_t row_bytes;
  eng_type_row_bytes (info->type, n_cols, &row_bytes);
  float *w = calloc (n_panels * P * n_cols, sizeof *w), *x = check_guarded (t * n_cols * sizeof *x);
  uint8_t *file = malloc (n_rows * row_bytes), *panels = check_guarded (n_panels * panel_bytes);
  float *y = check_output ((y_stride * (t - 1) + n_panels * P) * sizeof *y, 4),
        *scratch = check_output (ENG_FLOAT_SCRATCH (n_cols) * sizeof *scratch, 0);
  fill_weights (w, n_rows, n_cols);
  if (eng_quantize_rows (info->type, w, file, n_rows, n_cols, NULL, NULL) != ENG_OK)
    CHECK_FAILED ("cannot encode %s", eng_type_get_name (info->type));
  for (size_t j = 0; j < n_rows; j++)
    eng_dequantize_row (info->type, file + j * row_bytes, w + j * n_cols, n_cols);
  for (size_t i = 0; i < n_panels; i++)
    eng_pack_panel (pack, P, file + i * P * row_bytes, row_bytes, i + 1 < n_panels ? P : P - 1, n_cols,
                    panels + i * panel_bytes);
  for (uint32_t r = 0; r < t; r++)
    check_fill (x + r * n_cols, n_cols, r == 2 ? VALUES_ZERO : values);
  EngTileRows rows = make_rows (k, x, n_cols, t, false);
  for (uint32_t r = 0; r < t; r++)
    check_row (&rows, x + r * n_cols, n_cols, r);
  k->product_tiles (pack, panels, n_panels, n_cols, &rows, t, y, y_stride, scratch);
  for (uint32_t r = 0; r < t; r++)
    check_sums (eng_type_get_name (info->type), w, x + r * n_cols, n_cols, n_panels * P, r, y + r * y_stride, 2.42 * 0x1p-8);
  check_gaps (eng_type_get_name (info->type), y, y_stride, n_panels * P, t);
  free (w);
  free (file);
  if (!check_free_all ())
    CHECK_FAILED ("tiles, %s K %zu rows %u wrote outside its output", eng_type_get_name (info->type), n_cols, t);
}

/* Weights that BF16 holds are not rounded: the codes of Q8_0 with a scale of a power of two, of activations that are whole
 * numbers; every sum is one. */
static void
check_exact (const EngKernels *k)
{
  enum
  {
    N = 64,
    T = 18
  };
  uint64_t row_bytes;
  eng_type_row_bytes (ENG_TYPE_Q8_0, N, &row_bytes);
  float w[P * N], x[T * N], *y = check_output (T * P * 4, 0), *scratch = check_output (ENG_FLOAT_SCRATCH (N) * 4, 0);
  uint8_t file[P * N * 2], *panel = check_output (eng_pack_panel_bytes (eng_pack_get_info (ENG_PACK_Q8_0), P, N), 0);
  for (size_t i = 0; i < P * N; i++)
    w[i] = i % 32 == 0 ? 127.0f : (float) (int) (check_uniform () * 127);
  for (size_t i = 0; i < T * N; i++)
    x[i] = (float) (int) (check_uniform () * 200);
  eng_quantize_rows (ENG_TYPE_Q8_0, w, file, P, N, NULL, NULL);
  eng_pack_panel (ENG_PACK_Q8_0, P, file, row_bytes, P, N, panel);
  EngTileRows rows = make_rows (k, x, N, T, false);
  k->product_tiles (ENG_PACK_Q8_0, panel, 1, N, &rows, T, y, P, scratch);
  for (size_t r = 0; r < T; r++)
    check_sums ("whole numbers", w, x + r * N, N, P, r, y + r * P, 0);
  if (!check_free_all ())
    CHECK_FAILED ("tiles, whole numbers wrote outside its output");
}

static void
check_floats (const EngKernels *k, EngFloatFormat format, size_t n_cols, size_t n_j, uint32_t t, CheckValues values)
{
  const char *what = format == ENG_FLOAT_F16 ? "F16" : "BF16";
  size_t w_stride = n_cols + 3, y_stride = n_j + 2;
  uint16_t *w = check_guarded ((w_stride * (n_j - 1) + n_cols) * sizeof *w);
  float *x = check_guarded (t * n_cols * sizeof *x), *wide = malloc (n_j * n_cols * sizeof *wide + 4);
  float *y = check_output ((y_stride * (t - 1) + n_j) * sizeof *y, 4),
        *scratch = check_output (ENG_FLOAT_SCRATCH (n_cols) * sizeof *scratch, 0);
  fill_weights (wide, n_j, n_cols);
  for (size_t j = 0; j < n_j; j++)
    for (size_t c = 0; c < n_cols; c++)
      {
        float *number = &wide[j * n_cols + c];
        uint16_t h = format == ENG_FLOAT_F16 ? eng_f32_to_f16 (*number) : eng_f32_to_bf16 (*number);
        w[j * w_stride + c] = h;
        *number = format == ENG_FLOAT_F16 ? eng_f16_to_f32 (h) : eng_bf16_to_f32 (h);
      }
  for (uint32_t r = 0; r < t; r++)
    check_fill (x + r * n_cols, n_cols, r == 2 ? VALUES_ZERO : values);
  EngTileRows rows = make_rows (k, x, n_cols, t, true);
  for (uint32_t r = 0; r < t; r++)
    check_row (&rows, x + r * n_cols, n_cols, r);
  k->product_tiles_float (format, w, w_stride, n_j, n_cols, &rows, t, y, y_stride, scratch);
  for (uint32_t r = 0; r < t; r++)
    check_sums (what, wide, x + r * n_cols, n_cols, n_j, r, y + r * y_stride, 2.1 * 0x1p-16);
  check_gaps (what, y, y_stride, n_j, t);
  free (wide);
  if (!check_free_all ())
    CHECK_FAILED ("tiles, %s K %zu wrote outside its output", what, n_cols);
}

/* As keys are read (@panels are @n_k * 16 apart, and whole), and as values (rows of @n_j). */
static void
check_halves (const EngKernels *k, size_t n_k, size_t n_j, uint32_t t, bool keys, bool adds)
{
  size_t n_panels = (n_j + P - 1) / P, k_stride = keys ? P : n_j, panel_stride = keys ? P * n_k : P, y_stride = n_j + 2;
  size_t n = keys ? n_panels * P * n_k : n_k * n_j;
  uint16_t *h = check_guarded (n * sizeof *h);
  float *w = calloc (n_j * n_k + 1, sizeof *w), *x = check_guarded (t * n_k * sizeof *x);
  float *y = check_output ((y_stride * (t - 1) + n_j) * sizeof *y, 4),
        *scratch = check_output (ENG_FLOAT_SCRATCH (0) * sizeof *scratch, 0);
  for (size_t i = 0; i < n; i++)
    h[i] = eng_f32_to_f16 (check_uniform ());
  for (size_t j = 0; j < n_j; j++)
    for (size_t c = 0; c < n_k; c++)
      w[j * n_k + c] = eng_f16_to_f32 (h[j / P * panel_stride + c * k_stride + j % P]);
  check_fill (x, t * n_k, VALUES_RANDOM);
  for (uint32_t r = 0; r < t; r++)
    for (size_t j = 0; adds && j < n_j; j++)
      y[r * y_stride + j] = 100.0f;
  EngTileRows rows = make_rows (k, x, n_k, t, true);
  k->product_halves (h, k_stride, panel_stride, n_k, n_j, &rows, t, adds, y, y_stride, scratch);
  for (uint32_t r = 0; r < t; r++)
    {
      for (size_t j = 0; j < n_j; j++)
        {
          double want = adds ? 100 : 0, size = fabs (want);
          for (size_t c = 0; c < n_k; c++)
            {
              want += (double) w[j * n_k + c] * x[r * n_k + c];
              size += fabs ((double) w[j * n_k + c] * x[r * n_k + c]);
            }
          double got = y[r * y_stride + j];
          if (!check_near (got, want, size * (2.1 * 0x1p-16 + (double) n_k * EPS) + 1e-30))
            CHECK_FAILED ("tiles, halves K %zu row %u of %u, %zu of %zu: %g, expected %g", n_k, r, t, j, n_j, got, want);
        }
    }
  check_gaps ("halves", y, y_stride, n_j, t);
  free (w);
  if (!check_free_all ())
    CHECK_FAILED ("tiles, halves K %zu wrote outside its output", n_k);
}

void
check_tile_kernels (const EngKernels *k)
{
  static const size_t counts[] = { 1, 15, 16, 17, 32, 49 }, columns[] = { 0, 1, 31, 32, 33, 70 };
  static const uint32_t rows[] = { 1, 15, 16, 17, 32, 33, 65 };
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
      for (size_t c = 0; c < sizeof columns / sizeof *columns; c++)
        for (int kind = 0; kind < 4; kind++)
          check_halves (k, columns[c], counts[i], rows[r], kind / 2, kind % 2);
  for (int pack = 0; pack < ENG_PACK_N; pack++)
    {
      for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t n_panels = 1; n_panels <= 3; n_panels++)
          check_packed (k, (EngPack) pack, n_panels, 256, rows[i], VALUES_RANDOM);
      for (int v = 0; v < VALUES_N; v++)
        check_packed (k, (EngPack) pack, 2, 512, 20, (CheckValues) v);
      check_packed (k, (EngPack) pack, 3, 2560, 37, VALUES_RANDOM); /* more columns than are unpacked at once */
    }
  check_exact (k);
  for (EngFloatFormat format = ENG_FLOAT_F16; format <= ENG_FLOAT_BF16; format++)
    {
      for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
          for (size_t c = 0; c < sizeof columns / sizeof *columns; c++)
            check_floats (k, format, columns[c], counts[i], rows[r], VALUES_RANDOM);
      for (int v = 0; v < VALUES_N; v++)
        check_floats (k, format, 1100, 33, 27, (CheckValues) v);
    }
}
