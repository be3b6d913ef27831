/* SPDX-License-Identifier: Apache-2.0 */
/* The thread, its queue, and statements. Opening is in ing-database-open.c.
 *
 * Invariants:
 *  1. handle, statements and in_transaction are touched by self->thread alone.
 *  2. Work runs in the order it was pushed; a result reaches the caller's context after it is durable.
 *  3. Between two pieces of work no transaction is open.
 *  4. The thread touches the object only while it runs work of it, whose caller or task holds it: the
 *     last reference may go on any thread, this one included. */
#include "ing-database-private.h"

#include <string.h>

typedef struct
{
  IngDatabaseFunc func; /* NULL = end the thread */
  IngDatabase *self;    /* held by the task, or by the caller who waits */
  gpointer data;
  GDestroyNotify data_free;
  GDestroyNotify result_free;
  GTask *task; /* NULL for a synchronous call */

  /* synchronous calls */
  GMutex lock;
  GCond cond;
  gboolean done;
  gpointer result;
  GError *error;
} Work;

G_DEFINE_FINAL_TYPE (IngDatabase, ing_database, G_TYPE_OBJECT)

static gpointer
run_work (IngDatabase *self, Work *work, GError **error)
{
  gpointer result = work->func (self, work->data, error);
  if (self->in_transaction) /* invariant 3, whatever the function did */
    {
      g_critical ("a database function left a transaction open");
      ing_database_end (self, FALSE, NULL);
    }
  return result;
}

static void
run_async_work (Work *work)
{
  IngDatabase *self = work->self;
  GTask *task = work->task;
  if (!g_task_return_error_if_cancelled (task))
    {
      GError *error = NULL;
      gpointer result = run_work (self, work, &error);
      if (error != NULL)
        g_task_return_error (task, error);
      else
        g_task_return_pointer (task, result, work->result_free);
    }
  if (work->data_free != NULL)
    work->data_free (work->data);
  g_free (work);
  g_object_unref (task);
}

static gpointer
thread_main (gpointer user_data)
{
  g_autoptr (GAsyncQueue) queue = user_data;
  for (;;)
    {
      Work *work = g_async_queue_pop (queue);
      if (work->func == NULL)
        {
          g_free (work);
          return NULL;
        }
      if (work->task != NULL)
        {
          run_async_work (work);
          continue;
        }
      work->result = run_work (work->self, work, &work->error);
      g_mutex_lock (&work->lock);
      work->done = TRUE;
      g_cond_signal (&work->cond);
      g_mutex_unlock (&work->lock);
    }
}

static void
ing_database_finalize (GObject *object)
{
  IngDatabase *self = ING_DATABASE (object);
  /* Pending work holds references (through its tasks), so the queue is empty here. A thread cannot join
   * itself: then it ends after this. */
  ing_database_close_sync (self);
  g_async_queue_push (self->queue, g_new0 (Work, 1));
  if (self->thread == g_thread_self ())
    g_thread_unref (self->thread);
  else
    g_thread_join (self->thread);
  g_clear_pointer (&self->statements, g_hash_table_unref);
  g_clear_pointer (&self->queue, g_async_queue_unref);
  g_clear_pointer (&self->path, g_free);
  g_mutex_clear (&self->lock);
  G_OBJECT_CLASS (ing_database_parent_class)->finalize (object);
}

static void
ing_database_class_init (IngDatabaseClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = ing_database_finalize;
}

static void
finalize_statement (gpointer statement)
{
  sqlite3_finalize (statement);
}

static void
ing_database_init (IngDatabase *self)
{
  g_mutex_init (&self->lock);
  self->queue = g_async_queue_new ();
  self->statements = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, finalize_statement);
}

IngDatabase *
ing_database_new (const IngSchema *schema)
{
  IngDatabase *self = g_object_new (ING_TYPE_DATABASE, NULL);
  self->schema = schema;
  self->thread = g_thread_new ("ing-database", thread_main, g_async_queue_ref (self->queue));
  return self;
}

void
ing_database_run_async (IngDatabase *self, IngDatabaseFunc func, gpointer data,
                        GDestroyNotify data_free, GDestroyNotify result_free,
                        GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
  g_return_if_fail (ING_IS_DATABASE (self) && func != NULL);
  Work *work = g_new0 (Work, 1);
  work->func = func;
  work->self = self;
  work->data = data;
  work->data_free = data_free;
  work->result_free = result_free;
  work->task = g_task_new (self, cancellable, callback, user_data);
  g_task_set_source_tag (work->task, ing_database_run_async);
  g_task_set_name (work->task, "database");
  /* A commit that happened must be reported as such even if it was cancelled meanwhile. */
  g_task_set_check_cancellable (work->task, FALSE);
  g_async_queue_push (self->queue, work);
}

