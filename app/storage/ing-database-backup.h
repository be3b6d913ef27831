/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of a database: rolling ones, the newest good one, and setting a damaged file aside. Backups
 * stand in <folder>/backups as <name>-1.sqlite (newest) … -3. Each is checked before it takes its name. */
#pragma once

#include "ing-database.h"

#define ING_BACKUP_GENERATIONS 3
#define ING_BACKUP_AGE_US (24LL * 60 * 60 * G_USEC_PER_SEC)

/* Make one if the newest is older than ING_BACKUP_AGE_US and the file changed since, or if @force.
 * Copies a megabyte at a time between other work. TRUE also when none was due. */
void ing_database_backup_async (IngDatabase *self, gboolean force, GCancellable *cancellable,
                                GAsyncReadyCallback callback, gpointer user_data);
gboolean ing_database_backup_finish (IngDatabase *self, GAsyncResult *result, GError **error);

/* The newest backup of @schema in @folder that checks as good, its time in @time_us; NULL if there is
 * none. Reads the files: worker threads only. Caller frees. */
char *ing_database_find_backup (const IngSchema *schema, const char *folder, gint64 *time_us);

/* Move the (closed) database and what belongs to it to <folder>/damaged/<time>/, and put a copy of
 * @backup in its place (NULL = nothing). Nothing is deleted. Worker threads only. */
gboolean ing_database_replace (const IngSchema *schema, const char *folder, const char *backup,
                               GError **error);
