/* SPDX-License-Identifier: Apache-2.0 */
/* Invariant: the groups that stand between `status` and the end of the column are of @file and are made again with it. */
#include "ing-model-page.h"

#include "ing-form.h"
#include "ing-model-choices.h"
#include "ing-model-quality.h"
#include "ing-model-title.h"
#include "ing-numbers.h"
#include "ing-problem-box.h"
#include "ing-shrink-dialog.h"

#include <glib/gi18n-lib.h>

struct _IngModelPage
{
  GtkWidget parent_instance;

  GtkWidget *box, *column;
  AdwWindowTitle *title;
  IngProblemBox *problem;
  GtkWidget *status; /* row: loaded or not */
  GtkWidget *load, *unload;
  GtkWidget *about, *memory, *file_group; /* groups of the file */
  GtkWidget *quality; /* the same; NULL = nothing is known */
  GtkWidget *architecture, *parameters, *type, *context, *licence, *template; /* labels */
  GtkWidget *planned, *measured, *check_row; /* rows */
  GtkWidget *choices;
  AdwToastOverlay *toasts; /* weak */
  IngWorkspace *workspace;
  IngModelFile *file;
  GCancellable *looking;
  IngModelFacts facts; /* "" and 0 until they are read */
  GtkWidget *shrink;   /* button */
  GtkFileChooserNative *chooser;
  guint looked_context; /* what the prediction is for; 0 = the engine chooses */
};

G_DEFINE_FINAL_TYPE (IngModelPage, ing_model_page, GTK_TYPE_WIDGET)

static guint close_signal;

static gboolean
is_loaded (IngModelPage *self)
{
  IngGenerationService *service = ing_workspace_get_generation (self->workspace);

  return self->file != NULL
         && g_strcmp0 (ing_generation_service_get_model_path (service), ing_model_file_get_path (self->file)) == 0;
}

static gboolean
is_resting (IngModelPage *self)
{
  return is_loaded (self) && ing_generation_service_get_resting (ing_workspace_get_generation (self->workspace));
}

/* ---------------------------------------------------------------- loading */

static void
update_measured (IngModelPage *self)
{
  IngModelMemory memory;
  g_autofree char *text = NULL;

  if (!ing_model_memory_read (&memory, ing_workspace_get_settings (self->workspace), ing_model_file_get_path (self->file)))
    {
      adw_action_row_set_subtitle (ADW_ACTION_ROW (self->measured), _("It was not loaded here yet"));
      return;
    }
  g_autofree char *measured = g_format_size (memory.measured);
  g_autofree char *planned = g_format_size (memory.planned);
  g_autofree char *tokens = ing_numbers_dup_count (memory.context);

  text = g_strdup_printf (_("At most %s of main memory so far, with %s tokens of context; predicted were %s"), measured, tokens, planned);
  adw_action_row_set_subtitle (ADW_ACTION_ROW (self->measured), text);
}

static void look (IngModelPage *self);

static void
update_status (IngModelPage *self)
{
  IngGenerationService *service = ing_workspace_get_generation (self->workspace);
  IngServiceState state = ing_generation_service_get_state (service);
  g_autofree char *text = NULL;

  if (self->file == NULL)
    return;
  if (g_strcmp0 (ing_generation_service_get_loading_path (service), ing_model_file_get_path (self->file)) == 0)
    text = g_strdup_printf (_("Loading %d %%"), (int) (ing_generation_service_get_load_progress (service) * 100));
  else if (is_resting (self))
    text = g_strdup (_("Nobody asked it for a while. The next question loads it again."));
  else if (is_loaded (self))
    {
      g_autofree char *tokens = ing_numbers_dup_count (ing_generation_service_get_context_size (service));
      const char *device = ing_generation_service_get_device (service);

      text = g_strdup_printf (_("%s · %s tokens of context"), device != NULL ? device : "", tokens);
    }
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (self->status), is_resting (self)  ? _("At rest: its memory is free")
                                                                          : is_loaded (self) ? _("Loaded")
                                                                                             : _("Not loaded"));
  adw_action_row_set_subtitle (ADW_ACTION_ROW (self->status), text != NULL ? text : "");
  gtk_button_set_label (GTK_BUTTON (self->load), is_loaded (self) ? _("Load again") : _("Load"));
  gtk_widget_set_sensitive (self->load, state != ING_SERVICE_LOADING);
  gtk_widget_set_visible (self->unload, is_loaded (self));
  if (is_loaded (self))
    gtk_widget_remove_css_class (self->load, "suggested-action");
  else
    gtk_widget_add_css_class (self->load, "suggested-action");
  update_measured (self);
  if (is_loaded (self) && state == ING_SERVICE_READY
      && self->looked_context != ing_generation_service_get_context_size (service))
    look (self);
}

