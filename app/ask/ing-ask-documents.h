/* SPDX-License-Identifier: Apache-2.0 */
/* What documents say to a question from a command line: read those not indexed yet, then search. */
#pragma once

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
