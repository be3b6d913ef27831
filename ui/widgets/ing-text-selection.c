/* SPDX-License-Identifier: Apache-2.0 */
/* Invariants:
 * 1. A label carries a highlight only while it is listed in `lit`.
 * 2. Anchor and focus name labels by weak pointer: a label that goes takes the selection with it. */
#include "ing-text-selection.h"

#include <string.h>

typedef struct
{
  GtkLabel *label; /* weak */
  int index;       /* byte in its text */
} Place;

struct _IngTextSelection
{
  GObject parent_instance;

  GtkWidget *root;
  Place anchor;
  Place focus;
  GPtrArray *lit; /* GtkLabel, owned references */
  gboolean dragging;
  int unit; /* 1 character, 2 word, 3 label: from the number of presses */
};

G_DEFINE_FINAL_TYPE (IngTextSelection, ing_text_selection, G_TYPE_OBJECT)

static guint changed_signal;
static GQuark separator_quark;
static GQuark attributes_quark;
static GQuark needle_quark;

static void
set_place (Place *place, GtkLabel *label, int index)
{
  g_set_weak_pointer (&place->label, label);
  place->index = index;
}

static void
collect_labels (GtkWidget *widget, GPtrArray *labels)
{
  if (!gtk_widget_get_child_visible (widget) || !gtk_widget_get_visible (widget))
    return;
  if (GTK_IS_LABEL (widget) && g_object_get_qdata (G_OBJECT (widget), separator_quark) != NULL)
    g_ptr_array_add (labels, widget);
  for (GtkWidget *child = gtk_widget_get_first_child (widget); child != NULL;
       child = gtk_widget_get_next_sibling (child))
    collect_labels (child, labels);
}

static GPtrArray *
list_labels (IngTextSelection *self)
{
  GPtrArray *labels = g_ptr_array_new ();

  if (self->root != NULL)
    collect_labels (self->root, labels);
  return labels;
}

static void
insert_background (IngTextSelection *self, PangoAttrList *list, const char *color_name, guint16 alpha,
                   guint from, guint to)
{
  GdkRGBA color = { 0.21f, 0.52f, 0.89f, 1.0f };
  PangoAttribute *attribute;

  G_GNUC_BEGIN_IGNORE_DEPRECATIONS
  gtk_style_context_lookup_color (gtk_widget_get_style_context (self->root), color_name, &color);
  G_GNUC_END_IGNORE_DEPRECATIONS
  attribute = pango_attr_background_new ((guint16) (color.red * 65535), (guint16) (color.green * 65535),
                                         (guint16) (color.blue * 65535));
  attribute->start_index = from;
  attribute->end_index = to;
  pango_attr_list_insert (list, attribute);
  attribute = pango_attr_background_alpha_new (alpha);
  attribute->start_index = from;
  attribute->end_index = to;
  pango_attr_list_insert (list, attribute);
}

/* Start and end of every match in @text, as pairs of byte indices. */
static GArray *
find_matches (const char *text, const char *folded_needle)
{
  GArray *matches = g_array_new (FALSE, FALSE, sizeof (guint));
  gsize n = strlen (folded_needle);

  for (const char *p = text; *p != '\0';)
    {
      /* Folding can change lengths, so fold stretches that grow by a character until they are as long. */
      const char *q = p;
      g_autofree char *folded = NULL;
      gsize n_folded = 0;

      while (*q != '\0' && n_folded < n)
        {
          q = g_utf8_next_char (q);
          g_free (folded);
          folded = g_utf8_casefold (p, q - p);
          n_folded = strlen (folded);
          if (strncmp (folded, folded_needle, MIN (n, n_folded)) != 0)
            break;
        }
      if (n_folded == n && strcmp (folded, folded_needle) == 0)
        {
          guint pair[2] = { (guint) (p - text), (guint) (q - text) };

          g_array_append_vals (matches, pair, 2);
          p = q;
        }
      else
        p = g_utf8_next_char (p);
    }
  return matches;
}

/* Draw @label with its own attributes, the matches of the needle, and from @from to @to (if they
 * differ) as selected. */
static void
paint_label (IngTextSelection *self, GtkLabel *label, int from, int to)
{
  PangoAttrList *base = g_object_get_qdata (G_OBJECT (label), attributes_quark);
  GArray *matches = g_object_get_qdata (G_OBJECT (label), needle_quark);
  g_autoptr (PangoAttrList) list = NULL;

  if (from == to && matches == NULL)
    {
      gtk_label_set_attributes (label, base);
      return;
    }
  list = base != NULL ? pango_attr_list_copy (base) : pango_attr_list_new ();
  for (guint i = 0; matches != NULL && i + 1 < matches->len; i += 2)
    insert_background (self, list, "warning_bg_color", 65535 / 2, g_array_index (matches, guint, i),
                       g_array_index (matches, guint, i + 1));
  if (from != to)
    insert_background (self, list, "accent_bg_color", 65535 * 3 / 10, (guint) from, (guint) to);
  gtk_label_set_attributes (label, list);
}

