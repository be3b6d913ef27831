/* SPDX-License-Identifier: Apache-2.0 */
/* Two arms, each its first ARM_DEPTH chunks: BM25 over words (any of the question's words, the prefix's count double),
 * and the exact cosine of int8 vectors. Joined by reciprocal rank (Cormack, Clarke, Büttcher 2009; k = 60). */
#include "ing-document-search.h"

#include <math.h>
#include <string.h>

#include "ing-search-text.h"

#define ARM_DEPTH 60
#define RANK_K 60.0
#define MAX_TERMS 48
/* Nothing relevant below both. Set by eye, low rather than high until an evaluation fixes them: an answer refused
 * although the passage was there is worse than one given with the nearest passages beside it. */
#define FOUND_COVERAGE 0.25
#define FOUND_COSINE 0.30

void
ing_search_request_free (IngSearchRequest *request)
{
  g_array_unref (request->documents);
  g_free (request->query);
  g_free (request->vector);
  g_free (request);
}

void
ing_found_free (IngFound *found)
{
  if (found == NULL)
    return;
  g_ptr_array_unref (found->passages);
  g_free (found);
}

/* Words that say nothing about where an answer stands. */
static const char *const common[] = {
  "a", "about", "an", "and", "any", "are", "as", "at", "be", "been", "by", "can", "could", "do", "does", "for",
  "from", "had", "has", "have", "how", "i", "if", "in", "into", "is", "it", "its", "may", "me", "my", "of", "on",
  "or", "should", "so", "such", "than", "that", "the", "their", "them", "then", "there", "these", "they", "this",
  "those", "to", "was", "we", "were", "what", "when", "where", "which", "who", "why", "will", "with", "would",
  "you", "your", "什么", "怎么", "如何", "哪些", "哪个", "为什", "么样", "怎样", "多少", "是否", "可以", "应该",
};

static gboolean
is_common (const char *word)
{
  for (guint i = 0; i < G_N_ELEMENTS (common); i++)
    if (strcmp (word, common[i]) == 0)
      return TRUE;
  return FALSE;
}

GPtrArray *
ing_search_make_terms (const char *text)
{
  g_autofree char *cut = ing_search_text_for_index (text);
  g_autofree char *folded = g_utf8_casefold (cut, -1);
  g_autoptr (GPtrArray) terms = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
  for (const char *p = folded; *p != '\0' && terms->len < MAX_TERMS;)
    {
      const char *from = p;
      while (g_unichar_isalnum (g_utf8_get_char (p)))
        p = g_utf8_next_char (p);
      if (p == from)
        {
          p = g_utf8_next_char (p);
          continue;
        }
      g_autofree char *word = g_strndup (from, (gsize) (p - from));
      /* A single CJK character ends each run in the index's form: it finds too much. */
      gboolean lone = ing_search_is_cjk (g_utf8_get_char (word)) && g_utf8_strlen (word, -1) == 1;
      if (is_common (word) || lone || g_hash_table_contains (seen, word))
        continue;
      g_hash_table_add (seen, word);
      g_ptr_array_add (terms, g_steal_pointer (&word));
    }
  return g_steal_pointer (&terms);
}

gboolean
ing_search_is_latin (const char *text)
{
  guint latin = 0, cjk = 0;
  for (const char *p = text; *p != '\0'; p = g_utf8_next_char (p))
    {
      gunichar c = g_utf8_get_char (p);
      cjk += ing_search_is_cjk (c);
      latin += c < 0x250 && g_unichar_isalpha (c);
    }
  return cjk * 4 < latin;
}

char *
ing_search_make_standalone (const char *query, const char *earlier)
{
  static const char *const leaning[] = { "it", "its", "they", "them", "their", "that", "those", "this", "these",
                                         "he", "she", "there", "one", "then", "also", "instead", NULL };
  if (earlier == NULL || *earlier == '\0')
    return g_strdup (query);
  g_auto (GStrv) words = g_str_tokenize_and_fold (query, NULL, NULL);
  g_autoptr (GPtrArray) terms = ing_search_make_terms (query);
  gboolean leans = terms->len <= 3;
  for (guint i = 0; words[i] != NULL && !leans; i++)
    leans = terms->len <= 8 && g_strv_contains (leaning, words[i]);
  for (guint i = 0; i < 6 && !leans; i++)
    leans = strstr (query, ((const char *[]){ "它", "这个", "那个", "这些", "那么", "呢" })[i]) != NULL;
  return leans ? g_strconcat (earlier, " ", query, NULL) : g_strdup (query);
}

/* ------------------------------------------------------------------ the arms */

typedef struct
{
  gint64 chunk;
  double score;
} Hit;

static int
compare_hits (gconstpointer a, gconstpointer b)
{
  const Hit *x = a, *y = b;
  if (x->score != y->score)
    return x->score < y->score ? 1 : -1;
  return x->chunk < y->chunk ? -1 : x->chunk > y->chunk;
}

