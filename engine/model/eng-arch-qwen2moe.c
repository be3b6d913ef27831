/* SPDX-License-Identifier: Apache-2.0 */
/* qwen2moe (Qwen1.5-MoE, Qwen2-57B-A14B): experts whose softmax weights are used as they are, and one
 * shared expert behind a sigmoid. Hub: Qwen2MoeForCausalLM with norm_topk_prob false. */
#include "eng-arch.h"

void
eng_arch_compile_qwen2moe (EngBuilder *b)
{
  eng_builder_read_common (b);
  /* Early files leave the shared expert's width to the plain one's. */
  if (b->h.n_ff_shared == 0 && eng_builder_has_tensor (b, 0, "ffn_up_shexp.weight"))
    b->h.n_ff_shared = b->h.n_ff;
  if (b->h.n_expert == 0)
    eng_builder_contradict (b, "qwen2moe.expert_count", "a model of experts without experts");
  eng_build_plain_decoder (b, &(EngPlainDecoder) { .rope = ENG_ROPE_NEOX });
}
