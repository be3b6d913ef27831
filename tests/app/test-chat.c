/* SPDX-License-Identifier: Apache-2.0 */
/* Conversations with the double, each test as a thread and as a child. */
#include <locale.h>
#include <string.h>

#include "app-test.h"
#include "ing-json.h"

typedef struct
{
  char *folder;
  IngWorkspace *workspace;
  IngConversationList *list;
  AppTestEngine engine;
} Fixture;

static void
reopen (Fixture *f)
{
  if (f->workspace != NULL)
    app_test_close (g_steal_pointer (&f->workspace));
  f->workspace = app_test_open (f->folder, f->engine);
  f->list = ing_workspace_get_conversations (f->workspace);
  g_assert_cmpint (ing_workspace_get_storage_state (f->workspace), ==, ING_STORAGE_OK);
}

static void
set_up (Fixture *f, gconstpointer engine)
{
  f->engine = GPOINTER_TO_INT (engine);
  f->folder = app_test_make_folder ();
  reopen (f);
}

static void
tear_down (Fixture *f, gconstpointer engine)
{
  app_test_close (g_steal_pointer (&f->workspace));
  g_free (f->folder);
}

static guint
n_listed (Fixture *f)
{
  return g_list_model_get_n_items (G_LIST_MODEL (f->list));
}

static guint
n_messages (IngConversation *c)
{
  return g_list_model_get_n_items (ing_conversation_list_messages (c));
}

static IngConversation *
load_conversation (Fixture *f, guint index)
{
  IngConversation *c = g_list_model_get_item (G_LIST_MODEL (f->list), index);
  g_autoptr (GAsyncResult) result = NULL;
  g_assert_nonnull (c);
  ing_conversation_load_async (c, NULL, app_test_keep_result, &result);
  app_test_wait (result != NULL);
  g_assert_true (ing_conversation_load_finish (c, result, NULL));
  return c;
}

static void
on_text (IngMessage *message, IngPart *part, const char *text, gpointer data)
{
  g_string_append (data, text);
}

static void
test_talk (Fixture *f, gconstpointer engine)
{
  app_test_load (f->workspace, "/good.gguf");
  g_autoptr (GString) streamed = g_string_new (NULL);
  {
    g_autoptr (IngConversation) c = ing_conversation_list_create (f->list);
    g_autoptr (IngConversation) same = ing_conversation_list_create (f->list);
    g_assert_true (c == same);
    g_assert_cmpuint (n_listed (f), ==, 0);
    IngMessage *answer = ing_conversation_send (c, "count 4 30", NULL);
    g_assert_cmpuint (n_listed (f), ==, 1); /* at once */
    g_assert_cmpuint (n_messages (c), ==, 2);
    g_assert_cmpint (ing_message_get_state (answer), ==, ING_MESSAGE_PENDING);
    g_assert_cmpint (ing_message_get_status (answer), ==, ING_STATUS_SAVING);
    g_assert_true (ing_conversation_get_busy (c));
    g_assert_null (ing_conversation_send (c, "another", NULL)); /* busy */
    g_signal_connect (answer, "text-appended", G_CALLBACK (on_text), streamed);
    app_test_wait (ing_message_get_state (answer) == ING_MESSAGE_STREAMING);
    app_test_wait_idle (c);
    g_assert_cmpint (ing_message_get_state (answer), ==, ING_MESSAGE_COMPLETE);
    g_autofree char *text = ing_message_dup_text (answer);
    g_assert_cmpstr (text, ==, "w1 w2 w3 w4");
    g_assert_cmpstr (streamed->str, ==, text);
    g_assert_cmpstr (ing_conversation_get_title (c), ==, "count 4 30");
    g_assert_cmpstr (ing_message_get_model_name (answer), ==, "good.gguf");
    g_assert_cmpstr (ing_message_get_device (answer), ==, "CPU · fake");
    g_assert_cmpuint (ing_message_get_n_tokens (answer), ==, 4);
    app_test_ask (c, "count 2 0");
    g_assert_cmpuint (n_messages (c), ==, 4);
  }
  reopen (f);
  g_assert_cmpuint (n_listed (f), ==, 1);
  g_autoptr (IngConversation) c = load_conversation (f, 0);
  g_assert_cmpuint (n_messages (c), ==, 4);
  g_autofree char *q = app_test_dup_text (c, 0), *a = app_test_dup_text (c, 3);
  g_assert_cmpstr (q, ==, "count 4 30");
  g_assert_cmpstr (a, ==, "w1 w2");
  g_autoptr (IngMessage) first = g_list_model_get_item (ing_conversation_list_messages (c), 1);
  g_assert_cmpint (ing_message_get_state (first), ==, ING_MESSAGE_COMPLETE);
  g_assert_cmpuint (ing_message_get_n_tokens (first), ==, 4);
  g_assert_cmpstr (ing_message_get_model_name (first), ==, "good.gguf");
  g_assert_cmpfloat (ing_message_get_tokens_per_second (first), >, 0);
}

