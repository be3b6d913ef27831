/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-bring-private.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "ing-collections-private.h"
#include "ing-conversation-list-private.h"
#include "ing-database-private.h"
#include "ing-document-private.h"
#include "ing-error-private.h"
#include "ing-schema.h"
#include "ing-workspace-private.h"

#define DATABASE "inglenook.sqlite"
#define MAX_SETTINGS_BYTES (1 << 20)

G_DEFINE_FINAL_TYPE (IngBring, ing_bring, G_TYPE_OBJECT)

static void
seen_clear (gpointer data)
{
  g_free (((IngBringSeen *) data)->path);
}

static void
remove_files (const char *folder)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (folder, name, NULL);
      g_unlink (path); /* not a folder */
    }
  g_rmdir (folder);
}

static void
close_copy (IngDatabase **copy)
{
  if (*copy != NULL)
    ing_database_close_sync (*copy);
  g_clear_object (copy);
}

static void
remove_scratch (IngBring *self)
{
  close_copy (&self->copy);
  close_copy (&self->documents);
  if (self->scratch == NULL)
    return;
  g_autofree char *backups = g_build_filename (self->scratch, "backups", NULL); /* of a migration */
  remove_files (backups);
  remove_files (self->scratch);
  g_clear_pointer (&self->scratch, g_free);
}

static void
ing_bring_finalize (GObject *object)
{
  IngBring *self = ING_BRING (object);
  remove_scratch (self);
  g_clear_pointer (&self->lock, ing_data_lock_free);
  g_clear_pointer (&self->merge.rows, g_ptr_array_unref);
  g_clear_pointer (&self->merge.ids, g_hash_table_unref);
  ing_collection_merge_clear (&self->collection_merge);
  g_clear_pointer (&self->document_merge.rows, g_ptr_array_unref);
  g_clear_pointer (&self->document_merge.pairs, g_array_unref);
  g_array_unref (self->seen);
  g_free ((char *) self->merge.from_models);
  g_free (self->folder);
  g_free (self->config);
  g_clear_object (&self->workspace);
  G_OBJECT_CLASS (ing_bring_parent_class)->finalize (object);
}

static void
ing_bring_class_init (IngBringClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = ing_bring_finalize;
}

static void
ing_bring_init (IngBring *self)
{
  self->seen = g_array_new (FALSE, FALSE, sizeof (IngBringSeen));
  g_array_set_clear_func (self->seen, seen_clear);
}

IngBring *
ing_bring_new (IngWorkspace *workspace)
{
  IngBring *self = g_object_new (ING_TYPE_BRING, NULL);
  self->workspace = g_object_ref (workspace);
  return self;
}

char *
ing_bring_dup_usual_folder (void)
{
  return ing_paths_is_sandboxed ()
             ? g_build_filename (g_get_home_dir (), ".local", "share", "inglenook", NULL)
             : g_build_filename (g_get_home_dir (), ".var", "app", ING_APP_ID, NULL);
}

double
ing_bring_get_fraction (IngBring *self)
{
  return g_atomic_int_get (&self->permille) / 1000.0;
}

void
ing_bring_tell (IngBring *self, double fraction)
{
  g_atomic_int_set (&self->permille, (int) (CLAMP (fraction, 0, 1) * 1000));
}

/* ------------------------------------------------------------------ the other's folder */

static gboolean
find_folders (IngBring *self, const char *chosen, GError **error)
{
  const char *const below[][2]
      = { { "", NULL }, { "inglenook", NULL }, { "data/inglenook", "config/inglenook" } };
  struct stat st, own;
  for (guint i = 0; i < G_N_ELEMENTS (below); i++)
    {
      g_autofree char *folder = g_build_filename (chosen, below[i][0], NULL);
      g_autofree char *database = g_build_filename (folder, DATABASE, NULL);
      if (!ing_bring_is_regular (database, &st))
        continue;
      if (stat (folder, &st) == 0
          && stat (ing_workspace_get_data_folder (self->workspace), &own) == 0
          && st.st_dev == own.st_dev && st.st_ino == own.st_ino)
        {
          g_propagate_error (
              error, ing_error_new (ING_ERROR_ARGUMENT, folder, 0, 0, "this program's own folder"));
          return FALSE;
        }
      self->folder = g_steal_pointer (&folder);
      self->config = below[i][1] != NULL ? g_build_filename (chosen, below[i][1], NULL) : NULL;
      return TRUE;
    }
  g_propagate_error (error,
                     ing_error_new (ING_ERROR_NOT_FOUND, chosen, 0, 0, "no %s there", DATABASE));
  return FALSE;
}

