/* SPDX-License-Identifier: Apache-2.0 */
/* Searching the scales of a block. All arrays hold n floats, n = 16 or 32; sums run in eight lanes
 * so that compilers vectorize them without reordering: the same result at every tier. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define ENG_FIT_MAX 32

/* The numbers a code can stand for before scaling: integers lo … hi, or a sorted table. */
typedef struct
{
  float lo, hi;
  float step;          /* how far around the extreme the search looks, relative to it */
  const float *values; /* NULL = all integers from lo to hi */
  int n_values;
} EngGrid;

/* The scale d of either sign that makes sum w (x - d v)^2 small, v = snap (x / d). 0 for zeros. */
float eng_fit_scale (const EngGrid *grid, const float *x, const float *w, int n);

/* x ~ d q + m with integers q in 0 … q_max. With @min_is_negative, m <= 0 <= d. */
typedef struct
{
  float d, m;
} EngAffine;
EngAffine eng_fit_affine (const float *x, const float *w, int n, float q_max, bool min_is_negative);

/* q[i] = round ((x[i] - m) / d) within 0 … q_max; zeros when d is 0. Returns sum w (x - d q - m)^2. */
float eng_affine_snap (const float *x, const float *w, int n, EngAffine a, float q_max, float *q);

/* Sum of w (x - d v)^2 for v = snap (x / d), which it leaves in @v. */
float eng_scale_snap (const EngGrid *grid, const float *x, const float *w, int n, float d, float *v);

/* What least squares under codes v need: sums of w, w x, w v, w v v, w x v. */
typedef struct
{
  float w, wx, wv, wvv, wxv;
} EngFitSums;
EngFitSums eng_fit_sums (const float *x, const float *w, const float *v, int n);

/* The block's weights from its numbers and, if not NULL, the columns' importance; n = 32 or 256. */
void eng_fit_weights (const float *x, const float *importance, int n, float *w);

/* Largest magnitude of 32 numbers. */
float eng_fit_max_32 (const float *x);

/* round (x * inv), halves away from zero, of 32 numbers with |x * inv| < 2^22. */
void eng_fit_round_32 (const float *x, float inv, int8_t *q);

/* Whether all of @n (a multiple of 8) numbers are within +- @limit; false for NaN. */
bool eng_fit_is_within (const float *x, int n, float limit);
