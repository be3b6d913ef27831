/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-database-backup.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "ing-database-private.h"

#define STEP_PAGES 256 /* 1 MB: about 1 ms of the database's thread */

char *
ing_database_backup_path (const IngSchema *schema, const char *folder, int generation)
{
  g_autofree char *name = g_strdup_printf ("%s-%d.sqlite", schema->name, generation);
  return g_build_filename (folder, "backups", name, NULL);
}

static gint64
get_time_us (const char *path)
{
  GStatBuf st;
  return path != NULL && g_stat (path, &st) == 0
             ? (gint64) st.st_mtim.tv_sec * G_USEC_PER_SEC + st.st_mtim.tv_nsec / 1000
             : 0;
}

static gboolean
sync_file (const char *path, GError **error)
{
  int fd = open (path, O_RDONLY | O_CLOEXEC);
  gboolean ok = fd >= 0 && fsync (fd) == 0;
  if (!ok)
    g_propagate_error (error, ing_error_from_system (errno, path, "sync"));
  if (fd >= 0)
    close (fd);
  return ok;
}

static gboolean
rename_file (const char *from, const char *to, GError **error)
{
  if (g_rename (from, to) == 0)
    return TRUE;
  g_propagate_error (error, ing_error_from_system (errno, from, "rename"));
  return FALSE;
}

gboolean
ing_database_backup_for_migration (IngDatabase *self, const char *folder, int version,
                                   GError **error)
{
  g_autofree char *backups = g_build_filename (folder, "backups", NULL);
  g_autofree char *name = g_strdup_printf ("%s-v%d.sqlite", self->schema->name, version);
  g_autofree char *path = g_build_filename (backups, name, NULL);
  g_autofree char *part = g_strconcat (path, ".part", NULL);
  if (!ing_paths_ensure_folder (backups, error))
    return FALSE;
  g_unlink (part);
  gboolean ok = ing_database_exec (self, error, "VACUUM INTO ?", "t", part)
                && ing_database_verify_file (self->schema, part, error) && sync_file (part, error)
                && rename_file (part, path, error) && ing_paths_sync_folder (backups, error);
  if (!ok)
    g_unlink (part);
  return ok;
}

/* ------------------------------------------------------------------ rolling backups */

typedef struct
{
  char *folder; /* data folder */
  char *part;
  gboolean force;
  sqlite3 *target;
  sqlite3_backup *backup;
  gboolean skip; /* none is due */
} Backup;

static void
backup_free (gpointer data)
{
  Backup *b = data;
  g_assert (b->backup == NULL); /* ended on the database's thread */
  g_free (b->folder);
  g_free (b->part);
  g_free (b);
}

static void
backup_end (Backup *b)
{
  sqlite3_backup_finish (b->backup);
  b->backup = NULL;
  sqlite3_close (b->target);
  b->target = NULL;
}

static gboolean
backup_is_due (IngDatabase *self, Backup *b)
{
  g_autofree char *newest = ing_database_backup_path (self->schema, b->folder, 1);
  g_autofree char *wal = g_strconcat (self->path, "-wal", NULL);
  gint64 last = get_time_us (newest);
  gint64 changed = MAX (get_time_us (self->path), get_time_us (wal));
  return b->force || (changed > last && g_get_real_time () - last > ING_BACKUP_AGE_US);
}

static gpointer
backup_start_func (IngDatabase *self, gpointer data, GError **error)
{
  Backup *b = data;
  if (self->path == NULL)
    {
      b->skip = TRUE;
      return NULL;
    }
  b->folder = g_path_get_dirname (self->path);
  b->skip = !backup_is_due (self, b);
  if (b->skip)
    return NULL;
  g_autofree char *backups = g_build_filename (b->folder, "backups", NULL);
  g_autofree char *name = g_strconcat (self->schema->name, ".part", NULL);
  b->part = g_build_filename (backups, name, NULL);
  if (!ing_paths_ensure_folder (backups, error))
    return NULL;
  g_unlink (b->part);
  int rc = sqlite3_open_v2 (b->part, &b->target, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
  if (rc == SQLITE_OK)
    rc = sqlite3_exec (b->target, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF", NULL, NULL,
                       NULL);
  if (rc == SQLITE_OK)
    b->backup = sqlite3_backup_init (b->target, "main", self->handle, "main");
  if (b->backup == NULL)
    {
      g_propagate_error (error, ing_database_error_for (b->target, rc, b->part, "back up"));
      backup_end (b);
    }
  return NULL;
}

/* Returns non-NULL when there is more. */
static gpointer
backup_step_func (IngDatabase *self, gpointer data, GError **error)
{
  Backup *b = data;
  int rc = self->handle != NULL ? sqlite3_backup_step (b->backup, STEP_PAGES) : SQLITE_ABORT;
  if (rc == SQLITE_OK || rc == SQLITE_BUSY || rc == SQLITE_LOCKED)
    return b;
  if (rc != SQLITE_DONE)
    g_propagate_error (error, ing_database_error_for (b->target, rc, b->part, "back up"));
  backup_end (b);
  return NULL;
}

/* On a worker thread: the file is nobody's but ours now. */
static void
backup_keep_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  IngDatabase *self = source;
  Backup *b = task_data;
  GError *error = NULL;
  g_autofree char *backups = g_path_get_dirname (b->part);
  gboolean ok = ing_database_verify_file (self->schema, b->part, &error)
                && sync_file (b->part, &error);
  for (int i = ING_BACKUP_GENERATIONS - 1; ok && i >= 1; i--)
    {
      g_autofree char *from = ing_database_backup_path (self->schema, b->folder, i);
      g_autofree char *to = ing_database_backup_path (self->schema, b->folder, i + 1);
      if (g_file_test (from, G_FILE_TEST_EXISTS))
        ok = rename_file (from, to, &error);
    }
  g_autofree char *first = ing_database_backup_path (self->schema, b->folder, 1);
  ok = ok && rename_file (b->part, first, &error) && ing_paths_sync_folder (backups, &error);
  if (ok)
    {
      g_task_return_boolean (task, TRUE);
      return;
    }
  g_unlink (b->part);
  g_task_return_error (task, error);
}

