/* SPDX-License-Identifier: Apache-2.0 */
/* How an architecture file turns a model file into a step program: it reads hyper-parameters, binds
 * tensors (shapes checked against those hyper-parameters) and emits steps.
 *
 * Errors stick: after the first failure every call is a no-op that returns something harmless, and
 * eng_builder_finish () reports it. So an architecture reads as a plain list, without a check on each
 * line; only numbers that steer a loop or an allocation here need b->status looked at first.
 *
 * One thread. Everything it makes lives in the arena given. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "eng-arena.h"
#include "eng-error.h"
#include "eng-gguf.h"
#include "eng-program.h"

/* Bounds on hyper-parameters. Far above any published model; they keep a small hostile file from making
 * a long program. */
#define ENG_MAX_LAYERS 1024u
#define ENG_MAX_WIDTH (1u << 20)
#define ENG_MAX_HEADS 4096u
#define ENG_MAX_HEAD_WIDTH 4096u
#define ENG_MAX_EXPERTS 4096u
#define ENG_MAX_CONTEXT (1u << 28)
#define ENG_MAX_VOCAB (1u << 24)

/* What nearly all architectures have. Read by eng_builder_read_common (). */
typedef struct
{
  uint32_t n_layers, n_embd, n_vocab, n_ctx_train;
  uint32_t n_head, n_head_kv, k_width, v_width;
  uint32_t n_ff; /* 0 if the file has none (all layers are experts) */
  uint32_t n_rot;
  float rope_base;
  float eps;
  uint32_t window; /* attention.sliding_window, 0 = none */
  uint32_t n_expert, n_expert_used, n_ff_expert, n_ff_shared;
} EngHparams;

/* The buffers of a usual decoder layer, made by eng_builder_begin (). */
typedef struct
{
  EngBufferId residual; /* [n_embd] */
  EngBufferId normed;   /* [n_embd]: input of a product */
  EngBufferId q;        /* [n_head * k_width] */
  EngBufferId attended; /* [n_head * v_width] */
  EngBufferId inner;    /* [inner width of a feed-forward block] */
  EngBufferId shared;   /* [inner width of the shared expert]; NONE without one */
  EngBufferId branch;   /* [n_embd]: a branch before its post-norm */
  EngBufferId routed;   /* [2 * n_expert_used]; ENG_BUFFER_NONE without experts */
} EngLayerBuffers;

typedef struct
{
  const EngGguf *file;
  EngArena *arena;
  const char *arch;
  uint64_t n_ctx; /* context the caller wants, 0 = what the model was made for: LongRoPE's table */
  EngStatus status;
  EngError *error; /* never NULL */
  EngHparams h;
  EngLayerBuffers buffers_of_layer;

  /* Under construction; capacity beside each. */
  EngStep *steps;
  uint32_t n_steps, cap_steps;
  EngWeightDesc *weights;
  uint32_t n_weights, cap_weights;
  EngBufferDesc *buffers;
  uint32_t n_buffers, cap_buffers;
  EngGroupDesc *groups;
  uint32_t n_groups, cap_groups;
  const float **tables;
  uint32_t *table_lengths;
  uint32_t n_tables, cap_tables;
  bool layers_differ;      /* numbers given once a layer need not be one: the largest counts where only one is asked for */
  uint32_t n_layers_ahead; /* behind h.n_layers in the file, left alone: they guess further tokens (MTP) */
  bool *used; /* [tensors of the file] bound by some step */
  EngStep nowhere; /* what failed calls return */
} EngBuilder;

/* --- hyper-parameters: "<arch>.<suffix>" --- */

/* Required, within [min, max]. An array (one number a layer) is taken when all are equal, else refused as
 * unsupported unless b->layers_differ. Returns @min after a failure. */
uint32_t eng_builder_need_u32 (EngBuilder *b, const char *suffix, uint32_t min, uint32_t max);
/* @fallback when absent. */
uint32_t eng_builder_get_u32 (EngBuilder *b, const char *suffix, uint32_t fallback, uint32_t min,
                              uint32_t max);
/* Of an array the number of @layer (true is 1); a single number counts for all. */
uint32_t eng_builder_get_u32_of_layer (EngBuilder *b, uint32_t layer, const char *suffix, uint32_t fallback, uint32_t min,
                                       uint32_t max);
float eng_builder_get_f32 (EngBuilder *b, const char *suffix, float fallback, float min, float max);
float eng_builder_need_f32 (EngBuilder *b, const char *suffix, float min, float max);
bool eng_builder_get_bool (EngBuilder *b, const char *suffix, bool fallback);
bool eng_builder_has (EngBuilder *b, const char *suffix);
/* True if the key holds exactly @text. */
bool eng_builder_key_is (EngBuilder *b, const char *suffix, const char *text);

/* Fill b->h, checking each number and how they fit together (G25): the file's vocabulary against
 * the embedding's rows too. */
void eng_builder_read_common (EngBuilder *b);

