/* SPDX-License-Identifier: Apache-2.0 */
/* Values: making, comparing, their text. Behaves as the Python objects a template sees. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "eng-number.h"
#include "eng-template-private.h"

TplValue
eng_tpl_none (void)
{
  return (TplValue){ .kind = TPL_NONE };
}

TplValue
eng_tpl_bool (bool b)
{
  return (TplValue){ .kind = TPL_BOOL, .boolean = b };
}

TplValue
eng_tpl_int (int64_t i)
{
  return (TplValue){ .kind = TPL_INT, .integer = i };
}

TplValue
eng_tpl_float (double d)
{
  return (TplValue){ .kind = TPL_FLOAT, .number = d };
}

bool
eng_tpl_make_list (TplRender *r, TplKind kind, const TplValue *items, uint32_t n, TplValue *out)
{
  static const TplValue nothing;
  TplList *list = eng_tpl_alloc (r, 1, sizeof *list);
  if (!list)
    return false;
  list->items = items ? items : &nothing; /* never NULL, so that sums with it are defined */
  list->n = n;
  *out = (TplValue){ .kind = (uint8_t) kind, .list = list };
  return true;
}

bool
eng_tpl_make_iterator (TplRender *r, const TplValue *items, uint32_t n, TplValue *out)
{
  TplIterator *it = eng_tpl_alloc (r, 1, sizeof *it);
  if (!it || !eng_tpl_make_list (r, TPL_LIST, items, n, &it->source))
    return false;
  *out = (TplValue){ .kind = TPL_ITERATOR, .iterator = it };
  return true;
}

bool
eng_tpl_make_pair (TplRender *r, const TplValue *a, const TplValue *b, TplValue *out)
{
  TplValue *items = eng_tpl_alloc (r, 2, sizeof *items);
  if (!items)
    return false;
  items[0] = *a;
  items[1] = *b;
  return eng_tpl_make_list (r, TPL_TUPLE, items, 2, out);
}

bool
eng_tpl_make_undefined (TplRender *r, const char *hint, const TplValue *object,
                        const TplValue *name, TplValue *out)
{
  TplUndefined *u = eng_tpl_alloc (r, 1, sizeof *u);
  if (!u)
    return false;
  u->hint = hint;
  if (object)
    u->object = *object;
  if (name)
    u->name = *name;
  *out = (TplValue){ .kind = TPL_UNDEFINED, .undefined = u };
  return true;
}

bool
eng_tpl_make_undefined_name (TplRender *r, const TplString *name, TplValue *out)
{
  TplValue v = { .kind = TPL_STRING, .string = name };
  return eng_tpl_make_undefined (r, NULL, NULL, &v, out);
}

bool
eng_tpl_items_add (TplItems *items, const TplValue *v)
{
  if (items->n == items->capacity)
    {
      uint32_t capacity = items->capacity ? items->capacity * 2 : 8;
      TplValue *fresh = eng_tpl_alloc (items->r, capacity, sizeof *fresh);
      if (!fresh)
        return false;
      if (items->n)
        memcpy (fresh, items->items, items->n * sizeof *fresh);
      items->items = fresh;
      items->capacity = capacity;
    }
  items->items[items->n++] = *v;
  return true;
}

/* ---- from JSON */

static bool
json_string (TplRender *r, const char *data, size_t n, bool inserted, TplValue *out)
{
  return eng_tpl_make_string (r, data, n, inserted, out);
}

