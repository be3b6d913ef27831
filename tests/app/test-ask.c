/* SPDX-License-Identifier: Apache-2.0 */
/* `inglenook ask` as a process of its own, alone and beside a (windowless) primary instance. */
#include <locale.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "app-test.h"
#include "ing-ask-private.h"
#include "ing-collections.h"
#include "ing-conversation-list-private.h"
#include "ing-data-lock.h"
#include "ing-json.h"

static char *home; /* data, settings and models of the processes */

static void
set_up_home (void)
{
  home = app_test_make_folder ();
  g_autofree char *config = g_build_filename (home, "config", "inglenook", NULL);
  g_autofree char *settings = g_build_filename (config, "settings.ini", NULL);
  g_autofree char *models = g_build_filename (home, "models", NULL);
  g_autofree char *model = g_build_filename (models, "good.gguf", NULL);
  g_assert_cmpint (g_mkdir_with_parents (config, 0700), ==, 0);
  g_assert_cmpint (g_mkdir_with_parents (models, 0700), ==, 0);
  g_assert_true (g_file_set_contents (settings, "[engine]\nmode=child\n", -1, NULL));
  g_assert_true (g_file_set_contents (model, "x", -1, NULL));
}

static GSubprocess *
start (const char *const *words, gboolean with_bus)
{
  g_autoptr (GSubprocessLauncher) launcher = g_subprocess_launcher_new (
      G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE
      | G_SUBPROCESS_FLAGS_STDERR_PIPE);
  const char *variables[][2] = { { "XDG_DATA_HOME", "data" },
                                 { "XDG_CONFIG_HOME", "config" },
                                 { "XDG_CACHE_HOME", "cache" },
                                 { "XDG_RUNTIME_DIR", "run" },
                                 { "INGLENOOK_MODELS", "models" } };
  for (guint i = 0; i < G_N_ELEMENTS (variables); i++)
    {
      g_autofree char *path = g_build_filename (home, variables[i][1], NULL);
      g_subprocess_launcher_setenv (launcher, variables[i][0], path, TRUE);
    }
  g_subprocess_launcher_setenv (launcher, "INGLENOOK_ENGINE", g_getenv ("INGLENOOK_FAKE_ENGINE"),
                                TRUE);
  if (!with_bus)
    g_subprocess_launcher_unsetenv (launcher, "DBUS_SESSION_BUS_ADDRESS");
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  g_ptr_array_add (argv, (char *) g_getenv ("INGLENOOK_ASK_TOOL"));
  g_ptr_array_add (argv, (char *) "ask");
  for (guint i = 0; words[i] != NULL; i++)
    g_ptr_array_add (argv, (char *) words[i]);
  g_ptr_array_add (argv, NULL);
  g_autoptr (GError) error = NULL;
  GSubprocess *process = g_subprocess_launcher_spawnv (
      launcher, (const char *const *) argv->pdata, &error);
  g_assert_no_error (error);
  return process;
}

/* Runs it; returns the exit code. */
static int
ask_full (const char *const *words, const char *in, gboolean with_bus, char **out, char **err)
{
  g_autoptr (GSubprocess) process = start (words, with_bus);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *own_out = NULL, *own_err = NULL;
  g_subprocess_communicate_utf8_async (process, in != NULL ? in : "", NULL, app_test_keep_result,
                                       &result);
  app_test_wait (result != NULL);
  g_subprocess_communicate_utf8_finish (process, result, &own_out, &own_err, &error);
  g_assert_no_error (error);
  g_assert_true (g_subprocess_get_if_exited (process));
  if (out != NULL)
    *out = g_steal_pointer (&own_out);
  if (err != NULL)
    *err = g_steal_pointer (&own_err);
  return g_subprocess_get_exit_status (process);
}

#define ask(in, with_bus, out, err, ...)                                                           \
  ask_full ((const char *const[]){ __VA_ARGS__, NULL }, in, with_bus, out, err)

static void
test_printable (void)
{
  g_autofree char *clean = ing_ask_make_printable ("a\x1b[31m\tb\r\n\xc2\x9b" "c\x7f 你好");
  g_assert_cmpstr (clean, ==, "a[31m\tb\nc 你好");
}

