/* SPDX-License-Identifier: Apache-2.0 */
/* Downloads of model files, as jobs of the kind "download" in the job queue: they go on after a loss of network, a
 * pause, a quit, a crash or a reboot, and stand under their final name only once their hash is the promised one (or,
 * where none was promised, once the engine finds the file whole; the hash is pinned then). Until then the bytes stand
 * in "NAME.ID.part" beside the final name. Cancelled ones leave nothing behind.
 *
 * Jobs paused by a full disk or an absent drive go on by themselves when there is room, those paused by the network
 * when it is back. Main thread only. */
#pragma once

#include "ing-generation-service.h"
#include "ing-job-queue.h"
#include "ing-settings.h"

G_BEGIN_DECLS

#define ING_JOB_KIND_DOWNLOAD "download"
#define ING_SETTING_PROXY "network.proxy"             /* string: "" = as the desktop says */
#define ING_SETTING_CONNECTIONS "network.connections" /* int, 1 … 16 */
#define ING_SETTING_HUB_MIRROR "network.hub-mirror"   /* string: in place of huggingface.co */

#define ING_TYPE_DOWNLOADS (ing_downloads_get_type ())
G_DECLARE_FINAL_TYPE (IngDownloads, ing_downloads, ING, DOWNLOADS, GObject)

typedef struct
{
  const char *uri;
  const char *page;   /* for a person: the model's card and licence; NULL = uri */
  const char *folder; /* NULL = the folder of models */
  const char *name;   /* file name, as ing_hub_dup_file_name() makes it; NULL = from uri */
  guint64 size;       /* promised; 0 = not known */
  const char *sha256; /* promised, lower-case hex; NULL = not known */
  const char *title;  /* for a person; NULL = name */
} IngDownloadOrder;

/* Registers the kind: before ing_job_queue_resume(). @service NULL: files are not looked into. */
IngDownloads *ing_downloads_new (IngJobQueue *jobs, IngSettings *settings, IngGenerationService *service);

/* One that fetches the same file to the same place already is returned as it is (and retried). A new reference. */
IngJob *ing_downloads_add (IngDownloads *self, const IngDownloadOrder *order);

/* For a job of this kind. */
char *ing_downloads_dup_part_path (IngJob *job);  /* where its bytes are; caller frees */
char *ing_downloads_dup_final_path (IngJob *job); /* of a job of any kind that is done and left a file; NULL */
double ing_downloads_get_speed (IngDownloads *self, IngJob *job);        /* bytes a second; 0 = not moving */
double ing_downloads_get_seconds_left (IngDownloads *self, IngJob *job); /* < 0 = unknown */
/* Forget one that ended or is paused, with what it left on the disk. */
void ing_downloads_forget (IngDownloads *self, IngJob *job);

/* Access token of a hub's host. "stored" is FALSE where there is no keyring: it is kept until the program ends. */
void ing_downloads_set_token_async (IngDownloads *self, const char *host, const char *token,
                                    GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data);
gboolean ing_downloads_set_token_finish (IngDownloads *self, GAsyncResult *result, gboolean *stored, GError **error);

G_END_DECLS
