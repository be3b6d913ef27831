/* SPDX-License-Identifier: Apache-2.0 */
/* Everything of one running program: the data folder with its lock, the settings, conversations,
 * jobs and the model. A window makes one and shows it; so does `inglenook ask` without a window.
 *
 * It always works: when the data folder cannot be used (read-only, full, in use, damaged, of a newer
 * version), conversations live in memory, "storage-state" says so and "storage-problem" says why.
 * Main thread only; nothing blocks. */
#pragma once

#include "ing-conversation-list.h"
#include "ing-document-library.h"
#include "ing-error.h"
#include "ing-generation-service.h"
#include "ing-job-queue.h"
#include "ing-library.h"
#include "ing-model-defaults.h"
#include "ing-settings.h"

G_BEGIN_DECLS

#define ING_TYPE_WORKSPACE (ing_workspace_get_type ())
G_DECLARE_FINAL_TYPE (IngWorkspace, ing_workspace, ING, WORKSPACE, GObject)

typedef enum
{
  ING_STORAGE_OPENING,
  ING_STORAGE_OK,
  ING_STORAGE_MEMORY,  /* nothing is kept; storage-problem says why */
  ING_STORAGE_FAILING  /* open, but the last write failed (disk full, …); it is tried again */
} IngStorageState;

/* Properties, notifying: "storage-state", "storage-problem" (GError). */

/* @data_folder NULL = the usual place. @owner names the program in the lock: "window" or "ask"; a window waits
 * for an "ask" to end, and anything else is ING_ERROR_LOCKED at once. */
IngWorkspace *ing_workspace_new (const char *data_folder, const char *owner);

/* Open (or not: see above) and read the list of conversations. Succeeds always unless cancelled. */
void ing_workspace_open_async (IngWorkspace *self, GCancellable *cancellable,
                               GAsyncReadyCallback callback, gpointer user_data);
gboolean ing_workspace_open_finish (IngWorkspace *self, GAsyncResult *result, GError **error);

/* Load the settings' last model, or the starter, in the background. Nothing when there is none. */
void ing_workspace_load_default_model (IngWorkspace *self);
/* The model that @conversation's questions go to, where it is still there; else the default. */
void ing_workspace_load_model_of (IngWorkspace *self, IngConversation *conversation);
/* Load @path with the settings' options and remember it as the last one once it is loaded. Errors are
 * IngGenerationService:load-error. */
void ing_workspace_open_model (IngWorkspace *self, const char *path, gboolean force);

/* Questions of @conversation (NULL = none) go to @path from now on, and it is loaded at once unless an answer is under way,
 * which ends first. New conversations get it, too. */
void ing_workspace_choose_model (IngWorkspace *self, IngConversation *conversation, const char *path);

/* The one asked for last, by whichever way, although it will not fit in memory. */
void ing_workspace_load_anyway (IngWorkspace *self);

/* Stop answers, save all, let go of engine, database and lock. For the end of the program: save text
 * first, so a call takes at most about a second. */
void ing_workspace_close_async (IngWorkspace *self, GAsyncReadyCallback callback,
                                gpointer user_data);
gboolean ing_workspace_close_finish (IngWorkspace *self, GAsyncResult *result, GError **error);

/* All borrowed, there from the start. */
IngSettings *ing_workspace_get_settings (IngWorkspace *self);
IngConversationList *ing_workspace_get_conversations (IngWorkspace *self);
IngGenerationService *ing_workspace_get_generation (IngWorkspace *self);
IngJobQueue *ing_workspace_get_jobs (IngWorkspace *self);
IngLibrary *ing_workspace_get_library (IngWorkspace *self);
IngDocumentLibrary *ing_workspace_get_documents (IngWorkspace *self);

IngStorageState ing_workspace_get_storage_state (IngWorkspace *self);
const GError *ing_workspace_get_storage_problem (IngWorkspace *self);
const char *ing_workspace_get_data_folder (IngWorkspace *self);

/* ------------------------------------------------------------------ a damaged database */

/* When the problem is ING_ERROR_DATABASE_DAMAGED: the newest backup that checks as good, as the time it
 * was made (microseconds since 1970); 0 = none. */
gint64 ing_workspace_get_backup_time (IngWorkspace *self);

/* Set the damaged file aside (nothing is deleted) and go on with that backup, or with an empty
 * database. What was written in memory meanwhile is lost. */
void ing_workspace_restore_async (IngWorkspace *self, gboolean from_backup,
                                  GAsyncReadyCallback callback, gpointer user_data);
gboolean ing_workspace_restore_finish (IngWorkspace *self, GAsyncResult *result, GError **error);

G_END_DECLS
