/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-folder-set.h"

#include <string.h>

#include "ing-folder-scan.h"

static gboolean
is_below (const char *path, const char *folder)
{
  gsize n = strlen (folder);
  return strncmp (path, folder, n) == 0 && (path[n] == '/' || (n > 0 && folder[n - 1] == '/'));
}

gboolean
ing_folder_set_holds (IngFolderSet *self, const char *path)
{
  for (guint i = 0; i < self->folders->len; i++)
    if (is_below (path, self->folders->pdata[i]))
      return TRUE;
  return FALSE;
}

/* ------------------------------------------------------------------ what is known */

/* Of all documents: a file may have come from anywhere. */
static IngFolderLook *
prepare (gpointer data)
{
  IngFolderSet *self = data;
  IngFolderLook *look = ing_folder_look_new ();
  GListModel *documents = G_LIST_MODEL (self->library);
  for (guint i = 0; i < self->folders->len; i++)
    g_ptr_array_add (look->folders, g_strdup (self->folders->pdata[i]));
  for (guint i = 0; i < g_list_model_get_n_items (documents); i++)
    {
      g_autoptr (IngDocument) document = g_list_model_get_item (documents, i);
      const IngDocumentRow *row = document->row;
      const IngKnown known = { row->id, row->size, row->mtime_us, row->path, row->hash, row->gone,
                               ing_document_find_owner (document, self->owner) != NULL };
      ing_folder_look_add_known (look, &known);
    }
  return look;
}

/* ------------------------------------------------------------------ what was found */

static IngDocument *
lookup (IngFolderSet *self, GArray *ids, guint i)
{
  IngDocument *document = ing_document_library_lookup (self->library, g_array_index (ids, gint64, i));
  return document != NULL && ing_document_find_owner (document, self->owner) != NULL ? document : NULL;
}

/* Of a file that was never read there is nothing to keep. */
static void
lose (IngFolderSet *self, IngDocument *document)
{
  if (document->row->n_chunks == 0 && ing_document_find_owner (document, self->owner)->found)
    ing_document_library_remove (self->library, self->owner, document);
  else
    ing_document_library_set_gone (self->library, document, TRUE);
}

/* What was found in a folder that is not held any more, or has moved out of it; works left from the run before go on. */
static void
tidy (IngFolderSet *self)
{
  g_autoptr (GListModel) own = ing_document_library_dup_list (self->library, self->owner);
  for (guint i = g_list_model_get_n_items (own); i > 0; i--)
    {
      g_autoptr (IngDocument) document = g_list_model_get_item (own, i - 1);
      const IngOwner *owner = ing_document_find_owner (document, self->owner);
      if (owner->found && !ing_folder_set_holds (self, document->row->path))
        ing_document_library_remove (self->library, self->owner, document);
      else if (!self->looked && !document->row->gone)
        ing_document_library_look (self->library, document);
    }
}

static void
keep_problems (IngFolderSet *self, const IngFolderLook *look)
{
  g_hash_table_remove_all (self->problems);
  for (guint i = 0; i < look->folders->len && i < look->problems->len; i++)
    if (look->problems->pdata[i] != NULL)
      g_hash_table_insert (self->problems, g_strdup (look->folders->pdata[i]), g_error_copy (look->problems->pdata[i]));
}

/* Held folders are followed although they are not there, for the day they come back; so are those of single files. */
static void
follow (IngFolderSet *self, const IngFolderLook *look)
{
  if (!self->following)
    {
      self->n_unfollowed = 0;
      ing_folder_watch_follow (self->watch, NULL);
      return;
    }
  g_autoptr (GPtrArray) all = g_ptr_array_new ();
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GListModel) own = ing_document_library_dup_list (self->library, self->owner);
  for (guint i = 0; i < self->folders->len; i++)
    g_hash_table_add (seen, g_strdup (self->folders->pdata[i]));
  for (guint i = 0; i < look->inside->len; i++)
    g_hash_table_add (seen, g_strdup (look->inside->pdata[i]));
  for (guint i = 0; i < g_list_model_get_n_items (own); i++)
    {
      g_autoptr (IngDocument) document = g_list_model_get_item (own, i);
      if (!ing_document_find_owner (document, self->owner)->found)
        g_hash_table_add (seen, g_path_get_dirname (document->row->path));
    }
  GHashTableIter iter;
  gpointer path;
  g_hash_table_iter_init (&iter, seen);
  while (g_hash_table_iter_next (&iter, &path, NULL))
    g_ptr_array_add (all, path);
  g_ptr_array_sort (all, ing_folder_scan_compare_paths);
  self->n_unfollowed = ing_folder_watch_follow (self->watch, all);
}

