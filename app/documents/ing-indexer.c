/* SPDX-License-Identifier: Apache-2.0 */
/* Invariants:
 *  1. IngDocument objects belong to the main thread; the work has a row of its own and hands a copy over.
 *  2. A document has a cancellable exactly while work on it is waiting or running. */
#include "ing-indexer.h"

#include <glib/gstdio.h>
#include <sys/resource.h>

#include "ing-log.h"
#include "ing-main-thread.h"

#define WAIT_STEP_US (50 * 1000)
#define GIVE_WAY_STEP_US (2 * 1000)
#define INDEXING_NICE 10 /* an answer, or a window, goes first */
/* Before so much time and so many bytes are through, how long the rest takes is a guess. */
#define LEAST_US (2 * G_USEC_PER_SEC)

struct _IngIndexer
{
  guint references;
  IngGenerationService *service;
  IngDatabase *database;
  GThreadPool *pool;
  gboolean closed;
  guint n_running;
  guint64 n_started;
  gint64 since_us; /* the last idle moment */
  guint64 done_bytes; /* of what ended since */
  gint n_waiting[2];  /* atomic: works that were not begun, of those that somebody waits for, and behind */
};

typedef struct
{
  IngIndexer *indexer;
  IngDocument *document;
  gboolean behind;
  gboolean late; /* it was put off */
  guint64 number; /* in the order of starts */
  IngIndexWork index;
} Work;

/* ------------------------------------------------------------------ vectors, asked for from the work's thread */

typedef struct
{
  gint references;
  IngGenerationService *service;
  JsonObject *payload;
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
  ing_generation_service_request_async (call->service, ENG_WIRE_EMBED,
                                        g_steal_pointer (&call->payload), NULL, on_embedded, call);
  return G_SOURCE_REMOVE;
}

JsonObject *
ing_embed_request_new (const IngEmbedder *embedder, const char *path, GPtrArray *texts, gboolean query)
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