static void
load_error_cb (IngModelPage *self)
{
  const GError *error = ing_generation_service_get_load_error (ing_workspace_get_generation (self->workspace));

  ing_problem_box_set_error (self->problem, error);
  if (g_error_matches (error, ING_ERROR, ING_ERROR_TOO_LARGE))
    ing_problem_box_add_button (self->problem, _("_Load anyway"), "model.load-anyway", NULL);
}

static void
load_cb (IngModelPage *self)
{
  ing_problem_box_set_error (self->problem, NULL);
  if (is_loaded (self))
    ing_workspace_open_model (self->workspace, ing_model_file_get_path (self->file), FALSE); /* with what was chosen since */
  else
    gtk_widget_activate_action (GTK_WIDGET (self), "win.use-model", "s", ing_model_file_get_path (self->file));
}

static void
load_anyway_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  IngModelPage *self = ING_MODEL_PAGE (widget);

  if (self->file != NULL)
    ing_workspace_open_model (self->workspace, ing_model_file_get_path (self->file), TRUE);
}

static void
unload_cb (IngModelPage *self)
{
  ing_generation_service_unload (ing_workspace_get_generation (self->workspace));
}

/* ---------------------------------------------------------------- what it is */

static GtkWidget *
add_value (GtkWidget *group, const char *title)
{
  GtkWidget *label = gtk_label_new ("…");
  GtkWidget *row = ing_form_new_plain_row (title, NULL);

  gtk_widget_add_css_class (label, "dim-label");
  gtk_label_set_ellipsize (GTK_LABEL (label), PANGO_ELLIPSIZE_END);
  gtk_label_set_xalign (GTK_LABEL (label), 1);
  gtk_label_set_selectable (GTK_LABEL (label), TRUE);
  adw_action_row_add_suffix (ADW_ACTION_ROW (row), label);
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (group), row);
  return label;
}

static void
set_value (GtkWidget *label, const char *text)
{
  gtk_label_set_text (GTK_LABEL (label), text != NULL && *text != '\0' ? text : _("The file does not say"));
}

/* Whose the template is, under its title; a warning where it is not what the authors publish, or not this model's. */
static void
show_template_origin (IngModelPage *self, const IngModelFacts *facts)
{
  g_autoptr (GListModel) catalogue = ing_catalogue_new (NULL, NULL, NULL);
  GtkWidget *row = gtk_widget_get_ancestor (self->template, ADW_TYPE_ACTION_ROW);
  IngTemplateOrigin origin
      = catalogue != NULL ? ing_catalogue_judge_template (catalogue, ing_model_file_get_name (self->file),
                                                          ing_model_file_get_uri (self->file), facts->template_hash)
                          : ING_TEMPLATE_UNKNOWN;
  g_autofree char *words = NULL;

  if (*facts->template_foreign != '\0')
    words = g_strdup_printf (_("It writes “%s”, which this model does not know as a sign: it may be another model’s. Answers may be "
                               "poor or not end."),
                             facts->template_foreign);
  else if (origin == ING_TEMPLATE_OTHER)
    words = g_strdup (_("Not the one that the model’s authors publish: whoever made this file changed it"));
  else if (origin == ING_TEMPLATE_PUBLISHED)
    words = g_strdup (_("The one that the model’s authors publish"));
  adw_action_row_set_subtitle (ADW_ACTION_ROW (row), words != NULL ? words : "");
  if (*facts->template_foreign != '\0' || origin == ING_TEMPLATE_OTHER)
    gtk_widget_add_css_class (self->template, "warning");
  else
    gtk_widget_remove_css_class (self->template, "warning");
}

