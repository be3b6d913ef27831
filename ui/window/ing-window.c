/* SPDX-License-Identifier: Apache-2.0 */
/* Invariants:
 * 1. From ing_window_workspace_opened() on, the chat view shows a conversation: one of the list, or a
 *    new one that is not in it yet.
 * 2. The sidebar is visible while the leaflet is folded; unfolded, `show_sidebar` decides. */
#include "ing-window-private.h"

#include "ing-conversation-item.h"
#include "ing-drop.h"
#include "ing-export.h"
#include "ing-import-dialog.h"
#include "ing-pane.h"
#include "ing-preferences-window.h"

#include "config-ui.h"

#include <glib/gi18n-lib.h>

#define SETTING_WIDTH "window.width"
#define SETTING_HEIGHT "window.height"
#define SETTING_MAXIMIZED "window.maximized"
#define SETTING_SIDEBAR "window.sidebar"
#define SETTING_CONVERSATION "window.conversation"

G_DEFINE_FINAL_TYPE (IngWindow, ing_window, ADW_TYPE_APPLICATION_WINDOW)

static IngConversation *
get_conversation (IngWindow *self)
{
  return ing_chat_view_get_conversation (self->chat_view);
}

/* ---------------------------------------------------------------- panes */

static void
update_panes (IngWindow *self)
{
  gboolean folded = adw_leaflet_get_folded (self->leaflet);
  gboolean sidebar = folded || self->show_sidebar;

  gtk_widget_set_visible (self->sidebar_pane, sidebar);
  gtk_widget_set_visible (self->separator, sidebar);
  adw_header_bar_set_show_start_title_buttons (self->header_bar, folded || !sidebar);
  g_object_set (self->sidebar, "show-end-title-buttons", folded, NULL);
  gtk_button_set_icon_name (GTK_BUTTON (self->sidebar_button),
                            folded ? "go-previous-symbolic" : "sidebar-show-symbolic");
  gtk_widget_set_visible (self->find_button, !folded);
  gtk_widget_set_visible (self->title_arrow, !folded);
  ing_model_menu_set_narrow (self->model_menu, folded);
  if (folded)
    gtk_widget_add_css_class (GTK_WIDGET (self), "narrow");
  else
    gtk_widget_remove_css_class (GTK_WIDGET (self), "narrow");
}

static gboolean
update_panes_cb (gpointer user_data)
{
  IngWindow *self = user_data;

  self->panes_source = 0;
  update_panes (self);
  return G_SOURCE_REMOVE;
}

/* The leaflet folds while sizes are handed out: what is shown must not change before that is over. */
static void
folded_cb (IngWindow *self)
{
  if (self->panes_source == 0)
    self->panes_source = g_idle_add_full (GDK_PRIORITY_EVENTS, update_panes_cb, self, NULL);
}

static void
visible_child_cb (IngWindow *self)
{
  if (adw_leaflet_get_folded (self->leaflet)
      && adw_leaflet_get_visible_child (self->leaflet) == self->content_pane
      && g_strcmp0 (gtk_stack_get_visible_child_name (self->pages), "chat") == 0)
    ing_chat_view_focus_composer (self->chat_view);
}

static void
show_content (IngWindow *self)
{
  gtk_stack_set_visible_child_name (self->pages, "chat");
  adw_leaflet_set_visible_child (self->leaflet, self->content_pane);
}

static void
close_page_cb (IngWindow *self)
{
  show_content (self);
  ing_chat_view_focus_composer (self->chat_view);
}

static void
show_models_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  IngWindow *self = ING_WINDOW (widget);

  ing_models_page_go_back (self->models_page);
  gtk_stack_set_visible_child_name (self->pages, "models");
  adw_leaflet_set_visible_child (self->leaflet, self->content_pane);
  ing_models_page_refresh (self->models_page);
  ing_models_page_focus (self->models_page);
}

static void
toggle_sidebar_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  IngWindow *self = ING_WINDOW (widget);

  if (adw_leaflet_get_folded (self->leaflet))
    adw_leaflet_set_visible_child (self->leaflet,
                                   adw_leaflet_get_visible_child (self->leaflet) == self->content_pane
                                       ? self->sidebar_pane
                                       : self->content_pane);
  else
    {
      self->show_sidebar = !self->show_sidebar;
      ing_settings_set_boolean (ing_workspace_get_settings (self->workspace), SETTING_SIDEBAR,
                                self->show_sidebar);
      update_panes (self);
    }
}

