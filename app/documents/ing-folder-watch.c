/* SPDX-License-Identifier: Apache-2.0 */
/* Invariant: monitors holds one monitor for each folder that is followed, n_followed counts those of all watches. */
#include "ing-folder-watch.h"

#include "ing-folder-scan.h"
#include "ing-log.h"

#define MAX_FOLLOWED 1000u
#define TICK_MS 100
#define QUIET_US (G_USEC_PER_SEC / 2)
#define PATIENCE_US (5 * G_USEC_PER_SEC)
#define EVERY_S (5 * 60)

struct _IngFolderWatch
{
  IngFolderWatchFuncs funcs;
  GHashTable *monitors; /* path → GFileMonitor */
  GCancellable *cancellable;
  gboolean looking, again;
  guint tick_id; /* 0 = nothing has changed */
  gint64 first_us, last_us; /* changes since the last look */
  guint clock_id;
};

static guint n_followed;

/* ------------------------------------------------------------------ looking */

static void
look_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  g_task_return_boolean (task, ing_folder_look_run (task_data, cancellable));
}

static void
on_looked (GObject *source, GAsyncResult *result, gpointer data)
{
  gboolean ok = g_task_propagate_boolean (G_TASK (result), NULL);
  if (g_cancellable_is_cancelled (g_task_get_cancellable (G_TASK (result))))
    return; /* @data is gone */
  IngFolderWatch *self = data;
  self->looking = FALSE;
  gboolean again = self->again;
  self->again = FALSE;
  self->funcs.apply (ok ? g_task_get_task_data (G_TASK (result)) : NULL, self->funcs.data);
  if (again)
    ing_folder_watch_look (self);
}

void
ing_folder_watch_look (IngFolderWatch *self)
{
  g_clear_handle_id (&self->tick_id, g_source_remove);
  if (self->looking)
    {
      self->again = TRUE;
      return;
    }
  self->looking = TRUE;
  g_autoptr (GTask) task = g_task_new (NULL, self->cancellable, on_looked, self);
  g_task_set_task_data (task, self->funcs.prepare (self->funcs.data), (GDestroyNotify) ing_folder_look_free);
  g_task_run_in_thread (task, look_thread);
}

gboolean
ing_folder_watch_is_looking (IngFolderWatch *self)
{
  return self->looking || self->tick_id != 0;
}

/* ------------------------------------------------------------------ following */

static gboolean
on_tick (gpointer data)
{
  IngFolderWatch *self = data;
  gint64 now = g_get_monotonic_time ();
  if (now - self->last_us < QUIET_US && now - self->first_us < PATIENCE_US)
    return G_SOURCE_CONTINUE;
  self->tick_id = 0;
  ing_folder_watch_look (self);
  return G_SOURCE_REMOVE;
}

/* A folder may be any name without an ending; a file that is no document is none of ours. */
static gboolean
matters (GFile *file)
{
  g_autofree char *name = file != NULL ? g_file_get_basename (file) : NULL;
  return name != NULL && *name != '.' && (ing_folder_scan_takes (name) || g_strrstr (name, ".") == NULL
                                          || g_file_query_file_type (file, G_FILE_QUERY_INFO_NOFOLLOW_SYMLINKS, NULL)
                                                 == G_FILE_TYPE_DIRECTORY);
}

static void
on_event (GFileMonitor *monitor, GFile *file, GFile *other, GFileMonitorEvent event, IngFolderWatch *self)
{
  self->last_us = g_get_monotonic_time ();
  if (self->tick_id != 0 || !(matters (file) || matters (other)))
    return;
  self->first_us = self->last_us;
  self->tick_id = g_timeout_add (TICK_MS, on_tick, self);
}

static gboolean
on_clock (gpointer data)
{
  ing_folder_watch_look (data);
  return G_SOURCE_CONTINUE;
}

static gboolean
is_not_among (gpointer path, gpointer monitor, gpointer folders)
{
  return !g_hash_table_contains (folders, path);
}

static void
monitor_free (gpointer monitor)
{
  g_file_monitor_cancel (monitor);
  g_object_unref (monitor);
  n_followed--;
}

/* FALSE: the kernel gives out no more. */
static gboolean
follow (IngFolderWatch *self, const char *path)
{
  g_autoptr (GFile) file = g_file_new_for_path (path);
  g_autoptr (GError) error = NULL;
  GFileMonitor *monitor
      = n_followed < MAX_FOLLOWED ? g_file_monitor_directory (file, G_FILE_MONITOR_WATCH_MOVES, NULL, &error) : NULL;
  if (monitor == NULL)
    {
      ing_info ("not followed: %s", error != NULL ? error->message : path);
      return FALSE;
    }
  n_followed++;
  g_signal_connect (monitor, "changed", G_CALLBACK (on_event), self);
  g_hash_table_insert (self->monitors, g_strdup (path), monitor);
  return TRUE;
}

guint
ing_folder_watch_follow (IngFolderWatch *self, GPtrArray *folders)
{
  g_autoptr (GHashTable) wanted = g_hash_table_new (g_str_hash, g_str_equal);
  guint n_not = 0;
  for (guint i = 0; folders != NULL && i < folders->len; i++)
    g_hash_table_add (wanted, folders->pdata[i]);
  g_hash_table_foreach_remove (self->monitors, is_not_among, wanted);
  for (guint i = 0; folders != NULL && i < folders->len; i++)
    if (!g_hash_table_contains (self->monitors, folders->pdata[i]) && !follow (self, folders->pdata[i]))
      n_not++;
  if (folders == NULL)
    g_clear_handle_id (&self->clock_id, g_source_remove);
  else if (self->clock_id == 0)
    self->clock_id = g_timeout_add_seconds (EVERY_S, on_clock, self);
  return n_not;
}

/* ------------------------------------------------------------------ life */

IngFolderWatch *
ing_folder_watch_new (const IngFolderWatchFuncs *funcs)
{
  IngFolderWatch *self = g_new0 (IngFolderWatch, 1);
  self->funcs = *funcs;
  self->monitors = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, monitor_free);
  self->cancellable = g_cancellable_new ();
  return self;
}

static void
disconnect (gpointer path, gpointer monitor, gpointer self)
{
  g_signal_handlers_disconnect_by_data (monitor, self);
}

void
ing_folder_watch_free (IngFolderWatch *self)
{
  g_cancellable_cancel (self->cancellable);
  g_object_unref (self->cancellable);
  g_clear_handle_id (&self->tick_id, g_source_remove);
  g_clear_handle_id (&self->clock_id, g_source_remove);
  g_hash_table_foreach (self->monitors, disconnect, self);
  g_hash_table_unref (self->monitors);
  g_free (self);
}
