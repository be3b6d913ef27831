/* SPDX-License-Identifier: Apache-2.0 */
/* Writing a model's tensors so that the file gets a wanted size: eng-type-plan.h chooses the types. */
#pragma once

#include "eng-type-plan.h"

typedef struct
{
  uint64_t bytes; /* the file's size at most; 0 = no target: every tensor has its type already */
} EngTarget;

static inline bool
eng_target_is_set (const EngTarget *target)
{
  return target->bytes > 0;
}

/* As eng_transfer_write () (@writer knows all metadata), but types are chosen where there is a target: those of
 * is_fixed [n] stay, and @tensors have the chosen ones afterwards. ENG_ERR_TOO_LARGE, before anything is written: no choice of types
 * makes it so small; needed is the smallest size in bytes, available the target. Progress is of the
 * source's bytes. */
EngStatus eng_target_write (EngGgufWriter *writer, EngTransferTensor *tensors, const bool *is_fixed, size_t n,
                            const EngTarget *target, const EngTransferOptions *options, uint64_t *out_bytes,
                            EngError *error);
