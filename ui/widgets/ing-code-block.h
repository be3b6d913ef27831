/* SPDX-License-Identifier: Apache-2.0 */
/* A block of code: a card with the language's name, a copy button and the text, not wrapped, with a
 * scroll of its own. Colours come from GtkSourceView's languages.
 *
 * Up to ING_CODE_BLOCK_MAX_LABEL_BYTES the text stands in labels of some lines each (exact heights,
 * cheap growth: only the last label is laid out again); longer code goes into a source view that lays
 * out what is visible. Main thread only. */
#pragma once

#include <gtk/gtk.h>

G_BEGIN_DECLS

#define ING_CODE_BLOCK_MAX_LABEL_BYTES (64 * 1024)

#define ING_TYPE_CODE_BLOCK (ing_code_block_get_type ())
G_DECLARE_FINAL_TYPE (IngCodeBlock, ing_code_block, ING, CODE_BLOCK, GtkWidget)

GtkWidget *ing_code_block_new (void);

/* Show @length bytes of @text (valid UTF-8, copied) as @language (as a model writes it: "python", "c++";
 * NULL or "": none). Text that begins with the text shown is appended to it. @growing: more will
 * follow soon. */
void ing_code_block_set_code (IngCodeBlock *self, const char *language, const char *text,
                              gsize length, gboolean growing);

const char *ing_code_block_get_code (IngCodeBlock *self);

G_END_DECLS
