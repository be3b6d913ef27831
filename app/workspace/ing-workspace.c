/* SPDX-License-Identifier: Apache-2.0 */
/* Opening happens on a worker thread, in this order: folder, lock, database, list. Whatever fails there, a
 * database in memory takes its place and the reason is kept. */
#include "ing-workspace-state.h"

#include <string.h>

#include "ing-conversation-list-private.h"
#include "ing-collections.h"
#include "ing-data-lock.h"
#include "ing-database-backup.h"
#include "ing-document-private.h"
#include "ing-engine-link.h"
#include "ing-error-private.h"
#include "ing-job-private.h"
#include "ing-library-private.h"
#include "ing-log.h"
#include "ing-paths-private.h"
#include "ing-power.h"
#include "ing-schema.h"

#define LOCK_RETRY_US (200 * 1000)
#define LOCK_PATIENCE_US (120LL * G_USEC_PER_SEC)
#define BACKUP_DELAY_S 60
#define ING_MAX_IDLE_MINUTES (7 * 24 * 60)
#define CLOSE_POLL_MS 5
#define CLOSE_PATIENCE_US (2LL * G_USEC_PER_SEC)

G_DEFINE_FINAL_TYPE (IngWorkspace, ing_workspace, G_TYPE_OBJECT)

enum
{
  PROP_0,
  PROP_STORAGE_STATE,
  PROP_STORAGE_PROBLEM,
  N_PROPS
};
static GParamSpec *props[N_PROPS];

static void
ing_workspace_dispose (GObject *object)
{
  IngWorkspace *self = ING_WORKSPACE (object);
  g_clear_handle_id (&self->backup_id, g_source_remove);
  if (self->generation != NULL)
    {
      ing_generation_service_set_loader (self->generation, NULL, NULL);
      ing_generation_service_close (self->generation);
    }
  if (self->chat != NULL)
    g_signal_handlers_disconnect_by_data (self->chat, self);
  g_clear_object (&self->conversations);
  g_clear_pointer (&self->power, ing_power_free);
  if (self->documents != NULL)
    ing_document_library_close (self->documents);
  g_clear_object (&self->documents);
  g_clear_object (&self->library);
  g_clear_object (&self->jobs);
  g_clear_object (&self->chat);
  g_clear_object (&self->generation);
  if (self->database != NULL)
    ing_database_close_sync (self->database);
  g_clear_object (&self->database);
  g_clear_pointer (&self->lock, ing_data_lock_free);
  g_clear_object (&self->settings);
  G_OBJECT_CLASS (ing_workspace_parent_class)->dispose (object);
}

static void
ing_workspace_finalize (GObject *object)
{
  IngWorkspace *self = ING_WORKSPACE (object);
  g_clear_error (&self->problem);
  g_clear_error (&self->open_problem);
  g_free (self->wanted_model);
  g_free (self->data_folder);
  g_free (self->owner);
  G_OBJECT_CLASS (ing_workspace_parent_class)->finalize (object);
}

