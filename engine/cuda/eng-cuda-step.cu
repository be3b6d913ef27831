// SPDX-License-Identifier: Apache-2.0
// Steps: what few and many rows share.
#include "eng-cuda-run.h"

// The cache of a layer: its own, or the guest's while a streamed layer runs.
static void
keys_of (const CuRun *r, const EngStep *s, uint32_t group, uint32_t i_layer, __half **k, __half **v)
{
  const EngGroupDesc *g = &r->p->groups[group];
  const uint64_t heads = (uint64_t) g->n_kv_head * ENG_KV_BLOCK * r->s->options.n_blocks[group];
  const bool guest = cu_is_streamed (r->b, (uint32_t) (s - r->p->steps));
  *k = guest ? r->s->guest_k[r->guest] : r->s->k[group] + i_layer * heads * g->k_width;
  // latents: values are the first numbers of the keys
  *v = g->v_width == 0 ? *k : guest ? r->s->guest_v[r->guest] : r->s->v[group] + i_layer * heads * g->v_width;
}

CuQkv
cu_qkv_arguments (const CuRun *r, const EngStep *s)
{
  CuQkv a = {};
  a.q = r->s->buffers[s->dst];
  const uint64_t keys = (uint64_t) r->s->rows * s->u.qkv.n_head_kv * s->u.qkv.k_width;
  a.k = cu_shares_keys (s) ? NULL : r->s->kv_rows;
  a.v = cu_shares_keys (s) ? NULL : s->w[2] == s->w[1] ? a.k : a.k + keys;
  keys_of (r, s, s->u.qkv.group, s->u.qkv.i_layer_in_group, &a.kc, &a.vc);
  a.q_norm = cu_vector_of (r, s->w[6]);
  a.k_norm = cu_vector_of (r, s->w[7]);
  a.norm_kind = s->u.qkv.head_norm;
  a.value_norm = s->u.qkv.value_norm == ENG_NORM_RMS;
  a.eps = s->u.qkv.head_eps;
  a.clamp = s->u.qkv.clamp;
  a.n_head = s->u.qkv.n_head;
  a.n_head_kv = s->u.qkv.n_head_kv;
  a.k_width = s->u.qkv.k_width;
  a.v_width = s->u.qkv.v_width;
  a.rope_kind = s->u.qkv.rope.kind;
  a.n_rot = s->u.qkv.rope.n_rot;
  a.rope_scale = s->u.qkv.rope.scale;
  a.inv_freq = a.rope_kind == ENG_ROPE_NONE ? NULL : r->b->rope[s->u.qkv.rope.i_table];
  a.group = s->u.qkv.group;
  a.angles = a.inv_freq ? r->s->angles + (a.inv_freq - r->b->rope[0]) : NULL;
  a.angles_stride = (int) r->b->n_rope;
  return a;
}

cudaError_t
cu_run_qkv_finish (const CuRun *r, const EngStep *s)
{
  const CuQkv a = cu_qkv_arguments (r, s);
  return cu_qkv_finish (r->stream, &a, &r->s->view, r->n_rows, r->pdl);
}

CuAttention
cu_attention_arguments (const CuRun *r, const EngStep *s)
{
  CuAttention a = {};
  __half *k, *v;
  keys_of (r, s, s->u.attention.group, s->u.attention.i_layer_in_group, &k, &v);
  a.k = k;
  a.v = v;
  a.n_blocks = r->s->options.n_blocks[s->u.attention.group];
  a.n_head = s->u.attention.n_head;
  a.n_head_kv = s->u.attention.n_head_kv;
  a.k_width = s->u.attention.k_width;
  a.v_width = s->u.attention.v_width;
  a.v_pitch = r->p->groups[s->u.attention.group].v_width ? a.v_width : a.k_width;
  a.scale = s->u.attention.scale;
  a.soft_cap = s->u.attention.soft_cap;
  a.window = s->u.attention.window;
  a.causal = s->u.attention.causal;
  a.sinks = cu_vector_of (r, s->w[0]);
  return a;
}

cudaError_t
cu_run_attention_rows (const CuRun *r, const EngStep *s, const CuAttention *a)
{
  return cu_attention_decode (r->stream, a, &r->s->view, s->u.attention.group, r->s->buffers[s->src], r->s->buffers[s->dst],
                              r->n_rows, r->s->partial, r->s->counters, r->b->device->n_units, r->pdl);
}

