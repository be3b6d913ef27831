/* SPDX-License-Identifier: Apache-2.0 */
/* documents.sqlite: files, who uses them, chunks, words and vectors. All on the database's thread. */
#pragma once

#include "ing-chunker.h"
#include "ing-database.h"
#include "ing-document.h"

extern const IngSchema ing_document_schema;

typedef struct
{
  gint64 id, size, mtime_us;
  char *path, *hash, *title, *kind, *error; /* error: JSON or NULL */
  IngDocumentState state;
  guint n_pages, n_chunks;
  guint embedder; /* number of the model of its vectors (ing-embedder.h) */
  guint plan;     /* ing_embedder_get_plan () when it became READY */
  gboolean gone;  /* the file is not there any more */
} IngDocumentRow;
void ing_document_row_free (IngDocumentRow *row);

GPtrArray *ing_document_table_read (IngDatabase *db, GError **error); /* of IngDocumentRow */
/* Adds @row when its id is new, else replaces it. */
gboolean ing_document_table_write (IngDatabase *db, const IngDocumentRow *row, GError **error);
/* Those at position @from and behind, with their words and vectors. */
gboolean ing_document_table_erase_chunks (IngDatabase *db, gint64 document, guint from, GError **error);
gboolean ing_document_table_erase (IngDatabase *db, gint64 document, GError **error);
/* The index of words still holds those of what was erased until its parts are merged: does a piece of that. *@more FALSE:
 * nothing is left, and the journal does not hold it either. @first: the first piece. FALSE on error. */
gboolean ing_document_table_compact (IngDatabase *db, gboolean first, gboolean *more, GError **error);

/* What another document of @row's hash was read to becomes @row's too, vectors included, when its chunks would have the
 * same prefix. *@copied says whether there is one. Fills @row. In a transaction of its own. FALSE on error. */
gboolean ing_document_table_copy_twin (IngDatabase *db, IngDocumentRow *row, gboolean *copied, GError **error);

gboolean ing_document_table_add_chunk (IngDatabase *db, gint64 document, guint position, const char *prefix,
                                       const IngChunk *chunk, GError **error);
/* *@has: it stands there exactly as add_chunk() would write it. FALSE on error. */
gboolean ing_document_table_has_chunk (IngDatabase *db, gint64 document, guint position, const char *prefix,
                                       const IngChunk *chunk, gboolean *has, GError **error);
/* @text, a line a paragraph, was recognized on @page of @row's document, which is not read to its end: kept until that is
 * written, or until it is erased. */
gboolean ing_document_table_add_recognized (IngDatabase *db, const IngDocumentRow *row, guint page, const char *text,
                                            GError **error);
/* …of the content that @row has now; *@text NULL: nothing is known. Caller frees. FALSE on error. */
gboolean ing_document_table_dup_recognized (IngDatabase *db, const IngDocumentRow *row, guint page, char **text,
                                            GError **error);
/* Appends the ids of the first @n chunks of @document, in order. FALSE on error. */
gboolean ing_document_table_list_chunks (IngDatabase *db, gint64 document, guint n, GArray *ids, GError **error);
/* @n vectors of length 1 by the model @embedder, one behind the other: of the chunk, then of its windows
 * (ing-search-windows.h). Each is kept as int8, the first one with its scale. */
gboolean ing_document_table_set_vectors (IngDatabase *db, gint64 chunk, guint embedder, const float *vectors, guint n,
                                         guint width, GError **error);
/* Is @document's text in Latin script, but for a few of its chunks? FALSE on error. */
gboolean ing_document_table_get_latin (IngDatabase *db, gint64 document, gboolean *latin, GError **error);
/* Vectors of @document by other models than @embedder go. FALSE on error. */
gboolean ing_document_table_keep_vectors (IngDatabase *db, gint64 document, guint embedder, GError **error);
/* The first @n chunks of @document without a vector from *@position on, 0 at first: ids and texts with prefix. *@position
 * gets behind them, so that a document of many is gone through once. FALSE on error. */
gboolean ing_document_table_list_unembedded (IngDatabase *db, gint64 document, gint64 *position, guint n, GArray *ids,
                                             GPtrArray *texts, GError **error);

/* @found: in a folder of the owner; one that was added by itself stays that. */
gboolean ing_owner_table_add (IngDatabase *db, gint64 owner, gint64 document, gboolean found, GError **error);
gboolean ing_owner_table_remove (IngDatabase *db, gint64 owner, gint64 document, GError **error);
/* Pairs owner, document, and whether found, as gint64[3]. */
GArray *ing_owner_table_read (IngDatabase *db, GError **error);

/* NULL when it is not there. */
IngPassage *ing_document_table_dup_passage (IngDatabase *db, gint64 chunk, GError **error);
