/* SPDX-License-Identifier: Apache-2.0 */
/* Invariant: `pending` is the question looked for, or the one that nothing was found for; NULL without either. */
#include "ing-document-bar.h"

#include "ing-chooser.h"
#include "ing-collection-chip.h"
#include "ing-document-chip.h"
#include "ing-document-sum.h"
#include "ing-numbers.h"
#include "ing-problem-box.h"

#include <glib/gi18n-lib.h>

struct _IngDocumentBar
{
  GtkWidget parent_instance;

  GtkWidget *box;
  IngProblemBox *problem_box;
  GtkWidget *looking_box;
  GtkLabel *looking_label;
  GtkProgressBar *parts_bar;
  GtkWidget *enough_button;
  GtkWidget *scroller;
  GtkBox *chips;

  IngWorkspace *workspace;
  IngConversation *conversation;
  GListModel *documents; /* of the conversation itself */
  GListModel *asked;     /* …and of the collections that it asks */
  guint chips_id; /* 0 = the chips show the documents */
  GCancellable *looking; /* NULL = nothing is looked for */
  GCancellable *enough;  /* of the same */
  char *pending;
  IngFound *found; /* what was nearest to it */
};

enum
{
  PROP_0,
  PROP_BUSY,
  N_PROPS
};
static GParamSpec *props[N_PROPS];
static guint signal_ask;

G_DEFINE_FINAL_TYPE (IngDocumentBar, ing_document_bar, GTK_TYPE_WIDGET)

static IngDocumentLibrary *
get_library (IngDocumentBar *self)
{
  return ing_workspace_get_documents (self->workspace);
}

static IngCollections *
get_collections (IngDocumentBar *self)
{
  return ing_document_library_get_collections (get_library (self));
}

/* ---------------------------------------------------------------- chips */

/* With more documents than this they are summed up; the first of them keep their chips. */
#define MAX_CHIPS 12u

static guint
show_collections (IngDocumentBar *self)
{
  GListModel *all = self->conversation != NULL ? G_LIST_MODEL (get_collections (self)) : NULL;
  gint64 id = self->conversation != NULL ? ing_conversation_get_id (self->conversation) : 0;
  guint n = 0;

  for (guint i = 0; all != NULL && i < g_list_model_get_n_items (all); i++)
    {
      g_autoptr (IngCollection) collection = g_list_model_get_item (all, i);

      if (!ing_collections_get_asked (get_collections (self), id, collection))
        continue;
      gtk_box_append (self->chips, ing_collection_chip_new (get_collections (self), id, collection));
      n++;
    }
  return n;
}

/* The chip that the keyboard is in; -1 = none. */
static int
find_focus (IngDocumentBar *self)
{
  GtkRoot *root = gtk_widget_get_root (GTK_WIDGET (self));
  GtkWidget *focus = root != NULL ? gtk_root_get_focus (root) : NULL;
  int i = 0;

  for (GtkWidget *chip = gtk_widget_get_first_child (GTK_WIDGET (self->chips)); chip != NULL && focus != NULL;
       chip = gtk_widget_get_next_sibling (chip), i++)
    if (gtk_widget_is_ancestor (focus, chip))
      return i;
  return -1;
}

/* It goes on with the one that took the place of the chip that is gone, or with the question. */
static void
restore_focus (IngDocumentBar *self, int position)
{
  GtkWidget *chip = gtk_widget_get_first_child (GTK_WIDGET (self->chips));

  for (int i = 0; i < position && chip != NULL && gtk_widget_get_next_sibling (chip) != NULL; i++)
    chip = gtk_widget_get_next_sibling (chip);
  if (chip == NULL || !gtk_widget_child_focus (chip, GTK_DIR_TAB_BACKWARD))
    gtk_widget_activate_action (GTK_WIDGET (self), "win.focus-composer", NULL);
}

static void
show_chips (IngDocumentBar *self)
{
  guint n_collections;
  guint n = self->documents != NULL ? g_list_model_get_n_items (self->documents) : 0;
  int focus = find_focus (self);
  GtkWidget *child;

  g_clear_handle_id (&self->chips_id, g_source_remove);
  while ((child = gtk_widget_get_first_child (GTK_WIDGET (self->chips))) != NULL)
    gtk_box_remove (self->chips, child);
  n_collections = show_collections (self);
  if (n > MAX_CHIPS)
    gtk_box_append (self->chips, ing_document_sum_new (get_library (self), ing_conversation_get_id (self->conversation),
                                                       self->documents));
  for (guint i = 0; i < MIN (n, MAX_CHIPS); i++)
    {
      g_autoptr (IngDocument) document = g_list_model_get_item (self->documents, i);

      gtk_box_append (self->chips, ing_document_chip_new (get_library (self),
                                                          ing_conversation_get_id (self->conversation), document));
    }
  gtk_widget_set_visible (self->scroller, n + n_collections > 0);
  if (focus >= 0)
    restore_focus (self, focus);
}