cudaError_t
cu_run_norm (const CuRun *r, const EngStep *s, float *y, __nv_bfloat16 *y16)
{
  float *const *buf = r->s->buffers;
  CuNorm n = {};
  n.kind = s->u.norm.kind;
  n.x = buf[s->src];
  n.before = s->flags & ENG_STEP_ADD_BEFORE ? buf[s->aux] : NULL;
  n.after = s->flags & ENG_STEP_ADD_AFTER ? buf[s->aux] : NULL;
  n.w = cu_vector_of (r, s->w[0]);
  n.b = cu_vector_of (r, s->w[1]);
  n.factor = cu_vector_of (r, s->w[2]);
  n.eps = s->u.norm.eps;
  n.scale = s->u.norm.scale;
  const int n_parts = s->u.norm.n_parts > 1 ? (int) s->u.norm.n_parts : 1;
  return cu_norm (r->stream, &n, y, y16, r->n_rows * n_parts, (int) r->p->buffers[s->src].width / n_parts, r->pdl);
}

cudaError_t
cu_run_embed (const CuRun *r, const EngStep *s)
{
  const CuWeight *w[3];
  for (int i = 0; i < 3; i++)
    w[i] = s->w[i] == ENG_WEIGHT_NONE ? NULL : &r->b->weights[s->w[i]];
  return cu_embed (r->stream, w[0], w[1], w[2], &r->s->view, s->u.embed.scale, s->u.embed.position_offset,
                   s->dst == ENG_BUFFER_RESIDUAL, r->n_rows, r->s->buffers[s->dst], r->p->buffers[s->dst].width, r->pdl);
}

CuChoice
cu_choice_of (const CuRun *r, const EngStep *s)
{
  CuChoice c = {};
  c.selection = cu_vector_of (r, s->w[1]);
  c.factor = cu_vector_of (r, s->w[3]);
  c.n_expert = (int) s->u.route.n_expert;
  c.n_used = (int) s->u.route.n_used;
  c.gating = s->u.route.gating;
  c.normalize = s->u.route.normalize;
  c.n_groups = (int) s->u.route.n_groups;
  c.n_groups_used = (int) s->u.route.n_groups_used;
  c.n_group_best = (int) s->u.route.n_group_best;
  c.scale = s->u.route.scale;
  return c;
}

bool
cu_router_fits (const CuRun *r, const EngStep *s)
{
  const CuWeight *w = &r->b->weights[s->w[0]];
  return w->type == ENG_TYPE_F32 && w->n_cols % 4 == 0 && r->n_rows <= ENG_CUDA_GEMV_ROWS;
}

cudaError_t
cu_run_router (const CuRun *r, const EngStep *s, const CuGemv *g)
{
  CuRouter a = {};
  a.x = g->x;
  a.w = (const float *) r->b->weights[s->w[0]].q;
  a.has_norm = g->has_norm;
  a.norm = g->norm;
  a.eps = g->eps;
  a.choice = cu_choice_of (r, s);
  a.bias = cu_vector_of (r, s->w[2]);
  a.n_cols = (int) g->n_cols;
  a.scores = r->s->route_scores;
  a.y = r->s->buffers[s->dst];
  return cu_router (r->stream, &a, r->n_rows, r->pdl);
}

// Input and output of a step's products a head; not the matrices.
CuHeads
cu_heads_arguments (const CuRun *r, const EngStep *s)
{
  CuHeads h = {};
  const bool latent = s->kind == ENG_STEP_LATENT;
  const uint32_t n_head = latent ? s->u.latent.n_head : s->u.heads.n_head;
  h.x = r->s->buffers[s->src];
  h.y = r->s->buffers[s->dst];
  h.x_stride = r->p->buffers[s->src].width;
  h.y_stride = r->p->buffers[s->dst].width;
  h.x_head = h.x_stride / n_head;
  h.y_head = h.y_stride / n_head;
  h.turned = r->p->weights[s->w[latent ? 1 : 0]].use == ENG_WEIGHT_TURNED;
  return h;
}

