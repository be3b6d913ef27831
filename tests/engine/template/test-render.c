/* SPDX-License-Identifier: Apache-2.0 */
/* What is not in the golden files: marks of inserted text, lines of errors, what is refused,
 * memory. */
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>

#include "eng-error.h"
#include "eng-gguf-writer.h"
#include "eng-json.h"
#include "eng-template-gguf.h"
#include "eng-template.h"

static EngStatus
run (const char *source, const char *vars, EngTemplateOutput *out, EngError *error)
{
  EngArena arena = { 0 };
  const EngJson *root;
  EngTemplate *tmpl;
  /* An exact copy, so that a read past the end is seen by a sanitizer. */
  size_t n = strlen (source);
  g_autofree char *copy = g_memdup2 (source, n ? n : 1);
  memset (error, 0, sizeof *error);
  g_assert_cmpint (eng_json_parse (vars, strlen (vars), 0, &arena, &root, error), ==, ENG_OK);
  EngStatus status = eng_template_parse (copy, n, &tmpl, error);
  g_assert_true ((status == ENG_OK) == (tmpl != NULL));
  if (!status)
    status = eng_template_render (tmpl, root, NULL, out, error);
  g_assert_true (status == ENG_OK || (error->text[0] && error->code == status && !out->text));
  eng_template_free (&tmpl);
  eng_template_free (&tmpl);
  eng_arena_clear (&arena);
  return status;
}

/* Inserted parts in ‹ ›. */
static char *
marked (const EngTemplateOutput *out)
{
  GString *s = g_string_new (NULL);
  for (size_t k = 0; k < out->n_spans; k++)
    {
      g_string_append (s, out->spans[k].inserted ? "‹" : "");
      g_string_append_len (s, out->text + out->spans[k].offset, (gssize) out->spans[k].n_bytes);
      g_string_append (s, out->spans[k].inserted ? "›" : "");
    }
  return g_string_free (s, FALSE);
}

static void
assert_marked (const char *source, const char *expected)
{
  static const char vars[]
      = "{\"s\":\"abc\",\"sp\":\"  x y  \",\"n\":5,\"list\":[\"p\",\"q\"],\"d\":{\"k\":\"v\"},"
        "\"bos_token\":\"<s>\",\"eos_token\":\"</s>\",\"empty\":\"\",\"uni\":\"é炉\","
        "\"messages\":[{\"role\":\"user\",\"content\":\"<|user|>\"},{\"role\":\"<|x|>\","
        "\"content\":\"c\"}]}";
  EngTemplateOutput out = { 0 };
  EngError error;
  EngStatus status = run (source, vars, &out, &error);
  g_assert_cmpstr (error.text, ==, "");
  g_assert_cmpint (status, ==, ENG_OK);
  g_autofree char *got = marked (&out);
  g_assert_cmpstr (got, ==, expected);
  eng_template_output_clear (&out);
}

static void
test_marks (void)
{
  assert_marked ("a{{ s }}b", "a‹abc›b");
  assert_marked ("{{ '<' + s + '>' }}", "<‹abc›>");
  assert_marked ("{{ s ~ s ~ '|' ~ n }}", "‹abcabc›|‹5›");
  assert_marked ("{{ ('[' + s + ']')[1:-1] }}", "‹abc›");
  assert_marked ("{{ ('[' + s + ']')[::-1] }}", "]‹cba›[");
  assert_marked ("{{ ('[' + s + ']')[1] }}", "‹a›");
  assert_marked ("{{ ('  ' + sp + ' . ').strip() }}", "‹x y  › .");
  assert_marked ("{{ ('x=' + s).split('=')[1] }}{{ ('x=' + s).split('=')[0] }}", "‹abc›x");
  assert_marked ("{{ (s + '!').upper() }}{{ (s + '!')|capitalize }}", "‹ABC›!‹Abc›!");
  assert_marked ("{{ (s + '-b-').replace('b', '<B>') }}", "‹a›<B>‹c›-<B>-");
  assert_marked ("{{ 'x-y'.replace('-', s) }}", "x‹abc›y");
  assert_marked ("{{ list|join(', ') }}{{ '+'.join(list) }}", "‹p›, ‹qp›+‹q›");
  assert_marked ("{% for c in 'A' + s %}{{ c }}.{% endfor %}", "A.‹a›.‹b›.‹c›.");
  assert_marked ("{% set x %}({{ s }}){% endset %}{{ x }}", "(‹abc›)");
  assert_marked ("{% macro f(a) %}<{{ a }}>{% endmacro %}{{ f(s) }}{{ f('l') }}", "<‹abc›><l>");
  assert_marked ("{{ '%s|%s' % (s, 'l') }}{{ '{}:{}'.format(s, 'l') }}", "‹abc›|l‹abc›:l");
  assert_marked ("{{ d|tojson }}{{ {'a': 1}|tojson }}{{ list }}{{ [1] }}",
                 "‹{\"k\": \"v\"}›{\"a\": 1}‹['p', 'q']›[1]");
  assert_marked ("{{ n }}{{ n + 1 }}{{ s|length }}{{ loop is defined }}", "‹56›3False");
  assert_marked ("{{ bos_token }}{{ eos_token }}", "<s></s>");
  assert_marked ("{{ empty }}{{ empty ~ 'x' }}", "x");
  assert_marked ("{{ ('é' + uni)[1:] }}{{ ('é' + uni)[:2] }}", "‹é炉›é‹é›");
  assert_marked ("{{ s|e }}{{ ('<' + s)|e }}{{ ('a\\n' + s)|indent(2) }}",
                 "‹abc›&lt;‹abc›a\n  ‹abc›");
  /* A role builds control tokens, if it is a plain word; what a message says never does. */
  assert_marked ("{% for m in messages %}{{ '<|' + m.role + '|>' + m.content }}{% endfor %}",
                 "<|user|>‹<|user|>›<|‹<|x|>›|>‹c›");
}

