/* SPDX-License-Identifier: Apache-2.0 */
/* The list of conversations by day, and a search of everything that was said. Main thread only.
 *
 * Signals:
 *   "selected" (IngConversation *): the person chose one
 *   "hit" (IngConversation *, gint64 message_id, const char *needle): … or a place found */
#pragma once

#include "ing-app.h"

#include <gtk/gtk.h>

G_BEGIN_DECLS

#define ING_TYPE_SIDEBAR (ing_sidebar_get_type ())
G_DECLARE_FINAL_TYPE (IngSidebar, ing_sidebar, ING, SIDEBAR, GtkWidget)

/* Set once. */
void ing_sidebar_set_conversations (IngSidebar *self, IngConversationList *conversations);

/* Mark @conversation (NULL: none) as the one shown; no signal. */
/* Whose collections stand below; once. */
void ing_sidebar_set_documents (IngSidebar *self, IngDocumentLibrary *library);
void ing_sidebar_set_current (IngSidebar *self, IngConversation *conversation);

void ing_sidebar_focus_search (IngSidebar *self);
/* Search for @text as if it had been typed. */
void ing_sidebar_search (IngSidebar *self, const char *text);
/* Close the search. FALSE if none was open. */
gboolean ing_sidebar_escape (IngSidebar *self);

G_END_DECLS
