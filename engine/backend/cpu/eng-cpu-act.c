/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-cpu-private.h"

#include <math.h>

void
eng_cpu_act (const EngKernels *k, EngActKind act, float *x, size_t n)
{
  switch (act)
    {
    case ENG_ACT_SILU:
      k->silu (x, x, n);
      break;
    case ENG_ACT_GELU_TANH:
      k->gelu_tanh (x, x, n);
      break;
    case ENG_ACT_GELU_ERF:
      k->gelu_erf (x, x, n);
      break;
    case ENG_ACT_RELU:
      for (size_t i = 0; i < n; i++)
        x[i] = x[i] > 0 ? x[i] : 0;
      break;
    case ENG_ACT_TANH:
      for (size_t i = 0; i < n; i++)
        x[i] = tanhf (x[i]);
      break;
    case ENG_ACT_SIGMOID:
      for (size_t i = 0; i < n; i++)
        x[i] = 1.0f / (1.0f + expf (-x[i]));
      break;
    case ENG_ACT_NONE:
    case ENG_ACT_SWIGLU_OAI: /* a pair's, not a value's: see eng_cpu_glu */
      break;
    }
}

/* gpt-oss: g = min (gate, 7), u = clamp (up, -7, 7), (u + 1) * g * sigmoid (1.702 g).
 * Source: openai/gpt-oss, torch/model.py, swiglu (). */
static void
swiglu_oai (const float *gate, const float *up, float *y, size_t n)
{
  for (size_t i = 0; i < n; i++)
    {
      float g = fminf (gate[i], 7.0f), u = fmaxf (fminf (up[i], 7.0f), -7.0f);
      y[i] = (u + 1.0f) * g / (1.0f + expf (-1.702f * g));
    }
}

void
eng_cpu_glu (const EngKernels *k, EngActKind act, float *gate, const float *up, float *y, size_t n)
{
  switch (act)
    {
    case ENG_ACT_SILU:
      k->silu_mul (gate, up, y, n);
      break;
    case ENG_ACT_GELU_TANH:
      k->gelu_tanh_mul (gate, up, y, n);
      break;
    case ENG_ACT_GELU_ERF:
      k->gelu_erf_mul (gate, up, y, n);
      break;
    case ENG_ACT_SWIGLU_OAI:
      swiglu_oai (gate, up, y, n);
      break;
    case ENG_ACT_RELU:
    case ENG_ACT_TANH:
    case ENG_ACT_SIGMOID:
    case ENG_ACT_NONE:
      eng_cpu_act (k, act, gate, n);
      for (size_t i = 0; i < n; i++)
        y[i] = gate[i] * up[i];
      break;
    }
}
