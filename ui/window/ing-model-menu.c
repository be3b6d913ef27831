/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-model-menu.h"

#include "ing-model-title.h"

#include <adwaita.h>
#include <glib/gi18n-lib.h>
#include <string.h>

#define MAX_CHARS 20
#define MAX_MODELS 500

struct _IngModelMenu
{
  GtkWidget parent_instance;

  GtkWidget *button;
  GtkLabel *name_label;
  GtkWidget *popover;
  GtkListBox *list_box;
  GtkWidget *empty_label;
  GtkWidget *arrow;
  GtkWidget *icon; /* instead of the name where there is no room */

  IngWorkspace *workspace;
  IngConversation *conversation;
};

G_DEFINE_FINAL_TYPE (IngModelMenu, ing_model_menu, GTK_TYPE_WIDGET)

/* Of the conversation; the loaded one where it has none of its own. */
static const char *
get_path (IngModelMenu *self)
{
  const char *path = self->conversation != NULL ? ing_conversation_get_model_path (self->conversation) : NULL;

  return path != NULL ? path : ing_generation_service_get_model_path (ing_workspace_get_generation (self->workspace));
}

/* ---------------------------------------------------------------- the menu */

static GtkWidget *
new_row (IngModelMenu *self, IngModelFile *file)
{
  const char *path = ing_model_file_get_path (file), *file_name = ing_model_file_get_name (file);
  GtkWidget *row = gtk_list_box_row_new ();
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 12);
  GtkWidget *column = gtk_box_new (GTK_ORIENTATION_VERTICAL, 2);
  g_autofree char *shown
      = g_str_has_suffix (file_name, ".gguf") ? g_strndup (file_name, strlen (file_name) - strlen (".gguf")) : g_strdup (file_name);
  GtkWidget *name = gtk_label_new (shown);
  g_autofree char *size = g_format_size (ing_model_file_get_bytes (file));
  g_autofree char *note = ing_model_title_is_starter (path)
                              ? g_strdup_printf (_("%s · small, English"), size)
                              : g_strdup (size);
  GtkWidget *caption = gtk_label_new (note);
  GtkWidget *check = gtk_image_new_from_icon_name ("object-select-symbolic");

  gtk_label_set_xalign (GTK_LABEL (name), 0);
  gtk_label_set_ellipsize (GTK_LABEL (name), PANGO_ELLIPSIZE_MIDDLE);
  gtk_label_set_max_width_chars (GTK_LABEL (name), 34);
  gtk_label_set_xalign (GTK_LABEL (caption), 0);
  gtk_widget_add_css_class (caption, "caption");
  gtk_widget_add_css_class (caption, "dim-label");
  gtk_widget_add_css_class (caption, "numeric");
  gtk_box_append (GTK_BOX (column), name);
  gtk_box_append (GTK_BOX (column), caption);
  gtk_widget_set_hexpand (column, TRUE);
  gtk_box_append (GTK_BOX (box), column);
  gtk_widget_set_opacity (check, g_strcmp0 (get_path (self), path) == 0 ? 1 : 0);
  gtk_box_append (GTK_BOX (box), check);
  gtk_list_box_row_set_child (GTK_LIST_BOX_ROW (row), box);
  gtk_widget_set_tooltip_text (row, path);
  gtk_accessible_update_property (GTK_ACCESSIBLE (row), GTK_ACCESSIBLE_PROPERTY_LABEL, shown,
                                  GTK_ACCESSIBLE_PROPERTY_DESCRIPTION, note, -1);
  g_object_set_data_full (G_OBJECT (row), "path", g_strdup (path), g_free);
  return row;
}

static void
fill (IngModelMenu *self)
{
  GListModel *files = G_LIST_MODEL (ing_workspace_get_library (self->workspace));
  GtkWidget *child;
  guint n = 0;

  while ((child = gtk_widget_get_first_child (GTK_WIDGET (self->list_box))) != NULL)
    gtk_list_box_remove (self->list_box, child);
  for (guint i = 0; n < MAX_MODELS && i < g_list_model_get_n_items (files); i++)
    {
      g_autoptr (IngModelFile) file = g_list_model_get_item (files, i);

      /* What helps a model to see is no model by itself. */
      if (ing_model_file_get_kind (file) != ING_FILE_MODEL || strstr (ing_model_file_get_name (file), "mmproj") != NULL)
        continue;
      gtk_list_box_append (self->list_box, new_row (self, file));
      n++;
    }
  gtk_widget_set_visible (GTK_WIDGET (self->list_box), n > 0);
  gtk_widget_set_visible (self->empty_label, n == 0);
}

