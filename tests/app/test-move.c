/* SPDX-License-Identifier: Apache-2.0 */
/* Moving models to another folder, on the same file system and on another. */
#include <glib/gstdio.h>
#include <string.h>

#include "app-test.h"
#include "ing-move.h"

static gboolean
job_ended (IngJob *job)
{
  return ing_job_get_state (job) != ING_JOB_QUEUED && ing_job_get_state (job) != ING_JOB_RUNNING;
}

static guint
n_files (const char *folder)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  guint n = 0;
  while (dir != NULL && g_dir_read_name (dir) != NULL)
    n++;
  return n;
}

/* A set of two files that the program copied in, and a conversation that uses it. */
static IngModelFile *
import_split (IngWorkspace *workspace, const char *folder)
{
  IngLibrary *library = ing_workspace_get_library (workspace);
  for (int i = 1; i <= 2; i++)
    {
      g_autofree char *name = g_strdup_printf ("set-%05d-of-00002.gguf", i);
      g_autofree char *path = g_build_filename (folder, name, NULL);
      g_autoptr (GString) bytes = g_string_new ("GGUF");
      for (int j = 0; j < 300000 * i; j++)
        g_string_append_printf (bytes, "%d", j);
      g_assert_true (g_file_set_contents (path, bytes->str, (gssize) bytes->len, NULL));
    }
  g_autofree char *first = g_build_filename (folder, "set-00001-of-00002.gguf", NULL);
  g_autoptr (IngJob) job = ing_library_import (library, first);
  app_test_wait (job_ended (job));
  g_assert_cmpint (ing_job_get_state (job), ==, ING_JOB_DONE);
  IngModelFile *file = NULL;
  app_test_wait ((file = app_test_find_file (library, "set-00001-of-00002.gguf")) != NULL);
  return file;
}

static gboolean
is_listed_at (IngLibrary *library, const char *path)
{
  g_autoptr (IngModelFile) file = app_test_find_file (library, "set-00001-of-00002.gguf");
  return file != NULL && strcmp (ing_model_file_get_path (file), path) == 0;
}

static void
on_moved (IngLibrary *library, const char *path, const char *new_path, gpointer data)
{
  g_string_append_printf (data, "%s>%s", path, new_path);
}

/* To @target and back to @folder: everything that names the model follows it, nothing is left, nothing is replaced. */
static void
move_there (const char *target)
{
  g_autofree char *folder = app_test_make_folder ();
  g_autofree char *data = app_test_make_folder ();
  IngWorkspace *workspace = app_test_open (data, APP_TEST_FAKE_THREAD);
  IngLibrary *library = ing_workspace_get_library (workspace);
  ing_job_queue_resume (ing_workspace_get_jobs (workspace));
  g_autoptr (IngModelFile) file = import_split (workspace, folder);
  g_autofree char *path = g_strdup (ing_model_file_get_path (file));
  g_autofree char *old = g_path_get_dirname (path);
  g_autofree char *new_path = g_build_filename (target, "set-00001-of-00002.gguf", NULL);
  g_autofree char *second = g_build_filename (target, "set-00002-of-00002.gguf", NULL);
  g_autofree char *bytes = NULL, *moved_bytes = NULL;
  gsize n, n_moved;
  g_assert_true (g_file_get_contents (path, &bytes, &n, NULL));
  g_autoptr (IngConversation) c = ing_conversation_list_create (ing_workspace_get_conversations (workspace));
  ing_conversation_set_model_path (c, path);
  app_test_ask (c, "count 2 0");
  g_auto (IngModelDefaults) defaults;
  ing_model_defaults_read (&defaults, ing_workspace_get_settings (workspace), path);
  defaults.context = 1234;
  ing_model_defaults_write (&defaults, ing_workspace_get_settings (workspace), path);
  guint n_before = n_files (old);

  /* A name that is taken. */
  g_assert_true (g_file_set_contents (second, "mine", -1, NULL));
  g_autoptr (IngJob) refused = ing_library_move (library, file, target);
  app_test_wait (job_ended (refused));
  g_assert_cmpint (ing_job_get_state (refused), ==, ING_JOB_FAILED);
  g_assert_error (ing_job_get_error (refused), ING_ERROR, ING_ERROR_EXISTS);
  g_assert_cmpuint (n_files (target), ==, 1);
  g_assert_cmpuint (n_files (old), ==, n_before);
  g_remove (second);

  g_autoptr (GString) moved = g_string_new (NULL);
  g_signal_connect (library, "moved", G_CALLBACK (on_moved), moved);
  g_autoptr (IngJob) job = ing_library_move (library, file, target);
  app_test_wait (job_ended (job));
  g_assert_no_error (ing_job_get_error (job));
  g_assert_cmpint (ing_job_get_state (job), ==, ING_JOB_DONE);
  g_assert_cmpuint (n_files (target), ==, 2);
  g_assert_cmpuint (n_files (old), ==, n_before - 2);
  g_assert_true (g_file_get_contents (new_path, &moved_bytes, &n_moved, NULL));
  g_assert_cmpmem (bytes, n, moved_bytes, n_moved);
  g_assert_cmpstr (ing_conversation_get_model_path (c), ==, new_path);
  ing_model_defaults_clear (&defaults);
  ing_model_defaults_read (&defaults, ing_workspace_get_settings (workspace), new_path);
  g_assert_cmpuint (defaults.context, ==, 1234);
  app_test_wait (is_listed_at (library, new_path));
  g_autoptr (IngModelFile) there = app_test_find_file (library, "set-00001-of-00002.gguf");
  g_assert_true (ing_model_file_get_is_own (there)); /* and can be moved on */
  g_assert_nonnull (strstr (moved->str, new_path));
  g_signal_handlers_disconnect_by_data (library, moved);

  /* A drive that is not connected: it waits, and nothing is lost. */
  g_autofree char *absent = g_build_filename (target, "absent", NULL);
  g_autoptr (IngJob) waiting = ing_library_move (library, there, absent);
  app_test_wait (job_ended (waiting));
  g_assert_cmpint (ing_job_get_state (waiting), ==, ING_JOB_PAUSED);
  g_assert_error (ing_job_get_error (waiting), ING_ERROR, ING_ERROR_NOT_CONNECTED);
  g_assert_cmpint (g_mkdir (absent, 0700), ==, 0);
  ing_job_queue_retry (ing_workspace_get_jobs (workspace), waiting);
  app_test_wait (job_ended (waiting));
  g_assert_cmpint (ing_job_get_state (waiting), ==, ING_JOB_DONE);
  g_assert_cmpuint (n_files (absent), ==, 2);
  app_test_close (workspace);
}

