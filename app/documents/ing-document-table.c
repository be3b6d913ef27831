/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-document-table.h"

#include <math.h>
#include <string.h>

#include "ing-document-search.h"
#include "ing-embedder.h"
#include "ing-search-text.h"

/* words: rowid = the chunk's id; "prefix" counts more than "body". Both are cut for CJK (ing-search-text.h). */
static const char version_1[]
    = "CREATE TABLE documents("
      "  id INTEGER PRIMARY KEY, path TEXT NOT NULL, size INTEGER NOT NULL, mtime_us INTEGER NOT NULL,"
      "  hash TEXT NOT NULL DEFAULT '', title TEXT NOT NULL DEFAULT '', kind TEXT NOT NULL DEFAULT '',"
      "  state INTEGER NOT NULL, error TEXT, n_pages INTEGER NOT NULL DEFAULT 0,"
      "  n_chunks INTEGER NOT NULL DEFAULT 0);"
      "CREATE TABLE owners(owner INTEGER NOT NULL, document_id INTEGER NOT NULL,"
      "  PRIMARY KEY(owner, document_id)) WITHOUT ROWID;"
      "CREATE TABLE chunks("
      "  id INTEGER PRIMARY KEY AUTOINCREMENT, document_id INTEGER NOT NULL, position INTEGER NOT NULL,"
      "  prefix TEXT NOT NULL, text TEXT NOT NULL, path TEXT NOT NULL, page INTEGER NOT NULL,"
      "  start INTEGER NOT NULL, overlap INTEGER NOT NULL);"
      "CREATE UNIQUE INDEX chunks_by_document ON chunks(document_id, position);"
      "CREATE TABLE vectors(chunk_id INTEGER PRIMARY KEY, document_id INTEGER NOT NULL,"
      "  scale REAL NOT NULL, data BLOB NOT NULL);"
      "CREATE INDEX vectors_by_document ON vectors(document_id);"
      "CREATE VIRTUAL TABLE words USING fts5(prefix, body, tokenize='porter unicode61 remove_diacritics 2');";

/* Which model a vector is of (ing-embedder.h): those of before are of the only one there was, MiniLM. */
static const char version_2[]
    = "ALTER TABLE documents ADD COLUMN embedder INTEGER NOT NULL DEFAULT 0;"
      "ALTER TABLE documents ADD COLUMN plan INTEGER NOT NULL DEFAULT 1;"
      "ALTER TABLE vectors ADD COLUMN embedder INTEGER NOT NULL DEFAULT 0;"
      "DROP INDEX vectors_by_document;"
      "CREATE INDEX vectors_by_document ON vectors(document_id, chunk_id, embedder);";

/* Collections (as owners: the negative of their id), the folders that a collection or conversation holds, the files of
 * them that the person took out, and which collections a conversation asks. */
static const char version_3[]
    = "CREATE TABLE collections(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, watched INTEGER NOT NULL,"
      "  paused INTEGER NOT NULL, deleted INTEGER NOT NULL);"
      "CREATE TABLE folders(owner INTEGER NOT NULL, path TEXT NOT NULL, PRIMARY KEY(owner, path)) WITHOUT ROWID;"
      "CREATE TABLE left_out(owner INTEGER NOT NULL, path TEXT NOT NULL, PRIMARY KEY(owner, path)) WITHOUT ROWID;"
      "CREATE TABLE asked(conversation INTEGER NOT NULL, collection INTEGER NOT NULL,"
      "  PRIMARY KEY(conversation, collection)) WITHOUT ROWID;"
      "CREATE TABLE wipes(pending INTEGER NOT NULL);" /* a row: something was erased and is to be compacted */
      "ALTER TABLE documents ADD COLUMN gone INTEGER NOT NULL DEFAULT 0;"
      "ALTER TABLE owners ADD COLUMN found INTEGER NOT NULL DEFAULT 0;";

/* That a chunk's text was read out of a picture stood in place of its headings. */
static const char version_4[]
    = "ALTER TABLE chunks ADD COLUMN recognized INTEGER NOT NULL DEFAULT 0;"
      "UPDATE chunks SET recognized = 1, path = '' WHERE path = char(31) || 'recognized';";

/* What was recognized of documents that are not read to their end: that takes seconds a page. */
static const char version_5[]
    = "CREATE TABLE recognized_pages(document_id INTEGER NOT NULL, page INTEGER NOT NULL, hash TEXT NOT NULL,"
      "  text TEXT NOT NULL, PRIMARY KEY(document_id, page)) WITHOUT ROWID;";

