/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-message-private.h"

#include "ing-json.h"

struct _IngPart
{
  GObject parent_instance;
  IngPartKind kind;
  GString *text;
  char *name, *path, *mime, *data;
  gint64 duration_us;
  gint64 begun_us; /* monotonic; 0 = it does not grow */
};

G_DEFINE_FINAL_TYPE (IngPart, ing_part, G_TYPE_OBJECT)

static void
ing_part_finalize (GObject *object)
{
  IngPart *self = ING_PART (object);
  g_string_free (self->text, TRUE);
  g_free (self->name);
  g_free (self->path);
  g_free (self->mime);
  g_free (self->data);
  G_OBJECT_CLASS (ing_part_parent_class)->finalize (object);
}

static void
ing_part_class_init (IngPartClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = ing_part_finalize;
}

static void
ing_part_init (IngPart *self)
{
  self->text = g_string_new (NULL);
}

static IngPart *
new_part (IngPartKind kind)
{
  IngPart *self = g_object_new (ING_TYPE_PART, NULL);
  self->kind = kind;
  return self;
}

IngPart *
ing_part_new_text (const char *text)
{
  IngPart *self = new_part (ING_PART_TEXT);
  g_autofree char *valid = g_utf8_make_valid (text, -1);
  g_string_assign (self->text, valid);
  return self;
}

IngPart *
ing_part_new_file (IngPartKind kind, const char *path, const char *name, const char *mime,
                   const char *data)
{
  IngPart *self = new_part (kind);
  self->path = g_strdup (path);
  self->name = name != NULL ? g_utf8_make_valid (name, -1)
               : path != NULL ? g_filename_display_basename (path)
                              : NULL;
  self->mime = g_strdup (mime);
  self->data = g_strdup (data);
  return self;
}

IngPart *
ing_part_new_passages (const char *text, const char *data)
{
  IngPart *self = new_part (ING_PART_FILE);
  g_autofree char *valid = g_utf8_make_valid (text, -1);
  g_string_assign (self->text, valid);
  self->data = g_strdup (data);
  return self;
}

IngPart *
ing_part_new_growing (IngPartKind kind)
{
  IngPart *self = new_part (kind);
  self->begun_us = g_get_monotonic_time ();
  return self;
}

IngPart *
ing_part_new_from_row (const IngPartRow *row)
{
  IngPart *self = new_part (row->kind);
  g_string_assign (self->text, row->text);
  g_autoptr (JsonObject) data
      = row->data != NULL ? ing_json_parse_object (row->data, -1, NULL) : NULL;
  if (data != NULL)
    {
      self->name = g_strdup (ing_json_get_string (data, "name", NULL));
      self->path = g_strdup (ing_json_get_string (data, "path", NULL));
      self->mime = g_strdup (ing_json_get_string (data, "mime", NULL));
      self->data = g_strdup (ing_json_get_string (data, "data", NULL));
      self->duration_us = MAX (0, ing_json_get_int (data, "duration_us", 0));
    }
  return self;
}

IngPartRow *
ing_part_make_row (IngPart *self)
{
  g_autoptr (JsonObject) data = json_object_new ();
  const struct
  {
    const char *name, *value;
  } members[] = {
    { "name", self->name }, { "path", self->path }, { "mime", self->mime }, { "data", self->data }
  };
  for (guint i = 0; i < G_N_ELEMENTS (members); i++)
    if (members[i].value != NULL)
      {
        g_autofree char *valid = g_utf8_make_valid (members[i].value, -1);
        json_object_set_string_member (data, members[i].name, valid);
      }
  if (self->duration_us > 0)
    json_object_set_int_member (data, "duration_us", self->duration_us);
  g_autofree char *json = json_object_get_size (data) > 0 ? ing_json_print_object (data) : NULL;
  return ing_part_row_new (self->kind, self->text->str, json);
}

void
ing_part_append (IngPart *self, const char *text)
{
  g_string_append (self->text, text);
}

void
ing_part_end (IngPart *self)
{
  if (self->begun_us != 0 && self->kind == ING_PART_REASONING)
    self->duration_us = g_get_monotonic_time () - self->begun_us;
  self->begun_us = 0;
}

IngPartKind
ing_part_get_kind (IngPart *self)
{
  return self->kind;
}

const char *
ing_part_get_text (IngPart *self)
{
  return self->text->str;
}

gsize
ing_part_get_text_bytes (IngPart *self)
{
  return self->text->len;
}

const char *
ing_part_get_name (IngPart *self)
{
  return self->name;
}

const char *
ing_part_get_path (IngPart *self)
{
  return self->path;
}

const char *
ing_part_get_mime (IngPart *self)
{
  return self->mime;
}

const char *
ing_part_get_data (IngPart *self)
{
  return self->data;
}

gint64
ing_part_get_duration_us (IngPart *self)
{
  return self->duration_us;
}
