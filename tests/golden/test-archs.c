/* SPDX-License-Identifier: Apache-2.0 */
/* Every architecture against transformers: tiny random models, their logits and vectors
 * (make-archs.py). Exact kernels stay within 1e-4, relative, whatever the batches; those with a
 * window or scaled RoPE over 1,100 positions. INGLENOOK_TEST_DEVICE names another device than the CPU (run-device): 2e-2. */
#include <math.h>
#include <string.h>

#include "eng-cpu-device.h"
#include "eng-cpu-features.h"
#include "eng-session.h"
#include "test-models.h"
#include "test-npy.h"

static EngRuntime *runtime;

static TestNpy *
load (const char *name, const char *what)
{
  g_autofree char *file = g_strdup_printf ("arch/%s-%s.npy", name, what);
  g_autofree char *path = test_data_path (file);
  g_autoptr (GError) error = NULL;
  TestNpy *npy = test_npy_load (path, &error);
  g_assert_no_error (error);
  return npy;
}

static const char *device = "cpu";
static double exact_bound = 1e-4;
static uint64_t kernel_mask;
static EngType load_as = ENG_TYPE_NONE;

static EngSession *
open_session (const char *name, bool exact, uint32_t n_ctx)
{
  g_autofree char *file = g_strdup_printf ("arch/%s.gguf", name);
  g_autofree char *path = test_data_path (file);
  EngSessionOptions options;
  EngSession *session = NULL;
  EngError error;
  eng_session_options_init (&options);
  options.device = device;
  options.exact = exact && strcmp (device, "cpu") == 0;
  options.n_ctx = n_ctx;
  options.kernel_mask = kernel_mask;
  options.load_as = load_as;
  options.without_text = true;
  options.max_outputs = 512;
  if (eng_session_new (runtime, path, &options, &session, &error) != ENG_OK)
    g_error ("%s: %s", error.field, error.text);
  return session;
}

/* Logits of the positions in @rows, the tokens run in chunks. */
static float *
run_chunks (EngSession *session, const TestNpy *tokens, const TestNpy *rows, uint32_t chunk)
{
  EngRunner *runner = eng_session_get_runner (session);
  uint32_t n_vocab = eng_runner_get_program (runner)->n_vocab, sequence, k = 0;
  float *out = g_new (float, rows->n * n_vocab);
  g_assert_cmpint (eng_kv_cache_add (eng_runner_get_cache (runner), &sequence, NULL), ==, ENG_OK);
  for (uint32_t i = 0; i < tokens->n; i += chunk)
    {
      EngError error;
      const EngRunnerSpan span = { .sequence = sequence, .tokens = tokens->i32 + i,
                                   .n = (uint32_t) MIN (chunk, tokens->n - i),
                                   .outputs = ENG_OUTPUT_ALL };
      if (eng_runner_run (runner, &span, 1, NULL, &error) != ENG_OK)
        g_error ("%s", error.text);
      for (; k < rows->n && (uint32_t) rows->i32[k] < i + span.n; k++)
        memcpy (out + (size_t) k * n_vocab,
                eng_runner_get_output (runner, (uint32_t) rows->i32[k] - i), n_vocab * sizeof *out);
    }
  eng_kv_cache_remove (eng_runner_get_cache (runner), sequence);
  return out;
}

static void
check_logits (const float *ours, const TestNpy *truth, double bound)
{
  size_t n_vocab = truth->shape[1];
  double error = test_relative_error (ours, truth->f32, truth->n);
  g_test_message ("relative error %.2e", error);
  g_assert_cmpfloat (error, <, bound);
  for (size_t r = 0; r < truth->shape[0] && bound == 1e-4; r++)
    {
      const float *t = truth->f32 + r * n_vocab, *o = ours + r * n_vocab;
      int32_t best = eng_argmax (t, (uint32_t) n_vocab);
      float second = -INFINITY;
      for (size_t i = 0; i < n_vocab; i++)
        if ((int32_t) i != best)
          second = fmaxf (second, t[i]);
      if (t[best] - second > 1e-3f)
        g_assert_cmpint (eng_argmax (o, (uint32_t) n_vocab), ==, best);
    }
}

