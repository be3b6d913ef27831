/* SPDX-License-Identifier: Apache-2.0 */
/* gemma3 (text): gemma2 without score caps, with RMS norms on the heads of q and k, and five layers
 * with a window (and RoPE of their own base, unscaled) for each one without. Hub: Gemma3ForCausalLM. */
#include <math.h>

#include "eng-arch.h"

/* As in gemma2: the 27B model's scalar is width / heads, the others' the head's width. */
#define LAYERS_OF_27B 62u

void
eng_arch_compile_gemma3 (EngBuilder *b)
{
  eng_builder_read_common (b);
  const EngHparams *h = &b->h;
  eng_builder_begin (b);
  uint32_t pattern = eng_builder_get_u32 (b, "attention.sliding_window_pattern", 6, 1, 1024);
  float local_base = eng_builder_get_f32 (b, "rope.freq_base_swa", 10000.0f, 1.0f, 1e12f);
  float final_cap = eng_builder_get_f32 (b, "final_logit_softcapping", 0.0f, 0.0f, 1e6f);
  EngRope local = eng_builder_rope (b, ENG_ROPE_NEOX, local_base, false);
  EngRope global = eng_builder_rope (b, ENG_ROPE_NEOX, h->rope_base, true);
  EngAttentionOptions attention = {
    .head_norm = ENG_NORM_RMS,
    .scale = h->n_layers == LAYERS_OF_27B
                 ? (float) (1.0 / sqrt ((double) h->n_embd / (double) h->n_head))
                 : 0.0f,
  };
  eng_build_embed (b, sqrtf ((float) h->n_embd));
  for (uint32_t i = 0; i < h->n_layers && b->status == ENG_OK; i++)
    {
      bool is_local = h->window > 0 && (i + 1) % pattern != 0;
      attention.window = is_local ? h->window : 0;
      attention.rope = is_local ? local : global;
      eng_build_sandwich_layer (b, i, &attention, ENG_ACT_GELU_TANH, false);
    }
  eng_build_output (b, ENG_NORM_RMS, 1.0f, final_cap);
}
