/* SPDX-License-Identifier: Apache-2.0 */
/* Key names: ggml-org/ggml, docs/gguf.md, section "Tokenizer"; those missing there are as common
 * converters write them. */
#include "eng-tokenizer-gguf.h"

#include <string.h>
#include <strings.h>

#include "eng-arena.h"
#include "eng-error.h"
#include "eng-tokenizer-private.h"

#define KEY(name) "tokenizer.ggml." name

/* An optional key: absent is fine, anything else wrong is not. */
static EngStatus
optional (EngStatus status, EngError *error)
{
  if (status == ENG_ERR_NOT_FOUND)
    {
      if (error)
        memset (error, 0, sizeof *error);
      return ENG_OK;
    }
  return status;
}

/* A string value as C string of @arena; *out stays NULL when the key is absent. */
static EngStatus
read_string (const EngGguf *gguf, const char *key, EngArena *arena, const char **out,
             EngError *error)
{
  EngGgufString s;
  EngStatus status = eng_gguf_get_string (gguf, key, &s, error);
  if (status)
    return optional (status, error);
  if (s.n_bytes && memchr (s.data, 0, s.n_bytes))
    return eng_error_set (error, ENG_ERR_FORMAT, key, ENG_OFFSET_NONE, "the name holds a NUL");
  *out = eng_arena_strndup (arena, s.n_bytes ? s.data : "", s.n_bytes);
  return *out ? ENG_OK : eng_tokenizer_no_memory (error);
}

static EngStatus
read_strings (const EngGguf *gguf, const char *key, EngArena *arena, const EngString **out,
              size_t *n, EngError *error)
{
  EngGgufArray array;
  EngStatus status = eng_gguf_get_array (gguf, key, ENG_GGUF_STRING, &array, error);
  if (status)
    return status;
  EngString *strings = eng_arena_alloc_array (arena, array.n, sizeof *strings);
  if (!strings)
    return eng_tokenizer_no_memory (error);
  EngGgufStrings it = eng_gguf_array_get_strings (&array);
  EngGgufString s;
  size_t i = 0;
  while (i < array.n && eng_gguf_strings_next (&it, &s))
    strings[i++] = (EngString) { s.data, s.n_bytes };
  if (i < array.n)
    return eng_error_set (error, ENG_ERR_FORMAT, key, array.offset,
                          "the list ends after %zu of %llu strings: the file was changed", i,
                          (unsigned long long) array.n);
  *out = strings;
  *n = i;
  return ENG_OK;
}

/* An optional array that must have one element a token. */
static EngStatus
get_parallel (const EngGguf *gguf, const char *key, EngGgufType type, size_t n_tokens,
              EngGgufArray *array, EngError *error)
{
  EngStatus status = eng_gguf_get_array (gguf, key, type, array, error);
  if (!status && array->n != n_tokens)
    status = eng_error_set (error, ENG_ERR_FORMAT, key, array->offset,
                            "%llu values for %zu tokens", (unsigned long long) array->n, n_tokens);
  return status;
}

static EngStatus
read_types (const EngGguf *gguf, EngArena *arena, EngTokenizerSpec *spec, EngError *error)
{
  EngGgufArray array;
  EngStatus status
      = get_parallel (gguf, KEY ("token_type"), ENG_GGUF_I32, spec->n_tokens, &array, error);
  if (status)
    return optional (status, error);
  int32_t *types = eng_arena_alloc_array (arena, array.n, sizeof *types);
  if (!types)
    return eng_tokenizer_no_memory (error);
  memcpy (types, array.data, array.n * sizeof *types);
  spec->types = types;
  return ENG_OK;
}

