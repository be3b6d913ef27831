/* SPDX-License-Identifier: Apache-2.0 */
/* What the writer writes, the reader reads; getters check types and ranges; writer's own errors. */
#include <glib.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <utime.h>

#include "eng-arena.h"
#include "eng-gguf-writer.h"
#include "gguf-sample.h"

typedef struct
{
  char *folder, *path;
  EngGguf *gguf;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  EngError e;
  f->folder = g_dir_make_tmp ("inglenook-gguf-XXXXXX", NULL);
  f->path = g_build_filename (f->folder, "sample.gguf", NULL);
  sample_write (f->path);
  g_assert_cmpint (eng_gguf_open (f->path, GPOINTER_TO_INT (data), &f->gguf, &e), ==, ENG_OK);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  eng_gguf_close (&f->gguf);
  g_assert_null (f->gguf);
  g_unlink (f->path);
  g_assert_cmpint (g_rmdir (f->folder), ==, 0);
  g_free (f->folder);
  g_free (f->path);
}

static void
test_metadata (Fixture *f, gconstpointer data)
{
  EngError e;
  guint32 u = 0;
  guint64 large = 0;
  gint64 i = 0;
  float x = 0;
  bool b = false;
  EngGgufString s;
  g_assert_cmpuint (eng_gguf_get_version (f->gguf), ==, 3);
  g_assert_cmpuint (eng_gguf_get_n_keys (f->gguf), ==, SAMPLE_N_KEYS);
  g_assert_cmpint (eng_gguf_get_string (f->gguf, "general.architecture", &s, &e), ==, ENG_OK);
  g_assert_true (eng_gguf_string_equal (s, "llama"));
  g_assert_false (eng_gguf_string_equal (s, "llam"));
  g_assert_cmpint (eng_gguf_get_u32 (f->gguf, "general.alignment", &u, &e), ==, ENG_OK);
  g_assert_cmpuint (u, ==, 64);
  g_assert_cmpint (eng_gguf_get_u64 (f->gguf, "test.large", &large, &e), ==, ENG_OK);
  g_assert_cmpuint (large, ==, G_MAXUINT64 - 1);
  g_assert_cmpint (eng_gguf_get_i64 (f->gguf, "test.negative", &i, &e), ==, ENG_OK);
  g_assert_cmpint (i, ==, -3);
  g_assert_cmpint (eng_gguf_get_f32 (f->gguf, "test.scale", &x, &e), ==, ENG_OK);
  g_assert_cmpfloat (x, ==, 0.25f);
  g_assert_cmpint (eng_gguf_get_bool (f->gguf, "test.flag", &b, &e), ==, ENG_OK);
  g_assert_true (b);
}

static void
test_getter_errors (Fixture *f, gconstpointer data)
{
  EngError e;
  guint32 u = 77;
  gint64 i = 77;
  float x = 77;
  bool b = true;
  EngGgufString s;
  EngGgufArray a;
  g_assert_cmpint (eng_gguf_get_u32 (f->gguf, "absent", &u, &e), ==, ENG_ERR_NOT_FOUND);
  g_assert_cmpstr (e.field, ==, "absent");
  g_assert_cmpint (eng_gguf_get_u32 (f->gguf, "test.large", &u, &e), ==, ENG_ERR_FORMAT);
  g_assert_nonnull (strstr (e.text, "18446744073709551614"));
  g_assert_cmpuint (e.offset, !=, ENG_OFFSET_NONE);
  g_assert_cmpint (eng_gguf_get_u32 (f->gguf, "test.negative", &u, &e), ==, ENG_ERR_FORMAT);
  g_assert_nonnull (strstr (e.text, "-3"));
  g_assert_cmpint (eng_gguf_get_i64 (f->gguf, "test.large", &i, &e), ==, ENG_ERR_FORMAT);
  g_assert_cmpint (eng_gguf_get_u32 (f->gguf, "test.scale", &u, &e), ==, ENG_ERR_FORMAT);
  g_assert_cmpint (eng_gguf_get_u32 (f->gguf, "test.flag", &u, &e), ==, ENG_ERR_FORMAT);
  g_assert_cmpint (eng_gguf_get_f32 (f->gguf, "general.alignment", &x, &e), ==, ENG_ERR_FORMAT);
  g_assert_cmpint (eng_gguf_get_bool (f->gguf, "general.alignment", &b, &e), ==, ENG_ERR_FORMAT);
  g_assert_cmpint (eng_gguf_get_string (f->gguf, "tokenizer.ggml.tokens", &s, &e), ==,
                   ENG_ERR_FORMAT);
  g_assert_nonnull (strstr (e.text, "array of string"));
  g_assert_cmpint (eng_gguf_get_array (f->gguf, "tokenizer.ggml.scores", ENG_GGUF_U8, &a, &e), ==,
                   ENG_ERR_FORMAT);
  g_assert_cmpint (eng_gguf_get_u32_in (f->gguf, "general.alignment", 1, 32, &u, &e), ==,
                   ENG_ERR_FORMAT);
  g_assert_nonnull (strstr (e.text, "64, outside 1 to 32"));
  g_assert_cmpint (eng_gguf_get_f32_or (f->gguf, "test.scale", 1, 0.5f, 2, &x, &e), ==,
                   ENG_ERR_FORMAT);
  g_assert_nonnull (strstr (e.text, "0.25, outside 0.5 to 2"));
  g_assert_cmpuint (u, ==, 77);
  g_assert_cmpint (i, ==, 77);
  g_assert_cmpfloat (x, ==, 77);
  g_assert_cmpint (eng_gguf_get_u32_or (f->gguf, "absent", 5, 0, 1, &u, &e), ==, ENG_OK);
  g_assert_cmpuint (u, ==, 5);
  g_assert_cmpint (eng_gguf_get_bool_or (f->gguf, "absent", false, &b, &e), ==, ENG_OK);
  g_assert_false (b);
}