static GBytes *
embed (const IngEmbedder *embedder, const char *path, GPtrArray *texts, gpointer data, GError **error)
{
  Work *work = data;
  EmbedCall *call = g_new0 (EmbedCall, 1);
  call->references = 2;
  call->service = work->indexer->service;
  call->payload = ing_embed_request_new (embedder, path, texts, FALSE);
  g_mutex_init (&call->lock);
  g_cond_init (&call->cond);
  ing_main_thread_run (start_embed, call);
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

/* A question's first word is what a person waits for; reading goes on with the second. */
static void
let_answer_begin (gpointer data)
{
  Work *work = data;
  while (ing_generation_service_is_answer_awaited (work->indexer->service)
         && !g_cancellable_is_cancelled (work->index.cancellable))
    g_usleep (GIVE_WAY_STEP_US);
}

static gboolean
is_wanted (gpointer data)
{
  Work *work = data;
  return g_atomic_int_get (&work->indexer->n_waiting[FALSE]) > 0
         || (work->behind && g_atomic_int_get (&work->indexer->n_waiting[TRUE]) > 0);
}

typedef struct
{
  IngIndexer *indexer;
  IngDocument *document;
  IngDocumentRow *row;
  double fraction;
  guint page, n_pages;
  gboolean end, failed, behind, searched;
} News;

static void
on_end (News *news)
{
  IngIndexer *self = news->indexer;
  IngDocument *document = news->document;
  self->n_running--;
  self->done_bytes += document->work_bytes;
  g_clear_object (&document->cancellable);
  gboolean again = document->again;
  document->again = FALSE;
  /* Given up half-way: it waits for another time. */
  if (news->failed && document->row->state == ING_DOCUMENT_READING)
    ing_document_set_state (document, ING_DOCUMENT_WAITING);
  if (again)
    ing_indexer_start (self, document, news->behind);
  ing_document_set_fraction (document, again ? 0 : 1);
  g_object_unref (document); /* the work's */
  ing_indexer_unref (self);  /* the same */
}

static gboolean
on_news (gpointer data)
{
  News *news = data;
  news->document->page = news->page;
  news->document->of_pages = news->n_pages;
  news->document->searched = news->searched;
  /* What the main thread knows of the file meanwhile stays. */
  if (!news->failed)
    ing_document_take_work_row (news->document, news->row);
  else
    ing_document_row_free (news->row);
  if (news->end)
    on_end (news);
  else
    ing_document_set_fraction (news->document, news->fraction);
  g_free (news);
  return G_SOURCE_REMOVE;
}

static void
tell (Work *work, double fraction, gboolean end, gboolean failed)
{
  News *news = g_new0 (News, 1);
  *news = (News){ .indexer = work->indexer, .document = work->document, .row = ing_document_row_copy (work->index.row),
                  .fraction = fraction, .page = work->index.page, .n_pages = work->index.n_pages, .end = end,
                  .failed = failed, .behind = work->behind, .searched = work->index.searched };
  ing_main_thread_run (on_news, news);
}

static void
on_changed (double fraction, gpointer data)
{
  tell (data, fraction, FALSE, FALSE);
}

/* Of this thread, which is the pool's alone, and of the readers that it starts: they begin with it. */
static void
lower_priority (void)
{
  setpriority (PRIO_PROCESS, 0, INDEXING_NICE);
}

static void
run_work (gpointer data, gpointer pool_data)
{
  Work *work = data;
  lower_priority ();
  if (!work->late)
    g_atomic_int_add (&work->indexer->n_waiting[work->behind], -1);
  work->index.put_off = FALSE;
  let_answer_begin (work);
  g_autoptr (GError) error = NULL;
  gboolean ok = !g_cancellable_set_error_if_cancelled (work->index.cancellable, &error)
                && ing_document_index_run (&work->index, &error);
  if (work->index.put_off && !g_cancellable_is_cancelled (work->index.cancellable))
    {
      work->late = TRUE;
      on_changed (-1, work);
      g_thread_pool_push (work->indexer->pool, work, NULL);
      return;
    }
  if (!ok)
    ing_info ("document not indexed: %s", error != NULL ? error->message : "?");
  tell (work, 1, TRUE, !ok);
  ing_document_row_free (work->index.row);
  g_object_unref (work->index.cancellable);
  g_object_unref (work->index.database);
  g_free (work);
}

static int
compare_works (gconstpointer a, gconstpointer b, gpointer data)
{
  const Work *x = a, *y = b;
  if (x->behind != y->behind)
    return x->behind ? 1 : -1;
  if (x->late != y->late)
    return x->late ? 1 : -1;
  return x->number < y->number ? -1 : x->number > y->number;
}

void
ing_indexer_start (IngIndexer *self, IngDocument *document, gboolean behind)
{
  GStatBuf info;
  if (document->cancellable != NULL || self->closed)
    return;
  document->cancellable = g_cancellable_new ();
  g_atomic_int_set (&document->begun, 0);
  document->work_bytes = g_stat (document->row->path, &info) == 0 ? (guint64) info.st_size : 0;
  Work *work = g_new0 (Work, 1);
  work->indexer = self;
  work->document = g_object_ref (document);
  work->behind = behind;
  work->number = self->n_started++;
  work->index = (IngIndexWork){ .database = g_object_ref (self->database), .row = ing_document_row_copy (document->row),
                                .cancellable = g_object_ref (document->cancellable), .begun = &document->begun,
                                .embed = embed, .is_wanted = is_wanted, .give_way = let_answer_begin, .changed = on_changed, .data = work };
  self->references++;
  if (self->n_running++ == 0)
    {
      self->since_us = g_get_monotonic_time ();
      self->done_bytes = 0;
    }
  g_atomic_int_inc (&self->n_waiting[work->behind]);
  g_thread_pool_push (self->pool, work, NULL);
}

gboolean
ing_indexer_close (IngIndexer *self)
{
  self->closed = TRUE;
  return self->n_running == 0;
}

double
ing_indexer_estimate (IngIndexer *self, guint64 bytes)
{
  gint64 took_us = g_get_monotonic_time () - self->since_us;
  if (self->n_running == 0 || self->done_bytes == 0 || took_us < LEAST_US)
    return -1;
  return (double) bytes * (double) took_us / (double) self->done_bytes / G_USEC_PER_SEC;
}

void
ing_indexer_unref (IngIndexer *self)
{
  if (--self->references > 0)
    return;
  g_thread_pool_free (self->pool, FALSE, TRUE);
  g_object_unref (self->database);
  g_object_unref (self->service);
  g_free (self);
}

IngIndexer *
ing_indexer_new (IngGenerationService *service, IngDatabase *database)
{
  IngIndexer *self = g_new0 (IngIndexer, 1);
  self->references = 1;
  self->service = g_object_ref (service);
  self->database = g_object_ref (database);
  self->pool = g_thread_pool_new (run_work, self, 1, TRUE, NULL);
  g_thread_pool_set_sort_function (self->pool, compare_works, NULL);
  return self;
}
