/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this folder share: syntax tree, values, the state of one rendering.
 *
 * Invariants:
 * 1. Every string is valid UTF-8 and shorter than 2^31 bytes.
 * 2. Values are immutable once another value refers to them, namespaces excepted; so strings and
 *    lists share memory freely, and everything lives in the arena of the template or the rendering.
 * 3. A function that returns false has set the rendering's error (TplRender.status), once.
 * 4. Work whose amount the template or the messages choose is paid for with eng_tpl_charge ()
 * first. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "eng-arena.h"
#include "eng-error.h"
#include "eng-template.h"

/* ------------------------------------------------------------------ values */

typedef enum
{
  TPL_ABSENT, /* an optional argument that was not given; never seen by a template */
  TPL_UNDEFINED,
  TPL_NONE,
  TPL_BOOL,
  TPL_INT,
  TPL_FLOAT,
  TPL_STRING,
  TPL_LIST,
  TPL_TUPLE,
  TPL_DICT,
  TPL_RANGE,
  TPL_VIEW,     /* dict.keys (), .values (), .items () */
  TPL_ITERATOR, /* what map, select, reverse, … give: can be walked through once */
  TPL_NAMESPACE,
  TPL_LOOP,
  TPL_MACRO,
  TPL_FUNCTION, /* a global function */
  TPL_METHOD    /* a method together with its object */
} TplKind;

typedef struct TplString TplString;
typedef struct TplList TplList;
typedef struct TplDict TplDict;
typedef struct TplIterator TplIterator;
typedef struct TplUndefined TplUndefined;
typedef struct TplLoop TplLoop;
typedef struct TplMacro TplMacro;
typedef struct TplBound TplBound;
typedef struct TplNode TplNode;
typedef struct TplRender TplRender;
typedef struct TplScope TplScope;

typedef enum
{
  TPL_VIEW_KEYS,
  TPL_VIEW_VALUES,
  TPL_VIEW_ITEMS
} TplViewKind;

typedef struct
{
  int64_t start, step;
  uint32_t n;
  int64_t stop; /* as written, for its text */
} TplRangeData;

typedef struct
{
  uint8_t kind;
  bool inserted; /* BOOL, INT, FLOAT, NONE: came from the variables; a STRING has marks instead */
  bool markup;   /* STRING: went through |safe or |escape */
  uint8_t view;
  union
  {
    bool boolean;
    int64_t integer;
    double number;
    const TplString *string;
    const TplList *list; /* LIST, TUPLE */
    TplDict *dict;       /* DICT, VIEW, NAMESPACE */
    const TplRangeData *range;
    TplIterator *iterator;
    const TplUndefined *undefined; /* NULL: nothing is known about it */
    TplLoop *loop;
    const TplMacro *macro;
    const struct TplFunction *function;
    const TplBound *bound;
  };
} TplValue;

/* Bytes up to @end of a string, from where the run before ends. */
typedef struct
{
  uint32_t end;
  bool inserted;
} TplRun;

struct TplString
{
  const char *data; /* not NUL-terminated */
  uint32_t n_bytes;
  uint32_t n_chars;
  const TplRun *runs; /* neighbours differ; the last ends at @n_bytes. NULL: all alike */
  uint32_t n_runs;
  bool inserted; /* when @runs is NULL */
};

struct TplList
{
  const TplValue *items;
  uint32_t n;
};

typedef struct
{
  TplValue key, value;
} TplEntry;

struct TplDict
{
  TplEntry *entries;
  uint32_t n, capacity;
};

/* Walks over @source's items; what is not a sequence by itself was made a list before. */
struct TplIterator
{
  TplValue source;
  uint32_t next;
};

struct TplUndefined
{
  const char *hint; /* whole message, or NULL */
  TplValue object;  /* ABSENT: a plain name */
  TplValue name;    /* STRING or what was looked for */
};

struct TplMacro
{
  const TplNode *node; /* NODE_MACRO or NODE_CALL_BLOCK */
  TplScope *scope;     /* where it was defined */
};

typedef struct
{
  const TplString *name;
  TplValue value;
} TplKeyword;

typedef struct
{
  const TplValue *items;
  uint32_t n;
  const TplKeyword *keywords;
  uint32_t n_keywords;
} TplArgs;

