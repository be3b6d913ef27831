/* SPDX-License-Identifier: Apache-2.0 */
/* Source text to tokens, by the rules of Jinja 3.1's lexer with trim_blocks and lstrip_blocks on:
 * the first newline behind a block or comment goes, so does white space between the start of a line
 * and a block or comment; "-" eats all white space on its side, "+" none. */
#include <stdarg.h>
#include <stdio.h>

#include "eng-number.h"
#include "eng-template-private.h"

typedef struct
{
  TplLexer *out;
  const char *s;
  uint32_t n, i;
  uint32_t line, line_at; /* @line is the one that byte @line_at stands in */
  bool line_starting;     /* the tag before ate up to a newline, or nothing came before */
  char brackets[ENG_TEMPLATE_MAX_NESTING];
  unsigned n_brackets;
} Lexer;

bool
eng_tpl_syntax_error (TplLexer *lexer, EngStatus status, uint32_t offset, const char *format, ...)
{
  char text[320];
  uint32_t line = 1, start = 0, column = 1;
  va_list args;
  va_start (args, format);
  vsnprintf (text, sizeof text, format, args);
  va_end (args);
  for (uint32_t k = 0; k < offset && k < lexer->n_source; k++)
    if (lexer->source[k] == '\n')
      {
        line++;
        start = k + 1;
      }
  for (uint32_t k = start; k < offset && k < lexer->n_source; k++)
    column += (lexer->source[k] & 0xc0) != 0x80;
  lexer->status = eng_error_set_line (lexer->error, status, line, "%s (column %u)", text, column);
  if (lexer->error)
    lexer->error->offset = offset;
  return false;
}

static bool
fail (Lexer *l, uint32_t offset, const char *what)
{
  return eng_tpl_syntax_error (l->out, ENG_ERR_TEMPLATE, offset, "%s", what);
}

/* Length of the white space character at byte @i, 0 if it is none. */
static uint32_t
space_at (const Lexer *l, uint32_t i)
{
  if (i >= l->n)
    return 0;
  unsigned char c = (unsigned char) l->s[i];
  if (c < 0x80)
    return eng_tpl_is_space (c);
  TplString s = { .data = l->s, .n_bytes = l->n };
  uint32_t length, character = eng_tpl_char_at (&s, i, &length);
  return eng_tpl_is_space (character) ? length : 0;
}

static uint32_t
skip_spaces (const Lexer *l, uint32_t i)
{
  for (uint32_t n; (n = space_at (l, i)) > 0;)
    i += n;
  return i;
}

/* Where the white space that ends [start, end) begins. */
static uint32_t
trim_end (const Lexer *l, uint32_t start, uint32_t end)
{
  while (end > start)
    {
      uint32_t k = end - 1;
      while (k > start && (l->s[k] & 0xc0) == 0x80)
        k--;
      if (space_at (l, k) == 0)
        break;
      end = k;
    }
  return end;
}

static bool
starts (const Lexer *l, uint32_t i, const char *text)
{
  size_t n = strlen (text);
  return i <= l->n && n <= l->n - i && memcmp (l->s + i, text, n) == 0;
}

static TplToken *
push (Lexer *l, TplTokenKind kind, uint32_t offset)
{
  TplLexer *out = l->out;
  if (out->n_tokens == out->cap_tokens)
    {
      uint32_t cap = out->cap_tokens ? out->cap_tokens * 2 : 256;
      TplToken *tokens = eng_realloc_array (out->tokens, cap, sizeof *tokens);
      if (!tokens)
        {
          eng_tpl_syntax_error (out, ENG_ERR_NO_MEMORY, offset, "no memory for the template");
          return NULL;
        }
      out->tokens = tokens;
      out->cap_tokens = cap;
    }
  for (; l->line_at < offset; l->line_at++)
    l->line += l->s[l->line_at] == '\n';
  TplToken *token = &out->tokens[out->n_tokens++];
  memset (token, 0, sizeof *token);
  token->kind = kind;
  token->offset = offset;
  token->line = l->line;
  return token;
}

