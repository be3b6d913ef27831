/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-safetensors.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "eng-checked.h"
#include "eng-error.h"
#include "eng-gguf-limits.h"
#include "eng-gguf-private.h"
#include "eng-json.h"

#define INDEX_NAME "model.safetensors.index.json"
#define SINGLE_NAME "model.safetensors"

typedef struct
{
  EngMmap *map; /* NULL: memory of the caller's */
  const char *name;
  const uint8_t *data;
  uint64_t size, data_start;
} Part;

struct EngSafetensors
{
  EngArena arena;
  Part *parts;
  uint32_t n_parts;
  EngSafetensor *tensors;
  uint64_t n_tensors, cap_tensors;
  EngGgufTable names;
};

static const struct
{
  const char *name;
  uint32_t bits;
  EngType type;
} dtypes[] = {
  { "F32", 32, ENG_TYPE_F32 },   { "F16", 16, ENG_TYPE_F16 },   { "BF16", 16, ENG_TYPE_BF16 },
  { "F64", 64, ENG_TYPE_F64 },   { "I64", 64, ENG_TYPE_I64 },   { "I32", 32, ENG_TYPE_I32 },
  { "I16", 16, ENG_TYPE_I16 },   { "I8", 8, ENG_TYPE_I8 },      { "U8", 8, ENG_TYPE_NONE },
  { "BOOL", 8, ENG_TYPE_NONE },  { "U16", 16, ENG_TYPE_NONE },  { "U32", 32, ENG_TYPE_NONE },
  { "U64", 64, ENG_TYPE_NONE },  { "F8_E4M3", 8, ENG_TYPE_NONE }, { "F8_E5M2", 8, ENG_TYPE_NONE },
  { "F8_E8M0", 8, ENG_TYPE_NONE }, { "F4", 4, ENG_TYPE_NONE },  { "C64", 64, ENG_TYPE_NONE },
};
#define N_DTYPES (sizeof dtypes / sizeof dtypes[0])

static EngStatus
fail_no_memory (EngError *error)
{
  return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE,
                        "out of memory while opening safetensors");
}

/* Where in the file a JSON value's name stands is not kept: errors point at the header. */
static EngStatus
fail_header (EngError *error, const char *name, const char *why)
{
  return eng_error_set (error, ENG_ERR_FORMAT, name, 8, "tensor %s: %s", name, why);
}

static EngStatus
read_dtype (EngSafetensor *t, const EngJson *entry, uint64_t *bits, EngError *error)
{
  const char *name;
  if (!eng_json_get_string (entry, "dtype", &name))
    return fail_header (error, t->name, "dtype is absent or no string");
  for (size_t i = 0; i < N_DTYPES; i++)
    if (strcmp (dtypes[i].name, name) == 0)
      {
        t->dtype = dtypes[i].name;
        t->type = dtypes[i].type;
        *bits = dtypes[i].bits;
        return ENG_OK;
      }
  return eng_error_set (error, ENG_ERR_UNSUPPORTED, t->name, 8,
                        "tensor %s is of dtype %s, which is not supported", t->name, name);
}

static bool
read_u64 (const EngJson *array, size_t i, uint64_t *out)
{
  const EngJson *value = eng_json_at (array, i);
  if (!value || value->type != ENG_JSON_NUMBER || !value->is_integer || value->integer < 0)
    return false;
  *out = (uint64_t) value->integer;
  return true;
}

static EngStatus
read_shape (EngSafetensor *t, const EngJson *entry, EngError *error)
{
  const EngJson *shape = eng_json_get (entry, "shape");
  if (!shape || shape->type != ENG_JSON_ARRAY)
    return fail_header (error, t->name, "shape is absent or no array");
  if (shape->n > ENG_SAFETENSORS_MAX_DIMS)
    return fail_header (error, t->name, "shape has more than 8 dimensions");
  t->n_dims = (uint32_t) shape->n;
  t->n_elements = 1;
  for (uint32_t d = 0; d < t->n_dims; d++)
    if (!read_u64 (shape, d, &t->shape[d]))
      return fail_header (error, t->name, "a dimension is no whole number");
    else if (!eng_checked_mul (t->n_elements, t->shape[d], &t->n_elements)
             || t->n_elements > INT64_MAX)
      return fail_header (error, t->name, "the number of elements overflows");
  return ENG_OK;
}

