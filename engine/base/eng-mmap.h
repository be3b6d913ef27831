/* SPDX-License-Identifier: Apache-2.0 */
/* A regular file as read-only memory, mapped or read in. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "eng-status.h"

typedef struct EngMmap EngMmap;

/* Map @path read-only; nothing is read yet. ENG_ERR_NOT_FOUND, ENG_ERR_IO (permission, not a regular
 * file: text has the reason), ENG_ERR_NO_MEMORY. An empty file opens with size 0 and data NULL.
 *
 * The bytes are the file's: somebody who cuts it while it is mapped makes the next access to the
 * missing part a SIGBUS, and one who rewrites it changes what was validated. eng_mmap_is_unchanged ()
 * tells, eng_mmap_load () ends the dependence. */
EngStatus eng_mmap_open (const char *path, EngMmap **out, EngError *error);

/* Unmaps and sets *map to NULL; NULL in *map is fine. */
void eng_mmap_close (EngMmap **map);

/* Read the whole file into private memory that takes the mapping's place: the address from
 * eng_mmap_get_data () stays valid and keeps its meaning. Blocks for as long as reading takes and
 * needs the file's size in memory; ENG_ERR_NO_MEMORY, ENG_ERR_IO, ENG_ERR_TRUNCATED (file was cut
 * meanwhile) leave the mapping as it was. No other thread may read the data meanwhile. */
EngStatus eng_mmap_load (EngMmap *map, EngError *error);

/* The whole pages of [offset, offset + size) may go; they come back from the file when touched. Never fails; out of range is
 * ignored. Without effect once loaded. Any thread. */
void eng_mmap_release (EngMmap *map, uint64_t offset, uint64_t size);

/* A descriptor of the same file, the caller's to close, for reading in another order than the mapping is read: what the system
 * reads ahead goes by the descriptor. -1 once loaded, or without /proc. Any thread. */
int eng_mmap_reopen (const EngMmap *map);

/* Borrowed, page-aligned, valid until eng_mmap_close (); NULL if the file is empty. */
const uint8_t *eng_mmap_get_data (const EngMmap *map);
uint64_t eng_mmap_get_size (const EngMmap *map);

/* True if the path still names the same file with the size and time of change seen at opening. */
bool eng_mmap_is_unchanged (const EngMmap *map);
