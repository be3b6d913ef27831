/* SPDX-License-Identifier: Apache-2.0 */
/* llama: Llama 2 and 3.x, Mistral (with its window), SmolLM, and Mixtral (with experts).
 * RMS norm before each branch, grouped-query attention, SwiGLU; RoPE over neighbouring pairs, for
 * which converters have already permuted the rows of q and k. */
#include "eng-arch.h"

void
eng_arch_compile_llama (EngBuilder *b)
{
  eng_builder_read_common (b);
  const EngHparams *h = &b->h;
  uint32_t inner = h->n_ff > h->n_ff_expert ? h->n_ff : h->n_ff_expert;
  const EngLayerBuffers *l = eng_builder_begin (b, inner);
  const EngAttentionOptions attention = {
    .rope = eng_builder_rope (b, ENG_ROPE_NORM, h->rope_base, true),
    .window = h->window,
    .scale = eng_builder_get_f32 (b, "attention.scale", 0.0f, 0.0f, 1e3f),
  };
  /* Mixtral: softmax over all experts, the chosen weights made to sum to 1. */
  const EngExpertOptions experts = { .act = ENG_ACT_SILU, .normalize = true, .scale = 1.0f };
  eng_build_embed (b, 1.0f);
  for (uint32_t i = 0; i < h->n_layers && b->status == ENG_OK; i++)
    {
      eng_build_norm (b, i, ENG_NORM_RMS, l->residual, l->normed, "attn_norm");
      eng_build_attention (b, i, &attention, l->normed);
      eng_build_product (b, i, "attn_output", l->attended, h->n_head * h->v_width, l->residual,
                         h->n_embd, true);
      eng_build_norm (b, i, ENG_NORM_RMS, l->residual, l->normed, "ffn_norm");
      if (h->n_expert)
        {
          eng_build_experts (b, i, &experts, l->normed);
          continue;
        }
      eng_build_gate_up (b, i, ENG_ACT_SILU, l->normed, false);
      eng_build_product (b, i, "ffn_down", l->inner, h->n_ff, l->residual, h->n_embd, true);
    }
  eng_build_output (b, ENG_NORM_RMS, 1.0f, 0.0f);
}
