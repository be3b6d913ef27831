/* SPDX-License-Identifier: Apache-2.0 */
/* Several files and folders at once: looked at one after another, then one dialog for all of them. */
#include "ing-import-dialog.h"

#include "ing-form.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#define MAX_PATHS 200
#define LIST_HEIGHT 280

typedef enum
{
  UNUSABLE,
  FILE_MODEL, /* one file, or the first of a set */
  FOLDER_OF_FILES,
  HUB_FOLDER
} Kind;

typedef struct
{
  char *path, *name, *why;
  Kind kind;
  guint64 bytes;
} Item;

typedef struct
{
  GtkWindow *parent;       /* weak */
  AdwToastOverlay *toasts; /* weak */
  IngWorkspace *workspace;
  GPtrArray *items;
  guint at; /* that is being looked at by the engine */
} Many;

static void
item_free (gpointer data)
{
  Item *item = data;

  g_free (item->path);
  g_free (item->name);
  g_free (item->why);
  g_free (item);
}

static void
many_free (gpointer data, GClosure *closure)
{
  Many *many = data;

  g_clear_weak_pointer (&many->parent);
  g_clear_weak_pointer (&many->toasts);
  g_object_unref (many->workspace);
  g_ptr_array_unref (many->items);
  g_free (many);
}

/* ---------------------------------------------------------------- the dialog */

static void
responded_cb (AdwMessageDialog *dialog, const char *response, Many *many)
{
  IngLibrary *library = ing_workspace_get_library (many->workspace);
  gboolean copy = g_str_equal (response, "copy");
  guint n = 0;

  if (!copy && !g_str_equal (response, "use"))
    return;
  for (guint i = 0; i < many->items->len; i++)
    {
      const Item *item = g_ptr_array_index (many->items, i);
      g_autoptr (IngJob) job = NULL;

      n += item->kind != UNUSABLE;
      if (item->kind == HUB_FOLDER)
        job = ing_transfers_convert (ing_library_get_transfers (library), item->path, NULL);
      else if (item->kind == FILE_MODEL && copy)
        job = ing_library_import (library, item->path);
      else if (item->kind != UNUSABLE)
        ing_library_add_folder (library, item->path);
    }
  if (many->toasts != NULL && n > 0)
    {
      g_autofree char *text = g_strdup_printf (ngettext ("%u model is on its way to the list", "%u models are on their way to the list", n), n);

      adw_toast_overlay_add_toast (many->toasts, adw_toast_new (text));
    }
}

static char *
dup_words (const Item *item)
{
  g_autofree char *size = g_format_size (item->bytes);

  switch (item->kind)
    {
    case FILE_MODEL:
      return g_steal_pointer (&size);
    case FOLDER_OF_FILES:
      return g_strdup (_("A folder of models; it is used where it is"));
    case HUB_FOLDER:
      return g_strdup_printf (_("Is made into one file of about %s"), size);
    case UNUSABLE:
    default:
      return g_strdup (item->why);
    }
}

static GtkWidget *
new_list (Many *many)
{
  GtkWidget *scroller = gtk_scrolled_window_new ();
  GtkWidget *list = gtk_list_box_new ();

  gtk_list_box_set_selection_mode (GTK_LIST_BOX (list), GTK_SELECTION_NONE);
  gtk_widget_add_css_class (list, "boxed-list");
  for (guint i = 0; i < many->items->len; i++)
    {
      const Item *item = g_ptr_array_index (many->items, i);
      g_autofree char *words = dup_words (item);
      GtkWidget *row = ing_form_new_plain_row (item->name, words);

      adw_action_row_add_prefix (ADW_ACTION_ROW (row),
                                 gtk_image_new_from_icon_name (item->kind == UNUSABLE ? "dialog-warning-symbolic"
                                                                                      : "object-select-symbolic"));
      gtk_list_box_append (GTK_LIST_BOX (list), row);
    }
  gtk_scrolled_window_set_policy (GTK_SCROLLED_WINDOW (scroller), GTK_POLICY_NEVER, GTK_POLICY_AUTOMATIC);
  gtk_scrolled_window_set_propagate_natural_height (GTK_SCROLLED_WINDOW (scroller), TRUE);
  gtk_scrolled_window_set_max_content_height (GTK_SCROLLED_WINDOW (scroller), LIST_HEIGHT);
  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (scroller), list);
  return scroller;
}

