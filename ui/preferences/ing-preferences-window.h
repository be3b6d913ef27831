/* SPDX-License-Identifier: Apache-2.0 */
/* Preferences: how the model is loaded, what it is told, how words are chosen. Every change takes
 * effect at once, but for loading, which has a button. Main thread only. */
#pragma once

#include "ing-app.h"

#include <adwaita.h>

G_BEGIN_DECLS

#define ING_TYPE_PREFERENCES_WINDOW (ing_preferences_window_get_type ())
G_DECLARE_FINAL_TYPE (IngPreferencesWindow, ing_preferences_window, ING, PREFERENCES_WINDOW,
                      AdwPreferencesWindow)

/* @conversation: the one shown, whose instructions can be changed as well; may be NULL. */
GtkWidget *ing_preferences_window_new (IngWorkspace *workspace, IngConversation *conversation);

G_END_DECLS
