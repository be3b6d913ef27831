/* SPDX-License-Identifier: Apache-2.0 */
#include <glib.h>
#include <locale.h>
#include <math.h>
#include <string.h>

#include "eng-error.h"
#include "eng-json.h"
#include "eng-number.h"

static EngStatus
parse (EngArena *arena, const char *text, const EngJson **root, EngError *error)
{
  /* An exact copy, so that a read past the end is seen by a sanitizer. */
  size_t n = strlen (text);
  g_autofree char *copy = g_memdup2 (text, n ? n : 1);
  return eng_json_parse (copy, n, 0, arena, root, error);
}

/* Parses and writes again. */
static char *
round_trip (const char *text, unsigned indent, bool compact, bool ascii)
{
  EngArena arena = { 0 };
  EngBuffer out = { 0 };
  EngError error = { 0 };
  const EngJson *root;
  EngJsonWriter w = { .out = &out, .indent = indent, .compact = compact, .ensure_ascii = ascii };
  parse (&arena, text, &root, &error);
  g_assert_cmpstr (error.text, ==, "");
  eng_json_write_value (&w, root);
  g_assert_false (out.failed);
  char *copy = g_strndup (out.data, out.n_bytes);
  eng_buffer_clear (&out);
  eng_arena_clear (&arena);
  return copy;
}

static void
assert_round_trip (const char *text, const char *expected)
{
  g_autofree char *got = round_trip (text, 0, false, false);
  g_assert_cmpstr (got, ==, expected);
}

static void
test_values (void)
{
  assert_round_trip (" null ", "null");
  assert_round_trip ("[true,false,null]", "[true, false, null]");
  assert_round_trip ("\xef\xbb\xbf{}", "{}");
  assert_round_trip ("[[],{},[{}]]", "[[], {}, [{}]]");
  assert_round_trip ("{\"b\":1,\"a\":{\"x\":[1,2]}}", "{\"b\": 1, \"a\": {\"x\": [1, 2]}}");
  assert_round_trip ("[0,-0,1.5,1e3,-2.5E-7,1e22,123456789012345678]",
                     "[0, 0, 1.5, 1000.0, -2.5e-07, 1e+22, 123456789012345678]");
  assert_round_trip ("[9223372036854775807,-9223372036854775808]",
                     "[9223372036854775807, -9223372036854775808]");
  assert_round_trip ("\"\\u0041\\ud83d\\ude00\\u7089\\b\\/\\u0000\"", "\"A😀炉\\b/\\u0000\"");
  g_autofree char *pretty = round_trip ("{\"a\":[1,{}],\"b\":[]}", 2, false, false);
  g_assert_cmpstr (pretty, ==, "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}");
  g_autofree char *compact = round_trip ("{\"a\": [1, 2], \"b\": 3}", 0, true, false);
  g_assert_cmpstr (compact, ==, "{\"a\":[1,2],\"b\":3}");
  g_autofree char *ascii = round_trip ("\"é😀\x7f\\n\"", 0, false, true);
  g_assert_cmpstr (ascii, ==, "\"\\u00e9\\ud83d\\ude00\\u007f\\n\"");
}

static void
test_surrogates (void)
{
  assert_round_trip ("\"\\ud83dx\"", "\"\xef\xbf\xbdx\"");
  assert_round_trip ("\"\\ude00\"", "\"\xef\xbf\xbd\"");
  assert_round_trip ("\"\\ud83d\\ud83d\\ude00\"", "\"\xef\xbf\xbd😀\"");
  assert_round_trip ("\"\\ud83d\\n\"", "\"\xef\xbf\xbd\\n\"");
}

