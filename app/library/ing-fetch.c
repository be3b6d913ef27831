/* SPDX-License-Identifier: Apache-2.0 */
/* Rounds. In a round, threads take spans and fetch them until there are none; one that cannot go on by itself ends
 * the round with an error, or with `restart` when what is there cannot be part of the server's file any more. */
#include "ing-fetch.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#include "ing-http.h"
#include "ing-token.h"

#define READ_BYTES (256u * 1024)
#define MAX_RESTARTS 3
#define MAX_BACKOFF_DOUBLINGS 6
#define MAGIC "GGUF"

IngFetchPatience ing_fetch_patience = {
  .backoff_ms = 1000,
  .max_tries = 6,
  .slow_s = 30,
  .slow_bytes = 30 * 1024,
  .piece_bytes = 64 * 1024 * 1024,
  .min_split = 8 * 1024 * 1024,
  .checkpoint_bytes = 64 * 1024 * 1024,
  .checkpoint_ms = 2000,
};

typedef struct
{
  const IngFetchRequest *request;
  IngPart *part;
  GCancellable *cancellable; /* of the round: the caller's, or ours when one thread ends it for all */
  char *token;
  gboolean token_tried;

  GMutex lock;
  GError *error; /* the first that ended the round */
  gboolean restart;
  gboolean no_ranges;  /* the server ignores them */
  gboolean one_go;     /* nothing vouches for it that two answers are of the same file */
  gboolean parallel;   /* ranges work: others may begin */
  guint n_active;      /* connections */
  guint n_tries;       /* failures since anything moved */
  guint64 most_done;   /* ever, in this run: what counts as moving */
  gboolean resumed;    /* not all bytes came in one go */

  GMutex checkpoint_lock;
  guint64 checkpoint_done;
  gint64 checkpoint_us;
} Fetch;

typedef enum
{
  NEXT_USE,   /* read the body */
  NEXT_AGAIN, /* ask again, after a pause */
  NEXT_END    /* the round is over, or this span */
} Next;

/* ------------------------------------------------------------------ ending a round */

static void
fail_round (Fetch *f, GError *error)
{
  g_mutex_lock (&f->lock);
  if (f->error == NULL && !f->restart)
    f->error = g_steal_pointer (&error);
  g_mutex_unlock (&f->lock);
  g_clear_error (&error);
  g_cancellable_cancel (f->cancellable);
}

static Next
restart_round (Fetch *f, const char *words)
{
  g_mutex_lock (&f->lock);
  if (f->error == NULL)
    f->restart = TRUE;
  g_mutex_unlock (&f->lock);
  f->request->notice (words, f->request->data);
  g_cancellable_cancel (f->cancellable);
  return NEXT_END;
}

static void
wait_ms (Fetch *f, guint64 ms)
{
  gint64 until = g_get_monotonic_time () + (gint64) ms * 1000;
  gint64 left;
  /* The time is asked once a round: MIN and MAX look twice, and what is negative by then sleeps for ever. */
  while ((left = until - g_get_monotonic_time ()) > 0 && !g_cancellable_is_cancelled (f->cancellable))
    g_usleep ((gulong) MIN (20000, left));
}

/* TRUE: waited, try again. FALSE: that was the last try, the round failed with @error. Takes @error. */
static gboolean
try_again (Fetch *f, GError *error, guint retry_after_s)
{
  g_mutex_lock (&f->lock);
  guint n = ++f->n_tries;
  f->resumed = TRUE;
  g_mutex_unlock (&f->lock);
  if (n >= ing_fetch_patience.max_tries || g_cancellable_is_cancelled (f->cancellable))
    {
      fail_round (f, error);
      return FALSE;
    }
  guint64 ms = (guint64) ing_fetch_patience.backoff_ms << MIN (n - 1, MAX_BACKOFF_DOUBLINGS);
  g_autofree char *words = g_strdup_printf (_("The connection broke; trying again (%u of %u)"), n,
                                            ing_fetch_patience.max_tries - 1);
  f->request->notice (words, f->request->data);
  g_error_free (error);
  wait_ms (f, MAX (ms, retry_after_s * 1000ull));
  return !g_cancellable_is_cancelled (f->cancellable);
}

