/* SPDX-License-Identifier: Apache-2.0 */
/* `imatrix`: importance against that of transformers (make-importance.py), the file's form, and what quantizing gains by it. */
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "eng-gguf.h"
#include "eng-importance-gather.h"
#include "eng-importance.h"
#include "eng-quant.h"
#include "test-models.h"
#include "test-npy.h"

#define CHUNK "64"
#define MAX_EXACT 1e-5 /* relative error with float activations; measured: 2.1e-7 */
#define MAX_FAST 0.01  /* with 8-bit activations; measured: 1.9e-4 */

static const char *const names[] = { "attn_q",   "attn_k",  "attn_v",  "attn_output",
                                     "ffn_gate", "ffn_up",  "ffn_down" };
static char *scratch;

static char *
scratch_path (const char *name)
{
  return g_build_filename (scratch, name, NULL);
}

static EngGguf *
open_file (const char *path)
{
  EngGguf *file;
  EngError error;
  if (eng_gguf_open (path, ENG_GGUF_MAP, &file, &error) != ENG_OK)
    g_error ("%s: %s", path, error.text);
  return file;
}

static char *
gather (const char *name, gboolean exact)
{
  g_autofree char *model = test_data_path ("tiny.gguf"), *messages = NULL;
  char *out = scratch_path (name);
  const char *const arguments[] = { "imatrix", model, out, "--text-file", TEXT, "--ctx", CHUNK,
                                    "--progress", exact ? "--exact" : NULL, NULL };
  if (!test_engine_run (arguments, NULL, &messages))
    g_error ("%s", messages);
  g_assert_nonnull (strstr (messages, "progress "));
  return out;
}

static void
compare_with_truth (const char *path, double bound)
{
  g_autofree char *truth_path = test_data_path ("tiny-importance.npy");
  g_autoptr (TestNpy) truth = test_npy_load (truth_path, NULL);
  EngGguf *file = open_file (path);
  const float *want = truth->f32;
  float tokens = -1;
  double worst = 0;
  for (int layer = 0; layer < 2; layer++)
    for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
      {
        g_autofree char *sums_name = g_strdup_printf ("blk.%d.%s.weight.in_sum2", layer, names[i]);
        g_autofree char *count_name = g_strdup_printf ("blk.%d.%s.weight.counts", layer, names[i]);
        const EngGgufTensor *sums = eng_gguf_find_tensor (file, sums_name);
        const EngGgufTensor *count = eng_gguf_find_tensor (file, count_name);
        g_assert_nonnull (sums);
        g_assert_nonnull (count);
        g_assert_cmpuint (sums->dims[0], ==, g_str_equal (names[i], "ffn_down") ? 128 : 64);
        g_assert_cmpuint (count->n_elements, ==, 1);
        tokens = tokens < 0 ? *(const float *) count->data : tokens;
        g_assert_cmpfloat (*(const float *) count->data, ==, tokens);
        double error = 0, energy = 0;
        for (guint64 c = 0; c < sums->dims[0]; c++, want++)
          {
            double d = ((const float *) sums->data)[c] - *want;
            error += d * d;
            energy += (double) *want * *want;
          }
        double relative = sqrt (error / energy);
        if (!(relative <= bound))
          g_error ("%s is off by %g", sums_name, relative);
        worst = MAX (worst, relative);
      }
  g_assert_cmpuint (want - truth->f32, ==, truth->n);
  g_assert_cmpfloat (tokens, >, 64);
  g_test_message ("worst relative error %g", worst);
  eng_gguf_close (&file);
}

static void
test_truth (void)
{
  g_autofree char *exact = gather ("exact.gguf", TRUE), *fast = gather ("fast.gguf", FALSE);
  compare_with_truth (exact, MAX_EXACT);
  compare_with_truth (fast, MAX_FAST);
}

/* What llama.cpp's loader asks for beside the tensors. */
static void
test_form (void)
{
  g_autofree char *path = gather ("form.gguf", FALSE);
  EngGguf *file = open_file (path);
  EngGgufString type, dataset;
  EngGgufArray datasets;
  guint32 chunks = 0, size = 0;
  g_assert_cmpint (eng_gguf_get_string (file, "general.type", &type, NULL), ==, ENG_OK);
  g_assert_true (eng_gguf_string_equal (type, "imatrix"));
  g_assert_cmpint (eng_gguf_get_u32 (file, "imatrix.chunk_count", &chunks, NULL), ==, ENG_OK);
  g_assert_cmpint (eng_gguf_get_u32 (file, "imatrix.chunk_size", &size, NULL), ==, ENG_OK);
  g_assert_cmpuint (size, ==, 64);
  const EngGgufTensor *count = eng_gguf_find_tensor (file, "blk.0.attn_q.weight.counts");
  guint32 tokens = (guint32) *(const float *) count->data;
  g_assert_cmpuint (chunks, ==, (tokens + 63) / 64);
  g_assert_cmpint (eng_gguf_get_array (file, "imatrix.datasets", ENG_GGUF_STRING, &datasets, NULL), ==,
                   ENG_OK);
  EngGgufStrings it = eng_gguf_array_get_strings (&datasets);
  g_assert_true (eng_gguf_strings_next (&it, &dataset));
  g_assert_true (eng_gguf_string_equal (dataset, "importance.txt"));
  g_assert_null (eng_gguf_find_tensor (file, "token_embd.weight.in_sum2"));
  eng_gguf_close (&file);
}

