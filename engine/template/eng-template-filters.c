/* SPDX-License-Identifier: Apache-2.0 */
/* Filters on texts and single values; how arguments are read. */
#include <math.h>
#include <stdio.h>

#include "eng-number.h"
#include "eng-template-private.h"

/* ---- arguments */

bool
eng_tpl_int_arg (TplRender *r, const TplValue *v, int64_t fallback, int64_t *out)
{
  if (v->kind == TPL_ABSENT)
    *out = fallback;
  else if (v->kind == TPL_INT || v->kind == TPL_BOOL)
    *out = v->kind == TPL_INT ? v->integer : v->boolean;
  else if (v->kind == TPL_UNDEFINED)
    return eng_tpl_undefined_error (r, v);
  else
    return eng_tpl_raise (r, "'%s' object cannot be interpreted as an integer",
                          eng_tpl_type_name (v));
  return true;
}

bool
eng_tpl_bool_arg (const TplValue *v, bool fallback)
{
  return v->kind == TPL_ABSENT ? fallback : eng_tpl_truth (v);
}

bool
eng_tpl_soft_string (TplRender *r, const TplValue *v, const TplString **out)
{
  TplValue text;
  if (!eng_tpl_to_text (r, v, &text))
    return false;
  *out = text.string;
  return true;
}

bool
eng_tpl_string_arg (TplRender *r, const TplValue *v, const char *who, const TplString **out)
{
  if (v->kind != TPL_STRING)
    return eng_tpl_raise (r, "%s must be str, not %s", who, eng_tpl_type_name (v));
  *out = v->string;
  return true;
}

/* ---- text */

static bool
change_case (TplRender *r, const TplValue *v, TplCase mode, TplValue *out)
{
  const TplString *s;
  if (!eng_tpl_soft_string (r, v, &s) || !eng_tpl_change_case (r, s, mode, out))
    return false;
  out->markup = v->kind == TPL_STRING && v->markup;
  return true;
}

static bool
filter_upper (TplRender *r, const TplValue *v, const TplArgs *args, const TplValue *a,
              TplValue *out)
{
  return change_case (r, v, TPL_CASE_UPPER, out);
}

static bool
filter_lower (TplRender *r, const TplValue *v, const TplArgs *args, const TplValue *a,
              TplValue *out)
{
  return change_case (r, v, TPL_CASE_LOWER, out);
}

static bool
filter_capitalize (TplRender *r, const TplValue *v, const TplArgs *args, const TplValue *a,
                   TplValue *out)
{
  return change_case (r, v, TPL_CASE_CAPITALIZE, out);
}

static bool
filter_title (TplRender *r, const TplValue *v, const TplArgs *args, const TplValue *a,
              TplValue *out)
{
  return change_case (r, v, TPL_CASE_TITLE_WORDS, out);
}

static bool
filter_trim (TplRender *r, const TplValue *v, const TplArgs *args, const TplValue *a, TplValue *out)
{
  const TplString *s;
  if (!eng_tpl_soft_string (r, v, &s) || !eng_tpl_strip (r, s, &a[0], TPL_STRIP_BOTH, out))
    return false;
  out->markup = v->kind == TPL_STRING && v->markup;
  return true;
}

static bool
filter_replace (TplRender *r, const TplValue *v, const TplArgs *args, const TplValue *a,
                TplValue *out)
{
  const TplString *s, *old, *with;
  int64_t count = -1;
  return eng_tpl_soft_string (r, v, &s) && eng_tpl_soft_string (r, &a[0], &old)
         && eng_tpl_soft_string (r, &a[1], &with)
         && (a[2].kind == TPL_NONE || eng_tpl_int_arg (r, &a[2], -1, &count))
         && eng_tpl_replace (r, s, old, with, count, out);
}

static bool
filter_string (TplRender *r, const TplValue *v, const TplArgs *args, const TplValue *a,
               TplValue *out)
{
  if (v->kind == TPL_STRING)
    {
      *out = *v;
      return true;
    }
  return eng_tpl_to_text (r, v, out);
}

static bool
filter_safe (TplRender *r, const TplValue *v, const TplArgs *args, const TplValue *a, TplValue *out)
{
  if (!eng_tpl_to_text (r, v, out))
    return false;
  out->markup = true;
  return true;
}

static bool
filter_escape (TplRender *r, const TplValue *v, const TplArgs *args, const TplValue *a,
               TplValue *out)
{
  return eng_tpl_escape (r, v, out);
}

