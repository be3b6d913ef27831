/* SPDX-License-Identifier: Apache-2.0 */
/* app/base, and the small pure parts of storage and chat. */
#include <locale.h>
#include <string.h>

#include <glib/gstdio.h>

#include "app-test.h"
#include "ing-data-lock.h"
#include "ing-error-engine.h"
#include "ing-search-text.h"
#include "ing-think.h"
#include "ing-title.h"

static void
test_errors (void)
{
  /* Every status of the engine has its own code here, and words that are not the raw text. */
  g_autoptr (GHashTable) seen = g_hash_table_new (NULL, NULL);
  for (int code = ENG_ERR_ARGUMENT; code <= ENG_ERR_INTERNAL; code++)
    {
      g_autoptr (GError) error
          = ing_error_from_engine (code, "RAW TEXT", "the.key", 77, 3, 2000000000, 1000000000);
      g_autofree char *title = NULL, *advice = NULL, *details = NULL;
      ing_error_describe (error, &title, &advice, &details);
      g_assert_nonnull (strstr (details, "RAW TEXT"));
      g_assert_null (strstr (title, "RAW TEXT"));
      g_assert_null (strchr (title, '!'));
      if (code == ENG_ERR_CANCELLED)
        {
          g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
          continue;
        }
      g_assert_true (error->domain == ING_ERROR);
      g_assert_true (g_hash_table_add (seen, GINT_TO_POINTER (error->code + 1)));
      g_assert_cmpint (error->code, !=, ING_ERROR_PROTOCOL);
      g_assert_cmpuint (ing_error_get_needed (error), ==, 2000000000);
      g_assert_cmpuint (ing_error_get_offset (error), ==, 77);
      g_assert_cmpuint (ing_error_get_line (error), ==, 3);
      g_assert_cmpstr (ing_error_get_field (error), ==, "the.key");
      /* With its own field again: as the numbers of a full disk are added. */
      ing_error_set_details (error, ing_error_get_field (error), 2000000000, 1000000000, 77, 3);
      g_assert_cmpstr (ing_error_get_field (error), ==, "the.key");

      g_autofree char *json = ing_error_to_json (error);
      g_autoptr (GError) back = ing_error_from_json (json);
      g_assert_error (back, ING_ERROR, error->code);
      g_assert_cmpstr (back->message, ==, "RAW TEXT");
      g_assert_cmpuint (ing_error_get_available (back), ==, 1000000000);
      g_assert_cmpuint (ing_error_get_offset (back), ==, 77);
    }
  g_autoptr (GError) newer = ing_error_from_engine (999, NULL, NULL, ENG_OFFSET_NONE, 0, 0, 0);
  g_assert_error (newer, ING_ERROR, ING_ERROR_PROTOCOL);
  g_assert_cmpuint (ing_error_get_offset (newer), ==, ING_ERROR_OFFSET_NONE);
  g_autoptr (GError) large
      = ing_error_from_engine (ENG_ERR_TOO_LARGE, "x", NULL, ENG_OFFSET_NONE, 0, 64000000000, 8000000000);
  g_autofree char *sentence = ing_error_to_sentence (large);
  g_assert_nonnull (strstr (sentence, "64"));
  g_assert_nonnull (strstr (sentence, "8"));
  /* Hostile stored text. */
  static const char *const bad[] = { "", "{", "[]", "nonsense", "{\"domain\":\"ing-error-quark\",\"code\":-5}",
                                     "{\"domain\":\"ing-error-quark\",\"code\":1e300}" };
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) error = ing_error_from_json (bad[i]);
      g_assert_error (error, ING_ERROR, ING_ERROR_FAILED);
    }
}

