/* SPDX-License-Identifier: Apache-2.0 */
/* Both databases number their rows from 1, so a number says nothing about identity: a conversation
 * is known by the microsecond it began, a message by that, its role and its text. */
#include "ing-bring-merge.h"

#include <string.h>

#include "ing-conversation-table.h"
#include "ing-message-table.h"

typedef struct
{
  IngConversationRow *row;
  GPtrArray *messages; /* of IngMessageRow */
  gint64 id;           /* to read */
} Whole;

static gpointer
read_rows_func (IngDatabase *db, gpointer data, GError **error)
{
  return ing_conversation_table_read_all (db, error);
}

static gpointer
read_messages_func (IngDatabase *db, gpointer data, GError **error)
{
  return ing_message_table_read (db, *(const gint64 *) data, error);
}

static gpointer
write_func (IngDatabase *db, gpointer data, GError **error)
{
  const Whole *whole = data;
  if (!ing_database_begin (db, error))
    return NULL;
  gboolean ok = ing_conversation_table_write (db, whole->row, error);
  for (guint i = 0; ok && i < whole->messages->len; i++)
    {
      const IngMessageRow *message = g_ptr_array_index (whole->messages, i);
      ok = ing_message_table_write (db, message, 0, error)
           && ing_message_table_index (db, message->id, error);
    }
  return ing_database_end (db, ok, error) ? db : NULL;
}

static gpointer
count_func (IngDatabase *db, gpointer data, GError **error)
{
  guint *counts = data;
  counts[0] = (guint) ing_database_get_number (db, "SELECT count(*) FROM conversations", 0);
  counts[1] = (guint) ing_database_get_number (db, "SELECT count(*) FROM messages", 0);
  return db;
}

gboolean
ing_merge_count (IngDatabase *from, guint *n_conversations, guint *n_messages, GError **error)
{
  guint counts[2] = { 0 };
  gboolean ok = ing_database_run_sync (from, count_func, counts, error) != NULL;
  *n_conversations = counts[0];
  *n_messages = counts[1];
  return ok;
}

/* ------------------------------------------------------------------ the same? */

static gboolean
is_same_message (const IngMessageRow *a, const IngMessageRow *b)
{
  if (a->created_us != b->created_us || a->role != b->role || a->parts->len != b->parts->len)
    return FALSE;
  for (guint i = 0; i < a->parts->len; i++)
    {
      const IngPartRow *x = g_ptr_array_index (a->parts, i), *y = g_ptr_array_index (b->parts, i);
      if (x->kind != y->kind || strcmp (x->text, y->text) != 0)
        return FALSE;
    }
  return TRUE;
}

/* Every message of @theirs is in @ours. */
static gboolean
holds_all (GPtrArray *ours, GPtrArray *theirs)
{
  for (guint i = 0; i < theirs->len; i++)
    {
      gboolean found = FALSE;
      for (guint j = 0; j < ours->len && !found; j++)
        found = is_same_message (g_ptr_array_index (ours, (i + j) % ours->len),
                                 g_ptr_array_index (theirs, i));
      if (!found)
        return FALSE;
    }
  return TRUE;
}

/* What was being typed there is here: as it was, or sent meanwhile. */
static gboolean
holds_draft (const IngConversationRow *ours, GPtrArray *messages, const char *draft)
{
  if (*draft == '\0' || strcmp (ours->draft, draft) == 0)
    return TRUE;
  for (guint i = 0; i < messages->len; i++)
    {
      const IngMessageRow *message = messages->pdata[i];
      for (guint j = 0; message->role == ING_ROLE_USER && j < message->parts->len; j++)
        if (strcmp (((const IngPartRow *) message->parts->pdata[j])->text, draft) == 0)
          return TRUE;
    }
  return FALSE;
}

/* Its number here; 0 = it is not here, -1 = error */
static gint64
find_known (IngMerge *merge, GPtrArray *here, const Whole *whole, GError **error)
{
  for (guint i = 0; i < here->len; i++)
    {
      const IngConversationRow *row = g_ptr_array_index (here, i);
      if (row->created_us != whole->row->created_us)
        continue;
      gint64 id = row->id;
      g_autoptr (GPtrArray) messages
          = ing_database_run_sync (merge->to, read_messages_func, &id, error);
      if (messages == NULL)
        return -1;
      if (holds_all (messages, whole->messages) && holds_draft (row, messages, whole->row->draft))
        return id;
    }
  return 0;
}

/* ------------------------------------------------------------------ our numbers */

static char *
move_path (const IngMerge *merge, char *path)
{
  g_autofree char *own = path;
  g_autofree char *base = own != NULL ? g_path_get_basename (own) : NULL;
  if (base == NULL || !g_str_has_suffix (base, ".gguf"))
    return g_steal_pointer (&own);
  /* Where the other sees its models is not where this one sees them, so the name alone is looked
   * for. */
  g_autofree char *there = g_build_filename (merge->from_models, base, NULL);
  return g_file_test (there, G_FILE_TEST_IS_REGULAR)
             ? g_build_filename (merge->to_models, base, NULL)
             : g_steal_pointer (&own);
}

