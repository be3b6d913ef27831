/* SPDX-License-Identifier: Apache-2.0 */
/* nomic-bert: BERT with RoPE over halves instead of learned positions, q, k, v in one tensor, and
 * SwiGLU. Hub: NomicBertModel (nomic-embed-text-v1 and v1.5). */
#include "eng-arch.h"
#include "eng-encoder.h"

void
eng_arch_compile_nomic_bert (EngBuilder *b)
{
  eng_builder_read_common (b);
  const EngHparams *h = &b->h;
  const EngLayerBuffers *l = eng_builder_begin (b);
  const EngAttentionOptions attention = {
    .rope = eng_builder_rope (b, ENG_ROPE_NEOX, h->rope_base, true),
    .fused = true,
    .encoder = true,
  };
  eng_build_encoder_embed (b, false);
  for (uint32_t i = 0; i < h->n_layers && b->status == ENG_OK; i++)
    {
      eng_build_encoder_attention (b, i, &attention);
      eng_build_gate_up (b, i, ENG_ACT_SILU, l->residual, false);
      eng_build_encoder_down (b, i);
    }
  eng_build_pool (b);
}
