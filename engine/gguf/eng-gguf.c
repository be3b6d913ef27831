/* SPDX-License-Identifier: Apache-2.0 */
/* Opening: one file or the parts of a split model, joined into one list of tensors. */
#include "eng-gguf.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "eng-checked.h"
#include "eng-error.h"
#include "eng-gguf-limits.h"
#include "eng-gguf-private.h"

#define SUFFIX "-00001-of-00001.gguf"
#define SUFFIX_BYTES (sizeof SUFFIX - 1)

static EngStatus
fail_no_memory (EngError *error)
{
  return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE,
                        "out of memory while opening a model file");
}

/* Messages of a part of a split model say which file is meant. */
static EngStatus
name_part (EngError *error, EngStatus status, const char *path)
{
  if (status != ENG_OK && error)
    {
      EngError e = *error;
      const char *slash = strrchr (path, '/');
      eng_error_set (error, status, e.field, e.offset, "%s: %s", slash ? slash + 1 : path, e.text);
      error->needed = e.needed;
      error->available = e.available;
    }
  return status;
}

static EngStatus
open_part (EngGguf *gguf, uint32_t i_part, const char *path, EngError *error)
{
  EngGgufPart *part = &gguf->parts[i_part];
  EngStatus status;

  part->path = eng_arena_strndup (&gguf->arena, path, strlen (path));
  if (!part->path)
    return fail_no_memory (error);
  if ((status = eng_mmap_open (path, &part->map, error)) != ENG_OK)
    return status;
  part->data = eng_mmap_get_data (part->map);
  part->size = eng_mmap_get_size (part->map);
  return eng_gguf_parse (part, i_part, &gguf->arena, error);
}

/* A key of a part, 0 when absent. The split keys are unsigned 16 bits by the specification, other
 * integers are met in the wild. */
static EngStatus
get_part_number (const EngGgufPart *part, const char *key, uint32_t *out, EngError *error)
{
  EngGguf alone = { .parts = (EngGgufPart *) part, .n_parts = 1 };
  return eng_gguf_get_u32_or (&alone, key, 0, 0, ENG_GGUF_MAX_PARTS, out, error);
}

/* Two runs of five digits in a name that ends like "-00002-of-00003.gguf". */
static bool
parse_suffix (const char *path, uint32_t *number, uint32_t *count)
{
  size_t n = strlen (path);
  uint32_t values[2] = { 0, 0 };
  if (n < SUFFIX_BYTES)
    return false;
  const char *s = path + n - SUFFIX_BYTES;
  for (size_t i = 0, k = 0; i < SUFFIX_BYTES; i++)
    if (SUFFIX[i] == '0' || SUFFIX[i] == '1')
      {
        if (s[i] < '0' || s[i] > '9')
          return false;
        values[k / 5] = values[k / 5] * 10 + (uint32_t) (s[i] - '0');
        k++;
      }
    else if (s[i] != SUFFIX[i])
      return false;
  *number = values[0];
  *count = values[1];
  return true;
}

static EngStatus
open_split_part (EngGguf *gguf, uint32_t i_part, const char *path, EngError *error)
{
  uint32_t count = 0, number = 0;
  EngStatus status = open_part (gguf, i_part, path, error);
  const EngGgufPart *part = &gguf->parts[i_part];

  if (status == ENG_OK
      && (status = get_part_number (part, "split.count", &count, error)) == ENG_OK
      && (status = get_part_number (part, "split.no", &number, error)) == ENG_OK
      && (count != gguf->n_parts || number != i_part))
    status = eng_error_set (error, ENG_ERR_FORMAT, "split.no", ENG_OFFSET_NONE,
                            "the file says that it is part %" PRIu32 " of %" PRIu32
                            ", its name part %" PRIu32 " of %" PRIu32,
                            number + 1, count, i_part + 1, gguf->n_parts);
  return name_part (error, status, path);
}

/* @path is a part of a model of @count files: open them all, in order. */
static EngStatus
open_split (EngGguf *gguf, const char *path, uint32_t count, EngError *error)
{
  uint32_t number, name_count;
  EngStatus status = ENG_OK;
  size_t stem = strlen (path) - (strlen (path) < SUFFIX_BYTES ? strlen (path) : SUFFIX_BYTES);

  if (!parse_suffix (path, &number, &name_count) || name_count != count)
    return eng_error_set (error, ENG_ERR_FORMAT, "split.count", ENG_OFFSET_NONE,
                          "this is one of the %" PRIu32 " files of a split model, whose names must "
                          "end in -00001-of-%05" PRIu32 ".gguf and so on",
                          count, count);
  size_t cap = stem + 32; /* the suffix with two numbers of any width */
  char *name = eng_arena_alloc (&gguf->arena, cap);
  gguf->parts = eng_arena_alloc_array (&gguf->arena, count, sizeof *gguf->parts);
  if (!name || !gguf->parts)
    return fail_no_memory (error);
  gguf->n_parts = count;
  memcpy (name, path, stem);
  for (uint32_t i = 0; i < count && status == ENG_OK; i++)
    {
      snprintf (name + stem, cap - stem, "-%05u-of-%05u.gguf", i + 1, count);
      status = open_split_part (gguf, i, name, error);
    }
  return status;
}

