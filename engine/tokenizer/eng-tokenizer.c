/* SPDX-License-Identifier: Apache-2.0 */
/* Creation: everything the spec says is checked here, so that encoding need not. */
#include <math.h>
#include <string.h>

#include "eng-error.h"
#include "eng-tokenizer-private.h"
#include "eng-utf8.h"

static const struct
{
  const char *model;
  EngTokenizerKind kind;
} kinds[] = {
  { "gpt2", ENG_KIND_BPE_BYTES }, { "gemma4", ENG_KIND_BPE_CHARS }, { "llama", ENG_KIND_SPM },
  { "t5", ENG_KIND_UNIGRAM },     { "bert", ENG_KIND_WORDPIECE },
};
#define N_KINDS (sizeof kinds / sizeof kinds[0])

EngStatus
eng_tokenizer_no_memory (EngError *error)
{
  return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE,
                        "no memory for the tokenizer");
}

void
eng_tokenizer_spec_init (EngTokenizerSpec *spec, const char *model, const char *pre_tokenizer)
{
  *spec = (EngTokenizerSpec) { .model = model, .pre_tokenizer = pre_tokenizer };
  spec->bos = spec->eos = spec->eot = spec->eom = ENG_TOKEN_NONE;
  spec->unk = spec->sep = spec->pad = spec->mask = ENG_TOKEN_NONE;
  spec->remove_extra_whitespaces = false;
  if (!model)
    return;
  if (strcmp (model, "llama") == 0)
    spec->add_bos = spec->add_space_prefix = true;
  else if (strcmp (model, "t5") == 0)
    spec->add_eos = spec->add_space_prefix = true;
  else if (strcmp (model, "bert") == 0)
    spec->add_bos = spec->add_sep = spec->lowercase = spec->strip_accents = true;
  else if (strcmp (model, "gemma4") == 0)
    spec->add_bos = true;
  else if (strcmp (model, "gpt2") == 0 && pre_tokenizer)
    {
      const EngPreTokenizer *pre = eng_pre_tokenizer_find (pre_tokenizer);
      spec->ignore_merges = pre && eng_pre_tokenizer_get_ignore_merges (pre);
      spec->add_bos = pre && eng_pre_tokenizer_get_add_bos (pre);
    }
}

static EngStatus
set_kind (EngTokenizer *tok, const EngTokenizerSpec *spec, EngError *error)
{
  size_t i = 0;
  while (i < N_KINDS && (!spec->model || strcmp (spec->model, kinds[i].model) != 0))
    i++;
  if (i == N_KINDS)
    return eng_error_set (error, ENG_ERR_UNSUPPORTED, "tokenizer.ggml.model", ENG_OFFSET_NONE,
                          "the tokenizer kind \"%s\" is not supported",
                          spec->model ? spec->model : "");
  tok->kind = kinds[i].kind;
  tok->model = kinds[i].model;
  const char *pre = tok->kind == ENG_KIND_BPE_CHARS ? "gemma4"
                    : spec->pre_tokenizer           ? spec->pre_tokenizer
                                                    : "default";
  tok->pre = eng_pre_tokenizer_find (pre);
  if (tok->kind == ENG_KIND_BPE_BYTES && !tok->pre)
    return eng_error_set (error, ENG_ERR_UNSUPPORTED, "tokenizer.ggml.pre", ENG_OFFSET_NONE,
                          "the pre-tokenizer \"%s\" is not supported", pre);
  if (tok->kind == ENG_KIND_BPE_BYTES && !spec->pre_tokenizer)
    eng_log (ENG_LOG_WARNING, "the file names no pre-tokenizer: the default may cut words in ways "
                              "the model was not trained with");
  tok->add_bos = spec->add_bos;
  tok->add_eos = spec->add_eos;
  tok->add_sep = spec->add_sep;
  tok->add_space_prefix = spec->add_space_prefix;
  tok->remove_extra_whitespaces = spec->remove_extra_whitespaces;
  tok->lowercase = spec->lowercase;
  tok->strip_accents = spec->strip_accents;
  tok->ignore_merges = spec->ignore_merges;
  return ENG_OK;
}

