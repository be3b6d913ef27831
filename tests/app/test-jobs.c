/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "app-test.h"
#include "ing-job-private.h"
#include "ing-schema.h"

typedef struct
{
  char *folder;
  IngDatabase *db;
  IngJobQueue *queue;
  GString *log;     /* what ran, in order */
  int fail_code;    /* ING_ERROR of the next run, or -1 */
  gboolean hold;    /* runs wait until cancelled */
} Fixture;

static gpointer
read_func (IngDatabase *db, gpointer data, GError **error)
{
  *(gint64 *) data = ing_job_table_get_last_id (db);
  return ing_job_table_read (db, error);
}

static void
open_queue (Fixture *f)
{
  g_autoptr (GError) error = NULL;
  gint64 last_id = 0;
  f->db = ing_database_new (&ing_schema);
  ing_database_open_sync (f->db, f->folder, &error);
  g_assert_no_error (error);
  g_autoptr (GPtrArray) rows = ing_database_run_sync (f->db, read_func, &last_id, &error);
  g_assert_no_error (error);
  f->queue = ing_job_queue_new (f->db);
  ing_job_queue_fill (f->queue, rows, last_id);
}

/* Let go of the last reference; worker threads and notifications may be a moment late. */
static void
drop (gpointer object)
{
  g_object_add_weak_pointer (object, &object);
  g_object_unref (object);
  app_test_wait (object == NULL);
}

/* As a crash: nothing is told to the running jobs. */
static void
drop_queue (Fixture *f)
{
  drop (g_steal_pointer (&f->queue));
  drop (g_steal_pointer (&f->db));
}

static void
set_up (Fixture *f, gconstpointer data)
{
  f->folder = app_test_make_folder ();
  f->log = g_string_new (NULL);
  f->fail_code = -1;
  open_queue (f);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  drop_queue (f);
  g_string_free (f->log, TRUE);
  g_free (f->folder);
}

static void
work_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  Fixture *f = g_object_get_data (source, "fixture");
  IngJob *job = task_data;
  g_autoptr (GError) error = NULL;
  g_autofree char *checkpoint = ing_job_dup_checkpoint (job);
  int from = checkpoint != NULL ? (int) g_ascii_strtoll (checkpoint + strlen ("{\"at\":"), NULL, 10) : 0;
  for (int i = from; i < 5; i++)
    {
      g_autofree char *json = g_strdup_printf ("{\"at\":%d}", i + 1);
      ing_job_set_progress (job, (guint64) i + 1, 5);
      ing_job_set_status_text (job, "working");
      g_assert_true (ing_job_checkpoint (job, json, NULL));
      while (f->hold && i == 2 && !g_cancellable_is_cancelled (cancellable))
        g_usleep (1000);
      if (g_cancellable_set_error_if_cancelled (cancellable, &error))
        {
          g_task_return_error (task, g_steal_pointer (&error));
          return;
        }
    }
  ing_job_set_result (job, "{\"ok\":true}");
  if (f->fail_code >= 0)
    g_task_return_error (task, ing_error_new (f->fail_code, "x", 1, 2, "told to fail"));
  else
    g_task_return_boolean (task, TRUE);
}

static void
start (IngJob *job, GTask *task, gpointer data)
{
  Fixture *f = data;
  g_string_append_printf (f->log, "%s ", ing_job_get_title (job));
  g_object_set_data (g_task_get_source_object (task), "fixture", f);
  g_task_set_task_data (task, g_object_ref (job), g_object_unref);
  g_task_run_in_thread (task, work_thread);
  g_object_unref (task);
}

static void
begin (Fixture *f)
{
  ing_job_queue_register (f->queue, "work", 1, start, f, NULL);
  ing_job_queue_resume (f->queue);
}

static void
wait_state (IngJob *job, IngJobState state)
{
  app_test_wait (ing_job_get_state (job) == state);
}

static void
on_fraction (IngJob *job, GParamSpec *pspec, gpointer data)
{
  ++*(int *) data;
}

static void
test_run (Fixture *f, gconstpointer data)
{
  begin (f);
  int told = 0;
  g_autoptr (IngJob) a = ing_job_queue_add (f->queue, "work", "a", "{\"x\":1}", 0);
  g_autoptr (IngJob) low = ing_job_queue_add (f->queue, "work", "low", NULL, -1);
  g_autoptr (IngJob) high = ing_job_queue_add (f->queue, "work", "high", NULL, 5);
  g_autoptr (IngJob) other = ing_job_queue_add (f->queue, "unknown", "other", NULL, 9);
  g_signal_connect (a, "notify::fraction", G_CALLBACK (on_fraction), &told);
  g_assert_cmpuint (g_list_model_get_n_items (G_LIST_MODEL (f->queue)), ==, 4);
  g_assert_cmpstr (ing_job_get_payload (a), ==, "{\"x\":1}");
  wait_state (low, ING_JOB_DONE);
  g_assert_cmpstr (f->log->str, ==, "a high low "); /* one at a time, by priority */
  g_assert_cmpfloat (ing_job_get_fraction (a), ==, 1);
  g_autofree char *result = ing_job_dup_result (a);
  g_assert_cmpstr (result, ==, "{\"ok\":true}");
  g_assert_cmpint (told, >, 0);
  g_assert_cmpint (told, <, 10);
  g_assert_cmpint (ing_job_get_state (other), ==, ING_JOB_QUEUED);
  g_assert_true (ing_job_queue_lookup (f->queue, ing_job_get_id (high)) == high);
  g_signal_handlers_disconnect_by_data (a, &told); /* a late one may come after this frame */
  ing_job_queue_remove (f->queue, a);
  ing_job_queue_remove (f->queue, other); /* not ended: stays */
  g_assert_cmpuint (g_list_model_get_n_items (G_LIST_MODEL (f->queue)), ==, 3);
}

