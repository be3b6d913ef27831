/* SPDX-License-Identifier: Apache-2.0 */
/* `quantize`: the predicted size is the file's to the byte, a target is met from below, hub folders go in directly, quantized
 * input is warned of; signals leave the whole file or none; memory does not grow with the model. */
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "eng-gguf-writer.h"
#include "eng-gguf.h"
#include "test-models.h"

static char *scratch;

static char *
scratch_path (const char *name)
{
  return g_build_filename (scratch, name, NULL);
}

static char *__attribute__ ((noinline))
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

/* 64 MiB of float32 in 16 matrices. */
static char *
make_large (void)
{
  char *path = scratch_path ("large.gguf");
  const guint64 dims[2] = { 1024, 1024 };
  g_autofree float *x = g_new (float, 1024 * 1024);
  EngGgufWriter *writer;
  EngError error;
  for (guint i = 0; i < 1024 * 1024; i++)
    x[i] = (float) ((i * 2654435761u) >> 8) / 16777216.0f - 0.5f;
  g_assert_cmpint (eng_gguf_writer_new (path, &writer, &error), ==, ENG_OK);
  g_assert_cmpint (eng_gguf_writer_set_string (writer, "general.architecture", "llama", &error), ==, ENG_OK);
  for (guint i = 0; i < 16; i++)
    {
      g_autofree char *name = g_strdup_printf ("blk.%u.ffn_up.weight", i);
      g_assert_cmpint (eng_gguf_writer_add_tensor (writer, name, ENG_TYPE_F32, 2, dims, NULL, &error), ==,
                       ENG_OK);
    }
  g_assert_cmpint (eng_gguf_writer_begin (writer, NULL, &error), ==, ENG_OK);
  for (guint i = 0; i < 16; i++)
    g_assert_cmpint (eng_gguf_writer_write (writer, i, 0, x, sizeof *x << 20, &error), ==, ENG_OK);
  g_assert_cmpint (eng_gguf_writer_finish (writer, &error), ==, ENG_OK);
  eng_gguf_writer_free (&writer);
  return path;
}

/* How many parts lie in the folder; they are removed. */
static guint
take_parts (void)
{
  g_autoptr (GDir) dir = g_dir_open (scratch, 0, NULL);
  guint n = 0;
  for (const char *name; dir && (name = g_dir_read_name (dir));)
    if (strstr (name, ".part-"))
      {
        g_autofree char *path = scratch_path (name);
        g_remove (path);
        n++;
      }
  return n;
}

/* `quantize IN OUT --target-bytes`: no larger than asked and as predicted; returns the size. */
static guint64
make_target (const char *in, guint64 target)
{
  g_autofree char *out = scratch_path ("target.gguf"), *bytes = g_strdup_printf ("%" G_GUINT64_FORMAT, target);
  const char *const predict[] = { "quantize", in, "--target-bytes", bytes, "--predict", "--json", NULL };
  const char *const make[] = { "quantize", in, out, "--target-bytes", bytes, "--json", NULL };
  g_autofree char *said = run (predict, NULL), *made = run (make, NULL);
  GStatBuf info;
  EngGguf *file;
  EngError error;
  g_assert_cmpstr (said, ==, made);
  g_assert_cmpint (g_stat (out, &info), ==, 0);
  g_assert_cmpuint ((guint64) info.st_size, <=, target);
  g_assert_cmpint (eng_gguf_open (out, ENG_GGUF_MAP, &file, &error), ==, ENG_OK);
  g_assert_false (eng_gguf_has_key (file, "general.file_type"));
  eng_gguf_close (&file);
  g_remove (out);
  return (guint64) info.st_size;
}

/* Asked for less than can be: the smallest size in the message, nothing written. */
static guint64
get_smallest (const char *in)
{
  g_autofree char *out = scratch_path ("target.gguf"), *messages = NULL, *output = NULL;
  const char *const arguments[] = { "quantize", in, out, "--target-bytes", "1000", "--progress", NULL };
  g_assert_false (test_engine_run (arguments, &output, &messages));
  g_assert_false (g_file_test (out, G_FILE_TEST_EXISTS));
  const char *needed = strstr (messages, "\"needed\": ");
  g_assert_nonnull (needed);
  guint64 smallest = g_ascii_strtoull (needed + strlen ("\"needed\": "), NULL, 10);
  g_autofree char *words = g_strdup_printf ("(%" G_GUINT64_FORMAT " bytes)", smallest);
  g_assert_nonnull (strstr (messages, "smallest possible"));
  g_assert_nonnull (strstr (messages, words));
  return smallest;
}

