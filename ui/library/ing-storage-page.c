/* SPDX-License-Identifier: Apache-2.0 */
/* All groups are made again when files, folders or jobs change: they are short lists. */
#include "ing-storage-page.h"

#include "ing-form.h"
#include "ing-model-page.h"

#include <glib/gi18n-lib.h>
#include <string.h>

struct _IngStoragePage
{
  GtkWidget parent_instance;

  GtkWidget *box, *column;
  GtkWidget *sum, *models, *parts, *folders; /* groups */
  IngWorkspace *workspace;
  AdwToastOverlay *toasts; /* weak */
  GtkFileChooserNative *chooser;
};

G_DEFINE_FINAL_TYPE (IngStoragePage, ing_storage_page, GTK_TYPE_WIDGET)

enum
{
  CLOSE,
  SHOW_FILE,
  N_SIGNALS
};
static guint signals[N_SIGNALS];

static IngLibrary *
get_library (IngStoragePage *self)
{
  return ing_workspace_get_library (self->workspace);
}

/* Parts of other work than downloads begin with what it makes; once it is over they are nobody's. */
static gboolean
may_be_of (IngJob *job, IngModelFile *file)
{
  IngJobState state = ing_job_get_state (job);

  return ing_library_has_job (job) && g_strcmp0 (ing_job_get_kind (job), ING_JOB_KIND_DOWNLOAD) != 0
         && (state == ING_JOB_RUNNING || state == ING_JOB_QUEUED || state == ING_JOB_PAUSED)
         && g_str_has_prefix (ing_model_file_get_name (file), ing_job_get_title (job));
}

IngJob *
ing_storage_page_find_job (IngWorkspace *workspace, IngModelFile *file)
{
  GListModel *jobs = G_LIST_MODEL (ing_workspace_get_jobs (workspace));

  for (guint i = 0; i < g_list_model_get_n_items (jobs); i++)
    {
      g_autoptr (IngJob) job = g_list_model_get_item (jobs, i);
      g_autofree char *part = ing_downloads_dup_part_path (job);

      if (g_strcmp0 (part, ing_model_file_get_path (file)) == 0 || may_be_of (job, file))
        return g_steal_pointer (&job);
    }
  return NULL;
}

/* ---------------------------------------------------------------- files */

static void
connect_file (GtkWidget *button, IngModelFile *file, GCallback callback, IngStoragePage *self)
{
  g_object_set_data_full (G_OBJECT (button), "file", g_object_ref (file), g_object_unref);
  g_signal_connect_object (button, "clicked", callback, self, 0);
}

static void
about_cb (GtkWidget *button, IngStoragePage *self)
{
  g_signal_emit (self, signals[SHOW_FILE], 0, g_object_get_data (G_OBJECT (button), "file"));
}

static void
trash_cb (GtkWidget *button, IngStoragePage *self)
{
  ing_model_page_trash (self->workspace, self->toasts, g_object_get_data (G_OBJECT (button), "file"));
}

static void
resume_cb (GtkWidget *button, IngStoragePage *self)
{
  g_autoptr (IngJob) job
      = ing_storage_page_find_job (self->workspace, g_object_get_data (G_OBJECT (button), "file"));

  if (job != NULL)
    ing_job_queue_retry (ing_workspace_get_jobs (self->workspace), job);
}

/* With its job, where it has one: nothing of either stays. */
static void
remove_cb (GtkWidget *button, IngStoragePage *self)
{
  IngModelFile *file = g_object_get_data (G_OBJECT (button), "file");
  g_autoptr (IngJob) job = ing_storage_page_find_job (self->workspace, file);

  if (job == NULL)
    {
      ing_model_page_trash (self->workspace, self->toasts, file);
      return;
    }
  if (g_strcmp0 (ing_job_get_kind (job), ING_JOB_KIND_DOWNLOAD) == 0)
    ing_downloads_forget (ing_library_get_downloads (get_library (self)), job);
  else
    ing_job_queue_cancel (ing_workspace_get_jobs (self->workspace), job);
  ing_library_refresh (get_library (self));
}

