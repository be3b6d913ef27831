/* SPDX-License-Identifier: Apache-2.0 */
/* Data of one installation brought to another: both ways, twice, from a stranger, cancelled,
 * removed. Numbers in brackets are the invariants of ing-bring.h. One file, although a long one: all of it stands on the same
 * two installations and on what the first third makes and compares of them. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "app-test.h"
#include "ing-database.h"
#include "ing-bring.h"
#include "ing-collections.h"
#include "ing-model-file-table.h"
#include "ing-schema.h"

static char *models; /* of "this" program */

static guint
n_listed (IngWorkspace *w)
{
  return g_list_model_get_n_items (G_LIST_MODEL (ing_workspace_get_conversations (w)));
}

static void
ask (IngWorkspace *w, const char *question)
{
  g_autoptr (IngConversation) c
      = ing_conversation_list_create (ing_workspace_get_conversations (w));
  IngMessage *answer = app_test_ask (c, question);
  g_assert_cmpint (ing_message_get_state (answer), ==, ING_MESSAGE_COMPLETE);
}

static IngWorkspace *
open_with_model (const char *folder)
{
  IngWorkspace *w = app_test_open (folder, APP_TEST_FAKE_THREAD);
  app_test_load (w, "/good.gguf");
  return w;
}

/* A folder of data with so many conversations; nobody has it open. */
static char *
make_data (guint n)
{
  char *folder = app_test_make_folder ();
  IngWorkspace *w = open_with_model (folder);
  for (guint i = 0; i < n; i++)
    {
      g_autofree char *question = g_strdup_printf ("count %u 0", i + 3);
      ask (w, question);
    }
  app_test_settle (w);
  app_test_close (w);
  return folder;
}

static char *
put_model (const char *folder, const char *name, const char *content)
{
  g_autofree char *dir = g_build_filename (folder, "models", NULL);
  char *path = g_build_filename (dir, name, NULL);
  g_autofree char *text = g_strconcat ("GGUF", content, NULL);
  g_assert_cmpint (g_mkdir_with_parents (dir, 0700), ==, 0);
  g_assert_true (g_file_set_contents (path, text, -1, NULL));
  return path;
}

static char *
hash_file (const char *folder, const char *name)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);
  g_autofree char *text = NULL;
  gsize length = 0;
  g_assert_true (g_file_get_contents (path, &text, &length, NULL));
  return g_compute_checksum_for_data (G_CHECKSUM_SHA256, (const guchar *) text, length);
}

static gboolean
run (IngBring *move, const char *from, GCancellable *cancellable, IngBrought *moved, GError **error)
{
  g_autoptr (GAsyncResult) result = NULL;
  ing_bring_run_async (move, from, cancellable, app_test_keep_result, &result);
  app_test_wait (result != NULL);
  return ing_bring_run_finish (move, result, moved, error);
}

static void
bring (IngWorkspace *w, const char *from, IngBrought *moved)
{
  g_autoptr (IngBring) move = ing_bring_new (w);
  g_autoptr (GError) error = NULL;
  gboolean ok = run (move, from, NULL, moved, &error);
  g_assert_no_error (error);
  g_assert_true (ok);
  g_assert_cmpfloat (ing_bring_get_fraction (move), ==, 1);
  ing_bring_leave (move);
}

static void
assert_refused (IngWorkspace *w, const char *from, int code)
{
  g_autoptr (IngBring) move = ing_bring_new (w);
  g_autoptr (GError) error = NULL;
  IngBrought moved;
  guint before = n_listed (w);
  g_assert_false (run (move, from, NULL, &moved, &error));
  g_test_message ("%s", error->message);
  g_assert_error (error, ING_ERROR, code);
  g_assert_cmpuint (n_listed (w), ==, before);
  g_assert_cmpuint (moved.n_conversations, ==, 0);
}

/* ------------------------------------------------------------------ the usual */

