/* SPDX-License-Identifier: Apache-2.0 */
/* The architectures: what their tensors are called on the hub (names of the `transformers` library's
 * modules) and in GGUF (names of ggml-org/ggml, docs/gguf.md, "Standardized tensor names", and, where
 * that is silent, those that published files have). A new one is a table here. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "eng-convert-private.h"

#define REQ ENG_RULE_REQUIRED
#define ONE ENG_RULE_ADD_ONE
#define RULES(...) ((const EngConvertRule *const[]) { __VA_ARGS__, NULL })

/* ---- Decoders ------------------------------------------------------------------------------------ */

static const EngConvertRule decoder_globals[] = {
  { "embed_tokens.weight", "token_embd.weight", REQ | ENG_RULE_VOCAB },
  { "norm.weight", "output_norm.weight", REQ },
  { NULL },
};

static const EngConvertRule decoder_norms[] = {
  { "input_layernorm.weight", "attn_norm.weight", REQ },
  { "post_attention_layernorm.weight", "ffn_norm.weight", REQ },
  { NULL },
};

static const EngConvertRule attention[] = {
  { "self_attn.q_proj.weight", "attn_q.weight", REQ },
  { "self_attn.q_proj.bias", "attn_q.bias", 0 },
  { "self_attn.k_proj.weight", "attn_k.weight", REQ },
  { "self_attn.k_proj.bias", "attn_k.bias", 0 },
  { "self_attn.v_proj.weight", "attn_v.weight", REQ },
  { "self_attn.v_proj.bias", "attn_v.bias", 0 },
  { "self_attn.o_proj.weight", "attn_output.weight", REQ },
  { "self_attn.o_proj.bias", "attn_output.bias", 0 },
  { NULL },
};

/* llama in GGUF rotates neighbours, on the hub halves. */
static const EngConvertRule attention_reordered[] = {
  { "self_attn.q_proj.weight", "attn_q.weight", REQ | ENG_RULE_ROPE_Q },
  { "self_attn.q_proj.bias", "attn_q.bias", ENG_RULE_ROPE_Q },
  { "self_attn.k_proj.weight", "attn_k.weight", REQ | ENG_RULE_ROPE_K },
  { "self_attn.k_proj.bias", "attn_k.bias", ENG_RULE_ROPE_K },
  { "self_attn.v_proj.weight", "attn_v.weight", REQ },
  { "self_attn.v_proj.bias", "attn_v.bias", 0 },
  { "self_attn.o_proj.weight", "attn_output.weight", REQ },
  { "self_attn.o_proj.bias", "attn_output.bias", 0 },
  { NULL },
};

static const EngConvertRule head_norms[] = {
  { "self_attn.q_norm.weight", "attn_q_norm.weight", REQ },
  { "self_attn.k_norm.weight", "attn_k_norm.weight", REQ },
  { NULL },
};

static const EngConvertRule gated[] = {
  { "mlp.gate_proj.weight", "ffn_gate.weight", REQ },
  { "mlp.up_proj.weight", "ffn_up.weight", REQ },
  { "mlp.down_proj.weight", "ffn_down.weight", REQ },
  { NULL },
};

/* Optional here, because a llama has either these or experts; the loader asks for one of them. */
static const EngConvertRule gated_or_mixtral[] = {
  { "mlp.gate_proj.weight", "ffn_gate.weight", 0 },
  { "mlp.up_proj.weight", "ffn_up.weight", 0 },
  { "mlp.down_proj.weight", "ffn_down.weight", 0 },
  { "block_sparse_moe.gate.weight", "ffn_gate_inp.weight", 0 },
  { "block_sparse_moe.experts.#.w1.weight", "ffn_gate_exps.weight", 0 },
  { "block_sparse_moe.experts.#.w2.weight", "ffn_down_exps.weight", 0 },
  { "block_sparse_moe.experts.#.w3.weight", "ffn_up_exps.weight", 0 },
  { "mlp.gate.weight", "ffn_gate_inp.weight", 0 },
  { "mlp.experts.gate_up_proj", "ffn_gate_exps.weight", ENG_RULE_FIRST_HALF },
  { "mlp.experts.gate_up_proj", "ffn_up_exps.weight", ENG_RULE_LAST_HALF },
  { "mlp.experts.down_proj", "ffn_down_exps.weight", 0 },
  { NULL },
};

static const EngConvertRule experts[] = {
  { "mlp.gate.weight", "ffn_gate_inp.weight", REQ },
  { "mlp.experts.gate_up_proj", "ffn_gate_exps.weight", ENG_RULE_FIRST_HALF },
  { "mlp.experts.gate_up_proj", "ffn_up_exps.weight", ENG_RULE_LAST_HALF },
  { "mlp.experts.down_proj", "ffn_down_exps.weight", 0 },
  { "mlp.experts.#.gate_proj.weight", "ffn_gate_exps.weight", REQ },
  { "mlp.experts.#.up_proj.weight", "ffn_up_exps.weight", REQ },
  { "mlp.experts.#.down_proj.weight", "ffn_down_exps.weight", REQ },
  { NULL },
};

static const EngConvertRule shared_expert[] = {
  { "mlp.shared_expert.gate_proj.weight", "ffn_gate_shexp.weight", REQ },
  { "mlp.shared_expert.up_proj.weight", "ffn_up_shexp.weight", REQ },
  { "mlp.shared_expert.down_proj.weight", "ffn_down_shexp.weight", REQ },
  { "mlp.shared_expert_gate.weight", "ffn_gate_inp_shexp.weight", REQ | ENG_RULE_VECTOR },
  { NULL },
};

static const EngConvertRule gemma_globals[] = {
  { "embed_tokens.weight", "token_embd.weight", REQ | ENG_RULE_VOCAB },
  { "norm.weight", "output_norm.weight", REQ | ONE },
  { NULL },
};

