/* SPDX-License-Identifier: Apache-2.0 */
/* convert HF_FOLDER OUT.gguf [TYPE]: a model folder of a hub to one file. */
#include "eng-commands.h"
#include "eng-convert.h"
#include "eng-json.h"
#include "eng-tool-progress.h"

static int
print_report (const EngConvertReport *report, const char *out_path, bool json)
{
  if (!json)
    {
      printf ("%s: %s as %s, %llu tensors, %.1f MB from %.1f MB\n", out_path, report->architecture,
              report->mix, (unsigned long long) report->n_tensors, (double) report->out_bytes / 1e6,
              (double) report->in_bytes / 1e6);
      if (report->n_left_out)
        printf ("left out: what a language model does without, %llu of the folder's tensors (%.1f MB), such as %s\n",
                (unsigned long long) report->n_left_out, (double) report->left_out_bytes / 1e6, report->left_out);
      return eng_tool_finish_output ();
    }
  EngBuffer buffer = { 0 };
  EngJsonWriter w = { .out = &buffer };
  eng_json_write_begin_object (&w);
  eng_json_write_member_string (&w, "architecture", report->architecture);
  eng_json_write_member_string (&w, "type", report->mix);
  eng_json_write_member_int64 (&w, "tensors", (int64_t) report->n_tensors);
  eng_json_write_member_int64 (&w, "in_bytes", (int64_t) report->in_bytes);
  eng_json_write_member_int64 (&w, "out_bytes", (int64_t) report->out_bytes);
  eng_json_write_member_int64 (&w, "left_out", (int64_t) report->n_left_out);
  eng_json_write_end_object (&w);
  return eng_tool_finish_json (&buffer);
}

int
eng_cmd_convert (int argc, char **argv)
{
  const char *arguments[3] = { NULL };
  uint64_t n_threads = 0;
  bool json = false;
  EngToolProgress progress = { 0 };
  EngError error;
  const EngToolOption options[] = {
    { "--threads", ENG_TOOL_UINT, &n_threads, "T  threads; 0 chooses" },
    ENG_TOOL_PROGRESS_OPTION (progress),
    { NULL },
  };
  EngToolCommandLine line = {
    .usage = "FOLDER OUT.gguf [TYPE] [OPTION]…",
    .summary = "Make one GGUF file of a hub's model folder (config.json, safetensors, tokenizer). "
               "Without TYPE the weights keep theirs.",
    .options = options,
    .json = &json,
    .arguments = arguments,
    .min_arguments = 2,
    .max_arguments = 3,
  };
  EngToolParsed parsed = eng_tool_parse (argc, argv, &line);
  if (parsed != ENG_TOOL_PARSED)
    return parsed == ENG_TOOL_PARSED_HELP ? ENG_TOOL_OK : ENG_TOOL_USAGE;
  EngConvertOptions convert = { .mix = line.n_arguments > 2 ? arguments[2] : NULL };
  EngConvertReport report = { 0 };
  eng_tool_progress_begin (&progress, &convert.transfer);
  EngStatus status = eng_thread_pool_new ((uint32_t) (n_threads < 256 ? n_threads : 256),
                                          &convert.transfer.pool, &error);
  if (status == ENG_OK)
    status = eng_convert_folder (arguments[0], arguments[1], &convert, &report, &error);
  eng_tool_progress_end (&progress);
  eng_thread_pool_free (&convert.transfer.pool);
  if (status != ENG_OK)
    return eng_tool_progress_fail (&progress, error.code == ENG_ERR_ARGUMENT ? NULL : arguments[0], &error);
  return print_report (&report, arguments[1], json);
}