static void
test_both_ways (void)
{
  g_autofree char *a = make_data (2), *b = make_data (1);
  g_autofree char *before = hash_file (a, "inglenook.sqlite");
  IngBrought moved;
  IngWorkspace *w = open_with_model (b);
  bring (w, a, &moved);
  g_assert_cmpuint (moved.n_conversations, ==, 2);
  g_assert_cmpuint (n_listed (w), ==, 3);
  g_autofree char *after = hash_file (a, "inglenook.sqlite");
  g_assert_cmpstr (before, ==, after); /* [1] */

  /* What came is found, read and gone on with. */
  IngConversationList *list = ing_workspace_get_conversations (w);
  g_autoptr (GAsyncResult) result = NULL;
  ing_conversation_list_search_async (list, "count 4", NULL, app_test_keep_result, &result);
  app_test_wait (result != NULL);
  g_autoptr (GListModel) hits = ing_conversation_list_search_finish (list, result, NULL);
  g_assert_cmpuint (g_list_model_get_n_items (hits), >, 0);
  ask (w, "count 9 0"); /* its number is free */
  app_test_settle (w);
  bring (w, a, &moved); /* again: nothing twice [2] */
  g_assert_cmpuint (moved.n_conversations, ==, 0);
  g_assert_cmpuint (moved.n_known_conversations, ==, 2);
  g_assert_cmpuint (n_listed (w), ==, 4);
  app_test_close (w);

  w = open_with_model (a);
  bring (w, b, &moved);
  g_assert_cmpuint (moved.n_conversations, ==, 2);
  g_assert_cmpuint (moved.n_known_conversations, ==, 2);
  g_assert_cmpuint (n_listed (w), ==, 4);
  app_test_close (w);
  w = open_with_model (a); /* it was on the disk */
  g_assert_cmpuint (n_listed (w), ==, 4);
  app_test_close (w);
}

/* Both went on with the same conversation: both texts are here afterwards. [2] */
static void
test_parted (void)
{
  g_autofree char *a = make_data (1), *b = app_test_make_folder ();
  IngBrought moved;
  IngWorkspace *w = open_with_model (b);
  bring (w, a, &moved);
  app_test_close (w);
  w = open_with_model (a);
  g_autoptr (IngConversation) c
      = g_list_model_get_item (G_LIST_MODEL (ing_workspace_get_conversations (w)), 0);
  g_autoptr (GAsyncResult) loaded = NULL;
  ing_conversation_load_async (c, NULL, app_test_keep_result, &loaded);
  app_test_wait (loaded != NULL);
  app_test_ask (c, "count 5 0");
  app_test_settle (w);
  g_clear_object (&c);
  app_test_close (w);
  w = open_with_model (b);
  bring (w, a, &moved);
  g_assert_cmpuint (moved.n_conversations, ==, 1);
  g_assert_cmpuint (n_listed (w), ==, 2);
  app_test_close (w);
}

static void
test_models (void)
{
  g_autofree char *a = make_data (1), *b = app_test_make_folder ();
  g_autofree char *one = put_model (a, "one.gguf", "first"),
                  *two = put_model (a, "two.gguf", "second");
  g_autofree char *other = g_build_filename (models, "two.gguf", NULL);
  g_assert_true (g_file_set_contents (other, "GGUFanother", -1, NULL));
  g_autofree char *link = g_build_filename (a, "models", "link.gguf", NULL);
  g_assert_cmpint (symlink ("/etc/passwd", link), ==, 0);
  g_autofree char *fake = g_build_filename (a, "models", "fake.gguf", NULL);
  g_assert_true (g_file_set_contents (fake, "not one", -1, NULL));
  IngBrought moved;
  IngWorkspace *w = open_with_model (b);
  bring (w, a, &moved);
  g_assert_cmpuint (moved.n_models, ==, 2);
  g_assert_cmpuint (moved.bytes, ==, strlen ("GGUFfirst") + strlen ("GGUFsecond"));
  g_autofree char *kept = hash_file (models, "two.gguf"),
                  *came = hash_file (models, "two (2).gguf");
  g_autofree char *theirs = hash_file (a, "models/two.gguf");
  g_assert_cmpstr (came, ==, theirs);
  g_assert_cmpstr (kept, !=, theirs);
  bring (w, a, &moved);
  g_assert_cmpuint (moved.n_models, ==, 0);
  g_assert_cmpuint (moved.n_known_models, ==, 2); /* the one with a number, too */
  app_test_close (w);
}