static const EngConvertRule gemma_norms[] = {
  { "input_layernorm.weight", "attn_norm.weight", REQ | ONE },
  { "post_attention_layernorm.weight", "post_attention_norm.weight", REQ | ONE },
  { "pre_feedforward_layernorm.weight", "ffn_norm.weight", REQ | ONE },
  { "post_feedforward_layernorm.weight", "post_ffw_norm.weight", REQ | ONE },
  { NULL },
};

static const EngConvertRule gemma_head_norms[] = {
  { "self_attn.q_norm.weight", "attn_q_norm.weight", REQ | ONE },
  { "self_attn.k_norm.weight", "attn_k_norm.weight", REQ | ONE },
  { NULL },
};

/* Norms as they are. Layers without values of their own, with a part of a second embedding, with experts: the loader asks
 * for what belongs together. */
static const EngConvertRule gemma4_globals[] = {
  { "embed_tokens.weight", "token_embd.weight", REQ | ENG_RULE_VOCAB },
  { "norm.weight", "output_norm.weight", REQ },
  { "embed_tokens_per_layer.weight", "per_layer_token_embd.weight", ENG_RULE_VOCAB },
  { "per_layer_model_projection.weight", "per_layer_model_proj.weight", 0 },
  { "per_layer_projection_norm.weight", "per_layer_proj_norm.weight", 0 },
  { NULL },
};

static const EngConvertRule gemma4_rules[] = {
  { "input_layernorm.weight", "attn_norm.weight", REQ },
  { "post_attention_layernorm.weight", "post_attention_norm.weight", REQ },
  { "pre_feedforward_layernorm.weight", "ffn_norm.weight", REQ },
  { "post_feedforward_layernorm.weight", "post_ffw_norm.weight", REQ },
  { "self_attn.q_proj.weight", "attn_q.weight", REQ },
  { "self_attn.k_proj.weight", "attn_k.weight", 0 },
  { "self_attn.v_proj.weight", "attn_v.weight", 0 },
  { "self_attn.o_proj.weight", "attn_output.weight", REQ },
  { "self_attn.q_norm.weight", "attn_q_norm.weight", REQ },
  { "self_attn.k_norm.weight", "attn_k_norm.weight", 0 },
  { "layer_scalar", "layer_output_scale.weight", 0 },
  { "per_layer_input_gate.weight", "inp_gate.weight", 0 },
  { "per_layer_projection.weight", "proj.weight", 0 },
  { "post_per_layer_input_norm.weight", "post_norm.weight", 0 },
  { "router.proj.weight", "ffn_gate_inp.weight", 0 },
  { "router.scale", "ffn_gate_inp.scale", 0 },
  { "router.per_expert_scale", "ffn_down_exps.scale", 0 },
  { "experts.gate_up_proj", "ffn_gate_exps.weight", ENG_RULE_FIRST_HALF },
  { "experts.gate_up_proj", "ffn_up_exps.weight", ENG_RULE_LAST_HALF },
  { "experts.down_proj", "ffn_down_exps.weight", 0 },
  { "pre_feedforward_layernorm_2.weight", "pre_ffw_norm_2.weight", 0 },
  { "post_feedforward_layernorm_1.weight", "post_ffw_norm_1.weight", 0 },
  { "post_feedforward_layernorm_2.weight", "post_ffw_norm_2.weight", 0 },
  { NULL },
};

static const EngConvertRule fused_gate_up[] = {
  { "mlp.gate_up_proj.weight", "ffn_up.weight", REQ },
  { "mlp.down_proj.weight", "ffn_down.weight", REQ },
  { NULL },
};

static const EngConvertRule glm4_norms[] = {
  { "input_layernorm.weight", "attn_norm.weight", REQ },
  { "post_attention_layernorm.weight", "ffn_norm.weight", REQ },
  { "post_self_attn_layernorm.weight", "post_attention_norm.weight", REQ },
  { "post_mlp_layernorm.weight", "post_ffw_norm.weight", REQ },
  { NULL },
};

/* Dense in the first layers, experts in the others; the loader asks for the one or the other. */
static const EngConvertRule dense_or_experts[] = {
  { "mlp.gate_proj.weight", "ffn_gate.weight", 0 },
  { "mlp.up_proj.weight", "ffn_up.weight", 0 },
  { "mlp.down_proj.weight", "ffn_down.weight", 0 },
  { "mlp.gate.weight", "ffn_gate_inp.weight", 0 },
  { "mlp.gate.e_score_correction_bias", "exp_probs_b.bias", 0 },
  { "mlp.experts.gate_up_proj", "ffn_gate_exps.weight", ENG_RULE_FIRST_HALF },
  { "mlp.experts.gate_up_proj", "ffn_up_exps.weight", ENG_RULE_LAST_HALF },
  { "mlp.experts.down_proj", "ffn_down_exps.weight", 0 },
  { "mlp.experts.#.gate_proj.weight", "ffn_gate_exps.weight", 0 },
  { "mlp.experts.#.up_proj.weight", "ffn_up_exps.weight", 0 },
  { "mlp.experts.#.down_proj.weight", "ffn_down_exps.weight", 0 },
  { "mlp.shared_experts.gate_proj.weight", "ffn_gate_shexp.weight", 0 },
  { "mlp.shared_experts.up_proj.weight", "ffn_up_shexp.weight", 0 },
  { "mlp.shared_experts.down_proj.weight", "ffn_down_shexp.weight", 0 },
  { NULL },
};

static const EngConvertRule glm4moe_norms[] = {
  { "input_layernorm.weight", "attn_norm.weight", REQ },
  { "post_attention_layernorm.weight", "post_attention_norm.weight", REQ },
  { "self_attn.q_norm.weight", "attn_q_norm.weight", 0 },
  { "self_attn.k_norm.weight", "attn_k_norm.weight", 0 },
  { NULL },
};

