/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-json.h"

#include <math.h>
#include <string.h>

#include "ing-error.h"

/* json-glib 1.6 recurses for each level and has no limit of its own. */
static gboolean
depth_is_fine (const char *text, gsize length)
{
  int depth = 0;
  gboolean quoted = FALSE;
  for (gsize i = 0; i < length; i++)
    {
      char c = text[i];
      if (quoted)
        {
          if (c == '\\')
            i++;
          else if (c == '"')
            quoted = FALSE;
        }
      else if (c == '"')
        quoted = TRUE;
      else if (c == '{' || c == '[')
        {
          if (++depth > ING_JSON_MAX_DEPTH)
            return FALSE;
        }
      else if (c == '}' || c == ']')
        depth--;
      else if (c == '/') /* json-glib takes comments, JSON does not; they would hide brackets */
        return FALSE;
    }
  return TRUE;
}

JsonObject *
ing_json_parse_object (const char *text, gssize length, GError **error)
{
  gsize n = text == NULL ? 0 : length < 0 ? strlen (text) : (gsize) length;
  if (n == 0 || !g_utf8_validate_len (text, n, NULL) || !depth_is_fine (text, n))
    {
      g_set_error_literal (error, ING_ERROR, ING_ERROR_FORMAT,
                           "not a JSON object: empty, not UTF-8, or too deep");
      return NULL;
    }
  g_autoptr (JsonParser) parser = json_parser_new_immutable ();
  g_autoptr (GError) local = NULL;
  if (!json_parser_load_from_data (parser, text, (gssize) n, &local))
    {
      g_set_error (error, ING_ERROR, ING_ERROR_FORMAT, "not a JSON object: %s", local->message);
      return NULL;
    }
  JsonNode *root = json_parser_get_root (parser);
  if (root == NULL || !JSON_NODE_HOLDS_OBJECT (root))
    {
      g_set_error_literal (error, ING_ERROR, ING_ERROR_FORMAT, "JSON, but not an object");
      return NULL;
    }
  return json_object_ref (json_node_get_object (root));
}

static JsonNode *
value_of (JsonObject *object, const char *name)
{
  JsonNode *node = object != NULL ? json_object_get_member (object, name) : NULL;
  return node != NULL && JSON_NODE_HOLDS_VALUE (node) ? node : NULL;
}

const char *
ing_json_get_string (JsonObject *object, const char *name, const char *fallback)
{
  JsonNode *node = value_of (object, name);
  return node != NULL && json_node_get_value_type (node) == G_TYPE_STRING
             ? json_node_get_string (node)
             : fallback;
}

gint64
ing_json_get_int (JsonObject *object, const char *name, gint64 fallback)
{
  JsonNode *node = value_of (object, name);
  if (node == NULL)
    return fallback;
  if (json_node_get_value_type (node) == G_TYPE_INT64)
    return json_node_get_int (node);
  if (json_node_get_value_type (node) == G_TYPE_DOUBLE)
    {
      double d = json_node_get_double (node);
      return fabs (d) < 9007199254740992.0 ? (gint64) d : fallback; /* also refuses NaN */
    }
  return fallback;
}

double
ing_json_get_double (JsonObject *object, const char *name, double fallback)
{
  JsonNode *node = value_of (object, name);
  if (node == NULL)
    return fallback;
  GType type = json_node_get_value_type (node);
  if (type != G_TYPE_INT64 && type != G_TYPE_DOUBLE)
    return fallback;
  double d = json_node_get_double (node);
  return isfinite (d) ? d : fallback;
}

gboolean
ing_json_get_boolean (JsonObject *object, const char *name, gboolean fallback)
{
  JsonNode *node = value_of (object, name);
  return node != NULL && json_node_get_value_type (node) == G_TYPE_BOOLEAN
             ? json_node_get_boolean (node)
             : fallback;
}

JsonObject *
ing_json_get_object (JsonObject *object, const char *name)
{
  JsonNode *node = object != NULL ? json_object_get_member (object, name) : NULL;
  return node != NULL && JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
}

JsonArray *
ing_json_get_array (JsonObject *object, const char *name)
{
  JsonNode *node = object != NULL ? json_object_get_member (object, name) : NULL;
  return node != NULL && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;
}

char *
ing_json_print (JsonNode *node, gboolean pretty)
{
  g_autoptr (JsonGenerator) generator = json_generator_new ();
  json_generator_set_root (generator, node);
  json_generator_set_pretty (generator, pretty);
  return json_generator_to_data (generator, NULL);
}

char *
ing_json_build (JsonBuilder *builder)
{
  g_autoptr (JsonNode) root = json_builder_get_root (builder);
  return ing_json_print (root, FALSE);
}

char *
ing_json_print_object (JsonObject *object)
{
  g_autoptr (JsonNode) node = json_node_new (JSON_NODE_OBJECT);
  json_node_set_object (node, object);
  return ing_json_print (node, FALSE);
}
