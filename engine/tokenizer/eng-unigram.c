/* SPDX-License-Identifier: Apache-2.0 */
/* SentencePiece's unigram model (Kudo 2018): of all ways to cut a text into tokens the one with the
 * largest sum of scores. Scores are log probabilities; sums are double, as in the reference. */
#include <float.h>
#include <string.h>

#include "eng-error.h"
#include "eng-tokenizer-private.h"
#include "eng-utf8.h"

/* sentencepiece, unigram_model.cc: an unknown character costs this much more than the worst one. */
#define UNKNOWN_PENALTY 10.0

#define CHAR_MAP_KEY "tokenizer.ggml.precompiled_charsmap"

/* The character map: length of the array in bytes (little endian), the array, then the
 * replacements, each ended by a NUL (sentencepiece, normalizer.cc). */
static EngStatus
build_char_map (EngTokenizer *tok, const EngTokenizerSpec *spec, EngError *error)
{
  uint32_t n_bytes;
  if (!spec->char_map || spec->n_char_map_bytes == 0)
    return ENG_OK;
  if (spec->n_char_map_bytes < sizeof n_bytes)
    return eng_error_set (error, ENG_ERR_FORMAT, CHAR_MAP_KEY, 0, "the character map is cut off");
  memcpy (&n_bytes, spec->char_map, sizeof n_bytes);
  size_t rest = spec->n_char_map_bytes - sizeof n_bytes;
  if (n_bytes % 4 || n_bytes == 0 || n_bytes >= rest
      || spec->char_map[spec->n_char_map_bytes - 1] != 0)
    return eng_error_set (error, ENG_ERR_FORMAT, CHAR_MAP_KEY, 0,
                          "the character map of %zu bytes contradicts its length field %u",
                          spec->n_char_map_bytes, n_bytes);
  uint32_t *map = eng_arena_alloc (&tok->arena, n_bytes);
  char *text = eng_arena_strndup (&tok->arena, (const char *) spec->char_map + 4 + n_bytes,
                                  rest - n_bytes);
  if (!map || !text)
    return eng_tokenizer_no_memory (error);
  memcpy (map, spec->char_map + 4, n_bytes);
  tok->char_map = map;
  tok->n_char_map = n_bytes / 4;
  tok->char_map_text = text;
  tok->n_char_map_text = rest - n_bytes;
  return ENG_OK;
}

EngStatus
eng_unigram_build (EngTokenizer *tok, const EngTokenizerSpec *spec, EngError *error)
{
  tok->min_score = FLT_MAX;
  for (size_t i = 0; i < tok->n_tokens; i++)
    if (tok->types[i] == ENG_TOKEN_NORMAL && tok->scores[i] < tok->min_score)
      tok->min_score = tok->scores[i];
  if (tok->min_score == FLT_MAX)
    tok->min_score = 0;
  return build_char_map (tok, spec, error);
}

/* A unit of the darts-clone double array (github.com/s-yata/darts-clone, darts.h): child label in
 * bits 0 to 7 (with bit 31, which only value units set), "has a value" in bit 8, offset above. */
static uint32_t
unit_offset (uint32_t unit)
{
  return (unit >> 10) << ((unit & 0x200) >> 6);
}

/* Longest prefix of the text that the map replaces: its length, 0 = none; *to gets the place of the
 * replacement. An index out of the array ends the search like a label that does not fit. */
static size_t
map_prefix (const EngTokenizer *tok, const uint8_t *s, size_t n, uint32_t *to)
{
  size_t longest = 0;
  if (tok->n_char_map == 0)
    return 0;
  uint32_t at = unit_offset (tok->char_map[0]);
  for (size_t i = 0; i < n && s[i]; i++)
    {
      at ^= s[i];
      if (at >= tok->n_char_map)
        break;
      uint32_t unit = tok->char_map[at];
      if ((unit & 0x800000ffu) != s[i])
        break;
      at ^= unit_offset (unit);
      if (at >= tok->n_char_map)
        break;
      if (unit & 0x100)
        {
          uint32_t value = tok->char_map[at] & 0x7fffffffu;
          if (value < tok->n_char_map_text)
            {
              longest = i + 1;
              *to = value;
            }
        }
    }
  return longest;
}

/* One step of normalization: the @n_in bytes at @s become @n_out bytes. */
static const uint8_t *
normalize_step (const EngTokenizer *tok, const uint8_t *s, size_t n, size_t *n_in, size_t *n_out)
{
  uint32_t at = 0, cp;
  *n_in = map_prefix (tok, s, n, &at);
  if (*n_in > 0)
    {
      const char *replacement = tok->char_map_text + at;
      *n_out = strlen (replacement); /* the last byte of the map is a NUL */
      return (const uint8_t *) replacement;
    }
  *n_in = *n_out = eng_utf8_next (s, n, &cp);
  if (cp != ENG_UTF8_INVALID)
    return s;
  *n_in = 1;
  *n_out = 3;
  return (const uint8_t *) "\xef\xbf\xbd";
}

