/* SPDX-License-Identifier: Apache-2.0 */
/* What a model far away would take here, read from its header alone. */
#include <glib/gstdio.h>
#include <libsoup/soup.h>
#include <string.h>

#include "app-test.h"
#include "ing-remote-model.h"

/* The engine's list of architectures; its header wants the engine's folders. */
const void *eng_arch_find (const char *name, guint64 n_bytes);

#define STARTER "SmolLM2-135M-Instruct-Q4_1.gguf"

static guint64 n_sent;
static char *starter_folder;

static void
on_wrote (SoupServerMessage *message, guint n, gpointer data)
{
  n_sent += n;
}

static void
on_request (SoupServer *server, SoupServerMessage *message, const char *path, GHashTable *query, gpointer data)
{
  GMappedFile *file = data;
  if (g_str_has_suffix (path, ".html"))
    {
      /* Larger than what is asked for: SoupServer takes a range beyond the end for a mistake. */
      char *text = g_strnfill (2 << 20, '<');
      soup_server_message_set_response (message, "text/html", SOUP_MEMORY_TAKE, text, 2 << 20);
      soup_server_message_set_status (message, 200, NULL);
      return;
    }
  g_autoptr (GBytes) bytes = g_mapped_file_get_bytes (file);
  g_signal_connect (message, "wrote-body-data", G_CALLBACK (on_wrote), NULL);
  soup_message_body_append_bytes (soup_server_message_get_response_body (message), bytes);
  soup_server_message_set_status (message, 200, NULL);
}

