/* SPDX-License-Identifier: Apache-2.0 */
/* What a question finds in a scanned document while its pages are recognized, by a process that may be killed at any moment
 * and started again:
 *
 *     scan-tool DATA_FOLDER DOCUMENT QUESTION [OTHER]
 *
 * Prints "PAGE OF FOUND,FOUND… OTHER", the page that is being recognized, those that passages were found on, and 1 when the
 * other document, which was added behind it, is read, whenever there are more, and at the end "0 0 FOUND,… OTHER". */
#include <stdio.h>

#include "app-test.h"
#include "ing-document-question.h"

static int
compare_pages (gconstpointer a, gconstpointer b)
{
  guint x = *(const guint *) a, y = *(const guint *) b;
  return x < y ? -1 : x > y;
}

static void
print (IngDocument *document, IngFound *found, gboolean ended, gboolean other)
{
  g_autoptr (GArray) pages = g_array_new (FALSE, FALSE, sizeof (guint));
  g_autoptr (GString) list = g_string_new (NULL);
  guint of, page = ing_document_get_page (document, &of);
  for (guint i = 0; found != NULL && i < found->passages->len; i++)
    g_array_append_val (pages, ((const IngPassage *) found->passages->pdata[i])->page);
  g_array_sort (pages, compare_pages);
  for (guint i = 0; i < pages->len; i++)
    g_string_append_printf (list, "%s%u", i > 0 ? "," : "", g_array_index (pages, guint, i));
  printf ("%u %u %s %d\n", ended ? 0 : page, ended ? 0 : of, list->len > 0 ? list->str : "-", other);
  fflush (stdout);
}

static IngFound *
ask (IngDocumentLibrary *library, GListModel *documents, const char *question)
{
  const IngDocumentQuery query = { .question = question };
  g_autoptr (GAsyncResult) result = NULL;
  ing_document_question_async (library, documents, &query, NULL, app_test_keep_result, &result);
  app_test_wait (result != NULL);
  return ing_document_question_finish (result, NULL);
}

static gboolean
has_ended (IngDocument *document)
{
  IngDocumentState state = ing_document_get_state (document);
  return state == ING_DOCUMENT_WORDS || state == ING_DOCUMENT_READY || state == ING_DOCUMENT_FAILED;
}

int
main (int argc, char **argv)
{
  if (argc < 4 || argc > 5)
    return 2;
  IngWorkspace *workspace = app_test_open (argv[1], APP_TEST_FAKE_THREAD);
  IngDocumentLibrary *library = ing_workspace_get_documents (workspace);
  IngDocument *document = ing_document_library_add (library, 0, argv[2]);
  g_autoptr (GListModel) documents = ing_document_library_dup_list (library, 0);
  IngDocument *other = argc == 5 ? ing_document_library_add (library, 1, argv[4]) : NULL;
  for (gboolean ended = FALSE; !ended;)
    {
      guint before = ing_document_get_n_passages (document);
      ended = has_ended (document);
      g_autoptr (IngFound) found = ask (library, documents, argv[3]);
      print (document, found, ended, other != NULL && has_ended (other));
      if (!ended)
        app_test_wait (has_ended (document) || ing_document_get_n_passages (document) != before);
    }
  app_test_close (workspace);
  return 0;
}
