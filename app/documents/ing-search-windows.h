/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a chunk that get vectors of their own: a question asked in other words is near to the sentences that
 * answer it and less so to all that stands round them. Any thread. */
#pragma once

#include <glib.h>

/* Parts of @chunk, "prefix LF text", at the ends of sentences, each behind the nearest heading; appended to @windows,
 * caller's strings. One at least. */
void ing_search_cut_windows (const char *chunk, GPtrArray *windows);
