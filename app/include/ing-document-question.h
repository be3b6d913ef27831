/* SPDX-License-Identifier: Apache-2.0 */
/* What the documents of a conversation say to a question. Main thread only; nothing blocks. */
#pragma once

#include "ing-conversation.h"
#include "ing-document-library.h"

G_BEGIN_DECLS

/* Waits until each document of @conversation can be found by words (or failed), then looks. Few short documents are
 * taken whole, in their order; of others the passages that say most, or, for a question about all of it ("summarize"),
 * some at even distances. */
void ing_document_question_async (IngDocumentLibrary *documents, IngConversation *conversation,
                                  const char *question, GCancellable *cancellable,
                                  GAsyncReadyCallback callback, gpointer user_data);

/* NULL with an error: all documents failed (the error of one), the index failed, or cancelled. */
IngFound *ing_document_question_finish (GAsyncResult *result, GError **error);

G_END_DECLS
