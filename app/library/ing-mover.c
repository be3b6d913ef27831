/* SPDX-License-Identifier: Apache-2.0 */
/* The kind of job "move": copies and database on a thread, then what this process has in memory, then the sources go. */
#include "ing-mover.h"

#include "ing-json.h"
#include "ing-model-defaults.h"
#include "ing-move.h"

typedef struct
{
  IngDatabase *database;
  IngJob *job;
  char *path, *folder;
  GPtrArray *made;
} Run;

static void
run_free (gpointer data)
{
  Run *run = data;
  g_object_unref (run->database);
  g_object_unref (run->job);
  g_free (run->path);
  g_free (run->folder);
  g_clear_pointer (&run->made, g_ptr_array_unref);
  g_free (run);
}

static gpointer
rename_func (IngDatabase *db, gpointer data, GError **error)
{
  Run *run = data;
  g_autoptr (GPtrArray) paths = ing_library_list_set (run->path);
  for (guint i = 0; i < paths->len && i < run->made->len; i++)
    if (!ing_model_file_table_rename (db, g_ptr_array_index (paths, i), g_ptr_array_index (run->made, i), error))
      return NULL;
  return db;
}

static void
copy_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  Run *run = task_data;
  GError *error = NULL;
  run->made = ing_move_copy (run->path, run->folder, run->job, cancellable, &error);
  if (run->made != NULL && ing_database_run_sync (run->database, rename_func, run, &error) != NULL)
    g_task_return_boolean (task, TRUE);
  else
    g_task_return_error (task, error);
}

static void
remove_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  Run *run = task_data;
  GError *error = NULL;
  if (ing_move_remove_sources (run->path, run->made, &error))
    g_task_return_boolean (task, TRUE);
  else
    g_task_return_error (task, error);
}

static void
on_removed (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) outer = user_data;
  GError *error = NULL;
  if (g_task_propagate_boolean (G_TASK (result), &error))
    g_task_return_boolean (outer, TRUE);
  else
    g_task_return_error (outer, error);
}

static GTask *
new_task (IngLibrary *library, Run *run, GCancellable *cancellable, GAsyncReadyCallback callback, GTask *outer)
{
  GTask *task = g_task_new (library, cancellable, callback, outer);
  g_task_set_task_data (task, run, run_free);
  g_task_set_check_cancellable (task, FALSE);
  return task;
}

static Run *
run_copy (const Run *run)
{
  Run *copy = g_new0 (Run, 1);
  copy->database = g_object_ref (run->database);
  copy->job = g_object_ref (run->job);
  copy->path = g_strdup (run->path);
  copy->folder = g_strdup (run->folder);
  copy->made = run->made != NULL ? g_ptr_array_ref (run->made) : NULL;
  return copy;
}

static void
on_copied (GObject *source, GAsyncResult *result, gpointer user_data)
{
  GTask *outer = user_data;
  IngLibrary *library = ING_LIBRARY (source);
  Run *run = g_task_get_task_data (G_TASK (result));
  GError *error = NULL;
  if (!g_task_propagate_boolean (G_TASK (result), &error))
    {
      g_task_return_error (outer, error);
      g_object_unref (outer);
      return;
    }
  const char *path = g_ptr_array_index (run->made, 0);
  g_autoptr (JsonObject) object = json_object_new ();
  json_object_set_string_member (object, "path", path);
  g_autofree char *json = ing_json_print_object (object);
  ing_job_set_result (run->job, json);
  ing_library_note_moved (library, run->path, path);
  g_autoptr (GTask) task = new_task (library, run_copy (run), NULL, on_removed, outer);
  g_task_run_in_thread (task, remove_thread);
}

/* NULL: the job says nothing that can be read. */
static Run *
run_new (IngDatabase *database, IngJob *job, GError **error)
{
  g_autoptr (JsonObject) payload = ing_json_parse_object (ing_job_get_payload (job), -1, error);
  if (payload == NULL)
    return NULL;
  Run *run = g_new0 (Run, 1);
  run->database = g_object_ref (database);
  run->job = g_object_ref (job);
  run->path = g_strdup (ing_json_get_string (payload, "in", ""));
  run->folder = g_strdup (ing_json_get_string (payload, "to", ""));
  return run;
}

void
ing_mover_start (IngLibrary *library, IngDatabase *database, IngJob *job, GTask *outer)
{
  GError *error = NULL;
  Run *run = run_new (database, job, &error);
  if (run == NULL)
    {
      g_task_return_error (outer, error);
      g_object_unref (outer);
      return;
    }
  g_autoptr (GTask) task = new_task (library, run, g_task_get_cancellable (outer), on_copied, outer);
  g_task_run_in_thread (task, copy_thread);
}

static void
clean_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  Run *run = task_data;
  ing_move_remove_parts (run->path, run->folder);
  g_task_return_boolean (task, TRUE);
}

void
ing_mover_clean (IngLibrary *library, IngDatabase *database, IngJob *job)
{
  Run *run = run_new (database, job, NULL);
  if (run == NULL)
    return;
  g_autoptr (GTask) task = new_task (library, run, NULL, NULL, NULL);
  g_task_run_in_thread (task, clean_thread);
}

char *
ing_mover_make_payload (const char *path, const char *folder)
{
  g_autoptr (JsonObject) payload = json_object_new ();
  json_object_set_string_member (payload, "in", path);
  json_object_set_string_member (payload, "to", folder);
  return ing_json_print_object (payload);
}