static void
test_json (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GString) deep = g_string_new ("{\"a\":");
  for (int i = 0; i < 100000; i++)
    g_string_append_c (deep, '[');
  g_assert_null (ing_json_parse_object (deep->str, -1, &error));
  g_assert_error (error, ING_ERROR, ING_ERROR_FORMAT);
  g_clear_error (&error);
  /* Depth at the limit, and one beyond; brackets in strings do not count. */
  for (int extra = 0; extra <= 1; extra++)
    {
      g_autoptr (GString) text = g_string_new ("{\"a\":");
      int n = ING_JSON_MAX_DEPTH - 1 + extra;
      for (int i = 0; i < n; i++)
        g_string_append_c (text, '[');
      g_string_append (text, "\"[[[{{{\\\"[\"");
      for (int i = 0; i < n; i++)
        g_string_append_c (text, ']');
      g_string_append_c (text, '}');
      g_autoptr (JsonObject) o = ing_json_parse_object (text->str, -1, NULL);
      g_assert_true ((o != NULL) == (extra == 0));
    }
  g_assert_null (ing_json_parse_object ("{\"a\":\"\xff\"}", -1, NULL));
  g_assert_null (ing_json_parse_object ("{/* no */}", -1, NULL));
  g_autoptr (JsonObject) o = ing_json_parse_object (
      "{\"s\":\"x\",\"i\":7,\"d\":1.5,\"n\":null,\"b\":true,\"huge\":1e300,\"o\":{}}", -1, NULL);
  g_assert_nonnull (o);
  g_assert_cmpint (ing_json_get_int (o, "s", 3), ==, 3);
  g_assert_cmpint (ing_json_get_int (o, "d", 3), ==, 1);
  g_assert_cmpint (ing_json_get_int (o, "huge", 3), ==, 3);
  g_assert_cmpint (ing_json_get_int (o, "n", 3), ==, 3);
  g_assert_cmpint (ing_json_get_int (o, "o", 3), ==, 3);
  g_assert_cmpfloat (ing_json_get_double (o, "i", 0), ==, 7);
  g_assert_cmpstr (ing_json_get_string (o, "i", "f"), ==, "f");
  g_assert_true (ing_json_get_boolean (o, "b", FALSE));
  g_assert_nonnull (ing_json_get_object (o, "o"));
  g_assert_null (ing_json_get_array (o, "o"));
}

static void
on_changed (IngSettings *settings, const char *key, gpointer data)
{
  g_string_append_printf (data, "%s;", key);
}

static void
test_settings (void)
{
  g_autofree char *folder = app_test_make_folder ();
  g_autofree char *path = g_build_filename (folder, "new", "settings.ini", NULL);
  g_autoptr (GString) log = g_string_new (NULL);
  {
    g_autoptr (IngSettings) settings = ing_settings_new (path);
    g_signal_connect (settings, "changed::window-width", G_CALLBACK (on_changed), log);
    g_assert_cmpint (ing_settings_get_int (settings, "window.width", 5), ==, 5);
    ing_settings_set_int (settings, "window.width", 1000);
    ing_settings_set_int (settings, "window.width", 1000);
    ing_settings_set_double (settings, "a.ratio", 0.25);
    ing_settings_set_boolean (settings, "a.flag", TRUE);
    ing_settings_set_string (settings, "plain", "line\nbreak; = [x] 你好");
    g_assert_cmpstr (log->str, ==, "window.width;");
    g_assert_true (ing_settings_flush (settings, NULL));
  }
  g_autoptr (IngSettings) again = ing_settings_new (path);
  g_assert_cmpint (ing_settings_get_int (again, "window.width", 5), ==, 1000);
  g_assert_cmpfloat (ing_settings_get_double (again, "a.ratio", 0), ==, 0.25);
  g_assert_true (ing_settings_get_boolean (again, "a.flag", FALSE));
  g_autofree char *plain = ing_settings_dup_string (again, "plain", NULL);
  g_assert_cmpstr (plain, ==, "line\nbreak; = [x] 你好");
  g_assert_cmpint (ing_settings_get_int (again, "a.ratio", 9), ==, 9); /* another type */
  ing_settings_reset (again, "a.flag");
  g_assert_false (ing_settings_get_boolean (again, "a.flag", FALSE));
  /* In the background, too. */
  app_test_wait (({
    g_autoptr (IngSettings) third = ing_settings_new (path);
    !ing_settings_get_boolean (third, "a.flag", FALSE)
        && ing_settings_get_int (third, "window.width", 0) == 1000;
  }));
  /* A damaged file is kept aside and defaults hold. */
  g_assert_true (g_file_set_contents (path, "[broken", -1, NULL));
  g_autoptr (IngSettings) damaged = ing_settings_new (path);
  g_assert_cmpint (ing_settings_get_int (damaged, "window.width", 5), ==, 5);
  g_autofree char *aside = g_strconcat (path, ".damaged", NULL);
  g_assert_true (g_file_test (aside, G_FILE_TEST_EXISTS));
}

