/* SPDX-License-Identifier: Apache-2.0 */
/* What a model far away would take here, read from its header alone. */
#include <libsoup/soup.h>
#include <string.h>

#include "app-test.h"
#include "ing-remote-model.h"

/* The engine's list of architectures; its header wants the engine's folders. */
const void *eng_arch_find (const char *name, guint64 n_bytes);

#define STARTER "SmolLM2-135M-Instruct-Q4_1.gguf"

static guint64 n_sent;

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
  const char *models = g_getenv ("INGLENOOK_MODELS");
  g_autofree char *path = g_build_filename (models != NULL ? models : "", STARTER, NULL);
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
  for (guint i = 0; i < n; i++)
    {
      g_autoptr (IngCatalogueEntry) entry = g_list_model_get_item (chinese, i);
      g_autofree char *address = ing_catalogue_entry_dup_address (entry, TRUE);
      g_assert_nonnull (address);
      g_assert_nonnull (eng_arch_find (ing_catalogue_entry_get_architecture (entry),
                                       strlen (ing_catalogue_entry_get_architecture (entry))));
      guint64 q4 = ing_catalogue_entry_estimate_bytes (entry, "Q4_K_M");
      g_assert_cmpuint (q4, >, ing_catalogue_entry_get_parameters (entry) / 2);
      g_assert_cmpuint (q4, <, ing_catalogue_entry_estimate_bytes (entry, "Q8_0"));
    }
  static const char *const bad[] = { "", "{}", "{\"models\":5}", "{\"models\":[5]}", "{\"models\":[{\"name\":\"x\"}]}" };
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_clear_error (&error);
      g_assert_null (ing_catalogue_new (bad[i], NULL, &error));
      g_assert_nonnull (error);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_autofree char *cache = app_test_make_folder ();
  g_setenv ("XDG_CACHE_HOME", cache, TRUE);
  g_test_add_func ("/library/catalogue", test_catalogue);
  g_test_add_func ("/library/fit/words", test_words);
  g_test_add_func ("/library/fit/remote-header", test_remote_plan);
  return g_test_run ();
}
