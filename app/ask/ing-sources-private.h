/* SPDX-License-Identifier: Apache-2.0 */
/* Sources as the terminal and the model get them. */
#pragma once

#include <json-glib/json-glib.h>

#include "ing-sources.h"

/* [{"document", "page", "heading", "recognized", "text", "score"}, …]; @stored adds "path", for reading them again. */
JsonArray *ing_sources_make_json (const IngFound *found, gboolean stored);
/* "[1] name, page 3 › heading" and the text, for a terminal or a model. Caller frees. */
char *ing_sources_format (const IngPassage *passage, guint number, gboolean with_text);
