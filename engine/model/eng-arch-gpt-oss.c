/* SPDX-License-Identifier: Apache-2.0 */
/* gpt-oss (20B, 120B): experts with biases and a clamped SwiGLU, softmax over the chosen four; biases in
 * the attention, a sink a head; every other layer has a window (the first one has it); YaRN.
 * Hub: GptOssForCausalLM; openai/gpt-oss, torch/model.py. */
#include "eng-arch.h"

#define SOFTMAX_CHOSEN 2u /* EngStep.u.route.gating */

void
eng_arch_compile_gpt_oss (EngBuilder *b)
{
  eng_builder_read_common (b);
  const EngHparams *h = &b->h;
  if (h->n_expert == 0)
    eng_builder_contradict (b, "gpt-oss.expert_count", "a model of experts without experts");
  const EngLayerBuffers *l = eng_builder_begin (b);
  EngAttentionOptions attention = {
    .rope = eng_builder_rope (b, ENG_ROPE_NEOX, h->rope_base, true),
    .sinks = true,
  };
  const EngExpertOptions experts
      = { .act = ENG_ACT_SWIGLU_OAI, .gating = SOFTMAX_CHOSEN, .scale = 1.0f };
  eng_build_embed (b, 1.0f);
  for (uint32_t i = 0; i < h->n_layers && b->status == ENG_OK; i++)
    {
      attention.window = i % 2 == 0 ? h->window : 0;
      eng_build_norm (b, i, ENG_NORM_RMS, l->residual, l->normed, "attn_norm");
      eng_build_attention (b, i, &attention, l->normed);
      eng_build_product (b, i, "attn_output", l->attended, h->n_head * h->v_width, l->residual,
                         h->n_embd, true);
      eng_build_norm (b, i, ENG_NORM_RMS, l->residual, l->normed, "post_attention_norm");
      eng_build_experts (b, i, &experts, l->normed);
    }
  eng_build_output (b, ENG_NORM_RMS, 1.0f, 0.0f);
}
