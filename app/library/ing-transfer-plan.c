/* SPDX-License-Identifier: Apache-2.0 */
/* What is known before a transfer: types, sizes, folders. */
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#include "ing-json.h"
#include "ing-transfers.h"

#define MAX_CONFIG (16u << 20)
#define MAX_FILES 10000

static const char *const types[]
    = { "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_0", "IQ4_XS", "Q3_K_M", "Q2_K", NULL };

const char *const *
ing_transfers_get_types (void)
{
  return types;
}

gboolean
ing_transfers_is_exact (const char *type)
{
  return strcmp (type, "F32") == 0 || strcmp (type, "F16") == 0 || strcmp (type, "BF16") == 0;
}

gboolean
ing_transfers_look_at_folder (const char *path, guint64 *bytes)
{
  g_autofree char *config = g_build_filename (path, "config.json", NULL);
  g_autofree char *text = NULL;
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  guint64 all = 0;
  GStatBuf st;
  const char *name;
  if (dir == NULL || g_stat (config, &st) != 0 || !S_ISREG (st.st_mode) || st.st_size > MAX_CONFIG
      || !g_file_get_contents (config, &text, NULL, NULL))
    return FALSE;
  g_autoptr (JsonObject) object = ing_json_parse_object (text, -1, NULL);
  for (guint n = 0; object != NULL && n < MAX_FILES && (name = g_dir_read_name (dir)) != NULL; n++)
    {
      g_autofree char *file = g_build_filename (path, name, NULL);
      if (g_str_has_suffix (name, ".safetensors") && g_stat (file, &st) == 0 && S_ISREG (st.st_mode))
        all += (guint64) st.st_size;
    }
  if (bytes != NULL)
    *bytes = all;
  return all > 0;
}
