/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions on the tiny model: batches, reuse of the cache, ends of generation, memory. */
#include <glib.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "eng-cpu-device.h"
#include "eng-gguf.h"
#include "eng-kv-cache.h"
#include "eng-memory.h"
#include "eng-quantize.h"
#include "eng-session.h"
#include "test-npy.h"

static EngRuntime *runtime;

static EngSession *
open_session_as (uint64_t n_ctx, bool exact, EngType kv)
{
  EngSessionOptions options;
  EngError error;
  EngSession *session = NULL;
  eng_session_options_init (&options);
  options.device = "cpu";
  options.n_ctx = n_ctx;
  options.n_threads = 2;
  options.exact = exact;
  options.k_type = options.v_type = kv;
  options.max_rows = 48;
  options.max_outputs = 48;
  options.all_full = true;
  EngStatus status = eng_session_new (runtime, TINY_MODEL, &options, &session, &error);
  if (status != ENG_OK)
    g_error ("%s", error.text);
  return session;
}

static EngSession *
open_session (uint64_t n_ctx, bool exact)
{
  return open_session_as (n_ctx, exact, ENG_TYPE_NONE);
}

static void
make_tokens (int32_t *tokens, uint32_t n, int32_t seed)
{
  for (uint32_t i = 0; i < n; i++)
    tokens[i] = (int32_t) ((seed + i * 7919u + i * i * 31u) % 320u);
}

/* Logits of the last of @n tokens, computed in chunks of @chunk in a fresh sequence. */
static float *
fresh_logits (EngSession *session, const int32_t *tokens, uint32_t n, uint32_t chunk)
{
  EngRunner *runner = eng_session_get_runner (session);
  uint32_t sequence, n_vocab = eng_runner_get_program (runner)->n_vocab;
  EngError error;
  g_assert_cmpint (eng_kv_cache_add (eng_runner_get_cache (runner), &sequence, NULL), ==, ENG_OK);
  EngStatus status
      = eng_runner_prefill (runner, sequence, tokens, n, chunk, NULL, NULL, NULL, &error);
  if (status != ENG_OK)
    g_error ("%s", error.text);
  float *copy = g_memdup2 (eng_runner_get_output (runner, 0), n_vocab * sizeof (float));
  eng_kv_cache_remove (eng_runner_get_cache (runner), sequence);
  return copy;
}

/* Two sequences in one batch give what each gives alone; so do chunks of any size. */
static void
test_batch (gconstpointer data)
{
  EngSession *session = open_session (256, GPOINTER_TO_INT (data));
  EngRunner *runner = eng_session_get_runner (session);
  EngKvCache *cache = eng_runner_get_cache (runner);
  uint32_t n_vocab = eng_runner_get_program (runner)->n_vocab, a, b;
  int32_t first[30], second[11];
  make_tokens (first, 30, 1);
  make_tokens (second, 11, 99);
  g_autofree float *alone_first = fresh_logits (session, first, 30, 0);
  g_autofree float *alone_second = fresh_logits (session, second, 11, 0);
  g_assert_cmpint (eng_kv_cache_add (cache, &a, NULL), ==, ENG_OK);
  g_assert_cmpint (eng_kv_cache_add (cache, &b, NULL), ==, ENG_OK);
  const EngRunnerSpan spans[2] = {
    { .sequence = b, .tokens = second, .n = 11, .outputs = ENG_OUTPUT_LAST },
    { .sequence = a, .tokens = first, .n = 30, .outputs = ENG_OUTPUT_ALL },
  };
  g_assert_cmpint (eng_runner_run (runner, spans, 2, NULL, NULL), ==, ENG_OK);
  const double bound = GPOINTER_TO_INT (data) ? 1e-5 : 2e-3;
  g_assert_cmpfloat (test_relative_error (eng_runner_get_output (runner, 0), alone_second, n_vocab), <,
                     bound);
  g_assert_cmpfloat (test_relative_error (eng_runner_get_output (runner, 30), alone_first, n_vocab), <,
                     bound);
  for (uint32_t chunk = 1; chunk < 30; chunk += 6)
    {
      g_autofree float *chunked = fresh_logits (session, first, 30, chunk);
      g_assert_cmpfloat (test_relative_error (chunked, alone_first, n_vocab), <, bound);
    }
  /* A row that breaks the contract is refused and leaves everything as it was. */
  const EngRunnerSpan bad = { .sequence = a, .tokens = (int32_t[]) { 320 }, .n = 1 };
  EngError error;
  g_assert_cmpint (eng_runner_run (runner, &bad, 1, NULL, &error), ==, ENG_ERR_ARGUMENT);
  g_assert_cmpuint (eng_kv_cache_get_n_positions (cache, a), ==, 30);
  eng_session_free (&session);
}

