/* SPDX-License-Identifier: Apache-2.0 */
/* gemma-embedding (EmbeddingGemma): gemma3's layers without the causal mask. A layer with a window sees half of it to
 * either side. The mean of all rows goes through two products (sentence-transformers' 2_Dense and 3_Dense) where the file
 * has them. Hub: Gemma3TextModel with use_bidirectional_attention. */
#include <math.h>

#include "eng-arch.h"
#include "eng-encoder.h"

void
eng_arch_compile_gemma_embedding (EngBuilder *b)
{
  eng_builder_read_common (b);
  const EngHparams *h = &b->h;
  const EngLayerBuffers *l = eng_builder_begin (b);
  uint32_t pattern = eng_builder_get_u32 (b, "attention.sliding_window_pattern", 6, 1, 1024);
  float local_base = eng_builder_get_f32 (b, "rope.freq_base_swa", 10000.0f, 1.0f, 1e12f);
  EngRope local = eng_builder_rope (b, ENG_ROPE_NEOX, local_base, false);
  EngRope global = eng_builder_rope (b, ENG_ROPE_NEOX, h->rope_base, true);
  EngAttentionOptions attention = { .head_norm = ENG_NORM_RMS, .encoder = true };
  eng_build_embed (b, sqrtf ((float) h->n_embd));
  for (uint32_t i = 0; i < h->n_layers && b->status == ENG_OK; i++)
    {
      bool is_local = h->window > 0 && (i + 1) % pattern != 0;
      attention.window = is_local ? h->window : 0;
      attention.rope = is_local ? local : global;
      eng_build_sandwich_layer (b, i, &attention, ENG_ACT_GELU_TANH, false);
    }
  eng_build_norm (b, ENG_LAYER_NONE, ENG_NORM_RMS, l->residual, l->residual, "output_norm");
  eng_build_pool (b);
}
