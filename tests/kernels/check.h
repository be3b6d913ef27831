/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel check: memory that catches stray reads and writes, values that catch bad arithmetic. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "eng-kernels.h"

/* Repeatable random numbers (splitmix64). */
uint64_t check_random (void);
void check_seed (uint64_t seed);
float check_uniform (void); /* [-1, 1) */

/* @bytes of memory that end right before an inaccessible page, at an address that is a multiple of
 * @alignment only if @bytes is. Freed by check_free_all (). */
void *check_guarded (size_t bytes);
/* @bytes with canaries on both sides, starting at @misalign past a multiple of 64; checked and freed by
 * check_free_all (). */
void *check_output (size_t bytes, size_t misalign);
/* False if a canary died. */
bool check_free_all (void);

typedef enum
{
  VALUES_RANDOM,
  VALUES_ZERO,
  VALUES_OUTLIER,
  VALUES_LARGE,
  VALUES_DENORMAL,
  VALUES_N
} CheckValues;
const char *check_values_name (CheckValues values);
void check_fill (float *x, size_t n, CheckValues values);

/* Count a failure, say it, and go on. */
unsigned check_get_failures (void); /* since the last call */
void check_fail (const char *format, ...) __attribute__ ((format (printf, 1, 2)));
#define CHECK_FAILED(...) check_fail (__VA_ARGS__)
/* |got - want| <= bound, NaN never. */
bool check_near (double got, double want, double bound);

/* Each checks every entry of its family in @k. */
void check_float_kernels (const EngKernels *k);
void check_product_kernels (const EngKernels *k);
void check_word_kernels (const EngKernels *k);
void check_tile_kernels (const EngKernels *k);
void check_pack (void);
void check_attention_kernels (const EngKernels *k);
void check_delta_kernel (const EngKernels *k);

/* --bench: times and ratio to @ref. */
void bench_kernels (const EngKernels *k, const EngKernels *ref, const char *tier);
