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

static EngStatus
append_mark (EngTokenBuffer *ids, bool wanted, int32_t id, EngError *error)
{
  if (!wanted || id == ENG_TOKEN_NONE)
    return ENG_OK;
  if (eng_token_buffer_append (ids, &id, 1) != ENG_OK)
    return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE, "no memory");
  return ENG_OK;
}

EngStatus
eng_embed_encode (EngSession *s, const char *text, size_t n_bytes, EngEmbedKind kind,
                  EngTokenBuffer *ids, EngError *error)
{
  const EngTokenizer *t = s->tokenizer;
  const EngRunnerOptions *o = eng_runner_get_options (s->runner);
  uint32_t most = o->n_ctx < o->max_rows ? o->n_ctx : o->max_rows;
  const char *prefix = get_prefix (s, kind);
  eng_token_buffer_clear (ids);
  EngStatus status = append_mark (ids, eng_tokenizer_get_add_bos (t), eng_tokenizer_get_bos (t), error);
  const EngTextSpan spans[2]
      = { { .text = prefix, .n_bytes = strlen (prefix) }, { .text = text, .n_bytes = n_bytes } };
  if (status == ENG_OK)
    status = eng_tokenizer_encode_spans (t, spans, 2, ENG_ENCODE_PLAIN, ids, error);
  bool sep = eng_tokenizer_get_add_sep (t) && eng_tokenizer_get_sep (t) != ENG_TOKEN_NONE;
  bool eos = !sep && eng_tokenizer_get_add_eos (t) && eng_tokenizer_get_eos (t) != ENG_TOKEN_NONE;
  if (ids->n > most - (sep || eos))
    ids->n = most - (sep || eos);
  if (status == ENG_OK)
    status = append_mark (ids, sep, eng_tokenizer_get_sep (t), error);
  if (status == ENG_OK)
    status = append_mark (ids, eos, eng_tokenizer_get_eos (t), error);
  if (status == ENG_OK && ids->n == 0)
    status = eng_error_set (error, ENG_ERR_ARGUMENT, "texts", ENG_OFFSET_NONE,
                            "an empty text has no embedding in this model");
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

EngStatus
eng_embed_some (EngSession *s, const EngString *texts, uint32_t n, EngEmbedKind kind,
                uint32_t max_rows, ENG_ATOMIC_FLAG *cancel, float *out, uint32_t *n_done,
                EngError *error)
{
  if (eng_model_get_program (s->model)->causal)
    return eng_error_set (error, ENG_ERR_UNSUPPORTED, "general.architecture", ENG_OFFSET_NONE,
                          "the model gives text, not embeddings");
  const EngRunnerOptions *o = eng_runner_get_options (s->runner);
  uint32_t most = o->max_sequences < MOST_TEXTS ? o->max_sequences : MOST_TEXTS;
  EngTokenBuffer one = { 0 };
  EngRunnerSpan spans[MOST_TEXTS];
  uint32_t n_spans = 0;
  EngStatus status = ENG_OK;
  /* Ids of all spans stand one behind the other in s->prompt; pointers are set once it stopped growing. */
  eng_token_buffer_clear (&s->prompt);
  while (n_spans < n && n_spans < most && status == ENG_OK)
    {
      status = eng_embed_encode (s, texts[n_spans].text, texts[n_spans].n_bytes, kind, &one, error);
      uint32_t limit = n_spans == 0 ? o->max_rows : max_rows < o->max_rows ? max_rows : o->max_rows;
      if (status != ENG_OK || s->prompt.n + one.n > limit)
        break;
      if (eng_token_buffer_append (&s->prompt, one.ids, one.n) != ENG_OK)
        status = eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE, "no memory");
      spans[n_spans++] = (EngRunnerSpan) { .n = (uint32_t) one.n, .outputs = ENG_OUTPUT_LAST };
    }
  eng_token_buffer_free (&one);
  for (uint32_t i = 0, at = 0; i < n_spans; at += spans[i].n, i++)
    spans[i].tokens = s->prompt.ids + at;
  if (status == ENG_OK)
    status = run_batch (s, spans, n_spans, cancel, out, error);
  if (status == ENG_OK)
    *n_done = n_spans;
  return status;
}
