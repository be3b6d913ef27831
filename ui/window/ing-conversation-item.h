/* SPDX-License-Identifier: Apache-2.0 */
/* A conversation in the sidebar: its title, a mark while it answers, and a menu. Main thread only. */
#pragma once

#include "ing-app.h"

#include <gtk/gtk.h>

G_BEGIN_DECLS

#define ING_TYPE_CONVERSATION_ITEM (ing_conversation_item_get_type ())
G_DECLARE_FINAL_TYPE (IngConversationItem, ing_conversation_item, ING, CONVERSATION_ITEM, GtkListBoxRow)

GtkWidget *ing_conversation_item_new (IngConversation *conversation);
IngConversation *ing_conversation_item_get_conversation (IngConversationItem *self);

/* Ask for a new title in a popover at @parent. */
void ing_conversation_rename (IngConversation *conversation, GtkWidget *parent);

G_END_DECLS
