/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-model-file-table.h"

const char ing_model_file_table_sql[]
    = "CREATE TABLE model_files("
      "  path TEXT PRIMARY KEY,"
      "  sha256 TEXT, blocks TEXT, uri TEXT,"
      "  bytes INTEGER NOT NULL,"
      "  created_us INTEGER NOT NULL) WITHOUT ROWID;";

void
ing_model_file_row_free (IngModelFileRow *row)
{
  if (row == NULL)
    return;
  g_free (row->path);
  g_free (row->sha256);
  g_free (row->blocks);
  g_free (row->uri);
  g_free (row);
}

GPtrArray *
ing_model_file_table_read (IngDatabase *db, GError **error)
{
  sqlite3_stmt *s = ing_database_query (db, error, "SELECT path, sha256, blocks, uri, bytes FROM model_files", "");
  g_autoptr (GPtrArray) rows = g_ptr_array_new_with_free_func ((GDestroyNotify) ing_model_file_row_free);
  int rc = s != NULL ? 1 : -1;
  while (rc > 0 && (rc = ing_database_step (db, s, error)) > 0)
    {
      IngModelFileRow *row = g_new0 (IngModelFileRow, 1);
      row->path = ing_database_column_text (s, 0);
      row->sha256 = ing_database_column_text_or_null (s, 1);
      row->blocks = ing_database_column_text_or_null (s, 2);
      row->uri = ing_database_column_text_or_null (s, 3);
      row->bytes = (guint64) MAX (0, sqlite3_column_int64 (s, 4));
      g_ptr_array_add (rows, row);
    }
  return rc < 0 ? NULL : g_steal_pointer (&rows);
}

gboolean
ing_model_file_table_write (IngDatabase *db, const IngModelFileRow *row, GError **error)
{
  return ing_database_exec (db, error,
                            "INSERT OR REPLACE INTO model_files(path, sha256, blocks, uri, bytes, created_us)"
                            " VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
                            "tTTTii", row->path, row->sha256, row->blocks, row->uri, (gint64) row->bytes,
                            g_get_real_time ());
}

gboolean
ing_model_file_table_delete (IngDatabase *db, const char *path, GError **error)
{
  return ing_database_exec (db, error, "DELETE FROM model_files WHERE path = ?1", "t", path);
}

gboolean
ing_model_file_table_rename (IngDatabase *db, const char *path, const char *new_path, GError **error)
{
  return ing_database_exec (db, error, "UPDATE OR REPLACE model_files SET path = ?2 WHERE path = ?1", "tt", path, new_path)
         && ing_database_exec (db, error, "UPDATE conversations SET model_path = ?2 WHERE model_path = ?1", "tt", path,
                               new_path)
         && ing_database_exec (db, error, "UPDATE messages SET model_path = ?2 WHERE model_path = ?1", "tt", path, new_path);
}

GHashTable *
ing_model_file_table_count_users (IngDatabase *db, GError **error)
{
  sqlite3_stmt *s = ing_database_query (
      db, error,
      "SELECT model_path, count(*) FROM (SELECT model_path, id AS conversation FROM conversations WHERE deleted_us IS NULL"
      " UNION SELECT model_path, conversation_id FROM messages) WHERE model_path IS NOT NULL GROUP BY model_path",
      "");
  g_autoptr (GHashTable) users = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  int rc = s != NULL ? 1 : -1;
  while (rc > 0 && (rc = ing_database_step (db, s, error)) > 0)
    g_hash_table_replace (users, ing_database_column_text (s, 0),
                          GUINT_TO_POINTER ((guint) sqlite3_column_int (s, 1)));
  return rc < 0 ? NULL : g_steal_pointer (&users);
}

gboolean
ing_model_file_table_note_download (IngDatabase *db, const char *result, GError **error)
{
  g_autoptr (JsonObject) object = result != NULL ? ing_json_parse_object (result, -1, NULL) : NULL;
  const char *path = object != NULL ? ing_json_get_string (object, "path", NULL) : NULL;
  if (path == NULL)
    return TRUE;
  IngModelFileRow row = {
    .path = (char *) path,
    .sha256 = (char *) ing_json_get_string (object, "sha256", NULL),
    .blocks = (char *) ing_json_get_string (object, "blocks", NULL),
    .uri = (char *) ing_json_get_string (object, "uri", NULL),
    .bytes = (guint64) MAX (0, ing_json_get_int (object, "size", 0)),
  };
  return ing_model_file_table_write (db, &row, error);
}