/* A database with what its journal holds, as one state: nobody wrote meanwhile. NULL without an
 * error: there is none. */
static IngDatabase *
copy_database (IngBring *self, const IngSchema *schema, GCancellable *cancellable, GError **error)
{
  static const char *const suffixes[] = { "", "-wal" };
  guint first = self->seen->len;
  guint64 n_done = 0;
  g_autofree char *name = g_strconcat (schema->name, ".sqlite", NULL);
  g_autofree char *copy = g_build_filename (self->scratch, name, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (suffixes); i++)
    {
      g_autofree char *from
          = g_strconcat (self->folder, G_DIR_SEPARATOR_S, name, suffixes[i], NULL);
      g_autofree char *to = g_strconcat (copy, suffixes[i], NULL);
      if (!ing_bring_note_seen (self, from, TRUE))
        {
          if (i == 0)
            return NULL;
        }
      else if (!ing_bring_copy_file (self, from, to, NULL, &n_done, 0, cancellable, error))
        return NULL;
    }
  for (guint i = first; i < self->seen->len; i++)
    if (!ing_bring_is_as_seen (&g_array_index (self->seen, IngBringSeen, i)))
      {
        g_propagate_error (error, ing_error_new (ING_ERROR_BUSY, self->folder, 0, 0,
                                                 "it changed while it was read"));
        return NULL;
      }
  guint32 id = 0;
  gint32 version = 0;
  if (!ing_database_peek (copy, &id, &version, error))
    return NULL;
  if (version <= 0 || id != schema->application_id)
    {
      g_propagate_error (error, ing_error_new (ING_ERROR_DATABASE_DAMAGED, self->folder, 0, 0,
                                               "not a database of this program"));
      return NULL;
    }
  g_autoptr (IngDatabase) database = ing_database_new (schema);
  return ing_database_open_sync (database, self->scratch, error) ? g_steal_pointer (&database)
                                                                 : NULL;
}

static gboolean
copy_databases (IngBring *self, GCancellable *cancellable, GError **error)
{
  g_autoptr (GError) local = NULL;
  self->scratch
      = g_build_filename (ing_workspace_get_data_folder (self->workspace), "move-XXXXXX", NULL);
  if (g_mkdtemp_full (self->scratch, 0700) == NULL)
    {
      g_propagate_error (error, ing_error_from_system (errno, self->scratch, "make folder"));
      g_clear_pointer (&self->scratch, g_free);
      return FALSE;
    }
  self->copy = copy_database (self, &ing_schema, cancellable, error);
  if (self->copy == NULL)
    return FALSE;
  guint n_seen = self->seen->len;
  self->documents = copy_database (self, &ing_document_schema, cancellable, &local);
  if (g_error_matches (local, ING_ERROR, ING_ERROR_DATABASE_DAMAGED))
    {
      /* Its own program would set it aside, too: it is left where it is. */
      g_array_set_size (self->seen, n_seen);
      return TRUE;
    }
  if (local != NULL)
    g_propagate_error (error, g_steal_pointer (&local));
  return error == NULL || *error == NULL;
}

/* ------------------------------------------------------------------ looking, on a worker thread */

typedef struct
{
  char *chosen;
  guint n_conversations, n_messages, n_documents, n_collections;
} Look;

