/* SPDX-License-Identifier: Apache-2.0 */
/* What a person chooses for one model: how it is loaded, how it chooses words, its instructions. Each change is kept at
 * once. Main thread only. */
#pragma once

#include "ing-app.h"

#include <adwaita.h>

G_BEGIN_DECLS

#define ING_TYPE_MODEL_CHOICES (ing_model_choices_get_type ())
G_DECLARE_FINAL_TYPE (IngModelChoices, ing_model_choices, ING, MODEL_CHOICES, GtkWidget)

/* For the model at @path. */
GtkWidget *ing_model_choices_new (IngWorkspace *workspace, const char *path);

G_END_DECLS
