/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-gguf-writer.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#include "eng-arena.h"
#include "eng-buffer.h"
#include "eng-checked.h"
#include "eng-error.h"
#include "eng-gguf-limits.h"
#include "eng-gguf-private.h"
#include "eng-output.h"

typedef struct
{
  EngGgufString key;
  uint8_t *bytes; /* type, then value, as they stand in the file */
  uint64_t n_bytes;
} Entry;

typedef struct
{
  const char *name;
  EngType type;
  uint32_t n_dims;
  uint64_t dims[4];
  uint64_t n_bytes, offset; /* offset counts from the data's start */
  _Atomic uint64_t n_written;
} Tensor;

struct EngGgufWriter
{
  EngArena arena; /* names */
  EngOutput *output;
  Entry *entries;
  size_t n_entries, cap_entries;
  Tensor *tensors;
  size_t n_tensors, cap_tensors;
  EngGgufTable names;
  uint64_t data_start;
  bool begun, changed; /* values set since the header was written */
};

static EngStatus
fail_no_memory (EngError *error)
{
  return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE,
                        "out of memory while writing a model file");
}

static EngStatus
fail_argument (EngError *error, const char *field, const char *why)
{
  return eng_error_set (error, ENG_ERR_ARGUMENT, field, ENG_OFFSET_NONE, "%s: %s", field, why);
}

EngStatus
eng_gguf_writer_new (const char *path, EngGgufWriter **out, EngError *error)
{
  EngGgufWriter *writer = eng_alloc (sizeof *writer);
  *out = NULL;
  if (!writer)
    return fail_no_memory (error);
  EngStatus status = path ? eng_output_open (path, &writer->output, error) : ENG_OK;
  if (status != ENG_OK)
    eng_gguf_writer_free (&writer);
  *out = writer;
  return status;
}

void
eng_gguf_writer_free (EngGgufWriter **writer)
{
  EngGgufWriter *w = *writer;
  if (!w)
    return;
  eng_output_abandon (&w->output);
  for (size_t i = 0; i < w->n_entries; i++)
    eng_free (w->entries[i].bytes);
  eng_free (w->entries);
  eng_free (w->tensors);
  eng_arena_clear (&w->arena);
  eng_free (w);
  *writer = NULL;
}

/* ---- Metadata ----------------------------------------------------------------------------------- */

static Entry *
find_entry (EngGgufWriter *writer, EngGgufString key)
{
  for (size_t i = 0; i < writer->n_entries; i++)
    if (writer->entries[i].key.n_bytes == key.n_bytes
        && memcmp (writer->entries[i].key.data, key.data, key.n_bytes) == 0)
      return &writer->entries[i];
  return NULL;
}

static Entry *
append_entry (EngGgufWriter *writer, EngGgufString key)
{
  if (writer->n_entries == writer->cap_entries)
    {
      size_t cap = writer->cap_entries ? writer->cap_entries * 2 : 64;
      Entry *grown = eng_realloc_array (writer->entries, cap, sizeof *grown);
      if (!grown)
        return NULL;
      writer->entries = grown;
      writer->cap_entries = cap;
    }
  char *copy = eng_arena_strndup (&writer->arena, key.data, key.n_bytes);
  if (!copy)
    return NULL;
  Entry *entry = &writer->entries[writer->n_entries++];
  *entry = (Entry) { .key = { copy, key.n_bytes } };
  return entry;
}