static bool
push_data (Lexer *l, uint32_t start, uint32_t end)
{
  if (start == end)
    return true;
  TplToken *token = push (l, TOKEN_DATA, start);
  if (!token)
    return false;
  token->text = l->s + start;
  token->n = end - start;
  return true;
}

/* End of the data [start, end) before a tag whose sign is @sign. */
static uint32_t
strip_data (const Lexer *l, uint32_t start, uint32_t end, char sign, bool is_variable)
{
  if (sign == '-')
    return trim_end (l, start, end);
  if (sign == '+' || is_variable)
    return end;
  uint32_t line_start = end;
  while (line_start > start && l->s[line_start - 1] != '\n')
    line_start--;
  if ((line_start > start || l->line_starting) && trim_end (l, line_start, end) == line_start)
    return line_start;
  return end;
}

/* A tag's end at @i, such as "-%}": what follows it, or 0 if there is none. */
static uint32_t
match_end (const Lexer *l, uint32_t i, const char *end, bool trims_newline)
{
  bool is_variable = end[0] == '}';
  if (starts (l, i, "-") && starts (l, i + 1, end))
    return skip_spaces (l, i + 3);
  if (!is_variable && starts (l, i, "+") && starts (l, i + 1, end))
    return i + 3;
  if (!starts (l, i, end))
    return 0;
  return i + 2 + (trims_newline && starts (l, i + 2, "\n"));
}

/* "{%", a sign, the word, an end. Returns what follows, or 0; the sign goes to *sign. */
static uint32_t
match_word_tag (const Lexer *l, uint32_t i, const char *word, bool is_raw_begin, char *sign)
{
  if (!starts (l, i, "{%"))
    return 0;
  i += 2;
  *sign = i < l->n && (l->s[i] == '-' || l->s[i] == '+') ? l->s[i] : 0;
  i = skip_spaces (l, i + (*sign != 0));
  if (!starts (l, i, word))
    return 0;
  i = skip_spaces (l, i + (uint32_t) strlen (word));
  if (is_raw_begin && starts (l, i, "+"))
    return 0;
  return match_end (l, i, "%}", !is_raw_begin);
}

static bool
lex_raw (Lexer *l, uint32_t opened_at)
{
  uint32_t start = l->i, after;
  char sign;
  for (uint32_t i = start; i < l->n; i++)
    if (l->s[i] == '{' && (after = match_word_tag (l, i, "endraw", false, &sign)) > 0)
      {
        l->i = after;
        bool ok = push_data (l, start, strip_data (l, start, i, sign, false));
        l->line_starting = l->s[after - 1] == '\n';
        return ok;
      }
  return fail (l, opened_at, "Missing end of raw directive");
}

static bool
lex_comment (Lexer *l, uint32_t opened_at)
{
  for (uint32_t i = l->i; i < l->n; i++)
    {
      uint32_t after = match_end (l, i, "#}", true);
      if (after)
        {
          l->i = after;
          l->line_starting = l->s[after - 1] == '\n';
          return true;
        }
    }
  return fail (l, opened_at, "Missing end of comment tag");
}

static bool
is_digit (char c)
{
  return c >= '0' && c <= '9';
}

