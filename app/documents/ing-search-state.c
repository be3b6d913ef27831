/* SPDX-License-Identifier: Apache-2.0 */
/* Invariants:
 *  1. rows is sorted by document, chunk and holds the chunks of the table "vectors" as of n_changes.
 *  2. A row's vector does not change: chunk ids are never used twice, a chunk gets its vector once by each model, and
 *     rows are of one model.
 *  3. Each row with a slot has one of its own; free_slots are the others below n_slots. */
#include "ing-search-state.h"

#include <math.h>
#include <string.h>

#define NO_SLOT G_MAXUINT32
#define BM25_K1 1.2
#define BM25_B 0.75
#define PREFIX_WEIGHT 2.0
/* Among so many chunks a word of each fourth is not looked for while rarer ones are there: reading where it stands
 * would cost more than all the others, and it says little. */
#define MANY_CHUNKS 20000
#define OFTEN 4
#define MOST_SEEN 4096u

typedef struct
{
  gint64 document, chunk;
  guint32 slot;
  float scale;
} Row;

struct _IngSearchState
{
  IngDatabase *db; /* outlives its connection */
  gint64 n_changes;
  guint embedder, width;
  GArray *rows;
  GByteArray *data;
  GArray *free_slots;
  guint32 n_slots;
  GArray *query; /* of gint16, 127 times the last question's vector by its largest part */
  double query_scale;
  GHashTable *seen; /* word → gint64, the chunks it stands in, of the tables as of seen_changes: words of each question are mostly those that stand
                     * everywhere, and it is these that take long to count */
  gint64 seen_changes;
  /* of the query that runs */
  guint64 known; /* bit i: counts[i] was seen before */
  gboolean counted;
  gint64 n_rows;
  double average;
  double least; /* what a row must reach */
  guint n_phrases, term_of[ING_SEARCH_MAX_TERMS]; /* each phrase's word of the question */
  gint64 counts[ING_SEARCH_MAX_TERMS];
  double rarity[ING_SEARCH_MAX_TERMS]; /* of each phrase: BM25's factor */
};

static GMutex lock;
static GHashTable *states; /* connection → state */

/* ------------------------------------------------------------------ words */

static int
count_row (const Fts5ExtensionApi *api, Fts5Context *context, void *data)
{
  (void) api;
  (void) context;
  ++*(gint64 *) data;
  return SQLITE_OK;
}

static gboolean
is_known (const IngSearchState *self, guint i)
{
  return (self->known >> i & 1) != 0;
}

/* ing_count (words): how many chunks each word stands in; for the first row only. */
static void
count (const Fts5ExtensionApi *api, Fts5Context *context, sqlite3_context *result, int n_args, sqlite3_value **args)
{
  IngSearchState *self = api->xUserData (context);
  (void) n_args;
  (void) args;
  sqlite3_int64 n_tokens = 0, n_rows = 0;
  int n_terms = MIN (api->xPhraseCount (context), ING_SEARCH_MAX_TERMS);
  int rc = self->counted ? SQLITE_OK : api->xRowCount (context, &n_rows);
  if (rc == SQLITE_OK && !self->counted)
    rc = api->xColumnTotalSize (context, -1, &n_tokens);
  for (int i = 0; i < n_terms && rc == SQLITE_OK && !self->counted; i++)
    if (!is_known (self, (guint) i))
      rc = api->xQueryPhrase (context, i, &self->counts[i], count_row);
  if (rc == SQLITE_OK && !self->counted)
    {
      self->n_rows = MAX (1, n_rows);
      self->average = MAX (1.0, (double) n_tokens / (double) self->n_rows);
      self->counted = TRUE;
    }
  if (rc != SQLITE_OK)
    sqlite3_result_error_code (result, rc);
}

static double
score (const IngSearchState *self, const double *frequency, double length)
{
  double sum = 0, norm = BM25_K1 * (1 - BM25_B + BM25_B * length / self->average);
  for (guint i = 0; i < self->n_phrases; i++)
    if (frequency[i] > 0)
      sum += self->rarity[i] * frequency[i] / (frequency[i] + norm);
  return sum;
}

