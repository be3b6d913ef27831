/* SPDX-License-Identifier: Apache-2.0 */
/* Tokenizers: which kind the folder has, its special tokens, its chat template. Formats:
 * huggingface/tokenizers (tokenizer.json), `transformers` (tokenizer_config.json). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eng-convert-private.h"

#define MAX_TEMPLATE_BYTES ((size_t) 4 << 20)

EngConvertVocab *
eng_convert_vocab_new (EngConvert *c, bool with_scores)
{
  EngConvertVocab *v = eng_arena_alloc (&c->arena, sizeof *v);
  if (v)
    {
      v->n = c->n_vocab;
      v->tokens = eng_arena_alloc_array (&c->arena, v->n, sizeof *v->tokens);
      v->types = eng_arena_alloc_array (&c->arena, v->n, sizeof *v->types);
      v->scores = with_scores ? eng_arena_alloc_array (&c->arena, v->n, sizeof *v->scores) : NULL;
    }
  if (!v || !v->tokens || !v->types || (with_scores && !v->scores))
    {
      eng_convert_fail (c, ENG_ERR_NO_MEMORY, "tokenizer", "out of memory");
      return NULL;
    }
  for (uint32_t i = 0; i < v->n; i++)
    {
      char text[32];
      int n = snprintf (text, sizeof text, "[PAD%u]", i);
      v->tokens[i] = (EngGgufString) { eng_arena_strndup (&c->arena, text, (size_t) n), (uint64_t) n };
      v->types[i] = ENG_TOKEN_UNUSED;
      if (v->scores)
        v->scores[i] = -10000.0f;
      if (!v->tokens[i].data)
        {
          eng_convert_fail (c, ENG_ERR_NO_MEMORY, "tokenizer", "out of memory");
          return NULL;
        }
    }
  return v;
}

bool
eng_convert_vocab_set (EngConvert *c, EngConvertVocab *v, int64_t id, const char *text,
                       size_t n_bytes, int type, float score)
{
  if (id < 0 || id >= v->n)
    return eng_convert_fail (c, ENG_ERR_FORMAT, "tokenizer.json",
                             "token %.*s has the id %lld; the model has %u tokens",
                             n_bytes < 64 ? (int) n_bytes : 64, text, (long long) id, v->n);
  const char *copy = eng_arena_strndup (&c->arena, text, n_bytes);
  if (!copy)
    return eng_convert_fail (c, ENG_ERR_NO_MEMORY, "tokenizer", "out of memory");
  v->tokens[id] = (EngGgufString) { copy, n_bytes };
  v->types[id] = type;
  if (v->scores)
    v->scores[id] = score;
  return true;
}

/* Some files forget to mark them. */
static bool
looks_special (const char *text, size_t n)
{
  return n > 4
         && ((memcmp (text, "<|", 2) == 0 && memcmp (text + n - 2, "|>", 2) == 0)
             || (n > 8 && memcmp (text, "<｜", 4) == 0 && memcmp (text + n - 4, "｜>", 4) == 0));
}

/* In the text of user-defined tokens a space is a space. */
static size_t
plain_spaces (const char *text, size_t n, char *out)
{
  size_t m = 0;
  for (size_t i = 0; i < n;)
    if (n - i >= 3 && memcmp (text + i, "\xe2\x96\x81", 3) == 0)
      {
        out[m++] = ' ';
        i += 3;
      }
    else
      out[m++] = text[i++];
  return m;
}

void
eng_convert_vocab_add_added (EngConvert *c, EngConvertVocab *v, const EngJson *tokenizer)
{
  const EngJson *added = eng_json_get (tokenizer, "added_tokens");
  for (size_t i = 0; added && added->type == ENG_JSON_ARRAY && i < added->n; i++)
    {
      const EngJson *entry = eng_json_at (added, i), *content = eng_json_get (entry, "content");
      int64_t id = -1;
      bool special = false;
      if (!content || content->type != ENG_JSON_STRING || !eng_json_get_int64 (entry, "id", &id))
        {
          eng_convert_fail (c, ENG_ERR_FORMAT, "added_tokens",
                            "entry %zu of added_tokens has no content or id", i);
          return;
        }
      /* Tokens added beyond the embedding can never be produced: published folders have such. */
      if (id >= v->n)
        continue;
      eng_json_get_bool (entry, "special", &special);
      special = special || looks_special (content->string, content->n);
      int type = special ? ENG_TOKEN_CONTROL : ENG_TOKEN_USER_DEFINED;
      if (id >= 0 && v->types[id] == ENG_TOKEN_UNKNOWN)
        type = ENG_TOKEN_UNKNOWN;
      char *text = eng_arena_alloc (&c->arena, content->n);
      if (!text)
        {
          eng_convert_fail (c, ENG_ERR_NO_MEMORY, "added_tokens", "out of memory");
          return;
        }
      memcpy (text, content->string, content->n);
      size_t n = special ? content->n : plain_spaces (content->string, content->n, text);
      if (!eng_convert_vocab_set (c, v, id, text, n, type, -1000.0f))
        return;
    }
}

