/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the GGUF reader share.
 *
 * Invariants of a parsed part:
 *  1. every key and value lies within [0, size) of its file and was checked in full once;
 *  2. tensor data lie within [data_start, size), aligned, and no two overlap;
 *  3. keys are unique in a part, tensor names in the model. */
#pragma once

#include "eng-arena.h"
#include "eng-gguf.h"
#include "eng-mmap.h"

/* One metadata entry: where it stands in the file. */
typedef struct
{
  EngGgufString key;
  uint64_t value_at; /* offset of the value's first byte, after its type */
  uint32_t type;
  EngGgufArray array; /* type == ENG_GGUF_ARRAY */
} EngGgufKv;

/* Names to indices: open addressing, power-of-two sized, slot = index + 1. */
typedef struct
{
  uint32_t *slots;
  uint32_t mask;
  uint64_t seed; /* random, so that a file cannot be made whose names all collide */
} EngGgufTable;

typedef struct
{
  EngMmap *map; /* NULL: memory of the caller's */
  const char *path;
  const uint8_t *data;
  uint64_t size;
  uint32_t version, alignment;
  uint64_t data_start; /* tensor offsets count from here */
  EngGgufKv *kvs;
  uint32_t n_kvs;
  EngGgufTable keys;
  EngGgufTensor *tensors;
  uint32_t n_tensors;
} EngGgufPart;

struct EngGguf
{
  EngArena arena;
  EngGgufPart *parts;
  uint32_t n_parts;
  EngGgufTensor *tensors;
  uint64_t n_tensors;
  EngGgufTable names;
};

/* Index @part->data; allocates from @arena. Fills everything but map and path. */
EngStatus eng_gguf_parse (EngGgufPart *part, uint32_t i_part, EngArena *arena, EngError *error);

bool eng_gguf_table_init (EngGgufTable *table, uint32_t n, EngArena *arena);
/* The slot that holds @name, or the empty one where it belongs. name_of (data, i) gives the name of
 * entry i. */
typedef EngGgufString (*EngGgufNameOf) (const void *data, uint32_t i);
uint32_t *eng_gguf_table_find (const EngGgufTable *table, EngGgufString name, EngGgufNameOf name_of,
                               const void *data);

EngGgufString eng_gguf_kv_name (const void *part, uint32_t i);
const EngGgufKv *eng_gguf_part_find (const EngGgufPart *part, const char *key);

/* Bytes of a value of @type that has a fixed size, 0 for strings, arrays and unknown types. */
uint32_t eng_gguf_type_bytes (uint32_t type);

static inline EngGgufString
eng_gguf_string_from (const char *text)
{
  return (EngGgufString) { text, __builtin_strlen (text) };
}
