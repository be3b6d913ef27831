/* SPDX-License-Identifier: Apache-2.0 */
/* Hostile templates: each stops in time, with its line. */
#include <glib.h>
#include <string.h>
#include <time.h>

#include "eng-error.h"
#include "eng-json.h"
#include "eng-template.h"
#include "hostile.h"

#define LIMIT_MS 200.0

static double
cpu_ms (void)
{
  struct timespec t;
  clock_gettime (CLOCK_THREAD_CPUTIME_ID, &t);
  return (double) t.tv_sec * 1e3 + (double) t.tv_nsec / 1e6;
}

/* Sanitizers and valgrind make everything slower. */
static double
allowance (void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__OPTIMIZE__)
  return 20;
#else
  return 1;
#endif
}

/* Parses and renders; the time this took in *ms. */
static EngStatus
run (const char *source, size_t n, EngError *error, double *ms)
{
  static const char vars[] = "{\"messages\":[{\"role\":\"user\",\"content\":\"hello a b\"}]}";
  EngArena arena = { 0 };
  const EngJson *root;
  EngTemplate *tmpl;
  EngTemplateOutput out = { 0 };
  memset (error, 0, sizeof *error);
  g_assert_cmpint (eng_json_parse (vars, strlen (vars), 0, &arena, &root, NULL), ==, ENG_OK);
  double start = cpu_ms ();
  EngStatus status = eng_template_parse (source, n, &tmpl, error);
  if (!status)
    status = eng_template_render (tmpl, root, NULL, &out, error);
  eng_template_free (&tmpl);
  *ms = cpu_ms () - start;
  eng_template_output_clear (&out);
  eng_arena_clear (&arena);
  return status;
}

static void
assert_stops (const char *source, EngStatus expected, uint32_t line)
{
  EngError error;
  double ms;
  EngStatus status = run (source, strlen (source), &error, &ms);
  g_test_message ("%.60s: %s, line %u, %.1f ms", source, error.text, error.line, ms);
  g_assert_cmpint (status, ==, expected);
  g_assert_cmpuint (error.line, ==, line);
  g_assert_cmpfloat (ms, <=, LIMIT_MS * allowance ());
}

static char *
repeated (const char *before, const char *middle, size_t n, const char *after)
{
  GString *s = g_string_new (before);
  for (size_t k = 0; k < n; k++)
    g_string_append (s, middle);
  return g_string_free (g_string_append (s, after), FALSE);
}

static void
test_mistakes (void)
{
  assert_stops ("{% else %}{% endif %}{{", ENG_ERR_TEMPLATE, 1);
  assert_stops ("\n\n{% else %}", ENG_ERR_TEMPLATE, 3);
}

static void
test_nesting (void)
{
  static const char *const openings[]
      = { "(", "[", "{1:", "-(", "not ", "-", "f(", "a[", "{'a':[", "a if a else " };
  for (size_t k = 0; k < G_N_ELEMENTS (openings); k++)
    {
      g_autofree char *source = repeated ("\n{{ ", openings[k], 10000, "1 }}");
      assert_stops (source, ENG_ERR_LIMIT, 2);
    }
  g_autofree char *ifs = repeated ("", "{% if a %}", 10000, "");
  assert_stops (ifs, ENG_ERR_LIMIT, 1);
  g_autofree char *fors = repeated ("\n", "{% for a in b %}", 10000, "");
  assert_stops (fors, ENG_ERR_LIMIT, 2);
  /* Long without being deep in the source, but deep as a tree. */
  g_autofree char *sum = repeated ("{{ 1", "+1", 10000, " }}");
  assert_stops (sum, ENG_ERR_LIMIT, 1);
  g_autofree char *chain = repeated ("{{ 'a'", "|upper", 10000, " }}");
  assert_stops (chain, ENG_ERR_LIMIT, 1);
  g_autofree char *dots = repeated ("{{ d", ".a", 10000, " }}");
  assert_stops (dots, ENG_ERR_LIMIT, 1);
  /* Within the limits. */
  g_autofree char *fine
      = repeated ("{% for a in [1] %}{{ ((((((((((1", "+1", 200, ")))))))))) }}{% endfor %}");
  assert_stops (fine, ENG_OK, 0);
  g_autofree char *elifs = repeated ("{% if 0 %}", "{% elif 0 %}x", 5000, "{% endif %}");
  assert_stops (elifs, ENG_OK, 0);
}

