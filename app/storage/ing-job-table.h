/* SPDX-License-Identifier: Apache-2.0 */
/* Table jobs. Every function runs on the database's thread. */
#pragma once

#include "ing-database.h"
#include "ing-job-queue.h"

#define ING_JOB_MAX_DEATHS 2

typedef struct
{
  gint64 id;
  char *kind, *title;
  IngJobState state;
  int priority;
  guint64 done, total;
  char *payload, *checkpoint, *result, *error; /* JSON; the last three may be NULL */
  gint64 created_us;
} IngJobRow;

IngJobRow *ing_job_row_copy (const IngJobRow *row);
void ing_job_row_free (IngJobRow *row);

/* Those that have not ended. */
GPtrArray *ing_job_table_read (IngDatabase *database, GError **error);
gboolean ing_job_table_write (IngDatabase *database, const IngJobRow *row, GError **error);
/* Count no deaths of it so far. */
gboolean ing_job_table_forgive (IngDatabase *database, gint64 id, GError **error);
gboolean ing_job_table_delete (IngDatabase *database, gint64 id, GError **error);
/* After a start: what was running waits again, or has failed if it took the program down twice; ended
 * ones older than 30 days are forgotten. */
gboolean ing_job_table_recover (IngDatabase *database, GError **error);
gint64 ing_job_table_get_last_id (IngDatabase *database);