static void
on_problem (IngSettings *settings, GError *error, gpointer data)
{
  ++*(int *) data;
}

static void
test_settings_unwritable (void)
{
  int problems = 0;
  g_autoptr (IngSettings) settings = ing_settings_new ("/proc/no/such/settings.ini");
  g_signal_connect (settings, "problem", G_CALLBACK (on_problem), &problems);
  ing_settings_set_int (settings, "a.b", 1);
  app_test_wait (problems == 1);
  g_assert_cmpint (ing_settings_get_int (settings, "a.b", 0), ==, 1);
  ing_settings_set_int (settings, "a.b", 2);
  app_test_run_ms (700);
  g_assert_cmpint (problems, ==, 1); /* told once */
}

static void
test_lock (void)
{
  g_autofree char *folder = app_test_make_folder ();
  g_autoptr (GError) error = NULL;
  IngDataLock *first = ing_data_lock_take (folder, "window", &error);
  g_assert_no_error (error);
  g_assert_nonnull (first);
  g_assert_null (ing_data_lock_take (folder, "ask", &error));
  g_assert_error (error, ING_ERROR, ING_ERROR_LOCKED);
  g_assert_cmpuint (ing_error_get_needed (error), ==, (guint64) getpid ());
  g_assert_cmpstr (ing_error_get_field (error), ==, "window");
  g_clear_error (&error);
  ing_data_lock_free (first);
  g_autoptr (IngDataLock) second = ing_data_lock_take (folder, "ask", &error);
  g_assert_no_error (error);
  g_assert_nonnull (second);
  g_assert_null (ing_data_lock_take ("/proc/nowhere", "ask", &error));
  g_assert_error (error, ING_ERROR, ING_ERROR_NOT_FOUND);
}

static void
test_sampling (void)
{
  IngSampling s, t;
  ing_sampling_init (&s);
  s.temperature = 0.3;
  s.seed = 99;
  s.max_tokens = 7;
  g_autofree char *json = ing_sampling_to_json (&s);
  ing_sampling_from_json (&t, json);
  g_assert_cmpmem (&s, sizeof s, &t, sizeof t);
  ing_sampling_from_json (&t, "{\"temperature\":-4,\"top_k\":-1,\"top_p\":\"x\",\"seed\":-7}");
  g_assert_cmpfloat (t.temperature, ==, 0);
  g_assert_cmpint (t.top_k, ==, 0);
  g_assert_cmpfloat (t.top_p, ==, 0.95);
  g_assert_cmpint (t.seed, ==, -1);
  ing_sampling_from_json (&t, "not json");
  g_assert_cmpint (t.top_k, ==, 40);
}

static void
test_title (void)
{
  static const struct
  {
    const char *question, *title;
  } cases[] = {
    { "Why is the sky blue?", "Why is the sky blue?" },
    { "  ## **Why** is\tthe `sky` blue?\n\nBecause", "Why is the sky blue?…" },
    { "One two three four five six seven eight nine ten eleven twelve",
      "One two three four five six seven eight nine ten…" },
    { "杭州的龙井茶应该怎么泡才好喝水温要多少度需要泡几分钟呢请告诉我",
      "杭州的龙井茶应该怎么泡才好喝水温要多少度需要泡几…" },
    { "Pneumonoultramicroscopicsilicovolcanoconiosispneumonoultra",
      "Pneumonoultramicroscopicsilicovolcanoconiosispne…" },
    { "\n\n  \t", "" },
    { "", "" },
    { "a\nb", "a…" },
  };
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *title = ing_title_from_question (cases[i].question);
      g_assert_cmpstr (title, ==, cases[i].title);
    }
}

