/* SPDX-License-Identifier: Apache-2.0 */
/* Invariant: a part is deleted only when no thread runs its job: in "notify::state" to CANCELLED or FAILED. */
#include "ing-downloads.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>

#include "ing-download-run.h"
#include "ing-hub.h"
#include "ing-main-thread.h"
#include "ing-token.h"

#define N_AT_ONCE 2
#define N_CONNECTIONS 4
#define RETRY_S 10
#define SPEED_MS 500
#define SPEED_SHARE 0.2 /* of the newest measure in the mean */

typedef struct
{
  guint64 done;
  gint64 us;
  double speed;
} Speed;

struct _IngDownloads
{
  GObject parent_instance;
  IngJobQueue *jobs;
  IngSettings *settings;
  IngGenerationService *service;
  GHashTable *speeds; /* IngJob (borrowed) → Speed */
  guint retry_id;
  GNetworkMonitor *monitor;
};

G_DEFINE_FINAL_TYPE (IngDownloads, ing_downloads, G_TYPE_OBJECT)

static gboolean
is_download (IngJob *job)
{
  return strcmp (ing_job_get_kind (job), ING_JOB_KIND_DOWNLOAD) == 0;
}

/* ------------------------------------------------------------------ what the engine says of a file */

typedef struct
{
  IngGenerationService *service;
  GCancellable *cancellable;
  char *path;
  GMutex lock;
  GCond cond;
  gboolean done;
  GError *error;
} Look;

static void
on_looked (GObject *source, GAsyncResult *result, gpointer data)
{
  Look *look = data;
  GError *error = NULL;
  g_autofree char *json
      = ing_generation_service_inspect_finish (ING_GENERATION_SERVICE (source), result, &error);
  g_mutex_lock (&look->lock);
  look->error = error;
  look->done = TRUE;
  g_cond_signal (&look->cond);
  g_mutex_unlock (&look->lock);
}

static gboolean
start_look (gpointer data)
{
  Look *look = data;
  ing_generation_service_inspect_async (look->service, look->path, look->cancellable, on_looked, look);
  return G_SOURCE_REMOVE;
}

/* Only what says that bytes are missing or wrong counts; a model that is not supported yet is still a whole file. */
static gboolean
look_at_file (const char *path, gpointer data, GCancellable *cancellable, GError **error)
{
  Look look = { .service = data, .cancellable = cancellable, .path = (char *) path };
  g_mutex_init (&look.lock);
  g_cond_init (&look.cond);
  ing_main_thread_run (start_look, &look);
  g_mutex_lock (&look.lock);
  while (!look.done)
    g_cond_wait (&look.cond, &look.lock);
  g_mutex_unlock (&look.lock);
  g_mutex_clear (&look.lock);
  g_cond_clear (&look.cond);
  gboolean bad = g_error_matches (look.error, ING_ERROR, ING_ERROR_FORMAT)
                 || g_error_matches (look.error, ING_ERROR, ING_ERROR_TRUNCATED)
                 || g_error_matches (look.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  if (bad)
    g_propagate_error (error, look.error);
  else
    g_clear_error (&look.error);
  return !bad;
}

/* ------------------------------------------------------------------ running */

static void
run_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  GError *error = NULL;
  if (ing_download_run (task_data, cancellable, &error))
    g_task_return_boolean (task, TRUE);
  else
    g_task_return_error (task, error);
}

static void
start_download (IngJob *job, GTask *task, gpointer data)
{
  IngDownloads *self = data;
  GError *error = NULL;
  IngDownloadRun *run = ing_download_run_new (job, &error);
  if (run == NULL)
    g_task_return_error (task, error);
  else
    {
      run->proxy = ing_settings_dup_string (self->settings, ING_SETTING_PROXY, "");
      run->n_connections = (guint) CLAMP (ing_settings_get_int (self->settings, ING_SETTING_CONNECTIONS, N_CONNECTIONS), 1, 16);
      run->look = self->service != NULL ? look_at_file : NULL;
      run->look_data = self->service;
      g_task_set_task_data (task, run, (GDestroyNotify) ing_download_run_free);
      g_task_run_in_thread (task, run_thread);
    }
  g_object_unref (task);
}

static void
delete_part_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  g_unlink (task_data); /* many gigabytes take a while */
  g_task_return_boolean (task, TRUE);
}

static void
delete_part (IngJob *job)
{
  g_autoptr (GTask) task = g_task_new (NULL, NULL, NULL, NULL);
  char *path = ing_downloads_dup_part_path (job);
  if (path == NULL)
    return;
  g_task_set_task_data (task, path, g_free);
  g_task_run_in_thread (task, delete_part_thread);
}

static void
on_state (IngJob *job, GParamSpec *pspec, gpointer data)
{
  IngDownloads *self = data;
  g_hash_table_remove (self->speeds, job);
  if (ing_job_get_state (job) == ING_JOB_CANCELLED)
    delete_part (job);
}

static void
on_items (GListModel *model, guint position, guint n_removed, guint n_added, gpointer data)
{
  for (guint i = position; i < position + n_added; i++)
    {
      g_autoptr (IngJob) job = g_list_model_get_item (model, i);
      if (is_download (job))
        g_signal_connect_object (job, "notify::state", G_CALLBACK (on_state), data, 0);
    }
}

