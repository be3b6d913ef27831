/* SPDX-License-Identifier: Apache-2.0 */
/* What can be done with values: attributes, subscripts, slices, walking, arithmetic, sorting. */
#include <math.h>
#include <stdio.h>

#include "eng-template-private.h"

/* ---- attributes and subscripts */

static bool
missing (TplRender *r, const TplValue *object, const TplValue *name, TplValue *out)
{
  return eng_tpl_make_undefined (r, NULL, object, name, out);
}

/* What Python calls an attribute: methods and the fields of our own objects. */
static bool
find_attribute (TplRender *r, const TplValue *v, const TplString *name, TplValue *out, bool *found)
{
  bool refused = false, unsafe = false;
  char hint[160];
  const TplFunction *method = eng_tpl_find_method (v, name, &refused, &unsafe);
  TplEntry *entry;
  TplValue key = { .kind = TPL_STRING, .string = name };
  int n = name->n_bytes > 60 ? 60 : (int) name->n_bytes;
  *found = true;
  if (method)
    {
      TplBound *bound = eng_tpl_alloc (r, 1, sizeof *bound);
      if (!bound)
        return false;
      bound->function = method;
      bound->self = *v;
      *out = (TplValue){ .kind = TPL_METHOD, .bound = bound };
      return true;
    }
  if (unsafe)
    { /* Jinja complains only when the attribute is used */
      n = snprintf (hint, sizeof hint, "access to attribute '%.*s' of '%s' object is unsafe.", n,
                    name->data, eng_tpl_type_name (v));
      char *text = eng_tpl_alloc (r, (size_t) n + 1, 1);
      if (!text)
        return false;
      memcpy (text, hint, (size_t) n + 1);
      return eng_tpl_make_undefined (r, text, NULL, NULL, out);
    }
  if (refused || (name->n_bytes >= 2 && memcmp (name->data, "__", 2) == 0))
    return eng_tpl_refuse (r, "unsupported name '%.*s' of a %s", n, name->data,
                           eng_tpl_type_name (v));
  if (v->kind == TPL_LOOP)
    return eng_tpl_loop_attribute (r, v->loop, name, out, found);
  if (v->kind == TPL_NAMESPACE)
    {
      if (!eng_tpl_dict_find (r, v->dict, &key, &entry))
        return false;
      *found = entry != NULL;
      if (entry)
        *out = entry->value;
      return true;
    }
  *found = false;
  return true;
}

bool
eng_tpl_getattr (TplRender *r, const TplValue *v, const TplString *name, TplValue *out)
{
  TplValue key = { .kind = TPL_STRING, .string = name };
  TplEntry *entry = NULL;
  bool found;
  if (v->kind == TPL_UNDEFINED)
    return eng_tpl_undefined_error (r, v);
  if (v->kind == TPL_DICT && name->n_bytes >= 2 && memcmp (name->data, "__", 2) == 0)
    return eng_tpl_getitem (r, v, &key, out);
  if (!find_attribute (r, v, name, out, &found))
    return false;
  if (found)
    return true;
  if (v->kind == TPL_DICT && !eng_tpl_dict_find (r, v->dict, &key, &entry))
    return false;
  if (!entry)
    return missing (r, v, &key, out);
  *out = entry->value;
  return true;
}

static bool
get_index (TplRender *r, const TplValue *v, int64_t i, TplValue *out, bool *found)
{
  int64_t n;
  uint32_t length;
  *found = false;
  if (v->kind != TPL_LIST && v->kind != TPL_TUPLE && v->kind != TPL_STRING && v->kind != TPL_RANGE)
    return true;
  if (!eng_tpl_length (r, v, &n))
    return false;
  if (i < 0)
    i += n;
  if (i < 0 || i >= n)
    return true;
  *found = true;
  if (v->kind == TPL_RANGE)
    *out = eng_tpl_int (v->range->start + i * v->range->step);
  else if (v->kind != TPL_STRING)
    *out = v->list->items[i];
  else
    {
      if (v->string->n_chars != v->string->n_bytes && !eng_tpl_charge_bytes (r, v->string->n_bytes))
        return false;
      uint32_t at = eng_tpl_char_offset (v->string, (uint32_t) i);
      eng_tpl_char_at (v->string, at, &length);
      return eng_tpl_substring (r, v->string, at, at + length, out);
    }
  return true;
}