/* Queries of one product or of two; the loader asks for the one or the other. */
static const EngConvertRule latent_attention[] = {
  { "self_attn.q_proj.weight", "attn_q.weight", 0 },
  { "self_attn.q_a_proj.weight", "attn_q_a.weight", 0 },
  { "self_attn.q_a_layernorm.weight", "attn_q_a_norm.weight", 0 },
  { "self_attn.q_b_proj.weight", "attn_q_b.weight", 0 },
  { "self_attn.kv_a_proj_with_mqa.weight", "attn_kv_a_mqa.weight", REQ },
  { "self_attn.kv_a_layernorm.weight", "attn_kv_a_norm.weight", REQ },
  { "self_attn.kv_b_proj.weight", "attn_k_b.weight", REQ | ENG_RULE_HEAD_KEYS },
  { "self_attn.kv_b_proj.weight", "attn_v_b.weight", REQ | ENG_RULE_HEAD_VALUES },
  { "self_attn.o_proj.weight", "attn_output.weight", REQ },
  { NULL },
};

/* Norms are stored minus one, but the one behind the delta rule. */
static const EngConvertRule qwen35_globals[] = {
  { "embed_tokens.weight", "token_embd.weight", REQ | ENG_RULE_VOCAB },
  { "norm.weight", "output_norm.weight", REQ | ONE },
  { NULL },
};

/* Three layers of four have the first part, the fourth attention; the loader asks for the one or the other. */
static const EngConvertRule qwen35_rules[] = {
  { "input_layernorm.weight", "attn_norm.weight", REQ | ONE },
  { "post_attention_layernorm.weight", "post_attention_norm.weight", REQ | ONE },
  { "linear_attn.norm.weight", "ssm_norm.weight", 0 },
  { "self_attn.q_proj.weight", "attn_q.weight", 0 },
  { "self_attn.k_proj.weight", "attn_k.weight", 0 },
  { "self_attn.v_proj.weight", "attn_v.weight", 0 },
  { "self_attn.o_proj.weight", "attn_output.weight", 0 },
  { "self_attn.q_norm.weight", "attn_q_norm.weight", ONE },
  { "self_attn.k_norm.weight", "attn_k_norm.weight", ONE },
  { NULL },
};

static const EngConvertRule qwen35_delta[] = {
  { "linear_attn.in_proj_qkv.weight", "attn_qkv.weight", ENG_RULE_TILE_END },
  { "linear_attn.in_proj_z.weight", "attn_gate.weight", ENG_RULE_TILE_ROWS },
  { "linear_attn.in_proj_a.weight", "ssm_alpha.weight", ENG_RULE_TILE_ROWS },
  { "linear_attn.in_proj_b.weight", "ssm_beta.weight", ENG_RULE_TILE_ROWS },
  { "linear_attn.dt_bias", "ssm_dt.bias", ENG_RULE_TILE_ROWS },
  { "linear_attn.A_log", "ssm_a", ENG_RULE_TILE_ROWS | ENG_RULE_MINUS_EXP },
  { "linear_attn.conv1d.weight", "ssm_conv1d.weight", ENG_RULE_TAPS | ENG_RULE_TILE_END },
  { "linear_attn.out_proj.weight", "ssm_out.weight", ENG_RULE_TILE_COLUMNS },
  { NULL },
};

/* Heads of values stay where they are. */
static const EngConvertRule qwen3next_delta[] = {
  { "linear_attn.in_proj_qkvz.weight", "attn_qkv.weight", ENG_RULE_MIXED_QKV },
  { "linear_attn.in_proj_qkvz.weight", "attn_gate.weight", ENG_RULE_MIXED_Z },
  { "linear_attn.in_proj_ba.weight", "ssm_ba.weight", 0 },
  { "linear_attn.dt_bias", "ssm_dt.bias", 0 },
  { "linear_attn.A_log", "ssm_a", ENG_RULE_MINUS_EXP },
  { "linear_attn.conv1d.weight", "ssm_conv1d.weight", ENG_RULE_TAPS },
  { "linear_attn.out_proj.weight", "ssm_out.weight", 0 },
  { NULL },
};

/* Gate and up stand row by row in turn. */
static const EngConvertRule gpt_oss_rules[] = {
  { "input_layernorm.weight", "attn_norm.weight", REQ },
  { "post_attention_layernorm.weight", "post_attention_norm.weight", REQ },
  { "self_attn.sinks", "attn_sinks.weight", REQ },
  { "mlp.router.weight", "ffn_gate_inp.weight", REQ },
  { "mlp.router.bias", "ffn_gate_inp.bias", REQ },
  { "mlp.experts.gate_up_proj", "ffn_gate_exps.weight", REQ | ENG_RULE_MXFP4 | ENG_RULE_EVEN },
  { "mlp.experts.gate_up_proj", "ffn_up_exps.weight", REQ | ENG_RULE_MXFP4 | ENG_RULE_ODD },
  { "mlp.experts.down_proj", "ffn_down_exps.weight", REQ | ENG_RULE_MXFP4 },
  { "mlp.experts.gate_up_proj_bias", "ffn_gate_exps.bias", REQ | ENG_RULE_EVEN },
  { "mlp.experts.gate_up_proj_bias", "ffn_up_exps.bias", REQ | ENG_RULE_ODD },
  { "mlp.experts.down_proj_bias", "ffn_down_exps.bias", REQ },
  { NULL },
};

/* Most layers have the convolution, the others attention; some are dense, others have experts: the loader asks for the one
 * or the other. */
static const EngConvertRule lfm2_globals[] = {
  { "embed_tokens.weight", "token_embd.weight", REQ | ENG_RULE_VOCAB },
  { "embedding_norm.weight", "token_embd_norm.weight", REQ },
  { NULL },
};

