/* SPDX-License-Identifier: Apache-2.0 */
/* Reads and indexes documents (ing-document-index.c) on one thread, one after another: those that a person waits for
 * before those of collections, else in the order they were asked for. Main thread only. */
#pragma once

#include "ing-document-private.h"

typedef struct _IngIndexer IngIndexer;

IngIndexer *ing_indexer_new (IngGenerationService *service, IngDatabase *database);
/* Works that run hold it too: it goes with the last of them. */
void ing_indexer_unref (IngIndexer *self);

/* Unless work on @document waits or runs, or this is closed. @behind: nobody waits for it. */
void ing_indexer_start (IngIndexer *self, IngDocument *document, gboolean behind);
/* No more is started; TRUE when nothing runs any more. Who closes cancels the documents. */
gboolean ing_indexer_close (IngIndexer *self);
/* How long @bytes of documents will take, in seconds, as those since the last idle moment did; < 0 = unknown. */
double ing_indexer_estimate (IngIndexer *self, guint64 bytes);