bool
eng_tpl_from_json (TplRender *r, const EngJson *json, TplValue *out)
{
  /* ENG_JSON_MAX_DEPTH bounds the recursion. */
  TplDict *dict;
  TplValue *items;
  switch (json->type)
    {
    case ENG_JSON_NULL:
      *out = eng_tpl_none ();
      break;
    case ENG_JSON_BOOL:
      *out = eng_tpl_bool (json->boolean);
      break;
    case ENG_JSON_NUMBER:
      if (json->is_large)
        return eng_tpl_refuse (r, "an integer in the variables has more than 64 bits");
      *out = json->is_integer ? eng_tpl_int (json->integer) : eng_tpl_float (json->number);
      break;
    case ENG_JSON_STRING:
      return json_string (r, json->string, json->n, true, out);
    case ENG_JSON_ARRAY:
      if (!(items = eng_tpl_alloc (r, json->n, sizeof *items)))
        return false;
      for (size_t k = 0; k < json->n; k++)
        if (!eng_tpl_from_json (r, &json->items[k], &items[k]))
          return false;
      return eng_tpl_make_list (r, TPL_LIST, items, (uint32_t) json->n, out);
    case ENG_JSON_OBJECT:
      dict = eng_tpl_alloc (r, 1, sizeof *dict);
      if (!dict || !(dict->entries = eng_tpl_alloc (r, json->n, sizeof *dict->entries)))
        return false;
      dict->n = dict->capacity = (uint32_t) json->n;
      for (size_t k = 0; k < json->n; k++)
        if (!json_string (r, json->items[k].key, json->items[k].key_bytes, true,
                          &dict->entries[k].key)
            || !eng_tpl_from_json (r, &json->items[k], &dict->entries[k].value))
          return false;
      *out = (TplValue){ .kind = TPL_DICT, .dict = dict };
      return true;
    }
  out->inserted = true;
  return true;
}

/* ---- truth, equality, order */

bool
eng_tpl_truth (const TplValue *v)
{
  switch ((TplKind) v->kind)
    {
    case TPL_ABSENT:
    case TPL_UNDEFINED:
    case TPL_NONE:
      return false;
    case TPL_BOOL:
      return v->boolean;
    case TPL_INT:
      return v->integer != 0;
    case TPL_FLOAT:
      return v->number != 0;
    case TPL_STRING:
      return v->string->n_bytes > 0;
    case TPL_LIST:
    case TPL_TUPLE:
      return v->list->n > 0;
    case TPL_DICT:
    case TPL_VIEW:
      return v->dict->n > 0;
    case TPL_RANGE:
      return v->range->n > 0;
    default:
      return true;
    }
}

static bool
is_number (const TplValue *v)
{
  return v->kind == TPL_BOOL || v->kind == TPL_INT || v->kind == TPL_FLOAT;
}

static int64_t
as_int (const TplValue *v)
{
  return v->kind == TPL_BOOL ? v->boolean : v->integer;
}

/* Exact, also where a 64-bit integer has no double. 2: not ordered. */
static int
compare_numbers (const TplValue *a, const TplValue *b)
{
  if (a->kind != TPL_FLOAT && b->kind != TPL_FLOAT)
    return (as_int (a) > as_int (b)) - (as_int (a) < as_int (b));
  if (a->kind == TPL_FLOAT && b->kind == TPL_FLOAT)
    return isnan (a->number) || isnan (b->number)
               ? 2
               : (a->number > b->number) - (a->number < b->number);
  if (a->kind == TPL_FLOAT)
    {
      int c = compare_numbers (b, a);
      return c == 2 ? 2 : -c;
    }
  if (isnan (b->number))
    return 2;
  if (b->number >= 0x1p63)
    return -1;
  if (b->number < -0x1p63)
    return 1;
  int64_t whole = (int64_t) b->number, i = as_int (a);
  if (i != whole)
    return i < whole ? -1 : 1;
  double rest = b->number - (double) whole;
  return (rest < 0) - (rest > 0);
}

static bool
enter (TplRender *r)
{
  if (r->depth >= ENG_TEMPLATE_MAX_DEPTH)
    return eng_tpl_limit (r, "values or calls are nested too deeply");
  r->depth++;
  return true;
}

static bool
equal_lists (TplRender *r, const TplList *a, const TplList *b, bool *out)
{
  *out = a->n == b->n;
  for (uint32_t k = 0; k < a->n && *out; k++)
    if (!eng_tpl_equal (r, &a->items[k], &b->items[k], out))
      return false;
  return true;
}

static bool
equal_dicts (TplRender *r, const TplDict *a, const TplDict *b, bool *out)
{
  *out = a->n == b->n;
  for (uint32_t k = 0; k < a->n && *out; k++)
    {
      TplEntry *other;
      if (!eng_tpl_dict_find (r, b, &a->entries[k].key, &other))
        return false;
      *out = other != NULL;
      if (other && !eng_tpl_equal (r, &a->entries[k].value, &other->value, out))
        return false;
    }
  return true;
}

