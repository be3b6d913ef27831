/* SPDX-License-Identifier: Apache-2.0 */
/* FNV-1a, 64 bits (draft-eastlake-fnv): a name for bytes, not a seal. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define ENG_FNV_START UINT64_C (0xcbf29ce484222325)

/* @hash of what came before, ENG_FNV_START at first. */
static inline uint64_t
eng_fnv_add (uint64_t hash, const void *data, size_t n)
{
  const uint8_t *bytes = data;
  for (size_t i = 0; i < n; i++)
    hash = (hash ^ bytes[i]) * UINT64_C (0x100000001b3);
  return hash;
}
