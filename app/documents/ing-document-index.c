/* SPDX-License-Identifier: Apache-2.0 */
/* One document's way into the index. A document counts as read when its row says WORDS, which is written with its last
 * chunks: what a crash leaves before that is erased and read again; vectors go on where they stopped. Pages that are
 * recognized, which takes seconds each, are kept one by one, and searched with all before them from then on; their vectors
 * are made meanwhile. Chunks that stand in the index as they would be written stay, and so do their vectors. */
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>
#include <string.h>

#include "ing-document-private.h"
#include "ing-document-search.h"
#include "ing-document-vectors.h"
#include "ing-error-private.h"
#include "ing-folder-look.h"
#include "ing-folder-scan.h"
#include "ing-recognizer.h"

#define CHUNKS_AT_ONCE 128
#define MAX_CHUNKS 400000u

typedef struct
{
  IngIndexWork *work;
  IngChunker *chunker;
  GPtrArray *chunks;
  guint n_written; /* of them, in the index */
  gboolean alone;  /* nothing stands behind them there */
  guint n_foreign; /* of them, in another script than Latin */
  IngPageVectors *vectors; /* NULL until a page was recognized */
  IngRecognizer *recognizer; /* NULL: none is installed, or no page is a picture */
  gboolean looked; /* for one */
  guint n_scans;
  guint64 end; /* characters of the text so far */
  GError *error; /* of writing what was recognized */
} Reading;

static gboolean
hash_file (IngDocumentRow *row, GCancellable *cancellable, GError **error)
{
  char *hash = ing_document_hash_file (row->path, cancellable, error);
  if (hash == NULL)
    return FALSE;
  g_free (row->hash);
  row->hash = hash;
  return TRUE;
}

static void
on_chunk (IngChunk *chunk, gpointer data)
{
  g_ptr_array_add (((Reading *) data)->chunks, chunk);
}

static gboolean
on_block (const IngBlock *block, gpointer data)
{
  Reading *reading = data;
  reading->work->give_way (reading->work->data); /* and so the reader, when its pipe is full */
  reading->work->page = 0;
  ing_document_chunker_feed (reading->chunker, block);
  reading->end = block->start + (guint64) g_utf8_strlen (block->text, -1);
  return reading->chunks->len < MAX_CHUNKS;
}

static void
on_progress (guint done, guint total, gpointer data)
{
  Reading *reading = data;
  reading->work->changed (total > 0 ? (double) done / total : -1, reading->work->data);
}

/* ------------------------------------------------------------------ writing */

typedef struct
{
  IngIndexWork *work;
  GPtrArray *chunks;
  guint from, n;
  gboolean alone; /* no chunk stands in the index behind the first @from */
  guint page; /* with these all of it stands there that was recognized as @text; 0 = they are the document's last */
  const char *text;
} Writing;

static gboolean
write_end (IngDatabase *db, const Writing *w, GError **error)
{
  IngDocumentRow *row = w->work->row;
  row->n_chunks = w->chunks->len;
  if (w->page > 0)
    return ing_document_table_add_recognized (db, row, w->page, w->text, error);
  row->state = ING_DOCUMENT_WORDS;
  return ing_document_table_write (db, row, error);
}

/* What an earlier run, or an earlier version of the file, left as it would be written is not written again. */
static gboolean
write_chunk (IngDatabase *db, Writing *w, guint i, GError **error)
{
  const IngDocumentRow *row = w->work->row;
  const IngChunk *chunk = w->chunks->pdata[i];
  g_autofree char *name = ing_document_make_name (row->path);
  const char *title = *row->title != '\0' ? row->title : name;
  g_autofree char *prefix = ing_chunk_make_prefix (title, chunk->path, chunk->page);
  gboolean there = FALSE;
  if (!w->alone && !ing_document_table_has_chunk (db, row->id, i, prefix, chunk, &there, error))
    return FALSE;
  if (there)
    return TRUE;
  if (!w->alone && !ing_document_table_erase_chunks (db, row->id, i, error))
    return FALSE;
  w->alone = TRUE;
  return ing_document_table_add_chunk (db, row->id, i, prefix, chunk, error);
}

static gpointer
write_chunks_func (IngDatabase *db, gpointer data, GError **error)
{
  Writing *w = data;
  gboolean ok = ing_database_begin (db, error), last = w->from + w->n == w->chunks->len;
  if (!ok)
    return NULL;
  for (guint i = w->from; ok && i < w->from + w->n; i++)
    ok = write_chunk (db, w, i, error);
  if (ok && last && !w->alone)
    ok = w->alone = ing_document_table_erase_chunks (db, w->work->row->id, w->chunks->len, error);
  if (ok && last)
    ok = write_end (db, w, error);
  return ing_database_end (db, ok, error) ? w : NULL;
}

