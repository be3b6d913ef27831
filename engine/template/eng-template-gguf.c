/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-template-gguf.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "eng-error.h"
#include "eng-fnv.h"

/* What opens a turn in the families of templates that train it as one token. */
static const char *const openers[] = { "<|im_start|>", "<|start_header_id|>", "<start_of_turn>", "[gMASK]" };
#define N_OPENERS (sizeof openers / sizeof openers[0])

/* Keys of GGUF ("seperator" is how the format spells it) and the hub's names for them. */
static const struct
{
  const char *key, *name;
  uint32_t spm_default; /* where a model of kind "llama" says nothing; UINT32_MAX: none */
} special_tokens[] = {
  { "tokenizer.ggml.bos_token_id", "bos_token", 1 },
  { "tokenizer.ggml.eos_token_id", "eos_token", 2 },
  { "tokenizer.ggml.unknown_token_id", "unk_token", 0 },
  { "tokenizer.ggml.seperator_token_id", "sep_token", UINT32_MAX },
  { "tokenizer.ggml.padding_token_id", "pad_token", UINT32_MAX },
  { "tokenizer.ggml.cls_token_id", "cls_token", UINT32_MAX },
  { "tokenizer.ggml.mask_token_id", "mask_token", UINT32_MAX },
};
#define N_SPECIAL (sizeof special_tokens / sizeof special_tokens[0])

EngStatus
eng_template_source_from_gguf (const EngGguf *gguf, bool tools, EngGgufString *source,
                               EngError *error)
{
  static const char for_tools[] = "tokenizer.chat_template.tool_use";
  if (tools && eng_gguf_has_key (gguf, for_tools))
    return eng_gguf_get_string (gguf, for_tools, source, error);
  return eng_gguf_get_string (gguf, "tokenizer.chat_template", source, error);
}

EngStatus
eng_template_from_gguf (const EngGguf *gguf, bool tools, EngTemplate **tmpl, EngError *error)
{
  EngGgufString source;
  *tmpl = NULL;
  EngStatus status = eng_template_source_from_gguf (gguf, tools, &source, error);
  if (status)
    return status;
  return eng_template_parse (source.n_bytes ? source.data : "", (size_t) source.n_bytes, tmpl,
                             error);
}

static void
write_special_tokens (EngJsonWriter *w, const EngGguf *gguf)
{
  EngGgufString kind = { 0 }, text;
  EngGgufArray tokens;
  uint32_t ids[N_SPECIAL];
  if (eng_gguf_get_array (gguf, "tokenizer.ggml.tokens", ENG_GGUF_STRING, &tokens, NULL))
    return;
  bool spm = !eng_gguf_get_string (gguf, "tokenizer.ggml.model", &kind, NULL)
             && eng_gguf_string_equal (kind, "llama");
  for (size_t k = 0; k < N_SPECIAL; k++)
    {
      ids[k] = spm ? special_tokens[k].spm_default : UINT32_MAX;
      eng_gguf_get_u32 (gguf, special_tokens[k].key, &ids[k], NULL);
    }
  EngGgufStrings it = eng_gguf_array_get_strings (&tokens);
  for (uint32_t id = 0; eng_gguf_strings_next (&it, &text); id++)
    for (size_t k = 0; k < N_SPECIAL; k++)
      if (ids[k] == id)
        {
          eng_json_write_key (w, special_tokens[k].name);
          eng_json_write_string_n (w, text.n_bytes ? text.data : "", (size_t) text.n_bytes);
        }
}

void
eng_template_write_variables (EngJsonWriter *w, const EngGguf *gguf, bool add_generation_prompt)
{
  eng_json_write_key (w, "tools");
  eng_json_write_null (w);
  eng_json_write_key (w, "documents");
  eng_json_write_null (w);
  eng_json_write_member_bool (w, "add_generation_prompt", add_generation_prompt);
  if (gguf)
    write_special_tokens (w, gguf);
}

static bool
contains (EngGgufString text, const char *part)
{
  return memmem (text.data, text.n_bytes, part, strlen (part)) != NULL;
}

/* An opener that the template writes and the vocabulary has no token for; NULL = none. */
static const char *
find_foreign (const EngGguf *gguf, EngGgufString source)
{
  bool missing[N_OPENERS];
  bool any = false;
  EngGgufArray tokens;
  EngGgufString token;
  for (size_t i = 0; i < N_OPENERS; i++)
    any |= missing[i] = contains (source, openers[i]);
  if (!any || eng_gguf_get_array (gguf, "tokenizer.ggml.tokens", ENG_GGUF_STRING, &tokens, NULL) != ENG_OK)
    return NULL;
  EngGgufStrings it = eng_gguf_array_get_strings (&tokens);
  while (eng_gguf_strings_next (&it, &token))
    for (size_t i = 0; i < N_OPENERS; i++)
      if (missing[i] && eng_gguf_string_equal (token, openers[i]))
        missing[i] = false;
  for (size_t i = 0; i < N_OPENERS; i++)
    if (missing[i])
      return openers[i];
  return NULL;
}

void
eng_template_write_origin (EngJsonWriter *w, const EngGguf *gguf)
{
  EngGgufString source;
  char hex[17];
  if (eng_template_source_from_gguf (gguf, false, &source, NULL) != ENG_OK)
    return;
  size_t n = source.n_bytes;
  while (n > 0 && strchr (" \t\r\n", source.data[n - 1]) != NULL && source.data[n - 1] != '\0')
    n--;
  snprintf (hex, sizeof hex, "%016" PRIx64, eng_fnv_add (ENG_FNV_START, source.data, n));
  const char *foreign = find_foreign (gguf, source);
  eng_json_write_key (w, "template");
  eng_json_write_begin_object (w);
  eng_json_write_member_string (w, "hash", hex);
  if (foreign)
    eng_json_write_member_string (w, "foreign", foreign);
  eng_json_write_end_object (w);
}
