/* SPDX-License-Identifier: Apache-2.0 */
/* gemma2: embeddings times sqrt (width), norms before and behind each branch (stored as 1 + w by converters),
 * GELU, every other layer with a window (the first one has it), soft caps on scores and logits.
 * Hub: Gemma2ForCausalLM. */
#include <math.h>

#include "eng-arch.h"

/* query_pre_attn_scalar is not in the file. It is the head's width in all published models but the
 * largest, whose 46 layers give it away: there it is width / heads. */
#define LAYERS_OF_27B 46u

void
eng_arch_compile_gemma2 (EngBuilder *b)
{
  eng_builder_read_common (b);
  const EngHparams *h = &b->h;
  eng_builder_begin (b);
  float final_cap = eng_builder_get_f32 (b, "final_logit_softcapping", 30.0f, 0.0f, 1e6f);
  EngAttentionOptions attention = {
    .rope = eng_builder_rope (b, ENG_ROPE_NEOX, h->rope_base, true),
    .soft_cap = eng_builder_get_f32 (b, "attn_logit_softcapping", 50.0f, 0.0f, 1e6f),
    .scale = h->n_layers == LAYERS_OF_27B
                 ? (float) (1.0 / sqrt ((double) h->n_embd / (double) h->n_head))
                 : 0.0f,
  };
  eng_build_embed (b, sqrtf ((float) h->n_embd));
  for (uint32_t i = 0; i < h->n_layers && b->status == ENG_OK; i++)
    {
      attention.window = i % 2 == 0 ? h->window : 0;
      eng_build_sandwich_layer (b, i, &attention, ENG_ACT_GELU_TANH, false);
    }
  eng_build_output (b, ENG_NORM_RMS, 1.0f, final_cap);
}
