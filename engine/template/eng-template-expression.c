/* SPDX-License-Identifier: Apache-2.0 */
/* Expressions, by Jinja's precedence, loosest first: x if y, or, and, not, comparisons, + -, ~,
 * * / // %, **, unary, then subscripts, calls, filters and tests. */
#include "eng-template-private.h"

static TplNode *parse_unary (TplParser *p, bool with_filters);
static TplNode *parse_primary (TplParser *p, bool with_namespace);
static TplNode *parse_postfix (TplParser *p, TplNode *node);
static TplNode *parse_filter_chain (TplParser *p, TplNode *node);

static TplNode *
binary (TplParser *p, TplNodeKind kind, TplOp op, TplNode *a, TplNode *b)
{
  TplNode *node = a && b ? eng_tpl_node (p, kind) : NULL;
  if (node)
    {
      node->op = (uint8_t) op;
      node->a = a;
      node->b = b;
      node->line = a->line;
    }
  return node;
}

static bool
take_operator (TplParser *p, const char *const *symbols, const TplOp *ops, size_t n, TplOp *op)
{
  for (size_t k = 0; k < n; k++)
    if (eng_tpl_skip_op (p, symbols[k]))
      {
        *op = ops[k];
        return true;
      }
  return false;
}

static TplNode *
parse_power (TplParser *p)
{
  TplNode *left = parse_unary (p, true);
  while (left && eng_tpl_skip_op (p, "**"))
    left = binary (p, NODE_BINARY, OP_POW, left, parse_unary (p, true));
  return left;
}

static TplNode *
parse_product (TplParser *p)
{
  static const char *const symbols[] = { "*", "//", "/", "%" };
  static const TplOp ops[] = { OP_MUL, OP_FLOORDIV, OP_DIV, OP_MOD };
  TplNode *left = parse_power (p);
  for (TplOp op; left && take_operator (p, symbols, ops, 4, &op);)
    left = binary (p, NODE_BINARY, op, left, parse_power (p));
  return left;
}

static TplNode *
parse_concat (TplParser *p)
{
  TplNode *first = parse_product (p);
  if (!first || !eng_tpl_peek_op (p, "~"))
    return first;
  TplNode *node = eng_tpl_node (p, NODE_CONCAT);
  if (!node)
    return NULL;
  node->line = first->line;
  node->list = first;
  TplNode **tail = &first->next;
  while (eng_tpl_skip_op (p, "~"))
    {
      if (!(*tail = parse_product (p)))
        return NULL;
      tail = &(*tail)->next;
    }
  return node;
}

static TplNode *
parse_sum (TplParser *p)
{
  static const char *const symbols[] = { "+", "-" };
  static const TplOp ops[] = { OP_ADD, OP_SUB };
  TplNode *left = parse_concat (p);
  for (TplOp op; left && take_operator (p, symbols, ops, 2, &op);)
    left = binary (p, NODE_BINARY, op, left, parse_concat (p));
  return left;
}

static bool
take_comparison (TplParser *p, TplOp *op)
{
  static const char *const symbols[] = { "==", "!=", "<=", ">=", "<", ">" };
  static const TplOp ops[] = { OP_EQ, OP_NE, OP_LE, OP_GE, OP_LT, OP_GT };
  if (take_operator (p, symbols, ops, 6, op))
    return true;
  if (eng_tpl_skip_name (p, "in"))
    {
      *op = OP_IN;
      return true;
    }
  const TplToken *ahead = eng_tpl_peek (p, 1);
  if (eng_tpl_peek_name (p, "not") && ahead->kind == TOKEN_NAME && ahead->n == 2
      && memcmp (ahead->text, "in", 2) == 0)
    {
      p->at += 2;
      *op = OP_NOT_IN;
      return true;
    }
  return false;
}

static TplNode *
parse_comparison (TplParser *p)
{
  TplNode *left = parse_sum (p), *node = NULL, **tail = NULL;
  for (TplOp op; left && take_comparison (p, &op);)
    {
      TplNode *operand = eng_tpl_node (p, NODE_OPERAND);
      if (!node)
        {
          if (!(node = eng_tpl_node (p, NODE_COMPARE)))
            return NULL;
          node->line = left->line;
          node->a = left;
          tail = &node->list;
        }
      if (!operand || !(operand->a = parse_sum (p)))
        return NULL;
      operand->op = (uint8_t) op;
      *tail = operand;
      tail = &operand->next;
    }
  return node ? node : left;
}

