/* SPDX-License-Identifier: Apache-2.0 */
/* DOCX, PPTX and XLSX. Only parts with text are read; relations to other files and places are never followed. */
#include <stdlib.h>
#include <string.h>

#include "reader-office.h"

/* ------------------------------------------------------------------ DOCX */

typedef struct
{
  RdrOut *out;
  GHashTable *levels; /* style id → level of its heading */
  char *style;        /* while styles.xml is read */
  GString *text, *row;
  guint level, tables, n_cells, n_rows;
  gboolean in_text, deleted, item, hidden;
  GError *error;
} Docx;

static void
styles_start (const char *name, const char **attributes, gpointer data)
{
  Docx *d = data;
  const char *value = rdr_xml_get (attributes, "val");
  if (g_str_equal (name, "style"))
    {
      g_free (d->style);
      d->style = g_strdup (rdr_xml_get (attributes, "styleId"));
    }
  if (d->style == NULL || value == NULL)
    return;
  if (g_str_equal (name, "outlineLvl"))
    g_hash_table_insert (d->levels, g_strdup (d->style), GUINT_TO_POINTER (CLAMP (atoi (value) + 1, 1, 6)));
  else if (g_str_equal (name, "name") && g_ascii_strncasecmp (value, "heading ", 8) == 0)
    g_hash_table_insert (d->levels, g_strdup (d->style), GUINT_TO_POINTER (CLAMP (atoi (value + 8), 1, 6)));
  else if (g_str_equal (name, "name") && g_ascii_strcasecmp (value, "title") == 0)
    g_hash_table_insert (d->levels, g_strdup (d->style), GUINT_TO_POINTER (1));
}

static void
ignore_end (const char *name, gpointer data)
{
}

static void
ignore_text (const char *text, gsize n, gpointer data)
{
}

static void
docx_start (const char *name, const char **attributes, gpointer data)
{
  Docx *d = data;
  const char *value = rdr_xml_get (attributes, "val");
  if (g_str_equal (name, "t"))
    d->in_text = TRUE;
  else if (g_str_equal (name, "del"))
    d->deleted = TRUE;
  else if (g_str_equal (name, "tab") || g_str_equal (name, "br") || g_str_equal (name, "cr"))
    g_string_append_c (d->text, ' ');
  else if (g_str_equal (name, "pStyle") && value != NULL)
    d->level = GPOINTER_TO_UINT (g_hash_table_lookup (d->levels, value));
  else if (g_str_equal (name, "outlineLvl") && value != NULL && atoi (value) < 9)
    d->level = (guint) CLAMP (atoi (value) + 1, 1, 6);
  else if (g_str_equal (name, "numPr"))
    d->item = TRUE;
  else if (g_str_equal (name, "vanish") && g_strcmp0 (value, "0") != 0)
    d->hidden = TRUE;
  else if (g_str_equal (name, "tbl") && d->tables++ == 0)
    {
      d->n_rows = 0;
      rdr_out_begin_table (d->out);
    }
  else if (g_str_equal (name, "tr") && d->tables == 1)
    {
      d->n_cells = 0;
      g_string_truncate (d->row, 0);
    }
  else if (g_str_equal (name, "tc") && d->tables == 1 && d->n_cells++ > 0)
    g_string_append_c (d->row, '\t');
}

static void
docx_end (const char *name, gpointer data)
{
  Docx *d = data;
  if (g_str_equal (name, "t"))
    d->in_text = FALSE;
  else if (g_str_equal (name, "del"))
    d->deleted = FALSE;
  else if (g_str_equal (name, "p"))
    {
      if (d->tables > 0)
        {
          if (d->row->len > 0 && d->row->str[d->row->len - 1] != '\t')
            g_string_append_c (d->row, ' ');
          for (gsize i = 0; i < d->text->len; i++)
            g_string_append_c (d->row, d->text->str[i] == '\t' ? ' ' : d->text->str[i]);
        }
      else
        {
          rdr_out_set_hidden (d->out, d->hidden);
          rdr_out_block (d->out, d->level > 0 ? RDR_HEADING : d->item ? RDR_ITEM : RDR_PARAGRAPH, d->level, d->text->str,
                         (gssize) d->text->len, &d->error);
          rdr_out_set_hidden (d->out, FALSE);
        }
      g_string_truncate (d->text, 0);
      d->level = 0;
      d->item = d->hidden = FALSE;
    }
  else if (g_str_equal (name, "tr") && d->tables == 1 && d->error == NULL)
    rdr_out_row (d->out, d->row->str, d->n_rows++ == 0, &d->error);
  else if (g_str_equal (name, "tbl") && d->tables > 0)
    d->tables--;
}

