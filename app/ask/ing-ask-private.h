/* SPDX-License-Identifier: Apache-2.0 */
/* One question from a command line, wherever it came from. */
#pragma once

#include "ing-ask.h"

#define ING_ASK_OK 0
#define ING_ASK_FAILED 1
#define ING_ASK_USAGE 2
#define ING_ASK_INTERRUPTED 130
#define ING_ASK_MAX_BYTES (16u * 1024u * 1024u) /* of standard input */

typedef struct
{
  char *model;      /* path or name; NULL = as the program would */
  char **documents;   /* paths; NULL = none */
  char **collections; /* names; NULL = none */
  gint64 conversation; /* 0 = a new one */
  gboolean search;    /* passages alone */
  guint n_passages;   /* 0 = as usual */
  char *history;      /* file of earlier messages; NULL */
  gboolean json, offline, help, version;
  gboolean from_stdin;
  char *question; /* NULL when from_stdin */
} IngAskOptions;

/* @argv: the words after "ask" or, with @search, "search". Relative paths are of @folder. A failure's message is one line for the
 * person (bad usage). Caller frees the result. */
IngAskOptions *ing_ask_options_parse (char **argv, gboolean search, const char *folder, GError **error);
void ing_ask_options_free (IngAskOptions *options);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (IngAskOptions, ing_ask_options_free)
const char *ing_ask_get_usage (void); /* translated */

/* Where the answer goes. */
typedef struct
{
  void (*out) (const char *text, gpointer data);
  void (*err) (const char *text, gpointer data);
  void (*done) (int exit_code, gpointer data); /* once; nothing is called after it */
  char *(*password) (const char *question);    /* as ing_ask_read_password (); NULL where nobody can be asked */
} IngAskSink;

typedef struct _IngAsk IngAsk;

/* Answer @options' question with @workspace, which is open; both must live until done. */
IngAsk *ing_ask_start (IngWorkspace *workspace, const IngAskOptions *options,
                       const IngAskSink *sink, gpointer data);
/* Ctrl+C: what came stays, then done with ING_ASK_INTERRUPTED. */
void ing_ask_interrupt (IngAsk *ask);
void ing_ask_free (IngAsk *ask); /* after done */

/* What is typed after @question on the terminal, without an echo; NULL: there is no terminal, nothing was typed, or Ctrl+C.
 * Caller frees with ing_document_password_free (). */
char *ing_ask_read_password (const char *question);

/* The documents that @options asks: those named and those of the collections named, whose folders are looked at first where
 * they are followed; without any, those of @options' conversation and of the collections that it asks. Finish: a list of
 * IngDocument, the caller's; NULL without an error: none is asked. */
void ing_ask_documents_async (IngWorkspace *workspace, const IngAskOptions *options, GCancellable *cancellable,
                              GAsyncReadyCallback callback, gpointer user_data);
GListModel *ing_ask_documents_finish (GAsyncResult *result, GError **error);

/* Text of a model made harmless for a terminal: no control characters but newline and tab. */
char *ing_ask_make_printable (const char *text);