/* What the engine is asked: roles, system prompt, sampling, key, no reasoning of earlier turns. */
static void
test_request (Fixture *f, gconstpointer engine)
{
  app_test_load (f->workspace, "/good.gguf");
  g_autoptr (IngConversation) c = ing_conversation_list_create (f->list);
  IngSampling sampling;
  ing_sampling_init (&sampling);
  sampling.temperature = 0.25;
  sampling.max_tokens = 99;
  ing_conversation_set_sampling (c, &sampling);
  ing_conversation_set_system_prompt (c, "Be brief.");
  IngMessage *thought = app_test_ask (c, "think");
  g_assert_cmpuint (ing_message_get_n_parts (thought), ==, 2);
  g_autofree char *reasoning = ing_message_dup_reasoning (thought);
  g_autofree char *said = ing_message_dup_text (thought);
  g_assert_cmpstr (reasoning, ==, "Let me think.");
  g_assert_cmpstr (said, ==, "The answer.");
  g_assert_cmpint (ing_part_get_duration_us (ing_message_get_part (thought, 0)), >, 0);

  app_test_ask (c, "full"); /* fails: two questions in a row become one */
  g_autofree char *text = ing_message_dup_text (app_test_ask (c, "tell \"me\"\n你好"));
  g_autoptr (JsonObject) o = ing_json_parse_object (text, -1, NULL);
  g_assert_nonnull (o);
  JsonArray *messages = json_object_get_array_member (o, "messages");
  static const char *const expected[][2] = { { "system", "Be brief." },
                                             { "user", "think" },
                                             { "assistant", "The answer." },
                                             { "user", "full\n\ntell \"me\"\n你好" } };
  g_assert_cmpuint (json_array_get_length (messages), ==, G_N_ELEMENTS (expected));
  for (guint i = 0; i < G_N_ELEMENTS (expected); i++)
    {
      JsonObject *m = json_array_get_object_element (messages, i);
      g_assert_cmpstr (json_object_get_string_member (m, "role"), ==, expected[i][0]);
      g_assert_cmpstr (json_object_get_string_member (m, "content"), ==, expected[i][1]);
    }
  g_assert_cmpint (json_object_get_int_member (o, "max_tokens"), ==, 99);
  JsonObject *s = json_object_get_object_member (o, "sampling");
  g_assert_cmpfloat (json_object_get_double_member (s, "temperature"), ==, 0.25);
  g_assert_true (g_str_has_prefix (json_object_get_string_member (o, "conversation"), "conv"));

  g_autoptr (GAsyncResult) result = NULL;
  guint64 n_tokens, context;
  ing_conversation_count_async (c, "12345", NULL, app_test_keep_result, &result);
  app_test_wait (result != NULL);
  g_assert_true (ing_conversation_count_finish (c, result, &n_tokens, &context, NULL));
  g_assert_cmpuint (n_tokens, ==, 5);
  g_assert_cmpuint (context, ==, 8192);
}

