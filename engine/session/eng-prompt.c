/* SPDX-License-Identifier: Apache-2.0 */
/* Messages or text to token ids. What a template writes by itself may spell control tokens; what came
 * from people, documents and tools never does: template and tokenizer mark it span by span. */
#include <string.h>
#include <time.h>

#include "eng-session-private.h"

#define MAX_VARS 256u

static EngJson
string_value (const char *key, const char *text, size_t n)
{
  return (EngJson) { .type = ENG_JSON_STRING, .key = key, .key_bytes = (uint32_t) strlen (key),
                     .string = text, .n = n };
}

/* A member named as the token of @id, if there is one. */
static void
add_token (const EngTokenizer *tokenizer, const char *key, int32_t id, EngJson *items, size_t *n)
{
  const char *text;
  size_t n_bytes;
  if (id != ENG_TOKEN_NONE && eng_tokenizer_get_piece (tokenizer, id, &text, &n_bytes))
    items[(*n)++] = string_value (key, text, n_bytes);
}

static bool
is_own_name (const char *key)
{
  return strcmp (key, "messages") == 0 || strcmp (key, "bos_token") == 0
         || strcmp (key, "eos_token") == 0 || strcmp (key, "pad_token") == 0;
}

/* The template's variables: the caller's, then messages and the tokens' names, which are not theirs to set. */
static EngStatus
make_vars (const EngSession *s, const EngPrompt *prompt, EngArena *arena, EngJson *root,
           EngError *error)
{
  size_t n_given = prompt->vars ? prompt->vars->n : 0, n = 0;
  if (prompt->messages->type != ENG_JSON_ARRAY
      || (prompt->vars && prompt->vars->type != ENG_JSON_OBJECT) || n_given > MAX_VARS)
    return eng_error_set (error, ENG_ERR_ARGUMENT,
                          prompt->messages->type != ENG_JSON_ARRAY ? "messages" : "vars",
                          ENG_OFFSET_NONE, "messages must be a list, variables an object");
  EngJson *items = eng_arena_alloc_array (arena, n_given + 8, sizeof *items);
  if (!items)
    return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE, "no memory");
  bool has_generation_prompt = false;
  for (size_t i = 0; i < n_given; i++)
    {
      const EngJson *item = eng_json_at (prompt->vars, i);
      if (is_own_name (item->key))
        continue;
      has_generation_prompt |= strcmp (item->key, "add_generation_prompt") == 0;
      items[n++] = *item;
    }
  items[n] = *prompt->messages;
  items[n].key = "messages";
  items[n++].key_bytes = 8;
  if (!has_generation_prompt)
    items[n++] = (EngJson) { .type = ENG_JSON_BOOL, .boolean = true, .key = "add_generation_prompt",
                             .key_bytes = 21 };
  add_token (s->tokenizer, "bos_token", eng_tokenizer_get_bos (s->tokenizer), items, &n);
  add_token (s->tokenizer, "eos_token", eng_tokenizer_get_eos (s->tokenizer), items, &n);
  add_token (s->tokenizer, "pad_token", eng_tokenizer_get_pad (s->tokenizer), items, &n);
  *root = (EngJson) { .type = ENG_JSON_OBJECT, .items = items, .n = n };
  return ENG_OK;
}

static EngStatus
encode_rendered (const EngSession *s, const EngTemplateOutput *rendered, const EngPrompt *prompt,
                 EngArena *arena, EngTokenBuffer *ids, EngError *error)
{
  EngTextSpan *spans = eng_arena_alloc_array (arena, rendered->n_spans + 1, sizeof *spans);
  if (!spans)
    return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE, "no memory");
  size_t n = 0;
  for (size_t i = 0; i < rendered->n_spans; i++)
    spans[n++] = (EngTextSpan) { .text = rendered->text + rendered->spans[i].offset,
                                 .n_bytes = rendered->spans[i].n_bytes,
                                 .is_literal = !rendered->spans[i].inserted };
  if (prompt->behind)
    spans[n++] = (EngTextSpan) { .text = prompt->behind, .n_bytes = prompt->behind_bytes };
  return eng_tokenizer_encode_spans (s->tokenizer, spans, n, ENG_ENCODE_PLAIN, ids, error);
}

static EngStatus
encode_messages (const EngSession *s, const EngPrompt *prompt, EngTokenBuffer *ids,
                 EngError *error)
{
  if (!s->template_ && s->template_error.code != ENG_OK)
    {
      if (error)
        *error = s->template_error;
      return s->template_error.code;
    }
  if (!s->template_)
    return eng_error_set (error, ENG_ERR_NOT_FOUND, "tokenizer.chat_template", ENG_OFFSET_NONE,
                          "the model file has no chat template");
  EngArena arena = { 0 };
  EngTemplateOutput rendered = { 0 };
  EngJson vars;
  time_t now = time (NULL);
  struct tm local;
  EngStatus status = make_vars (s, prompt, &arena, &vars, error);
  if (status == ENG_OK)
    status = eng_template_render (s->template_, &vars, localtime_r (&now, &local), &rendered, error);
  if (status == ENG_OK)
    status = encode_rendered (s, &rendered, prompt, &arena, ids, error);
  eng_template_output_clear (&rendered);
  eng_arena_clear (&arena);
  return status;
}

static EngStatus
encode_text (const EngSession *s, const EngPrompt *prompt, EngTokenBuffer *ids, EngError *error)
{
  const EngTextSpan spans[2] = {
    { .text = prompt->text, .n_bytes = prompt->text_bytes, .is_literal = prompt->parse_special },
    { .text = prompt->behind, .n_bytes = prompt->behind ? prompt->behind_bytes : 0 },
  };
  return eng_tokenizer_encode_spans (s->tokenizer, spans, 2, ENG_ENCODE_PLAIN, ids, error);
}

EngStatus
eng_session_encode (EngSession *s, const EngPrompt *prompt, EngTokenBuffer *ids, EngError *error)
{
  if (!s->tokenizer)
    return eng_error_set (error, ENG_ERR_NOT_FOUND, "tokenizer", ENG_OFFSET_NONE,
                          "the model was loaded without its vocabulary");
  size_t first = ids->n;
  EngStatus status = prompt->messages ? encode_messages (s, prompt, ids, error)
                                      : encode_text (s, prompt, ids, error);
  if (status != ENG_OK)
    return status;
  int32_t bos = eng_tokenizer_get_bos (s->tokenizer);
  if (!eng_tokenizer_get_add_bos (s->tokenizer) || bos == ENG_TOKEN_NONE
      || (ids->n > first && ids->ids[first] == bos))
    return ENG_OK;
  status = eng_token_buffer_append (ids, &bos, 1);
  if (status != ENG_OK)
    return eng_error_set (error, status, NULL, ENG_OFFSET_NONE, "no memory for the prompt");
  memmove (ids->ids + first + 1, ids->ids + first, (ids->n - 1 - first) * sizeof *ids->ids);
  ids->ids[first] = bos;
  return ENG_OK;
}
