/* SPDX-License-Identifier: Apache-2.0 */
/* inglenook-engine template, as a script sees it. argv[1] is the program. */
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>

#include "eng-json.h"

static const char *program;
static char *folder;

static char *
write_file (const char *name, const char *text)
{
  char *path = g_build_filename (folder, name, NULL);
  g_assert_true (g_file_set_contents (path, text, -1, NULL));
  return path;
}

/* Runs the subcommand with @n arguments; its exit code. */
static int
run (char **out, char **err, const char *const *arguments)
{
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  int wait_status;
  g_autoptr (GError) failure = NULL;
  g_ptr_array_add (argv, (char *) program);
  g_ptr_array_add (argv, (char *) "template");
  for (; *arguments; arguments++)
    g_ptr_array_add (argv, (char *) *arguments);
  g_ptr_array_add (argv, NULL);
  g_spawn_sync (NULL, (char **) argv->pdata, NULL, G_SPAWN_DEFAULT, NULL, NULL, out, err,
                &wait_status, &failure);
  g_assert_no_error (failure);
  g_assert_true (WIFEXITED (wait_status));
  return WEXITSTATUS (wait_status);
}

#define RUN(...) run (&out, &err, (const char *const[]){ __VA_ARGS__, NULL })

static void
test_text (void)
{
  g_autofree char *tmpl = write_file (
      "t.jinja", "{{ bos_token }}{% for m in messages %}[{{ m.content }}]{% endfor %}"
                 "{{ x }}{% if add_generation_prompt %}>{% endif %}{{ tools is none }}");
  g_autofree char *list = write_file ("m.json", "[{\"role\":\"user\",\"content\":\"é\\n\"}]");
  g_autofree char *object
      = write_file ("o.json", "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"}],\"x\":1}");
  g_autofree char *vars = write_file ("v.json", "{\"x\":2,\"tools\":[],\"bos_token\":\"B\"}");
  char *out, *err;
  g_assert_cmpint (RUN ("--template-file", tmpl, "--bos", "<s>", "--messages", list), ==, 0);
  g_assert_cmpstr (out, ==, "<s>[é\n]>True");
  g_assert_cmpstr (err, ==, "");
  g_free (out);
  g_free (err);
  g_assert_cmpint (RUN ("--template-file", tmpl, "--messages", object, "--no-generation-prompt"),
                   ==, 0);
  g_assert_cmpstr (out, ==, "[q]1True");
  g_free (out);
  g_free (err);
  g_assert_cmpint (
      RUN ("--template-file", tmpl, "--bos", "<s>", "--messages", object, "--vars", vars), ==, 0);
  g_assert_cmpstr (out, ==, "B[q]2>False");
  g_free (out);
  g_free (err);

  EngArena arena = { 0 };
  const EngJson *root;
  g_assert_cmpint (RUN ("--template-file", tmpl, "--bos", "<s>", "--messages", list, "--json"), ==,
                   0);
  g_assert_cmpint (eng_json_parse (out, strlen (out), 0, &arena, &root, NULL), ==, ENG_OK);
  g_assert_true (eng_json_is_string (eng_json_get (root, "text"), "<s>[é\n]>True"));
  const EngJson *spans = eng_json_get (root, "spans");
  g_assert_cmpuint (spans->n, ==, 3);
  bool inserted = false;
  int64_t offset = 0;
  g_assert_true (eng_json_get_bool (eng_json_at (spans, 1), "inserted", &inserted) && inserted);
  g_assert_true (eng_json_get_int64 (eng_json_at (spans, 1), "offset", &offset) && offset == 4);
  eng_arena_clear (&arena);
  g_free (out);
  g_free (err);
}

static void
assert_fails (int code, const char *message, const char *const *arguments)
{
  char *out, *err;
  g_assert_cmpint (run (&out, &err, arguments), ==, code);
  g_assert_cmpstr (out, ==, "");
  if (!strstr (err, message))
    g_assert_cmpstr (err, ==, message);
  g_free (out);
  g_free (err);
}

#define FAILS(code, message, ...)                                                                  \
  assert_fails (code, message, (const char *const[]){ __VA_ARGS__, NULL })

static void
test_failures (void)
{
  g_autofree char *good = write_file ("t.jinja", "x"), *list = write_file ("m.json", "[]");
  g_autofree char *broken = write_file ("broken.jinja", "a\n{% if %}");
  g_autofree char *raises = write_file ("raises.jinja", "\n\n{{ raise_exception('not today') }}");
  g_autofree char *bad = write_file ("bad.json", "[1,\n}"),
                  *number = write_file ("number.json", "1");
  FAILS (2, "--messages", "--template-file", good);
  FAILS (2, "one of them", "--messages", list);
  FAILS (2, "one of them", "model.gguf", "--template-file", good, "--messages", list);
  FAILS (1, "broken.jinja", "--template-file", broken, "--messages", list);
  FAILS (1, "line 2", "--template-file", broken, "--messages", list);
  FAILS (1, "not today (field raise_exception, line 3)", "--template-file", raises, "--messages",
         list);
  FAILS (1, "bad.json: JSON line 2", "--template-file", good, "--messages", bad);
  FAILS (1, "neither a list", "--template-file", good, "--messages", number);
  FAILS (1, "no object", "--template-file", good, "--messages", list, "--vars", list);
  FAILS (1, "m.json", list, "--messages", list); /* no GGUF */
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  program = argv[1];
  folder = g_dir_make_tmp ("inglenook-XXXXXX", NULL);
  g_test_add_func ("/template/command/text", test_text);
  g_test_add_func ("/template/command/failures", test_failures);
  int result = g_test_run ();
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  for (const char *name; (name = g_dir_read_name (dir));)
    {
      g_autofree char *path = g_build_filename (folder, name, NULL);
      g_unlink (path);
    }
  g_rmdir (folder);
  g_free (folder);
  return result;
}
