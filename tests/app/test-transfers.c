/* SPDX-License-Identifier: Apache-2.0 */
/* Quantizing and converting as jobs, with the engine's program. Where a job must be met half way, a script stands before
 * the program: for inputs called "slow" it writes a part and waits for a file "IN.go". */
#include <glib/gstdio.h>
#include <string.h>

#include "app-test.h"

static const char *models;

/* @data below the folder of test data. Returns @to. */
static char *
copy_data (const char *data, char *to)
{
  g_autofree char *from = g_build_filename (g_getenv ("INGLENOOK_TEST_DATA"), data, NULL);
  g_autofree char *bytes = NULL;
  gsize n;
  g_assert_true (g_file_get_contents (from, &bytes, &n, NULL));
  g_assert_true (g_file_set_contents (to, bytes, (gssize) n, NULL));
  return to;
}

static char *
copy_model (const char *name)
{
  return copy_data ("tiny.gguf", g_build_filename (models, name, NULL));
}

/* A folder as a hub has it, below a folder of its own. */
static char *
make_hub_folder (void)
{
  g_autofree char *root = app_test_make_folder ();
  char *folder = g_build_filename (root, "little-llama", NULL);
  g_assert_cmpint (g_mkdir (folder, 0700), ==, 0);
  g_free (copy_data ("convert/llama/config.json", g_build_filename (folder, "config.json", NULL)));
  g_free (copy_data ("convert/llama/model.safetensors", g_build_filename (folder, "model.safetensors", NULL)));
  g_free (copy_data ("convert/tokenizers/llama-3.json", g_build_filename (folder, "tokenizer.json", NULL)));
  return folder;
}

/* Files of the folder of models whose names have @part in them. */
static guint
count_files (const char *part)
{
  g_autoptr (GDir) dir = g_dir_open (models, 0, NULL);
  const char *name;
  guint n = 0;
  while ((name = g_dir_read_name (dir)) != NULL)
    n += strstr (name, part) != NULL;
  return n;
}

static gboolean
has_own (IngLibrary *library, const char *name)
{
  g_autoptr (IngModelFile) file = app_test_find_file (library, name);
  return file != NULL && ing_model_file_get_is_own (file);
}

static IngWorkspace *
open_workspace (AppTestEngine engine)
{
  g_autofree char *folder = app_test_make_folder ();
  IngWorkspace *workspace = app_test_open (folder, engine);
  ing_job_queue_resume (ing_workspace_get_jobs (workspace));
  return workspace;
}

static void
test_quantize (void)
{
  IngWorkspace *workspace = open_workspace (APP_TEST_REAL_THREAD);
  IngLibrary *library = ing_workspace_get_library (workspace);
  g_autofree char *in = copy_model ("tiny-F16.gguf");
  g_autoptr (IngJob) job = ing_transfers_quantize (ing_library_get_transfers (library), in, "Q8_0");
  app_test_wait (ing_job_get_state (job) == ING_JOB_DONE || ing_job_get_state (job) == ING_JOB_FAILED);
  g_assert_no_error (ing_job_get_error (job));
  g_autofree char *path = ing_downloads_dup_final_path (job);
  g_autofree char *expected = g_build_filename (models, "tiny-Q8_0.gguf", NULL);
  g_assert_cmpstr (path, ==, expected);
  g_assert_true (g_file_test (path, G_FILE_TEST_EXISTS));
  g_assert_cmpuint (count_files (".part"), ==, 0);

  /* As large as was said before. */
  g_autoptr (GAsyncResult) looked = NULL;
  ing_local_inspect_async (ing_workspace_get_generation (workspace), in, 0, NULL, app_test_keep_result, &looked);
  app_test_wait (looked != NULL);
  g_autofree char *json = ing_local_inspect_finish (looked, NULL);
  g_auto (IngModelFacts) facts;
  GStatBuf st;
  ing_model_facts_from_json (&facts, json);
  g_assert_cmpint (g_stat (path, &st), ==, 0);
  gint64 said = (gint64) ing_model_facts_get_size (&facts, "Q8_0");
  g_assert_cmpint (ABS (said - st.st_size), <=, 256);
  g_assert_cmpuint (ing_model_facts_get_size (&facts, "no such type"), ==, 0);

  /* It is in the library as our own, and known by its hash. */
  app_test_wait (has_own (library, "tiny-Q8_0.gguf"));
  g_autoptr (IngModelFile) file = app_test_find_file (library, "tiny-Q8_0.gguf");
  g_assert_nonnull (ing_model_file_get_sha256 (file));

  /* Once more: nothing is replaced. */
  g_autoptr (IngJob) again = ing_transfers_quantize (ing_library_get_transfers (library), in, "Q8_0");
  app_test_wait (ing_job_get_state (again) == ING_JOB_DONE);
  g_autofree char *second = ing_downloads_dup_final_path (again);
  g_assert_true (g_str_has_suffix (second, "tiny-Q8_0 (2).gguf"));
  app_test_close (workspace);
}

