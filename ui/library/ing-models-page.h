/* SPDX-License-Identifier: Apache-2.0 */
/* The page of models: paste an address and see what it holds and whether it would run here, downloads under way, what is
 * on this computer, and the catalogue. Main thread only. Signal: "close" when the person goes back. */
#pragma once

#include "ing-app.h"

#include <adwaita.h>

G_BEGIN_DECLS

#define ING_TYPE_MODELS_PAGE (ing_models_page_get_type ())
G_DECLARE_FINAL_TYPE (IngModelsPage, ing_models_page, ING, MODELS_PAGE, GtkWidget)

/* @toasts: where undone and done things are told; borrowed, outlives the page. */
void ing_models_page_set_workspace (IngModelsPage *self, IngWorkspace *workspace, AdwToastOverlay *toasts);
/* The page is shown: read the disk again. */
void ing_models_page_refresh (IngModelsPage *self);
/* From one of its pages to the list: FALSE if the list is shown already. */
gboolean ing_models_page_go_back (IngModelsPage *self);
void ing_models_page_focus (IngModelsPage *self);

G_END_DECLS
