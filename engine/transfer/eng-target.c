/* SPDX-License-Identifier: Apache-2.0 */
/* Seeking a KL: the plan foretells each choice's KL up to a factor that differs from model to model, so a few files are
 * made and measured. Every one lies between the largest that was too far off and the smallest that was not; where, follows
 * from the measured ones by KL ~ error^p. Files are made and measured under the temporary name; the last one is made again
 * unless it is the best. */
#include "eng-target.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "eng-checked.h"
#include "eng-error.h"

#define MAX_TRIED 8u
#define CLOSE_ENOUGH 0.004 /* of the size: between a file that is too far off and one that is not */
#define AIM 0.98           /* of the KL: a little below, or every second file would just miss it */
#define KL_CLOSE_ENOUGH 0.95 /* of the KL: a file that uses so much of it could hardly be smaller */

typedef struct
{
  const EngTransferOptions *whole;
  double from, to; /* this stage's part of the time */
  uint64_t total;  /* bytes of the source */
  EngTransferOptions options;
} Stage;

typedef struct
{
  EngGgufWriter *writer;
  const char *out_path;
  EngTransferTensor *tensors;
  size_t n;
  const EngTarget *target;
  EngTypePlan *plan;
  Stage stage;
  bool is_written, is_best; /* the writer holds a file; the best one */
  EngTargetReport report;
} Work;

static void
stage_progress (void *data, uint64_t done, uint64_t total)
{
  const Stage *stage = data;
  double part = total ? (double) done / (double) total : 1.0;
  stage->whole->progress (stage->whole->progress_data,
                          (uint64_t) ((double) stage->total * (stage->from + part * (stage->to - stage->from))),
                          stage->total);
}

