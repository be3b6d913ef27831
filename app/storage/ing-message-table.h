/* SPDX-License-Identifier: Apache-2.0 */
/* Tables messages and parts. Every function runs on the database's thread. */
#pragma once

#include "ing-database.h"
#include "ing-rows.h"

/* All of a conversation by id (so parents come first), with their parts; GPtrArray of IngMessageRow. */
GPtrArray *ing_message_table_read (IngDatabase *database, gint64 conversation_id, GError **error);

/* Insert, or update what can change (state, stop reason, model, device, sampling, stats, error, chosen
 * child) and replace the parts from number @first_part on. */
gboolean ing_message_table_write (IngDatabase *database, const IngMessageRow *row, guint first_part,
                                  GError **error);
gboolean ing_message_table_choose (IngDatabase *database, gint64 conversation_id, gint64 parent_id,
                                   gint64 child_id, GError **error);
/* Put the message's text where the search finds it. */
gboolean ing_message_table_index (IngDatabase *database, gint64 id, GError **error);

/* After a start: what was pending or streaming was interrupted. */
gboolean ing_message_table_recover (IngDatabase *database, GError **error);
gint64 ing_message_table_get_last_id (IngDatabase *database);
