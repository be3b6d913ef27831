/* SPDX-License-Identifier: Apache-2.0 */
/* Invariant: what the list shows was read together by one thread; a refresh asked for meanwhile follows behind it. */
#include "ing-library-private.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "ing-download-run.h"
#include "ing-import.h"
#include "ing-model-memory.h"
#include "ing-mover.h"
#include "ing-repair.h"
#include "ing-trash.h"

struct _IngLibrary
{
  GObject parent_instance;
  IngDatabase *database;
  IngSettings *settings;
  IngJobQueue *jobs; /* borrowed, outlives it */
  IngDownloads *downloads;
  IngTransfers *transfers;
  IngModelMeter *meter;
  GPtrArray *files; /* of IngModelFile */
  gboolean refreshing, again;
  guint refresh_id;
};

static guint moved_signal;

static GType
get_item_type (GListModel *model)
{
  return ING_TYPE_MODEL_FILE;
}

static guint
get_n_items (GListModel *model)
{
  return ING_LIBRARY (model)->files->len;
}

static gpointer
get_item (GListModel *model, guint position)
{
  IngLibrary *self = ING_LIBRARY (model);
  return position < self->files->len ? g_object_ref (g_ptr_array_index (self->files, position)) : NULL;
}

static void
list_model_init (GListModelInterface *iface)
{
  iface->get_item_type = get_item_type;
  iface->get_n_items = get_n_items;
  iface->get_item = get_item;
}

G_DEFINE_FINAL_TYPE_WITH_CODE (IngLibrary, ing_library, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (G_TYPE_LIST_MODEL, list_model_init))

/* ------------------------------------------------------------------ reading */

typedef struct
{
  IngDatabase *database;
  char **folders;
} Scan;

static void
scan_free (gpointer data)
{
  Scan *scan = data;
  g_object_unref (scan->database);
  g_strfreev (scan->folders);
  g_free (scan);
}

typedef struct
{
  GPtrArray *rows;
  GHashTable *users;
} Known;

static gpointer
read_known_func (IngDatabase *db, gpointer data, GError **error)
{
  Known *known = data;
  known->rows = ing_model_file_table_read (db, error);
  known->users = known->rows != NULL ? ing_model_file_table_count_users (db, error) : NULL;
  return known->users;
}

static void
describe_file (IngModelFile *file, const Known *known)
{
  const IngModelFileRow *own = NULL;
  const char *path = ing_model_file_get_path (file);
  for (guint i = 0; known->rows != NULL && i < known->rows->len; i++)
    {
      const IngModelFileRow *row = g_ptr_array_index (known->rows, i);
      if (strcmp (row->path, path) == 0)
        own = row;
    }
  ing_model_file_set_known (file, own,
                            known->users != NULL ? GPOINTER_TO_UINT (g_hash_table_lookup (known->users, path)) : 0);
}

static void
scan_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  Scan *scan = task_data;
  Known known = { 0 };
  GPtrArray *all = g_ptr_array_new_with_free_func (g_object_unref);
  ing_database_run_sync (scan->database, read_known_func, &known, NULL);
  for (guint i = 0; scan->folders[i] != NULL; i++)
    {
      g_autoptr (GPtrArray) files = ing_library_scan (scan->folders[i]);
      for (guint j = 0; j < files->len; j++)
        {
          describe_file (g_ptr_array_index (files, j), &known);
          g_ptr_array_add (all, g_object_ref (g_ptr_array_index (files, j)));
        }
    }
  g_clear_pointer (&known.rows, g_ptr_array_unref);
  g_clear_pointer (&known.users, g_hash_table_unref);
  g_task_return_pointer (task, all, (GDestroyNotify) g_ptr_array_unref);
}

static void
on_scanned (GObject *source, GAsyncResult *result, gpointer user_data)
{
  IngLibrary *self = ING_LIBRARY (source);
  g_autoptr (GPtrArray) files = g_task_propagate_pointer (G_TASK (result), NULL);
  self->refreshing = FALSE;
  if (files != NULL)
    {
      guint n_old = self->files->len;
      g_ptr_array_unref (self->files);
      self->files = g_steal_pointer (&files);
      g_list_model_items_changed (G_LIST_MODEL (self), 0, n_old, self->files->len);
    }
  if (self->again)
    ing_library_refresh (self);
}

