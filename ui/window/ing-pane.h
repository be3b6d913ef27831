/* SPDX-License-Identifier: Apache-2.0 */
/* A bin of one child with a natural width of its own, so that the leaflet round it folds at a width
 * we choose rather than at what its content would like. Main thread only.
 * Properties: "child", "natural-width" (pixels). */
#pragma once

#include <gtk/gtk.h>

G_BEGIN_DECLS

#define ING_TYPE_PANE (ing_pane_get_type ())
G_DECLARE_FINAL_TYPE (IngPane, ing_pane, ING, PANE, GtkWidget)

G_END_DECLS