static void
test_decoder (gconstpointer data)
{
  const char *name = data;
  g_autoptr (TestNpy) tokens = load (name, "tokens"), rows = load (name, "rows"),
                      truth = load (name, "logits");
  uint32_t n_ctx = (uint32_t) MAX (tokens->n, 64);
  EngSession *session = open_session (name, true, n_ctx);
  g_autofree float *whole = run_chunks (session, tokens, rows, 512);
  check_logits (whole, truth, exact_bound);
  /* Chunks that begin and end inside blocks and windows. */
  g_autofree float *chunked = run_chunks (session, tokens, rows, 37);
  check_logits (chunked, truth, exact_bound);
  eng_session_free (&session);
  session = open_session (name, false, n_ctx);
  g_autofree float *fast = run_chunks (session, tokens, rows, 512);
  check_logits (fast, truth, MAX (exact_bound, 1e-2));
  eng_session_free (&session);
}

/* All texts in one batch, and each alone. */
static void
test_encoder (gconstpointer data)
{
  const char *name = data;
  g_autoptr (TestNpy) tokens = load (name, "tokens"), starts = load (name, "starts"),
                      truth = load (name, "vectors");
  EngSession *session = open_session (name, true, 0);
  EngRunner *runner = eng_session_get_runner (session);
  EngKvCache *cache = eng_runner_get_cache (runner);
  uint32_t n = (uint32_t) starts->n - 1, width = eng_runner_get_program (runner)->n_output;
  EngRunnerSpan spans[8];
  EngError error;
  g_assert_cmpuint (truth->shape[1], ==, width);
  for (uint32_t batch = 1; batch <= 3; batch++)
    for (uint32_t i = 0; i < n; i += batch)
      {
        uint32_t n_spans = MIN (batch, n - i);
        for (uint32_t s = 0; s < n_spans; s++)
          {
            spans[s] = (EngRunnerSpan) {
              .tokens = tokens->i32 + starts->i32[i + s],
              .n = (uint32_t) (starts->i32[i + s + 1] - starts->i32[i + s]),
              .outputs = ENG_OUTPUT_ALL,
            };
            g_assert_cmpint (eng_kv_cache_add (cache, &spans[s].sequence, NULL), ==, ENG_OK);
          }
        if (eng_runner_run (runner, spans, n_spans, NULL, &error) != ENG_OK)
          g_error ("%s", error.text);
        for (uint32_t s = 0; s < n_spans; s++)
          {
            g_assert_cmpfloat (test_relative_error (eng_runner_get_output (runner, s),
                                               truth->f32 + (i + s) * width, width), <, exact_bound);
            eng_kv_cache_remove (cache, spans[s].sequence);
          }
      }
  eng_session_free (&session);
}

/* The last token's logits with no others asked for: rows may end before the last layer does. */
static void
test_last_row (gconstpointer data)
{
  const char *name = data;
  g_autoptr (TestNpy) tokens = load (name, "tokens"), truth = load (name, "logits");
  EngSession *session = open_session (name, true, (uint32_t) MAX (tokens->n, 64));
  EngRunner *runner = eng_session_get_runner (session);
  uint32_t n_vocab = eng_runner_get_program (runner)->n_vocab, sequence;
  EngError error;
  g_assert_cmpint (eng_kv_cache_add (eng_runner_get_cache (runner), &sequence, NULL), ==, ENG_OK);
  if (eng_runner_prefill (runner, sequence, tokens->i32, (uint32_t) tokens->n, 300, NULL, NULL, NULL, &error) != ENG_OK)
    g_error ("%s", error.text);
  g_assert_cmpfloat (test_relative_error (eng_runner_get_output (runner, 0), truth->f32 + truth->n - n_vocab, n_vocab), <, 1e-4);
  eng_session_free (&session);
}

/* Sets of tiers, each with those before it; nothing but plain C is asked for by a bit that no x86 has, and the other way
 * round. */
static const struct
{
  const char *name;
  uint64_t mask;
} tiers[] = {
  { "plain-c", (uint64_t) 1 << 31 },
  { "avx2", ENG_CPU_TIER_AVX2 },
  { "avx-vnni", ENG_CPU_TIER_AVX2 | ENG_CPU_TIER_AVX_VNNI },
  { "avx512", ENG_CPU_TIER_AVX2 | ENG_CPU_TIER_AVX512 },
  { "avx512-vnni", ENG_CPU_TIER_AVX2 | ENG_CPU_TIER_AVX512 | ENG_CPU_TIER_AVX512_VNNI },
  { "neon", ENG_CPU_TIER_NEON },
  { "neon-dotprod", ENG_CPU_TIER_NEON | ENG_CPU_TIER_NEON_DOTPROD },
};

