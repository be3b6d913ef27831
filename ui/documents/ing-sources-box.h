/* SPDX-License-Identifier: Apache-2.0 */
/* Under an answer: the passages it was given, each a button that opens it, and the sentences that none of them says.
 * Main thread only. */
#pragma once

#include "ing-app.h"

#include <gtk/gtk.h>

G_BEGIN_DECLS

#define ING_TYPE_SOURCES_BOX (ing_sources_box_get_type ())
G_DECLARE_FINAL_TYPE (IngSourcesBox, ing_sources_box, ING, SOURCES_BOX, GtkWidget)

/* Hidden when @question (NULL = none) was asked without documents. @answer: the ended answer, which is held against the
 * passages; NULL while it grows. */
void ing_sources_box_set (IngSourcesBox *self, IngMessage *question, const char *answer);

/* What was read, of IngPassage; NULL = nothing. Borrowed. */
GPtrArray *ing_sources_box_get_passages (IngSourcesBox *self);
/* Open the passage of this number, from 1; others do nothing. */
void ing_sources_box_open (IngSourcesBox *self, guint number);

G_END_DECLS
