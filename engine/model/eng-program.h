/* SPDX-License-Identifier: Apache-2.0 */
/* The step program: what a loaded architecture compiles to, and what every backend runs.
 *
 * A program is a flat array of fused steps, about five to ten a layer, in execution order. It is
 * built once by model/ and never changes afterwards; it may be shared by any number of threads.
 * Steps name buffers, weights and state groups by small ids. A backend resolves ids to its own
 * memory when it binds the program; nothing here is a pointer into weights or activations, so
 * that the same program runs on several devices, in pieces, or through a second interpreter
 * (tuning) that keeps or recomputes what lies between two layer borders.
 *
 * Notation: a batch has R rows (see eng-batch.h); d = n_embd. All activations are float32 [R, width]
 * unless a backend chooses another form that keeps the error bounds of kernel check. A row's result
 * does not depend on its neighbours beyond those bounds.
 *
 * This header is plain C and free of other engine headers but eng-type.h: cuda/ includes it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "eng-type.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef uint16_t EngBufferId; /* index into EngProgram.buffers */
typedef uint32_t EngWeightId; /* index into EngProgram.weights */
typedef uint16_t EngGroupId;  /* index into EngProgram.groups (KV or recurrent state) */

#define ENG_BUFFER_NONE ((EngBufferId) 0xffff)
#define ENG_WEIGHT_NONE ((EngWeightId) 0xffffffff)
#define ENG_LAYER_NONE UINT16_MAX /* steps before the first layer and after the last */

/* An activation buffer: [R, width] float32. ENG_BUFFER_RESIDUAL always exists as id 0 and is what
 * crosses layer borders; a cut inside a layer (experts elsewhere) carries the buffers that the step
 * before the cut wrote and a step after it reads. */
#define ENG_BUFFER_RESIDUAL ((EngBufferId) 0)
typedef struct
{
  uint32_t width;
} EngBufferDesc;

/* A weight as the file stores it: @n_slices matrices (experts; 1 otherwise) of @n_rows rows by
 * @n_cols columns, row-major, a row contiguous: GGUF dims {n_cols, n_rows, n_slices}. A vector has
 * n_rows = 1. Products compute y[r] = sum_c W[r][c] x[c]. */
typedef struct
{
  EngType type;
  uint32_t n_slices;
  uint64_t n_cols, n_rows;
  uint64_t source;    /* index of the tensor in the model file; see EngWeightSource */
  uint64_t first_row; /* part of a fused tensor: rows [first_row, first_row + n_rows) of it; of a
                         fused vector: elements [first_row, first_row + n_cols) */
  uint64_t slice_rows; /* part of a fused tensor of several slices: rows of each slice there; else 0 */
  uint16_t layer;     /* ENG_LAYER_NONE for embeddings, output head */
  uint16_t use;       /* EngWeightUse */
} EngWeightDesc;

typedef enum
{
  ENG_WEIGHT_VECTOR,  /* norms, biases, small tables: kept float32 */
  ENG_WEIGHT_PRODUCT, /* matrix of a product: a backend may repack it */
  ENG_WEIGHT_LOOKUP,  /* row lookup (token embedding); the same tensor may also be a product */
  ENG_WEIGHT_EXPERTS, /* n_slices product matrices */
  /* n_slices matrices of which steps take the transposed: y[c] = sum_r W[r][c] x[r]. What a step says of the shape of
   * its matrix is said of the transposed one. */
  ENG_WEIGHT_TURNED,
} EngWeightUse;

/* State that belongs to a sequence. Layers with equal state share a group; a group has one block
 * table a sequence, and a block holds ENG_KV_BLOCK positions for every layer of the group. */
#define ENG_KV_BLOCK 64
typedef enum
{
  ENG_STATE_KV,        /* keys and values; window = 0: all positions, else the last @window */
  /* A state of fixed size a layer. A block of the group holds that of all its layers as it is behind the last
   * position of the block that was run: entry p / ENG_KV_BLOCK of the table is where position p leaves it. Behind
   * whole blocks the entries are checkpoints; a table may lack all of them but the newest. */
  ENG_STATE_RECURRENT,
} EngStateKind;
typedef struct
{
  EngStateKind kind;
  uint32_t n_layers;  /* layers in this group */
  uint32_t n_kv_head; /* of each layer */
  uint32_t k_width;   /* floats of one head's key */
  uint32_t v_width;   /* floats of one head's value; 0: values are not stored, they are the first floats of the keys */
  uint32_t window;    /* 0 = full */
  uint32_t n_floats; /* recurrent: float32 numbers a layer; how they stand is the device's */
} EngGroupDesc;