static void
note_moved (Fetch *f)
{
  guint64 done = ing_part_get_done (f->part);
  g_mutex_lock (&f->lock);
  if (done > f->most_done)
    {
      f->most_done = done;
      if (f->n_tries > 0)
        f->request->notice (NULL, f->request->data);
      f->n_tries = 0;
    }
  g_mutex_unlock (&f->lock);
  f->request->progress (done, ing_part_get_size (f->part), f->request->data);
}

static gboolean
write_checkpoint (Fetch *f, gboolean now, GError **error)
{
  gboolean ok = TRUE;
  if (now)
    g_mutex_lock (&f->checkpoint_lock);
  else if (!g_mutex_trylock (&f->checkpoint_lock))
    return TRUE; /* another thread is at it */
  guint64 done = ing_part_get_done (f->part);
  gint64 time = g_get_monotonic_time ();
  if (now || done >= f->checkpoint_done + ing_fetch_patience.checkpoint_bytes
      || time >= f->checkpoint_us + ing_fetch_patience.checkpoint_ms * 1000ll)
    {
      g_autofree char *text = ing_part_checkpoint (f->part, error);
      ok = text != NULL && f->request->checkpoint (text, f->request->data, error);
      f->checkpoint_done = done;
      f->checkpoint_us = g_get_monotonic_time ();
    }
  g_mutex_unlock (&f->checkpoint_lock);
  return ok;
}

/* ------------------------------------------------------------------ judging a reply */

static GError *
bad_answer (const char *what)
{
  return ing_error_new (ING_ERROR_SERVER, NULL, 0, 0, "%s", what);
}

/* The promised size, from wherever it is known. */
static gboolean
size_is_promised (Fetch *f, guint64 size)
{
  guint64 promised = f->request->size;
  if (promised == ING_PART_UNKNOWN || size == ING_PART_UNKNOWN || size == promised)
    return TRUE;
  fail_round (f, ing_error_new (ING_ERROR_HASH, f->request->uri, promised, size,
                                "the server has a file of %" G_GUINT64_FORMAT " bytes, promised were %" G_GUINT64_FORMAT,
                                size, promised));
  return FALSE;
}

/* Does what the server says now belong to what is there? */
static gboolean
is_same_file (Fetch *f, const IngHttpReply *reply)
{
  g_autofree char *etag = ing_part_dup_etag (f->part);
  g_autofree char *date = ing_part_dup_last_modified (f->part);
  guint64 size = ing_part_get_size (f->part);
  if (size != ING_PART_UNKNOWN && reply->total != ING_HTTP_UNKNOWN && reply->total != size)
    return FALSE;
  if (etag != NULL && reply->etag != NULL)
    return strcmp (etag, reply->etag) == 0;
  if (f->request->sha256 != NULL)
    return TRUE; /* the hash will tell */
  if (etag != NULL || date == NULL || reply->last_modified == NULL)
    return FALSE; /* nothing vouches for it */
  return strcmp (date, reply->last_modified) == 0;
}

static Next
judge_partial (Fetch *f, guint64 at, const IngHttpReply *reply)
{
  if (reply->start != at)
    return try_again (f, bad_answer ("the server sent another range than was asked for"), 0) ? NEXT_AGAIN : NEXT_END;
  if (!size_is_promised (f, reply->total))
    return NEXT_END;
  /* From the first description on, even if no byte of it has come: another connection may have asked before. */
  if (ing_part_is_described (f->part) && !is_same_file (f, reply))
    return restart_round (f, _("The file changed on the server; starting over"));
  if (f->request->sha256 == NULL && reply->etag == NULL && reply->last_modified == NULL && reply->end != reply->total
      && !f->one_go)
    {
      f->one_go = TRUE; /* there is one connection yet */
      return NEXT_AGAIN;
    }
  GError *error = NULL;
  if (!ing_part_describe (f->part, reply->total, reply->etag, reply->last_modified, &error))
    {
      fail_round (f, error);
      return NEXT_END;
    }
  if (reply->total != ING_HTTP_UNKNOWN)
    {
      g_mutex_lock (&f->lock);
      f->parallel = !f->no_ranges && (f->request->sha256 != NULL || reply->etag != NULL);
      g_mutex_unlock (&f->lock);
    }
  return NEXT_USE;
}

