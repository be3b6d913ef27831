/* SPDX-License-Identifier: Apache-2.0 */
/* Tests ("x is y") and the tables of names: which filters, tests and globals there are. */
#include <stdio.h>

#include "eng-template-private.h"

#define TEST(name)                                                                                 \
  static bool name (TplRender *r, const TplValue *v, const TplArgs *args, const TplValue *a,       \
                    TplValue *out)

TEST (test_defined)
{
  *out = eng_tpl_bool (v->kind != TPL_UNDEFINED);
  return true;
}

TEST (test_undefined)
{
  *out = eng_tpl_bool (v->kind == TPL_UNDEFINED);
  return true;
}

TEST (test_none)
{
  *out = eng_tpl_bool (v->kind == TPL_NONE);
  return true;
}

TEST (test_boolean)
{
  *out = eng_tpl_bool (v->kind == TPL_BOOL);
  return true;
}

TEST (test_true)
{
  *out = eng_tpl_bool (v->kind == TPL_BOOL && v->boolean);
  return true;
}

TEST (test_false)
{
  *out = eng_tpl_bool (v->kind == TPL_BOOL && !v->boolean);
  return true;
}

TEST (test_integer)
{
  *out = eng_tpl_bool (v->kind == TPL_INT);
  return true;
}

TEST (test_float)
{
  *out = eng_tpl_bool (v->kind == TPL_FLOAT);
  return true;
}

TEST (test_number)
{
  *out = eng_tpl_bool (v->kind == TPL_INT || v->kind == TPL_FLOAT || v->kind == TPL_BOOL);
  return true;
}

TEST (test_string)
{
  *out = eng_tpl_bool (v->kind == TPL_STRING);
  return true;
}

TEST (test_mapping)
{
  *out = eng_tpl_bool (v->kind == TPL_DICT);
  return true;
}

TEST (test_iterable)
{
  *out = eng_tpl_bool (eng_tpl_is_iterable (v));
  return true;
}

TEST (test_sequence)
{
  *out = eng_tpl_bool (v->kind == TPL_STRING || v->kind == TPL_LIST || v->kind == TPL_TUPLE
                       || v->kind == TPL_DICT || v->kind == TPL_RANGE || v->kind == TPL_UNDEFINED);
  return true;
}

TEST (test_callable)
{
  /* Undefined has a __call__, if only to complain. */
  *out = eng_tpl_bool (v->kind == TPL_MACRO || v->kind == TPL_FUNCTION || v->kind == TPL_METHOD
                       || v->kind == TPL_LOOP || v->kind == TPL_UNDEFINED);
  return true;
}

TEST (test_escaped)
{
  *out = eng_tpl_bool (v->kind == TPL_STRING && v->markup);
  return true;
}

TEST (test_sameas)
{
  if (v->kind != a[0].kind)
    *out = eng_tpl_bool (false);
  else if (v->kind == TPL_NONE)
    *out = eng_tpl_bool (true);
  else if (v->kind == TPL_BOOL)
    *out = eng_tpl_bool (v->boolean == a[0].boolean);
  else if (v->kind == TPL_LIST || v->kind == TPL_TUPLE || v->kind == TPL_DICT
           || v->kind == TPL_NAMESPACE)
    *out = eng_tpl_bool (v->dict == a[0].dict);
  else
    return eng_tpl_refuse (r, "'sameas' of a %s is not supported", eng_tpl_type_name (v));
  return true;
}

TEST (test_in)
{
  bool yes;
  if (!eng_tpl_contains (r, &a[0], v, &yes))
    return false;
  *out = eng_tpl_bool (yes);
  return true;
}

static bool
remainder_is (TplRender *r, const TplValue *v, const TplValue *divisor, int64_t wanted,
              TplValue *out)
{
  TplValue rest, number = eng_tpl_int (wanted);
  bool yes;
  if (!eng_tpl_binary (r, OP_MOD, v, divisor, &rest) || !eng_tpl_equal (r, &rest, &number, &yes))
    return false;
  *out = eng_tpl_bool (yes);
  return true;
}

