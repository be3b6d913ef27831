/* SPDX-License-Identifier: Apache-2.0 */
#include "test-models.h"

char *
test_data_path (const char *name)
{
  const char *folder = g_getenv ("INGLENOOK_TEST_DATA");
  g_assert_nonnull (folder);
  return g_build_filename (folder, name, NULL);
}

char *
test_starter_model_or_skip (void)
{
  const char *folder = g_getenv ("INGLENOOK_MODELS");
  g_autofree char *path
      = folder != NULL && *folder != '\0'
            ? g_build_filename (folder, "SmolLM2-135M-Instruct-Q4_1.gguf", NULL)
            : g_build_filename (g_get_user_data_dir (), "inglenook", "models",
                                "SmolLM2-135M-Instruct-Q4_1.gguf", NULL);
  if (g_file_test (path, G_FILE_TEST_EXISTS))
    return g_steal_pointer (&path);
  g_test_skip ("the starter model was not fetched");
  return NULL;
}

gboolean
test_engine_run (const char *const *arguments, char **output, char **messages)
{
  const char *engine = g_getenv ("INGLENOOK_ENGINE");
  g_assert_nonnull (engine);
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  g_ptr_array_add (argv, (char *) engine);
  for (guint i = 0; arguments[i] != NULL; i++)
    g_ptr_array_add (argv, (char *) arguments[i]);
  g_ptr_array_add (argv, NULL);
  g_autoptr (GError) error = NULL;
  g_autofree char *out = NULL, *err = NULL;
  int status;
  gboolean good = g_spawn_sync (NULL, (char **) argv->pdata, NULL, G_SPAWN_DEFAULT, NULL, NULL, &out,
                                &err, &status, &error);
  g_assert_no_error (error);
  good = good && g_spawn_check_wait_status (status, NULL);
  if (!good)
    g_test_message ("inglenook-engine %s: status %d\n%s", arguments[0], status, err);
  if (output != NULL)
    *output = g_steal_pointer (&out);
  if (messages != NULL)
    *messages = g_steal_pointer (&err);
  return good;
}

gboolean
test_is_long (void)
{
  return g_strcmp0 (g_getenv ("INGLENOOK_LONG"), "1") == 0;
}
