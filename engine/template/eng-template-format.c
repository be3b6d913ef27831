/* SPDX-License-Identifier: Apache-2.0 */
/* Texts by a format: "…" % values, "…".format (), strftime (). */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "eng-number.h"
#include "eng-template-private.h"

/* What stands between % and the letter, or behind the colon in braces. */
typedef struct
{
  uint32_t fill;
  char align; /* '<', '>', '^' or 0 for the type's own */
  bool plus, space, zero, comma, has_precision;
  uint32_t width, precision;
  char type; /* 0: none */
} Spec;

#define MAX_WIDTH 10000

static bool
is_numeric (const TplValue *v)
{
  return v->kind == TPL_INT || v->kind == TPL_BOOL || v->kind == TPL_FLOAT;
}

/* Digits of @v as @spec wants them, without sign. */
static bool
number_text (TplRender *r, const TplValue *v, const Spec *spec, char *text, size_t size,
             bool *negative)
{
  double d = v->kind == TPL_FLOAT  ? v->number
             : v->kind == TPL_BOOL ? v->boolean
                                   : (double) v->integer;
  int64_t i = v->kind == TPL_INT ? v->integer : v->kind == TPL_BOOL ? v->boolean : 0;
  if (spec->type == 'f' || spec->type == 'F' || spec->type == '%')
    {
      *negative = signbit (d) != 0;
      if (isnan (d) || isinf (d))
        return eng_tpl_refuse (r, "formatting an infinite number is not supported");
      if (!eng_format_fixed (fabs (spec->type == '%' ? d * 100 : d),
                             spec->has_precision ? spec->precision : 6, text, size - 1))
        return eng_tpl_refuse (r, "a number is too long to format");
      if (spec->type == '%')
        strcat (text, "%");
      return true;
    }
  if (v->kind == TPL_FLOAT)
    {
      if (fabs (d) >= 0x1p63 || isnan (d))
        return eng_tpl_refuse (r, "an integer has more than 64 bits");
      i = (int64_t) d;
    }
  *negative = i < 0;
  uint64_t magnitude = i < 0 ? 0 - (uint64_t) i : (uint64_t) i;
  snprintf (text, size,
            spec->type == 'x'   ? "%" PRIx64
            : spec->type == 'X' ? "%" PRIX64
            : spec->type == 'o' ? "%" PRIo64
                                : "%" PRIu64,
            magnitude);
  return true;
}

static bool
append_fill (TplBuilder *b, uint32_t c, uint32_t n)
{
  for (uint32_t k = 0; k < n; k++)
    if (!eng_tpl_append_char (b, c, false))
      return false;
  return eng_tpl_charge (b->r, n / 8);
}

static bool
append_padded (TplBuilder *b, const TplString *s, const Spec *spec, char default_align)
{
  char align = spec->align ? spec->align : default_align;
  uint32_t pad = spec->width > s->n_chars ? spec->width - s->n_chars : 0;
  uint32_t left = align == '>' ? pad : align == '^' ? pad / 2 : 0;
  return append_fill (b, spec->fill ? spec->fill : ' ', left) && eng_tpl_append_string (b, s)
         && append_fill (b, spec->fill ? spec->fill : ' ', pad - left);
}

static bool
append_number (TplBuilder *b, const TplValue *v, const Spec *spec)
{
  char digits[420], text[600];
  bool negative = false;
  uint32_t n = 0, whole = 0, width = 0;
  TplValue string;
  if (!number_text (b->r, v, spec, digits, sizeof digits, &negative))
    return false;
  const char *sign = negative ? "-" : spec->plus ? "+" : spec->space ? " " : "";
  while (digits[whole] >= '0' && digits[whole] <= '9')
    whole++;
  for (uint32_t k = 0; digits[k]; k++)
    {
      if (spec->comma && k > 0 && k < whole && (whole - k) % 3 == 0)
        text[n++] = ',';
      text[n++] = digits[k];
    }
  text[n] = '\0';
  TplBuilder part = { .r = b->r };
  bool zero = spec->zero && !spec->align;
  if (zero && spec->comma)
    return eng_tpl_refuse (b->r, "zero padding with ',' is not supported");
  width = zero && spec->width > n + strlen (sign) ? spec->width - n - (uint32_t) strlen (sign) : 0;
  return eng_tpl_append (&part, sign, strlen (sign), v->inserted) && append_fill (&part, '0', width)
         && eng_tpl_append (&part, text, n, v->inserted) && eng_tpl_builder_finish (&part, &string)
         && append_padded (b, string.string, spec, '>');
}