static EngGgufString
tensor_name (const void *gguf, uint32_t i)
{
  return eng_gguf_string_from (((const EngGguf *) gguf)->tensors[i].name);
}

static EngStatus
join_tensors (EngGguf *gguf, EngError *error)
{
  uint64_t n = 0;
  for (uint32_t i = 0; i < gguf->n_parts; i++)
    n += gguf->parts[i].n_tensors;
  if (n > ENG_GGUF_MAX_TENSORS)
    return eng_error_set (error, ENG_ERR_LIMIT, "n_tensors", ENG_OFFSET_NONE,
                          "the model has %" PRIu64 " tensors, the limit is %u", n,
                          ENG_GGUF_MAX_TENSORS);
  gguf->tensors = gguf->parts[0].tensors;
  if (gguf->n_parts > 1)
    gguf->tensors = eng_arena_alloc_array (&gguf->arena, n, sizeof *gguf->tensors);
  if (!gguf->tensors || !eng_gguf_table_init (&gguf->names, (uint32_t) n, &gguf->arena))
    return fail_no_memory (error);
  for (uint32_t p = 0; p < gguf->n_parts; p++)
    for (uint32_t i = 0; i < gguf->parts[p].n_tensors; i++)
      {
        EngGgufTensor *t = &gguf->tensors[gguf->n_tensors];
        *t = gguf->parts[p].tensors[i];
        uint32_t *slot = eng_gguf_table_find (&gguf->names, eng_gguf_string_from (t->name),
                                              tensor_name, gguf);
        if (*slot)
          return eng_error_set (error, ENG_ERR_FORMAT, t->name, t->offset,
                                "tensor %s is there twice", t->name);
        *slot = (uint32_t) ++gguf->n_tensors;
      }
  return ENG_OK;
}

/* A lost part would otherwise show only as an absent tensor, later and with a worse message. */
static EngStatus
check_split_total (const EngGguf *gguf, EngError *error)
{
  uint64_t total;
  if (gguf->n_parts == 1 || !eng_gguf_has_key (gguf, "split.tensors.count"))
    return ENG_OK;
  EngStatus status = eng_gguf_get_u64 (gguf, "split.tensors.count", &total, error);
  if (status == ENG_OK && total != gguf->n_tensors)
    return eng_error_set (error, ENG_ERR_FORMAT, "split.tensors.count", ENG_OFFSET_NONE,
                          "the parts hold %" PRIu64 " tensors together, not the %" PRIu64
                          " that the first announces",
                          gguf->n_tensors, total);
  return status;
}

static EngStatus
new_with_one_part (EngGguf **out, EngError *error)
{
  EngGguf *gguf = eng_alloc (sizeof *gguf);
  *out = gguf;
  if (!gguf)
    return fail_no_memory (error);
  gguf->n_parts = 1;
  gguf->parts = eng_arena_alloc_array (&gguf->arena, 1, sizeof *gguf->parts);
  if (!gguf->parts)
    {
      eng_gguf_close (out);
      return fail_no_memory (error);
    }
  return ENG_OK;
}

static EngStatus
open_path (EngGguf *gguf, const char *path, EngGgufFlags flags, EngError *error)
{
  uint32_t count = 0;
  EngStatus status = open_part (gguf, 0, path, error);
  if (status == ENG_OK && !(flags & ENG_GGUF_ONE_PART))
    status = get_part_number (&gguf->parts[0], "split.count", &count, error);
  if (status == ENG_OK && count > 1)
    {
      eng_mmap_close (&gguf->parts[0].map);
      status = open_split (gguf, path, count, error);
    }
  if (status == ENG_OK && (status = join_tensors (gguf, error)) == ENG_OK && count > 1)
    status = check_split_total (gguf, error);
  for (uint32_t i = 0; status == ENG_OK && (flags & ENG_GGUF_LOAD) && i < gguf->n_parts; i++)
    status = eng_mmap_load (gguf->parts[i].map, error);
  return status;
}

EngStatus
eng_gguf_open (const char *path, EngGgufFlags flags, EngGguf **out, EngError *error)
{
  EngStatus status = new_with_one_part (out, error);
  if (status == ENG_OK && (status = open_path (*out, path, flags, error)) != ENG_OK)
    eng_gguf_close (out);
  return status;
}

