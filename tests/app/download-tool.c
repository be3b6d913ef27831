/* SPDX-License-Identifier: Apache-2.0 */
/* One download of the durable job table, by a process that may be killed at any moment and started again:
 *
 *     download-tool DATA_FOLDER MODELS_FOLDER URI [SIZE [SHA256]]
 *
 * Starts the order, or goes on with it, and prints "STATE ERROR_CODE PATH" when it stands still. Little patience, unless
 * DOWNLOAD_TOOL_PATIENCE is "usual", or says how many milliseconds pass before it tries again. */
#include <stdio.h>
#include <stdlib.h>

#include "ing-downloads.h"
#include "ing-fetch.h"
#include "ing-http.h"
#include "ing-job-private.h"
#include "ing-schema.h"
#include "ing-token.h"

static gpointer
read_func (IngDatabase *db, gpointer data, GError **error)
{
  *(gint64 *) data = ing_job_table_get_last_id (db);
  return ing_job_table_read (db, error);
}

/* Ended before the process did, so that the queue does not list it any more. */
static gpointer
find_done_func (IngDatabase *db, gpointer data, GError **error)
{
  sqlite3_stmt *s = ing_database_query (db, error, "SELECT result FROM jobs WHERE state = ?1", "i", (gint64) ING_JOB_DONE);
  char *found = NULL;
  while (s != NULL && ing_database_step (db, s, error) > 0)
    {
      g_free (found);
      found = ing_database_column_text (s, 0);
    }
  return found;
}

static gboolean
on_tick (gpointer data)
{
  return G_SOURCE_CONTINUE;
}

static gboolean
is_still (IngJob *job)
{
  IngJobState state = ing_job_get_state (job);
  return state != ING_JOB_QUEUED && state != ING_JOB_RUNNING;
}

static void
set_patience (const char *text)
{
  if (g_strcmp0 (text, "usual") == 0)
    return;
  ing_http_silence_s = 1;
  ing_fetch_patience = (IngFetchPatience){
    .backoff_ms = text != NULL ? (guint) g_ascii_strtoull (text, NULL, 10) : 5,
    .max_tries = 6,
    .slow_s = 1,
    .slow_bytes = 4096,
    .piece_bytes = 256 * 1024,
    .min_split = 64 * 1024,
    .checkpoint_bytes = 128 * 1024,
    .checkpoint_ms = 20,
  };
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  gint64 last_id = 0;
  gboolean hold = g_getenv ("DOWNLOAD_TOOL_HOLD") != NULL; /* wait for a paused one to go on by itself */
  if (argc < 4)
    return 2;
  set_patience (g_getenv ("DOWNLOAD_TOOL_PATIENCE"));
  ing_http_authorities = g_getenv ("DOWNLOAD_TOOL_CA");
  if (g_getenv ("DOWNLOAD_TOOL_TOKEN") != NULL)
    {
      gboolean kept;
      ing_token_store ("127.0.0.1", g_getenv ("DOWNLOAD_TOOL_TOKEN"), &kept, NULL, NULL);
    }
  IngDatabase *db = ing_database_new (&ing_schema);
  if (!ing_database_open_sync (db, argv[1], &error))
    {
      fprintf (stderr, "%s\n", error->message);
      return 3;
    }
  g_autoptr (GPtrArray) rows = ing_database_run_sync (db, read_func, &last_id, &error);
  g_assert_no_error (error);
  g_autofree char *done = ing_database_run_sync (db, find_done_func, NULL, NULL);
  if (done != NULL)
    {
      g_autoptr (JsonObject) result = ing_json_parse_object (done, -1, NULL);
      printf ("%d -1 %s\n", (int) ING_JOB_DONE, ing_json_get_string (result, "path", "-"));
      return 0;
    }
  g_autofree char *settings_path = g_build_filename (argv[1], "settings.ini", NULL);
  IngSettings *settings = ing_settings_new (settings_path);
  IngJobQueue *queue = ing_job_queue_new (db);
  IngDownloads *downloads = ing_downloads_new (queue, settings, NULL);
  ing_job_queue_fill (queue, rows, last_id);
  ing_job_queue_resume (queue);
  IngDownloadOrder order = {
    .uri = argv[3],
    .folder = argv[2],
    .size = argc > 4 ? g_ascii_strtoull (argv[4], NULL, 10) : 0,
    .sha256 = argc > 5 ? argv[5] : NULL,
  };
  g_autoptr (IngJob) job = ing_downloads_add (downloads, &order);
  guint tick = g_timeout_add (5, on_tick, NULL);
  do
    g_main_context_iteration (NULL, TRUE);
  while (!is_still (job) || (hold && ing_job_get_state (job) == ING_JOB_PAUSED));
  g_source_remove (tick);
  g_autofree char *path = ing_downloads_dup_final_path (job);
  const GError *why = ing_job_get_error (job);
  printf ("%d %d %s\n", (int) ing_job_get_state (job), why != NULL && why->domain == ING_ERROR ? why->code : -1,
          path != NULL ? path : "-");
  g_autofree char *sentence = why != NULL ? ing_error_to_sentence (why) : NULL;
  if (sentence != NULL)
    fprintf (stderr, "%s\n", sentence);
  if (why != NULL)
    fprintf (stderr, "%s [%" G_GUINT64_FORMAT " needed, %" G_GUINT64_FORMAT " free]\n", why->message,
             ing_error_get_needed (why), ing_error_get_available (why));
  ing_database_close_sync (db);
  return 0;
}