/* ---------------------------------------------------------------- conversations */

static void
title_cb (IngWindow *self)
{
  IngConversation *conversation = get_conversation (self);
  const char *title = ing_conversation_get_display_title (conversation);
  g_autofree char *window_title = g_strdup_printf (_("%s — Inglenook"), title);

  gtk_label_set_text (self->title_label, title);
  gtk_window_set_title (GTK_WINDOW (self), window_title);
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->title_button), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  title, -1);
}

static void
update_conversation_actions (IngWindow *self)
{
  IngConversation *conversation = get_conversation (self);
  gboolean has = conversation != NULL
                 && g_list_model_get_n_items (ing_conversation_list_messages (conversation)) > 0;
  gboolean busy = conversation != NULL && ing_conversation_get_busy (conversation);
  GtkWidget *widget = GTK_WIDGET (self);

  gtk_widget_action_set_enabled (widget, "win.rename-conversation", has);
  gtk_widget_action_set_enabled (widget, "win.delete-conversation", has);
  gtk_widget_action_set_enabled (widget, "win.find", has);
  gtk_widget_action_set_enabled (widget, "win.regenerate", has && !busy);
  gtk_widget_action_set_enabled (widget, "win.edit-question", has && !busy);
  gtk_widget_action_set_enabled (widget, "win.copy-answer", has);
  gtk_widget_action_set_enabled (widget, "win.export-markdown", has);
  gtk_widget_action_set_enabled (widget, "win.export-json", has);
  gtk_widget_action_set_enabled (widget, "win.print", has);
}

static void
set_conversation (IngWindow *self, IngConversation *conversation)
{
  IngConversation *old = get_conversation (self);
  g_autofree char *id = g_strdup_printf ("%" G_GINT64_FORMAT, ing_conversation_get_id (conversation));

  if (old == conversation)
    return;
  if (old != NULL)
    {
      g_signal_handlers_disconnect_by_data (old, self);
      g_signal_handlers_disconnect_by_data (ing_conversation_list_messages (old), self);
    }
  ing_chat_view_set_conversation (self->chat_view, conversation);
  ing_model_menu_set_conversation (self->model_menu, conversation);
  g_signal_connect_object (conversation, "notify::title", G_CALLBACK (title_cb), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (conversation, "notify::busy", G_CALLBACK (update_conversation_actions),
                           self, G_CONNECT_SWAPPED);
  g_signal_connect_object (ing_conversation_list_messages (conversation), "items-changed",
                           G_CALLBACK (update_conversation_actions), self, G_CONNECT_SWAPPED);
  title_cb (self);
  update_conversation_actions (self);
  ing_sidebar_set_current (self->sidebar, conversation);
  ing_settings_set_string (ing_workspace_get_settings (self->workspace), SETTING_CONVERSATION, id);
}

static gboolean
is_blank (IngConversation *conversation)
{
  return ing_conversation_get_loaded (conversation)
         && g_list_model_get_n_items (ing_conversation_list_messages (conversation)) == 0
         && *ing_conversation_get_draft (conversation) == '\0'
         && *ing_conversation_get_title (conversation) == '\0'; /* documents give it one */
}

static IngConversation *
create_conversation (IngWindow *self)
{
  return ing_conversation_list_create (ing_workspace_get_conversations (self->workspace));
}

static void
new_conversation_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  IngWindow *self = ING_WINDOW (widget);
  IngConversation *current = get_conversation (self);

  if (current == NULL || !is_blank (current))
    {
      g_autoptr (IngConversation) fresh = create_conversation (self);

      set_conversation (self, fresh);
    }
  show_content (self);
  ing_chat_view_focus_composer (self->chat_view);
}

void
ing_window_ask_about (IngWindow *self, const char *const *paths)
{
  g_return_if_fail (ING_IS_WINDOW (self));
  if (get_conversation (self) == NULL) /* not opened yet */
    {
      g_strfreev (self->wanted_documents);
      self->wanted_documents = g_strdupv ((char **) paths);
      return;
    }
  gtk_widget_activate_action (GTK_WIDGET (self), "win.new-conversation", NULL);
  ing_chat_view_add_documents (self->chat_view, paths);
}

void
ing_window_begin (IngWindow *self, gboolean choose)
{
  g_return_if_fail (ING_IS_WINDOW (self));
  if (get_conversation (self) == NULL) /* not opened yet */
    {
      self->wanted_new = TRUE;
      self->wanted_choice |= choose;
      return;
    }
  gtk_widget_activate_action (GTK_WIDGET (self), "win.new-conversation", NULL);
  if (choose)
    gtk_widget_activate_action (GTK_WIDGET (self->chat_view), "chat.attach", NULL);
}

