/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eng-error.h"
#include "eng-number.h"

/* Objects up to this size are searched from end to end; larger ones by their sorted index. */
#define SMALL_OBJECT ((size_t) 8)

typedef struct
{
  const char *s;
  size_t n, i;
  unsigned flags, depth;
  size_t n_values;
  EngArena *arena;
  EngError *error;
  EngStatus status;
  EngJson *stack; /* children of the containers still open, innermost last */
  size_t n_stack, cap_stack;
} Reader;

static bool
fail_at (Reader *r, size_t offset, EngStatus status, const char *what)
{
  uint32_t line = 1;
  for (size_t k = 0; k < offset && k < r->n; k++)
    line += r->s[k] == '\n';
  r->status
      = eng_error_set (r->error, status, NULL, offset, "JSON line %u: %s", (unsigned) line, what);
  if (r->error)
    r->error->line = line;
  return false;
}

static bool
fail (Reader *r, const char *what)
{
  return fail_at (r, r->i, ENG_ERR_FORMAT, what);
}

static bool
no_memory (Reader *r)
{
  return fail_at (r, r->i, ENG_ERR_NO_MEMORY, "no memory for what it holds");
}

static void
skip_space (Reader *r)
{
  while (r->i < r->n
         && (r->s[r->i] == ' ' || r->s[r->i] == '\n' || r->s[r->i] == '\r' || r->s[r->i] == '\t'))
    r->i++;
}

static bool
take_word (Reader *r, const char *word)
{
  size_t n = strlen (word);
  if (r->n - r->i < n || memcmp (r->s + r->i, word, n) != 0)
    return false;
  r->i += n;
  return true;
}

/* Length of the well-formed UTF-8 sequence at @p (Unicode 15, table 3-7), 0 if there is none. */
static size_t
utf8_length (const unsigned char *p, size_t n)
{
  if (p[0] < 0x80)
    return 1;
  size_t len = p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
  if (len == 0 || len > n)
    return 0;
  unsigned char low = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
  unsigned char high = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
  if (p[1] < low || p[1] > high)
    return 0;
  for (size_t k = 2; k < len; k++)
    if ((p[k] & 0xc0) != 0x80)
      return 0;
  return len;
}

static size_t
put_utf8 (char *out, uint32_t c)
{
  if (c < 0x80)
    {
      out[0] = (char) c;
      return 1;
    }
  size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
  for (size_t k = n - 1; k > 0; k--, c >>= 6)
    out[k] = (char) (0x80 | (c & 0x3f));
  out[0] = (char) ((0xf00 >> n & 0xff) | c);
  return n;
}

static bool
read_hex4 (Reader *r, uint32_t *out)
{
  uint32_t c = 0;
  if (r->n - r->i < 4)
    return fail (r, "an escape is cut short");
  for (int k = 0; k < 4; k++)
    {
      char h = r->s[r->i + k];
      int digit = h >= '0' && h <= '9'   ? h - '0'
                  : h >= 'a' && h <= 'f' ? h - 'a' + 10
                  : h >= 'A' && h <= 'F' ? h - 'A' + 10
                                         : -1;
      if (digit < 0)
        return fail (r, "\\u needs four hexadecimal digits");
      c = c << 4 | (uint32_t) digit;
    }
  r->i += 4;
  *out = c;
  return true;
}

/* Reads what follows a backslash; writes at most 4 bytes. */
static bool
read_escape (Reader *r, char *out, size_t *n_out)
{
  static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
  if (r->i >= r->n)
    return fail (r, "an escape is cut short");
  char c = r->s[r->i];
  const char *at = c ? strchr (from, c) : NULL;
  if (at)
    {
      r->i++;
      out[0] = to[at - from];
      *n_out = 1;
      return true;
    }
  uint32_t code, low;
  if (c != 'u')
    return fail (r, "unknown escape");
  r->i++;
  if (!read_hex4 (r, &code))
    return false;
  if (code >= 0xd800 && code < 0xe000)
    {
      size_t before = r->i;
      bool pair = code < 0xdc00 && r->n - r->i >= 6 && r->s[r->i] == '\\' && r->s[r->i + 1] == 'u';
      if (pair)
        {
          r->i += 2;
          if (!read_hex4 (r, &low))
            return false;
          pair = low >= 0xdc00 && low < 0xe000;
        }
      if (pair)
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
      else
        { /* half a character: replaced; the escape behind it stands for itself */
          r->i = before;
          code = 0xfffd;
        }
    }
  *n_out = put_utf8 (out, code);
  return true;
}