bool
eng_tpl_getitem (TplRender *r, const TplValue *v, const TplValue *key, TplValue *out)
{
  TplEntry *entry = NULL;
  bool found = false;
  if (v->kind == TPL_UNDEFINED)
    return eng_tpl_undefined_error (r, v);
  if (v->kind == TPL_DICT)
    {
      if (key->kind != TPL_LIST && key->kind != TPL_DICT
          && !eng_tpl_dict_find (r, v->dict, key, &entry))
        return false;
      found = entry != NULL;
      if (found)
        *out = entry->value;
    }
  else if (key->kind == TPL_INT || key->kind == TPL_BOOL)
    {
      if (!get_index (r, v, key->kind == TPL_INT ? key->integer : key->boolean, out, &found))
        return false;
    }
  if (!found && key->kind == TPL_STRING && !find_attribute (r, v, key->string, out, &found))
    return false;
  return found || missing (r, v, key, out);
}

/* ---- slices */

static bool
slice_index (TplRender *r, const TplValue *v, int64_t fallback, int64_t n, int64_t step,
             int64_t *out)
{
  if (v->kind == TPL_ABSENT || v->kind == TPL_NONE)
    {
      *out = fallback;
      return true;
    }
  if (v->kind == TPL_UNDEFINED || (v->kind != TPL_INT && v->kind != TPL_BOOL))
    return eng_tpl_raise (r, "slice indices must be integers or None or have an __index__ method");
  int64_t i = v->kind == TPL_INT ? v->integer : v->boolean;
  if (i < 0)
    i = i < -n ? -1 : i + n;
  if (i < 0)
    i = step < 0 ? -1 : 0;
  if (i >= n)
    i = step < 0 ? n - 1 : n;
  *out = i;
  return true;
}

static bool
slice_string (TplRender *r, const TplString *s, int64_t start, int64_t step, uint32_t n,
              TplValue *out)
{
  TplBuilder b = { .r = r };
  uint32_t length;
  if (!eng_tpl_charge_bytes (r, s->n_bytes))
    return false;
  if (n == 0)
    return eng_tpl_builder_finish (&b, out);
  if (step == 1)
    return eng_tpl_substring (r, s, eng_tpl_char_offset (s, (uint32_t) start),
                              eng_tpl_char_offset (s, (uint32_t) start + n), out);
  /* Offsets of all characters first: stepping back through UTF-8 by index would be quadratic. */
  uint32_t *offsets = eng_tpl_alloc (r, s->n_chars, sizeof *offsets), count = 0;
  if (!offsets)
    return false;
  for (uint32_t i = 0; i < s->n_bytes; i++)
    if ((s->data[i] & 0xc0) != 0x80)
      offsets[count++] = i;
  for (uint32_t k = 0; k < n; k++)
    {
      uint32_t at = offsets[start + (int64_t) k * step];
      eng_tpl_char_at (s, at, &length);
      if (!eng_tpl_append_range (&b, s, at, at + length))
        return false;
    }
  return eng_tpl_builder_finish (&b, out);
}

