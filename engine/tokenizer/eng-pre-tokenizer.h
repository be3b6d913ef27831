/* SPDX-License-Identifier: Apache-2.0 */
/* How byte-pair tokenizers cut text into pieces before merging. Models publish these cuts as regular
 * expressions; here each is a hand-written scanner that gives the same pieces in linear time, with
 * neither recursion nor backtracking over more than one run of characters. The published pattern
 * stands above each scanner in eng-pre-tokenizer.c. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "eng-status.h"

typedef struct EngPreTokenizer EngPreTokenizer;

/* By the name in `tokenizer.ggml.pre`; NULL if it is none we know. */
const EngPreTokenizer *eng_pre_tokenizer_find (const char *name);
/* Names in a fixed order, for messages and tests; NULL past the end. */
const char *eng_pre_tokenizer_get_name (size_t i);

/* Whether models with this cut take a piece that is a token as it is (tokenizer.json says
 * "ignore_merges": true), and whether they want BOS when the file does not say. */
bool eng_pre_tokenizer_get_ignore_merges (const EngPreTokenizer *pre);
bool eng_pre_tokenizer_get_add_bos (const EngPreTokenizer *pre);

/* Walks the pieces of a text; lives in the caller's storage. One owner thread. */
#define ENG_PRE_TOKENIZER_MAX_STAGES 7
typedef struct
{
  const EngPreTokenizer *pre;
  const uint8_t *text;
  struct
  {
    size_t pos, end;   /* the part of the text this stage has still to cut */
    size_t match_end; /* where a match ends that was found behind a gap given out first */
  } stage[ENG_PRE_TOKENIZER_MAX_STAGES];
} EngPieceIter;

void eng_piece_iter_init (EngPieceIter *iter, const EngPreTokenizer *pre, const uint8_t *text,
                          size_t n_bytes);
/* The next piece, [*begin, *end), never empty; pieces follow each other without a gap. */
bool eng_piece_iter_next (EngPieceIter *iter, size_t *begin, size_t *end);