typedef enum
{
  ENG_NORM_NONE,
  ENG_NORM_RMS,   /* x * w / sqrt (mean (x^2) + eps) */
  ENG_NORM_LAYER, /* (x - mean) / sqrt (var + eps) * w + b */
} EngNormKind;

typedef enum
{
  ENG_ACT_NONE,
  ENG_ACT_SILU,
  ENG_ACT_GELU_TANH, /* tanh approximation */
  ENG_ACT_GELU_ERF,
  ENG_ACT_RELU,
  ENG_ACT_SWIGLU_OAI, /* gpt-oss: clamped, alpha 1.702 */
  ENG_ACT_TANH,       /* heads of rankers */
  ENG_ACT_SIGMOID,    /* gates */
} EngActKind;

typedef enum
{
  ENG_ROPE_NONE,
  ENG_ROPE_NORM, /* pairs (2i, 2i+1): llama as GGUF stores it */
  ENG_ROPE_NEOX, /* pairs (i, i + n_rot/2) */
} EngRopeKind;

/* Rotary position embedding. Angle of pair i at position p: p * inv_freq[i]; result times @scale.
 * The compiler has already folded linear, YaRN, Llama 3 and LongRoPE scaling into @inv_freq
 * (float32 [n_rot / 2]) and @scale, so a backend knows only this table. LongRoPE has two tables:
 * the session's context length picks one at load. */
typedef struct
{
  EngRopeKind kind;
  uint32_t n_rot;        /* dimensions rotated, even, <= head width; the rest pass through */
  float scale;           /* magnitude factor on cos and sin ("mscale"), usually 1 */
  uint32_t i_table;      /* index into EngProgram.rope_tables */
} EngRope;

