/* SPDX-License-Identifier: Apache-2.0 */
/* Plain C references of the kernels on float32 vectors. Sums are taken in double: these are what the
 * other tiers are measured against, and what exact mode runs. */
#include "eng-kernels.h"
#include "eng-ref.h"

#include <math.h>

#include "eng-half.h"

static float
ref_dot (const float *a, const float *b, size_t n)
{
  /* Four sums let the compiler overlap the additions; double keeps the result order-independent to
   * float precision. */
  double s[4] = { 0 };
  size_t i = 0;
  for (; i + 4 <= n; i += 4)
    for (int j = 0; j < 4; j++)
      s[j] += (double) a[i + j] * b[i + j];
  for (; i < n; i++)
    s[0] += (double) a[i] * b[i];
  return (float) ((s[0] + s[1]) + (s[2] + s[3]));
}

static void
ref_axpy (float s, const float *x, float *y, size_t n)
{
  for (size_t i = 0; i < n; i++)
    y[i] += s * x[i];
}

static void
ref_rms_norm (const float *x, const float *w, float eps, float *y, size_t n)
{
  double sum = 0;
  for (size_t i = 0; i < n; i++)
    sum += (double) x[i] * x[i];
  float r = (float) (1.0 / sqrt (sum / (double) (n ? n : 1) + eps));
  for (size_t i = 0; i < n; i++)
    y[i] = x[i] * r * (w ? w[i] : 1.0f);
}

static void
ref_layer_norm (const float *x, const float *w, const float *b, float eps, float *y, size_t n)
{
  double sum = 0, sum2 = 0, nn = (double) (n ? n : 1);
  for (size_t i = 0; i < n; i++)
    sum += x[i];
  double mean = sum / nn;
  for (size_t i = 0; i < n; i++)
    sum2 += (x[i] - mean) * (x[i] - mean);
  float r = (float) (1.0 / sqrt (sum2 / nn + eps));
  for (size_t i = 0; i < n; i++)
    y[i] = (float) (x[i] - mean) * r * (w ? w[i] : 1.0f) + (b ? b[i] : 0.0f);
}

static inline float
silu (float x)
{
  return x / (1.0f + expf (-x));
}

static inline float
gelu_tanh (float x)
{
  /* Hendrycks and Gimpel, arXiv 1606.08415: 0.5 x (1 + tanh (sqrt (2 / pi) (x + 0.044715 x^3))) */
  return 0.5f * x * (1.0f + tanhf (0.79788456080286535588f * (x + 0.044715f * x * x * x)));
}

static inline float
gelu_erf (float x)
{
  return 0.5f * x * (1.0f + erff (x * 0.70710678118654752440f));
}

#define ENG_REF_UNARY(name)                                                                        \
  static void ref_##name (const float *x, float *y, size_t n)                                      \
  {                                                                                                \
    for (size_t i = 0; i < n; i++)                                                                 \
      y[i] = name (x[i]);                                                                          \
  }                                                                                                \
  static void ref_##name##_mul (const float *gate, const float *up, float *y, size_t n)            \
  {                                                                                                \
    for (size_t i = 0; i < n; i++)                                                                 \
      y[i] = name (gate[i]) * up[i];                                                               \
  }
ENG_REF_UNARY (silu)
ENG_REF_UNARY (gelu_tanh)
ENG_REF_UNARY (gelu_erf)

static float
ref_exp_sum (float *x, float max, size_t n)
{
  double sum = 0;
  for (size_t i = 0; i < n; i++)
    {
      x[i] = expf (x[i] - max);
      sum += x[i];
    }
  return (float) sum;
}

static float
ref_max (const float *x, size_t n)
{
  float max = -INFINITY;
  for (size_t i = 0; i < n; i++)
    max = x[i] > max ? x[i] : max;
  return max;
}

static void
ref_half_to_float (const uint16_t *x, float *y, size_t n)
{
  for (size_t i = 0; i < n; i++)
    y[i] = eng_f16_to_f32 (x[i]);
}

static void
ref_float_to_half (const float *x, uint16_t *y, size_t n)
{
  for (size_t i = 0; i < n; i++)
    y[i] = eng_f32_to_f16 (x[i]);
}

void
eng_ref_init_float (EngKernels *k)
{
  k->dot = ref_dot;
  k->axpy = ref_axpy;
  k->rms_norm = ref_rms_norm;
  k->layer_norm = ref_layer_norm;
  k->silu = ref_silu;
  k->silu_mul = ref_silu_mul;
  k->gelu_tanh = ref_gelu_tanh;
  k->gelu_tanh_mul = ref_gelu_tanh_mul;
  k->gelu_erf = ref_gelu_erf;
  k->gelu_erf_mul = ref_gelu_erf_mul;
  k->exp_sum = ref_exp_sum;
  k->max = ref_max;
  k->half_to_float = ref_half_to_float;
  k->float_to_half = ref_float_to_half;
}
