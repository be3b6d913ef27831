/* SPDX-License-Identifier: Apache-2.0 */
/* Plain text, source code and tables of comma-separated values. */
#include <string.h>

#include "reader.h"

#define CODE_LINES 40u /* of a block of source, cut earlier at an empty line */

static char *
decode (GBytes *bytes, GError **error)
{
  gsize n, n_out;
  const char *data = g_bytes_get_data (bytes, &n);
  if (n == 0)
    {
      g_set_error_literal (error, RDR_ERROR, RDR_CODE_FORMAT, "the file is empty");
      return NULL;
    }
  return rdr_decode_text (data, n, NULL, &n_out, error);
}

/* The next line of *@p without its end; moves *@p behind it. */
static gsize
next_line (const char **p, const char **line)
{
  gsize n = strcspn (*p, "\r\n");
  *line = *p;
  *p += n;
  if (**p == '\r')
    (*p)++;
  if (**p == '\n')
    (*p)++;
  return n;
}

static gboolean
is_blank (const char *line, gsize n)
{
  for (gsize i = 0; i < n; i++)
    if (!g_ascii_isspace (line[i]))
      return FALSE;
  return TRUE;
}

/* "- x", "* x", "1. x", "一、x": begins a paragraph of its own. */
static gboolean
begins_item (const char *line, gsize n)
{
  gsize i = 0;
  while (i < n && (line[i] == ' ' || line[i] == '\t'))
    i++;
  if (i + 1 < n && strchr ("-*+", line[i]) != NULL && line[i + 1] == ' ')
    return TRUE;
  gsize digits = i;
  while (digits < n && digits < i + 3 && g_ascii_isdigit (line[digits]))
    digits++;
  return digits > i && digits + 1 < n && strchr (".)", line[digits]) != NULL && line[digits + 1] == ' ';
}

/* A line that is its own heading: underlined by = or -, as text files have them. */
static guint
underline_level (const char *line, gsize n)
{
  if (n < 3 || strchr ("=-~", line[0]) == NULL)
    return 0;
  for (gsize i = 1; i < n; i++)
    if (line[i] != line[0])
      return 0;
  return line[0] == '=' ? 1 : line[0] == '-' ? 2 : 3;
}

static gboolean
end_paragraph (GString *paragraph, gboolean *item, RdrOut *out, GError **error)
{
  gboolean ok = rdr_out_block (out, *item ? RDR_ITEM : RDR_PARAGRAPH, 0, paragraph->str, (gssize) paragraph->len, error);
  g_string_truncate (paragraph, 0);
  *item = FALSE;
  return ok;
}

gboolean
rdr_read_text (GBytes *bytes, RdrOut *out, GError **error)
{
  g_autofree char *text = decode (bytes, error);
  g_autoptr (GString) paragraph = g_string_new (NULL);
  gboolean ok = text != NULL, item = FALSE;
  guint n_lines = 0;
  for (const char *p = text, *line; ok && *p != '\0';)
    {
      gsize n = next_line (&p, &line);
      guint level = n_lines == 1 ? underline_level (line, n) : 0;
      if (level > 0)
        {
          ok = rdr_out_block (out, RDR_HEADING, level, paragraph->str, (gssize) paragraph->len, error);
          g_string_truncate (paragraph, 0);
          n_lines = 0;
          continue;
        }
      gboolean starts = begins_item (line, n);
      if (starts || is_blank (line, n) || paragraph->len > RDR_MAX_BLOCK_BYTES)
        {
          ok = end_paragraph (paragraph, &item, out, error);
          n_lines = 0;
        }
      if (is_blank (line, n))
        continue;
      item = item || starts;
      if (paragraph->len > 0)
        g_string_append_c (paragraph, ' ');
      g_string_append_len (paragraph, line, (gssize) n);
      n_lines++;
    }
  return ok && end_paragraph (paragraph, &item, out, error);
}

gboolean
rdr_read_code (GBytes *bytes, RdrOut *out, GError **error)
{
  g_autofree char *text = decode (bytes, error);
  g_autoptr (GString) block = g_string_new (NULL);
  gboolean ok = text != NULL;
  guint n_lines = 0;
  for (const char *p = text, *line; ok && *p != '\0';)
    {
      gsize n = next_line (&p, &line);
      g_string_append_len (block, line, (gssize) n);
      g_string_append_c (block, '\n');
      n_lines++;
      if (n_lines >= CODE_LINES || (n_lines >= CODE_LINES / 2 && is_blank (line, n)))
        {
          ok = rdr_out_block (out, RDR_CODE, 0, block->str, (gssize) block->len, error);
          g_string_truncate (block, 0);
          n_lines = 0;
        }
    }
  return ok && rdr_out_block (out, RDR_CODE, 0, block->str, (gssize) block->len, error);
}

/* ------------------------------------------------------------------ comma-separated values, RFC 4180 */

/* The delimiter that the first line has most of, outside quotes. */
static char
find_delimiter (const char *text)
{
  static const char candidates[] = ",;\t|";
  guint counts[4] = { 0 }, best = 0;
  gboolean quoted = FALSE;
  for (const char *p = text; *p != '\0' && (quoted || (*p != '\n' && *p != '\r')); p++)
    {
      const char *found = strchr (candidates, *p);
      quoted ^= *p == '"';
      if (found != NULL && !quoted)
        counts[found - candidates]++;
    }
  for (guint i = 1; i < 4; i++)
    if (counts[i] > counts[best])
      best = i;
  return candidates[best];
}

/* One record to @row, cells parted by tabs; returns the place behind it. */
static const char *
read_record (const char *p, char delimiter, GString *row, RdrOut *out)
{
  guint n_cells = 1;
  gboolean quoted = FALSE;
  g_string_truncate (row, 0);
  for (; *p != '\0'; p++)
    {
      if (quoted && *p == '"' && p[1] == '"')
        p++;
      else if (*p == '"')
        {
          quoted = !quoted;
          continue;
        }
      else if (!quoted && *p == delimiter)
        {
          if (++n_cells <= RDR_MAX_CELLS)
            g_string_append_c (row, '\t');
          else
            rdr_out_note (out, "wide-table");
          continue;
        }
      else if (!quoted && (*p == '\n' || *p == '\r'))
        return p[0] == '\r' && p[1] == '\n' ? p + 2 : p + 1;
      if (n_cells <= RDR_MAX_CELLS)
        g_string_append_c (row, *p == '\t' || *p == '\n' || *p == '\r' ? ' ' : *p);
    }
  return p;
}

gboolean
rdr_read_csv (GBytes *bytes, RdrOut *out, GError **error)
{
  g_autofree char *text = decode (bytes, error);
  g_autoptr (GString) row = g_string_new (NULL);
  gboolean ok = text != NULL, first = TRUE;
  char delimiter = ok ? find_delimiter (text) : ',';
  rdr_out_begin_table (out);
  for (const char *p = text; ok && *p != '\0'; first = FALSE)
    {
      p = read_record (p, delimiter, row, out);
      ok = rdr_out_row (out, row->str, first, error);
    }
  return ok;
}