typedef enum
{
  /* dst = (token embedding of the row, or the row's own vector) * scale
   *       [+ position_table[pos]] [+ type_table[0]].
   * w[0] = token table, w[1] = position table, w[2] = type table; u.embed. */
  ENG_STEP_EMBED,

  /* dst = norm (src) * scale; with ENG_STEP_ADD_BEFORE: dst = norm (src + aux) * scale (post-norm encoders; aux is
   * the residual); with ENG_STEP_ADD_AFTER: dst = aux + norm (src) * scale (sandwich norms).
   * w[0] = weight, w[1] = bias or none; w[2] = none, or [1]: all of dst times that number; u.norm. With u.norm.n_parts
   * each of so many equal parts of the row is normalized by itself, with the same weight and bias. dst may equal aux,
   * never src unless neither flag. */
  ENG_STEP_NORM,

  /* q, k, v = products of src with w[0], w[1], w[2], + biases w[3..5], then head norms w[6] (q),
   * w[7] (k), RoPE on q and k, k and v written to the state at the row's position; q to dst
   * [R, n_head * k_width]. u.qkv. w[1] and w[2] none: another layer's keys and values serve this one too, nothing is
   * written; w[1] and w[2] the same: keys before norm and RoPE are the values. With u.qkv.gate w[0] has twice the rows: of each head k_width of the query,
   * then k_width that go to buffer gate [R, n_head * k_width] as they are. */
  ENG_STEP_QKV,

  /* dst [R, n_head * v_width] = attention of src (q) over the state of the row's sequence. Causal:
   * positions <= the row's own (and > pos - window); not causal: all rows of the sequence in this
   * batch. w[0] = sinks [n_head] or none; u.attention. */
  ENG_STEP_ATTENTION,

  /* dst = act (src * w[0]^T + bias w[1]) * scale; with ENG_STEP_ADD_AFTER: dst = aux + that (the
   * residual add; aux usually equals dst). u.product. A low-rank side (adapter) of the row is added
   * before bias and epilogue. */
  ENG_STEP_PRODUCT,

  /* dst = act (src * w[0]^T + b w[2]) .* (src * w[1]^T + b w[3]). w[0] = gate, w[1] = up; u.glu.
   * w[4] = none, or [1, n_cols]: the whole row of dst times sigmoid (src . w[4]) (the shared expert
   * of qwen2moe: its down product is linear, so gating here is gating there). */
  ENG_STEP_GATE_UP,

  /* Router: scores = src * w[0]^T (+ bias w[2]); gating, optional selection bias w[1], groups; the
   * n_used best experts' ids and weights go to dst [R, 2 * n_used] (ids as float-encoded integers
   * first, weights after). w[3] = none, or [n_expert]: a weight is last multiplied by its expert's number. u.route. */
  ENG_STEP_ROUTE,

  /* dst = sum over the row's experts e of weight_e * (down_e (act (gate_e src) .* (up_e src))).
   * aux = the router's buffer; w[0] = gate, w[1] = up, w[2] = down (ENG_WEIGHT_EXPERTS), w[3..5] =
   * their biases [n_expert, n] or none; with ENG_STEP_ADD_AFTER dst accumulates. u.experts. */
  ENG_STEP_EXPERTS,

  /* logits [R', n_vocab] of the rows that want them: src * w[0]^T (+ b w[1]) * scale, soft cap.
   * dst is ENG_BUFFER_NONE: the run's output. u.output. */
  ENG_STEP_OUTPUT,

  /* Embedding of a sequence: pooled rows of src, optionally normalized to length 1; to the run's
   * output [n_sequences, width]. w[0] = dense head or none, w[1] its bias, w[2] = ranking head,
   * w[3] its bias; u.pool. */
  ENG_STEP_POOL,

  /* Gated delta rule (arXiv:2412.06464) behind a short causal convolution. src [R, 2 * n_k_head * k_width +
   * n_v_head * v_width] = q, k, v before it: each column c becomes silu (sum_j w[0][c][j] * src of the row
   * n_conv - 1 - j back). q and k of each head are then scaled to length 1 (eps 1e-6 under the root), q further by
   * 1 / sqrt (k_width). Value head h listens to key head h % n_k_head. With a = u.delta.alpha [R, n_v_head],
   * b = aux [R, n_v_head] (where u.delta.grouped, value head h listens to key head h / (n_v_head / n_k_head), and aux and
   * u.delta.alpha are one buffer [R, 2 * n_v_head]: of each key head the b of its value heads, then their a):
   * decay = exp (w[1][h] * softplus (a + w[2][h])), rate = sigmoid (b);
   *   S = decay * S;  S += k (rate * (v - S^T k))^T;  dst [R, n_v_head * v_width] = S^T q
   * for one row of a sequence after the other. src, aux and u.delta.alpha hold nothing useful afterwards. The rows of
   * a sequence stand together in the batch, without gaps. */
  ENG_STEP_DELTA,

  /* dst = norm (src) .* act (aux), number by number; of a src wider than dst the numbers from u.gate.first on. The norm
   * is RMS over each of n_head equal parts with the weight w[0]; none: dst = src .* act (aux). u.gate. dst may equal aux,
   * and src where that is as wide. */
  ENG_STEP_GATE,

  /* Gated short convolution: src [R, 3 n] = b, c, x; of each column, y = b * x and dst [R, n] = c * sum_j w[0][column][j] *
   * (y of the row n_conv - 1 - j back). u.delta: n_conv, group and layer; the state is y of the last n_conv - 1 rows. src
   * holds nothing useful afterwards. Rows as for DELTA. */
  ENG_STEP_CONV,

  /* Queries and keys of multi-head latent attention (DeepSeek-V2, arXiv:2405.04434, section 2.1), where what makes keys
   * of latents stands on the side of the queries. Of each of n_head queries of src, w[1]'s slice of the head
   * [n_latent, n_plain] times its first n_plain numbers and RoPE of its last n_rot go to dst [R, n_head * (n_latent + n_rot)].
   * aux [R, n_latent + n_rot]: RMS norm of its first n_latent numbers with w[0] and RoPE of its last n_rot go to the state
   * as the key at the row's position, the only one of the layer, whose first n_latent numbers are the value. u.latent. */
  ENG_STEP_LATENT,

  /* dst [R, n_head * n] = head by head, w[0]'s slice of the head [n, width] times its part of src [R, n_head * width].
   * u.heads. */
  ENG_STEP_HEADS,

  ENG_STEP_N_KINDS
} EngStepKind;

enum
{
  ENG_STEP_ADD_BEFORE = 1 << 0,
  ENG_STEP_ADD_AFTER = 1 << 1,
  ENG_STEP_LAYER_BEGIN = 1 << 2, /* first step of a layer: a cut is allowed before it */
};

