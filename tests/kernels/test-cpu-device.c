/* SPDX-License-Identifier: Apache-2.0 */
/* The CPU device on the tiny models of tests/golden/data: batches, cuts, blocks, refusals. Each case
 * runs with the reference kernels and with the fast ones. */
#include <glib.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "eng-cpu-device.h"
#include "eng-cpu-features.h"
#include "eng-kernels.h"
#include "eng-model.h"
#include "eng-quantize.h"
#include "test-npy.h"

enum
{
  MAX_ROWS = 104,
  N_BLOCKS = 6,
  N_TOKENS = 70, /* reaches into a second block */
};

typedef struct
{
  EngModel *model;
  EngDevice *device;
  EngBound *bound;
  EngState *state;
  const EngProgram *program;
} Fixture;

static EngError error;
static int32_t tokens[N_TOKENS];

/* Of EngDeviceOptions.kernel_mask: rows are multiplied in one way only, however many there are. */
#define WITHOUT_AMX ((uint64_t) (UINT32_MAX & ~(uint32_t) ENG_CPU_TIER_AMX))

/* @mask: EngDeviceOptions.kernel_mask. */
static Fixture
fixture_open (const char *path, bool exact, EngType load_as, uint64_t mask)
{
  const EngDeviceApi *api = eng_cpu_device_api ();
  Fixture f = { 0 };
  EngType kv = exact ? ENG_TYPE_F32 : ENG_TYPE_F16;
  EngDeviceOptions device_options = { .n_threads = 3, .kernel_mask = mask };
  g_assert_cmpint (eng_model_open (path, &(EngModelOptions){ 0 }, &f.model, &error), ==, ENG_OK);
  f.program = eng_model_get_program (f.model);
  g_assert_cmpint (api->open (0, &device_options, &f.device, &error), ==, ENG_OK);
  EngBindOptions bind = { .n_steps = f.program->n_steps, .load_as = load_as, .exact = exact };
  EngWeightSource source = { eng_model_map_weight, f.model, eng_model_release_weight };
  g_assert_cmpint (api->bind (f.device, f.program, &source, &bind, &f.bound, &error), ==, ENG_OK);
  EngStateOptions state = { .n_blocks = { N_BLOCKS, N_BLOCKS, N_BLOCKS }, .k_type = kv, .v_type = kv,
                            .max_rows = MAX_ROWS, .max_sequences = 2, .max_outputs = MAX_ROWS };
  EngMemoryPlan plan = { 0 };
  g_assert_cmpint (api->plan (f.device, f.program, &bind, &state, &plan, &error), ==, ENG_OK);
  g_assert_cmpuint (plan.weight_bytes, >, 0);
  g_assert_cmpuint (plan.state_bytes, >, 0);
  g_assert_cmpint (api->state_new (f.bound, &state, &f.state, &error), ==, ENG_OK);
  for (int i = 0; i < N_TOKENS; i++)
    tokens[i] = (i * 37 + 11) % (int32_t) f.program->n_vocab;
  return f;
}

static Fixture
fixture_new (const char *name, bool exact, EngType load_as)
{
  g_autofree char *path = g_build_filename (g_getenv ("INGLENOOK_TEST_DATA"), name, NULL);
  return fixture_open (path, exact, load_as, WITHOUT_AMX);
}

static void
fixture_free (Fixture *f)
{
  const EngDeviceApi *api = eng_cpu_device_api ();
  api->state_free (&f->state);
  api->unbind (&f->bound);
  api->close (&f->device);
  eng_model_unref (&f->model);
}

static EngRow
make_row (uint32_t sequence, uint32_t position)
{
  return (EngRow){ .i_sequence = sequence,
                   .token = tokens[(position + sequence * 13) % N_TOKENS],
                   .position = { position },
                   .adapter = ENG_ADAPTER_NONE,
                   .wants_output = true };
}

/* Rows @first … of the two sequences (n0 and n1 of them); sequence 0 lies in blocks 0, 1, sequence 1 in
 * blocks 4, 3. */
