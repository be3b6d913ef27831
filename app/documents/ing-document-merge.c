/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of documents and chunks are each database's own; a document is known by its path and the
 * hash of its content. A document of the same path that was read otherwise here comes as another
 * one: what a conversation was asked about stays. */
#include "ing-document-merge.h"

#include <string.h>

#include "ing-error-private.h"

#define MAX_CHUNKS 1000000 /* of one document of a stranger */
#define MAX_VECTOR_BYTES (64 * 1024)

typedef struct
{
  IngChunk chunk;
  char *prefix;
  double scale;
  gint64 embedder;
  GBytes *vector; /* NULL = none */
} Piece;

typedef struct
{
  IngDocumentRow *row; /* NULL = an owner alone */
  GPtrArray *pieces;
  GArray *owners; /* gint64[2], of here: owner, found in a folder of it */
  gint64 id;
} Whole;

static void
piece_free (gpointer data)
{
  Piece *piece = data;
  g_free (piece->chunk.text);
  g_free (piece->chunk.path);
  g_free (piece->prefix);
  g_clear_pointer (&piece->vector, g_bytes_unref);
  g_free (piece);
}

static gpointer
read_rows_func (IngDatabase *db, gpointer data, GError **error)
{
  return ing_document_table_read (db, error);
}

static gpointer
read_owners_func (IngDatabase *db, gpointer data, GError **error)
{
  return ing_owner_table_read (db, error);
}

static gpointer
count_func (IngDatabase *db, gpointer data, GError **error)
{
  *(guint *) data = (guint) CLAMP (
      ing_database_get_number (db, "SELECT count(*) FROM documents", 0), 0, G_MAXINT);
  return db;
}

gboolean
ing_document_merge_count (IngDatabase *from, guint *n, GError **error)
{
  *n = 0;
  return ing_database_run_sync (from, count_func, n, error) != NULL;
}

static gpointer
read_pieces_func (IngDatabase *db, gpointer data, GError **error)
{
  sqlite3_stmt *s = ing_database_query (db, error,
                                        "SELECT c.prefix, c.text, c.path, c.page, c.start, "
                                        "c.overlap, v.scale, v.embedder, v.data, c.recognized FROM chunks c"
                                        " LEFT JOIN vectors v ON v.chunk_id = c.id WHERE "
                                        "c.document_id = ?1 ORDER BY c.position LIMIT ?2",
                                        "ii", *(const gint64 *) data, (gint64) MAX_CHUNKS);
  g_autoptr (GPtrArray) pieces = g_ptr_array_new_with_free_func (piece_free);
  int rc = -1;
  while (s != NULL && (rc = ing_database_step (db, s, error)) == 1)
    {
      Piece *piece = g_new0 (Piece, 1);
      int size = sqlite3_column_type (s, 8) == SQLITE_BLOB ? sqlite3_column_bytes (s, 8) : 0;
      piece->prefix = ing_database_column_text (s, 0);
      piece->chunk.text = ing_database_column_text (s, 1);
      piece->chunk.path = ing_database_column_text (s, 2);
      piece->chunk.page = (guint) MAX (0, sqlite3_column_int (s, 3));
      piece->chunk.start = (guint64) MAX (0, sqlite3_column_int64 (s, 4));
      piece->chunk.overlap
          = (gsize) CLAMP (sqlite3_column_int64 (s, 5), 0, (gint64) strlen (piece->chunk.text));
      piece->chunk.recognized = sqlite3_column_int (s, 9) != 0;
      piece->scale = sqlite3_column_double (s, 6);
      piece->embedder = sqlite3_column_int64 (s, 7);
      if (size > 0 && size <= MAX_VECTOR_BYTES)
        piece->vector = g_bytes_new (sqlite3_column_blob (s, 8), (gsize) size);
      g_ptr_array_add (pieces, piece);
    }
  return rc == 0 ? g_steal_pointer (&pieces) : NULL;
}

/* ------------------------------------------------------------------ writing */

static gboolean
write_vector (IngDatabase *db, gint64 document, guint position, const Piece *piece, GError **error)
{
  sqlite3_stmt *s = ing_database_query (
      db, error,
      "INSERT INTO vectors(chunk_id, document_id, scale, embedder, data)"
      " SELECT id, document_id, ?3, ?4, ?5 FROM chunks WHERE document_id = ?1 AND position = ?2",
      "iidi", document, (gint64) position, piece->scale, piece->embedder);
  gsize size;
  const void *data = g_bytes_get_data (piece->vector, &size);
  if (s == NULL)
    return FALSE;
  sqlite3_bind_blob (s, 5, data, (int) size, SQLITE_STATIC);
  gboolean ok = ing_database_step (db, s, error) == 0;
  sqlite3_clear_bindings (s);
  return ok;
}

static const gint64 *
get_owner (GArray *owners, guint i)
{
  return (const gint64 *) (gpointer) (owners->data + i * 2 * sizeof (gint64));
}

static gpointer
write_func (IngDatabase *db, gpointer data, GError **error)
{
  const Whole *whole = data;
  if (!ing_database_begin (db, error))
    return NULL;
  gboolean ok = whole->row == NULL || ing_document_table_write (db, whole->row, error);
  for (guint i = 0; ok && whole->pieces != NULL && i < whole->pieces->len; i++)
    {
      const Piece *piece = whole->pieces->pdata[i];
      ok = ing_document_table_add_chunk (db, whole->id, i, piece->prefix, &piece->chunk, error)
           && (piece->vector == NULL || write_vector (db, whole->id, i, piece, error));
    }
  for (guint i = 0; ok && i < whole->owners->len; i++)
    {
      const gint64 *owner = get_owner (whole->owners, i);
      ok = ing_owner_table_add (db, owner[0], whole->id, owner[1] != 0, error);
    }
  return ing_database_end (db, ok, error) ? db : NULL;
}