static void
test_settings (void)
{
  g_autofree char *a = make_data (1), *b = app_test_make_folder ();
  g_autofree char *path = g_build_filename (a, "backups", "settings.ini", NULL);
  g_assert_true (g_file_test (path, G_FILE_TEST_EXISTS)); /* left by the program at its end */
  g_assert_true (
      g_file_set_contents (path,
                           "[chat]\nsystem=Be brief\n[model]\ncontext=4096\nthreads=3\n"
                           "[network]\nproxy=http://evil.example\n[library]\nfolders=/etc\n",
                           -1, NULL));
  IngBrought moved;
  IngWorkspace *w = open_with_model (b);
  IngSettings *settings = ing_workspace_get_settings (w);
  ing_settings_set_int (settings, ING_SETTING_THREADS, 2);
  bring (w, a, &moved);
  g_assert_cmpuint (moved.n_settings, ==, 2);
  g_autofree char *system = ing_settings_dup_string (settings, ING_SETTING_SYSTEM_PROMPT, "");
  g_assert_cmpstr (system, ==, "Be brief");
  g_assert_cmpint (ing_settings_get_int (settings, ING_SETTING_CONTEXT, 0), ==, 4096);
  g_assert_cmpint (ing_settings_get_int (settings, ING_SETTING_THREADS, 0), ==, 2); /* [2] */
  g_assert_null (ing_settings_dup_string (settings, ING_SETTING_PROXY, NULL));
  g_assert_null (ing_settings_dup_string (settings, ING_SETTING_FOLDERS, NULL));
  app_test_close (w);
}

/* A Flatpak's folder, and the one the data folder is in. */
static void
test_layouts (void)
{
  g_autofree char *data = make_data (1), *b = app_test_make_folder (),
                  *home = app_test_make_folder ();
  g_autofree char *inner = g_build_filename (home, "data", NULL),
                  *there = g_build_filename (inner, "inglenook", NULL);
  IngBrought moved;
  g_assert_cmpint (g_mkdir (inner, 0700), ==, 0);
  g_assert_cmpint (g_rename (data, there), ==, 0);
  IngWorkspace *w = open_with_model (b);
  bring (w, home, &moved);
  g_assert_cmpuint (moved.n_conversations, ==, 1);
  bring (w, inner, &moved);
  g_assert_cmpuint (moved.n_known_conversations, ==, 1);
  app_test_close (w);
}

/* ------------------------------------------------------------------ what is refused */

static void
test_refused (void)
{
  g_autofree char *a = make_data (1), *b = app_test_make_folder (),
                  *empty = app_test_make_folder ();
  g_autofree char *database = g_build_filename (a, "inglenook.sqlite", NULL);
  IngWorkspace *w = open_with_model (b);
  assert_refused (w, empty, ING_ERROR_NOT_FOUND);
  assert_refused (w, b, ING_ERROR_ARGUMENT);
  IngWorkspace *other = open_with_model (a);
  assert_refused (w, a, ING_ERROR_LOCKED);
  app_test_close (other);

  g_autofree char *text = NULL;
  gsize length = 0;
  g_assert_true (g_file_get_contents (database, &text, &length, NULL));
  g_autofree char *bad = g_memdup2 (text, length);
  bad[63] = 99; /* user_version, big endian at 60 */
  g_assert_true (g_file_set_contents (database, bad, (gssize) length, NULL));
  assert_refused (w, a, ING_ERROR_DATABASE_NEWER);
  bad[63] = text[63];
  bad[68] ^= 1; /* application id */
  g_assert_true (g_file_set_contents (database, bad, (gssize) length, NULL));
  assert_refused (w, a, ING_ERROR_DATABASE_DAMAGED);
  g_assert_true (g_file_set_contents (database, text, (gssize) length / 2, NULL));
  assert_refused (w, a, ING_ERROR_DATABASE_DAMAGED);
  g_assert_true (g_file_set_contents (database, "hello", -1, NULL));
  assert_refused (w, a, ING_ERROR_DATABASE_DAMAGED);
  g_assert_cmpint (g_unlink (database), ==, 0);
  g_assert_cmpint (symlink ("/etc/passwd", database), ==, 0);
  assert_refused (w, a, ING_ERROR_NOT_FOUND);
  app_test_close (w);
}

static gpointer
spoil_func (IngDatabase *db, gpointer data, GError **error)
{
  return ing_database_script (
             db,
             "PRAGMA foreign_keys=OFF;"
             "UPDATE messages SET parent_id = 999 WHERE id = 2;"
             "UPDATE messages SET chosen_child = 777, role = 50, state = 2;"
             "UPDATE conversations SET chosen_root = 1234567, updated_us = 9223372036854775807;",
             error)
             ? db
             : NULL;
}

