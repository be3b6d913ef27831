/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "ing-document-library.h"
#include "ing-document-table.h"
#include "ing-embedder.h"
#include "ing-generation-service-private.h"

struct _IngDocument
{
  GObject parent_instance;
  IngDocumentRow *row; /* main thread */
  char *name;
  double fraction;
  GError *error;
  GCancellable *cancellable; /* while it is read and indexed; else NULL */
  gboolean again;            /* read once more when the running work ended */
};

/* @row is taken. */
IngDocument *ing_document_new (IngDocumentRow *row);
void ing_document_take_row (IngDocument *self, IngDocumentRow *row);
void ing_document_set_fraction (IngDocument *self, double fraction);
IngDocumentRow *ing_document_row_copy (const IngDocumentRow *row);

IngDocumentLibrary *ing_document_library_new (IngGenerationService *service);
/* Open the index in @folder, or in memory (NULL); @copy: a copy in memory of what is there. Any thread; nothing
 * else may use the library meanwhile. A damaged index is set aside: it can be made again from the files. */
void ing_document_library_open_sync (IngDocumentLibrary *self, const char *folder, gboolean copy);
/* Main thread, after it: list what was read, go on with what the last run left. */
void ing_document_library_fill (IngDocumentLibrary *self);
/* After it: documents of conversations (owners > 0) that are not there any more are erased. */
void ing_document_library_keep_owners (IngDocumentLibrary *self, gboolean (*is_there) (gint64 owner, gpointer data),
                                       gpointer data);
/* Numbers for @n documents that a merge (ing-document-merge.h) writes behind the library's back: those above the one that is
 * returned. Main thread, like the next. */
gint64 ing_document_library_reserve (IngDocumentLibrary *self, guint n);
/* …which are there now: of @rows (IngDocumentRow, copied), used as @pairs (gint64[2], owner and document) say. */
void ing_document_library_adopt (IngDocumentLibrary *self, GPtrArray *rows, GArray *pairs);
IngDatabase *ing_document_library_get_database (IngDocumentLibrary *self);
/* Stop reading; TRUE when nothing runs any more. */
gboolean ing_document_library_close (IngDocumentLibrary *self);
void ing_document_library_close_database_sync (IngDocumentLibrary *self);

/* ------------------------------------------------------------------ the work, on its own thread */

typedef struct
{
  IngDatabase *database;
  IngDocumentRow *row; /* the work's own */
  GCancellable *cancellable;
  /* Vectors of @texts by @embedder, which is at @path, or NULL with an error; blocks. */
  GBytes *(*embed) (const IngEmbedder *embedder, const char *path, GPtrArray *texts, gpointer data, GError **error);
  /* The row changed, or how far it is (< 0 = unknown). */
  void (*changed) (gdouble fraction, gpointer data);
  gpointer data;
} IngIndexWork;

/* Reads, cuts, indexes. The row says how it ended; it is on the disk, FALSE if that failed or it was cancelled. */
gboolean ing_document_index_run (IngIndexWork *work, GError **error);
