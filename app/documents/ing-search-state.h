/* SPDX-License-Identifier: Apache-2.0 */
/* What searches keep in memory between two questions, one for each connection, until it closes: all vectors as int8,
 * and the ranking of words. On the database's thread. */
#pragma once

#include "ing-database.h"

#define ING_SEARCH_MAX_TERMS 48

typedef struct
{
  gint64 document, chunk;
  double score;
  guint64 terms; /* bit i: the question's word i stands in it; words only */
} IngHit;

/* Best first; equal ones in the order of their chunks. */
int ing_hit_compare (gconstpointer a, gconstpointer b);

typedef struct _IngSearchState IngSearchState;

/* The one of @db's connection, made at its first use; NULL on error. Borrowed. */
IngSearchState *ing_search_state_get (IngDatabase *db, GError **error);

/* How the cosines of all chunks that were looked at lie. */
typedef struct
{
  double mean, deviation; /* the standard one; 0 for fewer than two chunks */
} IngSpread;

/* The first @n chunks of @documents (sorted ids) by the exact cosine with @query, a vector by the model @embedder, best
 * first. Vectors by another one, or of another width, are not looked at. FALSE on error. */
gboolean ing_search_state_find_meaning (IngSearchState *self, GArray *documents, guint embedder, const float *query,
                                        guint width, guint n, GArray *hits, IngSpread *spread, GError **error);
/* The cosine of @chunk of @document with the query of the last find_meaning(); FALSE where it has no vector of that
 * model. */
gboolean ing_search_state_get_cosine (IngSearchState *self, gint64 document, gint64 chunk, double *cosine);
/* …of the window of @chunk that is nearest to it (ing-search-windows.h); @cosine stays where it has none. FALSE on error. */
gboolean ing_search_state_find_window (IngSearchState *self, gint64 chunk, double *cosine, GError **error);
/* …by BM25 over words, the prefix's counting double: one query for all @terms. @weights (of ING_SEARCH_MAX_TERMS) is
 * how rare each is: log (1 + chunks / (chunks with it + 0.5)); @counts: the chunks with it; @most: what the score of a
 * chunk that holds each of the words very often comes near to. */
gboolean ing_search_state_find_words (IngSearchState *self, GArray *documents, GPtrArray *terms, guint n, GArray *hits,
                                      double *weights, gint64 *counts, double *most, GError **error);
/* Does @term stand in one of @documents? */
gboolean ing_search_state_has_word (IngSearchState *self, GArray *documents, const char *term, gboolean *has,
                                    GError **error);