TEST (test_even)
{
  TplValue two = eng_tpl_int (2);
  return remainder_is (r, v, &two, 0, out);
}

TEST (test_odd)
{
  TplValue two = eng_tpl_int (2);
  return remainder_is (r, v, &two, 1, out);
}

TEST (test_divisibleby)
{
  return remainder_is (r, v, &a[0], 0, out);
}

static bool
all_case (TplRender *r, const TplValue *v, bool upper, TplValue *out)
{
  const TplString *s;
  bool any = false, all = true;
  uint32_t length;
  if (!eng_tpl_soft_string (r, v, &s) || !eng_tpl_charge_bytes (r, s->n_bytes))
    return false;
  for (uint32_t i = 0; i < s->n_bytes; i += length)
    {
      uint32_t c = eng_tpl_char_at (s, i, &length);
      if (eng_tpl_is_cased (c))
        {
          any = true;
          all = all && (upper ? eng_tpl_is_upper (c) : eng_tpl_is_lower (c));
        }
    }
  *out = eng_tpl_bool (any && all);
  return true;
}

TEST (test_lower)
{
  return all_case (r, v, false, out);
}

TEST (test_upper)
{
  return all_case (r, v, true, out);
}

static bool
equality (TplRender *r, const TplValue *v, const TplValue *a, bool wanted, TplValue *out)
{
  bool yes;
  if (!eng_tpl_equal (r, v, a, &yes))
    return false;
  *out = eng_tpl_bool (yes == wanted);
  return true;
}

TEST (test_eq)
{
  return equality (r, v, &a[0], true, out);
}

TEST (test_ne)
{
  return equality (r, v, &a[0], false, out);
}

TEST (test_lt)
{
  int c;
  if (!eng_tpl_compare (r, v, &a[0], "<", &c))
    return false;
  *out = eng_tpl_bool (c == -1);
  return true;
}

TEST (test_le)
{
  int c;
  if (!eng_tpl_compare (r, v, &a[0], "<=", &c))
    return false;
  *out = eng_tpl_bool (c == -1 || c == 0);
  return true;
}

TEST (test_gt)
{
  int c;
  if (!eng_tpl_compare (r, v, &a[0], ">", &c))
    return false;
  *out = eng_tpl_bool (c == 1);
  return true;
}

TEST (test_ge)
{
  int c;
  if (!eng_tpl_compare (r, v, &a[0], ">=", &c))
    return false;
  *out = eng_tpl_bool (c == 1 || c == 0);
  return true;
}

TEST (test_filter)
{
  *out = eng_tpl_bool (v->kind == TPL_STRING && eng_tpl_find_filter (v->string));
  return true;
}

TEST (test_test)
{
  *out = eng_tpl_bool (v->kind == TPL_STRING && eng_tpl_find_test (v->string));
  return true;
}

static const TplFunction tests[] = {
  { "!=", "other", test_ne },
  { "<", "other", test_lt },
  { "<=", "other", test_le },
  { "==", "other", test_eq },
  { ">", "other", test_gt },
  { ">=", "other", test_ge },
  { "boolean", "", test_boolean },
  { "callable", "", test_callable },
  { "defined", "", test_defined },
  { "divisibleby", "num", test_divisibleby },
  { "eq", "other", test_eq },
  { "equalto", "other", test_eq },
  { "escaped", "", test_escaped },
  { "even", "", test_even },
  { "false", "", test_false },
  { "filter", "", test_filter },
  { "float", "", test_float },
  { "ge", "other", test_ge },
  { "greaterthan", "other", test_gt },
  { "gt", "other", test_gt },
  { "in", "seq", test_in },
  { "integer", "", test_integer },
  { "iterable", "", test_iterable },
  { "le", "other", test_le },
  { "lessthan", "other", test_lt },
  { "lower", "", test_lower },
  { "lt", "other", test_lt },
  { "mapping", "", test_mapping },
  { "ne", "other", test_ne },
  { "none", "", test_none },
  { "number", "", test_number },
  { "odd", "", test_odd },
  { "sameas", "other", test_sameas },
  { "sequence", "", test_sequence },
  { "string", "", test_string },
  { "test", "", test_test },
  { "true", "", test_true },
  { "undefined", "", test_undefined },
  { "upper", "", test_upper },
};

