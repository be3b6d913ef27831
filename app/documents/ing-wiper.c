/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-wiper.h"

#include "ing-document-table.h"
#include "ing-log.h"

#define DELAY_S 2
#define PIECE_US (50 * 1000) /* a question in between waits so long at most, and a merge step more */
#define CLOSING_US G_USEC_PER_SEC

struct _IngWiper
{
  IngDatabase *database;
  GCancellable *closing;
  guint timeout_id; /* 0 = not waiting */
  gboolean running, again;
};

typedef struct
{
  gint64 most_us;
  gboolean first, more;
} Piece;

static void run (IngWiper *self, gboolean first, gint64 most_us);

static gpointer
piece_func (IngDatabase *db, gpointer data, GError **error)
{
  Piece *piece = data;
  gint64 until = g_get_monotonic_time () + piece->most_us;
  gboolean more = TRUE;
  for (gboolean first = piece->first; more && g_get_monotonic_time () < until; first = FALSE)
    if (!ing_document_table_compact (db, first, &more, error))
      return NULL;
  return GINT_TO_POINTER (more ? 1 : 2);
}

static void
on_piece (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GError) error = NULL;
  int more = GPOINTER_TO_INT (ing_database_run_finish (ING_DATABASE (source), result, &error));
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return; /* closed: @data may be gone */
  IngWiper *self = data;
  self->running = FALSE;
  if (error != NULL)
    ing_info ("the index of words was not compacted: %s", error->message);
  else if (more == 1)
    run (self, FALSE, PIECE_US);
  else if (self->again)
    ing_wiper_schedule (self);
}

static void
run (IngWiper *self, gboolean first, gint64 most_us)
{
  Piece *piece = g_new0 (Piece, 1);
  *piece = (Piece){ .most_us = most_us, .first = first };
  self->running = TRUE;
  ing_database_run_async (self->database, piece_func, piece, g_free, NULL, self->closing, on_piece, self);
}

static gboolean
on_due (gpointer data)
{
  IngWiper *self = data;
  self->timeout_id = 0;
  self->again = FALSE;
  run (self, TRUE, PIECE_US);
  return G_SOURCE_REMOVE;
}

void
ing_wiper_schedule (IngWiper *self)
{
  self->again = TRUE;
  if (self->timeout_id == 0 && !self->running && !g_cancellable_is_cancelled (self->closing))
    self->timeout_id = g_timeout_add_seconds (DELAY_S, on_due, self);
}

void
ing_wiper_close (IngWiper *self)
{
  if (g_cancellable_is_cancelled (self->closing))
    return;
  gboolean wanted = self->timeout_id != 0 || self->running;
  g_clear_handle_id (&self->timeout_id, g_source_remove);
  g_cancellable_cancel (self->closing);
  if (!wanted)
    return;
  Piece *piece = g_new0 (Piece, 1);
  *piece = (Piece){ .most_us = CLOSING_US, .first = TRUE };
  ing_database_run_async (self->database, piece_func, piece, g_free, NULL, NULL, NULL, NULL);
}

void
ing_wiper_free (IngWiper *self)
{
  g_clear_handle_id (&self->timeout_id, g_source_remove);
  g_cancellable_cancel (self->closing);
  g_object_unref (self->closing);
  g_object_unref (self->database);
  g_free (self);
}

IngWiper *
ing_wiper_new (IngDatabase *database)
{
  IngWiper *self = g_new0 (IngWiper, 1);
  self->database = g_object_ref (database);
  self->closing = g_cancellable_new ();
  return self;
}
