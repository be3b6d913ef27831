/* SPDX-License-Identifier: Apache-2.0 */
/* The original beside the small one: what was measured when the file was made. Main thread only. */
#pragma once

#include "ing-app.h"

#include <adwaita.h>

G_BEGIN_DECLS

/* A group of a model's page; NULL if nothing was measured. */
GtkWidget *ing_model_quality_new (IngWorkspace *workspace, IngModelFile *file, const IngModelFacts *facts);

G_END_DECLS
