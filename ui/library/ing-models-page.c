/* SPDX-License-Identifier: Apache-2.0 */
/* Each group is rebuilt from its model when that changes: they are short lists. */
#include "ing-models-page.h"

#include "ing-download-row.h"
#include "ing-form.h"
#include "ing-import-dialog.h"
#include "ing-model-page.h"
#include "ing-numbers.h"
#include "ing-problem-box.h"
#include "ing-search-page.h"
#include "ing-storage-page.h"

#include <glib/gi18n-lib.h>

#define MAX_FOUND 60 /* rows of one repository */

struct _IngModelsPage
{
  GtkWidget parent_instance;

  GtkWidget *stack;      /* the list and the pages it leads to */
  GtkWidget *box;        /* the list; borrowed, NULL once disposed */
  GtkWidget *model_page;   /* while it is shown */
  GtkWidget *storage_page; /* made when first shown */
  GtkWidget *search_page;  /* the same */
  GtkWidget *entry; /* AdwEntryRow */
  GtkWidget *spinner;
  IngProblemBox *problem;
  GtkWidget *found, *downloads, *files, *catalogue; /* AdwPreferencesGroup, without what is not there */
  GPtrArray *found_rows, *download_rows, *file_rows;
  AdwToastOverlay *toasts;
  IngWorkspace *workspace;
  GCancellable *finding;
  char *second; /* address to look at if the hub does not have what is being looked for; NULL */
};

G_DEFINE_FINAL_TYPE (IngModelsPage, ing_models_page, GTK_TYPE_WIDGET)

static guint close_signal;

static void
clear_rows (GtkWidget *group, GPtrArray *rows)
{
  for (guint i = 0; i < rows->len; i++)
    adw_preferences_group_remove (ADW_PREFERENCES_GROUP (group), g_ptr_array_index (rows, i));
  g_ptr_array_set_size (rows, 0);
}

static void
add_row (GtkWidget *group, GPtrArray *rows, GtkWidget *row)
{
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (group), row);
  g_ptr_array_add (rows, row);
  gtk_widget_set_visible (group, TRUE);
}

/* ---------------------------------------------------------------- what an address holds */

typedef struct
{
  IngModelsPage *page; /* weak, by the row's life */
  IngRemoteFile *file;
  GtkWidget *row;
  char *size;
} Offer;

static void
offer_free (gpointer data)
{
  Offer *offer = data;

  ing_remote_file_free (offer->file);
  g_free (offer->size);
  g_free (offer);
}

static char *
dup_proxy (IngModelsPage *self)
{
  return ing_settings_dup_string (ing_workspace_get_settings (self->workspace), ING_SETTING_PROXY, "");
}

static void
fit_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GtkWidget) row = user_data;
  Offer *offer = g_object_get_data (G_OBJECT (row), "offer");
  g_autoptr (GError) error = NULL;
  guint64 size = 0;
  g_autofree char *json = ing_remote_inspect_finish (result, &size, &error);
  g_autofree char *text = NULL;
  IngFit fit;

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED) || offer == NULL)
    return;
  if (size > 0)
    {
      g_free (offer->size);
      offer->size = g_format_size (size);
      offer->file->size = size;
    }
  if (error != NULL)
    {
      g_autofree char *sentence = ing_error_to_sentence (error);

      text = g_strdup_printf ("%s\n%s", offer->size, sentence);
    }
  else
    {
      g_autofree char *numbers = NULL;

      ing_fit_from_json (&fit, json);
      numbers = ing_fit_dup_numbers (&fit);
      text = g_strdup_printf ("%s · %s\n%s", offer->size, ing_fit_get_words (&fit), numbers);
    }
  adw_action_row_set_subtitle (ADW_ACTION_ROW (row), text);
}

