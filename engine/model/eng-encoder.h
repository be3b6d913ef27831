/* SPDX-License-Identifier: Apache-2.0 */
/* What the encoders share: norms behind each branch, whole sequences at once, one vector at the end. */
#pragma once

#include "eng-builder.h"

/* residual = norm (token [+ position] + type embedding). */
void eng_build_encoder_embed (EngBuilder *b, bool with_positions);
/* residual = norm (residual + attention (residual)). */
void eng_build_encoder_attention (EngBuilder *b, uint32_t layer,
                                  const EngAttentionOptions *attention);
/* residual = norm (residual + down (inner)). */
void eng_build_encoder_down (EngBuilder *b, uint32_t layer);
/* The pooling that the file asks for, with its ranking head if it has one. */
void eng_build_pool (EngBuilder *b);