/* ------------------------------------------------------------------ going on by itself */

static gboolean
may_go_on (IngJob *job)
{
  const GError *error = ing_job_get_error (job);
  if (!is_download (job) || ing_job_get_state (job) != ING_JOB_PAUSED || error == NULL || error->domain != ING_ERROR)
    return FALSE;
  g_autofree char *part = ing_downloads_dup_part_path (job);
  g_autofree char *folder = part != NULL ? g_path_get_dirname (part) : NULL;
  switch (error->code)
    {
    case ING_ERROR_DISK_FULL:
      return folder != NULL && ing_paths_get_free_bytes (folder) >= MAX (1024 * 1024, ing_error_get_needed (error));
    case ING_ERROR_NOT_CONNECTED:
    case ING_ERROR_READ_ONLY:
      return folder != NULL && g_access (folder, 2 /* W_OK */) == 0;
    default:
      return FALSE;
    }
}

static gboolean
on_retry_time (gpointer data)
{
  IngDownloads *self = data;
  for (guint i = 0; i < g_list_model_get_n_items (G_LIST_MODEL (self->jobs)); i++)
    {
      g_autoptr (IngJob) job = g_list_model_get_item (G_LIST_MODEL (self->jobs), i);
      if (may_go_on (job))
        ing_job_queue_retry (self->jobs, job);
    }
  return G_SOURCE_CONTINUE;
}

static void
on_network_changed (GNetworkMonitor *monitor, gboolean available, gpointer data)
{
  IngDownloads *self = data;
  for (guint i = 0; available && i < g_list_model_get_n_items (G_LIST_MODEL (self->jobs)); i++)
    {
      g_autoptr (IngJob) job = g_list_model_get_item (G_LIST_MODEL (self->jobs), i);
      if (is_download (job) && ing_job_get_state (job) == ING_JOB_PAUSED
          && g_error_matches (ing_job_get_error (job), ING_ERROR, ING_ERROR_NETWORK))
        ing_job_queue_retry (self->jobs, job);
    }
}

/* ------------------------------------------------------------------ orders */

static char *
build_payload (const IngDownloadOrder *order, const char *folder, const char *name)
{
  g_autoptr (JsonBuilder) b = json_builder_new ();
  json_builder_begin_object (b);
  json_builder_set_member_name (b, "uri");
  json_builder_add_string_value (b, order->uri);
  json_builder_set_member_name (b, "page");
  json_builder_add_string_value (b, order->page != NULL ? order->page : order->uri);
  json_builder_set_member_name (b, "folder");
  json_builder_add_string_value (b, folder);
  json_builder_set_member_name (b, "name");
  json_builder_add_string_value (b, name);
  json_builder_set_member_name (b, "size");
  json_builder_add_int_value (b, (gint64) order->size);
  if (order->sha256 != NULL)
    {
      json_builder_set_member_name (b, "sha256");
      json_builder_add_string_value (b, order->sha256);
    }
  json_builder_end_object (b);
  return ing_json_build (b);
}

static IngJob *
find_same (IngDownloads *self, const char *payload)
{
  for (guint i = 0; i < g_list_model_get_n_items (G_LIST_MODEL (self->jobs)); i++)
    {
      g_autoptr (IngJob) job = g_list_model_get_item (G_LIST_MODEL (self->jobs), i);
      IngJobState state = ing_job_get_state (job);
      if (is_download (job) && state != ING_JOB_DONE && state != ING_JOB_CANCELLED
          && strcmp (ing_job_get_payload (job), payload) == 0)
        return g_steal_pointer (&job);
    }
  return NULL;
}

IngJob *
ing_downloads_add (IngDownloads *self, const IngDownloadOrder *order)
{
  g_autoptr (GUri) uri = g_uri_parse (order->uri, G_URI_FLAGS_NONE, NULL);
  g_autofree char *name
      = ing_hub_dup_file_name (order->name != NULL ? order->name : uri != NULL ? g_uri_get_path (uri) : "model");
  g_autofree char *payload
      = build_payload (order, order->folder != NULL ? order->folder : ing_paths_get_models (), name);
  IngJob *job = find_same (self, payload);
  if (job == NULL)
    return ing_job_queue_add (self->jobs, ING_JOB_KIND_DOWNLOAD, order->title != NULL ? order->title : name, payload, 0);
  ing_job_queue_retry (self->jobs, job);
  return job;
}

char *
ing_downloads_dup_part_path (IngJob *job)
{
  IngDownloadRun *run = is_download (job) ? ing_download_run_new (job, NULL) : NULL;
  char *path = run != NULL ? ing_download_run_dup_part_path (run) : NULL;
  ing_download_run_free (run);
  return path;
}

char *
ing_downloads_dup_final_path (IngJob *job)
{
  g_autofree char *json = ing_job_dup_result (job);
  g_autoptr (JsonObject) result = json != NULL ? ing_json_parse_object (json, -1, NULL) : NULL;
  return result != NULL ? g_strdup (ing_json_get_string (result, "path", NULL)) : NULL;
}