static void
look_cb (GtkWidget *button, GtkWidget *row)
{
  Offer *offer = g_object_get_data (G_OBJECT (row), "offer");
  IngModelsPage *self = offer->page;
  IngSettings *settings = ing_workspace_get_settings (self->workspace);
  g_autofree char *proxy = dup_proxy (self);
  g_autofree char *text = g_strdup_printf (_("%s · Reading its header"), offer->size);

  adw_action_row_set_subtitle (ADW_ACTION_ROW (row), text);
  ing_remote_inspect_async (ing_workspace_get_generation (self->workspace), offer->file->uri,
                            (guint) MAX (0, ing_settings_get_int (settings, ING_SETTING_CONTEXT, 0)), proxy,
                            self->finding, fit_cb, g_object_ref (row));
}

static void
download_cb (GtkWidget *button, GtkWidget *row)
{
  Offer *offer = g_object_get_data (G_OBJECT (row), "offer");
  IngDownloads *downloads = ing_library_get_downloads (ing_workspace_get_library (offer->page->workspace));
  IngDownloadOrder order = { .uri = offer->file->uri, .page = offer->file->page, .name = offer->file->name,
                             .size = offer->file->size, .sha256 = offer->file->sha256 };
  g_autoptr (IngJob) job = ing_downloads_add (downloads, &order);

  gtk_widget_set_sensitive (button, FALSE);
}

static GtkWidget *
new_offer (IngModelsPage *self, IngRemoteFile *file)
{
  Offer *offer = g_new0 (Offer, 1);
  GtkWidget *row, *button;

  offer->page = self;
  offer->file = file;
  offer->size = file->size > 0 ? g_format_size (file->size) : g_strdup (_("Size not known"));
  row = ing_form_new_plain_row (file->name, offer->size);
  offer->row = row;
  g_object_set_data_full (G_OBJECT (row), "offer", offer, offer_free);
  button = ing_form_add_button (row, NULL, "dialog-question-symbolic", _("Will it run here?"));
  g_signal_connect_object (button, "clicked", G_CALLBACK (look_cb), row, 0);
  button = ing_form_add_button (row, _("Download"), NULL, _("Download"));
  g_signal_connect_object (button, "clicked", G_CALLBACK (download_cb), row, 0);
  return row;
}

static void address_cb (IngModelsPage *self, const char *address);

static void
found_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (IngModelsPage) self = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) files = ing_remote_find_finish (result, &error);

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED) || self->box == NULL)
    return;
  g_autofree char *second = g_steal_pointer (&self->second);

  if (second != NULL && g_error_matches (error, ING_ERROR, ING_ERROR_NOT_FOUND))
    {
      address_cb (self, second);
      return;
    }
  gtk_spinner_stop (GTK_SPINNER (self->spinner));
  ing_problem_box_set_error (self->problem, error);
  for (guint i = 0; files != NULL && i < MIN (files->len, MAX_FOUND); i++)
    add_row (self->found, self->found_rows, new_offer (self, g_ptr_array_index (files, i)));
  /* The rows have them now. */
  if (files != NULL)
    g_ptr_array_set_free_func (files, NULL);
  if (files != NULL && files->len == 1)
    look_cb (NULL, g_ptr_array_index (self->found_rows, 0));
}

static void
find_address (IngModelsPage *self, const char *text)
{
  g_autofree char *proxy = dup_proxy (self);

  g_cancellable_cancel (self->finding);
  g_clear_object (&self->finding);
  self->finding = g_cancellable_new ();
  g_clear_pointer (&self->second, g_free);
  clear_rows (self->found, self->found_rows);
  gtk_widget_set_visible (self->found, FALSE);
  ing_problem_box_set_error (self->problem, NULL);
  gtk_spinner_start (GTK_SPINNER (self->spinner));
  ing_remote_find_async (text, proxy, self->finding, found_cb, g_object_ref (self));
}

static void
apply_cb (IngModelsPage *self)
{
  find_address (self, gtk_editable_get_text (GTK_EDITABLE (self->entry)));
}

