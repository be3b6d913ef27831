/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-collection-words.h"

#include "ing-numbers.h"

#include <glib/gi18n-lib.h>

static void
append (GString *words, char *part)
{
  if (words->len > 0)
    g_string_append (words, " · ");
  g_string_append (words, part);
  g_free (part);
}

char *
ing_collection_words_dup (const IngCollectionState *state)
{
  GString *words = g_string_new (NULL);
  guint n = state->n_documents;

  if (n == 0)
    append (words, g_strdup (state->looking ? _("Looking for documents") : _("Empty")));
  else if (state->n_done < n)
    append (words, g_strdup_printf (_("%u of %u read"), state->n_done, n));
  else
    append (words, g_strdup_printf (ngettext ("%u document", "%u documents", n), n));
  if (state->paused && state->n_done < n)
    append (words, g_strdup (_("stopped")));
  else if (state->sparing && state->n_done < n)
    append (words, g_strdup (_("waits, to save power")));
  else if (state->seconds_left >= 0 && state->n_done < n)
    {
      g_autofree char *left = ing_numbers_dup_duration (state->seconds_left);

      append (words, g_strdup_printf (_("%s left"), left));
    }
  if (state->n_failed > 0)
    append (words, g_strdup_printf (ngettext ("%u cannot be read", "%u cannot be read", state->n_failed), state->n_failed));
  if (state->n_gone > 0)
    append (words, g_strdup_printf (ngettext ("%u not there any more", "%u not there any more", state->n_gone),
                                    state->n_gone));
  return g_string_free (words, FALSE);
}

gboolean
ing_collection_words_update (IngCollections *collections, gint64 owner, char **words)
{
  IngCollectionState state;

  ing_collections_get_state (collections, owner, &state);
  g_free (*words);
  *words = ing_collection_words_dup (&state);
  return state.working || state.looking;
}
