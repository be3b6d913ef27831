/* SPDX-License-Identifier: Apache-2.0 */
/* The tokenizer that a GGUF file carries. */
#pragma once

#include "eng-gguf.h"
#include "eng-tokenizer.h"

/* Everything is copied: @gguf may be closed afterwards. Reads tokenizer.ggml.* and, for a quirk of
 * one model family, general.name.
 *
 * ENG_ERR_NOT_FOUND: the file has no vocabulary (field names the key).
 * ENG_ERR_FORMAT: a key has the wrong type, arrays differ in length, an id is outside the
 * vocabulary, a merge names no token: field is the key, offset its value where that helps.
 * ENG_ERR_UNSUPPORTED, ENG_ERR_LIMIT, ENG_ERR_NO_MEMORY as for eng_tokenizer_new. */
EngStatus eng_tokenizer_from_gguf (const EngGguf *gguf, EngTokenizer **out, EngError *error);
