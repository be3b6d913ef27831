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

/* v[i] = the grid's number nearest to x[i] * inv. */
void eng_grid_snap (const EngGrid *grid, const float *x, float inv, int n, float *v);

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

/* Sum of a b c. */
float eng_fit_sum3 (const float *a, const float *b, const float *c, int n);
