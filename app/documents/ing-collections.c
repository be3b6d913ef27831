/* SPDX-License-Identifier: Apache-2.0 */
/* Invariants:
 *  1. all holds each collection that is in the database; listed, sorted by name, those of it that are not removed.
 *  2. The library asks for a conversation what asked says, of listed collections (ing_document_library_set_asked).
 *  3. A set is there for each owner that holds a folder, and for each listed collection. */
#include "ing-collections-private.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#include "ing-collection-change.h"
#include "ing-document-private.h"
#include "ing-folder-set.h"

struct _IngCollections
{
  GObject parent_instance;
  IngDocumentLibrary *library; /* which owns this */
  IngCollectionTables *tables; /* read, not listed yet */
  GPtrArray *all;              /* of IngCollection */
  GPtrArray *listed;           /* borrowed from it */
  GHashTable *sets;            /* owner → IngFolderSet */
  GArray *asked;               /* of IngAsked */
  gint64 last_id;
  gboolean started, closed;
};

static void collections_list_model_init (GListModelInterface *iface);
G_DEFINE_FINAL_TYPE_WITH_CODE (IngCollections, ing_collections, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (G_TYPE_LIST_MODEL, collections_list_model_init))

static guint signal_changed;

/* ------------------------------------------------------------------ the list */

static GType
get_item_type (GListModel *model)
{
  return ING_TYPE_COLLECTION;
}

static guint
get_n_items (GListModel *model)
{
  return ING_COLLECTIONS (model)->listed->len;
}

static gpointer
get_item (GListModel *model, guint position)
{
  IngCollections *self = ING_COLLECTIONS (model);
  return position < self->listed->len ? g_object_ref (self->listed->pdata[position]) : NULL;
}

static void
collections_list_model_init (GListModelInterface *iface)
{
  iface->get_item_type = get_item_type;
  iface->get_n_items = get_n_items;
  iface->get_item = get_item;
}

static guint
find_place (IngCollections *self, IngCollection *collection)
{
  guint i = 0;
  while (i < self->listed->len
         && g_utf8_collate (((IngCollection *) self->listed->pdata[i])->row.name, collection->row.name) <= 0)
    i++;
  return i;
}

static void
list (IngCollections *self, IngCollection *collection)
{
  guint place = find_place (self, collection);
  g_ptr_array_insert (self->listed, (int) place, collection);
  g_list_model_items_changed (G_LIST_MODEL (self), place, 0, 1);
}

static void
unlist (IngCollections *self, IngCollection *collection)
{
  guint position;
  if (!g_ptr_array_find (self->listed, collection, &position))
    return;
  g_ptr_array_remove_index (self->listed, position);
  g_list_model_items_changed (G_LIST_MODEL (self), position, 1, 0);
}

static IngCollection *
lookup_any (IngCollections *self, gint64 id)
{
  for (guint i = 0; i < self->all->len; i++)
    if (((IngCollection *) self->all->pdata[i])->row.id == id)
      return self->all->pdata[i];
  return NULL;
}

IngCollection *
ing_collections_lookup (IngCollections *self, gint64 id)
{
  IngCollection *collection = lookup_any (self, id);
  return collection != NULL && !collection->row.deleted ? collection : NULL;
}

IngCollection *
ing_collections_find (IngCollections *self, const char *name)
{
  g_autofree char *folded = g_utf8_casefold (name, -1);
  for (guint i = 0; i < self->listed->len; i++)
    {
      g_autofree char *other = g_utf8_casefold (((IngCollection *) self->listed->pdata[i])->row.name, -1);
      if (strcmp (folded, other) == 0)
        return self->listed->pdata[i];
    }
  return NULL;
}

/* ------------------------------------------------------------------ writing behind */

static void
write_change (IngCollections *self, IngChangeKind kind, const IngCollection *collection, gint64 owner, const char *path,
              gboolean there)
{
  ing_collection_change_write (ing_document_library_get_database (self->library), kind,
                               collection != NULL ? &collection->row : NULL, owner, path, there);
}

static void
write_row (IngCollections *self, IngCollection *collection)
{
  write_change (self, ING_CHANGE_ROW, collection, 0, NULL, TRUE);
}

/* ------------------------------------------------------------------ sets of folders */

