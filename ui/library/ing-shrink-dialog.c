/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-shrink-dialog.h"

#include "ing-form.h"

#include <glib/gi18n-lib.h>

#define USUAL "Q4_K_M"
#define MEGA 1e6
#define GIGA 1e9

struct _IngShrinkDialog
{
  AdwWindow parent_instance;

  IngWorkspace *workspace;
  IngModelFile *file;
  const char *type; /* chosen; one of ing_transfers_get_types(), "" = the size in @target */
  GtkWidget *shrink;
  GtkWidget *target; /* spin button, in @unit bytes */
  double unit;
};

G_DEFINE_FINAL_TYPE (IngShrinkDialog, ing_shrink_dialog, ADW_TYPE_WINDOW)

static guint started_signal;

static void
shrink_cb (IngShrinkDialog *self)
{
  IngTransfers *transfers = ing_library_get_transfers (ing_workspace_get_library (self->workspace));
  gboolean fits = *self->type == '\0';
  double wanted = gtk_spin_button_get_value (GTK_SPIN_BUTTON (self->target)) * self->unit;
  g_autoptr (IngJob) job = ing_transfers_shrink (transfers, ing_model_file_get_path (self->file), fits ? NULL : self->type,
                                                 fits ? (guint64) wanted : 0);

  g_signal_emit (self, started_signal, 0, job);
  gtk_window_close (GTK_WINDOW (self));
}

static void
toggled_cb (GtkCheckButton *check, IngShrinkDialog *self)
{
  if (gtk_check_button_get_active (check))
    self->type = g_object_get_data (G_OBJECT (check), "type");
  gtk_widget_set_sensitive (self->shrink, self->type != NULL);
}

/* ---------------------------------------------------------------- words */

static const char *
get_advice (const char *type)
{
  if (g_str_equal (type, "Q8_0"))
    return _("as good as the original");
  if (g_str_equal (type, "Q6_K") || g_str_equal (type, "Q5_K_M"))
    return _("hardly any loss");
  if (g_str_equal (type, USUAL))
    return _("the usual choice");
  if (g_str_equal (type, "Q3_K_M") || g_str_equal (type, "Q2_K"))
    return _("noticeably worse");
  return _("a little worse");
}

static char *
dup_words (const char *type, guint64 bytes, const IngModelFacts *facts)
{
  g_autofree char *size = g_format_size (bytes);
  IngFit fit = facts->fit;
  guint64 all;

  if (fit.word == ING_FIT_UNKNOWN)
    return g_strdup_printf (_("%s; %s"), size, get_advice (type));
  all = bytes + fit.kv + fit.scratch;
  g_autofree char *needs = g_format_size (all);

  return g_strdup_printf (all > fit.free_host && fit.word != ING_FIT_GPU && fit.word != ING_FIT_SPLIT
                              ? _("%s; %s. Needs about %s of memory to run: too much for now")
                              : _("%s; %s. Needs about %s of memory to run"),
                          size, get_advice (type), needs);
}

/* ---------------------------------------------------------------- rows */

static GtkWidget *
new_type_row (IngShrinkDialog *self, const char *type, const char *words, GtkWidget *first)
{
  GtkWidget *row = ing_form_new_plain_row (type, words);
  GtkWidget *check = gtk_check_button_new ();

  gtk_widget_set_valign (check, GTK_ALIGN_CENTER);
  if (first != NULL)
    gtk_check_button_set_group (GTK_CHECK_BUTTON (check), GTK_CHECK_BUTTON (first));
  g_object_set_data (G_OBJECT (check), "type", (gpointer) type);
  g_signal_connect_object (check, "toggled", G_CALLBACK (toggled_cb), self, 0);
  adw_action_row_add_prefix (ADW_ACTION_ROW (row), check);
  adw_action_row_set_activatable_widget (ADW_ACTION_ROW (row), check);
  g_object_set_data (G_OBJECT (row), "check", check);
  return row;
}

static void
target_cb (GtkSpinButton *spin, GtkCheckButton *check)
{
  gtk_check_button_set_active (check, TRUE);
}

/* "Make it fit in": the types are chosen by what they cost, matrix by matrix. */
static void
add_target (IngShrinkDialog *self, GtkWidget *group, const IngModelFacts *facts, GtkWidget *first)
{
  guint64 all = ing_model_file_get_bytes (self->file), usual = ing_model_facts_get_size (facts, USUAL);
  gboolean large = all >= 2 * (guint64) GIGA;
  double high, low;
  GtkWidget *row, *check;

  self->unit = large ? GIGA : MEGA;
  high = (double) all / self->unit;
  low = high / 20;
  row = new_type_row (self, "", NULL, first);
  check = g_object_get_data (G_OBJECT (row), "check");
  self->target = gtk_spin_button_new_with_range (low, high, large ? 0.1 : 1);
  gtk_spin_button_set_digits (GTK_SPIN_BUTTON (self->target), large ? 1 : 0);
  gtk_spin_button_set_value (GTK_SPIN_BUTTON (self->target), usual > 0 && usual < all ? (double) usual / self->unit : high / 2);
  gtk_widget_set_valign (self->target, GTK_ALIGN_CENTER);
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->target), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  large ? _("Size in GB") : _("Size in MB"), -1);
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (row), large ? _("Make it fit in GB") : _("Make it fit in MB"));
  adw_action_row_set_subtitle (ADW_ACTION_ROW (row), _("Each matrix gets what loses least for its room; takes longer"));
  adw_action_row_add_suffix (ADW_ACTION_ROW (row), self->target);
  g_signal_connect_object (self->target, "value-changed", G_CALLBACK (target_cb), check, 0);
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (group), row);
}

