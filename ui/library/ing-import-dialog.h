/* SPDX-License-Identifier: Apache-2.0 */
/* Bringing in a model that is on this computer already: says what it is, asks how it shall be used, and says why if it
 * cannot be. Main thread only. */
#pragma once

#include "ing-app.h"

#include <adwaita.h>

G_BEGIN_DECLS

/* @path: a GGUF file, one of a split set, a folder of such files, or a hub's folder. Asks over @parent; @toasts borrowed,
 * weak. */
void ing_import_path (GtkWindow *parent, IngWorkspace *workspace, AdwToastOverlay *toasts, const char *path);

/* Several of these at once: one dialog says what each is, and why if it cannot be used. One alone goes as above. */
void ing_import_paths (GtkWindow *parent, IngWorkspace *workspace, AdwToastOverlay *toasts, const char *const *paths);

/* Choose a file, or a folder, and go on as above. */
void ing_import_choose (GtkWindow *parent, IngWorkspace *workspace, AdwToastOverlay *toasts, gboolean folder);

/* The group of the page of models that offers this, and Ollama's models. */
GtkWidget *ing_import_group_new (IngWorkspace *workspace, AdwToastOverlay *toasts);

G_END_DECLS
