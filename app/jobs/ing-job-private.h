/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "ing-job-queue.h"
#include "ing-job-table.h"

typedef enum
{
  ING_JOB_END_NONE, /* ends by itself */
  ING_JOB_END_PAUSE,
  ING_JOB_END_CANCEL,
  ING_JOB_END_CLOSE /* the program ends: it goes on at the next start */
} IngJobEnd;

/* Locked: what the job's own threads change. The rest belongs to the main thread. */
struct _IngJob
{
  GObject parent_instance;
  IngDatabase *database;
  GError *error;
  GCancellable *cancellable; /* while it runs */
  IngJobEnd end_wanted;

  gint64 stored_us; /* progress was written */

  GMutex lock;
  IngJobRow *row; /* kind, title, payload and id never change */
  char *status_text;
  guint notify_id; /* a source of the main context is on its way */
};

IngJob *ing_job_new (IngDatabase *database, const IngJobRow *row);
void ing_job_set_state (IngJob *self, IngJobState state, const GError *error);
IngJobRow *ing_job_dup_row (IngJob *self);

IngJobQueue *ing_job_queue_new (IngDatabase *database);
/* Show what was read (GPtrArray of IngJobRow), ids going on behind @last_id. */
void ing_job_queue_fill (IngJobQueue *self, GPtrArray *rows, gint64 last_id);
/* Stop all of them for the end of the program; TRUE when none runs any more. */
gboolean ing_job_queue_close (IngJobQueue *self);
