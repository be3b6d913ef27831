/* SPDX-License-Identifier: Apache-2.0 */
/* SentencePiece vocabularies: tokenizer.model (protocol buffers; google/sentencepiece,
 * src/sentencepiece_model.proto), or the same as byte-pair with byte fallback in tokenizer.json. */
#include <string.h>

#include "eng-checked.h"
#include "eng-convert-private.h"

#define MAX_MODEL_BYTES ((size_t) 64 << 20)

/* ---- Protocol buffers ----------------------------------------------------------------------------
 * A message is a run of (number * 8 + wire type, value); wire types: 0 varint, 1 eight bytes,
 * 2 length and bytes, 5 four bytes. */

typedef struct
{
  const uint8_t *at, *end;
  bool failed;
} Message;

typedef struct
{
  uint32_t number, wire;
  uint64_t value;      /* varint or fixed */
  const uint8_t *data; /* wire type 2: @value bytes */
} Field;

static uint64_t
read_varint (Message *m)
{
  uint64_t v = 0;
  for (int shift = 0; shift < 64; shift += 7)
    {
      if (m->at >= m->end)
        break;
      uint8_t byte = *m->at++;
      v |= (uint64_t) (byte & 0x7f) << shift;
      if (!(byte & 0x80))
        return v;
    }
  m->failed = true;
  return 0;
}

static bool
next_field (Message *m, Field *f)
{
  if (m->failed || m->at >= m->end)
    return false;
  uint64_t tag = read_varint (m);
  *f = (Field) { .number = (uint32_t) (tag >> 3), .wire = (uint32_t) tag & 7 };
  size_t left = (size_t) (m->end - m->at), n = f->wire == 1 ? 8 : f->wire == 5 ? 4 : 0;
  if (f->wire == 0)
    f->value = read_varint (m);
  else if (f->wire == 2)
    {
      f->value = read_varint (m);
      left = (size_t) (m->end - m->at);
      if (m->failed || f->value > left)
        m->failed = true;
      else
        {
          f->data = m->at;
          m->at += f->value;
        }
    }
  else if (n == 0 || n > left)
    m->failed = true;
  else
    {
      memcpy (&f->value, m->at, n);
      m->at += n;
    }
  return !m->failed;
}

/* ---- tokenizer.model ----------------------------------------------------------------------------- */

static void
read_piece (EngConvert *c, EngConvertVocab *v, uint32_t id, const Field *field)
{
  Message m = { field->data, field->data + field->value, false };
  Field f;
  const uint8_t *text = (const uint8_t *) "";
  uint64_t n = 0;
  float score = 0;
  int type = ENG_TOKEN_NORMAL; /* the file's numbers are GGUF's */
  while (next_field (&m, &f))
    if (f.number == 1 && f.wire == 2)
      {
        text = f.data;
        n = f.value;
      }
    else if (f.number == 2 && f.wire == 5)
      {
        uint32_t bits = (uint32_t) f.value;
        memcpy (&score, &bits, sizeof score);
      }
    else if (f.number == 3 && f.wire == 0)
      type = (int) f.value;
  if (m.failed || type < ENG_TOKEN_NORMAL || type > ENG_TOKEN_BYTE)
    eng_convert_fail (c, ENG_ERR_FORMAT, "tokenizer.model", "piece %u of tokenizer.model is broken", id);
  else
    eng_convert_vocab_set (c, v, id, (const char *) text, n, type, score);
}

static bool
read_flag (const Field *field, uint32_t number, bool fallback)
{
  Message m = { field->data, field->data + field->value, false };
  Field f;
  while (next_field (&m, &f))
    if (f.number == number && f.wire == 0)
      fallback = f.value != 0;
  return fallback;
}

bool
eng_convert_vocab_spm (EngConvert *c, const EngJson *tokenizer)
{
  size_t n;
  const char *text = eng_convert_read_text (c, "tokenizer.model", MAX_MODEL_BYTES, &n);
  bool space_prefix = true;
  uint32_t id = 0;
  Field f;
  if (!text)
    return c->status != ENG_OK;
  Message m = { (const uint8_t *) text, (const uint8_t *) text + n, false };
  EngConvertVocab *v = eng_convert_vocab_new (c, true);
  while (v && c->status == ENG_OK && next_field (&m, &f))
    if (f.number == 1 && f.wire == 2)
      {
        if (id < v->n) /* pieces beyond the embedding can never be produced */
          read_piece (c, v, id, &f);
        id++;
      }
    else if (f.number == 3 && f.wire == 2)
      space_prefix = read_flag (&f, 3, true);
  if (c->status == ENG_OK && (m.failed || id == 0))
    {
      /* Some folders keep another format under this name. */
      if (tokenizer)
        return false;
      eng_convert_fail (c, ENG_ERR_FORMAT, "tokenizer.model",
                        "tokenizer.model is no SentencePiece file");
    }
  if (c->status != ENG_OK)
    return true;
  if (tokenizer)
    eng_convert_vocab_add_added (c, v, tokenizer);
  eng_convert_vocab_write (c, v, "llama", "default");
  eng_convert_set_key_bool (c, "tokenizer.ggml.add_space_prefix", space_prefix);
  return true;
}

