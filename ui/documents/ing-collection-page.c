/* SPDX-License-Identifier: Apache-2.0 */
/* Invariant: while it is mapped with a collection, tick_id asks for its state twice a second: following each of some
 * thousand documents would cost more. */
#include "ing-collection-page.h"

#include "ing-chooser.h"
#include "ing-collection-words.h"
#include "ing-document-chip.h"
#include "ing-document-undo.h"
#include "ing-form.h"

#include <glib/gi18n-lib.h>

#define N_ROWS 100u /* documents shown at first; more for the asking */
#define TICK_MS 500
#define UNDO_S 10

struct _IngCollectionPage
{
  GtkWidget parent_instance;

  GtkWidget *box;
  AdwWindowTitle *title;
  GtkWidget *name_row, *watch_switch, *state_row, *bar, *pause_button;
  GtkWidget *folders, *documents; /* groups */
  GPtrArray *folder_rows;
  GtkListBox *list;
  GtkWidget *more_button;
  GtkSliceListModel *slice;
  IngWorkspace *workspace;
  AdwToastOverlay *toasts; /* weak */
  IngCollection *collection;
  GtkFileChooserNative *chooser;
  guint tick_id;
  gboolean updating; /* the switch is set by the page */
};

G_DEFINE_FINAL_TYPE (IngCollectionPage, ing_collection_page, GTK_TYPE_WIDGET)

static guint close_signal;

static IngCollections *
get_collections (IngCollectionPage *self)
{
  return ing_document_library_get_collections (ing_workspace_get_documents (self->workspace));
}

static gint64
get_owner (IngCollectionPage *self)
{
  return ing_collection_get_owner (self->collection);
}

/* ---------------------------------------------------------------- undo */

static void
undo_remove_cb (AdwToast *toast, IngCollection *collection)
{
  ing_collections_undo_remove (g_object_get_data (G_OBJECT (toast), "collections"), collection);
}

static void
offer_undo_remove (IngCollectionPage *self)
{
  AdwToast *toast;

  if (self->toasts == NULL)
    return;
  toast = adw_toast_new (_("Collection removed"));
  adw_toast_set_button_label (toast, _("_Undo"));
  adw_toast_set_timeout (toast, UNDO_S);
  g_object_set_data_full (G_OBJECT (toast), "collections", g_object_ref (get_collections (self)), g_object_unref);
  g_signal_connect_object (toast, "button-clicked", G_CALLBACK (undo_remove_cb), self->collection, 0);
  adw_toast_overlay_add_toast (self->toasts, toast);
}

static void
offer_undo (IngCollectionPage *self, const char *words, const char *path)
{
  ing_document_undo_offer (self->toasts, get_collections (self), get_owner (self), words, (const char *const[]){ path, NULL });
}

/* ---------------------------------------------------------------- documents */

static void
update_row (GtkWidget *row, GParamSpec *pspec, IngDocument *document)
{
  gboolean gone = ing_document_get_gone (document);
  gboolean failed = ing_document_get_state (document) == ING_DOCUMENT_FAILED && !gone;
  g_autofree char *state = failed ? ing_error_to_sentence (ing_document_get_error (document))
                                  : ing_document_chip_dup_state (document);

  adw_action_row_set_subtitle (ADW_ACTION_ROW (row), state);
  adw_action_row_set_icon_name (ADW_ACTION_ROW (row), failed || gone ? "dialog-warning-symbolic" : NULL);
  gtk_widget_set_visible (g_object_get_data (G_OBJECT (row), "retry"), failed);
}

static void
notify_cb (IngDocument *document, GParamSpec *pspec, GtkWidget *row)
{
  update_row (row, NULL, document);
}

static IngDocument *
get_document (GtkWidget *button)
{
  return g_object_get_data (G_OBJECT (button), "document");
}

static void
retry_cb (GtkWidget *button, IngCollectionPage *self)
{
  ing_document_library_retry (ing_workspace_get_documents (self->workspace), get_document (button));
}

static void
remove_document_cb (GtkWidget *button, IngCollectionPage *self)
{
  g_autoptr (IngDocument) document = g_object_ref (get_document (button));
  g_autofree char *path = g_strdup (ing_document_get_path (document));

  ing_collections_remove_document (get_collections (self), get_owner (self), document);
  offer_undo (self, _("Document removed from the collection"), path);
}

