/* SPDX-License-Identifier: Apache-2.0 */
/* logits MODEL: the logits of every position as a NumPy file. Format: NumPy Enhancement Proposal 1,
 * version 1.0. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "eng-arena.h"
#include "eng-commands.h"
#include "eng-json.h"
#include "eng-tool-session.h"

#define MAX_BATCH 65536

/* The header is padded to a multiple of 64 bytes and ends with a newline. */
static bool
write_npy_header (FILE *file, uint32_t n_runs, uint32_t n_rows, uint32_t n_cols)
{
  char text[118], runs[16] = "";
  if (n_runs > 1)
    snprintf (runs, sizeof runs, "%u, ", n_runs);
  int n = snprintf (text, sizeof text,
                    "{'descr': '<f4', 'fortran_order': False, 'shape': (%s%u, %u), }", runs, n_rows, n_cols);
  memset (text + n, ' ', sizeof text - (size_t) n);
  text[sizeof text - 1] = '\n';
  static const unsigned char magic[] = { 0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, sizeof text, 0 };
  return fwrite (magic, 1, sizeof magic, file) == sizeof magic
         && fwrite (text, 1, sizeof text, file) == sizeof text;
}

static EngStatus
write_failed (const char *path, EngError *error)
{
  return eng_error_set (error, ENG_ERR_IO, path, ENG_OFFSET_NONE, "cannot write: %s",
                        strerror (errno));
}

/* The logits of all tokens of a sequence of its own, @batch at once, to @file; NULL: to nowhere. */
static EngStatus
run_tokens (EngRunner *runner, const int32_t *tokens, size_t n_tokens, uint32_t batch, FILE *file, const char *path,
            EngError *error)
{
  const EngRunnerOptions *o = eng_runner_get_options (runner);
  uint32_t n_vocab = eng_runner_get_program (runner)->n_vocab, sequence;
  uint32_t chunk = o->max_outputs < batch ? o->max_outputs : batch;
  EngKvCache *cache = eng_runner_get_cache (runner);
  EngStatus status = eng_kv_cache_add (cache, &sequence, error);
  if (status != ENG_OK)
    return status;
  for (size_t i = 0; i < n_tokens && status == ENG_OK; i += chunk)
    {
      uint32_t n = n_tokens - i < chunk ? (uint32_t) (n_tokens - i) : chunk;
      const EngRunnerSpan span = { .sequence = sequence, .tokens = tokens + i, .n = n, .outputs = ENG_OUTPUT_ALL };
      status = eng_runner_run (runner, &span, 1, eng_tool_cancel_flag (), error);
      if (status == ENG_OK && file && fwrite (eng_runner_get_output (runner, 0), sizeof (float) * n_vocab, n, file) != n)
        status = write_failed (path, error);
    }
  eng_kv_cache_remove (cache, sequence);
  return status;
}

/* One run after another, in the order of @batches. Between two the same memory sees other keys and values, those of the
 * tokens in reverse: a run that reads what it has not written shall not find it there. */
static EngStatus
write_logits (EngSession *session, const EngTokenBuffer *ids, const EngTokenBuffer *batches, const char *path, EngError *error)
{
  EngRunner *runner = eng_session_get_runner (session);
  int32_t *reverse = eng_alloc_array (ids->n + 1, sizeof *reverse);
  if (!reverse)
    return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE, "no memory");
  for (size_t i = 0; i < ids->n; i++)
    reverse[i] = ids->ids[ids->n - 1 - i];
  EngStatus status = ENG_OK;
  FILE *file = fopen (path, "wbe");
  if (!file || !write_npy_header (file, (uint32_t) batches->n, (uint32_t) ids->n, eng_runner_get_program (runner)->n_vocab))
    status = write_failed (path, error);
  for (size_t b = 0; b < batches->n && status == ENG_OK; b++)
    {
      if (b > 0)
        status = run_tokens (runner, reverse, ids->n, eng_runner_get_options (runner)->max_rows, NULL, NULL, error);
      if (status == ENG_OK)
        status = run_tokens (runner, ids->ids, ids->n, (uint32_t) batches->ids[b], file, path, error);
    }
  if (file && fclose (file) != 0 && status == ENG_OK)
    status = write_failed (path, error);
  free (reverse);
  return status;
}

