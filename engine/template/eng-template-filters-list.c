/* SPDX-License-Identifier: Apache-2.0 */
/* Filters on sequences. What is a generator in Jinja is worked out at once here and can be walked
 * through once all the same. */
#include "eng-template-private.h"

/* ---- "attribute": a name with dots, digits between them count as indices */

typedef struct
{
  TplRender *r;
  TplValue *parts;
  uint32_t n;
  const TplValue *fallback; /* for what is undefined, or NULL */
  bool fold_case;
} Getter;

static bool
getter_add (Getter *g, const TplString *s, uint32_t start, uint32_t end, uint32_t capacity)
{
  bool digits = end > start && end - start < 10;
  int64_t number = 0;
  for (uint32_t k = start; k < end; k++)
    {
      digits = digits && s->data[k] >= '0' && s->data[k] <= '9';
      number = digits ? number * 10 + (s->data[k] - '0') : 0;
    }
  if (digits)
    {
      g->parts[g->n++] = eng_tpl_int (number);
      return true;
    }
  return eng_tpl_substring (g->r, s, start, end, &g->parts[g->n++]);
}

static bool
getter_init_range (Getter *g, const TplString *s, uint32_t start, uint32_t end)
{
  uint32_t n = 1;
  for (uint32_t k = start; k < end; k++)
    n += s->data[k] == '.';
  if (!(g->parts = eng_tpl_alloc (g->r, n, sizeof *g->parts)))
    return false;
  for (uint32_t k = start; k <= end; k++)
    if (k == end || s->data[k] == '.')
      {
        if (!getter_add (g, s, start, k, n))
          return false;
        start = k + 1;
      }
  return true;
}

static bool
getter_init (TplRender *r, Getter *g, const TplValue *attribute, bool fold_case)
{
  *g = (Getter){ .r = r, .fold_case = fold_case };
  if (attribute->kind == TPL_ABSENT || attribute->kind == TPL_NONE)
    return true;
  if (attribute->kind == TPL_STRING)
    return getter_init_range (g, attribute->string, 0, attribute->string->n_bytes);
  if (!(g->parts = eng_tpl_alloc (r, 1, sizeof *g->parts)))
    return false;
  g->parts[g->n++] = *attribute;
  return true;
}

static bool
getter_get (const Getter *g, const TplValue *item, TplValue *out)
{
  TplValue v = *item;
  for (uint32_t k = 0; k < g->n; k++)
    {
      TplValue next;
      if (!eng_tpl_getitem (g->r, &v, &g->parts[k], &next))
        return false;
      v = next.kind == TPL_UNDEFINED && g->fallback ? *g->fallback : next;
    }
  *out = v;
  return !g->fold_case || v.kind != TPL_STRING
         || eng_tpl_change_case (g->r, v.string, TPL_CASE_LOWER, out);
}

/* ---- ends */

static bool
filter_first (TplRender *r, const TplValue *v, const TplArgs *args, const TplValue *a,
              TplValue *out)
{
  TplIterator *it = NULL;
  bool done;
  if (!eng_tpl_iterate (r, v, &it) || !eng_tpl_next (r, it, out, &done))
    return false;
  return !done || eng_tpl_make_undefined (r, "No first item, sequence was empty.", NULL, NULL, out);
}

static bool
filter_last (TplRender *r, const TplValue *v, const TplArgs *args, const TplValue *a, TplValue *out)
{
  TplList list;
  if (v->kind == TPL_ITERATOR || !eng_tpl_is_iterable (v))
    return eng_tpl_raise (r, "'%s' object is not reversible", eng_tpl_type_name (v));
  if (!eng_tpl_collect (r, v, &list))
    return false;
  if (list.n == 0)
    return eng_tpl_make_undefined (r, "No last item, sequence was empty.", NULL, NULL, out);
  *out = list.items[list.n - 1];
  return true;
}

