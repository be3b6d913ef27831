/* SPDX-License-Identifier: Apache-2.0 */
/* Execution of statements: scopes, loops, macros, captured output. */
#include <stdio.h>

#include "eng-template-private.h"

typedef enum
{
  EXEC_GO_ON,
  EXEC_BREAK,
  EXEC_CONTINUE,
  EXEC_FAILED
} Exec;

static Exec exec_body (TplRender *r, const TplNode *body);

/* ---- scopes */

TplScope *
eng_tpl_scope_new (TplRender *r, TplScope *parent)
{
  TplScope *scope = eng_tpl_alloc (r, 1, sizeof *scope);
  if (scope)
    scope->parent = parent;
  return scope;
}

bool
eng_tpl_set_variable (TplRender *r, const TplString *name, const TplValue *value)
{
  uint64_t seen = 0;
  for (TplVariable *v = r->scope->variables; v; v = v->next, seen++)
    if (eng_tpl_string_equal (v->name, name))
      {
        v->value = *value;
        return eng_tpl_charge (r, seen / 8);
      }
  TplVariable *fresh = eng_tpl_alloc (r, 1, sizeof *fresh);
  if (!fresh)
    return false;
  fresh->name = name;
  fresh->value = *value;
  fresh->next = r->scope->variables;
  r->scope->variables = fresh;
  return eng_tpl_charge (r, 1 + seen / 8);
}

static bool
assign_tuple (TplRender *r, const TplNode *target, const TplValue *value)
{
  TplList list;
  uint32_t k = 0;
  if (!eng_tpl_is_iterable (value))
    return eng_tpl_raise (r, "cannot unpack non-iterable %s object", eng_tpl_type_name (value));
  if (!eng_tpl_collect (r, value, &list))
    return false;
  if (list.n < target->n_list)
    return eng_tpl_raise (r, "not enough values to unpack (expected %u, got %u)", target->n_list,
                          list.n);
  if (list.n > target->n_list)
    return eng_tpl_raise (r, "too many values to unpack (expected %u)", target->n_list);
  for (const TplNode *item = target->list; item; item = item->next)
    if (!eng_tpl_assign (r, item, &list.items[k++]))
      return false;
  return true;
}

bool
eng_tpl_assign (TplRender *r, const TplNode *target, const TplValue *value)
{
  TplValue object, key = { .kind = TPL_STRING, .string = target->name2 };
  if (target->kind == NODE_NAME)
    return eng_tpl_set_variable (r, target->name, value);
  if (target->kind == NODE_TUPLE) /* the parser's nesting limit bounds this */
    return assign_tuple (r, target, value);
  r->line = target->line;
  if (!eng_tpl_lookup (r, target->name, &object))
    return false;
  if (object.kind != TPL_NAMESPACE)
    return eng_tpl_raise (r, "cannot assign attribute on non-namespace object");
  if (key.string->n_bytes > 0 && key.string->data[0] == '_')
    return eng_tpl_refuse (r, "unsupported name '%.*s' of a Namespace", (int) key.string->n_bytes,
                           key.string->data);
  return eng_tpl_dict_set (r, object.dict, &key, value);
}

/* Runs @body with its output going to a string. */
static bool
capture (TplRender *r, const TplNode *body, TplValue *out)
{
  TplBuilder b = { .r = r }, *outer = r->out;
  r->out = &b;
  Exec how = exec_body (r, body);
  r->out = outer;
  return how != EXEC_FAILED && eng_tpl_builder_finish (&b, out);
}

/* The same in a scope of its own. */
static bool
capture_scoped (TplRender *r, const TplNode *body, TplValue *out)
{
  TplScope *outer = r->scope;
  if (!(r->scope = eng_tpl_scope_new (r, outer)))
    {
      r->scope = outer;
      return false;
    }
  bool ok = capture (r, body, out);
  r->scope = outer;
  return ok;
}

/* ---- loops */

/* The next item that passes the loop's test. */
static bool
loop_pull (TplRender *r, TplLoop *loop, TplValue *out, bool *done)
{
  for (;;)
    {
      TplValue passed;
      if (!eng_tpl_next (r, loop->items, out, done))
        return false;
      if (*done || !loop->test)
        return true;
      TplScope *before = r->scope;
      TplScope *scope = eng_tpl_scope_new (r, loop->scope);
      if (!scope)
        return false;
      r->scope = scope;
      bool ok = eng_tpl_assign (r, loop->node->a, out) && eng_tpl_eval (r, loop->test, &passed);
      r->scope = before;
      if (!ok)
        return false;
      if (eng_tpl_truth (&passed))
        return true;
    }
}

