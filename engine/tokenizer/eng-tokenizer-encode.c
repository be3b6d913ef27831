/* SPDX-License-Identifier: Apache-2.0 */
/* Text to ids: find special tokens, hand the text between them to the kind's encoder.
 *
 * Special tokens are found as the reference finds added tokens: from left to right, the longest of
 * those that begin at a place. A control token counts only inside a literal (invariant 1 of
 * eng-tokenizer-private.h). */
#include <string.h>

#include "eng-error.h"
#include "eng-tokenizer-private.h"

/* Like the reference's strip of what follows a special token. */
#define ASCII_SPACE " \t\n\v\f\r"

/* The whole text with the stretches of it that are literal. */
typedef struct
{
  const uint8_t *text;
  size_t n_bytes;
  const EngTextSpan *spans;
  size_t n_spans;
  size_t i_span;   /* span that holds the current place */
  size_t span_end; /* end of the stretch of equal spans around it */
  bool is_literal;
} Source;

void
eng_token_buffer_clear (EngTokenBuffer *buffer)
{
  buffer->n = 0;
  buffer->n_dropped_bytes = 0;
}

void
eng_token_buffer_free (EngTokenBuffer *buffer)
{
  eng_free (buffer->ids);
  *buffer = (EngTokenBuffer) { 0 };
}

EngStatus
eng_token_buffer_append (EngTokenBuffer *buffer, const int32_t *ids, size_t n)
{
  if (n > SIZE_MAX - buffer->n
      || !eng_scratch_reserve ((void **) &buffer->ids, &buffer->capacity, buffer->n + n,
                               sizeof *buffer->ids))
    return ENG_ERR_NO_MEMORY;
  if (n)
    memcpy (buffer->ids + buffer->n, ids, n * sizeof *ids);
  buffer->n += n;
  return ENG_OK;
}

EngStatus
eng_encoder_emit (EngEncoder *enc, int32_t id)
{
  return eng_token_buffer_append (enc->out, &id, 1);
}

EngStatus
eng_encoder_emit_bytes (EngEncoder *enc, const uint8_t *bytes, size_t n)
{
  const EngTokenizer *tok = enc->tok;
  bool all = true;
  for (size_t i = 0; i < n; i++)
    all &= tok->byte_ids[bytes[i]] >= 0;
  if (!all && tok->text_unk >= 0)
    return eng_encoder_emit (enc, tok->text_unk);
  for (size_t i = 0; i < n; i++)
    {
      int32_t id = tok->byte_ids[bytes[i]];
      if (id < 0)
        enc->out->n_dropped_bytes++;
      else
        {
          EngStatus status = eng_encoder_emit (enc, id);
          if (status)
            return status;
        }
    }
  return ENG_OK;
}

EngStatus
eng_encoder_emit_symbols (EngEncoder *enc, const uint8_t *text)
{
  for (size_t i = 0; i < enc->scratch.n_symbols; i++)
    {
      const EngSymbol *s = &enc->scratch.symbols[i];
      if (s->n_bytes == 0)
        continue;
      EngStatus status = s->id >= 0 ? eng_encoder_emit (enc, s->id)
                                    : eng_encoder_emit_bytes (enc, text + s->start, s->n_bytes);
      if (status)
        return status;
    }
  return ENG_OK;
}

static EngStatus
encode_plain (EngEncoder *enc, const uint8_t *text, size_t n)
{
  EngStatus status;
  if (n == 0)
    return ENG_OK;
  switch (enc->tok->kind)
    {
    case ENG_KIND_SPM:
      status = eng_spm_encode (enc, text, n);
      break;
    case ENG_KIND_UNIGRAM:
      status = eng_unigram_encode (enc, text, n);
      break;
    case ENG_KIND_WORDPIECE:
      status = eng_wordpiece_encode (enc, text, n);
      break;
    default:
      status = eng_bpe_encode (enc, text, n);
    }
  enc->at_start = false;
  return status;
}

/* Let the source know that the current place is @pos. */
static void
move_to (Source *src, size_t pos)
{
  while (pos >= src->span_end && src->i_span < src->n_spans)
    {
      const EngTextSpan *span = &src->spans[src->i_span++];
      src->span_end += span->n_bytes;
      src->is_literal = span->is_literal;
      while (src->i_span < src->n_spans
             && (src->spans[src->i_span].is_literal == span->is_literal
                 || src->spans[src->i_span].n_bytes == 0))
        src->span_end += src->spans[src->i_span++].n_bytes;
    }
}