static bool
is_name_char (char c)
{
  return is_digit (c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'
         || (unsigned char) c >= 0x80;
}

/* Digits that underscores may part, one between two digits. */
static uint32_t
skip_digits (const Lexer *l, uint32_t i)
{
  while (i < l->n
         && (is_digit (l->s[i])
             || (l->s[i] == '_' && i > 0 && is_digit (l->s[i - 1]) && i + 1 < l->n
                 && is_digit (l->s[i + 1]))))
    i++;
  return i;
}

/* End of a float at @i, or @i if there is none. */
static uint32_t
match_float (const Lexer *l, uint32_t i)
{
  if (i > 0 && l->s[i - 1] == '.')
    return i;
  uint32_t k = skip_digits (l, i), whole = k;
  if (k + 1 < l->n && l->s[k] == '.' && is_digit (l->s[k + 1]))
    k = skip_digits (l, k + 1);
  if (k < l->n && (l->s[k] == 'e' || l->s[k] == 'E'))
    {
      uint32_t e = k + 1;
      if (e < l->n && (l->s[e] == '+' || l->s[e] == '-'))
        e++;
      if (e < l->n && is_digit (l->s[e]))
        return skip_digits (l, e);
    }
  return k > whole ? k : i;
}

static bool
lex_number (Lexer *l)
{
  char text[64];
  uint32_t start = l->i, end = match_float (l, start), n = 0;
  bool is_float = end > start;
  if (!is_float)
    end = skip_digits (l, start);
  if (!is_float && end < l->n && is_name_char (l->s[end]))
    return eng_tpl_syntax_error (l->out, ENG_ERR_UNSUPPORTED, start,
                                 "only decimal numbers are supported");
  for (uint32_t k = start; k < end && n < sizeof text; k++)
    if (l->s[k] != '_')
      text[n++] = l->s[k];
  TplToken *token = push (l, is_float ? TOKEN_FLOAT : TOKEN_INTEGER, start);
  if (!token)
    return false;
  if (n == sizeof text
      || !(is_float ? eng_parse_double (text, n, &token->number)
                    : eng_parse_int64 (text, n, &token->integer)))
    return eng_tpl_syntax_error (l->out, ENG_ERR_UNSUPPORTED, start, "a number is too large");
  token->text = l->s + start;
  token->n = end - start;
  l->i = end;
  return true;
}

static uint32_t
put_utf8 (char *out, uint32_t c)
{
  if (c < 0x80)
    {
      out[0] = (char) c;
      return 1;
    }
  uint32_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
  for (uint32_t k = n - 1; k > 0; k--, c >>= 6)
    out[k] = (char) (0x80 | (c & 0x3f));
  out[0] = (char) ((n == 2 ? 0xc0 : n == 3 ? 0xe0 : 0xf0) | c);
  return n;
}

/* @max digits of base 8 or 16 at *i, at least @min; false if there are fewer. */
static bool
read_code (const Lexer *l, uint32_t *i, unsigned base, unsigned min, unsigned max, uint32_t *code)
{
  unsigned n = 0;
  *code = 0;
  for (; n < max && *i < l->n; n++, (*i)++)
    {
      char c = l->s[*i];
      unsigned d = is_digit (c)           ? (unsigned) (c - '0')
                   : c >= 'a' && c <= 'f' ? (unsigned) (c - 'a' + 10)
                   : c >= 'A' && c <= 'F' ? (unsigned) (c - 'A' + 10)
                                          : 99;
      if (d >= base)
        break;
      *code = *code * base + d;
    }
  return n >= min;
}

/* The escape behind the backslash at @i, as in a Python string; returns what follows it, 0 after an
 * error. Unknown escapes keep their backslash. */
static uint32_t
read_escape (Lexer *l, uint32_t i, char *out, uint32_t *n_out)
{
  static const char from[] = "nrtabfv\\'\"", to[] = "\n\r\t\a\b\f\v\\'\"";
  uint32_t start = i++, code, low;
  char c = l->s[i++];
  const char *at = c ? strchr (from, c) : NULL;
  *n_out = 0;
  if (at)
    out[(*n_out)++] = to[at - from];
  else if (c == '\n')
    ;
  else if (c >= '0' && c <= '7')
    {
      i--;
      read_code (l, &i, 8, 1, 3, &code);
      *n_out = put_utf8 (out, code);
    }
  else if (c == 'x' || c == 'u' || c == 'U')
    {
      unsigned n = c == 'x' ? 2 : c == 'u' ? 4 : 8;
      if (!read_code (l, &i, 16, n, n, &code))
        return fail (l, start, "a truncated escape in a string");
      uint32_t k = i + 2;
      if (code >= 0xd800 && code < 0xdc00 && starts (l, i, "\\u")
          && read_code (l, &k, 16, 4, 4, &low) && low >= 0xdc00 && low < 0xe000)
        {
          code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
          i = k;
        }
      if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        return fail (l, start, "an escape in a string is no character");
      *n_out = put_utf8 (out, code);
    }
  else if (c == 'N')
    {
      eng_tpl_syntax_error (l->out, ENG_ERR_UNSUPPORTED, start, "\\N{…} escapes are not supported");
      return 0;
    }
  else
    {
      out[(*n_out)++] = '\\';
      out[(*n_out)++] = c;
    }
  return i;
}

static bool
lex_string (Lexer *l)
{
  uint32_t start = l->i, end = start + 1, n = 0, n_escape;
  char quote = l->s[start];
  bool escapes = false;
  while (end < l->n && l->s[end] != quote)
    {
      escapes |= l->s[end] == '\\';
      end += l->s[end] == '\\' ? 2 : 1;
    }
  if (end >= l->n)
    return fail (l, start, "a string is not closed");
  TplToken *token = push (l, TOKEN_STRING, start);
  if (!token)
    return false;
  token->text = l->s + start + 1;
  token->n = end - start - 1;
  l->i = end + 1;
  if (!escapes)
    return true;
  /* No escape is longer than what it is written with. */
  char *text = eng_arena_alloc (l->out->arena, token->n + 4);
  if (!text)
    return eng_tpl_syntax_error (l->out, ENG_ERR_NO_MEMORY, start, "no memory for the template");
  for (uint32_t i = start + 1; i < end;)
    if (l->s[i] == '\\')
      {
        i = read_escape (l, i, text + n, &n_escape);
        if (i == 0)
          return false;
        n += n_escape;
      }
    else
      text[n++] = l->s[i++];
  token->text = text;
  token->n = n;
  return true;
}

static bool
lex_operator (Lexer *l)
{
  static const char two[][3] = { "//", "**", "==", "!=", ">=", "<=" };
  static const char open[] = "([{", close[] = ")]}";
  uint32_t n = 0;
  for (size_t k = 0; k < sizeof two / sizeof two[0] && !n; k++)
    if (starts (l, l->i, two[k]))
      n = 2;
  char c = l->s[l->i];
  if (!n && c && strchr ("+-/*%~[](){}><=.:|,;", c))
    n = 1;
  if (!n)
    return fail (l, l->i, "unexpected character");
  const char *at = n == 1 ? strchr (open, c) : NULL;
  if (at)
    {
      if (l->n_brackets == sizeof l->brackets)
        return eng_tpl_syntax_error (l->out, ENG_ERR_LIMIT, l->i, "nested too deeply");
      l->brackets[l->n_brackets++] = close[at - open];
    }
  else if (n == 1 && strchr (close, c))
    {
      if (l->n_brackets == 0 || l->brackets[l->n_brackets - 1] != c)
        return fail (l, l->i, "a bracket closes that was not opened");
      l->n_brackets--;
    }
  TplToken *token = push (l, TOKEN_OPERATOR, l->i);
  if (!token)
    return false;
  token->text = l->s + l->i;
  token->n = n;
  l->i += n;
  return true;
}

/* Tokens of one tag, to behind its end. */
static bool
lex_tag (Lexer *l, const char *end, TplTokenKind end_kind, uint32_t opened_at)
{
  l->n_brackets = 0;
  for (;;)
    {
      uint32_t after = l->n_brackets ? 0 : match_end (l, l->i, end, end_kind == TOKEN_BLOCK_END);
      if (after)
        {
          bool ok = push (l, end_kind, l->i) != NULL;
          l->i = after;
          l->line_starting = l->s[after - 1] == '\n';
          return ok;
        }
      uint32_t spaces = skip_spaces (l, l->i);
      if (spaces > l->i)
        {
          l->i = spaces;
          continue;
        }
      if (l->i >= l->n)
        return fail (l, opened_at, "unexpected end of template: this tag is not closed");
      char c = l->s[l->i];
      bool ok;
      if (is_digit (c))
        ok = lex_number (l);
      else if (c == '"' || c == '\'')
        ok = lex_string (l);
      else if (is_name_char (c))
        {
          uint32_t start = l->i;
          TplToken *token = push (l, TOKEN_NAME, start);
          while (l->i < l->n && is_name_char (l->s[l->i]))
            l->i++;
          ok = token != NULL;
          if (ok)
            {
              token->text = l->s + start;
              token->n = l->i - start;
            }
        }
      else
        ok = lex_operator (l);
      if (!ok)
        return false;
    }
}

static bool
lex_all (Lexer *l)
{
  for (;;)
    {
      uint32_t start = l->i, tag = start, after;
      while (tag < l->n
             && !(l->s[tag] == '{' && tag + 1 < l->n && l->s[tag + 1]
                  && strchr ("{%#", l->s[tag + 1])))
        tag++;
      if (tag >= l->n)
        return push_data (l, start, l->n);
      char kind = l->s[tag + 1], sign;
      bool is_raw = (after = match_word_tag (l, tag, "raw", true, &sign)) > 0;
      if (!is_raw)
        {
          sign = tag + 2 < l->n && (l->s[tag + 2] == '-' || l->s[tag + 2] == '+') ? l->s[tag + 2]
                                                                                  : 0;
          after = tag + 2 + (sign != 0);
        }
      if (!push_data (l, start, strip_data (l, start, tag, sign, kind == '{')))
        return false;
      l->line_starting = false;
      l->i = after;
      if (is_raw)
        {
          l->line_starting = l->s[after - 1] == '\n';
          if (!lex_raw (l, tag))
            return false;
        }
      else if (kind == '#')
        {
          if (!lex_comment (l, tag))
            return false;
        }
      else if (!push (l, kind == '{' ? TOKEN_VARIABLE_BEGIN : TOKEN_BLOCK_BEGIN, tag)
               || !lex_tag (l, kind == '{' ? "}}" : "%}",
                            kind == '{' ? TOKEN_VARIABLE_END : TOKEN_BLOCK_END, tag))
        return false;
    }
}

/* Checks the UTF-8, unifies newlines and drops the last one, as Jinja does. */
static bool
prepare_source (TplLexer *out, const char *source, size_t n)
{
  char *copy = eng_arena_alloc (out->arena, n + 1);
  uint32_t kept = 0;
  if (!copy)
    return eng_tpl_syntax_error (out, ENG_ERR_NO_MEMORY, 0, "no memory for the template");
  for (size_t i = 0; i < n; i++)
    {
      bool pair = source[i] == '\r' && i + 1 < n && source[i + 1] == '\n';
      if (!pair)
        copy[kept++] = source[i] == '\r' ? '\n' : source[i];
    }
  out->source = copy;
  out->n_source = kept;
  TplString s = { .data = copy, .n_bytes = kept };
  for (uint32_t i = 0, length; i < kept; i += length)
    {
      eng_tpl_char_at (&s, i, &length);
      if (length == 0)
        return eng_tpl_syntax_error (out, ENG_ERR_TEMPLATE, i, "invalid UTF-8");
    }
  if (kept > 0 && copy[kept - 1] == '\n')
    out->n_source--;
  return true;
}

bool
eng_tpl_lex (TplLexer *out, const char *source, size_t n_bytes)
{
  if (!prepare_source (out, source, n_bytes))
    return false;
  Lexer l = { .out = out, .s = out->source, .n = out->n_source, .line = 1, .line_starting = true };
  if (!lex_all (&l))
    return false;
  return push (&l, TOKEN_END, l.n) != NULL;
}
