/* SPDX-License-Identifier: Apache-2.0 */
/* Reading GGUF model files: version 2 and 3, little-endian, single or split over several files.
 *
 * Opening indexes the file and checks every count, length, offset and dimension of it (limits:
 * eng-gguf-limits.h); nothing of the metadata or the weights is copied, so that a vocabulary of
 * 256k tokens opens in milliseconds. After that an EngGguf never changes: any number of threads may
 * read it. Strings are views into the file: not NUL-terminated, may hold any byte.
 *
 * Source of the format: ggml-org/ggml, docs/gguf.md. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "eng-read-ahead.h"
#include "eng-status.h"
#include "eng-type.h"

typedef struct EngGguf EngGguf;

/* Types of metadata values, with the file's own numbers. */
typedef enum
{
  ENG_GGUF_U8 = 0,
  ENG_GGUF_I8 = 1,
  ENG_GGUF_U16 = 2,
  ENG_GGUF_I16 = 3,
  ENG_GGUF_U32 = 4,
  ENG_GGUF_I32 = 5,
  ENG_GGUF_F32 = 6,
  ENG_GGUF_BOOL = 7,
  ENG_GGUF_STRING = 8,
  ENG_GGUF_ARRAY = 9,
  ENG_GGUF_U64 = 10,
  ENG_GGUF_I64 = 11,
  ENG_GGUF_F64 = 12,
} EngGgufType;

/* "u32", "string", …; "unknown" for a number that is none of them. Never NULL. */
const char *eng_gguf_type_get_name (uint32_t type);

/* A view of bytes in the file (or in the caller's memory, for the writer). */
typedef struct
{
  const char *data; /* not NUL-terminated; non-NULL unless n_bytes is 0 */
  uint64_t n_bytes;
} EngGgufString;

/* An array value. Elements of fixed size stand packed at @data, unaligned: read them with the
 * functions below. */
typedef struct
{
  EngGgufType type; /* of the elements */
  uint64_t n;       /* elements */
  const uint8_t *data;
  uint64_t n_bytes; /* of all elements, string lengths and inner headers included */
  uint64_t offset;  /* of @data in its file, for messages */
} EngGgufArray;

typedef struct
{
  EngGgufType type;
  union
  {
    uint64_t u; /* U8, U16, U32, U64 */
    int64_t i;  /* I8, I16, I32, I64 */
    double f;   /* F32, F64 */
    bool b;
    EngGgufString string;
    EngGgufArray array;
  };
} EngGgufValue;

typedef struct
{
  const char *name; /* NUL-terminated, valid UTF-8, unique in the model */
  EngType type;
  uint32_t n_dims;     /* 1 … 4, as stored */
  uint64_t dims[4];    /* dims[0] is the contiguous one (columns); 1 past n_dims; never 0 */
  uint64_t n_elements; /* product of dims; fits int64_t */
  uint64_t n_rows;     /* n_elements / dims[0] */
  uint64_t row_bytes;
  uint64_t n_bytes;    /* n_rows * row_bytes */
  uint64_t offset;     /* of the data in its file */
  uint32_t i_part;     /* which file: eng_gguf_get_part_path () */
  const void *data;    /* n_bytes bytes, aligned to general.alignment (at least 8) in memory */
} EngGgufTensor;

typedef enum
{
  ENG_GGUF_MAP = 0,       /* weights stay in the page cache (eng-mmap.h says what that entails) */
  ENG_GGUF_LOAD = 1 << 0, /* after all checks, read the weights into private memory */
  ENG_GGUF_ONE_PART = 1 << 1, /* treat a file of a split model as if it stood alone */
} EngGgufFlags;

/* Open @path. Any file of a split model (…-00002-of-00003.gguf) opens the whole model: all its
 * files must lie beside it; metadata are those of the first.
 *
 * ENG_ERR_NOT_FOUND, ENG_ERR_IO: the file or a part of it cannot be read; field names the part.
 * ENG_ERR_FORMAT, ENG_ERR_LIMIT: field and offset say where the file is broken: choose another.
 * ENG_ERR_TRUNCATED: needed and available are bytes: the download is incomplete.
 * ENG_ERR_UNSUPPORTED: version, byte order or tensor type, named. ENG_ERR_NO_MEMORY.
 * *out is NULL unless ENG_OK. Bounded by the size of the metadata (≤ 256 MiB a file), not of the
 * weights, unless ENG_GGUF_LOAD. */
EngStatus eng_gguf_open (const char *path, EngGgufFlags flags, EngGguf **out, EngError *error);

/* The same for one file's bytes in memory, borrowed until eng_gguf_close (). @data must be aligned
 * to 8 bytes or more if tensors are to be read. A part of a split model opens alone. */
EngStatus eng_gguf_open_memory (const void *data, size_t size, EngGguf **out, EngError *error);

/* Frees and sets *gguf to NULL; NULL in *gguf is fine. All views die with it. */
void eng_gguf_close (EngGguf **gguf);

/* 2 or 3. */
uint32_t eng_gguf_get_version (const EngGguf *gguf);
/* Files of the model, 1 unless split, their paths (NULL for memory) and the sum of their sizes. */
uint32_t eng_gguf_get_n_parts (const EngGguf *gguf);
const char *eng_gguf_get_part_path (const EngGguf *gguf, uint32_t i_part);
uint64_t eng_gguf_get_file_bytes (const EngGguf *gguf);
/* Sum of the tensors' sizes. */
uint64_t eng_gguf_get_tensor_bytes (const EngGguf *gguf);
/* False once a file was replaced, cut or written to since opening. Always true for memory. */
bool eng_gguf_is_unchanged (const EngGguf *gguf);

