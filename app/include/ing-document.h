/* SPDX-License-Identifier: Apache-2.0 */
/* A document that is read and indexed, and a passage of one. */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* Numbers are stored: only append. */
typedef enum
{
  ING_DOCUMENT_WAITING = 1,
  ING_DOCUMENT_READING = 2, /* the file; progress in pages */
  ING_DOCUMENT_WORDS = 3,   /* found by words; by meaning soon */
  ING_DOCUMENT_READY = 4,
  ING_DOCUMENT_FAILED = 5 /* see error */
} IngDocumentState;

#define ING_TYPE_DOCUMENT (ing_document_get_type ())
G_DECLARE_FINAL_TYPE (IngDocument, ing_document, ING, DOCUMENT, GObject)

/* Properties, read-only and notifying on the main thread: "state", "fraction", "error". Main thread only. */

gint64 ing_document_get_id (IngDocument *self);
const char *ing_document_get_path (IngDocument *self);
const char *ing_document_get_name (IngDocument *self);  /* of the file, to show: ing_document_make_name () */
const char *ing_document_get_title (IngDocument *self); /* its own; "" if it has none */
const char *ing_document_get_kind (IngDocument *self);  /* "pdf", "docx", …; "" until read */
IngDocumentState ing_document_get_state (IngDocument *self);
/* The file is not there any more (of files in folders and collections that are watched): it is not searched. Notified as
 * "state". */
gboolean ing_document_get_gone (IngDocument *self);
double ing_document_get_fraction (IngDocument *self); /* 0 … 1, < 0 = unknown */
guint ing_document_get_n_pages (IngDocument *self);
/* The page, of *@n_pages, that is a picture and whose text is being recognized, while it is READING; 0 = none. Notified as
 * "fraction". */
guint ing_document_get_page (IngDocument *self, guint *n_pages);
/* It can be searched: all of it, or what was recognized so far. */
gboolean ing_document_is_searched (IngDocument *self);
guint ing_document_get_n_passages (IngDocument *self);
const GError *ing_document_get_error (IngDocument *self); /* why it failed; NULL */

/* TRUE once after each time that reading it ended, in this run of the program, for want of the right password: whoever gets
 * it asks the person. */
gboolean ing_document_take_locked (IngDocument *self);

/* The name of the file at @path as it is shown: ing_paths_make_display (). Caller frees. */
char *ing_document_make_name (const char *path);

/* A place in a document with its stored text, which stays when the file is gone. */
typedef struct
{
  gint64 document_id, id;
  char *document; /* name */
  char *path;     /* of the file */
  char *hash;     /* of its content when it was read; "" if unknown */
  guint page;     /* 0 = none */
  char *heading;  /* path of headings; "" if none */
  char *text;
  guint64 start; /* characters before it in the document's text */
  gsize overlap; /* bytes at its beginning that end the passage before it too */
  double score;  /* only to compare passages of one search */
  gboolean recognized; /* it was read out of a picture of the page, and may have mistakes */
} IngPassage;

#define ING_TYPE_PASSAGE (ing_passage_get_type ())
GType ing_passage_get_type (void);
IngPassage *ing_passage_copy (const IngPassage *passage);
void ing_passage_free (IngPassage *passage);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (IngPassage, ing_passage_free)

G_END_DECLS