void
eng_convert_vocab_write (EngConvert *c, const EngConvertVocab *v, const char *model,
                         const char *pre)
{
  eng_convert_set_key_string (c, "tokenizer.ggml.model", model);
  eng_convert_set_key_string (c, "tokenizer.ggml.pre", pre);
  if (c->status == ENG_OK)
    c->status = eng_gguf_writer_set_strings (c->writer, "tokenizer.ggml.tokens", v->n, v->tokens,
                                             c->error);
  if (c->status == ENG_OK && v->scores)
    c->status = eng_gguf_writer_set_array (c->writer, "tokenizer.ggml.scores", ENG_GGUF_F32, v->n,
                                           v->scores, c->error);
  if (c->status == ENG_OK)
    c->status = eng_gguf_writer_set_array (c->writer, "tokenizer.ggml.token_type", ENG_GGUF_I32,
                                           v->n, v->types, c->error);
}

bool
eng_convert_json_mentions (const EngJson *value, const char *type)
{
  if (!value || (value->type != ENG_JSON_OBJECT && value->type != ENG_JSON_ARRAY))
    return false;
  if (eng_json_is_string (eng_json_get (value, "type"), type))
    return true;
  for (size_t i = 0; i < value->n; i++)
    if (eng_convert_json_mentions (eng_json_at (value, i), type))
      return true;
  return false;
}

/* ---- Special tokens ------------------------------------------------------------------------------ */

static int64_t
find_token (const EngJson *tokenizer, const char *text)
{
  const EngJson *added = eng_json_get (tokenizer, "added_tokens");
  int64_t id = -1;
  for (size_t i = 0; added && added->type == ENG_JSON_ARRAY && i < added->n; i++)
    if (eng_json_is_string (eng_json_get (eng_json_at (added, i), "content"), text)
        && eng_json_get_int64 (eng_json_at (added, i), "id", &id))
      return id;
  const EngJson *vocab = eng_json_get (eng_json_get (tokenizer, "model"), "vocab");
  if (vocab && vocab->type == ENG_JSON_OBJECT && eng_json_get_int64 (vocab, text, &id))
    return id;
  return -1;
}

/* A name in tokenizer_config.json is a string or an object with "content". */
static int64_t
configured_token (const EngJson *tokenizer, const EngJson *config, const char *name)
{
  const EngJson *value = eng_json_get (config, name);
  if (value && value->type == ENG_JSON_OBJECT)
    value = eng_json_get (value, "content");
  return value && value->type == ENG_JSON_STRING ? find_token (tokenizer, value->string) : -1;
}

/* "eos_token_id" is a number or a list of them, the first being the main one. */
static int64_t
listed_token (const EngJson *config, const char *name, size_t i)
{
  const EngJson *value = eng_json_get (config, name);
  if (value && value->type == ENG_JSON_ARRAY)
    value = eng_json_at (value, i);
  else if (i > 0)
    return -1;
  return value && value->type == ENG_JSON_NUMBER && value->is_integer ? value->integer : -1;
}

static bool
is_wordpiece (const EngJson *tokenizer)
{
  return eng_json_is_string (eng_json_get (eng_json_get (tokenizer, "model"), "type"), "WordPiece");
}

