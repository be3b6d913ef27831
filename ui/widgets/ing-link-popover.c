/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-link-popover.h"

#include "ing-markdown-parse.h"

#include <glib/gi18n-lib.h>

static void
open_cb (GtkPopover *popover)
{
  const char *address = g_object_get_data (G_OBJECT (popover), "address");
  GtkRoot *root = gtk_widget_get_root (GTK_WIDGET (popover));

  gtk_show_uri (GTK_IS_WINDOW (root) ? GTK_WINDOW (root) : NULL, address, GDK_CURRENT_TIME);
  gtk_popover_popdown (popover);
}

static void
copy_cb (GtkPopover *popover)
{
  gdk_clipboard_set_text (gtk_widget_get_clipboard (GTK_WIDGET (popover)),
                          g_object_get_data (G_OBJECT (popover), "address"));
  gtk_popover_popdown (popover);
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
  /* Not at once: the press that closed it is still being handled. */
  g_idle_add_full (G_PRIORITY_DEFAULT, unparent_cb, g_object_ref (popover), g_object_unref);
}

void
ing_link_popover_show (GtkWidget *parent, const GdkRectangle *area, const char *address)
{
  GtkWidget *popover, *box, *label, *buttons, *open, *copy;
  g_autofree char *shown = NULL;

  if (!ing_markdown_address_is_safe (address))
    return;
  shown = ing_markdown_dup_shown_address (address);
  popover = gtk_popover_new ();
  gtk_widget_set_parent (popover, parent);
  gtk_popover_set_pointing_to (GTK_POPOVER (popover), area);
  g_object_set_data_full (G_OBJECT (popover), "address", g_strdup (address), g_free);
  gtk_accessible_update_property (GTK_ACCESSIBLE (popover), GTK_ACCESSIBLE_PROPERTY_LABEL, _("Link"),
                                  -1);

  box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 9);
  gtk_widget_set_margin_top (box, 6);
  gtk_widget_set_margin_bottom (box, 6);
  gtk_widget_set_margin_start (box, 6);
  gtk_widget_set_margin_end (box, 6);
  label = gtk_label_new (shown);
  gtk_label_set_wrap (GTK_LABEL (label), TRUE);
  gtk_label_set_wrap_mode (GTK_LABEL (label), PANGO_WRAP_CHAR);
  gtk_label_set_max_width_chars (GTK_LABEL (label), 44);
  gtk_label_set_lines (GTK_LABEL (label), 6);
  gtk_label_set_ellipsize (GTK_LABEL (label), PANGO_ELLIPSIZE_END);
  gtk_label_set_xalign (GTK_LABEL (label), 0);
  gtk_box_append (GTK_BOX (box), label);

  buttons = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 6);
  gtk_box_set_homogeneous (GTK_BOX (buttons), TRUE);
  copy = gtk_button_new_with_mnemonic (_("_Copy address"));
  g_signal_connect_swapped (copy, "clicked", G_CALLBACK (copy_cb), popover);
  gtk_box_append (GTK_BOX (buttons), copy);
  open = gtk_button_new_with_mnemonic (_("_Open"));
  gtk_widget_add_css_class (open, "suggested-action");
  g_signal_connect_swapped (open, "clicked", G_CALLBACK (open_cb), popover);
  gtk_box_append (GTK_BOX (buttons), open);
  gtk_box_append (GTK_BOX (box), buttons);

  gtk_popover_set_child (GTK_POPOVER (popover), box);
  g_signal_connect (popover, "closed", G_CALLBACK (closed_cb), NULL);
  gtk_popover_popup (GTK_POPOVER (popover));
}