/* Numbers that mean nothing harm nobody. */
static void
test_nonsense (void)
{
  g_autofree char *a = make_data (2), *b = make_data (1);
  g_autofree char *text = NULL;
  IngBrought moved;
  IngDatabase *db = ing_database_new (&ing_schema);
  g_assert_true (ing_database_open_sync (db, a, NULL));
  g_assert_nonnull (ing_database_run_sync (db, spoil_func, NULL, NULL));
  ing_database_close_sync (db);
  g_object_unref (db);
  IngWorkspace *w = open_with_model (b);
  bring (w, a, &moved);
  g_assert_cmpuint (moved.n_conversations, ==, 2);
  ask (w, "count 4 0");
  app_test_settle (w);
  app_test_close (w);
  w = open_with_model (b);
  g_assert_cmpint (ing_workspace_get_storage_state (w), ==, ING_STORAGE_OK);
  g_assert_cmpuint (n_listed (w), ==, 4);
  app_test_close (w);
}

/* ------------------------------------------------------------------ removing */

static gboolean
remove_there (IngBring *move, GError **error)
{
  g_autoptr (GAsyncResult) result = NULL;
  ing_bring_remove_async (move, app_test_keep_result, &result);
  app_test_wait (result != NULL);
  return ing_bring_remove_finish (move, result, error);
}

/* ------------------------------------------------------------------ documents */

static void
wait_read (GListModel *list, guint n)
{
  app_test_wait (g_list_model_get_n_items (list) == n);
  for (guint i = 0; i < n; i++)
    {
      g_autoptr (IngDocument) document = g_list_model_get_item (list, i);
      app_test_wait (ing_document_get_state (document) >= ING_DOCUMENT_WORDS
                     && ing_document_get_fraction (document) == 1);
    }
}

static gint64
get_id (IngWorkspace *w, guint i)
{
  g_autoptr (IngConversation) c
      = g_list_model_get_item (G_LIST_MODEL (ing_workspace_get_conversations (w)), i);
  return ing_conversation_get_id (c);
}

/* A folder of data with a conversation that has a document, and one of a terminal's question. */
static char *
make_data_with_document (const char *document, const char *cached)
{
  char *folder = make_data (1);
  IngWorkspace *w = open_with_model (folder);
  IngDocumentLibrary *library = ing_workspace_get_documents (w);
  ing_document_library_add (library, get_id (w, 0), document);
  ing_document_library_add (library, 0, cached);
  wait_read (G_LIST_MODEL (library), 2);
  app_test_settle (w);
  app_test_close (w);
  return folder;
}

static char *
put_document (const char *folder, const char *name, const char *text)
{
  char *path = g_build_filename (folder, name, NULL);
  g_assert_true (g_file_set_contents (path, text, -1, NULL));
  return path;
}

static char *
dup_found (IngWorkspace *w, IngDocument *document, const char *query)
{
  IngDocumentLibrary *library = ing_workspace_get_documents (w);
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint64));
  g_autoptr (GAsyncResult) result = NULL;
  gint64 id = ing_document_get_id (document);
  g_array_append_val (ids, id);
  ing_document_library_search_async (library, ids, query, NULL, 3, 0, ING_SEARCH_WORDS, NULL,
                                     app_test_keep_result, &result);
  app_test_wait (result != NULL);
  g_autoptr (IngFound) found = ing_document_library_search_finish (library, result, NULL);
  g_assert_nonnull (found);
  return found->passages->len > 0 ? g_strdup (((IngPassage *) found->passages->pdata[0])->text)
                                  : g_strdup ("");
}

/* What was read comes with its conversation, and is found without the file, also after the other is
 * removed. */
static void
test_documents (void)
{
  g_autofree char *files = app_test_make_folder (), *b = make_data (2);
  g_autofree char *lease = put_document (files, "lease.txt",
                                         "The heat pump is serviced every spring by the landlord.");
  g_autofree char *cached = put_document (files, "cached.txt", "Nobody's own.");
  g_autofree char *a = make_data_with_document (lease, cached);
  g_autofree char *index = g_build_filename (a, "documents.sqlite", NULL);
  IngBrought moved;
  g_assert_cmpint (g_unlink (lease), ==, 0);
  IngWorkspace *w = open_with_model (b);
  IngDocumentLibrary *library = ing_workspace_get_documents (w);
  g_autoptr (IngBring) move = ing_bring_new (w);
  g_assert_true (run (move, a, NULL, &moved, NULL));
  g_assert_cmpuint (moved.n_documents, ==, 1);
  g_assert_cmpuint (g_list_model_get_n_items (G_LIST_MODEL (library)), ==, 1);
  gint64 owner = 0;
  for (guint i = 0; i < n_listed (w); i++)
    {
      g_autoptr (GListModel) list = ing_document_library_dup_list (library, get_id (w, i));
      if (g_list_model_get_n_items (list) == 1)
        owner = get_id (w, i);
    }
  g_assert_cmpint (owner, >, 0);
  g_autoptr (IngDocument) document = g_list_model_get_item (G_LIST_MODEL (library), 0);
  g_assert_cmpint (ing_document_get_state (document), >=, ING_DOCUMENT_WORDS);
  g_autofree char *text = dup_found (w, document, "Who services the heat pump?");
  g_assert_nonnull (strstr (text, "serviced every spring"));
  g_assert_true (remove_there (move, NULL));
  g_assert_false (g_file_test (index, G_FILE_TEST_EXISTS));
  g_clear_object (&move);
  g_clear_object (&document);
  app_test_close (w);

  w = open_with_model (b); /* it is on the disk, and its conversation keeps it */
  g_autoptr (IngDocument) again
      = g_list_model_get_item (G_LIST_MODEL (ing_workspace_get_documents (w)), 0);
  g_assert_nonnull (again);
  g_autofree char *later = dup_found (w, again, "Who services the heat pump?");
  g_assert_cmpstr (later, ==, text);
  g_clear_object (&again);
  app_test_close (w);
}

