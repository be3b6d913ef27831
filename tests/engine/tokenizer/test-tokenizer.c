/* SPDX-License-Identifier: Apache-2.0 */
/* The tokenizer on small vocabularies: creation refuses what is wrong, each kind cuts as it should,
 * and plain text never becomes a control token. T1 to T10 are the cases of that name in the list of
 * malformed inputs. */
#include <math.h>

#include "eng-arena.h"
#include "mixed-text.h"
#include "tiny-vocab.h"

#define assert_encodes(tok, text, expected)                                                        \
  G_STMT_START                                                                                     \
  {                                                                                                \
    g_autofree char *got_ = tiny_encode (tok, text, strlen (text), ENG_ENCODE_PLAIN);              \
    g_assert_cmpstr (got_, ==, expected);                                                          \
  }                                                                                                \
  G_STMT_END

static void
test_bpe (void)
{
  EngTokenizer *tok = tiny_build (tiny_bpe ());
  assert_encodes (tok, "hello hello world", "hello| hello| wor|l|d");
  assert_encodes (tok, "hell", "hell");
  assert_encodes (tok, "aaaaaaa", "aaaa|aa|a");
  /* A token that no merge makes is not made either, once (merged) or again (remembered). */
  assert_encodes (tok, "start", "s|t|a|r|t");
  assert_encodes (tok, "start", "s|t|a|r|t");
  assert_encodes (tok, "", "");
  eng_tokenizer_free (&tok);
  TinyVocab *v = tiny_bpe ();
  v->spec.ignore_merges = true;
  tok = tiny_build (v);
  assert_encodes (tok, "start", "start");
  eng_tokenizer_free (&tok);
}

static void
test_spm (void)
{
  EngTokenizer *tok = tiny_build (tiny_sentencepiece ("llama"));
  assert_encodes (tok, "abc", " |abc");
  assert_encodes (tok, "炉é", " |炉|\xc3|\xa9");
  /* Characters that spell a byte token or a control token stay what they are (T10). */
  assert_encodes (tok, "<0x41>", " |<|0|x|4|1|>");
  assert_encodes (tok, "</s>", " |</|s>");
  g_autofree char *literal = tiny_encode (tok, "a</s>a", 6, ENG_ENCODE_PARSE_SPECIAL);
  g_assert_cmpstr (literal, ==, " a|</s>| a");
  g_autofree char *inner = tiny_encode (tok, "a", 1, ENG_ENCODE_CONTINUE);
  g_assert_cmpstr (inner, ==, "a");
  eng_tokenizer_free (&tok);
}

/* Best cut by trying all of them. */
static double
best_score (const EngTokenizer *tok, const char *text, gsize n)
{
  double best = -INFINITY;
  if (n == 0)
    return 0;
  for (gsize i = 0; i < eng_tokenizer_get_n_tokens (tok); i++)
    {
      const char *piece;
      gsize n_piece;
      eng_tokenizer_get_piece (tok, (gint32) i, &piece, &n_piece);
      if (!eng_tokenizer_is_control (tok, (gint32) i) && n_piece <= n
          && memcmp (piece, text, n_piece) == 0)
        best = MAX (best, (double) eng_tokenizer_get_score (tok, (gint32) i)
                              + best_score (tok, text + n_piece, n - n_piece));
    }
  return best;
}

static void
test_unigram (void)
{
  EngTokenizer *tok = tiny_build (tiny_sentencepiece ("t5"));
  MixedRandom r = { 7 };
  for (int round = 0; round < 300; round++)
    {
      char text[16] = " ";
      gsize n = 1 + mixed_next (&r, 10);
      for (gsize i = 1; i <= n; i++)
        text[i] = "abc </s>"[mixed_next (&r, 8)];
      if (text[1] == ' ')
        text[1] = 'a';
      EngTokenBuffer ids = { 0 };
      double sum = 0;
      eng_tokenizer_encode (tok, text + 1, n, ENG_ENCODE_PLAIN, &ids, NULL);
      for (gsize i = 0; i < ids.n; i++)
        sum += (double) eng_tokenizer_get_score (tok, ids.ids[i]);
      g_assert_cmpfloat_with_epsilon (sum, best_score (tok, text, n + 1), 1e-9);
      eng_token_buffer_free (&ids);
    }
  /* Neighbouring unknown characters are one unknown token. */
  assert_encodes (tok, "aéèc", " |a|<unk>|c");
  assert_encodes (tok, "</s>", " |</|s>");
  eng_tokenizer_free (&tok);
}