/* ---- tokenizer.json ------------------------------------------------------------------------------ */

/* "<0x1F>" */
static bool
is_byte_token (const char *s, size_t n)
{
  static const char hex[] = "0123456789ABCDEF";
  return n == 6 && memcmp (s, "<0x", 3) == 0 && s[5] == '>' && strchr (hex, s[3])
         && strchr (hex, s[4]);
}

/* SentencePiece joins the pair whose result has the best score; tokenizer.json the pair that stands
 * first among the merges. So the place of the merge, negated, is the score. */
static void
set_scores (EngConvert *c, EngConvertVocab *v, const EngJson *vocab, const EngJson *merges)
{
  char joined[1024];
  int64_t id;
  for (size_t i = merges->n; i > 0; i--)
    {
      const EngJson *merge = eng_json_at (merges, i - 1);
      size_t n = 0;
      if (merge->type == ENG_JSON_ARRAY && merge->n == 2)
        for (size_t k = 0; k < 2; k++)
          {
            const EngJson *part = eng_json_at (merge, k);
            if (part->type == ENG_JSON_STRING && n + part->n < sizeof joined)
              {
                memcpy (joined + n, part->string, part->n);
                n += part->n;
              }
          }
      else if (merge->type == ENG_JSON_STRING && merge->n < sizeof joined)
        for (size_t k = 0; k < merge->n; k++)
          if (merge->string[k] != ' ')
            joined[n++] = merge->string[k];
      const EngJson *entry = eng_json_get_n (vocab, joined, n);
      if (!entry || entry->type != ENG_JSON_NUMBER || !entry->is_integer)
        {
          eng_convert_fail (c, ENG_ERR_FORMAT, "merges", "merge %zu makes no token", i - 1);
          return;
        }
      id = entry->integer;
      if (id >= 0 && id < v->n)
        v->scores[id] = -(float) (i - 1);
    }
}

/* Gemma 4's marks round thoughts and calls of tools belong to the answer: whoever reads it needs them. */
static void
show_markers (EngConvertVocab *v)
{
  static const char *const marks[] = { "<|channel>",       "<channel|>",       "<|tool_call>", "<tool_call|>",
                                       "<|tool_response>", "<tool_response|>", "<|\"|>" };
  for (uint32_t i = 0; i < v->n; i++)
    for (size_t k = 0; k < sizeof marks / sizeof marks[0] && v->types[i] == ENG_TOKEN_CONTROL; k++)
      if (v->tokens[i].n_bytes == strlen (marks[k]) && memcmp (v->tokens[i].data, marks[k], v->tokens[i].n_bytes) == 0)
        v->types[i] = ENG_TOKEN_USER_DEFINED;
}

void
eng_convert_vocab_spm_json (EngConvert *c, const EngJson *tokenizer)
{
  const EngJson *model = eng_json_get (tokenizer, "model"), *vocab = eng_json_get (model, "vocab");
  const EngJson *merges = eng_json_get (model, "merges");
  const char *unknown = "<unk>";
  EngConvertVocab *v = eng_convert_vocab_new (c, true);
  eng_json_get_string (model, "unk_token", &unknown);
  if (!merges || merges->type != ENG_JSON_ARRAY)
    eng_convert_fail (c, ENG_ERR_FORMAT, "merges", "tokenizer.json has no merges");
  for (size_t i = 0; v && i < vocab->n && c->status == ENG_OK; i++)
    {
      const EngJson *entry = eng_json_at (vocab, i);
      if (entry->type != ENG_JSON_NUMBER || !entry->is_integer)
        {
          eng_convert_fail (c, ENG_ERR_FORMAT, "vocab", "the id of token %s is no number", entry->key);
          return;
        }
      int type = is_byte_token (entry->key, entry->key_bytes) ? ENG_TOKEN_BYTE
                 : strcmp (entry->key, unknown) == 0          ? ENG_TOKEN_UNKNOWN
                                                              : ENG_TOKEN_NORMAL;
      /* Single characters are never the result of a merge: below all that are. */
      eng_convert_vocab_set (c, v, entry->integer, entry->key, entry->key_bytes, type,
                             type == ENG_TOKEN_NORMAL ? -(float) merges->n - 1 : 0);
    }
  if (!v || c->status != ENG_OK)
    return;
  set_scores (c, v, vocab, merges);
  eng_convert_vocab_add_added (c, v, tokenizer);
  if (strcmp (c->arch->name, "gemma4") == 0)
    {
      show_markers (v);
      eng_convert_vocab_write (c, v, "gemma4", "gemma4");
      eng_convert_write_merges (c, merges);
    }
  else
    eng_convert_vocab_write (c, v, "llama", "default");
  bool prefix = eng_convert_json_mentions (eng_json_get (tokenizer, "normalizer"), "Prepend");
  const EngJson *pre = eng_json_get (tokenizer, "pre_tokenizer");
  if (eng_convert_json_mentions (pre, "Metaspace"))
    prefix = !eng_json_is_string (eng_json_get (pre, "prepend_scheme"), "never");
  eng_convert_set_key_bool (c, "tokenizer.ggml.add_space_prefix", prefix);
}
