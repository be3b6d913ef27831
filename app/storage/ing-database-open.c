/* SPDX-License-Identifier: Apache-2.0 */
/* Opening, checking and migrating. File format facts: https://www.sqlite.org/fileformat2.html §1.3. */
#include "ing-database-private.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

gboolean
ing_database_peek (const char *path, guint32 *application_id, gint32 *version, GError **error)
{
  *application_id = 0;
  *version = 0;
  int fd = open (path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    {
      if (errno == ENOENT)
        return TRUE;
      g_propagate_error (error, ing_error_from_system (errno, path, "open"));
      return FALSE;
    }
  guint8 head[100];
  ssize_t n = read (fd, head, sizeof head);
  int number = errno;
  close (fd);
  if (n < 0)
    {
      g_propagate_error (error, ing_error_from_system (number, path, "read"));
      return FALSE;
    }
  if (n == 0)
    return TRUE;
  if (n < (ssize_t) sizeof head || memcmp (head, "SQLite format 3", 16) != 0)
    {
      g_propagate_error (error, ing_error_new (ING_ERROR_DATABASE_DAMAGED, path, 0, 0,
                                               "the file does not begin as an SQLite database"));
      return FALSE;
    }
  *version = (gint32) ((guint32) head[60] << 24 | head[61] << 16 | head[62] << 8 | head[63]);
  *application_id = (guint32) head[68] << 24 | head[69] << 16 | head[70] << 8 | head[71];
  return TRUE;
}

static gboolean
check_version (const IngSchema *schema, const char *path, gint32 version, GError **error)
{
  if (version >= 0 && (guint) version <= schema->n_migrations)
    return TRUE;
  g_propagate_error (error, ing_error_new (ING_ERROR_DATABASE_NEWER, path, (guint64) version,
                                           schema->n_migrations,
                                           "schema version %d, this program knows up to %u",
                                           version, schema->n_migrations));
  return FALSE;
}

static gboolean
check_application_id (const IngSchema *schema, const char *path, guint32 id, GError **error)
{
  if (id == schema->application_id)
    return TRUE;
  g_propagate_error (error,
                     ing_error_new (ING_ERROR_DATABASE_DAMAGED, path, 0, 0,
                                    "an SQLite database, but of another program (id %08x)", id));
  return FALSE;
}

static gboolean
quick_check (sqlite3 *handle, const char *path, GError **error)
{
  sqlite3_stmt *statement = NULL;
  int rc = sqlite3_prepare_v2 (handle, "PRAGMA quick_check(1)", -1, &statement, NULL);
  if (rc == SQLITE_OK)
    rc = sqlite3_step (statement);
  if (rc != SQLITE_ROW)
    {
      g_propagate_error (error, ing_database_error_for (handle, rc, path, "check"));
      sqlite3_finalize (statement);
      return FALSE;
    }
  const char *text = (const char *) sqlite3_column_text (statement, 0);
  gboolean ok = g_strcmp0 (text, "ok") == 0;
  if (!ok)
    g_propagate_error (error, ing_error_new (ING_ERROR_DATABASE_DAMAGED, path, 0, 0, "%s",
                                             text != NULL ? text : "quick_check gave nothing"));
  sqlite3_finalize (statement);
  return ok;
}

gboolean
ing_database_verify_file (const IngSchema *schema, const char *path, GError **error)
{
  guint32 id;
  gint32 version;
  if (!ing_database_peek (path, &id, &version, error)
      || !check_application_id (schema, path, id, error)
      || !check_version (schema, path, version, error))
    return FALSE;
  /* immutable: no lock, no journal, nothing beside the file is made. */
  g_autofree char *escaped = g_uri_escape_string (path, "/", FALSE);
  g_autofree char *uri = g_strconcat ("file:", escaped, "?immutable=1", NULL);
  sqlite3 *handle = NULL;
  int rc = sqlite3_open_v2 (uri, &handle, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL);
  gboolean ok = rc == SQLITE_OK && quick_check (handle, path, error);
  if (rc != SQLITE_OK)
    g_propagate_error (error, ing_database_error_for (handle, rc, path, "open"));
  sqlite3_close (handle);
  return ok;
}

/* ------------------------------------------------------------------ open */

static void
close_handle (IngDatabase *self)
{
  g_hash_table_remove_all (self->statements);
  self->in_transaction = FALSE;
  if (self->handle != NULL && sqlite3_close (self->handle) != SQLITE_OK)
    g_critical ("a database was closed with statements open");
  self->handle = NULL;
  g_mutex_lock (&self->lock);
  self->open = FALSE;
  g_clear_pointer (&self->path, g_free);
  g_mutex_unlock (&self->lock);
}

static gboolean
configure (IngDatabase *self, GError **error)
{
  sqlite3_extended_result_codes (self->handle, 1);
  sqlite3_busy_timeout (self->handle, 2000);
  sqlite3_db_config (self->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
  sqlite3_db_config (self->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
  sqlite3_db_config (self->handle, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
  sqlite3_db_config (self->handle, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
  sqlite3_db_config (self->handle, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
  sqlite3_db_config (self->handle, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
  return ing_database_script (self,
                              "PRAGMA locking_mode=EXCLUSIVE;"
                              "PRAGMA temp_store=MEMORY;"
                              "PRAGMA cell_size_check=ON;"
                              "PRAGMA mmap_size=0;"
                              "PRAGMA secure_delete=ON;"
                              "PRAGMA synchronous=FULL;"
                              "PRAGMA foreign_keys=ON;"
                              "PRAGMA journal_mode=WAL;"
                              "PRAGMA journal_size_limit=16777216;",
                              error);
}

static gboolean
set_number (IngDatabase *self, const char *pragma, gint64 value, GError **error)
{
  g_autofree char *sql = g_strdup_printf ("PRAGMA %s=%" G_GINT64_FORMAT, pragma, value);
  return ing_database_script (self, sql, error);
}

static gboolean
migrate_one (IngDatabase *self, const IngMigration *migration, GError **error)
{
  if (!ing_database_begin (self, error))
    return FALSE;
  gboolean ok = (migration->sql == NULL || ing_database_script (self, migration->sql, error))
                && (migration->run == NULL || migration->run (self, error))
                && set_number (self, "application_id", self->schema->application_id, error)
                && set_number (self, "user_version", migration->version, error);
  return ing_database_end (self, ok, error);
}

static gboolean
migrate (IngDatabase *self, const char *folder, GError **error)
{
  const IngSchema *schema = self->schema;
  gint64 version = ing_database_get_number (self, "PRAGMA user_version", -1);
  if (!check_version (schema, self->path, (gint32) version, error))
    return FALSE;
  if (version > 0 && version < schema->n_migrations && folder != NULL
      && !ing_database_backup_for_migration (self, folder, (int) version, error))
    return FALSE;
  for (guint i = (guint) version; i < schema->n_migrations; i++)
    {
      g_assert (schema->migrations[i].version == (int) i + 1);
      if (!migrate_one (self, &schema->migrations[i], error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
recover (IngDatabase *self, GError **error)
{
  if (self->schema->recover == NULL)
    return TRUE;
  if (!ing_database_begin (self, error))
    return FALSE;
  return ing_database_end (self, self->schema->recover (self, error), error);
}

static gboolean
open_handle (IngDatabase *self, const char *path, GError **error)
{
  int rc = sqlite3_open_v2 (path != NULL ? path : ":memory:", &self->handle,
                            SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
  g_mutex_lock (&self->lock);
  self->path = g_strdup (path);
  g_mutex_unlock (&self->lock);
  if (rc != SQLITE_OK)
    {
      g_propagate_error (error, ing_database_make_error (self, rc, "open"));
      return FALSE;
    }
  /* SQLite falls back to reading where it may not write. */
  if (path != NULL && sqlite3_db_readonly (self->handle, "main") == 1)
    {
      g_propagate_error (error, ing_error_new (ING_ERROR_READ_ONLY, path, 0, 0,
                                               "the database can only be read"));
      return FALSE;
    }
  return TRUE;
}

static void
set_open (IngDatabase *self)
{
  g_mutex_lock (&self->lock);
  self->open = TRUE;
  g_mutex_unlock (&self->lock);
}

static gpointer
open_func (IngDatabase *self, gpointer data, GError **error)
{
  const char *folder = data;
  close_handle (self);
  g_autofree char *file = g_strconcat (self->schema->name, ".sqlite", NULL);
  g_autofree char *path = folder != NULL ? g_build_filename (folder, file, NULL) : NULL;
  guint32 id = 0;
  gint32 version = 0;
  if (path != NULL
      && (!ing_database_peek (path, &id, &version, error)
          || !check_version (self->schema, path, version, error)
          || (version > 0 && !check_application_id (self->schema, path, id, error))))
    return NULL;
  gboolean ok = open_handle (self, path, error) && configure (self, error)
                && (path == NULL || quick_check (self->handle, path, error))
                && migrate (self, folder, error) && recover (self, error);
  if (!ok)
    {
      close_handle (self);
      return NULL;
    }
  set_open (self);
  return self;
}

gboolean
ing_database_open_sync (IngDatabase *self, const char *folder, GError **error)
{
  return ing_database_run_sync (self, open_func, (gpointer) folder, error) != NULL;
}

static gpointer
open_copy_func (IngDatabase *self, gpointer data, GError **error)
{
  const char *folder = data;
  g_autofree char *file = g_strconcat (self->schema->name, ".sqlite", NULL);
  g_autofree char *path = g_build_filename (folder, file, NULL);
  if (!ing_database_verify_file (self->schema, path, error))
    return NULL;
  close_handle (self);
  g_autofree char *escaped = g_uri_escape_string (path, "/", FALSE);
  g_autofree char *uri = g_strconcat ("file:", escaped, "?immutable=1", NULL);
  sqlite3 *source = NULL;
  int rc = sqlite3_open_v2 (uri, &source, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL);
  gboolean ok = rc == SQLITE_OK && open_handle (self, NULL, error);
  if (ok)
    {
      sqlite3_backup *backup = sqlite3_backup_init (self->handle, "main", source, "main");
      rc = backup != NULL ? sqlite3_backup_step (backup, -1) : sqlite3_errcode (self->handle);
      sqlite3_backup_finish (backup);
      ok = rc == SQLITE_DONE && configure (self, error) && migrate (self, NULL, error)
           && recover (self, error);
    }
  sqlite3_close (source);
  if (!ok)
    {
      if (error != NULL && *error == NULL)
        *error = ing_database_error_for (NULL, rc, path, "copy");
      close_handle (self);
      return NULL;
    }
  set_open (self);
  return self;
}

gboolean
ing_database_open_copy_sync (IngDatabase *self, const char *folder, GError **error)
{
  return ing_database_run_sync (self, open_copy_func, (gpointer) folder, error) != NULL;
}

static gpointer
close_func (IngDatabase *self, gpointer data, GError **error)
{
  if (self->handle != NULL)
    sqlite3_wal_checkpoint_v2 (self->handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
  close_handle (self);
  return NULL;
}

void
ing_database_close_sync (IngDatabase *self)
{
  ing_database_run_sync (self, close_func, NULL, NULL);
}
