/* SPDX-License-Identifier: Apache-2.0 */
/* Models split over several files. */
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>

#include "eng-gguf-writer.h"

typedef struct
{
  char *folder;
  char *paths[3];
} Model;

static char *
part_path (const Model *m, guint i, guint n)
{
  g_autofree char *name = g_strdup_printf ("m-%05u-of-%05u.gguf", i + 1, n);
  return g_build_filename (m->folder, name, NULL);
}

static void
write_part (const char *path, guint i, guint count, guint total, const char *tensor)
{
  EngGgufWriter *w;
  EngError e;
  const guint64 dims[2] = { 8, i + 1 };
  g_autofree float *data = g_new (float, 8 * (i + 1));
  for (guint k = 0; k < 8 * (i + 1); k++)
    data[k] = (float) (i * 100 + k);
  EngGgufValue number = { .type = ENG_GGUF_U16, .u = i };
  EngGgufValue parts = { .type = ENG_GGUF_U16, .u = count };
  EngGgufValue tensors = { .type = ENG_GGUF_I32, .i = total };
  g_assert_cmpint (eng_gguf_writer_new (path, &w, &e), ==, ENG_OK);
  if (i == 0)
    eng_gguf_writer_set_string (w, "general.architecture", "llama", &e);
  eng_gguf_writer_set_value (w, (EngGgufString) { "split.no", 8 }, &number, &e);
  eng_gguf_writer_set_value (w, (EngGgufString) { "split.count", 11 }, &parts, &e);
  eng_gguf_writer_set_value (w, (EngGgufString) { "split.tensors.count", 19 }, &tensors, &e);
  g_assert_cmpint (eng_gguf_writer_add_tensor (w, tensor, ENG_TYPE_F32, 2, dims, NULL, &e), ==, 0);
  g_assert_cmpint (eng_gguf_writer_begin (w, NULL, &e), ==, ENG_OK);
  g_assert_cmpint (eng_gguf_writer_write (w, 0, 0, data, 32 * (i + 1), &e), ==, ENG_OK);
  g_assert_cmpint (eng_gguf_writer_finish (w, &e), ==, ENG_OK);
  eng_gguf_writer_free (&w);
}

static void
set_up (Model *m, gconstpointer data)
{
  m->folder = g_dir_make_tmp ("inglenook-split-XXXXXX", NULL);
  for (guint i = 0; i < 3; i++)
    {
      g_autofree char *name = g_strdup_printf ("t%u.weight", i);
      m->paths[i] = part_path (m, i, 3);
      write_part (m->paths[i], i, 3, 3, name);
    }
}

static void
tear_down (Model *m, gconstpointer data)
{
  g_autoptr (GDir) dir = g_dir_open (m->folder, 0, NULL);
  for (const char *name; (name = g_dir_read_name (dir));)
    {
      g_autofree char *path = g_build_filename (m->folder, name, NULL);
      g_unlink (path);
    }
  g_rmdir (m->folder);
  g_free (m->folder);
  for (guint i = 0; i < 3; i++)
    g_free (m->paths[i]);
}

/* Whichever part is opened, it is the same model. */
static void
test_open (Model *m, gconstpointer data)
{
  for (guint first = 0; first < 3; first++)
    {
      EngGguf *gguf;
      EngError e;
      g_assert_cmpint (eng_gguf_open (m->paths[first], GPOINTER_TO_INT (data), &gguf, &e), ==, 0);
      g_assert_cmpuint (eng_gguf_get_n_parts (gguf), ==, 3);
      g_assert_cmpuint (eng_gguf_get_n_tensors (gguf), ==, 3);
      g_assert_true (eng_gguf_has_key (gguf, "general.architecture"));
      for (guint i = 0; i < 3; i++)
        {
          const EngGgufTensor *t = eng_gguf_get_tensor (gguf, i);
          g_assert_cmpuint (t->i_part, ==, i);
          g_assert_cmpstr (eng_gguf_get_part_path (gguf, i), ==, m->paths[i]);
          g_assert_cmpfloat (((const float *) t->data)[5], ==, (float) (i * 100 + 5));
        }
      eng_gguf_close (&gguf);
    }
}

