/* SPDX-License-Identifier: Apache-2.0 */
/* Packed weights and their products, against rows decoded by quant/ and summed in double. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "eng-half.h"
#include "eng-quant.h"

#define EPS 0x1p-24

/* @n_rows rows of @n_cols random numbers encoded as @type; every third row holds one outlier, the
 * second only zeros. */
static uint8_t *
make_rows (EngType type, size_t n_rows, size_t n_cols, uint64_t *row_bytes)
{
  float *x = malloc (n_rows * n_cols * sizeof (float) + 4);
  eng_type_row_bytes (type, n_cols, row_bytes);
  uint8_t *rows = check_guarded (n_rows * *row_bytes + (n_rows * *row_bytes) % 2);
  for (size_t r = 0; r < n_rows; r++)
    check_fill (x + r * n_cols, n_cols,
                r == 1 ? VALUES_ZERO : r % 3 == 2 ? VALUES_OUTLIER : VALUES_RANDOM);
  if (eng_quantize_rows (type, x, rows, n_rows, n_cols, NULL, NULL) != ENG_OK)
    CHECK_FAILED ("cannot encode %s", eng_type_get_name (type));
  free (x);
  return rows;
}

/* Random bits in all codes and integer scales, small finite f16 scales: every code occurs with every
 * scale. Where the f16 scales stand follows from eng-block.h. */
static void
scramble (EngType type, uint8_t *rows, size_t bytes)
{
  const EngTypeInfo *info = eng_type_get_info (type);
  for (size_t i = 0; i < bytes; i++)
    rows[i] = (uint8_t) check_random ();
  for (size_t b = 0; b + info->block_bytes <= bytes; b += info->block_bytes)
    {
      size_t at[2] = { 0, SIZE_MAX };
      switch (type)
        {
        case ENG_TYPE_Q4_1:
        case ENG_TYPE_Q5_1:
        case ENG_TYPE_Q4_K:
        case ENG_TYPE_Q5_K:
          at[1] = 2;
          break;
        case ENG_TYPE_Q2_K:
          at[0] = 80;
          at[1] = 82;
          break;
        case ENG_TYPE_Q3_K:
          at[0] = 108;
          break;
        case ENG_TYPE_Q6_K:
          at[0] = 208;
          break;
        case ENG_TYPE_MXFP4:
          rows[b] = (uint8_t) (120 + check_random () % 12);
          continue;
        default:
          break;
        }
      for (int i = 0; i < 2 && at[i] != SIZE_MAX; i++)
        {
          uint16_t h = eng_f32_to_f16 (check_uniform () * 0.25f);
          memcpy (rows + b + at[i], &h, 2);
        }
    }
}

void
check_pack (void)
{
  enum
  {
    N = 512
  };
  float want[N], got[N];
  for (int pack = 0; pack < ENG_PACK_N; pack++)
    for (uint32_t p = 8; p <= 16; p += 8)
      for (uint32_t n_rows = 1; n_rows <= p; n_rows += n_rows == 1 ? p - 2 : 1)
        {
          const EngPackInfo *info = eng_pack_get_info ((EngPack) pack);
          uint64_t row_bytes;
          uint8_t *rows = make_rows (info->type, n_rows, N, &row_bytes);
          if (n_rows > 1)
            scramble (info->type, rows, n_rows * row_bytes);
          uint8_t *panel = check_output (eng_pack_panel_bytes (info, p, N), 0);
          eng_pack_panel ((EngPack) pack, p, rows, row_bytes, n_rows, N, panel);
          for (uint32_t r = 0; r < p; r++)
            {
              memset (want, 0, sizeof want);
              if (r < n_rows)
                eng_dequantize_row (info->type, rows + r * row_bytes, want, N);
              eng_pack_unpack_row ((EngPack) pack, p, panel, r, N, got);
              for (int i = 0; i < N; i++)
                if (!check_near (got[i], want[i], fabs (want[i]) * 4 * EPS + 1e-6))
                  {
                    CHECK_FAILED ("%s P %u of %u rows, row %u column %d: packed %g, file %g",
                                  eng_type_get_name (info->type), p, n_rows, r, i, got[i], want[i]);
                    break;
                  }
            }
          if (!check_free_all ())
            CHECK_FAILED ("packing %s wrote outside the panel", eng_type_get_name (info->type));
        }
}