/* ---- global functions */

static bool
global_range (TplRender *r, const TplValue *self, const TplArgs *args, const TplValue *a,
              TplValue *out)
{
  int64_t from, to = 0, step;
  bool single = a[1].kind == TPL_ABSENT;
  if (!eng_tpl_int_arg (r, &a[0], 0, &from) || !eng_tpl_int_arg (r, &a[1], 0, &to)
      || !eng_tpl_int_arg (r, &a[2], 1, &step))
    return false;
  if (single)
    {
      to = from;
      from = 0;
    }
  if (step == 0)
    return eng_tpl_raise (r, "range() arg 3 must not be zero");
  if (from < -INT64_MAX / 4 || from > INT64_MAX / 4 || to < -INT64_MAX / 4 || to > INT64_MAX / 4)
    return eng_tpl_limit (r, "Range too big.");
  int64_t distance = step > 0 ? to - from : from - to, by = step > 0            ? step
                                                            : step == INT64_MIN ? INT64_MAX
                                                                                : -step;
  int64_t n = distance > 0 ? (distance - 1) / by + 1 : 0;
  if (n > ENG_TEMPLATE_MAX_RANGE)
    return eng_tpl_limit (
        r, "Range too big. The sandbox blocks ranges larger than MAX_RANGE (100000).");
  TplRangeData *range = eng_tpl_alloc (r, 1, sizeof *range);
  if (!range)
    return false;
  *range = (TplRangeData){ .start = from, .step = step, .n = (uint32_t) n, .stop = to };
  *out = (TplValue){ .kind = TPL_RANGE, .range = range };
  return true;
}

/* dict (mapping or pairs, name=value, …) */
static bool
build_dict (TplRender *r, const TplArgs *args, const char *who, TplDict **out)
{
  TplDict *dict = eng_tpl_alloc (r, 1, sizeof *dict);
  TplValue view, pair;
  TplIterator *it = NULL;
  TplList list;
  bool done = args->n == 0;
  if (!dict)
    return false;
  if (args->n > 1)
    return eng_tpl_raise (r, "%s expected at most 1 argument, got %u", who, args->n);
  if (!done)
    {
      view = args->items[0];
      if (view.kind == TPL_DICT)
        {
          view.kind = TPL_VIEW;
          view.view = TPL_VIEW_ITEMS;
        }
      if (!eng_tpl_iterate (r, &view, &it))
        return false;
    }
  while (!done)
    {
      if (!eng_tpl_next (r, it, &pair, &done))
        return false;
      if (done)
        break;
      if (!eng_tpl_collect (r, &pair, &list))
        return false;
      if (list.n != 2)
        return eng_tpl_raise (r, "dictionary update sequence element has length %u; 2 is required",
                              list.n);
      if (!eng_tpl_dict_set (r, dict, &list.items[0], &list.items[1]))
        return false;
    }
  for (uint32_t k = 0; k < args->n_keywords; k++)
    {
      TplValue key = { .kind = TPL_STRING, .string = args->keywords[k].name };
      if (!eng_tpl_dict_set (r, dict, &key, &args->keywords[k].value))
        return false;
    }
  *out = dict;
  return true;
}