static gboolean
chips_cb (gpointer user_data)
{
  IngDocumentBar *self = user_data;

  self->chips_id = 0;
  show_chips (self);
  return G_SOURCE_REMOVE;
}

/* A folder's documents come one by one: they are shown together. */
static void
documents_changed_cb (IngDocumentBar *self)
{
  if (self->chips_id == 0)
    self->chips_id = g_idle_add (chips_cb, self);
}

static void
collections_changed_cb (IngCollections *collections, gint64 owner, IngDocumentBar *self)
{
  if (self->conversation != NULL && owner == ing_conversation_get_id (self->conversation))
    documents_changed_cb (self);
}

static void
asked_changed_cb (IngDocumentBar *self)
{
  if (g_list_model_get_n_items (self->asked) == 0)
    ing_document_bar_stop (self);
}

/* Files, and folders, which are followed from now on. */
static void
add_paths (IngDocumentBar *self, IngConversation *conversation, const char *const *paths)
{
  g_autofree char *title = paths[0] != NULL ? g_filename_display_basename (paths[0]) : NULL;

  if (title == NULL)
    return;
  ing_collections_add (get_collections (self), ing_conversation_get_id (conversation), paths);
  ing_conversation_suggest_title (conversation, title);
}

/* ---------------------------------------------------------------- folders */

typedef struct
{
  IngConversation *conversation;
  char *path;
} Folder;

static void
folder_free (gpointer data)
{
  Folder *folder = data;

  g_object_unref (folder->conversation);
  g_free (folder->path);
  g_free (folder);
}

static void
scan_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  GError *error = NULL;
  char **paths = ing_document_library_scan_sync (((Folder *) task_data)->path, &error);

  if (paths == NULL)
    g_task_return_error (task, error);
  else
    g_task_return_pointer (task, paths, (GDestroyNotify) g_strfreev);
}

static void
scanned_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  IngDocumentBar *self = ING_DOCUMENT_BAR (source);
  Folder *folder = g_task_get_task_data (G_TASK (result));
  g_autoptr (GError) error = NULL;
  g_auto (GStrv) paths = g_task_propagate_pointer (G_TASK (result), &error);
  g_autofree char *name = g_filename_display_basename (folder->path);
  g_autofree char *text = NULL;

  if (self->box == NULL || self->workspace == NULL)
    return;
  if (error != NULL)
    ing_problem_box_set_error (self->problem_box, error);
  else if (paths[0] != NULL)
    add_paths (self, folder->conversation, (const char *const[]){ folder->path, NULL });
  else
    {
      text = g_strdup_printf (_("There are no documents in “%s”"), name);
      ing_problem_box_set_text (self->problem_box, text,
                                _("PDF, office files, books, web pages, text and source code are read; hidden files and links are not."),
                                NULL);
    }
}

static void
add_folder (IngDocumentBar *self, const char *path)
{
  g_autoptr (GTask) task = g_task_new (self, NULL, scanned_cb, NULL);
  Folder *folder = g_new0 (Folder, 1);

  folder->conversation = g_object_ref (self->conversation);
  folder->path = g_strdup (path);
  g_task_set_task_data (task, folder, folder_free);
  g_task_run_in_thread (task, scan_thread);
}

/* ---------------------------------------------------------------- adding */

void
ing_document_bar_add (IngDocumentBar *self, const char *const *paths)
{
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  g_auto (GStrv) files = NULL;

  g_return_if_fail (ING_IS_DOCUMENT_BAR (self));
  if (self->conversation == NULL)
    return;
  for (guint i = 0; paths[i] != NULL; i++)
    if (g_file_test (paths[i], G_FILE_TEST_IS_DIR))
      add_folder (self, paths[i]);
    else
      g_strv_builder_add (builder, paths[i]);
  files = g_strv_builder_end (builder);
  add_paths (self, self->conversation, (const char *const *) files);
}

static void
chosen_cb (GtkNativeDialog *chooser, int response, IngDocumentBar *self)
{
  g_auto (GStrv) paths = ing_chooser_dup_paths (GTK_FILE_CHOOSER (chooser), response);

  ing_document_bar_add (self, (const char *const *) paths);
  g_object_unref (chooser); /* its own reference, held while it was shown */
}

