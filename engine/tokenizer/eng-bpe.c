/* SPDX-License-Identifier: Apache-2.0 */
/* Byte-pair encoding: cut the text into pieces, merge each piece's symbols in the order of the
 * merges (Sennrich, Haddow, Birch 2016; on bytes as in GPT-2).
 *
 * Most pieces of ordinary text are one token. For those the merges are run once and the outcome is
 * remembered per token (`whole`), which is what makes encoding fast; it cannot be assumed, because a
 * vocabulary may hold tokens that its own merges never reach. */
#include <string.h>

#include "eng-error.h"
#include "eng-tokenizer-private.h"
#include "eng-utf8.h"

#define FREE_PAIR UINT64_MAX

int
eng_bpe_byte_of (uint32_t cp)
{
  /* openai/gpt-2, encoder.py, bytes_to_unicode: printable Latin-1 stands for itself, the other 68
   * bytes in ascending order are U+0100 and up. */
  if ((cp >= 0x21 && cp <= 0x7e) || (cp >= 0xa1 && cp <= 0xac) || (cp >= 0xae && cp <= 0xff))
    return (int) cp;
  if (cp < 0x100 || cp >= 0x100 + 68)
    return -1;
  uint32_t k = cp - 0x100;
  return (int) (k <= 0x20 ? k : k < 67 ? 0x7f + (k - 0x21) : 0xad);
}

static uint64_t
pair_slot (uint64_t pair, uint64_t mask)
{
  return (pair * 0x9e3779b97f4a7c15u >> 20) & mask;
}

static const EngMerge *
find_merge (const EngTokenizer *tok, int32_t left, int32_t right)
{
  if (left < 0 || right < 0)
    return NULL;
  uint64_t pair = (uint64_t) (uint32_t) left << 32 | (uint32_t) right;
  for (uint64_t i = pair_slot (pair, tok->merges_mask);; i = (i + 1) & tok->merges_mask)
    {
      if (tok->merges[i].pair == pair)
        return &tok->merges[i];
      if (tok->merges[i].pair == FREE_PAIR)
        return NULL;
    }
}

static void
put_merge (EngTokenizer *tok, int32_t left, int32_t right, uint32_t rank, int32_t id)
{
  uint64_t pair = (uint64_t) (uint32_t) left << 32 | (uint32_t) right;
  uint64_t i = pair_slot (pair, tok->merges_mask);
  for (; tok->merges[i].pair != FREE_PAIR; i = (i + 1) & tok->merges_mask)
    if (tok->merges[i].pair == pair)
      return; /* written twice: the better rank came first */
  tok->merges[i] = (EngMerge) { pair, rank, id };
}

static EngStatus
merge_error (EngError *error, size_t i, const char *what, const char *text, size_t n)
{
  return eng_error_set (error, ENG_ERR_FORMAT, "tokenizer.ggml.merges", ENG_OFFSET_NONE,
                        "merge %zu %s: \"%.*s\"", i, what, (int) (n < 80 ? n : 80), text);
}

/* Merge @i, "left right": both and their union must be tokens. */
static EngStatus
add_merge (EngTokenizer *tok, size_t i, const EngString *merge, char *joined, EngError *error)
{
  const char *text = merge->text;
  size_t n = merge->n_bytes;
  const char *space = n > 2 ? memchr (text + 1, ' ', n - 2) : NULL;
  if (!space)
    return merge_error (error, i, "is not two tokens with a space between", text, n);
  if (n > 2 * (size_t) ENG_TOKENIZER_MAX_TOKEN_BYTES)
    return merge_error (error, i, "is too long", text, n);
  size_t n_left = (size_t) (space - text), n_right = n - n_left - 1;
  memcpy (joined, text, n_left);
  memcpy (joined + n_left, space + 1, n_right);
  int32_t left = eng_token_map_find (&tok->by_name, text, n_left);
  int32_t right = eng_token_map_find (&tok->by_name, space + 1, n_right);
  int32_t id = eng_token_map_find (&tok->by_name, joined, n_left + n_right);
  if (left < 0 || right < 0 || id < 0)
    return merge_error (error, i, id < 0 && left >= 0 && right >= 0
                                      ? "makes a text that is no token"
                                      : "names a text that is no token",
                        text, n);
  if ((tok->flags[left] | tok->flags[right] | tok->flags[id]) & ENG_TOKEN_IS_CONTROL)
    eng_log (ENG_LOG_WARNING, "merge %zu would make or use a control token: left out", i);
  else
    put_merge (tok, left, right, (uint32_t) i, id);
  return ENG_OK;
}

/* The token <0xXX>. Only tokens of type BYTE count for SentencePiece kinds: the same characters
 * typed by a person are not a byte. */
static int32_t
find_byte_token (const EngTokenizer *tok, unsigned byte)
{
  static const char hex[] = "0123456789ABCDEF";
  const char name[6] = { '<', '0', 'x', hex[byte >> 4], hex[byte & 15], '>' };
  return eng_token_map_find (&tok->by_name, name, sizeof name);
}