void
ing_downloads_forget (IngDownloads *self, IngJob *job)
{
  IngJobState state = ing_job_get_state (job);
  if (state == ING_JOB_RUNNING || state == ING_JOB_QUEUED)
    return;
  if (state != ING_JOB_DONE)
    delete_part (job);
  ing_job_queue_remove (self->jobs, job);
}

/* ------------------------------------------------------------------ speed */

double
ing_downloads_get_speed (IngDownloads *self, IngJob *job)
{
  if (ing_job_get_state (job) != ING_JOB_RUNNING)
    return 0;
  Speed *speed = g_hash_table_lookup (self->speeds, job);
  gint64 now = g_get_monotonic_time ();
  guint64 done = ing_job_get_done (job);
  if (speed == NULL)
    {
      speed = g_new0 (Speed, 1);
      speed->done = done;
      speed->us = now;
      speed->speed = -1;
      g_hash_table_insert (self->speeds, job, speed);
    }
  else if (now - speed->us >= SPEED_MS * 1000)
    {
      double fresh = done > speed->done ? (double) (done - speed->done) * G_USEC_PER_SEC / (double) (now - speed->us) : 0;
      speed->speed = speed->speed < 0 ? fresh : speed->speed + (fresh - speed->speed) * SPEED_SHARE;
      speed->done = done;
      speed->us = now;
    }
  return MAX (0, speed->speed);
}

double
ing_downloads_get_seconds_left (IngDownloads *self, IngJob *job)
{
  double speed = ing_downloads_get_speed (self, job);
  guint64 done = ing_job_get_done (job), total = ing_job_get_total (job);
  return speed >= 1 && total > done ? (double) (total - done) / speed : -1;
}

/* ------------------------------------------------------------------ tokens */

typedef struct
{
  char *host, *token;
} Token;

static void
token_free (gpointer data)
{
  Token *token = data;
  g_free (token->host);
  ing_token_free (token->token);
  g_free (token);
}

static void
token_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  Token *token = task_data;
  GError *error = NULL;
  gboolean stored = FALSE;
  if (!ing_token_store (token->host, token->token, &stored, cancellable, &error))
    g_task_return_error (task, error);
  else
    g_task_return_int (task, stored);
}

void
ing_downloads_set_token_async (IngDownloads *self, const char *host, const char *token, GCancellable *cancellable,
                               GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (self, cancellable, callback, user_data);
  Token *data = g_new0 (Token, 1);
  data->host = g_strdup (host);
  data->token = g_strdup (token);
  g_task_set_task_data (task, data, token_free);
  g_task_run_in_thread (task, token_thread);
}

gboolean
ing_downloads_set_token_finish (IngDownloads *self, GAsyncResult *result, gboolean *stored, GError **error)
{
  gssize value = g_task_propagate_int (G_TASK (result), error);
  *stored = value > 0;
  return value >= 0;
}

/* ------------------------------------------------------------------ class */

static void
ing_downloads_dispose (GObject *object)
{
  IngDownloads *self = ING_DOWNLOADS (object);
  g_clear_handle_id (&self->retry_id, g_source_remove);
  if (self->monitor != NULL)
    g_signal_handlers_disconnect_by_data (self->monitor, self);
  g_clear_object (&self->jobs);
  g_clear_object (&self->settings);
  g_clear_object (&self->service);
  g_clear_pointer (&self->speeds, g_hash_table_unref);
  G_OBJECT_CLASS (ing_downloads_parent_class)->dispose (object);
}

static void
ing_downloads_class_init (IngDownloadsClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = ing_downloads_dispose;
}

static void
ing_downloads_init (IngDownloads *self)
{
  self->speeds = g_hash_table_new_full (NULL, NULL, NULL, g_free);
}

IngDownloads *
ing_downloads_new (IngJobQueue *jobs, IngSettings *settings, IngGenerationService *service)
{
  IngDownloads *self = g_object_new (ING_TYPE_DOWNLOADS, NULL);
  g_autofree char *mirror = ing_settings_dup_string (settings, ING_SETTING_HUB_MIRROR, "");
  self->jobs = g_object_ref (jobs);
  self->settings = g_object_ref (settings);
  self->service = service != NULL ? g_object_ref (service) : NULL;
  ing_hub_set_base (ING_HUB_HUGGING_FACE, mirror);
  g_signal_connect_object (jobs, "items-changed", G_CALLBACK (on_items), self, 0);
  on_items (G_LIST_MODEL (jobs), 0, 0, g_list_model_get_n_items (G_LIST_MODEL (jobs)), self);
  /* The queue lets go of its kinds with itself; this object outlives its jobs' starts. */
  ing_job_queue_register (jobs, ING_JOB_KIND_DOWNLOAD, N_AT_ONCE, start_download, self, NULL);
  self->retry_id = g_timeout_add_seconds (RETRY_S, on_retry_time, self);
  self->monitor = g_network_monitor_get_default ();
  g_signal_connect (self->monitor, "network-changed", G_CALLBACK (on_network_changed), self);
  return self;
}