static TplNode *
parse_not (TplParser *p)
{
  if (!eng_tpl_peek_name (p, "not"))
    return parse_comparison (p);
  TplNode *node = eng_tpl_node (p, NODE_NOT);
  if (!node || !eng_tpl_enter (p))
    return NULL;
  p->at++;
  node->a = parse_not (p);
  p->nesting--;
  return node->a ? node : NULL;
}

static TplNode *
parse_and (TplParser *p)
{
  TplNode *left = parse_not (p);
  while (left && eng_tpl_skip_name (p, "and"))
    left = binary (p, NODE_AND, OP_EQ, left, parse_not (p));
  return left;
}

static TplNode *
parse_or (TplParser *p)
{
  TplNode *left = parse_and (p);
  while (left && eng_tpl_skip_name (p, "or"))
    left = binary (p, NODE_OR, OP_EQ, left, parse_and (p));
  return left;
}

static TplNode *
parse_condition (TplParser *p)
{
  const TplUnresolved *before = p->unresolved;
  TplNode *value = parse_or (p);
  while (value && eng_tpl_skip_name (p, "if"))
    {
      TplNode *node = eng_tpl_node (p, NODE_COND);
      if (!node)
        return NULL;
      node->line = value->line;
      node->b = value;
      if (!(node->a = parse_or (p)))
        return NULL;
      if (eng_tpl_skip_name (p, "else") && !(node->c = eng_tpl_parse_expression (p, true)))
        return NULL;
      value = node;
      p->unresolved = before;
    }
  return value;
}

TplNode *
eng_tpl_parse_expression (TplParser *p, bool with_condition)
{
  if (!eng_tpl_enter (p))
    return NULL;
  TplNode *node = with_condition ? parse_condition (p) : parse_or (p);
  p->nesting--;
  return node;
}

static bool
at_tuple_end (const TplParser *p, const char *end_name)
{
  TplTokenKind kind = eng_tpl_peek (p, 0)->kind;
  return kind == TOKEN_VARIABLE_END || kind == TOKEN_BLOCK_END || eng_tpl_peek_op (p, ")")
         || (end_name && eng_tpl_peek_name (p, end_name));
}

typedef enum
{
  TUPLE_EXPRESSIONS,
  TUPLE_EXPRESSIONS_NO_CONDITION,
  TUPLE_PARENTHESES,
  TUPLE_TARGETS,
  TUPLE_TARGETS_NAMESPACE
} TupleMode;

static TplNode *
parse_tuple (TplParser *p, TupleMode mode, const char *end_name)
{
  TplNode *first = NULL, **tail = &first;
  uint32_t n = 0, line = eng_tpl_peek (p, 0)->line;
  bool is_tuple = false;
  for (;;)
    {
      if (n > 0 && !eng_tpl_expect_op (p, ","))
        return NULL;
      if (at_tuple_end (p, end_name))
        break;
      *tail = mode >= TUPLE_TARGETS
                  ? parse_primary (p, mode == TUPLE_TARGETS_NAMESPACE)
                  : eng_tpl_parse_expression (p, mode != TUPLE_EXPRESSIONS_NO_CONDITION);
      if (!*tail)
        return NULL;
      tail = &(*tail)->next;
      n++;
      if (!eng_tpl_peek_op (p, ","))
        break;
      is_tuple = true;
    }
  if (!is_tuple && n == 1)
    return first;
  if (n == 0 && mode != TUPLE_PARENTHESES)
    {
      eng_tpl_unexpected (p, "an expression");
      return NULL;
    }
  TplNode *node = eng_tpl_node (p, NODE_TUPLE);
  if (node)
    {
      node->list = first;
      node->n_list = n;
      node->line = line;
    }
  return node;
}