static void
test_alone (void)
{
  g_autofree char *out = NULL, *err = NULL, *json = NULL, *more = NULL, *in = NULL;
  g_assert_cmpint (ask (NULL, FALSE, &out, &err, "count", "3", "0"), ==, 0);
  g_assert_cmpstr (out, ==, "w1 w2 w3\n");
  g_assert_cmpstr (err, ==, "");

  g_assert_cmpint (ask (NULL, FALSE, &json, NULL, "--json", "count 2 0"), ==, 0);
  g_autoptr (JsonObject) o = ing_json_parse_object (json, -1, NULL);
  g_assert_nonnull (o);
  g_assert_cmpstr (json_object_get_string_member (o, "answer"), ==, "w1 w2");
  g_assert_true (json_object_has_member (o, "found"));
  g_assert_cmpuint (json_array_get_length (json_object_get_array_member (o, "sources")), ==, 0);
  gint64 id = json_object_get_int_member (o, "conversation");
  g_assert_cmpint (id, >, 0);

  /* The conversation goes on: the double shows what it was asked. */
  g_autofree char *number = g_strdup_printf ("--conversation=%" G_GINT64_FORMAT, id);
  g_assert_cmpint (ask (NULL, FALSE, &more, NULL, number, "and now"), ==, 0);
  g_assert_nonnull (strstr (more, "count 2 0"));
  g_assert_nonnull (strstr (more, "w1 w2"));
  g_assert_nonnull (strstr (more, "and now"));

  g_assert_cmpint (ask (" count 4 0 \n", FALSE, &in, NULL, "-"), ==, 0);
  g_assert_cmpstr (in, ==, "w1 w2 w3 w4\n");
}

static void
test_usage (void)
{
  static const char *const bad[][4] = {
    { "--conversation", "x", "hello", NULL }, { "--unknown", "hello", NULL },
    { "--model", NULL },                      { "--json", NULL },
    { "-", "hello", NULL },                   { "  ", NULL },
    { "--modelx", "y", NULL },                { "-x", NULL },
  };
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autofree char *out = NULL, *err = NULL;
      g_assert_cmpint (ask_full (bad[i], NULL, FALSE, &out, &err), ==, 2);
      g_assert_cmpstr (out, ==, "");
      g_assert_nonnull (strstr (err, "ask --help"));
    }
  g_assert_cmpint (ask ("", FALSE, NULL, NULL, "-"), ==, 2);
  g_autofree char *help = NULL;
  g_assert_cmpint (ask (NULL, FALSE, &help, NULL, "--help"), ==, 0);
  g_assert_nonnull (strstr (help, "--conversation"));
  g_autofree char *dashes = NULL;
  g_assert_cmpint (ask (NULL, FALSE, &dashes, NULL, "--", "--not-an-option"), ==, 0);
  g_assert_nonnull (strstr (dashes, "--not-an-option"));
}

/* Documents are asked as in the window: a short one is read whole, whatever is asked; the same file twice is one; one that
 * cannot be read is named beside the others. */
