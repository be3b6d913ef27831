/* SPDX-License-Identifier: Apache-2.0 */
/* Tokenizers from files: wrong types, lengths and ids in the metadata are refused by key (T1 to T5),
 * what files leave out is filled in. The files are written here, in memory. */
#include <string.h>

#include "eng-detokenizer.h"
#include "eng-tokenizer-gguf.h"

#include <glib.h>

typedef struct
{
  GByteArray *keys;
  guint64 n_keys;
} File;

static void
put (File *f, const void *bytes, gsize n)
{
  g_byte_array_append (f->keys, bytes, (guint) n);
}

static void
put_u64 (File *f, guint64 v)
{
  v = GUINT64_TO_LE (v);
  put (f, &v, 8);
}

static void
put_u32 (File *f, guint32 v)
{
  v = GUINT32_TO_LE (v);
  put (f, &v, 4);
}

static void
put_string (File *f, const char *s)
{
  put_u64 (f, strlen (s));
  put (f, s, strlen (s));
}

static void
key (File *f, const char *name, EngGgufType type)
{
  f->n_keys++;
  put_string (f, name);
  put_u32 (f, type);
}

static void
key_string (File *f, const char *name, const char *value)
{
  key (f, name, ENG_GGUF_STRING);
  put_string (f, value);
}

static void
key_u32 (File *f, const char *name, guint32 value)
{
  key (f, name, ENG_GGUF_U32);
  put_u32 (f, value);
}

static void
key_strings (File *f, const char *name, const char *const *values)
{
  guint n = g_strv_length ((char **) values);
  key (f, name, ENG_GGUF_ARRAY);
  put_u32 (f, ENG_GGUF_STRING);
  put_u64 (f, n);
  for (guint i = 0; i < n; i++)
    put_string (f, values[i]);
}

/* @n elements of @type with the value of their index plus one. */
static void
key_array (File *f, const char *name, EngGgufType type, guint64 n)
{
  key (f, name, ENG_GGUF_ARRAY);
  put_u32 (f, type);
  put_u64 (f, n);
  for (guint64 i = 0; i < n; i++)
    {
      float value = (float) (i + 1);
      if (type == ENG_GGUF_F32)
        put (f, &value, 4);
      else if (type == ENG_GGUF_I32 || type == ENG_GGUF_U32)
        put_u32 (f, 1);
      else
        put (f, "\1", 1);
    }
}

static File
new_file (const char *model)
{
  File f = { g_byte_array_new (), 0 };
  if (model)
    key_string (&f, "tokenizer.ggml.model", model);
  return f;
}

static EngStatus
load (File *f, EngTokenizer **tok, EngError *error)
{
  GByteArray *file = g_byte_array_new ();
  guint32 version = GUINT32_TO_LE (3);
  guint64 n_tensors = 0, n_keys = GUINT64_TO_LE (f->n_keys);
  g_byte_array_append (file, (const guint8 *) "GGUF", 4);
  g_byte_array_append (file, (const guint8 *) &version, 4);
  g_byte_array_append (file, (const guint8 *) &n_tensors, 8);
  g_byte_array_append (file, (const guint8 *) &n_keys, 8);
  g_byte_array_append (file, f->keys->data, f->keys->len);
  EngGguf *gguf = NULL;
  if (eng_gguf_open_memory (file->data, file->len, &gguf, error))
    g_error ("the file of the test itself: %s (%s)", error->text, error->field);
  EngStatus status = eng_tokenizer_from_gguf (gguf, tok, error);
  eng_gguf_close (&gguf);
  g_byte_array_unref (file);
  g_byte_array_unref (f->keys);
  return status;
}

static void
refuse (File f, EngStatus status, const char *field)
{
  EngTokenizer *tok = NULL;
  EngError error;
  g_assert_cmpint (load (&f, &tok, &error), ==, status);
  g_assert_null (tok);
  g_assert_cmpstr (error.field, ==, field);
  g_assert_cmpint (error.code, ==, status);
}

