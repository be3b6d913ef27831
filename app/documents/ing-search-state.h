/* SPDX-License-Identifier: Apache-2.0 */
/* What searches keep in memory between two questions, one for each connection, until it closes: all vectors as int8,
 * and the ranking of words. On the database's thread. */
#pragma once

#include "ing-database.h"

#define ING_SEARCH_MAX_TERMS 48

typedef struct
{
  gint64 chunk;
  double score;
  guint64 terms; /* bit i: the question's word i stands in it; words only */
} IngHit;

/* Best first; equal ones in the order of their chunks. */
int ing_hit_compare (gconstpointer a, gconstpointer b);

typedef struct _IngSearchState IngSearchState;

/* The one of @db's connection, made at its first use; NULL on error. Borrowed. */
IngSearchState *ing_search_state_get (IngDatabase *db, GError **error);

/* The first @n chunks of @documents (sorted ids) by the exact cosine with @query, a vector by the model @embedder, best
 * first. Vectors by another one, or of another width, are not looked at. FALSE on error. */
gboolean ing_search_state_find_meaning (IngSearchState *self, GArray *documents, guint embedder, const float *query,
                                        guint width, guint n, GArray *hits, GError **error);
/* …by BM25 over words, the prefix's counting double: one query for all @terms. @weights (of ING_SEARCH_MAX_TERMS) is
 * how rare each is: log (1 + chunks / (chunks with it + 0.5)); @counts: the chunks with it. */
gboolean ing_search_state_find_words (IngSearchState *self, GArray *documents, GPtrArray *terms, guint n, GArray *hits,
                                      double *weights, gint64 *counts, GError **error);