/* A character map that turns "A" into "bc", and hostile ones. */
static void
test_char_map (void)
{
  guint32 map[1 + 1024 + 2] = { 0 };
  TinyVocab *v = tiny_sentencepiece ("t5");
  map[0] = 4096;
  map[1 + 0] = 512u << 10;                     /* root: children at 512 ^ label */
  map[1 + (512 ^ 'A')] = 'A' | 0x100 | 1u << 10; /* has a value, at (512 ^ 'A') ^ 1 */
  map[1 + (512 ^ 'A' ^ 1)] = 0x80000000u | 1;
  memcpy (&map[1 + 1024], "\0bc", 4);
  v->spec.char_map = (const guint8 *) map;
  v->spec.n_char_map_bytes = 4 + 4096 + 4;
  EngTokenizer *tok;
  EngError error;
  g_assert_cmpint (eng_tokenizer_new (tiny_spec (v), &tok, &error), ==, ENG_OK);
  assert_encodes (tok, "aA", " |abc");
  eng_tokenizer_free (&tok);

  v->spec.n_char_map_bytes--; /* no NUL at the end */
  map[1 + 1024] = 0x01010101;
  g_assert_cmpint (eng_tokenizer_new (tiny_spec (v), &tok, &error), ==, ENG_ERR_FORMAT);
  v->spec.n_char_map_bytes = 3;
  g_assert_cmpint (eng_tokenizer_new (tiny_spec (v), &tok, &error), ==, ENG_ERR_FORMAT);
  g_assert_cmpstr (error.field, ==, "tokenizer.ggml.precompiled_charsmap");
  v->spec.n_char_map_bytes = sizeof map;
  MixedRandom r = { 5 };
  GString *text = mixed_text (3, 2000);
  for (int round = 0; round < 200; round++)
    { /* random arrays: whatever they say, encoding stays inside them */
      for (gsize i = 1; i < G_N_ELEMENTS (map); i++)
        map[i] = mixed_next (&r, 3) ? (guint32) "abA \xe7"[mixed_next (&r, 5)] | 0x100u
                                          | mixed_next (&r, 2000) << 10
                                    : mixed_next (&r, G_MAXINT32);
      map[0] = 4 * (1 + mixed_next (&r, 1024));
      map[G_N_ELEMENTS (map) - 1] = 0;
      if (eng_tokenizer_new (tiny_spec (v), &tok, &error) == ENG_OK)
        {
          g_autofree char *ignored = tiny_encode (tok, text->str, text->len, ENG_ENCODE_PLAIN);
          eng_tokenizer_free (&tok);
        }
    }
  g_string_free (text, TRUE);
  tiny_free (v);
}

static void
test_wordpiece (void)
{
  EngTokenizer *tok = tiny_build (tiny_wordpiece ());
  assert_encodes (tok, "Hello!a", " he|llo| !| a");
  assert_encodes (tok, "École\tE\u0301cole", " ecole| ecole");
  assert_encodes (tok, "炉炉$", " 炉| 炉| $");
  assert_encodes (tok, "he\u00adllo hex", " he|llo|[UNK]");
  assert_encodes (tok, "he\fllo\xc2\x85 a\xff\n!", " he|llo| a| !");
  assert_encodes (tok, "[CLS]", "[UNK]|[UNK]|[UNK]"); /* "[", "cls" and "]": not the token */
  g_autofree char *special = tiny_encode (tok, "[CLS]a", 6, ENG_ENCODE_PARSE_SPECIAL);
  g_assert_cmpstr (special, ==, "[CLS]| a");
  eng_tokenizer_free (&tok);
}

static void
assert_spans (const EngTokenizer *tok, const EngTextSpan *spans, gsize n, const char *expected)
{
  EngTokenBuffer ids = { 0 };
  GString *s = g_string_new (NULL);
  g_assert_cmpint (eng_tokenizer_encode_spans (tok, spans, n, 0, &ids, NULL), ==, ENG_OK);
  for (gsize i = 0; i < ids.n; i++)
    {
      const char *piece;
      gsize n_piece;
      eng_tokenizer_get_piece (tok, ids.ids[i], &piece, &n_piece);
      g_string_append_printf (s, "%s%.*s", i ? "|" : "", (int) n_piece, piece);
      if (eng_tokenizer_is_control (tok, ids.ids[i]))
        g_string_append_c (s, '!');
    }
  g_assert_cmpstr (s->str, ==, expected);
  g_string_free (s, TRUE);
  eng_token_buffer_free (&ids);
}

#define LITERAL(s) { s, sizeof s - 1, true }
#define INSERTED(s) { s, sizeof s - 1, false }