static void
test_remote_plan (void)
{
  g_autofree char *path = g_build_filename (starter_folder != NULL ? starter_folder : "", STARTER, NULL);
  g_autoptr (GMappedFile) file = g_mapped_file_new (path, FALSE, NULL);
  if (file == NULL)
    {
      g_test_skip ("no starter model");
      return;
    }
  g_autoptr (GError) error = NULL;
  g_autofree char *folder = app_test_make_folder ();
  g_autoptr (SoupServer) server = soup_server_new (NULL, NULL);
  soup_server_add_handler (server, "/", on_request, file, NULL);
  g_assert_true (soup_server_listen_local (server, 0, SOUP_SERVER_LISTEN_IPV4_ONLY, &error));
  GSList *uris = soup_server_get_uris (server);
  g_autofree char *uri
      = g_strdup_printf ("http://127.0.0.1:%d/x.gguf", g_uri_get_port (uris->data));
  g_autofree char *page = g_strdup_printf ("http://127.0.0.1:%d/x.html", g_uri_get_port (uris->data));
  g_slist_free_full (uris, (GDestroyNotify) g_uri_unref);
  IngWorkspace *workspace = app_test_open (folder, APP_TEST_REAL_THREAD);
  IngGenerationService *service = ing_workspace_get_generation (workspace);

  g_autoptr (GAsyncResult) far = NULL, near = NULL, bad = NULL;
  guint64 size = 0;
  ing_remote_inspect_async (service, uri, 2048, NULL, NULL, app_test_keep_result, &far);
  app_test_wait (far != NULL);
  g_autofree char *there = ing_remote_inspect_finish (far, &size, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (size, ==, g_mapped_file_get_length (file));
  g_test_message ("%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " bytes sent", n_sent, size);
  g_assert_cmpuint (n_sent, <, size / 3);

  ing_local_inspect_async (service, path, 2048, NULL, app_test_keep_result, &near);
  app_test_wait (near != NULL);
  g_autofree char *here = ing_local_inspect_finish (near, &error);
  g_assert_no_error (error);
  IngFit a, b;
  ing_fit_from_json (&a, there);
  ing_fit_from_json (&b, here);
  g_assert_cmpuint (a.weights, ==, b.weights);
  g_assert_cmpuint (a.kv, ==, b.kv);
  g_assert_cmpuint (a.scratch, ==, b.scratch);
  g_assert_cmpuint (a.context, ==, 2048);
  g_assert_cmpint (a.word, ==, b.word);
  g_assert_cmpint (a.word, !=, ING_FIT_UNKNOWN);
  g_assert_cmpuint (a.weights, >, 50 * 1000 * 1000);

  ing_remote_inspect_async (service, page, 0, NULL, NULL, app_test_keep_result, &bad);
  app_test_wait (bad != NULL);
  g_assert_null (ing_remote_inspect_finish (bad, NULL, &error));
  g_assert_error (error, ING_ERROR, ING_ERROR_NOT_A_MODEL);
  app_test_close (workspace);
}

static void
test_words (void)
{
  static const struct
  {
    const char *json;
    IngFitWord word;
  } rows[] = {
    { "{\"memory\":{\"weights\":100,\"kv\":10,\"scratch\":10,\"host\":120,\"available\":200}}", ING_FIT_CPU },
    { "{\"memory\":{\"weights\":100,\"kv\":10,\"scratch\":10,\"host\":120,\"available\":119}}", ING_FIT_TOO_LARGE },
    { "{\"memory\":{\"weights\":100,\"kv\":10,\"scratch\":10,\"host\":5,\"available\":200}}", ING_FIT_GPU },
    { "{\"memory\":{\"weights\":100,\"kv\":10,\"scratch\":10,\"host\":60,\"available\":200}}", ING_FIT_SPLIT },
    { "{\"memory\":{\"weights\":100,\"kv\":10,\"scratch\":10,\"host\":60,\"available\":50}}", ING_FIT_TOO_LARGE },
    { "{\"memory\":{\"weights\":100}}", ING_FIT_UNKNOWN },
    { "nonsense", ING_FIT_UNKNOWN },
    { NULL, ING_FIT_UNKNOWN },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      IngFit fit;
      ing_fit_from_json (&fit, rows[i].json);
      g_assert_cmpint (fit.word, ==, rows[i].word);
      g_autofree char *numbers = ing_fit_dup_numbers (&fit);
      g_assert_true ((*numbers != '\0') == (fit.word != ING_FIT_UNKNOWN));
    }
}

static void
test_catalogue (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GListModel) chinese = ing_catalogue_new (NULL, "zh_CN", &error);
  g_assert_no_error (error);
  g_autoptr (GListModel) english = ing_catalogue_new (NULL, "en_US", &error);
  g_assert_no_error (error);
  guint n = g_list_model_get_n_items (chinese);
  g_assert_cmpuint (n, >=, 30);
  /* Good at Chinese first for those who read it; the smallest first for others. */
  g_autoptr (IngCatalogueEntry) first = g_list_model_get_item (chinese, 0);
  g_assert_true (g_str_has_prefix (ing_catalogue_entry_get_languages (first), "zh"));
  g_autoptr (IngCatalogueEntry) small = g_list_model_get_item (english, 0);
  g_assert_cmpuint (ing_catalogue_entry_get_parameters (small), <, 200 * 1000 * 1000);
  /* Only what the engine can run: its own list, asked of its own program. */
  guint n_both = 0;
  for (guint i = 0; i < n; i++)
    {
      static const char *const types[] = { "Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0", "F16" };
      g_autoptr (IngCatalogueEntry) entry = g_list_model_get_item (chinese, i);
      g_autofree char *there = ing_catalogue_entry_dup_address (entry, TRUE);
      g_autofree char *here = ing_catalogue_entry_dup_address (entry, FALSE);
      g_assert_true (g_str_has_prefix (here, "https://huggingface.co/"));
      g_assert_true (there == NULL || g_str_has_prefix (there, "https://modelscope.cn/models/"));
      n_both += there != NULL;
      g_assert_nonnull (eng_arch_find (ing_catalogue_entry_get_architecture (entry),
                                       strlen (ing_catalogue_entry_get_architecture (entry))));
      g_assert_cmpuint (ing_catalogue_entry_get_context (entry), >=, 512);
      g_assert_cmpstr (ing_catalogue_entry_get_languages (entry), !=, "");
      /* Sizes of the engine's plan: finer types are larger, and F16 has two bytes for each number. */
      guint64 before = ing_catalogue_entry_get_parameters (entry) * 2 / 5;
      for (gsize k = 0; k < G_N_ELEMENTS (types); k++)
        {
          guint64 bytes = ing_catalogue_entry_get_bytes (entry, types[k]);
          g_assert_cmpuint (bytes, >, before);
          before = bytes;
        }
      g_assert_cmpfloat ((double) before / 2 / (double) ing_catalogue_entry_get_parameters (entry), >, 0.88);
      g_assert_cmpfloat ((double) before / 2 / (double) ing_catalogue_entry_get_parameters (entry), <, 1.12);
      if (i < 15)
        g_assert_nonnull (strstr (ing_catalogue_entry_get_languages (entry), "zh"));
    }
  g_assert_cmpuint (n_both, >=, n - 1);
  static const char *const bad[] = { "", "{}", "{\"models\":5}", "{\"models\":[5]}", "{\"models\":[{\"name\":\"x\"}]}" };
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_clear_error (&error);
      g_assert_null (ing_catalogue_new (bad[i], NULL, &error));
      g_assert_nonnull (error);
    }
}