static void
test_search_text (void)
{
  static const struct
  {
    const char *text, *index;
  } cases[] = {
    { "plain words", "plain words" },
    { "取暖费", " 取暖 暖费 费 " },
    { "GPU显卡ok", "GPU 显卡 卡 ok" },
    { "a\"b", "a b" },
    { "東京", " 東京 京 " },
    { "한국어", " 한국 국어 어 " },
  };
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *index = ing_search_text_for_index (cases[i].text);
      g_assert_cmpstr (index, ==, cases[i].index);
    }
  static const struct
  {
    const char *query, *match;
  } queries[] = {
    { "heat pump", "\"heat\" AND \"pump\"*" },
    { "heat pump ", "\"heat\" AND \"pump\"*" },
    { "取暖费", "\" 取暖 暖费\"*" },
    { "费", "\" 费\"*" },
    { "  ", NULL },
    { "\"*^:", NULL },
    { "a AND (b", "\"a\" AND \"AND\" AND \"(b\"*" },
    { "x\"y", "\"x y\"*" },
    { "C++", "\"C++\"" },
  };
  for (guint i = 0; i < G_N_ELEMENTS (queries); i++)
    {
      g_autofree char *match = ing_search_text_for_query (queries[i].query);
      g_assert_cmpstr (match, ==, queries[i].match);
    }
  gsize start, end;
  g_assert_true (ing_search_text_find ("An ÄPFEL tree", "zzz äpfel", &start, &end));
  g_assert_cmpuint (start, ==, 3);
  g_assert_cmpuint (end, ==, 3 + strlen ("ÄPFEL"));
  g_assert_false (ing_search_text_find ("abc", "d", &start, &end));
}

typedef struct
{
  GString *text, *reasoning;
} Pieces;

static void
on_piece (IngPartKind kind, const char *text, gpointer data)
{
  Pieces *p = data;
  g_string_append (kind == ING_PART_REASONING ? p->reasoning : p->text, text);
}

static void
test_think (void)
{
  static const struct
  {
    IngThinkState state;
    const char *stream, *reasoning, *text;
  } cases[] = {
    { ING_THINK_START, "<think>\nLet me <see>.\n</think>\n\nThe answer.", "Let me <see>.", "The answer." },
    { ING_THINK_START, " \n<think></think>Yes", "", "Yes" },
    { ING_THINK_START, "<|channel>thought\nA </think> of mine.\n<channel|>Here.", "A </think> of mine.", "Here." },
    { ING_THINK_START, "<|channel>thought\n<channel|>At once.", "", "At once." },
    { ING_THINK_START, "<|channel>other", "", "<|channel>other" },
    { ING_THINK_START, "No tags", "", "No tags" },
    { ING_THINK_START, "<thin air", "", "<thin air" },
    { ING_THINK_START, "<thi", "", "<thi" },
    { ING_THINK_START, "<think>cut </thi", "cut </thi", "" },
    { ING_THINK_START, "Say <think> later</think>", "", "Say <think> later</think>" },
    { ING_THINK_REASONING, " on.</think> Then.", " on.", "Then." },
    { ING_THINK_TEXT, "<think>x", "", "<think>x" },
  };
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    for (gsize cut = 1; cut <= 7; cut++) /* every size of the pieces */
      {
        Pieces p = { g_string_new (NULL), g_string_new (NULL) };
        IngThink think;
        ing_think_init (&think, cases[i].state);
        for (const char *at = cases[i].stream; *at != '\0';)
          {
            g_autofree char *piece = g_strndup (at, cut);
            at += strlen (piece);
            ing_think_feed (&think, piece, on_piece, &p);
          }
        ing_think_end (&think, on_piece, &p);
        g_assert_cmpstr (p.reasoning->str, ==, cases[i].reasoning);
        g_assert_cmpstr (p.text->str, ==, cases[i].text);
        g_string_free (p.text, TRUE);
        g_string_free (p.reasoning, TRUE);
      }
}

static void
test_default_model (void)
{
  g_autofree char *found = ing_paths_find_default_model (g_getenv ("INGLENOOK_FAKE_ENGINE"));
  g_assert_cmpstr (found, ==, g_getenv ("INGLENOOK_FAKE_ENGINE")); /* any file that is there */
}

int
main (int argc, char **argv)
{
  setlocale (LC_ALL, "");
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/app/base/errors", test_errors);
  g_test_add_func ("/app/base/json", test_json);
  g_test_add_func ("/app/base/settings", test_settings);
  g_test_add_func ("/app/base/settings/unwritable", test_settings_unwritable);
  g_test_add_func ("/app/base/lock", test_lock);
  g_test_add_func ("/app/base/sampling", test_sampling);
  g_test_add_func ("/app/base/default-model", test_default_model);
  g_test_add_func ("/app/storage/title", test_title);
  g_test_add_func ("/app/storage/search-text", test_search_text);
  g_test_add_func ("/app/chat/think", test_think);
  return g_test_run ();
}