static const EngConvertRule lfm2_rules[] = {
  { "operator_norm.weight", "attn_norm.weight", REQ },
  { "ffn_norm.weight", "ffn_norm.weight", REQ },
  { "conv.in_proj.weight", "shortconv.in_proj.weight", 0 },
  { "conv.conv.weight", "shortconv.conv.weight", ENG_RULE_TAPS },
  { "conv.out_proj.weight", "shortconv.out_proj.weight", 0 },
  { "self_attn.q_proj.weight", "attn_q.weight", 0 },
  { "self_attn.k_proj.weight", "attn_k.weight", 0 },
  { "self_attn.v_proj.weight", "attn_v.weight", 0 },
  { "self_attn.out_proj.weight", "attn_output.weight", 0 },
  { "self_attn.q_layernorm.weight", "attn_q_norm.weight", 0 },
  { "self_attn.k_layernorm.weight", "attn_k_norm.weight", 0 },
  { "feed_forward.w1.weight", "ffn_gate.weight", 0 },
  { "feed_forward.w3.weight", "ffn_up.weight", 0 },
  { "feed_forward.w2.weight", "ffn_down.weight", 0 },
  { "feed_forward.gate.weight", "ffn_gate_inp.weight", 0 },
  { "feed_forward.expert_bias", "exp_probs_b.bias", 0 },
  { "feed_forward.experts.gate_up_proj", "ffn_gate_exps.weight", ENG_RULE_FIRST_HALF },
  { "feed_forward.experts.gate_up_proj", "ffn_up_exps.weight", ENG_RULE_LAST_HALF },
  { "feed_forward.experts.down_proj", "ffn_down_exps.weight", 0 },
  { "feed_forward.experts.#.w1.weight", "ffn_gate_exps.weight", 0 },
  { "feed_forward.experts.#.w3.weight", "ffn_up_exps.weight", 0 },
  { "feed_forward.experts.#.w2.weight", "ffn_down_exps.weight", 0 },
  { NULL },
};

static const EngConvertRule phi3_attention[] = {
  { "self_attn.qkv_proj.weight", "attn_qkv.weight", REQ },
  { "self_attn.o_proj.weight", "attn_output.weight", REQ },
  { NULL },
};

/* GLM-4-9B as first published. */
static const EngConvertRule chatglm_globals[] = {
  { "embedding.word_embeddings.weight", "token_embd.weight", REQ | ENG_RULE_VOCAB },
  { "encoder.final_layernorm.weight", "output_norm.weight", REQ },
  { "output_layer.weight", "output.weight", ENG_RULE_VOCAB },
  { NULL },
};

static const EngConvertRule chatglm_rules[] = {
  { "input_layernorm.weight", "attn_norm.weight", REQ },
  { "self_attention.query_key_value.weight", "attn_qkv.weight", REQ },
  { "self_attention.query_key_value.bias", "attn_qkv.bias", 0 },
  { "self_attention.dense.weight", "attn_output.weight", REQ },
  { "post_attention_layernorm.weight", "ffn_norm.weight", REQ },
  { "mlp.dense_h_to_4h.weight", "ffn_up.weight", REQ },
  { "mlp.dense_4h_to_h.weight", "ffn_down.weight", REQ },
  { NULL },
};

/* ---- Encoders ------------------------------------------------------------------------------------ */

static const EngConvertRule bert_globals[] = {
  { "embeddings.word_embeddings.weight", "token_embd.weight", REQ | ENG_RULE_VOCAB },
  { "embeddings.position_embeddings.weight", "position_embd.weight", REQ },
  { "embeddings.token_type_embeddings.weight", "token_types.weight", 0 },
  { "embeddings.LayerNorm.weight", "token_embd_norm.weight", REQ },
  { "embeddings.LayerNorm.bias", "token_embd_norm.bias", REQ },
  { NULL },
};

static const EngConvertRule roberta_globals[] = {
  { "embeddings.word_embeddings.weight", "token_embd.weight", REQ | ENG_RULE_VOCAB },
  { "embeddings.position_embeddings.weight", "position_embd.weight", REQ | ENG_RULE_POSITIONS },
  { "embeddings.token_type_embeddings.weight", "token_types.weight", 0 },
  { "embeddings.LayerNorm.weight", "token_embd_norm.weight", REQ },
  { "embeddings.LayerNorm.bias", "token_embd_norm.bias", REQ },
  { NULL },
};

static const EngConvertRule bert_rules[] = {
  { "attention.self.query.weight", "attn_q.weight", REQ },
  { "attention.self.query.bias", "attn_q.bias", REQ },
  { "attention.self.key.weight", "attn_k.weight", REQ },
  { "attention.self.key.bias", "attn_k.bias", REQ },
  { "attention.self.value.weight", "attn_v.weight", REQ },
  { "attention.self.value.bias", "attn_v.bias", REQ },
  { "attention.output.dense.weight", "attn_output.weight", REQ },
  { "attention.output.dense.bias", "attn_output.bias", REQ },
  { "attention.output.LayerNorm.weight", "attn_output_norm.weight", REQ },
  { "attention.output.LayerNorm.bias", "attn_output_norm.bias", REQ },
  { "intermediate.dense.weight", "ffn_up.weight", REQ },
  { "intermediate.dense.bias", "ffn_up.bias", REQ },
  { "output.dense.weight", "ffn_down.weight", REQ },
  { "output.dense.bias", "ffn_down.bias", REQ },
  { "output.LayerNorm.weight", "layer_output_norm.weight", REQ },
  { "output.LayerNorm.bias", "layer_output_norm.bias", REQ },
  { NULL },
};

