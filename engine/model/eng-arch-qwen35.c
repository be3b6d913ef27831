/* SPDX-License-Identifier: Apache-2.0 */
/* qwen35 (Qwen3.5, the text part) and qwen35moe (its mixtures). RoPE's sections for pictures turn by the same position in
 * text. Heads of values stand so that head h belongs to head h % n of the keys.
 * Hub: Qwen3_5ForConditionalGeneration, Qwen3_5MoeForConditionalGeneration. */
#include "eng-arch.h"
#include "eng-delta-decoder.h"

void
eng_arch_compile_qwen35 (EngBuilder *b)
{
  eng_build_delta_decoder (b, false);
}
