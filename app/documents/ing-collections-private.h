/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "ing-collection-table.h"
#include "ing-collections.h"
#include "ing-database.h"

struct _IngCollection
{
  GObject parent_instance;
  IngCollectionRow row;
  guint erase_id; /* removed, and to be erased */
};

/* Of @library, which owns it. */
IngCollections *ing_collections_new (IngDocumentLibrary *library);
void ing_collections_free (IngCollections *self);
/* On the database's thread, while nothing else uses it. */
gboolean ing_collections_read (IngCollections *self, IngDatabase *db, GError **error);
/* Main thread, after it: list what was read. */
void ing_collections_fill (IngCollections *self);
/* Ids above the result are the caller's, @n of them. */
gint64 ing_collections_reserve (IngCollections *self, guint n);
/* What was written into the tables by another hand; after its documents are there. */
void ing_collections_adopt (IngCollections *self, const IngCollectionTables *tables);
/* Conversations that hold folders or ask collections and are not there any more are added to @gone (gint64 *). */
void ing_collections_list_conversations (IngCollections *self, gboolean (*is_there) (gint64 owner, gpointer data),
                                         gpointer data, GHashTable *gone);
/* Whatever @owner holds and asks, but its documents. */
void ing_collections_forget (IngCollections *self, gint64 owner);
void ing_collections_close (IngCollections *self);
