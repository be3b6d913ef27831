/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "ing-chat-context.h"
#include "ing-conversation-list.h"

#define ING_UNDO_SECONDS 30

IngConversationList *ing_conversation_list_new (IngChatContext *context);

/* What is read from the database, on its thread; owned by the caller. */
typedef struct
{
  GPtrArray *rows; /* of IngConversationRow */
  gint64 last_conversation_id, last_message_id;
} IngConversationListData;
IngConversationListData *ing_conversation_list_read (IngDatabase *database, GError **error);
void ing_conversation_list_data_free (IngConversationListData *data);

/* Show what was read, instead of what was there. */
void ing_conversation_list_fill (IngConversationList *self, const IngConversationListData *data);

/* Numbers for rows that something else writes: those above *@conversation_id and *@message_id, so many of each. */
void ing_conversation_list_reserve (IngConversationList *self, guint n_conversations, guint n_messages,
                                    gint64 *conversation_id, gint64 *message_id);
/* Show conversations that were written so. */
void ing_conversation_list_add_rows (IngConversationList *self, GPtrArray *rows);

/* A new one that is listed at once and is not the window's new one. The caller owns a reference. */
IngConversation *ing_conversation_list_create_other (IngConversationList *self);

/* Save everything now; TRUE when there is nothing left to wait for. For the end of the program. */
gboolean ing_conversation_list_flush (IngConversationList *self);