/* What a program that reads the lines is told: when the quality is measured, before and after the writing. */
static void
test_phases (void)
{
  g_autofree char *in = copy_model ("large-F16.gguf"), *out = g_strconcat (in, ".small.gguf", NULL);
  g_autofree char *words = NULL, *unused = NULL;
  g_autoptr (GError) error = NULL;
  int status = -1;
  const char *argv[] = { g_getenv ("INGLENOOK_ENGINE"), "quantize", in, out, "Q8_0", "--measure", "--progress", "--json", NULL };
  g_assert_true (g_spawn_sync (NULL, (char **) argv, NULL, 0, NULL, NULL, &unused, &words, &status, &error));
  g_assert_no_error (error);
  g_assert_cmpint (status, ==, 0);
  const char *first = strstr (words, "phase measuring\n");
  g_assert_nonnull (first);
  const char *between = strstr (first, "phase writing\n");
  g_assert_nonnull (between);
  const char *second = strstr (between, "phase measuring\n");
  g_assert_nonnull (second);
  g_assert_nonnull (strstr (second, "phase writing\n"));
  g_assert_cmpint (g_remove (out), ==, 0);
}

/* Into a size, by measured error; what came out stands in the file beside the original's, and a size that is too small names
 * the smallest. */
static void
test_target (void)
{
  IngWorkspace *workspace = open_workspace (APP_TEST_REAL_THREAD);
  IngLibrary *library = ing_workspace_get_library (workspace);
  g_autofree char *in = copy_model ("large-F16.gguf");
  GStatBuf whole, st;
  g_assert_cmpint (g_stat (in, &whole), ==, 0);
  guint64 wanted = (guint64) whole.st_size * 3 / 4;
  g_autoptr (IngJob) job = ing_transfers_shrink (ing_library_get_transfers (library), in, NULL, wanted);
  app_test_wait (ing_job_get_state (job) == ING_JOB_DONE || ing_job_get_state (job) == ING_JOB_FAILED);
  g_assert_no_error (ing_job_get_error (job));
  g_autofree char *path = ing_downloads_dup_final_path (job);
  g_assert_cmpint (g_stat (path, &st), ==, 0);
  g_assert_cmpuint ((guint64) st.st_size, <=, wanted + wanted / 20);

  g_autoptr (GAsyncResult) looked = NULL;
  ing_local_inspect_async (ing_workspace_get_generation (workspace), path, 0, NULL, app_test_keep_result, &looked);
  app_test_wait (looked != NULL);
  g_autofree char *json = ing_local_inspect_finish (looked, NULL);
  g_auto (IngModelFacts) facts;
  ing_model_facts_from_json (&facts, json);
  g_assert_cmpuint (facts.quality_positions, >, 0);
  g_assert_cmpstr (facts.quality_source, ==, "large-F16.gguf");
  g_assert_cmpfloat (facts.perplexity, >, 1);
  g_assert_cmpfloat (facts.source_perplexity, >, 1);
  g_assert_cmpfloat (facts.mean_kl, >=, 0);

  g_autoptr (IngJob) small = ing_transfers_shrink (ing_library_get_transfers (library), in, NULL, 1000);
  app_test_wait (ing_job_get_state (small) == ING_JOB_FAILED);
  g_assert_error (ing_job_get_error (small), ING_ERROR, ING_ERROR_TOO_SMALL);
  g_assert_cmpuint (ing_error_get_needed (ing_job_get_error (small)), >, 1000);
  g_autofree char *sentence = ing_error_to_sentence (ing_job_get_error (small));
  g_assert_nonnull (strstr (sentence, "smallest"));
  app_test_close (workspace);
}

