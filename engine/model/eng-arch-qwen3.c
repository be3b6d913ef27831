/* SPDX-License-Identifier: Apache-2.0 */
/* qwen3: no biases, RMS norm over each head of q and k before RoPE. Hub: Qwen3ForCausalLM. */
#include "eng-arch.h"

void
eng_arch_compile_qwen3 (EngBuilder *b)
{
  eng_builder_read_common (b);
  eng_build_plain_decoder (
      b, &(EngPlainDecoder) { .rope = ENG_ROPE_NEOX, .head_norm = ENG_NORM_RMS });
}