static const EngConvertRule nomic_globals[] = {
  { "embeddings.word_embeddings.weight", "token_embd.weight", REQ | ENG_RULE_VOCAB },
  { "embeddings.token_type_embeddings.weight", "token_types.weight", 0 },
  { "emb_ln.weight", "token_embd_norm.weight", REQ },
  { "emb_ln.bias", "token_embd_norm.bias", REQ },
  { NULL },
};

static const EngConvertRule nomic_rules[] = {
  { "attn.Wqkv.weight", "attn_qkv.weight", REQ },
  { "attn.out_proj.weight", "attn_output.weight", REQ },
  { "norm1.weight", "attn_output_norm.weight", REQ },
  { "norm1.bias", "attn_output_norm.bias", REQ },
  { "mlp.fc11.weight", "ffn_up.weight", REQ },
  { "mlp.fc12.weight", "ffn_gate.weight", REQ },
  { "mlp.fc2.weight", "ffn_down.weight", REQ },
  { "norm2.weight", "layer_output_norm.weight", REQ },
  { "norm2.bias", "layer_output_norm.bias", REQ },
  { NULL },
};

/* ---- Hyper-parameters of one architecture -------------------------------------------------------- */

static void
set_llama (EngConvert *c)
{
  /* Mistral's first models look back that far only. */
  if (eng_convert_has (c, "sliding_window"))
    eng_convert_set_u32 (c, "attention.sliding_window", eng_convert_need_u32 (c, "sliding_window"));
}

static void
set_qwen2 (EngConvert *c)
{
  if (eng_convert_get_bool (c, "use_sliding_window", false))
    eng_convert_fail (c, ENG_ERR_UNSUPPORTED, "use_sliding_window",
                      "a sliding window in some layers is not supported for %s", c->arch->name);
}

static void
set_soft_caps (EngConvert *c)
{
  if (eng_convert_has (c, "attn_logit_softcapping"))
    eng_convert_set_f32 (c, "attn_logit_softcapping",
                         eng_convert_get_f64 (c, "attn_logit_softcapping", 0));
  if (eng_convert_has (c, "final_logit_softcapping"))
    eng_convert_set_f32 (c, "final_logit_softcapping",
                         eng_convert_get_f64 (c, "final_logit_softcapping", 0));
}

/* The readers of GGUF derive the scale of the scores from the width of a head, but for the 27B
 * models of both generations, whose files they know by their number of layers. */
static void
check_query_scale (EngConvert *c)
{
  double scale = eng_convert_get_f64 (c, "query_pre_attn_scalar", c->head_width);
  uint32_t width = eng_convert_need_u32 (c, "hidden_size");
  bool is_27b = (c->n_layers == 46 || c->n_layers == 62) && scale == width / c->n_heads;
  if (scale != c->head_width && !is_27b)
    eng_convert_fail (c, ENG_ERR_UNSUPPORTED, "query_pre_attn_scalar",
                      "query_pre_attn_scalar of %g beside heads of %u has no place in the format",
                      scale, c->head_width);
}

/* Layers of full attention stand at every n-th place, counted from 1. */
static void
check_pattern (EngConvert *c, uint32_t n)
{
  const EngJson *types = eng_json_get (c->config, "layer_types");
  if (!types || types->type != ENG_JSON_ARRAY)
    return;
  for (size_t i = 0; i < types->n; i++)
    if (eng_json_is_string (eng_json_at (types, i), "full_attention") != ((i + 1) % n == 0))
      {
        eng_convert_fail (c, ENG_ERR_UNSUPPORTED, "layer_types",
                          "%s has full attention in every %u-th layer; config.json differs in "
                          "layer %zu",
                          c->arch->name, n, i);
        return;
      }
}

static void
set_gemma2 (EngConvert *c)
{
  set_soft_caps (c);
  check_query_scale (c);
  check_pattern (c, 2);
  eng_convert_set_u32 (c, "attention.sliding_window",
                       eng_convert_get_u32 (c, "sliding_window", 4096));
}

static void
set_gemma3 (EngConvert *c)
{
  double local = eng_convert_get_f64 (c, "rope_local_base_freq", 10000.0);
  const EngJson *rope = eng_json_get (c->config, "rope_parameters");
  eng_json_get_double (eng_json_get (rope, "sliding_attention"), "rope_theta", &local);
  set_soft_caps (c);
  check_query_scale (c);
  check_pattern (c, eng_convert_get_u32 (c, "sliding_window_pattern|_sliding_window_pattern", 6));
  eng_convert_set_u32 (c, "attention.sliding_window",
                       eng_convert_get_u32 (c, "sliding_window", 4096));
  eng_convert_set_f32 (c, "rope.freq_base_swa", local);
}

/* Which layers go without RoPE has no key: readers take every fourth one. */
static void
set_smollm3 (EngConvert *c)
{
  set_qwen2 (c);
  const EngJson *layers = eng_json_get (c->config, "no_rope_layers");
  for (size_t i = 0; layers && layers->type == ENG_JSON_ARRAY && i < layers->n; i++)
    {
      const EngJson *value = eng_json_at (layers, i);
      bool has_rope = value->type == ENG_JSON_NUMBER && value->number != 0;
      if (has_rope == ((i + 1) % 4 == 0))
        {
          eng_convert_fail (c, ENG_ERR_UNSUPPORTED, "no_rope_layers",
                            "smollm3 has no RoPE in every fourth layer; config.json differs in layer %zu",
                            i);
          return;
        }
    }
}

