/* SPDX-License-Identifier: Apache-2.0 */
/* Passages for a question, on the database's thread. */
#pragma once

#include "ing-document-library.h"
#include "ing-document-table.h"
#include "ing-embedder.h"
#include "ing-search-state.h"

typedef struct
{
  GArray *documents; /* ids */
  char *query;       /* standalone */
  guint n, n_tokens; /* passages, and how much they hold together; 0 = as usual */
  IngSearchArms arms;
  float *vector; /* of the query, by @embedder; NULL = by words alone */
  guint width;
  const IngEmbedder *embedder;
} IngSearchRequest;
void ing_search_request_free (IngSearchRequest *request);

/* Can MiniLM, which knows English alone, say something about @text: are few or none of its letters of another script? */
gboolean ing_search_is_latin (const char *text);
/* A word that says nothing about where an answer stands; folded. */
gboolean ing_search_is_common (const char *word);
/* Words and pairs of CJK characters of @text but common ones, folded, each once; strings. */
GPtrArray *ing_search_make_terms (const char *text);
/* Does @query name something (a word written as names are: "WireGuard", or a Latin word among Chinese) that stands in
 * none of @documents (sorted ids)? FALSE on error. */
gboolean ing_search_has_unknown_name (IngSearchState *state, GArray *documents, const char *query, gboolean *unknown,
                                      GError **error);
/* @query made to stand alone: joined to @earlier when it leans on it. Caller frees. */
char *ing_search_make_standalone (const char *query, const char *earlier);

/* An IngDatabaseFunc; @data is the request. Returns an IngFound. */
gpointer ing_document_search_func (IngDatabase *db, gpointer data, GError **error);
/* The same; @n passages at even distances over the documents, in their order, whatever is asked. */
gpointer ing_document_read_func (IngDatabase *db, gpointer data, GError **error);