/* Float weights, and loaded as Q8_0: both near the truth on every tier of this processor. (Tiers with VNNI multiply bytes,
 * those without 12 bits with Q8_0: measured 2.5e-2 to 5e-2 of the truth's logits in these random layers.) */
static void
test_tier (gconstpointer data)
{
  static const char *const names[] = { "gemma3", "glm4-moe-lite", "glm4moe", "qwen2moe", "qwen3" };
  guint i_tier = GPOINTER_TO_UINT (data);
  uint64_t mask = tiers[i_tier].mask;
  if (i_tier != 0 && (mask & ~(uint64_t) eng_cpu_get_tiers ()) != 0)
    {
      g_test_skip ("this processor has not got it");
      return;
    }
  kernel_mask = mask;
  for (size_t i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autoptr (TestNpy) tokens = load (names[i], "tokens"), rows = load (names[i], "rows"),
                          truth = load (names[i], "logits");
      for (int quantized = 0; quantized < 2; quantized++)
        {
          load_as = quantized ? ENG_TYPE_Q8_0 : ENG_TYPE_NONE;
          EngSession *session = open_session (names[i], false, (uint32_t) MAX (tokens->n, 64));
          g_autofree float *found = run_chunks (session, tokens, rows, 512);
          eng_session_free (&session);
          check_logits (found, truth, quantized ? 0.1 : 1e-2);
        }
    }
  kernel_mask = 0;
  load_as = ENG_TYPE_NONE;
}

/* --- state through what sessions do with it --- */

typedef struct
{
  EngRunner *runner;
  EngKvCache *cache;
  const TestNpy *tokens;
  const float *truth; /* [tokens, n_vocab] */
  uint32_t n_vocab;
} Kept;

/* Rows [at, at + n) of each sequence in one batch; the last one's logits are those of a run from the start. */
static void
run_together (const Kept *r, const uint32_t *sequences, uint32_t n_sequences, uint32_t n)
{
  EngRunnerSpan spans[4];
  uint32_t ends[4];
  EngError error;
  for (uint32_t i = 0; i < n_sequences; i++)
    {
      uint32_t at = eng_kv_cache_get_n_positions (r->cache, sequences[i]);
      spans[i] = (EngRunnerSpan) { .sequence = sequences[i], .tokens = r->tokens->i32 + at, .n = n + i,
                                   .outputs = ENG_OUTPUT_LAST };
      ends[i] = at + n + i;
    }
  if (eng_runner_run (r->runner, spans, n_sequences, NULL, &error) != ENG_OK)
    g_error ("%s", error.text);
  g_assert_true (eng_kv_cache_check (r->cache));
  for (uint32_t i = 0; i < n_sequences; i++)
    g_assert_cmpfloat (test_relative_error (eng_runner_get_output (r->runner, i),
                                       r->truth + (size_t) (ends[i] - 1) * r->n_vocab, r->n_vocab),
                       <, exact_bound);
}

/* Logits of up to 240 tokens one by one: that all the rest is compared with, and itself with transformers. */
static float *
run_each (EngSession *session, TestNpy *tokens, const TestNpy *rows, const TestNpy *logits)
{
  g_autoptr (GArray) all = g_array_new (FALSE, FALSE, sizeof (int32_t));
  size_t n_vocab = logits->shape[1];
  tokens->n = MIN (tokens->n, 240);
  for (int32_t i = 0; i < (int32_t) tokens->n; i++)
    g_array_append_val (all, i);
  TestNpy every = { .i32 = (int32_t *) (void *) all->data, .n = tokens->n };
  float *truth = run_chunks (session, tokens, &every, 1);
  for (size_t i = 0; i < rows->n && (size_t) rows->i32[i] < tokens->n; i++)
    g_assert_cmpfloat (test_relative_error (truth + (size_t) rows->i32[i] * n_vocab, logits->f32 + i * n_vocab, n_vocab), <,
                       exact_bound);
  return truth;
}

