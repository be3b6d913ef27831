/* SPDX-License-Identifier: Apache-2.0 */
/* Against jinja2's own output: small templates of ours with their whole text, and public chat
 * templates (not part of this project; found in INGLENOOK_FIXTURES/templates, and in the folders of
 * INGLENOOK_TEMPLATES parted by ':') by length and SHA-256. tests/golden/make-template-golden.py.
 */
#include <glib.h>
#include <string.h>

#include "eng-error.h"
#include "eng-json.h"
#include "eng-template.h"

/* The moment the golden files were made for: Thursday, 5 March 2026, 14:07:09. */
static const struct tm now = { .tm_year = 126,
                               .tm_mon = 2,
                               .tm_mday = 5,
                               .tm_hour = 14,
                               .tm_min = 7,
                               .tm_sec = 9,
                               .tm_wday = 4,
                               .tm_yday = 63,
                               .tm_isdst = -1 };

static const EngJson *
load (const char *name, EngArena *arena)
{
  const char *folder = g_getenv ("INGLENOOK_TEST_DATA");
  g_autofree char *path = g_build_filename (folder ? folder : "tests/golden/data", name, NULL),
                  *text = NULL;
  g_autoptr (GError) failure = NULL;
  const EngJson *root;
  EngError error;
  gsize n;
  g_file_get_contents (path, &text, &n, &failure);
  g_assert_no_error (failure);
  if (eng_json_parse (text, n, 0, arena, &root, &error))
    g_error ("%s: %s", path, error.text);
  return root;
}

/* The spans cover the text, in order, alternating. */
static void
check_spans (const EngTemplateOutput *out)
{
  size_t at = 0;
  for (size_t k = 0; k < out->n_spans; k++)
    {
      g_assert_cmpuint (out->spans[k].offset, ==, at);
      g_assert_cmpuint (out->spans[k].n_bytes, >, 0);
      g_assert_true (k == 0 || out->spans[k].inserted != out->spans[k - 1].inserted);
      at += out->spans[k].n_bytes;
    }
  g_assert_cmpuint (at, ==, out->n_bytes);
  g_assert_cmpint (out->text[out->n_bytes], ==, '\0');
  g_assert_true (g_utf8_validate_len (out->text, out->n_bytes, NULL)
                 || memchr (out->text, 0, out->n_bytes));
}

static EngStatus
run (const char *source, size_t n, const EngJson *vars, EngTemplateOutput *out, EngError *error)
{
  EngTemplate *tmpl;
  EngStatus status = eng_template_parse (source, n, &tmpl, error);
  if (!status)
    status = eng_template_render (tmpl, vars, &now, out, error);
  eng_template_free (&tmpl);
  return status;
}

static void
test_snippets (void)
{
  EngArena arena = { 0 };
  const EngJson *root = load ("template-snippets.json", &arena);
  const EngJson *vars = eng_json_get (root, "vars"), *snippets = eng_json_get (root, "snippets");
  unsigned n_wrong = 0;
  g_assert_cmpuint (snippets->n, >, 200);
  for (size_t i = 0; i < snippets->n; i++)
    {
      const EngJson *source = eng_json_get (&snippets->items[i], "template");
      const EngJson *text = eng_json_get (&snippets->items[i], "text");
      const EngJson *message = eng_json_get (&snippets->items[i], "error");
      EngTemplateOutput out = { 0 };
      EngError error = { 0 };
      EngStatus status = run (source->string, source->n, vars, &out, &error);
      bool right;
      if (text)
        {
          right = status == ENG_OK && out.n_bytes == text->n
                  && memcmp (out.text, text->string, text->n) == 0;
          if (status == ENG_OK)
            check_spans (&out);
        }
      else
        right = status == ENG_ERR_TEMPLATE && error.line > 0
                && (message->n == 0 || (out.message && strcmp (out.message, message->string) == 0)
                    || (!out.message && g_str_has_prefix (error.text, message->string)));
      if (!right)
        {
          n_wrong++;
          g_test_message ("%s\n  expected %s: %s\n  got %s: %s", source->string,
                          text ? "text" : "error", text ? text->string : message->string,
                          eng_status_name (status),
                          status ? (out.message ? out.message : error.text) : out.text);
        }
      eng_template_output_clear (&out);
    }
  g_assert_cmpuint (n_wrong, ==, 0);
  eng_arena_clear (&arena);
}

