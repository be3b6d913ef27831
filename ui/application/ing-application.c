/* SPDX-License-Identifier: Apache-2.0 */
/* Invariants:
 * 1. The application is held from the moment the workspace is made until it is closed, so that nothing is lost when the
 *    window goes first.
 * 2. Started by the bus and without a window (a search of the desktop's, a question of a terminal) it ends by itself when
 *    nothing has come for a while, and begins no work of its own: downloads go on when there is a window. */
#include "ing-application.h"

#include "ing-background.h"
#include "ing-search-provider.h"
#include "ing-ui-resources.h"
#include "ing-window.h"

#include "config-ui.h"

#include <glib-unix.h>
#include <string.h>
#include <glib/gi18n-lib.h>
#include <locale.h>
#include <stdlib.h>

#define IDLE_SECONDS 60

struct _IngApplication
{
  AdwApplication parent_instance;

  IngWorkspace *workspace;
  GtkWidget *window; /* weak */
  IngSearchProvider *provider;
  gboolean opened;
  gboolean resumed; /* jobs of the last run */
  gboolean closing;
  gboolean again, again_window; /* started once more, for a window, while it was closing */
  guint n_questions; /* of terminals, under way */
  guint idle_id;
  gboolean quitting; /* by the person's word: downloads stop for now */
  guint inhibit;     /* cookie while something is fetched or written */
  guint signal_sources[2];
};

G_DEFINE_FINAL_TYPE (IngApplication, ing_application, ADW_TYPE_APPLICATION)

void
ing_application_init_locale (void)
{
  g_autofree char *program = g_file_read_link ("/proc/self/exe", NULL);
  g_autofree char *folder = program != NULL ? g_path_get_dirname (program) : g_strdup (".");
  /* From a build folder, a prefix of any name, or the one it was configured for. */
  g_autofree char *built = g_build_filename (folder, "..", "po", NULL);
  g_autofree char *beside = g_build_filename (folder, "..", "share", "locale", NULL);
  g_autofree char *mark = g_build_filename (built, "zh_CN", "LC_MESSAGES", "inglenook.mo", NULL);

  setlocale (LC_ALL, "");
  bindtextdomain (GETTEXT_PACKAGE, g_file_test (mark, G_FILE_TEST_EXISTS)      ? built
                                   : g_file_test (beside, G_FILE_TEST_IS_DIR) ? beside
                                                                              : ING_UI_LOCALEDIR);
  bind_textdomain_codeset (GETTEXT_PACKAGE, "UTF-8");
  textdomain (GETTEXT_PACKAGE);
}

void
ing_application_register_resources (void)
{
  static gboolean done;

  if (!done)
    ing_ui_register_resource ();
  done = TRUE;
}

static void start_workspace (IngApplication *self);
static void ensure_window (IngApplication *self);
static void stay_a_while (IngApplication *self);

static void
closed_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (IngApplication) self = user_data;

  ing_workspace_close_finish (ING_WORKSPACE (source), result, NULL);
  if (self->again)
    {
      self->again = self->closing = self->opened = self->resumed = self->quitting = FALSE;
      g_clear_object (&self->workspace);
      start_workspace (self);
      if (self->again_window)
        ensure_window (self);
      self->again_window = FALSE;
      stay_a_while (self);
    }
  g_application_release (G_APPLICATION (self));
}

/* Save everything, then end. */
static void
close_workspace (IngApplication *self)
{
  if (self->closing || self->workspace == NULL)
    return;
  self->closing = TRUE;
  g_clear_handle_id (&self->idle_id, g_source_remove);
  ing_search_provider_set_conversations (self->provider, NULL);
  ing_workspace_close_async (self->workspace, closed_cb, g_object_ref (self));
}

/* ---------------------------------------------------------------- downloads */

static guint
count_long_work (IngApplication *self)
{
  GListModel *jobs = G_LIST_MODEL (ing_workspace_get_jobs (self->workspace));
  guint n = 0;

  for (guint i = 0; i < g_list_model_get_n_items (jobs); i++)
    {
      g_autoptr (IngJob) job = g_list_model_get_item (jobs, i);
      IngJobState state = ing_job_get_state (job);

      n += ing_library_has_job (job) && (state == ING_JOB_RUNNING || state == ING_JOB_QUEUED);
    }
  return n;
}

static void
notify_end (IngApplication *self, IngJob *job)
{
  g_autoptr (GNotification) note = NULL;
  g_autofree char *body = NULL;
  IngJobState state = ing_job_get_state (job);

  if (state != ING_JOB_DONE && state != ING_JOB_FAILED)
    return;
  note = g_notification_new (ing_job_get_title (job));
  body = state == ING_JOB_DONE || ing_job_get_error (job) == NULL ? g_strdup (strcmp (ing_job_get_kind (job), ING_JOB_KIND_DOWNLOAD) != 0 ? _("The new model is there") : _("The download is done"))
                                                                  : ing_error_to_sentence (ing_job_get_error (job));
  g_notification_set_body (note, body);
  g_application_send_notification (G_APPLICATION (self), NULL, note);
}

