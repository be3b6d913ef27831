/* SPDX-License-Identifier: Apache-2.0 */
/* What a person meets when the data folder is not as it should be. */
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "app-test.h"
#include "ing-data-lock.h"
#include "ing-database-backup.h"
#include "ing-message-private.h"

static IngConversation *
make_conversation (IngWorkspace *w, const char *question)
{
  IngConversation *c = ing_conversation_list_create (ing_workspace_get_conversations (w));
  IngMessage *answer = app_test_ask (c, question);
  g_assert_cmpint (ing_message_get_state (answer), ==, ING_MESSAGE_COMPLETE);
  return c;
}

static guint
n_listed (IngWorkspace *w)
{
  return g_list_model_get_n_items (G_LIST_MODEL (ing_workspace_get_conversations (w)));
}

static void
assert_problem (IngWorkspace *w, IngStorageState state, int code)
{
  g_assert_cmpint (ing_workspace_get_storage_state (w), ==, state);
  g_assert_error (ing_workspace_get_storage_problem (w), ING_ERROR, code);
  g_autofree char *sentence = ing_error_to_sentence (ing_workspace_get_storage_problem (w));
  g_test_message ("%s", sentence);
}

/* Whatever is wrong, a question is answered. */
static void
assert_usable (IngWorkspace *w)
{
  app_test_load (w, "/good.gguf");
  guint before = n_listed (w);
  g_autoptr (IngConversation) c = make_conversation (w, "count 3 0");
  g_assert_cmpuint (n_listed (w), ==, before + 1);
}

static void
test_locked (void)
{
  g_autofree char *folder = app_test_make_folder ();
  IngWorkspace *first = app_test_open (folder, APP_TEST_FAKE_THREAD);
  IngWorkspace *second = app_test_open (folder, APP_TEST_FAKE_THREAD);
  assert_problem (second, ING_STORAGE_MEMORY, ING_ERROR_LOCKED);
  g_assert_cmpuint (ing_error_get_needed (ing_workspace_get_storage_problem (second)), ==,
                    (guint64) getpid ());
  assert_usable (second);
  app_test_close (second);
  app_test_close (first);
  IngWorkspace *third = app_test_open (folder, APP_TEST_FAKE_THREAD);
  g_assert_cmpint (ing_workspace_get_storage_state (third), ==, ING_STORAGE_OK);
  g_assert_cmpuint (n_listed (third), ==, 0); /* the second one kept nothing */
  app_test_close (third);
}

static gboolean
release (gpointer data)
{
  ing_data_lock_free (data);
  return G_SOURCE_REMOVE;
}

/* A window waits for a question in a terminal. */
static void
test_waits_for_ask (void)
{
  g_autofree char *folder = app_test_make_folder ();
  IngDataLock *ask = ing_data_lock_take (folder, "ask", NULL);
  g_assert_nonnull (ask);
  g_timeout_add (600, release, ask);
  gint64 begun = g_get_monotonic_time ();
  IngWorkspace *w = app_test_open (folder, APP_TEST_FAKE_THREAD);
  g_assert_cmpint (g_get_monotonic_time () - begun, >=, 500000);
  g_assert_cmpint (ing_workspace_get_storage_state (w), ==, ING_STORAGE_OK);
  app_test_close (w);
}

/* "Load anyway" means the model that was asked for, not the one of the last time. */
static void
test_load_anyway (void)
{
  g_autofree char *folder = app_test_make_folder ();
  IngWorkspace *w = app_test_open (folder, APP_TEST_FAKE_THREAD);
  IngGenerationService *service = ing_workspace_get_generation (w);
  ing_workspace_load_anyway (w); /* nothing was asked for: nothing happens */
  ing_workspace_open_model (w, "/models/large.gguf", FALSE);
  app_test_wait (ing_generation_service_get_load_error (service) != NULL);
  g_assert_error (ing_generation_service_get_load_error (service), ING_ERROR, ING_ERROR_TOO_LARGE);
  ing_workspace_load_anyway (w);
  app_test_wait (ing_generation_service_get_state (service) == ING_SERVICE_READY);
  g_assert_cmpstr (ing_generation_service_get_model_path (service), ==, "/models/large.gguf");
  app_test_close (w);
}

