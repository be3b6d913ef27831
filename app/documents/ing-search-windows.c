/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-search-windows.h"

#include <string.h>

#include "ing-chunker.h"

/* By ing_chunk_estimate_tokens(). A window is handed over once it has enough, and before a sentence that would make it
 * too long; what is left at the end joins the last one when it is very short. */
#define ENOUGH_TOKENS 56
#define MOST_TOKENS 96
#define LEAST_TOKENS 24

/* The last of "title › heading › heading › p. 12" but the page: [@from, @end). */
static void
find_heading (const char *prefix, gsize n_bytes, const char **from, const char **end)
{
  static const char between[] = " › ";
  *end = prefix + n_bytes;
  for (;;)
    {
      const char *at = g_strrstr_len (prefix, *end - prefix, between);
      *from = at != NULL ? at + strlen (between) : prefix;
      if (at == NULL || !g_str_has_prefix (*from, "p. "))
        return;
      *end = at;
    }
}

static void
add_window (GPtrArray *windows, const char *heading, gsize n_heading, const char *from, const char *end)
{
  g_autoptr (GString) out = g_string_new_len (heading, (gssize) n_heading);
  g_string_append_c (out, '\n');
  g_string_append_len (out, from, end - from);
  g_ptr_array_add (windows, g_string_free (g_steal_pointer (&out), FALSE));
}

void
ing_search_cut_windows (const char *chunk, GPtrArray *windows)
{
  const char *text = strchr (chunk, '\n'), *heading, *heading_end;
  text = text != NULL ? text + 1 : chunk;
  find_heading (chunk, text > chunk ? (gsize) (text - 1 - chunk) : 0, &heading, &heading_end);
  gsize n_heading = (gsize) (heading_end - heading);
  const char *from = text, *before = NULL; /* where the window begins, and the one before it */
  guint tokens = 0;
  for (const char *p = text; *p != '\0';)
    {
      const char *end = ing_chunk_sentence_end (p);
      guint n = ing_chunk_estimate_tokens (p, (gsize) (end - p));
      if (tokens >= ENOUGH_TOKENS || (tokens > 0 && tokens + n > MOST_TOKENS))
        {
          add_window (windows, heading, n_heading, from, p);
          before = from;
          from = p;
          tokens = 0;
        }
      tokens += n;
      p = end;
    }
  if (before != NULL && tokens < LEAST_TOKENS)
    {
      g_ptr_array_remove_index (windows, windows->len - 1);
      from = before;
    }
  add_window (windows, heading, n_heading, from, from + strlen (from));
}
