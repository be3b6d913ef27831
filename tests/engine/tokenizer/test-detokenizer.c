/* SPDX-License-Identifier: Apache-2.0 */
/* Ids to text: whatever the ids and wherever they are cut, valid UTF-8 and the same text. */
#include "eng-arena.h"
#include "mixed-text.h"
#include "tiny-vocab.h"
#include "tokenizer-fixtures.h"

/* The bytes with each broken sequence as one U+FFFD. */
static GString *
repair (const char *bytes, gsize n)
{
  GString *s = g_string_new (NULL);
  for (gsize i = 0; i < n;)
    {
      guint32 cp;
      i += eng_utf8_next ((const guint8 *) bytes + i, n - i, &cp);
      mixed_put (s, cp == ENG_UTF8_INVALID ? 0xfffd : cp);
    }
  return s;
}

static void
check_stream (const EngTokenizer *tok, const gint32 *ids, gsize n, unsigned flags)
{
  EngBuffer whole = { 0 }, streamed = { 0 };
  EngDetokenizer detok;
  eng_detokenizer_init (&detok, tok, flags);
  for (gsize i = 0; i < n; i++)
    {
      gsize before = streamed.n_bytes;
      g_assert_cmpint (eng_detokenizer_push (&detok, ids[i], &streamed), ==, ENG_OK);
      g_assert_true (eng_utf8_is_valid ((const guint8 *) streamed.data + before,
                                        streamed.n_bytes - before));
    }
  g_assert_cmpint (eng_detokenizer_flush (&detok, &streamed), ==, ENG_OK);
  g_assert_cmpint (eng_detokenize_bytes (tok, ids, n, flags, &whole), ==, ENG_OK);
  GString *expected = repair (whole.data, whole.n_bytes);
  g_assert_cmpmem (streamed.data, streamed.n_bytes, expected->str, expected->len);
  g_string_free (expected, TRUE);
  eng_buffer_clear (&whole);
  eng_buffer_clear (&streamed);
}

static void
check_random_streams (const EngTokenizer *tok, guint rounds)
{
  MixedRandom r = { 2024 };
  gint32 ids[64];
  guint32 n_tokens = (guint32) eng_tokenizer_get_n_tokens (tok);
  for (guint round = 0; round < rounds; round++)
    {
      gsize n = 1 + mixed_next (&r, G_N_ELEMENTS (ids));
      for (gsize i = 0; i < n; i++) /* mostly the tokens of single bytes, where those stand first */
        ids[i] = (gint32) mixed_next (&r, mixed_next (&r, 3) ? MIN (n_tokens, 260) : n_tokens);
      check_stream (tok, ids, n, mixed_next (&r, 8));
    }
}

static void
test_random_streams (void)
{
  EngTokenizer *toks[] = { tiny_build (tiny_bpe ()), tiny_build (tiny_sentencepiece ("llama")),
                           tiny_build (tiny_sentencepiece ("t5")), tiny_build (tiny_wordpiece ()) };
  for (gsize i = 0; i < G_N_ELEMENTS (toks); i++)
    {
      check_random_streams (toks[i], 20000);
      eng_tokenizer_free (&toks[i]);
    }
}

/* Any bytes go in and come back (T9); valid text also comes back as a stream. */
static void
check_round_trip (const EngTokenizer *tok, const char *bytes, gsize n)
{
  EngTokenBuffer ids = { 0 };
  EngBuffer back = { 0 };
  g_assert_cmpint (eng_tokenizer_encode (tok, bytes, n, 0, &ids, NULL), ==, ENG_OK);
  g_assert_cmpuint (ids.n_dropped_bytes, ==, 0);
  for (gsize i = 0; i < ids.n; i++)
    g_assert_false (eng_tokenizer_is_control (tok, ids.ids[i]));
  g_assert_cmpint (eng_detokenize_bytes (tok, ids.ids, ids.n, ENG_DETOKENIZE_TEXT_START, &back), ==,
                   ENG_OK);
  g_assert_cmpmem (back.data, back.n_bytes, bytes, n);
  check_stream (tok, ids.ids, ids.n, ENG_DETOKENIZE_TEXT_START);
  eng_token_buffer_free (&ids);
  eng_buffer_clear (&back);
}

