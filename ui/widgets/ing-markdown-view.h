/* SPDX-License-Identifier: Apache-2.0 */
/* Markdown as native widgets, for text that grows.
 *
 * Paragraphs and headings are labels, lists and quotes boxes, tables grids, code an IngCodeBlock. When
 * text is set that begins with the text shown, only the chunk that grows (and what follows) is parsed
 * and laid out again. Nothing is ever fetched; an address opens only after a press that shows it.
 * Signal "citation" (guint): a link to "citation:N" was pressed; nothing opens by itself.
 * Text can be selected across blocks. While it grows, a caret stands at its end. Main thread only. */
#pragma once

#include <gtk/gtk.h>

G_BEGIN_DECLS

#define ING_TYPE_MARKDOWN_VIEW (ing_markdown_view_get_type ())
G_DECLARE_FINAL_TYPE (IngMarkdownView, ing_markdown_view, ING, MARKDOWN_VIEW, GtkWidget)

/* Outside code, at most this much source is shown; a line says how much is not (copying has it all). */
#define ING_MARKDOWN_VIEW_MAX_BYTES (512 * 1024)

GtkWidget *ing_markdown_view_new (void);

/* Show @text (copied; made valid UTF-8). @growing: more will follow. Cost: a comparison of bytes with
 * the text shown, and parsing and layout of what is new. */
void ing_markdown_view_set_text (IngMarkdownView *self, const char *text, gboolean growing);

/* The source as set. */
const char *ing_markdown_view_get_text (IngMarkdownView *self);

/* What is selected, as plain text; "" if nothing. */
char *ing_markdown_view_dup_selection (IngMarkdownView *self);
void ing_markdown_view_select_all (IngMarkdownView *self);

/* Mark every match of @needle (case-folded; NULL or "": none). Returns how many there are. */
guint ing_markdown_view_set_needle (IngMarkdownView *self, const char *needle);

/* Number of chunks parsed since the view was made: lets a test see that growth costs only its end. */
guint64 ing_markdown_view_get_n_parsed (IngMarkdownView *self);

/* The plain text of all blocks in order, as a copy of everything would have it. */
char *ing_markdown_view_dup_plain (IngMarkdownView *self);

G_END_DECLS
