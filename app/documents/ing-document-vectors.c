/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-document-vectors.h"

#include "ing-document-search.h"
#include "ing-error.h"
#include "ing-search-windows.h"

/* So many are lost when it is stopped, and made before it stops. */
#define EMBEDDED_AT_ONCE 16
#define EMBEDDED_WITH_WINDOWS_AT_ONCE 6
#define WIDTH_MAX 8192u

/* ------------------------------------------------------------------ a batch */

typedef struct
{
  const IngEmbedder *embedder;
  const char *path; /* of the model */
  gint64 document;
  gint64 *position; /* of the first that may have no vector yet */
  GArray *ids;
  GPtrArray *texts;
  GArray *n_vectors; /* of each chunk: its own and its windows'; 0 = the model cannot read it */
  const float *vectors;
  guint width;
} Batch;

static gpointer
list_func (IngDatabase *db, gpointer data, GError **error)
{
  Batch *b = data;
  guint n = b->embedder->windows ? EMBEDDED_WITH_WINDOWS_AT_ONCE : EMBEDDED_AT_ONCE;
  return ing_document_table_list_unembedded (db, b->document, b->position, n, b->ids, b->texts, error) ? b : NULL;
}

static gboolean
can_read (const IngEmbedder *embedder, const char *text)
{
  return !embedder->latin || ing_search_is_latin (text);
}

/* A text that the model cannot read gets a vector of width 1, which no search looks at. */
static gpointer
store_func (IngDatabase *db, gpointer data, GError **error)
{
  Batch *b = data;
  static const float none = 0;
  if (!ing_database_begin (db, error))
    return NULL;
  gboolean ok = TRUE;
  gsize row = 0;
  for (guint i = 0; i < b->ids->len && ok; i++)
    {
      guint n = g_array_index (b->n_vectors, guint, i);
      ok = ing_document_table_set_vectors (db, g_array_index (b->ids, gint64, i), b->embedder->number,
                                           n > 0 ? b->vectors + row * b->width : &none, MAX (n, 1),
                                           n > 0 ? b->width : 1, error);
      row += n;
    }
  return ing_database_end (db, ok, error) ? b : NULL;
}

static gboolean
embed_batch (IngIndexWork *work, Batch *b, GError **error)
{
  g_autoptr (GPtrArray) readable = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GArray) n_vectors = g_array_new (FALSE, FALSE, sizeof (guint));
  b->n_vectors = n_vectors;
  for (guint i = 0; i < b->texts->len; i++)
    {
      guint before = readable->len;
      if (can_read (b->embedder, b->texts->pdata[i]))
        {
          g_ptr_array_add (readable, g_strdup (b->texts->pdata[i]));
          if (b->embedder->windows)
            ing_search_cut_windows (b->texts->pdata[i], readable);
        }
      guint n = readable->len - before;
      g_array_append_val (n_vectors, n);
    }
  g_autoptr (GBytes) bytes = NULL;
  if (readable->len > 0)
    {
      bytes = work->embed (b->embedder, b->path, readable, work->data, error);
      if (bytes == NULL)
        return FALSE;
      gsize size = 0;
      const guint32 *head = g_bytes_get_data (bytes, &size);
      if (size < 8 || GUINT32_FROM_LE (head[0]) != readable->len || GUINT32_FROM_LE (head[1]) == 0
          || GUINT32_FROM_LE (head[1]) > WIDTH_MAX
          || size != 8 + (gsize) readable->len * GUINT32_FROM_LE (head[1]) * sizeof (float))
        {
          g_set_error_literal (error, ING_ERROR, ING_ERROR_PROTOCOL, "vectors of a wrong size");
          return FALSE;
        }
      b->width = GUINT32_FROM_LE (head[1]);
      b->vectors = (const float *) (head + 2);
    }
  return ing_database_run_sync (work->database, store_func, b, error) != NULL;
}

/* The next ones. FALSE on error, or when it was cancelled; *@n = 0: all have theirs. */
static gboolean
embed_next (IngIndexWork *work, const IngEmbedder *embedder, const char *path, gint64 *position, guint *n, GError **error)
{
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint64));
  g_autoptr (GPtrArray) texts = g_ptr_array_new_with_free_func (g_free);
  Batch b = {
    .embedder = embedder, .path = path, .document = work->row->id, .position = position, .ids = ids, .texts = texts
  };
  work->give_way (work->data);
  if (g_cancellable_set_error_if_cancelled (work->cancellable, error)
      || ing_database_run_sync (work->database, list_func, &b, error) == NULL)
    return FALSE;
  *n = ids->len;
  return ids->len == 0 || embed_batch (work, &b, error);
}

/* ------------------------------------------------------------------ a document that is read */

typedef struct
{
  IngDocumentRow *row;
  char *path;
  const IngEmbedder *embedder;
} Choice;

