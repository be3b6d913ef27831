/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-fit.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#include "ing-json.h"

static guint64
get_bytes (JsonObject *object, const char *name)
{
  return (guint64) MAX (0, ing_json_get_int (object, name, 0));
}

void
ing_fit_from_json (IngFit *fit, const char *json)
{
  memset (fit, 0, sizeof *fit);
  g_autoptr (JsonObject) object = json != NULL ? ing_json_parse_object (json, -1, NULL) : NULL;
  JsonObject *memory = object != NULL ? ing_json_get_object (object, "memory") : NULL;
  if (memory == NULL || !json_object_has_member (memory, "host"))
    return;
  fit->weights = get_bytes (memory, "weights");
  fit->kv = get_bytes (memory, "kv");
  fit->scratch = get_bytes (memory, "scratch");
  fit->host = get_bytes (memory, "host");
  fit->free_host = get_bytes (memory, "available");
  fit->context = (guint) CLAMP (ing_json_get_int (object, "context", 0), 0, G_MAXINT);
  guint64 all = fit->weights + fit->kv + fit->scratch;
  if (fit->host > fit->free_host)
    fit->word = ING_FIT_TOO_LARGE;
  else if (fit->host >= all)
    fit->word = ING_FIT_CPU;
  else
    fit->word = fit->host <= all / 10 ? ING_FIT_GPU : ING_FIT_SPLIT;
}

const char *
ing_fit_get_words (const IngFit *fit)
{
  switch (fit->word)
    {
    case ING_FIT_GPU:
      return _ ("Fits on the graphics card");
    case ING_FIT_SPLIT:
      return _ ("Runs split");
    case ING_FIT_CPU:
      return _ ("Runs on the processor");
    case ING_FIT_TOO_LARGE:
      return _ ("Too large");
    default:
      return _ ("Not known yet");
    }
}

char *
ing_fit_dup_numbers (const IngFit *fit)
{
  if (fit->word == ING_FIT_UNKNOWN)
    return g_strdup ("");
  g_autofree char *all = g_format_size (fit->weights + fit->kv + fit->scratch);
  g_autofree char *weights = g_format_size (fit->weights);
  g_autofree char *kv = g_format_size (fit->kv);
  g_autofree char *scratch = g_format_size (fit->scratch);
  g_autofree char *room = g_format_size (fit->free_host);
  return g_strdup_printf (_ ("Needs %s: weights %s, %'u tokens of context %s, work %s. %s of main memory are free."), all,
                          weights, fit->context, kv, scratch, room);
}

char **
ing_fit_list_gpus (const char *devices)
{
  g_autoptr (JsonNode) node = devices != NULL ? json_from_string (devices, NULL) : NULL;
  JsonArray *array = node != NULL && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;
  g_autoptr (GStrvBuilder) pairs = g_strv_builder_new ();
  guint n = 0;
  for (guint i = 0; array != NULL && i < json_array_get_length (array); i++)
    {
      JsonNode *element = json_array_get_element (array, i);
      JsonObject *device = JSON_NODE_HOLDS_OBJECT (element) ? json_node_get_object (element) : NULL;
      if (device == NULL || strcmp (ing_json_get_string (device, "kind", ""), "gpu") != 0)
        continue;
      g_autofree char *api = g_ascii_strdown (ing_json_get_string (device, "api", ""), -1);
      g_autofree char *name = g_strdup_printf ("%s:%u", api, n++);
      if (ing_json_get_int (device, "score", 0) <= 0)
        continue;
      g_strv_builder_add (pairs, name);
      g_strv_builder_add (pairs, ing_json_get_string (device, "name", name));
    }
  return g_strv_builder_end (pairs);
}

static void
read_quality (IngModelFacts *facts, JsonObject *quality)
{
  facts->quality_source = g_strdup (quality != NULL ? ing_json_get_string (quality, "source", "") : "");
  if (quality == NULL)
    return;
  facts->quality_positions = (guint) CLAMP (ing_json_get_int (quality, "positions", 0), 0, G_MAXINT);
  facts->perplexity = ing_json_get_double (quality, "perplexity", 0);
  facts->source_perplexity = ing_json_get_double (quality, "source_perplexity", 0);
  facts->mean_kl = ing_json_get_double (quality, "mean_kl", 0);
  facts->same_top = ing_json_get_double (quality, "same_top", 0);
}

void
ing_model_facts_from_json (IngModelFacts *facts, const char *json)
{
  g_autoptr (JsonObject) object = json != NULL ? ing_json_parse_object (json, -1, NULL) : NULL;
  g_autoptr (JsonObject) none = json_object_new ();
  JsonObject *o = object != NULL ? object : none;
  facts->architecture = g_strdup (ing_json_get_string (o, "architecture", ""));
  facts->type = g_strdup (ing_json_get_string (o, "type", ""));
  facts->licence = g_strdup (ing_json_get_string (o, "licence", ""));
  facts->parameters = get_bytes (o, "parameters");
  facts->file_bytes = get_bytes (o, "file_bytes");
  facts->context_train = (guint) CLAMP (ing_json_get_int (o, "context_train", 0), 0, G_MAXINT);
  facts->has_template = ing_json_get_boolean (o, "has_template", FALSE);
  JsonObject *origin = ing_json_get_object (o, "template");
  facts->template_hash = g_strdup (origin != NULL ? ing_json_get_string (origin, "hash", "") : "");
  facts->template_foreign = g_strdup (origin != NULL ? ing_json_get_string (origin, "foreign", "") : "");
  facts->is_encoder = ing_json_get_boolean (o, "is_encoder", FALSE);
  ing_fit_from_json (&facts->fit, json);
  read_quality (facts, ing_json_get_object (o, "quality"));
  facts->sizes = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  JsonObject *sizes = ing_json_get_object (o, "sizes");
  g_autoptr (GList) names = sizes != NULL ? json_object_get_members (sizes) : NULL;
  for (GList *l = names; l != NULL; l = l->next)
    {
      guint64 bytes = get_bytes (sizes, l->data);
      g_hash_table_insert (facts->sizes, g_strdup (l->data), g_memdup2 (&bytes, sizeof bytes));
    }
}

guint64
ing_model_facts_get_size (const IngModelFacts *facts, const char *type)
{
  guint64 *bytes = facts->sizes != NULL ? g_hash_table_lookup (facts->sizes, type) : NULL;
  return bytes != NULL ? *bytes : 0;
}

void
ing_model_facts_clear (IngModelFacts *facts)
{
  g_clear_pointer (&facts->architecture, g_free);
  g_clear_pointer (&facts->type, g_free);
  g_clear_pointer (&facts->licence, g_free);
  g_clear_pointer (&facts->quality_source, g_free);
  g_clear_pointer (&facts->template_hash, g_free);
  g_clear_pointer (&facts->template_foreign, g_free);
  g_clear_pointer (&facts->sizes, g_hash_table_unref);
}
