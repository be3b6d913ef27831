/* SPDX-License-Identifier: Apache-2.0 */
/* qwen2 (Qwen 1.5, 2, 2.5): llama with biases on q, k and v and RoPE over halves. Hub: Qwen2ForCausalLM. */
#include "eng-arch.h"

void
eng_arch_compile_qwen2 (EngBuilder *b)
{
  eng_builder_read_common (b);
  eng_build_plain_decoder (b, &(EngPlainDecoder) { .rope = ENG_ROPE_NEOX });
}
