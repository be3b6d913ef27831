/* SPDX-License-Identifier: Apache-2.0 */
/* SentencePiece's BPE (Kudo, Richardson 2018): characters merge while their union is a token, the
 * best score first, the leftmost of equals. What no token covers is spelled in bytes.
 *
 * The file writes a space as U+2581; here pieces hold a plain space and the text's U+2581 becomes
 * one too, so that both mean the same, as in SentencePiece. */
#include <string.h>

#include "eng-tokenizer-private.h"
#include "eng-utf8.h"

/* Order of floats as unsigned numbers, best (largest) first. */
static uint32_t
priority_of (float score)
{
  uint32_t bits;
  memcpy (&bits, &score, sizeof bits);
  bits ^= bits >> 31 ? UINT32_MAX : UINT32_C (0x80000000);
  return ~bits;
}

static bool
spm_pair (const EngTokenizer *tok, const uint8_t *text, const EngSymbol *left,
          const EngSymbol *right, uint32_t *priority, int32_t *id)
{
  size_t n = (size_t) left->n_bytes + right->n_bytes;
  if (n > tok->max_piece_bytes)
    return false;
  *id = eng_token_map_find (&tok->by_piece, text + left->start, n);
  if (*id < 0)
    return false;
  *priority = priority_of (tok->scores[*id]);
  return true;
}

static EngStatus
encode_part (EngEncoder *enc, const uint8_t *part, size_t n)
{
  const EngTokenizer *tok = enc->tok;
  EngScratch *s = &enc->scratch;
  int32_t whole = n <= tok->max_piece_bytes ? eng_token_map_find (&tok->by_piece, part, n)
                                            : ENG_TOKEN_NONE;
  if (whole >= 0 && tok->whole[whole] == 1)
    return eng_encoder_emit (enc, whole);
  s->n_symbols = 0;
  for (size_t i = 0; i < n;)
    {
      uint32_t cp;
      size_t len = eng_utf8_next (part + i, n - i, &cp);
      int32_t id = eng_token_map_find (&tok->by_piece, part + i, len);
      if (!eng_scratch_add_symbol (s, (uint32_t) i, (uint32_t) len, id))
        return ENG_ERR_NO_MEMORY;
      i += len;
    }
  if (!eng_merge_symbols (tok, s, part, spm_pair))
    return ENG_ERR_NO_MEMORY;
  if (whole >= 0)
    tok->whole[whole] = s->symbols[0].n_bytes == n ? 1 : 2;
  return eng_encoder_emit_symbols (enc, part);
}

bool
eng_spm_normalize (EngEncoder *enc, const uint8_t *text, size_t n)
{
  EngScratch *s = &enc->scratch;
  size_t from = 0;
  s->n_text = 0;
  if (enc->tok->add_space_prefix && enc->at_start && !eng_scratch_put (s, " ", 1))
    return false;
  for (size_t i = 0; i + 2 < n;)
    if (text[i] == 0xe2 && text[i + 1] == 0x96 && text[i + 2] == 0x81)
      {
        if (!eng_scratch_put (s, text + from, i - from) || !eng_scratch_put (s, " ", 1))
          return false;
        from = i += 3;
      }
    else
      i++;
  return eng_scratch_put (s, text + from, n - from);
}

EngStatus
eng_spm_encode (EngEncoder *enc, const uint8_t *text, size_t n)
{
  if (!eng_spm_normalize (enc, text, n))
    return ENG_ERR_NO_MEMORY;
  const uint8_t *s = enc->scratch.text;
  size_t end = enc->scratch.n_text, from = 0;
  /* Where no token has a space behind another character, no merge crosses such a place: the parts
   * can be merged one by one, which keeps the heap small. */
  if (!enc->tok->inner_space)
    for (size_t i = 1; i < end; i++)
      if (s[i] == ' ' && s[i - 1] != ' ')
        {
          EngStatus status = encode_part (enc, s + from, i - from);
          if (status)
            return status;
          from = i;
        }
  return from < end ? encode_part (enc, s + from, end - from) : ENG_OK;
}