static char *
put_in (const char *folder, const char *below, const char *name, const char *text)
{
  g_autofree char *there = g_build_filename (folder, below, NULL);
  g_assert_cmpint (g_mkdir_with_parents (there, 0700), ==, 0);
  return put_document (there, name, text);
}

/* A collection comes with its folders, what is left out of them, and its documents; its conversation asks it here too; its
 * folder is followed. The same again is known; another one of the name gets a number. */
static void
test_collections (void)
{
  g_autofree char *files = app_test_make_folder (), *a = make_data (1), *b = make_data (2);
  g_autofree char *pump = put_in (files, "flat", "pump.txt", "The heat pump is serviced every spring.");
  g_autofree char *secret = put_in (files, "flat", "secret.txt", "Left out.");
  g_autofree char *index = g_build_filename (a, "documents.sqlite", NULL), *folder = g_path_get_dirname (pump);
  IngBrought moved;
  IngWorkspace *w = open_with_model (a);
  IngDocumentLibrary *library = ing_workspace_get_documents (w);
  IngCollections *collections = ing_document_library_get_collections (library);
  IngCollection *collection = ing_collections_create (collections, "Flat");
  ing_collections_add (collections, ing_collection_get_owner (collection), (const char *const[]){ folder, NULL });
  wait_read (G_LIST_MODEL (library), 2);
  ing_collections_remove_document (collections, ing_collection_get_owner (collection), ing_document_library_find (library, secret));
  ing_collections_set_asked (collections, get_id (w, 0), collection, TRUE);
  app_test_settle (w);
  app_test_close (w);

  w = open_with_model (b);
  library = ing_workspace_get_documents (w);
  collections = ing_document_library_get_collections (library);
  ing_collections_create (collections, "flat"); /* of no folder: another one */
  app_test_settle (w);
  g_autoptr (IngBring) move = ing_bring_new (w);
  g_assert_true (run (move, a, NULL, &moved, NULL));
  g_assert_cmpuint (moved.n_collections, ==, 1);
  g_assert_cmpuint (moved.n_documents, ==, 1);
  collection = ing_collections_find (collections, "Flat 2");
  g_assert_nonnull (collection);
  gint64 owner = ing_collection_get_owner (collection);
  g_auto (GStrv) held = ing_collections_dup_folders (collections, owner);
  g_assert_cmpuint (g_strv_length (held), ==, 1);
  g_assert_cmpstr (held[0], ==, folder);
  guint n_asking = 0;
  for (guint i = 0; i < n_listed (w); i++)
    n_asking += ing_collections_get_asked (collections, get_id (w, i), collection);
  g_assert_cmpuint (n_asking, ==, 1);
  app_test_wait (!ing_collections_is_looking (collections, owner));
  g_autoptr (GListModel) own = ing_document_library_dup_list (library, owner);
  g_assert_cmpuint (g_list_model_get_n_items (own), ==, 1); /* what was left out stays so */
  g_autofree char *lease = put_in (files, "flat", "lease.txt", "Rent is due on the third.");
  wait_read (own, 2);
  g_assert_true (remove_there (move, NULL));
  g_assert_false (g_file_test (index, G_FILE_TEST_EXISTS));
  g_clear_object (&move);
  g_clear_object (&own);
  app_test_settle (w);
  app_test_close (w);

  w = open_with_model (b); /* it is on the disk */
  collections = ing_document_library_get_collections (ing_workspace_get_documents (w));
  collection = ing_collections_find (collections, "Flat 2");
  g_assert_nonnull (collection);
  g_autoptr (GListModel) later
      = ing_document_library_dup_list (ing_workspace_get_documents (w), ing_collection_get_owner (collection));
  g_assert_cmpuint (g_list_model_get_n_items (later), ==, 2);
  g_clear_object (&later);
  app_test_close (w);
}

