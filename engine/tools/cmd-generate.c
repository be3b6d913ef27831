/* SPDX-License-Identifier: Apache-2.0 */
/* generate MODEL: continue a text, or answer messages. */
#include <string.h>
#include <time.h>

#include "eng-arena.h"
#include "eng-commands.h"
#include "eng-tool-session.h"

#define MAX_INPUT_BYTES ((size_t) 64 << 20)

typedef struct
{
  const char *prompt, *prompt_file, *messages_file, *vars_file;
  bool parse_special, greedy, json, ignore_eog, cpu_sampling;
  uint64_t n_tokens, top_k, penalty_window;
  int64_t seed;
  double temperature, top_p, min_p, repetition_penalty;
  EngToolStrings stops;
} Arguments;

typedef struct
{
  EngBuffer text; /* with --json: all of it */
  bool json;
} Output;

static bool
on_text (void *data, const char *text, size_t n_bytes, uint32_t n_generated, uint32_t n_context)
{
  Output *output = data;
  if (output->json)
    return eng_buffer_append (&output->text, text, n_bytes);
  fwrite (text, 1, n_bytes, stdout);
  return fflush (stdout) == 0;
}

/* A JSON file into @arena; the text is freed here. */
static EngStatus
read_json (const char *path, EngArena *arena, const EngJson **root, EngError *error)
{
  char *text;
  size_t n_bytes;
  EngStatus status = eng_tool_read_file (path, MAX_INPUT_BYTES, &text, &n_bytes, error);
  if (status != ENG_OK)
    return status;
  status = eng_json_parse (text, n_bytes, 0, arena, root, error);
  eng_free (text);
  return status;
}

static EngStatus
read_prompt (const Arguments *a, EngArena *arena, char **text, EngPrompt *prompt, EngError *error)
{
  EngStatus status = ENG_OK;
  if (a->messages_file)
    status = read_json (a->messages_file, arena, &prompt->messages, error);
  if (status == ENG_OK && a->vars_file)
    status = read_json (a->vars_file, arena, &prompt->vars, error);
  if (status == ENG_OK && a->prompt_file)
    {
      status = eng_tool_read_file (a->prompt_file, MAX_INPUT_BYTES, text, &prompt->text_bytes, error);
      prompt->text = *text;
    }
  if (a->prompt)
    {
      prompt->text = a->prompt;
      prompt->text_bytes = strlen (a->prompt);
    }
  prompt->parse_special = a->parse_special;
  return status;
}

static void
fill_request (const Arguments *a, EngGenerateRequest *request, EngString *stops)
{
  for (size_t i = 0; i < a->stops.n; i++)
    stops[i] = (EngString) { a->stops.items[i], strlen (a->stops.items[i]) };
  request->stops = stops;
  request->n_stops = (uint32_t) a->stops.n;
  request->max_tokens = a->n_tokens > UINT32_MAX ? 0 : (uint32_t) a->n_tokens;
  request->ignore_eog = a->ignore_eog;
  request->sampling = (EngSamplerOptions) {
    .greedy = a->greedy,
    .temperature = (float) a->temperature,
    .top_k = (uint32_t) a->top_k,
    .top_p = (float) a->top_p,
    .min_p = (float) a->min_p,
    .repetition_penalty = (float) a->repetition_penalty,
    .penalty_window = (uint32_t) a->penalty_window,
    .seed = a->seed >= 0 ? (uint64_t) a->seed : (uint64_t) time (NULL),
  };
  request->cancel = eng_tool_cancel_flag ();
}

static int
print_json (const EngGenerateResult *r, Output *output)
{
  EngBuffer buffer = { 0 };
  EngJsonWriter w = { .out = &buffer };
  eng_json_write_begin_object (&w);
  eng_json_write_key (&w, "text");
  eng_json_write_string_n (&w, output->text.data ? output->text.data : "", output->text.n_bytes);
  eng_json_write_key (&w, "tokens");
  eng_json_write_begin_array (&w);
  for (uint32_t i = 0; i < r->n_generated; i++)
    eng_json_write_int64 (&w, r->tokens[i]);
  eng_json_write_end_array (&w);
  eng_json_write_member_int64 (&w, "n_prompt", r->n_prompt);
  eng_json_write_member_int64 (&w, "n_cached", r->n_cached);
  eng_json_write_member_int64 (&w, "n_generated", r->n_generated);
  eng_json_write_member_int64 (&w, "time_to_first_token_us", (int64_t) r->time_to_first_token_us);
  eng_json_write_member_int64 (&w, "prefill_us", (int64_t) r->prefill_us);
  eng_json_write_member_int64 (&w, "decode_us", (int64_t) r->decode_us);
  eng_json_write_member_string (&w, "stop_reason", eng_stop_reason_name (r->reason));
  eng_json_write_end_object (&w);
  return eng_tool_finish_json (&buffer);
}

