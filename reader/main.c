/* SPDX-License-Identifier: Apache-2.0 */
/* inglenook-reader: one document, on descriptor 0, to blocks on descriptor 1 (reader-wire.h). Started by the
 * program, not by a person. Confined before it reads the first byte. */
#include <glib/gi18n.h>
#include <errno.h>
#include <fcntl.h>
#include <libxml/parser.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "reader.h"

#define READING_NICE 10

typedef gboolean (*Reader) (GBytes *bytes, RdrOut *out, GError **error);

static const struct
{
  const char *kind;
  Reader read;
  const char *suffixes; /* parted by spaces */
} kinds[] = {
  { "markdown", rdr_read_markdown, "md markdown mdown mkd" },
  { "html", rdr_read_html, "html htm xhtml xht" },
  { "csv", rdr_read_csv, "csv tsv tab" },
  { "rtf", rdr_read_rtf, "rtf" },
  { "code", rdr_read_code,
    "c h cc cpp cxx hpp hh cu cuh py js mjs ts tsx jsx java kt go rs rb php pl pm sh bash zsh fish lua swift scala cs vb "
    "sql r m mm hs ml erl ex clj lisp el vim css scss less json json5 jsonl yaml yml toml ini cfg conf xml xsd svg ui "
    "cmake mk make gradle proto graphql diff patch tex bib dockerfile meson" },
  { "text", rdr_read_text, "txt text log rst adoc asc org nfo srt" },
};

static gboolean
has_suffix (const char *name, const char *suffixes)
{
  const char *dot = strrchr (name, '.');
  g_autofree char *suffix = dot != NULL ? g_ascii_strdown (dot + 1, -1) : NULL;
  g_auto (GStrv) list = g_strsplit (suffixes, " ", -1);
  return suffix != NULL && g_strv_contains ((const char *const *) list, suffix);
}

static gboolean
begins_with (const char *data, gsize n, const char *what)
{
  return n >= strlen (what) && memcmp (data, what, strlen (what)) == 0;
}

/* An OOXML file that is locked lies as one stream in a file of the old kind (MS-OFFCRYPTO 2.3.4.4). */
static gboolean
is_locked_office (const char *data, gsize n)
{
  static const char name[] = "E\0n\0c\0r\0y\0p\0t\0e\0d\0P\0a\0c\0k\0a\0g\0e"; /* UTF-16 */
  return memmem (data, n, name, sizeof name) != NULL;
}

/* By the first bytes where they tell, else by the name, else as text. */
static gboolean
read_document (GBytes *bytes, const char *name, const char *password, RdrOut *out, const char **kind, GError **error)
{
  gsize n;
  const char *data = g_bytes_get_data (bytes, &n);
  *kind = "text";
  if (n == 0)
    {
      g_set_error_literal (error, RDR_ERROR, RDR_CODE_FORMAT, "the file is empty");
      return FALSE;
    }
  /* Readers of PDF look for the mark within the first kilobyte, and so do writers. */
  if (begins_with (data, n, "%PDF-") || memmem (data, MIN (n, 1024), "%PDF-", 5) != NULL)
    {
      *kind = "pdf";
      return rdr_read_pdf (bytes, password, out, error);
    }
  if (begins_with (data, n, "PK\3\4") || begins_with (data, n, "PK\5\6"))
    return rdr_read_archive (bytes, out, kind, error);
  if (has_suffix (name, "pdf docx pptx xlsx odt odp ods epub doc ppt xls"))
    {
      if (!begins_with (data, n, "\xd0\xcf\x11\xe0"))
        g_set_error_literal (error, RDR_ERROR, RDR_CODE_FORMAT, "the file is not what its name says");
      else if (is_locked_office (data, n))
        g_set_error_literal (error, RDR_ERROR, RDR_CODE_ENCRYPTED, "the office file is locked with a password");
      else
        g_set_error_literal (error, RDR_ERROR, RDR_CODE_UNSUPPORTED,
                             _ ("an office file of the time before 2007; save it as DOCX, PPTX or XLSX"));
      return FALSE;
    }
  if (n > RDR_MAX_PLAIN_BYTES)
    {
      g_set_error (error, RDR_ERROR, RDR_CODE_LIMIT, _ ("%llu MB of text; at most %llu are read"),
                   (unsigned long long) (n >> 20), RDR_MAX_PLAIN_BYTES >> 20);
      return FALSE;
    }
  if (begins_with (data, n, "{\\rtf"))
    {
      *kind = "rtf";
      return rdr_read_rtf (bytes, out, error);
    }
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    if (has_suffix (name, kinds[i].suffixes))
      {
        *kind = kinds[i].kind;
        return kinds[i].read (bytes, out, error);
      }
  g_autofree char *head = g_ascii_strdown (data, (gssize) MIN (n, 256));
  if (strstr (head, "<!doctype html") != NULL || strstr (head, "<html") != NULL)
    {
      *kind = "html";
      return rdr_read_html (bytes, out, error);
    }
  return rdr_read_text (bytes, out, error);
}

/* The whole file behind descriptor 0 as memory. A file cut by somebody meanwhile ends this process (SIGBUS), which the
 * program tells as a broken file. */
