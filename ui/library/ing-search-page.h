/* SPDX-License-Identifier: Apache-2.0 */
/* Looks for models at a hub, when the person asks. Main thread only. Signals: "close"; "address" (const char *), what is
 * there shall be shown. */
#pragma once

#include "ing-app.h"

#include <adwaita.h>

G_BEGIN_DECLS

#define ING_TYPE_SEARCH_PAGE (ing_search_page_get_type ())
G_DECLARE_FINAL_TYPE (IngSearchPage, ing_search_page, ING, SEARCH_PAGE, GtkWidget)

GtkWidget *ing_search_page_new (IngWorkspace *workspace);
void ing_search_page_focus (IngSearchPage *self);

G_END_DECLS