static bool
global_dict (TplRender *r, const TplValue *self, const TplArgs *args, const TplValue *a,
             TplValue *out)
{
  TplDict *dict;
  if (!build_dict (r, args, "dict", &dict))
    return false;
  *out = (TplValue){ .kind = TPL_DICT, .dict = dict };
  return true;
}

static bool
global_namespace (TplRender *r, const TplValue *self, const TplArgs *args, const TplValue *a,
                  TplValue *out)
{
  TplDict *dict;
  if (!build_dict (r, args, "dict", &dict))
    return false;
  for (uint32_t k = 0; k < dict->n; k++)
    {
      const TplValue *key = &dict->entries[k].key;
      if (key->kind == TPL_STRING && key->string->n_bytes > 0 && key->string->data[0] == '_')
        return eng_tpl_refuse (r, "unsupported name '%.*s' of a Namespace",
                               key->string->n_bytes > 60 ? 60 : (int) key->string->n_bytes,
                               key->string->data);
    }
  *out = (TplValue){ .kind = TPL_NAMESPACE, .dict = dict };
  return true;
}

static bool
global_raise_exception (TplRender *r, const TplValue *self, const TplArgs *args, const TplValue *a,
                        TplValue *out)
{
  const TplString *message;
  if (!eng_tpl_soft_string (r, &a[0], &message))
    return false;
  return eng_tpl_raise_text (r, message->data, message->n_bytes, true);
}

static bool
global_strftime_now (TplRender *r, const TplValue *self, const TplArgs *args, const TplValue *a,
                     TplValue *out)
{
  const TplString *format;
  return eng_tpl_string_arg (r, &a[0], "strftime() argument 1", &format)
         && eng_tpl_strftime (r, format, out);
}

static const TplFunction globals[] = {
  { "dict", NULL, global_dict },
  { "namespace", NULL, global_namespace },
  { "raise_exception", "message", global_raise_exception },
  { "range", "start stop= step=", global_range },
  { "strftime_now", "format", global_strftime_now },
};

/* ---- looking names up */

bool
eng_tpl_find_in (const TplFunction *table, size_t n, const TplString *name, const TplFunction **out)
{
  for (size_t k = 0; k < n; k++)
    if (eng_tpl_string_is (name, table[k].name))
      {
        *out = &table[k];
        return true;
      }
  return false;
}

bool
eng_tpl_name_in_list (const char *list, const TplString *name)
{
  for (const char *p = list; *p;)
    {
      size_t n = strcspn (p, " ");
      if (n == name->n_bytes && memcmp (p, name->data, n) == 0)
        return true;
      p += n;
      p += *p == ' ';
    }
  return false;
}

#define N(array) (sizeof (array) / sizeof (array)[0])

const TplFunction *
eng_tpl_find_filter (const TplString *name)
{
  const TplFunction *f = NULL;
  if (!eng_tpl_find_in (eng_tpl_text_filters, eng_tpl_n_text_filters, name, &f))
    eng_tpl_find_in (eng_tpl_list_filters, eng_tpl_n_list_filters, name, &f);
  return f;
}

const TplFunction *
eng_tpl_find_test (const TplString *name)
{
  const TplFunction *f = NULL;
  eng_tpl_find_in (tests, N (tests), name, &f);
  return f;
}

const TplFunction *
eng_tpl_find_global (const TplString *name)
{
  const TplFunction *f = NULL;
  eng_tpl_find_in (globals, N (globals), name, &f);
  return f;
}

bool
eng_tpl_is_refused_filter (const TplString *name)
{
  return eng_tpl_name_in_list (
      "attr center filesizeformat groupby pprint random striptags truncate "
      "urlencode urlize wordcount wordwrap xmlattr",
      name);
}

bool
eng_tpl_is_refused_test (const TplString *name)
{
  return false; /* Jinja has no test that is not in the table */
}

bool
eng_tpl_is_refused_global (const TplString *name)
{
  return eng_tpl_name_in_list ("cycler joiner lipsum self super", name);
}
