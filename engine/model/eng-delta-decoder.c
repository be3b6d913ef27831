/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-delta-decoder.h"

typedef struct
{
  uint32_t n_k, n_v, k_width, v_width, n_conv; /* heads, their widths, taps */
  uint32_t every;                              /* each so-manieth layer has attention */
  EngBufferId mixed, z, alpha, beta, out, gate;
  bool grouped;
} Delta;

static void
read_delta (EngBuilder *b, Delta *d)
{
  d->n_conv = eng_builder_need_u32 (b, "ssm.conv_kernel", 1, 64);
  d->k_width = eng_builder_need_u32 (b, "ssm.state_size", 1, ENG_MAX_HEAD_WIDTH);
  d->n_k = eng_builder_need_u32 (b, "ssm.group_count", 1, ENG_MAX_HEADS);
  d->n_v = eng_builder_need_u32 (b, "ssm.time_step_rank", 1, ENG_MAX_HEADS);
  uint32_t inner = eng_builder_need_u32 (b, "ssm.inner_size", 1, ENG_MAX_WIDTH);
  d->every = eng_builder_get_u32 (b, "full_attention_interval", 4, 1, ENG_MAX_LAYERS);
  if (b->status != ENG_OK)
    return;
  if (inner % d->n_v != 0 || d->n_v % d->n_k != 0)
    eng_builder_contradict (b, "ssm.inner_size", "%u numbers in %u heads of values for %u heads of keys", inner,
                            d->n_v, d->n_k);
  d->v_width = inner / d->n_v;
}

static void
make_buffers (EngBuilder *b, Delta *d)
{
  uint64_t keys = (uint64_t) d->n_k * d->k_width, values = (uint64_t) d->n_v * d->v_width;
  d->mixed = eng_builder_buffer (b, 2 * keys + values);
  d->z = eng_builder_buffer (b, values);
  d->alpha = eng_builder_buffer (b, d->grouped ? 2 * d->n_v : d->n_v);
  d->beta = d->grouped ? d->alpha : eng_builder_buffer (b, d->n_v);
  d->out = eng_builder_buffer (b, values);
  d->gate = eng_builder_buffer (b, (uint64_t) b->h.n_head * b->h.k_width);
}

/* The numbers of a layer's state; 0 (refused) where they are too many. */
static uint32_t
count_state (EngBuilder *b, const Delta *d)
{
  uint64_t width = 2ull * d->n_k * d->k_width + (uint64_t) d->n_v * d->v_width;
  uint64_t n = (d->n_conv - 1) * width + (uint64_t) d->n_v * d->v_width * d->k_width;
  if (n <= 1u << 28)
    return (uint32_t) n;
  eng_builder_contradict (b, "ssm.state_size", "a recurrent state of %llu numbers a layer", (unsigned long long) n);
  return 0;
}

