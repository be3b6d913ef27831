/* SPDX-License-Identifier: Apache-2.0 */
/* Asking and answering: a question is committed, then its answer is asked for, then its text comes.
 *
 *   send → both messages dirty, save → on_committed → submit → text … → finished → save, index
 *
 * Invariants:
 *  1. self->answer is set from the operation until the answer ended; self->generation from the commit
 *     on.
 *  2. An answer that is not pending or streaming never changes by itself. */
#include <string.h>

#include "ing-conversation-private.h"
#include "ing-error-private.h"
#include "ing-title.h"

/* ------------------------------------------------------------------ what the engine is asked */

/* A message as one text: documents first, then what was typed. */
static char *
message_text (IngMessage *message)
{
  g_autoptr (GString) out = g_string_new (NULL);
  guint n = ing_message_get_n_parts (message);
  for (guint i = 0; i < n; i++)
    {
      IngPart *part = ing_message_get_part (message, i);
      const char *text = ing_part_get_text (part);
      if (ing_part_get_kind (part) == ING_PART_REASONING || *text == '\0')
        continue; /* models are trained without the reasoning of earlier turns */
      if (out->len > 0)
        g_string_append (out, "\n\n");
      g_string_append (out, text);
    }
  return g_string_free (g_steal_pointer (&out), FALSE);
}

static const char *
role_name (IngRole role)
{
  switch (role)
    {
    case ING_ROLE_ASSISTANT:
      return "assistant";
    case ING_ROLE_SYSTEM:
      return "system";
    case ING_ROLE_TOOL:
      return "tool";
    case ING_ROLE_USER:
    default:
      return "user";
    }
}

/* Add a message, or join it to the last one if that is of the same role: after a failed answer two
 * questions follow each other, which many templates refuse. */
static void
add_turn (JsonArray *messages, const char *role, const char *text)
{
  guint n = json_array_get_length (messages);
  JsonObject *last = n > 0 ? json_array_get_object_element (messages, n - 1) : NULL;
  if (last != NULL && g_strcmp0 (ing_json_get_string (last, "role", ""), role) == 0)
    {
      g_autofree char *joined
          = g_strconcat (ing_json_get_string (last, "content", ""), "\n\n", text, NULL);
      json_object_set_string_member (last, "content", joined);
      return;
    }
  JsonObject *turn = json_object_new ();
  json_object_set_string_member (turn, "role", role);
  json_object_set_string_member (turn, "content", text);
  json_array_add_object_element (messages, turn);
}

JsonObject *
ing_conversation_make_request (IngConversation *self, IngMessage *until, const char *next_question)
{
  g_autoptr (JsonArray) messages = json_array_new ();
  g_autoptr (GString) prompt = g_string_new (NULL);
  /* To be counted, the loaded model's; an answer gets those of the model that makes it, by the service. */
  const char *instructions = *self->system_prompt != '\0' || until != NULL
                                 ? self->system_prompt
                                 : ing_generation_service_get_default_prompt (self->context->generation);
  if (*instructions != '\0' && !self->plain)
    add_turn (messages, "system", instructions);
  guint n = g_list_model_get_n_items (G_LIST_MODEL (self->branch));
  for (guint i = 0; i < n; i++)
    {
      g_autoptr (IngMessage) message = g_list_model_get_item (G_LIST_MODEL (self->branch), i);
      if (message == until)
        break;
      g_autofree char *text = message_text (message);
      g_string_append (prompt, text);
      if (*text != '\0')
        add_turn (messages, role_name (message->role), text);
    }
  if (next_question != NULL && *next_question != '\0')
    {
      add_turn (messages, "user", next_question);
      g_string_append (prompt, next_question);
    }
  JsonObject *request = json_object_new ();
  g_autofree char *key = g_strdup_printf ("conversation-%" G_GINT64_FORMAT, self->id);
  json_object_set_string_member (request, "conversation", key);
  if (self->plain)
    json_object_set_string_member (request, "prompt", prompt->str);
  else
    json_object_set_array_member (request, "messages", g_steal_pointer (&messages));
  return request;
}