static void
keep_rarity (IngSearchState *self)
{
  for (guint i = 0; i < self->n_phrases; i++)
    {
      double n = (double) self->counts[self->term_of[i]];
      self->rarity[i] = (BM25_K1 + 1) * MAX (1e-6, log (((double) self->n_rows - n + 0.5) / (n + 0.5)));
    }
}

/* ing_rank (words): an IngHit as a blob, without its chunk; NULL for one that is not among the best. */
static void
rank (const Fts5ExtensionApi *api, Fts5Context *context, sqlite3_context *result, int n_args, sqlite3_value **args)
{
  IngSearchState *self = api->xUserData (context);
  (void) n_args;
  (void) args;
  double frequency[ING_SEARCH_MAX_TERMS] = { 0 };
  int rc = SQLITE_OK, length = 0;
  IngHit hit = { 0 };
  for (guint i = 0; i < self->n_phrases && rc == SQLITE_OK; i++)
    {
      Fts5PhraseIter iter;
      int column, offset;
      for (rc = api->xPhraseFirst (context, (int) i, &iter, &column, &offset); rc == SQLITE_OK && column >= 0;
           api->xPhraseNext (context, &iter, &column, &offset))
        frequency[i] += column == 0 ? PREFIX_WEIGHT : 1;
      if (frequency[i] > 0)
        hit.terms |= G_GUINT64_CONSTANT (1) << self->term_of[i];
    }
  /* How long the chunk is costs a reading: not for one that would be too bad if it were empty. */
  if (rc == SQLITE_OK && score (self, frequency, 0) < self->least)
    return;
  if (rc == SQLITE_OK)
    rc = api->xColumnSize (context, -1, &length);
  hit.score = score (self, frequency, length);
  if (rc != SQLITE_OK)
    sqlite3_result_error_code (result, rc);
  else if (hit.score >= self->least)
    sqlite3_result_blob (result, &hit, sizeof hit, SQLITE_TRANSIENT);
}

int
ing_hit_compare (gconstpointer a, gconstpointer b)
{
  const IngHit *x = a, *y = b;
  if (x->score != y->score)
    return x->score < y->score ? 1 : -1;
  return x->chunk < y->chunk ? -1 : x->chunk > y->chunk;
}

/* The best @n so far: @hits grows to twice as many before it is cut. Returns what a new one must reach. */
static double
keep_best (GArray *hits, const IngHit *hit, guint n, double least)
{
  g_array_append_val (hits, *hit);
  if (hits->len < 2 * n)
    return least;
  g_array_sort (hits, ing_hit_compare);
  g_array_set_size (hits, n);
  return g_array_index (hits, IngHit, n - 1).score;
}

static void
finish_best (GArray *hits, guint n)
{
  g_array_sort (hits, ing_hit_compare);
  if (hits->len > n)
    g_array_set_size (hits, n);
}

static int
compare_ids (gconstpointer a, gconstpointer b)
{
  gint64 x = *(const gint64 *) a, y = *(const gint64 *) b;
  return x < y ? -1 : x > y;
}

static gboolean
is_of (gint64 document, GArray *documents)
{
  return g_array_binary_search (documents, &document, compare_ids, NULL);
}

/* "a" OR "b" …, of the words that @self->term_of names. Caller frees. */
static char *
make_match (IngSearchState *self, GPtrArray *terms)
{
  g_autoptr (GString) match = g_string_new (NULL);
  for (guint i = 0; i < self->n_phrases; i++)
    g_string_append_printf (match, "%s\"%s\"", i > 0 ? " OR " : "", (char *) terms->pdata[self->term_of[i]]);
  return g_string_free (g_steal_pointer (&match), FALSE);
}

static void
look_at_seen (IngSearchState *self, GPtrArray *terms)
{
  gint64 changes = sqlite3_total_changes64 (ing_database_get_handle (self->db));
  self->known = 0;
  if (changes != self->seen_changes || g_hash_table_size (self->seen) > MOST_SEEN)
    g_hash_table_remove_all (self->seen);
  self->seen_changes = changes;
  for (guint i = 0; i < self->n_phrases; i++)
    {
      const gint64 *n = g_hash_table_lookup (self->seen, terms->pdata[i]);
      self->counts[i] = n != NULL ? *n : 0;
      self->known |= (guint64) (n != NULL) << i;
    }
}

