/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-runner.h"

#include <string.h>

#include "eng-arena.h"

/* Positions that a window group keeps beyond its window while there is room, so that an answer can be
 * taken back (regenerating, a template that drops reasoning) without reading everything again. */
#define WINDOW_SLACK 2048u
/* Checkpoints of recurrent states beyond the two that every sequence may need, for the same purpose. One of Qwen3.5 4B
 * takes 50 MB, so they are few. */
#define CHECKPOINTS 4u

struct EngRunner
{
  EngRunnerOptions options;
  EngExecutor *executor;
  const EngProgram *program;
  EngExecutorState *state;
  EngKvCache *cache;
  EngRow *rows;               /* [max_rows] */
  EngSequenceView *sequences; /* [max_rows] */
  uint32_t *before;           /* [max_rows]: n_positions of each span's sequence before the run */
  float *output;              /* [max_outputs, n_output] */
  bool recurrent;             /* some layers have a recurrent state */
};

static uint32_t
blocks_for (uint64_t n_positions)
{
  return (uint32_t) ((n_positions + ENG_KV_BLOCK - 1) / ENG_KV_BLOCK);
}

void
eng_runner_get_state_options (const EngProgram *program, const EngRunnerOptions *o,
                              EngStateOptions *state)
{
  *state = (EngStateOptions) {
    .k_type = o->k_type == ENG_TYPE_NONE ? ENG_TYPE_F16 : o->k_type,
    .v_type = o->v_type == ENG_TYPE_NONE ? ENG_TYPE_F16 : o->v_type,
    .max_positions = o->n_ctx,
    .max_rows = o->max_rows,
    .max_sequences = o->max_sequences,
    .max_outputs = o->max_outputs,
  };
  uint64_t total = o->n_total_ctx ? o->n_total_ctx : o->n_ctx;
  for (uint32_t g = 0; g < program->n_groups && g < 8; g++)
    {
      const EngGroupDesc *d = &program->groups[g];
      /* One block more a sequence: its last is seldom full, and a fork copies one. */
      uint64_t n = blocks_for (total) + o->max_sequences;
      if (d->kind == ENG_STATE_RECURRENT)
        n = 2ull * o->max_sequences + CHECKPOINTS;
      else if (d->window)
        {
          uint64_t most = (uint64_t) o->max_sequences
                          * (blocks_for ((uint64_t) d->window + 2ull * o->max_rows) + 2)
                          + blocks_for (WINDOW_SLACK);
          n = most < n ? most : n;
        }
      state->n_blocks[g] = (uint32_t) n;
    }
}

static EngStatus
copy_block_cb (void *data, uint32_t group, uint32_t from, uint32_t to, EngError *error)
{
  EngRunner *r = data;
  return eng_executor_copy_block (r->state, group, from, to, error);
}

static EngStatus
new_cache (EngRunner *r, const EngStateOptions *state, EngError *error)
{
  EngKvCacheOptions cache = {
    .n_groups = r->program->n_groups,
    .block_positions = ENG_KV_BLOCK,
    .max_sequences = r->options.max_sequences,
    .max_positions = r->options.n_ctx,
    .copy_block = copy_block_cb,
    .copy_data = r,
  };
  for (uint32_t g = 0; g < r->program->n_groups; g++)
    {
      cache.n_blocks[g] = state->n_blocks[g];
      cache.windows[g] = r->program->groups[g].window;
      cache.recurrent[g] = r->program->groups[g].kind == ENG_STATE_RECURRENT;
    }
  return eng_kv_cache_new (&cache, &r->cache, error);
}

EngStatus
eng_runner_new (EngExecutor *executor, const EngRunnerOptions *options, EngRunner **runner,
                EngError *error)
{
  if (options->n_ctx == 0 || options->max_rows == 0 || options->max_sequences == 0
      || options->max_outputs == 0)
    return eng_error_set (error, ENG_ERR_ARGUMENT, NULL, ENG_OFFSET_NONE,
                          "context, rows, sequences and outputs must be above 0");
  EngRunner *r = eng_alloc (sizeof *r);
  if (!r)
    return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE, "no memory");
  r->options = *options;
  r->executor = executor;
  r->program = eng_executor_get_program (executor);
  for (uint32_t g = 0; g < r->program->n_groups; g++)
    r->recurrent = r->recurrent || r->program->groups[g].kind == ENG_STATE_RECURRENT;
  r->rows = eng_alloc_array (options->max_rows, sizeof *r->rows);
  r->sequences = eng_alloc_array (options->max_rows, sizeof *r->sequences);
  r->before = eng_alloc_array (options->max_rows, sizeof *r->before);
  uint32_t n_outputs
      = r->program->causal ? options->max_outputs : options->max_sequences;
  r->output = eng_executor_host_alloc (
      executor, (uint64_t) n_outputs * r->program->n_output * sizeof *r->output);
  EngStatus status = ENG_OK;
  if (!r->rows || !r->sequences || !r->before || !r->output)
    status = eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE,
                            "no memory for the model's batches");
  EngStateOptions state;
  eng_runner_get_state_options (r->program, options, &state);
  if (status == ENG_OK)
    status = new_cache (r, &state, error);
  if (status == ENG_OK)
    status = eng_executor_state_new (executor, &state, &r->state, error);
  if (status != ENG_OK)
    {
      eng_runner_free (&r);
      return status;
    }
  *runner = r;
  return ENG_OK;
}