static char *
make_ids (GArray *documents)
{
  g_autoptr (GString) out = g_string_new ("[");
  for (guint i = 0; i < documents->len; i++)
    g_string_append_printf (out, "%s%" G_GINT64_FORMAT, i > 0 ? "," : "", g_array_index (documents, gint64, i));
  g_string_append_c (out, ']');
  return g_string_free (g_steal_pointer (&out), FALSE);
}

static gboolean
find_words (IngDatabase *db, const char *ids, GPtrArray *terms, GArray *hits, GError **error)
{
  if (terms->len == 0)
    return TRUE;
  g_autoptr (GString) match = g_string_new (NULL);
  for (guint i = 0; i < terms->len; i++)
    g_string_append_printf (match, "%s\"%s\"", i > 0 ? " OR " : "", (char *) terms->pdata[i]);
  sqlite3_stmt *s = ing_database_query (
      db, error,
      "SELECT words.rowid, -bm25(words, 2.0, 1.0) AS score FROM words JOIN chunks c ON c.id = words.rowid"
      " WHERE words MATCH ?1 AND c.document_id IN (SELECT value FROM json_each(?2))"
      " ORDER BY score DESC LIMIT ?3",
      "tti", match->str, ids, (gint64) ARM_DEPTH);
  int rc = -1;
  while (s != NULL && (rc = ing_database_step (db, s, error)) == 1)
    {
      Hit hit = { sqlite3_column_int64 (s, 0), sqlite3_column_double (s, 1) };
      g_array_append_val (hits, hit);
    }
  return rc == 0;
}

/* Written so that the compiler makes pmaddwd of it on each x86-64. */
static gint32
dot (const gint8 *a, const gint16 *b, guint n)
{
  gint32 sum = 0;
  for (guint i = 0; i < n; i++)
    sum += a[i] * b[i];
  return sum;
}

static gboolean
find_meaning (IngDatabase *db, const char *ids, const IngSearchRequest *r, GArray *hits, GError **error)
{
  g_autofree gint16 *query = g_new (gint16, r->width);
  float most = 1e-12f;
  for (guint i = 0; i < r->width; i++)
    most = MAX (most, fabsf (r->vector[i]));
  for (guint i = 0; i < r->width; i++)
    query[i] = (gint16) lrintf (r->vector[i] / most * 127);
  sqlite3_stmt *s = ing_database_query (db, error,
                                        "SELECT chunk_id, scale, data FROM vectors"
                                        " WHERE document_id IN (SELECT value FROM json_each(?1))",
                                        "t", ids);
  int rc = -1;
  while (s != NULL && (rc = ing_database_step (db, s, error)) == 1)
    {
      if ((guint) sqlite3_column_bytes (s, 2) != r->width) /* of another model */
        continue;
      gint32 sum = dot (sqlite3_column_blob (s, 2), query, r->width);
      Hit hit = { sqlite3_column_int64 (s, 0), sum * sqlite3_column_double (s, 1) * most / 127 };
      g_array_append_val (hits, hit);
    }
  g_array_sort (hits, compare_hits);
  if (hits->len > ARM_DEPTH)
    g_array_set_size (hits, ARM_DEPTH);
  return rc == 0;
}

/* ------------------------------------------------------------------ together */

static void
fuse (GHashTable *scores, GArray *hits, double weight)
{
  for (guint i = 0; i < hits->len; i++)
    {
      const Hit *hit = &g_array_index (hits, Hit, i);
      double *score = g_hash_table_lookup (scores, &hit->chunk);
      if (score == NULL)
        {
          gint64 *key = g_memdup2 (&hit->chunk, sizeof (gint64));
          score = g_new0 (double, 1);
          g_hash_table_insert (scores, key, score);
        }
      *score += weight / (RANK_K + i + 1);
    }
}

/* How much of the question, its rare words counting most, stands in the words of the best passages. */
static double
cover (IngDatabase *db, GPtrArray *terms, GArray *best)
{
  double n_chunks = (double) MAX (1, ing_database_get_number (db, "SELECT count(*) FROM chunks", 1));
  double total = 0, most = 0;
  g_autofree double *weights = g_new0 (double, MAX (1, terms->len));
  g_autofree double *covered = g_new0 (double, MAX (1, best->len));
  for (guint t = 0; t < terms->len; t++)
    {
      g_autofree char *match = g_strdup_printf ("\"%s\"", (char *) terms->pdata[t]);
      sqlite3_stmt *s = ing_database_query (db, NULL, "SELECT rowid FROM words WHERE words MATCH ?1", "t", match);
      double n = 0;
      g_autofree gboolean *here = g_new0 (gboolean, MAX (1, best->len));
      while (s != NULL && ing_database_step (db, s, NULL) == 1)
        {
          n++;
          for (guint i = 0; i < best->len; i++)
            here[i] = here[i] || g_array_index (best, Hit, i).chunk == sqlite3_column_int64 (s, 0);
        }
      weights[t] = log (1 + n_chunks / (n + 0.5));
      /* A pair that stands nowhere is mostly the border of two words and says little. */
      if (n == 0 && ing_search_is_cjk (g_utf8_get_char (terms->pdata[t])))
        weights[t] /= 4;
      total += weights[t];
      for (guint i = 0; i < best->len; i++)
        covered[i] += here[i] ? weights[t] : 0;
    }
  for (guint i = 0; i < best->len; i++)
    most = MAX (most, covered[i]);
  return total > 0 ? most / total : 0;
}

