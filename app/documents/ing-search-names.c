/* SPDX-License-Identifier: Apache-2.0 */
/* Names in a question. What it asks in other words may stand nowhere although it is answered; what it asks about by
 * name does not. */
#include <string.h>

#include "ing-document-search.h"
#include "ing-search-text.h"

/* Among Chinese each Latin word is one; shorter ones are often units. */
#define LEAST_LATIN 3

typedef struct
{
  const char *from, *end;
  gboolean capital, inner, first; /* begins with a capital, has one further on, begins a sentence */
} Word;

/* The next run of letters and digits that are not CJK; FALSE at the end. */
static gboolean
next_word (const char **text, Word *word)
{
  const char *p = *text;
  while (*p != '\0' && (!g_unichar_isalnum (g_utf8_get_char (p)) || ing_search_is_cjk (g_utf8_get_char (p))))
    {
      gunichar c = g_utf8_get_char (p);
      word->first = word->first || c == '.' || c == '?' || c == '!' || c == ':' || c == 0x3002 || c == 0xff1f || c == 0xff01;
      p = g_utf8_next_char (p);
    }
  word->from = p;
  word->capital = g_unichar_isupper (g_utf8_get_char (p));
  word->inner = FALSE;
  while (*p != '\0' && g_unichar_isalnum (g_utf8_get_char (p)) && !ing_search_is_cjk (g_utf8_get_char (p)))
    {
      word->inner = word->inner || (p > word->from && g_unichar_isupper (g_utf8_get_char (p)));
      p = g_utf8_next_char (p);
    }
  *text = word->end = p;
  return p > word->from;
}

static gboolean
is_name (const Word *word, gboolean cjk, gboolean titled)
{
  if (!g_unichar_isalpha (g_utf8_get_char (word->from)))
    return FALSE;
  return word->inner || (word->capital && !word->first && !titled)
         || (cjk && word->end - word->from >= LEAST_LATIN);
}

gboolean
ing_search_has_unknown_name (IngSearchState *state, GArray *documents, const char *query, gboolean *unknown,
                             GError **error)
{
  gboolean cjk = FALSE;
  for (const char *p = query; *p != '\0'; p = g_utf8_next_char (p))
    cjk = cjk || ing_search_is_cjk (g_utf8_get_char (p));
  guint n = 0, n_capital = 0;
  Word word = { .first = TRUE };
  *unknown = FALSE;
  for (const char *p = query; next_word (&p, &word); n++)
    n_capital += word.capital;
  gboolean titled = n_capital * 2 > n + 1; /* "How Do I Write A Title" */
  word.first = TRUE;
  for (const char *p = query; !*unknown && next_word (&p, &word); word.first = FALSE)
    {
      g_autofree char *text = g_strndup (word.from, (gsize) (word.end - word.from));
      g_autofree char *folded = g_utf8_casefold (text, -1);
      gboolean known = TRUE;
      if (is_name (&word, cjk, titled) && !ing_search_is_common (folded)
          && !ing_search_state_has_word (state, documents, folded, &known, error))
        return FALSE;
      *unknown = !known;
    }
  return TRUE;
}