static const char *const words[] = { "<unk>", "<s>", "</s>", "▁a", NULL };
static const char *const letters[] = { "a", "b", "ab", NULL };
static const char *const merges[] = { "a b", NULL };

static void
test_refused (void)
{
  refuse (new_file (NULL), ENG_ERR_NOT_FOUND, "tokenizer.ggml.model");
  refuse (new_file ("llama"), ENG_ERR_NOT_FOUND, "tokenizer.ggml.tokens");
  File f = new_file (NULL);
  key_u32 (&f, "tokenizer.ggml.model", 3);
  refuse (f, ENG_ERR_FORMAT, "tokenizer.ggml.model");
  f = new_file ("llama");
  key_array (&f, "tokenizer.ggml.tokens", ENG_GGUF_I32, 4);
  refuse (f, ENG_ERR_FORMAT, "tokenizer.ggml.tokens");
  f = new_file ("llama");
  key_array (&f, "tokenizer.ggml.tokens", ENG_GGUF_STRING, 0);
  refuse (f, ENG_ERR_FORMAT, "tokenizer.ggml.tokens");
  /* T1: one-byte arrays where four-byte ones belong; T2: counts that disagree. */
  const struct
  {
    const char *name;
    EngGgufType type;
    guint64 n;
  } arrays[] = {
    { "tokenizer.ggml.scores", ENG_GGUF_U8, 4 },  { "tokenizer.ggml.scores", ENG_GGUF_F32, 3 },
    { "tokenizer.ggml.scores", ENG_GGUF_F32, 5 }, { "tokenizer.ggml.token_type", ENG_GGUF_U8, 4 },
    { "tokenizer.ggml.token_type", ENG_GGUF_I32, 3 }, { "tokenizer.ggml.token_type", ENG_GGUF_F32, 4 },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (arrays); i++)
    {
      f = new_file ("llama");
      key_strings (&f, "tokenizer.ggml.tokens", words);
      key_array (&f, arrays[i].name, arrays[i].type, arrays[i].n);
      refuse (f, ENG_ERR_FORMAT, arrays[i].name);
    }
  f = new_file ("llama");
  key_strings (&f, "tokenizer.ggml.tokens", words);
  refuse (f, ENG_ERR_FORMAT, "tokenizer.ggml.scores");
}

static File
new_bpe (const char *pre)
{
  File f = new_file ("gpt2");
  if (pre)
    key_string (&f, "tokenizer.ggml.pre", pre);
  key_strings (&f, "tokenizer.ggml.tokens", letters);
  return f;
}

static void
test_refused_bpe (void)
{
  refuse (new_bpe ("gpt-2"), ENG_ERR_FORMAT, "tokenizer.ggml.merges");
  File f = new_bpe ("no-such-cut");
  key_strings (&f, "tokenizer.ggml.merges", merges);
  refuse (f, ENG_ERR_UNSUPPORTED, "tokenizer.ggml.pre");
  f = new_bpe ("gpt-2");
  key_array (&f, "tokenizer.ggml.merges", ENG_GGUF_I32, 1);
  refuse (f, ENG_ERR_FORMAT, "tokenizer.ggml.merges");
  f = new_bpe ("gpt-2"); /* T4 */
  key_strings (&f, "tokenizer.ggml.merges", (const char *const[]) { "a b", "b b", NULL });
  refuse (f, ENG_ERR_FORMAT, "tokenizer.ggml.merges");
  static const char *const ids[] = { "bos", "eos", "eot", "eom", "unknown", "seperator", "padding" };
  for (gsize i = 0; i < G_N_ELEMENTS (ids); i++)
    for (guint32 bad = 3; bad <= G_MAXINT32; bad += G_MAXINT32 - 3) /* T5 */
      {
        g_autofree char *name = g_strdup_printf ("tokenizer.ggml.%s_token_id", ids[i]);
        f = new_bpe ("gpt-2");
        key_strings (&f, "tokenizer.ggml.merges", merges);
        key_u32 (&f, name, bad);
        refuse (f, ENG_ERR_FORMAT, name);
      }
  f = new_bpe ("gpt-2");
  key_strings (&f, "tokenizer.ggml.merges", merges);
  key_u32 (&f, "tokenizer.ggml.add_bos_token", 1);
  refuse (f, ENG_ERR_FORMAT, "tokenizer.ggml.add_bos_token");
  f = new_bpe ("gpt-2");
  key_u32 (&f, "tokenizer.ggml.precompiled_charsmap", 1);
  key_strings (&f, "tokenizer.ggml.merges", merges);
  refuse (f, ENG_ERR_FORMAT, "tokenizer.ggml.precompiled_charsmap");
}

