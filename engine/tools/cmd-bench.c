/* SPDX-License-Identifier: Apache-2.0 */
/* bench MODEL: prefill and decode speed, counted as llama-bench counts: tokens of a fixed random
 * prompt, sampling not included, the cache emptied before each repetition. Medians over the repetitions,
 * after one that is not counted. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "eng-arena.h"
#include "eng-commands.h"
#include "eng-json.h"
#include "eng-tool-session.h"

#define MAX_REPETITIONS 1000u

typedef struct
{
  EngRunner *runner;
  uint32_t n_prefill, n_decode, depth, n_sequences;
  uint32_t sequences[64];
  int32_t *tokens; /* [longest run] */
  uint32_t n_vocab;
} Bench;

static double
now_seconds (void)
{
  struct timespec t;
  clock_gettime (CLOCK_MONOTONIC, &t);
  return (double) t.tv_sec + (double) t.tv_nsec * 1e-9;
}

static int
compare_doubles (const void *a, const void *b)
{
  double x = *(const double *) a, y = *(const double *) b;
  return (x > y) - (x < y);
}

static double
median (double *values, uint32_t n)
{
  qsort (values, n, sizeof *values, compare_doubles);
  return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2.0;
}

/* Fill every sequence with @depth tokens; they stand empty before. */
static EngStatus
fill (Bench *b, uint32_t depth, EngError *error)
{
  EngStatus status = ENG_OK;
  for (uint32_t s = 0; s < b->n_sequences && status == ENG_OK && depth > 0; s++)
    status = eng_runner_prefill (b->runner, b->sequences[s], b->tokens, depth, 0, NULL, NULL, NULL,
                                 error);
  return status;
}

static EngStatus
empty (Bench *b, EngError *error)
{
  EngStatus status = ENG_OK;
  for (uint32_t s = 0; s < b->n_sequences && status == ENG_OK; s++)
    status = eng_kv_cache_cut (eng_runner_get_cache (b->runner), b->sequences[s], 0, error);
  return status;
}

/* Seconds for n_prefill tokens of each sequence behind depth ones. */
static EngStatus
time_prefill (Bench *b, double *seconds, EngError *error)
{
  EngStatus status = empty (b, error);
  if (status == ENG_OK)
    status = fill (b, b->depth, error);
  double start = now_seconds ();
  if (status == ENG_OK)
    status = fill (b, b->n_prefill, error);
  *seconds = now_seconds () - start;
  return status;
}

/* Seconds for n_decode steps of one token a sequence behind depth ones. */
static EngStatus
time_decode (Bench *b, double *seconds, EngError *error)
{
  EngStatus status = empty (b, error);
  if (status == ENG_OK)
    status = fill (b, b->depth, error);
  EngRunnerSpan spans[64];
  double start = now_seconds ();
  for (uint32_t i = 0; i < b->n_decode && status == ENG_OK; i++)
    {
      for (uint32_t s = 0; s < b->n_sequences; s++)
        spans[s] = (EngRunnerSpan) { .sequence = b->sequences[s], .tokens = &b->tokens[i], .n = 1,
                                     .outputs = ENG_OUTPUT_LAST };
      status = eng_runner_run (b->runner, spans, b->n_sequences, NULL, error);
    }
  *seconds = now_seconds () - start;
  return status;
}

static EngStatus
repeat (Bench *b, EngStatus (*time_once) (Bench *, double *, EngError *), uint32_t n, double *result,
        EngError *error)
{
  double seconds[MAX_REPETITIONS], ignored;
  EngStatus status = time_once (b, &ignored, error);
  for (uint32_t i = 0; i < n && status == ENG_OK; i++)
    status = time_once (b, &seconds[i], error);
  *result = status == ENG_OK ? median (seconds, n) : 0.0;
  return status;
}

/* Tokens spread over the vocabulary; the same in every run. */
static EngStatus
make_tokens (Bench *b, uint32_t n, EngError *error)
{
  b->tokens = eng_alloc_array (n, sizeof *b->tokens);
  if (!b->tokens)
    return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE, "no memory");
  uint64_t x = 1;
  for (uint32_t i = 0; i < n; i++)
    {
      x = x * 6364136223846793005u + 1442695040888963407u;
      b->tokens[i] = (int32_t) ((x >> 33) % b->n_vocab);
    }
  return ENG_OK;
}

static EngStatus
prepare (Bench *b, EngSession *session, EngError *error)
{
  b->runner = eng_session_get_runner (session);
  b->n_vocab = eng_runner_get_program (b->runner)->n_vocab;
  uint32_t longest = b->n_prefill > b->n_decode ? b->n_prefill : b->n_decode;
  EngStatus status = make_tokens (b, longest > b->depth ? longest : b->depth, error);
  for (uint32_t s = 0; s < b->n_sequences && status == ENG_OK; s++)
    status = eng_kv_cache_add (eng_runner_get_cache (b->runner), &b->sequences[s], error);
  return status;
}