TplNode *
eng_tpl_parse_tuple (TplParser *p, bool with_condition, const char *end_name)
{
  return parse_tuple (p, with_condition ? TUPLE_EXPRESSIONS : TUPLE_EXPRESSIONS_NO_CONDITION,
                      end_name);
}

static bool
is_target (const TplNode *node)
{
  static const char reserved[] = "true false none True False None";
  if (node->kind == NODE_NAME)
    return !eng_tpl_name_in_list (reserved, node->name);
  if (node->kind == NODE_NSREF)
    return true;
  if (node->kind != NODE_TUPLE)
    return false;
  for (const TplNode *item = node->list; item; item = item->next)
    if (!is_target (item))
      return false;
  return true;
}

TplNode *
eng_tpl_parse_target (TplParser *p, bool with_namespace, const char *end_name)
{
  TplNode *node
      = parse_tuple (p, with_namespace ? TUPLE_TARGETS_NAMESPACE : TUPLE_TARGETS, end_name);
  if (node && !is_target (node))
    {
      eng_tpl_parse_fail (p, ENG_ERR_TEMPLATE, "can't assign to this");
      return NULL;
    }
  return node;
}

/* ---- primaries */

static TplNode *
constant (TplParser *p, TplValue value)
{
  TplNode *node = eng_tpl_node (p, NODE_CONST);
  if (node)
    node->value = value;
  return node;
}

/* Every mention is noted: looking for an earlier one would be quadratic. */
static bool
note_name (TplParser *p, const TplString *name)
{
  TplName *fresh = eng_arena_alloc (&p->tmpl->arena, sizeof *fresh);
  if (!fresh)
    return eng_tpl_parse_fail (p, ENG_ERR_NO_MEMORY, "no memory for the template");
  fresh->name = name;
  fresh->next = p->tmpl->names;
  p->tmpl->names = fresh;
  return true;
}

static TplNode *
parse_name (TplParser *p, bool with_namespace)
{
  const TplToken *t = eng_tpl_peek (p, 0), *dot = eng_tpl_peek (p, 1), *attr = eng_tpl_peek (p, 2);
  TplString text = { .data = t->text, .n_bytes = t->n };
  TplValue value = { 0 };
  bool yes = eng_tpl_name_in_list ("true True", &text);
  if (yes || eng_tpl_name_in_list ("false False", &text))
    value = eng_tpl_bool (yes);
  else if (eng_tpl_name_in_list ("none None", &text))
    value = eng_tpl_none ();
  TplNode *node = value.kind ? constant (p, value) : eng_tpl_node (p, NODE_NAME);
  if (!node || value.kind)
    {
      p->at++;
      return node;
    }
  if (!(node->name = eng_tpl_literal (p, t->text, t->n)))
    return NULL;
  if (t->n >= 2 && memcmp (t->text, "__", 2) == 0)
    {
      eng_tpl_parse_fail (p, ENG_ERR_UNSUPPORTED, "unsupported name '%.*s'",
                          t->n > 60 ? 60 : (int) t->n, t->text);
      return NULL;
    }
  p->at++;
  if (with_namespace && dot->kind == TOKEN_OPERATOR && dot->n == 1 && dot->text[0] == '.'
      && attr->kind == TOKEN_NAME)
    {
      node->kind = NODE_NSREF;
      if (!(node->name2 = eng_tpl_literal (p, attr->text, attr->n)))
        return NULL;
      p->at += 2;
    }
  for (TplNode *macro = p->macro; macro; macro = macro->other)
    {
      macro->uses_varargs |= eng_tpl_string_is (node->name, "varargs");
      macro->uses_kwargs |= eng_tpl_string_is (node->name, "kwargs");
      macro->uses_caller |= eng_tpl_string_is (node->name, "caller");
    }
  return note_name (p, node->name) ? node : NULL;
}