static void
test_branches (Fixture *f, gconstpointer engine)
{
  app_test_load (f->workspace, "/good.gguf");
  {
    g_autoptr (IngConversation) c = ing_conversation_list_create (f->list);
    IngMessage *first = app_test_ask (c, "count 2 0");
    app_test_ask (c, "count 1 0");
    g_autoptr (IngMessage) question = g_list_model_get_item (ing_conversation_list_messages (c), 0);
    IngMessage *again = ing_conversation_regenerate (c, first);
    g_assert_nonnull (again);
    g_assert_cmpuint (n_messages (c), ==, 2); /* another branch */
    g_assert_cmpuint (ing_message_get_sibling_index (again), ==, 1);
    g_assert_cmpuint (ing_message_get_n_siblings (again), ==, 2);
    app_test_wait_idle (c);
    g_assert_false (ing_conversation_switch_sibling (c, again, 1));
    g_assert_true (ing_conversation_switch_sibling (c, again, -1));
    g_assert_cmpuint (n_messages (c), ==, 4); /* the first one, with what followed */
    g_assert_cmpuint (ing_message_get_n_siblings (first), ==, 2);
    ing_conversation_edit (c, question, "count 3 0");
    app_test_wait_idle (c);
    g_autofree char *edited = app_test_dup_text (c, 1);
    g_assert_cmpstr (edited, ==, "w1 w2 w3");
    g_assert_cmpuint (n_messages (c), ==, 2);
    g_assert_null (ing_conversation_edit (c, first, "no question"));
    g_assert_null (ing_conversation_regenerate (c, question));
  }
  reopen (f);
  g_autoptr (IngConversation) c = load_conversation (f, 0);
  g_assert_cmpuint (n_messages (c), ==, 2);
  g_autoptr (IngMessage) q = g_list_model_get_item (ing_conversation_list_messages (c), 0);
  g_assert_cmpuint (ing_message_get_n_siblings (q), ==, 2);
  g_assert_cmpuint (ing_message_get_sibling_index (q), ==, 1);
  g_assert_true (ing_conversation_switch_sibling (c, q, -1));
  g_assert_cmpuint (n_messages (c), ==, 4);
  g_autoptr (IngMessage) a = g_list_model_get_item (ing_conversation_list_messages (c), 1);
  g_assert_cmpuint (ing_message_get_n_siblings (a), ==, 2);
}

static void
test_stop_and_continue (Fixture *f, gconstpointer engine)
{
  app_test_load (f->workspace, "/good.gguf");
  g_autoptr (IngConversation) c = ing_conversation_list_create (f->list);
  IngMessage *answer = ing_conversation_send (c, "count 30 10", NULL);
  app_test_wait (ing_message_get_n_parts (answer) == 1
                 && ing_part_get_text_bytes (ing_message_get_part (answer, 0)) > 10);
  ing_conversation_stop (c);
  app_test_wait_idle (c);
  g_assert_cmpint (ing_message_get_state (answer), ==, ING_MESSAGE_STOPPED);
  g_assert_cmpint (ing_message_get_stop_reason (answer), ==, ING_STOP_PERSON);
  g_assert_true (ing_message_can_continue (answer));
  g_autofree char *before = ing_message_dup_text (answer);
  g_assert_true (ing_conversation_continue (c, answer) == answer);
  app_test_wait_idle (c);
  g_autofree char *after = ing_message_dup_text (answer);
  g_assert_true (g_str_has_prefix (after, before));
  g_assert_cmpuint (strlen (after), >, strlen (before));
  /* The words go on where they were: no gap and no repetition. */
  g_auto (GStrv) words = g_strsplit (after, " ", -1);
  for (guint i = 0; words[i] != NULL; i++)
    {
      g_autofree char *expected = g_strdup_printf ("w%u", i + 1);
      g_assert_cmpstr (words[i], ==, expected);
    }
  g_assert_cmpuint (ing_message_get_n_parts (answer), ==, 1);
  g_assert_null (ing_conversation_continue (c, answer)); /* complete now */

  /* Stop before it began, too. */
  IngMessage *early = ing_conversation_send (c, "count 30 10", NULL);
  ing_conversation_stop (c);
  app_test_wait_idle (c);
  g_assert_cmpint (ing_message_get_state (early), ==, ING_MESSAGE_STOPPED);
  IngMessage *cut = app_test_ask (c, "length");
  g_assert_cmpint (ing_message_get_stop_reason (cut), ==, ING_STOP_LENGTH);
}

