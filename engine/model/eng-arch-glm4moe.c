/* SPDX-License-Identifier: Apache-2.0 */
/* glm4moe (GLM-4.5, GLM-4.5-Air, GLM-4.6): biases on q, k, v; RoPE over halves of half of each head; the
 * first layers dense, the others with experts chosen by sigmoid and a selection bias, one shared expert.
 * Layers behind the last one that guess several tokens ahead (MTP) are left alone.
 * Hub: Glm4MoeForCausalLM. */
#include "eng-arch.h"

#define GATING_SIGMOID 1u  /* EngStep.u.route.gating */
#define FILE_SIGMOID 2u    /* the key expert_gating_func */

void
eng_arch_compile_glm4moe (EngBuilder *b)
{
  eng_builder_read_common (b);
  EngHparams *h = &b->h;
  if (h->n_expert == 0)
    eng_builder_contradict (b, "glm4moe.expert_count", "a model of experts without experts");
  uint32_t n_dense = eng_builder_get_u32 (b, "leading_dense_block_count", 0, 0, ENG_MAX_LAYERS);
  uint32_t n_shared = eng_builder_get_u32 (b, "expert_shared_count", 0, 0, ENG_MAX_EXPERTS);
  uint32_t gating = eng_builder_get_u32 (b, "expert_gating_func", FILE_SIGMOID, 0, UINT32_MAX);
  if (gating != 0 && gating != FILE_SIGMOID)
    eng_builder_refuse (b, "glm4moe.expert_gating_func", "gating %u: only the sigmoid (2) is supported",
                        gating);
  eng_builder_skip_layers_ahead (b);
  if (n_dense > h->n_layers)
    eng_builder_contradict (b, "glm4moe.leading_dense_block_count", "%u of %u layers are dense", n_dense, h->n_layers);
  if (b->status != ENG_OK)
    return;
  if ((uint64_t) h->n_ff_expert * n_shared > ENG_MAX_WIDTH)
    eng_builder_contradict (b, "glm4moe.expert_shared_count", "%u shared experts of width %u", n_shared,
                            h->n_ff_expert);
  else
    h->n_ff_shared = h->n_ff_expert * n_shared;
  const EngLayerBuffers *l = eng_builder_begin (b);
  const EngAttentionOptions attention = {
    .rope = eng_builder_rope (b, ENG_ROPE_NEOX, h->rope_base, true),
    .head_norm = eng_builder_has_tensor (b, 0, "attn_q_norm.weight") ? ENG_NORM_RMS : ENG_NORM_NONE,
  };
  const EngExpertOptions experts = {
    .act = ENG_ACT_SILU,
    .gating = GATING_SIGMOID,
    .normalize = eng_builder_get_bool (b, "expert_weights_norm", true),
    .scale = eng_builder_get_f32 (b, "expert_weights_scale", 1.0f, 0.0f, 1e4f),
    .n_groups = eng_builder_get_u32 (b, "expert_group_count", 0, 0, ENG_MAX_EXPERTS),
    .n_groups_used = eng_builder_get_u32 (b, "expert_group_used_count", 0, 0, ENG_MAX_EXPERTS),
  };
  eng_build_embed (b, 1.0f);
  for (uint32_t i = 0; i < h->n_layers && b->status == ENG_OK; i++)
    {
      eng_build_norm (b, i, ENG_NORM_RMS, l->residual, l->normed, "attn_norm");
      eng_build_attention (b, i, &attention, l->normed);
      eng_build_product (b, i, "attn_output", l->attended, h->n_head * h->v_width, l->residual,
                         h->n_embd, true);
      eng_build_norm (b, i, ENG_NORM_RMS, l->residual, l->normed, "post_attention_norm");
      eng_build_feed_forward (b, i, i >= n_dense ? &experts : NULL, l->normed);
    }
  eng_build_output (b, ENG_NORM_RMS, 1.0f, 0.0f);
}
