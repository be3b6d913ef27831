/* SPDX-License-Identifier: Apache-2.0 */
/* A title from a question: its first words, without Markdown's marks, at most 48 columns (a Chinese,
 * Japanese or Korean character counts two), cut at a word's end with "…". "" if there is nothing to take.
 * Any thread; caller frees. */
#pragma once

#include <glib.h>

char *ing_title_from_question (const char *question);