/* Take the layers that guess further tokens (nextn_predict_layers of block_count) off h.n_layers. */
void eng_builder_skip_layers_ahead (EngBuilder *b);

/* Refuse: ENG_ERR_UNSUPPORTED with @field (may be NULL) and one sentence. */
void eng_builder_refuse (EngBuilder *b, const char *field, const char *format, ...)
    __attribute__ ((format (printf, 3, 4)));
/* Refuse as contradictory: ENG_ERR_FORMAT. */
void eng_builder_contradict (EngBuilder *b, const char *field, const char *format, ...)
    __attribute__ ((format (printf, 3, 4)));

/* --- tensors: "blk.<layer>.<name>", or "<name>" for ENG_LAYER_NONE --- */

bool eng_builder_has_tensor (EngBuilder *b, uint32_t layer, const char *name);
/* A product [n_rows x n_cols], required. */
EngWeightId eng_builder_product (EngBuilder *b, uint32_t layer, const char *name, uint64_t n_cols,
                                 uint64_t n_rows);
/* Rows [first, first + n_rows) of a fused product with @n_total rows in all. */
EngWeightId eng_builder_product_part (EngBuilder *b, uint32_t layer, const char *name,
                                      uint64_t n_cols, uint64_t n_total, uint64_t first,
                                      uint64_t n_rows);
/* A vector of @n numbers, required. */
EngWeightId eng_builder_vector (EngBuilder *b, uint32_t layer, const char *name, uint64_t n);
/* ENG_WEIGHT_NONE when the file has none. */
EngWeightId eng_builder_vector_if (EngBuilder *b, uint32_t layer, const char *name, uint64_t n);
EngWeightId eng_builder_vector_part_if (EngBuilder *b, uint32_t layer, const char *name,
                                        uint64_t n_total, uint64_t first, uint64_t n);
/* Vectors of experts, [n_slices][n], one behind the other; ENG_WEIGHT_NONE when the file has none. */
EngWeightId eng_builder_expert_vectors_if (EngBuilder *b, uint32_t layer, const char *name, uint64_t n,
                                           uint64_t n_slices);
EngWeightId eng_builder_lookup (EngBuilder *b, const char *name, uint64_t n_cols, uint64_t n_rows);
/* Of each of @n_heads heads rows [first, first + n_rows) of its @n_total, as products (or ENG_WEIGHT_TURNED): the heads
 * stand one behind the other, as slices or as rows of one matrix. */
EngWeightId eng_builder_heads (EngBuilder *b, uint32_t layer, const char *name, EngWeightUse use, uint64_t n_cols,
                               uint64_t n_total, uint64_t first, uint64_t n_rows, uint64_t n_heads);
EngWeightId eng_builder_experts (EngBuilder *b, uint32_t layer, const char *name, uint64_t n_cols,
                                 uint64_t n_rows, uint64_t n_slices);
/* Of each expert rows [first, first + n_rows) of @n_total. */
EngWeightId eng_builder_experts_part (EngBuilder *b, uint32_t layer, const char *name, uint64_t n_cols, uint64_t n_total,
                                      uint64_t first, uint64_t n_rows, uint64_t n_slices);
/* A tensor that the file may have and that nothing needs. */
void eng_builder_leave_out (EngBuilder *b, uint32_t layer, const char *name);
/* float32 copy of a small tensor of @n F32 numbers in the arena; NULL if the file has none. All finite. */
const float *eng_builder_read_f32 (EngBuilder *b, uint32_t layer, const char *name, uint64_t n);

/* --- program --- */

/* Standard buffers, after h is complete. */
const EngLayerBuffers *eng_builder_begin (EngBuilder *b);
EngBufferId eng_builder_buffer (EngBuilder *b, uint64_t width);
/* The group of a KV layer: found or made; *i_layer is this layer's index in it. */
EngGroupId eng_builder_kv_group (EngBuilder *b, uint32_t n_kv_head, uint32_t k_width,
                                 uint32_t v_width, uint32_t window, uint16_t *i_layer);
/* The group of the layers with a recurrent state of @n_floats numbers each; a model has one. */
EngGroupId eng_builder_recurrent_group (EngBuilder *b, uint32_t n_floats, uint16_t *i_layer);
/* A RoPE of h.n_rot dimensions with the file's scaling (none, linear, YaRN, Llama 3's rope_freqs, LongRoPE);
 * eng-rope.c has the formulas. @scaled false: @base alone (gemma3's local layers). */
EngRope eng_builder_rope (EngBuilder *b, EngRopeKind kind, float base, bool scaled);

/* A fresh step at the end; weights none, flags set for a layer's first step. Never NULL. */
EngStep *eng_builder_step (EngBuilder *b, EngStepKind kind, uint32_t layer, EngBufferId src,
                           EngBufferId dst);

/* --- pieces that most architectures share; each appends steps --- */

/* residual = token embedding * scale. */
void eng_build_embed (EngBuilder *b, float scale);
/* dst = norm (src), n_embd wide, with "<name>.weight" and, if there, "<name>.bias". */
EngStep *eng_build_norm (EngBuilder *b, uint32_t layer, EngNormKind kind, EngBufferId src,
                         EngBufferId dst, const char *name);