static void
check_targets (const char *in)
{
  guint64 smallest = get_smallest (in);
  /* Up to a padding. */
  g_assert_cmpuint (make_target (in, smallest), >=, smallest - 64);
  for (guint percent = 110; percent <= 180; percent += 35)
    {
      guint64 target = smallest * percent / 100, made = make_target (in, target);
      if ((double) made < 0.97 * (double) target)
        g_error ("%s: %" G_GUINT64_FORMAT " bytes for %" G_GUINT64_FORMAT, in, made, target);
    }
}

static void
test_target (void)
{
  g_autofree char *large = make_large (), *folder = make_folder (), *tiny = test_data_path ("tiny.gguf");
  check_targets (large);
  g_remove (large);
  /* Small models go in coarse steps, but never over. */
  guint64 of_folder = get_smallest (folder), of_tiny = get_smallest (tiny);
  make_target (folder, of_folder);
  make_target (folder, of_folder + 20000);
  make_target (tiny, of_tiny * 2);
  make_target (tiny, 1 << 30);
}

/* ---- Measuring ---- */

/* The number behind "@key": in @json. */
static double
get_number (const char *json, const char *key)
{
  g_autofree char *quoted = g_strdup_printf ("\"%s\": ", key);
  const char *at = json ? strstr (json, quoted) : NULL;
  if (!at)
    g_error ("no %s in %s", key, json);
  return g_ascii_strtod (at + strlen (quoted), NULL);
}

/* 3,000 words, so that there is more than one chunk for any vocabulary. */
static char *
write_text (void)
{
  static const char *const words[] = { "river", "the", "lamp", "a", "walks", "and", "stone", "quietly", "雪", "风" };
  char *path = scratch_path ("measure.txt");
  g_autoptr (GString) text = g_string_new (NULL);
  for (guint i = 0, seed = 7; i < 3000; i++, seed = seed * 1103515245u + 12345u)
    g_string_append_printf (text, "%s ", words[(seed >> 16) % G_N_ELEMENTS (words)]);
  g_assert_true (g_file_set_contents (path, text->str, -1, NULL));
  return path;
}

/* What stands in the file is what `perplexity` says of the two models. */
static void
check_quality (const char *made, const char *source, const char *text, const char *said)
{
  const char *const ask[] = { "perplexity", made, "--text-file", text, "--reference", source, "--ctx", "256",
                              "--chunks", "8", "--json", NULL };
  const char *const look[] = { "inspect", made, "--json", NULL };
  g_autofree char *measured = run (ask, NULL), *inspected = run (look, NULL);
  g_assert_nonnull (strstr (inspected, "\"quality\": {"));
  g_assert_cmpfloat (get_number (said, "positions"), ==, get_number (measured, "n_positions"));
  g_assert_cmpfloat (get_number (inspected, "positions"), ==, get_number (measured, "n_positions"));
  const char *const pairs[][2] = { { "perplexity", "perplexity" },
                                   { "source_perplexity", "reference_perplexity" },
                                   { "mean_kl", "mean_kl" },
                                   { "same_top", "top1_agreement" } };
  for (gsize i = 0; i < G_N_ELEMENTS (pairs); i++)
    {
      double expected = get_number (measured, pairs[i][1]), slack = 0.01 * expected + 1e-4;
      g_assert_cmpfloat_with_epsilon (get_number (said, pairs[i][0]), expected, slack);
      g_assert_cmpfloat_with_epsilon (get_number (inspected, pairs[i][0]), expected, slack);
    }
}