/* Cut back, gone on differently, and forked: as if computed afresh. */
static void
test_cut_and_fork (void)
{
  EngSession *session = open_session (256, true);
  EngRunner *runner = eng_session_get_runner (session);
  EngKvCache *cache = eng_runner_get_cache (runner);
  uint32_t n_vocab = eng_runner_get_program (runner)->n_vocab, a, b;
  int32_t tokens[100], other[100];
  make_tokens (tokens, 100, 5);
  memcpy (other, tokens, sizeof other);
  make_tokens (other + 70, 30, 77);
  g_autofree float *expected = fresh_logits (session, tokens, 100, 0);
  g_autofree float *expected_other = fresh_logits (session, other, 100, 0);
  g_assert_cmpint (eng_kv_cache_add (cache, &a, NULL), ==, ENG_OK);
  g_assert_cmpint (eng_runner_prefill (runner, a, tokens, 100, 0, NULL, NULL, NULL, NULL), ==, ENG_OK);
  g_assert_cmpuint (eng_kv_cache_match (cache, a, other, 100), ==, 70);
  g_assert_cmpint (eng_kv_cache_fork (cache, a, 70, &b, NULL), ==, ENG_OK);
  g_assert_cmpint (eng_runner_prefill (runner, b, other + 70, 30, 0, NULL, NULL, NULL, NULL), ==, ENG_OK);
  g_assert_cmpfloat (test_relative_error (eng_runner_get_output (runner, 0), expected_other, n_vocab), <,
                     1e-5);
  /* The fork wrote into a copy: the first one is untouched. */
  g_assert_cmpint (eng_kv_cache_cut (cache, a, 99, NULL), ==, ENG_OK);
  g_assert_cmpint (eng_runner_prefill (runner, a, tokens + 99, 1, 0, NULL, NULL, NULL, NULL), ==, ENG_OK);
  g_assert_cmpfloat (test_relative_error (eng_runner_get_output (runner, 0), expected, n_vocab), <, 1e-5);
  g_assert_cmpint (eng_kv_cache_cut (cache, a, 70, NULL), ==, ENG_OK);
  g_assert_cmpint (eng_runner_prefill (runner, a, other + 70, 30, 7, NULL, NULL, NULL, NULL), ==, ENG_OK);
  g_assert_cmpfloat (test_relative_error (eng_runner_get_output (runner, 0), expected_other, n_vocab), <,
                     1e-5);
  g_assert_true (eng_kv_cache_check (cache));
  eng_session_free (&session);
}

/* --- two devices --- */

static void
test_two_devices (void)
{
  EngModel *model = NULL;
  g_assert_cmpint (eng_model_open (TINY_MODEL, NULL, &model, NULL), ==, ENG_OK);
  const EngDeviceApi *api = eng_cpu_device_api ();
  const EngDeviceOptions one_thread = { .n_threads = 1 };
  EngExecutorDevice devices[2] = { { api, NULL }, { api, NULL } };
  for (int i = 0; i < 2; i++)
    g_assert_cmpint (api->open (0, &one_thread, &devices[i].device, NULL), ==, ENG_OK);
  const EngWeightSource source = { eng_model_map_weight, model };
  const uint8_t placements[3][2] = { { 0, 0 }, { 0, 1 }, { 1, 0 } };
  int32_t tokens[70];
  make_tokens (tokens, 70, 3);
  g_autofree float *expected = NULL;
  for (int p = 0; p < 3; p++)
    {
      const EngExecutorOptions options = { .devices = devices, .n_devices = 2,
                                           .layer_devices = placements[p],
                                           .bind = { .load_as = ENG_TYPE_NONE, .exact = true } };
      const EngRunnerOptions runner_options
          = { .n_ctx = 128, .max_sequences = 2, .max_rows = 16, .max_outputs = 1,
              .k_type = ENG_TYPE_F32, .v_type = ENG_TYPE_F32 };
      EngExecutor *executor = NULL;
      EngRunner *runner = NULL;
      EngError error;
      uint32_t a, b, n_vocab = eng_model_get_program (model)->n_vocab;
      g_assert_cmpint (eng_executor_new (eng_model_get_program (model), &source, &options,
                                         &executor, &error), ==, ENG_OK);
      g_assert_cmpuint (eng_executor_get_n_pieces (executor), ==, p == 0 ? 1 : 2);
      g_assert_cmpint (eng_runner_new (executor, &runner_options, &runner, &error), ==, ENG_OK);
      EngKvCache *cache = eng_runner_get_cache (runner);
      g_assert_cmpint (eng_kv_cache_add (cache, &a, NULL), ==, ENG_OK);
      g_assert_cmpint (eng_runner_prefill (runner, a, tokens, 66, 0, NULL, NULL, NULL, NULL), ==, ENG_OK);
      /* Forked inside a block, so that each device copies its own. */
      g_assert_cmpint (eng_kv_cache_fork (cache, a, 65, &b, NULL), ==, ENG_OK);
      g_assert_cmpint (eng_runner_prefill (runner, b, tokens + 65, 5, 0, NULL, NULL, NULL, NULL), ==, ENG_OK);
      if (p == 0)
        expected = g_memdup2 (eng_runner_get_output (runner, 0), n_vocab * sizeof (float));
      else
        g_assert_cmpmem (eng_runner_get_output (runner, 0), n_vocab * sizeof (float), expected,
                         n_vocab * sizeof (float));
      EngMemoryPlan plans[2];
      EngStateOptions state;
      eng_runner_get_state_options (eng_model_get_program (model), &runner_options, &state);
      g_assert_cmpint (eng_executor_plan (eng_model_get_program (model), &options, &state, plans,
                                          &error), ==, ENG_OK);
      g_assert_cmpint (plans[1].weight_bytes > 0, ==, p != 0);
      eng_runner_free (&runner);
      eng_executor_free (&executor);
    }
  const uint8_t bad[2] = { 0, 2 };
  const EngExecutorOptions options = { .devices = devices, .n_devices = 2, .layer_devices = bad };
  EngExecutor *executor = NULL;
  g_assert_cmpint (eng_executor_new (eng_model_get_program (model), &source, &options, &executor, NULL),
                   ==, ENG_ERR_ARGUMENT);
  for (int i = 0; i < 2; i++)
    api->close (&devices[i].device);
  eng_model_unref (&model);
}