bool
eng_tpl_slice (TplRender *r, const TplValue *v, const TplValue *start, const TplValue *stop,
               const TplValue *step, TplValue *out)
{
  int64_t n = 0, from = 0, to = 0, by = 1;
  if (v->kind == TPL_UNDEFINED)
    return eng_tpl_undefined_error (r, v);
  if (v->kind == TPL_DICT)
    return eng_tpl_raise (r, "unhashable type: 'slice'");
  if (v->kind != TPL_LIST && v->kind != TPL_TUPLE && v->kind != TPL_STRING && v->kind != TPL_RANGE)
    return eng_tpl_raise (r, "'%s' object is not subscriptable", eng_tpl_type_name (v));
  if (step->kind != TPL_ABSENT && step->kind != TPL_NONE)
    {
      if (step->kind != TPL_INT)
        return eng_tpl_raise (r,
                              "slice indices must be integers or None or have an __index__ method");
      by = step->integer;
    }
  if (by == 0)
    return eng_tpl_raise (r, "slice step cannot be zero");
  if (by < -INT32_MAX || by > INT32_MAX)
    by = by < 0 ? -INT32_MAX : INT32_MAX; /* longer than any sequence */
  if (!eng_tpl_length (r, v, &n) || !slice_index (r, start, by < 0 ? n - 1 : 0, n, by, &from)
      || !slice_index (r, stop, by < 0 ? -1 : n, n, by, &to))
    return false;
  int64_t count = by > 0 ? (to > from ? (to - from + by - 1) / by : 0)
                         : (to < from ? (from - to - by - 1) / -by : 0);
  if (v->kind == TPL_STRING)
    return slice_string (r, v->string, from, by, (uint32_t) count, out);
  if (v->kind == TPL_RANGE)
    {
      TplRangeData *range = eng_tpl_alloc (r, 1, sizeof *range);
      if (!range)
        return false;
      range->start = v->range->start + from * v->range->step;
      range->step = v->range->step * by;
      range->stop = v->range->start + to * v->range->step;
      range->n = (uint32_t) count;
      *out = (TplValue){ .kind = TPL_RANGE, .range = range };
      return true;
    }
  if (!eng_tpl_charge (r, (uint64_t) count / 4))
    return false;
  if (by == 1)
    return eng_tpl_make_list (r, v->kind, v->list->items + (count ? from : 0), (uint32_t) count,
                              out);
  TplValue *items = eng_tpl_alloc (r, (size_t) count, sizeof *items);
  if (!items)
    return false;
  for (int64_t k = 0; k < count; k++)
    items[k] = v->list->items[from + k * by];
  return eng_tpl_make_list (r, v->kind, items, (uint32_t) count, out);
}

/* ---- walking */

bool
eng_tpl_length (TplRender *r, const TplValue *v, int64_t *out)
{
  switch ((TplKind) v->kind)
    {
    case TPL_UNDEFINED:
      *out = 0;
      return true;
    case TPL_STRING:
      *out = v->string->n_chars;
      return true;
    case TPL_LIST:
    case TPL_TUPLE:
      *out = v->list->n;
      return true;
    case TPL_DICT:
    case TPL_VIEW:
      *out = v->dict->n;
      return true;
    case TPL_RANGE:
      *out = v->range->n;
      return true;
    case TPL_LOOP:
      return eng_tpl_loop_length (r, v->loop, out);
    default:
      return eng_tpl_raise (r, "object of type '%s' has no len()", eng_tpl_type_name (v));
    }
}

bool
eng_tpl_is_iterable (const TplValue *v)
{
  switch ((TplKind) v->kind)
    {
    case TPL_UNDEFINED:
    case TPL_STRING:
    case TPL_LIST:
    case TPL_TUPLE:
    case TPL_DICT:
    case TPL_RANGE:
    case TPL_VIEW:
    case TPL_ITERATOR:
    case TPL_LOOP:
      return true;
    default:
      return false;
    }
}

bool
eng_tpl_iterate (TplRender *r, const TplValue *v, TplIterator **out)
{
  if (v->kind == TPL_LOOP)
    return eng_tpl_refuse (r, "walking through 'loop' itself is not supported");
  if (!eng_tpl_is_iterable (v))
    return eng_tpl_raise (r, "'%s' object is not iterable", eng_tpl_type_name (v));
  if (v->kind == TPL_ITERATOR)
    {
      *out = v->iterator;
      return true;
    }
  *out = eng_tpl_alloc (r, 1, sizeof **out);
  if (!*out)
    return false;
  (*out)->source = *v;
  return true;
}

