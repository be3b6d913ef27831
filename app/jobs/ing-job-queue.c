/* SPDX-License-Identifier: Apache-2.0 */
/* Invariants:
 *  1. A job runs only after its row says RUNNING on the disk, so that a start can count deaths.
 *  2. A running job has a cancellable, and its task holds a reference to queue and job. */
#include "ing-error-private.h"
#include "ing-job-private.h"

typedef struct
{
  guint max_running, n_running;
  IngJobStart start;
  gpointer data;
  GDestroyNotify destroy;
} Kind;

struct _IngJobQueue
{
  GObject parent_instance;
  IngDatabase *database;
  GPtrArray *jobs;   /* of IngJob, oldest first */
  GHashTable *kinds; /* name → Kind */
  gint64 last_id;
  gboolean resumed, closed;
};

static GType
get_item_type (GListModel *model)
{
  return ING_TYPE_JOB;
}

static guint
get_n_items (GListModel *model)
{
  return ING_JOB_QUEUE (model)->jobs->len;
}

static gpointer
get_item (GListModel *model, guint position)
{
  IngJobQueue *self = ING_JOB_QUEUE (model);
  return position < self->jobs->len ? g_object_ref (g_ptr_array_index (self->jobs, position))
                                    : NULL;
}

static void
list_model_init (GListModelInterface *iface)
{
  iface->get_item_type = get_item_type;
  iface->get_n_items = get_n_items;
  iface->get_item = get_item;
}

G_DEFINE_FINAL_TYPE_WITH_CODE (IngJobQueue, ing_job_queue, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (G_TYPE_LIST_MODEL, list_model_init))

static void
kind_free (gpointer data)
{
  Kind *kind = data;
  if (kind->destroy != NULL)
    kind->destroy (kind->data);
  g_free (kind);
}

static void
ing_job_queue_finalize (GObject *object)
{
  IngJobQueue *self = ING_JOB_QUEUE (object);
  g_clear_pointer (&self->jobs, g_ptr_array_unref);
  g_clear_pointer (&self->kinds, g_hash_table_unref);
  g_clear_object (&self->database);
  G_OBJECT_CLASS (ing_job_queue_parent_class)->finalize (object);
}

static void
ing_job_queue_class_init (IngJobQueueClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = ing_job_queue_finalize;
}

static void
ing_job_queue_init (IngJobQueue *self)
{
  self->jobs = g_ptr_array_new_with_free_func (g_object_unref);
  self->kinds = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, kind_free);
}

IngJobQueue *
ing_job_queue_new (IngDatabase *database)
{
  IngJobQueue *self = g_object_new (ING_TYPE_JOB_QUEUE, NULL);
  self->database = g_object_ref (database);
  return self;
}

void
ing_job_queue_register (IngJobQueue *self, const char *kind, guint max_running, IngJobStart start,
                        gpointer user_data, GDestroyNotify destroy)
{
  g_return_if_fail (kind != NULL && start != NULL && max_running > 0);
  Kind *k = g_new0 (Kind, 1);
  k->max_running = max_running;
  k->start = start;
  k->data = user_data;
  k->destroy = destroy;
  g_hash_table_insert (self->kinds, g_strdup (kind), k);
}

/* ------------------------------------------------------------------ running */

static void start_ready (IngJobQueue *self);

typedef struct
{
  IngJobQueue *queue;
  IngJob *job;
} Run;

static gpointer
write_func (IngDatabase *db, gpointer data, GError **error)
{
  return ing_job_table_write (db, data, error) ? db : NULL;
}

static void
write_job (IngJobQueue *self, IngJob *job, GAsyncReadyCallback callback, gpointer data)
{
  ing_database_run_async (self->database, write_func, ing_job_dup_row (job),
                          (GDestroyNotify) ing_job_row_free, NULL, NULL, callback, data);
}

/* What the person can mend, or what mends itself: not the job's failure. */
static gboolean
error_pauses (const GError *error)
{
  return g_error_matches (error, ING_ERROR, ING_ERROR_DISK_FULL)
         || g_error_matches (error, ING_ERROR, ING_ERROR_READ_ONLY)
         || g_error_matches (error, ING_ERROR, ING_ERROR_BUSY)
         || g_error_matches (error, ING_ERROR, ING_ERROR_NETWORK)
         || g_error_matches (error, ING_ERROR, ING_ERROR_OFFLINE)
         || g_error_matches (error, ING_ERROR, ING_ERROR_NOT_CONNECTED)
         || g_error_matches (error, G_IO_ERROR, G_IO_ERROR_NO_SPACE);
}