/* The chat template's origin: by the repository the file came from, else by its name. */
static void
test_templates (void)
{
  static const char json[] = "{\"models\":[{\"name\":\"Own 1B\",\"architecture\":{\"value\":\"llama\"},\"licence\":{\"value\":\"MIT\"},"
                             "\"parameters\":{\"value\":5},\"huggingface\":{\"value\":\"own/one\"},\"template\":{\"value\":\"00ff\"}},"
                             "{\"name\":\"Own 1B Chat\",\"architecture\":{\"value\":\"llama\"},\"licence\":{\"value\":\"MIT\"},"
                             "\"parameters\":{\"value\":5},\"modelscope\":{\"value\":\"own/chat\"}}]}";
  g_autoptr (GError) error = NULL;
  g_autoptr (GListModel) list = ing_catalogue_new (json, "en", &error);
  g_assert_no_error (error);
  g_assert_cmpint (ing_catalogue_judge_template (list, "own-1b-Q4.gguf", NULL, "00ff"), ==, ING_TEMPLATE_PUBLISHED);
  g_assert_cmpint (ing_catalogue_judge_template (list, "own_1B.gguf", NULL, "00fe"), ==, ING_TEMPLATE_OTHER);
  /* The longer name has no known one. */
  g_assert_cmpint (ing_catalogue_judge_template (list, "Own-1B-Chat-Q8_0.gguf", NULL, "00fe"), ==, ING_TEMPLATE_UNKNOWN);
  g_assert_cmpint (ing_catalogue_judge_template (list, "x.gguf", "https://hub/own/one/resolve/main/x.gguf", "00fe"), ==,
                   ING_TEMPLATE_OTHER);
  g_assert_cmpint (ing_catalogue_judge_template (list, "x.gguf", "https://hub/own/oneself/x.gguf", "00ff"), ==,
                   ING_TEMPLATE_UNKNOWN);
  g_assert_cmpint (ing_catalogue_judge_template (list, "own-1b.gguf", NULL, ""), ==, ING_TEMPLATE_UNKNOWN);
}

/* ------------------------------------------------------------------ files */

static gboolean
has_own_set (IngLibrary *library)
{
  g_autoptr (IngModelFile) set = app_test_find_file (library, "set-00001-of-00002.gguf");
  return set != NULL && ing_model_file_get_is_own (set);
}

static char *
write_file (const char *folder, const char *name, const char *text)
{
  g_autoptr (GError) error = NULL;
  char *path = g_build_filename (folder, name, NULL);
  g_autofree char *above = g_path_get_dirname (path);
  g_assert_cmpint (g_mkdir_with_parents (above, 0700), ==, 0);
  g_assert_true (g_file_set_contents (path, text, -1, &error));
  return path;
}

