/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-target.h"

#include <inttypes.h>
#include <string.h>

#include "eng-checked.h"
#include "eng-error.h"

#define TRIALS_SHARE 0.4 /* of the time: all types on a sample, then one type on everything */

/* A stage's part of the whole, in bytes of the source. */
typedef struct
{
  const EngTransferOptions *whole;
  double from, to;
  uint64_t total;
} Stage;

static void
stage_progress (void *data, uint64_t done, uint64_t total)
{
  const Stage *stage = data;
  double part = total ? (double) done / (double) total : 1.0;
  stage->whole->progress (stage->whole->progress_data,
                          (uint64_t) ((double) stage->total * (stage->from + part * (stage->to - stage->from))),
                          stage->total);
}

static EngTransferOptions
begin_stage (Stage *stage, const EngTransferOptions *whole, double from, double to, uint64_t total)
{
  EngTransferOptions options = *whole;
  *stage = (Stage) { .whole = whole, .from = from, .to = to, .total = total };
  if (options.progress)
    {
      options.progress = stage_progress;
      options.progress_data = stage;
    }
  return options;
}

static uint64_t
source_bytes (const EngTransferTensor *tensors, size_t n)
{
  uint64_t sum = 0, bytes;
  for (size_t i = 0; i < n; i++)
    for (size_t k = 0; k < tensors[i].n_pieces; k++)
      if (eng_type_row_bytes (tensors[i].pieces[k].type, tensors[i].dims[0], &bytes))
        sum += bytes * tensors[i].pieces[k].n_rows;
  return sum;
}

/* Bytes of the header, the list of tensors and padding, at most. */
static EngStatus
header_bytes (EngGgufWriter *writer, const EngTransferTensor *tensors, size_t n, uint64_t *out, EngError *error)
{
  EngStatus status = eng_gguf_writer_get_bytes (writer, out, error);
  *out += eng_gguf_writer_get_alignment (writer);
  for (size_t i = 0; i < n; i++)
    *out += 8 + strlen (tensors[i].name) + 4 + 8 * (uint64_t) tensors[i].n_dims + 4 + 8;
  return status;
}

static EngStatus
choose (EngTypePlan *plan, const EngTarget *target, EngError *error)
{
  uint64_t smallest = eng_type_plan_get_smallest (plan);
  if (target->bytes < smallest)
    return eng_error_set_numbers (error, ENG_ERR_TOO_LARGE, NULL, smallest, target->bytes,
                                  "the model cannot be made as small as %.1f MB; the smallest possible is %.1f MB "
                                  "(%" PRIu64 " bytes)",
                                  (double) target->bytes / 1e6, (double) smallest / 1e6, smallest);
  eng_type_plan_choose (plan, target->bytes);
  return ENG_OK;
}

EngStatus
eng_target_write (EngGgufWriter *writer, EngTransferTensor *tensors, const bool *is_fixed, size_t n,
                  const EngTarget *target, const EngTransferOptions *options, uint64_t *out_bytes, EngError *error)
{
  Stage stage;
  EngTypePlan *plan = NULL;
  uint64_t total = source_bytes (tensors, n), other = 0;
  if (!eng_target_is_set (target))
    return eng_transfer_write (writer, tensors, n, options, out_bytes, error);
  EngTransferOptions trials = begin_stage (&stage, options, 0.0, options->only_size ? 1.0 : TRIALS_SHARE, total);
  EngStatus status = header_bytes (writer, tensors, n, &other, error);
  if (status == ENG_OK)
    status = eng_type_plan_new (tensors, is_fixed, n, other, eng_gguf_writer_get_alignment (writer), &trials, &plan,
                                error);
  if (status == ENG_OK)
    status = choose (plan, target, error);
  eng_type_plan_free (&plan);
  EngTransferOptions writing = begin_stage (&stage, options, TRIALS_SHARE, 1.0, total);
  return status == ENG_OK ? eng_transfer_write (writer, tensors, n, &writing, out_bytes, error) : status;
}
