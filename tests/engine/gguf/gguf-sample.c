/* SPDX-License-Identifier: Apache-2.0 */
#include "gguf-sample.h"

#include <glib/gstdio.h>
#include <string.h>

#include "eng-gguf-writer.h"

static void
set_metadata (EngGgufWriter *w)
{
  static const float scores[4] = { 0, -1, -2.5f, -3 };
  static const gint32 kinds[4] = { 1, 1, 3, 6 };
  static const guint8 flags[3] = { 1, 0, 1 };
  static const EngGgufString tokens[4] = { { "<s>", 3 }, { "", 0 }, { "hearth", 6 }, { "\xff", 1 } };
  EngGgufValue large = { .type = ENG_GGUF_U64, .u = G_MAXUINT64 - 1 };
  EngGgufValue negative = { .type = ENG_GGUF_I32, .i = -3 };
  EngError e;
  g_assert_cmpint (eng_gguf_writer_set_string (w, "general.architecture", "llama", &e), ==, 0);
  g_assert_cmpint (eng_gguf_writer_set_u32 (w, "general.alignment", 64, &e), ==, 0);
  g_assert_cmpint (eng_gguf_writer_set_bool (w, "test.flag", true, &e), ==, 0);
  g_assert_cmpint (eng_gguf_writer_set_value (w, (EngGgufString) { "test.large", 10 }, &large, &e),
                   ==, 0);
  g_assert_cmpint (eng_gguf_writer_set_f32 (w, "test.scale", 0.25f, &e), ==, 0);
  g_assert_cmpint (eng_gguf_writer_set_strings (w, "tokenizer.ggml.tokens", 4, tokens, &e), ==, 0);
  g_assert_cmpint (
      eng_gguf_writer_set_array (w, "tokenizer.ggml.scores", ENG_GGUF_F32, 4, scores, &e), ==, 0);
  g_assert_cmpint (
      eng_gguf_writer_set_array (w, "tokenizer.ggml.token_type", ENG_GGUF_I32, 4, kinds, &e), ==, 0);
  g_assert_cmpint (eng_gguf_writer_set_array (w, "test.flags", ENG_GGUF_BOOL, 3, flags, &e), ==, 0);
  g_assert_cmpint (
      eng_gguf_writer_set_value (w, (EngGgufString) { "test.negative", 13 }, &negative, &e), ==, 0);
}

void
sample_write (const char *path)
{
  static const struct
  {
    const char *name;
    EngType type;
    guint32 n_dims;
    guint64 dims[3], n_bytes;
  } tensors[SAMPLE_N_TENSORS] = {
    { "a.weight", ENG_TYPE_F32, 2, { 4, 3 }, 48 },
    { "b.weight", ENG_TYPE_Q8_0, 2, { 64, 2 }, 136 },
    { "c.weight", ENG_TYPE_Q4_K, 2, { 256, 2 }, 288 },
    { "d.weight", ENG_TYPE_F16, 3, { 8, 2, 2 }, 64 },
  };
  EngGgufWriter *w = NULL;
  EngError e = { 0 };
  g_assert_cmpint (eng_gguf_writer_new (path, &w, &e), ==, ENG_OK);
  set_metadata (w);
  for (guint i = 0; i < SAMPLE_N_TENSORS; i++)
    g_assert_cmpint (eng_gguf_writer_add_tensor (w, tensors[i].name, tensors[i].type,
                                                 tensors[i].n_dims, tensors[i].dims, NULL, &e),
                     ==, ENG_OK);
  g_assert_cmpint (eng_gguf_writer_begin (w, NULL, &e), ==, ENG_OK);
  for (guint i = SAMPLE_N_TENSORS; i-- > 0;)
    for (guint64 at = 0; at < tensors[i].n_bytes; at++)
      {
        guint8 byte = (guint8) (i * 64 + at % 61);
        g_assert_cmpint (eng_gguf_writer_write (w, i, at, &byte, 1, &e), ==, ENG_OK);
      }
  g_assert_cmpint (eng_gguf_writer_finish (w, &e), ==, ENG_OK);
  eng_gguf_writer_free (&w);
}

guint64
sample_get_u64 (const Sample *sample, gsize at)
{
  guint64 v;
  g_assert_cmpuint (at + 8, <=, sample->bytes->len);
  memcpy (&v, sample->bytes->data + at, 8);
  return v;
}

static guint32
get_u32 (const Sample *sample, gsize at)
{
  return (guint32) sample_get_u64 (sample, at);
}

static gsize
skip_value (const Sample *s, guint32 type, gsize at)
{
  static const gsize sizes[] = { 1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8 };
  if (type == 8)
    return at + 8 + sample_get_u64 (s, at);
  if (type != 9)
    return at + sizes[type];
  guint32 element = get_u32 (s, at);
  guint64 n = sample_get_u64 (s, at + 4);
  at += 12;
  for (guint64 i = 0; i < n; i++)
    at = skip_value (s, element, at);
  return at;
}

static void
walk (Sample *s)
{
  gsize at = 24;
  g_assert_cmpuint (sample_get_u64 (s, 8), ==, SAMPLE_N_TENSORS);
  g_assert_cmpuint (sample_get_u64 (s, 16), ==, SAMPLE_N_KEYS);
  for (guint i = 0; i < SAMPLE_N_KEYS; i++)
    {
      SampleKv *kv = &s->kvs[i];
      kv->key_length = at;
      kv->key = at + 8;
      kv->type = kv->key + sample_get_u64 (s, at);
      kv->value = kv->type + 4;
      at = skip_value (s, get_u32 (s, kv->type), kv->value);
    }
  for (guint i = 0; i < SAMPLE_N_TENSORS; i++)
    {
      SampleTensor *t = &s->tensors[i];
      t->name_length = at;
      t->name = at + 8;
      t->n_dims = t->name + sample_get_u64 (s, at);
      t->dims = t->n_dims + 4;
      t->type = t->dims + 8 * get_u32 (s, t->n_dims);
      t->offset = t->type + 4;
      at = t->offset + 8;
    }
  s->header_end = at;
  s->data_start = (at + 63) / 64 * 64;
}

Sample *
sample_new (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *folder = g_dir_make_tmp ("inglenook-gguf-XXXXXX", &error);
  g_assert_no_error (error);
  g_autofree char *path = g_build_filename (folder, "sample.gguf", NULL);
  Sample *s = g_new0 (Sample, 1);
  char *data;
  gsize n;
  sample_write (path);
  g_file_get_contents (path, &data, &n, &error);
  g_assert_no_error (error);
  s->bytes = g_byte_array_new_take ((guint8 *) data, n);
  walk (s);
  g_unlink (path);
  g_rmdir (folder);
  g_assert_false (g_file_test (folder, G_FILE_TEST_EXISTS));
  return s;
}

void
sample_free (Sample *sample)
{
  g_byte_array_unref (sample->bytes);
  g_free (sample);
}

void
sample_put (Sample *sample, gsize at, guint64 value, gsize n_bytes)
{
  g_assert_cmpuint (at + n_bytes, <=, sample->bytes->len);
  memcpy (sample->bytes->data + at, &value, n_bytes);
}

void
sample_splice (Sample *sample, gsize at, gsize n_old, const void *bytes, gsize n_new)
{
  GByteArray *out = g_byte_array_new ();
  g_byte_array_append (out, sample->bytes->data, (guint) at);
  g_byte_array_append (out, bytes, (guint) n_new);
  g_byte_array_append (out, sample->bytes->data + at + n_old,
                       (guint) (sample->bytes->len - at - n_old));
  g_byte_array_unref (sample->bytes);
  sample->bytes = out;
}