/* T10, and: text merges over the borders of spans as if there were none. */
static void
test_spans (void)
{
  EngTokenizer *tok = tiny_build (tiny_bpe ());
  const EngTextSpan chat[] = { LITERAL ("<|im_start|>"), INSERTED ("he"), LITERAL (""),
                               LITERAL ("llo w"), INSERTED ("or"), LITERAL ("<|im_end|>") };
  assert_spans (tok, chat, G_N_ELEMENTS (chat), "<|im_start|>!|hello| wor|<|im_end|>!");
  const EngTextSpan forged[] = { LITERAL ("a"), INSERTED ("<|im_end|>"), LITERAL ("a") };
  assert_spans (tok, forged, G_N_ELEMENTS (forged), "a|<|||im|_|e|n|d|||>|a");
  const EngTextSpan half[] = { LITERAL ("<|im_"), INSERTED ("end|>") };
  assert_spans (tok, half, G_N_ELEMENTS (half), "<|||im|_|e|n|d|||>");
  const EngTextSpan other_half[] = { INSERTED ("<|im_"), LITERAL ("end|>") };
  assert_spans (tok, other_half, G_N_ELEMENTS (other_half), "<|||im|_|e|n|d|||>");
  const EngTextSpan one_byte[] = { LITERAL ("<|im_en"), INSERTED ("d"), LITERAL ("|>") };
  assert_spans (tok, one_byte, G_N_ELEMENTS (one_byte), "<|||im|_|e|n|d|||>");
  const EngTextSpan composed[] = { LITERAL ("<|im_"), LITERAL ("end|>") };
  assert_spans (tok, composed, G_N_ELEMENTS (composed), "<|im_end|>!");
  const EngTextSpan empty_between[] = { LITERAL ("<|im_"), { NULL, 0, false }, LITERAL ("end|>") };
  assert_spans (tok, empty_between, G_N_ELEMENTS (empty_between), "<|im_end|>!");
  /* Added words are text: found anywhere, the longest first. */
  const EngTextSpan added[] = { INSERTED ("a<tool_"), LITERAL ("call>"), INSERTED ("xa") };
  assert_spans (tok, added, G_N_ELEMENTS (added), "a|<tool_call>x|a");
  assert_spans (tok, NULL, 0, "");
  eng_tokenizer_free (&tok);
}

/* Added or plain tokens that bear a turn marker's name count as control, as do merges into one. */
static void
test_wrong_types (void)
{
  TinyVocab *v = tiny_bpe ();
  gint32 user = tiny_add (v, "<|user|>", ENG_TOKEN_USER_DEFINED, 0);
  gint32 end = tiny_add (v, "<end_of_turn>", ENG_TOKEN_NORMAL, 0);
  gint32 secret = tiny_add (v, "hellohello", ENG_TOKEN_CONTROL, 0);
  tiny_merge (v, "hello hello");
  EngTokenizer *tok = tiny_build (v);
  assert_encodes (tok, "hellohello", "hello|hello");
  g_assert_true (eng_tokenizer_is_control (tok, user));
  g_assert_false (eng_tokenizer_is_end_of_generation (tok, user));
  g_assert_true (eng_tokenizer_is_control (tok, end));
  g_assert_true (eng_tokenizer_is_end_of_generation (tok, end));
  g_assert_true (eng_tokenizer_is_control (tok, secret));
  assert_encodes (tok, "<|user|>", "<|||u|s|e|r|||>");
  eng_tokenizer_free (&tok);
}

static void
test_ends (void)
{
  TinyVocab *v = tiny_bpe ();
  v->spec.eom = tiny_add (v, "<|strange|>", ENG_TOKEN_CONTROL, 0);
  gint32 extra = tiny_add (v, "<|more|>", ENG_TOKEN_CONTROL, 0);
  gint32 inner = tiny_add (v, "<|end|>", ENG_TOKEN_CONTROL, 0);
  v->spec.end_ids = &extra;
  v->spec.n_end_ids = 1;
  gint32 eom = v->spec.eom;
  EngTokenizer *tok = tiny_build (v);
  gsize n;
  eng_tokenizer_get_end_ids (tok, &n);
  g_assert_cmpuint (n, ==, 5); /* <|endoftext|>, <|im_end|>, the two named, <|end|> */
  g_assert_true (eng_tokenizer_is_end_of_generation (tok, eom));
  g_assert_true (eng_tokenizer_is_end_of_generation (tok, extra));
  g_assert_true (eng_tokenizer_is_end_of_generation (tok, inner));
  g_assert_false (eng_tokenizer_is_end_of_generation (tok, -1));
  g_assert_false (eng_tokenizer_is_end_of_generation (tok, G_MAXINT32));
  eng_tokenizer_free (&tok);
  v = tiny_bpe ();
  inner = tiny_add (v, "<|end|>", ENG_TOKEN_CONTROL, 0);
  tiny_add (v, "<|return|>", ENG_TOKEN_CONTROL, 0);
  tiny_add (v, "<|call|>", ENG_TOKEN_CONTROL, 0);
  tok = tiny_build (v);
  g_assert_false (eng_tokenizer_is_end_of_generation (tok, inner));
  eng_tokenizer_free (&tok);
  v = tiny_sentencepiece ("llama"); /* T6: no end at all loads */
  g_array_index (v->types, gint32, v->spec.eos) = ENG_TOKEN_NORMAL;
  v->spec.eos = ENG_TOKEN_NONE;
  tok = tiny_build (v);
  eng_tokenizer_get_end_ids (tok, &n);
  g_assert_cmpuint (n, ==, 0);
  eng_tokenizer_free (&tok);
}

