/* SPDX-License-Identifier: Apache-2.0 */
/* From logits to a token.
 *
 * In this order: repetition penalty, then (unless greedy) top-k, top-p, min-p, temperature, and a draw.
 * The cuts look at probabilities at temperature 1, as users of other runtimes expect.
 *   penalty r:   logit / r where it is positive, logit * r where not, once for each token among the
 *                last @penalty_window ones (arXiv:1909.05858)
 *   top-k:       the k largest (equal logits: lower id first)
 *   top-p:       the shortest run of the likeliest whose probabilities reach p
 *   min-p:       those with at least p times the likeliest one's probability
 * Everything is deterministic: the same logits, parameters, seed and history give the same token on every
 * machine whose logits agree. Random numbers: xoshiro256** (Blackman and Vigna, 2018, public
 * domain), its state filled from the seed by splitmix64; a draw takes the upper 53 bits as a number in [0, 1).
 *
 * A sampler is the state of one row's generation: one owner thread. Sampling allocates nothing. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "eng-status.h"

typedef struct
{
  bool greedy;              /* the largest logit after the penalty; the rest is ignored */
  float temperature;        /* >= 0; 0 = greedy */
  uint32_t top_k;           /* 0 = off */
  float top_p;              /* (0, 1]; 1 = off */
  float min_p;              /* [0, 1]; 0 = off */
  float repetition_penalty; /* > 0; 1 = off */
  uint32_t penalty_window;  /* tokens looked back, up to ENG_SAMPLER_MAX_WINDOW */
  uint64_t seed;
} EngSamplerOptions;

#define ENG_SAMPLER_MAX_WINDOW 4096u

/* temperature 0.8, top-k 40, top-p 0.95, min-p 0.05, no penalty over 64 tokens, seed 0. */
void eng_sampler_options_init (EngSamplerOptions *options);

typedef struct EngSampler EngSampler;

/* ENG_ERR_ARGUMENT names the option out of range and its value. @n_vocab > 0. */
EngStatus eng_sampler_new (uint32_t n_vocab, const EngSamplerOptions *options, EngSampler **sampler,
                           EngError *error);
void eng_sampler_free (EngSampler **sampler);
/* Begin anew with other options; keeps the memory. On failure unchanged. */
EngStatus eng_sampler_reset (EngSampler *sampler, const EngSamplerOptions *options, EngError *error);

/* Count @token as seen (prompt and generated alike): the penalty looks at it. Ids out of range are ignored. */
void eng_sampler_accept (EngSampler *sampler, int32_t token);

/* Choose from @logits [n_vocab]; does not accept. NaN counts as -infinity; if nothing is left, token 0. */
int32_t eng_sampler_sample (EngSampler *sampler, const float *logits);

/* Index of the largest (the first of equals); NaN never wins unless all are. */
int32_t eng_argmax (const float *logits, uint32_t n);

/* --- for a device that samples by itself (eng-device.h): what it has to know --- */

const EngSamplerOptions *eng_sampler_get_options (const EngSampler *sampler);
/* The tokens that the penalty looks at, oldest first: @seen [penalty_window]; returns how many. */
uint32_t eng_sampler_get_seen (const EngSampler *sampler, int32_t *seen);
/* The next @n numbers that _sample would draw; they stay undrawn … */
void eng_sampler_peek (const EngSampler *sampler, double *draws, uint32_t n);
/* … until one is dropped. */
void eng_sampler_drop_draw (EngSampler *sampler);