static void
tell_changed (gint64 owner, gpointer data)
{
  g_signal_emit (data, signal_changed, 0, owner);
}

static IngFolderSet *
get_set (IngCollections *self, gint64 owner)
{
  return g_hash_table_lookup (self->sets, &owner);
}

static gboolean
wants_following (IngCollections *self, gint64 owner)
{
  IngCollection *collection = owner < 0 ? lookup_any (self, -owner) : NULL;
  return self->started && !self->closed
         && (collection == NULL || (collection->row.watched && !collection->row.deleted));
}

static IngFolderSet *
ensure_set (IngCollections *self, gint64 owner)
{
  IngFolderSet *set = get_set (self, owner);
  if (set != NULL)
    return set;
  set = ing_folder_set_new (self->library, owner, tell_changed, self);
  set->following = wants_following (self, owner);
  g_hash_table_insert (self->sets, g_memdup2 (&owner, sizeof owner), set);
  return set;
}

/* ------------------------------------------------------------------ collections */

static void
set_name (IngCollection *collection, const char *name)
{
  g_free (collection->row.name);
  collection->row.name = g_strstrip (g_utf8_make_valid (name, -1));
}

static char *
dup_free_name (IngCollections *self, const char *name, IngCollection *but)
{
  g_autofree char *own = g_strstrip (g_utf8_make_valid (name, -1));
  const char *wanted = *own != '\0' ? own : _ ("Documents");
  char *free_name = g_strdup (wanted);
  for (guint i = 2;; i++)
    {
      IngCollection *other = ing_collections_find (self, free_name);
      if (other == NULL || other == but)
        return free_name;
      g_free (free_name);
      free_name = g_strdup_printf ("%s %u", wanted, i);
    }
}

IngCollection *
ing_collections_create (IngCollections *self, const char *name)
{
  g_return_val_if_fail (ING_IS_COLLECTIONS (self) && name != NULL, NULL);
  IngCollection *collection = g_object_new (ING_TYPE_COLLECTION, NULL);
  g_autofree char *free_name = dup_free_name (self, name, NULL);
  collection->row.id = ++self->last_id;
  collection->row.watched = TRUE;
  set_name (collection, free_name);
  g_ptr_array_add (self->all, collection);
  write_row (self, collection);
  ensure_set (self, -collection->row.id);
  list (self, collection);
  return collection;
}

void
ing_collections_rename (IngCollections *self, IngCollection *collection, const char *name)
{
  g_autofree char *free_name = dup_free_name (self, name, collection);
  if (strcmp (free_name, collection->row.name) == 0)
    return;
  set_name (collection, free_name);
  write_row (self, collection);
  unlist (self, collection);
  list (self, collection);
  g_object_notify (G_OBJECT (collection), "name");
}

/* The library's view of who asks it: as asked says while it is listed, else nobody. */
static void
show_asked (IngCollections *self, IngCollection *collection)
{
  for (guint i = 0; i < self->asked->len; i++)
    {
      const IngAsked *one = &g_array_index (self->asked, IngAsked, i);
      if (one->collection == collection->row.id)
        {
          ing_document_library_set_asked (self->library, one->conversation, -one->collection, !collection->row.deleted);
          tell_changed (one->conversation, self);
        }
    }
}

static void
erase (IngCollections *self, IngCollection *collection)
{
  g_clear_handle_id (&collection->erase_id, g_source_remove);
  for (guint i = self->asked->len; i > 0; i--)
    {
      const IngAsked *one = &g_array_index (self->asked, IngAsked, i - 1);
      if (one->collection == collection->row.id)
        g_array_remove_index (self->asked, i - 1);
    }
  ing_document_library_remove_owner (self->library, -collection->row.id);
  write_change (self, ING_CHANGE_ERASE, collection, 0, NULL, FALSE);
  g_ptr_array_remove (self->all, collection);
}

typedef struct
{
  IngCollections *collections;
  IngCollection *collection;
} Erasing;

static gboolean
on_erase_due (gpointer data)
{
  Erasing *erasing = data;
  g_autoptr (IngCollection) keep = g_object_ref (erasing->collection);
  keep->erase_id = 0;
  erase (erasing->collections, keep);
  return G_SOURCE_REMOVE;
}