static bool
append_text (TplBuilder *b, const TplValue *v, const Spec *spec, bool repr, char default_align)
{
  TplBuilder part = { .r = b->r };
  TplValue text;
  if (!(repr ? eng_tpl_append_repr (&part, v) : eng_tpl_append_text (&part, v)))
    return false;
  if (repr)
    eng_tpl_builder_flatten (&part);
  if (!eng_tpl_builder_finish (&part, &text))
    return false;
  if (spec->has_precision && spec->precision < text.string->n_chars
      && !eng_tpl_substring (b->r, text.string, 0,
                             eng_tpl_char_offset (text.string, spec->precision), &text))
    return false;
  return append_padded (b, text.string, spec, default_align);
}

/* Reads digits at *i; false when the number is out of reason. */
static bool
read_count (TplRender *r, const TplString *s, uint32_t *i, uint32_t *out)
{
  *out = 0;
  for (; *i < s->n_bytes && s->data[*i] >= '0' && s->data[*i] <= '9'; ++*i)
    {
      *out = *out * 10 + (uint32_t) (s->data[*i] - '0');
      if (*out > MAX_WIDTH)
        return eng_tpl_limit (r, "a format is too wide");
    }
  return true;
}

/* ---- % */

typedef struct
{
  const TplValue *values; /* of a tuple, or the one value */
  uint32_t n, used;
  const TplDict *dict;
} PercentArgs;

static bool
percent_spec (TplRender *r, const TplString *f, uint32_t *i, Spec *spec)
{
  for (; *i < f->n_bytes && strchr ("-+ 0", f->data[*i]) && f->data[*i]; ++*i)
    {
      spec->plus |= f->data[*i] == '+';
      spec->space |= f->data[*i] == ' ';
      spec->zero |= f->data[*i] == '0';
      if (f->data[*i] == '-')
        spec->align = '<';
    }
  if (!read_count (r, f, i, &spec->width))
    return false;
  if (*i < f->n_bytes && f->data[*i] == '.')
    {
      ++*i;
      spec->has_precision = true;
      if (!read_count (r, f, i, &spec->precision))
        return false;
    }
  if (*i >= f->n_bytes)
    return eng_tpl_raise (r, "incomplete format");
  spec->type = f->data[(*i)++];
  return true;
}

static bool
percent_value (TplRender *r, const TplString *f, uint32_t *i, PercentArgs *args, TplValue *v)
{
  if (*i < f->n_bytes && f->data[*i] == '(')
    {
      uint32_t end = eng_tpl_find (f, ")", 1, *i);
      TplValue key;
      TplEntry *entry;
      char name[128];
      if (end == UINT32_MAX)
        return eng_tpl_raise (r, "incomplete format key");
      if (!args->dict)
        return eng_tpl_raise (r, "format requires a mapping");
      if (!eng_tpl_substring (r, f, *i + 1, end, &key)
          || !eng_tpl_dict_find (r, args->dict, &key, &entry))
        return false;
      if (!entry)
        return eng_tpl_repr_buffer (r, &key, name, sizeof name) && eng_tpl_raise (r, "%s", name);
      *i = end + 1;
      *v = entry->value;
      args->used = args->n;
      return true;
    }
  v->kind = TPL_ABSENT; /* the next one, once it is known that one is wanted */
  return true;
}