static EngStatus
check_tokens (const EngTokenizerSpec *spec, EngError *error)
{
  static const char field[] = "tokenizer.ggml.tokens";
  if (spec->n_tokens == 0 || !spec->tokens)
    return eng_error_set (error, ENG_ERR_FORMAT, field, ENG_OFFSET_NONE,
                          "the vocabulary is empty");
  if (spec->n_tokens > ENG_TOKENIZER_MAX_TOKENS)
    return eng_error_set (error, ENG_ERR_LIMIT, field, ENG_OFFSET_NONE,
                          "%zu tokens are more than this engine takes (%u)", spec->n_tokens,
                          ENG_TOKENIZER_MAX_TOKENS);
  for (size_t i = 0; i < spec->n_tokens; i++)
    if (spec->tokens[i].n_bytes > ENG_TOKENIZER_MAX_TOKEN_BYTES)
      return eng_error_set (error, ENG_ERR_LIMIT, field, ENG_OFFSET_NONE,
                            "token %zu is %zu bytes long; the limit is %u", i,
                            spec->tokens[i].n_bytes, ENG_TOKENIZER_MAX_TOKEN_BYTES);
  return ENG_OK;
}

static EngStatus
check_id (const char *field, size_t n_tokens, int32_t id, EngError *error)
{
  if (id == ENG_TOKEN_NONE || (id >= 0 && (size_t) id < n_tokens))
    return ENG_OK;
  return eng_error_set (error, ENG_ERR_FORMAT, field, ENG_OFFSET_NONE,
                        "token id %d is outside the vocabulary of %zu tokens", (int) id, n_tokens);
}

static EngStatus
set_ids (EngTokenizer *tok, const EngTokenizerSpec *spec, EngError *error)
{
  const struct
  {
    const char *field;
    int32_t id;
  } ids[] = {
    { "tokenizer.ggml.bos_token_id", spec->bos },
    { "tokenizer.ggml.eos_token_id", spec->eos },
    { "tokenizer.ggml.eot_token_id", spec->eot },
    { "tokenizer.ggml.eom_token_id", spec->eom },
    { "tokenizer.ggml.unknown_token_id", spec->unk },
    { "tokenizer.ggml.seperator_token_id", spec->sep }, /* spelled so in the format */
    { "tokenizer.ggml.padding_token_id", spec->pad },
    { "tokenizer.ggml.mask_token_id", spec->mask },
  };
  for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
    {
      EngStatus status = check_id (ids[i].field, spec->n_tokens, ids[i].id, error);
      if (status)
        return status;
    }
  for (size_t i = 0; i < spec->n_end_ids; i++)
    if (spec->end_ids[i] < 0 || (size_t) spec->end_ids[i] >= spec->n_tokens)
      return check_id ("end_ids", spec->n_tokens,
                       spec->end_ids[i] < 0 ? INT32_MIN : spec->end_ids[i], error);
  tok->bos = spec->bos;
  tok->eos = spec->eos;
  tok->unk = tok->text_unk = spec->unk;
  tok->sep = spec->sep;
  tok->pad = spec->pad;
  if (tok->add_bos && tok->bos < 0)
    tok->add_bos = false;
  if (tok->add_eos && tok->eos < 0)
    tok->add_eos = false;
  if (tok->add_sep && tok->sep < 0)
    tok->add_sep = false;
  return ENG_OK;
}

static EngStatus
copy_scores (EngTokenizer *tok, const EngTokenizerSpec *spec, EngError *error)
{
  if (!spec->scores)
    {
      if (tok->kind == ENG_KIND_SPM || tok->kind == ENG_KIND_UNIGRAM)
        return eng_error_set (error, ENG_ERR_FORMAT, "tokenizer.ggml.scores", ENG_OFFSET_NONE,
                              "a tokenizer of kind \"%s\" needs scores", tok->model);
      return ENG_OK;
    }
  tok->scores = eng_arena_alloc_array (&tok->arena, tok->n_tokens, sizeof *tok->scores);
  if (!tok->scores)
    return eng_tokenizer_no_memory (error);
  for (size_t i = 0; i < tok->n_tokens; i++)
    {
      if (isnan (spec->scores[i]))
        return eng_error_set (error, ENG_ERR_FORMAT, "tokenizer.ggml.scores", ENG_OFFSET_NONE,
                              "the score of token %zu is not a number", i);
      tok->scores[i] = spec->scores[i];
    }
  return ENG_OK;
}