/* Experts on another device than their layer: input, choice and residual cross there and back. */
static void
test_experts_apart (void)
{
  const EngDeviceApi *api = eng_cpu_device_api ();
  EngExecutorDevice devices[2];
  EngModel *model = NULL;
  EngError error;
  const EngModelOptions model_options = { .n_ctx = 128 };
  g_assert_cmpint (eng_model_open (EXPERTS_MODEL, &model_options, &model, &error), ==, ENG_OK);
  for (int i = 0; i < 2; i++)
    {
      const EngDeviceOptions options = { .n_threads = 1 };
      devices[i].api = api;
      g_assert_cmpint (api->open (0, &options, &devices[i].device, &error), ==, ENG_OK);
    }
  const EngWeightSource source = { .map = eng_model_map_weight, .data = model };
  const EngProgram *program = eng_model_get_program (model);
  const uint8_t layers[2][3] = { { 0, 0, 0 }, { 1, 0, 0 } };
  const uint8_t experts[3][3] = { { 0, 0, 0 }, { 1, 1, 1 }, { 0, 1, 1 } };
  g_autofree float *expected = NULL;
  int32_t tokens[20];
  for (int i = 0; i < 20; i++)
    tokens[i] = 5 + i;
  g_assert_cmpuint (program->n_layers, ==, 3);
  for (int l = 0; l < 2; l++)
    for (int x = 0; x < 3; x++)
      {
        const EngExecutorOptions options = { .devices = devices, .n_devices = 2, .layer_devices = layers[l],
                                             .expert_devices = experts[x],
                                             .bind = { .load_as = ENG_TYPE_NONE, .exact = true } };
        const EngRunnerOptions runner_options = { .n_ctx = 128, .max_sequences = 1, .max_rows = 16, .max_outputs = 1,
                                                  .k_type = ENG_TYPE_F32, .v_type = ENG_TYPE_F32 };
        EngExecutor *executor = NULL;
        EngRunner *runner = NULL;
        uint32_t a;
        g_assert_cmpint (eng_executor_new (program, &source, &options, &executor, &error), ==, ENG_OK);
        g_assert_cmpint (eng_runner_new (executor, &runner_options, &runner, &error), ==, ENG_OK);
        g_assert_cmpint (eng_kv_cache_add (eng_runner_get_cache (runner), &a, NULL), ==, ENG_OK);
        if (l == 0)
          g_assert_cmpuint (eng_executor_get_n_pieces (executor), ==, x == 0 ? 1 : x == 1 ? 7 : 5);
        g_assert_cmpint (eng_runner_prefill (runner, a, tokens, 20, 0, NULL, NULL, NULL, &error), ==, ENG_OK);
        if (!expected)
          expected = g_memdup2 (eng_runner_get_output (runner, 0), program->n_vocab * sizeof (float));
        g_assert_cmpmem (eng_runner_get_output (runner, 0), program->n_vocab * sizeof (float), expected,
                         program->n_vocab * sizeof (float));
        eng_runner_free (&runner);
        eng_executor_free (&executor);
      }
  for (int i = 0; i < 2; i++)
    api->close (&devices[i].device);
  eng_model_unref (&model);
}