/* Anchor and focus in text order, as indices into @labels. FALSE if nothing is selected. */
static gboolean
get_range (IngTextSelection *self, GPtrArray *labels, guint *out_first, int *out_from,
           guint *out_last, int *out_to)
{
  guint a, b;
  int from = self->anchor.index, to = self->focus.index;

  if (self->anchor.label == NULL || self->focus.label == NULL
      || !g_ptr_array_find (labels, self->anchor.label, &a)
      || !g_ptr_array_find (labels, self->focus.label, &b))
    return FALSE;
  if (a > b || (a == b && from > to))
    {
      guint n = a;
      int i = from;

      a = b;
      b = n;
      from = to;
      to = i;
    }
  *out_first = a;
  *out_from = MIN (from, (int) strlen (gtk_label_get_text (g_ptr_array_index (labels, a))));
  *out_last = b;
  *out_to = MIN (to, (int) strlen (gtk_label_get_text (g_ptr_array_index (labels, b))));
  return a != b || from != to;
}

static void
repaint (IngTextSelection *self)
{
  g_autoptr (GPtrArray) labels = list_labels (self);
  g_autoptr (GPtrArray) old = g_steal_pointer (&self->lit);
  guint first, last;
  int from, to;

  self->lit = g_ptr_array_new_with_free_func (g_object_unref);
  if (get_range (self, labels, &first, &from, &last, &to))
    for (guint i = first; i <= last; i++)
      {
        GtkLabel *label = g_ptr_array_index (labels, i);

        paint_label (self, label, i == first ? from : 0,
                     i == last ? to : (int) strlen (gtk_label_get_text (label)));
        g_ptr_array_add (self->lit, g_object_ref (label));
        g_ptr_array_remove (old, label);
      }
  for (guint i = 0; i < old->len; i++)
    paint_label (self, g_ptr_array_index (old, i), 0, 0);
  g_signal_emit (self, changed_signal, 0);
}

static int
index_at (GtkLabel *label, double x, double y)
{
  PangoLayout *layout = gtk_label_get_layout (label);
  const char *text = pango_layout_get_text (layout);
  int left, top, index, trailing;

  gtk_label_get_layout_offsets (label, &left, &top);
  pango_layout_xy_to_index (layout, (int) ((x - left) * PANGO_SCALE), (int) ((y - top) * PANGO_SCALE),
                            &index, &trailing);
  for (; trailing > 0 && text[index] != '\0'; trailing--)
    index = (int) (g_utf8_next_char (text + index) - text);
  return index;
}

/* The label at, or nearest to, a point of the root. */
static gboolean
place_at (IngTextSelection *self, double x, double y, GtkLabel **out_label, int *out_index)
{
  g_autoptr (GPtrArray) labels = list_labels (self);
  double best = G_MAXDOUBLE;
  graphene_rect_t best_bounds = GRAPHENE_RECT_INIT_ZERO;

  *out_label = NULL;
  for (guint i = 0; i < labels->len; i++)
    {
      GtkWidget *label = g_ptr_array_index (labels, i);
      graphene_rect_t bounds;
      double dx, dy;

      if (!gtk_widget_compute_bounds (label, self->root, &bounds))
        continue;
      dy = MAX (MAX (bounds.origin.y - y, y - bounds.origin.y - bounds.size.height), 0);
      dx = MAX (MAX (bounds.origin.x - x, x - bounds.origin.x - bounds.size.width), 0);
      if (dy * 1000 + dx < best)
        {
          best = dy * 1000 + dx;
          *out_label = GTK_LABEL (label);
          best_bounds = bounds;
        }
    }
  if (*out_label == NULL)
    return FALSE;
  *out_index = index_at (*out_label, x - best_bounds.origin.x, y - best_bounds.origin.y);
  return TRUE;
}

