/* SPDX-License-Identifier: Apache-2.0 */
/* qwen3moe (Qwen3-30B-A3B …): qwen3 with experts, the chosen weights made to sum to 1.
 * Hub: Qwen3MoeForCausalLM with norm_topk_prob true. */
#include "eng-arch.h"

void
eng_arch_compile_qwen3moe (EngBuilder *b)
{
  eng_builder_read_common (b);
  if (b->h.n_expert == 0)
    eng_builder_contradict (b, "qwen3moe.expert_count", "a model of experts without experts");
  eng_build_plain_decoder (b, &(EngPlainDecoder) { .rope = ENG_ROPE_NEOX,
                                                   .head_norm = ENG_NORM_RMS,
                                                   .normalize_experts = true });
}