typedef enum
{
  ENG_POOL_MEAN,
  ENG_POOL_CLS,
  ENG_POOL_LAST,
  ENG_POOL_RANK,
} EngPoolKind;

typedef struct
{
  uint8_t kind;  /* EngStepKind */
  uint8_t flags; /* ENG_STEP_* */
  uint16_t layer;
  EngBufferId src, aux, dst;
  EngWeightId w[8]; /* ENG_WEIGHT_NONE where absent */
  union
  {
    struct
    {
      float scale;
      uint32_t position_offset; /* added to the position (xlm-roberta: 2) */
    } embed;
    struct
    {
      EngNormKind kind;
      float eps;
      float scale;
      uint32_t n_parts; /* 0 or 1: the whole row */
    } norm;
    struct
    {
      uint32_t n_head, n_head_kv, k_width, v_width;
      EngGroupId group;
      uint16_t i_layer_in_group;
      EngRope rope;
      EngNormKind head_norm; /* of w[6], w[7] */
      float head_eps;
      EngNormKind value_norm; /* of each head's value, without weight: RMS or NONE */
      float clamp; /* |q|,|k|,|v| <= clamp before norms; 0 = none */
      bool head_norm_after_rope;
      EngBufferId gate; /* 0 = none (buffer 0 is the residual) */
    } qkv;
    struct
    {
      uint32_t n_head, n_head_kv, k_width, v_width;
      EngGroupId group;
      uint16_t i_layer_in_group;
      float scale;    /* on q.k, usually 1 / sqrt (k_width) */
      float soft_cap; /* s = cap * tanh (s / cap); 0 = none */
      uint32_t window; /* 0 = none */
      bool causal;
    } attention;
    struct
    {
      EngActKind act;
      float scale;
    } product;
    struct
    {
      EngActKind act;
    } glu;
    struct
    {
      uint32_t n_expert, n_used;
      uint8_t gating;      /* 0 softmax over all, 1 sigmoid, 2 softmax over the chosen */
      bool normalize;      /* chosen weights sum to 1 */
      float scale;         /* on the weights */
      uint32_t n_groups, n_groups_used; /* 0 = no groups */
      uint32_t n_group_best; /* so many of a group's best scores, added up, are the group's: 1 or 2 */
    } route;
    struct
    {
      uint32_t n_expert, n_used;
      EngActKind act;
    } experts;
    struct
    {
      float scale, soft_cap; /* scale 1, soft_cap 0 = none */
    } output;
    struct
    {
      EngPoolKind kind;
      bool normalize;
      EngActKind head_act;
    } pool;
    struct
    {
      uint32_t n_k_head, n_v_head, k_width, v_width;
      uint32_t n_conv; /* taps of the convolution, 1 = its own row alone */
      EngGroupId group;
      uint16_t i_layer_in_group;
      EngBufferId alpha;
      bool grouped; /* value heads stand by key heads */
    } delta;
    struct
    {
      uint32_t n_head;
      uint32_t first; /* number of src that dst's first one comes from */
      float eps;
      EngActKind act;
    } gate;
    struct
    {
      uint32_t n_head, n_plain, n_latent, n_rot;
      EngGroupId group;
      uint16_t i_layer_in_group;
      EngRope rope; /* its n_rot too */
      float eps;
    } latent;
    struct
    {
      uint32_t n_head;
    } heads;
  } u;
} EngStep;

/* Immutable after eng_model_compile (). Arrays belong to the model's arena. */
typedef struct
{
  uint32_t n_embd, n_layers, n_vocab;
  uint32_t n_output;    /* floats of one output row: n_vocab, or the embedding's width */
  uint32_t n_ctx_train; /* positions the model was made for */
  bool causal;          /* false: an encoder; a sequence is one batch */

  const EngStep *steps;
  uint32_t n_steps;
  const EngBufferDesc *buffers;
  uint32_t n_buffers;
  const EngWeightDesc *weights;
  uint32_t n_weights;
  const EngGroupDesc *groups;
  uint32_t n_groups;
  const float *const *rope_tables; /* each float32 [n_rot / 2] of its steps */
  const uint32_t *rope_table_lengths;
  uint32_t n_rope_tables;
} EngProgram;

#ifdef __cplusplus
}
#endif