static void
files_cb (IngModelMenu *self)
{
  if (gtk_widget_get_visible (self->popover))
    fill (self);
}

/* What is known at once, and what the disk says now a little later. */
static void
shown_cb (IngModelMenu *self)
{
  fill (self);
  ing_library_refresh (ing_workspace_get_library (self->workspace));
}

static void
activated_cb (IngModelMenu *self, GtkListBoxRow *row)
{
  gtk_popover_popdown (GTK_POPOVER (self->popover));
  ing_workspace_choose_model (self->workspace, self->conversation, g_object_get_data (G_OBJECT (row), "path"));
}

static void
close_cb (IngModelMenu *self)
{
  gtk_popover_popdown (GTK_POPOVER (self->popover));
}

static void
update (IngModelMenu *self)
{
  IngGenerationService *service = ing_workspace_get_generation (self->workspace);
  const char *path = get_path (self), *loading = ing_generation_service_get_loading_path (service);
  g_autofree char *text = NULL;
  g_autofree char *tip = NULL;

  if (loading != NULL && (path == NULL || g_strcmp0 (path, loading) == 0))
    text = g_strdup_printf (_("Loading %d %%"), (int) (ing_generation_service_get_load_progress (service) * 100));
  else
    text = path != NULL ? ing_model_title_dup (path) : g_strdup (_("No model"));
  gtk_label_set_text (self->name_label, text);
  /* An ellipsizing label asks for next to nothing by itself, and the title beside it for much. */
  gtk_label_set_width_chars (self->name_label, MIN ((int) g_utf8_strlen (text, -1), MAX_CHARS));
  tip = g_strdup_printf (_("Model: %s"), text);
  gtk_widget_set_tooltip_text (self->button, tip);
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->button), GTK_ACCESSIBLE_PROPERTY_LABEL, tip,
                                  -1);
}

static GtkWidget *
new_action_button (IngModelMenu *self, const char *label, const char *action)
{
  GtkWidget *button = gtk_button_new ();
  GtkWidget *text = gtk_label_new_with_mnemonic (label);

  gtk_label_set_xalign (GTK_LABEL (text), 0);
  gtk_button_set_child (GTK_BUTTON (button), text);
  gtk_widget_add_css_class (button, "flat");
  gtk_actionable_set_action_name (GTK_ACTIONABLE (button), action);
  g_signal_connect_swapped (button, "clicked", G_CALLBACK (close_cb), self);
  return button;
}

static GtkWidget *
new_popover (IngModelMenu *self)
{
  GtkWidget *popover = gtk_popover_new ();
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 6);
  GtkWidget *scroller = gtk_scrolled_window_new ();
  GtkWidget *column = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0);

  self->list_box = GTK_LIST_BOX (gtk_list_box_new ());
  gtk_list_box_set_selection_mode (self->list_box, GTK_SELECTION_NONE);
  gtk_widget_add_css_class (GTK_WIDGET (self->list_box), "navigation-sidebar");
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->list_box), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  _("Models"), -1);
  g_signal_connect_swapped (self->list_box, "row-activated", G_CALLBACK (activated_cb), self);
  self->empty_label = gtk_label_new (_("The folder of models is empty"));
  gtk_widget_add_css_class (self->empty_label, "dim-label");
  gtk_widget_add_css_class (self->empty_label, "popover-content");
  gtk_widget_set_visible (self->empty_label, FALSE);
  gtk_box_append (GTK_BOX (column), GTK_WIDGET (self->list_box));
  gtk_box_append (GTK_BOX (column), self->empty_label);

  gtk_scrolled_window_set_policy (GTK_SCROLLED_WINDOW (scroller), GTK_POLICY_NEVER,
                                  GTK_POLICY_AUTOMATIC);
  gtk_scrolled_window_set_propagate_natural_height (GTK_SCROLLED_WINDOW (scroller), TRUE);
  gtk_scrolled_window_set_propagate_natural_width (GTK_SCROLLED_WINDOW (scroller), TRUE);
  gtk_scrolled_window_set_max_content_height (GTK_SCROLLED_WINDOW (scroller), 360);
  gtk_scrolled_window_set_min_content_width (GTK_SCROLLED_WINDOW (scroller), 260);
  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (scroller), column);
  gtk_box_append (GTK_BOX (box), scroller);
  gtk_box_append (GTK_BOX (box), gtk_separator_new (GTK_ORIENTATION_HORIZONTAL));
  gtk_box_append (GTK_BOX (box), new_action_button (self, _("_Get and manage models"), "win.show-models"));
  gtk_box_append (GTK_BOX (box), new_action_button (self, _("_Open model file…"), "win.open-model"));
  gtk_box_append (GTK_BOX (box), new_action_button (self, _("Show the _folder of models"),
                                                    "win.open-models-folder"));
  gtk_popover_set_child (GTK_POPOVER (popover), box);
  gtk_widget_add_css_class (popover, "model-popover");
  g_signal_connect_swapped (popover, "show", G_CALLBACK (shown_cb), self);
  return popover;
}

