/* SPDX-License-Identifier: Apache-2.0 */
/* Long prompts run wholly on the first device, which is sent the other one's layers: here a device that is a CPU
 * underneath, binds everything, and fetches and hands back keys as EngKeyMover says. */
#include <glib.h>
#include <string.h>

#include "eng-cpu-device.h"
#include "eng-kv-cache.h"
#include "eng-model.h"
#include "eng-runner.h"

#define N_TOKENS 97

static struct
{
  const EngProgram *program;
  const uint8_t *streamed;
  uint32_t n_streamed_steps, n_runs, n_streamed_runs;
  bool refuses;
} seen;

static EngStatus
bind_all (EngDevice *device, const EngProgram *program, const EngWeightSource *source, const EngBindOptions *options,
          EngBound **bound, EngError *error)
{
  EngBindOptions all = *options;
  seen.program = program;
  seen.streamed = options->streamed;
  seen.n_streamed_steps = 0;
  for (uint32_t i = 0; options->streamed && i < program->n_steps; i++)
    {
      g_assert_true (!options->streamed[i] || options->elsewhere[i]);
      seen.n_streamed_steps += options->streamed[i] != 0;
    }
  all.elsewhere = NULL;
  return eng_cpu_device_api ()->bind (device, program, source, &all, bound, error);
}

/* The state of every streamed layer: all blocks of the batch's sequences that there are. */
static EngStatus
move_all (EngBound *bound, EngState *state, const EngBatch *batch, const EngKeyMover *keys, bool to_owner,
          EngError *error)
{
  EngStatus status = ENG_OK;
  for (uint32_t i = 0; i < seen.program->n_steps && status == ENG_OK; i++)
    {
      const EngStep *s = &seen.program->steps[i];
      bool latent = s->kind == ENG_STEP_LATENT, kv = latent || s->kind == ENG_STEP_QKV;
      if (!seen.streamed[i] || (!kv && s->kind != ENG_STEP_DELTA && s->kind != ENG_STEP_CONV))
        continue;
      uint32_t group = latent ? s->u.latent.group : kv ? s->u.qkv.group : s->u.delta.group;
      uint32_t layer = latent ? s->u.latent.i_layer_in_group : kv ? s->u.qkv.i_layer_in_group : s->u.delta.i_layer_in_group;
      const EngGroupDesc *g = &seen.program->groups[group];
      uint32_t all = (batch->sequences[0].n_positions + ENG_KV_BLOCK - 1) / ENG_KV_BLOCK, n = 0, blocks[8];
      g_assert_cmpuint (all, <=, G_N_ELEMENTS (blocks));
      for (uint32_t k = 0; k < all; k++)
        if (batch->sequences[0].tables[group][k] != UINT32_MAX)
          blocks[n++] = batch->sequences[0].tables[group][k];
      g_autofree uint8_t *data = g_malloc0 (
          n * (kv ? (size_t) ENG_KV_BLOCK * g->n_kv_head * (g->k_width + g->v_width) : g->n_floats + 15u) * sizeof (float));
      if (!to_owner)
        status = keys->move (keys->data, i, blocks, n, data, false, error);
      if (status == ENG_OK)
        status = eng_cpu_device_api ()->move_keys (bound, state, group, layer, blocks, n, data, !to_owner, error);
      if (status == ENG_OK && to_owner)
        status = keys->move (keys->data, i, blocks, n, data, true, error);
    }
  return status;
}

static EngStatus
run_here (EngBound *bound, EngState *state, const EngBatch *batch, const EngRun *run, EngError *error)
{
  const EngDeviceApi *cpu = eng_cpu_device_api ();
  seen.n_runs++;
  if (!run->streamed)
    return cpu->run (bound, state, batch, run, error);
  seen.n_streamed_runs++;
  if (seen.refuses)
    return ENG_ERR_UNSUPPORTED;
  g_assert_nonnull (run->output);
  g_assert_cmpuint (run->first_step + run->n_steps, ==, seen.program->n_steps);
  EngStatus status = move_all (bound, state, batch, &run->keys, false, error);
  EngRun own = *run;
  own.streamed = false;
  if (status == ENG_OK)
    status = cpu->run (bound, state, batch, &own, error);
  return status == ENG_OK ? move_all (bound, state, batch, &run->keys, true, error) : status;
}

