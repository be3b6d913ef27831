/* SPDX-License-Identifier: Apache-2.0 */
#include "app-test.h"

#include <ftw.h>
#include <glib/gstdio.h>
#include <stdlib.h>

#include "fake-engine.h"
#include "ing-conversation-list-private.h"
#include "ing-engine-link.h"

static GPtrArray *folders;

static int
remove_one (const char *path, const struct stat *st, int type, struct FTW *ftw)
{
  return remove (path);
}

static void
remove_folders (void)
{
  for (guint i = 0; i < folders->len; i++)
    nftw (g_ptr_array_index (folders, i), remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

char *
app_test_make_folder (void)
{
  if (folders == NULL)
    {
      folders = g_ptr_array_new ();
      atexit (remove_folders);
    }
  char *folder = g_dir_make_tmp ("inglenook-test-XXXXXX", NULL);
  g_assert_nonnull (folder);
  g_ptr_array_add (folders, g_strdup (folder));
  return folder;
}

void
app_test_get_launch (AppTestEngine engine, IngEngineLaunch *launch)
{
  *launch = (IngEngineLaunch){ 0 };
  switch (engine)
    {
    case APP_TEST_FAKE_THREAD:
      launch->mode = ING_ENGINE_THREAD;
      launch->serve = fake_engine_serve;
      break;
    case APP_TEST_FAKE_CHILD:
      launch->mode = ING_ENGINE_CHILD;
      launch->program = g_getenv ("INGLENOOK_FAKE_ENGINE");
      g_assert_nonnull (launch->program);
      break;
    case APP_TEST_REAL_THREAD:
      launch->mode = ING_ENGINE_THREAD;
      break;
    case APP_TEST_REAL_CHILD:
      launch->mode = ING_ENGINE_CHILD;
      break;
    default:
      g_assert_not_reached ();
    }
}

gboolean
app_test_tick (gpointer data)
{
  return G_SOURCE_CONTINUE;
}

void
app_test_run_ms (guint ms)
{
  gint64 until = g_get_monotonic_time () + ms * 1000;
  app_test_wait (g_get_monotonic_time () >= until);
}

void
app_test_keep_result (GObject *source, GAsyncResult *result, gpointer user_data)
{
  *(GAsyncResult **) user_data = g_object_ref (result);
}

IngWorkspace *
app_test_open (const char *folder, AppTestEngine engine)
{
  IngEngineLaunch launch;
  app_test_get_launch (engine, &launch);
  g_autofree char *settings = g_build_filename (folder, "settings.ini", NULL);
  IngWorkspace *workspace = ing_workspace_new_full (folder, "window", settings, &launch);
  g_autoptr (GAsyncResult) result = NULL;
  ing_workspace_open_async (workspace, NULL, app_test_keep_result, &result);
  app_test_wait (result != NULL);
  g_assert_true (ing_workspace_open_finish (workspace, result, NULL));
  return workspace;
}

void
app_test_close (IngWorkspace *workspace)
{
  g_autoptr (GAsyncResult) result = NULL;
  ing_workspace_close_async (workspace, app_test_keep_result, &result);
  app_test_wait (result != NULL);
  g_assert_true (ing_workspace_close_finish (workspace, result, NULL));
  g_clear_object (&result);
  g_object_add_weak_pointer (G_OBJECT (workspace), (gpointer *) &workspace);
  g_object_unref (workspace);
  /* Nothing holds it; a worker thread may be a moment late in letting go. */
  app_test_wait (workspace == NULL);
}

void
app_test_load (IngWorkspace *workspace, const char *path)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  IngGenerationService *service = ing_workspace_get_generation (workspace);
  ing_generation_service_load_async (service, path, NULL, NULL, app_test_keep_result, &result);
  app_test_wait (result != NULL);
  g_assert_true (ing_generation_service_load_finish (service, result, &error));
  g_assert_no_error (error);
}

void
app_test_wait_idle (IngConversation *conversation)
{
  app_test_wait (!ing_conversation_get_busy (conversation));
}

IngMessage *
app_test_ask (IngConversation *conversation, const char *text)
{
  IngMessage *answer = ing_conversation_send (conversation, text, NULL);
  g_assert_nonnull (answer);
  app_test_wait_idle (conversation);
  return answer;
}

void
app_test_settle (IngWorkspace *workspace)
{
  app_test_wait (ing_conversation_list_flush (ing_workspace_get_conversations (workspace)));
}

char *
app_test_dup_text (IngConversation *conversation, guint index)
{
  g_autoptr (IngMessage) message
      = g_list_model_get_item (ing_conversation_list_messages (conversation), index);
  g_assert_nonnull (message);
  return ing_message_dup_text (message);
}

IngModelFile *
app_test_find_file (IngLibrary *library, const char *name)
{
  for (guint i = 0; i < g_list_model_get_n_items (G_LIST_MODEL (library)); i++)
    {
      g_autoptr (IngModelFile) file = g_list_model_get_item (G_LIST_MODEL (library), i);
      if (strcmp (ing_model_file_get_name (file), name) == 0)
        return g_steal_pointer (&file);
    }
  return NULL;
}