static void
end_run (IngJobQueue *self, IngJob *job, const GError *error)
{
  Kind *kind = g_hash_table_lookup (self->kinds, ing_job_get_kind (job));
  kind->n_running--;
  g_clear_object (&job->cancellable);
  IngJobEnd wanted = job->end_wanted;
  job->end_wanted = ING_JOB_END_NONE;
  if (error == NULL)
    ing_job_set_state (job, ING_JOB_DONE, NULL);
  else if (wanted == ING_JOB_END_CANCEL)
    ing_job_set_state (job, ING_JOB_CANCELLED, NULL);
  else if (wanted == ING_JOB_END_PAUSE)
    ing_job_set_state (job, ING_JOB_PAUSED, NULL);
  else if (wanted == ING_JOB_END_CLOSE)
    ing_job_set_state (job, ING_JOB_QUEUED, NULL);
  else
    ing_job_set_state (job, error_pauses (error) ? ING_JOB_PAUSED : ING_JOB_FAILED, error);
  write_job (self, job, NULL, NULL);
  start_ready (self);
}

static void
on_run_ended (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (IngJobQueue) self = g_object_ref (ING_JOB_QUEUE (source));
  g_autoptr (IngJob) job = user_data;
  g_autoptr (GError) error = NULL;
  gboolean ok = g_task_propagate_boolean (G_TASK (result), &error);
  if (!ok && error == NULL)
    error = ing_error_new (ING_ERROR_INTERNAL, NULL, 0, 0, "the job ended without a reason");
  end_run (self, job, error);
}

static void
on_run_written (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Run *run = user_data;
  g_autoptr (IngJobQueue) self = run->queue;
  g_autoptr (IngJob) job = run->job;
  g_free (run);
  g_autoptr (GError) error = NULL;
  ing_database_run_finish (ING_DATABASE (source), result, &error);
  if (error == NULL)
    g_cancellable_set_error_if_cancelled (job->cancellable, &error);
  if (error != NULL)
    {
      end_run (self, job, error);
      return;
    }
  Kind *kind = g_hash_table_lookup (self->kinds, ing_job_get_kind (job));
  GTask *task = g_task_new (self, job->cancellable, on_run_ended, g_object_ref (job));
  /* Work that is done is done, even if it was cancelled meanwhile. */
  g_task_set_check_cancellable (task, FALSE);
  g_task_set_name (task, ing_job_get_kind (job));
  kind->start (job, task, kind->data);
}

static void
start_job (IngJobQueue *self, IngJob *job, Kind *kind)
{
  kind->n_running++;
  job->cancellable = g_cancellable_new ();
  job->end_wanted = ING_JOB_END_NONE;
  ing_job_set_state (job, ING_JOB_RUNNING, NULL);
  Run *run = g_new0 (Run, 1);
  run->queue = g_object_ref (self);
  run->job = g_object_ref (job);
  write_job (self, job, on_run_written, run);
}

static void
start_ready (IngJobQueue *self)
{
  while (self->resumed && !self->closed)
    {
      IngJob *best = NULL;
      Kind *best_kind = NULL;
      for (guint i = 0; i < self->jobs->len; i++)
        {
          IngJob *job = g_ptr_array_index (self->jobs, i);
          Kind *kind = g_hash_table_lookup (self->kinds, ing_job_get_kind (job));
          if (ing_job_get_state (job) != ING_JOB_QUEUED || kind == NULL
              || kind->n_running >= kind->max_running)
            continue;
          if (best == NULL || ing_job_get_priority (job) > ing_job_get_priority (best))
            {
              best = job;
              best_kind = kind;
            }
        }
      if (best == NULL)
        return;
      start_job (self, best, best_kind);
    }
}

/* ------------------------------------------------------------------ the list */

void
ing_job_queue_fill (IngJobQueue *self, GPtrArray *rows, gint64 last_id)
{
  guint n_old = self->jobs->len;
  ing_job_queue_close (self);
  self->closed = FALSE;
  g_ptr_array_set_size (self->jobs, 0);
  for (guint i = 0; i < rows->len; i++)
    g_ptr_array_add (self->jobs, ing_job_new (self->database, g_ptr_array_index (rows, i)));
  self->last_id = last_id;
  g_list_model_items_changed (G_LIST_MODEL (self), 0, n_old, self->jobs->len);
  start_ready (self);
}