char **
ing_library_dup_folders (IngLibrary *self)
{
  g_autofree char *text = ing_settings_dup_string (self->settings, ING_SETTING_FOLDERS, "");
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  g_autoptr (GStrvBuilder) folders = g_strv_builder_new ();
  for (guint i = 0; lines[i] != NULL; i++)
    if (g_path_is_absolute (lines[i]) && strcmp (lines[i], ing_paths_get_models ()) != 0)
      g_strv_builder_add (folders, lines[i]);
  return g_strv_builder_end (folders);
}

void
ing_library_refresh (IngLibrary *self)
{
  self->again = self->refreshing;
  if (self->refreshing)
    return;
  self->refreshing = TRUE;
  g_auto (GStrv) own = ing_library_dup_folders (self);
  g_autoptr (GStrvBuilder) folders = g_strv_builder_new ();
  Scan *scan = g_new0 (Scan, 1);
  /* The folder of models is made when something comes: until then it is empty rather than absent. */
  if (g_file_test (ing_paths_get_models (), G_FILE_TEST_IS_DIR))
    g_strv_builder_add (folders, ing_paths_get_models ());
  g_strv_builder_addv (folders, (const char **) own);
  scan->database = g_object_ref (self->database);
  scan->folders = g_strv_builder_end (folders);
  g_autoptr (GTask) task = g_task_new (self, NULL, on_scanned, NULL);
  g_task_set_task_data (task, scan, scan_free);
  g_task_run_in_thread (task, scan_thread);
}

static void
set_folders (IngLibrary *self, char **folders, const char *without, const char *with)
{
  g_autoptr (GString) text = g_string_new (NULL);
  for (guint i = 0; folders[i] != NULL; i++)
    if (g_strcmp0 (folders[i], without) != 0 && g_strcmp0 (folders[i], with) != 0)
      g_string_append_printf (text, "%s\n", folders[i]);
  if (with != NULL && g_path_is_absolute (with) && strchr (with, '\n') == NULL)
    g_string_append_printf (text, "%s\n", with);
  ing_settings_set_string (self->settings, ING_SETTING_FOLDERS, text->str);
  ing_library_refresh (self);
}

void
ing_library_add_folder (IngLibrary *self, const char *path)
{
  g_auto (GStrv) folders = ing_library_dup_folders (self);
  set_folders (self, folders, NULL, path);
}

void
ing_library_remove_folder (IngLibrary *self, const char *path)
{
  g_auto (GStrv) folders = ing_library_dup_folders (self);
  set_folders (self, folders, path, NULL);
}

/* ------------------------------------------------------------------ trash */

static gpointer
forget_func (IngDatabase *db, gpointer data, GError **error)
{
  return ing_model_file_table_delete (db, data, error) ? db : NULL;
}

static gpointer
write_row_func (IngDatabase *db, gpointer data, GError **error)
{
  return ing_model_file_table_write (db, data, error) ? db : NULL;
}

static void
remember_file (IngDatabase *database, const char *path, guint64 bytes, const char *sha256, const char *blocks, const char *uri)
{
  IngModelFileRow row = { .path = (char *) path, .sha256 = (char *) sha256, .blocks = (char *) blocks, .uri = (char *) uri,
                          .bytes = bytes };
  ing_database_run_sync (database, write_row_func, &row, NULL);
}

typedef struct
{
  IngDatabase *database;
  IngModelFile *file;
  char *path; /* import, link: from */
  char *name; /* link */
  char *proxy; /* repair */
  guint n_bad, n_blocks;
} Work;

static void
work_free (gpointer data)
{
  Work *work = data;
  g_object_unref (work->database);
  g_clear_object (&work->file);
  g_free (work->path);
  g_free (work->name);
  g_free (work->proxy);
  g_free (work);
}

static GTask *
new_work (IngLibrary *self, IngModelFile *file, const char *path, GCancellable *cancellable, GAsyncReadyCallback callback,
          gpointer user_data)
{
  GTask *task = g_task_new (self, cancellable, callback, user_data);
  Work *work = g_new0 (Work, 1);
  work->database = g_object_ref (self->database);
  work->file = file != NULL ? g_object_ref (file) : NULL;
  work->path = g_strdup (path);
  g_task_set_task_data (task, work, work_free);
  return task;
}