static guint64
get_resident (int pid)
{
  g_autofree char *path = pid > 0 ? g_strdup_printf ("/proc/%d/statm", pid) : g_strdup ("/proc/self/statm");
  g_autofree char *text = NULL;
  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  return g_ascii_strtoull (strchr (text, ' '), NULL, 10) * (guint64) sysconf (_SC_PAGESIZE);
}

/* A model at rest gives back most of what it took; the next question is answered as if nothing had been. */
static void
test_rest (gconstpointer data)
{
  g_autofree char *model = ing_paths_find_default_model (NULL);
  if (model == NULL)
    {
      g_test_skip ("no starter model");
      return;
    }
  g_autofree char *folder = app_test_make_folder ();
  IngWorkspace *w = app_test_open (folder, GPOINTER_TO_INT (data));
  IngGenerationService *service = ing_workspace_get_generation (w);
  g_autoptr (IngConversation) c = ing_conversation_list_create (ing_workspace_get_conversations (w));
  IngSampling sampling;
  ing_sampling_init (&sampling);
  sampling.max_tokens = 8;
  ing_conversation_set_sampling (c, &sampling);
  app_test_load (w, model);
  g_assert_no_error (ing_message_get_error (app_test_ask (c, "Count from one to nine.")));
  int pid = ing_generation_service_get_engine_pid (service);
  guint64 with = get_resident (pid);
  ing_generation_service_set_idle_unload (service, 1);
  app_test_wait (ing_generation_service_get_resting (service));
  app_test_run_ms (500);
  guint64 resting = get_resident (pid);
  g_test_message ("with it %.1f MB, at rest %.1f MB", with / 1e6, resting / 1e6);
  g_assert_cmpuint (with, >, resting + 20000000);
  ing_generation_service_set_idle_unload (service, 0);
  IngMessage *answer = app_test_ask (c, "And on.");
  g_assert_no_error (ing_message_get_error (answer));
  g_assert_cmpuint (ing_message_get_n_tokens (answer), >, 0);
  app_test_close (w);
}

static void
test_newer (void)
{
  g_autofree char *folder = app_test_make_folder ();
  app_test_close (app_test_open (folder, APP_TEST_FAKE_THREAD));
  g_autofree char *path = g_build_filename (folder, "inglenook.sqlite", NULL);
  int fd = g_open (path, O_WRONLY, 0);
  const guint8 version[4] = { 0, 0, 3, 231 };
  g_assert_cmpint (pwrite (fd, version, 4, 60), ==, 4);
  close (fd);
  IngWorkspace *w = app_test_open (folder, APP_TEST_FAKE_THREAD);
  assert_problem (w, ING_STORAGE_MEMORY, ING_ERROR_DATABASE_NEWER);
  g_assert_cmpuint (ing_error_get_needed (ing_workspace_get_storage_problem (w)), ==, 999);
  assert_usable (w);
  app_test_close (w);
}

static void
restore (IngWorkspace *w, gboolean from_backup, gboolean works)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  ing_workspace_restore_async (w, from_backup, app_test_keep_result, &result);
  app_test_wait (result != NULL);
  g_assert_true (ing_workspace_restore_finish (w, result, &error) == works);
}

static void
back_up (IngWorkspace *w)
{
  g_autoptr (GAsyncResult) result = NULL;
  ing_database_backup_async (ing_workspace_get_database (w), TRUE, NULL, app_test_keep_result,
                             &result);
  app_test_wait (result != NULL);
  g_assert_true (ing_database_backup_finish (ing_workspace_get_database (w), result, NULL));
}

