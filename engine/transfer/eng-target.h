/* SPDX-License-Identifier: Apache-2.0 */
/* Writing a model's tensors towards a wanted size or quality (eng-type-plan.h chooses the types), and measuring what was
 * written before it gets its name. */
#pragma once

#include "eng-quality.h"
#include "eng-type-plan.h"

/* Measures the file at @path (eng_measure_file ()); with a NULL @path it only makes ready. @transfer: cancel and progress. */
typedef EngStatus (*EngTargetMeasure) (void *data, const char *path, const EngTransferOptions *transfer,
                                       EngQuality *out, EngError *error);

/* Zero-initialized: every tensor has its type already, nothing is measured. */
typedef struct
{
  uint64_t bytes; /* > 0: the file's size at most */
  double kl;      /* > 0: the smallest file with at most this mean KL is sought; needs @measure */
  EngTargetMeasure measure; /* NULL: not measured */
  void *measure_data;
  const char *text_name, *source_name; /* for the record; not NULL with @measure */
} EngTarget;

typedef struct
{
  uint64_t out_bytes;
  uint32_t n_tried;        /* files made while seeking; 0 without @kl */
  EngQualityRecord record; /* n_positions is 0 where nothing was measured */
  EngError measure_error;  /* why not, if it was asked for; code ENG_OK else */
} EngTargetReport;

/* Types are chosen. */
static inline bool
eng_target_is_set (const EngTarget *target)
{
  return target->bytes > 0 || target->kl > 0.0;
}

/* As eng_transfer_write () (@writer knows all other metadata and writes @out_path), but types are chosen where there is a
 * target: those of is_fixed [n] stay, and @tensors have the chosen ones afterwards. What was measured stands in the
 * file's metadata. Without @kl a measurement that fails only shows in the report. Progress is of the source's bytes.
 *
 * ENG_ERR_TOO_LARGE, before anything is written: no choice of types makes it as small as @bytes; needed is the
 * smallest size in bytes, available the target. ENG_ERR_LIMIT: not even the closest file has a mean KL of @kl.
 * ENG_ERR_ARGUMENT: @kl with only_size. */
EngStatus eng_target_write (EngGgufWriter *writer, const char *out_path, EngTransferTensor *tensors,
                            const bool *is_fixed, size_t n, const EngTarget *target,
                            const EngTransferOptions *options, EngTargetReport *report, EngError *error);