/* Type and value of @n_bytes, with @n_head bytes of @head before them (an array's own header). */
static EngStatus
set_bytes (EngGgufWriter *writer, EngGgufString key, uint32_t type, const void *head, size_t n_head,
           const void *value, uint64_t n_value, EngError *error)
{
  uint64_t total;
  Entry *entry = find_entry (writer, key);
  if (key.n_bytes == 0 || key.n_bytes > ENG_GGUF_MAX_KEY_BYTES)
    return fail_argument (error, "key", "bad length");
  if (!eng_checked_add (n_value, n_head + sizeof type, &total))
    return fail_no_memory (error);
  if (writer->begun && (!entry || entry->n_bytes != total || memcmp (entry->bytes, &type, sizeof type) != 0))
    return fail_argument (error, "key", "the header is written");
  uint8_t *bytes = eng_alloc (total);
  if (!bytes)
    return fail_no_memory (error);
  memcpy (bytes, &type, sizeof type);
  if (n_head)
    memcpy (bytes + sizeof type, head, n_head);
  if (n_value)
    memcpy (bytes + sizeof type + n_head, value, n_value);
  if (!entry && !(entry = append_entry (writer, key)))
    {
      eng_free (bytes);
      return fail_no_memory (error);
    }
  eng_free (entry->bytes);
  entry->bytes = bytes;
  entry->n_bytes = total;
  writer->changed = writer->begun;
  return ENG_OK;
}

EngStatus
eng_gguf_writer_set_u32 (EngGgufWriter *writer, const char *key, uint32_t value, EngError *error)
{
  return set_bytes (writer, eng_gguf_string_from (key), ENG_GGUF_U32, NULL, 0, &value, sizeof value,
                    error);
}

EngStatus
eng_gguf_writer_set_f32 (EngGgufWriter *writer, const char *key, float value, EngError *error)
{
  return set_bytes (writer, eng_gguf_string_from (key), ENG_GGUF_F32, NULL, 0, &value, sizeof value,
                    error);
}

EngStatus
eng_gguf_writer_set_bool (EngGgufWriter *writer, const char *key, bool value, EngError *error)
{
  uint8_t byte = value;
  return set_bytes (writer, eng_gguf_string_from (key), ENG_GGUF_BOOL, NULL, 0, &byte, 1, error);
}

static EngStatus
set_string (EngGgufWriter *writer, EngGgufString key, EngGgufString value, EngError *error)
{
  if (value.n_bytes > ENG_GGUF_MAX_STRING_BYTES)
    return fail_argument (error, "string", "longer than the limit");
  return set_bytes (writer, key, ENG_GGUF_STRING, &value.n_bytes, 8, value.data, value.n_bytes,
                    error);
}

EngStatus
eng_gguf_writer_set_string (EngGgufWriter *writer, const char *key, const char *value,
                            EngError *error)
{
  return set_string (writer, eng_gguf_string_from (key), eng_gguf_string_from (value), error);
}

static EngStatus
set_array (EngGgufWriter *writer, EngGgufString key, EngGgufType type, uint64_t n,
           const void *elements, uint64_t n_bytes, EngError *error)
{
  uint8_t head[12];
  uint32_t number = type;
  memcpy (head, &number, 4);
  memcpy (head + 4, &n, 8);
  return set_bytes (writer, key, ENG_GGUF_ARRAY, head, sizeof head, elements, n_bytes, error);
}

EngStatus
eng_gguf_writer_set_array (EngGgufWriter *writer, const char *key, EngGgufType type, uint64_t n,
                           const void *elements, EngError *error)
{
  uint64_t n_bytes;
  if (eng_gguf_type_bytes (type) == 0
      || !eng_checked_mul (n, eng_gguf_type_bytes (type), &n_bytes))
    return fail_argument (error, key, "bad array");
  return set_array (writer, eng_gguf_string_from (key), type, n, elements, n_bytes, error);
}

EngStatus
eng_gguf_writer_set_strings (EngGgufWriter *writer, const char *key, uint64_t n,
                             const EngGgufString *strings, EngError *error)
{
  EngBuffer packed = { 0 };
  for (uint64_t i = 0; i < n; i++)
    {
      eng_buffer_append (&packed, (const char *) &strings[i].n_bytes, 8);
      eng_buffer_append (&packed, strings[i].data, strings[i].n_bytes);
    }
  EngStatus status = packed.failed ? fail_no_memory (error)
                                   : set_array (writer, eng_gguf_string_from (key), ENG_GGUF_STRING,
                                                n, packed.data, packed.n_bytes, error);
  eng_buffer_clear (&packed);
  return status;
}