/* @expected: "LENGTH SHA256-PREFIX", or "!" and a message. */
static bool
matches (const char *expected, EngStatus status, const EngTemplateOutput *out)
{
  if (g_str_has_prefix (expected, "!maximum recursion depth"))
    return status == ENG_ERR_LIMIT;
  if (expected[0] == '!')
    return status == ENG_ERR_TEMPLATE
           && (expected[1] == '\0' || g_strcmp0 (out->message, expected + 1) == 0);
  if (status != ENG_OK)
    return false;
  check_spans (out);
  g_autofree char *sum
      = g_compute_checksum_for_data (G_CHECKSUM_SHA256, (const guchar *) out->text, out->n_bytes);
  g_autofree char *got = g_strdup_printf ("%zu %.16s", out->n_bytes, sum);
  return g_str_equal (got, expected);
}

static unsigned
check_template (const char *source, size_t n, const EngJson *cases, const EngJson *golden)
{
  const EngJson *results = eng_json_get (golden, "results"),
                *outputs = eng_json_get (golden, "outputs");
  EngTemplate *tmpl;
  EngError error = { 0 };
  unsigned n_wrong = 0;
  const char *name = "?";
  eng_json_get_string (golden, "name", &name);
  g_assert_cmpuint (results->n, ==, cases->n);
  if (eng_template_parse (source, n, &tmpl, &error))
    {
      g_test_message ("%s: %s, line %u", name, error.text, error.line);
      return (unsigned) cases->n;
    }
  for (size_t i = 0; i < cases->n; i++)
    {
      EngTemplateOutput out = { 0 };
      EngStatus status = eng_template_render (tmpl, &cases->items[i], &now, &out, &error);
      const char *expected = eng_json_at (outputs, (size_t) results->items[i].integer)->string;
      if (!matches (expected, status, &out) && n_wrong++ < 3)
        {
          g_test_message ("%s, case %zu: expected %s, got %s%s%s line %u", name, i, expected,
                          eng_status_name (status), status ? ": " : "",
                          status ? (out.message ? out.message : error.text) : "", error.line);
        }
      eng_template_output_clear (&out);
    }
  eng_template_free (&tmpl);
  return n_wrong;
}

static void
check_folder (const char *folder, const EngJson *root, unsigned *n_seen, unsigned *n_wrong)
{
  const EngJson *templates = eng_json_get (root, "templates"),
                *cases = eng_json_get (root, "cases");
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;
  while (dir && (name = g_dir_read_name (dir)))
    {
      g_autofree char *path = g_build_filename (folder, name, NULL), *text = NULL;
      gsize n;
      if (!g_str_has_suffix (name, ".jinja") || !g_file_get_contents (path, &text, &n, NULL))
        continue;
      g_autofree char *sum
          = g_compute_checksum_for_data (G_CHECKSUM_SHA256, (const guchar *) text, n);
      const EngJson *golden = eng_json_get (templates, sum);
      if (!golden)
        {
          g_test_message ("%s: not among the golden templates", name);
          continue;
        }
      ++*n_seen;
      *n_wrong += check_template (text, n, cases, golden);
    }
}

static void
test_public_templates (void)
{
  const char *fixtures = g_getenv ("INGLENOOK_FIXTURES"), *more = g_getenv ("INGLENOOK_TEMPLATES");
  EngArena arena = { 0 };
  const EngJson *root = load ("template-golden.json", &arena);
  unsigned n_seen = 0, n_wrong = 0;
  g_auto (GStrv) folders = g_strsplit (more ? more : "", ":", -1);
  g_autofree char *own = fixtures ? g_build_filename (fixtures, "templates", NULL) : NULL;
  if (own)
    check_folder (own, root, &n_seen, &n_wrong);
  for (char **folder = folders; *folder; folder++)
    check_folder (*folder, root, &n_seen, &n_wrong);
  g_test_message ("%u templates, %u cases each", n_seen,
                  (unsigned) eng_json_get (root, "cases")->n);
  eng_arena_clear (&arena);
  g_assert_cmpuint (n_wrong, ==, 0);
  if (n_seen == 0)
    g_test_skip ("no public templates here (INGLENOOK_FIXTURES)");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/template/golden/snippets", test_snippets);
  g_test_add_func ("/template/golden/public", test_public_templates);
  return g_test_run ();
}
