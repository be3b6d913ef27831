/* SPDX-License-Identifier: Apache-2.0 */
/* One pass over a GGUF header. Everything that is read goes through a cursor that knows the file's
 * end; every length is compared before it is used and every product is checked. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "eng-checked.h"
#include "eng-error.h"
#include "eng-gguf-limits.h"
#include "eng-gguf-private.h"

#define KV_MIN_BYTES (8 + 1 + 4 + 1)           /* key length, key, type, value */
#define TENSOR_MIN_BYTES (8 + 1 + 4 + 8 + 4 + 8) /* name length, name, n_dims, one dim, type, offset */

typedef struct
{
  const uint8_t *data;
  uint64_t size, at;
  EngError *error;
  const char *field; /* what is being read, for messages */
} Cursor;

static EngStatus
fail_truncated (Cursor *c, uint64_t at, uint64_t needed)
{
  EngStatus status = eng_error_set_numbers (
      c->error, ENG_ERR_TRUNCATED, c->field, needed, c->size,
      "the file ends early, at byte %" PRIu64 ": %s reaches to byte %" PRIu64, c->size, c->field,
      needed);
  if (c->error)
    c->error->offset = at;
  return status;
}

static EngStatus
fail_no_memory (Cursor *c)
{
  return eng_error_set (c->error, ENG_ERR_NO_MEMORY, c->field, c->at,
                        "out of memory while reading the header");
}

static EngStatus
take (Cursor *c, uint64_t n, const uint8_t **out)
{
  uint64_t end;
  if (!eng_checked_range (c->at, n, c->size))
    return fail_truncated (c, c->at, eng_checked_add (c->at, n, &end) ? end : UINT64_MAX);
  *out = c->data + c->at;
  c->at += n;
  return ENG_OK;
}

static EngStatus
take_u32 (Cursor *c, uint32_t *out)
{
  const uint8_t *p = NULL;
  EngStatus status = take (c, sizeof *out, &p);
  if (status == ENG_OK)
    memcpy (out, p, sizeof *out);
  return status;
}

static EngStatus
take_u64 (Cursor *c, uint64_t *out)
{
  const uint8_t *p = NULL;
  EngStatus status = take (c, sizeof *out, &p);
  if (status == ENG_OK)
    memcpy (out, p, sizeof *out);
  return status;
}

static EngStatus
take_string (Cursor *c, uint64_t limit, EngGgufString *out)
{
  uint64_t at = c->at, n;
  const uint8_t *p = NULL;
  EngStatus status = take_u64 (c, &n);
  if (status != ENG_OK)
    return status;
  if (n > limit)
    return eng_error_set (c->error, ENG_ERR_LIMIT, c->field, at,
                          "length of %s is %" PRIu64 " bytes, the limit is %" PRIu64, c->field, n,
                          limit);
  if ((status = take (c, n, &p)) != ENG_OK)
    return status;
  *out = (EngGgufString) { (const char *) p, n };
  return ENG_OK;
}

static bool
is_utf8 (const uint8_t *s, uint64_t n)
{
  for (uint64_t i = 0; i < n;)
    {
      uint8_t b = s[i];
      unsigned len = b < 0x80 ? 1 : b >= 0xc2 && b < 0xe0 ? 2 : (b & 0xf0) == 0xe0 ? 3
                     : b >= 0xf0 && b < 0xf5                              ? 4
                                                                          : 0;
      if (len == 0 || len > n - i)
        return false;
      for (unsigned k = 1; k < len; k++)
        if ((s[i + k] & 0xc0) != 0x80)
          return false;
      if ((b == 0xe0 && s[i + 1] < 0xa0) || (b == 0xed && s[i + 1] >= 0xa0)
          || (b == 0xf0 && s[i + 1] < 0x90) || (b == 0xf4 && s[i + 1] >= 0x90))
        return false;
      i += len;
    }
  return true;
}

/* A name is shown to people and becomes a C string: text, not empty, no NUL. */
static EngStatus
check_name (Cursor *c, EngGgufString name, uint64_t at)
{
  if (name.n_bytes == 0)
    return eng_error_set (c->error, ENG_ERR_FORMAT, c->field, at, "%s has an empty name",
                          c->field);
  if (memchr (name.data, 0, name.n_bytes))
    return eng_error_set (c->error, ENG_ERR_FORMAT, c->field, at, "%s has a NUL byte in its name",
                          c->field);
  if (!is_utf8 ((const uint8_t *) name.data, name.n_bytes))
    return eng_error_set (c->error, ENG_ERR_FORMAT, c->field, at, "the name of %s is not valid UTF-8",
                          c->field);
  return ENG_OK;
}