EngStatus
eng_gguf_writer_set_value (EngGgufWriter *writer, EngGgufString key, const EngGgufValue *value,
                           EngError *error)
{
  float f;
  uint8_t b;
  switch (value->type)
    {
    case ENG_GGUF_STRING:
      return set_string (writer, key, value->string, error);
    case ENG_GGUF_ARRAY:
      return set_array (writer, key, value->array.type, value->array.n, value->array.data,
                        value->array.n_bytes, error);
    case ENG_GGUF_F32:
      f = (float) value->f;
      return set_bytes (writer, key, value->type, NULL, 0, &f, sizeof f, error);
    case ENG_GGUF_F64:
      return set_bytes (writer, key, value->type, NULL, 0, &value->f, sizeof value->f, error);
    case ENG_GGUF_BOOL:
      b = value->b;
      return set_bytes (writer, key, value->type, NULL, 0, &b, 1, error);
    default: /* integers: the low bytes, little-endian */
      return set_bytes (writer, key, value->type, NULL, 0, &value->u,
                        eng_gguf_type_bytes (value->type), error);
    }
}

void
eng_gguf_writer_remove (EngGgufWriter *writer, const char *key)
{
  Entry *entry = find_entry (writer, eng_gguf_string_from (key));
  if (!entry || writer->begun)
    return;
  eng_free (entry->bytes);
  size_t i = (size_t) (entry - writer->entries);
  memmove (entry, entry + 1, (writer->n_entries - i - 1) * sizeof *entry);
  writer->n_entries--;
}

/* ---- Tensors ------------------------------------------------------------------------------------ */

static EngStatus
tensor_bytes (EngType type, uint32_t n_dims, const uint64_t *dims, uint64_t *out)
{
  uint64_t bytes;
  if (n_dims < 1 || n_dims > ENG_GGUF_MAX_DIMS || !eng_type_row_bytes (type, dims[0], &bytes))
    return ENG_ERR_ARGUMENT;
  for (uint32_t d = 1; d < n_dims; d++)
    if (dims[d] == 0 || !eng_checked_mul (bytes, dims[d], &bytes))
      return ENG_ERR_ARGUMENT;
  *out = bytes;
  return ENG_OK;
}

EngStatus
eng_gguf_writer_add_tensor (EngGgufWriter *writer, const char *name, EngType type, uint32_t n_dims,
                            const uint64_t *dims, uint64_t *out_index, EngError *error)
{
  Tensor tensor = { .type = type, .n_dims = n_dims };
  size_t n_name = strlen (name);
  if (writer->begun || writer->n_tensors >= ENG_GGUF_MAX_TENSORS)
    return fail_argument (error, name, "no more tensors can be added");
  if (n_name == 0 || n_name > ENG_GGUF_MAX_TENSOR_NAME)
    return fail_argument (error, name, "bad length of a tensor's name");
  if (tensor_bytes (type, n_dims, dims, &tensor.n_bytes) != ENG_OK)
    return fail_argument (error, name, "dimensions do not fit the type");
  memcpy (tensor.dims, dims, n_dims * sizeof *dims);
  tensor.name = eng_arena_strndup (&writer->arena, name, n_name);
  if (writer->n_tensors == writer->cap_tensors)
    {
      size_t cap = writer->cap_tensors ? writer->cap_tensors * 2 : 256;
      Tensor *grown = eng_realloc_array (writer->tensors, cap, sizeof *grown);
      if (!grown)
        return fail_no_memory (error);
      writer->tensors = grown;
      writer->cap_tensors = cap;
    }
  if (!tensor.name)
    return fail_no_memory (error);
  if (out_index)
    *out_index = writer->n_tensors;
  memcpy (&writer->tensors[writer->n_tensors++], &tensor, sizeof tensor);
  return ENG_OK;
}

static EngGgufString
tensor_name (const void *writer, uint32_t i)
{
  return eng_gguf_string_from (((const EngGgufWriter *) writer)->tensors[i].name);
}

