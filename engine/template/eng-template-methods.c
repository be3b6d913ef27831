/* SPDX-License-Identifier: Apache-2.0 */
/* Methods of strings, dictionaries, lists and loops. */
#include <stdio.h>

#include "eng-template-private.h"

#define METHOD(name)                                                                               \
  static bool name (TplRender *r, const TplValue *self, const TplArgs *args, const TplValue *a,    \
                    TplValue *out)

/* ---- strings: parts */

static bool
strip (TplRender *r, const TplValue *self, const TplValue *a, TplStripSides sides, TplValue *out)
{
  if (!eng_tpl_strip (r, self->string, &a[0], sides, out))
    return false;
  out->markup = self->markup;
  return true;
}

METHOD (str_strip)
{
  return strip (r, self, a, TPL_STRIP_BOTH, out);
}

METHOD (str_lstrip)
{
  return strip (r, self, a, TPL_STRIP_LEFT, out);
}

METHOD (str_rstrip)
{
  return strip (r, self, a, TPL_STRIP_RIGHT, out);
}

static bool
add_part (TplItems *parts, const TplString *s, uint32_t start, uint32_t end)
{
  TplValue v;
  return eng_tpl_charge (parts->r, 1) && eng_tpl_substring (parts->r, s, start, end, &v)
         && eng_tpl_items_add (parts, &v);
}

/* Start of the character that ends at byte @end. */
static uint32_t
step_back (const TplString *s, uint32_t end)
{
  do
    end--;
  while (end > 0 && (s->data[end] & 0xc0) == 0x80);
  return end;
}

static bool
space_ends_at (const TplString *s, uint32_t end)
{
  uint32_t length;
  return end > 0 && eng_tpl_is_space (eng_tpl_char_at (s, step_back (s, end), &length));
}

static bool
split_spaces (TplRender *r, const TplString *s, int64_t max, TplItems *parts)
{
  uint32_t i = 0, length;
  for (;;)
    {
      while (i < s->n_bytes && eng_tpl_is_space (eng_tpl_char_at (s, i, &length)))
        i += length;
      if (i >= s->n_bytes)
        return true;
      uint32_t start = i;
      if (max >= 0 && parts->n >= max)
        return add_part (parts, s, start, s->n_bytes);
      while (i < s->n_bytes && !eng_tpl_is_space (eng_tpl_char_at (s, i, &length)))
        i += length;
      if (!add_part (parts, s, start, i))
        return false;
    }
}

static bool
split_spaces_right (TplRender *r, const TplString *s, int64_t max, TplItems *parts)
{
  uint32_t end = s->n_bytes;
  for (;;)
    {
      while (space_ends_at (s, end))
        end = step_back (s, end);
      if (end == 0)
        return true;
      if (max >= 0 && parts->n >= max)
        return add_part (parts, s, 0, end);
      uint32_t start = end;
      while (start > 0 && !space_ends_at (s, start))
        start = step_back (s, start);
      if (!add_part (parts, s, start, end))
        return false;
      end = start;
    }
}

static bool
split_by (TplRender *r, const TplString *s, const TplString *by, int64_t max, TplItems *parts)
{
  uint32_t from = 0;
  while (max < 0 || parts->n < max)
    {
      uint32_t at = eng_tpl_find (s, by->data, by->n_bytes, from);
      if (at == UINT32_MAX)
        break;
      if (!add_part (parts, s, from, at))
        return false;
      from = at + by->n_bytes;
    }
  return add_part (parts, s, from, s->n_bytes);
}

static bool
split_by_right (TplRender *r, const TplString *s, const TplString *by, int64_t max, TplItems *parts)
{
  uint32_t end = s->n_bytes, at;
  while (max < 0 || parts->n < max)
    {
      if (!eng_tpl_rfind (r, s, by->data, by->n_bytes, end, &at))
        return false;
      if (at == UINT32_MAX)
        break;
      if (!add_part (parts, s, at + by->n_bytes, end))
        return false;
      end = at;
    }
  return add_part (parts, s, 0, end);
}

