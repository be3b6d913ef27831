/* SPDX-License-Identifier: Apache-2.0 */
/* Evaluation of expressions. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "eng-template-private.h"

/* ---- failing, paying, allocating */

bool
eng_tpl_raise_text (TplRender *r, const char *text, size_t n_bytes, bool by_template)
{
  if (r->status != ENG_OK)
    return false;
  r->status = eng_error_set_line (r->error, ENG_ERR_TEMPLATE, r->line, "%.*s",
                                  (int) (n_bytes > 2000 ? 2000 : n_bytes), text);
  if (r->error && !r->error->text[0])
    memcpy (r->error->text, "no message", sizeof "no message");
  if (by_template && r->error)
    memcpy (r->error->field, "raise_exception", sizeof "raise_exception");
  r->result->raised = by_template;
  r->result->message = eng_alloc (n_bytes + 1);
  if (r->result->message)
    {
      memcpy (r->result->message, text, n_bytes);
      r->result->message_bytes = n_bytes;
    }
  return false;
}

bool
eng_tpl_raise (TplRender *r, const char *format, ...)
{
  char text[1024];
  va_list args;
  va_start (args, format);
  vsnprintf (text, sizeof text, format, args);
  va_end (args);
  return eng_tpl_raise_text (r, text, strlen (text), false);
}

bool
eng_tpl_refuse (TplRender *r, const char *format, ...)
{
  char text[512];
  va_list args;
  if (r->status != ENG_OK)
    return false;
  va_start (args, format);
  vsnprintf (text, sizeof text, format, args);
  va_end (args);
  r->status = eng_error_set_line (r->error, ENG_ERR_UNSUPPORTED, r->line, "%s", text);
  return false;
}

bool
eng_tpl_limit (TplRender *r, const char *what)
{
  if (r->status == ENG_OK)
    r->status = eng_error_set_line (r->error, ENG_ERR_LIMIT, r->line, "%s", what);
  return false;
}

bool
eng_tpl_charge (TplRender *r, uint64_t steps)
{
  uint64_t work
      = steps < UINT32_MAX ? steps * TPL_STEP_BYTES : (uint64_t) UINT32_MAX * TPL_STEP_BYTES;
  r->work += work;
  return r->work <= r->max_work || eng_tpl_limit (r, "the template takes too many steps");
}

bool
eng_tpl_charge_bytes (TplRender *r, uint64_t n_bytes)
{
  /* A call by itself costs something, too. */
  r->work += (n_bytes < UINT32_MAX ? n_bytes : UINT32_MAX) + TPL_STEP_BYTES / 8;
  return r->work <= r->max_work || eng_tpl_limit (r, "the template takes too many steps");
}

void *
eng_tpl_alloc (TplRender *r, size_t n, size_t size)
{
  void *p = eng_arena_alloc_array (&r->arena, n, size);
  size_t total;
  /* Fresh memory costs time as well: it is zeroed, and the system hands it out page by page. */
  if (p)
    return eng_tpl_charge_bytes (r, (uint64_t) n * size + TPL_STEP_BYTES / 2) ? p : NULL;
  if (__builtin_mul_overflow (n, size, &total) || total > r->arena.limit_bytes - r->arena.n_bytes)
    eng_tpl_limit (r, "the template needs too much memory");
  else if (r->status == ENG_OK)
    r->status = eng_error_set_line (r->error, ENG_ERR_NO_MEMORY, r->line, "no memory for the text");
  return NULL;
}

/* ---- names */

bool
eng_tpl_lookup (TplRender *r, const TplString *name, TplValue *out)
{
  uint64_t seen = 0;
  TplEntry *entry;
  TplValue key = { .kind = TPL_STRING, .string = name };
  for (const TplScope *scope = r->scope; scope; scope = scope->parent)
    for (const TplVariable *v = scope->variables; v; v = v->next, seen++)
      if (eng_tpl_string_equal (v->name, name))
        {
          *out = v->value;
          return eng_tpl_charge (r, seen / 8);
        }
  if (!eng_tpl_charge (r, seen / 8) || !eng_tpl_dict_find (r, r->vars.dict, &key, &entry))
    return false;
  if (entry)
    {
      *out = entry->value;
      return true;
    }
  const TplFunction *function = eng_tpl_find_global (name);
  if (function && (r->now || !eng_tpl_string_is (name, "strftime_now")))
    {
      *out = (TplValue){ .kind = TPL_FUNCTION, .function = function };
      return true;
    }
  if (eng_tpl_is_refused_global (name))
    return eng_tpl_refuse (r, "unsupported name '%.*s'", (int) name->n_bytes, name->data);
  return eng_tpl_make_undefined_name (r, name, out);
}

