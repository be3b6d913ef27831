/* SPDX-License-Identifier: Apache-2.0 */
/* Float32 vectors and the activations' quantization, on any arm64 processor. */
#include <math.h>
#include <string.h>

#include "eng-kernels.h"
#include "eng-simd-neon.h"
#include "eng-tiers.h"

/* First n < 4 elements, the others zero. */
INLINE float32x4_t
load_part (const float *p, size_t n)
{
  float all[4] = { 0 };
  memcpy (all, p, n * sizeof (float));
  return vld1q_f32 (all);
}

INLINE void
store_part (float *p, size_t n, float32x4_t a)
{
  float all[4];
  vst1q_f32 (all, a);
  memcpy (p, all, n * sizeof (float));
}

/* exp by 2^n * p (r), r = x - n ln 2 in [-ln 2 / 2, ln 2 / 2], p the Taylor polynomial of degree 6.
 * Below 2^-126 the result is 0, above the largest float infinity; NaN stays. */
INLINE float32x4_t
exp4 (float32x4_t x)
{
  static const float factors[6] = { 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f };
  const float least = -87.33654f, most = 88.72283f;
  float32x4_t c = vminq_f32 (vmaxq_f32 (x, vdupq_n_f32 (least)), vdupq_n_f32 (most));
  float32x4_t n = vrndnq_f32 (vmulq_n_f32 (c, 1.44269504088896341f));
  float32x4_t r = vfmsq_n_f32 (vfmsq_n_f32 (c, n, 0.693359375f), n, -2.12194440e-4f);
  float32x4_t p = vdupq_n_f32 (1.0f / 720);
  for (int i = 0; i < 6; i++)
    p = vfmaq_f32 (vdupq_n_f32 (factors[i]), p, r);
  /* n may be 128: two steps, each by a normal power of two. */
  int32x4_t i = vcvtq_s32_f32 (n), h = vshrq_n_s32 (i, 1), bias = vdupq_n_s32 (127);
  float32x4_t a = vreinterpretq_f32_s32 (vshlq_n_s32 (vaddq_s32 (h, bias), 23));
  float32x4_t b = vreinterpretq_f32_s32 (vshlq_n_s32 (vaddq_s32 (vsubq_s32 (i, h), bias), 23));
  float32x4_t y = vmulq_f32 (vmulq_f32 (p, a), b);
  y = vbslq_f32 (vcltq_f32 (x, vdupq_n_f32 (least)), vdupq_n_f32 (0), y);
  y = vbslq_f32 (vcgtq_f32 (x, vdupq_n_f32 (most)), vdupq_n_f32 (INFINITY), y);
  return vbslq_f32 (vceqq_f32 (x, x), y, x);
}

INLINE float32x4_t
silu4 (float32x4_t x)
{
  return vdivq_f32 (x, vaddq_f32 (vdupq_n_f32 (1.0f), exp4 (vnegq_f32 (x))));
}

/* 0.5 (1 + tanh z) = 1 / (1 + exp (-2 z)) */
INLINE float32x4_t
gelu_tanh4 (float32x4_t x)
{
  float32x4_t z = vfmaq_n_f32 (x, vmulq_f32 (vmulq_f32 (x, x), x), 0.044715f);
  float32x4_t e = exp4 (vmulq_n_f32 (z, -1.59576912160573071176f));
  return vdivq_f32 (x, vaddq_f32 (vdupq_n_f32 (1.0f), e));
}

/* erf by Abramowitz and Stegun 7.1.26: absolute error below 1.5e-7. */
INLINE float32x4_t
gelu_erf4 (float32x4_t x)
{
  static const float factors[4] = { -1.453152027f, 1.421413741f, -0.284496736f, 0.254829592f };
  const float32x4_t one = vdupq_n_f32 (1.0f);
  float32x4_t z = vmulq_n_f32 (x, 0.70710678118654752440f), a = vabsq_f32 (z);
  float32x4_t t = vdivq_f32 (one, vfmaq_n_f32 (one, a, 0.3275911f));
  float32x4_t p = vdupq_n_f32 (1.061405429f);
  for (int i = 0; i < 4; i++)
    p = vfmaq_f32 (vdupq_n_f32 (factors[i]), p, t);
  float32x4_t rest = vmulq_f32 (vmulq_f32 (p, t), exp4 (vnegq_f32 (vmulq_f32 (a, a))));
  float32x4_t erf = vbslq_f32 (vdupq_n_u32 (0x80000000u), z, vsubq_f32 (one, rest));
  return vmulq_f32 (vmulq_n_f32 (x, 0.5f), vaddq_f32 (one, erf));
}

