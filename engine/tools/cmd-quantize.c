/* SPDX-License-Identifier: Apache-2.0 */
/* quantize IN OUT TYPE: the same model in other number formats. */
#include "eng-commands.h"
#include "eng-json.h"
#include "eng-quantize.h"
#include "eng-tool-progress.h"

static int
print_report (const EngQuantizeReport *report, const char *out_path, bool json)
{
  if (!json)
    {
      printf ("%s: %.1f MB from %.1f MB, %llu of %llu tensors changed", out_path,
              (double) report->out_bytes / 1e6, (double) report->in_bytes / 1e6,
              (unsigned long long) report->n_encoded, (unsigned long long) report->n_tensors);
      if (report->n_fallbacks)
        printf (", %llu with rows that do not fit the type's blocks",
                (unsigned long long) report->n_fallbacks);
      if (report->n_without_importance)
        printf (", %llu without importance", (unsigned long long) report->n_without_importance);
      putchar ('\n');
      return eng_tool_finish_output ();
    }
  EngBuffer buffer = { 0 };
  EngJsonWriter w = { .out = &buffer };
  eng_json_write_begin_object (&w);
  eng_json_write_key (&w, "in_bytes");
  eng_json_write_uint64 (&w, report->in_bytes);
  eng_json_write_key (&w, "out_bytes");
  eng_json_write_uint64 (&w, report->out_bytes);
  eng_json_write_key (&w, "tensors");
  eng_json_write_uint64 (&w, report->n_tensors);
  eng_json_write_key (&w, "encoded");
  eng_json_write_uint64 (&w, report->n_encoded);
  eng_json_write_key (&w, "fallbacks");
  eng_json_write_uint64 (&w, report->n_fallbacks);
  eng_json_write_key (&w, "without_importance");
  eng_json_write_uint64 (&w, report->n_without_importance);
  eng_json_write_end_object (&w);
  return eng_tool_finish_json (&buffer);
}

int
eng_cmd_quantize (int argc, char **argv)
{
  const char *importance = NULL, *arguments[3];
  uint64_t n_threads = 0;
  bool json = false;
  EngToolProgress progress = { 0 };
  EngError error;
  const EngToolOption options[] = {
    { "--imatrix", ENG_TOOL_STRING, &importance, "F  importance of the weights, from `imatrix`" },
    { "--threads", ENG_TOOL_UINT, &n_threads, "T  threads; 0 chooses" },
    ENG_TOOL_PROGRESS_OPTION (progress),
    { NULL },
  };
  EngToolCommandLine line = {
    .usage = "IN.gguf OUT.gguf TYPE [OPTION]…",
    .summary = "Write a model with its weights as TYPE: F32, F16, BF16, Q8_0, Q6_K, Q5_K_M, Q4_K_M, …",
    .options = options,
    .json = &json,
    .arguments = arguments,
    .min_arguments = 3,
    .max_arguments = 3,
  };
  EngToolParsed parsed = eng_tool_parse (argc, argv, &line);
  if (parsed != ENG_TOOL_PARSED)
    return parsed == ENG_TOOL_PARSED_HELP ? ENG_TOOL_OK : ENG_TOOL_USAGE;
  EngQuantizeOptions quantize = { .mix = arguments[2], .importance_path = importance };
  EngQuantizeReport report;
  eng_tool_progress_begin (&progress, &quantize.transfer);
  EngStatus status = eng_thread_pool_new ((uint32_t) (n_threads < 256 ? n_threads : 256),
                                          &quantize.transfer.pool, &error);
  if (status == ENG_OK)
    status = eng_quantize_file (arguments[0], arguments[1], &quantize, &report, &error);
  eng_tool_progress_end (&progress);
  eng_thread_pool_free (&quantize.transfer.pool);
  if (status != ENG_OK)
    return eng_tool_progress_fail (&progress, error.code == ENG_ERR_ARGUMENT ? NULL : arguments[0], &error);
  return print_report (&report, arguments[1], json);
}