static bool
filter_list (TplRender *r, const TplValue *v, const TplArgs *args, const TplValue *a, TplValue *out)
{
  TplList list;
  return eng_tpl_collect (r, v, &list) && eng_tpl_make_list (r, TPL_LIST, list.items, list.n, out);
}

static bool
filter_reverse (TplRender *r, const TplValue *v, const TplArgs *args, const TplValue *a,
                TplValue *out)
{
  TplList list;
  TplValue none = { 0 }, minus = eng_tpl_int (-1);
  if (v->kind == TPL_STRING)
    return eng_tpl_slice (r, v, &none, &none, &minus, out);
  if (!eng_tpl_is_iterable (v))
    return eng_tpl_raise (r, "argument must be iterable");
  if (!eng_tpl_collect (r, v, &list))
    return false;
  TplValue *items = eng_tpl_alloc (r, list.n, sizeof *items);
  if (!items)
    return false;
  for (uint32_t k = 0; k < list.n; k++)
    items[k] = list.items[list.n - 1 - k];
  return v->kind == TPL_ITERATOR ? eng_tpl_make_list (r, TPL_LIST, items, list.n, out)
                                 : eng_tpl_make_iterator (r, items, list.n, out);
}

static bool
filter_join (TplRender *r, const TplValue *v, const TplArgs *args, const TplValue *a, TplValue *out)
{
  static const TplString nothing = { .data = "" };
  const TplString *separator = &nothing;
  TplBuilder b = { .r = r };
  TplIterator *it = NULL;
  TplValue item;
  Getter getter;
  bool done;
  if ((a[0].kind != TPL_ABSENT && !eng_tpl_soft_string (r, &a[0], &separator))
      || !getter_init (r, &getter, &a[1], false) || !eng_tpl_iterate (r, v, &it))
    return false;
  for (bool first = true;; first = false)
    {
      if (!eng_tpl_next (r, it, &item, &done))
        return false;
      if (done)
        return eng_tpl_builder_finish (&b, out);
      if ((!first && !eng_tpl_append_string (&b, separator)) || !getter_get (&getter, &item, &item)
          || !eng_tpl_append_text (&b, &item))
        return false;
    }
}

static bool
filter_items (TplRender *r, const TplValue *v, const TplArgs *args, const TplValue *a,
              TplValue *out)
{
  TplList list = { 0 };
  TplValue view = *v;
  if (v->kind == TPL_UNDEFINED)
    return eng_tpl_make_iterator (r, NULL, 0, out);
  if (v->kind != TPL_DICT)
    return eng_tpl_raise (r, "Can only get item pairs from a mapping.");
  view.kind = TPL_VIEW;
  view.view = TPL_VIEW_ITEMS;
  return eng_tpl_collect (r, &view, &list) && eng_tpl_make_iterator (r, list.items, list.n, out);
}

/* ---- order */

static bool
make_keys (TplRender *r, const TplList *list, const Getter *getters, uint32_t n_getters,
           TplValue **keys, uint32_t **order)
{
  *keys = eng_tpl_alloc (r, list->n, sizeof **keys);
  *order = eng_tpl_alloc (r, list->n, sizeof **order);
  if (!*keys || !*order)
    return false;
  for (uint32_t k = 0; k < list->n; k++)
    {
      (*order)[k] = k;
      TplValue *parts = eng_tpl_alloc (r, n_getters, sizeof *parts);
      if (!parts)
        return false;
      for (uint32_t j = 0; j < n_getters; j++)
        if (!getter_get (&getters[j], &list->items[k], &parts[j]))
          return false;
      if (n_getters == 1)
        (*keys)[k] = parts[0];
      else if (!eng_tpl_make_list (r, TPL_LIST, parts, n_getters, &(*keys)[k]))
        return false;
    }
  return true;
}

