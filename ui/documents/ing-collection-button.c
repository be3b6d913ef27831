/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-collection-button.h"

#include <glib/gi18n-lib.h>

struct _IngCollectionButton
{
  GtkWidget parent_instance;

  GtkWidget *button;
  GSimpleActionGroup *actions; /* a check for each collection */
  IngCollections *collections;
  IngConversation *conversation;
};

G_DEFINE_FINAL_TYPE (IngCollectionButton, ing_collection_button, GTK_TYPE_WIDGET)

static void
toggled_cb (GSimpleAction *action, GVariant *state, IngCollectionButton *self)
{
  IngCollection *collection = g_object_get_data (G_OBJECT (action), "collection");
  gboolean asked = g_variant_get_boolean (state);

  g_simple_action_set_state (action, state);
  ing_collections_set_asked (self->collections, ing_conversation_get_id (self->conversation), collection, asked);
  if (asked)
    ing_conversation_suggest_title (self->conversation, ing_collection_get_name (collection));
}

static void
add_item (IngCollectionButton *self, GMenu *menu, IngCollection *collection)
{
  g_autofree char *name = g_strdup_printf ("c%" G_GINT64_FORMAT, ing_collection_get_id (collection));
  g_autofree char *full = g_strconcat ("collections.", name, NULL);
  gboolean asked
      = ing_collections_get_asked (self->collections, ing_conversation_get_id (self->conversation), collection);
  g_autoptr (GSimpleAction) action = g_simple_action_new_stateful (name, NULL, g_variant_new_boolean (asked));
  g_auto (GStrv) parts = g_strsplit (ing_collection_get_name (collection), "_", -1);
  g_autofree char *label = g_strjoinv ("__", parts); /* no mnemonics in what a person named */

  g_object_set_data_full (G_OBJECT (action), "collection", g_object_ref (collection), g_object_unref);
  g_signal_connect_object (action, "change-state", G_CALLBACK (toggled_cb), self, 0);
  g_action_map_add_action (G_ACTION_MAP (self->actions), G_ACTION (action));
  g_menu_append (menu, label, full);
}

static void
rebuild (IngCollectionButton *self)
{
  g_autoptr (GMenu) all = g_menu_new ();
  g_autoptr (GMenu) items = g_menu_new ();
  g_autoptr (GMenu) more = g_menu_new ();
  guint n = self->conversation != NULL ? g_list_model_get_n_items (G_LIST_MODEL (self->collections)) : 0;

  g_clear_object (&self->actions);
  self->actions = g_simple_action_group_new ();
  for (guint i = 0; i < n; i++)
    {
      g_autoptr (IngCollection) collection = g_list_model_get_item (G_LIST_MODEL (self->collections), i);

      add_item (self, items, collection);
    }
  g_menu_append_section (all, _("Collections"), G_MENU_MODEL (items));
  g_menu_append (more, _("_Manage collections"), "win.show-documents");
  g_menu_append_section (all, NULL, G_MENU_MODEL (more));
  gtk_widget_insert_action_group (GTK_WIDGET (self), "collections", G_ACTION_GROUP (self->actions));
  gtk_menu_button_set_menu_model (GTK_MENU_BUTTON (self->button), G_MENU_MODEL (all));
  gtk_widget_set_visible (GTK_WIDGET (self), n > 0);
}

/* The open menu stays: only what is checked in it changes. */
static void
changed_cb (IngCollections *collections, gint64 owner, IngCollectionButton *self)
{
  if (self->conversation == NULL || owner != ing_conversation_get_id (self->conversation))
    return;
  for (guint i = 0; i < g_list_model_get_n_items (G_LIST_MODEL (collections)); i++)
    {
      g_autoptr (IngCollection) collection = g_list_model_get_item (G_LIST_MODEL (collections), i);
      g_autofree char *name = g_strdup_printf ("c%" G_GINT64_FORMAT, ing_collection_get_id (collection));
      GAction *action = g_action_map_lookup_action (G_ACTION_MAP (self->actions), name);

      if (action != NULL)
        g_simple_action_set_state (G_SIMPLE_ACTION (action),
                                   g_variant_new_boolean (ing_collections_get_asked (collections, owner, collection)));
    }
}

static void
ing_collection_button_dispose (GObject *object)
{
  IngCollectionButton *self = ING_COLLECTION_BUTTON (object);

  g_clear_pointer (&self->button, gtk_widget_unparent);
  ing_collection_button_set_conversation (self, NULL, NULL);
  g_clear_object (&self->actions);
  G_OBJECT_CLASS (ing_collection_button_parent_class)->dispose (object);
}

static void
ing_collection_button_class_init (IngCollectionButtonClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = ing_collection_button_dispose;
  gtk_widget_class_set_layout_manager_type (GTK_WIDGET_CLASS (klass), GTK_TYPE_BIN_LAYOUT);
}

static void
ing_collection_button_init (IngCollectionButton *self)
{
  self->button = gtk_menu_button_new ();
  gtk_menu_button_set_icon_name (GTK_MENU_BUTTON (self->button), "folder-symbolic");
  gtk_menu_button_set_direction (GTK_MENU_BUTTON (self->button), GTK_ARROW_UP);
  gtk_widget_set_tooltip_text (self->button, _("Ask a collection"));
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->button), GTK_ACCESSIBLE_PROPERTY_LABEL, _("Ask a collection"), -1);
  gtk_widget_add_css_class (self->button, "collection-button");
  gtk_widget_set_parent (self->button, GTK_WIDGET (self));
  gtk_widget_set_visible (GTK_WIDGET (self), FALSE);
}

void
ing_collection_button_set_conversation (IngCollectionButton *self, IngWorkspace *workspace, IngConversation *conversation)
{
  IngCollections *collections
      = workspace != NULL ? ing_document_library_get_collections (ing_workspace_get_documents (workspace)) : NULL;

  g_return_if_fail (ING_IS_COLLECTION_BUTTON (self));
  if (self->collections != NULL)
    g_signal_handlers_disconnect_by_data (self->collections, self);
  g_set_object (&self->collections, collections);
  g_set_object (&self->conversation, conversation);
  if (collections != NULL)
    {
      g_signal_connect (collections, "changed", G_CALLBACK (changed_cb), self);
      g_signal_connect_swapped (collections, "items-changed", G_CALLBACK (rebuild), self);
    }
  if (self->button != NULL)
    rebuild (self);
}
