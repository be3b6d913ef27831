/* SPDX-License-Identifier: Apache-2.0 */
/* A question over the library's documents: made standalone, embedded by the model that their vectors are of, and looked for on
 * the database's thread. */
#include <string.h>

#include "ing-document-private.h"
#include "ing-document-search.h"

static void
on_found (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  GError *error = NULL;
  gpointer found = ing_database_run_finish (ING_DATABASE (source), result, &error);
  if (error != NULL)
    g_task_return_error (task, error);
  else
    g_task_return_pointer (task, found, (GDestroyNotify) ing_found_free);
}

/* @task is taken, its data is the request. */
static void
search_now (GTask *task)
{
  IngDocumentLibrary *self = g_task_get_source_object (task);
  ing_database_run_async (ing_document_library_get_database (self), ing_document_search_func, g_task_get_task_data (task), NULL, NULL,
                          g_task_get_cancellable (task), on_found, task);
}

/* Without its vector the question is looked for by words. */
static void
on_query_embedded (GObject *source, GAsyncResult *result, gpointer user_data)
{
  GTask *task = user_data;
  IngSearchRequest *request = g_task_get_task_data (task);
  g_autoptr (IngEngineReply) reply
      = ing_generation_service_request_finish (ING_GENERATION_SERVICE (source), result, NULL);
  gsize size = 0;
  const guint32 *head = reply != NULL && reply->binary != NULL ? g_bytes_get_data (reply->binary, &size) : NULL;
  if (size > 8 && head[0] == GUINT32_TO_LE (1) && size == 8 + (gsize) GUINT32_FROM_LE (head[1]) * sizeof (float))
    {
      request->width = GUINT32_FROM_LE (head[1]);
      request->vector = g_memdup2 (head + 2, size - 8);
    }
  search_now (task);
}

/* The model that the vectors of @documents are of; where there are several, the one for the question's script. */
static const IngEmbedder *
choose_embedder (IngDocumentLibrary *self, GArray *documents, const char *query, char **path)
{
  gboolean latin = ing_search_is_latin (query);
  guint used = 0, one = 0;
  for (guint i = 0; i < documents->len; i++)
    {
      IngDocument *document = ing_document_library_lookup (self, g_array_index (documents, gint64, i));
      if (document != NULL && document->row->state != ING_DOCUMENT_FAILED)
        used |= 1u << (one = document->row->embedder & 15);
    }
  return used == 1u << one ? ing_embedder_lookup (one, latin, path) : ing_embedder_find (latin, path);
}

void
ing_document_library_search_async (IngDocumentLibrary *self, GArray *documents, const char *query,
                                   const char *earlier, guint n, guint n_tokens, IngSearchArms arms,
                                   GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
  GTask *task = g_task_new (self, cancellable, callback, user_data);
  IngSearchRequest *request = g_new0 (IngSearchRequest, 1);
  request->documents = g_array_copy (documents);
  request->query = ing_search_make_standalone (query, earlier);
  request->n = n;
  request->n_tokens = n_tokens;
  request->arms = arms;
  g_task_set_task_data (task, request, (GDestroyNotify) ing_search_request_free);
  ing_document_library_refresh_vectors (self, documents);
  g_autofree char *path = NULL;
  request->embedder = choose_embedder (self, documents, request->query, &path);
  if ((arms & ING_SEARCH_MEANING) == 0 || request->embedder == NULL)
    {
      search_now (task);
      return;
    }
  g_autoptr (GPtrArray) texts = g_ptr_array_new ();
  g_ptr_array_add (texts, request->query);
  ing_generation_service_request_async (ing_document_library_get_service (self), ENG_WIRE_EMBED,
                                        ing_embed_request_new (request->embedder, path, texts, TRUE),
                                        cancellable, on_query_embedded, task);
}

void
ing_document_library_read_async (IngDocumentLibrary *self, GArray *documents, guint n, GCancellable *cancellable,
                                 GAsyncReadyCallback callback, gpointer user_data)
{
  GTask *task = g_task_new (self, cancellable, callback, user_data);
  IngSearchRequest *request = g_new0 (IngSearchRequest, 1);
  request->documents = g_array_copy (documents);
  request->n = n;
  g_task_set_task_data (task, request, (GDestroyNotify) ing_search_request_free);
  ing_database_run_async (ing_document_library_get_database (self), ing_document_read_func, request, NULL, NULL, cancellable, on_found, task);
}

IngFound *
ing_document_library_search_finish (IngDocumentLibrary *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}