static bool
ordered (TplRender *r, const TplList *list, const uint32_t *order, TplValue *out)
{
  TplValue *items = eng_tpl_alloc (r, list->n, sizeof *items);
  if (!items)
    return false;
  for (uint32_t k = 0; k < list->n; k++)
    items[k] = list->items[order[k]];
  return eng_tpl_make_list (r, TPL_LIST, items, list->n, out);
}

static bool
filter_sort (TplRender *r, const TplValue *v, const TplArgs *args, const TplValue *a, TplValue *out)
{
  TplList list;
  TplValue *keys;
  uint32_t *order, n = 1, start = 0, used = 0;
  bool fold = !eng_tpl_bool_arg (&a[1], false);
  const TplString *names = a[2].kind == TPL_STRING ? a[2].string : NULL;
  for (uint32_t k = 0; names && k < names->n_bytes; k++)
    n += names->data[k] == ',';
  Getter *getters = eng_tpl_alloc (r, n, sizeof *getters);
  if (!getters || !eng_tpl_collect (r, v, &list))
    return false;
  if (!names && !getter_init (r, &getters[0], &a[2], fold))
    return false;
  for (uint32_t k = 0; names && k <= names->n_bytes; k++)
    if (k == names->n_bytes || names->data[k] == ',')
      {
        getters[used] = (Getter){ .r = r, .fold_case = fold };
        if (!getter_init_range (&getters[used++], names, start, k))
          return false;
        start = k + 1;
      }
  return make_keys (r, &list, getters, n, &keys, &order)
         && eng_tpl_sort (r, keys, order, list.n, eng_tpl_bool_arg (&a[0], false))
         && ordered (r, &list, order, out);
}

static bool
filter_dictsort (TplRender *r, const TplValue *v, const TplArgs *args, const TplValue *a,
                 TplValue *out)
{
  TplList list;
  TplValue view = *v, *keys, number;
  uint32_t *order;
  Getter getter;
  bool by_value = a[1].kind == TPL_STRING && eng_tpl_string_is (a[1].string, "value");
  if (!by_value && a[1].kind != TPL_ABSENT
      && !(a[1].kind == TPL_STRING && eng_tpl_string_is (a[1].string, "key")))
    return eng_tpl_raise (r, "You can only sort by either \"key\" or \"value\"");
  if (v->kind == TPL_UNDEFINED)
    return eng_tpl_undefined_error (r, v);
  if (v->kind != TPL_DICT)
    return eng_tpl_raise (r, "'%s' object has no attribute 'items'", eng_tpl_type_name (v));
  view.kind = TPL_VIEW;
  view.view = TPL_VIEW_ITEMS;
  number = eng_tpl_int (by_value);
  return eng_tpl_collect (r, &view, &list)
         && getter_init (r, &getter, &number, !eng_tpl_bool_arg (&a[0], false))
         && make_keys (r, &list, &getter, 1, &keys, &order)
         && eng_tpl_sort (r, keys, order, list.n, eng_tpl_bool_arg (&a[2], false))
         && ordered (r, &list, order, out);
}

static bool
min_or_max (TplRender *r, const TplValue *v, const TplValue *a, bool max, TplValue *out)
{
  TplIterator *it = NULL;
  TplValue item, key, best;
  Getter getter;
  bool done;
  int c;
  if (!getter_init (r, &getter, &a[1], !eng_tpl_bool_arg (&a[0], false))
      || !eng_tpl_iterate (r, v, &it) || !eng_tpl_next (r, it, out, &done))
    return false;
  if (done)
    return eng_tpl_make_undefined (r, "No aggregated item, sequence was empty.", NULL, NULL, out);
  if (!getter_get (&getter, out, &best))
    return false;
  for (;;)
    {
      if (!eng_tpl_next (r, it, &item, &done))
        return false;
      if (done)
        return true;
      if (!getter_get (&getter, &item, &key)
          || !eng_tpl_compare (r, &key, &best, max ? ">" : "<", &c))
        return false;
      if (c == (max ? 1 : -1))
        {
          best = key;
          *out = item;
        }
    }
}

