/* SPDX-License-Identifier: Apache-2.0 */
/* The catalogue of models that comes with the program: what people want, where it is, under which licence. It needs no
 * network. Facts that nobody of this project has compared with their source say so. Immutable; main thread. */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

#define ING_TYPE_CATALOGUE_ENTRY (ing_catalogue_entry_get_type ())
G_DECLARE_FINAL_TYPE (IngCatalogueEntry, ing_catalogue_entry, ING, CATALOGUE_ENTRY, GObject)

/* GListModel of IngCatalogueEntry, the best for people of @language ("zh_CN", NULL = the interface's) first: models
 * good at Chinese lead under zh. @json NULL = the one that comes with the program; ING_ERROR_FORMAT names the entry. */
GListModel *ing_catalogue_new (const char *json, const char *language, GError **error);

const char *ing_catalogue_entry_get_name (IngCatalogueEntry *self);
const char *ing_catalogue_entry_get_architecture (IngCatalogueEntry *self);
const char *ing_catalogue_entry_get_licence (IngCatalogueEntry *self);
const char *ing_catalogue_entry_get_languages (IngCatalogueEntry *self); /* "zh en +"; "+" = and others */
guint64 ing_catalogue_entry_get_parameters (IngCatalogueEntry *self);
guint ing_catalogue_entry_get_context (IngCatalogueEntry *self);
gboolean ing_catalogue_entry_get_is_embedding (IngCatalogueEntry *self);
/* TRUE if every fact shown has been compared with its source. */
gboolean ing_catalogue_entry_get_checked (IngCatalogueEntry *self);
/* Bytes of its tensors as "Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0" or "F16", by the engine's plan; the vocabulary adds a few
 * megabytes. 0 = not known. */
guint64 ing_catalogue_entry_get_bytes (IngCatalogueEntry *self, const char *type);
/* An address for ing_remote_find_async(), on ModelScope or on Hugging Face. NULL if it is not there. */
char *ing_catalogue_entry_dup_address (IngCatalogueEntry *self, gboolean modelscope);

typedef enum
{
  ING_TEMPLATE_UNKNOWN,   /* nothing to compare with */
  ING_TEMPLATE_PUBLISHED, /* the one the model's authors publish */
  ING_TEMPLATE_OTHER      /* another one than that */
} IngTemplateOrigin;

/* Of the chat template with @hash (IngModelFacts) in a file called @name that came from @uri (NULL = not known), by the entry
 * of @catalogue whose repository @uri names, else whose name @name begins with. */
IngTemplateOrigin ing_catalogue_judge_template (GListModel *catalogue, const char *name, const char *uri, const char *hash);

G_END_DECLS