void
ing_document_bar_choose (IngDocumentBar *self)
{
  GtkRoot *root = gtk_widget_get_root (GTK_WIDGET (self));
  GtkFileChooserNative *chooser
      = gtk_file_chooser_native_new (_("Choose documents"), GTK_IS_WINDOW (root) ? GTK_WINDOW (root) : NULL,
                                     GTK_FILE_CHOOSER_ACTION_OPEN, _("_Open"), NULL);

  gtk_file_chooser_set_select_multiple (GTK_FILE_CHOOSER (chooser), TRUE);
  gtk_native_dialog_set_modal (GTK_NATIVE_DIALOG (chooser), TRUE);
  g_signal_connect_object (chooser, "response", G_CALLBACK (chosen_cb), self, 0);
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (chooser));
}

/* ---------------------------------------------------------------- asking */

static void
set_looking (IngDocumentBar *self, GCancellable *looking)
{
  g_cancellable_cancel (self->looking);
  g_clear_object (&self->looking);
  self->looking = looking;
  g_clear_object (&self->enough);
  self->enough = looking != NULL ? g_cancellable_new () : NULL;
  gtk_label_set_text (self->looking_label, _("Looking in the documents"));
  gtk_widget_set_visible (GTK_WIDGET (self->parts_bar), FALSE);
  gtk_widget_set_visible (self->enough_button, FALSE);
  gtk_widget_set_visible (self->looking_box, looking != NULL);
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_BUSY]);
}

static void
forget (IngDocumentBar *self)
{
  g_clear_pointer (&self->pending, g_free);
  g_clear_pointer (&self->found, ing_found_free);
  ing_problem_box_set_error (self->problem_box, NULL);
}

static void
send_pending (IngDocumentBar *self, gboolean with_passages)
{
  g_autofree char *text = g_steal_pointer (&self->pending);
  g_autoptr (IngFound) found = g_steal_pointer (&self->found);
  g_autoptr (GListStore) parts = NULL;

  ing_problem_box_set_error (self->problem_box, NULL);
  if (with_passages && found != NULL && found->passages->len > 0)
    {
      g_autoptr (IngPart) part = ing_sources_make_part (found);

      parts = g_list_store_new (ING_TYPE_PART);
      g_list_store_append (parts, part);
    }
  g_signal_emit (self, signal_ask, 0, text, parts);
}

/* A scan, whose pages so far are all that can be searched. */
static gboolean
is_any_halfway (GListModel *documents)
{
  gboolean any = FALSE;

  for (guint i = 0; i < g_list_model_get_n_items (documents) && !any; i++)
    {
      g_autoptr (IngDocument) document = g_list_model_get_item (documents, i);

      any = ing_document_get_state (document) == ING_DOCUMENT_READING && ing_document_is_searched (document);
    }
  return any;
}

/* Nothing in the documents speaks of it: that is said, with what comes nearest, before a model makes something up. */
static void
show_not_found (IngDocumentBar *self)
{
  g_autoptr (GString) nearest = g_string_new (NULL);

  for (guint i = 0; i < self->found->passages->len; i++)
    {
      g_autofree char *place = ing_sources_dup_place (self->found->passages->pdata[i]);

      g_string_append_printf (nearest, "[%u] %s\n%s\n\n", i + 1, place,
                              ((IngPassage *) self->found->passages->pdata[i])->text);
    }
  ing_problem_box_set_text (self->problem_box, _("Nothing in the documents speaks of this"),
                            is_any_halfway (self->asked)
                                ? _("Not all of their pages are recognized yet. The model can answer without them, or from the "
                                    "passages that come nearest.")
                                : _("The model can answer without them, or from the passages that come nearest."),
                            nearest->str);
  ing_problem_box_add_button (self->problem_box, _("Ask _without"), "documents.ask-without", NULL);
  if (self->found->passages->len > 0)
    ing_problem_box_add_button (self->problem_box, _("Ask with the _nearest"), "documents.ask-nearest", NULL);
}

static void
looked_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (IngDocumentBar) self = user_data;
  g_autoptr (GError) error = NULL;
  IngFound *found = ing_document_question_finish (result, &error);

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED) || self->box == NULL
      || G_LIST_MODEL (source) != self->asked || self->pending == NULL)
    {
      ing_found_free (found);
      return;
    }
  set_looking (self, NULL);
  if (found == NULL)
    {
      ing_problem_box_set_error (self->problem_box, error);
      ing_problem_box_add_button (self->problem_box, _("Ask _without"), "documents.ask-without", NULL);
      return;
    }
  self->found = found;
  if (found->found)
    send_pending (self, TRUE);
  else
    show_not_found (self);
}

