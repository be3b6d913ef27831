/* SPDX-License-Identifier: Apache-2.0 */
/* From chunks to passages. Chunks are as small as the models that make their vectors need them; what is shown and
 * given to the chat model is a chunk with its neighbours, as much as ING_PASSAGE_TOKENS hold. On the database's
 * thread. */
#pragma once

#include "ing-document-table.h"
#include "ing-search-state.h"

/* By ing_chunk_estimate_tokens(); a chunk has some 150. What longer passages find more, and cost a chat model: docs/retrieval.md. */
#define ING_PASSAGE_TOKENS 560

/* At most @n passages, of @n_tokens together (0 = of ING_PASSAGE_TOKENS each), round the hits of @best (best first), none of
 * which stands in two of them; appended to @passages. A passage's id, heading and page are its hit's. It grows towards the
 * neighbour whose meaning is nearer to the question, not over the border of a page. With more than two documents
 * (@n_documents), one place is left to another one than the others are of. FALSE on error. */
gboolean ing_search_take_passages (IngDatabase *db, IngSearchState *state, GArray *best, guint n_documents, guint n,
                                   guint n_tokens, GPtrArray *passages, GError **error);
