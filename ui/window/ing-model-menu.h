/* SPDX-License-Identifier: Apache-2.0 */
/* The name of the conversation's model in the header and the menu to choose another: those found in the folder of
 * models, and any file. Main thread only. */
#pragma once

#include "ing-app.h"

#include <gtk/gtk.h>

G_BEGIN_DECLS

#define ING_TYPE_MODEL_MENU (ing_model_menu_get_type ())
G_DECLARE_FINAL_TYPE (IngModelMenu, ing_model_menu, ING, MODEL_MENU, GtkWidget)

/* Set once. */
void ing_model_menu_set_workspace (IngModelMenu *self, IngWorkspace *workspace);

/* Whose model it shows and chooses; NULL = the loaded one. */
void ing_model_menu_set_conversation (IngModelMenu *self, IngConversation *conversation);

/* Show an icon instead of the name. */
void ing_model_menu_set_narrow (IngModelMenu *self, gboolean narrow);

void ing_model_menu_popup (IngModelMenu *self);

G_END_DECLS
