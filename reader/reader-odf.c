/* SPDX-License-Identifier: Apache-2.0 */
/* ODT, ODP, ODS: one content.xml holds the text of all. */
#include <stdlib.h>
#include <string.h>

#include "reader-office.h"

#define MAX_REPEATED 64u /* cells that repeat: empty ones fill whole sheets */

typedef struct
{
  RdrOut *out;
  GString *text, *row;
  guint level, items, tables, paragraphs, notes, page;
  guint n_rows, repeat;
  gboolean deleted, sheets; /* a spreadsheet, whose tables have names that people gave */
  GError *error;
} Odf;

static void
odf_start (const char *name, const char **attributes, gpointer data)
{
  Odf *o = data;
  if (g_str_equal (name, "tracked-changes"))
    o->deleted = TRUE;
  else if (g_str_equal (name, "spreadsheet"))
    o->sheets = TRUE;
  else if (g_str_equal (name, "h"))
    {
      const char *level = rdr_xml_get (attributes, "outline-level");
      o->level = level != NULL ? (guint) CLAMP (atoi (level), 1, 6) : 1;
      o->paragraphs++;
    }
  else if (g_str_equal (name, "p"))
    o->paragraphs++;
  else if (g_str_equal (name, "list-item"))
    o->items++;
  else if (g_str_equal (name, "s") || g_str_equal (name, "tab") || g_str_equal (name, "line-break"))
    g_string_append_c (o->text, ' ');
  else if (g_str_equal (name, "page"))
    {
      const char *title = rdr_xml_get (attributes, "name");
      rdr_out_set_page (o->out, ++o->page);
      if (title != NULL && !g_str_has_prefix (title, "page"))
        rdr_out_block (o->out, RDR_HEADING, 1, title, -1, &o->error);
    }
  else if (g_str_equal (name, "table") && o->tables++ == 0)
    {
      const char *title = rdr_xml_get (attributes, "name");
      o->n_rows = 0;
      rdr_out_begin_table (o->out);
      if (title != NULL && o->sheets)
        rdr_out_block (o->out, RDR_HEADING, 3, title, -1, &o->error);
    }
  else if (g_str_equal (name, "table-row"))
    g_string_truncate (o->row, 0);
  else if (g_str_equal (name, "table-cell") || g_str_equal (name, "covered-table-cell"))
    {
      const char *repeat = rdr_xml_get (attributes, "number-columns-repeated");
      o->repeat = repeat != NULL ? (guint) CLAMP (atoi (repeat), 1, (int) MAX_REPEATED) : 1;
      g_string_truncate (o->text, 0);
    }
}

static void
end_paragraph (Odf *o)
{
  if (o->paragraphs > 0)
    o->paragraphs--;
  if (o->tables > 0)
    {
      g_string_append_c (o->text, ' '); /* paragraphs of one cell */
      return;
    }
  if (o->paragraphs > 0 || o->deleted)
    return; /* a note within a paragraph */
  rdr_out_block (o->out, o->level > 0 ? RDR_HEADING : o->items > 0 ? RDR_ITEM : RDR_PARAGRAPH, o->level, o->text->str,
                 (gssize) o->text->len, &o->error);
  g_string_truncate (o->text, 0);
  o->level = 0;
}

static void
odf_end (const char *name, gpointer data)
{
  Odf *o = data;
  if (o->error != NULL)
    return;
  if (g_str_equal (name, "tracked-changes"))
    o->deleted = FALSE;
  else if (g_str_equal (name, "p") || g_str_equal (name, "h"))
    end_paragraph (o);
  else if (g_str_equal (name, "list-item") && o->items > 0)
    o->items--;
  else if (g_str_equal (name, "table-cell") || g_str_equal (name, "covered-table-cell"))
    {
      for (guint i = 0; i < o->repeat && o->row->len < RDR_MAX_BLOCK_BYTES; i++)
        {
          g_string_append (o->row, o->text->str);
          g_string_append_c (o->row, '\t');
        }
      g_string_truncate (o->text, 0);
    }
  else if (g_str_equal (name, "table-row"))
    {
      if (o->row->len > strspn (o->row->str, "\t "))
        rdr_out_row (o->out, o->row->str, o->n_rows++ == 0, &o->error);
    }
  else if (g_str_equal (name, "table") && o->tables > 0)
    o->tables--;
}

static void
odf_text (const char *text, gsize n, gpointer data)
{
  Odf *o = data;
  if (o->paragraphs == 0 || o->deleted)
    return;
  for (gsize i = 0; i < n; i++)
    g_string_append_c (o->text, text[i] == '\t' ? ' ' : text[i]);
}

typedef struct
{
  gboolean encrypted;
} Manifest;

static void
manifest_start (const char *name, const char **attributes, gpointer data)
{
  if (g_str_equal (name, "encryption-data"))
    ((Manifest *) data)->encrypted = TRUE;
}

static void
manifest_end (const char *name, gpointer data)
{
}

static void
manifest_text (const char *text, gsize n, gpointer data)
{
}

gboolean
rdr_office_odf (RdrZip *zip, RdrOut *out, GError **error)
{
  Manifest m = { FALSE };
  Odf o = { .out = out, .text = g_string_new (NULL), .row = g_string_new (NULL) };
  const RdrXmlHandler manifest = { .start = manifest_start, .end = manifest_end, .text = manifest_text, .data = &m };
  const RdrXmlHandler content = { .start = odf_start, .end = odf_end, .text = odf_text, .data = &o, .stop = &o.error };
  gboolean ok = rdr_office_parse (zip, "META-INF/manifest.xml", FALSE, &manifest, error);
  if (ok && m.encrypted)
    {
      g_set_error_literal (error, RDR_ERROR, RDR_CODE_ENCRYPTED, "the document is locked with a password");
      ok = FALSE;
    }
  ok = ok && rdr_office_parse (zip, "content.xml", TRUE, &content, error);
  rdr_out_set_pages (out, o.page);
  g_string_free (o.text, TRUE);
  g_string_free (o.row, TRUE);
  return ok;
}