static void
test_documents (void)
{
  g_autofree char *lease = g_build_filename (home, "lease.md", NULL), *bad = g_build_filename (home, "bad.pdf", NULL);
  g_autofree char *again = g_build_filename (home, "models", "..", "lease.md", NULL);
  g_autofree char *out = NULL, *err = NULL, *json = NULL;
  g_assert_true (g_file_set_contents (lease, "# Lease\n\nThe rent is due on the third of each month.\n", -1, NULL));
  g_assert_true (g_file_set_contents (bad, "%PDF-1.7 nothing", -1, NULL));
  g_assert_cmpint (
      ask (NULL, FALSE, &json, &err, "--json", "--document", lease, "--document", again, "--document", bad, "Summarize."), ==, 0);
  g_assert_nonnull (strstr (err, "bad.pdf: "));
  g_assert_null (strstr (err, "lease.md"));
  g_autoptr (JsonObject) o = ing_json_parse_object (json, -1, NULL);
  g_assert_nonnull (o);
  g_assert_true (json_object_get_boolean_member (o, "found"));
  JsonArray *sources = json_object_get_array_member (o, "sources");
  g_assert_cmpuint (json_array_get_length (sources), ==, 1);
  g_assert_nonnull (strstr (ing_json_get_string (json_array_get_object_element (sources, 0), "text", ""), "third"));

  /* A folder is its documents, those below it too; hidden ones and others are passed over. */
  g_autofree char *papers = g_build_filename (home, "papers", NULL), *below = g_build_filename (papers, "old", NULL);
  g_autofree char *first = g_build_filename (papers, "rent.md", NULL), *second = g_build_filename (below, "pets.TXT", NULL);
  g_autofree char *hidden = g_build_filename (papers, ".secret.md", NULL), *other = g_build_filename (papers, "a.bin", NULL);
  g_autofree char *link = g_build_filename (papers, "loop", NULL), *all = NULL;
  g_assert_cmpint (g_mkdir_with_parents (below, 0700), ==, 0);
  g_assert_cmpint (symlink (papers, link), ==, 0);
  g_assert_true (g_file_set_contents (first, "The rent is 900 euros a month.", -1, NULL));
  g_assert_true (g_file_set_contents (second, "Pets are not allowed in the flat.", -1, NULL));
  g_assert_true (g_file_set_contents (hidden, "A secret about pets and rent.", -1, NULL));
  g_assert_true (g_file_set_contents (other, "Pets and rent.", -1, NULL));
  g_assert_cmpint (ask (NULL, FALSE, &all, NULL, "--json", "--document", papers, "Summarize."), ==, 0);
  g_autoptr (JsonObject) both = ing_json_parse_object (all, -1, NULL);
  g_assert_nonnull (both);
  g_assert_cmpuint (json_array_get_length (json_object_get_array_member (both, "sources")), ==, 2);

  g_autofree char *alone = NULL;
  g_assert_cmpint (ask (NULL, FALSE, &out, &alone, "--document", bad, "Summarize."), ==, 1);
  g_assert_cmpstr (out, ==, "");
  g_assert_nonnull (strstr (alone, "bad.pdf: "));
}

/* A collection of @folder, and the number of a conversation that asks it, as the window makes them. */
static gint64
make_collection (const char *name, const char *folder)
{
  g_autofree char *data = g_build_filename (home, "data", "inglenook", NULL);
  g_assert_true (ing_paths_ensure_folder (data, NULL));
  IngWorkspace *workspace = app_test_open (data, APP_TEST_FAKE_THREAD);
  IngCollections *collections = ing_document_library_get_collections (ing_workspace_get_documents (workspace));
  IngCollection *collection = ing_collections_create (collections, name);
  const char *const paths[] = { folder, NULL };
  ing_collections_add (collections, ing_collection_get_owner (collection), paths);
  app_test_wait (!ing_collections_is_looking (collections, ing_collection_get_owner (collection)));
  IngConversation *talk = ing_conversation_list_create_other (ing_workspace_get_conversations (workspace));
  ing_conversation_send (talk, "count 1 0", NULL);
  app_test_wait (!ing_conversation_get_busy (talk));
  gint64 id = ing_conversation_get_id (talk);
  ing_collections_set_asked (collections, id, collection, TRUE);
  app_test_close (workspace);
  return id;
}

static guint
count_sources (const char *json)
{
  g_autoptr (JsonObject) o = ing_json_parse_object (json, -1, NULL);
  g_assert_nonnull (o);
  return json_array_get_length (json_object_get_array_member (o, "sources"));
}

/* By its name in any case; a file that came into its folder while nothing ran is found; a document named beside it is asked
 * too; a conversation asks the collections that it does in the window. */