bool
eng_tpl_equal (TplRender *r, const TplValue *a, const TplValue *b, bool *out)
{
  bool ok = true;
  *out = false;
  if (!eng_tpl_charge (r, 1))
    return false;
  if (is_number (a) && is_number (b))
    {
      *out = compare_numbers (a, b) == 0;
      return true;
    }
  if (a->kind != b->kind)
    return true;
  switch ((TplKind) a->kind)
    {
    case TPL_ABSENT:
    case TPL_UNDEFINED:
    case TPL_NONE:
      *out = true;
      return true;
    case TPL_STRING:
      *out = eng_tpl_string_equal (a->string, b->string);
      return a->string->n_bytes != b->string->n_bytes
             || eng_tpl_charge_bytes (r, a->string->n_bytes);
    case TPL_LIST:
    case TPL_TUPLE:
      if (!enter (r))
        return false;
      ok = equal_lists (r, a->list, b->list, out);
      r->depth--;
      return ok;
    case TPL_DICT:
      if (!enter (r))
        return false;
      ok = equal_dicts (r, a->dict, b->dict, out);
      r->depth--;
      return ok;
    case TPL_RANGE:
      *out = a->range->n == b->range->n && (a->range->n == 0 || a->range->start == b->range->start)
             && (a->range->n < 2 || a->range->step == b->range->step);
      return true;
    case TPL_VIEW:
      if (a->view != b->view || a->view == TPL_VIEW_VALUES)
        {
          *out = a->dict == b->dict && a->view == b->view;
          return true;
        }
      return eng_tpl_refuse (r, "comparing dictionary views is not supported");
    case TPL_METHOD:
      *out = a->bound == b->bound;
      return true;
    default: /* by identity */
      *out = a->dict == b->dict;
      return true;
    }
}

bool
eng_tpl_compare (TplRender *r, const TplValue *a, const TplValue *b, const char *op, int *out)
{
  bool same = true;
  if (!eng_tpl_charge (r, 1))
    return false;
  if (is_number (a) && is_number (b))
    {
      *out = compare_numbers (a, b);
      return true;
    }
  if (a->kind == TPL_STRING && b->kind == TPL_STRING)
    {
      *out = eng_tpl_string_compare (a->string, b->string);
      return eng_tpl_charge_bytes (r, a->string->n_bytes);
    }
  if (a->kind == TPL_UNDEFINED || b->kind == TPL_UNDEFINED)
    return eng_tpl_undefined_error (r, a->kind == TPL_UNDEFINED ? a : b);
  if (a->kind == b->kind && (a->kind == TPL_LIST || a->kind == TPL_TUPLE))
    {
      uint32_t k = 0, n = a->list->n < b->list->n ? a->list->n : b->list->n;
      if (!enter (r))
        return false;
      while (k < n)
        {
          if (!eng_tpl_equal (r, &a->list->items[k], &b->list->items[k], &same))
            return false;
          if (!same)
            break;
          k++;
        }
      bool ok = true;
      if (k < n)
        ok = eng_tpl_compare (r, &a->list->items[k], &b->list->items[k], op, out);
      else
        *out = (a->list->n > b->list->n) - (a->list->n < b->list->n);
      r->depth--;
      return ok;
    }
  return eng_tpl_raise (r, "'%s' not supported between instances of '%s' and '%s'", op,
                        eng_tpl_type_name (a), eng_tpl_type_name (b));
}

bool
eng_tpl_contains (TplRender *r, const TplValue *container, const TplValue *item, bool *out)
{
  TplEntry *entry;
  TplIterator *it = NULL;
  TplValue v;
  bool done;
  *out = false;
  switch ((TplKind) container->kind)
    {
    case TPL_STRING:
      if (item->kind != TPL_STRING)
        return eng_tpl_raise (r, "'in <string>' requires string as left operand, not %s",
                              eng_tpl_type_name (item));
      *out = eng_tpl_find (container->string, item->string->data, item->string->n_bytes, 0)
             != UINT32_MAX;
      return eng_tpl_charge_bytes (r, container->string->n_bytes);
    case TPL_DICT:
      if (!eng_tpl_dict_find (r, container->dict, item, &entry))
        return false;
      *out = entry != NULL;
      return true;
    case TPL_UNDEFINED:
      return true;
    default:
      if (!eng_tpl_is_iterable (container))
        return eng_tpl_raise (r, "argument of type '%s' is not iterable",
                              eng_tpl_type_name (container));
      if (!eng_tpl_iterate (r, container, &it))
        return false;
      for (;;)
        {
          if (!eng_tpl_next (r, it, &v, &done))
            return false;
          if (done)
            return true;
          if (!eng_tpl_equal (r, &v, item, out) || *out)
            return *out && r->status == ENG_OK;
        }
    }
}