bool
eng_tpl_next (TplRender *r, TplIterator *it, TplValue *out, bool *done)
{
  const TplValue *v = &it->source;
  uint32_t i = it->next, length;
  *done = true;
  if (!eng_tpl_charge (r, 1))
    return false;
  switch ((TplKind) v->kind)
    {
    case TPL_LIST:
    case TPL_TUPLE:
      if (i >= v->list->n)
        return true;
      *out = v->list->items[i];
      break;
    case TPL_STRING: /* @next counts bytes */
      if (i >= v->string->n_bytes)
        return true;
      *done = false;
      eng_tpl_char_at (v->string, i, &length);
      it->next += length;
      return eng_tpl_substring (r, v->string, i, i + length, out);
    case TPL_RANGE:
      if (i >= v->range->n)
        return true;
      *out = eng_tpl_int (v->range->start + i * v->range->step);
      break;
    case TPL_DICT:
    case TPL_VIEW:
      if (i >= v->dict->n)
        return true;
      if (v->kind == TPL_VIEW && v->view == TPL_VIEW_ITEMS)
        {
          if (!eng_tpl_make_pair (r, &v->dict->entries[i].key, &v->dict->entries[i].value, out))
            return false;
        }
      else if (v->kind == TPL_VIEW && v->view == TPL_VIEW_VALUES)
        *out = v->dict->entries[i].value;
      else
        *out = v->dict->entries[i].key;
      break;
    default: /* Undefined: nothing */
      return true;
    }
  it->next++;
  *done = false;
  return true;
}

bool
eng_tpl_collect (TplRender *r, const TplValue *v, TplList *out)
{
  TplItems items = { .r = r };
  TplIterator *it = NULL;
  TplValue item;
  bool done;
  if (v->kind == TPL_LIST || v->kind == TPL_TUPLE)
    {
      *out = *v->list;
      return eng_tpl_charge (r, 1 + out->n / 8);
    }
  if (!eng_tpl_iterate (r, v, &it))
    return false;
  for (;;)
    {
      if (!eng_tpl_next (r, it, &item, &done))
        return false;
      if (done)
        break;
      if (!eng_tpl_items_add (&items, &item))
        return false;
    }
  static const TplValue nothing;
  out->items = items.items ? items.items : &nothing;
  out->n = items.n;
  return true;
}

/* ---- sorting: stable, also with @reverse, as Python's sorted () */

bool
eng_tpl_sort (TplRender *r, const TplValue *keys, uint32_t *order, uint32_t n, bool reverse)
{
  uint32_t *scratch = eng_tpl_alloc (r, n, sizeof *scratch);
  if (!scratch)
    return false;
  for (uint32_t width = 1; width < n; width *= 2)
    {
      for (uint32_t low = 0; low < n; low += 2 * width)
        {
          uint32_t mid = n - low > width ? low + width : n,
                   high = n - mid > width ? mid + width : n;
          uint32_t a = low, b = mid;
          for (uint32_t k = low; k < high; k++)
            {
              bool take_b = a >= mid;
              if (!take_b && b < high)
                {
                  int c;
                  if (!eng_tpl_compare (r, &keys[order[b]], &keys[order[a]], "<", &c))
                    return false;
                  take_b = reverse ? c == 1 : c == -1;
                }
              scratch[k] = take_b ? order[b++] : order[a++];
            }
        }
      memcpy (order, scratch, n * sizeof *order);
    }
  return true;
}

/* ---- arithmetic */

static bool
is_number (const TplValue *v)
{
  return v->kind == TPL_BOOL || v->kind == TPL_INT || v->kind == TPL_FLOAT;
}

static bool
is_sequence (const TplValue *v)
{
  return v->kind == TPL_STRING || v->kind == TPL_LIST || v->kind == TPL_TUPLE;
}

static const char *const op_names[] = { "+",  "-", "*",  "/", "//", "%",  "** or pow()", "==",
                                        "!=", "<", "<=", ">", ">=", "in", "not in" };

static bool
type_error (TplRender *r, TplOp op, const TplValue *a, const TplValue *b)
{
  if (op == OP_ADD && is_sequence (a))
    return eng_tpl_raise (r, "can only concatenate %s (not \"%s\") to %s", eng_tpl_type_name (a),
                          eng_tpl_type_name (b), eng_tpl_type_name (a));
  if (op == OP_MUL && (is_sequence (a) || is_sequence (b)))
    return eng_tpl_raise (r, "can't multiply sequence by non-int of type '%s'",
                          eng_tpl_type_name (is_sequence (a) ? b : a));
  return eng_tpl_raise (r, "unsupported operand type(s) for %s: '%s' and '%s'", op_names[op],
                        eng_tpl_type_name (a), eng_tpl_type_name (b));
}

