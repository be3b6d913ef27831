/* SPDX-License-Identifier: Apache-2.0 */
/* Byte-pair tokenizers of tokenizer.json: vocabulary, merges, and which cut they make before merging.
 * The cut stands in the file as patterns and flags; GGUF names it by a word. A pattern we do not know
 * is refused: a tokenizer that cuts otherwise gives other tokens without a sign. */
#include <stdio.h>
#include <string.h>

#include "eng-buffer.h"
#include "eng-convert-private.h"

#define MAX_PATTERNS 8

/* What matters of "pre_tokenizer". */
typedef struct
{
  const char *patterns[MAX_PATTERNS]; /* of Split, in order */
  size_t n_patterns;
  bool digits;        /* Digits, one by one */
  bool bytes_split;   /* ByteLevel cuts by GPT-2's pattern */
  bool other;         /* something else */
} Cut;

static void
read_cut (const EngJson *pre, Cut *cut)
{
  const char *type = "", *pattern;
  bool flag;
  if (!pre || pre->type != ENG_JSON_OBJECT)
    return;
  eng_json_get_string (pre, "type", &type);
  if (strcmp (type, "Sequence") == 0)
    {
      const EngJson *parts = eng_json_get (pre, "pretokenizers");
      for (size_t i = 0; parts && i < parts->n; i++)
        read_cut (eng_json_at (parts, i), cut);
    }
  else if (strcmp (type, "Split") == 0
           && eng_json_get_string (eng_json_get (pre, "pattern"), "Regex", &pattern)
           && cut->n_patterns < MAX_PATTERNS)
    cut->patterns[cut->n_patterns++] = pattern;
  else if (strcmp (type, "Digits") == 0 && eng_json_get_bool (pre, "individual_digits", &flag) && flag)
    cut->digits = true;
  else if (strcmp (type, "ByteLevel") == 0)
    {
      flag = true;
      eng_json_get_bool (pre, "use_regex", &flag);
      cut->bytes_split |= flag;
    }
  else
    cut->other = true;
}

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)|"
#define REST " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define WORDS_UP_TO "[^\\r\\n\\p{L}\\p{N}]?"
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CONTRACTION_END "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
#define REST_SLASH " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

/* The patterns as published folders have them. */
static const struct
{
  const char *pattern, *name;
} known[] = {
  { CONTRACTIONS WORDS_UP_TO "\\p{L}+|\\p{N}{1,3}|" REST, "llama-bpe" },
  { CONTRACTIONS WORDS_UP_TO "\\p{L}+|\\p{N}|" REST, "qwen2" },
  { CONTRACTIONS WORDS_UP_TO "[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|"
                 "\\s+(?!\\S)|\\s+",
    "qwen35" },
  { WORDS_UP_TO UPPER "*" LOWER "+" CONTRACTION_END "|" WORDS_UP_TO UPPER "+" LOWER
                      "*" CONTRACTION_END "|\\p{N}{1,3}|" REST_SLASH,
    "gpt-4o" },
  { WORDS_UP_TO UPPER "*" LOWER "+|" WORDS_UP_TO UPPER "+" LOWER "*|\\p{N}|" REST_SLASH, "tekken" },
};

static const char *
name_of_cut (EngConvert *c, const EngJson *tokenizer)
{
  Cut cut = { 0 };
  bool ignore_merges = false;
  read_cut (eng_json_get (tokenizer, "pre_tokenizer"), &cut);
  eng_json_get_bool (eng_json_get (tokenizer, "model"), "ignore_merges", &ignore_merges);
  if (!cut.other && cut.n_patterns == 0 && cut.bytes_split)
    return cut.digits ? "smollm" : "gpt-2";
  if (!cut.other && cut.n_patterns == 1 && !cut.digits && !cut.bytes_split)
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
      if (strcmp (cut.patterns[0], known[i].pattern) == 0)
        {
          if (i > 0)
            return known[i].name;
          /* One pattern, several names, which say whether whole words skip merging. */
          return eng_convert_is_glm (c)
                     ? ignore_merges ? "glm4" : "chatglm-bpe"
                 : ignore_merges ? "llama-bpe"
                                 : "smaug-bpe";
        }
  /* DeepSeek's three generations cut in several steps; the first one tells them apart. */
  if (cut.n_patterns >= 2 && strcmp (cut.patterns[0], "\\p{N}{1,3}") == 0)
    return "deepseek-v3";
  if (cut.n_patterns >= 3 && strcmp (cut.patterns[0], "[\r\n]") == 0)
    return cut.digits ? "deepseek-coder" : "deepseek-llm";
  eng_convert_fail (c, ENG_ERR_UNSUPPORTED, "pre_tokenizer",
                    "the tokenizer cuts text in a way we do not know: %.300s",
                    cut.n_patterns ? cut.patterns[0] : "no pattern");
  return "";
}

