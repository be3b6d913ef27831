/* SPDX-License-Identifier: Apache-2.0 */
/* Data of one installation brought to another: both ways, twice, from a stranger, cancelled, removed. Numbers in brackets are
 * the invariants of ing-bring.h. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "app-test.h"
#include "ing-database.h"
#include "ing-bring.h"
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
  g_autoptr (IngConversation) c = ing_conversation_list_create (ing_workspace_get_conversations (w));
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
  g_autoptr (IngConversation) c = g_list_model_get_item (G_LIST_MODEL (ing_workspace_get_conversations (w)), 0);
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
  g_autofree char *one = put_model (a, "one.gguf", "first"), *two = put_model (a, "two.gguf", "second");
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
  g_autofree char *kept = hash_file (models, "two.gguf"), *came = hash_file (models, "two (2).gguf");
  g_autofree char *theirs = hash_file (a, "models/two.gguf");
  g_assert_cmpstr (came, ==, theirs);
  g_assert_cmpstr (kept, !=, theirs);
  bring (w, a, &moved);
  g_assert_cmpuint (moved.n_known_models, >=, 1);
  app_test_close (w);
}

static void
test_settings (void)
{
  g_autofree char *a = make_data (1), *b = app_test_make_folder ();
  g_autofree char *path = g_build_filename (a, "backups", "settings.ini", NULL);
  g_assert_true (g_file_test (path, G_FILE_TEST_EXISTS)); /* left by the program at its end */
  g_assert_true (g_file_set_contents (path,
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
  g_autofree char *data = make_data (1), *b = app_test_make_folder (), *home = app_test_make_folder ();
  g_autofree char *inner = g_build_filename (home, "data", NULL), *there = g_build_filename (inner, "inglenook", NULL);
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
  g_autofree char *a = make_data (1), *b = app_test_make_folder (), *empty = app_test_make_folder ();
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
  return ing_database_script (db,
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

static void
test_cancelled (void)
{
  g_autofree char *a = make_data (2), *b = app_test_make_folder ();
  g_autofree char *model = put_model (a, "cancel.gguf", "x"), *there = g_build_filename (models, "cancel.gguf", NULL);
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

static gboolean
remove_there (IngBring *move, GError **error)
{
  g_autoptr (GAsyncResult) result = NULL;
  ing_bring_remove_async (move, app_test_keep_result, &result);
  app_test_wait (result != NULL);
  return ing_bring_remove_finish (move, result, error);
}

static void
test_removed (void)
{
  g_autofree char *a = make_data (1), *b = app_test_make_folder ();
  g_autofree char *model = put_model (a, "gone.gguf", "gone"), *changed = put_model (a, "changed.gguf", "old");
  g_autofree char *database = g_build_filename (a, "inglenook.sqlite", NULL);
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
  g_test_add_func ("/app/bring/removed", test_removed);
  return g_test_run ();
}
