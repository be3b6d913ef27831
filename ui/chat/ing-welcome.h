/* SPDX-License-Identifier: Apache-2.0 */
/* What stands where a conversation will be: a greeting with suggestions that the starter model can
 * really do, or, without a model, the way to get one. Main thread only.
 *
 * Signal "suggested" (const char *question). */
#pragma once

#include "ing-app.h"

#include <gtk/gtk.h>

G_BEGIN_DECLS

#define ING_TYPE_WELCOME (ing_welcome_get_type ())
G_DECLARE_FINAL_TYPE (IngWelcome, ing_welcome, ING, WELCOME, GtkWidget)

/* Follow @service; set once. */
void ing_welcome_set_service (IngWelcome *self, IngGenerationService *service);

G_END_DECLS
