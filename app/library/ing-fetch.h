/* SPDX-License-Identifier: Apache-2.0 */
/* One file from a server into a part on the disk, whatever the server does: several connections, each with its span;
 * a broken one goes on where it was (Range with If-Range); a file that changed on the server, or a server that does
 * not do ranges, starts over, and says so. Blocks: a worker thread, with threads of its own.
 *
 * Errors:
 *   ING_ERROR_NETWORK      nothing moved for all tries: go on later with the same part
 *   ING_ERROR_DISK_FULL, _READ_ONLY, _IO, …  the part keeps what it has
 *   ING_ERROR_GATED, _NOT_FOUND, _SERVER, _NOT_TRUSTED, _OFFLINE  the part keeps what it has
 *   ING_ERROR_HASH, _NOT_A_MODEL  the part was emptied
 *   G_IO_ERROR_CANCELLED   the part keeps what it has */
#pragma once

#include "ing-part.h"

typedef struct
{
  const char *uri, *page; /* page: for a person, see ING_ERROR_GATED; NULL = uri */
  const char *proxy;      /* NULL = the desktop's */
  guint64 size;           /* promised; ING_PART_UNKNOWN */
  const char *sha256;     /* promised; NULL */
  guint64 max_bytes;      /* of a body without length; 0 = no limit but the disk */
  gboolean gguf;          /* must begin as such a file does */
  guint n_connections;    /* 1 … 16 */

  /* Called from several threads, one at a time. */
  gboolean (*checkpoint) (const char *text, gpointer data, GError **error);
  void (*progress) (guint64 done, guint64 size, gpointer data); /* size may be ING_PART_UNKNOWN */
  /* What happens, for a person, translated; NULL = nothing special. */
  void (*notice) (const char *text, gpointer data);
  gpointer data;
} IngFetchRequest;

/* How patient it is; tests are less so. Changed before threads exist only. */
typedef struct
{
  guint backoff_ms;         /* first pause between tries, doubled up to 64 times */
  guint max_tries;          /* in a row that moved nothing */
  guint slow_s;             /* as many seconds below slow_bytes make a new connection */
  guint64 slow_bytes;
  guint64 piece_bytes;      /* of one request */
  guint64 min_split;        /* of a span, on each side */
  guint64 checkpoint_bytes; /* a checkpoint after so many */
  guint checkpoint_ms;      /* or after so long */
} IngFetchPatience;
extern IngFetchPatience ing_fetch_patience;

/* The part is complete and has the promised hash on TRUE; *@sha256 is its hash, *@blocks as IngHasher's. */
gboolean ing_fetch_run (const IngFetchRequest *request, IngPart *part, char **sha256, GArray **blocks,
                        GCancellable *cancellable, GError **error);