static GtkWidget *
add_document_button (IngCollectionPage *self, GtkWidget *row, IngDocument *document, const char *icon, const char *words,
                     GCallback callback)
{
  GtkWidget *button = ing_form_add_button (row, NULL, icon, words);
  g_autofree char *name = g_strdup_printf ("%s: %s", words, ing_document_get_name (document));

  gtk_accessible_update_property (GTK_ACCESSIBLE (button), GTK_ACCESSIBLE_PROPERTY_LABEL, name, -1);
  g_object_set_data_full (G_OBJECT (button), "document", g_object_ref (document), g_object_unref);
  g_signal_connect_object (button, "clicked", callback, self, 0);
  return button;
}

static GtkWidget *
create_row_cb (gpointer item, gpointer user_data)
{
  IngCollectionPage *self = user_data;
  IngDocument *document = item;
  GtkWidget *row = ing_form_new_plain_row (ing_document_get_name (document), NULL), *retry;

  gtk_widget_set_tooltip_text (row, ing_document_get_path (document));
  retry = add_document_button (self, row, document, "view-refresh-symbolic", _("Try again"), G_CALLBACK (retry_cb));
  g_object_set_data (G_OBJECT (row), "retry", retry);
  add_document_button (self, row, document, "list-remove-symbolic", _("Remove from the collection"),
                       G_CALLBACK (remove_document_cb));
  g_signal_connect_object (document, "notify", G_CALLBACK (notify_cb), row, 0);
  update_row (row, NULL, document);
  return row;
}

static void
show_more_cb (IngCollectionPage *self)
{
  gtk_slice_list_model_set_size (self->slice, gtk_slice_list_model_get_size (self->slice) + N_ROWS);
}

/* ---------------------------------------------------------------- folders */

static void
remove_folder_cb (GtkWidget *button, IngCollectionPage *self)
{
  g_autofree char *path = g_strdup (g_object_get_data (G_OBJECT (button), "path"));

  ing_collections_remove_folder (get_collections (self), get_owner (self), path);
  offer_undo (self, _("Folder removed from the collection"), path);
}

static void
add_folder_row (IngCollectionPage *self, const char *path)
{
  const GError *problem = ing_collections_get_folder_problem (get_collections (self), get_owner (self), path);
  g_autofree char *name = g_filename_display_basename (path);
  g_autofree char *place = g_filename_display_name (path);
  g_autofree char *why = problem == NULL ? NULL
                         : g_error_matches (problem, G_IO_ERROR, G_IO_ERROR_NOT_FOUND)
                             ? g_strdup (_("The folder is not there; its documents come back with it."))
                             : ing_error_to_sentence (problem);
  GtkWidget *row = ing_form_new_plain_row (name, why != NULL ? why : place);
  GtkWidget *button = ing_form_add_button (row, NULL, "list-remove-symbolic", _("Remove from the collection"));
  g_autofree char *label = g_strdup_printf ("%s: %s", _("Remove from the collection"), name);

  adw_action_row_set_icon_name (ADW_ACTION_ROW (row), why != NULL ? "dialog-warning-symbolic" : "folder-symbolic");
  gtk_accessible_update_property (GTK_ACCESSIBLE (button), GTK_ACCESSIBLE_PROPERTY_LABEL, label, -1);
  g_object_set_data_full (G_OBJECT (button), "path", g_strdup (path), g_free);
  g_signal_connect_object (button, "clicked", G_CALLBACK (remove_folder_cb), self, 0);
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (self->folders), row);
  g_ptr_array_add (self->folder_rows, row);
}

static void
update_folders (IngCollectionPage *self)
{
  g_auto (GStrv) folders = ing_collections_dup_folders (get_collections (self), get_owner (self));

  for (guint i = 0; i < self->folder_rows->len; i++)
    adw_preferences_group_remove (ADW_PREFERENCES_GROUP (self->folders), self->folder_rows->pdata[i]);
  g_ptr_array_set_size (self->folder_rows, 0);
  for (guint i = 0; folders[i] != NULL; i++)
    add_folder_row (self, folders[i]);
}

/* ---------------------------------------------------------------- state */

/* What of its folders is not taken or not followed, in words; "" = nothing. Caller frees. */
static char *
dup_limits (const IngCollectionState *state)
{
  if (state->cut)
    return g_strdup (_("The folders hold more than the 2,000 documents or 400 folders that are taken."));
  if (state->n_unfollowed > 0)
    return g_strdup_printf (ngettext ("%u folder is looked at every few minutes only: there are too many to follow.",
                                      "%u folders are looked at every few minutes only: there are too many to follow.",
                                      state->n_unfollowed),
                            state->n_unfollowed);
  return g_strdup ("");
}

