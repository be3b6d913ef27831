/* SPDX-License-Identifier: Apache-2.0 */
/* deepseek2 (DeepSeek-V2, V2-Lite, V3, R1, Moonlight, GLM-4.7-Flash): multi-head latent attention. Keys and values of all
 * heads are products of one latent a position with attn_kv_b; its keys' part is multiplied with the queries (attn_k_b) and
 * its values' part with what attention mixed of latents (attn_v_b), so that the state holds the latents and one rotated key
 * alone (arXiv:2405.04434, section 2.1 and appendix C). Early files have attn_kv_b whole, later ones the two parts, keys'
 * transposed, and "_mla" keys for the widths of a head. RoPE over neighbours. YaRN's magnitude goes to the scores:
 * (1 + yarn_log_multiplier ln factor)^2, the key holding 0.1 * mscale_all_dim. The first layers are dense, the others have
 * experts, chosen by softmax (V2) or by sigmoid, a selection bias and groups (V3).
 * Hub: DeepseekV2ForCausalLM, DeepseekV3ForCausalLM, Glm4MoeLiteForCausalLM. */
#include <math.h>

#include "eng-arch.h"

#define GATING_SOFTMAX 0u /* EngStep.u.route.gating */
#define GATING_SIGMOID 1u
#define FILE_SOFTMAX 1u /* the key expert_gating_func */
#define FILE_SIGMOID 2u

typedef struct
{
  uint32_t n_plain, n_value; /* of a head: numbers of its key without RoPE, of its value */
  uint32_t n_latent, n_query; /* n_query: low rank of the queries, 0 = none */
  float scale;
  EngRope rope;
  EngBufferId query, low, latent, heads;
} Latent;

static void
read_latent (EngBuilder *b, Latent *a)
{
  EngHparams *h = &b->h;
  uint32_t key = eng_builder_get_u32 (b, "attention.key_length_mla", h->k_width, 1, ENG_MAX_HEAD_WIDTH);
  a->n_value = eng_builder_get_u32 (b, "attention.value_length_mla", h->v_width, 1, ENG_MAX_HEAD_WIDTH);
  a->n_latent = eng_builder_need_u32 (b, "attention.kv_lora_rank", 1, ENG_MAX_HEAD_WIDTH);
  a->n_query = eng_builder_get_u32 (b, "attention.q_lora_rank", 0, 0, ENG_MAX_WIDTH);
  if (b->status != ENG_OK)
    return;
  if (eng_builder_has (b, "attention.temperature_scale"))
    eng_builder_refuse (b, "attention.temperature_scale", "scores that grow with the position are not supported");
  if (key <= h->n_rot)
    eng_builder_contradict (b, "rope.dimension_count", "%u rotated dimensions in heads of %u", h->n_rot, key);
  a->n_plain = key - h->n_rot;
  float factor = eng_builder_get_f32 (b, "rope.scaling.factor", 1.0f, 0.0f, 1e6f);
  float multiplier = eng_builder_get_f32 (b, "rope.scaling.yarn_log_multiplier", 0.0f, 0.0f, 10.0f);
  double magnitude = factor > 1.0f && eng_builder_key_is (b, "rope.scaling.type", "yarn")
                         ? 1.0 + (double) multiplier * log ((double) factor)
                         : 1.0;
  a->scale = (float) (magnitude * magnitude / sqrt ((double) key));
  /* What attention sees. */
  h->n_head_kv = 1;
  h->k_width = a->n_latent + h->n_rot;
  h->v_width = a->n_latent;
}

static void
make_buffers (EngBuilder *b, Latent *a)
{
  const EngHparams *h = &b->h;
  a->query = eng_builder_buffer (b, (uint64_t) h->n_head * (a->n_plain + h->n_rot));
  a->low = a->n_query ? eng_builder_buffer (b, a->n_query) : ENG_BUFFER_NONE;
  a->latent = eng_builder_buffer (b, h->k_width);
  a->heads = eng_builder_buffer (b, (uint64_t) h->n_head * a->n_value);
}

static void
build_queries (EngBuilder *b, uint32_t i, const Latent *a)
{
  const EngLayerBuffers *l = &b->buffers_of_layer;
  uint32_t width = b->h.n_head * (a->n_plain + b->h.n_rot);
  if (a->n_query == 0)
    {
      eng_build_product (b, i, "attn_q", l->normed, b->h.n_embd, a->query, width, false);
      return;
    }
  eng_build_product (b, i, "attn_q_a", l->normed, b->h.n_embd, a->low, a->n_query, false);
  eng_build_norm_of (b, i, ENG_NORM_RMS, a->low, a->low, "attn_q_a_norm", a->n_query);
  eng_build_product (b, i, "attn_q_b", a->low, a->n_query, a->query, width, false);
}

