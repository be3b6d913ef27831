/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-search-text.h"

#include <string.h>

gboolean
ing_search_is_cjk (gunichar c)
{
  switch (g_unichar_get_script (c))
    {
    case G_UNICODE_SCRIPT_HAN:
    case G_UNICODE_SCRIPT_HIRAGANA:
    case G_UNICODE_SCRIPT_KATAKANA:
    case G_UNICODE_SCRIPT_HANGUL:
    case G_UNICODE_SCRIPT_BOPOMOFO:
      return g_unichar_isalnum (c);
    default:
      return FALSE;
    }
}

/* Append the run of CJK characters at @p to @out; returns its end. @single says whether the last
 * character is to stand alone too, which the index needs, and a query of one character. */
static const char *
append_pairs (GString *out, const char *p, gboolean for_index)
{
  const char *previous = NULL;
  guint n = 0;
  while (*p != '\0' && ing_search_is_cjk (g_utf8_get_char (p)))
    {
      const char *next = g_utf8_next_char (p);
      if (previous != NULL)
        {
          g_string_append_len (out, previous, next - previous);
          g_string_append_c (out, ' ');
        }
      previous = p;
      p = next;
      n++;
    }
  if (previous != NULL && (for_index || n == 1))
    {
      g_string_append_len (out, previous, p - previous);
      g_string_append_c (out, ' ');
    }
  return p;
}

static void
append_split (GString *out, const char *text, gsize length, gboolean for_index)
{
  const char *p = text, *end = text + length;
  while (p < end)
    {
      gunichar c = g_utf8_get_char (p);
      if (ing_search_is_cjk (c))
        {
          g_string_append_c (out, ' ');
          p = append_pairs (out, p, for_index);
          continue;
        }
      if (c == '"') /* would end the phrase of a query; in the index it separates words either way */
        g_string_append_c (out, ' ');
      else
        g_string_append_unichar (out, c);
      p = g_utf8_next_char (p);
    }
}

char *
ing_search_text_for_index (const char *text)
{
  gsize length = strlen (text);
  g_autoptr (GString) out = g_string_sized_new (length + length / 4);
  append_split (out, text, length, TRUE);
  return g_string_free (g_steal_pointer (&out), FALSE);
}

static const char *
next_word (const char *p, gsize *length)
{
  for (; *p != '\0'; p += *length)
    {
      while (g_unichar_isspace (g_utf8_get_char (p)) && *p != '\0')
        p = g_utf8_next_char (p);
      const char *end = p;
      gboolean word = FALSE;
      while (*end != '\0' && !g_unichar_isspace (g_utf8_get_char (end)))
        {
          word = word || g_unichar_isalnum (g_utf8_get_char (end));
          end = g_utf8_next_char (end);
        }
      *length = (gsize) (end - p);
      if (word)
        return p;
    }
  return NULL;
}

char *
ing_search_text_for_query (const char *query)
{
  g_autoptr (GString) out = g_string_new (NULL);
  gsize length = 0;
  const char *word = query;
  for (guint n = 0; n < ING_SEARCH_MAX_WORDS && (word = next_word (word, &length)) != NULL;
       n++, word += length)
    {
      if (out->len > 0)
        g_string_append (out, " AND ");
      g_string_append_c (out, '"');
      append_split (out, word, MIN (length, 256), FALSE);
      while (out->len > 0 && out->str[out->len - 1] == ' ')
        g_string_truncate (out, out->len - 1);
      g_string_append_c (out, '"');
      gsize rest;
      const char *last = word + length;
      gunichar tail = g_utf8_get_char (g_utf8_prev_char (last));
      /* A beginning only while it is being typed; a single CJK character begins a pair. */
      if (next_word (last, &rest) == NULL && g_unichar_isalnum (tail))
        g_string_append_c (out, '*');
      else if (length <= 4 && ing_search_is_cjk (g_utf8_get_char (word)))
        g_string_append_c (out, '*');
    }
  return out->len > 0 ? g_string_free (g_steal_pointer (&out), FALSE) : NULL;
}

gboolean
ing_search_text_find (const char *text, const char *query, gsize *start, gsize *end)
{
  gsize length = 0;
  const char *word = query;
  for (guint n = 0; n < ING_SEARCH_MAX_WORDS && (word = next_word (word, &length)) != NULL;
       n++, word += length)
    {
      /* Character by character, so that places are those of @text and not of a folded copy. */
      const char *word_end = word + length;
      for (const char *p = text; *p != '\0'; p = g_utf8_next_char (p))
        {
          const char *a = p, *b = word;
          while (*a != '\0' && b < word_end
                 && g_unichar_tolower (g_utf8_get_char (a))
                        == g_unichar_tolower (g_utf8_get_char (b)))
            {
              a = g_utf8_next_char (a);
              b = g_utf8_next_char (b);
            }
          if (b >= word_end)
            {
              *start = (gsize) (p - text);
              *end = (gsize) (a - text);
              return TRUE;
            }
        }
    }
  return FALSE;
}
