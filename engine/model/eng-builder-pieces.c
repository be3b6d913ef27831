/* SPDX-License-Identifier: Apache-2.0 */
/* Runs of steps that most architectures share. */
#include <math.h>
#include <stdio.h>

#include "eng-builder.h"

void
eng_build_embed (EngBuilder *b, float scale)
{
  EngStep *step = eng_builder_step (b, ENG_STEP_EMBED, ENG_LAYER_NONE, ENG_BUFFER_NONE,
                                    b->buffers_of_layer.residual);
  step->w[0] = eng_builder_lookup (b, "token_embd.weight", b->h.n_embd, b->h.n_vocab);
  step->u.embed.scale = scale;
}

static void
with_ending (const char *name, const char *ending, char out[96])
{
  snprintf (out, 96, "%s%s", name, ending);
}

EngStep *
eng_build_norm (EngBuilder *b, uint32_t layer, EngNormKind kind, EngBufferId src, EngBufferId dst,
                const char *name)
{
  return eng_build_norm_of (b, layer, kind, src, dst, name, b->h.n_embd);
}

EngStep *
eng_build_norm_of (EngBuilder *b, uint32_t layer, EngNormKind kind, EngBufferId src, EngBufferId dst, const char *name,
                   uint32_t n)
{
  char weight[96], bias[96];
  with_ending (name, ".weight", weight);
  with_ending (name, ".bias", bias);
  EngStep *step = eng_builder_step (b, ENG_STEP_NORM, layer, src, dst);
  step->w[0] = eng_builder_vector (b, layer, weight, n);
  step->w[1] = eng_builder_vector_if (b, layer, bias, n);
  step->u.norm.kind = kind;
  step->u.norm.eps = b->h.eps;
  step->u.norm.scale = 1.0f;
  return step;
}

static void
bind_qkv (EngBuilder *b, uint32_t layer, const EngAttentionOptions *o, EngWeightId w[8])
{
  const EngHparams *h = &b->h;
  const uint64_t widths[3] = { (uint64_t) h->n_head * h->k_width,
                               (uint64_t) h->n_head_kv * h->k_width,
                               (uint64_t) h->n_head_kv * h->v_width };
  static const char *const weights[3] = { "attn_q.weight", "attn_k.weight", "attn_v.weight" };
  static const char *const biases[3] = { "attn_q.bias", "attn_k.bias", "attn_v.bias" };
  uint64_t total = widths[0] + widths[1] + widths[2], first = 0;
  for (unsigned i = 0; i < (o->shared ? 1u : 3u); i++)
    {
      if (i == 2 && o->keys_are_values && !eng_builder_has_tensor (b, layer, weights[2]))
        w[2] = w[1];
      else if (o->fused)
        {
          w[i] = eng_builder_product_part (b, layer, "attn_qkv.weight", h->n_embd, total, first,
                                           widths[i]);
          w[3 + i]
              = eng_builder_vector_part_if (b, layer, "attn_qkv.bias", total, first, widths[i]);
        }
      else
        {
          w[i] = eng_builder_product (b, layer, weights[i], h->n_embd, widths[i]);
          w[3 + i] = eng_builder_vector_if (b, layer, biases[i], widths[i]);
        }
      first += widths[i];
    }
}