/* Widen @index of @label to the border of a word (or of the label), backwards or forwards. */
static int
widen (IngTextSelection *self, GtkLabel *label, int index, gboolean forward)
{
  PangoLayout *layout = gtk_label_get_layout (label);
  const char *text = pango_layout_get_text (layout);
  const PangoLogAttr *attributes;
  int n, i;

  if (self->unit >= 3)
    return forward ? (int) strlen (text) : 0;
  attributes = pango_layout_get_log_attrs_readonly (layout, &n);
  i = (int) g_utf8_pointer_to_offset (text, text + index);
  if (forward)
    for (i = MIN (i + 1, n - 1); i < n - 1 && !attributes[i].is_word_end
                                 && !attributes[i].is_word_start; i++)
      ;
  else
    for (; i > 0 && !attributes[i].is_word_start && !attributes[i].is_word_end; i--)
      ;
  return (int) (g_utf8_offset_to_pointer (text, i) - text);
}

static void
drag_begin_cb (GtkGestureDrag *gesture, double x, double y, IngTextSelection *self)
{
  GtkLabel *label;
  int index;
  gboolean extend = (gtk_event_controller_get_current_event_state (GTK_EVENT_CONTROLLER (gesture))
                     & GDK_SHIFT_MASK) != 0;

  if (!place_at (self, x, y, &label, &index))
    return;
  if (extend && self->anchor.label != NULL)
    set_place (&self->focus, label, index);
  else if (self->unit >= 2)
    {
      set_place (&self->anchor, label, widen (self, label, index, FALSE));
      set_place (&self->focus, label, widen (self, label, index, TRUE));
    }
  else
    {
      set_place (&self->anchor, label, index);
      set_place (&self->focus, label, index);
    }
  repaint (self);
}

static void
drag_update_cb (GtkGestureDrag *gesture, double dx, double dy, IngTextSelection *self)
{
  GtkLabel *label;
  int index;
  double x, y;

  if (!self->dragging)
    {
      if (!gtk_drag_check_threshold (self->root, 0, 0, (int) dx, (int) dy))
        return;
      self->dragging = TRUE;
      gtk_gesture_set_state (GTK_GESTURE (gesture), GTK_EVENT_SEQUENCE_CLAIMED);
      gtk_widget_grab_focus (self->root);
    }
  gtk_gesture_drag_get_start_point (gesture, &x, &y);
  if (self->anchor.label == NULL || !place_at (self, x + dx, y + dy, &label, &index))
    return;
  set_place (&self->focus, label, self->unit >= 2 ? widen (self, label, index, TRUE) : index);
  repaint (self);
}

static void
drag_end_cb (GtkGestureDrag *gesture, double dx, double dy, IngTextSelection *self)
{
  g_autofree char *text = NULL;

  self->dragging = FALSE;
  if (ing_text_selection_is_empty (self))
    return;
  gtk_widget_grab_focus (self->root);
  text = ing_text_selection_dup_text (self);
  gdk_clipboard_set_text (gtk_widget_get_primary_clipboard (self->root), text);
}

static void
pressed_cb (GtkGestureClick *gesture, int n_press, double x, double y, IngTextSelection *self)
{
  self->unit = CLAMP (n_press, 1, 3);
}

static void
ing_text_selection_dispose (GObject *object)
{
  IngTextSelection *self = ING_TEXT_SELECTION (object);

  set_place (&self->anchor, NULL, 0);
  set_place (&self->focus, NULL, 0);
  g_clear_pointer (&self->lit, g_ptr_array_unref);
  g_clear_weak_pointer (&self->root);
  G_OBJECT_CLASS (ing_text_selection_parent_class)->dispose (object);
}

static void
ing_text_selection_class_init (IngTextSelectionClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = ing_text_selection_dispose;
  changed_signal = g_signal_new ("changed", ING_TYPE_TEXT_SELECTION, G_SIGNAL_RUN_LAST, 0, NULL,
                                 NULL, NULL, G_TYPE_NONE, 0);
}

static void
ing_text_selection_init (IngTextSelection *self)
{
  self->lit = g_ptr_array_new_with_free_func (g_object_unref);
  self->unit = 1;
}

static void
ensure_quarks (void)
{
  if (separator_quark == 0)
    {
      separator_quark = g_quark_from_static_string ("ing-selection-separator");
      attributes_quark = g_quark_from_static_string ("ing-selection-attributes");
      needle_quark = g_quark_from_static_string ("ing-selection-needle");
    }
}

IngTextSelection *
ing_text_selection_new (GtkWidget *root)
{
  IngTextSelection *self = g_object_new (ING_TYPE_TEXT_SELECTION, NULL);
  GtkGesture *click = gtk_gesture_click_new ();
  GtkGesture *drag = gtk_gesture_drag_new ();

  ensure_quarks ();
  g_set_weak_pointer (&self->root, root);
  /* The click gesture is added last, so it sees a press first and counts it for the drag. */
  g_signal_connect_object (drag, "drag-begin", G_CALLBACK (drag_begin_cb), self, 0);
  g_signal_connect_object (drag, "drag-update", G_CALLBACK (drag_update_cb), self, 0);
  g_signal_connect_object (drag, "drag-end", G_CALLBACK (drag_end_cb), self, 0);
  gtk_widget_add_controller (root, GTK_EVENT_CONTROLLER (drag));
  g_signal_connect_object (click, "pressed", G_CALLBACK (pressed_cb), self, 0);
  gtk_widget_add_controller (root, GTK_EVENT_CONTROLLER (click));
  gtk_gesture_group (click, drag);
  return self;
}

