/* SPDX-License-Identifier: Apache-2.0 */
/* glm4 (GLM-4-0414, GLM-Z1): norms before and behind each branch; RoPE over neighbouring pairs of
 * half of each head; gate and up in one tensor. Hub: Glm4ForCausalLM. */
#include "eng-arch.h"

void
eng_arch_compile_glm4 (EngBuilder *b)
{
  eng_builder_read_common (b);
  const EngHparams *h = &b->h;
  eng_builder_begin (b);
  const EngAttentionOptions attention = {
    .rope = eng_builder_rope (b, ENG_ROPE_NORM, h->rope_base, true),
    .fused = eng_builder_has_tensor (b, 0, "attn_qkv.weight"),
  };
  eng_build_embed (b, 1.0f);
  for (uint32_t i = 0; i < h->n_layers && b->status == ENG_OK; i++)
    eng_build_sandwich_layer (b, i, &attention, ENG_ACT_SILU, true);
  eng_build_output (b, ENG_NORM_RMS, 1.0f, 0.0f);
}
