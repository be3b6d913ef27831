/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-search-page.h"

#include "ing-form.h"
#include "ing-numbers.h"
#include "ing-problem-box.h"

#include <glib/gi18n-lib.h>

#define SETTING_HUB "library.search-hub" /* int: as in the list of hubs; by the language at first */

enum
{
  HUGGING_FACE,
  MODELSCOPE
};

struct _IngSearchPage
{
  GtkWidget parent_instance;

  GtkWidget *box;
  GtkWidget *entry; /* AdwEntryRow */
  GtkWidget *hub;   /* AdwComboRow */
  GtkWidget *button, *spinner;
  IngProblemBox *problem;
  GtkWidget *found;    /* group */
  GPtrArray *found_rows;
  IngWorkspace *workspace;
  GCancellable *searching;
};

G_DEFINE_FINAL_TYPE (IngSearchPage, ing_search_page, GTK_TYPE_WIDGET)

enum
{
  CLOSE,
  ADDRESS,
  N_SIGNALS
};
static guint signals[N_SIGNALS];

/* ---------------------------------------------------------------- what was found */

static void
clear_found (IngSearchPage *self)
{
  for (guint i = 0; i < self->found_rows->len; i++)
    adw_preferences_group_remove (ADW_PREFERENCES_GROUP (self->found), g_ptr_array_index (self->found_rows, i));
  g_ptr_array_set_size (self->found_rows, 0);
  gtk_widget_set_visible (self->found, FALSE);
}

static char *
dup_words (const IngRemoteModel *model)
{
  g_autofree char *times = ing_numbers_dup_count (model->downloads);
  g_autoptr (GString) text = g_string_new (NULL);

  g_string_append (text, model->licence != NULL ? model->licence : _("Licence not said"));
  if (model->downloads > 0)
    {
      g_string_append (text, " · ");
      g_string_append_printf (text, _("fetched %s times"), times);
    }
  if (model->gated)
    g_string_append_printf (text, " · %s", _("wants its licence accepted at the hub"));
  return g_strdup (text->str);
}

static void
see_cb (GtkWidget *button, IngSearchPage *self)
{
  g_signal_emit (self, signals[ADDRESS], 0, g_object_get_data (G_OBJECT (button), "address"));
}

static void
add_found (IngSearchPage *self, const IngRemoteModel *model)
{
  g_autofree char *words = dup_words (model);
  GtkWidget *row = ing_form_new_plain_row (model->name, words);

  GtkWidget *see = ing_form_add_button (row, NULL, "go-next-symbolic", _("See its files, their sizes, and whether they run here"));

  g_object_set_data_full (G_OBJECT (see), "address", g_strdup (model->address), g_free);
  g_signal_connect_object (see, "clicked", G_CALLBACK (see_cb), self, 0);
  adw_action_row_set_activatable_widget (ADW_ACTION_ROW (row), see);
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (self->found), row);
  g_ptr_array_add (self->found_rows, row);
  gtk_widget_set_visible (self->found, TRUE);
}

static void
show_error (IngSearchPage *self, const GError *error)
{
  g_autofree char *details = NULL;

  if (!g_error_matches (error, ING_ERROR, ING_ERROR_NETWORK))
    {
      ing_problem_box_set_error (self->problem, error);
      return;
    }
  ing_error_describe (error, NULL, NULL, &details);
  ing_problem_box_set_text (self->problem, _("The hub cannot be reached"),
                            _("Search again when there is a network, or choose the other hub."), details);
}

static void
found_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (IngSearchPage) self = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) models = ing_remote_search_finish (result, &error);

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED) || self->box == NULL)
    return;
  gtk_spinner_stop (GTK_SPINNER (self->spinner));
  if (error != NULL)
    show_error (self, error);
  else if (models->len == 0)
    ing_problem_box_set_text (self->problem, _("Nothing was found"),
                              _("Try fewer words, or the other hub. Only models with GGUF files are looked for."), NULL);
  for (guint i = 0; models != NULL && i < models->len; i++)
    add_found (self, g_ptr_array_index (models, i));
}

/* ---------------------------------------------------------------- asking */

static void
search_cb (IngSearchPage *self)
{
  IngSettings *settings = ing_workspace_get_settings (self->workspace);
  g_autofree char *words = g_strstrip (g_strdup (gtk_editable_get_text (GTK_EDITABLE (self->entry))));
  g_autofree char *proxy = ing_settings_dup_string (settings, ING_SETTING_PROXY, "");

  g_cancellable_cancel (self->searching);
  g_clear_object (&self->searching);
  clear_found (self);
  ing_problem_box_set_error (self->problem, NULL);
  gtk_spinner_stop (GTK_SPINNER (self->spinner));
  if (*words == '\0')
    return;
  self->searching = g_cancellable_new ();
  gtk_spinner_start (GTK_SPINNER (self->spinner));
  ing_remote_search_async (words, adw_combo_row_get_selected (ADW_COMBO_ROW (self->hub)) == MODELSCOPE, proxy, self->searching,
                           found_cb, g_object_ref (self));
}