/* What an answer that goes on said so far, as the model wrote it. NULL if it said nothing. */
static char *
answer_so_far (IngMessage *answer)
{
  g_autofree char *reasoning = ing_message_dup_reasoning (answer);
  g_autofree char *text = ing_message_dup_text (answer);
  if (reasoning == NULL)
    return *text != '\0' ? g_steal_pointer (&text) : NULL;
  return *text != '\0' ? g_strconcat ("<think>\n", reasoning, "\n</think>\n\n", text, NULL)
                       : g_strconcat ("<think>\n", reasoning, NULL);
}

/* ------------------------------------------------------------------ the answer comes */

void
ing_conversation_set_held (IngConversation *self, gboolean held)
{
  if (self->held == held)
    return;
  self->held = held;
  if (held)
    ing_generation_service_hold (self->context->generation);
  else
    ing_generation_service_let_go (self->context->generation);
}

static void
on_piece (IngPartKind kind, const char *text, gpointer data)
{
  IngConversation *self = data;
  ing_message_set_status (self->answer, kind == ING_PART_REASONING ? ING_STATUS_REASONING
                                                                   : ING_STATUS_WRITING);
  ing_message_append (self->answer, kind, text);
}

static void
on_generation_text (IngGeneration *generation, const char *text, gpointer data)
{
  IngConversation *self = data;
  ing_think_feed (&self->think, text, on_piece, self);
  ing_conversation_save_soon (self, ING_FLUSH_MS);
}

static void
on_generation_changed (IngGeneration *generation, gpointer data)
{
  IngConversation *self = data;
  IngMessage *answer = self->answer;
  /* Unless the person has chosen another meanwhile. */
  if (generation->model_path != NULL && g_strcmp0 (self->model_path, generation->wanted_model) == 0)
    ing_conversation_set_model_path (self, generation->model_path);
  if (generation->status == ING_STATUS_READING || generation->status == ING_STATUS_WRITING)
    ing_message_set_state (answer, ING_MESSAGE_STREAMING);
  /* Reasoning or writing is told by the text itself. */
  if (generation->status != ING_STATUS_WRITING && !generation->finished)
    ing_message_set_status (answer, generation->status);
  ing_message_follow (answer, generation);
}

/* The question that @answer answers. */
static void
title_from_question (IngConversation *self, IngMessage *answer)
{
  if (self->title_source != ING_TITLE_NONE || answer->parent == NULL)
    return;
  IngMessage *first = answer->parent;
  while (first->parent != NULL)
    first = first->parent;
  g_autofree char *text = ing_message_dup_text (first);
  g_autofree char *title = ing_title_from_question (text);
  if (*title != '\0')
    ing_conversation_give_title (self, title, ING_TITLE_AUTOMATIC);
}

static void
end_answer (IngConversation *self, IngMessageState state, IngStopReason reason,
            const GError *error)
{
  g_autoptr (IngMessage) answer = g_object_ref (self->answer);
  ing_conversation_set_held (self, FALSE);
  answer->stop_reason = reason;
  answer->index = TRUE;
  ing_message_set_error (answer, error);
  ing_message_set_status (answer, ING_STATUS_NONE);
  ing_message_set_state (answer, state);
  g_clear_object (&self->generation);
  ing_conversation_set_answer (self, NULL);
  title_from_question (self, answer);
  ing_conversation_touch (self);
  ing_conversation_save_soon (self, 0);
}

static void
on_generation_finished (IngGeneration *generation, gpointer data)
{
  IngConversation *self = data;
  g_signal_handlers_disconnect_by_data (generation, self);
  ing_think_end (&self->think, on_piece, self);
  ing_message_follow (self->answer, generation);
  if (generation->error != NULL)
    end_answer (self, ING_MESSAGE_FAILED, ING_STOP_NONE, generation->error);
  else if (generation->stop_reason == ING_STOP_END)
    end_answer (self, ING_MESSAGE_COMPLETE, ING_STOP_END, NULL);
  else
    end_answer (self, ING_MESSAGE_STOPPED, generation->stop_reason, NULL);
}

