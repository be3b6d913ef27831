/* SPDX-License-Identifier: Apache-2.0 */
/* Types for the tensors of a model that shall have a given size: every type is tried on a sample of each matrix' rows, and
 * bytes go where they take most error away.
 *
 * Error of a matrix: sum w (x - y)^2 / sum w x^2 over the sample, y being what the encoded numbers decode to and w the columns'
 * importance (1 without): the part of the matrix' output that is noise, by which a model's divergence grows about
 * linearly, times a weight by the matrix' role (what a value matrix does wrong matters more than what a query matrix does;
 * the head's noise reaches every logit undiminished). One owner thread. */
#pragma once

#include "eng-transfer-write.h"

typedef struct EngTypePlan EngTypePlan;

/* Tries the types. @tensors [n] outlives the plan; types of those with is_fixed [n] stay as they are, the others get theirs by
 * eng_type_plan_choose (). @other_bytes: the file's bytes beside tensors (an upper bound); tensors are padded to @alignment.
 * ENG_ERR_CANCELLED, ENG_ERR_NO_MEMORY, ENG_ERR_LIMIT (rows too long). @options: pool, cancel and progress (of bytes
 * to be written at most, all trials done at the end). */
EngStatus eng_type_plan_new (EngTransferTensor *tensors, const bool *is_fixed, size_t n, uint64_t other_bytes,
                             uint32_t alignment, const EngTransferOptions *options, EngTypePlan **out,
                             EngError *error);
void eng_type_plan_free (EngTypePlan **plan);

/* Bytes of the smallest file that can be, and of the closest (larger ones gain nothing). */
uint64_t eng_type_plan_get_smallest (const EngTypePlan *plan);
uint64_t eng_type_plan_get_largest (const EngTypePlan *plan);

typedef struct
{
  uint64_t bytes; /* of the file, to a padding's length; at most max_bytes */
  double error;   /* sum of the matrices' errors as they count: about the KL, up to a factor that differs between models */
} EngTypeChoice;

/* Sets the tensors' types: the least error found in @max_bytes, which are not less than the smallest. */
EngTypeChoice eng_type_plan_choose (EngTypePlan *plan, uint64_t max_bytes);