static void
test_failure (void)
{
  IngWorkspace *workspace = open_workspace (APP_TEST_FAKE_THREAD);
  IngTransfers *transfers = ing_library_get_transfers (ing_workspace_get_library (workspace));
  g_autofree char *in = g_build_filename (models, "broken.gguf", NULL);
  g_assert_true (g_file_set_contents (in, "GGUFxxxxxxxx", -1, NULL));
  g_autoptr (IngJob) broken = ing_transfers_quantize (transfers, in, "Q4_K_M");
  g_autoptr (IngJob) absent = ing_transfers_quantize (transfers, "/nonexistent.gguf", "Q4_K_M");
  g_autoptr (IngJob) empty = ing_transfers_convert (transfers, models, NULL);
  app_test_wait (ing_job_get_state (broken) == ING_JOB_FAILED && ing_job_get_state (absent) == ING_JOB_FAILED
                 && ing_job_get_state (empty) == ING_JOB_FAILED);
  g_assert_cmpint (ing_job_get_error (broken)->code, !=, ING_ERROR_FAILED); /* the engine's own reason */
  g_assert_error (ing_job_get_error (absent), ING_ERROR, ING_ERROR_NOT_FOUND);
  g_assert_cmpuint (count_files (".part"), ==, 0);
  g_assert_cmpuint (count_files ("broken-Q4"), ==, 0);
  app_test_close (workspace);
}

static void
test_convert (void)
{
  IngWorkspace *workspace = open_workspace (APP_TEST_FAKE_THREAD);
  IngLibrary *library = ing_workspace_get_library (workspace);
  g_autofree char *folder = make_hub_folder ();
  guint64 bytes = 0;
  g_assert_true (ing_transfers_look_at_folder (folder, &bytes));
  g_assert_cmpuint (bytes, >, 1000);
  g_assert_false (ing_transfers_look_at_folder (models, NULL));
  g_autoptr (IngJob) job = ing_transfers_convert (ing_library_get_transfers (library), folder, NULL);
  app_test_wait (ing_job_get_state (job) == ING_JOB_DONE || ing_job_get_state (job) == ING_JOB_FAILED);
  g_assert_no_error (ing_job_get_error (job));
  app_test_wait (has_own (library, "little-llama.gguf"));
  app_test_close (workspace);
}

static void
test_pause (void)
{
  IngWorkspace *workspace = open_workspace (APP_TEST_FAKE_THREAD);
  IngJobQueue *jobs = ing_workspace_get_jobs (workspace);
  IngTransfers *transfers = ing_library_get_transfers (ing_workspace_get_library (workspace));
  g_autofree char *in = copy_model ("slow.gguf");
  g_autofree char *go = g_strconcat (in, ".go", NULL);
  g_autofree char *out = g_build_filename (models, "slow-Q8_0.gguf", NULL);
  g_autoptr (IngJob) job = ing_transfers_quantize (transfers, in, "Q8_0");
  app_test_wait (ing_job_get_done (job) == 1);
  g_assert_cmpuint (ing_job_get_total (job), ==, 10);
  g_assert_cmpuint (count_files (".part"), >, 0);
  ing_job_queue_pause (jobs, job);
  app_test_wait (ing_job_get_state (job) == ING_JOB_PAUSED);
  /* It stands still although it could go on. */
  g_assert_true (g_file_set_contents (go, "", 0, NULL));
  app_test_run_ms (200);
  g_assert_false (g_file_test (out, G_FILE_TEST_EXISTS));
  ing_job_queue_retry (jobs, job);
  app_test_wait (ing_job_get_state (job) == ING_JOB_DONE);
  g_assert_true (g_file_test (out, G_FILE_TEST_EXISTS));
  app_test_close (workspace);
}

