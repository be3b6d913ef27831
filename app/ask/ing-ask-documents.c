/* SPDX-License-Identifier: Apache-2.0 */
/* Which documents a question of the terminal goes to. */
#include <glib/gi18n-lib.h>

#include "ing-ask-private.h"
#include "ing-collections.h"
#include "ing-workspace-private.h"

#define POLL_MS 20

typedef struct
{
  IngDocumentLibrary *library;
  const IngAskOptions *options;
  GArray *owners; /* of gint64: the collections named */
} Documents;

static void
documents_free (gpointer data)
{
  Documents *d = data;
  g_object_unref (d->library);
  g_array_unref (d->owners);
  g_free (d);
}

/* ------------------------------------------------------------------ those named */

/* The same file twice is one. */
static void
append (GListStore *named, IngDocument *document)
{
  if (!g_list_store_find (named, document, NULL))
    g_list_store_append (named, document);
}

static void
append_path (GListStore *named, IngDocumentLibrary *library, const char *path)
{
  g_auto (GStrv) files = g_file_test (path, G_FILE_TEST_IS_DIR) ? ing_document_library_scan_sync (path, NULL) : NULL;
  for (guint i = 0; files != NULL && files[i] != NULL; i++)
    append (named, ing_document_library_add (library, 0, files[i]));
  if (files == NULL || files[0] == NULL)
    append (named, ing_document_library_add (library, 0, path)); /* of a folder without documents it says why */
}

static void
append_collection (GListStore *named, IngDocumentLibrary *library, gint64 owner)
{
  g_autoptr (GListModel) own = ing_document_library_dup_list (library, owner);
  for (guint i = 0; i < g_list_model_get_n_items (own); i++)
    {
      g_autoptr (IngDocument) document = g_list_model_get_item (own, i);
      append (named, document);
    }
}

static GListModel *
make_named (const Documents *d)
{
  GListStore *named = g_list_store_new (ING_TYPE_DOCUMENT);
  for (guint i = 0; d->options->documents != NULL && d->options->documents[i] != NULL; i++)
    append_path (named, d->library, d->options->documents[i]);
  for (guint i = 0; i < d->owners->len; i++)
    append_collection (named, d->library, g_array_index (d->owners, gint64, i));
  return G_LIST_MODEL (named);
}

/* ------------------------------------------------------------------ collections */

static GError *
make_unknown (IngCollections *collections, const char *name)
{
  guint n = g_list_model_get_n_items (G_LIST_MODEL (collections));
  g_autoptr (GString) names = g_string_new (NULL);
  for (guint i = 0; i < n; i++)
    {
      g_autoptr (IngCollection) one = g_list_model_get_item (G_LIST_MODEL (collections), i);
      g_string_append_printf (names, i == 0 ? "“%s”" : _ (", “%s”"), ing_collection_get_name (one));
    }
  return n == 0 ? g_error_new (ING_ERROR, ING_ERROR_FAILED,
                               _ ("There is no collection “%s”, nor any other: the window makes them."), name)
                : g_error_new (ING_ERROR, ING_ERROR_FAILED, _ ("There is no collection “%s”. There is: %s."), name, names->str);
}

/* FALSE: one is not there. */
static gboolean
find_collections (Documents *d, GError **error)
{
  IngCollections *collections = ing_document_library_get_collections (d->library);
  for (guint i = 0; d->options->collections != NULL && d->options->collections[i] != NULL; i++)
    {
      IngCollection *collection = ing_collections_find (collections, d->options->collections[i]);
      if (collection == NULL)
        {
          g_propagate_error (error, make_unknown (collections, d->options->collections[i]));
          return FALSE;
        }
      gint64 owner = ing_collection_get_owner (collection);
      g_array_append_val (d->owners, owner);
      if (ing_collection_get_watched (collection))
        ing_collections_look (collections, owner);
    }
  return TRUE;
}

static gboolean
is_looking (const Documents *d)
{
  for (guint i = 0; i < d->owners->len; i++)
    if (ing_collections_is_looking (ing_document_library_get_collections (d->library),
                                    g_array_index (d->owners, gint64, i)))
      return TRUE;
  return FALSE;
}

static gboolean
on_poll (gpointer data)
{
  GTask *task = data;
  const Documents *d = g_task_get_task_data (task);
  if (g_task_return_error_if_cancelled (task))
    return G_SOURCE_REMOVE;
  if (is_looking (d))
    return G_SOURCE_CONTINUE;
  g_autoptr (GListModel) named = make_named (d);
  if (g_list_model_get_n_items (named) > 0)
    g_task_return_pointer (task, g_steal_pointer (&named), g_object_unref);
  else
    g_task_return_new_error (task, ING_ERROR, ING_ERROR_FAILED, "%s", _ ("There is no document in the collection."));
  return G_SOURCE_REMOVE;
}

/* ------------------------------------------------------------------ */

void
ing_ask_documents_async (IngWorkspace *workspace, const IngAskOptions *options, GCancellable *cancellable,
                         GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, user_data);
  Documents *d = g_new0 (Documents, 1);
  GError *error = NULL;
  d->library = g_object_ref (ing_workspace_get_documents (workspace));
  d->options = options;
  d->owners = g_array_new (FALSE, FALSE, sizeof (gint64));
  g_task_set_task_data (task, d, documents_free);
  if (options->documents == NULL && options->collections == NULL)
    {
      g_autoptr (GListModel) asked
          = options->conversation != 0 ? ing_document_library_dup_asked (d->library, options->conversation) : NULL;
      if (asked != NULL && g_list_model_get_n_items (asked) == 0)
        g_clear_object (&asked);
      g_task_return_pointer (task, g_steal_pointer (&asked), g_object_unref);
    }
  else if (!find_collections (d, &error))
    g_task_return_error (task, error);
  else
    g_timeout_add_full (G_PRIORITY_DEFAULT, is_looking (d) ? POLL_MS : 0, on_poll, g_steal_pointer (&task), g_object_unref);
}

GListModel *
ing_ask_documents_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}