/* --- generating --- */

typedef struct
{
  GString *text;
  ENG_ATOMIC_FLAG cancel;
  uint32_t cancel_at; /* tokens */
  gint64 cancel_us;
  uint32_t n_cached_first; /* of the first progress call */
  bool progress_seen;
} Sink;

static bool
text_cb (void *data, const char *text, size_t n_bytes, uint32_t n_generated, uint32_t n_context)
{
  Sink *sink = data;
  g_assert_true (g_utf8_validate (text, (gssize) n_bytes, NULL));
  g_string_append_len (sink->text, text, (gssize) n_bytes);
  if (n_generated == sink->cancel_at)
    {
      atomic_store (&sink->cancel, 1);
      sink->cancel_us = g_get_monotonic_time ();
    }
  return true;
}

static bool
progress_cb (void *data, uint32_t n_done, uint32_t n)
{
  Sink *sink = data;
  if (!sink->progress_seen)
    sink->n_cached_first = n_done;
  sink->progress_seen = true;
  g_assert_cmpuint (n_done, <=, n);
  return true;
}

static EngStatus
generate (EngSession *session, const char *conversation, const char *messages, const char *stop,
          uint32_t max_tokens, Sink *sink, EngGenerateResult *result, EngError *error)
{
  EngArena arena = { 0 };
  const EngString stops[2] = { { stop, stop ? strlen (stop) : 0 }, { "never said", 10 } };
  EngGenerateRequest request = { .conversation = conversation, .max_tokens = max_tokens,
                                 .stops = stops, .n_stops = stop ? 2 : 0,
                                 .sampling = { .greedy = true, .top_p = 1.0f,
                                               .repetition_penalty = 1.0f },
                                 .progress = progress_cb, .on_text = text_cb, .data = sink,
                                 .cancel = &sink->cancel };
  g_assert_cmpint (eng_json_parse (messages, strlen (messages), 0, &arena, &request.prompt.messages,
                                   NULL), ==, ENG_OK);
  if (!sink->text)
    sink->text = g_string_new (NULL);
  g_string_truncate (sink->text, 0);
  sink->progress_seen = false;
  EngStatus status = eng_session_generate (session, &request, result, error);
  eng_arena_clear (&arena);
  return status;
}

#define HELLO "[{\"role\": \"user\", \"content\": \"Hello\"}]"
#define SING "[{\"role\": \"user\", \"content\": \"Sing a song\"}]"

static void
test_ends (void)
{
  EngSession *session = open_session (256, true);
  Sink sink = { 0 };
  EngGenerateResult result;
  EngError error;
  g_assert_cmpint (generate (session, NULL, HELLO, NULL, 0, &sink, &result, &error), ==, ENG_OK);
  g_assert_cmpint (result.reason, ==, ENG_STOP_EOG);
  g_assert_cmpuint (result.n_generated, >, 3);
  g_autofree char *whole = g_strdup (sink.text->str);
  g_test_message ("%s", whole);
  g_assert_cmpint (generate (session, NULL, HELLO, NULL, 2, &sink, &result, &error), ==, ENG_OK);
  g_assert_cmpint (result.reason, ==, ENG_STOP_LENGTH);
  g_assert_cmpuint (result.n_generated, ==, 2);
  g_assert_true (g_str_has_prefix (whole, sink.text->str));
  /* Stop strings of every length at every place: cut exactly there, whatever the tokens. */
  for (size_t at = 1; at + 1 < strlen (whole); at++)
    for (size_t n = 1; n < 9 && at + n <= strlen (whole); n++)
      {
        g_autofree char *stop = g_strndup (whole + at, n);
        const char *first = strstr (whole, stop);
        g_assert_cmpint (generate (session, "c", HELLO, stop, 0, &sink, &result, &error), ==, ENG_OK);
        g_assert_cmpint (result.reason, ==, ENG_STOP_STRING);
        g_assert_cmpuint (sink.text->len, ==, (gsize) (first - whole));
        g_assert_true (g_str_has_prefix (whole, sink.text->str));
      }
  /* A beginning of a stop string that is not completed comes out at the end. */
  g_autofree char *tail = g_strconcat (whole + strlen (whole) - 3, "?", NULL);
  g_assert_cmpint (generate (session, NULL, HELLO, tail, 0, &sink, &result, &error), ==, ENG_OK);
  g_assert_cmpstr (sink.text->str, ==, whole);
  g_assert_cmpint (generate (session, NULL, HELLO, "", 0, &sink, &result, &error), ==, ENG_ERR_ARGUMENT);
  /* Chinese: characters of several tokens are never cut. */
  g_assert_cmpint (generate (session, NULL, "[{\"role\": \"user\", \"content\": \"你好\"}]", NULL, 0,
                             &sink, &result, &error), ==, ENG_OK);
  g_assert_cmpint (result.reason, ==, ENG_STOP_EOG);
  g_assert_cmpint (g_utf8_strlen (sink.text->str, -1), >, 0);
  g_assert_null (strstr (sink.text->str, "\xef\xbf\xbd"));
  g_string_free (sink.text, TRUE);
  eng_session_free (&session);
}

