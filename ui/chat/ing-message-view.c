/* SPDX-License-Identifier: Apache-2.0 */
/* Invariants:
 * 1. `message` and `conversation` are both set or both NULL; all handlers on them are gone when not.
 * 2. While the message streams, new text costs what ing_markdown_view_set_text() says and the caption
 *    changes at most four times a second. */
#include "ing-message-view.h"

#include "ing-announce.h"
#include "ing-code-block.h"
#include "ing-markdown-view.h"
#include "ing-numbers.h"
#include "ing-problem-box.h"
#include "ing-sources-box.h"

#include <adwaita.h>
#include <glib/gi18n-lib.h>
#include <string.h>

/* A longer question is folded; characters. */
#define FOLD_CHARS 1600
#define FOLDED_CHARS 1200
#define PROGRESS_DELAY_MS 500
#define CAPTION_INTERVAL_US (250 * 1000)

struct _IngMessageView
{
  GtkWidget parent_instance;

  GtkWidget *clamp;
  GtkWidget *person_box;
  GtkWidget *files_box;
  GtkLabel *person_label;
  GtkScrolledWindow *full_scroller;
  GtkWidget *full_button;
  GtkWidget *answer_box;
  GtkExpander *reasoning_expander;
  GtkLabel *reasoning_label;
  GtkSpinner *reasoning_spinner;
  IngMarkdownView *reasoning_view;
  GtkWidget *progress_box;
  GtkLabel *progress_label;
  GtkProgressBar *progress_bar;
  IngMarkdownView *answer_view;
  IngSourcesBox *sources_box;
  IngProblemBox *problem_box;
  GtkWidget *ended_box;
  GtkLabel *ended_label;
  GtkWidget *continue_button;
  GtkWidget *new_button;
  GtkWidget *actions_box;
  GtkWidget *regenerate_button;
  GtkWidget *edit_button;
  GtkWidget *copy_button;
  GtkWidget *more_button;
  GtkWidget *branches_box;
  GtkLabel *branches_label;
  GtkLabel *caption_label;

  IngConversation *conversation;
  IngMessage *message;
  IngAnnouncer *announcer;
  char *needle;
  guint progress_source;
  gint64 caption_us;
};

G_DEFINE_FINAL_TYPE (IngMessageView, ing_message_view, GTK_TYPE_WIDGET)

static guint edit_signal;

static gboolean
is_running (IngMessage *message)
{
  IngMessageState state = ing_message_get_state (message);

  return state == ING_MESSAGE_PENDING || state == ING_MESSAGE_STREAMING;
}

static gboolean
is_answer (IngMessage *message)
{
  return ing_message_get_role (message) != ING_ROLE_USER;
}

/* ---------------------------------------------------------------- a person's message */

static void
update_files (IngMessageView *self)
{
  GtkWidget *child;
  guint n = 0;

  while ((child = gtk_widget_get_first_child (self->files_box)) != NULL)
    gtk_box_remove (GTK_BOX (self->files_box), child);
  for (guint i = 0; i < ing_message_get_n_parts (self->message); i++)
    {
      IngPart *part = ing_message_get_part (self->message, i);
      const char *name = ing_part_get_name (part);
      GtkWidget *box, *label;

      if ((ing_part_get_kind (part) != ING_PART_FILE && ing_part_get_kind (part) != ING_PART_IMAGE) || name == NULL)
        continue; /* passages have no name: they are shown under the answer */
      box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 6);
      gtk_box_append (GTK_BOX (box), gtk_image_new_from_icon_name ("text-x-generic-symbolic"));
      label = gtk_label_new (name);
      gtk_label_set_ellipsize (GTK_LABEL (label), PANGO_ELLIPSIZE_MIDDLE);
      gtk_box_append (GTK_BOX (box), label);
      gtk_box_append (GTK_BOX (self->files_box), box);
      n++;
    }
  gtk_widget_set_visible (self->files_box, n > 0);
}

