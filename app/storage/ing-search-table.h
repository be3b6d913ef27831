/* SPDX-License-Identifier: Apache-2.0 */
/* The full-text index. Every function runs on the database's thread. */
#pragma once

#include "ing-database.h"

typedef struct
{
  gint64 conversation_id;
  gint64 message_id; /* 0 = the title */
  char *snippet;
  guint match_start, match_end; /* bytes in snippet; equal = unknown */
} IngSearchRow;

void ing_search_row_free (IngSearchRow *row);

/* @rowid: see ing-schema.c. An empty text removes the row. */
gboolean ing_search_table_set (IngDatabase *database, gint64 rowid, const char *text,
                               GError **error);
/* Best first, at most @limit; GPtrArray of IngSearchRow. A damaged index is made anew and asked again. */
GPtrArray *ing_search_table_find (IngDatabase *database, const char *query, guint limit,
                                  GError **error);
/* Make it anew from the messages. */
gboolean ing_search_table_rebuild (IngDatabase *database, GError **error);
/* Overwrite words of deleted rows, which the index keeps until it merges. */
gboolean ing_search_table_forget (IngDatabase *database, GError **error);