static void
test_measure (void)
{
  g_autofree char *tiny = test_data_path ("tiny.gguf"), *out = scratch_path ("measured.gguf");
  g_autofree char *again = scratch_path ("again.gguf"), *text = write_text ();
  const char *const make[] = { "quantize", tiny, out, "Q4_0", "--measure-text", text, "--json", NULL };
  const char *const plain[] = { "quantize", out, again, "Q4_0", "--json", NULL };
  const char *const built_in[] = { "quantize", tiny, again, "Q8_0", "--measure", "--json", NULL };
  const char *const look[] = { "inspect", again, "--json", NULL };
  g_autofree char *said = run (make, NULL);
  check_quality (out, tiny, text, said);
  g_assert_nonnull (strstr (said, "\"text\": \"measure.txt\""));
  g_assert_nonnull (strstr (said, "\"source\": \"tiny.gguf\""));
  /* What was measured of one file is not said of another. */
  g_free (run (plain, NULL));
  g_autofree char *inspected = run (look, NULL);
  g_assert_null (strstr (inspected, "quality"));
  g_autofree char *finer = run (built_in, NULL);
  g_assert_cmpfloat (get_number (finer, "mean_kl"), <, get_number (said, "mean_kl"));
  g_remove (out);
  g_remove (again);
  g_remove (text);
}

/* A file that cannot be measured is a file all the same; the reason is said. */
static void
test_unmeasured (void)
{
  g_autofree char *tiny = test_data_path ("tiny.gguf"), *out = scratch_path ("measured.gguf");
  g_autofree char *text = scratch_path ("measure.txt"), *messages = NULL;
  const char *const make[] = { "quantize", tiny, out, "Q4_0", "--measure-text", text, "--json", NULL };
  const char *const look[] = { "inspect", out, "--json", NULL };
  g_assert_true (g_file_set_contents (text, "Too short.", -1, NULL));
  g_autofree char *said = run (make, &messages), *inspected = run (look, NULL);
  g_assert_nonnull (strstr (messages, "could not be measured"));
  g_assert_nonnull (strstr (said, "\"quality_error\": \"the text to measure with has"));
  g_assert_null (strstr (inspected, "quality"));
  g_remove (out);
  g_remove (text);
}

static void
test_kl (void)
{
  static const char *const wanted[] = { "0.03", "0.001", "100" };
  g_autofree char *tiny = test_data_path ("tiny.gguf"), *out = scratch_path ("measured.gguf"), *text = write_text ();
  guint64 smallest = get_smallest (tiny);
  for (gsize i = 0; i < G_N_ELEMENTS (wanted); i++)
    {
      const char *const make[] = { "quantize",       tiny, out,      "--target-kl", wanted[i],
                                   "--measure-text", text, "--json", NULL };
      g_autofree char *said = run (make, NULL);
      g_assert_cmpfloat (get_number (said, "mean_kl"), <=, g_ascii_strtod (wanted[i], NULL));
      g_assert_cmpfloat (get_number (said, "files_tried"), <=, 8);
      check_quality (out, tiny, text, said);
      if (i == 2)
        g_assert_cmpfloat (get_number (said, "out_bytes"), <=, (double) smallest * 1.01);
      g_remove (out);
    }
  g_autofree char *messages = NULL, *output = NULL;
  const char *const beyond[] = { "quantize", tiny, out, "--target-kl", "1e-12", NULL };
  g_assert_false (test_engine_run (beyond, &output, &messages));
  g_assert_nonnull (strstr (messages, "no file comes as close"));
  g_assert_false (g_file_test (out, G_FILE_TEST_EXISTS));
  g_assert_cmpuint (take_parts (), ==, 0);
  g_remove (text);
}

/* The program, a signal after @delay_us, and how it ended. */
static int
run_and_signal (const char *const *argv, int signal_number, guint delay_us)
{
  GPid pid;
  int status;
  g_assert_true (g_spawn_async (NULL, (char **) argv, NULL,
                                G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL
                                    | G_SPAWN_STDERR_TO_DEV_NULL,
                                NULL, NULL, &pid, NULL));
  g_usleep (delay_us);
  kill (pid, signal_number);
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  return status;
}

/* Whenever it is stopped while it seeks: nothing is left. */
static void
test_kl_stopped (void)
{
  static const guint delays_us[] = { 0, 5000, 20000, 60000, 150000 };
  g_autofree char *tiny = test_data_path ("tiny.gguf"), *out = scratch_path ("measured.gguf");
  const char *argv[] = { g_getenv ("INGLENOOK_ENGINE"), "quantize", tiny, out, "--target-kl", "0.0001", NULL };
  for (gsize i = 0; i < G_N_ELEMENTS (delays_us); i++)
    {
      int status = run_and_signal (argv, SIGINT, delays_us[i]);
      g_assert_cmpuint (take_parts (), ==, 0);
      gboolean is_made = g_file_test (out, G_FILE_TEST_EXISTS);
      g_assert_true (is_made == (WIFEXITED (status) && WEXITSTATUS (status) == 0));
      g_remove (out);
    }
}

