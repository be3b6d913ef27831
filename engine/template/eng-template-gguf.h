/* SPDX-License-Identifier: Apache-2.0 */
/* The chat template of a model file and the variables that come with it. */
#pragma once

#include <stdbool.h>

#include "eng-gguf.h"
#include "eng-json.h"
#include "eng-template.h"

/* The source of the template stored under tokenizer.chat_template, a view into @gguf; with @tools,
 * the one made for tools (tokenizer.chat_template.tool_use) where the file has such.
 * ENG_ERR_NOT_FOUND: the model has none and can only continue plain text. */
EngStatus eng_template_source_from_gguf (const EngGguf *gguf, bool tools, EngGgufString *source,
                                         EngError *error);
/* Finds and parses it; errors also as eng_template_parse (). */
EngStatus eng_template_from_gguf (const EngGguf *gguf, bool tools, EngTemplate **tmpl,
                                  EngError *error);

/* Writes the member "template" into the object open in @w, if the file has one: {"hash": 16 hexadecimal digits, FNV-1a (64 bits) of
 * its text without white space at the end; "foreign": a sign that opens turns in it and is no token of the file's vocabulary,
 * so that the template may be another model's; only where there is one}. */
void eng_template_write_origin (EngJsonWriter *w, const EngGguf *gguf);

/* Writes the members that every rendering starts from into the object open in @w, as the model
 * hub's apply_chat_template passes them: tools and documents null, add_generation_prompt, and the
 * special tokens' texts (bos_token, eos_token, …) that the file names; @gguf may be NULL. Members
 * written after them override (eng-json.h: the last of a name wins). */
void eng_template_write_variables (EngJsonWriter *w, const EngGguf *gguf,
                                   bool add_generation_prompt);
