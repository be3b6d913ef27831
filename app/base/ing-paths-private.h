/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "ing-paths.h"

#define ING_STARTER_MODEL "SmolLM2-135M-Instruct-Q4_1.gguf"

/* Bytes that this user can still write where @path (or its nearest existing parent) stands; 0 if that
 * is unknown. */
guint64 ing_paths_get_free_bytes (const char *path);

/* fsync a folder, so that a rename in it survives a power cut. */
gboolean ing_paths_sync_folder (const char *path, GError **error);