static EngStatus
read_scores (const EngGguf *gguf, EngArena *arena, EngTokenizerSpec *spec, EngError *error)
{
  EngGgufArray array;
  EngStatus status
      = get_parallel (gguf, KEY ("scores"), ENG_GGUF_F32, spec->n_tokens, &array, error);
  if (status)
    return optional (status, error);
  float *scores = eng_arena_alloc_array (arena, array.n, sizeof *scores);
  if (!scores)
    return eng_tokenizer_no_memory (error);
  memcpy (scores, array.data, array.n * sizeof *scores);
  spec->scores = scores;
  return ENG_OK;
}

static EngStatus
read_char_map (const EngGguf *gguf, EngTokenizerSpec *spec, EngError *error)
{
  static const char key[] = KEY ("precompiled_charsmap");
  EngGgufValue value;
  EngStatus status = eng_gguf_get_value (gguf, key, &value, error);
  if (status)
    return optional (status, error);
  if (value.type != ENG_GGUF_ARRAY
      || (value.array.type != ENG_GGUF_U8 && value.array.type != ENG_GGUF_I8))
    return eng_error_set (error, ENG_ERR_FORMAT, key, ENG_OFFSET_NONE,
                          "the character map is not an array of bytes");
  spec->char_map = value.array.data;
  spec->n_char_map_bytes = value.array.n;
  return ENG_OK;
}

static EngStatus
read_id (const EngGguf *gguf, const char *key, int32_t *id, EngError *error)
{
  int64_t v;
  EngStatus status = eng_gguf_get_i64 (gguf, key, &v, error);
  if (status)
    return optional (status, error);
  if (v == -1 || v == UINT32_MAX)
    *id = ENG_TOKEN_NONE; /* how some converters write "none" */
  else if (v < 0 || v > INT32_MAX)
    return eng_error_set (error, ENG_ERR_FORMAT, key, ENG_OFFSET_NONE,
                          "token id %lld is outside the vocabulary", (long long) v);
  else
    *id = (int32_t) v;
  return ENG_OK;
}

static EngStatus
read_ids (const EngGguf *gguf, EngTokenizerSpec *spec, EngError *error)
{
  const struct
  {
    const char *key;
    int32_t *id;
  } ids[] = {
    { KEY ("cls_token_id"), &spec->bos }, /* BERT's; bos_token_id wins when both are there */
    { KEY ("bos_token_id"), &spec->bos },
    { KEY ("eos_token_id"), &spec->eos },
    { KEY ("eot_token_id"), &spec->eot },
    { KEY ("eom_token_id"), &spec->eom },
    { KEY ("unknown_token_id"), &spec->unk },
    { KEY ("seperator_token_id"), &spec->sep },
    { KEY ("padding_token_id"), &spec->pad },
    { KEY ("mask_token_id"), &spec->mask },
  };
  for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
    {
      EngStatus status = read_id (gguf, ids[i].key, ids[i].id, error);
      if (status)
        return status;
    }
  return ENG_OK;
}

static EngStatus
read_flags (const EngGguf *gguf, EngTokenizerSpec *spec, EngError *error)
{
  const struct
  {
    const char *key;
    bool *flag;
  } flags[] = {
    { KEY ("add_bos_token"), &spec->add_bos },
    { KEY ("add_eos_token"), &spec->add_eos },
    { KEY ("add_sep_token"), &spec->add_sep },
    { KEY ("add_space_prefix"), &spec->add_space_prefix },
    { KEY ("remove_extra_whitespaces"), &spec->remove_extra_whitespaces },
    { KEY ("normalizer.lowercase"), &spec->lowercase },
    { KEY ("normalizer.strip_accents"), &spec->strip_accents },
  };
  for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
    {
      EngStatus status
          = eng_gguf_get_bool_or (gguf, flags[i].key, *flags[i].flag, flags[i].flag, error);
      if (status)
        return status;
      /* Without a word of its own, accents go where case goes. */
      if (flags[i].flag == &spec->lowercase)
        spec->strip_accents = spec->lowercase;
    }
  return ENG_OK;
}