static void
build_latent_attention (EngBuilder *b, uint32_t i, const Latent *a)
{
  const EngHparams *h = &b->h;
  const EngLayerBuffers *l = &b->buffers_of_layer;
  uint32_t n_head = h->n_head, n_both = a->n_plain + a->n_value;
  bool whole = !eng_builder_has_tensor (b, i, "attn_k_b.weight");
  build_queries (b, i, a);
  eng_build_product (b, i, "attn_kv_a_mqa", l->normed, h->n_embd, a->latent, h->k_width, false);
  EngStep *s = eng_builder_step (b, ENG_STEP_LATENT, i, a->query, l->q);
  s->aux = a->latent;
  s->w[0] = eng_builder_vector (b, i, "attn_kv_a_norm.weight", a->n_latent);
  s->w[1] = whole ? eng_builder_heads (b, i, "attn_kv_b.weight", ENG_WEIGHT_TURNED, a->n_latent, n_both, 0, a->n_plain, n_head)
                  : eng_builder_heads (b, i, "attn_k_b.weight", ENG_WEIGHT_PRODUCT, a->n_plain, a->n_latent, 0, a->n_latent,
                                       n_head);
  uint16_t i_layer;
  EngGroupId group = eng_builder_kv_group (b, 1, h->k_width, 0, 0, &i_layer);
  s->u.latent.n_head = n_head;
  s->u.latent.n_plain = a->n_plain;
  s->u.latent.n_latent = a->n_latent;
  s->u.latent.n_rot = h->n_rot;
  s->u.latent.group = group;
  s->u.latent.i_layer_in_group = i_layer;
  s->u.latent.rope = a->rope;
  s->u.latent.eps = h->eps;
  s = eng_builder_step (b, ENG_STEP_ATTENTION, i, l->q, l->attended);
  s->u.attention.n_head = n_head;
  s->u.attention.n_head_kv = 1;
  s->u.attention.k_width = h->k_width;
  s->u.attention.v_width = h->v_width;
  s->u.attention.group = group;
  s->u.attention.i_layer_in_group = i_layer;
  s->u.attention.scale = a->scale;
  s->u.attention.causal = true;
  s = eng_builder_step (b, ENG_STEP_HEADS, i, l->attended, a->heads);
  s->w[0] = whole ? eng_builder_heads (b, i, "attn_kv_b.weight", ENG_WEIGHT_PRODUCT, a->n_latent, n_both, a->n_plain,
                                       a->n_value, n_head)
                  : eng_builder_heads (b, i, "attn_v_b.weight", ENG_WEIGHT_PRODUCT, a->n_latent, a->n_value, 0, a->n_value,
                                       n_head);
  s->u.heads.n_head = n_head;
  eng_build_product (b, i, "attn_output", a->heads, n_head * a->n_value, l->residual, h->n_embd, true);
}

/* Early files do not say how experts are chosen: those with a selection bias use the sigmoid. */
static EngExpertOptions
read_routing (EngBuilder *b, uint32_t n_dense)
{
  uint32_t gating = eng_builder_get_u32 (b, "expert_gating_func", 0, 0, UINT32_MAX);
  if (gating == 0)
    gating = eng_builder_has_tensor (b, n_dense, "exp_probs_b.bias") ? FILE_SIGMOID : FILE_SOFTMAX;
  if (gating != FILE_SOFTMAX && gating != FILE_SIGMOID)
    eng_builder_refuse (b, "expert_gating_func", "gating %u: only softmax (1) and sigmoid (2) are supported", gating);
  return (EngExpertOptions) {
    .act = ENG_ACT_SILU,
    .gating = gating == FILE_SIGMOID ? GATING_SIGMOID : GATING_SOFTMAX,
    .normalize = eng_builder_get_bool (b, "expert_weights_norm", false),
    .scale = eng_builder_get_f32 (b, "expert_weights_scale", 1.0f, 0.0f, 1e4f),
    .n_groups = eng_builder_get_u32 (b, "expert_group_count", 0, 0, ENG_MAX_EXPERTS),
    .n_groups_used = eng_builder_get_u32 (b, "expert_group_used_count", 0, 0, ENG_MAX_EXPERTS),
  };
}

void
eng_arch_compile_deepseek2 (EngBuilder *b)
{
  eng_builder_read_common (b);
  EngHparams *h = &b->h;
  Latent a = { 0 };
  read_latent (b, &a);
  uint32_t n_dense = eng_builder_get_u32 (b, "leading_dense_block_count", 0, 0, ENG_MAX_LAYERS);
  uint32_t n_shared = eng_builder_get_u32 (b, "expert_shared_count", 0, 0, ENG_MAX_EXPERTS);
  eng_builder_skip_layers_ahead (b);
  if (b->status != ENG_OK)
    return;
  if (n_dense > h->n_layers || (h->n_expert == 0 && n_dense < h->n_layers))
    eng_builder_contradict (b, "leading_dense_block_count", "%u of %u layers are dense beside %u experts", n_dense,
                            h->n_layers, h->n_expert);
  else if ((uint64_t) h->n_ff_expert * n_shared > ENG_MAX_WIDTH)
    eng_builder_contradict (b, "expert_shared_count", "%u shared experts of width %u", n_shared, h->n_ff_expert);
  else
    h->n_ff_shared = h->n_ff_expert * n_shared;
  const EngExpertOptions experts = read_routing (b, n_dense);
  const EngLayerBuffers *l = eng_builder_begin (b);
  make_buffers (b, &a);
  a.rope = eng_builder_rope (b, ENG_ROPE_NORM, h->rope_base, true);
  eng_build_embed (b, 1.0f);
  for (uint32_t i = 0; i < h->n_layers && b->status == ENG_OK; i++)
    {
      eng_build_norm (b, i, ENG_NORM_RMS, l->residual, l->normed, "attn_norm");
      build_latent_attention (b, i, &a);
      eng_build_norm (b, i, ENG_NORM_RMS, l->residual, l->normed, "ffn_norm");
      eng_build_feed_forward (b, i, i >= n_dense ? &experts : NULL, l->normed);
    }
  eng_build_output (b, ENG_NORM_RMS, 1.0f, 0.0f);
}
