/* SPDX-License-Identifier: Apache-2.0 */
/* Which models make vectors of texts. One that knows English alone is better and faster at it than a small one that
 * knows many languages (docs/retrieval.md): it gets documents in Latin script, the other one the rest. Any thread. */
#pragma once

#include <glib.h>

typedef struct
{
  const char *name;    /* file or folder below the models' folder */
  const char *load_as; /* type of its weights while loaded; NULL = as they are stored */
  guint number;        /* marks its vectors in the index: no two models, or ways to use one, ever share one; below 16 */
  guint max_tokens;    /* of a text, as it was trained; the engine reads longer ones in parts */
  gboolean latin;      /* knows English alone */
  gboolean windows;    /* parts of a chunk get vectors of their own (ing-search-windows.h) */
  double cosine;       /* of the best passage, from which on a question counts as answerable (docs/retrieval.md)… */
  double sure;         /* …and although it names something that stands nowhere */
} IngEmbedder;

/* The one for text in Latin script (@latin) or in any other; NULL if none of those installed can read it. @path gets
 * where it is; caller frees. */
const IngEmbedder *ing_embedder_find (gboolean latin, char **path);
/* The one with @number if it is installed and can read such text, else NULL. */
const IngEmbedder *ing_embedder_lookup (guint number, gboolean latin, char **path);

/* Is a document of @n chunks, @n_foreign of them in another script, one in Latin script? */
gboolean ing_embedder_is_latin (guint n_foreign, guint n);

/* Those installed, as one number: where it has changed, vectors may be another model's work. */
guint ing_embedder_get_plan (void);
