/* SPDX-License-Identifier: Apache-2.0 */
/* Cuts the blocks of a document into chunks for both indexes: at sentences and headings, each together with its
 * prefix (title › headings › page) within what the embedding model sees. Every character of a block that is not
 * hidden stands in some chunk. Any thread. */
#pragma once

#include "ing-reader-client.h"

/* Tokens of a chunk with its prefix: MiniLM was trained on 256, two of them marks. */
#define ING_CHUNK_TOKENS 254
/* The prefix is cut to this many. */
#define ING_CHUNK_PREFIX_TOKENS 56

typedef struct
{
  char *text;    /* the passage as it is shown */
  char *path;    /* headings, joined by " › "; "" if none */
  guint page;    /* of its beginning; 0 = none */
  guint64 start; /* characters before it in the document's text */
  gsize overlap; /* bytes at its beginning that end the chunk before it too */
  gboolean recognized; /* all of it was read out of a picture of the page */
} IngChunk;
void ing_chunk_free (IngChunk *chunk);

typedef struct _IngChunker IngChunker;

/* @chunk is called with each chunk as it is done, which it takes. */
IngChunker *ing_document_chunker_new (void (*chunk) (IngChunk *chunk, gpointer data), gpointer data);
void ing_document_chunker_feed (IngChunker *self, const IngBlock *block);
/* What was fed since the last chunk is one, however short: it can be searched while more is on its way. */
void ing_document_chunker_close (IngChunker *self);
/* Hands over the last one and frees. */
void ing_document_chunker_finish (IngChunker *self);

/* At least as many tokens as WordPiece of BERT makes of @text, nearly always; never counts short words twice. */
guint ing_chunk_estimate_tokens (const char *text, gsize n_bytes);

/* The end of the sentence that begins at @p, the spaces behind it included. */
const char *ing_chunk_sentence_end (const char *p);

/* "title › headings › p. 12", cut to ING_CHUNK_PREFIX_TOKENS from the left; "" if nothing is known. Caller frees. */
char *ing_chunk_make_prefix (const char *title, const char *path, guint page);