static void
test_end (Fixture *f, gconstpointer data)
{
  begin (f);
  f->hold = TRUE;
  g_autoptr (IngJob) a = ing_job_queue_add (f->queue, "work", "a", NULL, 0);
  g_autoptr (IngJob) b = ing_job_queue_add (f->queue, "work", "b", NULL, 0);
  app_test_wait (ing_job_get_done (a) == 3);
  ing_job_queue_cancel (f->queue, b); /* while it waits */
  g_assert_cmpint (ing_job_get_state (b), ==, ING_JOB_CANCELLED);
  ing_job_queue_pause (f->queue, a);
  wait_state (a, ING_JOB_PAUSED);
  g_assert_null (ing_job_get_error (a));
  f->hold = FALSE;
  ing_job_queue_retry (f->queue, a);
  wait_state (a, ING_JOB_DONE);
  /* What a person can mend pauses; the rest fails. */
  f->fail_code = ING_ERROR_DISK_FULL;
  ing_job_queue_retry (f->queue, b);
  wait_state (b, ING_JOB_PAUSED);
  g_assert_error (ing_job_get_error (b), ING_ERROR, ING_ERROR_DISK_FULL);
  f->fail_code = ING_ERROR_FORMAT;
  ing_job_queue_retry (f->queue, b);
  wait_state (b, ING_JOB_FAILED);
  g_assert_error (ing_job_get_error (b), ING_ERROR, ING_ERROR_FORMAT);
  g_assert_cmpuint (ing_error_get_needed (ing_job_get_error (b)), ==, 1);
  f->fail_code = -1;
  ing_job_queue_retry (f->queue, b);
  wait_state (b, ING_JOB_DONE);
}

/* Closed in good order, a job goes on where it was, and no death is counted. */
static void
test_resume (Fixture *f, gconstpointer data)
{
  for (int i = 0; i < 4; i++)
    {
      begin (f);
      f->hold = TRUE;
      g_autoptr (IngJob) a = i == 0 ? ing_job_queue_add (f->queue, "work", "a", "{\"x\":1}", 0)
                                    : g_object_ref (ing_job_queue_lookup (f->queue, 1));
      app_test_wait (ing_job_get_state (a) == ING_JOB_RUNNING && ing_job_get_done (a) == 3);
      app_test_wait (ing_job_queue_close (f->queue));
      g_clear_object (&a);
      f->hold = FALSE;
      app_test_run_ms (50);
      drop_queue (f);
      open_queue (f);
      /* Still there, with what it knew, until somebody who can run it comes. */
      IngJob *left = ing_job_queue_lookup (f->queue, 1);
      g_autofree char *checkpoint = ing_job_dup_checkpoint (left);
      g_assert_cmpint (ing_job_get_state (left), ==, ING_JOB_QUEUED);
      g_assert_cmpstr (ing_job_get_payload (left), ==, "{\"x\":1}");
      g_assert_cmpstr (checkpoint, ==, "{\"at\":3}");
      /* Only to make it wait at the same place again. */
      g_mutex_lock (&left->lock);
      g_free (left->row->checkpoint);
      left->row->checkpoint = g_strdup ("{\"at\":2}");
      left->row->done = 0;
      g_mutex_unlock (&left->lock);
    }
  begin (f);
  IngJob *a = ing_job_queue_lookup (f->queue, 1);
  wait_state (a, ING_JOB_DONE);
}

static gpointer
die_func (IngDatabase *db, gpointer data, GError **error)
{
  return ing_database_exec (db, error, "UPDATE jobs SET state = ?1", "i", (gint64) ING_JOB_RUNNING)
             ? db
             : NULL;
}

/* A job in whose run the program died twice is not tried a third time. */
static void
test_deaths (Fixture *f, gconstpointer data)
{
  g_object_unref (ing_job_queue_add (f->queue, "work", "a", NULL, 0));
  for (int death = 1; death <= 2; death++)
    {
      g_autoptr (GError) error = NULL;
      ing_database_run_sync (f->db, die_func, NULL, &error);
      g_assert_no_error (error);
      drop_queue (f);
      open_queue (f);
      IngJob *a = ing_job_queue_lookup (f->queue, 1);
      g_assert_cmpint (ing_job_get_state (a), ==, death == 1 ? ING_JOB_QUEUED : ING_JOB_FAILED);
      g_assert_true ((ing_job_get_error (a) != NULL) == (death == 2));
    }
  begin (f);
  app_test_run_ms (50);
  g_assert_cmpstr (f->log->str, ==, "");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add ("/app/jobs/run", Fixture, NULL, set_up, test_run, tear_down);
  g_test_add ("/app/jobs/end", Fixture, NULL, set_up, test_end, tear_down);
  g_test_add ("/app/jobs/resume", Fixture, NULL, set_up, test_resume, tear_down);
  g_test_add ("/app/jobs/deaths", Fixture, NULL, set_up, test_deaths, tear_down);
  return g_test_run ();
}
