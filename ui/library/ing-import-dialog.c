/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-import-dialog.h"

#include "ing-form.h"

#include <glib/gi18n-lib.h>
#include <string.h>

typedef struct
{
  GtkWindow *parent; /* weak */
  IngWorkspace *workspace;
  AdwToastOverlay *toasts; /* weak */
  char *path, *name;
} Import;

static Import *
import_new (GtkWindow *parent, IngWorkspace *workspace, AdwToastOverlay *toasts, const char *path)
{
  Import *import = g_new0 (Import, 1);

  g_set_weak_pointer (&import->parent, parent);
  g_set_weak_pointer (&import->toasts, toasts);
  import->workspace = g_object_ref (workspace);
  import->path = g_strdup (path);
  import->name = path != NULL ? g_filename_display_basename (path) : NULL;
  return import;
}

static void
import_free (gpointer data, GClosure *closure)
{
  Import *import = data;

  g_clear_weak_pointer (&import->parent);
  g_clear_weak_pointer (&import->toasts);
  g_object_unref (import->workspace);
  g_free (import->path);
  g_free (import->name);
  g_free (import);
}

static IngLibrary *
get_library (Import *import)
{
  return ing_workspace_get_library (import->workspace);
}

static void
tell (Import *import, const char *text)
{
  if (import->toasts != NULL)
    adw_toast_overlay_add_toast (import->toasts, adw_toast_new (text));
}

/* ---------------------------------------------------------------- dialogs */

static GtkWidget *
new_dialog (Import *import, const char *heading, const char *body)
{
  GtkWidget *dialog = adw_message_dialog_new (import->parent, heading, body);

  adw_message_dialog_add_response (ADW_MESSAGE_DIALOG (dialog), "cancel", _("_Cancel"));
  adw_message_dialog_set_close_response (ADW_MESSAGE_DIALOG (dialog), "cancel");
  return dialog;
}

static void
show_problem (Import *import, const char *why)
{
  g_autofree char *heading = g_strdup_printf (_("“%s” cannot be used"), import->name);
  GtkWidget *dialog = new_dialog (import, heading, why);

  adw_message_dialog_set_response_label (ADW_MESSAGE_DIALOG (dialog), "cancel", _("_Close"));
  gtk_window_present (GTK_WINDOW (dialog));
}

/* Takes @import. */
static void
ask (Import *import, GtkWidget *dialog, GCallback response)
{
  g_signal_connect_data (dialog, "response", response, import, import_free, 0);
  gtk_window_present (GTK_WINDOW (dialog));
}

/* For the conversation that its window shows. */
static void
use (Import *import)
{
  if (import->parent == NULL || !gtk_widget_activate_action (GTK_WIDGET (import->parent), "win.use-model", "s", import->path))
    ing_workspace_open_model (import->workspace, import->path, FALSE);
}

/* ---------------------------------------------------------------- a file */

static void
file_response_cb (AdwMessageDialog *dialog, const char *response, Import *import)
{
  if (g_str_equal (response, "copy"))
    {
      g_autoptr (IngJob) job = ing_library_import (get_library (import), import->path);
      g_autofree char *text = g_strdup_printf (_("Copying “%s”"), import->name);

      tell (import, text);
    }
  else if (g_str_equal (response, "use"))
    {
      ing_library_add_folder (get_library (import), import->path);
      use (import);
    }
}

static void
looked_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Import *import = user_data;
  g_autoptr (GError) error = NULL;
  g_autofree char *json = ing_local_inspect_finish (result, &error);

  if (import->parent == NULL)
    {
      import_free (import, NULL);
      return;
    }
  if (error != NULL)
    {
      g_autofree char *sentence = ing_error_to_sentence (error);

      show_problem (import, sentence);
      import_free (import, NULL);
      return;
    }
  g_auto (IngModelFacts) facts;
  ing_model_facts_from_json (&facts, json);
  g_autofree char *size = g_format_size (facts.file_bytes);
  g_autofree char *numbers = ing_fit_dup_numbers (&facts.fit);
  g_autofree char *heading = g_strdup_printf (_("Use “%s”?"), import->name);
  g_autofree char *body = g_strdup_printf (_("%s · %s · %s\n%s. %s"), facts.architecture, facts.type, size,
                                           ing_fit_get_words (&facts.fit), numbers);
  GtkWidget *dialog = new_dialog (import, heading, body);

  adw_message_dialog_add_responses (ADW_MESSAGE_DIALOG (dialog), "copy", _("_Copy it"), "use", _("_Use it where it is"), NULL);
  adw_message_dialog_set_response_appearance (ADW_MESSAGE_DIALOG (dialog), "use", ADW_RESPONSE_SUGGESTED);
  adw_message_dialog_set_default_response (ADW_MESSAGE_DIALOG (dialog), "use");
  ask (import, dialog, G_CALLBACK (file_response_cb));
}

static gboolean
is_known (Import *import)
{
  GListModel *files = G_LIST_MODEL (get_library (import));

  for (guint i = 0; i < g_list_model_get_n_items (files); i++)
    {
      g_autoptr (IngModelFile) file = g_list_model_get_item (files, i);

      if (strcmp (ing_model_file_get_path (file), import->path) == 0)
        return TRUE;
    }
  return FALSE;
}

