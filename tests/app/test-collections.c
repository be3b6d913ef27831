/* SPDX-License-Identifier: Apache-2.0 */
/* Collections that are kept, and folders that are followed: real files that come, change, move and go. */
#include <glib/gstdio.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>

#include "app-test.h"
#include "ing-collections.h"
#include "ing-conversation-list-private.h"
#include "ing-document-private.h"
#include "ing-document-question.h"
#include "ing-sources.h"

typedef struct
{
  char *data, *files; /* the program's folder, and a person's */
  IngWorkspace *workspace;
  IngDocumentLibrary *library;
  IngCollections *collections;
} Place;

static void
open_place (Place *place)
{
  place->workspace = app_test_open (place->data, APP_TEST_FAKE_THREAD);
  place->library = ing_workspace_get_documents (place->workspace);
  place->collections = ing_document_library_get_collections (place->library);
}

static void
make_place (Place *place)
{
  *place = (Place){ .data = app_test_make_folder (), .files = app_test_make_folder () };
  open_place (place);
}

static void
free_place (Place *place)
{
  if (place->workspace != NULL)
    app_test_close (place->workspace);
  g_free (place->data);
  g_free (place->files);
}

static char *
path_of (Place *place, const char *name)
{
  return g_build_filename (place->files, name, NULL);
}