static gboolean
count_words (IngSearchState *self, GPtrArray *terms, GError **error)
{
  self->n_phrases = MIN (terms->len, ING_SEARCH_MAX_TERMS);
  for (guint i = 0; i < self->n_phrases; i++)
    self->term_of[i] = i;
  look_at_seen (self, terms);
  g_autofree char *match = make_match (self, terms);
  sqlite3_stmt *s = ing_database_query (self->db, error,
                                        "SELECT ing_count(words) FROM words WHERE words MATCH ?1 LIMIT 1", "t", match);
  int rc = s != NULL ? ing_database_step (self->db, s, error) : -1;
  if (rc == 1)
    sqlite3_reset (s);
  for (guint i = 0; i < self->n_phrases && rc >= 0; i++)
    if (!is_known (self, i))
      g_hash_table_insert (self->seen, g_strdup (terms->pdata[i]), g_memdup2 (&self->counts[i], sizeof self->counts[i]));
  return rc >= 0;
}

/* Only words that are worth it stay. */
static void
drop_frequent (IngSearchState *self)
{
  gint64 rest = 0;
  guint n = 0;
  if (self->n_rows < MANY_CHUNKS)
    return;
  for (guint i = 0; i < self->n_phrases; i++)
    if (self->counts[i] * OFTEN <= self->n_rows)
      rest += self->counts[i];
  for (guint i = 0; rest > 0 && i < self->n_phrases; i++)
    if (self->counts[i] * OFTEN <= self->n_rows)
      self->term_of[n++] = i;
  if (n > 0)
    self->n_phrases = n;
}

static gboolean
stands_in (IngSearchState *self, gint64 chunk, GArray *documents, gint64 *document, gboolean *there, GError **error)
{
  sqlite3_stmt *s = ing_database_query (self->db, error, "SELECT document_id FROM chunks WHERE id = ?1", "i", chunk);
  int rc = s != NULL ? ing_database_step (self->db, s, error) : -1;
  *document = rc == 1 ? sqlite3_column_int64 (s, 0) : -1;
  *there = rc == 1 && is_of (*document, documents);
  if (rc == 1)
    sqlite3_reset (s);
  return rc >= 0;
}

gboolean
ing_search_state_find_words (IngSearchState *self, GArray *documents, GPtrArray *terms, guint n, GArray *hits,
                             double *weights, gint64 *counts, double *most, GError **error)
{
  *most = 0;
  self->counted = FALSE;
  self->n_rows = 1;
  self->least = -1;
  memset (self->counts, 0, sizeof self->counts);
  if (terms->len == 0)
    return TRUE;
  if (!count_words (self, terms, error))
    return FALSE;
  drop_frequent (self);
  keep_rarity (self);
  g_autofree char *match = make_match (self, terms);
  sqlite3_stmt *s = ing_database_query (self->db, error,
                                        "SELECT rowid, ing_rank(words) FROM words WHERE words MATCH ?1", "t", match);
  int rc = -1;
  while (s != NULL && (rc = ing_database_step (self->db, s, error)) == 1)
    {
      IngHit hit;
      gboolean there = FALSE;
      if (sqlite3_column_bytes (s, 1) != sizeof hit)
        continue;
      memcpy (&hit, sqlite3_column_blob (s, 1), sizeof hit);
      hit.chunk = sqlite3_column_int64 (s, 0);
      if (!stands_in (self, hit.chunk, documents, &hit.document, &there, error))
        {
          sqlite3_reset (s);
          return FALSE;
        }
      if (there)
        self->least = keep_best (hits, &hit, n, self->least);
    }
  finish_best (hits, n);
  for (guint i = 0; i < MIN (terms->len, ING_SEARCH_MAX_TERMS); i++)
    {
      counts[i] = self->counts[i];
      weights[i] = log (1 + (double) self->n_rows / ((double) self->counts[i] + 0.5));
      *most += weights[i] * (BM25_K1 + 1);
    }
  return rc == 0;
}