static bool
percent_one (TplBuilder *b, const TplString *f, uint32_t *i, PercentArgs *args)
{
  TplRender *r = b->r;
  Spec spec = { 0 };
  TplValue v;
  if (!percent_value (r, f, i, args, &v) || !percent_spec (r, f, i, &spec))
    return false;
  if (spec.type == '%')
    return eng_tpl_append (b, "%", 1, false);
  if (v.kind == TPL_ABSENT)
    {
      if (args->used >= args->n)
        return eng_tpl_raise (r, "not enough arguments for format string");
      v = args->values[args->used++];
    }
  if (spec.type == 's' || spec.type == 'r')
    return append_text (b, &v, &spec, spec.type == 'r', '>');
  if (!strchr ("diufFxXo", spec.type) || !spec.type)
    return eng_tpl_refuse (r, "unsupported format character '%c'",
                           spec.type > 0x20 ? spec.type : '?');
  if (v.kind == TPL_UNDEFINED)
    return eng_tpl_undefined_error (r, &v);
  if (!is_numeric (&v))
    return strchr ("fF", spec.type)
               ? eng_tpl_raise (r, "must be real number, not %s", eng_tpl_type_name (&v))
               : eng_tpl_raise (r, "%%%c format: a real number is required, not %s", spec.type,
                                eng_tpl_type_name (&v));
  return append_number (b, &v, &spec);
}

bool
eng_tpl_format_percent (TplRender *r, const TplString *f, const TplValue *values, TplValue *out)
{
  TplBuilder b = { .r = r };
  PercentArgs args = { .values = values, .n = 1 };
  if (values->kind == TPL_TUPLE)
    {
      args.values = values->list->items;
      args.n = values->list->n;
    }
  else if (values->kind == TPL_DICT)
    args.dict = values->dict;
  for (uint32_t i = 0; i < f->n_bytes;)
    {
      uint32_t at = eng_tpl_find (f, "%", 1, i);
      if (!eng_tpl_append_range (&b, f, i, at < f->n_bytes ? at : f->n_bytes))
        return false;
      if (at == UINT32_MAX)
        break;
      i = at + 1;
      if (!percent_one (&b, f, &i, &args))
        return false;
    }
  if (args.used < args.n && !args.dict)
    return eng_tpl_raise (r, "not all arguments converted during string formatting");
  return eng_tpl_builder_finish (&b, out);
}

/* ---- braces */

static bool
brace_spec (TplRender *r, const TplString *f, uint32_t i, uint32_t end, Spec *spec)
{
  uint32_t length;
  if (i < end)
    {
      eng_tpl_char_at (f, i, &length);
      if (i + length < end && strchr ("<>^", f->data[i + length]))
        {
          spec->fill = eng_tpl_char_at (f, i, &length);
          i += length;
        }
      if (strchr ("<>^", f->data[i]) && f->data[i])
        spec->align = f->data[i++];
    }
  if (i < end && (f->data[i] == '+' || f->data[i] == ' ' || f->data[i] == '-'))
    {
      spec->plus = f->data[i] == '+';
      spec->space = f->data[i] == ' ';
      i++;
    }
  if (i < end && f->data[i] == '0')
    spec->zero = true;
  if (!read_count (r, f, &i, &spec->width))
    return false;
  if (i < end && f->data[i] == ',')
    {
      spec->comma = true;
      i++;
    }
  if (i < end && f->data[i] == '.')
    {
      i++;
      spec->has_precision = true;
      if (!read_count (r, f, &i, &spec->precision))
        return false;
    }
  if (i < end)
    spec->type = f->data[i++];
  if (i != end || (spec->type && !strchr ("sdfFxXo%", spec->type)))
    return eng_tpl_refuse (r, "unsupported format '%.*s'", (int) (end - i > 40 ? 40 : end - i),
                           f->data + i);
  return true;
}

static bool
brace_format (TplBuilder *b, const TplValue *v, const Spec *spec)
{
  TplRender *r = b->r;
  if (v->kind == TPL_STRING)
    {
      if (spec->type && spec->type != 's')
        return eng_tpl_raise (r, "Unknown format code '%c' for object of type 'str'", spec->type);
      if (spec->zero)
        return eng_tpl_refuse (r, "unsupported format of a string");
      return append_text (b, v, spec, false, '<');
    }
  if (is_numeric (v) && (spec->type || v->kind == TPL_INT) && spec->type != 's')
    {
      if (spec->type && strchr ("dxXo", spec->type) && v->kind == TPL_FLOAT)
        return eng_tpl_raise (r, "Unknown format code '%c' for object of type 'float'", spec->type);
      if (spec->has_precision && v->kind != TPL_FLOAT
          && !strchr ("fF%", spec->type ? spec->type : 'd'))
        return eng_tpl_raise (r, "Precision not allowed in integer format specifier");
      return append_number (b, v, spec);
    }
  Spec none = { 0 };
  if (memcmp (spec, &none, sizeof none) != 0)
    return eng_tpl_refuse (r, "a format for a %s is not supported", eng_tpl_type_name (v));
  return append_text (b, v, spec, false, '<');
}

