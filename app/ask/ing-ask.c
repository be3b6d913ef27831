/* SPDX-License-Identifier: Apache-2.0 */
/* The question's way: conversation → model → send → text → end. */
#include <glib/gi18n-lib.h>
#include <string.h>

#include "ing-ask-private.h"
#include "ing-conversation-list-private.h"
#include "ing-json.h"
#include "ing-workspace-private.h"

#define OPENING_POLL_MS 20

struct _IngAsk
{
  IngWorkspace *workspace;
  const IngAskOptions *options;
  IngAskSink sink;
  gpointer data;
  IngConversation *conversation;
  IngMessage *answer;
  gboolean interrupted, done, line_open;
};

static void
say (IngAsk *ask, const char *format, ...) G_GNUC_PRINTF (2, 3);

static void
say (IngAsk *ask, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *text = g_strdup_vprintf (format, args);
  va_end (args);
  g_autofree char *line = g_strconcat (ask->line_open ? "\n" : "", "inglenook: ", text, "\n", NULL);
  ask->line_open = FALSE;
  ask->sink.err (line, ask->data);
}

static void
finish (IngAsk *ask, int code)
{
  if (ask->done)
    return;
  ask->done = TRUE;
  if (ask->answer != NULL)
    g_signal_handlers_disconnect_by_data (ask->answer, ask);
  if (ask->conversation != NULL)
    g_signal_handlers_disconnect_by_data (ask->conversation, ask);
  ask->sink.done (code, ask->data);
}

static void
fail (IngAsk *ask, const GError *error)
{
  g_autofree char *sentence = ing_error_to_sentence (error);
  say (ask, "%s", sentence);
  finish (ask, ING_ASK_FAILED);
}

/* ------------------------------------------------------------------ the end */

static gboolean
is_kept (IngAsk *ask)
{
  return ing_workspace_get_storage_state (ask->workspace) != ING_STORAGE_MEMORY;
}

static void
print_json (IngAsk *ask)
{
  g_autofree char *text = ing_message_dup_text (ask->answer);
  g_autoptr (JsonObject) o = json_object_new ();
  json_object_set_string_member (o, "answer", text);
  json_object_set_null_member (o, "found"); /* no document was asked */
  json_object_set_array_member (o, "sources", json_array_new ());
  if (is_kept (ask))
    json_object_set_int_member (o, "conversation", ing_conversation_get_id (ask->conversation));
  else
    json_object_set_null_member (o, "conversation");
  g_autofree char *json = ing_json_print_object (o);
  g_autofree char *line = g_strconcat (json, "\n", NULL);
  ask->sink.out (line, ask->data);
}

static void
say_why_stopped (IngAsk *ask)
{
  switch (ing_message_get_stop_reason (ask->answer))
    {
    case ING_STOP_CONTEXT:
      say (ask, "%s", _ ("The context is full; the answer ends here."));
      break;
    case ING_STOP_LENGTH:
      say (ask, "%s", _ ("The answer reached its limit of tokens."));
      break;
    case ING_STOP_PERSON:
      say (ask, "%s", _ ("Stopped."));
      break;
    case ING_STOP_NONE:
    case ING_STOP_END:
    default:
      break;
    }
}

static void
on_busy_changed (IngConversation *conversation, GParamSpec *pspec, gpointer data)
{
  IngAsk *ask = data;
  if (ing_conversation_get_busy (conversation))
    return;
  if (ing_message_get_state (ask->answer) == ING_MESSAGE_FAILED)
    {
      fail (ask, ing_message_get_error (ask->answer));
      return;
    }
  gboolean stopped = ing_message_get_stop_reason (ask->answer) == ING_STOP_PERSON;
  if (!ask->options->json && ask->line_open)
    {
      ask->sink.out ("\n", ask->data);
      ask->line_open = FALSE;
    }
  if (ask->options->json && !stopped)
    print_json (ask);
  say_why_stopped (ask);
  finish (ask, stopped ? ING_ASK_INTERRUPTED : ING_ASK_OK);
}

static void
on_text (IngMessage *message, IngPart *part, const char *text, gpointer data)
{
  IngAsk *ask = data;
  if (ask->options->json || ing_part_get_kind (part) != ING_PART_TEXT)
    return;
  g_autofree char *printable = ing_ask_make_printable (text);
  if (*printable == '\0')
    return;
  ask->line_open = !g_str_has_suffix (printable, "\n");
  ask->sink.out (printable, ask->data);
}

