/* SPDX-License-Identifier: Apache-2.0 */
/* Invariants:
 *  1. by_id and by_path hold exactly the documents of the list.
 *  2. What work writes of a document comes to the database's thread behind what was written when it was started: rows are
 *     never set back (begin … end: changes are handed over first, then works start). */
#include <glib/gstdio.h>
#include <string.h>

#include "ing-collections-private.h"
#include "ing-document-private.h"
#include "ing-error-private.h"
#include "ing-folder-scan.h"
#include "ing-indexer.h"
#include "ing-log.h"
#include "ing-wiper.h"

typedef struct
{
  gint64 conversation, owner;
} Asked;

struct _IngDocumentLibrary
{
  GObject parent_instance;
  IngGenerationService *service;
  IngDatabase *database;
  IngIndexer *indexer;
  IngWiper *wiper;
  IngCollections *collections;
  GPtrArray *documents; /* of IngDocument */
  GHashTable *by_id, *by_path;
  GPtrArray *rows;      /* read, not listed yet… */
  GArray *owners;       /* …nor these: gint64[3], owner, document, found */
  GHashTable *lists;    /* GListStore → its List; not held */
  GArray *asked;        /* of Asked */
  GHashTable *paused;   /* owners */
  gboolean sparing;     /* all collections are, besides */
  GPtrArray *changes;   /* of Change, since begin(); NULL outside */
  GPtrArray *starts;    /* documents, of the same */
  gint64 last_id;
  gboolean wipe; /* the run before erased something that is not wiped yet */
};

static void library_list_model_init (GListModelInterface *iface);
G_DEFINE_FINAL_TYPE_WITH_CODE (IngDocumentLibrary, ing_document_library, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (G_TYPE_LIST_MODEL, library_list_model_init))

static GType
get_item_type (GListModel *model)
{
  return ING_TYPE_DOCUMENT;
}

static guint
get_n_items (GListModel *model)
{
  return ING_DOCUMENT_LIBRARY (model)->documents->len;
}

static gpointer
get_item (GListModel *model, guint position)
{
  IngDocumentLibrary *self = ING_DOCUMENT_LIBRARY (model);
  return position < self->documents->len ? g_object_ref (self->documents->pdata[position]) : NULL;
}

static void
library_list_model_init (GListModelInterface *iface)
{
  iface->get_item_type = get_item_type;
  iface->get_n_items = get_n_items;
  iface->get_item = get_item;
}

/* ------------------------------------------------------------------ writing behind */

typedef struct
{
  IngDocumentRow *row; /* NULL = only the owner */
  gint64 owner, document;
  gboolean found, add, remove, erase;
} Change;

static void
change_free (gpointer data)
{
  ing_document_row_free (((Change *) data)->row);
  g_free (data);
}

static gboolean
write_one (IngDatabase *db, const Change *c, GError **error)
{
  return (c->row == NULL || ing_document_table_write (db, c->row, error))
         && (!c->erase || ing_document_table_erase (db, c->document, error))
         && (!c->add || ing_owner_table_add (db, c->owner, c->document, c->found, error))
         && (!c->remove || ing_owner_table_remove (db, c->owner, c->document, error));
}

static gpointer
changes_func (IngDatabase *db, gpointer data, GError **error)
{
  GPtrArray *changes = data;
  if (!ing_database_begin (db, error))
    return NULL;
  gboolean ok = TRUE;
  for (guint i = 0; ok && i < changes->len; i++)
    ok = write_one (db, changes->pdata[i], error);
  return ing_database_end (db, ok, error) ? changes : NULL;
}

static void
on_written (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GError) error = NULL;
  ing_database_run_finish (ING_DATABASE (source), result, &error);
  if (error != NULL)
    ing_notice ("the index of documents was not written: %s", error->message);
}

