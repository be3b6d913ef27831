/* SPDX-License-Identifier: Apache-2.0 */
/* llama: Llama 2 and 3.x, Mistral (with its window), SmolLM, and Mixtral (with experts: softmax over
 * all, the chosen weights made to sum to 1). RMS norm before each branch, grouped-query attention,
 * SwiGLU; RoPE over neighbouring pairs, for which converters have permuted the rows of q and k. */
#include "eng-arch.h"

void
eng_arch_compile_llama (EngBuilder *b)
{
  eng_builder_read_common (b);
  const EngPlainDecoder decoder = {
    .rope = ENG_ROPE_NORM,
    .normalize_experts = true,
    .attention_scale = eng_builder_get_f32 (b, "attention.scale", 0.0f, 0.0f, 1e3f),
  };
  eng_build_plain_decoder (b, &decoder);
}