static gpointer
write_row_func (IngDatabase *db, gpointer data, GError **error)
{
  return ing_document_table_write (db, data, error) ? data : NULL;
}

/* What is not written yet: with @page, of which @text was recognized, or with the whole document (0). */
static gboolean
write_chunks (Reading *reading, guint page, const char *text, GError **error)
{
  IngIndexWork *work = reading->work;
  guint n = reading->chunks->len;
  do
    {
      Writing w = { work, reading->chunks, reading->n_written, MIN (CHUNKS_AT_ONCE, n - reading->n_written),
                    reading->alone, page, text };
      work->give_way (work->data);
      if (g_cancellable_set_error_if_cancelled (work->cancellable, error)
          || ing_database_run_sync (work->database, write_chunks_func, &w, error) == NULL)
        return FALSE;
      reading->n_written += w.n;
      reading->alone = w.alone;
    }
  while (reading->n_written < n);
  return TRUE;
}

/* ------------------------------------------------------------------ pages that are pictures */

typedef struct
{
  const IngDocumentRow *row;
  guint page;
  char *text;
} Known;

static gpointer
find_known_func (IngDatabase *db, gpointer data, GError **error)
{
  Known *known = data;
  return ing_document_table_dup_recognized (db, known->row, known->page, &known->text, error) ? known : NULL;
}

/* Its paragraphs, a line each; NULL where it was not recognized. */
static char *
recognize (Reading *reading, guint page)
{
  IngIndexWork *work = reading->work;
  g_autoptr (GError) error = NULL;
  if (!reading->looked)
    reading->recognizer = ing_recognizer_new (work->cancellable);
  reading->looked = TRUE;
  if (reading->recognizer == NULL)
    return NULL;
  g_autoptr (GPtrArray) paragraphs
      = ing_recognizer_read_page (reading->recognizer, work->row->path, page, work->cancellable, &error);
  if (paragraphs == NULL)
    {
      g_debug ("page %u was not recognized: %s", page, error->message);
      return NULL;
    }
  g_ptr_array_add (paragraphs, NULL);
  return g_strjoinv ("\n", (char **) paragraphs->pdata);
}

static void
feed_recognized (Reading *reading, guint page, const char *text)
{
  g_auto (GStrv) paragraphs = g_strsplit (text, "\n", -1);
  for (guint i = 0; paragraphs[i] != NULL; i++)
    {
      const IngBlock block = { .page = page, .start = reading->end, .text = paragraphs[i], .path = "", .header = "",
                               .recognized = TRUE };
      ing_document_chunker_feed (reading->chunker, &block);
    }
  ing_document_chunker_close (reading->chunker);
}

/* The vectors of what is written by now. */
static void
make_vectors (Reading *reading, guint from)
{
  for (guint i = from; i < reading->n_written; i++)
    reading->n_foreign += !ing_search_is_latin (((const IngChunk *) reading->chunks->pdata[i])->text);
  if (reading->vectors == NULL)
    reading->vectors = ing_page_vectors_new (reading->work);
  ing_page_vectors_go_on (reading->vectors, reading->n_written, reading->n_foreign);
}

static void
tell_page (IngIndexWork *work, guint done, guint page, guint pages)
{
  work->page = page;
  work->n_pages = pages;
  work->changed (done / (double) MAX (pages, page), work->data);
}

/* A page that cannot be recognized is none that stops the others. */
static gboolean
on_scan (guint page, guint pages, const char *title, gpointer data)
{
  Reading *reading = data;
  IngIndexWork *work = reading->work;
  Known known = { work->row, page, NULL };
  work->give_way (work->data);
  if (reading->n_scans++ == 0)
    {
      g_free (work->row->title);
      work->row->title = g_strdup (title);
    }
  if (ing_database_run_sync (work->database, find_known_func, &known, &reading->error) == NULL)
    return FALSE;
  g_autofree char *text = known.text;
  if (text == NULL)
    {
      work->put_off = work->is_wanted (work->data);
      if (work->put_off)
        return FALSE;
      tell_page (work, page - 1, page, pages);
      text = recognize (reading, page);
    }
  if (text != NULL)
    feed_recognized (reading, page, text);
  /* What an earlier run recognized comes in with the first page of this one. */
  if (text != NULL && known.text == NULL)
    {
      guint from = reading->n_written;
      if (!write_chunks (reading, page, text, &reading->error))
        return FALSE;
      make_vectors (reading, from);
      work->row->embedder = ing_page_vectors_get_embedder (reading->vectors);
      work->searched = reading->n_written > 0;
      tell_page (work, page, page, pages);
    }
  return reading->chunks->len < MAX_CHUNKS && !g_cancellable_is_cancelled (work->cancellable);
}