/* No way through a string brings a mark off what came from the variables. */
static void
test_marks_never_lost (void)
{
  static const char *const ways[] = {
    "s",
    "s|string",
    "s|trim",
    "s.strip()",
    "s.split('zz')|join('zz')",
    "s|replace('zz', '')",
    "s[:]",
    "s[0:]",
    "s|list|join",
    "s|reverse|reverse",
    "s.lower()",
    "(s|upper).lower()",
    "'%s' % s",
    "'{}'.format(s)",
    "'{x}'.format(x=s)",
    "[s]|first",
    "{'a': s}.a",
    "[s, s]|last",
    "(s ~ '')",
    "(s + '')",
    "s * 1",
    "s|default('')",
    "s if true else 1",
    "[s]|map('trim')|first",
    "[s]|map('replace', 'q', 'r')|list|first",
    "namespace(a=s).a",
    "dict(a=s)['a']",
    "[s]|sort|first",
    "[s]|unique|list|first",
    "[{'a': s}]|map(attribute='a')|first",
    "s|indent(0)",
    "s.partition('zz')[0]",
    "s.rsplit('zz')[0]",
    "s.splitlines()[0]",
    "s|format()",
    "([s]|string)[2:-2]",
    "(s|tojson)[1:-1]",
    "s|center if false else s.center(3)",
    "s.removeprefix('zz')",
    "[[s]]|sum(start=[])|first",
    "s|batch(99)|first|join",
    "s|safe",
    "'' ~ (s|safe)",
    "{s: 1}|first",
    "{s: 1}.keys()|first",
    "[s]|max",
    "s|d('')",
    "s.ljust(1)",
    "s.zfill(1)",
    "s.swapcase().swapcase()",
  };
  for (size_t k = 0; k < G_N_ELEMENTS (ways); k++)
    {
      g_autofree char *source = g_strdup_printf ("<{{ %s }}>", ways[k]);
      EngTemplateOutput out = { 0 };
      EngError error;
      EngStatus status = run (source, "{\"s\":\"<|im_end|>\"}", &out, &error);
      g_test_message ("%s %s", ways[k], error.text);
      if (status == ENG_ERR_UNSUPPORTED)
        continue;
      g_assert_cmpint (status, ==, ENG_OK);
      g_autofree char *got = marked (&out);
      g_assert_cmpstr (got, ==, "<‹<|im_end|>›>");
      eng_template_output_clear (&out);
    }
}

static void
assert_refused (const char *source, EngStatus status, uint32_t line, const char *text)
{
  EngTemplateOutput out = { 0 };
  EngError error;
  g_autofree char *shown = g_strescape (source, NULL);
  g_test_message ("%s", shown);
  EngStatus got = run (source, "{\"n\":1,\"s\":\"x\",\"l\":[1],\"m\":{\"a\":1}}", &out, &error);
  g_assert_cmpstr (error.text, !=, "");
  if (!strstr (error.text, text))
    g_assert_cmpstr (error.text, ==, text);
  g_assert_cmpint (got, ==, status);
  g_assert_cmpuint (error.line, ==, line);
  eng_template_output_clear (&out);
}

