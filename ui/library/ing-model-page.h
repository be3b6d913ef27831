/* SPDX-License-Identifier: Apache-2.0 */
/* The page of one model: what it is, what it takes, what was chosen for it; load, unload, check, move to the trash. Main
 * thread only. Signal: "close" when the person goes back or the file is gone. */
#pragma once

#include "ing-app.h"

#include <adwaita.h>

G_BEGIN_DECLS

#define ING_TYPE_MODEL_PAGE (ing_model_page_get_type ())
G_DECLARE_FINAL_TYPE (IngModelPage, ing_model_page, ING, MODEL_PAGE, GtkWidget)

/* @toasts borrowed, outlives the page. */
GtkWidget *ing_model_page_new (IngWorkspace *workspace, AdwToastOverlay *toasts);
/* Show @file, an ING_FILE_MODEL. */
void ing_model_page_set_file (IngModelPage *self, IngModelFile *file);

/* Move @file to the trash, unloading it first, and tell so in @toasts with an undo. An error is told there as well. */
void ing_model_page_trash (IngWorkspace *workspace, AdwToastOverlay *toasts, IngModelFile *file);

G_END_DECLS
