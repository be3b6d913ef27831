/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-conversation-list.h"

#include <glib/gi18n-lib.h>

#include "ing-conversation-list-private.h"
#include "ing-conversation-private.h"
#include "ing-conversation-table.h"
#include "ing-message-table.h"
#include "ing-search-table.h"

#define MAX_HITS 200

struct _IngConversationList
{
  GObject parent_instance;
  IngChatContext *context;
  GPtrArray *items;   /* of IngConversation, the one touched last first */
  GHashTable *by_id;  /* id → IngConversation, not owned: all in items, and fresh */
  IngConversation *fresh; /* begun, not listed; NULL = none */
  GPtrArray *deleted; /* of IngConversation, the oldest first */
  guint purge_id;
};

static guint signal_erased;

static GType
get_item_type (GListModel *model)
{
  return ING_TYPE_CONVERSATION;
}

static guint
get_n_items (GListModel *model)
{
  return ING_CONVERSATION_LIST (model)->items->len;
}

static gpointer
get_item (GListModel *model, guint position)
{
  IngConversationList *self = ING_CONVERSATION_LIST (model);
  return position < self->items->len ? g_object_ref (g_ptr_array_index (self->items, position))
                                     : NULL;
}

static void
list_model_init (GListModelInterface *iface)
{
  iface->get_item_type = get_item_type;
  iface->get_n_items = get_n_items;
  iface->get_item = get_item;
}

G_DEFINE_FINAL_TYPE_WITH_CODE (IngConversationList, ing_conversation_list, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (G_TYPE_LIST_MODEL, list_model_init))

static void on_touched (IngConversation *conversation, gpointer data);

static void
ing_conversation_list_dispose (GObject *object)
{
  IngConversationList *self = ING_CONVERSATION_LIST (object);
  g_clear_handle_id (&self->purge_id, g_source_remove);
  for (guint i = 0; i < self->items->len; i++)
    g_signal_handlers_disconnect_by_data (g_ptr_array_index (self->items, i), self);
  if (self->fresh != NULL)
    g_signal_handlers_disconnect_by_data (self->fresh, self);
  g_clear_object (&self->fresh);
  G_OBJECT_CLASS (ing_conversation_list_parent_class)->dispose (object);
}

static void
ing_conversation_list_finalize (GObject *object)
{
  IngConversationList *self = ING_CONVERSATION_LIST (object);
  g_clear_pointer (&self->items, g_ptr_array_unref);
  g_clear_pointer (&self->deleted, g_ptr_array_unref);
  g_clear_pointer (&self->by_id, g_hash_table_unref);
  g_clear_object (&self->context);
  G_OBJECT_CLASS (ing_conversation_list_parent_class)->finalize (object);
}

static void
ing_conversation_list_class_init (IngConversationListClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = ing_conversation_list_dispose;
  G_OBJECT_CLASS (klass)->finalize = ing_conversation_list_finalize;
  signal_erased = g_signal_new ("erased", G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                G_TYPE_NONE, 1, G_TYPE_INT64);
}

static void
ing_conversation_list_init (IngConversationList *self)
{
  self->items = g_ptr_array_new_with_free_func (g_object_unref);
  self->deleted = g_ptr_array_new_with_free_func (g_object_unref);
  self->by_id = g_hash_table_new (g_int64_hash, g_int64_equal);
}

IngConversationList *
ing_conversation_list_new (IngChatContext *context)
{
  IngConversationList *self = g_object_new (ING_TYPE_CONVERSATION_LIST, NULL);
  self->context = g_object_ref (context);
  return self;
}

/* ------------------------------------------------------------------ order */

/* Where one touched at @updated_us belongs. */
static guint
find_place (IngConversationList *self, gint64 updated_us)
{
  guint low = 0, high = self->items->len;
  while (low < high)
    {
      guint middle = (low + high) / 2;
      IngConversation *item = g_ptr_array_index (self->items, middle);
      if (item->updated_us > updated_us)
        low = middle + 1;
      else
        high = middle;
    }
  return low;
}

static void
insert (IngConversationList *self, IngConversation *conversation)
{
  guint place = find_place (self, conversation->updated_us);
  g_ptr_array_insert (self->items, (int) place, g_object_ref (conversation));
  g_list_model_items_changed (G_LIST_MODEL (self), place, 0, 1);
}

