/* SPDX-License-Identifier: Apache-2.0 */
/* Invariant: the button is one widget that stays in its place; while `busy` it stops, else it sends. */
#include "ing-composer.h"

#include "ing-collection-button.h"
#include "ing-numbers.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#define MAX_LINES 8
/* A double click on Send must not stop the answer it asked for. */
#define CALM_US (400 * 1000)

struct _IngComposer
{
  GtkWidget parent_instance;

  GtkWidget *box;
  GtkRevealer *editing_revealer;
  GtkWidget *cancel_button;
  GtkScrolledWindow *scroller;
  GtkTextView *view;
  GtkWidget *placeholder_label;
  GtkWidget *button;
  GtkLabel *tokens_label;

  char *text; /* of the buffer; NULL = to be read */
  gboolean busy;
  gint64 busy_since_us;
  IngCollectionButton *collection_button;
};

enum
{
  PROP_0,
  PROP_TEXT,
  PROP_BUSY,
  PROP_PLACEHOLDER,
  N_PROPS
};

enum
{
  SIGNAL_SEND,
  SIGNAL_STOP,
  SIGNAL_EDIT_CANCELLED,
  N_SIGNALS
};

static GParamSpec *props[N_PROPS];
static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (IngComposer, ing_composer, GTK_TYPE_WIDGET)

static gboolean
is_blank (const char *text)
{
  for (; *text != '\0'; text = g_utf8_next_char (text))
    if (!g_unichar_isspace (g_utf8_get_char (text)))
      return FALSE;
  return TRUE;
}

static void
update_button (IngComposer *self)
{
  const char *name = self->busy ? _("Stop") : _("Send");

  gtk_button_set_icon_name (GTK_BUTTON (self->button),
                            self->busy ? "media-playback-stop-symbolic" : "go-up-symbolic");
  gtk_widget_set_tooltip_text (self->button, self->busy ? _("Stop (Esc)") : _("Send (Enter)"));
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->button), GTK_ACCESSIBLE_PROPERTY_LABEL, name,
                                  -1);
  if (self->busy)
    gtk_widget_remove_css_class (self->button, "suggested-action");
  else
    gtk_widget_add_css_class (self->button, "suggested-action");
  gtk_widget_set_sensitive (self->button, self->busy || !is_blank (ing_composer_get_text (self)));
}

static void
buffer_changed_cb (IngComposer *self)
{
  GtkTextBuffer *buffer = gtk_text_view_get_buffer (self->view);

  g_clear_pointer (&self->text, g_free);
  gtk_widget_set_visible (self->placeholder_label, gtk_text_buffer_get_char_count (buffer) == 0);
  update_button (self);
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_TEXT]);
}

/* Eight lines of the font in use, then it scrolls. */
static void
update_height (IngComposer *self)
{
  PangoContext *context = gtk_widget_get_pango_context (GTK_WIDGET (self->view));
  PangoLayout *layout = pango_layout_new (context);
  int height;

  pango_layout_set_text (layout, "A", -1);
  pango_layout_get_pixel_size (layout, NULL, &height);
  g_object_unref (layout);
  gtk_scrolled_window_set_max_content_height (self->scroller, height * MAX_LINES + 22);
}

void
ing_composer_send (IngComposer *self)
{
  g_autofree char *text = NULL;

  g_return_if_fail (ING_IS_COMPOSER (self));
  if (self->busy || is_blank (ing_composer_get_text (self)))
    return;
  text = g_strdup (ing_composer_get_text (self));
  g_signal_emit (self, signals[SIGNAL_SEND], 0, text);
}

static void
button_cb (IngComposer *self)
{
  if (!self->busy)
    ing_composer_send (self);
  else if (g_get_monotonic_time () - self->busy_since_us > CALM_US)
    g_signal_emit (self, signals[SIGNAL_STOP], 0);
}

static void
cancel_edit_cb (IngComposer *self)
{
  g_signal_emit (self, signals[SIGNAL_EDIT_CANCELLED], 0);
}

static gboolean
key_cb (GtkEventControllerKey *controller, guint key, guint code, GdkModifierType state,
        IngComposer *self)
{
  GdkEvent *event = gtk_event_controller_get_current_event (GTK_EVENT_CONTROLLER (controller));

  if (key == GDK_KEY_Escape && gtk_revealer_get_reveal_child (self->editing_revealer))
    {
      cancel_edit_cb (self);
      return GDK_EVENT_STOP;
    }
  if (key != GDK_KEY_Return && key != GDK_KEY_KP_Enter && key != GDK_KEY_ISO_Enter)
    return GDK_EVENT_PROPAGATE;
  if ((state & (GDK_SHIFT_MASK | GDK_ALT_MASK)) != 0)
    return GDK_EVENT_PROPAGATE;
  /* Enter may confirm what an input method proposes. */
  if (event != NULL && gtk_text_view_im_context_filter_keypress (self->view, event))
    {
      gtk_text_view_reset_cursor_blink (self->view);
      return GDK_EVENT_STOP;
    }
  ing_composer_send (self);
  return GDK_EVENT_STOP;
}