static EngStatus
run_rows (Fixture *f, uint32_t first, uint32_t n0, uint32_t n1, const EngRun *base, float *output)
{
  static const uint32_t blocks0[] = { 0, 1 }, blocks1[] = { 4, 3 };
  const uint32_t *tables0[8], *tables1[8];
  EngRow rows[MAX_ROWS];
  for (int g = 0; g < 8; g++)
    {
      tables0[g] = blocks0;
      tables1[g] = blocks1;
    }
  uint32_t n = 0;
  for (uint32_t i = 0; i < n0; i++)
    rows[n++] = make_row (0, first + i);
  for (uint32_t i = 0; i < n1; i++)
    rows[n++] = make_row (n0 == 0 ? 0 : 1, first + i);
  EngSequenceView views[] = { { tables0, first + n0 }, { tables1, first + n1 } };
  EngBatch batch = { rows, n, views, 2 };
  if (n0 == 0) /* the second sequence alone */
    {
      for (uint32_t i = 0; i < n; i++)
        rows[i].token = make_row (1, first + i).token;
      batch.sequences = &views[1];
      batch.n_sequences = 1;
    }
  else if (n1 == 0)
    batch.n_sequences = 1;
  EngRun run = base != NULL ? *base : (EngRun){ .n_steps = f->program->n_steps };
  run.output = output;
  return eng_cpu_device_api ()->run (f->bound, f->state, &batch, &run, &error);
}

/* What one order of summation may differ from another by, on these models. */
#define SAME 2e-5

/* Tiles round another way than what few rows go by: what one of them may differ from the exact result by, and more. */
#define NEAR 0.05

enum
{
  FAST,
  EXACT,
  TILES,
};

static bool
skip_without_tiles (void)
{
  EngKernels kernels;
  eng_kernels_init (&kernels, eng_cpu_get_tiers ());
  if (kernels.tiles_from == 0)
    g_test_skip ("this processor has no tiles");
  return kernels.tiles_from == 0;
}

static void
test_batches (const void *data)
{
  int kind = GPOINTER_TO_INT (data);
  if (kind == TILES && skip_without_tiles ())
    return;
  g_autofree char *path = g_build_filename (g_getenv ("INGLENOOK_TEST_DATA"), "tiny-mixed.gguf", NULL);
  Fixture f = fixture_open (path, kind == EXACT, ENG_TYPE_NONE, kind == TILES ? 0 : WITHOUT_AMX);
  size_t v = f.program->n_output, n0 = N_TOKENS, n1 = kind == TILES ? 33 : 20;
  g_autofree float *alone0 = g_new (float, n0 * v), *alone1 = g_new (float, n1 * v);
  g_autofree float *both = g_new (float, (n0 + n1) * v), *single = g_new (float, v);
  g_assert_cmpint (run_rows (&f, 0, n0, 0, NULL, alone0), ==, ENG_OK);
  g_assert_cmpint (run_rows (&f, 0, 0, n1, NULL, alone1), ==, ENG_OK);
  /* Two sequences in one batch give what each gives alone. */
  g_assert_cmpint (run_rows (&f, 0, n0, n1, NULL, both), ==, ENG_OK);
  g_assert_cmpfloat (test_relative_error (both, alone0, n0 * v), <, SAME);
  g_assert_cmpfloat (test_relative_error (both + n0 * v, alone1, n1 * v), <, SAME);
  /* Row by row gives what a batch gives. */
  double most = kind == TILES ? NEAR : SAME;
  for (uint32_t i = 0; i < n0; i++)
    {
      g_assert_cmpint (run_rows (&f, i, 1, 0, NULL, single), ==, ENG_OK);
      g_assert_cmpfloat (test_relative_error (single, alone0 + i * v, v), <, most);
    }
  fixture_free (&f);
}

static void
test_cut (const void *data)
{
  Fixture f = fixture_new ("tiny.gguf", GPOINTER_TO_INT (data) == 1, ENG_TYPE_NONE);
  size_t v = f.program->n_output, d = f.program->n_embd, n = 20;
  g_autofree float *whole = g_new (float, n * v), *parts = g_new (float, n * v);
  g_autofree float *residual = g_new (float, n * d);
  g_assert_cmpint (run_rows (&f, 0, n, 0, NULL, whole), ==, ENG_OK);
  for (uint32_t i = 1; i < f.program->n_steps; i++)
    {
      if ((f.program->steps[i].flags & ENG_STEP_LAYER_BEGIN) == 0)
        continue;
      EngBufferIo io = { ENG_BUFFER_RESIDUAL, residual };
      EngRun head = { .n_steps = i, .exports = &io, .n_exports = 1 };
      EngRun tail = { .first_step = i, .n_steps = f.program->n_steps - i, .imports = &io, .n_imports = 1 };
      g_assert_cmpint (run_rows (&f, 0, n, 0, &head, NULL), ==, ENG_OK);
      memset (parts, 0, n * v * sizeof (float));
      g_assert_cmpint (run_rows (&f, 0, n, 0, &tail, parts), ==, ENG_OK);
      g_assert_cmpmem (parts, n * v * sizeof (float), whole, n * v * sizeof (float));
    }
  fixture_free (&f);
}