static void
check_file (IngLibrary *library, const char *name, gboolean good, guint n_bad, int code)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (IngModelFile) file = app_test_find_file (library, name);
  guint bad = 99, blocks = 99;
  ing_library_check_async (library, file, NULL, app_test_keep_result, &result);
  app_test_wait (result != NULL);
  g_assert_cmpint (ing_library_check_finish (library, result, &bad, &blocks, &error), ==, good);
  if (code >= 0)
    g_assert_error (error, ING_ERROR, code);
  else
    {
      g_assert_no_error (error);
      g_assert_cmpuint (bad, ==, n_bad);
      g_assert_cmpuint (blocks, ==, 1);
    }
  g_clear_object (&file);
  ing_library_refresh (library);
  app_test_run_ms (100);
}

static void
test_files (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *data = app_test_make_folder (), *other = app_test_make_folder ();
  g_autofree char *foreign = write_file (ing_paths_get_models (), "foreign.gguf", "GGUFforeign");
  g_autofree char *part = write_file (ing_paths_get_models (), "x.gguf.9.part", "GGUF");
  g_autofree char *one = write_file (other, "set-00001-of-00002.gguf", "GGUFone");
  g_autofree char *two = write_file (other, "set-00002-of-00002.gguf", "GGUFtwo");
  g_autofree char *page = write_file (other, "page.gguf", "<html>");
  IngWorkspace *workspace = app_test_open (data, APP_TEST_FAKE_THREAD);
  IngLibrary *library = ing_workspace_get_library (workspace);
  ing_library_refresh (library);
  app_test_wait (g_list_model_get_n_items (G_LIST_MODEL (library)) == 2);
  g_autoptr (IngModelFile) theirs = app_test_find_file (library, "foreign.gguf");
  g_assert_false (ing_model_file_get_is_own (theirs));
  g_autoptr (IngModelFile) left = app_test_find_file (library, "x.gguf.9.part");
  g_assert_cmpint (ing_model_file_get_kind (left), ==, ING_FILE_PART);

  /* What the program did not make is not its to delete. */
  g_autoptr (GAsyncResult) refused = NULL, bad = NULL, good = NULL, gone = NULL;
  ing_library_trash_async (library, theirs, NULL, app_test_keep_result, &refused);
  app_test_wait (refused != NULL);
  g_assert_false (ing_library_trash_finish (library, refused, &error));
  g_assert_error (error, ING_ERROR, ING_ERROR_PERMISSION);
  g_assert_true (g_file_test (foreign, G_FILE_TEST_EXISTS));
  g_clear_error (&error);

  ing_library_import_async (library, page, NULL, app_test_keep_result, &bad);
  app_test_wait (bad != NULL);
  g_assert_null (ing_library_import_finish (library, bad, &error));
  g_assert_error (error, ING_ERROR, ING_ERROR_FORMAT);
  g_clear_error (&error);

  /* A set comes whole, is one entry, is ours, and can be checked. */
  ing_library_import_async (library, one, NULL, app_test_keep_result, &good);
  app_test_wait (good != NULL);
  g_autofree char *copy = ing_library_import_finish (library, good, &error);
  g_assert_no_error (error);
  app_test_wait (has_own_set (library) && g_list_model_get_n_items (G_LIST_MODEL (library)) == 3);
  g_autoptr (IngModelFile) set = app_test_find_file (library, "set-00001-of-00002.gguf");
  g_assert_cmpuint (ing_model_file_get_bytes (set), ==, 14);
  g_assert_true (ing_model_file_get_is_own (set));
  check_file (library, "set-00001-of-00002.gguf", FALSE, 0, ING_ERROR_NOT_FOUND);
  check_file (library, "set-00001-of-00002.gguf", TRUE, 0, -1);
  g_assert_true (g_file_set_contents (copy, "GGUFonE", -1, NULL));
  check_file (library, "set-00001-of-00002.gguf", FALSE, 1, -1);

  /* A folder of one's own, and the same when its drive is away. */
  ing_library_add_folder (library, other);
  app_test_wait (g_list_model_get_n_items (G_LIST_MODEL (library)) == 5);
  g_autofree char *away = g_strconcat (other, ".away", NULL);
  g_assert_cmpint (g_rename (other, away), ==, 0);
  ing_library_refresh (library);
  app_test_wait (g_list_model_get_n_items (G_LIST_MODEL (library)) == 4);
  g_autoptr (IngModelFile) absent = app_test_find_file (library, other);
  g_assert_cmpint (ing_model_file_get_kind (absent), ==, ING_FILE_ABSENT);
  g_assert_cmpint (g_rename (away, other), ==, 0);
  ing_library_remove_folder (library, other);

  ing_library_trash_async (library, set, NULL, app_test_keep_result, &gone);
  app_test_wait (gone != NULL);
  if (ing_library_trash_finish (library, gone, &error))
    {
      g_autoptr (GAsyncResult) back = NULL, none = NULL;
      g_assert_false (g_file_test (copy, G_FILE_TEST_EXISTS));
      ing_library_restore_async (library, set, NULL, app_test_keep_result, &back);
      app_test_wait (back != NULL);
      ing_library_restore_finish (library, back, &error);
      g_assert_no_error (error);
      g_assert_true (g_file_test (copy, G_FILE_TEST_EXISTS));
      /* It is in the trash no more. */
      ing_library_restore_async (library, set, NULL, app_test_keep_result, &none);
      app_test_wait (none != NULL);
      g_assert_false (ing_library_restore_finish (library, none, &error));
      g_assert_error (error, ING_ERROR, ING_ERROR_NOT_FOUND);
    }
  else
    {
      g_assert_error (error, ING_ERROR, ING_ERROR_UNSUPPORTED); /* this drive has none */
      g_assert_true (g_file_test (copy, G_FILE_TEST_EXISTS));
    }
  g_assert_true (g_file_test (one, G_FILE_TEST_EXISTS));
  app_test_run_ms (100);
  app_test_close (workspace);
}