static void
trash_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  Work *work = task_data;
  const char *path = ing_model_file_get_path (work->file);
  g_autoptr (GPtrArray) paths = ing_library_list_set (path);
  for (guint i = 0; i < paths->len; i++)
    {
      g_autoptr (GFile) file = g_file_new_for_path (g_ptr_array_index (paths, i));
      g_autoptr (GError) error = NULL;
      if (g_file_trash (file, cancellable, &error) || g_error_matches (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND))
        continue;
      g_task_return_error (task, g_error_matches (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED)
                                     ? ing_error_new (ING_ERROR_UNSUPPORTED, path, 0, 0, "the drive has no trash")
                                     : g_steal_pointer (&error));
      return;
    }
  ing_database_run_sync (work->database, forget_func, (gpointer) path, NULL);
  g_task_return_boolean (task, TRUE);
}

void
ing_library_trash_async (IngLibrary *self, IngModelFile *file, GCancellable *cancellable, GAsyncReadyCallback callback,
                         gpointer user_data)
{
  g_autoptr (GTask) task = new_work (self, file, NULL, cancellable, callback, user_data);
  /* An unfinished part has a name only this program gives. */
  if (ing_model_file_get_is_own (file) || ing_model_file_get_kind (file) == ING_FILE_PART)
    g_task_run_in_thread (task, trash_thread);
  else
    g_task_return_error (task, ing_error_new (ING_ERROR_PERMISSION, ing_model_file_get_name (file), 0, 0,
                                              "this program did not make the file"));
}

gboolean
ing_library_trash_finish (IngLibrary *self, GAsyncResult *result, GError **error)
{
  ing_library_refresh (self);
  return g_task_propagate_boolean (G_TASK (result), error);
}

static void
restore_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  Work *work = task_data;
  const char *path = ing_model_file_get_path (work->file);
  g_autoptr (GPtrArray) paths = ing_library_list_set (path);
  GError *error = NULL;
  for (guint i = 0; i < paths->len && error == NULL; i++)
    ing_trash_restore (g_ptr_array_index (paths, i), &error);
  if (error == NULL && ing_model_file_get_is_own (work->file))
    remember_file (work->database, path, ing_model_file_get_bytes (work->file), ing_model_file_get_sha256 (work->file),
                   ing_model_file_get_blocks (work->file), ing_model_file_get_uri (work->file));
  if (error == NULL)
    g_task_return_boolean (task, TRUE);
  else
    g_task_return_error (task, error);
}

void
ing_library_restore_async (IngLibrary *self, IngModelFile *file, GCancellable *cancellable, GAsyncReadyCallback callback,
                           gpointer user_data)
{
  g_autoptr (GTask) task = new_work (self, file, NULL, cancellable, callback, user_data);
  g_task_run_in_thread (task, restore_thread);
}

gboolean
ing_library_restore_finish (IngLibrary *self, GAsyncResult *result, GError **error)
{
  ing_library_refresh (self);
  return g_task_propagate_boolean (G_TASK (result), error);
}

/* ------------------------------------------------------------------ bringing in */

static gboolean
import_set (IngDatabase *database, const char *path, IngJob *job, char **first, GCancellable *cancellable, GError **error)
{
  g_autoptr (GPtrArray) made = ing_import_copy (path, job, cancellable, error);
  for (guint i = 0; made != NULL && i < made->len; i++)
    {
      struct stat st = { 0 };
      if (stat (g_ptr_array_index (made, i), &st) == 0)
        remember_file (database, g_ptr_array_index (made, i), (guint64) st.st_size, NULL, NULL, NULL);
    }
  *first = made != NULL ? g_strdup (g_ptr_array_index (made, 0)) : NULL;
  return made != NULL;
}

static void
import_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  Work *work = task_data;
  GError *error = NULL;
  char *first;
  if (import_set (work->database, work->path, NULL, &first, cancellable, &error))
    g_task_return_pointer (task, first, g_free);
  else
    g_task_return_error (task, error);
}

void
ing_library_import_async (IngLibrary *self, const char *path, GCancellable *cancellable, GAsyncReadyCallback callback,
                          gpointer user_data)
{
  g_autoptr (GTask) task = new_work (self, NULL, path, cancellable, callback, user_data);
  g_task_run_in_thread (task, import_thread);
}