/* ---- Names to indices --------------------------------------------------------------------------- */

bool
eng_gguf_table_init (EngGgufTable *table, uint32_t n, EngArena *arena)
{
  uint32_t size = 8;
  while (size < n + n / 2 + 1)
    size *= 2;
  table->slots = eng_arena_alloc_array (arena, size, sizeof *table->slots);
  table->mask = size - 1;
  if (getrandom (&table->seed, sizeof table->seed, GRND_NONBLOCK) != sizeof table->seed)
    table->seed = (uint64_t) (uintptr_t) table->slots;
  return table->slots != NULL;
}

/* Multiply-and-fold over 8-byte words: short names, so setup time counts, and keyed, so that the
 * collisions of one run are not those of the next. */
static uint64_t
hash_name (uint64_t seed, EngGgufString name)
{
  uint64_t h = seed ^ (name.n_bytes * 0x9e3779b97f4a7c15u);
  for (uint64_t i = 0; i < name.n_bytes; i += 8)
    {
      uint64_t word = 0;
      uint64_t n = name.n_bytes - i < 8 ? name.n_bytes - i : 8;
      memcpy (&word, name.data + i, n);
      unsigned __int128 m = (unsigned __int128) (h ^ word) * (0xd6e8feb86659fd93u ^ (seed << 1));
      h = (uint64_t) m ^ (uint64_t) (m >> 64) ^ (h << 23 | h >> 41);
    }
  return h ^ (h >> 32);
}

uint32_t *
eng_gguf_table_find (const EngGgufTable *table, EngGgufString name, EngGgufNameOf name_of,
                     const void *data)
{
  for (uint32_t at = (uint32_t) hash_name (table->seed, name) & table->mask;;
       at = (at + 1) & table->mask)
    {
      uint32_t *slot = &table->slots[at];
      if (*slot == 0)
        return slot;
      EngGgufString other = name_of (data, *slot - 1);
      if (other.n_bytes == name.n_bytes && memcmp (other.data, name.data, name.n_bytes) == 0)
        return slot;
    }
}

EngGgufString
eng_gguf_kv_name (const void *part, uint32_t i)
{
  return ((const EngGgufPart *) part)->kvs[i].key;
}

const EngGgufKv *
eng_gguf_part_find (const EngGgufPart *part, const char *key)
{
  if (part->n_kvs == 0)
    return NULL;
  uint32_t slot = *eng_gguf_table_find (&part->keys, eng_gguf_string_from (key), eng_gguf_kv_name,
                                        part);
  return slot ? &part->kvs[slot - 1] : NULL;
}

/* ---- Metadata ----------------------------------------------------------------------------------- */

uint32_t
eng_gguf_type_bytes (uint32_t type)
{
  static const uint8_t bytes[] = {
    [ENG_GGUF_U8] = 1,  [ENG_GGUF_I8] = 1,  [ENG_GGUF_U16] = 2,  [ENG_GGUF_I16] = 2,
    [ENG_GGUF_U32] = 4, [ENG_GGUF_I32] = 4, [ENG_GGUF_F32] = 4,  [ENG_GGUF_BOOL] = 1,
    [ENG_GGUF_U64] = 8, [ENG_GGUF_I64] = 8, [ENG_GGUF_F64] = 8,
  };
  return type < sizeof bytes ? bytes[type] : 0;
}

static EngStatus
check_bools (Cursor *c, const uint8_t *p, uint64_t n)
{
  for (uint64_t i = 0; i < n; i++)
    if (p[i] > 1)
      return eng_error_set (c->error, ENG_ERR_FORMAT, c->field, (uint64_t) (p - c->data) + i,
                            "%s is a bool of value %u", c->field, p[i]);
  return ENG_OK;
}

static EngStatus skip_array (Cursor *c, unsigned depth, EngGgufArray *out);

static EngStatus
skip_elements (Cursor *c, unsigned depth, EngGgufType type, uint64_t n)
{
  uint32_t bytes = eng_gguf_type_bytes (type);
  EngStatus status = ENG_OK;
  EngGgufString string;
  EngGgufArray inner;
  const uint8_t *p = NULL;
  uint64_t total;

  if (bytes)
    {
      if (!eng_checked_mul (n, bytes, &total))
        return eng_error_set (c->error, ENG_ERR_FORMAT, c->field, c->at,
                              "size of array %s overflows", c->field);
      if ((status = take (c, total, &p)) == ENG_OK && type == ENG_GGUF_BOOL)
        status = check_bools (c, p, n);
      return status;
    }
  for (uint64_t i = 0; i < n && status == ENG_OK; i++)
    status = type == ENG_GGUF_STRING ? take_string (c, ENG_GGUF_MAX_STRING_BYTES, &string)
                                     : skip_array (c, depth + 1, &inner);
  return status;
}

