/* SPDX-License-Identifier: Apache-2.0 */
/* All conversations, a GListModel of IngConversation, the one touched last first. Main thread only. */
#pragma once

#include "ing-conversation.h"

G_BEGIN_DECLS

#define ING_TYPE_CONVERSATION_LIST (ing_conversation_list_get_type ())
G_DECLARE_FINAL_TYPE (IngConversationList, ing_conversation_list, ING, CONVERSATION_LIST, GObject)

/* Signal "erased" (gint64 id): a deleted conversation is gone for good. */

/* Days, for headings of a sidebar. */
typedef enum
{
  ING_GROUP_TODAY,
  ING_GROUP_YESTERDAY,
  ING_GROUP_THIS_WEEK,  /* the last 7 days */
  ING_GROUP_THIS_MONTH, /* the last 30 days */
  ING_GROUP_OLDER
} IngConversationGroup;

/* Which group a conversation belongs to at local time @now_us (0 = the clock's). */
IngConversationGroup ing_conversation_list_get_group (IngConversation *conversation, gint64 now_us);
/* "Today", …; translated. */
const char *ing_conversation_group_get_name (IngConversationGroup group);

/* The new, empty one: not in the list until its first message or title. Its draft is stored all the
 * same, so this gives back what was begun and not sent. The caller owns a reference. */
IngConversation *ing_conversation_list_create (IngConversationList *self);

/* Borrowed; NULL if there is none such. */
IngConversation *ing_conversation_list_lookup (IngConversationList *self, gint64 id);

/* Take it out of the list, stopping its answer. It can be brought back for 30 s (or until the program
 * ends); then it is erased from the disk, index included. Backups keep it until they roll over. */
void ing_conversation_list_delete (IngConversationList *self, IngConversation *conversation);
/* Bring back the one deleted last, or that given. FALSE when it is too late. */
gboolean ing_conversation_list_undo_delete (IngConversationList *self,
                                            IngConversation *conversation);

/* ------------------------------------------------------------------ search */

#define ING_TYPE_SEARCH_HIT (ing_search_hit_get_type ())
G_DECLARE_FINAL_TYPE (IngSearchHit, ing_search_hit, ING, SEARCH_HIT, GObject)

IngConversation *ing_search_hit_get_conversation (IngSearchHit *self);
gint64 ing_search_hit_get_message_id (IngSearchHit *self); /* 0 = the title */
/* A line of the text about the first match, plain (never markup); where the match stands in it, in
 * bytes. */
const char *ing_search_hit_get_snippet (IngSearchHit *self, guint *match_start, guint *match_end);

/* Search titles and messages for all words of @query (literally: no query language), the last one as a
 * beginning; Chinese, Japanese and Korean by pairs of characters. Best first, at most one hit a message
 * and 200 in all. A new search cancels nothing: pass a cancellable. Returns a GListModel of
 * IngSearchHit, empty for an empty query; caller owns it. */
void ing_conversation_list_search_async (IngConversationList *self, const char *query,
                                         GCancellable *cancellable, GAsyncReadyCallback callback,
                                         gpointer user_data);
GListModel *ing_conversation_list_search_finish (IngConversationList *self, GAsyncResult *result,
                                                 GError **error);

G_END_DECLS