/* "name", "0", "" with .attributes and [items] behind. */
static bool
brace_field (TplRender *r, const TplString *f, uint32_t i, uint32_t end, const TplArgs *args,
             uint32_t *automatic, TplValue *v)
{
  uint32_t start = i, number = 0;
  TplValue name;
  while (i < end && f->data[i] != '.' && f->data[i] != '[')
    i++;
  bool digits = i > start;
  for (uint32_t k = start; k < i; k++)
    digits = digits && f->data[k] >= '0' && f->data[k] <= '9';
  if (i == start || digits)
    {
      uint32_t k = start;
      if (digits && !read_count (r, f, &k, &number))
        return false;
      if (i == start)
        number = (*automatic)++;
      if (number >= args->n)
        return eng_tpl_raise (r, "Replacement index %u out of range for positional args tuple",
                              number);
      *v = args->items[number];
    }
  else
    {
      const TplKeyword *found = NULL;
      if (!eng_tpl_substring (r, f, start, i, &name))
        return false;
      for (uint32_t k = 0; k < args->n_keywords; k++)
        if (eng_tpl_string_equal (args->keywords[k].name, name.string))
          found = &args->keywords[k];
      if (!found)
        return eng_tpl_raise (r, "'%.*s'", (int) (i - start > 60 ? 60 : i - start),
                              f->data + start);
      *v = found->value;
    }
  if (i < end)
    return eng_tpl_refuse (r, "attributes within a format are not supported");
  return true;
}

static bool
brace_one (TplBuilder *b, const TplString *f, uint32_t i, uint32_t end, const TplArgs *args,
           uint32_t *automatic)
{
  Spec spec = { 0 };
  TplValue v;
  uint32_t name_end = i;
  char conversion = 0;
  while (name_end < end && f->data[name_end] != ':' && f->data[name_end] != '!')
    name_end++;
  if (!brace_field (b->r, f, i, name_end, args, automatic, &v))
    return false;
  i = name_end;
  if (i < end && f->data[i] == '!')
    {
      conversion = i + 1 < end ? f->data[i + 1] : 0;
      i += 2;
      if ((conversion != 'r' && conversion != 's') || (i < end && f->data[i] != ':'))
        return eng_tpl_refuse (b->r, "unsupported conversion in a format");
    }
  if (i < end && !brace_spec (b->r, f, i + 1, end, &spec))
    return false;
  if (conversion)
    return append_text (b, &v, &spec, conversion == 'r', '<');
  return brace_format (b, &v, &spec);
}

bool
eng_tpl_format_braces (TplRender *r, const TplString *f, const TplArgs *args, TplValue *out)
{
  TplBuilder b = { .r = r };
  uint32_t automatic = 0, plain = 0, i = 0;
  if (!eng_tpl_charge_bytes (r, f->n_bytes))
    return false;
  while (i < f->n_bytes)
    {
      char c = f->data[i];
      if (c != '{' && c != '}')
        {
          i++;
          continue;
        }
      if (i + 1 < f->n_bytes && f->data[i + 1] == c)
        {
          if (!eng_tpl_append_range (&b, f, plain, i + 1))
            return false;
          plain = i += 2;
          continue;
        }
      uint32_t end = c == '{' ? eng_tpl_find (f, "}", 1, i) : UINT32_MAX;
      if (end == UINT32_MAX)
        return eng_tpl_raise (r, c == '{' ? "expected '}' before end of string"
                                          : "Single '}' encountered in format string");
      if (memchr (f->data + i + 1, '{', end - i - 1))
        return eng_tpl_refuse (r, "formats within formats are not supported");
      if (!eng_tpl_append_range (&b, f, plain, i)
          || !brace_one (&b, f, i + 1, end, args, &automatic))
        return false;
      plain = i = end + 1;
    }
  return eng_tpl_append_range (&b, f, plain, f->n_bytes) && eng_tpl_builder_finish (&b, out);
}

