/* SPDX-License-Identifier: Apache-2.0 */
/* Products of floats: attention over half-precision keys and values, and weights of F32, F16 and BF16. */
#include <string.h>

#include "eng-kernels.h"
#include "eng-simd-neon.h"
#include "eng-tiers.h"

#include "eng-attention-tmpl.h"

/* Four of them from @at on, @scale being that of codes. */
INLINE float32x4_t
load_numbers (Numbers x, size_t at, float32x4_t scale)
{
  if (!x.is_codes)
    return load_half4 (x.halves + at);
  uint32_t four;
  memcpy (&four, x.codes + at, 4);
  int16x4_t wide = vget_low_s16 (vmovl_s8 (vreinterpret_s8_u32 (vdup_n_u32 (four))));
  return vmulq_f32 (vcvtq_f32_s32 (vmovl_s16 (wide)), scale);
}

/* Scores of @n <= 4 queries: sixteen sums of four. */
INLINE void
score_tile (Numbers keys, size_t width, const float *q, size_t q_stride, int n, float *scores, size_t s_stride)
{
  float32x4_t s[4][4], scale[4] = { vdupq_n_f32 (0), vdupq_n_f32 (0), vdupq_n_f32 (0), vdupq_n_f32 (0) };
  for (int i = 0; i < n; i++)
    for (int j = 0; j < 4; j++)
      s[i][j] = vdupq_n_f32 (0);
  for (size_t c = 0; c < width; c++)
    {
      for (int j = 0; keys.is_codes && c % 32 == 0 && j < 4; j++)
        scale[j] = load_half4 (keys.scales + c / 32 * ENG_KEY_GROUP + 4 * (size_t) j);
      for (int j = 0; j < 4; j++)
        {
          float32x4_t a = load_numbers (keys, c * ENG_KEY_GROUP + 4 * (size_t) j, scale[j]);
          for (int i = 0; i < n; i++)
            s[i][j] = vfmaq_n_f32 (s[i][j], a, q[(size_t) i * q_stride + c]);
        }
    }
  for (int i = 0; i < n; i++)
    for (int j = 0; j < 4; j++)
      vst1q_f32 (scores + (size_t) i * s_stride + 4 * j, s[i][j]);
}

INLINE void
score_numbers (Numbers keys, size_t width, const float *q, size_t q_stride, size_t n_q, float *scores, size_t s_stride)
{
  for (; n_q >= 4; n_q -= 4, q += 4 * q_stride, scores += 4 * s_stride)
    score_tile (keys, width, q, q_stride, 4, scores, s_stride);
  for (; n_q > 0; n_q--, q += q_stride, scores += s_stride)
    score_tile (keys, width, q, q_stride, 1, scores, s_stride);
}

INLINE float
half_at (const uint16_t *p)
{
  return vgetq_lane_f32 (vcvt_f32_f16 (vreinterpret_f16_u16 (vdup_n_u16 (*p))), 0);
}

INLINE float
value_scale (Numbers values, size_t p, size_t width, size_t c)
{
  return values.is_codes ? half_at (values.scales + p * ENG_KV_SCALES (width) + c / 32) : 1;
}

/* @n queries and 4 @m columns from @c on. */
INLINE void
mix_tile (Numbers values, size_t c, size_t width, size_t n_positions, const float *weights, size_t w_stride, int n, int m,
          float *out, size_t o_stride)
{
  float32x4_t s[4][4];
  for (int i = 0; i < n; i++)
    for (int j = 0; j < m; j++)
      s[i][j] = vld1q_f32 (out + (size_t) i * o_stride + 4 * j);
  for (size_t p = 0; p < n_positions; p++)
    for (int j = 0; j < m; j++)
      {
        size_t at = c + 4 * (size_t) j;
        float32x4_t v = load_numbers (values, p * width + at, vdupq_n_f32 (value_scale (values, p, width, at)));
        for (int i = 0; i < n; i++)
          s[i][j] = vfmaq_n_f32 (s[i][j], v, weights[(size_t) i * w_stride + p]);
      }
  for (int i = 0; i < n; i++)
    for (int j = 0; j < m; j++)
      vst1q_f32 (out + (size_t) i * o_stride + 4 * j, s[i][j]);
}

INLINE void
mix_rows (Numbers values, size_t width, size_t n_positions, const float *weights, size_t w_stride, int n, float *out,
          size_t o_stride)
{
  size_t c = 0;
  for (; c + 16 <= width; c += 16)
    mix_tile (values, c, width, n_positions, weights, w_stride, n, 4, out + c, o_stride);
  for (; c + 4 <= width; c += 4)
    mix_tile (values, c, width, n_positions, weights, w_stride, n, 1, out + c, o_stride);
  for (; c < width; c++)
    for (int i = 0; i < n; i++)
      {
        float s = out[(size_t) i * o_stride + c];
        for (size_t p = 0; p < n_positions; p++)
          {
            size_t at = p * width + c;
            s += weights[(size_t) i * w_stride + p] * value_scale (values, p, width, c)
                 * (values.is_codes ? (float) values.codes[at] : half_at (values.halves + at));
          }
        out[(size_t) i * o_stride + c] = s;
      }
}

