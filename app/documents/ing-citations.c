/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-citations.h"

#include <string.h>

#include "ing-chunker.h"
#include "ing-document-search.h"
#include "ing-search-text.h"

/* Of a sentence's words, so many must stand in the passage. Chinese pairs across two words often do not. */
#define ENOUGH_WORDS 0.6
#define ENOUGH_PAIRS 0.45

static gboolean
is_mark (const char *p, int *number, const char **end)
{
  if (*p != '[' || !g_ascii_isdigit (p[1]))
    return FALSE;
  char *after = NULL;
  guint64 n = g_ascii_strtoull (p + 1, &after, 10);
  if (*after != ']' || n == 0 || n > 1000)
    return FALSE;
  *number = (int) n;
  *end = after + 1;
  return TRUE;
}

/* Words that differ in an ending count as one. */
static gboolean
is_same_word (const char *a, const char *b)
{
  gsize n = 0, la = strlen (a), lb = strlen (b);
  while (a[n] != '\0' && a[n] == b[n])
    n++;
  return (la == n && lb == n) || (n >= 4 && la - n <= 3 && lb - n <= 3);
}

static gboolean
has_word (GPtrArray *words, const char *word)
{
  for (guint i = 0; i < words->len; i++)
    if (is_same_word (words->pdata[i], word))
      return TRUE;
  return FALSE;
}

static double
share_of_words (GPtrArray *of, GPtrArray *in)
{
  guint n = 0;
  for (guint i = 0; i < of->len; i++)
    n += has_word (in, of->pdata[i]);
  return of->len > 0 ? (double) n / of->len : 0;
}

/* Numbers as they are written, without separators of thousands: "1,024" and "1024" are one. */
static GPtrArray *
find_numbers (const char *text)
{
  GPtrArray *numbers = g_ptr_array_new_with_free_func (g_free);
  for (const char *p = text; *p != '\0';)
    {
      if (!g_ascii_isdigit (*p))
        {
          p++;
          continue;
        }
      g_autoptr (GString) number = g_string_new (NULL);
      for (; g_ascii_isdigit (*p) || ((*p == '.' || *p == ',') && g_ascii_isdigit (p[1])); p++)
        if (*p != ',')
          g_string_append_c (number, *p);
      g_ptr_array_add (numbers, g_string_free (g_steal_pointer (&number), FALSE));
    }
  return numbers;
}

static gboolean
has_all_numbers (const char *sentence, const char *passage)
{
  g_autoptr (GPtrArray) wanted = find_numbers (sentence);
  g_autoptr (GPtrArray) there = find_numbers (passage);
  for (guint i = 0; i < wanted->len; i++)
    if (!g_ptr_array_find_with_equal_func (there, wanted->pdata[i], g_str_equal, NULL))
      return FALSE;
  return TRUE;
}

/* Words with a capital or an odd character inside the sentence: they must stand in the passage. */
static gboolean
has_all_names (const char *sentence, const char *passage)
{
  g_autofree char *folded = g_utf8_casefold (passage, -1);
  gboolean first = TRUE;
  for (const char *p = sentence; *p != '\0';)
    {
      const char *from = p;
      while (g_unichar_isalnum (g_utf8_get_char (p)) && !ing_search_is_cjk (g_utf8_get_char (p)))
        p = g_utf8_next_char (p);
      if (p == from)
        {
          first = first && !ing_search_is_cjk (g_utf8_get_char (p)); /* no sentence begins there */
          p = g_utf8_next_char (p);
          continue;
        }
      gboolean name = !first && g_unichar_isupper (g_utf8_get_char (from)) && p - from > 1;
      first = FALSE;
      g_autofree char *word = g_utf8_casefold (from, p - from);
      if (name && strstr (folded, word) == NULL)
        return FALSE;
    }
  return TRUE;
}

static guint
count_negations (const char *text)
{
  static const char *const words[] = { "not", "no", "never", "none", "cannot", "without", "neither", "nor", NULL };
  static const char *const marks[] = { "不", "没", "未", "无", "勿", "禁止", "别", NULL };
  g_autofree char *folded = g_utf8_casefold (text, -1);
  g_auto (GStrv) parts = g_strsplit_set (folded, " \t\n.,;:()\"", -1);
  guint n = 0;
  for (guint i = 0; parts[i] != NULL; i++)
    n += g_strv_contains (words, parts[i]) || g_str_has_suffix (parts[i], "n't") || g_str_has_suffix (parts[i], "n’t");
  for (guint i = 0; marks[i] != NULL; i++)
    for (const char *p = strstr (folded, marks[i]); p != NULL; p = strstr (p + 1, marks[i]))
      n++;
  return n;
}

/* The sentence of @passage that shares most with @words. Caller frees. */
static char *
find_nearest (GPtrArray *words, const char *passage)
{
  g_autofree char *nearest = g_strdup (passage);
  double most = -1;
  for (const char *p = passage; *p != '\0';)
    {
      const char *end = ing_chunk_sentence_end (p);
      g_autofree char *one = g_strndup (p, (gsize) (end - p));
      g_autoptr (GPtrArray) there = ing_search_make_terms (one);
      double share = share_of_words (words, there);
      if (share > most)
        {
          most = share;
          g_free (nearest);
          nearest = g_steal_pointer (&one);
        }
      p = end;
    }
  return g_steal_pointer (&nearest);
}

