/* SPDX-License-Identifier: Apache-2.0 */
/* quantize IN OUT TYPE: the same model in other number formats; with a target in place of TYPE the formats are chosen to fit
 * it. --predict instead of OUT: how large it would be. IN is a GGUF file or a hub's folder. */
#include <inttypes.h>
#include <sys/stat.h>

#include "eng-commands.h"
#include "eng-convert.h"
#include "eng-json.h"
#include "eng-quantize.h"
#include "eng-tool-measure.h"
#include "eng-tool-progress.h"

#define MEASURE_SECONDS 300u

typedef struct
{
  EngQuantizeReport report;
  uint64_t type_bytes[ENG_TRANSFER_TYPES];
  bool only_size;
} Result;

static void
print_quality (const EngQualityRecord *record, uint32_t n_tried)
{
  const EngQuality *q = &record->quality;
  if (n_tried)
    printf ("%u files tried\n", n_tried);
  printf ("perplexity %.3f ± %.3f, of %s %.3f; mean KL %.4g, 99 %% below %.3g, same first choice %.1f %%; %" PRIu64
          " positions of the text %s\n",
          q->perplexity, q->perplexity_error, record->source, q->reference_perplexity, q->mean_kl, q->kl_99,
          100.0 * q->same_top, q->n_positions, record->text);
}

static void
print_text (const Result *result, const char *out_path)
{
  const EngQuantizeReport *report = &result->report;
  printf ("%s: %.1f MB from %.1f MB, %" PRIu64 " of %" PRIu64 " tensors %s", out_path,
          (double) report->out_bytes / 1e6, (double) report->in_bytes / 1e6, report->n_encoded,
          report->n_tensors, result->only_size ? "would change" : "changed");
  if (report->n_fallbacks)
    printf (", %" PRIu64 " with rows that do not fit the type's blocks", report->n_fallbacks);
  if (report->n_without_importance)
    printf (", %" PRIu64 " without importance", report->n_without_importance);
  putchar ('\n');
  if (report->target.record.quality.n_positions)
    print_quality (&report->target.record, report->target.n_tried);
  if (!result->only_size)
    return;
  printf ("%" PRIu64 " bytes:", report->out_bytes);
  for (uint32_t i = 0; i < ENG_TRANSFER_TYPES; i++)
    if (result->type_bytes[i])
      printf (" %s %" PRIu64, eng_type_get_info ((EngType) i)->name, result->type_bytes[i]);
  putchar ('\n');
}

static void
write_number (EngJsonWriter *w, const char *key, uint64_t value)
{
  eng_json_write_key (w, key);
  eng_json_write_uint64 (w, value);
}

static int
print_report (const Result *result, const char *out_path, bool json)
{
  const EngQuantizeReport *report = &result->report;
  if (!json)
    {
      print_text (result, out_path);
      return eng_tool_finish_output ();
    }
  EngBuffer buffer = { 0 };
  EngJsonWriter w = { .out = &buffer };
  eng_json_write_begin_object (&w);
  write_number (&w, "in_bytes", report->in_bytes);
  write_number (&w, "out_bytes", report->out_bytes);
  write_number (&w, "tensors", report->n_tensors);
  write_number (&w, "encoded", report->n_encoded);
  write_number (&w, "fallbacks", report->n_fallbacks);
  write_number (&w, "requantized", report->n_requantized);
  write_number (&w, "without_importance", report->n_without_importance);
  eng_json_write_key (&w, "bytes_by_type");
  eng_json_write_begin_object (&w);
  for (uint32_t i = 0; i < ENG_TRANSFER_TYPES; i++)
    if (result->type_bytes[i])
      write_number (&w, eng_type_get_info ((EngType) i)->name, result->type_bytes[i]);
  eng_json_write_end_object (&w);
  if (report->target.n_tried)
    write_number (&w, "files_tried", report->target.n_tried);
  if (report->target.record.quality.n_positions)
    {
      eng_json_write_key (&w, "quality");
      eng_quality_write_json (&w, &report->target.record);
    }
  if (report->target.measure_error.code != ENG_OK)
    eng_json_write_member_string (&w, "quality_error", report->target.measure_error.text);
  eng_json_write_end_object (&w);
  return eng_tool_finish_json (&buffer);
}

static EngStatus
quantize_folder (const char *folder, const char *out_path, const EngQuantizeOptions *options,
                 EngQuantizeReport *report, EngError *error)
{
  const EngConvertOptions convert = { .mix = options->mix,
                                      .target = options->target,
                                      .importance_path = options->importance_path,
                                      .transfer = options->transfer };
  EngConvertReport r = { 0 };
  EngStatus status = eng_convert_folder (folder, out_path, &convert, &r, error);
  *report = (EngQuantizeReport) { .in_bytes = r.in_bytes,
                                  .out_bytes = r.out_bytes,
                                  .n_tensors = r.n_tensors,
                                  .n_encoded = r.n_encoded,
                                  .n_fallbacks = r.n_fallbacks,
                                  .n_without_importance = r.n_without_importance,
                                  .target = r.target };
  return status;
}

