/* SPDX-License-Identifier: Apache-2.0 */
/* Cuts Markdown source into top-level chunks that can be parsed one by one, so that text which
 * grows at its end needs only its last chunk parsed again.
 *
 * A chunk is a heading, a fenced or indented code block, one item of a top-level list, a quote, a
 * rule, or a run of lines up to a blank one (paragraph or table). Borders follow CommonMark 0.31
 * §3–§5 as far as a look at single lines can tell; what a chunk holds is decided by the parser.
 * Not supported by this cut: link reference definitions used from another chunk.
 *
 * Invariant: once a line feed has been seen, the border decisions for the lines before it never
 * change; only chunks that start at or after the last line feed are provisional.
 *
 * Plain data, no toolkit; one owner, any thread. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum
{
  ING_CHUNK_PARAGRAPH, /* also tables and setext headings */
  ING_CHUNK_HEADING,
  ING_CHUNK_FENCE,
  ING_CHUNK_INDENTED,
  ING_CHUNK_LIST_ITEM,
  ING_CHUNK_QUOTE,
  ING_CHUNK_RULE,
} IngChunkKind;

typedef struct
{
  gsize start;  /* byte offset in the source */
  gsize length; /* bytes, up to the next chunk or the end */
  IngChunkKind kind;
  gboolean after_blank; /* a blank line stands before it */
  gboolean closed;      /* FENCE: its closing line has been seen */
  char marker;          /* LIST_ITEM: one of - + * . ) */
  guint ordinal;        /* LIST_ITEM of an ordered list: its number, counted on from the first; else 0 */
  gsize fence_head;     /* FENCE: length of the opening line, line feed included */
} IngChunk;

typedef struct _IngChunker IngChunker;

IngChunker *ing_chunker_new (void);
void ing_chunker_free (IngChunker *self);

/* Forget everything. */
void ing_chunker_reset (IngChunker *self);

/* Look at @text, whose first bytes are those of the call before (none after a reset): only bytes
 * behind its last line feed are read again. Returns the index of the first chunk that may differ
 * from before; all chunks before it are as they were, length included. */
guint ing_chunker_feed (IngChunker *self, const char *text, gsize length);

guint ing_chunker_get_n_chunks (const IngChunker *self);

/* Borrowed until the next feed or reset. @i < n_chunks. */
const IngChunk *ing_chunker_get_chunk (const IngChunker *self, guint i);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (IngChunker, ing_chunker_free)

G_END_DECLS