void
ing_document_library_begin (IngDocumentLibrary *self)
{
  g_return_if_fail (self->changes == NULL);
  self->changes = g_ptr_array_new_with_free_func (change_free);
  self->starts = g_ptr_array_new_with_free_func (g_object_unref);
}

static gboolean
may_start (IngDocumentLibrary *self, IngDocument *document)
{
  for (guint i = 0; i < document->owners->len; i++)
    {
      gint64 owner = g_array_index (document->owners, IngOwner, i).owner;
      if (!g_hash_table_contains (self->paused, &owner) && !(self->sparing && owner < 0))
        return TRUE;
    }
  return FALSE;
}

static void
start_work (IngDocumentLibrary *self, IngDocument *document)
{
  if (self->starts != NULL)
    g_ptr_array_add (self->starts, g_object_ref (document));
  else if (may_start (self, document))
    ing_indexer_start (self->indexer, document, ing_document_is_behind (document));
}

void
ing_document_library_end (IngDocumentLibrary *self)
{
  g_autoptr (GPtrArray) changes = g_steal_pointer (&self->changes);
  g_autoptr (GPtrArray) starts = g_steal_pointer (&self->starts);
  gboolean erased = FALSE;
  for (guint i = 0; i < changes->len; i++)
    erased = erased || ((Change *) changes->pdata[i])->erase;
  if (changes->len > 0)
    ing_database_run_async (self->database, changes_func, g_ptr_array_ref (changes), (GDestroyNotify) g_ptr_array_unref,
                            NULL, NULL, on_written, NULL);
  for (guint i = 0; i < starts->len; i++)
    start_work (self, starts->pdata[i]);
  if (erased)
    ing_wiper_schedule (self->wiper);
}

/* @change and its row are taken. */
static void
write_change (IngDocumentLibrary *self, Change change)
{
  gboolean alone = self->changes == NULL;
  if (alone)
    ing_document_library_begin (self);
  g_ptr_array_add (self->changes, g_memdup2 (&change, sizeof change));
  if (alone)
    ing_document_library_end (self);
}

static void
write_row (IngDocumentLibrary *self, IngDocument *document)
{
  write_change (self, (Change){ .row = ing_document_row_copy (document->row) });
}

/* ------------------------------------------------------------------ lists */

typedef struct
{
  gint64 owner;
  gboolean asked; /* the documents of collections that it asks, too */
} List;

static gboolean
asks (IngDocumentLibrary *self, gint64 conversation, gint64 owner, guint *position)
{
  for (guint i = 0; i < self->asked->len; i++)
    {
      const Asked *one = &g_array_index (self->asked, Asked, i);
      if (position != NULL)
        *position = i;
      if (one->conversation == conversation && one->owner == owner)
        return TRUE;
    }
  return FALSE;
}

static gboolean
is_of_list (IngDocumentLibrary *self, const List *list, IngDocument *document)
{
  for (guint i = 0; i < document->owners->len; i++)
    {
      gint64 owner = g_array_index (document->owners, IngOwner, i).owner;
      if (owner == list->owner || (list->asked && asks (self, list->owner, owner, NULL)))
        return TRUE;
    }
  return FALSE;
}

static void
update_list (IngDocumentLibrary *self, GListStore *store, const List *list, IngDocument *document)
{
  guint position;
  gboolean there = g_list_store_find (store, document, &position), wanted = is_of_list (self, list, document);
  if (wanted && !there)
    g_list_store_append (store, document);
  else if (!wanted && there)
    g_list_store_remove (store, position);
}

static void
update_lists (IngDocumentLibrary *self, IngDocument *document)
{
  GHashTableIter iter;
  gpointer store, list;
  g_hash_table_iter_init (&iter, self->lists);
  while (g_hash_table_iter_next (&iter, &store, &list))
    update_list (self, store, list, document);
}

static void
on_list_gone (gpointer data, GObject *list)
{
  g_hash_table_remove (((IngDocumentLibrary *) data)->lists, list);
  g_object_unref (data);
}