/* Awake while there is such work; and the end, when only they kept a program without a window. */
static void
job_state_cb (IngJob *job, GParamSpec *pspec, IngApplication *self)
{
  guint n = count_long_work (self);

  if (n > 0 && self->inhibit == 0)
    self->inhibit = gtk_application_inhibit (GTK_APPLICATION (self), NULL, GTK_APPLICATION_INHIBIT_SUSPEND,
                                             _("A model is being fetched or written"));
  if (n == 0 && self->inhibit != 0)
    {
      gtk_application_uninhibit (GTK_APPLICATION (self), self->inhibit);
      self->inhibit = 0;
    }
  if (ing_library_has_job (job) && !self->closing)
    notify_end (self, job);
  if (n == 0 && self->window == NULL)
    close_workspace (self);
}

static void
jobs_cb (GListModel *jobs, guint position, guint n_removed, guint n_added, IngApplication *self)
{
  for (guint i = position; i < position + n_added; i++)
    {
      g_autoptr (IngJob) job = g_list_model_get_item (jobs, i);

      g_signal_connect_object (job, "notify::state", G_CALLBACK (job_state_cb), self, 0);
    }
}

/* ---------------------------------------------------------------- without a window */

static gboolean
idle_cb (gpointer user_data)
{
  IngApplication *self = user_data;

  if (self->window == NULL
      && (!self->opened || self->n_questions > 0 || ing_search_provider_get_n_calls (self->provider) > 0
          || count_long_work (self) > 0))
    return G_SOURCE_CONTINUE;
  self->idle_id = 0;
  if (self->window == NULL)
    close_workspace (self);
  return G_SOURCE_REMOVE;
}

/* Somebody asked for something: count from now. [2] */
static void
stay_a_while (IngApplication *self)
{
  const char *seconds = g_getenv ("INGLENOOK_IDLE_SECONDS"); /* for tests */

  g_clear_handle_id (&self->idle_id, g_source_remove);
  self->again |= self->closing;
  if (self->window == NULL && !self->closing)
    self->idle_id = g_timeout_add_seconds (seconds != NULL ? (guint) CLAMP (atoi (seconds), 1, 3600) : IDLE_SECONDS, idle_cb, self);
}

static void
question_done_cb (gpointer user_data, GObject *command_line)
{
  g_autoptr (IngApplication) self = user_data;

  self->n_questions--;
  if (!self->closing)
    stay_a_while (self);
}

/* No leave to go on: end in order. What is fetched goes on with the next window. */
static void
background_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (IngApplication) self = user_data;

  if (!ing_background_request_finish (result) && self->window == NULL)
    close_workspace (self);
}

static void
window_gone_cb (gpointer user_data, GObject *window)
{
  IngApplication *self = user_data;
  GDBusConnection *connection = g_application_get_dbus_connection (G_APPLICATION (self));

  self->window = NULL;
  if (self->quitting || count_long_work (self) == 0)
    close_workspace (self);
  else if (connection != NULL && ing_background_is_asked_for ())
    ing_background_request_async (connection, _("A model is being fetched or written"), NULL, background_cb, g_object_ref (self));
}

static void
show_workspace (IngApplication *self)
{
  if (!self->resumed)
    ing_job_queue_resume (ing_workspace_get_jobs (self->workspace));
  self->resumed = TRUE;
  ing_window_workspace_opened (ING_WINDOW (self->window));
}

static void
opened_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (IngApplication) self = user_data;

  if (!ing_workspace_open_finish (ING_WORKSPACE (source), result, NULL))
    return;
  self->opened = TRUE;
  if (self->window != NULL)
    show_workspace (self);
  if (!self->closing)
    ing_search_provider_set_conversations (self->provider, ing_workspace_get_conversations (self->workspace));
}

static void
start_workspace (IngApplication *self)
{
  g_application_hold (G_APPLICATION (self));
  self->workspace = ing_workspace_new (NULL, "window");
  g_signal_connect_object (ing_workspace_get_jobs (self->workspace), "items-changed", G_CALLBACK (jobs_cb), self, 0);
  ing_workspace_open_async (self->workspace, NULL, opened_cb, g_object_ref (self));
}

static void
ensure_window (IngApplication *self)
{
  self->again = self->again_window = self->closing;
  if (self->window == NULL && !self->closing)
    {
      self->window = ing_window_new (GTK_APPLICATION (self), self->workspace);
      g_object_weak_ref (G_OBJECT (self->window), window_gone_cb, self);
      g_clear_handle_id (&self->idle_id, g_source_remove);
      if (self->opened)
        show_workspace (self);
    }
  if (self->window != NULL)
    gtk_window_present (GTK_WINDOW (self->window));
}

