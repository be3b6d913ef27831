/* SPDX-License-Identifier: Apache-2.0 */
/* A vocabulary and a prompt of spans, both from the input: creation accepts or refuses it, encoding
 * gives ids of the vocabulary and no control token from inserted text, decoding gives UTF-8, and what
 * covers all bytes comes back as it was. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eng-arena.h"
#include "eng-detokenizer.h"
#include "eng-pre-tokenizer.h"
#include "eng-utf8.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

/* A promise: unlike an assertion it is held to in every build. */
#define FUZZ_CHECK(cond)                                                                           \
  ((cond) ? (void) 0                                                                               \
          : (fprintf (stderr, "%s:%d: broken promise: %s\n", __FILE__, __LINE__, #cond), abort ()))

#define MAX_TOKENS 512
#define MAX_MERGES 64
#define MAX_SPANS 8

/* The input, read from the front; past its end come zeros. */
typedef struct
{
  const uint8_t *at, *end;
} FuzzInput;

typedef struct
{
  EngString tokens[MAX_TOKENS], merges[MAX_MERGES];
  int32_t types[MAX_TOKENS];
  float scores[MAX_TOKENS];
  char bytes[256][8], merge_texts[MAX_MERGES][600];
  EngTokenizerSpec spec;
  bool covers_bytes;
} Vocab;

static uint8_t
fuzz_byte (FuzzInput *in)
{
  return in->at < in->end ? *in->at++ : 0;
}

/* At most @n bytes, as many as are left. */
static const uint8_t *
fuzz_bytes (FuzzInput *in, size_t n, size_t *n_got)
{
  const uint8_t *from = in->at;
  *n_got = n < (size_t) (in->end - from) ? n : (size_t) (in->end - from);
  in->at += *n_got;
  return from;
}

static void
add_token (Vocab *v, const char *text, size_t n, int32_t type, float score)
{
  if (v->spec.n_tokens == MAX_TOKENS)
    return;
  v->tokens[v->spec.n_tokens] = (EngString) { text, n };
  v->types[v->spec.n_tokens] = type;
  v->scores[v->spec.n_tokens++] = score;
}

/* Tokens for all bytes, in the form of the kind. */
static void
add_byte_tokens (Vocab *v)
{
  unsigned other = 0x100;
  for (unsigned b = 0; b < 256; b++)
    {
      static const char hex[] = "0123456789ABCDEF";
      size_t n = 6;
      if (strcmp (v->spec.model, "gpt2") == 0)
        {
          bool itself = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b != 0xad);
          n = eng_utf8_put (itself ? b : other++, (uint8_t *) v->bytes[b]);
        }
      else
        memcpy (v->bytes[b], (char[]) { '<', '0', 'x', hex[b >> 4], hex[b & 15], '>' }, n);
      add_token (v, v->bytes[b], n,
                 strcmp (v->spec.model, "gpt2") == 0 ? ENG_TOKEN_NORMAL : ENG_TOKEN_BYTE, 0);
    }
}

static void
read_vocab (Vocab *v, FuzzInput *in)
{
  static const char *const models[] = { "gpt2", "llama", "t5", "bert", "gemma4" };
  const char *model = models[fuzz_byte (in) % 5], *pre = NULL;
  size_t n_names = 0;
  while (eng_pre_tokenizer_get_name (n_names))
    n_names++;
  pre = eng_pre_tokenizer_get_name (fuzz_byte (in) % n_names);
  eng_tokenizer_spec_init (&v->spec, model, pre);
  uint8_t flags = fuzz_byte (in);
  v->covers_bytes = flags & 1;
  if (v->covers_bytes)
    add_byte_tokens (v);
  v->spec.ignore_merges ^= (flags & 2) != 0;
  v->spec.add_space_prefix ^= (flags & 4) != 0;
  v->spec.remove_extra_whitespaces = flags & 8;
  v->spec.lowercase ^= (flags & 16) != 0;
  v->spec.strip_after_special = flags & 32;
  for (unsigned n = fuzz_byte (in) % 64; n > 0; n--)
    {
      size_t got;
      int8_t score = (int8_t) fuzz_byte (in);
      uint8_t type_and_length = fuzz_byte (in);
      const uint8_t *text = fuzz_bytes (in, type_and_length >> 3, &got);
      add_token (v, (const char *) text, got, type_and_length & 7, score);
    }
  for (unsigned n = fuzz_byte (in) % MAX_MERGES; n > 0 && v->spec.n_tokens > 0; n--)
    {
      const EngString *a = &v->tokens[(fuzz_byte (in) * 2u) % v->spec.n_tokens];
      const EngString *b = &v->tokens[(fuzz_byte (in) * 2u + 1) % v->spec.n_tokens];
      size_t i = v->spec.n_merges++;
      memcpy (v->merge_texts[i], a->text, a->n_bytes);
      v->merge_texts[i][a->n_bytes] = ' ';
      memcpy (v->merge_texts[i] + a->n_bytes + 1, b->text, b->n_bytes);
      v->merges[i] = (EngString) { v->merge_texts[i], a->n_bytes + 1 + b->n_bytes };
    }
  v->spec.char_map = fuzz_bytes (in, fuzz_byte (in), &v->spec.n_char_map_bytes);
  v->spec.bos = (int8_t) fuzz_byte (in);
  v->spec.eos = (int8_t) fuzz_byte (in);
  v->spec.unk = (int8_t) fuzz_byte (in);
  v->spec.tokens = v->tokens;
  v->spec.types = v->types;
  v->spec.scores = v->scores;
  v->spec.merges = v->merges;
}

static void
check_stream (const EngTokenizer *tok, const EngTokenBuffer *ids, unsigned flags)
{
  EngDetokenizer detok;
  EngBuffer text = { 0 };
  eng_detokenizer_init (&detok, tok, flags);
  for (size_t i = 0; i < ids->n; i++)
    FUZZ_CHECK (eng_detokenizer_push (&detok, ids->ids[i], &text) == ENG_OK);
  FUZZ_CHECK (eng_detokenizer_flush (&detok, &text) == ENG_OK);
  FUZZ_CHECK (text.n_bytes == 0
              || eng_utf8_is_valid ((const uint8_t *) text.data, text.n_bytes));
  eng_buffer_clear (&text);
}

/* Whether decoding must give back just the bytes that went in. */
static bool
is_exact (const Vocab *v)
{
  return v->covers_bytes && !v->spec.strip_after_special && strcmp (v->spec.model, "gpt2") == 0;
}

static void
check_text (const Vocab *v, const EngTokenizer *tok, FuzzInput *in)
{
  EngTextSpan spans[MAX_SPANS];
  size_t n_spans = 0;
  EngTokenBuffer ids = { 0 };
  EngError error;
  bool any_literal = false;
  const uint8_t *from = in->at;
  while (n_spans < MAX_SPANS - 1 && in->at < in->end)
    {
      size_t got, length = *in->at >> 2;
      bool literal = *in->at & 1;
      const uint8_t *text = fuzz_bytes (in, length + 1, &got);
      spans[n_spans++] = (EngTextSpan) { (const char *) text, got, literal };
      any_literal |= literal;
    }
  spans[n_spans++] = (EngTextSpan) { (const char *) in->at, (size_t) (in->end - in->at), false };
  FUZZ_CHECK (eng_tokenizer_encode_spans (tok, spans, n_spans, 0, &ids, &error) == ENG_OK);
  for (size_t i = 0; i < ids.n; i++)
    {
      FUZZ_CHECK (ids.ids[i] >= 0 && (size_t) ids.ids[i] < eng_tokenizer_get_n_tokens (tok));
      FUZZ_CHECK (any_literal || !eng_tokenizer_is_control (tok, ids.ids[i])
                  || (ids.ids[i] == eng_tokenizer_get_unk (tok)
                      && !eng_tokenizer_is_end_of_generation (tok, ids.ids[i])));
    }
  check_stream (tok, &ids, fuzz_byte (in) & 3);
  if (is_exact (v) && !any_literal)
    {
      EngBuffer back = { 0 };
      FUZZ_CHECK (ids.n_dropped_bytes == 0);
      FUZZ_CHECK (eng_detokenize_bytes (tok, ids.ids, ids.n, 0, &back) == ENG_OK);
      FUZZ_CHECK (back.n_bytes == (size_t) (in->end - from)
                  && (back.n_bytes == 0 || memcmp (back.data, from, back.n_bytes) == 0));
      eng_buffer_clear (&back);
    }
  eng_token_buffer_free (&ids);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  FuzzInput in = { data, data + size };
  Vocab *v = calloc (1, sizeof *v);
  EngTokenizer *tok = NULL;
  EngError error;
  if (!v)
    return 0;
  read_vocab (v, &in);
  EngStatus status = eng_tokenizer_new (&v->spec, &tok, &error);
  FUZZ_CHECK ((status == ENG_OK) == (tok != NULL));
  if (status)
    FUZZ_CHECK (error.code == status && error.text[0]);
  else
    check_text (v, tok, &in);
  eng_tokenizer_free (&tok);
  free (v);
  return 0;
}
