/* SPDX-License-Identifier: Apache-2.0 */
/* Reading safetensors files, one or the shards of a model folder, by mapping them. Everything is
 * checked at opening; after that an EngSafetensors never changes: any number of threads may read it.
 *
 * A file is a u64 length (little-endian), that many bytes of JSON, then the data. JSON: an object
 * of "name": {"dtype": "BF16", "shape": [rows, …, cols], "data_offsets": [begin, end]}, offsets
 * counted from the end of the JSON, and optionally "__metadata__".
 * Source: huggingface/safetensors, README, "Format". */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "eng-status.h"
#include "eng-type.h"

typedef struct EngSafetensors EngSafetensors;

typedef struct
{
  const char *name;    /* NUL-terminated, valid UTF-8, unique in the model */
  const char *dtype;   /* as the file says: "BF16", "F8_E4M3", … */
  EngType type;        /* of the elements, or ENG_TYPE_NONE where EngType has none */
  uint32_t n_dims;     /* 0 (a scalar) … 8 */
  uint64_t shape[8];   /* slowest first, as in the file; the last is the contiguous one */
  uint64_t n_elements; /* 1 for a scalar; may be 0 */
  uint64_t n_bytes;
  uint64_t offset;     /* of the data in its file */
  uint32_t i_part;
  const void *data;    /* n_bytes bytes, of any alignment */
} EngSafetensor;

/* Open a .safetensors file, or a model folder: model.safetensors.index.json and the shards it names
 * (which must lie in the folder), else model.safetensors. Errors as eng_gguf_open ()'s: field and
 * offset say where, ENG_ERR_TRUNCATED has both sizes. *out is NULL unless ENG_OK. */
EngStatus eng_safetensors_open (const char *path, EngSafetensors **out, EngError *error);
/* One file's bytes, borrowed until closing. */
EngStatus eng_safetensors_open_memory (const void *data, size_t size, EngSafetensors **out,
                                       EngError *error);
/* Frees and sets *st to NULL; NULL in *st is fine. */
void eng_safetensors_close (EngSafetensors **st);

uint64_t eng_safetensors_get_n_tensors (const EngSafetensors *st);
/* i in the order of the JSON, shard after shard. Borrowed. */
const EngSafetensor *eng_safetensors_get_tensor (const EngSafetensors *st, uint64_t i);
/* NULL if there is none of that name. */
const EngSafetensor *eng_safetensors_find (const EngSafetensors *st, const char *name);
uint64_t eng_safetensors_get_file_bytes (const EngSafetensors *st);
