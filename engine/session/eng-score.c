/* SPDX-License-Identifier: Apache-2.0 */
/* How likely the model finds given texts behind a prompt. */
#include <math.h>
#include <string.h>

#include "eng-session-private.h"

/* Natural logarithm of the probability of @token under @logits. */
static double
log_probability (const float *logits, uint32_t n, int32_t token)
{
  double largest = -INFINITY, sum = 0.0;
  for (uint32_t i = 0; i < n; i++)
    largest = logits[i] > largest ? logits[i] : largest;
  for (uint32_t i = 0; i < n; i++)
    sum += exp (logits[i] - largest);
  return logits[token] - largest - log (sum);
}

/* Sum over ids [n_prompt, n) of their log-probabilities, the sequence holding the first n_prompt - 1. */
static EngStatus
score_ids (EngSession *s, uint32_t sequence, const int32_t *ids, uint32_t n_prompt, uint32_t n,
           ENG_ATOMIC_FLAG *cancel, double *sum, EngError *error)
{
  const EngRunnerOptions *o = eng_runner_get_options (s->runner);
  uint32_t n_vocab = eng_runner_get_program (s->runner)->n_vocab;
  uint32_t chunk = o->max_outputs < o->max_rows ? o->max_outputs : o->max_rows;
  *sum = 0.0;
  for (uint32_t i = n_prompt - 1; i + 1 < n;)
    {
      uint32_t now = n - 1 - i < chunk ? n - 1 - i : chunk;
      const EngRunnerSpan span
          = { .sequence = sequence, .tokens = ids + i, .n = now, .outputs = ENG_OUTPUT_ALL };
      EngStatus status = eng_runner_run (s->runner, &span, 1, cancel, error);
      if (status != ENG_OK)
        return status;
      for (uint32_t k = 0; k < now; k++)
        *sum += log_probability (eng_runner_get_output (s->runner, k), n_vocab, ids[i + k + 1]);
      i += now;
    }
  return ENG_OK;
}

static EngStatus
score_text (EngSession *s, uint32_t sequence, const EngString *text, EngTokenBuffer *ids,
            ENG_ATOMIC_FLAG *cancel, float *out, EngError *error)
{
  uint32_t n_prompt = (uint32_t) s->prompt.n;
  eng_token_buffer_clear (ids);
  EngStatus status = eng_token_buffer_append (ids, s->prompt.ids, n_prompt);
  if (status == ENG_OK)
    status = eng_tokenizer_encode (s->tokenizer, text->text, text->n_bytes, ENG_ENCODE_CONTINUE,
                                   ids, error);
  else
    eng_error_set (error, status, NULL, ENG_OFFSET_NONE, "no memory");
  uint32_t n_ctx = eng_runner_get_options (s->runner)->n_ctx;
  if (status == ENG_OK && ids->n > n_ctx)
    status = eng_error_set_numbers (error, ENG_ERR_CONTEXT_FULL, "candidates", ids->n, n_ctx,
                                    "prompt and text have %zu tokens, the context %u", ids->n,
                                    n_ctx);
  EngKvCache *cache = eng_runner_get_cache (s->runner);
  /* A fork, so that a window's old blocks are still the prompt's after a long text. */
  uint32_t branch = ENG_KV_NO_SEQUENCE;
  if (status == ENG_OK)
    status = eng_kv_cache_fork (cache, sequence, n_prompt - 1, &branch, error);
  double sum = 0.0;
  if (status == ENG_OK)
    status = score_ids (s, branch, ids->ids, n_prompt, (uint32_t) ids->n, cancel, &sum, error);
  if (branch != ENG_KV_NO_SEQUENCE)
    eng_kv_cache_remove (cache, branch);
  *out = ids->n > n_prompt ? (float) (sum / (double) (ids->n - n_prompt)) : 0.0f;
  return status;
}

EngStatus
eng_session_score (EngSession *s, const EngPrompt *prompt, const EngString *texts, uint32_t n,
                   ENG_ATOMIC_FLAG *cancel, float *out, EngError *error)
{
  eng_token_buffer_clear (&s->prompt);
  EngStatus status = eng_session_encode (s, prompt, &s->prompt, error);
  uint32_t n_ctx = eng_runner_get_options (s->runner)->n_ctx;
  if (status == ENG_OK && s->prompt.n == 0)
    status = eng_error_set (error, ENG_ERR_ARGUMENT, "prompt", ENG_OFFSET_NONE,
                            "the prompt is empty");
  if (status == ENG_OK && s->prompt.n > n_ctx)
    status = eng_error_set_numbers (error, ENG_ERR_CONTEXT_FULL, "prompt", s->prompt.n, n_ctx,
                                    "the prompt has %zu tokens, the context %u", s->prompt.n,
                                    n_ctx);
  if (status != ENG_OK)
    return status;
  uint32_t sequence, n_cached, n_prompt = (uint32_t) s->prompt.n;
  status = eng_session_begin_sequence (s, NULL, s->prompt.ids, n_prompt, &sequence, &n_cached, error);
  if (status != ENG_OK)
    return status;
  if (n_cached < n_prompt - 1)
    status = eng_runner_prefill (s->runner, sequence, s->prompt.ids + n_cached,
                                 n_prompt - 1 - n_cached, 0, NULL, NULL, cancel, error);
  EngTokenBuffer ids = { 0 };
  for (uint32_t i = 0; i < n && status == ENG_OK; i++)
    status = score_text (s, sequence, &texts[i], &ids, cancel, &out[i], error);
  eng_token_buffer_free (&ids);
  eng_session_end_sequence (s, NULL, sequence);
  return status;
}