/* ---------------------------------------------------------------- downloads */

static void
jobs_cb (IngModelsPage *self)
{
  GListModel *jobs = G_LIST_MODEL (ing_workspace_get_jobs (self->workspace));

  clear_rows (self->downloads, self->download_rows);
  gtk_widget_set_visible (self->downloads, FALSE);
  for (guint i = 0; i < g_list_model_get_n_items (jobs); i++)
    {
      g_autoptr (IngJob) job = g_list_model_get_item (jobs, i);

      if (ing_library_has_job (job))
        add_row (self->downloads, self->download_rows, ing_download_row_new (self->workspace, job));
    }
}

/* ---------------------------------------------------------------- on this computer */

static void
open_cb (GtkWidget *button, IngModelsPage *self)
{
  IngModelFile *file = g_object_get_data (G_OBJECT (button), "file");

  gtk_widget_activate_action (GTK_WIDGET (self), "win.use-model", "s", ing_model_file_get_path (file));
  g_signal_emit (self, close_signal, 0);
}

static void
trash_cb (GtkWidget *button, IngModelsPage *self)
{
  ing_model_page_trash (self->workspace, self->toasts, g_object_get_data (G_OBJECT (button), "file"));
}

static void
show_list (IngModelsPage *self)
{
  gtk_stack_set_visible_child (GTK_STACK (self->stack), self->box);
  if (self->model_page != NULL)
    gtk_stack_remove (GTK_STACK (self->stack), self->model_page);
  self->model_page = NULL;
}

static void
show_file (IngModelsPage *self, IngModelFile *file)
{
  if (self->model_page == NULL)
    {
      self->model_page = ing_model_page_new (self->workspace, self->toasts);
      g_signal_connect_swapped (self->model_page, "close", G_CALLBACK (show_list), self);
      gtk_stack_add_child (GTK_STACK (self->stack), self->model_page);
    }
  ing_model_page_set_file (ING_MODEL_PAGE (self->model_page), file);
  gtk_stack_set_visible_child (GTK_STACK (self->stack), self->model_page);
}

static void
about_cb (GtkWidget *button, IngModelsPage *self)
{
  show_file (self, g_object_get_data (G_OBJECT (button), "file"));
}

static void
storage_cb (IngModelsPage *self)
{
  if (self->storage_page == NULL)
    {
      self->storage_page = ing_storage_page_new (self->workspace, self->toasts);
      g_signal_connect_swapped (self->storage_page, "close", G_CALLBACK (show_list), self);
      g_signal_connect_swapped (self->storage_page, "show-file", G_CALLBACK (show_file), self);
      gtk_stack_add_child (GTK_STACK (self->stack), self->storage_page);
    }
  ing_library_refresh (ing_workspace_get_library (self->workspace));
  gtk_stack_set_visible_child (GTK_STACK (self->stack), self->storage_page);
}

/* What the hub has of it, with sizes and whether it runs here. */
static void
address_cb (IngModelsPage *self, const char *address)
{
  show_list (self);
  gtk_editable_set_text (GTK_EDITABLE (self->entry), address);
  find_address (self, address);
  gtk_widget_grab_focus (self->entry);
}

static void
search_cb (IngModelsPage *self)
{
  if (self->search_page == NULL)
    {
      self->search_page = ing_search_page_new (self->workspace);
      g_signal_connect_swapped (self->search_page, "close", G_CALLBACK (show_list), self);
      g_signal_connect_swapped (self->search_page, "address", G_CALLBACK (address_cb), self);
      gtk_stack_add_child (GTK_STACK (self->stack), self->search_page);
    }
  gtk_stack_set_visible_child (GTK_STACK (self->stack), self->search_page);
  ing_search_page_focus (ING_SEARCH_PAGE (self->search_page));
}