/* @text: numbers of rows, "512" or "512,37,1". @largest: of them. */
static EngStatus
parse_batches (const char *text, EngTokenBuffer *batches, uint32_t *largest, EngError *error)
{
  EngStatus status = eng_tool_parse_numbers (text, "--batch", batches, error);
  *largest = 0;
  for (size_t i = 0; i < batches->n && status == ENG_OK; i++)
    {
      if (batches->ids[i] < 1 || batches->ids[i] > MAX_BATCH)
        return eng_error_set (error, ENG_ERR_ARGUMENT, "--batch", ENG_OFFSET_NONE, "--batch: 1 to %d rows at once, not %d",
                              MAX_BATCH, (int) batches->ids[i]);
      *largest = (uint32_t) batches->ids[i] > *largest ? (uint32_t) batches->ids[i] : *largest;
    }
  if (status == ENG_OK && batches->n == 0)
    return eng_error_set (error, ENG_ERR_ARGUMENT, "--batch", ENG_OFFSET_NONE, "--batch: a number of rows is wanted");
  return status;
}

int
eng_cmd_logits (int argc, char **argv)
{
  EngToolModelOptions model_options;
  eng_tool_model_options_init (&model_options);
  const char *path = NULL, *tokens = NULL, *prompt = NULL, *out = NULL;
  bool json = false;
  const char *batch = "512";
  uint32_t largest = 1;
  const EngToolOption options[] = {
    { "--tokens", ENG_TOOL_STRING, &tokens, "1,2,3  ids of the input" },
    { "--prompt", ENG_TOOL_STRING, &prompt, "T  text of the input" },
    { "--out", ENG_TOOL_STRING, &out, "F.npy  float32 [n_tokens, n_vocab]" },
    { "--batch", ENG_TOOL_STRING, &batch, "N[,N]  rows run at once (default 512); of several [n, n_tokens, n_vocab]" },
    { NULL },
  };
  EngToolCommandLine line = {
    .usage = "MODEL (--tokens 1,2,3 | --prompt T) --out F.npy [OPTION]…",
    .summary = "Write the logits of every position of the input.",
    .options = options,
    .model = &model_options,
    .json = &json,
    .arguments = &path,
    .min_arguments = 1,
    .max_arguments = 1,
  };
  EngToolParsed parsed = eng_tool_parse (argc, argv, &line);
  if (parsed != ENG_TOOL_PARSED)
    return parsed == ENG_TOOL_PARSED_HELP ? ENG_TOOL_OK : ENG_TOOL_USAGE;
  if (!out || (tokens != NULL) == (prompt != NULL))
    return eng_tool_bad_usage ("logits needs --out, and one of --tokens and --prompt");
  EngError error;
  EngSessionOptions session_options;
  EngToolSession s = { NULL };
  EngTokenBuffer ids = { 0 }, batches = { 0 };
  EngStatus status = eng_tool_session_options (&model_options, &session_options, &error);
  if (status == ENG_OK)
    status = parse_batches (batch, &batches, &largest, &error);
  session_options.max_sequences = 1;
  session_options.max_rows = session_options.max_outputs = largest;
  session_options.without_text = prompt == NULL;
  if (status == ENG_OK && tokens)
    status = eng_tool_parse_numbers (tokens, "--tokens", &ids, &error);
  if (status == ENG_OK)
    status = eng_tool_open (path, &session_options, &s, &error);
  if (status == ENG_OK && eng_model_get_info (eng_session_get_model (s.session))->is_encoder)
    status = eng_error_set (&error, ENG_ERR_UNSUPPORTED, "general.architecture", ENG_OFFSET_NONE,
                            "the model gives embeddings, not logits");
  if (status == ENG_OK && prompt)
    status = eng_session_encode (
        s.session, &(EngPrompt) { .text = prompt, .text_bytes = strlen (prompt) }, &ids, &error);
  if (status == ENG_OK)
    status = write_logits (s.session, &ids, &batches, out, &error);
  int code;
  if (status != ENG_OK)
    code = eng_tool_fail (path, &error);
  else if (json)
    {
      EngBuffer buffer = { 0 };
      EngJsonWriter w = { .out = &buffer };
      eng_json_write_begin_object (&w);
      eng_json_write_member_int64 (&w, "n_tokens", (int64_t) ids.n);
      eng_json_write_member_int64 (
          &w, "n_vocab", eng_model_get_program (eng_session_get_model (s.session))->n_vocab);
      eng_json_write_member_string (&w, "out", out);
      eng_json_write_end_object (&w);
      code = eng_tool_finish_json (&buffer);
    }
  else
    code = ENG_TOOL_OK;
  eng_token_buffer_free (&batches);
  eng_token_buffer_free (&ids);
  eng_tool_close (&s);
  return code;
}