static void
selected_cb (IngWindow *self, IngConversation *conversation)
{
  set_conversation (self, conversation);
  show_content (self);
  ing_chat_view_focus_composer (self->chat_view);
}

static void
hit_cb (IngWindow *self, IngConversation *conversation, gint64 message_id, const char *needle)
{
  set_conversation (self, conversation);
  show_content (self);
  if (message_id != 0)
    ing_chat_view_show_message (self->chat_view, message_id, needle);
}

void
ing_window_show (IngWindow *self, gint64 conversation_id, gint64 message_id, const char *needle)
{
  IngConversation *conversation;

  g_return_if_fail (ING_IS_WINDOW (self));
  conversation = ing_conversation_list_lookup (ing_workspace_get_conversations (self->workspace), conversation_id);
  if (conversation != NULL)
    hit_cb (self, conversation, message_id, needle);
}

static void
step_conversation (IngWindow *self, int delta)
{
  GListModel *list = G_LIST_MODEL (ing_workspace_get_conversations (self->workspace));
  IngConversation *current = get_conversation (self);
  int n = (int) g_list_model_get_n_items (list), at = -1;

  for (int i = 0; i < n; i++)
    {
      g_autoptr (IngConversation) conversation = g_list_model_get_item (list, (guint) i);

      if (conversation == current)
        at = i;
    }
  if (at < 0 && delta < 0)
    return;
  at += delta;
  if (at >= 0 && at < n)
    {
      g_autoptr (IngConversation) conversation = g_list_model_get_item (list, (guint) at);

      set_conversation (self, conversation);
    }
}

static void
previous_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  step_conversation (ING_WINDOW (widget), -1);
}

static void
next_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  step_conversation (ING_WINDOW (widget), 1);
}

static void
rename_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  IngWindow *self = ING_WINDOW (widget);

  ing_conversation_rename (get_conversation (self), GTK_WIDGET (self->title_button));
}

static void
undo_dismissed_cb (IngWindow *self)
{
  self->undo_toast = NULL;
}

static void
delete_conversation (IngWindow *self, IngConversation *conversation)
{
  IngConversationList *list = ing_workspace_get_conversations (self->workspace);
  g_autoptr (IngConversation) keep = g_object_ref (conversation);
  gboolean current = conversation == get_conversation (self);

  ing_conversation_list_delete (list, conversation);
  if (current)
    {
      g_autoptr (IngConversation) next = g_list_model_get_item (G_LIST_MODEL (list), 0);

      if (next == NULL)
        next = create_conversation (self);
      set_conversation (self, next);
    }
  g_set_object (&self->deleted, keep);
  if (self->undo_toast != NULL)
    adw_toast_dismiss (self->undo_toast);
  self->undo_toast = adw_toast_new (_("Conversation deleted"));
  adw_toast_set_button_label (self->undo_toast, _("_Undo"));
  adw_toast_set_action_name (self->undo_toast, "win.undo-delete");
  adw_toast_set_timeout (self->undo_toast, 10);
  g_signal_connect_object (self->undo_toast, "dismissed", G_CALLBACK (undo_dismissed_cb), self,
                           G_CONNECT_SWAPPED);
  adw_toast_overlay_add_toast (self->toasts, self->undo_toast);
}

static void
delete_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  delete_conversation (ING_WINDOW (widget), get_conversation (ING_WINDOW (widget)));
}

static void
delete_id_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  IngWindow *self = ING_WINDOW (widget);
  IngConversation *conversation = ing_conversation_list_lookup (
      ing_workspace_get_conversations (self->workspace), g_variant_get_int64 (parameter));

  if (conversation != NULL)
    delete_conversation (self, conversation);
}

static void
undo_delete_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  IngWindow *self = ING_WINDOW (widget);
  g_autoptr (IngConversation) conversation = g_steal_pointer (&self->deleted);

  if (conversation != NULL
      && ing_conversation_list_undo_delete (ing_workspace_get_conversations (self->workspace),
                                            conversation))
    set_conversation (self, conversation);
}

/* ---------------------------------------------------------------- drops */

static void
drop_models_cb (GtkWidget *widget, const char *const *paths)
{
  IngWindow *self = ING_WINDOW (widget);

  ing_import_paths (GTK_WINDOW (self), self->workspace, self->toasts, paths);
}

