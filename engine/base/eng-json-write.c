/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "eng-number.h"

static bool
in_object (const EngJsonWriter *w)
{
  return w->depth > 0 && (w->is_object[(w->depth - 1) / 8] >> (w->depth - 1) % 8 & 1);
}

static void
new_line (EngJsonWriter *w)
{
  if (w->indent)
    {
      eng_buffer_append_char (w->out, '\n');
      eng_buffer_append_repeat (w->out, ' ', (size_t) w->indent * w->depth);
    }
}

static void
separate (EngJsonWriter *w)
{
  if (w->has_items)
    eng_buffer_append_string (w->out, w->indent || w->compact ? "," : ", ");
  if (w->depth > 0)
    new_line (w);
  w->has_items = true;
}

/* To be called before each value. */
static void
before_value (EngJsonWriter *w)
{
  if (w->after_key)
    w->after_key = false;
  else if (in_object (w) || (w->depth == 0 && w->has_items))
    w->out->failed = true;
  else
    separate (w);
}

static void
begin (EngJsonWriter *w, bool object)
{
  before_value (w);
  if (w->depth >= ENG_JSON_MAX_DEPTH)
    {
      w->out->failed = true;
      return;
    }
  eng_buffer_append_char (w->out, object ? '{' : '[');
  uint8_t bit = (uint8_t) (1u << w->depth % 8);
  w->is_object[w->depth / 8] = (uint8_t) ((w->is_object[w->depth / 8] & ~bit) | (object ? bit : 0));
  w->depth++;
  w->has_items = false;
}

static void
end (EngJsonWriter *w, bool object)
{
  if (w->depth == 0 || w->after_key || in_object (w) != object)
    {
      w->out->failed = true;
      return;
    }
  w->depth--;
  if (w->has_items)
    new_line (w);
  eng_buffer_append_char (w->out, object ? '}' : ']');
  w->has_items = true;
}

void
eng_json_write_begin_object (EngJsonWriter *w)
{
  begin (w, true);
}

void
eng_json_write_end_object (EngJsonWriter *w)
{
  end (w, true);
}

void
eng_json_write_begin_array (EngJsonWriter *w)
{
  begin (w, false);
}

void
eng_json_write_end_array (EngJsonWriter *w)
{
  end (w, false);
}

