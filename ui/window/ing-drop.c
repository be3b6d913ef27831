/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-drop.h"

#include "ing-app.h"

#include <string.h>

typedef struct
{
  IngDropFunc models, documents;
} Takers;

typedef struct
{
  char **paths;
  GStrvBuilder *models, *documents;
} Sorting;

static void
sorting_free (gpointer data)
{
  Sorting *sorting = data;

  g_strfreev (sorting->paths);
  g_strv_builder_unref (sorting->models);
  g_strv_builder_unref (sorting->documents);
  g_free (sorting);
}

static void
sort_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  Sorting *sorting = task_data;

  for (guint i = 0; sorting->paths[i] != NULL; i++)
    g_strv_builder_add (ing_library_looks_like_model (sorting->paths[i]) ? sorting->models : sorting->documents,
                        sorting->paths[i]);
  g_task_return_boolean (task, TRUE);
}

static void
sorted_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  GtkWidget *widget = GTK_WIDGET (source);
  Takers *takers = g_object_get_data (source, "drop-takers");
  Sorting *sorting = g_task_get_task_data (G_TASK (result));
  g_auto (GStrv) models = g_strv_builder_end (sorting->models);
  g_auto (GStrv) documents = g_strv_builder_end (sorting->documents);

  if (gtk_widget_get_root (widget) == NULL || takers == NULL)
    return;
  if (models[0] != NULL && takers->models != NULL)
    takers->models (widget, (const char *const *) models);
  if (documents[0] != NULL && takers->documents != NULL)
    takers->documents (widget, (const char *const *) documents);
}

static gboolean
drop_cb (GtkWidget *widget, const GValue *value, double x, double y)
{
  g_autoptr (GStrvBuilder) paths = g_strv_builder_new ();
  Sorting *sorting;
  g_autoptr (GTask) task = NULL;

  for (GSList *l = g_value_get_boxed (value); l != NULL; l = l->next)
    {
      g_autofree char *path = g_file_get_path (l->data);

      if (path != NULL)
        g_strv_builder_add (paths, path);
    }
  sorting = g_new0 (Sorting, 1);
  sorting->paths = g_strv_builder_end (paths);
  sorting->models = g_strv_builder_new ();
  sorting->documents = g_strv_builder_new ();
  task = g_task_new (widget, NULL, sorted_cb, NULL);
  g_task_set_task_data (task, sorting, sorting_free);
  g_task_run_in_thread (task, sort_thread);
  return sorting->paths[0] != NULL;
}

void
ing_drop_attach (GtkWidget *widget, IngDropFunc models, IngDropFunc documents)
{
  GtkDropTarget *drop = gtk_drop_target_new (GDK_TYPE_FILE_LIST, GDK_ACTION_COPY);
  Takers *takers = g_new0 (Takers, 1);

  takers->models = models;
  takers->documents = documents;
  g_object_set_data_full (G_OBJECT (widget), "drop-takers", takers, g_free);
  g_signal_connect_swapped (drop, "drop", G_CALLBACK (drop_cb), widget);
  gtk_widget_add_controller (widget, GTK_EVENT_CONTROLLER (drop));
}
