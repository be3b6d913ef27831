/* SPDX-License-Identifier: Apache-2.0 */
/* bench MODEL: prefill and decode speed, counted as llama-bench counts: tokens of a fixed random
 * prompt, sampling not included, the cache emptied before each repetition. Medians over the repetitions,
 * after one that is not counted. On an NVIDIA GPU also what its board used meanwhile (the CPU's share is not
 * in it), where NVML says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "eng-arena.h"
#include "eng-commands.h"
#include "eng-cpu-device.h"
#include "eng-cpu-features.h"
#include "eng-json.h"
#include "eng-power.h"
#include "eng-tool-session.h"

#define MAX_REPETITIONS 1000u
#define LEAST_METERED_SECONDS 1.0

/* What --without takes. An entry switches off all that builds on it. */
static const struct
{
  const char *name;
  uint32_t tiers;   /* EngCpuTier bits */
  uint64_t without; /* ENG_CPU_WITHOUT_* */
  uint64_t disabled; /* ENG_SESSION_WITHOUT_*, ENG_WITHOUT_LIBRARY */
} optimizations[] = {
  { "vectors", UINT32_MAX, 0, 0 },
  { "avx512",
    ENG_CPU_TIER_AVX512 | ENG_CPU_TIER_AVX512_VNNI | ENG_CPU_TIER_AVX512_BF16 | ENG_CPU_TIER_AMX, 0, 0 },
  { "vnni", ENG_CPU_TIER_AVX_VNNI | ENG_CPU_TIER_AVX512_VNNI | ENG_CPU_TIER_AMX, 0, 0 },
  { "amx", ENG_CPU_TIER_AMX, 0, 0 },
  { "split-attention", 0, ENG_CPU_WITHOUT_SPLIT, 0 },
  { "shared-keys", 0, ENG_CPU_WITHOUT_SHARED, 0 },
  { "early-keys", 0, ENG_CPU_WITHOUT_FETCH, 0 },
  { "spinning", 0, ENG_CPU_WITHOUT_SPIN, 0 },
  { "early-end", 0, ENG_CPU_WITHOUT_EARLY_END, 0 },
  { "words", 0, ENG_CPU_WITHOUT_WORDS, 0 },
  { "streaming", 0, 0, ENG_SESSION_WITHOUT_STREAMING },
  { "library", 0, 0, ENG_WITHOUT_LIBRARY },
};

/* EngDeviceOptions.kernel_mask and EngSessionOptions.disabled without those; false: there is none of a name. */
static bool
mask_without (const EngToolStrings *names, uint64_t *mask, uint64_t *disabled)
{
  uint32_t tiers = UINT32_MAX;
  *mask = *disabled = 0;
  for (uint32_t i = 0; i < names->n; i++)
    {
      size_t o = 0, n = sizeof optimizations / sizeof optimizations[0];
      while (o < n && strcmp (names->items[i], optimizations[o].name) != 0)
        o++;
      if (o == n)
        return false;
      tiers &= ~optimizations[o].tiers;
      *mask |= optimizations[o].without;
      *disabled |= optimizations[o].disabled;
    }
  /* No tier at all is said by a bit that is none: 0 would mean all. */
  *mask |= tiers != 0 ? tiers : 1u << 31;
  return true;
}

