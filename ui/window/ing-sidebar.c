/* SPDX-License-Identifier: Apache-2.0 */
/* Invariant: the selected row is that of `current`, when it is among the rows made so far. Rows are made
 * for the newest conversations; more when the end of the list is reached. */
#include "ing-sidebar.h"

#include "ing-collection-list.h"
#include "ing-conversation-item.h"

#include <adwaita.h>
#include <glib/gi18n-lib.h>

#define N_ROWS 200

struct _IngSidebar
{
  GtkWidget parent_instance;

  GtkWidget *box;
  AdwHeaderBar *header_bar;
  GtkEditable *search_entry;
  GtkStack *stack;
  GtkScrolledWindow *list_scroller;
  GtkListBox *list_box;
  GtkListBox *hit_box;
  IngCollectionList *collection_list;

  IngConversationList *conversations;
  GtkSliceListModel *slice;
  IngConversation *current;
  GCancellable *searching;
};

enum
{
  PROP_0,
  PROP_SHOW_END_BUTTONS,
  N_PROPS
};

static GParamSpec *props[N_PROPS];

G_DEFINE_FINAL_TYPE (IngSidebar, ing_sidebar, GTK_TYPE_WIDGET)

static guint selected_signal;
static guint hit_signal;

static GtkWidget *
create_row_cb (gpointer item, gpointer user_data)
{
  return ing_conversation_item_new (item);
}

static void
header_cb (GtkListBoxRow *row, GtkListBoxRow *before, gpointer user_data)
{
  IngConversationGroup group = ing_conversation_list_get_group (
      ing_conversation_item_get_conversation (ING_CONVERSATION_ITEM (row)), 0);
  GtkWidget *label = NULL;

  if (before == NULL
      || group != ing_conversation_list_get_group (
             ing_conversation_item_get_conversation (ING_CONVERSATION_ITEM (before)), 0))
    {
      label = gtk_label_new (ing_conversation_group_get_name (group));
      gtk_label_set_xalign (GTK_LABEL (label), 0);
      gtk_widget_add_css_class (label, "heading");
      gtk_widget_add_css_class (label, "dim-label");
      gtk_widget_add_css_class (label, "group-title");
    }
  gtk_list_box_row_set_header (row, label);
}

static void
select_current (IngSidebar *self)
{
  GtkListBoxRow *row;

  for (int i = 0; (row = gtk_list_box_get_row_at_index (self->list_box, i)) != NULL; i++)
    if (ing_conversation_item_get_conversation (ING_CONVERSATION_ITEM (row)) == self->current)
      {
        gtk_list_box_select_row (self->list_box, row);
        return;
      }
  gtk_list_box_unselect_all (self->list_box);
}

static gboolean
is_searching (IngSidebar *self)
{
  return *gtk_editable_get_text (self->search_entry) != '\0';
}

static void
update_page (IngSidebar *self)
{
  gboolean empty = g_list_model_get_n_items (G_LIST_MODEL (self->conversations)) == 0;

  if (!is_searching (self))
    gtk_stack_set_visible_child_name (self->stack, empty ? "empty" : "list");
}

static void
items_changed_cb (IngSidebar *self)
{
  select_current (self);
  update_page (self);
}

static void
row_activated_cb (IngSidebar *self, GtkListBoxRow *row)
{
  g_signal_emit (self, selected_signal, 0,
                 ing_conversation_item_get_conversation (ING_CONVERSATION_ITEM (row)));
}

static void
edge_cb (IngSidebar *self, GtkPositionType edge)
{
  if (edge == GTK_POS_BOTTOM && self->slice != NULL)
    gtk_slice_list_model_set_size (self->slice, gtk_slice_list_model_get_size (self->slice) + N_ROWS);
}

/* ---------------------------------------------------------------- search */

static char *
dup_snippet_markup (IngSearchHit *hit)
{
  guint start = 0, end = 0;
  const char *snippet = ing_search_hit_get_snippet (hit, &start, &end);
  g_autofree char *before = g_markup_escape_text (snippet, start);
  g_autofree char *match = g_markup_escape_text (snippet + start, (gssize) (end - start));
  g_autofree char *after = g_markup_escape_text (snippet + end, -1);

  return g_strconcat (before, "<b>", match, "</b>", after, NULL);
}

