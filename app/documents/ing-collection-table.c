/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-collection-table.h"

void
ing_collection_row_free (IngCollectionRow *row)
{
  if (row == NULL)
    return;
  g_free (row->name);
  g_free (row);
}

void
ing_held_path_free (IngHeldPath *held)
{
  if (held == NULL)
    return;
  g_free (held->path);
  g_free (held);
}

void
ing_collection_tables_free (IngCollectionTables *tables)
{
  if (tables == NULL)
    return;
  g_ptr_array_unref (tables->collections);
  g_ptr_array_unref (tables->folders);
  g_ptr_array_unref (tables->left_out);
  g_array_unref (tables->asked);
  g_free (tables);
}

static gboolean
read_collections (IngDatabase *db, IngCollectionTables *tables, GError **error)
{
  sqlite3_stmt *s = ing_database_query (db, error, "SELECT id, name, watched, paused, deleted FROM collections", "");
  int rc = -1;
  while (s != NULL && (rc = ing_database_step (db, s, error)) == 1)
    {
      IngCollectionRow *row = g_new0 (IngCollectionRow, 1);
      row->id = sqlite3_column_int64 (s, 0);
      row->name = ing_database_column_text (s, 1);
      row->watched = sqlite3_column_int (s, 2) != 0;
      row->paused = sqlite3_column_int (s, 3) != 0;
      row->deleted = sqlite3_column_int (s, 4) != 0;
      g_ptr_array_add (tables->collections, row);
    }
  tables->last_id = ing_database_get_number (db, "SELECT seq FROM sqlite_sequence WHERE name = 'collections'", 0);
  return rc == 0;
}

static gboolean
read_paths (IngDatabase *db, sqlite3_stmt *s, GPtrArray *paths, GError **error)
{
  int rc = -1;
  while (s != NULL && (rc = ing_database_step (db, s, error)) == 1)
    {
      IngHeldPath *held = g_new0 (IngHeldPath, 1);
      held->owner = sqlite3_column_int64 (s, 0);
      held->path = ing_database_column_text (s, 1);
      g_ptr_array_add (paths, held);
    }
  return rc == 0;
}

static gboolean
read_asked (IngDatabase *db, GArray *asked, GError **error)
{
  sqlite3_stmt *s = ing_database_query (db, error, "SELECT conversation, collection FROM asked", "");
  int rc = -1;
  while (s != NULL && (rc = ing_database_step (db, s, error)) == 1)
    {
      const IngAsked one = { sqlite3_column_int64 (s, 0), sqlite3_column_int64 (s, 1) };
      g_array_append_val (asked, one);
    }
  return rc == 0;
}

IngCollectionTables *
ing_collection_tables_new (void)
{
  IngCollectionTables *tables = g_new0 (IngCollectionTables, 1);
  tables->collections = g_ptr_array_new_with_free_func ((GDestroyNotify) ing_collection_row_free);
  tables->folders = g_ptr_array_new_with_free_func ((GDestroyNotify) ing_held_path_free);
  tables->left_out = g_ptr_array_new_with_free_func ((GDestroyNotify) ing_held_path_free);
  tables->asked = g_array_new (FALSE, FALSE, sizeof (IngAsked));
  return tables;
}

IngCollectionTables *
ing_collection_tables_read (IngDatabase *db, GError **error)
{
  g_autoptr (IngCollectionTables) tables = ing_collection_tables_new ();
  if (read_collections (db, tables, error)
      && read_paths (db, ing_database_query (db, error, "SELECT owner, path FROM folders ORDER BY path", ""),
                     tables->folders, error)
      && read_paths (db, ing_database_query (db, error, "SELECT owner, path FROM left_out", ""), tables->left_out, error)
      && read_asked (db, tables->asked, error))
    return g_steal_pointer (&tables);
  return NULL;
}

gboolean
ing_collection_table_write (IngDatabase *db, const IngCollectionRow *row, GError **error)
{
  return ing_database_exec (db, error,
                            "INSERT OR REPLACE INTO collections(id, name, watched, paused, deleted)"
                            " VALUES(?1, ?2, ?3, ?4, ?5)",
                            "itiii", row->id, row->name, (gint64) row->watched, (gint64) row->paused,
                            (gint64) row->deleted);
}

gboolean
ing_collection_table_erase (IngDatabase *db, gint64 id, GError **error)
{
  return ing_database_exec (db, error, "DELETE FROM collections WHERE id = ?1", "i", id)
         && ing_database_exec (db, error, "DELETE FROM asked WHERE collection = ?1", "i", id);
}

gboolean
ing_folder_table_set (IngDatabase *db, const IngHeldPath *held, gboolean there, GError **error)
{
  return there ? ing_database_exec (db, error, "INSERT OR IGNORE INTO folders VALUES(?1, ?2)", "it", held->owner, held->path)
               : ing_database_exec (db, error, "DELETE FROM folders WHERE owner = ?1 AND path = ?2", "it", held->owner,
                                    held->path);
}

gboolean
ing_left_out_table_set (IngDatabase *db, const IngHeldPath *held, gboolean there, GError **error)
{
  return there ? ing_database_exec (db, error, "INSERT OR IGNORE INTO left_out VALUES(?1, ?2)", "it", held->owner, held->path)
               : ing_database_exec (db, error, "DELETE FROM left_out WHERE owner = ?1 AND path = ?2", "it", held->owner,
                                    held->path);
}

gboolean
ing_asked_table_set (IngDatabase *db, gint64 conversation, gint64 collection, gboolean asked, GError **error)
{
  return asked ? ing_database_exec (db, error, "INSERT OR IGNORE INTO asked VALUES(?1, ?2)", "ii", conversation, collection)
               : ing_database_exec (db, error, "DELETE FROM asked WHERE conversation = ?1 AND collection = ?2", "ii",
                                    conversation, collection);
}

gboolean
ing_folder_table_erase_owner (IngDatabase *db, gint64 owner, GError **error)
{
  return ing_database_exec (db, error, "DELETE FROM folders WHERE owner = ?1", "i", owner)
         && ing_database_exec (db, error, "DELETE FROM left_out WHERE owner = ?1", "i", owner)
         && ing_database_exec (db, error, "DELETE FROM asked WHERE conversation = ?1", "i", owner);
}
