/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-encoder.h"

/* Rows of a lookup table of any height. */
static EngWeightId
bind_table (EngBuilder *b, const char *name, uint64_t least_rows)
{
  const EngGgufTensor *t = b->status == ENG_OK ? eng_gguf_find_tensor (b->file, name) : NULL;
  uint64_t n_rows = t ? t->dims[1] : least_rows;
  if (t && n_rows < least_rows)
    eng_builder_contradict (b, name, "%llu rows, where %llu positions are promised",
                            (unsigned long long) n_rows, (unsigned long long) least_rows);
  return eng_builder_lookup (b, name, b->h.n_embd, n_rows);
}

void
eng_build_encoder_embed (EngBuilder *b, bool with_positions)
{
  const EngLayerBuffers *l = &b->buffers_of_layer;
  EngStep *step = eng_builder_step (b, ENG_STEP_EMBED, ENG_LAYER_NONE, ENG_BUFFER_NONE, l->residual);
  step->w[0] = eng_builder_lookup (b, "token_embd.weight", b->h.n_embd, b->h.n_vocab);
  if (with_positions)
    step->w[1] = bind_table (b, "position_embd.weight", b->h.n_ctx_train);
  if (eng_builder_has_tensor (b, ENG_LAYER_NONE, "token_types.weight"))
    {
      /* Stored as a vector where there is one type only. */
      const EngGgufTensor *t = eng_gguf_find_tensor (b->file, "token_types.weight");
      step->w[2] = t->n_dims == 1 ? eng_builder_lookup (b, t->name, b->h.n_embd, 1)
                                  : bind_table (b, t->name, 1);
    }
  step->u.embed.scale = 1.0f;
  eng_build_norm (b, ENG_LAYER_NONE, ENG_NORM_LAYER, l->residual, l->residual, "token_embd_norm");
}

void
eng_build_encoder_attention (EngBuilder *b, uint32_t layer, const EngAttentionOptions *attention)
{
  const EngLayerBuffers *l = &b->buffers_of_layer;
  eng_build_attention (b, layer, attention, l->residual);
  eng_build_product (b, layer, "attn_output", l->attended, b->h.n_head * b->h.v_width, l->residual,
                     b->h.n_embd, true);
  eng_build_norm (b, layer, ENG_NORM_LAYER, l->residual, l->residual, "attn_output_norm");
}

void
eng_build_encoder_down (EngBuilder *b, uint32_t layer)
{
  const EngLayerBuffers *l = &b->buffers_of_layer;
  eng_build_product (b, layer, "ffn_down", l->inner, b->h.n_ff, l->residual, b->h.n_embd, true);
  eng_build_norm (b, layer, ENG_NORM_LAYER, l->residual, l->residual, "layer_output_norm");
}

/* Numbers of <arch>.pooling_type in GGUF files. */
enum
{
  POOLING_NONE,
  POOLING_MEAN,
  POOLING_CLS,
  POOLING_LAST,
  POOLING_RANK,
};

/* A ranking head: [dense with tanh,] then one score. */
static void
bind_ranking_head (EngBuilder *b, EngStep *step)
{
  uint32_t d = b->h.n_embd;
  bool two = eng_builder_has_tensor (b, ENG_LAYER_NONE, "cls.output.weight");
  if (two)
    {
      step->w[0] = eng_builder_product (b, ENG_LAYER_NONE, "cls.weight", d, d);
      step->w[1] = eng_builder_vector_if (b, ENG_LAYER_NONE, "cls.bias", d);
      step->u.pool.head_act = ENG_ACT_TANH;
    }
  step->w[2] = eng_builder_product (b, ENG_LAYER_NONE, two ? "cls.output.weight" : "cls.weight", d, 1);
  step->w[3]
      = eng_builder_vector_if (b, ENG_LAYER_NONE, two ? "cls.output.bias" : "cls.bias", 1);
  step->u.pool.kind = ENG_POOL_RANK;
  step->u.pool.normalize = false;
}

/* What sentence-transformers puts behind the mean: two products without bias or activation. */
static void
bind_dense (EngBuilder *b, EngStep *step)
{
  uint64_t n_inner = eng_gguf_find_tensor (b->file, "dense_2.weight")->dims[1];
  const EngGgufTensor *last = eng_gguf_find_tensor (b->file, "dense_3.weight");
  step->w[0] = eng_builder_product (b, ENG_LAYER_NONE, "dense_2.weight", b->h.n_embd, n_inner);
  step->w[2] = eng_builder_product (b, ENG_LAYER_NONE, "dense_3.weight", n_inner, last ? last->dims[1] : b->h.n_embd);
  step->u.pool.head_act = ENG_ACT_NONE;
}

void
eng_build_pool (EngBuilder *b)
{
  static const EngPoolKind kinds[]
      = { ENG_POOL_MEAN, ENG_POOL_MEAN, ENG_POOL_CLS, ENG_POOL_LAST, ENG_POOL_RANK };
  uint32_t type = eng_builder_get_u32 (b, "pooling_type", POOLING_MEAN, POOLING_NONE, POOLING_RANK);
  EngStep *step = eng_builder_step (b, ENG_STEP_POOL, ENG_LAYER_NONE,
                                    b->buffers_of_layer.residual, ENG_BUFFER_NONE);
  step->u.pool.kind = kinds[type];
  step->u.pool.normalize = true;
  if (type == POOLING_RANK)
    bind_ranking_head (b, step);
  else if (eng_builder_has_tensor (b, ENG_LAYER_NONE, "dense_2.weight"))
    bind_dense (b, step);
}