/* The same @n wide. */
EngStep *eng_build_norm_of (EngBuilder *b, uint32_t layer, EngNormKind kind, EngBufferId src, EngBufferId dst,
                            const char *name, uint32_t n);

/* Where a layer's keys and values stand. */
typedef struct
{
  EngGroupId group;
  uint16_t i_layer;
} EngKeys;

typedef struct
{
  EngRope rope;
  uint32_t window; /* of this layer, 0 = none; an encoder's rows see half of it to either side */
  float scale;     /* of q.k; 0 = 1 / sqrt (k_width) */
  bool sinks;      /* attn_sinks: one more score a head, with no value */
  float soft_cap;
  EngNormKind head_norm; /* attn_q_norm, attn_k_norm; NONE = has none */
  bool fused;            /* attn_qkv instead of attn_q, attn_k, attn_v */
  bool encoder;          /* not causal */
  EngBufferId gate;      /* 0, or where the gates go that attn_q holds beside the queries; not with fused */
  EngNormKind value_norm; /* of values, without weight */
  bool keys_are_values;   /* a file without attn_v means that */
  const EngKeys *shared;  /* NULL, or of an earlier layer of the same shape, for this one too */
} EngAttentionOptions;
/* QKV and ATTENTION from src into buffers.attended. Biases are bound where the file has them. */
EngKeys eng_build_attention (EngBuilder *b, uint32_t layer, const EngAttentionOptions *options,
                          EngBufferId src);

/* dst = [dst +] product of src with "<name>.weight" + "<name>.bias" if there. */
EngStep *eng_build_product (EngBuilder *b, uint32_t layer, const char *name, EngBufferId src,
                            uint32_t n_cols, EngBufferId dst, uint32_t n_rows, bool accumulate);
/* inner = act (gate) * up: ffn_gate and ffn_up, or one fused ffn_up whose first half is the gate. */
void eng_build_gate_up (EngBuilder *b, uint32_t layer, EngActKind act, EngBufferId src, bool fused);

typedef struct
{
  EngActKind act;
  uint8_t gating;
  bool normalize;
  float scale;
  uint32_t n_groups, n_groups_used; /* 0 = no groups */
  EngBufferId router;    /* what the router reads; 0 = src */
  bool to_branch;        /* buffers.branch = …, instead of added to the residual */
} EngExpertOptions;
/* ROUTE and EXPERTS, and the shared expert where the model has one: residual += … of src. Biases of the
 * router, its selection and the experts, and factors of these, are bound where the file has them; gate and up may stand
 * in one tensor. */
void eng_build_experts (EngBuilder *b, uint32_t layer, const EngExpertOptions *options,
                        EngBufferId src);

/* residual += experts of src, or where @experts is NULL the dense block: ffn_down (silu (ffn_gate) * ffn_up). */
void eng_build_feed_forward (EngBuilder *b, uint32_t layer, const EngExpertOptions *experts, EngBufferId src);

/* A decoder whose layers are: residual += attention (norm (residual)); residual += feed-forward or
 * experts (norm (residual)), with RMS norms. Everything from the embedding to the logits. */
typedef struct
{
  EngRopeKind rope;
  EngNormKind head_norm;
  bool fused_qkv, fused_gate_up;
  bool normalize_experts; /* chosen experts' weights sum to 1 */
  uint32_t plain_every;   /* every so-manieth layer is without RoPE; 0 = none */
  float attention_scale;  /* 0 = 1 / sqrt (k_width) */
} EngPlainDecoder;
void eng_build_plain_decoder (EngBuilder *b, const EngPlainDecoder *options);

/* residual += norm (src) with "<name>.weight". */
EngStep *eng_build_post_norm (EngBuilder *b, uint32_t layer, EngBufferId src, const char *name);
/* The two halves of a layer with norms before and behind each branch (attn_norm, post_attention_norm; ffn_norm,
 * post_ffw_norm): residual += norm (branch (norm (residual))). */
EngKeys eng_build_sandwich_attention (EngBuilder *b, uint32_t layer, const EngAttentionOptions *attention);
EngStep *eng_build_sandwich_feed_forward (EngBuilder *b, uint32_t layer, EngActKind act, bool fused_gate_up);
void eng_build_sandwich_layer (EngBuilder *b, uint32_t layer, const EngAttentionOptions *attention,
                               EngActKind act, bool fused_gate_up);

/* output_norm, then logits through "output" or, where the file has none, the embedding itself. */
void eng_build_output (EngBuilder *b, EngNormKind norm, float scale, float soft_cap);
/* The same with a norm of another @name. */
void eng_build_output_behind (EngBuilder *b, const char *name, EngNormKind norm, float scale, float soft_cap);

/* Check that nothing in the file was left out, and hand the program over. */
EngStatus eng_builder_finish (EngBuilder *b, EngProgram *program);