static void
test_context_full (void)
{
  EngSession *session = open_session (64, true);
  Sink sink = { 0 };
  EngGenerateResult result;
  EngError error;
  g_assert_cmpint (generate (session, "c", SING, NULL, 0, &sink, &result, &error), ==, ENG_OK);
  g_assert_cmpint (result.reason, ==, ENG_STOP_CONTEXT);
  g_assert_cmpuint (result.n_context, ==, 64);
  g_assert_cmpuint (result.n_prompt + result.n_generated, ==, 65);
  g_autoptr (GString) large = g_string_new ("[{\"role\": \"user\", \"content\": \"");
  for (int i = 0; i < 200; i++)
    g_string_append (large, "word ");
  g_string_append (large, "\"}]");
  g_assert_cmpint (generate (session, "c", large->str, NULL, 0, &sink, &result, &error), ==,
                   ENG_ERR_CONTEXT_FULL);
  g_assert_cmpuint (error.needed, >, 200);
  g_assert_cmpuint (error.available, ==, 64);
  g_string_free (sink.text, TRUE);
  eng_session_free (&session);
}

/* The next turn reuses all of the one before, and says what a fresh conversation says. */
static void
test_reuse (void)
{
  EngSession *session = open_session (256, true);
  Sink sink = { 0 };
  EngGenerateResult result;
  EngError error;
  g_assert_cmpint (generate (session, "a", HELLO, NULL, 0, &sink, &result, &error), ==, ENG_OK);
  g_assert_cmpuint (result.n_cached, ==, 0);
  uint32_t n_first = result.n_prompt + result.n_generated;
  g_autofree char *turns = g_strdup_printf (
      "[{\"role\": \"user\", \"content\": \"Hello\"}, {\"role\": \"assistant\", \"content\": \"%s\"},"
      " {\"role\": \"user\", \"content\": \"你好\"}]", sink.text->str);
  g_assert_cmpint (generate (session, "a", turns, NULL, 0, &sink, &result, &error), ==, ENG_OK);
  g_assert_cmpuint (result.n_cached + 2, >=, n_first);
  g_assert_cmpuint (sink.n_cached_first, ==, result.n_cached);
  g_autofree char *reused = g_strdup (sink.text->str);
  g_assert_cmpint (generate (session, NULL, turns, NULL, 0, &sink, &result, &error), ==, ENG_OK);
  g_assert_cmpstr (sink.text->str, ==, reused);
  /* Another conversation begins alike: it starts as a fork. */
  g_assert_cmpint (generate (session, "b", turns, NULL, 0, &sink, &result, &error), ==, ENG_OK);
  g_assert_cmpuint (result.n_cached, ==, result.n_prompt - 1);
  g_assert_cmpstr (sink.text->str, ==, reused);
  eng_session_forget (session, "a");
  eng_session_forget (session, "b");
  g_assert_cmpint (generate (session, "a", turns, NULL, 0, &sink, &result, &error), ==, ENG_OK);
  g_assert_cmpuint (result.n_cached, ==, 0);
  /* More conversations than the cache has room for. */
  for (int i = 0; i < 100; i++)
    {
      g_autofree char *key = g_strdup_printf ("talk %d", i);
      g_assert_cmpint (generate (session, key, HELLO, NULL, 1, &sink, &result, &error), ==, ENG_OK);
    }
  g_assert_cmpint (generate (session, "a", turns, NULL, 0, &sink, &result, &error), ==, ENG_OK);
  g_assert_cmpstr (sink.text->str, ==, reused);
  g_assert_true (eng_kv_cache_check (eng_runner_get_cache (eng_session_get_runner (session))));
  g_string_free (sink.text, TRUE);
  eng_session_free (&session);
}