static bool
filter_forceescape (TplRender *r, const TplValue *v, const TplArgs *args, const TplValue *a,
                    TplValue *out)
{
  TplValue text;
  return eng_tpl_to_text (r, v, &text) && eng_tpl_escape (r, &text, out);
}

static bool
filter_indent (TplRender *r, const TplValue *v, const TplArgs *args, const TplValue *a,
               TplValue *out)
{
  TplBuilder b = { .r = r }, width = { .r = r };
  TplItems lines = { .r = r };
  TplValue unit = a[0];
  bool first = eng_tpl_bool_arg (&a[1], false), blank = eng_tpl_bool_arg (&a[2], false);
  if (v->kind == TPL_UNDEFINED)
    return eng_tpl_undefined_error (r, v);
  if (v->kind != TPL_STRING)
    return eng_tpl_raise (r, "unsupported operand type(s) for +=: '%s' and 'str'",
                          eng_tpl_type_name (v));
  if (v->markup)
    return eng_tpl_refuse (r, "indenting text marked safe is not supported");
  if (unit.kind != TPL_STRING)
    {
      int64_t n = 4;
      if (!eng_tpl_int_arg (r, &a[0], 4, &n))
        return false;
      if (n > 1000)
        return eng_tpl_limit (r, "an indentation is too wide");
      for (int64_t k = 0; k < n; k++)
        if (!eng_tpl_append (&width, " ", 1, false))
          return false;
      if (!eng_tpl_builder_finish (&width, &unit))
        return false;
    }
  if (!eng_tpl_split_lines (r, v->string, false, &lines))
    return false;
  /* Jinja adds a newline before it splits the lines: what ends in one has an empty last line. */
  TplValue empty;
  char last = v->string->n_bytes ? v->string->data[v->string->n_bytes - 1] : '\n';
  if ((last == '\n' || last == '\r')
      && (!eng_tpl_make_string (r, "", 0, false, &empty) || !eng_tpl_items_add (&lines, &empty)))
    return false;
  if (first && !eng_tpl_append_string (&b, unit.string))
    return false;
  for (uint32_t k = 0; k < lines.n; k++)
    if ((k > 0 && !eng_tpl_append (&b, "\n", 1, false))
        || (k > 0 && (blank || lines.items[k].string->n_bytes > 0)
            && !eng_tpl_append_string (&b, unit.string))
        || !eng_tpl_append_string (&b, lines.items[k].string))
      return false;
  return eng_tpl_builder_finish (&b, out);
}

static bool
filter_format (TplRender *r, const TplValue *v, const TplArgs *args, const TplValue *a,
               TplValue *out)
{
  const TplString *s;
  TplValue values;
  if (args->n && args->n_keywords)
    return eng_tpl_raise (r, "can't handle positional and keyword arguments at the same time");
  if (v->kind == TPL_STRING && v->markup)
    return eng_tpl_refuse (r, "formatting of text marked safe is not supported");
  if (args->n_keywords)
    {
      TplDict *dict = eng_tpl_alloc (r, 1, sizeof *dict);
      if (!dict)
        return false;
      for (uint32_t k = 0; k < args->n_keywords; k++)
        {
          TplValue key = { .kind = TPL_STRING, .string = args->keywords[k].name };
          if (!eng_tpl_dict_set (r, dict, &key, &args->keywords[k].value))
            return false;
        }
      values = (TplValue){ .kind = TPL_DICT, .dict = dict };
    }
  else if (!eng_tpl_make_list (r, TPL_TUPLE, args->items, args->n, &values))
    return false;
  return eng_tpl_soft_string (r, v, &s) && eng_tpl_format_percent (r, s, &values, out);
}

static bool
filter_tojson (TplRender *r, const TplValue *v, const TplArgs *args, const TplValue *a,
               TplValue *out)
{
  return eng_tpl_to_json (r, v, a, out);
}

/* ---- values */

static bool
filter_default (TplRender *r, const TplValue *v, const TplArgs *args, const TplValue *a,
                TplValue *out)
{
  bool use = v->kind == TPL_UNDEFINED || (eng_tpl_bool_arg (&a[1], false) && !eng_tpl_truth (v));
  if (use && a[0].kind == TPL_ABSENT)
    return eng_tpl_make_string (r, "", 0, false, out);
  *out = use ? a[0] : *v;
  return true;
}