static void
update_state (IngCollectionPage *self)
{
  IngCollectionState state;
  g_autofree char *words = NULL;
  g_autofree char *limits = NULL;
  gboolean left;

  ing_collections_get_state (get_collections (self), get_owner (self), &state);
  words = ing_collection_words_dup (&state);
  limits = dup_limits (&state);
  left = state.n_done < state.n_documents;
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (self->state_row), words);
  adw_action_row_set_subtitle (ADW_ACTION_ROW (self->state_row), limits);
  adw_window_title_set_subtitle (self->title, words);
  gtk_progress_bar_set_fraction (GTK_PROGRESS_BAR (self->bar),
                                 state.n_documents > 0 ? (double) state.n_done / state.n_documents : 0);
  gtk_widget_set_visible (self->bar, left && !state.paused && !state.sparing);
  gtk_widget_set_visible (self->pause_button, left || state.paused);
  gtk_button_set_label (GTK_BUTTON (self->pause_button), state.paused || state.sparing ? _("Go on") : _("Stop"));
  gtk_widget_set_visible (self->state_row, left || state.paused || *limits != '\0');
  gtk_widget_set_visible (GTK_WIDGET (self->list), state.n_documents > 0);
  gtk_widget_set_visible (self->more_button, self->slice != NULL
                                                 && g_list_model_get_n_items (G_LIST_MODEL (self->slice)) < state.n_documents);
}

static void
update (IngCollectionPage *self)
{
  self->updating = TRUE;
  adw_window_title_set_title (self->title, ing_collection_get_name (self->collection));
  gtk_editable_set_text (GTK_EDITABLE (self->name_row), ing_collection_get_name (self->collection));
  gtk_switch_set_active (GTK_SWITCH (self->watch_switch), ing_collection_get_watched (self->collection));
  self->updating = FALSE;
  update_folders (self);
  update_state (self);
}

static gboolean
tick_cb (gpointer user_data)
{
  update_state (user_data);
  return G_SOURCE_CONTINUE;
}

static void
update_tick (IngCollectionPage *self)
{
  gboolean wanted = self->collection != NULL && gtk_widget_get_mapped (GTK_WIDGET (self));

  if (!wanted)
    g_clear_handle_id (&self->tick_id, g_source_remove);
  else if (self->tick_id == 0)
    self->tick_id = g_timeout_add (TICK_MS, tick_cb, self);
}

static void
changed_cb (IngCollections *collections, gint64 owner, IngCollectionPage *self)
{
  if (self->collection == NULL || owner != get_owner (self))
    return;
  update_folders (self);
  update_state (self);
}

/* ---------------------------------------------------------------- what a person does */

static void
rename_cb (IngCollectionPage *self)
{
  if (self->collection == NULL || self->updating)
    return;
  ing_collections_rename (get_collections (self), self->collection, gtk_editable_get_text (GTK_EDITABLE (self->name_row)));
  update (self);
}

static void
watch_cb (IngCollectionPage *self)
{
  if (self->collection != NULL && !self->updating)
    ing_collections_set_watched (get_collections (self), self->collection,
                                 gtk_switch_get_active (GTK_SWITCH (self->watch_switch)));
}

static void
pause_cb (IngCollectionPage *self)
{
  IngCollectionState state;

  ing_collections_get_state (get_collections (self), get_owner (self), &state);
  if (state.sparing)
    ing_collections_set_sparing (get_collections (self), FALSE);
  else
    ing_collections_set_paused (get_collections (self), get_owner (self), !state.paused);
}

static void
chosen_cb (GtkNativeDialog *chooser, int response, IngCollectionPage *self)
{
  g_auto (GStrv) paths = ing_chooser_dup_paths (GTK_FILE_CHOOSER (chooser), response);

  if (paths[0] != NULL && self->collection != NULL)
    ing_collections_add (get_collections (self), get_owner (self), (const char *const *) paths);
  g_clear_object (&self->chooser);
}

static void
choose (IngCollectionPage *self, const char *title, GtkFileChooserAction action)
{
  GtkRoot *root = gtk_widget_get_root (GTK_WIDGET (self));

  g_clear_object (&self->chooser);
  self->chooser = gtk_file_chooser_native_new (title, GTK_IS_WINDOW (root) ? GTK_WINDOW (root) : NULL, action, _("_Add"), NULL);
  gtk_file_chooser_set_select_multiple (GTK_FILE_CHOOSER (self->chooser), TRUE);
  gtk_native_dialog_set_modal (GTK_NATIVE_DIALOG (self->chooser), TRUE);
  g_signal_connect_object (self->chooser, "response", G_CALLBACK (chosen_cb), self, 0);
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (self->chooser));
}

