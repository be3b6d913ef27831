/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-collection-list.h"

#include "ing-numbers.h"

#include <glib/gi18n-lib.h>

#define MAX_HEIGHT 148 /* four rows; more scroll */

struct _IngCollectionList
{
  GtkWidget parent_instance;

  GtkWidget *box;
  GtkListBox *list;
  IngDocumentLibrary *library;
  guint update_id; /* 0 = the numbers are right */
};

G_DEFINE_FINAL_TYPE (IngCollectionList, ing_collection_list, GTK_TYPE_WIDGET)

static IngCollections *
get_collections (IngCollectionList *self)
{
  return ing_document_library_get_collections (self->library);
}

static void
update_row (IngCollectionList *self, GtkWidget *row)
{
  IngCollection *collection = g_object_get_data (G_OBJECT (row), "collection");
  g_autoptr (GListModel) own = ing_document_library_dup_list (self->library, ing_collection_get_owner (collection));
  guint n = g_list_model_get_n_items (own);
  g_autofree char *count = ing_numbers_dup_count (n);
  g_autofree char *documents = g_strdup_printf (ngettext ("%u document", "%u documents", n), n);
  g_autofree char *label = g_strdup_printf ("%s, %s", ing_collection_get_name (collection), documents);

  gtk_label_set_text (g_object_get_data (G_OBJECT (row), "count"), count);
  gtk_widget_set_tooltip_text (row, label);
  gtk_accessible_update_property (GTK_ACCESSIBLE (row), GTK_ACCESSIBLE_PROPERTY_LABEL, label, -1);
}

static gboolean
update_cb (gpointer user_data)
{
  IngCollectionList *self = user_data;
  GtkListBoxRow *row;

  self->update_id = 0;
  for (int i = 0; (row = gtk_list_box_get_row_at_index (self->list, i)) != NULL; i++)
    update_row (self, GTK_WIDGET (row));
  return G_SOURCE_REMOVE;
}

/* A folder's documents come one by one: they are counted together. */
static void
schedule (IngCollectionList *self)
{
  if (self->update_id == 0)
    self->update_id = g_timeout_add (300, update_cb, self);
}

static GtkWidget *
create_row_cb (gpointer item, gpointer user_data)
{
  IngCollection *collection = item;
  GtkWidget *row = gtk_list_box_row_new (), *box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 9);
  GtkWidget *name = gtk_label_new (ing_collection_get_name (collection)), *count = gtk_label_new (NULL);

  gtk_label_set_xalign (GTK_LABEL (name), 0);
  gtk_label_set_ellipsize (GTK_LABEL (name), PANGO_ELLIPSIZE_END);
  gtk_widget_set_hexpand (name, TRUE);
  gtk_widget_add_css_class (count, "dim-label");
  gtk_widget_add_css_class (count, "numeric");
  gtk_box_append (GTK_BOX (box), gtk_image_new_from_icon_name ("folder-symbolic"));
  gtk_box_append (GTK_BOX (box), name);
  gtk_box_append (GTK_BOX (box), count);
  gtk_list_box_row_set_child (GTK_LIST_BOX_ROW (row), box);
  g_object_set_data_full (G_OBJECT (row), "collection", g_object_ref (collection), g_object_unref);
  g_object_set_data (G_OBJECT (row), "count", count);
  update_row (user_data, row);
  return row;
}

static void
activated_cb (IngCollectionList *self, GtkListBoxRow *row)
{
  gtk_widget_activate_action (GTK_WIDGET (self), "win.show-collection", "x",
                              ing_collection_get_id (g_object_get_data (G_OBJECT (row), "collection")));
}

static void
collections_changed_cb (IngCollectionList *self)
{
  gtk_widget_set_visible (GTK_WIDGET (self), g_list_model_get_n_items (G_LIST_MODEL (get_collections (self))) > 0);
}

static void
ing_collection_list_dispose (GObject *object)
{
  IngCollectionList *self = ING_COLLECTION_LIST (object);

  g_clear_handle_id (&self->update_id, g_source_remove);
  if (self->list != NULL)
    gtk_list_box_bind_model (self->list, NULL, NULL, NULL, NULL);
  self->list = NULL;
  g_clear_pointer (&self->box, gtk_widget_unparent);
  g_clear_object (&self->library);
  G_OBJECT_CLASS (ing_collection_list_parent_class)->dispose (object);
}

static void
ing_collection_list_class_init (IngCollectionListClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = ing_collection_list_dispose;
  gtk_widget_class_set_layout_manager_type (GTK_WIDGET_CLASS (klass), GTK_TYPE_BIN_LAYOUT);
}

static void
ing_collection_list_init (IngCollectionList *self)
{
  GtkWidget *title = gtk_label_new (_("Collections")), *scroller = gtk_scrolled_window_new ();

  self->box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0);
  gtk_widget_set_parent (self->box, GTK_WIDGET (self));
  gtk_label_set_xalign (GTK_LABEL (title), 0);
  gtk_widget_add_css_class (title, "heading");
  gtk_widget_add_css_class (title, "dim-label");
  gtk_widget_add_css_class (title, "group-title");
  gtk_widget_add_css_class (title, "section-title");
  gtk_box_append (GTK_BOX (self->box), title);
  self->list = GTK_LIST_BOX (gtk_list_box_new ());
  gtk_list_box_set_selection_mode (self->list, GTK_SELECTION_NONE);
  gtk_widget_add_css_class (GTK_WIDGET (self->list), "navigation-sidebar");
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->list), GTK_ACCESSIBLE_PROPERTY_LABEL, _("Collections"), -1);
  g_signal_connect_swapped (self->list, "row-activated", G_CALLBACK (activated_cb), self);
  gtk_scrolled_window_set_policy (GTK_SCROLLED_WINDOW (scroller), GTK_POLICY_NEVER, GTK_POLICY_AUTOMATIC);
  gtk_scrolled_window_set_propagate_natural_height (GTK_SCROLLED_WINDOW (scroller), TRUE);
  gtk_scrolled_window_set_max_content_height (GTK_SCROLLED_WINDOW (scroller), MAX_HEIGHT);
  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (scroller), GTK_WIDGET (self->list));
  gtk_box_append (GTK_BOX (self->box), scroller);
  gtk_widget_set_visible (GTK_WIDGET (self), FALSE);
}

void
ing_collection_list_set_library (IngCollectionList *self, IngDocumentLibrary *library)
{
  g_return_if_fail (ING_IS_COLLECTION_LIST (self));
  g_return_if_fail (self->library == NULL);
  self->library = g_object_ref (library);
  gtk_list_box_bind_model (self->list, G_LIST_MODEL (get_collections (self)), create_row_cb, self, NULL);
  g_signal_connect_object (get_collections (self), "items-changed", G_CALLBACK (collections_changed_cb), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (get_collections (self), "changed", G_CALLBACK (schedule), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (library, "items-changed", G_CALLBACK (schedule), self, G_CONNECT_SWAPPED);
  collections_changed_cb (self);
}