static gboolean
is_same_piece (const Piece *a, const Piece *b)
{
  return strcmp (a->chunk.text, b->chunk.text) == 0 && strcmp (a->prefix, b->prefix) == 0
         && strcmp (a->chunk.path, b->chunk.path) == 0 && a->chunk.page == b->chunk.page
         && a->chunk.start == b->chunk.start && a->chunk.overlap == b->chunk.overlap
         && a->chunk.recognized == b->chunk.recognized && (a->vector == NULL) == (b->vector == NULL)
         && (a->vector == NULL
             || (a->embedder == b->embedder && a->scale == b->scale
                 && g_bytes_equal (a->vector, b->vector)));
}

static gboolean
compare (IngDocumentMerge *merge, Whole *whole, GError **error)
{
  g_autoptr (GPtrArray) again
      = ing_database_run_sync (merge->to, read_pieces_func, &whole->id, error);
  if (again == NULL)
    return FALSE;
  gboolean same = again->len == whole->pieces->len;
  for (guint i = 0; same && i < again->len; i++)
    same = is_same_piece (again->pdata[i], whole->pieces->pdata[i]);
  if (!same)
    g_propagate_error (error,
                       ing_error_new (ING_ERROR_HASH, whole->row->path, 0, 0,
                                      "a document's text reads otherwise than it was written"));
  return same;
}

/* ------------------------------------------------------------------ all */

/* Who of here uses @document, a number of there. */
static GArray *
map_owners (IngDocumentMerge *merge, GArray *pairs, gint64 document)
{
  GArray *owners = g_array_new (FALSE, FALSE, 2 * sizeof (gint64));
  for (guint i = 0; i < pairs->len; i++)
    {
      const gint64 *pair = (const gint64 *) (gpointer) (pairs->data + i * 3 * sizeof (gint64));
      const gint64 *owner
          = pair[1] == document ? g_hash_table_lookup (merge->owners, &pair[0]) : NULL;
      const gint64 own[2] = { owner != NULL ? *owner : 0, pair[2] };
      if (owner != NULL)
        g_array_append_vals (owners, own, 1);
    }
  return owners;
}

static const IngDocumentRow *
find_known (GPtrArray *here, const IngDocumentRow *row)
{
  for (guint i = 0; i < here->len; i++)
    {
      const IngDocumentRow *other = here->pdata[i];
      gboolean read = other->state == ING_DOCUMENT_WORDS || other->state == ING_DOCUMENT_READY;
      if (strcmp (other->path, row->path) == 0 && strcmp (other->hash, row->hash) == 0
          && (read || other->state == row->state))
        return other;
    }
  return NULL;
}

/* @row is taken. */
static gboolean
bring (IngDocumentMerge *merge, GPtrArray *here, IngDocumentRow *row, GArray *owners,
       GError **error)
{
  Whole whole = { .row = row, .owners = owners };
  const IngDocumentRow *known = find_known (here, row);
  gboolean ok = FALSE;
  if (known != NULL)
    {
      g_clear_pointer (&whole.row, ing_document_row_free);
      whole.id = known->id;
      ok = ing_database_run_sync (merge->to, write_func, &whole, error) != NULL;
      merge->n_known += ok;
    }
  else
    {
      whole.pieces = ing_database_run_sync (merge->from, read_pieces_func, &row->id, error);
      whole.id = row->id = ++merge->document_id;
      row->n_chunks = whole.pieces != NULL ? whole.pieces->len : 0;
      ok = whole.pieces != NULL
           && ing_database_run_sync (merge->to, write_func, &whole, error) != NULL;
    }
  /* What was written is here, whatever comparing says of it. */
  for (guint i = 0; ok && i < owners->len; i++)
    {
      const gint64 *owner = get_owner (owners, i);
      const gint64 pair[3] = { owner[0], whole.id, owner[1] };
      g_array_append_vals (merge->pairs, pair, 1);
    }
  gboolean written = ok;
  ok = ok && (known != NULL || compare (merge, &whole, error));
  g_clear_pointer (&whole.pieces, g_ptr_array_unref);
  if (known == NULL && written)
    g_ptr_array_add (merge->rows, row);
  else if (known == NULL)
    ing_document_row_free (row);
  return ok;
}

gboolean
ing_document_merge_run (IngDocumentMerge *merge, GCancellable *cancellable, GError **error)
{
  g_autoptr (GPtrArray) theirs = ing_database_run_sync (merge->from, read_rows_func, NULL, error);
  g_autoptr (GArray) pairs
      = theirs != NULL ? ing_database_run_sync (merge->from, read_owners_func, NULL, error) : NULL;
  g_autoptr (GPtrArray) here
      = pairs != NULL ? ing_database_run_sync (merge->to, read_rows_func, NULL, error) : NULL;
  gboolean ok = here != NULL;
  for (guint i = 0; ok && i < theirs->len; i++)
    {
      IngDocumentRow *row = theirs->pdata[i];
      g_autoptr (GArray) owners = map_owners (merge, pairs, row->id);
      if (owners->len == 0)
        continue;
      if (g_cancellable_set_error_if_cancelled (cancellable, error))
        return FALSE;
      theirs->pdata[i] = NULL; /* taken out of the array */
      ok = bring (merge, here, row, owners, error);
    }
  return ok;
}