static void
test_move_same (void)
{
  g_autofree char *target = app_test_make_folder ();
  move_there (target);
}

/* A folder of another file system than the tests' own, as another drive is; NULL after a skip. */
static char *
make_other_drive (void)
{
  g_autofree char *here = app_test_make_folder ();
  char *other = g_strdup ("/dev/shm/inglenook-test-XXXXXX");
  GStatBuf a, b;
  if (g_mkdtemp (other) != NULL && g_stat (here, &a) == 0 && g_stat (other, &b) == 0 && a.st_dev != b.st_dev)
    return other;
  g_rmdir (other);
  g_free (other);
  g_test_skip ("no second file system");
  return NULL;
}

static void
remove_tree (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *child = g_build_filename (path, name, NULL);
      remove_tree (child);
    }
  g_remove (path);
}

static void
test_move_drive (void)
{
  g_autofree char *target = make_other_drive ();
  if (target == NULL)
    return;
  move_there (target);
  remove_tree (target);
}

/* Ended at any step, it goes on with what is there; a copy that is not as the file never gets its name. */
static void
test_move_resumes (void)
{
  g_autofree char *target = make_other_drive ();
  if (target == NULL)
    return;
  g_autofree char *folder = app_test_make_folder ();
  g_autofree char *path = g_build_filename (folder, "one.gguf", NULL);
  g_autofree char *part = g_build_filename (target, "one.gguf.move.part", NULL);
  g_autofree char *final = g_build_filename (target, "one.gguf", NULL);
  g_autofree char *bytes = g_malloc (3000000);
  g_autoptr (GError) error = NULL;
  for (int i = 0; i < 3000000; i++)
    bytes[i] = (char) (i * 7 + i / 251);
  g_assert_true (g_file_set_contents (path, bytes, 3000000, NULL));

  bytes[1000] ^= 1; /* what is there of the copy is wrong, as after a power cut */
  g_assert_true (g_file_set_contents (part, bytes, 2000000, NULL));
  bytes[1000] ^= 1;
  g_assert_null (ing_move_copy (path, target, NULL, NULL, &error));
  g_assert_error (error, ING_ERROR, ING_ERROR_HASH);
  g_clear_error (&error);
  g_assert_cmpuint (n_files (target), ==, 0);

  g_autoptr (GCancellable) cancelled = g_cancellable_new ();
  g_cancellable_cancel (cancelled);
  g_assert_null (ing_move_copy (path, target, NULL, cancelled, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  g_assert_true (g_file_test (path, G_FILE_TEST_EXISTS));
  g_assert_false (g_file_test (final, G_FILE_TEST_EXISTS));

  g_assert_true (g_file_set_contents (part, bytes, 2000000, NULL)); /* as it was when it was paused */
  g_autoptr (GPtrArray) made = ing_move_copy (path, target, NULL, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (g_file_test (path, G_FILE_TEST_EXISTS)); /* until everything that names it has followed */
  g_assert_cmpstr (g_ptr_array_index (made, 0), ==, final);
  g_autofree char *copied = NULL;
  gsize n;
  g_assert_true (g_file_get_contents (final, &copied, &n, NULL));
  g_assert_cmpmem (copied, n, bytes, 3000000);
  g_assert_true (ing_move_remove_sources (path, made, &error));
  g_assert_false (g_file_test (path, G_FILE_TEST_EXISTS));
  remove_tree (target);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_autofree char *models = app_test_make_folder (), *config = app_test_make_folder ();
  g_setenv ("INGLENOOK_MODELS", models, TRUE);
  g_setenv ("XDG_CONFIG_HOME", config, TRUE);
  g_test_add_func ("/move/same-drive", test_move_same);
  g_test_add_func ("/move/other-drive", test_move_drive);
  g_test_add_func ("/move/resumes", test_move_resumes);
  return g_test_run ();
}
