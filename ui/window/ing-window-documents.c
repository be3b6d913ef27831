/* SPDX-License-Identifier: Apache-2.0 */
/* The window's page of documents, and what leads to it. */
#include "ing-window-private.h"

static IngCollections *
get_collections (IngWindow *self)
{
  return ing_document_library_get_collections (ing_workspace_get_documents (self->workspace));
}

static void
show_page (IngWindow *self, IngCollection *collection)
{
  ing_collections_page_show (self->documents_page, collection);
  gtk_stack_set_visible_child_name (self->pages, "documents");
  adw_leaflet_set_visible_child (self->leaflet, self->content_pane);
  ing_collections_page_focus (self->documents_page);
}

static void
show_documents_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  show_page (ING_WINDOW (widget), NULL);
}

static void
show_collection_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  IngWindow *self = ING_WINDOW (widget);
  IngCollection *collection = ing_collections_lookup (get_collections (self), g_variant_get_int64 (parameter));

  if (collection != NULL)
    show_page (self, collection);
}

/* A new conversation that asks it. */
static void
ask_collection_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  IngWindow *self = ING_WINDOW (widget);
  IngCollection *collection = ing_collections_lookup (get_collections (self), g_variant_get_int64 (parameter));
  IngConversation *conversation;

  if (collection == NULL)
    return;
  gtk_widget_activate_action (widget, "win.new-conversation", NULL);
  conversation = ing_chat_view_get_conversation (self->chat_view);
  ing_collections_set_asked (get_collections (self), ing_conversation_get_id (conversation), collection, TRUE);
  ing_conversation_suggest_title (conversation, ing_collection_get_name (collection));
}

gboolean
ing_window_drop_on_page (IngWindow *self, const char *const *paths)
{
  if (g_strcmp0 (gtk_stack_get_visible_child_name (self->pages), "documents") != 0)
    return FALSE;
  ing_collections_page_add (self->documents_page, paths);
  return TRUE;
}

void
ing_window_install_document_actions (GtkWidgetClass *widget_class)
{
  gtk_widget_class_install_action (widget_class, "win.show-documents", NULL, show_documents_cb);
  gtk_widget_class_install_action (widget_class, "win.show-collection", "x", show_collection_cb);
  gtk_widget_class_install_action (widget_class, "win.ask-collection", "x", ask_collection_cb);
}