/* What is told, not brought. */
static gpointer
count_left_func (IngDatabase *db, gpointer data, GError **error)
{
  IngBrought *moved = data;
  g_autofree char *sql = g_strdup_printf ("SELECT count(*) FROM jobs WHERE state IN (%d, %d, %d)",
                                          ING_JOB_QUEUED, ING_JOB_RUNNING, ING_JOB_PAUSED);
  sqlite3_stmt *s = NULL;
  if (sqlite3_prepare_v2 (ing_database_get_handle (db), sql, -1, &s, NULL) == SQLITE_OK
      && sqlite3_step (s) == SQLITE_ROW)
    moved->n_jobs_left = (guint) sqlite3_column_int (s, 0);
  sqlite3_finalize (s);
  moved->n_drafts_left = (guint) ing_database_get_number (
      db,
      "SELECT count(*) FROM conversations WHERE deleted_us IS NULL AND draft <> ''"
      " AND id NOT IN (SELECT conversation_id FROM messages)",
      0);
  return db;
}

static void
look_free (gpointer data)
{
  g_free (((Look *) data)->chosen);
  g_free (data);
}

static void
look_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  IngBring *self = source;
  Look *look = task_data;
  GError *error = NULL;
  gboolean ok = find_folders (self, look->chosen, &error);
  if (ok)
    {
      g_autoptr (GError) local = NULL;
      self->lock = ing_data_lock_take (self->folder, "move", &local);
      /* Where the folder can only be read there is no lock; that nothing changed is looked at
       * besides. */
      ok = self->lock != NULL || !g_error_matches (local, ING_ERROR, ING_ERROR_LOCKED);
      if (!ok)
        error = g_steal_pointer (&local);
    }
  ok = ok && copy_databases (self, cancellable, &error)
       && ing_merge_count (self->copy, &look->n_conversations, &look->n_messages, &error)
       && ing_database_run_sync (self->copy, count_left_func, &self->moved, &error) != NULL
       && (self->documents == NULL
           || (ing_document_merge_count (self->documents, &look->n_documents, &error)
               && ing_collection_merge_count (self->documents, &look->n_collections, &error)));
  if (ok)
    g_task_return_boolean (task, TRUE);
  else
    g_task_return_error (task, error);
}

/* ------------------------------------------------------------------ bringing, on a worker thread
 */

static void
merge_tell (gpointer data, guint done, guint total)
{
  ing_bring_tell (data, ING_BRING_CONVERSATIONS_SHARE * done / total);
}

static gboolean
bring_documents (IngBring *self, GCancellable *cancellable, GError **error)
{
  IngDocumentMerge *merge = &self->document_merge;
  if (self->documents == NULL)
    return TRUE;
  /* An index that is in memory for now (its file could not be used) is no place to bring something
   * to. */
  g_autofree char *path = ing_database_dup_path (merge->to);
  if (path == NULL)
    {
      self->keep_databases = TRUE;
      return TRUE;
    }
  self->collection_merge.from = merge->from = self->documents;
  self->collection_merge.conversations = self->merge.ids;
  if (!ing_collection_merge_run (&self->collection_merge, error))
    return FALSE;
  merge->owners = self->collection_merge.owners;
  return ing_document_merge_run (merge, cancellable, error);
}

static void
bring_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  IngBring *self = source;
  GError *error = NULL;
  gboolean ok = ing_merge_conversations (&self->merge, cancellable, &error)
                && bring_documents (self, cancellable, &error)
                && ing_bring_models (self, cancellable, &error);
  remove_scratch (self);
  if (ok)
    g_task_return_boolean (task, TRUE);
  else
    g_task_return_error (task, error);
}

/* ------------------------------------------------------------------ settings */