/* The next stage, up to @to of the whole time. */
static const EngTransferOptions *
begin_stage (Work *w, double to)
{
  Stage *stage = &w->stage;
  stage->from = stage->to;
  stage->to = to;
  stage->options = *stage->whole;
  if (stage->options.progress)
    {
      stage->options.progress = stage_progress;
      stage->options.progress_data = stage;
    }
  return &stage->options;
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
header_bytes (Work *w, uint64_t *out, EngError *error)
{
  EngStatus status = eng_gguf_writer_get_bytes (w->writer, out, error);
  *out += eng_gguf_writer_get_alignment (w->writer);
  for (size_t i = 0; i < w->n; i++)
    *out += 8 + strlen (w->tensors[i].name) + 4 + 8 * (uint64_t) w->tensors[i].n_dims + 4 + 8;
  return status;
}

static EngStatus
make_plan (Work *w, const bool *is_fixed, const EngTransferOptions *options, EngError *error)
{
  uint64_t other = 0;
  EngStatus status = header_bytes (w, &other, error);
  if (status == ENG_OK)
    status = eng_type_plan_new (w->tensors, is_fixed, w->n, other, eng_gguf_writer_get_alignment (w->writer), options,
                                &w->plan, error);
  uint64_t smallest = status == ENG_OK ? eng_type_plan_get_smallest (w->plan) : 0, wanted = w->target->bytes;
  if (status == ENG_OK && wanted && wanted < smallest)
    status = eng_error_set_numbers (error, ENG_ERR_TOO_LARGE, NULL, smallest, wanted,
                                    "the model cannot be made as small as %.1f MB; the smallest possible is %.1f MB "
                                    "(%" PRIu64 " bytes)",
                                    (double) wanted / 1e6, (double) smallest / 1e6, smallest);
  return status;
}

/* ---- One file ----------------------------------------------------------------------------------- */

static EngStatus
write_file (Work *w, double to, EngError *error)
{
  EngStatus status = w->is_written ? eng_gguf_writer_restart (w->writer, w->out_path, error) : ENG_OK;
  w->is_written = true;
  return status == ENG_OK ? eng_transfer_write_part (w->writer, w->tensors, w->n, begin_stage (w, to),
                                                     &w->report.out_bytes, error)
                          : status;
}

static EngStatus
measure_file (Work *w, double to, EngQuality *quality, EngError *error)
{
  return w->target->measure (w->target->measure_data, eng_gguf_writer_get_part_path (w->writer), begin_stage (w, to),
                             quality, error);
}

/* A measurement beside the point: why it failed is said, and the file made without. */
static EngStatus
forgive (Work *w, EngStatus status, const EngError *e, EngError *error)
{
  if (status == ENG_OK || status == ENG_ERR_CANCELLED)
    {
      if (status != ENG_OK && error)
        *error = *e;
      return status;
    }
  w->report.measure_error = *e;
  return ENG_OK;
}

static EngStatus
write_and_measure (Work *w, bool is_measured, EngError *error)
{
  EngError e;
  EngStatus status = write_file (w, is_measured ? 0.85 : 1.0, error);
  if (status != ENG_OK || !is_measured)
    return status;
  status = measure_file (w, 1.0, &w->report.record.quality, &e);
  if (status == ENG_OK)
    return eng_quality_store (w->writer, &w->report.record, error);
  w->report.record.quality = (EngQuality) { 0 };
  return forgive (w, status, &e, error);
}

/* ---- Seeking a KL ------------------------------------------------------------------------------- */

typedef struct
{
  EngTypeChoice choice;
  double kl;
} Tried;

/* The smallest budget whose choice has at most the error @wanted. */
static EngTypeChoice
find_error (Work *w, double wanted, uint64_t low, uint64_t high)
{
  EngTypeChoice found = eng_type_plan_choose (w->plan, high);
  while (high - low > high / 2000 + 64)
    {
      uint64_t middle = low + (high - low) / 2;
      EngTypeChoice choice = eng_type_plan_choose (w->plan, middle);
      if (choice.error > wanted)
        low = middle;
      else
        {
          high = middle;
          found = choice;
        }
    }
  return found;
}

static double
guess_error (double kl, const Tried *below, bool has_below, const Tried *above, bool has_above)
{
  if (has_below && has_above)
    {
      double p = log (below->kl / above->kl) / log (below->choice.error / above->choice.error);
      p = isfinite (p) && p > 0.2 ? p : 1.0;
      return above->choice.error * pow (kl / above->kl, 1.0 / p);
    }
  if (has_below)
    return below->choice.error * kl / below->kl;
  if (has_above)
    return above->choice.error * kl / above->kl;
  return kl;
}

/* @below: the largest file too far off; @above: the smallest that is not. */
static EngStatus
seek (Work *w, Tried *above, EngError *error)
{
  uint64_t smallest = eng_type_plan_get_smallest (w->plan), largest = eng_type_plan_get_largest (w->plan);
  Tried below = { 0 };
  bool has_below = false, has_above = false;
  double kl = w->target->kl;
  for (w->report.n_tried = 0; w->report.n_tried < MAX_TRIED;)
    {
      uint64_t low = has_below ? below.choice.bytes + 1 : smallest, high = has_above ? above->choice.bytes - 1 : largest;
      if (low > high || (has_above && has_below && (double) (high - low) < CLOSE_ENOUGH * (double) high))
        break;
      double wanted = guess_error (kl * AIM, &below, has_below, above, has_above);
      Tried now = { .choice = find_error (w, wanted, low, high) };
      /* The last but one without a file that will do is the closest there is. */
      if (!has_above && w->report.n_tried + 2 >= MAX_TRIED)
        now.choice = eng_type_plan_choose (w->plan, largest);
      if (has_below && now.choice.bytes <= below.choice.bytes)
        break;
      EngQuality quality;
      double begin = w->stage.to, step = (0.97 - begin) / (MAX_TRIED + 1 - w->report.n_tried);
      eng_type_plan_choose (w->plan, now.choice.bytes);
      EngStatus status = write_file (w, begin + 0.7 * step, error);
      if (status == ENG_OK)
        status = measure_file (w, begin + step, &quality, error);
      if (status != ENG_OK)
        return status;
      w->report.n_tried++;
      now.kl = quality.mean_kl > 1e-12 ? quality.mean_kl : 1e-12;
      w->is_best = quality.mean_kl <= kl;
      if (w->is_best)
        {
          *above = now;
          w->report.record.quality = quality;
          has_above = true;
          if (now.choice.bytes <= smallest + smallest / 1000 || now.kl >= kl * KL_CLOSE_ENOUGH)
            break;
        }
      else
        {
          below = now;
          has_below = true;
        }
    }
  if (has_above)
    return ENG_OK;
  return eng_error_set (error, ENG_ERR_LIMIT, NULL, ENG_OFFSET_NONE,
                        "no file comes as close as a mean KL of %g: at %.1f MB it is %.4g; ask for that or more", kl,
                        (double) below.choice.bytes / 1e6, below.kl);
}

static EngStatus
write_within_kl (Work *w, EngError *error)
{
  Tried best = { 0 };
  EngStatus status = seek (w, &best, error);
  if (status != ENG_OK)
    return status;
  eng_type_plan_choose (w->plan, best.choice.bytes);
  if (!w->is_best)
    status = write_file (w, 1.0, error);
  return status == ENG_OK ? eng_quality_store (w->writer, &w->report.record, error) : status;
}

/* ---- All of it ---------------------------------------------------------------------------------- */

/* The reference is read first: what is wrong with it should show early. */
static EngStatus
prepare_measure (Work *w, bool *is_measured, EngError *error)
{
  EngError e;
  EngStatus status = w->target->measure (w->target->measure_data, NULL, begin_stage (w, 0.15), NULL, &e);
  *is_measured = status == ENG_OK;
  if (status == ENG_OK)
    return eng_quality_store (w->writer, &w->report.record, error);
  if (w->target->kl > 0.0)
    {
      if (error)
        *error = e;
      return status;
    }
  return forgive (w, status, &e, error);
}

static EngStatus
write_target (Work *w, const bool *is_fixed, EngError *error)
{
  const EngTarget *target = w->target;
  bool is_measured = false, only_size = w->stage.whole->only_size;
  EngStatus status = ENG_OK;
  if (only_size && target->kl > 0.0)
    return eng_error_set (error, ENG_ERR_ARGUMENT, NULL, ENG_OFFSET_NONE,
                          "the size for a KL cannot be foretold: files have to be made and measured");
  if (target->measure && !only_size)
    status = prepare_measure (w, &is_measured, error);
  if (status == ENG_OK && eng_target_is_set (target))
    status = make_plan (w, is_fixed, begin_stage (w, only_size ? 1.0 : w->stage.to + 0.15), error);
  if (status == ENG_OK && target->bytes)
    eng_type_plan_choose (w->plan, target->bytes);
  if (status != ENG_OK)
    return status;
  if (only_size)
    return eng_transfer_write (w->writer, w->tensors, w->n, w->stage.whole, &w->report.out_bytes, error);
  status = target->kl > 0.0 ? write_within_kl (w, error) : write_and_measure (w, is_measured, error);
  return status == ENG_OK ? eng_gguf_writer_finish (w->writer, error) : status;
}

static void
set_name (char *to, const char *from)
{
  size_t n = from ? strlen (from) : 0;
  n = n < ENG_QUALITY_NAME_BYTES ? n : 0;
  memcpy (to, from ? from : "", n);
  to[n] = '\0';
}

EngStatus
eng_target_write (EngGgufWriter *writer, const char *out_path, EngTransferTensor *tensors, const bool *is_fixed,
                  size_t n, const EngTarget *target, const EngTransferOptions *options, EngTargetReport *report,
                  EngError *error)
{
  Work w = { .writer = writer, .out_path = out_path, .tensors = tensors, .n = n, .target = target };
  w.stage.whole = options;
  w.stage.total = source_bytes (tensors, n);
  set_name (w.report.record.text, target->text_name);
  set_name (w.report.record.source, target->source_name);
  EngStatus status = write_target (&w, is_fixed, error);
  eng_type_plan_free (&w.plan);
  *report = w.report;
  return status;
}
