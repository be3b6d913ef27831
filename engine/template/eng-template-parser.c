/* SPDX-License-Identifier: Apache-2.0 */
/* Statements. Recursive descent over the token list; ENG_TEMPLATE_MAX_NESTING bounds the recursion.
 */
#include <stdarg.h>
#include <stdio.h>

#include "eng-template-private.h"

const TplToken *
eng_tpl_peek (const TplParser *p, uint32_t ahead)
{
  uint32_t last = p->lexer->n_tokens - 1, at = p->at > last ? last : p->at;
  return &p->lexer->tokens[ahead > last - at ? last : at + ahead];
}

static bool
token_is (const TplToken *t, TplTokenKind kind, const char *text)
{
  return t->kind == kind && t->n == strlen (text) && memcmp (t->text, text, t->n) == 0;
}

bool
eng_tpl_peek_name (const TplParser *p, const char *name)
{
  return token_is (eng_tpl_peek (p, 0), TOKEN_NAME, name);
}

bool
eng_tpl_peek_op (const TplParser *p, const char *op)
{
  return token_is (eng_tpl_peek (p, 0), TOKEN_OPERATOR, op);
}

bool
eng_tpl_skip_name (TplParser *p, const char *name)
{
  bool is = eng_tpl_peek_name (p, name);
  p->at += is;
  return is;
}

bool
eng_tpl_skip_op (TplParser *p, const char *op)
{
  bool is = eng_tpl_peek_op (p, op);
  p->at += is;
  return is;
}

bool
eng_tpl_parse_fail (TplParser *p, EngStatus status, const char *format, ...)
{
  char text[256];
  va_list args;
  va_start (args, format);
  vsnprintf (text, sizeof text, format, args);
  va_end (args);
  return eng_tpl_syntax_error (p->lexer, status, eng_tpl_peek (p, 0)->offset, "%s", text);
}

bool
eng_tpl_unexpected (TplParser *p, const char *wanted)
{
  const TplToken *t = eng_tpl_peek (p, 0);
  int n = t->n > 40 ? 40 : (int) t->n;
  switch (t->kind)
    {
    case TOKEN_END:
      return eng_tpl_parse_fail (p, ENG_ERR_TEMPLATE, "unexpected end of template, expected %s",
                                 wanted);
    case TOKEN_BLOCK_END:
    case TOKEN_VARIABLE_END:
      return eng_tpl_parse_fail (p, ENG_ERR_TEMPLATE, "unexpected end of the tag, expected %s",
                                 wanted);
    case TOKEN_STRING:
      return eng_tpl_parse_fail (p, ENG_ERR_TEMPLATE, "unexpected string, expected %s", wanted);
    default:
      return eng_tpl_parse_fail (p, ENG_ERR_TEMPLATE, "unexpected '%.*s', expected %s", n,
                                 t->text ? t->text : "", wanted);
    }
}

bool
eng_tpl_expect_op (TplParser *p, const char *op)
{
  char wanted[16];
  if (eng_tpl_skip_op (p, op))
    return true;
  snprintf (wanted, sizeof wanted, "'%s'", op);
  return eng_tpl_unexpected (p, wanted);
}

const TplString *
eng_tpl_literal (TplParser *p, const char *text, uint32_t n)
{
  TplString *s = eng_arena_alloc (&p->tmpl->arena, sizeof *s);
  if (!s)
    {
      eng_tpl_parse_fail (p, ENG_ERR_NO_MEMORY, "no memory for the template");
      return NULL;
    }
  s->data = text;
  s->n_bytes = n;
  for (uint32_t i = 0; i < n; i++)
    s->n_chars += (text[i] & 0xc0) != 0x80;
  return s;
}

bool
eng_tpl_expect_name (TplParser *p, const TplString **name)
{
  const TplToken *t = eng_tpl_peek (p, 0);
  if (t->kind != TOKEN_NAME)
    return eng_tpl_unexpected (p, "a name");
  *name = eng_tpl_literal (p, t->text, t->n);
  p->at++;
  return *name != NULL;
}

bool
eng_tpl_enter (TplParser *p)
{
  if (p->nesting >= ENG_TEMPLATE_MAX_NESTING)
    return eng_tpl_parse_fail (p, ENG_ERR_LIMIT, "nested too deeply");
  p->nesting++;
  return true;
}

