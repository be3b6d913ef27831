/* SPDX-License-Identifier: Apache-2.0 */
/* The service and the link with the double, each test as a thread and as a child. */
#include <signal.h>
#include <string.h>

#include "app-test.h"
#include "ing-engine-link.h"
#include "ing-json.h"

typedef struct
{
  IngGenerationService *service;
  GString *states;
} Fixture;

static void
on_state (IngGenerationService *service, GParamSpec *pspec, gpointer data)
{
  g_string_append_c (data, "nlrg"[ing_generation_service_get_state (service)]);
}

static void
set_up (Fixture *f, gconstpointer engine)
{
  IngEngineLaunch launch;
  app_test_get_launch (GPOINTER_TO_INT (engine), &launch);
  f->service = ing_generation_service_new (&launch);
  f->states = g_string_new (NULL);
  g_signal_connect (f->service, "notify::state", G_CALLBACK (on_state), f->states);
}

static void
tear_down (Fixture *f, gconstpointer engine)
{
  ing_generation_service_close (f->service);
  g_object_add_weak_pointer (G_OBJECT (f->service), (gpointer *) &f->service);
  g_object_unref (f->service);
  g_assert_null (f->service);
  g_string_free (f->states, TRUE);
  g_assert_true (ing_engine_link_wait_closed (5000));
}

static void
load (Fixture *f, const char *path, const IngLoadOptions *options, GError **error)
{
  g_autoptr (GAsyncResult) result = NULL;
  ing_generation_service_load_async (f->service, path, options, NULL, app_test_keep_result,
                                     &result);
  app_test_wait (result != NULL);
  ing_generation_service_load_finish (f->service, result, error);
}

typedef struct
{
  IngGeneration *generation;
  GString *text;
  guint n_texts;
  gint64 first_us, last_us;
} Listener;

static void
on_text (IngGeneration *generation, const char *text, gpointer data)
{
  Listener *l = data;
  g_assert_true (g_utf8_validate (text, -1, NULL));
  g_assert_cmpuint (strlen (text), >, 0);
  g_string_append (l->text, text);
  l->n_texts++;
  l->last_us = g_get_monotonic_time ();
  if (l->first_us == 0)
    l->first_us = l->last_us;
}

static Listener *
ask (Fixture *f, const char *text)
{
  JsonObject *request = json_object_new ();
  JsonArray *messages = json_array_new ();
  JsonObject *turn = json_object_new ();
  json_object_set_string_member (turn, "role", "user");
  json_object_set_string_member (turn, "content", text);
  json_array_add_object_element (messages, turn);
  json_object_set_array_member (request, "messages", messages);
  Listener *l = g_new0 (Listener, 1);
  l->text = g_string_new (NULL);
  l->generation = ing_generation_new (request);
  g_signal_connect (l->generation, "text", G_CALLBACK (on_text), l);
  ing_generation_service_submit (f->service, l->generation);
  return l;
}

static void
listener_free (Listener *l)
{
  g_signal_handlers_disconnect_by_data (l->generation, l);
  g_object_unref (l->generation);
  g_string_free (l->text, TRUE);
  g_free (l);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Listener, listener_free)