static void
docx_text (const char *text, gsize n, gpointer data)
{
  Docx *d = data;
  if (d->in_text && !d->deleted && d->text->len < RDR_MAX_TEXT_BYTES)
    g_string_append_len (d->text, text, (gssize) n);
}

typedef struct
{
  RdrOut *out;
  GString *text;
  gboolean title;
} Properties;

static void
properties_start (const char *name, const char **attributes, gpointer data)
{
  Properties *p = data;
  p->title = g_str_equal (name, "title");
}

static void
properties_end (const char *name, gpointer data)
{
  ((Properties *) data)->title = FALSE;
}

static void
properties_text (const char *text, gsize n, gpointer data)
{
  Properties *p = data;
  if (p->title && p->text->len < 1024)
    g_string_append_len (p->text, text, (gssize) MIN (n, 1024));
}

/* The title of docProps/core.xml or meta.xml; a broken one is no reason to refuse the document. */
static void
read_title (RdrZip *zip, const char *part, RdrOut *out)
{
  Properties p = { .out = out, .text = g_string_new (NULL) };
  const RdrXmlHandler handler
      = { .start = properties_start, .end = properties_end, .text = properties_text, .data = &p };
  rdr_office_parse (zip, part, FALSE, &handler, NULL);
  rdr_out_set_title (out, p.text->str);
  g_string_free (p.text, TRUE);
}

gboolean
rdr_office_docx (RdrZip *zip, RdrOut *out, GError **error)
{
  static const char *const parts[] = { "word/document.xml", "word/footnotes.xml", "word/endnotes.xml" };
  Docx d = { .out = out, .text = g_string_new (NULL), .row = g_string_new (NULL),
             .levels = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL) };
  const RdrXmlHandler styles
      = { .start = styles_start, .end = ignore_end, .text = ignore_text, .data = &d };
  const RdrXmlHandler body
      = { .start = docx_start, .end = docx_end, .text = docx_text, .data = &d, .stop = &d.error };
  read_title (zip, "docProps/core.xml", out);
  gboolean ok = rdr_office_parse (zip, "word/styles.xml", FALSE, &styles, error);
  for (guint i = 0; ok && i < G_N_ELEMENTS (parts); i++)
    ok = rdr_office_parse (zip, parts[i], i == 0, &body, error);
  g_string_free (d.text, TRUE);
  g_string_free (d.row, TRUE);
  g_hash_table_unref (d.levels);
  g_free (d.style);
  return ok;
}

/* ------------------------------------------------------------------ PPTX */

typedef struct
{
  RdrOut *out;
  GString *text;
  guint shapes_title; /* this shape is the slide's title */
  gboolean in_text, in_row;
  guint n_cells, n_rows;
  GString *row;
  GError *error;
} Pptx;

static void
pptx_start (const char *name, const char **attributes, gpointer data)
{
  Pptx *p = data;
  if (g_str_equal (name, "t"))
    p->in_text = TRUE;
  else if (g_str_equal (name, "br"))
    g_string_append_c (p->text, ' ');
  else if (g_str_equal (name, "sp"))
    p->shapes_title = 0;
  else if (g_str_equal (name, "ph"))
    {
      const char *type = rdr_xml_get (attributes, "type");
      p->shapes_title = g_strcmp0 (type, "title") == 0 || g_strcmp0 (type, "ctrTitle") == 0;
    }
  else if (g_str_equal (name, "tbl"))
    {
      p->n_rows = 0;
      rdr_out_begin_table (p->out);
    }
  else if (g_str_equal (name, "tr"))
    {
      p->in_row = TRUE;
      p->n_cells = 0;
      g_string_truncate (p->row, 0);
    }
  else if (g_str_equal (name, "tc") && p->n_cells++ > 0)
    g_string_append_c (p->row, '\t');
}