static void
update_person (IngMessageView *self)
{
  g_autofree char *text = ing_message_dup_text (self->message);
  glong n_chars = g_utf8_strlen (text, -1);
  gboolean fold = n_chars > FOLD_CHARS;
  gboolean full = gtk_toggle_button_get_active (GTK_TOGGLE_BUTTON (self->full_button));

  update_files (self);
  gtk_widget_set_visible (self->full_button, fold);
  gtk_widget_set_visible (GTK_WIDGET (self->person_label), !fold || !full);
  gtk_widget_set_visible (GTK_WIDGET (self->full_scroller), fold && full);
  if (fold)
    {
      g_autofree char *head = g_utf8_substring (text, 0, FOLDED_CHARS);
      g_autofree char *folded = g_strconcat (head, "…", NULL);

      gtk_label_set_text (self->person_label, folded);
      gtk_button_set_label (GTK_BUTTON (self->full_button), full ? _("Show less") : _("Show all"));
    }
  else
    gtk_label_set_text (self->person_label, text);
  if (fold && full)
    {
      GtkWidget *view = gtk_text_view_new ();

      gtk_text_buffer_set_text (gtk_text_view_get_buffer (GTK_TEXT_VIEW (view)), text, -1);
      gtk_text_view_set_editable (GTK_TEXT_VIEW (view), FALSE);
      gtk_text_view_set_cursor_visible (GTK_TEXT_VIEW (view), FALSE);
      gtk_text_view_set_wrap_mode (GTK_TEXT_VIEW (view), GTK_WRAP_WORD_CHAR);
      gtk_widget_add_css_class (view, "plain-view");
      gtk_accessible_update_property (GTK_ACCESSIBLE (view), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                      _("Question"), -1);
      gtk_scrolled_window_set_child (self->full_scroller, view);
    }
  else
    gtk_scrolled_window_set_child (self->full_scroller, NULL);
}

static void
full_cb (IngMessageView *self)
{
  if (self->message != NULL)
    update_person (self);
}

/* ---------------------------------------------------------------- an answer */

static const char *
get_text_of (IngMessageView *self, IngPartKind kind, char **to_free)
{
  IngPart *only = NULL;
  guint n = 0;

  for (guint i = 0; i < ing_message_get_n_parts (self->message); i++)
    if (ing_part_get_kind (ing_message_get_part (self->message, i)) == kind)
      {
        only = ing_message_get_part (self->message, i);
        n++;
      }
  if (n == 0)
    return "";
  if (n == 1)
    return ing_part_get_text (only);
  *to_free = kind == ING_PART_TEXT ? ing_message_dup_text (self->message)
                                   : ing_message_dup_reasoning (self->message);
  return *to_free != NULL ? *to_free : "";
}

static void
update_text (IngMessageView *self)
{
  g_autofree char *owned = NULL;
  g_autofree char *marked = NULL;
  const char *text = get_text_of (self, ING_PART_TEXT, &owned);
  gboolean streaming = ing_message_get_state (self->message) == ING_MESSAGE_STREAMING;
  GPtrArray *passages = ing_sources_box_get_passages (self->sources_box);

  if (!is_running (self->message) && passages != NULL)
    text = marked = ing_citations_annotate (text, passages);
  ing_markdown_view_set_text (self->answer_view, text, streaming && *text != '\0');
  gtk_widget_set_visible (GTK_WIDGET (self->answer_view), *text != '\0');
  if (is_running (self->message))
    ing_announcer_text (self->announcer, text);
}