typedef struct
{
  EngRunner *runner;
  uint32_t n_prefill, n_decode, depth, n_sequences;
  uint32_t sequences[64];
  int32_t *tokens; /* [longest run] */
  EngPowerMeter *meter; /* NULL: none */
  uint32_t n_vocab;
  EngProducts products; /* of what is timed */
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

/* What one kind of run took, summed over those that count. */
typedef struct
{
  double seconds, joules;
  bool metered; /* joules are known */
  EngProducts products;
} Use;

typedef struct
{
  double start_s, start_j;
  bool metered;
} Clock;

static Clock
start_clock (const Bench *b)
{
  Clock c = { 0 };
  c.metered = b->meter && eng_power_meter_read (b->meter, &c.start_j);
  c.start_s = now_seconds ();
  return c;
}

static Use
stop_clock (const Bench *b, const Clock *c)
{
  Use use = { .seconds = now_seconds () - c->start_s };
  double end_j;
  use.metered = c->metered && eng_power_meter_read (b->meter, &end_j);
  use.joules = use.metered ? end_j - c->start_j : 0.0;
  return use;
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
time_prefill (Bench *b, Use *use, EngError *error)
{
  EngStatus status = empty (b, error);
  if (status == ENG_OK)
    status = fill (b, b->depth, error);
  eng_runner_take_products (b->runner);
  Clock clock = start_clock (b);
  if (status == ENG_OK)
    status = fill (b, b->n_prefill, error);
  *use = stop_clock (b, &clock);
  b->products = eng_runner_take_products (b->runner);
  return status;
}

/* Seconds for n_decode steps of one token a sequence behind depth ones. */
static EngStatus
time_decode (Bench *b, Use *use, EngError *error)
{
  EngStatus status = empty (b, error);
  if (status == ENG_OK)
    status = fill (b, b->depth, error);
  EngRunnerSpan spans[64];
  eng_runner_take_products (b->runner);
  Clock clock = start_clock (b);
  for (uint32_t i = 0; i < b->n_decode && status == ENG_OK; i++)
    {
      for (uint32_t s = 0; s < b->n_sequences; s++)
        spans[s] = (EngRunnerSpan) { .sequence = b->sequences[s], .tokens = &b->tokens[i], .n = 1,
                                     .outputs = ENG_OUTPUT_LAST };
      status = eng_runner_run (b->runner, spans, b->n_sequences, NULL, error);
    }
  *use = stop_clock (b, &clock);
  b->products = eng_runner_take_products (b->runner);
  return status;
}

static EngStatus
repeat (Bench *b, EngStatus (*time_once) (Bench *, Use *, EngError *), uint32_t n, double *result,
        Use *sum, EngError *error)
{
  double seconds[MAX_REPETITIONS];
  Use one;
  EngStatus status = time_once (b, &one, error);
  *sum = (Use) { .metered = true };
  Clock whole = start_clock (b);
  for (uint32_t i = 0; i < n && status == ENG_OK; i++)
    {
      status = time_once (b, &one, error);
      seconds[i] = one.seconds;
      sum->seconds += one.seconds;
      sum->joules += one.joules;
      sum->metered = sum->metered && one.metered;
    }
  /* Nothing but what is timed lies between: one window, since the counter moves in steps. */
  Use all = stop_clock (b, &whole);
  if (b->depth == 0)
    *sum = all;
  sum->metered = sum->metered && sum->seconds >= LEAST_METERED_SECONDS;
  sum->products = b->products;
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

/* The meter of the GPU that the session runs on, if it does. */
static EngPowerMeter *
open_meter (const EngToolSession *s)
{
  const char *device = eng_session_get_plan (s->session)->device;
  const EngDeviceList *list = eng_runtime_get_devices (s->runtime);
  for (uint32_t i = 0; i < list->n; i++)
    {
      const EngDeviceInfo *info = &list->entries[i].info;
      if (info->kind == ENG_DEVICE_GPU && info->score && strncmp (device, info->name, strlen (info->name)) == 0)
        return eng_power_meter_new (info->name, 0);
    }
  return NULL;
}

static void
write_power (EngJsonWriter *w, const char *watts, const char *joules, const Use *use, double n_tokens)
{
  if (!use->metered || use->seconds <= 0.0)
    return;
  eng_json_write_key (w, watts);
  eng_json_write_double (w, use->joules / use->seconds);
  eng_json_write_key (w, joules);
  eng_json_write_double (w, use->joules / n_tokens);
}

/* "own", "cuBLAS", or both: whose kernels multiplied. */
static void
write_products (EngJsonWriter *w, const char *key, const EngProducts *products)
{
  char text[64];
  const char *library = products->library ? products->library : "";
  snprintf (text, sizeof text, "%s%s%s", products->own ? "own" : "", products->own && *library ? ", " : "", library);
  eng_json_write_member_string (w, key, text);
}

static void
print_power (const Use *use, double n_tokens)
{
  if (use->metered && use->seconds > 0.0)
    printf ("             %10.1f W of the board  %.4f J a token\n", use->joules / use->seconds,
            use->joules / n_tokens);
}

static int
report (const char *path, const Bench *b, const EngSession *session, uint32_t n_repetitions,
        double prefill_s, double decode_s, const Use uses[2], bool json)
{
  double n_prefill = (double) b->n_prefill * b->n_sequences;
  double n_decode = (double) b->n_decode * b->n_sequences;
  if (!json)
    {
      if (b->n_prefill)
        {
          printf ("prefill %u  %10.2f tokens/s\n", b->n_prefill, n_prefill / prefill_s);
          print_power (&uses[0], n_prefill * n_repetitions);
        }
      if (b->n_decode)
        printf ("decode  %u  %10.2f tokens/s  %.3f ms a token\n", b->n_decode, n_decode / decode_s,
                1e3 * decode_s / b->n_decode);
      if (b->n_decode)
        print_power (&uses[1], n_decode * n_repetitions);
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
  if (b->n_prefill)
    write_products (&w, "prefill_products", &uses[0].products);
  if (b->n_decode)
    write_products (&w, "decode_products", &uses[1].products);
  if (b->n_prefill)
    write_power (&w, "prefill_mean_watts", "prefill_joules_per_token", &uses[0], n_prefill * n_repetitions);
  if (b->n_decode)
    write_power (&w, "mean_watts", "joules_per_token", &uses[1], n_decode * n_repetitions);
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
  EngToolStrings without = { 0 };
  uint64_t kernel_mask, disabled;
  const char *path = NULL;
  const EngToolOption options[] = {
    { "-p", ENG_TOOL_UINT, &n_prefill, "N  tokens of prefill (512)" },
    { "-n", ENG_TOOL_UINT, &n_decode, "N  tokens decoded (128)" },
    { "-d", ENG_TOOL_UINT, &depth, "N  tokens in the context before (0)" },
    { "-b", ENG_TOOL_UINT, &n_sequences, "N  sequences at once (1)" },
    { "-r", ENG_TOOL_UINT, &n_repetitions, "N  repetitions (5)" },
    { "--without", ENG_TOOL_STRINGS, &without,
      "O  switch off vectors, avx512, vnni, amx, split-attention, shared-keys, early-keys, spinning, early-end, words, streaming or library" },
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
  if (!mask_without (&without, &kernel_mask, &disabled))
    return eng_tool_bad_usage ("bench: --without: no such optimization; --help lists them");
  Bench b = { .n_prefill = (uint32_t) n_prefill, .n_decode = (uint32_t) n_decode,
              .depth = (uint32_t) depth, .n_sequences = (uint32_t) n_sequences };
  uint64_t longest = depth + (n_prefill > n_decode ? n_prefill : n_decode);
  EngError error;
  EngSessionOptions session_options;
  EngToolSession s = { NULL };
  double prefill_s = 0.0, decode_s = 0.0;
  Use uses[2] = { { 0 } };
  EngStatus status = eng_tool_session_options (&model_options, &session_options, &error);
  session_options.kernel_mask = kernel_mask;
  session_options.disabled = disabled;
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
  if (status == ENG_OK)
    b.meter = open_meter (&s);
  if (status == ENG_OK && b.n_prefill)
    status = repeat (&b, time_prefill, (uint32_t) n_repetitions, &prefill_s, &uses[0], &error);
  if (status == ENG_OK && b.n_decode)
    status = repeat (&b, time_decode, (uint32_t) n_repetitions, &decode_s, &uses[1], &error);
  int code = status == ENG_OK
                 ? report (path, &b, s.session, (uint32_t) n_repetitions, prefill_s, decode_s, uses, json)
                 : eng_tool_fail (path, &error);
  eng_power_meter_free (&b.meter);
  eng_tool_close (&s);
  eng_free (b.tokens);
  return code;
}