static void
bring_settings (IngBring *self)
{
  /* Chosen one by one: nothing that names a path, a server or a program to start. */
  static const char *const keys[]
      = { ING_SETTING_CONTEXT,       ING_SETTING_THREADS,  ING_SETTING_DEVICE,
          ING_SETTING_SYSTEM_PROMPT, ING_SETTING_SAMPLING, ING_SETTING_CONNECTIONS };
  IngSettings *ours = ing_workspace_get_settings (self->workspace);
  g_autofree char *backup = g_build_filename (self->folder, "backups", "settings.ini", NULL);
  g_autofree char *path
      = self->config != NULL ? g_build_filename (self->config, "settings.ini", NULL) : NULL;
  struct stat st;
  if (path == NULL || !ing_bring_is_regular (path, &st))
    {
      g_free (path);
      path = g_steal_pointer (&backup);
    }
  g_autoptr (GKeyFile) theirs = g_key_file_new ();
  if (!ing_bring_is_regular (path, &st) || st.st_size > MAX_SETTINGS_BYTES
      || !g_key_file_load_from_file (theirs, path, G_KEY_FILE_NONE, NULL))
    return;
  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    {
      const char *dot = strchr (keys[i], '.');
      g_autofree char *group = g_strndup (keys[i], (gsize) (dot - keys[i]));
      g_autofree char *value = g_key_file_get_string (theirs, group, dot + 1, NULL);
      g_autofree char *own = ing_settings_dup_string (ours, keys[i], NULL);
      if (value == NULL || own != NULL)
        continue;
      ing_settings_set_string (ours, keys[i], value);
      self->moved.n_settings++;
    }
}

void
ing_bring_leave (IngBring *self)
{
  g_array_set_size (self->seen, 0);
  g_clear_pointer (&self->lock, ing_data_lock_free);
}

/* ------------------------------------------------------------------ the run */

static void
brought_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  IngBring *self = ING_BRING (source);
  g_autoptr (GTask) caller = user_data;
  GError *error = NULL;
  gboolean ok = g_task_propagate_boolean (G_TASK (result), &error);
  self->moved.n_conversations = self->merge.rows->len;
  self->moved.n_known_conversations = self->merge.n_known;
  self->moved.n_documents = self->document_merge.rows->len;
  self->moved.n_known_documents = self->document_merge.n_known;
  self->moved.n_known_collections = self->collection_merge.n_known;
  ing_conversation_list_add_rows (ing_workspace_get_conversations (self->workspace),
                                  self->merge.rows);
  ing_document_library_adopt (ing_workspace_get_documents (self->workspace),
                              self->document_merge.rows, self->document_merge.pairs);
  if (self->collection_merge.tables != NULL)
    {
      self->moved.n_collections = self->collection_merge.tables->collections->len;
      ing_collections_adopt (ing_document_library_get_collections (ing_workspace_get_documents (self->workspace)),
                             self->collection_merge.tables);
    }
  ing_library_refresh (ing_workspace_get_library (self->workspace));
  if (!ok)
    {
      ing_bring_leave (self);
      g_task_return_error (caller, error);
      return;
    }
  bring_settings (self);
  ing_bring_tell (self, 1);
  g_task_return_boolean (caller, TRUE);
}

static void
looked_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  IngBring *self = ING_BRING (source);
  GTask *caller = user_data;
  Look *look = g_task_get_task_data (G_TASK (result));
  GError *error = NULL;
  if (!g_task_propagate_boolean (G_TASK (result), &error))
    {
      ing_bring_leave (self);
      g_task_return_error (caller, error);
      g_object_unref (caller);
      return;
    }
  self->merge
      = (IngMerge){ .from = self->copy,
                    .to = ing_workspace_get_database (self->workspace),
                    .from_models = g_build_filename (self->folder, "models", NULL),
                    .to_models = ing_paths_get_models (),
                    .tell = merge_tell,
                    .data = self,
                    .ids = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, g_free),
                    .rows
                    = g_ptr_array_new_with_free_func ((GDestroyNotify) ing_conversation_row_free) };
  IngDocumentLibrary *documents = ing_workspace_get_documents (self->workspace);
  self->document_merge = (IngDocumentMerge){
    .to = ing_document_library_get_database (documents),
    .document_id = ing_document_library_reserve (documents, look->n_documents),
    .rows = g_ptr_array_new_with_free_func ((GDestroyNotify) ing_document_row_free),
    .pairs = g_array_new (FALSE, FALSE, 3 * sizeof (gint64))
  };
  self->collection_merge = (IngCollectionMerge){
    .to = self->document_merge.to,
    .collection_id
    = ing_collections_reserve (ing_document_library_get_collections (documents), look->n_collections),
  };
  ing_conversation_list_reserve (ing_workspace_get_conversations (self->workspace),
                                 look->n_conversations, look->n_messages,
                                 &self->merge.conversation_id, &self->merge.message_id);
  g_autoptr (GTask) task = g_task_new (self, g_task_get_cancellable (caller), brought_cb, caller);
  g_task_set_check_cancellable (task, FALSE);
  g_task_run_in_thread (task, bring_thread);
}