/* ------------------------------------------------------------------ the beginning */

static void
send_question (IngAsk *ask)
{
  if (ask->interrupted)
    {
      finish (ask, ING_ASK_INTERRUPTED);
      return;
    }
  ask->answer = ing_conversation_send (ask->conversation, ask->options->question, NULL);
  if (ask->answer == NULL)
    {
      say (ask, "%s", _ ("That conversation is being answered just now."));
      finish (ask, ING_ASK_FAILED);
      return;
    }
  g_object_ref (ask->answer);
  g_signal_connect (ask->answer, "text-appended", G_CALLBACK (on_text), ask);
  g_signal_connect (ask->conversation, "notify::busy", G_CALLBACK (on_busy_changed), ask);
}

/* The answer fails with the reason if the load does, so that is not looked at here. */
static void
choose_model (IngAsk *ask)
{
  IngGenerationService *service = ing_workspace_get_generation (ask->workspace);
  const char *wanted = ask->options->model;
  if (wanted != NULL)
    {
      if (g_strcmp0 (wanted, ing_generation_service_get_model_path (service)) != 0)
        ing_workspace_load_model (ask->workspace, wanted, FALSE, FALSE);
    }
  else if (ing_generation_service_get_state (service) == ING_SERVICE_NO_MODEL)
    ing_workspace_load_default_model (ask->workspace);
}

static void
on_conversation_loaded (GObject *source, GAsyncResult *result, gpointer user_data)
{
  IngAsk *ask = user_data;
  g_autoptr (GError) error = NULL;
  if (ing_conversation_load_finish (ING_CONVERSATION (source), result, &error))
    send_question (ask);
  else
    fail (ask, error);
}

static gboolean
on_begin (gpointer data)
{
  IngAsk *ask = data;
  IngConversationList *list = ing_workspace_get_conversations (ask->workspace);
  gint64 id = ask->options->conversation;
  if (ing_workspace_get_storage_state (ask->workspace) == ING_STORAGE_OPENING)
    {
      g_timeout_add (OPENING_POLL_MS, on_begin, ask); /* beside a window that just started */
      return G_SOURCE_REMOVE;
    }
  if (ask->options->documents != NULL)
    {
      g_autoptr (GError) error = ing_error_new (ING_ERROR_UNSUPPORTED, "--document", 0, 0, "%s",
                                                _ ("Documents cannot be read yet."));
      fail (ask, error);
      return G_SOURCE_REMOVE;
    }
  if (!is_kept (ask))
    {
      g_autofree char *why
          = ing_error_to_sentence (ing_workspace_get_storage_problem (ask->workspace));
      say (ask, _ ("This conversation is not kept. %s"), why);
    }
  if (id != 0)
    {
      IngConversation *found = ing_conversation_list_lookup (list, id);
      ask->conversation = found != NULL ? g_object_ref (found) : NULL;
    }
  else
    ask->conversation = ing_conversation_list_create_other (list);
  if (ask->conversation == NULL)
    {
      g_autofree char *number = g_strdup_printf ("%" G_GINT64_FORMAT, id);
      say (ask, _ ("There is no conversation %s."), number);
      finish (ask, ING_ASK_FAILED);
      return G_SOURCE_REMOVE;
    }
  choose_model (ask);
  ing_conversation_load_async (ask->conversation, NULL, on_conversation_loaded, ask);
  return G_SOURCE_REMOVE;
}

IngAsk *
ing_ask_start (IngWorkspace *workspace, const IngAskOptions *options, const IngAskSink *sink,
               gpointer data)
{
  IngAsk *ask = g_new0 (IngAsk, 1);
  ask->workspace = workspace;
  ask->options = options;
  ask->sink = *sink;
  ask->data = data;
  g_idle_add (on_begin, ask); /* done never comes from inside */
  return ask;
}

void
ing_ask_interrupt (IngAsk *ask)
{
  ask->interrupted = TRUE;
  if (ask->conversation != NULL)
    ing_conversation_stop (ask->conversation);
}

void
ing_ask_free (IngAsk *ask)
{
  if (ask == NULL)
    return;
  g_assert (ask->done);
  g_clear_object (&ask->answer);
  g_clear_object (&ask->conversation);
  g_free (ask);
}