static EngStatus
read_offsets (EngSafetensor *t, const Part *part, const EngJson *entry, uint64_t bits,
              EngError *error)
{
  const EngJson *offsets = eng_json_get (entry, "data_offsets");
  uint64_t begin, end, total_bits;
  if (!offsets || offsets->type != ENG_JSON_ARRAY || offsets->n != 2
      || !read_u64 (offsets, 0, &begin) || !read_u64 (offsets, 1, &end) || end < begin)
    return fail_header (error, t->name, "data_offsets are no pair of rising whole numbers");
  if (!eng_checked_mul (t->n_elements, bits, &total_bits) || total_bits % 8 != 0)
    return fail_header (error, t->name, "the size in bytes overflows");
  t->n_bytes = total_bits / 8;
  if (end - begin != t->n_bytes)
    return eng_error_set (error, ENG_ERR_FORMAT, t->name, 8,
                          "tensor %s: shape and dtype ask for %" PRIu64
                          " bytes, data_offsets span %" PRIu64,
                          t->name, t->n_bytes, end - begin);
  if (!eng_checked_add (begin, part->data_start, &t->offset)
      || !eng_checked_range (t->offset, t->n_bytes, part->size))
    {
      EngStatus status = eng_error_set_numbers (
          error, ENG_ERR_TRUNCATED, t->name, end + part->data_start, part->size,
          "the file is incomplete: %" PRIu64 " of at least %" PRIu64 " bytes are there, tensor %s "
          "is cut",
          part->size, end + part->data_start, t->name);
      if (error)
        error->offset = part->data_start;
      return status;
    }
  t->data = part->data + t->offset;
  return ENG_OK;
}

static EngGgufString
tensor_name (const void *st, uint32_t i)
{
  return eng_gguf_string_from (((const EngSafetensors *) st)->tensors[i].name);
}

static EngStatus
add_tensor (EngSafetensors *st, uint32_t i_part, const EngJson *entry, EngError *error)
{
  EngSafetensor t = { .i_part = i_part };
  const Part *part = &st->parts[i_part];
  uint64_t bits = 0;
  EngStatus status;
  if (entry->key_bytes == 0 || entry->key_bytes > ENG_SAFETENSORS_MAX_NAME
      || memchr (entry->key, 0, entry->key_bytes))
    return fail_header (error, entry->key, "bad length of its name, or a NUL in it");
  if (entry->type != ENG_JSON_OBJECT)
    return fail_header (error, entry->key, "its entry is no object");
  if (st->n_tensors >= ENG_SAFETENSORS_MAX_TENSORS)
    return eng_error_set (error, ENG_ERR_LIMIT, entry->key, 8,
                          "there are more than %u tensors", ENG_SAFETENSORS_MAX_TENSORS);
  t.name = eng_arena_strndup (&st->arena, entry->key, entry->key_bytes);
  if (!t.name)
    return fail_no_memory (error);
  if ((status = read_dtype (&t, entry, &bits, error)) != ENG_OK
      || (status = read_shape (&t, entry, error)) != ENG_OK
      || (status = read_offsets (&t, part, entry, bits, error)) != ENG_OK)
    return status;
  if (st->n_tensors == st->cap_tensors)
    {
      uint64_t cap = st->cap_tensors ? st->cap_tensors * 2 : 256;
      EngSafetensor *grown = eng_realloc_array (st->tensors, cap, sizeof *grown);
      if (!grown)
        return fail_no_memory (error);
      st->tensors = grown;
      st->cap_tensors = cap;
    }
  st->tensors[st->n_tensors++] = t;
  return ENG_OK;
}

