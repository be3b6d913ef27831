/* SPDX-License-Identifier: Apache-2.0 */
/* Plain C references of quantization, products and attention. Readable first; the integer sums are
 * exact, float sums are taken in double. */
#include "eng-ref.h"

#include <math.h>
#include <string.h>

#include "eng-half.h"

static void
ref_quantize (const float *x, size_t n_cols, const EngQuantTile *tile, uint32_t i_row)
{
  size_t t = tile->n_rows;
  for (size_t b = 0; b < n_cols / 32; b++)
    {
      const float *in = x + 32 * b;
      size_t at = (b * t + i_row) * 32;
      float max = 0, *meta = tile->meta + b * ENG_QUANT_META * t + i_row;
      for (int i = 0; i < 32; i++)
        max = fmaxf (max, fabsf (in[i]));
      float d = max / 127.0f, scale = max > 0 ? 127.0f / max : 0;
      /* 127 / max would overflow for numbers next to nothing: such a block counts as zero. */
      if (!(scale <= 1.0e37f))
        d = scale = 0;
      int sums[2] = { 0, 0 };
      for (int i = 0; i < 32; i++)
        {
          int q = (int) rintf (in[i] * scale);
          q = q > 127 ? 127 : q < -127 ? -127 : q;
          tile->q[at + i] = (int8_t) q;
          int fine = (int) rintf (in[i] * (scale * ENG_QUANT_FINE));
          fine = fine > 2032 ? 2032 : fine < -2032 ? -2032 : fine;
          if (tile->q16 != NULL)
            tile->q16[at + i / 4 * 4 + i % 2 * 2 + i / 2 % 2] = (int16_t) fine;
          sums[i / 16] += q;
        }
      meta[0] = d;
      meta[t] = d * (float) (sums[0] + sums[1]);
      meta[2 * t] = (float) sums[0];
      meta[3 * t] = (float) sums[1];
    }
}

static void
ref_product (EngPack pack, const uint8_t *panel, size_t n_cols, const EngQuantTile *x, float *y,
             size_t y_stride)
{
  enum
  {
    P = ENG_REF_PANEL_ROWS
  };
  float w[32];
  const EngPackInfo *info = eng_pack_get_info (pack);
  size_t sub_blocks = n_cols / 32, block = eng_pack_block_bytes (info, P);
  for (uint32_t r = 0; r < x->n_rows; r++)
    for (uint32_t j = 0; j < P; j++)
      y[r * y_stride + j] = 0;
  for (uint32_t j = 0; j < P; j++)
    for (size_t b = 0; b < sub_blocks; b++)
      {
        const uint8_t *super = panel + b / info->n_sub * block;
        eng_pack_unpack_sub (pack, P, super, j, (uint32_t) (b % info->n_sub), w);
        for (uint32_t r = 0; r < x->n_rows; r++)
          {
            const int8_t *q = x->q + (b * x->n_rows + r) * 32;
            double sum = 0;
            for (int i = 0; i < 32; i++)
              sum += (double) w[i] * q[i];
            y[r * y_stride + j] += (float) (sum * x->meta[b * ENG_QUANT_META * x->n_rows + r]);
          }
      }
}

