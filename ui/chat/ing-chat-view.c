/* SPDX-License-Identifier: Apache-2.0 */
/* Invariants:
 * 1. While `following`, every change of the transcript's height is followed by a scroll to its end. An
 *    upward scroll by the reader ends it; reaching the end begins it.
 * 2. `rows` are the list's row widgets that are bound to a message now.
 * 3. `editing` is a question of the shown conversation, or NULL. */
#include "ing-chat-view-private.h"

#include "ing-message-view.h"
#include "ing-model-title.h"

#include <adwaita.h>
#include <glib/gi18n-lib.h>
#include <string.h>

#define COUNT_DELAY_MS 400

enum
{
  PROP_0,
  PROP_CONVERSATION,
  N_PROPS
};

static GParamSpec *props[N_PROPS];

G_DEFINE_FINAL_TYPE (IngChatView, ing_chat_view, GTK_TYPE_WIDGET)

GListModel *
ing_chat_view_get_messages (IngChatView *self)
{
  return self->conversation != NULL ? ing_conversation_list_messages (self->conversation) : NULL;
}

/* ---------------------------------------------------------------- rows */

static void
row_edit_cb (IngChatView *self, IngMessage *message);

static void
setup_row_cb (GtkSignalListItemFactory *factory, GtkListItem *item, IngChatView *self)
{
  GtkWidget *row = ing_message_view_new ();

  gtk_list_item_set_activatable (item, FALSE);
  gtk_list_item_set_selectable (item, FALSE);
  gtk_list_item_set_child (item, row);
  g_signal_connect_object (row, "edit", G_CALLBACK (row_edit_cb), self, G_CONNECT_SWAPPED);
}

static void
update_last (IngChatView *self)
{
  GListModel *messages = ing_chat_view_get_messages (self);
  guint n = messages != NULL ? g_list_model_get_n_items (messages) : 0;
  g_autoptr (IngMessage) last = n > 0 ? g_list_model_get_item (messages, n - 1) : NULL;

  for (guint i = 0; i < self->rows->len; i++)
    {
      IngMessageView *row = g_ptr_array_index (self->rows, i);

      ing_message_view_set_last (row, ing_message_view_get_message (row) == last);
    }
}

static void
bind_row_cb (GtkSignalListItemFactory *factory, GtkListItem *item, IngChatView *self)
{
  IngMessageView *row = ING_MESSAGE_VIEW (gtk_list_item_get_child (item));

  if (self->conversation == NULL)
    return;
  ing_message_view_set_needle (row, ing_chat_view_get_needle (self));
  ing_message_view_set_message (row, self->conversation, gtk_list_item_get_item (item));
  g_ptr_array_add (self->rows, row);
  update_last (self);
}

static void
unbind_row_cb (GtkSignalListItemFactory *factory, GtkListItem *item, IngChatView *self)
{
  IngMessageView *row = ING_MESSAGE_VIEW (gtk_list_item_get_child (item));

  ing_message_view_set_message (row, NULL, NULL);
  g_ptr_array_remove_fast (self->rows, row);
}

/* ---------------------------------------------------------------- what the composer shows */

/* The model that a question would go to; NULL = none. */
static const char *
get_model (IngChatView *self)
{
  const char *path = self->conversation != NULL ? ing_conversation_get_model_path (self->conversation) : NULL;

  return path != NULL ? path : ing_generation_service_get_model_path (ing_workspace_get_generation (self->workspace));
}

/* Is that the one in memory? */
static gboolean
has_model (IngChatView *self)
{
  IngGenerationService *service = ing_workspace_get_generation (self->workspace);
  const char *path = ing_generation_service_get_model_path (service);

  return path != NULL && g_strcmp0 (path, get_model (self)) == 0 && !ing_generation_service_get_resting (service);
}

static void
update_placeholder (IngChatView *self)
{
  IngGenerationService *service = ing_workspace_get_generation (self->workspace);
  const char *path = get_model (self), *loading = ing_generation_service_get_loading_path (service);
  g_autofree char *name = ing_model_title_dup (path);
  g_autofree char *text = NULL;

  if (loading != NULL && (path == NULL || g_strcmp0 (path, loading) == 0))
    text = g_strdup (_("Ask, the model is still loading…"));
  else
    text = name != NULL ? g_strdup_printf (_("Ask %s…"), name) : g_strdup (_("Open a model to get answers"));
  ing_composer_set_placeholder (self->composer, text);
}