gpointer
ing_database_run_finish (IngDatabase *self, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), NULL);
  return g_task_propagate_pointer (G_TASK (result), error);
}

gpointer
ing_database_run_sync (IngDatabase *self, IngDatabaseFunc func, gpointer data, GError **error)
{
  g_return_val_if_fail (ING_IS_DATABASE (self) && func != NULL, NULL);
  if (self->thread == g_thread_self ())
    return func (self, data, error);
  Work work = { .func = func, .self = self, .data = data };
  g_mutex_init (&work.lock);
  g_cond_init (&work.cond);
  g_async_queue_push (self->queue, &work);
  g_mutex_lock (&work.lock);
  while (!work.done)
    g_cond_wait (&work.cond, &work.lock);
  g_mutex_unlock (&work.lock);
  g_mutex_clear (&work.lock);
  g_cond_clear (&work.cond);
  if (work.error != NULL)
    g_propagate_error (error, work.error);
  return work.result;
}

gboolean
ing_database_is_open (IngDatabase *self)
{
  g_mutex_lock (&self->lock);
  gboolean open = self->open;
  g_mutex_unlock (&self->lock);
  return open;
}

char *
ing_database_dup_path (IngDatabase *self)
{
  g_mutex_lock (&self->lock);
  char *path = g_strdup (self->path);
  g_mutex_unlock (&self->lock);
  return path;
}

/* ------------------------------------------------------------------ errors */

GError *
ing_database_error_for (sqlite3 *handle, int rc, const char *path, const char *doing)
{
  const char *text = handle != NULL ? sqlite3_errmsg (handle) : sqlite3_errstr (rc);
  int number = handle != NULL ? sqlite3_system_errno (handle) : 0;
  g_autofree char *name = path != NULL ? g_filename_display_name (path) : NULL;
  IngErrorCode code = ING_ERROR_DATABASE;
  guint64 available = 0;
  switch (rc & 0xff)
    {
    case SQLITE_FULL:
      code = ING_ERROR_DISK_FULL;
      break;
    case SQLITE_READONLY:
      code = ING_ERROR_READ_ONLY;
      break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      code = ING_ERROR_DATABASE_DAMAGED;
      break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
      code = ING_ERROR_LOCKED;
      break;
    case SQLITE_NOMEM:
      code = ING_ERROR_NO_MEMORY;
      break;
    case SQLITE_PERM:
    case SQLITE_AUTH:
      code = ING_ERROR_PERMISSION;
      break;
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
      code = ING_ERROR_IO;
      if (number == ENOSPC || number == EDQUOT)
        code = ING_ERROR_DISK_FULL;
      else if (number == EROFS)
        code = ING_ERROR_READ_ONLY;
      else if (number == EACCES || number == EPERM)
        code = ING_ERROR_PERMISSION;
      break;
    default:
      break;
    }
  if (code == ING_ERROR_DISK_FULL && path != NULL)
    available = ing_paths_get_free_bytes (path);
  return ing_error_new (code, name, 0, available, "%s: %s (SQLite %d%s%s)", doing, text, rc,
                        number != 0 ? ", " : "", number != 0 ? g_strerror (number) : "");
}

GError *
ing_database_make_error (IngDatabase *self, int rc, const char *doing)
{
  return ing_database_error_for (self->handle, rc, self->path, doing);
}

/* ------------------------------------------------------------------ statements */

sqlite3 *
ing_database_get_handle (IngDatabase *self)
{
  ING_ASSERT_DATABASE_THREAD (self);
  return self->handle;
}

static gboolean
bind_arguments (sqlite3_stmt *statement, const char *format, va_list args)
{
  int rc = SQLITE_OK;
  for (int i = 1; *format != '\0' && rc == SQLITE_OK; format++, i++)
    switch (*format)
      {
      case 'i':
        rc = sqlite3_bind_int64 (statement, i, va_arg (args, gint64));
        break;
      case 'd':
        rc = sqlite3_bind_double (statement, i, va_arg (args, double));
        break;
      case 't':
        rc = sqlite3_bind_text (statement, i, va_arg (args, const char *), -1, SQLITE_TRANSIENT);
        break;
      case 'T':
        rc = sqlite3_bind_text (statement, i, va_arg (args, const char *), -1, SQLITE_STATIC);
        break;
      case 'n':
        rc = sqlite3_bind_null (statement, i);
        break;
      default:
        g_assert_not_reached ();
      }
  return rc == SQLITE_OK;
}

