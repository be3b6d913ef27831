/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-error-private.h"

typedef struct
{
  char *field;
  guint64 needed;
  guint64 available;
  guint64 offset;
  guint line;
} IngErrorPrivate;

static void
ing_error_private_init (IngErrorPrivate *priv)
{
  priv->offset = ING_ERROR_OFFSET_NONE;
}

static void
ing_error_private_copy (const IngErrorPrivate *from, IngErrorPrivate *to)
{
  *to = *from;
  to->field = g_strdup (from->field);
}

static void
ing_error_private_clear (IngErrorPrivate *priv)
{
  g_clear_pointer (&priv->field, g_free);
}

G_DEFINE_EXTENDED_ERROR (IngError, ing_error)

static const IngErrorPrivate *
look (const GError *error)
{
  return error != NULL && error->domain == ING_ERROR ? ing_error_get_private (error) : NULL;
}

GError *
ing_error_new (IngErrorCode code, const char *field, guint64 needed, guint64 available,
               const char *format, ...)
{
  va_list args;
  va_start (args, format);
  GError *error = g_error_new_valist (ING_ERROR, (int) code, format, args);
  va_end (args);
  ing_error_set_details (error, field, needed, available, ING_ERROR_OFFSET_NONE, 0);
  return error;
}

void
ing_error_set_details (GError *error, const char *field, guint64 needed, guint64 available,
                       guint64 offset, guint line)
{
  g_return_if_fail (error != NULL && error->domain == ING_ERROR);
  IngErrorPrivate *priv = ing_error_get_private (error);
  /* @field may be the error's own. */
  g_autofree char *old = priv->field;
  priv->field = field != NULL && *field != '\0' ? g_utf8_make_valid (field, -1) : NULL;
  priv->needed = needed;
  priv->available = available;
  priv->offset = offset;
  priv->line = line;
}

const char *
ing_error_get_field (const GError *error)
{
  const IngErrorPrivate *priv = look (error);
  return priv != NULL ? priv->field : NULL;
}

guint64
ing_error_get_needed (const GError *error)
{
  const IngErrorPrivate *priv = look (error);
  return priv != NULL ? priv->needed : 0;
}

guint64
ing_error_get_available (const GError *error)
{
  const IngErrorPrivate *priv = look (error);
  return priv != NULL ? priv->available : 0;
}

guint64
ing_error_get_offset (const GError *error)
{
  const IngErrorPrivate *priv = look (error);
  return priv != NULL ? priv->offset : ING_ERROR_OFFSET_NONE;
}

guint
ing_error_get_line (const GError *error)
{
  const IngErrorPrivate *priv = look (error);
  return priv != NULL ? priv->line : 0;
}

GError *
ing_error_from_system (int number, const char *path, const char *doing)
{
  IngErrorCode code = ING_ERROR_IO;
  switch (number)
    {
    case ENOENT:
    case ENOTDIR:
      code = ING_ERROR_NOT_FOUND;
      break;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      code = ING_ERROR_DISK_FULL;
      break;
    case EROFS:
      code = ING_ERROR_READ_ONLY;
      break;
    case EACCES:
    case EPERM:
      code = ING_ERROR_PERMISSION;
      break;
    case ENOMEM:
      code = ING_ERROR_NO_MEMORY;
      break;
    default:
      break;
    }
  g_autofree char *name = g_filename_display_name (path != NULL ? path : "");
  GError *error = ing_error_new (code, name, 0, 0, "%s: %s: %s", doing, name, g_strerror (number));
  if (code == ING_ERROR_DISK_FULL)
    ing_error_set_details (error, name, 0, ing_paths_get_free_bytes (path), ING_ERROR_OFFSET_NONE,
                           0);
  return error;
}

char *
ing_error_to_json (const GError *error)
{
  g_autoptr (JsonBuilder) b = json_builder_new ();
  json_builder_begin_object (b);
  json_builder_set_member_name (b, "domain");
  json_builder_add_string_value (b, g_quark_to_string (error->domain));
  json_builder_set_member_name (b, "code");
  json_builder_add_int_value (b, error->code);
  json_builder_set_member_name (b, "text");
  json_builder_add_string_value (b, error->message);
  if (ing_error_get_field (error) != NULL)
    {
      json_builder_set_member_name (b, "field");
      json_builder_add_string_value (b, ing_error_get_field (error));
    }
  json_builder_set_member_name (b, "needed");
  json_builder_add_int_value (b, (gint64) ing_error_get_needed (error));
  json_builder_set_member_name (b, "available");
  json_builder_add_int_value (b, (gint64) ing_error_get_available (error));
  if (ing_error_get_offset (error) != ING_ERROR_OFFSET_NONE)
    {
      json_builder_set_member_name (b, "offset");
      json_builder_add_int_value (b, (gint64) ing_error_get_offset (error));
    }
  json_builder_set_member_name (b, "line");
  json_builder_add_int_value (b, ing_error_get_line (error));
  json_builder_end_object (b);
  return ing_json_build (b);
}

GError *
ing_error_from_json (const char *json)
{
  g_autoptr (JsonObject) object = ing_json_parse_object (json, -1, NULL);
  if (object == NULL)
    return ing_error_new (ING_ERROR_FAILED, NULL, 0, 0, "%s", json != NULL ? json : "unknown");
  gint64 code = ing_json_get_int (object, "code", ING_ERROR_FAILED);
  const char *domain = ing_json_get_string (object, "domain", NULL);
  if (g_strcmp0 (domain, g_quark_to_string (ING_ERROR)) != 0 || code < 0
      || code > ING_ERROR_LAST)
    code = ING_ERROR_FAILED;
  GError *error = ing_error_new ((IngErrorCode) code, NULL, 0, 0, "%s",
                                 ing_json_get_string (object, "text", ""));
  gint64 offset = ing_json_get_int (object, "offset", -1);
  ing_error_set_details (error, ing_json_get_string (object, "field", NULL),
                         (guint64) MAX (0, ing_json_get_int (object, "needed", 0)),
                         (guint64) MAX (0, ing_json_get_int (object, "available", 0)),
                         offset < 0 ? ING_ERROR_OFFSET_NONE : (guint64) offset,
                         (guint) CLAMP (ing_json_get_int (object, "line", 0), 0, G_MAXINT));
  return error;
}
