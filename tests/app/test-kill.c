/* SPDX-License-Identifier: Apache-2.0 */
/* kill -9 at random moments while the real engine writes, against a log that stands outside: the database
 * opens clean each time, no conversation or question is lost, and of an answer at most the last 500 ms.
 *
 * The victim is this program again (--victim FOLDER MODE SEED). What a person could have seen it says through
 * a pipe, a line each, with the time on the clock that both share:
 *
 *   ready                     the model is loaded, the storage is sound
 *   question ID CONVERSATION  committed, by its status
 *   text ID MICROSECONDS ESCAPED-PIECE
 *
 * 20 times in all, 100 with INGLENOOK_LONG; half of them with the engine in a child of the victim. */
#include <errno.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app-test.h"

#define STARTER "SmolLM2-135M-Instruct-Q4_1.gguf"
#define MAX_LOST_US (500 * 1000)
#define QUESTION "Tell me a long story about a lighthouse, number %u."

/* ------------------------------------------------------------------ the victim */

static void
say (const char *format, ...) G_GNUC_PRINTF (1, 2);

static void
say (const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *line = g_strdup_vprintf (format, args);
  va_end (args);
  if (write (STDOUT_FILENO, line, strlen (line)) < 0)
    _exit (1);
}

static void
on_text (IngMessage *message, IngPart *part, const char *text, gpointer data)
{
  g_autofree char *escaped = g_strescape (text, NULL);
  say ("text %" G_GINT64_FORMAT " %" G_GINT64_FORMAT " %s\n", ing_message_get_id (message),
       g_get_monotonic_time (), escaped);
}

static void
on_status (IngMessage *answer, GParamSpec *pspec, gpointer data)
{
  if (ing_message_get_status (answer) == ING_STATUS_SAVING || g_object_get_data (G_OBJECT (answer), "told"))
    return;
  g_object_set_data (G_OBJECT (answer), "told", GINT_TO_POINTER (1));
  say ("question %" G_GINT64_FORMAT " %" G_GINT64_FORMAT "\n", ing_message_get_parent_id (answer),
       ing_conversation_get_id (ING_CONVERSATION (data)));
}

/* What the last death left behind is as a person should find it. */
static void
look_at_last (IngConversation *conversation)
{
  g_autoptr (GAsyncResult) result = NULL;
  ing_conversation_load_async (conversation, NULL, app_test_keep_result, &result);
  app_test_wait (result != NULL);
  g_assert_true (ing_conversation_load_finish (conversation, result, NULL));
  GListModel *messages = ing_conversation_list_messages (conversation);
  guint n = g_list_model_get_n_items (messages);
  g_assert_cmpuint (n, >=, 2);
  g_autoptr (IngMessage) last = g_list_model_get_item (messages, n - 1);
  g_assert_cmpint (ing_message_get_role (last), ==, ING_ROLE_ASSISTANT);
  g_assert_cmpint (ing_message_get_state (last), >=, ING_MESSAGE_COMPLETE);
  if (ing_message_get_state (last) == ING_MESSAGE_INTERRUPTED)
    g_assert_true (ing_message_can_continue (last));
}

static G_NORETURN void
victim_main (const char *folder, const char *mode, guint32 seed)
{
  g_autoptr (GRand) random = g_rand_new_with_seed (seed);
  g_autofree char *model = g_build_filename (ing_paths_get_models (), STARTER, NULL);
  IngWorkspace *workspace = app_test_open (
      folder, g_str_equal (mode, "child") ? APP_TEST_REAL_CHILD : APP_TEST_REAL_THREAD);
  IngConversationList *list = ing_workspace_get_conversations (workspace);
  g_assert_cmpint (ing_workspace_get_storage_state (workspace), ==, ING_STORAGE_OK);
  if (g_list_model_get_n_items (G_LIST_MODEL (list)) > 0)
    {
      g_autoptr (IngConversation) last = g_list_model_get_item (G_LIST_MODEL (list), 0);
      look_at_last (last);
    }
  app_test_load (workspace, model);
  say ("ready\n");
  for (;;)
    {
      g_autoptr (IngConversation) conversation = ing_conversation_list_create (list);
      guint n_turns = (guint) g_rand_int_range (random, 1, 4);
      for (guint turn = 0; turn < n_turns; turn++)
        {
          g_autofree char *text = g_strdup_printf (QUESTION, turn);
          IngSampling sampling;
          ing_sampling_init (&sampling);
          sampling.seed = g_rand_int (random);
          sampling.max_tokens = g_rand_int_range (random, 16, 256);
          ing_conversation_set_sampling (conversation, &sampling);
          IngMessage *answer = ing_conversation_send (conversation, text, NULL);
          g_assert_nonnull (answer);
          g_signal_connect (answer, "text-appended", G_CALLBACK (on_text), NULL);
          g_signal_connect (answer, "notify::status", G_CALLBACK (on_status), conversation);
          app_test_wait_idle (conversation);
        }
    }
}

