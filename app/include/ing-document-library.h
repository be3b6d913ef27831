/* SPDX-License-Identifier: Apache-2.0 */
/* All documents: a GListModel of IngDocument. A document belongs to owners: conversations by their id (> 0), collections
 * (< 0, ing-collections.h), or a request of the terminal (0, kept as a cache). Files are read by the confined reader, cut into chunks and found by
 * words and by meaning. The index is a database of its own, documents.sqlite. Main thread only; nothing blocks. */
#pragma once

#include "ing-document.h"

G_BEGIN_DECLS

#define ING_TYPE_DOCUMENT_LIBRARY (ing_document_library_get_type ())
G_DECLARE_FINAL_TYPE (IngDocumentLibrary, ing_document_library, ING, DOCUMENT_LIBRARY, GObject)

/* Read @path for @owner: known files whose size and time are as they were are there at once, changed ones are read
 * again. The same file twice is one document. Borrowed; its state tells the rest. */
IngDocument *ing_document_library_add (IngDocumentLibrary *self, gint64 owner, const char *path);
/* @owner does not use it any more; a document of nobody is erased with its text. */
void ing_document_library_remove (IngDocumentLibrary *self, gint64 owner, IngDocument *document);
/* @owner is gone: all its documents are removed. */
void ing_document_library_remove_owner (IngDocumentLibrary *self, gint64 owner);
/* Paths of the documents below @folder, by their names' endings, sorted, 2,000 at most; hidden ones, links and what programs
 * put there are passed over. Any thread; blocks. NULL with an error: it cannot be listed. Caller frees. */
char **ing_document_library_scan_sync (const char *folder, GError **error);

/* Try one again that failed. */
void ing_document_library_retry (IngDocumentLibrary *self, IngDocument *document);
IngDocument *ing_document_library_lookup (IngDocumentLibrary *self, gint64 id); /* borrowed; NULL */
/* One with this content whose file is there; borrowed; NULL. */
IngDocument *ing_document_library_find_content (IngDocumentLibrary *self, const char *hash);
/* Documents of @owner, of IngDocument, kept up to date. Caller unrefs. */
GListModel *ing_document_library_dup_list (IngDocumentLibrary *self, gint64 owner);
/* …of @conversation and of the collections that it asks. */
GListModel *ing_document_library_dup_asked (IngDocumentLibrary *self, gint64 conversation);
IngDocument *ing_document_library_find (IngDocumentLibrary *self, const char *path); /* absolute; borrowed; NULL */

/* What a search found: passages, best first. @found FALSE: nothing relevant, these are the nearest. */
typedef struct
{
  GPtrArray *passages; /* of IngPassage */
  gboolean found;
  gboolean by_meaning; /* FALSE: words alone (no embedding model, another script, or vectors not there yet) */
  double coverage;     /* of the question's words by the best passage, weighted by rarity, 0 … 1 */
  double cosine;       /* of question and nearest passage; -1 = not by meaning */
} IngFound;
void ing_found_free (IngFound *found);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (IngFound, ing_found_free)

typedef enum
{
  ING_SEARCH_WORDS = 1 << 0,
  ING_SEARCH_MEANING = 1 << 1,
  ING_SEARCH_WINDOWS = 1 << 2, /* parts of chunks besides, where the model has vectors of them */
  ING_SEARCH_ALL = ING_SEARCH_WORDS | ING_SEARCH_MEANING | ING_SEARCH_WINDOWS
} IngSearchArms;

/* Search @documents (ids) for @query; @earlier (NULL = none) is the question before, which a follow-up question
 * leans on. At most @n passages, which together hold some @n_tokens at most where that leaves each its hit (0 = as many as
 * @n passages of the usual length have). */
void ing_document_library_search_async (IngDocumentLibrary *self, GArray *documents, const char *query,
                                        const char *earlier, guint n, guint n_tokens, IngSearchArms arms,
                                        GCancellable *cancellable, GAsyncReadyCallback callback,
                                        gpointer user_data);
/* @n passages at even distances over @documents, in their order (all, if there are no more); found is TRUE. Finish as a
 * search. */
void ing_document_library_read_async (IngDocumentLibrary *self, GArray *documents, guint n, GCancellable *cancellable,
                                      GAsyncReadyCallback callback, gpointer user_data);
IngFound *ing_document_library_search_finish (IngDocumentLibrary *self, GAsyncResult *result, GError **error);

G_END_DECLS