static gboolean
ing_composer_grab_focus (GtkWidget *widget)
{
  return gtk_widget_grab_focus (GTK_WIDGET (ING_COMPOSER (widget)->view));
}

static void
ing_composer_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  IngComposer *self = ING_COMPOSER (object);

  switch (id)
    {
    case PROP_TEXT:
      g_value_set_string (value, ing_composer_get_text (self));
      break;
    case PROP_BUSY:
      g_value_set_boolean (value, self->busy);
      break;
    case PROP_PLACEHOLDER:
      g_value_set_string (value, gtk_label_get_text (GTK_LABEL (self->placeholder_label)));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
ing_composer_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  IngComposer *self = ING_COMPOSER (object);

  switch (id)
    {
    case PROP_TEXT:
      ing_composer_set_text (self, g_value_get_string (value));
      break;
    case PROP_BUSY:
      ing_composer_set_busy (self, g_value_get_boolean (value));
      break;
    case PROP_PLACEHOLDER:
      ing_composer_set_placeholder (self, g_value_get_string (value));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
ing_composer_dispose (GObject *object)
{
  IngComposer *self = ING_COMPOSER (object);

  g_clear_pointer (&self->box, gtk_widget_unparent);
  G_OBJECT_CLASS (ing_composer_parent_class)->dispose (object);
}

static void
ing_composer_finalize (GObject *object)
{
  g_free (ING_COMPOSER (object)->text);
  G_OBJECT_CLASS (ing_composer_parent_class)->finalize (object);
}

/* GTK has a widget with a grab_focus() of its own take the keyboard whenever Tab comes to it, from either side and out of its own
 * parts too: nobody came past the question. */
static gboolean
ing_composer_focus (GtkWidget *widget, GtkDirectionType direction)
{
  return gtk_widget_child_focus (ING_COMPOSER (widget)->box, direction);
}

static void
ing_composer_class_init (IngComposerClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  object_class->get_property = ing_composer_get_property;
  object_class->set_property = ing_composer_set_property;
  object_class->dispose = ing_composer_dispose;
  object_class->finalize = ing_composer_finalize;
  widget_class->focus = ing_composer_focus;
  widget_class->grab_focus = ing_composer_grab_focus;

  props[PROP_TEXT] = g_param_spec_string ("text", NULL, NULL, "",
                                          G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS
                                              | G_PARAM_EXPLICIT_NOTIFY);
  props[PROP_BUSY] = g_param_spec_boolean ("busy", NULL, NULL, FALSE,
                                           G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS
                                               | G_PARAM_EXPLICIT_NOTIFY);
  props[PROP_PLACEHOLDER] = g_param_spec_string ("placeholder", NULL, NULL, "",
                                                 G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS
                                                     | G_PARAM_EXPLICIT_NOTIFY);
  g_object_class_install_properties (object_class, N_PROPS, props);
  signals[SIGNAL_SEND] = g_signal_new ("send", ING_TYPE_COMPOSER, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                       NULL, G_TYPE_NONE, 1, G_TYPE_STRING);
  signals[SIGNAL_STOP] = g_signal_new ("stop", ING_TYPE_COMPOSER, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                       NULL, G_TYPE_NONE, 0);
  signals[SIGNAL_EDIT_CANCELLED]
      = g_signal_new ("edit-cancelled", ING_TYPE_COMPOSER, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                      G_TYPE_NONE, 0);

  gtk_widget_class_set_layout_manager_type (widget_class, GTK_TYPE_BIN_LAYOUT);
  g_type_ensure (ING_TYPE_COLLECTION_BUTTON);
  gtk_widget_class_set_template_from_resource (
      widget_class, "/io/github/inglenook_app/Inglenook/chat/ing-composer.ui");
  gtk_widget_class_bind_template_child (widget_class, IngComposer, box);
  gtk_widget_class_bind_template_child (widget_class, IngComposer, editing_revealer);
  gtk_widget_class_bind_template_child (widget_class, IngComposer, cancel_button);
  gtk_widget_class_bind_template_child (widget_class, IngComposer, scroller);
  gtk_widget_class_bind_template_child (widget_class, IngComposer, view);
  gtk_widget_class_bind_template_child (widget_class, IngComposer, placeholder_label);
  gtk_widget_class_bind_template_child (widget_class, IngComposer, button);
  gtk_widget_class_bind_template_child (widget_class, IngComposer, tokens_label);
  gtk_widget_class_bind_template_child (widget_class, IngComposer, collection_button);
  gtk_widget_class_bind_template_callback (widget_class, button_cb);
  gtk_widget_class_bind_template_callback (widget_class, cancel_edit_cb);
}

static void
ing_composer_init (IngComposer *self)
{
  GtkEventController *keys = gtk_event_controller_key_new ();

  gtk_widget_init_template (GTK_WIDGET (self));
  gtk_event_controller_set_propagation_phase (keys, GTK_PHASE_CAPTURE);
  g_signal_connect (keys, "key-pressed", G_CALLBACK (key_cb), self);
  gtk_widget_add_controller (GTK_WIDGET (self->view), keys);
  g_signal_connect_swapped (gtk_text_view_get_buffer (self->view), "changed",
                            G_CALLBACK (buffer_changed_cb), self);
  g_signal_connect_swapped (self->view, "map", G_CALLBACK (update_height), self);
  update_button (self);
}

const char *
ing_composer_get_text (IngComposer *self)
{
  g_return_val_if_fail (ING_IS_COMPOSER (self), NULL);
  if (self->text == NULL)
    {
      GtkTextBuffer *buffer = gtk_text_view_get_buffer (self->view);
      GtkTextIter start, end;

      gtk_text_buffer_get_bounds (buffer, &start, &end);
      self->text = gtk_text_buffer_get_text (buffer, &start, &end, FALSE);
    }
  return self->text;
}

void
ing_composer_set_text (IngComposer *self, const char *text)
{
  GtkTextBuffer *buffer;
  GtkTextIter end;

  g_return_if_fail (ING_IS_COMPOSER (self));
  if (g_strcmp0 (text != NULL ? text : "", ing_composer_get_text (self)) == 0)
    return;
  buffer = gtk_text_view_get_buffer (self->view);
  gtk_text_buffer_begin_irreversible_action (buffer);
  gtk_text_buffer_set_text (buffer, text != NULL ? text : "", -1);
  gtk_text_buffer_end_irreversible_action (buffer);
  gtk_text_buffer_get_end_iter (buffer, &end);
  gtk_text_buffer_place_cursor (buffer, &end);
}

void
ing_composer_set_busy (IngComposer *self, gboolean busy)
{
  g_return_if_fail (ING_IS_COMPOSER (self));
  busy = !!busy;
  if (self->busy == busy)
    return;
  self->busy = busy;
  self->busy_since_us = g_get_monotonic_time ();
  update_button (self);
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_BUSY]);
}