static GListModel *
dup_list (IngDocumentLibrary *self, gint64 owner, gboolean asked)
{
  GListStore *store = g_list_store_new (ING_TYPE_DOCUMENT);
  List *list = g_new0 (List, 1);
  *list = (List){ owner, asked };
  for (guint i = 0; i < self->documents->len; i++)
    if (is_of_list (self, list, self->documents->pdata[i]))
      g_list_store_append (store, self->documents->pdata[i]);
  g_hash_table_insert (self->lists, store, list);
  g_object_weak_ref (G_OBJECT (store), on_list_gone, g_object_ref (self));
  return G_LIST_MODEL (store);
}

GListModel *
ing_document_library_dup_list (IngDocumentLibrary *self, gint64 owner)
{
  return dup_list (self, owner, FALSE);
}

GListModel *
ing_document_library_dup_asked (IngDocumentLibrary *self, gint64 conversation)
{
  return dup_list (self, conversation, TRUE);
}

void
ing_document_library_set_asked (IngDocumentLibrary *self, gint64 conversation, gint64 owner, gboolean asked)
{
  const Asked one = { conversation, owner };
  GHashTableIter iter;
  gpointer store, list;
  guint at;
  if (asks (self, conversation, owner, &at) == asked)
    return;
  if (asked)
    g_array_append_val (self->asked, one);
  else
    g_array_remove_index (self->asked, at);
  g_hash_table_iter_init (&iter, self->lists);
  while (g_hash_table_iter_next (&iter, &store, &list))
    for (guint i = 0; ((List *) list)->asked && ((List *) list)->owner == conversation && i < self->documents->len; i++)
      if (ing_document_find_owner (self->documents->pdata[i], owner) != NULL)
        update_list (self, store, list, self->documents->pdata[i]);
}

/* ------------------------------------------------------------------ documents and owners */

IngDocument *
ing_document_library_find (IngDocumentLibrary *self, const char *path)
{
  return g_hash_table_lookup (self->by_path, path);
}

IngDocument *
ing_document_library_lookup (IngDocumentLibrary *self, gint64 id)
{
  return g_hash_table_lookup (self->by_id, &id);
}

IngDocument *
ing_document_library_find_content (IngDocumentLibrary *self, const char *hash)
{
  for (guint i = 0; i < self->documents->len; i++)
    {
      IngDocument *document = self->documents->pdata[i];
      if (strcmp (document->row->hash, hash) == 0 && !document->row->gone
          && g_file_test (document->row->path, G_FILE_TEST_EXISTS))
        return document;
    }
  return NULL;
}

static void
list_document (IngDocumentLibrary *self, IngDocument *document)
{
  self->last_id = MAX (self->last_id, document->row->id);
  g_ptr_array_add (self->documents, document);
  g_hash_table_insert (self->by_id, g_memdup2 (&document->row->id, sizeof (gint64)), document);
  g_hash_table_insert (self->by_path, g_strdup (document->row->path), document);
}

static gboolean
is_unchanged (IngDocument *document)
{
  GStatBuf info;
  const IngDocumentRow *row = document->row;
  if (g_stat (row->path, &info) != 0)
    return row->state != ING_DOCUMENT_WAITING; /* gone: what is stored stays */
  return row->size == info.st_size && row->mtime_us == ing_folder_scan_get_time (&info);
}

/* Nothing is to be done for it: it cannot be read, or its vectors are what the models that are there would make. */
static gboolean
is_settled (IngDocument *document)
{
  IngDocumentState state = document->row->state;
  return state == ING_DOCUMENT_FAILED
         || (state == ING_DOCUMENT_READY && document->row->plan == ing_embedder_get_plan ());
}

void
ing_document_library_look (IngDocumentLibrary *self, IngDocument *document)
{
  gboolean unchanged = is_unchanged (document);
  if (is_settled (document) && unchanged)
    return;
  if (document->cancellable != NULL)
    document->again = document->again || (!unchanged && g_atomic_int_get (&document->begun));
  start_work (self, document);
}