/* ---------------------------------------------------------------- the other actions */

static void
find_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  show_content (ING_WINDOW (widget));
  ing_chat_view_toggle_find (ING_WINDOW (widget)->chat_view);
}

static void
search_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  IngWindow *self = ING_WINDOW (widget);

  if (adw_leaflet_get_folded (self->leaflet))
    adw_leaflet_set_visible_child (self->leaflet, self->sidebar_pane);
  else if (!self->show_sidebar)
    toggle_sidebar_cb (widget, NULL, NULL);
  ing_sidebar_focus_search (self->sidebar);
}

void
ing_window_search (IngWindow *self, const char *text)
{
  g_return_if_fail (ING_IS_WINDOW (self));
  search_cb (GTK_WIDGET (self), NULL, NULL);
  ing_sidebar_search (self->sidebar, text);
}

static void
focus_composer_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  show_content (ING_WINDOW (widget));
  ing_chat_view_focus_composer (ING_WINDOW (widget)->chat_view);
}

static void
escape_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  IngWindow *self = ING_WINDOW (widget);

  if (g_strcmp0 (gtk_stack_get_visible_child_name (self->pages), "chat") != 0)
    {
      gboolean models = g_str_equal (gtk_stack_get_visible_child_name (self->pages), "models");

      if (!(models ? ing_models_page_go_back (self->models_page) : ing_collections_page_go_back (self->documents_page)))
        close_page_cb (self);
      return;
    }
  if (ing_chat_view_escape (self->chat_view) || ing_sidebar_escape (self->sidebar))
    return;
  if (adw_leaflet_get_folded (self->leaflet))
    adw_leaflet_set_visible_child (self->leaflet, self->sidebar_pane);
}

static void
regenerate_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  ing_chat_view_regenerate_last (ING_WINDOW (widget)->chat_view);
}

static void
edit_question_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  ing_chat_view_edit_last (ING_WINDOW (widget)->chat_view);
}

static void
copy_answer_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  ing_chat_view_copy_last (ING_WINDOW (widget)->chat_view);
}

static void
scroll_to_end_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  ing_chat_view_scroll_to_end (ING_WINDOW (widget)->chat_view);
}

static void
export_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  IngWindow *self = ING_WINDOW (widget);

  ing_export_to_file (get_conversation (self),
                      g_str_equal (name, "win.export-json") ? ING_EXPORT_JSON : ING_EXPORT_MARKDOWN,
                      GTK_WINDOW (self), self->toasts);
}

static void
print_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  ing_export_print (get_conversation (ING_WINDOW (widget)), GTK_WINDOW (widget));
}

static void
preferences_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  IngWindow *self = ING_WINDOW (widget);
  GtkWidget *window = ing_preferences_window_new (self->workspace, get_conversation (self));

  gtk_window_set_transient_for (GTK_WINDOW (window), GTK_WINDOW (self));
  gtk_window_present (GTK_WINDOW (window));
}

static void
about_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  adw_show_about_window (
      GTK_WINDOW (widget), "application-name", _("Inglenook"), "application-icon", ING_APP_ID,
      "version", ING_UI_VERSION, "developer-name", _("The Inglenook authors"), "license-type",
      GTK_LICENSE_APACHE_2_0, "comments",
      _("A private assistant that runs on your own computer. Nothing you write leaves it."),
      "translator-credits", _("translator-credits"), NULL);
}

/* ---------------------------------------------------------------- life */

static void
save_state (IngWindow *self)
{
  IngSettings *settings = ing_workspace_get_settings (self->workspace);
  int width, height;

  gtk_window_get_default_size (GTK_WINDOW (self), &width, &height);
  ing_settings_set_int (settings, SETTING_WIDTH, width);
  ing_settings_set_int (settings, SETTING_HEIGHT, height);
  ing_settings_set_boolean (settings, SETTING_MAXIMIZED, gtk_window_is_maximized (GTK_WINDOW (self)));
}

static void
restore_state (IngWindow *self)
{
  IngSettings *settings = ing_workspace_get_settings (self->workspace);

  gtk_window_set_default_size (
      GTK_WINDOW (self), CLAMP (ing_settings_get_int (settings, SETTING_WIDTH, 1000), 320, 16384),
      CLAMP (ing_settings_get_int (settings, SETTING_HEIGHT, 720), 360, 16384));
  if (ing_settings_get_boolean (settings, SETTING_MAXIMIZED, FALSE))
    gtk_window_maximize (GTK_WINDOW (self));
  self->show_sidebar = ing_settings_get_boolean (settings, SETTING_SIDEBAR, TRUE);
  update_panes (self);
}