TplNode *
eng_tpl_node (TplParser *p, TplNodeKind kind)
{
  TplNode *node = eng_arena_alloc (&p->tmpl->arena, sizeof *node);
  if (!node)
    {
      eng_tpl_parse_fail (p, ENG_ERR_NO_MEMORY, "no memory for the template");
      return NULL;
    }
  node->kind = (uint8_t) kind;
  node->line = eng_tpl_peek (p, 0)->line;
  return node;
}

static bool
expect_block_end (TplParser *p)
{
  if (eng_tpl_peek (p, 0)->kind != TOKEN_BLOCK_END)
    return eng_tpl_unexpected (p, "the end of the tag");
  p->at++;
  return true;
}

static bool parse_statement (TplParser *p, TplNode **out);

/* True at a block that starts with one of the names in @ends, parted by '|'. */
static bool
at_end_tag (const TplParser *p, const char *ends)
{
  const TplToken *t = eng_tpl_peek (p, 0);
  for (const char *s = ends; s && *s;)
    {
      size_t n = strcspn (s, "|");
      if (t->kind == TOKEN_NAME && t->n == n && memcmp (t->text, s, n) == 0)
        return true;
      s += n + (s[n] == '|');
    }
  return false;
}

/* Up to one of @ends, which is then the current token; NULL: up to the end of the template. */
static bool
parse_until (TplParser *p, const char *ends, TplNode **body)
{
  TplNode **tail = body;
  *tail = NULL;
  for (;;)
    {
      const TplToken *t = eng_tpl_peek (p, 0);
      TplNode *node = NULL;
      if (t->kind == TOKEN_END)
        return !ends
               || eng_tpl_parse_fail (p, ENG_ERR_TEMPLATE,
                                      "unexpected end of template, expected %s", ends);
      if (t->kind == TOKEN_DATA)
        {
          node = eng_tpl_node (p, NODE_DATA);
          if (!node || !(node->value.string = eng_tpl_literal (p, t->text, t->n)))
            return false;
          node->value.kind = TPL_STRING;
          p->at++;
        }
      else if (t->kind == TOKEN_VARIABLE_BEGIN)
        {
          p->at++;
          node = eng_tpl_node (p, NODE_PRINT);
          if (!node || !(node->a = eng_tpl_parse_tuple (p, true, NULL)))
            return false;
          if (eng_tpl_peek (p, 0)->kind != TOKEN_VARIABLE_END)
            return eng_tpl_unexpected (p, "'}}'");
          p->at++;
        }
      else
        { /* the lexer leaves nothing else than a block here */
          p->at++;
          if (at_end_tag (p, ends))
            return true;
          if (!parse_statement (p, &node) || !expect_block_end (p))
            return false;
        }
      *tail = node;
      while (*tail)
        tail = &(*tail)->next;
    }
}

/* From the end of an opening tag to behind the name of the closing one. */
static bool
parse_block (TplParser *p, const char *ends, TplNode **body)
{
  eng_tpl_skip_op (p, ":");
  if (!expect_block_end (p) || !eng_tpl_enter (p))
    return false;
  bool ok = parse_until (p, ends, body);
  p->nesting--;
  return ok;
}

static bool
parse_closed_block (TplParser *p, const char *end, TplNode **body)
{
  if (!parse_block (p, end, body))
    return false;
  p->at++;
  return true;
}

/* A body that is run apart from its surroundings: loops outside of it are out of break's reach. */
static bool
parse_isolated_block (TplParser *p, const char *end, TplNode **body)
{
  unsigned n_loops = p->n_loops;
  p->n_loops = 0;
  bool ok = parse_closed_block (p, end, body);
  p->n_loops = n_loops;
  return ok;
}

static bool
parse_for (TplParser *p, TplNode *node)
{
  if (!(node->a = eng_tpl_parse_target (p, false, "in")))
    return false;
  if (!eng_tpl_skip_name (p, "in"))
    return eng_tpl_unexpected (p, "'in'");
  if (!(node->b = eng_tpl_parse_tuple (p, false, "recursive")))
    return false;
  if (eng_tpl_skip_name (p, "if") && !(node->c = eng_tpl_parse_expression (p, true)))
    return false;
  if (eng_tpl_peek_name (p, "recursive"))
    return eng_tpl_parse_fail (p, ENG_ERR_UNSUPPORTED, "recursive loops are not supported");
  p->n_loops++;
  bool ok = parse_block (p, "endfor|else", &node->body);
  p->n_loops--;
  if (!ok)
    return false;
  if (eng_tpl_skip_name (p, "else"))
    return parse_closed_block (p, "endfor", &node->other);
  p->at++;
  return true;
}

