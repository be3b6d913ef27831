/* SPDX-License-Identifier: Apache-2.0 */
/* The passages that a question was asked with: they go to the model before the question, are stored with it, and stay
 * readable when the document is gone. Main thread only. */
#pragma once

#include "ing-document-library.h"
#include "ing-message.h"

G_BEGIN_DECLS

/* A part for ing_conversation_send(). Caller unrefs. */
IngPart *ing_sources_make_part (const IngFound *found);

/* The passages of @question, of IngPassage, in the order of their numbers; NULL if it was asked without. Caller unrefs. */
GPtrArray *ing_sources_dup (IngMessage *question);

/* "lease.pdf, page 3 › Rent". Caller frees. */
char *ing_sources_dup_place (const IngPassage *passage);

/* Where the file of @passage is: where it was read, or where the same content has moved to. Caller frees. */
char *ing_sources_dup_path (IngDocumentLibrary *library, const IngPassage *passage);

G_END_DECLS
