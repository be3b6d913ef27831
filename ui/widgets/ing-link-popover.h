/* SPDX-License-Identifier: Apache-2.0 */
/* Shows where a link leads before anything opens: the address, and buttons to open and to copy it.
 * Main thread only. */
#pragma once

#include <gtk/gtk.h>

G_BEGIN_DECLS

/* Show the popover at @area of @parent; it goes away by itself. @address must be one that
 * ing_markdown_address_is_safe() allows; any other is ignored. */
void ing_link_popover_show (GtkWidget *parent, const GdkRectangle *area, const char *address);

G_END_DECLS
