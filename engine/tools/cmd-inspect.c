/* SPDX-License-Identifier: Apache-2.0 */
/* inspect MODEL: what a model file holds, and what running it takes. */
#include <string.h>

#include "eng-commands.h"
#include "eng-json.h"
#include "eng-model.h"
#include "eng-tool.h"

static void
print_text (const EngModelInfo *info, const EngProgram *program)
{
  printf ("name           %s\n", info->name);
  printf ("architecture   %s%s\n", info->architecture, info->is_encoder ? " (embeddings)" : "");
  printf ("type           %s\n", info->type);
  printf ("parameters     %llu\n", (unsigned long long) info->n_parameters);
  printf ("file bytes     %llu\n", (unsigned long long) info->file_bytes);
  printf ("context        %u tokens\n", info->n_ctx_train);
  printf ("vocabulary     %u tokens\n", program->n_vocab);
  printf ("layers         %u of width %u\n", program->n_layers, program->n_embd);
  printf ("chat template  %s\n", info->has_template ? "yes" : "no");
}

static void
write_json (EngJsonWriter *w, const EngModelInfo *info, const EngProgram *program)
{
  eng_json_write_member_string (w, "name", info->name);
  eng_json_write_member_string (w, "architecture", info->architecture);
  eng_json_write_member_string (w, "type", info->type);
  eng_json_write_member_int64 (w, "parameters", (int64_t) info->n_parameters);
  eng_json_write_member_int64 (w, "file_bytes", (int64_t) info->file_bytes);
  eng_json_write_member_int64 (w, "context_train", info->n_ctx_train);
  eng_json_write_member_int64 (w, "vocabulary", program->n_vocab);
  eng_json_write_member_int64 (w, "layers", program->n_layers);
  eng_json_write_member_int64 (w, "width", program->n_embd);
  eng_json_write_member_bool (w, "has_template", info->has_template);
  eng_json_write_member_bool (w, "is_encoder", info->is_encoder);
}

int
eng_cmd_inspect (int argc, char **argv)
{
  EngToolModelOptions model_options;
  eng_tool_model_options_init (&model_options);
  bool json = false;
  const char *path = NULL;
  EngToolCommandLine line = {
    .usage = "(MODEL | --devices) [OPTION]…",
    .summary = "Metadata of a model file and its memory plan.",
    .model = &model_options,
    .json = &json,
    .arguments = &path,
    .min_arguments = 1,
    .max_arguments = 1,
  };
  switch (eng_tool_parse (argc, argv, &line))
    {
    case ENG_TOOL_PARSED_HELP:
      return ENG_TOOL_OK;
    case ENG_TOOL_PARSED_BAD:
      return ENG_TOOL_USAGE;
    case ENG_TOOL_PARSED:
      break;
    }
  EngError error;
  EngModel *model = NULL;
  const EngModelOptions options = { .n_ctx = model_options.n_ctx };
  if (eng_model_open (path, &options, &model, &error) != ENG_OK)
    return eng_tool_fail (path, &error);
  const EngModelInfo *info = eng_model_get_info (model);
  const EngProgram *program = eng_model_get_program (model);
  int code;
  if (json)
    {
      EngBuffer out = { 0 };
      EngJsonWriter w = { .out = &out };
      eng_json_write_begin_object (&w);
      write_json (&w, info, program);
      eng_json_write_end_object (&w);
      code = eng_tool_finish_json (&out);
    }
  else
    {
      print_text (info, program);
      code = eng_tool_finish_output ();
    }
  eng_model_unref (&model);
  return code;
}
