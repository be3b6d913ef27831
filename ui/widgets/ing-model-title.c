/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-model-title.h"

#include <string.h>

#define STARTER_PREFIX "SmolLM2-135M-Instruct"

/* "Q4_K_M", "IQ3_XXS", "F16", "BF16": how the weights are stored is not part of a name. */
static gboolean
is_type (const char *word)
{
  if (g_ascii_strncasecmp (word, "iq", 2) == 0)
    word++;
  if ((*word == 'q' || *word == 'Q') && g_ascii_isdigit (word[1]))
    return TRUE;
  return g_ascii_strcasecmp (word, "f16") == 0 || g_ascii_strcasecmp (word, "f32") == 0
         || g_ascii_strcasecmp (word, "bf16") == 0 || g_ascii_strcasecmp (word, "gguf") == 0;
}

char *
ing_model_title_dup (const char *path)
{
  g_autofree char *name = NULL;
  g_auto (GStrv) words = NULL;
  guint n;
  char *part;

  if (path == NULL)
    return NULL;
  name = g_path_get_basename (path);
  if (g_str_has_suffix (name, ".gguf"))
    name[strlen (name) - strlen (".gguf")] = '\0';
  part = strstr (name, "-00001-of-");
  if (part != NULL)
    *part = '\0';
  if (!g_utf8_validate (name, -1, NULL))
    return g_filename_display_name (name);
  words = g_strsplit (name, "-", -1);
  n = g_strv_length (words);
  if (n > 1 && is_type (words[n - 1]))
    {
      g_clear_pointer (&words[n - 1], g_free);
      n--;
    }
  else if (n > 0 && (part = strrchr (words[n - 1], '.')) != NULL && is_type (part + 1))
    *part = '\0';
  return g_strjoinv (" ", words);
}

gboolean
ing_model_title_is_starter (const char *path)
{
  g_autofree char *name = path != NULL ? g_path_get_basename (path) : NULL;

  return name != NULL && g_str_has_prefix (name, STARTER_PREFIX);
}