static void
update_reasoning (IngMessageView *self)
{
  g_autofree char *owned = NULL;
  const char *text = get_text_of (self, ING_PART_REASONING, &owned);
  gboolean has = *text != '\0';
  gboolean running = has && is_running (self->message)
                     && ing_message_get_status (self->message) == ING_STATUS_REASONING;
  gint64 duration_us = 0;
  g_autofree char *label = NULL;

  gtk_widget_set_visible (GTK_WIDGET (self->reasoning_expander), has);
  if (!has)
    return;
  for (guint i = 0; i < ing_message_get_n_parts (self->message); i++)
    if (ing_part_get_kind (ing_message_get_part (self->message, i)) == ING_PART_REASONING)
      duration_us += ing_part_get_duration_us (ing_message_get_part (self->message, i));
  if (running)
    label = g_strdup (_("Thinking…"));
  else if (duration_us >= G_USEC_PER_SEC)
    label = g_strdup_printf (ngettext ("Thought for %d s", "Thought for %d s",
                                       (gulong) (duration_us / G_USEC_PER_SEC)),
                             (int) (duration_us / G_USEC_PER_SEC));
  else
    label = g_strdup (_("Thoughts"));
  gtk_label_set_text (self->reasoning_label, label);
  gtk_spinner_set_spinning (self->reasoning_spinner, running);
  gtk_widget_set_visible (GTK_WIDGET (self->reasoning_spinner), running);
  if (gtk_expander_get_expanded (self->reasoning_expander))
    ing_markdown_view_set_text (self->reasoning_view, text, running);
}

/* What it was given to read, and once it ended which of its sentences do not stand there. */
static void
update_sources (IngMessageView *self)
{
  GListModel *messages = ing_conversation_list_messages (self->conversation);
  gint64 parent = ing_message_get_parent_id (self->message);
  g_autofree char *text = is_running (self->message) ? NULL : ing_message_dup_text (self->message);
  g_autoptr (IngMessage) question = NULL;

  for (guint i = g_list_model_get_n_items (messages); i > 0 && question == NULL; i--)
    {
      g_autoptr (IngMessage) message = g_list_model_get_item (messages, i - 1);

      if (ing_message_get_id (message) == parent)
        question = g_steal_pointer (&message);
    }
  ing_sources_box_set (self->sources_box, question, text);
}

static void
reasoning_expanded_cb (IngMessageView *self)
{
  if (self->message != NULL && is_answer (self->message))
    update_reasoning (self);
}

static char *
dup_progress_text (IngMessageView *self)
{
  guint64 n_total = ing_message_get_progress_total (self->message);
  double left = ing_message_get_seconds_left (self->message);
  g_autofree char *done = ing_numbers_dup_count (ing_message_get_progress_done (self->message));
  g_autofree char *total = ing_numbers_dup_count (n_total);
  g_autofree char *time = NULL;

  switch (ing_message_get_status (self->message))
    {
    case ING_STATUS_MODEL_LOADING:
      return g_strdup (_("Waits for the model, which is still loading"));
    case ING_STATUS_QUEUED:
      return g_strdup (_("Waits for another answer"));
    case ING_STATUS_SAVING:
      return g_strdup (_("Saving the question"));
    case ING_STATUS_READING:
      if (n_total == 0)
        return g_strdup (_("Reading"));
      if (left < 1)
        return g_strdup_printf (_("Reading %s of %s tokens"), done, total);
      time = ing_numbers_dup_duration (left);
      /* Translators: numbers of tokens, and a time such as "12 s". */
      return g_strdup_printf (_("Reading %s of %s tokens · %s left"), done, total, time);
    default:
      return NULL;
    }
}

static gboolean
show_progress_cb (gpointer user_data)
{
  IngMessageView *self = user_data;

  self->progress_source = 0;
  gtk_widget_set_visible (self->progress_box, TRUE);
  return G_SOURCE_REMOVE;
}

static void
update_progress (IngMessageView *self)
{
  g_autofree char *text = is_running (self->message) ? dup_progress_text (self) : NULL;
  guint64 total = ing_message_get_progress_total (self->message);

  if (text == NULL)
    {
      g_clear_handle_id (&self->progress_source, g_source_remove);
      gtk_widget_set_visible (self->progress_box, FALSE);
      return;
    }
  gtk_label_set_text (self->progress_label, text);
  gtk_progress_bar_set_fraction (
      self->progress_bar,
      total > 0 ? (double) ing_message_get_progress_done (self->message) / (double) total : 0);
  if (self->progress_source == 0 && !gtk_widget_get_visible (self->progress_box))
    self->progress_source = g_timeout_add (PROGRESS_DELAY_MS, show_progress_cb, self);
}