gboolean
ing_search_state_has_word (IngSearchState *self, GArray *documents, const char *term, gboolean *has, GError **error)
{
  g_autofree char *match = g_strdup_printf ("\"%s\"", term);
  sqlite3_stmt *s = ing_database_query (self->db, error, "SELECT rowid FROM words WHERE words MATCH ?1", "t", match);
  gint64 document;
  int rc = -1;
  *has = FALSE;
  while (s != NULL && !*has && (rc = ing_database_step (self->db, s, error)) == 1)
    if (!stands_in (self, sqlite3_column_int64 (s, 0), documents, &document, has, error))
      rc = -1;
  if (*has || rc == -1)
    sqlite3_reset (s);
  return rc >= 0;
}

/* ------------------------------------------------------------------ vectors */

/* The chunk's vector, then its windows'. */
static gboolean
has_vectors (const IngSearchState *self, guint n_bytes)
{
  return n_bytes >= self->width && n_bytes % self->width == 0;
}

static gboolean
load_vector (IngSearchState *self, Row *row, GError **error)
{
  sqlite3_stmt *s = ing_database_query (self->db, error, "SELECT scale, data FROM vectors WHERE chunk_id = ?1", "i",
                                        row->chunk);
  if (s == NULL || ing_database_step (self->db, s, error) != 1)
    return FALSE;
  row->slot = NO_SLOT;
  if (has_vectors (self, (guint) sqlite3_column_bytes (s, 1)))
    {
      if (self->free_slots->len > 0)
        {
          row->slot = g_array_index (self->free_slots, guint32, self->free_slots->len - 1);
          g_array_set_size (self->free_slots, self->free_slots->len - 1);
        }
      else
        {
          row->slot = self->n_slots++;
          g_byte_array_set_size (self->data, self->n_slots * self->width);
        }
      memcpy (self->data->data + (gsize) row->slot * self->width, sqlite3_column_blob (s, 1), self->width);
      row->scale = (float) sqlite3_column_double (s, 0);
    }
  sqlite3_reset (s);
  return TRUE;
}

/* What was read is kept, what is new is read, what is gone is dropped. */
static gboolean
merge_rows (IngSearchState *self, GArray *now, GError **error)
{
  guint old = 0;
  for (guint i = 0; i < now->len; i++)
    {
      Row *row = &g_array_index (now, Row, i);
      const Row *before = NULL;
      for (; old < self->rows->len; old++)
        {
          before = &g_array_index (self->rows, Row, old);
          if (before->document > row->document || (before->document == row->document && before->chunk >= row->chunk))
            break;
          if (before->slot != NO_SLOT)
            g_array_append_val (self->free_slots, before->slot);
        }
      if (old < self->rows->len && before->document == row->document && before->chunk == row->chunk)
        {
          *row = *before;
          old++;
        }
      else if (!load_vector (self, row, error))
        return FALSE;
    }
  for (; old < self->rows->len; old++)
    if (g_array_index (self->rows, Row, old).slot != NO_SLOT)
      g_array_append_val (self->free_slots, g_array_index (self->rows, Row, old).slot);
  g_array_unref (self->rows);
  self->rows = g_array_ref (now);
  return TRUE;
}

static void
forget (IngSearchState *self)
{
  g_array_set_size (self->rows, 0);
  g_array_set_size (self->free_slots, 0);
  g_byte_array_set_size (self->data, 0);
  self->n_slots = 0;
  self->n_changes = -1;
}

static gboolean
update (IngSearchState *self, guint embedder, guint width, GError **error)
{
  gint64 changes = sqlite3_total_changes64 (ing_database_get_handle (self->db));
  if (self->width != width || self->embedder != embedder)
    forget (self);
  self->width = width;
  self->embedder = embedder;
  if (changes == self->n_changes)
    return TRUE;
  g_autoptr (GArray) now = g_array_new (FALSE, TRUE, sizeof (Row));
  sqlite3_stmt *s = ing_database_query (self->db, error,
                                        "SELECT document_id, chunk_id FROM vectors INDEXED BY vectors_by_document"
                                        " WHERE embedder = ?1 ORDER BY document_id, chunk_id",
                                        "i", (gint64) embedder);
  int rc = -1;
  while (s != NULL && (rc = ing_database_step (self->db, s, error)) == 1)
    {
      Row row = { sqlite3_column_int64 (s, 0), sqlite3_column_int64 (s, 1), NO_SLOT, 0 };
      g_array_append_val (now, row);
    }
  if (rc != 0 || !merge_rows (self, now, error))
    {
      forget (self);
      return FALSE;
    }
  self->n_changes = changes;
  return TRUE;
}

