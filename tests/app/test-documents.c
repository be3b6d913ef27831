/* SPDX-License-Identifier: Apache-2.0 */
/* The client of the confined reader: what a person's file becomes, and what becomes of one that cannot be read. */
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#include "app-test.h"
#include "ing-document-password.h"
#include "ing-reader-client.h"
#include "ing-recognizer.h"

typedef struct
{
  GString *texts; /* joined by | */
  guint n, stop_at;
  GCancellable *cancellable; /* cancelled at the first block */
  gint64 cancelled_us;
} Heard;

static gboolean
on_block (const IngBlock *block, gpointer data)
{
  Heard *heard = data;
  g_string_append_printf (heard->texts, "%s%s", heard->n > 0 ? "|" : "", heard->n < 20 ? block->text : "");
  if (heard->cancellable != NULL && heard->n == 0)
    {
      heard->cancelled_us = g_get_monotonic_time ();
      g_cancellable_cancel (heard->cancellable);
    }
  return ++heard->n != heard->stop_at;
}

static char *
write_file (const char *name, const char *text, gssize n)
{
  g_autofree char *folder = app_test_make_folder ();
  char *path = g_build_filename (folder, name, NULL);
  g_assert_true (g_file_set_contents (path, text, n, NULL));
  return path;
}

static gboolean
extract (const char *path, Heard *heard, IngExtracted *out, GError **error)
{
  const IngReaderHandler handler = { .block = on_block, .data = heard };
  heard->texts = g_string_new (NULL);
  return ing_reader_extract (path, &handler, heard->cancellable, out, error);
}

static void
test_read (void)
{
  g_autofree char *path = write_file ("茶 notes.md", "# Tea\n\nGreen & white.\n\n| A | B |\n|---|---|\n| 1 | 2 |\n", -1);
  g_autoptr (GError) error = NULL;
  g_auto (IngExtracted) out = { 0 };
  Heard heard = { 0 };
  g_assert_true (extract (path, &heard, &out, &error));
  g_assert_no_error (error);
  g_assert_cmpstr (heard.texts->str, ==, "Tea|Green & white.|A\tB|1\t2");
  g_assert_cmpstr (out.title, ==, "Tea");
  g_assert_cmpstr (out.kind, ==, "markdown");
  g_assert_cmpuint (out.characters, ==, strlen ("Tea") + 2 + strlen ("Green & white.") + 2 + 3 + 2 + 3);
  g_assert_true (out.seccomp || out.landlock > 0);
  g_string_free (heard.texts, TRUE);
}

static void
assert_refused (const char *path, int code)
{
  g_autoptr (GError) error = NULL;
  g_auto (IngExtracted) out = { 0 };
  Heard heard = { 0 };
  gint64 start = g_get_monotonic_time ();
  g_assert_false (extract (path, &heard, &out, &error));
  g_assert_error (error, ING_ERROR, code);
  g_assert_cmpstr (ing_error_get_field (error), ==, path);
  g_assert_cmpint (g_get_monotonic_time () - start, <, 5 * G_USEC_PER_SEC);
  g_autofree char *sentence = ing_error_to_sentence (error);
  g_test_message ("%s", sentence);
  g_string_free (heard.texts, TRUE);
}

static void
test_refused (void)
{
  g_autofree char *folder = app_test_make_folder ();
  g_autofree char *fifo = g_build_filename (folder, "pipe.txt", NULL);
  g_autofree char *dangling = g_build_filename (folder, "link.txt", NULL);
  g_autofree char *empty = write_file ("empty.pdf", "", 0);
  g_autofree char *garbage = write_file ("garbage.pdf", "%PDF-1.7 and no more", -1);
  g_autofree char *binary = write_file ("binary.txt", "\1\2\3\4\5\6\7\1\2\3", 10);
  g_autofree char *strange = write_file ("new\nline \xe2\x80\xae.pdf", "x", 1);
  g_assert_cmpint (mkfifo (fifo, 0600), ==, 0);
  g_assert_cmpint (symlink ("nowhere", dangling), ==, 0);
  assert_refused (fifo, ING_ERROR_UNSUPPORTED);
  assert_refused ("/dev/zero", ING_ERROR_UNSUPPORTED);
  assert_refused (folder, ING_ERROR_UNSUPPORTED);
  assert_refused (dangling, ING_ERROR_NOT_FOUND);
  assert_refused (empty, ING_ERROR_FORMAT);
  assert_refused (garbage, ING_ERROR_FORMAT);
  assert_refused (binary, ING_ERROR_UNSUPPORTED);
  assert_refused (strange, ING_ERROR_FORMAT);
}

/* A text that takes seconds to read. */
static char *
write_long (void)
{
  GString *text = g_string_new (NULL);
  for (guint i = 0; i < 400000; i++)
    g_string_append_printf (text, "Paragraph %u, which says nothing at all.\n\n", i);
  char *path = write_file ("long.txt", text->str, (gssize) text->len);
  g_string_free (text, TRUE);
  return path;
}

static void
test_cancel (void)
{
  g_autofree char *path = write_long ();
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  g_auto (IngExtracted) out = { 0 };
  Heard heard = { .cancellable = cancellable };
  g_assert_false (extract (path, &heard, &out, &error));
  gint64 took_us = g_get_monotonic_time () - heard.cancelled_us;
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_test_message ("given up %.1f ms after the cancel", (double) took_us / 1e3);
  g_assert_cmpint (took_us, <, 200 * 1000);
  g_string_free (heard.texts, TRUE);
}

