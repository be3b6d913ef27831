/* SPDX-License-Identifier: Apache-2.0 */
/* qwen3next (Qwen3-Next-80B-A3B): qwen35moe's layers, but heads of values stand by the head of keys they belong to.
 * Hub: Qwen3NextForCausalLM. */
#include "eng-arch.h"
#include "eng-delta-decoder.h"

void
eng_arch_compile_qwen3next (EngBuilder *b)
{
  eng_build_delta_decoder (b, true);
}
