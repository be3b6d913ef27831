/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-search-passages.h"

#include <string.h>

#include "ing-chunker.h"

/* Which chunks of a document a passage holds, by their positions. */
typedef struct
{
  gint64 document, first, last;
} Span;

typedef struct
{
  gint64 id;
  guint page;
  guint64 start;
  gsize overlap;
  char *text; /* NULL = there is no such chunk */
} Piece;

static void
piece_clear (Piece *piece)
{
  g_free (piece->text);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Piece, piece_clear)

static gboolean
is_taken (GArray *spans, gint64 document, gint64 position)
{
  for (guint i = 0; i < spans->len; i++)
    {
      const Span *span = &g_array_index (spans, Span, i);
      if (span->document == document && span->first <= position && position <= span->last)
        return TRUE;
    }
  return FALSE;
}

static gboolean
read_piece (IngDatabase *db, gint64 document, gint64 position, Piece *piece, GError **error)
{
  sqlite3_stmt *s = ing_database_query (db, error,
                                        "SELECT id, page, start, overlap, text FROM chunks"
                                        " WHERE document_id = ?1 AND position = ?2",
                                        "ii", document, position);
  int rc = s != NULL ? ing_database_step (db, s, error) : -1;
  if (rc != 1)
    return rc == 0;
  piece->id = sqlite3_column_int64 (s, 0);
  piece->page = (guint) sqlite3_column_int (s, 1);
  piece->start = (guint64) sqlite3_column_int64 (s, 2);
  piece->text = ing_database_column_text (s, 4);
  piece->overlap = (gsize) CLAMP (sqlite3_column_int64 (s, 3), 0, (gint64) strlen (piece->text));
  sqlite3_reset (s);
  return TRUE;
}

static gboolean
read_position (IngDatabase *db, gint64 chunk, gint64 *position, GError **error)
{
  sqlite3_stmt *s = ing_database_query (db, error, "SELECT position FROM chunks WHERE id = ?1", "i", chunk);
  if (s == NULL || ing_database_step (db, s, error) != 1)
    return FALSE;
  *position = sqlite3_column_int64 (s, 0);
  sqlite3_reset (s);
  return TRUE;
}

/* @first and what follows it, whose first @overlap bytes end @first. Caller frees. */
static char *
join (const char *first, const char *second, gsize overlap)
{
  gsize n = strlen (first);
  const char *between = overlap == 0 && n > 0 && !g_ascii_isspace (first[n - 1]) ? "\n" : "";
  return g_strconcat (first, between, second + overlap, NULL);
}

/* @passage with @piece, which stands before or after it; NULL if that is too long or on another page. Caller frees. */
static char *
try_piece (const IngPassage *passage, const Piece *piece, gboolean after, guint most)
{
  if (piece->text == NULL || piece->page != passage->page)
    return NULL;
  g_autofree char *text = after ? join (passage->text, piece->text, piece->overlap)
                                : join (piece->text, passage->text, passage->overlap);
  return ing_chunk_estimate_tokens (text, strlen (text)) <= most ? g_steal_pointer (&text) : NULL;
}

static double
nearness (IngSearchState *state, gint64 document, const Piece *piece)
{
  double cosine = -2;
  return ing_search_state_get_cosine (state, document, piece->id, &cosine) ? cosine : -2;
}

static gboolean
widen (IngDatabase *db, IngSearchState *state, GArray *spans, guint most, Span *span, IngPassage *passage, GError **error)
{
  for (;;)
    {
      g_auto (Piece) before = { 0 }, after = { 0 };
      if ((!is_taken (spans, span->document, span->first - 1)
           && !read_piece (db, span->document, span->first - 1, &before, error))
          || (!is_taken (spans, span->document, span->last + 1)
              && !read_piece (db, span->document, span->last + 1, &after, error)))
        return FALSE;
      g_autofree char *back = try_piece (passage, &before, FALSE, most);
      g_autofree char *on = try_piece (passage, &after, TRUE, most);
      if (back == NULL && on == NULL)
        return TRUE;
      gboolean forward = on != NULL
                         && (back == NULL
                             || nearness (state, span->document, &after) >= nearness (state, span->document, &before));
      g_free (passage->text);
      passage->text = forward ? g_steal_pointer (&on) : g_steal_pointer (&back);
      if (forward)
        span->last++;
      else
        {
          span->first--;
          passage->start = before.start;
          passage->overlap = before.overlap;
        }
    }
}

gboolean
ing_search_take_passages (IngDatabase *db, IngSearchState *state, GArray *best, guint n_documents, guint n,
                          guint n_tokens, GPtrArray *passages, GError **error)
{
  guint most = n_tokens > 0 ? MIN (ING_PASSAGE_TOKENS, n_tokens / MAX (1, n)) : ING_PASSAGE_TOKENS;
  /* One long document must not hide the others; with one or two there is nothing to share out. */
  guint cap = n_documents > 2 && n > 3 ? n - 1 : n;
  g_autoptr (GHashTable) taken = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL);
  g_autoptr (GHashTable) texts = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GArray) spans = g_array_new (FALSE, FALSE, sizeof (Span));
  for (guint i = 0; i < best->len && passages->len < n; i++)
    {
      const IngHit *hit = &g_array_index (best, IngHit, i);
      Span span = { .document = hit->document };
      guint n_of_it = GPOINTER_TO_UINT (g_hash_table_lookup (taken, &hit->document));
      if (n_of_it >= cap)
        continue;
      if (!read_position (db, hit->chunk, &span.first, error))
        return FALSE;
      if (is_taken (spans, hit->document, span.first))
        continue;
      g_autoptr (IngPassage) passage = ing_document_table_dup_passage (db, hit->chunk, error);
      if (passage == NULL)
        return FALSE;
      /* A chunk that stands word for word in two documents is shown once. */
      if (!g_hash_table_add (texts, g_strdup (passage->text)))
        continue;
      span.last = span.first;
      if (!widen (db, state, spans, most, &span, passage, error))
        return FALSE;
      g_array_append_val (spans, span);
      g_hash_table_replace (taken, g_memdup2 (&hit->document, sizeof (gint64)), GUINT_TO_POINTER (n_of_it + 1));
      passage->score = hit->score;
      g_ptr_array_add (passages, g_steal_pointer (&passage));
    }
  return TRUE;
}