/* Activations of @t rows, quantized by the kernels under test. */
static EngQuantTile
make_tile (const EngKernels *k, size_t n_cols, uint32_t t, CheckValues values, float **x_out)
{
  float *x = malloc (n_cols * t * sizeof (float) + 4);
  size_t meta_bytes = n_cols / 32 * ENG_QUANT_META * t * 4;
  EngQuantTile tile = { check_guarded (n_cols * t), check_guarded (n_cols * t * 2),
                        check_guarded (meta_bytes), t };
  for (uint32_t r = 0; r < t; r++)
    {
      check_fill (x + r * n_cols, n_cols, r == 2 ? VALUES_ZERO : values);
      k->quantize (x + r * n_cols, n_cols, &tile, r);
    }
  *x_out = x;
  return tile;
}

/* The error of a product lies in the sums over blocks, each a few roundings of numbers no larger than
 * range * sum |x| (codes are raised by an offset that is subtracted again: hence 4 ranges, and a trifle
 * where all weights are zero); and, against the float activations, in their quantization. */
static void
check_product (const EngKernels *k, EngPack pack, size_t n_cols, uint32_t t, bool scrambled,
               CheckValues values)
{
  const EngPackInfo *info = eng_pack_get_info (pack);
  uint32_t p = k->panel_rows, n_rows = scrambled ? p : p - 1;
  uint64_t row_bytes;
  size_t panel_bytes = eng_pack_panel_bytes (info, p, n_cols), stride = p + 3;
  uint8_t *rows = make_rows (info->type, n_rows, n_cols, &row_bytes), *panel = check_guarded (panel_bytes);
  float *w = calloc (p * n_cols, sizeof (float)), *x, *y = check_output ((stride * (t - 1) + p) * 4, 4);
  if (scrambled)
    scramble (info->type, rows, n_rows * row_bytes);
  eng_pack_panel (pack, p, rows, row_bytes, n_rows, n_cols, panel);
  for (uint32_t j = 0; j < n_rows; j++)
    eng_dequantize_row (info->type, rows + j * row_bytes, w + j * n_cols, n_cols);
  EngQuantTile tile = make_tile (k, n_cols, t, values, &x);
  k->product[pack](panel, 1, n_cols, &tile, y, stride);
  for (uint32_t r = 0; r < t; r++)
    {
      for (uint32_t j = 0; j < p; j++)
        {
          double exact = 0, bytes = 0, size = 0, range = 0, loss = 0;
          for (size_t c = 0; c < n_cols; c++)
            range = fmax (range, fabs (w[j * n_cols + c]));
          for (size_t c = 0; c < n_cols; c++)
            {
              double d = tile.meta[c / 32 * ENG_QUANT_META * t + r];
              double q = d * tile.q[(c / 32 * t + r) * 32 + c % 32];
              exact += (double) w[j * n_cols + c] * x[r * n_cols + c];
              bytes += w[j * n_cols + c] * q;
              size += (4 * range + 1e-35) * fabs (q);
              loss += fabs (w[j * n_cols + c]) * d * 0.501;
            }
          /* The last term: a block of numbers below 127e-37 counts as zero. */
          double bound = size * EPS * ((double) n_cols / 16 + 16) + range * (double) n_cols * 2e-35, got = y[r * stride + j];
          if (!check_near (got, exact, bound + loss))
            CHECK_FAILED ("%s K %zu rows %u (%s) row %u weight %u: %g, expected %g +- %g",
                          eng_type_get_name (info->type), n_cols, t, check_values_name (values), r, j,
                          got, exact, bound + loss);
          /* With the finer activations the result is nearer to the exact one than the bytes are. */
          else if (!check_near (got, bytes, bound)
                   && !(k->wants_q16 && check_near (got, exact, bound + loss / ENG_QUANT_FINE)))
            CHECK_FAILED ("%s K %zu rows %u (%s) row %u weight %u: %g, of bytes %g +- %g",
                          eng_type_get_name (info->type), n_cols, t, check_values_name (values), r, j,
                          got, bytes, bound);
        }
      for (size_t j = p; j < stride && r + 1 < t; j++)
        if (memcmp (&y[r * stride + j], "\xff\xff\xff\xff", 4) != 0)
          CHECK_FAILED ("%s wrote between its rows", eng_type_get_name (info->type));
    }
  free (w);
  free (x);
  if (!check_free_all ())
    CHECK_FAILED ("%s K %zu rows %u wrote outside its output", eng_type_get_name (info->type), n_cols,
                  t);
}

