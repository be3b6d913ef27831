/* SPDX-License-Identifier: Apache-2.0 */
/* PDF by poppler: it tells characters with their places and sizes of type; lines, paragraphs and headings are made of
 * them here. Scripts, actions, forms and files inside are never looked at. */
#include <glib/gi18n.h>
#include <cairo.h>
#include <math.h>
#include <poppler.h>
#include <string.h>
#include <unistd.h>

#include "reader.h"

#define HEADING_RATIO 1.15 /* of a line's type to the page's usual one */
#define PARAGRAPH_GAP 0.7  /* between two lines, in heights of the line */
#define TINY_POINTS 1.5    /* type that no eye reads */
#define PROGRESS_PAGES 10

#define SCAN_AREA 0.5          /* of a page: a picture that covers so much, and hardly any text, is the page itself */
#define SCAN_CHARACTERS 80u

/* Poppler defines g_autoptr for its types in later versions only. */
static void
clear_object (gpointer at)
{
  g_clear_object ((GObject **) at);
}
#define auto_object __attribute__ ((cleanup (clear_object)))

typedef struct
{
  gsize start, n;     /* bytes of the page's text */
  double top, bottom, left, right, size;
  gboolean hidden;
} Line;

static PopplerDocument *
open_document (GBytes *bytes, const char *password, GError **error)
{
  GError *own = NULL;
  PopplerDocument *document = poppler_document_new_from_bytes (bytes, NULL, &own);
  gboolean locked = g_error_matches (own, POPPLER_ERROR, POPPLER_ERROR_ENCRYPTED);
  /* From the file: poppler 22.12 crashes at a wrong password for bytes in memory. Here it says that the file is damaged,
   * which it was not a moment ago. */
  if (locked && password != NULL)
    document = poppler_document_new_from_fd (dup (STDIN_FILENO), password, NULL);
  if (document == NULL && locked)
    g_set_error_literal (error, RDR_ERROR, password != NULL ? RDR_CODE_WRONG_PASSWORD : RDR_CODE_PASSWORD,
                         password != NULL ? "the password does not open the PDF" : "the PDF is locked with a password");
  else if (document == NULL)
    g_set_error (error, RDR_ERROR, RDR_CODE_FORMAT, "no readable PDF: %s", own->message);
  g_clear_error (&own);
  return document;
}

/* The size of type at each character of the page, 0 = unknown; negative where nothing would be seen. */
static float *
type_sizes (PopplerPage *page, gsize n)
{
  float *sizes = g_new0 (float, n + 1);
  GList *all = poppler_page_get_text_attributes (page);
  for (GList *l = all; l != NULL; l = l->next)
    {
      const PopplerTextAttributes *a = l->data;
      gboolean white = a->color.red > 0xfa00 && a->color.green > 0xfa00 && a->color.blue > 0xfa00;
      float size = (float) a->font_size;
      if (white || size < (float) TINY_POINTS)
        size = -MAX (size, 0.1f);
      for (gsize i = (gsize) MAX (a->start_index, 0); i < n && i <= (gsize) MAX (a->end_index, 0); i++)
        sizes[i] = size;
    }
  poppler_page_free_text_attributes (all);
  return sizes;
}

/* The page's lines; one box and one size a character. */
static GArray *
find_lines (const char *text, const PopplerRectangle *boxes, guint n_boxes, const float *sizes, double width,
            double height)
{
  GArray *lines = g_array_new (FALSE, TRUE, sizeof (Line));
  const char *p = text;
  for (guint i = 0; *p != '\0';)
    {
      Line line = { .start = (gsize) (p - text), .top = INFINITY, .left = INFINITY };
      double sum = 0;
      guint n = 0, n_hidden = 0;
      for (; *p != '\0' && *p != '\n'; p = g_utf8_next_char (p), i++)
        {
          if (i >= n_boxes || *p == ' ')
            continue;
          const PopplerRectangle *b = &boxes[i];
          line.top = MIN (line.top, b->y1);
          line.bottom = MAX (line.bottom, b->y2);
          line.left = MIN (line.left, b->x1);
          line.right = MAX (line.right, b->x2);
          sum += fabs ((double) sizes[i]);
          n_hidden += sizes[i] < 0 || b->x2 < 0 || b->y2 < 0 || b->x1 > width || b->y1 > height;
          n++;
        }
      line.n = (gsize) (p - text) - line.start;
      line.size = n > 0 ? sum / n : 0;
      line.hidden = n > 0 && n_hidden == n;
      if (n > 0)
        g_array_append_val (lines, line);
      if (*p == '\n')
        {
          p++;
          i++;
        }
    }
  return lines;
}