char *
ing_library_import_finish (IngLibrary *self, GAsyncResult *result, GError **error)
{
  ing_library_refresh (self);
  return g_task_propagate_pointer (G_TASK (result), error);
}

typedef struct
{
  IngDatabase *database;
  IngJob *job;
} ImportRun;

static void
import_run_free (gpointer data)
{
  ImportRun *run = data;
  g_object_unref (run->database);
  g_object_unref (run->job);
  g_free (run);
}

static void
import_job_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  ImportRun *run = task_data;
  GError *error = NULL;
  g_autoptr (JsonObject) payload = ing_json_parse_object (ing_job_get_payload (run->job), -1, &error);
  g_autofree char *first = NULL;
  if (payload == NULL
      || !import_set (run->database, ing_json_get_string (payload, "in", ""), run->job, &first, cancellable, &error))
    {
      g_task_return_error (task, error);
      return;
    }
  g_autoptr (JsonObject) result = json_object_new ();
  json_object_set_string_member (result, "path", first);
  g_autofree char *json = ing_json_print_object (result);
  ing_job_set_result (run->job, json);
  g_task_return_boolean (task, TRUE);
}

static void
start_import (IngJob *job, GTask *task, gpointer data)
{
  IngLibrary *self = data;
  ImportRun *run = g_new0 (ImportRun, 1);
  run->database = g_object_ref (self->database);
  run->job = g_object_ref (job);
  g_task_set_task_data (task, run, import_run_free);
  g_task_run_in_thread (task, import_job_thread);
  g_object_unref (task);
}

IngJob *
ing_library_import (IngLibrary *self, const char *path)
{
  g_autoptr (JsonObject) payload = json_object_new ();
  g_autofree char *title = g_filename_display_basename (path);
  json_object_set_string_member (payload, "in", path);
  g_autofree char *json = ing_json_print_object (payload);
  return ing_job_queue_add (self->jobs, ING_JOB_KIND_IMPORT, title, json, 0);
}

gboolean
ing_library_has_job (IngJob *job)
{
  const char *kind = ing_job_get_kind (job);
  return strcmp (kind, ING_JOB_KIND_DOWNLOAD) == 0 || strcmp (kind, ING_JOB_KIND_IMPORT) == 0
         || strcmp (kind, ING_JOB_KIND_MOVE) == 0 || ing_transfers_has_job (job);
}

/* ------------------------------------------------------------------ moving */

static void
start_move (IngJob *job, GTask *task, gpointer data)
{
  IngLibrary *self = data;
  ing_mover_start (self, self->database, job, task);
}

IngJob *
ing_library_move (IngLibrary *self, IngModelFile *file, const char *folder)
{
  if (!ing_model_file_get_is_own (file) || ing_model_file_get_kind (file) != ING_FILE_MODEL)
    return NULL;
  g_autofree char *payload = ing_mover_make_payload (ing_model_file_get_path (file), folder);
  return ing_job_queue_add (self->jobs, ING_JOB_KIND_MOVE, ing_model_file_get_name (file), payload, 0);
}

static gboolean
is_looked_into (IngLibrary *self, const char *path)
{
  g_auto (GStrv) folders = ing_library_dup_folders (self);
  g_autoptr (GStrvBuilder) all = g_strv_builder_new ();
  g_strv_builder_addv (all, (const char **) folders);
  g_strv_builder_add (all, ing_paths_get_models ());
  g_auto (GStrv) list = g_strv_builder_end (all);
  for (guint i = 0; list[i] != NULL; i++)
    if (g_str_has_prefix (path, list[i]) && path[strlen (list[i])] == '/')
      return TRUE;
  return FALSE;
}

void
ing_library_note_moved (IngLibrary *self, const char *path, const char *new_path)
{
  g_autofree char *folder = g_path_get_dirname (new_path);
  g_autofree char *last = ing_settings_dup_string (self->settings, ING_SETTING_LAST_MODEL, "");
  ing_model_defaults_rename (self->settings, path, new_path);
  if (strcmp (last, path) == 0)
    ing_settings_set_string (self->settings, ING_SETTING_LAST_MODEL, new_path);
  if (!is_looked_into (self, new_path))
    ing_library_add_folder (self, folder);
  ing_settings_flush (self->settings, NULL);
  g_signal_emit (self, moved_signal, 0, path, new_path);
}

