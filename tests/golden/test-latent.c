/* SPDX-License-Identifier: Apache-2.0 */
/* Multi-head latent attention beyond its logits (test-archs): what the state holds of a position, sequences that part and are
 * cut back, layers on two devices, half-precision latents with more heads than one tile takes, files that contradict
 * themselves. Models: make-archs.py. */
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "eng-cpu-device.h"
#include "eng-session.h"
#include "test-models.h"
#include "test-npy.h"

#define N_CTX 256
#define LATENT_V3 (24 + 8) /* numbers of a position and layer in that model */

static EngRuntime *runtime;

static char *
model_path (const char *name)
{
  g_autofree char *file = g_strdup_printf ("arch/%s.gguf", name);
  return test_data_path (file);
}

static void
session_options (EngSessionOptions *options, bool exact)
{
  eng_session_options_init (options);
  options->device = "cpu";
  options->exact = exact;
  options->n_ctx = N_CTX;
  options->without_text = true;
}

/* One latent and one rotated key a layer, nothing for each head and no values. */
static void
test_plan (void)
{
  g_autofree char *path = model_path ("deepseek-v3");
  EngSessionOptions options;
  EngSessionPlan plan;
  EngModel *model = NULL;
  session_options (&options, false);
  options.n_ctx = 2048;
  g_assert_cmpint (eng_session_plan (runtime, path, &options, &plan, &model, NULL), ==, ENG_OK);
  const EngProgram *program = eng_model_get_program (model);
  g_assert_cmpuint (program->n_groups, ==, 1);
  g_assert_cmpuint (program->groups[0].n_kv_head, ==, 1);
  g_assert_cmpuint (program->groups[0].k_width, ==, LATENT_V3);
  g_assert_cmpuint (program->groups[0].v_width, ==, 0);
  uint64_t bytes = (uint64_t) plan.n_ctx * program->n_layers * LATENT_V3 * 2;
  /* and a few blocks for sequences that part */
  g_assert_cmpuint (plan.kv_bytes, >=, bytes);
  g_assert_cmpuint (plan.kv_bytes, <, bytes + bytes / 5);
  eng_model_unref (&model);
}

static void
run (EngRunner *runner, uint32_t sequence, const int32_t *tokens, uint32_t n, float *out)
{
  uint32_t n_vocab = eng_runner_get_program (runner)->n_vocab;
  EngError error;
  if (eng_runner_prefill (runner, sequence, tokens, n, 0, NULL, NULL, NULL, &error) != ENG_OK)
    g_error ("%s", error.text);
  memcpy (out, eng_runner_get_output (runner, 0), n_vocab * sizeof *out);
}

/* Cut back inside a block and gone on, forked there, from other threads' parts of the positions: as if computed afresh. */
static void
test_cut_and_fork (gconstpointer data)
{
  bool exact = GPOINTER_TO_INT (data);
  g_autofree char *path = model_path ("deepseek-v3"), *token_path = test_data_path ("arch/deepseek-v3-tokens.npy");
  g_autoptr (TestNpy) tokens = test_npy_load (token_path, NULL);
  EngSessionOptions options;
  EngSession *session = NULL;
  EngError error;
  session_options (&options, exact);
  if (eng_session_new (runtime, path, &options, &session, &error) != ENG_OK)
    g_error ("%s", error.text);
  EngRunner *runner = eng_session_get_runner (session);
  EngKvCache *cache = eng_runner_get_cache (runner);
  uint32_t n_vocab = eng_runner_get_program (runner)->n_vocab, a, b;
  double bound = exact ? 1e-5 : 5e-3;
  g_autofree float *fresh = g_new (float, n_vocab), *other = g_new (float, n_vocab), *again = g_new (float, n_vocab);
  g_assert_cmpint (eng_kv_cache_add (cache, &a, NULL), ==, ENG_OK);
  run (runner, a, tokens->i32, 180, fresh);
  eng_kv_cache_remove (cache, a);
  g_assert_cmpint (eng_kv_cache_add (cache, &a, NULL), ==, ENG_OK);
  run (runner, a, tokens->i32, 100, again);
  g_assert_cmpint (eng_kv_cache_fork (cache, a, 90, &b, NULL), ==, ENG_OK);
  run (runner, b, tokens->i32 + 200, 20, other);
  run (runner, a, tokens->i32 + 100, 79, again);
  run (runner, a, tokens->i32 + 179, 1, again);
  g_assert_cmpfloat (test_relative_error (again, fresh, n_vocab), <, bound);
  g_assert_cmpint (eng_kv_cache_cut (cache, a, 70, NULL), ==, ENG_OK);
  run (runner, a, tokens->i32 + 70, 110, again);
  g_assert_cmpfloat (test_relative_error (again, fresh, n_vocab), <, bound);
  g_assert_cmpint (eng_kv_cache_cut (cache, b, 90, NULL), ==, ENG_OK);
  run (runner, b, tokens->i32 + 200, 20, again);
  g_assert_cmpfloat (test_relative_error (again, other, n_vocab), <, bound);
  eng_session_free (&session);
}