static char *
dup_words (IngModelFile *file)
{
  g_autofree char *size = g_format_size (ing_model_file_get_bytes (file));
  g_autofree char *folder = g_path_get_dirname (ing_model_file_get_path (file));
  g_autofree char *shown = g_filename_display_name (folder);
  guint n = ing_model_file_get_n_conversations (file);
  g_autofree char *users = n > 0 ? g_strdup_printf (ngettext ("in %u conversation", "in %u conversations", n), n)
                                 : g_strdup (_("in no conversation"));

  if (ing_model_file_get_is_own (file))
    return g_strdup_printf ("%s · %s\n%s", size, users, shown);
  return g_strdup_printf ("%s · %s · %s\n%s", size, users, _("made by others"), shown);
}

static void
add_model (IngStoragePage *self, IngModelFile *file)
{
  g_autofree char *words = dup_words (file);
  GtkWidget *row = ing_form_new_plain_row (ing_model_file_get_name (file), words);
  GtkWidget *about;

  if (ing_model_file_get_is_own (file))
    connect_file (ing_form_add_button (row, NULL, "user-trash-symbolic", _("Move to the trash")), file,
                  G_CALLBACK (trash_cb), self);
  about = ing_form_add_button (row, NULL, "go-next-symbolic", _("About this model"));
  connect_file (about, file, G_CALLBACK (about_cb), self);
  adw_action_row_set_activatable_widget (ADW_ACTION_ROW (row), about);
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (self->models), row);
  gtk_widget_set_visible (self->models, TRUE);
}

static void
add_part (IngStoragePage *self, IngModelFile *file)
{
  g_autoptr (IngJob) job = ing_storage_page_find_job (self->workspace, file);
  IngJobState state = job != NULL ? ing_job_get_state (job) : ING_JOB_CANCELLED;
  gboolean running = job != NULL && (state == ING_JOB_RUNNING || state == ING_JOB_QUEUED);
  g_autofree char *size = g_format_size (ing_model_file_get_bytes (file));
  g_autofree char *words = g_strdup_printf ("%s · %s", size,
                                            running       ? _("under way")
                                            : job != NULL ? _("stands still")
                                                          : _("nobody goes on with it"));
  GtkWidget *row = ing_form_new_plain_row (job != NULL ? ing_job_get_title (job) : ing_model_file_get_name (file), words);

  if (job != NULL && !running)
    connect_file (ing_form_add_button (row, _("Go on"), NULL, _("Go on")), file, G_CALLBACK (resume_cb), self);
  if (!running)
    connect_file (ing_form_add_button (row, NULL, "user-trash-symbolic", _("Remove")), file, G_CALLBACK (remove_cb), self);
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (self->parts), row);
  gtk_widget_set_visible (self->parts, TRUE);
}

static int
by_size (gconstpointer a, gconstpointer b)
{
  guint64 x = ing_model_file_get_bytes (*(IngModelFile *const *) a), y = ing_model_file_get_bytes (*(IngModelFile *const *) b);

  return x != y ? (x > y ? -1 : 1) : 0;
}

/* ---------------------------------------------------------------- folders */

static void
folder_chosen_cb (GtkNativeDialog *dialog, int response, IngStoragePage *self)
{
  g_autoptr (GFile) file
      = response == GTK_RESPONSE_ACCEPT ? gtk_file_chooser_get_file (GTK_FILE_CHOOSER (dialog)) : NULL;
  g_autofree char *path = file != NULL ? g_file_get_path (file) : NULL;

  if (path != NULL)
    ing_library_add_folder (get_library (self), path);
  g_clear_object (&self->chooser);
}

