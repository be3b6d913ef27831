/* SPDX-License-Identifier: Apache-2.0 */
/* What is said of a collection in one line. Main thread only. */
#pragma once

#include "ing-app.h"

G_BEGIN_DECLS

/* "12 documents", "12 documents · 2 cannot be read", "3 of 12 read · 2 min left", "Empty". Caller frees. */
char *ing_collection_words_dup (const IngCollectionState *state);
/* The same of @owner now; TRUE: it will be otherwise soon. */
gboolean ing_collection_words_update (IngCollections *collections, gint64 owner, char **words);

G_END_DECLS