static bool
filter_abs (TplRender *r, const TplValue *v, const TplArgs *args, const TplValue *a, TplValue *out)
{
  if (v->kind == TPL_FLOAT)
    *out = eng_tpl_float (fabs (v->number));
  else if (v->kind == TPL_INT || v->kind == TPL_BOOL)
    {
      int64_t i = v->kind == TPL_INT ? v->integer : v->boolean;
      if (i == INT64_MIN)
        return eng_tpl_refuse (r, "an integer grew beyond 64 bits");
      *out = eng_tpl_int (i < 0 ? -i : i);
    }
  else
    return eng_tpl_raise (r, "bad operand type for abs(): '%s'", eng_tpl_type_name (v));
  out->inserted = v->inserted;
  return true;
}

/* A number as Python's int () and float () read it: white space around, underscores between digits.
 */
static bool
clean_number (const TplString *s, char text[400], size_t *n)
{
  uint32_t start = 0, end = s->n_bytes, length;
  while (start < end && eng_tpl_is_space (eng_tpl_char_at (s, start, &length)))
    start += length;
  while (end > start && (unsigned char) s->data[end - 1] < 0x80
         && eng_tpl_is_space ((unsigned char) s->data[end - 1]))
    end--;
  *n = 0;
  for (uint32_t k = start; k < end; k++)
    {
      char c = s->data[k];
      if (c == '_')
        {
          if (k == start || k + 1 >= end || s->data[k - 1] < '0' || s->data[k - 1] > '9'
              || s->data[k + 1] < '0' || s->data[k + 1] > '9')
            return false;
          continue;
        }
      if (*n == 399)
        return false;
      text[(*n)++] = c;
    }
  text[*n] = '\0';
  return true;
}

static bool
text_to_float (const TplString *s, double *out)
{
  char text[400];
  size_t n;
  if (!clean_number (s, text, &n))
    return false;
  bool negative = text[0] == '-';
  const char *word = text + (negative || text[0] == '+');
  if (eng_parse_double (text, n, out))
    return true;
  if (strcasecmp (word, "inf") == 0 || strcasecmp (word, "infinity") == 0)
    *out = negative ? -HUGE_VAL : HUGE_VAL;
  else if (strcasecmp (word, "nan") == 0)
    *out = (double) NAN;
  else
    return false;
  return true;
}

static bool
float_to_int (TplRender *r, double d, TplValue *out)
{
  if (fabs (d) >= 0x1p63)
    return eng_tpl_refuse (r, "an integer has more than 64 bits");
  *out = eng_tpl_int ((int64_t) d);
  return true;
}

static bool
all_digits (const char *text, size_t n)
{
  size_t k = n > 0 && (text[0] == '-' || text[0] == '+');
  bool any = k < n;
  for (; k < n; k++)
    any = any && text[k] >= '0' && text[k] <= '9';
  return any;
}

static bool
filter_int (TplRender *r, const TplValue *v, const TplArgs *args, const TplValue *a, TplValue *out)
{
  char text[400];
  size_t n;
  double d;
  int64_t i, base = 10;
  bool ok = true, inserted = v->inserted;
  if (v->kind == TPL_UNDEFINED)
    return eng_tpl_undefined_error (r, v);
  if (!eng_tpl_int_arg (r, &a[1], 10, &base))
    return false;
  if (v->kind == TPL_STRING)
    {
      inserted = eng_tpl_string_inserted (v->string);
      if (base != 10)
        return eng_tpl_refuse (r, "only base 10 is supported");
      if (clean_number (v->string, text, &n) && eng_parse_int64 (text, n, &i))
        *out = eng_tpl_int (i);
      else if (clean_number (v->string, text, &n) && all_digits (text, n))
        return eng_tpl_refuse (r, "an integer has more than 64 bits");
      else if (text_to_float (v->string, &d) && isfinite (d))
        ok = float_to_int (r, d, out);
      else
        *out = a[0].kind == TPL_ABSENT ? eng_tpl_int (0) : a[0];
    }
  else if (v->kind == TPL_FLOAT && isinf (v->number))
    return eng_tpl_raise (r, "cannot convert float infinity to integer");
  else if (v->kind == TPL_FLOAT && !isnan (v->number))
    ok = float_to_int (r, v->number, out);
  else if (v->kind == TPL_INT || v->kind == TPL_BOOL)
    *out = eng_tpl_int (v->kind == TPL_INT ? v->integer : v->boolean);
  else
    *out = a[0].kind == TPL_ABSENT ? eng_tpl_int (0) : a[0];
  if (ok && out->kind == TPL_INT)
    out->inserted |= inserted;
  return ok;
}

