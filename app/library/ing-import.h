/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are on this computer already, into the folder of models. Blocks: worker threads. */
#pragma once

#include "ing-job-queue.h"

/* A copy of the GGUF file at @path, with the others of its set: sharing blocks where the file system can, else byte by
 * byte. @job (may be NULL) is told how far it is. Paths of what was made; NULL on error, with nothing left behind. */
GPtrArray *ing_import_copy (const char *path, IngJob *job, GCancellable *cancellable, GError **error);

/* A symbolic link to @path, called @name.gguf, or "@name (2).gguf" and so on. Returns its path; caller frees. */
char *ing_import_link (const char *path, const char *name, GError **error);

/* The hash that a file of Ollama's store is named after; NULL for any other. Borrowed from @path. */
const char *ing_import_get_blob_hash (const char *path);