static void
test_refused (void)
{
  static const struct
  {
    const char *text;
    uint64_t offset;
    uint32_t line;
  } bad[] = {
    { "", 0, 1 },
    { "  ", 2, 1 },
    { "{", 1, 1 },
    { "[1,]", 3, 1 },
    { "[1 2]", 3, 1 },
    { "{\"a\" 1}", 5, 1 },
    { "{\"a\":1,}", 7, 1 },
    { "{a:1}", 1, 1 },
    { "nul", 0, 1 },
    { "truex", 4, 1 },
    { "01", 0, 1 },
    { "-", 0, 1 },
    { "1.", 0, 1 },
    { ".5", 0, 1 },
    { "1e", 0, 1 },
    { "1e999", 0, 1 },
    { "+1", 0, 1 },
    { "NaN", 0, 1 },
    { "-Infinity", 0, 1 },
    { "\"a", 0, 1 },
    { "\"\\x\"", 2, 1 },
    { "\"\\u12g4\"", 3, 1 },
    { "\"\n\"", 1, 1 },
    { "\"a\\\"", 0, 1 },
    { "\"\xff\"", 1, 1 },
    { "\"\xc0\x80\"", 1, 1 },
    { "\"\xed\xa0\x80\"", 1, 1 },
    { "1\n\n2", 3, 3 },
    { "[1,\n2,\n3", 8, 3 },
    { "// x\n1", 0, 1 },
    { "'a'", 0, 1 },
    { "[1}", 2, 1 },
    { "1 ,", 2, 1 },
    { "1-2", 0, 1 },
    { "0x10", 1, 1 },
  };
  for (size_t i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      EngArena arena = { 0 };
      EngError error = { 0 };
      const EngJson *root = (const EngJson *) &error;
      g_autofree char *shown = g_strescape (bad[i].text, NULL);
      g_test_message ("%s", shown);
      g_assert_cmpint (parse (&arena, bad[i].text, &root, &error), ==, ENG_ERR_FORMAT);
      g_assert_null (root);
      g_assert_cmpuint (error.offset, ==, bad[i].offset);
      g_assert_cmpuint (error.line, ==, bad[i].line);
      g_assert_cmpstr (error.text, !=, "");
      eng_arena_clear (&arena);
    }
}

static void
test_limits (void)
{
  EngArena arena = { 0 };
  EngError error;
  const EngJson *root;
  for (size_t depth = ENG_JSON_MAX_DEPTH; depth <= 100000; depth = depth * 390 + 1)
    {
      g_autoptr (GString) s = g_string_new (NULL);
      for (size_t i = 0; i < depth; i++)
        g_string_append (s, i % 2 ? "{\"a\":" : "[");
      g_string_append (s, "1");
      for (size_t i = depth; i-- > 0;)
        g_string_append (s, i % 2 ? "}" : "]");
      g_assert_cmpint (parse (&arena, s->str, &root, &error), ==,
                       depth <= ENG_JSON_MAX_DEPTH ? ENG_OK : ENG_ERR_LIMIT);
    }
  eng_arena_clear (&arena);
  EngArena small = { .limit_bytes = 256 };
  g_assert_cmpint (parse (&small, "[1,2,3,4,5,6,7,8,9,10]", &root, &error), ==, ENG_ERR_NO_MEMORY);
  g_assert_null (root);
  eng_arena_clear (&small);
}

static void
test_nan (void)
{
  EngArena arena = { 0 };
  const EngJson *root;
  static const char text[] = "[NaN, Infinity, -Infinity, 1e999]";
  g_assert_cmpint (eng_json_parse (text, strlen (text), ENG_JSON_ALLOW_NAN, &arena, &root, NULL),
                   ==, ENG_OK);
  g_assert_true (isnan (eng_json_at (root, 0)->number));
  g_assert_true (isinf (eng_json_at (root, 1)->number) && eng_json_at (root, 1)->number > 0);
  g_assert_true (isinf (eng_json_at (root, 2)->number) && eng_json_at (root, 2)->number < 0);
  g_assert_true (isinf (eng_json_at (root, 3)->number));
  g_assert_null (eng_json_at (root, 4));
  g_assert_cmpint (eng_json_parse ("-NaN", 4, ENG_JSON_ALLOW_NAN, &arena, &root, NULL), ==,
                   ENG_ERR_FORMAT);
  eng_arena_clear (&arena);
}

