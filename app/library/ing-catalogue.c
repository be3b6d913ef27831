/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-catalogue.h"

#include <string.h>

#include "ing-catalogue-resource.h"
#include "ing-error-private.h"

#define RESOURCE "/io/github/inglenook_app/Inglenook/catalogue/models.json"
#define MAX_ENTRIES 1000

struct _IngCatalogueEntry
{
  GObject parent_instance;
  char *name, *architecture, *licence, *languages, *hugging_face, *modelscope;
  char *template_hash; /* of what the authors publish; NULL = not known */
  guint64 parameters;
  guint context, chinese; /* chinese: 2 good, 1 some, 0 none */
  JsonObject *sizes;      /* type → bytes; NULL */
  gboolean is_embedding, checked;
};

G_DEFINE_FINAL_TYPE (IngCatalogueEntry, ing_catalogue_entry, G_TYPE_OBJECT)

static void
ing_catalogue_entry_finalize (GObject *object)
{
  IngCatalogueEntry *self = ING_CATALOGUE_ENTRY (object);
  g_free (self->name);
  g_free (self->architecture);
  g_free (self->licence);
  g_free (self->languages);
  g_free (self->hugging_face);
  g_free (self->modelscope);
  g_free (self->template_hash);
  g_clear_pointer (&self->sizes, json_object_unref);
  G_OBJECT_CLASS (ing_catalogue_entry_parent_class)->finalize (object);
}

static void
ing_catalogue_entry_class_init (IngCatalogueEntryClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = ing_catalogue_entry_finalize;
}

static void
ing_catalogue_entry_init (IngCatalogueEntry *self)
{
}

/* The fact @name, noting whether it was checked; NULL if it is not there. */
static JsonObject *
get_fact (IngCatalogueEntry *self, JsonObject *model, const char *name)
{
  JsonObject *fact = ing_json_get_object (model, name);
  if (fact != NULL && strcmp (ing_json_get_string (fact, "checked", "no"), "yes") != 0)
    self->checked = FALSE;
  return fact;
}

static char *
dup_fact (IngCatalogueEntry *self, JsonObject *model, const char *name)
{
  JsonObject *fact = get_fact (self, model, name);
  return fact != NULL ? g_strdup (ing_json_get_string (fact, "value", NULL)) : NULL;
}

static gint64
get_number (IngCatalogueEntry *self, JsonObject *model, const char *name)
{
  JsonObject *fact = get_fact (self, model, name);
  return fact != NULL ? MAX (0, ing_json_get_int (fact, "value", 0)) : 0;
}

static char *
join_languages (IngCatalogueEntry *self, JsonObject *model)
{
  JsonObject *fact = get_fact (self, model, "languages");
  JsonArray *array = fact != NULL ? ing_json_get_array (fact, "value") : NULL;
  GString *text = g_string_new (NULL);
  for (guint i = 0; array != NULL && i < json_array_get_length (array); i++)
    {
      JsonNode *node = json_array_get_element (array, i);
      if (JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING)
        g_string_append_printf (text, "%s%s", i > 0 ? " " : "", json_node_get_string (node));
    }
  return g_string_free (text, FALSE);
}

static IngCatalogueEntry *
read_entry (JsonObject *model, GError **error)
{
  g_autoptr (IngCatalogueEntry) self = g_object_new (ING_TYPE_CATALOGUE_ENTRY, NULL);
  const char *chinese = ing_json_get_string (model, "chinese", "no");
  self->checked = TRUE;
  self->name = g_strdup (ing_json_get_string (model, "name", NULL));
  self->architecture = dup_fact (self, model, "architecture");
  self->licence = dup_fact (self, model, "licence");
  self->languages = join_languages (self, model);
  self->hugging_face = dup_fact (self, model, "huggingface");
  self->modelscope = dup_fact (self, model, "modelscope");
  self->template_hash = dup_fact (self, model, "template");
  JsonObject *sizes = get_fact (self, model, "sizes");
  sizes = sizes != NULL ? ing_json_get_object (sizes, "value") : NULL;
  self->sizes = sizes != NULL ? json_object_ref (sizes) : NULL;
  self->parameters = (guint64) get_number (self, model, "parameters");
  self->context = (guint) MIN (get_number (self, model, "context"), G_MAXINT);
  self->chinese = strcmp (chinese, "yes") == 0 ? 2 : strcmp (chinese, "some") == 0 ? 1 : 0;
  self->is_embedding = strcmp (ing_json_get_string (model, "kind", ""), "embedding") == 0;
  if (self->name != NULL && self->architecture != NULL && self->licence != NULL && self->parameters > 0
      && (self->hugging_face != NULL || self->modelscope != NULL))
    return g_steal_pointer (&self);
  g_propagate_error (error, ing_error_new (ING_ERROR_FORMAT, self->name, 0, 0, "an entry of the catalogue lacks facts"));
  return NULL;
}

static int
compare (gconstpointer a, gconstpointer b, gpointer data)
{
  const IngCatalogueEntry *x = *(IngCatalogueEntry *const *) a, *y = *(IngCatalogueEntry *const *) b;
  if (x->is_embedding != y->is_embedding)
    return x->is_embedding ? 1 : -1;
  if (GPOINTER_TO_INT (data) && x->chinese != y->chinese)
    return x->chinese > y->chinese ? -1 : 1;
  return x->parameters != y->parameters ? (x->parameters < y->parameters ? -1 : 1) : strcmp (x->name, y->name);
}

