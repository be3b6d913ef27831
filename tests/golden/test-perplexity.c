/* SPDX-License-Identifier: Apache-2.0 */
/* `perplexity`, with and without --reference, counted again here from `logits` of the same windows: chunks of --ctx tokens,
 * the first replaced by BOS where the vocabulary asks for one, the second half of each scored, as llama.cpp's tool does.
 * compare-perplexity.py does the same with llama.cpp's logits. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <glib/gstdio.h>

#include "test-models.h"
#include "test-npy.h"

#define CHUNK 64u
#define CHUNKS 2u

typedef struct
{
  double nll, reference_nll, kl, largest_kl;
  guint n, n_same;
} Counted;

static double
member (const char *json, const char *name)
{
  g_autofree char *key = g_strdup_printf ("\"%s\":", name);
  const char *found = strstr (json, key);
  if (!found)
    g_error ("%s is not in %s", key, json);
  return g_ascii_strtod (found + strlen (key), NULL);
}

/* The ids of `tokenize`. */
static GArray *
tokenize (const char *model, const char *text_file)
{
  const char *const arguments[] = { "tokenize", model, "--text-file", text_file, "--json", NULL };
  g_autofree char *out = NULL;
  g_assert_true (test_engine_run (arguments, &out, NULL));
  GArray *ids = g_array_new (FALSE, FALSE, sizeof (int));
  char *at = strchr (strstr (out, "\"ids\""), '[') + 1;
  while (*at != ']')
    {
      int id = (int) strtol (at, &at, 10);
      g_array_append_val (ids, id);
      at += strspn (at, ", \n");
    }
  return ids;
}

static TestNpy *
logits_of (const char *model, const int *ids, const char *path)
{
  g_autoptr (GString) list = g_string_new (NULL);
  for (guint i = 0; i < CHUNK; i++)
    g_string_append_printf (list, i ? ",%d" : "%d", ids[i]);
  const char *const arguments[] = { "logits", model, "--tokens", list->str, "--out", path, NULL };
  g_assert_true (test_engine_run (arguments, NULL, NULL));
  g_autoptr (GError) error = NULL;
  TestNpy *npy = test_npy_load (path, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (npy->shape[0], ==, CHUNK);
  return npy;
}

/* log p; returns the likeliest. */
static gsize
log_probabilities (const float *logits, double *out, gsize n)
{
  gsize best = 0;
  double sum = 0.0;
  for (gsize i = 0; i < n; i++)
    best = logits[i] > logits[best] ? i : best;
  for (gsize i = 0; i < n; i++)
    sum += exp ((double) logits[i] - logits[best]);
  for (gsize i = 0; i < n; i++)
    out[i] = (double) logits[i] - logits[best] - log (sum);
  return best;
}

static void
count_window (Counted *counted, const TestNpy *ours, const TestNpy *reference, const int *ids)
{
  gsize n = ours->shape[1];
  g_autofree double *p = g_new (double, n), *q = g_new (double, n);
  for (guint i = CHUNK / 2; i + 1 < CHUNK; i++)
    {
      double kl = 0.0;
      gsize best = log_probabilities (ours->f32 + i * n, q, n);
      counted->n_same += best == log_probabilities (reference->f32 + i * n, p, n);
      for (gsize k = 0; k < n; k++)
        kl += exp (p[k]) * (p[k] - q[k]);
      counted->kl += kl;
      counted->largest_kl = MAX (counted->largest_kl, kl);
      counted->nll -= q[ids[i + 1]];
      counted->reference_nll -= p[ids[i + 1]];
      counted->n++;
    }
}

static void
test_against_logits (void)
{
  g_autofree char *model = test_data_path ("tiny-mixed.gguf"), *reference = test_data_path ("tiny.gguf");
  g_autofree char *scratch = g_dir_make_tmp ("ppl-XXXXXX", NULL);
  g_autofree char *a = g_build_filename (scratch, "a.npy", NULL), *b = g_build_filename (scratch, "b.npy", NULL);
  g_autofree char *out = NULL, *messages = NULL;
  const char *const arguments[] = { "perplexity", model, "--text-file", TEXT, "--reference", reference, "--ctx", "64",
                                    "--chunks", "2", "--json", NULL };
  g_assert_true (test_engine_run (arguments, &out, &messages));
  g_autoptr (GArray) ids = tokenize (model, TEXT);
  g_assert_cmpuint (ids->len, >=, CHUNK * CHUNKS);
  Counted counted = { 0 };
  for (guint c = 0; c < CHUNKS; c++)
    {
      int *window = &g_array_index (ids, int, c * CHUNK);
      g_autoptr (TestNpy) ours = logits_of (model, window, a), other = logits_of (reference, window, b);
      count_window (&counted, ours, other, window);
    }
  double n = counted.n;
  g_assert_cmpfloat (member (out, "n_positions"), ==, n);
  g_assert_cmpfloat_with_epsilon (member (out, "perplexity") / exp (counted.nll / n), 1.0, 1e-3);
  g_assert_cmpfloat_with_epsilon (member (out, "reference_perplexity") / exp (counted.reference_nll / n), 1.0, 1e-3);
  g_assert_cmpfloat_with_epsilon (member (out, "mean_kl") / (counted.kl / n), 1.0, 0.02);
  g_assert_cmpfloat (member (out, "kl_99"), <=, counted.largest_kl * 1.05);
  g_assert_cmpfloat (member (out, "kl_99"), >=, counted.kl / n);
  g_assert_cmpfloat_with_epsilon (member (out, "top1_agreement"), counted.n_same / n, 1.5 / n);
  /* no terminal: the last line alone */
  g_assert_nonnull (strstr (messages, "] 2/2  perplexity "));
  g_assert_null (strchr (messages, '\r'));
  g_remove (a);
  g_remove (b);
  g_rmdir (scratch);
}

static void
test_itself (void)
{
  g_autofree char *model = test_data_path ("tiny.gguf"), *out = NULL;
  const char *const arguments[] = { "perplexity", model, "--text-file", TEXT, "--reference", model, "--ctx", "64",
                                    "--chunks", "1", "--json", NULL };
  g_assert_true (test_engine_run (arguments, &out, NULL));
  g_assert_cmpfloat (member (out, "mean_kl"), <, 1e-9);
  g_assert_cmpfloat (member (out, "top1_agreement"), ==, 1.0);
}

static void
test_too_short (void)
{
  g_autofree char *model = test_data_path ("tiny.gguf"), *messages = NULL;
  const char *const arguments[] = { "perplexity", model, "--text-file", TEXT, "--ctx", "65536", NULL };
  g_assert_false (test_engine_run (arguments, NULL, &messages));
  g_assert_nonnull (strstr (messages, "one chunk 65536"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/perplexity/against-logits", test_against_logits);
  g_test_add_func ("/perplexity/itself", test_itself);
  g_test_add_func ("/perplexity/too-short", test_too_short);
  return g_test_run ();
}