IngDocument *
ing_document_library_add_as (IngDocumentLibrary *self, gint64 owner, const char *path, gboolean found)
{
  g_autofree char *full = g_canonicalize_filename (path, NULL);
  IngDocument *document = ing_document_library_find (self, full);
  IngDocumentRow *row = NULL;
  if (document == NULL)
    {
      row = g_new0 (IngDocumentRow, 1);
      row->id = self->last_id + 1;
      row->path = g_steal_pointer (&full);
      row->hash = g_strdup ("");
      row->title = g_strdup ("");
      row->kind = g_strdup ("");
      row->state = ING_DOCUMENT_WAITING;
      document = ing_document_new (ing_document_row_copy (row));
      list_document (self, document);
      g_list_model_items_changed (G_LIST_MODEL (self), self->documents->len - 1, 0, 1);
    }
  IngOwner *known = (IngOwner *) ing_document_find_owner (document, owner);
  if (known == NULL)
    {
      const IngOwner own = { owner, found };
      g_array_append_val (document->owners, own);
    }
  else
    known->found = known->found && found;
  write_change (self, (Change){ row, owner, document->row->id, .add = TRUE, .found = found });
  update_lists (self, document);
  ing_document_library_look (self, document);
  return document;
}

IngDocument *
ing_document_library_add (IngDocumentLibrary *self, gint64 owner, const char *path)
{
  g_return_val_if_fail (ING_IS_DOCUMENT_LIBRARY (self) && path != NULL, NULL);
  return ing_document_library_add_as (self, owner, path, FALSE);
}

void
ing_document_library_remove (IngDocumentLibrary *self, gint64 owner, IngDocument *document)
{
  const IngOwner *known = ing_document_find_owner (document, owner);
  guint position;
  if (known == NULL)
    return;
  g_autoptr (IngDocument) keep = g_object_ref (document);
  g_array_remove_index (document->owners, (guint) (known - (const IngOwner *) (gpointer) document->owners->data));
  update_lists (self, document);
  gboolean erase = document->owners->len == 0;
  if (erase && document->cancellable != NULL)
    g_cancellable_cancel (document->cancellable);
  write_change (self, (Change){ NULL, owner, document->row->id, .remove = TRUE, .erase = erase });
  if (erase && g_ptr_array_find (self->documents, document, &position))
    {
      document->again = FALSE;
      g_hash_table_remove (self->by_id, &document->row->id);
      g_hash_table_remove (self->by_path, document->row->path);
      g_ptr_array_remove_index (self->documents, position);
      g_list_model_items_changed (G_LIST_MODEL (self), position, 1, 0);
    }
}

static void
remove_owner (IngDocumentLibrary *self, gint64 owner)
{
  gboolean alone = self->changes == NULL;
  if (alone)
    ing_document_library_begin (self);
  for (guint i = self->documents->len; i > 0; i--)
    ing_document_library_remove (self, owner, self->documents->pdata[i - 1]);
  if (alone)
    ing_document_library_end (self);
}

void
ing_document_library_remove_owner (IngDocumentLibrary *self, gint64 owner)
{
  ing_collections_forget (self->collections, owner);
  remove_owner (self, owner);
}

void
ing_document_library_keep_owners (IngDocumentLibrary *self, gboolean (*is_there) (gint64 owner, gpointer data),
                                  gpointer data)
{
  g_autoptr (GHashTable) gone = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL);
  GHashTableIter iter;
  gpointer owner;
  for (guint i = 0; i < self->documents->len; i++)
    {
      IngDocument *document = self->documents->pdata[i];
      for (guint k = 0; k < document->owners->len; k++)
        {
          const IngOwner *own = &g_array_index (document->owners, IngOwner, k);
          if (own->owner > 0 && !is_there (own->owner, data))
            g_hash_table_add (gone, g_memdup2 (&own->owner, sizeof own->owner));
        }
    }
  ing_collections_list_conversations (self->collections, is_there, data, gone);
  g_hash_table_iter_init (&iter, gone);
  while (g_hash_table_iter_next (&iter, &owner, NULL))
    ing_document_library_remove_owner (self, *(gint64 *) owner);
}