static void
build_delta (EngBuilder *b, uint32_t i, const Delta *d)
{
  const EngLayerBuffers *l = &b->buffers_of_layer;
  uint32_t keys = d->n_k * d->k_width, values = d->n_v * d->v_width, n_embd = b->h.n_embd;
  if (eng_builder_has_tensor (b, i, "ssm_in.weight"))
    eng_builder_refuse (b, "ssm_in.weight", "queries, keys, values and gates in one tensor (an early form of the file) are "
                                            "not supported: convert the model again");
  eng_build_product (b, i, "attn_qkv", l->normed, n_embd, d->mixed, 2 * keys + values, false);
  eng_build_product (b, i, "attn_gate", l->normed, n_embd, d->z, values, false);
  if (d->grouped)
    eng_build_product (b, i, "ssm_ba", l->normed, n_embd, d->alpha, 2 * d->n_v, false);
  else
    {
      eng_build_product (b, i, "ssm_alpha", l->normed, n_embd, d->alpha, d->n_v, false);
      eng_build_product (b, i, "ssm_beta", l->normed, n_embd, d->beta, d->n_v, false);
    }
  EngStep *s = eng_builder_step (b, ENG_STEP_DELTA, i, d->mixed, d->out);
  s->aux = d->beta;
  s->w[0] = eng_builder_expert_vectors_if (b, i, "ssm_conv1d.weight", d->n_conv, 2ull * keys + values);
  if (b->status == ENG_OK && s->w[0] == ENG_WEIGHT_NONE)
    eng_builder_contradict (b, "ssm_conv1d.weight", "the file lacks the tensor 'blk.%u.ssm_conv1d.weight'", i);
  s->w[1] = eng_builder_vector (b, i, "ssm_a", d->n_v);
  s->w[2] = eng_builder_vector (b, i, "ssm_dt.bias", d->n_v);
  s->u.delta.n_k_head = d->n_k;
  s->u.delta.n_v_head = d->n_v;
  s->u.delta.k_width = d->k_width;
  s->u.delta.v_width = d->v_width;
  s->u.delta.n_conv = d->n_conv;
  s->u.delta.alpha = d->alpha;
  s->u.delta.grouped = d->grouped;
  s->u.delta.group = eng_builder_recurrent_group (b, count_state (b, d), &s->u.delta.i_layer_in_group);
  EngStep *gate = eng_builder_step (b, ENG_STEP_GATE, i, d->out, d->out);
  gate->aux = d->z;
  gate->w[0] = eng_builder_vector (b, i, "ssm_norm.weight", d->v_width);
  gate->u.gate.n_head = d->n_v;
  gate->u.gate.eps = b->h.eps;
  gate->u.gate.act = ENG_ACT_SILU;
  eng_build_product (b, i, "ssm_out", d->out, values, l->residual, n_embd, true);
}

static void
build_gated_attention (EngBuilder *b, uint32_t i, const Delta *d, const EngAttentionOptions *attention)
{
  const EngLayerBuffers *l = &b->buffers_of_layer;
  uint32_t width = b->h.n_head * b->h.v_width;
  eng_build_attention (b, i, attention, l->normed);
  EngStep *gate = eng_builder_step (b, ENG_STEP_GATE, i, l->attended, l->attended);
  gate->aux = d->gate;
  gate->u.gate.n_head = 1;
  gate->u.gate.act = ENG_ACT_SIGMOID;
  eng_build_product (b, i, "attn_output", l->attended, width, l->residual, b->h.n_embd, true);
}

void
eng_build_delta_decoder (EngBuilder *b, bool grouped)
{
  eng_builder_read_common (b);
  EngHparams *h = &b->h;
  Delta d = { .grouped = grouped };
  read_delta (b, &d);
  eng_builder_skip_layers_ahead (b);
  if (b->status == ENG_OK && h->k_width != h->v_width)
    eng_builder_refuse (b, "attention.value_length", "keys of %u and values of %u behind a gate", h->k_width,
                        h->v_width);
  const EngLayerBuffers *l = eng_builder_begin (b);
  make_buffers (b, &d);
  const EngAttentionOptions attention = {
    .rope = eng_builder_rope (b, ENG_ROPE_NEOX, h->rope_base, true),
    .head_norm = ENG_NORM_RMS,
    .gate = d.gate,
  };
  const EngExpertOptions experts = { .act = ENG_ACT_SILU, .normalize = true, .scale = 1.0f };
  eng_build_embed (b, 1.0f);
  for (uint32_t i = 0; i < h->n_layers && b->status == ENG_OK; i++)
    {
      eng_build_norm (b, i, ENG_NORM_RMS, l->residual, l->normed, "attn_norm");
      if ((i + 1) % d.every == 0)
        build_gated_attention (b, i, &d, &attention);
      else
        build_delta (b, i, &d);
      eng_build_norm (b, i, ENG_NORM_RMS, l->residual, l->normed, "post_attention_norm");
      eng_build_feed_forward (b, i, h->n_expert ? &experts : NULL, l->normed);
    }
  eng_build_output (b, ENG_NORM_RMS, 1.0f, 0.0f);
}