static void
test_lookup (void)
{
  EngArena arena = { 0 };
  const EngJson *root;
  g_autoptr (GString) s = g_string_new ("{");
  for (int i = 0; i < 1000; i++)
    g_string_append_printf (s, "\"k%d\":%d,", i * 7919 % 1000, i);
  /* Duplicates: the place of the first, the value of the last. */
  g_string_append (s, "\"k0\":-1,\"k5\":-2,\"k5\":\"last\"}");
  g_assert_cmpint (parse (&arena, s->str, &root, NULL), ==, ENG_OK);
  g_assert_cmpuint (root->n, ==, 1000);
  for (int i = 0; i < 1000; i++)
    {
      g_autofree char *key = g_strdup_printf ("k%d", i * 7919 % 1000);
      const EngJson *v = eng_json_get (root, key);
      g_assert_true (v == eng_json_at (root, i));
      g_assert_cmpstr (v->key, ==, key);
      if (g_str_equal (key, "k5"))
        g_assert_true (eng_json_is_string (v, "last"));
      else
        g_assert_cmpint (v->integer, ==, g_str_equal (key, "k0") ? -1 : i);
    }
  g_assert_null (eng_json_get (root, "k1000"));
  g_assert_null (eng_json_get (root, ""));
  g_assert_null (eng_json_get (NULL, "k"));
  g_assert_null (eng_json_get (eng_json_at (root, 0), "k"));
  assert_round_trip ("{\"a\":1,\"b\":2,\"a\":3,\"a\":{\"z\":1}}", "{\"a\": {\"z\": 1}, \"b\": 2}");

  static const char text[] = "{\"s\":\"x\",\"nul\":\"a\\u0000b\",\"i\":3.0,\"j\":3.5,\"big\":1"
                             "23456789012345678901234567890,\"t\":true,\"d\":1}";
  const char *string = NULL;
  int64_t integer = 0;
  double number = 0;
  bool boolean = false;
  g_assert_cmpint (parse (&arena, text, &root, NULL), ==, ENG_OK);
  g_assert_true (eng_json_get_string (root, "s", &string));
  g_assert_cmpstr (string, ==, "x");
  g_assert_false (eng_json_get_string (root, "nul", &string));
  g_assert_cmpuint (eng_json_get (root, "nul")->n, ==, 3);
  g_assert_true (eng_json_get_int64 (root, "i", &integer));
  g_assert_cmpint (integer, ==, 3);
  g_assert_false (eng_json_get_int64 (root, "j", &integer));
  g_assert_false (eng_json_get_int64 (root, "big", &integer));
  g_assert_true (eng_json_get (root, "big")->is_large);
  g_assert_true (eng_json_get_double (root, "big", &number));
  g_assert_cmpfloat (number, ==, 1.2345678901234568e29);
  g_assert_true (eng_json_get_bool (root, "t", &boolean));
  g_assert_false (eng_json_get_bool (root, "d", &boolean));
  eng_arena_clear (&arena);
}