static void
check_round_trips (const EngTokenizer *tok)
{
  static const char *const broken[] = { "\xed\xa0\x80", "\xed\xb0\x80x", "\xc0\xaf", "\xe0\x80\x80",
                                        "\xff", "\xfe\xff", "a\x80", "\xf4\x90\x80\x80", "\xe7\x82",
                                        "\xf0\x9f\xa6", " \xc3 \xa9 " };
  for (gsize i = 0; i < G_N_ELEMENTS (broken); i++)
    check_round_trip (tok, broken[i], strlen (broken[i]));
  check_round_trip (tok, "\0a\0\0", 4);
  MixedRandom r = { 11 };
  for (int round = 0; round < 200; round++)
    {
      GString *text = mixed_text (100 + (guint64) round, 500);
      for (guint k = mixed_next (&r, 20); k > 0; k--)
        text->str[mixed_next (&r, (guint32) text->len)] = (char) mixed_next (&r, 256);
      /* SentencePiece's U+2581 is a space by design. */
      g_string_replace (text, "▁", "_", 0);
      check_round_trip (tok, text->str, text->len);
      g_string_free (text, TRUE);
    }
}

static void
test_tiny_round_trips (void)
{
  EngTokenizer *tok = tiny_build (tiny_bpe ());
  check_round_trips (tok);
  eng_tokenizer_free (&tok);
  tok = tiny_build (tiny_sentencepiece ("llama"));
  check_round_trips (tok);
  eng_tokenizer_free (&tok);
}

static void
test_vocab (const void *name)
{
  EngTokenizer *tok = load_fixture (name);
  if (!tok)
    return;
  if (strcmp (eng_tokenizer_get_model (tok), "bert") != 0)
    check_round_trips (tok);
  check_random_streams (tok, 5000);
  eng_tokenizer_free (&tok);
}

static void
test_flags (void)
{
  EngTokenizer *tok = tiny_build (tiny_sentencepiece ("llama"));
  gint32 ids[] = { eng_tokenizer_get_bos (tok), eng_tokenizer_find (tok, "▁ab", 5),
                   eng_tokenizer_find (tok, "▁a", 4), eng_tokenizer_get_eos (tok) };
  static const char *const expected[] = { " ab a", "ab a", "<s> ab a</s>", "<s> ab a</s>" };
  for (unsigned flags = 0; flags < 4; flags++)
    {
      EngBuffer text = { 0 };
      g_assert_cmpint (eng_detokenize_bytes (tok, ids, 4, flags, &text), ==, ENG_OK);
      g_assert_cmpstr (text.data, ==, expected[flags]);
      eng_buffer_clear (&text);
    }
  EngDetokenizer detok;
  EngBuffer out = { 0 };
  eng_detokenizer_init (&detok, tok, 0);
  g_assert_cmpint (eng_detokenizer_push (&detok, -1, &out), ==, ENG_ERR_ARGUMENT);
  g_assert_cmpint (eng_detokenizer_push (&detok, 1 << 20, &out), ==, ENG_ERR_ARGUMENT);
  g_assert_cmpuint (out.n_bytes, ==, 0);
  eng_alloc_fail_at (1);
  g_assert_cmpint (eng_detokenizer_push (&detok, ids[1], &out), ==, ENG_ERR_NO_MEMORY);
  eng_alloc_fail_at (0);
  eng_buffer_clear (&out);
  eng_tokenizer_free (&tok);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/detokenizer/random-streams", test_random_streams);
  g_test_add_func ("/detokenizer/round-trips", test_tiny_round_trips);
  g_test_add_func ("/detokenizer/flags", test_flags);
  g_test_add_data_func ("/detokenizer/vocab/gpt-2", "gpt-2", test_vocab);
  g_test_add_data_func ("/detokenizer/vocab/qwen2", "qwen2", test_vocab);
  g_test_add_data_func ("/detokenizer/vocab/llama-spm", "llama-spm", test_vocab);
  g_test_add_data_func ("/detokenizer/vocab/bert-bge", "bert-bge", test_vocab);
  return g_test_run ();
}
