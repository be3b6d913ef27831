/* SPDX-License-Identifier: Apache-2.0 */
/* Invariants:
 *  1. IngDocument objects and the lists belong to the main thread; the work has a row of its own and hands a copy over.
 *  2. A document has a cancellable exactly while work on it is waiting or running.
 *  3. Work runs on one thread, one document after another, in the order it was asked for. */
#include <glib/gstdio.h>
#include <string.h>

#include "ing-document-private.h"
#include "ing-document-search.h"
#include "ing-error-private.h"
#include "ing-log.h"

#define WAIT_STEP_US (50 * 1000)

struct _IngDocumentLibrary
{
  GObject parent_instance;
  IngGenerationService *service;
  IngDatabase *database;
  GPtrArray *documents; /* of IngDocument */
  GArray *owners;       /* of gint64[2]: owner, document */
  GPtrArray *rows;      /* read, not listed yet */
  GHashTable *lists;    /* GListStore → its owner; not held */
  GThreadPool *pool;
  GCancellable *closing;
  gint64 last_id;
  guint n_running;
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

/* ------------------------------------------------------------------ vectors, asked for from the work's thread */

typedef struct
{
  gint references;
  IngDocumentLibrary *library;
  JsonObject *payload;
  GCancellable *cancellable;
  GMutex lock;
  GCond cond;
  gboolean done;
  GBytes *bytes;
  GError *error;
} EmbedCall;

static void
embed_call_unref (EmbedCall *call)
{
  if (!g_atomic_int_dec_and_test (&call->references))
    return;
  g_clear_pointer (&call->payload, json_object_unref);
  g_clear_pointer (&call->bytes, g_bytes_unref);
  g_clear_error (&call->error);
  g_mutex_clear (&call->lock);
  g_cond_clear (&call->cond);
  g_free (call);
}

static void
on_embedded (GObject *source, GAsyncResult *result, gpointer data)
{
  EmbedCall *call = data;
  GError *error = NULL;
  g_autoptr (IngEngineReply) reply
      = ing_generation_service_request_finish (ING_GENERATION_SERVICE (source), result, &error);
  g_mutex_lock (&call->lock);
  call->error = error;
  if (reply != NULL && reply->binary != NULL)
    call->bytes = g_bytes_ref (reply->binary);
  call->done = TRUE;
  g_cond_signal (&call->cond);
  g_mutex_unlock (&call->lock);
  embed_call_unref (call);
}

static gboolean
start_embed (gpointer data)
{
  EmbedCall *call = data;
  ing_generation_service_request_async (call->library->service, ENG_WIRE_EMBED,
                                        g_steal_pointer (&call->payload), NULL, on_embedded, call);
  return G_SOURCE_REMOVE;
}

static JsonObject *
make_embed_request (const IngEmbedder *embedder, const char *path, GPtrArray *texts, gboolean query)
{
  JsonObject *o = json_object_new ();
  JsonArray *array = json_array_new ();
  for (guint i = 0; i < texts->len; i++)
    json_array_add_string_element (array, texts->pdata[i]);
  json_object_set_string_member (o, "path", path);
  if (embedder->load_as != NULL)
    json_object_set_string_member (o, "load_as", embedder->load_as);
  json_object_set_int_member (o, "context", embedder->max_tokens);
  json_object_set_array_member (o, "texts", array);
  json_object_set_string_member (o, "kind", query ? "query" : "document");
  json_object_set_string_member (o, "priority", query ? "question" : "index");
  return o;
}

typedef struct
{
  IngDocumentLibrary *library;
  IngDocument *document;
  IngIndexWork index;
} Work;

static GBytes *
embed (const IngEmbedder *embedder, const char *path, GPtrArray *texts, gpointer data, GError **error)
{
  Work *work = data;
  EmbedCall *call = g_new0 (EmbedCall, 1);
  call->references = 2;
  call->library = work->library;
  call->payload = make_embed_request (embedder, path, texts, FALSE);
  g_mutex_init (&call->lock);
  g_cond_init (&call->cond);
  g_main_context_invoke (NULL, start_embed, call);
  g_mutex_lock (&call->lock);
  while (!call->done && !g_cancellable_is_cancelled (work->index.cancellable))
    g_cond_wait_until (&call->cond, &call->lock, g_get_monotonic_time () + WAIT_STEP_US);
  GBytes *bytes = g_steal_pointer (&call->bytes);
  if (call->error != NULL)
    g_propagate_error (error, g_steal_pointer (&call->error));
  else if (bytes == NULL)
    g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "cancelled");
  g_mutex_unlock (&call->lock);
  embed_call_unref (call);
  return bytes;
}

