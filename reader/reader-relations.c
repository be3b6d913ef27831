/* SPDX-License-Identifier: Apache-2.0 */
/* Which part is which slide, sheet or note is said by relations alone (ISO/IEC 29500-2, 9.3); the numbers in the names of
 * parts tell when they were made, not where they stand. Only parts of the same archive are ever named. */
#include <string.h>

#include "reader-office.h"

typedef struct
{
  const char *folder;   /* of the part that has the relations, "/ppt" */
  const char *type;     /* the end of the type that is looked for, NULL = all */
  GHashTable *targets;  /* id → part */
  const char *element;  /* of the main part, whose ids are in order */
  GPtrArray *parts;     /* in that order */
} Relations;

static void
relations_start (const char *name, const char **attributes, gpointer data)
{
  Relations *r = data;
  const char *id = rdr_xml_get (attributes, "Id"), *target = rdr_xml_get (attributes, "Target"),
             *type = rdr_xml_get (attributes, "Type"), *mode = rdr_xml_get (attributes, "TargetMode");
  if (!g_str_equal (name, "Relationship") || id == NULL || target == NULL || g_strcmp0 (mode, "External") == 0
      || (r->type != NULL && (type == NULL || !g_str_has_suffix (type, r->type))))
    return;
  g_autofree char *path = g_canonicalize_filename (target, r->folder);
  g_hash_table_insert (r->targets, g_strdup (id), g_strdup (path + 1));
}

/* "id" and "r:id" are both "id" here; the one that names a relation is meant. */
static void
order_start (const char *name, const char **attributes, gpointer data)
{
  Relations *r = data;
  if (!g_str_equal (name, r->element) || r->parts->len >= RDR_MAX_ENTRIES)
    return;
  const char *part = NULL;
  for (; part == NULL && *attributes != NULL; attributes += 2)
    if (g_str_equal (attributes[0], "id"))
      part = g_hash_table_lookup (r->targets, attributes[1]);
  g_ptr_array_add (r->parts, g_strdup (part != NULL ? part : ""));
}

static void
ignore_end (const char *name, gpointer data)
{
}

static void
ignore_text (const char *text, gsize n, gpointer data)
{
}

static GHashTable *
read_relations (RdrZip *zip, const char *part, const char *type)
{
  g_autofree char *folder = g_path_get_dirname (part), *base = g_path_get_basename (part);
  g_autofree char *name = g_strdup_printf ("%s/_rels/%s.rels", folder, base), *root = g_strdup_printf ("/%s", folder);
  Relations r = { .folder = root, .type = type,
                  .targets = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free) };
  const RdrXmlHandler handler = { .start = relations_start, .end = ignore_end, .text = ignore_text, .data = &r };
  /* Without them, or with broken ones, the parts are taken by their numbers. */
  rdr_office_parse (zip, name, FALSE, &handler, NULL);
  return r.targets;
}

GPtrArray *
rdr_office_list_parts (RdrZip *zip, const char *part, const char *element)
{
  g_autoptr (GHashTable) targets = read_relations (zip, part, NULL);
  Relations r = { .targets = targets, .element = element, .parts = g_ptr_array_new_with_free_func (g_free) };
  const RdrXmlHandler handler = { .start = order_start, .end = ignore_end, .text = ignore_text, .data = &r };
  if (g_hash_table_size (targets) > 0)
    rdr_office_parse (zip, part, FALSE, &handler, NULL);
  return r.parts;
}

char *
rdr_office_find_related (RdrZip *zip, const char *part, const char *type)
{
  g_autoptr (GHashTable) targets = read_relations (zip, part, type);
  GHashTableIter iter;
  gpointer id, target;
  g_hash_table_iter_init (&iter, targets);
  return g_hash_table_iter_next (&iter, &id, &target) ? g_strdup (target) : NULL;
}