void
ing_collections_remove (IngCollections *self, IngCollection *collection)
{
  if (collection->row.deleted)
    return;
  collection->row.deleted = TRUE;
  write_row (self, collection);
  Erasing *erasing = g_new0 (Erasing, 1);
  *erasing = (Erasing){ self, collection };
  collection->erase_id = g_timeout_add_seconds_full (G_PRIORITY_DEFAULT, ING_COLLECTION_UNDO_S, on_erase_due, erasing, g_free);
  ing_folder_set_follow (ensure_set (self, -collection->row.id), FALSE);
  ing_document_library_set_paused (self->library, -collection->row.id, TRUE);
  show_asked (self, collection);
  unlist (self, collection);
}

gboolean
ing_collections_undo_remove (IngCollections *self, IngCollection *collection)
{
  if (!g_ptr_array_find (self->all, collection, NULL) || !collection->row.deleted)
    return FALSE;
  collection->row.deleted = FALSE;
  g_clear_handle_id (&collection->erase_id, g_source_remove);
  write_row (self, collection);
  ing_document_library_set_paused (self->library, -collection->row.id, collection->row.paused);
  ing_folder_set_follow (ensure_set (self, -collection->row.id), wants_following (self, -collection->row.id));
  show_asked (self, collection);
  list (self, collection);
  return TRUE;
}

void
ing_collections_set_watched (IngCollections *self, IngCollection *collection, gboolean watched)
{
  if (collection->row.watched == watched)
    return;
  collection->row.watched = watched;
  write_row (self, collection);
  ing_folder_set_follow (ensure_set (self, -collection->row.id), wants_following (self, -collection->row.id));
  tell_changed (-collection->row.id, self);
}

/* ------------------------------------------------------------------ what owners hold */

static void
set_left_out (IngCollections *self, IngFolderSet *set, const char *path, gboolean left_out)
{
  if (left_out ? g_hash_table_add (set->left_out, g_strdup (path)) : g_hash_table_remove (set->left_out, path))
    write_change (self, ING_CHANGE_LEFT_OUT, NULL, set->owner, path, left_out);
}

/* A folder that is added again is wanted as a whole. */
static void
take_back_in (IngCollections *self, IngFolderSet *set, const char *folder)
{
  g_autofree char *prefix = g_strconcat (folder, "/", NULL);
  g_autoptr (GPtrArray) back = g_ptr_array_new_with_free_func (g_free);
  GHashTableIter iter;
  gpointer path;
  g_hash_table_iter_init (&iter, set->left_out);
  while (g_hash_table_iter_next (&iter, &path, NULL))
    if (g_str_has_prefix (path, prefix))
      g_ptr_array_add (back, g_strdup (path));
  for (guint i = 0; i < back->len; i++)
    set_left_out (self, set, back->pdata[i], FALSE);
}

void
ing_collections_add (IngCollections *self, gint64 owner, const char *const *paths)
{
  IngFolderSet *set = ensure_set (self, owner);
  gboolean look = FALSE;
  ing_document_library_begin (self->library);
  for (guint i = 0; paths[i] != NULL; i++)
    {
      g_autofree char *full = g_canonicalize_filename (paths[i], NULL);
      if (g_file_test (full, G_FILE_TEST_IS_DIR))
        {
          take_back_in (self, set, full);
          if (ing_folder_set_hold (set, full))
            write_change (self, ING_CHANGE_FOLDER, NULL, owner, full, TRUE);
          look = TRUE;
        }
      else
        {
          set_left_out (self, set, full, FALSE);
          ing_document_library_add_as (self->library, owner, full, FALSE);
          look = look || owner < 0; /* to follow it */
        }
    }
  ing_document_library_end (self->library);
  if (look)
    ing_folder_set_look (set);
  tell_changed (owner, self);
}

void
ing_collections_remove_document (IngCollections *self, gint64 owner, IngDocument *document)
{
  IngFolderSet *set = get_set (self, owner);
  if (set != NULL && ing_folder_set_holds (set, ing_document_get_path (document)))
    set_left_out (self, set, ing_document_get_path (document), TRUE);
  ing_document_library_remove (self->library, owner, document);
}