static void
test_damaged (void)
{
  g_autofree char *folder = app_test_make_folder ();
  g_autofree char *path = g_build_filename (folder, "inglenook.sqlite", NULL);
  IngWorkspace *w = app_test_open (folder, APP_TEST_FAKE_THREAD);
  app_test_load (w, "/good.gguf");
  g_object_unref (make_conversation (w, "count 1 0"));
  back_up (w);
  g_object_unref (make_conversation (w, "count 2 0"));
  restore (w, TRUE, FALSE); /* nothing is wrong: refused */
  app_test_close (w);
  g_assert_true (g_file_set_contents (path, "not a database at all, by no means", -1, NULL));

  w = app_test_open (folder, APP_TEST_FAKE_THREAD);
  assert_problem (w, ING_STORAGE_MEMORY, ING_ERROR_DATABASE_DAMAGED);
  g_assert_cmpint (ing_workspace_get_backup_time (w), >, 0);
  assert_usable (w);
  restore (w, TRUE, TRUE);
  g_assert_cmpint (ing_workspace_get_storage_state (w), ==, ING_STORAGE_OK);
  g_assert_null (ing_workspace_get_storage_problem (w));
  g_assert_cmpuint (n_listed (w), ==, 1);
  assert_usable (w);
  app_test_close (w);

  /* Without any backup: an empty one, if the person wants so. */
  g_autofree char *newest = g_build_filename (folder, "backups", "inglenook-1.sqlite", NULL);
  g_assert_cmpint (g_unlink (newest), ==, 0);
  g_assert_true (g_file_set_contents (path, "x", -1, NULL));
  w = app_test_open (folder, APP_TEST_FAKE_THREAD);
  g_assert_cmpint (ing_workspace_get_backup_time (w), ==, 0);
  restore (w, TRUE, FALSE);
  g_assert_cmpint (ing_workspace_get_storage_state (w), ==, ING_STORAGE_MEMORY);
  restore (w, FALSE, TRUE);
  g_assert_cmpint (ing_workspace_get_storage_state (w), ==, ING_STORAGE_OK);
  g_assert_cmpuint (n_listed (w), ==, 0);
  app_test_close (w);
}

static void
test_no_folder (void)
{
  IngWorkspace *w = app_test_open ("/proc/nowhere/inglenook", APP_TEST_FAKE_THREAD);
  g_assert_cmpint (ing_workspace_get_storage_state (w), ==, ING_STORAGE_MEMORY);
  g_assert_nonnull (ing_workspace_get_storage_problem (w));
  assert_usable (w);
  app_test_close (w);
}

static gpointer
limit_func (IngDatabase *db, gpointer data, GError **error)
{
  return ing_database_script (db, data, error) ? db : NULL;
}

/* The disk fills up in the middle of an answer: it goes on, says so, and is saved once there is room. */
static void
test_full (void)
{
  g_autofree char *folder = app_test_make_folder ();
  IngWorkspace *w = app_test_open (folder, APP_TEST_FAKE_THREAD);
  IngDatabase *db = ing_workspace_get_database (w);
  app_test_load (w, "/good.gguf");
  g_autoptr (IngConversation) c
      = ing_conversation_list_create (ing_workspace_get_conversations (w));
  IngMessage *answer = ing_conversation_send (c, "count 6000 0", NULL);
  app_test_wait (ing_message_get_state (answer) == ING_MESSAGE_STREAMING
                 || ing_message_get_state (answer) == ING_MESSAGE_COMPLETE);
  g_assert_nonnull (ing_database_run_sync (db, limit_func, "PRAGMA max_page_count = 1", NULL));
  app_test_wait (ing_workspace_get_storage_state (w) == ING_STORAGE_FAILING);
  assert_problem (w, ING_STORAGE_FAILING, ING_ERROR_DISK_FULL);
  app_test_wait_idle (c);
  g_assert_cmpint (ing_message_get_state (answer), ==, ING_MESSAGE_COMPLETE);
  /* A new question is not lost either, though not answered before it is on the disk. */
  IngMessage *second = app_test_ask (c, "count 2 0");
  g_assert_error (ing_message_get_error (second), ING_ERROR, ING_ERROR_DISK_FULL);
  g_assert_nonnull (ing_database_run_sync (db, limit_func, "PRAGMA max_page_count = 1000000", NULL));
  app_test_wait (ing_workspace_get_storage_state (w) == ING_STORAGE_OK);
  ing_conversation_continue (c, second);
  app_test_wait_idle (c);
  g_assert_cmpint (ing_message_get_state (second), ==, ING_MESSAGE_COMPLETE);
  g_autofree char *said = ing_message_dup_text (answer);
  g_clear_object (&c);
  app_test_close (w);

  w = app_test_open (folder, APP_TEST_FAKE_THREAD);
  c = g_list_model_get_item (G_LIST_MODEL (ing_workspace_get_conversations (w)), 0);
  g_autoptr (GAsyncResult) result = NULL;
  ing_conversation_load_async (c, NULL, app_test_keep_result, &result);
  app_test_wait (result != NULL);
  g_autofree char *kept = app_test_dup_text (c, 1), *question = app_test_dup_text (c, 2);
  g_assert_cmpstr (kept, ==, said);
  g_assert_cmpstr (question, ==, "count 2 0");
  g_clear_object (&c);
  app_test_close (w);
}

