/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-recognizer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ing-error.h"
#include "ing-reader-child.h"
#include "ing-reader-client.h"
#include "ing-search-text.h"

/* 300 dots an inch on A4, which tesseract's makers advise. */
#define PAGE_WIDTH 2480u
#define LEAST_WIDTH 620u
#define MAX_OUTPUT_BYTES (8u << 20)
#define MAX_LANGUAGES 3u
/* Of 100, a paragraph's mean: below it a photograph was taken for letters. */
#define LEAST_CONFIDENCE 40

struct _IngRecognizer
{
  char *program;
  char **installed;
  char *languages; /* of the document; NULL until its first page */
};

/* ------------------------------------------------------------------ languages */

/* Names of locales (ISO 639-1), of tesseract (ISO 639-2/T) and of its scripts. Those that share characters are one here:
 * which of them a page is in, tesseract often guesses wrong. */
static const char *const known[][3] = {
  { "en", "eng", "Latin" },       { "zh", "chi_sim", "CJK" },     { "zh", "chi_tra", "CJK" },
  { "ja", "jpn", "CJK" },    { "ko", "kor", "CJK" },      { "de", "deu", "Latin" },
  { "fr", "fra", "Latin" },       { "es", "spa", "Latin" },       { "it", "ita", "Latin" },
  { "pt", "por", "Latin" },       { "nl", "nld", "Latin" },       { "pl", "pol", "Latin" },
  { "cs", "ces", "Latin" },       { "sk", "slk", "Latin" },       { "hu", "hun", "Latin" },
  { "ro", "ron", "Latin" },       { "tr", "tur", "Latin" },       { "sv", "swe", "Latin" },
  { "da", "dan", "Latin" },       { "nb", "nor", "Latin" },       { "fi", "fin", "Latin" },
  { "et", "est", "Latin" },       { "lv", "lav", "Latin" },       { "lt", "lit", "Latin" },
  { "hr", "hrv", "Latin" },       { "sl", "slv", "Latin" },       { "ca", "cat", "Latin" },
  { "vi", "vie", "Latin" },       { "id", "ind", "Latin" },       { "ru", "rus", "Cyrillic" },
  { "uk", "ukr", "Cyrillic" },    { "bg", "bul", "Cyrillic" },    { "sr", "srp", "Cyrillic" },
  { "be", "bel", "Cyrillic" },    { "el", "ell", "Greek" },       { "he", "heb", "Hebrew" },
  { "ar", "ara", "Arabic" },      { "fa", "fas", "Arabic" },      { "hi", "hin", "Devanagari" },
  { "th", "tha", "Thai" },
};

static gboolean
is_traditional (const char *locale)
{
  return g_str_has_prefix (locale, "zh_TW") || g_str_has_prefix (locale, "zh_HK") || g_str_has_prefix (locale, "zh_MO");
}

/* Does the person with @locale read what known[@i] is? */
static gboolean
suits (guint i, const char *locale)
{
  if (!g_str_has_prefix (locale, known[i][0]) || g_ascii_isalpha (locale[2]))
    return FALSE;
  return !g_str_equal (known[i][1], is_traditional (locale) ? "chi_sim" : "chi_tra");
}

static void
add_language (GPtrArray *chosen, const char *const *installed, const char *name)
{
  if (chosen->len < MAX_LANGUAGES && g_strv_contains (installed, name)
      && !g_ptr_array_find_with_equal_func (chosen, name, g_str_equal, NULL))
    g_ptr_array_add (chosen, (char *) name);
}

/* The script of known[]; NULL: there is none that is installed. */
static const char *
find_known_script (const char *const *installed, const char *script)
{
  static const char *const cjk[] = { "Han", "HanS", "HanT", "Japanese", "Korean", "Hangul", NULL };
  const char *wanted = script != NULL && g_strv_contains (cjk, script) ? "CJK" : script;
  for (guint i = 0; wanted != NULL && i < G_N_ELEMENTS (known); i++)
    if (g_str_equal (known[i][2], wanted) && g_strv_contains (installed, known[i][1]))
      return known[i][2];
  return NULL;
}

char *
ing_recognizer_choose_languages (const char *const *installed, const char *const *locales, const char *said_script)
{
  g_autoptr (GPtrArray) chosen = g_ptr_array_new ();
  const char *script = find_known_script (installed, said_script);
  for (guint l = 0; locales[l] != NULL; l++)
    for (guint i = 0; i < G_N_ELEMENTS (known); i++)
      if (suits (i, locales[l]) && (script == NULL || g_str_equal (known[i][2], script)))
        add_language (chosen, installed, known[i][1]);
  /* English is in the list first: what a text of any language in Latin script shares most letters with. */
  for (guint i = 0; script != NULL && i < G_N_ELEMENTS (known); i++)
    if (g_str_equal (known[i][2], script) && (chosen->len == 0 || g_str_equal (script, "CJK") || i == 0))
      add_language (chosen, installed, known[i][1]);
  add_language (chosen, installed, "eng"); /* names and numbers stand in all */
  for (guint i = 0; script == NULL && installed[i] != NULL; i++)
    if (!g_str_equal (installed[i], "osd"))
      add_language (chosen, installed, installed[i]);
  g_ptr_array_add (chosen, NULL);
  return g_strjoinv ("+", (char **) chosen->pdata);
}