/* The model cannot hold a conversation: say so where questions are written. */
static void
update_problem (IngChatView *self)
{
  IngGenerationService *service = ing_workspace_get_generation (self->workspace);
  IngServiceState state = ing_generation_service_get_state (service);
  gboolean loaded = (state == ING_SERVICE_READY || state == ING_SERVICE_GENERATING) && has_model (self);
  g_autofree char *title = NULL;
  g_autofree char *name = NULL;

  if (!loaded || ing_generation_service_get_has_template (service) || self->conversation == NULL)
    {
      gtk_widget_set_visible (GTK_WIDGET (self->problem_box), FALSE);
      return;
    }
  name = ing_model_title_dup (ing_generation_service_get_model_path (service));
  title = g_strdup_printf (_("%s has no chat template"), name);
  if (ing_conversation_get_plain_completion (self->conversation))
    {
      ing_problem_box_set_text (self->problem_box, title,
                                _("It goes on with the text you write, rather than answering it."),
                                NULL);
      return;
    }
  ing_problem_box_set_text (
      self->problem_box, title,
      _("It was not made to hold a conversation. It can go on with a text that you begin."), NULL);
  ing_problem_box_add_button (self->problem_box, _("_Continue my text"), "chat.plain-completion", NULL);
  ing_problem_box_add_button (self->problem_box, _("_Open model file…"), "win.open-model", NULL);
}

static void
plain_completion_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  IngChatView *self = ING_CHAT_VIEW (widget);

  if (self->conversation == NULL)
    return;
  ing_conversation_set_plain_completion (self->conversation, TRUE);
  update_problem (self);
  ing_chat_view_focus_composer (self);
}

static void
count_ready_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (IngChatView) self = user_data;
  guint64 n_tokens = 0, context = 0;

  if (!ing_conversation_count_finish (ING_CONVERSATION (source), result, &n_tokens, &context, NULL))
    return;
  if (ING_CONVERSATION (source) == self->conversation && self->composer != NULL)
    ing_composer_set_tokens (self->composer, n_tokens, context);
}

static gboolean
count_cb (gpointer user_data)
{
  IngChatView *self = user_data;
  const char *text = ing_composer_get_text (self->composer);

  self->count_source = 0;
  g_cancellable_cancel (self->counting);
  g_clear_object (&self->counting);
  if (self->conversation == NULL || ing_conversation_get_busy (self->conversation)
      || !ing_conversation_get_loaded (self->conversation)
      || ing_generation_service_get_state (ing_workspace_get_generation (self->workspace))
             != ING_SERVICE_READY
      || !has_model (self))
    return G_SOURCE_REMOVE;
  self->counting = g_cancellable_new ();
  ing_conversation_count_async (self->conversation, *text != '\0' ? text : NULL, self->counting,
                                count_ready_cb, g_object_ref (self));
  return G_SOURCE_REMOVE;
}

static void
queue_count (IngChatView *self)
{
  g_clear_handle_id (&self->count_source, g_source_remove);
  self->count_source = g_timeout_add (COUNT_DELAY_MS, count_cb, self);
}

static void
context_used_cb (IngChatView *self)
{
  IngGenerationService *service = ing_workspace_get_generation (self->workspace);

  if (self->conversation != NULL && ing_conversation_get_busy (self->conversation))
    ing_composer_set_tokens (self->composer, ing_generation_service_get_context_used (service),
                             ing_generation_service_get_context_size (service));
}

static void
service_state_cb (IngChatView *self)
{
  update_placeholder (self);
  update_problem (self);
  queue_count (self);
}

static void
busy_cb (IngChatView *self)
{
  gboolean busy = self->conversation != NULL
                  && (ing_conversation_get_busy (self->conversation) || ing_document_bar_get_busy (self->document_bar));

  ing_composer_set_busy (self->composer, busy);
  if (!busy)
    queue_count (self);
}

/* ---------------------------------------------------------------- sending and editing */