static void
test_failures (Fixture *f, gconstpointer engine)
{
  {
    g_autoptr (IngConversation) c = ing_conversation_list_create (f->list);
    IngMessage *answer = app_test_ask (c, "hello");
    g_assert_cmpint (ing_message_get_state (answer), ==, ING_MESSAGE_FAILED);
    g_assert_error (ing_message_get_error (answer), ING_ERROR, ING_ERROR_NO_MODEL);
    g_assert_cmpstr (ing_conversation_get_title (c), ==, "hello");
    /* In place, once there is one. */
    app_test_load (f->workspace, "/good.gguf");
    ing_conversation_continue (c, answer);
    app_test_wait_idle (c);
    g_assert_cmpint (ing_message_get_state (answer), ==, ING_MESSAGE_COMPLETE);
    g_assert_null (ing_message_get_error (answer));
    app_test_ask (c, "full");
    IngMessage *dead = app_test_ask (c, "die");
    g_autofree char *text = ing_message_dup_text (dead);
    g_assert_cmpstr (text, ==, "one two three");
    g_assert_error (ing_message_get_error (dead), ING_ERROR, ING_ERROR_ENGINE_LOST);
    IngMessage *alive = app_test_ask (c, "count 1 0"); /* it came back by itself */
    g_assert_cmpint (ing_message_get_state (alive), ==, ING_MESSAGE_COMPLETE);
  }
  reopen (f);
  g_autoptr (IngConversation) c = load_conversation (f, 0);
  g_autoptr (IngMessage) full = g_list_model_get_item (ing_conversation_list_messages (c), 3);
  g_assert_error (ing_message_get_error (full), ING_ERROR, ING_ERROR_CONTEXT_FULL);
  g_assert_cmpuint (ing_error_get_needed (ing_message_get_error (full)), ==, 9000);
}

static void
test_waits_for_model (Fixture *f, gconstpointer engine)
{
  g_autoptr (GAsyncResult) result = NULL;
  IngGenerationService *service = ing_workspace_get_generation (f->workspace);
  ing_generation_service_load_async (service, "/slow.gguf", NULL, NULL, app_test_keep_result,
                                     &result);
  g_autoptr (IngConversation) c = ing_conversation_list_create (f->list);
  IngMessage *answer = ing_conversation_send (c, "count 2 0", NULL);
  app_test_wait (ing_message_get_status (answer) == ING_STATUS_MODEL_LOADING
                 && ing_message_get_progress_total (answer) == 20);
  g_assert_cmpint (ing_message_get_state (answer), ==, ING_MESSAGE_PENDING);
  app_test_wait_idle (c);
  g_assert_cmpint (ing_message_get_state (answer), ==, ING_MESSAGE_COMPLETE);
  app_test_wait (result != NULL);
}

static void
test_plain (Fixture *f, gconstpointer engine)
{
  app_test_load (f->workspace, "/bare.gguf");
  g_autoptr (IngConversation) c = ing_conversation_list_create (f->list);
  IngMessage *answer = app_test_ask (c, "Once upon");
  g_assert_error (ing_message_get_error (answer), ING_ERROR, ING_ERROR_NO_TEMPLATE);
  ing_conversation_set_plain_completion (c, TRUE);
  ing_conversation_continue (c, answer);
  app_test_wait_idle (c);
  g_autofree char *text = ing_message_dup_text (answer);
  g_assert_nonnull (strstr (text, "\"prompt\":\"Once upon\""));
}