static bool
loop_peek (TplRender *r, TplLoop *loop)
{
  bool done;
  if (loop->has_after || loop->ended)
    return true;
  if (!loop_pull (r, loop, &loop->after, &done))
    return false;
  loop->has_after = !done;
  loop->ended = done;
  return true;
}

static bool
loop_next (TplRender *r, TplLoop *loop, bool *done)
{
  TplValue v;
  if (!loop_peek (r, loop))
    return false;
  *done = !loop->has_after;
  if (*done)
    return true;
  v = loop->after;
  loop->has_after = false;
  loop->before = loop->current;
  loop->current = v;
  loop->index0++;
  return true;
}

bool
eng_tpl_loop_length (TplRender *r, TplLoop *loop, int64_t *length)
{
  if (!loop->has_length)
    {
      if (!loop->test && loop->iterable.kind != TPL_ITERATOR)
        {
          if (!eng_tpl_length (r, &loop->iterable, &loop->length))
            return false;
        }
      else
        { /* pull the rest now, and go on from what was pulled */
          TplItems rest = { .r = r };
          TplValue v, iterator;
          bool done = loop->ended;
          while (!done)
            {
              if (!loop_pull (r, loop, &v, &done) || (!done && !eng_tpl_items_add (&rest, &v)))
                return false;
            }
          loop->length = rest.n + loop->index0 + 1 + loop->has_after;
          if (!eng_tpl_make_iterator (r, rest.items, rest.n, &iterator))
            return false;
          loop->items = iterator.iterator;
          loop->test = NULL;
          loop->ended = false;
        }
      loop->has_length = true;
    }
  *length = loop->length;
  return true;
}

static bool
loop_number (TplRender *r, TplLoop *loop, const TplString *name, TplValue *out, bool *found)
{
  int64_t length;
  *found = true;
  if (eng_tpl_string_is (name, "index"))
    *out = eng_tpl_int (loop->index0 + 1);
  else if (eng_tpl_string_is (name, "index0"))
    *out = eng_tpl_int (loop->index0);
  else if (eng_tpl_string_is (name, "depth"))
    *out = eng_tpl_int (1);
  else if (eng_tpl_string_is (name, "depth0"))
    *out = eng_tpl_int (0);
  else if (eng_tpl_name_in_list ("length revindex revindex0", name))
    {
      if (!eng_tpl_loop_length (r, loop, &length))
        return false;
      *out = eng_tpl_int (name->n_bytes == 6   ? length
                          : name->n_bytes == 8 ? length - loop->index0
                                               : length - loop->index0 - 1);
    }
  else
    *found = false;
  return true;
}

bool
eng_tpl_loop_attribute (TplRender *r, TplLoop *loop, const TplString *name, TplValue *out,
                        bool *found)
{
  if (!loop_number (r, loop, name, out, found) || *found)
    return *found;
  *found = true;
  if (eng_tpl_string_is (name, "first"))
    {
      *out = eng_tpl_bool (loop->index0 == 0);
      return true;
    }
  if (eng_tpl_string_is (name, "previtem"))
    {
      if (loop->index0 == 0)
        return eng_tpl_make_undefined (r, "there is no previous item", NULL, NULL, out);
      *out = loop->before;
      return true;
    }
  bool is_last = eng_tpl_string_is (name, "last");
  if (!is_last && !eng_tpl_string_is (name, "nextitem"))
    {
      *found = false;
      return true;
    }
  if (!loop_peek (r, loop))
    return false;
  if (is_last)
    *out = eng_tpl_bool (!loop->has_after);
  else if (!loop->has_after)
    return eng_tpl_make_undefined (r, "there is no next item", NULL, NULL, out);
  else
    *out = loop->after;
  return true;
}

static const TplString loop_name = { .data = "loop", .n_bytes = 4, .n_chars = 4 };

