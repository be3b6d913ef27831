/* SPDX-License-Identifier: Apache-2.0 */
/* Markdown by md4c: its callbacks to blocks. A link's address and a picture's place are not text. */
#include <md4c.h>
#include <string.h>

#include "reader.h"

typedef struct
{
  RdrOut *out;
  GString *text;
  guint level, item_depth;
  gboolean code, header;
  GError *error;
} Markdown;

static gboolean
end_block (Markdown *m)
{
  RdrKind kind = m->code ? RDR_CODE : m->level > 0 ? RDR_HEADING : m->item_depth > 0 ? RDR_ITEM : RDR_PARAGRAPH;
  gboolean ok = rdr_out_block (m->out, kind, m->level, m->text->str, (gssize) m->text->len, &m->error);
  if (ok && kind == RDR_HEADING)
    rdr_out_set_title (m->out, m->text->str);
  g_string_truncate (m->text, 0);
  return ok;
}

static int
enter_block (MD_BLOCKTYPE type, void *detail, void *data)
{
  Markdown *m = data;
  gboolean ok = TRUE;
  switch (type)
    {
    case MD_BLOCK_H:
      m->level = ((MD_BLOCK_H_DETAIL *) detail)->level;
      break;
    case MD_BLOCK_UL:
    case MD_BLOCK_OL:
      ok = end_block (m); /* the text of the item around it */
      break;
    case MD_BLOCK_LI:
      m->item_depth++;
      break;
    case MD_BLOCK_CODE:
      m->code = TRUE;
      break;
    case MD_BLOCK_TABLE:
      rdr_out_begin_table (m->out);
      break;
    case MD_BLOCK_THEAD:
      m->header = TRUE;
      break;
    case MD_BLOCK_TH:
    case MD_BLOCK_TD:
      if (m->text->len > 0)
        g_string_append_c (m->text, '\t');
      break;
    case MD_BLOCK_DOC:
    case MD_BLOCK_QUOTE:
    case MD_BLOCK_HR:
    case MD_BLOCK_HTML:
    case MD_BLOCK_P:
    case MD_BLOCK_TBODY:
    case MD_BLOCK_TR:
    default:
      break;
    }
  return ok ? 0 : 1;
}

static int
leave_block (MD_BLOCKTYPE type, void *detail, void *data)
{
  Markdown *m = data;
  gboolean ok = TRUE;
  switch (type)
    {
    case MD_BLOCK_H:
    case MD_BLOCK_P:
    case MD_BLOCK_CODE:
    case MD_BLOCK_HTML:
      ok = end_block (m);
      m->level = 0;
      m->code = FALSE;
      break;
    case MD_BLOCK_LI:
      ok = end_block (m);
      m->item_depth--;
      break;
    case MD_BLOCK_TR:
      ok = rdr_out_row (m->out, m->text->str, m->header, &m->error);
      g_string_truncate (m->text, 0);
      break;
    case MD_BLOCK_THEAD:
      m->header = FALSE;
      break;
    case MD_BLOCK_DOC:
    case MD_BLOCK_QUOTE:
    case MD_BLOCK_UL:
    case MD_BLOCK_OL:
    case MD_BLOCK_HR:
    case MD_BLOCK_TABLE:
    case MD_BLOCK_TBODY:
    case MD_BLOCK_TH:
    case MD_BLOCK_TD:
    default:
      break;
    }
  return ok ? 0 : 1;
}

static int
on_span (MD_SPANTYPE type, void *detail, void *data)
{
  return 0;
}

static int
on_text (MD_TEXTTYPE type, const MD_CHAR *text, MD_SIZE n, void *data)
{
  Markdown *m = data;
  if (type == MD_TEXT_BR || type == MD_TEXT_SOFTBR)
    g_string_append_c (m->text, ' ');
  else if (type == MD_TEXT_NULLCHAR)
    return 0;
  else if (type == MD_TEXT_HTML)
    return 0; /* tags */
  else if (type == MD_TEXT_ENTITY && n < 16)
    {
      static const struct
      {
        const char *name, *text;
      } entities[] = { { "&amp;", "&" }, { "&lt;", "<" }, { "&gt;", ">" }, { "&quot;", "\"" }, { "&nbsp;", " " } };
      g_autofree char *name = g_strndup (text, n);
      for (guint i = 0; i < G_N_ELEMENTS (entities); i++)
        if (g_str_equal (name, entities[i].name))
          {
            g_string_append (m->text, entities[i].text);
            return 0;
          }
      g_string_append_len (m->text, text, n);
    }
  else
    g_string_append_len (m->text, text, n);
  return 0;
}

gboolean
rdr_read_markdown (GBytes *bytes, RdrOut *out, GError **error)
{
  gsize n, n_text;
  const char *data = g_bytes_get_data (bytes, &n);
  g_autofree char *text = n > 0 ? rdr_decode_text (data, n, NULL, &n_text, error) : NULL;
  const MD_PARSER parser = { .flags = MD_FLAG_TABLES | MD_FLAG_STRIKETHROUGH | MD_FLAG_TASKLISTS,
                             .enter_block = enter_block,
                             .leave_block = leave_block,
                             .enter_span = on_span,
                             .leave_span = on_span,
                             .text = on_text };
  if (n == 0)
    g_set_error_literal (error, RDR_ERROR, RDR_CODE_FORMAT, "the file is empty");
  if (text == NULL)
    return FALSE;
  Markdown m = { .out = out, .text = g_string_new (NULL) };
  int rc = md_parse (text, (MD_SIZE) n_text, &parser, &m);
  g_string_free (m.text, TRUE);
  if (m.error != NULL)
    g_propagate_error (error, m.error);
  else if (rc != 0)
    g_set_error_literal (error, RDR_ERROR, RDR_CODE_MEMORY, "not enough memory for this file");
  return rc == 0 && m.error == NULL;
}