static void
test_list (Fixture *f, gconstpointer engine)
{
  app_test_load (f->workspace, "/good.gguf");
  g_autoptr (IngConversation) one = ing_conversation_list_create (f->list);
  app_test_ask (one, "first of all");
  g_autoptr (IngConversation) two = ing_conversation_list_create (f->list);
  app_test_ask (two, "second thing");
  g_assert_cmpuint (n_listed (f), ==, 2);
  g_autoptr (IngConversation) top = g_list_model_get_item (G_LIST_MODEL (f->list), 0);
  g_assert_true (top == two);
  app_test_ask (one, "again");
  g_set_object (&top, NULL);
  top = g_list_model_get_item (G_LIST_MODEL (f->list), 0);
  g_assert_true (top == one);
  ing_conversation_set_title (two, "  My <b>title</b>  ");
  g_assert_cmpstr (ing_conversation_get_title (two), ==, "My <b>title</b>");
  g_assert_cmpint (ing_conversation_list_get_group (one, 0), ==, ING_GROUP_TODAY);
  gint64 now = g_get_real_time (), day = 24LL * 60 * 60 * G_USEC_PER_SEC;
  g_assert_cmpint (ing_conversation_list_get_group (one, now + day), ==, ING_GROUP_YESTERDAY);
  g_assert_cmpint (ing_conversation_list_get_group (one, now + 5 * day), ==, ING_GROUP_THIS_WEEK);
  g_assert_cmpint (ing_conversation_list_get_group (one, now + 20 * day), ==, ING_GROUP_THIS_MONTH);
  g_assert_cmpint (ing_conversation_list_get_group (one, now + 90 * day), ==, ING_GROUP_OLDER);
  g_assert_cmpint (ing_conversation_list_get_group (one, now - 90 * day), ==, ING_GROUP_TODAY);

  /* Delete while it answers; undo brings all back. */
  ing_conversation_send (two, "count 1000 5", NULL);
  app_test_run_ms (100);
  ing_conversation_list_delete (f->list, two);
  g_assert_cmpuint (n_listed (f), ==, 1);
  g_assert_null (ing_conversation_list_lookup (f->list, ing_conversation_get_id (two)));
  app_test_wait_idle (two);
  g_assert_true (ing_conversation_list_undo_delete (f->list, NULL));
  g_assert_false (ing_conversation_list_undo_delete (f->list, two));
  g_assert_cmpuint (n_listed (f), ==, 2);
  ing_conversation_list_delete (f->list, one);
  gint64 id = ing_conversation_get_id (one);
  g_clear_object (&one);
  g_clear_object (&two);
  g_clear_object (&top);
  reopen (f);
  g_assert_cmpuint (n_listed (f), ==, 1);
  g_assert_null (ing_conversation_list_lookup (f->list, id));
  g_autoptr (IngConversation) back = load_conversation (f, 0);
  g_assert_cmpstr (ing_conversation_get_title (back), ==, "My <b>title</b>");
  g_assert_cmpuint (n_messages (back), ==, 4);
  g_autoptr (IngConversation) fresh = ing_conversation_list_create (f->list);
  g_assert_cmpint (ing_conversation_get_id (fresh), >, id); /* ids do not come back */
}

static void
test_draft (Fixture *f, gconstpointer engine)
{
  {
    g_autoptr (IngConversation) c = ing_conversation_list_create (f->list);
    ing_conversation_set_draft (c, "half a ques");
    ing_conversation_set_draft (c, "half a question");
    g_assert_cmpuint (n_listed (f), ==, 0);
  }
  reopen (f);
  g_assert_cmpuint (n_listed (f), ==, 0);
  g_autoptr (IngConversation) c = ing_conversation_list_create (f->list);
  g_assert_cmpstr (ing_conversation_get_draft (c), ==, "half a question");
  ing_conversation_list_delete (f->list, c);
  g_clear_object (&c);
  c = ing_conversation_list_create (f->list);
  g_assert_cmpstr (ing_conversation_get_draft (c), ==, "");
}

static GListModel *
search (Fixture *f, const char *query)
{
  g_autoptr (GAsyncResult) result = NULL;
  ing_conversation_list_search_async (f->list, query, NULL, app_test_keep_result, &result);
  app_test_wait (result != NULL);
  GListModel *hits = ing_conversation_list_search_finish (f->list, result, NULL);
  g_assert_nonnull (hits);
  return hits;
}

static void
test_search (Fixture *f, gconstpointer engine)
{
  app_test_load (f->workspace, "/good.gguf");
  g_autoptr (IngConversation) c = ing_conversation_list_create (f->list);
  app_test_ask (c, "length");
  app_test_ask (c, "What does the HEAT pump cost?");
  IngMessage *last = app_test_ask (c, "取暖费是多少");
  app_test_settle (f->workspace);
  g_autoptr (GListModel) hits = search (f, "heat pu");
  g_assert_cmpuint (g_list_model_get_n_items (hits), >=, 1);
  g_autoptr (IngSearchHit) hit = g_list_model_get_item (hits, 0);
  g_assert_true (ing_search_hit_get_conversation (hit) == c);
  guint start, end;
  const char *snippet = ing_search_hit_get_snippet (hit, &start, &end);
  g_autofree char *match = g_strndup (snippet + start, end - start);
  g_assert_cmpint (g_ascii_strcasecmp (match, "heat"), ==, 0);
  g_autoptr (GListModel) chinese = search (f, "暖费");
  g_assert_cmpuint (g_list_model_get_n_items (chinese), >=, 1);
  g_autoptr (GListModel) none = search (f, "");
  g_assert_cmpuint (g_list_model_get_n_items (none), ==, 0);
  /* A hit leads to its branch. */
  gint64 id = ing_message_get_id (last);
  IngMessage *other = ing_conversation_regenerate (c, last);
  app_test_wait_idle (c);
  g_assert_nonnull (other);
  g_assert_true (ing_conversation_show_message (c, id));
  g_autoptr (IngMessage) shown = g_list_model_get_item (ing_conversation_list_messages (c), 5);
  g_assert_true (shown == last);
  g_assert_false (ing_conversation_show_message (c, 999999));
}