static void
ing_workspace_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  IngWorkspace *self = ING_WORKSPACE (object);
  switch (id)
    {
    case PROP_STORAGE_STATE:
      g_value_set_int (value, self->state);
      break;
    case PROP_STORAGE_PROBLEM:
      g_value_set_boxed (value, self->problem);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
ing_workspace_class_init (IngWorkspaceClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  const GParamFlags flags = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY;
  object_class->dispose = ing_workspace_dispose;
  object_class->finalize = ing_workspace_finalize;
  object_class->get_property = ing_workspace_get_property;
  props[PROP_STORAGE_STATE] = g_param_spec_int ("storage-state", NULL, NULL, 0, ING_STORAGE_FAILING,
                                                0, flags);
  props[PROP_STORAGE_PROBLEM]
      = g_param_spec_boxed ("storage-problem", NULL, NULL, G_TYPE_ERROR, flags);
  g_object_class_install_properties (object_class, N_PROPS, props);
}

static void
ing_workspace_init (IngWorkspace *self)
{
}

/* ------------------------------------------------------------------ state */

static void
set_state (IngWorkspace *self, IngStorageState state, const GError *problem)
{
  gboolean changed = self->state != state;
  self->state = state;
  if (problem != NULL || self->problem != NULL)
    {
      GError *copy = problem != NULL ? g_error_copy (problem) : NULL;
      g_clear_error (&self->problem);
      self->problem = copy;
      g_object_notify_by_pspec (G_OBJECT (self), props[PROP_STORAGE_PROBLEM]);
    }
  if (changed)
    g_object_notify_by_pspec (G_OBJECT (self), props[PROP_STORAGE_STATE]);
}

static void
on_chat_problem (IngChatContext *chat, const GError *error, gpointer data)
{
  IngWorkspace *self = data;
  if (error != NULL)
    set_state (self, ING_STORAGE_FAILING, error);
  else if (self->open_problem != NULL)
    set_state (self, ING_STORAGE_MEMORY, self->open_problem);
  else
    set_state (self, ING_STORAGE_OK, NULL);
}

static void
apply_system_prompt (IngWorkspace *self)
{
  g_free (self->chat->system_prompt);
  self->chat->system_prompt
      = ing_settings_dup_string (self->settings, ING_SETTING_SYSTEM_PROMPT, "");
}

/* Of the model that is loaded; sampling of the settings where it has none of its own. */
static void
apply_model_defaults (IngWorkspace *self)
{
  const char *path = ing_generation_service_get_model_path (self->generation);
  g_autofree char *json = ing_settings_dup_string (self->settings, ING_SETTING_SAMPLING, NULL);
  g_auto (IngModelDefaults) defaults;
  ing_model_defaults_read (&defaults, self->settings, path != NULL ? path : "");
  gboolean chosen = defaults.has_sampling || json != NULL;
  if (!defaults.has_sampling && json != NULL)
    ing_sampling_from_json (&defaults.sampling, json);
  ing_sampling_clamp (&defaults.sampling);
  ing_generation_service_set_defaults (self->generation, chosen ? &defaults.sampling : NULL, defaults.system_prompt);
}

static void
apply_idle (IngWorkspace *self)
{
  int minutes = ing_settings_get_int (self->settings, ING_SETTING_IDLE_MINUTES, ING_DEFAULT_IDLE_MINUTES);
  ing_generation_service_set_idle_unload (self->generation, (guint) CLAMP (minutes, 0, ING_MAX_IDLE_MINUTES) * 60);
}

static void
apply_device (IngWorkspace *self)
{
  g_autofree char *device = ing_settings_dup_string (self->settings, ING_SETTING_DEVICE, "auto");
  int threads = ing_settings_get_int (self->settings, ING_SETTING_THREADS, 0);
  ing_generation_service_set_vector_device (self->generation, device, (guint) CLAMP (threads, 0, ING_MAX_THREADS));
}

/* Conversations follow their model. What is loaded of it is let go, to be loaded from its new place by the next question. */
static void
on_model_moved (IngLibrary *library, const char *path, const char *new_path, gpointer data)
{
  IngWorkspace *self = data;
  GListModel *list = G_LIST_MODEL (self->conversations);
  for (guint i = 0; i < g_list_model_get_n_items (list); i++)
    {
      g_autoptr (IngConversation) conversation = g_list_model_get_item (list, i);
      if (g_strcmp0 (ing_conversation_get_model_path (conversation), path) == 0)
        ing_conversation_set_model_path (conversation, new_path);
    }
  if (g_strcmp0 (ing_generation_service_get_model_path (self->generation), path) == 0
      && ing_generation_service_get_state (self->generation) == ING_SERVICE_READY)
    {
      if (ing_generation_service_get_resting (self->generation))
        ing_generation_service_unload (self->generation);
      else
        ing_workspace_load_model (self, new_path, FALSE, FALSE);
    }
}

/* A question wants a model that is not loaded. */
static void
load_for_question (const char *path, gpointer data)
{
  ing_workspace_load_model (data, path, FALSE, FALSE);
}

static void
on_system_prompt_changed (IngSettings *settings, const char *key, gpointer data)
{
  apply_system_prompt (data);
}

static void
apply_power (IngWorkspace *self)
{
  gboolean sparing = ing_power_get_sparing (self->power)
                     && !ing_settings_get_boolean (self->settings, ING_SETTING_ON_BATTERY, FALSE);
  ing_collections_set_sparing (ing_document_library_get_collections (self->documents), sparing);
}

static void
on_power_changed (gboolean sparing, gpointer data)
{
  apply_power (data);
}

/* Once, by the program that stays: it may read for hours. */
static void
start_collections (IngWorkspace *self)
{
  ing_collections_start (ing_document_library_get_collections (self->documents));
  if (self->power != NULL)
    return;
  self->power = ing_power_new (on_power_changed, self);
  g_signal_connect_object (self->settings, "changed::documents-on-battery", G_CALLBACK (apply_power), self,
                           G_CONNECT_SWAPPED);
}

static void
on_conversation_erased (IngConversationList *list, gint64 id, gpointer data)
{
  ing_document_library_remove_owner (((IngWorkspace *) data)->documents, id);
}

IngWorkspace *
ing_workspace_new_full (const char *data_folder, const char *owner, const char *settings_path,
                        const IngEngineLaunch *launch)
{
  IngWorkspace *self = g_object_new (ING_TYPE_WORKSPACE, NULL);
  self->data_folder = g_strdup (data_folder != NULL ? data_folder : ing_paths_get_data ());
  self->owner = g_strdup (owner);
  self->settings = ing_settings_new (settings_path);
  self->database = ing_database_new (&ing_schema);
  IngEngineLaunch usual = { .mode = ING_ENGINE_THREAD };
  g_autofree char *mode = ing_settings_dup_string (self->settings, ING_SETTING_ENGINE_MODE, "auto");
  /* A GPU's driver can take its process with it, so with a module the engine has one of its own. */
  gboolean wants_child = strcmp (mode, "child") == 0 || (strcmp (mode, "auto") == 0 && eng_serve_has_module ());
  if (wants_child && ing_paths_get_engine () != NULL)
    usual.mode = ING_ENGINE_CHILD;
  self->generation = ing_generation_service_new (launch != NULL ? launch : &usual);
  self->chat = ing_chat_context_new (self->database, self->generation);
  self->conversations = ing_conversation_list_new (self->chat);
  self->jobs = ing_job_queue_new (self->database);
  self->library = ing_library_new (self->database, self->settings, self->jobs, self->generation);
  self->documents = ing_document_library_new (self->generation);
  g_signal_connect (self->conversations, "erased", G_CALLBACK (on_conversation_erased), self);
  g_signal_connect_object (self->library, "moved", G_CALLBACK (on_model_moved), self, 0);
  apply_system_prompt (self);
  g_signal_connect_object (self->settings, "changed::chat-system",
                           G_CALLBACK (on_system_prompt_changed), self, 0);
  g_signal_connect (self->chat, "problem", G_CALLBACK (on_chat_problem), self);
  apply_model_defaults (self);
  g_signal_connect_object (self->generation, "notify::model-path", G_CALLBACK (apply_model_defaults), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (self->settings, "changed::chat-sampling", G_CALLBACK (apply_model_defaults), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (self->settings, "changed::models-defaults", G_CALLBACK (apply_model_defaults), self,
                           G_CONNECT_SWAPPED);
  ing_generation_service_set_loader (self->generation, load_for_question, self);
  apply_idle (self);
  g_signal_connect_object (self->settings, "changed::model-idle-minutes", G_CALLBACK (apply_idle), self, G_CONNECT_SWAPPED);
  apply_device (self);
  g_signal_connect_object (self->settings, "changed::model-device", G_CALLBACK (apply_device), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (self->settings, "changed::model-threads", G_CALLBACK (apply_device), self, G_CONNECT_SWAPPED);
  return self;
}

IngWorkspace *
ing_workspace_new (const char *data_folder, const char *owner)
{
  return ing_workspace_new_full (data_folder, owner, NULL, NULL);
}

/* ------------------------------------------------------------------ opening, on a worker thread */

typedef struct
{
  char *data_folder, *owner;
  gboolean take_lock;
  IngDataLock *lock;
  GError *problem;
  gint64 backup_us;
  IngConversationListData *conversations;
  GPtrArray *jobs;
  gint64 last_job_id;
} Opened;

static void
opened_free (gpointer data)
{
  Opened *o = data;
  g_free (o->data_folder);
  g_free (o->owner);
  g_clear_pointer (&o->lock, ing_data_lock_free);
  g_clear_error (&o->problem);
  g_clear_pointer (&o->conversations, ing_conversation_list_data_free);
  g_clear_pointer (&o->jobs, g_ptr_array_unref);
  g_free (o);
}

/* A question in a terminal owns the folder for seconds: a window waits for it. */
static IngDataLock *
take_lock (Opened *o, GCancellable *cancellable, GError **error)
{
  gint64 until = g_get_monotonic_time () + LOCK_PATIENCE_US;
  for (;;)
    {
      g_autoptr (GError) local = NULL;
      IngDataLock *lock = ing_data_lock_take (o->data_folder, o->owner, &local);
      if (lock != NULL)
        return lock;
      if (!g_error_matches (local, ING_ERROR, ING_ERROR_LOCKED) || strcmp (o->owner, "window") != 0
          || g_strcmp0 (ing_error_get_field (local), "ask") != 0
          || g_get_monotonic_time () > until || g_cancellable_is_cancelled (cancellable))
        {
          g_propagate_error (error, g_steal_pointer (&local));
          return NULL;
        }
      g_usleep (LOCK_RETRY_US);
    }
}

static gpointer
read_all_func (IngDatabase *db, gpointer data, GError **error)
{
  Opened *o = data;
  o->conversations = ing_conversation_list_read (db, error);
  if (o->conversations == NULL)
    return NULL;
  o->jobs = ing_job_table_read (db, error);
  o->last_job_id = ing_job_table_get_last_id (db);
  return o->jobs != NULL ? o : NULL;
}

static gboolean
open_and_read (IngDatabase *db, Opened *o, GError **error)
{
  if (!ing_database_open_sync (db, o->data_folder, error))
    return FALSE;
  if (ing_database_run_sync (db, read_all_func, o, error) != NULL)
    return TRUE;
  ing_database_close_sync (db);
  return FALSE;
}

/* Something else that holds conversations: a copy where the folder can be read, else nothing. */
static void
open_in_memory (IngDatabase *db, Opened *o)
{
  gboolean copied = (g_error_matches (o->problem, ING_ERROR, ING_ERROR_READ_ONLY)
                     || g_error_matches (o->problem, ING_ERROR, ING_ERROR_PERMISSION)
                     || g_error_matches (o->problem, ING_ERROR, ING_ERROR_DISK_FULL))
                    && ing_database_open_copy_sync (db, o->data_folder, NULL);
  g_autoptr (GError) error = NULL;
  if (!copied && !ing_database_open_sync (db, NULL, &error))
    g_critical ("no database even in memory: %s", error->message);
  g_clear_pointer (&o->conversations, ing_conversation_list_data_free);
  g_clear_pointer (&o->jobs, g_ptr_array_unref);
  ing_database_run_sync (db, read_all_func, o, NULL);
}

static void
open_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  IngWorkspace *self = source; /* only its database, which is safe */
  Opened *o = task_data;
  gboolean ok = ing_paths_ensure_folder (o->data_folder, &o->problem);
  if (ok && o->take_lock)
    {
      o->lock = take_lock (o, cancellable, &o->problem);
      ok = o->lock != NULL;
    }
  ok = ok && open_and_read (self->database, o, &o->problem);
  if (!ok)
    {
      /* A person thinks of the folder, not of the file in it that was tried first. */
      if (g_error_matches (o->problem, ING_ERROR, ING_ERROR_READ_ONLY)
          || g_error_matches (o->problem, ING_ERROR, ING_ERROR_PERMISSION))
        ing_error_set_details (o->problem, o->data_folder, 0, 0, ING_ERROR_OFFSET_NONE, 0);
      if (g_error_matches (o->problem, ING_ERROR, ING_ERROR_DATABASE_DAMAGED))
        g_free (ing_database_find_backup (&ing_schema, o->data_folder, &o->backup_us));
      open_in_memory (self->database, o);
    }
  /* Without the folder: what is indexed there can still be read. */
  ing_document_library_open_sync (self->documents, o->data_folder, !ok);
  g_task_return_boolean (task, TRUE);
}

static void
on_backed_up (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GError) error = NULL;
  if (!ing_database_backup_finish (ING_DATABASE (source), result, &error))
    ing_notice ("backup failed: %s", error->message);
}

static gboolean
on_backup_due (gpointer data)
{
  IngWorkspace *self = data;
  self->backup_id = g_timeout_add_seconds (60 * 60, on_backup_due, self);
  if (self->open_problem == NULL)
    ing_database_backup_async (self->database, FALSE, NULL, on_backed_up, NULL);
  return G_SOURCE_REMOVE;
}

static gboolean
is_conversation (gint64 owner, gpointer data)
{
  return ing_conversation_list_lookup (((IngWorkspace *) data)->conversations, owner) != NULL;
}

static void
on_opened (GObject *source, GAsyncResult *result, gpointer user_data)
{
  IngWorkspace *self = ING_WORKSPACE (source);
  g_autoptr (GTask) caller = user_data;
  Opened *o = g_task_get_task_data (G_TASK (result));
  if (o->lock != NULL)
    {
      g_clear_pointer (&self->lock, ing_data_lock_free);
      self->lock = g_steal_pointer (&o->lock);
    }
  g_clear_error (&self->open_problem);
  self->open_problem = g_steal_pointer (&o->problem);
  self->backup_us = o->backup_us;
  if (o->conversations != NULL)
    ing_conversation_list_fill (self->conversations, o->conversations);
  if (o->jobs != NULL)
    ing_job_queue_fill (self->jobs, o->jobs, o->last_job_id);
  ing_document_library_fill (self->documents);
  if (o->conversations != NULL)
    ing_document_library_keep_owners (self->documents, is_conversation, self);
  if (self->open_problem == NULL && strcmp (self->owner, "window") == 0)
    start_collections (self);
  set_state (self, self->open_problem != NULL ? ING_STORAGE_MEMORY : ING_STORAGE_OK,
             self->open_problem);
  if (self->backup_id == 0)
    self->backup_id = g_timeout_add_seconds (BACKUP_DELAY_S, on_backup_due, self);
  if (!g_task_return_error_if_cancelled (caller))
    g_task_return_boolean (caller, TRUE);
}

/* @caller is taken. */
static void
open_again (IngWorkspace *self, GTask *caller, gboolean lock)
{
  Opened *o = g_new0 (Opened, 1);
  o->data_folder = g_strdup (self->data_folder);
  o->owner = g_strdup (self->owner);
  o->take_lock = lock;
  g_autoptr (GTask) task
      = g_task_new (self, g_task_get_cancellable (caller), on_opened, caller);
  g_task_set_task_data (task, o, opened_free);
  g_task_set_check_cancellable (task, FALSE);
  g_task_run_in_thread (task, open_thread);
}

void
ing_workspace_open_async (IngWorkspace *self, GCancellable *cancellable,
                          GAsyncReadyCallback callback, gpointer user_data)
{
  GTask *task = g_task_new (self, cancellable, callback, user_data);
  g_task_set_source_tag (task, ing_workspace_open_async);
  open_again (self, task, TRUE);
}

gboolean
ing_workspace_open_finish (IngWorkspace *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}

/* ------------------------------------------------------------------ a damaged database */

gint64
ing_workspace_get_backup_time (IngWorkspace *self)
{
  return self->backup_us;
}

static void
restore_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  IngWorkspace *self = source;
  gboolean from_backup = GPOINTER_TO_INT (task_data);
  GError *error = NULL;
  g_autofree char *backup
      = from_backup ? ing_database_find_backup (&ing_schema, self->data_folder, NULL) : NULL;
  if (from_backup && backup == NULL)
    g_task_return_error (task, ing_error_new (ING_ERROR_NOT_FOUND, NULL, 0, 0,
                                              "there is no good backup"));
  else if (!ing_database_replace (&ing_schema, self->data_folder, backup, &error))
    g_task_return_error (task, error);
  else
    g_task_return_boolean (task, TRUE);
}

static void
on_replaced (GObject *source, GAsyncResult *result, gpointer user_data)
{
  GTask *caller = user_data;
  GError *error = NULL;
  if (g_task_propagate_boolean (G_TASK (result), &error))
    {
      open_again (ING_WORKSPACE (source), caller, FALSE); /* the lock is held */
      return;
    }
  g_task_return_error (caller, error);
  g_object_unref (caller);
}

void
ing_workspace_restore_async (IngWorkspace *self, gboolean from_backup, GAsyncReadyCallback callback,
                             gpointer user_data)
{
  GTask *caller = g_task_new (self, NULL, callback, user_data);
  if (self->lock == NULL || self->open_problem == NULL)
    {
      g_task_return_error (caller, ing_error_new (ING_ERROR_ARGUMENT, NULL, 0, 0,
                                                  "there is nothing to restore"));
      g_object_unref (caller);
      return;
    }
  g_autoptr (GTask) task = g_task_new (self, NULL, on_replaced, caller);
  g_task_set_task_data (task, GINT_TO_POINTER (from_backup), NULL);
  g_task_run_in_thread (task, restore_thread);
}

gboolean
ing_workspace_restore_finish (IngWorkspace *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}

/* ------------------------------------------------------------------ closing */

typedef struct
{
  gint64 until_us;
} Closing;

static void
close_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  IngWorkspace *self = source;
  ing_document_library_close_database_sync (self->documents);
  ing_database_close_sync (self->database);
  ing_engine_link_wait_closed (2000);
  g_task_return_boolean (task, TRUE);
}