static EngStatus
run (const char *path, const Arguments *a, const EngToolModelOptions *model_options, Output *output,
     int *code, EngError *error)
{
  EngArena arena = { 0 };
  char *text = NULL;
  EngToolSession s = { NULL };
  EngSessionOptions session_options;
  EngString stops[ENG_TOOL_MAX_STRINGS];
  EngGenerateRequest request = { .on_text = on_text, .data = output };
  EngGenerateResult result;
  EngStatus status = eng_tool_session_options (model_options, &session_options, error);
  session_options.max_sequences = 1;
  session_options.disabled = a->cpu_sampling ? ENG_SESSION_WITHOUT_DEVICE_SAMPLING : 0;
  if (status == ENG_OK)
    status = read_prompt (a, &arena, &text, &request.prompt, error);
  if (status == ENG_OK)
    status = eng_tool_open (path, &session_options, &s, error);
  if (status == ENG_OK && eng_model_get_info (eng_session_get_model (s.session))->is_encoder)
    status = eng_error_set (error, ENG_ERR_UNSUPPORTED, "general.architecture", ENG_OFFSET_NONE,
                            "the model gives embeddings, not text");
  if (status == ENG_OK)
    {
      fill_request (a, &request, stops);
      status = eng_session_generate (s.session, &request, &result, error);
    }
  if (status == ENG_OK && a->json)
    *code = print_json (&result, output);
  else if (status == ENG_OK)
    {
      putchar ('\n');
      *code = eng_tool_finish_output ();
    }
  eng_tool_close (&s);
  eng_arena_clear (&arena);
  eng_free (text);
  return status;
}

int
eng_cmd_generate (int argc, char **argv)
{
  EngToolModelOptions model_options;
  eng_tool_model_options_init (&model_options);
  const char *path = NULL;
  Arguments a = { .top_k = 40, .penalty_window = 64, .seed = -1, .temperature = 0.8, .top_p = 0.95,
                  .min_p = 0.05, .repetition_penalty = 1.0 };
  const EngToolOption options[] = {
    { "--prompt", ENG_TOOL_STRING, &a.prompt, "T  raw text to continue" },
    { "--prompt-file", ENG_TOOL_STRING, &a.prompt_file, "F  the same from a file; - is stdin" },
    { "--messages", ENG_TOOL_STRING, &a.messages_file, "F.json  messages, through the template" },
    { "--vars", ENG_TOOL_STRING, &a.vars_file, "F.json  variables for the template" },
    { "--parse-special", ENG_TOOL_FLAG, &a.parse_special,
      "  control tokens spelled in the prompt become them" },
    { "-n", ENG_TOOL_UINT, &a.n_tokens, "N  tokens at most (default: until the context is full)" },
    { "--greedy", ENG_TOOL_FLAG, &a.greedy, "  always the likeliest token" },
    { "--seed", ENG_TOOL_INT, &a.seed, "S  of the random numbers (default: the clock)" },
    { "--temperature", ENG_TOOL_FLOAT, &a.temperature, "X  (0.8)" },
    { "--top-k", ENG_TOOL_UINT, &a.top_k, "N  (40; 0 = off)" },
    { "--top-p", ENG_TOOL_FLOAT, &a.top_p, "X  (0.95; 1 = off)" },
    { "--min-p", ENG_TOOL_FLOAT, &a.min_p, "X  (0.05; 0 = off)" },
    { "--repetition-penalty", ENG_TOOL_FLOAT, &a.repetition_penalty, "X  (1 = off)" },
    { "--penalty-window", ENG_TOOL_UINT, &a.penalty_window, "N  tokens it looks back (64)" },
    { "--stop", ENG_TOOL_STRINGS, &a.stops, "S  end before this text; may be repeated" },
    { "--cpu-sampling", ENG_TOOL_FLAG, &a.cpu_sampling, "  the CPU chooses tokens, also where a GPU could" },
    { "--ignore-eog", ENG_TOOL_FLAG, &a.ignore_eog, "  go on past the end of the turn" },
    { NULL },
  };
  EngToolCommandLine line = {
    .usage = "MODEL (--prompt T | --prompt-file F | --messages F.json) [OPTION]…",
    .summary = "Continue a text, or answer messages through the model's template.",
    .options = options,
    .model = &model_options,
    .json = &a.json,
    .arguments = &path,
    .min_arguments = 1,
    .max_arguments = 1,
  };
  EngToolParsed parsed = eng_tool_parse (argc, argv, &line);
  if (parsed != ENG_TOOL_PARSED)
    return parsed == ENG_TOOL_PARSED_HELP ? ENG_TOOL_OK : ENG_TOOL_USAGE;
  if ((a.prompt != NULL) + (a.prompt_file != NULL) + (a.messages_file != NULL) != 1)
    return eng_tool_bad_usage ("generate needs one of --prompt, --prompt-file and --messages");
  if (a.top_k > UINT32_MAX || a.penalty_window > UINT32_MAX)
    return eng_tool_bad_usage ("--top-k and --penalty-window are too large");
  Output output = { .json = a.json };
  EngError error;
  int code = ENG_TOOL_FAILED;
  if (run (path, &a, &model_options, &output, &code, &error) != ENG_OK)
    code = eng_tool_fail (path, &error);
  eng_buffer_clear (&output.text);
  return code;
}