static void
test_cancel (void)
{
  IngWorkspace *workspace = open_workspace (APP_TEST_FAKE_THREAD);
  IngJobQueue *jobs = ing_workspace_get_jobs (workspace);
  IngTransfers *transfers = ing_library_get_transfers (ing_workspace_get_library (workspace));
  g_autofree char *in = copy_model ("slow2.gguf");
  g_autoptr (IngJob) running = ing_transfers_quantize (transfers, in, "Q8_0");
  app_test_wait (ing_job_get_done (running) == 1);
  ing_job_queue_cancel (jobs, running);
  app_test_wait (ing_job_get_state (running) == ING_JOB_CANCELLED && count_files (".part") == 0);

  /* One that stands still goes as well. */
  g_autoptr (IngJob) paused = ing_transfers_quantize (transfers, in, "Q8_0");
  app_test_wait (ing_job_get_done (paused) == 1);
  ing_job_queue_pause (jobs, paused);
  app_test_wait (ing_job_get_state (paused) == ING_JOB_PAUSED);
  ing_job_queue_cancel (jobs, paused);
  app_test_wait (ing_job_get_state (paused) == ING_JOB_CANCELLED && count_files (".part") == 0);

  /* The program ends: the work is there the next time. */
  g_autoptr (IngJob) last = ing_transfers_quantize (transfers, in, "Q8_0");
  app_test_wait (ing_job_get_done (last) == 1);
  app_test_close (workspace);
  g_assert_cmpint (ing_job_get_state (last), ==, ING_JOB_QUEUED);
  app_test_wait (count_files (".part") == 0);
}

static void
write_script (const char *path, const char *engine)
{
  g_autofree char *quoted = g_shell_quote (engine);
  g_autofree char *text = g_strdup_printf ("#!/bin/sh\n"
                                           "case \"$5\" in\n"
                                           "*slow*) : > \"$6.part-1\"; echo progress 1 10 >&2\n"
                                           "  while [ ! -e \"$5.go\" ]; do sleep 0.02; done\n"
                                           "  cp \"$5\" \"$6\"; rm \"$6.part-1\"; echo progress 10 10 >&2;;\n"
                                           "*) exec %s \"$@\";;\n"
                                           "esac\n",
                                           quoted);
  g_assert_true (g_file_set_contents (path, text, -1, NULL));
  g_assert_cmpint (g_chmod (path, 0755), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  const char *engine = g_getenv ("INGLENOOK_ENGINE");
  if (engine == NULL)
    {
      g_print ("1..0 # SKIP INGLENOOK_ENGINE is not set\n");
      return 77;
    }
  g_autofree char *folder = app_test_make_folder (), *cache = app_test_make_folder ();
  g_autofree char *script = g_build_filename (cache, "engine", NULL);
  models = folder;
  write_script (script, engine);
  g_setenv ("INGLENOOK_ENGINE", script, TRUE);
  g_setenv ("INGLENOOK_MODELS", models, TRUE);
  g_setenv ("XDG_CACHE_HOME", cache, TRUE);
  g_test_add_func ("/transfers/quantize", test_quantize);
  g_test_add_func ("/transfers/phases", test_phases);
  g_test_add_func ("/transfers/target", test_target);
  g_test_add_func ("/transfers/failure", test_failure);
  g_test_add_func ("/transfers/convert", test_convert);
  g_test_add_func ("/transfers/pause", test_pause);
  g_test_add_func ("/transfers/cancel", test_cancel);
  return g_test_run ();
}
