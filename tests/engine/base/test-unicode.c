/* SPDX-License-Identifier: Apache-2.0 */
#include <glib.h>
#include <string.h>

#include "eng-unicode.h"
#include "eng-utf8.h"

static void
test_utf8_all_characters (void)
{
  for (guint32 cp = 0; cp < 0x110000; cp++)
    {
      guint8 bytes[ENG_UTF8_MAX_BYTES];
      guint32 back;
      gsize n = eng_utf8_put (cp, bytes);
      g_assert_cmpuint (eng_utf8_next (bytes, n, &back), ==, n);
      g_assert_cmpuint (back, ==, cp >= 0xd800 && cp < 0xe000 ? 0xfffd : cp);
      for (gsize cut = 1; cut < n; cut++)
        {
          g_assert_cmpuint (eng_utf8_incomplete_tail (bytes, cut), ==, cut);
          g_assert_cmpuint (eng_utf8_next (bytes, cut, &back), ==, cut);
          g_assert_cmpuint (back, ==, ENG_UTF8_INVALID);
        }
      g_assert_cmpuint (eng_utf8_incomplete_tail (bytes, n), ==, 0);
    }
  guint8 bytes[ENG_UTF8_MAX_BYTES];
  g_assert_cmpuint (eng_utf8_put (0x110000, bytes), ==, 3);
}

/* Every sequence of four of these bytes is judged as GLib judges it. */
static void
test_utf8_against_glib (void)
{
  static const guint8 edge[] = { 0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1,
                                 0xc2, 0xdf, 0xe0, 0xe1, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf4, 0xf5,
                                 0xff };
  const gsize n = G_N_ELEMENTS (edge);
  for (gsize i = 0; i < n * n * n * n; i++)
    {
      guint8 s[4] = { edge[i % n], edge[i / n % n], edge[i / n / n % n], edge[i / n / n / n] };
      gboolean valid = TRUE;
      for (gsize at = 0; at < 4 && valid;)
        { /* GLib refuses NUL in g_utf8_validate, so characters are judged one by one */
          gunichar c = g_utf8_get_char_validated ((const char *) s + at, (gssize) (4 - at));
          if (s[at] == 0)
            at++;
          else if (c == (gunichar) -1 || c == (gunichar) -2)
            valid = FALSE;
          else
            at += (gsize) g_unichar_to_utf8 (c, NULL);
        }
      if (eng_utf8_is_valid (s, 4) != valid)
        g_error ("%02x %02x %02x %02x", s[0], s[1], s[2], s[3]);
    }
}

static void
test_maximal_subparts (void)
{
  /* Unicode Standard, table 3-11: one U+FFFD a row. */
  static const guint8 s[] = { 0xe1, 0x80, 0xe2, 0xf0, 0x91, 0x92, 0xf1, 0xbf, 0x41 };
  static const gsize lengths[] = { 2, 1, 3, 2, 1 };
  gsize at = 0;
  for (gsize i = 0; i < G_N_ELEMENTS (lengths); i++)
    {
      guint32 cp;
      gsize n = eng_utf8_next (s + at, sizeof s - at, &cp);
      g_assert_cmpuint (n, ==, lengths[i]);
      g_assert_true ((cp == ENG_UTF8_INVALID) == (i < 4));
      at += n;
    }
}

static void
test_properties (void)
{
  g_assert_cmpint (eng_unicode_category ('A'), ==, ENG_UNICODE_LU);
  g_assert_cmpint (eng_unicode_category (0x3042), ==, ENG_UNICODE_LO);
  g_assert_cmpint (eng_unicode_category (0x4e2d), ==, ENG_UNICODE_LO);
  g_assert_cmpint (eng_unicode_category (0x2a6df), ==, ENG_UNICODE_LO); /* a range in the file */
  g_assert_cmpint (eng_unicode_category (0x1f999), ==, ENG_UNICODE_SO);
  g_assert_cmpint (eng_unicode_category (0x10ffff), ==, ENG_UNICODE_CN);
  g_assert_cmpint (eng_unicode_category (0x10fffd), ==, ENG_UNICODE_CO);
  g_assert_cmpint (eng_unicode_category (ENG_UTF8_INVALID), ==, ENG_UNICODE_CN);
  guint n_space = 0;
  for (guint32 cp = 0; cp < 0x110000; cp++)
    n_space += eng_unicode_is (cp, ENG_UNICODE_WHITE_SPACE);
  g_assert_cmpuint (n_space, ==, 25);
  g_assert_false (eng_unicode_is (0x200b, ENG_UNICODE_WHITE_SPACE));
  g_assert_true (eng_unicode_is (0x3000, ENG_UNICODE_WHITE_SPACE));
  g_assert_cmpuint (eng_unicode_to_lower (0x130), ==, 'i');
  g_assert_cmpuint (eng_unicode_to_lower (0x416), ==, 0x436);
  g_assert_cmpuint (eng_unicode_to_lower ('1'), ==, '1');
  g_assert_cmpuint (eng_unicode_to_lower (0x1e921), ==, 0x1e943);
}

/* GLib carries the same database in another version: decompositions never change between them. */
static void
test_decompositions (void)
{
  for (guint32 cp = 0; cp < 0x110000; cp++)
    {
      guint32 ours[ENG_UNICODE_MAX_DECOMPOSITION];
      gunichar theirs[18];
      if (eng_unicode_category (cp) == ENG_UNICODE_CN || (cp >= 0xd800 && cp < 0xe000))
        continue;
      gsize n = eng_unicode_decompose (cp, ours);
      g_assert_cmpuint (n, ==, g_unichar_fully_decompose (cp, FALSE, theirs, 18));
      for (gsize i = 0; i < n; i++)
        g_assert_cmpuint (ours[i], ==, theirs[i]);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/base/utf8/all-characters", test_utf8_all_characters);
  g_test_add_func ("/base/utf8/against-glib", test_utf8_against_glib);
  g_test_add_func ("/base/utf8/maximal-subparts", test_maximal_subparts);
  g_test_add_func ("/base/unicode/properties", test_properties);
  g_test_add_func ("/base/unicode/decompositions", test_decompositions);
  return g_test_run ();
}
