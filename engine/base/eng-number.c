/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-number.h"

#include <errno.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NUMBER_TEXT ((size_t) 400)

/* strtod () and printf () follow the program's locale, where the decimal point may be a comma. A
 * locale of our own, set for this thread only while they run, keeps them to C's. */
static locale_t c_locale;
static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;

static void
make_c_locale (void)
{
  c_locale = newlocale (LC_ALL_MASK, "C", (locale_t) 0);
}

static locale_t
enter_c_locale (void)
{
  pthread_once (&c_locale_once, make_c_locale);
  return c_locale ? uselocale (c_locale) : (locale_t) 0;
}

static void
leave_c_locale (locale_t before)
{
  if (before)
    uselocale (before);
}

static size_t
skip_digits (const char *s, size_t n, size_t i)
{
  while (i < n && s[i] >= '0' && s[i] <= '9')
    i++;
  return i;
}

static bool
is_decimal (const char *s, size_t n)
{
  size_t i = n > 0 && (s[0] == '-' || s[0] == '+') ? 1 : 0;
  size_t whole = skip_digits (s, n, i), digits = whole - i;
  i = whole;
  if (i < n && s[i] == '.')
    {
      size_t fraction = skip_digits (s, n, i + 1);
      digits += fraction - (i + 1);
      i = fraction;
    }
  if (digits == 0)
    return false;
  if (i < n && (s[i] == 'e' || s[i] == 'E'))
    {
      i++;
      if (i < n && (s[i] == '-' || s[i] == '+'))
        i++;
      size_t end = skip_digits (s, n, i);
      if (end == i)
        return false;
      i = end;
    }
  return i == n;
}

bool
eng_parse_double (const char *s, size_t n, double *out)
{
  if (n > MAX_NUMBER_TEXT || !is_decimal (s, n))
    return false;
  char text[MAX_NUMBER_TEXT + 1];
  memcpy (text, s, n);
  text[n] = '\0';
  locale_t before = enter_c_locale ();
  char *end;
  double value = strtod (text, &end);
  leave_c_locale (before);
  if (end != text + n)
    return false;
  *out = value;
  return true;
}

bool
eng_parse_int64 (const char *s, size_t n, int64_t *out)
{
  size_t i = n > 0 && (s[0] == '-' || s[0] == '+') ? 1 : 0;
  bool negative = i && s[0] == '-';
  int64_t value = 0;
  if (i == n || skip_digits (s, n, i) != n)
    return false;
  for (; i < n; i++)
    if (__builtin_mul_overflow (value, 10, &value)
        || __builtin_add_overflow (value, negative ? '0' - s[i] : s[i] - '0', &value))
      return false;
  *out = value;
  return true;
}

/* Digits of the shortest decimal that reads back as the finite, positive @value, and the position
 * of its point: 0.00123 is "123" and -2. */
static int
shortest_digits (double value, char digits[24], int *point)
{
  char text[40];
  /* A decimal of up to 15 digits survives the way through a normal double, so that trying from 15
   * and dropping zeros finds the shortest; a subnormal has fewer and is tried from 1. */
  int first = value < DBL_MIN ? 1 : 15;
  for (int n = first; n <= 17; n++)
    {
      snprintf (text, sizeof text, "%.*e", n - 1, value);
      if (n == 17 || strtod (text, NULL) == value)
        break;
    }
  char *e = strchr (text, 'e');
  *point = (int) strtol (e + 1, NULL, 10) + 1;
  int n = 0;
  for (const char *p = text; p < e; p++)
    if (*p >= '0' && *p <= '9')
      digits[n++] = *p;
  while (n > 1 && digits[n - 1] == '0')
    n--;
  return n;
}

size_t
eng_format_double (double value, char text[ENG_NUMBER_TEXT_MAX])
{
  char digits[24];
  int point = 1, n = 1;
  if (isnan (value) || isinf (value))
    return (size_t) sprintf (text, "%s", isnan (value) ? "nan" : value < 0 ? "-inf" : "inf");
  if (value == 0)
    digits[0] = '0';
  else
    {
      locale_t before = enter_c_locale ();
      n = shortest_digits (fabs (value), digits, &point);
      leave_c_locale (before);
    }
  char *p = text;
  if (signbit (value))
    *p++ = '-';
  if (point > 16 || point < -3)
    {
      *p++ = digits[0];
      if (n > 1)
        *p++ = '.';
      memcpy (p, digits + 1, (size_t) n - 1);
      p += n - 1;
      p += sprintf (p, "e%c%02d", point > 0 ? '+' : '-', abs (point - 1));
      return (size_t) (p - text);
    }
  if (point <= 0)
    {
      p += sprintf (p, "0.");
      for (int i = point; i < 0; i++)
        *p++ = '0';
    }
  for (int i = 0; i < n || i < point; i++)
    {
      if (i == point && i > 0)
        *p++ = '.';
      *p++ = i < n ? digits[i] : '0';
    }
  if (point >= n)
    {
      *p++ = '.';
      *p++ = '0';
    }
  *p = '\0';
  return (size_t) (p - text);
}

bool
eng_format_fixed (double value, unsigned precision, char *text, size_t size)
{
  locale_t before = enter_c_locale ();
  int n = snprintf (text, size, "%.*f", (int) (precision > 60 ? 60 : precision), value);
  leave_c_locale (before);
  if (n >= 0 && (size_t) n < size)
    return true;
  if (size)
    text[0] = '\0';
  return false;
}
