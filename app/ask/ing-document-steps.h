/* SPDX-License-Identifier: Apache-2.0 */
/* A question about all of a document that is longer than the context: the model reads part after part and makes a note of
 * what each says to it; notes that are still too many are read the same way. Main thread only; nothing blocks. */
#pragma once

#include "ing-document-library.h"
#include "ing-generation-service-private.h"

/* @done of @total parts are read (the total grows when notes have to be read again); @seconds_left < 0 = unknown. */
typedef void (*IngDocumentProgress) (guint done, guint total, double seconds_left, gpointer data);

/* Tokens that passages before a question may take, of the loaded model. */
guint ing_document_steps_get_room (IngGenerationService *service);
guint ing_document_steps_count_tokens (GPtrArray *passages);

/* @passages (of IngPassage, taken): all of the documents, in order. @enough (may be NULL): when it is cancelled, the
 * notes made so far are the result. A model must be loaded. */
void ing_document_steps_async (IngGenerationService *service, GPtrArray *passages, const char *question,
                               IngDocumentProgress progress, gpointer progress_data, GCancellable *enough,
                               GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data);
/* Notes as passages, each at the place of its part; found is FALSE when no part says anything to it. */
IngFound *ing_document_steps_finish (GAsyncResult *result, GError **error);