static void
test_arrays (Fixture *f, gconstpointer data)
{
  EngError e;
  EngGgufArray a;
  EngGgufString s;
  float x;
  gint64 i;
  static const char *const tokens[] = { "<s>", "", "hearth", "\xff" };
  g_assert_cmpint (eng_gguf_get_array (f->gguf, "tokenizer.ggml.tokens", ENG_GGUF_STRING, &a, &e),
                   ==, ENG_OK);
  EngGgufStrings it = eng_gguf_array_get_strings (&a);
  for (guint k = 0; k < 4; k++)
    {
      g_assert_true (eng_gguf_strings_next (&it, &s));
      g_assert_true (eng_gguf_string_equal (s, tokens[k]));
    }
  g_assert_false (eng_gguf_strings_next (&it, &s));
  /* A length that grew under the mapping ends the walk. */
  it = eng_gguf_array_get_strings (&a);
  it.end = it.at + 9;
  g_assert_false (eng_gguf_strings_next (&it, &s));
  g_assert_cmpint (eng_gguf_get_array (f->gguf, "tokenizer.ggml.scores", ENG_GGUF_F32, &a, &e), ==,
                   ENG_OK);
  g_assert_true (eng_gguf_array_get_f32 (&a, 2, &x));
  g_assert_cmpfloat (x, ==, -2.5f);
  g_assert_false (eng_gguf_array_get_f32 (&a, 4, &x));
  g_assert_false (eng_gguf_array_get_i64 (&a, 0, &i));
  g_assert_cmpint (eng_gguf_get_array (f->gguf, "tokenizer.ggml.token_type", ENG_GGUF_I32, &a, &e),
                   ==, ENG_OK);
  g_assert_true (eng_gguf_array_get_i64 (&a, 3, &i));
  g_assert_cmpint (i, ==, 6);
}

