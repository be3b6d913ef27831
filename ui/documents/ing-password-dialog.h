/* SPDX-License-Identifier: Apache-2.0 */
/* Asks for the password of a locked document. Main thread only. */
#pragma once

#include "ing-app.h"

#include <gtk/gtk.h>

G_BEGIN_DECLS

/* Over the window of @from; @wrong: the one that was given before did not open it. What is typed is known to
 * ing-document-password.h when @done is called; it is not called when nothing was. @data is freed by @free_data
 * afterwards in any case. */
void ing_password_dialog_present (GtkWidget *from, const char *path, const char *name, gboolean wrong,
                                  void (*done) (gpointer data), gpointer data, GDestroyNotify free_data);

/* Is one open over the window of @widget? */
gboolean ing_password_dialog_is_open (GtkWidget *widget);

G_END_DECLS