/* Layers with a gated delta rule among those with attention. */
static void
set_delta (EngConvert *c)
{
  uint32_t n_keys = eng_convert_need_u32 (c, "linear_num_key_heads");
  uint32_t n_values = eng_convert_need_u32 (c, "linear_num_value_heads");
  uint32_t k_width = eng_convert_need_u32 (c, "linear_key_head_dim");
  uint32_t v_width = eng_convert_need_u32 (c, "linear_value_head_dim");
  uint32_t every = eng_convert_get_u32 (c, "full_attention_interval", 4);
  const EngJson *types = eng_json_get (c->config, "layer_types");
  if (types && types->type == ENG_JSON_ARRAY && !eng_convert_has (c, "full_attention_interval"))
    for (every = 1; every < types->n && !eng_json_is_string (eng_json_at (types, every - 1), "full_attention");)
      every++;
  if (c->status == ENG_OK && (n_keys == 0 || n_values == 0 || n_values % n_keys != 0 || every == 0))
    eng_convert_fail (c, ENG_ERR_FORMAT, "linear_num_value_heads", "config.json says %u heads of values for %u of keys",
                      n_values, n_keys);
  if (c->status != ENG_OK)
    return;
  check_pattern (c, every);
  c->n_key_heads = n_keys;
  c->n_value_heads = n_values;
  c->n_key_rows = 2 * n_keys * k_width;
  eng_convert_set_u32 (c, "ssm.conv_kernel", eng_convert_get_u32 (c, "linear_conv_kernel_dim", 4));
  eng_convert_set_u32 (c, "ssm.state_size", k_width);
  eng_convert_set_u32 (c, "ssm.group_count", n_keys);
  eng_convert_set_u32 (c, "ssm.time_step_rank", n_values);
  eng_convert_set_u32 (c, "ssm.inner_size", n_values * v_width);
  eng_convert_set_u32 (c, "full_attention_interval", every);
}

static void
set_qwen35 (EngConvert *c)
{
  int32_t sections[4] = { 0 };
  set_delta (c);
  /* Shares of height, width and time in pictures; in text they turn alike. Readers ask for four. */
  const EngJson *shares = eng_json_get (eng_convert_rope (c), "mrope_section");
  for (size_t i = 0; shares && shares->type == ENG_JSON_ARRAY && i < shares->n && i < 4; i++)
    if (eng_json_at (shares, i)->type == ENG_JSON_NUMBER && eng_json_at (shares, i)->number >= 0
        && eng_json_at (shares, i)->number < 1e6)
      sections[i] = (int32_t) eng_json_at (shares, i)->number;
  if (c->status == ENG_OK)
    {
      char key[64];
      snprintf (key, sizeof key, "%s.rope.dimension_sections", c->arch->name);
      c->status = eng_gguf_writer_set_array (c->writer, key, ENG_GGUF_I32, 4, sections, c->error);
    }
}

/* The width that config.json gives is, unless it says otherwise, that of a block without a gate. */
static uint32_t
find_lfm2_width (EngConvert *c)
{
  uint32_t width = eng_convert_need_u32 (c, "block_ff_dim|intermediate_size");
  if (!eng_convert_get_bool (c, "block_auto_adjust_ff_dim", true))
    return width;
  uint32_t multiple = eng_convert_get_u32 (c, "block_multiple_of", 256);
  double wide = floor (eng_convert_get_f64 (c, "block_ffn_dim_multiplier", 1.0) * floor (2.0 * width / 3.0));
  if (!(wide >= 1 && wide < 1e7) || multiple == 0 || multiple > 1u << 20)
    {
      eng_convert_fail (c, ENG_ERR_FORMAT, "block_ffn_dim_multiplier", "config.json gives feed-forward blocks of %g", wide);
      return 1;
    }
  return ((uint32_t) wide + multiple - 1) / multiple * multiple;
}

/* Heads of keys and values, layer by layer: 0 where there is a convolution. */
static void
set_lfm2 (EngConvert *c)
{
  const EngJson *types = eng_json_get (c->config, "layer_types"), *list = eng_json_get (c->config, "full_attn_idxs");
  int32_t *heads = eng_arena_alloc_array (&c->arena, c->n_layers, sizeof *heads);
  bool by_type = types && types->type == ENG_JSON_ARRAY && types->n == c->n_layers;
  bool by_list = list && list->type == ENG_JSON_ARRAY;
  if (!heads || (!by_type && !by_list))
    {
      eng_convert_fail (c, ENG_ERR_FORMAT, "layer_types", "config.json does not say which layers have attention");
      return;
    }
  for (uint32_t i = 0; by_type && i < c->n_layers; i++)
    heads[i] = eng_json_is_string (eng_json_at (types, i), "full_attention") ? (int32_t) c->n_heads_kv : 0;
  for (size_t k = 0; !by_type && k < list->n; k++)
    {
      const EngJson *at = eng_json_at (list, k);
      if (at->type == ENG_JSON_NUMBER && at->is_integer && at->integer >= 0 && at->integer < c->n_layers)
        heads[at->integer] = (int32_t) c->n_heads_kv;
    }
  if (c->n_experts)
    {
      eng_convert_set_u32 (c, "leading_dense_block_count", eng_convert_get_u32 (c, "num_dense_layers", 0));
      eng_convert_set_u32 (c, "expert_gating_func", 2); /* sigmoid */
      eng_convert_set_f32 (c, "expert_weights_scale", eng_convert_get_f64 (c, "routed_scaling_factor", 1.0));
      eng_convert_set_bool (c, "expert_weights_norm", eng_convert_get_bool (c, "norm_topk_prob", true));
    }
  else
    eng_convert_set_u32 (c, "feed_forward_length", find_lfm2_width (c));
  eng_convert_set_u32 (c, "shortconv.l_cache", eng_convert_get_u32 (c, "conv_L_cache", 3));
  char key[64];
  snprintf (key, sizeof key, "%s.attention.head_count_kv", c->arch->name);
  if (c->status == ENG_OK)
    c->status = eng_gguf_writer_set_array (c->writer, key, ENG_GGUF_I32, c->n_layers, heads, c->error);
}

