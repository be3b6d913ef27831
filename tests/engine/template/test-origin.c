/* SPDX-License-Identifier: Apache-2.0 */
/* Whose a file's chat template is: its hash, and signs that the file's vocabulary does not have. */
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "eng-gguf-writer.h"
#include "eng-template-gguf.h"

/* What is said of a file with this template and these two tokens; @template_ NULL = it has none. Caller frees. */
static char *
describe (const char *template_, const char *one, const char *two)
{
  g_autofree char *path = NULL;
  int fd = g_file_open_tmp ("origin-XXXXXX", &path, NULL);
  EngError error;
  EngGgufWriter *writer = NULL;
  EngGguf *file = NULL;
  EngBuffer out = { 0 };
  EngJsonWriter w = { .out = &out };
  const EngGgufString tokens[2] = { { one, strlen (one) }, { two, strlen (two) } };
  g_assert_cmpint (fd, >=, 0);
  close (fd);
  g_assert_cmpint (eng_gguf_writer_new (path, &writer, &error), ==, ENG_OK);
  g_assert_cmpint (eng_gguf_writer_set_strings (writer, "tokenizer.ggml.tokens", 2, tokens, &error), ==, ENG_OK);
  if (template_ != NULL)
    g_assert_cmpint (eng_gguf_writer_set_string (writer, "tokenizer.chat_template", template_, &error), ==, ENG_OK);
  g_assert_cmpint (eng_gguf_writer_begin (writer, NULL, &error), ==, ENG_OK);
  g_assert_cmpint (eng_gguf_writer_finish (writer, &error), ==, ENG_OK);
  eng_gguf_writer_free (&writer);
  g_assert_cmpint (eng_gguf_open (path, ENG_GGUF_MAP, &file, &error), ==, ENG_OK);
  eng_json_write_begin_object (&w);
  eng_template_write_origin (&w, file);
  eng_json_write_end_object (&w);
  char *text = g_strndup (out.data, out.n_bytes);
  eng_buffer_clear (&out);
  eng_gguf_close (&file);
  g_assert_cmpint (g_unlink (path), ==, 0);
  return text;
}

static void
test_hash (void)
{
  g_autofree char *none = describe (NULL, "a", "b"), *bare = describe ("a", "a", "b"), *space = describe ("a \r\n", "a", "b");
  g_autofree char *other = describe ("b", "a", "b"), *empty = describe (" ", "a", "b");
  g_assert_null (strstr (none, "template"));
  /* FNV's own value for "a", and its start for nothing. */
  g_assert_nonnull (strstr (bare, "\"af63dc4c8601ec8c\""));
  g_assert_cmpstr (space, ==, bare);
  g_assert_cmpstr (other, !=, bare);
  g_assert_nonnull (strstr (empty, "\"cbf29ce484222325\""));
  g_assert_null (strstr (bare, "foreign"));
}

static void
test_foreign (void)
{
  g_autofree char *ours = describe ("<|im_start|>{{ x }}", "a", "<|im_start|>");
  g_autofree char *theirs = describe ("<|im_start|>{{ x }}", "a", "<|im_start|");
  g_autofree char *second = describe ("<|im_start|>[gMASK]", "<|im_start|>", "b");
  g_assert_null (strstr (ours, "foreign"));
  g_assert_nonnull (strstr (theirs, "<|im_start|>"));
  g_assert_nonnull (strstr (second, "[gMASK]"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/template/origin/hash", test_hash);
  g_test_add_func ("/template/origin/foreign", test_foreign);
  return g_test_run ();
}