static void
on_touched (IngConversation *conversation, gpointer data)
{
  IngConversationList *self = data;
  if (!ing_conversation_is_listed (conversation) || conversation->deleted)
    return;
  if (conversation == self->fresh)
    {
      g_autoptr (IngConversation) listed = g_steal_pointer (&self->fresh);
      insert (self, listed);
      return;
    }
  guint from;
  if (!g_ptr_array_find (self->items, conversation, &from))
    return;
  /* Only the first place can be a later one: times grow. */
  if (from == 0)
    return;
  IngConversation *before = g_ptr_array_index (self->items, from - 1);
  if (before->updated_us >= conversation->updated_us)
    return;
  g_autoptr (IngConversation) held = g_object_ref (conversation);
  g_ptr_array_remove_index (self->items, from);
  g_list_model_items_changed (G_LIST_MODEL (self), from, 1, 0);
  insert (self, held);
}

static void
adopt (IngConversationList *self, IngConversation *conversation)
{
  g_hash_table_insert (self->by_id, &conversation->id, conversation);
  g_signal_connect (conversation, "touched", G_CALLBACK (on_touched), self);
}

static void
forget (IngConversationList *self, IngConversation *conversation)
{
  g_hash_table_remove (self->by_id, &conversation->id);
  g_signal_handlers_disconnect_by_data (conversation, self);
}

/* ------------------------------------------------------------------ filling */

IngConversationListData *
ing_conversation_list_read (IngDatabase *database, GError **error)
{
  GPtrArray *rows = ing_conversation_table_read_all (database, error);
  if (rows == NULL)
    return NULL;
  IngConversationListData *data = g_new0 (IngConversationListData, 1);
  data->rows = rows;
  data->last_conversation_id = ing_conversation_table_get_last_id (database);
  data->last_message_id = ing_message_table_get_last_id (database);
  return data;
}

void
ing_conversation_list_data_free (IngConversationListData *data)
{
  g_ptr_array_unref (data->rows);
  g_free (data);
}

static int
compare_updated (gconstpointer a, gconstpointer b)
{
  const IngConversation *x = *(IngConversation *const *) a, *y = *(IngConversation *const *) b;
  if (x->updated_us != y->updated_us)
    return x->updated_us > y->updated_us ? -1 : 1;
  return x->id > y->id ? -1 : x->id < y->id;
}

void
ing_conversation_list_fill (IngConversationList *self, const IngConversationListData *data)
{
  guint n_old = self->items->len;
  for (guint i = 0; i < n_old; i++)
    {
      ing_conversation_stop (g_ptr_array_index (self->items, i));
      forget (self, g_ptr_array_index (self->items, i));
    }
  if (self->fresh != NULL)
    forget (self, self->fresh);
  g_clear_object (&self->fresh);
  g_ptr_array_set_size (self->items, 0);
  g_ptr_array_set_size (self->deleted, 0);

  IngChatContext *context = self->context;
  context->last_conversation_id = data->last_conversation_id;
  context->last_message_id = data->last_message_id;
  for (guint i = 0; i < data->rows->len; i++)
    {
      const IngConversationRow *row = g_ptr_array_index (data->rows, i);
      g_autoptr (IngConversation) c = ing_conversation_new_from_row (context, row);
      context->last_updated_us = MAX (context->last_updated_us, row->updated_us);
      if (ing_conversation_is_listed (c))
        {
          adopt (self, c);
          g_ptr_array_add (self->items, g_steal_pointer (&c));
        }
      else if (self->fresh == NULL || self->fresh->id < c->id)
        {
          c->loaded = TRUE; /* it has no messages */
          if (self->fresh != NULL)
            forget (self, self->fresh);
          adopt (self, c);
          g_set_object (&self->fresh, c);
        }
    }
  g_ptr_array_sort (self->items, compare_updated);
  g_list_model_items_changed (G_LIST_MODEL (self), 0, n_old, self->items->len);
}

void
ing_conversation_list_reserve (IngConversationList *self, guint n_conversations, guint n_messages, gint64 *conversation_id,
                               gint64 *message_id)
{
  *conversation_id = self->context->last_conversation_id;
  *message_id = self->context->last_message_id;
  self->context->last_conversation_id += n_conversations;
  self->context->last_message_id += n_messages;
}

void
ing_conversation_list_add_rows (IngConversationList *self, GPtrArray *rows)
{
  guint n_old = self->items->len;
  for (guint i = 0; i < rows->len; i++)
    {
      const IngConversationRow *row = g_ptr_array_index (rows, i);
      IngConversation *c = ing_conversation_new_from_row (self->context, row);
      self->context->last_updated_us = MAX (self->context->last_updated_us, row->updated_us);
      adopt (self, c);
      g_ptr_array_add (self->items, c);
    }
  if (rows->len == 0)
    return;
  g_ptr_array_sort (self->items, compare_updated);
  g_list_model_items_changed (G_LIST_MODEL (self), 0, n_old, self->items->len);
}