static void
test_blocks (const void *data)
{
  Fixture f = fixture_new ("tiny.gguf", GPOINTER_TO_INT (data) == 1, ENG_TYPE_NONE);
  const EngDeviceApi *api = eng_cpu_device_api ();
  size_t v = f.program->n_output, n = N_TOKENS - 1;
  g_autofree float *out = g_new (float, n * v), *want = g_new (float, v), *got = g_new (float, v);
  uint64_t bytes = api->block_bytes (f.bound, f.state, 0);
  g_autofree uint8_t *saved = g_malloc (bytes), *other = g_malloc0 (bytes), *again = g_malloc (bytes);
  g_assert_cmpint (run_rows (&f, 0, n, 0, NULL, out), ==, ENG_OK);
  g_assert_cmpint (run_rows (&f, n, 1, 0, NULL, want), ==, ENG_OK);
  /* Out, spoiled, back. */
  g_assert_cmpint (api->read_block (f.bound, f.state, 0, 0, saved, &error), ==, ENG_OK);
  g_assert_cmpint (api->copy_block (f.bound, f.state, 0, 0, 5, &error), ==, ENG_OK);
  g_assert_cmpint (api->write_block (f.bound, f.state, 0, 0, other, &error), ==, ENG_OK);
  g_assert_cmpint (run_rows (&f, n, 1, 0, NULL, got), ==, ENG_OK);
  g_assert_cmpfloat (test_relative_error (got, want, v), >, 1e-3);
  g_assert_cmpint (api->read_block (f.bound, f.state, 0, 5, again, &error), ==, ENG_OK);
  g_assert_cmpmem (again, bytes, saved, bytes);
  g_assert_cmpint (api->write_block (f.bound, f.state, 0, 0, saved, &error), ==, ENG_OK);
  g_assert_cmpint (run_rows (&f, n, 1, 0, NULL, got), ==, ENG_OK);
  g_assert_cmpmem (got, v * sizeof (float), want, v * sizeof (float));
  /* The same by layers, two blocks at a time. */
  uint32_t n_layers = f.program->groups[0].n_layers;
  uint64_t part = bytes / n_layers;
  g_autofree uint8_t *pair = g_malloc (2 * part);
  const uint32_t from[2] = { 5, 0 }, to[2] = { 3, 4 }, missing[2] = { 0, N_BLOCKS };
  for (uint32_t l = 0; l < n_layers; l++)
    {
      g_assert_cmpint (api->move_keys (f.bound, f.state, 0, l, from, 2, pair, false, &error), ==, ENG_OK);
      g_assert_cmpmem (pair, part, saved + l * part, part);
      g_assert_cmpmem (pair + part, part, saved + l * part, part);
      g_assert_cmpint (api->move_keys (f.bound, f.state, 0, l, to, 2, pair, true, &error), ==, ENG_OK);
    }
  for (int i = 0; i < 2; i++)
    {
      g_assert_cmpint (api->read_block (f.bound, f.state, 0, to[i], again, &error), ==, ENG_OK);
      g_assert_cmpmem (again, bytes, saved, bytes);
    }
  g_assert_cmpint (api->move_keys (f.bound, f.state, 0, 0, missing, 2, pair, false, &error), ==, ENG_ERR_ARGUMENT);
  g_assert_cmpint (api->move_keys (f.bound, f.state, 0, n_layers, from, 1, pair, false, &error), ==, ENG_ERR_ARGUMENT);
  g_assert_cmpint (api->read_block (f.bound, f.state, 0, N_BLOCKS, saved, &error), ==,
                   ENG_ERR_ARGUMENT);
  g_assert_cmpint (api->copy_block (f.bound, f.state, 9, 0, 1, &error), ==, ENG_ERR_ARGUMENT);
  fixture_free (&f);
}