/* A real one: no byte free, and read-only. */
static void
test_mounts (void)
{
  g_autofree char *folder = app_test_make_folder ();
  if (getuid () != 0 || mount ("tmpfs", folder, "tmpfs", 0, "size=2m") != 0)
    {
      g_test_skip ("cannot mount");
      return;
    }
  IngWorkspace *w = app_test_open (folder, APP_TEST_FAKE_THREAD);
  app_test_load (w, "/good.gguf");
  g_object_unref (make_conversation (w, "count 1 0"));
  app_test_close (w);
  g_autofree char *ballast = g_build_filename (folder, "ballast", NULL);
  int fd = g_open (ballast, O_WRONLY | O_CREAT, 0600);
  char block[512] = "";
  while (write (fd, block, sizeof block) > 0)
    ;
  close (fd);
  w = app_test_open (folder, APP_TEST_FAKE_THREAD);
  g_assert_cmpuint (n_listed (w), ==, 1); /* starts, and shows what is there */
  app_test_close (w);
  g_unlink (ballast);
  g_assert_cmpint (mount (NULL, folder, NULL, MS_REMOUNT | MS_RDONLY, "size=2m"), ==, 0);
  w = app_test_open (folder, APP_TEST_FAKE_THREAD);
  assert_problem (w, ING_STORAGE_MEMORY, ING_ERROR_READ_ONLY);
  g_assert_cmpuint (n_listed (w), ==, 1);
  assert_usable (w);
  app_test_close (w);
  g_assert_cmpint (umount (folder), ==, 0);
}

/* Closed in the middle of an answer: stopped, and all of it kept. */
static void
test_close_busy (void)
{
  g_autofree char *folder = app_test_make_folder ();
  IngWorkspace *w = app_test_open (folder, APP_TEST_FAKE_CHILD);
  app_test_load (w, "/good.gguf");
  g_autoptr (IngConversation) c
      = ing_conversation_list_create (ing_workspace_get_conversations (w));
  IngMessage *answer = ing_conversation_send (c, "count 100000 2", NULL);
  app_test_wait (ing_message_get_n_parts (answer) > 0
                 && ing_part_get_text_bytes (ing_message_get_part (answer, 0)) > 100);
  g_autoptr (IngMessage) held = g_object_ref (answer);
  gint64 begun = g_get_monotonic_time ();
  app_test_close (w);
  g_assert_cmpint (g_get_monotonic_time () - begun, <, 2 * G_USEC_PER_SEC);
  g_autofree char *said = ing_message_dup_text (held);
  g_clear_object (&held);
  g_clear_object (&c);
  w = app_test_open (folder, APP_TEST_FAKE_THREAD);
  c = g_list_model_get_item (G_LIST_MODEL (ing_workspace_get_conversations (w)), 0);
  g_autoptr (GAsyncResult) result = NULL;
  ing_conversation_load_async (c, NULL, app_test_keep_result, &result);
  app_test_wait (result != NULL);
  g_autoptr (IngMessage) kept = g_list_model_get_item (ing_conversation_list_messages (c), 1);
  g_assert_cmpint (ing_message_get_state (kept), ==, ING_MESSAGE_STOPPED);
  g_autofree char *text = ing_message_dup_text (kept);
  g_assert_cmpstr (text, ==, said);
  g_clear_object (&kept);
  g_clear_object (&c);
  app_test_close (w);
}

/* 5000 conversations: the list opens without the main thread standing still. */
static gpointer
many_func (IngDatabase *db, gpointer data, GError **error)
{
  return ing_database_script (
             db,
             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)"
             " INSERT INTO conversations(id, title, title_source, created_us, updated_us)"
             "  SELECT i, 'Conversation ' || i, 2, i, i FROM n;"
             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
             " INSERT INTO messages(id, conversation_id, role, state, created_us)"
             "  SELECT i, (i % 5000) + 1, 1, 3, i FROM n;",
             error)
             ? db
             : NULL;
}

static gint64 last_tick_us, longest_us;

static gboolean
on_tick (gpointer data)
{
  gint64 now = g_get_monotonic_time ();
  longest_us = MAX (longest_us, now - last_tick_us);
  last_tick_us = now;
  return G_SOURCE_CONTINUE;
}

