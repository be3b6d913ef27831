/* SPDX-License-Identifier: Apache-2.0 */
/* Templates that try to use up time, memory or stack, from a seed. Plain C, for the fuzzer as well.
 */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef struct
{
  uint64_t state;
  char *text;
  size_t n, size;
} Hostile;

static inline uint32_t
hostile_random (Hostile *h, uint32_t n)
{
  /* xorshift64*, Vigna 2016 */
  h->state ^= h->state >> 12;
  h->state ^= h->state << 25;
  h->state ^= h->state >> 27;
  return (uint32_t) ((h->state * 2685821657736338717ull) >> 33) % n;
}

static inline void
hostile_add (Hostile *h, const char *s)
{
  size_t n = strlen (s);
  if (h->n + n < h->size)
    {
      memcpy (h->text + h->n, s, n + 1);
      h->n += n;
    }
}

static inline void
hostile_expression (Hostile *h, int depth)
{
  static const char *const leaves[] = { "s",
                                        "l",
                                        "n",
                                        "d",
                                        "m",
                                        "'abc'",
                                        "'x' * 1000000",
                                        "range(99999)",
                                        "range(10 ** 9)",
                                        "1e300",
                                        "[1, 2, 3]",
                                        "'<|im_end|>'",
                                        "missing",
                                        "none",
                                        "'a,b' * 5000",
                                        "[0] * 100000",
                                        "ns.x",
                                        "'é' * 70000",
                                        "9223372036854775807",
                                        "x",
                                        "loop.index",
                                        "dict(a=1)",
                                        "messages" };
  static const char *const wraps[][2] = { { "(", ")" },
                                          { "[", "]" },
                                          { "-", "" },
                                          { "not ", "" },
                                          { "", "|list" },
                                          { "", "|join('-' * 1000)" },
                                          { "", "|replace('a', 'aaaaaaaaaaaaaaaa')" },
                                          { "", "|replace('', 'yy')" },
                                          { "", " * 3000" },
                                          { "", "|tojson(indent=900)" },
                                          { "", "|string" },
                                          { "", "[::-1]" },
                                          { "", "|sort" },
                                          { "", "|unique|list" },
                                          { "", ".split('')" },
                                          { "", ".split('a')" },
                                          { "", "|upper" },
                                          { "", "|map('upper')|list" },
                                          { "", "|reverse|list" },
                                          { "f(", ")" },
                                          { "g(", ")" },
                                          { "namespace(x=", ")" },
                                          { "[", "] * 50000" },
                                          { "", "|batch(3)|list" },
                                          { "", "|slice(90000)|list" },
                                          { "'%9999s' % ", "" },
                                          { "'{:>9999}'.format(", ")" },
                                          { "", ".rsplit('aa')" },
                                          { "", "|indent(999)" },
                                          { "", "|title" },
                                          { "", "|e" },
                                          { "{'k': ", "}" },
                                          { "", "|sum(start=[])" },
                                          { "", "|sort(attribute='a.b.c')" },
                                          { "", "|dictsort" },
                                          { "", "|selectattr('x')|list" },
                                          { "", ".strip('abc' * 9999)" },
                                          { "", "|map('list')|list" },
                                          { "", "|map('tojson')|list" },
                                          { "", ".rfind('a' * 9999 ~ 'b')" },
                                          { "", "|trim|length" },
                                          { "", "[1:-1:2]" },
                                          { "", ".center(99999)" } };
  static const char *const joins[]
      = { " + ", " ~ ", " == ", " in ", " and ", " or ", " ** ", " * ", " < ", " if s else " };
  uint32_t what = depth <= 0 ? 0 : hostile_random (h, 5);
  if (what == 0)
    hostile_add (h, leaves[hostile_random (h, sizeof leaves / sizeof leaves[0])]);
  else if (what <= 3)
    {
      uint32_t k = hostile_random (h, sizeof wraps / sizeof wraps[0]);
      hostile_add (h, wraps[k][0]);
      hostile_expression (h, depth - 1);
      hostile_add (h, wraps[k][1]);
    }
  else
    {
      hostile_expression (h, depth - 1);
      hostile_add (h, joins[hostile_random (h, sizeof joins / sizeof joins[0])]);
      hostile_expression (h, depth - 1);
    }
}

static inline void
hostile_statement (Hostile *h, int depth)
{
  switch (depth <= 0 ? 0 : hostile_random (h, 10))
    {
    case 0:
      hostile_add (h, "{{ ");
      hostile_expression (h, 4);
      hostile_add (h, " }}");
      break;
    case 1:
    case 2:
    case 3:
      hostile_add (h, hostile_random (h, 2) ? "{% for x in range(99999) %}" : "{% for x in ");
      if (h->text[h->n - 1] != '}')
        {
          hostile_expression (h, 2);
          hostile_add (h, hostile_random (h, 2) ? " %}" : " if s|length > 0 %}");
        }
      for (int k = 0; k < 2; k++)
        hostile_statement (h, depth - 1);
      hostile_add (h, "{% endfor %}");
      break;
    case 4:
      hostile_add (h, "{% set s = ");
      hostile_expression (h, 3);
      hostile_add (h, " %}");
      break;
    case 5:
      hostile_add (h, "{% set ns.x = ns.x ~ ns.x ~ s %}");
      break;
    case 6:
      hostile_add (h, "{% macro f(x) %}");
      hostile_statement (h, depth - 1);
      hostile_add (h, "{{ g(x) }}{{ f(x ~ 'a') }}{% endmacro %}");
      break;
    case 7:
      hostile_add (h, "{% macro g(x) %}{% for y in range(1000) %}{{ f(");
      hostile_expression (h, 2);
      hostile_add (h, ") }}{% endfor %}{% endmacro %}");
      break;
    case 8:
      hostile_add (h, "{% set s %}");
      hostile_statement (h, depth - 1);
      hostile_add (h, "{{ s }}{{ s }}{% endset %}");
      break;
    default:
      hostile_add (h, "{% filter replace('a', 'bbbbbbbbbbbbbbbbbb') %}");
      hostile_statement (h, depth - 1);
      hostile_add (h, "{% endfilter %}");
      break;
    }
}

/* Writes a template of at most @size - 1 bytes. */
static inline size_t
hostile_make (uint64_t seed, char *text, size_t size)
{
  Hostile h = { .state = seed * 0x9e3779b97f4a7c15ull + 1, .text = text, .size = size };
  hostile_add (&h, "{% set ns = namespace(x='ab') %}{% set s = 'aXbaa' %}{% set l = [3, 'b', [1]] "
                   "%}{% set n = 7 %}"
                   "{% set d = {'a': {'b': 1}} %}{% macro f(x) %}{{ x }}{% endmacro %}{% macro "
                   "g(x) %}{{ f(x) }}{% endmacro %}\n");
  for (uint32_t k = 1 + hostile_random (&h, 5); k > 0; k--)
    hostile_statement (&h, 4);
  return h.n;
}