static EngStatus
parse_part (EngSafetensors *st, uint32_t i_part, EngError *error)
{
  Part *part = &st->parts[i_part];
  EngArena scratch = { 0 };
  const EngJson *root = NULL;
  uint64_t n = 0;
  if (part->size < 8)
    return eng_error_set (error, part->size == 0 ? ENG_ERR_FORMAT : ENG_ERR_TRUNCATED, "header", 0,
                          "the file has %" PRIu64 " bytes, too few for safetensors", part->size);
  memcpy (&n, part->data, sizeof n);
  if (n > ENG_SAFETENSORS_MAX_HEADER)
    return eng_error_set (error, ENG_ERR_FORMAT, "header", 0,
                          "this is not a safetensors file (a header of %" PRIu64
                          " bytes; the limit is %u)",
                          n, ENG_SAFETENSORS_MAX_HEADER);
  if (!eng_checked_range (8, n, part->size))
    return eng_error_set_numbers (error, ENG_ERR_TRUNCATED, "header", 8 + n, part->size,
                                  "the file ends in its header");
  part->data_start = 8 + n;
  /* A tree takes about five times its text; hostile nesting would take a hundred. */
  scratch.limit_bytes = ((size_t) 1 << 20) + 16 * (size_t) n;
  EngStatus status = eng_json_parse ((const char *) part->data + 8, n, 0, &scratch, &root, error);
  if (status != ENG_OK && error)
    {
      error->offset = error->offset == ENG_OFFSET_NONE ? 8 : error->offset + 8;
      if (!error->field[0])
        memcpy (error->field, "header", sizeof "header");
    }
  else if (status == ENG_OK && root->type != ENG_JSON_OBJECT)
    status = eng_error_set (error, ENG_ERR_FORMAT, "header", 8, "the header is no JSON object");
  for (size_t i = 0; status == ENG_OK && i < root->n; i++)
    if (strcmp (root->items[i].key, "__metadata__") != 0)
      status = add_tensor (st, i_part, &root->items[i], error);
  eng_arena_clear (&scratch);
  return status;
}

static int
compare_places (const void *a, const void *b)
{
  const EngSafetensor *const *x = a, *const *y = b;
  if ((*x)->i_part != (*y)->i_part)
    return (*x)->i_part < (*y)->i_part ? -1 : 1;
  return (*x)->offset < (*y)->offset ? -1 : (*x)->offset > (*y)->offset;
}

static EngStatus
check_overlaps (const EngSafetensors *st, EngError *error)
{
  EngStatus status = ENG_OK;
  const EngSafetensor **sorted = eng_alloc_array (st->n_tensors, sizeof *sorted);
  if (!sorted)
    return fail_no_memory (error);
  for (uint64_t i = 0; i < st->n_tensors; i++)
    sorted[i] = &st->tensors[i];
  qsort (sorted, st->n_tensors, sizeof *sorted, compare_places);
  for (uint64_t i = 1; i < st->n_tensors && status == ENG_OK; i++)
    if (sorted[i]->i_part == sorted[i - 1]->i_part && sorted[i]->n_bytes > 0
        && sorted[i]->offset - sorted[i - 1]->offset < sorted[i - 1]->n_bytes)
      status = eng_error_set (error, ENG_ERR_FORMAT, sorted[i]->name, sorted[i]->offset,
                              "tensors %s and %s overlap in the file", sorted[i - 1]->name,
                              sorted[i]->name);
  eng_free (sorted);
  return status;
}

