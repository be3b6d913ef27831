/* SPDX-License-Identifier: Apache-2.0 */
/* The sidebar's section of collections; hidden while there is none. A row shows its collection (win.show-collection). Main
 * thread only. */
#pragma once

#include "ing-app.h"

#include <gtk/gtk.h>

G_BEGIN_DECLS

#define ING_TYPE_COLLECTION_LIST (ing_collection_list_get_type ())
G_DECLARE_FINAL_TYPE (IngCollectionList, ing_collection_list, ING, COLLECTION_LIST, GtkWidget)

/* Once. */
void ing_collection_list_set_library (IngCollectionList *self, IngDocumentLibrary *library);

G_END_DECLS
