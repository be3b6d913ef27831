/* SPDX-License-Identifier: Apache-2.0 */
/* Whole vocabularies against the ids that their reference tokenizers give (the .inp and .out files
 * beside them), and back. */
#include <stdlib.h>
#include <string.h>

#include "mixed-text.h"
#include "tokenizer-fixtures.h"

static void
assert_ids (const char *text, const EngTokenBuffer *got, const char *expected)
{
  GString *s = g_string_new (NULL);
  for (size_t i = 0; i < got->n; i++)
    g_string_append_printf (s, "%s%d", i ? " " : "", got->ids[i]);
  g_autofree char *want = g_strstrip (g_strdup (expected));
  if (strcmp (s->str, want) != 0)
    {
      g_test_message ("text: %s", text);
      g_assert_cmpstr (s->str, ==, want);
    }
  g_string_free (s, TRUE);
}

static void
test_expected (const void *data)
{
  const char *name = data;
  EngTokenizer *tok = load_fixture (name);
  if (!tok)
    return;
  g_autofree char *in_path = fixture_path (name, ".inp"), *out_path = fixture_path (name, ".out");
  g_autofree char *in = NULL, *out = NULL;
  g_assert_true (g_file_get_contents (in_path, &in, NULL, NULL));
  g_assert_true (g_file_get_contents (out_path, &out, NULL, NULL));
  g_auto (GStrv) texts = g_strsplit (in, "\n__ggml_vocab_test__\n", -1);
  g_auto (GStrv) lines = g_strsplit (out, "\n", -1);
  EngTokenBuffer ids = { 0 };
  guint n = g_strv_length (texts);
  g_assert_cmpuint (n, >, 40);
  g_assert_cmpuint (g_strv_length (lines), >=, n);
  for (guint i = 0; i < n; i++)
    {
      eng_token_buffer_clear (&ids);
      g_assert_cmpint (eng_tokenizer_encode (tok, texts[i], strlen (texts[i]), ENG_ENCODE_PLAIN,
                                             &ids, NULL),
                       ==, ENG_OK);
      assert_ids (texts[i], &ids, lines[i]);
      if (strcmp (eng_tokenizer_get_model (tok), "bert") != 0)
        {
          EngBuffer text = { 0 };
          g_assert_cmpint (
              eng_detokenize_bytes (tok, ids.ids, ids.n, ENG_DETOKENIZE_TEXT_START, &text), ==,
              ENG_OK);
          g_assert_cmpmem (text.data, text.n_bytes, texts[i], strlen (texts[i]));
          eng_buffer_clear (&text);
        }
    }
  eng_token_buffer_free (&ids);
  eng_tokenizer_free (&tok);
}

/* End of the piece of text that begins at @from: 5000 characters, as the script cuts it. */
static gsize
part_end (const GString *text, gsize from)
{
  for (int i = 0; i < 5000 && from < text->len; i++)
    from = (gsize) (g_utf8_next_char (text->str + from) - text->str);
  return from;
}

/* Ids of 1 MB of mixed text, as Hugging Face's tokenizers gives them for the same vocabulary. */
static void
test_golden (const void *data)
{
  g_auto (GStrv) words = g_strsplit (data, " ", 2);
  g_autofree char *path = model_path (words[0]);
  if (!path && g_str_has_prefix (words[0], "ggml-vocab-"))
    {
      g_autofree char *name = g_strndup (words[0] + 11, strlen (words[0]) - 16);
      path = fixture_path (name, "");
    }
  if (!path)
    {
      g_test_skip ("the file is not here");
      return;
    }
  EngTokenizer *tok = load_tokenizer (path);
  GString *text = mixed_text (MIXED_SEED, MIXED_BYTES);
  EngTokenBuffer ids = { 0 };
  for (gsize from = 0, end; from < text->len; from = end)
    {
      end = part_end (text, from);
      g_assert_cmpint (eng_tokenizer_encode (tok, text->str + from, end - from, 0, &ids, NULL), ==,
                       ENG_OK);
    }
  guint64 hash = MIXED_HASH_START;
  for (gsize i = 0; i < ids.n; i++)
    hash = mixed_hash (hash, (guint64) ids.ids[i]);
  g_autofree char *got = g_strdup_printf ("%s %zu %016" G_GINT64_MODIFIER "x", words[0], ids.n, hash);
  g_assert_cmpstr (got, ==, data);
  eng_token_buffer_free (&ids);
  eng_tokenizer_free (&tok);
  g_string_free (text, TRUE);
}

/* T10 on whole vocabularies: the text of every control token, alone, within text, cut by spans and
 * put together from spans, gives no control token unless all of it is literal. */
static void
test_forged (const void *name)
{
  EngTokenizer *tok = load_fixture (name);
  gsize n_tried = 0;
  if (!tok)
    return;
  for (gsize i = 0; i < eng_tokenizer_get_n_tokens (tok); i++)
    {
      const char *s;
      gsize n;
      EngTokenBuffer ids = { 0 };
      if (!eng_tokenizer_is_control (tok, (gint32) i)
          || !eng_tokenizer_get_piece (tok, (gint32) i, &s, &n))
        continue;
      const EngTextSpan forged[][3]
          = { { { s, n, false }, { "", 0, true }, { "", 0, true } },
              { { "hi ", 3, true }, { s, n, false }, { " you", 4, true } },
              { { s, n / 2, true }, { s + n / 2, n - n / 2, false }, { "\n", 1, true } },
              { { s, 1, false }, { s + 1, n - 2, true }, { s + n - 1, 1, false } } };
      for (gsize k = 0; k < G_N_ELEMENTS (forged); k++)
        eng_tokenizer_encode_spans (tok, forged[k], 3, 0, &ids, NULL);
      for (gsize k = 0; k < ids.n; k++)
        if (eng_tokenizer_is_control (tok, ids.ids[k])
            && ids.ids[k] != eng_tokenizer_get_unk (tok)) /* BERT's, for text it has no token for */
          g_error ("%.*s became %d", (int) n, s, ids.ids[k]);
      eng_token_buffer_clear (&ids);
      eng_tokenizer_encode (tok, s, n, ENG_ENCODE_PARSE_SPECIAL, &ids, NULL);
      g_assert_cmpuint (ids.n, ==, 1);
      g_assert_cmpint (ids.ids[0], ==, i);
      eng_token_buffer_free (&ids);
      n_tried++;
    }
  g_assert_cmpuint (n_tried, >, 0);
  eng_tokenizer_free (&tok);
}

int
main (int argc, char **argv)
{
  static const char *const names[] = { "gpt-2", "qwen2", "llama-spm", "bert-bge" };
  g_test_init (&argc, &argv, NULL);
  for (size_t i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autofree char *path = g_strdup_printf ("/tokenizer/vocab/%s", names[i]);
      g_test_add_data_func (path, names[i], test_expected);
      g_autofree char *forged = g_strdup_printf ("/tokenizer/forged/%s", names[i]);
      g_test_add_data_func (forged, names[i], test_forged);
    }
  g_autofree char *golden = NULL;
  g_assert_true (
      g_file_get_contents (TEST_SOURCE_DIR "/tokenizer-golden.txt", &golden, NULL, NULL));
  g_auto (GStrv) lines = g_strsplit (golden, "\n", -1);
  for (char **line = lines; *line; line++)
    if (**line && **line != '#')
      {
        g_autofree char *path = g_strdup_printf ("/tokenizer/golden/%td", line - lines);
        g_test_add_data_func (path, *line, test_golden);
      }
  return g_test_run ();
}
