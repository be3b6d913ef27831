/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-model-quality.h"

#include "ing-form.h"
#include "ing-numbers.h"

#include <glib/gi18n-lib.h>

/* @bytes 0 = not known; @more may be NULL. */
static void
add_row (GtkWidget *group, const char *name, guint64 bytes, double perplexity, const char *more)
{
  g_autofree char *size = bytes > 0 ? g_format_size (bytes) : NULL;
  g_autoptr (GString) words = g_string_new (size);

  if (size != NULL)
    g_string_append (words, " · ");
  g_string_append_printf (words, _("perplexity %.2f"), perplexity);
  if (more != NULL)
    g_string_append_printf (words, "\n%s", more);
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (group), ing_form_new_plain_row (name, words->str));
}

/* Bytes of the file called so, 0 = it is not here any more. */
static guint64
find_bytes (IngWorkspace *workspace, const char *name)
{
  GListModel *files = G_LIST_MODEL (ing_workspace_get_library (workspace));

  for (guint i = 0; i < g_list_model_get_n_items (files); i++)
    {
      g_autoptr (IngModelFile) file = g_list_model_get_item (files, i);

      if (g_strcmp0 (ing_model_file_get_name (file), name) == 0)
        return ing_model_file_get_bytes (file);
    }
  return 0;
}

GtkWidget *
ing_model_quality_new (IngWorkspace *workspace, IngModelFile *file, const IngModelFacts *facts)
{
  const char *source = facts->quality_source != NULL && *facts->quality_source != '\0' ? facts->quality_source : _("The original");
  GtkWidget *group;

  if (facts->quality_positions == 0)
    return NULL;
  g_autofree char *positions = ing_numbers_dup_count (facts->quality_positions);
  g_autofree char *text = g_strdup_printf (_("Measured at %s places of a short text when it was made. Lower perplexity is better; with a "
                                             "difference of 0 it would be the same model."),
                                           positions);
  g_autofree char *more = g_strdup_printf (_("Difference to the original (mean KL) %.4f; the same word is likeliest at %.1f %% of "
                                             "places"),
                                           facts->mean_kl, 100 * facts->same_top);

  group = adw_preferences_group_new ();
  adw_preferences_group_set_title (ADW_PREFERENCES_GROUP (group), _("Quality after shrinking"));
  adw_preferences_group_set_description (ADW_PREFERENCES_GROUP (group), text);
  add_row (group, source, find_bytes (workspace, source), facts->source_perplexity, NULL);
  add_row (group, ing_model_file_get_name (file), ing_model_file_get_bytes (file), facts->perplexity, more);
  return group;
}