static void
refuse (const Model *m, EngStatus wanted, const char *words)
{
  EngGguf *gguf;
  EngError e;
  g_assert_cmpint (eng_gguf_open (m->paths[0], ENG_GGUF_MAP, &gguf, &e), ==, wanted);
  g_assert_null (gguf);
  if (!strstr (e.text, words))
    g_error ("'%s' does not say '%s'", e.text, words);
}

static void
test_part_missing (Model *m, gconstpointer data)
{
  g_unlink (m->paths[1]);
  refuse (m, ENG_ERR_NOT_FOUND, "m-00002-of-00003.gguf");
}

static void
test_part_cut (Model *m, gconstpointer data)
{
  g_autofree char *bytes = NULL;
  gsize n;
  g_assert_true (g_file_get_contents (m->paths[2], &bytes, &n, NULL));
  g_assert_true (g_file_set_contents (m->paths[2], bytes, (gssize) n - 100, NULL));
  refuse (m, ENG_ERR_TRUNCATED, "m-00003-of-00003.gguf");
}

static void
test_part_swapped (Model *m, gconstpointer data)
{
  write_part (m->paths[2], 1, 3, 3, "t2.weight");
  refuse (m, ENG_ERR_FORMAT, "part 2 of 3");
}

static void
test_tensor_twice (Model *m, gconstpointer data)
{
  write_part (m->paths[2], 2, 3, 3, "t0.weight");
  refuse (m, ENG_ERR_FORMAT, "t0.weight is there twice");
}

static void
test_tensor_count (Model *m, gconstpointer data)
{
  write_part (m->paths[0], 0, 3, 4, "t0.weight");
  refuse (m, ENG_ERR_FORMAT, "3 tensors together");
}

static void
test_count_too_large (Model *m, gconstpointer data)
{
  write_part (m->paths[0], 0, 60000, 3, "t0.weight");
  refuse (m, ENG_ERR_FORMAT, "60000");
}

static void
test_renamed (Model *m, gconstpointer data)
{
  g_autofree char *path = g_build_filename (m->folder, "renamed.gguf", NULL);
  EngGguf *gguf;
  EngError e;
  g_rename (m->paths[0], path);
  g_assert_cmpint (eng_gguf_open (path, ENG_GGUF_MAP, &gguf, &e), ==, ENG_ERR_FORMAT);
  g_assert_nonnull (strstr (e.text, "-00001-of-00003.gguf"));
  g_assert_cmpint (eng_gguf_open (path, ENG_GGUF_ONE_PART, &gguf, &e), ==, ENG_OK);
  g_assert_cmpuint (eng_gguf_get_n_tensors (gguf), ==, 1);
  eng_gguf_close (&gguf);
}

int
main (int argc, char **argv)
{
  static const struct
  {
    const char *name;
    void (*run) (Model *, gconstpointer);
  } cases[] = {
    { "open", test_open },
    { "part-missing", test_part_missing },
    { "part-cut", test_part_cut },
    { "part-swapped", test_part_swapped },
    { "tensor-twice", test_tensor_twice },
    { "tensor-count", test_tensor_count },
    { "count-too-large", test_count_too_large },
    { "renamed", test_renamed },
  };
  g_test_init (&argc, &argv, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *name = g_strdup_printf ("/gguf/split/%s", cases[i].name);
      g_test_add (name, Model, NULL, set_up, cases[i].run, tear_down);
    }
  g_test_add ("/gguf/split/open-loaded", Model, GINT_TO_POINTER (ENG_GGUF_LOAD), set_up, test_open,
              tear_down);
  return g_test_run ();
}
