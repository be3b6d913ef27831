/* SPDX-License-Identifier: Apache-2.0 */
/* inglenook-reader as a child: started with a descriptor as its input, read from until it ends, killed when that is enough.
 * One thread a child. */
#pragma once

#include <gio/gio.h>
#include <sys/types.h>

G_BEGIN_DECLS

/* A descriptor of the ordinary file at @path, which the caller closes, or -1: ING_ERROR_UNSUPPORTED for a pipe, a device
 * or a folder, _LIMIT for more bytes than are read, and those of the system. Never waits. */
int ing_reader_open (const char *path, GError **error);

typedef struct
{
  const char *path; /* of the document, for errors */
  GCancellable *cancellable;
  pid_t pid;
  int fd; /* of its output */
} IngReaderChild;

/* Starts it with @words (NULL at the end) as arguments, after path and cancellable were set. @input becomes its standard
 * input and is closed here, whatever happens; @password may be NULL. Errors: ING_ERROR_FAILED (it is not installed), those of
 * the system. */
gboolean ing_reader_child_start (IngReaderChild *child, int input, const char *password, const char *const *words,
                                 GError **error);
/* Waits for output: how many bytes came (at most @n), 0 at its end, -1 with an error (cancelled, or it said nothing for a
 * minute: ING_ERROR_LIMIT) or without one (it cannot be read any more). */
gssize ing_reader_child_read (IngReaderChild *child, void *data, gsize n, GError **error);
/* Ends it, however far it is; returns its status as waitpid () does. */
int ing_reader_child_finish (IngReaderChild *child);
/* After its output ended: lets it end by itself, so that its status tells why, but not for ever. */
int ing_reader_child_finish_closed (IngReaderChild *child);

G_END_DECLS
