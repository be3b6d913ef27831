/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-sources-private.h"

#include <glib/gi18n-lib.h>

#include "ing-json.h"

JsonArray *
ing_sources_make_json (const IngFound *found, gboolean stored)
{
  JsonArray *array = json_array_new ();
  for (guint i = 0; i < found->passages->len; i++)
    {
      const IngPassage *p = found->passages->pdata[i];
      JsonObject *o = json_object_new ();
      json_object_set_string_member (o, "document", p->document);
      if (p->page > 0)
        json_object_set_int_member (o, "page", p->page);
      else
        json_object_set_null_member (o, "page");
      json_object_set_string_member (o, "heading", p->heading);
      json_object_set_boolean_member (o, "recognized", p->recognized);
      json_object_set_string_member (o, "text", p->text);
      json_object_set_double_member (o, "score", p->score);
      if (stored)
        {
          g_autofree char *path = g_utf8_make_valid (p->path, -1);
          json_object_set_string_member (o, "path", path);
          json_object_set_string_member (o, "hash", p->hash != NULL ? p->hash : "");
        }
      json_array_add_object_element (array, o);
    }
  return array;
}

char *
ing_sources_dup_place (const IngPassage *p)
{
  g_autoptr (GString) out = g_string_new (p->document);
  if (p->page > 0)
    {
      g_string_append (out, ", ");
      g_string_append_printf (out, _ ("page %u"), p->page);
    }
  if (*p->heading != '\0')
    g_string_append_printf (out, " › %s", p->heading);
  if (p->recognized)
    {
      /* Translators: behind the place of a passage: it was read out of a picture of the page. */
      g_string_append_printf (out, " (%s)", _ ("recognized text"));
    }
  return g_string_free (g_steal_pointer (&out), FALSE);
}

char *
ing_sources_format (const IngPassage *p, guint number, gboolean with_text)
{
  g_autofree char *place = ing_sources_dup_place (p);
  return with_text ? g_strdup_printf ("[%u] %s\n%s\n\n", number, place, p->text)
                   : g_strdup_printf ("[%u] %s\n", number, place);
}

/* The passages stand before the question, so that the next question about the same ones reads them from the cache.
 * What they say goes through the template as a value: it cannot become a control token. */
static char *
make_text (const IngFound *found)
{
  g_autoptr (GString) out = g_string_new (
      "Passages from documents. Answer the question below from them alone, and put the number of the passage, such "
      "as [1], behind each sentence. Say so if they do not hold the answer.\n\n");
  for (guint i = 0; i < found->passages->len; i++)
    {
      g_autofree char *text = ing_sources_format (found->passages->pdata[i], i + 1, TRUE);
      g_string_append (out, text);
    }
  return g_string_free (g_steal_pointer (&out), FALSE);
}

IngPart *
ing_sources_make_part (const IngFound *found)
{
  g_autofree char *text = make_text (found);
  g_autoptr (JsonObject) data = json_object_new ();
  json_object_set_array_member (data, "passages", ing_sources_make_json (found, TRUE));
  g_autofree char *json = ing_json_print_object (data);
  return ing_part_new_passages (text, json);
}

static IngPassage *
read_passage (JsonObject *o)
{
  IngPassage *p = g_new0 (IngPassage, 1);
  p->document = g_strdup (ing_json_get_string (o, "document", ""));
  p->path = g_strdup (ing_json_get_string (o, "path", ""));
  p->hash = g_strdup (ing_json_get_string (o, "hash", ""));
  p->page = (guint) CLAMP (ing_json_get_int (o, "page", 0), 0, G_MAXINT);
  p->heading = g_strdup (ing_json_get_string (o, "heading", ""));
  p->recognized = ing_json_get_boolean (o, "recognized", FALSE);
  p->text = g_strdup (ing_json_get_string (o, "text", ""));
  p->score = ing_json_get_double (o, "score", 0);
  return p;
}

GPtrArray *
ing_sources_dup (IngMessage *question)
{
  for (guint i = 0; i < ing_message_get_n_parts (question); i++)
    {
      IngPart *part = ing_message_get_part (question, i);
      const char *data = ing_part_get_data (part);
      if (ing_part_get_kind (part) != ING_PART_FILE || data == NULL)
        continue;
      g_autoptr (JsonObject) object = ing_json_parse_object (data, -1, NULL);
      JsonArray *array = object != NULL ? ing_json_get_array (object, "passages") : NULL;
      if (array == NULL)
        continue;
      GPtrArray *passages = g_ptr_array_new_with_free_func ((GDestroyNotify) ing_passage_free);
      for (guint k = 0; k < json_array_get_length (array); k++)
        {
          JsonNode *node = json_array_get_element (array, k);
          if (JSON_NODE_HOLDS_OBJECT (node))
            g_ptr_array_add (passages, read_passage (json_node_get_object (node)));
        }
      return passages;
    }
  return NULL;
}

char *
ing_sources_dup_path (IngDocumentLibrary *library, const IngPassage *p)
{
  IngDocument *document = NULL;
  if (!g_file_test (p->path, G_FILE_TEST_EXISTS) && p->hash != NULL && *p->hash != '\0')
    document = ing_document_library_find_content (library, p->hash);
  return g_strdup (document != NULL ? ing_document_get_path (document) : p->path);
}
