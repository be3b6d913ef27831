/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-document-private.h"

#include "ing-document-password.h"
#include "ing-error-private.h"
#include "ing-paths.h"

G_DEFINE_FINAL_TYPE (IngDocument, ing_document, G_TYPE_OBJECT)
G_DEFINE_BOXED_TYPE (IngPassage, ing_passage, ing_passage_copy, ing_passage_free)

enum
{
  PROP_0,
  PROP_STATE,
  PROP_FRACTION,
  PROP_ERROR,
  N_PROPS
};
static GParamSpec *props[N_PROPS];

static void
ing_document_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  IngDocument *self = ING_DOCUMENT (object);
  if (id == PROP_STATE)
    g_value_set_int (value, (int) self->row->state);
  else if (id == PROP_FRACTION)
    g_value_set_double (value, self->fraction);
  else if (id == PROP_ERROR)
    g_value_set_boxed (value, self->error);
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
ing_document_finalize (GObject *object)
{
  IngDocument *self = ING_DOCUMENT (object);
  ing_document_row_free (self->row);
  g_free (self->name);
  g_clear_error (&self->error);
  g_clear_object (&self->cancellable);
  g_array_unref (self->owners);
  G_OBJECT_CLASS (ing_document_parent_class)->finalize (object);
}

static void
ing_document_class_init (IngDocumentClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  const GParamFlags flags = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY;
  object_class->get_property = ing_document_get_property;
  object_class->finalize = ing_document_finalize;
  props[PROP_STATE] = g_param_spec_int ("state", NULL, NULL, 0, ING_DOCUMENT_FAILED, 0, flags);
  props[PROP_FRACTION] = g_param_spec_double ("fraction", NULL, NULL, -1, 1, 0, flags);
  props[PROP_ERROR] = g_param_spec_boxed ("error", NULL, NULL, G_TYPE_ERROR, flags);
  g_object_class_install_properties (object_class, N_PROPS, props);
}

static void
ing_document_init (IngDocument *self)
{
  self->owners = g_array_new (FALSE, FALSE, sizeof (IngOwner));
}

char *
ing_document_make_name (const char *path)
{
  g_autofree char *base = g_path_get_basename (path);
  return ing_paths_make_display (base);
}

IngDocument *
ing_document_new (IngDocumentRow *row)
{
  IngDocument *self = g_object_new (ING_TYPE_DOCUMENT, NULL);
  self->row = row;
  self->name = ing_document_make_name (row->path);
  self->error = row->error != NULL ? ing_error_from_json (row->error) : NULL;
  return self;
}

void
ing_document_take_row (IngDocument *self, IngDocumentRow *row)
{
  ing_document_row_free (self->row);
  self->row = row;
  g_free (self->name);
  self->name = ing_document_make_name (row->path);
  g_clear_error (&self->error);
  if (row->state == ING_DOCUMENT_FAILED && row->error != NULL)
    self->error = ing_error_from_json (row->error);
  self->locked = ing_document_password_is_wanted (self->error, NULL);
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_ERROR]);
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_STATE]);
}

void
ing_document_set_fraction (IngDocument *self, double fraction)
{
  self->fraction = fraction < 0 ? -1 : MIN (fraction, 1);
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_FRACTION]);
}

void
ing_document_take_work_row (IngDocument *self, IngDocumentRow *row)
{
  g_free (row->path);
  row->path = g_strdup (self->row->path);
  row->gone = self->row->gone;
  ing_document_take_row (self, row);
}

void
ing_document_set_state (IngDocument *self, IngDocumentState state)
{
  self->row->state = state;
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_STATE]);
}

const IngOwner *
ing_document_find_owner (IngDocument *self, gint64 owner)
{
  for (guint i = 0; i < self->owners->len; i++)
    if (g_array_index (self->owners, IngOwner, i).owner == owner)
      return &g_array_index (self->owners, IngOwner, i);
  return NULL;
}

gboolean
ing_document_is_behind (IngDocument *self)
{
  for (guint i = 0; i < self->owners->len; i++)
    if (g_array_index (self->owners, IngOwner, i).owner >= 0)
      return FALSE;
  return TRUE;
}

IngDocumentRow *
ing_document_row_copy (const IngDocumentRow *row)
{
  IngDocumentRow *copy = g_memdup2 (row, sizeof *row);
  copy->path = g_strdup (row->path);
  copy->hash = g_strdup (row->hash);
  copy->title = g_strdup (row->title);
  copy->kind = g_strdup (row->kind);
  copy->error = g_strdup (row->error);
  return copy;
}

gint64
ing_document_get_id (IngDocument *self)
{
  return self->row->id;
}

const char *
ing_document_get_path (IngDocument *self)
{
  return self->row->path;
}

const char *
ing_document_get_name (IngDocument *self)
{
  return self->name;
}

const char *
ing_document_get_title (IngDocument *self)
{
  return self->row->title;
}

const char *
ing_document_get_kind (IngDocument *self)
{
  return self->row->kind;
}

IngDocumentState
ing_document_get_state (IngDocument *self)
{
  return self->row->state;
}

gboolean
ing_document_get_gone (IngDocument *self)
{
  return self->row->gone;
}

double
ing_document_get_fraction (IngDocument *self)
{
  return self->fraction;
}

guint
ing_document_get_n_pages (IngDocument *self)
{
  return self->row->n_pages;
}

guint
ing_document_get_page (IngDocument *self, guint *n_pages)
{
  *n_pages = self->of_pages;
  return self->row->state == ING_DOCUMENT_READING ? self->page : 0;
}

gboolean
ing_document_is_searched (IngDocument *self)
{
  return !self->row->gone
         && (self->row->state == ING_DOCUMENT_WORDS || self->row->state == ING_DOCUMENT_READY
             || (self->row->state == ING_DOCUMENT_READING && self->searched));
}

guint
ing_document_get_n_passages (IngDocument *self)
{
  return self->row->n_chunks;
}

const GError *
ing_document_get_error (IngDocument *self)
{
  return self->error;
}

gboolean
ing_document_take_locked (IngDocument *self)
{
  gboolean locked = self->locked;
  self->locked = FALSE;
  return locked;
}

IngPassage *
ing_passage_copy (const IngPassage *passage)
{
  IngPassage *copy = g_memdup2 (passage, sizeof *passage);
  copy->document = g_strdup (passage->document);
  copy->path = g_strdup (passage->path);
  copy->hash = g_strdup (passage->hash);
  copy->heading = g_strdup (passage->heading);
  copy->text = g_strdup (passage->text);
  return copy;
}

void
ing_passage_free (IngPassage *passage)
{
  if (passage == NULL)
    return;
  g_free (passage->document);
  g_free (passage->path);
  g_free (passage->hash);
  g_free (passage->heading);
  g_free (passage->text);
  g_free (passage);
}