static void
test_usage (void)
{
  g_autofree char *tiny = test_data_path ("tiny.gguf"), *out = scratch_path ("target.gguf");
  const char *const wrong[][6] = { { "quantize", tiny, out, NULL },
                                   { "quantize", tiny, out, "Q4_0", "--target-bytes=1M", NULL },
                                   { "quantize", tiny, out, "Q4_0", "--target-kl=0.1", NULL },
                                   { "quantize", tiny, out, "--target-bytes=1M", "--predict", NULL } };
  for (gsize i = 0; i < G_N_ELEMENTS (wrong); i++)
    {
      g_autofree char *output = NULL, *messages = NULL;
      g_assert_false (test_engine_run (wrong[i], &output, &messages));
      g_assert_nonnull (strstr (messages, "TYPE or a target"));
    }
}

/* Whatever moment the signal meets: the whole file has the name, or nothing has. */
static void
check_signal (const char *in, int signal_number, guint delay_us)
{
  g_autofree char *out = scratch_path ("ended.gguf");
  const char *argv[] = { g_getenv ("INGLENOOK_ENGINE"), "quantize", in, out, "Q4_K", "--threads", "1", NULL };
  int status = run_and_signal (argv, signal_number, delay_us);
  guint n_parts = take_parts ();
  if (signal_number == SIGINT)
    g_assert_cmpuint (n_parts, ==, 0);
  if (g_file_test (out, G_FILE_TEST_EXISTS))
    {
      EngGguf *file;
      EngError error;
      g_assert_cmpint (eng_gguf_open (out, ENG_GGUF_MAP, &file, &error), ==, ENG_OK);
      g_assert_cmpuint (eng_gguf_get_n_tensors (file), ==, 16);
      eng_gguf_close (&file);
      g_remove (out);
    }
  else
    g_assert_false (WIFEXITED (status) && WEXITSTATUS (status) == 0);
}

static void
test_ended (void)
{
  static const guint delays_us[] = { 0, 2000, 5000, 10000, 20000, 40000, 80000, 160000, 320000 };
  g_autofree char *in = make_large ();
  for (gsize i = 0; i < G_N_ELEMENTS (delays_us); i++)
    {
      check_signal (in, SIGKILL, delays_us[i]);
      check_signal (in, SIGINT, delays_us[i]);
    }
  g_remove (in);
}

#ifndef __SANITIZE_ADDRESS__
static void
limit_cb (gpointer data)
{
  const struct rlimit limit = { 48 << 20, 48 << 20 };
  (void) data;
  setrlimit (RLIMIT_DATA, &limit);
}
#endif

/* 48 MiB of memory of its own are enough for 64 MiB of weights. */
static void
test_memory (void)
{
#ifdef __SANITIZE_ADDRESS__
  g_test_skip ("the sanitizer needs memory of its own");
#else
  g_autofree char *in = make_large (), *out = scratch_path ("ended.gguf"), *messages = NULL;
  const char *argv[] = { g_getenv ("INGLENOOK_ENGINE"), "quantize", in, out, "Q8_0", "--threads", "2", NULL };
  int status;
  g_assert_true (g_spawn_sync (NULL, (char **) argv, NULL, G_SPAWN_STDOUT_TO_DEV_NULL, limit_cb, NULL,
                               NULL, &messages, &status, NULL));
  if (!g_spawn_check_wait_status (status, NULL))
    g_error ("%s", messages);
  g_remove (in);
  g_remove (out);
#endif
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
  g_test_add_func ("/quantize/target", test_target);
  g_test_add_func ("/quantize/measure", test_measure);
  g_test_add_func ("/quantize/unmeasured", test_unmeasured);
  g_test_add_func ("/quantize/kl", test_kl);
  g_test_add_func ("/quantize/kl-stopped", test_kl_stopped);
  g_test_add_func ("/quantize/usage", test_usage);
  g_test_add_func ("/quantize/ended", test_ended);
  g_test_add_func ("/quantize/memory", test_memory);
  int result = g_test_run ();
  for (gsize i = 0; i < G_N_ELEMENTS (left); i++)
    {
      g_autofree char *path = scratch_path (left[i]);
      g_remove (path);
    }
  g_free (scratch);
  return result;
}
