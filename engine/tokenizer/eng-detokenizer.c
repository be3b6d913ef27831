/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-detokenizer.h"

#include <string.h>

#include "eng-tokenizer-private.h"
#include "eng-utf8.h"

static const uint8_t replacement[] = { 0xef, 0xbf, 0xbd };

void
eng_detokenizer_init (EngDetokenizer *detokenizer, const EngTokenizer *tokenizer, unsigned flags)
{
  *detokenizer = (EngDetokenizer) { .tokenizer = tokenizer, .flags = flags, .at_start = true };
}

/* Whether encoding puts a space in front of a text that was not there. */
static bool
starts_with_added_space (const EngTokenizer *tok)
{
  return tok->kind == ENG_KIND_WORDPIECE
         || ((tok->kind == ENG_KIND_SPM || tok->kind == ENG_KIND_UNIGRAM)
             && tok->add_space_prefix);
}

/* What @id shows under @flags. */
static bool
shown_piece (const EngTokenizer *tok, int32_t id, unsigned flags, bool *at_start,
             const uint8_t **text, size_t *n)
{
  const char *s;
  if (!eng_tokenizer_get_piece (tok, id, &s, n))
    return false;
  if (!(flags & ENG_DETOKENIZE_SHOW_CONTROL) && tok->flags[id] & ENG_TOKEN_IS_CONTROL)
    *n = 0;
  if (*n > 0 && *at_start)
    {
      *at_start = false;
      if (flags & ENG_DETOKENIZE_TEXT_START && s[0] == ' ' && starts_with_added_space (tok))
        {
          s++;
          --*n;
        }
    }
  *text = (const uint8_t *) s;
  return true;
}

EngStatus
eng_detokenizer_push (EngDetokenizer *detokenizer, int32_t id, EngBuffer *out)
{
  const uint8_t *piece;
  size_t n;
  bool at_start = detokenizer->at_start;
  if (!shown_piece (detokenizer->tokenizer, id, detokenizer->flags, &at_start, &piece, &n))
    return ENG_ERR_ARGUMENT;
  detokenizer->at_start = at_start;
  for (size_t i = 0; i < n; i++)
    { /* pending always is a prefix of some character, so adding a byte completes it, keeps it one,
       * or proves it broken */
      uint8_t *p = detokenizer->pending;
      p[detokenizer->n_pending++] = piece[i];
      while (detokenizer->n_pending > 0
             && eng_utf8_incomplete_tail (p, detokenizer->n_pending) != detokenizer->n_pending)
        {
          uint32_t cp;
          size_t len = eng_utf8_next (p, detokenizer->n_pending, &cp);
          if (cp == ENG_UTF8_INVALID)
            eng_buffer_append (out, replacement, sizeof replacement);
          else
            eng_buffer_append (out, p, len);
          detokenizer->n_pending = (uint8_t) (detokenizer->n_pending - len);
          memmove (p, p + len, detokenizer->n_pending);
        }
    }
  return out->failed ? ENG_ERR_NO_MEMORY : ENG_OK;
}

EngStatus
eng_detokenizer_flush (EngDetokenizer *detokenizer, EngBuffer *out)
{
  if (detokenizer->n_pending > 0)
    eng_buffer_append (out, replacement, sizeof replacement);
  detokenizer->n_pending = 0;
  return out->failed ? ENG_ERR_NO_MEMORY : ENG_OK;
}

EngStatus
eng_detokenize_bytes (const EngTokenizer *tokenizer, const int32_t *ids, size_t n, unsigned flags,
                      EngBuffer *out)
{
  bool at_start = true;
  for (size_t i = 0; i < n; i++)
    {
      const uint8_t *piece;
      size_t n_bytes;
      if (!shown_piece (tokenizer, ids[i], flags, &at_start, &piece, &n_bytes))
        return ENG_ERR_ARGUMENT;
      eng_buffer_append (out, piece, n_bytes);
    }
  return out->failed ? ENG_ERR_NO_MEMORY : ENG_OK;
}
