/* SPDX-License-Identifier: Apache-2.0 */
/* The cuts of every pre-tokenizer against the published regular expressions, as Python's `regex`
 * module runs them over 1 MB of mixed text. The expected values in pre-tokenizer-golden.txt are
 * counts and hashes; compare-pre-tokenizer.py makes them, and compares border by border where that
 * module is installed, with the help of
 *     test-tokenizer-pre-tokenizer --write-text FILE | --write-borders NAME FILE */
#include <string.h>

#include "eng-pre-tokenizer.h"
#include "mixed-text.h"

#define N_BLOCKS 16 /* hashes a text, so that a failure says roughly where */

static const EngPreTokenizer *
find (const char *name)
{
  const EngPreTokenizer *pre = eng_pre_tokenizer_find (name);
  if (!pre)
    g_error ("no pre-tokenizer %s", name);
  return pre;
}

/* "count hash…" of the ends of all pieces. */
static char *
summarize (const char *name, const GString *text)
{
  guint64 hashes[N_BLOCKS];
  gsize count = 0, begin, end, at = 0;
  EngPieceIter iter;
  for (int i = 0; i < N_BLOCKS; i++)
    hashes[i] = MIXED_HASH_START;
  eng_piece_iter_init (&iter, find (name), (const guint8 *) text->str, text->len);
  while (eng_piece_iter_next (&iter, &begin, &end))
    {
      g_assert_cmpuint (begin, ==, at);
      g_assert_cmpuint (end, >, begin);
      at = end;
      gsize block = end * N_BLOCKS / (text->len + 1);
      hashes[block] = mixed_hash (hashes[block], end);
      count++;
    }
  g_assert_cmpuint (at, ==, text->len);
  GString *line = g_string_new (NULL);
  g_string_printf (line, "%s %zu", name, count);
  for (int i = 0; i < N_BLOCKS; i++)
    g_string_append_printf (line, " %016" G_GINT64_MODIFIER "x", hashes[i]);
  return g_string_free (line, FALSE);
}

static void
test_golden (void)
{
  g_autofree char *golden = NULL;
  const char *path = TEST_SOURCE_DIR "/pre-tokenizer-golden.txt";
  g_assert_true (g_file_get_contents (path, &golden, NULL, NULL));
  g_auto (GStrv) lines = g_strsplit (golden, "\n", -1);
  GString *text = mixed_text (MIXED_SEED, MIXED_BYTES);
  int n = 0;
  for (char **line = lines; *line; line++)
    {
      if (!**line || **line == '#')
        continue;
      g_auto (GStrv) words = g_strsplit (*line, " ", 2);
      g_autofree char *got = summarize (words[0], text);
      g_assert_cmpstr (got, ==, *line);
      n++;
    }
  g_assert_cmpint (n, >=, 14);
  g_string_free (text, TRUE);
}

static void
check_pieces (const char *name, const char *joined)
{
  g_autofree char *text = g_strdup (joined);
  GString *got = g_string_new (NULL);
  gsize n = 0, begin, end;
  for (const char *c = joined; *c; c++) /* '|' marks the borders */
    if (*c != '|')
      text[n++] = *c;
  EngPieceIter iter;
  eng_piece_iter_init (&iter, find (name), (const guint8 *) text, n);
  while (eng_piece_iter_next (&iter, &begin, &end))
    {
      if (begin > 0)
        g_string_append_c (got, '|');
      g_string_append_len (got, text + begin, (gssize) (end - begin));
    }
  g_assert_cmpstr (got->str, ==, joined);
  g_string_free (got, TRUE);
}

static void
test_examples (void)
{
  check_pieces ("gpt-2", "I|'ll| go|  | home|.|\n|\n|Now| 12345678|x| |\t|y|'|S");
  check_pieces ("llama-bpe", "I|'LL| go| | home|.\n\n|Now| |123|456|78|x|\ty|'S| \n");
  check_pieces ("qwen2", "a|\n \n|  | b| |1|2|3|!!!\r\n|(c|)");
  check_pieces ("smollm", "a| |1|2|  |3|b|'s");
  check_pieces ("gpt-4o", "HELLOWorld's| Fine|/camel|Case| ABC's|\u0301|ABC");
  check_pieces ("tekken", "x|'s| |1|2|ABCdef|G");
  check_pieces ("deepseek-v3", "123|45|漢字かな|x|.foo| bar|!!\n|  | z");
}