static void
add_folder_cb (IngCollectionPage *self)
{
  choose (self, _("Choose folders"), GTK_FILE_CHOOSER_ACTION_SELECT_FOLDER);
}

static void
add_files_cb (IngCollectionPage *self)
{
  choose (self, _("Choose documents"), GTK_FILE_CHOOSER_ACTION_OPEN);
}

static void
ask_cb (IngCollectionPage *self)
{
  gtk_widget_activate_action (GTK_WIDGET (self), "win.ask-collection", "x", ing_collection_get_id (self->collection));
}

static void
remove_cb (IngCollectionPage *self)
{
  offer_undo_remove (self);
  ing_collections_remove (get_collections (self), self->collection);
  g_signal_emit (self, close_signal, 0);
}

static void
back_cb (IngCollectionPage *self)
{
  g_signal_emit (self, close_signal, 0);
}

/* ---------------------------------------------------------------- widget */

static GtkWidget *
new_text_button (IngCollectionPage *self, const char *label, GCallback callback)
{
  GtkWidget *button = gtk_button_new_with_mnemonic (label);

  gtk_widget_add_css_class (button, "flat");
  gtk_widget_set_valign (button, GTK_ALIGN_CENTER);
  g_signal_connect_swapped (button, "clicked", callback, self);
  return button;
}

static void
fill_column (IngCollectionPage *self, GtkWidget *column)
{
  GtkWidget *group = ing_form_add_group (column, NULL, NULL), *row, *ask, *remove;

  self->name_row = adw_entry_row_new ();
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (self->name_row), _("Name"));
  adw_entry_row_set_show_apply_button (ADW_ENTRY_ROW (self->name_row), TRUE);
  g_signal_connect_swapped (self->name_row, "apply", G_CALLBACK (rename_cb), self);
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (group), self->name_row);
  self->watch_switch = gtk_switch_new ();
  g_signal_connect_swapped (self->watch_switch, "notify::active", G_CALLBACK (watch_cb), self);
  row = ing_form_new_row (_("Follow changes"), _("New, changed and deleted files are noticed by themselves"),
                          self->watch_switch);
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (group), row);
  self->state_row = ing_form_new_plain_row ("", NULL);
  self->bar = gtk_progress_bar_new ();
  gtk_widget_set_valign (self->bar, GTK_ALIGN_CENTER);
  gtk_widget_set_size_request (self->bar, 80, -1);
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->bar), GTK_ACCESSIBLE_PROPERTY_LABEL, _("Documents read"), -1);
  adw_action_row_add_suffix (ADW_ACTION_ROW (self->state_row), self->bar);
  self->pause_button = new_text_button (self, _("Stop"), G_CALLBACK (pause_cb));
  adw_action_row_add_suffix (ADW_ACTION_ROW (self->state_row), self->pause_button);
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (group), self->state_row);
  ask = gtk_button_new_with_mnemonic (_("_Ask about it"));
  gtk_widget_add_css_class (ask, "suggested-action");
  gtk_widget_add_css_class (ask, "pill");
  gtk_widget_set_halign (ask, GTK_ALIGN_CENTER);
  gtk_widget_set_tooltip_text (ask, _("A new conversation that answers from these documents"));
  g_signal_connect_swapped (ask, "clicked", G_CALLBACK (ask_cb), self);
  gtk_box_append (GTK_BOX (column), ask);

  self->folders = ing_form_add_group (column, _("Folders"), _("All documents in them and below, without hidden files and links."));
  adw_preferences_group_set_header_suffix (ADW_PREFERENCES_GROUP (self->folders),
                                           new_text_button (self, _("Add _folder…"), G_CALLBACK (add_folder_cb)));
  self->documents = ing_form_add_group (column, _("Documents"), _("Files can also be dropped here."));
  adw_preferences_group_set_header_suffix (ADW_PREFERENCES_GROUP (self->documents),
                                           new_text_button (self, _("Add f_iles…"), G_CALLBACK (add_files_cb)));
  self->list = GTK_LIST_BOX (gtk_list_box_new ());
  gtk_list_box_set_selection_mode (self->list, GTK_SELECTION_NONE);
  gtk_widget_add_css_class (GTK_WIDGET (self->list), "boxed-list");
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->list), GTK_ACCESSIBLE_PROPERTY_LABEL, _("Documents"), -1);
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (self->documents), GTK_WIDGET (self->list));
  self->more_button = new_text_button (self, _("Show _more"), G_CALLBACK (show_more_cb));
  gtk_widget_set_margin_top (self->more_button, 6);
  adw_preferences_group_add (ADW_PREFERENCES_GROUP (self->documents), self->more_button);

  remove = gtk_button_new_with_mnemonic (_("_Remove collection"));
  gtk_widget_add_css_class (remove, "destructive-action");
  gtk_widget_set_halign (remove, GTK_ALIGN_CENTER);
  gtk_widget_set_tooltip_text (remove, _("The files themselves stay where they are"));
  g_signal_connect_swapped (remove, "clicked", G_CALLBACK (remove_cb), self);
  gtk_box_append (GTK_BOX (column), remove);
}