/* Ids that a file leaves out and that the kind's training tool always gives these names. */
static void
find_missing_ids (EngTokenizerSpec *spec)
{
  const struct
  {
    const char *model, *name;
    int32_t *id;
  } known[] = {
    { "llama", "<s>", &spec->bos },  { "llama", "</s>", &spec->eos },
    { "llama", "<unk>", &spec->unk }, { "t5", "</s>", &spec->eos },
    { "t5", "<unk>", &spec->unk },   { "t5", "<pad>", &spec->pad },
    { "bert", "[CLS]", &spec->bos }, { "bert", "[SEP]", &spec->sep },
    { "bert", "[UNK]", &spec->unk }, { "bert", "[PAD]", &spec->pad },
  };
  for (size_t k = 0; k < sizeof known / sizeof known[0]; k++)
    {
      if (strcmp (spec->model, known[k].model) != 0 || *known[k].id != ENG_TOKEN_NONE)
        continue;
      for (size_t i = 0; i < spec->n_tokens && *known[k].id == ENG_TOKEN_NONE; i++)
        if (spec->tokens[i].n_bytes == strlen (known[k].name)
            && memcmp (spec->tokens[i].text, known[k].name, spec->tokens[i].n_bytes) == 0)
          *known[k].id = (int32_t) i;
    }
}

/* Phi 3's tokenizer file marks its special tokens "rstrip"; GGUF has no place for that. */
static bool
is_phi3 (const char *general_name)
{
  for (; general_name && *general_name; general_name++)
    if (strncasecmp (general_name, "phi-3", 5) == 0 || strncasecmp (general_name, "phi3", 4) == 0)
      return true;
  return false;
}

static EngStatus
read_spec (const EngGguf *gguf, EngArena *arena, EngTokenizerSpec *spec, EngError *error)
{
  const char *model = NULL, *pre = NULL, *name = NULL;
  EngStatus status = read_string (gguf, KEY ("model"), arena, &model, error);
  if (!status && !model)
    status = eng_error_set (error, ENG_ERR_NOT_FOUND, KEY ("model"), ENG_OFFSET_NONE,
                            "the file has no tokenizer");
  if (!status)
    status = read_string (gguf, KEY ("pre"), arena, &pre, error);
  if (status)
    return status;
  eng_tokenizer_spec_init (spec, model, pre);
  status = read_strings (gguf, KEY ("tokens"), arena, &spec->tokens, &spec->n_tokens, error);
  if (!status)
    status = read_types (gguf, arena, spec, error);
  if (!status)
    status = read_scores (gguf, arena, spec, error);
  if (!status)
    status = optional (
        read_strings (gguf, KEY ("merges"), arena, &spec->merges, &spec->n_merges, error), error);
  if (!status && spec->n_merges == 0
      && (strcmp (model, "gpt2") == 0 || strcmp (model, "gemma4") == 0))
    status = eng_error_set (error, ENG_ERR_FORMAT, KEY ("merges"), ENG_OFFSET_NONE,
                            "a byte-pair tokenizer without merges cannot be used");
  if (!status)
    status = read_char_map (gguf, spec, error);
  if (!status)
    status = read_ids (gguf, spec, error);
  if (!status)
    status = read_flags (gguf, spec, error);
  if (!status && strcmp (model, "llama") == 0)
    {
      status = read_string (gguf, "general.name", arena, &name, error);
      spec->strip_after_special = is_phi3 (name);
    }
  if (!status)
    find_missing_ids (spec);
  return status;
}

EngStatus
eng_tokenizer_from_gguf (const EngGguf *gguf, EngTokenizer **out, EngError *error)
{
  EngArena arena = { 0 };
  EngTokenizerSpec spec;
  *out = NULL;
  EngStatus status = read_spec (gguf, &arena, &spec, error);
  if (!status)
    status = eng_tokenizer_new (&spec, out, error);
  eng_arena_clear (&arena);
  return status;
}
