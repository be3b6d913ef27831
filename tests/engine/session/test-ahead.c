/* SPDX-License-Identifier: Apache-2.0 */
/* A device that samples by itself leaves a recurrent state behind the last token that was taken, wherever that is. The
 * device here is a CPU underneath that goes on row by row. */
#include <glib.h>
#include <string.h>

#include "eng-cpu-device.h"
#include "eng-kv-cache.h"
#include "eng-model.h"
#include "eng-runner.h"

#define N_TOKENS 200u

static const EngProgram *program;

static int32_t
find_best (const float *logits)
{
  int32_t best = 0;
  for (uint32_t i = 1; i < program->n_vocab; i++)
    if (logits[i] > logits[best])
      best = (int32_t) i;
  return best;
}

static EngStatus
sample_here (EngBound *bound, EngState *state, const EngBatch *batch, const EngSampling *g, ENG_ATOMIC_FLAG *cancel,
             EngError *error)
{
  EngRow row = batch->rows[0];
  EngSequenceView view = batch->sequences[0];
  g_autofree float *logits = g_new (float, program->n_output);
  /* as far as a recurrent state reaches that can be left anywhere */
  for (uint32_t i = 0; i < program->n_groups; i++)
    if (program->groups[i].kind == ENG_STATE_RECURRENT)
      g_assert_cmpuint (row.position[0] / ENG_KV_BLOCK, ==, (row.position[0] + g->n_samples - 1) / ENG_KV_BLOCK);
  for (uint32_t i = 0; i < g->n_samples; i++, row.position[0]++, view.n_positions++)
    {
      const EngBatch one = { .rows = &row, .n_rows = 1, .sequences = &view, .n_sequences = 1 };
      const EngRun run = { .n_steps = program->n_steps, .output = logits, .cancel = cancel };
      EngStatus status = eng_cpu_device_api ()->run (bound, state, &one, &run, error);
      if (status != ENG_OK)
        return status;
      row.token = find_best (logits);
      if (!g->take (g->data, row.token, false))
        break;
    }
  return ENG_OK;
}

typedef struct
{
  int32_t tokens[N_TOKENS];
  uint32_t n, wanted; /* stop at so many */
} Taken;

static bool
take_cb (void *data, int32_t token, bool drew)
{
  Taken *t = data;
  t->tokens[t->n++] = token;
  return t->n < t->wanted;
}

static EngRunner *
open_runner (const EngModel *model, const EngExecutorDevice *device, EngExecutor **executor)
{
  const EngWeightSource source = { eng_model_map_weight, (void *) model };
  const EngExecutorOptions options = { .devices = device, .n_devices = 1, .bind = { .exact = true } };
  const EngRunnerOptions runner_options = { .n_ctx = 512, .max_sequences = 1, .max_rows = 64, .max_outputs = 1,
                                            .k_type = ENG_TYPE_F32, .v_type = ENG_TYPE_F32 };
  EngRunner *runner = NULL;
  EngError error;
  if (eng_executor_new (program, &source, &options, executor, &error) != ENG_OK
      || eng_runner_new (*executor, &runner_options, &runner, &error) != ENG_OK)
    g_error ("%s", error.text);
  return runner;
}

/* Behind a prompt of @n_prompt tokens; @sampled: the device does it, in parts of changing length, else one by one. */
static Taken
generate (const EngModel *model, const EngExecutorDevice *device, uint32_t n_prompt, bool sampled)
{
  EngExecutor *executor = NULL;
  EngRunner *runner = open_runner (model, device, &executor);
  EngKvCache *cache = eng_runner_get_cache (runner);
  int32_t prompt[64], token = 1;
  uint32_t sequence;
  EngError error;
  Taken taken = { 0 };
  for (uint32_t i = 0; i < n_prompt; i++)
    prompt[i] = (int32_t) (i * 7919u % program->n_vocab);
  g_assert_cmpint (eng_kv_cache_add (cache, &sequence, NULL), ==, ENG_OK);
  g_assert_cmpint (eng_runner_prefill (runner, sequence, prompt, n_prompt, 0, NULL, NULL, NULL, &error), ==, ENG_OK);
  while (taken.n < N_TOKENS)
    {
      uint32_t before = eng_kv_cache_get_n_positions (cache, sequence), n = taken.n;
      const EngRunnerSpan span = { .sequence = sequence, .tokens = &token, .n = 1, .outputs = ENG_OUTPUT_LAST };
      taken.wanted = MIN (taken.n + 1 + taken.n * 5 % 23, N_TOKENS);
      const EngSampling sampling = { .greedy = true, .top_k = 1, .n_samples = MIN (N_TOKENS - taken.n, ENG_DEVICE_SAMPLES),
                                     .take = take_cb, .data = &taken };
      EngStatus status = sampled ? eng_runner_sample (runner, sequence, token, &sampling, NULL, &error)
                                 : eng_runner_run (runner, &span, 1, NULL, &error);
      g_assert_cmpint (status, ==, ENG_OK);
      if (!sampled)
        taken.tokens[taken.n++] = find_best (eng_runner_get_output (runner, 0));
      g_assert_cmpuint (eng_kv_cache_get_n_positions (cache, sequence), ==, before + taken.n - n);
      g_assert_true (eng_kv_cache_check (cache));
      token = taken.tokens[taken.n - 1];
    }
  eng_runner_free (&runner);
  eng_executor_free (&executor);
  return taken;
}

static void
test_ahead (const void *path)
{
  EngDeviceApi api = *eng_cpu_device_api ();
  api.sample = sample_here;
  const EngDeviceOptions one_thread = { .n_threads = 1 };
  EngExecutorDevice device = { &api, NULL };
  const EngModelOptions model_options = { .n_ctx = 512 };
  EngModel *model = NULL;
  g_assert_cmpint (eng_model_open (path, &model_options, &model, NULL), ==, ENG_OK);
  g_assert_cmpint (api.open (0, &one_thread, &device.device, NULL), ==, ENG_OK);
  program = eng_model_get_program (model);
  for (uint32_t n_prompt = 62; n_prompt <= 64; n_prompt++)
    {
      Taken expected = generate (model, &device, n_prompt, false), got = generate (model, &device, n_prompt, true);
      g_assert_cmpmem (got.tokens, sizeof got.tokens, expected.tokens, sizeof expected.tokens);
    }
  api.close (&device.device);
  eng_model_unref (&model);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/ahead/keys", TINY_MODEL, test_ahead);
  g_test_add_data_func ("/ahead/delta", DELTA_MODEL, test_ahead);
  g_test_add_data_func ("/ahead/convolution", CONVOLUTION_MODEL, test_ahead);
  return g_test_run ();
}