#define ENG_UNARY(name)                                                                            \
  static void name (const float *x, float *y, size_t n)                                            \
  {                                                                                                \
    size_t i = 0;                                                                                  \
    for (; i + 4 <= n; i += 4)                                                                     \
      vst1q_f32 (y + i, name##4 (vld1q_f32 (x + i)));                                              \
    if (i < n)                                                                                     \
      store_part (y + i, n - i, name##4 (load_part (x + i, n - i)));                               \
  }                                                                                                \
  static void name##_mul (const float *g, const float *u, float *y, size_t n)                      \
  {                                                                                                \
    size_t i = 0;                                                                                  \
    for (; i + 4 <= n; i += 4)                                                                     \
      vst1q_f32 (y + i, vmulq_f32 (name##4 (vld1q_f32 (g + i)), vld1q_f32 (u + i)));               \
    if (i < n)                                                                                     \
      store_part (y + i, n - i,                                                                    \
                  vmulq_f32 (name##4 (load_part (g + i, n - i)), load_part (u + i, n - i)));       \
  }
ENG_UNARY (silu)
ENG_UNARY (gelu_tanh)
ENG_UNARY (gelu_erf)

static float
exp_sum (float *x, float max, size_t n)
{
  float32x4_t m = vdupq_n_f32 (max), sum = vdupq_n_f32 (0);
  size_t i = 0;
  for (; i + 4 <= n; i += 4)
    {
      float32x4_t e = exp4 (vsubq_f32 (vld1q_f32 (x + i), m));
      vst1q_f32 (x + i, e);
      sum = vaddq_f32 (sum, e);
    }
  float total = vaddvq_f32 (sum);
  if (i < n)
    {
      store_part (x + i, n - i, exp4 (vsubq_f32 (load_part (x + i, n - i), m)));
      for (; i < n; i++)
        total += x[i];
    }
  return total;
}

static float
max_of (const float *x, size_t n)
{
  float32x4_t m = vdupq_n_f32 (-INFINITY);
  size_t i = 0;
  for (; i + 4 <= n; i += 4)
    m = vmaxq_f32 (m, vld1q_f32 (x + i));
  float max = vmaxvq_f32 (m);
  for (; i < n; i++)
    max = x[i] > max ? x[i] : max;
  return max;
}

static float
dot (const float *a, const float *b, size_t n)
{
  float32x4_t s[4] = { vdupq_n_f32 (0), vdupq_n_f32 (0), vdupq_n_f32 (0), vdupq_n_f32 (0) };
  size_t i = 0;
  for (; i + 16 <= n; i += 16)
    for (int j = 0; j < 4; j++)
      s[j] = vfmaq_f32 (s[j], vld1q_f32 (a + i + 4 * j), vld1q_f32 (b + i + 4 * j));
  for (; i + 4 <= n; i += 4)
    s[0] = vfmaq_f32 (s[0], vld1q_f32 (a + i), vld1q_f32 (b + i));
  if (i < n)
    s[1] = vfmaq_f32 (s[1], load_part (a + i, n - i), load_part (b + i, n - i));
  return vaddvq_f32 (vaddq_f32 (vaddq_f32 (s[0], s[1]), vaddq_f32 (s[2], s[3])));
}

static void
axpy (float s, const float *x, float *y, size_t n)
{
  size_t i = 0;
  for (; i + 4 <= n; i += 4)
    vst1q_f32 (y + i, vfmaq_n_f32 (vld1q_f32 (y + i), vld1q_f32 (x + i), s));
  if (i < n)
    store_part (y + i, n - i, vfmaq_n_f32 (load_part (y + i, n - i), load_part (x + i, n - i), s));
}

static void
rms_norm (const float *x, const float *w, float eps, float *y, size_t n)
{
  float r = 1.0f / sqrtf (dot (x, x, n) / (float) (n ? n : 1) + eps);
  size_t i = 0;
  for (; i + 4 <= n; i += 4)
    {
      float32x4_t a = vmulq_n_f32 (vld1q_f32 (x + i), r);
      vst1q_f32 (y + i, w != NULL ? vmulq_f32 (a, vld1q_f32 (w + i)) : a);
    }
  for (; i < n; i++)
    y[i] = x[i] * r * (w != NULL ? w[i] : 1.0f);
}

static void
layer_norm (const float *x, const float *w, const float *b, float eps, float *y, size_t n)
{
  float32x4_t sum = vdupq_n_f32 (0), sum2 = sum;
  size_t i = 0;
  for (; i + 4 <= n; i += 4)
    sum = vaddq_f32 (sum, vld1q_f32 (x + i));
  float count = (float) (n ? n : 1), total = vaddvq_f32 (sum);
  for (; i < n; i++)
    total += x[i];
  float mean = total / count;
  for (i = 0; i + 4 <= n; i += 4)
    {
      float32x4_t a = vsubq_f32 (vld1q_f32 (x + i), vdupq_n_f32 (mean));
      sum2 = vfmaq_f32 (sum2, a, a);
    }
  float var = vaddvq_f32 (sum2);
  for (; i < n; i++)
    var += (x[i] - mean) * (x[i] - mean);
  float r = 1.0f / sqrtf (var / count + eps);
  for (i = 0; i < n; i++)
    y[i] = (x[i] - mean) * r * (w != NULL ? w[i] : 1.0f) + (b != NULL ? b[i] : 0.0f);
}

static void
half_to_float (const uint16_t *x, float *y, size_t n)
{
  size_t i = 0;
  for (; i + 4 <= n; i += 4)
    vst1q_f32 (y + i, load_half4 (x + i));
  for (; i < n; i++)
    y[i] = vgetq_lane_f32 (vcvt_f32_f16 (vreinterpret_f16_u16 (vdup_n_u16 (x[i]))), 0);
}

static void
float_to_half (const float *x, uint16_t *y, size_t n)
{
  size_t i = 0;
  for (; i + 4 <= n; i += 4)
    vst1_u16 (y + i, vreinterpret_u16_f16 (vcvt_f16_f32 (vld1q_f32 (x + i))));
  for (; i < n; i++)
    y[i] = vget_lane_u16 (vreinterpret_u16_f16 (vcvt_f16_f32 (vdupq_n_f32 (x[i]))), 0);
}

/* Sixteen numbers times @scale to the nearest integers, no further from zero than @limit. */
INLINE int16x8x2_t
round16 (const float32x4_t v[4], float scale, int16_t limit)
{
  int16x8x2_t out;
  for (int j = 0; j < 2; j++)
    {
      int16x4_t a = vqmovn_s32 (vcvtnq_s32_f32 (vmulq_n_f32 (v[2 * j], scale)));
      int16x4_t b = vqmovn_s32 (vcvtnq_s32_f32 (vmulq_n_f32 (v[2 * j + 1], scale)));
      out.val[j] = vmaxq_s16 (vminq_s16 (vcombine_s16 (a, b), vdupq_n_s16 (limit)),
                              vdupq_n_s16 ((int16_t) -limit));
    }
  return out;
}

static void
quantize (const float *x, size_t n_cols, const EngQuantTile *tile, uint32_t i_row)
{
  size_t t = tile->n_rows;
  for (size_t b = 0; b < n_cols / 32; b++, x += 32)
    {
      float32x4_t v[8], max = vdupq_n_f32 (0);
      for (int j = 0; j < 8; j++)
        {
          v[j] = vld1q_f32 (x + 4 * j);
          max = vmaxq_f32 (max, vabsq_f32 (v[j]));
        }
      float most = vmaxvq_f32 (max), d = most / 127.0f, scale = most > 0 ? 127.0f / most : 0;
      if (!(scale <= 1.0e37f))
        d = scale = 0;
      size_t at = (b * t + i_row) * 32;
      int sums[2];
      for (int half = 0; half < 2; half++)
        {
          int16x8x2_t q = round16 (v + 4 * half, scale, 127);
          vst1q_s8 (tile->q + at + 16 * half,
                    vcombine_s8 (vmovn_s16 (q.val[0]), vmovn_s16 (q.val[1])));
          sums[half] = vaddlvq_s16 (q.val[0]) + vaddlvq_s16 (q.val[1]);
          if (tile->q16 == NULL)
            continue;
          int16x8x2_t fine = round16 (v + 4 * half, scale * ENG_QUANT_FINE, 2032);
          for (int j = 0; j < 2; j++)
            {
              /* Columns 0, 2, 1, 3 of every four: the even and the odd ones of each, then as pairs.
               */
              int16x4x2_t parts
                  = vuzp_s16 (vget_low_s16 (fine.val[j]), vget_high_s16 (fine.val[j]));
              int32x2x2_t pairs = vzip_s32 (vreinterpret_s32_s16 (parts.val[0]),
                                            vreinterpret_s32_s16 (parts.val[1]));
              vst1_s16 (tile->q16 + at + 16 * half + 8 * j, vreinterpret_s16_s32 (pairs.val[0]));
              vst1_s16 (tile->q16 + at + 16 * half + 8 * j + 4,
                        vreinterpret_s16_s32 (pairs.val[1]));
            }
        }
      float *meta = tile->meta + b * ENG_QUANT_META * t + i_row;
      meta[0] = d;
      meta[t] = d * (float) (sums[0] + sums[1]);
      meta[2 * t] = (float) sums[0];
      meta[3 * t] = (float) sums[1];
    }
}

void
eng_float_init_neon (EngKernels *k)
{
  k->dot = dot;
  k->axpy = axpy;
  k->rms_norm = rms_norm;
  k->layer_norm = layer_norm;
  k->silu = silu;
  k->silu_mul = silu_mul;
  k->gelu_tanh = gelu_tanh;
  k->gelu_tanh_mul = gelu_tanh_mul;
  k->gelu_erf = gelu_erf;
  k->gelu_erf_mul = gelu_erf_mul;
  k->exp_sum = exp_sum;
  k->max = max_of;
  k->half_to_float = half_to_float;
  k->float_to_half = float_to_half;
  k->quantize = quantize;
}