static GtkWidget *
create_hit_cb (gpointer item, gpointer user_data)
{
  IngSearchHit *hit = item;
  GtkWidget *row = gtk_list_box_row_new ();
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 2);
  GtkWidget *title = gtk_label_new (
      ing_conversation_get_display_title (ing_search_hit_get_conversation (hit)));
  GtkWidget *snippet = gtk_label_new (NULL);
  g_autofree char *markup = dup_snippet_markup (hit);

  gtk_label_set_xalign (GTK_LABEL (title), 0);
  gtk_label_set_ellipsize (GTK_LABEL (title), PANGO_ELLIPSIZE_END);
  gtk_widget_add_css_class (title, "heading");
  gtk_label_set_markup (GTK_LABEL (snippet), markup);
  gtk_label_set_xalign (GTK_LABEL (snippet), 0);
  gtk_label_set_wrap (GTK_LABEL (snippet), TRUE);
  gtk_label_set_wrap_mode (GTK_LABEL (snippet), PANGO_WRAP_WORD_CHAR);
  gtk_label_set_lines (GTK_LABEL (snippet), 2);
  gtk_label_set_ellipsize (GTK_LABEL (snippet), PANGO_ELLIPSIZE_END);
  gtk_widget_add_css_class (snippet, "caption");
  gtk_widget_add_css_class (snippet, "dim-label");
  gtk_box_append (GTK_BOX (box), title);
  if (ing_search_hit_get_message_id (hit) != 0)
    gtk_box_append (GTK_BOX (box), snippet);
  else
    g_object_ref_sink (snippet), g_object_unref (snippet);
  gtk_list_box_row_set_child (GTK_LIST_BOX_ROW (row), box);
  gtk_widget_add_css_class (row, "hit");
  g_object_set_data_full (G_OBJECT (row), "hit", g_object_ref (hit), g_object_unref);
  return row;
}

static void
found_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (IngSidebar) self = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GListModel) hits
      = ing_conversation_list_search_finish (ING_CONVERSATION_LIST (source), result, &error);

  if (hits == NULL || self->box == NULL || !is_searching (self))
    return;
  gtk_list_box_bind_model (self->hit_box, hits, create_hit_cb, NULL, NULL);
  gtk_stack_set_visible_child_name (self->stack,
                                    g_list_model_get_n_items (hits) > 0 ? "hits" : "nothing");
}

static void
search_changed_cb (IngSidebar *self)
{
  g_cancellable_cancel (self->searching);
  g_clear_object (&self->searching);
  if (self->conversations == NULL)
    return;
  if (!is_searching (self))
    {
      gtk_list_box_bind_model (self->hit_box, NULL, NULL, NULL, NULL);
      update_page (self);
      return;
    }
  self->searching = g_cancellable_new ();
  ing_conversation_list_search_async (self->conversations,
                                      gtk_editable_get_text (self->search_entry), self->searching,
                                      found_cb, g_object_ref (self));
}

static void
activate_hit (IngSidebar *self, GtkListBoxRow *row)
{
  IngSearchHit *hit = g_object_get_data (G_OBJECT (row), "hit");
  g_autofree char *needle = g_strstrip (g_strdup (gtk_editable_get_text (self->search_entry)));

  g_signal_emit (self, hit_signal, 0, ing_search_hit_get_conversation (hit),
                 ing_search_hit_get_message_id (hit), needle);
}

static void
hit_activated_cb (IngSidebar *self, GtkListBoxRow *row)
{
  activate_hit (self, row);
}

static void
search_activate_cb (IngSidebar *self)
{
  GtkListBoxRow *row = gtk_list_box_get_row_at_index (self->hit_box, 0);

  if (row != NULL && is_searching (self))
    activate_hit (self, row);
}

static void
stop_search_cb (IngSidebar *self)
{
  ing_sidebar_escape (self);
}

gboolean
ing_sidebar_escape (IngSidebar *self)
{
  g_return_val_if_fail (ING_IS_SIDEBAR (self), FALSE);
  if (!is_searching (self))
    return FALSE;
  gtk_editable_set_text (self->search_entry, "");
  return TRUE;
}

void
ing_sidebar_focus_search (IngSidebar *self)
{
  g_return_if_fail (ING_IS_SIDEBAR (self));
  gtk_widget_grab_focus (GTK_WIDGET (self->search_entry));
  gtk_editable_select_region (self->search_entry, 0, -1);
}

void
ing_sidebar_search (IngSidebar *self, const char *text)
{
  g_return_if_fail (ING_IS_SIDEBAR (self));
  gtk_editable_set_text (self->search_entry, text);
}

/* ---------------------------------------------------------------- class */

