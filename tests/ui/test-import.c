/* SPDX-License-Identifier: Apache-2.0 */
/* Bringing in models in the window: what is dropped or chosen is looked at, asked about, used, copied or converted; what
 * cannot be used says why. In this process, with the real engine. Criticals are fatal. */
#include "ing-application.h"
#include "ing-import-dialog.h"
#include "ing-window.h"

#include <glib/gstdio.h>
#include <string.h>

#define PATIENCE_S 60

static GtkApplication *application;
static char *root, *models;
static IngWorkspace *workspace;
static GtkWidget *window;

#define WAIT(condition)                                                                            \
  G_STMT_START                                                                                     \
  {                                                                                                \
    gint64 end_ = g_get_monotonic_time () + (gint64) PATIENCE_S * G_USEC_PER_SEC;                  \
    while (!(condition))                                                                           \
      {                                                                                            \
        if (g_get_monotonic_time () > end_)                                                        \
          g_error ("line %d: timed out waiting for " #condition, __LINE__);                        \
        if (!g_main_context_iteration (NULL, FALSE))                                               \
          g_usleep (500);                                                                          \
      }                                                                                            \
  }                                                                                                \
  G_STMT_END

static void
set_true_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  *(gboolean *) user_data = TRUE;
}

/* Test data to @folder/@name below the test's own folder; returns the path. */
static char *
copy_data (const char *data, const char *folder, const char *name)
{
  g_autofree char *from = g_build_filename (g_getenv ("INGLENOOK_TEST_DATA"), data, NULL);
  g_autofree char *in = g_build_filename (root, folder, NULL);
  char *to = g_build_filename (in, name, NULL);
  g_autofree char *bytes = NULL;
  gsize n;

  g_assert_cmpint (g_mkdir_with_parents (in, 0700), ==, 0);
  g_assert_true (g_file_get_contents (from, &bytes, &n, NULL));
  g_assert_true (g_file_set_contents (to, bytes, (gssize) n, NULL));
  return to;
}

static AdwMessageDialog *
find_dialog (void)
{
  GListModel *windows = gtk_window_get_toplevels ();

  for (guint i = 0; i < g_list_model_get_n_items (windows); i++)
    {
      g_autoptr (GtkWindow) one = g_list_model_get_item (windows, i);

      if (ADW_IS_MESSAGE_DIALOG (one) && gtk_widget_get_mapped (GTK_WIDGET (one)))
        return ADW_MESSAGE_DIALOG (one);
    }
  return NULL;
}

/* The dialog that asks about what was brought has @heading in its own, and is answered so. */
static void
answer (const char *heading, const char *response)
{
  AdwMessageDialog *dialog;

  WAIT (find_dialog () != NULL);
  dialog = find_dialog ();
  g_assert_nonnull (strstr (adw_message_dialog_get_heading (dialog), heading));
  g_test_message ("%s: %s", adw_message_dialog_get_heading (dialog), adw_message_dialog_get_body (dialog));
  adw_message_dialog_response (dialog, response);
  gtk_window_destroy (GTK_WINDOW (dialog));
  WAIT (find_dialog () == NULL);
}

static gboolean
is_listed (const char *path)
{
  GListModel *files = G_LIST_MODEL (ing_workspace_get_library (workspace));

  for (guint i = 0; i < g_list_model_get_n_items (files); i++)
    {
      g_autoptr (IngModelFile) file = g_list_model_get_item (files, i);

      if (strcmp (ing_model_file_get_path (file), path) == 0)
        return TRUE;
    }
  return FALSE;
}

static void
drop_all (const char *const *paths)
{
  g_autoptr (GListModel) controllers = gtk_widget_observe_controllers (window);
  GSList *files = NULL;

  for (guint i = 0; paths[i] != NULL; i++)
    files = g_slist_append (files, g_file_new_for_path (paths[i]));

  GdkFileList *list = gdk_file_list_new_from_list (files);
  g_auto (GValue) value = G_VALUE_INIT;
  gboolean taken = FALSE;

  g_value_init (&value, GDK_TYPE_FILE_LIST);
  g_value_take_boxed (&value, list);
  for (guint i = 0; i < g_list_model_get_n_items (controllers); i++)
    {
      g_autoptr (GtkEventController) controller = g_list_model_get_item (controllers, i);

      if (GTK_IS_DROP_TARGET (controller))
        g_signal_emit_by_name (controller, "drop", &value, 1.0, 1.0, &taken);
    }
  g_slist_free_full (files, g_object_unref);
  g_assert_true (taken);
}

static void
drop (const char *path)
{
  drop_all ((const char *[]) { path, NULL });
}

static void
test_file (void)
{
  g_autofree char *copied = copy_data ("tiny.gguf", "elsewhere", "copied.gguf");
  g_autofree char *used = copy_data ("tiny.gguf", "elsewhere", "used.gguf");
  g_autofree char *copy = g_build_filename (models, "copied.gguf", NULL);

  drop (copied);
  answer ("copied.gguf", "copy");
  WAIT (is_listed (copy));
  g_assert_true (g_file_test (copied, G_FILE_TEST_EXISTS));
  drop (used);
  answer ("used.gguf", "use");
  WAIT (is_listed (used));
  WAIT (g_strcmp0 (ing_generation_service_get_model_path (ing_workspace_get_generation (workspace)), used) == 0);
  ing_library_remove_folder (ing_workspace_get_library (workspace), used);
  WAIT (!is_listed (used));
  g_assert_true (g_file_test (used, G_FILE_TEST_EXISTS));
}