static int64_t
set_special (EngConvert *c, const EngJson *tokenizer, const EngJson *config, const char *name,
             const char *key)
{
  char in_config[64], id_name[64], full[96];
  snprintf (in_config, sizeof in_config, "%s_token", name);
  snprintf (id_name, sizeof id_name, "%s_token_id", name);
  snprintf (full, sizeof full, "tokenizer.ggml.%s", key);
  int64_t id = configured_token (tokenizer, config, in_config);
  if (id < 0 && is_wordpiece (tokenizer))
    {
      /* Folders that do not say use BERT's own names. */
      char usual[16];
      snprintf (usual, sizeof usual, "[%s]", name);
      for (char *at = usual; *at; at++)
        *at = *at >= 'a' && *at <= 'z' ? (char) (*at - 'a' + 'A') : *at;
      id = find_token (tokenizer, usual);
    }
  if (id < 0)
    id = listed_token (c->config, id_name, 0);
  if (id < 0)
    id = listed_token (c->root_config, id_name, 0);
  if (id >= 0 && id < c->n_vocab)
    eng_convert_set_key_u32 (c, full, (uint32_t) id);
  return id;
}

/* Every further end that the generation settings name. */
static void
set_turn_end (EngConvert *c, const EngJson *tokenizer, int64_t eos)
{
  const EngJson *sources[] = { c->generation, c->config };
  for (size_t s = 0; s < 2; s++)
    for (size_t i = 0; i < 8; i++)
      {
        int64_t id = listed_token (sources[s], "eos_token_id", i);
        if (id >= 0 && id != eos && id < c->n_vocab)
          {
            eng_convert_set_key_u32 (c, "tokenizer.ggml.eot_token_id", (uint32_t) id);
            return;
          }
      }
  int64_t user = eng_convert_is_glm (c) ? find_token (tokenizer, "<|user|>") : -1;
  if (user >= 0 && user < c->n_vocab)
    eng_convert_set_key_u32 (c, "tokenizer.ggml.eot_token_id", (uint32_t) user);
}

/* Whether the post-processor puts a special token first, or last, round a single text. */
static bool
template_has (const EngJson *processor, bool first)
{
  if (!processor || (processor->type != ENG_JSON_OBJECT && processor->type != ENG_JSON_ARRAY))
    return false;
  const EngJson *single = eng_json_get (processor, "single");
  if (single && single->type == ENG_JSON_ARRAY && single->n > 0)
    return eng_json_get (eng_json_at (single, first ? 0 : single->n - 1), "SpecialToken") != NULL;
  for (size_t i = 0; i < processor->n; i++)
    if (template_has (eng_json_at (processor, i), first))
      return true;
  return false;
}

static void
set_special_tokens (EngConvert *c, const EngJson *tokenizer, const EngJson *config)
{
  static const struct
  {
    const char *name, *key;
  } others[] = {
    { "unk", "unknown_token_id" }, { "sep", "seperator_token_id" }, { "pad", "padding_token_id" },
    { "mask", "mask_token_id" },
  };
  const EngJson *processor = eng_json_get (tokenizer, "post_processor");
  bool add_bos = template_has (processor, true), add_eos = template_has (processor, false);
  set_special (c, tokenizer, config, "bos", "bos_token_id");
  int64_t eos = set_special (c, tokenizer, config, "eos", "eos_token_id");
  for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
    set_special (c, tokenizer, config, others[i].name, others[i].key);
  int64_t cls = set_special (c, tokenizer, config, "cls", "cls_token_id");
  set_turn_end (c, tokenizer, eos);
  if (is_wordpiece (tokenizer))
    {
      /* Always framed, by what some readers look for under BOS. */
      if (cls >= 0 && cls < c->n_vocab)
        eng_convert_set_key_u32 (c, "tokenizer.ggml.bos_token_id", (uint32_t) cls);
      return;
    }
  eng_json_get_bool (config, "add_bos_token", &add_bos);
  eng_json_get_bool (config, "add_eos_token", &add_eos);
  eng_convert_set_key_bool (c, "tokenizer.ggml.add_bos_token", add_bos);
  eng_convert_set_key_bool (c, "tokenizer.ggml.add_eos_token", add_eos);
}

/* A file of its own, or one or several by name in tokenizer_config.json. */
static void
set_template (EngConvert *c, const EngJson *config)
{
  size_t n = 0;
  const char *text = eng_convert_read_text (c, "chat_template.jinja", MAX_TEMPLATE_BYTES, &n);
  const EngJson *value = eng_json_get (config, "chat_template");
  if (text)
    eng_convert_set_key_string (c, "tokenizer.chat_template", text);
  else if (value && value->type == ENG_JSON_STRING)
    eng_convert_set_key_string (c, "tokenizer.chat_template", value->string);
  for (size_t i = 0; !text && value && value->type == ENG_JSON_ARRAY && i < value->n; i++)
    {
      const char *name, *one;
      char key[128] = "tokenizer.chat_template";
      if (!eng_json_get_string (eng_json_at (value, i), "name", &name)
          || !eng_json_get_string (eng_json_at (value, i), "template", &one))
        continue;
      if (strcmp (name, "default") != 0)
        snprintf (key, sizeof key, "tokenizer.chat_template.%s", name);
      eng_convert_set_key_string (c, key, one);
    }
}

