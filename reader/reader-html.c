/* SPDX-License-Identifier: Apache-2.0 */
/* HTML is told as it is parsed; no tree is built, so its depth costs nothing but a count. Scripts, styles, frames and
 * addresses are no text. */
#include <glib/gi18n.h>
#include <libxml/HTMLparser.h>
#include <string.h>

#include "reader-markup.h"

typedef struct
{
  RdrOut *out;
  GString *text;
  GString *title;
  guint skip;   /* inside so many elements that hold no text */
  guint hidden; /* inside so many elements that are not shown */
  guint level;  /* of the open heading */
  guint items, rows, pre;
  guint n_cells;
  gboolean header_row, in_title, is_chapter;
  guint64 n_elements;
  GError *error;
  htmlParserCtxtPtr parser;
} Html;

static gboolean
is_one_of (const char *name, const char *const *list)
{
  for (; *list != NULL; list++)
    if (g_ascii_strcasecmp (name, *list) == 0)
      return TRUE;
  return FALSE;
}

static const char *const skipped[] = { "script", "style", "template", "noscript", "iframe", "object", "svg", "math",
                                       "select", "textarea", "button", "canvas", "audio", "video", NULL };
static const char *const blocks[]
    = { "p", "div", "section", "article", "header", "footer", "main", "nav", "aside", "blockquote", "ul", "ol", "dl",
        "dt", "dd", "li", "table", "tr", "form", "fieldset", "figure", "figcaption", "hr", "address", "details",
        "summary", "pre", "body", "h1", "h2", "h3", "h4", "h5", "h6", "caption", "thead", "tbody", NULL };

static void
give_up (Html *h)
{
  if (h->error != NULL)
    xmlStopParser (h->parser);
}

static void
end_block (Html *h)
{
  if (h->text->len == 0 || h->error != NULL)
    return;
  RdrKind kind = h->pre > 0 ? RDR_CODE : h->level > 0 ? RDR_HEADING : h->items > 0 ? RDR_ITEM : RDR_PARAGRAPH;
  rdr_out_set_hidden (h->out, h->hidden > 0);
  rdr_out_block (h->out, kind, h->level, h->text->str, (gssize) h->text->len, &h->error);
  rdr_out_set_hidden (h->out, FALSE);
  g_string_truncate (h->text, 0);
  give_up (h);
}

static guint
heading_level (const char *name)
{
  return (name[0] == 'h' || name[0] == 'H') && name[1] >= '1' && name[1] <= '6' && name[2] == '\0' ? (guint) name[1] - '0'
                                                                                                  : 0;
}

static void
on_start (void *data, const xmlChar *element, const xmlChar **attributes)
{
  Html *h = data;
  const char *name = (const char *) element;
  if (h->error != NULL)
    return;
  if (++h->n_elements > RDR_MAX_ELEMENTS)
    {
      g_set_error (&h->error, RDR_ERROR, RDR_CODE_LIMIT, _ ("more than %u elements"), RDR_MAX_ELEMENTS);
      give_up (h);
      return;
    }
  if (h->skip > 0 || is_one_of (name, skipped))
    {
      h->skip += is_one_of (name, skipped);
      return;
    }
  if (g_ascii_strcasecmp (name, "title") == 0)
    h->in_title = TRUE;
  /* Inside a table's cell everything is the cell's text. */
  if (h->rows > 0)
    {
      if (g_ascii_strcasecmp (name, "td") == 0 || g_ascii_strcasecmp (name, "th") == 0)
        {
          if (h->n_cells++ > 0 && h->n_cells <= RDR_MAX_CELLS)
            g_string_append_c (h->text, '\t');
          if (g_ascii_strcasecmp (name, "td") == 0)
            h->header_row = FALSE;
        }
      else if (is_one_of (name, blocks) || g_ascii_strcasecmp (name, "br") == 0)
        g_string_append_c (h->text, ' ');
      return;
    }
  if (is_one_of (name, blocks))
    end_block (h);
  else if (g_ascii_strcasecmp (name, "br") == 0)
    g_string_append_c (h->text, h->pre > 0 ? '\n' : ' ');
  if (heading_level (name) > 0)
    h->level = heading_level (name);
  else if (g_ascii_strcasecmp (name, "li") == 0)
    h->items++;
  else if (g_ascii_strcasecmp (name, "pre") == 0)
    h->pre++;
  else if (g_ascii_strcasecmp (name, "table") == 0)
    rdr_out_begin_table (h->out);
  else if (g_ascii_strcasecmp (name, "tr") == 0)
    {
      h->rows++;
      h->n_cells = 0;
      h->header_row = TRUE;
    }
}