static void
test_collections_twice (void)
{
  g_autofree char *files = app_test_make_folder (), *a = make_data (1), *b = app_test_make_folder ();
  g_autofree char *pump = put_in (files, "flat", "pump.txt", "The heat pump is serviced every spring.");
  g_autofree char *folder = g_path_get_dirname (pump);
  IngBrought moved;
  IngWorkspace *w = open_with_model (a);
  IngCollections *collections = ing_document_library_get_collections (ing_workspace_get_documents (w));
  IngCollection *collection = ing_collections_create (collections, "Flat");
  ing_collections_add (collections, ing_collection_get_owner (collection), (const char *const[]){ folder, NULL });
  wait_read (G_LIST_MODEL (ing_workspace_get_documents (w)), 1);
  app_test_settle (w);
  app_test_close (w);
  w = open_with_model (b);
  bring (w, a, &moved);
  bring (w, a, &moved);
  g_assert_cmpuint (moved.n_collections, ==, 0);
  g_assert_cmpuint (moved.n_known_collections, ==, 1);
  collections = ing_document_library_get_collections (ing_workspace_get_documents (w));
  g_assert_cmpuint (g_list_model_get_n_items (G_LIST_MODEL (collections)), ==, 1);
  app_test_close (w);
}

static void
test_documents_twice (void)
{
  g_autofree char *files = app_test_make_folder (), *b = app_test_make_folder ();
  g_autofree char *lease = put_document (files, "lease.txt", "Rent is due on the third.");
  g_autofree char *cached = put_document (files, "cached.txt", "Nobody's own.");
  g_autofree char *a = make_data_with_document (lease, cached);
  g_autofree char *index = g_build_filename (a, "documents.sqlite", NULL);
  IngBrought moved;
  IngWorkspace *w = open_with_model (b);
  bring (w, a, &moved);
  bring (w, a, &moved);
  g_assert_cmpuint (moved.n_documents, ==, 0);
  g_assert_cmpuint (moved.n_known_documents, ==, 1);
  g_assert_cmpuint (g_list_model_get_n_items (G_LIST_MODEL (ing_workspace_get_documents (w))), ==,
                    1);

  /* An index that is damaged stays where it is, and hinders nobody. */
  g_assert_true (g_file_set_contents (index, "no index", -1, NULL));
  g_autoptr (IngBring) move = ing_bring_new (w);
  g_assert_true (run (move, a, NULL, &moved, NULL));
  g_assert_true (remove_there (move, NULL));
  g_assert_true (g_file_test (index, G_FILE_TEST_EXISTS));
  g_clear_object (&move);
  app_test_close (w);
}

/* ------------------------------------------------------------------ models in other folders */

static gpointer
model_row_func (IngDatabase *db, gpointer data, GError **error)
{
  const IngModelFileRow *row = data;
  return ing_model_file_table_write (db, row, error) ? db : NULL;
}

static gpointer
read_model_rows_func (IngDatabase *db, gpointer data, GError **error)
{
  return ing_model_file_table_read (db, error);
}

