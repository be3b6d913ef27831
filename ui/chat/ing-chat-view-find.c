/* SPDX-License-Identifier: Apache-2.0 */
/* Finding in the conversation shown. */
#include "ing-chat-view-private.h"

#include "ing-message-view.h"

#include <glib/gi18n-lib.h>
#include <string.h>

const char *
ing_chat_view_get_needle (IngChatView *self)
{
  return gtk_search_bar_get_search_mode (self->find_bar) ? gtk_editable_get_text (self->find_entry)
                                                         : NULL;
}

void
ing_chat_view_mark_found (IngChatView *self)
{
  const char *needle = ing_chat_view_get_needle (self);
  g_autofree char *text = NULL;

  for (guint i = 0; i < self->rows->len; i++)
    ing_message_view_set_needle (g_ptr_array_index (self->rows, i), needle);
  if (needle == NULL || *needle == '\0')
    text = g_strdup ("");
  else if (self->found->len == 0)
    text = g_strdup (_("Not found"));
  else
    /* Translators: the how-manieth of how many messages in which something was found. */
    text = g_strdup_printf (_("%u of %u"), self->i_found + 1, self->found->len);
  gtk_label_set_text (self->find_label, text);
  if (self->found->len > 0)
    ing_chat_view_scroll_to_position (self, g_array_index (self->found, guint, self->i_found));
}

void
ing_chat_view_find_changed (IngChatView *self)
{
  GListModel *messages = ing_chat_view_get_messages (self);
  const char *needle = ing_chat_view_get_needle (self);
  g_autofree char *folded = needle != NULL ? g_utf8_casefold (needle, -1) : NULL;

  g_array_set_size (self->found, 0);
  for (guint i = 0; folded != NULL && *folded != '\0' && messages != NULL
                    && i < g_list_model_get_n_items (messages);
       i++)
    {
      g_autoptr (IngMessage) message = g_list_model_get_item (messages, i);
      g_autofree char *text = ing_message_dup_text (message);
      g_autofree char *folded_text = g_utf8_casefold (text, -1);

      if (strstr (folded_text, folded) != NULL)
        g_array_append_val (self->found, i);
    }
  self->i_found = self->found->len > 0 ? self->found->len - 1 : 0;
  ing_chat_view_mark_found (self);
}

static void
find_step (IngChatView *self, int delta)
{
  if (self->found->len == 0)
    return;
  self->i_found = (guint) ((int) self->i_found + delta + (int) self->found->len) % self->found->len;
  ing_chat_view_mark_found (self);
}

static void
find_next_cb (IngChatView *self)
{
  find_step (self, 1);
}

static void
find_previous_cb (IngChatView *self)
{
  find_step (self, -1);
}

static void
find_mode_cb (IngChatView *self)
{
  if (gtk_search_bar_get_search_mode (self->find_bar))
    return;
  g_array_set_size (self->found, 0);
  for (guint i = 0; i < self->rows->len; i++)
    ing_message_view_set_needle (g_ptr_array_index (self->rows, i), NULL);
}

void
ing_chat_view_toggle_find (IngChatView *self)
{
  g_return_if_fail (ING_IS_CHAT_VIEW (self));
  if (gtk_search_bar_get_search_mode (self->find_bar)
      && gtk_widget_has_focus (GTK_WIDGET (gtk_editable_get_delegate (self->find_entry))))
    {
      gtk_search_bar_set_search_mode (self->find_bar, FALSE);
      ing_chat_view_focus_composer (self);
      return;
    }
  gtk_search_bar_set_search_mode (self->find_bar, TRUE);
  gtk_widget_grab_focus (GTK_WIDGET (self->find_entry));
}

void
ing_chat_view_bind_find (GtkWidgetClass *widget_class)
{
  gtk_widget_class_bind_template_callback_full (widget_class, "find_changed_cb", G_CALLBACK (ing_chat_view_find_changed));
  gtk_widget_class_bind_template_callback (widget_class, find_next_cb);
  gtk_widget_class_bind_template_callback (widget_class, find_previous_cb);
  gtk_widget_class_bind_template_callback (widget_class, find_mode_cb);
}
