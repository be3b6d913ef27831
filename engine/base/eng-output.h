/* SPDX-License-Identifier: Apache-2.0 */
/* A file that appears whole or not at all: written under a temporary name beside its final one,
 * then synced and renamed. A crash leaves at most the temporary file, "PATH.part-XXXXXXXX". */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "eng-status.h"

typedef struct EngOutput EngOutput;

/* Creates the temporary file, with the permissions a plain new file gets. ENG_ERR_IO: text has the
 * reason and the path. *out is NULL unless ENG_OK. */
EngStatus eng_output_open (const char *path, EngOutput **out, EngError *error);

/* The temporary name. Borrowed. */
const char *eng_output_get_part_path (const EngOutput *output);

/* Takes disk space for @size bytes now, so that a full disk shows before the work is done:
 * ENG_ERR_IO with needed and available in bytes. A file system that cannot reserve is fine. */
EngStatus eng_output_reserve (EngOutput *output, uint64_t size, EngError *error);

/* Writes all @n bytes at @offset; the file grows as needed. Any threads at once. ENG_ERR_IO. */
EngStatus eng_output_write_at (EngOutput *output, uint64_t offset, const void *data, size_t n,
                               EngError *error);

/* Syncs, gives the file its name (replacing one of that name) and syncs the folder; frees @output
 * and sets *output to NULL whatever comes. On ENG_ERR_IO the temporary file is removed and the
 * final name is as it was. */
EngStatus eng_output_commit (EngOutput **output, EngError *error);

/* Removes the temporary file, frees and sets *output to NULL; NULL in *output is fine. */
void eng_output_abandon (EngOutput **output);