gboolean
ing_citations_supports (const char *sentence, const char *passage)
{
  g_autoptr (GPtrArray) words = ing_search_make_terms (sentence);
  g_autoptr (GPtrArray) there = ing_search_make_terms (passage);
  double enough = ing_search_is_latin (sentence) ? ENOUGH_WORDS : ENOUGH_PAIRS;
  if (words->len == 0 || share_of_words (words, there) < enough)
    return FALSE;
  if (!has_all_numbers (sentence, passage) || !has_all_names (sentence, passage))
    return FALSE;
  g_autofree char *nearest = find_nearest (words, passage);
  return (count_negations (sentence) > 0) == (count_negations (nearest) > 0);
}

static void
check_sentence (const char *answer, gsize start, gsize end, GPtrArray *passages, GArray *claims)
{
  g_autoptr (GString) bare = g_string_new (NULL);
  g_autoptr (GArray) cited = g_array_new (FALSE, FALSE, sizeof (int));
  for (const char *p = answer + start, *after = NULL; p < answer + end;)
    {
      int number = 0;
      if (is_mark (p, &number, &after) && after <= answer + end)
        {
          number--;
          g_array_append_val (cited, number);
          p = after;
        }
      else
        g_string_append_c (bare, *p++);
    }
  g_autoptr (GPtrArray) words = ing_search_make_terms (bare->str);
  if (words->len < 2)
    return;
  IngClaim claim = { start, end, -1, FALSE };
  for (guint i = 0; i < passages->len && !claim.supported; i++)
    {
      gboolean here = cited->len == 0;
      for (guint j = 0; j < cited->len; j++)
        here = here || g_array_index (cited, int, j) == (int) i;
      const IngPassage *passage = passages->pdata[i];
      if (!here || !ing_citations_supports (bare->str, passage->text))
        continue;
      claim.supported = TRUE;
      claim.passage = (int) i;
    }
  g_array_append_val (claims, claim);
}

GArray *
ing_citations_check (const char *answer, GPtrArray *passages)
{
  GArray *claims = g_array_new (FALSE, FALSE, sizeof (IngClaim));
  for (const char *p = answer; *p != '\0';)
    {
      const char *end = ing_chunk_sentence_end (p), *after;
      int number;
      while (is_mark (end, &number, &after)) /* "It is so. [1]" */
        {
          end = after;
          while (*end == ' ')
            end++;
        }
      check_sentence (answer, (gsize) (p - answer), (gsize) (end - answer), passages, claims);
      p = end;
    }
  return claims;
}

/* ------------------------------------------------------------------ marks in the text */

/* Would a mark break what stands at @at: code, a table's row, a heading? @*fences: so many were before @*seen. */
static gboolean
is_bare (const char *answer, gsize at, gsize *seen, guint *fences)
{
  for (const char *line = answer + *seen; line < answer + at;)
    {
      const char *end = strchr (line, '\n'), *p = line;
      if (end == NULL || end >= answer + at)
        break;
      while (*p == ' ')
        p++;
      *fences += g_str_has_prefix (p, "```") || g_str_has_prefix (p, "~~~");
      line = end + 1;
      *seen = (gsize) (line - answer);
    }
  const char *line = answer + at;
  while (line > answer && line[-1] != '\n')
    line--;
  if (g_str_has_prefix (line, "    ") || *line == '\t')
    return TRUE;
  while (*line == ' ')
    line++;
  return *fences % 2 == 1 || *line == '|' || *line == '#' || g_str_has_prefix (line, "```") || g_str_has_prefix (line, "~~~");
}

static void
append_without_marks (GString *out, const char *from, const char *end)
{
  for (const char *p = from, *after = NULL; p < end;)
    {
      int number;
      if (is_mark (p, &number, &after) && after <= end && *after != '(')
        {
          while (out->len > 0 && out->str[out->len - 1] == ' ')
            g_string_truncate (out, out->len - 1);
          p = after;
        }
      else
        g_string_append_c (out, *p++);
    }
}

char *
ing_citations_annotate (const char *answer, GPtrArray *passages)
{
  g_autoptr (GString) out = g_string_new (NULL);
  g_autoptr (GArray) claims = ing_citations_check (answer, passages);
  gsize at = 0, seen = 0;
  guint fences = 0;
  for (guint i = 0; i < claims->len; i++)
    {
      const IngClaim *claim = &g_array_index (claims, IngClaim, i);
      gsize end = claim->end;
      if (is_bare (answer, claim->start, &seen, &fences))
        continue;
      while (end > claim->start && g_ascii_isspace (answer[end - 1]))
        end--;
      g_string_append_len (out, answer + at, (gssize) (claim->start - at));
      append_without_marks (out, answer + claim->start, answer + end);
      if (claim->supported)
        g_string_append_printf (out, " [\\[%d\\]](citation:%d)", claim->passage + 1, claim->passage + 1);
      else
        g_string_append (out, " [\\[?\\]](citation:0)");
      at = end;
    }
  g_string_append (out, answer + at);
  return g_string_free (g_steal_pointer (&out), FALSE);
}