void
ing_document_library_retry (IngDocumentLibrary *self, IngDocument *document)
{
  IngDocumentRow *row = ing_document_row_copy (document->row);
  row->state = ING_DOCUMENT_WAITING;
  ing_document_take_row (document, row);
  start_work (self, document);
}

void
ing_document_library_set_gone (IngDocumentLibrary *self, IngDocument *document, gboolean gone)
{
  if (document->row->gone != gone)
    {
      document->row->gone = gone;
      write_row (self, document);
      ing_document_set_state (document, document->row->state);
      if (gone && document->cancellable != NULL)
        g_cancellable_cancel (document->cancellable);
    }
  if (!gone)
    ing_document_library_look (self, document);
}

/* Words of its name are in each passage where it has no title: with another name it is read again. */
void
ing_document_library_move (IngDocumentLibrary *self, IngDocument *document, const char *path)
{
  g_autofree char *name = g_path_get_basename (document->row->path);
  g_autofree char *new_name = g_path_get_basename (path);
  IngDocumentRow *row = ing_document_row_copy (document->row);
  g_hash_table_remove (self->by_path, row->path);
  g_free (row->path);
  row->path = g_strdup (path);
  row->gone = FALSE;
  if (*row->title == '\0' && strcmp (name, new_name) != 0)
    {
      g_free (row->hash);
      row->hash = g_strdup ("");
      row->state = ING_DOCUMENT_WAITING;
    }
  ing_document_take_row (document, row);
  g_hash_table_insert (self->by_path, g_strdup (path), document);
  write_row (self, document);
  ing_document_library_look (self, document);
}

/* Who owns @document is paused now, or is no more. */
static void
pause_or_go_on (IngDocumentLibrary *self, IngDocument *document, gboolean paused)
{
  if (!paused && !document->row->gone)
    ing_document_library_look (self, document);
  else if (paused && document->cancellable != NULL && !may_start (self, document))
    {
      document->again = FALSE;
      g_cancellable_cancel (document->cancellable);
    }
}

void
ing_document_library_set_sparing (IngDocumentLibrary *self, gboolean sparing)
{
  if (self->sparing == sparing)
    return;
  self->sparing = sparing;
  for (guint i = 0; i < self->documents->len; i++)
    if (ing_document_is_behind (self->documents->pdata[i]))
      pause_or_go_on (self, self->documents->pdata[i], sparing);
}

gboolean
ing_document_library_get_sparing (IngDocumentLibrary *self)
{
  return self->sparing;
}

void
ing_document_library_set_paused (IngDocumentLibrary *self, gint64 owner, gboolean paused)
{
  if (paused)
    g_hash_table_add (self->paused, g_memdup2 (&owner, sizeof owner));
  else
    g_hash_table_remove (self->paused, &owner);
  for (guint i = 0; i < self->documents->len; i++)
    {
      IngDocument *document = self->documents->pdata[i];
      if (ing_document_find_owner (document, owner) != NULL)
        pause_or_go_on (self, document, paused);
    }
}

gboolean
ing_document_library_get_paused (IngDocumentLibrary *self, gint64 owner)
{
  return g_hash_table_contains (self->paused, &owner);
}

double
ing_document_library_estimate (IngDocumentLibrary *self, guint64 bytes)
{
  return ing_indexer_estimate (self->indexer, bytes);
}

IngCollections *
ing_document_library_get_collections (IngDocumentLibrary *self)
{
  return self->collections;
}