/* ---- strftime, in the C locale whatever the program's is */

static const char *const days[]
    = { "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday" };
static const char *const months[]
    = { "January", "February", "March",     "April",   "May",      "June",
        "July",    "August",   "September", "October", "November", "December" };

/* Parts that are words or nothing. */
static bool
date_word (const struct tm *t, char c, char *text, size_t size)
{
  switch (c)
    {
    case 'a':
    case 'A':
      snprintf (text, size, "%.*s", c == 'a' ? 3 : 20, days[(unsigned) t->tm_wday % 7]);
      return true;
    case 'b':
    case 'h':
    case 'B':
      snprintf (text, size, "%.*s", c == 'B' ? 20 : 3, months[(unsigned) t->tm_mon % 12]);
      return true;
    case 'p':
      snprintf (text, size, "%s", t->tm_hour >= 12 ? "PM" : "AM");
      return true;
    case '%':
    case 'n':
    case 't':
      snprintf (text, size, "%c", c == 'n' ? '\n' : c == 't' ? '\t' : '%');
      return true;
    case 'Z': /* local time without a zone, as datetime.now () has it */
    case 'z':
      text[0] = '\0';
      return true;
    default:
      return false;
    }
}

/* @flag is '-' for no padding, or 0. */
static bool
date_part (const struct tm *t, char c, char flag, char *text, size_t size)
{
  static const char letters[] = "YymdeHIMSjuw";
  const int values[] = {
    t->tm_year + 1900,
    (t->tm_year % 100 + 100) % 100,
    t->tm_mon + 1,
    t->tm_mday,
    t->tm_mday,
    t->tm_hour,
    t->tm_hour % 12 == 0 ? 12 : t->tm_hour % 12,
    t->tm_min,
    t->tm_sec,
    t->tm_yday + 1,
    t->tm_wday == 0 ? 7 : t->tm_wday,
    t->tm_wday,
  };
  const char *at = c ? strchr (letters, c) : NULL;
  if (!at)
    return date_word (t, c, text, size);
  int width = flag == '-' || strchr ("Yuw", c) ? 1 : c == 'j' ? 3 : 2;
  if (c == 'e')
    snprintf (text, size, "%*d", width, values[at - letters]);
  else
    snprintf (text, size, "%0*d", width, values[at - letters]);
  return true;
}

bool
eng_tpl_strftime (TplRender *r, const TplString *f, TplValue *out)
{
  static const struct
  {
    char c;
    const char *expansion;
  } compound[] = { { 'F', "%Y-%m-%d" },
                   { 'T', "%H:%M:%S" },
                   { 'X', "%H:%M:%S" },
                   { 'D', "%m/%d/%y" },
                   { 'x', "%m/%d/%y" },
                   { 'R', "%H:%M" },
                   { 'c', "%a %b %e %H:%M:%S %Y" } };
  TplBuilder b = { .r = r };
  char text[64];
  for (uint32_t i = 0; i < f->n_bytes; i++)
    {
      if (f->data[i] != '%')
        {
          if (!eng_tpl_append_range (&b, f, i, i + 1))
            return false;
          continue;
        }
      bool dash = i + 1 < f->n_bytes && f->data[i + 1] == '-';
      i += 1 + dash;
      char c = i < f->n_bytes ? f->data[i] : 0;
      const TplString *parts = NULL;
      TplValue part;
      for (size_t k = 0; k < sizeof compound / sizeof compound[0]; k++)
        if (compound[k].c == c && !dash)
          {
            if (!eng_tpl_make_string (r, compound[k].expansion, strlen (compound[k].expansion),
                                      false, &part)
                || !eng_tpl_strftime (r, part.string, &part))
              return false;
            parts = part.string;
          }
      if (parts ? !eng_tpl_append_string (&b, parts)
          : date_part (r->now, c, dash ? '-' : 0, text, sizeof text)
              ? !eng_tpl_append_literal (&b, text)
              : !eng_tpl_refuse (r, "unsupported date format '%%%c'",
                                 c > 0x20 && c < 0x7f ? c : '?'))
        return false;
    }
  return eng_tpl_builder_finish (&b, out);
}