/* ---- WordPiece and unigram ----------------------------------------------------------------------- */

/* BERT: "##x" continues a word and a bare "x" begins one; GGUF marks the beginning instead. */
static void
write_wordpiece (EngConvert *c, const EngJson *tokenizer)
{
  const EngJson *vocab = eng_json_get (eng_json_get (tokenizer, "model"), "vocab");
  const EngJson *normalizer = eng_json_get (tokenizer, "normalizer");
  EngConvertVocab *v = eng_convert_vocab_new (c, false);
  bool flag;
  if (!v)
    return;
  for (size_t i = 0; i < vocab->n && c->status == ENG_OK; i++)
    {
      const EngJson *entry = eng_json_at (vocab, i);
      char text[1024];
      int n = 0;
      if (entry->type != ENG_JSON_NUMBER || !entry->is_integer || entry->key_bytes > 1000)
        eng_convert_fail (c, ENG_ERR_FORMAT, "vocab", "entry %zu of the vocabulary is broken", i);
      else if (entry->key_bytes >= 2 && memcmp (entry->key, "##", 2) == 0)
        n = snprintf (text, sizeof text, "%s", entry->key + 2);
      else
        n = snprintf (text, sizeof text, "\xe2\x96\x81%s", entry->key);
      if (c->status == ENG_OK)
        eng_convert_vocab_set (c, v, entry->integer, text, (size_t) n, ENG_TOKEN_NORMAL, 0);
    }
  eng_convert_vocab_add_added (c, v, tokenizer);
  eng_convert_vocab_write (c, v, "bert", "default");
  if (eng_json_get_bool (normalizer, "lowercase", &flag))
    {
      eng_convert_set_key_bool (c, "tokenizer.ggml.normalizer.lowercase", flag);
      eng_json_get_bool (normalizer, "strip_accents", &flag); /* null: as lowercase */
      eng_convert_set_key_bool (c, "tokenizer.ggml.normalizer.strip_accents", flag);
    }
}

static size_t
decode_base64 (const char *text, size_t n, uint8_t *out)
{
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  uint32_t bits = 0;
  size_t m = 0;
  int n_bits = 0;
  for (size_t i = 0; i < n && text[i] != '='; i++)
    {
      const char *at = text[i] ? strchr (digits, text[i]) : NULL;
      if (!at)
        continue;
      bits = bits << 6 | (uint32_t) (at - digits);
      n_bits += 6;
      if (n_bits >= 8)
        out[m++] = (uint8_t) (bits >> (n_bits -= 8));
    }
  return m;
}

static const EngJson *
find_charsmap (const EngJson *value)
{
  const EngJson *map = eng_json_get (value, "precompiled_charsmap");
  if (map && map->type == ENG_JSON_STRING)
    return map;
  for (size_t i = 0;
       value && (value->type == ENG_JSON_ARRAY || value->type == ENG_JSON_OBJECT) && i < value->n; i++)
    if ((map = find_charsmap (eng_json_at (value, i))))
      return map;
  return NULL;
}

static bool
adds_prefix_space (const EngJson *value)
{
  if (!value || (value->type != ENG_JSON_OBJECT && value->type != ENG_JSON_ARRAY))
    return false;
  if (eng_json_is_string (eng_json_get (value, "type"), "Metaspace"))
    {
      bool add = true;
      eng_json_get_bool (value, "add_prefix_space", &add);
      return add && !eng_json_is_string (eng_json_get (value, "prepend_scheme"), "never");
    }
  for (size_t i = 0; i < value->n; i++)
    if (adds_prefix_space (eng_json_at (value, i)))
      return true;
  return false;
}