static void
test_many (void)
{
  g_autofree char *folder = app_test_make_folder ();
  IngWorkspace *w = app_test_open (folder, APP_TEST_FAKE_THREAD);
  g_autoptr (GError) error = NULL;
  ing_database_run_sync (ing_workspace_get_database (w), many_func, NULL, &error);
  g_assert_no_error (error);
  app_test_close (w);
  longest_us = 0;
  last_tick_us = g_get_monotonic_time ();
  guint tick = g_timeout_add_full (G_PRIORITY_HIGH, 1, on_tick, NULL, NULL);
  w = app_test_open (folder, APP_TEST_FAKE_THREAD);
  app_test_run_ms (20);
  g_source_remove (tick);
  g_assert_cmpuint (n_listed (w), ==, 5000);
  g_test_message ("longest pause of the main loop: %.1f ms", longest_us / 1000.0);
  g_autoptr (IngConversation) first
      = g_list_model_get_item (G_LIST_MODEL (ing_workspace_get_conversations (w)), 0);
  g_assert_cmpstr (ing_conversation_get_title (first), ==, "Conversation 5000");
  g_clear_object (&first);
  app_test_close (w);
  if (g_test_perf ())
    g_assert_cmpint (longest_us, <, 50000);
}

/* Was the vector of a text made on the processor, by @threads? */
static gboolean
is_on_cpu (IngWorkspace *w, guint threads)
{
  JsonObject *payload = json_object_new ();
  JsonArray *texts = json_array_new ();
  json_array_add_string_element (texts, "tea");
  json_object_set_array_member (payload, "texts", texts);
  g_autoptr (GAsyncResult) result = NULL;
  ing_generation_service_request_async (ing_workspace_get_generation (w), ENG_WIRE_EMBED, payload, NULL, app_test_keep_result,
                                        &result);
  app_test_wait (result != NULL);
  g_autoptr (IngEngineReply) reply
      = ing_generation_service_request_finish (ing_workspace_get_generation (w), result, NULL);
  const float *vector = (const float *) ((const guint8 *) g_bytes_get_data (reply->binary, NULL) + 8);
  g_assert_cmpfloat (vector[3], ==, threads);
  return vector[1] > 0;
}

/* What reads documents runs where the person wants models to run, on as many threads. */
static void
test_vector_device (void)
{
  g_autofree char *folder = app_test_make_folder ();
  IngWorkspace *w = app_test_open (folder, APP_TEST_FAKE_THREAD);
  g_assert_false (is_on_cpu (w, 0));
  ing_settings_set_string (ing_workspace_get_settings (w), ING_SETTING_DEVICE, "cpu");
  g_assert_true (is_on_cpu (w, 0));
  ing_settings_set_int (ing_workspace_get_settings (w), ING_SETTING_THREADS, 3);
  g_assert_true (is_on_cpu (w, 3));
  app_test_close (w);
  w = app_test_open (folder, APP_TEST_FAKE_THREAD);
  g_assert_true (is_on_cpu (w, 3));
  /* Written by hand: what the engine would refuse is none that goes to it. */
  ing_settings_set_int (ing_workspace_get_settings (w), ING_SETTING_THREADS, 100000);
  g_assert_true (is_on_cpu (w, ING_MAX_THREADS));
  app_test_close (w);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/app/workspace/locked", test_locked);
  g_test_add_func ("/app/workspace/waits-for-ask", test_waits_for_ask);
  g_test_add_func ("/app/workspace/load-anyway", test_load_anyway);
  g_test_add_data_func ("/app/workspace/rest/thread", GINT_TO_POINTER (APP_TEST_REAL_THREAD), test_rest);
  g_test_add_data_func ("/app/workspace/rest/child", GINT_TO_POINTER (APP_TEST_REAL_CHILD), test_rest);
  g_test_add_func ("/app/workspace/newer", test_newer);
  g_test_add_func ("/app/workspace/damaged", test_damaged);
  g_test_add_func ("/app/workspace/no-folder", test_no_folder);
  g_test_add_func ("/app/workspace/full", test_full);
  g_test_add_func ("/app/workspace/mounts", test_mounts);
  g_test_add_func ("/app/workspace/close-busy", test_close_busy);
  g_test_add_func ("/app/workspace/many", test_many);
  g_test_add_func ("/app/workspace/vector-device", test_vector_device);
  return g_test_run ();
}
