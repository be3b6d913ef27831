/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-error-engine.h"

static IngErrorCode
map_code (gint64 code)
{
  switch (code)
    {
    case ENG_ERR_ARGUMENT:
      return ING_ERROR_ARGUMENT;
    case ENG_ERR_NO_MEMORY:
      return ING_ERROR_NO_MEMORY;
    case ENG_ERR_IO:
      return ING_ERROR_IO;
    case ENG_ERR_NOT_FOUND:
      return ING_ERROR_NOT_FOUND;
    case ENG_ERR_FORMAT:
      return ING_ERROR_FORMAT;
    case ENG_ERR_TRUNCATED:
      return ING_ERROR_TRUNCATED;
    case ENG_ERR_UNSUPPORTED:
      return ING_ERROR_UNSUPPORTED;
    case ENG_ERR_LIMIT:
      return ING_ERROR_LIMIT;
    case ENG_ERR_CONTEXT_FULL:
      return ING_ERROR_CONTEXT_FULL;
    case ENG_ERR_TEMPLATE:
      return ING_ERROR_TEMPLATE;
    case ENG_ERR_TOO_LARGE:
      return ING_ERROR_TOO_LARGE;
    case ENG_ERR_BUSY:
      return ING_ERROR_BUSY;
    case ENG_ERR_NO_MODULE:
      return ING_ERROR_NO_MODULE;
    case ENG_ERR_MODULE_ABI:
      return ING_ERROR_MODULE_ABI;
    case ENG_ERR_NO_DRIVER:
      return ING_ERROR_NO_DRIVER;
    case ENG_ERR_OLD_DRIVER:
      return ING_ERROR_OLD_DRIVER;
    case ENG_ERR_NO_DEVICE:
      return ING_ERROR_NO_DEVICE;
    case ENG_ERR_DEVICE:
      return ING_ERROR_DEVICE;
    case ENG_ERR_DEVICE_MEMORY:
      return ING_ERROR_DEVICE_MEMORY;
    case ENG_ERR_INTERNAL:
      return ING_ERROR_INTERNAL;
    default: /* ENG_OK, or a status of a newer engine */
      return ING_ERROR_PROTOCOL;
    }
}

GError *
ing_error_from_engine (gint64 code, const char *text, const char *field, guint64 offset, guint line,
                       guint64 needed, guint64 available)
{
  g_autofree char *valid = g_utf8_make_valid (text != NULL ? text : "", -1);
  if (code == ENG_ERR_CANCELLED)
    return g_error_new_literal (G_IO_ERROR, G_IO_ERROR_CANCELLED, valid);
  GError *error = ing_error_new (map_code (code), NULL, 0, 0, "%s",
                                 *valid != '\0' ? valid : "the engine gave no reason");
  ing_error_set_details (error, field, needed, available,
                         offset == ENG_OFFSET_NONE ? ING_ERROR_OFFSET_NONE : offset, line);
  return error;
}