static void
test_recurrent (gconstpointer data)
{
  const char *name = data;
  g_autoptr (TestNpy) tokens = load (name, "tokens"), rows = load (name, "rows"), logits = load (name, "logits");
  EngSession *session = open_session (name, true, 256);
  g_autofree float *truth = run_each (session, tokens, rows, logits);
  Kept r = { eng_session_get_runner (session), NULL, tokens, truth, (uint32_t) logits->shape[1] };
  r.cache = eng_runner_get_cache (r.runner);
  uint32_t s[3];
  atomic_int cancel = 1;
  EngError error;
  g_assert_cmpint (eng_kv_cache_add (r.cache, &s[0], NULL), ==, ENG_OK);
  g_assert_cmpint (eng_kv_cache_add (r.cache, &s[1], NULL), ==, ENG_OK);
  /* Two sequences of different length in each batch, through borders of blocks. */
  for (int i = 0; i < 4; i++)
    run_together (&r, s, 2, 21);
  run_together (&r, s, 2, 1);
  /* A fork at the end goes its own way beside the others; so does one at a checkpoint. */
  uint32_t n = eng_kv_cache_get_n_positions (r.cache, s[0]);
  g_assert_cmpint (eng_kv_cache_fork (r.cache, s[0], n, &s[2], NULL), ==, ENG_OK);
  run_together (&r, s, 3, 3);
  eng_kv_cache_remove (r.cache, s[2]);
  g_assert_cmpint (eng_kv_cache_fork (r.cache, s[0], 64, &s[2], NULL), ==, ENG_OK);
  run_together (&r, s, 3, 5);
  /* A message was changed: back to a checkpoint, and on from there. */
  uint32_t back = eng_kv_cache_get_reusable (r.cache, s[1], 80);
  g_assert_cmpuint (back, ==, 64);
  g_assert_cmpint (eng_kv_cache_cut (r.cache, s[1], back, NULL), ==, ENG_OK);
  run_together (&r, s, 3, 30);
  /* Stopped: what is left is whole. */
  EngRunnerSpan span = { .sequence = s[1], .tokens = tokens->i32, .n = 9, .outputs = ENG_OUTPUT_LAST };
  g_assert_cmpint (eng_runner_run (r.runner, &span, 1, &cancel, &error), ==, ENG_ERR_CANCELLED);
  g_assert_cmpuint (eng_kv_cache_get_n_positions (r.cache, s[1]) % 64, ==, 0);
  run_together (&r, s, 3, 11);
  eng_session_free (&session);
}

/* Layers with and without a window, some of which read other layers' keys: sequences that are forked and cut back
 * anywhere, beyond the window too. */
static void
test_shared_keys (gconstpointer data)
{
  const char *name = data;
  g_autoptr (TestNpy) tokens = load (name, "tokens"), rows = load (name, "rows"), logits = load (name, "logits");
  EngSession *session = open_session (name, true, 1024);
  g_autofree float *truth = run_each (session, tokens, rows, logits);
  Kept r = { eng_session_get_runner (session), NULL, tokens, truth, (uint32_t) logits->shape[1] };
  uint32_t s[3];
  r.cache = eng_runner_get_cache (r.runner);
  /* Memory is planned for layers with keys of their own alone. */
  const EngProgram *program = eng_runner_get_program (r.runner);
  g_assert_cmpuint (program->n_groups, ==, 2);
  g_assert_cmpuint (program->groups[0].n_layers + program->groups[1].n_layers, ==, 3);
  g_assert_cmpint (eng_kv_cache_add (r.cache, &s[0], NULL), ==, ENG_OK);
  g_assert_cmpint (eng_kv_cache_add (r.cache, &s[1], NULL), ==, ENG_OK);
  for (int i = 0; i < 3; i++)
    run_together (&r, s, 2, 21);
  g_assert_cmpint (eng_kv_cache_fork (r.cache, s[0], 41, &s[2], NULL), ==, ENG_OK);
  run_together (&r, s, 3, 5);
  g_assert_cmpuint (eng_kv_cache_get_reusable (r.cache, s[1], 30), ==, 30);
  g_assert_cmpint (eng_kv_cache_cut (r.cache, s[1], 30, NULL), ==, ENG_OK);
  for (int i = 0; i < 4; i++)
    run_together (&r, s, 3, 37);
  g_assert_cmpuint (eng_kv_cache_get_n_positions (r.cache, s[0]), >, 200);
  uint32_t back = eng_kv_cache_get_reusable (r.cache, s[0], eng_kv_cache_get_n_positions (r.cache, s[0]) - 3);
  g_assert_cmpuint (back, >, 0);
  g_assert_cmpint (eng_kv_cache_cut (r.cache, s[0], back, NULL), ==, ENG_OK);
  run_together (&r, s, 3, 2);
  eng_session_free (&session);
}