static void
on_backup_stepped (GObject *source, GAsyncResult *result, gpointer user_data)
{
  IngDatabase *self = ING_DATABASE (source);
  g_autoptr (GTask) task = user_data;
  Backup *b = g_task_get_task_data (task);
  GError *error = NULL;
  gpointer more = ing_database_run_finish (self, result, &error);
  if (error != NULL)
    {
      if (b->part != NULL)
        g_unlink (b->part);
      g_task_return_error (task, error);
    }
  else if (b->skip)
    g_task_return_boolean (task, TRUE);
  else if (more != NULL || b->backup != NULL)
    ing_database_run_async (self, backup_step_func, b, NULL, NULL, NULL, on_backup_stepped,
                            g_steal_pointer (&task));
  else
    g_task_run_in_thread (task, backup_keep_thread);
}

void
ing_database_backup_async (IngDatabase *self, gboolean force, GCancellable *cancellable,
                           GAsyncReadyCallback callback, gpointer user_data)
{
  GTask *task = g_task_new (self, cancellable, callback, user_data);
  Backup *b = g_new0 (Backup, 1);
  b->force = force;
  g_task_set_source_tag (task, ing_database_backup_async);
  g_task_set_task_data (task, b, backup_free);
  ing_database_run_async (self, backup_start_func, b, NULL, NULL, NULL, on_backup_stepped, task);
}

gboolean
ing_database_backup_finish (IngDatabase *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}

/* ------------------------------------------------------------------ going back */

char *
ing_database_find_backup (const IngSchema *schema, const char *folder, gint64 *time_us)
{
  for (int i = 1; i <= ING_BACKUP_GENERATIONS; i++)
    {
      g_autofree char *path = ing_database_backup_path (schema, folder, i);
      if (g_file_test (path, G_FILE_TEST_IS_REGULAR)
          && ing_database_verify_file (schema, path, NULL))
        {
          if (time_us != NULL)
            *time_us = get_time_us (path);
          return g_steal_pointer (&path);
        }
    }
  if (time_us != NULL)
    *time_us = 0;
  return NULL;
}

gboolean
ing_database_replace (const IngSchema *schema, const char *folder, const char *backup,
                      GError **error)
{
  static const char *const suffixes[] = { "", "-wal", "-shm", "-journal" };
  g_autoptr (GDateTime) now = g_date_time_new_now_local ();
  g_autofree char *stamp = g_date_time_format (now, "%Y-%m-%d-%H%M%S");
  g_autofree char *aside = g_build_filename (folder, "damaged", stamp, NULL);
  g_autofree char *file = g_strconcat (schema->name, ".sqlite", NULL);
  g_autofree char *path = g_build_filename (folder, file, NULL);
  g_autofree char *part = g_strconcat (path, ".part", NULL);

  /* The copy first: if it fails (full disk), everything stays as it was. */
  if (backup != NULL)
    {
      g_autoptr (GFile) from = g_file_new_for_path (backup);
      g_autoptr (GFile) to = g_file_new_for_path (part);
      if (!g_file_copy (from, to, G_FILE_COPY_OVERWRITE, NULL, NULL, NULL, error)
          || !sync_file (part, error))
        return FALSE;
    }
  if (!ing_paths_ensure_folder (aside, error))
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (suffixes); i++)
    {
      g_autofree char *from = g_strconcat (path, suffixes[i], NULL);
      g_autofree char *to = g_strconcat (aside, G_DIR_SEPARATOR_S, file, suffixes[i], NULL);
      if (g_file_test (from, G_FILE_TEST_EXISTS) && !rename_file (from, to, error))
        return FALSE;
    }
  return (backup == NULL || rename_file (part, path, error))
         && ing_paths_sync_folder (folder, error);
}
