/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-embed.h"

#include <math.h>
#include <string.h>

#include "eng-session-private.h"

uint32_t
eng_embed_get_width (const EngSession *session)
{
  return eng_model_get_program (session->model)->n_output;
}

/* Is the model's name, or its last part, one of the E5 family: "multilingual-e5-small", "E5 Large v2"? */
static bool
is_e5 (const char *name)
{
  for (const char *p = name; *p; p++)
    if ((*p == 'e' || *p == 'E') && p[1] == '5' && (p == name || strchr ("-_ /", p[-1]))
        && (!p[2] || strchr ("-_ ", p[2])))
      return true;
  return false;
}

/* What the makers of a family tell its users to put in front (model cards of nomic-embed-text, EmbeddingGemma and
 * E5). */
static const char *
get_prefix (const EngSession *s, EngEmbedKind kind)
{
  const EngModelInfo *info = eng_model_get_info (s->model);
  if (strcmp (info->architecture, "nomic-bert") == 0)
    return kind == ENG_EMBED_QUERY ? "search_query: " : "search_document: ";
  if (strcmp (info->architecture, "gemma-embedding") == 0)
    return kind == ENG_EMBED_QUERY ? "task: search result | query: " : "title: none | text: ";
  if (is_e5 (info->name))
    return kind == ENG_EMBED_QUERY ? "query: " : "passage: ";
  return "";
}

void
eng_embed_parts_free (EngEmbedParts *parts)
{
  eng_token_buffer_free (&parts->ids);
  eng_free (parts->n);
  *parts = (EngEmbedParts) { .n = NULL };
}

static EngStatus
no_memory (EngError *error)
{
  return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE, "no memory");
}

/* The opening mark, or none. */
static int32_t
get_opening (const EngTokenizer *t)
{
  return eng_tokenizer_get_add_bos (t) ? eng_tokenizer_get_bos (t) : ENG_TOKEN_NONE;
}

/* The closing mark, or none. */
static int32_t
get_closing (const EngTokenizer *t)
{
  if (eng_tokenizer_get_add_sep (t) && eng_tokenizer_get_sep (t) != ENG_TOKEN_NONE)
    return eng_tokenizer_get_sep (t);
  return eng_tokenizer_get_add_eos (t) ? eng_tokenizer_get_eos (t) : ENG_TOKEN_NONE;
}

/* Append the opening mark and the ids of @prefix and @text as one text. */
static EngStatus
encode_open (const EngTokenizer *t, EngString prefix, EngString text, EngTokenBuffer *ids, EngError *error)
{
  int32_t bos = get_opening (t);
  if (bos != ENG_TOKEN_NONE && eng_token_buffer_append (ids, &bos, 1) != ENG_OK)
    return no_memory (error);
  const EngTextSpan spans[2] = { { .text = prefix.text, .n_bytes = prefix.n_bytes },
                                 { .text = text.text, .n_bytes = text.n_bytes } };
  return eng_tokenizer_encode_spans (t, spans, 2, ENG_ENCODE_PLAIN, ids, error);
}

/* One more part, of @opening, @n ids and @closing. */
static EngStatus
add_part (EngEmbedParts *parts, const EngTokenBuffer *opening, const int32_t *ids, size_t n, int32_t closing,
          EngError *error)
{
  if (parts->n_parts == parts->capacity)
    {
      uint32_t capacity = parts->capacity ? 2 * parts->capacity : 16;
      uint32_t *larger = eng_alloc_array (capacity, sizeof *larger);
      if (!larger)
        return no_memory (error);
      if (parts->n_parts)
        memcpy (larger, parts->n, parts->n_parts * sizeof *larger);
      eng_free (parts->n);
      parts->n = larger;
      parts->capacity = capacity;
    }
  size_t before = parts->ids.n;
  if ((opening && eng_token_buffer_append (&parts->ids, opening->ids, opening->n) != ENG_OK)
      || eng_token_buffer_append (&parts->ids, ids, n) != ENG_OK
      || (closing != ENG_TOKEN_NONE && eng_token_buffer_append (&parts->ids, &closing, 1) != ENG_OK))
    return no_memory (error);
  parts->n[parts->n_parts++] = (uint32_t) (parts->ids.n - before);
  return ENG_OK;
}

static bool
begins_word (const EngTokenizer *t, int32_t id)
{
  const char *piece;
  size_t n;
  return eng_tokenizer_get_piece (t, id, &piece, &n) && n > 0 && piece[0] == ' ';
}

/* Ids of the next part, when @n are left and at most @most fit: about as many as each of those that follow will have,
 * so that none is a rest which says nothing. */