static void
connect_file (GtkWidget *button, IngModelFile *file, GCallback callback, IngModelsPage *self)
{
  g_object_set_data_full (G_OBJECT (button), "file", g_object_ref (file), g_object_unref);
  g_signal_connect_object (button, "clicked", callback, self, 0);
}

static char *
dup_file_words (IngModelFile *file)
{
  g_autofree char *size = g_format_size (ing_model_file_get_bytes (file));
  guint n = ing_model_file_get_n_conversations (file);
  g_autofree char *users = n > 0 ? g_strdup_printf (ngettext ("in %u conversation", "in %u conversations", n), n) : NULL;

  if (ing_model_file_get_kind (file) == ING_FILE_ABSENT)
    return g_strdup (_("Not connected"));
  if (ing_model_file_get_kind (file) == ING_FILE_PART)
    return g_strdup_printf (_("%s · unfinished"), size);
  return users != NULL ? g_strdup_printf ("%s · %s", size, users) : g_steal_pointer (&size);
}

/* A part that a job of the list owns stands under "Under way". */
static gboolean
has_job (IngModelsPage *self, IngModelFile *file)
{
  g_autoptr (IngJob) job = ing_storage_page_find_job (self->workspace, file);

  return job != NULL;
}

static void
files_cb (IngModelsPage *self)
{
  GListModel *files = G_LIST_MODEL (ing_workspace_get_library (self->workspace));

  clear_rows (self->files, self->file_rows);
  for (guint i = 0; i < g_list_model_get_n_items (files); i++)
    {
      g_autoptr (IngModelFile) file = g_list_model_get_item (files, i);
      IngFileKind kind = ing_model_file_get_kind (file);
      g_autofree char *words = dup_file_words (file);
      GtkWidget *row;

      if (kind == ING_FILE_PART && has_job (self, file))
        continue;
      row = ing_form_new_plain_row (ing_model_file_get_name (file), words);
      if (kind == ING_FILE_MODEL)
        {
          connect_file (ing_form_add_button (row, _("Open"), NULL, _("Open")), file, G_CALLBACK (open_cb), self);
          GtkWidget *about = ing_form_add_button (row, NULL, "go-next-symbolic", _("About this model"));

          connect_file (about, file, G_CALLBACK (about_cb), self);
          adw_action_row_set_activatable_widget (ADW_ACTION_ROW (row), about);
        }
      else if (kind == ING_FILE_PART)
        connect_file (ing_form_add_button (row, NULL, "user-trash-symbolic", _("Move to the trash")), file, G_CALLBACK (trash_cb),
                      self);
      add_row (self->files, self->file_rows, row);
    }
}

/* ---------------------------------------------------------------- catalogue */

static void
entry_cb (AdwActionRow *row, IngModelsPage *self)
{
  IngCatalogueEntry *entry = g_object_get_data (G_OBJECT (row), "entry");
  gboolean chinese = g_str_has_prefix (g_get_language_names ()[0], "zh");
  g_autofree char *address = ing_catalogue_entry_dup_address (entry, chinese);
  g_autofree char *other = ing_catalogue_entry_dup_address (entry, !chinese);

  address_cb (self, address != NULL ? address : other);
  if (address != NULL)
    self->second = g_steal_pointer (&other);
}

static char *
dup_entry_words (IngCatalogueEntry *entry)
{
  g_autofree char *small = g_format_size (ing_catalogue_entry_get_bytes (entry, "Q4_K_M"));
  g_autofree char *large = g_format_size (ing_catalogue_entry_get_bytes (entry, "Q8_0"));
  g_autofree char *context = ing_numbers_dup_count (ing_catalogue_entry_get_context (entry));
  double billions = (double) ing_catalogue_entry_get_parameters (entry) / 1e9;

  return g_strdup_printf (_("%.2g billion parameters · %s as Q4_K_M, %s as Q8_0 · %s tokens · %s · %s %s"), billions, small,
                          large, context, ing_catalogue_entry_get_licence (entry), ing_catalogue_entry_get_languages (entry),
                          ing_catalogue_entry_get_checked (entry) ? "" : _("· not checked"));
}