static void
quit_cb (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  IngApplication *self = user_data;

  self->quitting = TRUE;
  if (self->window != NULL)
    gtk_window_close (GTK_WINDOW (self->window));
  else
    close_workspace (self);
}

static void
new_conversation_cb (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  IngApplication *self = user_data;

  ensure_window (self);
  if (self->window != NULL)
    ing_window_begin (ING_WINDOW (self->window), FALSE);
}

static void
ask_about_file_cb (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  IngApplication *self = user_data;

  ensure_window (self);
  if (self->window != NULL)
    ing_window_begin (ING_WINDOW (self->window), TRUE);
}

static void
result_opened_cb (IngApplication *self, gint64 conversation, gint64 message, const char *needle)
{
  ensure_window (self);
  if (self->window != NULL)
    ing_window_show (ING_WINDOW (self->window), conversation, message, needle);
}

static void
search_launched_cb (IngApplication *self, const char *text)
{
  ensure_window (self);
  if (self->window != NULL)
    ing_window_search (ING_WINDOW (self->window), text);
}

/* `inglenook --offline` beside a window that is not: the person means that one. */
static void
go_offline_cb (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  g_autoptr (GError) error = NULL;

  if (!ing_offline_enter (&error))
    g_warning ("%s", error->message);
}

static gboolean
signal_cb (gpointer user_data)
{
  quit_cb (NULL, NULL, user_data);
  return G_SOURCE_CONTINUE;
}

void
ing_application_set_accels (GtkApplication *application)
{
  static const struct
  {
    const char *action;
    const char *accels[3];
  } accels[] = {
    { "app.quit", { "<Control>q" } },
    { "window.close", { "<Control>w" } },
    { "win.new-conversation", { "<Control>n" } },
    { "win.search", { "<Control>k" } },
    { "win.find", { "<Control>f" } },
    { "win.focus-composer", { "<Control>l" } },
    { "win.preferences", { "<Control>comma" } },
    { "win.toggle-sidebar", { "F9" } },
    { "win.regenerate", { "<Control>r" } },
    { "win.copy-answer", { "<Control><Shift>c" } },
    { "win.edit-question", { "<Control>e" } },
    { "win.previous-conversation", { "<Alt>Up" } },
    { "win.next-conversation", { "<Alt>Down" } },
    { "win.open-model", { "<Control><Shift>o" } },
    { "win.print", { "<Control>p" } },
    { "win.scroll-to-end", { "<Control>End" } },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (accels); i++)
    gtk_application_set_accels_for_action (application, accels[i].action, accels[i].accels);
}

static void
ing_application_startup (GApplication *application)
{
  IngApplication *self = ING_APPLICATION (application);
  static const GActionEntry entries[] = { { .name = "quit", .activate = quit_cb },
                                          { .name = "go-offline", .activate = go_offline_cb },
                                          { .name = "new-conversation", .activate = new_conversation_cb },
                                          { .name = "ask-about-file", .activate = ask_about_file_cb } };

  ing_application_register_resources ();
  G_APPLICATION_CLASS (ing_application_parent_class)->startup (application);
  g_set_application_name (_("Inglenook"));
  gtk_window_set_default_icon_name (ING_APP_ID);
  g_action_map_add_action_entries (G_ACTION_MAP (self), entries, G_N_ELEMENTS (entries), self);
  ing_application_set_accels (GTK_APPLICATION (self));
  self->signal_sources[0] = g_unix_signal_add (SIGINT, signal_cb, self);
  self->signal_sources[1] = g_unix_signal_add (SIGTERM, signal_cb, self);

  start_workspace (self);
  stay_a_while (self);
}

static void
ing_application_activate (GApplication *application)
{
  ensure_window (ING_APPLICATION (application));
}

/* A model is opened, anything else is a document to ask about. */
static void
open_path (IngApplication *self, const char *path, GStrvBuilder *documents)
{
  g_autofree char *folded = g_ascii_strdown (path, -1);

  if (g_str_has_suffix (folded, ".gguf") || ing_library_looks_like_model (path))
    ing_window_open_model (ING_WINDOW (self->window), path);
  else
    g_strv_builder_add (documents, path);
}

static void
open_files (IngApplication *self, GFile **files, int n_files)
{
  g_autoptr (GStrvBuilder) documents = g_strv_builder_new ();
  g_auto (GStrv) paths = NULL;

  ensure_window (self);
  for (int i = 0; self->window != NULL && i < n_files; i++)
    {
      g_autofree char *path = g_file_get_path (files[i]);

      if (path != NULL)
        open_path (self, path, documents);
    }
  paths = g_strv_builder_end (documents);
  if (paths[0] != NULL)
    ing_window_ask_about (ING_WINDOW (self->window), (const char *const *) paths);
}