static Exec
exec_for (TplRender *r, const TplNode *node)
{
  TplScope *outer = r->scope;
  TplLoop *loop = eng_tpl_alloc (r, 1, sizeof *loop);
  TplValue self = { .kind = TPL_LOOP, .loop = loop };
  Exec how = EXEC_GO_ON;
  bool done = false, any_finished = false;
  if (!loop || !eng_tpl_eval (r, node->b, &loop->iterable))
    return EXEC_FAILED;
  r->line = node->line;
  if (!eng_tpl_iterate (r, &loop->iterable, &loop->items))
    return EXEC_FAILED;
  loop->node = node;
  loop->test = node->c;
  loop->scope = outer;
  loop->index0 = -1;
  for (;;)
    {
      if (!loop_next (r, loop, &done))
        return EXEC_FAILED;
      if (done)
        break;
      if (!(r->scope = eng_tpl_scope_new (r, outer)) || !eng_tpl_assign (r, node->a, &loop->current)
          || !eng_tpl_set_variable (r, &loop_name, &self))
        how = EXEC_FAILED;
      else
        how = exec_body (r, node->body);
      r->scope = outer;
      if (how == EXEC_FAILED)
        return how;
      if (how == EXEC_BREAK)
        break;
      any_finished |= how == EXEC_GO_ON;
    }
  /* As in Jinja, "else" also runs when no round came to its end (break, continue). */
  if (!any_finished && node->other)
    {
      if (!(r->scope = eng_tpl_scope_new (r, outer)))
        how = EXEC_FAILED;
      else
        how = exec_body (r, node->other);
      r->scope = outer;
      return how;
    }
  return EXEC_GO_ON;
}

/* ---- macros */

static const TplKeyword *
find_keyword (const TplArgs *args, const TplString *name)
{
  for (uint32_t k = 0; k < args->n_keywords; k++)
    if (eng_tpl_string_equal (args->keywords[k].name, name))
      return &args->keywords[k];
  return NULL;
}

static const TplString caller_name = { .data = "caller", .n_bytes = 6, .n_chars = 6 };
static const TplString varargs_name = { .data = "varargs", .n_bytes = 7, .n_chars = 7 };
static const TplString kwargs_name = { .data = "kwargs", .n_bytes = 6, .n_chars = 6 };

static bool
missing_parameter (TplRender *r, const TplString *name, TplValue *out)
{
  char *hint = eng_tpl_alloc (r, name->n_bytes + 40, 1);
  if (!hint)
    return false;
  snprintf (hint, name->n_bytes + 40, "parameter '%.*s' was not provided", (int) name->n_bytes,
            name->data);
  return eng_tpl_make_undefined (r, hint, NULL, NULL, out);
}

static const char *
macro_label (const TplMacro *macro, char text[96])
{
  const TplString *name = macro->node->kind == NODE_MACRO ? macro->node->name : NULL;
  if (name)
    snprintf (text, 96, "'%.*s'", name->n_bytes > 80 ? 80 : (int) name->n_bytes, name->data);
  else
    snprintf (text, 96, "None");
  return text;
}

/* Keywords that no parameter took go to kwargs, or are a mistake. */
static bool
bind_rest (TplRender *r, const TplMacro *macro, const TplArgs *args, bool caller_taken)
{
  const TplNode *node = macro->node;
  TplDict *dict = eng_tpl_alloc (r, 1, sizeof *dict);
  TplValue v;
  char label[96];
  if (!dict)
    return false;
  for (uint32_t k = 0; k < args->n_keywords; k++)
    {
      const TplKeyword *keyword = &args->keywords[k];
      bool taken = caller_taken && eng_tpl_string_equal (keyword->name, &caller_name);
      uint32_t position = 0;
      for (const TplNode *param = node->list; param; param = param->next, position++)
        taken |= position >= args->n && eng_tpl_string_equal (param->name, keyword->name);
      if (taken)
        continue;
      if (!node->uses_kwargs)
        {
          if (eng_tpl_string_equal (keyword->name, &caller_name))
            return eng_tpl_raise (r,
                                  "macro %s was invoked with two values for the special caller "
                                  "argument. This is most likely a bug.",
                                  macro_label (macro, label));
          return eng_tpl_raise (
              r, "macro %s takes no keyword argument '%.*s'", macro_label (macro, label),
              keyword->name->n_bytes > 80 ? 80 : (int) keyword->name->n_bytes, keyword->name->data);
        }
      TplValue key = { .kind = TPL_STRING, .string = keyword->name };
      if (!eng_tpl_dict_set (r, dict, &key, &keyword->value))
        return false;
    }
  v = (TplValue){ .kind = TPL_DICT, .dict = dict };
  return !node->uses_kwargs || eng_tpl_set_variable (r, &kwargs_name, &v);
}