static bool
split (TplRender *r, const TplValue *self, const TplValue *a, bool right, TplValue *out)
{
  TplItems parts = { .r = r };
  const TplString *by;
  int64_t max;
  bool ok;
  if (!eng_tpl_int_arg (r, &a[1], -1, &max) || !eng_tpl_charge_bytes (r, self->string->n_bytes))
    return false;
  if (a[0].kind == TPL_ABSENT || a[0].kind == TPL_NONE)
    ok = right ? split_spaces_right (r, self->string, max, &parts)
               : split_spaces (r, self->string, max, &parts);
  else if (!eng_tpl_string_arg (r, &a[0], "separator", &by))
    return false;
  else if (by->n_bytes == 0)
    return eng_tpl_raise (r, "empty separator");
  else
    ok = right ? split_by_right (r, self->string, by, max, &parts)
               : split_by (r, self->string, by, max, &parts);
  for (uint32_t k = 0; ok && right && k < parts.n / 2; k++)
    {
      TplValue swap = parts.items[k];
      parts.items[k] = parts.items[parts.n - 1 - k];
      parts.items[parts.n - 1 - k] = swap;
    }
  return ok && eng_tpl_make_list (r, TPL_LIST, parts.items, parts.n, out);
}

METHOD (str_split)
{
  return split (r, self, a, false, out);
}

METHOD (str_rsplit)
{
  return split (r, self, a, true, out);
}

static bool
is_line_end (uint32_t c)
{
  return (c >= 10 && c <= 13) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028
         || c == 0x2029;
}

bool
eng_tpl_split_lines (TplRender *r, const TplString *s, bool keep_ends, TplItems *lines)
{
  uint32_t start = 0, length;
  if (!eng_tpl_charge_bytes (r, s->n_bytes))
    return false;
  for (uint32_t i = 0; i < s->n_bytes; i += length)
    {
      uint32_t c = eng_tpl_char_at (s, i, &length), end = i;
      if (!is_line_end (c))
        continue;
      if (c == '\r' && i + 1 < s->n_bytes && s->data[i + 1] == '\n')
        length = 2;
      if (!add_part (lines, s, start, keep_ends ? end + length : end))
        return false;
      start = i + length;
    }
  return start >= s->n_bytes || add_part (lines, s, start, s->n_bytes);
}

METHOD (str_splitlines)
{
  TplItems lines = { .r = r };
  return eng_tpl_split_lines (r, self->string, eng_tpl_bool_arg (&a[0], false), &lines)
         && eng_tpl_make_list (r, TPL_LIST, lines.items, lines.n, out);
}

static bool
partition (TplRender *r, const TplValue *self, const TplValue *a, bool right, TplValue *out)
{
  const TplString *s = self->string, *by;
  TplValue *parts = eng_tpl_alloc (r, 3, sizeof *parts);
  uint32_t at;
  if (!parts || !eng_tpl_string_arg (r, &a[0], "separator", &by))
    return false;
  if (by->n_bytes == 0)
    return eng_tpl_raise (r, "empty separator");
  if (!right)
    at = eng_tpl_find (s, by->data, by->n_bytes, 0);
  else if (!eng_tpl_rfind (r, s, by->data, by->n_bytes, s->n_bytes, &at))
    return false;
  uint32_t first = at != UINT32_MAX ? at : right ? 0 : s->n_bytes;
  uint32_t second = at != UINT32_MAX ? at + by->n_bytes : first;
  return eng_tpl_charge_bytes (r, s->n_bytes) && eng_tpl_substring (r, s, 0, first, &parts[0])
         && eng_tpl_substring (r, s, first, second, &parts[1])
         && eng_tpl_substring (r, s, second, s->n_bytes, &parts[2])
         && eng_tpl_make_list (r, TPL_TUPLE, parts, 3, out);
}

METHOD (str_partition)
{
  return partition (r, self, a, false, out);
}

METHOD (str_rpartition)
{
  return partition (r, self, a, true, out);
}

/* ---- strings: looking into them */

static bool
has_affix (const TplString *s, const TplString *affix, bool at_end)
{
  return affix->n_bytes <= s->n_bytes
         && memcmp (s->data + (at_end ? s->n_bytes - affix->n_bytes : 0), affix->data,
                    affix->n_bytes)
                == 0;
}