static EngStatus
quantize (const char *in_path, const char *out_path, const EngQuantizeOptions *options,
          EngQuantizeReport *report, EngError *error)
{
  struct stat info;
  if (stat (in_path, &info) == 0 && S_ISDIR (info.st_mode))
    return quantize_folder (in_path, out_path, options, report, error);
  return eng_quantize_file (in_path, out_path, options, report, error);
}

static void
warn (const Result *result, const char *in_path)
{
  if (result->report.n_requantized)
    fprintf (stderr,
             "inglenook-engine: warning: %" PRIu64 " matrices of %s are quantized already; made from the original (F16, "
             "BF16 or F32) the result would be closer to it\n",
             result->report.n_requantized, in_path);
  if (result->report.target.measure_error.code != ENG_OK)
    fprintf (stderr, "inglenook-engine: warning: the quality could not be measured: %s\n",
             result->report.target.measure_error.text);
}

int
eng_cmd_quantize (int argc, char **argv)
{
  const char *importance = NULL, *arguments[3];
  uint64_t n_threads = 0;
  bool json = false;
  EngToolProgress progress = { 0 };
  EngTarget target = { 0 };
  EngToolMeasure measure = { .max_seconds = MEASURE_SECONDS };
  EngError error;
  Result result = { 0 };
  const EngToolOption options[] = {
    { "--imatrix", ENG_TOOL_STRING, &importance, "F  importance of the weights, from `imatrix`" },
    { "--target-bytes", ENG_TOOL_BYTES, &target.bytes,
      "N  instead of TYPE: at most N bytes (K, M, G: powers of 1024), types chosen by error per byte" },
    { "--target-kl", ENG_TOOL_FLOAT, &target.kl,
      "X  instead of TYPE: the smallest file with a mean KL of at most X to IN or the reference" },
    ENG_TOOL_MEASURE_OPTIONS (measure),
    { "--predict", ENG_TOOL_FLAG, &result.only_size, "write nothing, say how large the file would be" },
    { "--threads", ENG_TOOL_UINT, &n_threads, "T  threads; 0 chooses" },
    ENG_TOOL_PROGRESS_OPTION (progress),
    { NULL },
  };
  EngToolCommandLine line = {
    .usage = "(IN OUT.gguf (TYPE | TARGET) | IN (TYPE | TARGET) --predict) [OPTION]…",
    .summary = "Write a model (GGUF, or a hub's folder) with its weights as TYPE: F32, F16, BF16, Q8_0, Q6_K, Q5_K_M, "
               "Q4_K_M, …",
    .options = options,
    .json = &json,
    .arguments = arguments,
    .min_arguments = 1,
    .max_arguments = 3,
  };
  EngToolParsed parsed = eng_tool_parse (argc, argv, &line);
  if (parsed != ENG_TOOL_PARSED)
    return parsed == ENG_TOOL_PARSED_HELP ? ENG_TOOL_OK : ENG_TOOL_USAGE;
  size_t n_needed = 1 + !result.only_size + !eng_target_is_set (&target);
  if (line.n_arguments != n_needed)
    return eng_tool_bad_usage ("quantize needs IN, OUT unless --predict is given, and TYPE or a target");
  if ((target.bytes && target.kl != 0.0) || !(target.kl >= 0.0))
    return eng_tool_bad_usage ("quantize needs one target, and a --target-kl above 0");
  const char *out_path = result.only_size ? NULL : arguments[1];
  EngQuantizeOptions quantize_options = { .importance_path = importance };
  if (!eng_target_is_set (&target))
    quantize_options.mix = arguments[n_needed - 1];
  quantize_options.transfer.only_size = result.only_size;
  quantize_options.transfer.type_bytes = result.type_bytes;
  eng_tool_progress_begin (&progress, &quantize_options.transfer);
  measure.n_threads = n_threads;
  measure.lines = progress.lines;
  EngStatus status = eng_tool_measure_begin (&measure, arguments[0], out_path, &target, &error);
  quantize_options.target = target;
  if (status == ENG_OK)
    status = eng_thread_pool_new ((uint32_t) (n_threads < 256 ? n_threads : 256), &quantize_options.transfer.pool,
                                  &error);
  if (status == ENG_OK)
    status = quantize (arguments[0], out_path, &quantize_options, &result.report, &error);
  eng_tool_progress_end (&progress);
  eng_thread_pool_free (&quantize_options.transfer.pool);
  eng_tool_measure_end (&measure);
  if (status != ENG_OK)
    return eng_tool_progress_fail (&progress, error.code == ENG_ERR_ARGUMENT || error.code == ENG_ERR_TOO_LARGE ? NULL : arguments[0], &error);
  warn (&result, arguments[0]);
  return print_report (&result, out_path ? out_path : arguments[0], json);
}