EngStatus
eng_gguf_open_memory (const void *data, size_t size, EngGguf **out, EngError *error)
{
  EngStatus status = new_with_one_part (out, error);
  if (status != ENG_OK)
    return status;
  (*out)->parts[0].data = data;
  (*out)->parts[0].size = size;
  if ((status = eng_gguf_parse (&(*out)->parts[0], 0, &(*out)->arena, error)) != ENG_OK
      || (status = join_tensors (*out, error)) != ENG_OK)
    eng_gguf_close (out);
  return status;
}

void
eng_gguf_close (EngGguf **gguf)
{
  EngGguf *g = *gguf;
  if (!g)
    return;
  for (uint32_t i = 0; g->parts && i < g->n_parts; i++)
    eng_mmap_close (&g->parts[i].map);
  eng_arena_clear (&g->arena);
  eng_free (g);
  *gguf = NULL;
}

uint32_t
eng_gguf_get_version (const EngGguf *gguf)
{
  return gguf->parts[0].version;
}

uint32_t
eng_gguf_get_n_parts (const EngGguf *gguf)
{
  return gguf->n_parts;
}

const char *
eng_gguf_get_part_path (const EngGguf *gguf, uint32_t i_part)
{
  return gguf->parts[i_part].path;
}

uint64_t
eng_gguf_get_file_bytes (const EngGguf *gguf)
{
  uint64_t sum = 0;
  for (uint32_t i = 0; i < gguf->n_parts; i++)
    sum += gguf->parts[i].size;
  return sum;
}

uint64_t
eng_gguf_get_tensor_bytes (const EngGguf *gguf)
{
  uint64_t sum = 0;
  for (uint64_t i = 0; i < gguf->n_tensors; i++)
    sum += gguf->tensors[i].n_bytes;
  return sum;
}

bool
eng_gguf_is_unchanged (const EngGguf *gguf)
{
  for (uint32_t i = 0; i < gguf->n_parts; i++)
    if (gguf->parts[i].map && !eng_mmap_is_unchanged (gguf->parts[i].map))
      return false;
  return true;
}

uint64_t
eng_gguf_get_n_tensors (const EngGguf *gguf)
{
  return gguf->n_tensors;
}

const EngGgufTensor *
eng_gguf_get_tensor (const EngGguf *gguf, uint64_t i)
{
  return &gguf->tensors[i];
}

const EngGgufTensor *
eng_gguf_find_tensor (const EngGguf *gguf, const char *name)
{
  uint32_t slot = *eng_gguf_table_find (&gguf->names, eng_gguf_string_from (name), tensor_name,
                                        gguf);
  return slot ? &gguf->tensors[slot - 1] : NULL;
}

uint64_t
eng_gguf_get_tensor_index (const EngGguf *gguf, const EngGgufTensor *tensor)
{
  return (uint64_t) (tensor - gguf->tensors);
}

EngStatus
eng_gguf_check_shape (const EngGgufTensor *tensor, uint64_t n_cols, uint64_t n_rows,
                      uint64_t n_slices, EngError *error)
{
  const uint64_t *d = tensor->dims;
  if (d[0] == n_cols && d[1] == n_rows && d[2] == n_slices && d[3] == 1)
    return ENG_OK;
  return eng_error_set (error, ENG_ERR_FORMAT, tensor->name, tensor->offset,
                        "tensor %s is %" PRIu64 " x %" PRIu64 " x %" PRIu64 " x %" PRIu64
                        ", the hyper-parameters ask for %" PRIu64 " x %" PRIu64 " x %" PRIu64,
                        tensor->name, d[0], d[1], d[2], d[3], n_cols, n_rows, n_slices);
}

void
eng_gguf_release_tensor (const EngGguf *gguf, const EngGgufTensor *tensor)
{
  EngMmap *map = gguf->parts[tensor->i_part].map;
  if (map)
    eng_mmap_release (map, tensor->offset, tensor->n_bytes);
}

EngReadAhead *
eng_gguf_read_ahead (const EngGguf *gguf)
{
  EngReadAheadRange *ranges = eng_alloc_array (gguf->n_parts, sizeof *ranges);
  uint32_t n = 0;
  for (uint32_t i = 0; ranges && i < gguf->n_parts; i++)
    {
      const EngGgufPart *part = &gguf->parts[i];
      if (part->map && part->data_start < part->size)
        ranges[n++] = (EngReadAheadRange) { part->map, part->data_start, part->size - part->data_start };
    }
  EngReadAhead *ahead = ranges ? eng_read_ahead_new (ranges, n) : NULL;
  eng_free (ranges);
  return ahead;
}
