/* SPDX-License-Identifier: Apache-2.0 */
/* Checked arithmetic on sizes and offsets that come from files. The only header that does this:
 * code that multiplies or adds a number from a file without it is a bug. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Each returns true and stores the result, or returns false on overflow and leaves *out alone. */
static inline bool
eng_checked_add (uint64_t a, uint64_t b, uint64_t *out)
{
  uint64_t r;
  if (__builtin_add_overflow (a, b, &r))
    return false;
  *out = r;
  return true;
}

static inline bool
eng_checked_mul (uint64_t a, uint64_t b, uint64_t *out)
{
  uint64_t r;
  if (__builtin_mul_overflow (a, b, &r))
    return false;
  *out = r;
  return true;
}

/* Round @a up to a multiple of @alignment, a power of two. */
static inline bool
eng_checked_align (uint64_t a, uint64_t alignment, uint64_t *out)
{
  uint64_t r;
  if (alignment == 0 || (alignment & (alignment - 1)) != 0
      || __builtin_add_overflow (a, alignment - 1, &r))
    return false;
  *out = r & ~(alignment - 1);
  return true;
}

/* True if [offset, offset + size) lies within [0, total). */
static inline bool
eng_checked_range (uint64_t offset, uint64_t size, uint64_t total)
{
  return offset <= total && size <= total - offset;
}