static void
show_facts (IngModelPage *self, const IngModelFacts *facts)
{
  g_autofree char *parameters = ing_numbers_dup_count (facts->parameters);
  g_autofree char *context = ing_numbers_dup_count (facts->context_train);
  g_autofree char *tokens = g_strdup_printf (_("%s tokens"), context);
  g_autofree char *numbers = ing_fit_dup_numbers (&facts->fit);
  g_autofree char *planned = g_strdup_printf (_("%s. %s"), ing_fit_get_words (&facts->fit), numbers);

  set_value (self->architecture, facts->architecture);
  set_value (self->parameters, parameters);
  set_value (self->type, facts->type);
  set_value (self->context, facts->context_train > 0 ? tokens : NULL);
  set_value (self->licence, facts->licence);
  set_value (self->template, facts->is_encoder     ? _("None needed: it compares texts")
                             : facts->has_template ? _("From the file")
                                                   : _("None: it goes on with a text"));
  show_template_origin (self, facts);
  adw_action_row_set_subtitle (ADW_ACTION_ROW (self->planned), planned);
  gtk_widget_set_sensitive (self->load, !facts->is_encoder);
  gtk_widget_set_sensitive (self->shrink, TRUE);
}

static void
show_quality (IngModelPage *self)
{
  if (self->quality != NULL)
    gtk_box_remove (GTK_BOX (self->column), self->quality);
  self->quality = ing_model_quality_new (self->workspace, self->file, &self->facts);
  if (self->quality == NULL)
    return;
  gtk_box_append (GTK_BOX (self->column), self->quality);
  gtk_box_reorder_child_after (GTK_BOX (self->column), self->quality, self->about);
}

static void
looked_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (IngModelPage) self = user_data;
  g_autoptr (GError) error = NULL;
  g_autofree char *json = ing_local_inspect_finish (result, &error);

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED) || self->box == NULL)
    return;
  if (error != NULL)
    ing_problem_box_set_error (self->problem, error);
  else
    {
      ing_model_facts_clear (&self->facts);
      ing_model_facts_from_json (&self->facts, json);
      show_facts (self, &self->facts);
      show_quality (self);
    }
}

/* At the context it runs with, or would. */
static void
look (IngModelPage *self)
{
  IngGenerationService *service = ing_workspace_get_generation (self->workspace);
  IngSettings *settings = ing_workspace_get_settings (self->workspace);
  const char *path = ing_model_file_get_path (self->file);
  g_auto (IngModelDefaults) defaults;
  g_autofree char *device = NULL;
  IngLoadOptions options;

  ing_model_defaults_read (&defaults, settings, path);
  ing_model_defaults_get_load_options (&defaults, settings, &options, &device);
  self->looked_context = is_loaded (self) ? ing_generation_service_get_context_size (service) : options.context;
  ing_local_inspect_async (service, path, self->looked_context, self->looking, looked_cb, g_object_ref (self));
}

static void
add_about (IngModelPage *self)
{
  const char *uri = ing_model_file_get_uri (self->file);

  self->about = ing_form_add_group (self->column, _("What it is"), NULL);
  self->architecture = add_value (self->about, _("Architecture"));
  self->parameters = add_value (self->about, _("Parameters"));
  self->type = add_value (self->about, _("Type of its numbers"));
  self->context = add_value (self->about, _("Made for"));
  self->licence = add_value (self->about, _("Licence"));
  self->template = add_value (self->about, _("Chat template"));
  if (uri != NULL)
    adw_preferences_group_add (ADW_PREFERENCES_GROUP (self->about), ing_form_new_plain_row (_("Came from"), uri));
  self->memory = ing_form_add_group (self->column, _("Memory"), NULL);
  self->planned = ing_form_new_plain_row (_("Predicted"), "…");
  self->measured = ing_form_new_plain_row (_("Measured"), "");
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (self->memory), self->planned);
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (self->memory), self->measured);
}

/* ---------------------------------------------------------------- its file */

