/* SPDX-License-Identifier: Apache-2.0 */
/* Two arms (ing-search-state.h), each its first ARM_DEPTH chunks: BM25 over words (any of the question's words; the
 * prefix's count double), and the exact cosine of int8 vectors. Joined by their scores, each on a scale that does not
 * depend on the model or the documents: by how many standard deviations a cosine is above the collection's mean, and the
 * part of what BM25 could give at most. (Reciprocal ranks say nothing of how sure an arm is: docs/retrieval.md.) */
#include "ing-document-search.h"

#include <string.h>

#include "ing-search-passages.h"
#include "ing-search-state.h"
#include "ing-search-text.h"

#define ARM_DEPTH 60
#define COVER_DEPTH 10
#define LONG_TERMS 10 /* a pair of CJK characters is half a word */
/* By the square: where a chunk has little of the question it was asked in other words, and which ones it shares says
 * little. Half of what is possible counts as five standard deviations. */
#define WORDS_WEIGHT 20.0
/* Nothing relevant below both this and the model's cosine; fixed on the tuning half of tests/retrieval (docs/retrieval.md). By words alone, with a
 * model that does not know the script or with none, less can be asked: of Chinese pairs few stand anywhere. */
#define FOUND_COVERAGE 0.80
#define FOUND_COVERAGE_WORDS 0.25
#define FOUND_COVERAGE_PAIRS 0.13

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

gboolean
ing_search_is_common (const char *word)
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
  for (const char *p = folded; *p != '\0' && terms->len < ING_SEARCH_MAX_TERMS;)
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
      if (ing_search_is_common (word) || lone || g_hash_table_contains (seen, word))
        continue;
      g_hash_table_add (seen, word);
      g_ptr_array_add (terms, g_steal_pointer (&word));
    }
  return g_steal_pointer (&terms);
}

gboolean
ing_search_is_latin (const char *text)
{
  guint latin = 0, others = 0;
  for (const char *p = text; *p != '\0'; p = g_utf8_next_char (p))
    {
      gunichar c = g_utf8_get_char (p);
      if (g_unichar_isalpha (c))
        (*(c < 0x250 ? &latin : &others))++;
    }
  return others == 0 || others * 4 < latin;
}

static gboolean
is_among (const char *word, const char *const *list)
{
  return word != NULL && g_strv_contains (list, word);
}

/* Does it begin as one that goes on does: "and for …", "what about …"? */
static gboolean
goes_on (char **words)
{
  static const char *const first[] = { "and", "or", "but", "then", "also", "what", "how", "why", NULL };
  if (is_among (words[0], (const char *const[]){ "what", "how", NULL }) && g_strcmp0 (words[1], "about") == 0)
    return TRUE;
  if (is_among (words[0], (const char *const[]){ "and", "or", "but", "then", "also", NULL }))
    return TRUE;
  return is_among (words[0], first) && words[1] == NULL; /* "Why?" */
}

/* Does a word of it stand for something said before? "that" often joins two clauses instead, and "it" is nothing in
 * "is it possible to". */
static gboolean
refers_back (char **words)
{
  static const char *const always[] = { "its", "they", "them", "their", "those", "these", "this", "he", "she", "him",
                                        "her", "instead", NULL };
  static const char *const before_that[] = { "is", "was", "does", "do", "did", "can", "about", "of", "for", "with",
                                             "like", "to", "in", "on", NULL };
  static const char *const idle[] = { "possible", "necessary", "safe", "ok", "okay", "allowed", "true", "better", "bad",
                                      "good", "worth", NULL };
  for (guint i = 0; words[i] != NULL; i++)
    {
      const char *next = words[i + 1];
      if (is_among (words[i], always) || (strcmp (words[i], "it") == 0 && !is_among (next, idle)))
        return TRUE;
      if (strcmp (words[i], "that") == 0 && (next == NULL || i == 0 || is_among (words[i - 1], before_that)))
        return TRUE;
    }
  return FALSE;
}

