/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-form.h"

/* 0 reads "Automatic", or whatever the button's "zero" says. */
static gboolean
output_cb (GtkSpinButton *spin)
{
  const char *zero = g_object_get_data (G_OBJECT (spin), "zero");

  if (zero == NULL || gtk_spin_button_get_value (spin) > 0)
    return FALSE;
  gtk_editable_set_text (GTK_EDITABLE (spin), zero);
  return TRUE;
}

static int
input_cb (GtkSpinButton *spin, double *value)
{
  const char *zero = g_object_get_data (G_OBJECT (spin), "zero");

  if (zero == NULL || g_strcmp0 (gtk_editable_get_text (GTK_EDITABLE (spin)), zero) != 0)
    return FALSE;
  *value = 0;
  return TRUE;
}

GtkWidget *
ing_form_new_spin (double value, double low, double high, double step, guint digits, const char *zero)
{
  GtkWidget *spin = gtk_spin_button_new_with_range (low, high, step);

  /* Such a button takes no letters as it comes, not even from its own "output". */
  gtk_spin_button_set_numeric (GTK_SPIN_BUTTON (spin), zero == NULL);
  g_object_set_data (G_OBJECT (spin), "zero", (gpointer) zero);
  g_signal_connect (spin, "output", G_CALLBACK (output_cb), NULL);
  g_signal_connect (spin, "input", G_CALLBACK (input_cb), NULL);
  gtk_spin_button_set_digits (GTK_SPIN_BUTTON (spin), digits);
  if (zero != NULL)
    gtk_editable_set_width_chars (GTK_EDITABLE (spin), (int) g_utf8_strlen (zero, -1) + 1);
  gtk_spin_button_set_value (GTK_SPIN_BUTTON (spin), value);
  gtk_spin_button_update (GTK_SPIN_BUTTON (spin));
  return spin;
}

GtkWidget *
ing_form_new_row (const char *title, const char *subtitle, GtkWidget *control)
{
  GtkWidget *row = adw_action_row_new ();

  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (row), title);
  if (subtitle != NULL)
    adw_action_row_set_subtitle (ADW_ACTION_ROW (row), subtitle);
  gtk_widget_set_valign (control, GTK_ALIGN_CENTER);
  adw_action_row_add_suffix (ADW_ACTION_ROW (row), control);
  adw_action_row_set_activatable_widget (ADW_ACTION_ROW (row), control); /* title and subtitle are its name, too */
  return row;
}

AdwPreferencesGroup *
ing_form_new_text_group (const char *title, const char *description, const char *text, GtkTextBuffer **buffer)
{
  AdwPreferencesGroup *group = ADW_PREFERENCES_GROUP (adw_preferences_group_new ());
  GtkWidget *frame = gtk_scrolled_window_new ();
  GtkWidget *view = gtk_text_view_new ();

  *buffer = gtk_text_view_get_buffer (GTK_TEXT_VIEW (view));
  adw_preferences_group_set_title (group, title);
  adw_preferences_group_set_description (group, description);
  gtk_text_view_set_wrap_mode (GTK_TEXT_VIEW (view), GTK_WRAP_WORD_CHAR);
  gtk_text_view_set_accepts_tab (GTK_TEXT_VIEW (view), FALSE);
  gtk_text_view_set_top_margin (GTK_TEXT_VIEW (view), 12);
  gtk_text_view_set_bottom_margin (GTK_TEXT_VIEW (view), 12);
  gtk_text_view_set_left_margin (GTK_TEXT_VIEW (view), 12);
  gtk_text_view_set_right_margin (GTK_TEXT_VIEW (view), 12);
  gtk_widget_add_css_class (view, "plain-view");
  gtk_accessible_update_property (GTK_ACCESSIBLE (view), GTK_ACCESSIBLE_PROPERTY_LABEL, title, -1);
  gtk_text_buffer_set_text (*buffer, text != NULL ? text : "", -1);
  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (frame), view);
  gtk_scrolled_window_set_min_content_height (GTK_SCROLLED_WINDOW (frame), 96);
  gtk_scrolled_window_set_max_content_height (GTK_SCROLLED_WINDOW (frame), 240);
  gtk_scrolled_window_set_propagate_natural_height (GTK_SCROLLED_WINDOW (frame), TRUE);
  gtk_widget_add_css_class (frame, "card");
  gtk_widget_set_overflow (frame, GTK_OVERFLOW_HIDDEN);
  adw_preferences_group_add (group, frame);
  return group;
}

