/* SPDX-License-Identifier: Apache-2.0 */
/* The safetensors reader: good files, shards, and one bad file per defect. */
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>

#include "eng-safetensors.h"

#define GOOD                                                                                       \
  "{\"__metadata__\":{\"format\":\"pt\"},"                                                         \
  "\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"                             \
  "\"b\":{\"dtype\":\"BF16\",\"shape\":[5],\"data_offsets\":[24,34]},"                             \
  "\"s\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[34,42]}}"

static GByteArray *
make (const char *json, gsize n_data)
{
  GByteArray *bytes = g_byte_array_new ();
  guint64 n = strlen (json);
  g_byte_array_append (bytes, (const guint8 *) &n, 8);
  g_byte_array_append (bytes, (const guint8 *) json, (guint) n);
  for (gsize i = 0; i < n_data; i++)
    g_byte_array_append (bytes, &(guint8) { (guint8) i }, 1);
  return bytes;
}

static void
test_good (void)
{
  g_autoptr (GByteArray) bytes = make (GOOD, 42);
  EngSafetensors *st;
  EngError e;
  g_assert_cmpint (eng_safetensors_open_memory (bytes->data, bytes->len, &st, &e), ==, ENG_OK);
  g_assert_cmpuint (eng_safetensors_get_n_tensors (st), ==, 3);
  const EngSafetensor *a = eng_safetensors_find (st, "a"), *s = eng_safetensors_find (st, "s");
  g_assert_cmpint (a->type, ==, ENG_TYPE_F32);
  g_assert_cmpuint (a->shape[1], ==, 3);
  g_assert_cmpuint (((const guint8 *) a->data)[23], ==, 23);
  g_assert_cmpuint (s->n_dims, ==, 0);
  g_assert_cmpuint (s->n_elements, ==, 1);
  g_assert_cmpuint (((const guint8 *) s->data)[0], ==, 34);
  g_assert_null (eng_safetensors_find (st, "__metadata__"));
  eng_safetensors_close (&st);
  g_assert_null (st);
}

#define ENTRY(rest) "{\"t\":{" rest "}}"

static const struct
{
  const char *name, *json, *field;
  EngStatus status;
} bad[] = {
  { "no-json", "hello", "header", ENG_ERR_FORMAT },
  { "cut-json", "{\"t\":{", "header", ENG_ERR_FORMAT },
  { "array", "[]", "header", ENG_ERR_FORMAT },
  { "nested", NULL, "header", ENG_ERR_LIMIT },
  { "entry-no-object", "{\"t\":7}", "t", ENG_ERR_FORMAT },
  { "empty-name", "{\"\":{}}", "", ENG_ERR_FORMAT },
  { "no-dtype", ENTRY ("\"shape\":[1],\"data_offsets\":[0,4]"), "t", ENG_ERR_FORMAT },
  { "dtype-number", ENTRY ("\"dtype\":3,\"shape\":[1],\"data_offsets\":[0,4]"), "t",
    ENG_ERR_FORMAT },
  { "dtype-unknown", ENTRY ("\"dtype\":\"Q9\",\"shape\":[1],\"data_offsets\":[0,4]"), "t",
    ENG_ERR_UNSUPPORTED },
  { "no-shape", ENTRY ("\"dtype\":\"F32\",\"data_offsets\":[0,4]"), "t", ENG_ERR_FORMAT },
  { "negative-dim", ENTRY ("\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]"), "t",
    ENG_ERR_FORMAT },
  { "fraction-dim", ENTRY ("\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,4]"), "t",
    ENG_ERR_FORMAT },
  { "nine-dims", ENTRY ("\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]"),
    "t", ENG_ERR_FORMAT },
  { "elements-overflow",
    ENTRY ("\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,4]"), "t",
    ENG_ERR_FORMAT },
  { "bytes-overflow",
    ENTRY ("\"dtype\":\"F64\",\"shape\":[4611686018427387904],\"data_offsets\":[0,4]"), "t",
    ENG_ERR_FORMAT },
  { "no-offsets", ENTRY ("\"dtype\":\"F32\",\"shape\":[1]"), "t", ENG_ERR_FORMAT },
  { "one-offset", ENTRY ("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4]"), "t",
    ENG_ERR_FORMAT },
  { "falling-offsets", ENTRY ("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,4]"), "t",
    ENG_ERR_FORMAT },
  { "span-differs", ENTRY ("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]"), "t",
    ENG_ERR_FORMAT },
  { "past-the-end", ENTRY ("\"dtype\":\"F32\",\"shape\":[20],\"data_offsets\":[0,80]"), "t",
    ENG_ERR_TRUNCATED },
  { "far-past-the-end",
    ENTRY ("\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[9223372036854775800,9223372036854775804"
           "]"),
    "t", ENG_ERR_TRUNCATED },
  { "overlap",
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
    "\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}",
    "t", ENG_ERR_FORMAT },
};