/* ------------------------------------------------------------------ asking */

static void
submit (IngConversation *self)
{
  IngMessage *answer = self->answer;
  JsonObject *request = ing_conversation_make_request (self, answer, NULL);
  g_autofree char *so_far = answer_so_far (answer);
  ing_think_init (&self->think, self->plain || so_far != NULL ? ING_THINK_TEXT : ING_THINK_START);
  if (so_far != NULL)
    {
      json_object_set_string_member (request, "continue", so_far);
      guint n = ing_message_get_n_parts (answer);
      if (ing_part_get_kind (ing_message_get_part (answer, n - 1)) == ING_PART_REASONING)
        ing_think_init (&self->think, ING_THINK_REASONING);
    }
  self->generation = ing_generation_new (request);
  self->generation->sampling = self->sampling;
  self->generation->sampling_chosen = self->sampling_chosen;
  self->generation->default_prompt = *self->system_prompt == '\0';
  self->generation->wanted_model = g_strdup (self->model_path);
  g_signal_connect (self->generation, "changed", G_CALLBACK (on_generation_changed), self);
  g_signal_connect (self->generation, "text", G_CALLBACK (on_generation_text), self);
  g_signal_connect (self->generation, "finished", G_CALLBACK (on_generation_finished), self);
  /* The status says why it waits; it is told again when that changes. */
  ing_message_set_status (answer, ING_STATUS_QUEUED);
  ing_generation_service_submit (self->context->generation, self->generation);
  ing_conversation_set_held (self, FALSE);
}

void
ing_conversation_on_committed (IngConversation *self, const GError *error)
{
  IngMessage *answer = self->answer;
  if (error != NULL)
    {
      end_answer (self, ING_MESSAGE_FAILED, ING_STOP_NONE, error);
      return;
    }
  if (!answer->stored)
    return; /* a save from before the question; its own follows */
  IngGenerationService *service = self->context->generation;
  if (self->stop_wanted)
    end_answer (self, ING_MESSAGE_STOPPED, ING_STOP_PERSON, NULL);
  else if (ing_generation_service_get_state (service) >= ING_SERVICE_READY
           && (self->model_path == NULL
               || g_strcmp0 (self->model_path, ing_generation_service_get_model_path (service)) == 0)
           && !ing_generation_service_get_has_template (service) && !self->plain)
    {
      g_autoptr (GError) none = ing_error_new (ING_ERROR_NO_TEMPLATE, NULL, 0, 0,
                                               "the model file has no chat template");
      end_answer (self, ING_MESSAGE_FAILED, ING_STOP_NONE, none);
    }
  else
    submit (self);
}

/* Begin @answer, which is new or goes on. */
static IngMessage *
begin_answer (IngConversation *self, IngMessage *answer)
{
  answer->stop_reason = ING_STOP_NONE;
  answer->stored = FALSE; /* until the save that holds this turn */
  ing_message_set_error (answer, NULL);
  ing_message_set_state (answer, ING_MESSAGE_PENDING);
  ing_message_set_status (answer, ING_STATUS_SAVING);
  self->stop_wanted = FALSE;
  ing_conversation_set_held (self, TRUE);
  if (self->model_path == NULL)
    ing_conversation_set_model_path (self, ing_generation_service_get_model_path (self->context->generation));
  ing_conversation_set_answer (self, answer);
  ing_conversation_update_branch (self);
  ing_conversation_touch (self);
  ing_conversation_save_soon (self, 0);
  return answer;
}

static gboolean
may_ask (IngConversation *self)
{
  return self->loaded && !self->deleted && self->answer == NULL;
}

static IngMessage *
get_last (IngConversation *self)
{
  guint n = g_list_model_get_n_items (G_LIST_MODEL (self->branch));
  if (n == 0)
    return NULL;
  g_autoptr (IngMessage) last = g_list_model_get_item (G_LIST_MODEL (self->branch), n - 1);
  return last; /* the conversation holds it */
}

