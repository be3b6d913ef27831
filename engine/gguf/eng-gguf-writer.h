/* SPDX-License-Identifier: Apache-2.0 */
/* Writing a GGUF file, version 3: metadata, then the list of tensors, then their data in any order
 * and in pieces of any size. The file appears under its name when it is complete (eng-output.h).
 *
 * States: open (set metadata, add tensors) -> begun (write data) -> finished. One owner thread, but
 * eng_gguf_writer_write () may be called by many at once.
 *
 * What a name or a value breaks (empty, too long, a second tensor of the name, dims that do not fit
 * the type) is ENG_ERR_ARGUMENT with the name as field; calls in the wrong state too. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "eng-gguf.h"

typedef struct EngGgufWriter EngGgufWriter;

/* Creates the temporary file beside @path. ENG_ERR_IO, ENG_ERR_NO_MEMORY. With a NULL @path nothing is ever written: only
 * eng_gguf_writer_get_bytes () can follow the adding. */
EngStatus eng_gguf_writer_new (const char *path, EngGgufWriter **out, EngError *error);

/* Frees and sets *writer to NULL; an unfinished file is removed. NULL in *writer is fine. */
void eng_gguf_writer_free (EngGgufWriter **writer);

/* Metadata. Setting a key again replaces the value; it stays in its place. Data are copied. Once begun, only values of
 * the same type and length can be replaced; they are in the file when it is finished.
 * "general.alignment" is set by eng_gguf_writer_set_u32 () like any other and then obeyed. */
EngStatus eng_gguf_writer_set_u32 (EngGgufWriter *writer, const char *key, uint32_t value,
                                   EngError *error);
EngStatus eng_gguf_writer_set_f32 (EngGgufWriter *writer, const char *key, float value,
                                   EngError *error);
EngStatus eng_gguf_writer_set_bool (EngGgufWriter *writer, const char *key, bool value,
                                    EngError *error);
EngStatus eng_gguf_writer_set_string (EngGgufWriter *writer, const char *key, const char *value,
                                      EngError *error);
/* @n packed elements of a fixed-size @type. */
EngStatus eng_gguf_writer_set_array (EngGgufWriter *writer, const char *key, EngGgufType type,
                                     uint64_t n, const void *elements, EngError *error);
EngStatus eng_gguf_writer_set_strings (EngGgufWriter *writer, const char *key, uint64_t n,
                                       const EngGgufString *strings, EngError *error);
/* Any value, such as one that eng_gguf_get_entry () gave. */
EngStatus eng_gguf_writer_set_value (EngGgufWriter *writer, EngGgufString key,
                                     const EngGgufValue *value, EngError *error);
/* No error if there is no such key. */
void eng_gguf_writer_remove (EngGgufWriter *writer, const char *key);

/* Announce a tensor; *out_index (may be NULL) is its number, counted from 0. */
EngStatus eng_gguf_writer_add_tensor (EngGgufWriter *writer, const char *name, EngType type,
                                      uint32_t n_dims, const uint64_t *dims, uint64_t *out_index,
                                      EngError *error);

/* What tensors are aligned to: general.alignment, else 32. */
uint32_t eng_gguf_writer_get_alignment (EngGgufWriter *writer);

/* Size that the whole file will have, of what was set and added so far. Errors as _begin (), but none of the disk's. */
EngStatus eng_gguf_writer_get_bytes (EngGgufWriter *writer, uint64_t *out_bytes, EngError *error);

/* Writes the header and takes the disk space. *out_bytes (may be NULL): size of the whole file. */
EngStatus eng_gguf_writer_begin (EngGgufWriter *writer, uint64_t *out_bytes, EngError *error);

/* Writes @n bytes at @offset of tensor @i_tensor's data. Every byte must be written exactly once. */
EngStatus eng_gguf_writer_write (EngGgufWriter *writer, uint64_t i_tensor, uint64_t offset,
                                 const void *data, size_t n, EngError *error);

/* The temporary name, to read what was written before it is finished; NULL without a file. Borrowed. */
const char *eng_gguf_writer_get_part_path (const EngGgufWriter *writer);

/* Back to open: the unfinished file is removed, a new one for @path (or none for NULL) begun, the tensors are forgotten, the
 * metadata kept. Errors as _new (). */
EngStatus eng_gguf_writer_restart (EngGgufWriter *writer, const char *path, EngError *error);

/* Syncs and renames. ENG_ERR_ARGUMENT, naming a tensor, if data are missing. */
EngStatus eng_gguf_writer_finish (EngGgufWriter *writer, EngError *error);