static void
test_export (Fixture *f, gconstpointer engine)
{
  app_test_load (f->workspace, "/good.gguf");
  {
    g_autoptr (IngConversation) c = ing_conversation_list_create (f->list);
    IngMessage *answer = app_test_ask (c, "think");
    ing_conversation_regenerate (c, answer);
    app_test_wait_idle (c);
  }
  reopen (f);
  g_autoptr (IngConversation) c = g_list_model_get_item (G_LIST_MODEL (f->list), 0);
  g_autoptr (GAsyncResult) first = NULL, second = NULL;
  ing_conversation_export_async (c, ING_EXPORT_MARKDOWN, NULL, app_test_keep_result, &first);
  ing_conversation_export_async (c, ING_EXPORT_JSON, NULL, app_test_keep_result, &second);
  app_test_wait (first != NULL && second != NULL);
  g_autofree char *markdown = ing_conversation_export_finish (c, first, NULL);
  g_autofree char *json = ing_conversation_export_finish (c, second, NULL);
  g_assert_true (g_str_has_prefix (markdown, "# think\n"));
  g_assert_nonnull (strstr (markdown, "> Let me think."));
  g_assert_nonnull (strstr (markdown, "\nThe answer.\n"));
  g_autoptr (JsonObject) o = ing_json_parse_object (json, -1, NULL);
  g_assert_nonnull (o);
  g_assert_cmpuint (json_array_get_length (json_object_get_array_member (o, "messages")), ==, 3);
}

/* Each conversation is answered by its own model, whatever is loaded; another one in the middle gets the history. */
static void
test_models (Fixture *f, gconstpointer engine)
{
  app_test_load (f->workspace, "/good.gguf");
  {
    g_autoptr (IngConversation) first = ing_conversation_list_create (f->list);
    app_test_ask (first, "count 2 0");
    g_assert_cmpstr (ing_conversation_get_model_path (first), ==, "/good.gguf");
    ing_workspace_choose_model (f->workspace, first, "/good-2.gguf");
    IngMessage *answer = app_test_ask (first, "and now");
    g_assert_cmpstr (ing_message_get_model_name (answer), ==, "good-2.gguf");
    g_autofree char *asked = ing_message_dup_text (answer);
    g_assert_nonnull (strstr (asked, "count 2 0"));
    g_assert_nonnull (strstr (asked, "w1 w2"));

    /* Both asked at once: each gets its own. */
    g_autoptr (IngConversation) second = ing_conversation_list_create (f->list);
    ing_conversation_set_model_path (second, "/good-3.gguf");
    IngMessage *a = ing_conversation_send (first, "count 5 20", NULL);
    IngMessage *b = ing_conversation_send (second, "count 3 20", NULL);
    app_test_wait_idle (first);
    app_test_wait_idle (second);
    g_assert_cmpstr (ing_message_get_model_name (a), ==, "good-2.gguf");
    g_assert_cmpstr (ing_message_get_model_name (b), ==, "good-3.gguf");

    /* One that is gone is said at that answer, and holds up nobody else. */
    ing_conversation_set_model_path (second, "/missing.gguf");
    b = ing_conversation_send (second, "hello", NULL);
    a = ing_conversation_send (first, "count 2 0", NULL);
    app_test_wait_idle (second);
    app_test_wait_idle (first);
    g_assert_error (ing_message_get_error (b), ING_ERROR, ING_ERROR_NOT_FOUND);
    g_assert_cmpint (ing_message_get_state (a), ==, ING_MESSAGE_COMPLETE);
    g_assert_cmpstr (ing_message_get_model_name (a), ==, "good-2.gguf");

    /* Chosen while an answer comes: it ends as it began, the next one is by the new model. */
    a = ing_conversation_send (first, "count 10 20", NULL);
    app_test_wait (ing_message_get_state (a) == ING_MESSAGE_STREAMING);
    ing_workspace_choose_model (f->workspace, first, "/good-4.gguf");
    app_test_wait_idle (first);
    g_assert_cmpint (ing_message_get_state (a), ==, ING_MESSAGE_COMPLETE);
    g_assert_cmpstr (ing_message_get_model_name (a), ==, "good-2.gguf");
    g_assert_cmpstr (ing_conversation_get_model_path (first), ==, "/good-4.gguf");
  }
  reopen (f);
  g_autoptr (IngConversation) first = load_conversation (f, 0);
  g_assert_cmpstr (ing_conversation_get_model_path (first), ==, "/good-4.gguf");
  g_assert_cmpstr (ing_message_get_model_name (app_test_ask (first, "count 2 0")), ==, "good-4.gguf");
}