/* Invalid bytes are kept, in order, and nothing is looked at twice without end. */
static void
test_broken_bytes (void)
{
  MixedRandom r = { 99 };
  guint8 bytes[4096];
  for (int round = 0; round < 20; round++)
    {
      for (gsize i = 0; i < sizeof bytes; i++)
        bytes[i] = (guint8) (mixed_next (&r, 3) ? 0x80 + mixed_next (&r, 128) : mixed_next (&r, 128));
      const char *name;
      for (gsize i = 0; (name = eng_pre_tokenizer_get_name (i)); i++)
        {
          gsize begin, end, at = 0;
          EngPieceIter iter;
          eng_piece_iter_init (&iter, find (name), bytes, sizeof bytes);
          while (eng_piece_iter_next (&iter, &begin, &end))
            {
              g_assert_cmpuint (begin, ==, at);
              g_assert_cmpuint (end, >, at);
              at = end;
            }
          g_assert_cmpuint (at, ==, sizeof bytes);
        }
    }
}

/* Runs that would make a backtracking matcher quadratic take no time. */
static void
test_linear (void)
{
  static const char *const units[] = { "a", "A", "Aª", " ", "\n", "\t ", "1", "!", "\u0301", "\u3000",
                                       "'", "\xff", "\xe2\x96", "Ab", "\n ", " \u00a0x" };
  for (gsize u = 0; u < G_N_ELEMENTS (units); u++)
    {
      GString *text = g_string_new (NULL);
      const EngPreTokenizer *before = NULL;
      const char *name;
      while (text->len < 1 << 18)
        g_string_append (text, units[u]);
      for (gsize i = 0; (name = eng_pre_tokenizer_get_name (i)); before = find (name), i++)
        {
          if (find (name) == before)
            continue; /* another name of the same one */
          gint64 start = g_get_monotonic_time ();
          g_autofree char *line = summarize (name, text);
          gint64 us = g_get_monotonic_time () - start;
          if (us > 2 * G_USEC_PER_SEC)
            g_error ("%s takes %d ms for 256 KiB of \"%s\"", name, (int) (us / 1000), units[u]);
        }
      g_string_free (text, TRUE);
    }
}

static void
test_names (void)
{
  g_assert_null (eng_pre_tokenizer_find ("no-such"));
  g_assert_null (eng_pre_tokenizer_find (""));
  const char *name;
  gsize n = 0;
  for (; (name = eng_pre_tokenizer_get_name (n)); n++)
    g_assert_nonnull (eng_pre_tokenizer_find (name));
  g_assert_cmpuint (n, >, 30);
}

static int
write_borders (const char *name, const char *path)
{
  GString *text = mixed_text (MIXED_SEED, MIXED_BYTES), *out = g_string_new (NULL);
  gsize begin, end;
  EngPieceIter iter;
  eng_piece_iter_init (&iter, find (name), (const guint8 *) text->str, text->len);
  while (eng_piece_iter_next (&iter, &begin, &end))
    g_string_append_printf (out, "%zu\n", end);
  return !g_file_set_contents (path, out->str, (gssize) out->len, NULL);
}

int
main (int argc, char **argv)
{
  if (argc == 3 && strcmp (argv[1], "--write-text") == 0)
    {
      GString *text = mixed_text (MIXED_SEED, MIXED_BYTES);
      return !g_file_set_contents (argv[2], text->str, (gssize) text->len, NULL);
    }
  if (argc == 4 && strcmp (argv[1], "--write-borders") == 0)
    return write_borders (argv[2], argv[3]);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/tokenizer/pre-tokenizer/golden", test_golden);
  g_test_add_func ("/tokenizer/pre-tokenizer/examples", test_examples);
  g_test_add_func ("/tokenizer/pre-tokenizer/broken-bytes", test_broken_bytes);
  g_test_add_func ("/tokenizer/pre-tokenizer/linear", test_linear);
  g_test_add_func ("/tokenizer/pre-tokenizer/names", test_names);
  return g_test_run ();
}