static bool
bind_parameters (TplRender *r, const TplMacro *macro, const TplArgs *args)
{
  const TplNode *node = macro->node;
  TplValue v;
  uint32_t position = 0;
  char label[96];
  bool has_caller_param = false;
  for (const TplNode *param = node->list; param; param = param->next)
    has_caller_param |= eng_tpl_string_equal (param->name, &caller_name);
  bool wants_caller = node->uses_caller && !has_caller_param;
  if (!bind_rest (r, macro, args, wants_caller))
    return false;
  if (!node->uses_varargs && args->n > node->n_list)
    return eng_tpl_raise (r, "macro %s takes not more than %u argument(s)",
                          macro_label (macro, label), node->n_list);
  if (wants_caller)
    {
      const TplKeyword *caller = find_keyword (args, &caller_name);
      if (caller)
        v = caller->value;
      else if (!eng_tpl_make_undefined (r, "No caller defined", NULL, NULL, &v))
        return false;
      if (!eng_tpl_set_variable (r, &caller_name, &v))
        return false;
    }
  if (node->uses_varargs)
    {
      uint32_t extra = args->n > node->n_list ? args->n - node->n_list : 0;
      if (!eng_tpl_make_list (r, TPL_TUPLE, extra ? args->items + node->n_list : NULL, extra, &v)
          || !eng_tpl_set_variable (r, &varargs_name, &v))
        return false;
    }
  for (const TplNode *param = node->list; param; param = param->next, position++)
    {
      const TplKeyword *keyword = position < args->n ? NULL : find_keyword (args, param->name);
      if (position < args->n)
        v = args->items[position];
      else if (keyword)
        v = keyword->value;
      else if (param->a)
        {
          if (!eng_tpl_eval (r, param->a, &v))
            return false;
        }
      else if (!missing_parameter (r, param->name, &v))
        return false;
      if (!eng_tpl_set_variable (r, param->name, &v))
        return false;
    }
  return true;
}

bool
eng_tpl_call_macro (TplRender *r, const TplMacro *macro, const TplArgs *args, TplValue *out)
{
  TplScope *outer = r->scope, *scope = eng_tpl_scope_new (r, macro->scope);
  if (!scope)
    return false;
  r->scope = scope;
  bool ok = bind_parameters (r, macro, args) && capture (r, macro->node->body, out);
  r->scope = outer;
  return ok;
}

static bool
make_macro (TplRender *r, const TplNode *node, TplValue *out)
{
  TplMacro *macro = eng_tpl_alloc (r, 1, sizeof *macro);
  if (!macro)
    return false;
  macro->node = node;
  macro->scope = r->scope;
  *out = (TplValue){ .kind = TPL_MACRO, .macro = macro };
  return true;
}

/* {% call f(…) %}: the call gets one more keyword, "caller". */
static bool
exec_call_block (TplRender *r, const TplNode *node)
{
  TplNode keyword = { .kind = NODE_KEYWORD, .line = node->line, .name = &caller_name };
  TplNode value = { .kind = NODE_CONST, .line = node->line }, call = *node->a;
  TplNode *copies = eng_tpl_alloc (r, call.n_list, sizeof *copies);
  TplValue v;
  uint32_t n = 0;
  if (!copies || !make_macro (r, node, &value.value))
    return false;
  keyword.a = &value;
  for (const TplNode *arg = call.list; arg; arg = arg->next, n++)
    {
      copies[n] = *arg;
      copies[n].next = arg->next ? &copies[n + 1] : &keyword;
    }
  call.list = n ? copies : &keyword;
  call.n_list = n + 1;
  return eng_tpl_eval (r, &call, &v) && eng_tpl_append_text (r->out, &v);
}

/* ---- statements */

static bool
exec_set_block (TplRender *r, const TplNode *node)
{
  TplValue text, v;
  if (!capture_scoped (r, node->body, &text))
    return false;
  if (node->b && !eng_tpl_apply_filter (r, node->b, &text, &v))
    return false;
  return eng_tpl_assign (r, node->a, node->b ? &v : &text);
}