GListModel *
ing_catalogue_new (const char *json, const char *language, GError **error)
{
  g_autoptr (GBytes) bytes = NULL;
  const char *text = json;
  gsize n = json != NULL ? strlen (json) : 0;
  if (json == NULL)
    {
      static gboolean registered;
      if (!registered)
        ing_catalogue_register_resource ();
      registered = TRUE;
      bytes = g_resources_lookup_data (RESOURCE, G_RESOURCE_LOOKUP_FLAGS_NONE, error);
      if (bytes == NULL)
        return NULL;
      text = g_bytes_get_data (bytes, &n);
    }
  g_autoptr (JsonObject) object = ing_json_parse_object (text, (gssize) n, error);
  JsonArray *models = object != NULL ? ing_json_get_array (object, "models") : NULL;
  if (models == NULL)
    {
      if (object != NULL)
        g_propagate_error (error, ing_error_new (ING_ERROR_FORMAT, "models", 0, 0, "the catalogue has no models"));
      return NULL;
    }
  g_autoptr (GPtrArray) entries = g_ptr_array_new_with_free_func (g_object_unref);
  for (guint i = 0; i < MIN (json_array_get_length (models), MAX_ENTRIES); i++)
    {
      JsonNode *node = json_array_get_element (models, i);
      g_autoptr (JsonObject) none = json_object_new ();
      IngCatalogueEntry *entry = read_entry (JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : none, error);
      if (entry == NULL)
        return NULL;
      g_ptr_array_add (entries, entry);
    }
  const char *own = language != NULL ? language : g_get_language_names ()[0];
  g_ptr_array_sort_with_data (entries, compare, GINT_TO_POINTER (g_str_has_prefix (own, "zh")));
  GListStore *store = g_list_store_new (ING_TYPE_CATALOGUE_ENTRY);
  g_list_store_splice (store, 0, 0, entries->pdata, entries->len);
  return G_LIST_MODEL (store);
}

const char *
ing_catalogue_entry_get_name (IngCatalogueEntry *self)
{
  return self->name;
}

const char *
ing_catalogue_entry_get_architecture (IngCatalogueEntry *self)
{
  return self->architecture;
}

const char *
ing_catalogue_entry_get_licence (IngCatalogueEntry *self)
{
  return self->licence;
}

const char *
ing_catalogue_entry_get_languages (IngCatalogueEntry *self)
{
  return self->languages;
}

guint64
ing_catalogue_entry_get_parameters (IngCatalogueEntry *self)
{
  return self->parameters;
}

guint
ing_catalogue_entry_get_context (IngCatalogueEntry *self)
{
  return self->context;
}

gboolean
ing_catalogue_entry_get_is_embedding (IngCatalogueEntry *self)
{
  return self->is_embedding;
}

gboolean
ing_catalogue_entry_get_checked (IngCatalogueEntry *self)
{
  return self->checked;
}

guint64
ing_catalogue_entry_get_bytes (IngCatalogueEntry *self, const char *type)
{
  return self->sizes != NULL ? (guint64) MAX (0, ing_json_get_int (self->sizes, type, 0)) : 0;
}

char *
ing_catalogue_entry_dup_address (IngCatalogueEntry *self, gboolean modelscope)
{
  if (modelscope && self->modelscope != NULL)
    return g_strconcat ("https://modelscope.cn/models/", self->modelscope, NULL);
  return !modelscope && self->hugging_face != NULL ? g_strconcat ("https://huggingface.co/", self->hugging_face, NULL) : NULL;
}

/* ------------------------------------------------------------------ templates */

static gboolean
uri_is_of (const char *uri, const char *repository)
{
  g_autofree char *part = repository != NULL ? g_strconcat ("/", repository, "/", NULL) : NULL;
  return uri != NULL && part != NULL && strstr (uri, part) != NULL;
}

/* Letters and digits alone, small: "Qwen3 0.6B" and "qwen3-0.6b-q8_0.gguf" begin alike. */
static char *
dup_plain (const char *text)
{
  GString *plain = g_string_new (NULL);
  for (; *text != '\0'; text++)
    if (g_ascii_isalnum (*text))
      g_string_append_c (plain, g_ascii_tolower (*text));
  return g_string_free (plain, FALSE);
}

IngTemplateOrigin
ing_catalogue_judge_template (GListModel *catalogue, const char *name, const char *uri, const char *hash)
{
  g_autofree char *plain = dup_plain (name);
  g_autoptr (IngCatalogueEntry) best = NULL;
  gsize best_length = 0;
  for (guint i = 0; *hash != '\0' && i < g_list_model_get_n_items (catalogue); i++)
    {
      g_autoptr (IngCatalogueEntry) entry = g_list_model_get_item (catalogue, i);
      g_autofree char *own = dup_plain (entry->name);
      gsize length = uri_is_of (uri, entry->hugging_face) || uri_is_of (uri, entry->modelscope) ? G_MAXSIZE
                     : g_str_has_prefix (plain, own)                                          ? strlen (own)
                                                                                              : 0;
      if (length > best_length)
        {
          best_length = length;
          g_set_object (&best, entry);
        }
    }
  if (best == NULL || best->template_hash == NULL)
    return ING_TEMPLATE_UNKNOWN;
  return strcmp (best->template_hash, hash) == 0 ? ING_TEMPLATE_PUBLISHED : ING_TEMPLATE_OTHER;
}