/* ---------------------------------------------------------------- a folder */

static void
convert_response_cb (AdwMessageDialog *dialog, const char *response, Import *import)
{
  if (g_str_equal (response, "convert"))
    {
      g_autoptr (IngJob) job = ing_transfers_convert (ing_library_get_transfers (get_library (import)), import->path, NULL);
      g_autofree char *text = g_strdup_printf (_("Converting “%s”"), import->name);

      tell (import, text);
    }
}

static void
ask_to_convert (Import *import, guint64 bytes)
{
  g_autofree char *size = g_format_size (bytes);
  guint64 room = ing_library_get_free_bytes (get_library (import));
  g_autofree char *free_size = g_format_size (room);
  g_autofree char *heading = g_strdup_printf (_("Convert “%s”?"), import->name);
  g_autofree char *body = g_strdup_printf (
      _("Its weights are made into one file of about %s in the folder of models, where %s are free. The folder stays as it is."),
      size, free_size);
  GtkWidget *dialog = new_dialog (import, heading, body);

  adw_message_dialog_add_response (ADW_MESSAGE_DIALOG (dialog), "convert", _("Con_vert"));
  adw_message_dialog_set_response_appearance (ADW_MESSAGE_DIALOG (dialog), "convert", ADW_RESPONSE_SUGGESTED);
  adw_message_dialog_set_response_enabled (ADW_MESSAGE_DIALOG (dialog), "convert", bytes < room);
  adw_message_dialog_set_default_response (ADW_MESSAGE_DIALOG (dialog), "convert");
  ask (import, dialog, G_CALLBACK (convert_response_cb));
}

/* ---------------------------------------------------------------- either */

typedef struct
{
  char *path;
  gboolean is_folder, is_model;
  guint64 convert_bytes; /* 0 = not to be converted */
} Look;

static void
look_free (gpointer data)
{
  Look *look = data;

  g_free (look->path);
  g_free (look);
}

static void
look_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  Look *look = task_data;

  look->is_folder = g_file_test (look->path, G_FILE_TEST_IS_DIR);
  look->is_model = ing_library_looks_like_model (look->path);
  if (look->is_folder && !ing_transfers_look_at_folder (look->path, &look->convert_bytes))
    look->convert_bytes = 0;
  g_task_return_boolean (task, TRUE);
}

static void
kind_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Import *import = user_data;
  Look *look = g_task_get_task_data (G_TASK (result));

  if (import->parent == NULL)
    import_free (import, NULL);
  else if (look->convert_bytes > 0)
    ask_to_convert (import, look->convert_bytes);
  else if (look->is_folder)
    {
      if (look->is_model)
        {
          g_autofree char *text = g_strdup_printf (_("The models of “%s” are on the list"), import->name);

          ing_library_add_folder (get_library (import), import->path);
          tell (import, text);
        }
      else
        show_problem (import, _("It has no GGUF file in it, nor config.json with weights as safetensors."));
      import_free (import, NULL);
    }
  else if (is_known (import))
    {
      use (import);
      import_free (import, NULL);
    }
  else
    ing_local_inspect_async (ing_workspace_get_generation (import->workspace), import->path, 0, NULL, looked_cb, import);
}

void
ing_import_path (GtkWindow *parent, IngWorkspace *workspace, AdwToastOverlay *toasts, const char *path)
{
  Import *import = import_new (parent, workspace, toasts, path);
  g_autoptr (GTask) task = g_task_new (NULL, NULL, kind_cb, import);
  Look *look = g_new0 (Look, 1);

  look->path = g_strdup (path);
  g_task_set_task_data (task, look, look_free);
  g_task_run_in_thread (task, look_thread);
}

/* ---------------------------------------------------------------- choosing */

static void
chosen_cb (GtkNativeDialog *chooser, int response, Import *import)
{
  g_autoptr (GFile) file = response == GTK_RESPONSE_ACCEPT ? gtk_file_chooser_get_file (GTK_FILE_CHOOSER (chooser)) : NULL;
  g_autofree char *path = file != NULL ? g_file_get_path (file) : NULL;

  if (path != NULL && import->parent != NULL)
    ing_import_path (import->parent, import->workspace, import->toasts, path);
  g_object_unref (chooser); /* its own reference, held while it was shown */
}

void
ing_import_choose (GtkWindow *parent, IngWorkspace *workspace, AdwToastOverlay *toasts, gboolean folder)
{
  GtkFileChooserNative *chooser = gtk_file_chooser_native_new (
      folder ? _("Choose a folder") : _("Choose a file"), parent,
      folder ? GTK_FILE_CHOOSER_ACTION_SELECT_FOLDER : GTK_FILE_CHOOSER_ACTION_OPEN, _("_Open"), NULL);

  gtk_native_dialog_set_modal (GTK_NATIVE_DIALOG (chooser), TRUE);
  g_signal_connect_data (chooser, "response", G_CALLBACK (chosen_cb), import_new (parent, workspace, toasts, NULL),
                         import_free, 0);
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (chooser));
}