static gint64
look_up (GHashTable *ids, gint64 id)
{
  const gint64 *found = g_hash_table_lookup (ids, &id);
  return found != NULL ? *found : 0;
}

/* A stranger's numbers may say anything: a parent must come before its child, a choice must be a
 * message of this one. */
static void
give_numbers (IngMerge *merge, Whole *whole)
{
  g_autoptr (GHashTable) ids = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, g_free);
  gint64 now = g_get_real_time ();
  whole->row->id = ++merge->conversation_id;
  whole->row->created_us = CLAMP (whole->row->created_us, 0, now);
  whole->row->updated_us = CLAMP (whole->row->updated_us, 0, now);
  whole->row->model_path = move_path (merge, whole->row->model_path);
  for (guint i = 0; i < whole->messages->len; i++)
    {
      IngMessageRow *message = g_ptr_array_index (whole->messages, i);
      gint64 parent = look_up (ids, message->parent_id), theirs = message->id,
             ours = ++merge->message_id;
      g_hash_table_insert (ids, g_memdup2 (&theirs, sizeof theirs), g_memdup2 (&ours, sizeof ours));
      message->id = ours;
      message->parent_id = parent;
      message->conversation_id = whole->row->id;
      message->created_us = CLAMP (message->created_us, 0, now);
      message->model_path = move_path (merge, message->model_path);
      if (message->state == ING_MESSAGE_PENDING || message->state == ING_MESSAGE_STREAMING)
        message->state = ING_MESSAGE_INTERRUPTED;
    }
  for (guint i = 0; i < whole->messages->len; i++)
    {
      IngMessageRow *message = g_ptr_array_index (whole->messages, i);
      message->chosen_child = look_up (ids, message->chosen_child);
    }
  whole->row->chosen_root = look_up (ids, whole->row->chosen_root);
  whole->row->n_messages = whole->messages->len;
}

/* ------------------------------------------------------------------ all */

static void
note_here (IngMerge *merge, gint64 theirs, gint64 ours)
{
  g_hash_table_insert (merge->ids, g_memdup2 (&theirs, sizeof theirs),
                       g_memdup2 (&ours, sizeof ours));
}

static gboolean
bring (IngMerge *merge, GPtrArray *here, Whole *whole, GError **error)
{
  gint64 known = find_known (merge, here, whole, error);
  if (known != 0)
    {
      merge->n_known += known > 0;
      if (known > 0)
        note_here (merge, whole->id, known);
      return known > 0;
    }
  give_numbers (merge, whole);
  if (ing_database_run_sync (merge->to, write_func, whole, error) == NULL)
    return FALSE;
  gint64 ours = whole->row->id;
  g_ptr_array_add (merge->rows,
                   g_steal_pointer (&whole->row)); /* it is here, whatever comparing says of it */
  note_here (merge, whole->id, ours);
  g_autoptr (GPtrArray) again = ing_database_run_sync (merge->to, read_messages_func, &ours, error);
  if (again == NULL)
    return FALSE;
  if (again->len != whole->messages->len || !holds_all (again, whole->messages))
    {
      g_propagate_error (error,
                         ing_error_new (ING_ERROR_HASH, NULL, 0, 0,
                                        "a conversation reads otherwise than it was written"));
      return FALSE;
    }
  return TRUE;
}

gboolean
ing_merge_conversations (IngMerge *merge, GCancellable *cancellable, GError **error)
{
  g_autoptr (GPtrArray) theirs = ing_database_run_sync (merge->from, read_rows_func, NULL, error);
  g_autoptr (GPtrArray) here
      = theirs != NULL ? ing_database_run_sync (merge->to, read_rows_func, NULL, error) : NULL;
  gboolean ok = here != NULL;
  for (guint i = 0; ok && i < theirs->len; i++)
    {
      if (g_cancellable_set_error_if_cancelled (cancellable, error))
        return FALSE;
      /* Taken out of the array, whose place is freed with it. */
      Whole whole = { .row = g_steal_pointer (&g_ptr_array_index (theirs, i)) };
      whole.id = whole.row->id;
      whole.messages = ing_database_run_sync (merge->from, read_messages_func, &whole.id, error);
      /* One that was never written in is not worth a place on the list. */
      ok = whole.messages != NULL
           && (whole.messages->len == 0 || bring (merge, here, &whole, error));
      g_clear_pointer (&whole.row, ing_conversation_row_free);
      g_clear_pointer (&whole.messages, g_ptr_array_unref);
      merge->tell (merge->data, i + 1, theirs->len);
    }
  return ok;
}