static Next
judge_whole (Fetch *f, guint64 at, const IngHttpReply *reply)
{
  if (at != 0 || ing_part_get_done (f->part) > 0 || (ing_part_is_described (f->part) && !is_same_file (f, reply)))
    {
      g_autofree char *etag = ing_part_dup_etag (f->part);
      gboolean same = etag != NULL && g_strcmp0 (etag, reply->etag) == 0;
      g_mutex_lock (&f->lock);
      f->no_ranges = TRUE; /* also when it only changed: one connection is safer then */
      g_mutex_unlock (&f->lock);
      return restart_round (f, same ? _("The server cannot continue a download; starting over")
                                    : _("The file changed on the server; starting over"));
    }
  if (!size_is_promised (f, reply->total))
    return NEXT_END;
  GError *error = NULL;
  g_mutex_lock (&f->lock);
  f->no_ranges = TRUE;
  f->parallel = FALSE;
  g_mutex_unlock (&f->lock);
  if (ing_part_describe (f->part, reply->total, reply->etag, reply->last_modified, &error))
    return NEXT_USE;
  fail_round (f, error);
  return NEXT_END;
}

static Next
judge_refused (Fetch *f, const IngHttpReply *reply)
{
  g_autofree char *host = NULL;
  gboolean again = FALSE;
  g_mutex_lock (&f->lock);
  if (!f->token_tried)
    {
      g_autoptr (GUri) uri = g_uri_parse (f->request->uri, G_URI_FLAGS_ENCODED, NULL);
      f->token_tried = TRUE;
      host = uri != NULL ? g_strdup (g_uri_get_host (uri)) : NULL;
      f->token = host != NULL ? ing_token_lookup (host, f->cancellable) : NULL;
      again = f->token != NULL;
    }
  g_mutex_unlock (&f->lock);
  if (again)
    return NEXT_AGAIN;
  fail_round (f, ing_http_reply_error (reply, f->request->uri, f->request->page));
  return NEXT_END;
}

/* TRUE: others go on, and this connection is counted as ended. */
static gboolean
leave_to_others (Fetch *f)
{
  g_mutex_lock (&f->lock);
  gboolean leave = f->n_active > 1;
  if (leave)
    f->n_active--;
  g_mutex_unlock (&f->lock);
  return leave;
}

static Next
judge (Fetch *f, IngPartSpan *span, const IngHttpReply *reply)
{
  guint64 at = ing_part_span_get_at (f->part, span);
  switch (reply->status)
    {
    case 206:
      return judge_partial (f, at, reply);
    case 200:
      return judge_whole (f, at, reply);
    case 416:
      if (at > 0 && reply->total == at && ing_part_get_size (f->part) == ING_PART_UNKNOWN)
        {
          ing_part_end_here (f->part, span); /* all of it is here already */
          return NEXT_END;
        }
      if (at == 0 && reply->total == 0)
        fail_round (f, ing_error_new (ING_ERROR_NOT_A_MODEL, f->request->uri, 0, 0, "the file is empty"));
      else
        restart_round (f, _("The file changed on the server; starting over"));
      return NEXT_END;
    case 401:
    case 403:
      return judge_refused (f, reply);
    default:
      break;
    }
  /* A server that wants fewer connections gets fewer. */
  if ((reply->status == 429 || reply->status == 503) && leave_to_others (f))
    return NEXT_END;
  GError *error = ing_http_reply_error (reply, f->request->uri, f->request->page);
  if (ing_http_status_is_passing (reply->status))
    return try_again (f, error, reply->retry_after_s) ? NEXT_AGAIN : NEXT_END;
  fail_round (f, error);
  return NEXT_END;
}