static void
test_cancel (void)
{
  EngSession *session = open_session (256, true);
  Sink sink = { .cancel_at = 3 };
  EngGenerateResult result;
  EngError error;
  g_assert_cmpint (generate (session, "c", SING, NULL, 0, &sink, &result, &error), ==, ENG_OK);
  gint64 latency = g_get_monotonic_time () - sink.cancel_us;
  g_assert_cmpint (result.reason, ==, ENG_STOP_CANCEL);
  g_assert_cmpuint (result.n_generated, ==, 3);
  g_assert_cmpint (latency, <, 100000);
  /* Set before anything began: nothing is run, the prompt's cache stays usable. */
  g_assert_cmpint (generate (session, "c", SING, NULL, 0, &sink, &result, &error), ==, ENG_OK);
  g_assert_cmpint (result.reason, ==, ENG_STOP_CANCEL);
  g_assert_cmpuint (result.n_generated, ==, 0);
  sink.cancel_at = 0;
  atomic_store (&sink.cancel, 0);
  g_assert_cmpint (generate (session, "c", SING, NULL, 4, &sink, &result, &error), ==, ENG_OK);
  g_assert_cmpint (result.reason, ==, ENG_STOP_LENGTH);
  g_string_free (sink.text, TRUE);
  eng_session_free (&session);
}

/* Decoding asks for no memory. */
static void
test_no_allocation (void)
{
  EngSession *session = open_session (256, false);
  Sink sink = { 0 };
  EngGenerateResult result;
  EngError error;
  g_assert_cmpint (generate (session, "c", SING, NULL, 8, &sink, &result, &error), ==, ENG_OK);
  uint64_t counts[2];
  for (int i = 0; i < 2; i++)
    {
      eng_alloc_fail_at (0);
      g_assert_cmpint (generate (session, "c", SING, "unsaid", i == 0 ? 4 : 100, &sink, &result, &error),
                       ==, ENG_OK);
      counts[i] = eng_alloc_fail_at (0);
    }
  g_assert_cmpuint (counts[0], ==, counts[1]);
  g_string_free (sink.text, TRUE);
  eng_session_free (&session);
}

/* Whatever allocation fails, the call says so and the session can be used again. */
static void
test_out_of_memory (void)
{
  EngSessionOptions options;
  eng_session_options_init (&options);
  options.device = "cpu";
  options.n_threads = 1;
  options.n_ctx = 128;
  for (uint64_t n = 1; n < 100000; n += n < 200 ? 1 : 97)
    {
      EngSession *session = NULL;
      EngError error = { .code = ENG_OK };
      eng_alloc_fail_at (n);
      EngStatus status = eng_session_new (runtime, TINY_MODEL, &options, &session, &error);
      uint64_t made = eng_alloc_fail_at (0);
      if (status == ENG_OK)
        {
          eng_session_free (&session);
          if (made < n)
            return;
          continue; /* it was one that could be done without */
        }
      g_assert_cmpint (status, ==, ENG_ERR_NO_MEMORY);
      g_assert_cmpint (error.code, ==, ENG_ERR_NO_MEMORY);
      g_assert_null (session);
    }
}

/* Keys and values of 8 bits: half of the memory and a scale for 32 numbers, logits near those of half precision, and a fork
 * that goes on from copied blocks as if computed afresh. */
static void
test_eight_bits (gconstpointer data)
{
  bool exact = GPOINTER_TO_INT (data);
  EngSession *session = open_session_as (256, exact, ENG_TYPE_Q8_0), *halves = open_session_as (256, exact, ENG_TYPE_F16);
  EngRunner *runner = eng_session_get_runner (session);
  EngKvCache *cache = eng_runner_get_cache (runner);
  uint32_t n_vocab = eng_runner_get_program (runner)->n_vocab, a, b;
  int32_t tokens[150];
  make_tokens (tokens, 150, 11);
  g_autofree float *got = fresh_logits (session, tokens, 150, 0), *by_one = fresh_logits (session, tokens, 150, 1);
  g_autofree float *want = fresh_logits (halves, tokens, 150, 0);
  double error = test_relative_error (got, want, n_vocab);
  g_test_message ("relative error of keys and values of 8 bits: %.1e", error);
  g_assert_cmpfloat (error, <, 3e-2);
  g_assert_cmpfloat (error, >, 0); /* they are used */
  g_assert_cmpfloat (test_relative_error (by_one, got, n_vocab), <, exact ? 1e-3 : 3e-2);
  g_assert_cmpint (eng_kv_cache_add (cache, &a, NULL), ==, ENG_OK);
  g_assert_cmpint (eng_runner_prefill (runner, a, tokens, 150, 0, NULL, NULL, NULL, NULL), ==, ENG_OK);
  g_assert_cmpint (eng_kv_cache_fork (cache, a, 100, &b, NULL), ==, ENG_OK);
  g_assert_cmpint (eng_runner_prefill (runner, b, tokens + 100, 50, 0, NULL, NULL, NULL, NULL), ==, ENG_OK);
  g_assert_cmpfloat (test_relative_error (eng_runner_get_output (runner, 0), got, n_vocab), <, exact ? 1e-3 : 3e-2);
  eng_session_free (&session);
  eng_session_free (&halves);

  EngSessionOptions options;
  EngSessionPlan small, large;
  eng_session_options_init (&options);
  options.device = "cpu";
  options.n_ctx = 256;
  g_assert_cmpint (eng_session_plan (runtime, TINY_MODEL, &options, &large, NULL, NULL), ==, ENG_OK);
  options.k_type = options.v_type = ENG_TYPE_Q8_0;
  g_assert_cmpint (eng_session_plan (runtime, TINY_MODEL, &options, &small, NULL, NULL), ==, ENG_OK);
  g_assert_cmpuint (small.kv_bytes, <=, large.kv_bytes * 9 / 16);
}

