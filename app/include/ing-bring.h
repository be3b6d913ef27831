/* SPDX-License-Identifier: Apache-2.0 */
/* Conversations, settings and models of another installation (a Flatpak's, the system's) brought here: copied, compared with
 * what they came from, and only then, if the person wants it, removed there.
 *
 * Invariants:
 * 1. The other installation's files are read alone, until ing_bring_remove_async(). Its database is not opened: a copy is,
 *    which is checked (program, schema version, integrity) like any file of a stranger.
 * 2. Nothing here is overwritten: a conversation that is here already, with every message, is left; one that differs comes
 *    as another conversation, and so does a collection of the same name with other folders; a setting that has a value here
 *    keeps it; a model of the same name gets a number.
 * 3. Only what was brought and compared, or found to be here, is removed, and only while it is still what was compared:
 *    model files each by itself, the databases of conversations and documents together or not at all. Backups, settings,
 *    unfinished downloads and whatever else lies there stay.
 *
 * Documents come as they were read there (text, words, vectors), collections with their folders, which are followed from
 * here on; the files stay where they are. Of models in other folders comes what is known of them; the files stay. Not brought:
 * settings that name paths or servers, links to models, unfinished work, a draft without a conversation (both are counted),
 * what only a terminal's questions read (a cache). An index of documents that is damaged is left.
 * Main thread only; disks are read on threads of its own. One run an object. */
#pragma once

#include "ing-workspace.h"

G_BEGIN_DECLS

#define ING_TYPE_BRING (ing_bring_get_type ())
G_DECLARE_FINAL_TYPE (IngBring, ing_bring, ING, BRING, GObject)

typedef struct
{
  guint n_conversations, n_known_conversations; /* brought; here already */
  guint n_models, n_known_models;
  guint n_documents, n_known_documents;
  guint n_collections, n_known_collections;
  guint n_models_elsewhere; /* whose rows came, whose files are in other folders */
  guint n_settings;
  guint n_jobs_left, n_drafts_left; /* not brought; they go with the database there */
  guint64 bytes; /* of models brought */
} IngBrought;

IngBring *ing_bring_new (IngWorkspace *workspace);

/* Where the other kind of installation keeps its data: the Flatpak's folder seen from outside, the system's seen from inside
 * (which only a file chooser can open there). Caller frees. */
char *ing_bring_dup_usual_folder (void);

/* @folder: a data folder, the folder it is in, or a Flatpak's own (~/.var/app/ID). Reads, copies, compares.
 *   ING_ERROR_NOT_FOUND     no data of this program there: choose another folder
 *   ING_ERROR_ARGUMENT      it is this program's own folder
 *   ING_ERROR_LOCKED, _BUSY the other program is running (or wrote meanwhile): close it, try again
 *   ING_ERROR_DATABASE_NEWER, _DAMAGED, _DISK_FULL, _HASH, …; what came before is here and complete
 * Cancelling keeps whole conversations and models that came, and leaves no half ones. */
void ing_bring_run_async (IngBring *self, const char *folder, GCancellable *cancellable, GAsyncReadyCallback callback,
                         gpointer user_data);
gboolean ing_bring_run_finish (IngBring *self, GAsyncResult *result, IngBrought *moved, GError **error);
double ing_bring_get_fraction (IngBring *self); /* 0 … 1 of the run under way */

/* Remove what was brought, or found to be here: databases, model files. ING_ERROR_BUSY if any of it has changed since or is
 * not all here; what is is removed all the same. */
void ing_bring_remove_async (IngBring *self, GAsyncReadyCallback callback, gpointer user_data);
gboolean ing_bring_remove_finish (IngBring *self, GAsyncResult *result, GError **error);

/* Or leave it there: lets go of the other's folder, which may be used again from then on. */
void ing_bring_leave (IngBring *self);

G_END_DECLS
