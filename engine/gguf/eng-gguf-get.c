/* SPDX-License-Identifier: Apache-2.0 */
/* Metadata getters: type and range of each value are checked at the call. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "eng-checked.h"
#include "eng-error.h"
#include "eng-gguf-private.h"

const char *
eng_gguf_type_get_name (uint32_t type)
{
  static const char *const names[] = { "u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                       "bool", "string", "array", "u64", "i64", "f64" };
  return type < sizeof names / sizeof names[0] ? names[type] : "unknown";
}

/* An integer of any type as sign and magnitude that cover both 64-bit ranges. */
typedef struct
{
  bool negative;
  uint64_t u; /* two's complement when negative */
} Integer;

static bool
read_integer (uint32_t type, const uint8_t *p, Integer *out)
{
  int64_t i = 0;
  uint64_t u = 0;
  switch (type)
    {
    case ENG_GGUF_U8:
      u = *p;
      break;
    case ENG_GGUF_I8:
      i = (int8_t) *p;
      break;
    case ENG_GGUF_U16:
    case ENG_GGUF_I16:
      {
        uint16_t v;
        memcpy (&v, p, sizeof v);
        u = v;
        i = (int16_t) v;
        break;
      }
    case ENG_GGUF_U32:
    case ENG_GGUF_I32:
      {
        uint32_t v;
        memcpy (&v, p, sizeof v);
        u = v;
        i = (int32_t) v;
        break;
      }
    case ENG_GGUF_U64:
    case ENG_GGUF_I64:
      memcpy (&u, p, sizeof u);
      i = (int64_t) u;
      break;
    default:
      return false;
    }
  bool is_signed = type == ENG_GGUF_I8 || type == ENG_GGUF_I16 || type == ENG_GGUF_I32
                   || type == ENG_GGUF_I64;
  *out = (Integer) { is_signed && i < 0, is_signed ? (uint64_t) i : u };
  return true;
}

static bool
read_float (uint32_t type, const uint8_t *p, double *out)
{
  float f;
  if (type == ENG_GGUF_F64)
    memcpy (out, p, sizeof *out);
  else if (type == ENG_GGUF_F32)
    {
      memcpy (&f, p, sizeof f);
      *out = f;
    }
  else
    return false;
  return true;
}

static const uint8_t *
value_data (const EngGguf *gguf, const EngGgufKv *kv)
{
  return gguf->parts[0].data + kv->value_at;
}

static EngStatus
find (const EngGguf *gguf, const char *key, const EngGgufKv **out, EngError *error)
{
  *out = eng_gguf_part_find (&gguf->parts[0], key);
  if (*out)
    return ENG_OK;
  return eng_error_set (error, ENG_ERR_NOT_FOUND, key, ENG_OFFSET_NONE,
                        "the file has no key %s", key);
}

static EngStatus
fail_type (const EngGgufKv *kv, const char *key, const char *wanted, EngError *error)
{
  if (kv->type == ENG_GGUF_ARRAY)
    return eng_error_set (error, ENG_ERR_FORMAT, key, kv->value_at, "%s is an array of %s, not %s",
                          key, eng_gguf_type_get_name (kv->array.type), wanted);
  return eng_error_set (error, ENG_ERR_FORMAT, key, kv->value_at, "%s is of type %s, not %s", key,
                        eng_gguf_type_get_name (kv->type), wanted);
}

static EngStatus
get_integer (const EngGguf *gguf, const char *key, const EngGgufKv **kv, Integer *out,
             EngError *error)
{
  EngStatus status = find (gguf, key, kv, error);
  if (status == ENG_OK && !read_integer ((*kv)->type, value_data (gguf, *kv), out))
    status = fail_type (*kv, key, "an integer", error);
  return status;
}

static EngStatus
fail_integer_range (const EngGgufKv *kv, const char *key, Integer v, uint64_t min, uint64_t max,
                    EngError *error)
{
  if (v.negative)
    return eng_error_set (error, ENG_ERR_FORMAT, key, kv->value_at,
                          "%s is %" PRId64 ", outside %" PRIu64 " to %" PRIu64, key,
                          (int64_t) v.u, min, max);
  return eng_error_set (error, ENG_ERR_FORMAT, key, kv->value_at,
                        "%s is %" PRIu64 ", outside %" PRIu64 " to %" PRIu64, key, v.u, min, max);
}