/* ------------------------------------------------------------------ the work */

typedef struct
{
  IngDocumentLibrary *library;
  IngDocument *document;
  IngDocumentRow *row;
  double fraction;
  gboolean end, failed;
} News;

static void start_work (IngDocumentLibrary *self, IngDocument *document);

static gboolean
on_news (gpointer data)
{
  News *news = data;
  IngDocument *document = news->document;
  if (!news->failed)
    ing_document_take_row (document, news->row);
  else
    ing_document_row_free (news->row);
  if (news->end)
    {
      news->library->n_running--;
      g_clear_object (&document->cancellable);
      gboolean again = document->again;
      document->again = FALSE;
      if (again)
        start_work (news->library, document);
      ing_document_set_fraction (document, again ? 0 : 1);
      g_object_unref (document); /* the work's */
      g_object_unref (news->library);
    }
  else
    ing_document_set_fraction (document, news->fraction);
  g_free (news);
  return G_SOURCE_REMOVE;
}

static void
tell (Work *work, double fraction, gboolean end, gboolean failed)
{
  News *news = g_new0 (News, 1);
  *news = (News){ work->library, work->document, ing_document_row_copy (work->index.row), fraction, end, failed };
  g_main_context_invoke (NULL, on_news, news);
}

static void
on_changed (double fraction, gpointer data)
{
  tell (data, fraction, FALSE, FALSE);
}

static void
run_work (gpointer data, gpointer pool_data)
{
  Work *work = data;
  g_autoptr (GError) error = NULL;
  gboolean ok = !g_cancellable_set_error_if_cancelled (work->index.cancellable, &error)
                && ing_document_index_run (&work->index, &error);
  if (!ok)
    ing_info ("document not indexed: %s", error != NULL ? error->message : "?");
  tell (work, 1, TRUE, !ok);
  ing_document_row_free (work->index.row);
  g_object_unref (work->index.cancellable);
  g_object_unref (work->index.database);
  g_free (work);
}

static void
start_work (IngDocumentLibrary *self, IngDocument *document)
{
  if (document->cancellable != NULL || g_cancellable_is_cancelled (self->closing))
    return;
  document->cancellable = g_cancellable_new ();
  Work *work = g_new0 (Work, 1);
  work->library = g_object_ref (self);
  work->document = g_object_ref (document);
  work->index = (IngIndexWork){ g_object_ref (self->database), ing_document_row_copy (document->row),
                                g_object_ref (document->cancellable), embed, on_changed, work };
  self->n_running++;
  g_thread_pool_push (self->pool, work, NULL);
}

/* ------------------------------------------------------------------ writing behind */

typedef struct
{
  IngDocumentRow *row; /* NULL = only the owner */
  gint64 owner, document;
  gboolean remove, erase;
} Change;

static void
change_free (gpointer data)
{
  ing_document_row_free (((Change *) data)->row);
  g_free (data);
}

static gpointer
change_func (IngDatabase *db, gpointer data, GError **error)
{
  Change *c = data;
  if (!ing_database_begin (db, error))
    return NULL;
  gboolean ok = c->row == NULL || ing_document_table_write (db, c->row, error);
  if (ok && c->erase)
    ok = ing_document_table_erase (db, c->document, error);
  else if (ok)
    ok = c->remove ? ing_owner_table_remove (db, c->owner, c->document, error)
                   : ing_owner_table_add (db, c->owner, c->document, error);
  return ing_database_end (db, ok, error) ? c : NULL;
}

