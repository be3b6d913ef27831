/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-document-question.h"

#include <string.h>

#include "ing-document-private.h"
#include "ing-document-steps.h"

/* Documents of so many passages together (some 1,500 tokens) are read whole: nothing can be missed, and a question
 * about all of it ("summarize this") has all of it. */
#define WHOLE_PASSAGES 6
#define N_PASSAGES 5
/* Of longer ones, for a question about all of it, so many at even distances (some 2,500 tokens). */
#define SPREAD_PASSAGES 10
#define POLL_MS 20

typedef struct
{
  IngDocumentLibrary *library;
  GListModel *documents;
  char *question, *earlier;
  guint n_passages;
  gboolean passages_only, finish_index;
  gboolean held; /* indexing waits, once the question does not wait for that */
  IngGenerationService *service;
  IngDocumentProgress progress;
  gpointer progress_data;
  GCancellable *enough;
} Question;

static void
set_held (Question *q, gboolean held)
{
  IngGenerationService *service = ing_document_library_get_service (q->library);
  if (held && !q->held)
    ing_generation_service_hold (service);
  else if (!held && q->held)
    ing_generation_service_let_go (service);
  q->held = held;
}

static void
question_free (gpointer data)
{
  Question *q = data;
  set_held (q, FALSE);
  g_object_unref (q->library);
  g_object_unref (q->documents);
  g_clear_object (&q->service);
  g_clear_object (&q->enough);
  g_free (q->question);
  g_free (q->earlier);
  g_free (q);
}

char *
ing_document_question_dup_earlier (IngConversation *conversation)
{
  GListModel *messages = ing_conversation_list_messages (conversation);
  for (guint i = g_list_model_get_n_items (messages); i > 0; i--)
    {
      g_autoptr (IngMessage) message = g_list_model_get_item (messages, i - 1);
      if (ing_message_get_role (message) == ING_ROLE_USER)
        return ing_message_dup_text (message);
    }
  return NULL;
}

/* A question waits for it no longer. */
static gboolean
is_searchable (const Question *q, IngDocument *document)
{
  if (ing_document_get_gone (document))
    return TRUE;
  if (q->finish_index)
    return document->cancellable == NULL; /* no work waits or runs */
  return ing_document_is_searched (document) || ing_document_get_state (document) == ING_DOCUMENT_FAILED;
}

static void
on_found (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  GError *error = NULL;
  IngFound *found = ing_document_library_search_finish (ING_DOCUMENT_LIBRARY (source), result, &error);
  if (found == NULL)
    g_task_return_error (task, error);
  else
    g_task_return_pointer (task, found, (GDestroyNotify) ing_found_free);
}

/* Is it about the whole? No passage says "this is a summary", and none has all that is to be listed or counted. */
static gboolean
is_about_all (const char *question)
{
  static const char *const words[]
      = { "summar",    "overview",       "outline",        "key points",      "main points",   "tl;dr",       "about this document",
          "document about", "file about", "book about",    "paper about",     "list all",      "list every",  "list each",
          "how many times", "how often is", "how many different", "in total",  "总结",          "概括",        "摘要",
          "概述",      "主要内容",       "讲了什么",       "说了什么",        "大意",          "列出所有",    "列出全部",
          "一共",      "总共",           "多少次",         NULL };
  g_autofree char *folded = g_utf8_casefold (question, -1);
  for (guint i = 0; words[i] != NULL; i++)
    if (strstr (folded, words[i]) != NULL)
      return TRUE;
  return strstr (folded, "how many ") != NULL
         && (strstr (folded, " are there") != NULL || strstr (folded, " mentioned") != NULL
             || strstr (folded, " listed") != NULL || strstr (folded, " described") != NULL);
}

static void
on_steps (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  GError *error = NULL;
  IngFound *found = ing_document_steps_finish (result, &error);
  if (found == NULL)
    g_task_return_error (task, error);
  else
    g_task_return_pointer (task, found, (GDestroyNotify) ing_found_free);
}

/* All passages are here: whole, or part by part. */
static void
on_read (GObject *source, GAsyncResult *result, gpointer user_data)
{
  GTask *task = user_data;
  Question *q = g_task_get_task_data (task);
  GError *error = NULL;
  g_autoptr (IngFound) found = ing_document_library_search_finish (ING_DOCUMENT_LIBRARY (source), result, &error);
  if (found == NULL)
    g_task_return_error (task, error);
  else if (ing_document_steps_count_tokens (found->passages) <= ing_document_steps_get_room (q->service))
    g_task_return_pointer (task, g_steal_pointer (&found), (GDestroyNotify) ing_found_free);
  else
    {
      set_held (q, FALSE); /* minutes: each step waits for itself */
      ing_document_steps_async (q->service, g_steal_pointer (&found->passages), q->question, q->progress,
                                q->progress_data, q->enough, g_task_get_cancellable (task), on_steps, task);
      found->passages = g_ptr_array_new ();
      return;
    }
  g_object_unref (task);
}