static gboolean
ing_window_close_request (GtkWindow *window)
{
  save_state (ING_WINDOW (window));
  return GTK_WINDOW_CLASS (ing_window_parent_class)->close_request (window);
}

static void
ing_window_dispose (GObject *object)
{
  IngWindow *self = ING_WINDOW (object);

  g_clear_handle_id (&self->panes_source, g_source_remove);
  g_clear_object (&self->chooser);
  g_clear_object (&self->deleted);
  g_clear_object (&self->workspace);
  G_OBJECT_CLASS (ing_window_parent_class)->dispose (object);
}

static void
ing_window_finalize (GObject *object)
{
  g_free (ING_WINDOW (object)->wanted_model);
  g_strfreev (ING_WINDOW (object)->wanted_documents);
  G_OBJECT_CLASS (ing_window_parent_class)->finalize (object);
}

static void
install_actions (GtkWidgetClass *widget_class)
{
  static const struct
  {
    const char *name;
    GtkWidgetActionActivateFunc activate;
    const char *parameter;
  } actions[] = {
    { "win.new-conversation", new_conversation_cb, NULL },
    { "win.rename-conversation", rename_cb, NULL },
    { "win.delete-conversation", delete_cb, NULL },
    { "win.delete-conversation-id", delete_id_cb, "x" },
    { "win.undo-delete", undo_delete_cb, NULL },
    { "win.previous-conversation", previous_cb, NULL },
    { "win.next-conversation", next_cb, NULL },
    { "win.show-models", show_models_cb, NULL },
    { "win.toggle-sidebar", toggle_sidebar_cb, NULL },
    { "win.find", find_cb, NULL },
    { "win.search", search_cb, NULL },
    { "win.focus-composer", focus_composer_cb, NULL },
    { "win.escape", escape_cb, NULL },
    { "win.regenerate", regenerate_cb, NULL },
    { "win.edit-question", edit_question_cb, NULL },
    { "win.copy-answer", copy_answer_cb, NULL },
    { "win.scroll-to-end", scroll_to_end_cb, NULL },
    { "win.export-markdown", export_cb, NULL },
    { "win.export-json", export_cb, NULL },
    { "win.print", print_cb, NULL },
    { "win.preferences", preferences_cb, NULL },
    { "win.about", about_cb, NULL },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (actions); i++)
    gtk_widget_class_install_action (widget_class, actions[i].name, actions[i].parameter,
                                     actions[i].activate);
  ing_window_install_model_actions (widget_class);
  ing_window_install_document_actions (widget_class);
  gtk_widget_class_add_binding_action (widget_class, GDK_KEY_Escape, 0, "win.escape", NULL);
}

static void
ing_window_class_init (IngWindowClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = ing_window_dispose;
  G_OBJECT_CLASS (klass)->finalize = ing_window_finalize;
  GTK_WINDOW_CLASS (klass)->close_request = ing_window_close_request;
  install_actions (widget_class);

  g_type_ensure (ING_TYPE_CHAT_VIEW);
  g_type_ensure (ING_TYPE_COLLECTIONS_PAGE);
  g_type_ensure (ING_TYPE_MODEL_MENU);
  g_type_ensure (ING_TYPE_MODELS_PAGE);
  g_type_ensure (ING_TYPE_PANE);
  g_type_ensure (ING_TYPE_PROBLEM_BOX);
  g_type_ensure (ING_TYPE_SIDEBAR);
  gtk_widget_class_set_template_from_resource (
      widget_class, "/io/github/inglenook_app/Inglenook/window/ing-window.ui");
  gtk_widget_class_bind_template_child (widget_class, IngWindow, toasts);
  gtk_widget_class_bind_template_child (widget_class, IngWindow, leaflet);
  gtk_widget_class_bind_template_child (widget_class, IngWindow, sidebar_pane);
  gtk_widget_class_bind_template_child (widget_class, IngWindow, separator);
  gtk_widget_class_bind_template_child (widget_class, IngWindow, content_pane);
  gtk_widget_class_bind_template_child (widget_class, IngWindow, sidebar);
  gtk_widget_class_bind_template_child (widget_class, IngWindow, header_bar);
  gtk_widget_class_bind_template_child (widget_class, IngWindow, title_button);
  gtk_widget_class_bind_template_child (widget_class, IngWindow, title_label);
  gtk_widget_class_bind_template_child (widget_class, IngWindow, title_arrow);
  gtk_widget_class_bind_template_child (widget_class, IngWindow, sidebar_button);
  gtk_widget_class_bind_template_child (widget_class, IngWindow, find_button);
  gtk_widget_class_bind_template_child (widget_class, IngWindow, model_menu);
  gtk_widget_class_bind_template_child (widget_class, IngWindow, storage_problem);
  gtk_widget_class_bind_template_child (widget_class, IngWindow, model_problem);
  gtk_widget_class_bind_template_child (widget_class, IngWindow, chat_view);
  gtk_widget_class_bind_template_child (widget_class, IngWindow, pages);
  gtk_widget_class_bind_template_child (widget_class, IngWindow, models_page);
  gtk_widget_class_bind_template_child (widget_class, IngWindow, documents_page);
  gtk_widget_class_bind_template_callback (widget_class, folded_cb);
  gtk_widget_class_bind_template_callback (widget_class, close_page_cb);
  gtk_widget_class_bind_template_callback (widget_class, visible_child_cb);
  gtk_widget_class_bind_template_callback (widget_class, selected_cb);
  gtk_widget_class_bind_template_callback (widget_class, hit_cb);
}