/* A filter, method, test or global function. @params names the parameters, parted by spaces, an
 * optional one with a '=' behind; they come bound in @a, ABSENT where not given. With NULL, @args
 * is all there is. A test gives a BOOL. */
#define TPL_MAX_PARAMS 8
typedef bool (*TplCall) (TplRender *r, const TplValue *self, const TplArgs *args, const TplValue *a,
                         TplValue *out);
typedef struct TplFunction
{
  const char *name;
  const char *params;
  TplCall call;
} TplFunction;

struct TplBound
{
  const TplFunction *function;
  TplValue self;
};

/* ------------------------------------------------------------------ syntax tree */

typedef enum
{
  NODE_CONST, /* value */
  NODE_NAME,  /* name */
  NODE_TUPLE, /* list of expressions */
  NODE_LIST,  /* list */
  NODE_DICT,  /* list of NODE_PAIR (a: key, b: value) */
  NODE_PAIR,
  NODE_COND, /* a if b else c; c may be NULL */
  NODE_OR,   /* a, b */
  NODE_AND,
  NODE_NOT,     /* a */
  NODE_COMPARE, /* a, list of NODE_OPERAND (op, a) */
  NODE_OPERAND,
  NODE_BINARY, /* op, a, b */
  NODE_CONCAT, /* list */
  NODE_NEG,    /* a */
  NODE_POS,
  NODE_GETATTR, /* a, name */
  NODE_GETITEM, /* a, b */
  NODE_SLICE,   /* a:b:c, each may be NULL; only as b of NODE_GETITEM */
  NODE_CALL,    /* a, list: arguments, NODE_KEYWORD (name, a) last */
  NODE_KEYWORD,
  NODE_FILTER, /* a (NULL at the head of a filter block), name, function, list as NODE_CALL */
  NODE_TEST,   /* a, name, function, list */

  NODE_DATA,  /* value: text of the template */
  NODE_PRINT, /* a */
  NODE_FOR,   /* a target, b iterable, c test or NULL, body, other */
  NODE_IF,    /* list of NODE_BRANCH (a: test or NULL for else, body) */
  NODE_BRANCH,
  NODE_SET,       /* a target, b value */
  NODE_SET_BLOCK, /* a target, b filters or NULL, body */
  NODE_NSREF,     /* target: name.attribute (name2) */
  NODE_WITH,      /* list of NODE_SET, body */
  NODE_MACRO,     /* name, list of NODE_PARAM (name, a: default or NULL), body */
  NODE_PARAM,
  NODE_CALL_BLOCK,   /* list of NODE_PARAM, a: the call, body */
  NODE_FILTER_BLOCK, /* a: filters, body */
  NODE_GENERATION,   /* body */
  NODE_BREAK,
  NODE_CONTINUE
} TplNodeKind;

typedef enum
{
  OP_ADD,
  OP_SUB,
  OP_MUL,
  OP_DIV,
  OP_FLOORDIV,
  OP_MOD,
  OP_POW,
  OP_EQ,
  OP_NE,
  OP_LT,
  OP_LE,
  OP_GT,
  OP_GE,
  OP_IN,
  OP_NOT_IN
} TplOp;

struct TplNode
{
  uint8_t kind, op;
  /* NODE_MACRO, NODE_CALL_BLOCK: their bodies mention these; @other is the macro around them. */
  bool uses_varargs, uses_kwargs, uses_caller;
  uint32_t line;
  uint32_t n_list;
  TplNode *next; /* in the list or body it is part of */
  TplNode *a, *b, *c;
  TplNode *list;
  TplNode *body, *other;
  const TplString *name, *name2;
  const TplFunction *function;
  TplValue value;
};

typedef struct TplName
{
  struct TplName *next;
  const TplString *name;
} TplName;

struct EngTemplate
{
  EngArena arena;
  TplNode *body;
  TplName *names; /* every variable mentioned, once or more often */
};

/* ------------------------------------------------------------------ lexer and parser */

typedef enum
{
  TOKEN_END,
  TOKEN_DATA,
  TOKEN_BLOCK_BEGIN,
  TOKEN_BLOCK_END,
  TOKEN_VARIABLE_BEGIN,
  TOKEN_VARIABLE_END,
  TOKEN_NAME,
  TOKEN_STRING,
  TOKEN_INTEGER,
  TOKEN_FLOAT,
  TOKEN_OPERATOR /* text is the operator */
} TplTokenKind;