/* ---- Metadata ---------------------------------------------------------------------------------
 * Getters return ENG_ERR_NOT_FOUND when the key is absent and ENG_ERR_FORMAT, with the key as field
 * and the value's offset, when it is there with another type or out of range; *out is then
 * untouched. Integers of any width convert if the value fits; floats and bools never become
 * integers. */
bool eng_gguf_has_key (const EngGguf *gguf, const char *key);
EngStatus eng_gguf_get_u32 (const EngGguf *gguf, const char *key, uint32_t *out, EngError *error);
EngStatus eng_gguf_get_u64 (const EngGguf *gguf, const char *key, uint64_t *out, EngError *error);
EngStatus eng_gguf_get_i64 (const EngGguf *gguf, const char *key, int64_t *out, EngError *error);
/* F32 or F64; infinite and NaN are refused. */
EngStatus eng_gguf_get_f32 (const EngGguf *gguf, const char *key, float *out, EngError *error);
EngStatus eng_gguf_get_bool (const EngGguf *gguf, const char *key, bool *out, EngError *error);
EngStatus eng_gguf_get_string (const EngGguf *gguf, const char *key, EngGgufString *out,
                               EngError *error);
/* Elements must be of @type. */
EngStatus eng_gguf_get_array (const EngGguf *gguf, const char *key, EngGgufType type,
                              EngGgufArray *out, EngError *error);
/* Whatever is there. */
EngStatus eng_gguf_get_value (const EngGguf *gguf, const char *key, EngGgufValue *out,
                              EngError *error);

/* For hyper-parameters: an absent key gives @fallback; a value outside [min, max] is refused with
 * the value and both bounds in the text. */
EngStatus eng_gguf_get_u32_or (const EngGguf *gguf, const char *key, uint32_t fallback,
                               uint32_t min, uint32_t max, uint32_t *out, EngError *error);
EngStatus eng_gguf_get_f32_or (const EngGguf *gguf, const char *key, float fallback, float min,
                               float max, float *out, EngError *error);
EngStatus eng_gguf_get_bool_or (const EngGguf *gguf, const char *key, bool fallback, bool *out,
                                EngError *error);
/* The key must be there and lie in [min, max]. */
EngStatus eng_gguf_get_u32_in (const EngGguf *gguf, const char *key, uint32_t min, uint32_t max,
                               uint32_t *out, EngError *error);

/* All metadata in file order; i < eng_gguf_get_n_keys (). Keys are valid UTF-8, unique and not
 * empty, but not NUL-terminated. @value may be NULL. */
uint64_t eng_gguf_get_n_keys (const EngGguf *gguf);
void eng_gguf_get_entry (const EngGguf *gguf, uint64_t i, EngGgufString *key, EngGgufValue *value);

/* Element @i < n. _i64: any integer type but U64 above INT64_MAX (false, as for other types);
 * _f32: F32 or F64. */
bool eng_gguf_array_get_i64 (const EngGgufArray *array, uint64_t i, int64_t *out);
bool eng_gguf_array_get_f32 (const EngGgufArray *array, uint64_t i, float *out);

/* Walking an array of strings:
 *   EngGgufStrings it = eng_gguf_array_get_strings (&array);
 *   while (eng_gguf_strings_next (&it, &s)) …
 * Ends early, never past the array, if the file was changed under the mapping. */
typedef struct
{
  const uint8_t *at, *end;
  uint64_t n_left;
} EngGgufStrings;
EngGgufStrings eng_gguf_array_get_strings (const EngGgufArray *array);
bool eng_gguf_strings_next (EngGgufStrings *it, EngGgufString *out);

/* True if @s is exactly the NUL-terminated @text. */
bool eng_gguf_string_equal (EngGgufString s, const char *text);

/* ---- Tensors ----------------------------------------------------------------------------------
 * Borrowed until eng_gguf_close (). */
uint64_t eng_gguf_get_n_tensors (const EngGguf *gguf);
const EngGgufTensor *eng_gguf_get_tensor (const EngGguf *gguf, uint64_t i);
/* NULL if there is none of that name. */
const EngGgufTensor *eng_gguf_find_tensor (const EngGguf *gguf, const char *name);
/* Index of @tensor for eng_gguf_get_tensor (). */
uint64_t eng_gguf_get_tensor_index (const EngGguf *gguf, const EngGgufTensor *tensor);

/* Refuses (ENG_ERR_FORMAT, the tensor's name as field) unless dims[] is {n_cols, n_rows, n_slices,
 * 1}; the text holds both shapes. Pass 1 for what the tensor does not have. */
EngStatus eng_gguf_check_shape (const EngGgufTensor *tensor, uint64_t n_cols, uint64_t n_rows,
                                uint64_t n_slices, EngError *error);

/* The pages of @tensor may go (eng-mmap.h). */
void eng_gguf_release_tensor (const EngGguf *gguf, const EngGgufTensor *tensor);

/* Begin to bring all tensors' bytes into the system's cache, in the order of the file (eng-read-ahead.h). Free it before @gguf. */
EngReadAhead *eng_gguf_read_ahead (const EngGguf *gguf);
