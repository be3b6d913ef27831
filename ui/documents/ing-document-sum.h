/* SPDX-License-Identifier: Apache-2.0 */
/* Stands before the chips of a conversation with many documents: how many there are, how far reading them is, how many
 * cannot be read, and a button that removes them all. Main thread. */
#pragma once

#include "ing-app.h"

#include <gtk/gtk.h>

G_BEGIN_DECLS

#define ING_TYPE_DOCUMENT_SUM (ing_document_sum_get_type ())
G_DECLARE_FINAL_TYPE (IngDocumentSum, ing_document_sum, ING, DOCUMENT_SUM, GtkWidget)

/* @documents: all of @owner. */
GtkWidget *ing_document_sum_new (IngDocumentLibrary *library, gint64 owner, GListModel *documents);

G_END_DECLS