typedef struct
{
  TplTokenKind kind;
  uint32_t line, offset, n;
  const char *text; /* DATA, NAME, OPERATOR, decoded STRING; not NUL-terminated */
  union
  {
    int64_t integer;
    double number;
  };
} TplToken;

typedef struct
{
  EngArena *arena;
  const char *source; /* with newlines unified */
  uint32_t n_source;
  TplToken *tokens;
  uint32_t n_tokens, cap_tokens;
  EngError *error;
  EngStatus status;
} TplLexer;

bool eng_tpl_lex (TplLexer *lexer, const char *source, size_t n_bytes);
/* Fills the lexer's error with line and column of @offset. Always false. */
bool eng_tpl_syntax_error (TplLexer *lexer, EngStatus status, uint32_t offset, const char *format,
                           ...) __attribute__ ((format (printf, 4, 5)));

/* A filter or test whose name is not known. */
typedef struct TplUnresolved
{
  const struct TplUnresolved *before;
  const TplNode *node;
  uint32_t offset;
} TplUnresolved;

typedef struct
{
  TplLexer *lexer;
  EngTemplate *tmpl;
  uint32_t at;
  unsigned nesting, n_loops;
  const TplUnresolved *unresolved;
  TplNode *macro; /* the innermost one being parsed */
} TplParser;

bool eng_tpl_parse_body (TplParser *p, TplNode **body);

/* Shared by eng-template-parser.c (statements) and eng-template-expression.c. All but the peeks
 * return false or NULL after an error. */
const TplToken *eng_tpl_peek (const TplParser *p, uint32_t ahead);
bool eng_tpl_peek_name (const TplParser *p, const char *name);
bool eng_tpl_peek_op (const TplParser *p, const char *op);
bool eng_tpl_skip_name (TplParser *p, const char *name);
bool eng_tpl_skip_op (TplParser *p, const char *op);
bool eng_tpl_expect_op (TplParser *p, const char *op);
bool eng_tpl_expect_name (TplParser *p, const TplString **name);
bool eng_tpl_unexpected (TplParser *p, const char *wanted);
bool eng_tpl_parse_fail (TplParser *p, EngStatus status, const char *format, ...)
    __attribute__ ((format (printf, 3, 4)));
bool eng_tpl_enter (TplParser *p);
TplNode *eng_tpl_node (TplParser *p, TplNodeKind kind);
const TplString *eng_tpl_literal (TplParser *p, const char *text, uint32_t n);
TplNode *eng_tpl_parse_expression (TplParser *p, bool with_condition);
/* Expressions parted by commas make a tuple. @end_name: a name that ends it, or NULL. */
TplNode *eng_tpl_parse_tuple (TplParser *p, bool with_condition, const char *end_name);
TplNode *eng_tpl_parse_target (TplParser *p, bool with_namespace, const char *end_name);
TplNode *eng_tpl_parse_filters (TplParser *p, TplNode *subject, bool start_inline);

/* ------------------------------------------------------------------ rendering */

typedef struct
{
  TplRender *r;
  char *data;
  uint32_t n_bytes, capacity;
  TplRun *runs;
  uint32_t n_runs, cap_runs;
  uint32_t limit; /* bytes; 0: that of any string */
} TplBuilder;

typedef struct TplVariable
{
  struct TplVariable *next;
  const TplString *name;
  TplValue value;
} TplVariable;

struct TplScope
{
  TplScope *parent;
  TplVariable *variables;
};

struct TplLoop
{
  TplValue iterable;
  TplIterator *items;
  const TplNode *node, *test; /* @test: NULL when there is none, or when the items passed it */
  TplScope *scope;            /* the loop's surroundings, where the test is evaluated */
  int64_t index0, length;
  bool has_length, has_after, ended, has_changed;
  TplValue current, before, after, changed;
};