/* Layers, and experts of layers, on one of two devices or the other. */
static void
test_two_devices (gconstpointer data)
{
  g_autofree char *path = model_path (data);
  EngModel *model = NULL;
  g_assert_cmpint (eng_model_open (path, NULL, &model, NULL), ==, ENG_OK);
  const EngDeviceApi *api = eng_cpu_device_api ();
  const EngDeviceOptions one_thread = { .n_threads = 1 };
  EngExecutorDevice devices[2] = { { api, NULL }, { api, NULL } };
  for (int i = 0; i < 2; i++)
    g_assert_cmpint (api->open (0, &one_thread, &devices[i].device, NULL), ==, ENG_OK);
  const EngWeightSource source = { eng_model_map_weight, model };
  const uint8_t layers[3][3] = { { 0, 0, 0 }, { 1, 0, 1 }, { 0, 0, 0 } }, experts[3][3] = { { 0, 0, 0 }, { 1, 0, 1 }, { 0, 1, 1 } };
  uint32_t n_vocab = eng_model_get_program (model)->n_vocab;
  g_autofree float *expected = g_new (float, n_vocab), *found = g_new (float, n_vocab);
  int32_t tokens[70];
  for (int i = 0; i < 70; i++)
    tokens[i] = 3 + i * 7 % 90;
  for (int p = 0; p < 3; p++)
    {
      const EngExecutorOptions options = { .devices = devices, .n_devices = 2, .layer_devices = layers[p],
                                           .expert_devices = experts[p],
                                           .bind = { .load_as = ENG_TYPE_NONE, .exact = true } };
      const EngRunnerOptions runner_options = { .n_ctx = 128, .max_sequences = 1, .max_rows = 16, .max_outputs = 1,
                                                .k_type = ENG_TYPE_F32, .v_type = ENG_TYPE_F32 };
      EngExecutor *executor = NULL;
      EngRunner *runner = NULL;
      EngError error;
      uint32_t sequence;
      if (eng_executor_new (eng_model_get_program (model), &source, &options, &executor, &error) != ENG_OK
          || eng_runner_new (executor, &runner_options, &runner, &error) != ENG_OK)
        g_error ("%s", error.text);
      g_assert_cmpuint (eng_executor_get_n_pieces (executor), ==, p == 0 ? 1 : p == 1 ? 3 : 5);
      g_assert_cmpint (eng_kv_cache_add (eng_runner_get_cache (runner), &sequence, NULL), ==, ENG_OK);
      run (runner, sequence, tokens, 70, p == 0 ? expected : found);
      if (p > 0)
        g_assert_cmpmem (found, n_vocab * sizeof *found, expected, n_vocab * sizeof *expected);
      eng_runner_free (&runner);
      eng_executor_free (&executor);
    }
  for (int i = 0; i < 2; i++)
    api->close (&devices[i].device);
  eng_model_unref (&model);
}

/* --- files that contradict themselves --- */

typedef struct
{
  const char *name, *model, *key;
  uint32_t bits;
  EngStatus status;
  const char *words;
} Damage;

