/* SPDX-License-Identifier: Apache-2.0 */
/* Markdown (CommonMark with tables, strikethrough, task lists and bare addresses) to a small tree
 * whose inline text is Pango markup. The grammar is md4c's; raw HTML is text, images are named and
 * never fetched.
 *
 * The text is hostile by assumption: whatever it holds, the markup is well formed, depth and number
 * of blocks are bounded, and only addresses that ing_markdown_address_is_safe() allows become links.
 *
 * Plain data, any thread. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Quotes and lists inside each other deeper than this are flattened. */
#define ING_MARKDOWN_MAX_DEPTH 8
/* A tree of more nodes than this is given up: the source is shown as it is. */
#define ING_MARKDOWN_MAX_BLOCKS 20000
/* Source longer than this is not parsed: it is shown as it is. */
#define ING_MARKDOWN_MAX_BYTES (64 * 1024)

typedef enum
{
  ING_BLOCK_ROOT,
  ING_BLOCK_PARAGRAPH,
  ING_BLOCK_HEADING,
  ING_BLOCK_CODE,
  ING_BLOCK_QUOTE,
  ING_BLOCK_LIST,
  ING_BLOCK_ITEM,
  ING_BLOCK_TABLE,
  ING_BLOCK_ROW,
  ING_BLOCK_CELL,
  ING_BLOCK_RULE,
} IngBlockKind;

typedef enum
{
  ING_TASK_NONE,
  ING_TASK_OPEN,
  ING_TASK_DONE,
} IngTaskState;

typedef struct _IngBlock IngBlock;

struct _IngBlock
{
  IngBlockKind kind;
  GPtrArray *children; /* owned IngBlock, or NULL */
  GString *text;       /* Pango markup; CODE: the code itself; else NULL */
  char *language;      /* CODE: first word of the info string, or NULL */
  guint level;         /* HEADING: 1…6; LIST: first number; TABLE: columns */
  gboolean ordered;    /* LIST */
  gboolean tight;      /* LIST */
  gboolean head;       /* ROW, CELL: of the header */
  float xalign;        /* CELL: 0, 0.5 or 1 */
  IngTaskState task;   /* ITEM */
};

void ing_block_free (IngBlock *self);

/* Parse @length bytes of valid UTF-8. Never NULL: what cannot be parsed within the bounds above comes
 * back as one block of code. */
IngBlock *ing_markdown_parse (const char *text, gsize length);

/* The text that markup made by this file shows. */
char *ing_markdown_dup_plain (const char *markup);

/* Close emphasis and code spans left open at the end of text that still grows, so that half-written
 * markers do not show and vanish. Returns a new string; @text is one chunk. */
char *ing_markdown_complete (const char *text, gsize length);

/* TRUE for http, https and mailto; everything else is never made a link or opened. */
gboolean ing_markdown_address_is_safe (const char *address);

/* The address as it will be opened, with a host name in its ASCII form (no look-alike letters).
 * For showing to a person. */
char *ing_markdown_dup_shown_address (const char *address);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (IngBlock, ing_block_free)

G_END_DECLS