struct TplRender
{
  EngArena arena;
  const EngTemplate *tmpl;
  TplValue vars; /* DICT */
  const struct tm *now;
  uint64_t work, max_work; /* in bytes: a step is worth TPL_STEP_BYTES of them */
  unsigned depth;
  uint32_t line;
  TplScope *scope;
  TplBuilder *out;
  EngStatus status;
  EngError *error;
  EngTemplateOutput *result; /* for the message */
};

/* Failing; each returns false. The message of eng_tpl_raise () is Jinja's or Python's own. */
bool eng_tpl_raise (TplRender *r, const char *format, ...) __attribute__ ((format (printf, 2, 3)));
bool eng_tpl_raise_text (TplRender *r, const char *text, size_t n_bytes, bool by_template);
bool eng_tpl_refuse (TplRender *r, const char *format, ...) __attribute__ ((format (printf, 2, 3)));
bool eng_tpl_limit (TplRender *r, const char *what);
bool eng_tpl_undefined_error (TplRender *r, const TplValue *undefined);
#define TPL_STEP_BYTES 32
/* Pays for work; false when the steps are used up. */
bool eng_tpl_charge (TplRender *r, uint64_t steps);
bool eng_tpl_charge_bytes (TplRender *r, uint64_t n_bytes);
void *eng_tpl_alloc (TplRender *r, size_t n, size_t size);

bool eng_tpl_run (TplRender *r);
bool eng_tpl_eval (TplRender *r, const TplNode *node, TplValue *out);
bool eng_tpl_call (TplRender *r, const TplValue *callee, const TplArgs *args, TplValue *out);
/* Binds and calls a built-in; @who names it in messages. */
bool eng_tpl_call_function (TplRender *r, const TplFunction *f, const TplValue *self,
                            const TplArgs *args, TplValue *out);
bool eng_tpl_apply_filter (TplRender *r, const TplNode *filter, const TplValue *subject,
                           TplValue *out);
bool eng_tpl_call_macro (TplRender *r, const TplMacro *macro, const TplArgs *args, TplValue *out);
bool eng_tpl_assign (TplRender *r, const TplNode *target, const TplValue *value);
bool eng_tpl_set_variable (TplRender *r, const TplString *name, const TplValue *value);
bool eng_tpl_lookup (TplRender *r, const TplString *name, TplValue *out);
TplScope *eng_tpl_scope_new (TplRender *r, TplScope *parent);
bool eng_tpl_loop_attribute (TplRender *r, TplLoop *loop, const TplString *name, TplValue *out,
                             bool *found);
bool eng_tpl_loop_length (TplRender *r, TplLoop *loop, int64_t *length);

/* ------------------------------------------------------------------ values */

bool eng_tpl_from_json (TplRender *r, const EngJson *json, TplValue *out);
bool eng_tpl_truth (const TplValue *v);
bool eng_tpl_equal (TplRender *r, const TplValue *a, const TplValue *b, bool *out);
/* -1, 0, 1; raises for what Python does not order, naming @op. */
bool eng_tpl_compare (TplRender *r, const TplValue *a, const TplValue *b, const char *op, int *out);
bool eng_tpl_contains (TplRender *r, const TplValue *container, const TplValue *item, bool *out);
const char *eng_tpl_type_name (const TplValue *v);
/* Appends str () or repr () of a value. */
bool eng_tpl_append_text (TplBuilder *b, const TplValue *v);
bool eng_tpl_append_repr (TplBuilder *b, const TplValue *v);
bool eng_tpl_to_text (TplRender *r, const TplValue *v, TplValue *out);
bool eng_tpl_repr_buffer (TplRender *r, const TplValue *v, char *text, size_t size);
bool eng_tpl_dict_find (TplRender *r, const TplDict *dict, const TplValue *key, TplEntry **entry);
bool eng_tpl_dict_find_text (const TplDict *dict, const char *key, TplEntry **entry);
bool eng_tpl_dict_set (TplRender *r, TplDict *dict, const TplValue *key, const TplValue *value);
bool eng_tpl_getattr (TplRender *r, const TplValue *v, const TplString *name, TplValue *out);
bool eng_tpl_getitem (TplRender *r, const TplValue *v, const TplValue *key, TplValue *out);
bool eng_tpl_slice (TplRender *r, const TplValue *v, const TplValue *start, const TplValue *stop,
                    const TplValue *step, TplValue *out);
