/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-bring-dialog.h"

#include <glib/gi18n-lib.h>

#define TICK_MS 100

typedef struct
{
  GtkWindow *parent; /* weak */
  IngWorkspace *workspace;
  IngBring *move;
  GCancellable *cancellable;
  GtkWidget *dialog; /* weak: the one with the bar */
  GtkWidget *bar;    /* of that dialog */
  guint tick_id;
} Moving;

static void
moving_free (Moving *self)
{
  g_clear_handle_id (&self->tick_id, g_source_remove);
  g_clear_weak_pointer (&self->parent);
  g_clear_weak_pointer (&self->dialog);
  g_object_unref (self->workspace);
  g_object_unref (self->move);
  g_object_unref (self->cancellable);
  g_free (self);
}

static Moving *
moving_new (GtkWindow *parent, IngWorkspace *workspace)
{
  Moving *self = g_new0 (Moving, 1);

  g_set_weak_pointer (&self->parent, parent);
  self->workspace = g_object_ref (workspace);
  self->move = ing_bring_new (workspace);
  self->cancellable = g_cancellable_new ();
  g_signal_connect_object (parent, "destroy", G_CALLBACK (g_cancellable_cancel), self->cancellable, G_CONNECT_SWAPPED);
  return self;
}

static GtkWidget *
new_dialog (Moving *self, const char *heading, const char *body, const char *close_label)
{
  GtkWidget *dialog = adw_message_dialog_new (self->parent, heading, body);

  adw_message_dialog_add_response (ADW_MESSAGE_DIALOG (dialog), "close", close_label);
  adw_message_dialog_set_close_response (ADW_MESSAGE_DIALOG (dialog), "close");
  return dialog;
}

static void
say (Moving *self, const char *heading, const char *body)
{
  gtk_window_present (GTK_WINDOW (new_dialog (self, heading, body, _("_Close"))));
}

static void
say_problem (Moving *self, const GError *error)
{
  g_autofree char *title = NULL;
  g_autofree char *advice = NULL;

  if (g_error_matches (error, ING_ERROR, ING_ERROR_NOT_FOUND))
    say (self, _("No data of Inglenook is there"),
         _("The folder holds a file called inglenook.sqlite; it is usually ~/.local/share/inglenook, or "
           "~/.var/app/io.github.inglenook_app.Inglenook for the Flatpak."));
  else if (g_error_matches (error, ING_ERROR, ING_ERROR_ARGUMENT))
    say (self, _("This is the folder in use here"), _("Choose the one of the other installation."));
  else if (g_error_matches (error, ING_ERROR, ING_ERROR_LOCKED) || g_error_matches (error, ING_ERROR, ING_ERROR_BUSY))
    say (self, _("The other Inglenook is running"), _("Close its window, then try again."));
  else
    {
      ing_error_describe (error, &title, &advice, NULL);
      say (self, title, advice);
    }
}

/* ---------------------------------------------------------------- removing */

static void
removed_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Moving *self = user_data;
  g_autoptr (GError) error = NULL;

  if (!ing_bring_remove_finish (ING_BRING (source), result, &error) && self->parent != NULL)
    {
      if (g_error_matches (error, ING_ERROR, ING_ERROR_BUSY))
        say (self, _("Some of it was left there"), _("It has changed since it was copied, or not all of it could be brought."));
      else
        say_problem (self, error);
    }
  moving_free (self);
}

static void
remove_response_cb (AdwMessageDialog *dialog, const char *response, Moving *self)
{
  g_signal_handlers_disconnect_by_data (dialog, self); /* a second click on a closing dialog is none */
  if (g_str_equal (response, "remove"))
    ing_bring_remove_async (self->move, removed_cb, self);
  else
    {
      ing_bring_leave (self->move);
      moving_free (self);
    }
}