static void
set_gpt_oss (EngConvert *c)
{
  const EngJson *types = eng_json_get (c->config, "layer_types");
  for (size_t i = 0; types && types->type == ENG_JSON_ARRAY && i < types->n; i++)
    if (eng_json_is_string (eng_json_at (types, i), "full_attention") != (i % 2 == 1))
      {
        eng_convert_fail (c, ENG_ERR_UNSUPPORTED, "layer_types",
                          "gpt-oss has full attention in every second layer; config.json differs in layer %zu", i);
        return;
      }
  if (eng_convert_get_f64 (c, "swiglu_limit", 7.0) != 7.0)
    eng_convert_fail (c, ENG_ERR_UNSUPPORTED, "swiglu_limit", "a swiglu_limit other than 7 has no place in the format");
  eng_convert_set_u32 (c, "attention.sliding_window", eng_convert_get_u32 (c, "sliding_window", 128));
  eng_convert_set_u32 (c, "expert_feed_forward_length", eng_convert_need_u32 (c, "intermediate_size"));
}

static void
set_phi3 (EngConvert *c)
{
  /* 0 says that there is none; without the key, readers suppose the first Phi 3's. */
  eng_convert_set_u32 (c, "attention.sliding_window",
                       eng_convert_get_u32 (c, "sliding_window", 0));
  if (!eng_convert_has (c, "original_max_position_embeddings"))
    return;
  eng_convert_set_u32 (c, "rope.scaling.original_context_length",
                       eng_convert_need_u32 (c, "original_max_position_embeddings"));
}

static void
set_pooling (EngConvert *c)
{
  const EngJson *pooling = eng_convert_read_json (c, "1_Pooling/config.json", false);
  bool on;
  eng_convert_set_bool (c, "attention.causal", false);
  eng_convert_set_key_u32 (c, "tokenizer.ggml.token_type_count",
                           eng_convert_get_u32 (c, "type_vocab_size", 1));
  if (eng_json_get_bool (pooling, "pooling_mode_mean_tokens", &on) && on)
    eng_convert_set_u32 (c, "pooling_type", 1);
  else if (eng_json_get_bool (pooling, "pooling_mode_cls_token", &on) && on)
    eng_convert_set_u32 (c, "pooling_type", 2);
  else if (eng_json_get_bool (pooling, "pooling_mode_lasttoken", &on) && on)
    eng_convert_set_u32 (c, "pooling_type", 3);
  else if (pooling)
    eng_convert_fail (c, ENG_ERR_UNSUPPORTED, "1_Pooling/config.json",
                      "the way of pooling in 1_Pooling/config.json is not supported");
}

static void
set_roberta (EngConvert *c)
{
  uint32_t n = eng_convert_need_u32 (c, "max_position_embeddings");
  uint32_t skipped = eng_convert_get_u32 (c, "pad_token_id", 1) + 1;
  set_pooling (c);
  eng_convert_set_u32 (c, "context_length", n > skipped ? n - skipped : 1);
}

static void
set_nomic (EngConvert *c)
{
  set_pooling (c);
  eng_convert_set_f32 (c, "rope.freq_base",
                       eng_convert_rope (c) ? eng_convert_rope_theta (c)
                                            : eng_convert_get_f64 (c, "rotary_emb_base", 1000.0));
}

/* gemma3's layers as an encoder (EmbeddingGemma). */
static void
set_gemma_embedding (EngConvert *c)
{
  if (!eng_convert_get_bool (c, "use_bidirectional_attention", false))
    {
      eng_convert_fail (c, ENG_ERR_UNSUPPORTED, "use_bidirectional_attention",
                        "Gemma3TextModel is supported with use_bidirectional_attention, as an embedding model");
      return;
    }
  set_gemma3 (c);
  set_pooling (c);
  eng_convert_open_dense (c);
}

/* ---- Table --------------------------------------------------------------------------------------- */