static EngStatus
check_unique (EngGgufWriter *writer, EngError *error)
{
  if (!eng_gguf_table_init (&writer->names, (uint32_t) writer->n_tensors, &writer->arena))
    return fail_no_memory (error);
  for (uint32_t i = 0; i < writer->n_tensors; i++)
    {
      uint32_t *slot = eng_gguf_table_find (&writer->names, tensor_name (writer, i), tensor_name,
                                            writer);
      if (*slot)
        return fail_argument (error, writer->tensors[i].name, "two tensors have this name");
      *slot = i + 1;
    }
  return ENG_OK;
}

uint32_t
eng_gguf_writer_get_alignment (EngGgufWriter *writer)
{
  Entry *entry = find_entry (writer, eng_gguf_string_from ("general.alignment"));
  uint32_t alignment = 32;
  if (entry && entry->n_bytes == 8)
    memcpy (&alignment, entry->bytes + 4, 4);
  return alignment;
}

static EngStatus
place_tensors (EngGgufWriter *writer, uint32_t alignment, uint64_t *out_total, EngError *error)
{
  uint64_t at = 0;
  for (size_t i = 0; i < writer->n_tensors; i++)
    {
      writer->tensors[i].offset = at;
      if (!eng_checked_add (at, writer->tensors[i].n_bytes, &at)
          || !eng_checked_align (at, alignment, &at))
        return fail_argument (error, writer->tensors[i].name, "the file would be too large");
    }
  *out_total = at;
  return ENG_OK;
}

static void
append_u32 (EngBuffer *buffer, uint32_t v)
{
  eng_buffer_append (buffer, (const char *) &v, sizeof v);
}

static void
append_u64 (EngBuffer *buffer, uint64_t v)
{
  eng_buffer_append (buffer, (const char *) &v, sizeof v);
}

static void
append_header (EngGgufWriter *writer, EngBuffer *buffer)
{
  eng_buffer_append (buffer, "GGUF", 4);
  append_u32 (buffer, 3);
  append_u64 (buffer, writer->n_tensors);
  append_u64 (buffer, writer->n_entries);
  for (size_t i = 0; i < writer->n_entries; i++)
    {
      append_u64 (buffer, writer->entries[i].key.n_bytes);
      eng_buffer_append (buffer, writer->entries[i].key.data, writer->entries[i].key.n_bytes);
      eng_buffer_append (buffer, (const char *) writer->entries[i].bytes,
                         writer->entries[i].n_bytes);
    }
  for (size_t i = 0; i < writer->n_tensors; i++)
    {
      const Tensor *t = &writer->tensors[i];
      append_u64 (buffer, strlen (t->name));
      eng_buffer_append (buffer, t->name, strlen (t->name));
      append_u32 (buffer, t->n_dims);
      for (uint32_t d = 0; d < t->n_dims; d++)
        append_u64 (buffer, t->dims[d]);
      append_u32 (buffer, t->type);
      append_u64 (buffer, t->offset);
    }
}

/* Header with its padding, to be cleared whatever comes, and where everything will stand. */
static EngStatus
lay_out (EngGgufWriter *writer, EngBuffer *header, uint64_t *data_bytes, uint64_t *total,
         EngError *error)
{
  static const char zeros[4096];
  uint32_t alignment = eng_gguf_writer_get_alignment (writer);
  EngStatus status;

  if (writer->begun)
    return fail_argument (error, "header", "it is written already");
  if (alignment < ENG_GGUF_MIN_ALIGNMENT || alignment > ENG_GGUF_MAX_ALIGNMENT
      || (alignment & (alignment - 1)) != 0)
    return fail_argument (error, "general.alignment", "not a power of two in range");
  if ((status = check_unique (writer, error)) != ENG_OK
      || (status = place_tensors (writer, alignment, data_bytes, error)) != ENG_OK)
    return status;
  append_header (writer, header);
  while (header->n_bytes % alignment != 0 && !header->failed)
    {
      size_t pad = alignment - header->n_bytes % alignment;
      eng_buffer_append (header, zeros, pad < sizeof zeros ? pad : sizeof zeros);
    }
  if (header->failed)
    return fail_no_memory (error);
  if (!eng_checked_add (header->n_bytes, *data_bytes, total))
    return fail_argument (error, "size", "the file would be too large");
  return ENG_OK;
}