/* What can wait does so from the question to the first word, and no longer, however it ends. */
static void
test_awaited (Fixture *f, gconstpointer engine)
{
  IngGenerationService *service = ing_workspace_get_generation (f->workspace);
  g_autoptr (IngConversation) c = ing_conversation_list_create (f->list);
  app_test_load (f->workspace, "/good.gguf");
  g_assert_false (ing_generation_service_is_answer_awaited (service));
  IngMessage *answer = ing_conversation_send (c, "count 20 20", NULL);
  g_assert_true (ing_generation_service_is_answer_awaited (service));
  while (ing_message_get_status (answer) != ING_STATUS_WRITING)
    {
      g_assert_true (ing_generation_service_is_answer_awaited (service));
      g_main_context_iteration (NULL, TRUE);
    }
  g_assert_false (ing_generation_service_is_answer_awaited (service));
  app_test_wait_idle (c);

  ing_conversation_send (c, "count 20 20", NULL);
  ing_conversation_stop (c); /* before it is on the disk */
  app_test_wait_idle (c);
  g_assert_false (ing_generation_service_is_answer_awaited (service));
  ing_conversation_send (c, "full", NULL);
  app_test_wait_idle (c);
  g_assert_false (ing_generation_service_is_answer_awaited (service));

  /* A model's loading is no reading. */
  g_autoptr (GAsyncResult) result = NULL;
  ing_generation_service_load_async (service, "/slow.gguf", NULL, NULL, app_test_keep_result, &result);
  answer = ing_conversation_send (c, "count 3 0", NULL);
  app_test_wait (ing_message_get_status (answer) == ING_STATUS_MODEL_LOADING);
  g_assert_false (ing_generation_service_is_answer_awaited (service));
  app_test_wait_idle (c);
  g_assert_false (ing_generation_service_is_answer_awaited (service));
  app_test_wait (result != NULL);
}

int
main (int argc, char **argv)
{
  setlocale (LC_ALL, "");
  g_test_init (&argc, &argv, NULL);
  static const struct
  {
    const char *name;
    void (*run) (Fixture *f, gconstpointer engine);
  } tests[] = {
    { "talk", test_talk },         { "request", test_request },
    { "branches", test_branches }, { "stop-and-continue", test_stop_and_continue },
    { "failures", test_failures }, { "waits-for-model", test_waits_for_model },
    { "plain", test_plain },       { "list", test_list },
    { "draft", test_draft },       { "search", test_search },
    { "export", test_export },     { "models", test_models },
    { "awaited", test_awaited },
  };
  for (guint i = 0; i < G_N_ELEMENTS (tests); i++)
    for (int engine = APP_TEST_FAKE_THREAD; engine <= APP_TEST_FAKE_CHILD; engine++)
      {
        g_autofree char *path = g_strdup_printf (
            "/app/chat/%s/%s", tests[i].name, engine == APP_TEST_FAKE_THREAD ? "thread" : "child");
        g_test_add (path, Fixture, GINT_TO_POINTER (engine), set_up, tests[i].run, tear_down);
      }
  return g_test_run ();
}