EngKeys
eng_build_attention (EngBuilder *b, uint32_t layer, const EngAttentionOptions *o, EngBufferId src)
{
  const EngHparams *h = &b->h;
  const EngLayerBuffers *l = &b->buffers_of_layer;
  EngKeys keys = { 0 };
  if (o->shared)
    keys = *o->shared;
  else
    keys.group = eng_builder_kv_group (b, h->n_head_kv, h->k_width, h->v_width, o->encoder ? 0 : o->window, &keys.i_layer);
  EngStep *qkv = eng_builder_step (b, ENG_STEP_QKV, layer, src, l->q);
  if (o->gate)
    {
      qkv->w[0] = eng_builder_product (b, layer, "attn_q.weight", h->n_embd, 2ull * h->n_head * h->k_width);
      qkv->w[1] = eng_builder_product (b, layer, "attn_k.weight", h->n_embd, (uint64_t) h->n_head_kv * h->k_width);
      qkv->w[2] = eng_builder_product (b, layer, "attn_v.weight", h->n_embd, (uint64_t) h->n_head_kv * h->v_width);
    }
  else
    bind_qkv (b, layer, o, qkv->w);
  qkv->u.qkv.gate = o->gate;
  if (o->head_norm != ENG_NORM_NONE)
    {
      qkv->w[6] = eng_builder_vector (b, layer, "attn_q_norm.weight", h->k_width);
      if (!o->shared)
        qkv->w[7] = eng_builder_vector (b, layer, "attn_k_norm.weight", h->k_width);
    }
  qkv->u.qkv.n_head = h->n_head;
  qkv->u.qkv.n_head_kv = h->n_head_kv;
  qkv->u.qkv.k_width = h->k_width;
  qkv->u.qkv.v_width = h->v_width;
  qkv->u.qkv.group = keys.group;
  qkv->u.qkv.i_layer_in_group = keys.i_layer;
  qkv->u.qkv.rope = o->rope;
  qkv->u.qkv.head_norm = o->head_norm;
  qkv->u.qkv.head_eps = h->eps;
  qkv->u.qkv.value_norm = o->value_norm;
  EngStep *attention = eng_builder_step (b, ENG_STEP_ATTENTION, layer, l->q, l->attended);
  if (o->sinks)
    attention->w[0] = eng_builder_vector (b, layer, "attn_sinks.weight", h->n_head);
  attention->u.attention.n_head = h->n_head;
  attention->u.attention.n_head_kv = h->n_head_kv;
  attention->u.attention.k_width = h->k_width;
  attention->u.attention.v_width = h->v_width;
  attention->u.attention.group = keys.group;
  attention->u.attention.i_layer_in_group = keys.i_layer;
  attention->u.attention.scale
      = o->scale != 0.0f ? o->scale : (float) (1.0 / sqrt ((double) h->k_width));
  attention->u.attention.soft_cap = o->soft_cap;
  attention->u.attention.window = o->window;
  attention->u.attention.causal = !o->encoder;
  return keys;
}

EngStep *
eng_build_product (EngBuilder *b, uint32_t layer, const char *name, EngBufferId src,
                   uint32_t n_cols, EngBufferId dst, uint32_t n_rows, bool accumulate)
{
  char weight[96], bias[96];
  with_ending (name, ".weight", weight);
  with_ending (name, ".bias", bias);
  EngStep *step = eng_builder_step (b, ENG_STEP_PRODUCT, layer, src, dst);
  step->w[0] = eng_builder_product (b, layer, weight, n_cols, n_rows);
  step->w[1] = eng_builder_vector_if (b, layer, bias, n_rows);
  step->u.product.act = ENG_ACT_NONE;
  step->u.product.scale = 1.0f;
  if (accumulate)
    {
      step->flags |= ENG_STEP_ADD_AFTER;
      step->aux = dst;
    }
  return step;
}

void
eng_build_gate_up (EngBuilder *b, uint32_t layer, EngActKind act, EngBufferId src, bool fused)
{
  const EngHparams *h = &b->h;
  EngStep *step
      = eng_builder_step (b, ENG_STEP_GATE_UP, layer, src, b->buffers_of_layer.inner);
  if (fused)
    {
      uint64_t total = 2ull * h->n_ff;
      step->w[0] = eng_builder_product_part (b, layer, "ffn_up.weight", h->n_embd, total, 0, h->n_ff);
      step->w[1]
          = eng_builder_product_part (b, layer, "ffn_up.weight", h->n_embd, total, h->n_ff, h->n_ff);
      step->w[2] = eng_builder_vector_part_if (b, layer, "ffn_up.bias", total, 0, h->n_ff);
      step->w[3] = eng_builder_vector_part_if (b, layer, "ffn_up.bias", total, h->n_ff, h->n_ff);
    }
  else
    {
      step->w[0] = eng_builder_product (b, layer, "ffn_gate.weight", h->n_embd, h->n_ff);
      step->w[1] = eng_builder_product (b, layer, "ffn_up.weight", h->n_embd, h->n_ff);
      step->w[2] = eng_builder_vector_if (b, layer, "ffn_gate.bias", h->n_ff);
      step->w[3] = eng_builder_vector_if (b, layer, "ffn_up.bias", h->n_ff);
    }
  step->u.glu.act = act;
}

/* The expert that every row visits, weighed by a sigmoid of its own where the file has one. */
static void
build_shared_expert (EngBuilder *b, uint32_t layer, EngActKind act, EngBufferId src)
{
  const EngHparams *h = &b->h;
  const EngLayerBuffers *l = &b->buffers_of_layer;
  EngStep *step = eng_builder_step (b, ENG_STEP_GATE_UP, layer, src, l->shared);
  step->w[0] = eng_builder_product (b, layer, "ffn_gate_shexp.weight", h->n_embd, h->n_ff_shared);
  step->w[1] = eng_builder_product (b, layer, "ffn_up_shexp.weight", h->n_embd, h->n_ff_shared);
  step->w[4] = eng_builder_vector_if (b, layer, "ffn_gate_inp_shexp.weight", h->n_embd);
  step->u.glu.act = act;
  eng_build_product (b, layer, "ffn_down_shexp", l->shared, h->n_ff_shared, l->residual, h->n_embd,
                     true);
}