static void
stop_editing (IngChatView *self, gboolean restore)
{
  g_autofree char *draft = g_steal_pointer (&self->draft_before_edit);

  if (self->editing == NULL)
    return;
  g_clear_object (&self->editing);
  ing_composer_set_editing (self->composer, FALSE);
  ing_composer_set_text (self->composer, restore ? draft : "");
}

static void
row_edit_cb (IngChatView *self, IngMessage *message)
{
  g_autofree char *text = ing_message_dup_text (message);

  if (self->editing == NULL)
    self->draft_before_edit = g_strdup (ing_composer_get_text (self->composer));
  g_set_object (&self->editing, message);
  ing_composer_set_editing (self->composer, TRUE);
  ing_composer_set_text (self->composer, text);
  ing_chat_view_focus_composer (self);
}

static void
edit_cancelled_cb (IngChatView *self)
{
  stop_editing (self, TRUE);
}

/* @parts (NULL = none) go before @text. */
static void
send_now (IngChatView *self, const char *text, GListModel *parts)
{
  IngMessage *answer;

  if (self->editing != NULL)
    {
      answer = ing_conversation_edit (self->conversation, self->editing, text);
      if (answer != NULL)
        stop_editing (self, TRUE);
    }
  else
    {
      answer = ing_conversation_send (self->conversation, text, parts);
      if (answer != NULL)
        {
          ing_composer_set_text (self->composer, "");
          ing_conversation_set_draft (self->conversation, "");
        }
    }
  if (answer != NULL)
    ing_chat_view_scroll_to_end (self);
}

static void
send_text (IngChatView *self, const char *text)
{
  if (self->conversation == NULL || !ing_conversation_get_loaded (self->conversation))
    return;
  if (self->editing != NULL || !ing_document_bar_ask (self->document_bar, text))
    send_now (self, text, NULL);
}

static void
documents_ask_cb (IngChatView *self, const char *text, GListModel *parts)
{
  if (self->conversation != NULL)
    send_now (self, text, parts);
}

static void
attach_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  ing_document_bar_choose (ING_CHAT_VIEW (widget)->document_bar);
}

void
ing_chat_view_add_documents (IngChatView *self, const char *const *paths)
{
  g_return_if_fail (ING_IS_CHAT_VIEW (self));
  ing_document_bar_add (self->document_bar, paths);
  ing_chat_view_focus_composer (self);
}

static void
send_cb (IngChatView *self, const char *text)
{
  send_text (self, text);
}

static void
suggested_cb (IngChatView *self, const char *text)
{
  send_text (self, text);
  ing_chat_view_focus_composer (self);
}

static void
stop_cb (IngChatView *self)
{
  ing_document_bar_stop (self->document_bar);
  if (self->conversation != NULL)
    ing_conversation_stop (self->conversation);
}

static void
text_changed_cb (IngChatView *self)
{
  if (self->conversation == NULL || self->workspace == NULL)
    return;
  if (self->editing == NULL)
    ing_conversation_set_draft (self->conversation, ing_composer_get_text (self->composer));
  queue_count (self);
}

/* ---------------------------------------------------------------- the conversation */

static void
update_page (IngChatView *self)
{
  GListModel *messages = ing_chat_view_get_messages (self);
  guint n = messages != NULL ? g_list_model_get_n_items (messages) : 0;
  const char *page = "empty";

  if (self->conversation != NULL && !ing_conversation_get_loaded (self->conversation))
    page = "loading";
  else if (n > 0)
    page = "messages";
  gtk_stack_set_visible_child_name (self->stack, page);
  ing_chat_view_update_end_button (self);
}

static void
items_changed_cb (IngChatView *self)
{
  update_page (self);
  update_last (self);
  if (self->following)
    ing_chat_view_queue_follow (self);
}