/* ------------------------------------------------------------------ what was seen */

typedef struct
{
  gint64 id;
  GString *text;
  GArray *ends;  /* of gsize: bytes shown after each piece, */
  GArray *times; /* of gint64: and when */
} Shown;

typedef struct
{
  GHashTable *answers;   /* id → Shown */
  GHashTable *questions; /* id → conversation, both gint64 */
  gint64 longest_lost_us;
  guint n_interrupted;
} Seen;

static void
shown_free (gpointer data)
{
  Shown *shown = data;
  g_string_free (shown->text, TRUE);
  g_array_unref (shown->ends);
  g_array_unref (shown->times);
  g_free (shown);
}

static gint64 *
id_key (gint64 id)
{
  return g_memdup2 (&id, sizeof id);
}

static void
see (Seen *seen, const char *line)
{
  g_auto (GStrv) words = g_strsplit (line, " ", 4);
  if (g_str_equal (words[0], "question"))
    {
      g_assert_cmpuint (g_strv_length (words), ==, 3);
      g_hash_table_insert (seen->questions, id_key (g_ascii_strtoll (words[1], NULL, 10)),
                           id_key (g_ascii_strtoll (words[2], NULL, 10)));
    }
  else if (g_str_equal (words[0], "text"))
    {
      g_assert_cmpuint (g_strv_length (words), ==, 4);
      gint64 id = g_ascii_strtoll (words[1], NULL, 10), us = g_ascii_strtoll (words[2], NULL, 10);
      g_autofree char *piece = g_strcompress (words[3]);
      Shown *shown = g_hash_table_lookup (seen->answers, &id);
      if (shown == NULL)
        {
          shown = g_new0 (Shown, 1);
          shown->id = id;
          shown->text = g_string_new (NULL);
          shown->ends = g_array_new (FALSE, FALSE, sizeof (gsize));
          shown->times = g_array_new (FALSE, FALSE, sizeof (gint64));
          g_hash_table_insert (seen->answers, id_key (id), shown);
        }
      g_string_append (shown->text, piece);
      g_array_append_val (shown->ends, shown->text->len);
      g_array_append_val (shown->times, us);
    }
  else
    g_assert_cmpstr (line, ==, "ready");
}

/* ------------------------------------------------------------------ what was kept */

static sqlite3_stmt *
prepare (sqlite3 *db, const char *sql)
{
  sqlite3_stmt *statement;
  g_assert_cmpint (sqlite3_prepare_v2 (db, sql, -1, &statement, NULL), ==, SQLITE_OK);
  return statement;
}

static void
check_shown (Seen *seen, const Shown *shown, const char *kept, gint64 killed_us)
{
  gsize n_kept = strlen (kept);
  g_assert_cmpuint (n_kept, >, 0);
  g_assert_true (strncmp (kept, shown->text->str, MIN (n_kept, shown->text->len)) == 0);
  for (guint i = 0; i < shown->ends->len; i++)
    if (g_array_index (shown->ends, gsize, i) > n_kept)
      {
        gint64 lost_us = killed_us - g_array_index (shown->times, gint64, i);
        seen->longest_lost_us = MAX (seen->longest_lost_us, lost_us);
        break;
      }
}

static void
check_kept (Seen *seen, const char *folder, gint64 killed_us)
{
  g_autofree char *path = g_build_filename (folder, "inglenook.sqlite", NULL);
  GHashTableIter iter;
  gpointer key, value;
  sqlite3 *db;
  g_assert_cmpint (sqlite3_open_v2 (path, &db, SQLITE_OPEN_READWRITE, NULL), ==, SQLITE_OK);
  sqlite3_stmt *check = prepare (db, "PRAGMA integrity_check");
  g_assert_cmpint (sqlite3_step (check), ==, SQLITE_ROW);
  g_assert_cmpstr ((const char *) sqlite3_column_text (check, 0), ==, "ok");
  sqlite3_finalize (check);

  sqlite3_stmt *question = prepare (db, "SELECT m.conversation_id, p.text FROM messages m JOIN conversations c"
                                        " ON c.id = m.conversation_id JOIN parts p ON p.message_id = m.id"
                                        " WHERE m.id = ?");
  g_hash_table_iter_init (&iter, seen->questions);
  while (g_hash_table_iter_next (&iter, &key, &value))
    {
      sqlite3_bind_int64 (question, 1, *(gint64 *) key);
      g_assert_cmpint (sqlite3_step (question), ==, SQLITE_ROW);
      g_assert_cmpint (sqlite3_column_int64 (question, 0), ==, *(gint64 *) value);
      g_assert_true (g_str_has_prefix ((const char *) sqlite3_column_text (question, 1), "Tell me a long story"));
      sqlite3_reset (question);
    }
  sqlite3_finalize (question);

  sqlite3_stmt *answer = prepare (db, "SELECT text FROM parts WHERE message_id = ? AND kind = 1");
  g_hash_table_iter_init (&iter, seen->answers);
  while (g_hash_table_iter_next (&iter, &key, &value))
    {
      sqlite3_bind_int64 (answer, 1, *(gint64 *) key);
      const char *kept = sqlite3_step (answer) == SQLITE_ROW ? (const char *) sqlite3_column_text (answer, 0) : "";
      const Shown *shown = value;
      /* Nothing may be stored yet of an answer that began a moment ago. */
      if (*kept == '\0')
        {
          gint64 lost_us = killed_us - g_array_index (shown->times, gint64, 0);
          seen->longest_lost_us = MAX (seen->longest_lost_us, lost_us);
        }
      else
        check_shown (seen, shown, kept, killed_us);
      seen->n_interrupted += strlen (kept) < shown->text->len;
      sqlite3_reset (answer);
    }
  sqlite3_finalize (answer);
  sqlite3_close (db);
}