void
eng_build_experts (EngBuilder *b, uint32_t layer, const EngExpertOptions *o, EngBufferId src)
{
  const EngHparams *h = &b->h;
  const EngLayerBuffers *l = &b->buffers_of_layer;
  EngStep *route = eng_builder_step (b, ENG_STEP_ROUTE, layer, o->router ? o->router : src, l->routed);
  route->w[0] = eng_builder_product (b, layer, "ffn_gate_inp.weight", h->n_embd, h->n_expert);
  route->w[1] = eng_builder_vector_if (b, layer, "exp_probs_b.bias", h->n_expert);
  route->w[2] = eng_builder_vector_if (b, layer, "ffn_gate_inp.bias", h->n_expert);
  route->w[3] = eng_builder_vector_if (b, layer, "ffn_down_exps.scale", h->n_expert);
  route->u.route.n_expert = h->n_expert;
  route->u.route.n_used = h->n_expert_used;
  route->u.route.gating = o->gating;
  route->u.route.normalize = o->normalize;
  route->u.route.scale = o->scale;
  route->u.route.n_groups = o->n_groups;
  route->u.route.n_groups_used = o->n_groups_used;
  /* DeepSeek-V2 (arXiv:2405.04434, section 2.1.3), whose scores are a softmax's, and DeepSeek-V3 (arXiv:2412.19437). */
  route->u.route.n_group_best = o->gating == 0 ? 1 : 2;
  if (b->status == ENG_OK && eng_builder_has_tensor (b, layer, "ffn_gate.0.weight"))
    eng_builder_refuse (b, "ffn_gate.0.weight",
                        "experts stored one by one (an early form of the file) are not supported");
  EngStep *experts = eng_builder_step (b, ENG_STEP_EXPERTS, layer, src, o->to_branch ? l->branch : l->residual);
  if (!o->to_branch)
    experts->flags |= ENG_STEP_ADD_AFTER;
  experts->aux = l->routed;
  if (eng_builder_has_tensor (b, layer, "ffn_gate_up_exps.weight"))
    for (uint32_t i = 0; i < 2; i++)
      experts->w[i] = eng_builder_experts_part (b, layer, "ffn_gate_up_exps.weight", h->n_embd, 2ull * h->n_ff_expert,
                                                (uint64_t) i * h->n_ff_expert, h->n_ff_expert, h->n_expert);
  else
    {
      experts->w[0] = eng_builder_experts (b, layer, "ffn_gate_exps.weight", h->n_embd, h->n_ff_expert, h->n_expert);
      experts->w[1] = eng_builder_experts (b, layer, "ffn_up_exps.weight", h->n_embd, h->n_ff_expert, h->n_expert);
    }
  experts->w[2] = eng_builder_experts (b, layer, "ffn_down_exps.weight", h->n_ff_expert, h->n_embd,
                                       h->n_expert);
  experts->w[3] = eng_builder_expert_vectors_if (b, layer, "ffn_gate_exps.bias", h->n_ff_expert,
                                                 h->n_expert);
  experts->w[4]
      = eng_builder_expert_vectors_if (b, layer, "ffn_up_exps.bias", h->n_ff_expert, h->n_expert);
  experts->w[5]
      = eng_builder_expert_vectors_if (b, layer, "ffn_down_exps.bias", h->n_embd, h->n_expert);
  experts->u.experts.n_expert = h->n_expert;
  experts->u.experts.n_used = h->n_expert_used;
  experts->u.experts.act = o->act;
  if (h->n_ff_shared)
    build_shared_expert (b, layer, o->act, src);
}

void
eng_build_feed_forward (EngBuilder *b, uint32_t layer, const EngExpertOptions *experts, EngBufferId src)
{
  const EngHparams *h = &b->h;
  const EngLayerBuffers *l = &b->buffers_of_layer;
  if (experts != NULL)
    {
      eng_build_experts (b, layer, experts, src);
      return;
    }
  eng_build_gate_up (b, layer, ENG_ACT_SILU, src, false);
  eng_build_product (b, layer, "ffn_down", l->inner, h->n_ff, l->residual, h->n_embd, true);
}