/* The size that most text of the page has, to half a point. */
static double
usual_size (const GArray *lines)
{
  double best = 0;
  gsize best_n = 0, counts[128] = { 0 };
  for (guint i = 0; i < lines->len; i++)
    {
      const Line *line = &g_array_index (lines, Line, i);
      guint k = (guint) CLAMP (line->size * 2 + 0.5, 0, 127);
      counts[k] += line->n;
      if (k > 0 && counts[k] > best_n)
        {
          best_n = counts[k];
          best = k / 2.0;
        }
    }
  return best;
}

static gboolean
begins_item (const char *line)
{
  gunichar c = g_utf8_get_char (line);
  if (c == 0x2022 || c == 0x25cf || c == 0x25aa || c == 0x2013 || c == 0xb7 || (c == '-' && line[1] == ' '))
    return TRUE;
  gsize digits = strspn (line, "0123456789");
  return digits > 0 && digits <= 2 && (line[digits] == '.' || line[digits] == ')') && line[digits + 1] == ' ';
}

static guint
heading_level (const Line *line, double usual, gsize n_bytes)
{
  if (usual <= 0 || line->size < usual * HEADING_RATIO || n_bytes > 200)
    return 0;
  return line->size >= usual * 1.7 ? 1 : line->size >= usual * 1.35 ? 2 : 3;
}

static gboolean
is_cjk (gunichar c)
{
  return (c >= 0x2e80 && c <= 0x9fff) || (c >= 0xac00 && c <= 0xd7af) || (c >= 0xf900 && c <= 0xfaff)
         || (c >= 0xff00 && c <= 0xffef) || (c >= 0x20000 && c <= 0x3ffff);
}

/* One line behind another: a word parted by a hyphen grows together, Chinese needs no space. */
static void
join_line (GString *paragraph, const char *line, gsize n)
{
  if (paragraph->len > 0 && n > 0)
    {
      const char *last = g_utf8_find_prev_char (paragraph->str, paragraph->str + paragraph->len);
      gunichar before = last != NULL ? g_utf8_get_char (last) : ' ', next = g_utf8_get_char (line);
      if ((before == '-' || before == 0x2010) && g_unichar_islower (next) && paragraph->len > 2
          && g_unichar_isalpha (g_utf8_get_char (g_utf8_find_prev_char (paragraph->str, last))))
        g_string_truncate (paragraph, (gsize) (last - paragraph->str));
      else if (!is_cjk (before) || !is_cjk (next))
        g_string_append_c (paragraph, ' ');
    }
  g_string_append_len (paragraph, line, (gssize) n);
}

static gboolean
tell_lines (const char *text, const GArray *lines, RdrOut *out, GError **error)
{
  double usual = usual_size (lines);
  g_autoptr (GString) paragraph = g_string_new (NULL);
  gboolean ok = TRUE, item = FALSE, hidden = FALSE;
  guint level = 0;
  for (guint i = 0; ok && i <= lines->len; i++)
    {
      const Line *line = i < lines->len ? &g_array_index (lines, Line, i) : NULL;
      const Line *before = i > 0 ? &g_array_index (lines, Line, i - 1) : NULL;
      const char *start = line != NULL ? text + line->start : "";
      guint next_level = line != NULL ? heading_level (line, usual, line->n) : 0;
      gboolean new_item = line != NULL && begins_item (start);
      gboolean apart = line == NULL || before == NULL || new_item || next_level != level || line->hidden != hidden
                       || line->top - before->bottom > PARAGRAPH_GAP * (line->bottom - line->top)
                       || line->bottom < before->top /* the next column */;
      if (apart && paragraph->len > 0)
        {
          rdr_out_set_hidden (out, hidden);
          ok = rdr_out_block (out, level > 0 ? RDR_HEADING : item ? RDR_ITEM : RDR_PARAGRAPH, level, paragraph->str,
                              (gssize) paragraph->len, error);
          rdr_out_set_hidden (out, FALSE);
          g_string_truncate (paragraph, 0);
        }
      if (line == NULL)
        break;
      if (apart)
        {
          level = next_level;
          item = new_item;
          hidden = line->hidden;
        }
      join_line (paragraph, start, line->n);
    }
  return ok;
}