const char *
eng_tpl_type_name (const TplValue *v)
{
  static const char *const views[] = { "dict_keys", "dict_values", "dict_items" };
  switch ((TplKind) v->kind)
    {
    case TPL_ABSENT:
    case TPL_UNDEFINED:
      return "Undefined";
    case TPL_NONE:
      return "NoneType";
    case TPL_BOOL:
      return "bool";
    case TPL_INT:
      return "int";
    case TPL_FLOAT:
      return "float";
    case TPL_STRING:
      return v->markup ? "Markup" : "str";
    case TPL_LIST:
      return "list";
    case TPL_TUPLE:
      return "tuple";
    case TPL_DICT:
      return "dict";
    case TPL_RANGE:
      return "range";
    case TPL_VIEW:
      return views[v->view];
    case TPL_ITERATOR:
      return "generator";
    case TPL_NAMESPACE:
      return "Namespace";
    case TPL_LOOP:
      return "LoopContext";
    case TPL_MACRO:
      return "Macro";
    case TPL_FUNCTION:
      return "function";
    case TPL_METHOD:
      return "builtin_function_or_method";
    }
  return "object";
}

/* ---- dictionaries */

static bool
check_hashable (TplRender *r, const TplValue *key)
{
  if (key->kind == TPL_LIST || key->kind == TPL_DICT)
    return eng_tpl_raise (r, "unhashable type: '%s'", eng_tpl_type_name (key));
  for (uint32_t k = 0; key->kind == TPL_TUPLE && k < key->list->n; k++)
    if (!check_hashable (r, &key->list->items[k]))
      return false;
  return true;
}

bool
eng_tpl_dict_find (TplRender *r, const TplDict *dict, const TplValue *key, TplEntry **entry)
{
  *entry = NULL;
  if (!check_hashable (r, key) || !eng_tpl_charge (r, 1 + dict->n / 8))
    return false;
  for (uint32_t k = 0; k < dict->n; k++)
    {
      const TplValue *other = &dict->entries[k].key;
      bool same = false;
      if (key->kind == TPL_STRING)
        same = other->kind == TPL_STRING && eng_tpl_string_equal (key->string, other->string);
      else if (!eng_tpl_equal (r, other, key, &same))
        return false;
      if (same)
        {
          *entry = &dict->entries[k];
          break;
        }
    }
  return true;
}

bool
eng_tpl_dict_find_text (const TplDict *dict, const char *key, TplEntry **entry)
{
  for (uint32_t k = 0; k < dict->n; k++)
    if (dict->entries[k].key.kind == TPL_STRING
        && eng_tpl_string_is (dict->entries[k].key.string, key))
      {
        *entry = &dict->entries[k];
        return true;
      }
  return false;
}

bool
eng_tpl_dict_set (TplRender *r, TplDict *dict, const TplValue *key, const TplValue *value)
{
  TplEntry *entry;
  if (!eng_tpl_dict_find (r, dict, key, &entry))
    return false;
  if (entry)
    {
      entry->value = *value;
      return true;
    }
  if (dict->n == dict->capacity)
    {
      uint32_t capacity = dict->capacity ? dict->capacity * 2 : 4;
      TplEntry *entries = eng_tpl_alloc (r, capacity, sizeof *entries);
      if (!entries)
        return false;
      if (dict->n)
        memcpy (entries, dict->entries, dict->n * sizeof *entries);
      dict->entries = entries;
      dict->capacity = capacity;
    }
  dict->entries[dict->n++] = (TplEntry){ *key, *value };
  return true;
}

/* ---- text */

static bool
append_float (TplBuilder *b, const TplValue *v)
{
  char text[ENG_NUMBER_TEXT_MAX];
  size_t n = eng_format_double (v->number, text);
  return eng_tpl_charge (b->r, 20) && eng_tpl_append (b, text, n, v->inserted);
}