static void
pptx_end (const char *name, gpointer data)
{
  Pptx *p = data;
  if (g_str_equal (name, "t"))
    p->in_text = FALSE;
  else if (g_str_equal (name, "p"))
    {
      if (p->in_row)
        {
          g_string_append (p->row, p->text->str);
          g_string_append_c (p->row, ' ');
        }
      else
        rdr_out_block (p->out, p->shapes_title ? RDR_HEADING : RDR_PARAGRAPH, 2, p->text->str, (gssize) p->text->len,
                       &p->error);
      g_string_truncate (p->text, 0);
    }
  else if (g_str_equal (name, "tr") && p->error == NULL)
    {
      p->in_row = FALSE;
      rdr_out_row (p->out, p->row->str, p->n_rows++ == 0, &p->error);
    }
}

static void
pptx_text (const char *text, gsize n, gpointer data)
{
  Pptx *p = data;
  if (p->in_text)
    g_string_append_len (p->text, text, (gssize) n);
}

gboolean
rdr_office_pptx (RdrZip *zip, RdrOut *out, GError **error)
{
  Pptx p = { .out = out, .text = g_string_new (NULL), .row = g_string_new (NULL) };
  const RdrXmlHandler handler
      = { .start = pptx_start, .end = pptx_end, .text = pptx_text, .data = &p, .stop = &p.error };
  gboolean ok = TRUE;
  guint n = 0;
  read_title (zip, "docProps/core.xml", out);
  g_autoptr (GPtrArray) parts = rdr_office_list_parts (zip, "ppt/presentation.xml", "sldId");
  for (guint i = 1; ok && i <= RDR_MAX_PAGES; i++)
    {
      g_autofree char *numbered = g_strdup_printf ("ppt/slides/slide%u.xml", i);
      const char *slide = parts->len == 0 ? numbered : i <= parts->len ? g_ptr_array_index (parts, i - 1) : NULL;
      if (slide == NULL || (parts->len == 0 && !rdr_zip_has (zip, slide)))
        break;
      g_autofree char *notes = rdr_office_find_related (zip, slide, "/notesSlide");
      n = i;
      rdr_out_set_page (out, i);
      ok = rdr_office_parse (zip, slide, FALSE, &handler, error)
           && (notes == NULL || rdr_office_parse (zip, notes, FALSE, &handler, error));
    }
  rdr_out_set_pages (out, n);
  g_string_free (p.text, TRUE);
  g_string_free (p.row, TRUE);
  return ok;
}

/* ------------------------------------------------------------------ XLSX */

typedef struct
{
  RdrOut *out;
  GPtrArray *strings; /* shared ones */
  GPtrArray *sheets;  /* names */
  GString *text, *row;
  gboolean in_text, phonetic;
  char type; /* of the cell: s shared, i inline or formula's text, n number, b boolean */
  guint column, next, n_rows; /* next: column of a cell that does not say its own */
  GError *error;
} Xlsx;

static void
strings_start (const char *name, const char **attributes, gpointer data)
{
  Xlsx *x = data;
  if (g_str_equal (name, "si"))
    g_string_truncate (x->text, 0);
  else if (g_str_equal (name, "rPh"))
    x->phonetic = TRUE;
  x->in_text = g_str_equal (name, "t") && !x->phonetic;
}

static void
strings_end (const char *name, gpointer data)
{
  Xlsx *x = data;
  x->in_text = FALSE;
  if (g_str_equal (name, "rPh"))
    x->phonetic = FALSE;
  else if (g_str_equal (name, "si"))
    g_ptr_array_add (x->strings, g_strdup (x->text->str));
}

static void
xlsx_text (const char *text, gsize n, gpointer data)
{
  Xlsx *x = data;
  if (x->in_text)
    g_string_append_len (x->text, text, (gssize) n);
}

static void
workbook_start (const char *name, const char **attributes, gpointer data)
{
  Xlsx *x = data;
  const char *title = rdr_xml_get (attributes, "name");
  if (g_str_equal (name, "sheet"))
    g_ptr_array_add (x->sheets, g_strdup (title != NULL ? title : ""));
}