bool eng_tpl_binary (TplRender *r, TplOp op, const TplValue *a, const TplValue *b, TplValue *out);
/* Python's len (); false and a TypeError if it has none. */
bool eng_tpl_length (TplRender *r, const TplValue *v, int64_t *out);
/* Starts a walk over anything iterable; raises TypeError otherwise. Walking over an ITERATOR value
 * uses that one up. */
bool eng_tpl_iterate (TplRender *r, const TplValue *v, TplIterator **out);
/* *done when there is nothing left; charges a step. */
bool eng_tpl_next (TplRender *r, TplIterator *it, TplValue *out, bool *done);
bool eng_tpl_is_iterable (const TplValue *v);
/* Everything left, as one array. */
bool eng_tpl_collect (TplRender *r, const TplValue *v, TplList *out);
bool eng_tpl_sort (TplRender *r, const TplValue *keys, uint32_t *order, uint32_t n, bool reverse);

TplValue eng_tpl_none (void);
TplValue eng_tpl_bool (bool b);
TplValue eng_tpl_int (int64_t i);
TplValue eng_tpl_float (double d);
bool eng_tpl_make_list (TplRender *r, TplKind kind, const TplValue *items, uint32_t n,
                        TplValue *out);
bool eng_tpl_make_iterator (TplRender *r, const TplValue *items, uint32_t n, TplValue *out);
bool eng_tpl_make_pair (TplRender *r, const TplValue *a, const TplValue *b, TplValue *out);
bool eng_tpl_make_undefined (TplRender *r, const char *hint, const TplValue *object,
                             const TplValue *name, TplValue *out);
bool eng_tpl_make_undefined_name (TplRender *r, const TplString *name, TplValue *out);

/* A list that grows, for filters that do not know how many they keep. */
typedef struct
{
  TplRender *r;
  TplValue *items;
  uint32_t n, capacity;
} TplItems;
bool eng_tpl_items_add (TplItems *items, const TplValue *v);

/* ------------------------------------------------------------------ strings */

bool eng_tpl_make_string (TplRender *r, const char *data, size_t n_bytes, bool inserted,
                          TplValue *out);
/* Bytes [start, end) of @s, with their marks. */
bool eng_tpl_substring (TplRender *r, const TplString *s, uint32_t start, uint32_t end,
                        TplValue *out);
bool eng_tpl_string_is (const TplString *s, const char *text);
bool eng_tpl_string_equal (const TplString *a, const TplString *b);
int eng_tpl_string_compare (const TplString *a, const TplString *b);
/* Byte offset of the @i-th character, @i up to n_chars. */
uint32_t eng_tpl_char_offset (const TplString *s, uint32_t i);
/* Byte offset of @needle in @s at or behind @from; UINT32_MAX if it is not there. */
uint32_t eng_tpl_find (const TplString *s, const char *needle, uint32_t n_needle, uint32_t from);
/* The last place where @needle stands in the first @end bytes; UINT32_MAX if there is none. */
bool eng_tpl_rfind (TplRender *r, const TplString *s, const char *needle, uint32_t n_needle,
                    uint32_t end, uint32_t *at);
bool eng_tpl_string_inserted (const TplString *s); /* any part of it */

bool eng_tpl_append (TplBuilder *b, const char *data, size_t n_bytes, bool inserted);
bool eng_tpl_append_literal (TplBuilder *b, const char *text);
bool eng_tpl_append_range (TplBuilder *b, const TplString *s, uint32_t start, uint32_t end);
bool eng_tpl_append_string (TplBuilder *b, const TplString *s);
bool eng_tpl_append_char (TplBuilder *b, uint32_t c, bool inserted);
/* Everything built so far counts as inserted, if any of it does. */
void eng_tpl_builder_flatten (TplBuilder *b);
bool eng_tpl_builder_finish (TplBuilder *b, TplValue *out);
/* The character at byte @i, and its length. */
uint32_t eng_tpl_char_at (const TplString *s, uint32_t i, uint32_t *length);
bool eng_tpl_mark_at (const TplString *s, uint32_t offset, uint32_t *run);

