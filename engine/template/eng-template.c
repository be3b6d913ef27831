/* SPDX-License-Identifier: Apache-2.0 */
/* The public face: parse once, render often. */
#include "eng-template.h"

#include "eng-template-private.h"

/* Bytes a parsed template may take for each byte of source, and a base. */
#define PARSE_MEMORY_PER_BYTE 256
#define PARSE_MEMORY_BASE ((size_t) 1 << 20)

EngStatus
eng_template_parse (const char *source, size_t n_bytes, EngTemplate **out, EngError *error)
{
  *out = NULL;
  if (n_bytes > ENG_TEMPLATE_MAX_SOURCE_BYTES)
    return eng_error_set_numbers (error, ENG_ERR_LIMIT, NULL, n_bytes,
                                  ENG_TEMPLATE_MAX_SOURCE_BYTES, "the template is too long");
  EngTemplate *tmpl = eng_alloc (sizeof *tmpl);
  if (!tmpl)
    return eng_error_set_line (error, ENG_ERR_NO_MEMORY, 0, "no memory for the template");
  tmpl->arena.limit_bytes = PARSE_MEMORY_BASE + n_bytes * PARSE_MEMORY_PER_BYTE;
  TplLexer lexer = { .arena = &tmpl->arena, .error = error };
  TplParser parser = { .lexer = &lexer, .tmpl = tmpl };
  bool ok = eng_tpl_lex (&lexer, source, n_bytes) && eng_tpl_parse_body (&parser, &tmpl->body);
  eng_free (lexer.tokens);
  if (!ok)
    {
      eng_template_free (&tmpl);
      return lexer.status;
    }
  *out = tmpl;
  return ENG_OK;
}

void
eng_template_free (EngTemplate **tmpl)
{
  if (!*tmpl)
    return;
  eng_arena_clear (&(*tmpl)->arena);
  eng_free (*tmpl);
  *tmpl = NULL;
}

bool
eng_template_mentions (const EngTemplate *tmpl, const char *name)
{
  for (const TplName *n = tmpl->names; n; n = n->next)
    if (eng_tpl_string_is (n->name, name))
      return true;
  return false;
}

/* Bytes of text in the variables, and a few for each value: what the budgets grow by. */
static uint64_t
weigh (const EngJson *json)
{
  uint64_t total = 16 + json->key_bytes;
  if (json->type == ENG_JSON_STRING)
    total += json->n;
  else if (json->type == ENG_JSON_ARRAY || json->type == ENG_JSON_OBJECT)
    for (size_t k = 0; k < json->n; k++)
      total += weigh (&json->items[k]);
  return total;
}

/* The caller says that this text is not somebody's words. */
static void
mark_literal (TplValue *v)
{
  if (v->kind == TPL_STRING)
    ((TplString *) v->string)->inserted = false;
}

static bool
is_plain_word (const TplString *s)
{
  for (uint32_t k = 0; k < s->n_bytes; k++)
    if ((s->data[k] < 'a' || s->data[k] > 'z') && s->data[k] != '_')
      return false;
  return s->n_bytes > 0 && s->n_bytes <= 32;
}

/* Templates build control tokens from these: '<|' + message.role + '|>'. A role is the program's
 * word, not a person's; one that is no plain word stays inserted. */
static void
mark_trusted (TplDict *vars)
{
  static const char tokens[]
      = "bos_token cls_token eos_token mask_token pad_token sep_token unk_token";
  TplEntry *entry;
  for (uint32_t k = 0; k < vars->n; k++)
    if (eng_tpl_name_in_list (tokens, vars->entries[k].key.string))
      mark_literal (&vars->entries[k].value);
  if (!eng_tpl_dict_find_text (vars, "messages", &entry) || entry->value.kind != TPL_LIST)
    return;
  const TplList *messages = entry->value.list;
  for (uint32_t k = 0; k < messages->n; k++)
    if (messages->items[k].kind == TPL_DICT
        && eng_tpl_dict_find_text (messages->items[k].dict, "role", &entry)
        && entry->value.kind == TPL_STRING && is_plain_word (entry->value.string))
      mark_literal (&entry->value);
}

static bool
take_output (TplRender *r, const TplBuilder *b)
{
  EngTemplateOutput *out = r->result;
  out->text = eng_alloc ((size_t) b->n_bytes + 1);
  out->spans = eng_alloc_array (b->n_runs, sizeof *out->spans);
  if (!out->text || !out->spans)
    {
      r->status = eng_error_set_line (r->error, ENG_ERR_NO_MEMORY, 0, "no memory for the text");
      return false;
    }
  if (b->n_bytes)
    memcpy (out->text, b->data, b->n_bytes);
  out->n_bytes = b->n_bytes;
  out->n_spans = b->n_runs;
  for (uint32_t k = 0, start = 0; k < b->n_runs; start = b->runs[k++].end)
    out->spans[k] = (EngTemplateSpan){ .offset = start,
                                       .n_bytes = b->runs[k].end - start,
                                       .inserted = b->runs[k].inserted };
  return true;
}

EngStatus
eng_template_render (const EngTemplate *tmpl, const EngJson *vars, const struct tm *now,
                     EngTemplateOutput *out, EngError *error)
{
  if (!vars || vars->type != ENG_JSON_OBJECT)
    return eng_error_set_line (error, ENG_ERR_ARGUMENT, 0, "the variables must be a JSON object");
  uint64_t weight = weigh (vars);
  TplRender r = { .tmpl = tmpl, .now = now, .error = error, .result = out, .line = 1 };
  r.arena.limit_bytes = ENG_TEMPLATE_MAX_MEMORY_BYTES + weight * ENG_TEMPLATE_MEMORY_PER_BYTE;
  r.max_work = (ENG_TEMPLATE_MAX_STEPS + weight * ENG_TEMPLATE_STEPS_PER_BYTE) * TPL_STEP_BYTES;
  uint64_t limit = ENG_TEMPLATE_MAX_OUTPUT_BYTES + weight * ENG_TEMPLATE_OUTPUT_PER_BYTE;
  TplBuilder text = { .r = &r, .limit = limit > INT32_MAX ? INT32_MAX : (uint32_t) limit };
  r.out = &text;
  if (eng_tpl_from_json (&r, vars, &r.vars))
    {
      mark_trusted (r.vars.dict);
      if ((r.scope = eng_tpl_scope_new (&r, NULL)) && eng_tpl_run (&r))
        take_output (&r, &text);
    }
  eng_arena_clear (&r.arena);
  if (r.status != ENG_OK)
    {
      eng_free (out->text);
      eng_free (out->spans);
      out->text = NULL;
      out->spans = NULL;
      out->n_bytes = out->n_spans = 0;
    }
  return r.status;
}

void
eng_template_output_clear (EngTemplateOutput *out)
{
  eng_free (out->text);
  eng_free (out->spans);
  eng_free (out->message);
  memset (out, 0, sizeof *out);
}