static const EngConvertArch archs[] = {
  { "LlamaForCausalLM|MistralForCausalLM|MixtralForCausalLM", "llama", "model.|", "layers.", "silu",
    RULES (decoder_globals), RULES (decoder_norms, attention_reordered, gated_or_mixtral), NULL,
    set_llama },
  { "Qwen2ForCausalLM", "qwen2", "model.|", "layers.", "silu", RULES (decoder_globals),
    RULES (decoder_norms, attention, gated), NULL, set_qwen2 },
  { "Qwen3ForCausalLM", "qwen3", "model.|", "layers.", "silu", RULES (decoder_globals),
    RULES (decoder_norms, attention, head_norms, gated), NULL, set_qwen2 },
  { "Qwen2MoeForCausalLM", "qwen2moe", "model.|", "layers.", "silu", RULES (decoder_globals),
    RULES (decoder_norms, attention, experts, shared_expert), NULL, set_qwen2 },
  { "Qwen3MoeForCausalLM", "qwen3moe", "model.|", "layers.", "silu", RULES (decoder_globals),
    RULES (decoder_norms, attention, head_norms, experts), NULL, set_qwen2 },
  { "Qwen3_5ForConditionalGeneration|Qwen3_5ForCausalLM", "qwen35", "model.language_model.|language_model.model.|model.|",
    "layers.", "silu", RULES (qwen35_globals), RULES (qwen35_rules, qwen35_delta, gated), "visual.|mtp.", set_qwen35 },
  { "Qwen3_5MoeForConditionalGeneration|Qwen3_5MoeForCausalLM", "qwen35moe",
    "model.language_model.|language_model.model.|model.|", "layers.", "silu", RULES (qwen35_globals),
    RULES (qwen35_rules, qwen35_delta, experts, shared_expert), "visual.|mtp.", set_qwen35 },
  { "Qwen3NextForCausalLM", "qwen3next", "model.|", "layers.", "silu", RULES (qwen35_globals),
    RULES (qwen35_rules, qwen3next_delta, experts, shared_expert), "mtp.", set_delta },
  { "Gemma2ForCausalLM", "gemma2", "model.|", "layers.", "gelu_pytorch_tanh|gelu_tanh",
    RULES (gemma_globals), RULES (gemma_norms, attention, gated), NULL, set_gemma2 },
  { "Gemma3ForCausalLM|Gemma3ForConditionalGeneration", "gemma3",
    "model.|language_model.model.|model.language_model.|", "layers.", "gelu_pytorch_tanh|gelu_tanh",
    RULES (gemma_globals), RULES (gemma_norms, attention, gemma_head_norms, gated),
    "vision_tower.|multi_modal_projector.", set_gemma3 },
  { "Gemma4ForCausalLM|Gemma4ForConditionalGeneration|Gemma4UnifiedForConditionalGeneration", "gemma4",
    "model.language_model.|language_model.model.|model.|", "layers.", "gelu_pytorch_tanh|gelu_tanh", RULES (gemma4_globals),
    RULES (gemma4_rules, gated), "vision_tower.|vision_embedder.|audio_tower.|embed_vision.|embed_audio.",
    eng_convert_set_gemma4 },
  { "Gemma3TextModel", "gemma-embedding", "model.|", "layers.", "gelu_pytorch_tanh|gelu_tanh", RULES (gemma_globals),
    RULES (gemma_norms, attention, gemma_head_norms, gated), NULL, set_gemma_embedding },
  { "Glm4ForCausalLM", "glm4", "model.|", "layers.", "silu", RULES (decoder_globals),
    RULES (glm4_norms, attention, fused_gate_up), NULL, NULL },
  { "Glm4MoeForCausalLM", "glm4moe", "model.|", "layers.", "silu", RULES (decoder_globals),
    RULES (glm4moe_norms, dense_or_experts, attention), NULL, eng_convert_set_glm4moe },
  { "Glm4MoeLiteForCausalLM", "deepseek2", "model.|", "layers.", "silu", RULES (decoder_globals),
    RULES (decoder_norms, latent_attention, dense_or_experts), NULL, eng_convert_set_deepseek_v3 },
  { "DeepseekV3ForCausalLM", "deepseek2", "model.|", "layers.", "silu", RULES (decoder_globals),
    RULES (decoder_norms, latent_attention, dense_or_experts), NULL, eng_convert_set_deepseek_v3 },
  { "DeepseekV2ForCausalLM", "deepseek2", "model.|", "layers.", "silu", RULES (decoder_globals),
    RULES (decoder_norms, latent_attention, dense_or_experts), NULL, eng_convert_set_deepseek_v2 },
  { "SmolLM3ForCausalLM", "smollm3", "model.|", "layers.", "silu", RULES (decoder_globals),
    RULES (decoder_norms, attention_reordered, gated), NULL, set_smollm3 },
  { "GptOssForCausalLM", "gpt-oss", "model.|", "layers.", "silu", RULES (decoder_globals), RULES (gpt_oss_rules, attention),
    NULL, set_gpt_oss },
  { "Lfm2ForCausalLM", "lfm2", "model.|", "layers.", NULL, RULES (lfm2_globals), RULES (lfm2_rules), NULL, set_lfm2 },
  { "Lfm2MoeForCausalLM", "lfm2moe", "model.|", "layers.", NULL, RULES (lfm2_globals), RULES (lfm2_rules), NULL, set_lfm2 },
  { "GlmForCausalLM", "chatglm", "model.|", "layers.", "silu", RULES (decoder_globals),
    RULES (decoder_norms, attention, fused_gate_up), NULL, NULL },
  { "ChatGLMModel|ChatGLMForConditionalGeneration", "chatglm", "transformer.|", "encoder.layers.",
    NULL, RULES (chatglm_globals), RULES (chatglm_rules), NULL, NULL },
  { "Phi3ForCausalLM", "phi3", "model.|", "layers.", "silu", RULES (decoder_globals),
    RULES (decoder_norms, phi3_attention, fused_gate_up), NULL, set_phi3 },
  { "BertModel|BertForMaskedLM", "bert", "bert.|", "encoder.layer.", "gelu", RULES (bert_globals),
    RULES (bert_rules), "pooler.|cls.predictions|cls.seq_relationship", set_pooling },
  { "XLMRobertaModel|XLMRobertaForMaskedLM", "bert", "roberta.|", "encoder.layer.", "gelu",
    RULES (roberta_globals), RULES (bert_rules), "pooler.|lm_head.", set_roberta },
  { "NomicBertModel", "nomic-bert", "|", "encoder.layers.", "swiglu|silu", RULES (nomic_globals),
    RULES (nomic_rules), "pooler.|cls.", set_nomic },
};
#define N_ARCHS (sizeof archs / sizeof archs[0])

const EngConvertArch *
eng_convert_arch_find (const char *hub_name)
{
  for (size_t i = 0; i < N_ARCHS; i++)
    if (eng_convert_is_one_of (archs[i].hub_names, hub_name))
      return &archs[i];
  return NULL;
}

bool
eng_convert_is_glm (const EngConvert *c)
{
  return strncmp (c->arch->hub_names, "Glm", 3) == 0 || strncmp (c->arch->hub_names, "ChatGLM", 7) == 0;
}

const char *
eng_convert_arch_get_names (void)
{
  return "Llama, Mistral, Mixtral, Qwen2, Qwen3, Qwen2Moe, Qwen3Moe, Qwen3Next, Qwen3_5, Qwen3_5Moe, GptOss, Gemma2, "
         "Gemma3, Gemma4, EmbeddingGemma, Glm, Glm4, Glm4Moe, Glm4MoeLite, DeepseekV2, DeepseekV3, Lfm2, Lfm2Moe, ChatGLM, "
         "SmolLM3, Phi3, Bert, XLMRoberta, NomicBert";
}
