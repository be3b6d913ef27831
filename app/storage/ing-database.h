/* SPDX-License-Identifier: Apache-2.0 */
/* An SQLite file with one connection on a thread of its own. Work is handed over as functions, which run
 * there one after another in the order they were given; nothing else may touch the connection (asserted).
 *
 * Chosen pragmas: WAL with synchronous=FULL (a commit that returned survives a power cut); one
 * connection and locking_mode=EXCLUSIVE (no shared memory file, no second writer: SQLite before 3.51.3
 * can lose commits with two); defensive, trusted_schema off, no double-quoted strings (a hostile file
 * runs nothing); secure_delete (what is deleted is overwritten).
 *
 * The same object serves any schema: documents have a database of their own. */
#pragma once

#include <gio/gio.h>
#include <sqlite3.h>

#include "ing-error-private.h"

#define ING_TYPE_DATABASE (ing_database_get_type ())
G_DECLARE_FINAL_TYPE (IngDatabase, ing_database, ING, DATABASE, GObject)

/* One step from version @version - 1 to @version: @sql, then @run, in one transaction. */
typedef struct
{
  int version;
  const char *sql;                                      /* may be NULL */
  gboolean (*run) (IngDatabase *database, GError **error); /* may be NULL */
} IngMigration;

typedef struct
{
  const char *name;               /* of the file, without ".sqlite"; backups are named after it */
  guint32 application_id;         /* SQLite's header field: another one is not our file */
  const IngMigration *migrations; /* versions 1, 2, 3 … without a gap */
  guint n_migrations;
  /* After each open, in one transaction: mark what a crash left. May be NULL. */
  gboolean (*recover) (IngDatabase *database, GError **error);
} IngSchema;

/* @schema must live as long as the object. Not open yet. */
IngDatabase *ing_database_new (const IngSchema *schema);

/* Runs on the database's thread. Returns any pointer; on failure sets @error (the pointer is ignored
 * then and must be NULL). */
typedef gpointer (*IngDatabaseFunc) (IngDatabase *self, gpointer data, GError **error);

/* Hand @func over. @data is freed with @data_free, on the database's thread, once @func ran (or was
 * skipped because of @cancellable; nothing is interrupted half-way). */
void ing_database_run_async (IngDatabase *self, IngDatabaseFunc func, gpointer data,
                             GDestroyNotify data_free, GDestroyNotify result_free,
                             GCancellable *cancellable, GAsyncReadyCallback callback,
                             gpointer user_data);
gpointer ing_database_run_finish (IngDatabase *self, GAsyncResult *result, GError **error);

/* The same, waiting for it: worker threads, tests and the end of the program. */
gpointer ing_database_run_sync (IngDatabase *self, IngDatabaseFunc func, gpointer data,
                                GError **error);

/* Opens <folder>/<name>.sqlite, or a database in memory if @folder is NULL, closing what was open.
 * Checks the header first (nothing is changed in a file of a newer version), then quick_check, then
 * migrates, each step after a verified backup in <folder>/backups. Failing leaves nothing open:
 *   ING_ERROR_DATABASE_NEWER, _DAMAGED, _READ_ONLY, _PERMISSION, _DISK_FULL, _LOCKED, _IO, _DATABASE */
gboolean ing_database_open_sync (IngDatabase *self, const char *folder, GError **error);

/* Opens a database in memory that holds a copy of <folder>/<name>.sqlite as it stands (for a folder that
 * cannot be written). */
gboolean ing_database_open_copy_sync (IngDatabase *self, const char *folder, GError **error);

/* Waits for all work handed over so far, then checkpoints and closes. */
void ing_database_close_sync (IngDatabase *self);

gboolean ing_database_is_open (IngDatabase *self);
char *ing_database_dup_path (IngDatabase *self); /* NULL = in memory or closed */

/* ------------------------------------------------------------------ on the database's thread */

sqlite3 *ing_database_get_handle (IngDatabase *self);

/* @format has one letter for each argument: 'i' gint64, 'd' double, 't' text or NULL (copied), 'T'
 * text or NULL that outlives the statement's run, 'n' NULL (takes no argument). Statements are
 * prepared once; @sql must be a literal. */
gboolean ing_database_exec (IngDatabase *self, GError **error, const char *sql, const char *format,
                            ...);
/* …a query: step it to its end or reset it. NULL on error. */
sqlite3_stmt *ing_database_query (IngDatabase *self, GError **error, const char *sql,
                                  const char *format, ...);
/* 1 = a row, 0 = the end, -1 = error. Resets the statement at the end and on error. */
int ing_database_step (IngDatabase *self, sqlite3_stmt *statement, GError **error);
/* First column of the first row as a number, or @fallback if there is no row. */
gint64 ing_database_get_number (IngDatabase *self, const char *sql, gint64 fallback);
/* Several statements in one text, without arguments. */
gboolean ing_database_script (IngDatabase *self, const char *sql, GError **error);

/* Text of a column: never NULL, valid UTF-8; a copy. …_or_null keeps NULL. */
char *ing_database_column_text (sqlite3_stmt *statement, int column);
char *ing_database_column_text_or_null (sqlite3_stmt *statement, int column);

/* BEGIN IMMEDIATE … COMMIT, or ROLLBACK. End returns @ok && committed. Not nested. */
gboolean ing_database_begin (IngDatabase *self, GError **error);
gboolean ing_database_end (IngDatabase *self, gboolean ok, GError **error);

/* What SQLite said last, as an error while @doing. */
GError *ing_database_make_error (IngDatabase *self, int rc, const char *doing);
