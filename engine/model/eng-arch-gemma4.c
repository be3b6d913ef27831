/* SPDX-License-Identifier: Apache-2.0 */
/* gemma4 (Gemma 4 E2B, E4B, 12B, 26B-A4B, 31B; the text part): gemma3's layers, norms' weights as they are, but
 *  - layers without a window have wider heads, fewer keys, RoPE whose slow part rope_freqs stops, and may have no attn_v:
 *    their keys before norm and RoPE are then their values;
 *  - values have an RMS norm without weight, scores no scale;
 *  - the last shared_kv_layers read the keys and values of the last layer of their kind before them, and may have wider
 *    feed-forward blocks;
 *  - each layer may add its part of a second embedding, mixed with a product of the first, through a gate;
 *  - in the mixtures a dense block and the experts stand side by side, each between norms of its own;
 *  - a layer's output is multiplied by a number.
 * Hub: Gemma4ForConditionalGeneration, Gemma4ForCausalLM. */
#include <math.h>

#include "eng-arch.h"

#define MAX_WIDTHS 4

/* Layers with a window, and those without. */
typedef struct
{
  uint32_t head_width, n_rot, window;
  EngRope rope;
  EngBufferId q, attended;
  EngKeys keys; /* of the last layer that has its own */
  bool has_keys;
} Kind;

typedef struct
{
  Kind local, global;
  uint32_t n_own;       /* layers with keys of their own */
  uint32_t n_part;      /* numbers of the second embedding for one layer; 0 = it has none */
  EngBufferId parts, part;    /* of it: all layers' numbers, a gate of one's */
  EngBufferId scored, summed; /* mixtures: what the router reads, the sum of both branches */
  struct
  {
    uint32_t width;
    EngBufferId id;
  } inner[MAX_WIDTHS]; /* of feed-forward blocks */
  uint32_t n_inner;
} Gemma4;

static void
read_kinds (EngBuilder *b, Gemma4 *g)
{
  EngHparams *h = &b->h;
  g->global = (Kind) { .head_width = h->k_width, .n_rot = h->n_rot };
  g->local = (Kind) { .window = h->window };
  g->local.head_width = eng_builder_get_u32 (b, "attention.key_length_swa", h->k_width, 1, ENG_MAX_HEAD_WIDTH);
  g->local.n_rot = eng_builder_get_u32 (b, "rope.dimension_count_swa", g->local.head_width, 2, ENG_MAX_HEAD_WIDTH);
  uint32_t v_width = eng_builder_get_u32 (b, "attention.value_length_swa", g->local.head_width, 1, ENG_MAX_HEAD_WIDTH);
  uint32_t n_shared = eng_builder_get_u32 (b, "attention.shared_kv_layers", 0, 0, ENG_MAX_LAYERS);
  g->n_part = eng_builder_get_u32 (b, "embedding_length_per_layer_input", 0, 0, ENG_MAX_WIDTH);
  if (b->status != ENG_OK)
    return;
  if (h->v_width != h->k_width || v_width != g->local.head_width)
    eng_builder_refuse (b, "attention.value_length", "heads whose keys and values differ in width");
  else if (g->local.n_rot > g->local.head_width || g->local.n_rot % 2 != 0)
    eng_builder_contradict (b, "rope.dimension_count_swa", "%u rotated dimensions in heads of %u", g->local.n_rot,
                            g->local.head_width);
  else if (!eng_builder_has (b, "attention.sliding_window_pattern"))
    eng_builder_contradict (b, "attention.sliding_window_pattern", "the file does not say which layers have a window");
  else if (n_shared >= h->n_layers)
    eng_builder_contradict (b, "attention.shared_kv_layers", "%u of %u layers have no keys", n_shared, h->n_layers);
  else
    g->n_own = h->n_layers - n_shared;
}

static void
make_buffers (EngBuilder *b, Gemma4 *g)
{
  const EngHparams *h = &b->h;
  const EngLayerBuffers *l = eng_builder_begin (b);
  g->global.q = l->q;
  g->global.attended = l->attended;
  g->local.q = eng_builder_buffer (b, (uint64_t) h->n_head * g->local.head_width);
  g->local.attended = eng_builder_buffer (b, (uint64_t) h->n_head * g->local.head_width);
  g->inner[g->n_inner].width = h->n_ff;
  g->inner[g->n_inner++].id = l->inner;
  if (h->n_expert)
    {
      g->scored = eng_builder_buffer (b, h->n_embd);
      g->summed = eng_builder_buffer (b, h->n_embd);
    }
}