static void
repaired_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GtkWidget) row = user_data;
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;
  guint n;

  if (ing_library_repair_finish (ING_LIBRARY (source), result, &n, &error))
    text = g_strdup_printf (ngettext ("Mended: %u block was fetched again", "Mended: %u blocks were fetched again", n), n);
  else if (g_error_matches (error, ING_ERROR, ING_ERROR_HASH) || g_error_matches (error, ING_ERROR, ING_ERROR_UNSUPPORTED))
    text = g_strdup (_("The server does not have these blocks any more. Download the model again."));
  else
    text = ing_error_to_sentence (error);
  adw_action_row_set_subtitle (ADW_ACTION_ROW (row), text);
}

static void
repair_cb (GtkWidget *button, IngModelPage *self)
{
  gtk_widget_set_visible (button, FALSE);
  if (is_loaded (self))
    ing_generation_service_unload (ing_workspace_get_generation (self->workspace));
  adw_action_row_set_subtitle (ADW_ACTION_ROW (self->check_row), _("Fetching what has changed"));
  ing_library_repair_async (ing_workspace_get_library (self->workspace), self->file, self->looking, repaired_cb,
                            g_object_ref (self->check_row));
}

static void
checked_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GtkWidget) row = user_data;
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;
  guint n_bad, n_blocks;
  GtkWidget *repair = g_object_get_data (G_OBJECT (row), "repair");
  gboolean good = ing_library_check_finish (ING_LIBRARY (source), result, &n_bad, &n_blocks, &error);

  if (good)
    text = g_strdup (_("The file is as it was"));
  else if (error == NULL && repair != NULL)
    text = g_strdup_printf (_("The file is damaged: %u of %u blocks have changed"), n_bad, n_blocks);
  else if (error == NULL)
    text = g_strdup_printf (_("The file is damaged: %u of %u blocks have changed. Download it again."), n_bad, n_blocks);
  else if (g_error_matches (error, ING_ERROR, ING_ERROR_NOT_FOUND))
    text = g_strdup (_("There was nothing to compare with; from now on there is"));
  else
    text = ing_error_to_sentence (error);
  if (repair != NULL)
    gtk_widget_set_visible (repair, !good && error == NULL);
  adw_action_row_set_subtitle (ADW_ACTION_ROW (row), text);
}

static void
check_cb (GtkWidget *button, IngModelPage *self)
{
  adw_action_row_set_subtitle (ADW_ACTION_ROW (self->check_row), _("Reading all of it"));
  ing_library_check_async (ing_workspace_get_library (self->workspace), self->file, self->looking, checked_cb,
                           g_object_ref (self->check_row));
}

static void
trash_cb (GtkWidget *button, IngModelPage *self)
{
  ing_model_page_trash (self->workspace, self->toasts, self->file);
  g_signal_emit (self, close_signal, 0);
}

static void
move_chosen_cb (GtkNativeDialog *dialog, int response, IngModelPage *self)
{
  g_autoptr (GFile) folder
      = response == GTK_RESPONSE_ACCEPT ? gtk_file_chooser_get_file (GTK_FILE_CHOOSER (dialog)) : NULL;
  g_autofree char *path = folder != NULL ? g_file_get_path (folder) : NULL;
  g_autoptr (IngJob) job
      = path != NULL ? ing_library_move (ing_workspace_get_library (self->workspace), self->file, path) : NULL;

  g_clear_object (&self->chooser);
  if (job != NULL)
    g_signal_emit (self, close_signal, 0); /* the list shows how far it is */
}

static void
move_cb (IngModelPage *self)
{
  g_clear_object (&self->chooser);
  self->chooser = gtk_file_chooser_native_new (_("Move to a folder"), GTK_WINDOW (gtk_widget_get_root (GTK_WIDGET (self))),
                                               GTK_FILE_CHOOSER_ACTION_SELECT_FOLDER, _("_Move here"), NULL);
  gtk_native_dialog_set_modal (GTK_NATIVE_DIALOG (self->chooser), TRUE);
  g_signal_connect_object (self->chooser, "response", G_CALLBACK (move_chosen_cb), self, 0);
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (self->chooser));
}

