/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-collections-private.h"

G_DEFINE_FINAL_TYPE (IngCollection, ing_collection, G_TYPE_OBJECT)

static void
ing_collection_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  g_value_set_string (value, ING_COLLECTION (object)->row.name);
}

static void
ing_collection_finalize (GObject *object)
{
  g_free (ING_COLLECTION (object)->row.name);
  G_OBJECT_CLASS (ing_collection_parent_class)->finalize (object);
}

static void
ing_collection_class_init (IngCollectionClass *klass)
{
  G_OBJECT_CLASS (klass)->get_property = ing_collection_get_property;
  G_OBJECT_CLASS (klass)->finalize = ing_collection_finalize;
  g_object_class_install_property (G_OBJECT_CLASS (klass), 1,
                                   g_param_spec_string ("name", NULL, NULL, "",
                                                        G_PARAM_READABLE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY));
}

static void
ing_collection_init (IngCollection *self)
{
}

gint64
ing_collection_get_id (IngCollection *self)
{
  return self->row.id;
}

const char *
ing_collection_get_name (IngCollection *self)
{
  return self->row.name;
}

gint64
ing_collection_get_owner (IngCollection *self)
{
  return -self->row.id;
}

gboolean
ing_collection_get_watched (IngCollection *self)
{
  return self->row.watched;
}