static void
ing_sidebar_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  if (id == PROP_SHOW_END_BUTTONS)
    g_value_set_boolean (value,
                         adw_header_bar_get_show_end_title_buttons (ING_SIDEBAR (object)->header_bar));
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
ing_sidebar_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  if (id == PROP_SHOW_END_BUTTONS)
    adw_header_bar_set_show_end_title_buttons (ING_SIDEBAR (object)->header_bar,
                                               g_value_get_boolean (value));
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
ing_sidebar_dispose (GObject *object)
{
  IngSidebar *self = ING_SIDEBAR (object);

  g_cancellable_cancel (self->searching);
  g_clear_object (&self->searching);
  if (self->conversations != NULL)
    g_signal_handlers_disconnect_by_data (self->slice, self);
  if (self->list_box != NULL)
    gtk_list_box_bind_model (self->list_box, NULL, NULL, NULL, NULL);
  self->list_box = NULL;
  g_clear_object (&self->slice);
  g_clear_object (&self->conversations);
  g_clear_object (&self->current);
  g_clear_pointer (&self->box, gtk_widget_unparent);
  G_OBJECT_CLASS (ing_sidebar_parent_class)->dispose (object);
}

static void
ing_sidebar_class_init (IngSidebarClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  object_class->get_property = ing_sidebar_get_property;
  object_class->set_property = ing_sidebar_set_property;
  object_class->dispose = ing_sidebar_dispose;
  props[PROP_SHOW_END_BUTTONS] = g_param_spec_boolean ("show-end-title-buttons", NULL, NULL, TRUE,
                                                       G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS);
  g_object_class_install_properties (object_class, N_PROPS, props);
  selected_signal = g_signal_new ("selected", ING_TYPE_SIDEBAR, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                  NULL, G_TYPE_NONE, 1, ING_TYPE_CONVERSATION);
  hit_signal = g_signal_new ("hit", ING_TYPE_SIDEBAR, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                             G_TYPE_NONE, 3, ING_TYPE_CONVERSATION, G_TYPE_INT64, G_TYPE_STRING);

  g_type_ensure (ING_TYPE_COLLECTION_LIST);
  gtk_widget_class_set_layout_manager_type (widget_class, GTK_TYPE_BIN_LAYOUT);
  gtk_widget_class_set_template_from_resource (
      widget_class, "/io/github/inglenook_app/Inglenook/window/ing-sidebar.ui");
  gtk_widget_class_bind_template_child (widget_class, IngSidebar, box);
  gtk_widget_class_bind_template_child (widget_class, IngSidebar, header_bar);
  gtk_widget_class_bind_template_child (widget_class, IngSidebar, search_entry);
  gtk_widget_class_bind_template_child (widget_class, IngSidebar, stack);
  gtk_widget_class_bind_template_child (widget_class, IngSidebar, list_scroller);
  gtk_widget_class_bind_template_child (widget_class, IngSidebar, list_box);
  gtk_widget_class_bind_template_child (widget_class, IngSidebar, hit_box);
  gtk_widget_class_bind_template_child (widget_class, IngSidebar, collection_list);
  gtk_widget_class_bind_template_callback (widget_class, search_changed_cb);
  gtk_widget_class_bind_template_callback (widget_class, stop_search_cb);
  gtk_widget_class_bind_template_callback (widget_class, search_activate_cb);
  gtk_widget_class_bind_template_callback (widget_class, row_activated_cb);
  gtk_widget_class_bind_template_callback (widget_class, hit_activated_cb);
  gtk_widget_class_bind_template_callback (widget_class, edge_cb);
}

static void
ing_sidebar_init (IngSidebar *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
  gtk_list_box_set_header_func (self->list_box, header_cb, NULL, NULL);
}

void
ing_sidebar_set_conversations (IngSidebar *self, IngConversationList *conversations)
{
  g_return_if_fail (ING_IS_SIDEBAR (self));
  g_return_if_fail (self->conversations == NULL);
  self->conversations = g_object_ref (conversations);
  self->slice = gtk_slice_list_model_new (G_LIST_MODEL (g_object_ref (conversations)), 0, N_ROWS);
  gtk_list_box_bind_model (self->list_box, G_LIST_MODEL (self->slice), create_row_cb, NULL, NULL);
  g_signal_connect_swapped (self->slice, "items-changed", G_CALLBACK (items_changed_cb), self);
  update_page (self);
}

void
ing_sidebar_set_documents (IngSidebar *self, IngDocumentLibrary *library)
{
  g_return_if_fail (ING_IS_SIDEBAR (self));
  ing_collection_list_set_library (self->collection_list, library);
}

void
ing_sidebar_set_current (IngSidebar *self, IngConversation *conversation)
{
  g_return_if_fail (ING_IS_SIDEBAR (self));
  g_set_object (&self->current, conversation);
  select_current (self);
}