static EngStatus
skip_array (Cursor *c, unsigned depth, EngGgufArray *out)
{
  uint64_t at = c->at, n;
  uint32_t type;
  EngStatus status;

  if (depth > ENG_GGUF_MAX_ARRAY_DEPTH)
    return eng_error_set (c->error, ENG_ERR_LIMIT, c->field, at,
                          "arrays in %s are nested more than %u deep", c->field,
                          ENG_GGUF_MAX_ARRAY_DEPTH);
  if ((status = take_u32 (c, &type)) != ENG_OK)
    return status;
  if (type > ENG_GGUF_F64)
    return eng_error_set (c->error, ENG_ERR_FORMAT, c->field, at,
                          "elements of %s have the unknown value type %" PRIu32, c->field, type);
  at = c->at;
  if ((status = take_u64 (c, &n)) != ENG_OK)
    return status;
  uint64_t limit
      = eng_gguf_type_bytes (type) ? ENG_GGUF_MAX_ARRAY_ELEMENTS : ENG_GGUF_MAX_ARRAY_STRINGS;
  if (n > limit)
    return eng_error_set (c->error, ENG_ERR_LIMIT, c->field, at,
                          "array %s has %" PRIu64 " elements, the limit is %" PRIu64, c->field, n,
                          limit);
  *out = (EngGgufArray) { .type = type, .n = n, .data = c->data + c->at, .offset = c->at };
  status = skip_elements (c, depth, type, n);
  out->n_bytes = c->at - out->offset;
  return status;
}

/* Field names that messages carry: a key cut to what fits EngError.field. */
typedef struct
{
  char text[96];
} FieldName;

static const char *
name_field (FieldName *name, EngGgufString s)
{
  int n = s.n_bytes < sizeof name->text - 1 ? (int) s.n_bytes : (int) sizeof name->text - 1;
  snprintf (name->text, sizeof name->text, "%.*s", n, s.data);
  return name->text;
}

static EngStatus
parse_value (Cursor *c, EngGgufKv *kv)
{
  uint64_t type_at = c->at;
  EngGgufString string;
  const uint8_t *p = NULL;
  EngStatus status = take_u32 (c, &kv->type);

  if (status != ENG_OK)
    return status;
  kv->value_at = c->at;
  if (kv->type > ENG_GGUF_F64)
    return eng_error_set (c->error, ENG_ERR_FORMAT, c->field, type_at,
                          "%s has the unknown value type %" PRIu32, c->field, kv->type);
  if (kv->type == ENG_GGUF_STRING)
    return take_string (c, ENG_GGUF_MAX_STRING_BYTES, &string);
  if (kv->type == ENG_GGUF_ARRAY)
    return skip_array (c, 1, &kv->array);
  if ((status = take (c, eng_gguf_type_bytes (kv->type), &p)) == ENG_OK
      && kv->type == ENG_GGUF_BOOL)
    status = check_bools (c, p, 1);
  return status;
}

static EngStatus
parse_kv (Cursor *c, EngGgufPart *part, uint32_t i)
{
  EngGgufKv *kv = &part->kvs[i];
  FieldName field;
  EngStatus status;
  uint64_t at = c->at;

  snprintf (field.text, sizeof field.text, "key %" PRIu32, i);
  c->field = field.text;
  if ((status = take_string (c, ENG_GGUF_MAX_KEY_BYTES, &kv->key)) != ENG_OK
      || (status = check_name (c, kv->key, at)) != ENG_OK)
    return status;
  name_field (&field, kv->key);
  uint32_t *slot = eng_gguf_table_find (&part->keys, kv->key, eng_gguf_kv_name, part);
  if (*slot)
    return eng_error_set (c->error, ENG_ERR_FORMAT, field.text, at,
                          "key %s is there twice, first as number %" PRIu32, field.text, *slot - 1);
  *slot = i + 1;
  if ((status = parse_value (c, kv)) == ENG_OK && c->at > ENG_GGUF_MAX_METADATA_BYTES)
    status = eng_error_set (c->error, ENG_ERR_LIMIT, field.text, c->at,
                            "metadata are larger than the limit of %u bytes",
                            ENG_GGUF_MAX_METADATA_BYTES);
  return status;
}

