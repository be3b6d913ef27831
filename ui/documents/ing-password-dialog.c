/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-password-dialog.h"

#include <adwaita.h>
#include <glib/gi18n-lib.h>

#define OPEN_KEY "ing-password-dialog"

typedef struct
{
  char *typed; /* the entry is gone when the dialog responds */
  char *path;
  void (*done) (gpointer data);
  gpointer data;
  GDestroyNotify free_data;
} Asking;

static void
asking_free (gpointer data, GClosure *closure)
{
  Asking *asking = data;

  if (asking->free_data != NULL)
    asking->free_data (asking->data);
  ing_document_password_free (asking->typed);
  g_free (asking->path);
  g_free (asking);
}

static void
response_cb (AdwMessageDialog *dialog, const char *response, Asking *asking)
{
  GtkWindow *over = gtk_window_get_transient_for (GTK_WINDOW (dialog));

  if (over != NULL)
    g_object_set_data (G_OBJECT (over), OPEN_KEY, NULL);
  if (g_strcmp0 (response, "unlock") != 0)
    return;
  ing_document_password_set (asking->path, asking->typed);
  asking->done (asking->data);
}

static void
changed_cb (GtkEditable *entry, Asking *asking)
{
  AdwMessageDialog *dialog = ADW_MESSAGE_DIALOG (gtk_widget_get_root (GTK_WIDGET (entry)));

  ing_document_password_free (asking->typed);
  asking->typed = g_strdup (gtk_editable_get_text (entry));
  adw_message_dialog_set_response_enabled (dialog, "unlock", *asking->typed != '\0');
}

gboolean
ing_password_dialog_is_open (GtkWidget *widget)
{
  GtkRoot *root = gtk_widget_get_root (widget);

  return root != NULL && g_object_get_data (G_OBJECT (root), OPEN_KEY) != NULL;
}

void
ing_password_dialog_present (GtkWidget *from, const char *path, const char *name, gboolean wrong,
                             void (*done) (gpointer data), gpointer data, GDestroyNotify free_data)
{
  GtkRoot *root = gtk_widget_get_root (from);
  g_autofree char *heading = g_strdup_printf (_("“%s” is locked"), name);
  GtkWidget *dialog = adw_message_dialog_new (GTK_IS_WINDOW (root) ? GTK_WINDOW (root) : NULL, heading, NULL);
  AdwMessageDialog *message = ADW_MESSAGE_DIALOG (dialog);
  GtkWidget *entry = gtk_entry_new (); /* GTK 4.8 touches a GtkPasswordEntry that is gone when its dialog closes */
  Asking *asking = g_new0 (Asking, 1);

  adw_message_dialog_set_body (message,
                               wrong ? _("The password is wrong. It is not stored, only the text of the document is.")
                                     : _("Its password opens it. It is not stored, only the text of the document is."));
  *asking = (Asking){ NULL, g_strdup (path), done, data, free_data };
  gtk_entry_set_visibility (GTK_ENTRY (entry), FALSE);
  gtk_entry_set_input_purpose (GTK_ENTRY (entry), GTK_INPUT_PURPOSE_PASSWORD);
  gtk_entry_set_activates_default (GTK_ENTRY (entry), TRUE);
  gtk_entry_set_placeholder_text (GTK_ENTRY (entry), _("Password"));
  gtk_accessible_update_property (GTK_ACCESSIBLE (entry), GTK_ACCESSIBLE_PROPERTY_LABEL, _("Password"), -1);
  adw_message_dialog_set_extra_child (message, entry);
  adw_message_dialog_add_responses (message, "cancel", _("_Cancel"), "unlock", _("_Unlock"), NULL);
  adw_message_dialog_set_response_appearance (message, "unlock", ADW_RESPONSE_SUGGESTED);
  adw_message_dialog_set_response_enabled (message, "unlock", FALSE);
  adw_message_dialog_set_default_response (message, "unlock");
  adw_message_dialog_set_close_response (message, "cancel");
  g_signal_connect (entry, "changed", G_CALLBACK (changed_cb), asking);
  g_signal_connect_data (dialog, "response", G_CALLBACK (response_cb), asking, asking_free, 0);
  if (root != NULL)
    g_object_set_data (G_OBJECT (root), OPEN_KEY, dialog);
  gtk_window_present (GTK_WINDOW (dialog));
  gtk_widget_grab_focus (entry);
}