static void
test_collections (void)
{
  g_autofree char *folder = g_build_filename (home, "flat", NULL), *rent = g_build_filename (folder, "rent.md", NULL);
  g_autofree char *pets = g_build_filename (folder, "pets.md", NULL), *lease = g_build_filename (home, "lease.md", NULL);
  g_autofree char *one = NULL, *two = NULL, *three = NULL, *went_on = NULL, *out = NULL, *err = NULL, *bare = NULL;
  g_assert_cmpint (g_mkdir_with_parents (folder, 0700), ==, 0);
  g_assert_true (g_file_set_contents (lease, "# Lease\n\nThe rent is due on the third of each month.\n", -1, NULL));
  g_assert_true (g_file_set_contents (rent, "The rent is 900 euros a month.", -1, NULL));
  gint64 id = make_collection ("Flat", folder);
  g_assert_cmpint (ask (NULL, FALSE, &one, NULL, "--json", "--collection", "flat", "Summarize."), ==, 0);
  g_assert_cmpuint (count_sources (one), ==, 1);
  g_assert_nonnull (strstr (one, "900 euros"));

  g_assert_true (g_file_set_contents (pets, "Pets are not allowed in the flat.", -1, NULL));
  g_assert_cmpint (ask (NULL, FALSE, &two, NULL, "--json", "--collection=Flat", "Summarize."), ==, 0);
  g_assert_cmpuint (count_sources (two), ==, 2);
  g_assert_cmpint (
      ask (NULL, FALSE, &three, NULL, "--json", "--collection", "Flat", "--document", lease, "--document", rent, "Summarize."),
      ==, 0);
  g_assert_cmpuint (count_sources (three), ==, 3);

  g_autofree char *number = g_strdup_printf ("--conversation=%" G_GINT64_FORMAT, id);
  g_assert_cmpint (ask (NULL, FALSE, &went_on, NULL, "--json", number, "Summarize."), ==, 0);
  g_assert_cmpuint (count_sources (went_on), ==, 2);

  g_assert_cmpint (ask (NULL, FALSE, &out, &err, "--collection", "Flut", "Summarize."), ==, 1);
  g_assert_cmpstr (out, ==, "");
  g_assert_nonnull (strstr (err, "“Flut”"));
  g_assert_nonnull (strstr (err, "“Flat”"));
  g_assert_cmpint (ask (NULL, FALSE, NULL, &bare, "--collection"), ==, 2);
}

static void
test_failures (void)
{
  static const struct
  {
    const char *words[4];
    const char *expected;
  } cases[] = {
    { { "--model", "missing", "hi", NULL }, "missing" },
    { { "--conversation", "987654", "hi", NULL }, "987654" },
    { { "full", NULL }, "9" },
    { { "die", NULL }, "engine" },
  };
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *out = NULL, *err = NULL, *json = NULL;
      g_assert_cmpint (ask_full (cases[i].words, NULL, FALSE, &out, &err), ==, 1);
      g_assert_nonnull (strstr (err, cases[i].expected));
      g_assert_true (g_str_has_prefix (err, "inglenook: ") || g_str_has_prefix (err, "\ninglenook: "));
    }
}

/* Ctrl+C: what came stays, in the terminal and in the conversation. */
static void
test_interrupt (void)
{
  g_autoptr (GSubprocess) process
      = start ((const char *const[]){ "count 100000 5", NULL }, FALSE);
  GInputStream *stream = g_subprocess_get_stdout_pipe (process);
  char first[3] = "";
  g_assert_cmpint (g_input_stream_read (stream, first, 2, NULL, NULL), >, 0);
  g_assert_cmpint (first[0], ==, 'w');
  g_subprocess_send_signal (process, SIGINT);
  g_autoptr (GAsyncResult) result = NULL;
  g_subprocess_communicate_utf8_async (process, NULL, NULL, app_test_keep_result, &result);
  app_test_wait (result != NULL);
  g_autofree char *err = NULL;
  g_subprocess_communicate_utf8_finish (process, result, NULL, &err, NULL);
  g_assert_true (g_subprocess_get_if_exited (process));
  g_assert_cmpint (g_subprocess_get_exit_status (process), ==, 130);
}

/* A window has the folder, and there is no bus to reach it: answered, not kept, and said so. */
static void
test_locked (void)
{
  g_autofree char *folder = g_build_filename (home, "data", "inglenook", NULL);
  g_assert_true (ing_paths_ensure_folder (folder, NULL));
  g_autoptr (IngDataLock) lock = ing_data_lock_take (folder, "window", NULL);
  g_assert_nonnull (lock);
  g_autofree char *out = NULL, *err = NULL;
  g_assert_cmpint (ask (NULL, FALSE, &out, &err, "--json", "count 1 0"), ==, 0);
  g_assert_nonnull (strstr (err, "not kept"));
  g_autoptr (JsonObject) o = ing_json_parse_object (out, -1, NULL);
  g_assert_cmpstr (json_object_get_string_member (o, "answer"), ==, "w1");
  g_assert_true (json_object_get_null_member (o, "conversation"));
}

