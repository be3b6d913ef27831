/* SPDX-License-Identifier: Apache-2.0 */
/* A model file, or the set of split files it is of, from one folder to another. Blocks: worker threads.
 *
 * Invariants:
 *  1. A source goes only after its copy has its final name and both were read back with the same SHA-256.
 *  2. Nothing is ever replaced: a name that is taken is refused before a byte is copied.
 *  3. Until all copies are verified the target folder holds none of them but as "NAME.move.part"; a run that was ended goes
 *     on with these. */
#pragma once

#include "ing-job-queue.h"

/* Copies, or renames on the same file system; the sources stay where they were copied. Paths of the new files in the order
 * of the set; NULL on error. @job (may be NULL) is told how far it is, and keeps in its checkpoint that all is verified.
 * ING_ERROR_NOT_CONNECTED (pauses), _DISK_FULL, _BUSY (a name is taken), _HASH (the copy is not as the source; it was
 * removed), _IO, …; G_IO_ERROR_CANCELLED keeps the parts. */
GPtrArray *ing_move_copy (const char *path, const char *folder, IngJob *job, GCancellable *cancellable, GError **error);

/* The sources of what ing_move_copy() returned as @made, where they are still there. */
gboolean ing_move_remove_sources (const char *path, const GPtrArray *made, GError **error);

/* Parts that a move of @path to @folder left. */
void ing_move_remove_parts (const char *path, const char *folder);
