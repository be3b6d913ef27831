/* SPDX-License-Identifier: Apache-2.0 */
/* inspect MODEL: what a model file holds and what running it takes; inspect --devices: where it could run. */
#include <string.h>

#include "eng-commands.h"
#include "eng-json.h"
#include "eng-quality.h"
#include "eng-template-gguf.h"
#include "eng-tool-session.h"

/* --- devices --- */

static void
print_devices (const EngDeviceList *list)
{
  for (uint32_t i = 0; i < list->n; i++)
    {
      const EngDeviceInfo *info = &list->entries[i].info;
      if (info->score == 0)
        printf ("%-5s cannot be used: %s\n", info->api, info->problem);
      else
        printf ("%-5s %s, %u units, %llu of %llu MiB free\n", info->api, info->name, info->n_units,
                (unsigned long long) (info->free_bytes >> 20),
                (unsigned long long) (info->memory_bytes >> 20));
    }
}

static void
write_devices (EngJsonWriter *w, const EngDeviceList *list)
{
  eng_json_write_key (w, "devices");
  eng_json_write_begin_array (w);
  for (uint32_t i = 0; i < list->n; i++)
    {
      const EngDeviceInfo *info = &list->entries[i].info;
      eng_json_write_begin_object (w);
      eng_json_write_member_string (w, "api", info->api);
      eng_json_write_member_string (w, "kind", info->kind == ENG_DEVICE_CPU ? "cpu" : "gpu");
      eng_json_write_member_string (w, "name", info->name);
      eng_json_write_member_int64 (w, "memory_bytes", (int64_t) info->memory_bytes);
      eng_json_write_member_int64 (w, "free_bytes", (int64_t) info->free_bytes);
      eng_json_write_member_int64 (w, "units", info->n_units);
      eng_json_write_member_int64 (w, "score", info->score);
      eng_json_write_member_int64 (w, "code", info->status);
      eng_json_write_member_string (w, "status", eng_status_name (info->status));
      eng_json_write_member_string (w, "problem", info->problem);
      eng_json_write_end_object (w);
    }
  eng_json_write_end_array (w);
}

static int
inspect_devices (bool json)
{
  EngError error;
  EngRuntime *runtime = NULL;
  if (eng_runtime_new (&runtime, &error) != ENG_OK)
    return eng_tool_fail (NULL, &error);
  const EngDeviceList *list = eng_runtime_get_devices (runtime);
  int code;
  if (json)
    {
      EngBuffer out = { 0 };
      EngJsonWriter w = { .out = &out };
      eng_json_write_begin_object (&w);
      write_devices (&w, list);
      eng_json_write_end_object (&w);
      code = eng_tool_finish_json (&out);
    }
  else
    {
      print_devices (list);
      code = eng_tool_finish_output ();
    }
  eng_runtime_free (&runtime);
  return code;
}

/* --- model --- */

static void
print_text (const EngModelInfo *info, const EngProgram *program, const EngSessionPlan *plan)
{
  printf ("name           %s\n", info->name);
  printf ("architecture   %s%s\n", info->architecture, info->is_encoder ? " (embeddings)" : "");
  if (info->licence[0])
    printf ("licence        %s\n", info->licence);
  printf ("type           %s\n", info->type);
  printf ("parameters     %llu\n", (unsigned long long) info->n_parameters);
  printf ("file bytes     %llu\n", (unsigned long long) info->file_bytes);
  printf ("context        %u tokens\n", info->n_ctx_train);
  printf ("vocabulary     %u tokens\n", program->n_vocab);
  printf ("layers         %u of width %u\n", program->n_layers, program->n_embd);
  printf ("chat template  %s\n", info->has_template ? "yes" : "no");
  printf ("device         %s\n", plan->device);
  printf ("memory         %llu MiB of weights, %llu of cache for %u tokens, %llu of scratch; %llu free\n",
          (unsigned long long) (plan->weight_bytes >> 20), (unsigned long long) (plan->kv_bytes >> 20),
          plan->n_ctx, (unsigned long long) (plan->scratch_bytes >> 20),
          (unsigned long long) (plan->available_bytes >> 20));
}