/* ------------------------------------------------------------------ beside a window */

static int
on_command_line (GApplication *application, GApplicationCommandLine *line, gpointer data)
{
  g_assert_true (ing_ask_wants_command_line (line));
  ing_ask_run_command_line (line, data);
  return 0;
}

static void
test_beside_window (void)
{
  g_autoptr (GTestDBus) bus = g_test_dbus_new (G_TEST_DBUS_NONE);
  g_autofree char *daemon = g_find_program_in_path ("dbus-daemon");
  if (daemon == NULL)
    {
      g_test_skip ("no dbus-daemon");
      return;
    }
  g_test_dbus_up (bus);
  g_autofree char *folder = g_build_filename (home, "data", "inglenook", NULL);
  g_assert_true (ing_paths_ensure_folder (folder, NULL));
  IngWorkspace *workspace = app_test_open (folder, APP_TEST_FAKE_CHILD);
  IngConversationList *list = ing_workspace_get_conversations (workspace);
  app_test_load (workspace, "/window.gguf");
  GApplication *primary = g_application_new (ING_APP_ID, G_APPLICATION_HANDLES_COMMAND_LINE);
  g_signal_connect (primary, "command-line", G_CALLBACK (on_command_line), workspace);
  g_application_hold (primary);
  g_autoptr (GError) error = NULL;
  g_application_register (primary, NULL, &error);
  g_assert_no_error (error);
  g_assert_false (g_application_get_is_remote (primary));

  guint before = g_list_model_get_n_items (G_LIST_MODEL (list));
  /* What is being written in the window stays its own. */
  g_autoptr (IngConversation) fresh = ing_conversation_list_create (list);
  ing_conversation_set_draft (fresh, "half a sentence");
  g_autofree char *out = NULL, *err = NULL, *in = NULL, *usage = NULL;
  g_assert_cmpint (ask (NULL, TRUE, &out, &err, "count 3 1"), ==, 0);
  g_assert_cmpstr (out, ==, "w1 w2 w3\n");
  g_assert_cmpuint (g_list_model_get_n_items (G_LIST_MODEL (list)), ==, before + 1);
  g_autoptr (IngConversation) asked = g_list_model_get_item (G_LIST_MODEL (list), 0);
  g_assert_cmpstr (ing_conversation_get_title (asked), ==, "count 3 1");
  g_assert_true (asked != fresh);
  g_assert_cmpint (ask ("count 2 0", TRUE, &in, NULL, "-"), ==, 0);
  g_assert_cmpstr (in, ==, "w1 w2\n");
  g_assert_cmpint (ask (NULL, TRUE, NULL, &usage, "--conversation", "424242", "x"), ==, 1);
  g_assert_nonnull (strstr (usage, "424242"));
  g_assert_cmpint (ask (NULL, TRUE, NULL, NULL, "--bad"), ==, 2);

  g_clear_object (&asked);
  g_clear_object (&fresh);
  g_application_release (primary);
  g_object_unref (primary);
  app_test_close (workspace);
  g_test_dbus_stop (bus); /* not down: it waits for a connection that GIO keeps */
}

int
main (int argc, char **argv)
{
  setlocale (LC_ALL, "");
  g_test_init (&argc, &argv, NULL);
  set_up_home ();
  g_test_add_func ("/app/ask/printable", test_printable);
  g_test_add_func ("/app/ask/alone", test_alone);
  g_test_add_func ("/app/ask/usage", test_usage);
  g_test_add_func ("/app/ask/documents", test_documents);
  g_test_add_func ("/app/ask/collections", test_collections);
  g_test_add_func ("/app/ask/failures", test_failures);
  g_test_add_func ("/app/ask/interrupt", test_interrupt);
  g_test_add_func ("/app/ask/locked", test_locked);
  g_test_add_func ("/app/ask/beside-window", test_beside_window);
  return g_test_run ();
}