static gboolean
read_page (PopplerPage *page, RdrOut *out, gboolean *any, GError **error)
{
  double width, height;
  guint n_boxes = 0;
  PopplerRectangle *boxes = NULL;
  poppler_page_get_size (page, &width, &height);
  g_autofree char *text = poppler_page_get_text (page);
  if (text == NULL || *text == '\0' || !poppler_page_get_text_layout (page, &boxes, &n_boxes))
    {
      g_free (boxes);
      return TRUE;
    }
  gsize n = (gsize) g_utf8_strlen (text, -1);
  g_autofree float *sizes = type_sizes (page, n);
  g_autoptr (GArray) lines = find_lines (text, boxes, n_boxes, sizes, width, height);
  g_free (boxes);
  *any = *any || lines->len > 0;
  return tell_lines (text, lines, out, error);
}

/* How much of the page its pictures cover, 0 … 1 and more. */
static double
picture_area (PopplerPage *page)
{
  double width, height, area = 0;
  poppler_page_get_size (page, &width, &height);
  GList *all = poppler_page_get_image_mapping (page);
  for (GList *l = all; l != NULL; l = l->next)
    {
      const PopplerRectangle *r = &((const PopplerImageMapping *) l->data)->area;
      area += fabs ((r->x2 - r->x1) * (r->y2 - r->y1));
    }
  poppler_page_free_image_mapping (all);
  return width > 0 && height > 0 ? area / (width * height) : 0;
}

gboolean
rdr_read_pdf (GBytes *bytes, const char *password, RdrOut *out, GError **error)
{
  auto_object PopplerDocument *document = open_document (bytes, password, error);
  if (document == NULL)
    return FALSE;
  int n = poppler_document_get_n_pages (document);
  if (n < 1)
    {
      g_set_error_literal (error, RDR_ERROR, RDR_CODE_FORMAT, "the PDF has no pages");
      return FALSE;
    }
  if ((guint) n > RDR_MAX_PAGES)
    {
      g_set_error (error, RDR_ERROR, RDR_CODE_LIMIT, _ ("%d pages; at most %u are read"), n, RDR_MAX_PAGES);
      return FALSE;
    }
  g_autofree char *title = poppler_document_get_title (document);
  rdr_out_set_title (out, title);
  rdr_out_set_pages (out, (guint) n);
  gboolean ok = TRUE, any = FALSE;
  guint n_broken = 0;
  for (int i = 0; ok && i < n; i++)
    {
      auto_object PopplerPage *page = poppler_document_get_page (document, i);
      gsize before = rdr_out_get_characters (out);
      rdr_out_set_page (out, (guint) i + 1);
      if (page != NULL)
        ok = read_page (page, out, &any, error);
      else
        n_broken++;
      if (ok && page != NULL && rdr_out_get_characters (out) - before < SCAN_CHARACTERS && picture_area (page) >= SCAN_AREA)
        rdr_out_scan (out, (guint) i + 1, (guint) n);
      if ((i + 1) % PROGRESS_PAGES == 0 || i + 1 == n)
        rdr_out_progress (out, (guint) i + 1, (guint) n);
    }
  if (n_broken > 0)
    rdr_out_note (out, "broken-pages");
  if (ok && !any)
    rdr_out_note (out, "no-text"); /* pictures of pages: a scan */
  return ok;
}

/* ------------------------------------------------------------------ a page as a picture */