static void
add_types (IngShrinkDialog *self, GtkWidget *column, const IngModelFacts *facts)
{
  const char *const *types = ing_transfers_get_types ();
  gboolean exact = ing_transfers_is_exact (facts->type);
  GtkWidget *group = ing_form_add_group (
      column, NULL,
      exact ? _("A copy with coarser numbers takes less room and memory and answers faster. The original stays.")
            : _("A copy with coarser numbers takes less room and memory. The numbers of this file were made coarser before: a "
                "copy of the original file would be better. This file stays."));
  GtkWidget *first = NULL, *usual = NULL;

  for (guint i = 0; types[i] != NULL; i++)
    {
      guint64 bytes = ing_model_facts_get_size (facts, types[i]);
      g_autofree char *words = dup_words (types[i], bytes, facts);
      GtkWidget *row, *check;

      if (bytes == 0 || bytes >= ing_model_file_get_bytes (self->file) || g_strcmp0 (types[i], facts->type) == 0)
        continue;
      row = new_type_row (self, types[i], words, first);
      check = g_object_get_data (G_OBJECT (row), "check");
      adw_preferences_group_add (ADW_PREFERENCES_GROUP (group), row);
      first = first != NULL ? first : check;
      if (g_str_equal (types[i], USUAL))
        usual = check;
    }
  if (first != NULL)
    add_target (self, group, facts, first);
  if (first != NULL)
    gtk_check_button_set_active (GTK_CHECK_BUTTON (usual != NULL ? usual : first), TRUE);
  else
    adw_preferences_group_set_description (ADW_PREFERENCES_GROUP (group), _("This file is as small as it can get here."));
}

/* ---------------------------------------------------------------- window */

static void
ing_shrink_dialog_dispose (GObject *object)
{
  IngShrinkDialog *self = ING_SHRINK_DIALOG (object);

  g_clear_object (&self->workspace);
  g_clear_object (&self->file);
  G_OBJECT_CLASS (ing_shrink_dialog_parent_class)->dispose (object);
}

static void
ing_shrink_dialog_class_init (IngShrinkDialogClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = ing_shrink_dialog_dispose;
  gtk_widget_class_add_binding_action (GTK_WIDGET_CLASS (klass), GDK_KEY_Escape, 0, "window.close", NULL);
  started_signal = g_signal_new ("started", ING_TYPE_SHRINK_DIALOG, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 1,
                                 ING_TYPE_JOB);
}

static void
ing_shrink_dialog_init (IngShrinkDialog *self)
{
}

GtkWidget *
ing_shrink_dialog_new (GtkWindow *parent, IngWorkspace *workspace, IngModelFile *file, const IngModelFacts *facts)
{
  IngShrinkDialog *self = g_object_new (ING_TYPE_SHRINK_DIALOG, "transient-for", parent, "modal", TRUE, "title",
                                        _("Shrink the model"), "default-width", MIN (460, MAX (320, gtk_widget_get_width (GTK_WIDGET (parent)))), "default-height", 560, NULL);
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0);
  GtkWidget *header = adw_header_bar_new ();
  GtkWidget *cancel = gtk_button_new_with_mnemonic (_("_Cancel"));
  GtkWidget *scroller = gtk_scrolled_window_new ();
  GtkWidget *column = gtk_box_new (GTK_ORIENTATION_VERTICAL, 12);

  self->workspace = g_object_ref (workspace);
  self->file = g_object_ref (file);
  self->shrink = gtk_button_new_with_mnemonic (_("_Shrink"));
  gtk_widget_add_css_class (self->shrink, "suggested-action");
  gtk_widget_set_sensitive (self->shrink, FALSE);
  g_signal_connect_swapped (cancel, "clicked", G_CALLBACK (gtk_window_close), self);
  g_signal_connect_swapped (self->shrink, "clicked", G_CALLBACK (shrink_cb), self);
  adw_header_bar_set_show_end_title_buttons (ADW_HEADER_BAR (header), FALSE);
  adw_header_bar_pack_start (ADW_HEADER_BAR (header), cancel);
  adw_header_bar_pack_end (ADW_HEADER_BAR (header), self->shrink);
  gtk_widget_add_css_class (column, "models-column");
  add_types (self, column, facts);
  gtk_scrolled_window_set_policy (GTK_SCROLLED_WINDOW (scroller), GTK_POLICY_NEVER, GTK_POLICY_AUTOMATIC);
  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (scroller), column);
  gtk_widget_set_vexpand (scroller, TRUE);
  gtk_box_append (GTK_BOX (box), header);
  gtk_box_append (GTK_BOX (box), scroller);
  adw_window_set_content (ADW_WINDOW (self), box);
  return GTK_WIDGET (self);
}
