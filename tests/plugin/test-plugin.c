/* SPDX-License-Identifier: Apache-2.0 */
/* What the tool says of modules that cannot be used, and that the CPU goes on in every case. */
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "eng-arena.h"
#include "eng-device.h"
#include "eng-json.h"

typedef struct
{
  const char *folder; /* below FAKE_DIR; NULL = an empty one */
  const char *status; /* of the second device */
  const char *words;  /* in its problem */
} Case;

static const Case cases[] = {
  { "absent", "no-module", "not installed" },
  { "text", "module-abi", "cannot be loaded" },
  { "1", "module-abi", "no module of this program" },
  { "2", "module-abi", "another version: it speaks version " },
  { "3", "module-abi", "incomplete" },
  { "4", "module-abi", "incomplete" },
  { "5", "module-abi", "no module of this program" },
  { "6", "no-driver", "because the test says so" },
  { "7", "old-driver", "because the test says so" },
  { "8", "no-device", "because the test says so" },
  { "9", "device", "the probe itself failed" },
};

static char *fake_dir;

static int
run_tool (const char *folder, char **output, char **errors, const char *const *arguments)
{
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  g_auto (GStrv) env = g_get_environ ();
  g_autofree char *path = g_build_filename (fake_dir, folder, NULL);
  g_autoptr (GError) error = NULL;
  int code;
  env = g_environ_setenv (env, "INGLENOOK_MODULE_PATH", path, TRUE);
  g_ptr_array_add (argv, (char *) g_getenv ("INGLENOOK_ENGINE"));
  for (; *arguments; arguments++)
    g_ptr_array_add (argv, (char *) *arguments);
  g_ptr_array_add (argv, NULL);
  g_spawn_sync (NULL, (char **) argv->pdata, env, G_SPAWN_DEFAULT, NULL, NULL, output, errors, &code,
                &error);
  g_assert_no_error (error);
  return WEXITSTATUS (code);
}

static void
test_case (gconstpointer data)
{
  const Case *c = data;
  g_autofree char *output = NULL, *errors = NULL, *text = NULL;
  const char *const inspect[] = { "inspect", "--devices", "--json", NULL };
  g_assert_cmpint (run_tool (c->folder, &output, &errors, inspect), ==, 0);
  EngArena arena = { 0 };
  const EngJson *root;
  g_assert_cmpint (eng_json_parse (output, strlen (output), 0, &arena, &root, NULL), ==, ENG_OK);
  const EngJson *cpu = eng_json_at (eng_json_get (root, "devices"), 0);
  const EngJson *fake = eng_json_at (eng_json_get (root, "devices"), 1);
  const char *problem;
  g_assert_true (eng_json_is_string (eng_json_get (cpu, "api"), "cpu"));
  g_assert_true (eng_json_is_string (eng_json_get (cpu, "status"), "ok"));
  g_assert_true (eng_json_is_string (eng_json_get (fake, "api"), "cuda"));
  g_assert_true (eng_json_get_string (fake, "problem", &problem));
  g_test_message ("%s", problem);
  g_assert_true (eng_json_is_string (eng_json_get (fake, "status"), c->status));
  g_assert_nonnull (strstr (problem, c->words));
  eng_arena_clear (&arena);
  /* By itself the engine takes the CPU … */
  const char *const generate[] = { "generate", TINY_MODEL, "--prompt", "Hello", "-n", "2", NULL };
  g_clear_pointer (&errors, g_free);
  g_assert_cmpint (run_tool (c->folder, &text, &errors, generate), ==, 0);
  /* … and says why it cannot when told to use the module. */
  const char *const cuda[]
      = { "generate", TINY_MODEL, "--device", "cuda", "--prompt", "Hello", "-n", "2", NULL };
  g_clear_pointer (&errors, g_free);
  g_clear_pointer (&text, g_free);
  g_assert_cmpint (run_tool (c->folder, &text, &errors, cuda), ==, 1);
  g_assert_nonnull (strstr (errors, c->words));
}

/* Of a module of another version both numbers are said. */
static void
test_other_version (void)
{
  g_autofree char *output = NULL, *errors = NULL;
  g_autofree char *words = g_strdup_printf ("it speaks version %u, this program version %u",
                                            ENG_DEVICE_ABI + 1, ENG_DEVICE_ABI);
  const char *const inspect[] = { "inspect", "--devices", NULL };
  g_assert_cmpint (run_tool ("2", &output, &errors, inspect), ==, 0);
  g_assert_nonnull (strstr (output, words));
}

/* A device that looked good and fails when it is opened. */
static void
test_dies_at_open (void)
{
  g_autofree char *output = NULL, *errors = NULL;
  const char *const generate[]
      = { "generate", TINY_MODEL, "--device", "cuda", "--prompt", "Hello", "-n", "2", NULL };
  g_assert_cmpint (run_tool ("10", &output, &errors, generate), ==, 1);
  g_assert_nonnull (strstr (errors, "fell off its bus"));
  g_clear_pointer (&output, g_free);
  g_clear_pointer (&errors, g_free);
  const char *const automatic[] = { "generate", TINY_MODEL, "--prompt", "Hello", "-n", "2", NULL };
  g_assert_cmpint (run_tool ("10", &output, &errors, automatic), ==, 0);
}

/* A folder for each module, holding it as inglenook-cuda.so. */
static void
make_folders (void)
{
  fake_dir = g_dir_make_tmp ("inglenook-XXXXXX", NULL);
  for (int i = 0; i <= 10; i++)
    {
      g_autofree char *number = i ? g_strdup_printf ("%d", i) : g_strdup ("text");
      g_autofree char *folder = g_build_filename (fake_dir, number, NULL);
      g_autofree char *link = g_build_filename (folder, "inglenook-cuda.so", NULL);
      g_autofree char *target
          = g_strdup_printf ("%s/libfake-%d.so", g_getenv ("FAKE_BUILD"), i);
      g_assert_cmpint (g_mkdir (folder, 0700), ==, 0);
      if (i == 0)
        g_assert_true (g_file_set_contents (link, "not a module\n", -1, NULL));
      else
        g_assert_cmpint (symlink (target, link), ==, 0);
    }
}

static void
remove_folders (void)
{
  for (int i = 0; i <= 10; i++)
    {
      g_autofree char *number = i ? g_strdup_printf ("%d", i) : g_strdup ("text");
      g_autofree char *folder = g_build_filename (fake_dir, number, NULL);
      g_autofree char *link = g_build_filename (folder, "inglenook-cuda.so", NULL);
      g_unlink (link);
      g_rmdir (folder);
    }
  g_rmdir (fake_dir);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  make_folders ();
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *path
          = g_strdup_printf ("/plugin/%s/%s", cases[i].status, cases[i].folder);
      g_test_add_data_func (path, &cases[i], test_case);
    }
  g_test_add_func ("/plugin/other-version", test_other_version);
  g_test_add_func ("/plugin/dies-at-open", test_dies_at_open);
  int code = g_test_run ();
  remove_folders ();
  return code;
}
