// SPDX-License-Identifier: Apache-2.0
// Activations (EngActivation).
#pragma once

#include "format.cuh"

// SIGMOID: that of gates too. The kernels of few rows never meet it, and would be 4 % larger for it.
template <bool SIGMOID>
CU_DEV float
activate (int act, float v)
{
  switch (act)
    {
    case ENG_ACT_SILU:
      return v / (1.f + __expf (-v));
    case ENG_ACT_GELU_TANH:
      return 0.5f * v * (1.f + tanhf (0.7978845608028654f * (v + 0.044715f * v * v * v)));
    case ENG_ACT_GELU_ERF:
      return 0.5f * v * (1.f + erff (v * 0.7071067811865476f));
    case ENG_ACT_RELU:
      return fmaxf (v, 0.f);
    case ENG_ACT_TANH:
      return tanhf (v);
    case ENG_ACT_SIGMOID:
      return SIGMOID ? 1.f / (1.f + __expf (-v)) : v;
    default:
      return v;
    }
}

// What goes into a down product: gate * up with the activation; gpt-oss clamps both and adds one to the linear side.
template <bool SIGMOID>
CU_DEV float
gated (int act, float gate, float up)
{
  if (act != ENG_ACT_SWIGLU_OAI)
    return activate<SIGMOID> (act, gate) * up;
  gate = fminf (gate, 7.f);
  up = fminf (fmaxf (up, -7.f), 7.f);
  return gate / (1.f + __expf (-1.702f * gate)) * (up + 1.f);
}

// The same of those that are x sigmoid (something of x): a few instructions instead of a choice among six formulas.
static inline bool
gates_by_sigmoid (int act)
{
  return act == ENG_ACT_SILU || act == ENG_ACT_GELU_TANH || act == ENG_ACT_SWIGLU_OAI;
}
CU_DEV float
gated_by_sigmoid (int act, float gate, float up)
{
  float steep = gate;
  if (act == ENG_ACT_GELU_TANH) // (1 + tanh (z)) / 2 = sigmoid (2 z)
    steep = 1.5957691216057308f * (gate + 0.044715f * gate * gate * gate);
  if (act == ENG_ACT_SWIGLU_OAI)
    {
      gate = fminf (gate, 7.f);
      steep = 1.702f * gate;
      up = fminf (fmaxf (up, -7.f), 7.f) + 1.f;
    }
  return __fdividef (gate * up, 1.f + __expf (-steep));
}