/* ------------------------------------------------------------------ one connection */

static gboolean
begins_well (Fetch *f, guint64 at, const guint8 *bytes, gsize n)
{
  if (!f->request->gguf || at >= strlen (MAGIC))
    return TRUE;
  return memcmp (bytes, &MAGIC[at], MIN (n, strlen (MAGIC) - at)) == 0;
}

/* NULL = the body ended, or the span did; else what happened. *@stop: the round is over with it. */
static GError *
read_body (Fetch *f, IngPartSpan *span, IngHttpReply *reply, guint8 *buffer, gboolean *stop)
{
  gint64 window_us = g_get_monotonic_time ();
  guint64 window_at = ing_part_span_get_at (f->part, span);
  guint64 limit = reply->status == 206 ? reply->end : ING_HTTP_UNKNOWN;
  for (;;)
    {
      GError *error = NULL;
      gsize wanted;
      guint64 at = ing_part_span_get_at (f->part, span);
      if (at >= MIN (limit, ing_part_span_get_end (f->part, span)))
        return NULL;
      gssize n = g_input_stream_read (reply->body, buffer, (gsize) MIN (READ_BYTES, limit - at), f->cancellable, &error);
      if (n <= 0)
        return error;
      *stop = TRUE;
      if (!begins_well (f, at, buffer, (gsize) n))
        return ing_error_new (ING_ERROR_NOT_A_MODEL, f->request->uri, 0, 0, "it does not begin with %s", MAGIC);
      if (f->request->max_bytes > 0 && at + (guint64) n > f->request->max_bytes)
        return ing_error_new (ING_ERROR_HASH, f->request->uri, f->request->max_bytes, at + (guint64) n,
                              "the body is longer than was promised");
      if (!ing_part_write (f->part, span, buffer, (gsize) n, &wanted, &error)
          || !write_checkpoint (f, FALSE, &error))
        return error;
      *stop = FALSE;
      note_moved (f);
      gint64 now = g_get_monotonic_time ();
      if (now - window_us < ing_fetch_patience.slow_s * G_USEC_PER_SEC)
        continue;
      if (at - window_at < ing_fetch_patience.slow_bytes)
        {
          f->request->notice (_("The server sends almost nothing; connecting again"), f->request->data);
          return ing_error_new (ING_ERROR_NETWORK, NULL, 0, 0, "%" G_GUINT64_FORMAT " bytes in %u s",
                                at - window_at, ing_fetch_patience.slow_s);
        }
      window_us = now;
      window_at = at;
    }
}

static gboolean
is_passing (const GError *error)
{
  return !g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED)
         && (error->domain != ING_ERROR || error->code == ING_ERROR_NETWORK);
}

/* The body has ended before the span: fine without a length, a break with one. */
static gboolean
handle_early_end (Fetch *f, IngPartSpan *span, const IngHttpReply *reply)
{
  if (reply->status == 200 && reply->length == ING_HTTP_UNKNOWN)
    {
      ing_part_end_here (f->part, span);
      return TRUE;
    }
  return try_again (f, ing_error_new (ING_ERROR_NETWORK, NULL, 0, 0, "the body ended early"), 0);
}

static char *
get_validator (Fetch *f)
{
  char *etag = ing_part_dup_etag (f->part);
  return etag != NULL ? etag : ing_part_dup_last_modified (f->part);
}