static void
add_folder_cb (IngStoragePage *self)
{
  g_clear_object (&self->chooser);
  self->chooser = gtk_file_chooser_native_new (_("Choose a folder"), GTK_WINDOW (gtk_widget_get_root (GTK_WIDGET (self))),
                                               GTK_FILE_CHOOSER_ACTION_SELECT_FOLDER, _("_Open"), NULL);
  gtk_native_dialog_set_modal (GTK_NATIVE_DIALOG (self->chooser), TRUE);
  g_signal_connect_object (self->chooser, "response", G_CALLBACK (folder_chosen_cb), self, 0);
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (self->chooser));
}

static void
remove_folder_cb (GtkWidget *button, IngStoragePage *self)
{
  ing_library_remove_folder (get_library (self), g_object_get_data (G_OBJECT (button), "path"));
}

static gboolean
is_absent (IngStoragePage *self, const char *path)
{
  GListModel *files = G_LIST_MODEL (get_library (self));

  for (guint i = 0; i < g_list_model_get_n_items (files); i++)
    {
      g_autoptr (IngModelFile) file = g_list_model_get_item (files, i);

      if (ing_model_file_get_kind (file) == ING_FILE_ABSENT && strcmp (ing_model_file_get_path (file), path) == 0)
        return TRUE;
    }
  return FALSE;
}

static void
add_folders (IngStoragePage *self)
{
  g_auto (GStrv) folders = ing_library_dup_folders (get_library (self));
  g_autofree char *own = g_filename_display_name (ing_paths_get_models ());

  adw_preferences_group_add (ADW_PREFERENCES_GROUP (self->folders),
                             ing_form_new_plain_row (own, _("The folder of models: what comes goes here")));
  for (guint i = 0; folders[i] != NULL; i++)
    {
      g_autofree char *shown = g_filename_display_name (folders[i]);
      GtkWidget *row = ing_form_new_plain_row (
          shown, is_absent (self, folders[i]) ? _("Not connected. Its models are back as soon as it is.") : NULL);
      GtkWidget *button
          = ing_form_add_button (row, NULL, "list-remove-symbolic", _("Look here no more; nothing is deleted"));

      g_object_set_data_full (G_OBJECT (button), "path", g_strdup (folders[i]), g_free);
      g_signal_connect_object (button, "clicked", G_CALLBACK (remove_folder_cb), self, 0);
      adw_preferences_group_add (ADW_PREFERENCES_GROUP (self->folders), row);
    }
}

/* ---------------------------------------------------------------- all of it */

static void
add_groups (IngStoragePage *self)
{
  GtkWidget *add = gtk_button_new_with_label (_("Add folder…"));

  self->sum = ing_form_add_group (self->column, NULL, NULL);
  self->parts = ing_form_add_group (self->column, _("Unfinished"), NULL);
  self->models = ing_form_add_group (self->column, _("Models"), NULL);
  self->folders = ing_form_add_group (self->column, _("Folders"), _("Models in these are on the list."));
  gtk_widget_add_css_class (add, "flat");
  gtk_widget_set_valign (add, GTK_ALIGN_CENTER);
  g_signal_connect_object (add, "clicked", G_CALLBACK (add_folder_cb), self, G_CONNECT_SWAPPED);
  adw_preferences_group_set_header_suffix (ADW_PREFERENCES_GROUP (self->folders), add);
  gtk_widget_set_visible (self->parts, FALSE);
  gtk_widget_set_visible (self->models, FALSE);
}