static bool
starts_or_ends (TplRender *r, const TplValue *self, const TplValue *a, bool at_end, TplValue *out)
{
  const char *who = at_end ? "endswith" : "startswith";
  bool yes = false;
  if (a[1].kind != TPL_ABSENT || a[2].kind != TPL_ABSENT)
    return eng_tpl_refuse (r, "%s() from a position is not supported", who);
  if (a[0].kind == TPL_STRING)
    yes = has_affix (self->string, a[0].string, at_end);
  else if (a[0].kind != TPL_TUPLE)
    return eng_tpl_raise (r, "%s first arg must be str or a tuple of str, not %s", who,
                          eng_tpl_type_name (&a[0]));
  for (uint32_t k = 0; a[0].kind == TPL_TUPLE && k < a[0].list->n && !yes; k++)
    {
      const TplValue *v = &a[0].list->items[k];
      if (v->kind != TPL_STRING)
        return eng_tpl_raise (r, "tuple for %s must only contain str, not %s", who,
                              eng_tpl_type_name (v));
      yes = has_affix (self->string, v->string, at_end);
    }
  *out = eng_tpl_bool (yes);
  return eng_tpl_charge_bytes (r,
                               a[0].kind == TPL_STRING ? a[0].string->n_bytes : 32 * a[0].list->n);
}

METHOD (str_startswith)
{
  return starts_or_ends (r, self, a, false, out);
}

METHOD (str_endswith)
{
  return starts_or_ends (r, self, a, true, out);
}

static bool
find (TplRender *r, const TplValue *self, const TplValue *a, bool right, TplValue *out)
{
  const TplString *s = self->string, *needle;
  uint32_t at;
  int64_t chars = 0;
  if (a[1].kind != TPL_ABSENT || a[2].kind != TPL_ABSENT)
    return eng_tpl_refuse (r, "searching from a position is not supported");
  if (!eng_tpl_string_arg (r, &a[0], "find() argument 1", &needle)
      || !eng_tpl_charge_bytes (r, s->n_bytes))
    return false;
  if (!right)
    at = eng_tpl_find (s, needle->data, needle->n_bytes, 0);
  else if (!eng_tpl_rfind (r, s, needle->data, needle->n_bytes, s->n_bytes, &at))
    return false;
  for (uint32_t k = 0; at != UINT32_MAX && k < at; k++)
    chars += (s->data[k] & 0xc0) != 0x80;
  *out = eng_tpl_int (at == UINT32_MAX ? -1 : chars);
  return true;
}

METHOD (str_find)
{
  return find (r, self, a, false, out);
}

METHOD (str_rfind)
{
  return find (r, self, a, true, out);
}

METHOD (str_index)
{
  if (!find (r, self, a, false, out))
    return false;
  return out->integer >= 0 || eng_tpl_raise (r, "substring not found");
}

METHOD (str_count)
{
  const TplString *s = self->string, *needle;
  int64_t n = 0;
  if (!eng_tpl_string_arg (r, &a[0], "count() argument 1", &needle)
      || !eng_tpl_charge_bytes (r, s->n_bytes))
    return false;
  if (needle->n_bytes == 0)
    n = (int64_t) s->n_chars + 1;
  else
    for (uint32_t at = 0; (at = eng_tpl_find (s, needle->data, needle->n_bytes, at)) != UINT32_MAX;
         n++)
      at += needle->n_bytes;
  *out = eng_tpl_int (n);
  return eng_tpl_charge (r, (uint64_t) n);
}

static bool
all_chars (TplRender *r, const TplString *s, bool (*is) (uint32_t), TplValue *out)
{
  bool all = s->n_bytes > 0;
  uint32_t length;
  for (uint32_t i = 0; i < s->n_bytes && all; i += length)
    all = is (eng_tpl_char_at (s, i, &length));
  *out = eng_tpl_bool (all);
  return eng_tpl_charge_bytes (r, (uint64_t) s->n_bytes * 4);
}

METHOD (str_isdigit)
{
  return all_chars (r, self->string, eng_tpl_is_digit, out);
}

METHOD (str_isalpha)
{
  return all_chars (r, self->string, eng_tpl_is_alpha, out);
}

METHOD (str_isspace)
{
  return all_chars (r, self->string, eng_tpl_is_space, out);
}

static bool
is_case (TplRender *r, const TplValue *self, const char *test, TplValue *out)
{
  TplString name = { .data = test, .n_bytes = 5, .n_chars = 5 };
  TplArgs none = { 0 };
  return eng_tpl_call_function (r, eng_tpl_find_test (&name), self, &none, out);
}