static void
offer_to_remove (Moving *self, const IngBrought *moved)
{
  g_autofree char *size = g_format_size (moved->bytes);
  g_autofree char *conversations
      = g_strdup_printf (ngettext ("%u conversation", "%u conversations", moved->n_conversations), moved->n_conversations);
  g_autofree char *models = g_strdup_printf (ngettext ("%u model", "%u models", moved->n_models), moved->n_models);
  g_autofree char *documents = g_strdup_printf (ngettext ("%u document", "%u documents", moved->n_documents), moved->n_documents);
  g_autofree char *known
      = g_strdup_printf (_("Here already: %u conversations, %u models, %u documents."), moved->n_known_conversations,
                         moved->n_known_models, moved->n_known_documents);
  GString *body = g_string_new (NULL);

  g_string_printf (body, _("%s, %s (%s), %s. %s"), conversations, models, size, documents, known);
  if (moved->n_collections > 0)
    g_string_append_printf (body, ngettext (" %u collection came too.", " %u collections came too.", moved->n_collections),
                            moved->n_collections);
  if (moved->n_models_elsewhere > 0)
    g_string_append_printf (body, "\n\n%s", _("Models in other folders stay where they are; those folders can be added on the page of models."));
  if (moved->n_jobs_left + moved->n_drafts_left > 0)
    g_string_append_printf (body, "\n\n%s", _("Unfinished downloads and drafts were not brought; removing takes them away."));
  g_string_append_printf (body, "\n\n%s",
                          _("All that came was compared with what it came from and can be removed there. Older backups and settings stay there."));
  GtkWidget *dialog = new_dialog (self, _("The data is here"), body->str, _("_Keep it there too"));

  adw_message_dialog_add_response (ADW_MESSAGE_DIALOG (dialog), "remove", _("_Remove it there"));
  adw_message_dialog_set_response_appearance (ADW_MESSAGE_DIALOG (dialog), "remove", ADW_RESPONSE_DESTRUCTIVE);
  adw_message_dialog_set_default_response (ADW_MESSAGE_DIALOG (dialog), "close");
  g_signal_connect (dialog, "response", G_CALLBACK (remove_response_cb), self);
  gtk_window_present (GTK_WINDOW (dialog));
  g_string_free (body, TRUE);
}

/* ---------------------------------------------------------------- coming */

static gboolean
tick_cb (gpointer user_data)
{
  Moving *self = user_data;

  if (self->dialog != NULL)
    gtk_progress_bar_set_fraction (GTK_PROGRESS_BAR (self->bar), ing_bring_get_fraction (self->move));
  return G_SOURCE_CONTINUE;
}

static void
cancel_cb (AdwMessageDialog *dialog, const char *response, GCancellable *cancellable)
{
  g_cancellable_cancel (cancellable);
}

static void
brought_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Moving *self = user_data;
  g_autoptr (GError) error = NULL;
  IngBrought moved;
  gboolean ok = ing_bring_run_finish (ING_BRING (source), result, &moved, &error);

  g_clear_handle_id (&self->tick_id, g_source_remove);
  if (self->dialog != NULL)
    {
      g_signal_handlers_disconnect_by_func (self->dialog, cancel_cb, self->cancellable);
      gtk_window_destroy (GTK_WINDOW (self->dialog));
    }
  if (self->parent == NULL || g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    moving_free (self);
  else if (!ok)
    {
      say_problem (self, error);
      moving_free (self);
    }
  else
    offer_to_remove (self, &moved);
}

static void
run (Moving *self, const char *folder)
{
  GtkWidget *dialog = new_dialog (self, _("Bringing the data"), _("It is copied and compared. Nothing here is overwritten."),
                                  _("_Cancel"));

  g_set_weak_pointer (&self->dialog, dialog);
  self->bar = gtk_progress_bar_new ();
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->bar), GTK_ACCESSIBLE_PROPERTY_LABEL, _("How much has come"), -1);
  adw_message_dialog_set_extra_child (ADW_MESSAGE_DIALOG (dialog), self->bar);
  g_signal_connect_object (dialog, "response", G_CALLBACK (cancel_cb), self->cancellable, 0);
  self->tick_id = g_timeout_add (TICK_MS, tick_cb, self);
  gtk_window_present (GTK_WINDOW (dialog));
  ing_bring_run_async (self->move, folder, self->cancellable, brought_cb, self);
}