static void
on_closed (GObject *source, GAsyncResult *result, gpointer user_data)
{
  IngWorkspace *self = ING_WORKSPACE (source);
  g_autoptr (GTask) caller = user_data;
  g_clear_pointer (&self->lock, ing_data_lock_free);
  g_task_return_boolean (caller, TRUE);
}

/* Saves end by themselves; the last ones are written when nothing is under way any more. */
static gboolean
on_close_poll (gpointer data)
{
  GTask *caller = data;
  IngWorkspace *self = g_task_get_source_object (caller);
  Closing *closing = g_task_get_task_data (caller);
  gboolean saved = ing_conversation_list_flush (self->conversations);
  gboolean stopped = ing_job_queue_close (self->jobs);
  stopped = ing_document_library_close (self->documents) && stopped;
  if ((!saved || !stopped) && g_get_monotonic_time () < closing->until_us)
    return G_SOURCE_CONTINUE;
  g_autoptr (GTask) task = g_task_new (self, NULL, on_closed, caller);
  g_task_run_in_thread (task, close_thread);
  return G_SOURCE_REMOVE;
}

/* Beside the conversations' backups, so that one folder holds what a person would take elsewhere: an installation in a
 * sandbox is shown that folder alone (ing-bring.h). */
static void
back_up_settings (IngWorkspace *self)
{
  g_autofree char *folder = g_build_filename (self->data_folder, "backups", NULL);
  g_autofree char *path = g_build_filename (folder, "settings.ini", NULL);
  if (ing_paths_ensure_folder (folder, NULL))
    ing_settings_save_copy (self->settings, path);
}