/* One request for what is left of @span; FALSE when the thread is to end. */
static gboolean
ask_once (Fetch *f, IngHttp *http, IngPartSpan *span, guint8 *buffer, void (*on_parallel) (Fetch *, gpointer),
          gpointer data)
{
  GError *error = NULL;
  gboolean stop = FALSE;
  g_autofree char *validator = get_validator (f);
  guint64 at = ing_part_span_get_at (f->part, span);
  IngHttpRequest request = {
    .uri = f->request->uri,
    /* From the first on: the answer says how large the file is, and whether ranges work. */
    .ranged = TRUE,
    .start = at,
    .end = ing_part_ask (f->part, span, f->one_go ? ING_PART_UNKNOWN : ing_fetch_patience.piece_bytes),
    .if_range = validator,
    .token = f->token,
  };
  g_autoptr (IngHttpReply) reply = ing_http_send (http, &request, f->cancellable, &error);
  if (reply == NULL)
    {
      if (is_passing (error))
        return try_again (f, error, 0);
      fail_round (f, error);
      return FALSE;
    }
  switch (judge (f, span, reply))
    {
    case NEXT_AGAIN:
      return TRUE;
    case NEXT_END:
      return FALSE;
    case NEXT_USE:
      break;
    }
  if (on_parallel != NULL && f->parallel)
    on_parallel (f, data);
  error = read_body (f, span, reply, buffer, &stop);
  if (error != NULL && !stop && is_passing (error))
    return try_again (f, error, 0);
  if (error != NULL)
    {
      fail_round (f, error);
      return FALSE;
    }
  if (ing_part_span_get_at (f->part, span) < MIN (ing_part_span_get_end (f->part, span),
                                                  reply->status == 206 ? reply->end : ING_HTTP_UNKNOWN))
    return handle_early_end (f, span, reply);
  return TRUE;
}

static void
run_connection (Fetch *f, IngHttp *http, void (*on_parallel) (Fetch *, gpointer), gpointer data)
{
  g_autofree guint8 *buffer = g_malloc (READ_BYTES);
  IngPartSpan *span;
  gboolean go_on = TRUE;
  g_mutex_lock (&f->lock);
  f->n_active++;
  g_mutex_unlock (&f->lock);
  while (go_on && !g_cancellable_is_cancelled (f->cancellable)
         && (span = ing_part_take (f->part, f->parallel ? ing_fetch_patience.min_split : 0)) != NULL)
    {
      while (go_on && ing_part_span_get_at (f->part, span) < ing_part_span_get_end (f->part, span))
        {
          if (g_cancellable_is_cancelled (f->cancellable))
            break;
          go_on = ask_once (f, http, span, buffer, on_parallel, data);
        }
      ing_part_give (f->part, span);
    }
  if (go_on) /* nothing left to take; one that left or failed has been counted */
    leave_to_others (f);
}

static gpointer
connection_thread (gpointer data)
{
  Fetch *f = data;
  g_autoptr (IngHttp) http = ing_http_new (f->request->proxy);
  run_connection (f, http, NULL, NULL);
  return NULL;
}

static void
start_others (Fetch *f, gpointer data)
{
  GPtrArray *threads = data;
  for (guint i = threads->len + 1; i < f->request->n_connections; i++)
    g_ptr_array_add (threads, g_thread_new ("download", connection_thread, f));
}

/* ------------------------------------------------------------------ rounds */

static void
forward_cancel (GCancellable *from, GCancellable *to)
{
  g_cancellable_cancel (to);
}

/* Spans until there is none. TRUE: complete, or to be restarted. */
static gboolean
run_round (Fetch *f, GCancellable *cancellable, GError **error)
{
  g_autoptr (GPtrArray) threads = g_ptr_array_new ();
  g_autoptr (IngHttp) http = ing_http_new (f->request->proxy);
  f->cancellable = g_cancellable_new ();
  f->n_active = 0;
  gulong id = cancellable != NULL
                  ? g_cancellable_connect (cancellable, G_CALLBACK (forward_cancel), f->cancellable, NULL)
                  : 0;
  run_connection (f, http, start_others, threads);
  for (guint i = 0; i < threads->len; i++)
    g_thread_join (g_ptr_array_index (threads, i));
  g_cancellable_disconnect (cancellable, id);
  g_clear_object (&f->cancellable);
  /* What came is kept, whatever ended the round. */
  g_autoptr (GError) local = NULL;
  if (!f->restart && !write_checkpoint (f, TRUE, &local) && f->error == NULL)
    f->error = g_steal_pointer (&local);
  g_autoptr (GError) first = g_steal_pointer (&f->error);
  if (g_cancellable_set_error_if_cancelled (cancellable, error))
    return FALSE;
  if (first == NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&first));
  return FALSE;
}

