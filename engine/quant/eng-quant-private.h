/* SPDX-License-Identifier: Apache-2.0 */
/* Encoders of one block each. @x: the block's numbers, finite. @w: as many weights >= 0. */
#pragma once

#include <stdbool.h>

#include "eng-block.h"
#include "eng-fit-private.h"
#include "eng-half.h"

/* Blocks of 32. Each returns false when a scale does not fit a finite binary16. */
bool eng_encode_q4_0 (const float *x, const float *w, void *block);
bool eng_encode_q4_1 (const float *x, const float *w, void *block);
bool eng_encode_q5_0 (const float *x, const float *w, void *block);
bool eng_encode_q5_1 (const float *x, const float *w, void *block);
bool eng_encode_q8_0 (const float *x, const float *w, void *block);
bool eng_encode_iq4_nl (const float *x, const float *w, void *block);
bool eng_encode_mxfp4 (const float *x, const float *w, void *block);

/* Superblocks of 256. */
bool eng_encode_q2_k (const float *x, const float *w, void *block);
bool eng_encode_q3_k (const float *x, const float *w, void *block);
bool eng_encode_q4_k (const float *x, const float *w, void *block);
bool eng_encode_q5_k (const float *x, const float *w, void *block);
bool eng_encode_q6_k (const float *x, const float *w, void *block);
bool eng_encode_iq4_xs (const float *x, const float *w, void *block);

static inline bool
eng_half_is_finite (uint16_t h)
{
  return (h & 0x7c00) != 0x7c00;
}

extern const EngGrid eng_iq4_grid;
/* Code of a number of the IQ4 table. */
uint8_t eng_iq4_code (float value);
