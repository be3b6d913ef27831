/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-pane.h"

struct _IngPane
{
  GtkWidget parent_instance;

  GtkWidget *child;
  int natural_width;
};

enum
{
  PROP_0,
  PROP_CHILD,
  PROP_NATURAL_WIDTH,
  N_PROPS
};

static GParamSpec *props[N_PROPS];

G_DEFINE_FINAL_TYPE (IngPane, ing_pane, GTK_TYPE_WIDGET)

static void
ing_pane_measure (GtkWidget *widget, GtkOrientation orientation, int for_size, int *minimum,
                  int *natural, int *minimum_baseline, int *natural_baseline)
{
  IngPane *self = ING_PANE (widget);

  if (self->child == NULL)
    return;
  gtk_widget_measure (self->child, orientation, for_size, minimum, natural, NULL, NULL);
  if (orientation == GTK_ORIENTATION_HORIZONTAL)
    *natural = MAX (*minimum, self->natural_width);
}

static void
ing_pane_size_allocate (GtkWidget *widget, int width, int height, int baseline)
{
  IngPane *self = ING_PANE (widget);

  if (self->child != NULL)
    gtk_widget_allocate (self->child, width, height, baseline, NULL);
}

static GtkSizeRequestMode
ing_pane_get_request_mode (GtkWidget *widget)
{
  return GTK_SIZE_REQUEST_HEIGHT_FOR_WIDTH;
}

static void
ing_pane_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  IngPane *self = ING_PANE (object);

  switch (id)
    {
    case PROP_CHILD:
      g_value_set_object (value, self->child);
      break;
    case PROP_NATURAL_WIDTH:
      g_value_set_int (value, self->natural_width);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
ing_pane_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  IngPane *self = ING_PANE (object);

  switch (id)
    {
    case PROP_CHILD:
      g_clear_pointer (&self->child, gtk_widget_unparent);
      self->child = g_value_get_object (value);
      if (self->child != NULL)
        gtk_widget_set_parent (self->child, GTK_WIDGET (self));
      break;
    case PROP_NATURAL_WIDTH:
      self->natural_width = g_value_get_int (value);
      gtk_widget_queue_resize (GTK_WIDGET (self));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
ing_pane_dispose (GObject *object)
{
  g_clear_pointer (&ING_PANE (object)->child, gtk_widget_unparent);
  G_OBJECT_CLASS (ing_pane_parent_class)->dispose (object);
}

static void
ing_pane_class_init (IngPaneClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  object_class->get_property = ing_pane_get_property;
  object_class->set_property = ing_pane_set_property;
  object_class->dispose = ing_pane_dispose;
  widget_class->measure = ing_pane_measure;
  widget_class->size_allocate = ing_pane_size_allocate;
  widget_class->get_request_mode = ing_pane_get_request_mode;
  props[PROP_CHILD] = g_param_spec_object ("child", NULL, NULL, GTK_TYPE_WIDGET,
                                           G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS);
  props[PROP_NATURAL_WIDTH] = g_param_spec_int ("natural-width", NULL, NULL, 0, 4096, 0,
                                                G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS);
  g_object_class_install_properties (object_class, N_PROPS, props);
}

static void
ing_pane_init (IngPane *self)
{
}
