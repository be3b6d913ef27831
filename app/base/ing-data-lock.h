/* SPDX-License-Identifier: Apache-2.0 */
/* The lock on a data folder: one process owns it. An open-file-description lock (fcntl F_OFD_SETLK), so
 * that it ends with the process however that ends, and is not lost when some other descriptor of the
 * file is closed. The file holds "pid owner\n" for the message; it is never deleted. */
#pragma once

#include <gio/gio.h>

typedef struct _IngDataLock IngDataLock;

/* ING_ERROR_LOCKED (needed = pid; field = owner) if another process, or this one, holds it; else errors
 * of the file system. Does not wait. */
IngDataLock *ing_data_lock_take (const char *folder, const char *owner, GError **error);
void ing_data_lock_free (IngDataLock *lock);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (IngDataLock, ing_data_lock_free)
