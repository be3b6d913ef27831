/* SPDX-License-Identifier: Apache-2.0 */
/* smollm3: llama with every fourth layer without RoPE. Hub: SmolLM3ForCausalLM; its no_rope_layers
 * has no key in the file, all published models have this one. */
#include "eng-arch.h"

#define PLAIN_EVERY 4u

void
eng_arch_compile_smollm3 (EngBuilder *b)
{
  eng_builder_read_common (b);
  eng_build_plain_decoder (
      b, &(EngPlainDecoder) { .rope = ENG_ROPE_NORM, .plain_every = PLAIN_EVERY });
}
