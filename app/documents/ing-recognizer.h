/* SPDX-License-Identifier: Apache-2.0 */
/* Text of pages that are pictures, by tesseract where that is installed: a program of its own, which gets a picture of the
 * page and is confined as the reader is (it starts as inglenook-reader, which gives up the same things first). One thread;
 * blocks. */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

typedef struct _IngRecognizer IngRecognizer;

/* NULL: tesseract is not installed, or without a language. */
IngRecognizer *ing_recognizer_new (GCancellable *cancellable);
void ing_recognizer_free (IngRecognizer *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (IngRecognizer, ing_recognizer_free)

/* The languages of a document, joined by "+" as tesseract wants them, out of @installed, whose texts are written in @script
 * (as tesseract names it: "Latin", "Han", …; NULL = unknown, then others are tried, too) and which the person's @locales ("zh_CN", "de", …) suggest: three
 * at most, since each costs time. "" if none is installed. Caller frees. */
char *ing_recognizer_choose_languages (const char *const *installed, const char *const *locales, const char *script);

/* The paragraphs in @tsv, tesseract's table of words, as far as they look like text and not like a picture that was taken
 * for some. Of strings. */
GPtrArray *ing_recognizer_read_table (const char *tsv);

/* Paragraphs of page @page (from 1) of the PDF at @path; empty where nothing on it reads as text. The first page of a
 * document tells its script. Errors: those of ing-reader-client.h for the page; a page that tesseract fails at is empty. Cancelling returns
 * within 200 ms. */
GPtrArray *ing_recognizer_read_page (IngRecognizer *self, const char *path, guint page, GCancellable *cancellable,
                                     GError **error);

G_END_DECLS
