/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-title.h"

#include <string.h>

#define MAX_COLUMNS 48

/* Marks that begin a line of Markdown and say nothing in a title. */
static const char *
skip_marks (const char *p)
{
  while (*p != '\0' && (strchr ("#>*_`~-+ \t\r\n", *p) != NULL))
    p++;
  return p;
}

char *
ing_title_from_question (const char *question)
{
  const char *p = skip_marks (question);
  g_autoptr (GString) out = g_string_new (NULL);
  gsize word_end = 0; /* where the last whole word in @out ends */
  guint columns = 0;
  gboolean space = FALSE, cut = FALSE;
  for (; *p != '\0'; p = g_utf8_next_char (p))
    {
      gunichar c = g_utf8_get_char (p);
      if (c == '\n' && out->len > 0)
        {
          cut = *skip_marks (p) != '\0';
          word_end = out->len;
          break;
        }
      if (g_unichar_isspace (c) || g_unichar_iscntrl (c))
        {
          space = out->len > 0;
          continue;
        }
      if (c == '*' || c == '`' || g_unichar_type (c) == G_UNICODE_FORMAT)
        continue;
      guint width = g_unichar_iszerowidth (c) ? 0 : g_unichar_iswide (c) ? 2 : 1;
      if (space || width == 2)
        word_end = out->len;
      if (columns + width + (space ? 1 : 0) > MAX_COLUMNS)
        {
          cut = TRUE;
          break;
        }
      if (space)
        {
          g_string_append_c (out, ' ');
          columns++;
          space = FALSE;
        }
      g_string_append_unichar (out, c);
      columns += width;
    }
  if (*p == '\0')
    word_end = out->len;
  if (cut)
    {
      if (word_end > 0) /* else: one endless word, cut anywhere */
        g_string_truncate (out, word_end);
      g_string_append (out, "…");
    }
  return g_string_free (g_steal_pointer (&out), FALSE);
}