static GBytes *
map_input (GError **error)
{
  struct stat st;
  if (fstat (STDIN_FILENO, &st) != 0 || !S_ISREG (st.st_mode))
    {
      g_set_error_literal (error, RDR_ERROR, RDR_CODE_UNSUPPORTED, _ ("this is no ordinary file"));
      return NULL;
    }
  if ((guint64) st.st_size > RDR_MAX_FILE_BYTES)
    {
      g_set_error (error, RDR_ERROR, RDR_CODE_LIMIT, _ ("%llu MB; at most %llu are read"),
                   (unsigned long long) st.st_size >> 20, RDR_MAX_FILE_BYTES >> 20);
      return NULL;
    }
  if (st.st_size == 0)
    return g_bytes_new_static ("", 0);
  void *data = mmap (NULL, (gsize) st.st_size, PROT_READ, MAP_PRIVATE, STDIN_FILENO, 0);
  if (data == MAP_FAILED)
    {
      g_set_error (error, RDR_ERROR, errno == ENOMEM ? RDR_CODE_LIMIT : RDR_CODE_FORMAT,
                   _ ("the file cannot be read: %s"), g_strerror (errno));
      return NULL;
    }
  return g_bytes_new_static (data, (gsize) st.st_size);
}

/* The password on descriptor 3, or NULL. */
static char *
read_password (void)
{
  char text[RDR_MAX_PASSWORD_BYTES + 1];
  gsize n = 0;
  gssize k;
  while (n < RDR_MAX_PASSWORD_BYTES && (k = read (3, text + n, RDR_MAX_PASSWORD_BYTES - n)) > 0)
    n += (gsize) k;
  close (3);
  return n > 0 ? g_strndup (text, n) : NULL;
}

/* For the test of the confinement: what a document that took this process over could still do, a word each. */
static int
try_all (void)
{
  int fd = open ("/etc/passwd", O_RDONLY);
  if (fd >= 0)
    puts ("read");
  fd = open ("/tmp", O_TMPFILE | O_RDWR, 0600);
  if (fd >= 0)
    puts ("write");
  if (socket (AF_INET, SOCK_STREAM, 0) >= 0 || socket (AF_UNIX, SOCK_STREAM, 0) >= 0)
    puts ("connect");
  if (vfork () == 0)
    _exit (0);
  else if (errno != EPERM)
    puts ("fork");
  execl ("/bin/true", "true", NULL);
  if (errno != EPERM)
    puts ("execute");
  return fflush (stdout) == 0 ? 0 : 1;
}

/* What it starts with is what it keeps: no file of the person's, no network, no writing, limits of time and memory. */
static int
become (char **argv)
{
  setpriority (PRIO_PROCESS, 0, READING_NICE);
  setenv ("OMP_THREAD_LIMIT", "1", 1); /* tesseract's threads cost more than they bring */
  rdr_confine (NULL, TRUE);
  execv (argv[0], argv);
  return 127;
}

/* Messages in the person's language; loaded here, since no file is opened later. */
static void
load_words (void)
{
  setlocale (LC_MESSAGES, "");
  setlocale (LC_CTYPE, "C.UTF-8");
  bindtextdomain ("inglenook", g_getenv ("TEXTDOMAINDIR"));
  bind_textdomain_codeset ("inglenook", "UTF-8");
  textdomain ("inglenook");
  const char *any = ""; /* the catalogue's header */
  gettext (any);
}

static void
no_log (const char *domain, GLogLevelFlags level, const char *text, gpointer data)
{
}

int
main (int argc, char **argv)
{
  const gboolean has_password = argc > 1 && g_str_equal (argv[1], "--password");
  argc -= has_password;
  argv += has_password;
  const gboolean is_page = argc >= 5 && g_str_equal (argv[1], "page");
  if (argc == 2 && g_str_equal (argv[1], "try"))
    {
      RdrOut *nowhere = rdr_out_new (open ("/dev/null", O_WRONLY));
      rdr_confine (nowhere, FALSE);
      return try_all ();
    }
  if (argc >= 3 && g_str_equal (argv[1], "recognize"))
    return become (argv + 2);
  if (!is_page && !(argc == 3 && g_str_equal (argv[1], "text")))
    {
      fputs ("inglenook-reader is started by Inglenook: [--password] text NAME | page NAME PAGE WIDTH [FIND]\n", stderr);
      return 2;
    }
  if (!is_page)
    setpriority (PRIO_PROCESS, 0, READING_NICE); /* an answer, or a window, goes first */
  signal (SIGPIPE, SIG_DFL);
  load_words ();
  g_log_set_default_handler (no_log, NULL);
  xmlInitParser ();
  RdrOut *out = rdr_out_new (STDOUT_FILENO);
  rdr_confine (out, FALSE);
  g_autoptr (GError) error = NULL;
  g_autofree char *password = has_password ? read_password () : NULL;
  g_autoptr (GBytes) bytes = map_input (&error);
  const char *kind = "";
  gboolean ok = bytes != NULL;
  if (ok && is_page)
    ok = rdr_draw_page (bytes, password, (guint) CLAMP (atoi (argv[3]), 0, (int) RDR_MAX_PAGES),
                        (guint) CLAMP (atoi (argv[4]), 1, 8192), argc > 5 ? argv[5] : NULL, out, &error);
  else if (ok)
    ok = read_document (bytes, argv[2], password, out, &kind, &error);
  if (!ok)
    rdr_out_error (out, error);
  else if (!is_page)
    rdr_out_end (out, kind);
  rdr_out_free (out);
  return ok ? 0 : 1;
}
