/* SPDX-License-Identifier: Apache-2.0 */
/* A device that samples by itself gives the same answer as the CPU's sampler, however the answer ends. When it is lost
 * in the middle of one, the service says so and ends. */
#include <glib.h>
#include <glib/gstdio.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "eng-wire.h"

static char *folder;

typedef struct
{
  const char *name;
  bool sampled; /* the device sampled (else it had to leave it to the CPU) */
  const char *options;
} Case;

/* The first token of an answer is always the CPU's; 150 and more are several calls of the device. */
static const Case cases[] = {
  { "greedy", true, "--greedy --ignore-eog -n 150" },
  { "default", true, "--seed 1 --ignore-eog -n 200" },
  { "hot", true, "--seed 2 --temperature 3 --top-k 64 --top-p 1 --min-p 0 --ignore-eog -n 100" },
  { "cuts", true, "--seed 3 --temperature 1.5 --top-k 50 --top-p 0.7 --min-p 0.02 --ignore-eog -n 100" },
  { "penalty", true, "--seed 4 --repetition-penalty 1.3 --penalty-window 7 --ignore-eog -n 100" },
  { "greedy-penalty", true, "--greedy --repetition-penalty 1.5 --ignore-eog -n 140" },
  { "context", true, "--greedy --ignore-eog --ctx 90" },
  { "end", true, "--seed 5 --temperature 5 --top-k 64 --top-p 1 --min-p 0 -n 400" },
  { "stop", true, "--seed 6 --temperature 2 --ignore-eog -n 200 --stop e" },
  { "two", true, "--seed 7 --ignore-eog -n 2" },
  { "one", false, "--seed 8 --ignore-eog -n 1" },
  { "all-candidates", false, "--seed 9 --top-k 0 --ignore-eog -n 40" },
  { "many-candidates", false, "--seed 10 --top-k 65 --ignore-eog -n 40" },
  { "by-wish", false, "--seed 11 --cpu-sampling --ignore-eog -n 40" },
};

