/* SPDX-License-Identifier: Apache-2.0 */
/* phi3 (Phi-3, Phi-3.5, Phi-4): q, k, v in one tensor, gate and up in another; LongRoPE in the
 * 128k ones. Hub: Phi3ForCausalLM. */
#include "eng-arch.h"

void
eng_arch_compile_phi3 (EngBuilder *b)
{
  eng_builder_read_common (b);
  eng_build_plain_decoder (
      b, &(EngPlainDecoder) { .rope = ENG_ROPE_NEOX, .fused_qkv = true, .fused_gate_up = true });
}