static void
test_tensors (Fixture *f, gconstpointer data)
{
  EngError e;
  g_assert_cmpuint (eng_gguf_get_n_tensors (f->gguf), ==, 4);
  g_assert_null (eng_gguf_find_tensor (f->gguf, "e.weight"));
  g_assert_cmpuint (eng_gguf_get_tensor_bytes (f->gguf), ==, 48 + 136 + 288 + 64);
  for (guint i = 0; i < 4; i++)
    {
      const EngGgufTensor *t = eng_gguf_get_tensor (f->gguf, i);
      g_assert_true (eng_gguf_find_tensor (f->gguf, t->name) == t);
      g_assert_cmpuint (eng_gguf_get_tensor_index (f->gguf, t), ==, i);
      g_assert_cmpuint ((guintptr) t->data % 64, ==, 0);
      for (guint64 at = 0; at < t->n_bytes; at++)
        g_assert_cmpuint (((const guint8 *) t->data)[at], ==, (guint8) (i * 64 + at % 61));
    }
  const EngGgufTensor *d = eng_gguf_find_tensor (f->gguf, "d.weight");
  g_assert_cmpuint (d->n_rows, ==, 4);
  g_assert_cmpuint (d->row_bytes, ==, 16);
  g_assert_cmpint (eng_gguf_check_shape (d, 8, 2, 2, &e), ==, ENG_OK);
  g_assert_cmpint (eng_gguf_check_shape (d, 8, 2, 1, &e), ==, ENG_ERR_FORMAT);
  g_assert_cmpstr (e.field, ==, "d.weight");
  g_assert_nonnull (strstr (e.text, "8 x 2 x 2 x 1"));
  g_assert_nonnull (strstr (e.text, "8 x 2 x 1"));
}

static void
test_changed (Fixture *f, gconstpointer data)
{
  g_assert_true (eng_gguf_is_unchanged (f->gguf));
  g_assert_cmpint (g_utime (f->path, &(struct utimbuf) { 1, 1 }), ==, 0);
  g_assert_false (eng_gguf_is_unchanged (f->gguf));
}

/* Copying every entry gives the same metadata, bytes of it included. */
static void
test_copy (Fixture *f, gconstpointer data)
{
  g_autofree char *path = g_build_filename (f->folder, "copy.gguf", NULL);
  EngGgufWriter *w;
  EngGguf *copy;
  EngError e;
  g_assert_cmpint (eng_gguf_writer_new (path, &w, &e), ==, ENG_OK);
  for (guint64 i = 0; i < eng_gguf_get_n_keys (f->gguf); i++)
    {
      EngGgufString key;
      EngGgufValue value;
      eng_gguf_get_entry (f->gguf, i, &key, &value);
      g_assert_cmpint (eng_gguf_writer_set_value (w, key, &value, &e), ==, ENG_OK);
    }
  g_assert_cmpint (eng_gguf_writer_set_u32 (w, "gone", 1, &e), ==, ENG_OK);
  eng_gguf_writer_remove (w, "gone");
  eng_gguf_writer_remove (w, "never.there");
  g_assert_cmpint (eng_gguf_writer_begin (w, NULL, &e), ==, ENG_OK);
  g_assert_cmpint (eng_gguf_writer_finish (w, &e), ==, ENG_OK);
  eng_gguf_writer_free (&w);
  g_assert_cmpint (eng_gguf_open (path, ENG_GGUF_MAP, &copy, &e), ==, ENG_OK);
  g_autoptr (Sample) sample = sample_new ();
  g_autofree char *bytes = NULL;
  gsize n;
  g_assert_true (g_file_get_contents (path, &bytes, &n, NULL));
  g_assert_cmpmem (bytes + 16, sample->tensors[0].name_length - 16, sample->bytes->data + 16,
                   sample->tensors[0].name_length - 16);
  eng_gguf_close (&copy);
  g_unlink (path);
}