/* What is chosen for a model outlives the program, stays with that model, and reaches the engine. */
static void
test_defaults (void)
{
  g_autofree char *folder = app_test_make_folder (), *settings_path = g_build_filename (folder, "settings.ini", NULL);
  {
    g_autoptr (IngSettings) settings = ing_settings_new (settings_path);
    g_auto (IngModelDefaults) defaults;
    ing_settings_set_int (settings, ING_SETTING_CONTEXT, 1024);
    ing_model_defaults_read (&defaults, settings, "/a.gguf");
    g_assert_cmpuint (defaults.context, ==, 0);
    g_assert_cmpint (defaults.gpu_layers, ==, -1);
    g_assert_false (defaults.has_sampling);
    defaults.context = 2048;
    defaults.kv = g_strdup ("f32");
    defaults.has_sampling = TRUE;
    defaults.sampling.temperature = 0.25;
    defaults.system_prompt = g_strdup ("答得短些。");
    ing_model_defaults_write (&defaults, settings, "/a.gguf");
    g_assert_true (ing_settings_flush (settings, NULL));
  }
  g_autoptr (IngSettings) settings = ing_settings_new (settings_path);
  g_auto (IngModelDefaults) own, other;
  g_autofree char *device = NULL, *device2 = NULL;
  IngLoadOptions options;
  ing_model_defaults_read (&own, settings, "/a.gguf");
  g_assert_cmpstr (own.system_prompt, ==, "答得短些。");
  g_assert_true (own.has_sampling);
  g_assert_cmpfloat_with_epsilon (own.sampling.temperature, 0.25, 1e-9);
  ing_model_defaults_get_load_options (&own, settings, &options, &device);
  g_assert_cmpuint (options.context, ==, 2048);
  g_assert_cmpstr (options.kv, ==, "f32");
  ing_model_defaults_read (&other, settings, "/b.gguf");
  g_assert_null (other.system_prompt);
  ing_model_defaults_get_load_options (&other, settings, &options, &device2);
  g_assert_cmpuint (options.context, ==, 1024); /* of the settings */
  /* Nonsense in the file is nothing at all. */
  ing_settings_set_string (settings, ING_SETTING_MODEL_DEFAULTS, "{\"/b.gguf\": [1, {\"context\": \"x\"}]}");
  ing_model_defaults_clear (&other);
  ing_model_defaults_read (&other, settings, "/b.gguf");
  g_assert_cmpuint (other.context, ==, 0);
}

