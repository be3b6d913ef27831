/* SPDX-License-Identifier: Apache-2.0 */
/* What was found of this machine and what holds the program's parts, in words for preferences. Translated. */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* A line for each graphics card, or why there is none that can be used and what to do: the module, the driver or a newer
 * one is missing. @devices as ing_generation_service_get_devices() says (NULL = not looked at yet); @sandboxed: in a
 * Flatpak, where modules and drivers come as extensions. Never NULL; caller frees. Any thread. */
char *ing_machine_describe_gpus (const char *devices, gboolean sandboxed);

/* What held the process that reads documents, found by having it read one: the system's filter, Landlock, limits, the
 * sandbox about it. Errors as reading a document has them. */
void ing_machine_describe_reader_async (GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data);
/* Caller frees. */
char *ing_machine_describe_reader_finish (GAsyncResult *result, GError **error);
/* The words alone. Caller frees. */
char *ing_machine_describe_holds (gboolean seccomp, int landlock, gboolean limits, gboolean sandboxed);

G_END_DECLS