static void
refuse (TinyVocab *v, EngStatus status, const char *field, const char *text)
{
  EngTokenizer *tok = (void *) 1;
  EngError error;
  g_assert_cmpint (eng_tokenizer_new (tiny_spec (v), &tok, &error), ==, status);
  g_assert_null (tok);
  g_assert_cmpint (error.code, ==, status);
  g_assert_cmpstr (error.field, ==, field);
  if (!strstr (error.text, text))
    g_error ("\"%s\" does not say \"%s\"", error.text, text);
  tiny_free (v);
}

static void
test_refused (void)
{
  refuse (tiny_new ("rwkv", NULL), ENG_ERR_UNSUPPORTED, "tokenizer.ggml.model", "rwkv");
  refuse (tiny_new (NULL, NULL), ENG_ERR_UNSUPPORTED, "tokenizer.ggml.model", "");
  refuse (tiny_new ("gpt2", "kimi-k2"), ENG_ERR_UNSUPPORTED, "tokenizer.ggml.pre", "kimi-k2");
  refuse (tiny_new ("gpt2", "gpt-2"), ENG_ERR_FORMAT, "tokenizer.ggml.tokens", "empty");
  TinyVocab *v = tiny_bpe (); /* T3 */
  g_autofree char *large = g_strnfill (ENG_TOKENIZER_MAX_TOKEN_BYTES + 1, 'x');
  tiny_add (v, large, ENG_TOKEN_NORMAL, 0);
  refuse (v, ENG_ERR_LIMIT, "tokenizer.ggml.tokens", "token 273");
  v = tiny_bpe (); /* T4 */
  tiny_merge (v, "he nope");
  refuse (v, ENG_ERR_FORMAT, "tokenizer.ggml.merges", "merge 11 names");
  v = tiny_bpe ();
  tiny_merge (v, "h h");
  refuse (v, ENG_ERR_FORMAT, "tokenizer.ggml.merges", "merge 11 makes");
  static const char *const shapeless[] = { "", " ", "a", "ab", " a", "a " };
  for (gsize i = 0; i < G_N_ELEMENTS (shapeless); i++)
    {
      v = tiny_bpe ();
      tiny_merge (v, shapeless[i]);
      refuse (v, ENG_ERR_FORMAT, "tokenizer.ggml.merges", "merge 11 is not");
    }
  static const gint32 bad_ids[] = { 273, -2, G_MAXINT32, G_MININT32 }; /* T5 */
  for (gsize i = 0; i < G_N_ELEMENTS (bad_ids); i++)
    {
      v = tiny_bpe ();
      v->spec.eos = bad_ids[i];
      refuse (v, ENG_ERR_FORMAT, "tokenizer.ggml.eos_token_id", "outside");
      v = tiny_bpe ();
      v->spec.end_ids = &bad_ids[i];
      v->spec.n_end_ids = 1;
      refuse (v, ENG_ERR_FORMAT, "end_ids", "outside");
    }
  v = tiny_sentencepiece ("llama");
  g_array_index (v->scores, float, 5) = NAN;
  refuse (v, ENG_ERR_FORMAT, "tokenizer.ggml.scores", "token 5");
  v = tiny_sentencepiece ("t5");
  tiny_spec (v)->scores = NULL;
  EngTokenizer *tok;
  EngError error;
  g_assert_cmpint (eng_tokenizer_new (&v->spec, &tok, &error), ==, ENG_ERR_FORMAT);
  g_assert_cmpstr (error.field, ==, "tokenizer.ggml.scores");
  tiny_free (v);
}

