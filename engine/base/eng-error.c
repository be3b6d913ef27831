/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static EngLogFunc log_func;
static void *log_data;

const char *
eng_status_name (EngStatus status)
{
  static const char *const names[] = {
    "ok",           "argument",  "no-memory", "io",         "not-found",  "format",
    "truncated",    "unsupported", "limit",   "context-full", "cancelled", "template",
    "too-large",    "busy",      "no-module", "module-abi", "no-driver",  "old-driver",
    "no-device",    "device",    "device-memory", "internal",
  };
  size_t i = (size_t) status;
  return i < sizeof names / sizeof names[0] ? names[i] : "unknown";
}

/* Length of the valid UTF-8 sequence at @s, 0 if it is broken. Formatting only: the strict decoder
 * for model text is in eng-utf8.h. */
static size_t
utf8_sequence_length (const unsigned char *s, size_t n)
{
  size_t len = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3
               : s[0] >= 0xf0 && s[0] < 0xf5                     ? 4
                                                                 : 0;
  if (len == 0 || len > n)
    return 0;
  for (size_t i = 1; i < len; i++)
    if ((s[i] & 0xc0) != 0x80)
      return 0;
  return len;
}

/* Copy @src to @dst of @cap bytes; what a terminal or a label could trip over becomes '?'. */
static void
copy_printable (char *dst, size_t cap, const char *src)
{
  size_t n = strlen (src), out = 0;
  for (size_t i = 0; i < n;)
    {
      size_t len = utf8_sequence_length ((const unsigned char *) src + i, n - i);
      bool bad = len == 0 || (len == 1 && ((unsigned char) src[i] < 0x20 || src[i] == 0x7f));
      if (out + (bad ? 1 : len) + 1 > cap)
        break;
      if (bad)
        dst[out++] = '?';
      else
        {
          memcpy (dst + out, src + i, len);
          out += len;
        }
      i += len ? len : 1;
    }
  dst[out] = '\0';
}

static EngStatus
fill (EngError *error, EngStatus code, const char *field, uint64_t offset, uint32_t line,
      uint64_t needed, uint64_t available, const char *format, va_list args)
{
  if (!error)
    return code;
  /* Format first: the arguments may point into *error itself. */
  char text[1024], name[sizeof error->field];
  vsnprintf (text, sizeof text, format, args);
  copy_printable (name, sizeof name, field ? field : "");
  memset (error, 0, sizeof *error);
  error->code = code;
  error->line = line;
  error->offset = offset;
  error->needed = needed;
  error->available = available;
  memcpy (error->field, name, sizeof name);
  copy_printable (error->text, sizeof error->text, text);
  return code;
}

EngStatus
eng_error_set (EngError *error, EngStatus code, const char *field, uint64_t offset,
               const char *format, ...)
{
  va_list args;
  va_start (args, format);
  fill (error, code, field, offset, 0, 0, 0, format, args);
  va_end (args);
  return code;
}

EngStatus
eng_error_set_numbers (EngError *error, EngStatus code, const char *field, uint64_t needed,
                       uint64_t available, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  fill (error, code, field, ENG_OFFSET_NONE, 0, needed, available, format, args);
  va_end (args);
  return code;
}

EngStatus
eng_error_set_line (EngError *error, EngStatus code, uint32_t line, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  fill (error, code, NULL, ENG_OFFSET_NONE, line, 0, 0, format, args);
  va_end (args);
  return code;
}

void
eng_assert_failed (const char *cond, const char *file, int line)
{
  fprintf (stderr, "%s:%d: engine assertion failed: %s\n", file, line, cond);
  abort ();
}

void
eng_log_set_func (EngLogFunc func, void *data)
{
  log_func = func;
  log_data = data;
}

void
eng_log (EngLogLevel level, const char *format, ...)
{
  if (!log_func)
    return;
  char raw[1024], text[1024];
  va_list args;
  va_start (args, format);
  vsnprintf (raw, sizeof raw, format, args);
  va_end (args);
  copy_printable (text, sizeof text, raw);
  log_func (level, text, log_data);
}