static bool
filter_float (TplRender *r, const TplValue *v, const TplArgs *args, const TplValue *a,
              TplValue *out)
{
  double d;
  bool inserted = v->inserted;
  if (v->kind == TPL_UNDEFINED)
    return eng_tpl_undefined_error (r, v);
  if (v->kind == TPL_STRING)
    inserted = eng_tpl_string_inserted (v->string);
  if (v->kind == TPL_FLOAT)
    *out = *v;
  else if (v->kind == TPL_INT || v->kind == TPL_BOOL)
    *out = eng_tpl_float (v->kind == TPL_INT ? (double) v->integer : v->boolean);
  else if (v->kind == TPL_STRING && text_to_float (v->string, &d))
    *out = eng_tpl_float (d);
  else
    {
      *out = a[0].kind == TPL_ABSENT ? eng_tpl_float (0) : a[0];
      return true;
    }
  out->inserted = inserted;
  return true;
}

static bool
filter_round (TplRender *r, const TplValue *v, const TplArgs *args, const TplValue *a,
              TplValue *out)
{
  int64_t precision = 0;
  char text[400];
  double d = 0;
  if (v->kind == TPL_UNDEFINED)
    return eng_tpl_undefined_error (r, v);
  if (!eng_tpl_int_arg (r, &a[0], 0, &precision))
    return false;
  bool common = a[1].kind == TPL_ABSENT
                || (a[1].kind == TPL_STRING && eng_tpl_string_is (a[1].string, "common"));
  bool up = a[1].kind == TPL_STRING && eng_tpl_string_is (a[1].string, "ceil");
  bool down = a[1].kind == TPL_STRING && eng_tpl_string_is (a[1].string, "floor");
  if (!common && !up && !down)
    return eng_tpl_raise (r, "method must be common, ceil or floor");
  if (v->kind != TPL_INT && v->kind != TPL_FLOAT && v->kind != TPL_BOOL)
    return eng_tpl_raise (r, "type %s doesn't define __round__ method", eng_tpl_type_name (v));
  if (precision < 0 || precision > 20)
    return eng_tpl_refuse (r, "rounding to this precision is not supported");
  if (common && v->kind != TPL_FLOAT)
    {
      *out = eng_tpl_int (v->kind == TPL_INT ? v->integer : v->boolean);
      out->inserted = v->inserted;
      return true;
    }
  d = v->kind == TPL_FLOAT ? v->number : v->kind == TPL_INT ? (double) v->integer : v->boolean;
  if (!isfinite (d))
    return eng_tpl_refuse (r, "rounding an infinite number is not supported");
  if (!common)
    {
      double scale = pow (10, (double) precision);
      d = (up ? ceil (d * scale) : floor (d * scale)) / scale;
    }
  else if (eng_format_fixed (d, (unsigned) precision, text, sizeof text))
    eng_parse_double (text, strlen (text), &d);
  *out = eng_tpl_float (d);
  out->inserted = v->inserted;
  return true;
}

static bool
filter_length (TplRender *r, const TplValue *v, const TplArgs *args, const TplValue *a,
               TplValue *out)
{
  int64_t n;
  if (!eng_tpl_length (r, v, &n))
    return false;
  *out = eng_tpl_int (n);
  return true;
}

const TplFunction eng_tpl_text_filters[] = {
  { "abs", "", filter_abs },
  { "capitalize", "", filter_capitalize },
  { "count", "", filter_length },
  { "d", "default_value= boolean=", filter_default },
  { "default", "default_value= boolean=", filter_default },
  { "e", "", filter_escape },
  { "escape", "", filter_escape },
  { "float", "default=", filter_float },
  { "forceescape", "", filter_forceescape },
  { "format", NULL, filter_format },
  { "indent", "width= first= blank=", filter_indent },
  { "int", "default= base=", filter_int },
  { "length", "", filter_length },
  { "lower", "", filter_lower },
  { "replace", "old new count=", filter_replace },
  { "round", "precision= method=", filter_round },
  { "safe", "", filter_safe },
  { "string", "", filter_string },
  { "title", "", filter_title },
  { "tojson", "ensure_ascii= indent= separators= sort_keys=", filter_tojson },
  { "trim", "chars=", filter_trim },
  { "upper", "", filter_upper },
};
const size_t eng_tpl_n_text_filters = sizeof eng_tpl_text_filters / sizeof eng_tpl_text_filters[0];