void
eng_runner_free (EngRunner **runner)
{
  EngRunner *r = *runner;
  *runner = NULL;
  if (!r)
    return;
  eng_executor_state_free (&r->state);
  eng_kv_cache_free (&r->cache);
  eng_free (r->rows);
  eng_free (r->sequences);
  eng_free (r->before);
  eng_executor_host_free (r->executor, r->output);
  eng_free (r);
}

const EngProgram *
eng_runner_get_program (const EngRunner *runner)
{
  return runner->program;
}

const EngRunnerOptions *
eng_runner_get_options (const EngRunner *runner)
{
  return &runner->options;
}

EngKvCache *
eng_runner_get_cache (EngRunner *runner)
{
  return runner->cache;
}

static EngStatus
check_spans (const EngRunner *r, const EngRunnerSpan *spans, uint32_t n_spans, EngError *error)
{
  uint64_t n_rows = 0, n_outputs = 0;
  for (uint32_t i = 0; i < n_spans; i++)
    {
      n_rows += spans[i].n;
      n_outputs += spans[i].outputs == ENG_OUTPUT_ALL ? spans[i].n
                   : spans[i].outputs == ENG_OUTPUT_LAST;
      for (uint32_t t = 0; t < spans[i].n; t++)
        if (spans[i].tokens[t] < 0 || (uint32_t) spans[i].tokens[t] >= r->program->n_vocab)
          return eng_error_set_numbers (error, ENG_ERR_ARGUMENT, "tokens",
                                        (uint64_t) (uint32_t) spans[i].tokens[t],
                                        r->program->n_vocab,
                                        "token %d at %u is outside the vocabulary of %u",
                                        spans[i].tokens[t], t, r->program->n_vocab);
      if (spans[i].n == 0)
        return eng_error_set (error, ENG_ERR_ARGUMENT, "tokens", ENG_OFFSET_NONE, "no tokens");
    }
  if (n_rows > r->options.max_rows || n_spans > r->options.max_sequences)
    return eng_error_set_numbers (error, ENG_ERR_ARGUMENT, "rows", n_rows, r->options.max_rows,
                                  "the batch is too large");
  if (r->program->causal && n_outputs > r->options.max_outputs)
    return eng_error_set_numbers (error, ENG_ERR_ARGUMENT, "outputs", n_outputs,
                                  r->options.max_outputs, "too many outputs are wanted");
  return ENG_OK;
}

static void
take_back (EngRunner *r, const EngRunnerSpan *spans, uint32_t n_spans, bool ran)
{
  for (uint32_t i = 0; i < n_spans; i++)
    eng_kv_cache_take_back (r->cache, spans[i].sequence, r->before[i], ran);
}

EngStatus
eng_runner_run (EngRunner *r, const EngRunnerSpan *spans, uint32_t n_spans,
                ENG_ATOMIC_FLAG *cancel, EngError *error)
{
  EngStatus status = check_spans (r, spans, n_spans, error);
  if (status != ENG_OK)
    return status;
  uint32_t n_rows = 0, n_appended = 0;
  for (uint32_t i = 0; i < n_spans; i++)
    {
      const EngRunnerSpan *span = &spans[i];
      r->before[i] = eng_kv_cache_get_n_positions (r->cache, span->sequence);
      status = eng_kv_cache_append (r->cache, span->sequence, span->tokens, span->n, error);
      if (status != ENG_OK)
        break;
      n_appended++;
      r->sequences[i] = (EngSequenceView) {
        .tables = eng_kv_cache_get_tables (r->cache, span->sequence),
        .n_positions = r->before[i] + span->n,
      };
      for (uint32_t t = 0; t < span->n; t++)
        r->rows[n_rows++] = (EngRow) {
          .i_sequence = i,
          .token = span->tokens[t],
          .position = { r->before[i] + t },
          .adapter = ENG_ADAPTER_NONE,
          .wants_output = span->outputs == ENG_OUTPUT_ALL
                          || (span->outputs == ENG_OUTPUT_LAST && t + 1 == span->n),
        };
    }
  const EngBatch batch = {
    .rows = r->rows, .n_rows = n_rows, .sequences = r->sequences, .n_sequences = n_spans,
  };
  bool ran = status == ENG_OK;
  if (ran)
    status = eng_executor_run (r->state, &batch, r->output, cancel, error);
  if (status != ENG_OK)
    take_back (r, spans, n_appended, ran);
  return status;
}

