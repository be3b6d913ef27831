/* SPDX-License-Identifier: Apache-2.0 */
/* A document of a conversation: its name, how far it is read, why it cannot be, and a button that takes it away.
 * Main thread only. */
#pragma once

#include "ing-app.h"

#include <gtk/gtk.h>

G_BEGIN_DECLS

#define ING_TYPE_DOCUMENT_CHIP (ing_document_chip_get_type ())
G_DECLARE_FINAL_TYPE (IngDocumentChip, ing_document_chip, ING, DOCUMENT_CHIP, GtkWidget)

/* Removing takes the document from @owner. */
GtkWidget *ing_document_chip_new (IngDocumentLibrary *library, gint64 owner, IngDocument *document);

/* What chips are made of, at the end of @box: a label for the state of things, and a round button that says @label. */
GtkLabel *ing_document_chip_append_state (GtkBox *box);
GtkWidget *ing_document_chip_append_button (GtkBox *box, const char *icon, const char *label);

/* "waits", "reading 40 %", "12 pages"; "" when there is nothing to say. Caller frees. */
char *ing_document_chip_dup_state (IngDocument *document);

G_END_DECLS
