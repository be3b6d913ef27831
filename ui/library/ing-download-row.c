/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-download-row.h"

#include "ing-numbers.h"

#include <glib/gi18n-lib.h>

#define TICK_MS 500

struct _IngDownloadRow
{
  AdwActionRow parent_instance;

  IngWorkspace *workspace;
  IngJob *job;
  GtkWidget *bar;
  GtkWidget *pause;
  GtkWidget *cancel;
  GtkWidget *open;
  guint tick;
};

G_DEFINE_FINAL_TYPE (IngDownloadRow, ing_download_row, ADW_TYPE_ACTION_ROW)

static gboolean
is_download (IngDownloadRow *self)
{
  return g_strcmp0 (ing_job_get_kind (self->job), ING_JOB_KIND_DOWNLOAD) == 0;
}

static char *
dup_progress (IngDownloadRow *self)
{
  IngDownloads *downloads = ing_library_get_downloads (ing_workspace_get_library (self->workspace));
  g_autofree char *done = g_format_size (ing_job_get_done (self->job));
  g_autofree char *total = g_format_size (ing_job_get_total (self->job));
  g_autofree char *notice = ing_job_dup_status_text (self->job);
  double speed = ing_downloads_get_speed (downloads, self->job);
  double left = ing_downloads_get_seconds_left (downloads, self->job);
  g_autoptr (GString) text = g_string_new (NULL);

  if (ing_job_get_total (self->job) > 0)
    g_string_append_printf (text, _("%s of %s"), done, total);
  else
    g_string_append (text, done);
  if (notice != NULL)
    g_string_append_printf (text, " · %s", notice);
  else if (speed >= 1)
    {
      g_autofree char *rate = g_format_size ((guint64) speed);

      g_string_append (text, " · ");
      g_string_append_printf (text, _("%s a second"), rate);
    }
  if (left >= 0 && notice == NULL)
    {
      g_autofree char *duration = ing_numbers_dup_duration (left);

      g_string_append (text, " · ");
      g_string_append_printf (text, _("%s left"), duration);
    }
  return g_strdup (text->str);
}

static char *
dup_subtitle (IngDownloadRow *self)
{
  const GError *error = ing_job_get_error (self->job);
  g_autofree char *why = NULL;

  switch (ing_job_get_state (self->job))
    {
    case ING_JOB_QUEUED:
      return g_strdup (_("Waiting for its turn"));
    case ING_JOB_RUNNING:
      return dup_progress (self);
    case ING_JOB_DONE:
      return g_strdup (is_download (self) ? _("Here, and checked") : _("Done"));
    case ING_JOB_CANCELLED:
      return g_strdup (_("Given up"));
    default:
      break;
    }
  if (error != NULL)
    return ing_error_to_sentence (error);
  why = g_format_size (ing_job_get_done (self->job));
  return g_strdup_printf (_("Paused at %s"), why);
}

static void
set_button (GtkWidget *button, const char *icon, const char *words)
{
  gtk_button_set_icon_name (GTK_BUTTON (button), icon);
  gtk_widget_set_tooltip_text (button, words);
  gtk_accessible_update_property (GTK_ACCESSIBLE (button), GTK_ACCESSIBLE_PROPERTY_LABEL, words, -1);
}

static void
update (IngDownloadRow *self)
{
  IngJobState state = ing_job_get_state (self->job);
  gboolean running = state == ING_JOB_RUNNING || state == ING_JOB_QUEUED;
  double fraction = ing_job_get_fraction (self->job);
  g_autofree char *subtitle = dup_subtitle (self);

  adw_action_row_set_subtitle (ADW_ACTION_ROW (self), subtitle);
  gtk_widget_set_visible (self->bar, running && fraction >= 0);
  gtk_progress_bar_set_fraction (GTK_PROGRESS_BAR (self->bar), MAX (0, fraction));
  gtk_widget_set_visible (self->pause, state != ING_JOB_DONE);
  set_button (self->pause, running ? "media-playback-pause-symbolic" : "media-playback-start-symbolic",
              running ? _("Pause") : _("Go on"));
  set_button (self->cancel, state == ING_JOB_DONE ? "window-close-symbolic" : "process-stop-symbolic",
              state == ING_JOB_DONE ? _("Take off the list") : _("Give up"));
  gtk_widget_set_visible (self->open, state == ING_JOB_DONE);
}

