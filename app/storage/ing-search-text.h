/* SPDX-License-Identifier: Apache-2.0 */
/* Text for the full-text index. SQLite's unicode61 tokenizer takes a run of Chinese, Japanese or Korean
 * characters for one word, so such runs are cut into overlapping pairs: 取暖费 → "取暖 暖费 费". The last character
 * stands alone too, so that each single character begins some token. Any thread. */
#pragma once

#include <glib.h>

gboolean ing_search_is_cjk (gunichar c);

/* @text as it goes into the index. Caller frees. */
char *ing_search_text_for_index (const char *text);

/* A query of FTS5 that finds all words of @query literally, the last one as a beginning; NULL if there
 * is no word in it. At most ING_SEARCH_MAX_WORDS words are looked at. Caller frees. */
#define ING_SEARCH_MAX_WORDS 32
char *ing_search_text_for_query (const char *query);

/* The first place in @text where a word of @query stands, case ignored; bytes. FALSE if none. */
gboolean ing_search_text_find (const char *text, const char *query, gsize *start, gsize *end);