/* ------------------------------------------------------------------ reading */

typedef struct
{
  IngDocumentRow *row;
  gboolean copied;
} Twin;

static gpointer
copy_twin_func (IngDatabase *db, gpointer data, GError **error)
{
  Twin *twin = data;
  return ing_document_table_copy_twin (db, twin->row, &twin->copied, error) ? twin : NULL;
}

static gboolean
read_document (IngIndexWork *work, GError **error)
{
  IngDocumentRow *row = work->row;
  Twin twin = { row, FALSE };
  if (ing_database_run_sync (work->database, copy_twin_func, &twin, error) == NULL)
    return FALSE;
  if (twin.copied)
    return TRUE;
  g_autoptr (GPtrArray) chunks = g_ptr_array_new_with_free_func ((GDestroyNotify) ing_chunk_free);
  Reading reading = { .work = work, .chunks = chunks };
  g_auto (IngExtracted) out = { 0 };
  const IngReaderHandler handler = { .block = on_block, .progress = on_progress, .scan = on_scan, .data = &reading };
  reading.chunker = ing_document_chunker_new (on_chunk, &reading);
  gboolean ok = ing_reader_extract (row->path, &handler, work->cancellable, &out, error);
  ing_document_chunker_finish (reading.chunker);
  gboolean unread = reading.looked && reading.recognizer == NULL;
  ing_recognizer_free (reading.recognizer);
  g_clear_pointer (&reading.vectors, ing_page_vectors_free);
  work->page = 0;
  work->searched = work->searched && work->put_off;
  if (reading.error != NULL)
    {
      g_clear_error (error);
      g_propagate_error (error, reading.error);
    }
  if (!ok)
    return FALSE;
  g_free (row->title);
  g_free (row->kind);
  row->title = g_strdup (out.title != NULL ? out.title : "");
  row->kind = g_strdup (out.kind != NULL ? out.kind : "");
  row->n_pages = out.pages;
  if (chunks->len == 0)
    {
      g_propagate_error (error, ing_error_new (ING_ERROR_NO_TEXT, row->path, unread ? reading.n_scans : 0, 0,
                                               "there is no text in it; %u pages are pictures", reading.n_scans));
      return FALSE;
    }
  return write_chunks (&reading, 0, NULL, error);
}

gboolean
ing_document_index_run (IngIndexWork *work, GError **error)
{
  IngDocumentRow *row = work->row;
  g_autoptr (GError) local = NULL;
  g_autofree char *before = g_strdup (row->hash);
  guint plan = ing_embedder_get_plan ();
  GStatBuf info;
  g_atomic_int_set (work->begun, 1);
  if (g_stat (row->path, &info) == 0)
    {
      row->size = info.st_size;
      row->mtime_us = ing_folder_scan_get_time (&info);
    }
  gboolean ok = hash_file (row, work->cancellable, &local);
  gboolean read = ok && strcmp (before, row->hash) == 0
                  && (row->state == ING_DOCUMENT_WORDS || row->state == ING_DOCUMENT_READY);
  if (ok && !read)
    {
      row->state = ING_DOCUMENT_READING;
      work->changed (0, work->data);
      ok = read_document (work, &local);
    }
  if (ok)
    {
      work->changed (0, work->data);
      g_autoptr (GError) no_vectors = NULL;
      /* Without vectors it is found by words alone; it is tried again when it is added again. */
      if (ing_document_vectors_make (work, &no_vectors))
        {
          row->state = ING_DOCUMENT_READY;
          row->plan = plan;
        }
      else if (g_cancellable_is_cancelled (work->cancellable))
        {
          g_propagate_error (error, g_steal_pointer (&no_vectors));
          return FALSE;
        }
      else
        g_debug ("no vectors of %s: %s", row->path, no_vectors->message);
    }
  else if (g_error_matches (local, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  else
    {
      row->state = ING_DOCUMENT_FAILED;
      g_free (row->error);
      row->error = ing_error_to_json (local);
    }
  return ing_database_run_sync (work->database, write_row_func, row, error) != NULL;
}