typedef enum
{
  TPL_STRIP_LEFT = 1,
  TPL_STRIP_RIGHT = 2,
  TPL_STRIP_BOTH = 3
} TplStripSides;
/* @chars ABSENT or NONE: white space. */
bool eng_tpl_strip (TplRender *r, const TplString *s, const TplValue *chars, TplStripSides sides,
                    TplValue *out);
bool eng_tpl_replace (TplRender *r, const TplString *s, const TplString *old, const TplString *with,
                      int64_t count, TplValue *out);
/* str.splitlines () */
bool eng_tpl_split_lines (TplRender *r, const TplString *s, bool keep_ends, TplItems *lines);
bool eng_tpl_escape (TplRender *r, const TplValue *v, TplValue *out);

typedef enum
{
  TPL_CASE_UPPER,
  TPL_CASE_LOWER,
  TPL_CASE_CAPITALIZE,
  TPL_CASE_TITLE,       /* str.title () */
  TPL_CASE_TITLE_WORDS, /* the filter: a word starts after - ( { [ < or white space */
  TPL_CASE_SWAP
} TplCase;
bool eng_tpl_change_case (TplRender *r, const TplString *s, TplCase mode, TplValue *out);

/* ------------------------------------------------------------------ text formats */

bool eng_tpl_to_json (TplRender *r, const TplValue *v, const TplValue *options, TplValue *out);
/* "…" % args */
bool eng_tpl_format_percent (TplRender *r, const TplString *format, const TplValue *args,
                             TplValue *out);
/* "…".format (…) */
bool eng_tpl_format_braces (TplRender *r, const TplString *format, const TplArgs *args,
                            TplValue *out);
bool eng_tpl_strftime (TplRender *r, const TplString *format, TplValue *out);

/* ------------------------------------------------------------------ tables */

const TplFunction *eng_tpl_find_filter (const TplString *name);
const TplFunction *eng_tpl_find_test (const TplString *name);
const TplFunction *eng_tpl_find_global (const TplString *name);
/* Names that Jinja knows and this subset does not. */
bool eng_tpl_is_refused_filter (const TplString *name);
bool eng_tpl_is_refused_test (const TplString *name);
bool eng_tpl_is_refused_global (const TplString *name);
/* A method of the value's type, or NULL; *refused when Python has such an attribute and we do not,
 * *unsafe when Jinja's sandbox keeps it away (it would change the object). */
const TplFunction *eng_tpl_find_method (const TplValue *v, const TplString *name, bool *refused,
                                        bool *unsafe);
bool eng_tpl_find_in (const TplFunction *table, size_t n, const TplString *name,
                      const TplFunction **out);
bool eng_tpl_name_in_list (const char *list, const TplString *name);
/* Parts of eng_tpl_find_filter's table, one file each. */
extern const TplFunction eng_tpl_text_filters[], eng_tpl_list_filters[];
extern const size_t eng_tpl_n_text_filters, eng_tpl_n_list_filters;

/* An integer argument; ABSENT gives @fallback. */
bool eng_tpl_int_arg (TplRender *r, const TplValue *v, int64_t fallback, int64_t *out);
bool eng_tpl_bool_arg (const TplValue *v, bool fallback);
/* str (v), as most text filters take it; Undefined is "". */
bool eng_tpl_soft_string (TplRender *r, const TplValue *v, const TplString **out);
/* A string argument of a method: a TypeError naming @who otherwise. */
bool eng_tpl_string_arg (TplRender *r, const TplValue *v, const char *who, const TplString **out);

/* ------------------------------------------------------------------ characters */

bool eng_tpl_is_space (uint32_t c);     /* str.isspace () */
bool eng_tpl_is_printable (uint32_t c); /* str.isprintable () */
bool eng_tpl_is_cased (uint32_t c);
bool eng_tpl_is_upper (uint32_t c);
bool eng_tpl_is_lower (uint32_t c);
bool eng_tpl_is_digit (uint32_t c);
bool eng_tpl_is_alpha (uint32_t c);
/* Looked through when deciding whether a capital sigma ends a word. */
bool eng_tpl_is_case_ignorable (uint32_t c);
/* Up to three characters; returns how many. */
unsigned eng_tpl_upper (uint32_t c, uint32_t out[3]);
unsigned eng_tpl_lower (uint32_t c, uint32_t out[3]);
unsigned eng_tpl_title (uint32_t c, uint32_t out[3]);
