/* SPDX-License-Identifier: Apache-2.0 */
/* drag-source FILE…: a window from which these files can be dragged, as from a file manager. */
#include <gtk/gtk.h>

static GdkContentProvider *
prepare_cb (GtkDragSource *source, double x, double y, GSList *files)
{
  GdkFileList *list = gdk_file_list_new_from_list (files);
  GdkContentProvider *provider = gdk_content_provider_new_typed (GDK_TYPE_FILE_LIST, list);

  g_boxed_free (GDK_TYPE_FILE_LIST, list);
  return provider;
}

int
main (int argc, char **argv)
{
  GSList *files = NULL;
  GtkWidget *window;
  GtkDragSource *drag;

  gtk_init ();
  for (int i = argc - 1; i > 0; i--)
    files = g_slist_prepend (files, g_file_new_for_path (argv[i]));
  window = gtk_window_new ();
  gtk_window_set_title (GTK_WINDOW (window), "Drag source");
  gtk_window_set_default_size (GTK_WINDOW (window), 160, 120);
  gtk_window_set_child (GTK_WINDOW (window), gtk_label_new ("Drag me"));
  drag = gtk_drag_source_new ();
  g_signal_connect (drag, "prepare", G_CALLBACK (prepare_cb), files);
  gtk_widget_add_controller (window, GTK_EVENT_CONTROLLER (drag));
  gtk_window_present (GTK_WINDOW (window));
  while (TRUE)
    g_main_context_iteration (NULL, TRUE);
}