static EngStatus
get_u64_in (const EngGguf *gguf, const char *key, uint64_t min, uint64_t max, uint64_t *out,
            EngError *error)
{
  const EngGgufKv *kv;
  Integer v = { 0 };
  EngStatus status = get_integer (gguf, key, &kv, &v, error);
  if (status != ENG_OK)
    return status;
  if (v.negative || v.u < min || v.u > max)
    return fail_integer_range (kv, key, v, min, max, error);
  *out = v.u;
  return ENG_OK;
}

bool
eng_gguf_has_key (const EngGguf *gguf, const char *key)
{
  return eng_gguf_part_find (&gguf->parts[0], key) != NULL;
}

EngStatus
eng_gguf_get_u32_in (const EngGguf *gguf, const char *key, uint32_t min, uint32_t max,
                     uint32_t *out, EngError *error)
{
  uint64_t v = 0;
  EngStatus status = get_u64_in (gguf, key, min, max, &v, error);
  if (status == ENG_OK)
    *out = (uint32_t) v;
  return status;
}

EngStatus
eng_gguf_get_u32 (const EngGguf *gguf, const char *key, uint32_t *out, EngError *error)
{
  return eng_gguf_get_u32_in (gguf, key, 0, UINT32_MAX, out, error);
}

EngStatus
eng_gguf_get_u64 (const EngGguf *gguf, const char *key, uint64_t *out, EngError *error)
{
  return get_u64_in (gguf, key, 0, UINT64_MAX, out, error);
}

EngStatus
eng_gguf_get_i64 (const EngGguf *gguf, const char *key, int64_t *out, EngError *error)
{
  const EngGgufKv *kv;
  Integer v = { 0 };
  EngStatus status = get_integer (gguf, key, &kv, &v, error);
  if (status != ENG_OK)
    return status;
  if (!v.negative && v.u > INT64_MAX)
    return fail_integer_range (kv, key, v, 0, INT64_MAX, error);
  *out = (int64_t) v.u;
  return ENG_OK;
}

EngStatus
eng_gguf_get_f32 (const EngGguf *gguf, const char *key, float *out, EngError *error)
{
  const EngGgufKv *kv;
  double v = 0;
  EngStatus status = find (gguf, key, &kv, error);
  if (status != ENG_OK)
    return status;
  if (!read_float (kv->type, value_data (gguf, kv), &v))
    return fail_type (kv, key, "a float", error);
  if (!isfinite ((float) v))
    return eng_error_set (error, ENG_ERR_FORMAT, key, kv->value_at, "%s is %g, not finite", key, v);
  *out = (float) v;
  return ENG_OK;
}

EngStatus
eng_gguf_get_bool (const EngGguf *gguf, const char *key, bool *out, EngError *error)
{
  const EngGgufKv *kv;
  EngStatus status = find (gguf, key, &kv, error);
  if (status != ENG_OK)
    return status;
  if (kv->type != ENG_GGUF_BOOL)
    return fail_type (kv, key, "a bool", error);
  *out = *value_data (gguf, kv) != 0;
  return ENG_OK;
}

/* A mapping may change after it was checked: lengths read again are held to the file's end again. */
static EngGgufString
read_string (const EngGguf *gguf, const EngGgufKv *kv)
{
  uint64_t n;
  memcpy (&n, value_data (gguf, kv), sizeof n);
  if (!eng_checked_range (kv->value_at + 8, n, gguf->parts[0].size))
    n = 0;
  return (EngGgufString) { (const char *) value_data (gguf, kv) + 8, n };
}

EngStatus
eng_gguf_get_string (const EngGguf *gguf, const char *key, EngGgufString *out, EngError *error)
{
  const EngGgufKv *kv;
  EngStatus status = find (gguf, key, &kv, error);
  if (status != ENG_OK)
    return status;
  if (kv->type != ENG_GGUF_STRING)
    return fail_type (kv, key, "a string", error);
  *out = read_string (gguf, kv);
  return ENG_OK;
}

EngStatus
eng_gguf_get_array (const EngGguf *gguf, const char *key, EngGgufType type, EngGgufArray *out,
                    EngError *error)
{
  const EngGgufKv *kv;
  EngStatus status = find (gguf, key, &kv, error);
  if (status != ENG_OK)
    return status;
  if (kv->type != ENG_GGUF_ARRAY || kv->array.type != type)
    {
      char wanted[32] = "an array of ";
      strcat (wanted, eng_gguf_type_get_name (type));
      return fail_type (kv, key, wanted, error);
    }
  *out = kv->array;
  return ENG_OK;
}