static EngStatus
parse_alignment (Cursor *c, EngGgufPart *part)
{
  const EngGgufKv *kv = eng_gguf_part_find (part, "general.alignment");
  part->alignment = 32;
  if (!kv)
    return ENG_OK;
  c->field = "general.alignment";
  if (kv->type != ENG_GGUF_U32)
    return eng_error_set (c->error, ENG_ERR_FORMAT, c->field, kv->value_at,
                          "general.alignment is of type %s, not u32",
                          eng_gguf_type_get_name (kv->type));
  memcpy (&part->alignment, c->data + kv->value_at, 4);
  if (part->alignment < ENG_GGUF_MIN_ALIGNMENT || part->alignment > ENG_GGUF_MAX_ALIGNMENT
      || (part->alignment & (part->alignment - 1)) != 0)
    return eng_error_set (c->error, ENG_ERR_FORMAT, c->field, kv->value_at,
                          "general.alignment is %" PRIu32
                          ", not a power of two from %u to %u",
                          part->alignment, ENG_GGUF_MIN_ALIGNMENT, ENG_GGUF_MAX_ALIGNMENT);
  return ENG_OK;
}

/* ---- Tensors ------------------------------------------------------------------------------------ */

static EngStatus
parse_dims (Cursor *c, EngGgufTensor *t)
{
  uint64_t at = c->at;
  EngStatus status = take_u32 (c, &t->n_dims);
  if (status != ENG_OK)
    return status;
  if (t->n_dims == 0 || t->n_dims > ENG_GGUF_MAX_DIMS)
    return eng_error_set (c->error, ENG_ERR_FORMAT, c->field, at,
                          "tensor %s has %" PRIu32 " dimensions, not 1 to %u", c->field, t->n_dims,
                          ENG_GGUF_MAX_DIMS);
  t->n_elements = 1;
  for (uint32_t d = 0; d < ENG_GGUF_MAX_DIMS; d++)
    {
      t->dims[d] = 1;
      at = c->at;
      if (d < t->n_dims && (status = take_u64 (c, &t->dims[d])) != ENG_OK)
        return status;
      if (t->dims[d] == 0 || t->dims[d] > INT64_MAX)
        return eng_error_set (c->error, ENG_ERR_FORMAT, c->field, at,
                              "dimension %" PRIu32 " of tensor %s is %" PRId64, d, c->field,
                              (int64_t) t->dims[d]);
      if (!eng_checked_mul (t->n_elements, t->dims[d], &t->n_elements)
          || t->n_elements > INT64_MAX)
        return eng_error_set (c->error, ENG_ERR_FORMAT, c->field, at,
                              "number of elements of tensor %s overflows at dimension %" PRIu32,
                              c->field, d);
    }
  t->n_rows = t->n_elements / t->dims[0];
  return ENG_OK;
}

static EngStatus
parse_type (Cursor *c, EngGgufTensor *t)
{
  uint64_t at = c->at, padded;
  uint32_t type;
  EngStatus status = take_u32 (c, &type);
  if (status != ENG_OK)
    return status;
  const EngTypeInfo *info = eng_type_get_info (type);
  if (!info)
    return eng_error_set (c->error, ENG_ERR_UNSUPPORTED, c->field, at,
                          "tensor %s is of type %" PRIu32 " (%s), which is not supported", c->field,
                          type, eng_type_get_name (type));
  t->type = type;
  if (t->dims[0] % info->block_elements != 0)
    return eng_error_set (c->error, ENG_ERR_FORMAT, c->field, at,
                          "rows of tensor %s hold %" PRIu64 " elements, no multiple of the %u in a "
                          "block of %s",
                          c->field, t->dims[0], info->block_elements, info->name);
  /* The padded size must fit too: what follows the tensor is found by it. */
  if (!eng_type_row_bytes (type, t->dims[0], &t->row_bytes)
      || !eng_checked_mul (t->row_bytes, t->n_rows, &t->n_bytes)
      || !eng_checked_align (t->n_bytes, ENG_GGUF_MAX_ALIGNMENT, &padded))
    return eng_error_set (c->error, ENG_ERR_FORMAT, c->field, at,
                          "size of tensor %s in bytes overflows", c->field);
  return ENG_OK;
}

