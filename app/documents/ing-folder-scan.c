/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-document-library.h"

#include <string.h>

#define MAX_DEPTH 16u
#define MAX_FILES 2000u /* what is behind them is left out */
#define MAX_FOLDERS 400u

static gboolean
is_document (const char *name)
{
  static const char *const endings[]
      = { "pdf", "docx", "odt", "pptx", "odp", "xlsx", "ods", "epub", "html", "htm", "xhtml", "md", "markdown", "txt",
          "text", "csv", "tsv", "rtf", "rst", "adoc", "org", "tex", "c", "h", "cc", "cpp", "hpp", "py", "js", "ts",
          "java", "go", "rs", "rb", "php", "sh", "lua", "swift", "kt", "cs", "sql", NULL };
  const char *dot = strrchr (name, '.');
  g_autofree char *ending = dot != NULL ? g_ascii_strdown (dot + 1, -1) : NULL;
  return ending != NULL && g_strv_contains (endings, ending);
}

static gboolean
is_passed_over (const char *name)
{
  return *name == '.' || strcmp (name, "node_modules") == 0 || strcmp (name, "__pycache__") == 0;
}

static gboolean
scan (const char *path, guint depth, GPtrArray *files, guint *n_folders, GError **error)
{
  g_autoptr (GFile) file = g_file_new_for_path (path);
  g_autoptr (GFileEnumerator) entries = g_file_enumerate_children (
      file, G_FILE_ATTRIBUTE_STANDARD_NAME "," G_FILE_ATTRIBUTE_STANDARD_TYPE, G_FILE_QUERY_INFO_NOFOLLOW_SYMLINKS,
      NULL, error);
  if (entries == NULL)
    return FALSE;
  if (++*n_folders > MAX_FOLDERS)
    return TRUE;
  for (GFileInfo *info; files->len < MAX_FILES;)
    {
      if (!g_file_enumerator_iterate (entries, &info, NULL, NULL, error))
        return FALSE;
      if (info == NULL)
        break;
      const char *name = g_file_info_get_name (info);
      g_autofree char *child = g_build_filename (path, name, NULL);
      if (is_passed_over (name))
        continue;
      if (g_file_info_get_file_type (info) == G_FILE_TYPE_REGULAR && is_document (name))
        g_ptr_array_add (files, g_steal_pointer (&child));
      else if (g_file_info_get_file_type (info) == G_FILE_TYPE_DIRECTORY && depth < MAX_DEPTH)
        scan (child, depth + 1, files, n_folders, NULL); /* one that cannot be listed is passed over */
    }
  return TRUE;
}

static int
compare_paths (gconstpointer a, gconstpointer b)
{
  return strcmp (*(char *const *) a, *(char *const *) b);
}

char **
ing_document_library_scan_sync (const char *folder, GError **error)
{
  g_autoptr (GPtrArray) files = g_ptr_array_new_with_free_func (g_free);
  guint n_folders = 0;
  if (!scan (folder, 0, files, &n_folders, error))
    return NULL;
  g_ptr_array_sort (files, compare_paths);
  g_ptr_array_add (files, NULL);
  g_ptr_array_set_free_func (files, NULL);
  return (char **) g_ptr_array_free (g_steal_pointer (&files), FALSE);
}
