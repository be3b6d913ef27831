/* SPDX-License-Identifier: Apache-2.0 */
/* One message in the transcript: a person's in a card, an answer bare on the page with its reasoning
 * folded, progress while the prompt is read, the reason it ended, and a row of actions. Made to be
 * bound to one message after another. Main thread only.
 *
 * Signal "edit" (IngMessage *): the person wants to change this question. */
#pragma once

#include "ing-app.h"

#include <gtk/gtk.h>

G_BEGIN_DECLS

#define ING_TYPE_MESSAGE_VIEW (ing_message_view_get_type ())
G_DECLARE_FINAL_TYPE (IngMessageView, ing_message_view, ING, MESSAGE_VIEW, GtkWidget)

GtkWidget *ing_message_view_new (void);

/* Show @message of @conversation; both NULL lets go of them. */
void ing_message_view_set_message (IngMessageView *self, IngConversation *conversation,
                                  IngMessage *message);
IngMessage *ing_message_view_get_message (IngMessageView *self);

/* The last row keeps its actions visible. */
void ing_message_view_set_last (IngMessageView *self, gboolean last);

/* Mark matches of @needle; NULL marks none. */
void ing_message_view_set_needle (IngMessageView *self, const char *needle);

G_END_DECLS