static void
test_filled_in (void)
{
  EngTokenizer *tok = NULL;
  EngError error;
  File f = new_file ("llama");
  key_strings (&f, "tokenizer.ggml.tokens", words);
  key_array (&f, "tokenizer.ggml.scores", ENG_GGUF_F32, 4);
  key_u32 (&f, "tokenizer.ggml.padding_token_id", G_MAXUINT32); /* how some files write "none" */
  g_assert_cmpint (load (&f, &tok, &error), ==, ENG_OK);
  g_assert_cmpint (eng_tokenizer_get_unk (tok), ==, 0);
  g_assert_cmpint (eng_tokenizer_get_bos (tok), ==, 1);
  g_assert_cmpint (eng_tokenizer_get_eos (tok), ==, 2);
  g_assert_cmpint (eng_tokenizer_get_pad (tok), ==, ENG_TOKEN_NONE);
  g_assert_true (eng_tokenizer_get_add_bos (tok));
  g_assert_true (eng_tokenizer_is_end_of_generation (tok, 2));
  eng_tokenizer_free (&tok);
  f = new_bpe (NULL); /* no pre-tokenizer named: the default, with a warning in the log */
  key_strings (&f, "tokenizer.ggml.merges", merges);
  g_assert_cmpint (load (&f, &tok, &error), ==, ENG_OK);
  g_assert_cmpstr (eng_tokenizer_get_model (tok), ==, "gpt2");
  g_assert_false (eng_tokenizer_get_add_bos (tok));
  eng_tokenizer_free (&tok);
}

/* Phi 3's special tokens swallow the white space behind them; only its files say so, by name. */
static void
test_phi3 (void)
{
  static const char *const tokens[] = { "<unk>", "<s>", "</s>", "<|end|>", "▁a", "a", "▁", "\n", NULL };
  static const gint32 types[] = { 2, 3, 3, 3, 1, 1, 1, 1 };
  for (int phi = 0; phi < 2; phi++)
    {
      EngTokenizer *tok = NULL;
      EngError error;
      EngTokenBuffer ids = { 0 };
      File f = new_file ("llama");
      key_string (&f, "general.name", phi ? "My Phi-3 Mini" : "Other");
      key_strings (&f, "tokenizer.ggml.tokens", tokens);
      key_array (&f, "tokenizer.ggml.scores", ENG_GGUF_F32, 8);
      key (&f, "tokenizer.ggml.token_type", ENG_GGUF_ARRAY);
      put_u32 (&f, ENG_GGUF_I32);
      put_u64 (&f, G_N_ELEMENTS (types));
      put (&f, types, sizeof types);
      g_assert_cmpint (load (&f, &tok, &error), ==, ENG_OK);
      eng_tokenizer_encode (tok, "a<|end|>\na", 10, ENG_ENCODE_PARSE_SPECIAL, &ids, NULL);
      g_assert_cmpuint (ids.n, ==, phi ? 3 : 5); /* ▁a <|end|> ▁a, else ▁a <|end|> ▁ \n a */
      eng_token_buffer_free (&ids);
      eng_tokenizer_free (&tok);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/tokenizer/gguf/refused", test_refused);
  g_test_add_func ("/tokenizer/gguf/refused-bpe", test_refused_bpe);
  g_test_add_func ("/tokenizer/gguf/filled-in", test_filled_in);
  g_test_add_func ("/tokenizer/gguf/phi3", test_phi3);
  return g_test_run ();
}
