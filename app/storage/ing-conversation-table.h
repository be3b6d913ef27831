/* SPDX-License-Identifier: Apache-2.0 */
/* Table conversations. Every function runs on the database's thread, inside or outside a transaction. */
#pragma once

#include "ing-database.h"
#include "ing-rows.h"

/* All that are not deleted, in no order; GPtrArray of IngConversationRow that owns them. */
GPtrArray *ing_conversation_table_read_all (IngDatabase *database, GError **error);
/* Insert, or update every column but deleted_us. Keeps the title's words for the search. */
gboolean ing_conversation_table_write (IngDatabase *database, const IngConversationRow *row,
                                       GError **error);
/* @deleted_us 0 = brought back. */
gboolean ing_conversation_table_mark_deleted (IngDatabase *database, gint64 id, gint64 deleted_us,
                                              GError **error);
/* Erase one with its messages and words. */
gboolean ing_conversation_table_erase (IngDatabase *database, gint64 id, GError **error);
/* After a start: erase those marked; title those that have none. */
gboolean ing_conversation_table_recover (IngDatabase *database, GError **error);
/* The highest id ever given. */
gint64 ing_conversation_table_get_last_id (IngDatabase *database);
