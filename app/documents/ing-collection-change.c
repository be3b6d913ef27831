/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-collection-change.h"

#include "ing-log.h"

typedef struct
{
  IngChangeKind kind;
  IngCollectionRow row;
  IngHeldPath held;
  gboolean there;
} Change;

static void
change_free (gpointer data)
{
  Change *c = data;
  g_free (c->row.name);
  g_free (c->held.path);
  g_free (c);
}

static gpointer
change_func (IngDatabase *db, gpointer data, GError **error)
{
  const Change *c = data;
  gboolean ok = FALSE;
  if (!ing_database_begin (db, error))
    return NULL;
  switch (c->kind)
    {
    case ING_CHANGE_ROW:
      ok = ing_collection_table_write (db, &c->row, error);
      break;
    case ING_CHANGE_ERASE:
      ok = ing_collection_table_erase (db, c->row.id, error);
      break;
    case ING_CHANGE_FOLDER:
      ok = ing_folder_table_set (db, &c->held, c->there, error);
      break;
    case ING_CHANGE_LEFT_OUT:
      ok = ing_left_out_table_set (db, &c->held, c->there, error);
      break;
    case ING_CHANGE_ASKED:
      ok = ing_asked_table_set (db, c->held.owner, c->row.id, c->there, error);
      break;
    case ING_CHANGE_FORGET:
    default:
      ok = ing_folder_table_erase_owner (db, c->held.owner, error);
    }
  return ing_database_end (db, ok, error) ? db : NULL;
}

static void
on_written (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GError) error = NULL;
  ing_database_run_finish (ING_DATABASE (source), result, &error);
  if (error != NULL)
    ing_notice ("collections were not written: %s", error->message);
}

void
ing_collection_change_write (IngDatabase *db, IngChangeKind kind, const IngCollectionRow *row, gint64 owner,
                             const char *path, gboolean there)
{
  Change *c = g_new0 (Change, 1);
  c->kind = kind;
  if (row != NULL)
    c->row = *row;
  c->row.name = g_strdup (c->row.name);
  c->held = (IngHeldPath){ owner, g_strdup (path) };
  c->there = there;
  ing_database_run_async (db, change_func, c, change_free, NULL, NULL, on_written, NULL);
}