static gboolean
start_over (Fetch *f, GError **error)
{
  f->restart = f->parallel = FALSE;
  return ing_part_reset (f->part, error) && write_checkpoint (f, TRUE, error);
}

static GError *
wrong_hash (Fetch *f, const char *found)
{
  return ing_error_new (ING_ERROR_HASH, f->request->uri, 0, 0, "SHA-256 is %s, promised was %s", found,
                        f->request->sha256);
}

static gboolean
is_worthless (const GError *error)
{
  return g_error_matches (error, ING_ERROR, ING_ERROR_HASH) || g_error_matches (error, ING_ERROR, ING_ERROR_NOT_A_MODEL);
}

/* One time through: fetch, hash. *@again: start over. */
static gboolean
fetch_and_hash (Fetch *f, guint *n_restarts, gboolean *again, char **sha256, GArray **blocks,
                GCancellable *cancellable, GError **error)
{
  *again = FALSE;
  /* A span that a connection gave back while the last one ended is left for the next round. */
  while (!f->restart && !ing_part_is_complete (f->part))
    if (!run_round (f, cancellable, error))
      return FALSE;
  if (!f->restart && ing_part_is_complete (f->part))
    {
      if (f->request->gguf && ing_part_get_size (f->part) < strlen (MAGIC))
        {
          g_propagate_error (error, ing_error_new (ING_ERROR_NOT_A_MODEL, f->request->uri, 0, 0, "the file is empty"));
          return FALSE;
        }
      f->request->notice (_("Checking"), f->request->data);
      g_autoptr (GArray) sums = NULL;
      g_autofree char *found = ing_part_wait_hash (f->part, &sums, cancellable, error);
      f->request->notice (NULL, f->request->data);
      if (found == NULL)
        return FALSE;
      if (f->request->sha256 == NULL || strcmp (found, f->request->sha256) == 0)
        {
          *sha256 = g_steal_pointer (&found);
          *blocks = g_steal_pointer (&sums);
          return TRUE;
        }
      if (!f->resumed)
        {
          g_propagate_error (error, wrong_hash (f, found));
          return FALSE;
        }
      /* It came in pieces: one of them may be to blame. Once more, in one go. */
      f->resumed = FALSE;
      f->no_ranges = TRUE;
      f->request->notice (_("What came is damaged; starting over"), f->request->data);
    }
  *again = TRUE;
  if (++*n_restarts > MAX_RESTARTS)
    {
      g_propagate_error (error, ing_error_new (ING_ERROR_NETWORK, NULL, 0, 0, "the file keeps changing on the server"));
      return FALSE;
    }
  return start_over (f, error);
}

gboolean
ing_fetch_run (const IngFetchRequest *request, IngPart *part, char **sha256, GArray **blocks, GCancellable *cancellable,
               GError **error)
{
  Fetch f = { .request = request, .part = part };
  guint n_restarts = 0;
  gboolean again = TRUE, ok = TRUE;
  g_autoptr (GError) local = NULL;
  g_mutex_init (&f.lock);
  g_mutex_init (&f.checkpoint_lock);
  f.most_done = ing_part_get_done (part);
  f.resumed = f.most_done > 0 || request->n_connections > 1;
  f.checkpoint_us = g_get_monotonic_time ();
  f.checkpoint_done = f.most_done;
  request->progress (f.most_done, ing_part_get_size (part), request->data);
  while (ok && again)
    ok = fetch_and_hash (&f, &n_restarts, &again, sha256, blocks, cancellable, &local);
  if (is_worthless (local))
    start_over (&f, NULL);
  if (local != NULL)
    g_propagate_error (error, g_steal_pointer (&local));
  ing_token_free (f.token);
  g_mutex_clear (&f.lock);
  g_mutex_clear (&f.checkpoint_lock);
  return ok;
}
