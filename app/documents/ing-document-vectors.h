/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors of a document's chunks that stand in the index: of all when it is read, or of those that come page by page. What
 * has one of the right model gets no other. On the work's thread; blocks. */
#pragma once

#include "ing-document-private.h"

/* FALSE: there is none of the models, it failed, or it was cancelled; those made so far stay. */
gboolean ing_document_vectors_make (IngIndexWork *work, GError **error);

typedef struct _IngPageVectors IngPageVectors;

/* Makes them while pages are recognized. What fails, or is not done at its end, is left to ing_document_vectors_make (). */
IngPageVectors *ing_page_vectors_new (IngIndexWork *work);
/* @n chunks of the document stand in the index by now, @n_foreign of them in another script than Latin. */
void ing_page_vectors_go_on (IngPageVectors *self, guint n, guint n_foreign);
/* The number of the model that they are of so far. */
guint ing_page_vectors_get_embedder (IngPageVectors *self);
/* Waits for the few at work. */
void ing_page_vectors_free (IngPageVectors *self);