/* ------------------------------------------------------------------ the killer */

/* Everything that the victim left running ends by itself. */
static void
reap_all (void)
{
  gint64 until = g_get_monotonic_time () + 10 * G_USEC_PER_SEC;
  for (;;)
    {
      pid_t pid = waitpid (-1, NULL, WNOHANG);
      if (pid < 0 && errno == ECHILD)
        return;
      if (g_get_monotonic_time () > until)
        g_error ("a child of the victim lives on");
      if (pid == 0)
        g_usleep (5000);
    }
}

static void
one_death (Seen *seen, const char *folder, const char *mode, guint32 seed, guint delay_ms)
{
  g_autofree char *number = g_strdup_printf ("%u", seed);
  g_autofree char *line = NULL;
  int pipe_fds[2];
  size_t size = 0;
  ssize_t n;
  g_assert_cmpint (pipe (pipe_fds), ==, 0);
  pid_t pid = fork ();
  if (pid == 0)
    {
      dup2 (pipe_fds[1], STDOUT_FILENO);
      close (pipe_fds[0]);
      close (pipe_fds[1]);
      execl ("/proc/self/exe", "test-kill", "--victim", folder, mode, number, NULL);
      _exit (127);
    }
  close (pipe_fds[1]);
  FILE *lines = fdopen (pipe_fds[0], "r");
  n = getline (&line, &size, lines);
  g_assert_cmpint (n, >, 0);
  g_assert_cmpstr (line, ==, "ready\n");
  g_usleep (delay_ms * 1000ul);
  gint64 killed_us = g_get_monotonic_time ();
  g_assert_cmpint (kill (pid, SIGKILL), ==, 0);
  while ((n = getline (&line, &size, lines)) > 0)
    if (line[n - 1] == '\n') /* the last one may be cut */
      {
        line[n - 1] = '\0';
        see (seen, line);
      }
  fclose (lines);
  reap_all ();
  check_kept (seen, folder, killed_us);
}

static void
test_kill (void)
{
  gboolean is_long = g_getenv ("INGLENOOK_LONG") != NULL;
  guint n = is_long ? 100 : 20;
  g_autofree char *folder = app_test_make_folder ();
  g_autofree char *model = g_build_filename (ing_paths_get_models (), STARTER, NULL);
  Seen seen = {
    .answers = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, shown_free),
    .questions = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, g_free),
  };
  guint n_questions = 0;
  if (!g_file_test (model, G_FILE_TEST_EXISTS))
    {
      g_test_skip ("no starter model");
      return;
    }
  prctl (PR_SET_CHILD_SUBREAPER, 1);
  for (guint i = 0; i < n; i++)
    {
      guint32 seed = (guint32) g_test_rand_int ();
      guint delay_ms = (guint) g_test_rand_int_range (20, is_long ? 5000 : 1500);
      one_death (&seen, folder, i % 2 == 0 ? "thread" : "child", seed, delay_ms);
      n_questions += g_hash_table_size (seen.questions);
      /* Ids go on from one life to the next: what was seen stays to be looked for. */
      g_hash_table_remove_all (seen.answers);
    }
  g_test_message ("%u deaths, %u questions kept, %u answers cut off, at most %.0f ms of text lost", n,
                  g_hash_table_size (seen.questions), seen.n_interrupted, (double) seen.longest_lost_us / 1e3);
  g_assert_cmpuint (n_questions, >, n / 2);
  g_assert_cmpuint (seen.n_interrupted, >, 0);
  g_assert_cmpint (seen.longest_lost_us, <=, MAX_LOST_US);
  g_hash_table_unref (seen.answers);
  g_hash_table_unref (seen.questions);
}

int
main (int argc, char **argv)
{
  if (argc == 5 && g_str_equal (argv[1], "--victim"))
    victim_main (argv[2], argv[3], (guint32) g_ascii_strtoull (argv[4], NULL, 10));
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/app/kill", test_kill);
  return g_test_run ();
}