static void
on_written (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GError) error = NULL;
  ing_database_run_finish (ING_DATABASE (source), result, &error);
  if (error != NULL)
    ing_notice ("the index of documents was not written: %s", error->message);
}

static void
write_change (IngDocumentLibrary *self, IngDocumentRow *row, gint64 owner, gint64 document, gboolean remove,
              gboolean erase)
{
  Change *c = g_new0 (Change, 1);
  *c = (Change){ row, owner, document, remove, erase };
  ing_database_run_async (self->database, change_func, c, change_free, NULL, NULL, on_written, NULL);
}

/* ------------------------------------------------------------------ documents and owners */

static int
find_owner (IngDocumentLibrary *self, gint64 owner, gint64 document)
{
  for (guint i = 0; i < self->owners->len; i++)
    {
      const gint64 *pair = (const gint64 *) (gpointer) (self->owners->data + i * 2 * sizeof (gint64));
      if ((owner < 0 || pair[0] == owner) && pair[1] == document)
        return (int) i;
    }
  return -1;
}

static void
update_lists (IngDocumentLibrary *self, gint64 owner, IngDocument *document, gboolean added)
{
  GHashTableIter iter;
  gpointer list, of;
  g_hash_table_iter_init (&iter, self->lists);
  while (g_hash_table_iter_next (&iter, &list, &of))
    {
      guint position;
      if (*(gint64 *) of != owner)
        continue;
      gboolean there = g_list_store_find (list, document, &position);
      if (added && !there)
        g_list_store_append (list, document);
      else if (!added && there)
        g_list_store_remove (list, position);
    }
}

static IngDocument *
find_path (IngDocumentLibrary *self, const char *path)
{
  for (guint i = 0; i < self->documents->len; i++)
    {
      IngDocument *document = self->documents->pdata[i];
      if (strcmp (document->row->path, path) == 0)
        return document;
    }
  return NULL;
}

IngDocument *
ing_document_library_lookup (IngDocumentLibrary *self, gint64 id)
{
  for (guint i = 0; i < self->documents->len; i++)
    if (((IngDocument *) self->documents->pdata[i])->row->id == id)
      return self->documents->pdata[i];
  return NULL;
}

static gboolean
is_unchanged (IngDocument *document)
{
  GStatBuf info;
  const IngDocumentRow *row = document->row;
  if (g_stat (row->path, &info) != 0)
    return row->state != ING_DOCUMENT_WAITING; /* gone: what is stored stays */
  return row->size == info.st_size
         && row->mtime_us == (gint64) info.st_mtim.tv_sec * G_USEC_PER_SEC + info.st_mtim.tv_nsec / 1000;
}

/* Nothing is to be done for it: it cannot be read, or its vectors are what the models that are there would make. */
static gboolean
is_settled (IngDocument *document)
{
  IngDocumentState state = document->row->state;
  return state == ING_DOCUMENT_FAILED
         || (state == ING_DOCUMENT_READY && document->row->plan == ing_embedder_get_plan ());
}

IngDocument *
ing_document_library_add (IngDocumentLibrary *self, gint64 owner, const char *path)
{
  g_return_val_if_fail (ING_IS_DOCUMENT_LIBRARY (self) && path != NULL, NULL);
  g_autofree char *full = g_canonicalize_filename (path, NULL);
  IngDocument *document = find_path (self, full);
  IngDocumentRow *row = NULL;
  if (document == NULL)
    {
      row = g_new0 (IngDocumentRow, 1);
      row->id = ++self->last_id;
      row->path = g_steal_pointer (&full);
      row->hash = g_strdup ("");
      row->title = g_strdup ("");
      row->kind = g_strdup ("");
      row->state = ING_DOCUMENT_WAITING;
      document = ing_document_new (ing_document_row_copy (row));
      g_ptr_array_add (self->documents, document);
      g_list_model_items_changed (G_LIST_MODEL (self), self->documents->len - 1, 0, 1);
    }
  gint64 pair[2] = { owner, document->row->id };
  if (find_owner (self, owner, pair[1]) < 0)
    g_array_append_vals (self->owners, pair, 1);
  write_change (self, row, owner, pair[1], FALSE, FALSE);
  update_lists (self, owner, document, TRUE);
  if (!is_settled (document) || !is_unchanged (document))
    {
      if (document->cancellable != NULL)
        document->again = !is_unchanged (document) && document->row->size != 0;
      start_work (self, document);
    }
  return document;
}