static size_t
choose_length (const EngTokenizer *t, const int32_t *ids, size_t n, size_t most)
{
  if (n <= most)
    return n;
  size_t n_parts = (n + most - 1) / most, even = (n + n_parts - 1) / n_parts;
  for (size_t length = even; length > even - even / 4; length--)
    if (begins_word (t, ids[length]))
      return length;
  return even;
}

/* @whole, opening mark and prefix included, as parts of at most @most ids. */
static EngStatus
cut (const EngTokenizer *t, EngString prefix, const EngTokenBuffer *whole, size_t most, int32_t closing,
     EngEmbedParts *parts, EngError *error)
{
  EngTokenBuffer opening = { 0 };
  /* The space behind it belongs to the text's first word in some vocabularies. */
  while (prefix.n_bytes > 0 && prefix.text[prefix.n_bytes - 1] == ' ')
    prefix.n_bytes--;
  EngStatus status = encode_open (t, prefix, (EngString) { "", 0 }, &opening, error);
  size_t around = opening.n + (closing != ENG_TOKEN_NONE);
  if (status == ENG_OK && around >= most)
    status = eng_error_set_numbers (error, ENG_ERR_LIMIT, "ctx", around, most,
                                    "a context of %zu tokens has no room for a text", most);
  /* Where the prefix has grown together with the text, it is a part's text like any other. */
  bool apart = opening.n <= whole->n && memcmp (opening.ids, whole->ids, opening.n * sizeof *opening.ids) == 0;
  size_t from = apart ? opening.n : get_opening (t) != ENG_TOKEN_NONE;
  while (status == ENG_OK && from < whole->n)
    {
      size_t n = choose_length (t, whole->ids + from, whole->n - from, most - around);
      status = add_part (parts, &opening, whole->ids + from, n, closing, error);
      from += n;
    }
  eng_token_buffer_free (&opening);
  return status;
}

EngStatus
eng_embed_encode (EngSession *s, const char *text, size_t n_bytes, EngEmbedKind kind, EngEmbedParts *parts,
                  EngError *error)
{
  const EngTokenizer *t = s->tokenizer;
  const EngRunnerOptions *o = eng_runner_get_options (s->runner);
  size_t most = o->n_ctx < o->max_rows ? o->n_ctx : o->max_rows;
  const char *prefix_text = get_prefix (s, kind);
  const EngString prefix = { prefix_text, strlen (prefix_text) };
  int32_t closing = get_closing (t);
  EngTokenBuffer whole = { 0 };
  eng_token_buffer_clear (&parts->ids);
  parts->n_parts = 0;
  EngStatus status = encode_open (t, prefix, (EngString) { text, n_bytes }, &whole, error);
  size_t room = most - (closing != ENG_TOKEN_NONE);
  if (whole.n > room && eng_embed_get_width (s) == 1)
    whole.n = room;
  if (status == ENG_OK && whole.n == 0 && closing == ENG_TOKEN_NONE)
    status = eng_error_set (error, ENG_ERR_ARGUMENT, "texts", ENG_OFFSET_NONE,
                            "an empty text has no embedding in this model");
  else if (status == ENG_OK && whole.n <= room)
    status = add_part (parts, NULL, whole.ids, whole.n, closing, error);
  else if (status == ENG_OK)
    status = cut (t, prefix, &whole, most, closing, parts, error);
  eng_token_buffer_free (&whole);
  return status;
}

static void
normalize (float *v, uint32_t n)
{
  double sum = 0.0;
  for (uint32_t i = 0; i < n; i++)
    sum += (double) v[i] * v[i];
  if (!(sum > 0.0))
    return;
  float factor = (float) (1.0 / sqrt (sum));
  for (uint32_t i = 0; i < n; i++)
    v[i] *= factor;
}

#define MOST_TEXTS 16u

/* Run @n spans of ids as one batch and copy their vectors out. */
static EngStatus
run_batch (EngSession *s, EngRunnerSpan *spans, uint32_t n, ENG_ATOMIC_FLAG *cancel, float *out,
           EngError *error)
{
  EngKvCache *cache = eng_runner_get_cache (s->runner);
  EngStatus status = ENG_OK;
  uint32_t n_made = 0;
  for (; n_made < n && status == ENG_OK; n_made++)
    if ((status = eng_kv_cache_add (cache, &spans[n_made].sequence, error)) != ENG_OK)
      break;
  if (status == ENG_OK)
    status = eng_runner_run (s->runner, spans, n, cancel, error);
  for (uint32_t i = 0; i < n_made; i++)
    eng_kv_cache_remove (cache, spans[i].sequence);
  uint32_t width = eng_embed_get_width (s);
  for (uint32_t i = 0; i < n && status == ENG_OK; i++)
    {
      memcpy (out + (size_t) i * width, eng_runner_get_output (s->runner, i),
              width * sizeof *out);
      if (width > 1)
        normalize (out + (size_t) i * width, width);
    }
  return status;
}

