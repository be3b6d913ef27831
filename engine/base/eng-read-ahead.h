/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of files into the system's cache, by a thread in front of whoever reads them through a mapping: the processor works
 * while the disk does. What a mapping asks for by itself comes when it is missed, and not before. */
#pragma once

#include <stdint.h>

#include "eng-mmap.h"

typedef struct EngReadAhead EngReadAhead;

typedef struct
{
  const EngMmap *map;
  uint64_t offset, size; /* of the file, in bytes */
} EngReadAheadRange;

/* Begin with @ranges (which are copied), in their order. The maps outlive it. NULL where there is nothing to read or no way to
 * do it, which the others take: it is a help and no need. What is in the cache already costs 8 us of its thread a MB. */
EngReadAhead *eng_read_ahead_new (const EngReadAheadRange *ranges, uint32_t n_ranges);

/* So many bytes of the ranges have been used. It stays within 256 MiB in front of that: a file that is larger than memory
 * must not drive out what comes next. Any thread. */
void eng_read_ahead_move (EngReadAhead *self, uint64_t n_bytes);

/* Ends the thread, after the two megabytes that it may wait for, and sets *self to NULL. */
void eng_read_ahead_free (EngReadAhead **self);