/* Files that the desktop hands over on the bus; as arguments they come as a command line. */
static void
ing_application_open (GApplication *application, GFile **files, int n_files, const char *hint)
{
  open_files (ING_APPLICATION (application), files, n_files);
}

static int
ing_application_command_line (GApplication *application, GApplicationCommandLine *command_line)
{
  IngApplication *self = ING_APPLICATION (application);
  int argc;
  g_auto (GStrv) argv = g_application_command_line_get_arguments (command_line, &argc);

  if (self->workspace != NULL && ing_ask_wants_command_line (command_line))
    {
      self->n_questions++;
      g_object_weak_ref (G_OBJECT (command_line), question_done_cb, g_object_ref (self));
      ing_ask_run_command_line (command_line, self->workspace);
      return 0;
    }
  g_autoptr (GPtrArray) files = g_ptr_array_new_with_free_func (g_object_unref);

  ensure_window (self);
  for (int i = 1; i < argc; i++)
    if (strcmp (argv[i], ING_APPLICATION_NEW_CONVERSATION) == 0)
      g_action_group_activate_action (G_ACTION_GROUP (self), "new-conversation", NULL);
    else if (strcmp (argv[i], ING_APPLICATION_ASK_ABOUT_FILE) == 0)
      g_action_group_activate_action (G_ACTION_GROUP (self), "ask-about-file", NULL);
    else if (*argv[i] != '-')
      g_ptr_array_add (files, g_application_command_line_create_file_for_arg (command_line, argv[i]));
  if (files->len > 0)
    open_files (self, (GFile **) files->pdata, (int) files->len);
  return 0;
}

static gboolean
ing_application_dbus_register (GApplication *application, GDBusConnection *connection, const char *path, GError **error)
{
  IngApplication *self = ING_APPLICATION (application);
  g_autofree char *provider_path = g_strconcat (path, "/SearchProvider", NULL);

  return G_APPLICATION_CLASS (ing_application_parent_class)->dbus_register (application, connection, path, error)
         && ing_search_provider_export (self->provider, connection, provider_path, error);
}

static void
ing_application_dbus_unregister (GApplication *application, GDBusConnection *connection, const char *path)
{
  ing_search_provider_unexport (ING_APPLICATION (application)->provider);
  G_APPLICATION_CLASS (ing_application_parent_class)->dbus_unregister (application, connection, path);
}

static void
ing_application_shutdown (GApplication *application)
{
  IngApplication *self = ING_APPLICATION (application);

  g_clear_handle_id (&self->idle_id, g_source_remove);
  for (gsize i = 0; i < G_N_ELEMENTS (self->signal_sources); i++)
    g_clear_handle_id (&self->signal_sources[i], g_source_remove);
  G_APPLICATION_CLASS (ing_application_parent_class)->shutdown (application);
  g_clear_object (&self->workspace);
}

static void
ing_application_dispose (GObject *object)
{
  IngApplication *self = ING_APPLICATION (object);

  if (self->window != NULL)
    g_object_weak_unref (G_OBJECT (self->window), window_gone_cb, self);
  self->window = NULL;
  g_clear_object (&self->workspace);
  g_clear_object (&self->provider);
  G_OBJECT_CLASS (ing_application_parent_class)->dispose (object);
}

static void
ing_application_class_init (IngApplicationClass *klass)
{
  GApplicationClass *application_class = G_APPLICATION_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = ing_application_dispose;
  application_class->startup = ing_application_startup;
  application_class->activate = ing_application_activate;
  application_class->command_line = ing_application_command_line;
  application_class->dbus_register = ing_application_dbus_register;
  application_class->dbus_unregister = ing_application_dbus_unregister;
  application_class->open = ing_application_open;
  application_class->shutdown = ing_application_shutdown;
}

static void
ing_application_init (IngApplication *self)
{
  self->provider = ing_search_provider_new ();
  g_signal_connect_swapped (self->provider, "used", G_CALLBACK (stay_a_while), self);
  g_signal_connect_swapped (self->provider, "opened", G_CALLBACK (result_opened_cb), self);
  g_signal_connect_swapped (self->provider, "launched", G_CALLBACK (search_launched_cb), self);
}

IngApplication *
ing_application_new (void)
{
  return g_object_new (ING_TYPE_APPLICATION, "application-id", ING_APP_ID, "flags",
                       G_APPLICATION_HANDLES_COMMAND_LINE | G_APPLICATION_HANDLES_OPEN, "resource-base-path",
                       "/io/github/inglenook_app/Inglenook", NULL);
}