static EngStatus
parse_tensor (Cursor *c, EngGgufPart *part, uint32_t i, uint32_t i_part, EngArena *arena)
{
  EngGgufTensor *t = &part->tensors[i];
  EngGgufString name;
  FieldName field;
  EngStatus status;
  uint64_t at = c->at;

  snprintf (field.text, sizeof field.text, "tensor %" PRIu32, i);
  c->field = field.text;
  if ((status = take_string (c, ENG_GGUF_MAX_TENSOR_NAME, &name)) != ENG_OK
      || (status = check_name (c, name, at)) != ENG_OK)
    return status;
  name_field (&field, name);
  t->i_part = i_part;
  t->name = eng_arena_strndup (arena, name.data, name.n_bytes);
  if (!t->name)
    return fail_no_memory (c);
  if ((status = parse_dims (c, t)) != ENG_OK || (status = parse_type (c, t)) != ENG_OK)
    return status;
  at = c->at;
  if ((status = take_u64 (c, &t->offset)) != ENG_OK)
    return status;
  if (t->offset % part->alignment != 0)
    return eng_error_set (c->error, ENG_ERR_FORMAT, c->field, at,
                          "offset %" PRIu64 " of tensor %s is no multiple of the alignment %" PRIu32,
                          t->offset, c->field, part->alignment);
  return ENG_OK;
}

static int
compare_offsets (const void *a, const void *b)
{
  const EngGgufTensor *const *x = a, *const *y = b;
  return (*x)->offset < (*y)->offset ? -1 : (*x)->offset > (*y)->offset;
}

static EngStatus
check_overlap (Cursor *c, const EngGgufTensor *low, const EngGgufTensor *high)
{
  if (high->offset - low->offset >= low->n_bytes)
    return ENG_OK;
  return eng_error_set (c->error, ENG_ERR_FORMAT, high->name, high->offset,
                        "tensors %s and %s overlap in the file", low->name, high->name);
}

/* Files are written in order of offset as a rule; only the others pay for a sort. */
static EngStatus
check_overlaps (Cursor *c, const EngGgufPart *part)
{
  EngStatus status = ENG_OK;
  uint32_t i, n = part->n_tensors;

  for (i = 1; i < n && part->tensors[i - 1].offset <= part->tensors[i].offset; i++)
    if ((status = check_overlap (c, &part->tensors[i - 1], &part->tensors[i])) != ENG_OK)
      return status;
  if (i >= n)
    return ENG_OK;
  const EngGgufTensor **sorted = eng_alloc_array (n, sizeof *sorted);
  if (!sorted)
    return fail_no_memory (c);
  for (i = 0; i < n; i++)
    sorted[i] = &part->tensors[i];
  qsort (sorted, n, sizeof *sorted, compare_offsets);
  for (i = 1; i < n && status == ENG_OK; i++)
    status = check_overlap (c, sorted[i - 1], sorted[i]);
  eng_free (sorted);
  return status;
}

/* Offsets become absolute; ends are held against the file's. */
static EngStatus
place_tensors (Cursor *c, EngGgufPart *part)
{
  const EngGgufTensor *last = NULL;
  uint64_t needed = 0;

  c->field = "tensor data";
  if (!eng_checked_align (c->at, part->alignment, &part->data_start))
    return fail_truncated (c, c->at, UINT64_MAX);
  for (uint32_t i = 0; i < part->n_tensors; i++)
    {
      EngGgufTensor *t = &part->tensors[i];
      uint64_t end;
      if (!eng_checked_add (t->offset, part->data_start, &t->offset)
          || !eng_checked_add (t->offset, t->n_bytes, &end))
        return eng_error_set (c->error, ENG_ERR_FORMAT, t->name, c->at,
                              "offset of tensor %s overflows", t->name);
      if (end > needed)
        {
          needed = end;
          last = t;
        }
      t->data = part->data + (end <= part->size ? t->offset : 0);
    }
  if (needed > part->size)
    {
      EngStatus status = eng_error_set_numbers (
          c->error, ENG_ERR_TRUNCATED, last->name, needed, part->size,
          "the file is incomplete: %" PRIu64 " of %" PRIu64 " bytes are there, tensor %s is cut",
          part->size, needed, last->name);
      if (c->error)
        c->error->offset = last->offset;
      return status;
    }
  return check_overlaps (c, part);
}

/* ---- Header ------------------------------------------------------------------------------------- */