/* The bytes that a name stands for, written to @out (no longer than the name). */
static size_t
decode_name (const EngTokenizer *tok, size_t id, uint8_t *out)
{
  const uint8_t *s = (const uint8_t *) tok->names[id].text;
  size_t n = tok->names[id].n_bytes, n_out = 0;
  uint8_t type = tok->types[id];
  bool as_is = tok->flags[id] & ENG_TOKEN_IS_CONTROL;
  if (tok->kind == ENG_KIND_BPE_BYTES)
    as_is |= type == ENG_TOKEN_USER_DEFINED;
  else if (type == ENG_TOKEN_BYTE && n == 6)
    {
      unsigned byte;
      char hex[3] = { tok->names[id].text[3], tok->names[id].text[4], 0 };
      if (memcmp (s, "<0x", 3) == 0 && s[5] == '>' && strspn (hex, "0123456789ABCDEFabcdef") == 2)
        {
          byte = 0;
          for (int i = 0; i < 2; i++)
            byte = byte << 4
                   | (unsigned) (hex[i] <= '9' ? hex[i] - '0' : (hex[i] | 0x20) - 'a' + 10);
          out[0] = (uint8_t) byte;
          return 1;
        }
    }
  for (size_t i = 0; i < n && !as_is;)
    {
      uint32_t cp;
      size_t len = eng_utf8_next (s + i, n - i, &cp);
      int byte = tok->kind == ENG_KIND_BPE_BYTES ? eng_bpe_byte_of (cp) : cp == 0x2581 ? ' ' : -1;
      if (byte >= 0)
        out[n_out++] = (uint8_t) byte;
      else if (tok->kind == ENG_KIND_BPE_BYTES)
        as_is = true; /* not in the byte alphabet: an added token with a wrong type */
      else
        {
          memcpy (out + n_out, s + i, len);
          n_out += len;
        }
      i += len;
    }
  if (!as_is)
    return n_out;
  memcpy (out, s, n);
  return n;
}

/* names, types, flags, pieces. */
static EngStatus
copy_tokens (EngTokenizer *tok, const EngTokenizerSpec *spec, EngError *error)
{
  size_t n = spec->n_tokens, total = 0;
  for (size_t i = 0; i < n; i++)
    total += spec->tokens[i].n_bytes;
  tok->n_tokens = n;
  tok->names = eng_arena_alloc_array (&tok->arena, n, sizeof *tok->names);
  tok->pieces = eng_arena_alloc_array (&tok->arena, n, sizeof *tok->pieces);
  tok->types = eng_arena_alloc (&tok->arena, n);
  tok->flags = eng_arena_alloc (&tok->arena, n);
  tok->whole = eng_arena_alloc (&tok->arena, n);
  char *names = eng_arena_alloc (&tok->arena, total);
  uint8_t *pieces = eng_arena_alloc (&tok->arena, total);
  if (!tok->names || !tok->pieces || !tok->types || !tok->flags || !tok->whole || !names || !pieces)
    return eng_tokenizer_no_memory (error);
  for (size_t i = 0; i < n; i++)
    {
      int32_t type = spec->types ? spec->types[i] : ENG_TOKEN_NORMAL;
      tok->types[i] = type >= ENG_TOKEN_NORMAL && type <= ENG_TOKEN_BYTE ? (uint8_t) type
                                                                          : ENG_TOKEN_NORMAL;
      tok->names[i] = (EngString) { names, spec->tokens[i].n_bytes };
      if (spec->tokens[i].n_bytes)
        memcpy (names, spec->tokens[i].text, spec->tokens[i].n_bytes);
      names += spec->tokens[i].n_bytes;
    }
  eng_special_tokens_mark_control (tok);
  for (size_t i = 0; i < n; i++)
    {
      tok->pieces[i] = (EngString) { (const char *) pieces, decode_name (tok, i, pieces) };
      pieces += tok->pieces[i].n_bytes;
      if (spec->strip_after_special
          && (tok->flags[i] & ENG_TOKEN_IS_CONTROL || tok->types[i] == ENG_TOKEN_USER_DEFINED)
          && (int32_t) i != spec->bos && (int32_t) i != spec->unk)
        tok->flags[i] |= ENG_TOKEN_STRIPS_AFTER;
    }
  return ENG_OK;
}

