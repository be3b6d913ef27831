/* SPDX-License-Identifier: Apache-2.0 */
/* What is dropped on the window goes to who can use it: GGUF files and folders with a model to the library, everything
 * else to the conversation. Main thread only; files are looked at on a thread of their own. */
#pragma once

#include <gtk/gtk.h>

G_BEGIN_DECLS

/* @paths: NULL-terminated, absolute, at least one. NULL = such things are refused. */
typedef void (*IngDropFunc) (GtkWidget *widget, const char *const *paths);

/* Take drops on @widget for its life. */
void ing_drop_attach (GtkWidget *widget, IngDropFunc models, IngDropFunc documents);

G_END_DECLS