/* ---- calls */

/* Binds @args to the names in @params, see TplFunction. */
static bool
bind (TplRender *r, const TplFunction *f, const TplArgs *args, TplValue *slots)
{
  const char *p = f->params;
  uint32_t n = 0, used = 0;
  while (*p)
    {
      size_t length = strcspn (p, "= ");
      bool optional = p[length] == '=';
      TplString name = { .data = p, .n_bytes = (uint32_t) length };
      bool given = n < args->n;
      if (given)
        slots[n] = args->items[n];
      for (uint32_t k = 0; k < args->n_keywords; k++)
        if (eng_tpl_string_equal (args->keywords[k].name, &name))
          {
            if (given)
              return eng_tpl_raise (r, "%s() got multiple values for argument '%.*s'", f->name,
                                    (int) length, p);
            slots[n] = args->keywords[k].value;
            given = true;
            used++;
          }
      if (!given && !optional)
        return eng_tpl_raise (r, "%s() missing required argument '%.*s'", f->name, (int) length, p);
      n++;
      p += length + optional;
      p += *p == ' ';
    }
  if (args->n > n)
    return eng_tpl_raise (r, "%s() takes at most %u arguments (%u given)", f->name, n, args->n);
  if (used < args->n_keywords)
    return eng_tpl_raise (r, "%s() got an unexpected keyword argument", f->name);
  return true;
}

bool
eng_tpl_call_function (TplRender *r, const TplFunction *f, const TplValue *self,
                       const TplArgs *args, TplValue *out)
{
  TplValue slots[TPL_MAX_PARAMS] = { 0 };
  if (f->params && !bind (r, f, args, slots))
    return false;
  return eng_tpl_charge (r, 1) && f->call (r, self, args, slots, out);
}

bool
eng_tpl_call (TplRender *r, const TplValue *callee, const TplArgs *args, TplValue *out)
{
  TplValue none = eng_tpl_none ();
  switch ((TplKind) callee->kind)
    {
    case TPL_FUNCTION:
      return eng_tpl_call_function (r, callee->function, &none, args, out);
    case TPL_METHOD:
      return eng_tpl_call_function (r, callee->bound->function, &callee->bound->self, args, out);
    case TPL_MACRO:
      return eng_tpl_call_macro (r, callee->macro, args, out);
    case TPL_UNDEFINED:
      return eng_tpl_undefined_error (r, callee);
    case TPL_LOOP:
      return eng_tpl_refuse (r, "recursive loops are not supported");
    default:
      return eng_tpl_raise (r, "'%s' object is not callable", eng_tpl_type_name (callee));
    }
}

static bool
eval_args (TplRender *r, const TplNode *list, uint32_t n, TplArgs *args)
{
  TplValue *items = NULL;
  TplKeyword *keywords = NULL;
  *args = (TplArgs){ 0 };
  if (n == 0)
    return true;
  if (!(items = eng_tpl_alloc (r, n, sizeof *items))
      || !(keywords = eng_tpl_alloc (r, n, sizeof *keywords)))
    return false;
  for (const TplNode *arg = list; arg; arg = arg->next)
    if (arg->kind == NODE_KEYWORD)
      {
        TplKeyword *k = &keywords[args->n_keywords++];
        k->name = arg->name;
        if (!eng_tpl_eval (r, arg->a, &k->value))
          return false;
      }
    else if (!eng_tpl_eval (r, arg, &items[args->n++]))
      return false;
  args->items = items;
  args->keywords = keywords;
  return true;
}

static bool
eval_call (TplRender *r, const TplNode *node, TplValue *out)
{
  TplValue callee;
  TplArgs args;
  if (!eng_tpl_eval (r, node->a, &callee) || !eval_args (r, node->list, node->n_list, &args))
    return false;
  r->line = node->line;
  return eng_tpl_call (r, &callee, &args, out);
}

static bool
unknown_function (TplRender *r, const TplNode *node)
{
  bool is_filter = node->kind == NODE_FILTER;
  int n = node->name->n_bytes > 60 ? 60 : (int) node->name->n_bytes;
  if (is_filter ? eng_tpl_is_refused_filter (node->name) : eng_tpl_is_refused_test (node->name))
    return eng_tpl_refuse (r, "unsupported %s '%.*s'", is_filter ? "filter" : "test", n,
                           node->name->data);
  return eng_tpl_raise (r, "No %s named '%.*s' found.", is_filter ? "filter" : "test", n,
                        node->name->data);
}

