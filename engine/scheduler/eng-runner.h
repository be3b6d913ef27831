/* SPDX-License-Identifier: Apache-2.0 */
/* Sequences of one model: the block cache, the devices' state, and batches made of pieces of
 * sequences. Prefill, decode and several sequences at once are the same call.
 *
 * One owner thread. After _new nothing here allocates. */
#pragma once

#include "eng-executor.h"
#include "eng-kv-cache.h"

typedef struct EngRunner EngRunner;

typedef struct
{
  uint32_t n_ctx;           /* positions of one sequence, > 0 */
  uint64_t n_total_ctx;     /* positions of all sequences together; 0 = n_ctx */
  uint32_t max_sequences;   /* > 0 */
  uint32_t max_rows;        /* of a batch, > 0: a longer prefill goes in chunks */
  uint32_t max_outputs;     /* rows of a batch whose logits are wanted, > 0 */
  EngType k_type, v_type;   /* ENG_TYPE_NONE = F16 */
} EngRunnerOptions;

/* The state that @options asks of the devices, to plan memory with. */
void eng_runner_get_state_options (const EngProgram *program, const EngRunnerOptions *options,
                                   EngStateOptions *state);

EngStatus eng_runner_new (EngExecutor *executor, const EngRunnerOptions *options,
                          EngRunner **runner, EngError *error);
void eng_runner_free (EngRunner **runner);

const EngProgram *eng_runner_get_program (const EngRunner *runner);
const EngRunnerOptions *eng_runner_get_options (const EngRunner *runner);
/* Borrowed: make, cut, fork and forget sequences here. */
EngKvCache *eng_runner_get_cache (EngRunner *runner);

typedef enum
{
  ENG_OUTPUT_NONE,
  ENG_OUTPUT_LAST, /* of the span's last row */
  ENG_OUTPUT_ALL,
} EngOutputKind;

/* Tokens that go behind what a sequence holds. */
typedef struct
{
  uint32_t sequence;
  const int32_t *tokens;
  uint32_t n; /* > 0 */
  EngOutputKind outputs;
} EngRunnerSpan;

/* Run @spans as one batch: at most max_rows rows and max_outputs outputs in all, each sequence at most once. On success
 * the sequences are longer by their tokens; on failure they are as before: ENG_ERR_ARGUMENT (a token
 * outside the vocabulary, too many rows), ENG_ERR_CONTEXT_FULL, ENG_ERR_CANCELLED, or what a device
 * gave. With a recurrent state the last two leave them at a checkpoint: eng_kv_cache_get_n_positions () says where. */
EngStatus eng_runner_run (EngRunner *runner, const EngRunnerSpan *spans, uint32_t n_spans,
                          ENG_ATOMIC_FLAG *cancel, EngError *error);
/* Run @token behind what @sequence holds and go on by itself, as EngSampling says, though perhaps for fewer tokens. Afterwards the sequence is longer by
 * as many tokens as were taken: @token and all of them but the last. ENG_ERR_UNSUPPORTED, with nothing done, where no device can or the
 * cache lacks room for all of it at once; after another failure what was taken stays. */
EngStatus eng_runner_sample (EngRunner *runner, uint32_t sequence, int32_t token, const EngSampling *sampling,
                             ENG_ATOMIC_FLAG *cancel, EngError *error);

/* Output row @i of the last run, in the order of the spans: [n_output] of the program; for an encoder one of each
 * span. Valid until the next run; the caller may change it. */
float *eng_runner_get_output (EngRunner *runner, uint32_t i);

/* As eng_executor_take_products (). */
EngProducts eng_runner_take_products (EngRunner *runner);

/* As eng_executor_state_observe (). */
EngStatus eng_runner_observe (EngRunner *runner, EngStepObserver observer, void *data,
                              EngError *error);

/* Run @n tokens of one sequence in chunks; logits of the last row are wanted. @progress (may be NULL) gets the
 * tokens done before each chunk and at the end; false cancels. After ENG_ERR_CANCELLED or another failure the
 * chunks that were done stay. @chunk 0 = max_rows. */
typedef bool (*EngPrefillProgress) (void *data, uint32_t n_done, uint32_t n);
EngStatus eng_runner_prefill (EngRunner *runner, uint32_t sequence, const int32_t *tokens,
                              uint32_t n, uint32_t chunk, EngPrefillProgress progress, void *data,
                              ENG_ATOMIC_FLAG *cancel, EngError *error);