void
ing_bring_run_async (IngBring *self, const char *folder, GCancellable *cancellable,
                     GAsyncReadyCallback callback, gpointer user_data)
{
  GTask *caller = g_task_new (self, cancellable, callback, user_data);
  g_task_set_check_cancellable (caller, FALSE);
  if (self->folder != NULL || ing_workspace_get_storage_state (self->workspace) != ING_STORAGE_OK)
    {
      const GError *problem = ing_workspace_get_storage_problem (self->workspace);
      g_task_return_error (caller, problem != NULL
                                       ? g_error_copy (problem)
                                       : ing_error_new (ING_ERROR_BUSY, NULL, 0, 0, "not now"));
      g_object_unref (caller);
      return;
    }
  Look *look = g_new0 (Look, 1);
  look->chosen = g_strdup (folder);
  g_autoptr (GTask) task = g_task_new (self, cancellable, looked_cb, caller);
  g_task_set_task_data (task, look, look_free);
  g_task_set_check_cancellable (task, FALSE);
  g_task_run_in_thread (task, look_thread);
}

gboolean
ing_bring_run_finish (IngBring *self, GAsyncResult *result, IngBrought *moved, GError **error)
{
  *moved = self->moved;
  return g_task_propagate_boolean (G_TASK (result), error);
}

/* ------------------------------------------------------------------ removing */

static void
remove_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  static const char *const shared[] = { DATABASE "-shm", "documents.sqlite-shm" };
  IngBring *self = source;
  GError *error = NULL;
  gboolean whole = TRUE, databases = !self->keep_databases;
  /* Conversations, what was read of their documents, and the journals: all as they were, or none
   * goes. */
  for (guint i = 0; i < self->seen->len; i++)
    {
      const IngBringSeen *seen = &g_array_index (self->seen, IngBringSeen, i);
      if (seen->of_database && !ing_bring_is_as_seen (seen))
        databases = FALSE;
    }
  for (guint i = 0; i < self->seen->len; i++)
    {
      const IngBringSeen *seen = &g_array_index (self->seen, IngBringSeen, i);
      if ((seen->of_database && !databases) || !ing_bring_is_as_seen (seen))
        whole = FALSE;
      else if (g_unlink (seen->path) != 0 && error == NULL)
        error = ing_error_from_system (errno, seen->path, "remove");
    }
  for (guint i = 0; databases && error == NULL && i < G_N_ELEMENTS (shared); i++)
    {
      g_autofree char *path = g_build_filename (self->folder, shared[i], NULL);
      g_unlink (path); /* memory of a journal that is gone */
    }
  if (error != NULL)
    g_task_return_error (task, error);
  else if (!whole)
    g_task_return_error (
        task, ing_error_new (ING_ERROR_BUSY, self->folder, 0, 0, "it has changed since"));
  else
    g_task_return_boolean (task, TRUE);
}

void
ing_bring_remove_async (IngBring *self, GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (self, NULL, callback, user_data);
  g_task_run_in_thread (task, remove_thread);
}

gboolean
ing_bring_remove_finish (IngBring *self, GAsyncResult *result, GError **error)
{
  ing_bring_leave (self);
  return g_task_propagate_boolean (G_TASK (result), error);
}