static bool
exec_filter_block (TplRender *r, const TplNode *node)
{
  TplValue text, v;
  return capture_scoped (r, node->body, &text) && eng_tpl_apply_filter (r, node->a, &text, &v)
         && eng_tpl_append_text (r->out, &v);
}

/* Values are evaluated outside, then all become variables of the new scope. */
static Exec
exec_with (TplRender *r, const TplNode *node)
{
  TplScope *outer = r->scope, *scope = eng_tpl_scope_new (r, outer);
  Exec how = EXEC_GO_ON;
  TplValue v;
  for (const TplNode *set = node->list; set && scope && how != EXEC_FAILED; set = set->next)
    {
      if (!eng_tpl_eval (r, set->b, &v))
        return EXEC_FAILED;
      r->scope = scope;
      if (!eng_tpl_assign (r, set->a, &v))
        how = EXEC_FAILED;
      r->scope = outer;
    }
  if (!scope || how == EXEC_FAILED)
    return EXEC_FAILED;
  r->scope = scope;
  how = exec_body (r, node->body);
  r->scope = outer;
  return how;
}

static Exec
exec_if (TplRender *r, const TplNode *node)
{
  TplValue v;
  for (const TplNode *branch = node->list; branch; branch = branch->next)
    {
      if (branch->a && !eng_tpl_eval (r, branch->a, &v))
        return EXEC_FAILED;
      if (!branch->a || eng_tpl_truth (&v))
        return exec_body (r, branch->body);
    }
  return EXEC_GO_ON;
}

static Exec
exec_generation (TplRender *r, const TplNode *node)
{
  TplScope *outer = r->scope;
  if (!(r->scope = eng_tpl_scope_new (r, outer)))
    {
      r->scope = outer;
      return EXEC_FAILED;
    }
  Exec how = exec_body (r, node->body);
  r->scope = outer;
  return how;
}

static Exec
exec_node (TplRender *r, const TplNode *node)
{
  TplValue v;
  bool ok;
  switch ((TplNodeKind) node->kind)
    {
    case NODE_DATA:
      ok = eng_tpl_append_string (r->out, node->value.string);
      break;
    case NODE_PRINT:
      ok = eng_tpl_eval (r, node->a, &v);
      r->line = node->line;
      ok = ok && eng_tpl_append_text (r->out, &v);
      break;
    case NODE_FOR:
      return exec_for (r, node);
    case NODE_IF:
      return exec_if (r, node);
    case NODE_SET:
      ok = eng_tpl_eval (r, node->b, &v);
      r->line = ok ? node->line : r->line;
      ok = ok && eng_tpl_assign (r, node->a, &v);
      break;
    case NODE_SET_BLOCK:
      ok = exec_set_block (r, node);
      break;
    case NODE_WITH:
      return exec_with (r, node);
    case NODE_MACRO:
      ok = make_macro (r, node, &v) && eng_tpl_set_variable (r, node->name, &v);
      break;
    case NODE_CALL_BLOCK:
      ok = exec_call_block (r, node);
      break;
    case NODE_FILTER_BLOCK:
      ok = exec_filter_block (r, node);
      break;
    case NODE_GENERATION:
      return exec_generation (r, node);
    case NODE_BREAK:
      return EXEC_BREAK;
    case NODE_CONTINUE:
      return EXEC_CONTINUE;
    default:
      ok = eng_tpl_refuse (r, "this cannot be executed");
      break;
    }
  return ok ? EXEC_GO_ON : EXEC_FAILED;
}

static Exec
exec_body (TplRender *r, const TplNode *body)
{
  Exec how = EXEC_GO_ON;
  if (r->depth >= ENG_TEMPLATE_MAX_DEPTH)
    {
      eng_tpl_limit (r, "values or calls are nested too deeply");
      return EXEC_FAILED;
    }
  r->depth++;
  for (const TplNode *node = body; node && how == EXEC_GO_ON; node = node->next)
    {
      r->line = node->line;
      how = eng_tpl_charge (r, 1) ? exec_node (r, node) : EXEC_FAILED;
    }
  r->depth--;
  return how;
}

bool
eng_tpl_run (TplRender *r)
{
  return exec_body (r, r->tmpl->body) != EXEC_FAILED;
}
