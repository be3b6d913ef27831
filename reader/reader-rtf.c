/* SPDX-License-Identifier: Apache-2.0 */
/* Rich Text Format 1.9.1: groups, control words and text. Destinations that hold no text are skipped; characters come
 * as they stand, as \'hh in the file's code page, or as \uN. */
#include <glib/gi18n.h>
#include <string.h>

#include "reader.h"

typedef struct
{
  gboolean skip;
  guint n_unicode_skip; /* \uc: characters that stand for those who know no \u */
} Group;

typedef struct
{
  RdrOut *out;
  GString *text;  /* UTF-8 */
  GString *bytes; /* of \'hh, not converted yet */
  char charset[16];
  GArray *groups;
  guint n_to_skip;
  guint level; /* of the paragraph, 0 = none */
  gboolean item, row, any_cell;
  guint high; /* first half of a surrogate pair */
} Rtf;

static Group *
top (Rtf *r)
{
  return &g_array_index (r->groups, Group, r->groups->len - 1);
}

static void
flush_bytes (Rtf *r)
{
  if (r->bytes->len == 0)
    return;
  gsize n;
  g_autofree char *text = g_convert (r->bytes->str, (gssize) r->bytes->len, "UTF-8", r->charset, NULL, &n, NULL);
  if (text == NULL)
    text = g_convert (r->bytes->str, (gssize) r->bytes->len, "UTF-8", "WINDOWS-1252", NULL, &n, NULL);
  if (text != NULL)
    g_string_append_len (r->text, text, (gssize) n);
  g_string_truncate (r->bytes, 0);
}

static gboolean
end_paragraph (Rtf *r, GError **error)
{
  gboolean ok;
  flush_bytes (r);
  RdrKind kind = r->row ? RDR_ROW : r->level > 0 ? RDR_HEADING : r->item ? RDR_ITEM : RDR_PARAGRAPH;
  ok = kind == RDR_ROW ? rdr_out_row (r->out, r->text->str, FALSE, error)
                       : rdr_out_block (r->out, kind, r->level, r->text->str, (gssize) r->text->len, error);
  g_string_truncate (r->text, 0);
  r->any_cell = FALSE;
  return ok;
}

static gboolean
is_one_of (const char *word, const char *const *list)
{
  for (; *list != NULL; list++)
    if (g_str_equal (word, *list))
      return TRUE;
  return FALSE;
}

static void
put_unicode (Rtf *r, int value)
{
  guint c = (guint) value & 0xffff;
  flush_bytes (r);
  if (c >= 0xd800 && c < 0xdc00)
    r->high = c;
  else if (c >= 0xdc00 && c < 0xe000)
    {
      if (r->high != 0)
        g_string_append_unichar (r->text, 0x10000 + ((r->high - 0xd800) << 10) + (c - 0xdc00));
      r->high = 0;
    }
  else if (c != 0)
    g_string_append_unichar (r->text, c);
  r->n_to_skip = top (r)->n_unicode_skip;
}

static gboolean
control_word (Rtf *r, const char *word, gboolean has_number, int number, GError **error)
{
  static const char *const skipped[]
      = { "fonttbl", "colortbl", "stylesheet", "info", "pict", "object", "header", "footer", "headerl", "headerr",
          "headerf", "footerl", "footerr", "footerf", "listtable", "listoverridetable", "rsidtbl", "generator",
          "themedata", "colorschememapping", "latentstyles", "datastore", "fldinst", "bkmkstart", "bkmkend", "xe", "tc",
          "pntext", "listtext", NULL };
  if (is_one_of (word, skipped))
    {
      r->item = r->item || g_str_equal (word, "listtext") || g_str_equal (word, "pntext");
      top (r)->skip = TRUE;
      return TRUE;
    }
  if (g_str_equal (word, "ansicpg") && number > 0 && number < 100000)
    g_snprintf (r->charset, sizeof r->charset, number == 936 ? "GB18030" : "CP%d", number);
  else if (g_str_equal (word, "uc"))
    top (r)->n_unicode_skip = (guint) CLAMP (number, 0, 8);
  if (top (r)->skip)
    return TRUE;
  if (g_str_equal (word, "u") && has_number)
    put_unicode (r, number);
  else if (g_str_equal (word, "pard"))
    {
      r->level = 0;
      r->item = r->row = FALSE;
    }
  else if (g_str_equal (word, "outlinelevel"))
    r->level = (guint) CLAMP (number + 1, 1, 6);
  else if (g_str_equal (word, "intbl"))
    r->row = TRUE;
  else if (g_str_equal (word, "cell"))
    {
      flush_bytes (r);
      g_string_append_c (r->text, '\t');
      r->any_cell = TRUE;
    }
  else if (g_str_equal (word, "row") || (g_str_equal (word, "par") && !r->any_cell) || g_str_equal (word, "sect"))
    return end_paragraph (r, error);
  else if (g_str_equal (word, "par") || g_str_equal (word, "line") || g_str_equal (word, "tab"))
    {
      flush_bytes (r);
      g_string_append_c (r->text, ' ');
    }
  else if (g_str_equal (word, "v") && (!has_number || number != 0))
    rdr_out_note (r->out, "hidden-text");
  else
    {
      static const struct
      {
        const char *word;
        gunichar c;
      } signs[] = { { "emdash", 0x2014 }, { "endash", 0x2013 }, { "lquote", 0x2018 }, { "rquote", 0x2019 },
                    { "ldblquote", 0x201c }, { "rdblquote", 0x201d }, { "bullet", 0x2022 } };
      for (guint i = 0; i < G_N_ELEMENTS (signs); i++)
        if (g_str_equal (word, signs[i].word))
          {
            flush_bytes (r);
            g_string_append_unichar (r->text, signs[i].c);
          }
    }
  return TRUE;
}

