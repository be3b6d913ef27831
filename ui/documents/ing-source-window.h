/* SPDX-License-Identifier: Apache-2.0 */
/* A passage where it stands: the page of a PDF with the passage highlighted, and its text; for other documents, and when
 * the file is gone, the text that was stored. Main thread only. */
#pragma once

#include "ing-app.h"

#include <gtk/gtk.h>

G_BEGIN_DECLS

/* Opens a window beside that of @from. @passage is copied; a file that has moved is looked for in @library. */
void ing_source_window_present (GtkWidget *from, IngDocumentLibrary *library, const IngPassage *passage);

G_END_DECLS