/* At the opening quote. */
static bool
read_string (Reader *r, const char **string, size_t *n_bytes)
{
  size_t start = ++r->i, end = start;
  while (end < r->n && r->s[end] != '"')
    end += r->s[end] == '\\' ? 2 : 1;
  if (end >= r->n)
    return fail_at (r, start - 1, ENG_ERR_FORMAT, "a string is not closed");
  /* An escape never decodes to more bytes than it was written with. */
  char *out = eng_arena_alloc (r->arena, end - start + 1);
  size_t n = 0, n_escape;
  if (!out)
    return no_memory (r);
  while (r->i < end)
    {
      unsigned char c = (unsigned char) r->s[r->i];
      if (c == '\\')
        {
          r->i++;
          if (!read_escape (r, out + n, &n_escape))
            return false;
          n += n_escape;
          continue;
        }
      if (c < 0x20)
        return fail (r, "a control character stands unescaped in a string");
      size_t len = utf8_length ((const unsigned char *) r->s + r->i, end - r->i);
      if (len == 0)
        return fail (r, "invalid UTF-8");
      memcpy (out + n, r->s + r->i, len);
      n += len;
      r->i += len;
    }
  r->i = end + 1;
  out[n] = '\0';
  *string = out;
  *n_bytes = n;
  return true;
}

static bool
read_number (Reader *r, EngJson *out)
{
  size_t start = r->i, k = start;
  bool integral = true;
  out->type = ENG_JSON_NUMBER;
  if (r->flags & ENG_JSON_ALLOW_NAN)
    {
      bool negative = r->s[k] == '-';
      r->i += negative;
      if (take_word (r, "Infinity") || (!negative && take_word (r, "NaN")))
        {
          out->number = r->s[r->i - 1] == 'N' ? (double) NAN : negative ? -HUGE_VAL : HUGE_VAL;
          return true;
        }
      r->i = start;
    }
  if (r->s[k] == '-')
    k++;
  size_t first = k;
  while (k < r->n && r->s[k] >= '0' && r->s[k] <= '9')
    k++;
  if (k == first)
    return fail (r, "no value here");
  if (r->s[first] == '0' && k - first > 1)
    return fail (r, "a number starts with a needless zero");
  size_t whole_end = k;
  while (k < r->n && r->s[k] && strchr ("0123456789+-.eE", r->s[k]))
    k++;
  integral = k == whole_end;
  if (r->s[whole_end < r->n ? whole_end : start] == '.'
      && (whole_end + 1 >= k || r->s[whole_end + 1] < '0' || r->s[whole_end + 1] > '9'))
    return fail (r, "malformed number");
  if (!eng_parse_double (r->s + start, k - start, &out->number))
    return fail (r, "malformed number");
  if (isinf (out->number) && !(r->flags & ENG_JSON_ALLOW_NAN))
    return fail (r, "a number is beyond the range of a double");
  out->is_integer = integral && eng_parse_int64 (r->s + start, k - start, &out->integer);
  out->is_large = integral && !out->is_integer;
  r->i = k;
  return true;
}

static int
compare_keys (const char *a, size_t n_a, const char *b, size_t n_b)
{
  int c = memcmp (a, b, n_a < n_b ? n_a : n_b);
  return c ? c : (n_a > n_b) - (n_a < n_b);
}

static int
compare_members (const EngJson *items, uint32_t a, uint32_t b)
{
  return compare_keys (items[a].key, items[a].key_bytes, items[b].key, items[b].key_bytes);
}

/* Bottom-up merge sort: stable, and n log n whatever a hostile file does. @scratch has @n places.
 */
static void
sort_members (const EngJson *items, uint32_t *index, uint32_t *scratch, size_t n)
{
  for (size_t width = 1; width < n; width *= 2)
    {
      for (size_t low = 0; low < n; low += 2 * width)
        {
          size_t mid = low + width < n ? low + width : n, high = mid + width < n ? mid + width : n;
          size_t a = low, b = mid;
          for (size_t k = low; k < high; k++)
            scratch[k] = b >= high || (a < mid && compare_members (items, index[a], index[b]) <= 0)
                             ? index[a++]
                             : index[b++];
        }
      memcpy (index, scratch, n * sizeof *index);
    }
}

static void
take_value_of (EngJson *slot, const EngJson *from)
{
  const char *key = slot->key;
  uint32_t key_bytes = slot->key_bytes;
  *slot = *from;
  slot->key = key;
  slot->key_bytes = key_bytes;
}

/* Removes members whose key was NULLed, keeping the order; returns how many are left. */
static size_t
compact (EngJson *items, size_t n)
{
  size_t kept = 0;
  for (size_t k = 0; k < n; k++)
    if (items[k].key)
      items[kept++] = items[k];
  return kept;
}