static void
add_problem_buttons (IngMessageView *self, const GError *error)
{
  if (error->domain == ING_ERROR)
    switch ((IngErrorCode) error->code)
      {
      case ING_ERROR_NO_MODEL:
      case ING_ERROR_NOT_FOUND:
      case ING_ERROR_FORMAT:
      case ING_ERROR_TRUNCATED:
      case ING_ERROR_UNSUPPORTED:
      case ING_ERROR_NO_TEMPLATE:
      case ING_ERROR_TEMPLATE:
        ing_problem_box_add_button (self->problem_box, _("_Open model file…"), "win.open-model", NULL);
        break;
      case ING_ERROR_CONTEXT_FULL:
        ing_problem_box_add_button (self->problem_box, _("_New conversation"), "win.new-conversation",
                                    NULL);
        ing_problem_box_add_button (self->problem_box, _("_Larger context…"), "win.preferences", NULL);
        return; /* asking again would end the same way */
      default:
        break;
      }
  ing_problem_box_add_button (self->problem_box, _("_Try again"), "message.continue", NULL);
}

static void
update_ending (IngMessageView *self)
{
  const GError *error = ing_message_get_error (self->message);
  IngMessageState state = ing_message_get_state (self->message);
  const char *text = NULL;
  gboolean full = FALSE;

  if (state == ING_MESSAGE_FAILED && error != NULL)
    {
      ing_problem_box_set_error (self->problem_box, error);
      add_problem_buttons (self, error);
    }
  else
    ing_problem_box_set_error (self->problem_box, NULL);

  if (state == ING_MESSAGE_INTERRUPTED)
    text = _("Cut off when the program ended");
  else if (state == ING_MESSAGE_STOPPED)
    switch (ing_message_get_stop_reason (self->message))
      {
      case ING_STOP_LENGTH:
        text = _("The limit for one answer is reached");
        break;
      case ING_STOP_CONTEXT:
        text = _("The model's memory for this conversation is full");
        full = TRUE;
        break;
      default:
        text = _("Stopped");
        break;
      }
  gtk_widget_set_visible (self->ended_box, text != NULL);
  gtk_label_set_text (self->ended_label, text != NULL ? text : "");
  gtk_widget_set_visible (self->continue_button,
                          text != NULL && ing_message_can_continue (self->message));
  gtk_widget_set_visible (self->new_button, full);
}

static void
update_caption (IngMessageView *self, gboolean force)
{
  double speed = ing_message_get_tokens_per_second (self->message);
  const char *device = ing_message_get_device (self->message);
  const char *model = ing_message_get_model_name (self->message);
  guint n_tokens = ing_message_get_n_tokens (self->message);
  g_autofree char *tokens = ing_numbers_dup_count (n_tokens);
  gint64 now = g_get_monotonic_time ();
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (GString) tip = g_string_new (NULL);

  if (!force && now - self->caption_us < CAPTION_INTERVAL_US)
    return;
  self->caption_us = now;
  if (speed > 0)
    /* Translators: tokens per second. */
    g_string_append_printf (text, speed < 10 ? _("%.1f tok/s") : _("%.0f tok/s"), speed);
  if (device != NULL)
    {
      /* "CPU · AVX2": the kernels' name belongs to the details. */
      g_auto (GStrv) words = g_strsplit (device, " · ", 2);

      g_string_append_printf (text, text->len > 0 ? " · %s" : "%s", words[0]);
    }
  gtk_label_set_text (self->caption_label, text->str);
  if (model != NULL)
    g_string_append_printf (tip, "%s\n", model);
  if (device != NULL)
    g_string_append_printf (tip, "%s\n", device);
  if (n_tokens > 0)
    g_string_append_printf (tip, ngettext ("%s token", "%s tokens", n_tokens), tokens);
  if (ing_message_get_first_token_us (self->message) > 0)
    {
      g_string_append (tip, "\n");
      g_string_append_printf (tip, _("First word after %.1f s"),
                              (double) ing_message_get_first_token_us (self->message) / 1e6);
    }
  gtk_widget_set_tooltip_text (GTK_WIDGET (self->caption_label), tip->len > 0 ? tip->str : NULL);
}