gboolean
ing_conversation_list_flush (IngConversationList *self)
{
  gboolean clean = TRUE;
  for (guint i = 0; i <= self->items->len; i++)
    {
      IngConversation *c
          = i < self->items->len ? g_ptr_array_index (self->items, i) : self->fresh;
      if (c == NULL)
        continue;
      if (c->save_id != 0)
        ing_conversation_save_soon (c, 0);
      clean = clean && !c->saving;
    }
  return clean && self->context->n_saving == 0;
}

/* ------------------------------------------------------------------ one by one */

IngConversation *
ing_conversation_list_create (IngConversationList *self)
{
  if (self->fresh == NULL)
    {
      self->fresh
          = ing_conversation_new (self->context, ++self->context->last_conversation_id);
      adopt (self, self->fresh);
    }
  return g_object_ref (self->fresh);
}

IngConversation *
ing_conversation_list_create_other (IngConversationList *self)
{
  IngConversation *conversation
      = ing_conversation_new (self->context, ++self->context->last_conversation_id);
  adopt (self, conversation);
  insert (self, conversation);
  return conversation;
}

IngConversation *
ing_conversation_list_lookup (IngConversationList *self, gint64 id)
{
  return g_hash_table_lookup (self->by_id, &id);
}

typedef struct
{
  gint64 id, time_us;
} Mark;

static gpointer
mark_func (IngDatabase *db, gpointer data, GError **error)
{
  const Mark *mark = data;
  return ing_conversation_table_mark_deleted (db, mark->id, mark->time_us, error) ? db : NULL;
}

static gpointer
erase_func (IngDatabase *db, gpointer data, GError **error)
{
  const Mark *mark = data;
  if (!ing_database_begin (db, error))
    return NULL;
  gboolean ok
      = ing_database_end (db, ing_conversation_table_erase (db, mark->id, error), error);
  /* Out of the write-ahead log too. */
  if (ok)
    sqlite3_wal_checkpoint_v2 (ing_database_get_handle (db), NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL,
                               NULL);
  return ok ? db : NULL;
}

/* Failures need no word: what stays marked is erased at the next start. */
static void
run_mark (IngConversationList *self, IngDatabaseFunc func, gint64 id, gint64 time_us)
{
  Mark mark = { id, time_us };
  ing_database_run_async (self->context->database, func, g_memdup2 (&mark, sizeof mark), g_free,
                          NULL, NULL, NULL, NULL);
}

static void
erase (IngConversationList *self, gint64 id)
{
  run_mark (self, erase_func, id, 0);
  g_signal_emit (self, signal_erased, 0, id);
}

static gboolean
on_purge (gpointer data)
{
  IngConversationList *self = data;
  self->purge_id = 0;
  for (guint i = 0; i < self->deleted->len; i++)
    erase (self, ((IngConversation *) g_ptr_array_index (self->deleted, i))->id);
  g_ptr_array_set_size (self->deleted, 0);
  return G_SOURCE_REMOVE;
}

void
ing_conversation_list_delete (IngConversationList *self, IngConversation *conversation)
{
  g_autoptr (IngConversation) held = g_object_ref (conversation);
  guint place;
  ing_conversation_stop (held);
  if (held == self->fresh)
    {
      ing_conversation_set_deleted (held, TRUE);
      forget (self, held);
      g_clear_object (&self->fresh);
      erase (self, held->id);
      return;
    }
  if (!g_ptr_array_find (self->items, held, &place))
    return;
  ing_conversation_set_deleted (held, TRUE);
  forget (self, held);
  g_ptr_array_remove_index (self->items, place);
  g_list_model_items_changed (G_LIST_MODEL (self), place, 1, 0);
  g_ptr_array_add (self->deleted, g_object_ref (held));
  run_mark (self, mark_func, held->id, g_get_real_time ());
  g_clear_handle_id (&self->purge_id, g_source_remove);
  self->purge_id = g_timeout_add_seconds (ING_UNDO_SECONDS, on_purge, self);
}

gboolean
ing_conversation_list_undo_delete (IngConversationList *self, IngConversation *conversation)
{
  if (conversation == NULL && self->deleted->len > 0)
    conversation = g_ptr_array_index (self->deleted, self->deleted->len - 1);
  guint place;
  if (conversation == NULL || !g_ptr_array_find (self->deleted, conversation, &place))
    return FALSE;
  g_autoptr (IngConversation) held = g_object_ref (conversation);
  g_ptr_array_remove_index (self->deleted, place);
  run_mark (self, mark_func, held->id, 0);
  ing_conversation_set_deleted (held, FALSE);
  adopt (self, held);
  insert (self, held);
  return TRUE;
}

/* ------------------------------------------------------------------ days */