static void
test_models_elsewhere (void)
{
  g_autofree char *a = make_data (1), *b = app_test_make_folder (),
                  *other = app_test_make_folder ();
  g_autofree char *far = put_model (other, "far.gguf", "far away"),
                  *own = put_model (a, "own.gguf", "its own");
  g_autofree char *sum = hash_file (a, "models/own.gguf");
  IngModelFileRow rows[] = { { .path = far,
                               .sha256 = (char *) "00ff",
                               .uri = (char *) "https://example.org/far.gguf",
                               .bytes = 12 },
                             { .path = (char *) "/elsewhere/own.gguf",
                               .sha256 = sum,
                               .uri = (char *) "https://example.org/own.gguf",
                               .bytes = 11 } };
  IngDatabase *db = ing_database_new (&ing_schema);
  g_assert_true (ing_database_open_sync (db, a, NULL));
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    g_assert_nonnull (ing_database_run_sync (db, model_row_func, &rows[i], NULL));
  ing_database_close_sync (db);
  g_object_unref (db);

  IngBrought moved;
  IngWorkspace *w = open_with_model (b);
  g_autoptr (IngBring) move = ing_bring_new (w);
  g_assert_true (run (move, a, NULL, &moved, NULL));
  g_assert_cmpuint (moved.n_models, ==, 1);
  g_assert_cmpuint (moved.n_models_elsewhere, ==, 1);
  g_autoptr (GPtrArray) here
      = ing_database_run_sync (ing_workspace_get_database (w), read_model_rows_func, NULL, NULL);
  g_autofree char *came = g_build_filename (models, "own.gguf", NULL);
  guint n_found = 0;
  for (guint i = 0; i < here->len; i++)
    {
      const IngModelFileRow *row = here->pdata[i];
      n_found += strcmp (row->path, far) == 0 && strcmp (row->uri, rows[0].uri) == 0
                 && strcmp (row->sha256, "00ff") == 0;
      n_found += strcmp (row->path, came) == 0
                 && strcmp (row->uri, rows[1].uri) == 0; /* where it came from, too */
    }
  g_assert_cmpuint (n_found, ==, 2);
  g_assert_true (remove_there (move, NULL));
  g_assert_true (g_file_test (far, G_FILE_TEST_EXISTS));
  g_assert_false (g_file_test (own, G_FILE_TEST_EXISTS));
  g_clear_object (&move);
  app_test_close (w);
}

/* ------------------------------------------------------------------ cancelled */