static GtkWidget *
new_move_row (IngModelPage *self)
{
  GtkWidget *row = ing_form_new_plain_row (_("Keep it elsewhere"),
                                           _("The copy is compared with it before it goes; conversations find it there"));
  GtkWidget *button = ing_form_add_button (row, _("Move…"), NULL, _("Move to another folder or drive"));

  g_signal_connect_object (button, "clicked", G_CALLBACK (move_cb), self, G_CONNECT_SWAPPED);
  return row;
}

static void
started_cb (IngModelPage *self)
{
  g_signal_emit (self, close_signal, 0); /* the list shows how far it is */
}

static void
shrink_cb (IngModelPage *self)
{
  GtkWidget *dialog = ing_shrink_dialog_new (GTK_WINDOW (gtk_widget_get_root (GTK_WIDGET (self))), self->workspace,
                                             self->file, &self->facts);

  g_signal_connect_object (dialog, "started", G_CALLBACK (started_cb), self, G_CONNECT_SWAPPED);
  gtk_window_present (GTK_WINDOW (dialog));
}

static GtkWidget *
new_shrink_row (IngModelPage *self)
{
  GtkWidget *row = ing_form_new_plain_row (_("Make it smaller"), _("A copy with coarser numbers"));

  self->shrink = ing_form_add_button (row, _("Shrink…"), NULL, _("Shrink…"));
  gtk_widget_set_sensitive (self->shrink, FALSE);
  g_signal_connect_object (self->shrink, "clicked", G_CALLBACK (shrink_cb), self, G_CONNECT_SWAPPED);
  return row;
}

static void
add_file (IngModelPage *self)
{
  g_autofree char *size = g_format_size (ing_model_file_get_bytes (self->file));
  g_autofree char *shown = g_filename_display_name (ing_model_file_get_path (self->file));
  g_autofree char *words = g_strdup_printf ("%s\n%s", size, shown);
  const char *sha256 = ing_model_file_get_sha256 (self->file);
  GtkWidget *button;

  self->file_group = ing_form_add_group (self->column, _("Its file"), NULL);
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (self->file_group),
                             ing_form_new_plain_row (ing_model_file_get_name (self->file), words));
  self->check_row = ing_form_new_plain_row (_("Is it still as it was?"),
                                            sha256 != NULL ? _("Compares it with the hash it had when it came") : NULL);
  if (ing_model_file_get_can_repair (self->file))
    {
      button = ing_form_add_button (self->check_row, _("Repair"), NULL, _("Fetch what has changed again"));
      gtk_widget_set_visible (button, FALSE);
      g_object_set_data (G_OBJECT (self->check_row), "repair", button);
      g_signal_connect_object (button, "clicked", G_CALLBACK (repair_cb), self, 0);
    }
  button = ing_form_add_button (self->check_row, _("Check"), NULL, _("Check file"));
  g_signal_connect_object (button, "clicked", G_CALLBACK (check_cb), self, 0);
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (self->file_group), self->check_row);
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (self->file_group), new_shrink_row (self));
  if (ing_model_file_get_is_own (self->file))
    {
      adw_preferences_group_add (ADW_PREFERENCES_GROUP (self->file_group), new_move_row (self));
      GtkWidget *row = ing_form_new_plain_row (_("Delete"), _("It can be brought back from the trash"));

      button = ing_form_add_button (row, _("Move to the trash"), NULL, _("Move to the trash"));
      gtk_widget_add_css_class (button, "destructive-action");
      g_signal_connect_object (button, "clicked", G_CALLBACK (trash_cb), self, 0);
      adw_preferences_group_add (ADW_PREFERENCES_GROUP (self->file_group), row);
    }
  else
    adw_preferences_group_add (ADW_PREFERENCES_GROUP (self->file_group),
                               ing_form_new_plain_row (_("Not deleted from here"), _("Another program or person made the file")));
}

/* ---------------------------------------------------------------- widget */

