/* SPDX-License-Identifier: Apache-2.0 */
/* Ids to text, a token at a time, in whole characters only.
 *
 * Invariant: whatever the ids and wherever the stream is cut, the concatenation of all that push and
 * flush return is valid UTF-8, and equals the decoding of all bytes at once with every broken
 * sequence replaced by U+FFFD (maximal subparts). */
#pragma once

#include "eng-buffer.h"
#include "eng-tokenizer.h"

typedef enum
{
  ENG_DETOKENIZE_ANSWER = 0,
  ENG_DETOKENIZE_TEXT_START = 1,  /* the first token begins a text: drop the space that encoding
                                   * put there ("llama", "t5", "bert") */
  ENG_DETOKENIZE_SHOW_CONTROL = 2, /* control tokens appear as their names; otherwise as nothing */
} EngDetokenizeFlags;

/* In the caller's storage, no memory of its own; one owner thread. */
typedef struct
{
  const EngTokenizer *tokenizer; /* borrowed, must outlive this */
  unsigned flags;
  bool at_start;      /* nothing came yet */
  uint8_t n_pending;  /* bytes of a character that is not complete */
  uint8_t pending[4];
} EngDetokenizer;

void eng_detokenizer_init (EngDetokenizer *detokenizer, const EngTokenizer *tokenizer,
                           unsigned flags);
/* Append to @out the characters that @id completes: often none, never half of one.
 * ENG_ERR_ARGUMENT: no such id, nothing happened. ENG_ERR_NO_MEMORY: @out has failed. */
EngStatus eng_detokenizer_push (EngDetokenizer *detokenizer, int32_t id, EngBuffer *out);
/* The end: a character that stayed incomplete becomes one U+FFFD. Ready for init again. */
EngStatus eng_detokenizer_flush (EngDetokenizer *detokenizer, EngBuffer *out);
/* The raw bytes of all @n ids (control tokens as nothing), broken UTF-8 and all. */
EngStatus eng_detokenize_bytes (const EngTokenizer *tokenizer, const int32_t *ids, size_t n,
                                unsigned flags, EngBuffer *out);