METHOD (str_isupper)
{
  return is_case (r, self, "upper", out);
}

METHOD (str_islower)
{
  return is_case (r, self, "lower", out);
}

/* ---- strings: changing them */

static bool
change_case (TplRender *r, const TplValue *self, TplCase mode, TplValue *out)
{
  if (!eng_tpl_change_case (r, self->string, mode, out))
    return false;
  out->markup = self->markup;
  return true;
}

METHOD (str_upper)
{
  return change_case (r, self, TPL_CASE_UPPER, out);
}

METHOD (str_lower)
{
  return change_case (r, self, TPL_CASE_LOWER, out);
}

METHOD (str_title)
{
  return change_case (r, self, TPL_CASE_TITLE, out);
}

METHOD (str_capitalize)
{
  return change_case (r, self, TPL_CASE_CAPITALIZE, out);
}

METHOD (str_swapcase)
{
  return change_case (r, self, TPL_CASE_SWAP, out);
}

METHOD (str_replace)
{
  const TplString *old, *with;
  int64_t count;
  return eng_tpl_string_arg (r, &a[0], "replace() argument 1", &old)
         && eng_tpl_string_arg (r, &a[1], "replace() argument 2", &with)
         && eng_tpl_int_arg (r, &a[2], -1, &count)
         && eng_tpl_replace (r, self->string, old, with, count, out);
}

METHOD (str_removeprefix)
{
  const TplString *s = self->string, *affix;
  return eng_tpl_string_arg (r, &a[0], "removeprefix() argument", &affix)
         && eng_tpl_substring (r, s, has_affix (s, affix, false) ? affix->n_bytes : 0, s->n_bytes,
                               out);
}

METHOD (str_removesuffix)
{
  const TplString *s = self->string, *affix;
  return eng_tpl_string_arg (r, &a[0], "removesuffix() argument", &affix)
         && eng_tpl_substring (r, s, 0,
                               s->n_bytes - (has_affix (s, affix, true) ? affix->n_bytes : 0), out);
}

METHOD (str_join)
{
  TplBuilder b = { .r = r };
  TplIterator *it = NULL;
  TplValue item;
  bool done;
  if (!eng_tpl_is_iterable (&a[0]))
    return eng_tpl_raise (r, "can only join an iterable");
  if (!eng_tpl_iterate (r, &a[0], &it))
    return false;
  for (unsigned k = 0;; k++)
    {
      if (!eng_tpl_next (r, it, &item, &done))
        return false;
      if (done)
        return eng_tpl_builder_finish (&b, out);
      if (item.kind != TPL_STRING)
        return eng_tpl_raise (r, "sequence item %u: expected str instance, %s found", k,
                              eng_tpl_type_name (&item));
      if ((k > 0 && !eng_tpl_append_string (&b, self->string))
          || !eng_tpl_append_string (&b, item.string))
        return false;
    }
}

METHOD (str_format)
{
  return eng_tpl_format_braces (r, self->string, args, out);
}

static bool
pad (TplRender *r, const TplValue *self, const TplValue *a, char side, TplValue *out)
{
  TplBuilder b = { .r = r };
  const TplString *s = self->string, *fill = NULL;
  static const TplString space = { .data = " ", .n_bytes = 1, .n_chars = 1 };
  int64_t width;
  if (!eng_tpl_int_arg (r, &a[0], 0, &width)
      || (a[1].kind != TPL_ABSENT && !eng_tpl_string_arg (r, &a[1], "The fill character", &fill)))
    return false;
  if (fill && fill->n_chars != 1)
    return eng_tpl_raise (r, "The fill character must be exactly one character long");
  if (width > ENG_TEMPLATE_MAX_RANGE)
    return eng_tpl_limit (r, "a string is padded too far");
  int64_t n = width > s->n_chars ? width - s->n_chars : 0;
  int64_t left = side == '>' ? n : side == '^' ? n / 2 + (n & width & 1) : 0;
  for (int64_t k = 0; k < left; k++)
    if (!eng_tpl_append_string (&b, fill ? fill : &space))
      return false;
  if (!eng_tpl_append_string (&b, s))
    return false;
  for (int64_t k = left; k < n; k++)
    if (!eng_tpl_append_string (&b, fill ? fill : &space))
      return false;
  return eng_tpl_charge (r, (uint64_t) n / 8) && eng_tpl_builder_finish (&b, out);
}