static void
send_page (RdrOut *out, cairo_surface_t *surface, const GString *boxes)
{
  int width = cairo_image_surface_get_width (surface), height = cairo_image_surface_get_height (surface),
      stride = cairo_image_surface_get_stride (surface);
  g_autofree char *head = g_strdup_printf ("{\"width\":%d,\"height\":%d,\"stride\":%d,\"boxes\":[%s]}", width, height,
                                           stride, boxes->str);
  cairo_surface_flush (surface);
  rdr_out_frame (out, RDR_WIRE_PAGE, head, strlen (head));
  rdr_out_frame (out, RDR_WIRE_PIXELS, cairo_image_surface_get_data (surface), (gsize) stride * (gsize) height);
}

/* Boxes of @text, which was put together from lines: sentence by sentence, so that one which stands there otherwise (a
 * hyphen, a column) costs its own mark alone. */
static GList *
find_passage (PopplerPage *page, const char *text)
{
  g_auto (GStrv) sentences = g_regex_split_simple ("(?<=[.!?;:。！？；])\\s*|\\n+|\\t+", text, G_REGEX_OPTIMIZE, 0);
  GList *all = NULL;
  for (guint i = 0; sentences != NULL && sentences[i] != NULL && i < 200; i++)
    {
      g_strstrip (sentences[i]);
      if (g_utf8_strlen (sentences[i], -1) >= 3)
        all = g_list_concat (all, poppler_page_find_text_with_options (page, sentences[i], POPPLER_FIND_MULTILINE));
    }
  return all;
}

gboolean
rdr_draw_page (GBytes *bytes, const char *password, guint number, guint width, const char *find, RdrOut *out, GError **error)
{
  auto_object PopplerDocument *document = open_document (bytes, password, error);
  double page_width, page_height;
  if (document == NULL)
    return FALSE;
  auto_object PopplerPage *page
      = number >= 1 && number <= (guint) poppler_document_get_n_pages (document)
            ? poppler_document_get_page (document, (int) number - 1)
            : NULL;
  if (page == NULL)
    {
      g_set_error (error, RDR_ERROR, RDR_CODE_FORMAT, "the PDF has no page %u", number);
      return FALSE;
    }
  poppler_page_get_size (page, &page_width, &page_height);
  double scale = width / page_width, height = ceil (page_height * scale);
  if (!(page_width > 0) || !(page_height > 0) || !(height >= 1) || height * width > RDR_MAX_PIXELS
      || height * width * 4 > RDR_WIRE_MAX_PAYLOAD)
    {
      g_set_error (error, RDR_ERROR, RDR_CODE_LIMIT, _ ("page %u is too large to be drawn"), number);
      return FALSE;
    }
  cairo_surface_t *surface = cairo_image_surface_create (CAIRO_FORMAT_RGB24, (int) width, (int) height);
  cairo_t *cr = cairo_create (surface);
  cairo_set_source_rgb (cr, 1, 1, 1);
  cairo_paint (cr);
  cairo_scale (cr, scale, scale);
  poppler_page_render (page, cr);
  cairo_destroy (cr);
  g_autoptr (GString) boxes = g_string_new (NULL);
  GList *found = find != NULL ? find_passage (page, find) : NULL;
  for (GList *l = found; l != NULL && boxes->len < 65536; l = l->next)
    {
      const PopplerRectangle *r = l->data;
      char x[4][G_ASCII_DTOSTR_BUF_SIZE];
      /* From the lower left corner, in points. */
      g_ascii_formatd (x[0], sizeof x[0], "%.1f", r->x1 * scale);
      g_ascii_formatd (x[1], sizeof x[1], "%.1f", (page_height - r->y2) * scale);
      g_ascii_formatd (x[2], sizeof x[2], "%.1f", (r->x2 - r->x1) * scale);
      g_ascii_formatd (x[3], sizeof x[3], "%.1f", (r->y2 - r->y1) * scale);
      g_string_append_printf (boxes, "%s[%s,%s,%s,%s]", boxes->len > 0 ? "," : "", x[0], x[1], x[2], x[3]);
    }
  g_list_free_full (found, (GDestroyNotify) poppler_rectangle_free);
  send_page (out, surface, boxes);
  cairo_surface_destroy (surface);
  return TRUE;
}