static void
test_refusals (void)
{
  Fixture f = fixture_new ("tiny.gguf", false, ENG_TYPE_NONE);
  const EngDeviceApi *api = eng_cpu_device_api ();
  static const uint32_t good[] = { 0, 1 }, bad[] = { 0, N_BLOCKS };
  const uint32_t *good_tables[8], *bad_tables[8];
  for (int g = 0; g < 8; g++)
    {
      good_tables[g] = good;
      bad_tables[g] = bad;
    }
  EngSequenceView view = { good_tables, 70 };
  EngRow rows[MAX_ROWS + 1];
  g_autofree float *out = g_new (float, 2 * f.program->n_output);
  for (int i = 0; i <= MAX_ROWS; i++)
    rows[i] = make_row (0, (uint32_t) i);
  EngBatch batch = { rows, 2, &view, 1 };
  EngRun run = { .n_steps = f.program->n_steps, .output = out };
#define REFUSED() g_assert_cmpint (api->run (f.bound, f.state, &batch, &run, &error), ==, ENG_ERR_ARGUMENT)
  rows[1].token = (int32_t) f.program->n_vocab;
  REFUSED ();
  rows[1].token = -1; /* and no vector */
  REFUSED ();
  rows[1] = make_row (0, 70);
  REFUSED ();
  rows[1] = make_row (0, 0); /* does not rise */
  REFUSED ();
  rows[1] = make_row (1, 1);
  REFUSED ();
  rows[1] = make_row (0, 65);
  view.tables = bad_tables;
  REFUSED ();
  view.tables = good_tables;
  batch.n_rows = MAX_ROWS + 1;
  REFUSED ();
  batch.n_rows = 2;
  rows[1] = make_row (0, 1);
  run.first_step = 1;
  REFUSED ();
  run.first_step = 0;
  atomic_int cancel = 1;
  run.cancel = &cancel;
  g_assert_cmpint (api->run (f.bound, f.state, &batch, &run, &error), ==, ENG_ERR_CANCELLED);
  cancel = 0;
  g_assert_cmpint (api->run (f.bound, f.state, &batch, &run, &error), ==, ENG_OK);
  EngBindOptions bind = { .n_steps = f.program->n_steps + 1, .load_as = ENG_TYPE_NONE };
  EngWeightSource source = { eng_model_map_weight, f.model, NULL };
  EngBound *other = NULL;
  g_assert_cmpint (api->bind (f.device, f.program, &source, &bind, &other, &error), ==,
                   ENG_ERR_ARGUMENT);
  g_assert_null (other);
  fixture_free (&f);
}

typedef struct
{
  EngModel *model;
  uint64_t asked[64];
  uint32_t n_asked;
} Asked;

static const void *
map_asked (void *data, uint64_t source, uint64_t *n_bytes)
{
  Asked *self = data;
  if (self->n_asked == 0 || self->asked[self->n_asked - 1] != source)
    self->asked[self->n_asked++] = source;
  g_assert_cmpuint (self->n_asked, <, G_N_ELEMENTS (self->asked));
  return eng_model_map_weight (self->model, source, n_bytes);
}

/* A disk gives the file from its start to its end, whichever way the program's steps go: the output head's matrix, which is
 * also the embedding, comes first in it. */
static void
test_bound_as_the_file_lies (void)
{
  Fixture f = fixture_new ("tiny.gguf", false, ENG_TYPE_NONE);
  Asked asked = { .model = f.model };
  EngBindOptions bind = { .n_steps = f.program->n_steps };
  EngWeightSource source = { .map = map_asked, .data = &asked };
  EngBound *bound = NULL;
  g_assert_cmpint (eng_cpu_device_api ()->bind (f.device, f.program, &source, &bind, &bound, &error), ==, ENG_OK);
  g_assert_cmpuint (asked.n_asked, >, 10);
  for (uint32_t i = 1; i < asked.n_asked; i++)
    g_assert_cmpuint (asked.asked[i], >, asked.asked[i - 1]);
  eng_cpu_device_api ()->unbind (&bound);
  fixture_free (&f);
}

static void
test_fast_near_exact (void)
{
  static const char *const names[] = { "tiny.gguf", "tiny-mixed.gguf" };
  static const EngType types[] = { ENG_TYPE_NONE, ENG_TYPE_Q8_0 };
  for (int i = 0; i < 2; i++)
    for (int j = 0; j < 2; j++)
      {
        Fixture exact = fixture_new (names[i], true, ENG_TYPE_NONE);
        Fixture fast = fixture_new (names[i], false, types[j]);
        size_t n = 40 * exact.program->n_output;
        g_autofree float *a = g_new (float, n), *b = g_new (float, n);
        g_assert_cmpint (run_rows (&exact, 0, 40, 0, NULL, a), ==, ENG_OK);
        g_assert_cmpint (run_rows (&fast, 0, 40, 0, NULL, b), ==, ENG_OK);
        double e = test_relative_error (b, a, n);
        g_test_message ("%s%s: relative error %g", names[i], j ? " as Q8_0" : "", e);
        g_assert_cmpfloat (e, <, NEAR);
        fixture_free (&exact);
        fixture_free (&fast);
      }
}

/* Logits of tiny.gguf in @type, fast without what @without names against without @others: from @at_least rows on they go another way,
 * at most @slack further from the exact ones; fewer rows do not. */