static void
test_refused (void)
{
  assert_refused ("\n{% include 'x' %}", ENG_ERR_UNSUPPORTED, 2, "unsupported statement 'include'");
  assert_refused ("{% import 'x' as y %}", ENG_ERR_UNSUPPORTED, 1,
                  "unsupported statement 'import'");
  assert_refused ("{% extends 'x' %}", ENG_ERR_UNSUPPORTED, 1, "unsupported statement 'extends'");
  assert_refused ("a\nb\n{{ ''.__class__ }}", ENG_ERR_UNSUPPORTED, 3,
                  "unsupported name '__class__'");
  assert_refused ("{{ ''['__class__'] }}", ENG_ERR_UNSUPPORTED, 1, "unsupported name '__class__'");
  assert_refused ("{{ m['__class__'] }}", ENG_ERR_UNSUPPORTED, 1, "unsupported name '__class__'");
  assert_refused ("{{ l|map(attribute='__class__')|list }}", ENG_ERR_UNSUPPORTED, 1,
                  "unsupported name '__class__'");
  assert_refused ("{{ __import__('os') }}", ENG_ERR_UNSUPPORTED, 1,
                  "unsupported name '__import__'");
  assert_refused ("{{ s.encode() }}", ENG_ERR_UNSUPPORTED, 1, "unsupported name 'encode'");
  assert_refused ("{{ cycler(1) }}", ENG_ERR_UNSUPPORTED, 1, "unsupported name 'cycler'");
  assert_refused ("{{ self }}", ENG_ERR_UNSUPPORTED, 1, "unsupported name 'self'");
  assert_refused ("{{ '{0.x}'.format(s) }}", ENG_ERR_UNSUPPORTED, 1, "attributes within a format");
  assert_refused ("{{ range.x }}", ENG_ERR_UNSUPPORTED, 1, "unsupported name 'x'");
  assert_refused ("{{ s|pprint }}", ENG_ERR_UNSUPPORTED, 1, "unsupported filter 'pprint'");
  assert_refused ("{% if n %}\n{{ s|pprint }}{% endif %}", ENG_ERR_UNSUPPORTED, 2,
                  "unsupported filter 'pprint'");
  assert_refused ("{% for x in l recursive %}{% endfor %}", ENG_ERR_UNSUPPORTED, 1, "recursive");
  assert_refused ("{{ s(*l) }}", ENG_ERR_UNSUPPORTED, 1, "arguments are not supported");
  assert_refused ("{{ 99999999999999999999 }}", ENG_ERR_UNSUPPORTED, 1, "too large");
  assert_refused ("{{ 9223372036854775807 + n }}", ENG_ERR_UNSUPPORTED, 1, "64 bits");
  assert_refused ("{{ 10 ** 30 }}", ENG_ERR_UNSUPPORTED, 1, "64 bits");
  assert_refused ("{{ range }}", ENG_ERR_UNSUPPORTED, 1, "the text of a function");
  assert_refused ("{% macro f() %}{% endmacro %}\n{{ f }}", ENG_ERR_UNSUPPORTED, 2,
                  "the text of a Macro");
  assert_refused ("{% set ns = namespace() %}{% set ns._x = 1 %}", ENG_ERR_UNSUPPORTED, 1,
                  "unsupported name '_x'");
  assert_refused ("{{ strftime_now('%Y') }}", ENG_ERR_TEMPLATE, 1, "'strftime_now' is undefined");
  assert_refused ("\xff", ENG_ERR_TEMPLATE, 1, "invalid UTF-8");
  assert_refused ("x\n{{ s.upper(\n) + }}", ENG_ERR_TEMPLATE, 3,
                  "expected an expression (column 5)");
  assert_refused ("x\n\n{{ s.nope.nope }}", ENG_ERR_TEMPLATE, 3,
                  "'str object' has no attribute 'nope'");
  assert_refused ("{{ s\n  ~ 1\n  ~ (n + s) }}", ENG_ERR_TEMPLATE, 3, "unsupported operand");
  assert_refused ("{% if n %}\n{% for i in l %}\n{{ i.x.y }}\n{% endfor %}{% endif %}",
                  ENG_ERR_TEMPLATE, 3, "'int object' has no attribute 'x'");
  assert_refused ("{{ ('<b>'|safe).replace('b', 'i') }}", ENG_ERR_UNSUPPORTED, 1,
                  "unsupported name 'replace'");
}