static void
fill (IngStoragePage *self)
{
  GListModel *files = G_LIST_MODEL (get_library (self));
  g_autoptr (GPtrArray) sorted = g_ptr_array_new_with_free_func (g_object_unref);
  GtkWidget *groups[] = { self->sum, self->parts, self->models, self->folders };
  guint64 bytes = 0;

  for (gsize i = 0; i < G_N_ELEMENTS (groups); i++)
    if (groups[i] != NULL)
      gtk_box_remove (GTK_BOX (self->column), groups[i]);
  add_groups (self);
  for (guint i = 0; i < g_list_model_get_n_items (files); i++)
    g_ptr_array_add (sorted, g_list_model_get_item (files, i));
  g_ptr_array_sort (sorted, by_size);
  for (guint i = 0; i < sorted->len; i++)
    {
      IngModelFile *file = g_ptr_array_index (sorted, i);

      bytes += ing_model_file_get_bytes (file);
      if (ing_model_file_get_kind (file) == ING_FILE_MODEL)
        add_model (self, file);
      else if (ing_model_file_get_kind (file) == ING_FILE_PART)
        add_part (self, file);
    }
  add_folders (self);

  g_autofree char *size = g_format_size (bytes);
  g_autofree char *room = g_format_size (ing_library_get_free_bytes (get_library (self)));
  g_autofree char *title = g_strdup_printf (_("%s in models"), size);
  g_autofree char *words = g_strdup_printf (_("%s are free in the folder of models"), room);

  adw_preferences_group_add (ADW_PREFERENCES_GROUP (self->sum), ing_form_new_plain_row (title, words));
}

/* Nobody looks at it: it is filled when it is shown. */
static void
changed_cb (IngStoragePage *self)
{
  if (gtk_widget_get_mapped (GTK_WIDGET (self)))
    fill (self);
}

static void
state_cb (IngJob *job, GParamSpec *pspec, IngStoragePage *self)
{
  changed_cb (self);
}

static void
jobs_cb (GListModel *jobs, guint position, guint n_removed, guint n_added, IngStoragePage *self)
{
  for (guint i = position; i < position + n_added; i++)
    {
      g_autoptr (IngJob) job = g_list_model_get_item (jobs, i);

      g_signal_connect_object (job, "notify::state", G_CALLBACK (state_cb), self, 0);
    }
  changed_cb (self);
}

static void
back_cb (IngStoragePage *self)
{
  g_signal_emit (self, signals[CLOSE], 0);
}

static void
ing_storage_page_dispose (GObject *object)
{
  IngStoragePage *self = ING_STORAGE_PAGE (object);

  g_clear_object (&self->chooser);
  g_clear_weak_pointer (&self->toasts);
  g_clear_pointer (&self->box, gtk_widget_unparent);
  g_clear_object (&self->workspace);
  G_OBJECT_CLASS (ing_storage_page_parent_class)->dispose (object);
}

static void
ing_storage_page_class_init (IngStoragePageClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = ing_storage_page_dispose;
  gtk_widget_class_set_layout_manager_type (GTK_WIDGET_CLASS (klass), GTK_TYPE_BIN_LAYOUT);
  signals[CLOSE] = g_signal_new ("close", ING_TYPE_STORAGE_PAGE, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
  signals[SHOW_FILE] = g_signal_new ("show-file", ING_TYPE_STORAGE_PAGE, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE,
                                     1, ING_TYPE_MODEL_FILE);
}

static void
ing_storage_page_init (IngStoragePage *self)
{
  GtkWidget *back;

  self->box = ing_form_new_page (_("Storage"), _("Back to the models"), &back, &self->column, NULL);
  g_signal_connect_swapped (back, "clicked", G_CALLBACK (back_cb), self);
  gtk_widget_set_parent (self->box, GTK_WIDGET (self));
}

GtkWidget *
ing_storage_page_new (IngWorkspace *workspace, AdwToastOverlay *toasts)
{
  IngStoragePage *self = g_object_new (ING_TYPE_STORAGE_PAGE, NULL);
  GListModel *jobs = G_LIST_MODEL (ing_workspace_get_jobs (workspace));

  self->workspace = g_object_ref (workspace);
  g_set_weak_pointer (&self->toasts, toasts);
  g_signal_connect_object (ing_workspace_get_library (workspace), "items-changed", G_CALLBACK (changed_cb), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (jobs, "items-changed", G_CALLBACK (jobs_cb), self, 0);
  jobs_cb (jobs, 0, 0, g_list_model_get_n_items (jobs), self);
  g_signal_connect (self, "map", G_CALLBACK (fill), NULL);
  return GTK_WIDGET (self);
}
