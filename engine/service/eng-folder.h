/* SPDX-License-Identifier: Apache-2.0 */
/* Models that lie as a hub's folder (config.json, safetensors): used through a converted file that
 * is kept in the person's cache folder and made again when the folder changes. */
#pragma once

#include <stddef.h>

#include "eng-status.h"

/* Room for any path that eng_folder_get_file () gives. */
#define ENG_FOLDER_PATH_BYTES 4096u

/* The file to open for @path, in out [ENG_FOLDER_PATH_BYTES]: @path itself unless it is a folder, else
 * <cache>/inglenook/converted/<hash of path, sizes and times>.gguf, where <cache> is $XDG_CACHE_HOME, ~/.cache,
 * or the system's temporary folder. Converts if that is not there yet (a second for a small
 * embedding model). ENG_ERR_LIMIT for a path that is too long, and what eng_convert_folder () gives. */
EngStatus eng_folder_get_file (const char *path, char *out, EngError *error);
