/* SPDX-License-Identifier: Apache-2.0 */
/* The window's models and storage: opening, and what is wrong with them. */
#include "ing-window-private.h"

#include "ing-bring-dialog.h"

#include <glib/gi18n-lib.h>

void
ing_window_open_model (IngWindow *self, const char *path)
{
  g_autofree char *copy = g_strdup (path);

  g_return_if_fail (ING_IS_WINDOW (self));
  g_free (self->wanted_model);
  self->wanted_model = g_steal_pointer (&copy);
  if (ing_chat_view_get_conversation (self->chat_view) != NULL)
    ing_workspace_choose_model (self->workspace, ing_chat_view_get_conversation (self->chat_view), self->wanted_model);
  else /* at the start; the conversation hears of it when there is one */
    ing_workspace_open_model (self->workspace, self->wanted_model, FALSE);
}

static void
use_model_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  ing_window_open_model (ING_WINDOW (widget), g_variant_get_string (parameter, NULL));
}

static void
model_chosen_cb (GtkNativeDialog *dialog, int response, IngWindow *self)
{
  if (response == GTK_RESPONSE_ACCEPT)
    {
      g_autoptr (GFile) file = gtk_file_chooser_get_file (GTK_FILE_CHOOSER (dialog));
      g_autofree char *path = g_file_get_path (file);

      if (path != NULL)
        ing_window_open_model (self, path);
    }
  g_clear_object (&self->chooser);
}

static void
open_model_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  IngWindow *self = ING_WINDOW (widget);
  g_autoptr (GtkFileFilter) models = gtk_file_filter_new ();
  g_autoptr (GtkFileFilter) all = gtk_file_filter_new ();
  g_autoptr (GFile) folder = g_file_new_for_path (ing_paths_get_models ());

  g_clear_object (&self->chooser);
  self->chooser = gtk_file_chooser_native_new (_("Open model"), GTK_WINDOW (self),
                                               GTK_FILE_CHOOSER_ACTION_OPEN, _("_Open"), NULL);
  gtk_file_filter_set_name (models, _("Models (GGUF)"));
  gtk_file_filter_add_pattern (models, "*.gguf");
  gtk_file_filter_set_name (all, _("All files"));
  gtk_file_filter_add_pattern (all, "*");
  gtk_file_chooser_add_filter (GTK_FILE_CHOOSER (self->chooser), models);
  gtk_file_chooser_add_filter (GTK_FILE_CHOOSER (self->chooser), all);
  gtk_file_chooser_set_current_folder (GTK_FILE_CHOOSER (self->chooser), folder, NULL);
  gtk_native_dialog_set_modal (GTK_NATIVE_DIALOG (self->chooser), TRUE);
  g_signal_connect (self->chooser, "response", G_CALLBACK (model_chosen_cb), self);
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (self->chooser));
}

static void
open_models_folder_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  g_autofree char *uri = NULL;

  if (!ing_paths_ensure_folder (ing_paths_get_models (), NULL))
    return;
  uri = g_filename_to_uri (ing_paths_get_models (), NULL, NULL);
  gtk_show_uri (GTK_WINDOW (widget), uri, GDK_CURRENT_TIME);
}

static void
bring_data_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  ing_bring_dialog_start (GTK_WINDOW (widget), ING_WINDOW (widget)->workspace);
}

static void
load_anyway_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  ing_workspace_load_anyway (ING_WINDOW (widget)->workspace);
}

static void
dismiss_problem_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  ing_problem_box_set_error (ING_WINDOW (widget)->model_problem, NULL);
}

void
ing_window_update_model_problem (IngWindow *self)
{
  const GError *error
      = ing_generation_service_get_load_error (ing_workspace_get_generation (self->workspace));

  ing_problem_box_set_error (self->model_problem, error);
  if (error == NULL)
    return;
  if (g_error_matches (error, ING_ERROR, ING_ERROR_TOO_LARGE))
    ing_problem_box_add_button (self->model_problem, _("_Load anyway"), "win.load-anyway", NULL);
  ing_problem_box_add_button (self->model_problem, _("_Open another…"), "win.open-model", NULL);
  ing_problem_box_add_button (self->model_problem, _("_Close"), "win.dismiss-model-problem", NULL);
}

void
ing_window_update_storage_problem (IngWindow *self)
{
  const GError *error = ing_workspace_get_storage_problem (self->workspace);
  IngStorageState state = ing_workspace_get_storage_state (self->workspace);

  if (state == ING_STORAGE_OPENING || state == ING_STORAGE_OK || error == NULL)
    {
      ing_problem_box_set_error (self->storage_problem, NULL);
      return;
    }
  ing_problem_box_set_error (self->storage_problem, error);
  if (g_error_matches (error, ING_ERROR, ING_ERROR_DATABASE_DAMAGED))
    {
      if (ing_workspace_get_backup_time (self->workspace) != 0)
        ing_problem_box_add_button (self->storage_problem, _("_Restore the newest backup"),
                                    "win.restore", g_variant_new_boolean (TRUE));
      ing_problem_box_add_button (self->storage_problem, _("Start _empty"), "win.restore",
                                  g_variant_new_boolean (FALSE));
    }
}

static void
restored_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (IngWindow) self = user_data;

  if (ing_workspace_restore_finish (ING_WORKSPACE (source), result, NULL) && self->workspace != NULL)
    ing_window_workspace_opened (self);
}

static void
restore_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  IngWindow *self = ING_WINDOW (widget);

  ing_workspace_restore_async (self->workspace, g_variant_get_boolean (parameter), restored_cb,
                               g_object_ref (self));
}

void
ing_window_install_model_actions (GtkWidgetClass *widget_class)
{
  gtk_widget_class_install_action (widget_class, "win.open-model", NULL, open_model_cb);
  gtk_widget_class_install_action (widget_class, "win.use-model", "s", use_model_cb);
  gtk_widget_class_install_action (widget_class, "win.open-models-folder", NULL, open_models_folder_cb);
  gtk_widget_class_install_action (widget_class, "win.bring-data", NULL, bring_data_cb);
  gtk_widget_class_install_action (widget_class, "win.load-anyway", NULL, load_anyway_cb);
  gtk_widget_class_install_action (widget_class, "win.dismiss-model-problem", NULL, dismiss_problem_cb);
  gtk_widget_class_install_action (widget_class, "win.restore", "b", restore_cb);
}
