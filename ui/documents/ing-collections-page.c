/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-collections-page.h"

#include "ing-collection-page.h"
#include "ing-collection-words.h"
#include "ing-form.h"

#include <glib/gi18n-lib.h>

#define TICK_MS 1000

struct _IngCollectionsPage
{
  GtkWidget parent_instance;

  GtkWidget *stack; /* the list and the page of one; borrowed children */
  GtkWidget *box;   /* the list; NULL once disposed */
  GtkWidget *empty, *full;
  GtkWidget *group, *page, *new_button, *first_button;
  GPtrArray *rows;
  IngWorkspace *workspace;
  AdwToastOverlay *toasts; /* weak */
  guint tick_id;
};

G_DEFINE_FINAL_TYPE (IngCollectionsPage, ing_collections_page, GTK_TYPE_WIDGET)

static guint close_signal;

static IngCollections *
get_collections (IngCollectionsPage *self)
{
  return ing_document_library_get_collections (ing_workspace_get_documents (self->workspace));
}

/* ---------------------------------------------------------------- the list */

static IngCollection *
get_collection (GtkWidget *row)
{
  return g_object_get_data (G_OBJECT (row), "collection");
}

static void
update_row (IngCollectionsPage *self, GtkWidget *row)
{
  g_autofree char *words = NULL;

  ing_collection_words_update (get_collections (self), ing_collection_get_owner (get_collection (row)), &words);
  if (g_strcmp0 (adw_action_row_get_subtitle (ADW_ACTION_ROW (row)), words) != 0)
    adw_action_row_set_subtitle (ADW_ACTION_ROW (row), words);
}

static void
activated_cb (GtkWidget *row, IngCollectionsPage *self)
{
  ing_collections_page_show (self, get_collection (row));
}

static GtkWidget *
new_row (IngCollectionsPage *self, IngCollection *collection)
{
  GtkWidget *row = ing_form_new_plain_row (ing_collection_get_name (collection), NULL);
  GtkWidget *arrow = gtk_image_new_from_icon_name ("go-next-symbolic");

  g_object_set_data_full (G_OBJECT (row), "collection", g_object_ref (collection), g_object_unref);
  adw_action_row_set_icon_name (ADW_ACTION_ROW (row), "folder-symbolic");
  adw_action_row_add_suffix (ADW_ACTION_ROW (row), arrow);
  gtk_list_box_row_set_activatable (GTK_LIST_BOX_ROW (row), TRUE);
  g_signal_connect_object (row, "activated", G_CALLBACK (activated_cb), self, 0);
  update_row (self, row);
  return row;
}

static void
rebuild (IngCollectionsPage *self)
{
  GListModel *collections = G_LIST_MODEL (get_collections (self));
  guint n = g_list_model_get_n_items (collections);

  for (guint i = 0; i < self->rows->len; i++)
    adw_preferences_group_remove (ADW_PREFERENCES_GROUP (self->group), self->rows->pdata[i]);
  g_ptr_array_set_size (self->rows, 0);
  for (guint i = 0; i < n; i++)
    {
      g_autoptr (IngCollection) collection = g_list_model_get_item (collections, i);
      GtkWidget *row = new_row (self, collection);

      adw_preferences_group_add (ADW_PREFERENCES_GROUP (self->group), row);
      g_ptr_array_add (self->rows, row);
    }
  gtk_widget_set_visible (self->empty, n == 0);
  gtk_widget_set_visible (self->full, n > 0);
}

static gboolean
tick_cb (gpointer user_data)
{
  IngCollectionsPage *self = user_data;

  for (guint i = 0; i < self->rows->len; i++)
    update_row (self, self->rows->pdata[i]);
  return G_SOURCE_CONTINUE;
}

static void
new_cb (IngCollectionsPage *self)
{
  ing_collections_page_show (self, ing_collections_create (get_collections (self), _("New collection")));
  ing_collection_page_focus_name (ING_COLLECTION_PAGE (self->page));
}

/* ---------------------------------------------------------------- the page of one */

static void
show_list (IngCollectionsPage *self)
{
  gtk_stack_set_visible_child (GTK_STACK (self->stack), self->box);
  if (self->page != NULL)
    ing_collection_page_set_collection (ING_COLLECTION_PAGE (self->page), NULL);
}

void
ing_collections_page_show (IngCollectionsPage *self, IngCollection *collection)
{
  g_return_if_fail (ING_IS_COLLECTIONS_PAGE (self));
  if (collection == NULL)
    {
      show_list (self);
      return;
    }
  if (self->page == NULL)
    {
      self->page = ing_collection_page_new (self->workspace, self->toasts);
      g_signal_connect_swapped (self->page, "close", G_CALLBACK (show_list), self);
      gtk_stack_add_child (GTK_STACK (self->stack), self->page);
    }
  ing_collection_page_set_collection (ING_COLLECTION_PAGE (self->page), collection);
  gtk_stack_set_visible_child (GTK_STACK (self->stack), self->page);
}

gboolean
ing_collections_page_go_back (IngCollectionsPage *self)
{
  g_return_val_if_fail (ING_IS_COLLECTIONS_PAGE (self), FALSE);
  if (gtk_stack_get_visible_child (GTK_STACK (self->stack)) == self->box)
    return FALSE;
  show_list (self);
  return TRUE;
}

