/* SPDX-License-Identifier: Apache-2.0 */
/* Model files on this machine: a GListModel of IngModelFile over the folder of models and others that the person named.
 * What the program itself downloaded, copied or made is known by its hash in the database; only that can be moved to the
 * trash from here. A folder that is not there (an absent drive) keeps its place and says so. Main thread only; disks are
 * read on threads of its own. */
#pragma once

#include "ing-downloads.h"
#include "ing-transfers.h"

G_BEGIN_DECLS

#define ING_SETTING_FOLDERS "library.folders" /* string: absolute paths, one a line, besides the folder of models */

#define ING_TYPE_MODEL_FILE (ing_model_file_get_type ())
G_DECLARE_FINAL_TYPE (IngModelFile, ing_model_file, ING, MODEL_FILE, GObject)

typedef enum
{
  ING_FILE_MODEL,  /* a GGUF file; the first of a split set stands for all of it */
  ING_FILE_PART,   /* unfinished: a download that goes on, or one nobody knows any more */
  ING_FILE_ABSENT  /* a folder that is not connected */
} IngFileKind;

IngFileKind ing_model_file_get_kind (IngModelFile *self);
const char *ing_model_file_get_path (IngModelFile *self);
const char *ing_model_file_get_name (IngModelFile *self);       /* valid UTF-8 */
guint64 ing_model_file_get_bytes (IngModelFile *self);          /* on the disk, all files of a set */
gboolean ing_model_file_get_is_own (IngModelFile *self);        /* this program made it */
guint ing_model_file_get_n_conversations (IngModelFile *self);  /* whose last answer, or choice, is of it */
const char *ing_model_file_get_sha256 (IngModelFile *self);     /* NULL = never known */
const char *ing_model_file_get_uri (IngModelFile *self);        /* where it came from; NULL */
gboolean ing_model_file_get_can_repair (IngModelFile *self);    /* enough is known to fetch bad blocks again */

/* Signal "moved" (const char *path, const char *new_path): before the file goes from where it was. */
#define ING_TYPE_LIBRARY (ing_library_get_type ())
G_DECLARE_FINAL_TYPE (IngLibrary, ing_library, ING, LIBRARY, GObject)

/* Bytes that can still be written to the folder of models; 0 = unknown. */
guint64 ing_library_get_free_bytes (IngLibrary *self);

/* Read folders and database again; the list changes when that is done. Downloads that end do it by themselves. */
void ing_library_refresh (IngLibrary *self);
IngDownloads *ing_library_get_downloads (IngLibrary *self);
IngTransfers *ing_library_get_transfers (IngLibrary *self);

/* Own folders, and single files, besides the folder of models; NULL-terminated, caller frees. */
char **ing_library_dup_folders (IngLibrary *self);
void ing_library_add_folder (IngLibrary *self, const char *path);
void ing_library_remove_folder (IngLibrary *self, const char *path);

/* Move to the trash. ING_ERROR_PERMISSION for what the program did not make, ING_ERROR_UNSUPPORTED where the drive has
 * no trash. */
void ing_library_trash_async (IngLibrary *self, IngModelFile *file, GCancellable *cancellable,
                              GAsyncReadyCallback callback, gpointer user_data);
gboolean ing_library_trash_finish (IngLibrary *self, GAsyncResult *result, GError **error);

/* Back from the trash, with what was known of it. ING_ERROR_NOT_FOUND if the trash does not have it any more. */
void ing_library_restore_async (IngLibrary *self, IngModelFile *file, GCancellable *cancellable,
                                GAsyncReadyCallback callback, gpointer user_data);
gboolean ing_library_restore_finish (IngLibrary *self, GAsyncResult *result, GError **error);

/* Copy a GGUF file, with the others of its set, into the folder of models: sharing its blocks where the file system can
 * (no room is taken), else byte by byte. Returns the new path. ING_ERROR_FORMAT, _DISK_FULL, … leave nothing behind. */
void ing_library_import_async (IngLibrary *self, const char *path, GCancellable *cancellable,
                               GAsyncReadyCallback callback, gpointer user_data);
char *ing_library_import_finish (IngLibrary *self, GAsyncResult *result, GError **error);

/* The same as a job of the kind "import", with progress. Returns a new reference. */
#define ING_JOB_KIND_IMPORT "import"
IngJob *ing_library_import (IngLibrary *self, const char *path);
/* A file (with the others of its set) into another folder, as a job: copied, compared by SHA-256, then taken from where it
 * was; on the same file system it is renamed. Its conversations and what was chosen for it go with it, and the folder is
 * looked into from now on. Can be paused and given up; nothing is replaced (ING_ERROR_EXISTS); a folder that is not there
 * pauses it (ING_ERROR_NOT_CONNECTED). Only what the program made: NULL otherwise. Returns a new reference. */
#define ING_JOB_KIND_MOVE "move"
IngJob *ing_library_move (IngLibrary *self, IngModelFile *file, const char *folder);

/* Is @job one that brings a model here or moves it (download, import, quantize, convert, move)? */
gboolean ing_library_has_job (IngJob *job);

/* A link to a file of another program, under a name of its own, in the folder of models; "trash" then removes the link
 * alone. Returns the link's path. */
void ing_library_link_async (IngLibrary *self, const char *path, const char *name, GCancellable *cancellable,
                             GAsyncReadyCallback callback, gpointer user_data);
char *ing_library_link_finish (IngLibrary *self, GAsyncResult *result, GError **error);

/* A GGUF file, or a folder with such files or with config.json? Any thread; blocks a little. */
gboolean ing_library_looks_like_model (const char *path);

/* The first file of the set that @path is of; @path for any other. Caller frees. */
char *ing_library_dup_first_of_set (const char *path);

/* Read all of it and compare with the hash kept. TRUE: as it was. *@n_bad, *@n_blocks: of its blocks of 16 MiB.
 * ING_ERROR_NOT_FOUND if no hash was ever known: it is kept now. */
void ing_library_check_async (IngLibrary *self, IngModelFile *file, GCancellable *cancellable,
                              GAsyncReadyCallback callback, gpointer user_data);
gboolean ing_library_check_finish (IngLibrary *self, GAsyncResult *result, guint *n_bad, guint *n_blocks, GError **error);

/* Fetch again the blocks that have changed, and only those. *@n_blocks: how many. ING_ERROR_HASH and _UNSUPPORTED: the
 * server cannot give them (any more); what was written is right. Errors of network and disk: go on with another call. */
void ing_library_repair_async (IngLibrary *self, IngModelFile *file, GCancellable *cancellable,
                               GAsyncReadyCallback callback, gpointer user_data);
gboolean ing_library_repair_finish (IngLibrary *self, GAsyncResult *result, guint *n_blocks, GError **error);

/* Models of Ollama on this machine, by its manifests: pairs of name and path, NULL-terminated. Blocks a little: worker
 * threads. @root NULL = its usual folders. */
char **ing_library_find_ollama (const char *root);

G_END_DECLS
