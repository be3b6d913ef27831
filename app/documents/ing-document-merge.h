/* SPDX-License-Identifier: Apache-2.0 */
/* What another installation read of documents (text, words, vectors) into this one's index, for conversations that came.
 * Worker threads only. */
#pragma once

#include "ing-document-table.h"

typedef struct
{
  IngDatabase *from, *to; /* @from: open, of the same schema; nobody else writes to it */
  GHashTable *owners;     /* conversations and collections, gint64 * there → gint64 * here */
  gint64 document_id;     /* ids above it are free, as many as @from has documents */
  GPtrArray *rows;        /* out: IngDocumentRow of those that came */
  GArray *pairs;          /* out: gint64[3] of all that are here now: owner, document (of here), found in a folder of it */
  guint n_known;          /* out: those that were here, of the same path and content */
} IngDocumentMerge;

/* Each document of one in @owners is one transaction, read again and compared after it (else ING_ERROR_HASH).
 * Others (of a terminal's cache, of nobody) are left. */
gboolean ing_document_merge_run (IngDocumentMerge *merge, GCancellable *cancellable, GError **error);

/* How many documents @from has. */
gboolean ing_document_merge_count (IngDatabase *from, guint *n, GError **error);