static void
show_wanted (IngChatView *self)
{
  GListModel *messages = ing_chat_view_get_messages (self);

  if (self->wanted_message == 0)
    return;
  ing_conversation_show_message (self->conversation, self->wanted_message);
  for (guint i = 0; i < g_list_model_get_n_items (messages); i++)
    {
      g_autoptr (IngMessage) message = g_list_model_get_item (messages, i);

      if (ing_message_get_id (message) != self->wanted_message)
        continue;
      if (self->wanted_needle != NULL)
        {
          gtk_search_bar_set_search_mode (self->find_bar, TRUE);
          gtk_editable_set_text (self->find_entry, self->wanted_needle);
          ing_chat_view_find_changed (self);
          for (guint j = 0; j < self->found->len; j++)
            if (g_array_index (self->found, guint, j) == i)
              self->i_found = j;
          ing_chat_view_mark_found (self);
        }
      ing_chat_view_scroll_to_position (self, i);
    }
  self->wanted_message = 0;
  g_clear_pointer (&self->wanted_needle, g_free);
}

static void
loaded_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (IngChatView) self = user_data;
  g_autoptr (GError) error = NULL;
  gboolean ok = ing_conversation_load_finish (ING_CONVERSATION (source), result, &error);

  if (ING_CONVERSATION (source) != self->conversation || self->composer == NULL)
    return;
  if (!ok && !g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    ing_problem_box_set_error (self->problem_box, error);
  update_page (self);
  show_wanted (self);
  if (self->following)
    ing_chat_view_queue_follow (self);
  queue_count (self);
}

static void
drop_conversation (IngChatView *self)
{
  GListModel *messages = ing_chat_view_get_messages (self);

  g_cancellable_cancel (self->loading);
  g_clear_object (&self->loading);
  g_cancellable_cancel (self->counting);
  g_clear_object (&self->counting);
  g_clear_handle_id (&self->count_source, g_source_remove);
  if (self->composer != NULL)
    {
      stop_editing (self, TRUE);
      ing_document_bar_set_conversation (self->document_bar, NULL, NULL);
    }
  if (self->conversation == NULL)
    return;
  g_signal_handlers_disconnect_by_data (messages, self);
  g_signal_handlers_disconnect_by_data (self->conversation, self);
  if (self->list_view != NULL)
    gtk_list_view_set_model (self->list_view, NULL);
  g_clear_object (&self->conversation);
}

void
ing_chat_view_set_conversation (IngChatView *self, IngConversation *conversation)
{
  GListModel *messages;
  g_autoptr (IngConversation) keep = g_object_ref (conversation);

  g_return_if_fail (ING_IS_CHAT_VIEW (self));
  g_return_if_fail (ING_IS_CONVERSATION (conversation));

  if (self->conversation == conversation)
    return;
  drop_conversation (self);
  gtk_search_bar_set_search_mode (self->find_bar, FALSE);
  ing_composer_set_text (self->composer, ing_conversation_get_draft (conversation));
  ing_composer_set_tokens (self->composer, 0, 0);
  self->conversation = g_object_ref (conversation);
  self->following = TRUE;

  messages = ing_conversation_list_messages (conversation);
  g_signal_connect_swapped (messages, "items-changed", G_CALLBACK (items_changed_cb), self);
  g_signal_connect_swapped (conversation, "notify::busy", G_CALLBACK (busy_cb), self);
  g_signal_connect_swapped (conversation, "notify::model-path", G_CALLBACK (service_state_cb), self);
  {
    g_autoptr (GtkNoSelection) selection = gtk_no_selection_new (g_object_ref (messages));

    gtk_list_view_set_model (self->list_view, GTK_SELECTION_MODEL (selection));
  }
  busy_cb (self);
  update_placeholder (self);
  update_problem (self);
  update_page (self);
  self->loading = g_cancellable_new ();
  ing_conversation_load_async (conversation, self->loading, loaded_cb, g_object_ref (self));
  ing_document_bar_set_conversation (self->document_bar, self->workspace, conversation);
  ing_composer_set_conversation (self->composer, self->workspace, conversation);
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_CONVERSATION]);
}

IngWorkspace *
ing_chat_view_get_workspace (IngChatView *self)
{
  g_return_val_if_fail (ING_IS_CHAT_VIEW (self), NULL);
  return self->workspace;
}

IngConversation *
ing_chat_view_get_conversation (IngChatView *self)
{
  g_return_val_if_fail (ING_IS_CHAT_VIEW (self), NULL);
  return self->conversation;
}

void
ing_chat_view_show_message (IngChatView *self, gint64 id, const char *needle)
{
  g_return_if_fail (ING_IS_CHAT_VIEW (self));
  self->wanted_message = id;
  g_free (self->wanted_needle);
  self->wanted_needle = g_strdup (needle);
  if (self->conversation != NULL && ing_conversation_get_loaded (self->conversation))
    show_wanted (self);
}

