/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "ing-database.h"

struct _IngDatabase
{
  GObject parent_instance;
  const IngSchema *schema;
  GThread *thread;
  GAsyncQueue *queue; /* of Work */

  /* The database's thread alone: */
  sqlite3 *handle;
  GHashTable *statements; /* SQL text → sqlite3_stmt */
  gboolean in_transaction;

  /* Written by the database's thread: */
  GMutex lock;
  char *path; /* NULL = in memory or closed */
  gboolean open;
};

#define ING_ASSERT_DATABASE_THREAD(self) g_assert ((self)->thread == g_thread_self ())

/* Error for @rc met with @handle; @path for the words (may be NULL). */
GError *ing_database_error_for (sqlite3 *handle, int rc, const char *path, const char *doing);

/* What stands in the header of the file at @path, read without SQLite. FALSE with DATABASE_DAMAGED if it is not one of
 * SQLite; a missing or empty file is version 0. */
gboolean ing_database_peek (const char *path, guint32 *application_id, gint32 *version,
                            GError **error);

/* quick_check of a closed file, opened without changing it, and its version no newer than @schema's. */
gboolean ing_database_verify_file (const IngSchema *schema, const char *path, GError **error);

/* Copy before a migration, in <folder>/backups; verified. On the database's thread. */
gboolean ing_database_backup_for_migration (IngDatabase *self, const char *folder, int version,
                                            GError **error);

/* Names and order of rolling backups. Caller frees. */
char *ing_database_backup_path (const IngSchema *schema, const char *folder, int generation);
