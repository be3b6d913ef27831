/* SPDX-License-Identifier: Apache-2.0 */
/* Fetching again only the blocks of a file that have changed. */
#pragma once

#include <gio/gio.h>

typedef struct
{
  const char *path, *uri;
  const char *sha256; /* of the whole file, as it was */
  const char *blocks; /* as ing_hasher_blocks_to_text() */
  guint64 bytes;      /* as it was */
  const char *proxy;  /* as IngHttp's */
} IngRepair;

/* Reads @repair->path, fetches each block whose sum is not the kept one, and writes it only if its sum is; the file gets
 * its length back, and its hash decides. *@n_fetched: blocks. Blocks the thread.
 * ING_ERROR_HASH: the server has another file now, or the sums were no help; only right blocks were written.
 * ING_ERROR_UNSUPPORTED: the server does no ranges. And errors of the HTTP client and the disk. */
gboolean ing_repair_run (const IngRepair *repair, guint *n_fetched, GCancellable *cancellable, GError **error);
