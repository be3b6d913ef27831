/* SPDX-License-Identifier: Apache-2.0 */
/* The blocking half of a download: payload in, file under its final name out. */
#pragma once

#include "ing-fetch.h"
#include "ing-job-queue.h"

typedef struct
{
  IngJob *job;
  char *uri, *page, *folder, *name, *sha256, *proxy;
  guint64 size; /* ING_PART_UNKNOWN */
  guint n_connections;
  /* Is the whole file at @path one the engine can read? Called on the worker thread; NULL = not asked. */
  gboolean (*look) (const char *path, gpointer data, GCancellable *cancellable, GError **error);
  gpointer look_data;
} IngDownloadRun;

/* From the job's payload; NULL with ING_ERROR_FORMAT. */
IngDownloadRun *ing_download_run_new (IngJob *job, GError **error);
void ing_download_run_free (IngDownloadRun *run);
char *ing_download_run_dup_part_path (IngDownloadRun *run);

/* Sets the job's result: {"path", "sha256", "size", "blocks", "uri"}. */
gboolean ing_download_run (IngDownloadRun *run, GCancellable *cancellable, GError **error);

/* Give @part the name @folder/@name, or, where that is taken, "@name (2)" and so on; nothing is ever replaced.
 * Synced. Returns the path. */
char *ing_download_publish (const char *part, const char *folder, const char *name, GError **error);

/* A new name for @from, replacing nothing. 0, or the system's number: EEXIST, EXDEV, … */
int ing_download_rename_to_new (const char *from, const char *to);

/* The result of a job that left a model file, as ing_model_file_table_note_download() reads it. @blocks, @uri may be NULL.
 * Caller frees. */
char *ing_download_make_result (const char *path, const char *sha256, guint64 size, const GArray *blocks, const char *uri);

/* SHA-256 of the regular file at @path, and its blocks' sums; NULL if it cannot be read to its end. */
char *ing_download_hash_file (const char *path, guint64 *size, GArray **blocks, GCancellable *cancellable);