void
ing_document_library_refresh_vectors (IngDocumentLibrary *self, GArray *documents)
{
  for (guint i = 0; i < documents->len; i++)
    {
      IngDocument *document = ing_document_library_lookup (self, g_array_index (documents, gint64, i));
      if (document != NULL && document->row->state == ING_DOCUMENT_READY && !is_settled (document)
          && !document->row->gone && g_file_test (document->row->path, G_FILE_TEST_EXISTS))
        start_work (self, document);
    }
}

void
ing_document_library_go_on (IngDocumentLibrary *self)
{
  gboolean can_embed = ing_embedder_get_plan () != 0;
  for (guint i = 0; i < self->documents->len; i++)
    {
      IngDocument *document = self->documents->pdata[i];
      IngDocumentState state = document->row->state;
      gboolean left = state < ING_DOCUMENT_WORDS || (state == ING_DOCUMENT_WORDS && can_embed);
      if (left && !document->row->gone && !ing_document_is_behind (document))
        start_work (self, document);
    }
}

/* ------------------------------------------------------------------ opening and closing */

static gpointer
read_func (IngDatabase *db, gpointer data, GError **error)
{
  IngDocumentLibrary *self = data;
  g_autoptr (GPtrArray) rows = ing_document_table_read (db, error);
  g_autoptr (GArray) owners = rows != NULL ? ing_owner_table_read (db, error) : NULL;
  if (owners == NULL || !ing_collections_read (self->collections, db, error))
    return NULL;
  g_clear_pointer (&self->rows, g_ptr_array_unref);
  g_clear_pointer (&self->owners, g_array_unref);
  self->wipe = ing_database_get_number (db, "SELECT count(*) FROM wipes", 0) > 0;
  self->rows = g_steal_pointer (&rows);
  self->owners = g_steal_pointer (&owners);
  return self;
}

void
ing_document_library_open_sync (IngDocumentLibrary *self, const char *folder, gboolean copy)
{
  g_autoptr (GError) error = NULL;
  gboolean ok = copy ? ing_database_open_copy_sync (self->database, folder, &error)
                     : ing_database_open_sync (self->database, folder, &error);
  if (ok && ing_database_run_sync (self->database, read_func, self, &error) != NULL)
    return;
  ing_notice ("the index of documents is made again: %s", error->message);
  ing_database_close_sync (self->database);
  if (!copy && g_error_matches (error, ING_ERROR, ING_ERROR_DATABASE_DAMAGED))
    {
      g_autofree char *path = g_build_filename (folder, "documents.sqlite", NULL);
      g_autofree char *aside = g_strconcat (path, ".damaged", NULL);
      g_autofree char *wal = g_strconcat (path, "-wal", NULL);
      g_rename (path, aside);
      g_unlink (wal);
      if (ing_database_open_sync (self->database, folder, NULL)
          && ing_database_run_sync (self->database, read_func, self, NULL) != NULL)
        return;
    }
  if (ing_database_open_sync (self->database, NULL, NULL))
    ing_database_run_sync (self->database, read_func, self, NULL);
}

void
ing_document_library_fill (IngDocumentLibrary *self)
{
  guint n_before = self->documents->len;
  g_hash_table_remove_all (self->by_id);
  g_hash_table_remove_all (self->by_path);
  g_ptr_array_set_size (self->documents, 0);
  for (guint i = 0; self->rows != NULL && i < self->rows->len; i++)
    list_document (self, ing_document_new (ing_document_row_copy (self->rows->pdata[i])));
  for (guint i = 0; self->owners != NULL && i < self->owners->len; i++)
    {
      const gint64 *triple = (const gint64 *) (gpointer) (self->owners->data + i * 3 * sizeof (gint64));
      IngDocument *document = ing_document_library_lookup (self, triple[1]);
      const IngOwner own = { triple[0], triple[2] != 0 };
      if (document != NULL)
        g_array_append_val (document->owners, own);
    }
  g_clear_pointer (&self->rows, g_ptr_array_unref);
  g_clear_pointer (&self->owners, g_array_unref);
  g_list_model_items_changed (G_LIST_MODEL (self), 0, n_before, self->documents->len);
  if (self->wipe)
    ing_wiper_schedule (self->wiper);
  ing_collections_fill (self->collections);
}

