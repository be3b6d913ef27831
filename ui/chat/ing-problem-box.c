/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-problem-box.h"

#include "ing-app.h"

#include <glib/gi18n-lib.h>

struct _IngProblemBox
{
  GtkWidget parent_instance;

  GtkWidget *box;
  GtkLabel *title;
  GtkLabel *advice;
  GtkBox *buttons;
  GtkWidget *details_button;
  GtkLabel *details;
  guint n_buttons;
};

G_DEFINE_FINAL_TYPE (IngProblemBox, ing_problem_box, GTK_TYPE_WIDGET)

static void
ing_problem_box_dispose (GObject *object)
{
  IngProblemBox *self = ING_PROBLEM_BOX (object);

  g_clear_pointer (&self->box, gtk_widget_unparent);
  G_OBJECT_CLASS (ing_problem_box_parent_class)->dispose (object);
}

static void
ing_problem_box_class_init (IngProblemBoxClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = ing_problem_box_dispose;
  gtk_widget_class_set_layout_manager_type (GTK_WIDGET_CLASS (klass), GTK_TYPE_BIN_LAYOUT);
  gtk_widget_class_set_accessible_role (GTK_WIDGET_CLASS (klass), GTK_ACCESSIBLE_ROLE_ALERT);
}

static void
copy_cb (IngProblemBox *self)
{
  gdk_clipboard_set_text (gtk_widget_get_clipboard (GTK_WIDGET (self)),
                          gtk_label_get_text (self->details));
}

static GtkLabel *
new_label (const char *css_class)
{
  GtkWidget *label = g_object_new (GTK_TYPE_LABEL, "xalign", 0.0f, "wrap", TRUE, "wrap-mode",
                                   PANGO_WRAP_WORD_CHAR, "selectable", FALSE, NULL);

  if (css_class != NULL)
    gtk_widget_add_css_class (label, css_class);
  return GTK_LABEL (label);
}

static GtkWidget *
new_details_popover (IngProblemBox *self)
{
  GtkWidget *popover = gtk_popover_new ();
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 9);
  GtkWidget *copy = gtk_button_new_with_mnemonic (_("_Copy"));

  self->details = new_label ("monospace");
  gtk_widget_add_css_class (GTK_WIDGET (self->details), "caption");
  gtk_label_set_selectable (self->details, TRUE);
  gtk_label_set_max_width_chars (self->details, 44);
  gtk_widget_set_halign (copy, GTK_ALIGN_END);
  g_signal_connect_swapped (copy, "clicked", G_CALLBACK (copy_cb), self);
  gtk_widget_add_css_class (box, "popover-content");
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->details));
  gtk_box_append (GTK_BOX (box), copy);
  gtk_popover_set_child (GTK_POPOVER (popover), box);
  return popover;
}

static void
ing_problem_box_init (IngProblemBox *self)
{
  GtkWidget *icon = gtk_image_new_from_icon_name ("dialog-warning-symbolic");
  GtkWidget *column = gtk_box_new (GTK_ORIENTATION_VERTICAL, 3);

  gtk_widget_set_visible (GTK_WIDGET (self), FALSE);
  self->box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 12);
  gtk_widget_add_css_class (self->box, "problem");
  gtk_widget_add_css_class (self->box, "card");
  gtk_widget_set_parent (self->box, GTK_WIDGET (self));
  gtk_widget_set_valign (icon, GTK_ALIGN_START);
  gtk_widget_add_css_class (icon, "warning");
  gtk_box_append (GTK_BOX (self->box), icon);
  gtk_widget_set_hexpand (column, TRUE);
  gtk_box_append (GTK_BOX (self->box), column);

  self->title = new_label ("heading");
  gtk_box_append (GTK_BOX (column), GTK_WIDGET (self->title));
  self->advice = new_label (NULL);
  gtk_box_append (GTK_BOX (column), GTK_WIDGET (self->advice));
  self->buttons = GTK_BOX (gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 6));
  gtk_widget_add_css_class (GTK_WIDGET (self->buttons), "problem-buttons");
  gtk_box_append (GTK_BOX (column), GTK_WIDGET (self->buttons));
  self->details_button = gtk_menu_button_new ();
  gtk_menu_button_set_label (GTK_MENU_BUTTON (self->details_button), _("Details"));
  gtk_widget_add_css_class (self->details_button, "flat");
  gtk_menu_button_set_popover (GTK_MENU_BUTTON (self->details_button), new_details_popover (self));
  gtk_box_append (self->buttons, self->details_button);
}

GtkWidget *
ing_problem_box_new (void)
{
  return g_object_new (ING_TYPE_PROBLEM_BOX, NULL);
}

void
ing_problem_box_set_text (IngProblemBox *self, const char *title, const char *advice,
                          const char *details)
{
  GtkWidget *child;

  g_return_if_fail (ING_IS_PROBLEM_BOX (self));
  while ((child = gtk_widget_get_first_child (GTK_WIDGET (self->buttons))) != self->details_button)
    gtk_box_remove (self->buttons, child);
  gtk_label_set_text (self->title, title);
  gtk_label_set_text (self->advice, advice != NULL ? advice : "");
  gtk_widget_set_visible (GTK_WIDGET (self->advice), advice != NULL && *advice != '\0');
  gtk_label_set_text (self->details, details != NULL ? details : "");
  gtk_widget_set_visible (self->details_button, details != NULL && *details != '\0');
  gtk_widget_set_visible (GTK_WIDGET (self->buttons), details != NULL && *details != '\0');
  gtk_accessible_update_property (GTK_ACCESSIBLE (self), GTK_ACCESSIBLE_PROPERTY_LABEL, title, -1);
  gtk_widget_set_visible (GTK_WIDGET (self), TRUE);
}

void
ing_problem_box_set_error (IngProblemBox *self, const GError *error)
{
  g_autofree char *title = NULL;
  g_autofree char *advice = NULL;
  g_autofree char *details = NULL;

  g_return_if_fail (ING_IS_PROBLEM_BOX (self));
  if (error == NULL)
    {
      gtk_widget_set_visible (GTK_WIDGET (self), FALSE);
      return;
    }
  ing_error_describe (error, &title, &advice, &details);
  ing_problem_box_set_text (self, title, advice, details);
}

void
ing_problem_box_add_button (IngProblemBox *self, const char *label, const char *action,
                            GVariant *target)
{
  g_auto (GStrv) words = g_strsplit (label, "_", -1);
  g_autofree char *name = NULL;
  GtkWidget *button;

  g_return_if_fail (ING_IS_PROBLEM_BOX (self));
  button = gtk_button_new_with_mnemonic (label);
  /* GTK 4.8 would read the mark of the mnemonic out. */
  name = g_strjoinv ("", words);
  gtk_accessible_update_property (GTK_ACCESSIBLE (button), GTK_ACCESSIBLE_PROPERTY_LABEL, name, -1);
  gtk_actionable_set_action_target_value (GTK_ACTIONABLE (button), target);
  gtk_actionable_set_action_name (GTK_ACTIONABLE (button), action);
  gtk_box_insert_child_after (
      self->buttons, button,
      gtk_widget_get_prev_sibling (self->details_button));
  gtk_widget_set_visible (GTK_WIDGET (self->buttons), TRUE);
}