static bool
too_large (TplRender *r)
{
  return eng_tpl_refuse (r, "an integer grew beyond 64 bits");
}

static bool
int_power (TplRender *r, int64_t base, int64_t exponent, int64_t *out)
{
  int64_t result = 1;
  while (exponent > 0)
    {
      if ((exponent & 1) && __builtin_mul_overflow (result, base, &result))
        return too_large (r);
      exponent >>= 1;
      if (exponent > 0 && __builtin_mul_overflow (base, base, &base))
        return too_large (r);
    }
  *out = result;
  return true;
}

static bool
int_arithmetic (TplRender *r, TplOp op, int64_t a, int64_t b, TplValue *out)
{
  int64_t c = 0;
  bool overflow = false;
  if ((op == OP_DIV || op == OP_FLOORDIV || op == OP_MOD) && b == 0)
    return eng_tpl_raise (r, op == OP_DIV   ? "division by zero"
                             : op == OP_MOD ? "integer modulo by zero"
                                            : "integer division or modulo by zero");
  switch (op)
    {
    case OP_ADD:
      overflow = __builtin_add_overflow (a, b, &c);
      break;
    case OP_SUB:
      overflow = __builtin_sub_overflow (a, b, &c);
      break;
    case OP_MUL:
      overflow = __builtin_mul_overflow (a, b, &c);
      break;
    case OP_DIV:
      *out = eng_tpl_float ((double) a / (double) b);
      return true;
    case OP_FLOORDIV:
      overflow = a == INT64_MIN && b == -1;
      c = overflow ? 0 : a / b - (a % b != 0 && (a < 0) != (b < 0));
      break;
    case OP_MOD:
      c = b == -1 ? 0 : a % b;
      if (c != 0 && (c < 0) != (b < 0))
        c += b;
      break;
    default:
      if (b < 0)
        {
          if (a == 0)
            return eng_tpl_raise (r, "0.0 cannot be raised to a negative power");
          *out = eng_tpl_float (pow ((double) a, (double) b));
          return true;
        }
      if (!int_power (r, a, b, &c))
        return false;
      break;
    }
  if (overflow)
    return too_large (r);
  *out = eng_tpl_int (c);
  return true;
}

static double
float_mod (double a, double b)
{
  double m = fmod (a, b);
  if (m != 0 && (m < 0) != (b < 0))
    m += b;
  return m == 0 ? copysign (0, b) : m;
}

static bool
float_arithmetic (TplRender *r, TplOp op, double a, double b, TplValue *out)
{
  double c;
  if ((op == OP_DIV || op == OP_FLOORDIV || op == OP_MOD) && b == 0)
    return eng_tpl_raise (r, op == OP_DIV   ? "float division by zero"
                             : op == OP_MOD ? "float modulo"
                                            : "float floor division by zero");
  switch (op)
    {
    case OP_ADD:
      c = a + b;
      break;
    case OP_SUB:
      c = a - b;
      break;
    case OP_MUL:
      c = a * b;
      break;
    case OP_DIV:
      c = a / b;
      break;
    case OP_FLOORDIV:
      c = floor ((a - float_mod (a, b)) / b + 0.5);
      break;
    case OP_MOD:
      c = float_mod (a, b);
      break;
    default:
      if (a == 0 && b < 0)
        return eng_tpl_raise (r, "0.0 cannot be raised to a negative power");
      c = pow (a, b);
      if (isnan (c) && !isnan (a) && !isnan (b))
        return eng_tpl_refuse (r, "complex numbers are not supported");
      if (isinf (c) && !isinf (a) && !isinf (b))
        return eng_tpl_raise (r, "(34, 'Numerical result out of range')");
      break;
    }
  *out = eng_tpl_float (c);
  return true;
}