static const Damage damages[] = {
  { "latent", "deepseek-v3", "deepseek2.attention.kv_lora_rank", 25, ENG_ERR_FORMAT, "32 x 33" },
  { "latent-0", "deepseek-v3", "deepseek2.attention.kv_lora_rank", 0, ENG_ERR_FORMAT, "0" },
  { "latent-wide", "deepseek-v3", "deepseek2.attention.kv_lora_rank", 1u << 30, ENG_ERR_FORMAT, "1073741824" },
  { "queries", "deepseek-v3", "deepseek2.attention.q_lora_rank", 27, ENG_ERR_FORMAT, "27" },
  { "key", "deepseek-v3", "deepseek2.attention.key_length_mla", 23, ENG_ERR_FORMAT, "28 x 92" },
  { "key-all-rotated", "deepseek-v3", "deepseek2.attention.key_length_mla", 8, ENG_ERR_FORMAT, "8 rotated" },
  { "value", "deepseek-v3", "deepseek2.attention.value_length_mla", 17, ENG_ERR_FORMAT, "24 x 17" },
  { "value-early", "deepseek-v2", "deepseek2.attention.value_length", 11, ENG_ERR_FORMAT, "20 x 92" },
  { "heads", "deepseek-v2", "deepseek2.attention.head_count", 3, ENG_ERR_FORMAT, "3" },
  { "dense", "deepseek-v2", "deepseek2.leading_dense_block_count", 4, ENG_ERR_FORMAT, "4 of 3" },
  { "gating", "deepseek-v3", "deepseek2.expert_gating_func", 3, ENG_ERR_UNSUPPORTED, "gating 3" },
  { "shared", "deepseek-v3", "deepseek2.expert_shared_count", 4096, ENG_ERR_FORMAT, "98304" },
};

static void
test_damaged (gconstpointer data)
{
  const Damage *d = data;
  g_autofree char *from = model_path (d->model), *bytes = NULL, *path = NULL;
  gsize n;
  g_assert_true (g_file_get_contents (from, &bytes, &n, NULL));
  /* The key's length stands before it, its type and number behind it. */
  char *at = memmem (bytes, n, d->key, strlen (d->key));
  while (at && at[strlen (d->key)] != 4)
    at = memmem (at + 1, n - (gsize) (at + 1 - bytes), d->key, strlen (d->key));
  g_assert_nonnull (at);
  memcpy (at + strlen (d->key) + 4, &d->bits, sizeof d->bits);
  int fd = g_file_open_tmp ("inglenook-XXXXXX.gguf", &path, NULL);
  g_assert_cmpint (fd, >=, 0);
  g_assert_true (g_close (fd, NULL));
  g_assert_true (g_file_set_contents (path, bytes, (gssize) n, NULL));
  EngModel *model = NULL;
  EngError error;
  EngStatus status = eng_model_open (path, NULL, &model, &error);
  g_unlink (path);
  g_test_message ("%s: %s", error.field, error.text);
  g_assert_cmpint (status, ==, d->status);
  g_assert_nonnull (strstr (error.text, d->words));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  EngError error;
  if (eng_runtime_new (&runtime, &error) != ENG_OK)
    g_error ("%s", error.text);
  g_test_add_func ("/latent/plan", test_plan);
  g_test_add_data_func ("/latent/cut-and-fork/exact", GINT_TO_POINTER (TRUE), test_cut_and_fork);
  g_test_add_data_func ("/latent/cut-and-fork/fast", GINT_TO_POINTER (FALSE), test_cut_and_fork);
  g_test_add_data_func ("/latent/two-devices/v2", "deepseek-v2", test_two_devices);
  g_test_add_data_func ("/latent/two-devices/v3", "deepseek-v3", test_two_devices);
  for (size_t i = 0; i < G_N_ELEMENTS (damages); i++)
    {
      g_autofree char *path = g_strconcat ("/latent/damaged/", damages[i].name, NULL);
      g_test_add_data_func (path, &damages[i], test_damaged);
    }
  int code = g_test_run ();
  eng_runtime_free (&runtime);
  return code;
}