void
ing_document_library_remove (IngDocumentLibrary *self, gint64 owner, IngDocument *document)
{
  gint64 id = document->row->id;
  int at = find_owner (self, owner, id);
  if (at < 0)
    return;
  g_array_remove_index (self->owners, (guint) at);
  update_lists (self, owner, document, FALSE);
  gboolean erase = find_owner (self, -1, id) < 0;
  if (erase && document->cancellable != NULL)
    g_cancellable_cancel (document->cancellable);
  write_change (self, NULL, owner, id, TRUE, erase);
  guint position;
  if (erase && g_ptr_array_find (self->documents, document, &position))
    {
      g_ptr_array_remove_index (self->documents, position);
      g_list_model_items_changed (G_LIST_MODEL (self), position, 1, 0);
    }
}

void
ing_document_library_remove_owner (IngDocumentLibrary *self, gint64 owner)
{
  for (guint i = self->owners->len; i > 0; i--)
    {
      const gint64 *pair = (const gint64 *) (gpointer) (self->owners->data + (i - 1) * 2 * sizeof (gint64));
      IngDocument *document = pair[0] == owner ? ing_document_library_lookup (self, pair[1]) : NULL;
      if (document != NULL)
        ing_document_library_remove (self, owner, document);
    }
}

void
ing_document_library_keep_owners (IngDocumentLibrary *self, gboolean (*is_there) (gint64 owner, gpointer data),
                                  gpointer data)
{
  g_autoptr (GArray) gone = g_array_new (FALSE, FALSE, sizeof (gint64));
  for (guint i = 0; i < self->owners->len; i++)
    {
      const gint64 *pair = (const gint64 *) (gpointer) (self->owners->data + i * 2 * sizeof (gint64));
      if (pair[0] > 0 && !is_there (pair[0], data))
        g_array_append_val (gone, pair[0]);
    }
  for (guint i = 0; i < gone->len; i++)
    ing_document_library_remove_owner (self, g_array_index (gone, gint64, i));
}

void
ing_document_library_retry (IngDocumentLibrary *self, IngDocument *document)
{
  IngDocumentRow *row = ing_document_row_copy (document->row);
  row->state = ING_DOCUMENT_WAITING;
  ing_document_take_row (document, row);
  start_work (self, document);
}

static void
on_list_gone (gpointer data, GObject *list)
{
  g_hash_table_remove (((IngDocumentLibrary *) data)->lists, list);
  g_object_unref (data);
}

GListModel *
ing_document_library_dup_list (IngDocumentLibrary *self, gint64 owner)
{
  GListStore *list = g_list_store_new (ING_TYPE_DOCUMENT);
  for (guint i = 0; i < self->documents->len; i++)
    if (find_owner (self, owner, ((IngDocument *) self->documents->pdata[i])->row->id) >= 0)
      g_list_store_append (list, self->documents->pdata[i]);
  g_hash_table_insert (self->lists, list, g_memdup2 (&owner, sizeof owner));
  g_object_weak_ref (G_OBJECT (list), on_list_gone, g_object_ref (self));
  return G_LIST_MODEL (list);
}