gint64
ing_document_library_reserve (IngDocumentLibrary *self, guint n)
{
  gint64 last = self->last_id;
  self->last_id += n;
  return last;
}

void
ing_document_library_adopt (IngDocumentLibrary *self, GPtrArray *rows, GArray *pairs)
{
  guint n_before = self->documents->len;
  for (guint i = 0; i < rows->len; i++)
    list_document (self, ing_document_new (ing_document_row_copy (rows->pdata[i])));
  for (guint i = 0; i < pairs->len; i++)
    {
      const gint64 *pair = (const gint64 *) (gpointer) (pairs->data + i * 3 * sizeof (gint64));
      IngDocument *document = ing_document_library_lookup (self, pair[1]);
      const IngOwner own = { pair[0], pair[2] != 0 };
      if (document == NULL || ing_document_find_owner (document, pair[0]) != NULL)
        continue;
      g_array_append_val (document->owners, own);
      update_lists (self, document);
    }
  if (rows->len > 0)
    g_list_model_items_changed (G_LIST_MODEL (self), n_before, 0, rows->len);
}

IngDatabase *
ing_document_library_get_database (IngDocumentLibrary *self)
{
  return self->database;
}

IngGenerationService *
ing_document_library_get_service (IngDocumentLibrary *self)
{
  return self->service;
}

gboolean
ing_document_library_close (IngDocumentLibrary *self)
{
  ing_collections_close (self->collections);
  for (guint i = 0; i < self->documents->len; i++)
    {
      IngDocument *document = self->documents->pdata[i];
      if (document->cancellable != NULL)
        g_cancellable_cancel (document->cancellable);
    }
  ing_wiper_close (self->wiper);
  return ing_indexer_close (self->indexer);
}

void
ing_document_library_close_database_sync (IngDocumentLibrary *self)
{
  ing_database_close_sync (self->database);
}

static void
ing_document_library_finalize (GObject *object)
{
  IngDocumentLibrary *self = ING_DOCUMENT_LIBRARY (object);
  ing_collections_free (self->collections);
  ing_wiper_free (self->wiper);
  ing_indexer_unref (self->indexer);
  g_hash_table_unref (self->by_id);
  g_hash_table_unref (self->by_path);
  g_ptr_array_unref (self->documents);
  g_clear_pointer (&self->rows, g_ptr_array_unref);
  g_clear_pointer (&self->owners, g_array_unref);
  g_hash_table_unref (self->lists);
  g_array_unref (self->asked);
  g_hash_table_unref (self->paused);
  g_object_unref (self->database);
  g_object_unref (self->service);
  G_OBJECT_CLASS (ing_document_library_parent_class)->finalize (object);
}

static void
ing_document_library_class_init (IngDocumentLibraryClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = ing_document_library_finalize;
}

static void
ing_document_library_init (IngDocumentLibrary *self)
{
  self->documents = g_ptr_array_new_with_free_func (g_object_unref);
  self->by_id = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL);
  self->by_path = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  self->lists = g_hash_table_new_full (NULL, NULL, NULL, g_free);
  self->asked = g_array_new (FALSE, FALSE, sizeof (Asked));
  self->paused = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL);
}

IngDocumentLibrary *
ing_document_library_new (IngGenerationService *service)
{
  IngDocumentLibrary *self = g_object_new (ING_TYPE_DOCUMENT_LIBRARY, NULL);
  self->service = g_object_ref (service);
  self->database = ing_database_new (&ing_document_schema);
  self->indexer = ing_indexer_new (service, self->database);
  self->wiper = ing_wiper_new (self->database);
  self->collections = ing_collections_new (self);
  return self;
}
