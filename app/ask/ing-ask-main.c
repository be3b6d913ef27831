/* SPDX-License-Identifier: Apache-2.0 */
/* `inglenook ask` as a program: through a running window if there is one, else here. */
#include <gio/gunixinputstream.h>
#include <glib-unix.h>
#include <glib/gi18n-lib.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ing-ask-private.h"
#include "ing-paths.h"

#define BUS_TIMEOUT_MS 2000

/* ------------------------------------------------------------------ beside a window */

/* Without an address GIO would start a bus of its own; a terminal needs none. */
static gboolean
has_bus (void)
{
  if (g_getenv ("DBUS_SESSION_BUS_ADDRESS") != NULL)
    return TRUE;
  g_autofree char *socket = g_build_filename (g_get_user_runtime_dir (), "bus", NULL);
  return g_file_test (socket, G_FILE_TEST_EXISTS);
}

static gboolean
window_is_running (void)
{
  if (!has_bus ())
    return FALSE;
  g_autoptr (GDBusConnection) bus = g_bus_get_sync (G_BUS_TYPE_SESSION, NULL, NULL);
  if (bus == NULL)
    return FALSE;
  g_dbus_connection_set_exit_on_close (bus, FALSE);
  g_autoptr (GVariant) reply = g_dbus_connection_call_sync (
      bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "NameHasOwner",
      g_variant_new ("(s)", ING_APP_ID), G_VARIANT_TYPE ("(b)"), G_DBUS_CALL_FLAGS_NONE,
      BUS_TIMEOUT_MS, NULL, NULL);
  gboolean owned = FALSE;
  if (reply != NULL)
    g_variant_get (reply, "(b)", &owned);
  return owned;
}

/* The exit code, or -1 if the window went away meanwhile. */
static int
ask_window (int argc, char **argv)
{
  g_autoptr (GApplication) remote = g_application_new (
      ING_APP_ID, G_APPLICATION_HANDLES_COMMAND_LINE | G_APPLICATION_IS_LAUNCHER);
  if (!g_application_register (remote, NULL, NULL) || !g_application_get_is_remote (remote))
    return -1;
  g_autoptr (GPtrArray) words = g_ptr_array_new ();
  g_ptr_array_add (words, (char *) "inglenook");
  for (int i = 0; i < argc; i++)
    g_ptr_array_add (words, argv[i]);
  g_ptr_array_add (words, NULL);
  return g_application_run (remote, argc + 1, (char **) words->pdata);
}

/* ------------------------------------------------------------------ on its own */

typedef struct
{
  GMainLoop *loop;
  IngWorkspace *workspace;
  IngAsk *ask;
  const IngAskOptions *options;
  int code;
  gboolean interrupted;
} Alone;

static void
write_all (FILE *to, const char *text)
{
  fputs (text, to);
  fflush (to);
}

static void
alone_out (const char *text, gpointer data)
{
  write_all (stdout, text);
}

static void
alone_err (const char *text, gpointer data)
{
  write_all (stderr, text);
}

static void
on_closed (GObject *source, GAsyncResult *result, gpointer data)
{
  g_main_loop_quit (((Alone *) data)->loop);
}

static void
alone_done (int code, gpointer data)
{
  Alone *alone = data;
  alone->code = code;
  ing_workspace_close_async (alone->workspace, on_closed, alone);
}

static gboolean
on_interrupt (gpointer data)
{
  Alone *alone = data;
  if (alone->interrupted || alone->ask == NULL)
    _exit (ING_ASK_INTERRUPTED); /* the second time: at once; what was saved stays */
  alone->interrupted = TRUE;
  ing_ask_interrupt (alone->ask);
  return G_SOURCE_CONTINUE;
}

static void
on_opened (GObject *source, GAsyncResult *result, gpointer data)
{
  static const IngAskSink sink = { alone_out, alone_err, alone_done, ing_ask_read_password };
  Alone *alone = data;
  ing_workspace_open_finish (alone->workspace, result, NULL); /* it always works */
  alone->ask = ing_ask_start (alone->workspace, alone->options, &sink, alone);
}

static int
ask_alone (const IngAskOptions *options)
{
  Alone alone = { .options = options };
  alone.loop = g_main_loop_new (NULL, FALSE);
  alone.workspace = ing_workspace_new (NULL, "ask");
  guint interrupt = g_unix_signal_add (SIGINT, on_interrupt, &alone);
  guint terminate = g_unix_signal_add (SIGTERM, on_interrupt, &alone);
  ing_workspace_open_async (alone.workspace, NULL, on_opened, &alone);
  g_main_loop_run (alone.loop);
  g_source_remove (interrupt);
  g_source_remove (terminate);
  ing_ask_free (alone.ask);
  g_object_unref (alone.workspace);
  g_main_loop_unref (alone.loop);
  return alone.code;
}

/* ------------------------------------------------------------------ */

static char *
read_stdin (GError **error)
{
  g_autoptr (GString) text = g_string_new (NULL);
  char buffer[4096];
  size_t n;
  while ((n = fread (buffer, 1, sizeof buffer, stdin)) > 0 && text->len <= ING_ASK_MAX_BYTES)
    g_string_append_len (text, buffer, (gssize) n);
  if (text->len > ING_ASK_MAX_BYTES || !g_utf8_validate_len (text->str, text->len, NULL)
      || *g_strstrip (text->str) == '\0')
    {
      g_set_error_literal (error, ING_ERROR, ING_ERROR_ARGUMENT,
                           _ ("Standard input holds no question: it is empty, too long, or not "
                              "UTF-8 text."));
      return NULL;
    }
  return g_string_free (g_steal_pointer (&text), FALSE);
}

int
ing_ask_main (int argc, char **argv)
{
  setlocale (LC_ALL, "");
  g_autoptr (GError) error = NULL;
  g_autofree char *folder = g_get_current_dir ();
  g_autoptr (IngAskOptions) options = ing_ask_options_parse (argv + 1, strcmp (argv[0], "search") == 0, folder, &error);
  if (options != NULL && options->help)
    {
      write_all (stdout, ing_ask_get_usage ());
      return ING_ASK_OK;
    }
  if (options != NULL && window_is_running ())
    {
      int code = ask_window (argc, argv);
      if (code >= 0)
        return code;
    }
  if (options != NULL && options->from_stdin)
    {
      options->question = read_stdin (&error);
      options->from_stdin = FALSE;
    }
  if (error != NULL)
    {
      g_autofree char *line = g_strdup_printf ("inglenook ask: %s\n%s\n", error->message,
                                               _ ("“inglenook ask --help” shows how to use it."));
      write_all (stderr, line);
      return ING_ASK_USAGE;
    }
  return ask_alone (options);
}
