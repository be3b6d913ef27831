/* SPDX-License-Identifier: Apache-2.0 */
/* Widgets for parsed Markdown blocks, made new or brought up to date in place. Main thread only. */
#pragma once

#include "ing-markdown-parse.h"

#include <gtk/gtk.h>

G_BEGIN_DECLS

/* A table of more cells than this is shown as its text, in monospace. */
#define ING_MARKDOWN_MAX_CELLS 1500
/* A paragraph longer than this is cut into several labels (and loses its inline styles). */
#define ING_MARKDOWN_MAX_LABEL_BYTES (8 * 1024)

typedef struct
{
  gboolean growing;   /* more text will follow in the last block */
  GCallback activate; /* for "activate-link" of labels: gboolean (*) (GtkLabel *, const char *, user_data) */
  gpointer user_data;
} IngMarkdownBlocks;

/* A widget that shows @block: @existing (may be NULL) if it can be changed into it, else a new
 * floating one; then @existing is no longer of use to the caller. */
GtkWidget *ing_markdown_block_update (const IngMarkdownBlocks *self, GtkWidget *existing,
                                      const IngBlock *block);

/* The number that the first item of @list (a widget for an ordered list) shows. */
void ing_markdown_block_set_ordinal (GtkWidget *list, guint ordinal);

G_END_DECLS