static bool
concatenate (TplRender *r, const TplValue *a, const TplValue *b, TplValue *out)
{
  if (a->kind == TPL_STRING)
    {
      TplBuilder builder = { .r = r };
      TplValue left = *a, right = *b;
      /* Markup escapes plain text that is added to it. */
      if ((a->markup && !b->markup && !eng_tpl_escape (r, b, &right))
          || (b->markup && !a->markup && !eng_tpl_escape (r, a, &left))
          || !eng_tpl_append_string (&builder, left.string)
          || !eng_tpl_append_string (&builder, right.string)
          || !eng_tpl_builder_finish (&builder, out))
        return false;
      out->markup = a->markup || b->markup;
      return true;
    }
  uint64_t n = (uint64_t) a->list->n + b->list->n;
  TplValue *items = eng_tpl_charge (r, n / 4) ? eng_tpl_alloc (r, n, sizeof *items) : NULL;
  if (!items)
    return false;
  if (a->list->n)
    memcpy (items, a->list->items, a->list->n * sizeof *items);
  if (b->list->n)
    memcpy (items + a->list->n, b->list->items, b->list->n * sizeof *items);
  return eng_tpl_make_list (r, a->kind, items, (uint32_t) n, out);
}

static bool
repeat (TplRender *r, const TplValue *v, int64_t count, TplValue *out)
{
  if (count < 0)
    count = 0;
  if (v->kind == TPL_STRING)
    {
      TplBuilder b = { .r = r };
      if (v->string->n_bytes && (uint64_t) count > r->arena.limit_bytes / v->string->n_bytes)
        return eng_tpl_limit (r, "a string is too long");
      for (int64_t k = 0; v->string->n_bytes && k < count; k++)
        if (!eng_tpl_append_string (&b, v->string))
          return false;
      if (!eng_tpl_builder_finish (&b, out))
        return false;
      out->markup = v->markup;
      return true;
    }
  uint64_t n;
  if (__builtin_mul_overflow ((uint64_t) count, (uint64_t) v->list->n, &n) || n > INT32_MAX)
    return eng_tpl_limit (r, "a list is too long");
  TplValue *items = eng_tpl_charge (r, n / 4) ? eng_tpl_alloc (r, n, sizeof *items) : NULL;
  if (!items)
    return false;
  for (uint64_t k = 0; k < n; k++)
    items[k] = v->list->items[k % v->list->n];
  return eng_tpl_make_list (r, v->kind, items, (uint32_t) n, out);
}

bool
eng_tpl_binary (TplRender *r, TplOp op, const TplValue *a, const TplValue *b, TplValue *out)
{
  bool ok;
  if (op == OP_MOD && a->kind == TPL_STRING)
    {
      if (a->markup)
        return eng_tpl_refuse (r, "formatting of text marked safe is not supported");
      return eng_tpl_format_percent (r, a->string, b, out);
    }
  if (a->kind == TPL_UNDEFINED || b->kind == TPL_UNDEFINED)
    return eng_tpl_undefined_error (r, a->kind == TPL_UNDEFINED ? a : b);
  if (is_number (a) && is_number (b))
    {
      double x = a->kind == TPL_FLOAT  ? a->number
                 : a->kind == TPL_BOOL ? a->boolean
                                       : (double) a->integer;
      double y = b->kind == TPL_FLOAT  ? b->number
                 : b->kind == TPL_BOOL ? b->boolean
                                       : (double) b->integer;
      if (a->kind == TPL_FLOAT || b->kind == TPL_FLOAT)
        ok = float_arithmetic (r, op, x, y, out);
      else
        ok = int_arithmetic (r, op, a->kind == TPL_BOOL ? a->boolean : a->integer,
                             b->kind == TPL_BOOL ? b->boolean : b->integer, out);
      if (ok)
        out->inserted = a->inserted || b->inserted;
      return ok;
    }
  if (op == OP_ADD && is_sequence (a) && a->kind == b->kind)
    return concatenate (r, a, b, out);
  if (op == OP_MUL && is_sequence (a) && (b->kind == TPL_INT || b->kind == TPL_BOOL))
    return repeat (r, a, b->kind == TPL_INT ? b->integer : b->boolean, out);
  if (op == OP_MUL && is_sequence (b) && (a->kind == TPL_INT || a->kind == TPL_BOOL))
    return repeat (r, b, a->kind == TPL_INT ? a->integer : a->boolean, out);
  return type_error (r, op, a, b);
}