/* Neighbouring strings are one, as in Python. */
static TplNode *
parse_string (TplParser *p)
{
  const TplToken *t = eng_tpl_peek (p, 0);
  TplNode *node = constant (p, (TplValue){ .kind = TPL_STRING });
  if (!node)
    return NULL;
  size_t total = 0;
  uint32_t count = 0;
  while (eng_tpl_peek (p, count)->kind == TOKEN_STRING)
    total += eng_tpl_peek (p, count++)->n;
  const char *text = t->text;
  if (count > 1)
    {
      char *joined = eng_arena_alloc (&p->tmpl->arena, total + 1);
      if (!joined)
        {
          eng_tpl_parse_fail (p, ENG_ERR_NO_MEMORY, "no memory for the template");
          return NULL;
        }
      text = joined;
      for (uint32_t k = 0; k < count; k++)
        {
          const TplToken *part = eng_tpl_peek (p, k);
          memcpy (joined, part->text, part->n);
          joined += part->n;
        }
    }
  node->value.string = eng_tpl_literal (p, text, (uint32_t) total);
  p->at += count;
  return node->value.string ? node : NULL;
}

static TplNode *
parse_list (TplParser *p)
{
  TplNode *node = eng_tpl_node (p, NODE_LIST), **tail;
  if (!node)
    return NULL;
  p->at++;
  tail = &node->list;
  while (!eng_tpl_peek_op (p, "]"))
    {
      if (node->list && !eng_tpl_expect_op (p, ","))
        return NULL;
      if (eng_tpl_peek_op (p, "]"))
        break;
      if (!(*tail = eng_tpl_parse_expression (p, true)))
        return NULL;
      tail = &(*tail)->next;
      node->n_list++;
    }
  p->at++;
  return node;
}

static TplNode *
parse_dict (TplParser *p)
{
  TplNode *node = eng_tpl_node (p, NODE_DICT), **tail;
  if (!node)
    return NULL;
  p->at++;
  tail = &node->list;
  while (!eng_tpl_peek_op (p, "}"))
    {
      if (node->list && !eng_tpl_expect_op (p, ","))
        return NULL;
      if (eng_tpl_peek_op (p, "}"))
        break;
      TplNode *pair = eng_tpl_node (p, NODE_PAIR);
      if (!pair || !(pair->a = eng_tpl_parse_expression (p, true)) || !eng_tpl_expect_op (p, ":")
          || !(pair->b = eng_tpl_parse_expression (p, true)))
        return NULL;
      *tail = pair;
      tail = &pair->next;
      node->n_list++;
    }
  p->at++;
  return node;
}

static TplNode *
parse_primary (TplParser *p, bool with_namespace)
{
  const TplToken *t = eng_tpl_peek (p, 0);
  TplNode *node;
  switch (t->kind)
    {
    case TOKEN_NAME:
      return parse_name (p, with_namespace);
    case TOKEN_STRING:
      return parse_string (p);
    case TOKEN_INTEGER:
    case TOKEN_FLOAT:
      node = constant (p, t->kind == TOKEN_INTEGER ? eng_tpl_int (t->integer)
                                                   : eng_tpl_float (t->number));
      p->at++;
      return node;
    default:
      break;
    }
  if (eng_tpl_peek_op (p, "["))
    return parse_list (p);
  if (eng_tpl_peek_op (p, "{"))
    return parse_dict (p);
  if (!eng_tpl_skip_op (p, "("))
    {
      eng_tpl_unexpected (p, "an expression");
      return NULL;
    }
  node = parse_tuple (p, TUPLE_PARENTHESES, NULL);
  return node && eng_tpl_expect_op (p, ")") ? node : NULL;
}

static TplNode *
parse_unary (TplParser *p, bool with_filters)
{
  TplNode *node;
  bool negative = eng_tpl_peek_op (p, "-");
  if (negative || eng_tpl_peek_op (p, "+"))
    {
      if (!(node = eng_tpl_node (p, negative ? NODE_NEG : NODE_POS)) || !eng_tpl_enter (p))
        return NULL;
      p->at++;
      node->a = parse_unary (p, false);
      p->nesting--;
      if (!node->a)
        return NULL;
    }
  else if (!(node = parse_primary (p, false)))
    return NULL;
  node = parse_postfix (p, node);
  return node && with_filters ? parse_filter_chain (p, node) : node;
}

/* ---- subscripts, calls, filters, tests */