/* When the page is first shown: thirty rows take longer to make than a frame, and most starts never show them. */
static void
fill_catalogue (IngModelsPage *self)
{
  g_signal_handlers_disconnect_by_func (self, fill_catalogue, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (GListModel) catalogue = ing_catalogue_new (NULL, NULL, &error);

  if (catalogue == NULL)
    {
      ing_problem_box_set_error (self->problem, error);
      return;
    }
  for (guint i = 0; i < g_list_model_get_n_items (catalogue); i++)
    {
      g_autoptr (IngCatalogueEntry) entry = g_list_model_get_item (catalogue, i);
      g_autofree char *words = dup_entry_words (entry);
      GtkWidget *row = ing_form_new_plain_row (ing_catalogue_entry_get_name (entry), words);

      gtk_list_box_row_set_activatable (GTK_LIST_BOX_ROW (row), TRUE);
      adw_action_row_add_suffix (ADW_ACTION_ROW (row), gtk_image_new_from_icon_name ("go-next-symbolic"));
      g_object_set_data_full (G_OBJECT (row), "entry", g_object_ref (entry), g_object_unref);
      g_signal_connect_object (row, "activated", G_CALLBACK (entry_cb), self, 0);
      adw_preferences_group_add (ADW_PREFERENCES_GROUP (self->catalogue), row);
    }
}

/* ---------------------------------------------------------------- widget */

static void
back_cb (IngModelsPage *self)
{
  g_signal_emit (self, close_signal, 0);
}

static void
fill_column (IngModelsPage *self, GtkWidget *column)
{
  GtkWidget *add = ing_form_add_group (column, _("Get a model"),
                              _("Paste the address of a model at a hub, or of a GGUF file. Nothing is sent but the request "
                                "for it."));
  GtkWidget *look, *storage, *search, *go;

  self->entry = adw_entry_row_new ();
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (self->entry), _("Address"));
  g_signal_connect_swapped (self->entry, "entry-activated", G_CALLBACK (apply_cb), self);
  self->spinner = gtk_spinner_new ();
  adw_entry_row_add_suffix (ADW_ENTRY_ROW (self->entry), self->spinner);
  look = gtk_button_new_with_label (_("Look"));
  gtk_widget_set_valign (look, GTK_ALIGN_CENTER);
  gtk_widget_set_tooltip_text (look, _("See what is there (Enter)"));
  g_signal_connect_swapped (look, "clicked", G_CALLBACK (apply_cb), self);
  adw_entry_row_add_suffix (ADW_ENTRY_ROW (self->entry), look);
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (add), self->entry);
  search = ing_form_new_plain_row (_("Search a hub"), _("By name or words, when there is a network"));
  go = ing_form_add_button (search, NULL, "go-next-symbolic", _("Open"));
  g_signal_connect_swapped (go, "clicked", G_CALLBACK (search_cb), self);
  adw_action_row_set_activatable_widget (ADW_ACTION_ROW (search), go);
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (add), search);
  self->problem = ING_PROBLEM_BOX (ing_problem_box_new ());
  gtk_box_append (GTK_BOX (column), GTK_WIDGET (self->problem));
  self->found = ing_form_add_group (column, _("What is there"), NULL);
  self->downloads = ing_form_add_group (column, _("Under way"), NULL);
  self->files = ing_form_add_group (column, _("On this computer"), NULL);
  storage = gtk_button_new_with_label (_("Storage"));
  gtk_widget_add_css_class (storage, "flat");
  gtk_widget_set_valign (storage, GTK_ALIGN_CENTER);
  gtk_widget_set_tooltip_text (storage, _("What takes room, and where"));
  g_signal_connect_swapped (storage, "clicked", G_CALLBACK (storage_cb), self);
  adw_preferences_group_set_header_suffix (ADW_PREFERENCES_GROUP (self->files), storage);
  self->catalogue = ing_form_add_group (column, _("Catalogue"),
                               _("Comes with the program. “Not checked” are facts that nobody of the project has compared "
                                 "with their source."));
  gtk_widget_set_visible (self->found, FALSE);
  gtk_widget_set_visible (self->downloads, FALSE);
}