static gboolean
tick_cb (gpointer user_data)
{
  IngDownloadRow *self = user_data;

  if (ing_job_get_state (self->job) == ING_JOB_RUNNING)
    update (self);
  return G_SOURCE_CONTINUE;
}

static void
pause_cb (IngDownloadRow *self)
{
  IngJobQueue *jobs = ing_workspace_get_jobs (self->workspace);
  IngJobState state = ing_job_get_state (self->job);

  if (state == ING_JOB_RUNNING || state == ING_JOB_QUEUED)
    ing_job_queue_pause (jobs, self->job);
  else
    ing_job_queue_retry (jobs, self->job);
}

static void
cancel_cb (IngDownloadRow *self)
{
  IngJobState state = ing_job_get_state (self->job);

  /* A download that stands still is forgotten with its part; other work takes its own away when it is cancelled. */
  if (state == ING_JOB_RUNNING || state == ING_JOB_QUEUED
      || (state == ING_JOB_PAUSED && !is_download (self)))
    ing_job_queue_cancel (ing_workspace_get_jobs (self->workspace), self->job);
  else
    ing_downloads_forget (ing_library_get_downloads (ing_workspace_get_library (self->workspace)), self->job);
}

static void
open_cb (IngDownloadRow *self)
{
  g_autofree char *path = ing_downloads_dup_final_path (self->job);

  if (path != NULL)
    gtk_widget_activate_action (GTK_WIDGET (self), "win.use-model", "s", path);
}

static GtkWidget *
new_button (IngDownloadRow *self, GCallback clicked)
{
  GtkWidget *button = gtk_button_new ();

  gtk_widget_set_valign (button, GTK_ALIGN_CENTER);
  gtk_widget_add_css_class (button, "flat");
  g_signal_connect_swapped (button, "clicked", clicked, self);
  adw_action_row_add_suffix (ADW_ACTION_ROW (self), button);
  return button;
}

static void
ing_download_row_dispose (GObject *object)
{
  IngDownloadRow *self = ING_DOWNLOAD_ROW (object);

  g_clear_handle_id (&self->tick, g_source_remove);
  g_clear_object (&self->workspace);
  g_clear_object (&self->job);
  G_OBJECT_CLASS (ing_download_row_parent_class)->dispose (object);
}

static void
ing_download_row_class_init (IngDownloadRowClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = ing_download_row_dispose;
}

static void
ing_download_row_init (IngDownloadRow *self)
{
  adw_preferences_row_set_use_markup (ADW_PREFERENCES_ROW (self), FALSE);
  adw_action_row_set_subtitle_lines (ADW_ACTION_ROW (self), 3);
  self->bar = gtk_progress_bar_new ();
  gtk_widget_set_valign (self->bar, GTK_ALIGN_CENTER);
  gtk_widget_set_size_request (self->bar, 60, -1);
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->bar), GTK_ACCESSIBLE_PROPERTY_LABEL, _("Progress"), -1);
  adw_action_row_add_suffix (ADW_ACTION_ROW (self), self->bar);
  self->open = new_button (self, G_CALLBACK (open_cb));
  gtk_button_set_label (GTK_BUTTON (self->open), _("Open"));
  self->pause = new_button (self, G_CALLBACK (pause_cb));
  self->cancel = new_button (self, G_CALLBACK (cancel_cb));
}

GtkWidget *
ing_download_row_new (IngWorkspace *workspace, IngJob *job)
{
  IngDownloadRow *self = g_object_new (ING_TYPE_DOWNLOAD_ROW, NULL);

  self->workspace = g_object_ref (workspace);
  self->job = g_object_ref (job);
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (self), ing_job_get_title (job));
  g_signal_connect_object (job, "notify::state", G_CALLBACK (update), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (job, "notify::status-text", G_CALLBACK (update), self, G_CONNECT_SWAPPED);
  self->tick = g_timeout_add (TICK_MS, tick_cb, self);
  update (self);
  return GTK_WIDGET (self);
}