INLINE void
mix_numbers (Numbers values, size_t width, size_t n_positions, const float *weights, size_t w_stride, size_t n_q, float *out,
             size_t o_stride)
{
  for (; n_q >= 4; n_q -= 4, weights += 4 * w_stride, out += 4 * o_stride)
    mix_rows (values, width, n_positions, weights, w_stride, 4, out, o_stride);
  for (; n_q > 0; n_q--, weights += w_stride, out += o_stride)
    mix_rows (values, width, n_positions, weights, w_stride, 1, out, o_stride);
}

/* --- float weights --- */

INLINE float32x4_t
load_weights (EngFloatFormat format, const uint8_t *w, size_t i)
{
  if (format == ENG_FLOAT_F16)
    return load_half4 (w + 2 * i);
  if (format == ENG_FLOAT_BF16)
    return load_bf4 (w + 2 * i);
  return vreinterpretq_f32_u8 (vld1q_u8 (w + 4 * i));
}

INLINE float
weight_at (EngFloatFormat format, const uint8_t *w, size_t i)
{
  float f;
  if (format == ENG_FLOAT_F16)
    return half_at ((const uint16_t *) (const void *) w + i);
  if (format == ENG_FLOAT_BF16)
    {
      uint16_t h;
      memcpy (&h, w + 2 * i, 2);
      uint32_t bits = (uint32_t) h << 16;
      memcpy (&f, &bits, 4);
      return f;
    }
  memcpy (&f, w + 4 * i, 4);
  return f;
}

/* @n_j weight rows by @n_r rows of activations, both at most four. */
INLINE void
float_tile (EngFloatFormat format, const uint8_t *w, size_t w_stride, int n_j, size_t n_cols,
            const float *x, size_t x_stride, int n_r, float *y, size_t y_stride)
{
  float32x4_t s[4][4];
  for (int r = 0; r < n_r; r++)
    for (int j = 0; j < n_j; j++)
      s[r][j] = vdupq_n_f32 (0);
  size_t c = 0;
  for (; c + 4 <= n_cols; c += 4)
    {
      float32x4_t a[4];
      for (int j = 0; j < n_j; j++)
        a[j] = load_weights (format, w, (size_t) j * w_stride + c);
      for (int r = 0; r < n_r; r++)
        {
          float32x4_t b = vld1q_f32 (x + (size_t) r * x_stride + c);
          for (int j = 0; j < n_j; j++)
            s[r][j] = vfmaq_f32 (s[r][j], a[j], b);
        }
    }
  for (int r = 0; r < n_r; r++)
    for (int j = 0; j < n_j; j++)
      {
        float sum = vaddvq_f32 (s[r][j]);
        for (size_t k = c; k < n_cols; k++)
          sum += weight_at (format, w, (size_t) j * w_stride + k) * x[(size_t) r * x_stride + k];
        y[(size_t) r * y_stride + (size_t) j] = sum;
      }
}

INLINE void
product_float (EngFloatFormat format, const void *weights, size_t w_stride, size_t n_j, size_t n_cols,
               const float *x, size_t x_stride, size_t n_r, float *y, size_t y_stride)
{
  const uint8_t *w = weights;
  size_t bytes = format == ENG_FLOAT_F32 ? 4 : 2;
  for (size_t j = 0; j < n_j;)
    {
      size_t m = n_j - j >= 4 ? 4 : 1, r = 0;
      for (; m == 4 && r + 4 <= n_r; r += 4)
        float_tile (format, w, w_stride, 4, n_cols, x + r * x_stride, x_stride, 4,
                    y + r * y_stride + j, y_stride);
      for (; r < n_r; r++)
        if (m == 4)
          float_tile (format, w, w_stride, 4, n_cols, x + r * x_stride, x_stride, 1,
                      y + r * y_stride + j, y_stride);
        else
          float_tile (format, w, w_stride, 1, n_cols, x + r * x_stride, x_stride, 1,
                      y + r * y_stride + j, y_stride);
      w += m * w_stride * bytes;
      j += m;
    }
}

#define ENG_PRODUCT_FLOAT(name)                                                                    \
  static void product_##name (const void *w, size_t w_stride, size_t n_j, size_t n_cols,           \
                              const float *x, size_t x_stride, size_t n_r, float *y,               \
                              size_t y_stride, float *scratch)                                     \
  {                                                                                                \
    product_float (ENG_FLOAT_##name, w, w_stride, n_j, n_cols, x, x_stride, n_r, y, y_stride);     \
  }
ENG_PRODUCT_FLOAT (F32)
ENG_PRODUCT_FLOAT (F16)
ENG_PRODUCT_FLOAT (BF16)

void
eng_attention_init_neon (EngKernels *k)
{
  init_attention (k);
  k->product_float[ENG_FLOAT_F32] = product_F32;
  k->product_float[ENG_FLOAT_F16] = product_F16;
  k->product_float[ENG_FLOAT_BF16] = product_BF16;
}