/* Whoever has enough says so, and the child is gone. */
static void
test_enough (void)
{
  g_autofree char *path = write_long ();
  g_autoptr (GError) error = NULL;
  g_auto (IngExtracted) out = { 0 };
  Heard heard = { .stop_at = 3 };
  g_assert_false (extract (path, &heard, &out, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_cmpuint (heard.n, ==, 3);
  g_string_free (heard.texts, TRUE);
}

/* A file that is no PDF has no page to draw. */
static void
test_page (void)
{
  g_autofree char *path = write_file ("page.pdf", "no page", -1);
  g_autoptr (GError) error = NULL;
  g_auto (IngPagePicture) picture = { 0 };
  g_assert_false (ing_reader_draw_page (path, 1, 300, NULL, NULL, &picture, &error));
  g_assert_error (error, ING_ERROR, ING_ERROR_FORMAT);
  g_assert_null (picture.pixels);
}

/* ------------------------------------------------------------------ pictures of text */

static void
check_languages (const char *installed, const char *locales, const char *script, const char *wanted)
{
  g_auto (GStrv) all = g_strsplit (installed, " ", -1);
  g_auto (GStrv) person = g_strsplit (locales, " ", -1);
  g_autofree char *chosen
      = ing_recognizer_choose_languages ((const char *const *) all, (const char *const *) person, script);
  g_assert_cmpstr (chosen, ==, wanted);
}

/* What is installed, what the person reads and what the page looks like, in that order of force. */
static void
test_languages (void)
{
  check_languages ("chi_sim deu eng osd", "C", "Latin", "eng");
  check_languages ("chi_sim deu eng osd", "de_AT de C", "Latin", "deu+eng");
  check_languages ("chi_sim deu eng osd", "de_AT de C", "Han", "chi_sim+eng");
  check_languages ("chi_sim deu eng osd", "C", "Korean", "chi_sim+eng"); /* that is often said of Chinese */
  check_languages ("chi_sim chi_tra eng", "zh_TW zh C", "Han", "chi_tra+chi_sim+eng");
  check_languages ("chi_sim chi_tra eng", "zh_CN zh C", "Han", "chi_sim+chi_tra+eng");
  check_languages ("chi_sim eng osd", "C", NULL, "eng+chi_sim");
  check_languages ("chi_sim eng osd", "C", "Cyrillic", "eng+chi_sim");
  check_languages ("fra", "C", "Latin", "fra");
  check_languages ("osd", "C", "Latin", "");
}

/* Words of a paragraph grow together, Chinese ones without spaces; what is hardly a letter is none; nonsense is borne. */
static void
test_table (void)
{
#define HEAD "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext\n"
  g_autoptr (GPtrArray) paragraphs = ing_recognizer_read_table (
      HEAD "1\t1\t0\t0\t0\t0\t0\t0\t9\t9\t-1\t\n"
           "5\t1\t1\t1\t1\t1\t0\t0\t9\t9\t96.5\tTwo\n5\t1\t1\t1\t2\t1\t0\t0\t9\t9\t91\tlines\n"
           "5\t1\t1\t2\t1\t1\t0\t0\t9\t9\t90\t西湖\n5\t1\t1\t2\t1\t2\t0\t0\t9\t9\t90\t茶\n"
           "5\t1\t1\t2\t1\t3\t0\t0\t9\t9\t90\t。\n5\t1\t1\t2\t1\t4\t0\t0\t9\t9\t90\tTea\n"
           "5\t1\t2\t1\t1\t1\t0\t0\t9\t9\t12\t|~_\n5\tx\n\n5\t1\t3\t1\t1\t1\t0\t0\t9\t9\tnan\t \n");
  g_assert_cmpuint (paragraphs->len, ==, 2);
  g_assert_cmpstr (paragraphs->pdata[0], ==, "Two lines");
  g_assert_cmpstr (paragraphs->pdata[1], ==, "西湖茶。 Tea");
  g_autoptr (GPtrArray) nothing = ing_recognizer_read_table ("");
  g_assert_cmpuint (nothing->len, ==, 0);
}

static void
test_password_limit (void)
{
  g_autofree char *ascii = g_strnfill (10000, 'x');
  g_autoptr (GString) wide = g_string_new ("x");
  for (guint i = 0; i < 100; i++)
    g_string_append (wide, "é");
  ing_document_password_set ("/a", ascii);
  ing_document_password_set ("/b", wide->str);
  g_autofree char *a = ing_document_password_dup ("/a");
  g_autofree char *b = ing_document_password_dup ("/b");
  g_assert_cmpuint (strlen (a), ==, 127);
  g_assert_cmpuint (strlen (b), ==, 127); /* and no character is cut */
  g_assert_true (g_utf8_validate (b, -1, NULL));
  g_string_append_c (wide, 'x');
  ing_document_password_set ("/b", wide->str + 1);
  g_autofree char *c = ing_document_password_dup ("/b");
  g_assert_cmpuint (strlen (c), ==, 126);
  ing_document_password_set ("/a", NULL);
  g_assert_null (ing_document_password_dup ("/a"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/documents/read", test_read);
  g_test_add_func ("/documents/refused", test_refused);
  g_test_add_func ("/documents/cancel", test_cancel);
  g_test_add_func ("/documents/enough", test_enough);
  g_test_add_func ("/documents/page", test_page);
  g_test_add_func ("/documents/languages", test_languages);
  g_test_add_func ("/documents/table", test_table);
  g_test_add_func ("/documents/password-limit", test_password_limit);
  return g_test_run ();
}