static const IngMigration migrations[] = { { 1, version_1, NULL },
                                           { 2, version_2, NULL },
                                           { 3, version_3, NULL },
                                           { 4, version_4, NULL },
                                           { 5, version_5, NULL } };

const IngSchema ing_document_schema = {
  .name = "documents",
  .application_id = 0x496e6764, /* "Ingd" */
  .migrations = migrations,
  .n_migrations = G_N_ELEMENTS (migrations),
};

void
ing_document_row_free (IngDocumentRow *row)
{
  if (row == NULL)
    return;
  g_free (row->path);
  g_free (row->hash);
  g_free (row->title);
  g_free (row->kind);
  g_free (row->error);
  g_free (row);
}

GPtrArray *
ing_document_table_read (IngDatabase *db, GError **error)
{
  g_autoptr (GPtrArray) rows = g_ptr_array_new_with_free_func ((GDestroyNotify) ing_document_row_free);
  sqlite3_stmt *s = ing_database_query (db, error,
                                        "SELECT id, path, size, mtime_us, hash, title, kind, state, error,"
                                        " n_pages, n_chunks, embedder, plan, gone FROM documents ORDER BY id",
                                        "");
  int rc = -1;
  while (s != NULL && (rc = ing_database_step (db, s, error)) == 1)
    {
      IngDocumentRow *row = g_new0 (IngDocumentRow, 1);
      row->id = sqlite3_column_int64 (s, 0);
      row->path = ing_database_column_text (s, 1);
      row->size = sqlite3_column_int64 (s, 2);
      row->mtime_us = sqlite3_column_int64 (s, 3);
      row->hash = ing_database_column_text (s, 4);
      row->title = ing_database_column_text (s, 5);
      row->kind = ing_database_column_text (s, 6);
      row->state = (IngDocumentState) CLAMP (sqlite3_column_int (s, 7), ING_DOCUMENT_WAITING,
                                             ING_DOCUMENT_FAILED);
      row->error = ing_database_column_text_or_null (s, 8);
      row->n_pages = (guint) sqlite3_column_int (s, 9);
      row->n_chunks = (guint) sqlite3_column_int (s, 10);
      row->embedder = (guint) sqlite3_column_int (s, 11);
      row->plan = (guint) sqlite3_column_int (s, 12);
      row->gone = sqlite3_column_int (s, 13) != 0;
      g_ptr_array_add (rows, row);
    }
  return rc == 0 ? g_steal_pointer (&rows) : NULL;
}

gboolean
ing_document_table_write (IngDatabase *db, const IngDocumentRow *row, GError **error)
{
  return ing_database_exec (db, error,
                            "INSERT OR REPLACE INTO documents(id, path, size, mtime_us, hash, title, kind,"
                            " state, error, n_pages, n_chunks, embedder, plan, gone)"
                            " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
                            "itiitttitiiiii", row->id, row->path, row->size,
                            row->mtime_us, row->hash != NULL ? row->hash : "",
                            row->title != NULL ? row->title : "", row->kind != NULL ? row->kind : "",
                            (gint64) row->state, row->error, (gint64) row->n_pages, (gint64) row->n_chunks,
                            (gint64) row->embedder, (gint64) row->plan, (gint64) row->gone)
         && (row->state < ING_DOCUMENT_WORDS
             || ing_database_exec (db, error, "DELETE FROM recognized_pages WHERE document_id = ?1", "i", row->id));
}

gboolean
ing_document_table_erase_chunks (IngDatabase *db, gint64 document, guint from, GError **error)
{
#define ERASED "(SELECT id FROM chunks WHERE document_id = ?1 AND position >= ?2)"
  return ing_database_exec (db, error, "DELETE FROM words WHERE rowid IN " ERASED, "ii", document, (gint64) from)
         && ing_database_exec (db, error, "DELETE FROM vectors WHERE chunk_id IN " ERASED, "ii", document, (gint64) from)
         && ing_database_exec (db, error, "DELETE FROM chunks WHERE document_id = ?1 AND position >= ?2", "ii", document,
                               (gint64) from);
#undef ERASED
}

gboolean
ing_document_table_erase (IngDatabase *db, gint64 document, GError **error)
{
  return ing_document_table_erase_chunks (db, document, 0, error)
         && ing_database_exec (db, error, "DELETE FROM owners WHERE document_id = ?1", "i", document)
         && ing_database_exec (db, error, "DELETE FROM documents WHERE id = ?1", "i", document)
         && ing_database_exec (db, error, "DELETE FROM recognized_pages WHERE document_id = ?1", "i", document)
         && ing_database_exec (db, error, "INSERT INTO wipes VALUES(1)", "");
}