void
ing_collections_remove_folder (IngCollections *self, gint64 owner, const char *path)
{
  IngFolderSet *set = get_set (self, owner);
  g_autofree char *own = g_strdup (path);
  if (set == NULL)
    return;
  take_back_in (self, set, own);
  if (ing_folder_set_drop (set, own))
    write_change (self, ING_CHANGE_FOLDER, NULL, owner, own, FALSE);
  tell_changed (owner, self);
}

void
ing_collections_clear (IngCollections *self, gint64 owner)
{
  g_autoptr (GListModel) own = ing_document_library_dup_list (self->library, owner);
  g_auto (GStrv) folders = ing_collections_dup_folders (self, owner);
  for (guint i = 0; folders[i] != NULL; i++)
    ing_collections_remove_folder (self, owner, folders[i]);
  ing_document_library_begin (self->library);
  for (guint i = g_list_model_get_n_items (own); i > 0; i--)
    {
      g_autoptr (IngDocument) document = g_list_model_get_item (own, i - 1);
      ing_document_library_remove (self->library, owner, document);
    }
  ing_document_library_end (self->library);
}

char **
ing_collections_dup_folders (IngCollections *self, gint64 owner)
{
  IngFolderSet *set = get_set (self, owner);
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  for (guint i = 0; set != NULL && i < set->folders->len; i++)
    g_strv_builder_add (builder, set->folders->pdata[i]);
  return g_strv_builder_end (builder);
}

const GError *
ing_collections_get_folder_problem (IngCollections *self, gint64 owner, const char *path)
{
  IngFolderSet *set = get_set (self, owner);
  return set != NULL ? g_hash_table_lookup (set->problems, path) : NULL;
}

void
ing_collections_look (IngCollections *self, gint64 owner)
{
  ing_folder_set_look (ensure_set (self, owner));
  tell_changed (owner, self);
}

void
ing_collections_set_sparing (IngCollections *self, gboolean sparing)
{
  ing_document_library_set_sparing (self->library, sparing);
  for (guint i = 0; i < self->listed->len; i++)
    tell_changed (ing_collection_get_owner (self->listed->pdata[i]), self);
}

gboolean
ing_collections_is_looking (IngCollections *self, gint64 owner)
{
  IngFolderSet *set = get_set (self, owner);
  return set != NULL && ing_folder_watch_is_looking (set->watch);
}

void
ing_collections_set_paused (IngCollections *self, gint64 owner, gboolean paused)
{
  IngCollection *collection = owner < 0 ? ing_collections_lookup (self, -owner) : NULL;
  if (collection != NULL)
    {
      collection->row.paused = paused;
      write_row (self, collection);
    }
  ing_document_library_set_paused (self->library, owner, paused);
  tell_changed (owner, self);
}

void
ing_collections_get_state (IngCollections *self, gint64 owner, IngCollectionState *state)
{
  GListModel *documents = G_LIST_MODEL (self->library);
  IngFolderSet *set = get_set (self, owner);
  guint64 left = 0;
  *state = (IngCollectionState){ .seconds_left = -1 };
  for (guint i = 0; i < g_list_model_get_n_items (documents); i++)
    {
      g_autoptr (IngDocument) document = g_list_model_get_item (documents, i);
      if (ing_document_find_owner (document, owner) == NULL)
        continue;
      state->n_documents++;
      IngDocumentState is = ing_document_get_state (document);
      gboolean gone = ing_document_get_gone (document), failed = is == ING_DOCUMENT_FAILED && !gone;
      state->n_done += gone || failed || is == ING_DOCUMENT_WORDS || is == ING_DOCUMENT_READY;
      state->n_gone += gone;
      state->n_failed += failed;
      if (document->cancellable == NULL)
        continue;
      state->working = TRUE;
      left += (guint64) ((double) document->work_bytes * (1 - CLAMP (ing_document_get_fraction (document), 0, 1)));
    }
  if (state->working)
    state->seconds_left = ing_document_library_estimate (self->library, left);
  state->paused = ing_document_library_get_paused (self->library, owner);
  state->sparing = !state->paused && owner < 0 && ing_document_library_get_sparing (self->library);
  state->looking = ing_collections_is_looking (self, owner);
  if (set == NULL)
    return;
  state->cut = set->cut;
  state->n_unfollowed = set->n_unfollowed;
}