static void
test_raised (void)
{
  EngTemplateOutput out = { 0 };
  EngError error;
  g_assert_cmpint (
      run ("a\n{{ raise_exception('no\\x1b[1m ' ~ s) }}", "{\"s\":\"è\\n\"}", &out, &error), ==,
      ENG_ERR_TEMPLATE);
  g_assert_cmpstr (error.field, ==, "raise_exception");
  g_assert_cmpstr (error.text, ==, "no?[1m è?");
  g_assert_cmpuint (error.line, ==, 2);
  g_assert_true (out.raised);
  g_assert_cmpstr (out.message, ==, "no\x1b[1m è\n");
  g_assert_null (out.text);
  eng_template_output_clear (&out);
  g_assert_cmpint (run ("{{ nope.x }}", "{}", &out, &error), ==, ENG_ERR_TEMPLATE);
  g_assert_false (out.raised);
  g_assert_cmpstr (error.field, ==, "");
  eng_template_output_clear (&out);
  g_autofree char *large = g_strnfill (5000, 'x');
  g_autofree char *source = g_strdup_printf ("{{ raise_exception('%s') }}", large);
  g_assert_cmpint (run (source, "{}", &out, &error), ==, ENG_ERR_TEMPLATE);
  g_assert_cmpuint (out.message_bytes, ==, 5000);
  g_assert_cmpstr (out.message, ==, large);
  eng_template_output_clear (&out);
}

static void
test_arguments (void)
{
  EngArena arena = { 0 };
  const EngJson *list;
  EngTemplate *tmpl;
  EngTemplateOutput out = { 0 };
  EngError error;
  g_assert_cmpint (eng_json_parse ("[]", 2, 0, &arena, &list, NULL), ==, ENG_OK);
  g_assert_cmpint (eng_template_parse ("{% if tools %}{{ x.y }}{% endif %}", 34, &tmpl, NULL), ==,
                   ENG_OK);
  g_assert_true (eng_template_mentions (tmpl, "tools"));
  g_assert_true (eng_template_mentions (tmpl, "x"));
  g_assert_false (eng_template_mentions (tmpl, "y"));
  g_assert_cmpint (eng_template_render (tmpl, list, NULL, &out, &error), ==, ENG_ERR_ARGUMENT);
  g_assert_cmpint (eng_template_render (tmpl, NULL, NULL, &out, NULL), ==, ENG_ERR_ARGUMENT);
  eng_template_free (&tmpl);
  eng_arena_clear (&arena);
  g_assert_cmpint (run ("{{ x }}", "{\"x\": 123456789012345678901234567890}", &out, &error), ==,
                   ENG_ERR_UNSUPPORTED);
  eng_template_output_clear (&out);
  g_assert_cmpint (run ("", "{}", &out, &error), ==, ENG_OK);
  g_assert_cmpuint (out.n_bytes, ==, 0);
  g_assert_cmpuint (out.n_spans, ==, 0);
  g_assert_cmpstr (out.text, ==, "");
  eng_template_output_clear (&out);
}

/* The n-th allocation fails, for every n: refused, nothing lost (leaks show under a sanitizer). */
static void
test_no_memory (void)
{
  static const char source[] = "{% macro f(a, b=1) %}{{ a|upper }}{% endmacro %}{% for m in "
                               "messages if m.role %}{{ f(m.content) }}"
                               "{% set ns = namespace(x=[1, 'a\\n']) %}{% set ns.y = "
                               "m.content.split('l')|map('trim')|join('-') %}"
                               "{{ ns.y }}{{ m|tojson(indent=2) }}{{ '%s' % ns.x }}{% endfor %}";
  static const char vars[] = "{\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}";
  EngArena arena = { 0 };
  const EngJson *root;
  g_assert_cmpint (eng_json_parse (vars, strlen (vars), 0, &arena, &root, NULL), ==, ENG_OK);
  for (uint64_t n = 1;; n++)
    {
      EngTemplate *tmpl;
      EngTemplateOutput out = { 0 };
      eng_alloc_fail_at (n);
      EngStatus status = eng_template_parse (source, strlen (source), &tmpl, NULL);
      if (!status)
        status = eng_template_render (tmpl, root, NULL, &out, NULL);
      bool reached = eng_alloc_fail_at (0) >= n;
      g_assert_cmpint (status, ==, reached ? ENG_ERR_NO_MEMORY : ENG_OK);
      eng_template_output_clear (&out);
      eng_template_free (&tmpl);
      if (!reached)
        {
          g_assert_cmpuint (n, >, 5);
          break;
        }
    }
  eng_arena_clear (&arena);
}

