/* SPDX-License-Identifier: Apache-2.0 */
/* Text to token ids and back.
 *
 * An EngTokenizer is immutable once created and may be used from any number of threads at once. It
 * copies what it needs, so the arrays of the spec (or the GGUF) may go away after creation.
 *
 * Kinds, named as in `tokenizer.ggml.model`:
 *   "gpt2"   byte-level byte-pair encoding; needs merges and the name of a pre-tokenizer
 *   "gemma4" byte-pair encoding on characters, spaces written as U+2581, byte fallback
 *   "llama"  SentencePiece BPE: pairs merge by the score of the token they give, byte fallback
 *   "t5"     SentencePiece unigram: the best-scoring cut (Viterbi), with its character map
 *   "bert"   WordPiece with BERT's normalizer
 * Key names and token types: GGUF specification, section "tokenizer" of ggml's docs/gguf.md.
 *
 * Text is bytes: broken UTF-8 is accepted everywhere and, for the kinds that have tokens for bytes,
 * comes back exactly. Text is not normalized to NFC (the tokenizer files of a few models ask for it;
 * a byte-exact round trip is worth more, and the reference runtimes for GGUF do not either).
 *
 * Control tokens (T10 in the project's reliability rules): text can become one only where the caller
 * says the text is a template's own literal. USER_DEFINED tokens are ordinary added words and are
 * found everywhere, unless their text is a known turn marker: then they count as control. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "eng-status.h"

typedef struct EngTokenizer EngTokenizer;

#define ENG_TOKEN_NONE (-1)
/* Limits, named in the error when they are hit. */
#define ENG_TOKENIZER_MAX_TOKENS 16777216u         /* tokens of a vocabulary */
#define ENG_TOKENIZER_MAX_TOKEN_BYTES 4096u        /* bytes of one token */
#define ENG_TOKENIZER_MAX_TEXT_BYTES (1u << 30)    /* bytes of one text */

/* Token types as GGUF stores them; others are read as NORMAL. */
typedef enum
{
  ENG_TOKEN_NORMAL = 1,
  ENG_TOKEN_UNKNOWN = 2,
  ENG_TOKEN_CONTROL = 3,
  ENG_TOKEN_USER_DEFINED = 4,
  ENG_TOKEN_UNUSED = 5,
  ENG_TOKEN_BYTE = 6,
} EngTokenType;

typedef struct
{
  const char *text; /* not NUL-terminated; any bytes */
  size_t n_bytes;
} EngString;

/* What a tokenizer is made of. Zero-initialize, then eng_tokenizer_spec_init. */
typedef struct
{
  const char *model;         /* kind, see above */
  const char *pre_tokenizer; /* for "gpt2": a name of eng_pre_tokenizer_find; NULL = "default" */
  const EngString *tokens;   /* [n_tokens], index = id */
  size_t n_tokens;
  const int32_t *types; /* [n_tokens] EngTokenType, NULL = all NORMAL */
  const float *scores;  /* [n_tokens], needed by "llama" and "t5"; NULL otherwise */
  const EngString *merges; /* [n_merges] "left right", best first; "gpt2" and "gemma4" */
  size_t n_merges;
  const uint8_t *char_map; /* "t5": SentencePiece precompiled_charsmap, NULL = none */
  size_t n_char_map_bytes;
  /* Special ids, ENG_TOKEN_NONE = none. Out of range is an error that names the field. */
  int32_t bos, eos, eot, eom, unk, sep, pad, mask;
  const int32_t *end_ids; /* [n_end_ids] further ids that end a generation */
  size_t n_end_ids;
  bool add_bos, add_eos, add_sep;
  bool add_space_prefix;         /* "llama", "t5": a text begins with a space */
  bool remove_extra_whitespaces; /* "t5": runs of spaces become one */
  bool lowercase, strip_accents; /* "bert" */
  bool ignore_merges; /* "gpt2": a piece that is a token is that token, whatever the merges say */
  bool strip_after_special; /* white space after a special token but BOS belongs to it (Phi 3) */
} EngTokenizerSpec;

/* The defaults of @model (and @pre_tokenizer, may be NULL): no ids, the flags that files leave out.
 * An unknown kind gets plain defaults; eng_tokenizer_new refuses it. */
void eng_tokenizer_spec_init (EngTokenizerSpec *spec, const char *model, const char *pre_tokenizer);

/* ENG_ERR_UNSUPPORTED: kind or pre-tokenizer is not ours (text names it).
 * ENG_ERR_FORMAT: the arrays contradict each other; field is the GGUF key, text has the index.
 * ENG_ERR_LIMIT: one of the limits above. ENG_ERR_NO_MEMORY. */
EngStatus eng_tokenizer_new (const EngTokenizerSpec *spec, EngTokenizer **out, EngError *error);
void eng_tokenizer_free (EngTokenizer **tokenizer);

