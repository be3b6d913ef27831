/* SPDX-License-Identifier: Apache-2.0 */
/* The four entries for attention of a tier, over keys and values of half precision or of 8 bits. Who includes it defines
 * score_numbers () and mix_numbers (), which do what EngScoreFunc and EngMixFunc say; is_codes is known where they are inlined. */
#include <stdbool.h>
#include <stddef.h>

#include "eng-kernels.h"

typedef struct
{
  bool is_codes;
  const uint16_t *halves;
  const int8_t *codes; /* instead, with their scales */
  const uint16_t *scales;
} Numbers;

INLINE void score_numbers (Numbers keys, size_t width, const float *q, size_t q_stride, size_t n_q, float *scores,
                           size_t s_stride);
INLINE void mix_numbers (Numbers values, size_t width, size_t n_positions, const float *weights, size_t w_stride, size_t n_q,
                         float *out, size_t o_stride);

static void
score (const uint16_t *keys, size_t width, const float *q, size_t q_stride, size_t n_q, float *scores, size_t s_stride)
{
  score_numbers ((Numbers) { .halves = keys }, width, q, q_stride, n_q, scores, s_stride);
}

static void
score_codes (const int8_t *codes, const uint16_t *scales, size_t width, const float *q, size_t q_stride, size_t n_q,
             float *scores, size_t s_stride)
{
  score_numbers ((Numbers) { true, .codes = codes, .scales = scales }, width, q, q_stride, n_q, scores, s_stride);
}

static void
mix (const uint16_t *values, size_t width, size_t n_positions, const float *weights, size_t w_stride, size_t n_q, float *out,
     size_t o_stride)
{
  mix_numbers ((Numbers) { .halves = values }, width, n_positions, weights, w_stride, n_q, out, o_stride);
}

static void
mix_codes (const int8_t *codes, const uint16_t *scales, size_t width, size_t n_positions, const float *weights, size_t w_stride,
           size_t n_q, float *out, size_t o_stride)
{
  mix_numbers ((Numbers) { true, .codes = codes, .scales = scales }, width, n_positions, weights, w_stride, n_q, out, o_stride);
}

static void
init_attention (EngKernels *k)
{
  k->score = score;
  k->mix = mix;
  k->score_codes = score_codes;
  k->mix_codes = mix_codes;
}
