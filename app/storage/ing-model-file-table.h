/* SPDX-License-Identifier: Apache-2.0 */
/* Table model_files: what this program brought to the disk, by path. Finished downloads are
 * noted in the same transaction that ends their job. Every function runs on the database's thread. */
#pragma once

#include "ing-database.h"

typedef struct
{
  char *path, *sha256, *blocks, *uri; /* the last three may be NULL; blocks as ing_hasher_blocks_to_text() */
  guint64 bytes;
} IngModelFileRow;

void ing_model_file_row_free (IngModelFileRow *row);
extern const char ing_model_file_table_sql[]; /* version 2 of the schema */

GPtrArray *ing_model_file_table_read (IngDatabase *database, GError **error);
gboolean ing_model_file_table_write (IngDatabase *database, const IngModelFileRow *row, GError **error);
gboolean ing_model_file_table_delete (IngDatabase *database, const char *path, GError **error);
/* The file, and the model of conversations and messages, go by another path now. */
gboolean ing_model_file_table_rename (IngDatabase *database, const char *path, const char *new_path, GError **error);
/* @result: of a download's job that is done. */
gboolean ing_model_file_table_note_download (IngDatabase *database, const char *result, GError **error);
/* Path of a model → number of conversations (GUINT_TO_POINTER). */
GHashTable *ing_model_file_table_count_users (IngDatabase *database, GError **error);
