/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a document through inglenook-reader, a confined child that alone parses it (reader-wire.h): one child a
 * document, gone when the call returns. What it says is checked and not believed.
 *
 * Both calls block until the document is read; call them from a thread of your own. Cancelling kills the child
 * and returns within 200 ms (G_IO_ERROR_CANCELLED).
 *
 * Errors, with the path as field: ING_ERROR_NOT_FOUND, _PERMISSION, _IO; _FORMAT (broken, or it ended the child: do
 * not try it again unasked); _UNSUPPORTED (no document: the message says what); _PASSWORD, _WRONG_PASSWORD (a password that
 * ing-document-password.h knows is used, and forgotten if it is wrong); _PROTECTED; _LIMIT (too large or too slow);
 * _NO_MEMORY; ING_ERROR_FAILED (the reader is not installed). */
#pragma once

#include "ing-error.h"
#include "ing-page.h"

G_BEGIN_DECLS

typedef enum
{
  ING_BLOCK_PARAGRAPH,
  ING_BLOCK_HEADING,
  ING_BLOCK_ITEM,
  ING_BLOCK_ROW,
  ING_BLOCK_CODE
} IngBlockKind;

/* Texts are valid UTF-8, never NULL, and live during the call alone. */
typedef struct
{
  IngBlockKind kind;
  guint level;        /* of a heading, 1 … 6; else 0 */
  guint page;         /* from 1; slides and sheets are pages; 0 = the format has none */
  guint64 start;      /* characters before it in the document's text: blocks joined by two line feeds */
  gboolean recognized; /* read out of a picture: never by the reader */
  gboolean hidden;    /* no eye would see it: white, tiny or off the page */
  const char *text;   /* at most 64 KiB; cells of a row parted by tabs */
  const char *path;   /* headings above, joined by " › " */
  const char *header; /* of a row: the names of its columns, parted by tabs */
} IngBlock;

typedef struct
{
  char *title; /* "" if it has none */
  char *kind;  /* "pdf", "docx", "markdown", … */
  guint pages;
  guint64 characters;
  char **notes; /* "no-text" (pictures of pages: a scan), "hidden-text", "wide-table", "broken-pages" */
  /* What held the child: seccomp's filter, Landlock's ABI (0 = none), limits of time and memory. */
  gboolean seccomp, limits;
  int landlock;
} IngExtracted;

void ing_extracted_clear (IngExtracted *extracted);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (IngExtracted, ing_extracted_clear)

typedef struct
{
  /* Each block, in order, while the rest is still being read. FALSE = enough: the call ends as cancelled. */
  gboolean (*block) (const IngBlock *block, gpointer data);
  void (*progress) (guint done, guint total, gpointer data); /* pages; may be NULL */
  /* Page @page of @pages is a picture, and what comes next stands behind it; may be NULL. @title is the document's ("" if it
   * has none). May take its time. FALSE as of block. */
  gboolean (*scan) (guint page, guint pages, const char *title, gpointer data);
  gpointer data;
} IngReaderHandler;

gboolean ing_reader_extract (const char *path, const IngReaderHandler *handler, GCancellable *cancellable,
                             IngExtracted *out, GError **error);

/* @page from 1; @width 1 … 8192 pixels; @find may be NULL. */
gboolean ing_reader_draw_page (const char *path, guint page, guint width, const char *find,
                               GCancellable *cancellable, IngPagePicture *out, GError **error);

G_END_DECLS