/* "(a, b, name=c)" into node->list. */
static bool
parse_arguments (TplParser *p, TplNode *node)
{
  TplNode **tail = &node->list;
  bool keywords = false;
  p->at++;
  while (!eng_tpl_peek_op (p, ")"))
    {
      if (node->list && !eng_tpl_expect_op (p, ","))
        return false;
      if (eng_tpl_peek_op (p, ")"))
        break;
      if (eng_tpl_peek_op (p, "*") || eng_tpl_peek_op (p, "**"))
        return eng_tpl_parse_fail (p, ENG_ERR_UNSUPPORTED, "* and ** arguments are not supported");
      const TplToken *t = eng_tpl_peek (p, 0), *ahead = eng_tpl_peek (p, 1);
      TplNode *arg;
      if (t->kind == TOKEN_NAME && ahead->kind == TOKEN_OPERATOR && ahead->n == 1
          && ahead->text[0] == '=')
        {
          if (!(arg = eng_tpl_node (p, NODE_KEYWORD)) || !eng_tpl_expect_name (p, &arg->name))
            return false;
          p->at++;
          if (!(arg->a = eng_tpl_parse_expression (p, true)))
            return false;
          keywords = true;
        }
      else if (keywords)
        return eng_tpl_parse_fail (p, ENG_ERR_TEMPLATE,
                                   "invalid syntax for function call expression");
      else if (!(arg = eng_tpl_parse_expression (p, true)))
        return false;
      *tail = arg;
      tail = &arg->next;
      node->n_list++;
    }
  p->at++;
  return true;
}

static TplNode *
parse_call (TplParser *p, TplNode *callee)
{
  TplNode *node = eng_tpl_node (p, NODE_CALL);
  if (!node)
    return NULL;
  node->a = callee;
  return parse_arguments (p, node) ? node : NULL;
}

static TplNode *
parse_slice_part (TplParser *p, bool *ok)
{
  if (eng_tpl_peek_op (p, ":") || eng_tpl_peek_op (p, "]") || eng_tpl_peek_op (p, ","))
    return NULL;
  TplNode *node = eng_tpl_parse_expression (p, true);
  *ok = *ok && node;
  return node;
}

static TplNode *
parse_subscript (TplParser *p)
{
  bool ok = true;
  TplNode *first = parse_slice_part (p, &ok);
  if (!ok)
    return NULL;
  if (first && !eng_tpl_peek_op (p, ":"))
    return first;
  TplNode *slice = eng_tpl_node (p, NODE_SLICE);
  if (!slice || !eng_tpl_expect_op (p, ":"))
    return NULL;
  slice->a = first;
  slice->b = parse_slice_part (p, &ok);
  if (ok && eng_tpl_skip_op (p, ":"))
    slice->c = parse_slice_part (p, &ok);
  return ok ? slice : NULL;
}

static TplNode *
parse_getitem (TplParser *p, TplNode *object)
{
  TplNode *node = eng_tpl_node (p, NODE_GETITEM);
  if (!node)
    return NULL;
  p->at++;
  node->a = object;
  if (!(node->b = parse_subscript (p)))
    return NULL;
  if (eng_tpl_peek_op (p, ","))
    {
      eng_tpl_parse_fail (p, ENG_ERR_UNSUPPORTED, "several subscripts are not supported");
      return NULL;
    }
  return eng_tpl_expect_op (p, "]") ? node : NULL;
}

static TplNode *
parse_getattr (TplParser *p, TplNode *object)
{
  TplNode *node = eng_tpl_node (p, NODE_GETATTR);
  if (!node)
    return NULL;
  p->at++;
  node->a = object;
  const TplToken *t = eng_tpl_peek (p, 0);
  if (t->kind == TOKEN_INTEGER)
    {
      node->kind = NODE_GETITEM;
      node->b = constant (p, eng_tpl_int (t->integer));
      p->at++;
      return node->b ? node : NULL;
    }
  if (t->kind == TOKEN_NAME && t->n >= 2 && memcmp (t->text, "__", 2) == 0)
    {
      eng_tpl_parse_fail (p, ENG_ERR_UNSUPPORTED, "unsupported name '%.*s'",
                          t->n > 60 ? 60 : (int) t->n, t->text);
      return NULL;
    }
  return eng_tpl_expect_name (p, &node->name) ? node : NULL;
}