/* A row alone and among others: the same within the bound of the sums' order. Codes raised by an
 * offset make numbers as large as the block's range, which cancel again: each is off by some
 * roundings of that. */
static void
check_neighbours (const EngKernels *k, EngPack pack, size_t n_cols)
{
  const EngPackInfo *info = eng_pack_get_info (pack);
  static const uint32_t counts[] = { 2, 8, 33, 64 };
  uint32_t p = k->panel_rows;
  uint64_t row_bytes;
  uint8_t *rows = make_rows (info->type, p, n_cols, &row_bytes);
  uint8_t *panel = check_guarded (eng_pack_panel_bytes (info, p, n_cols));
  eng_pack_panel (pack, p, rows, row_bytes, p, n_cols, panel);
  float *range = calloc (p * n_cols / 32, sizeof (float)), *w = malloc (n_cols * sizeof (float));
  for (uint32_t j = 0; j < p; j++)
    {
      eng_dequantize_row (info->type, rows + j * row_bytes, w, n_cols);
      for (size_t c = 0; c < n_cols; c++)
        range[(j * n_cols + c) / 32] = fmaxf (range[(j * n_cols + c) / 32], fabsf (w[c]));
    }
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
    {
      uint32_t t = counts[i], r = t - 1;
      float *x, *unused, *y = check_output (t * p * 4, 0), *alone = check_output (p * 4, 0);
      EngQuantTile tile = make_tile (k, n_cols, t, VALUES_RANDOM, &x);
      EngQuantTile one = make_tile (k, n_cols, 1, VALUES_RANDOM, &unused);
      k->quantize (x + r * n_cols, n_cols, &one, 0);
      k->product[pack](panel, 1, n_cols, &tile, y, p);
      k->product[pack](panel, 1, n_cols, &one, alone, p);
      for (uint32_t j = 0; j < p; j++)
        {
          double bound = fabs (alone[j]) * 1e-5;
          for (size_t c = 0; c < n_cols; c++)
            bound += fabs (x[r * n_cols + c]) * (1e-5 + 4 * EPS * range[(j * n_cols + c) / 32]);
          if (!check_near (y[r * p + j], alone[j], bound))
            CHECK_FAILED ("%s: row %u of %u is %g, alone %g", eng_type_get_name (info->type), r, t,
                          y[r * p + j], alone[j]);
        }
      free (x);
      free (unused);
    }
  free (range);
  free (w);
  if (!check_free_all ())
    CHECK_FAILED ("%s wrote outside its output", eng_type_get_name (info->type));
}

/* Several panels at once, more than are read side by side: each gives what it gives alone, to the bit. */
static void
check_panels (const EngKernels *k, EngPack pack, size_t n_cols, uint32_t t)
{
  enum
  {
    N = 7
  };
  const EngPackInfo *info = eng_pack_get_info (pack);
  uint32_t p = k->panel_rows;
  uint64_t row_bytes;
  size_t panel_bytes = eng_pack_panel_bytes (info, p, n_cols), stride = N * p + 3;
  uint8_t *rows = make_rows (info->type, N * p, n_cols, &row_bytes), *panels = check_guarded (N * panel_bytes);
  for (size_t i = 0; i < N; i++)
    eng_pack_panel (pack, p, rows + i * p * row_bytes, row_bytes, p, n_cols, panels + i * panel_bytes);
  float *x, *y = check_output ((stride * (t - 1) + N * p) * 4, 4), *alone = check_output (t * p * 4, 0);
  EngQuantTile tile = make_tile (k, n_cols, t, VALUES_RANDOM, &x);
  k->product[pack](panels, N, n_cols, &tile, y, stride);
  for (size_t i = 0; i < N; i++)
    {
      k->product[pack](panels + i * panel_bytes, 1, n_cols, &tile, alone, p);
      for (uint32_t r = 0; r < t; r++)
        if (memcmp (y + r * stride + i * p, alone + r * p, p * sizeof (float)) != 0)
          CHECK_FAILED ("%s K %zu: row %u of panel %zu among others is not what it is alone",
                        eng_type_get_name (info->type), n_cols, r, i);
    }
  free (x);
  if (!check_free_all ())
    CHECK_FAILED ("%s wrote outside its output", eng_type_get_name (info->type));
}

