/* SPDX-License-Identifier: Apache-2.0 */
/* lfm2 (LFM2 350M to 2.6B) and lfm2moe (8B-A1B: experts behind the first layers, chosen by sigmoid and a bias): most layers mix rows by a gated convolution over the last few, the others (those with heads of
 * keys in attention.head_count_kv) by attention with RMS norms on the heads. The norm behind the last layer is called
 * token_embd_norm. Hub: Lfm2ForCausalLM, Lfm2MoeForCausalLM. */
#include "eng-arch.h"

#define GATING_SIGMOID 1u /* EngStep.u.route.gating */
#define FILE_SIGMOID 2u   /* the key expert_gating_func */

static void
build_conv (EngBuilder *b, uint32_t i, EngBufferId mixed, uint32_t n_conv)
{
  const EngLayerBuffers *l = &b->buffers_of_layer;
  uint32_t n = b->h.n_embd;
  eng_build_product (b, i, "shortconv.in_proj", l->normed, n, mixed, 3 * n, false);
  EngStep *s = eng_builder_step (b, ENG_STEP_CONV, i, mixed, l->branch);
  s->w[0] = eng_builder_expert_vectors_if (b, i, "shortconv.conv.weight", n_conv, n);
  if (b->status == ENG_OK && s->w[0] == ENG_WEIGHT_NONE)
    eng_builder_contradict (b, "shortconv.conv.weight", "the file lacks the tensor 'blk.%u.shortconv.conv.weight'", i);
  s->u.delta.n_conv = n_conv;
  s->u.delta.group = eng_builder_recurrent_group (b, (n_conv - 1) * n, &s->u.delta.i_layer_in_group);
  eng_build_product (b, i, "shortconv.out_proj", l->branch, n, l->residual, n, true);
}

void
eng_arch_compile_lfm2 (EngBuilder *b)
{
  eng_builder_read_common (b);
  const EngHparams *h = &b->h;
  uint32_t n_conv = eng_builder_need_u32 (b, "shortconv.l_cache", 2, 64);
  uint32_t n_dense = h->n_expert ? eng_builder_get_u32 (b, "leading_dense_block_count", 0, 0, ENG_MAX_LAYERS) : h->n_layers;
  uint32_t gating = eng_builder_get_u32 (b, "expert_gating_func", FILE_SIGMOID, 0, UINT32_MAX);
  if (gating != FILE_SIGMOID)
    eng_builder_refuse (b, "expert_gating_func", "gating %u: only the sigmoid (2) is supported", gating);
  const EngExpertOptions experts = {
    .act = ENG_ACT_SILU,
    .gating = GATING_SIGMOID,
    .normalize = eng_builder_get_bool (b, "expert_weights_norm", true),
    .scale = eng_builder_get_f32 (b, "expert_weights_scale", 1.0f, 0.0f, 1e4f),
  };
  const EngLayerBuffers *l = eng_builder_begin (b);
  EngBufferId mixed = eng_builder_buffer (b, 3ull * h->n_embd);
  const EngAttentionOptions attention = {
    .rope = eng_builder_rope (b, ENG_ROPE_NEOX, h->rope_base, true),
    .head_norm = ENG_NORM_RMS,
  };
  eng_build_embed (b, 1.0f);
  for (uint32_t i = 0; i < h->n_layers && b->status == ENG_OK; i++)
    {
      eng_build_norm (b, i, ENG_NORM_RMS, l->residual, l->normed, "attn_norm");
      if (eng_builder_has_tensor (b, i, "shortconv.in_proj.weight"))
        build_conv (b, i, mixed, n_conv);
      else
        {
          eng_build_attention (b, i, &attention, l->normed);
          eng_build_product (b, i, "attn_output", l->attended, h->n_head * h->v_width, l->residual, h->n_embd, true);
        }
      eng_build_norm (b, i, ENG_NORM_RMS, l->residual, l->normed, "ffn_norm");
      eng_build_feed_forward (b, i, i >= n_dense ? &experts : NULL, l->normed);
    }
  eng_build_output_behind (b, "token_embd_norm", ENG_NORM_RMS, 1.0f, 0.0f);
}
