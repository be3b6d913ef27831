/* SPDX-License-Identifier: Apache-2.0 */
/* The question's way: conversation → model → send → text → end. */
#include <glib/gi18n-lib.h>
#include <string.h>

#include "ing-ask-private.h"
#include "ing-citations.h"
#include "ing-conversation-list-private.h"
#include "ing-document-password.h"
#include "ing-document-question.h"
#include "ing-json.h"
#include "ing-sources-private.h"
#include "ing-workspace-private.h"

#define OPENING_POLL_MS 20
#define PASSWORD_ROUNDS 3

struct _IngAsk
{
  IngWorkspace *workspace;
  const IngAskOptions *options;
  IngAskSink sink;
  gpointer data;
  IngConversation *conversation;
  IngMessage *answer;
  GListModel *documents; /* those asked; NULL = none */
  GCancellable *looking; /* while they are looked at */
  IngFound *found;       /* what they say; NULL = none was asked */
  guint n_rounds;        /* of looking at them, one more each time that passwords are given */
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

/* [{"text", "supported", "passage": its number or null}, …] */
static JsonArray *
make_claims (const char *answer, const IngFound *found)
{
  JsonArray *array = json_array_new ();
  g_autoptr (GArray) claims = ing_citations_check (answer, found->passages);
  for (guint i = 0; i < claims->len; i++)
    {
      const IngClaim *claim = &g_array_index (claims, IngClaim, i);
      g_autofree char *text = g_strndup (answer + claim->start, claim->end - claim->start);
      JsonObject *o = json_object_new ();
      json_object_set_string_member (o, "text", g_strstrip (text));
      json_object_set_boolean_member (o, "supported", claim->supported);
      if (claim->supported)
        json_object_set_int_member (o, "passage", claim->passage + 1);
      else
        json_object_set_null_member (o, "passage");
      json_array_add_object_element (array, o);
    }
  return array;
}

static void
print_json (IngAsk *ask)
{
  g_autofree char *text = ask->answer != NULL ? ing_message_dup_text (ask->answer) : g_strdup ("");
  g_autoptr (JsonObject) o = json_object_new ();
  json_object_set_string_member (o, "answer", text);
  if (ask->found != NULL)
    json_object_set_boolean_member (o, "found", ask->found->found);
  else
    json_object_set_null_member (o, "found"); /* no document was asked */
  json_object_set_array_member (o, "sources",
                                ask->found != NULL ? ing_sources_make_json (ask->found, FALSE) : json_array_new ());
  if (ask->found != NULL && ask->answer != NULL)
    json_object_set_array_member (o, "claims", make_claims (text, ask->found));
  if (is_kept (ask) && ask->conversation != NULL)
    json_object_set_int_member (o, "conversation", ing_conversation_get_id (ask->conversation));
  else
    json_object_set_null_member (o, "conversation");
  g_autofree char *json = ing_json_print_object (o);
  g_autofree char *line = g_strconcat (json, "\n", NULL);
  ask->sink.out (line, ask->data);
}

/* What the documents said, as a list under the answer or with its text. */
static void
print_passages (IngAsk *ask, gboolean with_text)
{
  if (!with_text)
    ask->sink.out (_ ("\nSources:\n"), ask->data);
  for (guint i = 0; i < ask->found->passages->len; i++)
    {
      g_autofree char *text = ing_sources_format (ask->found->passages->pdata[i], i + 1, with_text);
      g_autofree char *printable = ing_ask_make_printable (text);
      ask->sink.out (printable, ask->data);
    }
}

/* Sentences that the passages do not say, by name: a person must not take them for read. */
static void
print_unsupported (IngAsk *ask)
{
  g_autofree char *answer = ing_message_dup_text (ask->answer);
  g_autoptr (GArray) claims = ing_citations_check (answer, ask->found->passages);
  gboolean first = TRUE;
  for (guint i = 0; i < claims->len; i++)
    {
      const IngClaim *claim = &g_array_index (claims, IngClaim, i);
      if (claim->supported)
        continue;
      g_autofree char *text = g_strndup (answer + claim->start, claim->end - claim->start);
      g_autofree char *printable = ing_ask_make_printable (g_strstrip (text));
      if (first)
        ask->sink.out (_ ("\nNot found in the passages:\n"), ask->data);
      first = FALSE;
      ask->sink.out ("- ", ask->data);
      ask->sink.out (printable, ask->data);
      ask->sink.out ("\n", ask->data);
    }
}

static void
print_found_json (IngAsk *ask)
{
  g_autoptr (JsonObject) o = json_object_new ();
  json_object_set_boolean_member (o, "found", ask->found->found);
  json_object_set_array_member (o, "passages", ing_sources_make_json (ask->found, FALSE));
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
  if (!ask->options->json && ask->found != NULL)
    {
      print_unsupported (ask);
      print_passages (ask, FALSE);
    }
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
  g_autoptr (GListStore) parts = NULL;
  if (ask->found != NULL)
    {
      parts = g_list_store_new (ING_TYPE_PART);
      g_autoptr (IngPart) part = ing_sources_make_part (ask->found);
      g_list_store_append (parts, part);
    }
  ask->answer = ing_conversation_send (ask->conversation, ask->options->question, G_LIST_MODEL (parts));
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

/* ------------------------------------------------------------------ documents */

static void
say_failed_documents (IngAsk *ask)
{
  for (guint i = 0; i < g_list_model_get_n_items (ask->documents); i++)
    {
      g_autoptr (IngDocument) document = g_list_model_get_item (ask->documents, i);
      if (ing_document_get_state (document) != ING_DOCUMENT_FAILED)
        continue;
      g_autofree char *why = ing_error_to_sentence (ing_document_get_error (document));
      say (ask, "%s: %s", ing_document_get_name (document), why);
    }
}

/* Documents that a password opens are read again with the one that is given. FALSE: there is none, or none is given. */
static gboolean
unlock_documents (IngAsk *ask)
{
  gboolean any = FALSE, wrong;
  for (guint i = 0; ask->sink.password != NULL && i < g_list_model_get_n_items (ask->documents); i++)
    {
      g_autoptr (IngDocument) document = g_list_model_get_item (ask->documents, i);
      if (ing_document_get_state (document) != ING_DOCUMENT_FAILED
          || !ing_document_password_is_wanted (ing_document_get_error (document), &wrong))
        continue;
      g_autofree char *question = g_strdup_printf (wrong ? _ ("The password is wrong. Password of “%s”: ")
                                                         : _ ("“%s” is locked. Its password: "),
                                                   ing_document_get_name (document));
      char *password = ask->sink.password (question);
      if (password != NULL)
        {
          ing_document_password_set (ing_document_get_path (document), password);
          ing_document_library_retry (ing_workspace_get_documents (ask->workspace), document);
          any = TRUE;
        }
      ing_document_password_free (password);
    }
  return any;
}

static void look_in_documents (IngAsk *ask);

static void
on_looked (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GError) error = NULL;
  IngFound *found = ing_document_question_finish (result, &error);
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return; /* freed */
  IngAsk *ask = data;
  g_clear_object (&ask->looking);
  if (ask->n_rounds++ < PASSWORD_ROUNDS && unlock_documents (ask))
    {
      ing_found_free (found);
      look_in_documents (ask);
      return;
    }
  say_failed_documents (ask);
  if (found == NULL)
    {
      fail (ask, error);
      return;
    }
  ask->found = found;
  if (ask->options->search)
    {
      if (!found->found && !ask->options->json)
        say (ask, "%s", _ ("Nothing in the documents speaks of this. The nearest passages:"));
      if (ask->options->json)
        print_found_json (ask);
      else
        print_passages (ask, TRUE);
      finish (ask, ING_ASK_OK);
    }
  else if (found->found)
    send_question (ask);
  else
    {
      if (ask->options->json)
        print_json (ask);
      else
        {
          say (ask, "%s", _ ("Nothing in the documents speaks of this. The nearest passages:"));
          print_passages (ask, TRUE);
        }
      finish (ask, ING_ASK_OK);
    }
}

/* The last question of @history, a file; NULL if there is none. Caller frees. */
static char *
read_earlier_question (const char *history, GError **error)
{
  g_autofree char *text = NULL;
  gsize length = 0;
  char *question = NULL;
  if (!g_file_get_contents (history, &text, &length, error))
    return NULL;
  /* One parser with limits reads objects: the array becomes a member of one. */
  g_autofree char *wrapped = g_utf8_validate (text, (gssize) length, NULL)
                                 ? g_strconcat ("{\"messages\":", text, "}", NULL)
                                 : NULL;
  g_autoptr (JsonObject) object = ing_json_parse_object (wrapped, -1, error);
  JsonArray *array = object != NULL ? ing_json_get_array (object, "messages") : NULL;
  for (guint i = 0; array != NULL && i < json_array_get_length (array); i++)
    {
      JsonNode *node = json_array_get_element (array, i);
      JsonObject *o = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
      const char *content = o != NULL ? ing_json_get_string (o, "content", NULL) : NULL;
      if (content == NULL || g_strcmp0 (ing_json_get_string (o, "role", ""), "user") != 0)
        continue;
      g_free (question);
      question = g_strdup (content);
    }
  return question;
}

/* Once a part: it may take minutes. */
static void
on_progress (guint done, guint total, double seconds_left, gpointer data)
{
  IngAsk *ask = data;
  if (done == total)
    return;
  g_autofree char *line = g_strdup_printf (_ ("Reading part %u of %u"), done + 1, total);
  if (seconds_left < 0)
    say (ask, "%s", line);
  else
    {
      g_autofree char *left = g_strdup_printf (_ ("%d s"), (int) (seconds_left + 0.5));
      g_autofree char *both = g_strdup_printf (_ ("%s · %s left"), line, left);
      say (ask, "%s", both);
    }
}

static void
look_in_documents (IngAsk *ask)
{
  const IngAskOptions *options = ask->options;
  g_autoptr (GError) error = NULL;
  g_autofree char *earlier = NULL;
  if (options->history != NULL)
    earlier = read_earlier_question (options->history, &error);
  else if (ask->conversation != NULL)
    earlier = ing_document_question_dup_earlier (ask->conversation);
  if (error != NULL)
    {
      fail (ask, error);
      return;
    }
  const IngDocumentQuery query = { .question = options->question,
                                   .earlier = earlier,
                                   .n_passages = options->n_passages,
                                   .passages_only = options->search,
                                   .finish_index = TRUE,
                                   .service = ing_workspace_get_generation (ask->workspace),
                                   .progress = on_progress,
                                   .progress_data = ask };
  ask->looking = g_cancellable_new ();
  ing_document_question_async (ing_workspace_get_documents (ask->workspace), ask->documents, &query, ask->looking,
                               on_looked, ask);
}

/* The answer fails with the reason if the load does, so that is not looked at here. What a window is busy with ends first:
 * the question's model is loaded for it when its turn comes. */
static void
choose_model (IngAsk *ask)
{
  IngGenerationService *service = ing_workspace_get_generation (ask->workspace);
  if (ask->options->model != NULL)
    ing_conversation_set_model_path (ask->conversation, ask->options->model);
  const char *wanted = ing_conversation_get_model_path (ask->conversation);
  if (wanted != NULL)
    {
      if (ing_generation_service_get_state (service) < ING_SERVICE_GENERATING
          && g_strcmp0 (wanted, ing_generation_service_get_model_path (service)) != 0)
        ing_workspace_load_model (ask->workspace, wanted, FALSE, FALSE);
    }
  else if (ing_generation_service_get_state (service) == ING_SERVICE_NO_MODEL)
    ing_workspace_load_default_model (ask->workspace);
}

static void
on_documents (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GError) error = NULL;
  GListModel *documents = ing_ask_documents_finish (result, &error);
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return; /* freed */
  IngAsk *ask = data;
  g_clear_object (&ask->looking);
  ask->documents = documents;
  if (error != NULL)
    fail (ask, error);
  else if (documents != NULL)
    look_in_documents (ask);
  else
    send_question (ask);
}

