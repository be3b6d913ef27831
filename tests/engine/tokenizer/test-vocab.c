/* SPDX-License-Identifier: Apache-2.0 */
/* Whole vocabularies against the ids that their reference tokenizers give (the .inp and .out files
 * beside them), and back. */
#include <stdlib.h>
#include <string.h>

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

int
main (int argc, char **argv)
{
  static const char *const names[] = { "gpt-2", "qwen2", "llama-spm", "bert-bge" };
  g_test_init (&argc, &argv, NULL);
  for (size_t i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autofree char *path = g_strdup_printf ("/tokenizer/vocab/%s", names[i]);
      g_test_add_data_func (path, names[i], test_expected);
    }
  return g_test_run ();
}
