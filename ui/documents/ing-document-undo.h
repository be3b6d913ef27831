/* SPDX-License-Identifier: Apache-2.0 */
/* "Document removed — Undo": what a person took away comes back for some seconds. Main thread. */
#pragma once

#include "ing-app.h"

#include <adwaita.h>

G_BEGIN_DECLS

/* Says @words over @toasts (NULL = says nothing). Undo adds @paths, files and folders, to @owner again. What was removed of
 * the same owner while that is still offered comes back with it; @words are then replaced by the number of both. */
void ing_document_undo_offer (AdwToastOverlay *toasts, IngCollections *collections, gint64 owner, const char *words,
                              const char *const *paths);

G_END_DECLS
