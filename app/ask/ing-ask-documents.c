/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-ask-documents.h"

#include "ing-document-private.h"

#define POLL_MS 20
#define DEFAULT_PASSAGES 5

struct _IngAskDocuments
{
  IngWorkspace *workspace;
  const IngAskOptions *options;
  char *earlier;
  IngAskDocumentsHandler handler;
  gpointer data;
  GPtrArray *documents; /* of IngDocument */
  GCancellable *cancellable;
  guint poll_id;
};

void
ing_ask_documents_free (IngAskDocuments *self)
{
  if (self == NULL)
    return;
  g_cancellable_cancel (self->cancellable);
  g_object_unref (self->cancellable);
  g_clear_handle_id (&self->poll_id, g_source_remove);
  g_ptr_array_unref (self->documents);
  g_free (self->earlier);
  g_free (self);
}

static void
on_searched (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GError) error = NULL;
  IngFound *found
      = ing_document_library_search_finish (ING_DOCUMENT_LIBRARY (source), result, &error);
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return; /* freed */
  IngAskDocuments *self = data;
  self->handler.done (found, error, self->data);
}

static void
search (IngAskDocuments *self)
{
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint64));
  const GError *failed = NULL;
  for (guint i = 0; i < self->documents->len; i++)
    {
      IngDocument *document = self->documents->pdata[i];
      gint64 id = ing_document_get_id (document);
      if (ing_document_get_state (document) != ING_DOCUMENT_FAILED)
        {
          g_array_append_val (ids, id);
          continue;
        }
      failed = ing_document_get_error (document);
      g_autofree char *why = ing_error_to_sentence (failed);
      g_autofree char *line = g_strdup_printf ("%s: %s", ing_document_get_name (document), why);
      self->handler.say (line, self->data);
    }
  if (ids->len == 0)
    {
      self->handler.done (NULL, failed, self->data);
      return;
    }
  guint n = self->options->n_passages > 0 ? self->options->n_passages : DEFAULT_PASSAGES;
  ing_document_library_search_async (ing_workspace_get_documents (self->workspace), ids,
                                     self->options->question, self->earlier, n, ING_SEARCH_ALL,
                                     self->cancellable, on_searched, self);
}

static gboolean
on_poll (gpointer data)
{
  IngAskDocuments *self = data;
  for (guint i = 0; i < self->documents->len; i++)
    if (((IngDocument *) self->documents->pdata[i])->cancellable != NULL)
      return G_SOURCE_CONTINUE;
  self->poll_id = 0;
  search (self);
  return G_SOURCE_REMOVE;
}

IngAskDocuments *
ing_ask_documents_start (IngWorkspace *workspace, const IngAskOptions *options, const char *earlier,
                         const IngAskDocumentsHandler *handler, gpointer data)
{
  IngAskDocuments *self = g_new0 (IngAskDocuments, 1);
  self->workspace = workspace;
  self->options = options;
  self->earlier = g_strdup (earlier);
  self->handler = *handler;
  self->data = data;
  self->cancellable = g_cancellable_new ();
  self->documents = g_ptr_array_new_with_free_func (g_object_unref);
  for (guint i = 0; options->documents[i] != NULL; i++)
    g_ptr_array_add (self->documents,
                     g_object_ref (ing_document_library_add (ing_workspace_get_documents (workspace), 0,
                                                             options->documents[i])));
  self->poll_id = g_timeout_add (POLL_MS, on_poll, self);
  return self;
}