static void
write_file (Place *place, const char *name, const char *text)
{
  g_autofree char *path = path_of (place, name);
  g_autofree char *folder = g_path_get_dirname (path);
  g_assert_cmpint (g_mkdir_with_parents (folder, 0700), ==, 0);
  /* As a plain writer does: into the file itself. */
  g_assert_true (g_file_set_contents_full (path, text, -1, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
}

/* As editors do: a hidden file beside it takes its place. */
static void
replace_file (Place *place, const char *name, const char *text)
{
  g_autofree char *path = path_of (place, name);
  g_assert_true (g_file_set_contents (path, text, -1, NULL));
}

static IngCollection *
add_collection (Place *place, const char *name, const char *path)
{
  IngCollection *collection = ing_collections_create (place->collections, name);
  const char *const paths[] = { path, NULL };
  ing_collections_add (place->collections, ing_collection_get_owner (collection), paths);
  return collection;
}

static gboolean
is_idle (Place *place, IngCollection *collection)
{
  IngCollectionState state;
  ing_collections_get_state (place->collections, ing_collection_get_owner (collection), &state);
  return !state.working && !state.looking && state.n_documents > 0 && state.n_done == state.n_documents;
}

/* Of this name in the library; borrowed, NULL if it is not there. */
static IngDocument *
find (Place *place, const char *name)
{
  g_autofree char *path = path_of (place, name);
  return ing_document_library_find (place->library, path);
}

static gboolean
is_read (Place *place, const char *name)
{
  IngDocument *document = find (place, name);
  return document != NULL && document->cancellable == NULL && !ing_document_get_gone (document)
         && (ing_document_get_state (document) == ING_DOCUMENT_WORDS
             || ing_document_get_state (document) == ING_DOCUMENT_READY);
}

/* A conversation that is kept. */
static gint64
make_talk (Place *place)
{
  IngConversation *conversation
      = ing_conversation_list_create_other (ing_workspace_get_conversations (place->workspace));
  ing_conversation_set_title (conversation, "A talk");
  app_test_settle (place->workspace);
  return ing_conversation_get_id (conversation);
}

/* Does a question to @list find a passage with @text? */
static gboolean
finds (Place *place, GListModel *list, const char *question, const char *text)
{
  const IngDocumentQuery query = { .question = question, .passages_only = TRUE, .n_passages = 5 };
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  ing_document_question_async (place->library, list, &query, NULL, app_test_keep_result, &result);
  app_test_wait (result != NULL);
  g_autoptr (IngFound) found = ing_document_question_finish (result, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < found->passages->len; i++)
    if (strstr (((IngPassage *) found->passages->pdata[i])->text, text) != NULL)
      return TRUE;
  return FALSE;
}

static gboolean
collection_finds (Place *place, IngCollection *collection, const char *question, const char *text)
{
  g_autoptr (GListModel) list = ing_document_library_dup_list (place->library, ing_collection_get_owner (collection));
  return finds (place, list, question, text);
}

/* ------------------------------------------------------------------ storage */

static int
count_rows (Place *place, const char *table)
{
  g_autofree char *path = g_build_filename (place->data, "documents.sqlite", NULL);
  g_autofree char *sql = g_strdup_printf ("SELECT count(*) FROM %s", table);
  sqlite3 *db = NULL;
  sqlite3_stmt *s = NULL;
  g_assert_cmpint (sqlite3_open (path, &db), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_prepare_v2 (db, sql, -1, &s, NULL), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_step (s), ==, SQLITE_ROW);
  int n = sqlite3_column_int (s, 0);
  sqlite3_finalize (s);
  sqlite3_close (db);
  return n;
}

/* In any file of the program's folder. */
static gboolean
stands_on_disk (Place *place, const char *word)
{
  g_autoptr (GDir) dir = g_dir_open (place->data, 0, NULL);
  const char *name;
  while ((name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (place->data, name, NULL);
      g_autofree char *bytes = NULL;
      gsize n = 0;
      if (g_file_get_contents (path, &bytes, &n, NULL) && memmem (bytes, n, word, strlen (word)) != NULL)
        return TRUE;
    }
  return FALSE;
}

static void
test_kept (void)
{
  Place place;
  make_place (&place);
  write_file (&place, "papers/tea.md", "# Tea\n\nGreen tea is brewed at seventy degrees.\n");
  write_file (&place, "papers/deep/coffee.txt", "Coffee beans are roasted for twelve minutes.\n");
  write_file (&place, "papers/.hidden.md", "Nobody reads this.\n");
  write_file (&place, "alone.txt", "The alone file speaks of lighthouses.\n");
  g_autofree char *folder = path_of (&place, "papers"), *alone = path_of (&place, "alone.txt");
  IngCollection *collection = add_collection (&place, "House papers", folder);
  const char *const more[] = { alone, NULL };
  ing_collections_add (place.collections, ing_collection_get_owner (collection), more);
  g_assert_cmpstr (ing_collection_get_name (ing_collections_create (place.collections, "house papers")), ==,
                   "house papers 2");
  app_test_wait (is_idle (&place, collection));
  g_assert_true (collection_finds (&place, collection, "How hot is green tea brewed?", "seventy"));
  gint64 id = ing_collection_get_id (collection), tea = ing_document_get_id (find (&place, "papers/tea.md"));
  app_test_close (place.workspace);
  open_place (&place);
  collection = ing_collections_find (place.collections, "HOUSE PAPERS");
  g_assert_nonnull (collection);
  g_assert_cmpint (ing_collection_get_id (collection), ==, id);
  g_assert_cmpint (ing_document_get_id (find (&place, "papers/tea.md")), ==, tea);
  app_test_wait (is_idle (&place, collection));
  g_auto (GStrv) folders = ing_collections_dup_folders (place.collections, -id);
  g_assert_cmpstr (folders[0], ==, folder);
  g_assert_null (folders[1]);
  ing_collections_rename (place.collections, collection, "Archive");
  g_assert_true (g_list_model_get_item (G_LIST_MODEL (place.collections), 0) == collection);
  g_object_unref (collection);
  /* A file that is taken out of a folder stays out; the folder's others go with it. */
  ing_collections_remove_document (place.collections, -id, find (&place, "papers/tea.md"));
  ing_collections_look (place.collections, -id);
  app_test_wait (is_idle (&place, collection));
  g_assert_null (find (&place, "papers/tea.md"));
  ing_collections_remove_folder (place.collections, -id, folder);
  g_assert_null (find (&place, "papers/deep/coffee.txt"));
  g_assert_nonnull (find (&place, "alone.txt"));
  free_place (&place);
}

/* What nobody uses any more is on the disk no more, neither as rows nor as bytes. */
static void
test_erased (void)
{
  Place place;
  make_place (&place);
  gint64 talk = make_talk (&place);
  write_file (&place, "papers/secret.md", "# Zanzibarium\n\nThe quixotrope lies beneath the vexillogram.\n");
  write_file (&place, "papers/shared.md", "# Harbour\n\nThe plinthograph stays where it is.\n");
  g_autofree char *folder = path_of (&place, "papers"), *shared = path_of (&place, "papers/shared.md");
  IngCollection *collection = add_collection (&place, "Papers", folder);
  gint64 id = ing_collection_get_id (collection);
  app_test_wait (is_idle (&place, collection));
  g_assert_true (ing_document_library_add (place.library, talk, shared) == find (&place, "papers/shared.md"));
  ing_collections_set_asked (place.collections, talk, collection, TRUE);
  app_test_settle (place.workspace);

  ing_collections_remove (place.collections, collection);
  g_assert_null (ing_collections_lookup (place.collections, id));
  g_assert_true (ing_collections_undo_remove (place.collections, collection));
  g_assert_true (ing_collections_get_asked (place.collections, talk, collection));
  g_assert_true (collection_finds (&place, collection, "Where is the quixotrope?", "vexillogram"));
  ing_collections_remove (place.collections, collection);
  app_test_close (place.workspace);

  /* The program ended before the time for an undo did: the next start erases. */
  g_assert_true (stands_on_disk (&place, "vexillogram"));
  open_place (&place);
  g_assert_null (find (&place, "papers/secret.md"));
  g_assert_nonnull (find (&place, "papers/shared.md"));
  g_assert_cmpuint (g_list_model_get_n_items (G_LIST_MODEL (place.collections)), ==, 0);
  app_test_close (place.workspace);
  place.workspace = NULL;
  g_assert_cmpint (count_rows (&place, "collections"), ==, 0);
  g_assert_cmpint (count_rows (&place, "folders"), ==, 0);
  g_assert_cmpint (count_rows (&place, "asked"), ==, 0);
  g_assert_cmpint (count_rows (&place, "documents"), ==, 1);
  g_assert_cmpint (count_rows (&place, "owners"), ==, 1);
  g_assert_cmpint (count_rows (&place, "chunks"), ==, 1);
  g_assert_cmpint (count_rows (&place, "words"), ==, 1);
  g_assert_cmpint (count_rows (&place, "vectors"), ==, 1);
  g_assert_cmpint (count_rows (&place, "wipes"), ==, 0);
  static const char *const gone[] = { "vexillogram", "quixotrop", "anzibarium", "zanzibarium", "secret.md" };
  for (guint i = 0; i < G_N_ELEMENTS (gone); i++)
    if (stands_on_disk (&place, gone[i]))
      g_error ("\"%s\" still stands on the disk", gone[i]);
  g_assert_true (stands_on_disk (&place, "plinthograph"));
  free_place (&place);
}

/* A place whose index is one of @version, with what @sql puts there. */
static void
open_old_place (Place *place, guint version, const char *sql)
{
  *place = (Place){ .data = app_test_make_folder (), .files = app_test_make_folder () };
  g_autofree char *path = g_build_filename (place->data, "documents.sqlite", NULL);
  g_autofree char *pragmas = g_strdup_printf ("PRAGMA user_version=%u; PRAGMA application_id=%u;", version,
                                              ing_document_schema.application_id);
  sqlite3 *db = NULL;
  g_assert_cmpint (sqlite3_open (path, &db), ==, SQLITE_OK);
  for (guint i = 0; i < version; i++)
    g_assert_cmpint (sqlite3_exec (db, ing_document_schema.migrations[i].sql, NULL, NULL, NULL), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_exec (db, sql, NULL, NULL, NULL), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_exec (db, pragmas, NULL, NULL, NULL), ==, SQLITE_OK);
  sqlite3_close (db);
  open_place (place);
}

/* A database of an older version has its documents afterwards, as added by themselves. */
static void
test_migrated (void)
{
  Place place;
  open_old_place (&place, 2, "INSERT INTO documents(id, path, size, mtime_us, state)"
                             " VALUES(7, '/nowhere/old.md', 10, 20, 3); INSERT INTO owners VALUES(0, 7);");
  IngDocument *document = ing_document_library_lookup (place.library, 7);
  g_assert_nonnull (document);
  g_assert_false (ing_document_get_gone (document));
  g_assert_false (ing_document_find_owner (document, 0)->found);
  free_place (&place);
}

/* What was read out of pictures is known as that, and not by its headings any more. */
static void
test_migrated_recognized (void)
{
  Place place;
  open_old_place (&place, 3, "INSERT INTO documents(id, path, size, mtime_us, state)"
                             " VALUES(7, '/nowhere/old.pdf', 10, 20, 3); INSERT INTO owners VALUES(0, 7, 0);"
                             "INSERT INTO chunks(document_id, position, prefix, text, path, page, start, overlap) VALUES"
                             " (7, 0, 'old', 'letters', 'Tea › Green', 1, 0, 0),"
                             " (7, 1, 'old', 'dots', char(31) || 'recognized', 2, 9, 0);");
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint64));
  const gint64 id = 7;
  g_array_append_val (ids, id);
  g_autoptr (GAsyncResult) result = NULL;
  ing_document_library_read_async (place.library, ids, 9, NULL, app_test_keep_result, &result);
  app_test_wait (result != NULL);
  g_autoptr (IngFound) found = ing_document_library_search_finish (place.library, result, NULL);
  g_assert_cmpuint (found->passages->len, ==, 2);
  const IngPassage *letters = found->passages->pdata[0], *dots = found->passages->pdata[1];
  g_assert_cmpstr (letters->heading, ==, "Tea › Green");
  g_assert_false (letters->recognized);
  g_assert_cmpstr (dots->heading, ==, "");
  g_assert_true (dots->recognized);
  g_autofree char *place_of_dots = ing_sources_dup_place (dots);
  g_assert_cmpstr (place_of_dots, ==, "old.pdf, page 2 (recognized text)");
  free_place (&place);
}

/* What a conversation asks: its own documents and those of collections, each once; others hear nothing of it. */
static void
test_asked (void)
{
  Place place;
  make_place (&place);
  gint64 talk = make_talk (&place);
  write_file (&place, "a/tea.md", "Green tea is brewed at seventy degrees.\n");
  write_file (&place, "own.md", "Own words about bicycles.\n");
  g_autofree char *folder = path_of (&place, "a"), *own = path_of (&place, "own.md"), *tea = path_of (&place, "a/tea.md");
  IngCollection *first = add_collection (&place, "First", folder), *second = add_collection (&place, "Second", folder);
  app_test_wait (is_idle (&place, first) && is_idle (&place, second));
  g_assert_cmpuint (find (&place, "a/tea.md")->owners->len, ==, 2);
  g_autoptr (GListModel) asked = ing_document_library_dup_asked (place.library, talk);
  g_autoptr (GListModel) mine = ing_document_library_dup_list (place.library, talk);
  ing_document_library_add (place.library, talk, own);
  g_assert_cmpuint (g_list_model_get_n_items (asked), ==, 1);
  ing_collections_set_asked (place.collections, talk, first, TRUE);
  ing_collections_set_asked (place.collections, talk, second, TRUE);
  ing_document_library_add (place.library, talk, tea);
  g_assert_cmpuint (g_list_model_get_n_items (asked), ==, 2);
  g_assert_cmpuint (g_list_model_get_n_items (mine), ==, 2);
  ing_collections_set_asked (place.collections, talk, first, FALSE);
  ing_document_library_remove (place.library, talk, find (&place, "a/tea.md"));
  g_assert_cmpuint (g_list_model_get_n_items (asked), ==, 2);
  g_assert_true (finds (&place, asked, "How hot is green tea brewed?", "seventy"));
  ing_collections_remove (place.collections, second);
  g_assert_cmpuint (g_list_model_get_n_items (asked), ==, 1);
  g_assert_true (ing_collections_undo_remove (place.collections, second));
  g_assert_cmpuint (g_list_model_get_n_items (asked), ==, 2);
  app_test_settle (place.workspace);
  app_test_close (place.workspace);
  open_place (&place);
  second = ing_collections_find (place.collections, "Second");
  g_assert_true (ing_collections_get_asked (place.collections, talk, second));
  g_assert_false (ing_collections_get_asked (place.collections, talk, ing_collections_find (place.collections, "First")));
  free_place (&place);
}

/* ------------------------------------------------------------------ following */

static void
test_followed (void)
{
  Place place;
  make_place (&place);
  write_file (&place, "papers/tea.md", "Green tea is brewed at seventy degrees.\n");
  g_autofree char *folder = path_of (&place, "papers"), *tea = path_of (&place, "papers/tea.md");
  g_autofree char *moved = path_of (&place, "papers/deep/leaf.md"), *away = path_of (&place, "away");
  IngCollection *collection = add_collection (&place, "Papers", folder);
  app_test_wait (is_idle (&place, collection));
  g_test_message ("a new file, in a new folder");
  write_file (&place, "papers/deep/coffee.md", "# Coffee\n\nBeans are roasted for twelve minutes.\n");
  app_test_wait (is_read (&place, "papers/deep/coffee.md"));
  g_test_message ("a change, written into the file");
  write_file (&place, "papers/tea.md", "Black tea is brewed at ninety-five degrees, they say.\n");
  app_test_wait (collection_finds (&place, collection, "How hot is black tea?", "ninety-five"));
  g_assert_false (collection_finds (&place, collection, "seventy degrees", "seventy"));
  g_test_message ("a change, by a file that takes the place of the old one");
  replace_file (&place, "papers/tea.md", "White tea is brewed at eighty degrees only.\n");
  app_test_wait (collection_finds (&place, collection, "How hot is white tea?", "eighty"));
  g_test_message ("a move keeps the document, and a citation leads to it");
  IngPassage cited = { .path = tea, .hash = g_strdup (find (&place, "papers/tea.md")->row->hash) };
  gint64 id = ing_document_get_id (find (&place, "papers/tea.md"));
  g_assert_cmpint (g_rename (tea, moved), ==, 0);
  app_test_wait (is_read (&place, "papers/deep/leaf.md"));
  g_assert_cmpint (ing_document_get_id (find (&place, "papers/deep/leaf.md")), ==, id);
  g_assert_null (find (&place, "papers/tea.md"));
  g_autofree char *leads_to = ing_sources_dup_path (place.library, &cited);
  g_assert_cmpstr (leads_to, ==, moved);
  g_free (cited.hash);
  g_assert_true (collection_finds (&place, collection, "How hot is white tea?", "eighty"));
  g_test_message ("a file that is deleted is gone, and found no more; its text is kept");
  g_assert_cmpint (g_unlink (moved), ==, 0);
  app_test_wait (ing_document_get_gone (find (&place, "papers/deep/leaf.md")));
  g_assert_false (collection_finds (&place, collection, "How hot is white tea?", "eighty"));
  g_test_message ("it comes back");
  write_file (&place, "papers/deep/leaf.md", "White tea is brewed at eighty degrees only.\n");
  app_test_wait (is_read (&place, "papers/deep/leaf.md"));
  g_assert_cmpint (ing_document_get_id (find (&place, "papers/deep/leaf.md")), ==, id);
  g_test_message ("the folder goes, and comes back");
  g_assert_cmpint (g_rename (folder, away), ==, 0);
  app_test_wait (ing_document_get_gone (find (&place, "papers/deep/leaf.md"))
                 && ing_document_get_gone (find (&place, "papers/deep/coffee.md")));
  g_assert_cmpint (g_rename (away, folder), ==, 0);
  app_test_wait (is_read (&place, "papers/deep/leaf.md") && is_read (&place, "papers/deep/coffee.md"));
  g_test_message ("no more when it is not watched");
  ing_collections_set_watched (place.collections, collection, FALSE);
  write_file (&place, "papers/late.md", "Too late.\n");
  app_test_run_ms (2500);
  g_assert_null (find (&place, "papers/late.md"));
  free_place (&place);
}

/* A thousand changes in a moment are a few looks, and all of them arrive. */
static void
test_flood (void)
{
  Place place;
  make_place (&place);
  write_file (&place, "papers/note-0.txt", "Note zero.\n");
  g_autofree char *folder = path_of (&place, "papers");
  IngCollection *collection = add_collection (&place, "Papers", folder);
  app_test_wait (is_idle (&place, collection));
  for (guint i = 0; i < 1000; i++)
    {
      g_autofree char *name = g_strdup_printf ("papers/note-%u.txt", i % 50);
      g_autofree char *text = g_strdup_printf ("Note %u is the newest, numbered so.\n", i);
      if (i % 3 == 0)
        replace_file (&place, name, text);
      else
        write_file (&place, name, text);
      if (i % 100 == 0)
        app_test_run_ms (1);
    }
  gint64 start = g_get_monotonic_time ();
  app_test_wait (is_read (&place, "papers/note-49.txt") && is_idle (&place, collection));
  g_test_message ("all read %.1f s after the last change", (double) (g_get_monotonic_time () - start) / 1e6);
  g_autoptr (GListModel) list = ing_document_library_dup_list (place.library, ing_collection_get_owner (collection));
  g_assert_cmpuint (g_list_model_get_n_items (list), ==, 50);
  app_test_wait (collection_finds (&place, collection, "999", "Note 999"));
  g_assert_false (collection_finds (&place, collection, "note 949", "Note 949 "));
  free_place (&place);
}

/* What happened while the program did not run is seen at the next start. */
static void
test_meanwhile (void)
{
  Place place;
  make_place (&place);
  write_file (&place, "papers/a.md", "# A\n\nApples are red.\n");
  write_file (&place, "papers/b.md", "# B\n\nBananas are yellow.\n");
  write_file (&place, "papers/c.md", "# C\n\nCherries are dark.\n");
  g_autofree char *folder = path_of (&place, "papers"), *b = path_of (&place, "papers/b.md");
  g_autofree char *c = path_of (&place, "papers/c.md"), *d = path_of (&place, "papers/sub-c.md");
  IngCollection *collection = add_collection (&place, "Papers", folder);
  app_test_wait (is_idle (&place, collection));
  gint64 id = ing_document_get_id (find (&place, "papers/c.md"));
  app_test_close (place.workspace);
  write_file (&place, "papers/a.md", "# A\n\nApricots are orange instead.\n");
  g_assert_cmpint (g_unlink (b), ==, 0);
  g_assert_cmpint (g_rename (c, d), ==, 0);
  write_file (&place, "papers/e.md", "# E\n\nElderberries are black.\n");
  open_place (&place);
  collection = ing_collections_find (place.collections, "Papers");
  app_test_wait (is_read (&place, "papers/e.md") && is_idle (&place, collection));
  g_assert_true (collection_finds (&place, collection, "apricots", "orange instead"));
  g_assert_true (ing_document_get_gone (find (&place, "papers/b.md")));
  g_assert_cmpint (ing_document_get_id (find (&place, "papers/sub-c.md")), ==, id);
  free_place (&place);
}

/* Stopped, nothing is read, in the next start neither; what was left goes on then. */
static void
test_paused (void)
{
  Place place;
  make_place (&place);
  write_file (&place, "papers/a.md", "Apples are red.\n");
  g_autofree char *folder = path_of (&place, "papers"), *own = path_of (&place, "own.md");
  IngCollection *collection = ing_collections_create (place.collections, "Papers");
  const char *const paths[] = { folder, NULL };
  gint64 owner = ing_collection_get_owner (collection);
  IngCollectionState state;
  ing_collections_set_paused (place.collections, owner, TRUE);
  ing_collections_add (place.collections, owner, paths);
  app_test_wait (find (&place, "papers/a.md") != NULL);
  app_test_run_ms (200);
  ing_collections_get_state (place.collections, owner, &state);
  g_assert_true (state.paused);
  g_assert_false (state.working);
  g_assert_cmpuint (state.n_done, ==, 0);
  app_test_close (place.workspace);
  open_place (&place);
  write_file (&place, "own.md", "Others are read.\n");
  ing_document_library_add (place.library, 1, own);
  app_test_wait (is_read (&place, "own.md"));
  g_assert_false (is_read (&place, "papers/a.md"));
  ing_collections_set_paused (place.collections, owner, FALSE);
  app_test_wait (is_read (&place, "papers/a.md"));
  free_place (&place);
}

/* A folder that a conversation holds is followed as well, and goes with the conversation. */
static void
test_conversation_folder (void)
{
  Place place;
  make_place (&place);
  gint64 talk = make_talk (&place);
  write_file (&place, "papers/a.md", "Apples are red.\n");
  g_autofree char *folder = path_of (&place, "papers");
  const char *const paths[] = { folder, NULL };
  ing_collections_add (place.collections, talk, paths);
  app_test_wait (is_read (&place, "papers/a.md"));
  write_file (&place, "papers/b.md", "Bananas are yellow.\n");
  app_test_wait (is_read (&place, "papers/b.md"));
  ing_document_library_remove_owner (place.library, talk);
  g_assert_null (find (&place, "papers/a.md"));
  g_auto (GStrv) folders = ing_collections_dup_folders (place.collections, talk);
  g_assert_null (folders[0]);
  free_place (&place);
}

/* A folder that may not be read says so, and nothing of it is lost. */
static void
test_forbidden (void)
{
  Place place;
  make_place (&place);
  write_file (&place, "papers/a.md", "Apples are red.\n");
  g_autofree char *folder = path_of (&place, "papers");
  IngCollection *collection = add_collection (&place, "Papers", folder);
  app_test_wait (is_idle (&place, collection));
  g_assert_cmpint (g_chmod (folder, 0), ==, 0);
  if (g_access (folder, R_OK) == 0)
    {
      g_chmod (folder, 0700);
      free_place (&place);
      g_test_skip ("this user may read everything");
      return;
    }
  ing_collections_look (place.collections, ing_collection_get_owner (collection));
  app_test_wait (ing_collections_get_folder_problem (place.collections, ing_collection_get_owner (collection), folder) != NULL);
  g_assert_false (ing_document_get_gone (find (&place, "papers/a.md")));
  g_chmod (folder, 0700);
  free_place (&place);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/collections/kept", test_kept);
  g_test_add_func ("/collections/erased", test_erased);
  g_test_add_func ("/collections/migrated", test_migrated);
  g_test_add_func ("/collections/migrated-recognized", test_migrated_recognized);
  g_test_add_func ("/collections/asked", test_asked);
  g_test_add_func ("/collections/followed", test_followed);
  g_test_add_func ("/collections/flood", test_flood);
  g_test_add_func ("/collections/meanwhile", test_meanwhile);
  g_test_add_func ("/collections/paused", test_paused);
  g_test_add_func ("/collections/conversation-folder", test_conversation_folder);
  g_test_add_func ("/collections/forbidden", test_forbidden);
  return g_test_run ();
}