void
ing_composer_set_placeholder (IngComposer *self, const char *placeholder)
{
  g_return_if_fail (ING_IS_COMPOSER (self));
  if (g_strcmp0 (placeholder, gtk_label_get_text (GTK_LABEL (self->placeholder_label))) == 0)
    return;
  gtk_label_set_text (GTK_LABEL (self->placeholder_label), placeholder);
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->view), GTK_ACCESSIBLE_PROPERTY_PLACEHOLDER,
                                  placeholder, -1);
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_PLACEHOLDER]);
}

void
ing_composer_set_conversation (IngComposer *self, IngWorkspace *workspace, IngConversation *conversation)
{
  g_return_if_fail (ING_IS_COMPOSER (self));
  ing_collection_button_set_conversation (self->collection_button, workspace, conversation);
}

void
ing_composer_set_tokens (IngComposer *self, guint64 n_tokens, guint64 context)
{
  g_autofree char *text = NULL;
  g_autofree char *used = NULL;
  g_autofree char *all = NULL;
  gboolean warn;

  g_return_if_fail (ING_IS_COMPOSER (self));
  gtk_widget_set_visible (GTK_WIDGET (self->tokens_label), context > 0 && n_tokens >= context / 2);
  if (context == 0)
    return;
  warn = n_tokens >= context / 10 * 9;
  used = ing_numbers_dup_count (n_tokens);
  all = ing_numbers_dup_count (context);
  text = n_tokens > context
             ? g_strdup_printf (_("%s tokens, but only %s fit. Shorten the question or start a new "
                                  "conversation"),
                                used, all)
             : g_strdup_printf (_("%s of %s tokens"), used, all);
  gtk_label_set_text (self->tokens_label, text);
  gtk_widget_set_tooltip_text (
      GTK_WIDGET (self->tokens_label),
      _("How much of the model's memory for one conversation is used. When it is full, an answer ends"));
  if (warn)
    {
      gtk_widget_remove_css_class (GTK_WIDGET (self->tokens_label), "dim-label");
      gtk_widget_add_css_class (GTK_WIDGET (self->tokens_label), "warning");
    }
  else
    {
      gtk_widget_add_css_class (GTK_WIDGET (self->tokens_label), "dim-label");
      gtk_widget_remove_css_class (GTK_WIDGET (self->tokens_label), "warning");
    }
}

void
ing_composer_set_editing (IngComposer *self, gboolean editing)
{
  g_return_if_fail (ING_IS_COMPOSER (self));
  gtk_revealer_set_reveal_child (self->editing_revealer, editing);
}
