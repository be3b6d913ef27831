/* SPDX-License-Identifier: Apache-2.0 */
/* The page "Documents": all collections, and the page of one. Signal "close": back to the conversation. Main thread only. */
#pragma once

#include "ing-app.h"

#include <adwaita.h>

G_BEGIN_DECLS

#define ING_TYPE_COLLECTIONS_PAGE (ing_collections_page_get_type ())
G_DECLARE_FINAL_TYPE (IngCollectionsPage, ing_collections_page, ING, COLLECTIONS_PAGE, GtkWidget)

/* Once, before anything else. */
void ing_collections_page_set_workspace (IngCollectionsPage *self, IngWorkspace *workspace, AdwToastOverlay *toasts);
/* @collection NULL = the list. */
void ing_collections_page_show (IngCollectionsPage *self, IngCollection *collection);
/* From the page of one to the list; FALSE: the list is shown. */
gboolean ing_collections_page_go_back (IngCollectionsPage *self);
/* Files and folders were dropped: into the collection that is shown, or a new one. */
void ing_collections_page_add (IngCollectionsPage *self, const char *const *paths);
void ing_collections_page_focus (IngCollectionsPage *self);

G_END_DECLS