static TplNode *
parse_postfix (TplParser *p, TplNode *node)
{
  while (node)
    {
      if (eng_tpl_peek_op (p, "."))
        node = parse_getattr (p, node);
      else if (eng_tpl_peek_op (p, "["))
        node = parse_getitem (p, node);
      else if (eng_tpl_peek_op (p, "("))
        node = parse_call (p, node);
      else
        break;
    }
  return node;
}

/* Finds the function of a filter or test. Like Jinja, a name that does not exist is a mistake at
 * once, but under a condition only when it is reached: templates ask "'x' is filter" first. So the
 * unknown are noted, the conditions drop their notes, and what is left at the end is refused. */
static bool
resolve (TplParser *p, TplNode *node)
{
  node->function = node->kind == NODE_FILTER ? eng_tpl_find_filter (node->name)
                                             : eng_tpl_find_test (node->name);
  if (node->function)
    return true;
  TplUnresolved *u = eng_arena_alloc (&p->tmpl->arena, sizeof *u);
  if (!u)
    return eng_tpl_parse_fail (p, ENG_ERR_NO_MEMORY, "no memory for the template");
  u->node = node;
  u->offset = p->lexer->tokens[p->at - 1].offset;
  u->before = p->unresolved;
  p->unresolved = u;
  return true;
}

TplNode *
eng_tpl_parse_filters (TplParser *p, TplNode *subject, bool start_inline)
{
  while (start_inline || eng_tpl_peek_op (p, "|"))
    {
      p->at += !start_inline;
      start_inline = false;
      TplNode *node = eng_tpl_node (p, NODE_FILTER);
      if (!node || !eng_tpl_expect_name (p, &node->name))
        return NULL;
      node->a = subject;
      if (!resolve (p, node) || (eng_tpl_peek_op (p, "(") && !parse_arguments (p, node)))
        return NULL;
      subject = node;
    }
  return subject;
}

/* A test may have one argument without parentheses. */
static bool
has_bare_argument (const TplParser *p)
{
  const TplToken *t = eng_tpl_peek (p, 0);
  if (t->kind == TOKEN_NAME)
    return !eng_tpl_peek_name (p, "else") && !eng_tpl_peek_name (p, "or")
           && !eng_tpl_peek_name (p, "and");
  return t->kind == TOKEN_STRING || t->kind == TOKEN_INTEGER || t->kind == TOKEN_FLOAT
         || eng_tpl_peek_op (p, "[") || eng_tpl_peek_op (p, "{");
}

static TplNode *
parse_test (TplParser *p, TplNode *subject)
{
  TplNode *node = eng_tpl_node (p, NODE_TEST);
  if (!node)
    return NULL;
  p->at++;
  bool negated = eng_tpl_skip_name (p, "not");
  if (!eng_tpl_expect_name (p, &node->name))
    return NULL;
  node->a = subject;
  if (!resolve (p, node))
    return NULL;
  if (eng_tpl_peek_op (p, "("))
    {
      if (!parse_arguments (p, node))
        return NULL;
    }
  else if (has_bare_argument (p))
    {
      if (eng_tpl_peek_name (p, "is"))
        {
          eng_tpl_parse_fail (p, ENG_ERR_TEMPLATE, "You cannot chain multiple tests with is");
          return NULL;
        }
      TplNode *arg = parse_primary (p, false);
      if (!arg || !(node->list = parse_postfix (p, arg)))
        return NULL;
      node->n_list = 1;
    }
  if (!negated)
    return node;
  TplNode *not = eng_tpl_node (p, NODE_NOT);
  if (not )
    not ->a = node;
  return not ;
}

static TplNode *
parse_filter_chain (TplParser *p, TplNode *node)
{
  while (node)
    {
      if (eng_tpl_peek_op (p, "|"))
        node = eng_tpl_parse_filters (p, node, false);
      else if (eng_tpl_peek_name (p, "is"))
        node = parse_test (p, node);
      else if (eng_tpl_peek_op (p, "("))
        node = parse_call (p, node);
      else
        break;
    }
  return node;
}
