/* SPDX-License-Identifier: Apache-2.0 */
/* bert: BERT and its kin with learned positions: MiniLM, bge, and XLM-RoBERTa (bge-m3 and its
 * reranker), whose converters already drop the two unused position rows. Hub: BertModel, XLMRobertaModel. */
#include "eng-arch.h"
#include "eng-encoder.h"

void
eng_arch_compile_bert (EngBuilder *b)
{
  eng_builder_read_common (b);
  const EngHparams *h = &b->h;
  const EngLayerBuffers *l = eng_builder_begin (b);
  const EngAttentionOptions attention = { .encoder = true };
  eng_build_encoder_embed (b, true);
  for (uint32_t i = 0; i < h->n_layers && b->status == ENG_OK; i++)
    {
      eng_build_encoder_attention (b, i, &attention);
      EngStep *up = eng_build_product (b, i, "ffn_up", l->residual, h->n_embd, l->inner, h->n_ff, false);
      up->u.product.act = ENG_ACT_GELU_ERF;
      eng_build_encoder_down (b, i);
    }
  eng_build_pool (b);
}