/* Whether plain text may become token @i (invariant 1). Byte tokens of the kinds that spell them
 * <0xXX> come from bytes, never from those characters. */
static bool
is_plain (const EngTokenizer *tok, size_t i)
{
  return !(tok->flags[i] & ENG_TOKEN_IS_CONTROL) && tok->pieces[i].n_bytes > 0
         && (tok->types[i] != ENG_TOKEN_BYTE || tok->kind == ENG_KIND_BPE_BYTES);
}

static void
note_duplicate (const EngTokenizer *tok, int32_t used, size_t i)
{
  if (used != (int32_t) i)
    eng_log (ENG_LOG_DEBUG, "tokens %d and %zu have the same text: %d is used", (int) used, i,
             (int) used);
}

static EngStatus
build_tables (EngTokenizer *tok, EngError *error)
{
  size_t n = tok->n_tokens, n_words = 0, n_specials = 0;
  int32_t *ids = eng_alloc_array (n, sizeof *ids);
  EngStatus status = ENG_ERR_NO_MEMORY;
  if (!ids || !eng_token_map_init (&tok->by_name, &tok->arena, tok->names, n)
      || !eng_token_map_init (&tok->by_piece, &tok->arena, tok->pieces, n))
    goto done;
  for (size_t i = 0; i < n; i++)
    if (is_plain (tok, i))
      {
        note_duplicate (tok, eng_token_map_add (&tok->by_piece, (int32_t) i), i);
        eng_token_map_add (&tok->by_name, (int32_t) i);
        ids[n_words++] = (int32_t) i;
        const EngString *piece = &tok->pieces[i];
        if (piece->n_bytes > tok->max_piece_bytes)
          tok->max_piece_bytes = piece->n_bytes;
        for (size_t k = 1; k < piece->n_bytes && !tok->inner_space; k++)
          tok->inner_space = piece->text[k] == ' ' && piece->text[k - 1] != ' ';
      }
  for (size_t i = 0; i < n; i++)
    if (!is_plain (tok, i) && tok->names[i].n_bytes > 0)
      eng_token_map_add (&tok->by_name, (int32_t) i);
  status = ENG_OK;
  if (tok->kind == ENG_KIND_UNIGRAM || tok->kind == ENG_KIND_WORDPIECE)
    status = eng_byte_trie_build (&tok->words, &tok->arena, tok->pieces, ids, n_words, error);
  /* Control tokens first: text that spells a control token is no added token either. */
  for (int control = 1; control >= 0; control--)
    for (size_t i = 0; i < n; i++)
      if (tok->names[i].n_bytes > 0
          && (control ? (tok->flags[i] & ENG_TOKEN_IS_CONTROL) != 0
                      : tok->types[i] == ENG_TOKEN_USER_DEFINED
                            && !(tok->flags[i] & ENG_TOKEN_IS_CONTROL)))
        ids[n_specials++] = (int32_t) i;
  if (!status)
    status = eng_byte_trie_build (&tok->specials, &tok->arena, tok->names, ids, n_specials, error);
done:
  eng_free (ids);
  return status == ENG_ERR_NO_MEMORY ? eng_tokenizer_no_memory (error) : status;
}

