/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "ing-database.h"
#include "ing-library.h"
#include "ing-model-file-table.h"

IngLibrary *ing_library_new (IngDatabase *database, IngSettings *settings, IngJobQueue *jobs,
                             IngGenerationService *service);

/* The file stands at @new_path now, too. */
void ing_library_note_moved (IngLibrary *self, const char *path, const char *new_path);

/* @kind, @path taken; on any thread. */
IngModelFile *ing_model_file_new (IngFileKind kind, char *path, guint64 bytes);
void ing_model_file_set_known (IngModelFile *self, const IngModelFileRow *row, guint n_conversations);
const char *ing_model_file_get_blocks (IngModelFile *self);
guint64 ing_model_file_get_known_bytes (IngModelFile *self); /* when its hash was taken */

/* What is in @folder and up to three folders deep, or the one file that it is: GPtrArray of IngModelFile. What is absent is one
 * entry. */
GPtrArray *ing_library_scan (const char *folder);
/* "x-00001-of-00003.gguf" → 3, its number in *@index, the length of what stands before it in *@stem; 0 = no split file. */
guint ing_library_parse_split (const char *name, guint *index, gsize *stem);
/* Files of the set that @path is of, itself alone if it is of none: GPtrArray of paths. */
GPtrArray *ing_library_list_set (const char *path);
