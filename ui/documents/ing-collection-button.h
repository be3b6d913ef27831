/* SPDX-License-Identifier: Apache-2.0 */
/* In the composer: a menu of all collections, those checked that the conversation asks. Hidden while there is none. */
#pragma once

#include "ing-app.h"

#include <gtk/gtk.h>

G_BEGIN_DECLS

#define ING_TYPE_COLLECTION_BUTTON (ing_collection_button_get_type ())
G_DECLARE_FINAL_TYPE (IngCollectionButton, ing_collection_button, ING, COLLECTION_BUTTON, GtkWidget)

/* @conversation NULL = none is shown. */
void ing_collection_button_set_conversation (IngCollectionButton *self, IngWorkspace *workspace,
                                             IngConversation *conversation);

G_END_DECLS