IngConversationGroup
ing_conversation_list_get_group (IngConversation *conversation, gint64 now_us)
{
  if (now_us == 0)
    now_us = g_get_real_time ();
  g_autoptr (GDateTime) now = g_date_time_new_from_unix_local (now_us / G_USEC_PER_SEC);
  g_autoptr (GDateTime) midnight
      = now != NULL ? g_date_time_new_local (g_date_time_get_year (now), g_date_time_get_month (now),
                                             g_date_time_get_day_of_month (now), 0, 0, 0)
                    : NULL;
  if (midnight == NULL)
    return ING_GROUP_OLDER;
  /* By calendar, since a day may have 23 or 25 hours. */
  static const int days[] = { 0, -1, -7, -30 };
  for (guint i = 0; i < G_N_ELEMENTS (days); i++)
    {
      g_autoptr (GDateTime) start = g_date_time_add_days (midnight, days[i]);
      if (conversation->updated_us / G_USEC_PER_SEC >= g_date_time_to_unix (start))
        return (IngConversationGroup) i;
    }
  return ING_GROUP_OLDER;
}

const char *
ing_conversation_group_get_name (IngConversationGroup group)
{
  switch (group)
    {
    case ING_GROUP_TODAY:
      return _ ("Today");
    case ING_GROUP_YESTERDAY:
      return _ ("Yesterday");
    case ING_GROUP_THIS_WEEK:
      return _ ("Last 7 days");
    case ING_GROUP_THIS_MONTH:
      return _ ("Last 30 days");
    case ING_GROUP_OLDER:
    default:
      return _ ("Older");
    }
}

/* ------------------------------------------------------------------ search */

struct _IngSearchHit
{
  GObject parent_instance;
  IngConversation *conversation;
  gint64 message_id;
  char *snippet;
  guint match_start, match_end;
};

G_DEFINE_FINAL_TYPE (IngSearchHit, ing_search_hit, G_TYPE_OBJECT)

static void
ing_search_hit_finalize (GObject *object)
{
  IngSearchHit *self = ING_SEARCH_HIT (object);
  g_clear_object (&self->conversation);
  g_free (self->snippet);
  G_OBJECT_CLASS (ing_search_hit_parent_class)->finalize (object);
}

static void
ing_search_hit_class_init (IngSearchHitClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = ing_search_hit_finalize;
}

static void
ing_search_hit_init (IngSearchHit *self)
{
}

IngConversation *
ing_search_hit_get_conversation (IngSearchHit *self)
{
  return self->conversation;
}

gint64
ing_search_hit_get_message_id (IngSearchHit *self)
{
  return self->message_id;
}

const char *
ing_search_hit_get_snippet (IngSearchHit *self, guint *match_start, guint *match_end)
{
  if (match_start != NULL)
    *match_start = self->match_start;
  if (match_end != NULL)
    *match_end = self->match_end;
  return self->snippet;
}

static gpointer
search_func (IngDatabase *db, gpointer data, GError **error)
{
  return ing_search_table_find (db, data, MAX_HITS, error);
}

static void
on_searched (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  IngConversationList *self = g_task_get_source_object (task);
  GError *error = NULL;
  g_autoptr (GPtrArray) rows = ing_database_run_finish (ING_DATABASE (source), result, &error);
  if (rows == NULL)
    {
      g_task_return_error (task, error);
      return;
    }
  GListStore *hits = g_list_store_new (ING_TYPE_SEARCH_HIT);
  for (guint i = 0; i < rows->len; i++)
    {
      IngSearchRow *row = g_ptr_array_index (rows, i);
      IngConversation *c = ing_conversation_list_lookup (self, row->conversation_id);
      if (c == NULL)
        continue; /* deleted meanwhile */
      g_autoptr (IngSearchHit) hit = g_object_new (ING_TYPE_SEARCH_HIT, NULL);
      hit->conversation = g_object_ref (c);
      hit->message_id = row->message_id;
      hit->snippet = g_steal_pointer (&row->snippet);
      hit->match_start = row->match_start;
      hit->match_end = row->match_end;
      g_list_store_append (hits, hit);
    }
  g_task_return_pointer (task, hits, g_object_unref);
}

void
ing_conversation_list_search_async (IngConversationList *self, const char *query,
                                    GCancellable *cancellable, GAsyncReadyCallback callback,
                                    gpointer user_data)
{
  GTask *task = g_task_new (self, cancellable, callback, user_data);
  g_task_set_source_tag (task, ing_conversation_list_search_async);
  ing_database_run_async (self->context->database, search_func, g_utf8_make_valid (query, -1),
                          g_free, (GDestroyNotify) g_ptr_array_unref, cancellable, on_searched,
                          task);
}

GListModel *
ing_conversation_list_search_finish (IngConversationList *self, GAsyncResult *result,
                                     GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}