/* A model is there that can read all of it. */
static gboolean
has_model (const Question *q)
{
  return q->service != NULL && ing_generation_service_get_state (q->service) >= ING_SERVICE_READY
         && ing_generation_service_get_has_template (q->service);
}

/* How many tokens of passages one question may bring: a quarter of the context, so that a talk has several. 0 while no
 * model says how large that is. */
static guint
get_room (const Question *q)
{
  return q->service != NULL && !q->passages_only ? ing_generation_service_get_context_size (q->service) / 4 : 0;
}

/* @task is taken. */
static void
look (GTask *task)
{
  Question *q = g_task_get_task_data (task);
  set_held (q, TRUE);
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint64));
  const GError *failed = NULL;
  guint n_passages = 0;
  for (guint i = 0; i < g_list_model_get_n_items (q->documents); i++)
    {
      g_autoptr (IngDocument) document = g_list_model_get_item (q->documents, i);
      gint64 id = ing_document_get_id (document);
      if (!ing_document_is_searched (document))
        {
          failed = ing_document_get_state (document) == ING_DOCUMENT_FAILED ? ing_document_get_error (document) : failed;
          continue;
        }
      g_array_append_val (ids, id);
      n_passages += ing_document_get_n_passages (document);
    }
  if (ids->len == 0 && failed != NULL)
    {
      g_task_return_error (task, g_error_copy (failed));
      g_object_unref (task);
    }
  else if (!q->passages_only && n_passages > WHOLE_PASSAGES && is_about_all (q->question) && has_model (q))
    ing_document_library_read_async (q->library, ids, G_MAXUINT, g_task_get_cancellable (task), on_read, task);
  else if (!q->passages_only && (n_passages <= WHOLE_PASSAGES || is_about_all (q->question)))
    ing_document_library_read_async (q->library, ids, SPREAD_PASSAGES, g_task_get_cancellable (task), on_found, task);
  else
    ing_document_library_search_async (q->library, ids, q->question, q->earlier,
                                       q->n_passages > 0 ? q->n_passages : N_PASSAGES, get_room (q), ING_SEARCH_ALL,
                                       g_task_get_cancellable (task), on_found, task);
}

static gboolean
on_poll (gpointer data)
{
  GTask *task = data;
  Question *q = g_task_get_task_data (task);
  if (g_task_return_error_if_cancelled (task))
    {
      g_object_unref (task);
      return G_SOURCE_REMOVE;
    }
  guint n_waits = 0, n_behind = 0, n_found = 0;
  for (guint i = 0; i < g_list_model_get_n_items (q->documents); i++)
    {
      g_autoptr (IngDocument) document = g_list_model_get_item (q->documents, i);
      gboolean searchable = is_searchable (q, document);
      n_found += ing_document_is_searched (document);
      n_behind += !searchable && !q->finish_index && ing_document_is_behind (document);
      n_waits += !searchable;
    }
  /* A collection of hundreds takes its time: what can be found of it is asked. */
  if (n_waits > n_behind || (n_waits > 0 && n_found == 0))
    return G_SOURCE_CONTINUE;
  /* A model that is being loaded may have to read all of it. */
  if (q->service != NULL && ing_generation_service_get_state (q->service) == ING_SERVICE_LOADING && is_about_all (q->question))
    return G_SOURCE_CONTINUE;
  look (task);
  return G_SOURCE_REMOVE;
}

void
ing_document_question_async (IngDocumentLibrary *library, GListModel *documents, const IngDocumentQuery *query,
                             GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
  GTask *task = g_task_new (documents, cancellable, callback, user_data);
  Question *q = g_new0 (Question, 1);
  q->library = g_object_ref (library);
  q->documents = g_object_ref (documents);
  q->question = g_strdup (query->question);
  q->earlier = g_strdup (query->earlier);
  q->n_passages = query->n_passages;
  q->passages_only = query->passages_only;
  q->finish_index = query->finish_index;
  q->service = query->service != NULL ? g_object_ref (query->service) : NULL;
  q->progress = query->progress;
  q->progress_data = query->progress_data;
  q->enough = query->enough != NULL ? g_object_ref (query->enough) : NULL;
  g_task_set_source_tag (task, ing_document_question_async);
  g_task_set_task_data (task, q, question_free);
  g_timeout_add (POLL_MS, on_poll, task);
}

IngFound *
ing_document_question_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}