static void
drop_documents_cb (GtkWidget *widget, const char *const *paths)
{
  IngWindow *self = ING_WINDOW (widget);

  if (ing_window_drop_on_page (self, paths))
    return;
  show_content (self);
  ing_chat_view_add_documents (self->chat_view, paths);
}

static void
ing_window_init (IngWindow *self)
{
  self->show_sidebar = TRUE;
  gtk_widget_init_template (GTK_WIDGET (self));
  ing_drop_attach (GTK_WIDGET (self), drop_models_cb, drop_documents_cb);
}

GtkWidget *
ing_window_new (GtkApplication *application, IngWorkspace *workspace)
{
  IngWindow *self = g_object_new (ING_TYPE_WINDOW, "application", application, NULL);

  self->workspace = g_object_ref (workspace);
  restore_state (self);
  ing_model_menu_set_workspace (self->model_menu, workspace);
  ing_chat_view_set_workspace (self->chat_view, workspace);
  ing_models_page_set_workspace (self->models_page, workspace, self->toasts);
  ing_collections_page_set_workspace (self->documents_page, workspace, self->toasts);
  ing_sidebar_set_conversations (self->sidebar, ing_workspace_get_conversations (workspace));
  ing_sidebar_set_documents (self->sidebar, ing_workspace_get_documents (workspace));
  g_signal_connect_object (ing_workspace_get_generation (workspace), "notify::load-error",
                           G_CALLBACK (ing_window_update_model_problem), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (workspace, "notify::storage-state", G_CALLBACK (ing_window_update_storage_problem), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (workspace, "notify::storage-problem", G_CALLBACK (ing_window_update_storage_problem), self,
                           G_CONNECT_SWAPPED);
  adw_leaflet_set_visible_child (self->leaflet, self->content_pane);
  ing_window_update_storage_problem (self);
  update_conversation_actions (self);
  return GTK_WIDGET (self);
}

void
ing_window_workspace_opened (IngWindow *self)
{
  IngConversationList *list;
  g_autofree char *last = NULL;
  IngConversation *conversation;

  g_return_if_fail (ING_IS_WINDOW (self));
  list = ing_workspace_get_conversations (self->workspace);
  last = ing_settings_dup_string (ing_workspace_get_settings (self->workspace), SETTING_CONVERSATION,
                                  "");
  conversation = ing_conversation_list_lookup (list, g_ascii_strtoll (last, NULL, 10));
  if (conversation != NULL)
    set_conversation (self, conversation);
  else
    {
      g_autoptr (IngConversation) fresh = create_conversation (self);

      set_conversation (self, fresh);
    }
  ing_chat_view_focus_composer (self->chat_view);
  if (self->wanted_model == NULL)
    ing_workspace_load_model_of (self->workspace, get_conversation (self));
  else
    ing_conversation_set_model_path (get_conversation (self), self->wanted_model);
  if (self->wanted_documents != NULL)
    {
      g_auto (GStrv) paths = g_steal_pointer (&self->wanted_documents);

      ing_window_ask_about (self, (const char *const *) paths);
    }
  else if (self->wanted_new)
    ing_window_begin (self, self->wanted_choice);
}
