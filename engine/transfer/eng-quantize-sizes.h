/* SPDX-License-Identifier: Apache-2.0 */
/* How large a model would be as another type, from its header alone. */
#pragma once

#include "eng-gguf.h"
#include "eng-mix.h"

/* Bytes of the file that eng_quantize_file () would make of @gguf as @mix without importance, as far as metadata keeps its
 * length (its numbers may grow or shrink by a few hundred bytes). UINT64_MAX if they do not fit a number. */
uint64_t eng_quantize_predict_bytes (const EngGguf *gguf, const EngMix *mix);