static EngStatus
fail_magic (Cursor *c)
{
  static const struct
  {
    const char *magic, *what;
  } known[] = {
    { "GGML", "an old GGML file" },   { "lmgg", "an old GGML file" },
    { "tjgg", "an old GGJT file" },   { "fmgg", "an old GGMF file" },
    { "FUGG", "a byte-swapped GGUF file" }, { "<!DO", "a web page" },
    { "<htm", "a web page" },         { "<HTM", "a web page" },
    { "<!do", "a web page" },         { "PK\3\4", "a zip or PyTorch file" },
  };
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
    if (c->size >= 4 && memcmp (c->data, known[i].magic, 4) == 0)
      return eng_error_set (c->error, ENG_ERR_FORMAT, "magic", 0,
                            "this is not a GGUF file; it looks like %s", known[i].what);
  return eng_error_set (c->error, ENG_ERR_FORMAT, "magic", 0, "this is not a GGUF file");
}

static EngStatus
check_version (Cursor *c, uint32_t version)
{
  if (version == 2 || version == 3)
    return ENG_OK;
  if ((version & 0xffff) == 0 && version != 0)
    return eng_error_set (c->error, ENG_ERR_UNSUPPORTED, "version", 4,
                          "GGUF version %" PRIu32 " in big-endian byte order is not supported",
                          __builtin_bswap32 (version));
  return eng_error_set (c->error, ENG_ERR_UNSUPPORTED, "version", 4,
                        "GGUF version %" PRIu32 " is not supported, only 2 and 3", version);
}

static EngStatus
take_count (Cursor *c, const char *field, uint64_t limit, uint32_t *out)
{
  uint64_t at = c->at, n;
  c->field = field;
  EngStatus status = take_u64 (c, &n);
  if (status != ENG_OK)
    return status;
  if (n > limit)
    return eng_error_set (c->error, ENG_ERR_LIMIT, field, at,
                          "%s is %" PRIu64 ", the limit is %" PRIu64, field, n, limit);
  *out = (uint32_t) n;
  return ENG_OK;
}

static EngStatus
parse_header (Cursor *c, EngGgufPart *part)
{
  const uint8_t *magic = NULL;
  EngStatus status;

  c->field = "magic";
  if (c->size == 0)
    return eng_error_set (c->error, ENG_ERR_FORMAT, "magic", 0, "the file is empty");
  if (c->size < 4 || memcmp (c->data, "GGUF", 4) != 0)
    return fail_magic (c);
  take (c, 4, &magic);
  c->field = "version";
  if ((status = take_u32 (c, &part->version)) != ENG_OK
      || (status = check_version (c, part->version)) != ENG_OK
      || (status = take_count (c, "n_tensors", ENG_GGUF_MAX_TENSORS, &part->n_tensors)) != ENG_OK
      || (status = take_count (c, "n_kv", ENG_GGUF_MAX_KEYS, &part->n_kvs)) != ENG_OK)
    return status;
  /* Counts that cannot be true are refused before anything is allocated for them. */
  uint64_t needed = c->at + (uint64_t) part->n_kvs * KV_MIN_BYTES
                    + (uint64_t) part->n_tensors * TENSOR_MIN_BYTES;
  c->field = c->at + (uint64_t) part->n_kvs * KV_MIN_BYTES > c->size ? "n_kv" : "n_tensors";
  if (needed > c->size)
    return fail_truncated (c, strcmp (c->field, "n_kv") == 0 ? 16 : 8, needed);
  return ENG_OK;
}

EngStatus
eng_gguf_parse (EngGgufPart *part, uint32_t i_part, EngArena *arena, EngError *error)
{
  Cursor c = { .data = part->data, .size = part->size, .error = error };
  EngStatus status = parse_header (&c, part);
  if (status != ENG_OK)
    return status;
  part->kvs = eng_arena_alloc_array (arena, part->n_kvs, sizeof *part->kvs);
  part->tensors = eng_arena_alloc_array (arena, part->n_tensors, sizeof *part->tensors);
  if (!part->kvs || !part->tensors || !eng_gguf_table_init (&part->keys, part->n_kvs, arena))
    return fail_no_memory (&c);
  for (uint32_t i = 0; i < part->n_kvs; i++)
    if ((status = parse_kv (&c, part, i)) != ENG_OK)
      return status;
  if ((status = parse_alignment (&c, part)) != ENG_OK)
    return status;
  for (uint32_t i = 0; i < part->n_tensors; i++)
    if ((status = parse_tensor (&c, part, i, i_part, arena)) != ENG_OK)
      return status;
  return place_tensors (&c, part);
}