EngStatus
eng_gguf_writer_get_bytes (EngGgufWriter *writer, uint64_t *out_bytes, EngError *error)
{
  EngBuffer header = { 0 };
  uint64_t data_bytes = 0;
  EngStatus status = lay_out (writer, &header, &data_bytes, out_bytes, error);
  eng_buffer_clear (&header);
  return status;
}

EngStatus
eng_gguf_writer_begin (EngGgufWriter *writer, uint64_t *out_bytes, EngError *error)
{
  uint64_t data_bytes = 0, total = 0;
  EngBuffer header = { 0 };
  EngStatus status = writer->output ? lay_out (writer, &header, &data_bytes, &total, error)
                                    : fail_argument (error, "path", "there is no file to write");
  writer->data_start = header.n_bytes;
  if (status == ENG_OK && (status = eng_output_reserve (writer->output, total, error)) == ENG_OK)
    status = eng_output_write_at (writer->output, 0, header.data, header.n_bytes, error);
  /* The padding behind the last tensor belongs to the file. */
  if (status == ENG_OK && data_bytes > 0)
    status = eng_output_write_at (writer->output, total - 1, "", 1, error);
  eng_buffer_clear (&header);
  writer->begun = status == ENG_OK;
  if (writer->begun && out_bytes)
    *out_bytes = total;
  return status;
}

EngStatus
eng_gguf_writer_write (EngGgufWriter *writer, uint64_t i_tensor, uint64_t offset, const void *data,
                       size_t n, EngError *error)
{
  if (!writer->begun || i_tensor >= writer->n_tensors
      || !eng_checked_range (offset, n, writer->tensors[i_tensor].n_bytes))
    return fail_argument (error, "tensor data", "outside of the tensor");
  Tensor *t = &writer->tensors[i_tensor];
  EngStatus status = eng_output_write_at (writer->output, writer->data_start + t->offset + offset,
                                          data, n, error);
  if (status == ENG_OK)
    atomic_fetch_add (&t->n_written, n);
  return status;
}

const char *
eng_gguf_writer_get_part_path (const EngGgufWriter *writer)
{
  return writer->output ? eng_output_get_part_path (writer->output) : NULL;
}

EngStatus
eng_gguf_writer_restart (EngGgufWriter *writer, const char *path, EngError *error)
{
  eng_output_abandon (&writer->output);
  writer->n_tensors = 0;
  writer->begun = writer->changed = false;
  return path ? eng_output_open (path, &writer->output, error) : ENG_OK;
}

/* The values that changed have kept their lengths, so everything stays in its place. */
static EngStatus
rewrite_header (EngGgufWriter *writer, EngError *error)
{
  EngBuffer header = { 0 };
  append_header (writer, &header);
  EngStatus status = header.failed ? fail_no_memory (error)
                                   : eng_output_write_at (writer->output, 0, header.data, header.n_bytes, error);
  eng_buffer_clear (&header);
  return status;
}

EngStatus
eng_gguf_writer_finish (EngGgufWriter *writer, EngError *error)
{
  if (!writer->begun || !writer->output)
    return fail_argument (error, "header", "it is not written");
  for (size_t i = 0; i < writer->n_tensors; i++)
    if (atomic_load (&writer->tensors[i].n_written) != writer->tensors[i].n_bytes)
      return fail_argument (error, writer->tensors[i].name, "not all of its data were written");
  EngStatus status = writer->changed ? rewrite_header (writer, error) : ENG_OK;
  return status == ENG_OK ? eng_output_commit (&writer->output, error) : status;
}
