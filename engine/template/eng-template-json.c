/* SPDX-License-Identifier: Apache-2.0 */
/* The tojson filter: json.dumps (value, ensure_ascii=False, indent, separators, sort_keys). */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "eng-number.h"
#include "eng-template-private.h"

typedef struct
{
  TplBuilder b;
  TplRender *r;
  bool ensure_ascii, sort_keys, has_indent;
  const TplString *indent; /* of one level */
  const TplString *item_separator, *key_separator;
  unsigned level;
} Json;

static bool
append_escape (Json *j, uint32_t c, bool inserted)
{
  static const char plain[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";
  const char *at = c && c < 0x80 ? strchr (plain, (int) c) : NULL;
  char text[16];
  if (at)
    snprintf (text, sizeof text, "\\%c", letter[at - plain]);
  else if (c >= 0x10000)
    snprintf (text, sizeof text, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10),
              0xdc00 + ((c - 0x10000) & 0x3ff));
  else
    snprintf (text, sizeof text, "\\u%04x", c);
  return eng_tpl_append (&j->b, text, strlen (text), inserted);
}

static bool
append_string (Json *j, const TplString *s)
{
  uint32_t plain = 0, run = 0, length;
  if (!eng_tpl_charge_bytes (j->r, s->n_bytes) || !eng_tpl_append_literal (&j->b, "\""))
    return false;
  for (uint32_t i = 0; i < s->n_bytes; i += length)
    {
      unsigned char first = (unsigned char) s->data[i];
      length = 1;
      if (first >= 0x20 && first != '"' && first != '\\' && (first < 0x7f || !j->ensure_ascii))
        continue;
      uint32_t c = eng_tpl_char_at (s, i, &length);
      if (!eng_tpl_append_range (&j->b, s, plain, i)
          || !append_escape (j, c, eng_tpl_mark_at (s, i, &run)))
        return false;
      plain = i + length;
    }
  return eng_tpl_append_range (&j->b, s, plain, s->n_bytes) && eng_tpl_append_literal (&j->b, "\"");
}

static bool
new_line (Json *j)
{
  if (!j->has_indent)
    return true;
  if (!eng_tpl_append_literal (&j->b, "\n"))
    return false;
  for (unsigned k = 0; k < j->level; k++)
    if (!eng_tpl_append_string (&j->b, j->indent))
      return false;
  return true;
}

static bool
append_number (Json *j, const TplValue *v)
{
  char text[ENG_NUMBER_TEXT_MAX];
  if (v->kind == TPL_INT)
    snprintf (text, sizeof text, "%" PRId64, v->integer);
  else if (isnan (v->number) || isinf (v->number))
    snprintf (text, sizeof text, "%s",
              isnan (v->number) ? "NaN"
              : v->number < 0   ? "-Infinity"
                                : "Infinity");
  else
    eng_format_double (v->number, text);
  return eng_tpl_charge (j->r, 20) && eng_tpl_append (&j->b, text, strlen (text), v->inserted);
}

static bool
append_scalar (Json *j, const TplValue *v)
{
  if (v->kind == TPL_STRING)
    return append_string (j, v->string);
  if (v->kind == TPL_INT || v->kind == TPL_FLOAT)
    return append_number (j, v);
  const char *text = v->kind == TPL_NONE ? "null" : v->boolean ? "true" : "false";
  return eng_tpl_append (&j->b, text, strlen (text), v->inserted);
}

static bool append_value (Json *j, const TplValue *v);

static bool
append_list (Json *j, const TplList *list)
{
  if (list->n == 0)
    return eng_tpl_append_literal (&j->b, "[]");
  j->level++;
  bool ok = eng_tpl_append_literal (&j->b, "[");
  for (uint32_t k = 0; ok && k < list->n; k++)
    ok = (k == 0 || eng_tpl_append_string (&j->b, j->item_separator)) && new_line (j)
         && append_value (j, &list->items[k]);
  j->level--;
  return ok && new_line (j) && eng_tpl_append_literal (&j->b, "]");
}

/* Numbers, booleans and None are keys as their text. */
static bool
append_key (Json *j, const TplValue *key)
{
  if (key->kind == TPL_STRING)
    return append_string (j, key->string);
  if (key->kind != TPL_INT && key->kind != TPL_FLOAT && key->kind != TPL_BOOL
      && key->kind != TPL_NONE)
    return eng_tpl_raise (j->r, "keys must be str, int, float, bool or None, not %s",
                          eng_tpl_type_name (key));
  return eng_tpl_append_literal (&j->b, "\"") && append_scalar (j, key)
         && eng_tpl_append_literal (&j->b, "\"");
}