void
ing_text_selection_mark_label (GtkLabel *label, const char *separator)
{
  ensure_quarks ();
  g_object_set_qdata (G_OBJECT (label), separator_quark, (gpointer) separator);
}

void
ing_text_selection_set_label_attributes (GtkLabel *label, PangoAttrList *attributes)
{
  ensure_quarks ();
  g_object_set_qdata_full (G_OBJECT (label), attributes_quark,
                           attributes != NULL ? pango_attr_list_ref (attributes) : NULL,
                           (GDestroyNotify) pango_attr_list_unref);
  gtk_label_set_attributes (label, attributes);
}

guint
ing_text_selection_mark_matches (IngTextSelection *self, const char *needle)
{
  g_autoptr (GPtrArray) labels = list_labels (self);
  g_autofree char *folded
      = needle != NULL && *needle != '\0' ? g_utf8_casefold (needle, -1) : NULL;
  guint n = 0;

  for (guint i = 0; i < labels->len; i++)
    {
      GtkLabel *label = g_ptr_array_index (labels, i);
      GArray *matches = folded != NULL ? find_matches (gtk_label_get_text (label), folded) : NULL;

      if (matches != NULL)
        n += matches->len / 2;
      if (matches != NULL && matches->len == 0)
        g_clear_pointer (&matches, g_array_unref);
      if (matches == NULL && g_object_get_qdata (G_OBJECT (label), needle_quark) == NULL)
        continue;
      g_object_set_qdata_full (G_OBJECT (label), needle_quark, matches,
                               (GDestroyNotify) g_array_unref);
      paint_label (self, label, 0, 0);
    }
  if (!ing_text_selection_is_empty (self))
    repaint (self);
  return n;
}

gboolean
ing_text_selection_is_empty (IngTextSelection *self)
{
  g_autoptr (GPtrArray) labels = list_labels (self);
  guint first, last;
  int from, to;

  return !get_range (self, labels, &first, &from, &last, &to);
}

void
ing_text_selection_clear (IngTextSelection *self)
{
  if (self->anchor.label == NULL && self->lit->len == 0)
    return;
  set_place (&self->anchor, NULL, 0);
  set_place (&self->focus, NULL, 0);
  repaint (self);
}

void
ing_text_selection_select_all (IngTextSelection *self)
{
  g_autoptr (GPtrArray) labels = list_labels (self);
  GtkLabel *last;

  if (labels->len == 0)
    return;
  last = g_ptr_array_index (labels, labels->len - 1);
  set_place (&self->anchor, g_ptr_array_index (labels, 0), 0);
  set_place (&self->focus, last, (int) strlen (gtk_label_get_text (last)));
  repaint (self);
}

static char *
dup_range (GPtrArray *labels, guint first, int from, guint last, int to)
{
  GString *out = g_string_new (NULL);

  for (guint i = first; i <= last; i++)
    {
      GtkLabel *label = g_ptr_array_index (labels, i);
      const char *text = gtk_label_get_text (label);
      int start = i == first ? from : 0, end = i == last ? to : (int) strlen (text);

      if (i > first)
        g_string_append (out, g_object_get_qdata (G_OBJECT (label), separator_quark));
      g_string_append_len (out, text + start, end - start);
    }
  /* Hair spaces stand round code spans for looks only. */
  g_string_replace (out, "\xe2\x80\x8a", "", 0);
  return g_string_free (out, FALSE);
}

char *
ing_text_selection_dup_text (IngTextSelection *self)
{
  g_autoptr (GPtrArray) labels = list_labels (self);
  guint first, last;
  int from, to;

  if (!get_range (self, labels, &first, &from, &last, &to))
    return g_strdup ("");
  return dup_range (labels, first, from, last, to);
}

char *
ing_text_selection_dup_all (IngTextSelection *self)
{
  g_autoptr (GPtrArray) labels = list_labels (self);

  if (labels->len == 0)
    return g_strdup ("");
  return dup_range (labels, 0, 0, labels->len - 1,
                    (int) strlen (gtk_label_get_text (
                        g_ptr_array_index (labels, labels->len - 1))));
}
