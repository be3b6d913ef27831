/* SPDX-License-Identifier: Apache-2.0 */
/* Leave to go on without a window, where a sandbox makes that the desktop's to give: org.freedesktop.portal.Background
 * (https://flatpak.github.io/xdg-desktop-portal/docs/doc-org.freedesktop.portal.Background.html). */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* Is this a sandbox? ($GTK_USE_PORTAL=1 says so too, as it does for GLib.) Elsewhere nothing need be asked. */
gboolean ing_background_is_asked_for (void);

/* @reason is shown to the person. Main thread. */
void ing_background_request_async (GDBusConnection *connection, const char *reason, GCancellable *cancellable,
                                   GAsyncReadyCallback callback, gpointer user_data);
/* FALSE: the person or the desktop said no. TRUE where nobody answers such questions. */
gboolean ing_background_request_finish (GAsyncResult *result);

G_END_DECLS