static void
test_recursion (void)
{
  assert_stops ("{% macro f() %}{{ f() }}{% endmacro %}\n{{ f() }}", ENG_ERR_LIMIT, 1);
  assert_stops (
      "{% macro f(x) %}\n{% call f(x) %}{{ caller() }}{% endcall %}{% endmacro %}{{ f(1) }}",
      ENG_ERR_LIMIT, 2);
  assert_stops (
      "{% macro f(x) %}{% for y in x %}{{ f([x]) }}{% endfor %}{% endmacro %}{{ f([1]) }}",
      ENG_ERR_LIMIT, 1);
  assert_stops ("{% macro f(x=f()) %}{% endmacro %}{{ f() }}", ENG_ERR_LIMIT, 1);
  /* A namespace in itself */
  assert_stops ("{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}", ENG_ERR_LIMIT, 1);
  assert_stops ("{% set ns = namespace(a=[]) %}{% for i in range(5000) %}{% set ns.a = [ns.a] %}{% "
                "endfor %}\n{{ ns.a }}",
                ENG_ERR_LIMIT, 2);
  assert_stops ("{% set ns = namespace(a=[]) %}{% for i in range(5000) %}{% set ns.a = [ns.a] %}{% "
                "endfor %}\n"
                "{{ ns.a|tojson }}",
                ENG_ERR_LIMIT, 2);
  assert_stops (
      "{% set ns = namespace(a=[], b=[]) %}{% for i in range(5000) %}{% set ns.a = [ns.a] %}"
      "{% set ns.b = [ns.b] %}{% endfor %}\n{{ ns.a == ns.b }}",
      ENG_ERR_LIMIT, 2);
}

static void
test_steps (void)
{
  assert_stops ("{{ range(10 ** 9) }}", ENG_ERR_LIMIT, 1);
  assert_stops ("\n{% for i in range(10**9) %}{% endfor %}", ENG_ERR_LIMIT, 2);
  assert_stops ("{% for i in range(99999) %}\n{% for j in range(99999) %}{% endfor %}{% endfor %}",
                ENG_ERR_LIMIT, 2);
  assert_stops ("{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}",
                ENG_ERR_LIMIT, 1);
  assert_stops ("{% for i in range(99999) %}{{ range(99999)|list|length }}{% endfor %}",
                ENG_ERR_LIMIT, 1);
  assert_stops ("{% for i in range(99999) if i < 0 %}{% endfor %}{% for i in range(99999) if i in "
                "range(99999)|list %}"
                "{% endfor %}",
                ENG_ERR_LIMIT, 1);
  assert_stops (
      "{% macro f(n) %}{% for i in range(9) %}{{ f(n) }}{% endfor %}{% endmacro %}{{ f(1) }}",
      ENG_ERR_LIMIT, 1);
}

