/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of EngTokenizer, shared by the files of this folder.
 *
 * Invariants:
 * 1. A token with ENG_TOKEN_IS_CONTROL is in no table that turns plain text into ids: not in
 *    by_piece, not in the piece trie, not the result of a merge. Only the search for special tokens
 *    can give it, and that asks whether the text is literal.
 * 2. Of tokens with equal bytes the lowest id is used.
 * 3. Nothing but the memo `whole` changes after creation, and its bytes only ever change from 0 to
 *    the one value that every thread would compute. */
#pragma once

#include "eng-arena.h"
#include "eng-byte-trie.h"
#include "eng-pre-tokenizer.h"
#include "eng-token-map.h"
#include "eng-tokenizer.h"

typedef enum
{
  ENG_KIND_BPE_BYTES, /* "gpt2" */
  ENG_KIND_BPE_CHARS, /* "gemma4" */
  ENG_KIND_SPM,       /* "llama" */
  ENG_KIND_UNIGRAM,   /* "t5" */
  ENG_KIND_WORDPIECE, /* "bert" */
} EngTokenizerKind;

enum
{
  ENG_TOKEN_IS_CONTROL = 1, /* see eng_tokenizer_is_control */
  ENG_TOKEN_IS_END = 2,
  ENG_TOKEN_STRIPS_AFTER = 4, /* white space behind it belongs to it */
};

/* What merging two neighbours gives; an entry of an open hash table keyed by both ids. */
typedef struct
{
  uint64_t pair; /* left << 32 | right; UINT64_MAX = free */
  uint32_t rank;
  int32_t id;
} EngMerge;

struct EngTokenizer
{
  EngArena arena;
  EngTokenizerKind kind;
  const char *model;
  const EngPreTokenizer *pre;
  size_t n_tokens;
  EngString *names;  /* as in the file */
  EngString *pieces; /* the bytes they stand for */
  uint8_t *types;    /* EngTokenType */
  uint8_t *flags;
  float *scores; /* NULL if the file has none */
  EngTokenMap by_name, by_piece;
  EngByteTrie specials; /* by name: control, unknown and added tokens */
  EngByteTrie words;    /* by piece: unigram and WordPiece */
  int32_t byte_ids[256]; /* BPE_BYTES: the byte's own token; SPM, BPE_CHARS: <0xXX> */
  EngMerge *merges;
  uint64_t merges_mask;
  _Atomic uint8_t *whole; /* [n_tokens] 0 = not known, 1 = its text merges to it, 2 = does not */
  size_t max_piece_bytes;
  bool inner_space; /* some piece has a space behind another character */
  float min_score;
  const uint32_t *char_map; /* double array of darts-clone */
  uint32_t n_char_map;
  const char *char_map_text;
  size_t n_char_map_text;
  int32_t bos, eos, unk, sep, pad;
  int32_t text_unk; /* what text without a token becomes: unk, unless that means something else */
  int32_t *end_ids;
  size_t n_end_ids;
  bool add_bos, add_eos, add_sep;
  bool add_space_prefix, remove_extra_whitespaces, lowercase, strip_accents, ignore_merges;
};

/* eng-special-tokens.c: flags from types and well-known texts, then the list of end ids. */
void eng_special_tokens_mark_control (EngTokenizer *tok);
EngStatus eng_special_tokens_mark_ends (EngTokenizer *tok, const EngTokenizerSpec *spec,
                                        EngError *error);

/* Growing memory of one encode call. */
typedef struct
{
  uint32_t start, n_bytes;
  int32_t id;
  uint32_t prev, next;
} EngSymbol;

typedef struct
{
  uint64_t key;   /* priority << 32 | index of the left symbol: the smallest goes first */
  uint64_t check; /* lengths of both symbols when the entry was made: others = out of date */
  int32_t id;
} EngCandidate;

typedef struct
{
  double score;     /* of the best cut of the text up to here */
  uint32_t n_bytes; /* length of the last token in it, 0 = no cut ends here */
  int32_t id;
} EngBestPath;

typedef struct
{
  EngSymbol *symbols;
  size_t n_symbols, symbols_capacity;
  EngCandidate *heap;
  size_t n_heap, heap_capacity;
  uint8_t *text; /* normalized text */
  size_t n_text, text_capacity;
  EngBestPath *path; /* unigram */
  size_t path_capacity;
} EngScratch;

void eng_scratch_free (EngScratch *scratch);
/* Room for @n elements of @size bytes in *p, doubling. False = no memory. */
bool eng_scratch_reserve (void **p, size_t *capacity, size_t n, size_t size);
/* Append to scratch->text. False = no memory. */
bool eng_scratch_put (EngScratch *scratch, const void *bytes, size_t n);

/* Byte-pair and SentencePiece merging (eng-merge.c): @priority lower = earlier. */
typedef bool (*EngPairFunc) (const EngTokenizer *tok, const uint8_t *text, const EngSymbol *left,
                             const EngSymbol *right, uint32_t *priority, int32_t *id);
bool eng_scratch_add_symbol (EngScratch *scratch, uint32_t start, uint32_t n_bytes, int32_t id);
/* Merges scratch->symbols until nothing is left to merge; dead symbols get n_bytes 0. */
bool eng_merge_symbols (const EngTokenizer *tok, EngScratch *scratch, const uint8_t *text,
                        EngPairFunc pair);

/* Each appends the ids of a text without special tokens. */
typedef struct
{
  const EngTokenizer *tok;
  EngScratch scratch;
  EngTokenBuffer *out;
  bool at_start; /* begins a text or follows a special token */
} EngEncoder;

EngStatus eng_bpe_encode (EngEncoder *enc, const uint8_t *text, size_t n);
EngStatus eng_spm_encode (EngEncoder *enc, const uint8_t *text, size_t n);
/* Into enc->scratch.text: the text with its spaces in one form, and the space in front that the model
 * was trained with. False = no memory. */
bool eng_spm_normalize (EngEncoder *enc, const uint8_t *text, size_t n);
EngStatus eng_unigram_encode (EngEncoder *enc, const uint8_t *text, size_t n);
EngStatus eng_wordpiece_encode (EngEncoder *enc, const uint8_t *text, size_t n);

EngStatus eng_encoder_emit (EngEncoder *enc, int32_t id);
/* A character without a token: its byte tokens, else unknown, else counted as dropped. */
EngStatus eng_encoder_emit_bytes (EngEncoder *enc, const uint8_t *bytes, size_t n);
/* Emit what merging left of scratch->symbols. */
EngStatus eng_encoder_emit_symbols (EngEncoder *enc, const uint8_t *text);

EngStatus eng_bpe_build (EngTokenizer *tok, const EngTokenizerSpec *spec, EngError *error);
EngStatus eng_unigram_build (EngTokenizer *tok, const EngTokenizerSpec *spec, EngError *error);

/* The byte that GPT-2's printable alphabet writes as @cp, or -1. */
int eng_bpe_byte_of (uint32_t cp);

/* Quiet shorthand: fill @error for memory that ran out. */
EngStatus eng_tokenizer_no_memory (EngError *error);