typedef struct
{
  const EngSampling *sampling;
  int32_t tokens[ENG_DEVICE_SAMPLES + 1]; /* of the rows: the first one's, then what was sampled */
  uint32_t n_taken;
} Taking;

static bool
take_cb (void *data, int32_t token, bool drew)
{
  Taking *t = data;
  t->tokens[++t->n_taken] = token;
  return t->sampling->take (t->sampling->data, token, drew) && t->n_taken < t->sampling->n_samples;
}

EngStatus
eng_runner_sample (EngRunner *r, uint32_t sequence, int32_t token, const EngSampling *sampling,
                   ENG_ATOMIC_FLAG *cancel, EngError *error)
{
  Taking taking = { .sampling = sampling };
  uint32_t n = sampling->n_samples, before = eng_kv_cache_get_n_positions (r->cache, sequence);
  if (n == 0 || n > ENG_DEVICE_SAMPLES || token < 0 || (uint32_t) token >= r->program->n_vocab)
    return eng_error_set (error, ENG_ERR_ARGUMENT, "samples", ENG_OFFSET_NONE, "a number of tokens out of range");
  taking.tokens[0] = token;
  /* A recurrent state can be left where the rows end only within its block. */
  if (r->recurrent && n > ENG_KV_BLOCK - before % ENG_KV_BLOCK)
    n = ENG_KV_BLOCK - before % ENG_KV_BLOCK;
  for (uint32_t i = 1; i < n; i++)
    taking.tokens[i] = -1; /* not known yet */
  if (eng_kv_cache_append (r->cache, sequence, taking.tokens, n, error) != ENG_OK)
    return ENG_ERR_UNSUPPORTED;
  r->rows[0] = (EngRow) { .token = token, .position = { before }, .adapter = ENG_ADAPTER_NONE, .wants_output = true };
  r->sequences[0] = (EngSequenceView) { .tables = eng_kv_cache_get_tables (r->cache, sequence),
                                        .n_positions = before + 1 };
  const EngBatch batch = { .rows = r->rows, .n_rows = 1, .sequences = r->sequences, .n_sequences = 1 };
  EngSampling own = *sampling;
  own.n_samples = n;
  own.take = take_cb;
  own.data = &taking;
  EngStatus status = eng_executor_sample (r->state, &batch, &own, cancel, error);
  eng_kv_cache_set_tokens (r->cache, sequence, before, taking.tokens, taking.n_taken);
  if (taking.n_taken == 0)
    eng_kv_cache_take_back (r->cache, sequence, before, status != ENG_ERR_UNSUPPORTED);
  else
    eng_kv_cache_shorten (r->cache, sequence, before + taking.n_taken);
  return status;
}

EngProducts
eng_runner_take_products (EngRunner *r)
{
  return eng_executor_take_products (r->state);
}

EngStatus
eng_runner_observe (EngRunner *r, EngStepObserver observer, void *data, EngError *error)
{
  return eng_executor_state_observe (r->state, r->options.max_rows, observer, data, error);
}

float *
eng_runner_get_output (EngRunner *r, uint32_t i)
{
  return r->output + (size_t) i * r->program->n_output;
}

EngStatus
eng_runner_prefill (EngRunner *r, uint32_t sequence, const int32_t *tokens, uint32_t n,
                    uint32_t chunk, EngPrefillProgress progress, void *data,
                    ENG_ATOMIC_FLAG *cancel, EngError *error)
{
  if (chunk == 0 || chunk > r->options.max_rows)
    chunk = r->options.max_rows;
  for (uint32_t done = 0; done < n;)
    {
      if (progress && !progress (data, done, n))
        return eng_error_set (error, ENG_ERR_CANCELLED, NULL, ENG_OFFSET_NONE, "cancelled");
      uint32_t now = n - done < chunk ? n - done : chunk;
      const EngRunnerSpan span = { .sequence = sequence, .tokens = tokens + done, .n = now,
                                   .outputs = done + now == n ? ENG_OUTPUT_LAST : ENG_OUTPUT_NONE };
      EngStatus status = eng_runner_run (r, &span, 1, cancel, error);
      if (status != ENG_OK)
        return status;
      done += now;
    }
  if (progress)
    progress (data, n, n);
  return ENG_OK;
}