void
eng_build_output (EngBuilder *b, EngNormKind norm, float scale, float soft_cap)
{
  eng_build_output_behind (b, "output_norm", norm, scale, soft_cap);
}

void
eng_build_output_behind (EngBuilder *b, const char *name, EngNormKind norm, float scale, float soft_cap)
{
  const EngLayerBuffers *l = &b->buffers_of_layer;
  eng_build_norm (b, ENG_LAYER_NONE, norm, l->residual, l->normed, name);
  EngStep *step = eng_builder_step (b, ENG_STEP_OUTPUT, ENG_LAYER_NONE, l->normed, ENG_BUFFER_NONE);
  bool tied = !eng_builder_has_tensor (b, ENG_LAYER_NONE, "output.weight");
  step->w[0] = eng_builder_product (b, ENG_LAYER_NONE, tied ? "token_embd.weight" : "output.weight",
                                    b->h.n_embd, b->h.n_vocab);
  step->w[1] = eng_builder_vector_if (b, ENG_LAYER_NONE, "output.bias", b->h.n_vocab);
  step->u.output.scale = scale;
  step->u.output.soft_cap = soft_cap;
}

/* --- whole layers --- */

void
eng_build_plain_decoder (EngBuilder *b, const EngPlainDecoder *o)
{
  const EngHparams *h = &b->h;
  const EngLayerBuffers *l = eng_builder_begin (b);
  const EngRope rope = eng_builder_rope (b, o->rope, h->rope_base, true);
  EngAttentionOptions attention = {
    .window = h->window,
    .scale = o->attention_scale,
    .head_norm = o->head_norm,
    .fused = o->fused_qkv,
  };
  const EngExpertOptions experts
      = { .act = ENG_ACT_SILU, .normalize = o->normalize_experts, .scale = 1.0f };
  eng_build_embed (b, 1.0f);
  for (uint32_t i = 0; i < h->n_layers && b->status == ENG_OK; i++)
    {
      bool plain = o->plain_every != 0 && (i + 1) % o->plain_every == 0;
      attention.rope = plain ? (EngRope) { .kind = ENG_ROPE_NONE } : rope;
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
      eng_build_gate_up (b, i, ENG_ACT_SILU, l->normed, o->fused_gate_up);
      eng_build_product (b, i, "ffn_down", l->inner, h->n_ff, l->residual, h->n_embd, true);
    }
  eng_build_output (b, ENG_NORM_RMS, 1.0f, 0.0f);
}

EngStep *
eng_build_post_norm (EngBuilder *b, uint32_t layer, EngBufferId src, const char *name)
{
  EngBufferId residual = b->buffers_of_layer.residual;
  EngStep *step = eng_build_norm (b, layer, ENG_NORM_RMS, src, residual, name);
  step->flags |= ENG_STEP_ADD_AFTER;
  step->aux = residual;
  return step;
}

EngKeys
eng_build_sandwich_attention (EngBuilder *b, uint32_t i, const EngAttentionOptions *attention)
{
  const EngHparams *h = &b->h;
  const EngLayerBuffers *l = &b->buffers_of_layer;
  eng_build_norm (b, i, ENG_NORM_RMS, l->residual, l->normed, "attn_norm");
  EngKeys keys = eng_build_attention (b, i, attention, l->normed);
  eng_build_product (b, i, "attn_output", l->attended, h->n_head * h->v_width, l->branch, h->n_embd,
                     false);
  eng_build_post_norm (b, i, l->branch, "post_attention_norm");
  return keys;
}

EngStep *
eng_build_sandwich_feed_forward (EngBuilder *b, uint32_t i, EngActKind act, bool fused_gate_up)
{
  const EngHparams *h = &b->h;
  const EngLayerBuffers *l = &b->buffers_of_layer;
  eng_build_norm (b, i, ENG_NORM_RMS, l->residual, l->normed, "ffn_norm");
  eng_build_gate_up (b, i, act, l->normed, fused_gate_up);
  eng_build_product (b, i, "ffn_down", l->inner, h->n_ff, l->branch, h->n_embd, false);
  return eng_build_post_norm (b, i, l->branch, "post_ffw_norm");
}

void
eng_build_sandwich_layer (EngBuilder *b, uint32_t i, const EngAttentionOptions *attention,
                          EngActKind act, bool fused_gate_up)
{
  eng_build_sandwich_attention (b, i, attention);
  eng_build_sandwich_feed_forward (b, i, act, fused_gate_up);
}