/* "BC12" is in column 54, from 0. */
static guint
column_of (const char *reference)
{
  guint column = 0;
  for (; reference != NULL && g_ascii_isupper (*reference) && column < 20000; reference++)
    column = column * 26 + (guint) (*reference - 'A') + 1;
  return column > 0 ? column - 1 : 0;
}

static void
sheet_start (const char *name, const char **attributes, gpointer data)
{
  Xlsx *x = data;
  if (g_str_equal (name, "row"))
    {
      g_string_truncate (x->row, 0);
      x->column = x->next = 0;
    }
  else if (g_str_equal (name, "c"))
    {
      const char *type = rdr_xml_get (attributes, "t"), *reference = rdr_xml_get (attributes, "r");
      guint column = reference != NULL ? column_of (reference) : x->next;
      x->next = MIN (column, RDR_MAX_CELLS) + 1;
      x->type = type == NULL ? 'n' : g_str_equal (type, "s") ? 's' : g_str_equal (type, "b") ? 'b' : 'i';
      g_string_truncate (x->text, 0);
      if (column > RDR_MAX_CELLS)
        rdr_out_note (x->out, "wide-table");
      for (; x->column < MIN (column, RDR_MAX_CELLS); x->column++)
        g_string_append_c (x->row, '\t');
    }
  x->in_text = g_str_equal (name, "v") || g_str_equal (name, "t");
}

static void
sheet_end (const char *name, gpointer data)
{
  Xlsx *x = data;
  x->in_text = FALSE;
  if (g_str_equal (name, "c"))
    {
      const char *shown = x->text->str;
      if (x->type == 's')
        {
          guint64 i = g_ascii_strtoull (shown, NULL, 10);
          shown = i < x->strings->len ? g_ptr_array_index (x->strings, i) : "";
        }
      else if (x->type == 'b')
        shown = g_str_equal (shown, "1") ? "TRUE" : "FALSE";
      for (; *shown != '\0'; shown++)
        g_string_append_c (x->row, *shown == '\t' || *shown == '\n' ? ' ' : *shown);
    }
  else if (g_str_equal (name, "row") && x->error == NULL)
    {
      gboolean any = x->row->len > strspn (x->row->str, "\t ");
      if (any)
        rdr_out_row (x->out, x->row->str, x->n_rows++ == 0, &x->error);
    }
}

gboolean
rdr_office_xlsx (RdrZip *zip, RdrOut *out, GError **error)
{
  Xlsx x = { .out = out, .strings = g_ptr_array_new_with_free_func (g_free), .text = g_string_new (NULL),
             .sheets = g_ptr_array_new_with_free_func (g_free), .row = g_string_new (NULL) };
  const RdrXmlHandler strings = { .start = strings_start, .end = strings_end, .text = xlsx_text, .data = &x };
  const RdrXmlHandler workbook = { .start = workbook_start, .end = ignore_end, .text = ignore_text, .data = &x };
  const RdrXmlHandler sheet
      = { .start = sheet_start, .end = sheet_end, .text = xlsx_text, .data = &x, .stop = &x.error };
  read_title (zip, "docProps/core.xml", out);
  gboolean ok = rdr_office_parse (zip, "xl/workbook.xml", TRUE, &workbook, error)
                && rdr_office_parse (zip, "xl/sharedStrings.xml", FALSE, &strings, error);
  g_autoptr (GPtrArray) parts = rdr_office_list_parts (zip, "xl/workbook.xml", "sheet");
  for (guint i = 0; ok && i < x.sheets->len; i++)
    {
      g_autofree char *numbered = g_strdup_printf ("xl/worksheets/sheet%u.xml", i + 1);
      const char *part = i < parts->len ? g_ptr_array_index (parts, i) : numbered;
      const char *name = g_ptr_array_index (x.sheets, i);
      rdr_out_set_page (out, i + 1);
      rdr_out_begin_table (out);
      x.n_rows = 0;
      ok = rdr_out_block (out, RDR_HEADING, 1, name, -1, error) && rdr_office_parse (zip, part, FALSE, &sheet, error);
    }
  rdr_out_set_pages (out, x.sheets->len);
  g_ptr_array_unref (x.strings);
  g_ptr_array_unref (x.sheets);
  g_string_free (x.text, TRUE);
  g_string_free (x.row, TRUE);
  return ok;
}