#define ENG_REF_PRODUCT(name)                                                                      \
  static void ref_product_##name (const uint8_t *panels, size_t n_panels, size_t n_cols,           \
                                  const EngQuantTile *x, float *y, size_t y_stride)                \
  {                                                                                                \
    size_t bytes                                                                                   \
        = eng_pack_panel_bytes (eng_pack_get_info (ENG_PACK_##name), ENG_REF_PANEL_ROWS, n_cols);  \
    for (size_t i = 0; i < n_panels; i++)                                                          \
      ref_product (ENG_PACK_##name, panels + i * bytes, n_cols, x, y + i * ENG_REF_PANEL_ROWS,     \
                   y_stride);                                                                      \
  }
ENG_PACK_EACH (ENG_REF_PRODUCT)

static float
float_at (EngFloatFormat format, const void *w, size_t i)
{
  switch (format)
    {
    case ENG_FLOAT_F16:
      return eng_f16_to_f32 (((const uint16_t *) w)[i]);
    case ENG_FLOAT_BF16:
      return eng_bf16_to_f32 (((const uint16_t *) w)[i]);
    default:
      return ((const float *) w)[i];
    }
}

static void
ref_product_float (EngFloatFormat format, const void *w, size_t w_stride, size_t n_j, size_t n_cols,
                   const float *x, size_t x_stride, size_t n_r, float *y, size_t y_stride)
{
  for (size_t j = 0; j < n_j; j++)
    for (size_t r = 0; r < n_r; r++)
      {
        double sum = 0;
        for (size_t c = 0; c < n_cols; c++)
          sum += (double) float_at (format, w, j * w_stride + c) * x[r * x_stride + c];
        y[r * y_stride + j] = (float) sum;
      }
}

#define ENG_REF_PRODUCT_FLOAT(name)                                                                \
  static void ref_product_##name (const void *w, size_t w_stride, size_t n_j, size_t n_cols,       \
                                  const float *x, size_t x_stride, size_t n_r, float *y,           \
                                  size_t y_stride, float *scratch)                                 \
  {                                                                                                \
    (void) scratch;                                                                                \
    ref_product_float (ENG_FLOAT_##name, w, w_stride, n_j, n_cols, x, x_stride, n_r, y, y_stride); \
  }
ENG_REF_PRODUCT_FLOAT (F32)
ENG_REF_PRODUCT_FLOAT (F16)
ENG_REF_PRODUCT_FLOAT (BF16)

static void
ref_score (const uint16_t *keys, size_t width, const float *q, size_t q_stride, size_t n_q,
           float *scores, size_t s_stride)
{
  for (size_t i = 0; i < n_q; i++)
    for (size_t p = 0; p < ENG_KEY_GROUP; p++)
      {
        double sum = 0;
        for (size_t c = 0; c < width; c++)
          sum += (double) q[i * q_stride + c] * eng_f16_to_f32 (keys[c * ENG_KEY_GROUP + p]);
        scores[i * s_stride + p] = (float) sum;
      }
}

static void
ref_mix (const uint16_t *values, size_t width, size_t n_positions, const float *weights,
         size_t w_stride, size_t n_q, float *out, size_t o_stride)
{
  for (size_t i = 0; i < n_q; i++)
    for (size_t c = 0; c < width; c++)
      {
        double sum = out[i * o_stride + c];
        for (size_t p = 0; p < n_positions; p++)
          sum += (double) weights[i * w_stride + p] * eng_f16_to_f32 (values[p * width + c]);
        out[i * o_stride + c] = (float) sum;
      }
}

static void
ref_score_codes (const int8_t *codes, const uint16_t *scales, size_t width, const float *q, size_t q_stride, size_t n_q,
                 float *scores, size_t s_stride)
{
  for (size_t i = 0; i < n_q; i++)
    for (size_t p = 0; p < ENG_KEY_GROUP; p++)
      {
        double sum = 0;
        for (size_t c = 0; c < width; c++)
          sum += (double) q[i * q_stride + c] * codes[c * ENG_KEY_GROUP + p]
                 * eng_f16_to_f32 (scales[c / 32 * ENG_KEY_GROUP + p]);
        scores[i * s_stride + p] = (float) sum;
      }
}

static void
ref_mix_codes (const int8_t *codes, const uint16_t *scales, size_t width, size_t n_positions, const float *weights,
               size_t w_stride, size_t n_q, float *out, size_t o_stride)
{
  for (size_t i = 0; i < n_q; i++)
    for (size_t c = 0; c < width; c++)
      {
        double sum = out[i * o_stride + c];
        for (size_t p = 0; p < n_positions; p++)
          sum += (double) weights[i * w_stride + p] * codes[p * width + c]
                 * eng_f16_to_f32 (scales[p * ENG_KV_SCALES (width) + c / 32]);
        out[i * o_stride + c] = (float) sum;
      }
}

static void
ref_turn_keys (const uint16_t *keys, size_t n, uint16_t *rows, size_t stride)
{
  for (size_t p = 0; p < ENG_KEY_GROUP; p++)
    for (size_t c = 0; c < n; c++)
      rows[p * stride + c] = keys[c * ENG_KEY_GROUP + p];
}

void
eng_ref_init_product (EngKernels *k)
{
  k->panel_rows = ENG_REF_PANEL_ROWS;
  k->wants_q16 = false;
  k->quantize = ref_quantize;
#define SET(name) k->product[ENG_PACK_##name] = ref_product_##name;
  ENG_PACK_EACH (SET)
#undef SET
  k->product_float[ENG_FLOAT_F32] = ref_product_F32;
  k->product_float[ENG_FLOAT_F16] = ref_product_F16;
  k->product_float[ENG_FLOAT_BF16] = ref_product_BF16;
  k->rounds_to_bf16 = false;
  k->score = ref_score;
  k->mix = ref_mix;
  k->score_codes = ref_score_codes;
  k->mix_codes = ref_mix_codes;
  k->turn_keys = ref_turn_keys;
}