/* Logits behind a prompt in parts: long enough to be streamed (32 rows a batch), not, streamed again. */
static float *
logits (const EngModel *model, const EngExecutorDevice *devices, uint32_t n_devices, const uint8_t *layers,
        const uint8_t *experts, uint32_t stream_rows)
{
  const EngProgram *program = eng_model_get_program (model);
  const EngWeightSource source = { eng_model_map_weight, (void *) model };
  const EngExecutorOptions options = { .devices = devices, .n_devices = n_devices, .layer_devices = layers,
                                       .expert_devices = experts, .stream_rows = stream_rows,
                                       .bind = { .exact = true } };
  const EngRunnerOptions runner_options = { .n_ctx = 128, .max_sequences = 1, .max_rows = 32, .max_outputs = 1,
                                            .k_type = ENG_TYPE_F32, .v_type = ENG_TYPE_F32 };
  static const uint32_t ends[] = { 66, 71, N_TOKENS };
  int32_t tokens[N_TOKENS];
  for (uint32_t i = 0; i < N_TOKENS; i++)
    tokens[i] = (int32_t) ((i * 7919u + i * i * 31u) % program->n_vocab);
  EngExecutor *executor = NULL;
  EngRunner *runner = NULL;
  EngError error;
  uint32_t sequence;
  if (eng_executor_new (program, &source, &options, &executor, &error) != ENG_OK
      || eng_runner_new (executor, &runner_options, &runner, &error) != ENG_OK)
    g_error ("%s", error.text);
  g_assert_cmpint (eng_kv_cache_add (eng_runner_get_cache (runner), &sequence, NULL), ==, ENG_OK);
  for (uint32_t i = 0, at = 0; i < G_N_ELEMENTS (ends); at = ends[i++])
    g_assert_cmpint (eng_runner_prefill (runner, sequence, tokens + at, ends[i] - at, 0, NULL, NULL, NULL, &error), ==,
                     ENG_OK);
  float *result = g_memdup2 (eng_runner_get_output (runner, 0), program->n_vocab * sizeof (float));
  eng_runner_free (&runner);
  eng_executor_free (&executor);
  return result;
}

typedef struct
{
  const char *path;
  uint8_t layers[5], experts[5]; /* of them the model has some */
  uint32_t stream_rows, streamed_runs;
  bool refuses;
} Case;

static void
test_stream (const void *data)
{
  const Case *c = data;
  EngDeviceApi api = *eng_cpu_device_api ();
  api.bind = bind_all;
  api.run = run_here;
  const EngDeviceOptions one_thread = { .n_threads = 1 };
  EngExecutorDevice devices[2] = { { &api, NULL }, { eng_cpu_device_api (), NULL } };
  const EngModelOptions model_options = { .n_ctx = 128 };
  EngModel *model = NULL;
  g_assert_cmpint (eng_model_open (c->path, &model_options, &model, NULL), ==, ENG_OK);
  for (int i = 0; i < 2; i++)
    g_assert_cmpint (api.open (0, &one_thread, &devices[i].device, NULL), ==, ENG_OK);
  const EngProgram *program = eng_model_get_program (model);
  g_assert_cmpuint (program->n_layers, <=, G_N_ELEMENTS (c->layers));
  g_autofree float *expected = logits (model, &devices[1], 1, NULL, NULL, 0);
  memset (&seen, 0, sizeof seen);
  seen.refuses = c->refuses;
  g_autofree float *got = logits (model, devices, 2, c->layers, c->experts, c->stream_rows);
  g_assert_cmpuint (seen.n_streamed_runs, ==, c->streamed_runs);
  g_assert_cmpint (seen.n_streamed_steps > 0, ==, c->streamed_runs > 0);
  g_assert_cmpuint (seen.n_runs, >, c->streamed_runs);
  for (uint32_t i = 0; i < program->n_vocab; i++)
    g_assert_cmpfloat_with_epsilon (got[i], expected[i], 1e-4);
  for (int i = 0; i < 2; i++)
    api.close (&devices[i].device);
  eng_model_unref (&model);
}

int
main (int argc, char **argv)
{
  /* Batches of 32, 32 and 2 rows; 5; 26. */
  static const Case cases[] = {
    { TINY_MODEL, { 1, 0 }, { 1, 0 }, 24, 3, false },
    { TINY_MODEL, { 1, 0 }, { 1, 0 }, 30, 2, false },
    { TINY_MODEL, { 1, 0 }, { 1, 0 }, 24, 1, true },  /* refused once, not asked again */
    { TINY_MODEL, { 0, 1 }, { 0, 1 }, 24, 0, false }, /* the output head is not there */
    { TINY_MODEL, { 0, 0 }, { 0, 0 }, 24, 0, false },
    { EXPERTS_MODEL, { 0, 0, 0 }, { 1, 1, 1 }, 24, 3, false },
    { EXPERTS_MODEL, { 1, 0, 0 }, { 1, 1, 0 }, 24, 3, false },
    { DELTA_MODEL, { 1, 1 }, { 1, 1 }, 24, 3, false },
    { CONVOLUTION_MODEL, { 1, 1 }, { 1, 1 }, 24, 3, false },
    { LATENT_MODEL, { 1, 1, 0 }, { 1, 1, 0 }, 24, 3, false },
  };
  static const char *const names[] = { "layer", "longer-only", "refused", "no-head", "nothing", "experts", "layer-and-experts", "delta",
                                       "convolution", "latent" };
  g_test_init (&argc, &argv, NULL);
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *path = g_strconcat ("/stream/", names[i], NULL);
      g_test_add_data_func (path, &cases[i], test_stream);
    }
  return g_test_run ();
}
