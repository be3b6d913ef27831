/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-folder-look.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "ing-error-private.h"
#include "ing-folder-scan.h"
#include "ing-reader-child.h"

static void
known_free (gpointer data)
{
  IngKnown *known = data;
  g_free (known->path);
  g_free (known->hash);
  g_free (known);
}

static void
moved_free (gpointer data)
{
  g_free (((IngMoved *) data)->path);
  g_free (data);
}

static void
problem_free (gpointer data)
{
  if (data != NULL)
    g_error_free (data);
}

IngFolderLook *
ing_folder_look_new (void)
{
  IngFolderLook *self = g_new0 (IngFolderLook, 1);
  self->folders = g_ptr_array_new_with_free_func (g_free);
  self->known = g_ptr_array_new_with_free_func (known_free);
  self->added = g_ptr_array_new_with_free_func (g_free);
  self->changed = g_array_new (FALSE, FALSE, sizeof (gint64));
  self->gone = g_array_new (FALSE, FALSE, sizeof (gint64));
  self->back = g_array_new (FALSE, FALSE, sizeof (gint64));
  self->moved = g_ptr_array_new_with_free_func (moved_free);
  self->inside = g_ptr_array_new_with_free_func (g_free);
  self->problems = g_ptr_array_new_with_free_func (problem_free);
  return self;
}

void
ing_folder_look_free (IngFolderLook *self)
{
  g_ptr_array_unref (self->folders);
  g_ptr_array_unref (self->known);
  g_ptr_array_unref (self->added);
  g_array_unref (self->changed);
  g_array_unref (self->gone);
  g_array_unref (self->back);
  g_ptr_array_unref (self->moved);
  g_ptr_array_unref (self->inside);
  g_ptr_array_unref (self->problems);
  g_free (self);
}

void
ing_folder_look_add_known (IngFolderLook *self, const IngKnown *known)
{
  IngKnown *copy = g_memdup2 (known, sizeof *known);
  copy->path = g_strdup (known->path);
  copy->hash = g_strdup (known->hash);
  g_ptr_array_add (self->known, copy);
}

char *
ing_document_hash_file (const char *path, GCancellable *cancellable, GError **error)
{
  int fd = ing_reader_open (path, error);
  if (fd < 0)
    return NULL;
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  g_autofree guchar *buffer = g_malloc (1 << 16);
  gssize n = 0;
  gboolean cancelled;
  while (!(cancelled = g_cancellable_set_error_if_cancelled (cancellable, error)) && (n = read (fd, buffer, 1 << 16)) > 0)
    g_checksum_update (sum, buffer, n);
  if (n < 0)
    g_propagate_error (error, ing_error_from_system (errno, path, "read"));
  close (fd);
  return n < 0 || cancelled ? NULL : g_strdup (g_checksum_get_string (sum));
}

/* Not there: nobody says that of a file whose folder may not be read. */
static gboolean
is_missing (const char *path)
{
  GStatBuf info;
  return g_stat (path, &info) != 0 && (errno == ENOENT || errno == ENOTDIR);
}

/* A document whose file is gone and was the same as @file; it is taken off. */
static IngKnown *
take_moved (IngFolderLook *self, GPtrArray *lost, const IngScannedFile *file, GCancellable *cancellable)
{
  g_autofree char *hash = NULL;
  for (guint i = 0; i < lost->len; i++)
    {
      IngKnown *known = lost->pdata[i];
      if (known->size != file->size || *known->hash == '\0')
        continue;
      if (hash == NULL)
        hash = ing_document_hash_file (file->path, cancellable, NULL);
      if (g_strcmp0 (hash, known->hash) == 0)
        return g_ptr_array_remove_index (lost, i);
    }
  return NULL;
}

/* Each known one as its file is; those without file are returned. */
static GPtrArray *
compare_known (IngFolderLook *self, GHashTable *files)
{
  GPtrArray *lost = g_ptr_array_new ();
  for (guint i = 0; i < self->known->len; i++)
    {
      IngKnown *known = self->known->pdata[i];
      const IngScannedFile *file = g_hash_table_lookup (files, known->path);
      GStatBuf info;
      if (file == NULL && is_missing (known->path))
        g_ptr_array_add (lost, known);
      else if (known->own && known->gone)
        g_array_append_val (self->back, known->id);
      else if (known->own && file != NULL)
        {
          if (file->size != known->size || file->mtime_us != known->mtime_us)
            g_array_append_val (self->changed, known->id);
        }
      else if (known->own && g_stat (known->path, &info) == 0
               && (info.st_size != known->size || ing_folder_scan_get_time (&info) != known->mtime_us))
        g_array_append_val (self->changed, known->id);
    }
  return lost;
}

gboolean
ing_folder_look_run (IngFolderLook *self, GCancellable *cancellable)
{
  g_autoptr (GHashTable) files = g_hash_table_new (g_str_hash, g_str_equal), known = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (IngFolderScan) scan = ing_folder_scan_new ();
  for (guint i = 0; i < self->folders->len; i++)
    {
      GError *error = NULL;
      ing_folder_scan_run (scan, self->folders->pdata[i], cancellable, &error);
      g_ptr_array_add (self->problems, error);
    }
  if (g_cancellable_is_cancelled (cancellable))
    return FALSE;
  for (guint i = 0; i < scan->files->len; i++)
    g_hash_table_insert (files, ((IngScannedFile *) scan->files->pdata[i])->path, scan->files->pdata[i]);
  for (guint i = 0; i < self->known->len; i++)
    g_hash_table_insert (known, ((IngKnown *) self->known->pdata[i])->path, self->known->pdata[i]);
  g_autoptr (GPtrArray) lost = compare_known (self, files);
  for (guint i = 0; i < scan->files->len && !g_cancellable_is_cancelled (cancellable); i++)
    {
      const IngScannedFile *file = scan->files->pdata[i];
      const IngKnown *there = g_hash_table_lookup (known, file->path);
      if (there != NULL && there->own)
        continue;
      const IngKnown *from = there == NULL ? take_moved (self, lost, file, cancellable) : NULL;
      if (from != NULL)
        {
          IngMoved *moved = g_new0 (IngMoved, 1);
          *moved = (IngMoved){ from->id, g_strdup (file->path) };
          g_ptr_array_add (self->moved, moved);
        }
      g_ptr_array_add (self->added, g_strdup (file->path));
    }
  for (guint i = 0; i < lost->len; i++)
    {
      const IngKnown *one = lost->pdata[i];
      if (one->own && !one->gone)
        g_array_append_val (self->gone, one->id);
    }
  for (guint i = 0; i < scan->folders->len; i++)
    g_ptr_array_add (self->inside, g_strdup (scan->folders->pdata[i]));
  self->cut = scan->cut;
  return !g_cancellable_is_cancelled (cancellable);
}
