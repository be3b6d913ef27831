/* SPDX-License-Identifier: Apache-2.0 */
/* `inglenook ask` of another process, answered in the window's. */
#include <glib/gi18n-lib.h>
#include <string.h>

#include "ing-ask-private.h"

typedef struct
{
  GApplicationCommandLine *command_line;
  IngWorkspace *workspace;
  IngAskOptions *options;
  IngAsk *ask;
} Remote;

static void
remote_out (const char *text, gpointer data)
{
  g_application_command_line_print (((Remote *) data)->command_line, "%s", text);
}

static void
remote_err (const char *text, gpointer data)
{
  g_application_command_line_printerr (((Remote *) data)->command_line, "%s", text);
}

static gboolean
on_free (gpointer data)
{
  Remote *remote = data;
  ing_ask_free (remote->ask);
  ing_ask_options_free (remote->options);
  g_object_unref (remote->workspace);
  g_object_unref (remote->command_line); /* the other process ends with this */
  g_free (remote);
  return G_SOURCE_REMOVE;
}

static void
remote_done (int code, gpointer data)
{
  Remote *remote = data;
  g_application_command_line_set_exit_status (remote->command_line, code);
  g_idle_add (on_free, remote); /* its caller still uses it */
}

static void
start (Remote *remote)
{
  static const IngAskSink sink = { remote_out, remote_err, remote_done, NULL };
  remote->ask = ing_ask_start (remote->workspace, remote->options, &sink, remote);
}

static void
on_stdin_read (GObject *source, GAsyncResult *result, gpointer data)
{
  Remote *remote = data;
  GMemoryOutputStream *memory = G_MEMORY_OUTPUT_STREAM (source);
  gssize n = g_output_stream_splice_finish (G_OUTPUT_STREAM (source), result, NULL);
  if (n > 0 && n <= (gssize) ING_ASK_MAX_BYTES)
    {
      g_autofree char *text = g_strndup (g_memory_output_stream_get_data (memory), (gsize) n);
      if (g_utf8_validate_len (text, (gsize) n, NULL) && *g_strstrip (text) != '\0')
        {
          remote->options->question = g_steal_pointer (&text);
          start (remote);
          return;
        }
    }
  g_autofree char *line = g_strdup_printf ("inglenook ask: %s\n",
                                           _ ("Standard input holds no question: it is empty, too "
                                              "long, or not UTF-8 text."));
  remote_err (line, remote);
  remote_done (ING_ASK_USAGE, remote);
}

gboolean
ing_ask_wants_command_line (GApplicationCommandLine *command_line)
{
  int argc = 0;
  g_auto (GStrv) argv = g_application_command_line_get_arguments (command_line, &argc);
  return argc > 1 && (strcmp (argv[1], "ask") == 0 || strcmp (argv[1], "search") == 0);
}

void
ing_ask_run_command_line (GApplicationCommandLine *command_line, IngWorkspace *workspace)
{
  int argc = 0;
  g_auto (GStrv) argv = g_application_command_line_get_arguments (command_line, &argc);
  g_return_if_fail (argc > 1);
  const char *cwd = g_application_command_line_get_cwd (command_line);
  g_autoptr (GError) error = NULL;
  Remote *remote = g_new0 (Remote, 1);
  remote->command_line = g_object_ref (command_line);
  remote->workspace = g_object_ref (workspace);
  remote->options = ing_ask_options_parse (argv + 2, strcmp (argv[1], "search") == 0, cwd != NULL ? cwd : "/", &error);
  if (remote->options == NULL)
    {
      g_autofree char *line = g_strdup_printf ("inglenook ask: %s\n", error->message);
      remote_err (line, remote);
      remote_done (ING_ASK_USAGE, remote);
      return;
    }
  if (remote->options->help)
    {
      remote_out (ing_ask_get_usage (), remote);
      remote_done (ING_ASK_OK, remote);
      return;
    }
  g_autoptr (GInputStream) in = remote->options->from_stdin
                                    ? g_application_command_line_get_stdin (command_line)
                                    : NULL;
  if (!remote->options->from_stdin)
    start (remote);
  else if (in == NULL)
    {
      remote_err ("inglenook ask: no standard input\n", remote);
      remote_done (ING_ASK_USAGE, remote);
    }
  else
    {
      g_autoptr (GOutputStream) memory = g_memory_output_stream_new_resizable ();
      g_output_stream_splice_async (memory, in, G_OUTPUT_STREAM_SPLICE_CLOSE_SOURCE,
                                    G_PRIORITY_DEFAULT, NULL, on_stdin_read, remote);
    }
}
