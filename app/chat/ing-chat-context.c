/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-chat-context.h"

#include "ing-conversation-table.h"
#include "ing-message-table.h"

G_DEFINE_FINAL_TYPE (IngChatContext, ing_chat_context, G_TYPE_OBJECT)

static guint signal_problem;

static void
ing_chat_context_finalize (GObject *object)
{
  IngChatContext *self = ING_CHAT_CONTEXT (object);
  g_clear_object (&self->database);
  g_clear_object (&self->generation);
  g_clear_error (&self->problem);
  g_free (self->system_prompt);
  G_OBJECT_CLASS (ing_chat_context_parent_class)->finalize (object);
}

static void
ing_chat_context_class_init (IngChatContextClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = ing_chat_context_finalize;
  signal_problem = g_signal_new ("problem", G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST, 0, NULL,
                                 NULL, NULL, G_TYPE_NONE, 1, G_TYPE_ERROR);
}

static void
ing_chat_context_init (IngChatContext *self)
{
  self->system_prompt = g_strdup ("");
}

IngChatContext *
ing_chat_context_new (IngDatabase *database, IngGenerationService *generation)
{
  IngChatContext *self = g_object_new (ING_TYPE_CHAT_CONTEXT, NULL);
  self->database = g_object_ref (database);
  self->generation = g_object_ref (generation);
  return self;
}

gint64
ing_chat_context_next_time (IngChatContext *self)
{
  self->last_updated_us = MAX (g_get_real_time (), self->last_updated_us + 1);
  return self->last_updated_us;
}

/* ------------------------------------------------------------------ saving */

static void
saved_message_clear (gpointer data)
{
  ing_message_row_free (((IngSavedMessage *) data)->row);
}

IngSave *
ing_save_new (void)
{
  IngSave *save = g_new0 (IngSave, 1);
  save->messages = g_array_new (FALSE, FALSE, sizeof (IngSavedMessage));
  g_array_set_clear_func (save->messages, saved_message_clear);
  return save;
}

void
ing_save_add (IngSave *save, IngMessageRow *row, guint first_part, gboolean index)
{
  IngSavedMessage message = { row, first_part, index };
  g_array_append_val (save->messages, message);
}

gboolean
ing_save_is_empty (IngSave *save)
{
  return save->conversation == NULL && save->messages->len == 0;
}

void
ing_save_free (IngSave *save)
{
  ing_conversation_row_free (save->conversation);
  g_array_unref (save->messages);
  g_free (save);
}

static gboolean
write_all (IngDatabase *db, const IngSave *save, GError **error)
{
  if (save->conversation != NULL && !ing_conversation_table_write (db, save->conversation, error))
    return FALSE;
  for (guint i = 0; i < save->messages->len; i++)
    {
      const IngSavedMessage *m = &g_array_index (save->messages, IngSavedMessage, i);
      if (!ing_message_table_write (db, m->row, m->first_part, error)
          || (m->index && !ing_message_table_index (db, m->row->id, error)))
        return FALSE;
    }
  return TRUE;
}

static gpointer
save_func (IngDatabase *db, gpointer data, GError **error)
{
  if (!ing_database_begin (db, error))
    return NULL;
  return ing_database_end (db, write_all (db, data, error), error) ? db : NULL;
}

static void
on_saved (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  IngChatContext *self = g_task_get_source_object (task);
  GError *error = NULL;
  ing_database_run_finish (ING_DATABASE (source), result, &error);
  self->n_saving--;
  if (error != NULL || self->problem != NULL)
    {
      g_clear_error (&self->problem);
      self->problem = error != NULL ? g_error_copy (error) : NULL;
      g_signal_emit (self, signal_problem, 0, error);
    }
  if (error != NULL)
    g_task_return_error (task, error);
  else
    g_task_return_boolean (task, TRUE);
}

void
ing_chat_context_save_async (IngChatContext *self, IngSave *save, GAsyncReadyCallback callback,
                             gpointer user_data)
{
  GTask *task = g_task_new (self, NULL, callback, user_data);
  g_task_set_source_tag (task, ing_chat_context_save_async);
  self->n_saving++;
  ing_database_run_async (self->database, save_func, save, (GDestroyNotify) ing_save_free, NULL,
                          NULL, on_saved, task);
}

gboolean
ing_chat_context_save_finish (IngChatContext *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}
