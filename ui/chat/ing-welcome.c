/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-welcome.h"

#include <adwaita.h>
#include <glib/gi18n-lib.h>

struct _IngWelcome
{
  GtkWidget parent_instance;

  GtkWidget *scroller;
  GtkStack *stack;
  GtkLabel *note_label;
  GtkListBox *suggestions;

  IngGenerationService *service;
};

G_DEFINE_FINAL_TYPE (IngWelcome, ing_welcome, GTK_TYPE_WIDGET)

static guint suggested_signal;

/* Each was tried on the starter model of 135 million parameters. It answers in English only, so the
 * question stays English whatever the label's language is. */
static const struct
{
  const char *title;
  const char *subtitle;
  const char *question;
} suggestions[] = {
  { N_ ("Write a short story"), N_ ("about a lighthouse and a storm"),
    "Write a short story about a lighthouse keeper and a storm." },
  { N_ ("Explain something simply"), N_ ("why the sky is blue"),
    "Explain in simple words why the sky is blue." },
  { N_ ("Make a list"), N_ ("what to pack for a weekend in the mountains"),
    "Make a list of ten things to pack for a weekend in the mountains." },
};

static void
activated_cb (IngWelcome *self, GtkListBoxRow *row)
{
  g_signal_emit (self, suggested_signal, 0, suggestions[gtk_list_box_row_get_index (row)].question);
}

static void
update (IngWelcome *self)
{
  gboolean none = ing_generation_service_get_state (self->service) == ING_SERVICE_NO_MODEL;

  gtk_stack_set_visible_child_name (self->stack, none ? "no-model" : "suggestions");
}

static void
ing_welcome_dispose (GObject *object)
{
  IngWelcome *self = ING_WELCOME (object);

  g_clear_object (&self->service);
  g_clear_pointer (&self->scroller, gtk_widget_unparent);
  G_OBJECT_CLASS (ing_welcome_parent_class)->dispose (object);
}

static void
ing_welcome_class_init (IngWelcomeClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = ing_welcome_dispose;
  suggested_signal = g_signal_new ("suggested", ING_TYPE_WELCOME, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                   NULL, G_TYPE_NONE, 1, G_TYPE_STRING);
  gtk_widget_class_set_layout_manager_type (widget_class, GTK_TYPE_BIN_LAYOUT);
  gtk_widget_class_set_template_from_resource (
      widget_class, "/io/github/inglenook_app/Inglenook/chat/ing-welcome.ui");
  gtk_widget_class_bind_template_child (widget_class, IngWelcome, scroller);
  gtk_widget_class_bind_template_child (widget_class, IngWelcome, stack);
  gtk_widget_class_bind_template_child (widget_class, IngWelcome, note_label);
  gtk_widget_class_bind_template_child (widget_class, IngWelcome, suggestions);
  gtk_widget_class_bind_template_callback (widget_class, activated_cb);
}

static void
ing_welcome_init (IngWelcome *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
  gtk_label_set_text (self->note_label,
                      _("Everything is worked out on this computer. Nothing you write leaves it."));
  for (gsize i = 0; i < G_N_ELEMENTS (suggestions); i++)
    {
      GtkWidget *row = adw_action_row_new ();

      adw_preferences_row_set_title (ADW_PREFERENCES_ROW (row), _(suggestions[i].title));
      adw_action_row_set_subtitle (ADW_ACTION_ROW (row), _(suggestions[i].subtitle));
      adw_action_row_add_suffix (ADW_ACTION_ROW (row),
                                 gtk_image_new_from_icon_name ("go-next-symbolic"));
      gtk_list_box_row_set_activatable (GTK_LIST_BOX_ROW (row), TRUE);
      gtk_list_box_append (self->suggestions, row);
    }
}

void
ing_welcome_set_service (IngWelcome *self, IngGenerationService *service)
{
  g_return_if_fail (ING_IS_WELCOME (self));
  g_return_if_fail (self->service == NULL);
  self->service = g_object_ref (service);
  g_signal_connect_object (service, "notify::state", G_CALLBACK (update), self, G_CONNECT_SWAPPED);
  update (self);
}