static void
update_actions (IngMessageView *self)
{
  gboolean answer = is_answer (self->message);
  gboolean busy = ing_conversation_get_busy (self->conversation);
  guint n = ing_message_get_n_siblings (self->message);
  guint i = ing_message_get_sibling_index (self->message);
  GtkWidget *widget = GTK_WIDGET (self);

  gtk_widget_set_visible (self->regenerate_button, answer);
  gtk_widget_set_visible (self->edit_button, !answer);
  gtk_widget_set_visible (self->more_button, answer);
  gtk_widget_set_visible (self->branches_box, n > 1);
  gtk_widget_set_visible (GTK_WIDGET (self->caption_label), answer);
  gtk_widget_set_halign (self->actions_box, answer ? GTK_ALIGN_FILL : GTK_ALIGN_END);
  if (n > 1)
    {
      g_autofree char *text = g_strdup_printf ("%u/%u", i + 1, n);
      g_autofree char *name = g_strdup_printf (_("Version %u of %u"), i + 1, n);

      gtk_label_set_text (self->branches_label, text);
      gtk_accessible_update_property (GTK_ACCESSIBLE (self->branches_box),
                                      GTK_ACCESSIBLE_PROPERTY_LABEL, name, -1);
    }
  gtk_widget_action_set_enabled (widget, "message.regenerate", answer && !busy);
  gtk_widget_action_set_enabled (widget, "message.edit", !answer && !busy);
  gtk_widget_action_set_enabled (widget, "message.continue", answer && !busy);
  gtk_widget_action_set_enabled (widget, "message.previous", i > 0);
  gtk_widget_action_set_enabled (widget, "message.next", i + 1 < n);
}

static void
update_all (IngMessageView *self)
{
  gboolean answer = is_answer (self->message);

  gtk_widget_set_visible (self->person_box, !answer);
  gtk_widget_set_visible (self->answer_box, answer);
  if (answer)
    {
      update_sources (self); /* whose marks stand in the text */
      update_text (self);
      update_reasoning (self);
      update_progress (self);
      update_ending (self);
      update_caption (self, TRUE);
    }
  else
    update_person (self);
  update_actions (self);
}

/* ---------------------------------------------------------------- handlers */

static void
text_appended_cb (IngMessageView *self, IngPart *part)
{
  if (ing_part_get_kind (part) == ING_PART_REASONING)
    update_reasoning (self);
  else
    update_text (self);
}

static void
notify_cb (IngMessageView *self, GParamSpec *pspec)
{
  if (!is_answer (self->message))
    {
      update_actions (self);
      return;
    }
  if (strstr (pspec->name, "progress") != NULL || g_str_equal (pspec->name, "seconds-left"))
    update_progress (self);
  else if (g_str_equal (pspec->name, "tokens-per-second") || g_str_equal (pspec->name, "n-tokens"))
    update_caption (self, FALSE);
  else
    {
      update_all (self);
      if (!is_running (self->message))
        ing_announcer_finish (self->announcer);
    }
}

static void
busy_cb (IngMessageView *self)
{
  update_actions (self);
}

static void
copy_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  IngMessageView *self = ING_MESSAGE_VIEW (widget);
  g_autofree char *text = NULL;

  if (self->message == NULL)
    return;
  text = g_str_equal (name, "message.copy-plain") ? ing_markdown_view_dup_plain (self->answer_view)
                                                  : ing_message_dup_text (self->message);
  gdk_clipboard_set_text (gtk_widget_get_clipboard (widget), text);
}

static void
regenerate_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  IngMessageView *self = ING_MESSAGE_VIEW (widget);

  if (self->message != NULL)
    ing_conversation_regenerate (self->conversation, self->message);
}

static void
continue_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  IngMessageView *self = ING_MESSAGE_VIEW (widget);

  if (self->message != NULL)
    ing_conversation_continue (self->conversation, self->message);
}

static void
sibling_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  IngMessageView *self = ING_MESSAGE_VIEW (widget);

  if (self->message != NULL)
    ing_conversation_switch_sibling (self->conversation, self->message,
                                     g_str_equal (name, "message.next") ? 1 : -1);
}