/* ------------------------------------------------------------------ who asks what */

static gboolean
find_asked (IngCollections *self, gint64 conversation, gint64 id, guint *position)
{
  for (guint i = 0; i < self->asked->len; i++)
    {
      const IngAsked *one = &g_array_index (self->asked, IngAsked, i);
      *position = i;
      if (one->conversation == conversation && one->collection == id)
        return TRUE;
    }
  return FALSE;
}

gboolean
ing_collections_get_asked (IngCollections *self, gint64 conversation, IngCollection *collection)
{
  guint position;
  return !collection->row.deleted && find_asked (self, conversation, collection->row.id, &position);
}

void
ing_collections_set_asked (IngCollections *self, gint64 conversation, IngCollection *collection, gboolean asked)
{
  const IngAsked one = { conversation, collection->row.id };
  guint position;
  if (find_asked (self, conversation, collection->row.id, &position) == asked)
    return;
  if (asked)
    g_array_append_val (self->asked, one);
  else
    g_array_remove_index (self->asked, position);
  write_change (self, ING_CHANGE_ASKED, collection, conversation, NULL, asked);
  ing_document_library_set_asked (self->library, conversation, -collection->row.id, asked && !collection->row.deleted);
  tell_changed (conversation, self);
}

/* ------------------------------------------------------------------ life */

gboolean
ing_collections_read (IngCollections *self, IngDatabase *db, GError **error)
{
  g_clear_pointer (&self->tables, ing_collection_tables_free);
  self->tables = ing_collection_tables_read (db, error);
  return self->tables != NULL;
}

static void
empty (IngCollections *self)
{
  guint n = self->listed->len;
  for (guint i = 0; i < self->all->len; i++)
    g_clear_handle_id (&((IngCollection *) self->all->pdata[i])->erase_id, g_source_remove);
  g_ptr_array_set_size (self->listed, 0);
  g_list_model_items_changed (G_LIST_MODEL (self), 0, n, 0);
  g_hash_table_remove_all (self->sets);
  g_ptr_array_set_size (self->all, 0);
  g_array_set_size (self->asked, 0);
}

static void
take_paths (IngCollections *self, const IngCollectionTables *tables)
{
  for (guint i = 0; i < tables->folders->len; i++)
    {
      const IngHeldPath *held = tables->folders->pdata[i];
      ing_folder_set_hold (ensure_set (self, held->owner), held->path);
    }
  for (guint i = 0; i < tables->left_out->len; i++)
    {
      const IngHeldPath *held = tables->left_out->pdata[i];
      g_hash_table_add (ensure_set (self, held->owner)->left_out, g_strdup (held->path));
    }
}

static void
take_row (IngCollections *self, const IngCollectionRow *row)
{
  IngCollection *collection = g_object_new (ING_TYPE_COLLECTION, NULL);
  collection->row = *row;
  collection->row.name = g_strdup (row->name);
  self->last_id = MAX (self->last_id, row->id);
  g_ptr_array_add (self->all, collection);
  ing_document_library_set_paused (self->library, -row->id, row->paused || row->deleted);
  if (row->deleted)
    return;
  ensure_set (self, -row->id);
  list (self, collection);
}

static void
take (IngCollections *self, const IngCollectionTables *tables)
{
  for (guint i = 0; i < tables->collections->len; i++)
    take_row (self, tables->collections->pdata[i]);
  g_array_append_vals (self->asked, tables->asked->data, tables->asked->len);
  take_paths (self, tables);
  for (guint i = 0; i < tables->asked->len; i++)
    {
      IngCollection *collection = ing_collections_lookup (self, g_array_index (tables->asked, IngAsked, i).collection);
      if (collection != NULL)
        show_asked (self, collection);
    }
}

void
ing_collections_fill (IngCollections *self)
{
  empty (self);
  if (self->tables == NULL)
    return;
  self->last_id = self->tables->last_id;
  take (self, self->tables);
  for (guint i = self->all->len; i > 0; i--)
    {
      g_autoptr (IngCollection) collection = g_object_ref (self->all->pdata[i - 1]);
      if (collection->row.deleted) /* the run before ended within the time for an undo */
        erase (self, collection);
    }
  g_clear_pointer (&self->tables, ing_collection_tables_free);
}