/* The second embedding of all layers: parts = (token's + norm (product of the residual)) / sqrt (2). */
static void
build_parts (EngBuilder *b, Gemma4 *g)
{
  const EngHparams *h = &b->h;
  uint64_t n = (uint64_t) g->n_part * h->n_layers;
  if (n > UINT32_MAX / 8)
    {
      eng_builder_contradict (b, "embedding_length_per_layer_input", "%u numbers for each of %u layers", g->n_part,
                              h->n_layers);
      return;
    }
  g->parts = eng_builder_buffer (b, n);
  g->part = eng_builder_buffer (b, g->n_part);
  EngBufferId mixed = eng_builder_buffer (b, n);
  EngStep *step = eng_builder_step (b, ENG_STEP_EMBED, ENG_LAYER_NONE, ENG_BUFFER_NONE, g->parts);
  step->w[0] = eng_builder_lookup (b, "per_layer_token_embd.weight", n, h->n_vocab);
  step->u.embed.scale = (float) sqrt (g->n_part / 2.0);
  step = eng_build_product (b, ENG_LAYER_NONE, "per_layer_model_proj", b->buffers_of_layer.residual, h->n_embd, mixed,
                            (uint32_t) n, false);
  step->u.product.scale = (float) (1.0 / sqrt (h->n_embd));
  step = eng_builder_step (b, ENG_STEP_NORM, ENG_LAYER_NONE, mixed, g->parts);
  step->flags |= ENG_STEP_ADD_AFTER;
  step->aux = g->parts;
  step->w[0] = eng_builder_vector (b, ENG_LAYER_NONE, "per_layer_proj_norm.weight", g->n_part);
  step->u.norm.kind = ENG_NORM_RMS;
  step->u.norm.eps = h->eps;
  step->u.norm.scale = (float) sqrt (0.5);
  step->u.norm.n_parts = h->n_layers;
}

/* residual += norm (product (gelu (product of the residual) * layer @i's part of the second embedding)). */
static EngStep *
build_part (EngBuilder *b, uint32_t i, const Gemma4 *g)
{
  const EngLayerBuffers *l = &b->buffers_of_layer;
  eng_build_product (b, i, "inp_gate", l->residual, b->h.n_embd, g->part, g->n_part, false);
  EngStep *gate = eng_builder_step (b, ENG_STEP_GATE, i, g->parts, g->part);
  gate->aux = g->part;
  gate->u.gate.n_head = 1;
  gate->u.gate.first = i * g->n_part;
  gate->u.gate.act = ENG_ACT_GELU_TANH;
  eng_build_product (b, i, "proj", g->part, g->n_part, l->branch, b->h.n_embd, false);
  return eng_build_post_norm (b, i, l->branch, "post_norm");
}

static void
build_attention (EngBuilder *b, uint32_t i, Gemma4 *g)
{
  EngHparams *h = &b->h;
  bool is_local = eng_builder_get_u32_of_layer (b, i, "attention.sliding_window_pattern", 0, 0, 1);
  Kind *kind = is_local ? &g->local : &g->global;
  bool shares = i >= g->n_own;
  h->n_head_kv = eng_builder_get_u32_of_layer (b, i, "attention.head_count_kv", h->n_head, 1, ENG_MAX_HEADS);
  if (b->status == ENG_OK && h->n_head % h->n_head_kv != 0)
    eng_builder_contradict (b, "attention.head_count_kv", "%u heads cannot share %u key and value heads", h->n_head,
                            h->n_head_kv);
  if (is_local && h->window == 0)
    eng_builder_contradict (b, "attention.sliding_window", "layers with a window whose width is not given");
  if (shares && !kind->has_keys)
    eng_builder_contradict (b, "attention.shared_kv_layers", "no layer before layer %u has keys for it", i);
  h->k_width = h->v_width = kind->head_width;
  b->buffers_of_layer.q = kind->q;
  b->buffers_of_layer.attended = kind->attended;
  const EngAttentionOptions attention = {
    .rope = kind->rope,
    .window = kind->window,
    .scale = 1.0f,
    .head_norm = ENG_NORM_RMS,
    .value_norm = ENG_NORM_RMS,
    .keys_are_values = true,
    .shared = shares ? &kind->keys : NULL,
  };
  kind->keys = eng_build_sandwich_attention (b, i, &attention);
  kind->has_keys = true;
  /* Hubs have them for all layers; transformers does not read them either. */
  if (shares)
    {
      eng_builder_leave_out (b, i, "attn_k.weight");
      eng_builder_leave_out (b, i, "attn_v.weight");
      eng_builder_leave_out (b, i, "attn_k_norm.weight");
    }
}