static void
read_value (const EngGguf *gguf, const EngGgufKv *kv, EngGgufValue *out)
{
  Integer v;
  *out = (EngGgufValue) { .type = kv->type };
  if (read_integer (kv->type, value_data (gguf, kv), &v))
    out->u = v.u; /* the signed ones share the bits */
  else if (kv->type == ENG_GGUF_BOOL)
    out->b = *value_data (gguf, kv) != 0;
  else if (kv->type == ENG_GGUF_STRING)
    out->string = read_string (gguf, kv);
  else if (kv->type == ENG_GGUF_ARRAY)
    out->array = kv->array;
  else
    read_float (kv->type, value_data (gguf, kv), &out->f);
}

EngStatus
eng_gguf_get_value (const EngGguf *gguf, const char *key, EngGgufValue *out, EngError *error)
{
  const EngGgufKv *kv;
  EngStatus status = find (gguf, key, &kv, error);
  if (status == ENG_OK)
    read_value (gguf, kv, out);
  return status;
}

EngStatus
eng_gguf_get_u32_or (const EngGguf *gguf, const char *key, uint32_t fallback, uint32_t min,
                     uint32_t max, uint32_t *out, EngError *error)
{
  if (eng_gguf_has_key (gguf, key))
    return eng_gguf_get_u32_in (gguf, key, min, max, out, error);
  *out = fallback;
  return ENG_OK;
}

EngStatus
eng_gguf_get_f32_or (const EngGguf *gguf, const char *key, float fallback, float min, float max,
                     float *out, EngError *error)
{
  const EngGgufKv *kv = eng_gguf_part_find (&gguf->parts[0], key);
  float v = fallback;
  if (kv)
    {
      EngStatus status = eng_gguf_get_f32 (gguf, key, &v, error);
      if (status != ENG_OK)
        return status;
      if (v < min || v > max)
        return eng_error_set (error, ENG_ERR_FORMAT, key, kv->value_at,
                              "%s is %g, outside %g to %g", key, (double) v, (double) min,
                              (double) max);
    }
  *out = v;
  return ENG_OK;
}

EngStatus
eng_gguf_get_bool_or (const EngGguf *gguf, const char *key, bool fallback, bool *out,
                      EngError *error)
{
  if (eng_gguf_has_key (gguf, key))
    return eng_gguf_get_bool (gguf, key, out, error);
  *out = fallback;
  return ENG_OK;
}

uint64_t
eng_gguf_get_n_keys (const EngGguf *gguf)
{
  return gguf->parts[0].n_kvs;
}

void
eng_gguf_get_entry (const EngGguf *gguf, uint64_t i, EngGgufString *key, EngGgufValue *value)
{
  const EngGgufKv *kv = &gguf->parts[0].kvs[i];
  *key = kv->key;
  if (value)
    read_value (gguf, kv, value);
}

bool
eng_gguf_array_get_i64 (const EngGgufArray *array, uint64_t i, int64_t *out)
{
  Integer v;
  if (i >= array->n
      || !read_integer (array->type, array->data + i * eng_gguf_type_bytes (array->type), &v)
      || (!v.negative && v.u > INT64_MAX))
    return false;
  *out = (int64_t) v.u;
  return true;
}

bool
eng_gguf_array_get_f32 (const EngGgufArray *array, uint64_t i, float *out)
{
  double v;
  if (i >= array->n
      || !read_float (array->type, array->data + i * eng_gguf_type_bytes (array->type), &v))
    return false;
  *out = (float) v;
  return true;
}

EngGgufStrings
eng_gguf_array_get_strings (const EngGgufArray *array)
{
  uint64_t n = array->type == ENG_GGUF_STRING ? array->n : 0;
  return (EngGgufStrings) { array->data, array->data + array->n_bytes, n };
}

bool
eng_gguf_strings_next (EngGgufStrings *it, EngGgufString *out)
{
  uint64_t n;
  if (it->n_left == 0 || it->end - it->at < 8)
    return false;
  memcpy (&n, it->at, sizeof n);
  if (n > (uint64_t) (it->end - it->at) - 8)
    return false;
  *out = (EngGgufString) { (const char *) it->at + 8, n };
  it->at += 8 + n;
  it->n_left--;
  return true;
}

bool
eng_gguf_string_equal (EngGgufString s, const char *text)
{
  size_t n = strlen (text);
  return s.n_bytes == n && memcmp (s.data, text, n) == 0;
}