static void
test_writer_errors (void)
{
  g_autofree char *folder = g_dir_make_tmp ("inglenook-gguf-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "x.gguf", NULL);
  g_autofree char *nowhere = g_build_filename (folder, "absent", "x.gguf", NULL);
  const guint64 odd[2] = { 33, 2 }, good[2] = { 32, 2 };
  char block[68] = { 0 };
  EngGgufWriter *w;
  EngError e;
  g_assert_cmpint (eng_gguf_writer_new (nowhere, &w, &e), ==, ENG_ERR_NOT_FOUND);
  g_assert_null (w);
  g_assert_cmpint (eng_gguf_writer_new (path, &w, &e), ==, ENG_OK);
  g_assert_cmpint (eng_gguf_writer_add_tensor (w, "t", ENG_TYPE_Q8_0, 2, odd, NULL, &e), ==,
                   ENG_ERR_ARGUMENT);
  g_assert_cmpint (eng_gguf_writer_add_tensor (w, "", ENG_TYPE_Q8_0, 2, good, NULL, &e), ==,
                   ENG_ERR_ARGUMENT);
  g_assert_cmpint (eng_gguf_writer_finish (w, &e), ==, ENG_ERR_ARGUMENT);
  g_assert_cmpint (eng_gguf_writer_add_tensor (w, "t", ENG_TYPE_Q8_0, 2, good, NULL, &e), ==, 0);
  g_assert_cmpint (eng_gguf_writer_begin (w, NULL, &e), ==, ENG_OK);
  g_assert_cmpint (eng_gguf_writer_set_u32 (w, "late", 1, &e), ==, ENG_ERR_ARGUMENT);
  g_assert_cmpint (eng_gguf_writer_write (w, 0, 1, block, 68, &e), ==, ENG_ERR_ARGUMENT);
  g_assert_cmpint (eng_gguf_writer_write (w, 1, 0, block, 1, &e), ==, ENG_ERR_ARGUMENT);
  g_assert_cmpint (eng_gguf_writer_write (w, 0, 0, block, 67, &e), ==, ENG_OK);
  g_assert_cmpint (eng_gguf_writer_finish (w, &e), ==, ENG_ERR_ARGUMENT);
  g_assert_cmpstr (e.field, ==, "t");
  eng_gguf_writer_free (&w);
  /* Nothing is left of it. */
  g_assert_cmpint (g_rmdir (folder), ==, 0);
}

/* Begun again after a file that is thrown away; a value of the same length set when all is written. */
static void
test_writer_again (void)
{
  g_autofree char *folder = g_dir_make_tmp ("inglenook-gguf-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "x.gguf", NULL);
  const guint64 dims[1] = { 4 };
  const float x[4] = { 1, 2, 3, 4 };
  EngGgufWriter *w;
  EngGguf *file;
  EngError e;
  uint32_t value = 0;
  g_assert_cmpint (eng_gguf_writer_new (path, &w, &e), ==, ENG_OK);
  g_assert_cmpint (eng_gguf_writer_set_u32 (w, "later", 1, &e), ==, ENG_OK);
  for (int i = 0; i < 2; i++)
    {
      g_assert_cmpint (eng_gguf_writer_add_tensor (w, i ? "second" : "first", ENG_TYPE_F32, 1, dims, NULL, &e), ==, 0);
      g_assert_cmpint (eng_gguf_writer_begin (w, NULL, &e), ==, ENG_OK);
      g_assert_cmpint (eng_gguf_writer_write (w, 0, 0, x, sizeof x, &e), ==, ENG_OK);
      g_assert_true (g_file_test (eng_gguf_writer_get_part_path (w), G_FILE_TEST_EXISTS));
      g_assert_false (g_file_test (path, G_FILE_TEST_EXISTS));
      if (i == 0)
        g_assert_cmpint (eng_gguf_writer_restart (w, path, &e), ==, ENG_OK);
    }
  g_assert_cmpint (eng_gguf_writer_set_string (w, "later", "two", &e), ==, ENG_ERR_ARGUMENT);
  g_assert_cmpint (eng_gguf_writer_set_f32 (w, "later", 2, &e), ==, ENG_ERR_ARGUMENT);
  g_assert_cmpint (eng_gguf_writer_set_u32 (w, "later", 2, &e), ==, ENG_OK);
  g_assert_cmpint (eng_gguf_writer_finish (w, &e), ==, ENG_OK);
  eng_gguf_writer_free (&w);
  g_assert_cmpint (eng_gguf_open (path, ENG_GGUF_MAP, &file, &e), ==, ENG_OK);
  g_assert_cmpint (eng_gguf_get_u32 (file, "later", &value, &e), ==, ENG_OK);
  g_assert_cmpuint (value, ==, 2);
  g_assert_null (eng_gguf_find_tensor (file, "first"));
  g_assert_cmpmem (eng_gguf_find_tensor (file, "second")->data, sizeof x, x, sizeof x);
  eng_gguf_close (&file);
  g_unlink (path);
  g_assert_cmpint (g_rmdir (folder), ==, 0);
}

static void
test_writer_duplicate (void)
{
  g_autofree char *folder = g_dir_make_tmp ("inglenook-gguf-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "x.gguf", NULL);
  const guint64 dims[1] = { 4 };
  EngGgufWriter *w;
  EngError e;
  g_assert_cmpint (eng_gguf_writer_new (path, &w, &e), ==, ENG_OK);
  for (int i = 0; i < 2; i++)
    g_assert_cmpint (eng_gguf_writer_add_tensor (w, "twin", ENG_TYPE_F32, 1, dims, NULL, &e), ==, 0);
  g_assert_cmpint (eng_gguf_writer_begin (w, NULL, &e), ==, ENG_ERR_ARGUMENT);
  g_assert_cmpstr (e.field, ==, "twin");
  eng_gguf_writer_free (&w);
  g_assert_cmpint (g_rmdir (folder), ==, 0);
}

/* Fails the n-th allocation for every n until none fails: no crash, no leak, a clean status. */
static void
test_no_memory (Fixture *f, gconstpointer data)
{
  EngStatus status = ENG_ERR_NO_MEMORY;
  guint64 n;
  for (n = 1; status != ENG_OK; n++)
    {
      EngGguf *gguf;
      EngError e;
      eng_alloc_fail_at (n);
      status = eng_gguf_open (f->path, ENG_GGUF_MAP, &gguf, &e);
      eng_alloc_fail_at (0);
      if (status != ENG_OK)
        {
          g_assert_cmpint (status, ==, ENG_ERR_NO_MEMORY);
          g_assert_cmpint (e.code, ==, ENG_ERR_NO_MEMORY);
          g_assert_null (gguf);
        }
      eng_gguf_close (&gguf);
    }
  g_assert_cmpuint (n, >, 4);
}

/* 256k tokens index in 150 ms (measured: about 3 ms); nothing of them is copied. */
static void
test_large_vocabulary (void)
{
  const gsize n = 256000;
  g_autofree char *folder = g_dir_make_tmp ("inglenook-gguf-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "x.gguf", NULL);
  g_autofree EngGgufString *tokens = g_new (EngGgufString, n);
  g_autoptr (GStringChunk) chunk = g_string_chunk_new (1 << 16);
  EngGgufWriter *w;
  EngGguf *gguf;
  EngError e;
  for (gsize i = 0; i < n; i++)
    {
      char text[32];
      int length = g_snprintf (text, sizeof text, "token-%zu", i);
      tokens[i] = (EngGgufString) { g_string_chunk_insert (chunk, text), (guint64) length };
    }
  g_assert_cmpint (eng_gguf_writer_new (path, &w, &e), ==, ENG_OK);
  g_assert_cmpint (eng_gguf_writer_set_strings (w, "tokenizer.ggml.tokens", n, tokens, &e), ==, 0);
  g_assert_cmpint (eng_gguf_writer_begin (w, NULL, &e), ==, ENG_OK);
  g_assert_cmpint (eng_gguf_writer_finish (w, &e), ==, ENG_OK);
  eng_gguf_writer_free (&w);
  gint64 start = g_get_monotonic_time ();
  eng_alloc_fail_at (0);
  g_assert_cmpint (eng_gguf_open (path, ENG_GGUF_MAP, &gguf, &e), ==, ENG_OK);
  gint64 us = g_get_monotonic_time () - start;
  g_test_message ("opened in %.2f ms, %" G_GUINT64_FORMAT " allocations", (double) us / 1000,
                  eng_alloc_fail_at (0));
  g_assert_cmpint (us, <=, 150000);
  eng_gguf_close (&gguf);
  g_unlink (path);
  g_rmdir (folder);
}

int
main (int argc, char **argv)
{
  static const struct
  {
    const char *name;
    void (*run) (Fixture *, gconstpointer);
  } cases[] = {
    { "metadata", test_metadata }, { "getter-errors", test_getter_errors },
    { "arrays", test_arrays },     { "tensors", test_tensors },
    { "changed", test_changed },   { "copy", test_copy },
    { "no-memory", test_no_memory },
  };
  g_test_init (&argc, &argv, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    for (int flags = 0; flags <= ENG_GGUF_LOAD; flags++)
      {
        g_autofree char *name
            = g_strdup_printf ("/gguf/%s/%s", flags ? "loaded" : "mapped", cases[i].name);
        g_test_add (name, Fixture, GINT_TO_POINTER (flags), set_up, cases[i].run, tear_down);
      }
  g_test_add_func ("/gguf/writer/errors", test_writer_errors);
  g_test_add_func ("/gguf/writer/again", test_writer_again);
  g_test_add_func ("/gguf/writer/duplicate", test_writer_duplicate);
  g_test_add_func ("/gguf/large-vocabulary", test_large_vocabulary);
  return g_test_run ();
}