static void
write_unigram (EngConvert *c, const EngJson *tokenizer)
{
  const EngJson *model = eng_json_get (tokenizer, "model"), *vocab = eng_json_get (model, "vocab");
  const EngJson *pre = eng_json_get (tokenizer, "pre_tokenizer");
  const EngJson *charsmap = find_charsmap (eng_json_get (tokenizer, "normalizer"));
  int64_t unknown = -1;
  EngConvertVocab *v = eng_convert_vocab_new (c, true);
  eng_json_get_int64 (model, "unk_id", &unknown);
  for (size_t i = 0; v && i < vocab->n && c->status == ENG_OK; i++)
    {
      const EngJson *text = eng_json_at (eng_json_at (vocab, i), 0);
      const EngJson *score = eng_json_at (eng_json_at (vocab, i), 1);
      if (!text || text->type != ENG_JSON_STRING || !score || score->type != ENG_JSON_NUMBER)
        eng_convert_fail (c, ENG_ERR_FORMAT, "vocab", "entry %zu of the vocabulary is broken", i);
      else
        eng_convert_vocab_set (c, v, (int64_t) i, text->string, text->n,
                               (int64_t) i == unknown ? ENG_TOKEN_UNKNOWN : ENG_TOKEN_NORMAL,
                               (float) score->number);
    }
  if (c->status != ENG_OK)
    return;
  eng_convert_vocab_add_added (c, v, tokenizer);
  eng_convert_vocab_write (c, v, "t5", "default");
  eng_convert_set_key_bool (c, "tokenizer.ggml.add_space_prefix", adds_prefix_space (pre));
  eng_convert_set_key_bool (c, "tokenizer.ggml.remove_extra_whitespaces",
                            eng_convert_json_mentions (pre, "WhitespaceSplit")
                                || eng_convert_json_mentions (eng_json_get (tokenizer, "normalizer"),
                                                              "Replace"));
  uint8_t *map = charsmap ? eng_arena_alloc (&c->arena, charsmap->n) : NULL;
  if (map && c->status == ENG_OK)
    c->status = eng_gguf_writer_set_array (c->writer, "tokenizer.ggml.precompiled_charsmap",
                                           ENG_GGUF_U8,
                                           decode_base64 (charsmap->string, charsmap->n, map), map,
                                           c->error);
}

/* ---- Choice -------------------------------------------------------------------------------------- */

static void
write_from_json (EngConvert *c, const EngJson *tokenizer)
{
  const EngJson *model = eng_json_get (tokenizer, "model"), *vocab = eng_json_get (model, "vocab");
  const char *type = NULL;
  bool fallback = false;
  eng_json_get_string (model, "type", &type);
  eng_json_get_bool (model, "byte_fallback", &fallback);
  if (!type && eng_json_get (model, "merges"))
    type = "BPE"; /* files from before the field */
  EngJsonType wanted
      = type && strcmp (type, "Unigram") == 0 ? ENG_JSON_ARRAY : ENG_JSON_OBJECT;
  if (!type || !vocab || vocab->type != wanted)
    eng_convert_fail (c, ENG_ERR_FORMAT, "tokenizer.json", "tokenizer.json has no model with a vocab");
  else if (strcmp (type, "BPE") == 0 && fallback)
    eng_convert_vocab_spm_json (c, tokenizer);
  else if (strcmp (type, "BPE") == 0)
    eng_convert_vocab_bpe (c, tokenizer);
  else if (strcmp (type, "WordPiece") == 0)
    write_wordpiece (c, tokenizer);
  else if (strcmp (type, "Unigram") == 0)
    write_unigram (c, tokenizer);
  else
    eng_convert_fail (c, ENG_ERR_UNSUPPORTED, "tokenizer.json",
                      "the tokenizer's kind %s is not supported", type);
}

void
eng_convert_vocab (EngConvert *c)
{
  const EngJson *tokenizer = eng_convert_read_json (c, "tokenizer.json", false);
  const EngJson *config = eng_convert_read_json (c, "tokenizer_config.json", false);
  if (c->status != ENG_OK)
    return;
  /* Theirs is the only one with all there is: an encoder's kind, or Gemma 4's merges. */
  bool from_json = eng_convert_is_one_of ("bert|nomic-bert|gemma4", c->arch->name);
  if (from_json || !eng_convert_vocab_spm (c, tokenizer))
    {
      if (tokenizer)
        write_from_json (c, tokenizer);
      else
        eng_convert_fail (c, ENG_ERR_NOT_FOUND, "tokenizer.json",
                          "the folder has neither tokenizer.json nor tokenizer.model");
    }
  if (c->status == ENG_OK)
    set_special_tokens (c, tokenizer, config);
  if (c->status == ENG_OK)
    set_template (c, config);
}