static sqlite3_stmt *
prepare (IngDatabase *self, const char *sql, const char *format, va_list args, GError **error)
{
  ING_ASSERT_DATABASE_THREAD (self);
  if (self->handle == NULL)
    {
      g_set_error_literal (error, ING_ERROR, ING_ERROR_DATABASE, "the database is not open");
      return NULL;
    }
  sqlite3_stmt *statement = g_hash_table_lookup (self->statements, sql);
  if (statement == NULL)
    {
      int rc = sqlite3_prepare_v3 (self->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement,
                                   NULL);
      if (rc != SQLITE_OK)
        {
          g_propagate_error (error, ing_database_make_error (self, rc, "prepare"));
          return NULL;
        }
      g_hash_table_insert (self->statements, (gpointer) sql, statement);
    }
  sqlite3_reset (statement);
  sqlite3_clear_bindings (statement);
  if (!bind_arguments (statement, format, args))
    {
      g_propagate_error (error,
                         ing_database_make_error (self, sqlite3_errcode (self->handle), "bind"));
      return NULL;
    }
  return statement;
}

sqlite3_stmt *
ing_database_query (IngDatabase *self, GError **error, const char *sql, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  sqlite3_stmt *statement = prepare (self, sql, format, args, error);
  va_end (args);
  return statement;
}

int
ing_database_step (IngDatabase *self, sqlite3_stmt *statement, GError **error)
{
  int rc = sqlite3_step (statement);
  if (rc == SQLITE_ROW)
    return 1;
  if (rc != SQLITE_DONE)
    {
      g_propagate_error (error, ing_database_make_error (self, rc, "step"));
      sqlite3_reset (statement);
      return -1;
    }
  sqlite3_reset (statement);
  return 0;
}

gboolean
ing_database_exec (IngDatabase *self, GError **error, const char *sql, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  sqlite3_stmt *statement = prepare (self, sql, format, args, error);
  va_end (args);
  if (statement == NULL)
    return FALSE;
  int rc;
  while ((rc = ing_database_step (self, statement, error)) > 0)
    ;
  sqlite3_clear_bindings (statement);
  return rc == 0;
}

gint64
ing_database_get_number (IngDatabase *self, const char *sql, gint64 fallback)
{
  sqlite3_stmt *statement = ing_database_query (self, NULL, sql, "");
  if (statement == NULL || ing_database_step (self, statement, NULL) != 1)
    return fallback;
  gint64 value = sqlite3_column_int64 (statement, 0);
  sqlite3_reset (statement);
  return value;
}

gboolean
ing_database_script (IngDatabase *self, const char *sql, GError **error)
{
  ING_ASSERT_DATABASE_THREAD (self);
  int rc = sqlite3_exec (self->handle, sql, NULL, NULL, NULL);
  if (rc != SQLITE_OK)
    g_propagate_error (error, ing_database_make_error (self, rc, "script"));
  return rc == SQLITE_OK;
}

char *
ing_database_column_text_or_null (sqlite3_stmt *statement, int column)
{
  const char *text = (const char *) sqlite3_column_text (statement, column);
  int length = sqlite3_column_bytes (statement, column);
  return text != NULL ? g_utf8_make_valid (text, length) : NULL;
}

char *
ing_database_column_text (sqlite3_stmt *statement, int column)
{
  char *text = ing_database_column_text_or_null (statement, column);
  return text != NULL ? text : g_strdup ("");
}

/* ------------------------------------------------------------------ transactions */

gboolean
ing_database_begin (IngDatabase *self, GError **error)
{
  g_return_val_if_fail (!self->in_transaction, FALSE);
  self->in_transaction = ing_database_exec (self, error, "BEGIN IMMEDIATE", "");
  return self->in_transaction;
}

gboolean
ing_database_end (IngDatabase *self, gboolean ok, GError **error)
{
  g_return_val_if_fail (self->in_transaction, FALSE);
  self->in_transaction = FALSE;
  if (ok && ing_database_exec (self, error, "COMMIT", ""))
    return TRUE;
  /* SQLite rolls back by itself after some errors (a full disk, …). */
  if (!sqlite3_get_autocommit (self->handle))
    ing_database_exec (self, NULL, "ROLLBACK", "");
  return FALSE;
}