static void
edit_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  IngMessageView *self = ING_MESSAGE_VIEW (widget);

  if (self->message != NULL)
    g_signal_emit (self, edit_signal, 0, self->message);
}

static void
ing_message_view_dispose (GObject *object)
{
  IngMessageView *self = ING_MESSAGE_VIEW (object);

  ing_message_view_set_message (self, NULL, NULL);
  g_clear_pointer (&self->announcer, ing_announcer_free);
  g_clear_pointer (&self->clamp, gtk_widget_unparent);
  G_OBJECT_CLASS (ing_message_view_parent_class)->dispose (object);
}

static void
ing_message_view_finalize (GObject *object)
{
  g_free (ING_MESSAGE_VIEW (object)->needle);
  G_OBJECT_CLASS (ing_message_view_parent_class)->finalize (object);
}

static void
bind_children (GtkWidgetClass *widget_class)
{
  gtk_widget_class_bind_template_child (widget_class, IngMessageView, clamp);
  gtk_widget_class_bind_template_child (widget_class, IngMessageView, person_box);
  gtk_widget_class_bind_template_child (widget_class, IngMessageView, files_box);
  gtk_widget_class_bind_template_child (widget_class, IngMessageView, person_label);
  gtk_widget_class_bind_template_child (widget_class, IngMessageView, full_scroller);
  gtk_widget_class_bind_template_child (widget_class, IngMessageView, full_button);
  gtk_widget_class_bind_template_child (widget_class, IngMessageView, answer_box);
  gtk_widget_class_bind_template_child (widget_class, IngMessageView, reasoning_expander);
  gtk_widget_class_bind_template_child (widget_class, IngMessageView, reasoning_label);
  gtk_widget_class_bind_template_child (widget_class, IngMessageView, reasoning_spinner);
  gtk_widget_class_bind_template_child (widget_class, IngMessageView, reasoning_view);
  gtk_widget_class_bind_template_child (widget_class, IngMessageView, progress_box);
  gtk_widget_class_bind_template_child (widget_class, IngMessageView, progress_label);
  gtk_widget_class_bind_template_child (widget_class, IngMessageView, progress_bar);
  gtk_widget_class_bind_template_child (widget_class, IngMessageView, answer_view);
  gtk_widget_class_bind_template_child (widget_class, IngMessageView, problem_box);
  gtk_widget_class_bind_template_child (widget_class, IngMessageView, sources_box);
  gtk_widget_class_bind_template_child (widget_class, IngMessageView, ended_box);
  gtk_widget_class_bind_template_child (widget_class, IngMessageView, ended_label);
  gtk_widget_class_bind_template_child (widget_class, IngMessageView, continue_button);
  gtk_widget_class_bind_template_child (widget_class, IngMessageView, new_button);
  gtk_widget_class_bind_template_child (widget_class, IngMessageView, actions_box);
  gtk_widget_class_bind_template_child (widget_class, IngMessageView, regenerate_button);
  gtk_widget_class_bind_template_child (widget_class, IngMessageView, edit_button);
  gtk_widget_class_bind_template_child (widget_class, IngMessageView, copy_button);
  gtk_widget_class_bind_template_child (widget_class, IngMessageView, more_button);
  gtk_widget_class_bind_template_child (widget_class, IngMessageView, branches_box);
  gtk_widget_class_bind_template_child (widget_class, IngMessageView, branches_label);
  gtk_widget_class_bind_template_child (widget_class, IngMessageView, caption_label);
  gtk_widget_class_bind_template_callback (widget_class, full_cb);
  gtk_widget_class_bind_template_callback (widget_class, reasoning_expanded_cb);
}