EngStatus
eng_tokenizer_new (const EngTokenizerSpec *spec, EngTokenizer **out, EngError *error)
{
  *out = NULL;
  EngTokenizer *tok = eng_alloc (sizeof *tok);
  if (!tok)
    return eng_tokenizer_no_memory (error);
  EngStatus status = set_kind (tok, spec, error);
  if (!status)
    status = check_tokens (spec, error);
  if (!status)
    status = set_ids (tok, spec, error);
  if (!status)
    status = copy_tokens (tok, spec, error);
  if (!status)
    status = copy_scores (tok, spec, error);
  if (!status)
    status = build_tables (tok, error);
  if (!status)
    status = eng_bpe_build (tok, spec, error);
  if (!status && tok->kind == ENG_KIND_UNIGRAM)
    status = eng_unigram_build (tok, spec, error);
  if (!status)
    status = eng_special_tokens_mark_ends (tok, spec, error);
  /* Byte-pair tokenizers on bytes know no unknown; files name some other control token there
   * (SmolLM 2: its end of text), which text must never become. */
  if (!status && tok->unk >= 0
      && (tok->kind == ENG_KIND_BPE_BYTES || tok->flags[tok->unk] & ENG_TOKEN_IS_END
          || tok->unk == tok->bos || tok->unk == tok->sep))
    tok->text_unk = ENG_TOKEN_NONE;
  if (status)
    eng_tokenizer_free (&tok);
  *out = tok;
  return status;
}

void
eng_tokenizer_free (EngTokenizer **tokenizer)
{
  if (!*tokenizer)
    return;
  eng_arena_clear (&(*tokenizer)->arena);
  eng_free (*tokenizer);
  *tokenizer = NULL;
}

static bool
is_id (const EngTokenizer *tok, int32_t id)
{
  return id >= 0 && (size_t) id < tok->n_tokens;
}

size_t
eng_tokenizer_get_n_tokens (const EngTokenizer *tokenizer)
{
  return tokenizer->n_tokens;
}

const char *
eng_tokenizer_get_model (const EngTokenizer *tokenizer)
{
  return tokenizer->model;
}

bool
eng_tokenizer_get_piece (const EngTokenizer *tokenizer, int32_t id, const char **text,
                         size_t *n_bytes)
{
  if (!is_id (tokenizer, id))
    return false;
  *text = tokenizer->pieces[id].text;
  *n_bytes = tokenizer->pieces[id].n_bytes;
  return true;
}

EngTokenType
eng_tokenizer_get_type (const EngTokenizer *tokenizer, int32_t id)
{
  return is_id (tokenizer, id) ? (EngTokenType) tokenizer->types[id] : ENG_TOKEN_UNUSED;
}

float
eng_tokenizer_get_score (const EngTokenizer *tokenizer, int32_t id)
{
  return tokenizer->scores && is_id (tokenizer, id) ? tokenizer->scores[id] : 0.0f;
}

int32_t
eng_tokenizer_find (const EngTokenizer *tokenizer, const char *text, size_t n_bytes)
{
  return eng_token_map_find (&tokenizer->by_name, text, n_bytes);
}

bool
eng_tokenizer_is_control (const EngTokenizer *tokenizer, int32_t id)
{
  return is_id (tokenizer, id) && tokenizer->flags[id] & ENG_TOKEN_IS_CONTROL;
}

bool
eng_tokenizer_is_end_of_generation (const EngTokenizer *tokenizer, int32_t id)
{
  return is_id (tokenizer, id) && tokenizer->flags[id] & ENG_TOKEN_IS_END;
}

const int32_t *
eng_tokenizer_get_end_ids (const EngTokenizer *tokenizer, size_t *n)
{
  *n = tokenizer->n_end_ids;
  return tokenizer->end_ids;
}

int32_t
eng_tokenizer_get_bos (const EngTokenizer *tokenizer)
{
  return tokenizer->bos;
}

int32_t
eng_tokenizer_get_eos (const EngTokenizer *tokenizer)
{
  return tokenizer->eos;
}

int32_t
eng_tokenizer_get_sep (const EngTokenizer *tokenizer)
{
  return tokenizer->sep;
}

int32_t
eng_tokenizer_get_pad (const EngTokenizer *tokenizer)
{
  return tokenizer->pad;
}

int32_t
eng_tokenizer_get_unk (const EngTokenizer *tokenizer)
{
  return tokenizer->unk;
}

bool
eng_tokenizer_get_add_bos (const EngTokenizer *tokenizer)
{
  return tokenizer->add_bos;
}

bool
eng_tokenizer_get_add_eos (const EngTokenizer *tokenizer)
{
  return tokenizer->add_eos;
}

bool
eng_tokenizer_get_add_sep (const EngTokenizer *tokenizer)
{
  return tokenizer->add_sep;
}