METHOD (str_ljust)
{
  return pad (r, self, a, '<', out);
}

METHOD (str_rjust)
{
  return pad (r, self, a, '>', out);
}

METHOD (str_center)
{
  return pad (r, self, a, '^', out);
}

METHOD (str_zfill)
{
  TplBuilder b = { .r = r };
  const TplString *s = self->string;
  int64_t width;
  if (!eng_tpl_int_arg (r, &a[0], 0, &width))
    return false;
  if (width > ENG_TEMPLATE_MAX_RANGE)
    return eng_tpl_limit (r, "a string is padded too far");
  uint32_t sign = s->n_bytes > 0 && (s->data[0] == '-' || s->data[0] == '+');
  if (!eng_tpl_append_range (&b, s, 0, sign))
    return false;
  for (int64_t k = s->n_chars; k < width; k++)
    if (!eng_tpl_append (&b, "0", 1, false))
      return false;
  return eng_tpl_append_range (&b, s, sign, s->n_bytes) && eng_tpl_builder_finish (&b, out);
}

/* ---- dictionaries, lists, loops */

METHOD (dict_get)
{
  TplEntry *entry;
  if (!eng_tpl_dict_find (r, self->dict, &a[0], &entry))
    return false;
  *out = entry ? entry->value : a[1].kind == TPL_ABSENT ? eng_tpl_none () : a[1];
  return true;
}

static bool
view (const TplValue *self, TplViewKind kind, TplValue *out)
{
  *out = (TplValue){ .kind = TPL_VIEW, .view = (uint8_t) kind, .dict = self->dict };
  return true;
}

METHOD (dict_keys)
{
  return view (self, TPL_VIEW_KEYS, out);
}

METHOD (dict_values)
{
  return view (self, TPL_VIEW_VALUES, out);
}

METHOD (dict_items)
{
  return view (self, TPL_VIEW_ITEMS, out);
}

METHOD (list_index)
{
  char text[200];
  for (uint32_t k = 0; k < self->list->n; k++)
    {
      bool same;
      if (!eng_tpl_equal (r, &self->list->items[k], &a[0], &same))
        return false;
      if (same)
        {
          *out = eng_tpl_int (k);
          return true;
        }
    }
  if (self->kind == TPL_TUPLE)
    return eng_tpl_raise (r, "tuple.index(x): x not in tuple");
  return eng_tpl_repr_buffer (r, &a[0], text, sizeof text)
         && eng_tpl_raise (r, "%s is not in list", text);
}

METHOD (list_count)
{
  int64_t n = 0;
  for (uint32_t k = 0; k < self->list->n; k++)
    {
      bool same;
      if (!eng_tpl_equal (r, &self->list->items[k], &a[0], &same))
        return false;
      n += same;
    }
  *out = eng_tpl_int (n);
  return true;
}

METHOD (loop_cycle)
{
  if (args->n == 0)
    return eng_tpl_raise (r, "no items for cycling given");
  *out = args->items[self->loop->index0 % args->n];
  return true;
}

METHOD (loop_changed)
{
  TplLoop *loop = self->loop;
  TplValue now;
  bool same = false;
  if (!eng_tpl_make_list (r, TPL_TUPLE, args->items, args->n, &now)
      || (loop->has_changed && !eng_tpl_equal (r, &loop->changed, &now, &same)))
    return false;
  loop->changed = now;
  loop->has_changed = true;
  *out = eng_tpl_bool (!same);
  return true;
}

