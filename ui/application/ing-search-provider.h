/* SPDX-License-Identifier: Apache-2.0 */
/* Conversations in the desktop's own search: org.gnome.Shell.SearchProvider2 on the session bus, as
 * https://developer.gnome.org/documentation/tutorials/search-provider.html describes it. A result's id is
 * "CONVERSATION/MESSAGE", numbers (message 0: the title was found).
 *
 * Calls that come before the conversations are known wait for them. Main thread only. */
#pragma once

#include "ing-app.h"

G_BEGIN_DECLS

#define ING_TYPE_SEARCH_PROVIDER (ing_search_provider_get_type ())
G_DECLARE_FINAL_TYPE (IngSearchProvider, ing_search_provider, ING, SEARCH_PROVIDER, GObject)

/* Signals:
 *   "used": a call came
 *   "opened" (gint64 conversation, gint64 message, const char *needle): a result was chosen
 *   "launched" (const char *text): all results are wanted, in the program's own window */
IngSearchProvider *ing_search_provider_new (void);

gboolean ing_search_provider_export (IngSearchProvider *self, GDBusConnection *connection, const char *path, GError **error);
void ing_search_provider_unexport (IngSearchProvider *self);

/* NULL: none for now; calls wait again. */
void ing_search_provider_set_conversations (IngSearchProvider *self, IngConversationList *conversations);
/* Calls that have not been answered yet. */
guint ing_search_provider_get_n_calls (IngSearchProvider *self);

G_END_DECLS