/* ---------------------------------------------------------------- choosing */

static void
chosen_cb (GtkNativeDialog *chooser, int response, Moving *self)
{
  g_autoptr (GFile) file = response == GTK_RESPONSE_ACCEPT ? gtk_file_chooser_get_file (GTK_FILE_CHOOSER (chooser)) : NULL;
  g_autofree char *path = file != NULL ? g_file_get_path (file) : NULL;

  if (path != NULL && self->parent != NULL)
    run (self, path);
  else
    moving_free (self);
  g_object_unref (chooser); /* its own reference, held while it was shown */
}

static void
choose (Moving *self, const char *usual)
{
  GtkFileChooserNative *chooser = gtk_file_chooser_native_new (
      _("Folder of the other installation"), self->parent, GTK_FILE_CHOOSER_ACTION_SELECT_FOLDER, _("_Open"), NULL);
  g_autoptr (GFile) start = g_file_new_for_path (usual);

  /* In a sandbox the chooser, which is outside, knows this folder. */
  if (ing_paths_is_sandboxed ())
    gtk_file_chooser_set_current_folder (GTK_FILE_CHOOSER (chooser), start, NULL);
  gtk_native_dialog_set_modal (GTK_NATIVE_DIALOG (chooser), TRUE);
  g_signal_connect (chooser, "response", G_CALLBACK (chosen_cb), self);
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (chooser));
}

static void
source_response_cb (AdwMessageDialog *dialog, const char *response, Moving *self)
{
  g_autofree char *usual = ing_bring_dup_usual_folder ();

  g_signal_handlers_disconnect_by_data (dialog, self);
  if (self->parent == NULL || g_str_equal (response, "close"))
    moving_free (self);
  else if (g_str_equal (response, "flatpak"))
    run (self, usual);
  else
    choose (self, usual);
}

void
ing_bring_dialog_start (GtkWindow *parent, IngWorkspace *workspace)
{
  Moving *self = moving_new (parent, workspace);
  g_autofree char *usual = ing_bring_dup_usual_folder ();
  g_autofree char *database = g_build_filename (usual, "data", "inglenook", "inglenook.sqlite", NULL);
  gboolean flatpak = !ing_paths_is_sandboxed () && g_file_test (database, G_FILE_TEST_IS_REGULAR);
  GtkWidget *dialog = new_dialog (
      self, _("Bring data from another installation?"),
      ing_paths_is_sandboxed ()
          ? _("Conversations, documents, settings and models of an Inglenook outside the Flatpak are copied here. Its folder is usually "
              "~/.local/share/inglenook; it can be seen once you choose it.")
      : flatpak ? _("Conversations, documents, settings and models of the Flatpak are copied here.")
                : _("Conversations, documents, settings and models of another Inglenook, a Flatpak or one of another user, are copied here."),
      _("_Cancel"));

  adw_message_dialog_add_response (ADW_MESSAGE_DIALOG (dialog), "choose", _("Choose the _folder…"));
  adw_message_dialog_set_default_response (ADW_MESSAGE_DIALOG (dialog), "choose");
  if (flatpak)
    {
      adw_message_dialog_add_response (ADW_MESSAGE_DIALOG (dialog), "flatpak", _("_Bring it from the Flatpak"));
      adw_message_dialog_set_response_appearance (ADW_MESSAGE_DIALOG (dialog), "flatpak", ADW_RESPONSE_SUGGESTED);
      adw_message_dialog_set_default_response (ADW_MESSAGE_DIALOG (dialog), "flatpak");
    }
  g_signal_connect (dialog, "response", G_CALLBACK (source_response_cb), self);
  gtk_window_present (GTK_WINDOW (dialog));
}
