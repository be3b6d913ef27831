/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-conversation-item.h"

#include <glib/gi18n-lib.h>

struct _IngConversationItem
{
  GtkListBoxRow parent_instance;

  GtkLabel *title_label;
  GtkWidget *busy_image;
  GtkMenuButton *menu_button;

  IngConversation *conversation;
};

G_DEFINE_FINAL_TYPE (IngConversationItem, ing_conversation_item, GTK_TYPE_LIST_BOX_ROW)

static void
update (IngConversationItem *self)
{
  const char *title = ing_conversation_get_display_title (self->conversation);

  gtk_label_set_text (self->title_label, title);
  gtk_widget_set_tooltip_text (GTK_WIDGET (self->title_label), title);
  gtk_widget_set_visible (self->busy_image, ing_conversation_get_busy (self->conversation));
  gtk_accessible_update_property (GTK_ACCESSIBLE (self), GTK_ACCESSIBLE_PROPERTY_LABEL, title, -1);
}

static gboolean
unparent_cb (gpointer popover)
{
  gtk_widget_unparent (popover);
  return G_SOURCE_REMOVE;
}

static void
closed_cb (GtkWidget *popover)
{
  g_idle_add_full (G_PRIORITY_DEFAULT, unparent_cb, g_object_ref (popover), g_object_unref);
}

static void
rename_activate_cb (GtkWidget *entry, GtkWidget *popover)
{
  IngConversation *conversation = g_object_get_data (G_OBJECT (popover), "conversation");
  g_autofree char *title = g_strstrip (g_strdup (gtk_editable_get_text (GTK_EDITABLE (entry))));

  if (*title != '\0')
    ing_conversation_set_title (conversation, title);
  gtk_popover_popdown (GTK_POPOVER (popover));
}

static void
rename_clicked_cb (GtkWidget *entry)
{
  g_signal_emit_by_name (entry, "activate");
}

void
ing_conversation_rename (IngConversation *conversation, GtkWidget *parent)
{
  GtkWidget *popover = gtk_popover_new ();
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 9);
  GtkWidget *entry = gtk_entry_new ();
  GtkWidget *button = gtk_button_new_with_mnemonic (_("_Rename"));

  gtk_widget_set_parent (popover, parent);
  g_object_set_data_full (G_OBJECT (popover), "conversation", g_object_ref (conversation),
                          g_object_unref);
  gtk_editable_set_text (GTK_EDITABLE (entry), ing_conversation_get_display_title (conversation));
  gtk_editable_set_width_chars (GTK_EDITABLE (entry), 26);
  gtk_entry_set_max_length (GTK_ENTRY (entry), 200);
  gtk_accessible_update_property (GTK_ACCESSIBLE (entry), GTK_ACCESSIBLE_PROPERTY_LABEL, _("Title"),
                                  -1);
  gtk_widget_add_css_class (button, "suggested-action");
  gtk_widget_add_css_class (box, "popover-content");
  gtk_box_append (GTK_BOX (box), entry);
  gtk_box_append (GTK_BOX (box), button);
  gtk_popover_set_child (GTK_POPOVER (popover), box);
  g_signal_connect (entry, "activate", G_CALLBACK (rename_activate_cb), popover);
  g_signal_connect_swapped (button, "clicked", G_CALLBACK (rename_clicked_cb), entry);
  g_signal_connect (popover, "closed", G_CALLBACK (closed_cb), NULL);
  gtk_popover_popup (GTK_POPOVER (popover));
  gtk_widget_grab_focus (entry);
}

static void
rename_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  ing_conversation_rename (ING_CONVERSATION_ITEM (widget)->conversation, widget);
}

static void
delete_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  gint64 id = ing_conversation_get_id (ING_CONVERSATION_ITEM (widget)->conversation);

  gtk_widget_activate_action (widget, "win.delete-conversation-id", "x", id);
}

static void
pressed_cb (GtkGestureClick *gesture, int n, double x, double y, IngConversationItem *self)
{
  gtk_gesture_set_state (GTK_GESTURE (gesture), GTK_EVENT_SEQUENCE_CLAIMED);
  gtk_menu_button_popup (self->menu_button);
}

static void
menu_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  gtk_menu_button_popup (ING_CONVERSATION_ITEM (widget)->menu_button);
}

static void
ing_conversation_item_dispose (GObject *object)
{
  IngConversationItem *self = ING_CONVERSATION_ITEM (object);
  GtkWidget *child;

  /* A rename popover may still be open. */
  while ((child = gtk_widget_get_last_child (GTK_WIDGET (self))) != NULL && GTK_IS_POPOVER (child))
    gtk_widget_unparent (child);
  g_clear_object (&self->conversation);
  G_OBJECT_CLASS (ing_conversation_item_parent_class)->dispose (object);
}

static void
ing_conversation_item_class_init (IngConversationItemClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = ing_conversation_item_dispose;
  gtk_widget_class_install_action (widget_class, "row.rename", NULL, rename_cb);
  gtk_widget_class_install_action (widget_class, "row.delete", NULL, delete_cb);
  gtk_widget_class_install_action (widget_class, "row.menu", NULL, menu_cb);
  gtk_widget_class_add_binding_action (widget_class, GDK_KEY_F2, 0, "row.rename", NULL);
  gtk_widget_class_add_binding_action (widget_class, GDK_KEY_Delete, 0, "row.delete", NULL);
  gtk_widget_class_add_binding_action (widget_class, GDK_KEY_Menu, 0, "row.menu", NULL);
  gtk_widget_class_add_binding_action (widget_class, GDK_KEY_F10, GDK_SHIFT_MASK, "row.menu", NULL);
  gtk_widget_class_set_template_from_resource (
      widget_class, "/io/github/inglenook_app/Inglenook/window/ing-conversation-item.ui");
  gtk_widget_class_bind_template_child (widget_class, IngConversationItem, title_label);
  gtk_widget_class_bind_template_child (widget_class, IngConversationItem, busy_image);
  gtk_widget_class_bind_template_child (widget_class, IngConversationItem, menu_button);
}

static void
ing_conversation_item_init (IngConversationItem *self)
{
  GtkGesture *click = gtk_gesture_click_new ();

  gtk_widget_init_template (GTK_WIDGET (self));
  gtk_gesture_single_set_button (GTK_GESTURE_SINGLE (click), GDK_BUTTON_SECONDARY);
  g_signal_connect (click, "pressed", G_CALLBACK (pressed_cb), self);
  gtk_widget_add_controller (GTK_WIDGET (self), GTK_EVENT_CONTROLLER (click));
}

GtkWidget *
ing_conversation_item_new (IngConversation *conversation)
{
  IngConversationItem *self = g_object_new (ING_TYPE_CONVERSATION_ITEM, NULL);

  self->conversation = g_object_ref (conversation);
  g_signal_connect_object (conversation, "notify::title", G_CALLBACK (update), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (conversation, "notify::busy", G_CALLBACK (update), self,
                           G_CONNECT_SWAPPED);
  update (self);
  return GTK_WIDGET (self);
}

IngConversation *
ing_conversation_item_get_conversation (IngConversationItem *self)
{
  g_return_val_if_fail (ING_IS_CONVERSATION_ITEM (self), NULL);
  return self->conversation;
}