static void
check_many_rows (const char *type, uint64_t without, uint64_t others, uint32_t at_least, double slack)
{
  g_autofree char *from = g_build_filename (g_getenv ("INGLENOOK_TEST_DATA"), "tiny.gguf", NULL);
  g_autofree char *folder = g_dir_make_tmp ("inglenook-rows-XXXXXX", NULL), *path = g_build_filename (folder, "m.gguf", NULL);
  g_assert_cmpint (eng_quantize_file (from, path, &(EngQuantizeOptions){ .mix = type }, NULL, &error), ==, ENG_OK);
  Fixture exact = fixture_open (path, true, ENG_TYPE_NONE, 0), many = fixture_open (path, false, ENG_TYPE_NONE, without);
  Fixture few = fixture_open (path, false, ENG_TYPE_NONE, others);
  size_t v = exact.program->n_output;
  for (uint32_t n = 20; n <= N_TOKENS; n += N_TOKENS - 20)
    {
      g_autofree float *a = g_new (float, n * v), *b = g_new (float, n * v), *c = g_new (float, n * v);
      g_assert_cmpint (run_rows (&exact, 0, n, 0, NULL, a), ==, ENG_OK);
      g_assert_cmpint (run_rows (&many, 0, n, 0, NULL, b), ==, ENG_OK);
      g_assert_cmpint (run_rows (&few, 0, n, 0, NULL, c), ==, ENG_OK);
      double by_many = test_relative_error (b, a, n * v), by_few = test_relative_error (c, a, n * v);
      g_test_message ("%s, %u rows: relative error %g, the other way %g", type, n, by_many, by_few);
      g_assert_cmpfloat (by_many, <, slack + by_few);
      if (n >= at_least)
        g_assert_cmpfloat (by_many, !=, by_few);
      else
        g_assert_cmpmem (b, n * v * sizeof (float), c, n * v * sizeof (float));
    }
  fixture_free (&exact);
  fixture_free (&many);
  fixture_free (&few);
  g_remove (path);
  g_rmdir (folder);
}

/* Many rows times 16-bit floats go by integers where the processor is faster so: near the floats' result but not equal,
 * and a batch of fewer rows has floats. */
static void
test_words (const void *data)
{
  const char *type = data;
  EngKernels kernels;
  eng_kernels_init (&kernels, eng_cpu_get_tiers () & (uint32_t) WITHOUT_AMX);
  uint32_t words_from = kernels.words_from[g_str_equal (type, "F16") ? ENG_FLOAT_F16 : ENG_FLOAT_BF16];
  check_many_rows (type, WITHOUT_AMX, WITHOUT_AMX | ENG_CPU_WITHOUT_WORDS, words_from != 0 ? words_from : UINT32_MAX, 0.001);
}

/* Many rows go by tiles, as near to the exact result as without them or nearer; few rows do not. */
static void
test_tiles (const void *data)
{
  if (!skip_without_tiles ())
    check_many_rows (data, 0, WITHOUT_AMX, N_TOKENS, 2e-4);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/cpu-device/batches/fast", GINT_TO_POINTER (FAST), test_batches);
  g_test_add_data_func ("/cpu-device/batches/exact", GINT_TO_POINTER (EXACT), test_batches);
  g_test_add_data_func ("/cpu-device/batches/tiles", GINT_TO_POINTER (TILES), test_batches);
  g_test_add_data_func ("/cpu-device/cut/fast", GINT_TO_POINTER (0), test_cut);
  g_test_add_data_func ("/cpu-device/cut/exact", GINT_TO_POINTER (1), test_cut);
  g_test_add_data_func ("/cpu-device/blocks/fast", GINT_TO_POINTER (0), test_blocks);
  g_test_add_data_func ("/cpu-device/blocks/exact", GINT_TO_POINTER (1), test_blocks);
  g_test_add_func ("/cpu-device/refusals", test_refusals);
  g_test_add_func ("/cpu-device/bound-as-the-file-lies", test_bound_as_the_file_lies);
  g_test_add_func ("/cpu-device/fast-near-exact", test_fast_near_exact);
  g_test_add_data_func ("/cpu-device/words/f16", "F16", test_words);
  g_test_add_data_func ("/cpu-device/words/bf16", "BF16", test_words);
  g_test_add_data_func ("/cpu-device/tiles/f16", "F16", test_tiles);
  g_test_add_data_func ("/cpu-device/tiles/bf16", "BF16", test_tiles);
  g_test_add_data_func ("/cpu-device/tiles/q4_0", "Q4_0", test_tiles);
  g_test_add_data_func ("/cpu-device/tiles/q8_0", "Q8_0", test_tiles);
  return g_test_run ();
}