static bool
filter_min (TplRender *r, const TplValue *v, const TplArgs *args, const TplValue *a, TplValue *out)
{
  return min_or_max (r, v, a, false, out);
}

static bool
filter_max (TplRender *r, const TplValue *v, const TplArgs *args, const TplValue *a, TplValue *out)
{
  return min_or_max (r, v, a, true, out);
}

static bool
filter_sum (TplRender *r, const TplValue *v, const TplArgs *args, const TplValue *a, TplValue *out)
{
  TplIterator *it = NULL;
  TplValue item, total = a[1].kind == TPL_ABSENT ? eng_tpl_int (0) : a[1];
  Getter getter;
  bool done;
  if (total.kind == TPL_STRING)
    return eng_tpl_raise (r, "sum() can't sum strings [use ''.join(seq) instead]");
  if (!getter_init (r, &getter, &a[0], false) || !eng_tpl_iterate (r, v, &it))
    return false;
  for (;;)
    {
      TplValue next;
      if (!eng_tpl_next (r, it, &item, &done))
        return false;
      if (done)
        break;
      if (!getter_get (&getter, &item, &item) || !eng_tpl_binary (r, OP_ADD, &total, &item, &next))
        return false;
      total = next;
    }
  *out = total;
  return true;
}

static bool
filter_unique (TplRender *r, const TplValue *v, const TplArgs *args, const TplValue *a,
               TplValue *out)
{
  TplItems kept = { .r = r };
  TplDict seen = { 0 };
  TplIterator *it = NULL;
  TplValue item, key, nothing = eng_tpl_none ();
  TplEntry *entry;
  Getter getter;
  bool done;
  if (!getter_init (r, &getter, &a[1], !eng_tpl_bool_arg (&a[0], false))
      || !eng_tpl_iterate (r, v, &it))
    return false;
  for (;;)
    {
      if (!eng_tpl_next (r, it, &item, &done))
        return false;
      if (done)
        return eng_tpl_make_iterator (r, kept.items, kept.n, out);
      if (!getter_get (&getter, &item, &key) || !eng_tpl_dict_find (r, &seen, &key, &entry))
        return false;
      if (!entry
          && (!eng_tpl_dict_set (r, &seen, &key, &nothing) || !eng_tpl_items_add (&kept, &item)))
        return false;
    }
}

/* ---- map, select and their kin */

static const TplKeyword *
keyword (const TplArgs *args, const char *name)
{
  for (uint32_t k = 0; k < args->n_keywords; k++)
    if (eng_tpl_string_is (args->keywords[k].name, name))
      return &args->keywords[k];
  return NULL;
}

/* The filter or test named by args->items[at]; *rest are the arguments behind it. */
static bool
named_function (TplRender *r, const TplArgs *args, uint32_t at, bool is_filter,
                const TplFunction **f, TplArgs *rest)
{
  const TplValue *name = &args->items[at];
  if (name->kind != TPL_STRING)
    return eng_tpl_raise (r, "%s() needs the name of a %s", is_filter ? "map" : "select",
                          is_filter ? "filter" : "test");
  *f = is_filter ? eng_tpl_find_filter (name->string) : eng_tpl_find_test (name->string);
  int n = name->string->n_bytes > 60 ? 60 : (int) name->string->n_bytes;
  if (!*f
      && (is_filter ? eng_tpl_is_refused_filter (name->string)
                    : eng_tpl_is_refused_test (name->string)))
    return eng_tpl_refuse (r, "unsupported %s '%.*s'", is_filter ? "filter" : "test", n,
                           name->string->data);
  if (!*f)
    return eng_tpl_raise (r, "No %s named '%.*s'.", is_filter ? "filter" : "test", n,
                          name->string->data);
  *rest = *args;
  rest->items += at + 1;
  rest->n -= at + 1;
  return true;
}