/* The same in Chinese: a word for what was said before, or a beginning that goes on. */
static gboolean
refers_back_in_chinese (const char *query)
{
  static const char *const anywhere[] = { "它", "他们", "这个", "那个", "这些", "那些", "这种", "那种", "上述", "前者", "后者" };
  static const char *const at_first[] = { "那", "还有", "另外", "此外", "这", "为什么？", "为什么?", "其" };
  for (guint i = 0; i < G_N_ELEMENTS (anywhere); i++)
    if (strstr (query, anywhere[i]) != NULL)
      return TRUE;
  for (guint i = 0; i < G_N_ELEMENTS (at_first); i++)
    if (g_str_has_prefix (query, at_first[i]))
      return TRUE;
  return g_str_has_suffix (query, "呢？") || g_str_has_suffix (query, "呢?") || g_str_has_suffix (query, "呢");
}

/* A long question says itself what it is about, whatever stands in it besides. */
static gboolean
is_long (GPtrArray *terms)
{
  guint halves = 0;
  for (guint i = 0; i < terms->len; i++)
    halves += ing_search_is_cjk (g_utf8_get_char (terms->pdata[i])) ? 1 : 2;
  return halves > 2 * LONG_TERMS;
}

char *
ing_search_make_standalone (const char *query, const char *earlier)
{
  if (earlier == NULL || *earlier == '\0')
    return g_strdup (query);
  g_auto (GStrv) words = g_str_tokenize_and_fold (query, NULL, NULL);
  g_autoptr (GPtrArray) terms = ing_search_make_terms (query);
  gboolean leans = terms->len == 0
                   || (!is_long (terms)
                       && (goes_on (words) || refers_back (words) || refers_back_in_chinese (query)));
  return leans ? g_strconcat (earlier, " ", query, NULL) : g_strdup (query);
}

/* ------------------------------------------------------------------ together */

/* How near @hit is to the question, by how many standard deviations a chunk of the collection is nearer than its mean:
 * half by the whole chunk, half by the window of it that is nearest. A chunk without a vector counts as an average one. */
static gboolean
rate_meaning (IngSearchState *state, const IngHit *hit, const IngSpread *spread, gboolean windows, double *rate,
              GError **error)
{
  double cosine;
  *rate = 0;
  if (spread->deviation <= 0 || !ing_search_state_get_cosine (state, hit->document, hit->chunk, &cosine))
    return TRUE;
  double window = cosine;
  if (windows && !ing_search_state_find_window (state, hit->chunk, &window, error))
    return FALSE;
  *rate = ((cosine + window) / 2 - spread->mean) / spread->deviation;
  return TRUE;
}

/* @words and @meaning in one, best first; NULL on error. */
static GArray *
fuse (IngSearchState *state, GArray *words, double most, GArray *meaning, const IngSpread *spread, gboolean windows,
      GError **error)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (g_int64_hash, g_int64_equal);
  g_autoptr (GArray) best = g_array_new (FALSE, FALSE, sizeof (IngHit));
  GArray *arms[] = { words, meaning };
  for (guint a = 0; a < G_N_ELEMENTS (arms); a++)
    for (guint i = 0; i < arms[a]->len; i++)
      {
        IngHit *from = &g_array_index (arms[a], IngHit, i), hit = *from;
        double rate, part = a == 0 && most > 0 ? from->score / most : 0;
        if (!g_hash_table_add (seen, &from->chunk))
          continue;
        hit.score = a == 0 ? from->score : 0;
        if (meaning->len > 0)
          {
            if (!rate_meaning (state, &hit, spread, windows, &rate, error))
              return NULL;
            hit.score = WORDS_WEIGHT * part * part + rate;
          }
        g_array_append_val (best, hit);
      }
  g_array_sort (best, ing_hit_compare);
  return g_steal_pointer (&best);
}