static void
ing_models_page_dispose (GObject *object)
{
  IngModelsPage *self = ING_MODELS_PAGE (object);

  g_cancellable_cancel (self->finding);
  g_clear_object (&self->finding);
  g_clear_pointer (&self->second, g_free);
  g_clear_weak_pointer (&self->toasts);
  g_clear_pointer (&self->found_rows, g_ptr_array_unref);
  g_clear_pointer (&self->download_rows, g_ptr_array_unref);
  g_clear_pointer (&self->file_rows, g_ptr_array_unref);
  self->box = NULL;
  g_clear_pointer (&self->stack, gtk_widget_unparent);
  g_clear_object (&self->workspace);
  G_OBJECT_CLASS (ing_models_page_parent_class)->dispose (object);
}

static void
ing_models_page_class_init (IngModelsPageClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = ing_models_page_dispose;
  gtk_widget_class_set_layout_manager_type (GTK_WIDGET_CLASS (klass), GTK_TYPE_BIN_LAYOUT);
  close_signal = g_signal_new ("close", ING_TYPE_MODELS_PAGE, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
}

static void
ing_models_page_init (IngModelsPage *self)
{
  GtkWidget *back, *column;

  self->found_rows = g_ptr_array_new ();
  self->download_rows = g_ptr_array_new ();
  self->file_rows = g_ptr_array_new ();
  self->box = ing_form_new_page (_("Models"), _("Back to the conversation"), &back, &column, NULL);
  g_signal_connect_swapped (back, "clicked", G_CALLBACK (back_cb), self);
  fill_column (self, column);
  self->stack = gtk_stack_new ();
  gtk_stack_set_hhomogeneous (GTK_STACK (self->stack), FALSE);
  gtk_stack_add_child (GTK_STACK (self->stack), self->box);
  gtk_widget_set_parent (self->stack, GTK_WIDGET (self));
}

gboolean
ing_models_page_go_back (IngModelsPage *self)
{
  g_return_val_if_fail (ING_IS_MODELS_PAGE (self), FALSE);
  if (gtk_stack_get_visible_child (GTK_STACK (self->stack)) == self->box)
    return FALSE;
  show_list (self);
  return TRUE;
}

void
ing_models_page_set_workspace (IngModelsPage *self, IngWorkspace *workspace, AdwToastOverlay *toasts)
{
  g_return_if_fail (ING_IS_MODELS_PAGE (self));
  g_return_if_fail (self->workspace == NULL);
  self->workspace = g_object_ref (workspace);
  g_set_weak_pointer (&self->toasts, toasts);
  g_signal_connect_object (ing_workspace_get_jobs (workspace), "items-changed", G_CALLBACK (jobs_cb), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (ing_workspace_get_library (workspace), "items-changed", G_CALLBACK (files_cb), self,
                           G_CONNECT_SWAPPED);
  gtk_box_insert_child_after (GTK_BOX (gtk_widget_get_parent (self->files)), ing_import_group_new (workspace, toasts), self->files);
  jobs_cb (self);
  g_signal_connect (self, "map", G_CALLBACK (fill_catalogue), NULL);
}

void
ing_models_page_refresh (IngModelsPage *self)
{
  g_return_if_fail (ING_IS_MODELS_PAGE (self));
  ing_library_refresh (ing_workspace_get_library (self->workspace));
}

void
ing_models_page_focus (IngModelsPage *self)
{
  g_return_if_fail (ING_IS_MODELS_PAGE (self));
  gtk_widget_grab_focus (self->entry);
}
