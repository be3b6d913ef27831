/* SPDX-License-Identifier: Apache-2.0 */
/* Asks for a type, with the size that it makes and whether that would run, and has the model written anew as that. Main
 * thread only. */
#pragma once

#include "ing-app.h"

#include <adwaita.h>

G_BEGIN_DECLS

#define ING_TYPE_SHRINK_DIALOG (ing_shrink_dialog_get_type ())
G_DECLARE_FINAL_TYPE (IngShrinkDialog, ing_shrink_dialog, ING, SHRINK_DIALOG, AdwWindow)

/* Over @parent. @facts of the model @file: read, not kept. Signal "started" (IngJob) once a job was made. */
GtkWidget *ing_shrink_dialog_new (GtkWindow *parent, IngWorkspace *workspace, IngModelFile *file, const IngModelFacts *facts);

G_END_DECLS