static gboolean
take_best (IngDatabase *db, const IngSearchRequest *r, GArray *best, IngFound *found, GError **error)
{
  /* One long document must not hide the others; with one or two there is nothing to share out. */
  guint cap = r->documents->len > 2 ? MAX (3, r->n * 2 / 3) : r->n;
  g_autoptr (GHashTable) taken = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL);
  for (guint i = 0; i < best->len && found->passages->len < r->n; i++)
    {
      const Hit *hit = &g_array_index (best, Hit, i);
      g_autoptr (IngPassage) passage = ing_document_table_dup_passage (db, hit->chunk, error);
      if (passage == NULL)
        return FALSE;
      guint n = GPOINTER_TO_UINT (g_hash_table_lookup (taken, &passage->document_id));
      if (n >= cap)
        continue;
      g_hash_table_replace (taken, g_memdup2 (&passage->document_id, sizeof (gint64)), GUINT_TO_POINTER (n + 1));
      passage->score = hit->score;
      g_ptr_array_add (found->passages, g_steal_pointer (&passage));
    }
  return TRUE;
}

gpointer
ing_document_search_func (IngDatabase *db, gpointer data, GError **error)
{
  IngSearchRequest *r = data;
  g_autofree char *ids = make_ids (r->documents);
  g_autoptr (GPtrArray) terms = ing_search_make_terms (r->query);
  g_autoptr (GArray) words = g_array_new (FALSE, FALSE, sizeof (Hit));
  g_autoptr (GArray) meaning = g_array_new (FALSE, FALSE, sizeof (Hit));
  g_autoptr (GArray) best = g_array_new (FALSE, FALSE, sizeof (Hit));
  if ((r->arms & ING_SEARCH_WORDS) != 0 && !find_words (db, ids, terms, words, error))
    return NULL;
  if ((r->arms & ING_SEARCH_MEANING) != 0 && r->vector != NULL && !find_meaning (db, ids, r, meaning, error))
    return NULL;
  g_autoptr (GHashTable) scores = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, g_free);
  fuse (scores, words, 1);
  fuse (scores, meaning, 1);
  GHashTableIter iter;
  gpointer chunk, score;
  g_hash_table_iter_init (&iter, scores);
  while (g_hash_table_iter_next (&iter, &chunk, &score))
    {
      Hit hit = { *(gint64 *) chunk, *(double *) score };
      g_array_append_val (best, hit);
    }
  g_array_sort (best, compare_hits);
  g_autoptr (IngFound) found = g_new0 (IngFound, 1);
  found->passages = g_ptr_array_new_with_free_func ((GDestroyNotify) ing_passage_free);
  found->by_meaning = meaning->len > 0;
  found->cosine = meaning->len > 0 ? g_array_index (meaning, Hit, 0).score : -1;
  if (!take_best (db, r, best, found, error))
    return NULL;
  if (best->len > 10)
    g_array_set_size (best, 10);
  found->coverage = cover (db, terms, best);
  found->found = found->passages->len > 0
                 && (found->coverage >= FOUND_COVERAGE || found->cosine >= FOUND_COSINE);
  return g_steal_pointer (&found);
}

gpointer
ing_document_read_func (IngDatabase *db, gpointer data, GError **error)
{
  IngSearchRequest *r = data;
  g_autoptr (GArray) chunks = g_array_new (FALSE, FALSE, sizeof (gint64));
  for (guint i = 0; i < r->documents->len; i++)
    if (!ing_document_table_list_chunks (db, g_array_index (r->documents, gint64, i), G_MAXINT, chunks, error))
      return NULL;
  g_autoptr (IngFound) found = g_new0 (IngFound, 1);
  found->passages = g_ptr_array_new_with_free_func ((GDestroyNotify) ing_passage_free);
  found->found = chunks->len > 0;
  found->coverage = 1;
  found->cosine = -1;
  guint n = MIN (r->n, chunks->len);
  for (guint i = 0; i < n; i++)
    {
      guint at = (guint) ((guint64) i * chunks->len / n);
      IngPassage *passage = ing_document_table_dup_passage (db, g_array_index (chunks, gint64, at), error);
      if (passage == NULL)
        return NULL;
      g_ptr_array_add (found->passages, passage);
    }
  return g_steal_pointer (&found);
}