/* ------------------------------------------------------------------ links */

static void
link_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  Work *work = task_data;
  GError *error = NULL;
  struct stat st;
  g_autofree char *path = ing_import_link (work->path, work->name, &error);
  if (path != NULL && stat (path, &st) == 0)
    remember_file (work->database, path, (guint64) st.st_size, ing_import_get_blob_hash (work->path), NULL, NULL);
  if (path != NULL)
    g_task_return_pointer (task, g_steal_pointer (&path), g_free);
  else
    g_task_return_error (task, error);
}

void
ing_library_link_async (IngLibrary *self, const char *path, const char *name, GCancellable *cancellable,
                        GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = new_work (self, NULL, path, cancellable, callback, user_data);
  Work *work = g_task_get_task_data (task);
  work->name = g_strdup (name);
  g_task_run_in_thread (task, link_thread);
}

char *
ing_library_link_finish (IngLibrary *self, GAsyncResult *result, GError **error)
{
  ing_library_refresh (self);
  return g_task_propagate_pointer (G_TASK (result), error);
}

/* ------------------------------------------------------------------ checks */

static void
compare_blocks (Work *work, const GArray *now)
{
  g_autoptr (GArray) then = ing_hasher_blocks_from_text (ing_model_file_get_blocks (work->file));
  work->n_blocks = now->len;
  work->n_bad = 0;
  for (guint i = 0; then != NULL && i < MAX (then->len, now->len); i++)
    if (i >= then->len || i >= now->len || g_array_index (then, guint64, i) != g_array_index (now, guint64, i))
      work->n_bad++;
}

static void
check_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  Work *work = task_data;
  guint64 bytes = 0;
  g_autoptr (GArray) blocks = NULL;
  const char *path = ing_model_file_get_path (work->file), *then = ing_model_file_get_sha256 (work->file);
  g_autofree char *real = realpath (path, NULL);
  g_autofree char *now = ing_download_hash_file (real != NULL ? real : path, &bytes, &blocks, cancellable);
  GError *error = NULL;
  if (g_cancellable_set_error_if_cancelled (cancellable, &error))
    g_task_return_error (task, error);
  else if (now == NULL)
    g_task_return_error (task, ing_error_new (ING_ERROR_IO, ing_model_file_get_name (work->file), 0, 0, "it cannot be read"));
  else if (then == NULL)
    {
      g_autofree char *text = ing_hasher_blocks_to_text (blocks);
      if (ing_model_file_get_is_own (work->file))
        remember_file (work->database, path, bytes, now, text, ing_model_file_get_uri (work->file));
      g_task_return_error (task, ing_error_new (ING_ERROR_NOT_FOUND, NULL, 0, 0, "no hash was known"));
    }
  else
    {
      compare_blocks (work, blocks);
      g_task_return_boolean (task, strcmp (now, then) == 0);
    }
}

void
ing_library_check_async (IngLibrary *self, IngModelFile *file, GCancellable *cancellable, GAsyncReadyCallback callback,
                         gpointer user_data)
{
  g_autoptr (GTask) task = new_work (self, file, NULL, cancellable, callback, user_data);
  g_task_run_in_thread (task, check_thread);
}

gboolean
ing_library_check_finish (IngLibrary *self, GAsyncResult *result, guint *n_bad, guint *n_blocks, GError **error)
{
  Work *work = g_task_get_task_data (G_TASK (result));
  *n_bad = work->n_bad;
  *n_blocks = work->n_blocks;
  return g_task_propagate_boolean (G_TASK (result), error);
}

static void
repair_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  Work *work = task_data;
  GError *error = NULL;
  IngRepair repair = {
    .path = ing_model_file_get_path (work->file),
    .uri = ing_model_file_get_uri (work->file),
    .sha256 = ing_model_file_get_sha256 (work->file),
    .blocks = ing_model_file_get_blocks (work->file),
    .bytes = ing_model_file_get_known_bytes (work->file),
    .proxy = work->proxy,
  };
  if (ing_repair_run (&repair, &work->n_bad, cancellable, &error))
    g_task_return_boolean (task, TRUE);
  else
    g_task_return_error (task, error);
}