/* --- text to ids --- */

/* Zero-initialize; grows as needed, keeps its memory when cleared. One owner thread. */
typedef struct
{
  int32_t *ids;
  size_t n, capacity;
  /* Input bytes for which the vocabulary has neither a token nor an unknown token: dropped, counted.
   * 0 for every vocabulary that covers all bytes. */
  size_t n_dropped_bytes;
} EngTokenBuffer;

void eng_token_buffer_clear (EngTokenBuffer *buffer);
void eng_token_buffer_free (EngTokenBuffer *buffer);
/* ENG_ERR_NO_MEMORY. */
EngStatus eng_token_buffer_append (EngTokenBuffer *buffer, const int32_t *ids, size_t n);

typedef enum
{
  ENG_ENCODE_PLAIN = 0,
  ENG_ENCODE_PARSE_SPECIAL = 1, /* text that spells a control token becomes it: literals only */
  ENG_ENCODE_CONTINUE = 2,      /* not the start of a text: no space prefix ("llama", "t5") */
} EngEncodeFlags;

/* Append the ids of @n_bytes of @text to @out. Adds no BOS, EOS or SEP: see the ids below.
 * Time is O(n log n), for byte-pair kinds linear over ordinary text.
 * ENG_ERR_LIMIT, ENG_ERR_NO_MEMORY; @out then holds what it held before. */
EngStatus eng_tokenizer_encode (const EngTokenizer *tokenizer, const char *text, size_t n_bytes,
                                unsigned flags, EngTokenBuffer *out, EngError *error);

/* A run of a rendered prompt. */
typedef struct
{
  const char *text; /* may be NULL when n_bytes is 0 */
  size_t n_bytes;
  bool is_literal; /* written by the template's author; false = from a person, document or tool */
} EngTextSpan;

/* The same for a prompt put together from spans: the ids are those of the whole text, as the
 * reference tokenizes it, except that a control token is recognized only where all its bytes are
 * literal. Text on both sides of a span's border still merges into one token. */
EngStatus eng_tokenizer_encode_spans (const EngTokenizer *tokenizer, const EngTextSpan *spans,
                                      size_t n_spans, unsigned flags, EngTokenBuffer *out,
                                      EngError *error);

/* --- ids --- */

size_t eng_tokenizer_get_n_tokens (const EngTokenizer *tokenizer);
/* "gpt2", "llama", … */
const char *eng_tokenizer_get_model (const EngTokenizer *tokenizer);
/* The bytes that @id stands for, borrowed; they may be half a character. "llama", "t5" and "bert"
 * write a word's leading space as ' '. A control or unknown token gives its name, as templates
 * write it. False for an id out of range. */
bool eng_tokenizer_get_piece (const EngTokenizer *tokenizer, int32_t id, const char **text,
                              size_t *n_bytes);
EngTokenType eng_tokenizer_get_type (const EngTokenizer *tokenizer, int32_t id);
float eng_tokenizer_get_score (const EngTokenizer *tokenizer, int32_t id);
/* The token whose name is exactly @text (as stored in the file), or ENG_TOKEN_NONE. */
int32_t eng_tokenizer_find (const EngTokenizer *tokenizer, const char *text, size_t n_bytes);
/* Control and unknown tokens, and added tokens whose text is a known turn marker: never shown,
 * never made from inserted text. False for an id out of range. */
bool eng_tokenizer_is_control (const EngTokenizer *tokenizer, int32_t id);
/* The id ends the model's turn: eos, eot, eom, the spec's end_ids, and control tokens whose text is
 * a known end of turn. */
bool eng_tokenizer_is_end_of_generation (const EngTokenizer *tokenizer, int32_t id);
/* All of them, ascending; borrowed. */
const int32_t *eng_tokenizer_get_end_ids (const EngTokenizer *tokenizer, size_t *n);

/* ENG_TOKEN_NONE where the file has none. */
int32_t eng_tokenizer_get_bos (const EngTokenizer *tokenizer);
int32_t eng_tokenizer_get_eos (const EngTokenizer *tokenizer);
int32_t eng_tokenizer_get_sep (const EngTokenizer *tokenizer);
int32_t eng_tokenizer_get_pad (const EngTokenizer *tokenizer);
int32_t eng_tokenizer_get_unk (const EngTokenizer *tokenizer);
/* Whether a raw prompt wants BOS in front, EOS or SEP behind. A caller adds BOS only if the first id
 * is not BOS already (templates often write it themselves). */
bool eng_tokenizer_get_add_bos (const EngTokenizer *tokenizer);
bool eng_tokenizer_get_add_eos (const EngTokenizer *tokenizer);
bool eng_tokenizer_get_add_sep (const EngTokenizer *tokenizer);