static void
check_float_product (const EngKernels *k, EngFloatFormat format, size_t n_cols, size_t n_j, size_t n_r)
{
  static const EngType types[ENG_FLOAT_N] = { ENG_TYPE_F32, ENG_TYPE_F16, ENG_TYPE_BF16 };
  size_t size = format == ENG_FLOAT_F32 ? 4 : 2, w_stride = n_cols + 2, x_stride = n_cols + 1;
  size_t y_stride = n_j + 2;
  uint8_t *w = check_guarded ((w_stride * (n_j - 1) + n_cols) * size);
  float *x = check_guarded ((x_stride * (n_r - 1) + n_cols) * 4), *row = malloc (n_cols * 4 + 4);
  float *y = check_output ((y_stride * (n_r - 1) + n_j) * 4, 4);
  float *scratch = check_output (ENG_FLOAT_SCRATCH (n_cols) * 4, 0);
  float *wide = malloc (n_j * n_cols * 4 + 4);
  for (size_t j = 0; j < n_j; j++)
    {
      check_fill (row, n_cols, j == 1 ? VALUES_ZERO : VALUES_RANDOM);
      for (size_t c = 0; c < n_cols; c++)
        {
          uint16_t h = format == ENG_FLOAT_F16 ? eng_f32_to_f16 (row[c]) : eng_f32_to_bf16 (row[c]);
          memcpy (w + (j * w_stride + c) * size, size == 4 ? (void *) &row[c] : (void *) &h, size);
        }
      for (size_t c = 0; c < n_cols; c++)
        eng_dequantize_row (types[format], w + (j * w_stride + c) * size, &wide[j * n_cols + c], 1);
    }
  for (size_t r = 0; r < n_r; r++)
    check_fill (x + r * x_stride, n_cols, r == 1 ? VALUES_OUTLIER : VALUES_RANDOM);
  k->product_float[format](w, w_stride, n_j, n_cols, x, x_stride, n_r, y, y_stride, scratch);
  double rounding = format == ENG_FLOAT_BF16 && k->rounds_to_bf16 ? 0x1.01p-8 : 0;
  for (size_t r = 0; r < n_r; r++)
    for (size_t j = 0; j < n_j; j++)
      {
        double want = 0, sum = 0;
        for (size_t c = 0; c < n_cols; c++)
          {
            want += (double) wide[j * n_cols + c] * x[r * x_stride + c];
            sum += fabs ((double) wide[j * n_cols + c] * x[r * x_stride + c]);
          }
        if (!check_near (y[r * y_stride + j], want, sum * (EPS * ((double) n_cols + 4) + rounding)))
          CHECK_FAILED ("float product %d K %zu of %zu x %zu at %zu, %zu: %g, expected %g", format,
                        n_cols, n_r, n_j, r, j, y[r * y_stride + j], want);
      }
  free (row);
  free (wide);
  if (!check_free_all ())
    CHECK_FAILED ("float product %d wrote outside its output", format);
}

void
check_product_kernels (const EngKernels *k)
{
  static const uint32_t tiles[] = { 1, 2, 3, 5, 8, 33, 64 };
  for (int pack = 0; pack < ENG_PACK_N; pack++)
    {
      uint32_t block = 32u * eng_pack_get_info ((EngPack) pack)->n_sub;
      for (size_t i = 0; i < sizeof tiles / sizeof *tiles; i++)
        {
          check_product (k, (EngPack) pack, block, tiles[i], true, VALUES_RANDOM);
          check_product (k, (EngPack) pack, 3 * block, tiles[i], true, VALUES_LARGE);
        }
      for (int v = 0; v < VALUES_N; v++)
        check_product (k, (EngPack) pack, 2 * block, 3, false, (CheckValues) v);
      check_product (k, (EngPack) pack, 1536, 2, false, VALUES_OUTLIER);
      check_neighbours (k, (EngPack) pack, 768);
      check_panels (k, (EngPack) pack, 768, 1);
      check_panels (k, (EngPack) pack, 256, 3);
    }
  static const size_t counts[] = { 1, 2, 5, 6, 7, 17, 33 };
  for (int format = 0; format < ENG_FLOAT_N; format++)
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
      for (size_t j = 0; j < sizeof counts / sizeof *counts; j++)
        for (size_t n = 0; n <= 35; n += n < 17 ? 1 : 6)
          check_float_product (k, (EngFloatFormat) format, n, counts[i], counts[j]);
  for (int format = 0; format < ENG_FLOAT_N; format++)
    {
      check_float_product (k, (EngFloatFormat) format, 576, 33, 33);
      check_float_product (k, (EngFloatFormat) format, 2048 + 37, 5, 7); /* more than a block of columns */
    }
}