static bool
parse_if (TplParser *p, TplNode *node)
{
  TplNode **tail = &node->list;
  const TplUnresolved *before = p->unresolved;
  for (bool more = true; more;)
    {
      TplNode *branch = eng_tpl_node (p, NODE_BRANCH);
      if (!branch || !(branch->a = eng_tpl_parse_tuple (p, false, NULL))
          || !parse_block (p, "elif|else|endif", &branch->body))
        return false;
      *tail = branch;
      tail = &branch->next;
      more = eng_tpl_skip_name (p, "elif");
    }
  if (eng_tpl_skip_name (p, "else"))
    {
      TplNode *branch = eng_tpl_node (p, NODE_BRANCH);
      if (!branch || !parse_block (p, "endif", &branch->body))
        return false;
      *tail = branch;
    }
  p->at++; /* endif */
  p->unresolved = before;
  return true;
}

static bool
parse_set (TplParser *p, TplNode *node)
{
  if (!(node->a = eng_tpl_parse_target (p, true, NULL)))
    return false;
  if (eng_tpl_skip_op (p, "="))
    return (node->b = eng_tpl_parse_tuple (p, true, NULL)) != NULL;
  node->kind = NODE_SET_BLOCK;
  if (eng_tpl_peek_op (p, "|") && !(node->b = eng_tpl_parse_filters (p, NULL, false)))
    return false;
  return parse_isolated_block (p, "endset", &node->body);
}

static bool
parse_with (TplParser *p, TplNode *node)
{
  TplNode **tail = &node->list;
  while (eng_tpl_peek (p, 0)->kind != TOKEN_BLOCK_END)
    {
      TplNode *set = eng_tpl_node (p, NODE_SET);
      if ((node->list && !eng_tpl_expect_op (p, ",")) || !set
          || !(set->a = eng_tpl_parse_target (p, false, NULL)) || !eng_tpl_expect_op (p, "=")
          || !(set->b = eng_tpl_parse_expression (p, true)))
        return false;
      *tail = set;
      tail = &set->next;
    }
  return parse_closed_block (p, "endwith", &node->body);
}

/* "(a, b=1)" of a macro or call block. */
static bool
parse_parameters (TplParser *p, TplNode *node)
{
  TplNode **tail = &node->list;
  bool had_default = false;
  if (!eng_tpl_expect_op (p, "("))
    return false;
  while (!eng_tpl_peek_op (p, ")"))
    {
      if (node->list && !eng_tpl_expect_op (p, ","))
        return false;
      TplNode *param = eng_tpl_node (p, NODE_PARAM);
      if (!param || !eng_tpl_expect_name (p, &param->name))
        return false;
      if (eng_tpl_skip_op (p, "="))
        {
          if (!(param->a = eng_tpl_parse_expression (p, true)))
            return false;
          had_default = true;
        }
      else if (had_default)
        return eng_tpl_parse_fail (p, ENG_ERR_TEMPLATE,
                                   "non-default argument follows default argument");
      *tail = param;
      tail = &param->next;
      node->n_list++;
    }
  p->at++;
  return true;
}

static bool
parse_macro_body (TplParser *p, const char *end, TplNode *node)
{
  TplNode *outer = p->macro;
  node->other = outer;
  p->macro = node;
  bool ok = parse_isolated_block (p, end, &node->body);
  p->macro = outer;
  return ok;
}

static bool
parse_macro (TplParser *p, TplNode *node)
{
  return eng_tpl_expect_name (p, &node->name) && parse_parameters (p, node)
         && parse_macro_body (p, "endmacro", node);
}

static bool
parse_call_block (TplParser *p, TplNode *node)
{
  if (eng_tpl_peek_op (p, "(") && !parse_parameters (p, node))
    return false;
  if (!(node->a = eng_tpl_parse_expression (p, true)))
    return false;
  if (node->a->kind != NODE_CALL)
    return eng_tpl_parse_fail (p, ENG_ERR_TEMPLATE, "expected a call");
  return parse_macro_body (p, "endcall", node);
}