static void
on_end (void *data, const xmlChar *element)
{
  Html *h = data;
  const char *name = (const char *) element;
  if (h->error != NULL)
    return;
  if (h->skip > 0)
    {
      h->skip -= is_one_of (name, skipped);
      return;
    }
  if (g_ascii_strcasecmp (name, "title") == 0)
    h->in_title = FALSE;
  if (h->rows > 0)
    {
      if (g_ascii_strcasecmp (name, "tr") != 0 && g_ascii_strcasecmp (name, "table") != 0)
        return;
      h->rows = 0;
      rdr_out_row (h->out, h->text->str, h->header_row && h->n_cells > 0, &h->error);
      g_string_truncate (h->text, 0);
      give_up (h);
      return;
    }
  if (is_one_of (name, blocks))
    end_block (h);
  if (heading_level (name) > 0)
    h->level = 0;
  else if (g_ascii_strcasecmp (name, "li") == 0 && h->items > 0)
    h->items--;
  else if (g_ascii_strcasecmp (name, "pre") == 0 && h->pre > 0)
    h->pre--;
}

static void
on_characters (void *data, const xmlChar *text, int n)
{
  Html *h = data;
  if (h->error != NULL || h->skip > 0)
    return;
  if (h->in_title)
    g_string_append_len (h->title, (const char *) text, MIN (n, 1024));
  else if (h->rows > 0)
    for (int i = 0; i < n; i++)
      g_string_append_c (h->text, text[i] == '\t' ? ' ' : (char) text[i]);
  else
    g_string_append_len (h->text, (const char *) text, n);
  if (h->text->len > RDR_MAX_BLOCK_BYTES && h->rows == 0)
    end_block (h);
}

static void
on_message (void *data, const char *format, ...)
{
}

gboolean
rdr_html_feed (const char *text, gsize n, gboolean is_chapter, RdrOut *out, GError **error)
{
  htmlSAXHandler sax = { .startElement = on_start, .endElement = on_end, .characters = on_characters,
                         .ignorableWhitespace = on_characters, .cdataBlock = on_characters, .warning = on_message,
                         .error = on_message, .fatalError = on_message };
  Html h = { .out = out, .text = g_string_new (NULL), .title = g_string_new (NULL), .is_chapter = is_chapter };
  h.parser = htmlCreatePushParserCtxt (&sax, &h, NULL, 0, NULL, XML_CHAR_ENCODING_UTF8);
  htmlCtxtUseOptions (h.parser, HTML_PARSE_NONET | HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING
                                    | HTML_PARSE_NODEFDTD | HTML_PARSE_IGNORE_ENC);
  for (gsize i = 0; i < n && h.error == NULL; i += 65536)
    htmlParseChunk (h.parser, text + i, (int) MIN (n - i, 65536), 0);
  if (h.error == NULL)
    htmlParseChunk (h.parser, NULL, 0, 1);
  end_block (&h);
  if (!is_chapter)
    rdr_out_set_title (out, h.title->str);
  if (h.parser->myDoc != NULL)
    xmlFreeDoc (h.parser->myDoc);
  htmlFreeParserCtxt (h.parser);
  g_string_free (h.text, TRUE);
  g_string_free (h.title, TRUE);
  if (h.error != NULL)
    g_propagate_error (error, h.error);
  return h.error == NULL;
}

/* What <meta charset=…> or <?xml encoding=…?> says in the first kilobyte. NULL if nothing. */
static char *
find_declared (const char *data, gsize n)
{
  g_autofree char *head = g_strndup (data, MIN (n, 1024));
  for (gsize i = 0; i < MIN (n, 1024); i++)
    head[i] = head[i] == '\0' ? ' ' : g_ascii_tolower (head[i]);
  const char *p = strstr (head, "charset=");
  p = p != NULL ? p + 8 : strstr (head, "encoding=") != NULL ? strstr (head, "encoding=") + 9 : NULL;
  if (p == NULL)
    return NULL;
  p += strspn (p, "\"' ");
  gsize length = strspn (p, "abcdefghijklmnopqrstuvwxyz0123456789-_:.");
  return length > 0 && length < 40 ? g_strndup (p, length) : NULL;
}

gboolean
rdr_read_html (GBytes *bytes, RdrOut *out, GError **error)
{
  gsize n, n_text;
  const char *data = g_bytes_get_data (bytes, &n);
  g_autofree char *declared = find_declared (data, n);
  g_autofree char *text = rdr_decode_text (data, n, declared, &n_text, error);
  return text != NULL && rdr_html_feed (text, n_text, FALSE, out, error);
}
