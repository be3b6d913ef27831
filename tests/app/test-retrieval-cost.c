/* SPDX-License-Identifier: Apache-2.0 */
/* What a question costs among 100,000 chunks of made-up text and vectors: time and memory. */
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "app-test.h"
#include "ing-document-search.h"

#define N_DOCUMENTS 200
#define N_CHUNKS 500 /* in each */
#define WIDTH 384
#define N_WORDS 30000
#define N_QUESTIONS 100

typedef struct
{
  GRand *random;
  guint document;
} Filling;

/* Words as frequent as Zipf's law has it: the nth 1 / n times the first. */
static void
append_word (GString *out, GRand *random)
{
  guint word = (guint) pow (N_WORDS, g_rand_double (random));
  g_string_append_printf (out, "w%c%c%u%s", 'a' + word % 26, 'a' + word / 26 % 26, word,
                          g_rand_int_range (random, 0, 15) == 0 ? ". " : " ");
}

static void
make_vector (float *vector, GRand *random)
{
  double sum = 0;
  for (guint i = 0; i < WIDTH; i++)
    {
      vector[i] = (float) g_rand_double_range (random, -1, 1);
      sum += vector[i] * vector[i];
    }
  for (guint i = 0; i < WIDTH; i++)
    vector[i] /= (float) sqrt (sum);
}

static gpointer
fill (IngDatabase *db, gpointer data, GError **error)
{
  Filling *f = data;
  float vector[WIDTH];
  g_assert_true (ing_database_begin (db, error));
  IngDocumentRow row = { .id = f->document + 1, .path = (char *) "/made/up", .state = ING_DOCUMENT_READY };
  g_assert_true (ing_document_table_write (db, &row, error));
  for (guint i = 0; i < N_CHUNKS; i++)
    {
      g_autoptr (GString) text = g_string_new (NULL);
      for (guint j = 0; j < 120; j++)
        append_word (text, f->random);
      IngChunk chunk = { .text = text->str, .path = (char *) "A heading" };
      g_assert_true (ing_document_table_add_chunk (db, row.id, i, "A manual › A heading", &chunk, error));
      make_vector (vector, f->random);
      gint64 id = (gint64) row.id * N_CHUNKS - N_CHUNKS + i + 1;
      g_assert_true (ing_document_table_set_vectors (db, id, 0, vector, 1, WIDTH, error));
    }
  return ing_database_end (db, TRUE, error) ? f : NULL;
}

static guint64
read_memory (const char *name)
{
  g_autofree char *status = NULL;
  g_assert_true (g_file_get_contents ("/proc/self/status", &status, NULL, NULL));
  const char *at = strstr (status, name);
  return at != NULL ? g_ascii_strtoull (at + strlen (name) + 1, NULL, 10) : 0;
}

static int
compare_times (gconstpointer a, gconstpointer b)
{
  gint64 x = *(const gint64 *) a, y = *(const gint64 *) b;
  return x < y ? -1 : x > y;
}

static void
test_many (void)
{
  g_autofree char *folder = app_test_make_folder ();
  g_autoptr (GRand) random = g_rand_new_with_seed (3);
  g_autoptr (IngDatabase) db = ing_database_new (&ing_document_schema);
  g_autoptr (GArray) documents = g_array_new (FALSE, FALSE, sizeof (gint64));
  g_autoptr (GArray) times = g_array_new (FALSE, FALSE, sizeof (gint64));
  g_assert_true (ing_database_open_sync (db, folder, NULL));
  for (guint i = 0; i < N_DOCUMENTS; i++)
    {
      Filling f = { random, i };
      gint64 id = i + 1;
      g_assert_nonnull (ing_database_run_sync (db, fill, &f, NULL));
      g_array_append_val (documents, id);
    }
  for (guint i = 0; i < N_QUESTIONS; i++)
    {
      g_autoptr (GString) text = g_string_new (NULL);
      float vector[WIDTH];
      for (guint j = 0; j < 8; j++)
        append_word (text, random);
      make_vector (vector, random);
      static const IngEmbedder embedder = { .name = "made up", .cosine = 0.3 };
      IngSearchRequest request = { documents, text->str, 5, 0, ING_SEARCH_ALL, vector, WIDTH, &embedder };
      gint64 start = g_get_monotonic_time ();
      g_autoptr (IngFound) found = ing_database_run_sync (db, ing_document_search_func, &request, NULL);
      gint64 took = g_get_monotonic_time () - start;
      g_assert_nonnull (found);
      g_assert_cmpuint (found->passages->len, ==, 5);
      g_assert_true (found->by_meaning);
      if (i > 0)
        g_array_append_val (times, took);
      else
        g_test_message ("the first question, which reads the vectors: %.1f ms", took / 1e3);
    }
  g_array_sort (times, compare_times);
  double p95 = g_array_index (times, gint64, times->len * 95 / 100) / 1e3;
  double median = g_array_index (times, gint64, times->len / 2) / 1e3;
  guint64 memory = read_memory ("VmRSS:");
  g_test_message ("a question: median %.1f ms, p95 %.1f ms; memory %.0f MB", median, p95, (double) memory / 1024);
  g_assert_cmpfloat (p95, <, 250); /* 50 on a quiet machine */
  g_assert_cmpuint (memory, <, 300 * 1024);
  ing_database_close_sync (db);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/retrieval-cost/100,000-chunks", test_many);
  return g_test_run ();
}