/* How much of the question, its rare words counting most, stands in the words of the best passages. */
static double
cover (GPtrArray *terms, GArray *words, GArray *best, const double *weights, const gint64 *counts)
{
  double total = 0, most = 0;
  g_autofree double *own = g_new0 (double, MAX (1, terms->len));
  for (guint t = 0; t < terms->len; t++)
    {
      /* A pair that stands nowhere is mostly the border of two words and says little. */
      gboolean border = counts[t] == 0 && ing_search_is_cjk (g_utf8_get_char (terms->pdata[t]));
      own[t] = border ? weights[t] / 4 : weights[t];
      total += own[t];
    }
  for (guint i = 0; i < words->len; i++)
    {
      const IngHit *hit = &g_array_index (words, IngHit, i);
      gboolean among = FALSE;
      for (guint j = 0; j < MIN (best->len, COVER_DEPTH) && !among; j++)
        among = g_array_index (best, IngHit, j).chunk == hit->chunk;
      double covered = 0;
      for (guint t = 0; t < terms->len; t++)
        covered += (hit->terms >> t & 1) != 0 ? own[t] : 0;
      most = among ? MAX (most, covered) : most;
    }
  return total > 0 ? most / total : 0;
}

static int
compare_ids (gconstpointer a, gconstpointer b)
{
  gint64 x = *(const gint64 *) a, y = *(const gint64 *) b;
  return x < y ? -1 : x > y;
}

gpointer
ing_document_search_func (IngDatabase *db, gpointer data, GError **error)
{
  IngSearchRequest *r = data;
  double weights[ING_SEARCH_MAX_TERMS] = { 0 };
  gint64 counts[ING_SEARCH_MAX_TERMS] = { 0 };
  g_autoptr (GPtrArray) terms = ing_search_make_terms (r->query);
  g_autoptr (GArray) words = g_array_new (FALSE, FALSE, sizeof (IngHit));
  g_autoptr (GArray) meaning = g_array_new (FALSE, FALSE, sizeof (IngHit));
  IngSpread spread = { 0 };
  double most = 0;
  gboolean unknown = FALSE;
  IngSearchState *state = ing_search_state_get (db, error);
  g_array_sort (r->documents, compare_ids);
  if (state == NULL
      || ((r->arms & ING_SEARCH_WORDS) != 0
          && !ing_search_state_find_words (state, r->documents, terms, ARM_DEPTH, words, weights, counts, &most, error))
      || ((r->arms & ING_SEARCH_MEANING) != 0 && r->vector != NULL
          && !ing_search_state_find_meaning (state, r->documents, r->embedder->number, r->vector, r->width, ARM_DEPTH,
                                              meaning, &spread, error))
      || !ing_search_has_unknown_name (state, r->documents, r->query, &unknown, error))
    return NULL;
  gboolean windows = (r->arms & ING_SEARCH_WINDOWS) != 0 && meaning->len > 0 && r->embedder->windows;
  g_autoptr (GArray) best = fuse (state, words, most, meaning, &spread, windows, error);
  if (best == NULL)
    return NULL;
  g_autoptr (IngFound) found = g_new0 (IngFound, 1);
  found->passages = g_ptr_array_new_with_free_func ((GDestroyNotify) ing_passage_free);
  found->by_meaning = meaning->len > 0;
  found->cosine = meaning->len > 0 ? g_array_index (meaning, IngHit, 0).score : -1;
  if (!ing_search_take_passages (db, state, best, r->documents->len, r->n, r->n_tokens, found->passages, error))
    return NULL;
  found->coverage = cover (terms, words, best, weights, counts);
  double enough = found->by_meaning                   ? FOUND_COVERAGE
                  : ing_search_is_latin (r->query) ? FOUND_COVERAGE_WORDS
                                                   : FOUND_COVERAGE_PAIRS;
  gboolean near = found->by_meaning && found->cosine >= r->embedder->cosine;
  gboolean sure = found->by_meaning && found->cosine >= r->embedder->sure;
  found->found = found->passages->len > 0 && (found->coverage >= enough || near) && (!unknown || sure);
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
