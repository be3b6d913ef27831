/* SPDX-License-Identifier: Apache-2.0 */
/* Times a model's program on the CPU device without session, cache or sampling round it, so that a
 * change of a kernel shows by itself. Not a test; `inglenook-engine bench` is what users run.
 *
 *   bench-device MODEL [-t THREADS] [-p ROWS] [-n STEPS] [-d DEPTH] [-r REPEATS] [--exact] [--tiers MASK]
 *                [--load-as TYPE]
 *   bench-device MODEL --ids FILE --out FILE   float32 logits of all rows, in one batch of -p rows
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "eng-cpu-device.h"
#include "eng-model.h"

static double
now (void)
{
  struct timespec t;
  clock_gettime (CLOCK_MONOTONIC, &t);
  return (double) t.tv_sec + 1e-9 * (double) t.tv_nsec;
}

static EngError error;
#define TRY(x)                                                                                     \
  do                                                                                               \
    if ((x) != ENG_OK)                                                                             \
      {                                                                                            \
        fprintf (stderr, "%s: %s %s\n", #x, error.field, error.text);                              \
        exit (1);                                                                                  \
      }                                                                                            \
  while (0)

static const EngDeviceApi *api;
static EngBound *bound;
static EngState *state;
static const EngProgram *program;
static uint32_t *tables[8];
static uint32_t threads, n_rows = 512, n_steps = 64, depth, repeats = 3, max_rows = 512;

/* Rows at [position, position + n) of one sequence. */
static void
run (const int32_t *ids, uint32_t position, uint32_t n, bool all_outputs, float *output)
{
  EngRow *rows = calloc (n, sizeof *rows);
  for (uint32_t i = 0; i < n; i++)
    rows[i] = (EngRow){ .token = ids[i],
                        .position = { position + i },
                        .adapter = ENG_ADAPTER_NONE,
                        .wants_output = all_outputs || i + 1 == n };
  EngSequenceView view = { (const uint32_t *const *) tables, position + n };
  EngBatch batch = { rows, n, &view, 1 };
  EngRun options = { .n_steps = program->n_steps, .output = output };
  TRY (api->run (bound, state, &batch, &options, &error));
  free (rows);
}

static int
write_logits (const char *ids_path, const char *out_path)
{
  FILE *in = fopen (ids_path, "r"), *out = fopen (out_path, "w");
  int32_t *ids = calloc (1 << 16, sizeof *ids);
  uint32_t n = 0;
  if (in == NULL || out == NULL)
    return 1;
  while (n < 1 << 16 && fscanf (in, "%d%*[ ,\n]", &ids[n]) == 1)
    n++;
  float *logits = malloc ((size_t) n_rows * program->n_output * sizeof (float));
  for (uint32_t i = 0; i < n; i += n_rows)
    {
      uint32_t m = n - i < n_rows ? n - i : n_rows;
      run (ids + i, i, m, true, logits);
      fwrite (logits, sizeof (float), (size_t) m * program->n_output, out);
    }
  fclose (in);
  return fclose (out);
}

int
main (int argc, char **argv)
{
  EngModel *model = NULL;
  EngDevice *device = NULL;
  EngBindOptions bind = { .load_as = ENG_TYPE_NONE };
  EngDeviceOptions device_options = { 0 };
  const char *ids_path = NULL, *out_path = NULL;
  if (argc < 2)
    return 2;
  for (int i = 2; i < argc; i++)
    {
      if (strcmp (argv[i], "--exact") == 0)
        {
          bind.exact = true;
          continue;
        }
      if (i + 1 == argc)
        return 2;
      const char *value = argv[++i];
      uint32_t number = (uint32_t) strtoul (value, NULL, 0);
      if (strcmp (argv[i - 1], "-t") == 0)
        threads = number;
      else if (strcmp (argv[i - 1], "-p") == 0)
        n_rows = number;
      else if (strcmp (argv[i - 1], "-n") == 0)
        n_steps = number;
      else if (strcmp (argv[i - 1], "-d") == 0)
        depth = number;
      else if (strcmp (argv[i - 1], "-r") == 0)
        repeats = number;
      else if (strcmp (argv[i - 1], "--tiers") == 0)
        device_options.kernel_mask = number;
      else if (strcmp (argv[i - 1], "--load-as") == 0)
        bind.load_as = eng_type_from_name (value);
      else if (strcmp (argv[i - 1], "--ids") == 0)
        ids_path = value;
      else if (strcmp (argv[i - 1], "--out") == 0)
        out_path = value;
      else
        return 2;
    }
  api = eng_cpu_device_api ();
  device_options.n_threads = threads;
  TRY (eng_model_open (argv[1], &(EngModelOptions){ 0 }, &model, &error));
  program = eng_model_get_program (model);
  TRY (api->open (0, &device_options, &device, &error));
  bind.n_steps = program->n_steps;
  EngWeightSource source = { eng_model_map_weight, model, eng_model_release_weight };
  double t0 = now ();
  TRY (api->bind (device, program, &source, &bind, &bound, &error));
  double load = now () - t0;
  if (n_rows > max_rows)
    max_rows = n_rows;
  uint32_t n_positions = depth + n_rows + n_steps + 65536 * (ids_path != NULL) + 64;
  EngStateOptions options = { .k_type = bind.exact ? ENG_TYPE_F32 : ENG_TYPE_F16,
                              .v_type = bind.exact ? ENG_TYPE_F32 : ENG_TYPE_F16,
                              .max_rows = max_rows,
                              .max_sequences = 1,
                              .max_outputs = max_rows };
  for (uint32_t g = 0; g < program->n_groups; g++)
    {
      options.n_blocks[g] = n_positions / ENG_KV_BLOCK + 1;
      tables[g] = calloc (options.n_blocks[g], sizeof (uint32_t));
      for (uint32_t b = 0; b < options.n_blocks[g]; b++)
        tables[g][b] = b;
    }
  TRY (api->state_new (bound, &options, &state, &error));
  if (ids_path != NULL)
    return write_logits (ids_path, out_path);
  int32_t *ids = calloc (max_rows, sizeof *ids);
  for (uint32_t i = 0; i < max_rows; i++)
    ids[i] = (int32_t) ((i * 2654435761u >> 8) % program->n_vocab);
  float *output = malloc (program->n_output * sizeof (float));
  for (uint32_t at = 0; at < depth; at += max_rows)
    run (ids, at, depth - at < max_rows ? depth - at : max_rows, false, output);
  double best_prefill = 0, best_decode = 0;
  for (uint32_t r = 0; r < repeats; r++)
    {
      t0 = now ();
      if (n_rows != 0)
        run (ids, depth, n_rows, false, output);
      double prefill = n_rows / (now () - t0);
      t0 = now ();
      for (uint32_t i = 0; i < n_steps; i++)
        run (ids + i % max_rows, depth + i, 1, true, output);
      double decode = n_steps / (now () - t0);
      best_prefill = prefill > best_prefill ? prefill : best_prefill;
      best_decode = decode > best_decode ? decode : best_decode;
    }
  printf ("load %.0f ms  prefill %u: %.1f tok/s  decode %u at %u: %.1f tok/s (best of %u)\n",
          load * 1e3, n_rows, best_prefill, n_steps, depth, best_decode, repeats);
  api->state_free (&state);
  api->unbind (&bound);
  api->close (&device);
  eng_model_unref (&model);
  return 0;
}