EngStatus
eng_bpe_build (EngTokenizer *tok, const EngTokenizerSpec *spec, EngError *error)
{
  for (unsigned b = 0; b < 256; b++)
    {
      uint8_t byte = (uint8_t) b;
      tok->byte_ids[b] = tok->kind == ENG_KIND_BPE_BYTES
                             ? eng_token_map_find (&tok->by_piece, &byte, 1)
                             : find_byte_token (tok, b);
    }
  if (tok->kind != ENG_KIND_BPE_BYTES && tok->kind != ENG_KIND_BPE_CHARS)
    return ENG_OK;
  if (spec->n_merges >= UINT32_MAX / 4)
    return eng_error_set (error, ENG_ERR_LIMIT, "tokenizer.ggml.merges", ENG_OFFSET_NONE,
                          "%zu merges are more than this engine takes", spec->n_merges);
  size_t capacity = 16;
  while (capacity < spec->n_merges * 2)
    capacity *= 2;
  tok->merges = eng_arena_alloc_array (&tok->arena, capacity, sizeof *tok->merges);
  char *joined = eng_arena_alloc (&tok->arena, 2 * (size_t) ENG_TOKENIZER_MAX_TOKEN_BYTES);
  if (!tok->merges || !joined)
    return eng_tokenizer_no_memory (error);
  for (size_t i = 0; i < capacity; i++)
    tok->merges[i].pair = FREE_PAIR;
  tok->merges_mask = capacity - 1;
  for (size_t i = 0; i < spec->n_merges; i++)
    {
      EngStatus status = add_merge (tok, i, &spec->merges[i], joined, error);
      if (status)
        return status;
    }
  return ENG_OK;
}

static bool
bpe_pair (const EngTokenizer *tok, const uint8_t *text, const EngSymbol *left,
          const EngSymbol *right, uint32_t *priority, int32_t *id)
{
  const EngMerge *merge = find_merge (tok, left->id, right->id);
  if (!merge)
    return false;
  *priority = merge->rank;
  *id = merge->id;
  return true;
}

static bool
add_symbols (EngEncoder *enc, const uint8_t *piece, size_t n)
{
  const EngTokenizer *tok = enc->tok;
  enc->scratch.n_symbols = 0;
  for (size_t i = 0; i < n;)
    {
      size_t len = 1;
      int32_t id = tok->byte_ids[piece[i]];
      if (tok->kind == ENG_KIND_BPE_CHARS)
        {
          uint32_t cp;
          len = eng_utf8_next (piece + i, n - i, &cp);
          id = eng_token_map_find (&tok->by_piece, piece + i, len);
        }
      if (!eng_scratch_add_symbol (&enc->scratch, (uint32_t) i, (uint32_t) len, id))
        return false;
      i += len;
    }
  return true;
}

static EngStatus
encode_piece (EngEncoder *enc, const uint8_t *piece, size_t n)
{
  const EngTokenizer *tok = enc->tok;
  int32_t whole = n <= tok->max_piece_bytes ? eng_token_map_find (&tok->by_piece, piece, n)
                                            : ENG_TOKEN_NONE;
  if (whole >= 0 && (tok->ignore_merges || n == 1 || tok->whole[whole] == 1))
    return eng_encoder_emit (enc, whole);
  if (!add_symbols (enc, piece, n)
      || !eng_merge_symbols (tok, &enc->scratch, piece, bpe_pair))
    return ENG_ERR_NO_MEMORY;
  if (whole >= 0)
    {
      const EngSymbol *first = enc->scratch.symbols;
      tok->whole[whole] = first->n_bytes == n && first->id == whole ? 1 : 2;
    }
  return eng_encoder_emit_symbols (enc, piece);
}

/* "gemma4": a run of newlines that is a token is taken whole (its merges do not reach them all). */
static bool
is_newlines (const uint8_t *s, size_t n)
{
  for (size_t i = 0; i < n; i++)
    if (s[i] != '\n')
      return false;
  return n > 0;
}

EngStatus
eng_bpe_encode (EngEncoder *enc, const uint8_t *text, size_t n)
{
  EngPieceIter iter;
  size_t begin, end;
  if (enc->tok->kind == ENG_KIND_BPE_CHARS)
    {
      if (!eng_spm_normalize (enc, text, n))
        return ENG_ERR_NO_MEMORY;
      text = enc->scratch.text;
      n = enc->scratch.n_text;
    }
  eng_piece_iter_init (&iter, enc->tok->pre, text, n);
  while (eng_piece_iter_next (&iter, &begin, &end))
    {
      const uint8_t *piece = text + begin;
      int32_t id = ENG_TOKEN_NONE;
      if (enc->tok->kind == ENG_KIND_BPE_CHARS && is_newlines (piece, end - begin))
        id = eng_token_map_find (&enc->tok->by_piece, piece, end - begin);
      EngStatus status = id >= 0 ? eng_encoder_emit (enc, id)
                                 : encode_piece (enc, piece, end - begin);
      if (status)
        return status;
    }
  return ENG_OK;
}
