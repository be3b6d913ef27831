/* SPDX-License-Identifier: Apache-2.0 */
/* Insides of the chat view, shared by its files: what is shown and sent (ing-chat-view.c), following what comes
 * (-scroll.c), finding (-find.c). Main thread only. */
#pragma once

#include "ing-chat-view.h"
#include "ing-composer.h"
#include "ing-document-bar.h"
#include "ing-problem-box.h"
#include "ing-welcome.h"

struct _IngChatView
{
  GtkWidget parent_instance;

  GtkWidget *box;
  GtkSearchBar *find_bar;
  GtkEditable *find_entry;
  GtkLabel *find_label;
  GtkStack *stack;
  IngWelcome *welcome;
  GtkScrolledWindow *scroller;
  GtkListView *list_view;
  GtkRevealer *end_revealer;
  GtkWidget *end_button;
  IngProblemBox *problem_box;
  IngDocumentBar *document_bar;
  IngComposer *composer;

  IngWorkspace *workspace;
  IngConversation *conversation;
  IngMessage *editing;
  char *draft_before_edit;
  GPtrArray *rows; /* borrowed IngMessageView */
  GCancellable *loading;
  gint64 wanted_message;
  char *wanted_needle;

  gboolean following;
  guint follow_source;
  double last_value, last_upper, last_page;

  GCancellable *counting;
  guint count_source;

  GArray *found; /* guint: positions of messages that match */
  guint i_found;
};

/* Of the conversation shown; NULL without one. Borrowed. */
GListModel *ing_chat_view_get_messages (IngChatView *self);

/* Watch the transcript's scrolling; once, when the template is there. */
void ing_chat_view_init_scroll (IngChatView *self);
void ing_chat_view_update_end_button (IngChatView *self);
/* Scroll to the end before the next frame if it is followed. */
void ing_chat_view_queue_follow (IngChatView *self);
void ing_chat_view_scroll_to_position (IngChatView *self, guint position);

/* What is looked for; NULL while nothing is. Borrowed. */
const char *ing_chat_view_get_needle (IngChatView *self);
/* Look again for what stands in the entry. */
void ing_chat_view_find_changed (IngChatView *self);
/* Show which one of what was found is meant. */
void ing_chat_view_mark_found (IngChatView *self);
void ing_chat_view_bind_find (GtkWidgetClass *widget_class);
