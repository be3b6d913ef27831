/* SPDX-License-Identifier: Apache-2.0 */
/* chatglm (ChatGLM3, GLM-4-9B of 2024): q, k, v in one tensor with a bias, gate and up in one;
 * RoPE over neighbouring pairs of half of each head. Hub: ChatGLMModel. */
#include "eng-arch.h"

void
eng_arch_compile_chatglm (EngBuilder *b)
{
  eng_builder_read_common (b);
  bool fused = eng_builder_has_tensor (b, 0, "attn_qkv.weight");
  eng_build_plain_decoder (
      b, &(EngPlainDecoder) { .rope = ENG_ROPE_NORM, .fused_qkv = fused, .fused_gate_up = true });
}