/* A layer must be where the keys are that it reads. */
static void
test_shared_keys_apart (void)
{
  g_autofree char *path = test_data_path ("arch/gemma4.gguf");
  const EngDeviceApi *api = eng_cpu_device_api ();
  const EngDeviceOptions one_thread = { .n_threads = 1 };
  const uint8_t together[5] = { 0, 1, 1, 1, 1 }, apart[5] = { 0, 0, 0, 1, 1 };
  EngExecutorDevice devices[2] = { { api, NULL }, { api, NULL } };
  EngExecutor *executor = NULL;
  EngModel *model = NULL;
  EngError error;
  g_assert_cmpint (eng_model_open (path, NULL, &model, &error), ==, ENG_OK);
  const EngWeightSource source = { eng_model_map_weight, model };
  for (int i = 0; i < 2; i++)
    g_assert_cmpint (api->open (0, &one_thread, &devices[i].device, NULL), ==, ENG_OK);
  g_assert_cmpuint (eng_executor_get_least_layers (eng_model_get_program (model)), ==, 4);
  EngExecutorOptions options = { .devices = devices, .n_devices = 2, .layer_devices = together, .bind = { .exact = true } };
  g_assert_cmpint (eng_executor_new (eng_model_get_program (model), &source, &options, &executor, &error), ==, ENG_OK);
  eng_executor_free (&executor);
  options.layer_devices = apart;
  g_assert_cmpint (eng_executor_new (eng_model_get_program (model), &source, &options, &executor, &error), ==,
                   ENG_ERR_UNSUPPORTED);
  g_assert_nonnull (strstr (error.text, "layer 3 reads the keys and values of layer 1"));
  for (int i = 0; i < 2; i++)
    api->close (&devices[i].device);
  eng_model_unref (&model);
}

int
main (int argc, char **argv)
{
  static const char *const decoders[]
      = { "chatglm", "deepseek-v2", "deepseek-v3", "gemma2", "gemma3", "gemma4", "gemma4-moe", "glm4", "glm4moe", "glm4-moe-lite",
          "gpt-oss", "lfm2", "llama-linear", "llama-llama3", "llama-yarn",
          "mistral", "mixtral", "phi3", "phi3-longrope", "qwen2", "qwen2moe", "qwen3", "qwen35", "qwen35moe", "qwen3moe",
          "qwen3next", "smollm3" };
  static const char *const encoders[] = { "bert", "gemma-embedding", "nomic-bert", "ranker", "xlm-roberta" };
  g_test_init (&argc, &argv, NULL);
  const char *wish = g_getenv ("INGLENOOK_TEST_DEVICE");
  if (wish && *wish)
    {
      device = wish;
      exact_bound = 2e-2;
    }
  EngError error;
  if (eng_runtime_new (&runtime, &error) != ENG_OK)
    g_error ("%s", error.text);
  for (size_t i = 0; i < G_N_ELEMENTS (decoders); i++)
    {
      g_autofree char *path = g_strconcat ("/archs/", decoders[i], NULL);
      g_test_add_data_func (path, decoders[i], test_decoder);
    }
  for (size_t i = 0; i < G_N_ELEMENTS (encoders); i++)
    {
      g_autofree char *path = g_strconcat ("/archs/", encoders[i], NULL);
      g_test_add_data_func (path, encoders[i], test_encoder);
    }
  g_test_add_data_func ("/archs/recurrent-state/lfm2", "lfm2", test_recurrent);
  g_test_add_data_func ("/archs/recurrent-state/qwen35", "qwen35", test_recurrent);
  g_test_add_data_func ("/archs/recurrent-state/qwen3next", "qwen3next", test_recurrent);
  g_test_add_data_func ("/archs/shared-keys/gemma4", "gemma4", test_shared_keys);
  g_test_add_func ("/archs/shared-keys/apart", test_shared_keys_apart);
  for (guint i = 0; i < G_N_ELEMENTS (tiers); i++)
    {
      g_autofree char *path = g_strconcat ("/archs/tiers/", tiers[i].name, NULL);
      g_test_add_data_func (path, GUINT_TO_POINTER (i), test_tier);
    }
  for (size_t i = 0; i < G_N_ELEMENTS (decoders); i++)
    {
      g_autofree char *path = g_strconcat ("/archs/last-row/", decoders[i], NULL);
      g_test_add_data_func (path, decoders[i], test_last_row);
    }
  int code = g_test_run ();
  eng_runtime_free (&runtime);
  return code;
}