/* Into scratch->text. A word's space goes in front of it; with remove_extra_whitespaces each word
 * has exactly one and the rest go. */
static bool
normalize (EngEncoder *enc, const uint8_t *s, size_t n)
{
  const EngTokenizer *tok = enc->tok;
  EngScratch *scratch = &enc->scratch;
  bool in_word = false, prefixed = !(tok->add_space_prefix && enc->at_start);
  scratch->n_text = 0;
  for (size_t i = 0, n_in, n_out; i < n; i += n_in)
    {
      const uint8_t *out = normalize_step (tok, s + i, n - i, &n_in, &n_out);
      for (size_t k = 0; k < n_out; k++)
        {
          bool mark = out[k] == 0xe2 && k + 2 < n_out && out[k + 1] == 0x96 && out[k + 2] == 0x81;
          bool space = out[k] == ' ' || mark;
          bool put_space = space ? !tok->remove_extra_whitespaces
                                 : !in_word && (!prefixed || tok->remove_extra_whitespaces);
          if (put_space && !eng_scratch_put (scratch, " ", 1))
            return false;
          if (!space && put_space)
            prefixed = true;
          in_word = !space;
          if (!space && !eng_scratch_put (scratch, &out[k], 1))
            return false;
          k += mark ? 2 : 0;
        }
    }
  return true;
}

static void
offer (EngBestPath *path, size_t from, size_t n, double score, int32_t id)
{
  EngBestPath *to = &path[from + n];
  score += path[from].score;
  if (to->n_bytes == 0 || score > to->score)
    *to = (EngBestPath) { score, (uint32_t) n, id };
}

/* Fill scratch->path for the @n bytes at @s. */
static bool
find_best (EngEncoder *enc, const uint8_t *s, size_t n)
{
  const EngTokenizer *tok = enc->tok;
  EngScratch *scratch = &enc->scratch;
  if (!eng_scratch_reserve ((void **) &scratch->path, &scratch->path_capacity, n + 1,
                            sizeof *scratch->path))
    return false;
  EngBestPath *path = scratch->path;
  memset (path, 0, (n + 1) * sizeof *path);
  for (size_t i = 0; i < n;)
    {
      uint32_t cp;
      size_t char_bytes = eng_utf8_next (s + i, n - i, &cp);
      bool covered = false;
      uint32_t node = 0;
      for (size_t k = i; k < n && (node = eng_byte_trie_child (&tok->words, node, s[k])); k++)
        {
          int32_t id = tok->words.nodes[node].id;
          if (id < 0)
            continue;
          covered |= k + 1 - i == char_bytes;
          offer (path, i, k + 1 - i,
                 tok->types[id] == ENG_TOKEN_USER_DEFINED ? 0.0 : (double) tok->scores[id], id);
        }
      if (!covered)
        offer (path, i, char_bytes, (double) tok->min_score - UNKNOWN_PENALTY, ENG_TOKEN_NONE);
      i += char_bytes;
    }
  return true;
}

/* Ids of the best cut, in order; neighbouring unknowns become one. */
static EngStatus
encode_part (EngEncoder *enc, const uint8_t *s, size_t n, bool *after_unknown)
{
  if (!find_best (enc, s, n))
    return ENG_ERR_NO_MEMORY;
  EngBestPath *path = enc->scratch.path;
  /* Turn the way back from the end into a way forward: path[i] gets the token that begins there. */
  EngBestPath step = path[n];
  for (size_t at = n; at > 0;)
    {
      size_t from = at - step.n_bytes;
      EngBestPath before = path[from];
      path[from] = step;
      step = before;
      at = from;
    }
  for (size_t at = 0; at < n; at += path[at].n_bytes)
    {
      bool unknown = path[at].id == ENG_TOKEN_NONE;
      EngStatus status = ENG_OK;
      if (!unknown)
        status = eng_encoder_emit (enc, path[at].id);
      else if (enc->tok->text_unk < 0)
        enc->out->n_dropped_bytes += path[at].n_bytes;
      else if (!*after_unknown)
        status = eng_encoder_emit (enc, enc->tok->text_unk);
      if (status)
        return status;
      *after_unknown = unknown;
    }
  return ENG_OK;
}

EngStatus
eng_unigram_encode (EngEncoder *enc, const uint8_t *text, size_t n)
{
  if (!normalize (enc, text, n))
    return ENG_ERR_NO_MEMORY;
  const uint8_t *s = enc->scratch.text;
  size_t end = enc->scratch.n_text, from = 0;
  bool after_unknown = false;
  /* No token spans such a place, so every cut of the text cuts there: solve part by part. */
  if (!enc->tok->inner_space)
    for (size_t i = 1; i < end; i++)
      if (s[i] == ' ' && s[i - 1] != ' ')
        {
          EngStatus status = encode_part (enc, s + from, i - from, &after_unknown);
          if (status)
            return status;
          from = i;
        }
  return from < end ? encode_part (enc, s + from, end - from, &after_unknown) : ENG_OK;
}
