/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-folder-scan.h"

#include <string.h>

#include "ing-document-library.h"

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

gboolean
ing_folder_scan_takes (const char *name)
{
  return !is_passed_over (name) && is_document (name);
}

gint64
ing_folder_scan_get_time (const GStatBuf *info)
{
  return (gint64) info->st_mtim.tv_sec * G_USEC_PER_SEC + info->st_mtim.tv_nsec / 1000;
}

static void
file_free (gpointer data)
{
  g_free (((IngScannedFile *) data)->path);
  g_free (data);
}

IngFolderScan *
ing_folder_scan_new (void)
{
  IngFolderScan *self = g_new0 (IngFolderScan, 1);
  self->files = g_ptr_array_new_with_free_func (file_free);
  self->folders = g_ptr_array_new_with_free_func (g_free);
  return self;
}

void
ing_folder_scan_free (IngFolderScan *self)
{
  g_ptr_array_unref (self->files);
  g_ptr_array_unref (self->folders);
  g_free (self);
}

/* @path is taken. */
static void
add_file (IngFolderScan *self, char *path, GFileInfo *info)
{
  IngScannedFile *file = g_new0 (IngScannedFile, 1);
  file->path = path;
  file->size = g_file_info_get_size (info);
  file->mtime_us = (gint64) g_file_info_get_attribute_uint64 (info, G_FILE_ATTRIBUTE_TIME_MODIFIED) * G_USEC_PER_SEC
                   + g_file_info_get_attribute_uint32 (info, G_FILE_ATTRIBUTE_TIME_MODIFIED_USEC);
  g_ptr_array_add (self->files, file);
}

static gboolean
scan (IngFolderScan *self, const char *path, guint depth, GCancellable *cancellable, GError **error)
{
  if (g_ptr_array_find_with_equal_func (self->folders, path, g_str_equal, NULL))
    return TRUE; /* stands in another one that was asked for, too */
  g_autoptr (GFile) file = g_file_new_for_path (path);
  g_autoptr (GFileEnumerator) entries = g_file_enumerate_children (
      file,
      G_FILE_ATTRIBUTE_STANDARD_NAME "," G_FILE_ATTRIBUTE_STANDARD_TYPE "," G_FILE_ATTRIBUTE_STANDARD_SIZE
                                     "," G_FILE_ATTRIBUTE_TIME_MODIFIED "," G_FILE_ATTRIBUTE_TIME_MODIFIED_USEC,
      G_FILE_QUERY_INFO_NOFOLLOW_SYMLINKS, cancellable, error);
  if (entries == NULL)
    return FALSE;
  if (self->folders->len >= MAX_FOLDERS)
    {
      self->cut = TRUE;
      return TRUE;
    }
  g_ptr_array_add (self->folders, g_strdup (path));
  for (GFileInfo *info;;)
    {
      if (!g_file_enumerator_iterate (entries, &info, NULL, cancellable, error))
        return FALSE;
      if (info == NULL)
        return TRUE;
      const char *name = g_file_info_get_name (info);
      gboolean wanted = g_file_info_get_file_type (info) == G_FILE_TYPE_REGULAR && ing_folder_scan_takes (name);
      g_autofree char *child = g_build_filename (path, name, NULL);
      if (wanted && self->files->len < MAX_FILES)
        add_file (self, g_steal_pointer (&child), info);
      else if (wanted)
        self->cut = TRUE;
      else if (!is_passed_over (name) && g_file_info_get_file_type (info) == G_FILE_TYPE_DIRECTORY)
        {
          if (depth < MAX_DEPTH)
            scan (self, child, depth + 1, cancellable, NULL); /* one that cannot be listed is passed over */
          else
            self->cut = TRUE;
        }
    }
}

gboolean
ing_folder_scan_run (IngFolderScan *self, const char *folder, GCancellable *cancellable, GError **error)
{
  return scan (self, folder, 0, cancellable, error);
}

int
ing_folder_scan_compare_paths (gconstpointer a, gconstpointer b)
{
  return strcmp (*(char *const *) a, *(char *const *) b);
}

char **
ing_document_library_scan_sync (const char *folder, GError **error)
{
  g_autoptr (IngFolderScan) found = ing_folder_scan_new ();
  if (!ing_folder_scan_run (found, folder, NULL, error))
    return NULL;
  g_autoptr (GPtrArray) paths = g_ptr_array_new ();
  for (guint i = 0; i < found->files->len; i++)
    g_ptr_array_add (paths, g_steal_pointer (&((IngScannedFile *) found->files->pdata[i])->path));
  g_ptr_array_sort (paths, ing_folder_scan_compare_paths);
  g_ptr_array_add (paths, NULL);
  return (char **) g_ptr_array_free (g_steal_pointer (&paths), FALSE);
}