void
ing_job_queue_resume (IngJobQueue *self)
{
  self->resumed = TRUE;
  start_ready (self);
}

static void
add_job (IngJobQueue *self, IngJob *job)
{
  g_ptr_array_add (self->jobs, g_object_ref (job));
  g_list_model_items_changed (G_LIST_MODEL (self), self->jobs->len - 1, 0, 1);
  start_ready (self); /* it is written before it runs: invariant 1 */
}

IngJob *
ing_job_queue_add (IngJobQueue *self, const char *kind, const char *title, const char *payload,
                   int priority)
{
  IngJobRow row = {
    .id = ++self->last_id,
    .kind = (char *) kind,
    .title = (char *) title,
    .state = ING_JOB_QUEUED,
    .priority = priority,
    .payload = (char *) (payload != NULL ? payload : "{}"),
    .created_us = g_get_real_time (),
  };
  IngJob *job = ing_job_new (self->database, &row);
  write_job (self, job, NULL, NULL);
  add_job (self, job);
  return job;
}

IngJob *
ing_job_queue_lookup (IngJobQueue *self, gint64 id)
{
  for (guint i = 0; i < self->jobs->len; i++)
    if (ing_job_get_id (g_ptr_array_index (self->jobs, i)) == id)
      return g_ptr_array_index (self->jobs, i);
  return NULL;
}

static void
end_job (IngJobQueue *self, IngJob *job, IngJobEnd how)
{
  IngJobState state = ing_job_get_state (job);
  if (state == ING_JOB_RUNNING)
    {
      job->end_wanted = how;
      g_cancellable_cancel (job->cancellable);
      return;
    }
  if (state == ING_JOB_QUEUED || (state == ING_JOB_PAUSED && how == ING_JOB_END_CANCEL))
    {
      ing_job_set_state (job, how == ING_JOB_END_PAUSE ? ING_JOB_PAUSED : ING_JOB_CANCELLED, NULL);
      write_job (self, job, NULL, NULL);
    }
}

void
ing_job_queue_cancel (IngJobQueue *self, IngJob *job)
{
  end_job (self, job, ING_JOB_END_CANCEL);
}

void
ing_job_queue_pause (IngJobQueue *self, IngJob *job)
{
  end_job (self, job, ING_JOB_END_PAUSE);
}

void
ing_job_queue_retry (IngJobQueue *self, IngJob *job)
{
  IngJobState state = ing_job_get_state (job);
  if (state != ING_JOB_PAUSED && state != ING_JOB_FAILED && state != ING_JOB_CANCELLED)
    return;
  ing_job_set_state (job, ING_JOB_QUEUED, NULL);
  write_job (self, job, NULL, NULL);
  start_ready (self);
}

static gpointer
delete_func (IngDatabase *db, gpointer data, GError **error)
{
  return ing_job_table_delete (db, *(gint64 *) data, error) ? db : NULL;
}

void
ing_job_queue_remove (IngJobQueue *self, IngJob *job)
{
  IngJobState state = ing_job_get_state (job);
  gint64 id = ing_job_get_id (job);
  guint place;
  if (state == ING_JOB_RUNNING || state == ING_JOB_QUEUED
      || !g_ptr_array_find (self->jobs, job, &place))
    return;
  g_ptr_array_remove_index (self->jobs, place);
  g_list_model_items_changed (G_LIST_MODEL (self), place, 1, 0);
  ing_database_run_async (self->database, delete_func, g_memdup2 (&id, sizeof id), g_free, NULL,
                          NULL, NULL, NULL);
}

gboolean
ing_job_queue_close (IngJobQueue *self)
{
  gboolean running = FALSE;
  self->closed = TRUE;
  for (guint i = 0; i < self->jobs->len; i++)
    {
      IngJob *job = g_ptr_array_index (self->jobs, i);
      if (ing_job_get_state (job) != ING_JOB_RUNNING)
        continue;
      running = TRUE;
      if (job->end_wanted == ING_JOB_END_NONE)
        job->end_wanted = ING_JOB_END_CLOSE;
      g_cancellable_cancel (job->cancellable);
    }
  return !running;
}
