/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-conversation-table.h"

#include "ing-search-table.h"
#include "ing-title.h"

GPtrArray *
ing_conversation_table_read_all (IngDatabase *db, GError **error)
{
  sqlite3_stmt *s = ing_database_query (
      db, error,
      "SELECT id, title, title_source, created_us, updated_us, system_prompt, model_path, sampling,"
      " draft, chosen_root, (SELECT count(*) FROM messages WHERE conversation_id = c.id), plain"
      " FROM conversations c WHERE deleted_us IS NULL",
      "");
  if (s == NULL)
    return NULL;
  g_autoptr (GPtrArray) rows
      = g_ptr_array_new_with_free_func ((GDestroyNotify) ing_conversation_row_free);
  int rc;
  while ((rc = ing_database_step (db, s, error)) > 0)
    {
      IngConversationRow *row = ing_conversation_row_new ();
      row->id = sqlite3_column_int64 (s, 0);
      row->title = ing_database_column_text (s, 1);
      row->title_source = CLAMP (sqlite3_column_int (s, 2), 0, ING_TITLE_PERSON);
      row->created_us = sqlite3_column_int64 (s, 3);
      row->updated_us = sqlite3_column_int64 (s, 4);
      row->system_prompt = ing_database_column_text (s, 5);
      row->model_path = ing_database_column_text_or_null (s, 6);
      row->sampling = ing_database_column_text (s, 7);
      row->draft = ing_database_column_text (s, 8);
      row->chosen_root = sqlite3_column_int64 (s, 9);
      row->n_messages = (guint) MAX (0, sqlite3_column_int (s, 10));
      row->plain = sqlite3_column_int (s, 11) != 0;
      g_ptr_array_add (rows, row);
    }
  return rc < 0 ? NULL : g_steal_pointer (&rows);
}

gboolean
ing_conversation_table_write (IngDatabase *db, const IngConversationRow *row, GError **error)
{
  return ing_database_exec (
             db, error,
             "INSERT INTO conversations(id, title, title_source, created_us, updated_us,"
             " system_prompt, model_path, sampling, draft, chosen_root, plain)"
             " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
             " ON CONFLICT(id) DO UPDATE SET title = ?2, title_source = ?3, updated_us = ?5,"
             " system_prompt = ?6, model_path = ?7, sampling = ?8, draft = ?9, chosen_root = ?10,"
             " plain = ?11",
             "iTiiiTTTTii", row->id, row->title, (gint64) row->title_source, row->created_us,
             row->updated_us, row->system_prompt, row->model_path, row->sampling, row->draft,
             row->chosen_root, (gint64) row->plain)
         && ing_search_table_set (db, -row->id, row->title, error);
}

gboolean
ing_conversation_table_mark_deleted (IngDatabase *db, gint64 id, gint64 deleted_us, GError **error)
{
  return ing_database_exec (db, error,
                            "UPDATE conversations SET deleted_us = nullif(?2, 0) WHERE id = ?1",
                            "ii", id, deleted_us);
}

gboolean
ing_conversation_table_erase (IngDatabase *db, gint64 id, GError **error)
{
  return ing_database_exec (db, error,
                            "DELETE FROM search WHERE rowid IN"
                            " (SELECT id FROM messages WHERE conversation_id = ?1)",
                            "i", id)
         && ing_database_exec (db, error, "DELETE FROM search WHERE rowid = -?1", "i", id)
         && ing_database_exec (db, error, "DELETE FROM conversations WHERE id = ?1", "i", id)
         && ing_search_table_forget (db, error);
}

/* The first question of conversation @id, which is its title until it has one. */
static char *
read_first_question (IngDatabase *db, gint64 id, GError **error)
{
  sqlite3_stmt *s = ing_database_query (
      db, error,
      "SELECT text FROM parts JOIN messages m ON m.id = message_id"
      " WHERE m.conversation_id = ?1 AND m.role = ?2 AND kind = ?3 ORDER BY m.id, position LIMIT 1",
      "iii", id, (gint64) ING_ROLE_USER, (gint64) ING_PART_TEXT);
  if (s == NULL || ing_database_step (db, s, error) != 1)
    return NULL;
  char *text = ing_database_column_text (s, 0);
  sqlite3_reset (s);
  return text;
}

gboolean
ing_conversation_table_recover (IngDatabase *db, GError **error)
{
  g_autoptr (GArray) deleted = g_array_new (FALSE, FALSE, sizeof (gint64));
  g_autoptr (GArray) untitled = g_array_new (FALSE, FALSE, sizeof (gint64));
  sqlite3_stmt *s = ing_database_query (db, error,
                                        "SELECT id, deleted_us IS NOT NULL FROM conversations"
                                        " WHERE deleted_us IS NOT NULL OR title_source = 0",
                                        "");
  int rc = s != NULL ? 1 : -1;
  while (rc > 0 && (rc = ing_database_step (db, s, error)) > 0)
    {
      gint64 id = sqlite3_column_int64 (s, 0);
      g_array_append_val (*(sqlite3_column_int (s, 1) ? &deleted : &untitled), id);
    }
  for (guint i = 0; rc == 0 && i < deleted->len; i++)
    if (!ing_conversation_table_erase (db, g_array_index (deleted, gint64, i), error))
      rc = -1;
  for (guint i = 0; rc == 0 && i < untitled->len; i++)
    {
      gint64 id = g_array_index (untitled, gint64, i);
      g_autofree char *question = read_first_question (db, id, NULL);
      g_autofree char *title = question != NULL ? ing_title_from_question (question) : NULL;
      if (title != NULL && *title != '\0'
          && (!ing_database_exec (db, error,
                                  "UPDATE conversations SET title = ?2, title_source = 1"
                                  " WHERE id = ?1",
                                  "it", id, title)
              || !ing_search_table_set (db, -id, title, error)))
        rc = -1;
    }
  return rc == 0;
}

gint64
ing_conversation_table_get_last_id (IngDatabase *db)
{
  return ing_database_get_number (
      db, "SELECT seq FROM sqlite_sequence WHERE name = 'conversations'", 0);
}