static void
ing_model_menu_dispose (GObject *object)
{
  IngModelMenu *self = ING_MODEL_MENU (object);

  g_clear_pointer (&self->button, gtk_widget_unparent);
  g_clear_object (&self->conversation);
  g_clear_object (&self->workspace);
  G_OBJECT_CLASS (ing_model_menu_parent_class)->dispose (object);
}

static void
ing_model_menu_class_init (IngModelMenuClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = ing_model_menu_dispose;
  gtk_widget_class_set_layout_manager_type (GTK_WIDGET_CLASS (klass), GTK_TYPE_BIN_LAYOUT);
}

static void
ing_model_menu_init (IngModelMenu *self)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 6);

  self->name_label = GTK_LABEL (gtk_label_new (NULL));
  gtk_label_set_ellipsize (self->name_label, PANGO_ELLIPSIZE_END);
  gtk_label_set_max_width_chars (self->name_label, MAX_CHARS);
  gtk_widget_add_css_class (GTK_WIDGET (self->name_label), "numeric");
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->name_label));
  self->icon = gtk_image_new_from_icon_name (ING_APP_ID "-symbolic");
  gtk_widget_set_visible (self->icon, FALSE);
  gtk_box_append (GTK_BOX (box), self->icon);
  self->arrow = gtk_image_new_from_icon_name ("pan-down-symbolic");
  gtk_box_append (GTK_BOX (box), self->arrow);
  self->popover = new_popover (self);
  self->button = gtk_menu_button_new ();
  gtk_menu_button_set_child (GTK_MENU_BUTTON (self->button), box);
  gtk_menu_button_set_popover (GTK_MENU_BUTTON (self->button), self->popover);
  gtk_widget_add_css_class (self->button, "flat");
  gtk_widget_add_css_class (self->button, "model-button");
  gtk_widget_set_parent (self->button, GTK_WIDGET (self));
}

void
ing_model_menu_set_workspace (IngModelMenu *self, IngWorkspace *workspace)
{
  IngGenerationService *service = ing_workspace_get_generation (workspace);

  g_return_if_fail (ING_IS_MODEL_MENU (self));
  g_return_if_fail (self->workspace == NULL);
  self->workspace = g_object_ref (workspace);
  g_signal_connect_object (ing_workspace_get_library (workspace), "items-changed", G_CALLBACK (files_cb), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (service, "notify::state", G_CALLBACK (update), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (service, "notify::model-name", G_CALLBACK (update), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (service, "notify::load-progress", G_CALLBACK (update), self,
                           G_CONNECT_SWAPPED);
  update (self);
}

void
ing_model_menu_set_conversation (IngModelMenu *self, IngConversation *conversation)
{
  g_return_if_fail (ING_IS_MODEL_MENU (self));
  if (self->conversation == conversation)
    return;
  if (self->conversation != NULL)
    g_signal_handlers_disconnect_by_func (self->conversation, update, self);
  g_set_object (&self->conversation, conversation);
  if (conversation != NULL)
    g_signal_connect_object (conversation, "notify::model-path", G_CALLBACK (update), self, G_CONNECT_SWAPPED);
  update (self);
}

void
ing_model_menu_set_narrow (IngModelMenu *self, gboolean narrow)
{
  g_return_if_fail (ING_IS_MODEL_MENU (self));
  gtk_widget_set_visible (GTK_WIDGET (self->name_label), !narrow);
  gtk_widget_set_visible (self->arrow, !narrow);
  gtk_widget_set_visible (self->icon, narrow);
}

void
ing_model_menu_popup (IngModelMenu *self)
{
  g_return_if_fail (ING_IS_MODEL_MENU (self));
  gtk_menu_button_popup (GTK_MENU_BUTTON (self->button));
}
