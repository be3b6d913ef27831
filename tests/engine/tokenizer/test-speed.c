/* SPDX-License-Identifier: Apache-2.0 */
/* Bounds on the time that encoding takes (processor time, so that a busy machine does not matter),
 * and one tokenizer used by several threads at once. */
#include <time.h>

#include "mixed-text.h"
#include "tiny-vocab.h"
#include "tokenizer-fixtures.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(NDEBUG)
#define IS_SLOW_BUILD 1
#define RUN_BYTES 100000
#else
#define IS_SLOW_BUILD 0
#define RUN_BYTES 1000000
#endif

static double
cpu_seconds (void)
{
  struct timespec t;
  clock_gettime (CLOCK_THREAD_CPUTIME_ID, &t);
  return (double) t.tv_sec + (double) t.tv_nsec * 1e-9;
}

/* Seconds for one call; the count of ids goes to @n. */
static double
time_encode (const EngTokenizer *tok, const GString *text, gsize *n)
{
  EngTokenBuffer ids = { 0 };
  double start = cpu_seconds ();
  g_assert_cmpint (eng_tokenizer_encode (tok, text->str, text->len, 0, &ids, NULL), ==, ENG_OK);
  double seconds = cpu_seconds () - start;
  *n = ids.n;
  eng_token_buffer_free (&ids);
  return seconds;
}

/* T8: 1 MB of one letter, and shorter texts of other kinds without a place to cut, in as much time a
 * byte. */
static void
check_runs (const EngTokenizer *tok)
{
  static const char *const units[] = { "a", "ab", " ", "=", "é", "漢", "\n", "1", "\xff", "aB", "▁",
                                       "x\u0301", "<|im_" };
  for (gsize i = 0; i < G_N_ELEMENTS (units); i++)
    {
      GString *text = g_string_new (NULL);
      gsize size = i == 0 ? RUN_BYTES : RUN_BYTES / 5;
      while (text->len < size)
        g_string_append (text, units[i]);
      gsize n;
      double seconds = time_encode (tok, text, &n);
      g_autofree char *unit = g_strescape (units[i], NULL);
      g_test_message ("%s: %zu bytes of \"%s\": %.0f ms, %zu ids",
                      eng_tokenizer_get_model (tok), text->len, unit, seconds * 1000, n);
      g_assert_cmpfloat (seconds, <=, i == 0 ? 2 : 0.4);
      g_string_free (text, TRUE);
    }
}

static void
test_runs (void)
{
  EngTokenizer *toks[] = { tiny_build (tiny_bpe ()), tiny_build (tiny_sentencepiece ("llama")),
                           tiny_build (tiny_sentencepiece ("t5")), tiny_build (tiny_wordpiece ()) };
  for (gsize i = 0; i < G_N_ELEMENTS (toks); i++)
    {
      check_runs (toks[i]);
      eng_tokenizer_free (&toks[i]);
    }
}

static void
test_vocab_runs (const void *name)
{
  EngTokenizer *tok = load_fixture (name);
  if (tok)
    check_runs (tok);
  eng_tokenizer_free (&tok);
}

/* English: words of the licence in a seeded order. */
static GString *
english (void)
{
  g_autofree char *licence = NULL;
  g_assert_true (g_file_get_contents (TEST_SOURCE_DIR "/../../../LICENSE", &licence, NULL, NULL));
  g_auto (GStrv) lines = g_strsplit (licence, "\n", -1);
  guint n = g_strv_length (lines);
  MixedRandom r = { 42 };
  GString *text = g_string_new (NULL);
  while (text->len < 4 * RUN_BYTES)
    g_string_append_printf (text, "%s\n", g_strstrip (lines[mixed_next (&r, n)]));
  return text;
}

static void
test_english (const void *name)
{
  EngTokenizer *tok = load_fixture (name);
  if (!tok)
    return;
  GString *text = english ();
  double best = 1e9;
  gsize n;
  for (int i = 0; i < 3; i++)
    best = MIN (best, time_encode (tok, text, &n));
  double rate = (double) text->len / best / 1e6;
  g_test_message ("%s: %.1f MB/s of English, %.2f bytes an id", (const char *) name, rate,
                  (double) text->len / (double) n);
  if (!IS_SLOW_BUILD)
    g_assert_cmpfloat (rate, >=, 5);
  g_string_free (text, TRUE);
  eng_tokenizer_free (&tok);
}

typedef struct
{
  const EngTokenizer *tok;
  const GString *text;
} Job;

static void *
hash_ids (void *data)
{
  const Job *job = data;
  EngTokenBuffer ids = { 0 };
  guint64 hash = MIXED_HASH_START;
  if (eng_tokenizer_encode (job->tok, job->text->str, job->text->len, 0, &ids, NULL))
    return NULL;
  for (gsize i = 0; i < ids.n; i++)
    hash = mixed_hash (hash, (guint64) ids.ids[i]);
  eng_token_buffer_free (&ids);
  return (void *) (gsize) (hash | 1);
}

/* Threads that meet the same tokens for the first time give the same ids (invariant 3). */
static void
test_threads (void)
{
  GString *text = mixed_text (77, RUN_BYTES / 5);
  while (text->len < RUN_BYTES / 3)
    g_string_append (text, " hello hell wor start aaaa");
  for (int round = 0; round < 4; round++)
    {
      EngTokenizer *tok = tiny_build (round % 2 ? tiny_bpe () : tiny_sentencepiece ("llama"));
      Job job = { tok, text };
      GThread *threads[4];
      for (gsize i = 0; i < G_N_ELEMENTS (threads); i++)
        threads[i] = g_thread_new ("encode", hash_ids, &job);
      void *first = g_thread_join (threads[0]);
      g_assert_nonnull (first);
      for (gsize i = 1; i < G_N_ELEMENTS (threads); i++)
        g_assert_true (g_thread_join (threads[i]) == first);
      g_assert_true (hash_ids (&job) == first);
      eng_tokenizer_free (&tok);
    }
  g_string_free (text, TRUE);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/tokenizer/speed/runs", test_runs);
  g_test_add_data_func ("/tokenizer/speed/runs/gpt-2", "gpt-2", test_vocab_runs);
  g_test_add_data_func ("/tokenizer/speed/runs/qwen2", "qwen2", test_vocab_runs);
  g_test_add_data_func ("/tokenizer/speed/runs/llama-spm", "llama-spm", test_vocab_runs);
  g_test_add_data_func ("/tokenizer/speed/runs/bert-bge", "bert-bge", test_vocab_runs);
  g_test_add_data_func ("/tokenizer/speed/english/gpt-2", "gpt-2", test_english);
  g_test_add_data_func ("/tokenizer/speed/english/qwen2", "qwen2", test_english);
  g_test_add_data_func ("/tokenizer/speed/english/llama-spm", "llama-spm", test_english);
  g_test_add_data_func ("/tokenizer/speed/english/bert-bge", "bert-bge", test_english);
  g_test_add_func ("/tokenizer/threads", test_threads);
  return g_test_run ();
}