static void
ing_message_view_class_init (IngMessageViewClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = ing_message_view_dispose;
  G_OBJECT_CLASS (klass)->finalize = ing_message_view_finalize;
  edit_signal = g_signal_new ("edit", ING_TYPE_MESSAGE_VIEW, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                              G_TYPE_NONE, 1, ING_TYPE_MESSAGE);
  g_type_ensure (ING_TYPE_MARKDOWN_VIEW);
  g_type_ensure (ING_TYPE_PROBLEM_BOX);
  g_type_ensure (ING_TYPE_SOURCES_BOX);
  gtk_widget_class_set_layout_manager_type (widget_class, GTK_TYPE_BIN_LAYOUT);
  gtk_widget_class_set_accessible_role (widget_class, GTK_ACCESSIBLE_ROLE_GROUP);
  gtk_widget_class_set_css_name (widget_class, "messageview");
  gtk_widget_class_install_action (widget_class, "message.copy", NULL, copy_cb);
  gtk_widget_class_install_action (widget_class, "message.copy-plain", NULL, copy_cb);
  gtk_widget_class_install_action (widget_class, "message.regenerate", NULL, regenerate_cb);
  gtk_widget_class_install_action (widget_class, "message.continue", NULL, continue_cb);
  gtk_widget_class_install_action (widget_class, "message.previous", NULL, sibling_cb);
  gtk_widget_class_install_action (widget_class, "message.next", NULL, sibling_cb);
  gtk_widget_class_install_action (widget_class, "message.edit", NULL, edit_cb);
  gtk_widget_class_set_template_from_resource (
      widget_class, "/io/github/inglenook_app/Inglenook/chat/ing-message-view.ui");
  bind_children (widget_class);
}

static void
ing_message_view_init (IngMessageView *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
  self->announcer = ing_announcer_new (GTK_WIDGET (self));
  g_signal_connect_object (self->answer_view, "citation", G_CALLBACK (ing_sources_box_open), self->sources_box,
                           G_CONNECT_SWAPPED);
}

GtkWidget *
ing_message_view_new (void)
{
  return g_object_new (ING_TYPE_MESSAGE_VIEW, NULL);
}

void
ing_message_view_set_message (IngMessageView *self, IngConversation *conversation, IngMessage *message)
{
  g_return_if_fail (ING_IS_MESSAGE_VIEW (self));
  g_return_if_fail ((conversation == NULL) == (message == NULL));

  if (self->message == message)
    return;
  if (self->message != NULL)
    {
      g_signal_handlers_disconnect_by_data (self->message, self);
      g_signal_handlers_disconnect_by_data (self->conversation, self);
      g_clear_handle_id (&self->progress_source, g_source_remove);
    }
  g_set_object (&self->conversation, conversation);
  g_set_object (&self->message, message);
  if (message == NULL)
    return;
  gtk_expander_set_expanded (self->reasoning_expander, FALSE);
  gtk_toggle_button_set_active (GTK_TOGGLE_BUTTON (self->full_button), FALSE);
  gtk_widget_set_visible (self->progress_box, FALSE);
  ing_announcer_reset (self->announcer);
  g_signal_connect_swapped (message, "text-appended", G_CALLBACK (text_appended_cb), self);
  g_signal_connect_swapped (message, "notify", G_CALLBACK (notify_cb), self);
  g_signal_connect_swapped (conversation, "notify::busy", G_CALLBACK (busy_cb), self);
  gtk_accessible_update_property (GTK_ACCESSIBLE (self), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  is_answer (message) ? _("Answer") : _("Question"), -1);
  update_all (self);
  ing_markdown_view_set_needle (self->answer_view, self->needle);
}

IngMessage *
ing_message_view_get_message (IngMessageView *self)
{
  g_return_val_if_fail (ING_IS_MESSAGE_VIEW (self), NULL);
  return self->message;
}

void
ing_message_view_set_last (IngMessageView *self, gboolean last)
{
  g_return_if_fail (ING_IS_MESSAGE_VIEW (self));
  if (last)
    gtk_widget_add_css_class (GTK_WIDGET (self), "last");
  else
    gtk_widget_remove_css_class (GTK_WIDGET (self), "last");
}

void
ing_message_view_set_needle (IngMessageView *self, const char *needle)
{
  g_return_if_fail (ING_IS_MESSAGE_VIEW (self));
  g_free (self->needle);
  self->needle = g_strdup (needle);
  ing_markdown_view_set_needle (self->answer_view, needle);
}
