/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-job-table.h"

#include <string.h>

#include "ing-model-file-table.h"

#define KEEP_US (30LL * 24 * 60 * 60 * G_USEC_PER_SEC)

IngJobRow *
ing_job_row_copy (const IngJobRow *from)
{
  IngJobRow *row = g_memdup2 (from, sizeof *from);
  row->kind = g_strdup (from->kind);
  row->title = g_strdup (from->title);
  row->payload = g_strdup (from->payload);
  row->checkpoint = g_strdup (from->checkpoint);
  row->result = g_strdup (from->result);
  row->error = g_strdup (from->error);
  return row;
}

void
ing_job_row_free (IngJobRow *row)
{
  if (row == NULL)
    return;
  g_free (row->kind);
  g_free (row->title);
  g_free (row->payload);
  g_free (row->checkpoint);
  g_free (row->result);
  g_free (row->error);
  g_free (row);
}

GPtrArray *
ing_job_table_read (IngDatabase *db, GError **error)
{
  sqlite3_stmt *s = ing_database_query (
      db, error,
      "SELECT id, kind, title, state, priority, done, total, payload, checkpoint, result, error,"
      " created_us FROM jobs WHERE state NOT IN (?1, ?2) ORDER BY id",
      "ii", (gint64) ING_JOB_DONE, (gint64) ING_JOB_CANCELLED);
  if (s == NULL)
    return NULL;
  g_autoptr (GPtrArray) rows = g_ptr_array_new_with_free_func ((GDestroyNotify) ing_job_row_free);
  int rc;
  while ((rc = ing_database_step (db, s, error)) > 0)
    {
      IngJobRow *row = g_new0 (IngJobRow, 1);
      row->id = sqlite3_column_int64 (s, 0);
      row->kind = ing_database_column_text (s, 1);
      row->title = ing_database_column_text (s, 2);
      row->state = CLAMP (sqlite3_column_int (s, 3), ING_JOB_QUEUED, ING_JOB_CANCELLED);
      row->priority = sqlite3_column_int (s, 4);
      row->done = (guint64) sqlite3_column_int64 (s, 5);
      row->total = (guint64) sqlite3_column_int64 (s, 6);
      row->payload = ing_database_column_text (s, 7);
      row->checkpoint = ing_database_column_text_or_null (s, 8);
      row->result = ing_database_column_text_or_null (s, 9);
      row->error = ing_database_column_text_or_null (s, 10);
      row->created_us = sqlite3_column_int64 (s, 11);
      g_ptr_array_add (rows, row);
    }
  return rc < 0 ? NULL : g_steal_pointer (&rows);
}

static gboolean
write_row (IngDatabase *db, const IngJobRow *row, GError **error)
{
  return ing_database_exec (
      db, error,
      "INSERT INTO jobs(id, kind, title, state, priority, done, total, payload, checkpoint,"
      " result, error, created_us, updated_us)"
      " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)"
      " ON CONFLICT(id) DO UPDATE SET title = ?3, state = ?4, priority = ?5, done = ?6,"
      " total = ?7, checkpoint = ?9, result = ?10, error = ?11, updated_us = ?13",
      "iTTiiiiTTTTii", row->id, row->kind, row->title, (gint64) row->state, (gint64) row->priority,
      (gint64) row->done, (gint64) row->total, row->payload, row->checkpoint, row->result,
      row->error, row->created_us, g_get_real_time ());
}

gboolean
ing_job_table_write (IngDatabase *db, const IngJobRow *row, GError **error)
{
  /* What left a model file makes it the program's own: both or neither. */
  gboolean makes_file = strcmp (row->kind, "download") == 0 || strcmp (row->kind, "quantize") == 0
                        || strcmp (row->kind, "convert") == 0;
  if (row->state != ING_JOB_DONE || !makes_file)
    return write_row (db, row, error);
  if (!ing_database_begin (db, error))
    return FALSE;
  return ing_database_end (db, write_row (db, row, error) && ing_model_file_table_note_download (db, row->result, error),
                           error);
}

gboolean
ing_job_table_forgive (IngDatabase *db, gint64 id, GError **error)
{
  return ing_database_exec (db, error, "UPDATE jobs SET deaths = 0 WHERE id = ?1 AND deaths > 0", "i", id);
}

gboolean
ing_job_table_delete (IngDatabase *db, gint64 id, GError **error)
{
  return ing_database_exec (db, error, "DELETE FROM jobs WHERE id = ?1", "i", id);
}

gboolean
ing_job_table_recover (IngDatabase *db, GError **error)
{
  g_autoptr (GError) died
      = ing_error_new (ING_ERROR_FAILED, NULL, 0, 0,
                       "the program ended twice while this ran; it is not tried again by itself");
  g_autofree char *json = ing_error_to_json (died);
  return ing_database_exec (db, error,
                            "UPDATE jobs SET deaths = deaths + 1,"
                            " state = CASE WHEN deaths + 1 >= ?2 THEN ?3 ELSE ?4 END,"
                            " error = CASE WHEN deaths + 1 >= ?2 THEN ?5 END WHERE state = ?1",
                            "iiiiT", (gint64) ING_JOB_RUNNING, (gint64) ING_JOB_MAX_DEATHS,
                            (gint64) ING_JOB_FAILED, (gint64) ING_JOB_QUEUED, json)
         && ing_database_exec (db, error,
                               "DELETE FROM jobs WHERE state IN (?1, ?2, ?3) AND updated_us < ?4",
                               "iiii", (gint64) ING_JOB_DONE, (gint64) ING_JOB_CANCELLED,
                               (gint64) ING_JOB_FAILED, g_get_real_time () - KEEP_US);
}

gint64
ing_job_table_get_last_id (IngDatabase *db)
{
  return ing_database_get_number (db, "SELECT seq FROM sqlite_sequence WHERE name = 'jobs'", 0);
}