static void
test_writer (void)
{
  EngBuffer out = { 0 };
  EngJsonWriter w = { .out = &out };
  eng_json_write_begin_object (&w);
  eng_json_write_member_string (&w, "a\"b", "x\xff\xc3y\n");
  eng_json_write_member_double (&w, "nan", NAN);
  eng_json_write_member_double (&w, "third", 1.0 / 3);
  eng_json_write_key (&w, "list");
  eng_json_write_begin_array (&w);
  eng_json_write_uint64 (&w, UINT64_MAX);
  eng_json_write_string (&w, NULL);
  eng_json_write_end_array (&w);
  eng_json_write_member_bool (&w, "ok", true);
  eng_json_write_member_int64 (&w, "low", INT64_MIN);
  eng_json_write_end_object (&w);
  g_assert_false (out.failed);
  g_assert_cmpstr (out.data, ==,
                   "{\"a\\\"b\": \"x\xef\xbf\xbd\xef\xbf\xbdy\\n\", \"nan\": null, "
                   "\"third\": 0.3333333333333333, \"list\": [18446744073709551615, null], "
                   "\"ok\": true, \"low\": -9223372036854775808}");
  eng_buffer_clear (&out);

  /* Wrong orders fail and stay failed. */
  EngJsonWriter twice = { .out = &out };
  eng_json_write_null (&twice);
  g_assert_false (out.failed);
  eng_json_write_null (&twice);
  g_assert_true (out.failed);
  eng_buffer_clear (&out);
  EngJsonWriter keyless = { .out = &out };
  eng_json_write_begin_object (&keyless);
  eng_json_write_null (&keyless);
  g_assert_true (out.failed);
  g_assert_null (eng_buffer_take (&out, NULL));
  eng_buffer_clear (&out);
  EngJsonWriter unmatched = { .out = &out };
  eng_json_write_begin_array (&unmatched);
  eng_json_write_end_object (&unmatched);
  g_assert_true (out.failed);
  eng_buffer_clear (&out);
  EngJsonWriter deep = { .out = &out };
  for (int i = 0; i < ENG_JSON_MAX_DEPTH; i++)
    eng_json_write_begin_array (&deep);
  g_assert_false (out.failed);
  eng_json_write_begin_array (&deep);
  g_assert_true (out.failed);
  eng_buffer_clear (&out);
}

static void
test_numbers (void)
{
  static const struct
  {
    double value;
    const char *text;
  } cases[] = {
    { 0, "0.0" },
    { -0.0, "-0.0" },
    { 1, "1.0" },
    { 0.1, "0.1" },
    { 0.2 + 0.1, "0.30000000000000004" },
    { 1e16, "1e+16" },
    { 123456789e8, "1.23456789e+16" },
    { 1e15, "1000000000000000.0" },
    { 9007199254740993.0, "9007199254740992.0" },
    { 0.0001, "0.0001" },
    { 0.00001, "1e-05" },
    { 5e-324, "5e-324" },
    { 1.7976931348623157e308, "1.7976931348623157e+308" },
    { 2.2250738585072014e-308, "2.2250738585072014e-308" },
    { -1234.5, "-1234.5" },
    { HUGE_VAL, "inf" },
    { -HUGE_VAL, "-inf" },
    { 1e100, "1e+100" },
  };
  char text[ENG_NUMBER_TEXT_MAX];
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_assert_cmpuint (eng_format_double (cases[i].value, text), ==, strlen (cases[i].text));
      g_assert_cmpstr (text, ==, cases[i].text);
    }
  guint32 seed = g_test_rand_int ();
  g_test_message ("seed %u", seed);
  g_autoptr (GRand) rand = g_rand_new_with_seed (seed);
  for (int i = 0; i < 20000; i++)
    {
      union
      {
        guint64 u;
        double d;
      } bits = { .u = (guint64) g_rand_int (rand) << 32 | g_rand_int (rand) };
      double back = 0;
      if (!isfinite (bits.d))
        continue;
      size_t n = eng_format_double (bits.d, text);
      g_assert_cmpuint (n, <, sizeof text);
      g_assert_true (eng_parse_double (text, n, &back));
      g_assert_true (back == bits.d);
    }
  double d;
  g_assert_false (eng_parse_double ("0x10", 4, &d));
  g_assert_false (eng_parse_double ("inf", 3, &d));
  g_assert_false (eng_parse_double ("1,5", 3, &d));
  g_assert_false (eng_parse_double (" 1", 2, &d));
  g_assert_false (eng_parse_double (".", 1, &d));
  g_assert_true (eng_parse_double (".5", 2, &d));
  g_assert_true (eng_format_fixed (2.5, 0, text, sizeof text));
  g_assert_cmpstr (text, ==, "2");
  g_assert_false (eng_format_fixed (1e300, 2, text, sizeof text));
}