static bool
append_dict (Json *j, const TplDict *dict)
{
  uint32_t *order = NULL;
  if (dict->n == 0)
    return eng_tpl_append_literal (&j->b, "{}");
  if (j->sort_keys)
    {
      TplValue *keys = eng_tpl_alloc (j->r, dict->n, sizeof *keys);
      order = eng_tpl_alloc (j->r, dict->n, sizeof *order);
      if (!keys || !order)
        return false;
      for (uint32_t k = 0; k < dict->n; k++)
        {
          keys[k] = dict->entries[k].key;
          order[k] = k;
        }
      if (!eng_tpl_sort (j->r, keys, order, dict->n, false))
        return false;
    }
  j->level++;
  bool ok = eng_tpl_append_literal (&j->b, "{");
  for (uint32_t k = 0; ok && k < dict->n; k++)
    {
      const TplEntry *entry = &dict->entries[order ? order[k] : k];
      ok = (k == 0 || eng_tpl_append_string (&j->b, j->item_separator)) && new_line (j)
           && append_key (j, &entry->key) && eng_tpl_append_string (&j->b, j->key_separator)
           && append_value (j, &entry->value);
    }
  j->level--;
  return ok && new_line (j) && eng_tpl_append_literal (&j->b, "}");
}

static bool
append_value (Json *j, const TplValue *v)
{
  bool ok;
  if (!eng_tpl_charge (j->r, 1))
    return false;
  switch ((TplKind) v->kind)
    {
    case TPL_NONE:
    case TPL_BOOL:
    case TPL_INT:
    case TPL_FLOAT:
    case TPL_STRING:
      return append_scalar (j, v);
    case TPL_LIST:
    case TPL_TUPLE:
    case TPL_DICT:
      break;
    default:
      return eng_tpl_raise (j->r, "Object of type %s is not JSON serializable",
                            eng_tpl_type_name (v));
    }
  if (j->r->depth >= ENG_TEMPLATE_MAX_DEPTH)
    return eng_tpl_limit (j->r, "values or calls are nested too deeply");
  j->r->depth++;
  ok = v->kind == TPL_DICT ? append_dict (j, v->dict) : append_list (j, v->list);
  j->r->depth--;
  return ok;
}

static bool
read_indent (Json *j, const TplValue *v)
{
  TplBuilder b = { .r = j->r };
  TplValue text;
  if (v->kind == TPL_ABSENT || v->kind == TPL_NONE)
    return true;
  j->has_indent = true;
  if (v->kind == TPL_STRING)
    {
      j->indent = v->string;
      return true;
    }
  if (v->kind != TPL_INT && v->kind != TPL_BOOL)
    return eng_tpl_raise (j->r, "can't multiply sequence by non-int of type '%s'",
                          eng_tpl_type_name (v));
  int64_t n = v->kind == TPL_INT ? v->integer : v->boolean;
  if (n > 1000)
    return eng_tpl_limit (j->r, "an indentation is too wide");
  for (int64_t k = 0; k < n; k++)
    if (!eng_tpl_append (&b, " ", 1, false))
      return false;
  if (!eng_tpl_builder_finish (&b, &text))
    return false;
  j->indent = text.string;
  return true;
}

static bool
read_separators (Json *j, const TplValue *v)
{
  static const TplString comma = { .data = ",", .n_bytes = 1, .n_chars = 1 };
  static const TplString comma_space = { .data = ", ", .n_bytes = 2, .n_chars = 2 };
  static const TplString colon_space = { .data = ": ", .n_bytes = 2, .n_chars = 2 };
  j->item_separator = j->has_indent ? &comma : &comma_space;
  j->key_separator = &colon_space;
  if (v->kind == TPL_ABSENT || v->kind == TPL_NONE)
    return true;
  if ((v->kind != TPL_TUPLE && v->kind != TPL_LIST) || v->list->n != 2
      || v->list->items[0].kind != TPL_STRING || v->list->items[1].kind != TPL_STRING)
    return eng_tpl_raise (j->r, "tojson: separators must be a pair of strings");
  j->item_separator = v->list->items[0].string;
  j->key_separator = v->list->items[1].string;
  return true;
}

/* @options: ensure_ascii, indent, separators, sort_keys. */
bool
eng_tpl_to_json (TplRender *r, const TplValue *v, const TplValue *options, TplValue *out)
{
  Json j = { .b = { .r = r }, .r = r };
  j.ensure_ascii = eng_tpl_bool_arg (&options[0], false);
  j.sort_keys = eng_tpl_bool_arg (&options[3], false);
  if (!read_indent (&j, &options[1]) || !read_separators (&j, &options[2]) || !append_value (&j, v))
    return false;
  eng_tpl_builder_flatten (&j.b);
  return eng_tpl_builder_finish (&j.b, out);
}