void
ing_workspace_close_async (IngWorkspace *self, GAsyncReadyCallback callback, gpointer user_data)
{
  GTask *caller = g_task_new (self, NULL, callback, user_data);
  Closing *closing = g_new0 (Closing, 1);
  closing->until_us = g_get_monotonic_time () + CLOSE_PATIENCE_US;
  g_task_set_task_data (caller, closing, g_free);
  g_clear_handle_id (&self->backup_id, g_source_remove);
  ing_generation_service_close (self->generation);
  ing_settings_flush (self->settings, NULL);
  if (self->state == ING_STORAGE_OK)
    back_up_settings (self);
  ing_conversation_list_flush (self->conversations);
  g_timeout_add (CLOSE_POLL_MS, on_close_poll, caller);
}

gboolean
ing_workspace_close_finish (IngWorkspace *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}

/* ------------------------------------------------------------------ reading */

IngSettings *
ing_workspace_get_settings (IngWorkspace *self)
{
  return self->settings;
}

IngConversationList *
ing_workspace_get_conversations (IngWorkspace *self)
{
  return self->conversations;
}

IngGenerationService *
ing_workspace_get_generation (IngWorkspace *self)
{
  return self->generation;
}

IngJobQueue *
ing_workspace_get_jobs (IngWorkspace *self)
{
  return self->jobs;
}

IngDatabase *
ing_workspace_get_database (IngWorkspace *self)
{
  return self->database;
}

IngLibrary *
ing_workspace_get_library (IngWorkspace *self)
{
  return self->library;
}

IngDocumentLibrary *
ing_workspace_get_documents (IngWorkspace *self)
{
  return self->documents;
}

IngStorageState
ing_workspace_get_storage_state (IngWorkspace *self)
{
  return self->state;
}

const GError *
ing_workspace_get_storage_problem (IngWorkspace *self)
{
  return self->problem;
}

const char *
ing_workspace_get_data_folder (IngWorkspace *self)
{
  return self->data_folder;
}
