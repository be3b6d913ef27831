/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-document-sum.h"

#include "ing-document-chip.h"
#include "ing-document-undo.h"

#include <glib/gi18n-lib.h>
#include <string.h>

struct _IngDocumentSum
{
  GtkWidget parent_instance;

  GtkWidget *box;
  GtkLabel *count_label, *state_label;

  IngDocumentLibrary *library;
  gint64 owner;
  GListModel *documents;
  guint timeout_id; /* 0 = all are read */
};

G_DEFINE_FINAL_TYPE (IngDocumentSum, ing_document_sum, GTK_TYPE_WIDGET)

/* TRUE: some are still to be read. */
static gboolean
update (IngDocumentSum *self)
{
  guint n = g_list_model_get_n_items (self->documents), n_done = 0, n_failed = 0;
  g_autofree char *count = g_strdup_printf (ngettext ("%u document", "%u documents", n), n);
  g_autofree char *state = NULL;
  g_autofree char *label = NULL;

  for (guint i = 0; i < n; i++)
    {
      g_autoptr (IngDocument) document = g_list_model_get_item (self->documents, i);
      IngDocumentState is = ing_document_get_state (document);

      n_done += ing_document_get_gone (document) || is == ING_DOCUMENT_WORDS || is == ING_DOCUMENT_READY || is == ING_DOCUMENT_FAILED;
      n_failed += is == ING_DOCUMENT_FAILED;
    }
  if (n_done < n)
    state = g_strdup_printf (_("%u of %u read"), n_done, n);
  else if (n_failed > 0)
    state = g_strdup_printf (_("%u of %u cannot be read"), n_failed, n);
  gtk_label_set_text (self->count_label, count);
  gtk_label_set_text (self->state_label, state != NULL ? state : "");
  gtk_widget_set_visible (GTK_WIDGET (self->state_label), state != NULL);
  label = state != NULL ? g_strdup_printf ("%s · %s", count, state) : g_strdup (count);
  gtk_accessible_update_property (GTK_ACCESSIBLE (self), GTK_ACCESSIBLE_PROPERTY_LABEL, label, -1);
  return n_done < n;
}

/* Counting some thousand states a second costs nothing; following each document's notifications would. */
static gboolean
tick_cb (gpointer user_data)
{
  IngDocumentSum *self = user_data;

  if (update (self))
    return G_SOURCE_CONTINUE;
  self->timeout_id = 0;
  return G_SOURCE_REMOVE;
}

static gboolean
is_below (const char *path, char **folders)
{
  for (guint i = 0; folders[i] != NULL; i++)
    if (g_str_has_prefix (path, folders[i]) && path[strlen (folders[i])] == G_DIR_SEPARATOR)
      return TRUE;
  return FALSE;
}

/* All folders, and the documents that are in none of them. */
static char **
dup_paths (IngDocumentSum *self)
{
  g_auto (GStrv) folders = ing_collections_dup_folders (ing_document_library_get_collections (self->library), self->owner);
  g_autoptr (GStrvBuilder) paths = g_strv_builder_new ();

  g_strv_builder_addv (paths, (const char **) folders);
  for (guint i = 0; i < g_list_model_get_n_items (self->documents); i++)
    {
      g_autoptr (IngDocument) document = g_list_model_get_item (self->documents, i);

      if (!is_below (ing_document_get_path (document), folders))
        g_strv_builder_add (paths, ing_document_get_path (document));
    }
  return g_strv_builder_end (paths);
}

static void
remove_all_cb (IngDocumentSum *self)
{
  IngCollections *collections = ing_document_library_get_collections (self->library);
  GtkWidget *toasts = gtk_widget_get_ancestor (GTK_WIDGET (self), ADW_TYPE_TOAST_OVERLAY);
  g_auto (GStrv) paths = dup_paths (self);

  ing_collections_clear (collections, self->owner);
  ing_document_undo_offer (ADW_TOAST_OVERLAY (toasts), collections, self->owner, _("Documents removed"),
                           (const char *const *) paths);
}

static void
ing_document_sum_dispose (GObject *object)
{
  IngDocumentSum *self = ING_DOCUMENT_SUM (object);

  g_clear_handle_id (&self->timeout_id, g_source_remove);
  g_clear_pointer (&self->box, gtk_widget_unparent);
  g_clear_object (&self->documents);
  g_clear_object (&self->library);
  G_OBJECT_CLASS (ing_document_sum_parent_class)->dispose (object);
}

static void
ing_document_sum_class_init (IngDocumentSumClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = ing_document_sum_dispose;
  gtk_widget_class_set_layout_manager_type (GTK_WIDGET_CLASS (klass), GTK_TYPE_BIN_LAYOUT);
  gtk_widget_class_set_css_name (GTK_WIDGET_CLASS (klass), "documentchip");
  gtk_widget_class_set_accessible_role (GTK_WIDGET_CLASS (klass), GTK_ACCESSIBLE_ROLE_GROUP);
}

static void
ing_document_sum_init (IngDocumentSum *self)
{
  GtkWidget *button;

  self->box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 6);
  gtk_widget_set_parent (self->box, GTK_WIDGET (self));
  self->count_label = GTK_LABEL (gtk_label_new (NULL));
  gtk_box_append (GTK_BOX (self->box), GTK_WIDGET (self->count_label));
  self->state_label = ing_document_chip_append_state (GTK_BOX (self->box));
  button = ing_document_chip_append_button (GTK_BOX (self->box), "window-close-symbolic",
                                            _("Remove all documents of this conversation"));
  g_signal_connect_swapped (button, "clicked", G_CALLBACK (remove_all_cb), self);
}

GtkWidget *
ing_document_sum_new (IngDocumentLibrary *library, gint64 owner, GListModel *documents)
{
  IngDocumentSum *self = g_object_new (ING_TYPE_DOCUMENT_SUM, NULL);

  self->library = g_object_ref (library);
  self->owner = owner;
  self->documents = g_object_ref (documents);
  if (update (self))
    self->timeout_id = g_timeout_add_seconds (1, tick_cb, self);
  return GTK_WIDGET (self);
}
