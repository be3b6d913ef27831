/* SPDX-License-Identifier: Apache-2.0 */
/* documents.sqlite: collections, held folders, what is left out of them, and who asks what. On the database's thread. */
#pragma once

#include "ing-database.h"

typedef struct
{
  gint64 id;
  char *name;
  gboolean watched, paused, deleted;
} IngCollectionRow;
void ing_collection_row_free (IngCollectionRow *row);

/* A folder that is held, or a path that is left out. */
typedef struct
{
  gint64 owner;
  char *path;
} IngHeldPath;
void ing_held_path_free (IngHeldPath *held);

typedef struct
{
  gint64 conversation, collection;
} IngAsked;

typedef struct
{
  GPtrArray *collections; /* of IngCollectionRow */
  GPtrArray *folders, *left_out; /* of IngHeldPath */
  GArray *asked;          /* of IngAsked */
  gint64 last_id;         /* the highest id that a collection ever had */
} IngCollectionTables;
IngCollectionTables *ing_collection_tables_new (void); /* empty */
void ing_collection_tables_free (IngCollectionTables *tables);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (IngCollectionTables, ing_collection_tables_free)
IngCollectionTables *ing_collection_tables_read (IngDatabase *db, GError **error);

gboolean ing_collection_table_write (IngDatabase *db, const IngCollectionRow *row, GError **error);
gboolean ing_collection_table_erase (IngDatabase *db, gint64 id, GError **error);
gboolean ing_folder_table_set (IngDatabase *db, const IngHeldPath *held, gboolean there, GError **error);
gboolean ing_left_out_table_set (IngDatabase *db, const IngHeldPath *held, gboolean there, GError **error);
gboolean ing_asked_table_set (IngDatabase *db, gint64 conversation, gint64 collection, gboolean asked, GError **error);
/* Folders of @owner, what it left out of them, and what it asks as a conversation. */
gboolean ing_folder_table_erase_owner (IngDatabase *db, gint64 owner, GError **error);