gint64
ing_collections_reserve (IngCollections *self, guint n)
{
  gint64 last = self->last_id;
  self->last_id += n;
  return last;
}

void
ing_collections_adopt (IngCollections *self, const IngCollectionTables *tables)
{
  GHashTableIter iter;
  gpointer owner, set;
  take (self, tables);
  g_hash_table_iter_init (&iter, self->sets);
  while (g_hash_table_iter_next (&iter, &owner, &set))
    if (wants_following (self, *(gint64 *) owner))
      ing_folder_set_look (set);
}

void
ing_collections_start (IngCollections *self)
{
  GHashTableIter iter;
  gpointer owner, set;
  g_return_if_fail (ING_IS_COLLECTIONS (self));
  self->started = TRUE;
  ing_document_library_go_on (self->library);
  g_hash_table_iter_init (&iter, self->sets);
  while (g_hash_table_iter_next (&iter, &owner, &set))
    ing_folder_set_follow (set, wants_following (self, *(gint64 *) owner));
}

void
ing_collections_list_conversations (IngCollections *self, gboolean (*is_there) (gint64 owner, gpointer data),
                                    gpointer data, GHashTable *gone)
{
  GHashTableIter iter;
  gpointer owner;
  g_hash_table_iter_init (&iter, self->sets);
  while (g_hash_table_iter_next (&iter, &owner, NULL))
    if (*(gint64 *) owner > 0 && !is_there (*(gint64 *) owner, data))
      g_hash_table_add (gone, g_memdup2 (owner, sizeof (gint64)));
  for (guint i = 0; i < self->asked->len; i++)
    {
      const IngAsked *one = &g_array_index (self->asked, IngAsked, i);
      if (!is_there (one->conversation, data))
        g_hash_table_add (gone, g_memdup2 (&one->conversation, sizeof (gint64)));
    }
}

void
ing_collections_forget (IngCollections *self, gint64 owner)
{
  gboolean had = g_hash_table_remove (self->sets, &owner);
  for (guint i = self->asked->len; i > 0; i--)
    {
      const IngAsked *one = &g_array_index (self->asked, IngAsked, i - 1);
      if (one->conversation != owner)
        continue;
      ing_document_library_set_asked (self->library, owner, -one->collection, FALSE);
      g_array_remove_index (self->asked, i - 1);
      had = TRUE;
    }
  if (had)
    write_change (self, ING_CHANGE_FORGET, NULL, owner, NULL, FALSE);
}

void
ing_collections_close (IngCollections *self)
{
  self->closed = TRUE;
  g_hash_table_remove_all (self->sets);
  for (guint i = 0; i < self->all->len; i++)
    g_clear_handle_id (&((IngCollection *) self->all->pdata[i])->erase_id, g_source_remove);
}

void
ing_collections_free (IngCollections *self)
{
  ing_collections_close (self);
  self->library = NULL;
  g_object_unref (self);
}

static void
ing_collections_finalize (GObject *object)
{
  IngCollections *self = ING_COLLECTIONS (object);
  g_clear_pointer (&self->tables, ing_collection_tables_free);
  g_ptr_array_unref (self->listed);
  g_ptr_array_unref (self->all);
  g_hash_table_unref (self->sets);
  g_array_unref (self->asked);
  G_OBJECT_CLASS (ing_collections_parent_class)->finalize (object);
}

static void
ing_collections_class_init (IngCollectionsClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = ing_collections_finalize;
  signal_changed = g_signal_new ("changed", ING_TYPE_COLLECTIONS, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 1,
                                 G_TYPE_INT64);
}

static void
set_free (gpointer set)
{
  ing_folder_set_free (set);
}

static void
ing_collections_init (IngCollections *self)
{
  self->all = g_ptr_array_new_with_free_func (g_object_unref);
  self->listed = g_ptr_array_new ();
  self->sets = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, set_free);
  self->asked = g_array_new (FALSE, FALSE, sizeof (IngAsked));
}

IngCollections *
ing_collections_new (IngDocumentLibrary *library)
{
  IngCollections *self = g_object_new (ING_TYPE_COLLECTIONS, NULL);
  self->library = library;
  return self;
}