void
ing_library_repair_async (IngLibrary *self, IngModelFile *file, GCancellable *cancellable, GAsyncReadyCallback callback,
                          gpointer user_data)
{
  g_autoptr (GTask) task = new_work (self, file, NULL, cancellable, callback, user_data);
  Work *work = g_task_get_task_data (task);
  work->proxy = ing_settings_dup_string (self->settings, ING_SETTING_PROXY, "");
  if (ing_model_file_get_can_repair (file))
    g_task_run_in_thread (task, repair_thread);
  else
    g_task_return_error (task, ing_error_new (ING_ERROR_UNSUPPORTED, ing_model_file_get_name (file), 0, 0,
                                              "nothing is known of where it came from"));
}

gboolean
ing_library_repair_finish (IngLibrary *self, GAsyncResult *result, guint *n_blocks, GError **error)
{
  *n_blocks = ((Work *) g_task_get_task_data (G_TASK (result)))->n_bad;
  ing_library_refresh (self);
  return g_task_propagate_boolean (G_TASK (result), error);
}

/* ------------------------------------------------------------------ class */

static gboolean
on_refresh_due (gpointer data)
{
  IngLibrary *self = data;
  self->refresh_id = 0;
  ing_library_refresh (self);
  return G_SOURCE_REMOVE;
}

/* A little later: the state is told before what the job left is on its way to the database. */
static void
on_job_state (IngJob *job, GParamSpec *pspec, gpointer data)
{
  IngLibrary *self = data;
  IngJobState state = ing_job_get_state (job);
  if ((state == ING_JOB_DONE || state == ING_JOB_CANCELLED) && self->refresh_id == 0)
    self->refresh_id = g_idle_add (on_refresh_due, self);
  if (state == ING_JOB_CANCELLED && strcmp (ing_job_get_kind (job), ING_JOB_KIND_MOVE) == 0)
    ing_mover_clean (self, self->database, job);
}

static void
on_jobs (GListModel *jobs, guint position, guint n_removed, guint n_added, gpointer data)
{
  for (guint i = position; i < position + n_added; i++)
    {
      g_autoptr (IngJob) job = g_list_model_get_item (jobs, i);
      g_signal_connect_object (job, "notify::state", G_CALLBACK (on_job_state), data, 0);
    }
}

guint64
ing_library_get_free_bytes (IngLibrary *self)
{
  return ing_paths_get_free_bytes (ing_paths_get_models ());
}

IngDownloads *
ing_library_get_downloads (IngLibrary *self)
{
  return self->downloads;
}

IngTransfers *
ing_library_get_transfers (IngLibrary *self)
{
  return self->transfers;
}

static void
ing_library_dispose (GObject *object)
{
  IngLibrary *self = ING_LIBRARY (object);
  g_clear_handle_id (&self->refresh_id, g_source_remove);
  g_clear_pointer (&self->meter, ing_model_meter_free);
  g_clear_object (&self->database);
  g_clear_object (&self->settings);
  g_clear_object (&self->downloads);
  g_clear_object (&self->transfers);
  g_clear_pointer (&self->files, g_ptr_array_unref);
  G_OBJECT_CLASS (ing_library_parent_class)->dispose (object);
}

static void
ing_library_class_init (IngLibraryClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = ing_library_dispose;
  moved_signal = g_signal_new ("moved", G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 2,
                               G_TYPE_STRING, G_TYPE_STRING);
}

static void
ing_library_init (IngLibrary *self)
{
  self->files = g_ptr_array_new_with_free_func (g_object_unref);
}

IngLibrary *
ing_library_new (IngDatabase *database, IngSettings *settings, IngJobQueue *jobs, IngGenerationService *service)
{
  IngLibrary *self = g_object_new (ING_TYPE_LIBRARY, NULL);
  self->database = g_object_ref (database);
  self->settings = g_object_ref (settings);
  self->downloads = ing_downloads_new (jobs, settings, service);
  self->transfers = ing_transfers_new (jobs);
  self->jobs = jobs;
  ing_job_queue_register (jobs, ING_JOB_KIND_IMPORT, 1, start_import, self, NULL);
  ing_job_queue_register (jobs, ING_JOB_KIND_MOVE, 1, start_move, self, NULL);
  self->meter = service != NULL ? ing_model_meter_new (service, settings) : NULL;
  g_signal_connect_object (jobs, "items-changed", G_CALLBACK (on_jobs), self, 0);
  return self;
}