/* At the limit a token still works. T7: of equal tokens the first is used. */
static void
test_edges (void)
{
  TinyVocab *v = tiny_sentencepiece ("llama");
  g_autofree char *large = g_strnfill (ENG_TOKENIZER_MAX_TOKEN_BYTES, 'x');
  gint32 id = tiny_add (v, large, ENG_TOKEN_NORMAL, 0);
  gint32 twice = tiny_add (v, "ab", ENG_TOKEN_NORMAL, 100);
  tiny_add (v, "", ENG_TOKEN_NORMAL, 0);
  EngTokenizer *tok = tiny_build (v);
  g_assert_cmpint (eng_tokenizer_find (tok, large, strlen (large)), ==, id);
  g_assert_cmpint (eng_tokenizer_find (tok, "ab", 2), <, twice);
  g_assert_cmpint (eng_tokenizer_find (tok, "no such", 7), ==, ENG_TOKEN_NONE);
  g_assert_cmpint (eng_tokenizer_find (tok, "", 0), ==, ENG_TOKEN_NONE);
  eng_tokenizer_free (&tok);
  /* A vocabulary that does not cover the text: unknown if there is one, else counted. */
  v = tiny_new ("gpt2", "gpt-2");
  tiny_add (v, "a", ENG_TOKEN_NORMAL, 0);
  tok = tiny_build (v);
  EngTokenBuffer ids = { 0 };
  g_assert_cmpint (eng_tokenizer_encode (tok, "ababb", 5, 0, &ids, NULL), ==, ENG_OK);
  g_assert_cmpuint (ids.n, ==, 2);
  g_assert_cmpuint (ids.n_dropped_bytes, ==, 3);
  eng_token_buffer_free (&ids);
  eng_tokenizer_free (&tok);
  /* … but a control token that a file names as its unknown is not it (found in SmolLM 2). */
  v = tiny_new ("gpt2", "gpt-2");
  v->spec.unk = tiny_add (v, "<|endoftext|>", ENG_TOKEN_CONTROL, 0);
  tiny_add (v, "a", ENG_TOKEN_NORMAL, 0);
  tok = tiny_build (v);
  assert_encodes (tok, "aba", "a|a");
  eng_tokenizer_free (&tok);
}

/* Every allocation of creating and encoding fails once: an error, nothing lost, nothing changed. */
static void
test_no_memory (void)
{
  TinyVocab *vocabs[] = { tiny_bpe (), tiny_sentencepiece ("llama"), tiny_sentencepiece ("t5"),
                          tiny_wordpiece () };
  const EngTextSpan spans[] = { LITERAL ("<|im_start|>"), INSERTED ("hello abc 炉 ababab") };
  for (gsize k = 0; k < G_N_ELEMENTS (vocabs); k++)
    {
      EngTokenizerSpec *spec = tiny_spec (vocabs[k]);
      guint64 n = 0;
      for (bool failed = true; failed;)
        {
          EngTokenizer *tok = NULL;
          EngTokenBuffer ids = { 0 };
          EngError error;
          eng_alloc_fail_at (++n);
          EngStatus status = eng_tokenizer_new (spec, &tok, &error);
          if (!status)
            status = eng_tokenizer_encode_spans (tok, spans, 2, 0, &ids, &error);
          guint64 n_made = eng_alloc_fail_at (0);
          failed = n <= n_made;
          g_assert_cmpint (status, ==, failed ? ENG_ERR_NO_MEMORY : ENG_OK);
          if (failed)
            {
              g_assert_cmpint (error.code, ==, ENG_ERR_NO_MEMORY);
              g_assert_cmpuint (ids.n, ==, 0);
            }
          eng_token_buffer_free (&ids);
          eng_tokenizer_free (&tok);
        }
      g_assert_cmpuint (n, >, 5);
      tiny_free (vocabs[k]);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/tokenizer/bpe", test_bpe);
  g_test_add_func ("/tokenizer/spm", test_spm);
  g_test_add_func ("/tokenizer/unigram", test_unigram);
  g_test_add_func ("/tokenizer/char-map", test_char_map);
  g_test_add_func ("/tokenizer/wordpiece", test_wordpiece);
  g_test_add_func ("/tokenizer/spans", test_spans);
  g_test_add_func ("/tokenizer/wrong-types", test_wrong_types);
  g_test_add_func ("/tokenizer/ends", test_ends);
  g_test_add_func ("/tokenizer/refused", test_refused);
  g_test_add_func ("/tokenizer/edges", test_edges);
  g_test_add_func ("/tokenizer/no-memory", test_no_memory);
  return g_test_run ();
}