static void
test_folder (void)
{
  g_autofree char *weights = copy_data ("convert/llama/model.safetensors", "little-llama", "model.safetensors");
  g_autofree char *config = copy_data ("convert/llama/config.json", "little-llama", "config.json");
  g_autofree char *words = copy_data ("convert/tokenizers/llama-3.json", "little-llama", "tokenizer.json");
  g_autofree char *folder = g_path_get_dirname (weights);
  g_autofree char *made = g_build_filename (models, "little-llama.gguf", NULL);
  g_autofree char *in_folder = copy_data ("tiny.gguf", "many", "one.gguf");
  g_autofree char *many = g_path_get_dirname (in_folder);

  drop (folder);
  answer ("little-llama", "convert");
  WAIT (is_listed (made));
  /* One with files that are ready is put on the list as it is. */
  drop (many);
  WAIT (is_listed (in_folder));
}

static void
test_refused (void)
{
  g_autofree char *broken = g_build_filename (root, "elsewhere", "broken.gguf", NULL);
  g_autofree char *empty = g_build_filename (root, "empty", NULL);
  g_autofree char *gone = g_build_filename (root, "gone.gguf", NULL);

  g_assert_true (g_file_set_contents (broken, "GGUF but not much", -1, NULL));
  g_assert_cmpint (g_mkdir (empty, 0700), ==, 0);
  drop (broken);
  answer ("broken.gguf", "cancel");
  ing_import_path (GTK_WINDOW (window), workspace, NULL, empty);
  answer ("empty", "cancel");
  ing_import_path (GTK_WINDOW (window), workspace, NULL, gone);
  answer ("gone.gguf", "cancel");
  g_assert_false (is_listed (broken));
}

/* A file, a set, a hub's folder, a broken file at once: one dialog, the good ones are used, the bad one is named. */
static void
test_many (void)
{
  g_autofree char *one = copy_data ("tiny.gguf", "several", "several-one.gguf");
  g_autofree char *two = copy_data ("tiny.gguf", "several", "several-two.gguf");
  g_autofree char *broken = g_build_filename (root, "several", "several-broken.gguf", NULL);
  g_autofree char *weights = copy_data ("convert/llama/model.safetensors", "second-llama", "model.safetensors");
  g_autofree char *config = copy_data ("convert/llama/config.json", "second-llama", "config.json");
  g_autofree char *words = copy_data ("convert/tokenizers/llama-3.json", "second-llama", "tokenizer.json");
  g_autofree char *folder = g_path_get_dirname (weights);
  g_autofree char *made = g_build_filename (models, "second-llama.gguf", NULL);
  g_autofree char *copy = g_build_filename (models, "several-one.gguf", NULL);

  g_assert_true (g_file_set_contents (broken, "GGUF but not much", -1, NULL));
  drop_all ((const char *[]) { one, broken, folder, two, NULL });
  answer ("3 models", "use");
  WAIT (is_listed (one) && is_listed (two) && is_listed (made));
  g_assert_false (is_listed (broken));
  drop_all ((const char *[]) { one, broken, NULL });
  answer ("1 model", "copy");
  WAIT (is_listed (copy));
  drop_all ((const char *[]) { broken, broken, NULL });
  answer ("None of these", "cancel");
}

static void
run (void)
{
  gboolean done = FALSE;

  workspace = ing_workspace_new (root, "window");
  window = ing_window_new (application, workspace);
  gtk_window_present (GTK_WINDOW (window));
  ing_workspace_open_async (workspace, NULL, set_true_cb, &done);
  WAIT (done);
  ing_job_queue_resume (ing_workspace_get_jobs (workspace));
  ing_window_workspace_opened (ING_WINDOW (window));
  test_file ();
  test_folder ();
  test_refused ();
  test_many ();
  gtk_window_destroy (GTK_WINDOW (window));
  done = FALSE;
  ing_workspace_close_async (workspace, set_true_cb, &done);
  WAIT (done);
  g_object_add_weak_pointer (G_OBJECT (workspace), (gpointer *) &workspace);
  g_object_unref (workspace);
  WAIT (workspace == NULL);
}

static void
activate_cb (GtkApplication *app)
{
}

int
main (int argc, char **argv)
{
  int status;

  root = g_dir_make_tmp ("inglenook-import-XXXXXX", NULL);
  models = g_build_filename (root, "models", NULL);
  g_setenv ("INGLENOOK_MODELS", models, TRUE);
  g_setenv ("XDG_CONFIG_HOME", root, TRUE);
  gtk_test_init (&argc, &argv, NULL);
  adw_init ();
  ing_application_register_resources ();
  application = GTK_APPLICATION (adw_application_new ("io.github.inglenook_app.Inglenook.Test", G_APPLICATION_NON_UNIQUE));
  g_object_set (application, "resource-base-path", "/io/github/inglenook_app/Inglenook", NULL);
  g_signal_connect (application, "activate", G_CALLBACK (activate_cb), NULL);
  g_assert_true (g_application_register (G_APPLICATION (application), NULL, NULL));
  gtk_application_set_accels_for_action (application, "win.show-help-overlay",
                                         (const char *[]) { "<Control>question", NULL });
  g_test_add_func ("/ui/import", run);
  status = g_test_run ();
  g_object_unref (application);
  g_autofree char *remove = g_strdup_printf ("rm -rf %s", root);
  g_assert_cmpint (system (remove), ==, 0);
  return status;
}