/* The longest special token that may stand at @pos, or ENG_TOKEN_NONE. */
static int32_t
special_at (const EngTokenizer *tok, Source *src, size_t pos)
{
  uint32_t node = tok->specials.root_child[src->text[pos]];
  int32_t found = ENG_TOKEN_NONE;
  if (!node)
    return found;
  move_to (src, pos);
  for (size_t k = pos + 1; node; k++)
    {
      int32_t id = tok->specials.nodes[node].id;
      if (id >= 0
          && (!(tok->flags[id] & ENG_TOKEN_IS_CONTROL)
              || (src->is_literal && k <= src->span_end)))
        found = id;
      node = k < src->n_bytes ? eng_byte_trie_child (&tok->specials, node, src->text[k]) : 0;
    }
  return found;
}

static EngStatus
encode_source (EngEncoder *enc, Source *src)
{
  const EngTokenizer *tok = enc->tok;
  size_t from = 0;
  for (size_t pos = 0; pos < src->n_bytes;)
    {
      int32_t id = special_at (tok, src, pos);
      if (id < 0)
        {
          pos++;
          continue;
        }
      EngStatus status = encode_plain (enc, src->text + from, pos - from);
      if (!status)
        status = eng_encoder_emit (enc, id);
      if (status)
        return status;
      pos += tok->names[id].n_bytes;
      if (tok->flags[id] & ENG_TOKEN_STRIPS_AFTER)
        while (pos < src->n_bytes && src->text[pos] && strchr (ASCII_SPACE, src->text[pos]))
          pos++;
      from = pos;
      enc->at_start = true;
    }
  return encode_plain (enc, src->text + from, src->n_bytes - from);
}

EngStatus
eng_tokenizer_encode_spans (const EngTokenizer *tokenizer, const EngTextSpan *spans, size_t n_spans,
                            unsigned flags, EngTokenBuffer *out, EngError *error)
{
  uint64_t total = 0;
  for (size_t i = 0; i < n_spans; i++)
    if (__builtin_add_overflow (total, spans[i].n_bytes, &total)
        || total > ENG_TOKENIZER_MAX_TEXT_BYTES)
      return eng_error_set_numbers (error, ENG_ERR_LIMIT, NULL, total,
                                    ENG_TOKENIZER_MAX_TEXT_BYTES,
                                    "the text is longer than the %u bytes that can be tokenized",
                                    ENG_TOKENIZER_MAX_TEXT_BYTES);
  size_t n_before = out->n, n_dropped_before = out->n_dropped_bytes;
  uint8_t *joined = NULL;
  Source src = { .n_bytes = total, .spans = spans, .n_spans = n_spans };
  EngEncoder enc = { .tok = tokenizer, .out = out, .at_start = !(flags & ENG_ENCODE_CONTINUE) };
  EngStatus status = ENG_OK;
  if (n_spans == 1)
    src.text = (const uint8_t *) spans[0].text;
  else if (n_spans > 1)
    {
      joined = eng_alloc (total);
      size_t at = 0;
      for (size_t i = 0; i < n_spans && joined; at += spans[i++].n_bytes)
        if (spans[i].n_bytes)
          memcpy (joined + at, spans[i].text, spans[i].n_bytes);
      src.text = joined;
      if (!joined)
        status = ENG_ERR_NO_MEMORY;
    }
  if (!status && total > 0)
    status = encode_source (&enc, &src);
  eng_scratch_free (&enc.scratch);
  eng_free (joined);
  if (status)
    {
      out->n = n_before;
      out->n_dropped_bytes = n_dropped_before;
      eng_error_set (error, status, NULL, ENG_OFFSET_NONE, "no memory to tokenize a text");
    }
  return status;
}

EngStatus
eng_tokenizer_encode (const EngTokenizer *tokenizer, const char *text, size_t n_bytes,
                      unsigned flags, EngTokenBuffer *out, EngError *error)
{
  const EngTextSpan span = { text, n_bytes, (flags & ENG_ENCODE_PARSE_SPECIAL) != 0 };
  return eng_tokenizer_encode_spans (tokenizer, &span, 1, flags, out, error);
}
