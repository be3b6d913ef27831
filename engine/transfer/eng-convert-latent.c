/* SPDX-License-Identifier: Apache-2.0 */
/* Hyper-parameters of the models that follow DeepSeek: experts of its kind, and multi-head latent attention. */
#include <string.h>

#include "eng-convert-private.h"

/* Dense layers before those with experts: a number, or in newer configurations the kind of each. */
static void
set_dense_layers (EngConvert *c)
{
  const EngJson *types = eng_json_get (c->config, "mlp_layer_types");
  uint32_t n = eng_convert_get_u32 (c, "first_k_dense_replace", c->n_experts ? 0 : c->n_layers);
  if (types && types->type == ENG_JSON_ARRAY)
    {
      for (n = 0; n < types->n && eng_json_is_string (eng_json_at (types, n), "dense");)
        n++;
      for (size_t i = n; i < types->n; i++)
        if (!eng_json_is_string (eng_json_at (types, i), "sparse"))
          eng_convert_fail (c, ENG_ERR_UNSUPPORTED, "mlp_layer_types", "a dense layer (%zu) behind one with experts", i);
    }
  if (eng_convert_get_u32 (c, "moe_layer_freq", 1) != 1)
    eng_convert_fail (c, ENG_ERR_UNSUPPORTED, "moe_layer_freq", "experts in only some of the layers are not supported");
  eng_convert_set_u32 (c, "leading_dense_block_count", n);
}

/* Experts beside one that all rows visit; @gating as in the file: 1 softmax, 2 sigmoid. */
static void
set_routing (EngConvert *c, uint32_t gating)
{
  const char *method = NULL;
  eng_json_get_string (c->config, "topk_method", &method);
  bool groups = !method || strcmp (method, "greedy") != 0;
  c->n_layers_ahead = eng_convert_get_u32 (c, "num_nextn_predict_layers", 0);
  set_dense_layers (c);
  eng_convert_set_u32 (c, "expert_shared_count", eng_convert_get_u32 (c, "n_shared_experts", 0));
  eng_convert_set_u32 (c, "expert_group_count", groups ? eng_convert_get_u32 (c, "n_group", 1) : 1);
  eng_convert_set_u32 (c, "expert_group_used_count", groups ? eng_convert_get_u32 (c, "topk_group", 1) : 1);
  eng_convert_set_u32 (c, "expert_gating_func", gating);
  eng_convert_set_f32 (c, "expert_weights_scale",
                       eng_convert_get_f64 (c, "routed_scaling_factor", 1.0));
  eng_convert_set_bool (c, "expert_weights_norm", eng_convert_get_bool (c, "norm_topk_prob", gating == 2));
}

void
eng_convert_set_glm4moe (EngConvert *c)
{
  set_routing (c, 2);
}

/* YaRN scales the scores by the square of what "mscale_all_dim" gives, and cos and sin by the ratio of what "mscale" gives to
 * it; the format knows the first alone. */
static void
set_yarn_magnitude (EngConvert *c)
{
  const EngJson *rope = eng_convert_rope (c);
  const char *type = NULL;
  double scale = 0, scale_all = 0;
  if (!rope || (!eng_json_get_string (rope, "rope_type", &type) && !eng_json_get_string (rope, "type", &type))
      || strcmp (type, "yarn") != 0)
    return;
  eng_json_get_double (rope, "mscale", &scale);
  eng_json_get_double (rope, "mscale_all_dim", &scale_all);
  if (scale_all <= 0 || scale != scale_all)
    eng_convert_fail (c, ENG_ERR_UNSUPPORTED, "mscale_all_dim",
                      "YaRN with an mscale of %g and an mscale_all_dim of %g has no place in the format", scale, scale_all);
  eng_convert_set_f32 (c, "rope.scaling.yarn_log_multiplier", 0.1 * scale_all);
}

/* Multi-head latent attention, as attention of one head of keys sees it. */
static void
set_latent (EngConvert *c, uint32_t gating)
{
  uint32_t latent = eng_convert_need_u32 (c, "kv_lora_rank"), rot = eng_convert_need_u32 (c, "qk_rope_head_dim");
  const char *scoring = NULL;
  c->n_head_keys = eng_convert_need_u32 (c, "qk_nope_head_dim");
  c->n_head_values = eng_convert_need_u32 (c, "v_head_dim");
  if (eng_json_get_string (c->config, "scoring_func", &scoring))
    gating = strcmp (scoring, "softmax") == 0 ? 1 : strcmp (scoring, "sigmoid") == 0 ? 2 : 0;
  if (gating == 0)
    eng_convert_fail (c, ENG_ERR_UNSUPPORTED, "scoring_func", "experts chosen by %s are not supported", scoring);
  if (!eng_convert_get_bool (c, "rope_interleave", true))
    eng_convert_fail (c, ENG_ERR_UNSUPPORTED, "rope_interleave", "RoPE over halves is not supported for %s", c->arch->name);
  if (latent > 1u << 16 || rot > 1u << 16 || c->n_head_keys > 1u << 16 || c->n_head_values > 1u << 16
      || c->n_head_keys == 0 || c->n_head_values == 0)
    eng_convert_fail (c, ENG_ERR_FORMAT, "kv_lora_rank", "config.json says latents of %u and %u for heads of %u and %u", latent,
                      rot, c->n_head_keys, c->n_head_values);
  if (c->status != ENG_OK)
    return;
  if (eng_convert_has (c, "q_lora_rank"))
    eng_convert_set_u32 (c, "attention.q_lora_rank", eng_convert_need_u32 (c, "q_lora_rank"));
  eng_convert_set_u32 (c, "attention.kv_lora_rank", latent);
  eng_convert_set_u32 (c, "attention.head_count_kv", 1);
  eng_convert_set_u32 (c, "attention.key_length", latent + rot);
  eng_convert_set_u32 (c, "attention.value_length", latent);
  eng_convert_set_u32 (c, "attention.key_length_mla", c->n_head_keys + rot);
  eng_convert_set_u32 (c, "attention.value_length_mla", c->n_head_values);
  set_yarn_magnitude (c);
  set_routing (c, gating);
}

void
eng_convert_set_deepseek_v2 (EngConvert *c)
{
  set_latent (c, 1);
}

void
eng_convert_set_deepseek_v3 (EngConvert *c)
{
  set_latent (c, 2);
}