/* What generate --json says, but for the times; *sampled: tokens that the device sampled. */
static char *
generate (const char *device, const char *options, int *sampled)
{
  g_auto (GStrv) env = g_get_environ (), words = g_strsplit (options, " ", -1);
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  g_autofree char *counts = g_build_filename (folder, "sampled", NULL), *text = NULL, *output = NULL, *errors = NULL;
  g_autoptr (GError) error = NULL;
  const char *const fixed[] = { g_getenv ("INGLENOOK_ENGINE"), "generate", TINY_MODEL, "--prompt", "Once upon a time",
                                "--json", "--threads", "1", "--device", device };
  int code;
  env = g_environ_setenv (env, "INGLENOOK_MODULE_PATH", folder, TRUE);
  env = g_environ_setenv (env, "INGLENOOK_SAMPLED", counts, TRUE);
  for (size_t i = 0; i < G_N_ELEMENTS (fixed); i++)
    g_ptr_array_add (argv, (char *) fixed[i]);
  for (char **w = words; *w; w++)
    g_ptr_array_add (argv, *w);
  g_ptr_array_add (argv, NULL);
  g_unlink (counts);
  g_spawn_sync (NULL, (char **) argv->pdata, env, G_SPAWN_DEFAULT, NULL, NULL, &output, &errors, &code, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (errors, ==, "");
  g_assert_cmpint (WEXITSTATUS (code), ==, 0);
  *sampled = g_file_get_contents (counts, &text, NULL, NULL) ? atoi (text) : 0;
  g_autoptr (GRegex) times = g_regex_new ("\"[a-z_]*_us\": ?[0-9]+,?", 0, 0, NULL);
  return g_regex_replace_literal (times, output, -1, 0, "", 0, NULL);
}

static void
test_same (gconstpointer data)
{
  const Case *c = data;
  int sampled, none;
  g_autofree char *expected = generate ("cpu", c->options, &none);
  g_autofree char *got = generate ("cuda", c->options, &sampled);
  g_test_message ("%s", expected);
  g_assert_cmpstr (got, ==, expected);
  g_assert_cmpint (none, ==, 0);
  /* loading tries it once */
  g_assert_cmpint (sampled > 1, ==, c->sampled);
}

/* An encoder goes to the device only where it leaves most of it free, unless it is sent there. */
static void
test_encoder (void)
{
  static const struct
  {
    const char *free, *device, *expected;
  } places[] = { { "100000", "auto", "Sampler" }, { "1000", "auto", "CPU" }, { "1000", "cuda", "Sampler" }, { "100000", "cpu", "CPU" } };
  for (size_t i = 0; i < G_N_ELEMENTS (places); i++)
    {
      g_auto (GStrv) env = g_get_environ ();
      g_autofree char *output = NULL;
      const char *const argv[] = { g_getenv ("INGLENOOK_ENGINE"), "inspect", ENCODER_MODEL, "--device", places[i].device, NULL };
      g_autoptr (GError) error = NULL;
      int code;
      env = g_environ_setenv (env, "INGLENOOK_MODULE_PATH", folder, TRUE);
      env = g_environ_setenv (env, "INGLENOOK_FREE", places[i].free, TRUE);
      g_spawn_sync (NULL, (char **) argv, env, G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, &output, NULL, &code, &error);
      g_assert_no_error (error);
      g_assert_cmpint (WEXITSTATUS (code), ==, 0);
      g_test_message ("%s MiB, %s", places[i].free, places[i].device);
      g_assert_cmpint (strstr (output, "Sampler") != NULL, ==, strcmp (places[i].expected, "Sampler") == 0);
    }
}

static void
send_frame (int fd, EngWireType type, uint32_t id, const char *payload)
{
  uint8_t bytes[ENG_WIRE_HEADER_BYTES];
  const EngWireHeader header = { .type = (uint16_t) type, .id = id, .length = (uint32_t) strlen (payload) };
  eng_wire_encode_header (&header, bytes);
  g_assert_cmpint (write (fd, bytes, sizeof bytes), ==, sizeof bytes);
  g_assert_cmpint (write (fd, payload, header.length), ==, header.length);
}

static void
test_lost (void)
{
  int fds[2], code;
  char part[4096];
  const struct timeval limit = { .tv_sec = 60 };
  g_autoptr (GString) said = g_string_new (NULL);
  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM, 0, fds), ==, 0);
  setsockopt (fds[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  g_autofree char *number = g_strdup_printf ("%d", fds[1]);
  const pid_t pid = fork ();
  if (pid == 0)
    {
      close (fds[0]);
      g_setenv ("INGLENOOK_MODULE_PATH", folder, TRUE);
      g_setenv ("INGLENOOK_LOST_AFTER", "20", TRUE);
      execl (g_getenv ("INGLENOOK_ENGINE"), "inglenook-engine", "serve", "--fd", number, NULL);
      _exit (127);
    }
  close (fds[1]);
  send_frame (fds[0], ENG_WIRE_LOAD, 1,
              "{\"path\": \"" TINY_MODEL "\", \"device\": \"cuda\", \"context\": 256, \"threads\": 1}");
  send_frame (fds[0], ENG_WIRE_GENERATE, 2,
              "{\"messages\": [{\"role\": \"user\", \"content\": \"Sing a song\"}], \"sampling\": {\"greedy\": true}}");
  /* to the end, which comes by itself */
  for (ssize_t n; (n = read (fds[0], part, sizeof part)) != 0;)
    {
      g_assert_cmpint (n, >, 0);
      for (ssize_t i = 0; i < n; i++)
        g_string_append_c (said, part[i] ? part[i] : ' ');
    }
  g_assert_nonnull (strstr (said->str, "\"status\":\"device\""));
  g_assert_nonnull (strstr (said->str, "because the test says so"));
  g_assert_cmpint (waitpid (pid, &code, 0), ==, pid);
  g_assert_true (WIFEXITED (code));
  close (fds[0]);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  folder = g_dir_make_tmp ("inglenook-XXXXXX", NULL);
  g_autofree char *link = g_build_filename (folder, "inglenook-cuda.so", NULL);
  g_autofree char *counts = g_build_filename (folder, "sampled", NULL);
  g_assert_cmpint (symlink (g_getenv ("SAMPLING_MODULE"), link), ==, 0);
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *path = g_strconcat ("/sampling/", cases[i].name, NULL);
      g_test_add_data_func (path, &cases[i], test_same);
    }
  g_test_add_func ("/sampling/lost", test_lost);
  g_test_add_func ("/sampling/encoder", test_encoder);
  int code = g_test_run ();
  g_unlink (link);
  g_unlink (counts);
  g_rmdir (folder);
  return code;
}