static void
put_byte (Rtf *r, char c)
{
  if (r->n_to_skip > 0)
    r->n_to_skip--;
  else if (!top (r)->skip)
    g_string_append_c (r->bytes, c);
}

/* Behind a backslash at @p; returns where to go on, NULL on an error. */
static const char *
read_control (Rtf *r, const char *p, const char *end, GError **error)
{
  char word[32];
  guint n = 0;
  if (p == end)
    return p;
  if (*p == '\'')
    {
      if (end - p < 3 || !g_ascii_isxdigit (p[1]) || !g_ascii_isxdigit (p[2]))
        return p + 1;
      put_byte (r, (char) (g_ascii_xdigit_value (p[1]) * 16 + g_ascii_xdigit_value (p[2])));
      return p + 3;
    }
  if (*p == '*')
    {
      top (r)->skip = TRUE;
      return p + 1;
    }
  if (!g_ascii_isalpha (*p))
    {
      put_byte (r, *p == '~' ? ' ' : *p == '-' || *p == '_' ? '-' : *p);
      return p + 1;
    }
  for (; p < end && g_ascii_isalpha (*p); p++)
    if (n < sizeof word - 1)
      word[n++] = *p;
  word[n] = '\0';
  gboolean negative = p < end && *p == '-', has_number = FALSE;
  gint64 number = 0;
  for (p += negative; p < end && g_ascii_isdigit (*p); p++)
    {
      number = MIN (number * 10 + (*p - '0'), 1 << 30);
      has_number = TRUE;
    }
  if (p < end && *p == ' ')
    p++;
  if (g_str_equal (word, "bin"))
    return has_number && !negative && number < end - p ? p + number : end;
  return control_word (r, word, has_number, (int) (negative ? -number : number), error) ? p : NULL;
}

gboolean
rdr_read_rtf (GBytes *bytes, RdrOut *out, GError **error)
{
  gsize n;
  const char *data = g_bytes_get_data (bytes, &n), *end = data + n, *p = data;
  Group first = { .n_unicode_skip = 1 };
  Rtf r = { .out = out, .text = g_string_new (NULL), .bytes = g_string_new (NULL), .charset = "WINDOWS-1252",
            .groups = g_array_new (FALSE, FALSE, sizeof (Group)) };
  g_array_append_val (r.groups, first);
  while (p != NULL && p < end)
    {
      char c = *p++;
      if (c == '{')
        {
          Group group = *top (&r);
          g_array_append_val (r.groups, group);
          if (r.groups->len > RDR_MAX_DEPTH)
            {
              g_set_error (error, RDR_ERROR, RDR_CODE_LIMIT, _ ("groups stand deeper in each other than %u"), RDR_MAX_DEPTH);
              p = NULL;
            }
        }
      else if (c == '}')
        {
          if (r.groups->len > 1)
            g_array_set_size (r.groups, r.groups->len - 1);
        }
      else if (c == '\\')
        p = read_control (&r, p, end, error);
      else if (c != '\r' && c != '\n')
        put_byte (&r, c);
      if (p != NULL && r.bytes->len + r.text->len > RDR_MAX_BLOCK_BYTES && !end_paragraph (&r, error))
        p = NULL;
    }
  gboolean ok = p != NULL && end_paragraph (&r, error);
  g_string_free (r.text, TRUE);
  g_string_free (r.bytes, TRUE);
  g_array_unref (r.groups);
  return ok;
}