static bool
append_int (TplBuilder *b, int64_t i, bool inserted)
{
  char text[ENG_NUMBER_TEXT_MAX];
  int n = snprintf (text, sizeof text, "%" PRId64, i);
  return eng_tpl_append (b, text, (size_t) n, inserted);
}

static bool
append_quoted (TplBuilder *b, const TplString *s)
{
  bool single = memchr (s->data, '\'', s->n_bytes) != NULL;
  bool twice = memchr (s->data, '"', s->n_bytes) != NULL;
  char quote = single && !twice ? '"' : '\'', text[16];
  uint32_t run = 0, length;
  if (!eng_tpl_charge_bytes (b->r, (uint64_t) s->n_bytes * 2)
      || !eng_tpl_append (b, &quote, 1, false))
    return false;
  for (uint32_t i = 0; i < s->n_bytes; i += length)
    {
      uint32_t c = eng_tpl_char_at (s, i, &length);
      bool inserted = eng_tpl_mark_at (s, i, &run);
      if (c == (uint32_t) quote || c == '\\')
        snprintf (text, sizeof text, "\\%c", (char) c);
      else if (c == '\n' || c == '\r' || c == '\t')
        snprintf (text, sizeof text, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
      else if (!eng_tpl_is_printable (c))
        snprintf (text, sizeof text,
                  c < 0x100     ? "\\x%02x"
                  : c < 0x10000 ? "\\u%04x"
                                : "\\U%08x",
                  c);
      else
        {
          if (!eng_tpl_append_char (b, c, inserted))
            return false;
          continue;
        }
      if (!eng_tpl_append (b, text, strlen (text), inserted))
        return false;
    }
  return eng_tpl_append (b, &quote, 1, false);
}

static bool
append_list_repr (TplBuilder *b, const TplValue *items, uint32_t n, const char *open,
                  const char *close)
{
  if (!eng_tpl_append_literal (b, open))
    return false;
  for (uint32_t k = 0; k < n; k++)
    if ((k > 0 && !eng_tpl_append_literal (b, ", ")) || !eng_tpl_append_repr (b, &items[k]))
      return false;
  return eng_tpl_append_literal (b, close);
}

static bool
append_dict_repr (TplBuilder *b, const TplDict *dict)
{
  if (!eng_tpl_append_literal (b, "{"))
    return false;
  for (uint32_t k = 0; k < dict->n; k++)
    if ((k > 0 && !eng_tpl_append_literal (b, ", "))
        || !eng_tpl_append_repr (b, &dict->entries[k].key) || !eng_tpl_append_literal (b, ": ")
        || !eng_tpl_append_repr (b, &dict->entries[k].value))
      return false;
  return eng_tpl_append_literal (b, "}");
}

static bool
append_view_repr (TplBuilder *b, const TplValue *v)
{
  TplList list;
  return eng_tpl_collect (b->r, v, &list) && eng_tpl_append_literal (b, eng_tpl_type_name (v))
         && append_list_repr (b, list.items, list.n, "([", "])");
}

static bool
append_range_repr (TplBuilder *b, const TplRangeData *range)
{
  return eng_tpl_append_literal (b, "range(") && append_int (b, range->start, false)
         && eng_tpl_append_literal (b, ", ") && append_int (b, range->stop, false)
         && (range->step == 1
             || (eng_tpl_append_literal (b, ", ") && append_int (b, range->step, false)))
         && eng_tpl_append_literal (b, ")");
}

bool
eng_tpl_append_repr (TplBuilder *b, const TplValue *v)
{
  bool ok;
  if (!eng_tpl_charge (b->r, 1))
    return false;
  switch ((TplKind) v->kind)
    {
    case TPL_ABSENT:
    case TPL_UNDEFINED:
      return eng_tpl_append_literal (b, "Undefined");
    case TPL_NONE:
      return eng_tpl_append (b, "None", 4, v->inserted);
    case TPL_BOOL:
      return eng_tpl_append (b, v->boolean ? "True" : "False", v->boolean ? 4 : 5, v->inserted);
    case TPL_INT:
      return append_int (b, v->integer, v->inserted);
    case TPL_FLOAT:
      return append_float (b, v);
    case TPL_STRING:
      if (v->markup)
        return eng_tpl_append_literal (b, "Markup(") && append_quoted (b, v->string)
               && eng_tpl_append_literal (b, ")");
      return append_quoted (b, v->string);
    case TPL_RANGE:
      return append_range_repr (b, v->range);
    case TPL_LIST:
    case TPL_TUPLE:
    case TPL_DICT:
    case TPL_VIEW:
    case TPL_NAMESPACE:
      break;
    default:
      return eng_tpl_refuse (b->r, "the text of a %s is not supported", eng_tpl_type_name (v));
    }
  if (!enter (b->r))
    return false;
  if (v->kind == TPL_DICT)
    ok = append_dict_repr (b, v->dict);
  else if (v->kind == TPL_NAMESPACE)
    ok = eng_tpl_append_literal (b, "<Namespace ") && append_dict_repr (b, v->dict)
         && eng_tpl_append_literal (b, ">");
  else if (v->kind == TPL_VIEW)
    ok = append_view_repr (b, v);
  else if (v->kind == TPL_LIST)
    ok = append_list_repr (b, v->list->items, v->list->n, "[", "]");
  else
    ok = append_list_repr (b, v->list->items, v->list->n, "(", v->list->n == 1 ? ",)" : ")");
  b->r->depth--;
  return ok;
}

bool
eng_tpl_append_text (TplBuilder *b, const TplValue *v)
{
  if (v->kind == TPL_STRING)
    return eng_tpl_append_string (b, v->string);
  if (v->kind == TPL_UNDEFINED || v->kind == TPL_ABSENT)
    return true;
  if (v->kind != TPL_LIST && v->kind != TPL_TUPLE && v->kind != TPL_DICT && v->kind != TPL_VIEW
      && v->kind != TPL_NAMESPACE)
    return eng_tpl_append_repr (b, v);
  /* A container's text mixes marks; it is taken as a whole. */
  TplBuilder part = { .r = b->r };
  TplValue text;
  if (!eng_tpl_append_repr (&part, v))
    return false;
  eng_tpl_builder_flatten (&part);
  return eng_tpl_builder_finish (&part, &text) && eng_tpl_append_string (b, text.string);
}

bool
eng_tpl_to_text (TplRender *r, const TplValue *v, TplValue *out)
{
  TplBuilder b = { .r = r };
  if (v->kind == TPL_STRING)
    {
      *out = *v;
      out->markup = false;
      return true;
    }
  return eng_tpl_append_text (&b, v) && eng_tpl_builder_finish (&b, out);
}

/* repr () cut to fit, for messages. */
bool
eng_tpl_repr_buffer (TplRender *r, const TplValue *v, char *text, size_t size)
{
  TplBuilder b = { .r = r };
  if (!eng_tpl_append_repr (&b, v))
    return false;
  snprintf (text, size, "%.*s", (int) (b.n_bytes < size ? b.n_bytes : size - 1),
            b.data ? b.data : "");
  return true;
}

static bool
object_type (const TplValue *v, char text[64])
{
  const char *module = v->kind == TPL_NAMESPACE                      ? "jinja2.utils."
                       : v->kind == TPL_LOOP || v->kind == TPL_MACRO ? "jinja2.runtime."
                                                                     : "";
  if (v->kind == TPL_NONE)
    snprintf (text, 64, "None");
  else
    snprintf (text, 64, "%s%s%s", module, eng_tpl_type_name (v), module[0] ? "" : " object");
  return true;
}

bool
eng_tpl_undefined_error (TplRender *r, const TplValue *v)
{
  const TplUndefined *u = v->undefined;
  char name[512], type[64];
  if (!u)
    return eng_tpl_raise (r, "a value is undefined");
  if (u->hint)
    return eng_tpl_raise (r, "%s", u->hint);
  if (!eng_tpl_repr_buffer (r, &u->name, name, sizeof name))
    return false;
  if (u->object.kind == TPL_ABSENT)
    return eng_tpl_raise (r, "%s is undefined", name);
  object_type (&u->object, type);
  if (u->name.kind != TPL_STRING)
    return eng_tpl_raise (r, "%s has no element %s", type, name);
  return eng_tpl_raise (r, "'%s' has no attribute %s", type, name);
}