/* ------------------------------------------------------------------ the program */

/* What tesseract says to @words, with @input (closed here) as its standard input. NULL with an error where it was cancelled or cannot be
 * started; "" where it failed. */
static char *
run (IngRecognizer *self, const char *path, int input, const char *const *words, GCancellable *cancellable, GError **error)
{
  g_autoptr (GPtrArray) all = g_ptr_array_new ();
  g_ptr_array_add (all, (char *) "recognize");
  g_ptr_array_add (all, self->program);
  for (guint i = 0; i == 0 || words[i - 1] != NULL; i++)
    g_ptr_array_add (all, (char *) words[i]);
  IngReaderChild child = { .path = path, .cancellable = cancellable };
  if (!ing_reader_child_start (&child, input, NULL, (const char *const *) all->pdata, error))
    return NULL;
  g_autoptr (GString) text = g_string_new (NULL);
  char buffer[1 << 14];
  GError *own = NULL;
  gssize n;
  while ((n = ing_reader_child_read (&child, buffer, sizeof buffer, &own)) > 0 && text->len < MAX_OUTPUT_BYTES)
    g_string_append_len (text, buffer, n);
  int status = n == 0 ? ing_reader_child_finish_closed (&child) : ing_reader_child_finish (&child);
  if (g_error_matches (own, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    {
      g_propagate_error (error, own);
      return NULL;
    }
  g_clear_error (&own);
  if (!WIFEXITED (status) || WEXITSTATUS (status) != 0)
    g_string_truncate (text, 0);
  return g_utf8_make_valid (text->str, (gssize) text->len);
}

IngRecognizer *
ing_recognizer_new (GCancellable *cancellable)
{
  g_autoptr (IngRecognizer) self = g_new0 (IngRecognizer, 1);
  self->program = g_find_program_in_path ("tesseract");
  int nothing = self->program != NULL ? open ("/dev/null", O_RDONLY | O_CLOEXEC) : -1;
  if (nothing < 0)
    return NULL;
  const char *const words[] = { "--list-langs", NULL };
  g_autofree char *list = run (self, NULL, nothing, words, cancellable, NULL);
  g_auto (GStrv) lines = g_strsplit (list != NULL ? list : "", "\n", -1);
  g_autoptr (GStrvBuilder) names = g_strv_builder_new ();
  guint n = 0;
  /* The first line says where they are; others than names of languages have no blank ("osd" finds the script). */
  for (guint i = 0; lines[i] != NULL; i++)
    if (*g_strstrip (lines[i]) != '\0' && strpbrk (lines[i], " \t/:+") == NULL)
      {
        g_strv_builder_add (names, lines[i]);
        n += !g_str_equal (lines[i], "osd");
      }
  self->installed = g_strv_builder_end (names);
  return n > 0 ? g_steal_pointer (&self) : NULL;
}

void
ing_recognizer_free (IngRecognizer *self)
{
  if (self == NULL)
    return;
  g_free (self->program);
  g_strfreev (self->installed);
  g_free (self->languages);
  g_free (self);
}

/* ------------------------------------------------------------------ the table */

typedef struct
{
  GPtrArray *paragraphs;
  GString *text;
  double confidence;
  guint n_words;
  int block, paragraph;
} Table;

static void
end_paragraph (Table *t)
{
  if (t->n_words > 0 && t->confidence / t->n_words >= LEAST_CONFIDENCE)
    g_ptr_array_add (t->paragraphs, g_strdup (t->text->str));
  g_string_truncate (t->text, 0);
  t->confidence = t->n_words = 0;
}

/* Chinese and Japanese, their punctuation too: no space stands before or behind. */
static gboolean
is_close (gunichar c)
{
  return ing_search_is_cjk (c) || (c >= 0x3000 && c <= 0x303f) || (c >= 0xff00 && c <= 0xffef);
}

static void
add_word (Table *t, const char *word)
{
  if (t->text->len > 0)
    {
      const char *last = g_utf8_find_prev_char (t->text->str, t->text->str + t->text->len);
      if (!is_close (g_utf8_get_char (last)) || !is_close (g_utf8_get_char (word)))
        g_string_append_c (t->text, ' ');
    }
  g_string_append (t->text, word);
}

GPtrArray *
ing_recognizer_read_table (const char *tsv)
{
  Table t = { .paragraphs = g_ptr_array_new_with_free_func (g_free), .text = g_string_new (NULL) };
  g_auto (GStrv) lines = g_strsplit (tsv, "\n", -1);
  for (guint i = 1; lines[0] != NULL && lines[i] != NULL; i++)
    {
      /* level, page, block, paragraph, line, word, left, top, width, height, confidence, text */
      g_auto (GStrv) field = g_strsplit (lines[i], "\t", 12);
      if (g_strv_length (field) != 12 || !g_str_equal (field[0], "5") || *g_strstrip (field[11]) == '\0')
        continue;
      int block = atoi (field[2]), paragraph = atoi (field[3]);
      if (block != t.block || paragraph != t.paragraph)
        end_paragraph (&t);
      t.block = block;
      t.paragraph = paragraph;
      t.confidence += CLAMP (g_ascii_strtod (field[10], NULL), 0, 100);
      t.n_words++;
      add_word (&t, field[11]);
    }
  end_paragraph (&t);
  g_string_free (t.text, TRUE);
  return t.paragraphs;
}

/* ------------------------------------------------------------------ a page */

/* A file in memory with @picture as a portable graymap, -1 where there is no room. */
static int
make_graymap (const IngPagePicture *picture)
{
  g_autofree char *head = g_strdup_printf ("P5\n%u %u\n255\n", picture->width, picture->height);
  gsize n_head = strlen (head), n = n_head + (gsize) picture->width * picture->height, done = 0;
  g_autofree guint8 *gray = g_try_malloc (n);
  int fd = gray != NULL ? memfd_create ("page", MFD_CLOEXEC) : -1;
  if (fd < 0)
    return -1;
  memcpy (gray, head, n_head);
  guint8 *to = gray + n_head;
  const guint8 *pixels = g_bytes_get_data (picture->pixels, NULL);
  for (guint y = 0; y < picture->height; y++)
    for (guint x = 0; x < picture->width; x++)
      {
        guint32 pixel = ((const guint32 *) (gconstpointer) (pixels + (gsize) y * picture->stride))[x];
        /* ITU-R BT.601 in 256ths. */
        *to++ = (guint8) (((pixel >> 16 & 255) * 77 + (pixel >> 8 & 255) * 150 + (pixel & 255) * 29) >> 8);
      }
  while (done < n)
    {
      gssize k = write (fd, gray + done, n - done);
      if (k <= 0 && errno != EINTR)
        break;
      done += (gsize) MAX (k, 0);
    }
  if (done == n && lseek (fd, 0, SEEK_SET) == 0)
    return fd;
  close (fd);
  return -1;
}

/* As large as the reader draws it. */
static gboolean
draw (const char *path, guint page, GCancellable *cancellable, IngPagePicture *out, GError **error)
{
  for (guint width = PAGE_WIDTH;; width /= 2)
    {
      GError *own = NULL;
      if (ing_reader_draw_page (path, page, width, NULL, cancellable, out, &own))
        return TRUE;
      ing_page_picture_clear (out);
      gboolean too_large = g_error_matches (own, ING_ERROR, ING_ERROR_LIMIT) && width > LEAST_WIDTH;
      if (!too_large)
        {
          g_propagate_error (error, own);
          return FALSE;
        }
      g_clear_error (&own);
    }
}

/* The script that the page is written in; NULL if that cannot be told. Caller frees. */
static char *
find_script (IngRecognizer *self, const char *path, const IngPagePicture *picture, GCancellable *cancellable)
{
  if (!g_strv_contains ((const char *const *) self->installed, "osd"))
    return NULL;
  int input = make_graymap (picture);
  const char *const words[] = { "stdin", "stdout", "--psm", "0", "-l", "osd", NULL };
  g_autofree char *text = input >= 0 ? run (self, path, input, words, cancellable, NULL) : NULL;
  const char *at = text != NULL ? strstr (text, "\nScript: ") : NULL;
  return at != NULL ? g_strndup (at + strlen ("\nScript: "), strcspn (at + strlen ("\nScript: "), "\r\n")) : NULL;
}

GPtrArray *
ing_recognizer_read_page (IngRecognizer *self, const char *path, guint page, GCancellable *cancellable, GError **error)
{
  g_auto (IngPagePicture) picture = { 0 };
  if (!draw (path, page, cancellable, &picture, error))
    return NULL;
  if (self->languages == NULL)
    {
      g_autofree char *script = find_script (self, path, &picture, cancellable);
      self->languages = ing_recognizer_choose_languages ((const char *const *) self->installed, g_get_language_names (),
                                                         script);
    }
  int input = make_graymap (&picture);
  const char *const words[] = { "stdin", "stdout", "-l", self->languages, "tsv", NULL };
  g_autofree char *tsv = input >= 0 ? run (self, path, input, words, cancellable, error) : g_strdup ("");
  return tsv != NULL ? ing_recognizer_read_table (tsv) : NULL;
}