static void
clear_groups (IngModelPage *self)
{
  GtkWidget *groups[] = { self->about, self->quality, self->memory, self->file_group, self->choices };

  for (gsize i = 0; i < G_N_ELEMENTS (groups); i++)
    if (groups[i] != NULL)
      gtk_box_remove (GTK_BOX (self->column), groups[i]);
  self->about = self->quality = self->memory = self->file_group = self->choices = NULL;
}

void
ing_model_page_set_file (IngModelPage *self, IngModelFile *file)
{
  const char *path = ing_model_file_get_path (file);
  g_autofree char *title = ing_model_title_dup (path);

  g_return_if_fail (ING_IS_MODEL_PAGE (self));
  g_cancellable_cancel (self->looking);
  g_clear_object (&self->looking);
  self->looking = g_cancellable_new ();
  clear_groups (self);
  g_set_object (&self->file, file);
  ing_problem_box_set_error (self->problem, NULL);
  adw_window_title_set_title (self->title, title);
  add_about (self);
  self->choices = ing_model_choices_new (self->workspace, path);
  gtk_box_append (GTK_BOX (self->column), self->choices);
  add_file (self);
  look (self);
  update_status (self);
}

static void
back_cb (IngModelPage *self)
{
  g_signal_emit (self, close_signal, 0);
}

static void
ing_model_page_dispose (GObject *object)
{
  IngModelPage *self = ING_MODEL_PAGE (object);

  g_cancellable_cancel (self->looking);
  g_clear_object (&self->chooser);
  g_clear_object (&self->looking);
  g_clear_weak_pointer (&self->toasts);
  g_clear_pointer (&self->box, gtk_widget_unparent);
  ing_model_facts_clear (&self->facts);
  g_clear_object (&self->file);
  g_clear_object (&self->workspace);
  G_OBJECT_CLASS (ing_model_page_parent_class)->dispose (object);
}

static void
ing_model_page_class_init (IngModelPageClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = ing_model_page_dispose;
  gtk_widget_class_set_layout_manager_type (GTK_WIDGET_CLASS (klass), GTK_TYPE_BIN_LAYOUT);
  gtk_widget_class_install_action (GTK_WIDGET_CLASS (klass), "model.load-anyway", NULL, load_anyway_cb);
  close_signal = g_signal_new ("close", ING_TYPE_MODEL_PAGE, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
}

static void
ing_model_page_init (IngModelPage *self)
{
  GtkWidget *back, *group;

  self->box = ing_form_new_page ("", _("Back to the models"), &back, &self->column, &self->title);
  g_signal_connect_swapped (back, "clicked", G_CALLBACK (back_cb), self);
  self->problem = ING_PROBLEM_BOX (ing_problem_box_new ());
  gtk_box_append (GTK_BOX (self->column), GTK_WIDGET (self->problem));
  group = ing_form_add_group (self->column, NULL, NULL);
  self->status = ing_form_new_plain_row ("", NULL);
  self->unload = ing_form_add_button (self->status, _("Unload"), NULL, _("Unload"));
  g_signal_connect_swapped (self->unload, "clicked", G_CALLBACK (unload_cb), self);
  self->load = ing_form_add_button (self->status, _("Load"), NULL, _("Load this model"));
  g_signal_connect_swapped (self->load, "clicked", G_CALLBACK (load_cb), self);
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (group), self->status);
  gtk_widget_set_parent (self->box, GTK_WIDGET (self));
}

GtkWidget *
ing_model_page_new (IngWorkspace *workspace, AdwToastOverlay *toasts)
{
  IngModelPage *self = g_object_new (ING_TYPE_MODEL_PAGE, NULL);
  IngGenerationService *service = ing_workspace_get_generation (workspace);

  self->workspace = g_object_ref (workspace);
  g_set_weak_pointer (&self->toasts, toasts);
  g_signal_connect_object (service, "notify::state", G_CALLBACK (update_status), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (service, "notify::resting", G_CALLBACK (update_status), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (service, "notify::load-progress", G_CALLBACK (update_status), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (service, "notify::load-error", G_CALLBACK (load_error_cb), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (ing_workspace_get_settings (workspace), "changed::models-memory", G_CALLBACK (update_status), self,
                           G_CONNECT_SWAPPED);
  return GTK_WIDGET (self);
}