/* Squared differences between two files' matrices, weighted by what @importance says of each column. */
static double
weighted_error (const EngGguf *original, const char *path, EngType type,
                const EngImportance *importance)
{
  EngGguf *other = open_file (path);
  double sum = 0;
  guint n_seen = 0;
  for (guint64 i = 0; i < eng_gguf_get_n_tensors (original); i++)
    {
      const EngGgufTensor *a = eng_gguf_get_tensor (original, i);
      const EngGgufTensor *b = eng_gguf_find_tensor (other, a->name);
      const float *weights;
      guint64 n_slices, row_bytes;
      EngError error;
      g_assert_cmpint (eng_importance_get (importance, a->name, a->dims[0], a->dims[2], &weights,
                                           &n_slices, &error),
                       ==, ENG_OK);
      if (!weights)
        continue;
      n_seen++;
      g_assert_cmpint (b->type, ==, type);
      g_autofree float *row = g_new (float, b->dims[0]);
      g_assert_true (eng_type_row_bytes (b->type, b->dims[0], &row_bytes));
      for (guint64 r = 0; r < b->n_rows; r++)
        {
          eng_dequantize_row (b->type, (const guint8 *) b->data + r * row_bytes, row, b->dims[0]);
          for (guint64 c = 0; c < b->dims[0]; c++)
            {
              double d = row[c] - ((const float *) a->data)[r * b->dims[0] + c];
              sum += weights[c] * d * d;
            }
        }
    }
  g_assert_cmpuint (n_seen, ==, 14);
  eng_gguf_close (&other);
  return sum;
}

static void
check_gain (const char *model, const char *type, EngType block_type, const char *importance_path)
{
  g_autofree char *with = scratch_path ("with.gguf"), *without = scratch_path ("without.gguf");
  const char *const plain[] = { "quantize", model, without, type, NULL };
  const char *const weighted[] = { "quantize", model, with, type, "--imatrix", importance_path, NULL };
  g_assert_true (test_engine_run (plain, NULL, NULL));
  g_assert_true (test_engine_run (weighted, NULL, NULL));
  EngImportance *importance;
  EngError error;
  g_assert_cmpint (eng_importance_open (importance_path, &importance, &error), ==, ENG_OK);
  EngGguf *original = open_file (model);
  double error_with = weighted_error (original, with, block_type, importance);
  double error_without = weighted_error (original, without, block_type, importance);
  g_test_message ("%s: weighted error %g with importance, %g without", type, error_with, error_without);
  g_assert_cmpfloat (error_with, <, error_without);
  EngGguf *file = open_file (with);
  EngGgufString name;
  g_assert_cmpint (eng_gguf_get_string (file, "quantize.imatrix.file", &name, NULL), ==, ENG_OK);
  g_assert_true (eng_gguf_string_equal (name, "q.gguf"));
  eng_gguf_close (&file);
  eng_gguf_close (&original);
  eng_importance_free (&importance);
}

static void
test_quantize (void)
{
  g_autofree char *model = test_data_path ("tiny.gguf"), *path = gather ("q.gguf", FALSE);
  check_gain (model, "Q4_0", ENG_TYPE_Q4_0, path);
  check_gain (model, "Q5_0", ENG_TYPE_Q5_0, path);
  check_gain (model, "IQ4_NL", ENG_TYPE_IQ4_NL, path);
}

static void
test_built_in (void)
{
  g_autofree char *model = test_data_path ("tiny.gguf"), *out = scratch_path ("built-in.gguf");
  g_autofree char *output = NULL;
  const char *const arguments[] = { "imatrix", model, out, "--json", NULL };
  gsize n_bytes;
  const char *text = eng_importance_get_text (&n_bytes);
  g_assert_true (g_utf8_validate (text, (gssize) n_bytes, NULL));
  g_assert_nonnull (strstr (text, "炉"));
  g_assert_true (test_engine_run (arguments, &output, NULL));
  g_assert_nonnull (strstr (output, "\"matrices\": 14"));
  g_assert_true (g_file_test (out, G_FILE_TEST_EXISTS));
}

static void
assert_refused (const char *const *arguments, const char *out, const char *words)
{
  g_autofree char *messages = NULL;
  g_assert_false (test_engine_run (arguments, NULL, &messages));
  if (!strstr (messages, words))
    g_error ("'%s' is not in: %s", words, messages);
  g_assert_false (g_file_test (out, G_FILE_TEST_EXISTS));
}

static void
test_refused (void)
{
  g_autofree char *model = test_data_path ("tiny.gguf"), *out = scratch_path ("refused.gguf");
  g_autofree char *empty = scratch_path ("empty.txt"), *cut = scratch_path ("cut.gguf");
  const char *const short_text[] = { "imatrix", model, out, "--text-file", empty, NULL };
  const char *const no_text[] = { "imatrix", model, out, "--text-file", "/nonexistent/text", NULL };
  const char *const bad_model[] = { "imatrix", cut, out, NULL };
  g_assert_true (g_file_set_contents (empty, "", 0, NULL));
  g_assert_true (g_file_set_contents (cut, "GGUF", 4, NULL));
  assert_refused (short_text, out, "too short");
  assert_refused (no_text, out, "/nonexistent/text");
  assert_refused (bad_model, out, "cut.gguf");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  scratch = g_dir_make_tmp ("inglenook-importance-XXXXXX", NULL);
  g_test_add_func ("/importance/truth", test_truth);
  g_test_add_func ("/importance/form", test_form);
  g_test_add_func ("/importance/quantize", test_quantize);
  g_test_add_func ("/importance/built-in", test_built_in);
  g_test_add_func ("/importance/refused", test_refused);
  int result = g_test_run ();
  g_autoptr (GDir) dir = g_dir_open (scratch, 0, NULL);
  for (const char *name; dir && (name = g_dir_read_name (dir));)
    {
      g_autofree char *path = scratch_path (name);
      g_remove (path);
    }
  g_rmdir (scratch);
  g_free (scratch);
  return result;
}