/* A question about all of a long document: the model reads part after part. */
static void
parts_cb (guint done, guint total, double seconds_left, gpointer user_data)
{
  IngDocumentBar *self = user_data;
  g_autofree char *text = g_strdup_printf (_("Reading part %u of %u"), MIN (done + 1, total), total);

  if (self->box == NULL || self->looking == NULL)
    return;
  if (seconds_left >= 0)
    {
      g_autofree char *left = ing_numbers_dup_duration (seconds_left);
      g_autofree char *both = g_strdup_printf (_("%s · %s left"), text, left);

      gtk_label_set_text (self->looking_label, both);
    }
  else
    gtk_label_set_text (self->looking_label, text);
  gtk_progress_bar_set_fraction (self->parts_bar, total > 0 ? (double) done / total : 0);
  gtk_widget_set_visible (GTK_WIDGET (self->parts_bar), TRUE);
  gtk_widget_set_visible (self->enough_button, TRUE);
  gtk_widget_set_sensitive (self->enough_button, done > 0);
}

static void
enough_cb (IngDocumentBar *self)
{
  g_cancellable_cancel (self->enough);
}

gboolean
ing_document_bar_ask (IngDocumentBar *self, const char *text)
{
  g_autofree char *earlier = NULL;
  IngDocumentQuery query;

  g_return_val_if_fail (ING_IS_DOCUMENT_BAR (self), FALSE);
  if (self->asked == NULL || g_list_model_get_n_items (self->asked) == 0)
    return FALSE;
  forget (self);
  self->pending = g_strdup (text);
  set_looking (self, g_cancellable_new ());
  earlier = ing_document_question_dup_earlier (self->conversation);
  query = (IngDocumentQuery) { .question = text,
                               .earlier = earlier,
                               .service = ing_workspace_get_generation (self->workspace),
                               .progress = parts_cb,
                               .progress_data = self,
                               .enough = self->enough };
  ing_document_question_async (get_library (self), self->asked, &query, self->looking, looked_cb,
                               g_object_ref (self));
  return TRUE;
}

void
ing_document_bar_stop (IngDocumentBar *self)
{
  g_return_if_fail (ING_IS_DOCUMENT_BAR (self));
  forget (self);
  if (self->looking != NULL)
    set_looking (self, NULL);
}

gboolean
ing_document_bar_get_busy (IngDocumentBar *self)
{
  g_return_val_if_fail (ING_IS_DOCUMENT_BAR (self), FALSE);
  return self->looking != NULL;
}

static void
ask_without_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  if (ING_DOCUMENT_BAR (widget)->pending != NULL)
    send_pending (ING_DOCUMENT_BAR (widget), FALSE);
}

static void
ask_nearest_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  if (ING_DOCUMENT_BAR (widget)->pending != NULL)
    send_pending (ING_DOCUMENT_BAR (widget), TRUE);
}

/* ---------------------------------------------------------------- the conversation */

void
ing_document_bar_set_conversation (IngDocumentBar *self, IngWorkspace *workspace, IngConversation *conversation)
{
  g_return_if_fail (ING_IS_DOCUMENT_BAR (self));
  if (self->documents != NULL)
    g_signal_handlers_disconnect_by_data (self->documents, self);
  g_clear_object (&self->documents);
  if (self->asked != NULL)
    g_signal_handlers_disconnect_by_data (self->asked, self);
  g_clear_object (&self->asked);
  if (self->workspace != NULL)
    g_signal_handlers_disconnect_by_data (get_collections (self), self);
  g_set_object (&self->workspace, workspace);
  g_set_object (&self->conversation, conversation);
  ing_document_bar_stop (self);
  if (conversation != NULL)
    {
      self->documents = ing_document_library_dup_list (get_library (self), ing_conversation_get_id (conversation));
      g_signal_connect_swapped (self->documents, "items-changed", G_CALLBACK (documents_changed_cb), self);
      self->asked = ing_document_library_dup_asked (get_library (self), ing_conversation_get_id (conversation));
      g_signal_connect_swapped (self->asked, "items-changed", G_CALLBACK (asked_changed_cb), self);
      g_signal_connect (get_collections (self), "changed", G_CALLBACK (collections_changed_cb), self);
    }
  show_chips (self);
}