static void
test_too_large (void)
{
  EngSessionOptions options;
  EngSession *session = NULL;
  EngError error;
  eng_session_options_init (&options);
  options.device = "cpu";
  options.n_ctx = 1u << 28;
  g_assert_cmpint (eng_session_new (runtime, TINY_MODEL, &options, &session, &error), ==,
                   ENG_ERR_TOO_LARGE);
  g_assert_cmpuint (error.needed, >, error.available);
  g_assert_cmpuint (error.available, >, 0);
  g_assert_null (session);
}

/* A vocabulary that is looked up and multiplied lies in memory once, in its packed form, whatever the type; not so where packing
 * changes the type. */
static void
test_shared_vocabulary (void)
{
  g_autofree char *folder = g_dir_make_tmp ("inglenook-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "tied.gguf", NULL);
  const char *types[] = { "Q4_0", "Q5_1", "Q8_0", "F16" };
  for (int i = 0; i < 4; i++)
    {
      EngError error;
      EngGguf *gguf = NULL;
      EngSessionOptions options;
      EngSessionPlan plan;
      uint64_t bytes = 0;
      bool changes = strcmp (types[i], "F16") == 0;
      g_assert_cmpint (eng_quantize_file (TINY_MODEL, path, &(EngQuantizeOptions){ .mix = types[i] }, NULL, &error), ==,
                       ENG_OK);
      g_assert_cmpint (eng_gguf_open (path, ENG_GGUF_MAP, &gguf, &error), ==, ENG_OK);
      for (uint64_t t = 0; t < eng_gguf_get_n_tensors (gguf); t++)
        bytes += eng_gguf_get_tensor (gguf, t)->n_bytes;
      eng_session_options_init (&options);
      options.device = "cpu";
      options.load_as = changes ? ENG_TYPE_Q8_0 : ENG_TYPE_NONE;
      g_assert_cmpint (eng_session_plan (runtime, path, &options, &plan, NULL, &error), ==, ENG_OK);
      if (changes) /* 34 bytes for 64, but the vocabulary as it is too: 320 of the file's rows of 64 */
        g_assert_cmpuint (plan.weight_bytes, >, bytes * 34 / 64 + 320 * 64 * 2 * 9 / 10);
      else
        g_assert_cmpuint (plan.weight_bytes, ==, bytes);
      EngSession *session = NULL;
      g_assert_cmpint (eng_session_new (runtime, path, &options, &session, &error), ==, ENG_OK);
      g_assert_cmpuint (eng_session_get_plan (session)->weight_bytes, ==, plan.weight_bytes);
      eng_session_free (&session);
      eng_gguf_close (&gguf);
    }
  g_remove (path);
  g_rmdir (folder);
}

static void
write_file (const char *root, const char *name, const char *text)
{
  g_autofree char *path = g_build_filename (root, name, NULL);
  g_autofree char *folder = g_path_get_dirname (path);
  g_assert_cmpint (g_mkdir_with_parents (folder, 0700), ==, 0);
  g_assert_true (g_file_set_contents (path, text, -1, NULL));
}

static void
test_memory (void)
{
  g_autofree char *root = g_dir_make_tmp ("inglenook-XXXXXX", NULL);
  g_assert_cmpuint (eng_memory_get_available_in (root), ==, UINT64_MAX);
  write_file (root, "proc/meminfo", "MemTotal:  8000 kB\nMemAvailable:   4000 kB\n");
  g_assert_cmpuint (eng_memory_get_available_in (root), ==, 4000 * 1024);
  write_file (root, "proc/self/cgroup", "0::/a/b\n");
  write_file (root, "sys/fs/cgroup/a/b/memory.max", "max\n");
  g_assert_cmpuint (eng_memory_get_available_in (root), ==, 4000 * 1024);
  write_file (root, "sys/fs/cgroup/a/memory.max", "2000000\n");
  write_file (root, "sys/fs/cgroup/a/memory.current", "1500000\n");
  write_file (root, "sys/fs/cgroup/a/memory.stat", "anon 5\ninactive_file 100000\nactive_file 50000\n");
  g_assert_cmpuint (eng_memory_get_available_in (root), ==, 650000);
  write_file (root, "sys/fs/cgroup/a/b/memory.max", "300000\n");
  write_file (root, "sys/fs/cgroup/a/b/memory.current", "400000\n");
  g_assert_cmpuint (eng_memory_get_available_in (root), ==, 0);
  write_file (root, "proc/self/cgroup", "5:memory:/c\n0::/\n");
  write_file (root, "sys/fs/cgroup/memory/c/memory.limit_in_bytes", "1000000\n");
  write_file (root, "sys/fs/cgroup/memory/c/memory.usage_in_bytes", "250000\n");
  g_assert_cmpuint (eng_memory_get_available_in (root), ==, 750000);
}

/* A scale that is no number in any tensor is refused by the tensor's name, whether the weights are packed or read as they
 * are. */
static void
test_not_finite (void)
{
  g_autofree char *folder = g_dir_make_tmp ("inglenook-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "bad.gguf", NULL);
  g_autofree char *bytes = NULL;
  gsize n_bytes;
  EngGguf *gguf = NULL;
  EngError error = { 0 };
  g_assert_true (g_file_get_contents (MIXED_MODEL, &bytes, &n_bytes, NULL));
  g_assert_cmpint (eng_gguf_open (MIXED_MODEL, ENG_GGUF_MAP, &gguf, &error), ==, ENG_OK);
  for (uint64_t i = 0; i < eng_gguf_get_n_tensors (gguf); i++)
    for (int exact = 0; exact < 2; exact++)
      {
        const EngGgufTensor *t = eng_gguf_get_tensor (gguf, i);
        uint64_t at = t->offset + (t->n_rows - 1) * t->row_bytes; /* the last row: all bits are NaN in each type */
        g_autofree char *bad = g_memdup2 (bytes, n_bytes);
        EngSessionOptions options;
        EngSession *session = NULL;
        memset (bad + at, 0xff, t->row_bytes);
        g_assert_true (g_file_set_contents (path, bad, (gssize) n_bytes, NULL));
        eng_session_options_init (&options);
        options.device = "cpu";
        options.n_threads = 2;
        options.exact = exact;
        g_assert_cmpint (eng_session_new (runtime, path, &options, &session, &error), ==, ENG_ERR_FORMAT);
        g_assert_cmpstr (error.field, ==, t->name);
        g_assert_null (session);
      }
  eng_gguf_close (&gguf);
  g_remove (path);
  g_rmdir (folder);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  EngError error;
  if (eng_runtime_new (&runtime, &error) != ENG_OK)
    g_error ("%s", error.text);
  g_test_add_data_func ("/session/batch/exact", GINT_TO_POINTER (1), test_batch);
  g_test_add_data_func ("/session/batch/fast", GINT_TO_POINTER (0), test_batch);
  g_test_add_func ("/session/cut-and-fork", test_cut_and_fork);
  g_test_add_func ("/session/two-devices", test_two_devices);
  g_test_add_func ("/session/experts-apart", test_experts_apart);
  g_test_add_func ("/session/ends", test_ends);
  g_test_add_func ("/session/context-full", test_context_full);
  g_test_add_func ("/session/reuse", test_reuse);
  g_test_add_func ("/session/cancel", test_cancel);
  g_test_add_func ("/session/no-allocation", test_no_allocation);
  g_test_add_func ("/session/out-of-memory", test_out_of_memory);
  g_test_add_data_func ("/session/eight-bits/exact", GINT_TO_POINTER (1), test_eight_bits);
  g_test_add_data_func ("/session/eight-bits/fast", GINT_TO_POINTER (0), test_eight_bits);
  g_test_add_func ("/session/too-large", test_too_large);
  g_test_add_func ("/session/shared-vocabulary", test_shared_vocabulary);
  g_test_add_func ("/session/memory", test_memory);
  g_test_add_func ("/session/not-finite", test_not_finite);
  int code = g_test_run ();
  eng_runtime_free (&runtime);
  return code;
}