static void
test_cancelled (void)
{
  g_autofree char *a = make_data (2), *b = app_test_make_folder ();
  g_autofree char *model = put_model (a, "cancel.gguf", "x"),
                  *there = g_build_filename (models, "cancel.gguf", NULL);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  IngWorkspace *w = open_with_model (b);
  g_autoptr (IngBring) move = ing_bring_new (w);
  g_autoptr (GError) error = NULL;
  IngBrought moved;
  g_cancellable_cancel (cancellable);
  g_assert_false (run (move, a, cancellable, &moved, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_false (g_file_test (there, G_FILE_TEST_EXISTS));
  g_assert_cmpuint (n_listed (w), ==, moved.n_conversations);
  g_clear_object (&move);
  bring (w, a, &moved); /* its lock was let go */
  g_assert_cmpuint (n_listed (w), ==, 2);
  app_test_close (w);
}

/* ------------------------------------------------------------------ removing */

typedef struct
{
  IngBring *move;
  GCancellable *cancellable;
  double at;
} Cancel;

static gboolean
cancel_at (gpointer data)
{
  Cancel *c = data;
  if (ing_bring_get_fraction (c->move) >= c->at)
    g_cancellable_cancel (c->cancellable);
  return G_SOURCE_CONTINUE;
}

static guint
count_parts (const char *folder)
{
  guint n = 0;
  const char *name;
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    n += g_str_has_suffix (name, ".part") || g_str_has_prefix (name, "move-");
  return n;
}

/* Wherever it is cut off: whole conversations, whole models, nothing of work left about, nothing
 * there touched, and the next try brings the rest. Where exactly the word comes is up to the
 * threads; what holds afterwards is not. */
static void
test_cancelled_on_the_way (void)
{
  static const double at[] = { 0.01, 0.1, 0.2, 0.4, 0.61 };
  g_autofree char *a = make_data (12);
  g_autofree char *before = hash_file (a, "inglenook.sqlite");
  g_autofree char *big = g_malloc0 (6 << 20);
  memset (big, 'x', (6 << 20) - 1);
  char *sums[2], *names[] = { (char *) "way-one.gguf", (char *) "way-two.gguf" };
  for (guint i = 0; i < 2; i++)
    {
      big[7] = (char) ('0' + i);
      g_free (put_model (a, names[i], big));
      g_autofree char *name = g_build_filename ("models", names[i], NULL);
      sums[i] = hash_file (a, name);
    }
  for (guint i = 0; i < G_N_ELEMENTS (at); i++)
    {
      g_autofree char *b = app_test_make_folder ();
      IngWorkspace *w = open_with_model (b);
      g_autoptr (IngBring) move = ing_bring_new (w);
      g_autoptr (GCancellable) cancellable = g_cancellable_new ();
      g_autoptr (GError) error = NULL;
      Cancel cancel = { move, cancellable, at[i] };
      IngBrought moved;
      guint source = g_timeout_add (1, cancel_at, &cancel);
      gboolean ok = run (move, a, cancellable, &moved, &error);
      g_source_remove (source);
      g_assert_true (ok || g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED));
      g_test_message ("at %g: %s, %u conversations, %u models", at[i], ok ? "done" : "cancelled",
                      moved.n_conversations, moved.n_models);
      g_assert_cmpuint (n_listed (w), ==, moved.n_conversations);
      g_assert_cmpuint (count_parts (models) + count_parts (b), ==, 0);
      g_clear_object (&move);
      app_test_close (w);
      w = open_with_model (b);
      g_assert_cmpuint (n_listed (w), ==,
                        moved.n_conversations); /* what was told is what is on the disk */
      bring (w, a, &moved);
      g_assert_cmpuint (n_listed (w), ==, 12);
      g_assert_cmpuint (moved.n_conversations + moved.n_known_conversations, ==, 12);
      g_assert_cmpuint (moved.n_models + moved.n_known_models, ==, 2);
      for (guint j = 0; j < 2; j++)
        {
          g_autofree char *came = hash_file (models, names[j]);
          g_autofree char *path = g_build_filename (models, names[j], NULL);
          g_assert_cmpstr (came, ==, sums[j]);
          g_assert_cmpint (g_unlink (path), ==, 0);
        }
      app_test_close (w);
    }
  g_autofree char *after = hash_file (a, "inglenook.sqlite");
  g_assert_cmpstr (before, ==, after); /* [1] */
  g_free (sums[0]);
  g_free (sums[1]);
}

static void
test_removed (void)
{
  g_autofree char *a = make_data (1), *b = app_test_make_folder ();
  g_autofree char *model = put_model (a, "gone.gguf", "gone"),
                  *changed = put_model (a, "changed.gguf", "old");
  g_autofree char *database = g_build_filename (a, "inglenook.sqlite", NULL);
  char *backups[3] = { NULL };
  for (guint i = 0; i < G_N_ELEMENTS (backups); i++)
    {
      g_autofree char *name = g_strdup_printf ("backups/inglenook-%u.sqlite", i + 1);
      backups[i]
          = put_document (a, name, "an older state, with a conversation that was deleted since");
    }
  IngWorkspace *w = open_with_model (b);
  g_autoptr (IngBring) move = ing_bring_new (w);
  g_autoptr (GError) error = NULL;
  IngBrought moved;
  g_assert_true (run (move, a, NULL, &moved, NULL));
  g_assert_true (g_file_test (database, G_FILE_TEST_EXISTS)); /* only when it is asked for */
  g_assert_true (g_file_set_contents (changed, "GGUFnewer", -1, NULL));
  g_assert_false (remove_there (move, &error));
  g_assert_error (error, ING_ERROR, ING_ERROR_BUSY);
  g_assert_false (g_file_test (database, G_FILE_TEST_EXISTS));
  g_assert_false (g_file_test (model, G_FILE_TEST_EXISTS));
  g_assert_true (g_file_test (changed, G_FILE_TEST_EXISTS)); /* [3] */
  for (guint i = 0; i < G_N_ELEMENTS (backups); i++)
    {
      g_assert_true (g_file_test (backups[i], G_FILE_TEST_EXISTS)); /* [3]: nobody looked at them */
      g_free (g_steal_pointer (&backups[i]));
    }
  g_clear_object (&move);
  app_test_close (w);
  w = open_with_model (a); /* an empty start, and no complaint */
  g_assert_cmpint (ing_workspace_get_storage_state (w), ==, ING_STORAGE_OK);
  g_assert_cmpuint (n_listed (w), ==, 0);
  app_test_close (w);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  models = app_test_make_folder ();
  g_setenv ("INGLENOOK_MODELS", models, TRUE);
  g_test_add_func ("/app/bring/both-ways", test_both_ways);
  g_test_add_func ("/app/bring/parted", test_parted);
  g_test_add_func ("/app/bring/models", test_models);
  g_test_add_func ("/app/bring/settings", test_settings);
  g_test_add_func ("/app/bring/layouts", test_layouts);
  g_test_add_func ("/app/bring/refused", test_refused);
  g_test_add_func ("/app/bring/nonsense", test_nonsense);
  g_test_add_func ("/app/bring/cancelled", test_cancelled);
  g_test_add_func ("/app/bring/cancelled-on-the-way", test_cancelled_on_the_way);
  g_test_add_func ("/app/bring/documents", test_documents);
  g_test_add_func ("/app/bring/documents-twice", test_documents_twice);
  g_test_add_func ("/app/bring/collections", test_collections);
  g_test_add_func ("/app/bring/collections-twice", test_collections_twice);
  g_test_add_func ("/app/bring/models-elsewhere", test_models_elsewhere);
  g_test_add_func ("/app/bring/removed", test_removed);
  return g_test_run ();
}
