/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-sources-box.h"

#include "ing-chat-view.h"
#include "ing-source-window.h"

#include <glib/gi18n-lib.h>

struct _IngSourcesBox
{
  GtkWidget parent_instance;

  GtkWidget *box;
  GtkBox *rows;
  GtkWidget *unsupported_box;
  GtkLabel *unsupported_label;

  IngMessage *question;
  GPtrArray *passages; /* of IngPassage; NULL = hidden */
};

G_DEFINE_FINAL_TYPE (IngSourcesBox, ing_sources_box, GTK_TYPE_WIDGET)

GPtrArray *
ing_sources_box_get_passages (IngSourcesBox *self)
{
  g_return_val_if_fail (ING_IS_SOURCES_BOX (self), NULL);
  return self->passages;
}

void
ing_sources_box_open (IngSourcesBox *self, guint number)
{
  GtkWidget *view;

  g_return_if_fail (ING_IS_SOURCES_BOX (self));
  view = gtk_widget_get_ancestor (GTK_WIDGET (self), ING_TYPE_CHAT_VIEW);
  if (view != NULL && self->passages != NULL && number > 0 && number <= self->passages->len)
    ing_source_window_present (GTK_WIDGET (self),
                               ing_workspace_get_documents (ing_chat_view_get_workspace (ING_CHAT_VIEW (view))),
                               self->passages->pdata[number - 1]);
}

static void
open_cb (IngSourcesBox *self, GtkWidget *button)
{
  ing_sources_box_open (self, GPOINTER_TO_UINT (g_object_get_data (G_OBJECT (button), "passage")) + 1);
}

static void
add_row (IngSourcesBox *self, guint i)
{
  const IngPassage *passage = self->passages->pdata[i];
  g_autofree char *place = ing_sources_dup_place (passage);
  g_autofree char *text = g_strdup_printf ("[%u] %s", i + 1, place);
  GtkWidget *label = gtk_label_new (text);
  GtkWidget *button = gtk_button_new ();

  gtk_label_set_ellipsize (GTK_LABEL (label), PANGO_ELLIPSIZE_END);
  gtk_label_set_xalign (GTK_LABEL (label), 0);
  gtk_button_set_child (GTK_BUTTON (button), label);
  gtk_widget_add_css_class (button, "flat");
  gtk_widget_add_css_class (button, "source");
  gtk_widget_set_halign (button, GTK_ALIGN_START);
  gtk_widget_set_tooltip_text (button, passage->text);
  gtk_accessible_update_property (GTK_ACCESSIBLE (button), GTK_ACCESSIBLE_PROPERTY_LABEL, text, -1);
  g_object_set_data (G_OBJECT (button), "passage", GUINT_TO_POINTER (i));
  g_signal_connect_object (button, "clicked", G_CALLBACK (open_cb), self, G_CONNECT_SWAPPED);
  gtk_box_append (self->rows, button);
}

static void
show_passages (IngSourcesBox *self, IngMessage *question)
{
  GtkWidget *child;

  g_set_object (&self->question, question);
  g_clear_pointer (&self->passages, g_ptr_array_unref);
  while ((child = gtk_widget_get_first_child (GTK_WIDGET (self->rows))) != NULL)
    gtk_box_remove (self->rows, child);
  if (question != NULL)
    self->passages = ing_sources_dup (question);
  for (guint i = 0; self->passages != NULL && i < self->passages->len; i++)
    add_row (self, i);
  gtk_widget_set_visible (GTK_WIDGET (self), self->passages != NULL && self->passages->len > 0);
}

void
ing_sources_box_set (IngSourcesBox *self, IngMessage *question, const char *answer)
{
  g_autoptr (GArray) claims = NULL;
  g_autoptr (GString) missing = g_string_new (NULL);

  g_return_if_fail (ING_IS_SOURCES_BOX (self));
  if (question != self->question)
    show_passages (self, question);
  if (self->passages != NULL && answer != NULL)
    claims = ing_citations_check (answer, self->passages);
  for (guint i = 0; claims != NULL && i < claims->len; i++)
    {
      const IngClaim *claim = &g_array_index (claims, IngClaim, i);
      g_autofree char *sentence = g_strndup (answer + claim->start, claim->end - claim->start);

      if (!claim->supported)
        g_string_append_printf (missing, "%s“%s”", missing->len > 0 ? "\n" : "", g_strstrip (sentence));
    }
  gtk_label_set_text (self->unsupported_label, missing->str);
  gtk_widget_set_visible (self->unsupported_box, missing->len > 0);
}

static void
ing_sources_box_dispose (GObject *object)
{
  IngSourcesBox *self = ING_SOURCES_BOX (object);

  g_clear_object (&self->question);
  g_clear_pointer (&self->passages, g_ptr_array_unref);
  g_clear_pointer (&self->box, gtk_widget_unparent);
  G_OBJECT_CLASS (ing_sources_box_parent_class)->dispose (object);
}

static void
ing_sources_box_class_init (IngSourcesBoxClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = ing_sources_box_dispose;
  gtk_widget_class_set_layout_manager_type (GTK_WIDGET_CLASS (klass), GTK_TYPE_BIN_LAYOUT);
  gtk_widget_class_set_css_name (GTK_WIDGET_CLASS (klass), "sources");
  gtk_widget_class_set_accessible_role (GTK_WIDGET_CLASS (klass), GTK_ACCESSIBLE_ROLE_GROUP);
}

static GtkWidget *
new_label (const char *text, const char *style)
{
  GtkWidget *label = gtk_label_new (text);

  gtk_label_set_xalign (GTK_LABEL (label), 0);
  gtk_label_set_wrap (GTK_LABEL (label), TRUE);
  gtk_label_set_wrap_mode (GTK_LABEL (label), PANGO_WRAP_WORD_CHAR);
  gtk_widget_add_css_class (label, "caption");
  gtk_widget_add_css_class (label, style);
  return label;
}

static void
ing_sources_box_init (IngSourcesBox *self)
{
  GtkWidget *icon = gtk_image_new_from_icon_name ("dialog-warning-symbolic");
  GtkWidget *column = gtk_box_new (GTK_ORIENTATION_VERTICAL, 3);

  self->box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 3);
  gtk_widget_set_parent (self->box, GTK_WIDGET (self));
  self->unsupported_box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 9);
  gtk_widget_add_css_class (self->unsupported_box, "unsupported");
  gtk_widget_set_valign (icon, GTK_ALIGN_START);
  gtk_widget_add_css_class (icon, "warning");
  gtk_box_append (GTK_BOX (self->unsupported_box), icon);
  gtk_box_append (GTK_BOX (column), new_label (_("Does not stand in the passages:"), "heading"));
  self->unsupported_label = GTK_LABEL (new_label ("", "body"));
  gtk_box_append (GTK_BOX (column), GTK_WIDGET (self->unsupported_label));
  gtk_box_append (GTK_BOX (self->unsupported_box), column);
  gtk_widget_set_visible (self->unsupported_box, FALSE);
  gtk_box_append (GTK_BOX (self->box), self->unsupported_box);

  gtk_box_append (GTK_BOX (self->box), new_label (_("Read in the documents"), "dim-label"));
  self->rows = GTK_BOX (gtk_box_new (GTK_ORIENTATION_VERTICAL, 0));
  gtk_box_append (GTK_BOX (self->box), GTK_WIDGET (self->rows));
  gtk_accessible_update_property (GTK_ACCESSIBLE (self), GTK_ACCESSIBLE_PROPERTY_LABEL, _("Sources"), -1);
  gtk_widget_set_visible (GTK_WIDGET (self), FALSE);
}