static void
hub_cb (IngSearchPage *self)
{
  ing_settings_set_int (ing_workspace_get_settings (self->workspace), SETTING_HUB,
                        (int) adw_combo_row_get_selected (ADW_COMBO_ROW (self->hub)));
  search_cb (self);
}

/* Strict offline is told at once, not by a search that fails. */
static void
shown_cb (IngSearchPage *self)
{
  gboolean offline = ing_offline_is_on ();

  gtk_widget_set_sensitive (self->entry, !offline);
  gtk_widget_set_sensitive (self->hub, !offline);
  if (offline)
    ing_problem_box_set_text (self->problem, _("Strict offline is on"),
                              _("The system refuses this program every connection, so no hub can be asked. It is turned off in "
                                "the preferences and ends with the next start."),
                              NULL);
}

/* ---------------------------------------------------------------- widget */

static void
back_cb (IngSearchPage *self)
{
  g_signal_emit (self, signals[CLOSE], 0);
}

static void
ing_search_page_dispose (GObject *object)
{
  IngSearchPage *self = ING_SEARCH_PAGE (object);

  g_cancellable_cancel (self->searching);
  g_clear_object (&self->searching);
  g_clear_pointer (&self->found_rows, g_ptr_array_unref);
  g_clear_pointer (&self->box, gtk_widget_unparent);
  g_clear_object (&self->workspace);
  G_OBJECT_CLASS (ing_search_page_parent_class)->dispose (object);
}

static void
ing_search_page_class_init (IngSearchPageClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = ing_search_page_dispose;
  gtk_widget_class_set_layout_manager_type (GTK_WIDGET_CLASS (klass), GTK_TYPE_BIN_LAYOUT);
  signals[CLOSE] = g_signal_new ("close", ING_TYPE_SEARCH_PAGE, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
  signals[ADDRESS]
      = g_signal_new ("address", ING_TYPE_SEARCH_PAGE, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_STRING);
}

static void
add_question (IngSearchPage *self, GtkWidget *column)
{
  const char *hubs[] = { _("Hugging Face"), _("ModelScope"), NULL };
  g_autoptr (GtkStringList) names = gtk_string_list_new (hubs);
  GtkWidget *group = ing_form_add_group (
      column, NULL, _("Your words are sent to the hub that you choose, and nothing else is. Only models with GGUF files are shown."));

  self->entry = adw_entry_row_new ();
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (self->entry), _("Name or words"));
  g_signal_connect_swapped (self->entry, "entry-activated", G_CALLBACK (search_cb), self);
  self->spinner = gtk_spinner_new ();
  adw_entry_row_add_suffix (ADW_ENTRY_ROW (self->entry), self->spinner);
  self->button = gtk_button_new_with_label (_("Search"));
  gtk_widget_set_valign (self->button, GTK_ALIGN_CENTER);
  gtk_widget_set_tooltip_text (self->button, _("Search the hub (Enter)"));
  g_signal_connect_swapped (self->button, "clicked", G_CALLBACK (search_cb), self);
  adw_entry_row_add_suffix (ADW_ENTRY_ROW (self->entry), self->button);
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (group), self->entry);
  self->hub = adw_combo_row_new ();
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (self->hub), _("Hub"));
  adw_combo_row_set_model (ADW_COMBO_ROW (self->hub), G_LIST_MODEL (names));
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (group), self->hub);
}

static void
ing_search_page_init (IngSearchPage *self)
{
  GtkWidget *back, *column;

  self->found_rows = g_ptr_array_new ();
  self->box = ing_form_new_page (_("Search a hub"), _("Back to the models"), &back, &column, NULL);
  g_signal_connect_swapped (back, "clicked", G_CALLBACK (back_cb), self);
  add_question (self, column);
  self->problem = ING_PROBLEM_BOX (ing_problem_box_new ());
  gtk_box_append (GTK_BOX (column), GTK_WIDGET (self->problem));
  self->found = ing_form_add_group (column, _("Found"), NULL);
  gtk_widget_set_visible (self->found, FALSE);
  gtk_widget_set_parent (self->box, GTK_WIDGET (self));
  g_signal_connect (self, "map", G_CALLBACK (shown_cb), NULL);
}

GtkWidget *
ing_search_page_new (IngWorkspace *workspace)
{
  IngSearchPage *self = g_object_new (ING_TYPE_SEARCH_PAGE, NULL);
  gboolean chinese = g_str_has_prefix (g_get_language_names ()[0], "zh");
  int hub = ing_settings_get_int (ing_workspace_get_settings (workspace), SETTING_HUB, chinese ? MODELSCOPE : HUGGING_FACE);

  self->workspace = g_object_ref (workspace);
  adw_combo_row_set_selected (ADW_COMBO_ROW (self->hub), hub == MODELSCOPE ? MODELSCOPE : HUGGING_FACE);
  g_signal_connect_object (self->hub, "notify::selected", G_CALLBACK (hub_cb), self, G_CONNECT_SWAPPED);
  return GTK_WIDGET (self);
}

void
ing_search_page_focus (IngSearchPage *self)
{
  g_return_if_fail (ING_IS_SEARCH_PAGE (self));
  gtk_widget_grab_focus (self->entry);
}
