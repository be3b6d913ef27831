/* SPDX-License-Identifier: Apache-2.0 */
/* The unfinished part of a download on the disk: which bytes are there, which are being fetched by whom, their
 * hash as far as they are there in a row, and the checkpoint that survives the program. Locked: any thread.
 *
 * Invariants:
 *  1. Spans are sorted, do not overlap, and cover [0, size) or, while the size is unknown, [0, ∞).
 *  2. Bytes of [start, at) of a span have been written; nobody but the span's owner moves `at`.
 *  3. A checkpoint says of no byte that it is there which fdatasync() has not seen.
 *  4. [at, asked) of an owned span is its owner's until it gives it back. */
#pragma once

#include "ing-error-private.h"
#include "ing-hasher.h"

#define ING_PART_UNKNOWN G_MAXUINT64

typedef struct _IngPart IngPart;
typedef struct _IngPartSpan IngPartSpan;

/* Opens or makes @path and takes up @checkpoint (NULL = none) as far as file and text agree; else it is empty. */
IngPart *ing_part_open (const char *path, const char *checkpoint, GError **error);
void ing_part_free (IngPart *part); /* stops the hasher; the file stays */
/* Forget all bytes and what the server said. No span may be owned. */
gboolean ing_part_reset (IngPart *part, GError **error);

guint64 ing_part_get_size (IngPart *part);
guint64 ing_part_get_done (IngPart *part);
gboolean ing_part_is_complete (IngPart *part);
gboolean ing_part_is_described (IngPart *part); /* see ing_part_describe() */
char *ing_part_dup_etag (IngPart *part);
char *ing_part_dup_last_modified (IngPart *part);
/* What the server says of its file. Sets the size if it is unknown so far, and makes room on the disk:
 * ING_ERROR_DISK_FULL with what is needed and free. */
gboolean ing_part_describe (IngPart *part, guint64 size, const char *etag, const char *last_modified,
                            GError **error);

/* A span nobody fetches, or the later half of the one with most to do, behind what has been asked for, if that is at
 * least @min_split bytes (0 = never); now the caller's. NULL = nothing to do. */
IngPartSpan *ing_part_take (IngPart *part, guint64 min_split);
void ing_part_give (IngPart *part, IngPartSpan *span);
/* Where the next request for the span should end: @piece bytes on at most. Nobody is given any of it meanwhile, so that
 * no connection is cut with bytes on their way. */
guint64 ing_part_ask (IngPart *part, IngPartSpan *span, guint64 piece);
guint64 ing_part_span_get_at (IngPart *part, IngPartSpan *span);
guint64 ing_part_span_get_end (IngPart *part, IngPartSpan *span); /* can come nearer */
/* At the span's place. *@wanted: bytes that belonged there, fewer than @n if the span ends before. */
gboolean ing_part_write (IngPart *part, IngPartSpan *span, const guint8 *bytes, gsize n, gsize *wanted,
                         GError **error);
/* The file ends at the span's place: the server said so. */
void ing_part_end_here (IngPart *part, IngPartSpan *span);

/* Sync, then the text to be stored. NULL on error. Blocks. */
char *ing_part_checkpoint (IngPart *part, GError **error);

/* Wait until all of a complete part is hashed. Lower-case hex, NULL if cancelled or on error. @blocks: see IngHasher;
 * may be NULL. */
char *ing_part_wait_hash (IngPart *part, GArray **blocks, GCancellable *cancellable, GError **error);
gboolean ing_part_sync (IngPart *part, GError **error);
/* The file ends where its bytes do, all of them on the disk: the last step before it gets its name. */
gboolean ing_part_settle (IngPart *part, GError **error);