cudaError_t
cu_run_latent (const CuRun *r, const EngStep *s)
{
  CuLatent l = {};
  __half *v;
  keys_of (r, s, s->u.latent.group, s->u.latent.i_layer_in_group, &l.kc, &v);
  l.query = r->s->buffers[s->src];
  l.latent = r->s->buffers[s->aux];
  l.norm = cu_vector_of (r, s->w[0]);
  l.q = r->s->buffers[s->dst];
  l.n_head = (int) s->u.latent.n_head;
  l.n_plain = (int) s->u.latent.n_plain;
  l.n_latent = (int) s->u.latent.n_latent;
  l.n_rot = (int) s->u.latent.n_rot;
  l.group = s->u.latent.group;
  l.eps = s->u.latent.eps;
  l.rope_kind = s->u.latent.rope.kind;
  l.rope_scale = s->u.latent.rope.scale;
  l.inv_freq = r->b->rope[s->u.latent.rope.i_table];
  return cu_latent (r->stream, &l, &r->s->view, r->n_rows, r->pdl);
}

cudaError_t
cu_run_split_gate (const CuRun *r, const EngStep *s)
{
  return cu_split_gate (r->stream, r->s->glu_rows, (int) s->u.qkv.n_head, (int) s->u.qkv.k_width, r->n_rows,
                        r->s->buffers[s->dst], r->s->buffers[s->u.qkv.gate], r->pdl);
}

// The state of a layer: its own, or the guest's while a streamed layer runs.
static CuRecurrent
recurrent_of (const CuRun *r, const EngStep *s)
{
  CuRecurrent a = {};
  const uint32_t g = s->u.delta.group;
  const uint64_t floats = cu_recurrent_floats (&r->p->groups[g]);
  a.group = (int) g;
  a.block_floats = (uint32_t) floats;
  a.state = cu_is_streamed (r->b, (uint32_t) (s - r->p->steps))
                ? (float *) r->s->guest_k[r->guest]
                : r->s->recurrent[g] + s->u.delta.i_layer_in_group * r->s->options.n_blocks[g] * floats;
  return a;
}

cudaError_t
cu_run_delta (const CuRun *r, const EngStep *s)
{
  float *const *buf = r->s->buffers;
  CuDelta d = {};
  d.r = recurrent_of (r, s);
  d.src = buf[s->src];
  d.convolved = r->s->glu_rows;
  d.taps = cu_vector_of (r, s->w[0]);
  d.a = cu_vector_of (r, s->w[1]);
  d.dt = cu_vector_of (r, s->w[2]);
  d.alpha = buf[s->u.delta.alpha];
  d.beta = buf[s->aux];
  d.y = buf[s->dst];
  d.n_k = (int) s->u.delta.n_k_head;
  d.n_v = (int) s->u.delta.n_v_head;
  d.k_width = (int) s->u.delta.k_width;
  d.v_width = (int) s->u.delta.v_width;
  d.n_conv = (int) s->u.delta.n_conv;
  d.grouped = s->u.delta.grouped;
  return cu_delta (r->stream, &d, &r->s->view, r->n_rows, r->n_sequences, r->pdl);
}

cudaError_t
cu_run_conv (const CuRun *r, const EngStep *s)
{
  CuConv v = {};
  v.r = recurrent_of (r, s);
  v.src = r->s->buffers[s->src];
  v.taps = cu_vector_of (r, s->w[0]);
  v.y = r->s->buffers[s->dst];
  v.width = (int) r->p->buffers[s->dst].width;
  v.n_conv = (int) s->u.delta.n_conv;
  return cu_conv (r->stream, &v, &r->s->view, r->max_rows_of_sequence, r->n_sequences, r->pdl);
}

cudaError_t
cu_run_gate (const CuRun *r, const EngStep *s, __nv_bfloat16 *y16)
{
  float *const *buf = r->s->buffers;
  const int n_head = (int) s->u.gate.n_head;
  return cu_gate (r->stream, buf[s->src] + s->u.gate.first, (int) r->p->buffers[s->src].width, buf[s->aux], cu_vector_of (r, s->w[0]), s->u.gate.eps, s->u.gate.act, n_head,
                  (int) r->p->buffers[s->dst].width / n_head, r->n_rows, buf[s->dst], y16, r->pdl);
}

cudaError_t
cu_run_gate_rows (const CuRun *r, const EngStep *s, float *y, __nv_bfloat16 *y16)
{
  if (s->w[4] == ENG_WEIGHT_NONE)
    return cudaSuccess;
  return cu_gate_rows (r->stream, r->s->buffers[s->src], (int) r->p->buffers[s->src].width, cu_vector_of (r, s->w[4]),
                       r->n_rows, (int) r->b->weights[s->w[0]].n_rows, y, y16);
}