/* The width of the layer's feed-forward block, and a buffer for it. */
static void
choose_inner (EngBuilder *b, uint32_t i, Gemma4 *g)
{
  EngHparams *h = &b->h;
  uint32_t k = 0;
  h->n_ff = eng_builder_get_u32_of_layer (b, i, "feed_forward_length", 0, 1, ENG_MAX_WIDTH);
  while (k < g->n_inner && g->inner[k].width != h->n_ff)
    k++;
  if (k == MAX_WIDTHS)
    {
      eng_builder_refuse (b, "feed_forward_length", "feed-forward blocks of more than %d widths", MAX_WIDTHS);
      return;
    }
  if (k == g->n_inner)
    {
      g->inner[k].width = h->n_ff;
      g->inner[k].id = eng_builder_buffer (b, h->n_ff);
      g->n_inner++;
    }
  b->buffers_of_layer.inner = g->inner[k].id;
}

/* residual += norm (norm (dense block) + norm (experts)), both of the same residual. */
static EngStep *
build_mixture (EngBuilder *b, uint32_t i, const Gemma4 *g)
{
  const EngHparams *h = &b->h;
  const EngLayerBuffers *l = &b->buffers_of_layer;
  const EngExpertOptions experts
      = { .act = ENG_ACT_GELU_TANH, .normalize = true, .scale = 1.0f, .router = g->scored, .to_branch = true };
  eng_build_norm (b, i, ENG_NORM_RMS, l->residual, l->normed, "ffn_norm");
  eng_build_gate_up (b, i, ENG_ACT_GELU_TANH, l->normed, false);
  eng_build_product (b, i, "ffn_down", l->inner, h->n_ff, l->branch, h->n_embd, false);
  eng_build_norm (b, i, ENG_NORM_RMS, l->branch, g->summed, "post_ffw_norm_1");
  EngStep *step = eng_builder_step (b, ENG_STEP_NORM, i, l->residual, g->scored);
  step->w[0] = eng_builder_vector (b, i, "ffn_gate_inp.scale", h->n_embd);
  step->u.norm.kind = ENG_NORM_RMS;
  step->u.norm.eps = h->eps;
  step->u.norm.scale = (float) (1.0 / sqrt (h->n_embd));
  eng_build_norm (b, i, ENG_NORM_RMS, l->residual, l->normed, "pre_ffw_norm_2");
  eng_build_experts (b, i, &experts, l->normed);
  step = eng_build_norm (b, i, ENG_NORM_RMS, l->branch, g->summed, "post_ffw_norm_2");
  step->flags |= ENG_STEP_ADD_AFTER;
  step->aux = g->summed;
  return eng_build_post_norm (b, i, g->summed, "post_ffw_norm");
}

void
eng_arch_compile_gemma4 (EngBuilder *b)
{
  Gemma4 g = { 0 };
  EngHparams *h = &b->h;
  b->layers_differ = true;
  eng_builder_read_common (b);
  read_kinds (b, &g);
  make_buffers (b, &g);
  float local_base = eng_builder_get_f32 (b, "rope.freq_base_swa", 10000.0f, 1.0f, 1e12f);
  float final_cap = eng_builder_get_f32 (b, "final_logit_softcapping", 0.0f, 0.0f, 1e6f);
  g.global.rope = eng_builder_rope (b, ENG_ROPE_NEOX, h->rope_base, true);
  h->n_rot = g.local.n_rot;
  g.local.rope = eng_builder_rope (b, ENG_ROPE_NEOX, local_base, false);
  eng_build_embed (b, sqrtf ((float) h->n_embd));
  if (g.n_part)
    build_parts (b, &g);
  for (uint32_t i = 0; i < h->n_layers && b->status == ENG_OK; i++)
    {
      build_attention (b, i, &g);
      choose_inner (b, i, &g);
      EngStep *last = eng_builder_has_tensor (b, i, "ffn_gate_inp.weight")
                          ? build_mixture (b, i, &g)
                          : eng_build_sandwich_feed_forward (b, i, ENG_ACT_GELU_TANH, false);
      if (g.n_part)
        last = build_part (b, i, &g);
      last->w[2] = eng_builder_vector_if (b, i, "layer_output_scale.weight", 1);
    }
  eng_build_output (b, ENG_NORM_RMS, 1.0f, final_cap);
}
