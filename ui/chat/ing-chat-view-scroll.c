/* SPDX-License-Identifier: Apache-2.0 */
/* Following what comes: invariant 1 of ing-chat-view.c. */
#include "ing-chat-view-private.h"

#include <string.h>

/* Nearer to the end than this many pixels is at the end. */
#define END_SLACK 4

static GtkAdjustment *
get_adjustment (IngChatView *self)
{
  return gtk_scrolled_window_get_vadjustment (self->scroller);
}

void
ing_chat_view_update_end_button (IngChatView *self)
{
  GtkAdjustment *adjustment = get_adjustment (self);
  gboolean show = !self->following
                  && gtk_adjustment_get_upper (adjustment) > gtk_adjustment_get_page_size (adjustment)
                  && g_strcmp0 (gtk_stack_get_visible_child_name (self->stack), "messages") == 0;

  gtk_revealer_set_reveal_child (self->end_revealer, show);
  gtk_widget_set_can_target (GTK_WIDGET (self->end_revealer), show);
}

static void
set_following (IngChatView *self, gboolean following)
{
  if (self->following == following)
    return;
  self->following = following;
  ing_chat_view_update_end_button (self);
}

static gboolean
follow_cb (gpointer user_data)
{
  IngChatView *self = user_data;
  GtkAdjustment *adjustment = get_adjustment (self);

  self->follow_source = 0;
  if (self->following)
    gtk_adjustment_set_value (adjustment, gtk_adjustment_get_upper (adjustment));
  return G_SOURCE_REMOVE;
}

/* Not at once: the list is being allocated. Before the next frame, though. */
void
ing_chat_view_queue_follow (IngChatView *self)
{
  if (self->follow_source == 0)
    self->follow_source = g_idle_add_full (GDK_PRIORITY_EVENTS, follow_cb, self, NULL);
}

static void
adjustment_changed_cb (IngChatView *self)
{
  ing_chat_view_update_end_button (self);
  if (self->following)
    ing_chat_view_queue_follow (self);
}

static void
value_changed_cb (IngChatView *self)
{
  GtkAdjustment *adjustment = get_adjustment (self);
  double value = gtk_adjustment_get_value (adjustment);
  double upper = gtk_adjustment_get_upper (adjustment);
  double page = gtk_adjustment_get_page_size (adjustment);

  if (value + page >= upper - END_SLACK)
    set_following (self, TRUE);
  else if (value < self->last_value - 1 && upper == self->last_upper && page == self->last_page)
    set_following (self, FALSE);
  self->last_value = value;
  self->last_upper = upper;
  self->last_page = page;
}

static gboolean
scroll_cb (IngChatView *self, double dx, double dy)
{
  GtkAdjustment *adjustment = get_adjustment (self);

  if (dy < 0 && gtk_adjustment_get_upper (adjustment) > gtk_adjustment_get_page_size (adjustment))
    set_following (self, FALSE);
  return GDK_EVENT_PROPAGATE;
}

void
ing_chat_view_scroll_to_end (IngChatView *self)
{
  g_return_if_fail (ING_IS_CHAT_VIEW (self));
  set_following (self, TRUE);
  ing_chat_view_queue_follow (self);
}

gboolean
ing_chat_view_get_following (IngChatView *self)
{
  g_return_val_if_fail (ING_IS_CHAT_VIEW (self), FALSE);
  return self->following;
}

void
ing_chat_view_scroll_to_position (IngChatView *self, guint position)
{
  set_following (self, FALSE);
  gtk_widget_activate_action (GTK_WIDGET (self->list_view), "list.scroll-to-item", "u", position);
}

void
ing_chat_view_init_scroll (IngChatView *self)
{
  GtkEventController *scroll = gtk_event_controller_scroll_new (GTK_EVENT_CONTROLLER_SCROLL_VERTICAL);

  gtk_event_controller_set_propagation_phase (scroll, GTK_PHASE_CAPTURE);
  g_signal_connect_swapped (scroll, "scroll", G_CALLBACK (scroll_cb), self);
  gtk_widget_add_controller (GTK_WIDGET (self->scroller), scroll);
  g_signal_connect_swapped (get_adjustment (self), "changed", G_CALLBACK (adjustment_changed_cb), self);
  g_signal_connect_swapped (get_adjustment (self), "value-changed", G_CALLBACK (value_changed_cb), self);
}