static void
print_quality (const EngGguf *file)
{
  EngQualityRecord record;
  const EngQuality *q = &record.quality;
  if (eng_quality_read (file, &record))
    printf ("quality        perplexity %.3f ± %.3f, of %s %.3f; mean KL %.4g; %llu positions of the text %s\n",
            q->perplexity, q->perplexity_error, record.source, q->reference_perplexity, q->mean_kl,
            (unsigned long long) q->n_positions, record.text);
}

static void
write_json (EngJsonWriter *w, const EngModelInfo *info, const EngProgram *program,
            const EngSessionPlan *plan)
{
  eng_json_write_member_string (w, "name", info->name);
  eng_json_write_member_string (w, "architecture", info->architecture);
  eng_json_write_member_string (w, "licence", info->licence);
  eng_json_write_member_string (w, "type", info->type);
  eng_json_write_member_int64 (w, "parameters", (int64_t) info->n_parameters);
  eng_json_write_member_int64 (w, "file_bytes", (int64_t) info->file_bytes);
  eng_json_write_member_int64 (w, "context_train", info->n_ctx_train);
  eng_json_write_member_int64 (w, "vocabulary", program->n_vocab);
  eng_json_write_member_int64 (w, "layers", program->n_layers);
  eng_json_write_member_int64 (w, "width", program->n_embd);
  eng_json_write_member_bool (w, "has_template", info->has_template);
  eng_json_write_member_bool (w, "is_encoder", info->is_encoder);
  eng_json_write_member_string (w, "device", plan->device);
  eng_json_write_member_int64 (w, "context", plan->n_ctx);
  eng_json_write_key (w, "memory");
  eng_json_write_begin_object (w);
  eng_json_write_member_int64 (w, "weights", (int64_t) plan->weight_bytes);
  eng_json_write_member_int64 (w, "kv", (int64_t) plan->kv_bytes);
  eng_json_write_member_int64 (w, "scratch", (int64_t) plan->scratch_bytes);
  eng_json_write_member_int64 (w, "host", (int64_t) plan->host_bytes);
  eng_json_write_member_int64 (w, "available", (int64_t) plan->available_bytes);
  eng_json_write_end_object (w);
}

static int
inspect_model (const char *path, const EngToolModelOptions *model_options, bool json)
{
  EngError error;
  EngRuntime *runtime = NULL;
  EngModel *model = NULL;
  EngSessionOptions options;
  EngSessionPlan plan;
  EngStatus status = eng_tool_session_options (model_options, &options, &error);
  if (status == ENG_OK)
    status = eng_runtime_new (&runtime, &error);
  if (status == ENG_OK)
    status = eng_session_plan (runtime, path, &options, &plan, &model, &error);
  if (status != ENG_OK)
    {
      eng_runtime_free (&runtime);
      return eng_tool_fail (path, &error);
    }
  const EngModelInfo *info = eng_model_get_info (model);
  const EngProgram *program = eng_model_get_program (model);
  int code;
  if (json)
    {
      EngBuffer out = { 0 };
      EngJsonWriter w = { .out = &out };
      eng_json_write_begin_object (&w);
      write_json (&w, info, program, &plan);
      eng_quality_write_member (&w, eng_model_get_file (model));
      eng_template_write_origin (&w, eng_model_get_file (model));
      eng_json_write_end_object (&w);
      code = eng_tool_finish_json (&out);
    }
  else
    {
      print_text (info, program, &plan);
      print_quality (eng_model_get_file (model));
      code = eng_tool_finish_output ();
    }
  eng_model_unref (&model);
  eng_runtime_free (&runtime);
  return code;
}

int
eng_cmd_inspect (int argc, char **argv)
{
  EngToolModelOptions model_options;
  eng_tool_model_options_init (&model_options);
  bool json = false, devices = false;
  const char *path = NULL;
  const EngToolOption options[] = {
    { "--devices", ENG_TOOL_FLAG, &devices, "  list what models can run on here, and what cannot and why" },
    { NULL },
  };
  EngToolCommandLine line = {
    .usage = "(MODEL | --devices) [OPTION]…",
    .summary = "Metadata of a model file and its memory plan.",
    .options = options,
    .model = &model_options,
    .json = &json,
    .arguments = &path,
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
  if (devices == (line.n_arguments == 1))
    return eng_tool_bad_usage ("inspect needs a model file or --devices, one of them");
  return devices ? inspect_devices (json) : inspect_model (path, &model_options, json);
}