void
ing_collections_page_add (IngCollectionsPage *self, const char *const *paths)
{
  IngCollection *collection = self->page != NULL ? ing_collection_page_get_collection (ING_COLLECTION_PAGE (self->page)) : NULL;
  g_autofree char *name = NULL;

  g_return_if_fail (ING_IS_COLLECTIONS_PAGE (self));
  if (paths[0] == NULL)
    return;
  if (collection == NULL)
    {
      name = g_file_test (paths[0], G_FILE_TEST_IS_DIR) ? g_filename_display_basename (paths[0]) : g_strdup (_("New collection"));
      collection = ing_collections_create (get_collections (self), name);
      ing_collections_page_show (self, collection);
    }
  ing_collections_add (get_collections (self), ing_collection_get_owner (collection), paths);
}

void
ing_collections_page_focus (IngCollectionsPage *self)
{
  g_return_if_fail (ING_IS_COLLECTIONS_PAGE (self));
  gtk_widget_grab_focus (gtk_widget_get_visible (self->empty) ? self->first_button : self->new_button);
}

/* ---------------------------------------------------------------- widget */

static void
back_cb (IngCollectionsPage *self)
{
  g_signal_emit (self, close_signal, 0);
}

static GtkWidget *
new_empty (IngCollectionsPage *self)
{
  GtkWidget *status = adw_status_page_new ();

  adw_status_page_set_icon_name (ADW_STATUS_PAGE (status), "folder-symbolic");
  adw_status_page_set_title (ADW_STATUS_PAGE (status), _("Keep documents together"));
  adw_status_page_set_description (ADW_STATUS_PAGE (status),
                                   _("A collection holds folders and files, follows their changes, and can be asked in any conversation. Drop a folder here to begin."));
  self->first_button = gtk_button_new_with_mnemonic (_("_New collection"));
  gtk_widget_add_css_class (self->first_button, "suggested-action");
  gtk_widget_add_css_class (self->first_button, "pill");
  gtk_widget_set_halign (self->first_button, GTK_ALIGN_CENTER);
  g_signal_connect_swapped (self->first_button, "clicked", G_CALLBACK (new_cb), self);
  adw_status_page_set_child (ADW_STATUS_PAGE (status), self->first_button);
  return status;
}

static void
ing_collections_page_map (GtkWidget *widget)
{
  IngCollectionsPage *self = ING_COLLECTIONS_PAGE (widget);

  GTK_WIDGET_CLASS (ing_collections_page_parent_class)->map (widget);
  tick_cb (self);
  if (self->tick_id == 0)
    self->tick_id = g_timeout_add (TICK_MS, tick_cb, self);
}

static void
ing_collections_page_unmap (GtkWidget *widget)
{
  g_clear_handle_id (&ING_COLLECTIONS_PAGE (widget)->tick_id, g_source_remove);
  GTK_WIDGET_CLASS (ing_collections_page_parent_class)->unmap (widget);
}

static void
ing_collections_page_dispose (GObject *object)
{
  IngCollectionsPage *self = ING_COLLECTIONS_PAGE (object);

  g_clear_handle_id (&self->tick_id, g_source_remove);
  g_clear_weak_pointer (&self->toasts);
  g_clear_pointer (&self->rows, g_ptr_array_unref);
  self->box = NULL;
  g_clear_pointer (&self->stack, gtk_widget_unparent);
  g_clear_object (&self->workspace);
  G_OBJECT_CLASS (ing_collections_page_parent_class)->dispose (object);
}

static void
ing_collections_page_class_init (IngCollectionsPageClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = ing_collections_page_dispose;
  widget_class->map = ing_collections_page_map;
  widget_class->unmap = ing_collections_page_unmap;
  gtk_widget_class_set_layout_manager_type (widget_class, GTK_TYPE_BIN_LAYOUT);
  close_signal
      = g_signal_new ("close", ING_TYPE_COLLECTIONS_PAGE, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
}

static void
ing_collections_page_init (IngCollectionsPage *self)
{
  GtkWidget *back, *column;

  self->rows = g_ptr_array_new ();
  self->box = ing_form_new_page (_("Documents"), _("Back to the conversation"), &back, &column, NULL);
  g_signal_connect_swapped (back, "clicked", G_CALLBACK (back_cb), self);
  self->empty = new_empty (self);
  gtk_box_append (GTK_BOX (column), self->empty);
  self->full = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0);
  gtk_box_append (GTK_BOX (column), self->full);
  self->group = ing_form_add_group (self->full, _("Collections"),
                                    _("Folders and files that are kept, followed for changes, and asked in any conversation."));
  self->new_button = gtk_button_new_with_mnemonic (_("_New collection"));
  gtk_widget_add_css_class (self->new_button, "flat");
  gtk_widget_set_valign (self->new_button, GTK_ALIGN_CENTER);
  g_signal_connect_swapped (self->new_button, "clicked", G_CALLBACK (new_cb), self);
  adw_preferences_group_set_header_suffix (ADW_PREFERENCES_GROUP (self->group), self->new_button);
  self->stack = gtk_stack_new ();
  gtk_stack_set_hhomogeneous (GTK_STACK (self->stack), FALSE);
  gtk_stack_add_child (GTK_STACK (self->stack), self->box);
  gtk_widget_set_parent (self->stack, GTK_WIDGET (self));
}

void
ing_collections_page_set_workspace (IngCollectionsPage *self, IngWorkspace *workspace, AdwToastOverlay *toasts)
{
  g_return_if_fail (ING_IS_COLLECTIONS_PAGE (self));
  g_return_if_fail (self->workspace == NULL);
  self->workspace = g_object_ref (workspace);
  g_set_weak_pointer (&self->toasts, toasts);
  g_signal_connect_object (get_collections (self), "items-changed", G_CALLBACK (rebuild), self, G_CONNECT_SWAPPED);
  rebuild (self);
}