/* Which model its text wants; what another one made goes. */
static gpointer
choose_func (IngDatabase *db, gpointer data, GError **error)
{
  Choice *choice = data;
  gboolean latin = TRUE;
  if (!ing_document_table_get_latin (db, choice->row->id, &latin, error))
    return NULL;
  choice->embedder = ing_embedder_find (latin, &choice->path);
  if (choice->embedder == NULL)
    return choice;
  choice->row->embedder = choice->embedder->number;
  return ing_document_table_keep_vectors (db, choice->row->id, choice->embedder->number, error) ? choice : NULL;
}

gboolean
ing_document_vectors_make (IngIndexWork *work, GError **error)
{
  Choice choice = { .row = work->row };
  if (ing_embedder_get_plan () == 0)
    {
      g_set_error_literal (error, ING_ERROR, ING_ERROR_NOT_FOUND, "no embedding model is installed");
      return FALSE;
    }
  if (ing_database_run_sync (work->database, choose_func, &choice, error) == NULL)
    return FALSE;
  g_autofree char *path = choice.path;
  if (choice.embedder == NULL) /* none knows its language: words are all there is */
    return TRUE;
  gint64 position = 0;
  for (guint done = 0, n = 0;; done += n)
    {
      if (done > 0)
        work->changed (MIN (1, (double) done / MAX (1, work->row->n_chunks)), work->data);
      if (!embed_next (work, choice.embedder, path, &position, &n, error))
        return FALSE;
      if (n == 0)
        return TRUE;
    }
}

/* ------------------------------------------------------------------ one whose pages come one by one */

/* A thread of its own: the engine makes no vectors while it writes an answer, and recognizing must not wait for that. */
struct _IngPageVectors
{
  IngIndexWork *work;
  GThread *thread;
  guint embedder; /* atomic */
  GMutex lock;
  GCond cond;
  /* Locked: */
  guint n, n_foreign; /* chunks in the index */
  gboolean end;
};

typedef struct
{
  gint64 document;
  guint embedder;
} Keep;

static gpointer
keep_func (IngDatabase *db, gpointer data, GError **error)
{
  const Keep *keep = data;
  return ing_document_table_keep_vectors (db, keep->document, keep->embedder, error) ? data : NULL;
}

/* More than @n_done chunks are there: how many, and in which script. FALSE: no more come. */
static gboolean
wait_for_more (IngPageVectors *self, guint n_done, guint *n, gboolean *latin)
{
  g_mutex_lock (&self->lock);
  while (!self->end && self->n == n_done)
    g_cond_wait (&self->cond, &self->lock);
  *n = self->n;
  /* Once it is for the model that reads all languages it stays that until its end is known: each change costs all vectors. */
  *latin = *latin && ing_embedder_is_latin (self->n_foreign, self->n);
  gboolean more = !self->end;
  g_mutex_unlock (&self->lock);
  return more;
}

static gpointer
follow_pages (gpointer data)
{
  IngPageVectors *self = data;
  const IngEmbedder *embedder = NULL;
  g_autofree char *path = NULL;
  g_autoptr (GError) error = NULL;
  gboolean latin = TRUE, ok = TRUE;
  gint64 position = 0;
  for (guint n_chunks = 0; ok && wait_for_more (self, n_chunks, &n_chunks, &latin);)
    {
      g_autofree char *now_path = NULL;
      const IngEmbedder *now = ing_embedder_find (latin, &now_path);
      if (now == NULL)
        continue;
      if (now != embedder)
        {
          Keep keep = { self->work->row->id, now->number };
          ok = ing_database_run_sync (self->work->database, keep_func, &keep, &error) != NULL;
          g_atomic_int_set (&self->embedder, now->number);
          embedder = now;
          position = 0;
          g_free (path);
          path = g_steal_pointer (&now_path);
        }
      for (guint n = 1; ok && n > 0;)
        ok = embed_next (self->work, embedder, path, &position, &n, &error);
    }
  if (!ok)
    g_debug ("no vectors of pages: %s", error->message);
  return NULL;
}

IngPageVectors *
ing_page_vectors_new (IngIndexWork *work)
{
  IngPageVectors *self = g_new0 (IngPageVectors, 1);
  self->work = work;
  self->embedder = work->row->embedder;
  g_mutex_init (&self->lock);
  g_cond_init (&self->cond);
  self->thread = g_thread_new ("vectors", follow_pages, self);
  return self;
}

void
ing_page_vectors_go_on (IngPageVectors *self, guint n, guint n_foreign)
{
  g_mutex_lock (&self->lock);
  self->n = n;
  self->n_foreign = n_foreign;
  g_cond_signal (&self->cond);
  g_mutex_unlock (&self->lock);
}

guint
ing_page_vectors_get_embedder (IngPageVectors *self)
{
  return g_atomic_int_get (&self->embedder);
}

void
ing_page_vectors_free (IngPageVectors *self)
{
  g_mutex_lock (&self->lock);
  self->end = TRUE;
  g_cond_signal (&self->cond);
  g_mutex_unlock (&self->lock);
  g_thread_join (self->thread);
  g_mutex_clear (&self->lock);
  g_cond_clear (&self->cond);
  g_free (self);
}
