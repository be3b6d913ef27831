/* SPDX-License-Identifier: Apache-2.0 */
/* A book of 1,000 pages: asked about while its vectors are still being made, and given up at any stage. Real reader, and the
 * starter's embedding model where it is. Times are said; the bounds are the ones promised. */
#include <string.h>

#include "app-test.h"
#include "ing-document-private.h"

#define PAGES 1000u
#define KEY_PAGE 900u
#define LINES 40u
#define FOUND_WITHIN_S 15
#define GIVEN_UP_WITHIN_MS 200

static void
append_object (GString *out, GArray *places, const char *content)
{
  guint place = (guint) out->len;
  g_array_append_val (places, place);
  g_string_append_printf (out, "%u 0 obj\n%s\nendobj\n", places->len, content);
}

static void
append_page (GString *out, GArray *places, GRand *random, guint number)
{
  static const char *const words[]
      = { "water", "heat", "pump", "valve", "pressure", "pipe", "boiler", "room", "owner", "contract", "month", "payment",
          "notice", "repair", "window", "garden", "report", "measure", "table", "of", "the", "and", "in", "for", "with" };
  g_autoptr (GString) text = g_string_new (NULL);
  g_string_append_printf (text, "BT /F1 18 Tf 72 780 Td (Section %u) Tj ET\n", number);
  for (guint i = 0; i < LINES; i++)
    {
      g_string_append_printf (text, "BT /F1 10 Tf 72 %u Td (", 750 - 15 * i);
      if (number == KEY_PAGE && i == LINES / 2)
        g_string_append (text, "The spare key of the lighthouse hangs behind the barometer in the pantry");
      else
        for (guint j = 0; j < 12; j++)
          g_string_append_printf (text, "%s%s", j > 0 ? " " : "", words[g_rand_int_range (random, 0, G_N_ELEMENTS (words))]);
      g_string_append (text, ".) Tj ET\n");
    }
  g_autofree char *page = g_strdup_printf ("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %u 0 R "
                                           "/Resources << /Font << /F1 3 0 R >> >> >>", places->len + 2);
  g_autofree char *content = g_strdup_printf ("<< /Length %" G_GSIZE_FORMAT " >>\nstream\n%s\nendstream", text->len, text->str);
  append_object (out, places, page);
  append_object (out, places, content);
}

static void
write_book (const char *path)
{
  g_autoptr (GString) out = g_string_new ("%PDF-1.4\n"), kids = g_string_new (NULL);
  g_autoptr (GArray) places = g_array_new (FALSE, FALSE, sizeof (guint));
  g_autoptr (GRand) random = g_rand_new_with_seed (7);
  for (guint i = 0; i < PAGES; i++)
    g_string_append_printf (kids, "%u 0 R ", 4 + 2 * i);
  g_autofree char *pages = g_strdup_printf ("<< /Type /Pages /Kids [%s] /Count %u >>", kids->str, PAGES);
  append_object (out, places, "<< /Type /Catalog /Pages 2 0 R >>");
  append_object (out, places, pages);
  append_object (out, places, "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>");
  for (guint i = 1; i <= PAGES; i++)
    append_page (out, places, random, i);
  gsize xref = out->len;
  g_string_append_printf (out, "xref\n0 %u\n0000000000 65535 f \n", places->len + 1);
  for (guint i = 0; i < places->len; i++)
    g_string_append_printf (out, "%010u 00000 n \n", g_array_index (places, guint, i));
  g_string_append_printf (out, "trailer\n<< /Size %u /Root 1 0 R >>\nstartxref\n%" G_GSIZE_FORMAT "\n%%%%EOF\n",
                          places->len + 1, xref);
  g_assert_true (g_file_set_contents (path, out->str, (gssize) out->len, NULL));
}

typedef struct
{
  IngFound *found;
  gboolean done;
} Search;

static void
on_found (GObject *source, GAsyncResult *result, gpointer data)
{
  Search *search = data;
  g_autoptr (GError) error = NULL;
  search->found = ing_document_library_search_finish (ING_DOCUMENT_LIBRARY (source), result, &error);
  g_assert_no_error (error);
  search->done = TRUE;
}

static gboolean
is_readable (IngDocument *document)
{
  IngDocumentState state = ing_document_get_state (document);
  g_assert_cmpint (state, !=, ING_DOCUMENT_FAILED);
  return state == ING_DOCUMENT_WORDS || state == ING_DOCUMENT_READY;
}

/* Milliseconds from the removal until nothing works on it any more. */
static double
give_up (IngDocumentLibrary *library, IngDocument *document)
{
  g_autoptr (IngDocument) held = g_object_ref (document);
  gint64 start = g_get_monotonic_time ();
  ing_document_library_remove (library, 1, document);
  app_test_wait (held->cancellable == NULL);
  return (double) (g_get_monotonic_time () - start) / 1e3;
}

static void
test_book (void)
{
  g_autofree char *folder = app_test_make_folder ();
  g_autofree char *path = g_build_filename (folder, "book.pdf", NULL);
  write_book (path);
  IngWorkspace *workspace = app_test_open (folder, APP_TEST_REAL_CHILD);
  IngDocumentLibrary *library = ing_workspace_get_documents (workspace);

  gint64 start = g_get_monotonic_time ();
  IngDocument *document = ing_document_library_add (library, 1, path);
  app_test_wait (ing_document_get_state (document) == ING_DOCUMENT_READING);
  app_test_run_ms (300);
  double reading = give_up (library, document);
  g_test_message ("given up %.0f ms after it was removed while it was read", reading);
  g_assert_cmpfloat (reading, <, GIVEN_UP_WITHIN_MS);

  start = g_get_monotonic_time ();
  document = ing_document_library_add (library, 1, path);
  app_test_wait (is_readable (document));
  double words = (double) (g_get_monotonic_time () - start) / 1e6;
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint64));
  gint64 id = ing_document_get_id (document);
  g_array_append_val (ids, id);
  Search search = { 0 };
  ing_document_library_search_async (library, ids, "Where does the spare key of the lighthouse hang?", NULL, 5, 0,
                                     ING_SEARCH_ALL, NULL, on_found, &search);
  app_test_wait (search.done);
  double all = (double) (g_get_monotonic_time () - start) / 1e6;
  g_test_message ("%u pages: read after %.1f s, the passage of page %u found after %.1f s, its vectors %s", PAGES, words,
                  KEY_PAGE, all, ing_document_get_state (document) == ING_DOCUMENT_READY ? "made" : "not all made yet");
  g_assert_true (search.found->found);
  g_assert_cmpuint (search.found->passages->len, >, 0);
  IngPassage *first = search.found->passages->pdata[0];
  g_assert_cmpuint (first->page, ==, KEY_PAGE);
  g_assert_nonnull (strstr (first->text, "behind the barometer"));
  g_assert_cmpfloat (all, <, FOUND_WITHIN_S);
  ing_found_free (search.found);

  if (document->cancellable != NULL)
    {
      double vectors = give_up (library, document);
      g_test_message ("given up %.0f ms after it was removed while vectors were made", vectors);
      g_assert_cmpfloat (vectors, <, GIVEN_UP_WITHIN_MS);
    }
  app_test_close (workspace);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/documents/thousand-pages", test_book);
  return g_test_run ();
}
