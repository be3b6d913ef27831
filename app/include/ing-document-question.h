/* SPDX-License-Identifier: Apache-2.0 */
/* What documents say to a question, in the window and in the terminal. Main thread only; nothing blocks. */
#pragma once

#include "ing-conversation.h"
#include "ing-document-library.h"
#include "ing-generation-service.h"

G_BEGIN_DECLS

typedef struct
{
  const char *question;
  const char *earlier;    /* the question before, which a follow-up leans on; NULL = none */
  guint n_passages;       /* 0 = as usual */
  gboolean passages_only; /* search, however short the documents are or whatever is asked */
  gboolean finish_index;  /* wait for vectors too: who asks goes away with the answer */

  /* For questions about all of long documents ("summarize", "list all …", "how many … are there"): the model that reads
   * them part by part. NULL = some passages at even distances instead. */
  IngGenerationService *service;
  /* @done of @total parts are read; @seconds_left < 0 = unknown. Not called when cancelled. May be NULL. */
  void (*progress) (guint done, guint total, double seconds_left, gpointer data);
  gpointer progress_data;
  GCancellable *enough; /* cancelled: what has been read so far is the result; may be NULL */
} IngDocumentQuery;

/* Waits until each of @documents (of IngDocument) can be found by words (or failed), then looks; for those that only
 * collections have it does not wait, once others can be found. Files that are gone are not looked into. Few short documents are
 * taken whole, in their order; of others the passages that say most. A question about all of it takes them whole when
 * they fit half the context, else notes of each part (passages too), made with what the question asks for in mind. The source object of the result is @documents. */
void ing_document_question_async (IngDocumentLibrary *library, GListModel *documents, const IngDocumentQuery *query,
                                  GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data);

/* NULL with an error: all documents failed (the error of one), the index failed, or cancelled. */
IngFound *ing_document_question_finish (GAsyncResult *result, GError **error);

/* What was asked last in the shown branch of @conversation; NULL if nothing was. Caller frees. */
char *ing_document_question_dup_earlier (IngConversation *conversation);

G_END_DECLS