/* Takes @many. */
static void
show_dialog (Many *many)
{
  guint n_usable = 0, n_files = 0;
  guint64 bytes = 0, room = ing_library_get_free_bytes (ing_workspace_get_library (many->workspace));
  GtkWidget *dialog;

  for (guint i = 0; i < many->items->len; i++)
    {
      const Item *item = g_ptr_array_index (many->items, i);

      n_usable += item->kind != UNUSABLE;
      n_files += item->kind == FILE_MODEL;
      bytes += item->kind == FILE_MODEL || item->kind == HUB_FOLDER ? item->bytes : 0;
    }

  g_autofree char *heading
      = n_usable > 0 ? g_strdup_printf (ngettext ("Use %u model?", "Use %u models?", n_usable), n_usable)
                     : g_strdup (_("None of these can be used"));
  g_autofree char *size = g_format_size (bytes);
  g_autofree char *free_size = g_format_size (room);
  g_autofree char *body
      = n_usable > 0 ? g_strdup_printf (_("Copies take %s at most; %s are free in the folder of models."), size, free_size) : NULL;

  dialog = adw_message_dialog_new (many->parent, heading, body);
  adw_message_dialog_set_extra_child (ADW_MESSAGE_DIALOG (dialog), new_list (many));
  adw_message_dialog_add_response (ADW_MESSAGE_DIALOG (dialog), "cancel", n_usable > 0 ? _("_Cancel") : _("_Close"));
  adw_message_dialog_set_close_response (ADW_MESSAGE_DIALOG (dialog), "cancel");
  if (n_files > 0)
    {
      adw_message_dialog_add_response (ADW_MESSAGE_DIALOG (dialog), "copy", _("_Copy them"));
      adw_message_dialog_set_response_enabled (ADW_MESSAGE_DIALOG (dialog), "copy", bytes < room);
    }
  if (n_usable > 0)
    {
      adw_message_dialog_add_response (ADW_MESSAGE_DIALOG (dialog), "use",
                                       n_files > 0 ? _("_Use them where they are") : _("Con_tinue"));
      adw_message_dialog_set_response_appearance (ADW_MESSAGE_DIALOG (dialog), "use", ADW_RESPONSE_SUGGESTED);
      adw_message_dialog_set_default_response (ADW_MESSAGE_DIALOG (dialog), "use");
    }
  g_signal_connect_data (dialog, "response", G_CALLBACK (responded_cb), many, many_free, 0);
  gtk_window_present (GTK_WINDOW (dialog));
}

/* ---------------------------------------------------------------- looking */

static void look_next (Many *many);

/* The engine opens each file, so that what it cannot use is told now. */
static void
looked_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Many *many = user_data;
  Item *item = g_ptr_array_index (many->items, many->at);
  g_autoptr (GError) error = NULL;
  g_autofree char *json = ing_local_inspect_finish (result, &error);

  if (error != NULL)
    {
      item->kind = UNUSABLE;
      item->why = ing_error_to_sentence (error);
    }
  else
    {
      g_auto (IngModelFacts) facts;

      ing_model_facts_from_json (&facts, json);
      item->bytes = facts.file_bytes;
    }
  many->at++;
  look_next (many);
}

static void
look_next (Many *many)
{
  while (many->at < many->items->len && ((Item *) g_ptr_array_index (many->items, many->at))->kind != FILE_MODEL)
    many->at++;
  if (many->parent == NULL)
    many_free (many, NULL);
  else if (many->at == many->items->len)
    show_dialog (many);
  else
    ing_local_inspect_async (ing_workspace_get_generation (many->workspace),
                             ((Item *) g_ptr_array_index (many->items, many->at))->path, 0, NULL, looked_cb, many);
}

/* Files of one set are one model, whichever of them were dropped. */
static gboolean
is_listed (const Many *many, const char *path)
{
  for (guint i = 0; i < many->items->len; i++)
    if (strcmp (((Item *) g_ptr_array_index (many->items, i))->path, path) == 0)
      return TRUE;
  return FALSE;
}

static void
look_at (Many *many, const char *path)
{
  g_autofree char *first = ing_library_dup_first_of_set (path);
  guint64 bytes = 0;
  Item *item;

  if (is_listed (many, first))
    return;
  item = g_new0 (Item, 1);
  item->path = g_strdup (first);
  item->name = g_filename_display_basename (first);
  g_ptr_array_add (many->items, item);
  if (!g_file_test (first, G_FILE_TEST_IS_DIR))
    item->kind = FILE_MODEL;
  else if (ing_transfers_look_at_folder (first, &bytes))
    item->kind = HUB_FOLDER;
  else if (ing_library_looks_like_model (first))
    item->kind = FOLDER_OF_FILES;
  else
    item->why = g_strdup (_("It has no GGUF file in it, nor config.json with weights as safetensors."));
  item->bytes = bytes;
}

typedef struct
{
  Many *many;
  char **paths;
} Look;

static void
look_free (gpointer data)
{
  Look *look = data;

  g_strfreev (look->paths);
  g_free (look);
}

static void
look_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  Look *look = task_data;

  for (guint i = 0; look->paths[i] != NULL && i < MAX_PATHS; i++)
    look_at (look->many, look->paths[i]);
  g_task_return_boolean (task, TRUE);
}

static void
kinds_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  look_next (user_data);
}

void
ing_import_paths (GtkWindow *parent, IngWorkspace *workspace, AdwToastOverlay *toasts, const char *const *paths)
{
  Many *many;
  Look *look;
  g_autoptr (GTask) task = NULL;

  if (paths[0] != NULL && paths[1] == NULL)
    {
      ing_import_path (parent, workspace, toasts, paths[0]);
      return;
    }
  many = g_new0 (Many, 1);
  g_set_weak_pointer (&many->parent, parent);
  g_set_weak_pointer (&many->toasts, toasts);
  many->workspace = g_object_ref (workspace);
  many->items = g_ptr_array_new_with_free_func (item_free);
  look = g_new0 (Look, 1);
  look->many = many;
  look->paths = g_strdupv ((char **) paths);
  task = g_task_new (NULL, NULL, kinds_cb, many);
  g_task_set_task_data (task, look, look_free);
  g_task_run_in_thread (task, look_thread);
}