/* ------------------------------------------------------------------ search */

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
  ing_database_run_async (self->database, ing_document_search_func, g_task_get_task_data (task), NULL, NULL,
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

/* Vectors are made again when other models are there than before; until then words find their passages. */
static void
refresh_vectors (IngDocumentLibrary *self, GArray *documents)
{
  for (guint i = 0; i < documents->len; i++)
    {
      IngDocument *document = ing_document_library_lookup (self, g_array_index (documents, gint64, i));
      if (document != NULL && document->row->state == ING_DOCUMENT_READY && !is_settled (document)
          && g_file_test (document->row->path, G_FILE_TEST_EXISTS))
        start_work (self, document);
    }
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
  refresh_vectors (self, documents);
  g_autofree char *path = NULL;
  request->embedder = choose_embedder (self, documents, request->query, &path);
  if ((arms & ING_SEARCH_MEANING) == 0 || request->embedder == NULL)
    {
      search_now (task);
      return;
    }
  g_autoptr (GPtrArray) texts = g_ptr_array_new ();
  g_ptr_array_add (texts, request->query);
  ing_generation_service_request_async (self->service, ENG_WIRE_EMBED, 
                                        make_embed_request (request->embedder, path, texts, TRUE),
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
  ing_database_run_async (self->database, ing_document_read_func, request, NULL, NULL, cancellable, on_found, task);
}

IngFound *
ing_document_library_search_finish (IngDocumentLibrary *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

/* ------------------------------------------------------------------ opening and closing */

static gpointer
read_func (IngDatabase *db, gpointer data, GError **error)
{
  IngDocumentLibrary *self = data;
  g_autoptr (GPtrArray) rows = ing_document_table_read (db, error);
  g_autoptr (GArray) owners = rows != NULL ? ing_owner_table_read (db, error) : NULL;
  if (owners == NULL)
    return NULL;
  g_clear_pointer (&self->rows, g_ptr_array_unref);
  g_clear_pointer (&self->owners, g_array_unref);
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
  g_ptr_array_set_size (self->documents, 0);
  for (guint i = 0; self->rows != NULL && i < self->rows->len; i++)
    {
      IngDocument *document = ing_document_new (ing_document_row_copy (self->rows->pdata[i]));
      self->last_id = MAX (self->last_id, document->row->id);
      g_ptr_array_add (self->documents, document);
    }
  g_clear_pointer (&self->rows, g_ptr_array_unref);
  g_list_model_items_changed (G_LIST_MODEL (self), 0, n_before, self->documents->len);
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
    g_ptr_array_add (self->documents, ing_document_new (ing_document_row_copy (rows->pdata[i])));
  for (guint i = 0; i < pairs->len; i++)
    {
      const gint64 *pair = (const gint64 *) (gpointer) (pairs->data + i * 2 * sizeof (gint64));
      IngDocument *document = ing_document_library_lookup (self, pair[1]);
      if (document == NULL || find_owner (self, pair[0], pair[1]) >= 0)
        continue;
      g_array_append_vals (self->owners, pair, 1);
      update_lists (self, pair[0], document, TRUE);
    }
  if (rows->len > 0)
    g_list_model_items_changed (G_LIST_MODEL (self), n_before, 0, rows->len);
}

IngDatabase *
ing_document_library_get_database (IngDocumentLibrary *self)
{
  return self->database;
}

gboolean
ing_document_library_close (IngDocumentLibrary *self)
{
  g_cancellable_cancel (self->closing);
  for (guint i = 0; i < self->documents->len; i++)
    {
      IngDocument *document = self->documents->pdata[i];
      if (document->cancellable != NULL)
        g_cancellable_cancel (document->cancellable);
    }
  return self->n_running == 0;
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
  g_thread_pool_free (self->pool, FALSE, TRUE);
  g_ptr_array_unref (self->documents);
  g_array_unref (self->owners);
  g_clear_pointer (&self->rows, g_ptr_array_unref);
  g_hash_table_unref (self->lists);
  g_object_unref (self->closing);
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
  self->owners = g_array_new (FALSE, FALSE, 2 * sizeof (gint64));
  self->lists = g_hash_table_new_full (NULL, NULL, NULL, g_free);
  self->closing = g_cancellable_new ();
  self->pool = g_thread_pool_new (run_work, self, 1, FALSE, NULL);
}

IngDocumentLibrary *
ing_document_library_new (IngGenerationService *service)
{
  IngDocumentLibrary *self = g_object_new (ING_TYPE_DOCUMENT_LIBRARY, NULL);
  self->service = g_object_ref (service);
  self->database = ing_database_new (&ing_document_schema);
  return self;
}