/* "a b", or ["a", "b"] in newer files. A space within a part, which would look like the separator,
 * is moved to another place as in other converters (U+0120); byte-level vocabularies have none. */
static bool
append_merge (const EngJson *merge, EngBuffer *out)
{
  if (merge->type == ENG_JSON_STRING)
    return eng_buffer_append (out, merge->string, merge->n);
  if (merge->type != ENG_JSON_ARRAY || merge->n != 2)
    return false;
  for (size_t k = 0; k < 2; k++)
    {
      const EngJson *part = eng_json_at (merge, k);
      if (part->type != ENG_JSON_STRING)
        return false;
      for (size_t i = 0; i < part->n; i++)
        if (part->string[i] == ' ')
          eng_buffer_append (out, "\xc4\xa0", 2);
        else
          eng_buffer_append (out, part->string + i, 1);
      if (k == 0)
        eng_buffer_append (out, " ", 1);
    }
  return !out->failed;
}

void
eng_convert_write_merges (EngConvert *c, const EngJson *merges)
{
  EngBuffer text = { 0 };
  EngGgufString *list = NULL;
  size_t *starts = NULL;
  if (!merges || merges->type != ENG_JSON_ARRAY)
    {
      eng_convert_fail (c, ENG_ERR_FORMAT, "merges", "tokenizer.json has no merges");
      return;
    }
  list = eng_arena_alloc_array (&c->arena, merges->n, sizeof *list);
  starts = eng_arena_alloc_array (&c->arena, merges->n + 1, sizeof *starts);
  if (!list || !starts)
    eng_convert_fail (c, ENG_ERR_NO_MEMORY, "merges", "out of memory");
  for (size_t i = 0; c->status == ENG_OK && i < merges->n; i++)
    {
      starts[i] = text.n_bytes;
      if (!append_merge (eng_json_at (merges, i), &text))
        eng_convert_fail (c, ENG_ERR_FORMAT, "merges", "merge %zu of tokenizer.json is broken", i);
    }
  if (c->status == ENG_OK)
    {
      starts[merges->n] = text.n_bytes;
      for (size_t i = 0; i < merges->n; i++)
        list[i] = (EngGgufString) { text.data + starts[i], starts[i + 1] - starts[i] };
      c->status = eng_gguf_writer_set_strings (c->writer, "tokenizer.ggml.merges", merges->n, list,
                                               c->error);
    }
  eng_buffer_clear (&text);
}

void
eng_convert_vocab_bpe (EngConvert *c, const EngJson *tokenizer)
{
  const EngJson *model = eng_json_get (tokenizer, "model"), *vocab = eng_json_get (model, "vocab");
  const char *pre = name_of_cut (c, tokenizer);
  EngConvertVocab *v = c->status == ENG_OK ? eng_convert_vocab_new (c, false) : NULL;
  for (size_t i = 0; v && i < vocab->n && c->status == ENG_OK; i++)
    {
      const EngJson *entry = eng_json_at (vocab, i);
      if (entry->type != ENG_JSON_NUMBER || !entry->is_integer)
        eng_convert_fail (c, ENG_ERR_FORMAT, "vocab", "the id of token %s is no number", entry->key);
      else
        eng_convert_vocab_set (c, v, entry->integer, entry->key, entry->key_bytes, ENG_TOKEN_NORMAL, 0);
    }
  if (!v || c->status != ENG_OK)
    return;
  eng_convert_vocab_add_added (c, v, tokenizer);
  eng_convert_vocab_write (c, v, "gpt2", pre);
  eng_convert_write_merges (c, eng_json_get (model, "merges"));
}