/* Names to indices, over all parts. */
static EngStatus
index_names (EngSafetensors *st, EngError *error)
{
  if (!eng_gguf_table_init (&st->names, (uint32_t) st->n_tensors, &st->arena))
    return fail_no_memory (error);
  for (uint32_t i = 0; i < st->n_tensors; i++)
    {
      uint32_t *slot = eng_gguf_table_find (&st->names, tensor_name (st, i), tensor_name, st);
      if (*slot)
        return fail_header (error, st->tensors[i].name, "it is there twice");
      *slot = i + 1;
    }
  return check_overlaps (st, error);
}

static EngStatus
open_part (EngSafetensors *st, uint32_t i_part, const char *path, EngError *error)
{
  Part *part = &st->parts[i_part];
  EngStatus status = eng_mmap_open (path, &part->map, error);
  if (status != ENG_OK)
    return status;
  part->data = eng_mmap_get_data (part->map);
  part->size = eng_mmap_get_size (part->map);
  return parse_part (st, i_part, error);
}

static bool
allocate_parts (EngSafetensors *st, uint32_t n)
{
  st->parts = eng_arena_alloc_array (&st->arena, n, sizeof *st->parts);
  st->n_parts = st->parts ? n : 0;
  return st->parts != NULL;
}

static const char *
join_path (EngArena *arena, const char *folder, const char *name)
{
  size_t n = strlen (folder) + strlen (name) + 2;
  char *path = eng_arena_alloc (arena, n);
  if (path)
    snprintf (path, n, "%s/%s", folder, name);
  return path;
}

/* The distinct file names of the index, in order of appearance. A name with a slash would leave the
 * folder: refused. */
static EngStatus
collect_shards (EngSafetensors *st, const EngJson *map, const char **names, uint32_t *n,
                EngError *error)
{
  for (size_t i = 0; i < map->n; i++)
    {
      const EngJson *value = &map->items[i];
      uint32_t k = 0;
      if (value->type != ENG_JSON_STRING || value->n == 0 || strchr (value->string, '/')
          || strlen (value->string) != value->n || value->string[0] == '.')
        return eng_error_set (error, ENG_ERR_FORMAT, "weight_map", ENG_OFFSET_NONE,
                              "the index names no file of this folder for %s", value->key);
      /* Shards come in runs: the last ones first. */
      for (k = *n; k > 0 && strcmp (names[k - 1], value->string) != 0; k--)
        ;
      if (k > 0)
        continue;
      if (*n >= ENG_SAFETENSORS_MAX_PARTS)
        return eng_error_set (error, ENG_ERR_LIMIT, "weight_map", ENG_OFFSET_NONE,
                              "the index names more than %u files", ENG_SAFETENSORS_MAX_PARTS);
      names[*n] = eng_arena_strndup (&st->arena, value->string, value->n);
      if (!names[*n])
        return fail_no_memory (error);
      ++*n;
    }
  return ENG_OK;
}

static EngStatus
open_shards (EngSafetensors *st, const char *folder, const EngMmap *index, EngError *error)
{
  EngArena scratch = { .limit_bytes = (size_t) ENG_SAFETENSORS_MAX_INDEX * 16 };
  const EngJson *root, *map;
  uint32_t n = 0;
  const char **names
      = eng_arena_alloc_array (&st->arena, ENG_SAFETENSORS_MAX_PARTS, sizeof *names);
  if (!names)
    return fail_no_memory (error);
  if (eng_mmap_get_size (index) > ENG_SAFETENSORS_MAX_INDEX)
    return eng_error_set (error, ENG_ERR_LIMIT, INDEX_NAME, 0, INDEX_NAME " is larger than %u bytes",
                          ENG_SAFETENSORS_MAX_INDEX);
  EngStatus status = eng_json_parse ((const char *) eng_mmap_get_data (index),
                                     eng_mmap_get_size (index), 0, &scratch, &root, error);
  map = status == ENG_OK ? eng_json_get (root, "weight_map") : NULL;
  if (status == ENG_OK && (!map || map->type != ENG_JSON_OBJECT || map->n == 0))
    status = eng_error_set (error, ENG_ERR_FORMAT, "weight_map", ENG_OFFSET_NONE,
                            INDEX_NAME " has no weight_map");
  if (status == ENG_OK)
    status = collect_shards (st, map, names, &n, error);
  eng_arena_clear (&scratch);
  if (status == ENG_OK && !allocate_parts (st, n))
    status = fail_no_memory (error);
  for (uint32_t i = 0; i < n && status == ENG_OK; i++)
    {
      const char *path = join_path (&st->arena, folder, names[i]);
      status = path ? open_part (st, i, path, error) : fail_no_memory (error);
    }
  return status;
}