bool
eng_tpl_apply_filter (TplRender *r, const TplNode *node, const TplValue *subject, TplValue *out)
{
  TplValue v;
  TplArgs args;
  if (!node->a)
    v = *subject;
  else if (node->a->kind == NODE_FILTER && subject)
    {
      if (!eng_tpl_apply_filter (r, node->a, subject, &v))
        return false;
    }
  else if (!eng_tpl_eval (r, node->a, &v))
    return false;
  if (!eval_args (r, node->list, node->n_list, &args))
    return false;
  r->line = node->line;
  if (!node->function)
    return unknown_function (r, node);
  return eng_tpl_call_function (r, node->function, &v, &args, out);
}

static bool
eval_test (TplRender *r, const TplNode *node, TplValue *out)
{
  TplValue v;
  TplArgs args;
  if (!eng_tpl_eval (r, node->a, &v) || !eval_args (r, node->list, node->n_list, &args))
    return false;
  r->line = node->line;
  if (!node->function)
    return unknown_function (r, node);
  return eng_tpl_call_function (r, node->function, &v, &args, out);
}

/* ---- the rest */

static bool
eval_items (TplRender *r, const TplNode *node, TplKind kind, TplValue *out)
{
  TplValue *items = eng_tpl_alloc (r, node->n_list, sizeof *items);
  uint32_t n = 0;
  if (!items)
    return false;
  for (const TplNode *item = node->list; item; item = item->next)
    if (!eng_tpl_eval (r, item, &items[n++]))
      return false;
  return eng_tpl_make_list (r, kind, items, n, out);
}

static bool
eval_dict (TplRender *r, const TplNode *node, TplValue *out)
{
  TplDict *dict = eng_tpl_alloc (r, 1, sizeof *dict);
  TplValue key, value;
  if (!dict)
    return false;
  for (const TplNode *pair = node->list; pair; pair = pair->next)
    if (!eng_tpl_eval (r, pair->a, &key) || !eng_tpl_eval (r, pair->b, &value)
        || !eng_tpl_dict_set (r, dict, &key, &value))
      return false;
  *out = (TplValue){ .kind = TPL_DICT, .dict = dict };
  return true;
}

static bool
compare_once (TplRender *r, TplOp op, const TplValue *a, const TplValue *b, bool *yes)
{
  static const char *const names[]
      = { [OP_LT] = "<", [OP_LE] = "<=", [OP_GT] = ">", [OP_GE] = ">=" };
  int c;
  switch (op)
    {
    case OP_EQ:
    case OP_NE:
      if (!eng_tpl_equal (r, a, b, yes))
        return false;
      *yes = *yes == (op == OP_EQ);
      return true;
    case OP_IN:
    case OP_NOT_IN:
      if (!eng_tpl_contains (r, b, a, yes))
        return false;
      *yes = *yes == (op == OP_IN);
      return true;
    default:
      if (!eng_tpl_compare (r, a, b, names[op], &c))
        return false;
      *yes = c != 2 && (op == OP_LT ? c < 0 : op == OP_LE ? c <= 0 : op == OP_GT ? c > 0 : c >= 0);
      return true;
    }
}

static bool
eval_compare (TplRender *r, const TplNode *node, TplValue *out)
{
  TplValue left, right;
  bool yes = true;
  if (!eng_tpl_eval (r, node->a, &left))
    return false;
  for (const TplNode *operand = node->list; operand && yes; operand = operand->next)
    {
      if (!eng_tpl_eval (r, operand->a, &right))
        return false;
      r->line = node->line;
      if (!compare_once (r, (TplOp) operand->op, &left, &right, &yes))
        return false;
      left = right;
    }
  *out = eng_tpl_bool (yes);
  return true;
}

static bool
eval_concat (TplRender *r, const TplNode *node, TplValue *out)
{
  TplBuilder b = { .r = r };
  TplValue v;
  for (const TplNode *part = node->list; part; part = part->next)
    if (!eng_tpl_eval (r, part, &v) || !eng_tpl_append_text (&b, &v))
      return false;
  return eng_tpl_builder_finish (&b, out);
}

static bool
eval_sign (TplRender *r, const TplNode *node, TplValue *out)
{
  TplValue v;
  bool negative = node->kind == NODE_NEG;
  if (!eng_tpl_eval (r, node->a, &v))
    return false;
  r->line = node->line;
  if (v.kind == TPL_UNDEFINED)
    return eng_tpl_undefined_error (r, &v);
  if (v.kind == TPL_FLOAT)
    *out = eng_tpl_float (negative ? -v.number : v.number);
  else if (v.kind == TPL_INT || v.kind == TPL_BOOL)
    {
      int64_t i = v.kind == TPL_INT ? v.integer : v.boolean;
      if (negative && i == INT64_MIN)
        return eng_tpl_refuse (r, "an integer grew beyond 64 bits");
      *out = eng_tpl_int (negative ? -i : i);
    }
  else
    return eng_tpl_raise (r, "bad operand type for unary %c: '%s'", negative ? '-' : '+',
                          eng_tpl_type_name (&v));
  out->inserted = v.inserted;
  return true;
}

