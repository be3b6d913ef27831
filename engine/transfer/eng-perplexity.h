/* SPDX-License-Identifier: Apache-2.0 */
/* How well a model foretells a text, and how far its predictions are from another model's.
 *
 * Counted as llama.cpp's tool counts: the text's tokens in chunks, each chunk's first token replaced by BOS where the
 * vocabulary asks for one; of each chunk the second half's predictions are scored. KL is KL (reference || ours) in
 * nats over the same positions. One owner thread. */
#pragma once

#include <stdatomic.h>

#include "eng-session.h"

#define ENG_PERPLEXITY_ROWS 64u /* of a run; sessions need as many outputs (max_outputs) */

typedef struct
{
  uint64_t n_positions; /* scored; 0 = not measured */
  uint32_t chunk;
  double perplexity, perplexity_error; /* one standard error */
  double reference_perplexity, mean_kl, kl_99, same_top; /* with a reference; kl_99: 99 % are below; same_top: part of 1 */
} EngQuality;

/* Sums over positions. Zero-initialize, eng_score_begin (), eng_score_clear (). */
typedef struct
{
  uint32_t n_vocab;
  uint64_t n, max_n;
  double nll, nll_squared, reference_nll, kl;
  uint64_t n_same_top;
  float *kls; /* [max_n] */
} EngScore;

/* ENG_ERR_NO_MEMORY. */
EngStatus eng_score_begin (EngScore *score, uint32_t n_vocab, uint64_t max_positions, EngError *error);
/* One position: @ours and @reference (or NULL) [n_vocab] are logits or log-probabilities and become
 * log-probabilities; @next is the token that follows. No more than max_positions. */
void eng_score_add (EngScore *score, float *ours, float *reference, int32_t next);
/* After the last: reorders what is kept, so that nothing can be added any more. */
EngQuality eng_score_finish (EngScore *score, uint32_t chunk, bool has_reference);
void eng_score_clear (EngScore *score);

/* Ends with ENG_ERR_UNSUPPORTED for an embedding model, ENG_ERR_ARGUMENT for vocabularies of two sizes (sessions[1] may be
 * NULL). */
EngStatus eng_perplexity_check (EngSession *const sessions[2], EngError *error);

/* One chunk of @n tokens through one or two sessions: @row gets the logits of each scored position, of the second session
 * too where there is one, and the token that follows. @cancel (may be NULL) is looked at between runs. */
typedef EngStatus (*EngPerplexityRow) (void *data, float *ours, float *reference, int32_t next, EngError *error);
EngStatus eng_perplexity_chunk (EngSession *const sessions[2], const int32_t *tokens, uint32_t n,
                                const atomic_bool *cancel, EngPerplexityRow row, void *data, EngError *error);

/* Positions that a chunk scores. */
static inline uint32_t
eng_perplexity_positions (uint32_t chunk)
{
  return chunk - chunk / 2 - 1;
}