static void
test_load (Fixture *f, gconstpointer engine)
{
  g_autoptr (GError) error = NULL;
  load (f, "/models/good.gguf", NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (f->states->str, ==, "lr");
  g_assert_cmpstr (ing_generation_service_get_model_name (f->service), ==, "good.gguf");
  g_assert_cmpstr (ing_generation_service_get_device (f->service), ==, "CPU · fake");
  g_assert_cmpuint (ing_generation_service_get_context_size (f->service), ==, 8192);
  g_assert_true (ing_generation_service_get_has_template (f->service));
  g_assert_nonnull (strstr (ing_generation_service_get_model_info (f->service), "\"Q4_1\""));
  g_assert_nonnull (strstr (ing_generation_service_get_devices (f->service), "Fake CPU"));

  load (f, "/models/missing.gguf", NULL, &error);
  g_assert_error (error, ING_ERROR, ING_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_cmpint (ing_generation_service_get_state (f->service), ==, ING_SERVICE_NO_MODEL);
  g_assert_null (ing_generation_service_get_model_path (f->service));
  g_assert_error (ing_generation_service_get_load_error (f->service), ING_ERROR,
                  ING_ERROR_NOT_FOUND);

  load (f, "/models/large.gguf", NULL, &error);
  g_assert_error (error, ING_ERROR, ING_ERROR_TOO_LARGE);
  g_assert_cmpuint (ing_error_get_needed (error), ==, 64000000000);
  g_assert_cmpuint (ing_error_get_available (error), ==, 8000000000);
  g_clear_error (&error);
  IngLoadOptions options = ING_LOAD_OPTIONS_INIT;
  options.force = TRUE;
  load (f, "/models/large.gguf", &options, &error);
  g_assert_no_error (error);
  g_assert_null (ing_generation_service_get_load_error (f->service));

  ing_generation_service_unload (f->service);
  g_assert_cmpint (ing_generation_service_get_state (f->service), ==, ING_SERVICE_NO_MODEL);
}

static void
test_load_replaced (Fixture *f, gconstpointer engine)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GAsyncResult) first = NULL;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  ing_generation_service_load_async (f->service, "/slow-1.gguf", NULL, cancellable,
                                     app_test_keep_result, &first);
  app_test_wait (ing_generation_service_get_load_progress (f->service) > 0.2);
  load (f, "/good-2.gguf", NULL, &error);
  g_assert_no_error (error);
  app_test_wait (first != NULL);
  g_assert_false (ing_generation_service_load_finish (f->service, first, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  g_assert_cmpstr (ing_generation_service_get_model_path (f->service), ==, "/good-2.gguf");

  /* Cancelled by its caller: no model, and no error to show. */
  g_clear_object (&first);
  ing_generation_service_load_async (f->service, "/slow-3.gguf", NULL, cancellable,
                                     app_test_keep_result, &first);
  app_test_wait (ing_generation_service_get_load_progress (f->service) > 0.2);
  g_cancellable_cancel (cancellable);
  app_test_wait (first != NULL);
  g_assert_false (ing_generation_service_load_finish (f->service, first, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_null (ing_generation_service_get_load_error (f->service));
  g_assert_cmpint (ing_generation_service_get_state (f->service), ==, ING_SERVICE_NO_MODEL);
}

static void
test_answer (Fixture *f, gconstpointer engine)
{
  load (f, "/good.gguf", NULL, NULL);
  g_autoptr (Listener) l = ask (f, "count 5 0");
  app_test_wait (l->generation->finished);
  g_assert_no_error (l->generation->error);
  g_assert_cmpstr (l->text->str, ==, "w1 w2 w3 w4 w5");
  g_assert_cmpint (l->generation->stop_reason, ==, ING_STOP_END);
  g_assert_cmpuint (l->generation->n_tokens, ==, 5);
  g_assert_cmpuint (l->generation->n_prompt, ==, 100);
  g_assert_cmpuint (l->generation->n_cached, ==, 40);
  g_assert_cmpint (l->generation->seed, ==, 42);
  g_assert_cmpfloat (l->generation->tokens_per_second, ==, 4 / 0.005);
  g_assert_cmpuint (ing_generation_service_get_context_used (f->service), ==, 105);
  g_assert_cmpstr (f->states->str, ==, "lrgr");
  g_autoptr (Listener) cut = ask (f, "length");
  g_autoptr (Listener) full = ask (f, "full");
  app_test_wait (full->generation->finished);
  g_assert_cmpint (cut->generation->stop_reason, ==, ING_STOP_LENGTH);
  g_assert_error (full->generation->error, ING_ERROR, ING_ERROR_CONTEXT_FULL);
  g_assert_cmpuint (ing_error_get_needed (full->generation->error), ==, 9000);
}

/* However fast tokens come, the main context wakes up at most once a frame. */
static void
test_frames (Fixture *f, gconstpointer engine)
{
  load (f, "/good.gguf", NULL, NULL);
  g_autoptr (Listener) l = ask (f, "count 1000 1");
  app_test_wait (l->generation->finished);
  g_assert_cmpuint (l->generation->n_tokens, ==, 1000);
  gint64 us = l->last_us - l->first_us;
  g_test_message ("%u batches in %.0f ms", l->n_texts, us / 1000.0);
  /* A processor busy elsewhere may keep the first batch waiting, which shortens the time measured. */
  g_assert_cmpint (l->n_texts, <=, us / ING_LINK_FRAME_US * 5 / 4 + 10);
  g_assert_cmpint (l->n_texts, >, 10);
}

/* An answer's first word comes when it is there, whatever came just before it. The least of many: the machine may be busy. */
static void
test_first_word (Fixture *f, gconstpointer engine)
{
  gint64 least_us = G_MAXINT64;
  load (f, "/good.gguf", NULL, NULL);
  for (guint i = 0; i < 20; i++)
    {
      g_autoptr (GAsyncResult) result = NULL;
      ing_generation_service_request_async (f->service, ENG_WIRE_COUNT, json_object_new (), NULL, app_test_keep_result,
                                            &result);
      app_test_wait (result != NULL);
      gint64 asked_us = g_get_monotonic_time ();
      g_autoptr (Listener) l = ask (f, "count 1 0");
      app_test_wait (l->generation->finished);
      g_assert_cmpstr (l->text->str, ==, "w1");
      least_us = MIN (least_us, l->first_us - asked_us);
    }
  g_test_message ("after %.1f ms", (double) least_us / 1e3);
  g_assert_cmpint (least_us, <, ING_LINK_FRAME_US / 2);
}

static void
test_queue (Fixture *f, gconstpointer engine)
{
  g_autoptr (GAsyncResult) result = NULL;
  ing_generation_service_load_async (f->service, "/slow.gguf", NULL, NULL, app_test_keep_result,
                                     &result);
  g_autoptr (Listener) a = ask (f, "count 20 10");
  g_autoptr (Listener) b = ask (f, "count 3 0");
  g_autoptr (Listener) c = ask (f, "count 3 0");
  app_test_wait (a->generation->status == ING_STATUS_MODEL_LOADING
                 && a->generation->progress_total == 20);
  g_assert_cmpuint (ing_generation_service_get_n_waiting (f->service), ==, 3);
  app_test_wait (a->generation->status == ING_STATUS_WRITING);
  g_assert_cmpint (b->generation->status, ==, ING_STATUS_QUEUED);
  ing_generation_service_cancel (f->service, b->generation); /* while it waits */
  g_assert_true (b->generation->finished);
  g_assert_cmpint (b->generation->stop_reason, ==, ING_STOP_PERSON);
  app_test_wait (c->generation->finished);
  g_assert_true (a->generation->finished);
  g_assert_cmpstr (c->text->str, ==, "w1 w2 w3");
  g_assert_cmpuint (b->text->len, ==, 0);
}

static void
test_cancel (Fixture *f, gconstpointer engine)
{
  load (f, "/good.gguf", NULL, NULL);
  g_autoptr (Listener) l = ask (f, "count 100000 1");
  app_test_wait (l->text->len > 20);
  gint64 begun = g_get_monotonic_time ();
  ing_generation_service_cancel (f->service, l->generation);
  app_test_wait (l->generation->finished);
  g_assert_cmpint (g_get_monotonic_time () - begun, <, 500000);
  g_assert_no_error (l->generation->error);
  g_assert_cmpint (l->generation->stop_reason, ==, ING_STOP_PERSON);
  /* Loading another model stops a running answer. */
  g_autoptr (Listener) other = ask (f, "count 100000 1");
  app_test_wait (other->text->len > 20);
  load (f, "/good-2.gguf", NULL, NULL);
  app_test_wait (other->generation->finished);
  g_assert_cmpint (other->generation->stop_reason, ==, ING_STOP_PERSON);
  g_assert_cmpint (ing_generation_service_get_state (f->service), ==, ING_SERVICE_READY);
}

static void
test_no_model (Fixture *f, gconstpointer engine)
{
  g_autoptr (Listener) l = ask (f, "count 3 0");
  g_assert_false (l->generation->finished); /* never from inside submit */
  app_test_wait (l->generation->finished);
  g_assert_error (l->generation->error, ING_ERROR, ING_ERROR_NO_MODEL);
  /* A question that waited for a load that failed says why it failed. */
  g_autoptr (GAsyncResult) result = NULL;
  ing_generation_service_load_async (f->service, "/missing.gguf", NULL, NULL, app_test_keep_result,
                                     &result);
  g_autoptr (Listener) m = ask (f, "count 3 0");
  app_test_wait (m->generation->finished);
  g_assert_error (m->generation->error, ING_ERROR, ING_ERROR_NOT_FOUND);
}

/* The engine goes away in the middle: that answer fails with what came, the next one loads the model
 * again by itself. */
static void
test_lost (Fixture *f, gconstpointer engine)
{
  static const char *const ends[] = { "die", "junk" };
  for (guint i = 0; i < G_N_ELEMENTS (ends); i++)
    {
      load (f, "/good.gguf", NULL, NULL);
      g_autoptr (Listener) l = ask (f, ends[i]);
      g_autoptr (Listener) next = ask (f, "count 3 0");
      app_test_wait (l->generation->finished);
      int code = i == 0 ? ING_ERROR_ENGINE_LOST : ING_ERROR_PROTOCOL;
      g_assert_error (l->generation->error, ING_ERROR, code);
      g_assert_cmpstr (l->text->str, ==, i == 0 ? "one two three" : "");
      app_test_wait (next->generation->finished);
      g_assert_no_error (next->generation->error);
      g_assert_cmpstr (next->text->str, ==, "w1 w2 w3");
    }
  /* It dies of the model itself: no loop, an error. */
  g_autoptr (GError) error = NULL;
  load (f, "/crash.gguf", NULL, &error);
  g_assert_error (error, ING_ERROR, ING_ERROR_ENGINE_LOST);
  g_autoptr (Listener) l = ask (f, "count 3 0");
  app_test_wait (l->generation->finished);
  g_assert_error (l->generation->error, ING_ERROR, ING_ERROR_ENGINE_LOST);
}

static void
test_killed (Fixture *f, gconstpointer engine)
{
  load (f, "/good.gguf", NULL, NULL);
  int pid = ing_generation_service_get_engine_pid (f->service);
  if (pid == 0)
    {
      g_test_skip ("a thread cannot be killed");
      return;
    }
  g_autoptr (Listener) l = ask (f, "count 100000 1");
  app_test_wait (l->text->len > 20);
  kill (pid, SIGKILL);
  app_test_wait (l->generation->finished);
  g_assert_error (l->generation->error, ING_ERROR, ING_ERROR_ENGINE_LOST);
  gint64 begun = g_get_monotonic_time ();
  g_autoptr (Listener) next = ask (f, "count 3 0");
  app_test_wait (next->generation->finished);
  g_assert_no_error (next->generation->error);
  g_assert_cmpint (g_get_monotonic_time () - begun, <, 5 * G_USEC_PER_SEC);
  g_assert_cmpint (ing_generation_service_get_engine_pid (f->service), !=, pid);
}

static void
test_requests (Fixture *f, gconstpointer engine)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GAsyncResult) result = NULL, second = NULL;
  ing_generation_service_inspect_async (f->service, "/x.gguf", NULL, app_test_keep_result, &result);
  ing_generation_service_inspect_async (f->service, "/missing.gguf", NULL, app_test_keep_result,
                                        &second);
  app_test_wait (result != NULL && second != NULL);
  g_autofree char *json = ing_generation_service_inspect_finish (f->service, result, &error);
  g_assert_no_error (error);
  g_assert_nonnull (strstr (json, "\"fake\""));
  g_assert_null (ing_generation_service_inspect_finish (f->service, second, &error));
  g_assert_error (error, ING_ERROR, ING_ERROR_NOT_FOUND);
  g_clear_error (&error);

  g_clear_object (&result);
  JsonObject *payload = json_object_new ();
  JsonArray *texts = json_array_new ();
  json_array_add_string_element (texts, "a");
  json_array_add_string_element (texts, "b");
  json_object_set_array_member (payload, "texts", texts);
  ing_generation_service_request_async (f->service, ENG_WIRE_EMBED, payload, NULL,
                                        app_test_keep_result, &result);
  app_test_wait (result != NULL);
  g_autoptr (IngEngineReply) reply
      = ing_generation_service_request_finish (f->service, result, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (g_bytes_get_size (reply->binary), ==, 8 + 2 * 4 * sizeof (float));
}

/* Closing with everything under way: all callers hear of it, nothing leaks or hangs. */
static void
test_close_busy (Fixture *f, gconstpointer engine)
{
  g_autoptr (GAsyncResult) result = NULL;
  load (f, "/good.gguf", NULL, NULL);
  g_autoptr (Listener) a = ask (f, "count 100000 1");
  g_autoptr (Listener) b = ask (f, "count 100000 1");
  app_test_wait (a->text->len > 20);
  ing_generation_service_inspect_async (f->service, "/x.gguf", NULL, app_test_keep_result, &result);
  ing_generation_service_close (f->service);
  g_assert_true (a->generation->finished && b->generation->finished);
  g_assert_cmpint (a->generation->stop_reason, ==, ING_STOP_PERSON);
  app_test_wait (result != NULL);
  g_autoptr (GError) error = NULL;
  g_assert_null (ing_generation_service_inspect_finish (f->service, result, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

static void
test_no_program (void)
{
  IngEngineLaunch launch = { .mode = ING_ENGINE_CHILD, .program = "/nowhere/inglenook-engine" };
  g_autoptr (IngGenerationService) service = ing_generation_service_new (&launch);
  Fixture f = { service, NULL };
  g_autoptr (GError) error = NULL;
  load (&f, "/good.gguf", NULL, &error);
  g_assert_error (error, ING_ERROR, ING_ERROR_ENGINE_LOST);
  g_assert_cmpint (ing_generation_service_get_state (service), ==, ING_SERVICE_NO_MODEL);
}

/* A model nobody asks rests: it reads as loaded, its memory is free, and the next question loads it again. */
static void
test_rest (Fixture *f, gconstpointer engine)
{
  load (f, "/good.gguf", NULL, NULL);
  ing_generation_service_set_idle_unload (f->service, 1);
  app_test_wait (ing_generation_service_get_resting (f->service));
  g_assert_cmpstr (ing_generation_service_get_model_path (f->service), ==, "/good.gguf");
  g_assert_cmpint (ing_generation_service_get_state (f->service), ==, ING_SERVICE_READY);
  ing_generation_service_set_idle_unload (f->service, 0);
  g_autoptr (Listener) l = ask (f, "count 3 0");
  app_test_wait (l->generation->finished);
  g_assert_cmpstr (l->text->str, ==, "w1 w2 w3");
  g_assert_cmpstr (f->states->str, ==, "lrlrgr");
  g_assert_false (ing_generation_service_get_resting (f->service));

  /* Not while it answers, however long that takes; and another model wakes nobody. */
  ing_generation_service_set_idle_unload (f->service, 1);
  g_autoptr (Listener) slow = ask (f, "count 15 100");
  app_test_wait (slow->generation->finished);
  g_assert_no_error (slow->generation->error);
  g_assert_false (ing_generation_service_get_resting (f->service));
  app_test_wait (ing_generation_service_get_resting (f->service));
  load (f, "/good-2.gguf", NULL, NULL);
  g_assert_false (ing_generation_service_get_resting (f->service));
  g_assert_cmpstr (ing_generation_service_get_model_path (f->service), ==, "/good-2.gguf");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  static const struct
  {
    const char *name;
    void (*run) (Fixture *f, gconstpointer engine);
  } tests[] = {
    { "load", test_load },         { "load-replaced", test_load_replaced },
    { "answer", test_answer },     { "frames", test_frames },
    { "queue", test_queue },       { "cancel", test_cancel },
    { "no-model", test_no_model }, { "lost", test_lost },
    { "killed", test_killed },     { "requests", test_requests },
    { "close-busy", test_close_busy }, { "rest", test_rest },
    { "first-word", test_first_word },
  };
  for (guint i = 0; i < G_N_ELEMENTS (tests); i++)
    for (int engine = APP_TEST_FAKE_THREAD; engine <= APP_TEST_FAKE_CHILD; engine++)
      {
        g_autofree char *path = g_strdup_printf (
            "/app/service/%s/%s", tests[i].name, engine == APP_TEST_FAKE_THREAD ? "thread" : "child");
        g_test_add (path, Fixture, GINT_TO_POINTER (engine), set_up, tests[i].run, tear_down);
      }
  g_test_add_func ("/app/service/no-program", test_no_program);
  return g_test_run ();
}