static const TplFunction str_methods[] = {
  { "capitalize", "", str_capitalize },
  { "center", "width fillchar=", str_center },
  { "count", "sub", str_count },
  { "endswith", "suffix start= end=", str_endswith },
  { "find", "sub start= end=", str_find },
  { "format", NULL, str_format },
  { "index", "sub start= end=", str_index },
  { "isalpha", "", str_isalpha },
  { "isdigit", "", str_isdigit },
  { "islower", "", str_islower },
  { "isspace", "", str_isspace },
  { "isupper", "", str_isupper },
  { "join", "iterable", str_join },
  { "ljust", "width fillchar=", str_ljust },
  { "lower", "", str_lower },
  { "lstrip", "chars=", str_lstrip },
  { "partition", "sep", str_partition },
  { "removeprefix", "prefix", str_removeprefix },
  { "removesuffix", "suffix", str_removesuffix },
  { "replace", "old new count=", str_replace },
  { "rfind", "sub start= end=", str_rfind },
  { "rjust", "width fillchar=", str_rjust },
  { "rpartition", "sep", str_rpartition },
  { "rsplit", "sep= maxsplit=", str_rsplit },
  { "rstrip", "chars=", str_rstrip },
  { "split", "sep= maxsplit=", str_split },
  { "splitlines", "keepends=", str_splitlines },
  { "startswith", "prefix start= end=", str_startswith },
  { "strip", "chars=", str_strip },
  { "swapcase", "", str_swapcase },
  { "title", "", str_title },
  { "upper", "", str_upper },
  { "zfill", "width", str_zfill },
};

static const TplFunction dict_methods[] = {
  { "get", "key default=", dict_get },
  { "items", "", dict_items },
  { "keys", "", dict_keys },
  { "values", "", dict_values },
};

static const TplFunction list_methods[] = {
  { "count", "value", list_count },
  { "index", "value", list_index },
};

static const TplFunction loop_methods[] = {
  { "changed", NULL, loop_changed },
  { "cycle", NULL, loop_cycle },
};

/* What else Python's types have. */
static const char refused_str[]
    = "casefold encode expandtabs format_map isalnum isascii isdecimal "
      "isidentifier isnumeric isprintable istitle maketrans rindex translate";
static const char refused_number[]
    = "as_integer_ratio bit_count bit_length conjugate denominator from_bytes "
      "fromhex hex imag is_integer numerator real to_bytes";
static const char markup_methods[]
    = "capitalize endswith find islower isspace isupper lower lstrip rstrip "
      "startswith strip swapcase title upper";

#define N(array) (sizeof (array) / sizeof (array)[0])

const TplFunction *
eng_tpl_find_method (const TplValue *v, const TplString *name, bool *refused, bool *unsafe)
{
  const TplFunction *f = NULL;
  switch ((TplKind) v->kind)
    {
    case TPL_STRING:
      if (eng_tpl_find_in (str_methods, N (str_methods), name, &f) && v->markup
          && !eng_tpl_name_in_list (markup_methods, name))
        f = NULL;
      *refused = !f
                 && (eng_tpl_name_in_list (refused_str, name)
                     || (v->markup
                         && (eng_tpl_find_in (str_methods, N (str_methods), name, &f)
                             || eng_tpl_name_in_list ("escape striptags unescape", name))));
      return *refused ? NULL : f;
    case TPL_DICT:
      eng_tpl_find_in (dict_methods, N (dict_methods), name, &f);
      *unsafe = eng_tpl_name_in_list ("clear pop popitem setdefault update", name);
      *refused = eng_tpl_name_in_list ("copy fromkeys", name);
      return f;
    case TPL_LIST:
      *unsafe = eng_tpl_name_in_list ("append clear extend insert pop remove reverse sort", name);
      *refused = eng_tpl_name_in_list ("copy", name);
      eng_tpl_find_in (list_methods, N (list_methods), name, &f);
      return f;
    case TPL_TUPLE:
      eng_tpl_find_in (list_methods, N (list_methods), name, &f);
      return f;
    case TPL_LOOP:
      eng_tpl_find_in (loop_methods, N (loop_methods), name, &f);
      return f;
    case TPL_INT:
    case TPL_BOOL:
    case TPL_FLOAT:
      *refused = eng_tpl_name_in_list (refused_number, name);
      return NULL;
    case TPL_RANGE:
      *refused = eng_tpl_name_in_list ("count index start step stop", name);
      return NULL;
    case TPL_VIEW:
      *refused = eng_tpl_name_in_list ("isdisjoint mapping", name);
      return NULL;
    case TPL_ITERATOR:
      *refused = eng_tpl_name_in_list ("close send throw gi_code gi_frame gi_running gi_yieldfrom",
                                       name);
      return NULL;
    case TPL_MACRO:
    case TPL_FUNCTION:
    case TPL_METHOD:
      *refused = true; /* Python functions have more attributes than anybody needs */
      return NULL;
    default:
      return NULL;
    }
}
