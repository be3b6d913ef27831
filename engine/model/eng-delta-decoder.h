/* SPDX-License-Identifier: Apache-2.0 */
/* What Qwen3-Next and Qwen3.5 share: three layers with a recurrent state, a gated delta rule behind a short convolution,
 * for each one with attention, whose output is gated too; then a feed-forward block or a mixture with a shared expert
 * behind a gate. RMS norms as 1 + w (converters add the 1) but the one behind the delta rule; RoPE over halves of the
 * first rope.dimension_count numbers of each head. */
#pragma once

#include "eng-builder.h"

/* Everything from the embedding to the logits. @grouped: heads of values stand by the key head they belong to, and ssm_ba
 * holds the products of ssm_beta and ssm_alpha in turn (u.delta.grouped of eng-program.h). */
void eng_build_delta_decoder (EngBuilder *b, bool grouped);
