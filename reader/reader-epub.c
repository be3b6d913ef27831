/* SPDX-License-Identifier: Apache-2.0 */
/* EPUB 3.3: the container names the package, whose spine names the chapters in order. */
#include <string.h>

#include "reader-office.h"

typedef struct
{
  char *package;
  GHashTable *items; /* id → href */
  GPtrArray *spine;  /* ids */
  GString *title;
  gboolean in_title, rights;
} Epub;

static void
container_start (const char *name, const char **attributes, gpointer data)
{
  Epub *e = data;
  if (g_str_equal (name, "rootfile") && e->package == NULL)
    e->package = g_strdup (rdr_xml_get (attributes, "full-path"));
}

static void
package_start (const char *name, const char **attributes, gpointer data)
{
  Epub *e = data;
  const char *id = rdr_xml_get (attributes, "id"), *href = rdr_xml_get (attributes, "href"),
             *ref = rdr_xml_get (attributes, "idref");
  e->in_title = g_str_equal (name, "title") && e->title->len == 0;
  if (g_str_equal (name, "item") && id != NULL && href != NULL)
    g_hash_table_insert (e->items, g_strdup (id), g_uri_unescape_string (href, NULL));
  else if (g_str_equal (name, "itemref") && ref != NULL && e->spine->len < RDR_MAX_ENTRIES)
    g_ptr_array_add (e->spine, g_strdup (ref));
}

static void
rights_start (const char *name, const char **attributes, gpointer data)
{
  const char *algorithm = rdr_xml_get (attributes, "Algorithm");
  /* Fonts are often scrambled by other names; whole chapters only by real ciphers. */
  if (g_str_equal (name, "EncryptionMethod") && algorithm != NULL && strstr (algorithm, "xmlenc") != NULL)
    ((Epub *) data)->rights = TRUE;
}

static void
epub_end (const char *name, gpointer data)
{
  ((Epub *) data)->in_title = FALSE;
}

static void
epub_text (const char *text, gsize n, gpointer data)
{
  Epub *e = data;
  if (e->in_title && e->title->len < 1024)
    g_string_append_len (e->title, text, (gssize) MIN (n, 1024));
}

static gboolean
read_chapter (RdrZip *zip, const char *name, RdrOut *out, GError **error)
{
  gsize n, n_text;
  g_autoptr (GBytes) bytes = rdr_zip_read (zip, name, error);
  if (bytes == NULL)
    return FALSE;
  const char *data = g_bytes_get_data (bytes, &n);
  if (n == 0)
    return TRUE;
  g_autofree char *text = rdr_decode_text (data, n, NULL, &n_text, error);
  return text != NULL && rdr_html_feed (text, n_text, TRUE, out, error);
}

/* Each chapter once, whatever the spine says. */
static gboolean
read_spine (RdrZip *zip, Epub *e, RdrOut *out, GError **error)
{
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autofree char *folder = g_path_get_dirname (e->package);
  gboolean ok = TRUE;
  guint n_found = 0;
  for (guint i = 0; ok && i < e->spine->len; i++)
    {
      const char *href = g_hash_table_lookup (e->items, g_ptr_array_index (e->spine, i));
      g_autofree char *name = href == NULL ? NULL : g_str_equal (folder, ".") ? g_strdup (href) : g_build_filename (folder, href, NULL);
      if (name == NULL || !rdr_zip_has (zip, name) || !g_hash_table_add (seen, g_strdup (name)))
        continue;
      n_found++;
      ok = read_chapter (zip, name, out, error);
    }
  if (ok && n_found == 0)
    {
      g_set_error_literal (error, RDR_ERROR, RDR_CODE_FORMAT, "the book's list of chapters names none that is in it");
      ok = FALSE;
    }
  return ok;
}

gboolean
rdr_office_epub (RdrZip *zip, RdrOut *out, GError **error)
{
  Epub e = { .items = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free),
             .spine = g_ptr_array_new_with_free_func (g_free), .title = g_string_new (NULL) };
  RdrXmlHandler handler = { .start = rights_start, .end = epub_end, .text = epub_text, .data = &e };
  gboolean ok = rdr_office_parse (zip, "META-INF/encryption.xml", FALSE, &handler, error);
  if (ok && e.rights)
    {
      g_set_error_literal (error, RDR_ERROR, RDR_CODE_ENCRYPTED, "the book is protected and cannot be read by other programs");
      ok = FALSE;
    }
  handler.start = container_start;
  ok = ok && rdr_office_parse (zip, "META-INF/container.xml", TRUE, &handler, error);
  if (ok && e.package == NULL)
    {
      g_set_error_literal (error, RDR_ERROR, RDR_CODE_FORMAT, "the book has no list of its parts");
      ok = FALSE;
    }
  handler.start = package_start;
  ok = ok && rdr_office_parse (zip, e.package, TRUE, &handler, error);
  rdr_out_set_title (out, e.title->str);
  ok = ok && read_spine (zip, &e, out, error);
  g_hash_table_unref (e.items);
  g_ptr_array_unref (e.spine);
  g_string_free (e.title, TRUE);
  g_free (e.package);
  return ok;
}
