/* SPDX-License-Identifier: Apache-2.0 */
/* Bringing a file back from the trash that g_file_trash() put it into. freedesktop.org's trash specification 1.0: the
 * file stands in DIR/files, DIR/info/NAME.trashinfo says where it was; DIR is $XDG_DATA_HOME/Trash, or $TOP/.Trash/UID or
 * $TOP/.Trash-UID at the top folder of another drive, whose infos may give paths below $TOP. */
#pragma once

#include <gio/gio.h>

/* The newest that was at @path goes back there; nothing is replaced. ING_ERROR_NOT_FOUND if the trash has none, else as
 * the system says. Blocks: worker threads. */
gboolean ing_trash_restore (const char *path, GError **error);
