/* SPDX-License-Identifier: Apache-2.0 */
/* What takes room: every file with its size and who uses it, what is unfinished, and the folders that are looked into.
 * Main thread only. Signals: "close"; "show-file" (IngModelFile), the person wants its page. */
#pragma once

#include "ing-app.h"

#include <adwaita.h>

G_BEGIN_DECLS

#define ING_TYPE_STORAGE_PAGE (ing_storage_page_get_type ())
G_DECLARE_FINAL_TYPE (IngStoragePage, ing_storage_page, ING, STORAGE_PAGE, GtkWidget)

/* @toasts borrowed, outlives the page. */
GtkWidget *ing_storage_page_new (IngWorkspace *workspace, AdwToastOverlay *toasts);

/* The job of the list that fetches into the part @file; NULL if nobody does. A new reference. */
IngJob *ing_storage_page_find_job (IngWorkspace *workspace, IngModelFile *file);

G_END_DECLS
