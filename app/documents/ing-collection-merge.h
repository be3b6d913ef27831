/* SPDX-License-Identifier: Apache-2.0 */
/* Another installation's collections, and the folders that its conversations hold, into this one's index. Before the
 * documents (ing-document-merge.h), which learn here whose they are. Worker threads only. */
#pragma once

#include "ing-collection-table.h"

typedef struct
{
  IngDatabase *from, *to;    /* @from: open, of the same schema; nobody else writes to it */
  GHashTable *conversations; /* of there → of here, gint64 * */
  gint64 collection_id;      /* ids above it are free, as many as @from has collections */
  GHashTable *owners;        /* out: @conversations, and the collections by their id's negative */
  IngCollectionTables *tables; /* out: what came, in numbers of here */
  guint n_known;             /* out: those that were here, of the same name and folders */
} IngCollectionMerge;

/* One transaction. A name that is taken here gets a number behind it; removed ones are left. */
gboolean ing_collection_merge_run (IngCollectionMerge *merge, GError **error);
void ing_collection_merge_clear (IngCollectionMerge *merge);

/* How many collections @from has. */
gboolean ing_collection_merge_count (IngDatabase *from, guint *n, GError **error);