static void
ing_document_bar_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  if (id == PROP_BUSY)
    g_value_set_boolean (value, ing_document_bar_get_busy (ING_DOCUMENT_BAR (object)));
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
ing_document_bar_dispose (GObject *object)
{
  IngDocumentBar *self = ING_DOCUMENT_BAR (object);

  g_clear_handle_id (&self->chips_id, g_source_remove);
  g_cancellable_cancel (self->looking);
  g_clear_object (&self->looking);
  g_clear_object (&self->enough);
  if (self->documents != NULL)
    g_signal_handlers_disconnect_by_data (self->documents, self);
  g_clear_object (&self->documents);
  if (self->asked != NULL)
    g_signal_handlers_disconnect_by_data (self->asked, self);
  g_clear_object (&self->asked);
  g_clear_object (&self->conversation);
  if (self->workspace != NULL)
    g_signal_handlers_disconnect_by_data (get_collections (self), self);
  g_clear_object (&self->workspace);
  g_clear_pointer (&self->pending, g_free);
  g_clear_pointer (&self->found, ing_found_free);
  g_clear_pointer (&self->box, gtk_widget_unparent);
  G_OBJECT_CLASS (ing_document_bar_parent_class)->dispose (object);
}

static void
ing_document_bar_class_init (IngDocumentBarClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  object_class->get_property = ing_document_bar_get_property;
  object_class->dispose = ing_document_bar_dispose;
  props[PROP_BUSY] = g_param_spec_boolean ("busy", NULL, NULL, FALSE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  g_object_class_install_properties (object_class, N_PROPS, props);
  signal_ask = g_signal_new ("ask", ING_TYPE_DOCUMENT_BAR, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 2,
                             G_TYPE_STRING, G_TYPE_LIST_MODEL);
  gtk_widget_class_install_action (widget_class, "documents.ask-without", NULL, ask_without_cb);
  gtk_widget_class_install_action (widget_class, "documents.ask-nearest", NULL, ask_nearest_cb);
  gtk_widget_class_set_layout_manager_type (widget_class, GTK_TYPE_BIN_LAYOUT);
}

static void
ing_document_bar_init (IngDocumentBar *self)
{
  GtkWidget *spinner = gtk_spinner_new ();
  GtkWidget *label = gtk_label_new (_("Looking in the documents"));

  self->looking_label = GTK_LABEL (label);
  self->box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 6);
  gtk_widget_set_parent (self->box, GTK_WIDGET (self));
  self->problem_box = ING_PROBLEM_BOX (ing_problem_box_new ());
  gtk_box_append (GTK_BOX (self->box), GTK_WIDGET (self->problem_box));

  self->looking_box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 6);
  gtk_spinner_start (GTK_SPINNER (spinner));
  gtk_widget_add_css_class (label, "dim-label");
  gtk_widget_add_css_class (label, "caption");
  gtk_box_append (GTK_BOX (self->looking_box), spinner);
  gtk_label_set_ellipsize (self->looking_label, PANGO_ELLIPSIZE_END);
  gtk_box_append (GTK_BOX (self->looking_box), label);
  self->parts_bar = GTK_PROGRESS_BAR (gtk_progress_bar_new ());
  gtk_widget_set_valign (GTK_WIDGET (self->parts_bar), GTK_ALIGN_CENTER);
  gtk_widget_set_hexpand (GTK_WIDGET (self->parts_bar), TRUE);
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->parts_bar), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  _("Parts of the documents read"), -1);
  gtk_box_append (GTK_BOX (self->looking_box), GTK_WIDGET (self->parts_bar));
  self->enough_button = gtk_button_new_with_mnemonic (_("_Answer now"));
  gtk_widget_set_tooltip_text (self->enough_button, _("Answer from what has been read so far"));
  gtk_widget_add_css_class (self->enough_button, "flat");
  g_signal_connect_swapped (self->enough_button, "clicked", G_CALLBACK (enough_cb), self);
  gtk_box_append (GTK_BOX (self->looking_box), self->enough_button);
  gtk_widget_set_visible (self->looking_box, FALSE);
  gtk_box_append (GTK_BOX (self->box), self->looking_box);

  self->chips = GTK_BOX (gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 6));
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->chips), GTK_ACCESSIBLE_PROPERTY_LABEL, _("Documents"), -1);
  self->scroller = gtk_scrolled_window_new ();
  gtk_scrolled_window_set_policy (GTK_SCROLLED_WINDOW (self->scroller), GTK_POLICY_AUTOMATIC, GTK_POLICY_NEVER);
  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (self->scroller), GTK_WIDGET (self->chips));
  gtk_widget_add_css_class (self->scroller, "document-chips");
  gtk_widget_set_visible (self->scroller, FALSE);
  gtk_box_append (GTK_BOX (self->box), self->scroller);
}
