/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <gtk/gtk.h>

/* Paths of what was chosen, those without a path left out; NULL-terminated, empty unless @response is GTK_RESPONSE_ACCEPT.
 * Caller frees. */
char **ing_chooser_dup_paths (GtkFileChooser *chooser, int response);