/* Written so that the compiler makes pmaddwd of it on each x86-64; in wider ones where they are (100,000
 * chunks: 7.4 ms with SSE2). */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
__attribute__ ((target_clones ("avx2", "default")))
#endif
static gint32
dot (const gint8 *a, const gint16 *b, guint n)
{
  gint32 sum = 0;
  for (guint i = 0; i < n; i++)
    sum += a[i] * b[i];
  return sum;
}

static void
keep_query (IngSearchState *self, const float *query)
{
  float most = 1e-12f;
  g_array_set_size (self->query, self->width);
  for (guint i = 0; i < self->width; i++)
    most = MAX (most, fabsf (query[i]));
  for (guint i = 0; i < self->width; i++)
    g_array_index (self->query, gint16, i) = (gint16) lrintf (query[i] / most * 127);
  self->query_scale = most / 127;
}

/* The scan goes through the slots mostly in turn: some 6 KB ahead of it vectors are asked for. Beyond the end nothing happens. */
static void
fetch_ahead (const IngSearchState *self, const Row *row)
{
  guint ahead = 6144 / self->width + 1;
  const guint8 *at = self->data->data + ((gsize) row->slot + ahead) * self->width;
  for (guint i = 0; i < self->width; i += 64)
    __builtin_prefetch (at + i);
}

/* @row has a slot. */
static double
get_cosine (const IngSearchState *self, const Row *row)
{
  const gint8 *vector = (const gint8 *) self->data->data + (gsize) row->slot * self->width;
  return (double) dot (vector, (const gint16 *) (gpointer) self->query->data, self->width) * row->scale * self->query_scale;
}

static int
compare_rows (gconstpointer a, gconstpointer b)
{
  const Row *x = a, *y = b;
  return x->document != y->document ? (x->document < y->document ? -1 : 1)
                                    : x->chunk < y->chunk ? -1 : x->chunk > y->chunk;
}

gboolean
ing_search_state_get_cosine (IngSearchState *self, gint64 document, gint64 chunk, double *cosine)
{
  Row row = { document, chunk, NO_SLOT, 0 };
  guint at;
  if (!g_array_binary_search (self->rows, &row, compare_rows, &at) || self->query->len != self->width
      || g_array_index (self->rows, Row, at).slot == NO_SLOT)
    return FALSE;
  *cosine = get_cosine (self, &g_array_index (self->rows, Row, at));
  return TRUE;
}

/* Windows have no scale of their own: the vectors they stand for have length 1. */
static double
get_window_cosine (const IngSearchState *self, const gint8 *vector)
{
  gint32 squares = 0;
  for (guint i = 0; i < self->width; i++)
    squares += vector[i] * vector[i];
  gint32 product = dot (vector, (const gint16 *) (gpointer) self->query->data, self->width);
  return squares > 0 ? product * self->query_scale / sqrt (squares) : 0;
}

gboolean
ing_search_state_find_window (IngSearchState *self, gint64 chunk, double *cosine, GError **error)
{
  sqlite3_stmt *s = ing_database_query (self->db, error,
                                        "SELECT data FROM vectors WHERE chunk_id = ?1 AND embedder = ?2", "ii", chunk,
                                        (gint64) self->embedder);
  int rc = s != NULL ? ing_database_step (self->db, s, error) : -1;
  if (rc != 1)
    return rc == 0;
  guint n_bytes = (guint) sqlite3_column_bytes (s, 0);
  const gint8 *data = sqlite3_column_blob (s, 0);
  double best = -2;
  for (guint at = self->width; has_vectors (self, n_bytes) && at < n_bytes; at += self->width)
    best = MAX (best, get_window_cosine (self, data + at));
  if (best > -2)
    *cosine = best;
  sqlite3_reset (s);
  return TRUE;
}