static void
test_sizes (void)
{
  assert_stops ("{{ 'x' * 10 ** 9 }}", ENG_ERR_LIMIT, 1);
  assert_stops ("{{ 'x' * 10 ** 18 }}", ENG_ERR_LIMIT, 1);
  assert_stops ("{{ [1] * 10 ** 18 }}", ENG_ERR_LIMIT, 1);
  assert_stops ("{{ ('x' * 1000000)|replace('x', 'y' * 1000000) }}", ENG_ERR_LIMIT, 1);
  assert_stops ("{% set ns = namespace(s='xy') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s "
                "%}{% endfor %}",
                ENG_ERR_LIMIT, 1);
  assert_stops ("{% set ns = namespace(s=[1]) %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s "
                "%}{% endfor %}",
                ENG_ERR_LIMIT, 1);
  assert_stops ("{% set ns = namespace(s=[1]) %}{% for i in range(99) %}{% set ns.s = [ns.s, ns.s] "
                "%}{% endfor %}\n{{ ns.s }}",
                ENG_ERR_LIMIT, 2);
  assert_stops ("{% set ns = namespace(s=[1]) %}{% for i in range(99) %}{% set ns.s = [ns.s, ns.s] "
                "%}{% endfor %}\n"
                "{{ ns.s == ns.s + [] or [ns.s] == [ns.s] }}",
                ENG_ERR_LIMIT, 2);
  assert_stops ("{% for i in range(99999) %}{{ 'x' * 10000 }}{% endfor %}", ENG_ERR_LIMIT, 1);
  assert_stops (
      "{{ ('ab' * 500000).rfind('b' * 300000) }}{{ ('a' * 1000000).rfind('a' * 500000 ~ 'b') }}"
      "{{ ('a' * 1000000).rfind('ab' ~ 'a' * 500000) }}",
      ENG_ERR_LIMIT, 1);
  assert_stops ("{{ ('a' * 1000000).strip('b' * 500000 ~ 'a') }}", ENG_ERR_LIMIT, 1);
  assert_stops ("{{ '%99999999s' % 'x' }}", ENG_ERR_LIMIT, 1);
  assert_stops ("{{ 'x'.center(999999999) }}", ENG_ERR_LIMIT, 1);
  assert_stops ("{{ range(99999)|map('string')|unique|list|length }}", ENG_ERR_LIMIT, 1);
  assert_stops ("{{ [[1]]|tojson(indent=999999999) }}", ENG_ERR_LIMIT, 1);
}

/* Sources at the length limit, and one byte beyond it. */
static void
test_long_sources (void)
{
  static const char *const units[]
      = { "{{a}}",         "{#",           "{%",     "{{",          "{% raw %}", "{# #}",  "\n",
          " {%- if a -%}", "{{ 'a' }}",    "((",     "{%set a=1%}", "{% endraw", "{{-",    "a\r",
          "{% for",        "{{a.b|c(d)}}", "{{\"\\", "é",           "{% raw",    "{{ 1.1e" };
  for (size_t k = 0; k < G_N_ELEMENTS (units); k++)
    {
      EngError error;
      double ms;
      g_autofree char *source
          = repeated ("", units[k], ENG_TEMPLATE_MAX_SOURCE_BYTES / strlen (units[k]), "");
      run (source, strlen (source), &error, &ms);
      g_test_message ("%s: %s, line %u, %.1f ms", units[k], error.text, error.line, ms);
      g_assert_cmpfloat (ms, <=, LIMIT_MS * allowance ());
    }
  g_autofree char *large = repeated ("", "x", ENG_TEMPLATE_MAX_SOURCE_BYTES + 1, "");
  EngTemplate *tmpl;
  g_assert_cmpint (eng_template_parse (large, strlen (large), &tmpl, NULL), ==, ENG_ERR_LIMIT);
}

static void
test_generated (void)
{
  guint32 seed = g_test_rand_int ();
  unsigned n_stopped = 0, n_limit = 0;
  double worst = 0;
  g_test_message ("seed %u", seed);
  for (guint32 i = 0; i < 1000; i++)
    {
      char text[16384];
      EngError error;
      double ms;
      size_t n = hostile_make ((guint64) seed * 1000 + i, text, sizeof text);
      EngStatus status = run (text, n, &error, &ms);
      if (ms > LIMIT_MS * allowance () || (status && error.line == 0)
          || status == ENG_ERR_NO_MEMORY)
        g_error ("seed %u, template %u: %.1f ms, %s, line %u:\n%s", seed, i, ms, error.text,
                 error.line, text);
      n_stopped += status != ENG_OK;
      n_limit += status == ENG_ERR_LIMIT;
      worst = MAX (worst, ms);
    }
  g_test_message ("%u of 1000 stopped with an error, %u of them at a limit; slowest %.1f ms",
                  n_stopped, n_limit, worst);
  g_assert_cmpuint (n_limit, >, 50);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/template/limits/mistakes", test_mistakes);
  g_test_add_func ("/template/limits/nesting", test_nesting);
  g_test_add_func ("/template/limits/recursion", test_recursion);
  g_test_add_func ("/template/limits/steps", test_steps);
  g_test_add_func ("/template/limits/sizes", test_sizes);
  g_test_add_func ("/template/limits/long-sources", test_long_sources);
  g_test_add_func ("/template/limits/generated", test_generated);
  return g_test_run ();
}