/* A file without a template, with one, and with one for tools; the texts of its special tokens. */
static void
test_gguf (void)
{
  g_autofree char *folder = g_dir_make_tmp ("inglenook-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "m.gguf", NULL);
  static const EngGgufString tokens[]
      = { { "<unk>", 5 }, { "<s>", 3 }, { "</s>", 4 }, { "a\"", 2 } };
  for (int round = 0; round < 3; round++)
    {
      EngGgufWriter *writer;
      EngGguf *gguf;
      EngTemplate *tmpl;
      EngGgufString source;
      EngError error = { 0 };
      g_assert_cmpint (eng_gguf_writer_new (path, &writer, &error), ==, ENG_OK);
      eng_gguf_writer_set_string (writer, "tokenizer.ggml.model", round == 2 ? "gpt2" : "llama",
                                  NULL);
      eng_gguf_writer_set_strings (writer, "tokenizer.ggml.tokens", 4, tokens, NULL);
      eng_gguf_writer_set_u32 (writer, "tokenizer.ggml.eos_token_id", 3, NULL);
      eng_gguf_writer_set_u32 (writer, "tokenizer.ggml.padding_token_id", 77, NULL);
      if (round > 0)
        eng_gguf_writer_set_string (writer, "tokenizer.chat_template",
                                    "{{ bos_token }}{{ eos_token }}", NULL);
      if (round > 1)
        eng_gguf_writer_set_string (writer, "tokenizer.chat_template.tool_use", "tools", NULL);
      g_assert_cmpint (eng_gguf_writer_begin (writer, NULL, &error), ==, ENG_OK);
      g_assert_cmpint (eng_gguf_writer_finish (writer, &error), ==, ENG_OK);
      eng_gguf_writer_free (&writer);
      g_assert_cmpint (eng_gguf_open (path, ENG_GGUF_MAP, &gguf, &error), ==, ENG_OK);
      g_assert_cmpint (eng_template_from_gguf (gguf, true, &tmpl, &error), ==,
                       round ? ENG_OK : ENG_ERR_NOT_FOUND);
      eng_template_free (&tmpl);
      if (round > 0)
        {
          g_assert_cmpint (eng_template_source_from_gguf (gguf, true, &source, NULL), ==, ENG_OK);
          g_assert_true (eng_gguf_string_equal (
              source, round == 2 ? "tools" : "{{ bos_token }}{{ eos_token }}"));
          g_assert_cmpint (eng_template_source_from_gguf (gguf, false, &source, NULL), ==, ENG_OK);
          g_assert_true (eng_gguf_string_equal (source, "{{ bos_token }}{{ eos_token }}"));
        }
      EngBuffer buffer = { 0 };
      EngJsonWriter w = { .out = &buffer };
      eng_json_write_begin_object (&w);
      eng_template_write_variables (&w, gguf, true);
      eng_json_write_end_object (&w);
      /* A byte-pair model names its tokens or has none; an id beyond the vocabulary names nothing.
       */
      g_assert_cmpstr (
          buffer.data, ==,
          round == 2
              ? "{\"tools\": null, \"documents\": null, \"add_generation_prompt\": true, "
                "\"eos_token\": \"a\\\"\"}"
              : "{\"tools\": null, \"documents\": null, \"add_generation_prompt\": true, "
                "\"unk_token\": \"<unk>\", \"bos_token\": \"<s>\", \"eos_token\": \"a\\\"\"}");
      eng_buffer_clear (&buffer);
      eng_gguf_close (&gguf);
      g_assert_cmpint (g_unlink (path), ==, 0);
    }
  g_assert_cmpint (g_rmdir (folder), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/template/render/marks", test_marks);
  g_test_add_func ("/template/render/marks-never-lost", test_marks_never_lost);
  g_test_add_func ("/template/render/refused", test_refused);
  g_test_add_func ("/template/render/raised", test_raised);
  g_test_add_func ("/template/render/arguments", test_arguments);
  g_test_add_func ("/template/render/no-memory", test_no_memory);
  g_test_add_func ("/template/render/gguf", test_gguf);
  return g_test_run ();
}