static void
ing_collection_page_map (GtkWidget *widget)
{
  GTK_WIDGET_CLASS (ing_collection_page_parent_class)->map (widget);
  update_tick (ING_COLLECTION_PAGE (widget));
}

static void
ing_collection_page_unmap (GtkWidget *widget)
{
  GTK_WIDGET_CLASS (ing_collection_page_parent_class)->unmap (widget);
  update_tick (ING_COLLECTION_PAGE (widget));
}

static void
ing_collection_page_dispose (GObject *object)
{
  IngCollectionPage *self = ING_COLLECTION_PAGE (object);

  g_clear_handle_id (&self->tick_id, g_source_remove);
  g_clear_object (&self->chooser);
  g_clear_weak_pointer (&self->toasts);
  if (self->list != NULL)
    gtk_list_box_bind_model (self->list, NULL, NULL, NULL, NULL);
  self->list = NULL;
  g_clear_object (&self->slice);
  g_clear_object (&self->collection);
  g_clear_pointer (&self->folder_rows, g_ptr_array_unref);
  g_clear_pointer (&self->box, gtk_widget_unparent);
  g_clear_object (&self->workspace);
  G_OBJECT_CLASS (ing_collection_page_parent_class)->dispose (object);
}

static void
ing_collection_page_class_init (IngCollectionPageClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = ing_collection_page_dispose;
  widget_class->map = ing_collection_page_map;
  widget_class->unmap = ing_collection_page_unmap;
  gtk_widget_class_set_layout_manager_type (widget_class, GTK_TYPE_BIN_LAYOUT);
  close_signal
      = g_signal_new ("close", ING_TYPE_COLLECTION_PAGE, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
}

static void
ing_collection_page_init (IngCollectionPage *self)
{
  GtkWidget *back, *column;

  self->folder_rows = g_ptr_array_new ();
  self->box = ing_form_new_page ("", _("Back to the collections"), &back, &column, &self->title);
  g_signal_connect_swapped (back, "clicked", G_CALLBACK (back_cb), self);
  fill_column (self, column);
  gtk_widget_set_parent (self->box, GTK_WIDGET (self));
}

GtkWidget *
ing_collection_page_new (IngWorkspace *workspace, AdwToastOverlay *toasts)
{
  IngCollectionPage *self = g_object_new (ING_TYPE_COLLECTION_PAGE, NULL);

  self->workspace = g_object_ref (workspace);
  g_set_weak_pointer (&self->toasts, toasts);
  g_signal_connect_object (get_collections (self), "changed", G_CALLBACK (changed_cb), self, 0);
  return GTK_WIDGET (self);
}

void
ing_collection_page_set_collection (IngCollectionPage *self, IngCollection *collection)
{
  g_autoptr (GListModel) documents = NULL;

  g_return_if_fail (ING_IS_COLLECTION_PAGE (self));
  gtk_list_box_bind_model (self->list, NULL, NULL, NULL, NULL);
  g_clear_object (&self->slice);
  g_set_object (&self->collection, collection);
  update_tick (self);
  if (collection == NULL)
    return;
  documents = ing_document_library_dup_list (ing_workspace_get_documents (self->workspace), get_owner (self));
  self->slice = gtk_slice_list_model_new (g_steal_pointer (&documents), 0, N_ROWS);
  gtk_list_box_bind_model (self->list, G_LIST_MODEL (self->slice), create_row_cb, self, NULL);
  update (self);
}

IngCollection *
ing_collection_page_get_collection (IngCollectionPage *self)
{
  g_return_val_if_fail (ING_IS_COLLECTION_PAGE (self), NULL);
  return self->collection;
}

void
ing_collection_page_focus_name (IngCollectionPage *self)
{
  g_return_if_fail (ING_IS_COLLECTION_PAGE (self));
  gtk_widget_grab_focus (self->name_row);
  gtk_editable_select_region (GTK_EDITABLE (self->name_row), 0, -1);
}
