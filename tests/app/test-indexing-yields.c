/* SPDX-License-Identifier: Apache-2.0 */
/* An answer that is asked for while documents are indexed begins about as soon as without. Real engine as a child, real
 * reader, starter models; skipped without them. Times are medians of alternating rounds. */
#include <string.h>

#include "app-test.h"
#include "ing-document-private.h"
#include "ing-paths.h"

#define STARTER "SmolLM2-135M-Instruct-Q4_1.gguf"
#define EMBEDDER "all-MiniLM-L6-v2"
#define ROUNDS 15
#define EACH 2 /* questions, of each kind in a round */
#define MOST 1.3
#define ATTEMPTS 3 /* neighbours on the machine come and go */

/* A manual of some 6,000 passages: minutes of indexing. */
static void
write_manual (const char *path, guint seed)
{
  static const char *const words[] = { "pump", "valve", "pressure", "filter", "garden", "winter", "heating", "contract",
                                       "measure", "replace", "slowly", "before", "every", "month", "litre", "metal" };
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (GRand) random = g_rand_new_with_seed (seed);
  for (guint i = 0; i < 6000; i++)
    {
      g_string_append_printf (text, "Step %u.", i);
      for (guint j = 0; j < 130; j++)
        g_string_append_printf (text, " %s%s", words[g_rand_int_range (random, 0, G_N_ELEMENTS (words))],
                                j % 12 == 11 ? "." : "");
      g_string_append (text, "\n\n");
    }
  g_assert_true (g_file_set_contents (path, text->str, -1, NULL));
}

static void
on_text (IngMessage *message, IngPart *part, const char *text, gpointer data)
{
  gint64 *first = data;
  if (*first == 0)
    *first = g_get_monotonic_time ();
}

/* Milliseconds to the first word of an answer to a question nobody asked before. */
static double
ask (IngWorkspace *workspace, guint number)
{
  static const char *const topics[] = { "a heat pump in winter", "tomatoes on a balcony", "an old bicycle chain" };
  g_autoptr (IngConversation) conversation
      = ing_conversation_list_create (ing_workspace_get_conversations (workspace));
  g_autofree char *text = g_strdup_printf (
      "Number %u. In a few words: what should I look at first when I have to take care of %s, and how often in a year?",
      number, topics[number % G_N_ELEMENTS (topics)]);
  gint64 start = g_get_monotonic_time (), first = 0;
  IngMessage *answer = ing_conversation_send (conversation, text, NULL);
  g_assert_nonnull (answer);
  gulong id = g_signal_connect (answer, "text-appended", G_CALLBACK (on_text), &first);
  app_test_wait (first != 0);
  ing_conversation_stop (conversation);
  app_test_wait_idle (conversation);
  g_signal_handler_disconnect (answer, id);
  return (double) (first - start) / 1e3;
}

/* …to EACH of them. In between what was interrupted goes on. */
static void
ask_each (IngWorkspace *workspace, GArray *times)
{
  static guint number;
  for (guint i = 0; i < EACH; i++)
    {
      app_test_run_ms (100);
      double t = ask (workspace, ++number);
      g_array_append_val (times, t);
    }
}

static int
compare_doubles (gconstpointer a, gconstpointer b)
{
  double x = *(const double *) a, y = *(const double *) b;
  return x < y ? -1 : x > y;
}

static double
median (GArray *times)
{
  g_array_sort (times, compare_doubles);
  return g_array_index (times, double, times->len / 2);
}

typedef struct
{
  double idle, reading, vectors;
} Medians;

static Medians
measure (IngWorkspace *workspace, const char *folder, guint attempt)
{
  IngDocumentLibrary *library = ing_workspace_get_documents (workspace);
  g_autoptr (GArray) idle = g_array_new (FALSE, FALSE, sizeof (double));
  g_autoptr (GArray) reading = g_array_new (FALSE, FALSE, sizeof (double));
  g_autoptr (GArray) vectors = g_array_new (FALSE, FALSE, sizeof (double));
  for (guint round = 0; round < ROUNDS; round++)
    {
      guint number = attempt * ROUNDS + round;
      g_autofree char *name = g_strdup_printf ("manual-%u.txt", number);
      g_autofree char *path = g_build_filename (folder, name, NULL);
      write_manual (path, number);
      ask_each (workspace, idle);
      IngDocument *document = ing_document_library_add (library, 1, path);
      app_test_wait (ing_document_get_state (document) == ING_DOCUMENT_READING);
      ask_each (workspace, reading);
      app_test_wait (ing_document_get_state (document) == ING_DOCUMENT_WORDS);
      ask_each (workspace, vectors);
      g_assert_nonnull (document->cancellable); /* it was indexed all the time */
      ing_document_library_remove (library, 1, document);
      app_test_run_ms (300);
    }
  return (Medians){ median (idle), median (reading), median (vectors) };
}

static void
test_first_token (void)
{
  g_autofree char *model = g_build_filename (ing_paths_get_models (), STARTER, NULL);
  g_autofree char *embedder = g_build_filename (ing_paths_get_models (), EMBEDDER, NULL);
  if (!g_file_test (model, G_FILE_TEST_EXISTS) || !g_file_test (embedder, G_FILE_TEST_IS_DIR))
    {
      g_test_skip ("the starter models were not fetched");
      return;
    }
  g_autofree char *folder = app_test_make_folder ();
  IngWorkspace *workspace = app_test_open (folder, APP_TEST_REAL_CHILD);
  app_test_load (workspace, model);
  ask (workspace, 0);
  Medians m = { 0 };
  gboolean met = FALSE;
  for (guint attempt = 0; attempt < ATTEMPTS && !met; attempt++)
    {
      m = measure (workspace, folder, attempt);
      g_test_message ("first token: idle %.1f ms, while a file is read %.1f ms (%.2f), while vectors are made %.1f ms (%.2f)",
                      m.idle, m.reading, m.reading / m.idle, m.vectors, m.vectors / m.idle);
      met = m.reading <= MOST * m.idle && m.vectors <= MOST * m.idle;
    }
  g_assert_cmpfloat (m.reading, <=, MOST * m.idle);
  g_assert_cmpfloat (m.vectors, <=, MOST * m.idle);
  app_test_close (workspace);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/indexing/first-token", test_first_token);
  return g_test_run ();
}
