/* SPDX-License-Identifier: Apache-2.0 */
/* One conversation: transcript, composer, finding in it, and what stands there before the first
 * question. It follows the end of a growing answer until the reader scrolls up. Main thread only.
 *
 * Properties: "conversation". */
#pragma once

#include "ing-app.h"

#include <gtk/gtk.h>

G_BEGIN_DECLS

#define ING_TYPE_CHAT_VIEW (ing_chat_view_get_type ())
G_DECLARE_FINAL_TYPE (IngChatView, ing_chat_view, ING, CHAT_VIEW, GtkWidget)

/* @workspace is set once, before anything else. */
void ing_chat_view_set_workspace (IngChatView *self, IngWorkspace *workspace);
IngWorkspace *ing_chat_view_get_workspace (IngChatView *self);

/* Show @conversation (loads it where needed); never NULL once there is a workspace. */
void ing_chat_view_set_conversation (IngChatView *self, IngConversation *conversation);
IngConversation *ing_chat_view_get_conversation (IngChatView *self);

/* Scroll to message @id and mark @needle there (may be NULL); waits for loading. */
void ing_chat_view_show_message (IngChatView *self, gint64 id, const char *needle);

void ing_chat_view_focus_composer (IngChatView *self);
void ing_chat_view_toggle_find (IngChatView *self);
/* Close what is open (finding, editing) or stop the answer. FALSE if there was nothing to do. */
gboolean ing_chat_view_escape (IngChatView *self);

/* Actions on the last question or answer; nothing when there is none. */
void ing_chat_view_regenerate_last (IngChatView *self);
void ing_chat_view_edit_last (IngChatView *self);
void ing_chat_view_copy_last (IngChatView *self);
void ing_chat_view_scroll_to_end (IngChatView *self);

/* TRUE while new text keeps the end in view. */
gboolean ing_chat_view_get_following (IngChatView *self);

/* Read these files for the conversation shown. */
void ing_chat_view_add_documents (IngChatView *self, const char *const *paths);

G_END_DECLS
