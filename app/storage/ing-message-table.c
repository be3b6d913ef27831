/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-message-table.h"

#include "ing-search-table.h"

static IngMessageRow *
read_row (sqlite3_stmt *s)
{
  IngMessageRow *row = ing_message_row_new ();
  row->id = sqlite3_column_int64 (s, 0);
  row->conversation_id = sqlite3_column_int64 (s, 1);
  row->parent_id = sqlite3_column_int64 (s, 2);
  row->role = CLAMP (sqlite3_column_int (s, 3), ING_ROLE_USER, ING_ROLE_TOOL);
  row->state = CLAMP (sqlite3_column_int (s, 4), ING_MESSAGE_PENDING, ING_MESSAGE_FAILED);
  row->stop_reason = CLAMP (sqlite3_column_int (s, 5), ING_STOP_NONE, ING_STOP_PERSON);
  row->created_us = sqlite3_column_int64 (s, 6);
  row->chosen_child = sqlite3_column_int64 (s, 7);
  row->model_name = ing_database_column_text_or_null (s, 8);
  row->model_path = ing_database_column_text_or_null (s, 9);
  row->device = ing_database_column_text_or_null (s, 10);
  row->sampling = ing_database_column_text_or_null (s, 11);
  row->stats = ing_database_column_text_or_null (s, 12);
  row->error = ing_database_column_text_or_null (s, 13);
  return row;
}

GPtrArray *
ing_message_table_read (IngDatabase *db, gint64 conversation_id, GError **error)
{
  g_autoptr (GPtrArray) rows
      = g_ptr_array_new_with_free_func ((GDestroyNotify) ing_message_row_free);
  g_autoptr (GHashTable) by_id = g_hash_table_new (g_int64_hash, g_int64_equal);
  sqlite3_stmt *s = ing_database_query (
      db, error,
      "SELECT id, conversation_id, parent_id, role, state, stop_reason, created_us, chosen_child,"
      " model_name, model_path, device, sampling, stats, error"
      " FROM messages WHERE conversation_id = ?1 ORDER BY id",
      "i", conversation_id);
  int rc = s != NULL ? 1 : -1;
  while (rc > 0 && (rc = ing_database_step (db, s, error)) > 0)
    {
      IngMessageRow *row = read_row (s);
      g_ptr_array_add (rows, row);
      g_hash_table_insert (by_id, &row->id, row);
    }
  if (rc < 0)
    return NULL;
  s = ing_database_query (db, error,
                          "SELECT message_id, kind, text, data FROM parts WHERE message_id IN"
                          " (SELECT id FROM messages WHERE conversation_id = ?1)"
                          " ORDER BY message_id, position",
                          "i", conversation_id);
  rc = s != NULL ? 1 : -1;
  while (rc > 0 && (rc = ing_database_step (db, s, error)) > 0)
    {
      gint64 id = sqlite3_column_int64 (s, 0);
      IngMessageRow *row = g_hash_table_lookup (by_id, &id);
      g_autofree char *text = ing_database_column_text (s, 2);
      g_autofree char *data = ing_database_column_text_or_null (s, 3);
      int kind = CLAMP (sqlite3_column_int (s, 1), ING_PART_TEXT, ING_PART_TOOL);
      if (row != NULL)
        g_ptr_array_add (row->parts, ing_part_row_new (kind, text, data));
    }
  return rc < 0 ? NULL : g_steal_pointer (&rows);
}

gboolean
ing_message_table_write (IngDatabase *db, const IngMessageRow *row, guint first_part,
                         GError **error)
{
  if (!ing_database_exec (
          db, error,
          "INSERT INTO messages(id, conversation_id, parent_id, role, state, stop_reason,"
          " created_us, chosen_child, model_name, model_path, device, sampling, stats, error)"
          " VALUES(?1, ?2, nullif(?3, 0), ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"
          " ON CONFLICT(id) DO UPDATE SET state = ?5, stop_reason = ?6, chosen_child = ?8,"
          " model_name = ?9, model_path = ?10, device = ?11, sampling = ?12, stats = ?13,"
          " error = ?14",
          "iiiiiiiiTTTTTT", row->id, row->conversation_id, row->parent_id, (gint64) row->role,
          (gint64) row->state, (gint64) row->stop_reason, row->created_us, row->chosen_child,
          row->model_name, row->model_path, row->device, row->sampling, row->stats, row->error))
    return FALSE;
  for (guint i = first_part; i < row->parts->len; i++)
    {
      const IngPartRow *part = g_ptr_array_index (row->parts, i);
      if (!ing_database_exec (db, error,
                              "INSERT INTO parts(message_id, position, kind, text, data)"
                              " VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT(message_id, position)"
                              " DO UPDATE SET kind = ?3, text = ?4, data = ?5",
                              "iiiTT", row->id, (gint64) i, (gint64) part->kind, part->text,
                              part->data))
        return FALSE;
    }
  return ing_database_exec (db, error, "DELETE FROM parts WHERE message_id = ?1 AND position >= ?2",
                            "ii", row->id, (gint64) row->parts->len);
}

gboolean
ing_message_table_choose (IngDatabase *db, gint64 conversation_id, gint64 parent_id,
                          gint64 child_id, GError **error)
{
  if (parent_id == 0)
    return ing_database_exec (db, error, "UPDATE conversations SET chosen_root = ?2 WHERE id = ?1",
                              "ii", conversation_id, child_id);
  return ing_database_exec (db, error, "UPDATE messages SET chosen_child = ?2 WHERE id = ?1", "ii",
                            parent_id, child_id);
}

gboolean
ing_message_table_index (IngDatabase *db, gint64 id, GError **error)
{
  g_autoptr (GString) text = g_string_new (NULL);
  sqlite3_stmt *s = ing_database_query (
      db, error, "SELECT text FROM parts WHERE message_id = ?1 AND kind = ?2 ORDER BY position",
      "ii", id, (gint64) ING_PART_TEXT);
  int rc = s != NULL ? 1 : -1;
  while (rc > 0 && (rc = ing_database_step (db, s, error)) > 0)
    {
      g_autofree char *part = ing_database_column_text (s, 0);
      g_string_append_printf (text, "%s%s", text->len > 0 ? "\n" : "", part);
    }
  return rc == 0 && ing_search_table_set (db, id, text->str, error);
}

gboolean
ing_message_table_recover (IngDatabase *db, GError **error)
{
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint64));
  sqlite3_stmt *s = ing_database_query (db, error, "SELECT id FROM messages WHERE state IN (?1, ?2)",
                                        "ii", (gint64) ING_MESSAGE_PENDING,
                                        (gint64) ING_MESSAGE_STREAMING);
  int rc = s != NULL ? 1 : -1;
  while (rc > 0 && (rc = ing_database_step (db, s, error)) > 0)
    {
      gint64 id = sqlite3_column_int64 (s, 0);
      g_array_append_val (ids, id);
    }
  for (guint i = 0; rc == 0 && i < ids->len; i++)
    {
      gint64 id = g_array_index (ids, gint64, i);
      if (!ing_database_exec (db, error, "UPDATE messages SET state = ?2 WHERE id = ?1", "ii", id,
                              (gint64) ING_MESSAGE_INTERRUPTED)
          || !ing_message_table_index (db, id, error))
        rc = -1;
    }
  return rc == 0;
}

gint64
ing_message_table_get_last_id (IngDatabase *db)
{
  return ing_database_get_number (db, "SELECT seq FROM sqlite_sequence WHERE name = 'messages'", 0);
}
