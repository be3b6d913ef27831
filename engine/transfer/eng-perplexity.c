/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-perplexity.h"

#include <math.h>
#include <stdlib.h>

#include "eng-arena.h"
#include "eng-error.h"

EngStatus
eng_score_begin (EngScore *score, uint32_t n_vocab, uint64_t max_positions, EngError *error)
{
  *score = (EngScore) { .n_vocab = n_vocab, .max_n = max_positions };
  score->kls = eng_alloc_array (max_positions + 1, sizeof *score->kls);
  return score->kls ? ENG_OK
                    : eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE, "no memory");
}

void
eng_score_clear (EngScore *score)
{
  eng_free (score->kls);
  score->kls = NULL;
}

/* logits become log-probabilities. */
static void
log_softmax (float *logits, uint32_t n)
{
  float largest = -INFINITY;
  double sum = 0.0;
  for (uint32_t i = 0; i < n; i++)
    largest = logits[i] > largest ? logits[i] : largest;
  for (uint32_t i = 0; i < n; i++)
    sum += exp ((double) (logits[i] - largest));
  float shift = (float) ((double) largest + log (sum));
  for (uint32_t i = 0; i < n; i++)
    logits[i] -= shift;
}

static double
divergence (const float *reference, const float *ours, uint32_t n)
{
  double sum = 0.0;
  for (uint32_t i = 0; i < n; i++)
    if (reference[i] > -60.0f) /* below, a term is under 1e-24 */
      sum += exp (reference[i]) * ((double) reference[i] - ours[i]);
  return sum > 0.0 ? sum : 0.0;
}

void
eng_score_add (EngScore *score, float *ours, float *reference, int32_t next)
{
  log_softmax (ours, score->n_vocab);
  score->nll -= ours[next];
  score->nll_squared += (double) ours[next] * ours[next];
  if (reference)
    {
      log_softmax (reference, score->n_vocab);
      double kl = divergence (reference, ours, score->n_vocab);
      score->reference_nll -= reference[next];
      score->kl += kl;
      score->kls[score->n] = (float) kl;
      score->n_same_top += eng_argmax (ours, score->n_vocab) == eng_argmax (reference, score->n_vocab);
    }
  score->n++;
}

static int
compare_floats (const void *a, const void *b)
{
  float x = *(const float *) a, y = *(const float *) b;
  return (x > y) - (x < y);
}

EngQuality
eng_score_finish (EngScore *s, uint32_t chunk, bool has_reference)
{
  double n = s->n ? (double) s->n : 1.0, mean = s->nll / n;
  double variance = s->nll_squared / n - mean * mean;
  EngQuality q = { .n_positions = s->n, .chunk = chunk, .perplexity = exp (mean) };
  q.perplexity_error = s->n > 1 && variance > 0.0 ? q.perplexity * sqrt (variance / (n - 1.0)) : 0.0;
  if (!has_reference)
    return q;
  qsort (s->kls, s->n, sizeof *s->kls, compare_floats);
  q.reference_perplexity = exp (s->reference_nll / n);
  q.mean_kl = s->kl / n;
  q.kl_99 = s->kls[(uint64_t) ((n - 1.0) * 0.99)];
  q.same_top = (double) s->n_same_top / n;
  return q;
}

EngStatus
eng_perplexity_check (EngSession *const sessions[2], EngError *error)
{
  uint32_t n_vocab[2] = { 0 };
  for (int k = 0; k < 2 && sessions[k]; k++)
    {
      const EngModel *model = eng_session_get_model (sessions[k]);
      if (eng_model_get_info (model)->is_encoder)
        return eng_error_set (error, ENG_ERR_UNSUPPORTED, "general.architecture", ENG_OFFSET_NONE,
                              "the model gives embeddings, not text");
      n_vocab[k] = eng_model_get_program (model)->n_vocab;
    }
  if (sessions[1] && n_vocab[0] != n_vocab[1])
    return eng_error_set_numbers (error, ENG_ERR_ARGUMENT, "--reference", n_vocab[0], n_vocab[1],
                                  "the models' vocabularies have %u and %u tokens", n_vocab[0],
                                  n_vocab[1]);
  return ENG_OK;
}

static EngStatus
run (EngSession *session, uint32_t sequence, const int32_t *tokens, uint32_t n, EngOutputKind outputs,
     const atomic_bool *cancel, EngError *error)
{
  const EngRunnerSpan span = { .sequence = sequence, .tokens = tokens, .n = n, .outputs = outputs };
  if (cancel && atomic_load (cancel))
    return eng_error_set (error, ENG_ERR_CANCELLED, NULL, ENG_OFFSET_NONE, "cancelled");
  return eng_runner_run (eng_session_get_runner (session), &span, 1, NULL, error);
}

static EngStatus
score_run (EngSession *const sessions[2], const int32_t *tokens, uint32_t n, EngPerplexityRow row, void *data,
           EngError *error)
{
  EngStatus status = ENG_OK;
  for (uint32_t r = 0; r < n && status == ENG_OK; r++)
    status = row (data, eng_runner_get_output (eng_session_get_runner (sessions[0]), r),
                  sessions[1] ? eng_runner_get_output (eng_session_get_runner (sessions[1]), r) : NULL,
                  tokens[r + 1], error);
  return status;
}

EngStatus
eng_perplexity_chunk (EngSession *const sessions[2], const int32_t *tokens, uint32_t n, const atomic_bool *cancel,
                      EngPerplexityRow row, void *data, EngError *error)
{
  uint32_t first = n / 2, sequences[2];
  EngStatus status = ENG_OK;
  int n_begun = 0;
  for (int k = 0; k < 2 && sessions[k] && status == ENG_OK; k++)
    {
      status = eng_kv_cache_add (eng_runner_get_cache (eng_session_get_runner (sessions[k])), &sequences[k], error);
      n_begun += status == ENG_OK;
      uint32_t step = eng_runner_get_options (eng_session_get_runner (sessions[k]))->max_rows;
      for (uint32_t i = 0; i < first && status == ENG_OK; i += step)
        status = run (sessions[k], sequences[k], tokens + i, first - i < step ? first - i : step, ENG_OUTPUT_NONE,
                      cancel, error);
    }
  for (uint32_t i = first; i < n && status == ENG_OK; i += ENG_PERPLEXITY_ROWS)
    {
      uint32_t now = n - i < ENG_PERPLEXITY_ROWS ? n - i : ENG_PERPLEXITY_ROWS;
      for (int k = 0; k < 2 && sessions[k] && status == ENG_OK; k++)
        status = run (sessions[k], sequences[k], tokens + i, now, ENG_OUTPUT_ALL, cancel, error);
      /* The last token's prediction has no answer. */
      if (status == ENG_OK)
        status = score_run (sessions, tokens + i, i + now < n ? now : now - 1, row, data, error);
    }
  for (int k = 0; k < n_begun; k++)
    eng_kv_cache_remove (eng_runner_get_cache (eng_session_get_runner (sessions[k])), sequences[k]);
  return status;
}
