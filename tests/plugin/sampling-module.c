/* SPDX-License-Identifier: Apache-2.0 */
/* A module whose device is a CPU that samples by itself, as EngDeviceApi.sample says. The choice is written down here
 * once more, by sorting everything. When it is closed it leaves how many tokens it sampled in the file that
 * INGLENOOK_SAMPLED names. After as many tokens as INGLENOOK_LOST_AFTER says the device is lost. INGLENOOK_FREE: MiB of it
 * that are free. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eng-cpu-device.h"

static const EngProgram *program;
static unsigned n_sampled;

static EngStatus
enumerate (EngDeviceInfo *infos, uint32_t cap, uint32_t *n, EngError *error)
{
  EngStatus status = eng_cpu_device_api ()->enumerate (infos, cap, n, error);
  infos[0].kind = ENG_DEVICE_GPU;
  infos[0].score = 1000;
  strcpy (infos[0].api, "cuda");
  strcpy (infos[0].name, "Sampler");
  const char *mib = getenv ("INGLENOOK_FREE");
  if (mib)
    infos[0].free_bytes = (uint64_t) atoi (mib) << 20;
  return status;
}

static EngStatus
bind_weights (EngDevice *device, const EngProgram *p, const EngWeightSource *source, const EngBindOptions *options,
              EngBound **bound, EngError *error)
{
  program = p;
  return eng_cpu_device_api ()->bind (device, p, source, options, bound, error);
}

static void
close_device (EngDevice **device)
{
  const char *path = getenv ("INGLENOOK_SAMPLED");
  FILE *file = path ? fopen (path, "w") : NULL;
  if (file)
    {
      fprintf (file, "%u", n_sampled);
      fclose (file);
    }
  eng_cpu_device_api ()->close (device);
}

typedef struct
{
  float logit;
  int32_t token;
} Choice;

static int
compare (const void *a, const void *b)
{
  const Choice *x = a, *y = b;
  return x->logit != y->logit ? (x->logit < y->logit ? 1 : -1) : x->token - y->token;
}

static int32_t
choose (const EngSampling *g, Choice *c, float *logits, const int32_t *seen, uint32_t n_seen, double number)
{
  for (uint32_t i = 0; i < program->n_vocab; i++)
    {
      bool was_seen = false;
      for (uint32_t k = 0; k < n_seen; k++)
        was_seen = was_seen || seen[k] == (int32_t) i;
      float v = logits[i];
      if (was_seen)
        v = v > 0 ? v / g->repetition_penalty : v * g->repetition_penalty;
      c[i] = (Choice) { v, (int32_t) i };
    }
  qsort (c, program->n_vocab, sizeof *c, compare);
  if (g->greedy)
    return c[0].token;
  double largest = c[0].logit, sum = 0, reached = 0, weights = 0;
  uint32_t n = 0, k = g->top_k;
  for (uint32_t i = 0; i < k; i++)
    sum += exp (c[i].logit - largest);
  while (n < k && (g->top_p >= 1 || reached < g->top_p * sum))
    reached += exp (c[n++].logit - largest);
  while (n > 1 && g->min_p > 0 && c[n - 1].logit < largest + log (g->min_p))
    n--;
  for (uint32_t i = 0; i < n; i++)
    weights += exp ((c[i].logit - largest) / g->temperature);
  double wanted = number * weights;
  for (uint32_t i = 0; i < n; i++)
    if ((wanted -= exp ((c[i].logit - largest) / g->temperature)) < 0)
      return c[i].token;
  return c[n - 1].token;
}

static EngStatus
sample (EngBound *bound, EngState *state, const EngBatch *batch, const EngSampling *g, ENG_ATOMIC_FLAG *cancel,
        EngError *error)
{
  EngRow row = batch->rows[0];
  EngSequenceView view = batch->sequences[0];
  float *logits = malloc (program->n_output * sizeof *logits);
  Choice *choices = malloc (program->n_vocab * sizeof *choices);
  int32_t *seen = malloc ((g->n_seen + g->n_samples) * sizeof *seen);
  EngStatus status = ENG_OK;
  if (g->n_seen)
    memcpy (seen, g->seen, g->n_seen * sizeof *seen);
  for (uint32_t i = 0; i < g->n_samples && status == ENG_OK; i++)
    {
      const EngBatch one = { .rows = &row, .n_rows = 1, .sequences = &view, .n_sequences = 1 };
      const EngRun run = { .n_steps = program->n_steps, .output = logits, .cancel = cancel };
      status = eng_cpu_device_api ()->run (bound, state, &one, &run, error);
      if (status != ENG_OK)
        break;
      uint32_t n_seen = g->penalty_window ? g->n_seen + i : 0;
      uint32_t first = n_seen > g->penalty_window ? n_seen - g->penalty_window : 0;
      row.token = choose (g, choices, logits, seen + first, n_seen - first, g->greedy ? 0 : g->draws[i]);
      seen[g->n_seen + i] = row.token;
      row.position[0]++;
      view.n_positions++;
      n_sampled++;
      const char *lost = getenv ("INGLENOOK_LOST_AFTER");
      if (lost && n_sampled > (unsigned) atoi (lost))
        {
          memset (error, 0, sizeof *error);
          strcpy (error->text, "the device is lost, because the test says so");
          status = error->code = ENG_ERR_DEVICE;
          break;
        }
      if (!g->take (g->data, row.token, !g->greedy))
        break;
    }
  free (logits);
  free (choices);
  free (seen);
  return status;
}

__attribute__ ((visibility ("default"))) const EngDeviceApi *inglenook_device_api (void);
const EngDeviceApi *
inglenook_device_api (void)
{
  static EngDeviceApi api;
  api = *eng_cpu_device_api ();
  api.name = "cuda";
  api.enumerate = enumerate;
  api.close = close_device;
  api.bind = bind_weights;
  api.sample = sample;
  return &api;
}