/* The character at @s and its length; U+FFFD and 1 when it is broken. */
static uint32_t
decode (const unsigned char *s, size_t n, size_t *length)
{
  static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
  size_t len = s[0] < 0x80   ? 1
               : s[0] < 0xc2 ? 0
               : s[0] < 0xe0 ? 2
               : s[0] < 0xf0 ? 3
               : s[0] < 0xf5 ? 4
                             : 0;
  *length = 1;
  if (len == 0 || len > n)
    return 0xfffd;
  uint32_t c = len == 1 ? s[0] : s[0] & (0x7fu >> len);
  for (size_t k = 1; k < len; k++)
    {
      if ((s[k] & 0xc0) != 0x80)
        return 0xfffd;
      c = c << 6 | (s[k] & 0x3f);
    }
  if (c < smallest[len] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
    return 0xfffd;
  *length = len;
  return c;
}

static void
append_character (EngBuffer *out, uint32_t c, const char *s, size_t n, bool ensure_ascii)
{
  static const char plain[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";
  const char *at = c && c < 0x80 ? strchr (plain, (int) c) : NULL;
  char text[16];
  if (at)
    snprintf (text, sizeof text, "\\%c", letter[at - plain]);
  else if (c >= 0x10000 && ensure_ascii)
    snprintf (text, sizeof text, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10),
              0xdc00 + ((c - 0x10000) & 0x3ff));
  else if (c < 0x20 || (c > 0x7e && ensure_ascii))
    snprintf (text, sizeof text, "\\u%04x", c);
  else
    {
      if (c == 0xfffd)
        eng_buffer_append_string (out, "\xef\xbf\xbd");
      else
        eng_buffer_append (out, s, n);
      return;
    }
  eng_buffer_append_string (out, text);
}

void
eng_json_append_quoted (EngBuffer *out, const char *s, size_t n_bytes, bool ensure_ascii)
{
  eng_buffer_append_char (out, '"');
  for (size_t i = 0; i < n_bytes && !out->failed;)
    {
      size_t plain = i, len;
      while (plain < n_bytes && s[plain] >= 0x20 && s[plain] < 0x7f && s[plain] != '"'
             && s[plain] != '\\')
        plain++;
      if (plain > i)
        eng_buffer_append (out, s + i, plain - i);
      i = plain;
      if (i >= n_bytes)
        break;
      uint32_t c = decode ((const unsigned char *) s + i, n_bytes - i, &len);
      append_character (out, c, s + i, len, ensure_ascii);
      i += len;
    }
  eng_buffer_append_char (out, '"');
}

void
eng_json_write_key_n (EngJsonWriter *w, const char *key, size_t n_bytes)
{
  if (!in_object (w) || w->after_key)
    {
      w->out->failed = true;
      return;
    }
  separate (w);
  eng_json_append_quoted (w->out, key, n_bytes, w->ensure_ascii);
  eng_buffer_append_string (w->out, w->compact && !w->indent ? ":" : ": ");
  w->after_key = true;
}

void
eng_json_write_key (EngJsonWriter *w, const char *key)
{
  eng_json_write_key_n (w, key, strlen (key));
}

void
eng_json_write_string_n (EngJsonWriter *w, const char *s, size_t n_bytes)
{
  before_value (w);
  eng_json_append_quoted (w->out, s, n_bytes, w->ensure_ascii);
}

void
eng_json_write_string (EngJsonWriter *w, const char *s)
{
  if (s)
    eng_json_write_string_n (w, s, strlen (s));
  else
    eng_json_write_null (w);
}

static void
write_plain (EngJsonWriter *w, const char *text)
{
  before_value (w);
  eng_buffer_append_string (w->out, text);
}

void
eng_json_write_int64 (EngJsonWriter *w, int64_t value)
{
  char text[ENG_NUMBER_TEXT_MAX];
  snprintf (text, sizeof text, "%" PRId64, value);
  write_plain (w, text);
}

void
eng_json_write_uint64 (EngJsonWriter *w, uint64_t value)
{
  char text[ENG_NUMBER_TEXT_MAX];
  snprintf (text, sizeof text, "%" PRIu64, value);
  write_plain (w, text);
}

void
eng_json_write_double (EngJsonWriter *w, double value)
{
  char text[ENG_NUMBER_TEXT_MAX];
  if (!isfinite (value))
    {
      eng_json_write_null (w);
      return;
    }
  eng_format_double (value, text);
  write_plain (w, text);
}

void
eng_json_write_bool (EngJsonWriter *w, bool value)
{
  write_plain (w, value ? "true" : "false");
}

void
eng_json_write_null (EngJsonWriter *w)
{
  write_plain (w, "null");
}

void
eng_json_write_value (EngJsonWriter *w, const EngJson *value)
{
  /* The reader's depth limit bounds the recursion. */
  switch (value->type)
    {
    case ENG_JSON_NULL:
      eng_json_write_null (w);
      break;
    case ENG_JSON_BOOL:
      eng_json_write_bool (w, value->boolean);
      break;
    case ENG_JSON_NUMBER:
      if (value->is_integer)
        eng_json_write_int64 (w, value->integer);
      else
        eng_json_write_double (w, value->number);
      break;
    case ENG_JSON_STRING:
      eng_json_write_string_n (w, value->string, value->n);
      break;
    case ENG_JSON_ARRAY:
    case ENG_JSON_OBJECT:
      begin (w, value->type == ENG_JSON_OBJECT);
      for (size_t i = 0; i < value->n && !w->out->failed; i++)
        {
          if (value->type == ENG_JSON_OBJECT)
            eng_json_write_key_n (w, value->items[i].key, value->items[i].key_bytes);
          eng_json_write_value (w, &value->items[i]);
        }
      end (w, value->type == ENG_JSON_OBJECT);
      break;
    }
}

void
eng_json_write_member_string (EngJsonWriter *w, const char *key, const char *s)
{
  eng_json_write_key (w, key);
  eng_json_write_string (w, s);
}

void
eng_json_write_member_int64 (EngJsonWriter *w, const char *key, int64_t value)
{
  eng_json_write_key (w, key);
  eng_json_write_int64 (w, value);
}

void
eng_json_write_member_double (EngJsonWriter *w, const char *key, double value)
{
  eng_json_write_key (w, key);
  eng_json_write_double (w, value);
}

void
eng_json_write_member_bool (EngJsonWriter *w, const char *key, bool value)
{
  eng_json_write_key (w, key);
  eng_json_write_bool (w, value);
}
