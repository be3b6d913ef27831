/* SPDX-License-Identifier: Apache-2.0 */
/* imatrix MODEL [--text-file F] OUT: the importance of weights, for quantize --imatrix. */
#include <string.h>

#include "eng-arena.h"
#include "eng-commands.h"
#include "eng-importance-gather.h"
#include "eng-json.h"
#include "eng-tool-progress.h"
#include "eng-tool-session.h"

#define CHUNK 512u
#define MAX_TEXT_BYTES ((size_t) 1 << 30)

static int
print_report (const EngGatherReport *report, const char *out_path, bool json)
{
  if (!json)
    {
      printf ("%s: %llu matrices over %llu tokens in %llu chunks\n", out_path,
              (unsigned long long) report->n_matrices, (unsigned long long) report->n_tokens,
              (unsigned long long) report->n_chunks);
      return eng_tool_finish_output ();
    }
  EngBuffer buffer = { 0 };
  EngJsonWriter w = { .out = &buffer };
  eng_json_write_begin_object (&w);
  eng_json_write_member_int64 (&w, "matrices", (int64_t) report->n_matrices);
  eng_json_write_member_int64 (&w, "tokens", (int64_t) report->n_tokens);
  eng_json_write_member_int64 (&w, "chunks", (int64_t) report->n_chunks);
  eng_json_write_end_object (&w);
  return eng_tool_finish_json (&buffer);
}

static EngStatus
gather (const char *model, const char *out_path, const char *file, const EngSessionOptions *options,
        EngGatherOptions *gather_options, EngGatherReport *report, EngError *error)
{
  EngToolSession s = { NULL };
  char *text = NULL;
  EngStatus status = ENG_OK;
  if (file)
    {
      const char *slash = strrchr (file, '/');
      gather_options->dataset = slash ? slash + 1 : file;
      status = eng_tool_read_file (file, MAX_TEXT_BYTES, &text, &gather_options->text_bytes, error);
      gather_options->text = text;
    }
  if (status == ENG_OK)
    status = eng_tool_open (model, options, &s, error);
  if (status == ENG_OK)
    status = eng_importance_gather (s.session, out_path, gather_options, report, error);
  eng_tool_close (&s);
  eng_free (text);
  return status;
}

int
eng_cmd_imatrix (int argc, char **argv)
{
  EngToolModelOptions model_options;
  eng_tool_model_options_init (&model_options);
  const char *arguments[2], *file = NULL;
  uint64_t max_chunks = 0;
  bool json = false;
  EngToolProgress progress = { 0 };
  const EngToolOption options[] = {
    { "--text-file", ENG_TOOL_STRING, &file,
      "F  the text to read; - is standard input; without it a built-in one in several languages" },
    { "--chunks", ENG_TOOL_UINT, &max_chunks, "N  at most so many chunks" },
    ENG_TOOL_PROGRESS_OPTION (progress),
    { NULL },
  };
  EngToolCommandLine line = {
    .usage = "MODEL [--text-file F] OUT [OPTION]…",
    .summary = "Importance of the weights over a text in chunks of --ctx (512) tokens, on the CPU, "
               "for quantize --imatrix.",
    .options = options,
    .model = &model_options,
    .json = &json,
    .arguments = arguments,
    .min_arguments = 2,
    .max_arguments = 2,
  };
  EngToolParsed parsed = eng_tool_parse (argc, argv, &line);
  if (parsed != ENG_TOOL_PARSED)
    return parsed == ENG_TOOL_PARSED_HELP ? ENG_TOOL_OK : ENG_TOOL_USAGE;
  if ((model_options.n_ctx && model_options.n_ctx < 8) || model_options.n_ctx > 1 << 20)
    return eng_tool_bad_usage ("imatrix needs a --ctx of 8 to 1048576");
  EngError error;
  EngSessionOptions session_options;
  EngTransferOptions transfer = { 0 };
  EngGatherReport report;
  EngGatherOptions gather_options = {
    .dataset = "built-in",
    .chunk = model_options.n_ctx ? (uint32_t) model_options.n_ctx : CHUNK,
    .max_chunks = max_chunks,
  };
  model_options.device = "cpu";
  EngStatus status = eng_tool_session_options (&model_options, &session_options, &error);
  session_options.n_ctx = gather_options.chunk;
  session_options.max_sequences = 1;
  eng_tool_progress_begin (&progress, &transfer);
  gather_options.cancel = transfer.cancel;
  gather_options.progress = transfer.progress;
  gather_options.progress_data = transfer.progress_data;
  if (status == ENG_OK)
    status = gather (arguments[0], arguments[1], file, &session_options, &gather_options, &report,
                     &error);
  eng_tool_progress_end (&progress);
  if (status != ENG_OK)
    return eng_tool_progress_fail (&progress, error.code == ENG_ERR_ARGUMENT ? NULL : arguments[0],
                                   &error);
  return print_report (&report, arguments[1], json);
}
