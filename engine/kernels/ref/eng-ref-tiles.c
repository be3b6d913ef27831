/* SPDX-License-Identifier: Apache-2.0 */
/* Plain C references of the products by tiles of BF16 numbers: what they round, and nothing else. */
#include "eng-ref.h"

#include "eng-half.h"

#define P ENG_TILE_ROWS

static void
ref_round_row (const float *x, size_t n_cols, const EngTileRows *rows, uint32_t i_row)
{
  size_t at = i_row / ENG_TILE_ROWS * ENG_TILE_STRIDE (n_cols) + i_row % ENG_TILE_ROWS * ENG_TILE_COLS;
  for (size_t c = 0; c < ENG_TILE_STRIDE (n_cols) / ENG_TILE_ROWS; c++)
    {
      size_t to = at + c / ENG_TILE_COLS * ENG_TILE_ROWS * ENG_TILE_COLS + c % ENG_TILE_COLS;
      float number = c < n_cols ? x[c] : 0;
      rows->high[to] = eng_f32_to_bf16 (number);
      if (rows->low != NULL)
        rows->low[to] = eng_f32_to_bf16 (number - eng_bf16_to_f32 (rows->high[to]));
    }
}

/* Column @c of row @r. */
static float
number_at (const uint16_t *part, size_t n_cols, size_t r, size_t c)
{
  size_t tile = r / ENG_TILE_ROWS * ENG_TILE_STRIDE (n_cols) + c / ENG_TILE_COLS * ENG_TILE_ROWS * ENG_TILE_COLS;
  return eng_bf16_to_f32 (part[tile + r % ENG_TILE_ROWS * ENG_TILE_COLS + c % ENG_TILE_COLS]);
}

static void
ref_product_tiles (EngPack pack, const uint8_t *panels, size_t n_panels, size_t n_cols, const EngTileRows *x, size_t n_r,
                   float *y, size_t y_stride, float *scratch)
{
  (void) scratch;
  const EngPackInfo *info = eng_pack_get_info (pack);
  size_t panel_bytes = eng_pack_panel_bytes (info, P, n_cols), block = eng_pack_block_bytes (info, P);
  for (size_t j = 0; j < n_panels * P; j++)
    {
      const uint8_t *panel = panels + j / P * panel_bytes;
      for (size_t r = 0; r < n_r; r++)
        y[r * y_stride + j] = 0;
      for (size_t b = 0; b < n_cols / 32; b++)
        {
          float w[32];
          eng_pack_unpack_sub (pack, P, panel + b / info->n_sub * block, j % P,
                               (uint32_t) (b % info->n_sub), w);
          for (size_t r = 0; r < n_r; r++)
            for (size_t c = 0; c < 32; c++)
              y[r * y_stride + j] += eng_bf16_to_f32 (eng_f32_to_bf16 (w[c])) * number_at (x->high, n_cols, r, 32 * b + c);
        }
    }
}

static void
ref_product_tiles_float (EngFloatFormat format, const void *weights, size_t w_stride, size_t n_j, size_t n_cols,
                         const EngTileRows *x, size_t n_r, float *y, size_t y_stride, float *scratch)
{
  const uint16_t *w = weights;
  float (*to_float) (uint16_t h) = format == ENG_FLOAT_F16 ? eng_f16_to_f32 : eng_bf16_to_f32;
  (void) scratch;
  for (size_t r = 0; r < n_r; r++)
    for (size_t j = 0; j < n_j; j++)
      {
        float sum = 0;
        for (size_t c = 0; c < n_cols; c++)
          sum += to_float (w[j * w_stride + c]) * (number_at (x->high, n_cols, r, c) + number_at (x->low, n_cols, r, c));
        y[r * y_stride + j] = sum;
      }
}

static void
ref_product_halves (const uint16_t *h, size_t k_stride, size_t panel_stride, size_t n_k, size_t n_j, const EngTileRows *x,
                    size_t n_r, bool adds, float *y, size_t y_stride, float *scratch)
{
  (void) scratch;
  for (size_t r = 0; r < n_r; r++)
    for (size_t j = 0; j < n_j; j++)
      {
        const uint16_t *from = h + j / P * panel_stride + j % P;
        float sum = adds ? y[r * y_stride + j] : 0;
        for (size_t c = 0; c < n_k; c++)
          sum += eng_f16_to_f32 (from[c * k_stride]) * (number_at (x->high, n_k, r, c) + number_at (x->low, n_k, r, c));
        y[r * y_stride + j] = sum;
      }
}

void
eng_ref_init_tiles (EngKernels *k)
{
  k->round_row = ref_round_row;
  k->product_tiles = ref_product_tiles;
  k->product_tiles_float = ref_product_tiles_float;
  k->product_halves = ref_product_halves;
  k->tiles_from = 0;
}