static void
apply (const IngFolderLook *look, gpointer data)
{
  IngFolderSet *self = data;
  IngDocument *document;
  if (look == NULL)
    return;
  ing_document_library_begin (self->library);
  for (guint i = 0; i < look->moved->len; i++)
    {
      const IngMoved *moved = look->moved->pdata[i];
      document = ing_document_library_lookup (self->library, moved->id);
      if (document != NULL && ing_document_library_find (self->library, moved->path) == NULL)
        ing_document_library_move (self->library, document, moved->path);
    }
  for (guint i = 0; i < look->gone->len; i++)
    if ((document = lookup (self, look->gone, i)) != NULL)
      lose (self, document);
  for (guint i = 0; i < look->back->len; i++)
    if ((document = lookup (self, look->back, i)) != NULL)
      ing_document_library_set_gone (self->library, document, FALSE);
  for (guint i = 0; i < look->changed->len; i++)
    if ((document = lookup (self, look->changed, i)) != NULL)
      ing_document_library_look (self->library, document);
  for (guint i = 0; i < look->added->len; i++)
    if (!g_hash_table_contains (self->left_out, look->added->pdata[i])
        && ing_folder_set_holds (self, look->added->pdata[i]))
      ing_document_library_add_as (self->library, self->owner, look->added->pdata[i], TRUE);
  tidy (self);
  ing_document_library_end (self->library);
  self->looked = TRUE;
  self->cut = look->cut;
  keep_problems (self, look);
  follow (self, look);
  self->changed (self->owner, self->data);
}

/* ------------------------------------------------------------------ folders */

gboolean
ing_folder_set_hold (IngFolderSet *self, const char *path)
{
  if (g_ptr_array_find_with_equal_func (self->folders, path, g_str_equal, NULL))
    return FALSE;
  g_ptr_array_add (self->folders, g_strdup (path));
  g_ptr_array_sort (self->folders, ing_folder_scan_compare_paths);
  return TRUE;
}

gboolean
ing_folder_set_drop (IngFolderSet *self, const char *path)
{
  guint position;
  if (!g_ptr_array_find_with_equal_func (self->folders, path, g_str_equal, &position))
    return FALSE;
  g_hash_table_remove (self->problems, path);
  g_ptr_array_remove_index (self->folders, position);
  ing_document_library_begin (self->library);
  tidy (self);
  ing_document_library_end (self->library);
  if (self->looked)
    ing_folder_set_look (self);
  return TRUE;
}

void
ing_folder_set_follow (IngFolderSet *self, gboolean following)
{
  if (self->following == following)
    return;
  self->following = following;
  if (following)
    ing_folder_set_look (self);
  else
    {
      self->n_unfollowed = 0;
      ing_folder_watch_follow (self->watch, NULL);
    }
}

void
ing_folder_set_look (IngFolderSet *self)
{
  ing_folder_watch_look (self->watch);
}

IngFolderSet *
ing_folder_set_new (IngDocumentLibrary *library, gint64 owner, void (*changed) (gint64 owner, gpointer data), gpointer data)
{
  IngFolderSet *self = g_new0 (IngFolderSet, 1);
  const IngFolderWatchFuncs funcs = { prepare, apply, self };
  self->library = library;
  self->owner = owner;
  self->folders = g_ptr_array_new_with_free_func (g_free);
  self->left_out = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  self->problems = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_error_free);
  self->watch = ing_folder_watch_new (&funcs);
  self->changed = changed;
  self->data = data;
  return self;
}

void
ing_folder_set_free (IngFolderSet *self)
{
  ing_folder_watch_free (self->watch);
  g_ptr_array_unref (self->folders);
  g_hash_table_unref (self->left_out);
  g_hash_table_unref (self->problems);
  g_free (self);
}
