/* SPDX-License-Identifier: Apache-2.0 */
/* `quantize`: the predicted size is the file's to the byte, hub folders go in directly, quantized input is warned of. */
#include <glib/gstdio.h>
#include <string.h>

#include "eng-gguf.h"
#include "test-models.h"

static char *scratch;

static char *
scratch_path (const char *name)
{
  return g_build_filename (scratch, name, NULL);
}

static char *
run (const char *const *arguments, char **messages)
{
  char *output = NULL;
  g_assert_true (test_engine_run (arguments, &output, messages));
  return output;
}

static void
check_prediction (const char *in, const char *type)
{
  g_autofree char *out = scratch_path ("predicted.gguf");
  const char *const predict[] = { "quantize", in, type, "--predict", "--json", NULL };
  const char *const make[] = { "quantize", in, out, type, "--json", NULL };
  g_autofree char *said = run (predict, NULL);
  GStatBuf info;
  g_assert_false (g_file_test (out, G_FILE_TEST_EXISTS));
  g_autofree char *made = run (make, NULL);
  g_assert_cmpstr (said, ==, made);
  g_assert_cmpint (g_stat (out, &info), ==, 0);
  g_autofree char *size = g_strdup_printf ("\"out_bytes\": %" G_GINT64_FORMAT ",", (gint64) info.st_size);
  if (!strstr (said, size))
    g_error ("%s as %s: '%s' is not in %s", in, type, size, said);
  g_remove (out);
}

static char *
make_folder (void)
{
  static const char *const files[][2] = { { "convert/llama/config.json", "config.json" },
                                          { "convert/llama/model.safetensors", "model.safetensors" },
                                          { "convert/tokenizers/llama-3.json", "tokenizer.json" } };
  char *folder = scratch_path ("folder");
  g_mkdir_with_parents (folder, 0700);
  for (gsize i = 0; i < G_N_ELEMENTS (files); i++)
    {
      g_autofree char *from = test_data_path (files[i][0]), *bytes = NULL;
      g_autofree char *to = g_build_filename (folder, files[i][1], NULL);
      gsize n;
      g_assert_true (g_file_get_contents (from, &bytes, &n, NULL));
      g_assert_true (g_file_set_contents (to, bytes, (gssize) n, NULL));
    }
  return folder;
}

static void
test_predict (void)
{
  static const char *const types[] = { "F32", "F16", "Q8_0", "Q4_K_M", "Q4_0", "Q2_K" };
  g_autofree char *tiny = test_data_path ("tiny.gguf"), *mixed = test_data_path ("tiny-mixed.gguf");
  g_autofree char *folder = make_folder ();
  for (gsize i = 0; i < G_N_ELEMENTS (types); i++)
    {
      check_prediction (tiny, types[i]);
      check_prediction (mixed, types[i]);
      check_prediction (folder, types[i]);
    }
}

/* In one step and in two: the same tensors. */
static void
test_folder (void)
{
  g_autofree char *folder = make_folder (), *whole = scratch_path ("whole.gguf");
  g_autofree char *direct = scratch_path ("direct.gguf"), *staged = scratch_path ("staged.gguf");
  const char *const first[] = { "quantize", folder, direct, "Q4_0", NULL };
  const char *const second[] = { "convert", folder, whole, "F32", NULL };
  const char *const third[] = { "quantize", whole, staged, "Q4_0", NULL };
  g_free (run (first, NULL));
  g_free (run (second, NULL));
  g_free (run (third, NULL));
  EngGguf *a, *b;
  EngError error;
  g_assert_cmpint (eng_gguf_open (direct, ENG_GGUF_MAP, &a, &error), ==, ENG_OK);
  g_assert_cmpint (eng_gguf_open (staged, ENG_GGUF_MAP, &b, &error), ==, ENG_OK);
  g_assert_cmpuint (eng_gguf_get_n_tensors (a), ==, eng_gguf_get_n_tensors (b));
  for (guint64 i = 0; i < eng_gguf_get_n_tensors (a); i++)
    {
      const EngGgufTensor *s = eng_gguf_get_tensor (a, i), *t = eng_gguf_find_tensor (b, s->name);
      g_assert_nonnull (t);
      g_assert_cmpint (s->type, ==, t->type);
      g_assert_cmpmem (s->data, s->n_bytes, t->data, t->n_bytes);
    }
  eng_gguf_close (&a);
  eng_gguf_close (&b);
}

static void
test_warning (void)
{
  g_autofree char *tiny = test_data_path ("tiny.gguf"), *mixed = test_data_path ("tiny-mixed.gguf");
  g_autofree char *none = NULL, *some = NULL;
  const char *const original[] = { "quantize", tiny, "Q4_0", "--predict", NULL };
  const char *const quantized[] = { "quantize", mixed, "Q8_0", "--predict", NULL };
  g_free (run (original, &none));
  g_free (run (quantized, &some));
  g_assert_null (strstr (none, "warning"));
  g_assert_nonnull (strstr (some, "are quantized already"));
}

int
main (int argc, char **argv)
{
  static const char *const left[] = { "folder/config.json", "folder/model.safetensors",
                                      "folder/tokenizer.json", "folder", "whole.gguf", "direct.gguf",
                                      "staged.gguf", "" };
  g_test_init (&argc, &argv, NULL);
  scratch = g_dir_make_tmp ("inglenook-quantize-XXXXXX", NULL);
  g_test_add_func ("/quantize/predict", test_predict);
  g_test_add_func ("/quantize/folder", test_folder);
  g_test_add_func ("/quantize/warning", test_warning);
  int result = g_test_run ();
  for (gsize i = 0; i < G_N_ELEMENTS (left); i++)
    {
      g_autofree char *path = scratch_path (left[i]);
      g_remove (path);
    }
  g_free (scratch);
  return result;
}