/* Rows that a batch with @n_spans may grow to, when about @max_rows are wanted: one text alone always fits. */
static uint32_t
get_limit (EngSession *s, uint32_t n_spans, uint32_t max_rows)
{
  uint32_t most = eng_runner_get_options (s->runner)->max_rows;
  return n_spans == 0 || max_rows > most ? most : max_rows;
}

static uint32_t
get_most_spans (EngSession *s)
{
  uint32_t most = eng_runner_get_options (s->runner)->max_sequences;
  return most < MOST_TEXTS ? most : MOST_TEXTS;
}

/* The vector of a text in several parts. */
static EngStatus
run_parts (EngSession *s, const EngEmbedParts *parts, uint32_t max_rows, ENG_ATOMIC_FLAG *cancel, float *out,
           EngError *error)
{
  uint32_t width = eng_embed_get_width (s), most = get_most_spans (s);
  float *vectors = eng_alloc_array ((size_t) most * width, sizeof *vectors);
  if (!vectors)
    return no_memory (error);
  memset (out, 0, width * sizeof *out);
  EngStatus status = ENG_OK;
  size_t at = 0;
  for (uint32_t i = 0; i < parts->n_parts && status == ENG_OK;)
    {
      EngRunnerSpan spans[MOST_TEXTS];
      uint32_t n = 0, n_rows = 0;
      for (; n < most && i + n < parts->n_parts && n_rows + parts->n[i + n] <= get_limit (s, n, max_rows); n++)
        {
          spans[n] = (EngRunnerSpan) {
            .tokens = parts->ids.ids + at + n_rows, .n = parts->n[i + n], .outputs = ENG_OUTPUT_LAST
          };
          n_rows += parts->n[i + n];
        }
      status = run_batch (s, spans, n, cancel, vectors, error);
      for (uint32_t j = 0; j < n && status == ENG_OK; j++)
        for (uint32_t k = 0; k < width; k++)
          out[k] += (float) spans[j].n * vectors[(size_t) j * width + k];
      at += n_rows;
      i += n;
    }
  normalize (out, width);
  eng_free (vectors);
  return status;
}

EngStatus
eng_embed_some (EngSession *s, const EngString *texts, uint32_t n, EngEmbedKind kind,
                uint32_t max_rows, ENG_ATOMIC_FLAG *cancel, float *out, uint32_t *n_done,
                EngError *error)
{
  if (eng_model_get_program (s->model)->causal)
    return eng_error_set (error, ENG_ERR_UNSUPPORTED, "general.architecture", ENG_OFFSET_NONE,
                          "the model gives text, not embeddings");
  EngEmbedParts parts = { .n = NULL };
  EngRunnerSpan spans[MOST_TEXTS];
  uint32_t n_spans = 0;
  EngStatus status = ENG_OK;
  /* Ids of all spans stand one behind the other in s->prompt; pointers are set once it stopped growing. */
  eng_token_buffer_clear (&s->prompt);
  while (n_spans < n && n_spans < get_most_spans (s) && status == ENG_OK)
    {
      status = eng_embed_encode (s, texts[n_spans].text, texts[n_spans].n_bytes, kind, &parts, error);
      if (status != ENG_OK || parts.n_parts > 1 || s->prompt.n + parts.ids.n > get_limit (s, n_spans, max_rows))
        break;
      if (eng_token_buffer_append (&s->prompt, parts.ids.ids, parts.ids.n) != ENG_OK)
        status = no_memory (error);
      spans[n_spans++] = (EngRunnerSpan) { .n = (uint32_t) parts.ids.n, .outputs = ENG_OUTPUT_LAST };
    }
  for (uint32_t i = 0, at = 0; i < n_spans; at += spans[i].n, i++)
    spans[i].tokens = s->prompt.ids + at;
  if (status == ENG_OK && n_spans > 0)
    status = run_batch (s, spans, n_spans, cancel, out, error);
  else if (status == ENG_OK)
    status = run_parts (s, &parts, max_rows, cancel, out, error);
  eng_embed_parts_free (&parts);
  if (status == ENG_OK)
    *n_done = n_spans > 0 ? n_spans : 1;
  return status;
}
