/* SPDX-License-Identifier: Apache-2.0 */
/* What documents say to a question from a command line: read those not indexed yet, then search. */
#pragma once

#include <json-glib/json-glib.h>

#include "ing-ask-private.h"
#include "ing-document-library.h"

typedef struct _IngAskDocuments IngAskDocuments;

typedef struct
{
  /* A line for the person: a file that cannot be read. */
  void (*say) (const char *line, gpointer data);
  /* Once, unless freed before: @found is taken; or an error. */
  void (*done) (IngFound *found, const GError *error, gpointer data);
} IngAskDocumentsHandler;

/* @earlier: the question before, NULL = none. */
IngAskDocuments *ing_ask_documents_start (IngWorkspace *workspace, const IngAskOptions *options,
                                          const char *earlier, const IngAskDocumentsHandler *handler,
                                          gpointer data);
void ing_ask_documents_free (IngAskDocuments *self); /* any time */

/* [{"document", "page", "heading", "text", "score"}, …] */
JsonArray *ing_ask_make_passages (const IngFound *found);
/* "[1] name, page 3 › heading" and the text, for a terminal or a model. Caller frees. */
char *ing_ask_format_passage (const IngPassage *passage, guint number, gboolean with_text);