static void
test_ollama (void)
{
#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  g_autofree char *root = app_test_make_folder ();
  g_autofree char *blob = write_file (root, "blobs/sha256-" HEX, "GGUF");
  g_autofree char *a = write_file (root, "manifests/registry.ollama.ai/library/qwen3/4b",
                                   "{\"layers\":[{\"mediaType\":\"application/vnd.ollama.image.license\",\"digest\":\"sha256:x\"},"
                                   "{\"mediaType\":\"application/vnd.ollama.image.model\",\"digest\":\"sha256:" HEX "\"}]}");
  g_autofree char *b = write_file (root, "manifests/registry.ollama.ai/library/evil/x",
                                   "{\"layers\":[{\"mediaType\":\"application/vnd.ollama.image.model\","
                                   "\"digest\":\"sha256:../../../etc/passwd\"}]}");
  g_autofree char *c = write_file (root, "manifests/registry.ollama.ai/library/broken/x", "[[[[");
  g_auto (GStrv) found = ing_library_find_ollama (root);
  g_assert_cmpuint (g_strv_length (found), ==, 2);
  g_assert_cmpstr (found[0], ==, "registry.ollama.ai/library/qwen3/4b");
  g_assert_cmpstr (found[1], ==, blob);
}

/* A file of another program under a name of its own: only the link goes to the trash. */
static void
test_link (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *folder = app_test_make_folder (), *elsewhere = app_test_make_folder ();
  g_autofree char *blob = write_file (elsewhere, "blobs/sha256-" HEX, "GGUF");
  IngWorkspace *workspace = app_test_open (folder, APP_TEST_FAKE_THREAD);
  IngLibrary *library = ing_workspace_get_library (workspace);
  g_autoptr (GAsyncResult) linked = NULL, again = NULL, gone = NULL;
  ing_library_link_async (library, blob, "qwen3-4b", NULL, app_test_keep_result, &linked);
  app_test_wait (linked != NULL);
  g_autofree char *path = ing_library_link_finish (library, linked, &error);
  g_assert_no_error (error);
  g_assert_true (g_str_has_suffix (path, "/qwen3-4b.gguf"));
  ing_library_link_async (library, blob, "qwen3-4b", NULL, app_test_keep_result, &again);
  app_test_wait (again != NULL);
  g_autofree char *same = ing_library_link_finish (library, again, &error);
  g_assert_cmpstr (same, ==, path);
  IngModelFile *found = NULL;
  app_test_wait ((found = app_test_find_file (library, "qwen3-4b.gguf")) != NULL);
  g_autoptr (IngModelFile) file = found;
  g_assert_true (ing_model_file_get_is_own (file));
  g_assert_cmpstr (ing_model_file_get_sha256 (file), ==, HEX);
  ing_library_trash_async (library, file, NULL, app_test_keep_result, &gone);
  app_test_wait (gone != NULL);
  if (ing_library_trash_finish (library, gone, &error))
    g_assert_false (g_file_test (path, G_FILE_TEST_IS_SYMLINK));
  g_assert_true (g_file_test (blob, G_FILE_TEST_EXISTS));
  app_test_run_ms (100);
  app_test_close (workspace);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_autofree char *cache = app_test_make_folder (), *share = app_test_make_folder (), *models = app_test_make_folder ();
  starter_folder = g_strdup (g_getenv ("INGLENOOK_MODELS"));
  g_setenv ("XDG_CACHE_HOME", cache, TRUE);
  g_setenv ("XDG_DATA_HOME", share, TRUE);
  g_setenv ("INGLENOOK_MODELS", models, TRUE);
  g_test_add_func ("/library/files", test_files);
  g_test_add_func ("/library/defaults", test_defaults);
  g_test_add_func ("/library/ollama", test_ollama);
  g_test_add_func ("/library/link", test_link);
  g_test_add_func ("/library/catalogue", test_catalogue);
  g_test_add_func ("/library/templates", test_templates);
  g_test_add_func ("/library/fit/words", test_words);
  g_test_add_func ("/library/fit/remote-header", test_remote_plan);
  return g_test_run ();
}