gboolean
ing_search_state_find_meaning (IngSearchState *self, GArray *documents, guint embedder, const float *query,
                               guint width, guint n, GArray *hits, IngSpread *spread, GError **error)
{
  if (width == 0 || !update (self, embedder, width, error))
    return FALSE;
  keep_query (self, query);
  double least = -2, sum = 0, squares = 0;
  guint n_seen = 0;
  gint64 document = -1;
  gboolean wanted = FALSE;
  for (guint i = 0; i < self->rows->len; i++)
    {
      const Row *row = &g_array_index (self->rows, Row, i);
      if (i == 0 || row->document != document)
        wanted = is_of (row->document, documents);
      document = row->document;
      if (!wanted || row->slot == NO_SLOT)
        continue;
      fetch_ahead (self, row);
      IngHit hit = { row->document, row->chunk, get_cosine (self, row), 0 };
      sum += hit.score;
      squares += hit.score * hit.score;
      n_seen++;
      if (hit.score >= least)
        least = keep_best (hits, &hit, n, least);
    }
  finish_best (hits, n);
  spread->mean = n_seen > 0 ? sum / n_seen : 0;
  spread->deviation = n_seen > 1 ? sqrt (MAX (0, squares / n_seen - spread->mean * spread->mean)) : 0;
  return TRUE;
}

/* ------------------------------------------------------------------ of a connection */

/* When the connection closes. */
static void
state_free (void *data)
{
  IngSearchState *self = data;
  GHashTableIter iter;
  gpointer handle, state;
  g_mutex_lock (&lock);
  g_hash_table_iter_init (&iter, states);
  while (g_hash_table_iter_next (&iter, &handle, &state))
    if (state == self)
      g_hash_table_iter_remove (&iter);
  g_mutex_unlock (&lock);
  g_array_unref (self->rows);
  g_array_unref (self->free_slots);
  g_byte_array_unref (self->data);
  g_array_unref (self->query);
  g_hash_table_unref (self->seen);
  g_free (self);
}

IngSearchState *
ing_search_state_get (IngDatabase *db, GError **error)
{
  sqlite3 *handle = ing_database_get_handle (db);
  g_mutex_lock (&lock);
  if (states == NULL)
    states = g_hash_table_new (NULL, NULL);
  IngSearchState *self = g_hash_table_lookup (states, handle);
  g_mutex_unlock (&lock);
  if (self != NULL)
    return self;
  fts5_api *api = NULL;
  sqlite3_stmt *s = NULL;
  int rc = sqlite3_prepare_v2 (handle, "SELECT fts5(?1)", -1, &s, NULL);
  if (rc == SQLITE_OK)
    {
      sqlite3_bind_pointer (s, 1, &api, "fts5_api_ptr", NULL);
      sqlite3_step (s);
      sqlite3_finalize (s);
    }
  if (api == NULL)
    {
      g_propagate_error (error, ing_database_make_error (db, SQLITE_ERROR, "looking for words"));
      return NULL;
    }
  self = g_new0 (IngSearchState, 1);
  self->db = db;
  self->n_changes = -1;
  self->rows = g_array_new (FALSE, TRUE, sizeof (Row));
  self->free_slots = g_array_new (FALSE, FALSE, sizeof (guint32));
  self->data = g_byte_array_new ();
  self->query = g_array_new (FALSE, TRUE, sizeof (gint16));
  self->seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  g_mutex_lock (&lock);
  g_hash_table_insert (states, handle, self);
  g_mutex_unlock (&lock);
  rc = api->xCreateFunction (api, "ing_count", self, count, NULL);
  if (rc == SQLITE_OK)
    rc = api->xCreateFunction (api, "ing_rank", self, rank, state_free);
  if (rc == SQLITE_OK)
    return self;
  state_free (self);
  g_propagate_error (error, ing_database_make_error (db, rc, "looking for words"));
  return NULL;
}
