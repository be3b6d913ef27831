/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-collection-merge.h"

#include <string.h>

static gpointer
read_func (IngDatabase *db, gpointer data, GError **error)
{
  return ing_collection_tables_read (db, error);
}

static gpointer
count_func (IngDatabase *db, gpointer data, GError **error)
{
  *(guint *) data = (guint) CLAMP (ing_database_get_number (db, "SELECT count(*) FROM collections", 0), 0, G_MAXINT);
  return db;
}

gboolean
ing_collection_merge_count (IngDatabase *from, guint *n, GError **error)
{
  *n = 0;
  return ing_database_run_sync (from, count_func, n, error) != NULL;
}

static void
note_owner (GHashTable *owners, gint64 theirs, gint64 ours)
{
  g_hash_table_insert (owners, g_memdup2 (&theirs, sizeof theirs), g_memdup2 (&ours, sizeof ours));
}

/* ------------------------------------------------------------------ the same? */

static const IngCollectionRow *
find_name (const IngCollectionTables *tables, const char *name)
{
  g_autofree char *folded = g_utf8_casefold (name, -1);
  for (guint i = 0; i < tables->collections->len; i++)
    {
      const IngCollectionRow *row = tables->collections->pdata[i];
      g_autofree char *other = g_utf8_casefold (row->name, -1);
      if (!row->deleted && strcmp (folded, other) == 0)
        return row;
    }
  return NULL;
}

/* Every folder of @a's owner @x is one of @b's owner @y. */
static gboolean
holds_all (const IngCollectionTables *a, gint64 x, const IngCollectionTables *b, gint64 y)
{
  for (guint i = 0; i < a->folders->len; i++)
    {
      const IngHeldPath *held = a->folders->pdata[i];
      gboolean found = held->owner != x;
      for (guint j = 0; j < b->folders->len && !found; j++)
        {
          const IngHeldPath *other = b->folders->pdata[j];
          found = other->owner == y && strcmp (other->path, held->path) == 0;
        }
      if (!found)
        return FALSE;
    }
  return TRUE;
}

/* ------------------------------------------------------------------ what comes */

static char *
dup_free_name (const IngCollectionTables *here, const IngCollectionTables *come, const char *name)
{
  char *free_name = g_strdup (name);
  for (guint i = 2; find_name (here, free_name) != NULL || find_name (come, free_name) != NULL; i++)
    {
      g_free (free_name);
      free_name = g_strdup_printf ("%s %u", name, i);
    }
  return free_name;
}

static void
take_collections (IngCollectionMerge *merge, const IngCollectionTables *there, const IngCollectionTables *here)
{
  for (guint i = 0; i < there->collections->len; i++)
    {
      const IngCollectionRow *row = there->collections->pdata[i];
      const IngCollectionRow *known = find_name (here, row->name);
      if (row->deleted)
        continue;
      if (known != NULL && holds_all (there, -row->id, here, -known->id) && holds_all (here, -known->id, there, -row->id))
        {
          note_owner (merge->owners, -row->id, -known->id);
          merge->n_known++;
          continue;
        }
      IngCollectionRow *own = g_memdup2 (row, sizeof *row);
      own->id = ++merge->collection_id;
      own->name = dup_free_name (here, merge->tables, row->name);
      g_ptr_array_add (merge->tables->collections, own);
      note_owner (merge->owners, -row->id, -own->id);
    }
}

static void
take_paths (const IngCollectionMerge *merge, GPtrArray *from, GPtrArray *to)
{
  for (guint i = 0; i < from->len; i++)
    {
      const IngHeldPath *held = from->pdata[i];
      const gint64 *owner = g_hash_table_lookup (merge->owners, &held->owner);
      if (owner == NULL || !g_path_is_absolute (held->path))
        continue;
      IngHeldPath *own = g_new0 (IngHeldPath, 1);
      *own = (IngHeldPath){ *owner, g_strdup (held->path) };
      g_ptr_array_add (to, own);
    }
}

static void
take_asked (IngCollectionMerge *merge, const IngCollectionTables *there)
{
  for (guint i = 0; i < there->asked->len; i++)
    {
      const IngAsked *one = &g_array_index (there->asked, IngAsked, i);
      gint64 collection = -one->collection;
      const gint64 *conversation = g_hash_table_lookup (merge->owners, &one->conversation);
      const gint64 *owner = g_hash_table_lookup (merge->owners, &collection);
      if (conversation == NULL || owner == NULL)
        continue;
      const IngAsked own = { *conversation, -*owner };
      g_array_append_val (merge->tables->asked, own);
    }
}

static gpointer
write_func (IngDatabase *db, gpointer data, GError **error)
{
  const IngCollectionTables *tables = data;
  if (!ing_database_begin (db, error))
    return NULL;
  gboolean ok = TRUE;
  for (guint i = 0; ok && i < tables->collections->len; i++)
    ok = ing_collection_table_write (db, tables->collections->pdata[i], error);
  for (guint i = 0; ok && i < tables->folders->len; i++)
    ok = ing_folder_table_set (db, tables->folders->pdata[i], TRUE, error);
  for (guint i = 0; ok && i < tables->left_out->len; i++)
    ok = ing_left_out_table_set (db, tables->left_out->pdata[i], TRUE, error);
  for (guint i = 0; ok && i < tables->asked->len; i++)
    {
      const IngAsked *one = &g_array_index (tables->asked, IngAsked, i);
      ok = ing_asked_table_set (db, one->conversation, one->collection, TRUE, error);
    }
  return ing_database_end (db, ok, error) ? db : NULL;
}

gboolean
ing_collection_merge_run (IngCollectionMerge *merge, GError **error)
{
  g_autoptr (IngCollectionTables) there = ing_database_run_sync (merge->from, read_func, NULL, error);
  g_autoptr (IngCollectionTables) here = there != NULL ? ing_database_run_sync (merge->to, read_func, NULL, error) : NULL;
  GHashTableIter iter;
  gpointer theirs, ours;
  merge->owners = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, g_free);
  merge->tables = ing_collection_tables_new ();
  g_hash_table_iter_init (&iter, merge->conversations);
  while (g_hash_table_iter_next (&iter, &theirs, &ours))
    note_owner (merge->owners, *(const gint64 *) theirs, *(const gint64 *) ours);
  if (here == NULL)
    return FALSE;
  take_collections (merge, there, here);
  take_paths (merge, there->folders, merge->tables->folders);
  take_paths (merge, there->left_out, merge->tables->left_out);
  take_asked (merge, there);
  if (ing_database_run_sync (merge->to, write_func, merge->tables, error) != NULL)
    return TRUE;
  ing_collection_tables_free (merge->tables);
  merge->tables = ing_collection_tables_new (); /* nothing came */
  return FALSE;
}

void
ing_collection_merge_clear (IngCollectionMerge *merge)
{
  g_clear_pointer (&merge->owners, g_hash_table_unref);
  g_clear_pointer (&merge->tables, ing_collection_tables_free);
}