GtkWidget *
ing_form_new_plain_row (const char *title, const char *subtitle)
{
  GtkWidget *row = adw_action_row_new ();

  adw_preferences_row_set_use_markup (ADW_PREFERENCES_ROW (row), FALSE);
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (row), title);
  adw_action_row_set_title_lines (ADW_ACTION_ROW (row), 2);
  adw_action_row_set_subtitle_lines (ADW_ACTION_ROW (row), 4);
  if (subtitle != NULL)
    adw_action_row_set_subtitle (ADW_ACTION_ROW (row), subtitle);
  return row;
}

GtkWidget *
ing_form_add_button (GtkWidget *row, const char *label, const char *icon, const char *words)
{
  GtkWidget *button = icon != NULL ? gtk_button_new_from_icon_name (icon) : gtk_button_new_with_label (label);

  gtk_widget_set_valign (button, GTK_ALIGN_CENTER);
  gtk_widget_set_tooltip_text (button, words);
  gtk_accessible_update_property (GTK_ACCESSIBLE (button), GTK_ACCESSIBLE_PROPERTY_LABEL, words, -1);
  if (icon != NULL)
    gtk_widget_add_css_class (button, "flat");
  adw_action_row_add_suffix (ADW_ACTION_ROW (row), button);
  return button;
}

GtkWidget *
ing_form_add_group (GtkWidget *column, const char *title, const char *description)
{
  GtkWidget *group = adw_preferences_group_new ();

  if (title != NULL)
    adw_preferences_group_set_title (ADW_PREFERENCES_GROUP (group), title);
  if (description != NULL)
    adw_preferences_group_set_description (ADW_PREFERENCES_GROUP (group), description);
  gtk_box_append (GTK_BOX (column), group);
  return group;
}

GtkWidget *
ing_form_new_page (const char *title_text, const char *back_words, GtkWidget **back, GtkWidget **column,
                   AdwWindowTitle **title)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0);
  GtkWidget *header = adw_header_bar_new ();
  GtkWidget *words = adw_window_title_new (title_text, NULL);
  GtkWidget *scroller = gtk_scrolled_window_new ();
  GtkWidget *clamp = adw_clamp_new ();

  *back = gtk_button_new_from_icon_name ("go-previous-symbolic");
  *column = gtk_box_new (GTK_ORIENTATION_VERTICAL, 24);
  if (title != NULL)
    *title = ADW_WINDOW_TITLE (words);
  gtk_widget_set_tooltip_text (*back, back_words);
  gtk_accessible_update_property (GTK_ACCESSIBLE (*back), GTK_ACCESSIBLE_PROPERTY_LABEL, back_words, -1);
  adw_header_bar_pack_start (ADW_HEADER_BAR (header), *back);
  adw_header_bar_set_title_widget (ADW_HEADER_BAR (header), words);
  gtk_widget_add_css_class (*column, "models-column");
  adw_clamp_set_maximum_size (ADW_CLAMP (clamp), 720);
  adw_clamp_set_child (ADW_CLAMP (clamp), *column);
  gtk_scrolled_window_set_policy (GTK_SCROLLED_WINDOW (scroller), GTK_POLICY_NEVER, GTK_POLICY_AUTOMATIC);
  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (scroller), clamp);
  gtk_widget_set_vexpand (scroller, TRUE);
  gtk_box_append (GTK_BOX (box), header);
  gtk_box_append (GTK_BOX (box), scroller);
  gtk_widget_add_css_class (box, "content-pane");
  return box;
}
