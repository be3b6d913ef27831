/* SPDX-License-Identifier: Apache-2.0 */
/* JSON with limits, over json-glib: what comes from the engine, a file or the database is checked for
 * depth and encoding before the (recursive) parser sees it, and a member of another type than
 * asked for counts as absent. Any thread. */
#pragma once

#include <json-glib/json-glib.h>

#define ING_JSON_MAX_DEPTH 64

/* One object, or NULL with ING_ERROR_FORMAT. @length -1 = NUL-terminated; @text NULL = error. */
JsonObject *ing_json_parse_object (const char *text, gssize length, GError **error);

const char *ing_json_get_string (JsonObject *object, const char *name, const char *fallback);
gint64 ing_json_get_int (JsonObject *object, const char *name, gint64 fallback); /* or a double */
double ing_json_get_double (JsonObject *object, const char *name, double fallback);
gboolean ing_json_get_boolean (JsonObject *object, const char *name, gboolean fallback);
JsonObject *ing_json_get_object (JsonObject *object, const char *name); /* borrowed; NULL */
JsonArray *ing_json_get_array (JsonObject *object, const char *name);   /* borrowed; NULL */

/* Text of what @builder made; of @node. Caller frees. */
char *ing_json_build (JsonBuilder *builder);
char *ing_json_print (JsonNode *node, gboolean pretty);
/* Text of @object, which stays the caller's. */
char *ing_json_print_object (JsonObject *object);
