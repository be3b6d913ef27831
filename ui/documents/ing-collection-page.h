/* SPDX-License-Identifier: Apache-2.0 */
/* One collection: its name, folders and documents with their states, and what can be done with it. Signal "close". Main
 * thread only. */
#pragma once

#include "ing-app.h"

#include <adwaita.h>

G_BEGIN_DECLS

#define ING_TYPE_COLLECTION_PAGE (ing_collection_page_get_type ())
G_DECLARE_FINAL_TYPE (IngCollectionPage, ing_collection_page, ING, COLLECTION_PAGE, GtkWidget)

GtkWidget *ing_collection_page_new (IngWorkspace *workspace, AdwToastOverlay *toasts);
/* NULL = none is shown. */
void ing_collection_page_set_collection (IngCollectionPage *self, IngCollection *collection);
IngCollection *ing_collection_page_get_collection (IngCollectionPage *self); /* borrowed; NULL */
/* Its name, to be written over. */
void ing_collection_page_focus_name (IngCollectionPage *self);

G_END_DECLS
