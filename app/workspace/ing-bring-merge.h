/* SPDX-License-Identifier: Apache-2.0 */
/* Conversations of one database into another. Worker threads only. */
#pragma once

#include "ing-database.h"

typedef struct
{
  IngDatabase *from, *to;               /* @from: open, of the same schema; nobody else writes to it */
  gint64 conversation_id, message_id;   /* ids above these are free, as many as @from has rows */
  const char *from_models, *to_models;  /* model files named below the one are named below the other afterwards */
  void (*tell) (gpointer data, guint done, guint total);
  gpointer data;
  GPtrArray *rows;                      /* out: IngConversationRow of those that came */
  GHashTable *ids;                      /* out: gint64 * of there → gint64 * of here, of all that are here now */
  guint n_known;                        /* out: those that were there with every message */
} IngMerge;

/* Each conversation is one transaction, and read again and compared after it (else ING_ERROR_HASH). */
gboolean ing_merge_conversations (IngMerge *merge, GCancellable *cancellable, GError **error);

/* How many rows @from has. */
gboolean ing_merge_count (IngDatabase *from, guint *n_conversations, guint *n_messages, GError **error);
