/* SPDX-License-Identifier: Apache-2.0 */
/* Questions about all of a document longer than the context: read part by part, with the double of the engine. */
#include <string.h>

#include "app-test.h"
#include "ing-document-private.h"
#include "ing-document-question.h"

typedef struct
{
  gboolean done;
  IngFound *found;
  GError *error;
  guint n_told, last_done, last_total;
  GCancellable *enough, *cancellable, *after_first; /* what to cancel once a part is read */
} Asked;

static void
asked_clear (Asked *a)
{
  g_clear_pointer (&a->found, ing_found_free);
  g_clear_error (&a->error);
  g_clear_object (&a->enough);
  g_clear_object (&a->cancellable);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Asked, asked_clear)

static void
on_answered (GObject *source, GAsyncResult *result, gpointer data)
{
  Asked *a = data;
  a->found = ing_document_question_finish (result, &a->error);
  a->done = TRUE;
}

static void
on_progress (guint done, guint total, double seconds_left, gpointer data)
{
  Asked *a = data;
  g_assert_cmpuint (done, <=, total);
  g_assert_true ((done == 0) == (seconds_left < 0));
  a->n_told++;
  a->last_done = done;
  a->last_total = total;
  if (done == 1 && a->after_first != NULL)
    g_cancellable_cancel (a->after_first);
}

static void
start (IngWorkspace *workspace, const char *text, Asked *a)
{
  IngDocumentLibrary *library = ing_workspace_get_documents (workspace);
  g_autoptr (GListModel) documents = ing_document_library_dup_list (library, 1);
  a->enough = g_cancellable_new ();
  a->cancellable = g_cancellable_new ();
  const IngDocumentQuery query = { .question = text,
                                   .service = ing_workspace_get_generation (workspace),
                                   .progress = on_progress,
                                   .progress_data = a,
                                   .enough = a->enough };
  ing_document_question_async (library, documents, &query, a->cancellable, on_answered, a);
}

static IngWorkspace *
open_with_manual (const char *folder, gboolean with_model)
{
  g_autofree char *path = g_build_filename (folder, "boats.md", NULL);
  g_autofree char *model = g_build_filename (folder, "good.gguf", NULL);
  g_autoptr (GString) text = g_string_new ("# Boats\n\n");
  for (guint i = 0; i < 700; i++)
    g_string_append_printf (text, "Paragraph %u is about the colour of boats and of nothing else whatever.\n\n", i);
  g_assert_true (g_file_set_contents (path, text->str, -1, NULL));
  g_assert_true (g_file_set_contents (model, "x", -1, NULL));
  IngWorkspace *workspace = app_test_open (folder, APP_TEST_FAKE_THREAD);
  if (with_model)
    app_test_load (workspace, model);
  ing_document_library_add (ing_workspace_get_documents (workspace), 1, path);
  return workspace;
}

/* Each part is read, its note stands at its place; the notes are the passages. */
static void
test_all (void)
{
  g_autofree char *folder = app_test_make_folder ();
  IngWorkspace *workspace = open_with_manual (folder, TRUE);
  g_auto (Asked) a = { 0 };
  start (workspace, "count 2 0 in total", &a);
  app_test_wait (a.done);
  g_assert_no_error (a.error);
  g_assert_true (a.found->found);
  g_assert_cmpuint (a.last_total, >=, 3);
  g_assert_cmpuint (a.last_done, ==, a.last_total);
  g_assert_cmpuint (a.found->passages->len, ==, a.last_total);
  for (guint i = 0; i < a.found->passages->len; i++)
    {
      const IngPassage *note = a.found->passages->pdata[i];
      g_assert_cmpstr (note->text, ==, "w1 w2");
      g_assert_cmpstr (note->document, ==, "boats.md");
    }
  app_test_close (workspace);
}

/* Every paragraph goes to the model, and none twice, although passages overlap: the double says what it was asked. */
static void
test_nothing_twice (void)
{
  g_autofree char *folder = app_test_make_folder ();
  IngWorkspace *workspace = open_with_manual (folder, TRUE);
  g_auto (Asked) a = { 0 };
  g_autoptr (GString) said = g_string_new (NULL);
  start (workspace, "How many paragraphs are there?", &a);
  a.after_first = a.enough; /* notes as long as the parts would be read again */
  app_test_wait (a.done);
  guint n_parts = a.last_total;
  g_assert_no_error (a.error);
  g_assert_cmpuint (n_parts, >=, 3);
  g_assert_cmpuint (a.found->passages->len, ==, 1);
  g_string_append (said, ((IngPassage *) a.found->passages->pdata[0])->text);
  guint n = 0;
  for (; n < 700; n++)
    {
      g_autofree char *words = g_strdup_printf ("Paragraph %u is", n);
      const char *first = strstr (said->str, words);
      if (first == NULL)
        break;
      g_assert_null (strstr (first + 1, words));
    }
  g_assert_cmpuint (n, >, 50);
  app_test_close (workspace);
}

/* "Answer now" keeps what was read; cancelling ends it; without a model some passages are taken. */
static void
test_ends (void)
{
  g_autofree char *folder = app_test_make_folder ();
  IngWorkspace *workspace = open_with_manual (folder, TRUE);
  {
    g_auto (Asked) a = { 0 };
    start (workspace, "count 3 20 summary", &a);
    a.after_first = a.enough;
    app_test_wait (a.done);
    g_assert_no_error (a.error);
    g_assert_cmpuint (a.found->passages->len, ==, 1);
  }
  {
    g_auto (Asked) a = { 0 };
    start (workspace, "count 3 20 summary", &a);
    a.after_first = a.cancellable;
    app_test_wait (a.done);
    g_assert_error (a.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    guint told = a.n_told;
    app_test_run_ms (50);
    g_assert_cmpuint (a.n_told, ==, told);
  }
  {
    g_auto (Asked) a = { 0 };
    start (workspace, "Summarize.\n\nfull", &a);
    app_test_wait (a.done);
    g_assert_error (a.error, ING_ERROR, ING_ERROR_CONTEXT_FULL);
  }
  ing_generation_service_unload (ing_workspace_get_generation (workspace));
  app_test_wait (ing_generation_service_get_state (ing_workspace_get_generation (workspace)) == ING_SERVICE_NO_MODEL);
  {
    g_auto (Asked) a = { 0 };
    start (workspace, "Please summarize.", &a);
    app_test_wait (a.done);
    g_assert_no_error (a.error);
    g_assert_cmpuint (a.n_told, ==, 0);
    g_assert_cmpuint (a.found->passages->len, ==, 10);
  }
  app_test_close (workspace);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/steps/all", test_all);
  g_test_add_func ("/steps/nothing-twice", test_nothing_twice);
  g_test_add_func ("/steps/ends", test_ends);
  return g_test_run ();
}