static void
find_documents (IngAsk *ask)
{
  ask->looking = g_cancellable_new ();
  ing_ask_documents_async (ask->workspace, ask->options, ask->looking, on_documents, ask);
}

static void
on_conversation_loaded (GObject *source, GAsyncResult *result, gpointer user_data)
{
  IngAsk *ask = user_data;
  g_autoptr (GError) error = NULL;
  if (!ing_conversation_load_finish (ING_CONVERSATION (source), result, &error))
    fail (ask, error);
  else
    find_documents (ask);
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
  if (ask->options->search)
    {
      find_documents (ask);
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
  if (ask->looking != NULL && !ask->done)
    {
      g_cancellable_cancel (ask->looking);
      g_clear_object (&ask->looking);
      finish (ask, ING_ASK_INTERRUPTED);
      return;
    }
  if (ask->conversation != NULL)
    ing_conversation_stop (ask->conversation);
}

void
ing_ask_free (IngAsk *ask)
{
  if (ask == NULL)
    return;
  g_assert (ask->done);
  g_clear_object (&ask->looking);
  g_clear_object (&ask->documents);
  g_clear_pointer (&ask->found, ing_found_free);
  g_clear_object (&ask->answer);
  g_clear_object (&ask->conversation);
  g_free (ask);
}