void
ing_chat_view_set_workspace (IngChatView *self, IngWorkspace *workspace)
{
  IngGenerationService *service;

  g_return_if_fail (ING_IS_CHAT_VIEW (self));
  g_return_if_fail (self->workspace == NULL);
  self->workspace = g_object_ref (workspace);
  service = ing_workspace_get_generation (workspace);
  ing_welcome_set_service (self->welcome, service);
  g_signal_connect_object (service, "notify::state", G_CALLBACK (service_state_cb), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (service, "notify::model-name", G_CALLBACK (service_state_cb), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (service, "notify::has-template", G_CALLBACK (update_problem), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (service, "notify::context-used", G_CALLBACK (context_used_cb), self,
                           G_CONNECT_SWAPPED);
  service_state_cb (self);
}

/* ---------------------------------------------------------------- the last message */

static IngMessage *
dup_last (IngChatView *self, gboolean answer)
{
  GListModel *messages = ing_chat_view_get_messages (self);

  for (guint i = messages != NULL ? g_list_model_get_n_items (messages) : 0; i > 0; i--)
    {
      g_autoptr (IngMessage) message = g_list_model_get_item (messages, i - 1);

      if ((ing_message_get_role (message) == ING_ROLE_ASSISTANT) == answer)
        return g_steal_pointer (&message);
    }
  return NULL;
}

void
ing_chat_view_regenerate_last (IngChatView *self)
{
  g_autoptr (IngMessage) message = NULL;

  g_return_if_fail (ING_IS_CHAT_VIEW (self));
  message = dup_last (self, TRUE);
  if (message != NULL && ing_conversation_regenerate (self->conversation, message) != NULL)
    ing_chat_view_scroll_to_end (self);
}

void
ing_chat_view_edit_last (IngChatView *self)
{
  g_autoptr (IngMessage) message = NULL;

  g_return_if_fail (ING_IS_CHAT_VIEW (self));
  message = dup_last (self, FALSE);
  if (message != NULL && !ing_conversation_get_busy (self->conversation))
    row_edit_cb (self, message);
}

void
ing_chat_view_copy_last (IngChatView *self)
{
  g_autoptr (IngMessage) message = NULL;
  g_autofree char *text = NULL;

  g_return_if_fail (ING_IS_CHAT_VIEW (self));
  message = dup_last (self, TRUE);
  if (message == NULL)
    return;
  text = ing_message_dup_text (message);
  gdk_clipboard_set_text (gtk_widget_get_clipboard (GTK_WIDGET (self)), text);
}

void
ing_chat_view_focus_composer (IngChatView *self)
{
  g_return_if_fail (ING_IS_CHAT_VIEW (self));
  gtk_widget_grab_focus (GTK_WIDGET (self->composer));
}

gboolean
ing_chat_view_escape (IngChatView *self)
{
  g_return_val_if_fail (ING_IS_CHAT_VIEW (self), FALSE);
  if (gtk_search_bar_get_search_mode (self->find_bar))
    {
      gtk_search_bar_set_search_mode (self->find_bar, FALSE);
      ing_chat_view_focus_composer (self);
    }
  else if (self->editing != NULL)
    stop_editing (self, TRUE);
  else if (self->conversation != NULL && ing_conversation_get_busy (self->conversation))
    ing_conversation_stop (self->conversation);
  else
    return FALSE;
  return TRUE;
}

/* ---------------------------------------------------------------- class */

static void
ing_chat_view_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  if (id == PROP_CONVERSATION)
    g_value_set_object (value, ING_CHAT_VIEW (object)->conversation);
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
ing_chat_view_dispose (GObject *object)
{
  IngChatView *self = ING_CHAT_VIEW (object);

  drop_conversation (self);
  g_clear_handle_id (&self->follow_source, g_source_remove);
  g_clear_pointer (&self->box, gtk_widget_unparent);
  self->composer = NULL;
  self->list_view = NULL;
  g_clear_object (&self->workspace);
  G_OBJECT_CLASS (ing_chat_view_parent_class)->dispose (object);
}

static void
ing_chat_view_finalize (GObject *object)
{
  IngChatView *self = ING_CHAT_VIEW (object);

  g_ptr_array_unref (self->rows);
  g_array_unref (self->found);
  g_free (self->wanted_needle);
  g_free (self->draft_before_edit);
  G_OBJECT_CLASS (ing_chat_view_parent_class)->finalize (object);
}

static void
ing_chat_view_class_init (IngChatViewClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  object_class->get_property = ing_chat_view_get_property;
  object_class->dispose = ing_chat_view_dispose;
  object_class->finalize = ing_chat_view_finalize;
  props[PROP_CONVERSATION]
      = g_param_spec_object ("conversation", NULL, NULL, ING_TYPE_CONVERSATION,
                             G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  g_object_class_install_properties (object_class, N_PROPS, props);

  g_type_ensure (ING_TYPE_COMPOSER);
  g_type_ensure (ING_TYPE_DOCUMENT_BAR);
  g_type_ensure (ING_TYPE_PROBLEM_BOX);
  g_type_ensure (ING_TYPE_WELCOME);
  gtk_widget_class_set_layout_manager_type (widget_class, GTK_TYPE_BIN_LAYOUT);
  gtk_widget_class_install_action (widget_class, "chat.plain-completion", NULL, plain_completion_cb);
  gtk_widget_class_install_action (widget_class, "chat.attach", NULL, attach_cb);
  gtk_widget_class_set_template_from_resource (
      widget_class, "/io/github/inglenook_app/Inglenook/chat/ing-chat-view.ui");
  gtk_widget_class_bind_template_child (widget_class, IngChatView, box);
  gtk_widget_class_bind_template_child (widget_class, IngChatView, find_bar);
  gtk_widget_class_bind_template_child (widget_class, IngChatView, find_entry);
  gtk_widget_class_bind_template_child (widget_class, IngChatView, find_label);
  gtk_widget_class_bind_template_child (widget_class, IngChatView, stack);
  gtk_widget_class_bind_template_child (widget_class, IngChatView, welcome);
  gtk_widget_class_bind_template_child (widget_class, IngChatView, scroller);
  gtk_widget_class_bind_template_child (widget_class, IngChatView, list_view);
  gtk_widget_class_bind_template_child (widget_class, IngChatView, end_revealer);
  gtk_widget_class_bind_template_child (widget_class, IngChatView, end_button);
  gtk_widget_class_bind_template_child (widget_class, IngChatView, problem_box);
  gtk_widget_class_bind_template_child (widget_class, IngChatView, composer);
  gtk_widget_class_bind_template_child (widget_class, IngChatView, document_bar);
  ing_chat_view_bind_find (widget_class);
  gtk_widget_class_bind_template_callback (widget_class, suggested_cb);
  gtk_widget_class_bind_template_callback (widget_class, send_cb);
  gtk_widget_class_bind_template_callback (widget_class, busy_cb);
  gtk_widget_class_bind_template_callback (widget_class, documents_ask_cb);
  gtk_widget_class_bind_template_callback (widget_class, stop_cb);
  gtk_widget_class_bind_template_callback (widget_class, edit_cancelled_cb);
  gtk_widget_class_bind_template_callback (widget_class, text_changed_cb);
  gtk_widget_class_bind_template_callback (widget_class, ing_chat_view_scroll_to_end);
}

static void
ing_chat_view_init (IngChatView *self)
{
  GtkListItemFactory *factory = gtk_signal_list_item_factory_new ();

  self->rows = g_ptr_array_new ();
  self->found = g_array_new (FALSE, FALSE, sizeof (guint));
  self->following = TRUE;
  gtk_widget_init_template (GTK_WIDGET (self));

  g_signal_connect (factory, "setup", G_CALLBACK (setup_row_cb), self);
  g_signal_connect (factory, "bind", G_CALLBACK (bind_row_cb), self);
  g_signal_connect (factory, "unbind", G_CALLBACK (unbind_row_cb), self);
  gtk_list_view_set_factory (self->list_view, factory);
  g_object_unref (factory);

  ing_chat_view_init_scroll (self);
  gtk_search_bar_connect_entry (self->find_bar, self->find_entry);
}
