/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-collection-chip.h"

#include "ing-collection-words.h"
#include "ing-document-chip.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#define NAME_CHARS 28

struct _IngCollectionChip
{
  GtkWidget parent_instance;

  GtkWidget *box;
  GtkLabel *name_label, *state_label;

  IngCollections *collections;
  IngCollection *collection;
  gint64 conversation;
  guint tick_id; /* 0 = nothing happens in it */
};

G_DEFINE_FINAL_TYPE (IngCollectionChip, ing_collection_chip, GTK_TYPE_WIDGET)

static gboolean
update (IngCollectionChip *self)
{
  g_autofree char *words = NULL;
  g_autofree char *label = NULL;
  char *rest;
  gboolean more
      = ing_collection_words_update (self->collections, ing_collection_get_owner (self->collection), &words);

  gtk_label_set_text (self->name_label, ing_collection_get_name (self->collection));
  label = g_strdup_printf ("%s, %s", ing_collection_get_name (self->collection), words);
  gtk_accessible_update_property (GTK_ACCESSIBLE (self), GTK_ACCESSIBLE_PROPERTY_LABEL, label, -1);
  gtk_widget_set_tooltip_text (GTK_WIDGET (self), label);
  /* A chip has room for how many there are, or how far it is. */
  rest = strstr (words, " · ");
  if (rest != NULL)
    *rest = '\0';
  gtk_label_set_text (self->state_label, words);
  return more;
}

static gboolean
tick_cb (gpointer user_data)
{
  IngCollectionChip *self = user_data;

  if (update (self))
    return G_SOURCE_CONTINUE;
  self->tick_id = 0;
  return G_SOURCE_REMOVE;
}

static void
refresh (IngCollectionChip *self)
{
  if (update (self) && self->tick_id == 0)
    self->tick_id = g_timeout_add_seconds (1, tick_cb, self);
}

static void
changed_cb (IngCollections *collections, gint64 owner, IngCollectionChip *self)
{
  if (owner == ing_collection_get_owner (self->collection))
    refresh (self);
}

static void
remove_cb (IngCollectionChip *self)
{
  ing_collections_set_asked (self->collections, self->conversation, self->collection, FALSE);
}

static void
ing_collection_chip_dispose (GObject *object)
{
  IngCollectionChip *self = ING_COLLECTION_CHIP (object);

  g_clear_handle_id (&self->tick_id, g_source_remove);
  g_clear_pointer (&self->box, gtk_widget_unparent);
  g_clear_object (&self->collection);
  g_clear_object (&self->collections);
  G_OBJECT_CLASS (ing_collection_chip_parent_class)->dispose (object);
}

static void
ing_collection_chip_class_init (IngCollectionChipClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = ing_collection_chip_dispose;
  gtk_widget_class_set_layout_manager_type (GTK_WIDGET_CLASS (klass), GTK_TYPE_BIN_LAYOUT);
  gtk_widget_class_set_css_name (GTK_WIDGET_CLASS (klass), "documentchip");
  gtk_widget_class_set_accessible_role (GTK_WIDGET_CLASS (klass), GTK_ACCESSIBLE_ROLE_GROUP);
}

static void
ing_collection_chip_init (IngCollectionChip *self)
{
  GtkWidget *icon = gtk_image_new_from_icon_name ("folder-symbolic"), *button;

  self->box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 6);
  gtk_widget_set_parent (self->box, GTK_WIDGET (self));
  gtk_box_append (GTK_BOX (self->box), icon);
  self->name_label = GTK_LABEL (gtk_label_new (NULL));
  gtk_label_set_ellipsize (self->name_label, PANGO_ELLIPSIZE_END);
  gtk_label_set_max_width_chars (self->name_label, NAME_CHARS);
  gtk_box_append (GTK_BOX (self->box), GTK_WIDGET (self->name_label));
  self->state_label = ing_document_chip_append_state (GTK_BOX (self->box));
  button = ing_document_chip_append_button (GTK_BOX (self->box), "window-close-symbolic", _("Ask this collection no more"));
  g_signal_connect_swapped (button, "clicked", G_CALLBACK (remove_cb), self);
}

GtkWidget *
ing_collection_chip_new (IngCollections *collections, gint64 conversation, IngCollection *collection)
{
  IngCollectionChip *self = g_object_new (ING_TYPE_COLLECTION_CHIP, NULL);

  self->collections = g_object_ref (collections);
  self->collection = g_object_ref (collection);
  self->conversation = conversation;
  if (g_utf8_strlen (ing_collection_get_name (collection), -1) <= NAME_CHARS)
    gtk_label_set_ellipsize (self->name_label, PANGO_ELLIPSIZE_NONE);
  g_signal_connect_object (collections, "changed", G_CALLBACK (changed_cb), self, 0);
  g_signal_connect_object (collection, "notify::name", G_CALLBACK (refresh), self, G_CONNECT_SWAPPED);
  refresh (self);
  return GTK_WIDGET (self);
}
