/* SPDX-License-Identifier: Apache-2.0 */
/* The group "From this computer" of the page of models. */
#include "ing-import-dialog.h"

#include "ing-form.h"

#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>

#define MAX_FOUND 100

typedef struct
{
  IngWorkspace *workspace;
  AdwToastOverlay *toasts; /* weak */
  GtkWidget *group;        /* owns this */
  GtkWidget *ollama;       /* row */
  GPtrArray *found;        /* rows */
} Group;

static void
group_free (gpointer data)
{
  Group *group = data;

  g_clear_weak_pointer (&group->toasts);
  g_object_unref (group->workspace);
  g_ptr_array_unref (group->found);
  g_free (group);
}

static void
choose (Group *group, gboolean folder)
{
  ing_import_choose (GTK_WINDOW (gtk_widget_get_root (group->group)), group->workspace, group->toasts, folder);
}

static void
file_cb (GtkWidget *button, Group *group)
{
  choose (group, FALSE);
}

static void
folder_cb (GtkWidget *button, Group *group)
{
  choose (group, TRUE);
}

/* ---------------------------------------------------------------- Ollama's */

static void
linked_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GtkWidget) row = user_data;
  g_autoptr (GError) error = NULL;
  g_autofree char *path = ing_library_link_finish (ING_LIBRARY (source), result, &error);
  g_autofree char *sentence = error != NULL ? ing_error_to_sentence (error) : NULL;

  adw_action_row_set_subtitle (ADW_ACTION_ROW (row), sentence != NULL ? sentence : _("On the list now"));
}

static void
use_cb (GtkWidget *button, GtkWidget *row)
{
  Group *group = g_object_get_data (G_OBJECT (row), "group");

  gtk_widget_set_sensitive (button, FALSE);
  ing_library_link_async (ing_workspace_get_library (group->workspace), g_object_get_data (G_OBJECT (row), "path"),
                          g_object_get_data (G_OBJECT (row), "name"), NULL, linked_cb, g_object_ref (row));
}

/* "registry.ollama.ai/library/qwen3/4b" is called "qwen3-4b". */
static char *
dup_short_name (const char *name)
{
  g_auto (GStrv) parts = g_strsplit (name, "/", -1);
  guint n = g_strv_length (parts);

  return n >= 2 ? g_strdup_printf ("%s-%s", parts[n - 2], parts[n - 1]) : g_strdup (name);
}

static void
add_found (Group *group, const char *name, const char *path)
{
  GStatBuf st;
  g_autofree char *size = g_stat (path, &st) == 0 ? g_format_size ((guint64) st.st_size) : NULL;
  char *title = dup_short_name (name);
  GtkWidget *row = ing_form_new_plain_row (title, size);
  GtkWidget *button = ing_form_add_button (row, _("Use"), NULL, _("Use it where it is"));

  g_object_set_data (G_OBJECT (row), "group", group);
  g_object_set_data_full (G_OBJECT (row), "path", g_strdup (path), g_free);
  g_object_set_data_full (G_OBJECT (row), "name", title, g_free);
  g_signal_connect_object (button, "clicked", G_CALLBACK (use_cb), row, 0);
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (group->group), row);
  g_ptr_array_add (group->found, row);
}

static void
found_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GtkWidget) widget = user_data;
  Group *group = g_object_get_data (G_OBJECT (widget), "import-group");
  g_auto (GStrv) found = g_task_propagate_pointer (G_TASK (result), NULL);
  guint n = 0;

  if (gtk_widget_get_root (widget) == NULL || found == NULL)
    return;
  for (guint i = 0; i < group->found->len; i++)
    adw_preferences_group_remove (ADW_PREFERENCES_GROUP (group->group), g_ptr_array_index (group->found, i));
  g_ptr_array_set_size (group->found, 0);
  for (guint i = 0; found[i] != NULL && found[i + 1] != NULL && n < MAX_FOUND; i += 2, n++)
    add_found (group, found[i], found[i + 1]);
  adw_action_row_set_subtitle (ADW_ACTION_ROW (group->ollama),
                               n > 0 ? _("They are used where they are; no room is taken")
                                     : _("None in the folders where it usually keeps them"));
}

static void
find_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  g_task_return_pointer (task, ing_library_find_ollama (NULL), (GDestroyNotify) g_strfreev);
}

static void
find_cb (GtkWidget *button, Group *group)
{
  g_autoptr (GTask) task = g_task_new (NULL, NULL, found_cb, g_object_ref (group->group));

  g_task_run_in_thread (task, find_thread);
}

/* ---------------------------------------------------------------- the group */

GtkWidget *
ing_import_group_new (IngWorkspace *workspace, AdwToastOverlay *toasts)
{
  Group *group = g_new0 (Group, 1);
  GtkWidget *row = ing_form_new_plain_row (
      _("A file or folder of yours"), _("GGUF, or a folder from a hub with config.json; or drop it on the window"));
  GtkWidget *button;

  group->workspace = g_object_ref (workspace);
  g_set_weak_pointer (&group->toasts, toasts);
  group->found = g_ptr_array_new ();
  group->group = adw_preferences_group_new ();
  g_object_set_data_full (G_OBJECT (group->group), "import-group", group, group_free);
  adw_preferences_group_set_title (ADW_PREFERENCES_GROUP (group->group), _("From this computer"));
  button = ing_form_add_button (row, _("File…"), NULL, _("Choose a file"));
  g_signal_connect (button, "clicked", G_CALLBACK (file_cb), group);
  button = ing_form_add_button (row, _("Folder…"), NULL, _("Choose a folder"));
  g_signal_connect (button, "clicked", G_CALLBACK (folder_cb), group);
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (group->group), row);
  group->ollama = ing_form_new_plain_row (_("Models of Ollama"), _("Looks into its folders only when you ask"));
  button = ing_form_add_button (group->ollama, _("Find"), NULL, _("Find models of Ollama"));
  g_signal_connect (button, "clicked", G_CALLBACK (find_cb), group);
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (group->group), group->ollama);
  return group->group;
}
