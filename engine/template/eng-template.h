/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: the subset of Jinja 3.1 that chat models ship, rendered as the model hub's
 * apply_chat_template does (trim_blocks, lstrip_blocks, loop controls, "generation" blocks,
 * raise_exception, strftime_now, tojson without HTML escapes, no autoescaping).
 *
 * Nothing is guessed: what the subset lacks (include, import, recursive loops, attributes of Python
 * objects, …) is refused with its line. A template is hostile until proven otherwise: it reaches no
 * file, clock, environment or network, and the limits below stop it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "eng-json.h"
#include "eng-status.h"

/* Longest template, in bytes. */
#define ENG_TEMPLATE_MAX_SOURCE_BYTES ((size_t) 256 << 10)
/* Statements, parentheses, brackets within each other in the source. */
#define ENG_TEMPLATE_MAX_NESTING 100
/* Evaluations within each other while rendering, macro calls included. A thread that renders should
 * have 1 MiB of stack (400 KiB are used at this depth, measured with gcc 12 -O3 on x86-64). */
#define ENG_TEMPLATE_MAX_DEPTH 600
/* Work of one rendering: a step for each node evaluated, item visited and 32 bytes copied or
 * allocated. The second number is added for every byte of text in the variables, so that a long
 * conversation may take longer. */
#define ENG_TEMPLATE_MAX_STEPS 1000000
#define ENG_TEMPLATE_STEPS_PER_BYTE 8
/* Bytes of rendered text, and of all values alive in one rendering; again plus so many for each
 * byte of the variables. */
#define ENG_TEMPLATE_MAX_OUTPUT_BYTES ((size_t) 16 << 20)
#define ENG_TEMPLATE_OUTPUT_PER_BYTE 4
#define ENG_TEMPLATE_MAX_MEMORY_BYTES ((size_t) 64 << 20)
#define ENG_TEMPLATE_MEMORY_PER_BYTE 64
/* Elements range () may count, as in Jinja's sandbox. */
#define ENG_TEMPLATE_MAX_RANGE 100000

/* A parsed template: immutable, so that any number of threads may render it at once. */
typedef struct EngTemplate EngTemplate;

/* A stretch of the rendered text. Text the template wrote itself (its data and its string literals,
 * bos_token and the other *_token variables, role names, the date) may become control tokens;
 * @inserted text came from the variables (what people, documents and tools wrote) and must not.
 *
 * Marks follow each part of a string through concatenation, slices, strip, replace, split, join,
 * case changes and macros. Where a filter mixes (tojson, a list's text, format), the whole result
 * counts as inserted if any part was. */
typedef struct
{
  size_t offset, n_bytes;
  bool inserted;
} EngTemplateSpan;

/* Zero-initialize; free with eng_template_output_clear (). */
typedef struct
{
  char *text; /* UTF-8, NUL-terminated; may hold NUL bytes of the messages as well */
  size_t n_bytes;
  EngTemplateSpan *spans; /* cover the text without gaps; neighbours differ in @inserted */
  size_t n_spans;
  /* When rendering failed with ENG_ERR_TEMPLATE: the whole message as Jinja would have worded it,
   * not shortened and not made printable as EngError's is. NULL otherwise. */
  char *message;
  size_t message_bytes;
  /* That message is one the template raised itself, with raise_exception (). */
  bool raised;
} EngTemplateOutput;

/* Parses the @n_bytes of UTF-8 at @source. On failure *tmpl is NULL and @error has the line, the
 * column in its text and the byte offset: ENG_ERR_TEMPLATE (a mistake in the template),
 * ENG_ERR_UNSUPPORTED (Jinja, but not in this subset), ENG_ERR_LIMIT, ENG_ERR_NO_MEMORY. */
EngStatus eng_template_parse (const char *source, size_t n_bytes, EngTemplate **tmpl,
                              EngError *error);
void eng_template_free (EngTemplate **tmpl);

/* True if the template mentions a variable of this name (such as "tools" or "enable_thinking"). */
bool eng_template_mentions (const EngTemplate *tmpl, const char *name);

/* Renders with the members of the object @vars (messages, tools, add_generation_prompt, bos_token,
 * enable_thinking, …) as variables; a variable that is absent is undefined, null is None.
 * @now, local time, is what strftime_now () formats; NULL leaves that function undefined, and
 * templates then fall back to a date of their own.
 *
 * @out must be zeroed or cleared. Errors as above, with the line where rendering stopped;
 * ENG_ERR_TEMPLATE also when the template raises: @error->field is then "raise_exception" and the
 * text is the template's own, made printable. @vars is only read. Any thread. */
EngStatus eng_template_render (const EngTemplate *tmpl, const EngJson *vars, const struct tm *now,
                               EngTemplateOutput *out, EngError *error);
void eng_template_output_clear (EngTemplateOutput *out);
