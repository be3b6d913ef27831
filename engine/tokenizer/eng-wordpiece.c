/* SPDX-License-Identifier: Apache-2.0 */
/* WordPiece as BERT uses it: clean and lower the text, cut it into words and marks, then take the
 * longest token at each place of a word (google-research/bert, tokenization.py; the details follow
 * Hugging Face's BertNormalizer and BertPreTokenizer). A word's first token carries a leading space
 * in the file (U+2581 there, ' ' in our pieces); the others are bare. */
#include "eng-tokenizer-private.h"
#include "eng-unicode.h"
#include "eng-utf8.h"

#define OTHER                                                                                      \
  (ENG_UNICODE_BIT (ENG_UNICODE_CC) | ENG_UNICODE_BIT (ENG_UNICODE_CF)                             \
   | ENG_UNICODE_BIT (ENG_UNICODE_CN) | ENG_UNICODE_BIT (ENG_UNICODE_CO))

/* Longer words are unknown as a whole: max_input_chars_per_word of the reference. */
#define MAX_WORD_CHARS 100

typedef struct
{
  EngEncoder *enc;
  size_t n_chars; /* of the word gathered in scratch.text behind its space */
} Words;

/* Ideographs stand alone; ranges as Hugging Face's normalizer has them, gap included. */
static bool
is_ideograph (uint32_t cp)
{
  return (cp >= 0x4e00 && cp <= 0x9fff) || (cp >= 0x3400 && cp <= 0x4dbf)
         || (cp >= 0x20000 && cp <= 0x2a6df) || (cp >= 0x2a700 && cp <= 0x2b73f)
         || (cp >= 0x2b740 && cp <= 0x2b81f) || (cp >= 0x2b920 && cp <= 0x2ceaf)
         || (cp >= 0xf900 && cp <= 0xfaff) || (cp >= 0x2f800 && cp <= 0x2fa1f);
}

/* ASCII that is neither letter, digit nor space counts, "$" and "~" too. */
static bool
is_mark (uint32_t cp, uint32_t class)
{
  return cp < 0x80 ? (class & (ENG_UNICODE_PUNCTUATION | ENG_UNICODE_SYMBOL)) != 0
                   : (class & ENG_UNICODE_PUNCTUATION) != 0;
}

static EngStatus
finish_word (Words *words)
{
  EngEncoder *enc = words->enc;
  const EngTokenizer *tok = enc->tok;
  const uint8_t *s = enc->scratch.text;
  size_t n = enc->scratch.n_text, n_before = enc->out->n;
  size_t n_chars = words->n_chars;
  words->n_chars = 0;
  enc->scratch.n_text = 0;
  if (n_chars == 0)
    return ENG_OK;
  for (size_t at = 0; at < n && n_chars <= MAX_WORD_CHARS;)
    {
      uint32_t node = 0;
      size_t longest = at;
      int32_t id = ENG_TOKEN_NONE;
      for (size_t k = at; k < n && (node = eng_byte_trie_child (&tok->words, node, s[k])); k++)
        if (tok->words.nodes[node].id >= 0)
          {
            id = tok->words.nodes[node].id;
            longest = k + 1;
          }
      if (id < 0)
        {
          enc->out->n = n_before;
          break;
        }
      EngStatus status = eng_encoder_emit (enc, id);
      if (status)
        return status;
      at = longest;
    }
  if (enc->out->n > n_before)
    return ENG_OK;
  if (tok->text_unk >= 0)
    return eng_encoder_emit (enc, tok->text_unk);
  enc->out->n_dropped_bytes += n - 1;
  return ENG_OK;
}

static EngStatus
add_char (Words *words, uint32_t cp)
{
  uint8_t bytes[ENG_UTF8_MAX_BYTES];
  size_t n = eng_utf8_put (cp, bytes);
  if (words->n_chars == 0 && !eng_scratch_put (&words->enc->scratch, " ", 1))
    return ENG_ERR_NO_MEMORY;
  words->n_chars++;
  /* A word past the limit is unknown whatever it holds: do not gather it. */
  if (words->n_chars > MAX_WORD_CHARS)
    return ENG_OK;
  return eng_scratch_put (&words->enc->scratch, bytes, n) ? ENG_OK : ENG_ERR_NO_MEMORY;
}

/* A character behind normalization: part of a word, or a word of its own. */
static EngStatus
take (Words *words, uint32_t cp)
{
  uint32_t class = eng_unicode_class (cp);
  EngStatus status = ENG_OK;
  if (class & ENG_UNICODE_WHITE_SPACE)
    return finish_word (words);
  bool alone = is_mark (cp, class) || is_ideograph (cp);
  if (alone)
    status = finish_word (words);
  if (!status)
    status = add_char (words, cp);
  if (!status && alone)
    status = finish_word (words);
  return status;
}

EngStatus
eng_wordpiece_encode (EngEncoder *enc, const uint8_t *text, size_t n)
{
  const EngTokenizer *tok = enc->tok;
  Words words = { enc, 0 };
  enc->scratch.n_text = 0;
  for (size_t i = 0; i < n;)
    {
      uint32_t cp, parts[ENG_UNICODE_MAX_DECOMPOSITION];
      size_t n_parts = 1;
      i += eng_utf8_next (text + i, n - i, &cp);
      uint32_t class = eng_unicode_class (cp);
      /* Of the control characters these three are spaces, and the rest (form feed too) vanish. */
      bool kept = cp == '\t' || cp == '\n' || cp == '\r';
      if (cp == ENG_UTF8_INVALID || cp == 0xfffd || (!kept && (class & OTHER)))
        continue;
      parts[0] = cp;
      if (tok->strip_accents)
        n_parts = eng_unicode_decompose (cp, parts);
      for (size_t k = 0; k < n_parts; k++)
        {
          /* Accents go before their order could matter, so the marks are not sorted. */
          if (tok->strip_accents
              && eng_unicode_is (parts[k], ENG_UNICODE_BIT (ENG_UNICODE_MN)))
            continue;
          EngStatus status
              = take (&words, tok->lowercase ? eng_unicode_to_lower (parts[k]) : parts[k]);
          if (status)
            return status;
        }
    }
  return finish_word (&words);
}
