/* SPDX-License-Identifier: Apache-2.0 */
/* Long work that survives a restart: download, convert, quantize, index, backup. One durable table;
 * a GListModel of IngJob for a window to show.
 *
 * A kind of job is a name and a function that starts one. What it needs stands in the payload (a JSON
 * object), what it has done so far in the checkpoint (another): after a restart the job starts again
 * with both. A job that was running when the program died twice without a checkpoint between is failed
 * and not tried again by itself, so that a bad file cannot make a crash loop. */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* Numbers are stored: only append. */
typedef enum
{
  ING_JOB_QUEUED = 1,
  ING_JOB_RUNNING = 2,
  ING_JOB_PAUSED = 3,    /* by the person, or by a cause that the person can mend (see error) */
  ING_JOB_DONE = 4,
  ING_JOB_FAILED = 5,
  ING_JOB_CANCELLED = 6
} IngJobState;

#define ING_TYPE_JOB (ing_job_get_type ())
G_DECLARE_FINAL_TYPE (IngJob, ing_job, ING, JOB, GObject)

/* Properties, notifying on the main thread: "state", "fraction", "status-text", "error". */

gint64 ing_job_get_id (IngJob *self);
const char *ing_job_get_kind (IngJob *self);
const char *ing_job_get_title (IngJob *self);   /* for a person: a file's name, … */
const char *ing_job_get_payload (IngJob *self); /* JSON; any thread */
IngJobState ing_job_get_state (IngJob *self);
double ing_job_get_fraction (IngJob *self);     /* 0 … 1, < 0 = unknown */
guint64 ing_job_get_done (IngJob *self);
guint64 ing_job_get_total (IngJob *self);
char *ing_job_dup_status_text (IngJob *self);
const GError *ing_job_get_error (IngJob *self);
int ing_job_get_priority (IngJob *self);
char *ing_job_dup_result (IngJob *self); /* JSON left by a job that is done; NULL */

/* For the code that runs the job; any thread. Progress is shown at most 10 times a second and stored
 * once a second. */
void ing_job_set_progress (IngJob *self, guint64 done, guint64 total);
void ing_job_set_status_text (IngJob *self, const char *text);
/* Store @json as the checkpoint; TRUE once it is on the disk. Blocks for that: worker threads only. */
gboolean ing_job_checkpoint (IngJob *self, const char *json, GError **error);
char *ing_job_dup_checkpoint (IngJob *self); /* NULL = starts from nothing */
void ing_job_set_result (IngJob *self, const char *json);

/* Start @job and complete @task with g_task_return_boolean() or _error(), from wherever that suits
 * (g_task_run_in_thread() for blocking work). @task's cancellable fires when the job is cancelled or
 * paused or the program ends. Runs on the main thread. ING_ERROR_DISK_FULL, _READ_ONLY, _NOT_CONNECTED, _NETWORK,
 * _OFFLINE and _BUSY pause the job; other errors fail it. */
typedef void (*IngJobStart) (IngJob *job, GTask *task, gpointer user_data);

#define ING_TYPE_JOB_QUEUE (ing_job_queue_get_type ())
G_DECLARE_FINAL_TYPE (IngJobQueue, ing_job_queue, ING, JOB_QUEUE, GObject)

/* A GListModel of IngJob: all unfinished ones and those that ended since the program started.
 * Register the kinds before ing_job_queue_resume(). At most @max_running of a kind run at once. */
void ing_job_queue_register (IngJobQueue *self, const char *kind, guint max_running,
                             IngJobStart start, gpointer user_data, GDestroyNotify destroy);

/* Start what the last run of the program left. Jobs of unregistered kinds stay as they are. */
void ing_job_queue_resume (IngJobQueue *self);

/* New job; higher @priority first, then older first. @payload is one JSON object. It starts once it is
 * on the disk. Returns a new reference. */
IngJob *ing_job_queue_add (IngJobQueue *self, const char *kind, const char *title,
                           const char *payload, int priority);
IngJob *ing_job_queue_lookup (IngJobQueue *self, gint64 id); /* borrowed; NULL */
void ing_job_queue_cancel (IngJobQueue *self, IngJob *job);
void ing_job_queue_pause (IngJobQueue *self, IngJob *job);
void ing_job_queue_retry (IngJobQueue *self, IngJob *job); /* paused, failed or cancelled ones */
void ing_job_queue_remove (IngJobQueue *self, IngJob *job); /* forget one that ended */

G_END_DECLS