static void
drop_duplicates_small (EngJson *items, size_t *n)
{
  bool any = false;
  for (size_t a = 0; a < *n; a++)
    for (size_t b = a + 1; b < *n && items[a].key; b++)
      if (items[b].key && compare_members (items, (uint32_t) a, (uint32_t) b) == 0)
        {
          take_value_of (&items[a], &items[b]);
          items[b].key = NULL;
          any = true;
        }
  if (any)
    *n = compact (items, *n);
}

/* Sorted index of a large object's members, duplicates gone; NULL without memory. */
static const uint32_t *
index_members (EngArena *arena, EngJson *items, size_t *n)
{
  uint32_t *index = eng_arena_alloc_array (arena, *n, sizeof *index);
  uint32_t *scratch = eng_alloc_array (*n, sizeof *scratch);
  if (!index || !scratch)
    {
      eng_free (scratch);
      return NULL;
    }
  for (size_t k = 0; k < *n; k++)
    index[k] = (uint32_t) k;
  sort_members (items, index, scratch, *n);
  bool any = false;
  memset (scratch, 0, *n * sizeof *scratch);
  for (size_t k = 0; k + 1 < *n;)
    {
      size_t same = k + 1;
      while (same < *n && compare_members (items, index[k], index[same]) == 0)
        same++;
      if (same > k + 1)
        { /* stable: the last of the run is the last in the text */
          take_value_of (&items[index[k]], &items[index[same - 1]]);
          any = true;
        }
      for (size_t j = k + 1; j < same; j++)
        scratch[j] = 1;
      k = same;
    }
  if (any)
    {
      for (size_t k = 0; k < *n; k++)
        if (scratch[k])
          items[index[k]].key = NULL;
      *n = compact (items, *n);
      for (size_t k = 0; k < *n; k++)
        index[k] = (uint32_t) k;
      sort_members (items, index, scratch, *n);
    }
  eng_free (scratch);
  return index;
}

static bool
push_child (Reader *r, const EngJson *child)
{
  if (r->n_stack == r->cap_stack)
    {
      size_t cap = r->cap_stack ? r->cap_stack * 2 : 64;
      EngJson *stack = eng_realloc_array (r->stack, cap, sizeof *stack);
      if (!stack)
        return no_memory (r);
      r->stack = stack;
      r->cap_stack = cap;
    }
  r->stack[r->n_stack++] = *child;
  return true;
}

/* The children pushed since @base become the content of @out. */
static bool
close_container (Reader *r, size_t base, EngJson *out)
{
  size_t n = r->n_stack - base;
  out->n = n;
  r->n_stack = base;
  if (n == 0)
    return true;
  EngJson *items = eng_arena_alloc_array (r->arena, n, sizeof *items);
  if (!items)
    return no_memory (r);
  memcpy (items, r->stack + base, n * sizeof *items);
  if (out->type == ENG_JSON_OBJECT)
    {
      if (n <= SMALL_OBJECT)
        drop_duplicates_small (items, &out->n);
      else if (!(out->sorted = index_members (r->arena, items, &out->n)))
        return no_memory (r);
    }
  out->items = items;
  return true;
}

static bool read_value (Reader *r, EngJson *out);

static bool
read_member_name (Reader *r, EngJson *child)
{
  size_t n_bytes;
  if (r->i >= r->n || r->s[r->i] != '"')
    return fail (r, "a member's name in quotes belongs here");
  if (!read_string (r, &child->key, &n_bytes))
    return false;
  child->key_bytes = (uint32_t) n_bytes;
  skip_space (r);
  if (r->i >= r->n || r->s[r->i] != ':')
    return fail (r, "a colon belongs here");
  r->i++;
  skip_space (r);
  return true;
}

static bool
read_container (Reader *r, EngJson *out)
{
  bool is_object = r->s[r->i] == '{';
  char end = is_object ? '}' : ']';
  size_t base = r->n_stack;
  out->type = is_object ? ENG_JSON_OBJECT : ENG_JSON_ARRAY;
  if (r->depth >= ENG_JSON_MAX_DEPTH)
    return fail_at (r, r->i, ENG_ERR_LIMIT, "nested too deeply");
  r->depth++;
  r->i++;
  skip_space (r);
  while (r->i >= r->n || r->s[r->i] != end || r->n_stack > base)
    {
      EngJson child = { 0 };
      if ((is_object && !read_member_name (r, &child)) || !read_value (r, &child)
          || !push_child (r, &child))
        return false;
      skip_space (r);
      if (r->i < r->n && r->s[r->i] == end)
        break;
      if (r->i >= r->n || r->s[r->i] != ',')
        return fail (r, is_object ? "a comma or } belongs here" : "a comma or ] belongs here");
      r->i++;
      skip_space (r);
    }
  r->i++;
  r->depth--;
  return close_container (r, base, out);
}