gboolean
ing_document_table_compact (IngDatabase *db, gboolean first, gboolean *more, GError **error)
{
  sqlite3 *handle = ing_database_get_handle (db);
  gint64 before = sqlite3_total_changes64 (handle);
  /* A negative number merges all parts into one, a positive one goes on with that: https://www.sqlite.org/fts5.html §6.7. */
  if (!(first ? ing_database_exec (db, error, "INSERT INTO words(words, rank) VALUES('merge', -256)", "")
              : ing_database_exec (db, error, "INSERT INTO words(words, rank) VALUES('merge', 256)", "")))
    return FALSE;
  *more = first || sqlite3_total_changes64 (handle) - before >= 2;
  if (!*more && !ing_database_exec (db, error, "DELETE FROM wipes", ""))
    return FALSE;
  if (!*more)
    sqlite3_wal_checkpoint_v2 (handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
  return TRUE;
}

gboolean
ing_document_table_add_chunk (IngDatabase *db, gint64 document, guint position, const char *prefix,
                              const IngChunk *chunk, GError **error)
{
  if (!ing_database_exec (db, error,
                          "INSERT INTO chunks(document_id, position, prefix, text, path, page, start, overlap, recognized)"
                          " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                          "iitttiiii", document, (gint64) position, prefix, chunk->text, chunk->path,
                          (gint64) chunk->page, (gint64) chunk->start, (gint64) chunk->overlap,
                          (gint64) chunk->recognized))
    return FALSE;
  gint64 id = sqlite3_last_insert_rowid (ing_database_get_handle (db));
  g_autofree char *head = ing_search_text_for_index (prefix);
  g_autofree char *body = ing_search_text_for_index (chunk->text);
  return ing_database_exec (db, error, "INSERT INTO words(rowid, prefix, body) VALUES(?1, ?2, ?3)", "itt", id,
                            head, body);
}

static gboolean
is_text (sqlite3_stmt *s, int column, const char *text)
{
  return g_strcmp0 ((const char *) sqlite3_column_text (s, column), text) == 0;
}

gboolean
ing_document_table_has_chunk (IngDatabase *db, gint64 document, guint position, const char *prefix, const IngChunk *chunk,
                              gboolean *has, GError **error)
{
  sqlite3_stmt *s = ing_database_query (db, error,
                                        "SELECT prefix, text, path, page, start, overlap, recognized FROM chunks"
                                        " WHERE document_id = ?1 AND position = ?2",
                                        "ii", document, (gint64) position);
  int rc = s != NULL ? ing_database_step (db, s, error) : -1;
  *has = rc == 1 && is_text (s, 0, prefix) && is_text (s, 1, chunk->text) && is_text (s, 2, chunk->path)
         && sqlite3_column_int64 (s, 3) == (gint64) chunk->page && sqlite3_column_int64 (s, 4) == (gint64) chunk->start
         && sqlite3_column_int64 (s, 5) == (gint64) chunk->overlap && sqlite3_column_int (s, 6) == chunk->recognized;
  if (rc == 1)
    sqlite3_reset (s);
  return rc >= 0;
}

gboolean
ing_document_table_add_recognized (IngDatabase *db, const IngDocumentRow *row, guint page, const char *text, GError **error)
{
  return ing_database_exec (db, error, "INSERT OR REPLACE INTO recognized_pages VALUES(?1, ?2, ?3, ?4)", "iitt", row->id,
                            (gint64) page, row->hash, text)
         && ing_database_exec (db, error, "UPDATE documents SET state = ?2, hash = ?3, title = ?4, embedder = ?5 WHERE id = ?1",
                               "iitti", row->id, (gint64) ING_DOCUMENT_WAITING, row->hash, row->title,
                               (gint64) row->embedder);
}

gboolean
ing_document_table_dup_recognized (IngDatabase *db, const IngDocumentRow *row, guint page, char **text, GError **error)
{
  *text = NULL;
  sqlite3_stmt *s = ing_database_query (
      db, error, "SELECT text FROM recognized_pages WHERE document_id = ?1 AND page = ?2 AND hash = ?3", "iit", row->id,
      (gint64) page, row->hash);
  int rc = s != NULL ? ing_database_step (db, s, error) : -1;
  if (rc == 1)
    {
      *text = ing_database_column_text (s, 0);
      sqlite3_reset (s);
    }
  return rc >= 0;
}

static gboolean
copy_chunks (IngDatabase *db, gint64 from, gint64 to, GError **error)
{
  return ing_document_table_erase_chunks (db, to, 0, error)
         && ing_database_exec (db, error,
                               "INSERT INTO chunks(document_id, position, prefix, text, path, page, start, overlap, recognized)"
                               " SELECT ?2, position, prefix, text, path, page, start, overlap, recognized FROM chunks"
                               " WHERE document_id = ?1 ORDER BY position",
                               "ii", from, to)
         && ing_database_exec (db, error,
                               "INSERT INTO words(rowid, prefix, body) SELECT n.id, w.prefix, w.body FROM chunks n"
                               " JOIN chunks o ON o.document_id = ?1 AND o.position = n.position"
                               " JOIN words w ON w.rowid = o.id WHERE n.document_id = ?2",
                               "ii", from, to)
         && ing_database_exec (db, error,
                               "INSERT INTO vectors(chunk_id, document_id, scale, data, embedder)"
                               " SELECT n.id, ?2, v.scale, v.data, v.embedder FROM chunks n"
                               " JOIN chunks o ON o.document_id = ?1 AND o.position = n.position"
                               " JOIN vectors v ON v.chunk_id = o.id WHERE n.document_id = ?2",
                               "ii", from, to);
}

gboolean
ing_document_table_copy_twin (IngDatabase *db, IngDocumentRow *row, gboolean *copied, GError **error)
{
  *copied = FALSE;
  g_autoptr (GPtrArray) rows = ing_document_table_read (db, error);
  const IngDocumentRow *twin = NULL;
  g_autofree char *name = g_path_get_basename (row->path);
  for (guint i = 0; rows != NULL && i < rows->len; i++)
    {
      const IngDocumentRow *other = rows->pdata[i];
      g_autofree char *other_name = g_path_get_basename (other->path);
      gboolean read = other->state == ING_DOCUMENT_WORDS || other->state == ING_DOCUMENT_READY;
      if (other->id != row->id && read && *row->hash != '\0' && strcmp (other->hash, row->hash) == 0
          && (*other->title != '\0' || strcmp (name, other_name) == 0))
        twin = other;
    }
  if (rows == NULL || twin == NULL)
    return rows != NULL;
  if (!ing_database_begin (db, error))
    return FALSE;
  g_free (row->title);
  g_free (row->kind);
  row->title = g_strdup (twin->title);
  row->kind = g_strdup (twin->kind);
  row->n_pages = twin->n_pages;
  row->n_chunks = twin->n_chunks;
  row->embedder = twin->embedder;
  row->state = ING_DOCUMENT_WORDS;
  gboolean ok = copy_chunks (db, twin->id, row->id, error) && ing_document_table_write (db, row, error);
  *copied = ing_database_end (db, ok, error);
  return *copied;
}

/* Returns what its bytes are to be multiplied by. */
static float
round_vector (const float *vector, guint width, gint8 *out)
{
  float most = 1e-12f;
  for (guint i = 0; i < width; i++)
    most = MAX (most, fabsf (vector[i]));
  for (guint i = 0; i < width; i++)
    out[i] = (gint8) CLAMP (lrintf (vector[i] / most * 127), -127, 127);
  return most / 127;
}

gboolean
ing_document_table_set_vectors (IngDatabase *db, gint64 chunk, guint embedder, const float *vectors, guint n, guint width,
                                GError **error)
{
  g_autofree gint8 *data = g_malloc (MAX ((gsize) n * width, 1));
  float scale = 1;
  for (guint v = n; v-- > 0;) /* the first one's scale is the last one made */
    scale = round_vector (vectors + (gsize) v * width, width, data + (gsize) v * width);
  sqlite3_stmt *s = ing_database_query (db, error,
                                        "INSERT OR REPLACE INTO vectors(chunk_id, document_id, scale, embedder, data)"
                                        " SELECT id, document_id, ?2, ?3, ?4 FROM chunks WHERE id = ?1",
                                        "idi", chunk, (double) scale, (gint64) embedder);
  if (s == NULL)
    return FALSE;
  sqlite3_bind_blob (s, 4, data, (int) (n * width), SQLITE_TRANSIENT);
  return ing_database_step (db, s, error) == 0;
}

gboolean
ing_document_table_get_latin (IngDatabase *db, gint64 document, gboolean *latin, GError **error)
{
  guint n_foreign = 0, n = 0;
  sqlite3_stmt *s = ing_database_query (db, error, "SELECT text FROM chunks WHERE document_id = ?1", "i", document);
  int rc = -1;
  while (s != NULL && (rc = ing_database_step (db, s, error)) == 1)
    {
      g_autofree char *text = ing_database_column_text (s, 0);
      n_foreign += !ing_search_is_latin (text);
      n++;
    }
  *latin = ing_embedder_is_latin (n_foreign, n);
  return rc == 0;
}

gboolean
ing_document_table_keep_vectors (IngDatabase *db, gint64 document, guint embedder, GError **error)
{
  return ing_database_exec (db, error, "DELETE FROM vectors WHERE document_id = ?1 AND embedder <> ?2", "ii", document,
                            (gint64) embedder);
}

gboolean
ing_document_table_list_unembedded (IngDatabase *db, gint64 document, gint64 *position, guint n, GArray *ids,
                                    GPtrArray *texts, GError **error)
{
  sqlite3_stmt *s = ing_database_query (
      db, error,
      "SELECT id, prefix || char(10) || text, position FROM chunks c WHERE document_id = ?1 AND position >= ?2"
      " AND NOT EXISTS (SELECT 1 FROM vectors WHERE chunk_id = c.id) ORDER BY position LIMIT ?3",
      "iii", document, *position, (gint64) n);
  int rc = -1;
  while (s != NULL && (rc = ing_database_step (db, s, error)) == 1)
    {
      gint64 id = sqlite3_column_int64 (s, 0);
      g_array_append_val (ids, id);
      g_ptr_array_add (texts, ing_database_column_text (s, 1));
      *position = sqlite3_column_int64 (s, 2) + 1;
    }
  return rc == 0;
}

gboolean
ing_document_table_list_chunks (IngDatabase *db, gint64 document, guint n, GArray *ids, GError **error)
{
  sqlite3_stmt *s = ing_database_query (db, error, "SELECT id FROM chunks WHERE document_id = ?1 ORDER BY position LIMIT ?2",
                                        "ii", document, (gint64) n);
  int rc = -1;
  while (s != NULL && (rc = ing_database_step (db, s, error)) == 1)
    {
      gint64 id = sqlite3_column_int64 (s, 0);
      g_array_append_val (ids, id);
    }
  return rc == 0;
}

gboolean
ing_owner_table_add (IngDatabase *db, gint64 owner, gint64 document, gboolean found, GError **error)
{
  return ing_database_exec (db, error,
                            "INSERT INTO owners(owner, document_id, found) VALUES(?1, ?2, ?3)"
                            " ON CONFLICT DO UPDATE SET found = min(found, excluded.found)",
                            "iii", owner, document, (gint64) found);
}

gboolean
ing_owner_table_remove (IngDatabase *db, gint64 owner, gint64 document, GError **error)
{
  return ing_database_exec (db, error, "DELETE FROM owners WHERE owner = ?1 AND document_id = ?2", "ii", owner,
                            document);
}

GArray *
ing_owner_table_read (IngDatabase *db, GError **error)
{
  g_autoptr (GArray) pairs = g_array_new (FALSE, FALSE, 3 * sizeof (gint64));
  sqlite3_stmt *s = ing_database_query (db, error, "SELECT owner, document_id, found FROM owners", "");
  int rc = -1;
  while (s != NULL && (rc = ing_database_step (db, s, error)) == 1)
    {
      gint64 pair[3]
          = { sqlite3_column_int64 (s, 0), sqlite3_column_int64 (s, 1), sqlite3_column_int64 (s, 2) };
      g_array_append_vals (pairs, pair, 1);
    }
  return rc == 0 ? g_steal_pointer (&pairs) : NULL;
}

IngPassage *
ing_document_table_dup_passage (IngDatabase *db, gint64 chunk, GError **error)
{
  sqlite3_stmt *s = ing_database_query (db, error,
                                        "SELECT c.document_id, d.path, c.page, c.path, c.text, c.start, c.overlap, d.hash, c.recognized"
                                        " FROM chunks c JOIN documents d ON d.id = c.document_id WHERE c.id = ?1",
                                        "i", chunk);
  if (s == NULL || ing_database_step (db, s, error) != 1)
    return NULL;
  IngPassage *p = g_new0 (IngPassage, 1);
  p->id = chunk;
  p->document_id = sqlite3_column_int64 (s, 0);
  p->path = ing_database_column_text (s, 1);
  p->document = ing_document_make_name (p->path);
  p->page = (guint) sqlite3_column_int (s, 2);
  p->heading = ing_database_column_text (s, 3);
  p->text = ing_database_column_text (s, 4);
  p->start = (guint64) sqlite3_column_int64 (s, 5);
  p->overlap = (gsize) CLAMP (sqlite3_column_int64 (s, 6), 0, (gint64) strlen (p->text));
  p->hash = ing_database_column_text (s, 7);
  p->recognized = sqlite3_column_int (s, 8) != 0;
  sqlite3_reset (s);
  return p;
}