static void
test_locale (void)
{
  if (!setlocale (LC_ALL, "de_DE.UTF-8") && !setlocale (LC_ALL, "fr_FR.UTF-8"))
    {
      g_test_skip ("no locale with a decimal comma is installed");
      return;
    }
  test_numbers ();
  assert_round_trip ("[1.5]", "[1.5]");
  setlocale (LC_ALL, "C");
}

/* Every allocation of a parse fails once; nothing leaks, nothing crashes. */
static void
test_no_memory (void)
{
  static const char text[] = "{\"a\":[1,2,{\"b\":\"c\"}],\"1\":1,\"2\":2,\"3\":3,\"4\":4,\"5\":5,"
                             "\"6\":6,\"7\":7,\"8\":8,\"9\":9,\"9\":10}";
  for (uint64_t n = 1;; n++)
    {
      EngArena arena = { 0 };
      const EngJson *root;
      eng_alloc_fail_at (n);
      EngStatus status = eng_json_parse (text, strlen (text), 0, &arena, &root, NULL);
      bool reached = eng_alloc_fail_at (0) >= n;
      eng_arena_clear (&arena);
      if (!reached)
        {
          g_assert_cmpint (status, ==, ENG_OK);
          g_assert_cmpuint (n, >, 2);
          break;
        }
      g_assert_cmpint (status, ==, ENG_ERR_NO_MEMORY);
    }
}

/* Cuts and changes of a text: parses or is refused, and what parses survives the way back. */
static void
test_mutations (void)
{
  static const char seed_text[] = "{\"a\":[1,-2.5e3,true,null,\"\\u00e9\\ud83d\\ude00 炉\"],"
                                  "\"b\":{\"c\":[],\"d\":{}},\"e\":\"\\\\\\\"\"}";
  guint32 seed = g_test_rand_int ();
  g_test_message ("seed %u", seed);
  g_autoptr (GRand) rand = g_rand_new_with_seed (seed);
  for (int i = 0; i < 20000; i++)
    {
      size_t n = strlen (seed_text);
      g_autofree char *text = g_memdup2 (seed_text, n);
      for (int k = g_rand_int_range (rand, 0, 4); k > 0; k--)
        text[g_rand_int_range (rand, 0, (gint32) n)] = (char) g_rand_int_range (rand, 0, 256);
      n = (size_t) g_rand_int_range (rand, 0, (gint32) n + 1);
      g_autofree char *copy = g_memdup2 (text, n ? n : 1);
      EngArena arena = { 0 };
      const EngJson *root, *again;
      if (eng_json_parse (copy, n, ENG_JSON_ALLOW_NAN, &arena, &root, NULL) == ENG_OK)
        {
          EngBuffer out = { 0 };
          EngJsonWriter w = { .out = &out };
          eng_json_write_value (&w, root);
          g_assert_false (out.failed);
          g_assert_cmpint (eng_json_parse (out.data, out.n_bytes, 0, &arena, &again, NULL), ==,
                           ENG_OK);
          eng_buffer_clear (&out);
        }
      eng_arena_clear (&arena);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/base/json/values", test_values);
  g_test_add_func ("/base/json/surrogates", test_surrogates);
  g_test_add_func ("/base/json/refused", test_refused);
  g_test_add_func ("/base/json/limits", test_limits);
  g_test_add_func ("/base/json/nan", test_nan);
  g_test_add_func ("/base/json/lookup", test_lookup);
  g_test_add_func ("/base/json/writer", test_writer);
  g_test_add_func ("/base/json/no-memory", test_no_memory);
  g_test_add_func ("/base/json/mutations", test_mutations);
  g_test_add_func ("/base/number/text", test_numbers);
  g_test_add_func ("/base/number/locale", test_locale);
  return g_test_run ();
}
