/* SPDX-License-Identifier: Apache-2.0 */
/* Holds an answer against the passages it was given: sentence by sentence, without a model. A number, a name or a
 * negation that the passage has otherwise makes a sentence unsupported, as does a sentence whose words stand nowhere.
 * Any thread. */
#pragma once

#include "ing-document.h"

G_BEGIN_DECLS

typedef struct
{
  gsize start, end;   /* bytes of the sentence in the answer, its marks like [1] included */
  int passage;        /* index of the passage that supports it best; -1 = none */
  gboolean supported; /* FALSE: mark it */
} IngClaim;

/* Each sentence of @answer that claims something; of IngClaim. Marks like [2] limit where support is looked for.
 * Caller unrefs. */
GArray *ing_citations_check (const char *answer, GPtrArray *passages);

/* @answer (Markdown) with a link behind each sentence that claims something: "[\[2\]](citation:2)" where passage 2 says
 * it, "[\[?\]](citation:0)" where none does. The model's own marks in those sentences go: the checked ones stand for
 * them. Code, tables and headings stay as they are. Caller frees. */
char *ing_citations_annotate (const char *answer, GPtrArray *passages);

/* Does @passage say what @sentence says? */
gboolean ing_citations_supports (const char *sentence, const char *passage);

G_END_DECLS