static bool
filter_map (TplRender *r, const TplValue *v, const TplArgs *args, const TplValue *a, TplValue *out)
{
  const TplKeyword *attribute = keyword (args, "attribute"), *fallback = keyword (args, "default");
  const TplFunction *function = NULL;
  TplItems mapped = { .r = r };
  TplArgs rest = { 0 };
  TplIterator *it = NULL;
  TplValue item, result;
  Getter getter;
  bool done;
  if (!eng_tpl_truth (v))
    return eng_tpl_make_iterator (r, NULL, 0, out);
  if (args->n == 0 && attribute)
    {
      if (args->n_keywords > 1u + (fallback != NULL))
        return eng_tpl_raise (r, "Unexpected keyword argument");
      if (!getter_init (r, &getter, &attribute->value, false))
        return false;
      getter.fallback = fallback && fallback->value.kind != TPL_NONE ? &fallback->value : NULL;
    }
  else if (args->n == 0)
    return eng_tpl_raise (r, "map requires a filter argument");
  else if (!named_function (r, args, 0, true, &function, &rest))
    return false;
  if (!eng_tpl_iterate (r, v, &it))
    return false;
  for (;;)
    {
      if (!eng_tpl_next (r, it, &item, &done))
        return false;
      if (done)
        return eng_tpl_make_iterator (r, mapped.items, mapped.n, out);
      if (!(function ? eng_tpl_call_function (r, function, &item, &rest, &result)
                     : getter_get (&getter, &item, &result))
          || !eng_tpl_items_add (&mapped, &result))
        return false;
    }
}

static bool
select_items (TplRender *r, const TplValue *v, const TplArgs *args, bool wanted, bool by_attribute,
              TplValue *out)
{
  const TplFunction *test = NULL;
  TplItems kept = { .r = r };
  TplArgs rest = { 0 };
  TplIterator *it = NULL;
  TplValue item, value, result;
  Getter getter;
  uint32_t at = by_attribute;
  bool done;
  if (!eng_tpl_truth (v))
    return eng_tpl_make_iterator (r, NULL, 0, out);
  if (by_attribute && args->n == 0)
    return eng_tpl_raise (r, "Missing parameter for attribute name");
  TplValue none = { 0 };
  if (!getter_init (r, &getter, by_attribute ? &args->items[0] : &none, false)
      || (args->n > at && !named_function (r, args, at, false, &test, &rest))
      || !eng_tpl_iterate (r, v, &it))
    return false;
  for (;;)
    {
      if (!eng_tpl_next (r, it, &item, &done))
        return false;
      if (done)
        return eng_tpl_make_iterator (r, kept.items, kept.n, out);
      if (!getter_get (&getter, &item, &value))
        return false;
      if (test && !eng_tpl_call_function (r, test, &value, &rest, &result))
        return false;
      if (eng_tpl_truth (test ? &result : &value) == wanted && !eng_tpl_items_add (&kept, &item))
        return false;
    }
}

static bool
filter_select (TplRender *r, const TplValue *v, const TplArgs *args, const TplValue *a,
               TplValue *out)
{
  return select_items (r, v, args, true, false, out);
}

static bool
filter_reject (TplRender *r, const TplValue *v, const TplArgs *args, const TplValue *a,
               TplValue *out)
{
  return select_items (r, v, args, false, false, out);
}

static bool
filter_selectattr (TplRender *r, const TplValue *v, const TplArgs *args, const TplValue *a,
                   TplValue *out)
{
  return select_items (r, v, args, true, true, out);
}

static bool
filter_rejectattr (TplRender *r, const TplValue *v, const TplArgs *args, const TplValue *a,
                   TplValue *out)
{
  return select_items (r, v, args, false, true, out);
}

/* ---- pieces */