static void
add_parts (IngMessage *question, GListModel *parts)
{
  guint n = parts != NULL ? g_list_model_get_n_items (parts) : 0;
  for (guint i = 0; i < n; i++)
    {
      g_autoptr (IngPart) part = g_list_model_get_item (parts, i);
      if (ing_part_get_kind (part) != ING_PART_TEXT)
        ing_message_add_part (question, part);
    }
}

static IngMessage *
ask (IngConversation *self, IngMessage *parent, const char *text, GListModel *parts)
{
  IngMessage *question = ing_conversation_add_message (self, parent, ING_ROLE_USER);
  add_parts (question, parts);
  g_autoptr (IngPart) typed = ing_part_new_text (text);
  ing_message_add_part (question, typed);
  question->index = TRUE;
  return begin_answer (self, ing_conversation_add_message (self, question, ING_ROLE_ASSISTANT));
}

IngMessage *
ing_conversation_send (IngConversation *self, const char *text, GListModel *parts)
{
  if (!may_ask (self))
    return NULL;
  return ask (self, get_last (self), text, parts);
}

IngMessage *
ing_conversation_regenerate (IngConversation *self, IngMessage *answer)
{
  if (!may_ask (self) || answer->role != ING_ROLE_ASSISTANT)
    return NULL;
  return begin_answer (self,
                       ing_conversation_add_message (self, answer->parent, ING_ROLE_ASSISTANT));
}

IngMessage *
ing_conversation_edit (IngConversation *self, IngMessage *question, const char *text)
{
  if (!may_ask (self) || question->role != ING_ROLE_USER)
    return NULL;
  return ask (self, question->parent, text, ing_message_list_parts (question));
}

IngMessage *
ing_conversation_continue (IngConversation *self, IngMessage *answer)
{
  if (!may_ask (self) || !ing_message_can_continue (answer) || answer->children->len > 0)
    return NULL;
  ing_conversation_show_message (self, answer->id);
  return begin_answer (self, answer);
}

void
ing_conversation_stop (IngConversation *self)
{
  if (self->generation != NULL)
    ing_generation_service_cancel (self->context->generation, self->generation);
  else if (self->answer != NULL)
    self->stop_wanted = TRUE;
}

/* ------------------------------------------------------------------ counting */

typedef struct
{
  guint64 n_tokens, context;
} Count;

static void
on_counted (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  GError *error = NULL;
  g_autoptr (IngEngineReply) reply = ing_generation_service_request_finish (
      ING_GENERATION_SERVICE (source), result, &error);
  if (reply == NULL)
    {
      g_task_return_error (task, error);
      return;
    }
  Count *count = g_new0 (Count, 1);
  count->n_tokens = (guint64) MAX (0, ing_json_get_int (reply->object, "n_tokens", 0));
  count->context = (guint64) MAX (0, ing_json_get_int (reply->object, "context", 0));
  g_task_return_pointer (task, count, g_free);
}

void
ing_conversation_count_async (IngConversation *self, const char *text, GCancellable *cancellable,
                              GAsyncReadyCallback callback, gpointer user_data)
{
  GTask *task = g_task_new (self, cancellable, callback, user_data);
  JsonObject *request = ing_conversation_make_request (self, NULL, text);
  if (json_object_has_member (request, "prompt"))
    {
      g_autofree char *prompt = g_strdup (ing_json_get_string (request, "prompt", ""));
      json_object_set_string_member (request, "text", prompt);
    }
  ing_generation_service_request_async (self->context->generation, ENG_WIRE_COUNT, request,
                                        cancellable, on_counted, task);
}

gboolean
ing_conversation_count_finish (IngConversation *self, GAsyncResult *result, guint64 *n_tokens,
                               guint64 *context, GError **error)
{
  g_autofree Count *count = g_task_propagate_pointer (G_TASK (result), error);
  if (count == NULL)
    return FALSE;
  *n_tokens = count->n_tokens;
  *context = count->context;
  return TRUE;
}