static bool
eval_optional (TplRender *r, const TplNode *node, TplValue *out)
{
  *out = (TplValue){ 0 };
  return !node || eng_tpl_eval (r, node, out);
}

static bool
eval_getitem (TplRender *r, const TplNode *node, TplValue *out)
{
  TplValue object, key, stop, step;
  const TplNode *sub = node->b;
  if (!eng_tpl_eval (r, node->a, &object))
    return false;
  if (sub->kind == NODE_SLICE)
    {
      if (!eval_optional (r, sub->a, &key) || !eval_optional (r, sub->b, &stop)
          || !eval_optional (r, sub->c, &step))
        return false;
      r->line = node->line;
      return eng_tpl_slice (r, &object, &key, &stop, &step, out);
    }
  if (!eng_tpl_eval (r, sub, &key))
    return false;
  r->line = node->line;
  return eng_tpl_getitem (r, &object, &key, out);
}

static bool
eval_condition (TplRender *r, const TplNode *node, TplValue *out)
{
  char hint[160];
  if (!eng_tpl_eval (r, node->a, out))
    return false;
  if (eng_tpl_truth (out))
    return eng_tpl_eval (r, node->b, out);
  if (node->c)
    return eng_tpl_eval (r, node->c, out);
  int n
      = snprintf (hint, sizeof hint,
                  "the inline if-expression on line %u evaluated to false and no else section was "
                  "defined.",
                  node->line);
  char *text = eng_tpl_alloc (r, (size_t) n + 1, 1);
  if (!text)
    return false;
  memcpy (text, hint, (size_t) n + 1);
  return eng_tpl_make_undefined (r, text, NULL, NULL, out);
}

static bool
eval_node (TplRender *r, const TplNode *node, TplValue *out)
{
  TplValue a, b;
  switch ((TplNodeKind) node->kind)
    {
    case NODE_CONST:
      *out = node->value;
      return true;
    case NODE_NAME:
      return eng_tpl_lookup (r, node->name, out);
    case NODE_TUPLE:
      return eval_items (r, node, TPL_TUPLE, out);
    case NODE_LIST:
      return eval_items (r, node, TPL_LIST, out);
    case NODE_DICT:
      return eval_dict (r, node, out);
    case NODE_COND:
      return eval_condition (r, node, out);
    case NODE_OR:
    case NODE_AND:
      if (!eng_tpl_eval (r, node->a, out))
        return false;
      return eng_tpl_truth (out) == (node->kind == NODE_OR) || eng_tpl_eval (r, node->b, out);
    case NODE_NOT:
      if (!eng_tpl_eval (r, node->a, &a))
        return false;
      *out = eng_tpl_bool (!eng_tpl_truth (&a));
      return true;
    case NODE_COMPARE:
      return eval_compare (r, node, out);
    case NODE_BINARY:
      if (!eng_tpl_eval (r, node->a, &a) || !eng_tpl_eval (r, node->b, &b))
        return false;
      r->line = node->line;
      return eng_tpl_binary (r, (TplOp) node->op, &a, &b, out);
    case NODE_CONCAT:
      return eval_concat (r, node, out);
    case NODE_NEG:
    case NODE_POS:
      return eval_sign (r, node, out);
    case NODE_GETATTR:
      if (!eng_tpl_eval (r, node->a, &a))
        return false;
      r->line = node->line;
      return eng_tpl_getattr (r, &a, node->name, out);
    case NODE_GETITEM:
      return eval_getitem (r, node, out);
    case NODE_CALL:
      return eval_call (r, node, out);
    case NODE_FILTER:
      return eng_tpl_apply_filter (r, node, NULL, out);
    case NODE_TEST:
      return eval_test (r, node, out);
    default:
      return eng_tpl_refuse (r, "this cannot be evaluated");
    }
}

bool
eng_tpl_eval (TplRender *r, const TplNode *node, TplValue *out)
{
  r->line = node->line;
  if (r->depth >= ENG_TEMPLATE_MAX_DEPTH)
    return eng_tpl_limit (r, "values or calls are nested too deeply");
  r->depth++;
  bool ok = eng_tpl_charge (r, 1) && eval_node (r, node, out);
  r->depth--;
  return ok;
}