static EngStatus
open_folder (EngSafetensors *st, const char *folder, EngError *error)
{
  const char *index_path = join_path (&st->arena, folder, INDEX_NAME);
  const char *single_path = join_path (&st->arena, folder, SINGLE_NAME);
  EngMmap *index = NULL;
  struct stat info;
  if (!index_path || !single_path)
    return fail_no_memory (error);
  if (stat (index_path, &info) != 0)
    return allocate_parts (st, 1) ? open_part (st, 0, single_path, error) : fail_no_memory (error);
  EngStatus status = eng_mmap_open (index_path, &index, error);
  if (status == ENG_OK)
    status = open_shards (st, folder, index, error);
  eng_mmap_close (&index);
  return status;
}

EngStatus
eng_safetensors_open (const char *path, EngSafetensors **out, EngError *error)
{
  EngSafetensors *st = eng_alloc (sizeof *st);
  EngStatus status;
  struct stat info;
  *out = NULL;
  if (!st)
    return fail_no_memory (error);
  if (stat (path, &info) == 0 && S_ISDIR (info.st_mode))
    status = open_folder (st, path, error);
  else
    status = allocate_parts (st, 1) ? open_part (st, 0, path, error) : fail_no_memory (error);
  if (status == ENG_OK)
    status = index_names (st, error);
  if (status != ENG_OK)
    eng_safetensors_close (&st);
  *out = st;
  return status;
}

EngStatus
eng_safetensors_open_memory (const void *data, size_t size, EngSafetensors **out, EngError *error)
{
  EngSafetensors *st = eng_alloc (sizeof *st);
  EngStatus status = ENG_ERR_NO_MEMORY;
  *out = NULL;
  if (!st)
    return fail_no_memory (error);
  if (allocate_parts (st, 1))
    {
      st->parts[0].data = data;
      st->parts[0].size = size;
      if ((status = parse_part (st, 0, error)) == ENG_OK)
        status = index_names (st, error);
    }
  else
    fail_no_memory (error);
  if (status != ENG_OK)
    eng_safetensors_close (&st);
  *out = st;
  return status;
}

void
eng_safetensors_close (EngSafetensors **st)
{
  EngSafetensors *s = *st;
  if (!s)
    return;
  for (uint32_t i = 0; i < s->n_parts; i++)
    eng_mmap_close (&s->parts[i].map);
  eng_free (s->tensors);
  eng_arena_clear (&s->arena);
  eng_free (s);
  *st = NULL;
}

uint64_t
eng_safetensors_get_n_tensors (const EngSafetensors *st)
{
  return st->n_tensors;
}

const EngSafetensor *
eng_safetensors_get_tensor (const EngSafetensors *st, uint64_t i)
{
  return &st->tensors[i];
}

const EngSafetensor *
eng_safetensors_find (const EngSafetensors *st, const char *name)
{
  uint32_t slot = *eng_gguf_table_find (&st->names, eng_gguf_string_from (name), tensor_name, st);
  return slot ? &st->tensors[slot - 1] : NULL;
}

uint64_t
eng_safetensors_get_file_bytes (const EngSafetensors *st)
{
  uint64_t sum = 0;
  for (uint32_t i = 0; i < st->n_parts; i++)
    sum += st->parts[i].size;
  return sum;
}