static bool
parse_filter_block (TplParser *p, TplNode *node)
{
  return (node->a = eng_tpl_parse_filters (p, NULL, true)) != NULL
         && parse_isolated_block (p, "endfilter", &node->body);
}

static bool
parse_generation (TplParser *p, TplNode *node)
{
  return parse_isolated_block (p, "endgeneration", &node->body);
}

static bool
parse_loop_control (TplParser *p, TplNode *node)
{
  if (p->n_loops == 0)
    return eng_tpl_parse_fail (p, ENG_ERR_TEMPLATE, "'%s' outside a loop",
                               node->kind == NODE_BREAK ? "break" : "continue");
  return true;
}

/* {% print a, b %} is as many {{ … }}. */
static bool
parse_print (TplParser *p, TplNode *node)
{
  for (;;)
    {
      if (!(node->a = eng_tpl_parse_expression (p, true)))
        return false;
      if (!eng_tpl_skip_op (p, ","))
        return true;
      if (!(node->next = eng_tpl_node (p, NODE_PRINT)))
        return false;
      node = node->next;
    }
}

static bool
parse_statement (TplParser *p, TplNode **out)
{
  static const struct
  {
    const char *name;
    TplNodeKind kind;
    bool (*parse) (TplParser *p, TplNode *node);
  } statements[] = {
    { "for", NODE_FOR, parse_for },
    { "if", NODE_IF, parse_if },
    { "set", NODE_SET, parse_set },
    { "with", NODE_WITH, parse_with },
    { "macro", NODE_MACRO, parse_macro },
    { "call", NODE_CALL_BLOCK, parse_call_block },
    { "filter", NODE_FILTER_BLOCK, parse_filter_block },
    { "generation", NODE_GENERATION, parse_generation },
    { "break", NODE_BREAK, parse_loop_control },
    { "continue", NODE_CONTINUE, parse_loop_control },
    { "print", NODE_PRINT, parse_print },
  };
  const TplToken *t = eng_tpl_peek (p, 0);
  if (t->kind != TOKEN_NAME)
    return eng_tpl_unexpected (p, "the name of a statement");
  for (size_t k = 0; k < sizeof statements / sizeof statements[0]; k++)
    if (eng_tpl_peek_name (p, statements[k].name))
      {
        *out = eng_tpl_node (p, statements[k].kind);
        p->at += *out && statements[k].kind != NODE_BREAK && statements[k].kind != NODE_CONTINUE;
        if (!*out || !statements[k].parse (p, *out))
          return false;
        p->at += statements[k].kind == NODE_BREAK || statements[k].kind == NODE_CONTINUE;
        return true;
      }
  TplString name = { .data = t->text, .n_bytes = t->n };
  if (eng_tpl_name_in_list ("include import from extends block autoescape do debug trans", &name))
    return eng_tpl_parse_fail (p, ENG_ERR_UNSUPPORTED, "unsupported statement '%.*s'", (int) t->n,
                               t->text);
  return eng_tpl_parse_fail (p, ENG_ERR_TEMPLATE, "Encountered unknown tag '%.*s'.",
                             t->n > 40 ? 40 : (int) t->n, t->text);
}

bool
eng_tpl_parse_body (TplParser *p, TplNode **body)
{
  const TplUnresolved *first = NULL;
  if (!parse_until (p, NULL, body))
    return false;
  for (const TplUnresolved *u = p->unresolved; u; u = u->before)
    first = u;
  if (!first)
    return true;
  const TplString *name = first->node->name;
  bool is_filter = first->node->kind == NODE_FILTER;
  int n = name->n_bytes > 60 ? 60 : (int) name->n_bytes;
  if (is_filter ? eng_tpl_is_refused_filter (name) : eng_tpl_is_refused_test (name))
    return eng_tpl_syntax_error (p->lexer, ENG_ERR_UNSUPPORTED, first->offset,
                                 "unsupported %s '%.*s'", is_filter ? "filter" : "test", n,
                                 name->data);
  return eng_tpl_syntax_error (p->lexer, ENG_ERR_TEMPLATE, first->offset, "No %s named '%.*s'.",
                               is_filter ? "filter" : "test", n, name->data);
}