static bool
read_value (Reader *r, EngJson *out)
{
  if (r->i >= r->n)
    return fail (r, "the text ends where a value belongs");
  if (++r->n_values > ENG_JSON_MAX_VALUES)
    return fail_at (r, r->i, ENG_ERR_LIMIT, "too many values");
  switch (r->s[r->i])
    {
    case '{':
    case '[':
      return read_container (r, out);
    case '"':
      out->type = ENG_JSON_STRING;
      return read_string (r, &out->string, &out->n);
    case 't':
    case 'f':
      out->type = ENG_JSON_BOOL;
      out->boolean = r->s[r->i] == 't';
      return take_word (r, out->boolean ? "true" : "false") || fail (r, "no value here");
    case 'n':
      return take_word (r, "null") || fail (r, "no value here");
    default:
      return read_number (r, out);
    }
}

EngStatus
eng_json_parse (const char *text, size_t n_bytes, unsigned flags, EngArena *arena,
                const EngJson **root, EngError *error)
{
  Reader r = { .s = text, .n = n_bytes, .flags = flags, .arena = arena, .error = error };
  *root = NULL;
  if (n_bytes > ENG_JSON_MAX_BYTES)
    return eng_error_set_numbers (error, ENG_ERR_LIMIT, NULL, n_bytes, ENG_JSON_MAX_BYTES,
                                  "a JSON text is too long");
  EngJson *value = eng_arena_alloc (arena, sizeof *value);
  if (!value)
    return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE, "no memory for JSON");
  if (n_bytes >= 3 && memcmp (text, "\xef\xbb\xbf", 3) == 0)
    r.i = 3;
  skip_space (&r);
  bool ok = read_value (&r, value);
  skip_space (&r);
  if (ok && r.i != r.n)
    ok = fail (&r, "something follows the value");
  eng_free (r.stack);
  if (ok)
    *root = value;
  return ok ? ENG_OK : r.status;
}

const EngJson *
eng_json_get_n (const EngJson *object, const char *key, size_t key_bytes)
{
  if (!object || object->type != ENG_JSON_OBJECT)
    return NULL;
  if (!object->sorted)
    {
      for (size_t k = 0; k < object->n; k++)
        if (object->items[k].key_bytes == key_bytes
            && memcmp (object->items[k].key, key, key_bytes) == 0)
          return &object->items[k];
      return NULL;
    }
  size_t low = 0, high = object->n;
  while (low < high)
    {
      size_t mid = low + (high - low) / 2;
      const EngJson *item = &object->items[object->sorted[mid]];
      int c = compare_keys (key, key_bytes, item->key, item->key_bytes);
      if (c == 0)
        return item;
      if (c < 0)
        high = mid;
      else
        low = mid + 1;
    }
  return NULL;
}

const EngJson *
eng_json_get (const EngJson *object, const char *key)
{
  return eng_json_get_n (object, key, strlen (key));
}

const EngJson *
eng_json_at (const EngJson *container, size_t i)
{
  if (!container || (container->type != ENG_JSON_ARRAY && container->type != ENG_JSON_OBJECT)
      || i >= container->n)
    return NULL;
  return &container->items[i];
}

bool
eng_json_is_string (const EngJson *value, const char *s)
{
  return value && value->type == ENG_JSON_STRING && value->n == strlen (s)
         && memcmp (value->string, s, value->n) == 0;
}

bool
eng_json_get_string (const EngJson *object, const char *key, const char **out)
{
  const EngJson *v = eng_json_get (object, key);
  if (!v || v->type != ENG_JSON_STRING || strlen (v->string) != v->n)
    return false;
  *out = v->string;
  return true;
}

bool
eng_json_get_int64 (const EngJson *object, const char *key, int64_t *out)
{
  const EngJson *v = eng_json_get (object, key);
  if (!v || v->type != ENG_JSON_NUMBER)
    return false;
  if (v->is_integer)
    *out = v->integer;
  else if (!v->is_large && v->number == trunc (v->number) && fabs (v->number) <= 0x1p53)
    *out = (int64_t) v->number;
  else
    return false;
  return true;
}

bool
eng_json_get_double (const EngJson *object, const char *key, double *out)
{
  const EngJson *v = eng_json_get (object, key);
  if (!v || v->type != ENG_JSON_NUMBER)
    return false;
  *out = v->number;
  return true;
}

bool
eng_json_get_bool (const EngJson *object, const char *key, bool *out)
{
  const EngJson *v = eng_json_get (object, key);
  if (!v || v->type != ENG_JSON_BOOL)
    return false;
  *out = v->boolean;
  return true;
}
