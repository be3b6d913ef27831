/* SPDX-License-Identifier: Apache-2.0 */
/* The documents below folders. Any thread; blocks. */
#pragma once

#include <gio/gio.h>
#include <glib/gstdio.h>

typedef struct
{
  char *path;
  gint64 size, mtime_us;
} IngScannedFile;

typedef struct
{
  GPtrArray *files;   /* of IngScannedFile, each path once */
  GPtrArray *folders; /* paths of those looked into */
  gboolean cut;       /* there are more files or folders than are taken */
} IngFolderScan;

IngFolderScan *ing_folder_scan_new (void);
void ing_folder_scan_free (IngFolderScan *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (IngFolderScan, ing_folder_scan_free)

/* Appends what is below @folder, by the names' endings: 2,000 files and 400 folders in all at most; hidden ones, links and
 * what programs put there are passed over, as are folders in it that cannot be listed. FALSE with an error: @folder cannot. */
gboolean ing_folder_scan_run (IngFolderScan *self, const char *folder, GCancellable *cancellable, GError **error);

/* Does the name say that it is a document, and none that is passed over? */
gboolean ing_folder_scan_takes (const char *name);
/* When it was changed, in microseconds, as it is kept. */
gint64 ing_folder_scan_get_time (const GStatBuf *info);
/* For g_ptr_array_sort () of paths. */
int ing_folder_scan_compare_paths (gconstpointer a, gconstpointer b);
