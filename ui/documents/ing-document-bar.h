/* SPDX-License-Identifier: Apache-2.0 */
/* Above the field: the documents of the conversation shown, as chips, and what they said when that was nothing.
 *
 * Signal "ask" (const char *text, GListModel *parts): ask the conversation now; @parts (NULL = none) go before @text.
 * Property "busy": it looks for passages. Main thread only. */
#pragma once

#include "ing-app.h"

#include <gtk/gtk.h>

G_BEGIN_DECLS

#define ING_TYPE_DOCUMENT_BAR (ing_document_bar_get_type ())
G_DECLARE_FINAL_TYPE (IngDocumentBar, ing_document_bar, ING, DOCUMENT_BAR, GtkWidget)

/* @conversation NULL = none is shown. What was being looked for is given up. */
void ing_document_bar_set_conversation (IngDocumentBar *self, IngWorkspace *workspace,
                                        IngConversation *conversation);

/* Read these files for the conversation; of a folder, the documents in it and below it. */
void ing_document_bar_add (IngDocumentBar *self, const char *const *paths);
/* Let the person choose files to be read. */
void ing_document_bar_choose (IngDocumentBar *self);

/* FALSE: there are no documents, ask without. Else "ask" comes later, or a box says that they do not speak of it. */
gboolean ing_document_bar_ask (IngDocumentBar *self, const char *text);
/* Give up looking. */
void ing_document_bar_stop (IngDocumentBar *self);
gboolean ing_document_bar_get_busy (IngDocumentBar *self);

G_END_DECLS