static bool
add_piece (TplItems *pieces, const TplValue *items, uint32_t n, uint32_t fill, const TplValue *with)
{
  TplValue *copy = eng_tpl_alloc (pieces->r, (size_t) n + fill, sizeof *copy), piece;
  if (!copy || !eng_tpl_charge (pieces->r, ((uint64_t) n + fill) / 8))
    return false;
  if (n)
    memcpy (copy, items, n * sizeof *copy);
  for (uint32_t k = 0; k < fill; k++)
    copy[n + k] = *with;
  return eng_tpl_make_list (pieces->r, TPL_LIST, copy, n + fill, &piece)
         && eng_tpl_items_add (pieces, &piece);
}

static bool
filter_batch (TplRender *r, const TplValue *v, const TplArgs *args, const TplValue *a,
              TplValue *out)
{
  TplItems pieces = { .r = r };
  TplList list;
  int64_t size;
  bool fill = a[1].kind != TPL_ABSENT && a[1].kind != TPL_NONE;
  if (!eng_tpl_int_arg (r, &a[0], 0, &size) || !eng_tpl_collect (r, v, &list))
    return false;
  if (size <= 0 || size > ENG_TEMPLATE_MAX_RANGE)
    return eng_tpl_refuse (r, "batches of this size are not supported");
  for (uint32_t k = 0; k < list.n; k += (uint32_t) size)
    {
      uint32_t n = list.n - k < size ? list.n - k : (uint32_t) size;
      if (!add_piece (&pieces, list.items + k, n, fill ? (uint32_t) size - n : 0, &a[1]))
        return false;
    }
  return eng_tpl_make_iterator (r, pieces.items, pieces.n, out);
}

static bool
filter_slice (TplRender *r, const TplValue *v, const TplArgs *args, const TplValue *a,
              TplValue *out)
{
  TplItems pieces = { .r = r };
  TplList list;
  int64_t n_slices;
  bool fill = a[1].kind != TPL_ABSENT && a[1].kind != TPL_NONE;
  if (!eng_tpl_int_arg (r, &a[0], 0, &n_slices) || !eng_tpl_collect (r, v, &list))
    return false;
  if (n_slices == 0)
    return eng_tpl_raise (r, "integer division or modulo by zero");
  if (n_slices < 0 || n_slices > ENG_TEMPLATE_MAX_RANGE)
    return eng_tpl_refuse (r, "so many slices are not supported");
  uint32_t each = list.n / (uint32_t) n_slices, extra = list.n % (uint32_t) n_slices, at = 0;
  for (uint32_t k = 0; k < n_slices; k++)
    {
      uint32_t n = each + (k < extra);
      if (!add_piece (&pieces, list.items + at, n, fill && k >= extra, &a[1]))
        return false;
      at += n;
    }
  return eng_tpl_make_iterator (r, pieces.items, pieces.n, out);
}

const TplFunction eng_tpl_list_filters[] = {
  { "batch", "linecount fill_with=", filter_batch },
  { "dictsort", "case_sensitive= by= reverse=", filter_dictsort },
  { "first", "", filter_first },
  { "items", "", filter_items },
  { "join", "d= attribute=", filter_join },
  { "last", "", filter_last },
  { "list", "", filter_list },
  { "map", NULL, filter_map },
  { "max", "case_sensitive= attribute=", filter_max },
  { "min", "case_sensitive= attribute=", filter_min },
  { "reject", NULL, filter_reject },
  { "rejectattr", NULL, filter_rejectattr },
  { "reverse", "", filter_reverse },
  { "select", NULL, filter_select },
  { "selectattr", NULL, filter_selectattr },
  { "slice", "slices fill_with=", filter_slice },
  { "sort", "reverse= case_sensitive= attribute=", filter_sort },
  { "sum", "attribute= start=", filter_sum },
  { "unique", "case_sensitive= attribute=", filter_unique },
};
const size_t eng_tpl_n_list_filters = sizeof eng_tpl_list_filters / sizeof eng_tpl_list_filters[0];