static int
report (const char *path, const Bench *b, const EngSession *session, uint32_t n_repetitions,
        double prefill_s, double decode_s, bool json)
{
  double n_prefill = (double) b->n_prefill * b->n_sequences;
  double n_decode = (double) b->n_decode * b->n_sequences;
  if (!json)
    {
      if (b->n_prefill)
        printf ("prefill %u  %10.2f tokens/s\n", b->n_prefill, n_prefill / prefill_s);
      if (b->n_decode)
        printf ("decode  %u  %10.2f tokens/s  %.3f ms a token\n", b->n_decode, n_decode / decode_s,
                1e3 * decode_s / b->n_decode);
      return eng_tool_finish_output ();
    }
  EngBuffer out = { 0 };
  EngJsonWriter w = { .out = &out };
  const EngModelInfo *info = eng_model_get_info (eng_session_get_model (session));
  eng_json_write_begin_object (&w);
  eng_json_write_member_string (&w, "model", path);
  eng_json_write_member_string (&w, "type", info->type);
  eng_json_write_member_string (&w, "device", eng_session_get_plan (session)->device);
  eng_json_write_member_int64 (&w, "n_prefill", b->n_prefill);
  eng_json_write_member_int64 (&w, "n_decode", b->n_decode);
  eng_json_write_member_int64 (&w, "depth", b->depth);
  eng_json_write_member_int64 (&w, "n_sequences", b->n_sequences);
  eng_json_write_member_int64 (&w, "repetitions", n_repetitions);
  eng_json_write_key (&w, "prefill_tokens_per_second");
  eng_json_write_double (&w, b->n_prefill ? n_prefill / prefill_s : 0.0);
  eng_json_write_key (&w, "decode_tokens_per_second");
  eng_json_write_double (&w, b->n_decode ? n_decode / decode_s : 0.0);
  eng_json_write_key (&w, "ms_per_token");
  eng_json_write_double (&w, b->n_decode ? 1e3 * decode_s / b->n_decode : 0.0);
  eng_json_write_end_object (&w);
  return eng_tool_finish_json (&out);
}

int
eng_cmd_bench (int argc, char **argv)
{
  EngToolModelOptions model_options;
  eng_tool_model_options_init (&model_options);
  uint64_t n_prefill = 512, n_decode = 128, depth = 0, n_sequences = 1, n_repetitions = 5,
           batch = 0;
  bool json = false;
  const char *path = NULL;
  const EngToolOption options[] = {
    { "-p", ENG_TOOL_UINT, &n_prefill, "N  tokens of prefill (512)" },
    { "-n", ENG_TOOL_UINT, &n_decode, "N  tokens decoded (128)" },
    { "-d", ENG_TOOL_UINT, &depth, "N  tokens in the context before (0)" },
    { "-b", ENG_TOOL_UINT, &n_sequences, "N  sequences at once (1)" },
    { "-r", ENG_TOOL_UINT, &n_repetitions, "N  repetitions (5)" },
    { "--batch", ENG_TOOL_UINT, &batch, "N  rows of a prefill run (as a session would)" },
    { NULL },
  };
  EngToolCommandLine line = {
    .usage = "MODEL [-p 512] [-n 128] [-d 0] [-b 1] [-r 5] [OPTION]…",
    .summary = "Measure prefill and decode.",
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
  if (n_prefill > 1 << 24 || n_decode > 1 << 24 || depth > 1 << 24 || n_sequences == 0
      || n_sequences > 64 || n_repetitions == 0 || n_repetitions > MAX_REPETITIONS || batch > 65536 || n_prefill + n_decode == 0)
    return eng_tool_bad_usage ("bench: a number is out of range");
  Bench b = { .n_prefill = (uint32_t) n_prefill, .n_decode = (uint32_t) n_decode,
              .depth = (uint32_t) depth, .n_sequences = (uint32_t) n_sequences };
  uint64_t longest = depth + (n_prefill > n_decode ? n_prefill : n_decode);
  EngError error;
  EngSessionOptions session_options;
  EngToolSession s = { NULL };
  double prefill_s = 0.0, decode_s = 0.0;
  EngStatus status = eng_tool_session_options (&model_options, &session_options, &error);
  session_options.without_text = true;
  session_options.max_sequences = b.n_sequences;
  session_options.all_full = true;
  session_options.max_outputs = b.n_sequences;
  session_options.max_rows = (uint32_t) (batch && batch < n_sequences ? n_sequences : batch);
  if (session_options.n_ctx < longest)
    session_options.n_ctx = longest;
  if (status == ENG_OK)
    status = eng_tool_open (path, &session_options, &s, &error);
  if (status == ENG_OK && eng_model_get_info (eng_session_get_model (s.session))->is_encoder)
    status = eng_error_set (&error, ENG_ERR_UNSUPPORTED, "general.architecture", ENG_OFFSET_NONE,
                            "the model gives embeddings: there is nothing to decode");
  if (status == ENG_OK)
    status = prepare (&b, s.session, &error);
  if (status == ENG_OK && b.n_prefill)
    status = repeat (&b, time_prefill, (uint32_t) n_repetitions, &prefill_s, &error);
  if (status == ENG_OK && b.n_decode)
    status = repeat (&b, time_decode, (uint32_t) n_repetitions, &decode_s, &error);
  int code = status == ENG_OK
                 ? report (path, &b, s.session, (uint32_t) n_repetitions, prefill_s, decode_s, json)
                 : eng_tool_fail (path, &error);
  eng_tool_close (&s);
  eng_free (b.tokens);
  return code;
}
