/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-search-table.h"

#include <string.h>

#include "ing-message-table.h"
#include "ing-search-text.h"

#define SNIPPET_BEFORE 30 /* characters before the match */
#define SNIPPET_CHARS 120

void
ing_search_row_free (IngSearchRow *row)
{
  g_free (row->snippet);
  g_free (row);
}

gboolean
ing_search_table_set (IngDatabase *db, gint64 rowid, const char *text, GError **error)
{
  if (!ing_database_exec (db, error, "DELETE FROM search WHERE rowid = ?1", "i", rowid))
    return FALSE;
  if (text == NULL || *text == '\0')
    return TRUE;
  g_autofree char *body = ing_search_text_for_index (text);
  return ing_database_exec (db, error, "INSERT INTO search(rowid, body) VALUES(?1, ?2)", "iT",
                            rowid, body);
}

/* One line about the first match. */
static void
make_snippet (IngSearchRow *row, const char *text, const char *query)
{
  gsize start = 0, end = 0;
  gboolean found = ing_search_text_find (text, query, &start, &end);
  const char *from = text + start;
  for (int i = 0; i < SNIPPET_BEFORE && from > text; i++)
    from = g_utf8_prev_char (from);
  g_autoptr (GString) out = g_string_new (from > text ? "…" : NULL);
  const char *p = from;
  for (int i = 0; i < SNIPPET_CHARS && *p != '\0'; i++, p = g_utf8_next_char (p))
    {
      if (found && p == text + start)
        row->match_start = (guint) out->len;
      gunichar c = g_utf8_get_char (p);
      g_string_append_unichar (out, g_unichar_isspace (c) || g_unichar_iscntrl (c) ? ' ' : c);
      if (found && g_utf8_next_char (p) == text + end)
        row->match_end = (guint) out->len;
    }
  if (row->match_end < row->match_start)
    row->match_end = (guint) out->len;
  if (*p != '\0')
    g_string_append (out, "…");
  row->snippet = g_string_free (g_steal_pointer (&out), FALSE);
}

static GPtrArray *
find (IngDatabase *db, const char *match, const char *query, guint limit, GError **error)
{
  /* Titles count three times. */
  sqlite3_stmt *s = ing_database_query (
      db, error,
      "SELECT s.rowid, c.id, CASE WHEN s.rowid < 0 THEN c.title ELSE"
      "  (SELECT group_concat(text, char(10)) FROM parts WHERE message_id = s.rowid AND kind = ?3)"
      " END"
      " FROM search s LEFT JOIN messages m ON m.id = s.rowid"
      " JOIN conversations c ON c.id = CASE WHEN s.rowid < 0 THEN -s.rowid"
      "  ELSE m.conversation_id END"
      " WHERE search MATCH ?1 AND c.deleted_us IS NULL"
      " ORDER BY bm25(search) * CASE WHEN s.rowid < 0 THEN 3 ELSE 1 END, s.rowid DESC LIMIT ?2",
      "Tii", match, (gint64) limit, (gint64) ING_PART_TEXT);
  if (s == NULL)
    return NULL;
  g_autoptr (GPtrArray) rows
      = g_ptr_array_new_with_free_func ((GDestroyNotify) ing_search_row_free);
  int rc;
  while ((rc = ing_database_step (db, s, error)) > 0)
    {
      IngSearchRow *row = g_new0 (IngSearchRow, 1);
      gint64 rowid = sqlite3_column_int64 (s, 0);
      row->message_id = MAX (rowid, 0);
      row->conversation_id = sqlite3_column_int64 (s, 1);
      g_autofree char *text = ing_database_column_text (s, 2);
      make_snippet (row, text, query);
      g_ptr_array_add (rows, row);
    }
  return rc < 0 ? NULL : g_steal_pointer (&rows);
}

GPtrArray *
ing_search_table_find (IngDatabase *db, const char *query, guint limit, GError **error)
{
  g_autofree char *match = ing_search_text_for_query (query);
  if (match == NULL)
    return g_ptr_array_new_with_free_func ((GDestroyNotify) ing_search_row_free);
  g_autoptr (GError) local = NULL;
  GPtrArray *rows = find (db, match, query, limit, &local);
  /* A damaged index (its rows are ordinary tables to SQLite's own check) is no loss: it is made anew. */
  if (rows == NULL && g_error_matches (local, ING_ERROR, ING_ERROR_DATABASE_DAMAGED))
    {
      g_clear_error (&local);
      if (ing_database_begin (db, &local)
          && ing_database_end (db, ing_search_table_rebuild (db, &local), &local))
        rows = find (db, match, query, limit, &local);
    }
  if (rows == NULL)
    g_propagate_error (error, g_steal_pointer (&local));
  return rows;
}

gboolean
ing_search_table_rebuild (IngDatabase *db, GError **error)
{
  if (!ing_database_script (db,
                            "DROP TABLE IF EXISTS search;"
                            "CREATE VIRTUAL TABLE search USING fts5(body,"
                            " tokenize='unicode61 remove_diacritics 2')",
                            error))
    return FALSE;
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint64));
  sqlite3_stmt *s = ing_database_query (
      db, error, "SELECT id FROM messages UNION ALL SELECT -id FROM conversations", "");
  int rc = s != NULL ? 1 : -1;
  while (rc > 0 && (rc = ing_database_step (db, s, error)) > 0)
    {
      gint64 id = sqlite3_column_int64 (s, 0);
      g_array_append_val (ids, id);
    }
  for (guint i = 0; rc == 0 && i < ids->len; i++)
    {
      gint64 id = g_array_index (ids, gint64, i);
      gboolean ok;
      if (id > 0)
        ok = ing_message_table_index (db, id, error);
      else
        {
          g_autofree char *title = NULL;
          s = ing_database_query (db, error, "SELECT title FROM conversations WHERE id = ?1", "i",
                                  -id);
          ok = s != NULL && ing_database_step (db, s, error) == 1;
          if (ok)
            {
              title = ing_database_column_text (s, 0);
              sqlite3_reset (s);
            }
          ok = ok && ing_search_table_set (db, id, title, error);
        }
      if (!ok)
        rc = -1;
    }
  return rc == 0;
}

gboolean
ing_search_table_forget (IngDatabase *db, GError **error)
{
  return ing_database_exec (db, error, "INSERT INTO search(search) VALUES('optimize')", "");
}
