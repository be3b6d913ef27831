/* SPDX-License-Identifier: Apache-2.0 */
/* The reader's client with a reader that dies, hangs and lies (fake-reader.py, by INGLENOOK_READER): each is an error that
 * names the document, within the time promised, and no child stays. */
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/wait.h>

#include "ing-reader-client.h"

static char *folder;

typedef struct
{
  guint n_blocks;
  char *text; /* of the last one */
  GCancellable *cancel_at_block;
  gint64 cancelled_us;
} Seen;

static gboolean
on_block (const IngBlock *block, gpointer data)
{
  Seen *seen = data;
  g_assert_true (g_utf8_validate (block->text, -1, NULL));
  g_assert_nonnull (block->path);
  g_assert_nonnull (block->header);
  g_free (seen->text);
  seen->text = g_strdup (block->text);
  seen->n_blocks++;
  return TRUE;
}

static gpointer
cancel_later (gpointer data)
{
  Seen *seen = data;
  g_usleep (300000);
  seen->cancelled_us = g_get_monotonic_time ();
  g_cancellable_cancel (seen->cancel_at_block);
  return NULL;
}

static char *
make_document (const char *name, const char *text)
{
  char *path = g_build_filename (folder, name, NULL);
  g_assert_true (g_file_set_contents (path, text, -1, NULL));
  return path;
}

static void
no_child_stays (void)
{
  g_assert_cmpint (waitpid (-1, NULL, WNOHANG), ==, -1);
  g_assert_cmpint (errno, ==, ECHILD);
}

static gboolean
extract (const char *name, Seen *seen, IngExtracted *out, GCancellable *cancellable, GError **error)
{
  g_autofree char *path = make_document (name, "Words.");
  const IngReaderHandler handler = { .block = on_block, .data = seen };
  gboolean ok = ing_reader_extract (path, &handler, cancellable, out, error);
  if (!ok && error != NULL && (*error)->domain == ING_ERROR)
    g_assert_cmpstr (ing_error_get_field (*error), ==, path);
  no_child_stays ();
  return ok;
}

static void
fails (gconstpointer data)
{
  const char *name = data;
  g_auto (IngExtracted) out = { 0 };
  g_autoptr (GError) error = NULL;
  Seen seen = { 0 };
  gint64 start = g_get_monotonic_time ();
  g_assert_false (extract (name, &seen, &out, NULL, &error));
  g_assert_nonnull (error);
  g_test_message ("%s: %s", name, error->message);
  g_autofree char *sentence = ing_error_to_sentence (error);
  g_assert_cmpuint (strlen (sentence), >, 5);
  g_assert_cmpint (g_get_monotonic_time () - start, <, 3 * G_USEC_PER_SEC);
  g_free (seen.text);
}

static void
cancelled (gconstpointer data)
{
  g_auto (IngExtracted) out = { 0 };
  g_autoptr (GError) error = NULL;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  Seen seen = { .cancel_at_block = cancellable };
  GThread *thread = g_thread_new ("cancel", cancel_later, &seen);
  g_assert_false (extract (data, &seen, &out, cancellable, &error));
  gint64 took = g_get_monotonic_time ();
  g_thread_join (thread);
  took -= seen.cancelled_us;
  g_test_message ("%" G_GINT64_FORMAT " µs after the cancel", took);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_cmpint (took, <, 200000);
  g_free (seen.text);
}

static void
test_types (void)
{
  g_auto (IngExtracted) out = { 0 };
  g_autoptr (GError) error = NULL;
  Seen seen = { 0 };
  extract ("types.txt", &seen, &out, NULL, &error);
  if (error == NULL)
    {
      g_assert_cmpstr (seen.text, ==, "Words.");
      g_assert_false (out.seccomp);
      g_assert_nonnull (out.title);
      g_assert_nonnull (out.kind);
    }
  g_free (seen.text);
}

/* Tokens in the environment are not for a process that parses hostile files. */
static void
test_environment (void)
{
  g_auto (IngExtracted) out = { 0 };
  g_autoptr (GError) error = NULL;
  Seen seen = { 0 };
  g_setenv ("A_TOKEN", "secret", TRUE);
  extract ("environment.txt", &seen, &out, NULL, &error);
  g_assert_no_error (error);
  g_assert_nonnull (strstr (seen.text, "PATH"));
  g_assert_null (strstr (seen.text, "A_TOKEN"));
  g_free (seen.text);
}

static void
test_boxes (void)
{
  g_autofree char *path = make_document ("boxes.pdf", "x"), *cut = make_document ("short.pdf", "x");
  g_autoptr (GError) error = NULL;
  g_auto (IngPagePicture) picture = { 0 }, other = { 0 };
  if (ing_reader_draw_page (path, 1, 2, NULL, NULL, &picture, &error))
    {
      g_assert_cmpuint (picture.boxes->len, <=, 4);
      g_assert_cmpuint (g_bytes_get_size (picture.pixels), ==, 16);
    }
  g_clear_error (&error);
  g_assert_false (ing_reader_draw_page (cut, 1, 2, NULL, NULL, &other, &error));
  g_assert_nonnull (error);
  no_child_stays ();
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  folder = g_dir_make_tmp ("ing-reader-XXXXXX", NULL);
  static const char *const failing[]
      = { "dies.txt", "leaves.txt", "closes.txt", "half.txt", "huge.txt", "garbage.txt", "json.txt" };
  for (guint i = 0; i < G_N_ELEMENTS (failing); i++)
    {
      g_autofree char *name = g_strdup_printf ("/reader-client/fails/%s", failing[i]);
      g_test_add_data_func (name, failing[i], fails);
    }
  g_test_add_data_func ("/reader-client/cancelled", "hangs.txt", cancelled);
  g_test_add_func ("/reader-client/types", test_types);
  g_test_add_func ("/reader-client/environment", test_environment);
  g_test_add_func ("/reader-client/boxes", test_boxes);
  int rc = g_test_run ();
  const char *name;
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (folder, name, NULL);
      g_unlink (path);
    }
  g_rmdir (folder);
  g_free (folder);
  return rc;
}