static void
test_bad (gconstpointer data)
{
  gsize i = GPOINTER_TO_SIZE (data);
  g_autofree char *nested = g_strnfill (100000, '[');
  g_autoptr (GByteArray) bytes = make (bad[i].json ? bad[i].json : nested, 42);
  g_autofree guint8 *exact = g_memdup2 (bytes->data, bytes->len);
  EngSafetensors *st;
  EngError e;
  EngStatus status = eng_safetensors_open_memory (exact, bytes->len, &st, &e);
  g_test_message ("%s: %s", e.field, e.text);
  g_assert_cmpint (status, ==, bad[i].status);
  g_assert_null (st);
  g_assert_cmpstr (e.field, ==, bad[i].field);
  g_assert_cmpuint (e.offset, !=, ENG_OFFSET_NONE);
}

static void
test_cut (void)
{
  g_autoptr (GByteArray) bytes = make (GOOD, 42);
  for (guint n = 0; n < bytes->len; n++)
    {
      g_autofree guint8 *exact = g_memdup2 (bytes->data, n ? n : 1);
      EngSafetensors *st;
      EngError e;
      g_assert_cmpint (eng_safetensors_open_memory (exact, n, &st, &e), !=, ENG_OK);
      g_assert_null (st);
    }
}

static void
test_header_length (void)
{
  g_autoptr (GByteArray) bytes = make (GOOD, 42);
  const guint64 lengths[] = { 1000, (16u << 20) + 1, G_MAXUINT64 };
  for (gsize i = 0; i < G_N_ELEMENTS (lengths); i++)
    {
      EngSafetensors *st;
      EngError e;
      memcpy (bytes->data, &lengths[i], 8);
      g_assert_cmpint (eng_safetensors_open_memory (bytes->data, bytes->len, &st, &e), ==,
                       i == 0 ? ENG_ERR_TRUNCATED : ENG_ERR_FORMAT);
      g_assert_cmpstr (e.field, ==, "header");
    }
}

static void
write_file (const char *folder, const char *name, const void *data, gsize n)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);
  g_assert_true (g_file_set_contents (path, data, (gssize) n, NULL));
}

static EngStatus
open_index (const char *folder, const char *index, EngSafetensors **st, EngError *e)
{
  write_file (folder, "model.safetensors.index.json", index, strlen (index));
  return eng_safetensors_open (folder, st, e);
}

static void
test_folder (void)
{
  g_autofree char *folder = g_dir_make_tmp ("inglenook-safetensors-XXXXXX", NULL);
  g_autoptr (GByteArray) one
      = make ("{\"x\":{\"dtype\":\"F16\",\"shape\":[4],\"data_offsets\":[0,8]}}", 8);
  g_autoptr (GByteArray) two
      = make ("{\"y\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4);
  EngSafetensors *st;
  EngError e;
  g_assert_cmpint (eng_safetensors_open (folder, &st, &e), ==, ENG_ERR_NOT_FOUND);
  write_file (folder, "model.safetensors", one->data, one->len);
  write_file (folder, "m-2.safetensors", two->data, two->len);
  g_assert_cmpint (eng_safetensors_open (folder, &st, &e), ==, ENG_OK);
  g_assert_cmpuint (eng_safetensors_get_n_tensors (st), ==, 1);
  eng_safetensors_close (&st);
  g_assert_cmpint (open_index (folder,
                               "{\"weight_map\":{\"x\":\"model.safetensors\",\"y\":\"m-2."
                               "safetensors\",\"z\":\"model.safetensors\"}}",
                               &st, &e),
                   ==, ENG_OK);
  g_assert_cmpuint (eng_safetensors_get_n_tensors (st), ==, 2);
  g_assert_cmpuint (eng_safetensors_find (st, "y")->i_part, ==, 1);
  eng_safetensors_close (&st);
  g_assert_cmpint (open_index (folder, "{\"weight_map\":{\"x\":\"../model.safetensors\"}}", &st, &e),
                   ==, ENG_ERR_FORMAT);
  g_assert_cmpint (open_index (folder, "{\"weight_map\":{\"x\":\"absent.safetensors\"}}", &st, &e),
                   ==, ENG_ERR_NOT_FOUND);
  g_assert_cmpint (open_index (folder, "{\"weight_map\":{}}", &st, &e), ==, ENG_ERR_FORMAT);
  g_assert_cmpint (open_index (folder, "{", &st, &e), ==, ENG_ERR_FORMAT);
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  for (const char *name; (name = g_dir_read_name (dir));)
    {
      g_autofree char *path = g_build_filename (folder, name, NULL);
      g_unlink (path);
    }
  g_rmdir (folder);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/safetensors/good", test_good);
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autofree char *name = g_strdup_printf ("/safetensors/bad/%s", bad[i].name);
      g_test_add_data_func (name, GSIZE_TO_POINTER (i), test_bad);
    }
  g_test_add_func ("/safetensors/cut", test_cut);
  g_test_add_func ("/safetensors/header-length", test_header_length);
  g_test_add_func ("/safetensors/folder", test_folder);
  return g_test_run ();
}
