/* SPDX-License-Identifier: Apache-2.0 */
/* A conversation out of the window: to a file, or on paper. Main thread only. */
#pragma once

#include "ing-app.h"

#include <adwaita.h>

G_BEGIN_DECLS

/* Ask for a file and write @conversation to it; what goes wrong is said in @toasts. */
void ing_export_to_file (IngConversation *conversation, IngExportFormat format, GtkWindow *parent,
                         AdwToastOverlay *toasts);

/* Print the shown branch as it reads, through the print dialog. */
void ing_export_print (IngConversation *conversation, GtkWindow *parent);

G_END_DECLS
