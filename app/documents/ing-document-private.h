/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "ing-document-library.h"
#include "ing-document-table.h"
#include "ing-embedder.h"
#include "ing-generation-service-private.h"
#include "ing-json.h"

/* Owners: conversations by their id (> 0), the terminal (0), collections by their id's negative (< 0). */
typedef struct
{
  gint64 owner;
  gboolean found; /* in a folder that the owner holds, rather than added by itself */
} IngOwner;

struct _IngDocument
{
  GObject parent_instance;
  IngDocumentRow *row; /* main thread */
  char *name;
  double fraction;
  GError *error;
  GArray *owners;            /* of IngOwner: who uses it */
  guint64 work_bytes;        /* of the file, when work on it was started */
  GCancellable *cancellable; /* while it is read and indexed; else NULL */
  gint begun;                /* atomic: the work has looked at the file, a change after that is not seen by it */
  gboolean locked;           /* reading it ended for want of a password, and nobody was told yet */
  gboolean again;            /* read once more when the running work ended */
  guint page, of_pages;      /* that is being recognized; 0 = none */
  gboolean searched;         /* not read to its end, and found by the words of what was read */
};

/* @row is taken. */
IngDocument *ing_document_new (IngDocumentRow *row);
void ing_document_take_row (IngDocument *self, IngDocumentRow *row);
void ing_document_set_fraction (IngDocument *self, double fraction);
void ing_document_set_state (IngDocument *self, IngDocumentState state);
/* What work made of it; where it is, and whether it is there at all, the main thread knows better. @row is taken. */
void ing_document_take_work_row (IngDocument *self, IngDocumentRow *row);
const IngOwner *ing_document_find_owner (IngDocument *self, gint64 owner); /* NULL = does not use it */
/* Nobody but collections uses it: no question waits for it. */
gboolean ing_document_is_behind (IngDocument *self);
IngDocumentRow *ing_document_row_copy (const IngDocumentRow *row);

IngDocumentLibrary *ing_document_library_new (IngGenerationService *service);
/* Open the index in @folder, or in memory (NULL); @copy: a copy in memory of what is there. Any thread; nothing
 * else may use the library meanwhile. A damaged index is set aside: it can be made again from the files. */
void ing_document_library_open_sync (IngDocumentLibrary *self, const char *folder, gboolean copy);
/* Main thread, after it: list what was read. */
void ing_document_library_fill (IngDocumentLibrary *self);
/* Go on with documents of conversations that the last run left half-way; those of collections are looked at with their
 * folders. */
void ing_document_library_go_on (IngDocumentLibrary *self);
/* After it: documents of conversations (owners > 0) that are not there any more are erased. */
void ing_document_library_keep_owners (IngDocumentLibrary *self, gboolean (*is_there) (gint64 owner, gpointer data),
                                       gpointer data);
/* Numbers for @n documents that a merge (ing-document-merge.h) writes behind the library's back: those above the one that is
 * returned. Main thread, like the next. */
gint64 ing_document_library_reserve (IngDocumentLibrary *self, guint n);
/* …which are there now: of @rows (IngDocumentRow, copied), used as @pairs (gint64[2], owner and document) say. */
void ing_document_library_adopt (IngDocumentLibrary *self, GPtrArray *rows, GArray *pairs);
IngDatabase *ing_document_library_get_database (IngDocumentLibrary *self);
IngGenerationService *ing_document_library_get_service (IngDocumentLibrary *self);
/* Vectors of @documents (ids) are made again when other models are there than before; until then words find their passages. */
void ing_document_library_refresh_vectors (IngDocumentLibrary *self, GArray *documents);
/* What is changed between the two is written in one transaction, and work on it starts after that. Not nested. */
void ing_document_library_begin (IngDocumentLibrary *self);
void ing_document_library_end (IngDocumentLibrary *self);
/* ing_document_library_add() of a file that stands in a folder of @owner (@found). */
IngDocument *ing_document_library_add_as (IngDocumentLibrary *self, gint64 owner, const char *path, gboolean found);
/* The file is there, or not. Back again, it is read if it is not as it was. */
void ing_document_library_set_gone (IngDocumentLibrary *self, IngDocument *document, gboolean gone);
/* The same content is at @path now. */
void ing_document_library_move (IngDocumentLibrary *self, IngDocument *document, const char *path);
/* Read what has changed, go on with what was left; nothing while all its owners are paused. */
void ing_document_library_look (IngDocumentLibrary *self, IngDocument *document);
void ing_document_library_set_paused (IngDocumentLibrary *self, gint64 owner, gboolean paused);
gboolean ing_document_library_get_paused (IngDocumentLibrary *self, gint64 owner);
/* All collections are paused besides; what somebody waits for is not. */
void ing_document_library_set_sparing (IngDocumentLibrary *self, gboolean sparing);
gboolean ing_document_library_get_sparing (IngDocumentLibrary *self);
/* @conversation asks the collection @owner too, or no more; who lists its documents by dup_asked() hears of it. Kept by
 * ing-collections.c. */
void ing_document_library_set_asked (IngDocumentLibrary *self, gint64 conversation, gint64 owner, gboolean asked);
double ing_document_library_estimate (IngDocumentLibrary *self, guint64 bytes);
/* Stop reading; TRUE when nothing runs any more. */
gboolean ing_document_library_close (IngDocumentLibrary *self);
void ing_document_library_close_database_sync (IngDocumentLibrary *self);

/* ------------------------------------------------------------------ the work, on its own thread */

typedef struct
{
  IngDatabase *database;
  IngDocumentRow *row; /* the work's own */
  GCancellable *cancellable;
  gint *begun; /* set before the file is looked at */
  /* The page of a scan that is at work, of how many; 0 = none. @searched: what was recognized so far is in the index. */
  guint page, n_pages;
  gboolean searched;
  /* It ended before a page that is to be recognized, since others may go first: another run goes on with it. */
  gboolean put_off;
  /* Vectors of @texts by @embedder, which is at @path, or NULL with an error; blocks. */
  GBytes *(*embed) (const IngEmbedder *embedder, const char *path, GPtrArray *texts, gpointer data, GError **error);
  /* Others wait that may be read before more pages, which take seconds each, are recognized. */
  gboolean (*is_wanted) (gpointer data);
  /* Comes often; may block for as long as something more urgent wants the processor. */
  void (*give_way) (gpointer data);
  /* The row changed, or the page, or how far it is (< 0 = unknown). */
  void (*changed) (gdouble fraction, gpointer data);
  gpointer data;
} IngIndexWork;

/* Reads, cuts, indexes. The row says how it ended; it is on the disk, FALSE if that failed, or it was cancelled or put off. */
gboolean ing_document_index_run (IngIndexWork *work, GError **error);

/* What the engine is asked for to embed @texts by the model at @path: a question, or passages. */
JsonObject *ing_embed_request_new (const IngEmbedder *embedder, const char *path, GPtrArray *texts, gboolean query);
