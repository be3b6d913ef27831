/* SPDX-License-Identifier: Apache-2.0 */
/* A collection that a conversation asks: its name, how much of it can be found, and a button to ask it no more. */
#pragma once

#include "ing-app.h"

#include <gtk/gtk.h>

G_BEGIN_DECLS

#define ING_TYPE_COLLECTION_CHIP (ing_collection_chip_get_type ())
G_DECLARE_FINAL_TYPE (IngCollectionChip, ing_collection_chip, ING, COLLECTION_CHIP, GtkWidget)

GtkWidget *ing_collection_chip_new (IngCollections *collections, gint64 conversation, IngCollection *collection);

G_END_DECLS
